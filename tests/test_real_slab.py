"""The slab caches of a capture against the model's geometry: what is exact, wrong, or cannot be told."""

import csv
import gzip
import re
import shutil
from contextlib import suppress

import pytest
from conftest import captures, verified
from hypothesis import given
from hypothesis import strategies as st

from pagelab.real.capture import EXAMPLES, Capture, CaptureError, open_capture
from pagelab.real.slab import COLUMNS, slab_geometry
from pagelab.real.verify import verify

SLAB = EXAMPLES / "612-slab-768M-1cpu"
CACHES = {"61": (146, 8), "612": (179, 10)}  # by kernel: unique caches, those whose size tells of a constructor
WITH_CTOR = ("61-state-256M-1cpu", "612-boot-512M-1cpu", "612-state-1G-2cpu-2node")


def read(folder):
    return gzip.decompress((folder / "S0.slab.tsv.gz").read_bytes()).decode()


def write(folder, text):
    (folder / "S0.slab.tsv.gz").write_bytes(gzip.compress(text.encode(), 1))


def change(folder, name, **cells):
    """Change cells of one cache, or with name None the cells of all; with a function, by what is in the row."""
    rows = [line.split("\t") for line in read(folder).splitlines()]
    header = rows[0]
    for column in cells.keys() - set(header):
        for at, row in enumerate(rows):
            row.append("" if at else column)
    for row in rows[1:]:
        if name in (None, row[0]):
            for column, value in cells.items():
                told = dict(zip(header, row, strict=True))
                row[header.index(column)] = value(told) if callable(value) else str(value)
    write(folder, "\n".join("\t".join(row) for row in rows) + "\n")


def drop(folder, *columns):
    rows = [line.split("\t") for line in read(folder).splitlines()]
    keep = [at for at, column in enumerate(rows[0]) if column not in columns]
    write(folder, "\n".join("\t".join(row[at] for at in keep) for row in rows) + "\n")


@pytest.fixture
def machine(tmp_path):
    """A copy of the slice of a 6.12 machine with 1 CPU, without its trace."""
    return shutil.copytree(SLAB, tmp_path / "machine", ignore=shutil.ignore_patterns("trace*"))


def geometry(folder):
    return slab_geometry(open_capture(folder))


def exact(caches, by_ctor=0):
    counts = dict.fromkeys((f"{column}_exact" for column in COLUMNS), caches)
    return {"slab": {"caches": caches} | counts | {"size_exact": caches - by_ctor, "size_by_ctor": by_ctor}}


# What real machines say


def test_every_cache_of_every_known_capture_comes_out():
    for path in captures():
        kernel = path.name.split("-")[0]
        if any(path.glob("*.slab.tsv*")) and kernel in CACHES:
            caches, by_ctor = CACHES[kernel]
            told = verified(path)[1]["slab"]
            assert {"slab": told} == exact(caches, 0 if path.name in WITH_CTOR and any(path.glob("dmesg*")) else by_ctor)


def test_no_number_of_any_capture_is_wrong(capture_path):
    found = slab_geometry(open_capture(capture_path))
    assert (found.wrong, found.place != "") == (0, any(capture_path.glob("*.slab.tsv*")))
    assert (verified(capture_path)[1]["slab"] is None) == (not found.rows)


def test_each_row_has_what_the_latest_table_says(capture_path):
    capture = open_capture(capture_path)
    found = slab_geometry(capture)
    names = [f"{snapshot}.slab.tsv" for snapshot in capture.snapshots if f"{snapshot}.slab.tsv" in capture]
    for name in names[-1:]:
        rows = {row["name"]: row for row in csv.DictReader(capture.text(name).splitlines(), delimiter="\t") if not row["link"]}
        assert {row.name for row in found.rows} == set(rows)
        for row in found.rows:
            told = rows[row.name]
            assert list(row.kernel.values()) == [int(told[column]) for column in COLUMNS.values()]
            # The rule as captures show it: the object, a free pointer behind it where something must survive in it, the alignment.
            size = -(-int(told["object_size"]) // 8) * 8
            behind = told["ctor"] != "" if "ctor" in told else row.by_ctor
            placed = told["destroy_by_rcu"] == "1" and row.layout.freeptr_outside
            assert row.layout.size == -(-(size + 8 * (behind or placed)) // row.layout.align) * row.layout.align


# What is wrong


@pytest.mark.parametrize(("ours", "theirs"), COLUMNS.items())
@pytest.mark.parametrize("name", ["filp", "kmalloc-96", ":0000136", "names_cache"])
def test_one_changed_number_is_wrong_and_named(machine, ours, theirs, name):
    (before,) = [row for row in geometry(machine).rows if row.name == name]
    number = getattr(before.layout, ours)
    change(machine, name, **{theirs: number + 1 if ours != "size" else number + 640})
    report = verify(open_capture(machine))
    assert (report.exit_code, report.slab.wrong) == (1, 1)
    (note,) = report.notes
    assert note.startswith(f"S0.slab.tsv.gz, cache {name}: {ours} ")
    assert f"{theirs} {number + (640 if ours == 'size' else 1)} in the kernel; this is wrong." in note
    assert f"{ours} {number} by the rules" in note
    assert report.as_json()["slab"][f"{ours}_exact"] == 178 - 10 * (ours == "size")
    assert "; 1 WRONG" in report.as_text()


def test_the_size_of_a_slot_is_no_input(machine):
    change(machine, None, ctor="")
    before = {row.name: row.layout for row in geometry(machine).rows}
    change(machine, None, slab_size=lambda row: str(int(row["slab_size"]) + 8))
    found = geometry(machine)
    assert {row.name: row.layout for row in found.rows} == before
    assert (found.as_json()["slab"]["size_exact"], found.by_ctor) == (0, 0)


def test_a_constructor_that_is_told_is_used(machine):
    by_ctor = {row.name for row in geometry(machine).rows if row.by_ctor}
    assert len(by_ctor) == 10
    change(machine, None, ctor=lambda row: "init_once+0x0/0x10" if row["name"] in by_ctor else "")
    assert geometry(machine).as_json() == exact(179)
    change(machine, "inode_cache", ctor="")
    found = geometry(machine)
    assert (found.as_json()["slab"]["size_exact"], found.by_ctor) == (178, 0)
    assert {row.name for row in found.rows if row.wrong()} == {"inode_cache"}


@pytest.mark.parametrize(("column", "value"), [("object_size", 190), ("align", 1024), ("red_zone", 1), ("poison", 1), ("store_user", 1)])
def test_what_a_cache_is_made_with_matters(machine, column, value):
    change(machine, "skbuff_small_head", **{column: value})
    found = geometry(machine)
    assert {row.name for row in found.rows if row.wrong()} == {"skbuff_small_head"}


def test_a_size_that_rcu_explains_is_exact_and_one_that_it_does_not_is_by_a_constructor(machine):
    change(machine, "TCPv6", destroy_by_rcu=0)
    assert geometry(machine).as_json() == exact(179, 11)
    change(machine, None, ctor="")
    assert "TCPv6" in {row.name for row in geometry(machine).rows if row.wrong()}


def test_a_debugged_cache_has_no_partial_list(machine):
    change(machine, "filp", sanity_checks=1)
    (note,) = geometry(machine).notes
    assert "cache filp: cpu_partial 0 by the rules, cpu_partial 120 in the kernel" in note


def test_many_wrong_numbers_are_counted_and_ten_are_named(machine):
    change(machine, None, order=lambda row: str(3 - int(row["order"])), min_partial=7)
    found = geometry(machine)
    assert len(found.notes) == 11
    assert found.notes[-1] == f"S0.slab.tsv.gz: {found.wrong - 10:,} more numbers are wrong."
    assert found.wrong == 2 * 179


def test_an_alias_is_not_counted(machine):
    aliases = [line.split("\t")[0] for line in read(machine).splitlines()[1:] if line.split("\t")[1]]
    change(machine, aliases[0], order=9, min_partial=9)
    assert geometry(machine).as_json() == exact(179, 10)


# CPUs and kernels


def test_cpus_are_those_that_zoneinfo_names(machine):
    text = (machine / "S0.zoneinfo").read_text()
    cpu = re.search(r"    cpu: 0\n(?:              .*\n)+.*vm stats.*\n", text)[0]
    (machine / "S0.zoneinfo").write_text(text.replace(cpu, cpu + "".join(cpu.replace("cpu: 0", f"cpu: {n}") for n in (1, 2, 5))))
    orders = {row.name: row.layout.order for row in geometry(machine).rows if row.name.startswith("kmalloc-")}
    # What a machine with 4 CPUs has.
    assert [orders[f"kmalloc-{size}"] for size in ("192", "256", "512", "1k", "2k", "8k")] == [0, 0, 1, 2, 3, 3]
    assert geometry(machine).wrong > 30


def test_without_cpus_there_is_nothing_to_say(machine):
    (machine / "S0.zoneinfo").unlink()
    report = verify(open_capture(machine))
    assert (report.as_json()["slab"], report.exit_code) == (None, 2)
    assert "S0.slab.tsv.gz: not checked, because no zoneinfo tells the number of CPUs." in report.notes


def test_another_snapshot_may_tell_the_cpus(machine):
    (machine / "S0.zoneinfo").rename(machine / "S1.zoneinfo")
    assert geometry(machine).as_json() == exact(179, 10)


def test_the_latest_table_counts(machine):
    shutil.copy(machine / "S0.slab.tsv.gz", machine / "S1.slab.tsv.gz")
    change(machine, "filp", order=3)
    assert (geometry(machine).place, geometry(machine).wrong) == ("S1.slab.tsv.gz", 0)


@pytest.mark.parametrize(
    ("version", "size", "wrong"), [("6.12", 256, True), ("6.12", 320, False), ("6.18", 256, False), ("6.18", 320, True)]
)
def test_where_6_18_keeps_a_free_pointer(machine, version, size, wrong):
    (machine / "S0.version").write_text(f"Linux version {version}.3-test\n")
    header, line = "name\tlink\tobject_size\tslab_size\talign\tdestroy_by_rcu\tctor", f"vm_area_struct\t\t256\t{size}\t64\t1\t"
    write(machine, f"{header}\n{line}\n")
    found = geometry(machine)
    assert (len(found.rows), bool(found.wrong)) == (1, wrong)
    assert found.as_json()["slab"]["order_exact"] is None


def test_a_kernel_that_is_not_modelled_is_named(machine):
    (machine / "S0.version").write_text("Linux version 6.14.3-test\n")
    assert geometry(machine).notes == ["S0.slab.tsv.gz: the rules of 6.12 are used for kernel 6.14."]
    (machine / "S0.version").unlink()
    assert geometry(machine).notes == ["S0.slab.tsv.gz: the rules of 6.12 are used for kernel unknown."]


# What the table does not tell


def test_a_number_that_is_not_told_is_null_and_not_wrong(machine):
    drop(machine, "min_partial", "hwcache_align", "red_zone")
    found = geometry(machine)
    assert found.as_json()["slab"] == exact(179, 10)["slab"] | {"min_partial_exact": None}
    assert (found.wrong, found.notes) == (0, [])
    assert "min_partial unknown" in next(found.as_text())


def test_one_cell_that_is_empty_is_not_exact_and_not_wrong(machine):
    change(machine, "filp", order="")
    found = geometry(machine)
    assert (found.as_json()["slab"]["order_exact"], found.wrong) == (178, 0)


@pytest.mark.parametrize("column", ["object_size", "align", "destroy_by_rcu"])
def test_without_what_a_cache_is_made_with_it_is_not_checked(machine, column):
    change(machine, "filp", **{column: ""})
    found = geometry(machine)
    assert (len(found.rows), found.wrong, len(found.notes)) == (178, 0, 1)
    lacks = "of the others the table lacks object_size, align or destroy_by_rcu."
    assert found.notes == [f"S0.slab.tsv.gz: 178 of 179 caches are checked; {lacks}"]
    drop(machine, column)
    assert geometry(machine).as_json() == {"slab": None}
    assert geometry(machine).notes == [f"S0.slab.tsv.gz: 0 of 179 caches are checked; {lacks}"]


def test_a_capture_without_a_table_has_no_row(machine):
    (machine / "S0.slab.tsv.gz").unlink()
    found = geometry(machine)
    assert (found.as_json(), list(found.as_text()), found.notes) == ({"slab": None}, [], [])


def test_a_cache_that_no_kernel_could_make_is_an_error(machine):
    change(machine, "filp", object_size=4 << 20)
    with pytest.raises(CaptureError, match=r"^S0.slab.tsv.gz line \d+: an object of 4194304 bytes needs a slab of order 11"):
        geometry(machine)


FILES = {path.name: bytearray(path.read_bytes()) for path in SLAB.iterdir() if not path.name.startswith(("trace", "S0.slab.tsv"))}


@given(st.data())
def test_no_damage_gives_any_other_error(data):
    lines = read(SLAB).splitlines()
    lines = [lines[0], *(lines[at] for at in data.draw(st.lists(st.integers(1, len(lines) - 1), min_size=1, max_size=4, unique=True)))]
    row = data.draw(st.integers(1, len(lines) - 1))
    cells = lines[row].split("\t")
    at = data.draw(st.integers(1, len(cells) - 1))
    cells[at] = data.draw(st.integers(0, 9_000_000).map(str) | st.sampled_from(["", "1", "8", "4096", "4194304"]))
    lines[row] = "\t".join(cells)
    with suppress(CaptureError):
        found = slab_geometry(Capture("x", FILES | {"S0.slab.tsv": bytearray("\n".join(lines).encode())}))
        assert found.as_json()["slab"] is None or len(found.rows) <= 4
