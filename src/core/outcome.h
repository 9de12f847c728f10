/*
 * outcome.h
 *		What the answer to a call that may move money means, and when to ask again.
 */
#ifndef QZPAY_OUTCOME_H
#define QZPAY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

/* How far an exchange came. */
typedef enum QzpayTransport
{
	QZPAY_TRANSPORT_OK,			/* a complete answer was read */
	QZPAY_TRANSPORT_NOT_SENT,	/* not one byte of the request left: name, connection, TLS */
	QZPAY_TRANSPORT_TIMEOUT,	/* no complete answer in time */
	QZPAY_TRANSPORT_RESET,		/* the connection broke after the first byte */
	QZPAY_TRANSPORT_TRUNCATED,	/* the answer ended early */
	QZPAY_TRANSPORT_TOO_LARGE,	/* the answer passed our cap */
	QZPAY_TRANSPORT_INVALID		/* the answer is not text */
} QzpayTransport;

/* What may be concluded without reading the body. */
typedef enum QzpayAnswer
{
	QZPAY_ANSWER_READ,			/* 2xx: the body decides */
	QZPAY_ANSWER_DECLINED,		/* definite: the money did not move */
	QZPAY_ANSWER_REJECTED,		/* definite: never executed, and the same again would not be either */
	QZPAY_ANSWER_PAUSE_LANE,	/* our credentials are refused: a matter of configuration */
	QZPAY_ANSWER_RETRY,			/* not executed, or running: the same key later */
	QZPAY_ANSWER_NOT_SENT,		/* the same attempt again */
	QZPAY_ANSWER_UNKNOWN		/* only a lookup may end this */
} QzpayAnswer;

extern QzpayAnswer qzpay_outcome_class(QzpayTransport transport, int status);
extern const char *qzpay_outcome_class_name(QzpayAnswer answer);
extern const char *qzpay_outcome_transport_name(QzpayTransport transport);
extern bool qzpay_outcome_transport_parse(const char *name, QzpayTransport *transport);
extern int64_t qzpay_outcome_retry_after(const char *value, int64_t now);
extern int64_t qzpay_outcome_lookup_delay(int done);

/* Longest time that a provider's Retry-After may ask for, in seconds. */
#define QZPAY_RETRY_AFTER_MAX	86400

#endif							/* QZPAY_OUTCOME_H */
