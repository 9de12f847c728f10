/*
 * exchange.h
 *		An attempt's way to its provider and back: claimed from SQL, sent, settled in SQL.
 */
#ifndef QZPAY_EXCHANGE_H
#define QZPAY_EXCHANGE_H

#include "datatype/timestamp.h"
#include "utils/palloc.h"
#include "utils/uuid.h"

#include "worker/http.h"

/* A claimed attempt with what to send for it; all of it in a memory context of its own. */
typedef struct QzpayClaim
{
	MemoryContext context;
	pg_uuid_t	tenant;
	pg_uuid_t	attempt;
	int32		fence;
	TimestampTz send_until;		/* too little of the lease is left after this */
	char	   *phase;
	char	   *method;
	char	   *url;
	char	   *headers;		/* lines "Name: value"; secrets as ${NAME} */
	char	   *body;			/* NULL: none */
	char	   *secrets;		/* names that may be filled in, with commas */
} QzpayClaim;

extern int	qzpay_exchange_claim(int limit, MemoryContext parent, QzpayClaim **claims);
extern const char *qzpay_exchange_begin(QzpayHttp *http, const QzpayClaim *claim, void *tag);
extern char *qzpay_exchange_response(const QzpayHttpAnswer *answer);
extern char *qzpay_exchange_not_sent(const char *problem);
extern QzpayClaim *qzpay_exchange_settle(const QzpayClaim *claim, const char *response, MemoryContext parent);
extern void qzpay_exchange_forget(QzpayClaim *claim);
extern const char *qzpay_exchange_url_problem(const char *url);

#endif							/* QZPAY_EXCHANGE_H */
