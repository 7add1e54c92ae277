/* cluster/ring_hash.c: from bytes to points.
 *
 * Who owns a key is asked on the way of requests, where nothing may be allocated, and must be answered when memory is out. OpenSSL's
 * EVP functions allocate for each digest, even with a context that is kept; the plain ones, which it would like to see no
 * more of, do not.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <assert.h>
#include <openssl/md5.h>
#include <stdlib.h>

#include "base/assert.h"
#include "cluster/ring_impl.h"

static_assert(MD5_DIGEST_LENGTH == RING_DIGEST_POINTS * sizeof(uint32_t), "four numbers");

#define FNV_64_OFFSET UINT32_C(0x84222325) /* the low halves of */
#define FNV_64_PRIME  UINT32_C(0x000001b3) /* both numbers */

struct ring_hash {
	enum ring_kind kind;
};

enum ring_status
ring_hash_new(struct ring_hash **hash, enum ring_kind kind)
{
	struct ring_hash *h = calloc(1, sizeof(*h));

	ASSERT(kind < RING_KINDS);
	*hash = NULL;
	if (h == NULL)
		return RING_NO_MEMORY;
	h->kind = kind;
	*hash = h;
	return RING_OK;
}

void
ring_hash_free(struct ring_hash **hash)
{
	free(*hash);
	*hash = NULL;
}

static uint32_t
little_endian(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void
ring_hash_md5(struct ring_hash *hash, struct slice text, uint32_t words[RING_DIGEST_POINTS])
{
	unsigned char digest[MD5_DIGEST_LENGTH];
	MD5_CTX state;

	ASSERT(hash->kind != RING_KETAMA100);
	(void)MD5_Init(&state);
	(void)MD5_Update(&state, text.ptr, text.len);
	(void)MD5_Final(digest, &state);
	for (unsigned i = 0; i < RING_DIGEST_POINTS; i++)
		words[i] = little_endian(digest + i * sizeof(uint32_t));
}

static uint32_t
signed_byte(char c)
{
	return (uint32_t)(int32_t)(signed char)c;
}

uint32_t
ring_hash_one_at_a_time(struct slice text)
{
	uint32_t h = 0;

	for (size_t i = 0; i < text.len; i++) {
		h += signed_byte(text.ptr[i]);
		h += h << 10;
		h ^= h >> 6;
	}
	h += h << 3;
	h ^= h >> 11;
	h += h << 15;
	return h;
}

uint32_t
ring_hash_fnv1a_64(struct slice text)
{
	uint32_t h = FNV_64_OFFSET;

	for (size_t i = 0; i < text.len; i++) {
		h ^= signed_byte(text.ptr[i]);
		h *= FNV_64_PRIME;
	}
	return h;
}

uint32_t
ring_hash_key(struct ring_hash *hash, struct slice key)
{
	uint32_t words[RING_DIGEST_POINTS];

	switch (hash->kind) {
	case RING_KETAMA100:
		return ring_hash_one_at_a_time(key);
	case RING_TWEMPROXY:
		return ring_hash_fnv1a_64(key);
	default:
		ring_hash_md5(hash, key, words);
		return words[0];
	}
}
