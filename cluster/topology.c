/* cluster/topology.c: see topology.h. All strings of a topology lie in its own text, which is also what it is sent as: nodes
 * are made by parsing that text, so what is sent is what is used. */
#include "cluster/topology.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/assert.h"
#include "base/number.h"

#define MAGIC "ringcache-topology 1 "

struct topology {
	struct topology_options options;
	size_t count;
	struct topology_node *nodes;
	struct slice *names;
	struct ring *ring;
	uint64_t digest;
	unsigned char cluster_id[TOPOLOGY_CLUSTER_ID];
	char *labels; /* the names of nodes that have none */
	size_t text_len;
	char text[TOPOLOGY_TEXT_MAX];
};

const char *
topology_status_text(enum topology_status status)
{
	static const char *const texts[] = {
#define TOPOLOGY_STATUS(symbol, text) text,
#include "cluster/tbl/topology_statuses.h"
#undef TOPOLOGY_STATUS
	};

	return texts[status];
}

/* ---------------------------------------------------------------- reading text */

/* Takes what stands before the first C off REST; all of it where there is no C. */
static struct slice
cut_at(struct slice *rest, char c)
{
	const char *at = rest->len == 0 ? NULL : memchr(rest->ptr, c, rest->len);
	struct slice word = {rest->ptr, at == NULL ? rest->len : (size_t)(at - rest->ptr)};
	size_t used = word.len + (at != NULL);

	*rest = slice_of(rest->ptr + used, rest->len - used);
	return word;
}

/* Splits TEXT at its last C: what stands behind it goes to *TAIL. False where there is none. */
static bool
cut_tail(struct slice *text, char c, struct slice *tail)
{
	const char *at = text->len == 0 ? NULL : memrchr(text->ptr, c, text->len);

	if (at == NULL)
		return false;
	*tail = slice_of(at + 1, text->len - (size_t)(at - text->ptr) - 1);
	text->len = (size_t)(at - text->ptr);
	return true;
}

static bool
parse_id(struct slice text, uint64_t *id)
{
	*id = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		*id = *id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return text.len == 16;
}

static bool
parse_port(struct slice text, uint16_t *port)
{
	uint32_t number;

	if (!number_parse_u32(text, &number) || number == 0 || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

/* Printable, and nothing that lists, rings or lines of protocols are made with. */
static bool
good_name(struct slice name, size_t max)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' ||
		    strchr(",=*#~|", name.ptr[i]) != NULL)
			return false;
	return name.len <= max;
}

/* HOST, without its brackets. */
static enum topology_status
parse_host(struct slice text, struct slice *host)
{
	bool colon = memchr(text.ptr, ':', text.len) != NULL;

	if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
		text = slice_of(text.ptr + 1, text.len - 2);
	else if (colon)
		return TOPOLOGY_BAD_NODE;
	*host = text;
	if (text.len == 0 || !good_name(text, TOPOLOGY_NAME_MAX) ||
	    memchr(text.ptr, '/', text.len) != NULL || memchr(text.ptr, '[', text.len) != NULL)
		return TOPOLOGY_BAD_NAME;
	return TOPOLOGY_OK;
}

/* "host:port[/peer-port]" */
static enum topology_status
parse_address(struct slice text, struct topology_node *node)
{
	struct slice peer, port;
	bool peer_given = false;

	if (cut_tail(&text, '/', &peer)) {
		peer_given = true;
		if (!parse_port(peer, &node->peer_port))
			return TOPOLOGY_BAD_PORT;
	}
	if (!cut_tail(&text, ':', &port) || text.len == 0)
		return TOPOLOGY_BAD_NODE;
	if (!parse_port(port, &node->port))
		return TOPOLOGY_BAD_PORT;
	if (!peer_given && node->port > UINT16_MAX - TOPOLOGY_PEER_PORT)
		return TOPOLOGY_BAD_PORT;
	if (!peer_given)
		node->peer_port = (uint16_t)(node->port + TOPOLOGY_PEER_PORT);
	return parse_host(text, &node->host);
}

/* Where TEXT has none, the id is the hash of this. */
static uint64_t
node_id(struct slice cluster, struct slice name)
{
	char bytes[TOPOLOGY_CLUSTER_MAX + 1 + TOPOLOGY_NAME_MAX + 8];
	size_t n = cluster.len;

	memcpy(bytes, cluster.ptr, n);
	bytes[n++] = '\n';
	memcpy(bytes + n, name.ptr, name.len);
	return XXH3_64bits(bytes, n + name.len);
}

static enum topology_status
parse_node(struct slice text, struct topology_node *node)
{
	struct slice tail, name = {NULL, 0};
	const char *equals;
	uint32_t weight = 1;

	*node = (struct topology_node){.eligible = true};
	if (text.len > 0 && text.ptr[text.len - 1] == '~') {
		node->eligible = false;
		text.len--;
	}
	if (cut_tail(&text, '#', &tail) && (!parse_id(tail, &node->id) || node->id == 0))
		return TOPOLOGY_BAD_NODE;
	if (cut_tail(&text, '*', &tail) &&
	    (!number_parse_u32(tail, &weight) || weight == 0 || weight > RING_WEIGHT_MAX))
		return TOPOLOGY_BAD_WEIGHT;
	node->weight = weight;
	equals = text.len == 0 ? NULL : memchr(text.ptr, '=', text.len);
	if (equals != NULL) {
		name = slice_of(text.ptr, (size_t)(equals - text.ptr));
		text = slice_of(equals + 1, text.len - name.len - 1);
		if (name.len == 0)
			return TOPOLOGY_BAD_NAME;
	}
	node->name = name;
	return good_name(name, TOPOLOGY_NAME_MAX) ? parse_address(text, node) : TOPOLOGY_BAD_NAME;
}

/* ---------------------------------------------------------------- making one */

/* Room for "[host]:port". */
#define LABEL_MAX (TOPOLOGY_NAME_MAX + 2 + 1 + 5 + 1)

static void
name_node(struct topology *t, size_t i)
{
	struct topology_node *node = &t->nodes[i];
	char *label = t->labels + i * LABEL_MAX;
	bool v6 = memchr(node->host.ptr, ':', node->host.len) != NULL;
	int n;

	t->names[i] = node->name;
	if (node->name.len == 0) {
		n = snprintf(label, LABEL_MAX, "%s%.*s%s:%u", v6 ? "[" : "", (int)node->host.len,
		    node->host.ptr, v6 ? "]" : "", node->port);
		t->names[i] = slice_of(label, (size_t)n);
	}
	if (node->id == 0)
		node->id = node_id(t->options.cluster, t->names[i]);
}

static bool
same_node(const struct topology *t, size_t i, size_t j)
{
	const struct topology_node *a = &t->nodes[i], *b = &t->nodes[j];

	return a->id == b->id || slice_equal(t->names[i], t->names[j]) ||
	    (slice_equal(a->host, b->host) &&
		(a->port == b->port || a->peer_port == b->peer_port || a->port == b->peer_port ||
		    a->peer_port == b->port));
}

static enum topology_status
parse_nodes(struct topology *t, struct slice list)
{
	size_t room = 1;

	for (size_t i = 0; i < list.len; i++)
		room += list.ptr[i] == ',';
	if (list.len == 0)
		return TOPOLOGY_NO_NODES;
	if (room > TOPOLOGY_NODES_MAX)
		return TOPOLOGY_MANY_NODES;
	t->nodes = calloc(room, sizeof(*t->nodes));
	t->names = calloc(room, sizeof(*t->names));
	t->labels = calloc(room, LABEL_MAX);
	if (t->nodes == NULL || t->names == NULL || t->labels == NULL)
		return TOPOLOGY_NO_MEMORY;
	for (; t->count < room; t->count++) {
		enum topology_status status = parse_node(cut_at(&list, ','), &t->nodes[t->count]);

		if (status != TOPOLOGY_OK)
			return status;
		name_node(t, t->count);
		for (size_t i = 0; i < t->count; i++)
			if (same_node(t, i, t->count))
				return TOPOLOGY_DUPLICATE;
	}
	return TOPOLOGY_OK;
}

static enum topology_status
ring_error(enum ring_status status)
{
	switch (status) {
	case RING_OK:
		return TOPOLOGY_OK;
	case RING_BAD_WEIGHT:
		return TOPOLOGY_BAD_WEIGHT;
	case RING_BAD_NAME:
		return TOPOLOGY_BAD_NAME;
	case RING_DUPLICATE:
		return TOPOLOGY_DUPLICATE;
	case RING_NO_MEMORY:
		return TOPOLOGY_NO_MEMORY;
	default:
		return TOPOLOGY_BAD_RING;
	}
}

static enum topology_status
make_ring(struct topology *t)
{
	struct ring_options options = {.kind = t->options.kind, .points = t->options.points};
	struct ring_node *nodes = calloc(t->count, sizeof(*nodes));
	enum topology_status status;

	if (nodes == NULL)
		return TOPOLOGY_NO_MEMORY;
	for (size_t i = 0; i < t->count; i++)
		nodes[i] = (struct ring_node){
		    .name = t->nodes[i].name,
		    .host = t->nodes[i].host,
		    .port = t->nodes[i].port,
		    .weight = t->nodes[i].weight,
		};
	status = ring_error(ring_new(&t->ring, &options, nodes, t->count));
	free(nodes);
	return status;
}

/* Appends to the text; false where there is no room. */
static bool __attribute__((format(printf, 2, 3)))
add_text(struct topology *t, const char *format, ...)
{
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(t->text + t->text_len, sizeof(t->text) - t->text_len, format, arguments);
	va_end(arguments);
	if (n < 0 || (size_t)n >= sizeof(t->text) - t->text_len)
		return false;
	t->text_len += (size_t)n;
	return true;
}

static bool
add_node(struct topology *t, size_t i)
{
	const struct topology_node *node = &t->nodes[i];
	bool v6 = memchr(node->host.ptr, ':', node->host.len) != NULL;

	return add_text(t, "%s%.*s%s%s%.*s%s:%u/%u*%u#%016llx%s", i > 0 ? "," : "",
	    (int)node->name.len, node->name.ptr, node->name.len > 0 ? "=" : "", v6 ? "[" : "",
	    (int)node->host.len, node->host.ptr, v6 ? "]" : "", node->port, node->peer_port,
	    node->weight, (unsigned long long)node->id, node->eligible ? "" : "~");
}

/* The text in its one form: the same topology is the same text. What the nodes refer to stays where it was, in LIST. */
static bool
write_text(struct topology *t)
{
	const struct topology_options *o = &t->options;
	size_t begin;
	bool fits;

	t->text_len = 0;
	fits = add_text(t, MAGIC "%llu ", (unsigned long long)o->epoch);
	begin = t->text_len;
	fits = fits &&
	    add_text(t, "%.*s %s %u %u ", (int)o->cluster.len, o->cluster.ptr,
		ring_kind_name(o->kind), o->points, o->replicas);
	for (size_t i = 0; fits && i < t->count; i++)
		fits = add_node(t, i);
	t->digest = XXH3_64bits(t->text + begin, t->text_len - begin);
	return fits;
}

static enum topology_status
check_options(const struct topology_options *o)
{
	if (o->cluster.len == 0 || o->cluster.len > TOPOLOGY_CLUSTER_MAX ||
	    !good_name(o->cluster, TOPOLOGY_CLUSTER_MAX))
		return TOPOLOGY_BAD_CLUSTER;
	if (o->epoch == 0 || o->epoch > TOPOLOGY_EPOCH_MAX)
		return TOPOLOGY_BAD_EPOCH;
	return o->replicas > TOPOLOGY_REPLICAS_MAX ? TOPOLOGY_BAD_REPLICAS : TOPOLOGY_OK;
}

/* Fills in T, whose strings lie in OPTIONS and LIST. */
static enum topology_status
make(struct topology *t, const struct topology_options *options, struct slice list)
{
	enum topology_status status = check_options(options);

	t->options = *options;
	if (status == TOPOLOGY_OK)
		status = parse_nodes(t, list);
	if (status == TOPOLOGY_OK && !write_text(t))
		status = TOPOLOGY_MANY_NODES;
	return status;
}

/* The text's fields. */
static enum topology_status
read_text(struct slice text, struct topology_options *options, struct slice *list)
{
	struct slice epoch, ring, points, replicas;

	if (text.len >= TOPOLOGY_TEXT_MAX || text.len < sizeof(MAGIC) - 1 ||
	    memcmp(text.ptr, MAGIC, sizeof(MAGIC) - 1) != 0)
		return TOPOLOGY_BAD_BYTES;
	text = slice_of(text.ptr + sizeof(MAGIC) - 1, text.len - (sizeof(MAGIC) - 1));
	epoch = cut_at(&text, ' ');
	options->cluster = cut_at(&text, ' ');
	ring = cut_at(&text, ' ');
	points = cut_at(&text, ' ');
	replicas = cut_at(&text, ' ');
	*list = text;
	if (!number_parse_u64(epoch, &options->epoch) ||
	    !number_parse_u32(points, &options->points) ||
	    !number_parse_u32(replicas, &options->replicas))
		return TOPOLOGY_BAD_BYTES;
	return ring_kind_find(ring, &options->kind) ? TOPOLOGY_OK : TOPOLOGY_BAD_RING;
}

static enum topology_status
make_cluster_id(struct topology *t)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct slice name = t->options.cluster;

	if (EVP_Digest(name.ptr, name.len, digest, NULL, EVP_sha256(), NULL) != 1)
		return TOPOLOGY_NO_MEMORY;
	memcpy(t->cluster_id, digest, sizeof(t->cluster_id));
	return TOPOLOGY_OK;
}

/* Makes T anew of its own text, so that it refers to nothing else. */
static enum topology_status
settle(struct topology **out, const struct topology *from)
{
	struct topology *t = calloc(1, sizeof(*t));
	struct topology_options options;
	enum topology_status status;
	struct slice list;

	*out = t;
	if (t == NULL)
		return TOPOLOGY_NO_MEMORY;
	memcpy(t->text, from->text, from->text_len);
	t->digest = from->digest;
	status = read_text(slice_of(t->text, from->text_len), &options, &list);
	if (status != TOPOLOGY_OK)
		return status;
	t->options = options;
	t->text_len = from->text_len;
	status = parse_nodes(t, list);
	if (status == TOPOLOGY_OK)
		status = make_cluster_id(t);
	return status == TOPOLOGY_OK ? make_ring(t) : status;
}

enum topology_status
topology_parse(struct topology **out, const struct topology_options *options, struct slice list)
{
	struct topology *draft = calloc(1, sizeof(*draft));
	enum topology_status status = TOPOLOGY_NO_MEMORY;

	*out = NULL;
	if (draft != NULL)
		status = make(draft, options, list);
	if (status == TOPOLOGY_OK)
		status = settle(out, draft);
	topology_free(&draft);
	if (status != TOPOLOGY_OK)
		topology_free(out);
	return status;
}

enum topology_status
topology_decode(struct topology **t, struct slice bytes)
{
	struct topology_options options;
	enum topology_status status;
	struct slice list;

	*t = NULL;
	status = read_text(bytes, &options, &list);
	return status == TOPOLOGY_OK ? topology_parse(t, &options, list) : status;
}

enum topology_status
topology_renew(struct topology **t, const struct topology *of, uint64_t epoch)
{
	struct topology_options options;
	enum topology_status status;
	struct slice list;

	*t = NULL;
	status = read_text(topology_encode(of), &options, &list);
	options.epoch = epoch;
	return status == TOPOLOGY_OK ? topology_parse(t, &options, list) : status;
}

void
topology_free(struct topology **out)
{
	struct topology *t = *out;

	*out = NULL;
	if (t == NULL)
		return;
	if (t->ring != NULL)
		ring_free(&t->ring);
	free(t->nodes);
	free(t->names);
	free(t->labels);
	free(t);
}

/* ---------------------------------------------------------------- asking it */

struct slice
topology_encode(const struct topology *t)
{
	return slice_of(t->text, t->text_len);
}

const struct topology_options *
topology_options(const struct topology *t)
{
	return &t->options;
}

size_t
topology_count(const struct topology *t)
{
	return t->count;
}

const struct topology_node *
topology_node(const struct topology *t, unsigned index)
{
	ASSERT(index < t->count);
	return &t->nodes[index];
}

const struct ring *
topology_ring(const struct topology *t)
{
	return t->ring;
}

enum ring_kind
topology_kind(const struct topology *t)
{
	return t->options.kind;
}

struct slice
topology_node_name(const struct topology *t, unsigned index)
{
	ASSERT(index < t->count);
	return t->names[index];
}

uint64_t
topology_digest(const struct topology *t)
{
	return t->digest;
}

void
topology_cluster_id(const struct topology *t, unsigned char id[TOPOLOGY_CLUSTER_ID])
{
	memcpy(id, t->cluster_id, TOPOLOGY_CLUSTER_ID);
}

/* Whether NAME is "host:port" of a node. */
static bool
is_address(const struct topology_node *node, struct slice name)
{
	struct slice port, host = name;
	uint16_t number;

	if (!cut_tail(&host, ':', &port) || !parse_port(port, &number) || number != node->port)
		return false;
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_of(host.ptr + 1, host.len - 2);
	return slice_equal(host, node->host);
}

bool
topology_find(const struct topology *t, struct slice name, unsigned *index)
{
	for (unsigned i = 0; i < t->count; i++)
		if (slice_equal(t->names[i], name) || is_address(&t->nodes[i], name)) {
			*index = i;
			return true;
		}
	return false;
}

bool
topology_find_id(const struct topology *t, uint64_t id, unsigned *index)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->nodes[i].id == id) {
			*index = i;
			return true;
		}
	return false;
}

unsigned
topology_holders(const struct topology *t, uint32_t point, uint16_t *holders, unsigned want)
{
	uint16_t all[TOPOLOGY_REPLICAS_MAX + 1];
	unsigned n = (unsigned)ring_holders(t->ring, point, all, t->options.replicas + 1);
	unsigned first = 0, count = 1;

	while (first < n && !t->nodes[all[first]].eligible)
		first++;
	if (first == n || want == 0)
		return 0;
	holders[0] = all[first];
	for (unsigned i = 0; i < n && count < want; i++)
		if (i != first)
			holders[count++] = all[i];
	return count;
}
