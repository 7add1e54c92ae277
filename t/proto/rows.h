/* t/proto/rows.h: tables of streams with their transcripts. */
#ifndef T_PROTO_ROWS_H
#define T_PROTO_ROWS_H

#include "t/proto/wire.h"

struct row {
	struct slice stream;
	const char *transcript;
};

#define ROW(bytes, text)                                                                           \
	{                                                                                          \
		{bytes, sizeof(bytes) - 1}, text                                                   \
	}

static inline void
check_rows(enum wire wire, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		wire_check(wire, rows[i].stream, rows[i].transcript);
		wire_check_prefixes(wire, rows[i].stream);
	}
}

#define CHECK_ROWS(wire, rows) check_rows(wire, rows, sizeof(rows) / sizeof((rows)[0]))

#endif
