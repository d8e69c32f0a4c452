"""Which rules a cache has: those of debugged caches, those of sheaves, or those of cpu slabs."""

from .sheaf import SHEAVES
from .slab import KmemCache
from .slab_debug import DEBUG
from .slab_layout import SLAB_DEBUG_FLAGS
from .slub import CPU_SLABS, Rules


def rules_of(cache: KmemCache, kernel: str = "6.12") -> Rules:
    """Choose the rules of a cache.

    Args:
        cache: any cache.
        kernel: "6.1", "6.12", "6.18" or "7.x".

    Returns:
        Its rules: they stay the same for as long as it lives.

    >>> from pagelab.mm.slab_layout import slab_layout
    >>> cache = KmemCache("spoon", slab_layout(96))
    >>> rules_of(cache) is CPU_SLABS, rules_of(cache, "7.x") is SHEAVES
    (True, True)
    """
    if cache.layout.flags & SLAB_DEBUG_FLAGS:
        return DEBUG
    return SHEAVES if kernel == "7.x" else CPU_SLABS
