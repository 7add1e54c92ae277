/* server/server.c: see server.h. */
#include "server/server.h"

#include <stdlib.h>

#include "server/counters.h"
#include "server/prefix.h"
#include "server/settings.h"
#include "server/watch.h"

bool
server_init(struct server *server)
{
	const struct settings *s = server->settings;

	server->limits = (struct parse_limits){
	    .item_size_max = s->item_size_max,
	    .item_overhead = settings_item_overhead(s),
	    .inline_value_max = SERVER_INLINE_VALUE_MAX,
	    .strict = s->strict,
	    .sasl = s->sasl,
	};
	server->auth_required = s->sasl || s->auth_file != NULL;
	server->workers = NULL;
	server->worker_count = 0;
	server->prefixes = prefixes_new(s->prefix_delimiter);
	server->baseline = counter_baseline_new();
	server->watchers = watchers_new(server->store, server->clock, &server->watched);
	if (server->prefixes != NULL && server->baseline != NULL && server->watchers != NULL)
		return true;
	server_fini(server);
	return false;
}

void
server_fini(struct server *server)
{
	watchers_free(&server->watchers);
	prefixes_free(&server->prefixes);
	free(server->baseline);
	server->baseline = NULL;
}
