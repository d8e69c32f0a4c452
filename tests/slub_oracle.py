"""A second SLUB of one node, for comparison: slabs as small objects, written from the kernel's rules and nothing else here."""


class Slab:
    """free: the slab's own freelist, first one first. taken: what its CPU has of it. used: objects that callers hold."""

    def __init__(self, number, objects):
        self.number, self.objects, self.free, self.taken, self.used = number, objects, list(range(objects)), [], set()

    @property
    def empty(self):
        return not self.used and not self.taken


class SlubOracle:
    """Objects are (number of the slab, counted from the first ever made, index)."""

    def __init__(self, objects, min_partial, cpu_partial_slabs, cpus):
        self.objects, self.min_partial, self.limit = objects, min_partial, cpu_partial_slabs
        self.made, self.slabs, self.node = 0, {}, []
        self.current, self.waiting = [None] * cpus, [[] for _ in range(cpus)]

    def alloc(self, cpu):
        slab = self.current[cpu]
        if slab and not slab.taken and slab.free:
            slab.taken, slab.free = slab.free, []
        if not slab or not slab.taken:
            slab = self.next_slab(cpu)
            self.current[cpu] = slab
            slab.taken, slab.free = slab.free, []
        obj = slab.taken.pop(0)
        slab.used.add(obj)
        return slab.number, obj

    def next_slab(self, cpu):
        if self.waiting[cpu]:
            return self.waiting[cpu].pop(0)
        if not self.node:
            slab = Slab(self.made, self.objects)
            self.slabs[self.made] = slab
            self.made += 1
            return slab
        slab = self.node.pop(0)
        for _ in range(self.limit // 2 + 1):
            if self.node:
                self.waiting[cpu].insert(0, self.node.pop(0))
        return slab

    def give_back(self, number, obj, cpu):
        slab = self.slabs[number]
        full = slab not in self.node and not any(slab in waiting for waiting in self.waiting) and slab not in self.current
        slab.used.remove(obj)
        if slab is self.current[cpu]:
            slab.taken.insert(0, obj)
            return
        slab.free.insert(0, obj)
        if full:
            before = self.waiting[cpu]
            if len(before) >= self.limit:
                self.waiting[cpu] = [slab]
                self.to_node(before)
            else:
                before.insert(0, slab)
        elif slab in self.node and slab.empty and len(self.node) >= self.min_partial:
            self.node.remove(slab)
            del self.slabs[number]

    def to_node(self, slabs):
        for slab in slabs:
            if slab.empty and len(self.node) >= self.min_partial:
                del self.slabs[slab.number]
            else:
                self.node.append(slab)

    def shrink(self):
        for cpu in range(len(self.current)):
            slab, self.current[cpu] = self.current[cpu], None
            if slab:
                at = len(self.node) if slab.free else 0
                slab.free, slab.taken = slab.taken + slab.free, []
                if slab.free:
                    if slab.empty and len(self.node) >= self.min_partial:
                        del self.slabs[slab.number]
                    else:
                        self.node.insert(at, slab)
            waiting, self.waiting[cpu] = self.waiting[cpu], []
            self.to_node(waiting)
        many = [slab for slab in self.node if len(slab.free) > 32]
        few = [slab for slab in reversed(self.node) if not slab.empty and len(slab.free) <= 32]
        for slab in self.node:
            if slab.empty:
                del self.slabs[slab.number]
        self.node = sorted(few, key=lambda slab: len(slab.free)) + [slab for slab in many if not slab.empty]
