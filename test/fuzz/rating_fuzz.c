/*
 * rating_fuzz.c
 *		Ratings against an oracle that knows no limit and goes another way.
 *
 * Graduated: price i times (min(q, bound i) - min(q, bound i-1)), over all tiers.  Volume: from the last tier down, the lowest one that
 * still holds q.  Package: counted up from the quotient.  Both ways of the core, narrow and wide, have to agree with it.
 */
#include "core/rating.h"
#include "exact.h"

static QzpayPricing pricing;

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

static BIGNUM *
oracle(QzpayDecimal quantity, QzpayDecimal included, BN_CTX *ctx)
{
	BIGNUM	   *total = BN_new();
	BIGNUM	   *units = exact_decimal(quantity);
	BIGNUM	   *free_units = exact_decimal(included);
	BIGNUM	   *bound;

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
	}
	bound = exact_decimal(pricing.has_minimum ? pricing.minimum : qzpay_decimal_int(0));
	if (pricing.has_minimum && BN_cmp(total, bound) < 0)
		FUZZ_CHECK(BN_copy(total, bound));
	BN_free(bound);
	bound = exact_decimal(pricing.has_maximum ? pricing.maximum : qzpay_decimal_int(0));
	if (pricing.has_maximum && BN_cmp(total, bound) > 0)
		FUZZ_CHECK(BN_copy(total, bound));
	BN_free(bound);
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
	pricing.model = (QzpayModel) (fuzz_byte(input) % 5);
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	BN_CTX	   *ctx = BN_CTX_new();
	bool		small = fill_pricing(&input);
	QzpayDecimal quantity = fuzz_positive(&input);
	QzpayDecimal included = fuzz_positive(&input);
	QzpayDecimal exact;
	const char *reason;
	BIGNUM	   *wanted;
	QzpayCode	code;
	int			tier;

	if (qzpay_pricing_prepare(&pricing, &reason, &tier) != QZPAY_OK)
	{
		FUZZ_CHECK(reason != NULL && tier >= -1 && tier < pricing.ntiers);
		FUZZ_CHECK(qzpay_rate(&pricing, quantity, included, &exact) == QZPAY_E_INVALID);
		BN_CTX_free(ctx);
		return 0;
	}
	small = small && is_small(quantity) && is_small(included);
	wanted = oracle(quantity, included, ctx);
	for (int way = pricing.narrow; way >= 0; way--)
	{
		pricing.narrow = way;
		code = qzpay_rate(&pricing, quantity, included, &exact);
		if (code == QZPAY_OK)
			FUZZ_CHECK(qzpay_decimal_valid(exact) && exact_is(wanted, exact));
		else
			FUZZ_CHECK(!small && (code == QZPAY_E_OVERFLOW || code == QZPAY_E_SCALE));
	}
	BN_free(wanted);
	BN_CTX_free(ctx);
	return 0;
}
