"""gfp bits: their values are the kernel's, and they choose zone and migratetype as its tables do."""

import pytest

from pagelab.mm.gfp import (
    GFP_ATOMIC,
    GFP_HIGHUSER,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_USER,
    ZONE_DMA,
    ZONE_DMA32,
    ZONE_HIGHMEM,
    ZONE_MOVABLE,
    ZONE_NAMES,
    ZONE_NORMAL,
    Gfp,
    gfp_migratetype,
    gfp_zone,
)
from pagelab.mm.zone import MOVABLE, RECLAIMABLE, UNMOVABLE


def test_the_masks_have_the_values_of_6_12():
    assert [hex(mask) for mask in (GFP_KERNEL, GFP_ATOMIC, GFP_USER, GFP_HIGHUSER, GFP_HIGHUSER_MOVABLE)] == [
        *("0xcc0", "0x820", "0x100cc0", "0x100cc2", "0x100cca"),
    ]
    assert int(Gfp.ACCOUNT) == 1 << 22
    assert len(ZONE_NAMES) == 6


@pytest.mark.parametrize(
    ("gfp", "on_64_bit", "on_32_bit"),
    [
        (GFP_KERNEL, ZONE_NORMAL, ZONE_NORMAL),
        (GFP_KERNEL | Gfp.MOVABLE, ZONE_NORMAL, ZONE_NORMAL),
        (GFP_KERNEL | Gfp.DMA, ZONE_DMA, ZONE_DMA),
        (GFP_KERNEL | Gfp.DMA | Gfp.MOVABLE, ZONE_DMA, ZONE_DMA),
        (GFP_KERNEL | Gfp.DMA32, ZONE_DMA32, ZONE_NORMAL),
        (GFP_HIGHUSER, ZONE_NORMAL, ZONE_HIGHMEM),
        (GFP_HIGHUSER_MOVABLE, ZONE_MOVABLE, ZONE_MOVABLE),
    ],
)
def test_a_mask_chooses_the_highest_zone(gfp, on_64_bit, on_32_bit):
    assert (gfp_zone(gfp), gfp_zone(gfp, highmem=True)) == (on_64_bit, on_32_bit)


@pytest.mark.parametrize("gfp", [Gfp.DMA | Gfp.DMA32, Gfp.DMA | Gfp.HIGHMEM, Gfp.DMA32 | Gfp.HIGHMEM])
def test_two_zones_are_refused(gfp):
    with pytest.raises(ValueError, match="names two zones: give DMA, DMA32 or HIGHMEM"):
        gfp_zone(gfp)


def test_a_mask_chooses_the_migratetype():
    masks = (GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_KERNEL | Gfp.RECLAIMABLE)
    assert [gfp_migratetype(mask) for mask in masks] == [UNMOVABLE, MOVABLE, RECLAIMABLE]
    with pytest.raises(ValueError, match="says movable and reclaimable"):
        gfp_migratetype(Gfp.MOVABLE | Gfp.RECLAIMABLE)
