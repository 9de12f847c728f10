/*
 * rate.c
 *		Rates of customers, in memory that all sessions share.
 *
 * Where the library is preloaded the memory is shared, else each session counts for itself.  It is no transaction's: a ROLLBACK gives nothing
 * back.  Entries are found by hash in rows of eight; a new one takes the place of one that is idle, or where none is, of the one that was
 * used least lately, which then has counted nothing.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "store/rate.h"
#include "store/shared.h"

#define ROW 8
#define ROWS 2048				/* 16384 entries, 2 MB */
#define LOCKS 64

typedef struct Entry
{
	Oid			database;		/* 0: free */
	pg_uuid_t	customer;
	uint64		feature;		/* hash of its code */
	QzpayRate	rate;
} Entry;

static QzpayShared shared = {.name = "qzpay_rate",.size = ROWS * ROW * sizeof(Entry),.n_locks = LOCKS};
static Entry *own = NULL;		/* of a session without shared memory */

/* Called once, by _PG_init. */
void
qzpay_rate_init(void)
{
	qzpay_shared_reserve(&shared);
}

/* Whether all sessions count together. */
bool
qzpay_rate_is_shared(void)
{
	return shared.memory != NULL;
}

/* The entry of this key in its row. */
static Entry *
find_entry(Entry *row, const pg_uuid_t *customer, uint64 feature, int64 now)
{
	Entry	   *victim = &row[0];

	for (int i = 0; i < ROW; i++)
	{
		Entry	   *entry = &row[i];

		if (entry->database == MyDatabaseId && entry->feature == feature && memcmp(&entry->customer, customer, sizeof(pg_uuid_t)) == 0)
			return entry;
		if (!OidIsValid(victim->database))
			continue;
		if (!OidIsValid(entry->database) || qzpay_rate_is_idle(&entry->rate, now) || entry->rate.part < victim->rate.part)
			victim = entry;
	}
	memset(victim, 0, sizeof(*victim));
	victim->database = MyDatabaseId;
	victim->customer = *customer;
	victim->feature = feature;
	return victim;
}

/*
 * qzpay_rate_take_for
 *		Takes cost of what the customer may do of this feature in 60 seconds; now is real time, in microseconds.
 */
void
qzpay_rate_take_for(const pg_uuid_t *customer, const char *feature, int64 now, uint32 limit, uint32 cost, QzpayRateAnswer *answer)
{
	uint64		feature_hash = hash_bytes_extended((const unsigned char *) feature, strlen(feature), 0);
	uint64		hash = hash_bytes_extended(customer->data, UUID_LEN, feature_hash ^ MyDatabaseId);
	uint32		n = hash % ROWS;
	Entry	   *entries;

	if (shared.memory == NULL && own == NULL)
		own = MemoryContextAllocZero(TopMemoryContext, ROWS * ROW * sizeof(Entry));
	entries = shared.memory != NULL ? shared.memory : own;
	if (shared.memory != NULL)
		LWLockAcquire(&shared.locks[n % LOCKS].lock, LW_EXCLUSIVE);
	qzpay_rate_take(&find_entry(&entries[n * ROW], customer, feature_hash, now)->rate, now, limit, cost, answer);
	if (shared.memory != NULL)
		LWLockRelease(&shared.locks[n % LOCKS].lock);
}
