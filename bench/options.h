/* bench/options.h: what ringbench is asked to do. Every option stands once, in bench/tbl/options.h. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/dist.h"
#include "bench/wire.h"

enum popularity_kind { POPULARITY_UNIFORM, POPULARITY_ZIPF, POPULARITY_HOT };

struct popularity {
	enum popularity_kind kind;
	double theta; /* of zipf */
};

struct ratio {
	uint32_t get_share, set_share;
};

#define OPTION_TYPE_TEXT       const char *
#define OPTION_TYPE_COUNT      uint64_t
#define OPTION_TYPE_REAL       double
#define OPTION_TYPE_FLAG       bool
#define OPTION_TYPE_DIST       struct dist
#define OPTION_TYPE_WIRE       enum wire
#define OPTION_TYPE_RATIO      struct ratio
#define OPTION_TYPE_POPULARITY struct popularity

struct options {
#define OPTION(field, letter, name, kind, ...) OPTION_TYPE_##kind field;
#include "bench/tbl/options.h"
#undef OPTION
};

/* Reads the command line over the defaults. False after a message on stderr where it is wrong. Texts
 * point into ARGV. With OPTIONS.help or OPTIONS.version nothing else was checked. */
bool options_parse(struct options *o, int argc, char **argv);
void options_fini(struct options *o);

/* Writes the list of options to stdout. */
void options_print_help(void);

#endif
