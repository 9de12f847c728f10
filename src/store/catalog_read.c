/*
 * catalog_read.c
 *		The tables of the catalog read into memory, and what is looked up there.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "errors.h"
#include "store/catalog_read.h"
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

/* The tables it is made of. */
static const char *const tables[QZPAY_CATALOG_TABLES] = {
	"meters", "features", "products", "product_features", "product_relations", "charges", "settings"
};

static Oid	table_oids[QZPAY_CATALOG_TABLES];

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
void
qzpay_catalog_find_tables(void)
{
	Oid			namespace_oid = get_namespace_oid("qzpay", true);

	for (int i = 0; i < QZPAY_CATALOG_TABLES; i++)
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
		meter->counts_rows = bool_of(&reader, "counts_rows");
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
			strcmp(limit_kind, "period") == 0 ? QZPAY_LIMIT_PERIOD :
			strcmp(limit_kind, "rate") == 0 ? QZPAY_LIMIT_RATE :
			strcmp(limit_kind, "value") == 0 ? QZPAY_LIMIT_VALUE : QZPAY_LIMIT_CONCURRENCY;
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

/* Marks what stays of a product while access is limited; a code that is no feature means nothing. */
static void
read_kept(const QzpayCatalog *catalog, RowReader *reader, QzpayProduct *product)
{
	bool		isnull;
	Datum		array = value_of(reader, "limited_features", &isnull);
	Datum	   *codes;
	bool	   *nulls;
	int			n;

	if (isnull)
		return;
	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &codes, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		const QzpayFeature *feature = nulls[i] ? NULL :
			feature_by_code(catalog, VARDATA_ANY(DatumGetPointer(codes[i])), VARSIZE_ANY_EXHDR(DatumGetPointer(codes[i])));

		if (feature != NULL)
			product->grants[feature->position].kept = true;
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
		read_kept(catalog, &reader, product);
		products_insert(catalog->product_index, product->id, &found)->product = product;
	}
	reader_close(&reader);
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

		if (product == NULL || feature == NULL)
			continue;
		grant = &product->grants[feature->position];
		grant->text = text_of(&reader, "text_value");
		grant->given = true;
		grant->unlimited = bool_of(&reader, "unlimited");
		grant->value = numeric_of(&reader, "limit_value");
		grant->enabled = bool_of(&reader, "enabled") || grant->text != NULL || grant->unlimited ||
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

/* Whether the catalog is made of this table (InvalidOid: of whatever table). */
bool
qzpay_catalog_has_table(Oid relid)
{
	for (int i = 0; i < QZPAY_CATALOG_TABLES; i++)
	{
		if (relid == InvalidOid || relid == table_oids[i])
			return true;
	}
	return false;
}

/*
 * qzpay_catalog_read
 *		Reads everything under a registered snapshot into an empty catalog, whose memory context is current.
 */
void
qzpay_catalog_read(QzpayCatalog *catalog, Snapshot snapshot)
{
	read_meters(catalog, snapshot);
	read_features(catalog, snapshot);
	read_products(catalog, snapshot);
	read_grants(catalog, snapshot);
	read_contents(catalog, snapshot);
	read_charges(catalog, snapshot);
	read_settings(catalog, snapshot);
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
