/*
 * rating.c
 *		Pricing models: from a quantity to an exact amount.
 *
 * Nothing is rounded here.  A result that cannot be kept exactly is an error.
 *
 * There are two ways through the same rules.  qzpay_pricing_prepare brings all quantities of a pricing to one scale and all amounts
 * to another; where they fit int64_t then, which is the rule, a rating is a few multiplications (narrow).  Anything else takes
 * decimals of 38 digits (wide).
 */
#include "core/rating.h"

#include <string.h>

static const QzpayDecimal zero = {0, 0};

/*
 * qzpay_model_parse
 *		The model of a stored name, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_model_parse(const char *name, QzpayModel *model)
{
	static const char *const names[] = {"flat", "per_unit", "graduated", "volume", "package"};

	for (int i = 0; i <= QZPAY_MODEL_PACKAGE; i++)
		if (strcmp(name, names[i]) == 0)
		{
			*model = (QzpayModel) i;
			return QZPAY_OK;
		}
	return QZPAY_E_INVALID;
}

/*
 * is_amount
 *		Whether this is a decimal and not negative.
 */
static bool
is_amount(QzpayDecimal value)
{
	return qzpay_decimal_valid(value) && value.coef >= 0;
}

/*
 * check_tiers
 *		Bounds rise from above zero; the last tier, and only it, is open.
 */
static const char *
check_tiers(const QzpayPricing *p, int *tier)
{
	if (p->ntiers < 1 || p->ntiers > QZPAY_MAX_TIERS)
		return "there must be from 1 to 100 tiers";
	for (int i = 0; i < p->ntiers; i++)
	{
		const QzpayTier *t = &p->tiers[i];

		*tier = i;
		if (!is_amount(t->unit_amount) || !is_amount(t->flat_amount))
			return "an amount is negative or not a number";
		if (t->open != (i == p->ntiers - 1))
			return t->open ? "only the last tier may be open" : "the last tier must be open";
		if (!t->open && (!qzpay_decimal_valid(t->up_to) ||
						 qzpay_decimal_compare(t->up_to, i > 0 ? p->tiers[i - 1].up_to : zero) <= 0))
			return "bounds must rise from above zero";
	}
	*tier = -1;
	return NULL;
}

/*
 * check_model
 *		What the model needs; NULL when it is there.
 */
static const char *
check_model(const QzpayPricing *p, int *tier)
{
	switch (p->model)
	{
		case QZPAY_MODEL_PER_UNIT:
			return is_amount(p->unit_amount) ? NULL : "the unit amount is negative or not a number";
		case QZPAY_MODEL_PACKAGE:
			if (!is_amount(p->size) || p->size.coef == 0)
				return "the size of a package must be above zero";
			/* fallthrough */
		case QZPAY_MODEL_FLAT:
			return is_amount(p->amount) ? NULL : "the amount is negative or not a number";
		case QZPAY_MODEL_GRADUATED:
		case QZPAY_MODEL_VOLUME:
			return check_tiers(p, tier);
	}
	return "there is no such model";
}

/*
 * scale_of
 *		The greater of a scale and that of a decimal without its zeros at the end, which it loses here.
 */
static int
scale_of(QzpayDecimal *value, int scale)
{
	*value = qzpay_decimal_normalise(*value);
	return value->scale > scale ? value->scale : scale;
}

/*
 * align
 *		Bring a number to a scale and say whether it fits int64_t there; what cannot be brought stays as it is, still correct.
 */
static bool
align(QzpayDecimal *value, int scale)
{
	return qzpay_decimal_rescale(*value, scale, value) == QZPAY_OK && qzpay_fits_i64(value->coef);
}

/*
 * choose_scales
 *		Bring the numbers of the model to common scales, and find whether the narrow way is open.
 */
static void
choose_scales(QzpayPricing *p)
{
	bool		tiered = p->model == QZPAY_MODEL_GRADUATED || p->model == QZPAY_MODEL_VOLUME;
	int			ntiers = tiered ? p->ntiers : 0;
	int			unit_scale = 0;
	int			price_scale = 0;
	bool		narrow = true;

	if (p->model == QZPAY_MODEL_PACKAGE)
		unit_scale = scale_of(&p->size, unit_scale);
	if (p->model == QZPAY_MODEL_PACKAGE || p->model == QZPAY_MODEL_FLAT)
		price_scale = scale_of(&p->amount, price_scale);
	if (p->model == QZPAY_MODEL_PER_UNIT)
		price_scale = scale_of(&p->unit_amount, price_scale);
	for (int i = 0; i < ntiers; i++)
	{
		QzpayTier  *t = &p->tiers[i];

		if (!t->open)
			unit_scale = scale_of(&t->up_to, unit_scale);
		price_scale = scale_of(&t->unit_amount, price_scale);
		price_scale = scale_of(&t->flat_amount, price_scale);
	}
	if (p->model == QZPAY_MODEL_PACKAGE)
		narrow &= align(&p->size, unit_scale);
	if (p->model == QZPAY_MODEL_PACKAGE || p->model == QZPAY_MODEL_FLAT)
		narrow &= align(&p->amount, price_scale);
	if (p->model == QZPAY_MODEL_PER_UNIT)
		narrow &= align(&p->unit_amount, price_scale);
	for (int i = 0; i < ntiers; i++)
	{
		QzpayTier  *t = &p->tiers[i];

		if (!t->open)
			narrow &= align(&t->up_to, unit_scale);
		narrow &= align(&t->unit_amount, price_scale);
		narrow &= align(&t->flat_amount, price_scale);
	}
	p->narrow = narrow && unit_scale + price_scale <= QZPAY_MAX_SCALE;
	p->unit_scale = unit_scale;
	p->price_scale = price_scale;
}

/*
 * qzpay_pricing_prepare
 *		Refuse a pricing that could bill wrongly, and put a good one into the form that qzpay_rate takes.
 *
 * Numbers may change their scale here, not their value.  On QZPAY_E_INVALID *reason says what is wrong, and *tier in which tier
 * (0-based), or -1.
 */
QzpayCode
qzpay_pricing_prepare(QzpayPricing *p, const char **reason, int *tier)
{
	*tier = -1;
	p->prepared = false;
	*reason = check_model(p, tier);
	if (*reason == NULL && ((p->has_minimum && !is_amount(p->minimum)) || (p->has_maximum && !is_amount(p->maximum))))
		*reason = "the minimum or maximum is negative or not a number";
	if (*reason == NULL && p->has_minimum && p->has_maximum && qzpay_decimal_compare(p->minimum, p->maximum) > 0)
		*reason = "the minimum is above the maximum";
	if (*reason != NULL)
		return QZPAY_E_INVALID;
	choose_scales(p);
	p->prepared = true;
	return QZPAY_OK;
}

/*
 * narrow_graduated
 *		Units of each tier times its price, plus the flat amounts of the tiers entered; factors of int64_t.
 *
 * The units of all tiers together are the quantity, so the sum of the products is below 2^126 and needs no check.
 */
static QzpayCode
narrow_graduated(const QzpayPricing *p, int64_t units, QzpayDecimal *exact)
{
	QzpayInt128 total = 0;
	QzpayInt128 flats = 0;
	int64_t		lower = 0;
	const QzpayTier *t = p->tiers;

	for (; !t->open && units > (int64_t) t->up_to.coef; t++)
	{
		total += (QzpayInt128) ((int64_t) t->up_to.coef - lower) * (int64_t) t->unit_amount.coef;
		flats += t->flat_amount.coef;
		lower = (int64_t) t->up_to.coef;
	}
	total += (QzpayInt128) (units - lower) * (int64_t) t->unit_amount.coef;
	flats += t->flat_amount.coef;
	if (flats != 0 && (units > 0 || p->flat_on_zero))
	{
		if (!qzpay_wide_mul(flats, qzpay_pow10[p->unit_scale], &flats) || !qzpay_wide_add(total, flats, &total))
			return QZPAY_E_OVERFLOW;
	}
	exact->coef = total;
	exact->scale = p->unit_scale + p->price_scale;
	return QZPAY_OK;
}

/*
 * narrow_volume
 *		The quantity times the price of the tier that holds it, plus that tier's flat amount; factors of int64_t.
 */
static QzpayCode
narrow_volume(const QzpayPricing *p, int64_t units, QzpayDecimal *exact)
{
	const QzpayTier *t = p->tiers;

	while (!t->open && units > (int64_t) t->up_to.coef)
		t++;
	exact->coef = (QzpayInt128) units * (int64_t) t->unit_amount.coef;
	/* At most 2^126 + 2^63 * 10^18, which fits. */
	if (units > 0 || p->flat_on_zero)
		exact->coef += (QzpayInt128) (int64_t) t->flat_amount.coef * qzpay_pow10[p->unit_scale];
	exact->scale = p->unit_scale + p->price_scale;
	return QZPAY_OK;
}

/*
 * rate_narrow
 *		The models where everything fits int64_t; units is the quantity to be paid at the unit scale.
 */
static QzpayCode
rate_narrow(const QzpayPricing *p, int64_t units, QzpayDecimal *exact)
{
	switch (p->model)
	{
		case QZPAY_MODEL_FLAT:
			*exact = p->amount;
			return QZPAY_OK;
		case QZPAY_MODEL_PER_UNIT:
			exact->coef = (QzpayInt128) units * (int64_t) p->unit_amount.coef;
			exact->scale = p->price_scale;
			return QZPAY_OK;
		case QZPAY_MODEL_PACKAGE:
			units = units / (int64_t) p->size.coef + (units % (int64_t) p->size.coef != 0);
			exact->coef = (QzpayInt128) units * (int64_t) p->amount.coef;
			exact->scale = p->price_scale;
			return QZPAY_OK;
		case QZPAY_MODEL_GRADUATED:
			return narrow_graduated(p, units, exact);
		case QZPAY_MODEL_VOLUME:
			break;
	}
	return narrow_volume(p, units, exact);
}

/*
 * wide_packages
 *		Started packages, in decimals: the quotient of the two at one scale, rounded up.
 */
static QzpayCode
wide_packages(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal *exact)
{
	QzpayDecimal size = p->size;
	QzpayDecimal packages = zero;
	int			scale = quantity.scale > size.scale ? quantity.scale : size.scale;
	QzpayCode	code = qzpay_decimal_rescale(quantity, scale, &quantity);

	if (code == QZPAY_OK)
		code = qzpay_decimal_rescale(size, scale, &size);
	if (code != QZPAY_OK)
		return code;
	packages.coef = quantity.coef / size.coef + (quantity.coef % size.coef != 0);
	return qzpay_decimal_mul(packages, p->amount, exact);
}

/*
 * wide_tiers
 *		Graduated and volume, in decimals.
 */
static QzpayCode
wide_tiers(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal *exact)
{
	bool		graduated = p->model == QZPAY_MODEL_GRADUATED;
	QzpayDecimal total = zero;
	QzpayDecimal lower = zero;
	QzpayDecimal part;
	QzpayCode	code = QZPAY_OK;
	bool		last = false;

	for (const QzpayTier *t = p->tiers; !last; t++)
	{
		QzpayDecimal units = quantity;

		last = t->open || qzpay_decimal_compare(quantity, t->up_to) <= 0;
		if (!graduated && !last)
			continue;
		if (graduated)
			code = qzpay_decimal_sub(last ? quantity : t->up_to, lower, &units);
		if (code == QZPAY_OK)
			code = qzpay_decimal_mul(units, t->unit_amount, &part);
		if (code == QZPAY_OK)
			code = qzpay_decimal_add(total, part, &total);
		if (code == QZPAY_OK && (quantity.coef > 0 || p->flat_on_zero))
			code = qzpay_decimal_add(total, t->flat_amount, &total);
		if (code != QZPAY_OK)
			return code;
		lower = t->up_to;
	}
	*exact = total;
	return QZPAY_OK;
}

/*
 * rate_wide
 *		The models in decimals; quantity is what is to be paid.
 */
static QzpayCode
rate_wide(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal *exact)
{
	switch (p->model)
	{
		case QZPAY_MODEL_FLAT:
			*exact = p->amount;
			return QZPAY_OK;
		case QZPAY_MODEL_PER_UNIT:
			return qzpay_decimal_mul(quantity, p->unit_amount, exact);
		case QZPAY_MODEL_PACKAGE:
			return wide_packages(p, quantity, exact);
		case QZPAY_MODEL_GRADUATED:
		case QZPAY_MODEL_VOLUME:
			break;
	}
	return wide_tiers(p, quantity, exact);
}

/*
 * narrow_units
 *		What is to be paid, at the unit scale; false when that needs more than int64_t or more decimals.
 */
static inline bool
narrow_units(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal included, int64_t *units)
{
	int64_t		free_units;

	if (quantity.scale > p->unit_scale || included.scale > p->unit_scale ||
		!qzpay_fits_i64(quantity.coef) || !qzpay_fits_i64(included.coef) ||
		__builtin_mul_overflow((int64_t) quantity.coef, qzpay_pow10[p->unit_scale - quantity.scale], units) ||
		__builtin_mul_overflow((int64_t) included.coef, qzpay_pow10[p->unit_scale - included.scale], &free_units))
		return false;
	*units = *units > free_units ? *units - free_units : 0;
	return true;
}

/*
 * qzpay_rate
 *		Exact amount, in minor units, of a quantity under a prepared pricing; may carry zeros at the end of its decimals.
 *
 * included is free: it is taken off first, never below zero.  A package once started counts whole.  A tier's flat amount is due when
 * the tier is entered (volume: of the tier that holds the quantity), the first one's also without usage if flat_on_zero.  A flat
 * price is due in any case.  The minimum is due without usage too.
 *
 * QZPAY_E_INVALID when the pricing was not prepared, QZPAY_E_RANGE for a negative quantity or allowance, QZPAY_E_SCALE or
 * QZPAY_E_OVERFLOW where an exact result needs more digits than there are.
 */
QzpayCode
qzpay_rate(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal included, QzpayDecimal *exact)
{
	QzpayCode	code;
	int64_t		units;

	if (!p->prepared)
		return QZPAY_E_INVALID;
	if (quantity.coef < 0 || included.coef < 0)
		return QZPAY_E_RANGE;
	if (p->narrow && narrow_units(p, quantity, included, &units))
		code = rate_narrow(p, units, exact);
	else
	{
		code = qzpay_decimal_sub(quantity, included, &quantity);
		if (code == QZPAY_OK)
			code = rate_wide(p, quantity.coef > 0 ? quantity : zero, exact);
	}
	if (code != QZPAY_OK)
		return code;
	if (p->has_minimum && qzpay_decimal_compare(*exact, p->minimum) < 0)
		*exact = p->minimum;
	else if (p->has_maximum && qzpay_decimal_compare(*exact, p->maximum) > 0)
		*exact = p->maximum;
	return QZPAY_OK;
}
