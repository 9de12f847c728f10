/*
 * throttle.c
 *		Failed guesses per tenant, counted where no ROLLBACK reaches.
 *
 * Where the library is preloaded the counters are in shared memory, under one lock that is held for a few comparisons; elsewhere each
 * backend counts for itself, as there is no shared memory for a library that is loaded later (before PostgreSQL 17).  Nothing outlives a
 * restart of the server.
 *
 * Tenants share a fixed number of places.  When all are taken, the one whose window began first gives way.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "store/clock.h"
#include "store/throttle.h"

#define PLACES 4096
#define PLACES_ALONE 64			/* of a backend */
#define PLACES_PER_TENANT 8		/* looked at for one tenant */
#define WINDOW_USEC (10 * USECS_PER_MINUTE)

typedef struct Counter
{
	pg_uuid_t	tenant;
	TimestampTz since;			/* 0: not taken */
	int			failures;
} Counter;

typedef struct SharedCounters
{
	LWLock	   *lock;
	Counter		counters[PLACES];
} SharedCounters;

static SharedCounters *shared = NULL;
static Counter alone[PLACES_ALONE];

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SharedCounters)));
	RequestNamedLWLockTranche("qzpay_throttle", 1);
}

static void
attach_memory(void)
{
	bool		found;

	if (next_shmem_startup_hook)
		next_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("qzpay throttle", sizeof(SharedCounters), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(SharedCounters));
		shared->lock = &GetNamedLWLockTranche("qzpay_throttle")->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * qzpay_throttle_init
 *		Reserves the memory while the library is preloaded; does nothing otherwise.
 */
void
qzpay_throttle_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	next_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}

/* The counter of a tenant among a few places that its id leads to, or the one that gives way to it. */
static Counter *
find_counter(Counter *counters, int places, const pg_uuid_t *tenant, TimestampTz now)
{
	uint32		start;
	Counter    *oldest = NULL;

	/* Ids of tenants are hashes themselves, or random. */
	memcpy(&start, tenant->data, sizeof(start));
	for (int i = 0; i < PLACES_PER_TENANT; i++)
	{
		Counter    *counter = &counters[(start + i) % places];

		if (counter->since != 0 && (now - counter->since >= WINDOW_USEC || now < counter->since))
			counter->since = 0;
		if (counter->since != 0 && memcmp(&counter->tenant, tenant, sizeof(*tenant)) == 0)
			return counter;
		if (oldest == NULL || counter->since < oldest->since)
			oldest = counter;
	}
	return oldest;
}

/*
 * qzpay_throttle_failures
 *		How often a tenant has failed in the window of ten minutes that began with its first failure, this one (failed) included.
 */
int
qzpay_throttle_failures(const pg_uuid_t *tenant, bool failed)
{
	TimestampTz now = qzpay_clock_real();
	Counter    *counter;
	bool		known;
	int			failures;

	if (shared != NULL)
		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	counter = find_counter(shared != NULL ? shared->counters : alone, shared != NULL ? PLACES : PLACES_ALONE, tenant, now);
	known = counter->since != 0 && memcmp(&counter->tenant, tenant, sizeof(*tenant)) == 0;
	if (!known && failed)
	{
		counter->tenant = *tenant;
		counter->since = now;
		counter->failures = 0;
	}
	if (failed && counter->failures < PG_INT32_MAX)
		counter->failures++;
	failures = known || failed ? counter->failures : 0;
	if (shared != NULL)
		LWLockRelease(shared->lock);
	return failures;
}
