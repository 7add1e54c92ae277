/* bench/content.c: see content.h. */
#include "bench/content.h"

#include <string.h>

#include "base/number.h"
#include "bench/random.h"

#define HEAD 8u /* bytes of hash in front of a value */

void
content_init(struct content *c, uint64_t keys, const struct dist *key_size,
    const struct dist *value_size, bool resize)
{
	struct random r;

	c->keys = keys;
	c->key_size = *key_size;
	c->value_size = *value_size;
	c->resize = resize;
	random_init(
	    &r, 0x72696e67); /* the same in every process, so that one can check another's values */
	for (size_t i = 0; i < CONTENT_BLOCK; i += sizeof(uint64_t)) {
		uint64_t bits = random_u64(&r);

		memcpy(c->block + i, &bits, sizeof(bits));
	}
	memcpy(c->block + CONTENT_BLOCK, c->block, CONTENT_BLOCK);
}

uint16_t
content_key_size(const struct content *c, uint64_t key)
{
	uint32_t size = dist_at(&c->key_size, random_mix(~key));
	size_t digits = number_length_u64(key);

	return (uint16_t)(size > digits ? size : digits);
}

uint32_t
content_value_size(const struct content *c, uint64_t key, uint32_t version)
{
	return dist_at(
	    &c->value_size, random_mix(c->resize ? key ^ ((uint64_t)version << 32) : key));
}

char *
content_key(char *p, uint64_t key, size_t size)
{
	char text[NUMBER_U64_MAX_LEN];
	size_t digits = (size_t)(number_format_u64(text, key) - text);

	memset(p, '0', size);
	if (size > digits)
		p[0] = 'k';
	memcpy(p + size - digits, text, digits);
	return p + size;
}

bool
content_key_number(struct slice text, uint64_t *key)
{
	if (text.len > 0 && text.ptr[0] == 'k') {
		text.ptr++;
		text.len--;
	}
	return number_parse_u64(text, key);
}

static uint64_t
content_hash(uint64_t key, uint32_t version)
{
	return random_mix(random_mix(key) + version);
}

char *
content_value(const struct content *c, char *p, uint64_t key, uint32_t version, size_t size)
{
	uint64_t hash = content_hash(key, version);
	size_t at = hash % CONTENT_BLOCK;

	if (size <= HEAD) {
		memcpy(p, &hash, size);
		return p + size;
	}
	memcpy(p, &hash, HEAD);
	p += HEAD;
	for (size -= HEAD; size > CONTENT_BLOCK; size -= CONTENT_BLOCK) {
		memcpy(p, c->block + at, CONTENT_BLOCK);
		p += CONTENT_BLOCK;
	}
	memcpy(p, c->block + at, size);
	return p + size;
}

bool
content_check(
    const struct content *c, uint64_t key, uint32_t version, uint64_t offset, struct slice piece)
{
	uint64_t hash = content_hash(key, version);

	if (offset < HEAD && piece.len > 0) {
		size_t n = HEAD - offset < piece.len ? HEAD - offset : piece.len;

		if (memcmp(piece.ptr, (const char *)&hash + offset, n) != 0)
			return false;
		piece.ptr += n;
		piece.len -= n;
		offset += n;
	}
	while (piece.len > 0) {
		size_t at = (hash + offset - HEAD) % CONTENT_BLOCK;
		size_t n = piece.len < CONTENT_BLOCK ? piece.len : CONTENT_BLOCK;

		if (memcmp(piece.ptr, c->block + at, n) != 0)
			return false;
		piece.ptr += n;
		piece.len -= n;
		offset += n;
	}
	return true;
}
