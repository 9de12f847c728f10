/*
 * tenancy.c
 *		SQL-callable functions: the tenant context.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "core/signature.h"
#include "errors.h"
#include "qzpay.h"
#include "store/clock.h"
#include "store/context.h"
#include "store/installation.h"
#include "store/secrets.h"
#include "store/tenant_of.h"

QZPAY_FUNCTION(qzpay_current_tenant);
QZPAY_FUNCTION(qzpay_enter_tenant);
QZPAY_FUNCTION(qzpay_issued_token);
QZPAY_FUNCTION(qzpay_set_tenant);

/* Tokens can't be taken back, so they are for a session of a person at most: a day. */
#define TOKEN_SECONDS_MAX 86400

/* A shorter key could be guessed. */
#define TOKEN_KEY_MIN 32

/* current_tenant() */
Datum
qzpay_current_tenant(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *tenant = palloc(sizeof(pg_uuid_t));

	if (!qzpay_context_tenant(tenant))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(tenant);
}

/* set_tenant(tenant, is_local): NULL for none. */
Datum
qzpay_set_tenant(PG_FUNCTION_ARGS)
{
	qzpay_context_set(PG_ARGISNULL(0) ? NULL : PG_GETARG_UUID_P(0), PG_ARGISNULL(1) || PG_GETARG_BOOL(1));
	PG_RETURN_VOID();
}

/* The key that signs tokens; raises 55000 where the secrets file has none that will do. */
static QzpayBytes
token_key(void)
{
	const char *value = qzpay_secret("QZPAY_TOKEN_KEY");
	QzpayBytes	key = {value, value == NULL ? 0 : strlen(value)};

	if (key.length < TOKEN_KEY_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tokens are not configured"),
				 errdetail("The secrets file has no QZPAY_TOKEN_KEY of at least %d characters.", TOKEN_KEY_MIN),
				 errhint("Set qzpay.secrets_file, and put a random key into that file.")));
	return key;
}

/* Real time in seconds since 1970. */
static int64
real_seconds(void)
{
	return qzpay_clock_real() / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

/* enter(token) */
Datum
qzpay_enter_tenant(PG_FUNCTION_ARGS)
{
	text	   *argument = PG_ARGISNULL(0) ? cstring_to_text("") : PG_GETARG_TEXT_PP(0);
	QzpayBytes	token = {VARDATA_ANY(argument), VARSIZE_ANY_EXHDR(argument)};
	pg_uuid_t	tenant;
	int64_t		expiry;
	QzpaySignature result = qzpay_token_verify(NULL, token_key(), qzpay_installation_id()->data, token,
											   real_seconds(), TOKEN_SECONDS_MAX, tenant.data, &expiry);

	if (result != QZPAY_SIGNATURE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_BAD_TOKEN),
				 result == QZPAY_SIGNATURE_TOO_OLD ? errmsg("the token has expired") : errmsg("the token is not valid here"),
				 errhint("The application issues another with qzpay._issue_token().")));
	qzpay_context_enter(&tenant);
	PG_RETURN_VOID();
}

/* _issue_token(tenant, seconds) */
Datum
qzpay_issued_token(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *tenant = PG_GETARG_UUID_P(0);
	int32		seconds = PG_GETARG_INT32(1);
	char		token[QZPAY_TOKEN_LENGTH + 1];
	QzpaySignature result;

	if (seconds < 1 || seconds > TOKEN_SECONDS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a token must be good for 1 to %d seconds, not %d", TOKEN_SECONDS_MAX, seconds)));
	if (qzpay_context_level() < QZPAY_LEVEL_APP)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to issue tokens")));
	if (!qzpay_tenant_exists(tenant) || !qzpay_context_allows(tenant))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NOT_FOUND),
				 errmsg("tenant \"%s\" not found", DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(tenant))))));
	result = qzpay_token_issue(NULL, token_key(), qzpay_installation_id()->data, tenant->data, real_seconds() + seconds, token);
	if (result != QZPAY_SIGNATURE_OK)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not issue a token: %s", qzpay_signature_message(result))));
	PG_RETURN_TEXT_P(cstring_to_text(token));
}
