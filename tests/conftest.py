"""What all tests share: the options, the browser where there is one, and what verify says of each capture."""

import io
import json
import os
import shutil
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pagelab.cli import main
from pagelab.real.capture import EXAMPLES

CAPTURES = Path(os.environ.get("PAGELAB_CAPTURES") or EXAMPLES)
HOW_TO_GET_ONE = "no Chromium found: install one (Debian: apt-get install chromium) or name one in PAGELAB_CHROMIUM, and run again"


def find_chromium() -> str | None:
    """The browser to test with: what PAGELAB_CHROMIUM names, else the first of the usual names on PATH."""
    named = os.environ.get("PAGELAB_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, names)), None)


def browser_is_required() -> bool:
    return os.environ.get("PAGELAB_REQUIRE_BROWSER", "0") not in ("", "0")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; a failure where one is required and missing. Tests that use it are marked `browser`."""
    return find_chromium() or pytest.fail(HOW_TO_GET_ONE)


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the long tests too")


def left_out(item) -> bool:
    if item.get_closest_marker("soak") and not item.config.getoption("--soak"):
        return True
    return bool(item.get_closest_marker("browser")) and not find_chromium() and not browser_is_required()


def pytest_collection_modifyitems(config, items):
    deselected = [item for item in items if left_out(item)]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


def pytest_terminal_summary(terminalreporter):
    if not find_chromium() and not browser_is_required():
        terminalreporter.write_line(f"Browser tests left out, {HOW_TO_GET_ONE}.")


def captures() -> list[Path]:
    """The captures to test with: the folders in PAGELAB_CAPTURES, else the slices that come with pagelab."""
    found = sorted(path for path in CAPTURES.iterdir() if any(path.glob("*.kpageflags*")))
    if not found:
        raise pytest.UsageError(f"PAGELAB_CAPTURES: no folder in {CAPTURES} holds a kpageflags")
    return found


@pytest.fixture(params=captures(), ids=lambda path: path.name)
def capture_path(request) -> Path:
    """Each of the captures in turn."""
    return request.param


@cache
def verified(path: Path) -> tuple[int, dict[str, Any]]:
    """Run `pagelab verify --json` on a capture, once for all tests; return the exit code and the element."""
    with redirect_stdout(io.StringIO()) as out:
        code = main(["verify", "--json", str(path)])
    (element,) = json.loads(out.getvalue())
    return code, element


@pytest.fixture
def capture_copy(tmp_path) -> Path:
    """A capture to change: a copy of 61-buddy-256M-1cpu, snapshot S0."""
    return shutil.copytree(EXAMPLES / "61-buddy-256M-1cpu", tmp_path / "61-buddy-256M-1cpu")


def pytest_report_header() -> str:
    kind = "slices that come with pagelab (set PAGELAB_CAPTURES for more)" if CAPTURES == EXAMPLES else str(CAPTURES)
    return f"captures: {len(captures())}, {kind}"
