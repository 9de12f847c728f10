/*
 * rating.h
 *		Pricing models: from what was used to an exact amount, in minor units with decimals.
 *
 * Five models price a quantity.  Three price what the events of usage are worth: an event's amount is what it says, or its quantity.
 *
 * From totals or from events.  An amount is rated from the totals of a period (quantity, amount, number of events) wherever those decide
 * it, and else event by event, in the order in which the events occurred: qzpay_rating_need tells.  Fees of single events are not summed
 * up while usage is recorded, since nobody knows then by which pricing the period will be rated: a plan changed in the period is rated on
 * the new one from its beginning, prices are negotiated, and usage may be rated again.
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
	QZPAY_MODEL_PACKAGE,		/* an amount per started package */
	QZPAY_MODEL_PERCENTAGE,		/* a share of the amount, and a fixed amount per event */
	QZPAY_MODEL_GRADUATED_PERCENTAGE,	/* each tier takes its share of the amount inside it */
	QZPAY_MODEL_DYNAMIC			/* the amount itself, or a multiple of it */
} QzpayModel;

typedef struct QzpayTier
{
	bool		open;			/* the last tier: no upper bound */
	QzpayDecimal up_to;			/* cumulative and inclusive */
	QzpayDecimal unit_amount;	/* graduated percentage: the share, 0.01 for 1 % */
	QzpayDecimal flat_amount;	/* due once when the tier is entered */
} QzpayTier;

/*
 * Amounts are minor units per unit of quantity, with decimals.  Fill it in,
 * then call qzpay_pricing_prepare once; qzpay_rate takes only prepared ones.
 */
typedef struct QzpayPricing
{
	QzpayModel	model;
	QzpayDecimal amount;		/* flat, package; percentage: per event */
	QzpayDecimal unit_amount;	/* per unit; percentage: the share; dynamic: the factor */
	QzpayDecimal size;			/* units in a package */
	bool		flat_on_zero;	/* the first tier's flat amount is due without usage */
	bool		has_minimum;	/* bounds of the result, whatever the model */
	bool		has_maximum;
	QzpayDecimal minimum;
	QzpayDecimal maximum;
	bool		has_free_events;	/* percentage: events are free until so many were, */
	bool		has_free_amount;	/* or until they were worth so much, whichever is first */
	int64_t		free_events;
	QzpayDecimal free_amount;
	bool		has_event_minimum;	/* percentage: bounds of the fee of each event that isn't free */
	bool		has_event_maximum;
	QzpayDecimal event_minimum;
	QzpayDecimal event_maximum;
	int			ntiers;
	QzpayTier	tiers[QZPAY_MAX_TIERS];

	/* Set by prepare. */
	bool		prepared;
	bool		narrow;			/* every number fits int64_t at these scales */
	int			unit_scale;		/* of sizes and bounds */
	int			price_scale;	/* of amounts */
} QzpayPricing;

/* One event of usage. */
typedef struct QzpayUse
{
	QzpayDecimal quantity;
	QzpayDecimal amount;		/* in minor units */
} QzpayUse;

/* What was used in a period. */
typedef struct QzpayUsage
{
	QzpayDecimal quantity;
	QzpayDecimal included;		/* of it, free: the first units in the order of the events */
	bool		has_amount;		/* some event is worth something else than its quantity */
	QzpayDecimal amount;		/* then: the sum of the amounts of the events */
	int64_t		n_events;		/* or below 0: not known */
	const QzpayUse *events;		/* in the order in which they occurred, adding up to the above; or NULL */
} QzpayUsage;

/* What a rating has to know. */
typedef enum QzpayRatingNeed
{
	QZPAY_NEEDS_TOTALS,
	QZPAY_NEEDS_COUNT,			/* the number of events, too */
	QZPAY_NEEDS_EVENTS
} QzpayRatingNeed;

/*
 * qzpay_model_rates_amounts
 *		Whether a model goes by what the events are worth.
 */
static inline bool
qzpay_model_rates_amounts(QzpayModel model)
{
	return model >= QZPAY_MODEL_PERCENTAGE;
}

extern QzpayCode qzpay_model_parse(const char *name, QzpayModel *model);
extern QzpayCode qzpay_pricing_prepare(QzpayPricing *pricing, const char **reason, int *tier);
extern QzpayCode qzpay_share_of_percent(QzpayDecimal percent, QzpayDecimal *share);
extern QzpayRatingNeed qzpay_rating_need(const QzpayPricing *pricing, const QzpayUsage *usage);
extern QzpayCode qzpay_rate_usage(const QzpayPricing *pricing, const QzpayUsage *usage, QzpayDecimal *exact);
extern QzpayCode qzpay_rate(const QzpayPricing *pricing, QzpayDecimal quantity, QzpayDecimal included, QzpayDecimal *exact);

#endif							/* QZPAY_RATING_H */
