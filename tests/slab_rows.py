"""The slab.tsv of a capture, read without pagelab."""

import csv
import gzip
import re

from pagelab.mm.slab_layout import Slab

COLUMNS = {
    "red_zone": Slab.RED_ZONE,
    "poison": Slab.POISON,
    "store_user": Slab.STORE_USER,
    "sanity_checks": Slab.CONSISTENCY_CHECKS,
    "cache_dma": Slab.CACHE_DMA,
    "reclaim_account": Slab.RECLAIM_ACCOUNT,
    "destroy_by_rcu": Slab.TYPESAFE_BY_RCU,
    "hwcache_align": Slab.HWCACHE_ALIGN,
}


def text_of(path, name):
    """The text of a file of a capture, plain or .gz; "" where there is none."""
    plain, packed = path / name, path / f"{name}.gz"
    return plain.read_text() if plain.exists() else gzip.decompress(packed.read_bytes()).decode() if packed.exists() else ""


def slab_rows(path):
    """The rows of slab.tsv as dicts, values as text; none where there is no such file."""
    return list(csv.DictReader(text_of(path, "S0.slab.tsv").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def machine_of(path):
    """The kernel and the CPUs of a capture, as arguments."""
    version = re.search(r"Linux version (\d+)\.(\d+)", text_of(path, "S0.version"))
    kernel = {(6, 1): "6.1", (6, 12): "6.12"}.get((int(version[1]), int(version[2])), "6.18" if version[1] == "6" else "7.x")
    return {"kernel": kernel, "cpus": len(set(re.findall(r"cpu: (\d+)", text_of(path, "S0.zoneinfo"))))}


def flags_of(row):
    """The flags that a row tells; ACCOUNT and NO_MERGE have no column."""
    flags = Slab.KMALLOC if "kmalloc-" in row["name"] else Slab(0)
    for column, flag in COLUMNS.items():
        if row[column] != "0":
            flags |= flag
    return flags


def ctors_of(row):
    """Whether the cache has a constructor: what the row tells, or both where it has no such column."""
    return [row["ctor"] != ""] if "ctor" in row else [False, True]
