/*
 * status.h
 *		State machines of subscriptions, invoices and payment attempts, and the
 *		rules that say until when a contract gives access, and how much.
 *
 * The tables are the only place where a legal move is written down; the
 * triggers ask them for every UPDATE, whoever makes it.
 */
#ifndef QZPAY_STATUS_H
#define QZPAY_STATUS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum QzpayMachine
{
	QZPAY_MACHINE_SUBSCRIPTION,
	QZPAY_MACHINE_INVOICE,
	QZPAY_MACHINE_ATTEMPT,
	QZPAY_MACHINE_UNKNOWN
} QzpayMachine;

/* Instants are microseconds of any one epoch; these two mean "no instant". */
#define QZPAY_INSTANT_NONE	INT64_MIN
#define QZPAY_INSTANT_NEVER	INT64_MAX

#define QZPAY_USEC_PER_DAY	INT64_C(86400000000)

typedef enum QzpayAccess
{
	QZPAY_ACCESS_NONE,
	QZPAY_ACCESS_LIMITED,
	QZPAY_ACCESS_FULL
} QzpayAccess;

/*
 * What access depends on.  An instant that is not set is QZPAY_INSTANT_NONE.
 */
typedef struct QzpayAccessFacts
{
	const char *status;			/* as in qzpay.subscription_status */
	bool		auto_renew;
	bool		has_method;		/* or nothing is ever to pay */
	bool		period_comped;	/* the running period is free until comp_until, not until its end */
	int			late_renewal_days;	/* 0 to 3650 */
	QzpayAccess grace_access;
	QzpayAccess pause_access;
	int64_t		trial_end;
	int64_t		period_end;
	int64_t		grace_until;
	int64_t		cancel_at;
	int64_t		ended_at;
	int64_t		comp_until;
	int64_t		pause_at;
	int64_t		resume_at;
	int64_t		restricted_at;
} QzpayAccessFacts;

/* What makes time itself act on a contract.  period_end and cycle_end: of what is billed in advance, the plan and items with an interval of their own. */
typedef struct QzpayDueFacts
{
	const char *status;
	bool		engine_managed;
	bool		auto_renew;
	bool		ends_unpaid;	/* cancel_at is dunning's end, which has notices of its own */
	int64_t		started_at;
	int64_t		created_at;
	int64_t		trial_end;
	int64_t		reminded_at;
	int64_t		period_end;
	int64_t		cycle_end;
	int64_t		usage_end;
	int64_t		cancel_at;
	int64_t		pause_at;
	int64_t		resume_at;
	int64_t		change_at;
	int64_t		comp_until;
	int64_t		dunning_next_at;
} QzpayDueFacts;

extern QzpayMachine qzpay_status_machine(const char *name);
extern bool qzpay_status_known(QzpayMachine machine, const char *status);
extern bool qzpay_status_final(QzpayMachine machine, const char *status);
extern bool qzpay_status_allowed(QzpayMachine machine, const char *from, const char *to);

extern int64_t qzpay_access_until(const QzpayAccessFacts *facts);
extern int64_t qzpay_full_until(const QzpayAccessFacts *facts, int64_t until);
extern QzpayAccess qzpay_access(const QzpayAccessFacts *facts, int64_t at);
extern int64_t qzpay_reminded_end(const QzpayDueFacts *facts);
extern int64_t qzpay_next_due(const QzpayDueFacts *facts, const int *reminder_days, int reminders);

#endif							/* QZPAY_STATUS_H */
