/* server/settings.h: what the operator has chosen.
 *
 * One struct, made from the rows of base/tbl/settings.h. main() fills it before any thread is started; from
 * then on it does not move and its strings do not change. A few numbers and flags change while serving
 * (verbosity, memory_limit, detail_enabled, track_sizes, oldest_live, those of slabs automove, lru and lru_crawler): these are read by
 * load_relaxed and written by store_relaxed by whoever executes the command.
 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "cluster/ring.h"
#include "slab/store.h"

/* CHOICE(symbol, name, text): the enumerations of the table beside STORE_EVICTIONS. */
#define SETTINGS_PROTOCOLS(CHOICE)                                                                 \
	CHOICE(BINDING_AUTO, "auto", "by the first byte of a connection")                          \
	CHOICE(BINDING_ASCII, "ascii", "text and meta only")                                       \
	CHOICE(BINDING_BINARY, "binary", "binary only")

#define SETTINGS_HASHES(CHOICE)                                                                    \
	CHOICE(HASH_XXH3, "xxh3", "XXH3")                                                          \
	CHOICE(HASH_MURMUR3, "murmur3", "accepted, XXH3 is used")                                  \
	CHOICE(HASH_JENKINS, "jenkins", "accepted, XXH3 is used")

#define SETTINGS_BALANCES(CHOICE)                                                                  \
	CHOICE(STORE_BALANCE_HITS, "hits", "as many requests answered as can be")                  \
	CHOICE(STORE_BALANCE_BALANCED, "balanced", "between the two")                              \
	CHOICE(STORE_BALANCE_BYTES, "bytes", "as many bytes answered as can be")

#define SETTINGS_IOS(CHOICE)                                                                       \
	CHOICE(IO_AUTO, "auto", "the best that the system allows")                                 \
	CHOICE(IO_EVENT, "event", "libevent")                                                      \
	CHOICE(IO_URING, "uring", "io_uring")

#define CHOICE(symbol, name, text) symbol,
enum binding { SETTINGS_PROTOCOLS(CHOICE) };
enum hash_name { SETTINGS_HASHES(CHOICE) };
enum io_choice { SETTINGS_IOS(CHOICE) };
#undef CHOICE

/* The C type of each kind of row. */
#define SETTING_TYPE_BOOL     bool
#define SETTING_TYPE_SWITCH   bool
#define SETTING_TYPE_COUNT    uint32_t
#define SETTING_TYPE_I32      int32_t
#define SETTING_TYPE_U32      uint32_t
#define SETTING_TYPE_OCTAL    uint32_t
#define SETTING_TYPE_CHAR     char
#define SETTING_TYPE_DOUBLE   double
#define SETTING_TYPE_DOUBLE3  double
#define SETTING_TYPE_SIZE     uint64_t
#define SETTING_TYPE_STRING   char *
#define SETTING_TYPE_LIST     char *
#define SETTING_TYPE_PROTOCOL enum binding
#define SETTING_TYPE_HASH     enum hash_name
#define SETTING_TYPE_EVICTION enum store_eviction
#define SETTING_TYPE_BALANCE  enum store_balance
#define SETTING_TYPE_IO       enum io_choice
#define SETTING_TYPE_RING     enum ring_kind

enum setting_id {
#define SETTING(symbol, ...) SETTING_##symbol,
#include "base/tbl/settings.h"
#undef SETTING
	SETTING_COUNT
};

struct settings {
#define SETTING(symbol, kind, ...) SETTING_TYPE_##kind symbol;
#include "base/tbl/settings.h"
#undef SETTING
	bool given[SETTING_COUNT]; /* set by the operator, not by default */
};

/* All defaults. */
void settings_init(struct settings *s);

/* Frees the strings. */
void settings_fini(struct settings *s);

/* Room for any message of the functions below, with its end. */
#define SETTINGS_ERROR_MAX 512

/* Sets one by the text of a command line. TEXT is NULL for a flag, or where a suboption came without a value.
 * False, with the message for the operator in ERROR (SETTINGS_ERROR_MAX bytes), where the text is refused. */
bool settings_set(struct settings *s, enum setting_id id, const char *text, char *error);

/* Turns a flag the other way (no_name). False, with a message, where the setting is no flag. */
bool settings_unset(struct settings *s, enum setting_id id, char *error);

/* What settings demand of each other, after all are set; fills in what follows from others. False with a message
 * in ERROR. */
bool settings_check(struct settings *s, char *error);

/* The lines of `stats settings`, in order. NAME and VALUE live during the call. */
typedef void settings_visitor(void *context, const char *name, const char *value);
void settings_stats(const struct settings *s, settings_visitor *visit, void *context);

/* What is logged at this verbosity: warnings always, events of the process with -v, those of connections and commands
 * with -vv. */
enum log_level settings_log_level(uint32_t verbosity);

/* What memcached's item header takes: its limit of an item (-I) counts it. */
#define MEMCACHED_ITEM_HEADER     48u
#define MEMCACHED_ITEM_HEADER_CAS 56u

static inline uint32_t
settings_item_overhead(const struct settings *s)
{
	return s->cas ? MEMCACHED_ITEM_HEADER_CAS : MEMCACHED_ITEM_HEADER;
}

/* What the store is to be made with. */
void settings_store_options(const struct settings *s, struct store_options *options);

/* ---------------------------------------------------------------- the rows, for help and manual */

enum setting_place { PLACE_OPTION, PLACE_SUB, PLACE_OWN, PLACE_OWNSUB, PLACE_STATE };
enum setting_effect { EFFECT_ACTS, EFFECT_COMPAT, EFFECT_UNNAMED, EFFECT_ABSENT };

struct setting_choice {
	const char *name;
	int value;
	const char *text;
};

struct setting_row {
	const char *symbol;
	const char *name; /* of the option or suboption, NULL of a STATE */
	const char *text;
	const char *unit;
	const char *stat;
	const char *refusal;
	double min, max;
	size_t offset;
	uint8_t kind;
	uint8_t place;  /* enum setting_place */
	uint8_t effect; /* enum setting_effect */
	char letter;    /* 0 = none */
};

const struct setting_row *settings_row(enum setting_id id);

/* The values of an enumeration, up to a NULL name; NULL for any other kind. */
const struct setting_choice *settings_choices(enum setting_id id);

/* Whether the row is a flag without a value. */
bool settings_is_flag(enum setting_id id);

/* The value as text, as `stats settings` would show it; BUFFER has SETTINGS_ERROR_MAX bytes. Returns BUFFER or a
 * string of the settings'. */
const char *settings_text(const struct settings *s, enum setting_id id, char *buffer);

#endif
