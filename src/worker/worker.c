/*
 * worker.c
 *		The worker of one database: runs jobs, and carries attempts to the providers and their answers back.
 *
 * It connects as qzpay_runner, which is no superuser: what it calls includes users' SQL.  It runs no procedure, but the batch functions
 * that the procedures run, each in a short transaction of its own; while an exchange is under way no transaction is open.  An error ends
 * the transaction at hand, not the worker.  It never exits with 0.
 *
 * Nothing is kept in memory that a crash could lose: a claimed attempt is in its row, leased to this process, and whoever comes next
 * takes it up from there.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "store/clock.h"
#include "worker/exchange.h"
#include "worker/worker.h"

#define SLOTS				32	/* exchanges at once */
#define POLL_MS				1000
#define CHECK_MS			5000	/* extension, heartbeat, leases of the dead */
#define SETTLE_TRIES		3

/* A kind of work, and when it is done again after it failed. */
typedef struct Duty
{
	bool		(*work) (void);
	int			delay;			/* seconds; 0: it did not fail last time */
	TimestampTz not_before;
} Duty;

static MemoryContext worker_context;
static MemoryContext scratch_context;	/* reset in every turn */
static MemoryContext claims_context;
static QzpayHttp *http = NULL;
static QzpayClaim *slots[SLOTS];
static TimestampTz started_at;
static char *last_complaint = NULL;
static const char *doing = "starting";

/* Error context: what the worker was at. */
static void
say_what(void *arg)
{
	errcontext("qzpay worker, %s", doing);
}

/* Logs a reason for not working, once until it changes; NULL when there is none any more. */
static void
complain(const char *reason)
{
	if (reason != NULL && (last_complaint == NULL || strcmp(reason, last_complaint) != 0))
		ereport(WARNING, (errmsg("qzpay worker waits: %s", reason)));
	if (last_complaint != NULL)
		pfree(last_complaint);
	last_complaint = reason ? MemoryContextStrdup(worker_context, reason) : NULL;
}

/* Opens a transaction with SPI. */
static void
begin_work(const char *what)
{
	doing = what;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	SPI_connect();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, what);
}

/* Commits it. */
static void
end_work(void)
{
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(scratch_context);
	doing = "waiting";
}

/* Ends a transaction that failed.  Returns its SQLSTATE; the message goes to the log. */
static int
abandon_work(void)
{
	ErrorData  *error;
	int			code;

	MemoryContextSwitchTo(scratch_context);
	error = CopyErrorData();
	code = error->sqlerrcode;
	HOLD_INTERRUPTS();
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(scratch_context);
	doing = "waiting";
	return code;
}

/*
 * look_around
 *		Whether there is something to work on: the extension, and tables of its version.  Also the heartbeat.
 *
 * The extension is locked against being dropped or updated meanwhile, as long as this transaction lasts.  Raises no error of its own.
 */
static bool
look_around(void)
{
	Oid			extension;
	const char *reason = NULL;
	char	   *installed;

	begin_work("looking for the extension");
	extension = get_extension_oid("qzpay", true);
	if (OidIsValid(extension))
		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	if (!OidIsValid(extension) || get_extension_oid("qzpay", true) != extension)
		reason = "extension qzpay is not in this database";
	else if (SPI_execute("SELECT CASE WHEN to_regclass('qzpay.installation') IS NULL THEN 'none' END", true, 1) != SPI_OK_SELECT)
		elog(ERROR, "looking for the tables failed");
	else if (SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) != NULL)
		reason = "qzpay.install() has not been called in this database";
	else if (SPI_execute("SELECT i.schema_version, e.extversion FROM qzpay.installation i, pg_catalog.pg_extension e "
						 "WHERE e.extname OPERATOR(pg_catalog.=) 'qzpay'", true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		reason = "the installation has no version";
	else
	{
		installed = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (strcmp(installed, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2)) != 0 || strcmp(installed, QZPAY_VERSION) != 0)
			reason = "library, extension and tables are of different versions; see qzpay.upgrade()";
		else
		{
			Oid			types[2] = {TEXTOID, TIMESTAMPTZOID};
			Datum		values[2];

			values[0] = CStringGetTextDatum(http != NULL && qzpay_http_active(http) > 0 ? "sending" : "running");
			values[1] = TimestampTzGetDatum(started_at);
			SPI_execute_with_args("SELECT qzpay._heartbeat($1, $2)", 2, types, values, NULL, false, 0);
			SPI_execute("SELECT qzpay._release_dead_leases()", false, 0);
		}
	}
	end_work();
	complain(reason);
	return reason == NULL;
}

/* Runs one batch function, in a transaction; returns its number, or 0 for NULL. */
static int64
run_batch(const char *what, const char *query)
{
	int64		done = 0;
	bool		isnull;

	begin_work(what);
	if (SPI_execute(query, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "%s failed", what);
	done = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (isnull)
		done = 0;
	end_work();
	return done;
}

/*
 * settle
 *		Records an outcome; what is to be sent next takes the claim's place in its slot.
 *
 * A transaction that lost a race is tried again.  Where it fails for good the lease runs out, and the outcome is looked up.
 */
static void
settle(int slot, const char *response)
{
	QzpayClaim *claim = slots[slot];
	QzpayClaim *volatile next = NULL;
	volatile bool done = false;
	volatile int tries = 0;

	while (!done)
	{
		PG_TRY();
		{
			begin_work("settling an attempt");
			next = qzpay_exchange_settle(claim, response, claims_context);
			end_work();
			done = true;
		}
		PG_CATCH();
		{
			int			code = abandon_work();

			if (next != NULL)
			{
				qzpay_exchange_forget(next);
				next = NULL;
			}
			done = ++tries >= SETTLE_TRIES || (code != ERRCODE_T_R_SERIALIZATION_FAILURE && code != ERRCODE_T_R_DEADLOCK_DETECTED);
		}
		PG_END_TRY();
	}
	qzpay_exchange_forget(claim);
	slots[slot] = next;
}

/*
 * send_slot
 *		Sends what a slot holds, until it is on its way or nothing is left of it.
 *
 * No transaction is open.  Too late for the lease, it is dropped: whoever comes next finds it due.
 */
static void
send_slot(int slot)
{
	while (slots[slot] != NULL)
	{
		const char *volatile problem = NULL;
		MemoryContext old = CurrentMemoryContext;

		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);
		if (qzpay_clock_real() > slots[slot]->send_until)
		{
			ereport(LOG, (errmsg("qzpay worker lets go of an attempt whose lease is too short to send it")));
			qzpay_exchange_forget(slots[slot]);
			slots[slot] = NULL;
			return;
		}
		PG_TRY();
		{
			problem = qzpay_exchange_begin(http, slots[slot], slots[slot]);
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(old);
			(void) abandon_work();
			problem = "the secrets file cannot be used";
		}
		PG_END_TRY();
		if (problem == NULL)
			return;
		settle(slot, qzpay_exchange_not_sent(problem));
	}
}

/* Settles every answer that has come in; true when there was any. */
static bool
take_answers(void)
{
	QzpayHttpAnswer answer;
	volatile bool any = false;

	while (qzpay_http_next(http, &answer))
	{
		char	   *volatile response = NULL;
		volatile int slot = 0;

		any = true;
		while (slot < SLOTS && slots[slot] != answer.tag)
			slot++;
		PG_TRY();
		{
			response = qzpay_exchange_response(&answer);
		}
		PG_CATCH();
		{
			(void) abandon_work();
			response = "{\"transport\":\"invalid\"}";
		}
		PG_END_TRY();
		qzpay_http_release(&answer);
		if (slot == SLOTS)
			elog(ERROR, "an answer came for no attempt");
		settle(slot, response);
		send_slot(slot);
	}
	return any;
}

/* Claims attempts for the free slots and sends them; true when there was any. */
static bool
claim_and_send(void)
{
	QzpayClaim *claims[SLOTS];
	int			places[SLOTS];
	int			n_free = 0;
	int			n;
	int			i;

	for (i = 0; i < SLOTS; i++)
	{
		if (slots[i] == NULL)
			places[n_free++] = i;
	}
	if (n_free == 0)
		return false;
	begin_work("claiming attempts");
	n = qzpay_exchange_claim(n_free, claims_context, claims);
	end_work();
	for (i = 0; i < n; i++)
		slots[places[i]] = claims[i];
	for (i = 0; i < n; i++)
		send_slot(places[i]);
	return n > 0;
}

/*
 * try_work
 *		Does one kind of work, if it is its time; true when there was any.
 *
 * An error in it stops only itself, for 5 seconds at first and up to a minute where it goes on.
 */
static bool
try_work(Duty *duty)
{
	volatile bool any = false;

	if (duty->delay > 0 && qzpay_clock_real() < duty->not_before)
		return false;
	PG_TRY();
	{
		any = duty->work();
		duty->delay = 0;
	}
	PG_CATCH();
	{
		(void) abandon_work();
		duty->delay = Min(Max(duty->delay * 2, 5), 60);
		duty->not_before = TimestampTzPlusMilliseconds(qzpay_clock_real(), duty->delay * 1000L);
	}
	PG_END_TRY();
	return any;
}

static bool
run_jobs(void)
{
	return run_batch("running a job", "SELECT CASE WHEN j.job IS NOT NULL THEN 1::pg_catalog.int8 END FROM qzpay._run_due_jobs_batch() j") > 0;
}

static bool
run_internal(void)
{
	return run_batch("charging inside the database", "SELECT qzpay._run_internal_attempts(NULL, 100)::pg_catalog.int8") > 0;
}

/* Values that must not come from the database's or the role's settings. */
static void
fix_settings(void)
{
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_deferrable", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", "10s", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "on", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("TimeZone", "UTC", PGC_SUSET, PGC_S_OVERRIDE);
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		SetConfigOption("synchronous_commit", "on", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("application_name", "qzpay worker", PGC_SUSET, PGC_S_OVERRIDE);
}

/* The worker's turns, for ever. */
static void
work(void)
{
	Duty		looking = {look_around, 0, 0};
	Duty		jobs = {run_jobs, 0, 0};
	Duty		internal = {run_internal, 0, 0};
	Duty		claiming = {claim_and_send, 0, 0};
	TimestampTz next_check = 0;
	TimestampTz next_poll = 0;
	bool		ready = false;

	for (;;)
	{
		TimestampTz now = qzpay_clock_real();
		bool		busy = false;

		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		MemoryContextReset(scratch_context);
		MemoryContextSwitchTo(scratch_context);

		if (now >= next_check)
		{
			ready = try_work(&looking);
			next_check = TimestampTzPlusMilliseconds(now, CHECK_MS);
		}
		/* What is under way is settled whatever else is the matter. */
		busy = take_answers();
		if (ready && (busy || now >= next_poll))
		{
			busy |= try_work(&jobs);
			busy |= try_work(&internal);
			busy |= try_work(&claiming);
			next_poll = TimestampTzPlusMilliseconds(now, POLL_MS);
		}
		if (qzpay_http_active(http) > 0)
		{
			/* Short, since this wait knows no latch. */
			if (!qzpay_http_wait(http, busy ? 0 : 100))
				ereport(FATAL, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("the HTTP library of qzpay is broken")));
		}
		else if (!busy)
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 Max(1, TimestampDifferenceMilliseconds(qzpay_clock_real(), ready ? Min(next_poll, next_check) : next_check)), PG_WAIT_EXTENSION);
		if (busy)
			next_poll = 0;
		ResetLatch(MyLatch);
	}
}

/*
 * qzpay_worker_main
 *		The life of one database's worker.
 */
void
qzpay_worker_main(Datum arg)
{
	ErrorContextCallback context;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	/* A cancel would be swallowed while a commit waits for a standby, and reported as success. */
	pqsignal(SIGINT, SIG_IGN);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(MyBgworkerEntry->bgw_extra, "qzpay_runner", 0);

	context.callback = say_what;
	context.arg = NULL;
	context.previous = error_context_stack;
	error_context_stack = &context;

	worker_context = AllocSetContextCreate(TopMemoryContext, "qzpay worker", ALLOCSET_DEFAULT_SIZES);
	scratch_context = AllocSetContextCreate(worker_context, "qzpay worker turn", ALLOCSET_DEFAULT_SIZES);
	claims_context = AllocSetContextCreate(worker_context, "qzpay worker claims", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(scratch_context);
	fix_settings();
	started_at = qzpay_clock_real();
	http = qzpay_http_open();
	if (http == NULL)
		ereport(FATAL, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("the HTTP library of qzpay cannot be started")));
	work();
}
