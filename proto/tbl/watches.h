/* proto/tbl/watches.h: WATCH(symbol, name): the streams of the watch command, once. Those of things that do not exist
 * here (a proxy, raw commands) are accepted and stay silent. */
WATCH(FETCHERS, "fetchers")
WATCH(MUTATIONS, "mutations")
WATCH(EVICTIONS, "evictions")
WATCH(CONNEVENTS, "connevents")
WATCH(DELETIONS, "deletions")
WATCH(SYSEVENTS, "sysevents")
WATCH(RAWCMDS, "rawcmds")
WATCH(PROXYREQS, "proxyreqs")
WATCH(PROXYEVENTS, "proxyevents")
WATCH(PROXYUSER, "proxyuser")
