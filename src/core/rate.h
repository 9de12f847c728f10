/*
 * rate.h
 *		So many per minute: what was taken in the last 60 seconds.
 */
#ifndef QZPAY_RATE_H
#define QZPAY_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* The minute is cut in parts; one more stands for the one that has begun. */
#define QZPAY_RATE_PART_USEC	INT64_C(3000000)
#define QZPAY_RATE_PARTS		21

/* Zeroed, it has counted nothing. */
typedef struct QzpayRate
{
	int64_t		part;			/* number of the newest part, counted from the epoch */
	uint32_t	counts[QZPAY_RATE_PARTS];	/* of part n at n modulo PARTS */
} QzpayRate;

typedef struct QzpayRateAnswer
{
	bool		allowed;
	uint32_t	used;			/* in the last 60 seconds, what was just taken included */
	int64_t		retry_after;	/* microseconds until it would be allowed; 0: now, -1: never */
} QzpayRateAnswer;

extern bool qzpay_rate_is_idle(const QzpayRate *rate, int64_t now);
extern void qzpay_rate_take(QzpayRate *rate, int64_t now, uint32_t limit, uint32_t cost, QzpayRateAnswer *answer);

#endif							/* QZPAY_RATE_H */
