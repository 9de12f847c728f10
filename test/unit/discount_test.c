/*
 * discount_test.c
 *		Discounts: every condition at its boundary and without its fact, stacking, and what always holds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/discount.h"
#include "tap.h"

#define MAX_LINES 8
#define MAX_N 8

#define T(text) ((QzpayText) {text, sizeof(text) - 1})
#define LIST(...) ((QzpayTextList) {true, sizeof((QzpayText[]) {__VA_ARGS__}) / sizeof(QzpayText), (QzpayText[]) {__VA_ARGS__}})
#define NUMBER(n) ((QzpayBound) {true, {(n), 0}})
#define SUBSCRIPTION (QZPAY_LINE_BIT(QZPAY_LINE_PLAN) | QZPAY_LINE_BIT(QZPAY_LINE_ADDON))

static QzpayCartLine lines[MAX_LINES];
static QzpayCart cart;
static QzpayDiscount discounts[MAX_N];
static QzpayDiscountFacts facts[MAX_N];
static QzpayStackingRule rule;
static int	n;

static QzpayJudgement judgements[MAX_N];
static int64_t parts[MAX_N][MAX_LINES];
static int	order[MAX_N];
static const QzpayCartLine *sorted[MAX_LINES];
static int64_t left[MAX_LINES];
static int64_t shares[MAX_LINES];
static QzpayDecimal weights[MAX_LINES];
static QzpayDiscountRoom room = {order, sorted, left, shares, weights};

static QzpayDecimal
dec(const char *text)
{
	QzpayDecimal value = {0, 0};

	if (qzpay_decimal_parse(text, strlen(text), &value) != QZPAY_OK)
		tap_ok(false, "%s", text);
	return value;
}

static QzpayCartLine *
add_line(QzpayLineKind kind, QzpayText product, int64_t amount)
{
	QzpayCartLine *line = &lines[cart.nlines++];

	memset(line, 0, sizeof(*line));
	line->kind = kind;
	line->product = product;
	line->amount = amount;
	line->quantity = qzpay_decimal_int(1);
	return line;
}

static QzpayDiscount *
add(QzpayDiscountTrigger trigger, const char *code, QzpayDiscountType type, const char *value)
{
	QzpayDiscount *d = &discounts[n];

	memset(d, 0, sizeof(*d));
	memset(&facts[n], 0, sizeof(facts[n]));
	n++;
	d->code.data = code;
	d->code.length = (int) strlen(code);
	d->trigger = trigger;
	d->type = type;
	d->value = dec(value);
	d->active = true;
	d->stackable = true;
	d->kinds = SUBSCRIPTION | QZPAY_LINE_BIT(QZPAY_LINE_ANY);
	return d;
}

/* Nothing but a plan of 99.00 a month. */
static void
begin(void)
{
	memset(&cart, 0, sizeof(cart));
	cart.lines = lines;
	cart.currency = T("USD");
	cart.plan = T("pro");
	cart.has_interval = true;
	cart.interval.unit = QZPAY_UNIT_MONTH;
	cart.interval.count = 1;
	n = 0;
	rule.mode = QZPAY_ALL_STACKABLE;
	rule.max_stacked = 0;
	add_line(QZPAY_LINE_PLAN, T("pro"), 9900);
}

static QzpayCode
apply(void)
{
	const QzpayDiscount *pointers[MAX_N];

	for (int i = 0; i < n; i++)
	{
		pointers[i] = &discounts[i];
		judgements[i].parts = parts[i];
	}
	return qzpay_discounts_apply(&cart, pointers, facts, n, &rule, &room, judgements);
}

/* Applies, and sees what the first discount takes off or why it does not. */
static void
expect(int64_t amount, const char *reason, const char *name)
{
	tap_int(apply(), QZPAY_OK, "%s: judged", name);
	tap_text(qzpay_reason_name(judgements[0].reason), reason, "%s: reason", name);
	tap_int(judgements[0].amount, amount, "%s: amount", name);
}

static void
expect_unknown(const char *reason, const char *name)
{
	expect(0, reason, name);
	tap_ok(judgements[0].unknown, "%s: the fact is not known", name);
}

static int64_t
total(void)
{
	int64_t		sum = 0;

	for (int i = 0; i < n; i++)
		sum += judgements[i].amount;
	return sum;
}

static void
test_names(void)
{
	QzpayDiscountType type = QZPAY_VOLUME;
	QzpayStacking mode = QZPAY_BEST_DISCOUNT;
	QzpayLineKind kind = QZPAY_LINE_ANY;

	tap_note("names");
	for (int i = 0; i <= QZPAY_AMOUNT_THRESHOLD; i++)
		tap_ok(qzpay_discount_type_parse(qzpay_discount_type_name((QzpayDiscountType) i), &type) == QZPAY_OK && (int) type == i, "type %d by its name", i);
	tap_int(qzpay_discount_type_parse("free", &type), QZPAY_E_INVALID, "no such type");
	tap_int(qzpay_stacking_parse("automatic_first", &mode), QZPAY_OK, "a stacking rule");
	tap_int(mode, QZPAY_AUTOMATIC_FIRST, "by its name");
	tap_int(qzpay_stacking_parse("all", &mode), QZPAY_E_INVALID, "no such rule");
	tap_int(qzpay_line_kind_parse("shipping", &kind), QZPAY_OK, "a kind of line");
	tap_int(kind, QZPAY_LINE_SHIPPING, "by its name");
	tap_int(qzpay_line_kind_parse("", &kind), QZPAY_E_INVALID, "a kind has a name");
	tap_int(qzpay_line_kind_parse("item", &kind), QZPAY_E_INVALID, "no such kind");
	tap_text(qzpay_reason_name(QZPAY_REASON_NOTHING_LEFT), "nothing_left", "the last reason has a name");
	tap_ok(!qzpay_text_equal((QzpayText) {NULL, 0}, (QzpayText) {NULL, 0}), "what is not there equals nothing");
	tap_ok(qzpay_text_equal(T("ab"), T("ab")) && !qzpay_text_equal(T("ab"), T("abc")), "texts are compared whole");
}

static void
faulty(QzpayDiscount d, const char *reason)
{
	tap_text(qzpay_discount_check(&d), reason, "refused: %s", reason);
}

static void
test_check(void)
{
	static const QzpayDiscountTier good[] = {{{3, 0}, false, {10, 0}}, {{10, 0}, true, {500, 0}}};
	static const QzpayDiscountTier falling[] = {{{3, 0}, false, {10, 0}}, {{3, 0}, false, {20, 0}}};
	static const QzpayDiscountTier high[] = {{{3, 0}, false, {101, 0}}};
	static const QzpayDiscountTier negative[] = {{{3, 0}, true, {-1, 0}}};
	QzpayDiscount d;

	tap_note("what a discount must be");
	begin();
	d = *add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "100");
	tap_text(qzpay_discount_check(&d), NULL, "all of it");
	d.code.length = 0;
	faulty(d, "its code is missing");
	d = *add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "100.01");
	faulty(d, "its value is not a percentage from 0 to 100");
	d.value = dec("0.1234567890123");
	faulty(d, "its value is not a percentage from 0 to 100");
	d = *add(QZPAY_PROMO_CODE, "X", QZPAY_FIXED_AMOUNT, "100");
	faulty(d, "an amount needs its currency");
	d.currency = T("USD");
	tap_text(qzpay_discount_check(&d), NULL, "an amount with its currency");
	d.value = dec("1000000000000000");
	faulty(d, "its value is not an amount");
	d = *add(QZPAY_PROMO_CODE, "X", QZPAY_FREE_PERIOD, "1");
	faulty(d, "a free_period has a number of periods");
	d.has_periods = true;
	faulty(d, "it lasts at least one period");
	d = *add(QZPAY_PROMO_CODE, "X", QZPAY_TRIAL_EXTENSION, "0");
	faulty(d, "its value is not a number of days");
	d.value = dec("1.5");
	faulty(d, "its value is not a number of days");
	d.value = dec("7.0");
	tap_text(qzpay_discount_check(&d), NULL, "seven days");
	d = *add(QZPAY_PROMO_CODE, "X", QZPAY_FREE_SHIPPING, "0");
	tap_text(qzpay_discount_check(&d), NULL, "free shipping has no value");
	d.kinds |= QZPAY_LINE_BIT(QZPAY_LINE_SHIPPING);
	faulty(d, "only free_shipping is for shipping lines");
	n = 0;
	d = *add(QZPAY_AUTOMATIC, "X", QZPAY_VOLUME, "0");
	d.schedule.given = d.schedule.has_hours = true;
	d.schedule.from = d.schedule.to = 14;
	faulty(d, "the hours of its schedule are from 0 to 23 until another from 1 to 24");
	d.schedule.to = 16;
	d.ntiers = 2;
	d.tiers = good;
	faulty(d, "an amount needs its currency");
	d.currency = T("USD");
	tap_text(qzpay_discount_check(&d), NULL, "rising tiers");
	d.tiers = falling;
	faulty(d, "tiers must begin at rising numbers");
	d.ntiers = 1;
	d.tiers = high;
	faulty(d, "the percentage of a tier is not from 0 to 100");
	d.tiers = negative;
	faulty(d, "the amount of a tier is not an amount");
	d.type = QZPAY_PERCENTAGE;
	faulty(d, "only volume and amount_threshold have tiers");
	d.ntiers = 51;
	faulty(d, "there are more than 50 tiers");
}

static void
test_amounts(void)
{
	QzpayDiscount *d;

	tap_note("what is taken off");
	begin();
	d = add(QZPAY_PROMO_CODE, "WELCOME30", QZPAY_PERCENTAGE, "30");
	expect(2970, "", "30 percent of 99.00");
	tap_int(judgements[0].base, 9900, "of its base");
	d->value = dec("33.335");
	expect(3300, "", "33.335 percent are 3300.165");
	lines[0].amount = 50;
	d->value = dec("1");
	expect(1, "", "half a cent is a cent");
	lines[0].amount = 49;
	expect(0, "rounds_to_nothing", "less than half a cent");
	lines[0].amount = 0;
	expect(0, "nothing_eligible", "a free plan");

	begin();
	d = add(QZPAY_PROMO_CODE, "PRO25OFF", QZPAY_FIXED_AMOUNT, "2500");
	d->currency = T("USD");
	expect(2500, "", "25.00 off");
	lines[0].amount = 2000;
	expect(2000, "", "never below zero");
	cart.currency = T("EUR");
	expect(0, "currency_mismatch", "another currency");
	cart.currency.data = NULL;
	expect_unknown("currency_mismatch", "no currency");

	begin();
	(void) add(QZPAY_PROMO_CODE, "FREE", QZPAY_FREE_SHIPPING, "0");
	expect(0, "nothing_eligible", "no shipping line");
	add_line(QZPAY_LINE_SHIPPING, (QzpayText) {NULL, 0}, 500);
	add_line(QZPAY_LINE_SHIPPING, (QzpayText) {NULL, 0}, -100);
	expect(500, "", "shipping is free");
	tap_int(parts[0][0], 0, "and nothing else");
	(void) add(QZPAY_PROMO_CODE, "HALF", QZPAY_PERCENTAGE, "50");
	tap_int(apply(), QZPAY_OK, "with a percentage");
	tap_int(judgements[1].amount, 4950, "shipping is in no percentage base");

	begin();
	(void) add(QZPAY_PROMO_CODE, "T", QZPAY_TRIAL_EXTENSION, "7");
	expect_unknown("not_trialing", "is it a trial?");
	cart.trialing = QZPAY_NO;
	expect(0, "not_trialing", "no trial");
	cart.trialing = QZPAY_YES;
	expect(0, "", "a longer trial");
	tap_ok(judgements[0].applied, "is applied");
	cart.nlines = 0;
	expect(0, "", "without any line too");

	begin();
	lines[0].amount = INT64_MAX;
	add_line(QZPAY_LINE_ADDON, T("a"), 1);
	(void) add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "100");
	tap_int(apply(), QZPAY_E_OVERFLOW, "too much");
	cart.nlines = 1;
	expect(INT64_MAX, "", "all there is");
	lines[0].quantity = dec("-1");
	tap_int(apply(), QZPAY_E_RANGE, "a negative quantity");
}

static void
test_tiers(void)
{
	static const QzpayDiscountTier tiers[] = {{{3, 0}, false, {10, 0}}, {{10, 0}, false, {20, 0}}, {{100, 0}, true, {700, 0}}};
	static const QzpayReading bots[] = {{{"bots", 4}, {10, 0}}};
	QzpayDiscount *d;

	tap_note("tiers");
	begin();
	d = add(QZPAY_AUTOMATIC, "V", QZPAY_VOLUME, "0");
	d->currency = T("USD");
	d->ntiers = 3;
	d->tiers = tiers;
	lines[0].quantity = dec("2.999");
	expect(0, "tier_not_reached", "below the first");
	tap_int((int64_t) judgements[0].needed.value.coef, 3, "three are needed");
	lines[0].quantity = dec("3");
	expect(990, "", "at the first");
	lines[0].quantity = dec("9.99");
	expect(990, "", "below the second");
	lines[0].quantity = dec("10");
	expect(1980, "", "at the second, all of it");
	lines[0].quantity = dec("100");
	expect(700, "", "at the last, an amount");
	d->quantity_of = T("bots");
	expect_unknown("tier_not_reached", "no reading");
	cart.nreadings = 1;
	cart.readings = bots;
	expect(1980, "", "by a reading");
	d->type = QZPAY_AMOUNT_THRESHOLD;
	lines[0].amount = 99;
	expect(20, "", "by the amount: 19.8");
	lines[0].amount = 100;
	expect(100, "", "at the last, as much as there is");
	d->ntiers = 0;
	d->value = dec("5");
	lines[0].amount = 9900;
	expect(495, "", "without tiers it is a percentage");
}

static void
test_offer(void)
{
	QzpayDiscount *d;

	tap_note("dates and uses");
	begin();
	d = add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "10");
	d->active = false;
	expect(0, "inactive", "inactive");
	d->active = true;
	d->has_from = d->has_until = true;
	d->valid_from = 100;
	d->valid_until = 200;
	expect_unknown("not_started", "no instant");
	cart.has_at = true;
	cart.at = 99;
	expect(0, "not_started", "before it begins");
	cart.at = 100;
	expect(990, "", "at its beginning");
	cart.at = 199;
	expect(990, "", "before its end");
	cart.at = 200;
	expect(0, "expired", "at its end");
	d->has_from = cart.has_at = false;
	expect_unknown("expired", "no instant for the end");

	begin();
	d = add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "10");
	d->max_uses = NUMBER(10);
	expect_unknown("max_uses", "how often?");
	facts[0].uses = NUMBER(9);
	expect(990, "", "the last use");
	facts[0].uses = NUMBER(10);
	expect(0, "max_uses", "no use left");
	tap_int((int64_t) judgements[0].is.value.coef, 10, "ten of them");
	facts[0].uses = NUMBER(0);
	d->max_uses_per_customer = NUMBER(1);
	expect_unknown("max_uses_per_customer", "how often by the customer?");
	facts[0].customer_uses = NUMBER(0);
	expect(990, "", "the customer's first");
	facts[0].customer_uses = NUMBER(1);
	expect(0, "max_uses_per_customer", "the customer's second");
	facts[0].redeemed = true;
	d->active = false;
	expect(990, "", "what was redeemed is not judged again");
}

static void
test_buyer(void)
{
	static const QzpayInterval year[] = {{QZPAY_UNIT_WEEK, 2}, {QZPAY_UNIT_MONTH, 12}};
	QzpayDiscount *d;

	tap_note("subscription and customer");
	begin();
	d = add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "10");
	d->plans = LIST(T("starter"), T("pro"));
	expect(990, "", "a plan that is named");
	cart.plan = T("free");
	expect(0, "plan", "one that is not");
	cart.plan.data = NULL;
	expect_unknown("plan", "no plan");
	d->plans.given = false;
	d->has_intervals = true;
	d->intervals = year;
	d->nintervals = 2;
	expect(0, "interval", "monthly, where a year is wanted");
	cart.interval.unit = QZPAY_UNIT_YEAR;
	expect(990, "", "a year is 12 months");
	cart.interval.unit = QZPAY_UNIT_DAY;
	cart.interval.count = 14;
	expect(990, "", "14 days are 2 weeks");
	cart.has_interval = false;
	expect_unknown("interval", "no interval");
	d->nintervals = 0;
	expect_unknown("interval", "an empty list");

	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	d->upgrade = true;
	expect_unknown("not_upgrade", "is it an upgrade?");
	cart.upgrade = QZPAY_NO;
	expect(0, "not_upgrade", "no upgrade");
	cart.upgrade = QZPAY_YES;
	expect(990, "", "an upgrade");
	d->from_plans = LIST(T("starter"));
	expect_unknown("from_plan", "from where?");
	cart.from_plan = T("free");
	expect(0, "from_plan", "from another plan");
	cart.from_plan = T("starter");
	d->to_plans = LIST(T("agency"));
	expect_unknown("to_plan", "to where?");
	cart.to_plan = T("agency");
	expect(990, "", "from and to");

	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	d->first_purchase = true;
	expect_unknown("not_first_purchase", "is it the first?");
	cart.first_purchase = QZPAY_NO;
	expect(0, "not_first_purchase", "not the first");
	cart.first_purchase = QZPAY_YES;
	expect(990, "", "the first");
	d->segments = LIST(T("vip"), T("press"));
	expect_unknown("segment", "no segments");
	cart.segments = LIST(T("new"));
	expect(0, "segment", "another segment");
	cart.segments = LIST(T("new"), T("press"));
	expect(990, "", "one of the segments");
	d->has_registered_after = true;
	d->registered_after = 500;
	expect_unknown("registered_before", "when?");
	cart.has_registered_at = true;
	cart.registered_at = 499;
	expect(0, "registered_before", "before");
	cart.registered_at = 500;
	expect(990, "", "at that instant");
}

static void
test_schedule(void)
{
	QzpayDiscount *d;

	tap_note("schedules");
	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	d->schedule.given = true;
	expect_unknown("schedule", "what time is it?");
	facts[0].has_local = true;
	expect(990, "", "no days, no hours: always");
	d->schedule.has_hours = true;
	d->schedule.from = 14;
	d->schedule.to = 16;
	facts[0].hour = 13;
	expect(0, "schedule", "before the hours");
	facts[0].hour = 14;
	expect(990, "", "in the first hour");
	facts[0].hour = 15;
	expect(990, "", "in the last hour");
	facts[0].hour = 16;
	expect(0, "schedule", "after the hours");
	d->schedule.to = 24;
	facts[0].hour = 23;
	expect(990, "", "until midnight");
	/* Friday 22 to 2 */
	d->schedule.days = 1u << 4;
	d->schedule.from = 22;
	d->schedule.to = 2;
	facts[0].weekday = 4;
	expect(990, "", "Friday night");
	facts[0].hour = 1;
	expect(0, "schedule", "the small hours of Friday are Thursday's night");
	facts[0].weekday = 5;
	expect(990, "", "those of Saturday are Friday's");
	facts[0].hour = 2;
	expect(0, "schedule", "which ends");
	facts[0].hour = 23;
	expect(0, "schedule", "Saturday night");
	d->schedule.days = 1u << 6;
	facts[0].weekday = 0;
	facts[0].hour = 0;
	expect(990, "", "Monday's first hour is Sunday's night");
	d->schedule.has_hours = false;
	expect(0, "schedule", "a day without hours is that day");
}

static void
test_usage(void)
{
	static QzpayReading readings[] = {{{"bots", 4}, {3, 0}}, {{"messages", 8}, {49999, 0}}};
	QzpayDiscount *d;

	tap_note("usage");
	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	d->usage_of = T("messages");
	d->usage_min = NUMBER(50000);
	expect_unknown("usage_threshold", "no reading");
	cart.readings = readings;
	cart.nreadings = 2;
	expect(0, "usage_threshold", "below");
	readings[1].value.coef = 50000;
	expect(990, "", "at the threshold");
	d->usage_max = NUMBER(50000);
	expect(990, "", "at the most");
	readings[1].value.coef = 50001;
	expect(0, "usage_threshold", "above the most");

	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	d->min_quantity = NUMBER(3);
	expect(0, "min_quantity", "one plan");
	d->quantity_of = T("bots");
	expect_unknown("min_quantity", "bots, without a reading");
	cart.readings = readings;
	cart.nreadings = 2;
	expect(990, "", "three bots");
}

static void
test_lines(void)
{
	QzpayDiscount *d;

	tap_note("lines");
	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	add_line(QZPAY_LINE_ADDON, T("bots"), 1000)->categories = LIST(T("extra"));
	add_line(QZPAY_LINE_SERVICE, T("setup"), 5000);
	add_line(QZPAY_LINE_USAGE, T("pro"), 700);
	add_line(QZPAY_LINE_PLAN, T("pro"), -300);
	add_line(QZPAY_LINE_BALANCE, T("pro"), 300);
	expect(1090, "", "plan and add-on");
	d->kinds |= QZPAY_LINE_BIT(QZPAY_LINE_USAGE) | QZPAY_LINE_BIT(QZPAY_LINE_SERVICE);
	expect(1660, "", "service and usage, when named");
	d->products = LIST(T("setup"), T("bots"));
	expect(600, "", "any of the products");
	d->excluded_products = LIST(T("bots"));
	expect(500, "", "but one");
	d->excluded_products.n = 0;
	d->categories = LIST(T("extra"));
	expect(100, "", "of the category");
	d->excluded_categories = LIST(T("extra"));
	expect(0, "nothing_eligible", "but not of it");
	d->products.given = d->categories.given = false;
	expect(1560, "", "everything but the category");

	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	add_line(QZPAY_LINE_ADDON, T("bots"), 1000);
	add_line(QZPAY_LINE_ADDON, T("seats"), -1000);
	d->bundle = LIST(T("bots"), T("seats"));
	expect(0, "incomplete_bundle", "a credit is not in the cart");
	lines[2].amount = 2000;
	expect(300, "", "the bundle, and nothing but it");

	begin();
	d = add(QZPAY_AUTOMATIC, "X", QZPAY_PERCENTAGE, "10");
	add_line(QZPAY_LINE_ADDON, T("bots"), 1000)->quantity = dec("2");
	add_line(QZPAY_LINE_ADDON, T("bots"), 500);
	d->min_quantity = NUMBER(4);
	expect(1140, "", "quantities are added");
	d->min_quantity = NUMBER(5);
	expect(0, "min_quantity", "one more is wanted");
	tap_int((int64_t) judgements[0].is.value.coef, 4, "there are four");
	d->min_quantity.given = false;
	d->min_quantity_per_product = NUMBER(3);
	expect(150, "", "products of which there are three");
	d->min_quantity_per_product = NUMBER(4);
	expect(0, "min_quantity_per_product", "products of which there are four");

	begin();
	d = add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "10");
	d->min_amount = NUMBER(9900);
	expect(990, "", "at the minimum");
	lines[0].amount = 9899;
	expect(0, "min_amount", "below it");
	d->max_amount = NUMBER(9898);
	d->min_amount.given = false;
	expect(0, "max_amount", "above the maximum");
	lines[0].amount = 9898;
	expect(990, "", "at the maximum");
	d->min_amount = NUMBER(99999);
	facts[0].redeemed = true;
	expect(990, "", "not judged again");
}

static void
test_periods(void)
{
	static const QzpayInterval any[] = {{QZPAY_UNIT_MONTH, 1}, {QZPAY_UNIT_YEAR, 1}};
	QzpayDiscount *d;

	tap_note("periods");
	begin();
	d = add(QZPAY_PROMO_CODE, "STARTUP50", QZPAY_REDUCED_PERIOD, "50");
	d->has_periods = true;
	d->periods = 3;
	d->first_purchase = true;
	cart.first_purchase = QZPAY_YES;
	expect(4950, "", "half of it");
	cart.first_purchase = QZPAY_NO;
	facts[0].redeemed = true;
	facts[0].periods_used = 2;
	expect(4950, "", "the third period");
	facts[0].periods_used = 3;
	expect(0, "periods_used", "the fourth");
	facts[0].covered = true;
	expect(0, "periods_used", "what is not a proration begins a period");
	lines[0].proration = true;
	expect(4950, "", "a proration in the third");
	cart.plan = T("enterprise");
	d->plans = LIST(T("pro"));
	expect(4950, "", "also to another plan");
	facts[0].covered = false;
	facts[0].periods_used = 0;
	expect(0, "nothing_eligible", "a proration is no period");
	lines[0].proration = false;
	cart.interval.unit = QZPAY_UNIT_YEAR;
	expect(0, "interval", "half a year of nothing");
	d->has_intervals = true;
	d->intervals = any;
	d->nintervals = 2;
	expect(4950, "", "unless it says so");
	lines[0].kind = QZPAY_LINE_SERVICE;
	d->kinds |= QZPAY_LINE_BIT(QZPAY_LINE_SERVICE);
	expect(0, "nothing_eligible", "plan and add-on lines only");

	begin();
	d = add(QZPAY_PROMO_CODE, "FREEMONTH", QZPAY_FREE_PERIOD, "1");
	d->has_periods = true;
	d->periods = 1;
	expect(9900, "", "a free month");
	facts[0].redeemed = facts[0].covered = true;
	facts[0].periods_used = 1;
	lines[0].proration = true;
	expect(0, "periods_used", "does not make an upgrade free");
	d->plans = LIST(T("pro"));
	expect(9900, "", "but to a plan that is named");
	cart.plan = T("enterprise");
	expect(0, "plan", "and to no other");
	cart.plan.data = NULL;
	expect_unknown("plan", "whatever it is");

	begin();
	d = add(QZPAY_AUTOMATIC, "agency", QZPAY_FREE_PERIOD, "1");
	d->has_periods = true;
	d->periods = 1;
	d->to_plans = LIST(T("pro"));
	cart.to_plan = T("pro");
	lines[0].proration = true;
	expect(9900, "", "an automatic one begins with the upgrade");
	facts[0].redeemed = true;
	facts[0].periods_used = 1;
	expect(0, "periods_used", "and ends");

	begin();
	d = add(QZPAY_PROMO_CODE, "ALWAYS", QZPAY_REDUCED_PERIOD, "10");
	lines[0].proration = true;
	facts[0].periods_used = 40;
	expect(990, "", "for ever");
}

/* The reason and amount of discount i after apply(). */
static void
is(int i, int64_t amount, const char *reason)
{
	tap_int(judgements[i].amount, amount, "%s takes %d", discounts[i].code.data, (int) amount);
	tap_text(qzpay_reason_name(judgements[i].reason), reason, "%s: \"%s\"", discounts[i].code.data, reason);
}

static void
test_stacking(void)
{
	tap_note("all stackable");
	begin();
	rule.max_stacked = 2;
	add(QZPAY_AUTOMATIC, "multi-bot-10", QZPAY_PERCENTAGE, "10")->priority = 1;
	add(QZPAY_AUTOMATIC, "high-volume-15", QZPAY_PERCENTAGE, "15")->priority = 2;
	(void) add(QZPAY_PROMO_CODE, "WELCOME30", QZPAY_PERCENTAGE, "30");
	tap_int(apply(), QZPAY_OK, "two of three");
	is(0, 990, "");
	is(1, 0, "max_stacked");
	is(2, 2970, "");
	tap_int(total(), 3960, "added, each of the original amount");
	tap_int(order[0], 2, "the code comes first");

	discounts[1].stackable = false;
	discounts[1].value = dec("40");
	tap_int(apply(), QZPAY_OK, "a tie");
	is(1, 0, "not_stackable");
	tap_int(total(), 3960, "goes to the set");
	discounts[1].value = dec("40.01");
	tap_int(apply(), QZPAY_OK, "one is better alone");
	is(0, 0, "not_best");
	is(1, 3961, "");
	is(2, 0, "not_best");
	discounts[0].stackable = false;
	discounts[0].value = dec("40.01");
	tap_int(apply(), QZPAY_OK, "two alone");
	is(0, 3961, "");
	is(1, 0, "not_best");

	begin();
	(void) add(QZPAY_PROMO_CODE, "A", QZPAY_PERCENTAGE, "60");
	add(QZPAY_PROMO_CODE, "B", QZPAY_FIXED_AMOUNT, "5000")->currency = T("USD");
	(void) add(QZPAY_PROMO_CODE, "C", QZPAY_PERCENTAGE, "1");
	add(QZPAY_PROMO_CODE, "T", QZPAY_TRIAL_EXTENSION, "7")->stackable = false;
	cart.trialing = QZPAY_YES;
	rule.max_stacked = 2;
	tap_int(apply(), QZPAY_OK, "more than there is");
	is(0, 5940, "");
	is(1, 3960, "");
	is(2, 0, "max_stacked");
	tap_ok(judgements[3].applied, "a longer trial stands beside them");
	rule.max_stacked = 0;
	tap_int(apply(), QZPAY_OK, "any number");
	is(2, 0, "nothing_left");
	discounts[2].stackable = false;
	discounts[2].value = dec("100");
	discounts[1].stackable = false;
	tap_int(apply(), QZPAY_OK, "a trial and one alone");
	is(2, 9900, "");
	tap_ok(judgements[3].applied, "which leaves the trial alone");

	tap_note("best discount");
	begin();
	rule.mode = QZPAY_BEST_DISCOUNT;
	(void) add(QZPAY_AUTOMATIC, "auto", QZPAY_PERCENTAGE, "20");
	(void) add(QZPAY_PROMO_CODE, "B", QZPAY_PERCENTAGE, "20");
	(void) add(QZPAY_PROMO_CODE, "A", QZPAY_PERCENTAGE, "20");
	tap_int(apply(), QZPAY_OK, "three alike");
	is(0, 0, "not_best");
	is(1, 0, "not_best");
	is(2, 1980, "");
	discounts[0].value = dec("21");
	tap_int(apply(), QZPAY_OK, "one better");
	is(0, 2079, "");
	discounts[0].active = discounts[1].active = discounts[2].active = false;
	tap_int(apply(), QZPAY_OK, "none");
	tap_int(total(), 0, "nothing");

	tap_note("automatic first");
	begin();
	rule.mode = QZPAY_AUTOMATIC_FIRST;
	rule.max_stacked = 2;
	(void) add(QZPAY_PROMO_CODE, "A", QZPAY_PERCENTAGE, "50");
	(void) add(QZPAY_AUTOMATIC, "x", QZPAY_PERCENTAGE, "10");
	(void) add(QZPAY_AUTOMATIC, "y", QZPAY_PERCENTAGE, "5");
	tap_int(apply(), QZPAY_OK, "two automatic");
	is(0, 0, "max_stacked");
	is(1, 990, "");
	is(2, 495, "");
	rule.max_stacked = 3;
	tap_int(apply(), QZPAY_OK, "and the code");
	is(0, 4950, "");
	discounts[0].stackable = false;
	tap_int(apply(), QZPAY_OK, "a code that cannot be combined");
	is(0, 0, "not_stackable");
	discounts[0].stackable = true;
	discounts[1].stackable = false;
	tap_int(apply(), QZPAY_OK, "an automatic one that cannot");
	is(0, 0, "not_stackable");
	is(1, 990, "");
	is(2, 0, "not_best");
	discounts[1].active = discounts[2].active = false;
	tap_int(apply(), QZPAY_OK, "no automatic one");
	is(0, 4950, "");

	begin();
	(void) add(QZPAY_PROMO_CODE, "A", QZPAY_PERCENTAGE, "50");
	(void) add(QZPAY_PROMO_CODE, "A", QZPAY_PERCENTAGE, "50");
	tap_int(apply(), QZPAY_E_INVALID, "the same twice");
	discounts[1].trigger = QZPAY_AUTOMATIC;
	tap_int(apply(), QZPAY_OK, "a code and an automatic one of the same name");
}

static void
test_split(void)
{
	tap_note("parts");
	begin();
	cart.nlines = 0;
	add_line(QZPAY_LINE_ADDON, T("c"), 100);
	add_line(QZPAY_LINE_ADDON, T("a"), 100);
	add_line(QZPAY_LINE_ADDON, T("b"), 100);
	add(QZPAY_PROMO_CODE, "X", QZPAY_FIXED_AMOUNT, "100")->currency = T("USD");
	expect(100, "", "a third each");
	tap_int(parts[0][1], 34, "the odd cent goes by the product, not by the place");
	tap_int(parts[0][0] + parts[0][2], 66, "the others have a third");
	lines[2].amount = 0;
	lines[0].amount = 101;
	expect(100, "", "two lines");
	tap_int(parts[0][2], 0, "nothing off nothing");

	/* The percentage's share of a line that is used up is lost; an amount goes to what is left. */
	begin();
	add_line(QZPAY_LINE_ADDON, T("a"), 100);
	add(QZPAY_PROMO_CODE, "A", QZPAY_PERCENTAGE, "80")->products = LIST(T("a"));
	(void) add(QZPAY_PROMO_CODE, "B", QZPAY_PERCENTAGE, "50");
	tap_int(apply(), QZPAY_OK, "two on one line");
	tap_int(parts[1][1], 20, "what is left of it");
	is(1, 4970, "");
	discounts[1].type = QZPAY_FIXED_AMOUNT;
	discounts[1].value = dec("9900");
	discounts[1].currency = T("USD");
	tap_int(apply(), QZPAY_OK, "an amount");
	is(1, 9900, "");

	/* Same kind, product and quantity: the amount decides; all the same: either. */
	begin();
	add_line(QZPAY_LINE_PLAN, T("pro"), 9901)->quantity = dec("1");
	add_line(QZPAY_LINE_PLAN, T("pro"), 9901)->quantity = dec("2");
	add_line(QZPAY_LINE_PLAN, T("pro"), 9901);
	add_line(QZPAY_LINE_PLAN, T("p"), 1);
	(void) add(QZPAY_PROMO_CODE, "X", QZPAY_PERCENTAGE, "33");
	expect(13069, "", "four lines and a cent");
}

/* A small generator of its own, so that a failure can be seen again. */
static uint32_t seed = 1;

static int
any(int below)
{
	seed = seed * 1664525u + 1013904223u;
	return (int) ((seed >> 8) % (uint32_t) below);
}

static void
test_properties(void)
{
	static const char *const codes[] = {"a", "b", "c", "d", "e", "f"};
	static const char *const percentages[] = {"1", "7.5", "20", "33.3", "50", "100"};
	bool		holds = true;

	tap_note("whatever it is");
	for (int round = 0; round < 20000 && holds; round++)
	{
		int64_t		amounts[MAX_N];
		int64_t		line_totals[MAX_LINES] = {0};
		int64_t		best = 0;
		int64_t		sum;

		begin();
		cart.nlines = 0;
		rule.mode = (QzpayStacking) any(3);
		rule.max_stacked = any(4);
		for (int i = 1 + any(5); i > 0; i--)
			add_line((QzpayLineKind) any(9), any(2) ? T("x") : T("y"), any(1000) - 100)->quantity = qzpay_decimal_int(any(4));
		for (int i = 1 + any(6); i > 0; i--)
		{
			QzpayDiscount *d = add((QzpayDiscountTrigger) any(2), codes[i - 1], any(3) ? QZPAY_PERCENTAGE : QZPAY_FIXED_AMOUNT, percentages[any(6)]);

			d->currency = T("USD");
			d->stackable = any(3) > 0;
			d->priority = any(3);
			if (any(3) == 0)
				d->products = LIST(T("x"));
			if (any(4) == 0)
				d->min_quantity = NUMBER(2);
			if (any(5) == 0)
				d->type = QZPAY_FREE_SHIPPING;
		}
		holds = apply() == QZPAY_OK;
		sum = total();
		for (int i = 0; i < n; i++)
		{
			int64_t		of_lines = 0;

			amounts[i] = judgements[i].amount;
			for (int k = 0; k < cart.nlines; k++)
			{
				of_lines += parts[i][k];
				line_totals[k] += parts[i][k];
				holds &= parts[i][k] >= 0;
			}
			holds &= of_lines == amounts[i] && judgements[i].applied == (amounts[i] > 0) && judgements[i].applied == (judgements[i].reason == QZPAY_REASON_NONE);
		}
		for (int k = 0; k < cart.nlines; k++)
			holds &= line_totals[k] <= (lines[k].amount > 0 ? lines[k].amount : 0);
		/* Alone, each: the best rule takes the best of them. */
		for (int i = 0; i < n; i++)
		{
			const QzpayDiscount *one = &discounts[i];
			QzpayJudgement alone = {.parts = parts[0]};

			holds &= qzpay_discounts_apply(&cart, &one, &facts[i], 1, &rule, &room, &alone) == QZPAY_OK;
			if (alone.amount > best)
				best = alone.amount;
		}
		if (rule.mode == QZPAY_BEST_DISCOUNT)
			holds &= sum == best;
		/* Shuffled, discounts and lines. */
		for (int i = 0; i < 4; i++)
		{
			int			p = any(n);
			int			q = any(n);
			int			v = any(cart.nlines);
			int			w = any(cart.nlines);
			QzpayDiscount d = discounts[p];
			QzpayCartLine line = lines[v];
			int64_t		amount = amounts[p];

			discounts[p] = discounts[q];
			discounts[q] = d;
			amounts[p] = amounts[q];
			amounts[q] = amount;
			lines[v] = lines[w];
			lines[w] = line;
			amount = line_totals[v];
			line_totals[v] = line_totals[w];
			line_totals[w] = amount;
		}
		holds &= apply() == QZPAY_OK && total() == sum;
		for (int i = 0; i < n; i++)
			holds &= judgements[i].amount == amounts[i];
		for (int k = 0; k < cart.nlines; k++)
		{
			int64_t		got = 0;

			for (int i = 0; i < n; i++)
				got += parts[i][k];
			/* Lines with the same contents are interchangeable. */
			if (got != line_totals[k])
			{
				bool		twin = false;

				for (int m = 0; m < cart.nlines; m++)
					twin |= m != k && lines[m].kind == lines[k].kind && lines[m].amount == lines[k].amount && qzpay_text_equal(lines[m].product, lines[k].product);
				holds &= twin;
			}
		}
		if (!holds)
			tap_note("round %d", round);
	}
	tap_ok(holds, "parts add up, no line falls below zero, the best is the best, and no order of input matters");
}

int
main(void)
{
	test_names();
	test_check();
	test_amounts();
	test_tiers();
	test_offer();
	test_buyer();
	test_schedule();
	test_usage();
	test_lines();
	test_periods();
	test_stacking();
	test_split();
	test_properties();
	return tap_done();
}
