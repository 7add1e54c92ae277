/* proto/base64.c: see base64.h. */
#include "proto/base64.h"

#include <stdbool.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *
base64_encode(char *p, struct slice src)
{
	const unsigned char *s = (const unsigned char *)src.ptr;
	size_t left = src.len;

	for (; left > 0; p += 4) {
		size_t n = left < 3 ? left : 3;
		uint32_t v =
		    (uint32_t)s[0] << 16 | (n > 1 ? (uint32_t)s[1] << 8 : 0) | (n > 2 ? s[2] : 0u);

		p[0] = alphabet[v >> 18];
		p[1] = alphabet[v >> 12 & 63];
		p[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
		p[3] = n > 2 ? alphabet[v & 63] : '=';
		s += n;
		left -= n;
	}
	return p;
}

/* 0 to 63, 64 for padding, -1 for what is not of the alphabet. */
static int
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : c == '=' ? 64 : -1;
}

static bool
is_whole(struct slice src)
{
	size_t count = 0;

	for (size_t i = 0; i < src.len; i++)
		count += digit_value(src.ptr[i]) >= 0;
	return count > 0 && count % 4 == 0;
}

size_t
base64_decode(char *out, struct slice src)
{
	uint32_t group = 0;
	unsigned n = 0, padding = 0;
	size_t made = 0;

	if (!is_whole(src))
		return 0;
	for (size_t i = 0; i < src.len; i++) {
		int v = digit_value(src.ptr[i]);

		if (v < 0)
			continue;
		padding += v == 64;
		group = group << 6 | ((unsigned)v & 63);
		if (++n % 4 != 0)
			continue;
		if (padding > 2)
			return 0;
		out[made] = (char)(group >> 16);
		if (padding < 2)
			out[made + 1] = (char)(group >> 8);
		if (padding < 1)
			out[made + 2] = (char)group;
		made += 3 - padding;
		if (padding > 0)
			break;
	}
	return made;
}
