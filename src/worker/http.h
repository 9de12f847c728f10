/*
 * http.h
 *		Many HTTP exchanges at once.  Knows no billing: requests in, answers out.
 */
#ifndef QZPAY_HTTP_H
#define QZPAY_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/outcome.h"

#define QZPAY_HTTP_MAX_BODY		(1024 * 1024)
#define QZPAY_HTTP_MAX_HEADER	(64 * 1024)
#define QZPAY_HTTP_MAX_LINES	100

/* A pool of exchanges in flight. */
typedef struct QzpayHttp QzpayHttp;

/* What to send.  Everything is copied; nothing has to outlive the call. */
typedef struct QzpayHttpRequest
{
	const char *method;			/* GET, POST, PUT, PATCH or DELETE */
	const char *url;
	const char *const *headers; /* "Name: value", ended by NULL */
	const char *body;			/* NULL: none */
	size_t		body_length;
	long		timeout_ms;
	bool		plain_loopback; /* allows http:// to 127.0.0.1, ::1 and localhost */
	bool		private_hosts;	/* allows addresses that are not global: the configuration named the host */
} QzpayHttpRequest;

/* What came back; freed by qzpay_http_release(). */
typedef struct QzpayHttpAnswer
{
	void	   *tag;			/* as given to qzpay_http_start() */
	QzpayTransport transport;
	int			status;			/* 0 unless the transport is ok */
	char	   *headers;		/* raw lines "name: value\r\n"; never NULL */
	char	   *body;			/* ended by a zero byte beyond its length; never NULL */
	size_t		body_length;
	const char *problem;		/* what went wrong in the words of the HTTP library, or NULL; never holds what was sent */
} QzpayHttpAnswer;

extern QzpayHttp *qzpay_http_open(void);
extern void qzpay_http_close(QzpayHttp *http);
extern const char *qzpay_http_start(QzpayHttp *http, const QzpayHttpRequest *request, void *tag);
extern int	qzpay_http_active(const QzpayHttp *http);
extern bool qzpay_http_wait(QzpayHttp *http, int timeout_ms);
extern bool qzpay_http_next(QzpayHttp *http, QzpayHttpAnswer *answer);
extern void qzpay_http_release(QzpayHttpAnswer *answer);

extern bool qzpay_http_url_host(const char *url, char *host, size_t size, bool *plain, bool *loopback);

#endif							/* QZPAY_HTTP_H */
