/*
 * proration_test.c
 *		Used and unused parts.
 */
#include "core/proration.h"
#include "tap.h"

#define DAY INT64_C(86400000000)

static void
test_worked(void)
{
	int64_t		credit = 0;
	int64_t		debit = 0;
	int64_t		got = 0;

	tap_note("proration, worked numbers");
	/* Starter to Pro with 17 of 31 days left. */
	tap_int(qzpay_unused(2900, 14 * DAY, 31 * DAY, QZPAY_ROUND_HALF_UP, &credit), QZPAY_OK, "credit");
	tap_int(credit, 1590, "2900 - round(2900 * 14 / 31)");
	tap_int(qzpay_prorate(9900, 17, 31, QZPAY_ROUND_HALF_UP, &debit), QZPAY_OK, "debit");
	tap_int(debit, 5429, "round(9900 * 17 / 31)");
	tap_int(debit - credit, 3839, "due");
	tap_int(qzpay_prorate(5000, 22, 31, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "from 10 August");
	tap_int(got, 3548, "22 days of 50.00");
	tap_int(qzpay_prorate(10000, 14, 31, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "until 15 January");
	tap_int(got, 4516, "14 days of 100.00");
	tap_int(qzpay_prorate(20000, 17, 31, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "from 15 January");
	tap_int(got, 10968, "17 days of 200.00");
	tap_int(qzpay_prorate(3000, 10, 31, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "10 days of July");
	tap_int(got, 968, "10 days of 30.00");
	tap_int(qzpay_prorate(120000, 60, 366, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "leap year");
	tap_int(got, 19672, "60 days of 1,200.00");
	tap_int(qzpay_prorate(120000, 60, 365, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "common year");
	tap_int(got, 19726, "60 days of 1,200.00");
}

static void
test_edges(void)
{
	int64_t		got = 0;

	tap_note("proration");
	tap_int(qzpay_unused(6930, 0, 100, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "at the start");
	tap_int(got, 6930, "the whole net debit comes back");
	tap_int(qzpay_unused(6930, 100, 100, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "at the end");
	tap_int(got, 0, "nothing is left");
	qzpay_prorate(1, 1, 2, QZPAY_ROUND_HALF_UP, &got);
	tap_int(got, 1, "half a cent is used");
	qzpay_unused(1, 1, 2, QZPAY_ROUND_HALF_UP, &got);
	tap_int(got, 0, "and the rest is unused");
	qzpay_prorate(1, 1, 2, QZPAY_ROUND_HALF_EVEN, &got);
	tap_int(got, 0, "half to even");
	qzpay_prorate(-2900, 14, 31, QZPAY_ROUND_HALF_UP, &got);
	tap_int(got, -1310, "negative amounts mirror positive ones");
	qzpay_unused(-2900, 14, 31, QZPAY_ROUND_HALF_UP, &got);
	tap_int(got, -1590, "their rest too");
	tap_int(qzpay_prorate(INT64_MIN, INT64_MAX / 2, INT64_MAX - 1, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "extremes");
	tap_int(got, INT64_MIN / 2, "half of everything");
	tap_int(qzpay_unused(INT64_MIN, INT64_MAX, INT64_MAX, QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "extremes, all used");
	tap_int(got, 0, "nothing left");
	tap_int(qzpay_prorate(1, 1, 0, QZPAY_ROUND_HALF_UP, &got), QZPAY_E_RANGE, "part of nothing");
	tap_int(qzpay_prorate(1, -1, 5, QZPAY_ROUND_HALF_UP, &got), QZPAY_E_RANGE, "negative part");
	tap_int(qzpay_unused(1, 6, 5, QZPAY_ROUND_HALF_UP, &got), QZPAY_E_RANGE, "more than the whole");
}

/* A chain of changes inside one period: used parts are what debits less credits leave, and never far from the ideal. */
static void
test_chain(void)
{
	static const int64_t prices[] = {990, 2900, 9900, 101, 7};
	uint64_t	seed = 99;
	bool		exact = true;

	tap_note("proration, chains");
	for (int round = 0; round < 5000; round++)
	{
		int64_t		start = 0;
		int64_t		end = 31 * DAY;
		int64_t		debits = 0;
		int64_t		credits = 0;
		int64_t		used_parts = 0;
		int64_t		net = prices[round % 5];

		debits = net;
		for (int change = 0; change < 6; change++)
		{
			int64_t		used;
			int64_t		unused;
			int64_t		at;

			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			at = start + (int64_t) (seed % (uint64_t) (end - start));
			exact &= qzpay_prorate(net, at - start, end - start, QZPAY_ROUND_HALF_UP, &used) == QZPAY_OK;
			exact &= qzpay_unused(net, at - start, end - start, QZPAY_ROUND_HALF_UP, &unused) == QZPAY_OK;
			exact &= used + unused == net && used >= 0 && unused >= 0;
			/* Within half a unit of the ideal: |used * length - net * elapsed| * 2 <= length. */
			{
				QzpayInt128 error = (QzpayInt128) used * (end - start) - (QzpayInt128) net * (at - start);

				exact &= (error < 0 ? -error : error) * 2 <= end - start;
			}
			used_parts += used;
			credits += unused;
			exact &= qzpay_prorate(prices[(round + change) % 5], end - at, 31 * DAY, QZPAY_ROUND_HALF_UP, &net) == QZPAY_OK;
			debits += net;
			start = at;
		}
		used_parts += net;
		exact &= used_parts == debits - credits;
	}
	tap_ok(exact, "the used parts are exactly the debits less the credits");
}

int
main(void)
{
	test_worked();
	test_edges();
	test_chain();
	return tap_done();
}
