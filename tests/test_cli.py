"""The command: what it prints, where, and with which exit code."""

import json
import subprocess
import sys
import types

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


def test_run_tells_a_run_in_words(capsys):
    assert main(["run", "alloc 0 x2; free @1; alloc 4", "--pages", "16"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("step")] == [
        "step 0: alloc 0",
        "step 1: alloc 0",
        "step 2: free @1",
        "step 3: alloc 4",
    ]
    assert lines[1] == "  A request of order 0 takes 0 off list 4 and splits it 4 times. The caller receives page 0."
    assert "the request is refused" in out
    assert lines[-5:] == ["15 of 16 pages are free.", "  M0: 1", "  M1: 2", "  M2: 4", "  M3: 8"]
    assert err == ""


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["alloc 0"], "15 of 16 pages are free."),
        (["alloc 0", "--pages", "32"], "31 of 32 pages are free."),
        (["alloc 0", "--pages", "4 MiB"], "1,023 of 1,024 pages are free."),
        (["", "--pages=17"], "17 of 17 pages are free."),
    ],
)
def test_run_takes_pages_or_a_size(words, last, capsys):
    assert main(["run", *words]) == 0
    assert last in capsys.readouterr().out.splitlines()


def test_the_example_of_the_help_runs(capsys):
    assert main(["run", "alloc 0 x16; free @1", "--pages", "16"]) == 0
    assert capsys.readouterr().out.endswith("1 of 16 pages are free.\n  M0: 1\n")


@pytest.mark.parametrize(
    ("requests", "problem", "word"),
    [
        ("alloc 0; spam 1", "'spam' is no request", "spam"),
        ("alloc 0; alloc 11", "order 11 does not exist: give 0..10", "11"),
        ("alloc 0; free 3", "cannot free pfn 3", "3"),
        ("alloc 5; free @0", "request 0 was refused and received no page", "@0"),
    ],
)
def test_run_points_at_a_wrong_word(requests, problem, word, capsys):
    assert main(["run", requests]) == 2
    out, err = capsys.readouterr()
    first, shown, pointer = err.splitlines()
    assert (out, problem in first) == ("", True)
    assert first.startswith("pagelab run: ")
    assert shown[pointer.index("^") : pointer.rindex("^") + 1] == word


@pytest.mark.parametrize("pages", ["0", "-1", "x", "", "1.5", "5 KB", "3 B", "²", "99999999999 TiB"])
def test_run_says_what_is_wrong_with_the_pages(pages, capsys):
    assert main(["run", "alloc 0", f"--pages={pages}"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("pagelab run: ")


def test_run_needs_its_requests():
    done = run("run")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "requests" in done.stderr.lower()


@pytest.fixture
def jupyter(tmp_path, monkeypatch):
    """What JupyterLab is asked, in a folder of its own."""
    asked = []
    lab = types.ModuleType("jupyterlab.labapp")
    lab.main = asked.append
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", lab)
    monkeypatch.chdir(tmp_path)
    return asked


def test_lab_copies_the_notebooks_and_passes_options_on(jupyter, tmp_path, capsys):
    assert main(["lab", "--no-browser", "--port=9000", "--ip", "0.0.0.0"]) == 0
    (arguments,) = jupyter
    assert arguments[0] == "pagelab-notebooks"
    assert arguments[-4:] == ["--no-browser", "--port=9000", "--ip", "0.0.0.0"]
    assert "--LabApp.default_url=/lab/tree/00-start-here.ipynb" in arguments
    assert (tmp_path / "pagelab-notebooks" / "00-start-here.ipynb").is_file()
    out = capsys.readouterr().out
    assert out.startswith("Copied: ")
    assert out.endswith(f"The notebooks are in {tmp_path / 'pagelab-notebooks'}.\n")


def test_lab_keeps_what_the_learner_changed_and_says_so(jupyter, tmp_path, capsys):
    main(["lab"])
    mine = tmp_path / "pagelab-notebooks" / "01-split-a-block.ipynb"
    mine.write_text("mine")
    capsys.readouterr()
    assert main(["lab"]) == 0
    assert mine.read_text() == "mine"
    assert "Kept as you changed them: 01-split-a-block.ipynb." in capsys.readouterr().out


def test_lab_that_cannot_copy_is_one_sentence(jupyter, tmp_path, capsys):
    (tmp_path / "pagelab-notebooks").write_text("a file")
    assert main(["lab"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), jupyter) == ("", 1, [])
    assert err.startswith("pagelab lab: pagelab-notebooks is not a folder")


def test_lab_without_jupyterlab_is_one_sentence(jupyter, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    assert main(["lab"]) == 2
    assert capsys.readouterr().err == "pagelab lab: JupyterLab is not installed here: python -m pip install jupyterlab\n"


@pytest.mark.parametrize("words", [["run", "alloc 0", "--port=9000"], ["verify", "x", "--no-browser"]])
def test_only_lab_passes_options_on(words):
    done = run(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_help_names_every_subcommand():
    told = run("--help").stdout
    assert [name for name in ("lab", "run", "capture", "verify") if f"\n    {name} " not in told] == []
    assert 'pagelab run "alloc 0 x16; free @1" --pages 16' in told


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
