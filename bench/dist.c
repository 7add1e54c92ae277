/* bench/dist.c: see dist.h. */
#include "bench/dist.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/number.h"
#include "bench/random.h"

#define DIST_VALUE_MAX (1u << 30)
#define DIST_FILE_MAX  (1u << 20) /* lines */

static bool
parse_value(const char *text, size_t len, uint32_t *out)
{
	return number_parse_u32(slice_of(text, len), out) && *out <= DIST_VALUE_MAX;
}

/* "LOW-HIGH" */
static bool
parse_range(struct dist *d, const char *text, const char **why)
{
	const char *dash = strchr(text, '-');

	*why = "a range is LOW-HIGH, two numbers up to 2^30";
	return dash != NULL && parse_value(text, (size_t)(dash - text), &d->low) &&
	    parse_value(dash + 1, strlen(dash + 1), &d->high) && d->low <= d->high;
}

static bool
parse_uniform(struct dist *d, const char *text, const char **why)
{
	d->kind = DIST_UNIFORM;
	return parse_range(d, text, why);
}

static bool
parse_loguniform(struct dist *d, const char *text, const char **why)
{
	d->kind = DIST_LOGUNIFORM;
	if (!parse_range(d, text, why))
		return false;
	*why = "loguniform starts at 1 or above";
	if (d->low == 0)
		return false;
	d->mu = log(d->low);
	d->sigma = log((double)d->high + 1) - d->mu;
	return true;
}

static bool
parse_lognormal(struct dist *d, const char *text, const char **why)
{
	double median, sigma;
	int end = 0;

	*why =
	    "lognormal takes MEDIAN,SIGMA or MEDIAN,SIGMA,MAX, the median at least 1, sigma not negative";
	d->kind = DIST_LOGNORMAL;
	d->high = DIST_VALUE_MAX;
	if (sscanf(text, "%lf,%lf%n", &median, &sigma, &end) != 2 || !(median >= 1) ||
	    !(sigma >= 0))
		return false;
	text += end;
	if (*text != '\0' && (*text != ',' || !parse_value(text + 1, strlen(text + 1), &d->high)))
		return false;
	d->mu = log(median);
	d->sigma = sigma;
	return true;
}

/* Turns the weights W of the COUNT columns into cuts and aliases. */
static void
build_alias(struct dist *d, double *w, double sum)
{
	uint32_t n = d->column_count;
	uint32_t *small = calloc(n, sizeof(*small));
	uint32_t *large = calloc(n, sizeof(*large));
	uint32_t small_count = 0, large_count = 0;

	ASSERT(small != NULL && large != NULL);
	for (uint32_t i = 0; i < n; i++) {
		w[i] = w[i] * n / sum;
		if (w[i] < 1)
			small[small_count++] = i;
		else
			large[large_count++] = i;
	}
	while (small_count > 0 && large_count > 0) {
		uint32_t s = small[--small_count];
		uint32_t l = large[large_count - 1];

		d->columns[s].cut = (uint64_t)(w[s] * 0x1p32);
		d->columns[s].alias = d->columns[l].value;
		w[l] -= 1 - w[s];
		if (w[l] < 1) {
			large_count--;
			small[small_count++] = l;
		}
	}
	free(small);
	free(large);
}

/* One line of the file: false where it is wrong; *WEIGHT 0 where it holds nothing. */
static bool
parse_line(const char *line, uint32_t *value, double *weight)
{
	char rest;
	int n;

	*weight = 0;
	if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#')
		return true;
	*weight = 1;
	n = sscanf(line, "%u %lf %c", value, weight, &rest);
	return (n == 1 || n == 2) && *value <= DIST_VALUE_MAX && *weight >= 0;
}

static bool
read_columns(struct dist *d, FILE *f, double *weights, const char **why)
{
	char line[256];
	double sum = 0;

	while (fgets(line, sizeof(line), f) != NULL) {
		uint32_t value = 0;
		double weight;

		*why = "a line of the file is not VALUE [WEIGHT]";
		if (!parse_line(line, &value, &weight))
			return false;
		*why = "the file has too many lines";
		if (weight > 0 && d->column_count == DIST_FILE_MAX)
			return false;
		if (weight > 0) {
			d->columns[d->column_count] =
			    (struct dist_column){value, value, 1ull << 32};
			weights[d->column_count++] = weight;
			sum += weight;
		}
	}
	*why = "the file holds no value";
	if (d->column_count == 0)
		return false;
	build_alias(d, weights, sum);
	return true;
}

static bool
parse_file(struct dist *d, const char *path, const char **why)
{
	FILE *f = fopen(path, "r");
	double *weights;
	bool ok;

	d->kind = DIST_FILE;
	*why = "the file cannot be read";
	if (f == NULL)
		return false;
	weights = calloc(DIST_FILE_MAX, sizeof(*weights));
	d->columns = calloc(DIST_FILE_MAX, sizeof(*d->columns));
	ASSERT(weights != NULL && d->columns != NULL);
	ok = read_columns(d, f, weights, why);
	free(weights);
	(void)fclose(f);
	if (!ok)
		dist_fini(d);
	return ok;
}

bool
dist_parse(struct dist *d, const char *text, const char **why)
{
	static const struct {
		const char *name;
		bool (*parse)(struct dist *, const char *, const char **);
	} kinds[] = {
	    {"uniform:", parse_uniform},
	    {"loguniform:", parse_loguniform},
	    {"lognormal:", parse_lognormal},
	    {"file:", parse_file},
	};

	memset(d, 0, sizeof(*d));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].name);

		if (strncmp(text, kinds[i].name, len) == 0)
			return kinds[i].parse(d, text + len, why);
	}
	*why = "expected a number, uniform:, loguniform:, lognormal: or file:";
	d->kind = DIST_FIXED;
	return parse_value(text, strlen(text), &d->low);
}

void
dist_fini(struct dist *d)
{
	free(d->columns);
	d->columns = NULL;
}

/* Box and Muller: a normal variate from the two halves of BITS. */
static double
normal_at(uint64_t bits)
{
	double u = ((double)(uint32_t)bits + 0.5) * 0x1p-32;
	double v = (double)(bits >> 32) * 0x1p-32;

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static uint32_t
clamp(double x, uint32_t low, uint32_t high)
{
	return x < low ? low : x > high ? high : (uint32_t)x;
}

static uint32_t
column_at(const struct dist *d, uint64_t bits)
{
	const struct dist_column *c = &d->columns[random_scale(bits, d->column_count)];
	uint64_t fraction = random_mix(bits) >> 32;

	return fraction < c->cut ? c->value : c->alias;
}

uint32_t
dist_at_slow(const struct dist *d, uint64_t bits)
{
	switch (d->kind) {
	case DIST_UNIFORM:
		return d->low + (uint32_t)random_scale(bits, (uint64_t)d->high - d->low + 1);
	case DIST_LOGUNIFORM:
		return clamp(exp(d->mu + d->sigma * random_unit(bits)), d->low, d->high);
	case DIST_LOGNORMAL:
		return clamp(exp(d->mu + d->sigma * normal_at(bits)) + 0.5, 0, d->high);
	case DIST_FILE:
		return column_at(d, bits);
	case DIST_FIXED:
		break;
	}
	return d->low;
}

uint32_t
dist_max(const struct dist *d)
{
	uint32_t max = 0;

	if (d->kind == DIST_FIXED)
		return d->low;
	if (d->kind != DIST_FILE)
		return d->high;
	for (uint32_t i = 0; i < d->column_count; i++)
		if (d->columns[i].value > max)
			max = d->columns[i].value;
	return max;
}
