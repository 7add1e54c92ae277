/* bench/zipf.c: see zipf.h. H is the integral of the hat h(x) = x^-theta, written so that it stays exact
 * where theta comes near 1 and the textbook form (x^(1-theta) - 1) / (1 - theta) becomes 0/0. */
#include "bench/zipf.h"

#include <math.h>

#include "base/assert.h"

/* (e^x - 1) / x */
static double
expm1_over(double x)
{
	return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

/* log(1 + x) / x */
static double
log1p_over(double x)
{
	return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

static double
hat(const struct zipf *z, double x)
{
	return exp(-z->theta * log(x));
}

static double
hat_integral(const struct zipf *z, double x)
{
	double logarithm = log(x);

	return expm1_over((1 - z->theta) * logarithm) * logarithm;
}

static double
hat_integral_inverse(const struct zipf *z, double y)
{
	double t = y * (1 - z->theta);

	if (t < -1)
		t = -1; /* rounding at the right end of a theta above 1 */
	return exp(log1p_over(t) * y);
}

void
zipf_init(struct zipf *z, uint64_t count, double theta)
{
	ASSERT(count > 0 && theta > 0);
	z->theta = theta;
	z->count = (double)count;
	z->h_low = hat_integral(z, 1.5) - 1;
	z->h_high = hat_integral(z, z->count + 0.5);
	z->accept = 2 - hat_integral_inverse(z, hat_integral(z, 2.5) - hat(z, 2));
}

uint64_t
zipf_draw(const struct zipf *z, struct random *r)
{
	for (;;) {
		double u = z->h_high + random_unit(random_u64(r)) * (z->h_low - z->h_high);
		double x = hat_integral_inverse(z, u);
		double k = floor(x + 0.5);

		if (k < 1)
			k = 1;
		else if (k > z->count)
			k = z->count;
		if (k - x <= z->accept || u >= hat_integral(z, k + 0.5) - hat(z, k))
			return (uint64_t)k - 1;
	}
}
