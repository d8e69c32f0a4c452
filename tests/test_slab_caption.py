import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pagelab.lab.caption import captions
from pagelab.lab.scenario import slab
from pagelab.lab.slab_caption import slab_caption
from pagelab.lab.slab_summary import slab_summary
from pagelab.mm.slab_act import SLAB_ACTS, Called, Carved, Cleaned, Drawn, Lost, Reported, Rested, Stained
from pagelab.view.summary import summary

NINE = "kmalloc 512 x9; kfree @3"


def sentences(tape, k):
    return [caption.sentence for caption in captions(tape.acts(k))]


def test_a_free_to_a_full_slab():
    assert [tuple(caption[:3]) for caption in captions(slab(NINE).acts(9))] == [
        ("ask: free object 3 of 0", "A caller frees object 3 of the slab at 0, kmalloc-512.", "kfree()"),
        (
            "object 3 to the slab at 0",
            "Object 3 of the slab at 0 goes to the head of the slab's own freelist. "
            "That was empty: the slab was full, and is on no list yet.",
            "__slab_free()",
        ),
        (
            "cpu partial: 0 of 13",
            "No slab waits on cpu 0's partial list, and 13 is the limit: there is room for one more.",
            "put_cpu_partial()",
        ),
        ("0 to the head of a list", "The slab at 0 goes to the head of cpu 0's partial list, with its free object.", "put_cpu_partial()"),
    ]


def test_a_new_slab_has_the_words_of_the_page_allocator_between():
    said = captions(slab(NINE).acts(8))
    shorts = [caption.short for caption in said]
    assert shorts[:6] == [
        "ask: 512 bytes",
        "cpu freelist: empty",
        "slab's freelist: empty",
        "cpu 0 lets 0 go",
        "cpu partial list: empty",
        "node partial list: empty",
    ]
    assert shorts[6] == "ask: order 0"
    assert shorts[-4:] == ["hand out 1", "new slab at 1", "cpu slab: 1", "hand out object 0 of 1"]
    assert said[-3].sentence == "Page 1 becomes a slab of kmalloc-512: 8 objects, all free."
    assert said[-2].sentence == "The slab at 1 becomes cpu 0's slab. The CPU takes its freelist: 8 objects."


def freed_in_order(slabs):
    tape = slab(f"kmalloc 512 x{8 * slabs}")
    return tape.then("; ".join(f"kfree @{k}" for k in range(8 * (slabs - 2) + 1)))


def test_a_crowded_list_goes_to_the_node_and_what_is_too_much_goes_back():
    tape = freed_in_order(15)
    said = sentences(tape, len(tape) - 1)
    assert "13 slabs wait on cpu 0's partial list, and 13 is the limit: all of them go to the node first." in said
    assert "The slab at 12 is empty. Its node keeps 5 partial slabs and has 0: it stays." in said
    assert "The slab at 7 is empty. Its node keeps 5 partial slabs and has 5: this one goes back to the page allocator." in said
    assert said.count("The slab at 0 is a slab no more. Page 0 goes back to the page allocator.") == 1
    assert summary(tape.acts(len(tape) - 1)).sentence == (
        "Object 0 of the slab at 13 goes to the head of the slab's own freelist. That was empty: the slab was full. The slab at 13 "
        "goes to the "
        "head of cpu 0's partial list, with its free object. 13 slabs were on that list, its limit: they go to the node. 8 empty slabs go "
        "back to the page allocator: 8 pages."
    )


@pytest.mark.parametrize(("kernel", "function"), [("6.12", "__put_partials()"), ("6.1", "__unfreeze_partials()")])
def test_each_kernel_has_its_own_names(kernel, function):
    tape = freed_in_order(15)
    sources = {caption.source(kernel) for caption in captions(tape.acts(len(tape) - 1))}
    assert f"{function} → add_partial()   mm/slub.c   {kernel}" in sources
    assert ("kfree()   mm/slub.c   6.12" in sources) == (kernel == "6.12")
    assert ("kfree()   mm/slab_common.c   6.1" in sources) == (kernel == "6.1")


@pytest.mark.parametrize(
    ("requests", "sentence"),
    [
        ("kmalloc 100", "A caller asks for 100 bytes: the smallest size of a kmalloc cache that holds them is 128, of kmalloc-128."),
        ("kmalloc 512 cpu 1", "A caller on cpu 1 asks for 512 bytes: exactly the size of an object of kmalloc-512."),
        ("kmalloc 8193", "A caller asks for 8,193 bytes. No cache has objects of that size: a block of order 2 will serve."),
        ("kmem_cache_alloc cred", "A caller asks for an object of cred."),
        ("shrink cred", "cred is to give back every slab that it can: the CPUs are emptied first."),
        (
            "kmalloc 8193; kfree @0",
            "A caller frees the pages at 0. They belong to no slab, so they go straight back to the page allocator.",
        ),
        ("kmalloc 8; kfree @0 cpu 1", "A caller on cpu 1 frees object 0 of the slab at 0, kmalloc-8."),
    ],
)
def test_what_is_asked_for(requests, sentence):
    tape = slab(requests, cpus=2, caches={"cred": 184})
    assert sentences(tape, len(tape) - 1)[0] == sentence


@pytest.mark.parametrize(
    ("requests", "sentence"),
    [
        ("kmalloc 512 x2", "Cpu 0's freelist has a free object. The caller receives object 1 of the slab at 0."),
        ("kmalloc 512 x9", "Cpu 0's freelist has a free object. The caller receives object 8 of the slab at 0."),
        ("kmalloc 512 x17", "No slab has a free object: pages 2-3 become a slab of 16. The caller receives object 0 of the slab at 2."),
        (
            "kmalloc 512 x16; kfree @4 cpu 1; kfree @6 cpu 1; kmalloc 512",
            "Cpu 0's freelist is empty, and takes the 2 objects freed to its slab meanwhile. The caller receives object 6 of the slab "
            "at 0.",
        ),
        (
            "kmalloc 512 x17; kfree @3; kmalloc 512 x16",
            "The first slab of cpu 0's partial list becomes its cpu slab. The caller receives object 3 of the slab at 0.",
        ),
        (
            "kmalloc 512 x16; kfree @4 cpu 1",
            "Object 4 of the slab at 0 goes to the head of the slab's own freelist. "
            "The slab is a cpu slab, whose CPU will look here when its own "
            "freelist is empty.",
        ),
        ("kmalloc 8193", "8,193 bytes are too many for a cache: pages 0-3 come straight from the page allocator."),
        ("kmalloc 4194304", "No block of pages is free for it. The caller receives NULL: the request is refused."),
        (
            "kmalloc 8; kfree @0",
            "The slab at 0 is the cpu slab. Object 0 goes to the head of cpu 0's freelist: it will be handed out next.",
        ),
        (
            "kmalloc 8; kfree @0; shrink kmalloc-8",
            "kmalloc-8 gives back what it can. 1 empty slab goes back to the page allocator: 1 page.",
        ),
        ("kmalloc 8; shrink kmalloc-8", "kmalloc-8 gives back what it can. No slab is empty."),
    ],
)
def test_a_whole_request(requests, sentence):
    tape = slab(requests, cpus=2)
    assert summary(tape.acts(len(tape) - 1)).sentence == sentence


def test_slabs_from_the_node_are_told():
    tape = freed_in_order(15).then("kmalloc 512 x2")
    assert summary(tape.acts(len(tape) - 1)).sentence == (
        "The first slab of node 0's partial list becomes the cpu slab, and 4 more wait on its partial list. The caller receives object 7 "
        "of the slab at 12."
    )
    assert "The first slab of node 0's partial list is the one at 12. It leaves the list." in sentences(tape, len(tape) - 1)


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["kmalloc 512", "kmalloc 100", "kmalloc 8193", "kmem_cache_alloc cred", "free", "write", "shrink cred", "alloc 0"]),
        st.integers(0, 999),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=60,
)


MACHINES = st.sampled_from(
    [("6.1", "-", 32), ("6.12", "-", 64), ("6.12", "FZPU", 64), ("6.1", "P", 64), ("7.x", "-", 64), ("7.x", "-", 24)]
)


@settings(deadline=None)
@given(REQUESTS, MACHINES)
def test_every_act_of_any_run_is_put_into_words(moves, kind):
    kernel, debug, pages = kind
    tape, live = slab("", pages, kernel=kernel, cpus=2, pcp=pages == 64, debug=debug, caches={"cred": 184}), []
    for verb, pick, cpu in moves:
        k = len(tape)
        if verb == "free" and live:
            tape = tape.then(f"kfree @{live.pop(pick % len(live))} cpu {cpu}")
        elif verb == "write" and live and debug != "-":
            number = live[pick % len(live)]
            tape = tape if (tape.received[number] - (1 << 30)) // 512 in tape.at(k).large else tape.then(f"write @{number} {pick}")
        elif verb not in ("free", "write"):
            tape = tape.then(verb + f" cpu {cpu}" * verb.startswith("k"))
            if verb.startswith("k") and tape.received[k] >= 0:
                live.append(k)
    for k in range(len(tape)):
        acts = tape.acts(k)
        said = captions(acts)
        assert len(said) == len(acts)
        assert all(caption.short and caption.sentence.endswith(".") for caption in said)
        whole = summary(acts)
        assert whole.short
        assert whole.sentence.endswith(".")


WRONG = [
    (Drawn("c", 8, 1), "Object 1 of the slab at 8 is the head of the slab's own freelist: it is handed out."),
    (Rested("c", 8, 1, False), "Object 1 of the slab at 8 goes into the CPU's main sheaf. For its slab it is still in use."),
    (Rested("c", 8, 1, True), "The last object in the CPU's main sheaf is object 1 of the slab at 8. The caller receives it."),
    (Stained("c", 4096 + 512, 2, 0x41), "2 bytes that belong to no object in use are written: page 1, from byte 512 on, 0x41."),
    (Stained("c", 12, 1, 0), "1 byte that belongs to no object in use is written: page 0, from byte 12 on, 0x00."),
    (
        Reported("c", "BUG c: Object already free"),
        "A check finds that something is wrong. The kernel prints: BUG c: Object already free.",
    ),
    (Reported("c", "FIX c: Object at 0x8 not freed"), "The kernel puts right what it can, and prints: FIX c: Object at 0x8 not freed."),
    (Reported("c", "c: the pointer is 0x41"), "No check looks at this pointer. c: the pointer is 0x41."),
    (Cleaned("c", 8, 24), "16 bytes get the values again that a check expects."),
    (Lost("c", 8, -1), "The free objects of the slab at 8 are not used any more: they cannot be trusted."),
    (Lost("c", 8, 3), "The free objects after object 3 of the slab at 8 are not used any more: they cannot be trusted."),
]


@pytest.mark.parametrize(("act", "sentence"), WRONG, ids=lambda value: type(value).__name__)
def test_acts_of_checks_and_sheaves(act, sentence):
    assert slab_caption([Called("kfree", "c", 0, 0, 8, 1), act], 1).sentence == sentence


def test_a_request_that_a_check_refuses_says_so():
    acts = [Called("kfree", "c", 0, 0, 8, 1), Reported("c", "BUG c: Object already free")]
    assert slab_summary(acts).sentence == (
        "Object 1 of the slab at 8 is not freed. A check finds that something is wrong. The kernel prints: BUG c: Object already free."
    )
    assert {type(act) for act, _ in WRONG} < set(SLAB_ACTS)


def test_functions_of_sheaves_are_labelled_as_of_one_fork():
    sources = {slab_caption([Called("kfree", "c", 0, 0), Rested("c", 8, 1, awake)], 1).source("7.x") for awake in (True, False)}
    assert sources == {f"{function}   mm/slub.c   7.1, as one fork has it" for function in ("alloc_from_pcs()", "free_to_pcs()")}


@pytest.mark.parametrize(
    ("acts", "sentence"),
    [
        (
            [Called("kmalloc", "c", 8, 0), Rested("c", 8, 1, True)],
            "The CPU's main sheaf has a free object. The caller receives object 1 of the slab at 8.",
        ),
        (
            [Called("kmalloc", "c", 8, 0), Carved("c", 8, 0, 4), Rested("c", 8, 1, True)],
            "The CPU's main sheaf was empty: another one, or one filled from slabs, takes its place. The caller receives object 1 of the "
            "slab at 8.",
        ),
        (
            [Called("kfree", "c", 0, 0, 8, 1), Rested("c", 8, 1, False)],
            "Object 1 of the slab at 8 goes into the CPU's main sheaf. For its slab it is still in use.",
        ),
        (
            [Called("write", "c", 72, 0, 8, 1), Stained("c", 64, 8, 0x41)],
            "A caller writes 72 bytes to object 1 of the slab at 8, c, from its start. 8 of them lie outside an object in use.",
        ),
    ],
)
def test_whole_requests_of_sheaves_and_writes(acts, sentence):
    assert slab_summary(acts).sentence == sentence


def test_a_whole_request_to_a_sheaf_names_the_functions_of_the_fork():
    run = slab("kmalloc 512 x2; kfree @0", kernel="7.x")
    sources = [slab_summary(run.acts(k)).source("7.x") for k in range(3)]
    assert [source.split()[0] for source in sources] == ["__pcs_replace_empty_main()", "alloc_from_pcs()", "kfree()"]
    assert all(source.endswith("7.1, as one fork has it") for source in sources)
