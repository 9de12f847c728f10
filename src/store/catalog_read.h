/*
 * catalog_read.h
 *		The kept catalog from inside: how its tables are read, and under which snapshot it was.
 */
#ifndef QZPAY_STORE_CATALOG_READ_H
#define QZPAY_STORE_CATALOG_READ_H

#include "utils/memutils.h"

#include "store/catalog_cache.h"

/* meters, features, products, product_features, product_relations, charges, settings */
#define QZPAY_CATALOG_TABLES 7

struct QzpayCatalog
{
	MemoryContext context;
	int			n_meters;
	QzpayMeter *meters;
	int			n_features;
	QzpayFeature *features;
	struct features_hash *feature_index;
	struct products_hash *product_index;
	const QzpayProduct *default_plan;
	int			n_alerts;
	int			alerts[QZPAY_MAX_ALERTS];	/* percent, rising */

	/* the snapshot it was read under */
	uint64		completions;	/* snapXactCompletionCount; 0: unknown */
	CommandId	command;
	uint64		transaction;	/* number of the reading transaction, in this backend */
	TransactionId xmin;
	TransactionId xmax;
	uint32		n_running;
	TransactionId *running;
	bool		in_recovery;

	struct QzpayCatalog *next_retired;
};

extern void qzpay_catalog_find_tables(void);
extern bool qzpay_catalog_has_table(Oid relid);
extern void qzpay_catalog_read(QzpayCatalog *catalog, Snapshot snapshot);

#endif							/* QZPAY_STORE_CATALOG_READ_H */
