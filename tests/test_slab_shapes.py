"""The slider of CPUs: the table is that of the kernel's sources, whatever the slider says."""

import pytest

from pagelab.view.slab_shapes import SlabShapes, wanted_line

# Order and objects of kmalloc caches by CPUs, as read from calculate_order of 6.12.
KNOWN = {
    2: {"128": (0, 32), "192": (0, 21), "256": (0, 16), "512": (1, 16), "1k": (2, 16), "2k": (3, 16)},
    8: {"128": (0, 32), "192": (0, 21), "256": (1, 32), "512": (2, 32), "1k": (3, 32), "2k": (3, 16)},
    16: {"128": (0, 32), "192": (1, 42), "256": (1, 32), "512": (2, 32), "1k": (3, 32), "2k": (3, 16)},
    128: {"128": (1, 64), "192": (1, 42), "256": (2, 64), "512": (3, 64), "1k": (3, 32), "2k": (3, 16)},
}


@pytest.mark.parametrize("cpus", KNOWN)
def test_the_table_follows_the_slider(cpus):
    shapes = SlabShapes([128, 192, 256, 512, 1024, 2048])
    shapes.slider.value = cpus
    seen = {row[0].removeprefix("kmalloc-"): (int(row[1]), int(row[3])) for row in shapes.rows()}
    assert seen == KNOWN[cpus]
    assert f"with {cpus} CPUs" in shapes.table.value
    assert f"{cpus} is" in shapes.words.value


def test_a_size_that_kmalloc_has_not_is_a_cache_of_its_own():
    assert SlabShapes([704], cpus=1).rows() == [("704 bytes", "1", "8,192 bytes", "11", "448 bytes, 5.5 %")]
    assert SlabShapes([704], cpus=4).rows() == [("704 bytes", "2", "16,384 bytes", "23", "192 bytes, 1.2 %")]


def test_the_text_says_what_is_seen():
    assert SlabShapes([256], cpus=8).text() == f"{wanted_line(8)}\nkmalloc-256: order 1, 32 objects"
    assert wanted_line(1) == "1 is 1 in binary, 1 bit. A slab should hold 4 * (1 + 1) = 8 objects or more."


@pytest.mark.parametrize("cpus", [0, 129])
def test_a_number_of_cpus_that_cannot_be(cpus):
    with pytest.raises(ValueError, match=f"^a machine with {cpus} CPUs cannot be shown here: give 1..128$"):
        SlabShapes([256], cpus)
