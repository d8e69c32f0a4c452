"""Watermarks and reserves: what live machines and the captures printed."""

import gzip
import re

import pytest
from conftest import CAPTURES

from pagelab.mm.gfp import ZONE_DMA, ZONE_DMA32, ZONE_HIGHMEM, ZONE_MOVABLE, ZONE_NORMAL
from pagelab.mm.page_alloc import alloc_pages, boot, rmqueue_smallest
from pagelab.mm.watermark import (
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    Size,
    free_highatomic,
    has_block,
    lowmem_reserve,
    min_free_kbytes,
    reserve_mark,
    reserved_highatomic,
    watermarks,
    zone_watermark_ok,
)
from pagelab.mm.zone import HIGHATOMIC, MOVABLE, Zone

LIVE = [Size(0, ZONE_DMA, 3840), Size(0, ZONE_DMA32, 772_915), Size(0, ZONE_NORMAL, 1_671_168)]


def test_the_marks_of_a_live_machine():
    assert min_free_kbytes(LIVE) == 67_584
    assert watermarks(LIVE, 67_584) == [(26, 32, 38, 44), (5334, 6667, 8000, 9333), (11_534, 14_417, 17_300, 20_183)]
    assert [row[:3] for row in lowmem_reserve(LIVE)] == [[0, 3019, 9547], [0, 0, 6528], [0, 0, 0]]


def test_the_marks_of_48_mib():
    small = [Size(0, ZONE_NORMAL, 12_288)]
    assert watermarks(small, min_free_kbytes(small)) == [(221, 276, 331, 386)]
    assert min_free_kbytes(small, thp=True) > min_free_kbytes(small) == min_free_kbytes(small, thp=False)


@pytest.mark.parametrize(
    ("mib", "kbytes"),
    [(16, 512), (32, 724), (64, 1024), (128, 1448), (256, 2048), (512, 2896), (1024, 4096), (4096, 8192), (16_384, 16_384)],
)
def test_the_kernels_own_table(mib, kbytes):
    assert min_free_kbytes([Size(0, ZONE_NORMAL, mib << 8)], thp=False) == kbytes


def test_huge_pages_raise_it_from_512_mib_up():
    def kbytes(pages):
        return min_free_kbytes([Size(0, ZONE_NORMAL, pages)])

    assert kbytes(512 << 8) > 2 * kbytes((512 << 8) - 1)
    assert kbytes(1 << 22) == 512 * 11 * 4
    assert min_free_kbytes([Size(0, ZONE_NORMAL, 1)]) == 128
    assert min_free_kbytes([Size(0, ZONE_NORMAL, 1 << 34)]) == 262_144


def test_zones_that_are_not_low_have_marks_of_their_own():
    sizes = [Size(0, ZONE_NORMAL, 200_000), Size(0, ZONE_HIGHMEM, 100_000), Size(0, ZONE_MOVABLE, 4_000_000)]
    low, high, movable = watermarks(sizes, 4000)
    assert (low.min, high.min, movable.min) == (1000, 97, 128)
    assert high.low - high.min == 500 // 4
    as_in_6_1 = watermarks(sizes, 4000, apart=(ZONE_HIGHMEM,))
    assert as_in_6_1[2].min == 1000 * 4_000_000 // 4_200_000
    assert watermarks([*sizes[:1], Size(0, ZONE_MOVABLE, 0)], 4000)[1] == (32, 32, 32, 32)


def test_a_zone_keeps_pages_from_requests_for_higher_zones_of_its_node_only():
    sizes = [Size(0, ZONE_DMA, 3840), Size(0, ZONE_DMA32, 61_440), Size(1, ZONE_DMA32, 65_536), Size(1, ZONE_MOVABLE, 2560)]
    assert lowmem_reserve(sizes) == [[0, 240, 240, 240, 240, 240], [0] * 6, [0, 0, 0, 0, 10, 10], [0] * 6]
    assert lowmem_reserve([Size(0, ZONE_DMA, 0), Size(0, ZONE_DMA32, 61_440)])[0] == [0] * 6
    assert lowmem_reserve([Size(0, ZONE_NORMAL, 1), Size(0, ZONE_HIGHMEM, 3200)])[0][ZONE_HIGHMEM] == 100


def zones_of(text):
    """Yield (node, name, numbers) for each populated zone of a zoneinfo."""
    for part in re.split(r"(?m)^(?=Node)", text)[1:]:
        node, name = re.match(r"Node (\d+), zone +(\w+)", part).groups()
        numbers = {key: int(value) for key, value in re.findall(r"(?m)^ +(?:pages )?(min|low|high|promo|managed) +(\d+)$", part)}
        numbers["protection"] = [int(n) for n in re.search(r"protection: \((.*)\)", part)[1].split(", ")]
        if numbers["managed"]:
            yield int(node), name, numbers


def zoneinfos():
    """Return the zoneinfo of each capture that has one."""
    paths = {path.parent.name: path for path in sorted(CAPTURES.glob("*/S0.zoneinfo*"))}
    return {
        name: (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode() for name, path in paths.items()
    }


ZONEINFOS = zoneinfos()


KINDS = {"DMA": ZONE_DMA, "DMA32": ZONE_DMA32, "Normal": ZONE_NORMAL}


def sizes_when_made(shown):
    """Yield what the zones may have managed when the marks were made: memory that came back later (the initrd) is not in them.

    How much the zone above DMA had then, protection says to 256 pages; another node may have had up to 4 MiB less.
    """
    above = max(numbers["protection"][1] for _, _, numbers in shown) * 256
    now = [Size(node, KINDS[zone], numbers["managed"]) for node, zone, numbers in shown]
    others = range(0, 1024, 8) if len(now) > 2 else (0,)
    for managed in range(above, above + 256, 4):
        for less in others:
            yield [now[0], now[1]._replace(managed=managed), *(size._replace(managed=size.managed - less) for size in now[2:])]


@pytest.mark.parametrize("name", ZONEINFOS)
def test_the_marks_of_a_captured_machine(name):
    shown = list(zones_of(ZONEINFOS[name]))
    printed = [(numbers["min"], numbers["low"], numbers["high"]) for _, _, numbers in shown]
    assert any([marks[:3] for marks in watermarks(sizes, min_free_kbytes(sizes))] == printed for sizes in sizes_when_made(shown))


def test_270_free_pages_of_zone_dma_are_not_enough_for_a_normal_request():
    zone = boot(3840, 256, "DMA")
    reserve = lowmem_reserve([Size(0, ZONE_DMA, 3840), Size(0, ZONE_DMA32, 61_440)])[0][ZONE_NORMAL]
    assert reserve == 240
    assert not zone_watermark_ok(zone, 0, 30, reserve, 270)
    assert zone_watermark_ok(zone, 0, 30, reserve, 271)
    assert zone_watermark_ok(zone, 0, 30, 0, 270)
    assert zone_watermark_ok(zone, 0, 30, reserve, 270, ALLOC_MIN_RESERVE)


@pytest.mark.parametrize(
    ("flags", "mark"), [(0, 100), (ALLOC_MIN_RESERVE, 50), (ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK, 38), (ALLOC_NON_BLOCK, 100)]
)
def test_reserves_lower_the_mark(flags, mark):
    assert reserve_mark(100, flags) == mark


def test_a_large_request_needs_a_block():
    zone = boot(16)
    assert zone_watermark_ok(zone, 4, 0, 0, 16)
    assert not zone_watermark_ok(zone, 4, 1, 0, 16)
    alloc_pages(zone, 0)
    assert zone_watermark_ok(zone, 3, 0, 0, 15)
    assert not has_block(zone, 4)
    assert not zone_watermark_ok(zone, 4, 0, 0, 15 + 16)


def test_what_is_kept_for_requests_that_cannot_wait():
    zone = Zone(1024)
    assert (free_highatomic(zone), reserved_highatomic(zone)) == (0, 0)
    zone.relabel(0, 9, HIGHATOMIC)
    zone.link(0, 5, HIGHATOMIC)
    assert (free_highatomic(zone), reserved_highatomic(zone)) == (32, 512)
    assert not has_block(zone, 5)
    assert has_block(zone, 5, ALLOC_HIGHATOMIC)
    assert rmqueue_smallest(zone, 0, MOVABLE) == -1
