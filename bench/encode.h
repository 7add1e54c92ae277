/* bench/encode.h: requests to bytes, in the three protocols. Pure functions. */
#ifndef BENCH_ENCODE_H
#define BENCH_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/content.h"
#include "bench/wire.h"

struct encoder {
	enum wire wire;
	bool
	    show_keys; /* replies to gets carry key and client flags in every protocol (text: always) */
	const struct content *content;
};

/* Bytes that encode_op writes at most. */
size_t encode_bound(const struct op *op);

/* Writes OP at P; returns the end.
 *
 * A multi-get is one line in text, quiet gets and a no-op behind them in meta and binary. */
char *encode_op(const struct encoder *e, char *p, const struct op *op);

#endif
