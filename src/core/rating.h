/*
 * rating.h
 *		Pricing models: from a quantity to an exact amount, in minor units with decimals.
 */
#ifndef QZPAY_RATING_H
#define QZPAY_RATING_H

#include <stdbool.h>

#include "core/code.h"
#include "core/money.h"

#define QZPAY_MAX_TIERS 100

typedef enum QzpayModel
{
	QZPAY_MODEL_FLAT,			/* an amount, whatever the quantity */
	QZPAY_MODEL_PER_UNIT,		/* quantity × unit amount */
	QZPAY_MODEL_GRADUATED,		/* each tier prices the units inside it */
	QZPAY_MODEL_VOLUME,			/* one tier, found by the total, prices all units */
	QZPAY_MODEL_PACKAGE			/* an amount per started package */
} QzpayModel;

typedef struct QzpayTier
{
	bool		open;			/* the last tier: no upper bound */
	QzpayDecimal up_to;			/* cumulative and inclusive */
	QzpayDecimal unit_amount;
	QzpayDecimal flat_amount;	/* due once when the tier is entered */
} QzpayTier;

/*
 * Amounts are minor units per unit of quantity, with decimals.  Fill it in,
 * then call qzpay_pricing_prepare once; qzpay_rate takes only prepared ones.
 */
typedef struct QzpayPricing
{
	QzpayModel	model;
	QzpayDecimal amount;		/* flat, package */
	QzpayDecimal unit_amount;	/* per unit */
	QzpayDecimal size;			/* units in a package */
	bool		flat_on_zero;	/* the first tier's flat amount is due without usage */
	bool		has_minimum;	/* bounds of the result, whatever the model */
	bool		has_maximum;
	QzpayDecimal minimum;
	QzpayDecimal maximum;
	int			ntiers;
	QzpayTier	tiers[QZPAY_MAX_TIERS];

	/* Set by prepare. */
	bool		prepared;
	bool		narrow;			/* every number fits int64_t at these scales */
	int			unit_scale;		/* of sizes and bounds */
	int			price_scale;	/* of amounts */
} QzpayPricing;

extern QzpayCode qzpay_model_parse(const char *name, QzpayModel *model);
extern QzpayCode qzpay_pricing_prepare(QzpayPricing *pricing, const char **reason, int *tier);
extern QzpayCode qzpay_rate(const QzpayPricing *pricing, QzpayDecimal quantity, QzpayDecimal included, QzpayDecimal *exact);

#endif							/* QZPAY_RATING_H */
