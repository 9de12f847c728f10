/*
 * guc.c
 *		Configuration variables, in alphabetical order.
 *
 * None is PGC_POSTMASTER: the library also serves where it is not preloaded, and there such a variable would be fatal.  What guards
 * money or secrets is set in postgresql.conf only, so that no SQL of a handler or an application can change it.
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/varlena.h"

#include "guc.h"

/* Whom the application says it acts for, in the audit log. */
char	   *qzpay_guc_actor = NULL;

/* Whether DROP EXTENSION qzpay is obeyed, by whatever way it is reached. */
bool		qzpay_guc_allow_drop = false;

/* Whether providers and webhooks may be reached over plain HTTP on the loopback interface: test simulators. */
bool		qzpay_guc_allow_loopback_http = false;

/* Databases with a background worker, comma-separated. */
char	   *qzpay_guc_databases = NULL;

/* Longest that an exchange with a provider may take, in milliseconds. */
int			qzpay_guc_http_timeout = 30000;

/* Whether foreign keys of new rows are checked by set; see sqlfn/keys.c. */
bool		qzpay_guc_keys_by_set = false;

/* Hosts that a provider's base_url may name, comma-separated. */
char	   *qzpay_guc_provider_hosts = NULL;

/* KEY=value lines, mode 0600; see store/secrets.c. */
char	   *qzpay_guc_secrets_file = NULL;

/* It is kept for as long as the log. */
#define ACTOR_LENGTH_MAX 255

static bool
check_actor(char **newval, void **extra, GucSource source)
{
	if (strlen(*newval) > ACTOR_LENGTH_MAX)
	{
		GUC_check_errdetail("It has more than %d bytes.", ACTOR_LENGTH_MAX);
		return false;
	}
	return true;
}

/* A list of database names: quoted as identifiers are, each once read by the launcher. */
static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char	   *raw = pstrdup(*newval);
	List	   *names = NIL;
	bool		ok = SplitGUCList(raw, ',', &names);

	if (!ok)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(names);
	pfree(raw);
	return ok;
}

/* A relative path would depend on the data directory, where secrets must not lie. */
static bool
check_secrets_file(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] != '\0' && !is_absolute_path(*newval))
	{
		GUC_check_errdetail("The path must be absolute.");
		return false;
	}
	return true;
}

/* Called once, by _PG_init. */
void
qzpay_guc_define(void)
{
	DefineCustomStringVariable("qzpay.actor",
							   gettext_noop("Names the person for whom the application acts, for the audit log."),
							   gettext_noop("Set it per transaction: SET LOCAL, or set_config(..., true)."),
							   &qzpay_guc_actor, "",
							   PGC_USERSET, 0, check_actor, NULL, NULL);

	DefineCustomBoolVariable("qzpay.allow_drop",
							 gettext_noop("Allows the extension qzpay to be dropped."),
							 gettext_noop("Off, because dropping it, or a schema or extension it depends on, with CASCADE takes the "
										  "status columns of every subscription, invoice and payment along. "
										  "pg_restore --clean needs it on."),
							 &qzpay_guc_allow_drop, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);

	DefineCustomBoolVariable("qzpay.allow_loopback_http",
							 gettext_noop("Allows plain HTTP to providers on the loopback interface."),
							 gettext_noop("For simulators in tests; everything else is HTTPS with a verified certificate."),
							 &qzpay_guc_allow_loopback_http, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomStringVariable("qzpay.databases",
							   gettext_noop("Lists the databases in which a background worker of qzpay runs."),
							   gettext_noop("Comma-separated; read by the launcher, which runs only where shared_preload_libraries "
											"names qzpay."),
							   &qzpay_guc_databases, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_databases, NULL, NULL);

	DefineCustomIntVariable("qzpay.http_timeout",
							gettext_noop("Longest time that a call to a provider may take."),
							gettext_noop("Above the slowest healthy answer: what takes longer has an unknown outcome and must be looked up."),
							&qzpay_guc_http_timeout, 30000, 100, 120000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomBoolVariable("qzpay.keys_by_set",
							 gettext_noop("Checks the foreign keys of rows inserted into qzpay's tables once per statement and parent."),
							 gettext_noop("The same checks as row by row, cheaper for many rows and dearer for few; the billing run turns it on for large batches."),
							 &qzpay_guc_keys_by_set, false,
							 PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);

	DefineCustomStringVariable("qzpay.provider_hosts",
							   gettext_noop("Lists the hosts that a provider's base_url may name."),
							   gettext_noop("Comma-separated. Calls carry secrets, so where they may go is not for SQL to decide."),
							   &qzpay_guc_provider_hosts, "api.stripe.com",
							   PGC_SIGHUP, GUC_LIST_INPUT, NULL, NULL, NULL);

	DefineCustomStringVariable("qzpay.secrets_file",
							   gettext_noop("Names the file with the secrets of providers and tokens."),
							   gettext_noop("KEY=value lines in a file outside of the data directory that belongs to the server's user "
											"and is readable by nobody else. Without it no provider is called."),
							   &qzpay_guc_secrets_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, check_secrets_file, NULL, NULL);

	MarkGUCPrefixReserved("qzpay");
}
