/* t/server/test_replicate_heat.c: a replica's memory is worth having: at full memory, with Zipf's popularity, the copies alone answer
 * as many reads as their owner did.
 *
 * Two nodes, each the owner of half of the keys, which do not all fit. Reads that miss are followed by a set, at the owner. Then the
 * owner is gone, and the same reads are answered by the other node's copies.
 */
#include <math.h>
#include <stdio.h>

#include "t/server/replicate_sim.h"

#define KEYS  60000u
#define LOAD  1200000u
#define LOOKS 200000u

static double weights[KEYS];

/* Zipf with 0.9, by the inverse of the sum. */
static void
weigh(void)
{
	double sum = 0;

	for (unsigned i = 0; i < KEYS; i++)
		weights[i] = sum += pow(i + 1, -0.9);
	for (unsigned i = 0; i < KEYS; i++)
		weights[i] /= sum;
}

static unsigned
draw(struct random_state *r)
{
	double x = (double)(random_next(r) >> 11) * 0x1p-53;
	unsigned low = 0, high = KEYS - 1;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (weights[middle] < x)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t
size_of(unsigned n)
{
	return 100 + n * 7919u % 600;
}

/* Whether the node has key N; counts as a read. */
static bool
reads(struct store *st, struct slice name, unsigned how)
{
	struct store_key key = store_key(st, name.ptr, name.len);
	struct store_view view;

	do {
		if (!store_read_begin(st, &key, how, &view))
			return false;
	} while (!store_read_end(st, &view));
	return true;
}

static void
sets(struct store *st, struct slice name, size_t size)
{
	static const char value[1000];
	struct store_key key = store_key(st, name.ptr, name.len);
	struct store_head head = {.size = size};
	struct store_put how = {.mode = STORE_SET};
	struct store_pending pending;
	uint64_t version;

	assert_int_equal(store_offer(st, &pending, &key, &head, value), STORE_OK);
	assert_int_equal(store_put(st, &key, &pending, &how, &version), STORE_OK);
}

static void
turns(struct sim *sim, bool upkeep)
{
	for (unsigned n = 0; n < sim->count; n++) {
		for (unsigned w = 0; w < SIM_WORKERS; w++) {
			sim_turn(sim, n, w);
			sim_tick(sim, n, w);
		}
		if (upkeep)
			(void)store_maintain(sim->nodes[n].store);
	}
	for (unsigned i = 0; i < SIM_LINKS; i++)
		for (unsigned which = 0; which < 2; which++)
			while (sim_deliver(sim, &sim->links[i], which))
				;
}

static void
load(struct sim *sim)
{
	char text[32];

	for (unsigned i = 0; i < LOAD; i++) {
		unsigned n = draw(&sim->chance);
		struct slice name = slice_of(text, (size_t)snprintf(text, sizeof(text), "k%u", n));
		struct sim_node *owner = &sim->nodes[sim_primary(sim, name)];

		replicate_worker_enter(owner->workers[i % SIM_WORKERS]);
		if (!reads(owner->store, name, STORE_READ_VALUE | STORE_READ_COUNT))
			sets(owner->store, name, size_of(n));
		if (i % 64 == 0)
			turns(sim, i % 4096 == 0);
		if (i % 40000 == 0)
			for (unsigned k = 0; k < sim->count; k++)
				store_clock_set(sim->nodes[k].store, 100 + i / 40000);
	}
	turns(sim, true);
}

/* Hits of 1000 reads of OWNER's keys, at NODE. */
static double
ratio(struct sim *sim, unsigned owner, unsigned node, uint64_t seed)
{
	struct random_state r = {seed};
	char text[32];
	unsigned hits = 0, all = 0;

	for (unsigned i = 0; i < LOOKS; i++) {
		unsigned n = draw(&r);
		struct slice name = slice_of(text, (size_t)snprintf(text, sizeof(text), "k%u", n));

		if (sim_primary(sim, name) != owner)
			continue;
		all++;
		hits += reads(sim->nodes[node].store, name, 0);
	}
	return 1000.0 * hits / all;
}

static void
copies_are_worth_as_much(void **state)
{
	struct sim sim = {.count = 2, .copies = 1, .memory = 12u << 20, .backlog = 8u << 20};
	struct store_stats stats;

	(void)state;
	random_init(&sim.chance);
	weigh();
	sim_start(&sim);
	load(&sim);
	for (unsigned owner = 0; owner < 2; owner++) {
		uint64_t seed = random_next(&sim.chance);
		double before = ratio(&sim, owner, owner, seed);
		double after = ratio(&sim, owner, !owner, seed);

		store_stats(sim.nodes[owner].store, &stats);
		printf(
		    "node %u: %.1f hits of 1000; without it %.1f: %.2f %%; %llu items, %llu evictions\n",
		    owner, before, after, 100 * after / before, (unsigned long long)stats.items,
		    (unsigned long long)stats.evictions);
		assert_true(stats.evictions > KEYS / 4);
		assert_true(after >= 0.98 * before);
	}
	sim_stop(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(copies_are_worth_as_much)};

	return cmocka_run_group_tests(tests, sim_join, sim_leave);
}
