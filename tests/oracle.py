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


U, M, R, H, C, I = range(6)  # noqa: E741


class TypedOracle:
    """A second allocator with migratetypes, of 6.1 or of 6.12, page by page and block by block.

    free: {pfn: (order, list)}; used: {pfn: (order, type asked for)}; labels: {pageblock: type}; lists[order, type]: head first.
    """

    ELSEWHERE = {U: [R, M], M: [R, U], R: [U, M]}

    def __init__(self, kernel, start, end):
        self.old, self.start, self.end = kernel == "6.1", start, end
        self.lists = {(o, t): [] for o in range(11) for t in range(6)}
        self.free, self.used = {}, {}
        self.labels = {b: M if b * 512 >= start else U for b in range(start // 512, (end + 511) // 512)}
        while start < end:
            order = max(o for o in range(11) if start % 2**o == 0 and start + 2**o <= end)
            self.put(start, order, self.labels[start // 512], last=True)
            start += 2**order

    def put(self, pfn, order, kind, last):
        place = self.lists[order, kind]
        place.insert(len(place) if last else 0, pfn)
        self.free[pfn] = order, kind

    def cut_out(self, pfn):
        order, kind = self.free.pop(pfn)
        self.lists[order, kind].remove(pfn)
        return order, kind

    def label(self, pfn, order, kind):
        for block in range(pfn // 512, (pfn + 2**order) // 512):
            self.labels[block] = kind

    def hand_out(self, pfn, want, kind):
        """Use the first 2^want pages of a free block; its upper halves stay on the lists that it was on."""
        order, theirs = self.cut_out(pfn)
        while order > want:
            order -= 1
            self.put(pfn + 2**order, order, theirs, last=False)
        self.used[pfn] = want, kind
        return pfn

    def own(self, want, kind):
        for order in range(want, 11):
            if self.lists[order, kind]:
                return self.hand_out(self.lists[order, kind][0], want, kind)
        return None

    def others(self, orders, kind):
        """Yield the head of the first list of another type, at each order that has one."""
        for order in orders:
            heads = [self.lists[order, other][0] for other in self.ELSEWHERE[kind] if self.lists[order, other]]
            if heads:
                yield order, heads[0]

    def in_block(self, first):
        """What a pageblock has from a page on: its free heads in ascending order, its free pages, its movable pages."""
        end = first - first % 512 + 512
        heads = [p for p in range(first, end) if p in self.free]
        movable = sum(2**o for p, (o, kind) in self.used.items() if first <= p < end and kind == M)
        return heads, sum(2 ** self.free[p][0] for p in heads), movable

    def half(self, kind, theirs, free, movable):
        alike = movable if kind == M else 512 - free - movable if theirs == M else 0
        return free + alike >= 256

    def bulk(self, want, count, kind, whole_only):
        out, stealing = [], False
        for _ in range(count):
            pfn = None
            if self.old:
                pfn = self.take_6_1(want, kind, whole_only)
            else:
                if not stealing:
                    pfn = self.own(want, kind)
                    if pfn is None:
                        pfn = self.claim(want, kind, whole_only)
                if pfn is None and not whole_only:
                    pfn = next((self.hand_out(head, want, kind) for _, head in self.others(range(want, 11), kind)), None)
                    stealing = True
            if pfn is None:
                break
            out.append(pfn)
        return out

    def claim(self, want, kind, whole_only):
        lowest = max(want, 9) if whole_only else want
        if kind == M:
            lowest = max(lowest, 4)
        for order, head in self.others(range(10, lowest - 1, -1), kind):
            if order >= 9:
                self.label(head, order, kind)
                self.cut_out(head)
                self.put(head, order, kind, last=False)
                return self.hand_out(head, want, kind)
            first = head - head % 512
            if first < self.start or first + 512 > self.end:
                continue
            heads, free, movable = self.in_block(first)
            if self.half(kind, self.labels[head // 512], free, movable):
                for p in heads:
                    size, _ = self.cut_out(p)
                    self.put(p, size, kind, last=True)
                self.labels[head // 512] = kind
                return self.own(want, kind)
        return None

    def take_6_1(self, want, kind, whole_only):
        while (pfn := self.own(want, kind)) is None:
            found = next(self.others(range(10, (max(want, 9) if whole_only else want) - 1, -1), kind), None)
            if found is None:
                return None
            order, head = found
            if kind == M and order < 4:
                order, head = next(self.others(range(want, 11), kind))
            self.move_6_1(order, head, kind)
        return pfn

    def move_6_1(self, order, head, kind):
        first, theirs = head - head % 512, self.labels[head // 512]
        moving = [head]
        if order >= 9:
            self.label(head, order, kind)
        elif (kind != M or order >= 4) and first + 512 <= self.end:
            moving, free, movable = self.in_block(first if first >= self.start else head)
            if self.half(kind, theirs, free, movable):
                self.labels[head // 512] = kind
        for p in moving:
            size, _ = self.cut_out(p)
            self.put(p, size, kind, last=True)

    def give_back(self, pfn):
        order, _ = self.used.pop(pfn)
        pieces = [(pfn, order)] if self.old or order < 10 else [(pfn, 9), (pfn + 512, 9)]
        for piece in pieces:
            self.merge(*piece, self.labels[piece[0] // 512])

    def merge(self, pfn, order, kind):
        while order < 10:
            buddy = pfn ^ 2**order
            if self.free.get(buddy, (-1, -1))[0] != order:
                break
            theirs = self.labels[buddy // 512] if order >= 9 else kind
            if theirs != kind and {theirs, kind} & {H, C, I}:
                break
            self.cut_out(buddy)
            if theirs != kind and not self.old:
                self.label(buddy, order, kind)
            pfn, order = min(pfn, buddy), order + 1
        parent = pfn - pfn % 2 ** (order + 1)
        likely = order <= 8 and self.free.get(parent ^ 2 ** (order + 1), (-1, -1))[0] == order + 1
        self.put(pfn, order, kind, last=likely)
