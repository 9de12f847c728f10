/*
 * rating.c
 *		Pricing models: from a quantity to an exact amount.
 *
 * Nothing is rounded here.  A result that cannot be kept exactly in 38 digits
 * is QZPAY_E_OVERFLOW.
 */
#include "core/rating.h"

#include <string.h>

QzpayCode
qzpay_model_parse(const char *name, QzpayModel *model)
{
	static const char *const names[] = {"flat", "per_unit", "graduated", "volume", "package"};
	int			i;

	for (i = 0; i <= QZPAY_MODEL_PACKAGE; i++)
	{
		if (strcmp(name, names[i]) == 0)
		{
			*model = (QzpayModel) i;
			return QZPAY_OK;
		}
	}
	return QZPAY_E_INVALID;
}

static bool
is_amount(QzpayDecimal value)
{
	return qzpay_decimal_valid(value) && qzpay_decimal_sign(value) >= 0;
}

static int
wider(int a, int b)
{
	return a > b ? a : b;
}

/* Whether the tiers rise and only the last is open; sets the common scales. */
static QzpayCode
check_tiers(QzpayPricing *p, const char **reason, int *tier)
{
	int			i;

	if (p->ntiers < 1 || p->ntiers > QZPAY_MAX_TIERS)
	{
		*reason = "there must be from 1 to 100 tiers";
		return QZPAY_E_INVALID;
	}
	for (i = 0; i < p->ntiers; i++)
	{
		QzpayTier  *t = &p->tiers[i];

		*tier = i;
		if (!is_amount(t->unit_amount) || !is_amount(t->flat_amount))
		{
			*reason = "an amount is negative or not a number";
			return QZPAY_E_INVALID;
		}
		if (t->open != (i == p->ntiers - 1))
		{
			*reason = t->open ? "only the last tier may be open" : "the last tier must be open";
			return QZPAY_E_INVALID;
		}
		if (!t->open && (!qzpay_decimal_valid(t->up_to) || qzpay_decimal_sign(t->up_to) <= 0 ||
						 (i > 0 && qzpay_decimal_compare(t->up_to, p->tiers[i - 1].up_to) <= 0)))
		{
			*reason = "bounds must rise from above zero";
			return QZPAY_E_INVALID;
		}
		p->price_scale = wider(p->price_scale, wider(t->unit_amount.scale, t->flat_amount.scale));
		if (!t->open)
			p->bound_scale = wider(p->bound_scale, t->up_to.scale);
	}
	return QZPAY_OK;
}

/* Brings all bounds to one scale and all amounts to another. */
static QzpayCode
align_tiers(QzpayPricing *p)
{
	QzpayCode	code = QZPAY_OK;
	int			i;

	for (i = 0; i < p->ntiers && code == QZPAY_OK; i++)
	{
		QzpayTier  *t = &p->tiers[i];

		code = qzpay_decimal_rescale(t->unit_amount, p->price_scale, &t->unit_amount);
		if (code == QZPAY_OK)
			code = qzpay_decimal_rescale(t->flat_amount, p->price_scale, &t->flat_amount);
		if (code == QZPAY_OK && !t->open)
			code = qzpay_decimal_rescale(t->up_to, p->bound_scale, &t->up_to);
	}
	return code;
}

/*
 * qzpay_pricing_prepare
 *		Checks a pricing and puts it into the form that qzpay_rate takes.
 *
 * On an error *reason says what is wrong, and *tier in which tier (0-based),
 * or -1.  Bounds must rise; the last tier, and only it, is open.
 */
QzpayCode
qzpay_pricing_prepare(QzpayPricing *p, const char **reason, int *tier)
{
	QzpayCode	code;

	*reason = NULL;
	*tier = -1;
	p->bound_scale = 0;
	p->price_scale = 0;
	switch (p->model)
	{
		case QZPAY_MODEL_PER_UNIT:
			*reason = "the unit amount is negative or not a number";
			return is_amount(p->unit_amount) ? QZPAY_OK : QZPAY_E_INVALID;
		case QZPAY_MODEL_PACKAGE:
			*reason = "the size of a package must be above zero";
			if (!qzpay_decimal_valid(p->size) || qzpay_decimal_sign(p->size) <= 0)
				return QZPAY_E_INVALID;
			/* fallthrough */
		case QZPAY_MODEL_FLAT:
			*reason = "the amount is negative or not a number";
			return is_amount(p->amount) ? QZPAY_OK : QZPAY_E_INVALID;
		case QZPAY_MODEL_GRADUATED:
		case QZPAY_MODEL_VOLUME:
			break;
	}
	code = check_tiers(p, reason, tier);
	if (code != QZPAY_OK)
		return code;
	*tier = -1;
	*reason = "the tiers need more digits than there are";
	return align_tiers(p);
}

/* A coefficient at a scale that is not smaller than its own. */
static inline bool
scaled(QzpayInt128 coef, int from, int to, QzpayInt128 *out)
{
	if (from == to)
	{
		*out = coef;
		return true;
	}
	return qzpay_wide_mul(coef, qzpay_pow10[to - from], out);
}

/* units × unit amount + flat amount, all at the scale of units plus that of prices. */
static inline bool
add_tier(const QzpayTier *t, QzpayInt128 units, int scale, QzpayInt128 *sum)
{
	QzpayInt128 part;

	if (!qzpay_wide_mul(units, t->unit_amount.coef, &part) || !qzpay_wide_add(*sum, part, sum))
		return false;
	if (t->flat_amount.coef == 0)
		return true;
	return scaled(t->flat_amount.coef, 0, scale, &part) && qzpay_wide_add(*sum, part, sum);
}

/* The tiered models; quantity is not negative. */
static QzpayCode
rate_tiers(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal *exact)
{
	int			scale = wider(quantity.scale, p->bound_scale);
	QzpayInt128 total;
	QzpayInt128 lower = 0;
	QzpayInt128 sum = 0;
	int			i;

	if (scale + p->price_scale > QZPAY_MAX_SCALE)
		return QZPAY_E_SCALE;
	if (!scaled(quantity.coef, quantity.scale, scale, &total))
		return QZPAY_E_OVERFLOW;
	for (i = 0; i < p->ntiers; i++)
	{
		const QzpayTier *t = &p->tiers[i];
		QzpayInt128 upper = total;
		bool		last = t->open;
		bool		entered = total > lower || (i == 0 && p->flat_on_zero);

		if (!last)
		{
			if (!scaled(t->up_to.coef, p->bound_scale, scale, &upper))
				return QZPAY_E_OVERFLOW;
			last = total <= upper;
		}
		if (p->model == QZPAY_MODEL_GRADUATED || last)
		{
			QzpayInt128 units = last ? total : upper;

			if (p->model == QZPAY_MODEL_GRADUATED)
				units -= lower;
			if (entered && !add_tier(t, units, scale, &sum))
				return QZPAY_E_OVERFLOW;
		}
		if (last)
			break;
		lower = upper;
	}
	exact->coef = sum;
	exact->scale = scale + p->price_scale;
	return QZPAY_OK;
}

/* Started packages × amount. */
static QzpayCode
rate_packages(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal *exact)
{
	int			scale = wider(quantity.scale, p->size.scale);
	QzpayInt128 total;
	QzpayInt128 size;

	if (!scaled(quantity.coef, quantity.scale, scale, &total) || !scaled(p->size.coef, p->size.scale, scale, &size))
		return QZPAY_E_OVERFLOW;
	if (qzpay_fits_i64(total) && qzpay_fits_i64(size))
		total = (int64_t) total / (int64_t) size + ((int64_t) total % (int64_t) size != 0);
	else
		total = total / size + (total % size != 0);
	exact->scale = p->amount.scale;
	return qzpay_wide_mul(total, p->amount.coef, &exact->coef) ? QZPAY_OK : QZPAY_E_OVERFLOW;
}

/*
 * qzpay_rate
 *		Exact amount, in minor units, of a quantity under a prepared pricing.
 *
 * included is free: it is taken off first, never below zero.  A package once
 * started counts whole.  A tier's flat amount is due when the tier is
 * entered, the first one's also without usage if flat_on_zero.  A flat price
 * is due in any case.  QZPAY_E_RANGE for a negative quantity or allowance,
 * QZPAY_E_SCALE or QZPAY_E_OVERFLOW where the result needs more digits than
 * there are.
 */
QzpayCode
qzpay_rate(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal included, QzpayDecimal *exact)
{
	QzpayCode	code;

	if (qzpay_decimal_sign(quantity) < 0 || qzpay_decimal_sign(included) < 0)
		return QZPAY_E_RANGE;
	if (included.coef != 0)
	{
		code = qzpay_decimal_sub(quantity, included, &quantity);
		if (code != QZPAY_OK)
			return code;
		if (quantity.coef < 0)
			quantity = qzpay_decimal_int(0);
	}
	switch (p->model)
	{
		case QZPAY_MODEL_FLAT:
			*exact = p->amount;
			return QZPAY_OK;
		case QZPAY_MODEL_PER_UNIT:
			return qzpay_decimal_mul(quantity, p->unit_amount, exact);
		case QZPAY_MODEL_PACKAGE:
			return rate_packages(p, quantity, exact);
		case QZPAY_MODEL_GRADUATED:
		case QZPAY_MODEL_VOLUME:
			break;
	}
	return rate_tiers(p, quantity, exact);
}
