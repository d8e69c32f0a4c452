"""The rules of the house: who may import whom, how long things are, what is said about them, what is never written."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pagelab"
MODULES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))

# Who may import whom. A module may import every module that stands above it here, and none below it.
TABLE = {
    "mm/": (
        "__init__ units per_cpu_pages zone act free_set page_alloc fallback page_isolation pcp fragmentation compaction gfp watermark call "
        "zonelist kernels allocator machine boot slab_layout slab_common percpu_sheaves sheaf_act slab slab_check slab_act slab_call "
        "free_pointer slub slab_debug sheaf slab_rules slab_machine slab_bulk two_words struct_page free_state memmap dax sg"
    ),
    "lab/": (
        "__init__ request tape scenario slab_usage extfrag machine_caption sheaf_caption slab_caption slab_summary caption form "
        "trace_question slab_question question stand_in belief buddy_beliefs machine_beliefs trace_beliefs object_beliefs slab_beliefs "
        "variant slab_reason reason exercise progress task slab_task"
    ),
    "real/": (
        "__init__ archive proc slabinfo capture flags trace ahead learning buddy counts percpu replay backwards recording picks slab "
        "slab_trace verify"
    ),
    "view/": (
        "palette drawing layout texture columns summary words page_map notes free_lists per_cpu_lists watermark_bars ladder strip stage "
        "difference sheaf_rows slab_columns cache_usage freelist_arrows slab_map slot_bytes cache_lists slab_stage style live_figure panel "
        "scores stepper player slab_player slot_panel slabinfo_table slab_shapes word_table lock_step slab_lock_step answer live_task "
        "real_map __init__"
    ),
    "": "course cli __main__",
}
ORDER = ["__init__"] + [room + name for room, names in TABLE.items() for name in names.split()]

# What each room may import from outside; every room may import the standard library and nothing else.
OUTSIDE = {
    "mm": {"numpy"},
    "lab": {"numpy"},
    "real": {"numpy"},
    "view": {"numpy", "bokeh", "ipywidgets", "jupyter_bokeh", "IPython"},
    "course": {"jupyterlab"},
    "cli": set(),
    "__main__": set(),
    "__init__": set(),
}
FRONT_ENDS = ("bokeh", "ipywidgets", "jupyter_bokeh", "IPython")

MODULE_LINES, FUNCTION_LINES = 250, 40

WRITTEN_BY_US = [
    path
    for top in ("pagelab", "tests", "notebooks", "binder", ".ci", "README.md", "Makefile", "pyproject.toml")
    for path in sorted([ROOT / top, *(ROOT / top).rglob("*")])
    if path.suffix in (".py", ".md", ".toml", ".ipynb", ".yml", ".txt", "") and path.is_file()
    if "__pycache__" not in path.parts and ".ipynb_checkpoints" not in path.parts and path.stat().st_size < 400_000
]


@cache
def source(module: str) -> str:
    return (PACKAGE / f"{module}.py").read_text(encoding="utf-8")


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(source(module))


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Every name a module imports, dotted and absolute, with its line; those of functions too."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ["pagelab", *module.split("/")][: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def inside(name: str) -> str:
    """The module of ours that a dotted name means: pagelab.mm.zone.Zone is mm/zone, pagelab.view.play view/__init__."""
    parts = name.split(".")[1:]
    while "/".join(parts) not in MODULES and "/".join([*parts, "__init__"]) not in MODULES:
        parts.pop()
    return "/".join(parts) if "/".join(parts) in MODULES else "/".join([*parts, "__init__"])


def test_every_module_has_its_place_in_the_table():
    assert not set(MODULES) - set(ORDER), "write these into TABLE, after all that they import"


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    above = ORDER[: ORDER.index(module)] if module in ORDER else []
    wrong = []
    for line, name in imports(module):
        package = name.split(".")[0]
        if package == "pagelab":
            if inside(name) not in above:
                wrong.append(f"line {line}: {name} does not stand above {module}")
        elif package not in sys.stdlib_module_names and package not in OUTSIDE[module.split("/")[0]]:
            wrong.append(f"line {line}: {name} is not for this room")
    assert not wrong


def test_the_model_comes_without_a_front_end():
    rooms = ("mm/", "lab/", "real/", "__init__", "course")
    names = ["pagelab." + module.replace("/", ".") for module in MODULES if module.startswith(rooms)]
    script = f"import {', '.join(names)}, sys; print([n for n in {FRONT_ENDS} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def docstring_lines(module: str) -> set[int]:
    """The lines of strings that stand alone as a statement."""
    alone = [n for n in ast.walk(tree(module)) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    return {line for n in alone if isinstance(n.value.value, str) for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}


@cache
def code_lines(module: str) -> frozenset[int]:
    """The lines that hold code: no docstrings, no comments, no blank lines."""
    empty = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(source(module)).readline)
    lines = {n for t in tokens if t.type not in empty for n in range(t.start[0], t.end[0] + 1)}
    return frozenset(lines - docstring_lines(module))


def functions(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree(module)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_are_short(module):
    long = [f"the module: {len(code_lines(module))}"] if len(code_lines(module)) > MODULE_LINES else []
    for function in functions(module):
        own = sum(function.lineno <= line <= (function.end_lineno or 0) for line in code_lines(module))
        if own > FUNCTION_LINES:
            long.append(f"{function.name}: {own}")
    assert not long, f"at most {MODULE_LINES} and {FUNCTION_LINES} lines of code"


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Public functions and classes, and the public methods of public classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_says_what_it_is(module):
    silent = [name for name, node in public(tree(module).body) if not ast.get_docstring(node)]
    if not module.endswith("__init__") and not ast.get_docstring(tree(module)):
        silent.append("the module")
    assert not silent


def missing_parts(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    told, given = ast.get_docstring(function) or "", function.args
    gives = not (isinstance(function.returns, ast.Constant) and function.returns.value is None)
    has_arguments = bool(given.posonlyargs or given.args or given.kwonlyargs or given.vararg or given.kwarg)
    wanted = {"Args:": has_arguments, "Returns:": has_arguments and gives, ">>>": True}
    return [part for part, needed in wanted.items() if needed and part not in told]


@pytest.mark.parametrize("module", [module for module in MODULES if module.split("/")[0] in ("mm", "lab", "real")])
def test_functions_say_what_they_take_and_give_and_show_it(module):
    top = [node for _, node in public(tree(module).body) if node in tree(module).body]
    found = {n.name: missing_parts(n) for n in top if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not {name: parts for name, parts in found.items() if parts}


# Written so that no pattern finds itself.
NEVER = [
    (r"\bTO[D]O\b|\bFIX[M]E\b|\bX[X]X\b", "unfinished work is an issue, not a comment"),
    (r"\bNotImplemented[E]rror\b", "what is not there is not offered"),
    (r"\bassert\s+True\b", "a test that cannot fail"),
    (r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b|unittest\.skip", "a test runs or is not there"),
    (r"(?<![\w.<])/(?:work|root|home|Users|opt|tmp)/", "a path of one machine"),
]


@pytest.mark.parametrize("path", WRITTEN_BY_US, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_written_that_never_is(path):
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [
        f"line {n}: {line.strip()[:90]} ({why})" for n, line in enumerate(lines, 1) for pattern, why in NEVER if re.search(pattern, line)
    ]
    assert not found


def test_the_readme_names_every_make_target():
    makefile, readme = (ROOT / "Makefile").read_text(encoding="utf-8"), (ROOT / "README.md").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony, "the Makefile lists its targets as .PHONY"
    assert not [target for target in phony[1].split() if f"`make {target}" not in readme]
