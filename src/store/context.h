/*
 * context.h
 *		The tenant a session, or a call inside it, acts for.
 */
#ifndef QZPAY_STORE_CONTEXT_H
#define QZPAY_STORE_CONTEXT_H

#include "utils/uuid.h"

/* What a role may do, by membership in the group roles; a role bound to a tenant is never more than TENANT. */
typedef enum QzpayLevel
{
	QZPAY_LEVEL_NONE,			/* member of no group */
	QZPAY_LEVEL_TENANT,			/* sees its own tenant, entered by token or bound */
	QZPAY_LEVEL_APP,			/* acts for the tenant it sets, or for that of a call's argument */
	QZPAY_LEVEL_WORKER,			/* all tenants: runs and jobs */
	QZPAY_LEVEL_ADMIN			/* all tenants: staff, superusers */
} QzpayLevel;

/*
 * One call's context.  The caller keeps the struct in its own stack frame and pops it in PG_FINALLY:
 *
 *		qzpay_context_push(&frame, &tenant);
 *		PG_TRY(); { ... } PG_FINALLY(); { qzpay_context_pop(&frame); } PG_END_TRY();
 */
typedef struct QzpayFrame
{
	struct QzpayFrame *outer;	/* the frame this one covers, or NULL */
	pg_uuid_t	tenant;
	Oid			role;			/* outer user when it was pushed */
	int			nest_level;		/* subtransaction it belongs to */
} QzpayFrame;

extern void qzpay_context_init(void);

extern bool qzpay_context_tenant(pg_uuid_t *tenant);
extern void qzpay_context_require(void);
extern bool qzpay_context_allows(const pg_uuid_t *tenant);
extern QzpayLevel qzpay_context_level(void);

extern void qzpay_context_push(QzpayFrame *frame, const pg_uuid_t *tenant);
extern void qzpay_context_pop(QzpayFrame *frame);

extern void qzpay_context_set(const pg_uuid_t *tenant, bool is_local);
extern void qzpay_context_enter(const pg_uuid_t *tenant);
extern void qzpay_context_discard(void);

#endif							/* QZPAY_STORE_CONTEXT_H */
