/*
 * exchange.c
 *		An attempt's way to its provider and back: claimed from SQL, sent, settled in SQL.
 *
 * Claiming and settling run inside the caller's transaction, sending outside of any.  Secrets are filled in at the moment of sending and
 * wiped right after; only names that the provider's row lists are filled in, and only towards hosts that the configuration lists, since
 * an adapter is a user's SQL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "guc.h"
#include "store/clock.h"
#include "store/secrets.h"
#include "worker/exchange.h"

/* How much of a lease must be left beyond the longest exchange before anything is sent. */
#define LEASE_MARGIN_MS		10000
#define MAX_HEADERS			32
#define MAX_SECRETS			16

/* Reads the six columns of a request, from this column on, into a claim. */
static void
read_request(QzpayClaim *claim, HeapTuple row, TupleDesc desc, int column)
{
	MemoryContext old = MemoryContextSwitchTo(claim->context);

	claim->phase = SPI_getvalue(row, desc, column);
	claim->method = SPI_getvalue(row, desc, column + 1);
	claim->url = SPI_getvalue(row, desc, column + 2);
	claim->headers = SPI_getvalue(row, desc, column + 3);
	claim->body = SPI_getvalue(row, desc, column + 4);
	claim->secrets = SPI_getvalue(row, desc, column + 5);
	/* The lease was taken by this transaction, so it begins no earlier than now less the transaction's age; SQL adds 30 s to the timeout. */
	claim->send_until = qzpay_clock_recorded() + ((int64) 30000 - LEASE_MARGIN_MS) * 1000;
	MemoryContextSwitchTo(old);
}

/* Makes an empty claim below parent. */
static QzpayClaim *
new_claim(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "qzpay claim", ALLOCSET_SMALL_SIZES);
	QzpayClaim *claim = MemoryContextAllocZero(context, sizeof(QzpayClaim));

	claim->context = context;
	return claim;
}

/* Frees a claim. */
void
qzpay_exchange_forget(QzpayClaim *claim)
{
	MemoryContextDelete(claim->context);
}

/*
 * qzpay_exchange_claim
 *		Claims up to limit attempts; they live below parent.  Returns how many.
 *
 * Runs in the caller's transaction, with SPI connected.  Nothing may be sent before that has committed; if it does not, forget them.
 */
int
qzpay_exchange_claim(int limit, MemoryContext parent, QzpayClaim **claims)
{
	Oid			types[2] = {TEXTOID, INT4OID};
	Datum		values[2];
	int			n;
	int			i;

	values[0] = CStringGetTextDatum(psprintf("pid %d", MyProcPid));
	values[1] = Int32GetDatum(limit);
	if (SPI_execute_with_args("SELECT c.tenant_id, c.attempt_id, c.fence, c.phase, c.method, c.url, c.headers, c.body, c.secrets "
							  "FROM qzpay._claim_requests($1, $2) c", 2, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "claiming attempts failed");
	n = (int) Min(SPI_processed, (uint64) limit);
	for (i = 0; i < n; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		QzpayClaim *claim = new_claim(parent);
		bool		isnull;

		claim->tenant = *DatumGetUUIDP(SPI_getbinval(row, desc, 1, &isnull));
		claim->attempt = *DatumGetUUIDP(SPI_getbinval(row, desc, 2, &isnull));
		claim->fence = DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull));
		read_request(claim, row, desc, 4);
		claims[i] = claim;
	}
	return n;
}

/*
 * qzpay_exchange_url_problem
 *		Why the configuration does not let a call go to this URL, or NULL.
 */
const char *
qzpay_exchange_url_problem(const char *url)
{
	char		host[256];
	bool		plain;
	bool		loopback;
	bool		listed = false;
	char	   *raw;
	List	   *hosts = NIL;
	ListCell   *cell;

	if (!qzpay_http_url_host(url, host, sizeof(host), &plain, &loopback))
		return "not an absolute URL of http or https without credentials";
	if (plain)
		return loopback && qzpay_guc_allow_loopback_http ? NULL : "plain http is not allowed";
	raw = pstrdup(qzpay_guc_provider_hosts ? qzpay_guc_provider_hosts : "");
	if (SplitGUCList(raw, ',', &hosts))
	{
		foreach(cell, hosts)
		{
			if (pg_strcasecmp((char *) lfirst(cell), host) == 0)
				listed = true;
		}
	}
	list_free(hosts);
	pfree(raw);
	return listed ? NULL : "its host is not in qzpay.provider_hosts";
}

/* Splits a list in place at a separator; at most max parts, NULL behind the last.  Returns how many, or -1 for too many. */
static int
split(char *list, char separator, const char **parts, int max)
{
	int			n = 0;

	while (list != NULL && *list != '\0')
	{
		char	   *next = strchr(list, separator);

		if (n == max)
			return -1;
		if (next != NULL)
			*next++ = '\0';
		parts[n++] = list;
		list = next;
	}
	parts[n] = NULL;
	return n;
}

/*
 * qzpay_exchange_begin
 *		Sends what was claimed; the caller's transaction has committed.
 *
 * Returns NULL, or why nothing was sent.  May raise an error where the secrets file is unusable; nothing was sent then either.
 */
const char *
qzpay_exchange_begin(QzpayHttp *http, const QzpayClaim *claim, void *tag)
{
	const char *allowed[MAX_SECRETS + 1];
	const char *headers[MAX_HEADERS + 1];
	StringInfoData filled;
	QzpayHttpRequest request;
	const char *problem;
	char	   *missing = NULL;
	int			n_allowed;
	int			n_headers;

	if (claim->method == NULL || claim->url == NULL)
		return "the request has no method or URL";
	problem = qzpay_exchange_url_problem(claim->url);
	if (problem != NULL)
		return problem;
	n_allowed = split(pstrdup(claim->secrets ? claim->secrets : ""), ',', allowed, MAX_SECRETS);
	if (n_allowed < 0)
		return "too many secrets";

	initStringInfo(&filled);
	if (!qzpay_secrets_substitute(claim->headers ? claim->headers : "", allowed, n_allowed, &filled, &missing))
		problem = psprintf("secret %s is missing", missing);
	n_headers = problem == NULL ? split(filled.data, '\n', headers, MAX_HEADERS) : 0;
	if (n_headers < 0)
		problem = "too many headers";
	if (problem == NULL)
	{
		memset(&request, 0, sizeof(request));
		request.method = claim->method;
		request.url = claim->url;
		request.headers = headers;
		request.body = claim->body;
		request.body_length = claim->body ? strlen(claim->body) : 0;
		request.timeout_ms = qzpay_guc_http_timeout;
		request.plain_loopback = qzpay_guc_allow_loopback_http;
		request.private_hosts = true;	/* the host is one that the configuration names */
		problem = qzpay_http_start(http, &request, tag);
	}
	explicit_bzero(filled.data, filled.maxlen);
	pfree(filled.data);
	return problem;
}

/* Appends the answer's headers as a JSON object, names in lower case, the last of a name counting. */
static void
append_headers(StringInfo out, const char *headers)
{
	const char *line = headers;
	bool		first = true;

	appendStringInfoChar(out, '{');
	while (*line != '\0')
	{
		const char *end = strpbrk(line, "\r\n");
		const char *colon = memchr(line, ':', end ? (size_t) (end - line) : strlen(line));

		if (end == NULL)
			end = line + strlen(line);
		if (colon != NULL)
		{
			char	   *name = pnstrdup(line, colon - line);
			char	   *value;
			char	   *c;

			for (c = name; *c != '\0'; c++)
				*c = pg_ascii_tolower((unsigned char) *c);
			for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++)
				;
			value = pnstrdup(colon, end - colon);
			if (pg_verify_mbstr(PG_UTF8, name, strlen(name), true) && pg_verify_mbstr(PG_UTF8, value, strlen(value), true))
			{
				if (!first)
					appendStringInfoChar(out, ',');
				first = false;
				escape_json(out, name);
				appendStringInfoChar(out, ':');
				escape_json(out, value);
			}
		}
		line = end;
		while (*line == '\r' || *line == '\n')
			line++;
	}
	appendStringInfoChar(out, '}');
}

/*
 * qzpay_exchange_response
 *		An answer as the text of the jsonb that _settle_attempt() takes, in the server's encoding.
 */
char *
qzpay_exchange_response(const QzpayHttpAnswer *answer)
{
	StringInfoData out;
	QzpayTransport transport = answer->transport;

	if (transport == QZPAY_TRANSPORT_OK && !pg_verify_mbstr(PG_UTF8, answer->body, (int) answer->body_length, true))
		transport = QZPAY_TRANSPORT_INVALID;
	initStringInfo(&out);
	appendStringInfoString(&out, "{\"transport\":");
	escape_json(&out, qzpay_outcome_transport_name(transport));
	if (transport == QZPAY_TRANSPORT_OK)
	{
		appendStringInfo(&out, ",\"status\":%d,\"headers\":", answer->status);
		append_headers(&out, answer->headers);
		appendStringInfoString(&out, ",\"body\":");
		escape_json(&out, answer->body);
	}
	if (answer->problem != NULL)
	{
		appendStringInfoString(&out, ",\"problem\":");
		escape_json(&out, answer->problem);
	}
	appendStringInfoChar(&out, '}');
	return pg_any_to_server(out.data, out.len, PG_UTF8);
}

/* The response of a request that never left, as the text of a jsonb. */
char *
qzpay_exchange_not_sent(const char *problem)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"transport\":\"not_sent\",\"problem\":");
	escape_json(&out, problem);
	appendStringInfoChar(&out, '}');
	return out.data;
}

/*
 * qzpay_exchange_settle
 *		Hands an outcome to SQL, in the caller's transaction with SPI connected.
 *
 * Returns what is to be sent next for the same attempt once that has committed (below parent), or NULL.
 */
QzpayClaim *
qzpay_exchange_settle(const QzpayClaim *claim, const char *response, MemoryContext parent)
{
	Oid			types[5] = {UUIDOID, UUIDOID, INT4OID, TEXTOID, TEXTOID};
	Datum		values[5];
	QzpayClaim *next;

	values[0] = UUIDPGetDatum(&claim->tenant);
	values[1] = UUIDPGetDatum(&claim->attempt);
	values[2] = Int32GetDatum(claim->fence);
	values[3] = CStringGetTextDatum(claim->phase);
	values[4] = CStringGetTextDatum(response);
	if (SPI_execute_with_args("SELECT s.phase, s.method, s.url, s.headers, s.body, s.secrets FROM qzpay._settle_request($1, $2, $3, $4, $5) s",
							  5, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "settling an attempt failed");
	if (SPI_processed == 0)
		return NULL;
	next = new_claim(parent);
	next->tenant = claim->tenant;
	next->attempt = claim->attempt;
	next->fence = claim->fence;
	read_request(next, SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return next;
}
