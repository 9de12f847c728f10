/*
 * discount.h
 *		Promo codes and automatic discounts: which of them take how much off which lines of a cart, and why the others do not.
 *
 * A discount is judged by facts: those of the cart and its buyer (QzpayCart), and those of the discount itself at that moment
 * (QzpayDiscountFacts).  Nothing here reads a clock or a row.  A restriction whose fact is not known is not met.
 */
#ifndef QZPAY_DISCOUNT_H
#define QZPAY_DISCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/calendar.h"
#include "core/code.h"
#include "core/money.h"

#define QZPAY_MAX_DISCOUNT_TIERS 50

/* Not terminated; a NULL data is a text that is not there. */
typedef struct QzpayText
{
	const char *data;
	int			length;
} QzpayText;

typedef struct QzpayTextList
{
	bool		given;			/* an empty list that was given is matched by nothing */
	int			n;
	const QzpayText *items;
} QzpayTextList;

/* A fact that may not be known. */
typedef enum QzpayFlag
{
	QZPAY_UNKNOWN = 0,
	QZPAY_NO,
	QZPAY_YES
} QzpayFlag;

/* A number that may not be there. */
typedef struct QzpayBound
{
	bool		given;
	QzpayDecimal value;
} QzpayBound;

typedef enum QzpayLineKind
{
	QZPAY_LINE_ANY = 0,			/* not said */
	QZPAY_LINE_PLAN,
	QZPAY_LINE_ADDON,
	QZPAY_LINE_SERVICE,
	QZPAY_LINE_USAGE,
	QZPAY_LINE_SETUP,
	QZPAY_LINE_COMMITMENT,
	QZPAY_LINE_SHIPPING,
	QZPAY_LINE_BALANCE			/* never discounted */
} QzpayLineKind;

#define QZPAY_LINE_BIT(kind) (1u << (kind))

typedef struct QzpayCartLine
{
	QzpayLineKind kind;
	QzpayText	product;
	QzpayTextList categories;
	QzpayDecimal quantity;
	int64_t		amount;			/* minor units, before discounts and tax; a credit is below zero and stays as it is */
	bool		proration;		/* the rest of a period that began earlier */
} QzpayCartLine;

typedef struct QzpayReading
{
	QzpayText	meter;
	QzpayDecimal value;
} QzpayReading;

typedef struct QzpayInterval
{
	QzpayUnit	unit;
	int			count;
} QzpayInterval;

typedef struct QzpayCart
{
	QzpayText	currency;
	QzpayText	plan;
	bool		has_interval;
	QzpayInterval interval;
	int			nlines;
	const QzpayCartLine *lines;
	QzpayFlag	first_purchase;
	QzpayTextList segments;
	bool		has_registered_at;
	int64_t		registered_at;	/* instants are microseconds since 1970 */
	int			nreadings;
	const QzpayReading *readings;
	QzpayFlag	upgrade;
	QzpayText	from_plan;
	QzpayText	to_plan;
	QzpayFlag	trialing;
	bool		has_at;
	int64_t		at;
} QzpayCart;

typedef enum QzpayDiscountTrigger
{
	QZPAY_PROMO_CODE,
	QZPAY_AUTOMATIC
} QzpayDiscountTrigger;

typedef enum QzpayDiscountType
{
	QZPAY_PERCENTAGE,
	QZPAY_FIXED_AMOUNT,
	QZPAY_FREE_PERIOD,
	QZPAY_REDUCED_PERIOD,
	QZPAY_TRIAL_EXTENSION,
	QZPAY_FREE_SHIPPING,
	QZPAY_VOLUME,
	QZPAY_AMOUNT_THRESHOLD
} QzpayDiscountType;

/* From this quantity (volume) or eligible amount (amount threshold) on; the highest that is reached counts for all of it. */
typedef struct QzpayDiscountTier
{
	QzpayDecimal from;
	bool		is_amount;		/* value is minor units, else a percentage */
	QzpayDecimal value;
} QzpayDiscountTier;

typedef struct QzpaySchedule
{
	bool		given;
	unsigned	days;			/* bit 0: Monday; 0: every day */
	bool		has_hours;
	int			from;			/* 0 to 23 */
	int			to;				/* 1 to 24, exclusive; not above from: over midnight, and the day is the one on which it began */
} QzpaySchedule;

typedef struct QzpayDiscount
{
	QzpayText	code;
	QzpayDiscountTrigger trigger;
	QzpayDiscountType type;
	QzpayDecimal value;			/* percent, minor units, or days */
	QzpayText	currency;
	bool		active;
	bool		stackable;
	int			priority;
	unsigned	kinds;			/* QZPAY_LINE_BITs of the lines it reaches */
	bool		has_periods;
	int			periods;		/* billing periods that it lasts */
	int			ntiers;
	const QzpayDiscountTier *tiers; /* rising */

	bool		has_from;
	int64_t		valid_from;
	bool		has_until;
	int64_t		valid_until;	/* exclusive */
	QzpayBound	max_uses;
	QzpayBound	max_uses_per_customer;

	QzpayBound	min_amount;
	QzpayBound	max_amount;
	QzpayBound	min_quantity;
	QzpayText	quantity_of;	/* the meter whose reading is the quantity, instead of that of the lines */
	QzpayBound	min_quantity_per_product;
	QzpayTextList plans;
	QzpayTextList products;		/* any of them */
	QzpayTextList bundle;		/* all of them */
	QzpayTextList categories;
	QzpayTextList excluded_products;
	QzpayTextList excluded_categories;
	int			nintervals;
	bool		has_intervals;
	const QzpayInterval *intervals;
	bool		first_purchase;
	bool		upgrade;
	QzpayTextList from_plans;
	QzpayTextList to_plans;
	QzpayTextList segments;
	bool		has_registered_after;
	int64_t		registered_after;	/* inclusive */
	QzpayText	usage_of;
	QzpayBound	usage_min;
	QzpayBound	usage_max;
	QzpaySchedule schedule;
} QzpayDiscount;

typedef struct QzpayDiscountFacts
{
	QzpayBound	uses;			/* by everybody, before this one */
	QzpayBound	customer_uses;
	bool		redeemed;		/* its restrictions were judged then, and are not judged again */
	int			periods_used;
	bool		covered;		/* prorations lie in a period it was used for */
	bool		has_local;		/* civil time in the schedule's zone */
	int			weekday;		/* 0: Monday */
	int			hour;
} QzpayDiscountFacts;

typedef enum QzpayStacking
{
	QZPAY_BEST_DISCOUNT,
	QZPAY_ALL_STACKABLE,
	QZPAY_AUTOMATIC_FIRST
} QzpayStacking;

typedef struct QzpayStackingRule
{
	QzpayStacking mode;
	int			max_stacked;	/* 0: any number */
} QzpayStackingRule;

/* Why a discount takes nothing off; in the order in which they are looked at. */
typedef enum QzpayReason
{
	QZPAY_REASON_NONE,
	QZPAY_REASON_INACTIVE,
	QZPAY_REASON_NOT_STARTED,
	QZPAY_REASON_EXPIRED,
	QZPAY_REASON_CURRENCY_MISMATCH,
	QZPAY_REASON_MAX_USES,
	QZPAY_REASON_MAX_USES_PER_CUSTOMER,
	QZPAY_REASON_PERIODS_USED,
	QZPAY_REASON_NOT_TRIALING,
	QZPAY_REASON_PLAN,
	QZPAY_REASON_INTERVAL,
	QZPAY_REASON_NOT_UPGRADE,
	QZPAY_REASON_FROM_PLAN,
	QZPAY_REASON_TO_PLAN,
	QZPAY_REASON_NOT_FIRST_PURCHASE,
	QZPAY_REASON_SEGMENT,
	QZPAY_REASON_REGISTERED_BEFORE,
	QZPAY_REASON_SCHEDULE,
	QZPAY_REASON_USAGE_THRESHOLD,
	QZPAY_REASON_INCOMPLETE_BUNDLE,
	QZPAY_REASON_NOTHING_ELIGIBLE,
	QZPAY_REASON_MIN_QUANTITY,
	QZPAY_REASON_MIN_QUANTITY_PER_PRODUCT,
	QZPAY_REASON_MIN_AMOUNT,
	QZPAY_REASON_MAX_AMOUNT,
	QZPAY_REASON_TIER_NOT_REACHED,
	QZPAY_REASON_ROUNDS_TO_NOTHING,
	/* met all conditions, but lost to others */
	QZPAY_REASON_NOT_BEST,
	QZPAY_REASON_NOT_STACKABLE,
	QZPAY_REASON_MAX_STACKED,
	QZPAY_REASON_NOTHING_LEFT
} QzpayReason;

typedef struct QzpayJudgement
{
	bool		applied;
	QzpayReason reason;			/* NONE when applied */
	bool		unknown;		/* the fact that the reason is about is not known */
	QzpayBound	needed;			/* what the reason is about, where that is a number */
	QzpayBound	is;
	int64_t		base;			/* amount of the lines it reaches */
	QzpayDecimal rate;			/* its value, or that of the tier reached */
	bool		rate_is_amount;
	int64_t		amount;			/* taken off */
	int64_t    *parts;			/* per line of the cart; room given by the caller */
} QzpayJudgement;

/* Room that the caller gives: each for as many elements as the cart has lines, but order for as many as there are discounts. */
typedef struct QzpayDiscountRoom
{
	int		   *order;
	const QzpayCartLine **sorted;
	int64_t    *left;			/* what is left of each line after the discounts applied */
	int64_t    *shares;
	QzpayDecimal *weights;
} QzpayDiscountRoom;

extern QzpayCode qzpay_discount_type_parse(const char *name, QzpayDiscountType *type);
extern const char *qzpay_discount_type_name(QzpayDiscountType type);
extern QzpayCode qzpay_stacking_parse(const char *name, QzpayStacking *mode);
extern QzpayCode qzpay_line_kind_parse(const char *name, QzpayLineKind *kind);
extern const char *qzpay_reason_name(QzpayReason reason);

extern bool qzpay_text_equal(QzpayText a, QzpayText b);
extern const char *qzpay_discount_check(const QzpayDiscount *discount);
extern QzpayCode qzpay_discounts_apply(const QzpayCart *cart, const QzpayDiscount *const *discounts, const QzpayDiscountFacts *facts, int n,
									   const QzpayStackingRule *rule, QzpayDiscountRoom *room, QzpayJudgement *judgements);

#endif							/* QZPAY_DISCOUNT_H */
