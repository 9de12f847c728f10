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
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "store/rate.h"

#define ROW 8
#define ROWS 2048				/* 16384 entries, 2 MB */
#define LOCKS 64
#define TRANCHE "qzpay_rate"

typedef struct Entry
{
	Oid			database;		/* 0: free */
	pg_uuid_t	customer;
	uint64		feature;		/* hash of its code */
	QzpayRate	rate;
} Entry;

static Entry *entries = NULL;	/* ROWS × ROW */
static LWLockPadded *locks = NULL;	/* NULL: the entries are this session's */

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	RequestAddinShmemSpace(ROWS * ROW * sizeof(Entry));
	RequestNamedLWLockTranche(TRANCHE, LOCKS);
}

static void
attach_memory(void)
{
	bool		found;

	if (next_shmem_startup_hook)
		next_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	entries = ShmemInitStruct("qzpay rates", ROWS * ROW * sizeof(Entry), &found);
	if (!found)
		memset(entries, 0, ROWS * ROW * sizeof(Entry));
	locks = GetNamedLWLockTranche(TRANCHE);
	LWLockRelease(AddinShmemInitLock);
}

/* Called once, by _PG_init. */
void
qzpay_rate_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}

/* Whether all sessions count together. */
bool
qzpay_rate_is_shared(void)
{
	return locks != NULL;
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

	if (entries == NULL)
		entries = MemoryContextAllocZero(TopMemoryContext, ROWS * ROW * sizeof(Entry));
	if (locks != NULL)
		LWLockAcquire(&locks[n % LOCKS].lock, LW_EXCLUSIVE);
	qzpay_rate_take(&find_entry(&entries[n * ROW], customer, feature_hash, now)->rate, now, limit, cost, answer);
	if (locks != NULL)
		LWLockRelease(&locks[n % LOCKS].lock);
}
