/* server/escape.c: see escape.h. */
#include "server/escape.h"

static bool
is_plain(unsigned char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
	    ch == '-' || ch == '.' || ch == '_' || ch == '~';
}

char *
escape_key(char *p, struct slice key)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < key.len; i++) {
		unsigned char ch = (unsigned char)key.ptr[i];

		if (is_plain(ch)) {
			*p++ = (char)ch;
			continue;
		}
		*p++ = '%';
		*p++ = digits[ch >> 4];
		*p++ = digits[ch & 15];
	}
	return p;
}
