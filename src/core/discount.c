/*
 * discount.c
 *		Promo codes and automatic discounts: which of them take how much off which lines of a cart, and why the others do not.
 *
 * Three steps.  Each discount is judged by itself: does it meet its conditions, which lines does it reach, how much would it take off the
 * cart if it were alone.  Then the stacking rule chooses among those that would.  Those chosen are taken off in their order: always
 * computed on the original amounts, added, and never more than what is left of a line.
 *
 * Nothing depends on the order in which discounts or lines are given: discounts have an order of their own (trigger, priority, code), and
 * where the parts of a split could go to either of two lines, the lines' contents decide.
 */
#include "core/discount.h"

#include <stddef.h>
#include <string.h>

/* As prices and quantities in the catalog: a percentage of any amount, and the sum of as many lines as there can be, fit 38 digits. */
#define MAX_DECIMALS 12
#define MAX_VALUE INT64_C(1000000000000000)

/* One call. */
typedef struct Run
{
	const QzpayCart *cart;
	const QzpayDiscount *const *discounts;
	const QzpayDiscountFacts *facts;
	int			n;
	const QzpayStackingRule *rule;
	QzpayDiscountRoom *room;
	QzpayJudgement *judgements;
} Run;

/* One discount of it. */
typedef struct Case
{
	const QzpayCart *cart;
	const QzpayDiscount *discount;
	const QzpayDiscountFacts *facts;
	QzpayJudgement *judgement;
} Case;

static const char *const type_names[] = {
	"percentage", "fixed_amount", "free_period", "reduced_period", "trial_extension", "free_shipping", "volume", "amount_threshold"
};

static const char *const kind_names[] = {
	"", "plan", "addon", "service", "usage", "setup", "commitment", "shipping", "balance"
};

static const char *const stacking_names[] = {"best_discount", "all_stackable", "automatic_first"};

static const char *const reason_names[] = {
	"", "inactive", "not_started", "expired", "currency_mismatch", "max_uses", "max_uses_per_customer", "periods_used", "not_trialing",
	"plan", "interval", "not_upgrade", "from_plan", "to_plan", "not_first_purchase", "segment", "registered_before", "schedule",
	"usage_threshold", "incomplete_bundle", "nothing_eligible", "min_quantity", "min_quantity_per_product", "min_amount", "max_amount",
	"tier_not_reached", "rounds_to_nothing", "not_best", "not_stackable", "max_stacked", "nothing_left"
};

/*
 * find_name
 *		Place of a name in a list, or -1.
 */
static int
find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/*
 * qzpay_discount_type_parse
 *		The type of a stored name, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_discount_type_parse(const char *name, QzpayDiscountType *type)
{
	int			found = find_name(type_names, QZPAY_AMOUNT_THRESHOLD + 1, name);

	if (found < 0)
		return QZPAY_E_INVALID;
	*type = (QzpayDiscountType) found;
	return QZPAY_OK;
}

/*
 * qzpay_discount_type_name
 *		The stored name of a type.
 */
const char *
qzpay_discount_type_name(QzpayDiscountType type)
{
	return type_names[type];
}

/*
 * qzpay_stacking_parse
 *		best_discount, all_stackable or automatic_first, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_stacking_parse(const char *name, QzpayStacking *mode)
{
	int			found = find_name(stacking_names, QZPAY_AUTOMATIC_FIRST + 1, name);

	if (found < 0)
		return QZPAY_E_INVALID;
	*mode = (QzpayStacking) found;
	return QZPAY_OK;
}

/*
 * qzpay_line_kind_parse
 *		The kind of a stored name, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_line_kind_parse(const char *name, QzpayLineKind *kind)
{
	int			found = find_name(kind_names, QZPAY_LINE_BALANCE + 1, name);

	if (found <= 0)
		return QZPAY_E_INVALID;
	*kind = (QzpayLineKind) found;
	return QZPAY_OK;
}

/*
 * qzpay_reason_name
 *		The word for a reason; empty for none.
 */
const char *
qzpay_reason_name(QzpayReason reason)
{
	return reason_names[reason];
}

/*
 * compare_text
 *		Order by bytes, the same in every locale.
 */
static int
compare_text(QzpayText a, QzpayText b)
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
	return a.data != NULL && b.data != NULL && compare_text(a, b) == 0;
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

static bool
is_percentage(QzpayDecimal value)
{
	return value.coef >= 0 && value.scale <= MAX_DECIMALS && qzpay_decimal_compare(value, qzpay_decimal_int(100)) <= 0;
}

static bool
is_number(QzpayDecimal value)
{
	return value.coef >= 0 && value.scale <= MAX_DECIMALS && qzpay_decimal_compare(value, qzpay_decimal_int(MAX_VALUE)) < 0;
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
 * check_tiers
 *		Tiers rise; what they take off is a percentage, or an amount in the discount's currency.
 */
static const char *
check_tiers(const QzpayDiscount *d)
{
	if (d->ntiers < 0 || d->ntiers > QZPAY_MAX_DISCOUNT_TIERS)
		return "there are more than 50 tiers";
	if (d->ntiers > 0 && d->type != QZPAY_VOLUME && d->type != QZPAY_AMOUNT_THRESHOLD)
		return "only volume and amount_threshold have tiers";
	for (int i = 0; i < d->ntiers; i++)
	{
		const QzpayDiscountTier *t = &d->tiers[i];

		if (!is_number(t->from) || (i > 0 && qzpay_decimal_compare(t->from, d->tiers[i - 1].from) <= 0))
			return "tiers must begin at rising numbers";
		if (t->is_amount ? !is_number(t->value) : !is_percentage(t->value))
			return t->is_amount ? "the amount of a tier is not an amount" : "the percentage of a tier is not from 0 to 100";
		if (t->is_amount && d->currency.data == NULL)
			return "an amount needs its currency";
	}
	return NULL;
}

/*
 * qzpay_discount_check
 *		What is wrong with a discount as such, or NULL; only checked ones may be applied.
 */
const char *
qzpay_discount_check(const QzpayDiscount *d)
{
	const QzpaySchedule *s = &d->schedule;

	if (d->code.data == NULL || d->code.length == 0)
		return "its code is missing";
	switch (d->type)
	{
		case QZPAY_FIXED_AMOUNT:
			if (!is_number(d->value))
				return "its value is not an amount";
			if (d->currency.data == NULL)
				return "an amount needs its currency";
			break;
		case QZPAY_FREE_PERIOD:
			if (!d->has_periods)
				return "a free_period has a number of periods";
			break;
		case QZPAY_TRIAL_EXTENSION:
			if (!is_number(d->value) || qzpay_decimal_normalise(d->value).scale > 0 || d->value.coef == 0)
				return "its value is not a number of days";
			break;
		case QZPAY_FREE_SHIPPING:
			break;
		case QZPAY_PERCENTAGE:
		case QZPAY_REDUCED_PERIOD:
		case QZPAY_VOLUME:
		case QZPAY_AMOUNT_THRESHOLD:
			if (!is_percentage(d->value))
				return "its value is not a percentage from 0 to 100";
			break;
	}
	if (d->has_periods && d->periods < 1)
		return "it lasts at least one period";
	if ((d->kinds & (QZPAY_LINE_BIT(QZPAY_LINE_SHIPPING) | QZPAY_LINE_BIT(QZPAY_LINE_BALANCE))) != 0)
		return "only free_shipping is for shipping lines";
	if (s->given && s->has_hours && (s->from < 0 || s->from > 23 || s->to < 1 || s->to > 24 || s->from == s->to))
		return "the hours of its schedule are from 0 to 23 until another from 1 to 24";
	return check_tiers(d);
}

/*
 * refuse
 *		This reason; needed and is may be NULL.
 */
static bool
refuse(Case *c, QzpayReason reason, bool unknown, const QzpayDecimal *needed, const QzpayDecimal *is)
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
below_maximum(Case *c, const QzpayBound *maximum, const QzpayBound *uses, QzpayReason reason)
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
judge_currency(Case *c)
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
judge_offer(Case *c)
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
judge_interval(Case *c)
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
named(Case *c, const QzpayTextList *list, QzpayText fact, QzpayReason reason)
{
	return !list->given || list_has(list, fact) || refuse(c, reason, fact.data == NULL, NULL, NULL);
}

static bool
holds(Case *c, bool asked, QzpayFlag fact, QzpayReason reason)
{
	return !asked || fact == QZPAY_YES || refuse(c, reason, fact == QZPAY_UNKNOWN, NULL, NULL);
}

/*
 * judge_buyer
 *		What is asked of the subscription and the customer.
 */
static bool
judge_buyer(Case *c)
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
judge_schedule(Case *c)
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
judge_bound(Case *c, const QzpayBound *bound, const QzpayDecimal *is, bool is_maximum, QzpayReason reason)
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
judge_usage(Case *c)
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
judge_bundle(Case *c)
{
	const QzpayTextList *bundle = &c->discount->bundle;

	for (int i = 0; i < bundle->n; i++)
		if (!has_product(c->cart, bundle->items[i]))
			return refuse(c, QZPAY_REASON_INCOMPLETE_BUNDLE, false, NULL, NULL);
	return true;
}

static bool
has_periods_left(const Case *c)
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
reaches_in_time(const Case *c, const QzpayCartLine *line)
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
meets_filters(const Case *c, const QzpayCartLine *line)
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
product_quantity(const Case *c, const QzpayCartLine *line)
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
reaches(const Case *c, const QzpayCartLine *line)
{
	const QzpayBound *needed = &c->discount->min_quantity_per_product;

	return meets_filters(c, line) && (!needed->given || qzpay_decimal_compare(product_quantity(c, line), needed->value) >= 0);
}

/*
 * takes_off
 *		Whether a discount is taken off a line.
 */
static bool
takes_off(const Case *c, const QzpayCartLine *line)
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
add_up(const Case *c, Sums *sums)
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
judge_lines(Case *c, const Sums *sums, const QzpayDecimal *quantity)
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
find_rate(Case *c, const QzpayDecimal *quantity, const QzpayDecimal *amount)
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
judge_amount(Case *c)
{
	QzpayJudgement *j = c->judgement;
	QzpayInt128 base = 0;
	QzpayInt128 amount;

	for (int i = 0; i < c->cart->nlines; i++)
		if (takes_off(c, &c->cart->lines[i]))
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
 * judge
 *		One discount by itself: a reason against it, or what it would take off.
 */
static QzpayCode
judge(Case *c)
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

static Case
case_of(const Run *run, int i)
{
	Case		result = {run->cart, run->discounts[i], &run->facts[i], &run->judgements[i]};

	return result;
}

/*
 * is_candidate
 *		Whether it would take something off, and nothing has been decided against it.
 */
static bool
is_candidate(const Run *run, int i)
{
	return !run->judgements[i].applied && run->judgements[i].reason == QZPAY_REASON_NONE;
}

/*
 * compare_discounts
 *		Their order: promo codes before automatic ones, or after them, then priority, then code.
 */
static int
compare_discounts(const QzpayDiscount *a, const QzpayDiscount *b, QzpayStacking mode)
{
	int			first = mode == QZPAY_AUTOMATIC_FIRST ? QZPAY_AUTOMATIC : QZPAY_PROMO_CODE;

	if (a->trigger != b->trigger)
		return (int) a->trigger == first ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return compare_text(a->code, b->code);
}

/*
 * compare_lines
 *		Any order that goes by what the lines are and not by where they stand.
 */
static int
compare_lines(const QzpayCartLine *a, const QzpayCartLine *b)
{
	int			order = (a->kind > b->kind) - (a->kind < b->kind);

	if (order == 0)
		order = compare_text(a->product, b->product);
	if (order == 0)
		order = qzpay_decimal_compare(a->quantity, b->quantity);
	if (order == 0)
		order = (a->amount < b->amount) - (a->amount > b->amount);
	return order;
}

/*
 * sort_both
 *		Fill in room->order and room->sorted; QZPAY_E_INVALID for a discount that is there twice, QZPAY_E_RANGE for an impossible quantity.
 */
static QzpayCode
sort_both(Run *run)
{
	QzpayDiscountRoom *room = run->room;

	for (int i = 0; i < run->n; i++)
	{
		int			at = i;

		for (; at > 0; at--)
		{
			int			order = compare_discounts(run->discounts[i], run->discounts[room->order[at - 1]], run->rule->mode);

			if (order == 0)
				return QZPAY_E_INVALID;
			if (order > 0)
				break;
			room->order[at] = room->order[at - 1];
		}
		room->order[at] = i;
	}
	for (int i = 0; i < run->cart->nlines; i++)
	{
		const QzpayCartLine *line = &run->cart->lines[i];
		int			at = i;

		if (!is_number(line->quantity))
			return QZPAY_E_RANGE;
		for (; at > 0 && compare_lines(line, room->sorted[at - 1]) < 0; at--)
			room->sorted[at] = room->sorted[at - 1];
		room->sorted[at] = line;
		room->left[i] = line->amount > 0 ? line->amount : 0;
	}
	return QZPAY_OK;
}

/*
 * take
 *		Take a candidate off what is left, and return how much that is.
 *
 * A percentage has its share of each line and no more: where a line is used up, the rest of that share is lost.  An amount is taken
 * from whatever is left.
 */
static int64_t
take(Run *run, int i)
{
	Case		c = case_of(run, i);
	QzpayJudgement *j = c.judgement;
	QzpayDiscountRoom *room = run->room;
	QzpayInt128 available = 0;
	int			n = run->cart->nlines;

	for (int k = 0; k < n; k++)
	{
		const QzpayCartLine *line = room->sorted[k];
		bool		taken = takes_off(&c, line);
		int64_t		left = taken ? room->left[line - run->cart->lines] : 0;

		available += left;
		room->weights[k] = qzpay_decimal_int(j->rate_is_amount || !taken ? left : line->amount);
	}
	if (j->rate_is_amount && j->amount > available)
		j->amount = (int64_t) available;
	/* The weights fit, and are not all zero while the amount is not. */
	(void) qzpay_split(j->amount, room->weights, n, room->shares);
	j->amount = 0;
	for (int k = 0; k < n; k++)
	{
		int			at = (int) (room->sorted[k] - run->cart->lines);
		int64_t		part = room->shares[k];

		if (part > room->left[at])
			part = room->left[at];
		room->left[at] -= part;
		j->parts[at] = part;
		j->amount += part;
	}
	return j->amount;
}

static void
put_back(Run *run, int i, QzpayReason reason)
{
	QzpayJudgement *j = &run->judgements[i];

	for (int k = 0; k < run->cart->nlines; k++)
	{
		run->room->left[k] += j->parts[k];
		j->parts[k] = 0;
	}
	j->amount = 0;
	j->applied = false;
	j->reason = reason;
}

/*
 * decline
 *		This reason for every candidate of the trigger (or of any, -1) that is still undecided.
 */
static void
decline(Run *run, int trigger, QzpayReason reason)
{
	for (int i = 0; i < run->n; i++)
		if (is_candidate(run, i) && (trigger < 0 || (int) run->discounts[i]->trigger == trigger))
			put_back(run, i, reason);
}

/*
 * best_candidate
 *		The one that takes most off alone, by the order among equals; -1 for none.
 */
static int
best_candidate(const Run *run, int trigger, bool unstackable_only)
{
	int			best = -1;

	for (int k = 0; k < run->n; k++)
	{
		int			i = run->room->order[k];

		if (is_candidate(run, i) && (trigger < 0 || (int) run->discounts[i]->trigger == trigger) &&
			!(unstackable_only && run->discounts[i]->stackable) &&
			(best < 0 || run->judgements[i].amount > run->judgements[best].amount))
			best = i;
	}
	return best;
}

/*
 * stack
 *		Take the stackable candidates of a trigger (or of any) in their order, as many as the rule allows; how much they take together.
 */
static QzpayInt128
stack(Run *run, int trigger, int *stacked)
{
	QzpayInt128 total = 0;

	for (int k = 0; k < run->n; k++)
	{
		int			i = run->room->order[k];

		if (!is_candidate(run, i) || !run->discounts[i]->stackable || (trigger >= 0 && (int) run->discounts[i]->trigger != trigger))
			continue;
		if (run->rule->max_stacked > 0 && *stacked >= run->rule->max_stacked)
			put_back(run, i, QZPAY_REASON_MAX_STACKED);
		else if (take(run, i) == 0)
			put_back(run, i, QZPAY_REASON_NOTHING_LEFT);
		else
		{
			run->judgements[i].applied = true;
			total += run->judgements[i].amount;
			(*stacked)++;
		}
	}
	return total;
}

/*
 * stack_or_alone
 *		The stackable ones together, or the one that stands alone if it takes off more; whether it was the one.
 */
static bool
stack_or_alone(Run *run, int trigger, int *stacked)
{
	int			alone = best_candidate(run, trigger, true);
	QzpayInt128 total;

	if (alone >= 0)
	{
		int64_t		amount = run->judgements[alone].amount;

		total = stack(run, trigger, stacked);
		if (amount <= total)
		{
			decline(run, trigger, QZPAY_REASON_NOT_STACKABLE);
			return false;
		}
		for (int i = 0; i < run->n; i++)
			if (run->judgements[i].applied && run->discounts[i]->type != QZPAY_TRIAL_EXTENSION)
				put_back(run, i, QZPAY_REASON_NOT_BEST);
		(void) take(run, alone);
		run->judgements[alone].applied = true;
		decline(run, trigger, QZPAY_REASON_NOT_BEST);
		return true;
	}
	(void) stack(run, trigger, stacked);
	return false;
}

/*
 * choose
 *		The stacking rule over the candidates.
 */
static void
choose(Run *run)
{
	int			stacked = 0;
	int			best;

	switch (run->rule->mode)
	{
		case QZPAY_BEST_DISCOUNT:
			best = best_candidate(run, -1, false);
			if (best >= 0)
			{
				(void) take(run, best);
				run->judgements[best].applied = true;
			}
			decline(run, -1, QZPAY_REASON_NOT_BEST);
			break;
		case QZPAY_ALL_STACKABLE:
			(void) stack_or_alone(run, -1, &stacked);
			break;
		case QZPAY_AUTOMATIC_FIRST:
			if (best_candidate(run, QZPAY_AUTOMATIC, false) < 0)
				(void) stack_or_alone(run, QZPAY_PROMO_CODE, &stacked);
			else if (!stack_or_alone(run, QZPAY_AUTOMATIC, &stacked))
				(void) stack(run, QZPAY_PROMO_CODE, &stacked);
			decline(run, QZPAY_PROMO_CODE, QZPAY_REASON_NOT_STACKABLE);
			break;
	}
}

/*
 * qzpay_discounts_apply
 *		Judge every discount, choose, and take off.
 *
 * discounts and facts go together by place, and so do judgements, whose parts point to room for a number per line of the cart; the rest of
 * them is filled in.  room->order is the order of the discounts afterwards.
 *
 * QZPAY_E_INVALID when a discount (code and trigger) is there twice, QZPAY_E_RANGE for a quantity that is negative, 10^15 or more, or has
 * more than 12 decimals, QZPAY_E_OVERFLOW when the amounts add up to too much.
 */
QzpayCode
qzpay_discounts_apply(const QzpayCart *cart, const QzpayDiscount *const *discounts, const QzpayDiscountFacts *facts, int n,
					  const QzpayStackingRule *rule, QzpayDiscountRoom *room, QzpayJudgement *judgements)
{
	Run			run = {cart, discounts, facts, n, rule, room, judgements};
	QzpayCode	code = sort_both(&run);

	for (int i = 0; code == QZPAY_OK && i < n; i++)
	{
		Case		c = case_of(&run, i);
		int64_t    *parts = judgements[i].parts;

		memset(&judgements[i], 0, sizeof(judgements[i]));
		judgements[i].parts = parts;
		for (int k = 0; k < cart->nlines; k++)
			parts[k] = 0;
		code = judge(&c);
		if (!is_candidate(&run, i))
			judgements[i].amount = 0;
	}
	if (code == QZPAY_OK)
		choose(&run);
	return code;
}
