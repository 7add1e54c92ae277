/* base/number.c: see number.h. Output goes two digits at a time from a table of pairs. */
#include "base/number.h"

static const char digit_pairs[] = "00010203040506070809"
				  "10111213141516171819"
				  "20212223242526272829"
				  "30313233343536373839"
				  "40414243444546474849"
				  "50515253545556575859"
				  "60616263646566676869"
				  "70717273747576777879"
				  "80818283848586878889"
				  "90919293949596979899";

/* So many digits cannot overflow 64 bits. */
#define SAFE_DIGITS 19

static inline unsigned
digit_of(char c)
{
	return (unsigned)(unsigned char)c - '0';
}

bool
number_parse_u64(struct slice s, uint64_t *out)
{
	size_t safe = s.len < SAFE_DIGITS ? s.len : SAFE_DIGITS;
	uint64_t v = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < safe; i++) {
		unsigned d = digit_of(s.ptr[i]);

		if (d > 9)
			return false;
		v = v * 10 + d;
	}
	for (size_t i = safe; i < s.len; i++) {
		unsigned d = digit_of(s.ptr[i]);

		if (d > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	*out = v;
	return true;
}

bool
number_parse_u32(struct slice s, uint32_t *out)
{
	uint64_t v;

	if (!number_parse_u64(s, &v) || v > UINT32_MAX)
		return false;
	*out = (uint32_t)v;
	return true;
}

bool
number_parse_i64(struct slice s, int64_t *out)
{
	bool negative = s.len > 0 && s.ptr[0] == '-';
	uint64_t v;

	if (negative) {
		s.ptr++;
		s.len--;
	}
	if (!number_parse_u64(s, &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

bool
number_parse_i32(struct slice s, int32_t *out)
{
	int64_t v;

	if (!number_parse_i64(s, &v) || v < INT32_MIN || v > INT32_MAX)
		return false;
	*out = (int32_t)v;
	return true;
}

size_t
number_length_u64(uint64_t v)
{
	size_t n = 1;

	while (v >= 10000) {
		v /= 10000;
		n += 4;
	}
	return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

char *
number_format_u64(char *p, uint64_t v)
{
	size_t n = number_length_u64(v);
	char *end = p + n;

	for (p = end; v >= 100; v /= 100) {
		p -= 2;
		memcpy(p, digit_pairs + (v % 100) * 2, 2);
	}
	if (v >= 10)
		memcpy(p - 2, digit_pairs + v * 2, 2);
	else
		p[-1] = (char)('0' + v);
	return end;
}
