/*
 * settings.c
 *		The seller's settings, read without SPI.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "store/relation.h"
#include "store/settings.h"

static QzpayRelation settings = {.table = "settings",.index = "settings_pkey"};

/* Value of a setting, in the current memory context; NULL when there is none of that name. */
Jsonb *
qzpay_setting(const char *name)
{
	ScanKeyData key;
	QzpayScan	scan;
	TupleTableSlot *slot;
	Jsonb	   *result = NULL;

	qzpay_scan_key_text(&key, 1, CStringGetTextDatum(name));
	qzpay_scan_begin(&scan, &settings, qzpay_scan_snapshot(), &key, 1);
	slot = qzpay_scan_next(&scan);
	if (slot != NULL)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, qzpay_relation_column(&settings, "value"), &isnull);

		result = DatumGetJsonbPCopy(value);
	}
	qzpay_scan_end(&scan);
	return result;
}

/* The whole numbers of a setting that is an array; what is no whole number is passed over.  Returns how many. */
int
qzpay_setting_integers(const char *name, int *values, int max_values)
{
	Jsonb	   *setting = qzpay_setting(name);
	int			n = 0;

	if (setting == NULL || !JB_ROOT_IS_ARRAY(setting))
		return 0;
	for (uint32 i = 0; i < JB_ROOT_COUNT(setting) && n < max_values; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(&setting->root, i);
		bool		have_error = false;
		int32		value;

		if (element->type != jbvNumeric)
			continue;
		value = numeric_int4_opt_error(element->val.numeric, &have_error);
		if (!have_error)
			values[n++] = value;
	}
	return n;
}
