"""The table of fragmentation says what the kernel's two files say."""

from pagelab.lab.extfrag import fragmentation
from pagelab.lab.scenario import give_back, some_free, text

SCATTERED = give_back(some_free([100, 700, 1300, 1900], 2048).then("alloc 0 unmovable x4"))
TOGETHER = give_back(text("alloc 0 unmovable x4; alloc 0 x2044", 2048))


def test_two_numbers_for_each_zone_in_columns_of_their_order():
    lines = fragmentation({"scattered": SCATTERED.at(len(SCATTERED)).zone, "together": TOGETHER.at(len(TOGETHER)).zone}).splitlines()
    assert lines[0].split() == ["order", *(str(order) for order in range(11))]
    assert (lines[1], lines[4]) == ("unusable free space", "fragmentation index")
    assert [line.split()[0] for line in lines[2:4] + lines[5:]] == ["scattered", "together"] * 2
    assert lines[2].split()[9:] == ["0.499", "1.000", "1.000"]
    assert lines[3].split()[10:] == ["0.248", "0.499"]
    assert lines[5].split()[8:] == ["-1.000", "-1.000", "0.862", "0.917"]
    assert set(lines[6].split()[1:]) == {"-1.000"}


def test_the_columns_stand_below_each_other_and_fit_a_page():
    lines = fragmentation({"a": SCATTERED.at(0).zone, "a longer name": TOGETHER.at(0).zone}).splitlines()
    assert {len(line) for line in (lines[0], *lines[2:4], *lines[5:])} == {len("a longer name") + 77}
