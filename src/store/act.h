/*
 * act.h
 *		The public function whose doing the audit log records.
 */
#ifndef QZPAY_STORE_ACT_H
#define QZPAY_STORE_ACT_H

#include "utils/uuid.h"

/*
 * One call of a public function that changes something.  The caller keeps the struct in its own stack frame and closes it in PG_FINALLY,
 * as with QzpayFrame.
 */
typedef struct QzpayAct
{
	struct QzpayAct *outer;		/* the act inside of which this one is opened, or NULL */
	Oid			function;
	bool		has_id;
	pg_uuid_t	id;				/* made when the first row is recorded */
} QzpayAct;

extern void qzpay_act_init(void);

extern void qzpay_act_open(QzpayAct *act, Oid function);
extern void qzpay_act_close(QzpayAct *act);
extern bool qzpay_act_is_open(void);
extern QzpayAct *qzpay_act_outermost(void);

#endif							/* QZPAY_STORE_ACT_H */
