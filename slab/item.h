/* slab/item.h: what lies in a chunk.
 *
 * An item (offsets in bytes, native byte order):
 *
 *	 0        8     12     16     20 21 22   24    26
 *	 +--------+------+------+------+--+--+-----+-----+-----+-----+-----+-------+
 *	 |version | next | prev | life |nk|ht|vlen |atime| key | ext | aux | value |
 *	 +--------+------+------+------+--+--+-----+-----+-----+-----+-----+-------+
 *
 *	version  62 bits, 0 = not linked (in the making, or unlinked and still held); top bit: has ext; the bit below it: a copy
 *	         (STORE_COPY), or where there is ext, one more bit of the version
 *	next,    neighbours in the queue of its class (references; next is the older one); both are the item's own
 *	prev     reference while it is in no queue
 *	life     expiry (29 bits, 0 = never), queue bit, STALE, WON
 *	nk       key length; 0 = no item: a free chunk or a piece
 *	ht       heat: hit counter (7 bits) and "was read" (top bit)
 *	vlen     value length; VLEN_LARGE: the length is in aux, the value in pieces
 *	atime    low 16 bits of the time of the last access
 *	ext      only with the version's top bit: a byte of EXT_ bits, then client flags (4), then birth (8)
 *	aux      only with values above PIN_MIN, aligned to 4: references held, length, first piece (4 bytes each)
 *
 * A piece of a large value, and a free chunk:
 *
 *	 0        8     12     16     20 21 22   24    26    28     32
 *	 +--------+------+------+------+--+--+-----+-----+-----+------+------+
 *	 |   -    | next |owner | used | 0| -|  1  |  -  |  -  | prev | data |
 *	 |   -    | next |  -   |  -   | 0| -|  0  |  -  |     |      |      |
 *	 +--------+------+------+------+--+--+-----+-----+-----+------+------+
 *
 * Who may write what: version, STALE, WON, expiry and the value of a linked item: the holder of its stripe. next,
 * prev and the queue bit: the holder of its class; so life is only changed by compare and swap. heat and atime: any
 * reader, without a lock and even a moment after the chunk was freed; therefore pieces and free chunks leave
 * those bytes alone, and a page is cut anew only after a grace period. All else is fixed while the item is linked.
 *
 * Readers look at chunks without a lock, so each access to a field is a relaxed atomic one; what orders them is the
 * stripe's sequence (index.c). Chunks begin at multiples of 4, so the version is copied as the bytes of a value are: who reads it
 * while it changes can see parts of two versions. Nobody does who has the stripe's lock, or looks at the sequence afterwards.
 * For the others it is a guess which of two items is older, and whether a queued one is there to be moved just now.
 */
#ifndef SLAB_ITEM_H
#define SLAB_ITEM_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/atomics.h"
#include "slab/store.h"

#define CHUNK_UNIT_SHIFT 2u
#define CHUNK_UNIT       (1u << CHUNK_UNIT_SHIFT) /* chunks begin at multiples of it */

struct item {
	uint32_t version[2]; /* the bytes of 64 bits */
	uint32_t next;
	uint32_t prev;
	uint32_t life;
	uint8_t nkey;
	uint8_t heat;
	uint16_t vlen;
	uint16_t atime;
	char data[];
};

static_assert(offsetof(struct item, next) == 8, "layout");
static_assert(offsetof(struct item, life) == 16, "layout");
static_assert(offsetof(struct item, nkey) == 20, "layout");
static_assert(offsetof(struct item, vlen) == 22, "layout");
static_assert(offsetof(struct item, atime) == 24, "layout");
static_assert(offsetof(struct item, data) == 26, "layout");

struct piece {
	uint32_t unused[2];
	uint32_t next;
	uint32_t owner; /* the large item; 0 when another chunk has taken this one's place */
	uint32_t used;  /* bytes of data */
	uint8_t nkey;   /* 0 */
	uint8_t unused_heat;
	uint16_t kind; /* CHUNK_FREE, CHUNK_PIECE */
	uint16_t unused_atime;
	uint32_t prev; /* the piece before this one; 0 = it is the first */
	char data[];
};

static_assert(offsetof(struct piece, nkey) == offsetof(struct item, nkey), "layout");
static_assert(offsetof(struct piece, kind) == offsetof(struct item, vlen), "layout");
static_assert(offsetof(struct piece, next) == offsetof(struct item, next), "layout");
static_assert(offsetof(struct piece, prev) == 28, "layout");
static_assert(offsetof(struct piece, data) == 32, "layout");
static_assert(_Alignof(struct item) == CHUNK_UNIT, "layout");

enum { CHUNK_FREE = 0, CHUNK_PIECE = 1 };

/* Held, length and first piece of a value that readers pin instead of copying. */
struct aux {
	uint32_t references; /* 1 for being linked or in the making, 1 for each pin */
	uint32_t size;
	uint32_t piece;
};

#define ITEM_HEADER     ((uint32_t)offsetof(struct item, data))
#define PIECE_HEADER    ((uint32_t)offsetof(struct piece, data))
#define VERSION_EXT     (1ull << 63)
#define VERSION_COPY    (1ull << 62) /* only without VERSION_EXT */
#define LIFE_EXPIRY     ((1u << 29) - 1)
#define LIFE_MAIN       (1u << 29)
#define LIFE_STALE      (1u << 30)
#define LIFE_WON        (1u << 31)
#define HEAT_FETCHED    0x80u
#define HEAT_COUNT      0x7fu
#define VLEN_LARGE      0xffffu
#define VERSION_FOREIGN (1ull << 62) /* explicit versions from here on do not move our own */
#define VERSION_NEAR    (1ull << 20) /* with copies elsewhere: those that are so far above them */
#define PIN_MIN         8192u
#define EXT_FLAGS       1u
#define EXT_BIRTH       2u
#define EXT_TAGGED      4u /* with nothing behind it */
#define EXT_ALL         7u /* what its size depends on, and EXT_TAGGED */
#define EXT_COPY        8u /* a copy; only beside others */

static_assert(LIFE_EXPIRY == STORE_EXPTIME_MAX, "expiry field");
static_assert(VERSION_COPY == VERSION_FOREIGN, "the bit is free: such versions need EXT_BIRTH");
static_assert(STORE_ORDER_MAX < VERSION_FOREIGN, "orders are versions of our own");

/* Copies between chunks and private memory: memcpy, or in thread sanitizer builds relaxed atomics, because a reader
 * without a lock may look at the same bytes (and throws away what it saw). */
#if defined(TSAN_BUILD)
void chunk_write(void *to, const void *from, size_t n);
void chunk_read(void *to, const void *from, size_t n);
#else
static inline void
chunk_write(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}

static inline void
chunk_read(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
}
#endif

/* The version with its marks. Each is one look or one store, in parts where the processor wants that. */
#if defined(TSAN_BUILD)
static inline uint64_t
version_load(const struct item *it)
{
	uint64_t version;

	chunk_read(&version, it->version, sizeof(version));
	return version;
}

static inline void
version_store(struct item *it, uint64_t version)
{
	chunk_write(it->version, &version, sizeof(version));
}
#else
typedef uint64_t version_bits __attribute__((aligned(CHUNK_UNIT), may_alias));

static inline uint64_t
version_load(const struct item *it)
{
	return *(const volatile version_bits *)it->version;
}

static inline void
version_store(struct item *it, uint64_t version)
{
	*(volatile version_bits *)it->version = version;
}
#endif

/* The same before all loads that follow; and after all that went before. */
static inline uint64_t
version_load_first(struct item *it)
{
	uint64_t version = version_load(it);

	fence_loads_after(it->version);
	return version;
}

static inline uint64_t
version_load_last(struct item *it)
{
	fence_loads_after(it->version);
	return version_load(it);
}

static inline uint64_t
item_version(const struct item *it)
{
	uint64_t version = version_load(it);

	return version & (version & VERSION_EXT ? ~VERSION_EXT : ~VERSION_COPY);
}

static inline bool
item_has_ext(const struct item *it)
{
	return version_load(it) & VERSION_EXT;
}

/* Without ext the item is no copy any more. */
static inline void
item_set_version(struct item *it, uint64_t version)
{
	version_store(it, version | (version_load(it) & VERSION_EXT));
}

/* Bytes of ext for this item. */
static inline uint32_t
item_ext_size(unsigned kind)
{
	return kind == 0 ? 0 : 1u + ((kind & EXT_FLAGS) ? 4u : 0u) + ((kind & EXT_BIRTH) ? 8u : 0u);
}

static inline unsigned
item_ext_kind(const struct item *it)
{
	return item_has_ext(it)
	    ? load_relaxed((const unsigned char *)it->data + load_relaxed(&it->nkey))
	    : 0;
}

/* Whether the item is a copy. */
static inline bool
item_is_copy(const struct item *it)
{
	return item_has_ext(it) ? item_ext_kind(it) & EXT_COPY : version_load(it) & VERSION_COPY;
}

/* Makes a linked item a copy, or not. */
static inline void
item_set_copy(struct item *it, bool copy)
{
	uint64_t version = version_load(it);
	unsigned char *ext = (unsigned char *)it->data + it->nkey;

	if (version & VERSION_EXT)
		store_relaxed(
		    ext, (unsigned char)((load_relaxed(ext) & EXT_ALL) | (copy ? EXT_COPY : 0)));
	else
		version_store(it, (version & ~VERSION_COPY) | (copy ? VERSION_COPY : 0));
}

/* The client's flags of an item whose ext is at EXT. */
static inline uint32_t
ext_flags(const char *ext)
{
	uint32_t flags = 0;

	if (load_relaxed((const unsigned char *)ext) & EXT_FLAGS)
		chunk_read(&flags, ext + 1, sizeof(flags));
	return flags;
}

/* The version that the item would have without an explicit one: decides whether a flush reaches it. */
static inline uint64_t
item_birth(const struct item *it)
{
	unsigned kind = item_ext_kind(it);
	uint64_t birth;

	if (!(kind & EXT_BIRTH))
		return item_version(it);
	chunk_read(&birth, it->data + load_relaxed(&it->nkey) + 1 + ((kind & EXT_FLAGS) ? 4 : 0),
	    sizeof(birth));
	return birth;
}

/* Whether readers pin a value with this length field. */
static inline bool
vlen_pinnable(uint32_t vlen)
{
	return vlen > PIN_MIN;
}

/* Offset of aux behind KEY and ext bytes. */
static inline uint32_t
aux_offset(uint32_t nkey, uint32_t ext)
{
	return (ITEM_HEADER + nkey + ext + 3) & ~3u;
}

/* Offset of the value (without pieces) in the chunk. */
static inline uint32_t
value_offset(uint32_t nkey, uint32_t ext, uint32_t vlen)
{
	if (vlen_pinnable(vlen))
		return aux_offset(nkey, ext) + (uint32_t)sizeof(struct aux);
	return ITEM_HEADER + nkey + ext;
}

static inline struct aux *
aux_at(struct item *it, uint32_t nkey, uint32_t ext)
{
	return (struct aux *)(void *)((char *)it + aux_offset(nkey, ext));
}

static inline struct aux *
item_aux(struct item *it)
{
	return aux_at(it, load_relaxed(&it->nkey), item_ext_size(item_ext_kind(it)));
}

static inline bool
item_is_large(const struct item *it)
{
	return load_relaxed(&it->vlen) == VLEN_LARGE;
}

/* Bytes of the value; not for readers without a lock. */
static inline uint32_t
item_value_size(struct item *it)
{
	return item_is_large(it) ? item_aux(it)->size : load_relaxed(&it->vlen);
}

/* Bytes that the head of the item takes of its chunk. */
static inline uint32_t
item_head_size(const struct item *it)
{
	uint32_t vlen = load_relaxed(&it->vlen);

	return value_offset(load_relaxed(&it->nkey), item_ext_size(item_ext_kind(it)), vlen) +
	    (vlen == VLEN_LARGE ? 0 : vlen);
}

/* Bytes that the item asks for, its value included. */
static inline uint64_t
item_asks(struct item *it)
{
	return item_head_size(it) + (item_is_large(it) ? item_aux(it)->size : 0ull);
}

/* Keeps BORN where there is room for it. */
static inline void
item_note_birth(struct item *it, uint64_t born)
{
	unsigned kind = item_ext_kind(it);

	if (kind & EXT_BIRTH)
		chunk_write(
		    it->data + it->nkey + 1 + ((kind & EXT_FLAGS) ? 4 : 0), &born, sizeof(born));
}

static inline char *
item_value(struct item *it)
{
	return (char *)it +
	    value_offset(
		load_relaxed(&it->nkey), item_ext_size(item_ext_kind(it)), load_relaxed(&it->vlen));
}

static inline uint32_t
item_expiry(const struct item *it)
{
	return load_relaxed(&it->life) & LIFE_EXPIRY;
}

/* Clears and sets bits of life, which two locks share. */
static inline void
item_life_change(struct item *it, uint32_t clear, uint32_t set)
{
	uint32_t old = load_relaxed(&it->life);

	while (!__atomic_compare_exchange_n(
	    &it->life, &old, (old & ~clear) | set, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* ---------------------------------------------------------------- what an item shall be */

static inline uint32_t
expiry_of(const struct store_head *head)
{
	return head->exptime < LIFE_EXPIRY ? head->exptime : LIFE_EXPIRY;
}

static inline unsigned
ext_kind_of(const struct store_head *head)
{
	return (head->flags != 0 ? EXT_FLAGS : 0) | (head->versioned ? EXT_BIRTH : 0) |
	    (head->tagged ? EXT_TAGGED : 0);
}

static inline uint32_t
life_marks(uint8_t marks)
{
	return ((marks & STORE_STALE) ? LIFE_STALE : 0) | ((marks & STORE_WON) ? LIFE_WON : 0);
}

#endif
