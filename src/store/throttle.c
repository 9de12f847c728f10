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
#include "utils/timestamp.h"

#include "store/clock.h"
#include "store/shared.h"
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

static QzpayShared shared = {.name = "qzpay_throttle",.size = PLACES * sizeof(Counter),.n_locks = 1};
static Counter alone[PLACES_ALONE];

/* Called once, by _PG_init. */
void
qzpay_throttle_init(void)
{
	qzpay_shared_reserve(&shared);
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

	if (shared.memory != NULL)
		LWLockAcquire(&shared.locks[0].lock, LW_EXCLUSIVE);
	counter = find_counter(shared.memory != NULL ? shared.memory : alone, shared.memory != NULL ? PLACES : PLACES_ALONE, tenant, now);
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
	if (shared.memory != NULL)
		LWLockRelease(&shared.locks[0].lock);
	return failures;
}
