/*
 * status.c
 *		State machines, the access rule and the next due instant.
 */
#include "core/status.h"

#include <stddef.h>
#include <string.h>

typedef struct Move
{
	const char *from;
	const char *to[9];			/* ends with NULL; none at all: a final state */
} Move;

/* Stripe's machine; a paused contract goes back to active or ends. */
static const Move subscription_moves[] = {
	{"incomplete", {"trialing", "active", "incomplete_expired", "canceled", NULL}},
	{"incomplete_expired", {NULL}},
	{"trialing", {"active", "past_due", "paused", "canceled", NULL}},
	{"active", {"past_due", "paused", "unpaid", "canceled", NULL}},
	{"past_due", {"active", "unpaid", "canceled", NULL}},
	{"unpaid", {"active", "canceled", NULL}},
	{"paused", {"active", "canceled", NULL}},
	{"canceled", {NULL}},
	{NULL, {NULL}}
};

/* A lost dispute opens a paid invoice again, another issued in its place voids it; what was given up may still be paid. */
static const Move invoice_moves[] = {
	{"draft", {"open", "void", NULL}},
	{"open", {"paid", "void", "uncollectible", NULL}},
	{"paid", {"open", "void", NULL}},
	{"uncollectible", {"paid", "void", NULL}},
	{"void", {NULL}},
	{NULL, {NULL}}
};

/*
 * planned comes back from sending only when it is certain that nothing was
 * sent.  A one-phase provider goes from sending straight to an outcome.
 */
static const Move attempt_moves[] = {
	{"planned", {"sending", "rejected", "canceled", NULL}},
	{"sending", {"planned", "confirming", "processing", "requires_action", "unknown", "succeeded", "declined", "rejected", NULL}},
	{"confirming", {"processing", "requires_action", "unknown", "succeeded", "declined", "rejected", "canceled", NULL}},
	{"processing", {"requires_action", "unknown", "succeeded", "declined", "canceled", NULL}},
	{"requires_action", {"processing", "unknown", "succeeded", "declined", "canceled", NULL}},
	{"unknown", {"confirming", "processing", "requires_action", "needs_operator", "succeeded", "declined", "rejected", "canceled", NULL}},
	{"needs_operator", {"unknown", "succeeded", "declined", "rejected", "canceled", NULL}},
	{"succeeded", {NULL}},
	{"declined", {NULL}},
	{"rejected", {NULL}},
	{"canceled", {NULL}},
	{NULL, {NULL}}
};

static const Move *const machines[] = {
	subscription_moves, invoice_moves, attempt_moves
};

static const char *const machine_names[] = {
	"subscription", "invoice", "attempt"
};

QzpayMachine
qzpay_status_machine(const char *name)
{
	int			i;

	for (i = 0; i < QZPAY_MACHINE_UNKNOWN; i++)
		if (strcmp(name, machine_names[i]) == 0)
			return (QzpayMachine) i;
	return QZPAY_MACHINE_UNKNOWN;
}

static const Move *
find_state(QzpayMachine machine, const char *status)
{
	const Move *move;

	if (machine >= QZPAY_MACHINE_UNKNOWN)
		return NULL;
	for (move = machines[machine]; move->from != NULL; move++)
		if (strcmp(move->from, status) == 0)
			return move;
	return NULL;
}

bool
qzpay_status_known(QzpayMachine machine, const char *status)
{
	return find_state(machine, status) != NULL;
}

bool
qzpay_status_final(QzpayMachine machine, const char *status)
{
	const Move *move = find_state(machine, status);

	return move != NULL && move->to[0] == NULL;
}

/*
 * qzpay_status_allowed
 *		Whether a status may move like this.  Staying is no move and allowed;
 *		an unknown state never moves.
 */
bool
qzpay_status_allowed(QzpayMachine machine, const char *from, const char *to)
{
	const Move *move = find_state(machine, from);
	int			i;

	if (move == NULL || !qzpay_status_known(machine, to))
		return false;
	if (strcmp(from, to) == 0)
		return true;
	for (i = 0; move->to[i] != NULL; i++)
		if (strcmp(move->to[i], to) == 0)
			return true;
	return false;
}

static int64_t
earlier(int64_t a, int64_t b)
{
	if (a == QZPAY_INSTANT_NONE)
		return b;
	if (b == QZPAY_INSTANT_NONE)
		return a;
	return a < b ? a : b;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;		/* NONE is the smallest */
}

/* An instant moved by a span of either sign; never wraps, and what is no instant stays none. */
static int64_t
plus(int64_t instant, int64_t span)
{
	int64_t		moved;

	if (instant == QZPAY_INSTANT_NONE || instant == QZPAY_INSTANT_NEVER)
		return instant;
	if (__builtin_add_overflow(instant, span, &moved))
		return span < 0 ? QZPAY_INSTANT_NONE : QZPAY_INSTANT_NEVER;
	return moved;
}

/*
 * A boundary ends access, unless a renewal is on its way: then the contract
 * goes on until the first definite outcome, for late_renewal_days at most.
 */
static int64_t
boundary(const QzpayAccessFacts *f, int64_t instant, bool renews)
{
	return renews ? plus(instant, (int64_t) f->late_renewal_days * QZPAY_USEC_PER_DAY) : instant;
}

/* Access in a pause: to its end, which is a boundary like any other. */
static int64_t
paused_until(const QzpayAccessFacts *f)
{
	return f->resume_at == QZPAY_INSTANT_NONE ? QZPAY_INSTANT_NEVER : boundary(f, f->resume_at, f->has_method);
}

/*
 * qzpay_access_until
 *		First instant without access if nothing else happens.
 *
 * QZPAY_INSTANT_NEVER: open end.  QZPAY_INSTANT_NONE: no access at all.
 * An end that is asked for (cancel_at) limits everything, free access that was
 * granted extends everything but an end.
 */
int64_t
qzpay_access_until(const QzpayAccessFacts *f)
{
	int64_t		until = QZPAY_INSTANT_NONE;

	if (strcmp(f->status, "trialing") == 0)
		until = boundary(f, f->trial_end, f->has_method);
	else if (strcmp(f->status, "active") == 0)
	{
		int64_t		end = f->period_comped ? earlier(f->comp_until, f->period_end) : f->period_end;

		/* Where a pause begins nothing renews. */
		if (f->pause_at != QZPAY_INSTANT_NONE && f->pause_at <= end)
			until = f->pause_access == QZPAY_ACCESS_NONE ? f->pause_at : paused_until(f);
		else
			until = f->period_end == QZPAY_INSTANT_NONE ? QZPAY_INSTANT_NEVER
				: boundary(f, end, f->auto_renew && f->has_method);
	}
	else if (strcmp(f->status, "past_due") == 0)
		until = f->grace_access == QZPAY_ACCESS_NONE ? QZPAY_INSTANT_NONE : f->grace_until;
	else if (strcmp(f->status, "paused") == 0)
		until = f->pause_access == QZPAY_ACCESS_NONE ? QZPAY_INSTANT_NONE : paused_until(f);
	else if (f->ended_at != QZPAY_INSTANT_NONE)
		return strcmp(f->status, "canceled") == 0 ? f->ended_at : QZPAY_INSTANT_NONE;

	until = later(until, f->comp_until);
	if (until == QZPAY_INSTANT_NONE)
		return QZPAY_INSTANT_NONE;
	return earlier(until, f->cancel_at);
}

/*
 * qzpay_full_until
 *		First instant from which access, which ends at until, is limited; until itself where it never is.
 *
 * QZPAY_INSTANT_NONE: limited from the beginning.  Free access that was granted is full while it lasts, whatever else holds.
 */
int64_t
qzpay_full_until(const QzpayAccessFacts *f, int64_t until)
{
	int64_t		full = QZPAY_INSTANT_NEVER;

	if ((strcmp(f->status, "past_due") == 0 && f->grace_access != QZPAY_ACCESS_FULL) ||
		(strcmp(f->status, "paused") == 0 && f->pause_access != QZPAY_ACCESS_FULL))
		full = QZPAY_INSTANT_NONE;
	else
	{
		/* A pause limits from its own instant on, though nothing has carried it out yet. */
		if (strcmp(f->status, "active") == 0 && f->pause_access == QZPAY_ACCESS_LIMITED)
			full = earlier(full, f->pause_at);
		full = earlier(full, f->restricted_at);
	}
	full = later(full, f->comp_until);
	return full < until ? full : until;
}

/*
 * qzpay_access
 *		Access at an instant; half-open, so there is none at the very end.
 */
QzpayAccess
qzpay_access(const QzpayAccessFacts *f, int64_t at)
{
	int64_t		until = qzpay_access_until(f);

	if (until == QZPAY_INSTANT_NONE || at >= until)
		return QZPAY_ACCESS_NONE;
	return at < qzpay_full_until(f, until) ? QZPAY_ACCESS_FULL : QZPAY_ACCESS_LIMITED;
}

/*
 * qzpay_reminded_end
 *		The end that reminders count down to: a trial's, or that of a contract which will not renew.
 */
int64_t
qzpay_reminded_end(const QzpayDueFacts *f)
{
	if (strcmp(f->status, "trialing") == 0)
		return f->trial_end;
	if (strcmp(f->status, "active") != 0 || f->ends_unpaid)
		return QZPAY_INSTANT_NONE;
	return earlier(f->cancel_at, f->auto_renew ? QZPAY_INSTANT_NONE : f->period_end);
}

/* The next reminder that has not been given. */
static int64_t
next_reminder(const QzpayDueFacts *f, const int *days, int n)
{
	int64_t		end = qzpay_reminded_end(f);
	int64_t		next = QZPAY_INSTANT_NONE;
	int			i;

	for (i = 0; i < n; i++)
	{
		int64_t		at = plus(end, -(int64_t) days[i] * QZPAY_USEC_PER_DAY);

		if (at != QZPAY_INSTANT_NEVER && at >= f->started_at && at > f->reminded_at)
			next = earlier(next, at);
	}
	return next;
}

/*
 * qzpay_next_due
 *		Next instant at which time itself has work on a contract.
 *
 * QZPAY_INSTANT_NONE: none.  A contract that a provider manages only has its
 * usage closed here.  An ended one only has a last usage period, if open.
 */
int64_t
qzpay_next_due(const QzpayDueFacts *f, const int *reminder_days, int reminders)
{
	int64_t		due = f->usage_end;
	bool		ended = qzpay_status_final(QZPAY_MACHINE_SUBSCRIPTION, f->status);

	if (ended || !f->engine_managed)
		return due;
	due = earlier(due, f->cancel_at);
	due = earlier(due, next_reminder(f, reminder_days, reminders));
	if (strcmp(f->status, "trialing") == 0)
		due = earlier(due, f->trial_end);
	else if (strcmp(f->status, "incomplete") == 0)
	{
		/* One that is to start later has its 23 hours from then. */
		if (f->period_end == QZPAY_INSTANT_NONE && f->started_at > f->created_at)
			due = earlier(due, f->started_at);
		else
			due = earlier(due, plus(later(f->created_at, f->started_at), 23 * (QZPAY_USEC_PER_DAY / 24)));
	}
	else if (strcmp(f->status, "paused") == 0)
		due = earlier(due, f->resume_at);
	else
	{
		due = earlier(due, f->period_end);
		due = earlier(due, f->cycle_end);
		due = earlier(due, f->pause_at);
		due = earlier(due, f->change_at);
		if (f->comp_until != QZPAY_INSTANT_NEVER)
			due = earlier(due, f->comp_until);
		due = earlier(due, f->dunning_next_at);
	}
	return due;
}
