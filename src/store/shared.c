/*
 * shared.c
 *		Memory that all sessions share, where the library is preloaded.
 *
 * A library that is loaded later has none before PostgreSQL 17; whoever reserves an area says what it does then.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "store/shared.h"

static QzpayShared *areas = NULL;

static shmem_request_hook_type next_shmem_request_hook = NULL;
static shmem_startup_hook_type next_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (next_shmem_request_hook)
		next_shmem_request_hook();
	for (QzpayShared *area = areas; area != NULL; area = area->next)
	{
		RequestAddinShmemSpace(MAXALIGN(area->size));
		if (area->n_locks > 0)
			RequestNamedLWLockTranche(area->name, area->n_locks);
	}
}

static void
attach_memory(void)
{
	if (next_shmem_startup_hook)
		next_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (QzpayShared *area = areas; area != NULL; area = area->next)
	{
		bool		found;

		area->memory = ShmemInitStruct(area->name, area->size, &found);
		if (!found && area->begin != NULL)
			area->begin(area->memory);
		else if (!found)
			memset(area->memory, 0, area->size);
		if (area->n_locks > 0)
			area->locks = GetNamedLWLockTranche(area->name);
	}
	LWLockRelease(AddinShmemInitLock);
}

/*
 * qzpay_shared_reserve
 *		Asks for an area; to be called by _PG_init.  It is there when the server has started, if the library is preloaded.
 */
void
qzpay_shared_reserve(QzpayShared *area)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (areas == NULL)
	{
		next_shmem_request_hook = shmem_request_hook;
		shmem_request_hook = request_memory;
		next_shmem_startup_hook = shmem_startup_hook;
		shmem_startup_hook = attach_memory;
	}
	area->next = areas;
	areas = area;
}
