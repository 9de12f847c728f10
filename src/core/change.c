/*
 * change.c
 *		Whether a change of plan goes up or down.
 */
#include "core/change.h"

#include <stdint.h>

#include "core/calendar.h"

static QzpayDirection
direction(int64_t from, int64_t to)
{
	return to > from ? QZPAY_UPGRADE : to < from ? QZPAY_DOWNGRADE : QZPAY_LATERAL;
}

/* Compares two intervals by how many of them make a month: the fewer, the longer. */
static QzpayDirection
longer(const QzpayOffer *from, const QzpayOffer *to)
{
	int64_t		n[2];
	int64_t		d[2];

	if (qzpay_month_equivalent(from->unit, from->count, &n[0], &d[0]) != QZPAY_OK ||
		qzpay_month_equivalent(to->unit, to->count, &n[1], &d[1]) != QZPAY_OK)
		return QZPAY_LATERAL;
	return direction(n[1] * d[0], n[0] * d[1]);
}

/*
 * qzpay_change_direction
 *		The rank decides; then the longer interval or the greater quantity; else the price.
 *
 * price_order is the sign of the difference of what both cost in a month.
 * Plans of which one has no rank are told apart by the rest.
 */
QzpayDirection
qzpay_change_direction(const QzpayOffer *from, const QzpayOffer *to, int price_order)
{
	QzpayDirection result = QZPAY_LATERAL;

	if (from->ranked && to->ranked)
		result = direction(from->rank, to->rank);
	if (result == QZPAY_LATERAL)
		result = longer(from, to);
	if (result == QZPAY_LATERAL)
		result = direction(from->quantity, to->quantity);
	if (result == QZPAY_LATERAL)
		result = direction(0, price_order);
	return result;
}
