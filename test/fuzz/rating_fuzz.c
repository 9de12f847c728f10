/*
 * rating_fuzz.c
 *		Ratings against an oracle that knows no limit and goes another way.
 *
 * Graduated: price i times (min(q, bound i) - min(q, bound i-1)), over all tiers.  Volume: from the last tier down, the lowest one that
 * still holds q.  Package: counted up from the quotient.  Models that rate amounts: always event by event, each by its place in the running
 * sums of quantities and amounts, whatever the core goes by.  Both ways of the core, narrow and wide, have to agree with it.
 */
#include "core/rating.h"
#include "exact.h"

#define MAX_EVENTS 6
#define SPLIT_SCALE 6

static QzpayPricing pricing;
static QzpayUse events[MAX_EVENTS];
static QzpayUsage usage;

static QzpayDecimal
fuzz_positive(FuzzInput *input)
{
	QzpayDecimal value = fuzz_decimal(input);

	if (value.coef < 0)
		value.coef = -value.coef;
	return value;
}

/* *total += a * b */
static void
add_product(BIGNUM *total, const BIGNUM *a, QzpayDecimal b, BN_CTX *ctx)
{
	BIGNUM	   *factor = exact_decimal(b);
	BIGNUM	   *product = BN_new();
	BIGNUM	   *unit = exact_power(EXACT_SCALE);
	BIGNUM	   *rest = BN_new();

	FUZZ_CHECK(BN_mul(product, a, factor, ctx) && BN_div(product, rest, product, unit, ctx) && BN_is_zero(rest));
	FUZZ_CHECK(BN_add(total, total, product));
	BN_free(factor);
	BN_free(product);
	BN_free(unit);
	BN_free(rest);
}

static void
add_decimal(BIGNUM *total, QzpayDecimal b)
{
	BIGNUM	   *number = exact_decimal(b);

	FUZZ_CHECK(BN_add(total, total, number));
	BN_free(number);
}

static void
oracle_graduated(BIGNUM *total, const BIGNUM *quantity, BN_CTX *ctx)
{
	BIGNUM	   *below = BN_new();

	BN_zero(below);
	for (int i = 0; i < pricing.ntiers; i++)
	{
		const QzpayTier *t = &pricing.tiers[i];
		BIGNUM	   *bound = t->open ? BN_dup(quantity) : exact_decimal(t->up_to);
		BIGNUM	   *units = BN_new();

		/* Entered: something lies above the bound below; the first one also by rule. */
		if (BN_cmp(quantity, below) > 0 || (i == 0 && pricing.flat_on_zero))
			add_decimal(total, t->flat_amount);
		if (BN_cmp(bound, quantity) > 0)
			FUZZ_CHECK(BN_copy(bound, quantity));
		if (BN_cmp(below, quantity) > 0)
			FUZZ_CHECK(BN_copy(below, quantity));
		FUZZ_CHECK(BN_sub(units, bound, below));
		add_product(total, units, t->unit_amount, ctx);
		BN_free(below);
		below = bound;
		BN_free(units);
	}
	BN_free(below);
}

static void
oracle_volume(BIGNUM *total, const BIGNUM *quantity, BN_CTX *ctx)
{
	int			holds = pricing.ntiers - 1;

	for (int i = pricing.ntiers - 2; i >= 0; i--)
	{
		BIGNUM	   *bound = exact_decimal(pricing.tiers[i].up_to);

		if (BN_cmp(quantity, bound) <= 0)
			holds = i;
		BN_free(bound);
	}
	add_product(total, quantity, pricing.tiers[holds].unit_amount, ctx);
	if (!BN_is_zero(quantity) || pricing.flat_on_zero)
		add_decimal(total, pricing.tiers[holds].flat_amount);
}

static void
oracle_package(BIGNUM *total, const BIGNUM *quantity, BN_CTX *ctx)
{
	BIGNUM	   *size = exact_decimal(pricing.size);
	BIGNUM	   *amount = exact_decimal(pricing.amount);
	BIGNUM	   *packages = BN_new();
	BIGNUM	   *held = BN_new();

	FUZZ_CHECK(BN_div(packages, NULL, quantity, size, ctx) && BN_mul(held, packages, size, ctx));
	while (BN_cmp(held, quantity) < 0)
		FUZZ_CHECK(BN_add_word(packages, 1) && BN_add(held, held, size));
	FUZZ_CHECK(BN_mul(total, packages, amount, ctx));
	BN_free(size);
	BN_free(amount);
	BN_free(packages);
	BN_free(held);
}

/* *total no less than a minimum and no more than a maximum. */
static void
oracle_bounds(BIGNUM *total, bool has_minimum, QzpayDecimal minimum, bool has_maximum, QzpayDecimal maximum)
{
	BIGNUM	   *low = exact_decimal(has_minimum ? minimum : qzpay_decimal_int(0));
	BIGNUM	   *high = exact_decimal(has_maximum ? maximum : qzpay_decimal_int(0));

	if (has_minimum && BN_cmp(total, low) < 0)
		FUZZ_CHECK(BN_copy(total, low));
	if (has_maximum && BN_cmp(total, high) > 0)
		FUZZ_CHECK(BN_copy(total, high));
	BN_free(low);
	BN_free(high);
}

/*
 * The amount of an event times its units beyond by all its units, half up at the split's decimals or the amount's if those are more;
 * exactly where the amount is the units.
 */
static BIGNUM *
oracle_part(QzpayDecimal amount, const BIGNUM *beyond, const BIGNUM *units, BN_CTX *ctx)
{
	BIGNUM	   *number = exact_decimal(amount);
	int			scale = amount.scale > SPLIT_SCALE ? amount.scale : SPLIT_SCALE;
	BIGNUM	   *step = exact_power(EXACT_SCALE - scale);
	BIGNUM	   *divisor = BN_new();
	BIGNUM	   *result = BN_new();

	if (BN_cmp(number, units) == 0)
	{
		BN_free(step);
		BN_free(divisor);
		BN_free(number);
		FUZZ_CHECK(BN_copy(result, beyond));
		return result;
	}
	/* floor((2 amount beyond + units step) / (2 units step)) steps */
	FUZZ_CHECK(BN_mul(number, number, beyond, ctx) && BN_lshift1(number, number));
	FUZZ_CHECK(BN_mul(divisor, units, step, ctx) && BN_add(number, number, divisor) && BN_lshift1(divisor, divisor));
	FUZZ_CHECK(BN_div(result, NULL, number, divisor, ctx) && BN_mul(result, result, step, ctx));
	BN_free(number);
	BN_free(step);
	BN_free(divisor);
	return result;
}

/* What of an event of a percentage is not free, given what the events before it were worth; NULL when it is wholly free. */
static BIGNUM *
oracle_paid(const BIGNUM *amount, const BIGNUM *before, int64_t n_before)
{
	BIGNUM	   *limit = exact_decimal(pricing.has_free_amount ? pricing.free_amount : qzpay_decimal_int(0));
	BIGNUM	   *after = BN_new();
	BIGNUM	   *paid = BN_dup(amount);

	FUZZ_CHECK(BN_add(after, before, amount));
	if ((pricing.has_free_events || pricing.has_free_amount) && !(pricing.has_free_events && n_before >= pricing.free_events) &&
		!(pricing.has_free_amount && BN_cmp(before, limit) >= 0))
	{
		if (pricing.has_free_amount && BN_cmp(after, limit) > 0)
			FUZZ_CHECK(BN_sub(paid, after, limit));
		else
		{
			BN_free(paid);
			paid = NULL;
		}
	}
	BN_free(limit);
	BN_free(after);
	return paid;
}

/* Adds the fee of an event, of which so much is to be paid. */
static void
oracle_fee(BIGNUM *total, const BIGNUM *paid, BN_CTX *ctx)
{
	BIGNUM	   *fee = BN_new();

	BN_zero(fee);
	add_product(fee, paid, pricing.unit_amount, ctx);
	add_decimal(fee, pricing.amount);
	oracle_bounds(fee, pricing.has_event_minimum, pricing.event_minimum, pricing.has_event_maximum, pricing.event_maximum);
	FUZZ_CHECK(BN_add(total, total, fee));
	BN_free(fee);
}

static void
oracle_events(BIGNUM *total, BN_CTX *ctx)
{
	BIGNUM	   *included = exact_decimal(usage.included);
	BIGNUM	   *used = BN_new();
	BIGNUM	   *worth = BN_new();	/* of the events beyond what is included, so far */
	int64_t		n_beyond = 0;

	BN_zero(used);
	BN_zero(worth);
	for (int i = 0; i < usage.n_events; i++)
	{
		BIGNUM	   *units = exact_decimal(events[i].quantity);
		BIGNUM	   *beyond = BN_new();
		bool		was_beyond = BN_cmp(used, included) >= 0;
		BIGNUM	   *amount;
		BIGNUM	   *paid;

		FUZZ_CHECK(BN_add(used, used, units) && BN_sub(beyond, used, included));
		if (was_beyond || BN_cmp(used, included) > 0)
		{
			amount = was_beyond ? exact_decimal(events[i].amount) : oracle_part(events[i].amount, beyond, units, ctx);
			if (pricing.model == QZPAY_MODEL_PERCENTAGE)
			{
				paid = oracle_paid(amount, worth, n_beyond);
				if (paid != NULL)
					oracle_fee(total, paid, ctx);
				BN_free(paid);
			}
			FUZZ_CHECK(BN_add(worth, worth, amount));
			n_beyond++;
			BN_free(amount);
		}
		BN_free(units);
		BN_free(beyond);
	}
	if (pricing.model == QZPAY_MODEL_DYNAMIC)
		add_product(total, worth, pricing.unit_amount, ctx);
	if (pricing.model == QZPAY_MODEL_GRADUATED_PERCENTAGE)
		oracle_graduated(total, worth, ctx);
	BN_free(included);
	BN_free(used);
	BN_free(worth);
}

static BIGNUM *
oracle(BN_CTX *ctx)
{
	BIGNUM	   *total = BN_new();
	BIGNUM	   *units = exact_decimal(usage.quantity);
	BIGNUM	   *free_units = exact_decimal(usage.included);

	BN_zero(total);
	FUZZ_CHECK(BN_sub(units, units, free_units));
	if (BN_is_negative(units))
		BN_zero(units);
	switch (pricing.model)
	{
		case QZPAY_MODEL_FLAT:
			add_decimal(total, pricing.amount);
			break;
		case QZPAY_MODEL_PER_UNIT:
			add_product(total, units, pricing.unit_amount, ctx);
			break;
		case QZPAY_MODEL_PACKAGE:
			oracle_package(total, units, ctx);
			break;
		case QZPAY_MODEL_GRADUATED:
			oracle_graduated(total, units, ctx);
			break;
		case QZPAY_MODEL_VOLUME:
			oracle_volume(total, units, ctx);
			break;
		case QZPAY_MODEL_PERCENTAGE:
		case QZPAY_MODEL_GRADUATED_PERCENTAGE:
		case QZPAY_MODEL_DYNAMIC:
			oracle_events(total, ctx);
			break;
	}
	oracle_bounds(total, pricing.has_minimum, pricing.minimum, pricing.has_maximum, pricing.maximum);
	BN_free(units);
	BN_free(free_units);
	return total;
}

/* Whether a decimal is small enough that no rating with others like it may fail. */
static bool
is_small(QzpayDecimal value)
{
	return value.scale <= 4 && value.coef <= INT32_MAX;
}

static bool
fill_pricing(FuzzInput *input)
{
	uint8_t		shape = fuzz_byte(input);
	bool		small;

	memset(&pricing, 0, sizeof(pricing));
	pricing.model = (QzpayModel) (fuzz_byte(input) % 8);
	pricing.flat_on_zero = shape & 1;
	pricing.has_minimum = (shape & 6) == 6;
	pricing.has_maximum = (shape & 24) == 24;
	pricing.amount = fuzz_positive(input);
	pricing.unit_amount = fuzz_positive(input);
	pricing.size = fuzz_positive(input);
	pricing.minimum = fuzz_positive(input);
	pricing.maximum = fuzz_positive(input);
	small = is_small(pricing.amount) && is_small(pricing.unit_amount) && is_small(pricing.size) && is_small(pricing.minimum) &&
		is_small(pricing.maximum);
	if (pricing.model == QZPAY_MODEL_PERCENTAGE)
	{
		uint8_t		options = fuzz_byte(input);

		pricing.has_free_events = options & 1;
		pricing.has_free_amount = options & 2;
		pricing.has_event_minimum = (options & 12) == 12;
		pricing.has_event_maximum = (options & 48) == 48;
		pricing.free_events = fuzz_byte(input) % 8;
		pricing.free_amount = fuzz_positive(input);
		pricing.event_minimum = fuzz_positive(input);
		pricing.event_maximum = fuzz_positive(input);
		small &= is_small(pricing.free_amount) && is_small(pricing.event_minimum) && is_small(pricing.event_maximum);
	}
	pricing.ntiers = 1 + (shape >> 5) % 5;
	for (int i = 0; i < pricing.ntiers; i++)
	{
		QzpayTier  *t = &pricing.tiers[i];

		t->open = i == pricing.ntiers - 1;
		t->up_to = fuzz_positive(input);
		/* Bounds that rise, where the sum fits. */
		if (i > 0)
			(void) qzpay_decimal_add(t->up_to, pricing.tiers[i - 1].up_to, &t->up_to);
		t->unit_amount = fuzz_positive(input);
		t->flat_amount = fuzz_positive(input);
		small &= is_small(t->up_to) && is_small(t->unit_amount) && is_small(t->flat_amount);
	}
	return small;
}

/* Usage from a few events, which totals may hide; false when the events don't add up to numbers of the core. */
static bool
fill_usage(FuzzInput *input, bool *small)
{
	uint8_t		shape = fuzz_byte(input);

	memset(&usage, 0, sizeof(usage));
	usage.included = shape & 8 ? fuzz_positive(input) : qzpay_decimal_int(0);
	usage.has_amount = shape & 16;
	usage.n_events = shape % 8 % (MAX_EVENTS + 1);
	usage.events = events;
	*small &= is_small(usage.included);
	for (int i = 0; i < usage.n_events; i++)
	{
		events[i].quantity = fuzz_positive(input);
		events[i].amount = usage.has_amount && fuzz_byte(input) % 4 != 0 ? fuzz_positive(input) : events[i].quantity;
		*small &= is_small(events[i].quantity) && is_small(events[i].amount);
		if (qzpay_decimal_add(usage.quantity, events[i].quantity, &usage.quantity) != QZPAY_OK ||
			qzpay_decimal_add(usage.amount, events[i].amount, &usage.amount) != QZPAY_OK)
			return false;
	}
	return true;
}

/* Rates along both ways, with what is known of the usage. */
static void
check_rating(const BIGNUM *wanted, bool small)
{
	bool		narrow = pricing.narrow;
	QzpayDecimal exact;
	QzpayCode	code;

	for (int way = narrow; way >= 0; way--)
	{
		pricing.narrow = way;
		code = qzpay_rate_usage(&pricing, &usage, &exact);
		if (code == QZPAY_OK)
			FUZZ_CHECK(qzpay_decimal_valid(exact) && exact_is(wanted, exact));
		else
			FUZZ_CHECK(!small && (code == QZPAY_E_OVERFLOW || code == QZPAY_E_SCALE));
	}
	pricing.narrow = narrow;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	BN_CTX	   *ctx;
	bool		small = fill_pricing(&input);
	bool		adds_up = fill_usage(&input, &small);
	QzpayDecimal exact;
	const char *reason;
	BIGNUM	   *wanted;
	int			tier;

	if (qzpay_pricing_prepare(&pricing, &reason, &tier) != QZPAY_OK)
	{
		FUZZ_CHECK(reason != NULL && tier >= -1 && tier < pricing.ntiers);
		FUZZ_CHECK(qzpay_rate_usage(&pricing, &usage, &exact) == QZPAY_E_INVALID);
		return 0;
	}
	if (!adds_up)
		return 0;
	ctx = BN_CTX_new();
	wanted = oracle(ctx);
	check_rating(wanted, small);
	/* Without what is not needed. */
	if (qzpay_rating_need(&pricing, &usage) != QZPAY_NEEDS_EVENTS)
	{
		usage.events = NULL;
		if (qzpay_rating_need(&pricing, &usage) == QZPAY_NEEDS_TOTALS && usage.n_events > 0)
			usage.n_events = -1;
		check_rating(wanted, small);
	}
	else
	{
		usage.events = NULL;
		FUZZ_CHECK(qzpay_rate_usage(&pricing, &usage, &exact) == QZPAY_E_INVALID);
	}
	BN_free(wanted);
	BN_CTX_free(ctx);
	return 0;
}
