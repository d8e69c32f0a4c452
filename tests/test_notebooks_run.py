"""Every notebook runs to its end as it is shipped, and again with its solutions given as the answers."""

import ast
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# What the output of a check says. The one place that knows these words.
NOT_ANSWERED, RIGHT = "Not answered yet", "Right"

SECONDS_A_CELL = 60


@pytest.fixture
def run(tmp_path):
    """Run a notebook in a folder of its own, so that no run sees the progress of another."""

    def run(path, answered):
        folder = tmp_path / "notebooks"
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".*", "progress*"))
        notebook = nbformat.read(path, as_version=4)
        if answered:
            for n, solution in solutions(notebook).items():
                for cell in notebook.cells:
                    cell.source = re.sub(rf"^answer_{n} = None$", f"answer_{n} = {solution!r}", cell.source, flags=re.M)
        client = NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
        return client.execute()

    return run


def solutions(notebook):
    """{n: the literal that solution_n is bound to}."""
    bound = (re.match(r"#[^\n]*\nsolution_(\d+) = (.*)", c.source, re.DOTALL) for c in notebook.cells if c.cell_type == "code")
    return {int(match[1]): ast.literal_eval(match[2]) for match in bound if match}


def said(cell):
    """All that a cell's outputs say as text: printed, plain, HTML or Markdown."""
    data = [output.get("data", {}) for output in cell.outputs]
    shown = [bundle.get(kind, "") for bundle in data for kind in ("text/plain", "text/html", "text/markdown")]
    return "\n".join([*(output.get("text", "") for output in cell.outputs), *shown])


def verdicts(notebook):
    """{n: what the cells that use answer_n say}."""
    return {
        n: "\n".join(said(c) for c in notebook.cells if c.cell_type == "code" and re.search(rf"\banswer_{n}\b", c.source))
        for n in solutions(notebook)
    }


@pytest.mark.parametrize("answered", [False, True], ids=["as shipped", "solved"])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_every_check_gives_its_verdict(path, answered, run):
    notebook = run(path, answered)
    errors = [output for cell in notebook.cells for output in cell.get("outputs", ()) if output.output_type == "error"]
    assert not errors
    expected = RIGHT if answered else NOT_ANSWERED
    assert {n: text for n, text in verdicts(notebook).items() if expected not in text} == {}


# Given every answer that a belief would give, each graded field names that belief. Typed into the fields of the notebook itself.
BELIEFS = """
import json
from pagelab.lab.question import write_answer
from pagelab.lab.variant import VARIANTS
said = []
for field in fields:
    truth = {part: question.truth() for part, question in field.questions.items()}
    for part, question in field.questions.items():
        seen = [truth[part]]
        for variant in VARIANTS:
            answer = variant.answer(question)
            if answer is None or answer in seen:
                continue
            seen.append(answer)
            for other, text in field.fields.items():
                text.value = write_answer(answer if other == part else truth[other])
            field.grade()
            said.append([field.name, variant.name, field.last.variant, field.last.state, variant.message(question) in field.last.text])
print(json.dumps(said))
"""


def test_each_belief_is_met_by_name(tmp_path):
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for cell in code:
            cell.source = re.sub(r"^(check|predict)\(", r"fields += [\1(", cell.source, flags=re.M)
            if cell.source.startswith("fields += [") or "\nfields += [" in cell.source:
                cell.source += "]"
        code[0].source += "\nfields = []"
        notebook.cells.append(nbformat.v4.new_code_cell(BELIEFS))
        folder = tmp_path / path.stem
        folder.mkdir()
        client = NotebookClient(notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
        client.execute()
        said = json.loads("".join(output.text for output in notebook.cells[-1].outputs))
        assert said
        for name, belief, met, state, message in said:
            assert (met, state, message) == (belief, "not yet", True), (path.stem, name, belief, met, state)
