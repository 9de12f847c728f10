/*
 * change.h
 *		Whether a change of plan goes up or down.
 */
#ifndef QZPAY_CHANGE_H
#define QZPAY_CHANGE_H

#include <stdbool.h>

#include "core/calendar.h"

typedef enum QzpayDirection
{
	QZPAY_DOWNGRADE = -1,
	QZPAY_LATERAL = 0,
	QZPAY_UPGRADE = 1
} QzpayDirection;

/* What is held before or after a change. */
typedef struct QzpayOffer
{
	bool		ranked;			/* the plan has a tier rank */
	int			rank;
	QzpayUnit	unit;			/* the billing interval */
	int			count;
	int			quantity;
} QzpayOffer;

extern QzpayDirection qzpay_change_direction(const QzpayOffer *from, const QzpayOffer *to, int price_order);

#endif							/* QZPAY_CHANGE_H */
