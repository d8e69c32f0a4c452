"""Every notebook runs to its end as it is shipped, and again with its solutions given as the answers."""

import ast
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# What the output of a check says. The one place that knows these words.
NOT_ANSWERED, RIGHT = "Not answered yet", "Right"

SECONDS_A_CELL = 60


# Given every answer that a belief would give, each graded field names that belief. Typed into the fields of the notebook itself.
FIELDS = """
from pagelab.view.answer import Field
fields = [shown for shown in Out.values() if isinstance(shown, Field)]
"""
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


class Ran(NamedTuple):
    """A notebook after its run: its cells as shipped, the same with the solutions given, and what was said of the answers of beliefs."""

    shipped: NotebookNode
    solved: NotebookNode
    beliefs: NotebookNode


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def ran(request, tmp_path_factory):
    """Run a notebook in a folder and a kernel of its own: as it is shipped, and then on with answers."""
    shipped = nbformat.read(request.param, as_version=4)
    parts = Ran(shipped, with_solutions(shipped), new_notebook(cells=[new_code_cell(BELIEFS)]))
    folder = tmp_path_factory.mktemp(request.param.stem) / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".*", "progress*"))
    whole = new_notebook(cells=[*shipped.cells, new_code_cell(FIELDS), *parts.solved.cells, *parts.beliefs.cells])
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(whole, timeout=SECONDS_A_CELL, kernel_name="python3", allow_errors=True, resources=resources).execute()
    return parts


def with_solutions(notebook):
    """Return the cells with answer_n = solution_n, to be run in the same kernel again: as much of each as can come out otherwise then.

    That is what uses an answer, or a name that was bound with one, and what binds a name that the notebook binds more than once, so that
    each cell finds it as the reader of that place would. progress() shows what was answered.
    """
    bound, found = solutions(notebook), new_notebook()
    pieces = [ast.parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    times = Counter(name for piece in pieces for name in names(piece, ast.Store))
    reached = {"progress", *(f"answer_{n}" for n in bound)}
    for piece in pieces:
        again = []
        for part in piece.body:
            binds, uses = names(part, ast.Store), names(part, ast.Load)
            reached |= binds if reached & uses else set()
            if reached & (binds | uses) or any(times[name] > 1 for name in binds):
                again.append(ast.unparse(part))
        source = "\n".join(again)
        for n, solution in bound.items():
            source = re.sub(rf"^answer_{n} = None$", f"answer_{n} = {solution!r}", source, flags=re.M)
        found.cells.append(new_code_cell(source))
    return found


def names(tree, context):
    """The names that a piece of code binds (ast.Store) or uses (ast.Load)."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def solutions(notebook):
    """{n: the literal that solution_n is bound to}."""
    bound = (re.match(r"#[^\n]*\nsolution_(\d+) = (.*)", c.source, re.DOTALL) for c in notebook.cells if c.cell_type == "code")
    return {int(match[1]): ast.literal_eval(match[2]) for match in bound if match}


def said(cell):
    """All that a cell's outputs say as text: printed, plain, HTML or Markdown."""
    data = [output.get("data", {}) for output in cell.outputs]
    shown = [bundle.get(kind, "") for bundle in data for kind in ("text/plain", "text/html", "text/markdown")]
    return "\n".join([*(output.get("text", "") for output in cell.outputs), *shown])


def verdicts(notebook, answers):
    """{n: what the cells that use answer_n say}."""
    return {
        n: "\n".join(said(c) for c in notebook.cells if c.cell_type == "code" and re.search(rf"\banswer_{n}\b", c.source)) for n in answers
    }


@pytest.mark.parametrize(("part", "expected"), [("shipped", NOT_ANSWERED), ("solved", RIGHT)], ids=["as shipped", "solved"])
def test_it_runs_and_every_check_gives_its_verdict(ran, part, expected):
    notebook = getattr(ran, part)
    assert errors(notebook) == []
    assert {n: text for n, text in verdicts(notebook, solutions(ran.shipped)).items() if expected not in text} == {}


def errors(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [f"{output.ename}: {output.evalue}" for output in outputs if output.output_type == "error"]


def test_each_belief_is_met_by_name(ran):
    assert errors(ran.beliefs) == []
    said = json.loads("".join(output.text for output in ran.beliefs.cells[0].outputs))
    assert said
    for name, belief, met, state, message in said:
        assert (met, state, message) == (belief, "not yet", True), (name, belief, met, state)
