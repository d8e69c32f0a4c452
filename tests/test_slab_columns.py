"""A cache to numbers: the state of every object, its place on a freelist, and where each slab stands, at every act of a run."""

import pytest
from slab_runs import KINDS, held_by_callers, slab_kinds, slab_moments, slab_run

from pagelab.lab.tape import Tape
from pagelab.mm.act import Asked
from pagelab.mm.slab_act import Carved, Discarded, Popped, Pushed
from pagelab.mm.slab_call import kfree_request, kmalloc_request
from pagelab.mm.slab_machine import slab_machine
from pagelab.view.sheaf_rows import SHEAVES
from pagelab.view.slab_columns import list_rows, place_name, shown_slab, slab_in_focus, slab_moment

EVERY = pytest.mark.parametrize("kind", KINDS)


def run(kind, seed=1, length=90):
    machine, cache = slab_kinds()[kind]
    return slab_run(seed, machine, cache, length), cache


@EVERY
def test_objects_in_use_are_those_that_callers_hold(kind):
    tape, cache = run(kind)
    for k in range(0, len(tape) + 1, 7):
        now, held = slab_moment(tape, k, 0, cache), held_by_callers(tape, k)
        layout, found = now.cache.layout, set()
        for number in now.cache.numbers():
            slab = shown_slab(now, now.cache.pfn[number])
            assert [slot.obj for slot in slab.slots] == list(range(len(slab.slots)))
            assert all(slot.end - slot.start == layout.size for slot in slab.slots)
            assert slab.slots[-1].end == slab.waste <= slab.size == 4096 << slab.order
            found |= {slab.pfn * 4096 + slot.start + layout.object_start for slot in slab.slots if slot.state == "in use"}
            assert slab.live == sum(slot.state == "in use" for slot in slab.slots)
        assert found == set(held)


@EVERY
def test_places_on_a_freelist_count_from_1_and_lead_from_one_to_the_next(kind):
    tape, cache = run(kind, 2)
    for now in slab_moments(tape, cache, range(0, len(tape), 9)):
        for number in now.cache.numbers():
            slots = shown_slab(now, now.cache.pfn[number]).slots
            for whose in ("cpu", "slab"):
                chain = sorted((slot for slot in slots if slot.whose == whose), key=lambda slot: slot.place)
                assert [slot.place for slot in chain] == list(range(1, len(chain) + 1))
                assert [slot.after for slot in chain] == [*(slot.obj for slot in chain[1:]), *([-1] if chain else [])]
            assert all((slot.state == "free") == bool(slot.place) for slot in slots)


@pytest.mark.parametrize("kind", ["small", "two cpus", "random", "6.1"])
def test_the_first_of_the_cpus_freelist_is_what_the_next_caller_receives(kind):
    tape, cache = run(kind, 3)
    seen = 0
    for k in range(len(tape)):
        acts = tape.acts(k)
        if [type(act) for act in acts[1:]] == [Popped]:
            before = slab_moment(tape, k, 0, cache)
            (first,) = [slot for slot in shown_slab(before, acts[1].pfn).slots if (slot.place, slot.whose) == (1, "cpu")]
            assert first.obj == acts[1].obj
            seen += 1
    assert seen > 10


@EVERY
def test_the_object_of_this_act_is_marked_and_no_other(kind):
    tape, cache = run(kind, 4, 60)
    for now in slab_moments(tape, cache, range(0, 60, 8)):
        changed = {
            (slab.pfn, slot.obj)
            for number in now.cache.numbers()
            for slab in [shown_slab(now, now.cache.pfn[number])]
            for slot in slab.slots
            if slot.mark == "changed"
        }
        assert changed == ({(now.act.pfn, now.act.obj)} if getattr(now.act, "obj", -1) >= 0 and now.act is not now.acts[0] else set())


@EVERY
def test_each_slab_stands_on_one_list_and_where_the_cache_has_it(kind):
    tape, cache = run(kind, 5, 60)
    for now in slab_moments(tape, cache, range(0, 60, 7)):
        of, cpus = now.cache, range(len(now.cache.cpu))
        rows = {row.name: [bar.pfn for bar in row.bars if bar.mark != "gone"] for row in list_rows(now, cpus) if row.at[0] < SHEAVES}
        assert ("cpu 0 slab" in rows) == (kind not in ("sheaves", "user tracking"))
        for cpu in cpus if "cpu 0 slab" in rows else ():
            assert rows.pop(f"cpu {cpu} slab") == [of.pfn[slab] for slab in (of.cpu[cpu].slab,) if slab >= 0]
            assert rows.pop(f"cpu {cpu} partial") == [of.pfn[slab] for slab in reversed(of.cpu[cpu].partial)]
        assert rows.pop("node partial") == [of.pfn[slab] for slab in of.node[0].partial]
        listed = {slab for c in of.cpu for slab in (c.slab, *c.partial)} | set(of.node[0].partial)
        unlisted = {of.pfn[slab] for slab in of.numbers() if slab not in listed}
        held = {pfn for pfn in unlisted if any(slot.state == "free" for slot in shown_slab(now, pfn).slots)}
        assert sorted(rows.pop("no free object" if kind == "sheaves" else "full")) == sorted(unlisted - held)
        assert rows == ({"in hand": [*held]} if held else {})
        assert {pfn for pfn in unlisted if shown_slab(now, pfn).where == "in hand"} == held


@EVERY
def test_a_slab_that_left_stands_where_it_was_before_the_request(kind):
    tape, cache = run(kind, 8, 60)
    for now in slab_moments(tape, cache, range(0, 60, 7)):
        cpus = range(len(now.cache.cpu))
        before = {row.at: [bar.pfn for bar in row.bars] for row in list_rows(slab_moment(tape, now.pages.k, 0, cache), cpus)}
        for row in list_rows(now, cpus):
            gone = [bar.pfn for bar in row.bars if bar.mark == "gone"]
            assert set(gone) <= set(before.get(row.at, []))
            assert [bar.pfn for bar in row.bars if bar.mark in ("", "gone")] == before.get(row.at, []) or row.at[0] >= SHEAVES


def test_with_sheaves_no_slab_is_called_full():
    tape = Tape(slab_machine(64, "7.x")).then([kmalloc_request(512)] * 6)
    now = slab_moment(tape, 5, -1, "kmalloc-512")
    (row,) = [row for row in list_rows(now, [0]) if row.name == "no free object"]
    assert row.note == "on no list; in use or in sheaves"
    assert all(bar.live + bar.resting == bar.objects and bar.resting for bar in row.bars)
    assert sum(bar.live for bar in row.bars) > 0
    assert shown_slab(now, row.bars[0].pfn).where == "no free object"


@EVERY
def test_bars_say_how_many_objects_are_in_use(kind):
    tape, cache = run(kind, 6)
    for k in range(0, len(tape) + 1, 9):
        now = slab_moment(tape, k, 0, cache)
        bars = [bar for row in list_rows(now, range(len(now.cache.cpu))) for bar in row.bars if bar.pfn >= 0]
        held = [address // 4096 for address in held_by_callers(tape, k)]
        for bar in bars:
            order = now.cache.order(now.cache.owners[bar.pfn][1])
            assert bar.live == sum(bar.pfn <= page < bar.pfn + (1 << order) for page in held)
            assert 0 <= bar.live <= bar.objects
        assert sum(bar.live for bar in bars) == len(held)


def test_slabs_that_leave_keep_their_place_for_one_request():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 120).then([kfree_request(i) for i in range(105)])
    rows = {row.name: row.bars for row in list_rows(slab_moment(tape, 224, -1, "kmalloc-512"), [0])}
    assert [bar.pfn for bar in rows["cpu 0 partial"]] == [13, *reversed(range(13))]
    assert {bar.mark for bar in rows["cpu 0 partial"][1:]} == {"gone"}
    assert [(bar.pfn, bar.live) for bar in rows["node partial"]] == [(12, 0), (11, 0), (10, 0), (9, 0), (8, 0)]
    assert [(bar.pfn, bar.mark) for bar in rows["full"]] == [(13, "gone")]
    after = list_rows(slab_moment(tape, 225, 0, "kmalloc-512"), [0])
    assert all(bar.mark == "" for row in after for bar in row.bars)


def test_what_was_looked_at_is_said_in_its_row():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 120).then([kfree_request(i) for i in range(105)])
    moments = slab_moments(tape, "kmalloc-512", [0, 8, 224])
    assert [(now.pages.k, row.name, row.looked) for now in moments for row in list_rows(now, [0]) if row.looked] == [
        (0, "cpu 0 slab", "its freelist is empty"),
        (0, "cpu 0 partial", "empty"),
        (0, "node partial", "empty"),
        (8, "cpu 0 slab", "its freelist is empty"),
        (8, "cpu 0 slab", "nothing was freed to it"),
        (8, "cpu 0 partial", "empty"),
        (8, "node partial", "empty"),
        (224, "cpu 0 partial", "13 of 13: no room"),
        *((224, "node partial", f"has {n}, keeps 5: it may stay") for n in range(5)),
        *[(224, "node partial", "has 5, keeps 5: one too many")] * 8,
    ]


@EVERY
def test_the_slab_in_focus_is_that_of_the_act(kind):
    tape, cache = run(kind, 7)
    for now in slab_moments(tape, cache, range(0, len(tape), 8)):
        pfn = slab_in_focus(now)
        if getattr(now.act, "pfn", -1) >= 0:
            assert pfn == now.act.pfn
            assert (shown_slab(now, pfn) is None) == isinstance(now.act, Discarded)
        else:
            assert (pfn < 0) == (not now.cache.numbers())
            assert pfn < 0 or shown_slab(now, pfn)


def test_a_page_of_another_cache_is_no_slab_of_this_one():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512), kmalloc_request(64)])
    now = slab_moment(tape, 2, 0, "kmalloc-512")
    assert [shown_slab(now, pfn) is None for pfn in (0, 1, 2)] == [False, True, True]
    assert now.acts == ()
    assert slab_moment(tape, 1, -1, "kmalloc-512").act is None


def test_the_pages_of_a_moment_are_those_of_the_last_block():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 9)
    acts = tape.acts(8)
    at = next(i for i, act in enumerate(acts) if isinstance(act, Carved))
    pages = slab_moment(tape, 8, at, "kmalloc-512").pages
    assert isinstance(pages.here[0], Asked)
    assert pages.act is None
    assert slab_moment(tape, 8, at - 1, "kmalloc-512").pages.act == acts[at - 1]


def test_a_machine_that_does_not_have_the_cache_says_so():
    with pytest.raises(ValueError, match="cache 'spoon' does not exist"):
        slab_moment(Tape(slab_machine(64)), 0, 0, "spoon")


def test_lists_have_names():
    now = slab_moment(Tape(slab_machine(64, cpus=2)), 0, 0, "kmalloc-512")
    assert [row.name for row in list_rows(now, [0, 1])] == [
        "cpu 0 slab",
        "cpu 0 partial",
        "cpu 1 slab",
        "cpu 1 partial",
        "node partial",
        "full",
    ]
    assert [place_name(now, (place, 0)) for place in (0, 4)] == ["in hand", "full"]


def test_a_free_to_the_cpu_slab_is_the_first_of_its_freelist():
    tape = Tape(slab_machine(64)).then([kmalloc_request(512)] * 8 + [kfree_request(2), kfree_request(5)])
    for k, chain in ((8, [2]), (9, [5, 2])):
        now = slab_moment(tape, k, -1, "kmalloc-512")
        assert isinstance(now.act, Pushed)
        slots = shown_slab(now, 0).slots
        assert [slot.obj for slot in sorted(slots, key=lambda slot: slot.place) if slot.place] == chain
        assert slots[chain[0]].mark == "changed"
