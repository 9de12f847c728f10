/*
 * catalog_cache.h
 *		The catalog as the hot paths need it, kept per backend: what each product grants and charges for.
 */
#ifndef QZPAY_STORE_CATALOG_CACHE_H
#define QZPAY_STORE_CATALOG_CACHE_H

#include "datatype/timestamp.h"
#include "utils/numeric.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

typedef enum QzpayFeatureKind
{
	QZPAY_FEATURE_BOOLEAN,
	QZPAY_FEATURE_LIMIT,
	QZPAY_FEATURE_TEXT
} QzpayFeatureKind;

typedef enum QzpayLimitKind
{
	QZPAY_LIMIT_NOT,			/* not a limit */
	QZPAY_LIMIT_STOCK,			/* the application counts its rows */
	QZPAY_LIMIT_PERIOD,			/* a meter counts, anew in every usage period */
	QZPAY_LIMIT_RATE,			/* so many per minute */
	QZPAY_LIMIT_VALUE,			/* no single value above */
	QZPAY_LIMIT_CONCURRENCY		/* so many at once */
} QzpayLimitKind;

/* What happens beyond the included quantity (RULES B13). */
typedef enum QzpayLimitType
{
	QZPAY_LIMIT_NONE,			/* billed */
	QZPAY_LIMIT_SOFT,			/* billed, and said */
	QZPAY_LIMIT_HARD			/* refused */
} QzpayLimitType;

typedef enum QzpayAggregation
{
	QZPAY_AGGREGATE_SUM,
	QZPAY_AGGREGATE_COUNT,
	QZPAY_AGGREGATE_MAX,
	QZPAY_AGGREGATE_LAST,
	QZPAY_AGGREGATE_UNIQUE,
	QZPAY_AGGREGATE_AVG			/* reported, never limited or billed */
} QzpayAggregation;

typedef struct QzpayMeter
{
	pg_uuid_t	id;
	const char *code;
	const char *aggregation_name;
	QzpayAggregation aggregation;
	const char *value_property; /* whose distinct values are counted, or NULL */
	bool		active;
	bool		counts_rows;	/* of the application's tables: takes no reports */
} QzpayMeter;

typedef struct QzpayFeature
{
	const char *code;
	QzpayFeatureKind kind;
	QzpayLimitKind limit_kind;
	const QzpayMeter *meter;	/* of a limit per period, or NULL */
	int			position;		/* in each product's grants */
} QzpayFeature;

/* What one product says about one feature. */
typedef struct QzpayGrant
{
	bool		given;			/* the product mentions it */
	bool		enabled;		/* a boolean that is on, a text, a limit above 0 */
	bool		unlimited;
	bool		kept;			/* stays while access is limited */
	const char *text;			/* of a feature of kind text, or NULL */
	Numeric		value;			/* limit: allowance of a plan, increase per unit of an add-on; NULL when unlimited or no limit */
} QzpayGrant;

typedef struct QzpayCharge
{
	pg_uuid_t	id;
	const QzpayMeter *meter;
	int32		version;
	char		currency[4];
	Numeric		included;
	QzpayLimitType limit_type;
	TimestampTz created_at;
	struct QzpayCharge *next;
} QzpayCharge;

typedef struct QzpayProduct
{
	pg_uuid_t	id;
	const char *code;
	bool		is_plan;
	const char *usage_unit;
	int32		usage_count;
	QzpayGrant *grants;			/* by QzpayFeature.position */
	QzpayCharge *charges;		/* all versions */
	int			n_contained;	/* add-ons that this plan contains */
	const struct QzpayProduct **contained;
} QzpayProduct;

#define QZPAY_MAX_ALERTS 16

typedef struct QzpayCatalog QzpayCatalog;

extern void qzpay_catalog_init(void);

extern const QzpayCatalog *qzpay_catalog(Snapshot snapshot);
extern const QzpayProduct *qzpay_catalog_product(const QzpayCatalog *catalog, const pg_uuid_t *id);
extern const QzpayProduct *qzpay_catalog_default_plan(const QzpayCatalog *catalog);
extern const QzpayFeature *qzpay_catalog_feature(const QzpayCatalog *catalog, const char *code, size_t length);
extern const QzpayMeter *qzpay_catalog_meter(const QzpayCatalog *catalog, const char *code, size_t length);
extern int	qzpay_catalog_n_features(const QzpayCatalog *catalog);
extern const QzpayFeature *qzpay_catalog_feature_at(const QzpayCatalog *catalog, int position);
extern int	qzpay_catalog_alerts(const QzpayCatalog *catalog, const int **percents);
extern int	qzpay_catalog_n_meters(const QzpayCatalog *catalog);
extern const QzpayMeter *qzpay_catalog_meter_at(const QzpayCatalog *catalog, int position);

#endif							/* QZPAY_STORE_CATALOG_CACHE_H */
