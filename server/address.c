/* server/address.c: see address.h. */
#include "server/address.h"

#include <arpa/inet.h>

#include "base/number.h"

bool
address_next(struct slice *list, struct slice *one)
{
	size_t len = 0;

	while (list->len > 0 && (*list->ptr == ',' || *list->ptr == ';'))
		*list = slice_of(list->ptr + 1, list->len - 1);
	while (len < list->len && list->ptr[len] != ',' && list->ptr[len] != ';')
		len++;
	*one = slice_of(list->ptr, len);
	*list = slice_of(list->ptr + len, list->len - len);
	return len > 0;
}

static bool
refuse(char *error, const char *what, struct slice text)
{
	(void)snprintf(error, SETTINGS_ERROR_MAX, "%s: \"%.*s\"", what,
	    text.len < 200 ? (int)text.len : 200, text.ptr);
	return false;
}

/* Takes NAME and what stands in brackets behind it, up to "]:", off the front of TEXT. */
static bool
take_prefix(struct slice *text, const char *name, struct slice *inside)
{
	size_t len = strlen(name);
	const char *end;

	if (text->len <= len || memcmp(text->ptr, name, len) != 0 || text->ptr[len] != '[')
		return false;
	end = memchr(text->ptr, ']', text->len);
	if (end == NULL || end + 1 == text->ptr + text->len || end[1] != ':')
		return false;
	*inside = slice_of(text->ptr + len + 1, (size_t)(end - text->ptr) - len - 1);
	*text = slice_of(end + 2, text->len - (size_t)(end + 2 - text->ptr));
	return true;
}

static bool
take_word(struct slice *text, const char *word)
{
	size_t len = strlen(word);

	if (text->len < len || memcmp(text->ptr, word, len) != 0)
		return false;
	*text = slice_of(text->ptr + len, text->len - len);
	return true;
}

static bool
parse_protocol(struct slice name, struct address *out, char *error)
{
	out->protocol_given = true;
	if (slice_is(name, "ascii"))
		out->protocol = BINDING_ASCII;
	else if (slice_is(name, "binary"))
		out->protocol = BINDING_BINARY;
	else if (slice_is(name, "negotiating") || slice_is(name, "auto"))
		out->protocol = BINDING_AUTO;
	else
		return refuse(
		    error, "Invalid protocol of an address (ascii, binary or negotiating)", name);
	return true;
}

static bool
parse_tag(struct slice name, struct address *out, char *error)
{
	if (name.len == 0 || name.len > ADDRESS_TAG_MAX)
		return refuse(error, "Invalid tag of an address (1 to 8 bytes)", name);
	out->tag = 0;
	for (size_t i = 0; i < name.len; i++)
		out->tag |= (uint64_t)(unsigned char)name.ptr[i] << (8 * i);
	return true;
}

static bool
parse_prefixes(struct slice *text, struct address *out, char *error)
{
	struct slice inside;

	for (;;) {
		if (take_prefix(text, "proto", &inside)) {
			if (!parse_protocol(inside, out, error))
				return false;
		} else if (take_prefix(text, "tag", &inside)) {
			if (!parse_tag(inside, out, error))
				return false;
		} else if (take_word(text, "btls:") || take_word(text, "mtls:")) {
			return refuse(error, "This server is not built with TLS support", *text);
		} else if (!take_word(text, "notls:")) {
			return true;
		}
	}
}

static bool
parse_port(struct slice text, struct address *out, char *error)
{
	int32_t port;

	if (!number_parse_i32(text, &port) || port < -1 || port > 65535)
		return refuse(error, "Invalid port number", text);
	out->port_given = true;
	out->port = port < 0 ? 0 : port;
	return true;
}

static bool
take_host(struct slice host, struct address *out, char *error)
{
	out->host[0] = '\0';
	if (host.len == 0 || host.len >= ADDRESS_HOST_MAX ||
	    memchr(host.ptr, '[', host.len) != NULL)
		return refuse(error, "Invalid address", host);
	if (slice_is(host, "*"))
		return true;
	memcpy(out->host, host.ptr, host.len);
	out->host[host.len] = '\0';
	return true;
}

/* "[v6]" or "[v6]:port" */
static bool
parse_bracketed(struct slice text, struct address *out, char *error)
{
	const char *end = memchr(text.ptr, ']', text.len);
	size_t host_len;

	if (end == NULL)
		return refuse(error, "Invalid IPV6 address", text);
	host_len = (size_t)(end - text.ptr) - 1;
	if (!take_host(slice_of(text.ptr + 1, host_len), out, error))
		return false;
	text = slice_of(end + 1, text.len - host_len - 2);
	if (text.len == 0)
		return true;
	if (*text.ptr != ':')
		return refuse(error, "Invalid IPV6 address", text);
	return parse_port(slice_of(text.ptr + 1, text.len - 1), out, error);
}

static bool
is_bare_ipv6(const char *host)
{
	struct in6_addr ignored;

	return inet_pton(AF_INET6, host, &ignored) == 1;
}

bool
address_parse(struct slice text, struct address *out, char *error)
{
	struct slice whole;
	const char *colon;
	size_t host_len;

	*out = (struct address){.port = 0};
	if (!parse_prefixes(&text, out, error))
		return false;
	if (text.len > 0 && *text.ptr == '[')
		return parse_bracketed(text, out, error);
	whole = text;
	colon = memchr(text.ptr, ':', text.len);
	if (colon == NULL)
		return take_host(whole, out, error);
	if (take_host(whole, out, error) && is_bare_ipv6(out->host))
		return true;
	host_len = (size_t)(colon - text.ptr);
	return take_host(slice_of(text.ptr, host_len), out, error) &&
	    parse_port(slice_of(colon + 1, text.len - host_len - 1), out, error);
}
