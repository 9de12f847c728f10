/*
 * rate_test.c
 *		So many per minute, against a log of every taking.
 */
#include "core/rate.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define SECOND INT64_C(1000000)

/* Takes and says: 1 allowed, 0 refused. */
static int
take(QzpayRate *rate, int64_t now, uint32_t limit, uint32_t cost)
{
	QzpayRateAnswer answer;

	qzpay_rate_take(rate, now, limit, cost, &answer);
	return answer.allowed;
}

static void
test_by_hand(void)
{
	QzpayRate	rate = {0};
	QzpayRateAnswer answer;
	int64_t		start = INT64_C(1000000000) * SECOND;	/* a part begins one second before */

	tap_note("by hand");
	for (int i = 0; i < 10; i++)
		tap_int(take(&rate, start + i, 10, 1), 1, "%d of 10", i + 1);
	qzpay_rate_take(&rate, start + 10, 10, 1, &answer);
	tap_int(answer.allowed, false, "the eleventh is refused");
	tap_int(answer.used, 10, "and not counted");
	tap_ok(answer.retry_after > 59 * SECOND && answer.retry_after <= 63 * SECOND, "until a minute, or three seconds more, is over");
	tap_int(take(&rate, start + 10 + answer.retry_after - 1, 10, 1), 0, "not a microsecond before that");
	tap_int(take(&rate, start + 10 + answer.retry_after, 10, 10), 1, "then all of it");
	qzpay_rate_take(&rate, start + 80 * SECOND, 10, 11, &answer);
	tap_int(answer.retry_after, -1, "more than the limit at once is never allowed");
	tap_int(take(&rate, start + 80 * SECOND, 0, 0), 0, "a limit that fell below what was taken");
	tap_int(take(&rate, start + 200 * SECOND, 0, 0), 1, "nothing of nothing");
	tap_int(take(&rate, start + 200 * SECOND, 0, 1), 0, "one of nothing");
	tap_int(take(&rate, start + 200 * SECOND, UINT32_MAX, UINT32_MAX), 1, "as much as can be counted");
	tap_int(take(&rate, start + 200 * SECOND, UINT32_MAX, 1), 0, "and no more");

	tap_note("clocks");
	memset(&rate, 0, sizeof(rate));
	tap_int(take(&rate, start, 1, 1), 1, "taken");
	tap_int(take(&rate, start - 5 * SECOND, 1, 1), 0, "a clock set back a little doesn't forget");
	tap_ok(!qzpay_rate_is_idle(&rate, start), "what counts is not idle");
	tap_ok(qzpay_rate_is_idle(&rate, start + 70 * SECOND), "after a minute it is");
	tap_ok(qzpay_rate_is_idle(&rate, start - 3600 * SECOND), "and when the clock was set back far");
	tap_int(take(&rate, start - 3600 * SECOND, 1, 1), 1, "which begins anew");
	memset(&rate, 0, sizeof(rate));
	tap_int(take(&rate, -start - 1, 1, 1), 1, "before the epoch");
	tap_int(take(&rate, -start - 1 + 59 * SECOND, 1, 1), 0, "there are minutes too");
	tap_int(take(&rate, -start - 1 + 63 * SECOND, 1, 1), 1, "that end");
}

/* Random takings: no 60 seconds ever have more than the limit, and what is refused would be too much in 63. */
static void
test_at_random(void)
{
	enum { N = 4000 };
	static int64_t at[N];
	static uint32_t costs[N];
	int			broken = 0;
	int			too_strict = 0;
	int			wrong_retry = 0;
	int			refused = 0;

	tap_note("at random");
	srand(7);
	for (int round = 0; round < 5; round++)
	{
		QzpayRate	rate = {0};
		uint32_t	limit = 5 + rand() % 60;
		int64_t		now = INT64_C(1700000000) * SECOND + rand();
		int			n = 0;

		for (int i = 0; i < N; i++)
		{
			uint32_t	cost = rand() % 4;
			QzpayRateAnswer answer;
			uint64_t	in_63 = 0;

			now += rand() % (rand() % 8 == 0 ? 20 * SECOND : SECOND / 2);
			for (int j = n - 1; j >= 0 && at[j] > now - 63 * SECOND; j--)
				in_63 += costs[j];
			qzpay_rate_take(&rate, now, limit, cost, &answer);
			if (answer.allowed)
			{
				at[n] = now;
				costs[n] = cost;
				n++;
			}
			else
			{
				QzpayRate	later = rate;
				QzpayRateAnswer again;

				refused++;
				too_strict += in_63 + cost <= limit;
				qzpay_rate_take(&later, now + answer.retry_after - 1, limit, cost, &again);
				wrong_retry += again.allowed;
				later = rate;
				qzpay_rate_take(&later, now + answer.retry_after, limit, cost, &again);
				wrong_retry += !again.allowed;
			}
		}
		for (int i = 0; i < n; i++)
		{
			uint64_t	sum = 0;

			for (int j = i; j < n && at[j] < at[i] + 60 * SECOND; j++)
				sum += costs[j];
			broken += sum > limit;
		}
	}
	tap_ok(refused > 100, "some were refused");
	tap_int(broken, 0, "no minute has more than the limit");
	tap_int(too_strict, 0, "nothing is refused that 63 seconds would allow");
	tap_int(wrong_retry, 0, "the time to wait is exact");
}

int
main(void)
{
	test_by_hand();
	test_at_random();
	return tap_done();
}
