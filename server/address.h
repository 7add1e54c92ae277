/* server/address.h: one address of -l. */
#ifndef SERVER_ADDRESS_H
#define SERVER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "server/settings.h"

#define ADDRESS_HOST_MAX 256
#define ADDRESS_TAG_MAX  8

/* An address as it was written:
 *
 *	{notls: | proto[ascii|binary|negotiating]: | tag[up to 8 bytes]:} host [:port]
 *
 * where host is a name, an IPv4 address, [IPv6 address] or *. */
struct address {
	char host[ADDRESS_HOST_MAX]; /* empty = all interfaces */
	bool port_given;
	int32_t port; /* 0 = the system chooses */
	bool protocol_given;
	enum binding protocol;
	uint64_t tag; /* first byte lowest; 0 = none */
};

/* False with a message in ERROR (SETTINGS_ERROR_MAX bytes). */
bool address_parse(struct slice text, struct address *out, char *error);

/* Takes the next address off the front of LIST, which commas or semicolons separate; empty ones are skipped. False at
 * the end. */
bool address_next(struct slice *list, struct slice *one);

#endif
