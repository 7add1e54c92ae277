/* server/replicate_record.c: records to bytes and back. */
#include "server/replicate_record.h"

#include <assert.h>
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "slab/store.h"

struct record_head {
	uint32_t length;
	uint8_t kind, nkey, marks, zero;
	uint64_t order, stamp, version, expiry;
	uint32_t flags, size, offset, zero_too;
};

static_assert(sizeof(struct record_head) == RECORD_HEAD, "layout");
static_assert(offsetof(struct record_head, order) == 8, "layout");
static_assert(offsetof(struct record_head, flags) == 40, "layout");
static_assert(offsetof(struct record_head, offset) == 48, "layout");

char *
record_write(char *to, const struct record *r)
{
	size_t length = RECORD_HEAD + r->key.len + r->value.len;
	struct record_head head = {.length = htole32((uint32_t)length),
	    .kind = (uint8_t)r->kind,
	    .nkey = (uint8_t)r->key.len,
	    .marks = r->marks,
	    .order = htole64(r->order),
	    .stamp = htole64(r->stamp),
	    .version = htole64(r->version),
	    .expiry = htole64((uint64_t)r->expiry),
	    .flags = htole32(r->flags),
	    .size = htole32(r->size),
	    .offset = htole32(r->offset)};

	memcpy(to, &head, sizeof(head));
	memcpy(to + sizeof(head), r->key.ptr, r->key.len);
	return to + sizeof(head) + r->key.len;
}

/* What no sender says. */
static bool
sensible(const struct record *r)
{
	if (r->kind < RECORD_SET || r->kind > RECORD_EVICT || r->key.len == 0 ||
	    r->key.len > STORE_KEY_MAX)
		return false;
	if (r->order == 0 || r->order > STORE_ORDER_MAX || r->stamp > STORE_ORDER_MAX ||
	    r->version > STORE_VERSION_MAX || r->expiry < 0 ||
	    (r->marks & ~(STORE_STALE | STORE_WON | STORE_TAGGED)) != 0)
		return false;
	if (r->kind != RECORD_SET)
		return r->value.len == 0;
	return r->size <= STORE_VALUE_MAX && r->offset <= r->size &&
	    r->value.len <= r->size - r->offset;
}

bool
record_read(struct slice *from, struct record *r)
{
	struct record_head head;
	size_t length;

	if (from->len < sizeof(head))
		return false;
	memcpy(&head, from->ptr, sizeof(head));
	length = le32toh(head.length);
	if (length > from->len || length < sizeof(head) + head.nkey)
		return false;
	*r = (struct record){.kind = head.kind,
	    .marks = head.marks,
	    .key = slice_of(from->ptr + sizeof(head), head.nkey),
	    .order = le64toh(head.order),
	    .stamp = le64toh(head.stamp),
	    .version = le64toh(head.version),
	    .expiry = (int64_t)le64toh(head.expiry),
	    .flags = le32toh(head.flags),
	    .size = le32toh(head.size),
	    .offset = le32toh(head.offset),
	    .value =
		slice_of(from->ptr + sizeof(head) + head.nkey, length - sizeof(head) - head.nkey)};
	*from = slice_of(from->ptr + length, from->len - length);
	return sensible(r);
}
