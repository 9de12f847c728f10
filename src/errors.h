/*
 * errors.h
 *		The SQLSTATEs of class QZ, each with one meaning for ever.
 *
 * Faults of an argument's form use the standard's codes (22023, 22003 ...); class QZ is for states of billing.  PL/pgSQL raises the
 * same codes by their text, and docs list them from this table.
 */
#ifndef QZPAY_ERRORS_H
#define QZPAY_ERRORS_H

#define QZPAY_SQLSTATE(a, b, c) MAKE_SQLSTATE('Q', 'Z', (a), (b), (c))

/* QZ0: the installation, the tenant context and calls as such */
#define ERRCODE_QZPAY_IDEMPOTENCY_MISMATCH QZPAY_SQLSTATE('0', '0', '1')	/* same key, other request */
#define ERRCODE_QZPAY_SCHEMA_VERSION QZPAY_SQLSTATE('0', '0', '2')	/* tables and code are of different versions */
#define ERRCODE_QZPAY_NOT_LIVE QZPAY_SQLSTATE('0', '0', '3')	/* reserved: this server has not been declared live */
#define ERRCODE_QZPAY_TENANT_CONTEXT QZPAY_SQLSTATE('0', '0', '4')	/* tenant context missing, contradicting or not changeable now */
#define ERRCODE_QZPAY_BAD_TOKEN QZPAY_SQLSTATE('0', '0', '5')	/* tenant token forged, malformed, expired or of elsewhere */

/* QZ1: money */
#define ERRCODE_QZPAY_CURRENCY QZPAY_SQLSTATE('1', '0', '1')	/* unknown or mixed currencies */
#define ERRCODE_QZPAY_TAX_ANSWER QZPAY_SQLSTATE('1', '0', '2')	/* a tax provider's answer does not fit the invoice */
#define ERRCODE_QZPAY_CREDIT_EXCEEDS QZPAY_SQLSTATE('1', '0', '3')	/* more would be credited or paid back than is left */

/* QZ2: states */
#define ERRCODE_QZPAY_ILLEGAL_TRANSITION QZPAY_SQLSTATE('2', '0', '1')	/* the status tables don't allow the move */
#define ERRCODE_QZPAY_IMMUTABLE_ROW QZPAY_SQLSTATE('2', '0', '2')	/* this column of this row never changes */
#define ERRCODE_QZPAY_APPEND_ONLY QZPAY_SQLSTATE('2', '0', '3')	/* rows of this table are never changed or removed */
#define ERRCODE_QZPAY_WRONG_STATE QZPAY_SQLSTATE('2', '0', '4')	/* the object is in no state for this call */

/* QZ3: payments */
#define ERRCODE_QZPAY_PAYMENT_CONFLICT QZPAY_SQLSTATE('3', '0', '1')	/* outcome or claim contradicts what is recorded */

/* QZ4: catalog, entitlements, objects */
#define ERRCODE_QZPAY_UNKNOWN_CODE QZPAY_SQLSTATE('4', '0', '1')	/* no such feature, limit, meter, plan or price */
#define ERRCODE_QZPAY_LIMIT_REACHED QZPAY_SQLSTATE('4', '0', '2')	/* DETAIL: JSON with limit, current, limit_value */
#define ERRCODE_QZPAY_NO_ACCESS QZPAY_SQLSTATE('4', '0', '3')	/* the customer's contract does not give this */
#define ERRCODE_QZPAY_NOT_FOUND QZPAY_SQLSTATE('4', '0', '4')	/* no such object, or not the caller's */

/* QZ5: usage */
#define ERRCODE_QZPAY_USAGE_KEY_MISMATCH QZPAY_SQLSTATE('5', '0', '1')	/* same key, other content */
#define ERRCODE_QZPAY_USAGE_FUTURE QZPAY_SQLSTATE('5', '0', '2')	/* occurred in the future */
#define ERRCODE_QZPAY_USAGE_CLOSED QZPAY_SQLSTATE('5', '0', '3')	/* the usage period is closed */
#define ERRCODE_QZPAY_USAGE_QUANTITY QZPAY_SQLSTATE('5', '0', '4')	/* negative, NaN or infinite quantity */
#define ERRCODE_QZPAY_USAGE_LIMIT QZPAY_SQLSTATE('5', '0', '5')	/* a hard limit would be exceeded */

/* QZ6: import */
#define ERRCODE_QZPAY_CATALOG_INVALID QZPAY_SQLSTATE('6', '0', '1')	/* DETAIL: path into the document */

/* QZ7: discounts */
#define ERRCODE_QZPAY_PROMO_CODE QZPAY_SQLSTATE('7', '0', '1')	/* the code cannot be redeemed; DETAIL: JSON with code, reason and its numbers */
#define ERRCODE_QZPAY_TOO_MANY_GUESSES QZPAY_SQLSTATE('7', '0', '2')	/* too many wrong codes by this tenant lately */

/* QZ9: internal */
#define ERRCODE_QZPAY_ROLLED_BACK QZPAY_SQLSTATE('9', '9', '9')	/* ends a dry run or a preview; never leaves the call */

#endif							/* QZPAY_ERRORS_H */
