/* cluster/ring_points.c: which points a node has, kind by kind, as the originals make them.
 *
 *	libmemcached    libmemcached 1.0 and 1.1, update_continuum(), with MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED
 *	ketama100       the same with MEMCACHED_DISTRIBUTION_CONSISTENT_KETAMA and the default hash
 *	spymemcached    spymemcached 2, KetamaNodeLocator and DefaultKetamaNodeLocatorConfiguration
 *	twemproxy       nutcracker 0.4 and 0.5, ketama_update() and conf_add_server()
 */
#include <assert.h>
#include <float.h>
#include <stdio.h>

#include "base/assert.h"
#include "cluster/ring_impl.h"

#define DEFAULT_PORT 11211u

/* The longest label that nutcracker's buffer of 86 bytes has room for, with "-39" and the terminator. */
#define TWEMPROXY_LABEL_MAX 82u

/* What follows a label: a hyphen and a number. */
#define SUFFIX_MAX sizeof("-4294967295")

static const unsigned kind_points[] = {
#define RING_KIND(symbol, name, points, text) [RING_##symbol] = points,
#include "cluster/tbl/ring_kinds.h"
#undef RING_KIND
};

/* Names go into lists with blanks and lines between them. */
static bool
name_allowed(struct slice name)
{
	if (name.len > RING_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c <= ' ' || c == 0x7f)
			return false;
	}
	return true;
}

/* Writes NAME, a slash where HOST is there, HOST, and :PORT unless it is KEPT_BACK. */
static size_t
label_write(char *label, struct slice name, struct slice host, unsigned port, unsigned kept_back)
{
	char *end = slice_copy_short(label, name);
	int n = 0;

	if (host.len > 0) {
		*end++ = '/';
		end = slice_copy_short(end, host);
	}
	if (port != kept_back)
		n = snprintf(end, sizeof(":65535"), ":%u", port);
	ASSERT(n >= 0);
	end += n;
	*end = '\0';
	return (size_t)(end - label);
}

static size_t
label_spymemcached(char *label, const struct ring_node *node)
{
	struct slice name = node->name, host = node->host;

	if (name.len == 0 || slice_equal(name, host))
		return label_write(label, host, slice_of(NULL, 0), node->port, UINT32_MAX);
	if (memchr(name.ptr, '/', name.len) == NULL)
		return label_write(label, name, host, node->port, UINT32_MAX);
	if (name.ptr[0] == '/')
		name = slice_of(name.ptr + 1, name.len - 1);
	return label_write(label, name, slice_of(NULL, 0), node->port, UINT32_MAX);
}

bool
ring_label(enum ring_kind kind, const struct ring_node *node, char label[RING_LABEL_MAX])
{
	const struct slice none = {0};
	bool named = node->name.len > 0;
	struct slice name = named ? node->name : node->host;

	if (!name_allowed(node->name) || !name_allowed(node->host) || node->host.len == 0)
		return false;
	switch (kind) {
	case RING_NATIVE:
		(void)label_write(label, name, none, node->port, named ? node->port : UINT32_MAX);
		return true;
	case RING_LIBMEMCACHED:
	case RING_KETAMA100:
		(void)label_write(label, name, none, node->port, DEFAULT_PORT);
		return true;
	case RING_SPYMEMCACHED:
		(void)label_spymemcached(label, node);
		return true;
	case RING_TWEMPROXY:
		return label_write(label, name, none, node->port,
			   named ? node->port : DEFAULT_PORT) <= TWEMPROXY_LABEL_MAX;
	default:
		panic("no such kind of ring: %u", (unsigned)kind);
	}
}

/* What libmemcached and nutcracker compute in 32-bit floating point: a node's share of the weights, here one of COUNT, times
 * the points, divided by the points of a digest, times COUNT again. Where that comes out just below 40 it is
 * rounded down to 39 digests. Both add 1e-10 before they round, which is less than half of the last bit of a number near 40
 * and therefore left out. Needs a compiler that keeps no more bits than the type has. */
static size_t
points_by_share(unsigned points, size_t count)
{
	float share = 1.0F / (float)count;
	float digests = share * (float)points / (float)RING_DIGEST_POINTS * (float)count;

	static_assert(FLT_EVAL_METHOD == 0, "32-bit arithmetic must be just that");
	return (size_t)digests * RING_DIGEST_POINTS;
}

size_t
ring_points_of(const struct ring_options *options, const struct ring_node *node, size_t count)
{
	switch (options->kind) {
	case RING_NATIVE:
		return (size_t)node->weight *
		    (options->points > 0 ? options->points : kind_points[RING_NATIVE]);
	case RING_LIBMEMCACHED:
	case RING_TWEMPROXY:
		return points_by_share(kind_points[options->kind], count);
	default:
		return kind_points[options->kind];
	}
}

void
ring_points_make(
    struct ring_hash *hash, enum ring_kind kind, const char *label, uint32_t *points, size_t n)
{
	const size_t each = kind == RING_KETAMA100 ? 1 : RING_DIGEST_POINTS;
	uint32_t words[RING_DIGEST_POINTS];
	char text[RING_LABEL_MAX + SUFFIX_MAX];

	for (size_t i = 0; i * each < n; i++) {
		int len = snprintf(text, sizeof(text), "%s-%zu", label, i);
		size_t left = n - i * each;

		ASSERT(len > 0 && (size_t)len < sizeof(text));
		if (kind == RING_KETAMA100)
			words[0] = ring_hash_one_at_a_time(slice_of(text, (size_t)len));
		else
			ring_hash_md5(hash, slice_of(text, (size_t)len), words);
		memcpy(points + i * each, words, (left < each ? left : each) * sizeof(words[0]));
	}
}
