/*
 * foundation.c
 *		SQL-callable functions about the installation itself.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "qzpay.h"

QZPAY_FUNCTION(qzpay_library_version);

/* The version this library was built as; ALTER EXTENSION may be behind or ahead of it. */
Datum
qzpay_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(QZPAY_VERSION));
}
