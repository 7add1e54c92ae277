/* proto/base64.h: base64 (RFC 4648, standard alphabet) for the keys of the meta protocol. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include <stddef.h>

#include "base/slice.h"

/* How many bytes LEN bytes become. */
#define BASE64_ENCODED_LEN(len) (((len) + 2) / 3 * 4)

/* Writes SRC in base64, padded, at P; returns the end. */
char *base64_encode(char *p, struct slice src);

/* Decodes SRC to OUT, which has SRC.len bytes of room, and returns how many bytes that made; 0 where SRC is none. As in
 * memcached, bytes outside of the alphabet are skipped, what is left must be a multiple of 4, and the first padded
 * group ends it. */
size_t base64_decode(char *out, struct slice src);

#endif
