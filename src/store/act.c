/*
 * act.c
 *		The public function whose doing the audit log records.
 *
 * Opened and closed by the wrappers of public functions alone: no SQL reaches this state, so that nobody can name an act that isn't.  What
 * a public function calls on its way belongs to the outermost one, which is what somebody asked for.
 */
#include "postgres.h"

#include "access/xact.h"

#include "store/act.h"
#include "store/uuid.h"

static QzpayAct *top_act = NULL;

/* Opens an act for the call that owns the struct. */
void
qzpay_act_open(QzpayAct *act, Oid function)
{
	act->outer = top_act;
	act->function = function;
	act->has_id = false;
	top_act = act;
}

/* Ends it. */
void
qzpay_act_close(QzpayAct *act)
{
	top_act = act->outer;
}

bool
qzpay_act_is_open(void)
{
	return top_act != NULL;
}

/* The act that somebody asked for, with its id; NULL when none is open. */
QzpayAct *
qzpay_act_outermost(void)
{
	QzpayAct   *act = top_act;

	while (act != NULL && act->outer != NULL)
		act = act->outer;
	if (act != NULL && !act->has_id)
	{
		qzpay_uuid_next(&act->id);
		act->has_id = true;
	}
	return act;
}

/* A session that ends in the middle of a call never comes to its PG_FINALLY; nothing of a stack that is gone may stay behind. */
static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		top_act = NULL;
}

/* Called once, by _PG_init. */
void
qzpay_act_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
}
