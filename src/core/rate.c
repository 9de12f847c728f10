/*
 * rate.c
 *		So many per minute: what was taken in the last 60 seconds.
 *
 * The parts of 3 seconds that reach into the last 60 count in full, so that no minute, wherever it begins, ever has more than the limit;
 * the price is that what was taken counts up to 3 seconds longer than it would have to.
 */
#include "core/rate.h"

#include <string.h>

static int64_t
part_of(int64_t now)
{
	return now / QZPAY_RATE_PART_USEC - (now % QZPAY_RATE_PART_USEC < 0 ? 1 : 0);
}

/* Drops the parts that are more than a minute old. */
static void
advance(QzpayRate *rate, int64_t part)
{
	int64_t		gone = part - rate->part;

	/* A clock that is set back a little changes nothing; one that is set back further must not stop everything until it is there again. */
	if (gone <= 0 && gone > -QZPAY_RATE_PARTS)
		return;
	if (gone <= 0 || gone >= QZPAY_RATE_PARTS)
		memset(rate->counts, 0, sizeof(rate->counts));
	else
	{
		for (int64_t n = rate->part + 1; n <= part; n++)
			rate->counts[(n % QZPAY_RATE_PARTS + QZPAY_RATE_PARTS) % QZPAY_RATE_PARTS] = 0;
	}
	rate->part = part;
}

static uint32_t *
count_of(QzpayRate *rate, int64_t part)
{
	return &rate->counts[(part % QZPAY_RATE_PARTS + QZPAY_RATE_PARTS) % QZPAY_RATE_PARTS];
}

/* Whether nothing that was taken counts any more. */
bool
qzpay_rate_is_idle(const QzpayRate *rate, int64_t now)
{
	int64_t		gone = part_of(now) - rate->part;

	return gone >= QZPAY_RATE_PARTS || gone <= -QZPAY_RATE_PARTS;
}

/*
 * qzpay_rate_take
 *		Takes cost, at most the limit in 60 seconds; takes nothing when that is exceeded.
 */
void
qzpay_rate_take(QzpayRate *rate, int64_t now, uint32_t limit, uint32_t cost, QzpayRateAnswer *answer)
{
	uint64_t	used = 0;
	uint64_t	left;
	int64_t		part;

	advance(rate, part_of(now));
	for (int i = 0; i < QZPAY_RATE_PARTS; i++)
		used += rate->counts[i];
	answer->allowed = used + cost <= limit;
	answer->retry_after = 0;
	if (answer->allowed)
	{
		*count_of(rate, rate->part) += cost;
		answer->used = (uint32_t) (used + cost);
		return;
	}
	answer->used = used > UINT32_MAX ? UINT32_MAX : (uint32_t) used;
	answer->retry_after = -1;
	if (cost > limit)
		return;
	/* Part n stops counting with the beginning of part n + PARTS. */
	left = used;
	for (part = rate->part - QZPAY_RATE_PARTS + 1; left + cost > limit; part++)
		left -= *count_of(rate, part);
	answer->retry_after = (part - 1 + QZPAY_RATE_PARTS) * QZPAY_RATE_PART_USEC - now;
}
