/*
 * tenancy.c
 *		SQL-callable functions: the tenant context.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/uuid.h"

#include "qzpay.h"
#include "store/context.h"

QZPAY_FUNCTION(qzpay_current_tenant);
QZPAY_FUNCTION(qzpay_set_tenant);

/* current_tenant() */
Datum
qzpay_current_tenant(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *tenant = palloc(sizeof(pg_uuid_t));

	if (!qzpay_context_tenant(tenant))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(tenant);
}

/* set_tenant(tenant, is_local): NULL for none. */
Datum
qzpay_set_tenant(PG_FUNCTION_ARGS)
{
	qzpay_context_set(PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0), PG_ARGISNULL(1) || PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}
