"""The form of every notebook: how it begins and ends, how it asks, and what is never stored in it."""

import ast
import re
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

CELL_LINES, MEDIAN_LINES = 12, 3
SECTIONS = ("In the kernel", "What you saw", "On your own")
LOOPS_AND_FUNCTIONS = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.AsyncFor, ast.While),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
# Words of teaching and not of fact; an exclamation mark is one too, but not in code, a link or an image.
NOT_OUR_VOICE = re.compile(r"\b(simply|just|obviously|powerful|magic|under the hood)\b|(?<=\w)!(?=\s|$)", re.IGNORECASE)
LINK = re.compile(r"\]\(([^)\s#]+\.ipynb)[^)]*\)")

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def prose(path):
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def without_code(text):
    return re.sub(r"```.*?```|`[^`]*`", " ", text, flags=re.DOTALL)


def code(path):
    """Each code cell with its syntax tree."""
    return [(cell, ast.parse(cell.source)) for cell in cells(path, "code")]


def bindings(path, word):
    """{n: (cell, value)} of the cells that bind answer_n, or solution_n."""
    return {
        int(match[1]): (cell, node.value)
        for cell, tree in code(path)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if (match := re.fullmatch(word + r"_(\d+)", node.targets[0].id))
    }


def verify_stripped(*paths):
    """Ask nbstripout whether notebooks are stored stripped."""
    command = [sys.executable, "-m", "nbstripout", "--keep-id", "--verify", *map(str, paths)]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.fixture(scope="module")
def all_are_stripped():
    """Whether all notebooks are: one process says so of all of them."""
    return verify_stripped(*NOTEBOOKS).returncode == 0


def test_it_is_stored_stripped(path, all_are_stripped):
    if not all_are_stripped:
        done = verify_stripped(path)
        assert done.returncode == 0, done.stdout.decode()
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert not [c.id for c in notebook.cells if c.cell_type == "code" and (c.outputs or c.execution_count is not None)]


def test_every_cell_has_an_id_and_a_text(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    ids = [cell.get("id") for cell in notebook.cells]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert not [cell.id for cell in notebook.cells if not cell.source.strip()]


def test_it_says_its_line_and_its_minutes(path):
    about = nbformat.read(path, as_version=4).metadata["pagelab"]
    assert about["line"].endswith((".", "?"))
    assert len(about["line"]) <= 100
    assert 15 <= about["minutes"] <= 60


def test_it_begins_with_what_you_will_do_learn_and_need(path):
    first, *rest = cells(path, "markdown")[:2]
    assert re.match(r"# [^\n]+\n", first.source)
    top = first.source + "".join(cell.source for cell in rest)
    places = [top.find(words) for words in ("You will**", "You will learn**", "You need**")]
    assert -1 not in places
    assert places == sorted(places)
    assert "minutes" in top


def test_it_has_the_sections_of_every_notebook(path):
    headings = re.findall(r"^#+ (.+?)\s*$", prose(path), re.MULTILINE)
    assert [section for section in SECTIONS if section not in headings] == []
    assert sum(cell.source.startswith("# ") for cell in cells(path, "markdown")) == 1
    if "In the thread" in headings:
        section = re.split(r"^#+ In the thread\s*$", prose(path), flags=re.MULTILINE)[1].split("\n#")[0]
        assert "http" in section or re.search(r"<[^<>\s]+@[^<>\s]+>", section), "a Message-ID or a link"


def test_code_cells_are_short_and_prose_is_longer(path):
    lengths = [len(cell.source.splitlines()) for cell in cells(path, "code")]
    assert max(lengths) <= CELL_LINES
    assert statistics.median(lengths) <= MEDIAN_LINES
    words_of_code = sum(len(cell.source.split()) for cell in cells(path, "code"))
    assert len(prose(path).split()) > words_of_code


def test_it_contains_no_function_no_loop_and_no_input(path):
    for cell, tree in code(path):
        for node in ast.walk(tree):
            assert not isinstance(node, LOOPS_AND_FUNCTIONS), cell.source
            assert not (isinstance(node, ast.Name) and node.id == "input"), cell.source
            assert not (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"), cell.source


def test_it_imports_in_its_first_code_cell(path):
    importing = [any(isinstance(n, ast.Import | ast.ImportFrom) for n in tree.body) for _, tree in code(path)]
    assert importing[0]
    assert not any(importing[1:])


def test_each_answer_is_open_and_has_a_folded_solution(path):
    answers, solutions = bindings(path, "answer"), bindings(path, "solution")
    assert sorted(answers) == sorted(solutions) == list(range(1, len(answers) + 1))
    for cell, value in answers.values():
        assert isinstance(value, ast.Constant), cell.source
        assert value.value is None, cell.source
    for cell, value in solutions.values():
        assert cell.metadata.get("jupyter", {}).get("source_hidden") is True, cell.source
        assert ast.literal_eval(value) is not None, cell.source
        assert len(ast.parse(cell.source).body) == 1, cell.source
        assert cell.source.startswith("#"), "JupyterLab shows the first line of a folded cell"


def test_each_answer_is_checked_after_it_is_asked(path):
    sources = [cell.source for cell in cells(path, "code")]
    for n, (cell, _) in bindings(path, "answer").items():
        asked = sources.index(cell.source)
        assert [s for s in sources[asked:] if len(re.findall(rf"\banswer_{n}\b", s)) > (s == cell.source)], cell.source


def test_links_lead_to_notebooks_that_exist(path):
    links = LINK.findall(prose(path))
    assert not [link for link in links if "://" not in link and not (path.parent / link).is_file()]


def test_its_foot_leads_to_the_next_and_the_previous(path):
    foot, here = LINK.findall(cells(path, "markdown")[-1].source), NOTEBOOKS.index(path)
    neighbours = [NOTEBOOKS[n].name for n in (here - 1, here + 1) if 0 <= n < len(NOTEBOOKS)]
    assert foot == neighbours


def test_it_keeps_to_the_voice(path):
    assert not [match[0] for match in NOT_OUR_VOICE.finditer(without_code(prose(path)))]
