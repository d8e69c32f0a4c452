"""The command: what it prints, where, and with which exit code."""

import json
import subprocess
import sys

import pytest

from pagelab import __version__
from pagelab.cli import main


def run(*words):
    """Run the command as another process, as a learner does."""
    return subprocess.run([sys.executable, "-m", "pagelab", *words], capture_output=True, text=True, check=False)


def test_version_and_help():
    assert (run("--version").stdout, run("--version").returncode) == (f"pagelab {__version__}\n", 0)
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "example:\n  pagelab " in done.stdout


def test_version_needs_nothing_heavy():
    script = "import sys, pagelab.cli; print({'numpy', 'bokeh', 'ipywidgets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize(
    "words",
    [[], ["verify"], ["nonsense"], ["verify", "--nonsense", "x"], ["capture"], ["verify", "no-such-capture"]],
)
def test_bad_input_is_one_line_on_stderr(words):
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("pagelab")


def test_verify_prints_the_rows(capture_copy, capsys):
    assert main(["verify", str(capture_copy)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("61-buddy-256M-1cpu, kernel 6.1: 2 of 2 zone snapshots exact\n")
    assert err == ""


def test_json_is_one_array_in_the_order_given(capture_copy, capsys):
    missing = str(capture_copy.parent / "no-such-capture")
    assert main(["verify", f"{capture_copy}/", missing, str(capture_copy), "--json"]) == 2
    out, err = capsys.readouterr()
    good, unreadable, again = json.loads(out)
    assert good == again
    assert unreadable == {"capture": "no-such-capture", "error": unreadable["error"]}
    assert "there is no such file or folder" in unreadable["error"]
    assert (good["capture"], good["kernel"], len(good["snapshots"])) == ("61-buddy-256M-1cpu", "6.1", 2)
    assert err == ""


def test_one_unreadable_capture_does_not_hide_the_others(capture_copy, capsys):
    missing = str(capture_copy.parent / "no-such-capture")
    assert main(["verify", missing, str(capture_copy)]) == 2
    out, err = capsys.readouterr()
    assert "2 of 2 zone snapshots exact" in out
    assert err.startswith(f"pagelab verify: {missing}: there is no such file")


def test_an_error_inside_a_capture_names_both(capture_copy, capsys):
    (capture_copy / "S0.buddyinfo.pre").write_text("Node 0, zone DMA 1\n")
    assert main(["verify", str(capture_copy)]) == 2
    assert f"{capture_copy}: S0.buddyinfo.pre line 1: 1 columns; expected 11" in capsys.readouterr().err


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_wrong_is_1_and_nothing_to_check_is_2(capture_copy, capsys, json_too):
    for when in ("pre", "post"):
        path = capture_copy / f"S0.buddyinfo.{when}"
        path.write_text(path.read_text().replace("29 \n", "30 \n"))
    assert main(["verify", str(capture_copy), *json_too]) == 1
    (capture_copy / "S0.zoneinfo").unlink()
    assert main(["verify", str(capture_copy), *json_too]) == 2
    assert "zoneinfo is missing" in capsys.readouterr().out


def test_every_capture_is_right(capture_path, capsys):
    assert main(["verify", "--json", str(capture_path)]) == 0
    (element,) = json.loads(capsys.readouterr().out)
    assert element["capture"] == capture_path.name
    assert {row["torn"] for row in element["snapshots"] if not row["buddyinfo_exact"]} <= {None, True}


def test_capture_refuses_a_folder_that_is_not_empty(capture_copy, capsys):
    assert main(["capture", str(capture_copy)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "is not empty" in err


def test_a_reader_that_has_gone_is_no_traceback(capture_copy):
    words = [sys.executable, "-m", "pagelab", "verify", *[str(capture_copy)] * 300]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
