/*
 * deliver.c
 *		What the worker does, in steps of a session: SQL-callable functions behind CALL qzpay.deliver().
 *
 * A step is a transaction.  One claims, and keeps in memory what it claimed; the next one, after the commit, sends it, waits, and settles
 * the answer.  The call goes out while the step's transaction is open, but before it has written or locked anything.  What was claimed by
 * a transaction that did not commit is forgotten.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/pmsignal.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "qzpay.h"
#include "store/clock.h"
#include "worker/exchange.h"

QZPAY_FUNCTION(qzpay_deliver_step);
QZPAY_FUNCTION(qzpay_provider_url_problem);

#define WAIT_MS 100

static QzpayClaim *pending = NULL;	/* what is to be sent */
static bool pending_committed = false;	/* its claim is durable */
static bool swept = false;		/* leases of dead processes were released in this run */
static QzpayHttp *http = NULL;

/* A claim becomes real with its transaction. */
static void
on_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		pending_committed = true;
	else if ((event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) && pending != NULL && !pending_committed)
	{
		qzpay_exchange_forget(pending);
		pending = NULL;
	}
}

/* Keeps a claim for the next step. */
static void
keep(QzpayClaim *claim)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(on_transaction_end, NULL);
		registered = true;
	}
	pending = claim;
	pending_committed = false;
}

/* Drops the pool with whatever is in flight; its outcome will be looked up. */
static void
close_pool(void)
{
	if (http != NULL)
		qzpay_http_close(http);
	http = NULL;
}

/* Sends a claim and waits for the answer, as the text of a jsonb. */
static char *
exchange(const QzpayClaim *claim)
{
	QzpayHttpAnswer answer;
	const char *problem;
	char	   *response;

	if (http == NULL && (http = qzpay_http_open()) == NULL)
		return qzpay_exchange_not_sent("the HTTP library cannot be started");
	problem = qzpay_exchange_begin(http, claim, NULL);
	if (problem != NULL)
		return qzpay_exchange_not_sent(problem);
	while (!qzpay_http_next(http, &answer))
	{
		CHECK_FOR_INTERRUPTS();
		if (!qzpay_http_wait(http, WAIT_MS))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("the HTTP library is broken")));
	}
	PG_TRY();
	{
		response = qzpay_exchange_response(&answer);
	}
	PG_FINALLY();
	{
		qzpay_http_release(&answer);
	}
	PG_END_TRY();
	return response;
}

/* Sends what an earlier step claimed, and settles it; what follows is kept for the next step. */
static void
send_pending(void)
{
	QzpayClaim *claim = pending;
	char	   *response;

	pending = NULL;
	if (qzpay_clock_real() <= claim->send_until)
	{
		PG_TRY();
		{
			QzpayClaim *next;

			response = exchange(claim);
			next = qzpay_exchange_settle(claim, response, TopMemoryContext);
			if (next != NULL)
				keep(next);
		}
		PG_CATCH();
		{
			close_pool();
			qzpay_exchange_forget(claim);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	qzpay_exchange_forget(claim);
}

/* The number that a query returns. */
static int64
query_number(const char *query)
{
	bool		isnull;
	int64		value;

	if (SPI_execute(query, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "query failed: %s", query);
	value = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	return isnull ? 0 : value;
}

/* _deliver_step() */
Datum
qzpay_deliver_step(PG_FUNCTION_ARGS)
{
	QzpayClaim *claim;
	bool		more = true;

	if (pending != NULL && !pending_committed)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what this transaction has claimed can be sent only after it has committed"),
				 errhint("Use CALL qzpay.deliver(), outside of a transaction block.")));
	SPI_connect();
	if (pending != NULL)
		send_pending();
	else if (query_number("SELECT qzpay._run_internal_attempts(NULL, 100)::pg_catalog.int8") > 0)
		swept = false;
	else if (qzpay_exchange_claim(1, TopMemoryContext, &claim) > 0)
	{
		keep(claim);
		swept = false;
	}
	else if (!swept)
	{
		/* Once at the end of a run: what a dead process had in hand. */
		swept = true;
		more = query_number("SELECT qzpay._release_dead_leases()") > 0;
		swept = more;
	}
	else
	{
		swept = false;
		more = false;
	}
	SPI_finish();
	PG_RETURN_BOOL(more);
}

/* _provider_url_problem(url) */
Datum
qzpay_provider_url_problem(PG_FUNCTION_ARGS)
{
	const char *problem = qzpay_exchange_url_problem(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}
