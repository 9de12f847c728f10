/*
 * launcher.c
 *		Keeps one worker running in each database of qzpay.databases.
 *
 * The launcher itself is restarted by the postmaster, and never exits with 0, which would unregister it.  Its workers are not: after a
 * crash the postmaster would bring them back beside the ones that the new launcher registers.  So the launcher watches them, starts them
 * again (later and later where one cannot stay up), and takes them along when it ends.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "guc.h"
#include "store/clock.h"
#include "worker/worker.h"

#define RESTART_SECONDS		5
#define RESTART_MAX_SECONDS	60

/* A database that has, or should have, a worker. */
typedef struct Place
{
	struct Place *next;
	NameData	database;
	BackgroundWorkerHandle *handle; /* NULL: not running */
	TimestampTz started_at;
	TimestampTz start_at;		/* not before */
	int			delay;			/* seconds until the next start after an end */
	bool		wanted;
} Place;

static Place *places = NULL;

/*
 * qzpay_worker_register
 *		Registers the launcher; called while the library is preloaded, does nothing otherwise.
 */
void
qzpay_worker_register(void)
{
	BackgroundWorker worker;

	/* Under pg_upgrade nothing may happen by itself. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "qzpay");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "qzpay_launcher_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "qzpay launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "qzpay launcher");
	RegisterBackgroundWorker(&worker);
}

/* Whatever ends the launcher ends its workers, since the next one knows nothing of them. */
static void
stop_workers(int code, Datum arg)
{
	Place	   *place;

	for (place = places; place != NULL; place = place->next)
	{
		if (place->handle != NULL)
			TerminateBackgroundWorker(place->handle);
	}
}

/* Brings the list of places in line with the setting. */
static void
read_setting(void)
{
	char	   *raw = pstrdup(qzpay_guc_databases ? qzpay_guc_databases : "");
	List	   *names = NIL;
	ListCell   *cell;
	Place	   *place;

	for (place = places; place != NULL; place = place->next)
		place->wanted = false;
	if (!SplitGUCList(raw, ',', &names))
		names = NIL;
	foreach(cell, names)
	{
		const char *name = lfirst(cell);

		for (place = places; place != NULL; place = place->next)
		{
			if (namestrcmp(&place->database, name) == 0)
				break;
		}
		if (place == NULL)
		{
			place = MemoryContextAllocZero(TopMemoryContext, sizeof(Place));
			namestrcpy(&place->database, name);
			place->delay = RESTART_SECONDS;
			place->next = places;
			places = place;
		}
		place->wanted = true;
	}
	list_free(names);
	pfree(raw);
}

/* Starts the worker of a place; tries again later where no slot is free. */
static void
start_worker(Place *place, TimestampTz now)
{
	BackgroundWorker worker;
	MemoryContext old;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "qzpay");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "qzpay_worker_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "qzpay worker for %s", NameStr(place->database));
	snprintf(worker.bgw_type, BGW_MAXLEN, "qzpay worker");
	snprintf(worker.bgw_extra, BGW_EXTRALEN, "%s", NameStr(place->database));

	place->started_at = now;
	old = MemoryContextSwitchTo(TopMemoryContext);
	if (!RegisterDynamicBackgroundWorker(&worker, &place->handle))
	{
		place->handle = NULL;
		place->start_at = TimestampTzPlusMilliseconds(now, RESTART_MAX_SECONDS * 1000L);
		ereport(WARNING,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no background worker slot is free for qzpay in database \"%s\"", NameStr(place->database)),
				 errhint("Increase max_worker_processes.")));
	}
	MemoryContextSwitchTo(old);
}

/* Looks after one place: notices an end, starts, or stops what is no longer wanted. */
static void
tend(Place *place, TimestampTz now)
{
	pid_t		pid;

	if (place->handle != NULL && GetBackgroundWorkerPid(place->handle, &pid) == BGWH_STOPPED)
	{
		/* One that has run for a while starts afresh, one that cannot stay up is tried ever less. */
		if (TimestampDifferenceExceeds(place->started_at, now, 60 * 1000))
			place->delay = RESTART_SECONDS;
		place->start_at = TimestampTzPlusMilliseconds(now, place->delay * 1000L);
		place->delay = Min(place->delay * 2, RESTART_MAX_SECONDS);
		pfree(place->handle);
		place->handle = NULL;
	}
	if (place->wanted && place->handle == NULL && now >= place->start_at)
		start_worker(place, now);
	else if (!place->wanted && place->handle != NULL)
		TerminateBackgroundWorker(place->handle);
}

/*
 * qzpay_launcher_main
 *		The launcher's life.
 */
void
qzpay_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, SIG_IGN);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	before_shmem_exit(stop_workers, (Datum) 0);
	read_setting();

	for (;;)
	{
		TimestampTz now = qzpay_clock_real();
		Place	   *place;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			read_setting();
		}
		for (place = places; place != NULL; place = place->next)
			tend(place, now);
		/* The postmaster sets the latch when a worker starts or ends; the timeout is for those that wait for their time. */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000L, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
