/*
 * rating_test.c
 *		The pricing models, by worked examples, at their boundaries and along both ways through the code.
 */
#include <stdio.h>
#include <string.h>

#include "core/rating.h"
#include "tap.h"

static QzpayDecimal
dec(const char *text)
{
	QzpayDecimal value = {0, 0};

	if (qzpay_decimal_parse(text, strlen(text), &value) != QZPAY_OK)
		tap_ok(false, "%s", text);
	return value;
}

static QzpayPricing pricing;

/* Begins a pricing: everything zero, the first flat amount due at zero. */
static void
begin(QzpayModel model)
{
	memset(&pricing, 0, sizeof(pricing));
	pricing.model = model;
	pricing.flat_on_zero = true;
}

static void
prepare(void)
{
	const char *reason;
	int			at;

	tap_int(qzpay_pricing_prepare(&pricing, &reason, &at), QZPAY_OK, "pricing is accepted");
	tap_text(reason, NULL, "nothing to say against it");
}

static QzpayTier
tier(const char *up_to, const char *unit_amount, const char *flat_amount)
{
	QzpayTier	result;

	memset(&result, 0, sizeof(result));
	result.open = up_to == NULL;
	if (up_to != NULL)
		result.up_to = dec(up_to);
	result.unit_amount = dec(unit_amount);
	result.flat_amount = dec(flat_amount);
	return result;
}

static QzpayCode
rate(const char *quantity, const char *included, QzpayDecimal *exact)
{
	return qzpay_rate(&pricing, dec(quantity), dec(included), exact);
}

/* Rates as prepared, and where that is the narrow way then also along the wide one: both have to agree. */
static void
check_included(const char *quantity, const char *included, const char *expected)
{
	bool		narrow = pricing.narrow;
	QzpayDecimal exact = {0, 0};
	char		text[QZPAY_DECIMAL_BUFSIZE];

	for (int way = narrow; way >= 0; way--)
	{
		pricing.narrow = way;
		if (tap_int(rate(quantity, included, &exact), QZPAY_OK, "%s less %s, %s way", quantity, included, way ? "narrow" : "wide"))
		{
			qzpay_decimal_print(qzpay_decimal_normalise(exact), text);
			tap_text(text, expected, "costs %s", expected);
		}
	}
	pricing.narrow = narrow;
}

static void
check_rate(const char *quantity, const char *expected)
{
	check_included(quantity, "0", expected);
}

static void
check_error(const char *quantity, const char *included, QzpayCode expected, const char *what)
{
	QzpayDecimal exact;

	tap_int(rate(quantity, included, &exact), expected, "%s", what);
}

static void
test_simple_models(void)
{
	tap_note("flat, per unit, package");
	begin(QZPAY_MODEL_FLAT);
	check_error("1", "0", QZPAY_E_INVALID, "a pricing that was not prepared");
	pricing.amount = dec("5000");
	prepare();
	check_rate("0", "5000");
	check_rate("1", "5000");
	check_rate("1000000.5", "5000");
	check_error("-1", "0", QZPAY_E_RANGE, "negative quantity");
	check_error("1", "-1", QZPAY_E_RANGE, "negative allowance");

	begin(QZPAY_MODEL_PER_UNIT);
	pricing.unit_amount = dec("5");
	prepare();
	check_rate("0", "0");
	check_rate("1000", "5000");
	check_rate("1.5", "7.5");
	pricing.unit_amount = dec("1.50");
	prepare();
	check_included("10501", "10000", "751.5");
	check_included("10000", "10000", "0");
	check_included("9999.99", "10000", "0");
	check_included("10000.000001", "10000", "0.0000015");
	check_included("10", "0.5", "14.25");

	/* The overage of the example catalog: 15 for every started 10 beyond 10000. */
	begin(QZPAY_MODEL_PACKAGE);
	pricing.amount = dec("15");
	pricing.size = dec("10");
	prepare();
	check_included("0", "10000", "0");
	check_included("10000", "10000", "0");
	check_included("10000.5", "10000", "15");
	check_included("10001", "10000", "15");
	check_included("10010", "10000", "15");
	check_included("10500", "10000", "750");
	check_included("10501", "10000", "765");
	check_included("10505", "10000", "765");
	check_included("15500", "15000", "750");
	pricing.amount = dec("5");
	pricing.size = dec("100");
	prepare();
	check_included("201", "100", "10");
	check_included("200", "100", "5");
	pricing.size = dec("0.25");
	prepare();
	check_rate("1.01", "25");
	check_rate("1", "20");
	check_rate("1.000000000000000001", "25");
}

static void
test_tiers(void)
{
	tap_note("tiers");
	begin(QZPAY_MODEL_GRADUATED);
	pricing.ntiers = 3;
	pricing.tiers[0] = tier("100", "1", "0");
	pricing.tiers[1] = tier("200", "0.5", "0");
	pricing.tiers[2] = tier(NULL, "0.1", "0");
	prepare();
	check_rate("0", "0");
	check_rate("99.5", "99.5");
	check_rate("100", "100");
	check_rate("101", "100.5");
	check_rate("200", "150");
	check_rate("201", "150.1");
	check_rate("250", "155");
	check_included("300", "50", "155");

	pricing.tiers[0] = tier("5", "7", "0");
	pricing.tiers[1] = tier("10", "6.5", "0");
	pricing.tiers[2] = tier(NULL, "6", "0");
	prepare();
	check_rate("20", "127.5");
	pricing.model = QZPAY_MODEL_VOLUME;
	prepare();
	check_rate("5", "35");
	check_rate("6", "39");
	check_rate("20", "120");
	/* Crossing a bound may cost less in total. */
	check_rate("10", "65");
	check_rate("10.5", "63");

	/* A graduated percentage is graduated over an amount, with a flat fee for each tier entered. */
	begin(QZPAY_MODEL_GRADUATED);
	pricing.ntiers = 2;
	pricing.tiers[0] = tier("1000", "0.01", "200");
	pricing.tiers[1] = tier(NULL, "0.02", "300");
	prepare();
	check_rate("0", "200");
	check_rate("500", "205");
	check_rate("1000", "210");
	check_rate("1000.01", "510.0002");
	check_rate("5050", "591");
	pricing.flat_on_zero = false;
	check_rate("0", "0");
	check_rate("1", "200.01");
	pricing.model = QZPAY_MODEL_VOLUME;
	pricing.flat_on_zero = true;
	prepare();
	check_rate("0", "200");
	check_rate("1001", "320.02");
	pricing.flat_on_zero = false;
	check_rate("0", "0");
	check_rate("0.5", "200.005");

	pricing.tiers[0] = tier("10000.00", "0.0010", "0");
	pricing.tiers[1] = tier(NULL, "0.0006", "10");
	prepare();
	check_rate("65000", "49");
	check_included("65000", "60000", "5");
	check_included("60000", "60000", "0");

	pricing.ntiers = 1;
	pricing.tiers[0] = tier(NULL, "3", "0");
	prepare();
	check_rate("7", "21");
}

static void
test_bounds(void)
{
	tap_note("minimum and maximum");
	begin(QZPAY_MODEL_PER_UNIT);
	pricing.unit_amount = dec("10");
	pricing.has_minimum = true;
	pricing.minimum = dec("100");
	pricing.has_maximum = true;
	pricing.maximum = dec("1000.5");
	prepare();
	check_rate("0", "100");
	check_rate("10", "100");
	check_rate("50", "500");
	check_rate("101", "1000.5");
	pricing.has_minimum = false;
	check_rate("0", "0");
	pricing.has_maximum = false;
	check_rate("101", "1010");
}

static void
test_limits(void)
{
	QzpayDecimal exact;

	tap_note("limits");
	begin(QZPAY_MODEL_PER_UNIT);
	pricing.unit_amount = dec("9223372036854775807");
	prepare();
	check_rate("9223372036854775807", "85070591730234615847396907784232501249");
	check_error("9223372036854775807000", "0", QZPAY_E_OVERFLOW, "product of more than 38 digits");
	check_included("9223372036854775807001", "9223372036854775807000", "9223372036854775807");
	pricing.unit_amount = dec("0.000000000001");
	prepare();
	check_rate("0.000001", "0.000000000000000001");
	check_error("0.0000001", "0", QZPAY_E_SCALE, "product of more than 18 decimals");
	check_included("10.0000001", "0.0000001", "0.00000000001");
	check_error("0.5", "99999999999999999999999999999999999999", QZPAY_E_OVERFLOW, "quantity and allowance of more than 38 digits together");

	begin(QZPAY_MODEL_PACKAGE);
	pricing.amount = dec("100000000000000000000");
	pricing.size = dec("10");
	prepare();
	tap_ok(!pricing.narrow, "an amount beyond int64 is not narrow");
	check_rate("11", "200000000000000000000");
	check_error("99999999999999999999999", "0", QZPAY_E_OVERFLOW, "packages of more than 38 digits");
	pricing.size = dec("0.000000000000000001");
	prepare();
	check_error("99999999999999999999999", "0", QZPAY_E_OVERFLOW, "quantity that cannot be aligned with the size");
	pricing.size = (QzpayDecimal) {QZPAY_WIDE_MAX, 0};
	prepare();
	check_error("0.5", "0", QZPAY_E_OVERFLOW, "size that cannot be aligned with the quantity");

	begin(QZPAY_MODEL_GRADUATED);
	pricing.ntiers = 2;
	pricing.tiers[0] = tier("10", "1", "9223372036854775807");
	pricing.tiers[1] = tier(NULL, "9223372036854775807", "9223372036854775807");
	prepare();
	tap_ok(pricing.narrow, "int64 throughout is narrow");
	check_rate("10", "9223372036854775817");
	check_rate("9223372036854775807", "85070591730234615773609931489394294803");
	pricing.tiers[0] = tier("0.000000000000000001", "1", "9223372036854775807");
	pricing.tiers[1] = tier(NULL, "0", "9223372036854775807");
	prepare();
	tap_ok(pricing.narrow, "int64 at 18 decimals is narrow");
	check_rate("9", "18446744073709551614.000000000000000001");
	pricing.tiers[0].unit_amount = dec("9223372036854775807");
	pricing.tiers[1].unit_amount = dec("9223372036854775807");
	prepare();
	check_error("9", "0", QZPAY_E_OVERFLOW, "flat amounts that do not fit beside the rest");
	pricing.tiers[0] = tier("0.5", "0.000000000000000001", "0");
	pricing.tiers[1] = tier(NULL, "1", "0");
	prepare();
	tap_ok(!pricing.narrow, "19 decimals together are not narrow");
	check_error("0.5", "0", QZPAY_E_SCALE, "units and price with 19 decimals together");
	pricing.tiers[0] = tier("0.000000000000000001", "0", "0");
	pricing.tiers[1] = tier(NULL, "1", "0");
	prepare();
	check_error("99999999999999999999999999999999999999", "0", QZPAY_E_OVERFLOW, "units that cannot be aligned with a bound");
	pricing.tiers[0] = tier("1", "1", "0.000000000000000001");
	pricing.tiers[1] = tier(NULL, "10000000000000000000", "0");
	prepare();
	check_error("100000000000000000000", "0", QZPAY_E_OVERFLOW, "tiers of more than 38 digits together");
	pricing.tiers[0] = tier("10", "10000000000000000000", "0.000000000000000001");
	prepare();
	check_error("10", "0", QZPAY_E_OVERFLOW, "flat amount that cannot be aligned with the rest");
	pricing.tiers[0] = tier("10000000000000000000", "1", "0");
	pricing.tiers[1] = tier(NULL, "2", "0");
	prepare();
	tap_ok(!pricing.narrow, "a bound beyond int64 is not narrow");
	check_rate("10000000000000000001", "10000000000000000002");
	tap_int(qzpay_rate(&pricing, (QzpayDecimal) {QZPAY_WIDE_MAX, 0}, qzpay_decimal_int(0), &exact), QZPAY_E_OVERFLOW,
			"twice 38 digits");
}

static void
check_fault(const char *expected, int where)
{
	const char *reason = NULL;
	int			at = 99;

	tap_int(qzpay_pricing_prepare(&pricing, &reason, &at), QZPAY_E_INVALID, "refused");
	tap_text(reason, expected, "because %s", expected);
	tap_int(at, where, "in tier %d", where);
	tap_ok(!pricing.prepared, "and not usable");
}

static void
test_faults(void)
{
	static const char negative[] = "-0.01";
	static const char *const names[] = {
		"flat", "per_unit", "graduated", "volume", "package", "percentage", "graduated_percentage", "dynamic"
	};
	QzpayModel	model = QZPAY_MODEL_FLAT;

	tap_note("faults");
	begin(QZPAY_MODEL_GRADUATED);
	check_fault("there must be from 1 to 100 tiers", -1);
	pricing.ntiers = QZPAY_MAX_TIERS + 1;
	check_fault("there must be from 1 to 100 tiers", -1);
	pricing.ntiers = 3;
	pricing.tiers[0] = tier("10", "1", "0");
	pricing.tiers[1] = tier("20", "1", "0");
	pricing.tiers[2] = tier("30", "1", "0");
	check_fault("the last tier must be open", 2);
	pricing.tiers[2] = tier(NULL, "1", "0");
	pricing.tiers[1] = tier(NULL, "1", "0");
	check_fault("only the last tier may be open", 1);
	pricing.tiers[1] = tier("10.0", "1", "0");
	check_fault("bounds must rise from above zero", 1);
	pricing.tiers[1] = tier("9", "1", "0");
	check_fault("bounds must rise from above zero", 1);
	pricing.tiers[1] = tier("20", "1", "0");
	pricing.tiers[0] = tier("0", "1", "0");
	check_fault("bounds must rise from above zero", 0);
	pricing.tiers[0] = tier(negative, "1", "0");
	check_fault("bounds must rise from above zero", 0);
	pricing.tiers[0].up_to = (QzpayDecimal) {1, 19};
	check_fault("bounds must rise from above zero", 0);
	pricing.tiers[0] = tier("10", negative, "0");
	check_fault("an amount is negative or not a number", 0);
	pricing.tiers[0] = tier("10", "1", negative);
	check_fault("an amount is negative or not a number", 0);
	pricing.tiers[0] = tier("10", "1", "0");
	pricing.tiers[2].unit_amount.scale = 40;
	check_fault("an amount is negative or not a number", 2);

	begin(QZPAY_MODEL_PACKAGE);
	check_fault("the size of a package must be above zero", -1);
	pricing.size = dec(negative);
	check_fault("the size of a package must be above zero", -1);
	pricing.size = dec("10");
	pricing.amount = dec(negative);
	check_fault("the amount is negative or not a number", -1);
	begin(QZPAY_MODEL_FLAT);
	pricing.amount = dec(negative);
	check_fault("the amount is negative or not a number", -1);
	begin(QZPAY_MODEL_PER_UNIT);
	pricing.unit_amount = dec(negative);
	check_fault("the unit amount or rate is negative or not a number", -1);
	pricing.unit_amount = dec("1");
	pricing.has_minimum = true;
	pricing.minimum = dec(negative);
	check_fault("the minimum or maximum is negative or not a number", -1);
	pricing.minimum = dec("100");
	pricing.has_maximum = true;
	pricing.maximum = dec(negative);
	check_fault("the minimum or maximum is negative or not a number", -1);
	pricing.maximum = dec("99.99");
	check_fault("the minimum is above the maximum", -1);
	begin((QzpayModel) 9);
	check_fault("there is no such model", -1);

	begin(QZPAY_MODEL_PERCENTAGE);
	pricing.unit_amount = dec(negative);
	check_fault("the unit amount or rate is negative or not a number", -1);
	pricing.unit_amount = dec("0.01");
	pricing.amount = dec(negative);
	check_fault("the amount is negative or not a number", -1);
	pricing.amount = dec("1");
	pricing.free_events = -1;
	pricing.free_amount = dec(negative);
	prepare();
	pricing.has_free_events = true;
	check_fault("the number of free events is negative", -1);
	pricing.free_events = 1;
	pricing.has_free_amount = true;
	check_fault("the free amount is negative or not a number", -1);
	pricing.free_amount = dec("0");
	pricing.has_event_minimum = true;
	pricing.event_minimum = dec(negative);
	check_fault("the minimum or maximum is negative or not a number", -1);
	pricing.event_minimum = dec("2");
	pricing.has_event_maximum = true;
	pricing.event_maximum = dec("1");
	check_fault("the minimum is above the maximum", -1);
	begin(QZPAY_MODEL_DYNAMIC);
	pricing.unit_amount = dec(negative);
	check_fault("the unit amount or rate is negative or not a number", -1);
	begin(QZPAY_MODEL_GRADUATED_PERCENTAGE);
	check_fault("there must be from 1 to 100 tiers", -1);

	for (int i = 0; i < 8; i++)
	{
		tap_int(qzpay_model_parse(names[i], &model), QZPAY_OK, "%s is a model", names[i]);
		tap_int(model, i, "of its number");
	}
	tap_int(qzpay_model_parse("tiered", &model), QZPAY_E_INVALID, "tiered is none");
}

#define MAX_EVENTS 10

static QzpayUse events[MAX_EVENTS];
static QzpayUsage usage;

/* Usage from its events, "quantity" or "quantity:amount" each; the totals are their sums. */
static void
use(const char *text, const char *included)
{
	memset(&usage, 0, sizeof(usage));
	usage.included = dec(included);
	usage.events = events;
	while (*text != '\0')
	{
		QzpayUse   *event = &events[usage.n_events++];
		size_t		length = strcspn(text, ": ");

		tap_ok(qzpay_decimal_parse(text, length, &event->quantity) == QZPAY_OK, "a quantity");
		event->amount = event->quantity;
		text += length;
		if (*text == ':')
		{
			length = strcspn(++text, " ");
			tap_ok(qzpay_decimal_parse(text, length, &event->amount) == QZPAY_OK, "an amount");
			usage.has_amount = true;
			text += length;
		}
		text += strspn(text, " ");
		/* Where the sums don't fit, the test is about single events. */
		(void) qzpay_decimal_add(usage.quantity, event->quantity, &usage.quantity);
		(void) qzpay_decimal_add(usage.amount, event->amount, &usage.amount);
	}
}

/* Rates events, with no more than is needed of them, along both ways. */
static void
check_use(const char *text, const char *included, QzpayRatingNeed need, const char *expected)
{
	bool		narrow = pricing.narrow;
	QzpayDecimal exact = {0, 0};
	char		printed[QZPAY_DECIMAL_BUFSIZE];

	use(text, included);
	tap_int(qzpay_rating_need(&pricing, &usage), need, "%s less %s: what has to be known", text, included);
	if (need < QZPAY_NEEDS_EVENTS)
		usage.events = NULL;
	if (need < QZPAY_NEEDS_COUNT && usage.n_events > 0)
		usage.n_events = -1;
	for (int way = narrow; way >= 0; way--)
	{
		pricing.narrow = way;
		if (tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_OK, "%s less %s, %s way", text, included, way ? "narrow" : "wide"))
		{
			qzpay_decimal_print(qzpay_decimal_normalise(exact), printed);
			tap_text(printed, expected, "costs %s", expected);
		}
	}
	pricing.narrow = narrow;
	if (need == QZPAY_NEEDS_TOTALS)
		return;
	usage.events = NULL;
	if (need == QZPAY_NEEDS_COUNT)
		usage.n_events = -1;
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_INVALID, "and not without");
}

/* 1.2 % and 10 per event; 3 events are free, or 50000, whichever is first. */
static void
begin_percentage(void)
{
	begin(QZPAY_MODEL_PERCENTAGE);
	tap_int(qzpay_share_of_percent(dec("1.20"), &pricing.unit_amount), QZPAY_OK, "1.2 percent");
	pricing.amount = dec("10");
	pricing.has_free_events = true;
	pricing.free_events = 3;
	pricing.has_free_amount = true;
	pricing.free_amount = dec("50000");
}

static void
test_percentage(void)
{
	QzpayDecimal share;
	QzpayDecimal exact;

	tap_note("percentage");
	tap_int(qzpay_share_of_percent(dec("0.00000000000000001"), &share), QZPAY_E_SCALE, "a percentage of 17 decimals");
	begin_percentage();
	check_error("1", "0", QZPAY_E_INVALID, "a pricing that was not prepared");
	prepare();
	check_error("1", "0", QZPAY_E_INVALID, "no events are known");
	check_error("-1", "0", QZPAY_E_RANGE, "negative quantity");
	check_error("1", "-1", QZPAY_E_RANGE, "negative allowance");
	check_use("", "0", QZPAY_NEEDS_TOTALS, "0");
	check_use("10000 10000 10000 5000", "0", QZPAY_NEEDS_EVENTS, "70");
	check_use("10000 10000 10000", "0", QZPAY_NEEDS_EVENTS, "0");
	/* The amount ends first: the second event pays for 10000 of its 30000. */
	check_use("30000 30000 1 1", "0", QZPAY_NEEDS_EVENTS, "150.024");
	/* It ends with an event: the next one pays in full. */
	check_use("50000 100", "0", QZPAY_NEEDS_EVENTS, "11.2");
	check_use("50000 0", "0", QZPAY_NEEDS_EVENTS, "10");
	/* What is included comes before what is free. */
	check_use("10000 10000 10000 10000 5000", "10000", QZPAY_NEEDS_EVENTS, "70");
	check_use("20000 10000 10000 5000", "10000", QZPAY_NEEDS_EVENTS, "70");
	check_use("20000 10000", "30001", QZPAY_NEEDS_TOTALS, "0");
	check_use("20000 10000", "30000", QZPAY_NEEDS_EVENTS, "0");

	pricing.has_free_amount = false;
	prepare();
	check_use("10000 10000 10000 5000", "0", QZPAY_NEEDS_EVENTS, "70");
	check_use("5000 0 0 0", "0", QZPAY_NEEDS_EVENTS, "10");
	pricing.has_free_events = false;
	prepare();
	check_use("", "0", QZPAY_NEEDS_TOTALS, "0");
	check_use("10000 10000 10000 5000", "0", QZPAY_NEEDS_COUNT, "460");
	check_use("10000.5 0", "0", QZPAY_NEEDS_COUNT, "140.006");
	check_use("1:10000 1:5000", "0", QZPAY_NEEDS_COUNT, "200");
	check_use("10000 10000", "10000", QZPAY_NEEDS_EVENTS, "130");
	check_use("10000 0", "10000", QZPAY_NEEDS_EVENTS, "10");
	check_use("10000 0", "10001", QZPAY_NEEDS_TOTALS, "0");
	pricing.has_free_amount = true;
	prepare();
	check_use("30000 30000", "0", QZPAY_NEEDS_EVENTS, "130");
	pricing.amount = dec("0");
	prepare();
	check_use("30000 30000", "0", QZPAY_NEEDS_TOTALS, "120");
	check_use("30000 30000", "5000", QZPAY_NEEDS_TOTALS, "60");
	check_use("30000 10000", "0", QZPAY_NEEDS_TOTALS, "0");

	/* Bounds of each fee, not of what is free; and those of the whole. */
	begin_percentage();
	pricing.has_free_amount = false;
	pricing.free_events = 1;
	pricing.has_event_minimum = true;
	pricing.event_minimum = dec("50");
	prepare();
	check_use("100000 100 100000", "0", QZPAY_NEEDS_EVENTS, "1260");
	pricing.has_event_maximum = true;
	pricing.event_maximum = dec("1000");
	prepare();
	check_use("100000 100 100000", "0", QZPAY_NEEDS_EVENTS, "1050");
	pricing.has_event_minimum = false;
	pricing.has_minimum = true;
	pricing.minimum = dec("2000");
	prepare();
	check_use("100000 100 100000", "0", QZPAY_NEEDS_EVENTS, "2000");
	check_use("", "1", QZPAY_NEEDS_TOTALS, "2000");

	/* Limits and faults of single events. */
	use("10 10", "0");
	events[1].quantity.coef = -10;
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_RANGE, "an event of negative quantity");
	use("10 10", "0");
	events[1].amount.coef = -10;
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_RANGE, "an event of negative amount");
	use("10:10", "0");
	usage.amount.coef = -10;
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_RANGE, "a negative amount");
	use("10 10:99999999999999999999999999999999999999", "0");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "a fee out of range");
	use("10 99999999999999999999999999999999999999", "5.5");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "more than can be told");
	use("99999999999999999999999999999999999999 10", "5.5");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "an event from which nothing can be taken");
	use("10:99999999999999999999999999999999999999", "5");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "an amount that cannot be divided");
	use("10:99999999999999999999999999999999", "5");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "an amount that cannot be multiplied");
	pricing.unit_amount = dec("1");
	pricing.amount = dec("99999999999999999999999999999999999999");
	prepare();
	use("10 10", "0");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "a fixed amount on top");
	pricing.has_event_maximum = pricing.has_free_events = false;
	prepare();
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "fixed amounts times events");
	use("10", "0");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "fixed amounts on top of the rate");
	pricing.has_free_amount = true;
	pricing.free_amount = dec("99999999999999999999999999999999999999");
	prepare();
	use("0.5", "0");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "a free amount from which nothing can be taken");
	begin(QZPAY_MODEL_DYNAMIC);
	pricing.unit_amount = dec("1");
	prepare();
	use("99999999999999999999999999999999999999", "0.5");
	tap_int(qzpay_rate_usage(&pricing, &usage, &exact), QZPAY_E_OVERFLOW, "a quantity from which nothing can be taken");
}

static void
test_amounts(void)
{
	tap_note("graduated percentage, dynamic");
	begin(QZPAY_MODEL_GRADUATED_PERCENTAGE);
	pricing.ntiers = 3;
	pricing.tiers[0] = tier("1000", "0.01", "200");
	pricing.tiers[1] = tier("10000", "0.02", "300");
	pricing.tiers[2] = tier(NULL, "0.03", "400");
	prepare();
	check_use("500", "0", QZPAY_NEEDS_TOTALS, "205");
	check_use("500 550", "0", QZPAY_NEEDS_TOTALS, "511");
	check_use("500 550 4000", "0", QZPAY_NEEDS_TOTALS, "591");
	check_use("1:500 1:4550", "0", QZPAY_NEEDS_TOTALS, "591");
	check_use("500 550 4000", "50", QZPAY_NEEDS_TOTALS, "590");
	check_use("1:500 1:550 1:4000", "1", QZPAY_NEEDS_EVENTS, "581");
	/* The event in which what is included ends is worth a third of its amount. */
	check_use("3:600 1:4850", "2", QZPAY_NEEDS_EVENTS, "591");
	check_use("3:100", "1", QZPAY_NEEDS_EVENTS, "200.66666667");
	/* Exactly, where its amount is its quantity. */
	check_use("3 1:1", "1.000000000001", QZPAY_NEEDS_EVENTS, "200.02999999999999");
	check_use("", "0", QZPAY_NEEDS_TOTALS, "200");
	check_use("5:700", "6", QZPAY_NEEDS_TOTALS, "200");
	pricing.flat_on_zero = false;
	check_use("5:700", "6", QZPAY_NEEDS_TOTALS, "0");
	check_use("5:700", "5", QZPAY_NEEDS_EVENTS, "0");
	check_rate("5050", "591");
	use("1:5", "0.5");
	events[0].amount.coef = -1;
	tap_int(qzpay_rate_usage(&pricing, &usage, &(QzpayDecimal) {0, 0}), QZPAY_E_RANGE, "a negative amount of an event");

	begin(QZPAY_MODEL_DYNAMIC);
	pricing.unit_amount = dec("1");
	prepare();
	check_use("7:70 5:55 10:220", "0", QZPAY_NEEDS_TOTALS, "345");
	check_use("7:70 5:55 10:220", "7", QZPAY_NEEDS_EVENTS, "275");
	check_use("7:70 5:55 10:220", "8", QZPAY_NEEDS_EVENTS, "264");
	check_use("7:70 5:55 10:220", "22", QZPAY_NEEDS_EVENTS, "0");
	check_use("7:70 5:55 10:220", "23", QZPAY_NEEDS_TOTALS, "0");
	check_use("10000", "0", QZPAY_NEEDS_TOTALS, "10000");
	check_use("0.5:0.25", "0", QZPAY_NEEDS_TOTALS, "0.25");
	pricing.unit_amount = dec("1.2");
	prepare();
	check_use("10000", "0", QZPAY_NEEDS_TOTALS, "12000");
	check_use("1:0.0000005 1:1", "0", QZPAY_NEEDS_TOTALS, "1.2000006");

	/* What a model of quantities makes of it. */
	begin(QZPAY_MODEL_PER_UNIT);
	pricing.unit_amount = dec("2");
	prepare();
	check_use("7:70 5:55 10:220", "2", QZPAY_NEEDS_TOTALS, "40");
}

/* A graduated amount is what its slices cost: the price of a step never depends on where the steps before it ended. */
static void
test_slices(void)
{
	QzpayDecimal before = {0, 0};
	QzpayDecimal after;
	bool		rising = true;

	tap_note("slices");
	begin(QZPAY_MODEL_GRADUATED);
	pricing.ntiers = 3;
	pricing.tiers[0] = tier("10", "2", "5");
	pricing.tiers[1] = tier("20", "1.25", "0");
	pricing.tiers[2] = tier(NULL, "0", "3");
	prepare();
	for (int quantity = 0; quantity < 40; quantity++)
	{
		rising &= qzpay_rate(&pricing, qzpay_decimal_int(quantity), qzpay_decimal_int(0), &after) == QZPAY_OK;
		rising &= qzpay_decimal_compare(after, before) >= 0;
		before = after;
	}
	tap_ok(rising, "a graduated amount never falls");
	check_rate("39", "40.5");
}

int
main(void)
{
	test_simple_models();
	test_tiers();
	test_bounds();
	test_limits();
	test_faults();
	test_percentage();
	test_amounts();
	test_slices();
	return tap_done();
}
