/*
 * The buddy allocator of one zone in C: what the model of pagelab is timed against.
 *
 *     bench_buddy PAGES NR_FILL REQUESTS RECEIVED
 *
 * REQUESTS is a file of 32-bit requests: bit 31 says free and the rest is a pfn, otherwise bits 0-3 are the order. The first NR_FILL
 * are done before the clock starts. RECEIVED gets a 32-bit pfn for each request, -1 for a refused one (also for a free
 * of what is not in use) and -2 for a free. The seconds that the requests after the first NR_FILL took are printed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ORDER = 10, NR_ORDERS = 11, FREE = 1, IN_USE = 2, NOT_HEAD = 3 };

/* As in the kernel: a struct page of 64 bytes for each page, with the list links, the order in private and the type in page_type. */
struct list_head {
	struct list_head *next, *prev;
};

struct page {
	uint64_t flags;
	struct list_head buddy_list;
	void *mapping;
	uint64_t index;
	uint64_t private;
	uint32_t page_type;
	uint32_t refcount;
	uint64_t memcg_data;
};

static struct page *mem_map;
static struct list_head free_list[NR_ORDERS];
static uint32_t nr_pages;

static struct page *page_of(struct list_head *entry)
{
	return (struct page *)((char *)entry - offsetof(struct page, buddy_list));
}

static void link_between(struct list_head *entry, struct list_head *before, struct list_head *after)
{
	before->next = entry;
	entry->prev = before;
	entry->next = after;
	after->prev = entry;
}

static void link_block(uint32_t pfn, int order, int tail)
{
	struct page *page = mem_map + pfn;
	struct list_head *list = free_list + order;

	if (tail)
		link_between(&page->buddy_list, list->prev, list);
	else
		link_between(&page->buddy_list, list, list->next);
	page->private = order;
	page->page_type = FREE;
}

static void unlink_block(uint32_t pfn)
{
	struct page *page = mem_map + pfn;

	page->buddy_list.prev->next = page->buddy_list.next;
	page->buddy_list.next->prev = page->buddy_list.prev;
	page->page_type = NOT_HEAD;
}

static int page_is_buddy(uint32_t pfn, int order)
{
	return pfn < nr_pages && mem_map[pfn].page_type == FREE && mem_map[pfn].private == (uint64_t)order;
}

static int32_t alloc_block(int order)
{
	for (int current = order; current < NR_ORDERS; current++) {
		struct list_head *list = free_list + current;

		if (list->next == list)
			continue;
		uint32_t pfn = page_of(list->next) - mem_map;

		unlink_block(pfn);
		while (current > order) {
			current--;
			link_block(pfn + (1u << current), current, 0);
		}
		mem_map[pfn].private = order;
		mem_map[pfn].page_type = IN_USE;
		return pfn;
	}
	return -1;
}

static void merge_and_link(uint32_t pfn, int order, int tail)
{
	while (order < MAX_ORDER) {
		uint32_t buddy = pfn ^ (1u << order);

		if (!page_is_buddy(buddy, order))
			break;
		unlink_block(buddy);
		pfn &= buddy;
		order++;
	}
	if (order < MAX_ORDER - 1)
		tail |= page_is_buddy((pfn & ~(1u << order)) ^ (2u << order), order + 1);
	link_block(pfn, order, tail);
}

static int free_block(uint32_t pfn)
{
	if (pfn >= nr_pages || mem_map[pfn].page_type != IN_USE)
		return 0;
	int order = mem_map[pfn].private;

	mem_map[pfn].page_type = NOT_HEAD;
	merge_and_link(pfn, order, 0);
	return 1;
}

static void boot(void)
{
	for (int order = 0; order < NR_ORDERS; order++)
		free_list[order].next = free_list[order].prev = free_list + order;
	for (uint32_t pfn = 0; pfn < nr_pages;) {
		int order = pfn ? __builtin_ctz(pfn) : MAX_ORDER;

		if (order > MAX_ORDER)
			order = MAX_ORDER;
		while (pfn + (1u << order) > nr_pages)
			order--;
		merge_and_link(pfn, order, 1);
		pfn += 1u << order;
	}
}

static void run(const uint32_t *requests, int32_t *received, size_t from, size_t to)
{
	for (size_t k = from; k < to; k++) {
		uint32_t request = requests[k];

		if (!(request >> 31)) {
			received[k] = alloc_block(request & 15);
			continue;
		}
		received[k] = free_block(request & 0x7fffffff) ? -2 : -1;
	}
}

static void *need(void *memory)
{
	if (!memory) {
		fprintf(stderr, "out of memory, or a file that cannot be opened\n");
		exit(2);
	}
	return memory;
}

int main(int argc, char **argv)
{
	struct timespec start, end;

	if (argc != 5) {
		fprintf(stderr, "usage: bench_buddy PAGES NR_FILL REQUESTS RECEIVED\n");
		return 2;
	}
	nr_pages = strtoul(argv[1], NULL, 10);
	mem_map = need(calloc(nr_pages, sizeof(*mem_map)));
	for (uint32_t pfn = 0; pfn < nr_pages; pfn++)
		mem_map[pfn].page_type = NOT_HEAD;

	FILE *in = need(fopen(argv[3], "rb"));

	fseek(in, 0, SEEK_END);
	size_t count = ftell(in) / sizeof(uint32_t), fill = strtoul(argv[2], NULL, 10);
	uint32_t *requests = need(malloc(count * sizeof(*requests)));
	int32_t *received = need(malloc(count * sizeof(*received)));

	memset(received, 0, count * sizeof(*received));
	rewind(in);
	if (fread(requests, sizeof(*requests), count, in) != count)
		return 2;
	fclose(in);

	boot();
	run(requests, received, 0, fill);
	clock_gettime(CLOCK_MONOTONIC, &start);
	run(requests, received, fill, count);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.9f\n", (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) * 1e-9);

	FILE *out = need(fopen(argv[4], "wb"));

	if (fwrite(received, sizeof(*received), count, out) != count || fclose(out))
		return 2;
	return 0;
}
