/*
 * entitlement.c
 *		What a customer holds: the row of qzpay.entitlements.  What that gives is read in grant.c.
 *
 * The row is materialised by the transaction that changes a subscription, and read by one direct index probe.  Where it is missing, it is
 * computed from the same definition, qzpay._entitlement_facts().
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "errors.h"
#include "store/call.h"
#include "store/clock.h"
#include "store/context.h"
#include "store/entitlement.h"
#include "store/installation.h"
#include "store/place.h"
#include "store/relation.h"
#include "store/row.h"
#include "store/tenant_of.h"
#include "store/uuid.h"

/* Columns that are read, in the order of qzpay._entitlement_facts(); those up to the overrides suffice without usage. */
enum
{
	COLUMN_TENANT,
	COLUMN_CUSTOMER,
	COLUMN_CLOCK,
	COLUMN_PRODUCTS,
	COLUMN_QUANTITIES,
	COLUMN_SINCE,
	COLUMN_UNTIL,
	COLUMN_FULL_UNTIL,
	COLUMN_OVERRIDES,
	COLUMN_ADDED,
	COLUMN_NEGOTIATED,
	COLUMN_USAGE_SUBSCRIPTION,
	COLUMN_USAGE_START,
	COLUMN_USAGE_END,
	COLUMN_USAGE_ANCHOR,
	COLUMN_USAGE_UNIT,
	COLUMN_USAGE_COUNT,
	COLUMN_CURRENCY,
	COLUMN_TIMEZONE,
	COLUMN_USAGE_TRIAL_END,
	N_COLUMNS
};
#define N_COLUMNS_WITHOUT_USAGE (COLUMN_OVERRIDES + 1)

static const char *const column_names[N_COLUMNS] = {
	"tenant_id", "customer_id", "test_clock_id", "products", "quantities", "since", "until", "full_until", "overrides", "added", "negotiated",
	"usage_subscription_id", "usage_start", "usage_end", "usage_anchor", "usage_unit", "usage_count", "currency", "timezone", "usage_trial_end"
};

static QzpayRelation by_key = {.table = "entitlements",.index = "entitlements_pkey"};
static QzpayRelation by_customer = {.table = "entitlements",.index = "entitlements_customer_id_idx"};
static QzpayRelation customers_by_external_id = {.table = "customers",.index = "customers_tenant_id_external_id_key"};

static QzpayCall facts = {
	.sql = "SELECT * FROM qzpay._entitlement_facts($1, $2)",
	.nargs = 2,
	.types = {UUIDARRAYOID, UUIDARRAYOID}
};
static QzpayCall refresh = {
	.sql = "SELECT qzpay._refresh_entitlements($1, $2)",
	.nargs = 2,
	.types = {UUIDARRAYOID, UUIDARRAYOID}
};

/* Column numbers in the table with this id and number of columns. */
static AttrNumber column_numbers[N_COLUMNS];
static Oid	numbered_table = InvalidOid;
static int	numbered_columns = 0;

static void
number_columns(QzpayRelation *relation)
{
	if (numbered_table == RelationGetRelid(relation->heap) && numbered_columns == RelationGetDescr(relation->heap)->natts)
		return;
	numbered_table = InvalidOid;
	for (int i = 0; i < N_COLUMNS; i++)
		column_numbers[i] = qzpay_relation_column(relation, column_names[i]);
	numbered_table = RelationGetRelid(relation->heap);
	numbered_columns = RelationGetDescr(relation->heap)->natts;
}

/*
 * Number of elements of a one-dimensional array without nulls, and where they begin, which need not be aligned.
 *
 * A short array has a header of one byte in its row; everything behind it is laid out as if the header had four.
 */
static int
view_array(Datum value, const char **elements)
{
	struct varlena *array = PG_DETOAST_DATUM_PACKED(value);
	const char *body = VARDATA_ANY(array);
	int32		ndim;
	int32		dataoffset;
	int32		count;

	memcpy(&ndim, body, sizeof(ndim));
	if (ndim == 0)
		return 0;
	memcpy(&dataoffset, body + offsetof(ArrayType, dataoffset) - VARHDRSZ, sizeof(dataoffset));
	if (ndim != 1 || dataoffset != 0)
		elog(ERROR, "arrays of qzpay.entitlements must have one dimension and no nulls");
	memcpy(&count, body + sizeof(ArrayType) - VARHDRSZ, sizeof(count));
	*elements = body + ARR_OVERHEAD_NONULLS(1) - VARHDRSZ;
	return count;
}

/* An array of eight-byte values, of the expected length. */
static const char *
view_int64s(Datum value, int n)
{
	const char *elements = NULL;

	if (view_array(value, &elements) != n)
		elog(ERROR, "arrays of qzpay.entitlements differ in length");
	return elements;
}

static inline int64
int64_at(const char *elements, int i)
{
	int64		value;

	memcpy(&value, elements + i * sizeof(int64), sizeof(value));
	return value;
}

static void
decode_held(const Datum *values, const bool *nulls, bool with_usage, QzpayEntitlement *result)
{
	const char *products = NULL;
	int			n = view_array(values[COLUMN_PRODUCTS], &products);
	const char *quantities = view_int64s(values[COLUMN_QUANTITIES], n);
	const char *since = view_int64s(values[COLUMN_SINCE], n);
	const char *until = view_int64s(values[COLUMN_UNTIL], n);
	const char *full_until = nulls[COLUMN_FULL_UNTIL] ? NULL : view_int64s(values[COLUMN_FULL_UNTIL], n);
	const char *added = with_usage ? view_int64s(values[COLUMN_ADDED], n) : NULL;

	result->n_held = n;
	result->held = n <= QZPAY_HELD_INLINE ? result->held_inline : palloc(n * sizeof(QzpayHeld));
	for (int i = 0; i < n; i++)
	{
		QzpayHeld  *held = &result->held[i];

		memcpy(&held->product, products + i * UUID_LEN, UUID_LEN);
		held->quantity = int64_at(quantities, i);
		held->since = int64_at(since, i);
		held->until = int64_at(until, i);
		held->full_until = full_until == NULL ? DT_NOEND : int64_at(full_until, i);
		held->added = added == NULL ? 0 : int64_at(added, i);
	}
}

static void
decode(const Datum *values, const bool *nulls, bool with_usage, QzpayEntitlement *result)
{
	memcpy(&result->tenant, DatumGetUUIDP(values[COLUMN_TENANT]), sizeof(pg_uuid_t));
	memcpy(&result->customer, DatumGetUUIDP(values[COLUMN_CUSTOMER]), sizeof(pg_uuid_t));
	decode_held(values, nulls, with_usage, result);
	result->overrides = nulls[COLUMN_OVERRIDES] ? NULL : DatumGetJsonbPCopy(values[COLUMN_OVERRIDES]);
	result->has_usage = with_usage;
	if (!with_usage)
		return;
	result->has_period = !nulls[COLUMN_USAGE_START] && !nulls[COLUMN_USAGE_END];
	result->usage_start = DatumGetTimestampTz(values[COLUMN_USAGE_START]);
	result->usage_end = DatumGetTimestampTz(values[COLUMN_USAGE_END]);
	result->usage_anchor = DatumGetTimestampTz(values[COLUMN_USAGE_ANCHOR]);
	text_to_cstring_buffer(DatumGetTextPP(values[COLUMN_USAGE_UNIT]), result->usage_unit, sizeof(result->usage_unit));
	result->usage_count = DatumGetInt32(values[COLUMN_USAGE_COUNT]);
	text_to_cstring_buffer(DatumGetTextPP(values[COLUMN_CURRENCY]), result->currency, sizeof(result->currency));
	result->timezone = TextDatumGetCString(values[COLUMN_TIMEZONE]);
	result->in_trial = !nulls[COLUMN_USAGE_TRIAL_END];
	result->trial_end = result->in_trial ? DatumGetTimestampTz(values[COLUMN_USAGE_TRIAL_END]) : 0;
	result->negotiated = nulls[COLUMN_NEGOTIATED] ? NULL : DatumGetJsonbPCopy(values[COLUMN_NEGOTIATED]);
}

static void
set_now(const Datum *values, const bool *nulls, QzpayEntitlement *result)
{
	pg_uuid_t	clock;

	if (!nulls[COLUMN_CLOCK])
		memcpy(&clock, DatumGetUUIDP(values[COLUMN_CLOCK]), sizeof(clock));
	result->on_test_clock = !nulls[COLUMN_CLOCK];
	result->now = qzpay_clock_of(!nulls[COLUMN_CLOCK], &clock);
}

/*
 * Where rows were found, so that the next look at the same customer needs no descent of an index.  A hint: what lies there must be visible
 * to the snapshot and of the customer, and as a customer has one visible row, it is then the row.  Everything is forgotten when the table
 * changes; vacuum doesn't truncate it.
 */
typedef struct Place
{
	uint64		tag;			/* the half of the customer's id that is random or a hash in every version of uuid */
	ItemPointerData tid;		/* invalid: nothing */
} Place;

/* Customers of one hash share a bucket, which is a line of the processor's cache, and in which the eldest gives way. */
#define BUCKET 4
#define BUCKET_ALIGN 64
#define MIN_BUCKETS 64
#define MAX_BUCKETS (1 << 15)	/* 2 MB, in a session that has seen that many customers */

typedef struct Bucket
{
	Place		places[BUCKET];
} Bucket;

StaticAssertDecl(sizeof(Bucket) == BUCKET_ALIGN, "a bucket is one line of the cache");

static Bucket *buckets = NULL;
static void *buckets_memory = NULL; /* in which they begin at a line */
static uint32 n_buckets = 0;	/* a power of 2 */
static uint32 n_displaced = 0;	/* since there are that many */
static Oid	places_of = InvalidOid;

static inline uint64
tag_of(const pg_uuid_t *customer)
{
	uint64		tag;

	memcpy(&tag, &customer->data[8], sizeof(tag));
	return tag;
}

static inline Bucket *
bucket_of(uint64 tag)
{
	return &buckets[murmurhash32((uint32) tag ^ (uint32) (tag >> 32)) & (n_buckets - 1)];
}

static inline bool
place_is_of(const Place *place, uint64 tag)
{
	return place->tag == tag && ItemPointerIsValid(&place->tid);
}

/* Puts a place first in its bucket, where the same customer's or the last one gives way. */
static void
put_place(const Place *place)
{
	Bucket	   *bucket = bucket_of(place->tag);
	int			i = 0;

	while (i < BUCKET - 1 && ItemPointerIsValid(&bucket->places[i].tid) && !place_is_of(&bucket->places[i], place->tag))
		i++;
	if (ItemPointerIsValid(&bucket->places[i].tid) && !place_is_of(&bucket->places[i], place->tag))
		n_displaced++;
	memmove(&bucket->places[1], &bucket->places[0], i * sizeof(Place));
	bucket->places[0] = *place;
}

/* Makes n buckets and keeps what there is. */
static void
resize_buckets(uint32 n)
{
	Bucket	   *old = buckets;
	void	   *old_memory = buckets_memory;
	uint32		n_old = n_buckets;

	buckets_memory = MemoryContextAllocZero(TopMemoryContext, n * sizeof(Bucket) + BUCKET_ALIGN);
	buckets = (Bucket *) TYPEALIGN(BUCKET_ALIGN, buckets_memory);
	n_buckets = n;
	for (uint32 i = 0; i < n_old * BUCKET; i++)
	{
		const Place *place = &old[i / BUCKET].places[i % BUCKET];

		if (ItemPointerIsValid(&place->tid))
			put_place(place);
	}
	n_displaced = 0;
	if (old_memory != NULL)
		pfree(old_memory);
}

static void
remember_place(const pg_uuid_t *customer, ItemPointer tid)
{
	Place		place;

	if (buckets == NULL)
		resize_buckets(MIN_BUCKETS);
	else if (n_displaced > n_buckets && n_buckets < MAX_BUCKETS)
		resize_buckets(n_buckets * 2);
	place.tag = tag_of(customer);
	place.tid = *tid;
	put_place(&place);
}

/* Where the customer was found before; false when that is not known. */
static bool
find_place(const pg_uuid_t *customer, ItemPointer tid)
{
	uint64		tag = tag_of(customer);
	const Bucket *bucket = bucket_of(tag);

	for (int i = 0; i < BUCKET; i++)
	{
		if (place_is_of(&bucket->places[i], tag))
		{
			*tid = bucket->places[i].tid;
			return true;
		}
	}
	return false;
}

static void
on_relcache(Datum arg, Oid relid)
{
	if ((relid == InvalidOid || relid == places_of) && buckets != NULL)
		memset(buckets, 0, n_buckets * sizeof(Bucket));
}

/* Called once, by _PG_init. */
void
qzpay_entitlement_init(void)
{
	CacheRegisterRelcacheCallback(on_relcache, (Datum) 0);
}

/*
 * Whether nobody has deleted, replaced or locked the version, which a snapshot has seen.  Needs a pin only, since nothing moves in a page that is
 * pinned; and whoever does so writes here, and lets the page go, before he looks at what we have written and let go of before we look here.
 */
static inline bool
is_untouched(HeapTupleHeader header)
{
	return (((volatile HeapTupleHeaderData *) header)->t_infomask & HEAP_XMAX_INVALID) != 0;
}

/* Takes what is in the slot. */
static void
read_slot(QzpayRelation *relation, TupleTableSlot *slot, bool with_usage, QzpayEntitlement *result)
{
	int			n_columns = with_usage ? N_COLUMNS : N_COLUMNS_WITHOUT_USAGE;
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS];

	number_columns(relation);
	for (int i = 0; i < n_columns; i++)
		values[i] = slot_getattr(slot, column_numbers[i], &nulls[i]);
	decode(values, nulls, with_usage, result);
	set_now(values, nulls, result);
	result->has_row = true;
	result->row_locked = false;
	result->was_newest = is_untouched(((BufferHeapTupleTableSlot *) slot)->base.tuple->t_data);
	result->row = slot->tts_tid;
}

/* The key of the customer's place in shared memory; one for looks with the tenant and one for looks without. */
static void
place_key(QzpayPlaceKey *place, const pg_uuid_t *tenant, const pg_uuid_t *customer)
{
	pg_uuid_t	key[2] = {{{0}}, *customer};

	if (tenant != NULL)
		key[0] = *tenant;
	qzpay_place_key(place, by_key.heap, key, sizeof(key));
}

/* Looks where the customer's row was found before, by this session or another. */
static bool
probe_place(const pg_uuid_t *tenant, const pg_uuid_t *customer, bool with_usage, Snapshot snapshot, QzpayEntitlement *result)
{
	QzpayScan	scan;
	TupleTableSlot *slot;
	ItemPointerData tid;
	QzpayPlaceKey place;
	bool		found;

	/* First, since this takes in messages that may make the places forgotten. */
	qzpay_relation_open_heap(&by_key);
	if (buckets == NULL || places_of != RelationGetRelid(by_key.heap) || !find_place(customer, &tid))
	{
		place_key(&place, tenant, customer);
		if (!qzpay_place_find(&place, &tid))
			return false;
	}
	slot = qzpay_scan_fetch(&scan, &by_key, snapshot, &tid);
	found = slot != NULL;
	if (found)
	{
		number_columns(&by_key);
		found = memcmp(qzpay_slot_uuid(slot, column_numbers[COLUMN_CUSTOMER]), customer, sizeof(pg_uuid_t)) == 0 &&
			(tenant == NULL || memcmp(qzpay_slot_uuid(slot, column_numbers[COLUMN_TENANT]), tenant, sizeof(pg_uuid_t)) == 0);
	}
	if (found)
		read_slot(&by_key, slot, with_usage, result);
	qzpay_scan_end(&scan);
	return found;
}

/*
 * qzpay_entitlement_prefetch
 *		Has the processor fetch the rows of customers that will be read next, those that are named by the text of their id.
 */
void
qzpay_entitlement_prefetch(text *const *customers, int n)
{
	QzpayPlaceKey *places = palloc(n * sizeof(QzpayPlaceKey));
	ItemPointerData *tids = palloc(n * sizeof(ItemPointerData));
	pg_uuid_t	tenant;
	bool		has_tenant = qzpay_context_tenant(&tenant);
	int			n_places = 0;
	int			n_tids = 0;

	qzpay_relation_open_heap(&by_key);
	for (int i = 0; i < n; i++)
	{
		pg_uuid_t	customer;

		if (!qzpay_uuid_parse_text(PointerGetDatum(customers[i]), &customer))
			continue;
		place_key(&places[n_places], has_tenant ? &tenant : NULL, &customer);
		qzpay_place_prefetch(&places[n_places++]);
	}
	for (int i = 0; i < n_places; i++)
	{
		if (qzpay_place_find(&places[i], &tids[n_tids]))
			qzpay_prefetch_page(&by_key, &tids[n_tids++]);
	}
	for (int i = 0; i < n_tids; i++)
		qzpay_prefetch_row(&by_key, &tids[i]);
}

/* Reads the row of (tenant, customer), or without a tenant of the customer's id alone; false when there is none. */
static bool
probe(const pg_uuid_t *tenant, const pg_uuid_t *customer, bool with_usage, Snapshot snapshot, QzpayEntitlement *result)
{
	QzpayRelation *relation = tenant != NULL ? &by_key : &by_customer;
	ScanKeyData keys[2];
	QzpayScan	scan;
	TupleTableSlot *slot;
	QzpayPlaceKey place;
	bool		found;

	if (probe_place(tenant, customer, with_usage, snapshot, result))
		return true;
	if (tenant != NULL)
	{
		qzpay_scan_key_uuid(&keys[0], 1, tenant);
		qzpay_scan_key_uuid(&keys[1], 2, customer);
	}
	else
		qzpay_scan_key_uuid(&keys[0], 1, customer);
	qzpay_scan_begin(&scan, relation, snapshot, keys, tenant != NULL ? 2 : 1);
	slot = qzpay_scan_next(&scan);
	found = slot != NULL;
	if (found)
	{
		read_slot(relation, slot, with_usage, result);
		if (tenant == NULL && qzpay_scan_next(&scan) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("customer \"%s\" exists in more than one tenant",
							DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(customer)))),
					 errhint("Choose the tenant with qzpay.set_tenant().")));
		places_of = RelationGetRelid(relation->heap);
		remember_place(customer, &result->row);
		qzpay_relation_open_heap(&by_key);
		place_key(&place, tenant, customer);
		qzpay_place_note(&place, &result->row);
	}
	qzpay_scan_end(&scan);
	return found;
}

static Datum
array_of(const pg_uuid_t *id)
{
	Datum		element = UUIDPGetDatum(id);

	return PointerGetDatum(construct_array(&element, 1, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

/* Computes what the row would say. */
static bool
compute(const pg_uuid_t *tenant, const pg_uuid_t *customer, bool with_usage, QzpayEntitlement *result)
{
	Datum		arguments[2];
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS];

	arguments[0] = array_of(tenant);
	arguments[1] = array_of(customer);
	if (!qzpay_call(&facts, tenant, arguments, NULL, true, N_COLUMNS, values, nulls))
		return false;
	decode(values, nulls, with_usage, result);
	set_now(values, nulls, result);
	result->has_row = false;
	result->row_locked = false;
	result->was_newest = false;
	return true;
}

/* The caller's tenant, or NULL for a role that may do without; raises QZ004 for one that may not. */
static const pg_uuid_t *
callers_tenant(pg_uuid_t *tenant)
{
	if (qzpay_context_tenant(tenant))
		return tenant;
	memset(tenant, 0, sizeof(*tenant));
	(void) qzpay_context_allows(tenant);
	return NULL;
}

static bool
read_by_id(const pg_uuid_t *tenant, const pg_uuid_t *customer, bool with_usage, QzpayEntitlement *result)
{
	pg_uuid_t	owner;

	if (probe(tenant, customer, with_usage, qzpay_scan_snapshot(), result))
		return true;
	if (!qzpay_tenant_of(QZPAY_OBJECT_CUSTOMER, customer, &owner))
		return false;
	if (tenant != NULL && memcmp(tenant, &owner, sizeof(owner)) != 0)
		return false;
	return compute(&owner, customer, with_usage, result);
}

static bool
read_by_text(const pg_uuid_t *tenant, Datum external_id, bool with_usage, QzpayEntitlement *result)
{
	pg_uuid_t	derived;
	pg_uuid_t	customer;
	ScanKeyData keys[2];
	QzpayScan	scan;
	TupleTableSlot *slot;
	bool		found;

	/* The text of an id that was seen before needs no derivation. */
	if (qzpay_uuid_parse_text(external_id, &customer) && probe_place(tenant, &customer, with_usage, qzpay_scan_snapshot(), result))
		return true;
	if (tenant == NULL)
		qzpay_uuid_derive_text(&derived, qzpay_installation_id(), external_id);
	else
		derived = *tenant;
	qzpay_uuid_derive_text(&customer, &derived, external_id);
	if (probe(&derived, &customer, with_usage, qzpay_scan_snapshot(), result))
		return true;

	/* No row yet, or a customer whose id comes from elsewhere. */
	qzpay_scan_key_uuid(&keys[0], 1, &derived);
	qzpay_scan_key_text(&keys[1], 2, external_id);
	qzpay_scan_begin(&scan, &customers_by_external_id, qzpay_scan_snapshot(), keys, 2);
	slot = qzpay_scan_next(&scan);
	found = slot != NULL;
	if (found)
		customer = *qzpay_slot_uuid(slot, qzpay_relation_column(&customers_by_external_id, "id"));
	qzpay_scan_end(&scan);
	if (found)
		return read_by_id(&derived, &customer, with_usage, result);
	return qzpay_uuid_parse_text(external_id, &customer) && read_by_id(tenant, &customer, with_usage, result);
}

/*
 * qzpay_entitlement_read
 *		What the customer holds, as the running statement sees it; false when there is no such customer in the caller's tenant.
 *
 * Allocates in the current memory context.
 */
bool
qzpay_entitlement_read(const pg_uuid_t *customer, bool with_usage, QzpayEntitlement *result)
{
	pg_uuid_t	tenant;

	return read_by_id(callers_tenant(&tenant), customer, with_usage, result);
}

/*
 * qzpay_entitlement_read_text
 *		The same for an external id, or for the text of an id.
 */
bool
qzpay_entitlement_read_text(Datum external_id, bool with_usage, QzpayEntitlement *result)
{
	pg_uuid_t	tenant;

	return read_by_text(callers_tenant(&tenant), external_id, with_usage, result);
}

/*
 * qzpay_entitlement_read_for_trigger
 *		The same for triggers of the application's tables, which hold for every role, also one that knows nothing of tenants.
 */
bool
qzpay_entitlement_read_for_trigger(Datum external_id, QzpayEntitlement *result)
{
	pg_uuid_t	tenant;

	return read_by_text(qzpay_context_tenant(&tenant) ? &tenant : NULL, external_id, false, result);
}

/*
 * qzpay_entitlement_is_current
 *		Whether the version that was read is still the newest, and nobody else is changing or locking it.
 *
 * It can't have been removed meanwhile: the statement's snapshot, which is at least as old, is still active.
 */
bool
qzpay_entitlement_is_current(const QzpayEntitlement *entitlement)
{
	Buffer		buffer;
	Page		page;
	ItemId		item;
	HeapTupleData tuple;
	TM_Result	state;
	bool		is_mine;

	if (!entitlement->has_row || entitlement->row_locked)
		return true;
	qzpay_relation_open_heap(&by_key);
	buffer = qzpay_read_page(&by_key, ItemPointerGetBlockNumber(&entitlement->row));
	page = BufferGetPage(buffer);
	item = PageGetItemId(page, ItemPointerGetOffsetNumber(&entitlement->row));
	if (ItemIdIsNormal(item) && is_untouched((HeapTupleHeader) PageGetItem(page, item)))
	{
		ReleaseBuffer(buffer);
		return true;
	}
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (!ItemIdIsNormal(item))
	{
		UnlockReleaseBuffer(buffer);
		return false;
	}
	tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple.t_len = ItemIdGetLength(item);
	tuple.t_self = entitlement->row;
	tuple.t_tableOid = RelationGetRelid(by_key.heap);
	/* A version this command made itself is as new as can be. */
	state = HeapTupleSatisfiesUpdate(&tuple, GetCurrentCommandId(false), buffer);
	is_mine = state == TM_BeingModified && !(tuple.t_data->t_infomask & HEAP_XMAX_IS_MULTI) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmax(tuple.t_data));
	UnlockReleaseBuffer(buffer);
	return state == TM_Ok || state == TM_Invisible || is_mine;
}

/*
 * Waits until whoever changes or locks the row has finished, and keeps others from it; false when it was outdated by then.
 */
static bool
lock_row(const QzpayEntitlement *entitlement)
{
	return qzpay_row_lock(&by_key, unconstify(ItemPointerData *, &entitlement->row), LockTupleShare) == TM_Ok;
}

/* Writes the row that is missing. */
static void
write_row(const QzpayEntitlement *entitlement)
{
	Datum		arguments[2];
	Datum		rows;
	bool		isnull;

	arguments[0] = array_of(&entitlement->tenant);
	arguments[1] = array_of(&entitlement->customer);
	qzpay_call(&refresh, &entitlement->tenant, arguments, NULL, false, 1, &rows, &isnull);
	CommandCounterIncrement();
}

/*
 * Makes sure that what was read is the newest, whatever the statement's snapshot; false when the customer is gone.  A row that is missing is
 * written, and one that is being changed is waited for.
 */
static bool
settle(QzpayEntitlement *result)
{
	pg_uuid_t	tenant = result->tenant;
	pg_uuid_t	customer = result->customer;

	while (!result->has_row || !(result->was_newest || qzpay_entitlement_is_current(result)))
	{
		bool		found;

		if (!result->has_row)
			write_row(result);
		PushActiveSnapshot(GetLatestSnapshot());
		found = read_by_id(&tenant, &customer, true, result);
		if (found && result->has_row && !qzpay_entitlement_is_current(result))
			result->row_locked = lock_row(result);
		PopActiveSnapshot();
		if (!found)
			return false;
	}
	return true;
}

/*
 * qzpay_entitlement_read_newest
 *		What the customer (a uuid, or as text its external id) holds now, with usage; false when there is no such customer.
 *
 * For writers.  What the statement sees is the newest in all but rare cases; a customer that was made by the statement itself, by a function
 * called before, is not in its snapshot.
 */
bool
qzpay_entitlement_read_newest(bool is_text, Datum customer, QzpayEntitlement *result)
{
	bool		found = is_text ? qzpay_entitlement_read_text(customer, true, result) :
		qzpay_entitlement_read(DatumGetUUIDP(customer), true, result);

	if (!found)
	{
		PushActiveSnapshot(GetLatestSnapshot());
		found = is_text ? qzpay_entitlement_read_text(customer, true, result) :
			qzpay_entitlement_read(DatumGetUUIDP(customer), true, result);
		PopActiveSnapshot();
	}
	return found && settle(result);
}
