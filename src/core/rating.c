/*
 * rating.c
 *		Pricing models: from what was used to an exact amount.
 *
 * Nothing is rounded here, with one exception: where the included quantity ends within an event of an amount of its own, the event is
 * divided by its units, to SPLIT_SCALE decimals.  A result that cannot be kept exactly is an error.
 *
 * There are two ways through the same rules.  qzpay_pricing_prepare brings all quantities of a pricing to one scale and all amounts
 * to another; where they fit int64_t then, which is the rule, a rating is a few multiplications (narrow).  Anything else takes
 * decimals of 38 digits (wide).
 */
#include "core/rating.h"

#include <string.h>

#define SPLIT_SCALE 6

static const QzpayDecimal zero = {0, 0};

/*
 * qzpay_model_parse
 *		The model of a stored name, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_model_parse(const char *name, QzpayModel *model)
{
	static const char *const names[] = {
		"flat", "per_unit", "graduated", "volume", "package", "percentage", "graduated_percentage", "dynamic"
	};

	for (int i = 0; i <= QZPAY_MODEL_DYNAMIC; i++)
		if (strcmp(name, names[i]) == 0)
		{
			*model = (QzpayModel) i;
			return QZPAY_OK;
		}
	return QZPAY_E_INVALID;
}

/*
 * qzpay_share_of_percent
 *		1.2 % as 0.012; QZPAY_E_SCALE for more than 16 decimals.
 */
QzpayCode
qzpay_share_of_percent(QzpayDecimal percent, QzpayDecimal *share)
{
	*share = qzpay_decimal_normalise(percent);
	share->scale += 2;
	return share->scale <= QZPAY_MAX_SCALE ? QZPAY_OK : QZPAY_E_SCALE;
}

static bool
is_tiered(QzpayModel model)
{
	return model == QZPAY_MODEL_GRADUATED || model == QZPAY_MODEL_VOLUME || model == QZPAY_MODEL_GRADUATED_PERCENTAGE;
}

/*
 * has_amount
 *		Whether a model uses the member amount, or unit_amount.
 */
static bool
has_amount(QzpayModel model)
{
	return model == QZPAY_MODEL_PACKAGE || model == QZPAY_MODEL_FLAT || model == QZPAY_MODEL_PERCENTAGE;
}

static bool
has_unit_amount(QzpayModel model)
{
	return model == QZPAY_MODEL_PER_UNIT || model == QZPAY_MODEL_PERCENTAGE || model == QZPAY_MODEL_DYNAMIC;
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
 * check_bounds
 *		A minimum and a maximum, where they are there.
 */
static const char *
check_bounds(bool has_minimum, QzpayDecimal minimum, bool has_maximum, QzpayDecimal maximum)
{
	if ((has_minimum && !is_amount(minimum)) || (has_maximum && !is_amount(maximum)))
		return "the minimum or maximum is negative or not a number";
	if (has_minimum && has_maximum && qzpay_decimal_compare(minimum, maximum) > 0)
		return "the minimum is above the maximum";
	return NULL;
}

/*
 * check_percentage
 *		What is free of a percentage, and the bounds of its fees.
 */
static const char *
check_percentage(const QzpayPricing *p)
{
	if (p->has_free_events && p->free_events < 0)
		return "the number of free events is negative";
	if (p->has_free_amount && !is_amount(p->free_amount))
		return "the free amount is negative or not a number";
	return check_bounds(p->has_event_minimum, p->event_minimum, p->has_event_maximum, p->event_maximum);
}

/*
 * check_model
 *		What the model needs; NULL when it is there.
 */
static const char *
check_model(const QzpayPricing *p, int *tier)
{
	if (p->model > QZPAY_MODEL_DYNAMIC)
		return "there is no such model";
	if (p->model == QZPAY_MODEL_PACKAGE && (!is_amount(p->size) || p->size.coef == 0))
		return "the size of a package must be above zero";
	if (has_amount(p->model) && !is_amount(p->amount))
		return "the amount is negative or not a number";
	if (has_unit_amount(p->model) && !is_amount(p->unit_amount))
		return "the unit amount or rate is negative or not a number";
	if (is_tiered(p->model))
		return check_tiers(p, tier);
	return p->model == QZPAY_MODEL_PERCENTAGE ? check_percentage(p) : NULL;
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
	int			ntiers = is_tiered(p->model) ? p->ntiers : 0;
	int			unit_scale = 0;
	int			price_scale = 0;
	bool		narrow = true;

	if (p->model == QZPAY_MODEL_PACKAGE)
		unit_scale = scale_of(&p->size, unit_scale);
	if (has_amount(p->model))
		price_scale = scale_of(&p->amount, price_scale);
	if (has_unit_amount(p->model))
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
	if (has_amount(p->model))
		narrow &= align(&p->amount, price_scale);
	if (has_unit_amount(p->model))
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
	if (*reason == NULL)
		*reason = check_bounds(p->has_minimum, p->minimum, p->has_maximum, p->maximum);
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
 *		The models where everything fits int64_t; units is what is to be paid, a quantity or an amount, at the unit scale.
 *
 * The fixed amounts of a percentage are not in it.
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
		case QZPAY_MODEL_PERCENTAGE:
		case QZPAY_MODEL_DYNAMIC:
			exact->coef = (QzpayInt128) units * (int64_t) p->unit_amount.coef;
			exact->scale = p->price_scale;
			return QZPAY_OK;
		case QZPAY_MODEL_PACKAGE:
			units = units / (int64_t) p->size.coef + (units % (int64_t) p->size.coef != 0);
			exact->coef = (QzpayInt128) units * (int64_t) p->amount.coef;
			exact->scale = p->price_scale;
			return QZPAY_OK;
		case QZPAY_MODEL_GRADUATED:
		case QZPAY_MODEL_GRADUATED_PERCENTAGE:
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
	bool		graduated = p->model != QZPAY_MODEL_VOLUME;
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
 *		The models in decimals; quantity is what is to be paid, a quantity or an amount.
 */
static QzpayCode
rate_wide(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal *exact)
{
	if (is_tiered(p->model))
		return wide_tiers(p, quantity, exact);
	if (has_unit_amount(p->model))
		return qzpay_decimal_mul(quantity, p->unit_amount, exact);
	if (p->model == QZPAY_MODEL_PACKAGE)
		return wide_packages(p, quantity, exact);
	*exact = p->amount;
	return QZPAY_OK;
}

/*
 * narrow_units
 *		What is to be paid, at the unit scale; false when that needs more than int64_t or more decimals.
 */
static inline bool
narrow_units(const QzpayPricing *p, const QzpayDecimal *quantity, const QzpayDecimal *included, int64_t *units)
{
	int64_t		free_units;

	if (quantity->scale > p->unit_scale || included->scale > p->unit_scale ||
		!qzpay_fits_i64(quantity->coef) || !qzpay_fits_i64(included->coef) ||
		__builtin_mul_overflow((int64_t) quantity->coef, qzpay_pow10[p->unit_scale - quantity->scale], units) ||
		__builtin_mul_overflow((int64_t) included->coef, qzpay_pow10[p->unit_scale - included->scale], &free_units))
		return false;
	*units = *units > free_units ? *units - free_units : 0;
	return true;
}

/*
 * rate_rest
 *		What a quantity or an amount costs after the free part of it is taken off.
 */
static inline QzpayCode
rate_rest(const QzpayPricing *p, const QzpayDecimal *used, const QzpayDecimal *free_part, QzpayDecimal *exact)
{
	int64_t		units;
	QzpayDecimal rest;
	QzpayCode	code;

	if (p->narrow && narrow_units(p, used, free_part, &units))
		return rate_narrow(p, units, exact);
	code = qzpay_decimal_sub(*used, *free_part, &rest);
	return code == QZPAY_OK ? rate_wide(p, rest.coef > 0 ? rest : zero, exact) : code;
}

/*
 * bound
 *		Bring an amount to its minimum or maximum.
 */
static inline void
bound(bool has_minimum, const QzpayDecimal *minimum, bool has_maximum, const QzpayDecimal *maximum, QzpayDecimal *exact)
{
	if (has_minimum && qzpay_decimal_compare(*exact, *minimum) < 0)
		*exact = *minimum;
	else if (has_maximum && qzpay_decimal_compare(*exact, *maximum) > 0)
		*exact = *maximum;
}

/*
 * is_all_included
 *		Whether no event reaches beyond what is included.
 *
 * Below it, not just up to it: where it is used up, an event of quantity 0 is beyond.
 */
static bool
is_all_included(const QzpayUsage *usage)
{
	return qzpay_decimal_compare(usage->quantity, usage->included) < 0;
}

/*
 * qzpay_rating_need
 *		What has to be known of the usage beside its quantity and amount.
 *
 * Single events count where each has a fee of its own or where it matters which of them are free: totals don't tell how much of an
 * amount, or how many events, lie within the included quantity or the free amount.
 */
QzpayRatingNeed
qzpay_rating_need(const QzpayPricing *p, const QzpayUsage *usage)
{
	bool		has_included = usage->included.coef > 0;

	if (!qzpay_model_rates_amounts(p->model) || is_all_included(usage) || (usage->n_events == 0 && usage->quantity.coef == 0))
		return QZPAY_NEEDS_TOTALS;
	if (has_included && usage->has_amount)
		return QZPAY_NEEDS_EVENTS;
	if (p->model != QZPAY_MODEL_PERCENTAGE)
		return QZPAY_NEEDS_TOTALS;
	if (p->has_free_events || p->has_event_minimum || p->has_event_maximum)
		return QZPAY_NEEDS_EVENTS;
	if (p->amount.coef == 0)
		return QZPAY_NEEDS_TOTALS;
	return has_included || p->has_free_amount ? QZPAY_NEEDS_EVENTS : QZPAY_NEEDS_COUNT;
}

/*
 * rate_amount
 *		The models that rate amounts, from the totals.
 */
static QzpayCode
rate_amount(const QzpayPricing *p, const QzpayUsage *usage, QzpayDecimal *exact)
{
	bool		all_included = is_all_included(usage);
	QzpayDecimal rest = usage->amount;
	QzpayDecimal fees;
	QzpayCode	code = QZPAY_OK;

	if (all_included)
		rest = zero;
	else if (!usage->has_amount)
		code = qzpay_decimal_sub(usage->quantity, usage->included, &rest);
	if (code == QZPAY_OK)
		code = rate_rest(p, &rest, p->model == QZPAY_MODEL_PERCENTAGE && p->has_free_amount ? &p->free_amount : &zero, exact);
	if (code == QZPAY_OK && p->model == QZPAY_MODEL_PERCENTAGE && p->amount.coef > 0 && !all_included)
	{
		code = qzpay_decimal_mul(p->amount, qzpay_decimal_int(usage->n_events), &fees);
		if (code == QZPAY_OK)
			code = qzpay_decimal_add(*exact, fees, exact);
	}
	return code;
}

/* How far the events of a period have come. */
typedef struct Course
{
	const QzpayPricing *p;
	QzpayDecimal included;		/* left of it */
	QzpayDecimal free_amount;	/* left of it */
	int64_t		free_events;	/* left of them */
	QzpayDecimal total;			/* percentage: fees, else amounts */
} Course;

/*
 * take_included
 *		Take what is left of the included quantity off an event; *inside when nothing of it lies beyond.
 */
static QzpayCode
take_included(Course *course, const QzpayUse *event, QzpayDecimal *amount, bool *inside)
{
	QzpayDecimal left;
	QzpayDecimal units = event->quantity;
	QzpayInt128 product;
	int			scale;
	QzpayCode	code;

	*amount = event->amount;
	*inside = false;
	if (course->included.coef == 0)
		return QZPAY_OK;
	code = qzpay_decimal_sub(course->included, units, &left);
	if (code != QZPAY_OK)
		return code;
	*inside = left.coef >= 0;
	course->included = *inside ? left : zero;
	if (*inside)
		return QZPAY_OK;
	/* An amount that is the quantity is divided exactly. */
	if (qzpay_decimal_compare(*amount, units) == 0)
	{
		amount->coef = -left.coef;
		amount->scale = left.scale;
		return QZPAY_OK;
	}
	/* The amount times the units beyond, by all its units.  The subtraction has brought them to this scale already. */
	(void) qzpay_decimal_rescale(units, left.scale, &units);
	scale = amount->scale > SPLIT_SCALE ? amount->scale : SPLIT_SCALE;
	code = qzpay_decimal_rescale(*amount, scale, amount);
	if (code != QZPAY_OK)
		return code;
	if (!qzpay_wide_mul(amount->coef, -left.coef, &product))
		return QZPAY_E_OVERFLOW;
	return qzpay_divide_round(product, units.coef, QZPAY_ROUND_HALF_UP, &amount->coef);
}

/*
 * take_free
 *		Take what is left of the free events and the free amount off an event of a percentage; *inside when it is wholly free.
 *
 * The event with which the free amount ends pays the rate on what is beyond, and the fixed amount.
 */
static QzpayCode
take_free(Course *course, QzpayDecimal *amount, bool *inside)
{
	const QzpayPricing *p = course->p;
	QzpayDecimal left = zero;
	QzpayCode	code;

	*inside = false;
	if (!(p->has_free_events || p->has_free_amount) ||
		(p->has_free_events && course->free_events == 0) || (p->has_free_amount && course->free_amount.coef == 0))
		return QZPAY_OK;
	if (p->has_free_amount)
	{
		code = qzpay_decimal_sub(course->free_amount, *amount, &left);
		if (code != QZPAY_OK)
			return code;
	}
	*inside = left.coef >= 0;
	if (*inside)
	{
		course->free_amount = left;
		course->free_events--;
		return QZPAY_OK;
	}
	course->free_amount = zero;
	amount->coef = -left.coef;
	amount->scale = left.scale;
	return QZPAY_OK;
}

/*
 * take_event
 *		Rate one event of a percentage, or add up what it is worth.
 */
static QzpayCode
take_event(Course *course, const QzpayUse *event)
{
	const QzpayPricing *p = course->p;
	bool		percentage = p->model == QZPAY_MODEL_PERCENTAGE;
	QzpayDecimal amount;
	bool		inside;
	QzpayCode	code;

	if (event->quantity.coef < 0 || event->amount.coef < 0)
		return QZPAY_E_RANGE;
	code = take_included(course, event, &amount, &inside);
	if (code == QZPAY_OK && !inside && percentage)
		code = take_free(course, &amount, &inside);
	if (code != QZPAY_OK || inside)
		return code;
	if (percentage)
	{
		code = qzpay_decimal_mul(amount, p->unit_amount, &amount);
		if (code == QZPAY_OK)
			code = qzpay_decimal_add(amount, p->amount, &amount);
		if (code != QZPAY_OK)
			return code;
		bound(p->has_event_minimum, &p->event_minimum, p->has_event_maximum, &p->event_maximum, &amount);
	}
	return qzpay_decimal_add(course->total, qzpay_decimal_normalise(amount), &course->total);
}

/*
 * rate_events
 *		The models that rate amounts, event by event.
 */
static QzpayCode
rate_events(const QzpayPricing *p, const QzpayUsage *usage, QzpayDecimal *exact)
{
	Course		course = {.p = p,.included = usage->included,.free_amount = p->free_amount,.free_events = p->free_events};

	for (int64_t i = 0; i < usage->n_events; i++)
	{
		QzpayCode	code = take_event(&course, &usage->events[i]);

		if (code != QZPAY_OK)
			return code;
	}
	*exact = course.total;
	return p->model == QZPAY_MODEL_PERCENTAGE ? QZPAY_OK : rate_rest(p, &course.total, &zero, exact);
}

/*
 * qzpay_rate_usage
 *		Exact amount, in minor units, of usage under a prepared pricing; may carry zeros at the end of its decimals.
 *
 * What is included is taken off first, never below zero.  A package once started counts whole.  A tier's flat amount is due when the tier is
 * entered (volume: of the tier that holds the quantity), the first one's also without usage if flat_on_zero.  A flat price is due in any
 * case.  The minimum is due without usage too.
 *
 * Of the models that rate amounts:
 * The first units, as many as are included, are free: an event wholly within them costs nothing, one that reaches beyond is worth the part
 * of its amount that its units beyond are of its units.  A percentage then leaves events free as long as its free events and its free
 * amount last; any other event costs the rate on what is left of its amount, and the fixed amount, within the bounds of an event.
 *
 * QZPAY_E_INVALID when the pricing was not prepared, or less is known than qzpay_rating_need says; QZPAY_E_RANGE for something negative;
 * QZPAY_E_SCALE or QZPAY_E_OVERFLOW where an exact result needs more digits than there are.
 */
QzpayCode
qzpay_rate_usage(const QzpayPricing *p, const QzpayUsage *usage, QzpayDecimal *exact)
{
	QzpayRatingNeed need;
	QzpayCode	code;

	if (!p->prepared)
		return QZPAY_E_INVALID;
	if (usage->quantity.coef < 0 || usage->included.coef < 0)
		return QZPAY_E_RANGE;
	if (!qzpay_model_rates_amounts(p->model))
	{
		code = rate_rest(p, &usage->quantity, &usage->included, exact);
		if (code == QZPAY_OK)
			bound(p->has_minimum, &p->minimum, p->has_maximum, &p->maximum, exact);
		return code;
	}
	if (usage->has_amount && usage->amount.coef < 0)
		return QZPAY_E_RANGE;
	need = qzpay_rating_need(p, usage);
	if ((need == QZPAY_NEEDS_EVENTS && usage->events == NULL) || (need == QZPAY_NEEDS_COUNT && usage->n_events < 0))
		return QZPAY_E_INVALID;
	code = need == QZPAY_NEEDS_EVENTS ? rate_events(p, usage, exact) : rate_amount(p, usage, exact);
	if (code == QZPAY_OK)
		bound(p->has_minimum, &p->minimum, p->has_maximum, &p->maximum, exact);
	return code;
}

/*
 * qzpay_rate
 *		qzpay_rate_usage for usage of which only the quantity is known.
 */
QzpayCode
qzpay_rate(const QzpayPricing *p, QzpayDecimal quantity, QzpayDecimal included, QzpayDecimal *exact)
{
	QzpayUsage	usage = {.quantity = quantity,.included = included,.n_events = -1};

	return qzpay_rate_usage(p, &usage, exact);
}
