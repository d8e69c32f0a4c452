"""What a reader meets: the notebooks and the player in a real JupyterLab and a real Chromium."""

import re
import statistics

import pytest
from axe_playwright_python.sync_playwright import Axe
from in_jupyterlab import NOTEBOOKS, Book, browser, click_to_pixels, eventually, name_another_kernel, pixels, server, write_notebook
from playwright.sync_api import Locator, expect

from pagelab.lab import scenario
from pagelab.lab.caption import captions
from pagelab.lab.tape import Tape
from pagelab.mm.machine import Machine
from pagelab.view.columns import moment, types_of
from pagelab.view.live_figure import MARGIN
from pagelab.view.lock_step import AT, TOP
from pagelab.view.palette import DARK, LIGHT
from pagelab.view.stage import arrange
from pagelab.view.summary import summary
from pagelab.view.words import sentence

pytestmark = pytest.mark.browser

# A page that is loaded again takes its widgets back from the kernel; on a busy machine this takes a while.
expect.set_options(timeout=30_000)

# What the panels are called and say. The one place that knows these words.
FIGURES = ("strip", "stage", "real-map", "real-lens", "lock-step")
STRIP, STAGE = re.compile("Free pages|Pages that the cache holds"), re.compile("Page map|A slab, the lists of its cache")
NOT_CONNECTED = "Not connected: run this cell again"
RIGHT, NOT_YET = re.compile("^Right"), re.compile("^Not yet")

RUN_IN_FULL = ("02-", "03-")
REQUESTS = "alloc 0 x16; free @1; free @2; free @3; free @0; alloc 3; alloc 1"
TAPE = scenario.text(REQUESTS, pages=16)
MERGE, MERGE_LABEL = (19, 4), "A: the last merge"
PLAYER = f"""
from pagelab.lab import scenario, task
from pagelab.view import attempt, play, predict, try_requests
player = play(scenario.text("{REQUESTS}", pages=16), goto={{"{MERGE_LABEL}": {MERGE}}})
player
"""
PREDICT = 'field = predict("T-P1", scenario.text("alloc 0", pages=16), "alloc 1", ask=["pfn"])\nfield'
TRUTH, WRONG = "2", "1"
REAL_MAP = 'from pagelab.real.capture import example\nfrom pagelab.view import page_map\npage_map(example(), "S0", "DMA32")'
WHOLE_MACHINE = """
from pagelab.lab.tape import Tape
from pagelab.mm.machine import machine
from pagelab.view import compare, play
whole = Tape(machine(2048, pcp=True, cpus=2, min_free_kbytes=400)).then("alloc 0 x6 reclaimable; free @0; free @1; alloc 0 cpu 1")
play(whole, start=8)
"""
TWO_KERNELS = """
requests = "alloc 0 x300; alloc 0 unmovable; free 5"
compare(*(Tape(machine(512, kernel)).then(requests) for kernel in ("6.1", "6.12")))
"""
TASK = 'live = attempt("T-T1", task.refuse_with_most_free())\nlive'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab for all these tests."""
    with server(tmp_path_factory.mktemp("jupyterlab")) as running:
        yield running


@pytest.fixture(scope="module")
def context(chromium):
    """A browser for all these tests."""
    with browser(chromium) as running:
        yield running


@pytest.fixture(scope="module")
def opened(lab, context):
    """Open a notebook of the folder, or one of the cells that are given; all are closed in the end."""
    books = []

    def opened(name, *cells):
        books.append(Book(lab, context, write_notebook(lab.folder, name, *cells) if cells else name))
        if cells:
            books[-1].run_all()
        return books[-1]

    yield opened
    for book in books:
        if not book.page.is_closed():
            book.close()


expect.set_options(timeout=20_000)


def player_in(book: Book, nth: int = 0) -> Locator:
    return book.page.locator(".pagelab-player").nth(nth)


def figure(player: Locator, name: re.Pattern[str]) -> Locator:
    return player.get_by_role("img", name=name)


def button(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name, exact=True)


def words_at(tape: Tape[Machine], k: int, act: int, by_act: bool = False) -> str:
    """What the player says there, taken from the model."""
    now = moment(tape, k, act)
    if now.end:
        return sentence(now)
    return summary(now.all).sentence if len(now.acts) == len(now.all) and not by_act else captions(now.all)[act].sentence


def expect_step(player: Locator, k: int, act: int = -1, by_act: bool = False, tape: Tape[Machine] = TAPE) -> None:
    """Wait until the player shows act `act` of request k in words."""
    expect(player).to_contain_text(f"step {k} of {len(tape)}")
    if k < len(tape):
        acts = len(tape.acts(k))
        expect(player).to_contain_text(f"act {act % acts + 1} of {acts}")
    expect(player.get_by_role("status")).to_contain_text(words_at(tape, k, act, by_act))


def pictures(player: Locator) -> tuple[str, str]:
    """What the strip and the stage show, once they rest."""
    return pixels(figure(player, STRIP)), pixels(figure(player, STAGE))


def expect_pictures(player: Locator, expected: tuple[str, str]) -> None:
    eventually(player.page, lambda: pictures(player) == expected, "the same pixels as before")


def expect_new_stage(player: Locator, before: tuple[str, str]) -> tuple[str, str]:
    """Wait until the stage differs from what it was; return what is shown then."""
    eventually(player.page, lambda: pictures(player)[1] != before[1], "other pixels in the page map than before")
    return pictures(player)


# The notebooks.


@pytest.mark.parametrize("name", [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
def test_a_notebook_runs_and_takes_a_step(name, opened, capsys):
    book = opened(name)
    first = next(i for i, cell in enumerate(book.cells()) if re.search(r"^(play|page_map)\(", cell["source"], re.MULTILINE))
    if name.startswith(RUN_IN_FULL):
        seconds = book.run_all()
        with capsys.disabled():
            print(f" Run All {seconds:.1f} s", end="")
    else:
        for i in [i for i, cell in enumerate(book.cells()[: first + 1]) if cell["cell_type"] == "code"]:
            book.run_cell(i)
    if player_in(book).count():
        player = player_in(book)
        button(player, "First").click()
        expect(player).to_contain_text("step 0 of")
        before = pictures(player)
        button(player, "Next").click()
        expect_new_stage(player, before)
    assert (book.error_outputs(), book.complaints) == ([], [])
    book.close()


# The player.


@pytest.fixture(scope="module")
def player_notebook(opened):
    return opened("player.ipynb", PLAYER, "None", PREDICT)


@pytest.fixture
def player_book(player_notebook):
    """A notebook with a player, a cell for its second display, and a field."""
    return player_notebook.in_front()


@pytest.fixture
def player(player_book):
    """A player at its start, by request."""
    player = player_in(player_book)
    button(player, "by request").click()
    button(player, "Reset").click()
    expect_step(player, 0, 0)
    return player


@pytest.fixture
def at_start(player):
    """What the player shows at its start."""
    return pictures(player)


def test_next_and_back_move_by_request(player, at_start):
    button(player, "Next").click()
    expect_step(player, 0)
    one = expect_new_stage(player, at_start)
    button(player, "Next").click()
    expect_step(player, 1)
    two = expect_new_stage(player, one)
    assert two[0] != one[0], "the strip marks the step"
    button(player, "Back").click()
    expect_step(player, 0)
    expect_pictures(player, one)
    button(player, "Back").click()
    expect_step(player, 0, 0)
    expect_pictures(player, at_start)


def test_first_and_last(player, at_start):
    button(player, "Last").click()
    expect_step(player, len(TAPE))
    end = expect_new_stage(player, at_start)
    assert end[0] != at_start[0]
    button(player, "Next").click()
    button(player, "Back").click()
    expect_step(player, len(TAPE) - 1)
    button(player, "First").click()
    expect_step(player, 0, 0)
    expect_pictures(player, at_start)


def test_by_act_shows_each_act(player, at_start):
    button(player, "by act").click()
    expect(button(player, "by act")).to_have_attribute("aria-pressed", "true")
    expect_step(player, 0, 0, by_act=True)
    shown, acts = [at_start], len(TAPE.acts(0))
    for act in range(1, acts):
        button(player, "Next").click()
        expect_step(player, 0, act, by_act=True)
        shown.append(pictures(player))
    assert len({stage for _, stage in shown}) > 4, "splitting 16 pages down to one page is seen order by order"
    button(player, "Next").click()
    expect_step(player, 1, 0, by_act=True)
    button(player, "Back").click()
    expect_step(player, 0, acts - 1, by_act=True)
    expect_pictures(player, shown[-1])
    button(player, "Back").click()
    expect_step(player, 0, acts - 2, by_act=True)
    expect_pictures(player, shown[-2])


def test_the_slider_moves_by_arrow_keys(player, at_start):
    slider = player.get_by_role("slider", name="step")
    slider.press("ArrowRight")
    expect_step(player, 1)
    one = expect_new_stage(player, at_start)
    slider.press("ArrowRight")
    expect_step(player, 2)
    expect_new_stage(player, one)
    slider.press("ArrowLeft")
    expect_step(player, 1)
    expect_pictures(player, one)
    expect(slider).to_have_attribute("aria-valuenow", re.compile(r"^1(\.0)?$"))


def test_go_to_and_reset(player, at_start):
    button(player, MERGE_LABEL).click()
    expect_step(player, *MERGE)
    expect_new_stage(player, at_start)
    button(player, "Reset").click()
    expect_step(player, 0, 0)
    expect_pictures(player, at_start)


def test_play_and_pause(player, at_start):
    button(player, "Play").click()
    expect_step(player, 2)
    button(player, "Pause").click()
    expect(button(player, "Play")).to_be_visible()
    stopped = player.get_by_role("status").inner_text()
    player.page.wait_for_timeout(800)  # longer than one beat of playing
    assert player.get_by_role("status").inner_text() == stopped
    expect_new_stage(player, at_start)


def place(book: Book, name: str, shown: Locator, tip: str) -> dict[str, float]:
    """Where the block with this tip lies in a figure, for a click."""
    blocks, box = book.source(f"{name}-blocks"), shown.bounding_box()
    row = next(i for i, text in enumerate(blocks["tip"]) if tip in text)
    low, high, top, bottom = book.page.evaluate(
        f"() => {{ const f = Bokeh.documents.map((d) => d.get_model_by_name('{name}')).filter((m) => m).pop();"
        " return [f.x_range.start, f.x_range.end, f.y_range.end, f.y_range.start]; }"
    )
    x, y = (blocks["left"][row] + blocks["right"][row]) / 2, (blocks["top"][row] + blocks["bottom"][row]) / 2
    return {"x": (x - low) / (high - low) * box["width"], "y": (y - top) / (bottom - top) * box["height"]}


def test_a_click_on_the_strip_goes_there(player, player_book, at_start):
    strip = figure(player, STRIP)
    at = place(player_book, "strip", strip, "go to 7<")
    strip.click(position=at | {"x": at["x"] - strip.bounding_box()["width"] / len(TAPE) / 4})
    expect_step(player, 7)
    assert expect_new_stage(player, at_start)[0] != at_start[0]


def test_a_click_selects_a_block_and_hovering_names_it(player, player_book, at_start):
    button(player, "Next").click()
    expect_step(player, 0)
    before = expect_new_stage(player, at_start)
    stage = figure(player, STAGE)
    at = place(player_book, "stage", stage, "pages 8-15")
    stage.hover(position=at)
    expect(player.page.get_by_text("free, order 3, movable")).to_be_visible()
    stage.click(position=at)
    expect_new_stage(player, before)
    button(player, "Reset").click()
    expect_step(player, 0, 0)
    expect_pictures(player, at_start)


def test_arrow_keys_move_while_the_focus_is_on_a_button(player, at_start):
    focused = button(player, MERGE_LABEL)
    focused.press("ArrowRight")
    expect_step(player, 0)
    one = expect_new_stage(player, at_start)
    focused.press("ArrowRight")
    expect_step(player, 1)
    focused.press("ArrowLeft")
    expect_step(player, 0)
    expect_pictures(player, one)
    focused.press("End")
    expect_step(player, len(TAPE))
    focused.press("Home")
    expect_step(player, 0, 0)
    expect(focused).to_be_focused()


def visibly_not_connected(book: Book) -> Locator:
    return book.page.get_by_text(NOT_CONNECTED).filter(visible=True)


# What lasts: a second display, a reload, another Run All, and what is typed.


def test_a_second_display_shows_the_present_step(player_book):
    player = player_in(player_book)
    start = pictures(player)
    button(player, MERGE_LABEL).click()
    expect_step(player, *MERGE)
    now = expect_new_stage(player, start)
    player_book.page.evaluate("jupyterapp.shell.currentWidget.content.widgets[1].model.sharedModel.setSource('player')")
    player_book.run_cell(1)
    second = player_in(player_book, 1)
    expect_step(second, *MERGE)
    expect_pictures(second, now)
    button(second, "Next").click()
    for shown in (player, second):
        expect_step(shown, MERGE[0])
        expect_new_stage(shown, now)


def test_a_reloaded_page_shows_the_present_step(player_book):
    player = player_in(player_book)
    button(player, "First").click()
    expect_step(player, 0, 0)
    start = pictures(player)
    button(player, MERGE_LABEL).click()
    expect_step(player, *MERGE)
    now = expect_new_stage(player, start)
    player_book.save()
    player_book.reload()
    expect_step(player, *MERGE)
    expect_pictures(player, now)
    button(player, "First").click()
    expect_step(player, 0, 0)
    expect_pictures(player, start)
    expect(visibly_not_connected(player_book)).to_have_count(0)


def test_run_all_twice(player_book):
    for _ in range(2):
        player_book.run_all()
        player = player_in(player_book)
        expect_step(player, 0, 0)
        before = pictures(player)
        button(player, "Next").click()
        now = expect_new_stage(player, before)
    assert player_book.error_outputs() == []
    player_book.save()
    player_book.reload()
    expect_step(player, 0)
    expect_pictures(player, now)


def field_in(book: Book) -> tuple[Locator, Locator]:
    """The last text field of a notebook and the verdict below it."""
    panel = book.page.locator(".pagelab").filter(has=book.page.get_by_role("button", name="Check", exact=True)).last
    return panel.get_by_role("textbox"), panel.locator(".pagelab-status")


def test_a_prediction_is_graded_and_comes_back(player_book):
    field, verdict = field_in(player_book)
    for typed, said in ((WRONG, NOT_YET), (TRUTH, RIGHT)):
        field.click()
        field.press("ControlOrMeta+a")
        field.press_sequentially(typed)
        field.press("Enter")
        expect(verdict).to_have_text(said)
    player_book.save()
    player_book.reload()
    expect(field).to_have_value(TRUTH)
    expect(verdict).to_have_text(RIGHT)
    player_book.run_all()
    expect(field).to_have_value(TRUTH)
    expect(verdict).to_have_text(RIGHT)


# Tasks, and a real machine's memory.


@pytest.fixture(scope="module")
def panels_notebook(opened):
    return opened("panels.ipynb", PLAYER, PREDICT, TASK, "try_requests(pages=16)", REAL_MAP, WHOLE_MACHINE, TWO_KERNELS)


@pytest.fixture
def every_panel(panels_notebook):
    """A notebook with each kind of panel."""
    return panels_notebook.in_front()


@pytest.fixture
def task_panel(every_panel):
    """A task with nothing done yet."""
    panel = every_panel.page.locator(".pagelab").filter(has=every_panel.page.get_by_role("button", name="Undo", exact=True)).last
    button(panel, "Start again").click()
    expect(panel.locator(".pagelab-player")).to_contain_text("of 0")
    return panel


def test_a_task_takes_requests_and_takes_back_one(task_panel, every_panel):
    field, player = task_panel.get_by_role("textbox", name="next requests"), task_panel.locator(".pagelab-player")
    field.click()
    for typed, requests in (("alloc 0; alloc 5", 2), ("alloc 0 x3", 5)):
        field.press_sequentially(typed)
        field.press("Enter")
        expect(player).to_contain_text(f"of {requests} ")
        expect(field).to_have_value("")
        expect(task_panel.locator(".pagelab-status").first).to_contain_text(f"{requests} requests used")
    assert every_panel.python("live.task.used") == "5"

    field.press_sequentially("alloc 0; alloc eleven")
    field.press("Enter")
    error = task_panel.get_by_role("alert")
    expect(error).to_contain_text("eleven")
    above, marked = error.inner_text().splitlines()[-2:]
    assert above[marked.index("^") : marked.rindex("^") + 1] == "eleven"
    expect(field).to_have_value("alloc 0; alloc eleven")
    assert every_panel.python("live.task.used") == "5"

    button(task_panel, "Undo").click()
    expect(player).to_contain_text("of 4 ")
    assert every_panel.python("live.task.used") == "4"


def test_arrow_keys_in_a_field_stay_in_the_field(task_panel, every_panel):
    field, player = task_panel.get_by_role("textbox", name="next requests"), task_panel.locator(".pagelab-player")
    field.fill("alloc 0 x4")
    field.press("Enter")
    expect(player).to_contain_text("of 4 ")
    cells, before = len(every_panel.cells()), player.inner_text()
    field.press_sequentially("alloc ")
    for key in ("ArrowLeft", "ArrowLeft", "ArrowRight", "Home", "End"):
        field.press(key)
    field.press_sequentially("1")
    expect(field).to_have_value("alloc 1")
    assert player.inner_text() == before
    assert len(every_panel.cells()) == cells, "no key typed into a field is a shortcut of the notebook"
    field.fill("")


def test_a_tile_of_the_real_map_is_shown_large(every_panel):
    zone, lens = (every_panel.page.get_by_role("img", name=re.compile(name)) for name in ("Page map of the zone", "One pageblock"))
    before = pixels(lens)
    zone.click(position={"x": 400, "y": 90})
    eventually(every_panel.page, lambda: pixels(lens) != before, "another pageblock in the lens")


# Whole machines.


def over(shown: Locator, x: float, y: float) -> dict[str, float]:
    """A place of a figure, in its own pixels, for a mouse."""
    box = shown.bounding_box()
    return {"x": x + MARGIN if box else x, "y": y}


def test_two_kernels_step_together(every_panel):
    panel = every_panel.page.locator(".pagelab-lock-step")
    shown, said = panel.get_by_role("img", name=re.compile("Two page maps")), panel.get_by_role("status")
    before = pixels(shown)
    button(panel, "First difference").click()
    expect(panel).to_contain_text("step 300 of 302")
    expect(said).to_contain_text("Both: page 300. 211 pages are in another state.")
    expect(panel.get_by_role("cell", name="pages 301-511", exact=True)).to_be_visible()
    eventually(every_panel.page, lambda: pixels(shown) != before, "the maps of another step")
    for left, pages in zip(AT, ("unmovable", "movable"), strict=True):
        shown.hover(position=over(shown, left + 160, TOP + 52))
        expect(every_panel.page.get_by_text(f"free, order 7, {pages}")).to_be_visible()
    button(panel, "First difference").press("ArrowRight")
    expect(panel).to_contain_text("step 301 of 302")
    button(panel, "by act").click()
    button(panel, "Next").click()
    expect(panel).to_contain_text("step 302 of 302")
    button(panel, "by request").click()
    button(panel, "Reset").click()
    expect(panel).to_contain_text("step 0 of 302")


def test_a_page_on_a_per_cpu_list_is_named_under_the_mouse(every_panel):
    player = player_in(every_panel, 3)
    button(player, "Reset").click()
    expect(player).to_contain_text("step 8 of 9")
    shown = figure(player, STAGE)
    tape = whole_machine()
    kept = tape.at(9).zone.pcp[0].lists[2][0]
    place = arrange(tape.at(0), 0, types_of(tape))
    rect = place.where.rects(kept, 0)[0]
    shown.hover(position=over(shown, place.map[0] + rect.x + rect.w / 2, place.map[1] + rect.y + rect.h / 2))
    expect(every_panel.page.get_by_text("on a per-CPU list, order 0").first).to_be_visible()
    player.get_by_text("The same in words").click()
    expect(player.get_by_role("table").filter(has_text="Per-CPU lists")).to_be_visible()
    expect(player.get_by_role("table").filter(has_text="Watermarks in pages")).to_be_visible()


def whole_machine() -> Tape[Machine]:
    """The run of the notebook."""
    names: dict[str, Tape[Machine]] = {}
    exec(WHOLE_MACHINE.rsplit("play(", 1)[0], names)
    return names["whole"]


# Without a kernel.


def test_after_a_restart_the_player_says_that_it_is_not_connected(player_book):
    player_book.run_all()
    player = player_in(player_book)
    expect_step(player, 0, 0)
    expect(visibly_not_connected(player_book)).to_have_count(0)
    player_book.restart_kernel()
    expect(player.get_by_text(NOT_CONNECTED)).to_be_visible()
    player_book.run_all()
    expect_step(player_in(player_book), 0, 0)
    expect(visibly_not_connected(player_book)).to_have_count(0)


def test_a_notebook_opened_later_says_that_it_is_not_connected(opened, lab):
    book = opened("later.ipynb", PLAYER, PREDICT)
    expect_step(player_in(book), 0, 0)
    expect(visibly_not_connected(book)).to_have_count(0)
    book.save()
    book.end_kernel()
    book.reload()  # with another kernel, which knows nothing of the player
    expect(visibly_not_connected(book)).to_have_count(2)
    book.end_kernel()
    name_another_kernel(lab.folder / "later.ipynb")
    book.page.reload()
    button(book.page.get_by_role("dialog"), "No Kernel").click()
    expect(visibly_not_connected(book)).to_have_count(2)
    book.page.close()


# For every reader.


def violations(book: Book) -> list[str]:
    """What axe finds in the panels, serious or critical."""
    book.unfold()
    found = Axe().run(book.page, context=".pagelab", options={"resultTypes": ["violations", "passes"]}).response
    read = [node["html"] for rule in found["passes"] + found["violations"] if rule["id"] == "color-contrast" for node in rule["nodes"]]
    assert len(read) > 40, "axe has to see the words of all panels to judge their contrast"
    return [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_in_each_theme_figures_have_its_colours_and_axe_finds_nothing_serious(theme, every_panel):
    every_panel.set_theme(theme.name)
    every_panel.run_all()
    every_panel.unfold()
    player = player_in(every_panel)
    for name in FIGURES:
        eventually(
            every_panel.page,
            lambda name=name: theme.ink in every_panel.source(f"{name}-words").get("color", ()),
            f"{name} in {theme.name} ink",
        )
    button(player, "Reset").click()
    expect_step(player, 0, 0)
    before = pictures(player)
    button(player, "Next").click()
    expect_new_stage(player, before)
    for name in FIGURES:
        drawn = {colour for part in ("blocks", "marks") for colour in every_panel.source(f"{name}-{part}")["fill"]}
        assert drawn <= set(theme), name
    assert violations(every_panel) == []


def test_click_to_pixels_at_65536_pages(opened, capsys):
    large = 'from pagelab.lab import scenario\nfrom pagelab.view import play\nplay(scenario.text("alloc 0 x2000", pages=65536))'
    book = opened("large.ipynb", large)
    player = player_in(book)
    pictures(player)
    taken = [click_to_pixels(button(player, "Next"), figure(player, STAGE)) for _ in range(10)]
    first, last = (statistics.median(times) for times in zip(*taken, strict=True))
    with capsys.disabled():
        print(f" click to changed pixels at 65,536 pages: median {first:.0f} ms, complete after {last:.0f} ms", end="")
    book.close()
