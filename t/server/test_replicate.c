/* t/server/test_replicate.c: whatever happens to links and nodes, once all is quiet all holders of a key have the same. */
#include <stdio.h>

#include "cluster/ring.h"
#include "server/replicate_impl.h"
#include "t/server/replicate_sim.h"

#define KEYS      200u
#define STEPS     6000u
#define VALUE_MAX 250000u
#define NAME_ROOM 16u

/* What the last command left, as far as no node was lost. */
struct wanted {
	bool there;
	uint64_t value; /* seed */
	uint32_t size, flags, exptime;
	uint8_t marks;
};

struct load {
	struct sim *sim;
	struct wanted wanted[KEYS];
	bool restarts, flushes, moves;
	bool compares; /* all the time, over links that are often full */
	unsigned cuts; /* in 1000 steps */
	uint64_t values;
};

static char value_buffer[VALUE_MAX];

static struct slice
name_of(unsigned n, char *to)
{
	return slice_of(to, (size_t)snprintf(to, NAME_ROOM, "key-%u", n));
}

static void
fill(char *to, size_t n, uint64_t seed)
{
	struct random_state r = {seed};

	for (size_t i = 0; i < n; i++)
		to[i] = (char)(i % 8 == 0 ? random_next(&r) : (uint64_t)to[i - 1] * 3);
}

static uint32_t
some_size(struct random_state *r)
{
	switch (random_below(r, 20)) {
	case 0:
		return (uint32_t)random_below(r, VALUE_MAX);
	case 1:
		return 8000 + (uint32_t)random_below(r, 1000);
	case 2:
		return 0;
	default:
		return (uint32_t)random_below(r, 300);
	}
}

/* ---------------------------------------------------------------- commands, at the primary */

static void
do_set(struct load *l, struct store *st, const struct store_key *key, struct wanted *wanted)
{
	struct random_state *r = &l->sim->chance;
	struct store_head head = {.size = some_size(r),
	    .flags = random_below(r, 2) == 0 ? (uint32_t)random_next(r) : 0,
	    .exptime = random_below(r, 2) == 0 ? 1000 + (uint32_t)random_below(r, 9999) : 0};
	struct store_put how = {
	    .mode = STORE_SET, .version = random_below(r, 10) == 0 ? random_next(r) >> 1 : 0};
	struct store_pending pending;
	uint64_t version;

	head.versioned = how.version != 0;
	*wanted = (struct wanted){.there = true,
	    .value = ++l->values,
	    .size = (uint32_t)head.size,
	    .flags = head.flags,
	    .exptime = head.exptime};
	fill(value_buffer, head.size, wanted->value);
	assert_int_equal(store_offer(st, &pending, key, &head, value_buffer), STORE_OK);
	assert_int_equal(store_put(st, key, &pending, &how, &version), STORE_OK);
}

static void
do_change(struct load *l, struct store *st, const struct store_key *key, struct wanted *wanted)
{
	struct random_state *r = &l->sim->chance;
	struct store_entry entry;

	store_enter(st, key, &entry);
	if (entry.found && random_below(r, 2) == 0) {
		wanted->exptime = 1000 + (uint32_t)random_below(r, 9999);
		store_entry_touch(&entry, wanted->exptime);
	} else if (entry.found) {
		bool won = random_below(r, 2) == 0;

		wanted->marks |= won ? STORE_WON : STORE_STALE;
		store_entry_mark(
		    &entry, won ? STORE_WON : STORE_STALE, 0, won ? 0 : STORE_VERSION_NEXT);
	}
	store_leave(&entry);
}

static void
do_command(struct load *l)
{
	struct random_state *r = &l->sim->chance;
	unsigned n = (unsigned)random_below(r, KEYS);
	char name[NAME_ROOM];
	struct slice key = name_of(n, name);
	unsigned i = (unsigned)random_below(r, l->sim->count);
	struct sim_node *node = &l->sim->nodes[i];
	struct store_key k = store_key(node->store, key.ptr, key.len);

	if (!sim_is_primary(l->sim, key, i))
		return;
	replicate_worker_enter(node->workers[random_below(r, SIM_WORKERS)]);
	switch (random_below(r, 8)) {
	case 0:
		(void)store_delete(node->store, &k);
		l->wanted[n].there = false;
		break;
	case 1:
	case 2:
		do_change(l, node->store, &k, &l->wanted[n]);
		break;
	default:
		do_set(l, node->store, &k, &l->wanted[n]);
		break;
	}
}

/* In two rounds, as the cluster does it; those that no link reaches hear of it when they greet. */
static void
do_flush(struct load *l)
{
	struct sim *sim = l->sim;
	uint64_t highest = 0;

	for (unsigned i = 0; i < sim->count; i++)
		if (store_version(sim->nodes[i].store) > highest)
			highest = store_version(sim->nodes[i].store);
	for (unsigned i = 0; i < sim->count; i++)
		store_flush_version(sim->nodes[i].store, highest + 1);
	for (unsigned i = 0; i < KEYS; i++)
		l->wanted[i].there = false;
}

/* Some links take nothing from some of the streams, some frames find no room. */
static void
do_fullness(struct sim *sim)
{
	sim_unsent_extra = random_below(&sim->chance, 4) == 0 ? (size_t)2 << 20 : 0;
	sim_full = random_below(&sim->chance, 4) == 0 ? 30 : 0;
}

static void
do_fault(struct load *l)
{
	struct sim *sim = l->sim;
	struct sim_link *link = &sim->links[random_below(&sim->chance, SIM_LINKS)];

	if (!link->used)
		return;
	do_fullness(sim);
	if (l->compares) {
		replicate_want_sync(link->side[0].end->peer);
		return;
	}
	if (link->up)
		sim_link_down(sim, link);
	else
		sim_link_up(sim, link);
	if (l->flushes && random_below(&sim->chance, 30) == 0)
		do_flush(l);
	if (l->moves && random_below(&sim->chance, 20) == 0)
		sim_move(sim);
	if (l->restarts && random_below(&sim->chance, 30) == 0)
		sim_restart(sim, (unsigned)random_below(&sim->chance, sim->count));
}

/* ---------------------------------------------------------------- what must come out */

struct found {
	bool there;
	uint64_t order, version;
	int64_t expiry;
	uint32_t flags, size;
	uint8_t marks;
	bool copy;
};

static struct found
look(struct sim *sim, unsigned node, struct slice name, char *value)
{
	struct store *st = sim->nodes[node].store;
	struct store_key key = store_key(st, name.ptr, name.len);
	struct store_entry entry;
	struct store_pin *pin = NULL;
	struct found f = {0};
	uint32_t cursor = 0;
	const char *data;
	size_t len;

	store_enter(st, &key, &entry);
	f.there = entry.found;
	if (f.there) {
		f.order = store_view_order(&entry.view);
		f.version = entry.view.version;
		f.expiry = entry.view.exptime == 0 ? 0 : (int64_t)entry.view.exptime + node;
		f.flags = entry.view.flags;
		f.size = entry.view.size;
		f.marks = entry.view.marks & (uint8_t)~STORE_COPY;
		f.copy = entry.view.marks & STORE_COPY;
		if (entry.view.value != NULL)
			memcpy(value, entry.view.value, f.size);
		else if (f.size > 0)
			pin = store_entry_pin(&entry);
	}
	store_leave(&entry);
	while (pin != NULL && store_pin_next(st, pin, &cursor, &data, &len)) {
		memcpy(value, data, len);
		value += len;
	}
	if (pin != NULL)
		store_unpin(st, pin);
	return f;
}

static void
check_wanted(struct load *l, unsigned n, const struct found *f, unsigned node, const char *value)
{
	const struct wanted *w = &l->wanted[n];

	assert_int_equal(f->there, w->there);
	if (!f->there)
		return;
	assert_int_equal(f->size, w->size);
	assert_int_equal(f->flags, w->flags);
	assert_int_equal(f->marks, w->marks);
	assert_int_equal(f->expiry, w->exptime == 0 ? 0 : (int64_t)w->exptime + node);
	fill(value_buffer, w->size, w->value);
	assert_memory_equal(value, value_buffer, w->size);
}

static void
check_key(struct load *l, unsigned n)
{
	static char first_value[VALUE_MAX], value[VALUE_MAX];
	char name[NAME_ROOM];
	struct slice key = name_of(n, name);
	unsigned primary = sim_primary(l->sim, key);
	struct found first = look(l->sim, primary, key, first_value);

	assert_false(first.copy);
	assert_int_equal(replicate_marked(l->sim->nodes[primary].workers[1]), sim_epoch);
	if (!l->restarts && !l->moves)
		check_wanted(l, n, &first, primary, first_value);
	for (unsigned i = 0; i < l->sim->count; i++) {
		struct found f = look(l->sim, i, key, value);

		if (i == primary)
			continue;
		if (!sim_holds(l->sim, key, i)) {
			assert_false(f.there);
			continue;
		}
		if (f.there != first.there || f.order != first.order)
			print_error("key %u, node %u: there %d, order %llu; primary %u: %d, %llu\n",
			    n, i, f.there, (unsigned long long)f.order, primary, first.there,
			    (unsigned long long)first.order);
		assert_int_equal(f.there, first.there);
		assert_int_equal(f.order, first.order);
		assert_int_equal(f.version, first.version);
		assert_int_equal(f.expiry, first.expiry);
		assert_int_equal(f.flags, first.flags);
		assert_int_equal(f.marks, first.marks);
		assert_int_equal(f.size, first.size);
		assert_memory_equal(value, first_value, f.size);
		assert_true(f.copy || !f.there);
	}
}

static void
converge(struct load *l, unsigned seeds)
{
	struct random_state seed;

	random_init(&seed);
	if (getenv("REPLICATION_ROUNDS") != NULL)
		seeds *= (unsigned)strtoul(getenv("REPLICATION_ROUNDS"), NULL, 10);
	for (unsigned round = 0; round < seeds; round++) {
		struct sim sim = {.count = 2 + (unsigned)random_below(&seed, 2),
		    .memory = 64u << 20,
		    .backlog = (size_t)4096 << random_below(&seed, 8)};

		sim.copies = 1 + (unsigned)random_below(&seed, sim.count - 1);
		sim.chance.state = random_next(&seed);
		l->sim = &sim;
		memset(l->wanted, 0, sizeof(l->wanted));
		sim_start(&sim);
		for (unsigned i = 0; i < STEPS; i++) {
			if (random_below(&sim.chance, 1000) < l->cuts)
				do_fault(l);
			else if (random_below(&sim.chance, 2) == 0)
				do_command(l);
			else
				sim_step(&sim);
		}
		sim_unsent_extra = sim_full = 0;
		assert_true(sim_settle(&sim));
		for (unsigned n = 0; n < KEYS; n++)
			check_key(l, n);
		sim_stop(&sim);
	}
}

static void
without_faults(void **state)
{
	struct load l = {0};

	(void)state;
	converge(&l, 10);
}

static void
with_comparisons(void **state)
{
	struct load l = {.cuts = 20, .compares = true};

	(void)state;
	converge(&l, 12);
}

static void
with_links_cut(void **state)
{
	struct load l = {.cuts = 20};

	(void)state;
	converge(&l, 24);
}

static void
with_flushes(void **state)
{
	struct load l = {.cuts = 20, .flushes = true};

	(void)state;
	converge(&l, 12);
}

static void
with_nodes_lost(void **state)
{
	struct load l = {.cuts = 20, .restarts = true};

	(void)state;
	converge(&l, 18);
}

/* Marks are right in the end, too. */
static void
with_keys_moved(void **state)
{
	struct load l = {.cuts = 20, .moves = true};

	(void)state;
	converge(&l, 18);
}

/* What W's worker has under KEY, for who asks it as the primary. */
static struct found
ask(struct sim *sim, unsigned node, struct slice name)
{
	static char value[VALUE_MAX];
	struct sim_node *n = &sim->nodes[node];
	struct store_key key = store_key(n->store, name.ptr, name.len);

	replicate_worker_enter(n->workers[1]);
	replicate_forget(n->workers[1], &key);
	return look(sim, node, name, value);
}

static void
put_by(struct sim *sim, unsigned node, unsigned worker, struct slice name, uint32_t flags)
{
	struct store *st = sim->nodes[node].store;
	struct store_key key = store_key(st, name.ptr, name.len);
	struct store_head head = {.size = 5, .flags = flags};
	struct store_put how = {.mode = STORE_SET};
	struct store_pending pending;
	uint64_t version;

	replicate_worker_enter(sim->nodes[node].workers[worker]);
	assert_int_equal(store_offer(st, &pending, &key, &head, "value"), STORE_OK);
	assert_int_equal(store_put(st, &key, &pending, &how, &version), STORE_OK);
}

static void
put(struct sim *sim, unsigned node, struct slice name, uint32_t flags)
{
	put_by(sim, node, 0, name, flags);
}

/* At nodes that have the last topology. */
static void
nothing_is_old(struct sim *sim)
{
	char name[NAME_ROOM];

	for (unsigned n = 0; n < KEYS; n++) {
		struct slice key = name_of(n, name);
		unsigned node = sim_primary(sim, key);
		struct found f;

		if (sim->nodes[node].places.epoch != sim_epoch)
			continue;
		f = ask(sim, node, key);
		assert_true(!f.there || (f.flags == 2 && n % 2 == 0));
	}
}

/* Keys go from node to node and come back to the first, and each is changed or deleted where it is in between. Who is the
 * primary then may have lost it, but never has what was there before. */
static void
with_keys_that_come_back(void **state)
{
	struct random_state seed;

	(void)state;
	random_init(&seed);
	for (unsigned round = 0; round < 200; round++) {
		struct sim sim = {.count = 3, .copies = 1, .memory = 16u << 20, .backlog = 1 << 16};
		unsigned moves = 3 + (unsigned)random_below(&seed, 4);
		char name[NAME_ROOM];

		sim.chance.state = random_next(&seed);
		sim_start(&sim);
		for (unsigned n = 0; n < KEYS; n++)
			put(&sim, sim_primary(&sim, name_of(n, name)), name_of(n, name), 1);
		assert_true(sim_settle(&sim));
		for (unsigned move = 0; move < moves; move++) {
			unsigned steps = (unsigned)random_below(&seed, 60);

			sim_move(&sim);
			for (unsigned i = 0; i < sim.count && move == 0; i++)
				sim_take_topology(&sim, i);
			for (unsigned i = 0; i < steps; i++)
				sim_step(&sim);
			for (unsigned n = 0; move == 0 && n < KEYS; n++) {
				struct slice key = name_of(n, name);
				struct sim_node *node = &sim.nodes[sim_primary(&sim, key)];
				struct store_key k = store_key(node->store, key.ptr, key.len);

				replicate_worker_enter(node->workers[n % 2]);
				if (n % 2 == 0)
					put(&sim, sim_primary(&sim, key), key, 2);
				else
					(void)store_delete(node->store, &k);
			}
			nothing_is_old(&sim);
		}
		assert_true(sim_settle(&sim));
		nothing_is_old(&sim);
		sim_stop(&sim);
	}
}

/* Starts the nodes of SIM and lets them find each other. */
static void
sim_begin(struct sim *sim)
{
	random_init(&sim->chance);
	sim_start(sim);
	assert_true(sim_settle(sim));
}

/* The primary has acknowledged it and sent it; before it arrives all have a topology in which the primary holds it no longer. */
static void
with_changes_on_their_way(void **state)
{
	struct sim sim = {.count = 3, .copies = 1, .memory = 16u << 20, .backlog = 1 << 16};
	char name[NAME_ROOM];

	(void)state;
	sim_begin(&sim);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned n = 0; n < KEYS; n++)
			put(&sim, sim_primary(&sim, name_of(n, name)), name_of(n, name), round);
		for (unsigned i = 0; i < sim.count; i++)
			for (unsigned w = 0; w < SIM_WORKERS; w++)
				sim_turn(&sim, i, w);
		sim_move(&sim);
		assert_true(sim_settle(&sim));
		for (unsigned n = 0; n < KEYS; n++) {
			struct slice key = name_of(n, name);
			struct found f = ask(&sim, sim_primary(&sim, key), key);

			assert_true(f.there && f.flags == round);
		}
	}
	sim_stop(&sim);
}

/* The acknowledgements are lost, so the first node's stream to the second begins once more, when both hold again what the first did
 * not hold meanwhile, and has not got back yet: that it has not got it does not mean that it is deleted. */
static void
with_a_stream_that_waits(void **state)
{
	struct sim sim = {.count = 3, .copies = 1, .memory = 16u << 20, .backlog = 1 << 16};
	char name[NAME_ROOM];

	(void)state;
	sim_begin(&sim);
	for (unsigned n = 0; n < KEYS; n++)
		put(&sim, sim_primary(&sim, name_of(n, name)), name_of(n, name), 7);
	for (unsigned i = 0; i < sim.count; i++)
		for (unsigned w = 0; w < SIM_WORKERS; w++)
			sim_turn(&sim, i, w);
	for (unsigned i = 0; i < SIM_LINKS; i++) {
		struct sim_link *link = &sim.links[i];

		while (sim_deliver(&sim, link, 0))
			;
		if (link->used && link->side[0].node + link->side[1].node == 1)
			sim_link_down(&sim, link);
	}
	sim.shift++;
	sim_epoch++;
	assert_true(sim_go_on(&sim));
	sim.shift += sim.count - 1;
	sim_epoch++;
	assert_true(sim_settle(&sim));
	for (unsigned n = 0; n < KEYS; n++) {
		struct slice key = name_of(n, name);
		struct found f = ask(&sim, sim_primary(&sim, key), key);

		assert_true(f.there && f.flags == 7);
	}
	sim_stop(&sim);
}

/* Node 0 compares with node 1, over the first link, until what node 0 has sent next is of this TYPE; with COMPARED, its last word. */
static void
compare_until(struct sim *sim, enum frame_type type)
{
	struct sim_link *link = &sim->links[0];

	assert_true(link->side[0].node == 0 && link->side[1].node == 1);
	replicate_want_sync(link->side[0].end->peer);
	for (unsigned i = 0; i < 1000; i++) {
		const struct sim_message *m;

		(void)sim_tick(sim, 0, 0);
		while ((m = STAILQ_FIRST(&link->side[0].sent)) != NULL) {
			if (m->frame.type == type &&
			    (type != FRAME_COMPARED || m->frame.body.ptr[0] == 2))
				return;
			(void)sim_deliver(sim, link, 0);
		}
		(void)sim_tick(sim, 1, link->side[1].worker);
		while (sim_deliver(sim, link, 1))
			;
	}
	fail();
}

static void
touch_by(struct sim *sim, unsigned node, unsigned worker, struct slice name, uint32_t exptime)
{
	struct store *st = sim->nodes[node].store;
	struct store_key key = store_key(st, name.ptr, name.len);
	struct store_entry entry;

	replicate_worker_enter(sim->nodes[node].workers[worker]);
	store_enter(st, &key, &entry);
	assert_true(entry.found);
	store_entry_touch(&entry, exptime);
	store_leave(&entry);
}

static struct slice
name_of_primary(struct sim *sim, unsigned node, char *name)
{
	unsigned n = 0;

	while (sim_primary(sim, name_of(n, name)) != node)
		n++;
	return name_of(n, name);
}

/* One worker's touch comes before the set of another one, at the end of a comparison: the item is asked for then, which is not
 * part of the comparison and must not end with it. */
static void
with_a_touch_that_overtakes(void **state)
{
	struct sim sim = {.count = 2, .copies = 1, .memory = 16u << 20, .backlog = 1 << 16};
	struct sim_link *link = &sim.links[0];
	char name[NAME_ROOM];
	struct slice key;

	(void)state;
	sim_begin(&sim);
	key = name_of_primary(&sim, 0, name);
	compare_until(&sim, FRAME_COMPARED);
	put_by(&sim, 0, 1, key, 1);
	sim_turn(&sim, 0, 1);
	touch_by(&sim, 0, 0, key, 5000);
	sim_turn(&sim, 0, 0);
	while (sim_deliver(&sim, link, 0))
		;
	(void)sim_tick(&sim, 1, link->side[1].worker);
	while (sim_deliver(&sim, link, 1))
		;
	sim_unsent_extra = (size_t)2 << 20;
	(void)sim_tick(&sim, 0, 0);
	sim_unsent_extra = 0;
	assert_true(sim_settle(&sim));
	assert_int_equal(ask(&sim, 0, key).expiry, 5000);
	assert_int_equal(ask(&sim, 1, key).expiry, 5000);
	sim_stop(&sim);
}

/* What one side has sent last in a comparison is lost with the link: that side takes it for over. */
static void
with_a_comparison_cut_at_its_end(void **state)
{
	struct sim sim = {.count = 2, .copies = 1, .memory = 16u << 20, .backlog = 4096};
	struct sim_link *link = &sim.links[0];
	char name[NAME_ROOM], other[NAME_ROOM];
	struct slice key;

	(void)state;
	random_init(&sim.chance);
	sim_start(&sim);
	key = name_of_primary(&sim, 0, name);
	put(&sim, 0, key, 1);
	for (unsigned n = KEYS; n < 2 * KEYS; n++)
		put(&sim, sim_primary(&sim, name_of(n, other)), name_of(n, other), 1);
	assert_true(sim_settle(&sim));
	sim_restart(&sim, 1);
	sim_link_up(&sim, link);
	while (sim_deliver(&sim, link, 0) || sim_deliver(&sim, link, 1))
		;
	compare_until(&sim, FRAME_REPLICATE);
	for (unsigned i = 0; i < 10; i++) {
		(void)sim_tick(&sim, 1, link->side[1].worker);
		while (sim_deliver(&sim, link, 1))
			;
		(void)sim_tick(&sim, 0, 0);
	}
	sim_link_down(&sim, link);
	assert_true(sim_settle(&sim));
	assert_true(ask(&sim, 0, key).there && ask(&sim, 1, key).there);
	sim_stop(&sim);
}

/* What worker 0 of node FROM has sent arrives at node TO. */
static void
arrive(struct sim *sim, unsigned from, unsigned to)
{
	sim_turn(sim, from, 0);
	for (unsigned i = 0; i < SIM_LINKS; i++) {
		struct sim_link *link = &sim->links[i];

		while (link->used && link->side[0].node == from && link->side[1].node == to &&
		    link->side[0].worker == 0 && sim_deliver(sim, link, 0))
			;
	}
}

/* The old primary of a key knows how far the versions of the new one have come, but not that there is one. Both change the key: all
 * have the same in the end. */
static void
with_two_primaries(void **state)
{
	struct sim sim = {.count = 3, .copies = 2, .memory = 16u << 20, .backlog = 1 << 16};
	char name[NAME_ROOM];

	(void)state;
	sim_begin(&sim);
	for (unsigned n = 0; n < 20; n++) {
		struct slice key = name_of(n, name);
		unsigned old = sim_primary(&sim, key), new = (old + 1) % sim.count;
		unsigned third = (old + 2) % sim.count;
		struct found first;

		sim.shift++;
		sim_epoch++;
		sim_take_topology(&sim, new);
		store_version_raise(sim.nodes[old].store, sim_epoch << 40);
		put(&sim, old, key, 1);
		put(&sim, new, key, 2);
		arrive(&sim, new, third);
		store_version_raise(sim.nodes[old].store, (sim_epoch << 40) + 100);
		arrive(&sim, old, third);
		assert_true(sim_settle(&sim));
		first = ask(&sim, new, key);
		for (unsigned i = 0; i < sim.count; i++)
			assert_int_equal(ask(&sim, i, key).flags, first.flags);
	}
	sim_stop(&sim);
}

/* An item's last value expires before it was sent, and there is another list when it is: the copy does not keep the value before. */
static void
with_a_value_that_expires_unsent(void **state)
{
	struct sim sim = {.count = 3, .copies = 1, .memory = 16u << 20, .backlog = 1 << 16};
	char name[NAME_ROOM];
	struct slice key;

	(void)state;
	sim_begin(&sim);
	key = name_of_primary(&sim, 0, name);
	put(&sim, 0, key, 1);
	assert_true(sim_settle(&sim));
	assert_true(ask(&sim, 1, key).there);
	put(&sim, 0, key, 2);
	touch_by(&sim, 0, 0, key, 150);
	for (unsigned i = 0; i < sim.count; i++)
		store_clock_set(sim.nodes[i].store, 200);
	sim_epoch++;
	assert_true(sim_settle(&sim));
	assert_false(ask(&sim, 0, key).there);
	assert_false(ask(&sim, 1, key).there);
	sim_stop(&sim);
}

/* The points that a worker remembers are those of the keys, also where many share a place, and after a change of the kind of ring. */
static void
points_are_remembered(void **state)
{
	enum { MANY = 200000 };
	struct sim sim = {.count = 2, .copies = 1, .memory = 16u << 20, .backlog = 1 << 16};
	struct replicate_places places;
	struct replicate_worker *w;

	(void)state;
	random_init(&sim.chance);
	sim_start(&sim);
	w = sim.nodes[0].workers[0];
	places = sim.nodes[0].places;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct ring_hash *hash;

		places.kind = kind == 0 ? places.kind : RING_KETAMA100;
		replicate_topology(w, &places);
		assert_int_equal(ring_hash_new(&hash, places.kind), RING_OK);
		for (unsigned n = 0; n < 2 * MANY; n++) {
			char text[NAME_ROOM];
			struct slice name = name_of(n % 7 == 0 ? n / 7 : n % MANY, text);
			struct store_key key = store_key(sim.nodes[0].store, name.ptr, name.len);

			assert_int_equal(replicate_point_of(w, &key), ring_hash_key(hash, name));
		}
		ring_hash_free(&hash);
	}
	sim_stop(&sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_faults),
	    cmocka_unit_test(with_comparisons),
	    cmocka_unit_test(with_links_cut),
	    cmocka_unit_test(with_flushes),
	    cmocka_unit_test(with_nodes_lost),
	    cmocka_unit_test(with_keys_moved),
	    cmocka_unit_test(with_keys_that_come_back),
	    cmocka_unit_test(with_changes_on_their_way),
	    cmocka_unit_test(with_a_stream_that_waits),
	    cmocka_unit_test(with_a_touch_that_overtakes),
	    cmocka_unit_test(with_a_comparison_cut_at_its_end),
	    cmocka_unit_test(with_two_primaries),
	    cmocka_unit_test(with_a_value_that_expires_unsent),
	    cmocka_unit_test(points_are_remembered),
	};

	return cmocka_run_group_tests(tests, sim_join, sim_leave);
}
