/* bench/report.c: see report.h. Latencies are in microseconds. */
#include "bench/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

static const struct {
	const char *name;
	double q;
} quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};

#define QUANTILE_COUNT (sizeof(quantiles) / sizeof(quantiles[0]))

static double
ratio(uint64_t part, uint64_t whole)
{
	return whole == 0 ? 0 : (double)part / (double)whole;
}

static double
quantile_us(const struct histogram *h, double q)
{
	return (double)histogram_quantile(h, q) / 1000;
}

/* CPU microseconds of the server for one request. */
static double
server_us(const struct result *r)
{
	uint64_t requests = tally_requests(&r->tally);

	return requests == 0 ? 0 : r->server.cpu_seconds * 1e6 / (double)requests;
}

/* ---- text */

static void
print_latency(const char *name, const struct histogram *h)
{
	if (h->total == 0)
		return;
	printf("%-8s %12" PRIu64 " %9.1f", name, h->total, histogram_mean(h) / 1000);
	for (size_t i = 0; i < QUANTILE_COUNT; i++)
		printf(" %9.1f", quantile_us(h, quantiles[i].q));
	printf(" %9.1f\n", (double)h->max / 1000);
}

static void
print_latencies(const struct tally *t)
{
	printf("\n%-8s %12s %9s", "us", "requests", "mean");
	for (size_t i = 0; i < QUANTILE_COUNT; i++)
		printf(" %9s", quantiles[i].name);
	printf(" %9s\n", "max");
	print_latency("get", &t->get_ns);
	print_latency("set", &t->set_ns);
}

static void
print_counters(const struct tally *t)
{
	printf("\n");
#define COUNTER(field, text)                                                                       \
	if (t->field != 0)                                                                         \
		printf("%-14s %14" PRIu64 "  %s\n", #field, t->field, text);
#include "bench/tbl/counters.h"
#undef COUNTER
	if (t->errors != 0)
		printf("first error: %s\n", t->error);
}

void
report_text(const struct result *r)
{
	const struct tally *t = &r->tally;
	uint64_t requests = tally_requests(t);

	printf("%" PRIu64 " requests in %.3f s: %.0f requests/s", requests, r->seconds,
	    (double)requests / r->seconds);
	if (r->options->multi > 1)
		printf(", %.0f keys/s", (double)t->keys_asked / r->seconds);
	printf("\n");
	if (t->keys_asked > 0)
		printf("hit ratio %.4f, miss ratio %.4f\n", ratio(t->hits, t->keys_asked),
		    ratio(t->misses, t->keys_asked));
	if (t->asked_bytes > 0)
		printf("byte miss ratio %.4f\n", ratio(t->missed_bytes, t->asked_bytes));
	if (r->has_server)
		printf(
		    "server CPU %.3f s (user %.2f, system %.2f): %.3f us a request; resident %.1f MiB\n",
		    r->server.cpu_seconds, r->server.user_seconds, r->server.system_seconds,
		    server_us(r), (double)r->server.resident_bytes / 0x1p20);
	printf("generator CPU: user %.2f s, system %.2f s\n", r->user_seconds, r->system_seconds);
	print_latencies(t);
	print_counters(t);
}

/* ---- JSON */

static void
put(json_t *object, const char *name, json_t *value)
{
	ASSERT(json_object_set_new(object, name, value) == 0);
}

static json_t *
latency_json(const struct histogram *h)
{
	json_t *o = json_object();

	put(o, "count", json_integer((json_int_t)h->total));
	put(o, "mean", json_real(histogram_mean(h) / 1000));
	for (size_t i = 0; i < QUANTILE_COUNT; i++)
		put(o, quantiles[i].name, json_real(quantile_us(h, quantiles[i].q)));
	put(o, "max", json_real((double)h->max / 1000));
	return o;
}

static json_t *
latencies_json(const struct tally *t)
{
	struct histogram *all = calloc(1, sizeof(*all));
	json_t *o = json_object();

	ASSERT(all != NULL);
	histogram_add(all, &t->get_ns);
	histogram_add(all, &t->set_ns);
	put(o, "get", latency_json(&t->get_ns));
	put(o, "set", latency_json(&t->set_ns));
	put(o, "all", latency_json(all));
	free(all);
	return o;
}

static json_t *
counters_json(const struct tally *t)
{
	json_t *o = json_object();

#define COUNTER(field, text) put(o, #field, json_integer((json_int_t)t->field));
#include "bench/tbl/counters.h"
#undef COUNTER
	return o;
}

static json_t *
server_json(const struct result *r)
{
	json_t *o = json_object();

	put(o, "cpu_seconds", json_real(r->server.cpu_seconds));
	put(o, "user_seconds", json_real(r->server.user_seconds));
	put(o, "system_seconds", json_real(r->server.system_seconds));
	put(o, "us_per_request", json_real(server_us(r)));
	put(o, "resident_bytes", json_integer((json_int_t)r->server.resident_bytes));
	return o;
}

void
report_json(const struct result *r)
{
	const struct tally *t = &r->tally;
	uint64_t requests = tally_requests(t);
	json_t *o = json_object();

	put(o, "seconds", json_real(r->seconds));
	put(o, "requests", json_integer((json_int_t)requests));
	put(o, "requests_per_second", json_real((double)requests / r->seconds));
	put(o, "keys_per_second", json_real((double)t->keys_asked / r->seconds));
	put(o, "miss_ratio", json_real(ratio(t->misses, t->keys_asked)));
	put(o, "byte_miss_ratio", json_real(ratio(t->missed_bytes, t->asked_bytes)));
	put(o, "counters", counters_json(t));
	put(o, "latency_us", latencies_json(t));
	put(o, "generator_user_seconds", json_real(r->user_seconds));
	put(o, "generator_system_seconds", json_real(r->system_seconds));
	put(o, "server", r->has_server ? server_json(r) : json_null());
	put(o, "first_error", t->errors != 0 ? json_string_nocheck(t->error) : json_null());
	ASSERT(json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) == 0);
	printf("\n");
	json_decref(o);
}

/* ---- progress */

void
report_progress(double elapsed, double span, const struct tally *since)
{
	uint64_t requests = tally_requests(since);
	const struct histogram *h = since->get_requests > 0 ? &since->get_ns : &since->set_ns;

	fprintf(stderr, "%6.0f s  %11.0f /s  p50 %8.1f us  p99 %8.1f us", elapsed,
	    (double)requests / span, quantile_us(h, 0.5), quantile_us(h, 0.99));
	if (since->keys_asked > 0)
		fprintf(stderr, "  hits %6.2f %%", 100 * ratio(since->hits, since->keys_asked));
	if (since->errors + since->mismatches > 0)
		fprintf(stderr, "  errors %" PRIu64 "  mismatches %" PRIu64, since->errors,
		    since->mismatches);
	fprintf(stderr, "\n");
}
