from hypothesis import given
from hypothesis import strategies as st

from pagelab.mm.slab import CPU_PARTIAL, END, IN_USE, LOST, NODE_PARTIAL, OBJECT, KmemCache
from pagelab.mm.slab_check import validate_cache
from pagelab.mm.slab_layout import slab_debug, slab_layout


def cache(size=512, cpus=1, nodes=1, sequence=(), **options):
    return KmemCache("spoon", slab_layout(size, **options), cpus, nodes, {}, sequence)


def test_a_new_slab_links_its_objects_by_address():
    one = cache()
    slab = one.carve(5, 0)
    assert one.slab(slab).freelist == tuple(range(8))
    assert one.owners == {5: (one, slab)}
    assert [one.word(slab, 0), one.word(slab, 3)] == [OBJECT + 5 * 512, OBJECT + 5 * 512 + 3 * 64]


def test_a_random_freelist_is_a_rotation_of_one_permutation():
    sequence = (3, 1, 0, 2, 7, 6, 4, 5)
    one = cache(sequence=sequence)
    walks = {one.slab(one.carve(pfn, 0)).freelist for pfn in range(64)}
    rotations = {sequence[at:] + sequence[:at] for at in range(8)}
    assert walks <= rotations
    assert len(walks) > 4


def test_a_short_slab_leaves_out_what_it_does_not_reach():
    one = cache(704, cpus=4, sequence=tuple(range(22, -1, -1)))
    slab = one.carve(0, 0)
    assert one.layout.order == 1 or one.layout.objects > 5
    assert sorted(one.slab(slab).freelist) == [0, 1, 2, 3, 4]
    assert (one.order(slab), one.slab(slab).objects) == (one.layout.min_order, 5)


def test_objects_start_behind_the_left_red_zone():
    one = cache(64, flags=slab_debug("Z"))
    slab = one.carve(2, 0)
    assert one.word(slab, 0) - OBJECT - 2 * 512 == one.layout.red_left_pad // 8 > 0
    assert one.index(slab, one.word(slab, 4)) == 4
    assert one.index(slab, one.word(slab, 4) - 1) == one.index(slab, one.word(slab, one.layout.objects)) == -1


def test_a_cpu_takes_a_slab_whole_and_gives_it_up_in_order():
    one = cache()
    slab = one.carve(0, 0)
    one.load(0, slab)
    assert one.slab(slab)[3:] == (8, 0, "cpu slab", 0, (), tuple(range(8)))
    words = [one.pop(0) for _ in range(3)]
    one.put(slab, 1)
    assert one.unload(0) == slab
    assert one.slab(slab).freelist == (3, 4, 5, 6, 7, 1)
    assert (one.inuse[slab], one.live()) == (2, 2)
    assert [one.index(slab, word) for word in words] == [0, 1, 2]


def test_lists_have_a_head_and_a_tail():
    one = cache()
    a, b, c = (one.carve(pfn, 0) for pfn in range(3))
    one.enlist(a, NODE_PARTIAL, 0)
    one.enlist(b, NODE_PARTIAL, 0)
    one.enlist(c, NODE_PARTIAL, 0, tail=True)
    assert [*one.node[0].partial] == [b, a, c]
    one.delist(a)
    one.enlist(a, CPU_PARTIAL, 0)
    one.delist(c)
    one.enlist(c, CPU_PARTIAL, 0)
    assert [one.first(CPU_PARTIAL, 0), one.first(NODE_PARTIAL, 0)] == [c, b]
    validate_cache(one)


def test_what_is_lost_is_neither_free_nor_in_use():
    one = cache()
    slab = one.carve(0, 0)
    one.sever(slab, 2)
    assert one.slab(slab).freelist == (0, 1, 2)
    assert list(one.next[:8]) == [1, 2, END, LOST, LOST, LOST, LOST, LOST]
    one.draw(slab)
    one.lose(slab)
    assert list(one.next[:8]) == [IN_USE] + [LOST] * 7
    assert (one.live(), one.inuse[slab]) == (1, 8)


def test_stains_are_written_over():
    one = cache()
    one.stain(100, 8, 0x41)
    one.clean(102, 104)
    assert sorted(one.stains) == [100, 101, 104, 105, 106, 107]


def test_a_number_is_used_again():
    one = cache()
    first = one.carve(0, 0)
    assert one.discard(first) == 0
    assert (one.owners, one.slabs, one.numbers()) == ({}, 0, [])
    assert one.carve(9, 0) == first
    assert (one.slabs, one.carved) == (1, 2)
    validate_cache(one)


@given(st.lists(st.integers(0, 6), max_size=60), st.booleans())
def test_a_snapshot_brings_everything_back(steps, drawn):
    one = cache(1024, cpus=2, sequence=(2, 0, 3, 1, 7, 6, 4, 5) if drawn else ())
    for n, step in enumerate(steps):
        cpu = n % 2
        match step:
            case 0 | 1 if one.cpu[cpu].slab < 0:
                one.load(cpu, one.carve(4 * n, one.layout.order))
            case 2 | 3 | 4:
                one.pop(cpu)
            case 5 if one.cpu[cpu].slab >= 0:
                slab = one.unload(cpu)
                one.enlist(slab, CPU_PARTIAL if n % 3 else NODE_PARTIAL, cpu if n % 3 else 0)
            case 6:
                one.stain(n, 2, 7)
    validate_cache(one)
    owners = {}
    other = one.blank(owners)
    other.restore(one.snapshot())
    assert other.snapshot() == one.snapshot()
    assert {pfn: slab for pfn, (_, slab) in owners.items()} == {pfn: slab for pfn, (_, slab) in one.owners.items()}
    assert list(map(other.slab, other.numbers())) == list(map(one.slab, one.numbers()))
    assert [other.pop(0), other.slabs, other.carved] == [one.pop(0), one.slabs, one.carved]
    validate_cache(other)


def test_what_a_cpu_slab_loses_was_in_use_for_the_slab_before():
    one = cache()
    slab = one.carve(0, 0)
    one.load(0, slab)
    one.sever(slab, 2)
    assert one.slab(slab)[3:] == (8, 0, "cpu slab", 0, (), (0, 1, 2))
    other = one.carve(1, 0)
    one.enlist(other, NODE_PARTIAL, 0)
    one.sever(other, 2)
    assert (one.inuse[other], one.slab(other).freelist) == (5, (0, 1, 2))
    validate_cache(one)
