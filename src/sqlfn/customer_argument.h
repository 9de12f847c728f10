/*
 * customer_argument.h
 *		Arguments of the functions that say what a customer may do.
 */
#ifndef QZPAY_SQLFN_CUSTOMER_ARGUMENT_H
#define QZPAY_SQLFN_CUSTOMER_ARGUMENT_H

#include "fmgr.h"

#include "store/entitlement.h"

/* How the first argument names the customer. */
typedef enum QzpayCustomerBy
{
	QZPAY_BY_ID,
	QZPAY_BY_EXTERNAL_ID
} QzpayCustomerBy;

extern void qzpay_argument_customer(FunctionCallInfo fcinfo, QzpayCustomerBy by, bool with_usage, QzpayEntitlement *entitlement);
extern char *qzpay_argument_customer_name(FunctionCallInfo fcinfo, QzpayCustomerBy by);
extern const QzpayFeature *qzpay_argument_feature(const QzpayCatalog *catalog, text *code, bool must_be_limit);
extern void qzpay_argument_refuse_nulls(FunctionCallInfo fcinfo, bool with_scope);

#endif							/* QZPAY_SQLFN_CUSTOMER_ARGUMENT_H */
