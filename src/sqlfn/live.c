/*
 * live.c
 *		SQL-callable function: which server and database this is.
 *
 * A copy of a live database must not charge anybody.  What a copy cannot share with its original: another initdb has another system
 * identifier, a promoted standby another timeline, a file-level clone another host, a database made from a template another name.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "qzpay.h"

QZPAY_FUNCTION(qzpay_server_identity);

/* _server_identity() */
Datum
qzpay_server_identity(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4] = {false, false, false, false};
	char		host[256];
	TimeLineID	timeline;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type of _server_identity must be a row type");
	if (gethostname(host, sizeof(host)) != 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read the name of this host: %m")));
	host[sizeof(host) - 1] = '\0';
	if (RecoveryInProgress())
		(void) GetXLogReplayRecPtr(&timeline);
	else
		timeline = GetWALInsertionTimeLine();

	values[0] = Int64GetDatum((int64) GetSystemIdentifier());
	values[1] = Int32GetDatum((int32) timeline);
	values[2] = CStringGetTextDatum(host);
	values[3] = DirectFunctionCall1(namein, CStringGetDatum(get_database_name(MyDatabaseId)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
