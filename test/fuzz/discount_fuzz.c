/*
 * discount_fuzz.c
 *		Discounts of any kind on carts of any kind: what always holds.
 *
 * No line falls below zero, parts add up to amounts, something is applied or has a reason, the maximum number is kept, a stackable set or
 * the best is never worse than it may be, and turning discounts and lines around changes nothing.
 */
#include "core/discount.h"
#include "core/instant.h"
#include "fuzz.h"

#define LINES 6
#define DISCOUNTS 6

static const QzpayText words[] = {{"a", 1}, {"b", 1}, {"pro", 3}, {NULL, 0}};
static const QzpayInterval intervals[] = {{QZPAY_UNIT_MONTH, 1}, {QZPAY_UNIT_YEAR, 1}, {QZPAY_UNIT_MONTH, 12}, {QZPAY_UNIT_WEEK, 2}};

static QzpayCartLine lines[LINES];
static QzpayCart cart;
static QzpayDiscount discounts[DISCOUNTS];
static QzpayDiscountTier tiers[DISCOUNTS][2];
static QzpayDiscountFacts facts[DISCOUNTS];
static QzpayStackingRule rule;

static QzpayText
fuzz_word(FuzzInput *input)
{
	return words[fuzz_byte(input) % 4];
}

static QzpayTextList
fuzz_list(FuzzInput *input)
{
	uint8_t		shape = fuzz_byte(input);
	QzpayTextList list = {(shape & 7) == 1, 0, words};

	list.n = list.given ? (shape >> 3) % 4 : 0;
	return list;
}

static QzpayDecimal
fuzz_number(FuzzInput *input)
{
	QzpayDecimal number = {0, 0};

	number.scale = fuzz_byte(input) % 14;
	number.coef = fuzz_byte(input) & 1 ? fuzz_byte(input) * qzpay_pow10[number.scale] : fuzz_int64(input);
	return number;
}

static QzpayBound
fuzz_bound(FuzzInput *input)
{
	QzpayBound	bound = {(fuzz_byte(input) & 7) == 1, {0, 0}};

	if (bound.given)
		bound.value = fuzz_number(input);
	return bound;
}

static void
fill_cart(FuzzInput *input)
{
	static QzpayReading reading = {{"a", 1}, {0, 0}};
	uint8_t		shape = fuzz_byte(input);

	memset(&cart, 0, sizeof(cart));
	cart.currency = fuzz_word(input);
	cart.plan = fuzz_word(input);
	cart.has_interval = shape & 1;
	cart.interval = intervals[fuzz_byte(input) % 4];
	cart.nlines = fuzz_byte(input) % (LINES + 1);
	cart.lines = lines;
	cart.first_purchase = (QzpayFlag) (fuzz_byte(input) % 3);
	cart.upgrade = (QzpayFlag) (fuzz_byte(input) % 3);
	cart.trialing = (QzpayFlag) (fuzz_byte(input) % 3);
	cart.from_plan = fuzz_word(input);
	cart.to_plan = fuzz_word(input);
	cart.segments = fuzz_list(input);
	cart.has_registered_at = shape & 2;
	cart.registered_at = fuzz_byte(input);
	cart.has_at = shape & 4;
	cart.at = fuzz_byte(input);
	cart.nreadings = (shape & 8) != 0;
	cart.readings = &reading;
	reading.value = fuzz_number(input);
	rule.mode = (QzpayStacking) (fuzz_byte(input) % 3);
	rule.max_stacked = fuzz_byte(input) % 4;
	for (int i = 0; i < cart.nlines; i++)
	{
		lines[i].kind = (QzpayLineKind) (fuzz_byte(input) % 9);
		lines[i].product = fuzz_word(input);
		lines[i].categories = fuzz_list(input);
		lines[i].quantity = fuzz_number(input);
		lines[i].amount = fuzz_byte(input) & 3 ? (int64_t) fuzz_byte(input) * 100 - 2000 : fuzz_int64(input);
		lines[i].proration = (fuzz_byte(input) & 7) == 1;
	}
}

/* A discount, and whether it is one. */
static bool
fill_discount(FuzzInput *input, int i)
{
	static const char codes[] = "ABCDEF";
	QzpayDiscount *d = &discounts[i];
	uint8_t		shape = fuzz_byte(input);
	uint8_t		more = fuzz_byte(input);

	memset(d, 0, sizeof(*d));
	d->code.data = &codes[i];
	d->code.length = 1;
	d->trigger = (QzpayDiscountTrigger) (shape & 1);
	d->type = (QzpayDiscountType) (fuzz_byte(input) % 8);
	d->value = fuzz_byte(input) & 1 ? qzpay_decimal_int(fuzz_byte(input) % 101) : fuzz_number(input);
	d->currency = shape & 2 ? words[0] : fuzz_word(input);
	d->active = (shape & 28) != 4;
	d->stackable = shape & 32;
	d->priority = (shape >> 6) % 3;
	d->kinds = fuzz_byte(input) & 1 ? 0x7f : (unsigned) fuzz_byte(input) & 0x7f;
	d->has_periods = d->type == QZPAY_FREE_PERIOD || (more & 1);
	d->periods = 1 + fuzz_byte(input) % 3;
	if (d->type == QZPAY_VOLUME || d->type == QZPAY_AMOUNT_THRESHOLD)
	{
		d->ntiers = fuzz_byte(input) % 3;
		d->tiers = tiers[i];
		for (int k = 0; k < d->ntiers; k++)
		{
			tiers[i][k].from = qzpay_decimal_int(k * 10 + fuzz_byte(input) % 10);
			tiers[i][k].is_amount = fuzz_byte(input) & 1;
			tiers[i][k].value = qzpay_decimal_int(fuzz_byte(input) % 101);
		}
	}
	d->has_from = (more & 6) == 6;
	d->valid_from = fuzz_byte(input);
	d->has_until = (more & 24) == 24;
	d->valid_until = fuzz_byte(input);
	d->max_uses = fuzz_bound(input);
	d->max_uses_per_customer = fuzz_bound(input);
	d->min_amount = fuzz_bound(input);
	d->max_amount = fuzz_bound(input);
	d->min_quantity = fuzz_bound(input);
	d->min_quantity_per_product = fuzz_bound(input);
	d->usage_min = fuzz_bound(input);
	d->usage_max = fuzz_bound(input);
	d->usage_of = words[0];
	if ((more & 96) == 96)
		d->quantity_of = words[0];
	d->plans = fuzz_list(input);
	d->products = fuzz_list(input);
	d->bundle = fuzz_list(input);
	d->categories = fuzz_list(input);
	d->excluded_products = fuzz_list(input);
	d->excluded_categories = fuzz_list(input);
	d->segments = fuzz_list(input);
	d->from_plans = fuzz_list(input);
	d->to_plans = fuzz_list(input);
	d->has_intervals = (fuzz_byte(input) & 7) == 1;
	d->intervals = intervals;
	d->nintervals = fuzz_byte(input) % 5;
	d->first_purchase = (fuzz_byte(input) & 7) == 1;
	d->upgrade = (fuzz_byte(input) & 7) == 1;
	d->schedule.given = (fuzz_byte(input) & 7) == 1;
	d->schedule.days = fuzz_byte(input) & 0x7f;
	d->schedule.has_hours = more & 128;
	d->schedule.from = fuzz_byte(input) % 24;
	d->schedule.to = 1 + fuzz_byte(input) % 24;

	memset(&facts[i], 0, sizeof(facts[i]));
	shape = fuzz_byte(input);
	facts[i].uses = fuzz_bound(input);
	facts[i].customer_uses = fuzz_bound(input);
	facts[i].redeemed = shape & 1;
	facts[i].covered = shape & 2;
	facts[i].periods_used = (shape >> 2) % 4;
	facts[i].has_local = shape & 16;
	facts[i].weekday = fuzz_byte(input) % 7;
	facts[i].hour = fuzz_byte(input) % 24;
	return qzpay_discount_check(d) == NULL;
}

typedef struct Outcome
{
	QzpayCode	code;
	QzpayJudgement judgements[DISCOUNTS];
	int64_t		parts[DISCOUNTS][LINES];
} Outcome;

/* Applies them as they stand, or both discounts and lines from behind. */
static void
apply(Outcome *outcome, int n, bool backwards)
{
	static QzpayCartLine turned[LINES];
	const QzpayDiscount *pointers[DISCOUNTS];
	QzpayDiscountFacts given[DISCOUNTS];
	QzpayJudgement judgements[DISCOUNTS];
	int64_t		parts[DISCOUNTS][LINES];
	int			order[DISCOUNTS];
	const QzpayCartLine *sorted[LINES];
	int64_t		left[LINES];
	int64_t		shares[LINES];
	QzpayDecimal weights[LINES];
	QzpayDiscountRoom room = {order, sorted, left, shares, weights};
	QzpayCart	seen = cart;

	for (int k = 0; k < cart.nlines; k++)
		turned[k] = lines[backwards ? cart.nlines - 1 - k : k];
	seen.lines = turned;
	for (int i = 0; i < n; i++)
	{
		int			from = backwards ? n - 1 - i : i;

		pointers[i] = &discounts[from];
		given[i] = facts[from];
		judgements[i].parts = parts[i];
	}
	outcome->code = qzpay_discounts_apply(&seen, pointers, given, n, &rule, &room, judgements);
	if (outcome->code != QZPAY_OK)
		return;
	for (int i = 0; i < n; i++)
	{
		int			to = backwards ? n - 1 - i : i;

		outcome->judgements[to] = judgements[i];
		for (int k = 0; k < cart.nlines; k++)
			outcome->parts[to][backwards ? cart.nlines - 1 - k : k] = parts[i][k];
	}
}

static bool
are_twins(const QzpayCartLine *a, const QzpayCartLine *b)
{
	return a->kind == b->kind && a->amount == b->amount && qzpay_decimal_compare(a->quantity, b->quantity) == 0 &&
		(a->product.data == b->product.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	static Outcome forwards;
	static Outcome backwards;
	QzpayInstant instant;
	QzpayInt128 total = 0;
	int			n;
	int			stacked = 0;
	int			alone = 0;

	if (qzpay_instant_parse((const char *) data, length, &instant) == QZPAY_OK)
		FUZZ_CHECK(instant.civil.year >= 1 && instant.civil.year <= 9999 && instant.civil.usec_of_day < QZPAY_USEC_PER_CIVIL_DAY);
	fill_cart(&input);
	n = fuzz_byte(&input) % (DISCOUNTS + 1);
	for (int i = 0; i < n; i++)
	{
		if (!fill_discount(&input, i))
			return 0;
	}
	apply(&forwards, n, false);
	apply(&backwards, n, true);
	FUZZ_CHECK(forwards.code == backwards.code && forwards.code != QZPAY_E_INVALID);
	if (forwards.code != QZPAY_OK)
		return 0;
	for (int i = 0; i < n; i++)
	{
		const QzpayJudgement *j = &forwards.judgements[i];
		QzpayInt128 sum = 0;

		for (int k = 0; k < cart.nlines; k++)
		{
			FUZZ_CHECK(forwards.parts[i][k] >= 0);
			sum += forwards.parts[i][k];
		}
		FUZZ_CHECK(sum == j->amount && j->amount >= 0 && j->applied == (j->reason == QZPAY_REASON_NONE));
		if (discounts[i].type != QZPAY_TRIAL_EXTENSION)
		{
			FUZZ_CHECK(j->applied == (j->amount > 0) && (!j->applied || j->amount <= j->base));
			stacked += j->applied;
			alone += j->applied && !discounts[i].stackable;
		}
		else
			FUZZ_CHECK(j->amount == 0);
		FUZZ_CHECK(backwards.judgements[i].amount == j->amount && backwards.judgements[i].reason == j->reason);
		total += j->amount;
	}
	if (rule.mode == QZPAY_BEST_DISCOUNT)
		FUZZ_CHECK(stacked <= 1);
	else
		FUZZ_CHECK((alone == 0 || stacked == 1) && (rule.max_stacked == 0 || stacked <= rule.max_stacked));
	for (int k = 0; k < cart.nlines; k++)
	{
		QzpayInt128 off = 0;
		QzpayInt128 off_backwards = 0;
		bool		twin = false;

		for (int i = 0; i < n; i++)
		{
			off += forwards.parts[i][k];
			off_backwards += backwards.parts[i][k];
		}
		FUZZ_CHECK(off <= (lines[k].amount > 0 ? lines[k].amount : 0) && (off == 0 || lines[k].kind != QZPAY_LINE_BALANCE));
		for (int m = 0; m < cart.nlines; m++)
			twin |= m != k && are_twins(&lines[k], &lines[m]);
		FUZZ_CHECK(off == off_backwards || twin);
	}
	/* One by one: nothing chosen is worse than the best alone that could have been chosen. */
	for (int i = 0; i < n && rule.mode != QZPAY_AUTOMATIC_FIRST; i++)
	{
		QzpayDiscount keep = discounts[0];
		QzpayDiscountFacts keep_facts = facts[0];

		discounts[0] = discounts[i];
		facts[0] = facts[i];
		apply(&backwards, 1, false);
		discounts[0] = keep;
		facts[0] = keep_facts;
		if (rule.mode == QZPAY_BEST_DISCOUNT || !discounts[i].stackable)
			FUZZ_CHECK(total >= backwards.judgements[0].amount);
	}
	return 0;
}
