/*
 * tenant_of.h
 *		From an object's id to the tenant it belongs to.
 */
#ifndef QZPAY_STORE_TENANT_OF_H
#define QZPAY_STORE_TENANT_OF_H

#include "utils/uuid.h"

/* The kinds of object whose bare id is an argument of the API. */
typedef enum QzpayObject
{
	QZPAY_OBJECT_CUSTOMER,
	QZPAY_OBJECT_SUBSCRIPTION,
	QZPAY_OBJECT_INVOICE,
	QZPAY_OBJECT_PAYMENT_METHOD,
	QZPAY_OBJECT_ATTEMPT,
	QZPAY_OBJECT_PAYMENT,
	QZPAY_OBJECT_REFUND_REQUEST,
	QZPAY_OBJECT_CREDIT_NOTE
} QzpayObject;

extern bool qzpay_tenant_exists(const pg_uuid_t *tenant);
extern bool qzpay_tenant_of(QzpayObject object, const pg_uuid_t *id, pg_uuid_t *tenant);
extern bool qzpay_tenant_of_external_id(Datum external_id, pg_uuid_t *tenant);
extern bool qzpay_tenant_of_clocked(const pg_uuid_t *customer, pg_uuid_t *tenant, pg_uuid_t *clock, bool *has_clock);
extern const char *qzpay_object_name(QzpayObject object);
extern void qzpay_object_not_found(QzpayObject object, const pg_uuid_t *id) pg_attribute_noreturn();

#endif							/* QZPAY_STORE_TENANT_OF_H */
