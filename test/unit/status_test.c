/*
 * status_test.c
 *		State machines, the access rule at its instants, and the next due instant.
 */
#include <string.h>

#include "core/status.h"
#include "tap.h"

#define DAY QZPAY_USEC_PER_DAY
#define NONE QZPAY_INSTANT_NONE
#define NEVER QZPAY_INSTANT_NEVER

/* Every status of a machine, and every legal move, written down a second time as pairs. */
static void
check_machine(QzpayMachine machine, const char *const *statuses, const char *const *moves, const char *const *final)
{
	int			allowed = 0;
	int			listed = 0;

	for (int i = 0; statuses[i] != NULL; i++)
	{
		bool		is_final = false;

		for (int j = 0; final[j] != NULL; j++)
			is_final |= strcmp(final[j], statuses[i]) == 0;
		tap_ok(qzpay_status_known(machine, statuses[i]), "%s is known", statuses[i]);
		tap_int(qzpay_status_final(machine, statuses[i]), is_final, "%s is %sfinal", statuses[i], is_final ? "" : "not ");
		tap_ok(qzpay_status_allowed(machine, statuses[i], statuses[i]), "%s may stay", statuses[i]);
		for (int j = 0; statuses[j] != NULL; j++)
			allowed += i != j && qzpay_status_allowed(machine, statuses[i], statuses[j]);
	}
	for (; moves[listed] != NULL; listed++)
	{
		const char *arrow = strchr(moves[listed], '>');
		char		from[32] = "";

		memcpy(from, moves[listed], (size_t) (arrow - moves[listed]));
		tap_ok(qzpay_status_allowed(machine, from, arrow + 1), "%s", moves[listed]);
	}
	/* So that nothing beyond the list is allowed either. */
	tap_int(allowed, listed, "no other move is allowed");
	tap_ok(!qzpay_status_known(machine, "no such status"), "an unknown status is not known");
	tap_ok(!qzpay_status_final(machine, "no such status"), "nor final");
	tap_ok(!qzpay_status_allowed(machine, "no such status", "no such status"), "nor may it stay");
	tap_ok(!qzpay_status_allowed(machine, statuses[0], "no such status"), "nor be moved to");
}

static void
test_machines(void)
{
	static const char *const subscription[] = {
		"incomplete", "incomplete_expired", "trialing", "active", "past_due", "paused", "unpaid", "canceled", NULL
	};
	static const char *const subscription_moves[] = {
		"incomplete>trialing", "incomplete>active", "incomplete>incomplete_expired", "incomplete>canceled",
		"trialing>active", "trialing>past_due", "trialing>paused", "trialing>canceled",
		"active>past_due", "active>paused", "active>unpaid", "active>canceled",
		"past_due>active", "past_due>unpaid", "past_due>canceled",
		"unpaid>active", "unpaid>canceled", "paused>active", "paused>canceled", NULL
	};
	static const char *const subscription_final[] = {"incomplete_expired", "canceled", NULL};
	static const char *const invoice[] = {"draft", "open", "paid", "void", "uncollectible", NULL};
	static const char *const invoice_moves[] = {
		"draft>open", "draft>void", "open>paid", "open>void", "open>uncollectible", "paid>open", "paid>void", "uncollectible>paid",
		"uncollectible>void", NULL
	};
	static const char *const invoice_final[] = {"void", NULL};
	static const char *const attempt[] = {
		"planned", "sending", "confirming", "processing", "requires_action", "unknown", "needs_operator", "succeeded", "declined",
		"rejected", "canceled", NULL
	};
	static const char *const attempt_moves[] = {
		"planned>sending", "planned>rejected", "planned>canceled",
		"sending>planned", "sending>confirming", "sending>processing", "sending>requires_action", "sending>unknown",
		"sending>succeeded", "sending>declined", "sending>rejected",
		"confirming>processing", "confirming>requires_action", "confirming>unknown", "confirming>succeeded", "confirming>declined",
		"confirming>rejected", "confirming>canceled",
		"processing>requires_action", "processing>unknown", "processing>succeeded", "processing>declined", "processing>canceled",
		"requires_action>processing", "requires_action>unknown", "requires_action>succeeded", "requires_action>declined",
		"requires_action>canceled",
		"unknown>confirming", "unknown>processing", "unknown>requires_action", "unknown>needs_operator", "unknown>succeeded",
		"unknown>declined", "unknown>rejected", "unknown>canceled",
		"needs_operator>unknown", "needs_operator>succeeded", "needs_operator>declined", "needs_operator>rejected",
		"needs_operator>canceled", NULL
	};
	static const char *const attempt_final[] = {"succeeded", "declined", "rejected", "canceled", NULL};

	tap_note("subscription");
	tap_int(qzpay_status_machine("subscription"), QZPAY_MACHINE_SUBSCRIPTION, "by name");
	check_machine(QZPAY_MACHINE_SUBSCRIPTION, subscription, subscription_moves, subscription_final);
	tap_note("invoice");
	tap_int(qzpay_status_machine("invoice"), QZPAY_MACHINE_INVOICE, "by name");
	check_machine(QZPAY_MACHINE_INVOICE, invoice, invoice_moves, invoice_final);
	tap_note("attempt");
	tap_int(qzpay_status_machine("attempt"), QZPAY_MACHINE_ATTEMPT, "by name");
	check_machine(QZPAY_MACHINE_ATTEMPT, attempt, attempt_moves, attempt_final);
	tap_int(qzpay_status_machine("refund"), QZPAY_MACHINE_UNKNOWN, "no such machine");
	tap_ok(!qzpay_status_allowed(QZPAY_MACHINE_UNKNOWN, "open", "paid"), "and nothing moves in it");
}

/* Everything unset: no method, no renewal, no ends. */
static QzpayAccessFacts
facts(const char *status)
{
	QzpayAccessFacts result = {
		.status = status, .auto_renew = true, .late_renewal_days = 30, .grace_access = QZPAY_ACCESS_FULL,
		.trial_end = NONE, .period_end = NONE, .grace_until = NONE, .cancel_at = NONE, .ended_at = NONE, .comp_until = NONE,
		.pause_at = NONE, .resume_at = NONE, .restricted_at = NONE
	};

	return result;
}

/* Half-open: access at the last microsecond before the end, none at the end, and the end is what is said beforehand. */
static void
check_until(QzpayAccessFacts f, int64_t until, QzpayAccess level, const char *what)
{
	tap_int(qzpay_access_until(&f), until, "%s: until", what);
	if (until != NONE)
	{
		tap_int(qzpay_access(&f, until - 1), level, "%s: at the last microsecond", what);
		tap_int(qzpay_access(&f, until), QZPAY_ACCESS_NONE, "%s: at the end", what);
	}
	else
		tap_int(qzpay_access(&f, 0), QZPAY_ACCESS_NONE, "%s: none", what);
}

static void
test_access(void)
{
	QzpayAccessFacts f = facts("incomplete");

	tap_note("access");
	check_until(f, NONE, QZPAY_ACCESS_NONE, "incomplete");
	f = facts("incomplete_expired");
	f.ended_at = 50 * DAY;
	check_until(f, NONE, QZPAY_ACCESS_NONE, "incomplete_expired");
	f = facts("unpaid");
	f.period_end = 50 * DAY;
	check_until(f, NONE, QZPAY_ACCESS_NONE, "unpaid");

	f = facts("trialing");
	f.trial_end = 14 * DAY;
	check_until(f, 14 * DAY, QZPAY_ACCESS_FULL, "trial without a method");
	f.has_method = true;
	check_until(f, 44 * DAY, QZPAY_ACCESS_FULL, "trial with a method: the renewal is in progress");
	f.late_renewal_days = 0;
	check_until(f, 14 * DAY, QZPAY_ACCESS_FULL, "trial with a method, no lateness allowed");
	f.late_renewal_days = 30;
	f.cancel_at = 7 * DAY;
	check_until(f, 7 * DAY, QZPAY_ACCESS_FULL, "trial that is canceled");
	f = facts("trialing");
	f.has_method = true;
	check_until(f, NONE, QZPAY_ACCESS_NONE, "trial without an end");

	f = facts("active");
	f.period_end = 31 * DAY;
	check_until(f, 31 * DAY, QZPAY_ACCESS_FULL, "active without a method");
	f.has_method = true;
	check_until(f, 61 * DAY, QZPAY_ACCESS_FULL, "active: the renewal is in progress");
	f.auto_renew = false;
	check_until(f, 31 * DAY, QZPAY_ACCESS_FULL, "active that does not renew");
	f.auto_renew = true;
	f.cancel_at = 31 * DAY;
	check_until(f, 31 * DAY, QZPAY_ACCESS_FULL, "canceled at the period's end keeps what was paid");
	f.cancel_at = 40 * DAY;
	check_until(f, 40 * DAY, QZPAY_ACCESS_FULL, "canceled at a date");
	f.cancel_at = 500 * DAY;
	check_until(f, 61 * DAY, QZPAY_ACCESS_FULL, "canceled after the renewal's bound");
	f = facts("active");
	f.period_end = 31 * DAY;
	f.has_method = true;
	f.pause_at = 31 * DAY;
	check_until(f, 31 * DAY, QZPAY_ACCESS_FULL, "active to be paused at the period's end: no renewal is in progress");
	f.pause_at = 20 * DAY;
	check_until(f, 20 * DAY, QZPAY_ACCESS_FULL, "active to be paused earlier");
	f.pause_access = QZPAY_ACCESS_FULL;
	check_until(f, NEVER, QZPAY_ACCESS_FULL, "active to be paused with access");
	f.resume_at = 50 * DAY;
	check_until(f, 80 * DAY, QZPAY_ACCESS_FULL, "active to be paused with access, until the resume is due");
	f = facts("active");
	check_until(f, NEVER, QZPAY_ACCESS_FULL, "active without periods");
	f.period_end = NEVER;
	f.has_method = true;
	check_until(f, NEVER, QZPAY_ACCESS_FULL, "active for ever");
	f.period_end = NEVER - DAY;
	check_until(f, NEVER, QZPAY_ACCESS_FULL, "lateness does not wrap");

	f = facts("past_due");
	f.period_end = 62 * DAY;
	f.has_method = true;
	check_until(f, NONE, QZPAY_ACCESS_NONE, "past due without grace");
	f.grace_until = 36 * DAY;
	check_until(f, 36 * DAY, QZPAY_ACCESS_FULL, "past due in grace");
	f.grace_access = QZPAY_ACCESS_LIMITED;
	check_until(f, 36 * DAY, QZPAY_ACCESS_LIMITED, "past due in limited grace");
	f.grace_access = QZPAY_ACCESS_NONE;
	check_until(f, NONE, QZPAY_ACCESS_NONE, "past due in grace that gives nothing");

	f = facts("paused");
	check_until(f, NONE, QZPAY_ACCESS_NONE, "paused");
	f.pause_access = QZPAY_ACCESS_LIMITED;
	check_until(f, NEVER, QZPAY_ACCESS_LIMITED, "paused with limited access");
	f.resume_at = 20 * DAY;
	check_until(f, 20 * DAY, QZPAY_ACCESS_LIMITED, "paused until it resumes");
	f.has_method = true;
	check_until(f, 50 * DAY, QZPAY_ACCESS_LIMITED, "paused: the resume is in progress");

	f = facts("canceled");
	f.ended_at = 9 * DAY;
	f.comp_until = 90 * DAY;
	check_until(f, 9 * DAY, QZPAY_ACCESS_FULL, "canceled: had access until it ended, free access included");
}

static void
test_free_access(void)
{
	QzpayAccessFacts f = facts("active");

	tap_note("free access");
	f.period_end = 31 * DAY;
	f.comp_until = 90 * DAY;
	check_until(f, 90 * DAY, QZPAY_ACCESS_FULL, "free access goes beyond the period");
	f.cancel_at = 60 * DAY;
	check_until(f, 60 * DAY, QZPAY_ACCESS_FULL, "but not beyond the end of the contract");
	f = facts("active");
	f.period_end = 31 * DAY;
	f.comp_until = 20 * DAY;
	f.period_comped = true;
	check_until(f, 20 * DAY, QZPAY_ACCESS_FULL, "a free period lasts no longer than what made it free");
	f = facts("unpaid");
	f.comp_until = 5 * DAY;
	check_until(f, 5 * DAY, QZPAY_ACCESS_FULL, "free access of an unpaid contract");
	f.comp_until = NEVER;
	check_until(f, NEVER, QZPAY_ACCESS_FULL, "free access for ever");
	f = facts("past_due");
	f.grace_until = 10 * DAY;
	f.grace_access = QZPAY_ACCESS_LIMITED;
	f.comp_until = 4 * DAY;
	check_until(f, 10 * DAY, QZPAY_ACCESS_LIMITED, "grace outlasts free access");
	tap_int(qzpay_access(&f, 4 * DAY - 1), QZPAY_ACCESS_FULL, "full while it is free");
	tap_int(qzpay_access(&f, 4 * DAY), QZPAY_ACCESS_LIMITED, "then as in grace");
}

static void
test_limited_access(void)
{
	QzpayAccessFacts f = facts("active");

	tap_note("limited access");
	f.period_end = 31 * DAY;
	tap_int(qzpay_full_until(&f, 31 * DAY), 31 * DAY, "full to the end");
	f.restricted_at = 10 * DAY;
	check_until(f, 31 * DAY, QZPAY_ACCESS_LIMITED, "restricted");
	tap_int(qzpay_full_until(&f, 31 * DAY), 10 * DAY, "full until it is restricted");
	tap_int(qzpay_access(&f, 10 * DAY - 1), QZPAY_ACCESS_FULL, "full in the last microsecond before");
	tap_int(qzpay_access(&f, 10 * DAY), QZPAY_ACCESS_LIMITED, "limited from that instant on");
	f.comp_until = 20 * DAY;
	tap_int(qzpay_full_until(&f, 31 * DAY), 20 * DAY, "free access is full though restricted");
	f.comp_until = NEVER;
	tap_int(qzpay_full_until(&f, NEVER), NEVER, "free access for ever is full for ever");
	f = facts("active");
	f.period_end = f.pause_at = 31 * DAY;
	f.pause_access = QZPAY_ACCESS_LIMITED;
	tap_int(qzpay_full_until(&f, NEVER), 31 * DAY, "full until a pause with limited access begins, carried out or not");
	tap_int(qzpay_access(&f, 31 * DAY - 1), QZPAY_ACCESS_FULL, "full in the last microsecond before the pause");
	tap_int(qzpay_access(&f, 31 * DAY), QZPAY_ACCESS_LIMITED, "limited in the instant of the pause");
	f.restricted_at = 10 * DAY;
	tap_int(qzpay_full_until(&f, NEVER), 10 * DAY, "restricted before it");
	f.restricted_at = NONE;
	f.pause_access = QZPAY_ACCESS_FULL;
	tap_int(qzpay_full_until(&f, NEVER), NEVER, "full through a pause with full access");
	f = facts("past_due");
	f.grace_until = 5 * DAY;
	f.restricted_at = 2 * DAY;
	tap_int(qzpay_full_until(&f, 5 * DAY), 2 * DAY, "past due with full grace, restricted by dunning");
	f.grace_access = QZPAY_ACCESS_LIMITED;
	tap_int(qzpay_full_until(&f, 5 * DAY), NONE, "past due with limited grace");
	f.comp_until = 3 * DAY;
	tap_int(qzpay_full_until(&f, 5 * DAY), 3 * DAY, "and free for a while");
	f = facts("paused");
	f.pause_access = QZPAY_ACCESS_LIMITED;
	tap_int(qzpay_full_until(&f, NEVER), NONE, "paused with limited access");
	f.pause_access = QZPAY_ACCESS_FULL;
	tap_int(qzpay_full_until(&f, NEVER), NEVER, "paused with full access");
}

static QzpayDueFacts
due_facts(const char *status)
{
	QzpayDueFacts result = {
		.status = status, .engine_managed = true, .auto_renew = true, .started_at = 0, .created_at = 0, .trial_end = NONE, .reminded_at = NONE,
		.period_end = NONE, .cycle_end = NONE, .usage_end = NONE, .cancel_at = NONE, .pause_at = NONE, .resume_at = NONE, .change_at = NONE,
		.comp_until = NONE, .dunning_next_at = NONE
	};

	return result;
}

static void
check_due(QzpayDueFacts f, int64_t expected, const char *what)
{
	static const int reminders[] = {7, 3, 1};

	tap_int(qzpay_next_due(&f, reminders, 3), expected, "due: %s", what);
}

static void
test_due(void)
{
	QzpayDueFacts f = due_facts("trialing");

	tap_note("due");
	f.trial_end = 14 * DAY;
	check_due(f, 7 * DAY, "first reminder");
	f.reminded_at = 7 * DAY;
	check_due(f, 11 * DAY, "second reminder, day 11 counted from 0");
	f.reminded_at = 11 * DAY;
	check_due(f, 13 * DAY, "third reminder");
	f.reminded_at = 13 * DAY;
	check_due(f, 14 * DAY, "trial's end");
	f.usage_end = 12 * DAY;
	check_due(f, 12 * DAY, "usage period");
	f.cancel_at = 2 * DAY;
	check_due(f, 2 * DAY, "end that was asked for");
	f = due_facts("trialing");
	f.trial_end = 2 * DAY;
	check_due(f, 1 * DAY, "only the reminders that fit");
	f.trial_end = 3 * DAY;
	check_due(f, 0, "reminder at the very start");
	f.trial_end = NEVER;
	check_due(f, NEVER, "endless trial");
	f.trial_end = NONE;
	check_due(f, NONE, "trial without an end");
	f.trial_end = NONE + DAY;
	f.started_at = NONE;
	check_due(f, NONE + DAY, "reminder before time began");

	f = due_facts("active");
	f.period_end = 31 * DAY;
	check_due(f, 31 * DAY, "period");
	f.usage_end = 30 * DAY;
	check_due(f, 30 * DAY, "shorter usage period");
	f.engine_managed = false;
	check_due(f, 30 * DAY, "a provider's contract: usage only");
	f.usage_end = NONE;
	check_due(f, NONE, "a provider's contract without usage");
	f = due_facts("past_due");
	f.period_end = 62 * DAY;
	f.dunning_next_at = 33 * DAY;
	check_due(f, 33 * DAY, "retry");
	f = due_facts("active");
	f.period_end = 31 * DAY;
	f.cycle_end = 29 * DAY;
	check_due(f, 29 * DAY, "an item's own cycle");
	f.pause_at = 28 * DAY;
	check_due(f, 28 * DAY, "pause that was asked for");
	f.change_at = 27 * DAY;
	check_due(f, 27 * DAY, "scheduled change");
	f.comp_until = NEVER;
	check_due(f, 27 * DAY, "free for ever has no end");
	f.comp_until = 26 * DAY;
	check_due(f, 26 * DAY, "end of free access");
	f = due_facts("active");
	f.period_end = 31 * DAY;
	f.auto_renew = false;
	check_due(f, 24 * DAY, "reminder of a contract that does not renew");
	f.reminded_at = 30 * DAY;
	check_due(f, 31 * DAY, "and its end");
	f.auto_renew = true;
	f.reminded_at = NONE;
	f.cancel_at = 20 * DAY;
	check_due(f, 13 * DAY, "reminder of an end that was asked for");
	f.ends_unpaid = true;
	check_due(f, 20 * DAY, "no reminder of dunning's end");
	f = due_facts("incomplete");
	check_due(f, 23 * (DAY / 24), "23 hours to pay");
	f.started_at = 5 * DAY;
	check_due(f, 5 * DAY, "a start in the future");
	f.period_end = 36 * DAY;
	check_due(f, 5 * DAY + 23 * (DAY / 24), "23 hours from the start");
	f = due_facts("incomplete");
	f.created_at = NEVER;
	check_due(f, NEVER, "created at no time");
	f = due_facts("paused");
	f.period_end = 31 * DAY;
	check_due(f, NONE, "paused");
	f.resume_at = 40 * DAY;
	check_due(f, 40 * DAY, "paused until it resumes");
	f = due_facts("canceled");
	f.period_end = 31 * DAY;
	f.cancel_at = 5 * DAY;
	check_due(f, NONE, "ended");
	f.usage_end = 31 * DAY;
	check_due(f, 31 * DAY, "ended with usage still to bill");
}

int
main(void)
{
	test_machines();
	test_access();
	test_free_access();
	test_limited_access();
	test_due();
	return tap_done();
}
