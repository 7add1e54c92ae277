/* server/exec_meta.c: the meta commands.
 *
 * The flags of a request are worked through in their order, as memcached does: a t before a T tells the old time to
 * live, behind it the new one. An mg that changes nothing reads without a lock; where it finds a stale item that
 * nobody was told to recompute, it comes again under the lock, so that exactly one client wins.
 */
#include "proto/meta.h"
#include "proto/reply.h"
#include "server/exec.h"
#include "server/exec_op.h"
#include "server/exec_value.h"
#include "server/watch.h"
#include "server/worker.h"

static bool
has(const struct command *cmd, char flag)
{
	return (cmd->meta.flags & META_FLAG(flag)) != 0;
}

/* The version that the client wants to give; 0 = the next. */
static uint64_t
wanted_version(const struct command *cmd)
{
	return has(cmd, 'E') ? cmd->meta.explicit_cas & STORE_VERSION_MAX : 0;
}

static void
reply_code(
    struct conn *c, const struct command *cmd, enum meta_code code, const struct meta_facts *facts)
{
	char *p;

	if (reply_meta_quiet(cmd, code))
		return;
	if ((p = outq_reserve(&c->out, &c->worker->source, REPLY_META_MAX)) != NULL)
		outq_commit(&c->out, reply_meta(p, code, cmd, facts));
}

/* ---------------------------------------------------------------- time to live */

/* What the flags make of an expiry. */
struct expiry {
	uint32_t shown; /* at the first t, on the store's clock */
	uint32_t after; /* behind the last flag */
	bool changed;   /* T or N did something */
	bool recache;   /* R found that it expires too soon */
};

static void
work_expiry(const struct worker *w, const struct command *cmd, bool created, uint32_t exptime,
    struct expiry *result)
{
	struct slice rest = cmd->meta.tokens, flag;

	*result = (struct expiry){.shown = exptime, .after = exptime};
	while (meta_flag_next(&rest, &flag)) {
		uint32_t *after = &result->after;

		if (flag.ptr[0] == 'T')
			*after = exec_exptime(w, cmd->meta.ttl);
		else if (flag.ptr[0] == 'N' && created)
			*after = exec_exptime(w, cmd->meta.vivify_ttl);
		else if (flag.ptr[0] == 'R' && !created && *after != 0)
			result->recache |= *after < exec_exptime(w, cmd->meta.recache_ttl);
		else if (flag.ptr[0] == 't')
			result->shown = *after;
	}
	result->changed = created || has(cmd, 'T');
}

/* Seconds that are left; -1 = never expires. */
static int64_t
time_left(const struct worker *w, uint32_t exptime)
{
	if (exptime == 0)
		return -1;
	return exptime > w->now ? exptime - w->now : 0;
}

/* ---------------------------------------------------------------- mg */

void
meta_facts_of(const struct worker *w, const struct store_view *view, struct meta_facts *facts)
{
	*facts = (struct meta_facts){
	    .cas = cas_shown(w, view->version),
	    .ttl = time_left(w, view->exptime),
	    .size = view->size,
	    .flags = view->flags,
	    .age = view->age,
	    .fetched = view->fetched,
	    .stale = (view->marks & STORE_STALE) != 0,
	    .others_won = (view->marks & STORE_WON) != 0,
	    .binary_key = (view->marks & STORE_TAGGED) != 0,
	};
}

/* Nobody has been told to recompute this one. */
static bool
to_be_won(const struct store_view *view)
{
	return (view->marks & (STORE_STALE | STORE_WON)) == STORE_STALE;
}

/* Nothing was touched, so it counts as a get, with T, too. */
static void
mg_miss(struct conn *c, const struct command *cmd)
{
	count_get(c->worker, false);
	reply_code(c, cmd, META_EN, NULL);
}

static void
mg_count_hit(struct worker *w, const struct command *cmd)
{
	if (has(cmd, 'T'))
		count_touch(w, true);
	else
		count_get(w, true);
}

/* What the head of an answer is made of. */
struct mg_context {
	const struct worker *worker;
	const struct command *command;
	const struct meta_facts *facts; /* NULL = as the view says */
	enum meta_code code;
};

static char *
mg_head(char *p, const void *context, const struct store_view *view)
{
	const struct mg_context *mg = context;
	struct meta_facts facts;

	if (mg->facts != NULL)
		return reply_meta(p, mg->code, mg->command, mg->facts);
	if (likely(mg->command->meta.flags == META_FLAG('v') && view->marks == 0))
		return reply_meta_size(p, view->size);
	meta_facts_of(mg->worker, view, &facts);
	return reply_meta(p, mg->code, mg->command, &facts);
}

static struct value_format
mg_format(const struct mg_context *mg)
{
	return (struct value_format){
	    .head = mg_head,
	    .context = mg,
	    .head_max = REPLY_META_MAX,
	    .tail = mg->code == META_VA ? SLICE_LITERAL("\r\n") : SLICE_LITERAL(""),
	    .omit = mg->code != META_VA,
	};
}

enum mg_result { MG_MISS, MG_ANSWERED, MG_WIN };

/* Without a lock. MG_WIN: *SEEN is a stale item to be won, and nothing is answered. */
static enum mg_result
mg_read(
    struct conn *c, const struct command *cmd, const struct store_key *key, struct store_view *seen)
{
	struct worker *w = c->worker;
	struct mg_context mg = {w, cmd, NULL, has(cmd, 'v') ? META_VA : META_HD};
	struct value_format format = mg_format(&mg);
	unsigned how = STORE_READ_META | (has(cmd, 'v') ? STORE_READ_VALUE : 0) |
	    (has(cmd, 'u') ? 0 : STORE_READ_COUNT);
	char *end = NULL;

	do {
		if (!store_read_begin(w->store, key, how, seen))
			return MG_MISS;
		if (seen->pin == NULL && !to_be_won(seen))
			end = value_copied(c, seen, &format);
	} while (!store_read_end(w->store, seen));
	if (unlikely(to_be_won(seen))) {
		if (seen->pin != NULL)
			store_unpin(w->store, seen->pin);
		return MG_WIN;
	}
	if (seen->pin != NULL)
		value_pinned(c, seen, seen->pin, &format);
	else if (end != NULL)
		outq_commit(&c->out, end);
	return MG_ANSWERED;
}

/* Makes the empty item of N in PENDING, if that is asked for. */
static void
mg_make_empty(struct worker *w, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	struct store_head head = {.versioned = has(cmd, 'E'), .tagged = has(cmd, 'b')};
	struct expiry expiry;

	if (!has(cmd, 'N'))
		return;
	work_expiry(w, cmd, true, 0, &expiry);
	head.exptime = expiry.after;
	(void)exec_make(w, pending, key, &head, "");
}

/* What is to be said of the item of ENTRY, as it is before this access but for what the flags ask for, which is done
 * here. */
static void
mg_change(struct worker *w, const struct command *cmd, struct store_entry *entry, bool created,
    const struct store_view *seen, struct meta_facts *facts)
{
	struct expiry expiry;

	work_expiry(w, cmd, created, created ? 0 : entry->view.exptime, &expiry);
	meta_facts_of(w, &entry->view, facts);
	facts->ttl = time_left(w, expiry.shown);
	if (seen != NULL) {
		facts->age = seen->age;
		facts->fetched = seen->fetched;
	}
	facts->others_won = !created && (entry->view.marks & STORE_WON) != 0;
	facts->won = created || (!facts->others_won && (facts->stale || expiry.recache));
	if (expiry.changed)
		store_entry_touch(entry, expiry.after);
	if (facts->won && !created)
		store_entry_mark(entry, STORE_WON, 0, 0);
	if (seen == NULL && !has(cmd, 'u'))
		store_entry_count(entry);
}

/* Under the lock. SEEN is what mg_read saw, or NULL. False where there is no item. */
static bool
mg_locked(struct conn *c, const struct command *cmd, const struct store_key *key,
    const struct store_view *seen)
{
	struct worker *w = c->worker;
	struct store_pending pending = {0};
	struct mg_context mg = {.worker = w, .command = cmd};
	struct value_format format;
	struct meta_facts facts;
	struct store_entry entry;
	struct store_view view;
	bool created = false;

	mg_make_empty(w, cmd, key, &pending);
	store_enter(w->store, key, &entry);
	if (!entry.found && pending.ref != 0)
		created = store_entry_put(&entry, &pending, wanted_version(cmd), STORE_WON);
	if (!entry.found) {
		store_leave(&entry);
		store_abort(w->store, &pending);
		return false;
	}
	mg_change(w, cmd, &entry, created, seen, &facts);
	view = entry.view;
	mg.facts = &facts;
	mg.code = has(cmd, 'v') && !(has(cmd, 'C') && cmd->meta.compare_cas == facts.cas) ? META_VA
											  : META_HD;
	format = mg_format(&mg);
	value_leave(c, &entry, &view, &format);
	store_abort(w->store, &pending);
	return true;
}

/* Whether an item that is there must be looked at under the lock. */
static bool
mg_needs_lock(const struct command *cmd)
{
	return (cmd->meta.flags & (META_FLAG('T') | META_FLAG('R') | META_FLAG('C'))) != 0;
}

static void
exec_mg(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct store_view seen;
	enum mg_result result = MG_MISS;
	bool hit = false;

	if (!mg_needs_lock(cmd))
		result = mg_read(c, cmd, key, &seen);
	if (result == MG_ANSWERED)
		hit = true;
	else if (result == MG_WIN || mg_needs_lock(cmd) || has(cmd, 'N'))
		hit = mg_locked(c, cmd, key, result == MG_WIN ? &seen : NULL);
	note_get(c, key, hit);
	if (hit)
		mg_count_hit(c->worker, cmd);
	else
		mg_miss(c, cmd);
}

/* ---------------------------------------------------------------- ms */

static enum meta_code
stored_code(enum store_result result)
{
	switch (result) {
	case STORE_OK:
		return META_HD;
	case STORE_EXISTS:
		return META_EX;
	case STORE_NOT_FOUND:
		return META_NF;
	default:
		return META_NS;
	}
}

/* I with C: an older version than the item's may still be stored, as a stale value. */
static enum store_result
store_stale(struct worker *w, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending, uint64_t *version)
{
	enum store_result result = STORE_OK;
	struct store_entry entry;

	store_enter(w->store, key, &entry);
	if (!entry.found) {
		result = STORE_NOT_FOUND;
	} else if (cas_asked(w, cmd->meta.compare_cas) == 0 ||
	    cmd->meta.compare_cas > entry.view.version) {
		result = STORE_EXISTS;
	} else {
		bool stale = cmd->meta.compare_cas < entry.view.version;
		uint8_t marks = stale ? (entry.view.marks & STORE_WON) | STORE_STALE : 0;
		uint32_t exptime = entry.view.exptime;

		if (!store_entry_put(&entry, pending, wanted_version(cmd), marks))
			result = STORE_NO_MEMORY;
		else if (stale)
			store_entry_touch(&entry, exptime);
		*version = entry.view.version;
	}
	store_leave(&entry);
	store_abort(w->store, pending);
	return result;
}

static bool
is_append(const struct command *cmd)
{
	return cmd->meta.mode == 'A' || cmd->meta.mode == 'P';
}

static enum store_mode
put_mode(const struct command *cmd)
{
	switch (cmd->meta.mode) {
	case 'E':
		return STORE_ADD;
	case 'R':
		return STORE_REPLACE;
	case 'A':
		return STORE_APPEND;
	case 'P':
		return STORE_PREPEND;
	default:
		return STORE_SET;
	}
}

static enum store_result
store_meta(struct worker *w, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending, uint64_t *version)
{
	uint64_t asked = has(cmd, 'C') ? cas_asked(w, cmd->meta.compare_cas) : 0;
	struct store_put put = {
	    .mode = put_mode(cmd),
	    .compare = has(cmd, 'C') && cmd->meta.mode != 'E' && !(is_append(cmd) && asked == 0),
	    .compare_to = asked,
	    .create = is_append(cmd) && has(cmd, 'N'),
	    .version = wanted_version(cmd),
	};
	enum store_result result;

	if (put.compare && has(cmd, 'I') && !is_append(cmd))
		result = store_stale(w, cmd, key, pending, version);
	else
		result = store_put(w->store, key, pending, &put, version);
	if (put.compare && !is_append(cmd))
		count_cas(w, result);
	if (is_append(cmd) && result == STORE_NOT_FOUND)
		return STORE_NOT_STORED;
	return result;
}

/* What an append has made of the item is known only by looking. */
static uint32_t
size_now(struct worker *w, const struct store_key *key)
{
	struct store_view view;

	do {
		if (!store_read_begin(w->store, key, 0, &view))
			return 0;
	} while (!store_read_end(w->store, &view));
	return view.size;
}

enum store_result
meta_stored(struct conn *c, const struct command *cmd, const struct store_key *key,
    struct store_pending *pending)
{
	struct meta_facts facts = {.size = cmd->size};
	enum store_result result = store_meta(c->worker, cmd, key, pending, &facts.cas);

	facts.cas = cas_shown(c->worker, facts.cas);
	counter_add(c->worker, cmd_meta, 1);
	if (result == STORE_OK && is_append(cmd) && has(cmd, 's'))
		facts.size = size_now(c->worker, key);
	if (result != STORE_NO_MEMORY)
		reply_code(c, cmd, stored_code(result), result == STORE_OK ? &facts : NULL);
	return result;
}

/* ---------------------------------------------------------------- md */

/* What md does to ENTRY, which is found and may be changed. */
static enum store_result
md_change(struct worker *w, const struct command *cmd, struct store_entry *entry,
    struct store_pending *emptied)
{
	if (has(cmd, 'x') && !store_entry_put(entry, emptied, wanted_version(cmd), 0))
		return STORE_NO_MEMORY;
	if (has(cmd, 'I')) {
		uint64_t version = wanted_version(cmd);

		if (has(cmd, 'T'))
			store_entry_touch(entry, exec_exptime(w, cmd->meta.ttl));
		store_entry_mark(
		    entry, STORE_STALE, STORE_WON, version != 0 ? version : STORE_VERSION_NEXT);
	} else if (!has(cmd, 'x')) {
		store_entry_delete(entry);
		count_delete(w, true);
	}
	return STORE_OK;
}

static enum store_result
md_locked(struct worker *w, const struct command *cmd, const struct store_key *key,
    struct store_pending *emptied)
{
	struct store_entry entry;
	enum store_result result;

	store_enter(w->store, key, &entry);
	if (!entry.found)
		result = STORE_NOT_FOUND;
	else if (has(cmd, 'C') && cas_shown(w, entry.view.version) != cmd->meta.compare_cas)
		result = STORE_EXISTS;
	else
		result = md_change(w, cmd, &entry, emptied);
	store_leave(&entry);
	return result;
}

static void
exec_md(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct store_pending emptied = {0};
	struct store_head head = {
	    .flags = cmd->client_flags,
	    .versioned = has(cmd, 'E'),
	    .tagged = has(cmd, 'b'),
	};
	enum store_result result = STORE_OK;
	struct watch_item item;

	note_lookup(c, key);
	note_before(c, key, &item);
	if (has(cmd, 'x')) {
		head.exptime = has(cmd, 'T') ? exec_exptime(w, cmd->meta.ttl) : 0;
		if (!exec_make(w, &emptied, key, &head, ""))
			result = STORE_NO_MEMORY;
	}
	if (result == STORE_OK)
		result = md_locked(w, cmd, key, &emptied);
	if (result == STORE_NOT_FOUND && !has(cmd, 'C'))
		result = exec_remove(w, key);
	store_abort(w->store, &emptied);
	if (result == STORE_NO_MEMORY) {
		reply_with(c, REPLY_NO_MEMORY_OTHER);
		return;
	}
	if (result != STORE_OK)
		count_delete(w, false);
	note_delete(c, cmd, key, result == STORE_OK, has(cmd, 'I') || has(cmd, 'x') ? NULL : &item);
	reply_code(c, cmd, stored_code(result), NULL);
}

/* ---------------------------------------------------------------- ma */

static void
ma_answer(struct conn *c, const struct command *cmd, const struct delta *delta)
{
	struct worker *w = c->worker;
	struct meta_facts facts = {.cas = delta->cas};
	struct expiry expiry;
	char *p;

	if (cmd->noreply)
		return;
	work_expiry(w, cmd, delta->created, delta->old_exptime, &expiry);
	facts.ttl = time_left(w, expiry.shown);
	p = outq_reserve(&c->out, &c->worker->source, REPLY_META_MAX + REPLY_NUMBER_MAX);
	if (p != NULL)
		outq_commit(&c->out, reply_meta_number(p, cmd, &facts, delta->number));
}

static void
exec_ma(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct expiry expiry;
	struct delta delta = {
	    .decrement = cmd->meta.mode == 'D',
	    .amount = cmd->meta.delta,
	    .compare = has(cmd, 'C') && cmd->meta.compare_cas != 0,
	    .compare_to = has(cmd, 'C') ? cmd->meta.compare_cas : 0,
	    .version = wanted_version(cmd),
	    .touch = has(cmd, 'T'),
	    .exptime = has(cmd, 'T') ? exec_exptime(w, cmd->meta.ttl) : 0,
	    .create = has(cmd, 'N'),
	    .initial = cmd->meta.initial,
	    .tagged = has(cmd, 'b'),
	};
	enum delta_result result;

	work_expiry(w, cmd, true, 0, &expiry);
	delta.create_exptime = expiry.after;
	note_lookup(c, key);
	result = exec_delta(w, key, &delta);
	if (!delta.created || result == DELTA_NOT_FOUND)
		count_delta(w, delta.decrement, result);
	if (delta.created && result == DELTA_OK)
		note_created(c, key);
	if (result == DELTA_OK)
		ma_answer(c, cmd, &delta);
	else if (result == DELTA_NOT_FOUND)
		reply_code(c, cmd, META_NF, NULL);
	else if (result == DELTA_EXISTS)
		reply_code(c, cmd, META_EX, NULL);
	else
		reply_with(
		    c, result == DELTA_NO_MEMORY ? REPLY_NO_MEMORY_OTHER : REPLY_NON_NUMERIC);
}

/* ---------------------------------------------------------------- me, mn */

static void
exec_me(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	struct worker *w = c->worker;
	struct meta_facts facts;
	struct store_view view;
	unsigned slab_class;
	char *p;

	note_lookup(c, key);
	do {
		if (!store_read_begin(w->store, key, STORE_READ_META, &view)) {
			reply_with(c, REPLY_META_MISS);
			return;
		}
		meta_facts_of(w, &view, &facts);
		slab_class = store_view_class(w->store, &view);
	} while (!store_read_end(w->store, &view));
	if ((p = outq_reserve(&c->out, &w->source, REPLY_ME_MAX)) != NULL)
		outq_commit(&c->out,
		    reply_me(p, cmd, &facts, slab_class, (size_t)item_total(w, key, &view)));
}

void
exec_meta(struct conn *c, const struct command *cmd, const struct store_key *key)
{
	if (cmd->op == OP_MS) {
		exec_store(c, cmd, key);
		return;
	}
	counter_add(c->worker, cmd_meta, 1);
	if (cmd->op == OP_MG)
		exec_mg(c, cmd, key);
	else if (cmd->op == OP_MD)
		exec_md(c, cmd, key);
	else if (cmd->op == OP_MA)
		exec_ma(c, cmd, key);
	else if (cmd->op == OP_ME)
		exec_me(c, cmd, key);
	else
		reply_with(c, REPLY_META_NOOP);
}
