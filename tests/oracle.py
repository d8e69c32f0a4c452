"""A second buddy allocator, for comparison: dicts and lists, written from the kernel's rules and nothing else here."""


class Oracle:
    """Free and used blocks as {pfn: order}; lists[order] has the head of the list first."""

    def __init__(self, start, end):
        self.lists, self.free, self.used = [[] for _ in range(11)], {}, {}
        while start < end:
            order = max(o for o in range(11) if start % 2**o == 0 and start + 2**o <= end)
            self.free[start] = order
            self.lists[order].append(start)
            start += 2**order

    def alloc(self, order):
        found = next((o for o in range(order, 11) if self.lists[o]), None)
        if found is None:
            return None
        pfn = self.lists[found].pop(0)
        del self.free[pfn]
        for o in reversed(range(order, found)):
            self.lists[o].insert(0, pfn + 2**o)
            self.free[pfn + 2**o] = o
        self.used[pfn] = order
        return pfn

    def give_back(self, pfn):
        order = self.used.pop(pfn)
        while order < 10 and self.free.get(pfn ^ 2**order) == order:
            buddy = pfn ^ 2**order
            del self.free[buddy]
            self.lists[order].remove(buddy)
            pfn, order = min(pfn, buddy), order + 1
        parent = pfn - pfn % 2 ** (order + 1)
        likely = order <= 8 and self.free.get(parent ^ 2 ** (order + 1)) == order + 1
        self.lists[order].insert(len(self.lists[order]) if likely else 0, pfn)
        self.free[pfn] = order

    def split(self, pfn):
        order = self.used.pop(pfn)
        self.used.update(dict.fromkeys(range(pfn, pfn + 2**order), 0))
