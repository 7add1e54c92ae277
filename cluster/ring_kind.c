/* cluster/ring_kind.c: the texts of kinds and statuses, from their tables. */
#include "base/assert.h"
#include "cluster/ring.h"

static const struct {
	const char *name, *text;
} kinds[] = {
#define RING_KIND(symbol, name, points, text) [RING_##symbol] = {name, text},
#include "cluster/tbl/ring_kinds.h"
#undef RING_KIND
};

static const char *const statuses[] = {
#define RING_STATUS(symbol, text) [RING_##symbol] = text,
#include "cluster/tbl/ring_statuses.h"
#undef RING_STATUS
};

const char *
ring_kind_name(enum ring_kind kind)
{
	ASSERT(kind < RING_KINDS);
	return kinds[kind].name;
}

const char *
ring_kind_text(enum ring_kind kind)
{
	ASSERT(kind < RING_KINDS);
	return kinds[kind].text;
}

bool
ring_kind_find(struct slice name, enum ring_kind *kind)
{
	for (enum ring_kind k = 0; k < RING_KINDS; k++) {
		if (slice_is(name, kinds[k].name)) {
			*kind = k;
			return true;
		}
	}
	return false;
}

const char *
ring_status_text(enum ring_status status)
{
	ASSERT(status < sizeof(statuses) / sizeof(statuses[0]));
	return statuses[status];
}
