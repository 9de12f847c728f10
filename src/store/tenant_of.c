/*
 * tenant_of.c
 *		From an object's id to the tenant it belongs to.
 *
 * Ids are API arguments while every key begins with the tenant, so each such table has a plain index on (id) alone.  It is read here outside
 * of row security, and what is found is used only to open, or to refuse to open, a tenant's context; it never reaches the caller.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "errors.h"
#include "store/context.h"
#include "store/installation.h"
#include "store/relation.h"
#include "store/tenant_of.h"
#include "store/uuid.h"

/* By QzpayObject. */
static struct
{
	const char *name;
	QzpayRelation relation;
}			objects[] =
{
	[QZPAY_OBJECT_CUSTOMER] = {"customer", {.table = "customers",.index = "customers_id_idx"}},
	[QZPAY_OBJECT_SUBSCRIPTION] = {"subscription", {.table = "subscriptions",.index = "subscriptions_id_idx"}},
	[QZPAY_OBJECT_INVOICE] = {"invoice", {.table = "invoices",.index = "invoices_id_idx"}},
	[QZPAY_OBJECT_PAYMENT_METHOD] = {"payment method", {.table = "payment_methods",.index = "payment_methods_id_idx"}},
	[QZPAY_OBJECT_ATTEMPT] = {"payment attempt", {.table = "payment_attempts",.index = "payment_attempts_id_idx"}},
	[QZPAY_OBJECT_PAYMENT] = {"payment", {.table = "payments",.index = "payments_id_idx"}},
	[QZPAY_OBJECT_REFUND_REQUEST] = {"refund request", {.table = "refund_requests",.index = "refund_requests_id_idx"}},
	[QZPAY_OBJECT_CREDIT_NOTE] = {"credit note", {.table = "credit_notes",.index = "credit_notes_id_idx"}},
};

static QzpayRelation tenants = {.table = "tenants",.index = "tenants_pkey"};
static QzpayRelation customers_by_external_id = {.table = "customers",.index = "customers_tenant_id_external_id_key"};

/* The word for messages. */
const char *
qzpay_object_name(QzpayObject object)
{
	return objects[object].name;
}

/* Raises QZ404; the same words whether there is no such object or it is another tenant's. */
void
qzpay_object_not_found(QzpayObject object, const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_QZPAY_NOT_FOUND),
			 errmsg("%s \"%s\" not found", objects[object].name,
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id))))));
}

/* Ids are unique by chance of 122 bits or more, not by a key: it would not lead with the tenant. */
static void
ambiguous(QzpayObject object, const pg_uuid_t *id)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("%s \"%s\" exists in more than one tenant", objects[object].name,
					DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id))))));
}

/* Whether there is such a tenant. */
bool
qzpay_tenant_exists(const pg_uuid_t *tenant)
{
	ScanKeyData key;
	QzpayScan	scan;
	bool		found;

	qzpay_scan_key_uuid(&key, 1, tenant);
	qzpay_scan_begin(&scan, &tenants, qzpay_scan_snapshot(), &key, 1);
	found = qzpay_scan_next(&scan) != NULL;
	qzpay_scan_end(&scan);
	return found;
}

/*
 * qzpay_tenant_of
 *		Tenant of an object; false when there is no such object.
 */
bool
qzpay_tenant_of(QzpayObject object, const pg_uuid_t *id, pg_uuid_t *tenant)
{
	QzpayRelation *relation = &objects[object].relation;
	ScanKeyData key;
	QzpayScan	scan;
	TupleTableSlot *slot;
	bool		found = false;

	qzpay_scan_key_uuid(&key, 1, id);
	qzpay_scan_begin(&scan, relation, qzpay_scan_snapshot(), &key, 1);
	while ((slot = qzpay_scan_next(&scan)) != NULL)
	{
		if (found)
			ambiguous(object, id);
		*tenant = *qzpay_slot_uuid(slot, qzpay_relation_column(relation, "tenant_id"));
		found = true;
	}
	qzpay_scan_end(&scan);
	return found;
}

/*
 * qzpay_tenant_of_clocked
 *		Tenant and test clock of a customer; false when there is no such customer.
 */
bool
qzpay_tenant_of_clocked(const pg_uuid_t *customer, pg_uuid_t *tenant, pg_uuid_t *clock, bool *has_clock)
{
	QzpayRelation *relation = &objects[QZPAY_OBJECT_CUSTOMER].relation;
	ScanKeyData key;
	QzpayScan	scan;
	TupleTableSlot *slot;
	bool		found = false;

	qzpay_scan_key_uuid(&key, 1, customer);
	qzpay_scan_begin(&scan, relation, qzpay_scan_snapshot(), &key, 1);
	while ((slot = qzpay_scan_next(&scan)) != NULL)
	{
		pg_uuid_t  *test_clock;

		if (found)
			ambiguous(QZPAY_OBJECT_CUSTOMER, customer);
		*tenant = *qzpay_slot_uuid(slot, qzpay_relation_column(relation, "tenant_id"));
		test_clock = qzpay_slot_uuid(slot, qzpay_relation_column(relation, "test_clock_id"));
		*has_clock = test_clock != NULL;
		if (test_clock != NULL)
			*clock = *test_clock;
		found = true;
	}
	qzpay_scan_end(&scan);
	return found;
}

/*
 * qzpay_tenant_of_external_id
 *		Tenant in which an external id (text) is looked for, and whether a customer of that name is there.
 *
 * That is the current tenant, or without a context the one that sync_customer() would derive.
 */
bool
qzpay_tenant_of_external_id(Datum external_id, pg_uuid_t *tenant)
{
	ScanKeyData keys[2];
	QzpayScan	scan;
	bool		found;

	if (!qzpay_context_tenant(tenant))
		qzpay_uuid_derive_text(tenant, qzpay_installation_id(), external_id);
	qzpay_scan_key_uuid(&keys[0], 1, tenant);
	qzpay_scan_key_text(&keys[1], 2, external_id);
	qzpay_scan_begin(&scan, &customers_by_external_id, qzpay_scan_snapshot(), keys, 2);
	found = qzpay_scan_next(&scan) != NULL;
	qzpay_scan_end(&scan);
	return found;
}
