"""Sheaves as rows: what waits in each, and which one an act changed."""

import pytest
from slab_runs import held_by_callers, slab_kinds, slab_moments, slab_run

from pagelab.lab.scenario import slab
from pagelab.mm.sheaf_act import BarnGiven, BarnTaken, Flushed, Refilled, Rested, SheafAdded, SheafSwapped
from pagelab.view.sheaf_rows import sheaf_rows
from pagelab.view.slab_columns import shown_slab, slab_moment
from pagelab.view.slab_player import SlabPlayer

CHANGES = (Rested, Refilled, SheafSwapped, SheafAdded, BarnTaken, BarnGiven, Flushed)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_object_that_waits_is_in_a_sheaf_and_in_its_slab(seed):
    machine, cache = slab_kinds()["sheaves"]
    tape = slab_run(seed, machine, cache, 80)
    for k in range(0, 81, 4):
        now = slab_moment(tape, k, 0, cache)
        rows = sheaf_rows(now.cache, None, [0, 1])
        waiting = sum(bar.live for row in rows for bar in row.bars)
        slabs = [shown_slab(now, now.cache.pfn[number]) for number in now.cache.numbers()]
        assert waiting == sum(slot.state == "in a sheaf" for slab in slabs for slot in slab.slots)
        assert sum(slab.live for slab in slabs) == len(held_by_callers(tape, k))
        assert [row.name for row in rows] == ["cpu 0 sheaves", "cpu 1 sheaves", "barn"]
        assert all(bar.name in ("main", "spare", "full") and bar.live <= bar.objects for row in rows for bar in row.bars)


def test_the_sheaf_of_this_act_is_marked():
    machine, cache = slab_kinds()["sheaves"]
    seen = set()
    for now in slab_moments(slab_run(3, machine, cache, 40), cache):
        changed = [bar.name for row in sheaf_rows(now.cache, now.act, [0, 1]) for bar in row.bars if bar.mark]
        assert bool(changed) <= isinstance(now.act, CHANGES)
        if isinstance(now.act, Rested | Refilled | BarnTaken):
            assert changed == ["main"]
        if isinstance(now.act, CHANGES):
            seen.add(type(now.act))
    assert {Rested, Refilled} <= seen


def test_a_cache_without_sheaves_has_no_such_row():
    assert sheaf_rows(slab("kmalloc 512").at(1).cache("kmalloc-512"), None, [0]) == []


def test_a_run_with_sheaves_can_be_played_and_says_whose_they_are():
    tape = slab("kmalloc 512 x70; " + "; ".join(f"kfree @{k}" for k in range(60)), kernel="7.x")
    player = SlabPlayer(tape)
    player.mode.value = "by act"
    while player.k < len(tape):
        player.next()
    texts = player.stage.sources["words"].data["text"]
    assert "sheaves: as one fork of 7.0 and 7.1 has them" in texts
    assert "cpu 0 sheaves" in texts
    assert "main:" in player.twin.value
