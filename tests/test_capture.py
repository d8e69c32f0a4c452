"""Captures in every form that they come in, and in many in which they should not."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import sys
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.real.archive import MAX_MEMBERS
from pagelab.real.capture import EXAMPLES, MAX_TEXT, Capture, CaptureError, example, open_capture, this_machine, write_capture
from pagelab.real.proc import parse_buddyinfo
from pagelab.real.verify import verify

SLICE = EXAMPLES / "61-buddy-256M-1cpu"
LINE = "Node 0, zone    DMA32      3      2      2      0      2      1      0      2      5      2     29 \n"
ZONE = "Node 0, zone DMA\n spanned 4095\n present 3998\n managed 3840\n cpu: 0\n count: 1\n start_pfn: 1\n"
COUNTS = [3, 2, 2, 0, 2, 1, 0, 2, 5, 2, 29]


def zip_of(path, members, compression=zipfile.ZIP_DEFLATED):
    """Write a zip of (name, bytes) pairs; a name may be a ZipInfo."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def tar_of(path, members, mode="w:gz"):
    """Write a tar of (name, bytes) pairs; a name may be a TarInfo."""
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def slice_files(prefix=""):
    return [(prefix + path.name, path.read_bytes()) for path in sorted(SLICE.iterdir())]


def assert_one_sentence(error, *words):
    """A place, what is there, what would be right; in one line without control characters."""
    text = str(error.value)
    assert re.fullmatch(r"[^\n]+: [^\n]+; expected [^\n]+", text)
    assert text.isprintable()
    assert len(text) < 400
    for word in words:
        assert word in text


# Forms


@pytest.mark.parametrize("prefix", ["", "./", "61-buddy-256M-1cpu/", "./some folder/"])
@pytest.mark.parametrize("kind", [".zip", ".tar.gz", ".tgz", ".tar.xz", ".tar"])
def test_an_archive_says_what_the_folder_says(tmp_path, kind, prefix):
    path = tmp_path / f"capture{kind}"
    mode = {".zip": "", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz", ".tar": "w"}[kind]
    tar_of(path, slice_files(prefix), mode) if mode else zip_of(path, slice_files(prefix))
    found, expected = verify(open_capture(path)), verify(open_capture(SLICE))
    assert (found.zones, found.kernel, found.capture) == (expected.zones, "6.1", f"capture{kind}")


def test_folders_in_an_archive_and_files_that_are_none_of_ours_are_no_trouble(tmp_path):
    folder = tarfile.TarInfo("cap")
    folder.type = tarfile.DIRTYPE
    others = [(folder, b""), ("cap/notes.txt", b"hello"), ("cap/deep/er/S0.zoneinfo", b"?"), ("x/._S0.zoneinfo", b"?")]
    assert verify(open_capture(tar_of(tmp_path / "c.tar.gz", others + slice_files("cap/")))).exit_code == 0
    windows = [(name.replace("/", "\\"), data) for name, data in slice_files("cap/")]
    assert verify(open_capture(zip_of(tmp_path / "c.zip", windows))).exit_code == 0


@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_every_file_may_be_packed(tmp_path, ending, pack):
    for name, data in slice_files():
        raw = gzip.decompress(data) if name.endswith(".gz") else data
        (tmp_path / (name.removesuffix(".gz") + ending)).write_bytes(pack(raw))
    assert verify(open_capture(tmp_path)).zones == verify(example()).zones


def test_snapshots_are_named_by_what_stands_before_the_first_dot(tmp_path):
    for name in ("02x-raw-disabled.buddyinfo", "00-before.meminfo", "S1.kpageflags.gz", "dmesg.gz", "trace.txt.gz", "a.b"):
        (tmp_path / name).write_bytes(gzip.compress(b""))
    capture = open_capture(tmp_path)
    assert capture.snapshots == ("00-before", "02x-raw-disabled", "S1")
    assert ("dmesg" in capture, "S1.kpageflags" in capture, "S1.zoneinfo" in capture) == (True, True, False)


@pytest.mark.parametrize(
    ("files", "kernel"),
    [
        ({"S0.version": "Linux version 6.12.117+deb12 (x)", "dmesg": "[ 0.0] Linux version 5.4.1"}, "6.12"),
        ({"S0.buddyinfo": LINE, "dmesg": "[    0.000000] Linux version 6.1.0-56-amd64\nmore"}, "6.1"),
        ({"S0.version": "something else", "dmesg": "Linux version 7.0-rc1"}, "7.0"),
        ({"dmesg": "first line\nLinux version 6.1.0"}, None),
        ({"S0.buddyinfo": LINE}, None),
    ],
)
def test_the_kernel_is_that_of_version_or_else_of_dmesg(tmp_path, files, kernel):
    folder = tmp_path / "612-boot-512M-1cpu"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert open_capture(folder).kernel == kernel


# What the files say


def test_zoneinfo_of_the_example():
    zones = example().zoneinfo("S0")
    assert list(zones) == [(0, "DMA"), (0, "DMA32"), (0, "Normal"), (0, "Movable"), (0, "Device")]
    dma32, normal = zones[0, "DMA32"], zones[0, "Normal"]
    assert (dma32.start_pfn, dma32.spanned, dma32.present, dma32.managed) == (4096, 61402, 61402, 48842)
    assert (dma32.end_pfn, dma32.pcp, dma32.has_free_lists) == (65498, {0: 66}, True)
    assert (normal.start_pfn, normal.pcp, normal.has_free_lists) == (None, {}, False)


def test_pagetypeinfo_of_the_example():
    info = example().pagetypeinfo("S0")
    types = ["Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate"]
    assert list(info.blocks[0, "DMA32"]) == types
    assert sum(info.blocks[0, "DMA32"].values()) == 120
    rows = [info.free[0, "DMA32", kind] for kind in types]
    assert [sum(column) for column in zip(*rows, strict=True)] == COUNTS


def test_free_pages_are_those_with_buddy_and_without_nopage():
    free, flags = example().free_pages("S0")[0, "DMA"], example().kpageflags("S0")
    assert free.size == 4095
    assert free.tolist() == [bool(f >> 10 & 1 and not f >> 20 & 1) for f in flags[1:4096].tolist()]


def test_nopage_is_never_free(capture_copy):
    path = capture_copy / "S0.kpageflags.gz"
    flags = np.frombuffer(gzip.decompress(path.read_bytes()), dtype="<u8") | np.uint64(1 << 10 | 1 << 20)
    path.write_bytes(gzip.compress(flags.tobytes()))
    assert not open_capture(capture_copy).free_pages("S0")[0, "DMA32"].any()


def test_every_buddyinfo_and_zoneinfo_can_be_read(capture_path):
    capture = open_capture(capture_path)
    for snapshot in capture.snapshots:
        populated = [key for key, zone in capture.zoneinfo(snapshot).items() if zone.has_free_lists]
        assert list(capture.buddyinfo(snapshot, "" if f"{snapshot}.buddyinfo" in capture else ".pre")) == populated


def test_errors_name_the_file(capture_copy):
    (capture_copy / "S0.buddyinfo.pre").unlink()
    (capture_copy / "S0.buddyinfo.pre.gz").write_bytes(gzip.compress(b"Node 0, zone DMA 1"))
    with pytest.raises(CaptureError, match=r"^S0.buddyinfo.pre.gz line 1: 1 columns; expected 11, for orders 0..10$"):
        verify(open_capture(capture_copy))


# Files that are wrong


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("S0.kpageflags.gz", gzip.compress(bytes(8 * 65536 + 3), mtime=0), ["524,291 bytes are not a multiple of 8"]),
        ("S0.kpageflags.gz", gzip.compress(bytes(8000), mtime=0), ["ends at pfn 1000, inside node 0, zone DMA"]),
        ("S0.kpageflags.gz", gzip.compress(bytes(range(256)) * 2048, mtime=0)[:-2000], ["S0.kpageflags.gz: cannot be read"]),
        ("S0.kpageflags.gz", b"", ["S0.kpageflags.gz"]),
        ("S0.kpageflags.gz", b"not gzip at all", ["S0.kpageflags.gz: cannot be read"]),
        ("S0.kpageflags.gz", (SLICE / "S0.kpageflags.gz").read_bytes()[:900] + b"x" * 917, ["cannot be read"]),
        ("S0.zoneinfo", b"Node 0, zone DMA\n\xff\xfe", ["S0.zoneinfo: byte 0xff at offset 17 is not UTF-8"]),
        ("S0.version", b"Linux \xe9", ["S0.version: byte 0xe9 at offset 6 is not UTF-8"]),
        ("S0.zoneinfo", b"\0" * 100, ["S0.zoneinfo line 1"]),
    ],
)
def test_wrong_files(capture_copy, name, data, words):
    (capture_copy / name).write_bytes(data)
    with pytest.raises(CaptureError) as error:
        verify(open_capture(capture_copy))
    assert_one_sentence(error, *words)


def test_a_damaged_xz(capture_copy):
    (capture_copy / "S0.zoneinfo").unlink()
    (capture_copy / "S0.zoneinfo.xz").write_bytes(lzma.compress(ZONE.encode())[:-9])
    with pytest.raises(CaptureError) as error:
        verify(open_capture(capture_copy))
    assert_one_sentence(error, "S0.zoneinfo.xz: cannot be read")


def test_one_file_in_two_forms(capture_copy):
    shutil.copy(capture_copy / "S0.zoneinfo", capture_copy / "S0.zoneinfo.xz")
    with pytest.raises(CaptureError) as error:
        open_capture(capture_copy)
    assert_one_sentence(error, "S0.zoneinfo is there twice, as S0.zoneinfo and S0.zoneinfo.xz")


def test_a_missing_file_is_named():
    with pytest.raises(CaptureError) as error:
        example().text("S7.zoneinfo")
    assert_one_sentence(error, "S7.zoneinfo is missing")


def test_a_bomb_is_stopped_before_it_fills_the_memory(capture_copy):
    (capture_copy / "S0.zoneinfo").unlink()
    (capture_copy / "S0.zoneinfo.gz").write_bytes(gzip.compress(bytes(MAX_TEXT)) * 64)
    tracemalloc.start()
    with pytest.raises(CaptureError) as error:
        verify(open_capture(capture_copy))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_one_sentence(error, "S0.zoneinfo.gz: unpacks to more than 16,777,216 bytes")
    assert peak < 4 * MAX_TEXT


@pytest.mark.parametrize("target", ["outside", "/dev/zero", "loop", "nowhere"])
def test_no_link_is_followed_out_of_a_folder(capture_copy, target):
    (capture_copy.parent / "outside").write_text(ZONE)
    (capture_copy / "S0.zoneinfo").unlink()
    places = {"outside": "../outside", "loop": "S0.zoneinfo"}
    (capture_copy / "S0.zoneinfo").symlink_to(places.get(target, target))
    with pytest.raises(CaptureError) as error:
        open_capture(capture_copy)
    assert_one_sentence(error)


def test_a_folder_in_place_of_a_file(capture_copy):
    (capture_copy / "S1.zoneinfo").mkdir()
    with pytest.raises(CaptureError) as error:
        open_capture(capture_copy)
    assert_one_sentence(error, "S1.zoneinfo: is not a plain file")


def test_a_link_that_stays_inside_is_a_file(capture_copy):
    (capture_copy / "S0.buddyinfo").unlink()
    (capture_copy / "S0.buddyinfo").symlink_to("S0.buddyinfo.pre")
    assert open_capture(capture_copy).buddyinfo("S0")[0, "DMA32"] == COUNTS


# Archives that are wrong


def link_in_tar(kind):
    info = tarfile.TarInfo("S0.zoneinfo")
    info.type, info.linkname = kind, "../secret"
    return info


def link_in_zip():
    info = zipfile.ZipInfo("S0.zoneinfo")
    info.external_attr = 0o120777 << 16
    return info


LINKS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]


@pytest.mark.parametrize("name", ["../S0.zoneinfo", "a/../../S0.zoneinfo", "/S0.zoneinfo", "..\\S0.zoneinfo", "C:\\S0.zoneinfo"])
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_no_member_points_out_of_an_archive(tmp_path, make, name):
    path = make(tmp_path / "archive", [(name, b"x"), *slice_files()])
    with pytest.raises(CaptureError) as error:
        open_capture(path)
    assert_one_sentence(error, "points out of the archive")


@pytest.mark.parametrize("kind", LINKS)
def test_no_link_or_device_in_a_tar(tmp_path, kind):
    with pytest.raises(CaptureError) as error:
        open_capture(tar_of(tmp_path / "c.tar.gz", [(link_in_tar(kind), b"")]))
    assert_one_sentence(error, "member 'S0.zoneinfo' is a link, a device")


def test_no_link_in_a_zip(tmp_path):
    with pytest.raises(CaptureError) as error:
        open_capture(zip_of(tmp_path / "c.zip", [(link_in_zip(), b"../secret")]))
    assert_one_sentence(error, "member 'S0.zoneinfo' is a link, a device")


def test_no_zip_method_that_unpacks_without_limit(tmp_path):
    with pytest.raises(CaptureError) as error:
        open_capture(zip_of(tmp_path / "c.zip", [("S0.zoneinfo", bytes(1 << 20))], zipfile.ZIP_BZIP2))
    assert_one_sentence(error, "packed in a rare way")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [zip_of, tar_of])
@pytest.mark.parametrize("second", ["c/S0.zoneinfo", "./c//S0.zoneinfo"])
def test_no_name_twice(tmp_path, make, second):
    with pytest.raises(CaptureError) as error:
        open_capture(make(tmp_path / "archive", [("c/S0.zoneinfo", b"x"), (second, b"y")]))
    assert_one_sentence(error, "is there twice")


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_one_capture_in_an_archive(tmp_path, make):
    with pytest.raises(CaptureError) as error:
        open_capture(make(tmp_path / "archive", slice_files("a/") + slice_files("b/")))
    assert_one_sentence(error, "more than one capture")


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_a_limited_number_of_members(tmp_path, make):
    with pytest.raises(CaptureError) as error:
        open_capture(make(tmp_path / "archive", [(f"{n}", b"") for n in range(MAX_MEMBERS + 1)]))
    assert_one_sentence(error, "more than 10,000 members")


def test_a_tar_that_claims_to_be_huge(tmp_path):
    info = tarfile.TarInfo("S0.kpageflags")
    info.size = 3 << 30
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(1 << 20)))
    with pytest.raises(CaptureError) as error:
        open_capture(tmp_path / "c.tar.gz")
    assert_one_sentence(error, "2,147,483,648 bytes")


def test_a_tar_with_a_huge_header(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(info.tobuf() + bytes(16 << 20)))
    with pytest.raises(CaptureError) as error:
        open_capture(tmp_path / "c.tar.gz")
    assert_one_sentence(error, "a header has more than 4,194,304 bytes")


def test_a_zip_with_a_huge_list_of_members(tmp_path):
    path = zip_of(tmp_path / "c.zip", [("x" * 60_000 + str(n), b"") for n in range(80)])
    with pytest.raises(CaptureError) as error:
        open_capture(path)
    assert_one_sentence(error, "a header has more than 4,194,304 bytes")


def test_a_bomb_in_a_zip_is_stopped(tmp_path):
    bomb = gzip.compress(bytes(MAX_TEXT)) * 64
    capture = open_capture(zip_of(tmp_path / "c.zip", [("S0.buddyinfo.gz", bomb)]))
    with pytest.raises(CaptureError) as error:
        capture.buddyinfo("S0")
    assert_one_sentence(error, "S0.buddyinfo.gz: unpacks to more than")


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", b"\x1f\x8b", b"\xfd7zXZ\x00", bz2.compress(b"x"), bytes(600)])
def test_what_is_no_archive(tmp_path, data):
    (tmp_path / "c.zip").write_bytes(data)
    with pytest.raises(CaptureError) as error:
        open_capture(tmp_path / "c.zip")
    assert_one_sentence(error, "c.zip: ")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    made = zip_of(folder / "c.zip", slice_files("c/")), tar_of(folder / "c.tgz", slice_files("c/")), folder / "damaged"
    return made[0].read_bytes(), made[1].read_bytes(), made[2]


@given(which=st.integers(0, 1), at=st.floats(0, 0.999), change=st.binary(min_size=1, max_size=8), cut=st.booleans())
def test_no_damage_gives_any_other_error(archives, which, at, change, cut):
    data, path = bytearray(archives[which]), archives[2]
    at = int(at * len(data))
    data[at : at + len(change)] = change
    path.write_bytes(data[:at] if cut else data)
    with suppress(CaptureError):
        verify(open_capture(path))


@pytest.mark.parametrize("name", ["none", "no\x1b[2J\nne"])
def test_a_path_with_nothing_there(tmp_path, name):
    with pytest.raises(CaptureError) as error:
        open_capture(tmp_path / name)
    assert_one_sentence(error, "there is no such file or folder", "a folder, a .zip or a .tar.gz")


def test_a_folder_with_nothing_of_ours(tmp_path):
    with pytest.raises(CaptureError) as error:
        open_capture(tmp_path)
    assert_one_sentence(error, "holds no file of a capture")


def test_an_example_that_is_none():
    with pytest.raises(ValueError, match="'x' is not an example: choose from 61-buddy-256M-1cpu"):
        example("x")


# Writing


@pytest.fixture
def proc(tmp_path):
    """A /proc that holds what a kernel said, except slabinfo and modules."""
    folder = tmp_path / "proc"
    folder.mkdir()
    for name, data in slice_files():
        kind = name.removeprefix("S0.").removesuffix(".pre").removesuffix(".post").removesuffix(".gz")
        (folder / kind).write_bytes(gzip.decompress(data) if name.endswith(".gz") else data)
    shutil.copy(folder / "kpageflags", folder / "kpagecount")
    for name in ("iomem", "meminfo", "cmdline", "vmstat"):
        (folder / name).write_text(f"{name}\n")
    return folder


def test_a_written_capture_can_be_verified(tmp_path, proc):
    (tmp_path / "slab" / ":0000064").mkdir(parents=True)
    (tmp_path / "slab" / ":0000064" / "object_size").write_text("64\n")
    written = write_capture(tmp_path / "new" / "capture", proc, tmp_path / "slab")
    capture = open_capture(tmp_path / "new" / "capture")
    assert capture.read("S0.slab.tsv").splitlines()[1].split(b"\t")[:3] == [b":0000064", b"", b"64"]
    assert verify(capture).zones == verify(example()).zones
    assert capture.read("S0.kpagecount") == (proc / "kpagecount").read_bytes()
    assert capture.read("S0.buddyinfo") == capture.read("S0.buddyinfo.pre")
    assert sorted(written.files) == sorted(path.name for path in written.directory.iterdir())
    assert sorted(written.left_out) == ["S0.modules"]
    assert "S0.modules: No such file" in written.as_text()


@pytest.mark.parametrize("fails_at", ["open", "read"])
def test_what_cannot_be_read_is_left_out(tmp_path, proc, fails_at):
    (proc / "kpageflags").unlink()
    if fails_at == "open":
        (proc / "kpageflags").mkdir()
    else:
        # Linux opens this file and then refuses to read at address 0.
        (proc / "kpageflags").symlink_to("/proc/self/mem")
    written = write_capture(tmp_path / "capture", proc, tmp_path / "no slab here")
    assert written.left_out["S0.slab.tsv"] == "No such file or directory"
    assert "S0.kpageflags.gz" in written.left_out
    assert not (written.directory / "S0.kpageflags.gz").exists()
    assert "kpageflags is missing" in verify(open_capture(written.directory)).as_text()


def test_a_folder_that_is_not_empty_is_refused_and_untouched(tmp_path, proc):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(CaptureError) as error:
        write_capture(tmp_path / "mine", proc)
    assert_one_sentence(error, "is not empty")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_file_is_no_folder(tmp_path, proc):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CaptureError) as error:
        write_capture(tmp_path / "file", proc)
    assert_one_sentence(error, "cannot be used")


def test_other_systems_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(CaptureError) as error:
        write_capture(tmp_path / "new")
    assert_one_sentence(error, "made on Linux", "darwin")
    assert not (tmp_path / "new").exists()


def test_a_capture_can_be_made_of_bytes():
    assert Capture("mine", {"S0.buddyinfo": bytearray(LINE.encode())}).buddyinfo("S0") == {(0, "DMA32"): COUNTS}


def test_this_machine_is_read_where_it_can_be(tmp_path):
    (tmp_path / "buddyinfo").write_text(LINE)
    here = this_machine(tmp_path)
    assert here.text == LINE
    assert here.words.startswith("This machine, Linux ")
    assert str(here) == f"{here.words}\n\n{LINE.rstrip()}"


def test_pages_of_another_size_are_said(tmp_path, monkeypatch):
    (tmp_path / "buddyinfo").write_text(LINE)
    monkeypatch.setattr("mmap.PAGESIZE", 16384)
    assert this_machine(tmp_path).words.endswith("A page has 16,384 bytes here, not 4,096.")


@pytest.mark.parametrize(
    ("data", "reason"),
    [(None, "No such file"), (LINE.replace("29", "29 0 0").encode(), "13 columns"), (b"", "is empty"), (b"\xff", "ascii")],
)
def test_where_it_cannot_the_capture_stands_in(tmp_path, data, reason):
    if data is not None:
        (tmp_path / "buddyinfo").write_bytes(data)
    here = this_machine(tmp_path)
    assert parse_buddyinfo(here.text)[0, "DMA32"] == COUNTS
    assert here.words.startswith("This machine has no /proc/buddyinfo to read (")
    assert reason in here.words
    assert here.words.endswith("Here is that of the captured machine.")
