"""Sheaves and barns: no object is ever lost or doubled, and a snapshot brings everything back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.percpu_sheaves import NO_BARN, Sheaves, sheaf_capacity
from pagelab.mm.sheaf_act import WatchedSheaves, redo_sheaves
from pagelab.mm.slab_layout import Slab, slab_debug, slab_layout

CAPACITY = 3


@pytest.mark.parametrize(("size", "capacity"), [(8, 60), (192, 60), (256, 28), (512, 28), (1024, 12), (2048, 12), (4096, 4), (8192, 4)])
def test_a_sheaf_fills_an_object_of_kmalloc(size, capacity):
    assert sheaf_capacity(slab_layout(size, kernel="7.x")) == capacity
    assert slab_layout(32 + 8 * capacity).size in (64, 128, 256, 512)


def test_who_has_no_sheaves():
    assert [sheaf_capacity(slab_layout(64), kernel) for kernel in ("6.1", "6.12", "6.18", "7.x")] == [0, 0, 0, 60]
    assert [sheaf_capacity(slab_layout(64, flags=slab_debug(letter))) for letter in "FZPU"] == [0] * 4
    assert sheaf_capacity(slab_layout(64, flags=Slab.NOLEAKTRACE)) == 0


def possible(sheaves, verb, cpu, node):
    """Whether a primitive can be called now."""
    c, barn = sheaves.cpu[cpu], sheaves.barn[node]
    return {
        "pop": bool(c.main),
        "push": len(c.main) < CAPACITY,
        "swap": c.spare is not None,
        "new": c.spare is None,
        "old": c.spare is None and barn.empty > 0,
        "take": not c.main and bool(barn.full),
        "give": len(c.main) == CAPACITY and barn.empty > 0,
        "give new": len(c.main) == CAPACITY,
        "main": bool(c.main),
        "spare": bool(c.spare),
        "barn": bool(barn.full),
        "drop": c.spare == [],
        "drop barn": barn.empty > 0,
    }[verb]


def do(sheaves, verb, cpu, node, slot):
    """Call a primitive; return the objects that left."""
    match verb:
        case "pop":
            return [sheaves.pop(cpu)]
        case "push":
            sheaves.push(cpu, slot)
        case "swap":
            sheaves.swap(cpu)
        case "new" | "old":
            sheaves.add_empty(cpu, node if verb == "old" else NO_BARN)
        case "take":
            sheaves.take_full(cpu, node)
        case "give" | "give new":
            sheaves.give_full(cpu, node, verb == "give new")
        case "main" | "spare" | "barn":
            return sheaves.empty_out(verb, node if verb == "barn" else cpu, 2)
        case "drop" | "drop barn":
            sheaves.drop(*(("spare", cpu) if verb == "drop" else ("barn", node)))
    return []


VERBS = ["pop", *["push"] * 9, "swap", "new", "old", "take", "give", "give new", "main", "spare", "barn", "drop", "drop barn"]
STEPS = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 1), st.integers(0, 1)), max_size=80)


@given(STEPS)
def test_objects_balance(steps):
    sheaves, inside = Sheaves(CAPACITY, 2, 2), set()
    for slot, (verb, cpu, node) in enumerate(steps):
        if not possible(sheaves, verb, cpu, node):
            continue
        inside |= {slot} if verb == "push" else set()
        inside -= set(do(sheaves, verb, cpu, node, slot))
        assert sorted(sheaves.slots()) == sorted(inside)
        assert all(barn.empty >= 0 and all(barn.full) for barn in sheaves.barn)
    other = Sheaves(CAPACITY, 2, 2)
    other.restore(sheaves.snapshot())
    assert other.snapshot() == sheaves.snapshot()


@given(STEPS)
def test_what_was_watched_can_be_done_again(steps):
    sheaves, again = Sheaves(CAPACITY, 2, 2), Sheaves(CAPACITY, 2, 2)
    for slot, (verb, cpu, node) in enumerate(steps):
        if not possible(sheaves, verb, cpu, node):
            continue
        acts = []
        do(sheaves if verb in ("push", "pop") else WatchedSheaves("c", sheaves, acts), verb, cpu, node, slot)
        if verb in ("push", "pop"):
            do(again, verb, cpu, node, slot)
        for act in acts:
            redo_sheaves(again, act)
        assert len(acts) == (verb not in ("push", "pop"))
        assert again.snapshot() == sheaves.snapshot()


def test_barns_are_stacks():
    sheaves = Sheaves(1)
    for slot in (5, 6, 7):
        sheaves.push(0, slot)
        sheaves.give_full(0, 0, new=True)
    assert sheaves.barn[0].full == [[5], [6], [7]]
    sheaves.take_full(0, 0)
    assert (sheaves.cpu[0].main, sheaves.barn[0].empty) == ([7], 1)
