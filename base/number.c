/* base/number.c: see number.h. Output goes two digits at a time from a table of pairs, and at once where the number is
 * below 1000. */
#include "base/number.h"

/* V as text at the left. The expansion must be a constant: hence no loop. */
#define LENGTH(v) ((v) < 10 ? 1 : (v) < 100 ? 2 : 3)
#define FIRST(v)  ('0' + ((v) < 10 ? (v) : (v) < 100 ? (v) / 10 : (v) / 100))
#define SECOND(v) ((v) < 10 ? '\r' : '0' + ((v) < 100 ? (v) % 10 : (v) / 10 % 10))
#define THIRD(v)  ((v) < 10 ? '\n' : (v) < 100 ? '\r' : '0' + (v) % 10)
#define FOURTH(v) ((v) < 10 ? 0 : (v) < 100 ? '\n' : '\r')
#define FIFTH(v)  ((v) < 100 ? 0 : '\n')
#define ONE(v)                                                                                     \
	{                                                                                          \
		{FIRST(v), SECOND(v), THIRD(v), FOURTH(v), FIFTH(v)}, LENGTH(v)                    \
	}
#define FIVE(v)    ONE(v), ONE((v) + 1), ONE((v) + 2), ONE((v) + 3), ONE((v) + 4)
#define TEN(v)     FIVE(v), FIVE((v) + 5)
#define FIFTY(v)   TEN(v), TEN((v) + 10), TEN((v) + 20), TEN((v) + 30), TEN((v) + 40)
#define HUNDRED(v) FIFTY(v), FIFTY((v) + 50)

const struct number_short number_shorts[1000] = {HUNDRED(0), HUNDRED(100), HUNDRED(200),
    HUNDRED(300), HUNDRED(400), HUNDRED(500), HUNDRED(600), HUNDRED(700), HUNDRED(800),
    HUNDRED(900)};

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
number_format_long(char *p, uint64_t v)
{
	char *end;

	if (v < 10000) {
		memcpy(p, number_shorts[v / 10].line, 3);
		p[3] = (char)('0' + v % 10);
		return p + 4;
	}
	end = p + number_length_u64(v);
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
