/*
 * call.h
 *		Calls of internal SQL functions from C, with the owner's rights and inside a tenant's context.
 */
#ifndef QZPAY_STORE_CALL_H
#define QZPAY_STORE_CALL_H

#include "executor/spi.h"
#include "utils/uuid.h"

#define QZPAY_CALL_MAX_ARGS 10

/* One statement; a static variable of whoever makes the call. */
typedef struct QzpayCall
{
	const char *sql;			/* calls of qualified functions with arguments of their exact types, and nothing else */
	int			nargs;
	Oid			types[QZPAY_CALL_MAX_ARGS];
	SPIPlanPtr	plan;			/* kept for the session */
} QzpayCall;

extern bool qzpay_call(QzpayCall *call, const pg_uuid_t *tenant, Datum *values, const char *nulls, bool read_only,
					   int n_results, Datum *results, bool *result_nulls);

#endif							/* QZPAY_STORE_CALL_H */
