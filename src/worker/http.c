/*
 * http.c
 *		Many HTTP exchanges at once, over libcurl's multi interface.
 *
 * Rules that hold everywhere below:
 *
 * - Callbacks neither raise errors nor use palloc: a longjmp over libcurl's frames would leave it broken.  All memory is malloc's.
 * - TLS is verified, redirects are not followed, proxies, cookies and .netrc are off, answers are capped.
 * - Every exchange has a connection of its own and HTTP/1.1: on a reused connection that turns out dead, and on a refused HTTP/2 stream,
 *   libcurl sends the request again by itself, and a request here may move money.
 * - "Not sent" is concluded from the number of bytes sent alone, never from an error code.
 * - libcurl may start a thread to resolve a name.  Signals are blocked while it may, since a server's signal handlers must not run in it.
 */
#include "worker/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <curl/curl.h>

#include "core/address.h"

#define CONNECT_TIMEOUT_MS	5000L
#define LOW_SPEED_SECONDS	15L

/* Bytes that grow up to a cap. */
typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		size;
} Buffer;

/* One exchange. */
typedef struct Exchange
{
	CURL	   *easy;
	struct curl_slist *headers;
	char	   *request_body;
	Buffer		body;
	Buffer		header;
	int			header_lines;
	bool		too_large;
	bool		private_hosts;
	bool		plain_loopback;
	void	   *tag;
	struct Exchange *next;
} Exchange;

struct QzpayHttp
{
	CURLM	   *multi;
	Exchange   *exchanges;
	int			active;
};

/* Appends, and keeps a zero byte behind; false beyond the cap or without memory. */
static bool
buffer_append(Buffer *buffer, const char *data, size_t length, size_t cap)
{
	if (length > cap - buffer->length)
		return false;
	if (buffer->length + length + 1 > buffer->size)
	{
		size_t		size = buffer->size ? buffer->size : 1024;
		char	   *grown;

		while (size < buffer->length + length + 1)
			size *= 2;
		grown = realloc(buffer->data, size);
		if (grown == NULL)
			return false;
		buffer->data = grown;
		buffer->size = size;
	}
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
	return true;
}

/* libcurl hands over a piece of the body; a short return ends the exchange. */
static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	Exchange   *exchange = arg;

	if (!buffer_append(&exchange->body, data, size * count, QZPAY_HTTP_MAX_BODY))
	{
		exchange->too_large = true;
		return 0;
	}
	return size * count;
}

/*
 * on_header
 *		libcurl hands over a header line.
 *
 * A status line begins anew, so that what an interim answer (100 Continue) said is forgotten.
 */
static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	Exchange   *exchange = arg;
	size_t		length = size * count;

	if (length >= 5 && memcmp(data, "HTTP/", 5) == 0)
	{
		exchange->header.length = 0;
		exchange->header_lines = 0;
		return length;
	}
	if (++exchange->header_lines > QZPAY_HTTP_MAX_LINES ||
		!buffer_append(&exchange->header, data, length, QZPAY_HTTP_MAX_HEADER))
	{
		exchange->too_large = true;
		return 0;
	}
	return length;
}

/* libcurl wants a socket: only towards addresses that the request may reach, decided after the name was resolved. */
static curl_socket_t
on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	const Exchange *exchange = arg;
	bool		allowed = false;

	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	if (address->family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) &address->addr;
		const uint8_t *bytes = (const uint8_t *) &in->sin_addr;

		allowed = exchange->private_hosts || qzpay_address_v4_is_global(bytes) || (exchange->plain_loopback && bytes[0] == 127);
	}
	else if (address->family == AF_INET6)
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &address->addr;

		allowed = exchange->private_hosts || qzpay_address_v6_is_global(in6->sin6_addr.s6_addr) ||
			(exchange->plain_loopback && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr));
	}
	if (!allowed)
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Blocks the signals that a handler of the server could run for; faults stay deliverable. */
static void
block_signals(sigset_t *saved)
{
	sigset_t	all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

/* Undoes block_signals(). */
static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* Frees an exchange with all that it holds. */
static void
free_exchange(Exchange *exchange)
{
	struct curl_slist *header;

	if (exchange->easy != NULL)
		curl_easy_cleanup(exchange->easy);
	/* Headers and bodies hold secrets. */
	for (header = exchange->headers; header != NULL; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(exchange->headers);
	if (exchange->request_body != NULL)
	{
		explicit_bzero(exchange->request_body, strlen(exchange->request_body));
		free(exchange->request_body);
	}
	free(exchange->body.data);
	free(exchange->header.data);
	free(exchange);
}

/*
 * qzpay_http_open
 *		Makes a pool; NULL without memory.
 */
QzpayHttp *
qzpay_http_open(void)
{
	static bool initialised = false;
	QzpayHttp  *http;
	sigset_t	saved;

	block_signals(&saved);
	if (!initialised)
		initialised = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	http = initialised ? calloc(1, sizeof(QzpayHttp)) : NULL;
	if (http != NULL && (http->multi = curl_multi_init()) == NULL)
	{
		free(http);
		http = NULL;
	}
	restore_signals(&saved);
	return http;
}

/*
 * qzpay_http_close
 *		Ends a pool; exchanges still in flight are abandoned.
 */
void
qzpay_http_close(QzpayHttp *http)
{
	sigset_t	saved;

	block_signals(&saved);
	while (http->exchanges != NULL)
	{
		Exchange   *exchange = http->exchanges;

		http->exchanges = exchange->next;
		curl_multi_remove_handle(http->multi, exchange->easy);
		free_exchange(exchange);
	}
	curl_multi_cleanup(http->multi);
	free(http);
	restore_signals(&saved);
}

/*
 * qzpay_http_url_host
 *		Takes a URL apart as libcurl itself would: its host in lower case, whether it is plain http, whether the host is this machine.
 *
 * False for what is no absolute http or https URL, or carries a user name or password.
 */
bool
qzpay_http_url_host(const char *url, char *host, size_t size, bool *plain, bool *loopback)
{
	CURLU	   *parts = curl_url();
	char	   *scheme = NULL;
	char	   *name = NULL;
	char	   *user = NULL;
	bool		valid = false;

	if (parts != NULL && curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
		(strcasecmp(scheme, "https") == 0 || strcasecmp(scheme, "http") == 0) && strlen(name) < size)
	{
		size_t		i;

		for (i = 0; name[i] != '\0'; i++)
			host[i] = (name[i] >= 'A' && name[i] <= 'Z') ? name[i] + ('a' - 'A') : name[i];
		host[i] = '\0';
		*plain = strcasecmp(scheme, "http") == 0;
		*loopback = strcmp(host, "127.0.0.1") == 0 || strcmp(host, "[::1]") == 0 || strcmp(host, "localhost") == 0;
		valid = i > 0;
	}
	curl_free(scheme);
	curl_free(name);
	curl_free(user);
	curl_url_cleanup(parts);
	return valid;
}

/* Whether a header is one line of visible characters and blanks: a line break would smuggle in another. */
static bool
header_is_clean(const char *header)
{
	for (; *header != '\0'; header++)
	{
		if ((unsigned char) *header < 0x20 || (unsigned char) *header >= 0x7F)
			return false;
	}
	return true;
}

/* Sets what is the same for every request: how careful to be. */
static bool
set_policy(Exchange *exchange, const QzpayHttpRequest *request, bool plain)
{
	CURL	   *easy = exchange->easy;

	return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, request->timeout_ms) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, LOW_SPEED_SECONDS) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange) == CURLE_OK &&
		curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange) == CURLE_OK;
}

/* Sets what this request sends.  Returns NULL, or what is wrong with it. */
static const char *
set_request(Exchange *exchange, const QzpayHttpRequest *request)
{
	CURL	   *easy = exchange->easy;
	bool		has_body = request->body != NULL;
	size_t		i;

	if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "POST") != 0 && strcmp(request->method, "PUT") != 0 &&
		strcmp(request->method, "PATCH") != 0 && strcmp(request->method, "DELETE") != 0)
		return "method not allowed";
	for (i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
	{
		struct curl_slist *longer;

		if (!header_is_clean(request->headers[i]))
			return "control character in a header";
		longer = curl_slist_append(exchange->headers, request->headers[i]);
		if (longer == NULL)
			return "out of memory";
		exchange->headers = longer;
	}
	/* Without this libcurl would wait for leave to send a longer body. */
	{
		struct curl_slist *longer = curl_slist_append(exchange->headers, "Expect:");

		if (longer == NULL)
			return "out of memory";
		exchange->headers = longer;
	}
	if (has_body)
	{
		exchange->request_body = malloc(request->body_length + 1);
		if (exchange->request_body == NULL)
			return "out of memory";
		memcpy(exchange->request_body, request->body, request->body_length);
		exchange->request_body[request->body_length] = '\0';
		if (curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->request_body) != CURLE_OK ||
			curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_length) != CURLE_OK)
			return "out of memory";
	}
	if (curl_easy_setopt(easy, CURLOPT_URL, request->url) != CURLE_OK ||
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) != CURLE_OK ||
		curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers) != CURLE_OK)
		return "out of memory";
	return NULL;
}

/*
 * qzpay_http_start
 *		Begins an exchange.
 *
 * Returns NULL, or why it was not begun; then nothing was sent and no answer will come.  The reason never holds a secret.
 */
const char *
qzpay_http_start(QzpayHttp *http, const QzpayHttpRequest *request, void *tag)
{
	char		host[256];
	bool		plain;
	bool		loopback;
	const char *problem = NULL;
	Exchange   *exchange;
	sigset_t	saved;

	if (!qzpay_http_url_host(request->url, host, sizeof(host), &plain, &loopback))
		return "not an absolute URL of http or https without credentials";
	if (plain && !(loopback && request->plain_loopback))
		return "plain http is not allowed";
	exchange = calloc(1, sizeof(Exchange));
	if (exchange == NULL)
		return "out of memory";
	exchange->tag = tag;
	exchange->private_hosts = request->private_hosts;
	exchange->plain_loopback = plain && request->plain_loopback;

	block_signals(&saved);
	exchange->easy = curl_easy_init();
	if (exchange->easy == NULL || !set_policy(exchange, request, plain))
		problem = "out of memory";
	else
		problem = set_request(exchange, request);
	if (problem == NULL && curl_multi_add_handle(http->multi, exchange->easy) != CURLM_OK)
		problem = "out of memory";
	if (problem == NULL)
	{
		exchange->next = http->exchanges;
		http->exchanges = exchange;
		http->active++;
	}
	else
		free_exchange(exchange);
	restore_signals(&saved);
	return problem;
}

/* Number of exchanges whose answer was not yet handed out. */
int
qzpay_http_active(const QzpayHttp *http)
{
	return http->active;
}

/*
 * qzpay_http_wait
 *		Lets the exchanges go on, waiting up to timeout_ms for the network.
 *
 * Signals are served while it waits.  Returns false when the library itself is broken: close the pool then.
 */
bool
qzpay_http_wait(QzpayHttp *http, int timeout_ms)
{
	sigset_t	saved;
	CURLMcode	code;
	int			running;

	block_signals(&saved);
	code = curl_multi_perform(http->multi, &running);
	restore_signals(&saved);
	if (code == CURLM_OK && running == http->active && running > 0)
	{
		code = curl_multi_poll(http->multi, NULL, 0, timeout_ms, NULL);
		if (code == CURLM_OK)
		{
			block_signals(&saved);
			code = curl_multi_perform(http->multi, &running);
			restore_signals(&saved);
		}
	}
	return code == CURLM_OK;
}

/* Turns how libcurl ended into a transport result. */
static QzpayTransport
judge(const Exchange *exchange, CURLcode code)
{
	long		sent = 0;

	if (code == CURLE_OK)
		return memchr(exchange->body.data ? exchange->body.data : "", '\0', exchange->body.length) == NULL ?
			QZPAY_TRANSPORT_OK : QZPAY_TRANSPORT_INVALID;
	curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (sent == 0)
		return QZPAY_TRANSPORT_NOT_SENT;
	if (exchange->too_large)
		return QZPAY_TRANSPORT_TOO_LARGE;
	switch (code)
	{
		case CURLE_OPERATION_TIMEDOUT:
			return QZPAY_TRANSPORT_TIMEOUT;
		case CURLE_PARTIAL_FILE:
			return QZPAY_TRANSPORT_TRUNCATED;
		default:
			return QZPAY_TRANSPORT_RESET;
	}
}

/* Takes an exchange out of the pool's list. */
static void
unlink_exchange(QzpayHttp *http, Exchange *exchange)
{
	Exchange  **link = &http->exchanges;

	while (*link != exchange)
		link = &(*link)->next;
	*link = exchange->next;
	http->active--;
}

/*
 * qzpay_http_next
 *		Hands out an answer that is complete; false when there is none.
 */
bool
qzpay_http_next(QzpayHttp *http, QzpayHttpAnswer *answer)
{
	CURLMsg    *message;
	int			left;
	Exchange   *exchange;
	CURLcode	code;
	long		status = 0;
	char	   *private = NULL;
	sigset_t	saved;

	do
	{
		message = curl_multi_info_read(http->multi, &left);
		if (message == NULL)
			return false;
	} while (message->msg != CURLMSG_DONE);

	code = message->data.result;
	curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
	exchange = (Exchange *) private;
	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);

	memset(answer, 0, sizeof(*answer));
	answer->tag = exchange->tag;
	answer->transport = judge(exchange, code);
	answer->status = answer->transport == QZPAY_TRANSPORT_OK ? (int) status : 0;
	answer->problem = code == CURLE_OK ? NULL : curl_easy_strerror(code);
	answer->headers = exchange->header.data ? exchange->header.data : calloc(1, 1);
	answer->body = exchange->body.data ? exchange->body.data : calloc(1, 1);
	answer->body_length = exchange->body.length;
	if (exchange->header.data != NULL)
		exchange->header.data[exchange->header.length] = '\0';
	exchange->header.data = NULL;
	exchange->body.data = NULL;

	block_signals(&saved);
	unlink_exchange(http, exchange);
	curl_multi_remove_handle(http->multi, exchange->easy);
	free_exchange(exchange);
	restore_signals(&saved);
	if (answer->headers == NULL || answer->body == NULL)
	{
		/* Out of memory for one byte: nothing of the answer can be trusted. */
		static char none[1];

		free(answer->headers);
		free(answer->body);
		answer->headers = answer->body = none;
		answer->body_length = 0;
		answer->transport = QZPAY_TRANSPORT_INVALID;
		answer->status = 0;
	}
	return true;
}

/* Frees what qzpay_http_next() handed out. */
void
qzpay_http_release(QzpayHttpAnswer *answer)
{
	if (answer->headers != answer->body)
	{
		free(answer->headers);
		free(answer->body);
	}
	answer->headers = answer->body = NULL;
}
