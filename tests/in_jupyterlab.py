"""A real JupyterLab in a real browser: start it, open and run notebooks, and read what they show."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
START_SECONDS, OPEN_SECONDS, RUN_SECONDS, STEP_SECONDS = 90, 60, 90, 30

# Nothing of the reader's own settings, kernels or extensions may change what is tested.
FOLDERS = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
SETTINGS = {"notification": {"fetchNews": "false", "checkForUpdates": False}}


class Server(NamedTuple):
    """A JupyterLab that runs: where it is, and the folder whose notebooks it serves."""

    url: str
    token: str
    folder: Path


@contextmanager
def server(scratch: Path) -> Iterator[Server]:
    """Run JupyterLab on a copy of the notebooks below `scratch`; it chooses a free port itself."""
    folder, runtime, log = scratch / "notebooks", scratch / "jupyter_runtime_dir", scratch / "log.txt"
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns(".*", "progress*"))
    for name, values in SETTINGS.items():
        path = scratch / "settings" / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    own = {name: str(scratch / name.lower()) for name in FOLDERS}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    command += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    command += [f"--LabApp.user_settings_dir={scratch / 'settings'}", f"--LabApp.workspaces_dir={scratch / 'workspaces'}"]
    with log.open("w") as said, subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | own) as process:
        try:
            known = _told(runtime, process, log)
            yield Server(known["url"], known["token"], folder)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def _told(runtime: Path, process: subprocess.Popen[bytes], log: Path) -> Any:
    """What the server writes about itself once it listens."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        for path in runtime.glob("jpserver-*.json"):
            with suppress(ValueError):
                return json.loads(path.read_text())
        time.sleep(0.05)
    return pytest.fail(f"JupyterLab did not start within {START_SECONDS} s:\n{log.read_text()[-3000:]}")


@contextmanager
def browser(chromium: str) -> Iterator[BrowserContext]:
    """Run a Chromium without a window; its pages are a reader's, 1,100 pixels wide."""
    quiet = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=quiet)
        context = running.new_context(viewport={"width": 1100, "height": 1000})
        context.set_default_timeout(STEP_SECONDS * 1000)
        yield context
        running.close()


def write_notebook(folder: Path, name: str, *cells: str) -> str:
    """Write a notebook of code cells and return its name."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / name)
    return name


def name_another_kernel(path: Path) -> None:
    """Let a notebook, outputs and all, ask for a kernel that is not installed here."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"name": "elsewhere", "display_name": "Elsewhere", "language": "elsewhere"}
    notebook.metadata.language_info = {"name": "elsewhere"}
    nbformat.write(notebook, path)


class Book:
    """A notebook that is open in a page of its own, with its kernel.

    Args:
        lab: the JupyterLab.
        context: the browser.
        name: of the notebook in its folder.
    """

    def __init__(self, lab: Server, context: BrowserContext, name: str) -> None:
        self.lab, self.page = lab, context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        self.page.goto(f"{lab.url}doc/tree/{name}?token={lab.token}", timeout=OPEN_SECONDS * 1000)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the notebook is there and its kernel answers."""
        there = "window.jupyterapp && jupyterapp.shell.currentWidget && !!jupyterapp.shell.currentWidget.sessionContext"
        self.page.wait_for_function(there, timeout=OPEN_SECONDS * 1000)
        ready = "await w.context.ready; await w.sessionContext.ready; await w.sessionContext.session.kernel.info"
        self.script(f"const w = jupyterapp.shell.currentWidget; {ready}", "starting the kernel", OPEN_SECONDS)

    def script(self, body: str, what: str, seconds: float = STEP_SECONDS) -> Any:
        """Run an asynchronous script in the page and return what it gives; a promise that is never kept ends in a failure."""
        start = f"() => {{ const run = window.testRun = {{}}; (async () => {{ {body} }})()"
        self.page.evaluate(f"{start}.then((value) => {{ run.done = [value]; }}, (error) => {{ run.failed = String(error); }}); }}")
        try:
            self.page.wait_for_function("window.testRun.done || window.testRun.failed", timeout=seconds * 1000, polling=50)
        except TookTooLong:
            pytest.fail(f"{what} took more than {seconds} s")
        if failed := self.page.evaluate("window.testRun.failed"):
            pytest.fail(f"{what}: {failed}")
        return self.page.evaluate("window.testRun.done[0]")

    def command(self, name: str, arguments: str = "{}", seconds: float = STEP_SECONDS) -> Any:
        """Run a command of JupyterLab."""
        return self.script(f"await jupyterapp.commands.execute('{name}', {arguments})", name, seconds)

    def run_all(self) -> float:
        """Run every cell; return the seconds it took."""
        begin = time.monotonic()
        self.command("notebook:run-all-cells", seconds=RUN_SECONDS)
        return time.monotonic() - begin

    def run_cell(self, index: int) -> None:
        """Run one cell, counted from 0 among all cells."""
        self.page.evaluate("(i) => { jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index)
        self.command("notebook:run-cell", seconds=RUN_SECONDS)

    def cells(self) -> list[dict[str, Any]]:
        """The cells as JupyterLab has them now, with their outputs."""
        return list(self.page.evaluate("jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"))

    def error_outputs(self) -> list[str]:
        """What went wrong in a cell."""
        outputs = [output for cell in self.cells() for output in cell.get("outputs", ())]
        return [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]

    def python(self, expression: str) -> str:
        """The value of an expression in the kernel, as its repr."""
        request = f"kernel.requestExecute({{code: '', store_history: false, user_expressions: {{asked: {json.dumps(expression)}}}}})"
        asked = f"const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel; return (await {request}.done).content"
        answer = self.script(asked, expression)["user_expressions"]["asked"]
        assert answer["status"] == "ok", answer
        return str(answer["data"]["text/plain"])

    def in_front(self) -> "Book":
        """Bring the page to the front, as far as it is not: a page behind another draws one frame a second."""
        self.page.bring_to_front()
        return self

    def save(self) -> None:
        """Save the notebook."""
        self.command("docmanager:save")

    def reload(self) -> None:
        """Reload the page; the kernel lives on."""
        self.page.reload(timeout=OPEN_SECONDS * 1000)
        self.wait_for_kernel()

    def restart_kernel(self) -> None:
        """Restart the kernel, as the button does once its question is answered."""
        self.script("await jupyterapp.shell.currentWidget.sessionContext.restartKernel()", "restarting the kernel", OPEN_SECONDS)

    def end_kernel(self) -> None:
        """Shut the kernel down."""
        self.script("await jupyterapp.shell.currentWidget.sessionContext.shutdown()", "shutting the kernel down", OPEN_SECONDS)

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        self.end_kernel()
        self.page.close()

    def set_theme(self, name: str) -> None:
        """Change the theme of JupyterLab: "light" or "dark"."""
        self.command("apputils:change-theme", json.dumps({"theme": f"JupyterLab {name.title()}"}))
        self.page.wait_for_function(f"document.body.dataset.jpThemeLight === '{str(name == 'light').lower()}'")

    def unfold(self) -> None:
        """Make the page so high that every cell is on it.

        JupyterLab's body is 0 pixels high and hides what overflows, so that axe takes all words for hidden and judges none of them.
        """
        self.page.set_viewport_size({"width": 1100, "height": 8000})
        self.page.evaluate("document.body.style.height = '100vh'; window.dispatchEvent(new Event('resize'))")

    def source(self, name: str) -> dict[str, list[Any]]:
        """The columns that the figure shown last has under this name, in the browser."""
        found = f"Bokeh.documents.map((d) => d.get_model_by_name('{name}')).filter((m) => m).pop()"
        as_lists = "Object.fromEntries(Object.entries(model.data).map(([k, v]) => [k, Array.from(v)]))"
        return dict(self.page.evaluate(f"() => {{ const model = {found}; return model ? {as_lists} : {{}}; }}"))


def eventually(page: Page, check: Callable[[], bool], what: str, seconds: float = STEP_SECONDS) -> None:
    """Wait until `check` is true, or fail and say what did not come about."""
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            pytest.fail(f"after {seconds} s still not so: {what}")
        page.wait_for_timeout(30)


# Two canvases to a figure, in shadow roots that locators see through. Settled: the same for some frames in a row.
_SETTLED = """async (canvases) => {
  const frame = () => new Promise((go) => requestAnimationFrame(go));
  const look = () => canvases.map((canvas) => canvas.toDataURL()).join();
  let last = look(), same = 0;
  for (let frames = 0; same < 8 && frames < 300; frames++) {
    await frame();
    const now = look();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}"""


def pixels(figure: Locator) -> str:
    """A digest of what a figure shows, once it no longer changes."""
    figure.locator("canvas").first.wait_for()
    return sha256(figure.locator("canvas").evaluate_all(_SETTLED).encode()).hexdigest()[:12]


# The first frame after a click in which the canvas differs, and the last one before it rests; in milliseconds.
_CLICKED = """async (button, canvas) => {
  const frame = () => new Promise((go) => requestAnimationFrame(go));
  const look = () => {
    const data = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    let sum = 0;
    for (let i = 0; i < data.length; i++) sum = (sum * 31 + data[i]) | 0;
    return sum;
  };
  let last = look(), first = null, end = null;
  const begin = performance.now();
  button.click();
  while (performance.now() - (end ?? begin + 5000) - begin < 300) {
    await frame();
    const now = look();
    if (now === last) continue;
    last = now;
    end = performance.now() - begin;
    first ??= end;
  }
  return first === null ? null : [first, end];
}"""


def click_to_pixels(button: Locator, figure: Locator) -> tuple[float, float]:
    """Milliseconds from a click to the first changed pixels of a figure, and to the last."""
    taken = button.evaluate(_CLICKED, figure.locator("canvas").first.element_handle())
    assert taken, "a click changed no pixel within 5 s"
    return taken[0], taken[1]
