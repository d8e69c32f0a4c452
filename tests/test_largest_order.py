from pagelab.lab.exercise import NOT_YET, RIGHT, grade, grade_all, largest_orders

FRAGMENTED = [9120, 4071, 880, 65, 0, 0, 0, 0, 0, 0, 0]


def asked(counts):
    return largest_orders({(0, "Normal"): counts})["Normal"]


def test_the_last_column_with_a_block_is_the_largest_order():
    assert grade(asked(FRAGMENTED), 3).state == RIGHT
    assert grade(asked([0] * 10 + [1]), 10).state == RIGHT
    assert grade(asked([1] + [0] * 10), 0).state == RIGHT


def test_enough_free_pages_are_no_block():
    verdict = grade(asked(FRAGMENTED), 10)
    assert (verdict.state, verdict.variant) == (NOT_YET, "free-is-enough")
    assert "21,302 pages (83.2 MiB) are free" in verdict.text
    assert "order 3, 32 KiB" in verdict.text
    assert grade(asked([40] + [0] * 10), 5).variant == "free-is-enough"


def test_any_other_order_is_met_with_the_rule():
    verdict = grade(asked(FRAGMENTED), 2)
    assert (verdict.state, verdict.variant) == (NOT_YET, None)
    assert verdict.text.endswith("not 2.")


def test_each_zone_with_a_free_block_is_asked_by_name():
    zones = {(0, "DMA"): [0] * 10 + [3], (0, "Normal"): FRAGMENTED, (0, "Movable"): [0] * 11}
    assert list(largest_orders(zones)) == ["DMA", "Normal"]
    assert grade_all(largest_orders(zones), {"DMA": 10, "Normal": 3}).state == RIGHT
    assert list(largest_orders(zones | {(1, "Normal"): FRAGMENTED})) == ["node 0 DMA", "node 0 Normal", "node 1 Normal"]
