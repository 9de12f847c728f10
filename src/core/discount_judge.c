/*
 * discount_judge.c
 *		One discount by itself: whether its conditions are met, which lines it reaches, what it would take off alone.
 */
#include "core/discount_judge.h"

#include <stddef.h>
#include <string.h>

/*
 * qzpay_text_compare
 *		Order by bytes, the same in every locale.
 */
int
qzpay_text_compare(QzpayText a, QzpayText b)
{
	int			shorter = a.length < b.length ? a.length : b.length;
	int			result = shorter > 0 ? memcmp(a.data, b.data, (size_t) shorter) : 0;

	return result != 0 ? result : (a.length > b.length) - (a.length < b.length);
}

/*
 * qzpay_text_equal
 *		Whether both are there and the same.
 */
bool
qzpay_text_equal(QzpayText a, QzpayText b)
{
	return a.data != NULL && b.data != NULL && qzpay_text_compare(a, b) == 0;
}

static bool
list_has(const QzpayTextList *list, QzpayText text)
{
	for (int i = 0; i < list->n; i++)
		if (qzpay_text_equal(list->items[i], text))
			return true;
	return false;
}

static bool
lists_meet(const QzpayTextList *a, const QzpayTextList *b)
{
	for (int i = 0; i < a->n; i++)
		if (list_has(b, a->items[i]))
			return true;
	return false;
}

/*
 * is_periodic
 *		Whether it is for plan and add-on lines of billing periods by its nature.
 */
static bool
is_periodic(const QzpayDiscount *discount)
{
	return discount->type == QZPAY_FREE_PERIOD || discount->type == QZPAY_REDUCED_PERIOD;
}

/*
 * refuse
 *		This reason; needed and is may be NULL.
 */
static bool
refuse(QzpayDiscountCase *c, QzpayReason reason, bool unknown, const QzpayDecimal *needed, const QzpayDecimal *is)
{
	QzpayJudgement *j = c->judgement;

	j->reason = reason;
	j->unknown = unknown;
	j->needed.given = needed != NULL;
	if (needed != NULL)
		j->needed.value = *needed;
	j->is.given = is != NULL;
	if (is != NULL)
		j->is.value = *is;
	return false;
}

/*
 * below_maximum
 *		Whether one more use is allowed; without a count it is not.
 */
static bool
below_maximum(QzpayDiscountCase *c, const QzpayBound *maximum, const QzpayBound *uses, QzpayReason reason)
{
	if (!maximum->given || (uses->given && qzpay_decimal_compare(uses->value, maximum->value) < 0))
		return true;
	return refuse(c, reason, !uses->given, &maximum->value, uses->given ? &uses->value : NULL);
}

/*
 * judge_currency
 *		A discount that has a currency is for carts in it; nothing is converted.
 */
static bool
judge_currency(QzpayDiscountCase *c)
{
	const QzpayDiscount *d = c->discount;

	if (d->currency.data != NULL && !qzpay_text_equal(d->currency, c->cart->currency))
		return refuse(c, QZPAY_REASON_CURRENCY_MISMATCH, c->cart->currency.data == NULL, NULL, NULL);
	return true;
}

/*
 * judge_offer
 *		Whether the discount can be had at all, at this instant, once more.
 */
static bool
judge_offer(QzpayDiscountCase *c)
{
	const QzpayDiscount *d = c->discount;
	const QzpayCart *cart = c->cart;

	if (!d->active)
		return refuse(c, QZPAY_REASON_INACTIVE, false, NULL, NULL);
	if (d->has_from && (!cart->has_at || cart->at < d->valid_from))
		return refuse(c, QZPAY_REASON_NOT_STARTED, !cart->has_at, NULL, NULL);
	if (d->has_until && (!cart->has_at || cart->at >= d->valid_until))
		return refuse(c, QZPAY_REASON_EXPIRED, !cart->has_at, NULL, NULL);
	return judge_currency(c) &&
		below_maximum(c, &d->max_uses, &c->facts->uses, QZPAY_REASON_MAX_USES) &&
		below_maximum(c, &d->max_uses_per_customer, &c->facts->customer_uses, QZPAY_REASON_MAX_USES_PER_CUSTOMER);
}

/*
 * same_interval
 *		Whether two intervals are as long: 12 months are a year, 7 days a week.
 */
static bool
same_interval(const QzpayInterval *a, const QzpayInterval *b)
{
	static const int factor[] = {1, 7, 1, 12};

	return (a->unit <= QZPAY_UNIT_WEEK) == (b->unit <= QZPAY_UNIT_WEEK) && a->count * factor[a->unit] == b->count * factor[b->unit];
}

/*
 * judge_interval
 *		The intervals named; a free or reduced period without any is for months, since three periods of a year would be three years.
 */
static bool
judge_interval(QzpayDiscountCase *c)
{
	static const QzpayInterval month = {QZPAY_UNIT_MONTH, 1};
	const QzpayDiscount *d = c->discount;
	const QzpayInterval *intervals = d->has_intervals ? d->intervals : &month;
	int			n = d->has_intervals ? d->nintervals : is_periodic(d);

	if (!d->has_intervals && n == 0)
		return true;
	for (int i = 0; c->cart->has_interval && i < n; i++)
		if (same_interval(&intervals[i], &c->cart->interval))
			return true;
	return refuse(c, QZPAY_REASON_INTERVAL, !c->cart->has_interval, NULL, NULL);
}

/*
 * named
 *		Whether a fact is in a list of a condition that was given.
 */
static bool
named(QzpayDiscountCase *c, const QzpayTextList *list, QzpayText fact, QzpayReason reason)
{
	return !list->given || list_has(list, fact) || refuse(c, reason, fact.data == NULL, NULL, NULL);
}

static bool
holds(QzpayDiscountCase *c, bool asked, QzpayFlag fact, QzpayReason reason)
{
	return !asked || fact == QZPAY_YES || refuse(c, reason, fact == QZPAY_UNKNOWN, NULL, NULL);
}

/*
 * judge_buyer
 *		What is asked of the subscription and the customer.
 */
static bool
judge_buyer(QzpayDiscountCase *c)
{
	const QzpayDiscount *d = c->discount;
	const QzpayCart *cart = c->cart;

	if (!named(c, &d->plans, cart->plan, QZPAY_REASON_PLAN) ||
		!judge_interval(c) ||
		!holds(c, d->upgrade, cart->upgrade, QZPAY_REASON_NOT_UPGRADE) ||
		!named(c, &d->from_plans, cart->from_plan, QZPAY_REASON_FROM_PLAN) ||
		!named(c, &d->to_plans, cart->to_plan, QZPAY_REASON_TO_PLAN) ||
		!holds(c, d->first_purchase, cart->first_purchase, QZPAY_REASON_NOT_FIRST_PURCHASE))
		return false;
	if (d->segments.given && !lists_meet(&d->segments, &cart->segments))
		return refuse(c, QZPAY_REASON_SEGMENT, !cart->segments.given, NULL, NULL);
	if (d->has_registered_after && (!cart->has_registered_at || cart->registered_at < d->registered_after))
		return refuse(c, QZPAY_REASON_REGISTERED_BEFORE, !cart->has_registered_at, NULL, NULL);
	return true;
}

/*
 * judge_schedule
 *		The weekly window, in the civil time of its zone.
 */
static bool
judge_schedule(QzpayDiscountCase *c)
{
	const QzpaySchedule *s = &c->discount->schedule;
	int			weekday = c->facts->weekday;
	int			hour = c->facts->hour;
	bool		open = true;

	if (!s->given)
		return true;
	if (!c->facts->has_local)
		return refuse(c, QZPAY_REASON_SCHEDULE, true, NULL, NULL);
	if (s->has_hours && s->from < s->to)
		open = hour >= s->from && hour < s->to;
	else if (s->has_hours)
	{
		open = hour >= s->from || hour < s->to;
		/* After midnight it is still the window of the day before. */
		if (hour < s->to)
			weekday = (weekday + 6) % 7;
	}
	if (!open || (s->days != 0 && (s->days & (1u << weekday)) == 0))
		return refuse(c, QZPAY_REASON_SCHEDULE, false, NULL, NULL);
	return true;
}

/*
 * find_reading
 *		What a meter stands at, or NULL.
 */
static const QzpayDecimal *
find_reading(const QzpayCart *cart, QzpayText meter)
{
	for (int i = 0; i < cart->nreadings; i++)
		if (qzpay_text_equal(cart->readings[i].meter, meter))
			return &cart->readings[i].value;
	return NULL;
}

/*
 * judge_bound
 *		At least, or (is_maximum) at most; is may be NULL for what is not known.
 */
static bool
judge_bound(QzpayDiscountCase *c, const QzpayBound *bound, const QzpayDecimal *is, bool is_maximum, QzpayReason reason)
{
	int			order;

	if (!bound->given)
		return true;
	if (is == NULL)
		return refuse(c, reason, true, &bound->value, NULL);
	order = qzpay_decimal_compare(*is, bound->value);
	return (is_maximum ? order <= 0 : order >= 0) || refuse(c, reason, false, &bound->value, is);
}

/*
 * judge_usage
 *		The reading of a meter of the application.
 */
static bool
judge_usage(QzpayDiscountCase *c)
{
	const QzpayDiscount *d = c->discount;
	const QzpayDecimal *is = find_reading(c->cart, d->usage_of);

	return judge_bound(c, &d->usage_min, is, false, QZPAY_REASON_USAGE_THRESHOLD) &&
		judge_bound(c, &d->usage_max, is, true, QZPAY_REASON_USAGE_THRESHOLD);
}

static bool
has_product(const QzpayCart *cart, QzpayText product)
{
	for (int i = 0; i < cart->nlines; i++)
		if (cart->lines[i].amount >= 0 && qzpay_text_equal(cart->lines[i].product, product))
			return true;
	return false;
}

static bool
judge_bundle(QzpayDiscountCase *c)
{
	const QzpayTextList *bundle = &c->discount->bundle;

	for (int i = 0; i < bundle->n; i++)
		if (!has_product(c->cart, bundle->items[i]))
			return refuse(c, QZPAY_REASON_INCOMPLETE_BUNDLE, false, NULL, NULL);
	return true;
}

static bool
has_periods_left(const QzpayDiscountCase *c)
{
	return !c->discount->has_periods || c->facts->periods_used < c->discount->periods;
}

/*
 * reaches_in_time
 *		Whether a line belongs to a period that the discount is for.
 *
 * What is left of a running period follows that period: a discount that was used for it goes on.  A free period does so only where the new
 * plan is named: a free month of a small plan is not a free month of a large one.
 */
static bool
reaches_in_time(const QzpayDiscountCase *c, const QzpayCartLine *line)
{
	const QzpayDiscount *d = c->discount;

	if (!line->proration || !d->has_periods)
		return has_periods_left(c);
	if (d->type == QZPAY_FREE_PERIOD && !list_has(&d->plans, c->cart->plan) && !list_has(&d->to_plans, c->cart->plan))
		return false;
	return c->facts->covered || (d->trigger == QZPAY_AUTOMATIC && !c->facts->redeemed && has_periods_left(c));
}

/*
 * meets_filters
 *		Whether a line is what the discount is for, by its kind, product and categories.
 */
static bool
meets_filters(const QzpayDiscountCase *c, const QzpayCartLine *line)
{
	const QzpayDiscount *d = c->discount;
	unsigned	kinds = d->kinds;

	if (is_periodic(d))
		kinds &= QZPAY_LINE_BIT(QZPAY_LINE_ANY) | QZPAY_LINE_BIT(QZPAY_LINE_PLAN) | QZPAY_LINE_BIT(QZPAY_LINE_ADDON);
	return line->amount >= 0 && (kinds & QZPAY_LINE_BIT(line->kind)) != 0 &&
		(!d->products.given || list_has(&d->products, line->product)) &&
		(!d->bundle.given || list_has(&d->bundle, line->product)) &&
		(!d->categories.given || lists_meet(&d->categories, &line->categories)) &&
		!list_has(&d->excluded_products, line->product) && !lists_meet(&d->excluded_categories, &line->categories) &&
		reaches_in_time(c, line);
}

/*
 * product_quantity
 *		How many of a line's product there are among the lines that meet the filters.
 */
static QzpayDecimal
product_quantity(const QzpayDiscountCase *c, const QzpayCartLine *line)
{
	QzpayDecimal quantity = qzpay_decimal_int(0);

	for (int i = 0; i < c->cart->nlines; i++)
	{
		const QzpayCartLine *other = &c->cart->lines[i];

		if (other == line || (qzpay_text_equal(other->product, line->product) && meets_filters(c, other)))
			(void) qzpay_decimal_add(quantity, other->quantity, &quantity);
	}
	return quantity;
}

/*
 * reaches
 *		Whether a discount is for a line: what its conditions count, and, but for free shipping, what it is taken off.
 */
static bool
reaches(const QzpayDiscountCase *c, const QzpayCartLine *line)
{
	const QzpayBound *needed = &c->discount->min_quantity_per_product;

	return meets_filters(c, line) && (!needed->given || qzpay_decimal_compare(product_quantity(c, line), needed->value) >= 0);
}

/*
 * qzpay_discount_takes_off
 *		Whether a discount is taken off a line.
 */
bool
qzpay_discount_takes_off(const QzpayDiscountCase *c, const QzpayCartLine *line)
{
	if (c->discount->type == QZPAY_FREE_SHIPPING)
		return line->kind == QZPAY_LINE_SHIPPING && line->amount >= 0;
	return reaches(c, line);
}

/* What the lines come to that a discount's conditions count. */
typedef struct Sums
{
	int			lines;
	int			filtered;		/* before the quantity per product */
	QzpayDecimal quantity;
	QzpayDecimal amount;
} Sums;

static void
add_up(const QzpayDiscountCase *c, Sums *sums)
{
	memset(sums, 0, sizeof(*sums));
	for (int i = 0; i < c->cart->nlines; i++)
	{
		const QzpayCartLine *line = &c->cart->lines[i];

		sums->filtered += meets_filters(c, line);
		if (!reaches(c, line))
			continue;
		sums->lines++;
		sums->amount.coef += line->amount;
		(void) qzpay_decimal_add(sums->quantity, line->quantity, &sums->quantity);
	}
}

/*
 * judge_lines
 *		What is asked of the lines.
 */
static bool
judge_lines(QzpayDiscountCase *c, const Sums *sums, const QzpayDecimal *quantity)
{
	const QzpayDiscount *d = c->discount;
	QzpayDecimal used = qzpay_decimal_int(c->facts->periods_used);
	QzpayDecimal periods = qzpay_decimal_int(d->periods);

	if (sums->filtered == 0 && !has_periods_left(c))
		return refuse(c, QZPAY_REASON_PERIODS_USED, false, &periods, &used);
	if (sums->filtered == 0 && d->type != QZPAY_TRIAL_EXTENSION && d->type != QZPAY_FREE_SHIPPING)
		return refuse(c, QZPAY_REASON_NOTHING_ELIGIBLE, false, NULL, NULL);
	if (sums->filtered > 0 && sums->lines == 0)
		return refuse(c, QZPAY_REASON_MIN_QUANTITY_PER_PRODUCT, false, &d->min_quantity_per_product.value, NULL);
	return c->facts->redeemed ||
		(judge_bound(c, &d->min_quantity, quantity, false, QZPAY_REASON_MIN_QUANTITY) &&
		 judge_bound(c, &d->min_amount, &sums->amount, false, QZPAY_REASON_MIN_AMOUNT) &&
		 judge_bound(c, &d->max_amount, &sums->amount, true, QZPAY_REASON_MAX_AMOUNT));
}

/*
 * find_rate
 *		What is taken off: a percentage or an amount; false below the lowest tier.
 */
static bool
find_rate(QzpayDiscountCase *c, const QzpayDecimal *quantity, const QzpayDecimal *amount)
{
	const QzpayDiscount *d = c->discount;
	QzpayJudgement *j = c->judgement;
	const QzpayDecimal *measure = d->type == QZPAY_VOLUME ? quantity : amount;

	j->rate = d->type == QZPAY_FREE_PERIOD || d->type == QZPAY_FREE_SHIPPING ? qzpay_decimal_int(100) : d->value;
	j->rate_is_amount = d->type == QZPAY_FIXED_AMOUNT;
	for (int i = 0; i < d->ntiers; i++)
	{
		const QzpayDiscountTier *t = &d->tiers[i];

		if (measure == NULL || qzpay_decimal_compare(*measure, t->from) < 0)
			return i > 0 || refuse(c, QZPAY_REASON_TIER_NOT_REACHED, measure == NULL, &t->from, measure);
		j->rate = t->value;
		j->rate_is_amount = t->is_amount;
	}
	return true;
}

/*
 * judge_amount
 *		What it takes off alone, rounded once.
 */
static QzpayCode
judge_amount(QzpayDiscountCase *c)
{
	QzpayJudgement *j = c->judgement;
	QzpayInt128 base = 0;
	QzpayInt128 amount;

	for (int i = 0; i < c->cart->nlines; i++)
		if (qzpay_discount_takes_off(c, &c->cart->lines[i]))
			base += c->cart->lines[i].amount;
	if (!qzpay_fits_i64(base))
		return QZPAY_E_OVERFLOW;
	j->base = (int64_t) base;
	/* Neither can fail: the discount was checked, so its value has few digits and its divisor is positive. */
	if (j->rate_is_amount)
		(void) qzpay_decimal_round(j->rate, QZPAY_ROUND_HALF_UP, &j->amount);
	else
	{
		(void) qzpay_divide_round(base * j->rate.coef, (QzpayInt128) 100 * qzpay_pow10[j->rate.scale], QZPAY_ROUND_HALF_UP, &amount);
		j->amount = (int64_t) amount;
	}
	if (j->amount > j->base)
		j->amount = j->base;
	if (j->base == 0)
		(void) refuse(c, QZPAY_REASON_NOTHING_ELIGIBLE, false, NULL, NULL);
	else if (j->amount == 0)
		(void) refuse(c, QZPAY_REASON_ROUNDS_TO_NOTHING, false, NULL, NULL);
	return QZPAY_OK;
}

/*
 * qzpay_discount_judge
 *		One discount by itself: a reason against it, or what it would take off.
 */
QzpayCode
qzpay_discount_judge(QzpayDiscountCase *c)
{
	const QzpayDiscount *d = c->discount;
	QzpayJudgement *j = c->judgement;
	const QzpayDecimal *quantity;
	Sums		sums;

	if (c->facts->redeemed)
	{
		if (!judge_currency(c) || (is_periodic(d) && !judge_interval(c)) ||
			(d->type == QZPAY_FREE_PERIOD && !named(c, &d->plans, c->cart->plan, QZPAY_REASON_PLAN)))
			return QZPAY_OK;
	}
	else if (!judge_offer(c) || !holds(c, d->type == QZPAY_TRIAL_EXTENSION, c->cart->trialing, QZPAY_REASON_NOT_TRIALING) ||
			 !judge_buyer(c) || !judge_schedule(c) || !judge_usage(c) || !judge_bundle(c))
		return QZPAY_OK;
	add_up(c, &sums);
	quantity = d->quantity_of.data != NULL ? find_reading(c->cart, d->quantity_of) : &sums.quantity;
	if (!judge_lines(c, &sums, quantity) || !find_rate(c, quantity, &sums.amount))
		return QZPAY_OK;
	if (d->type == QZPAY_TRIAL_EXTENSION)
	{
		j->applied = true;
		return QZPAY_OK;
	}
	return judge_amount(c);
}

