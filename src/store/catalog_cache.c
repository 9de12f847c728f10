/*
 * catalog_cache.c
 *		The catalog as the hot paths need it, kept per backend.
 *
 * The kept copy is filled under GetLatestSnapshot() and used only for snapshots that are not older than that, so that a REPEATABLE READ
 * transaction neither sees an edit early nor leaves an old truth behind for the next transaction.  Older snapshots get a copy of their
 * own, read under them.  Edits announce themselves by a relcache message of their table, which statement triggers send.
 *
 * The message of a commit arrives a moment after the commit is visible: a plan edit may reach a statement that is already starting late,
 * but never a later transaction.
 *
 * A copy in use is never freed under its user: one that is replaced lives until the transaction ends.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "store/catalog_cache.h"
#include "store/number.h"

typedef struct ProductEntry
{
	pg_uuid_t	id;				/* key */
	char		status;
	QzpayProduct *product;
} ProductEntry;

static inline uint32
hash_id(pg_uuid_t id)
{
	uint64		half;

	/* Random or a hash in every version of uuid that we make. */
	memcpy(&half, &id.data[8], sizeof(half));
	return murmurhash32((uint32) half ^ (uint32) (half >> 32));
}

#define SH_PREFIX products
#define SH_ELEMENT_TYPE ProductEntry
#define SH_KEY_TYPE pg_uuid_t
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_id(key)
#define SH_EQUAL(tb, a, b) (memcmp(&(a), &(b), sizeof(pg_uuid_t)) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct FeatureEntry
{
	uint32		hash;			/* key: of the code; codes with one hash follow each other in next */
	char		status;
	QzpayFeature *feature;
} FeatureEntry;

#define SH_PREFIX features
#define SH_ELEMENT_TYPE FeatureEntry
#define SH_KEY_TYPE uint32
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) (key)
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct QzpayCatalog
{
	MemoryContext context;
	int			n_meters;
	QzpayMeter *meters;
	int			n_features;
	QzpayFeature *features;
	features_hash *feature_index;
	products_hash *product_index;
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

/* The tables it is made of. */
static const char *const tables[] = {"meters", "features", "products", "product_features", "product_relations", "charges", "settings"};
#define N_TABLES lengthof(tables)

static QzpayCatalog *kept = NULL;	/* for snapshots not older than it */
static bool kept_is_stale = false;
static QzpayCatalog *private_copy = NULL;	/* for one older snapshot of this transaction */
static QzpayCatalog *retired = NULL;
static Oid	table_oids[N_TABLES];
static uint64 transaction_number = 1;
static uint64 last_completions = 0; /* of the snapshot messages were last taken in for */

/* One row being read, by column name. */
typedef struct RowReader
{
	Relation	relation;
	TableScanDesc scan;
	TupleTableSlot *slot;
} RowReader;

/*
 * Looks the tables up.  Done before the snapshot of a copy is taken, since from then on a message about any of them must be recognised.
 */
static void
find_tables(void)
{
	Oid			namespace_oid = get_namespace_oid("qzpay", true);

	for (int i = 0; i < N_TABLES; i++)
	{
		table_oids[i] = OidIsValid(namespace_oid) ? get_relname_relid(tables[i], namespace_oid) : InvalidOid;
		if (!OidIsValid(table_oids[i]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table qzpay.%s does not exist", tables[i]),
					 errhint("Call qzpay.install() as a superuser.")));
	}
}

static void
reader_open(RowReader *reader, int table, Snapshot snapshot)
{
	reader->relation = table_open(table_oids[table], AccessShareLock);
	reader->slot = table_slot_create(reader->relation, NULL);
	reader->scan = table_beginscan(reader->relation, snapshot, 0, NULL);
}

static bool
reader_next(RowReader *reader)
{
	return table_scan_getnextslot(reader->scan, ForwardScanDirection, reader->slot);
}

static void
reader_close(RowReader *reader)
{
	table_endscan(reader->scan);
	ExecDropSingleTupleTableSlot(reader->slot);
	table_close(reader->relation, AccessShareLock);
}

static AttrNumber
column_number(RowReader *reader, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(reader->relation), name);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_SCHEMA_VERSION),
				 errmsg("table %s has no column \"%s\"", RelationGetRelationName(reader->relation), name),
				 errhint("Call qzpay.upgrade() as a superuser.")));
	return number;
}

static Datum
value_of(RowReader *reader, const char *column, bool *isnull)
{
	return slot_getattr(reader->slot, column_number(reader, column), isnull);
}

static pg_uuid_t
uuid_of(RowReader *reader, const char *column)
{
	bool		isnull;
	Datum		value = value_of(reader, column, &isnull);
	pg_uuid_t	result;

	if (isnull)
		elog(ERROR, "column %s of %s is null", column, RelationGetRelationName(reader->relation));
	memcpy(&result, DatumGetUUIDP(value), sizeof(result));
	return result;
}

/* A text column's value in the current memory context; NULL for null. */
static char *
text_of(RowReader *reader, const char *column)
{
	bool		isnull;
	Datum		value = value_of(reader, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static bool
bool_of(RowReader *reader, const char *column)
{
	bool		isnull;
	Datum		value = value_of(reader, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static int32
int_of(RowReader *reader, const char *column)
{
	bool		isnull;
	Datum		value = value_of(reader, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

/* A numeric column's value in the current memory context; NULL for null. */
static Numeric
numeric_of(RowReader *reader, const char *column)
{
	bool		isnull;
	Datum		value = value_of(reader, column, &isnull);

	return isnull ? NULL : DatumGetNumericCopy(value);
}

static QzpayMeter *
meter_by_id(QzpayCatalog *catalog, const pg_uuid_t *id)
{
	for (int i = 0; i < catalog->n_meters; i++)
	{
		if (memcmp(&catalog->meters[i].id, id, sizeof(pg_uuid_t)) == 0)
			return &catalog->meters[i];
	}
	return NULL;
}

static QzpayProduct *
product_by_id(QzpayCatalog *catalog, pg_uuid_t id)
{
	ProductEntry *entry = products_lookup(catalog->product_index, id);

	return entry == NULL ? NULL : entry->product;
}

static void
read_meters(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;
	int			room = 16;

	catalog->meters = palloc(room * sizeof(QzpayMeter));
	reader_open(&reader, 0, snapshot);
	while (reader_next(&reader))
	{
		QzpayMeter *meter;

		if (catalog->n_meters == room)
		{
			room *= 2;
			catalog->meters = repalloc(catalog->meters, room * sizeof(QzpayMeter));
		}
		meter = &catalog->meters[catalog->n_meters++];
		meter->id = uuid_of(&reader, "id");
		meter->code = text_of(&reader, "code");
		meter->active = bool_of(&reader, "active");
		meter->aggregation_name = text_of(&reader, "aggregation");
		meter->aggregation =
			strcmp(meter->aggregation_name, "sum") == 0 ? QZPAY_AGGREGATE_SUM :
			strcmp(meter->aggregation_name, "count") == 0 ? QZPAY_AGGREGATE_COUNT :
			strcmp(meter->aggregation_name, "max") == 0 ? QZPAY_AGGREGATE_MAX :
			strcmp(meter->aggregation_name, "last") == 0 ? QZPAY_AGGREGATE_LAST :
			strcmp(meter->aggregation_name, "unique") == 0 ? QZPAY_AGGREGATE_UNIQUE : QZPAY_AGGREGATE_AVG;
		meter->value_property = text_of(&reader, "value_property");
	}
	reader_close(&reader);
}

static void
read_features(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;
	int			room = 64;

	catalog->features = palloc(room * sizeof(QzpayFeature));
	reader_open(&reader, 1, snapshot);
	while (reader_next(&reader))
	{
		QzpayFeature *feature;
		char	   *kind = text_of(&reader, "kind");
		char	   *limit_kind = text_of(&reader, "limit_kind");
		bool		isnull;
		Datum		meter_id = value_of(&reader, "meter_id", &isnull);

		if (catalog->n_features == room)
		{
			room *= 2;
			catalog->features = repalloc(catalog->features, room * sizeof(QzpayFeature));
		}
		feature = &catalog->features[catalog->n_features];
		feature->position = catalog->n_features++;
		feature->code = text_of(&reader, "code");
		feature->kind = strcmp(kind, "boolean") == 0 ? QZPAY_FEATURE_BOOLEAN :
			strcmp(kind, "limit") == 0 ? QZPAY_FEATURE_LIMIT : QZPAY_FEATURE_TEXT;
		feature->limit_kind = limit_kind == NULL ? QZPAY_LIMIT_NOT :
			strcmp(limit_kind, "stock") == 0 ? QZPAY_LIMIT_STOCK :
			strcmp(limit_kind, "period") == 0 ? QZPAY_LIMIT_PERIOD : QZPAY_LIMIT_OTHER;
		feature->meter = isnull ? NULL : meter_by_id(catalog, DatumGetUUIDP(meter_id));
	}
	reader_close(&reader);

	/* Only now, when the array stays where it is.  A code whose hash is taken moves on to the next free one. */
	catalog->feature_index = features_create(catalog->context, catalog->n_features, NULL);
	for (int i = 0; i < catalog->n_features; i++)
	{
		QzpayFeature *feature = &catalog->features[i];
		uint32		hash = hash_bytes((const unsigned char *) feature->code, strlen(feature->code));
		bool		found;
		FeatureEntry *entry;

		while (entry = features_insert(catalog->feature_index, hash, &found), found)
			hash++;
		entry->feature = feature;
	}
}

static void
read_products(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;

	catalog->product_index = products_create(catalog->context, 64, NULL);
	reader_open(&reader, 2, snapshot);
	while (reader_next(&reader))
	{
		QzpayProduct *product = palloc0(sizeof(QzpayProduct));
		bool		found;

		product->id = uuid_of(&reader, "id");
		product->code = text_of(&reader, "code");
		product->is_plan = strcmp(text_of(&reader, "kind"), "plan") == 0;
		product->usage_unit = text_of(&reader, "usage_interval_unit");
		product->usage_count = int_of(&reader, "usage_interval_count");
		product->grants = palloc0(Max(catalog->n_features, 1) * sizeof(QzpayGrant));
		products_insert(catalog->product_index, product->id, &found)->product = product;
	}
	reader_close(&reader);
}

static const QzpayFeature *
feature_by_code(const QzpayCatalog *catalog, const char *code, size_t length)
{
	uint32		hash = hash_bytes((const unsigned char *) code, length);
	FeatureEntry *entry;

	while ((entry = features_lookup(catalog->feature_index, hash)) != NULL)
	{
		if (strlen(entry->feature->code) == length && memcmp(entry->feature->code, code, length) == 0)
			return entry->feature;
		hash++;
	}
	return NULL;
}

static void
read_grants(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;

	reader_open(&reader, 3, snapshot);
	while (reader_next(&reader))
	{
		QzpayProduct *product = product_by_id(catalog, uuid_of(&reader, "product_id"));
		char	   *code = text_of(&reader, "feature_code");
		const QzpayFeature *feature = feature_by_code(catalog, code, strlen(code));
		QzpayGrant *grant;
		bool		no_text;

		if (product == NULL || feature == NULL)
			continue;
		grant = &product->grants[feature->position];
		(void) value_of(&reader, "text_value", &no_text);
		grant->given = true;
		grant->unlimited = bool_of(&reader, "unlimited");
		grant->value = numeric_of(&reader, "limit_value");
		grant->enabled = bool_of(&reader, "enabled") || !no_text || grant->unlimited ||
			(grant->value != NULL && qzpay_number_sign(grant->value) > 0);
	}
	reader_close(&reader);
}

/* Which add-ons each plan contains. */
static void
read_contents(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;

	reader_open(&reader, 4, snapshot);
	while (reader_next(&reader))
	{
		QzpayProduct *addon = product_by_id(catalog, uuid_of(&reader, "product_id"));
		QzpayProduct *plan = product_by_id(catalog, uuid_of(&reader, "related_id"));

		if (addon == NULL || plan == NULL || strcmp(text_of(&reader, "relation"), "included_in") != 0)
			continue;
		if (plan->contained == NULL)
			plan->contained = palloc(sizeof(QzpayProduct *));
		else
			plan->contained = repalloc(plan->contained, (plan->n_contained + 1) * sizeof(QzpayProduct *));
		plan->contained[plan->n_contained++] = addon;
	}
	reader_close(&reader);
}

static void
read_charges(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;

	reader_open(&reader, 5, snapshot);
	while (reader_next(&reader))
	{
		pg_uuid_t	meter_id = uuid_of(&reader, "meter_id");
		QzpayProduct *product = product_by_id(catalog, uuid_of(&reader, "product_id"));
		QzpayMeter *meter = meter_by_id(catalog, &meter_id);
		QzpayCharge *charge;
		char	   *limit_type;
		bool		isnull;

		if (product == NULL || meter == NULL)
			continue;
		charge = palloc0(sizeof(QzpayCharge));
		limit_type = text_of(&reader, "limit_type");
		charge->id = uuid_of(&reader, "id");
		charge->meter = meter;
		charge->version = int_of(&reader, "version");
		strlcpy(charge->currency, text_of(&reader, "currency"), sizeof(charge->currency));
		charge->included = numeric_of(&reader, "included");
		charge->limit_type = strcmp(limit_type, "hard") == 0 ? QZPAY_LIMIT_HARD :
			strcmp(limit_type, "soft") == 0 ? QZPAY_LIMIT_SOFT : QZPAY_LIMIT_NONE;
		charge->created_at = DatumGetTimestampTz(value_of(&reader, "created_at", &isnull));
		charge->next = product->charges;
		product->charges = charge;
	}
	reader_close(&reader);
}

static int
compare_percents(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* Percents from the setting's array; whatever is none is passed over. */
static void
read_alerts(QzpayCatalog *catalog, Jsonb *setting)
{
	if (!JB_ROOT_IS_ARRAY(setting))
		return;
	for (uint32 i = 0; i < JB_ROOT_COUNT(setting) && catalog->n_alerts < QZPAY_MAX_ALERTS; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(&setting->root, i);
		int			percent;

		if (element->type != jbvNumeric)
			continue;
		percent = atoi(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(element->val.numeric))));
		if (percent > 0 && percent <= 100)
			catalog->alerts[catalog->n_alerts++] = percent;
	}
	qsort(catalog->alerts, catalog->n_alerts, sizeof(int), compare_percents);
}

/* The plan of this code; private products are nobody's default. */
static void
read_default_plan(QzpayCatalog *catalog, Snapshot snapshot, const char *code)
{
	RowReader	reader;

	reader_open(&reader, 2, snapshot);
	while (reader_next(&reader))
	{
		bool		is_shared;

		(void) value_of(&reader, "tenant_id", &is_shared);
		if (is_shared && strcmp(text_of(&reader, "code"), code) == 0)
			catalog->default_plan = product_by_id(catalog, uuid_of(&reader, "id"));
	}
	reader_close(&reader);
}

/* default_plan is a code or null, usage_alert_percents an array. */
static void
read_settings(QzpayCatalog *catalog, Snapshot snapshot)
{
	RowReader	reader;
	char	   *code = NULL;

	reader_open(&reader, 6, snapshot);
	while (reader_next(&reader))
	{
		char	   *name = text_of(&reader, "name");
		bool		isnull;
		Jsonb	   *value = DatumGetJsonbP(value_of(&reader, "value", &isnull));
		JsonbValue	scalar;

		if (strcmp(name, "usage_alert_percents") == 0)
			read_alerts(catalog, value);
		else if (strcmp(name, "default_plan") == 0 && JsonbExtractScalar(&value->root, &scalar) && scalar.type == jbvString)
			code = pnstrdup(scalar.val.string.val, scalar.val.string.len);
	}
	reader_close(&reader);
	if (code != NULL)
		read_default_plan(catalog, snapshot, code);
}

/* Notes what the snapshot knew, to compare later ones with. */
static void
remember_snapshot(QzpayCatalog *catalog, Snapshot snapshot)
{
	catalog->completions = snapshot->snapXactCompletionCount;
	catalog->command = snapshot->curcid;
	catalog->transaction = transaction_number;
	catalog->xmin = snapshot->xmin;
	catalog->xmax = snapshot->xmax;
	catalog->in_recovery = snapshot->takenDuringRecovery;
	catalog->n_running = snapshot->xcnt;
	catalog->running = palloc(Max(snapshot->xcnt, 1) * sizeof(TransactionId));
	if (snapshot->xcnt > 0)
		memcpy(catalog->running, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
}

/* Reads the catalog under a registered snapshot, into a memory context of its own. */
static QzpayCatalog *
read_catalog(Snapshot snapshot)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "qzpay catalog", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	QzpayCatalog *catalog = palloc0(sizeof(QzpayCatalog));

	catalog->context = context;
	remember_snapshot(catalog, snapshot);
	read_meters(catalog, snapshot);
	read_features(catalog, snapshot);
	read_products(catalog, snapshot);
	read_grants(catalog, snapshot);
	read_contents(catalog, snapshot);
	read_charges(catalog, snapshot);
	read_settings(catalog, snapshot);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	return catalog;
}

/* Puts a copy aside that somebody up the stack may still be using. */
static void
retire(QzpayCatalog **copy)
{
	if (*copy == NULL)
		return;
	(*copy)->next_retired = retired;
	retired = *copy;
	*copy = NULL;
}

/* Whether the transaction was running when the catalog was read. */
static bool
was_running(const QzpayCatalog *catalog, TransactionId xid)
{
	if (TransactionIdFollowsOrEquals(xid, catalog->xmax))
		return true;
	for (uint32 i = 0; i < catalog->n_running; i++)
	{
		if (TransactionIdEquals(catalog->running[i], xid))
			return true;
	}
	return false;
}

/*
 * Whether the snapshot sees everything the copy was made from.
 *
 * The count of completed transactions orders the snapshots of a server.  Imported snapshots have none; for them, what is running for the
 * snapshot must have been running for the copy.  Top-level transactions are enough: a subtransaction runs as long as its top.
 */
static bool
is_not_older(const QzpayCatalog *catalog, Snapshot snapshot)
{
	if (catalog->transaction == transaction_number && snapshot->curcid < catalog->command)
		return false;
	if (catalog->completions != 0 && snapshot->snapXactCompletionCount != 0)
		return snapshot->snapXactCompletionCount >= catalog->completions;
	if (snapshot->takenDuringRecovery || catalog->in_recovery || TransactionIdPrecedes(snapshot->xmax, catalog->xmax))
		return false;
	for (uint32 i = 0; i < snapshot->xcnt; i++)
	{
		if (!was_running(catalog, snapshot->xip[i]))
			return false;
	}
	return true;
}

/* Whether the private copy was read under just this snapshot. */
static bool
is_same(const QzpayCatalog *catalog, Snapshot snapshot)
{
	return catalog->transaction == transaction_number &&
		catalog->completions == snapshot->snapXactCompletionCount &&
		catalog->command == snapshot->curcid &&
		TransactionIdEquals(catalog->xmin, snapshot->xmin) &&
		TransactionIdEquals(catalog->xmax, snapshot->xmax) &&
		catalog->n_running == snapshot->xcnt &&
		(snapshot->xcnt == 0 || memcmp(catalog->running, snapshot->xip, snapshot->xcnt * sizeof(TransactionId)) == 0);
}

/*
 * qzpay_catalog
 *		The catalog as this snapshot sees it; valid until the transaction ends.
 */
const QzpayCatalog *
qzpay_catalog(Snapshot snapshot)
{
	if (snapshot->snapXactCompletionCount != last_completions)
	{
		AcceptInvalidationMessages();
		last_completions = snapshot->snapXactCompletionCount;
	}
	if (kept != NULL && !kept_is_stale && is_not_older(kept, snapshot))
		return kept;

	/* A parallel query's leader can't take another snapshot. */
	if ((kept == NULL || kept_is_stale) && !IsInParallelMode())
	{
		Snapshot	latest;
		QzpayCatalog *fresh;

		find_tables();
		latest = RegisterSnapshot(GetLatestSnapshot());
		/* A message that comes while we read is one more edit: it makes the copy stale at once. */
		kept_is_stale = false;
		fresh = read_catalog(latest);
		UnregisterSnapshot(latest);
		retire(&kept);
		kept = fresh;
		if (!kept_is_stale && is_not_older(kept, snapshot))
			return kept;
	}

	if (private_copy == NULL || !is_same(private_copy, snapshot))
	{
		QzpayCatalog *fresh;

		find_tables();
		fresh = read_catalog(snapshot);
		retire(&private_copy);
		private_copy = fresh;
	}
	return private_copy;
}

const QzpayProduct *
qzpay_catalog_product(const QzpayCatalog *catalog, const pg_uuid_t *id)
{
	ProductEntry *entry = products_lookup(catalog->product_index, *id);

	return entry == NULL ? NULL : entry->product;
}

/* NULL when none is set. */
const QzpayProduct *
qzpay_catalog_default_plan(const QzpayCatalog *catalog)
{
	return catalog->default_plan;
}

const QzpayFeature *
qzpay_catalog_feature(const QzpayCatalog *catalog, const char *code, size_t length)
{
	return feature_by_code(catalog, code, length);
}

const QzpayMeter *
qzpay_catalog_meter(const QzpayCatalog *catalog, const char *code, size_t length)
{
	for (int i = 0; i < catalog->n_meters; i++)
	{
		if (strlen(catalog->meters[i].code) == length && memcmp(catalog->meters[i].code, code, length) == 0)
			return &catalog->meters[i];
	}
	return NULL;
}

int
qzpay_catalog_n_features(const QzpayCatalog *catalog)
{
	return catalog->n_features;
}

const QzpayFeature *
qzpay_catalog_feature_at(const QzpayCatalog *catalog, int position)
{
	return &catalog->features[position];
}

/* Percents of the included quantity at which usage.warning is emitted, rising; returns how many. */
int
qzpay_catalog_alerts(const QzpayCatalog *catalog, const int **percents)
{
	*percents = catalog->alerts;
	return catalog->n_alerts;
}

int
qzpay_catalog_n_meters(const QzpayCatalog *catalog)
{
	return catalog->n_meters;
}

const QzpayMeter *
qzpay_catalog_meter_at(const QzpayCatalog *catalog, int position)
{
	return &catalog->meters[position];
}

static void
on_relcache(Datum arg, Oid relid)
{
	for (int i = 0; i < N_TABLES; i++)
	{
		if (relid == InvalidOid || relid == table_oids[i])
			kept_is_stale = true;
	}
}

static void
free_retired(void)
{
	retire(&private_copy);
	while (retired != NULL)
	{
		QzpayCatalog *copy = retired;

		retired = copy->next_retired;
		MemoryContextDelete(copy->context);
	}
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			/* It may hold what this transaction wrote, and what is now undone or not yet done. */
			if (kept != NULL && kept->transaction == transaction_number)
				kept_is_stale = true;
			/* FALLTHROUGH */
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			free_retired();
			transaction_number++;
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (kept != NULL && kept->transaction == transaction_number)
		kept_is_stale = true;
	retire(&private_copy);
}

/* Called once, by _PG_init. */
void
qzpay_catalog_init(void)
{
	CacheRegisterRelcacheCallback(on_relcache, (Datum) 0);
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
