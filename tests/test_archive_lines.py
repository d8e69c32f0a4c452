"""A long text line by line: in every form that it comes in, and in those in which it should not."""

import gzip
import lzma
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.real.archive import MAX_LINE, CaptureError, read_lines, shorten
from pagelab.real.capture import Capture, example, open_capture

FORMS = [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
TEXT = b"first\n\n  third \nlast"
LINES = [(1, "first"), (2, ""), (3, "  third "), (4, "last")]


def refusal(name, source, **limit):
    with pytest.raises(CaptureError) as error:
        list(read_lines(name, source, **limit))
    assert str(error.value).isprintable()
    return str(error.value)


@pytest.fixture(params=["bytes", "path"])
def source(request, tmp_path):
    """Make a source of both kinds: a member of an archive is bytes, a file of a folder is a path."""

    def make(data):
        if request.param == "bytes":
            return bytearray(data)
        (tmp_path / "file").write_bytes(data)
        return tmp_path / "file"

    return make


@pytest.mark.parametrize(("ending", "pack"), FORMS)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"\n"])
def test_lines_are_numbered_and_have_no_ends(source, ending, pack, end, last):
    data = (TEXT + last).replace(b"\n", end)
    assert list(read_lines(f"trace.txt{ending}", source(pack(data)))) == LINES


@pytest.mark.parametrize(("ending", "pack"), FORMS)
def test_an_empty_text_has_no_lines(source, ending, pack):
    assert list(read_lines(f"x{ending}", source(pack(b"")))) == []


def test_only_the_newline_ends_a_line(source):
    text = "a\vb\fc\x1cd\x85e\u2028f\rg\n"
    assert list(read_lines("x", source(text.encode()))) == [(1, text[:-1])]


def test_bytes_that_are_not_utf_8_are_replaced(source):
    assert list(read_lines("x", source(b"a\xffb\n\xe9\n\xc3\xa9"))) == [(1, "a\ufffdb"), (2, "\ufffd"), (3, "\xe9")]


@pytest.mark.parametrize(("ending", "pack"), FORMS)
def test_a_line_that_is_too_long(source, ending, pack):
    longest = b"x" * (MAX_LINE - 2) + b"\n"
    assert [len(text) for _, text in read_lines(f"x{ending}", source(pack(longest * 2)))] == [MAX_LINE - 2] * 2
    found = refusal(f"x{ending}", source(pack(b"short\n" + b"x" + longest)))
    assert found == f"x{ending} line 2: has 65,536 bytes or more; expected shorter lines"


@pytest.mark.parametrize(("ending", "pack"), FORMS)
def test_a_text_that_is_too_long(source, ending, pack):
    data = source(pack(b"123456789\n" * 10))
    assert len(list(read_lines(f"x{ending}", data, limit=100))) == 10
    lines = read_lines(f"x{ending}", data, limit=99)
    assert [number for number, _ in (next(lines) for _ in range(9))] == list(range(1, 10))
    with pytest.raises(CaptureError, match=rf"^x{ending}: unpacks to more than 99 bytes; expected a smaller file$"):
        next(lines)


@pytest.mark.parametrize(("ending", "pack"), FORMS[1:])
def test_a_line_without_end_does_not_fill_the_memory(source, ending, pack):
    data = source(pack(bytes(48 << 20)))
    tracemalloc.start()
    found = refusal(f"x{ending}", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.startswith(f"x{ending} line 1: has 65,536 bytes or more")
    assert peak < 12 << 20  # of which xz takes 8 MiB, whatever the file


@pytest.mark.parametrize(("ending", "pack"), FORMS[1:])
def test_a_packed_text_that_ends_early(source, ending, pack):
    text = "".join(f"{number * 7919}\n" for number in range(9999))
    whole = pack(text.encode())
    lines, seen = read_lines(f"x{ending}", source(whole[: len(whole) // 2])), []
    with pytest.raises(CaptureError, match=rf"^x{ending}: cannot be read \(.+\); expected a whole file that may be read$"):
        seen.extend(lines)
    assert len(seen) < 9999


@pytest.mark.parametrize("data", [b"plain text\n", gzip.compress(b"x", mtime=0)[:5], b"\xfd7zXZ\x00"])
@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_text_that_is_not_packed_as_its_name_says(source, ending, data):
    assert refusal(f"x{ending}", source(data)).startswith(f"x{ending}: cannot be read (")


def test_a_file_that_is_gone(tmp_path):
    found = refusal("trace.txt", tmp_path / "none")
    assert found == "trace.txt: cannot be read (No such file or directory); expected a whole file that may be read"
    assert refusal("trace.txt", tmp_path).startswith("trace.txt: cannot be read (Is a directory)")


@given(st.binary(max_size=300), st.sampled_from(["", ".gz", ".xz"]))
def test_no_bytes_give_any_other_error(data, ending):
    with suppress(CaptureError):
        list(read_lines(f"x{ending}", bytearray(data)))


@given(data=st.binary(min_size=1, max_size=6), at=st.floats(0, 0.999), cut=st.booleans(), form=st.sampled_from(FORMS[1:]))
def test_no_damage_gives_any_other_error(data, at, cut, form):
    whole = bytearray(form[1](TEXT * 9))
    at = int(at * len(whole))
    whole[at : at + len(data)] = data
    with suppress(CaptureError):
        list(read_lines(f"x{form[0]}", whole[:at] if cut else whole))


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1), st.sampled_from(FORMS))
def test_what_is_written_is_what_is_read(lines, form):
    data = "".join(f"{text}\n" for text in lines).encode()
    assert list(read_lines(f"x{form[0]}", bytearray(form[1](data)))) == list(enumerate(lines, 1))


# Lines of a capture


@pytest.mark.parametrize(("ending", "pack"), FORMS)
def test_the_lines_of_a_capture(tmp_path, ending, pack):
    (tmp_path / f"trace.txt{ending}").write_bytes(pack(TEXT))
    capture = open_capture(tmp_path)
    assert list(capture.lines("trace.txt")) == LINES
    assert list(Capture("mine", {f"trace.txt{ending}": bytearray(pack(TEXT))}).lines("trace.txt")) == LINES
    assert capture.file_name("trace.txt") == f"trace.txt{ending}"


def test_the_lines_of_the_example_are_its_text():
    capture = example("612-hi-256M-1cpu")
    for name in ("S0.zoneinfo", "S0.pagetypeinfo", "S0.version"):
        assert [text for _, text in capture.lines(name)] == capture.text(name).splitlines()


def test_errors_name_the_file_as_it_lies_there(tmp_path):
    (tmp_path / "trace.txt.gz").write_bytes(gzip.compress(TEXT)[:-9])
    with pytest.raises(CaptureError, match=r"^trace\.txt\.gz: cannot be read \("):
        list(open_capture(tmp_path).lines("trace.txt"))


def test_a_capture_without_that_file():
    with pytest.raises(CaptureError) as error:
        list(example().lines("trace.txt"))
    assert str(error.value) == ("61-buddy-256M-1cpu: trace.txt is missing; expected a capture with trace.txt, plain, .gz or .xz")


# Quoting


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "''"),
        (" x\n", "'x'"),
        ("it's", '"it\'s"'),
        ("\x1b[2J", "'\\x1b[2J'"),
        ("x" * 60, "'" + "x" * 60 + "'"),
        ("x" * 61, "'" + "x" * 57 + "...'"),
        (" " * 99 + "x" * 60 + " " * 99, "'" + "x" * 60 + "'"),
    ],
)
def test_a_text_is_quoted_and_cut(text, quoted):
    assert shorten(text) == quoted


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\'"), max_size=200))
def test_a_quoted_text_has_62_characters_at_most(text):
    assert len(shorten(text)) <= 62
    assert shorten(text)[1:-1].removesuffix("...") in text


@given(st.text(max_size=200))
def test_a_quoted_text_can_be_printed(text):
    assert shorten(text).isprintable()
