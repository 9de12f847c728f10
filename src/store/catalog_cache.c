/*
 * catalog_cache.c
 *		The catalog as the hot paths need it, kept per backend.
 *
 * The kept copy is filled under GetLatestSnapshot() and used only for snapshots that are not older than that, so that a REPEATABLE READ
 * transaction neither sees an edit early nor leaves an old truth behind for the next transaction.  Older snapshots get a copy of their
 * own, read under them.  Edits announce themselves by a relcache message of their table, which statement triggers send.
 *
 * The message of a commit arrives a moment after the commit is visible: a plan edit may reach a statement that is already starting late,
 * but never a later transaction.
 *
 * A copy in use is never freed under its user: one that is replaced lives until the transaction ends.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "store/catalog_read.h"

static QzpayCatalog *kept = NULL;	/* for snapshots not older than it */
static bool kept_is_stale = false;
static QzpayCatalog *private_copy = NULL;	/* for one older snapshot of this transaction */
static QzpayCatalog *retired = NULL;
static uint64 transaction_number = 1;
static uint64 last_completions = 0; /* of the snapshot messages were last taken in for */

/* Notes what the snapshot knew, to compare later ones with. */
static void
remember_snapshot(QzpayCatalog *catalog, Snapshot snapshot)
{
	catalog->completions = snapshot->snapXactCompletionCount;
	catalog->command = snapshot->curcid;
	catalog->transaction = transaction_number;
	catalog->xmin = snapshot->xmin;
	catalog->xmax = snapshot->xmax;
	catalog->in_recovery = snapshot->takenDuringRecovery;
	catalog->n_running = snapshot->xcnt;
	catalog->running = palloc(Max(snapshot->xcnt, 1) * sizeof(TransactionId));
	if (snapshot->xcnt > 0)
		memcpy(catalog->running, snapshot->xip, snapshot->xcnt * sizeof(TransactionId));
}

/* Reads the catalog under a registered snapshot, into a memory context of its own. */
static QzpayCatalog *
read_catalog(Snapshot snapshot)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "qzpay catalog", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	QzpayCatalog *catalog = palloc0(sizeof(QzpayCatalog));

	catalog->context = context;
	remember_snapshot(catalog, snapshot);
	qzpay_catalog_read(catalog, snapshot);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	return catalog;
}

/* Puts a copy aside that somebody up the stack may still be using. */
static void
retire(QzpayCatalog **copy)
{
	if (*copy == NULL)
		return;
	(*copy)->next_retired = retired;
	retired = *copy;
	*copy = NULL;
}

/* Whether the transaction was running when the catalog was read. */
static bool
was_running(const QzpayCatalog *catalog, TransactionId xid)
{
	if (TransactionIdFollowsOrEquals(xid, catalog->xmax))
		return true;
	for (uint32 i = 0; i < catalog->n_running; i++)
	{
		if (TransactionIdEquals(catalog->running[i], xid))
			return true;
	}
	return false;
}

/*
 * Whether the snapshot sees everything the copy was made from.
 *
 * The count of completed transactions orders the snapshots of a server.  Imported snapshots have none; for them, what is running for the
 * snapshot must have been running for the copy.  Top-level transactions are enough: a subtransaction runs as long as its top.
 */
static bool
is_not_older(const QzpayCatalog *catalog, Snapshot snapshot)
{
	if (catalog->transaction == transaction_number && snapshot->curcid < catalog->command)
		return false;
	if (catalog->completions != 0 && snapshot->snapXactCompletionCount != 0)
		return snapshot->snapXactCompletionCount >= catalog->completions;
	if (snapshot->takenDuringRecovery || catalog->in_recovery || TransactionIdPrecedes(snapshot->xmax, catalog->xmax))
		return false;
	for (uint32 i = 0; i < snapshot->xcnt; i++)
	{
		if (!was_running(catalog, snapshot->xip[i]))
			return false;
	}
	return true;
}

/* Whether the private copy was read under just this snapshot. */
static bool
is_same(const QzpayCatalog *catalog, Snapshot snapshot)
{
	return catalog->transaction == transaction_number &&
		catalog->completions == snapshot->snapXactCompletionCount &&
		catalog->command == snapshot->curcid &&
		TransactionIdEquals(catalog->xmin, snapshot->xmin) &&
		TransactionIdEquals(catalog->xmax, snapshot->xmax) &&
		catalog->n_running == snapshot->xcnt &&
		(snapshot->xcnt == 0 || memcmp(catalog->running, snapshot->xip, snapshot->xcnt * sizeof(TransactionId)) == 0);
}

/*
 * qzpay_catalog
 *		The catalog as this snapshot sees it; valid until the transaction ends.
 */
const QzpayCatalog *
qzpay_catalog(Snapshot snapshot)
{
	if (snapshot->snapXactCompletionCount != last_completions)
	{
		AcceptInvalidationMessages();
		last_completions = snapshot->snapXactCompletionCount;
	}
	if (kept != NULL && !kept_is_stale && is_not_older(kept, snapshot))
		return kept;

	/* A parallel query's leader can't take another snapshot. */
	if ((kept == NULL || kept_is_stale) && !IsInParallelMode())
	{
		Snapshot	latest;
		QzpayCatalog *fresh;

		qzpay_catalog_find_tables();
		latest = RegisterSnapshot(GetLatestSnapshot());
		/* A message that comes while we read is one more edit: it makes the copy stale at once. */
		kept_is_stale = false;
		fresh = read_catalog(latest);
		UnregisterSnapshot(latest);
		retire(&kept);
		kept = fresh;
		if (!kept_is_stale && is_not_older(kept, snapshot))
			return kept;
	}

	if (private_copy == NULL || !is_same(private_copy, snapshot))
	{
		QzpayCatalog *fresh;

		qzpay_catalog_find_tables();
		fresh = read_catalog(snapshot);
		retire(&private_copy);
		private_copy = fresh;
	}
	return private_copy;
}

static void
on_relcache(Datum arg, Oid relid)
{
	if (qzpay_catalog_has_table(relid))
		kept_is_stale = true;
}

static void
free_retired(void)
{
	retire(&private_copy);
	while (retired != NULL)
	{
		QzpayCatalog *copy = retired;

		retired = copy->next_retired;
		MemoryContextDelete(copy->context);
	}
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			/* It may hold what this transaction wrote, and what is now undone or not yet done. */
			if (kept != NULL && kept->transaction == transaction_number)
				kept_is_stale = true;
			/* FALLTHROUGH */
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			free_retired();
			transaction_number++;
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (kept != NULL && kept->transaction == transaction_number)
		kept_is_stale = true;
	retire(&private_copy);
}

/* Called once, by _PG_init. */
void
qzpay_catalog_init(void)
{
	CacheRegisterRelcacheCallback(on_relcache, (Datum) 0);
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
