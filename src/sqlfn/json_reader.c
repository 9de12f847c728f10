/*
 * json_reader.c
 *		Members of JSON objects, checked as they are read.
 *
 * A member that is null is as if it were not there.  Texts point into the JSON.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

#include "core/instant.h"
#include "sqlfn/argument.h"
#include "sqlfn/json_reader.h"
#include "store/decimal.h"

/* "invalid discount 3: "value": a number is wanted" */
void
qzpay_json_fault(const QzpayJsonPlace *place, const char *key, const char *message)
{
	char	   *where = place->n > 0 ? psprintf("%s %d", place->what, place->n) : pstrdup(place->what);

	if (key == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s: %s", where, message)));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s: \"%s\": %s", where, key, message)));
}

/* A member's name, for messages. */
char *
qzpay_json_shown(const JsonbValue *key)
{
	return pnstrdup(key->val.string.val, Min(key->val.string.len, 64));
}

/* The container of an object or an array, which a value has to be. */
JsonbContainer *
qzpay_json_container_of(const JsonbValue *value, bool array, const QzpayJsonPlace *place, const char *key)
{
	if (value->type != jbvBinary || (array ? !JsonContainerIsArray(value->val.binary.data) || JsonContainerIsScalar(value->val.binary.data)
									 : !JsonContainerIsObject(value->val.binary.data)))
		qzpay_json_fault(place, key, array ? "an array is wanted" : "an object is wanted");
	return value->val.binary.data;
}

/* The next member of an object; those that are null are as if they weren't there. */
bool
qzpay_json_next_member(JsonbIterator **iterator, JsonbValue *key, JsonbValue *value)
{
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(iterator, key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(iterator, value, true);
		if (value->type != jbvNull)
			return true;
	}
	return false;
}

bool
qzpay_json_is_key(const JsonbValue *key, const char *name)
{
	return key->val.string.len == (int) strlen(name) && memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

QzpayText
qzpay_json_text(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	QzpayText	result;

	if (value->type != jbvString || value->val.string.len == 0)
		qzpay_json_fault(place, key, "a text is wanted");
	result.data = value->val.string.val;
	result.length = value->val.string.len;
	return result;
}

/* A text of which the core knows the words. */
char *
qzpay_json_word(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	QzpayText	text = qzpay_json_text(value, place, key);

	return pnstrdup(text.data, text.length);
}

bool
qzpay_json_bool(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	if (value->type != jbvBool)
		qzpay_json_fault(place, key, "true or false is wanted");
	return value->val.boolean;
}

QzpayDecimal
qzpay_json_decimal(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	QzpayDecimal result = {0, 0};
	QzpayCode	code;

	if (value->type != jbvNumeric)
		qzpay_json_fault(place, key, "a number is wanted");
	code = qzpay_decimal_from_numeric(NumericGetDatum(value->val.numeric), &result);
	if (code != QZPAY_OK)
		qzpay_json_fault(place, key, qzpay_code_message(code));
	return result;
}

QzpayBound
qzpay_json_bound(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	QzpayBound	result;

	result.given = true;
	result.value = qzpay_json_decimal(value, place, key);
	if (result.value.coef < 0)
		qzpay_json_fault(place, key, "it is negative");
	return result;
}

int64
qzpay_json_integer(const JsonbValue *value, int64 low, int64 high, const QzpayJsonPlace *place, const char *key)
{
	QzpayDecimal number = qzpay_json_decimal(value, place, key);

	if (number.scale > 0 || number.coef < low || number.coef > high)
		qzpay_json_fault(place, key, psprintf("an integer from " INT64_FORMAT " to " INT64_FORMAT " is wanted", low, high));
	return (int64) number.coef;
}

/* One text, or an array of them. */
QzpayTextList
qzpay_json_list(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	QzpayTextList list = {true, 0, NULL};
	QzpayText  *items;
	JsonbContainer *array;

	if (value->type == jbvString)
	{
		items = palloc(sizeof(QzpayText));
		items[0] = qzpay_json_text(value, place, key);
		list.n = 1;
	}
	else
	{
		array = qzpay_json_container_of(value, true, place, key);
		list.n = JsonContainerSize(array);
		items = palloc(sizeof(QzpayText) * Max(list.n, 1));
		for (int i = 0; i < list.n; i++)
			items[i] = qzpay_json_text(getIthJsonbValueFromContainer(array, i), place, key);
	}
	list.items = items;
	return list;
}

QzpayInterval
qzpay_json_interval_named(QzpayText name, const QzpayJsonPlace *place, const char *key)
{
	QzpayInterval interval;

	if (qzpay_interval_parse(name.data, name.length, &interval.unit, &interval.count) != QZPAY_OK)
		qzpay_json_fault(place, key, "an interval such as \"month\" is wanted");
	return interval;
}

/* The first instant of a day in a zone, in microseconds since 1970. */
static int64
begin_of_day(const QzpayCivil *civil, int days, pg_tz *zone)
{
	QzpayCivil	day = *civil;
	struct pg_tm tm;

	/* Four-digit years have room for a day more. */
	(void) qzpay_civil_add(civil, QZPAY_UNIT_DAY, days, &day);
	memset(&tm, 0, sizeof(tm));
	tm.tm_year = day.year;
	tm.tm_mon = day.month;
	tm.tm_mday = day.day;
	return qzpay_civil_day_number(&day) * QZPAY_USEC_PER_CIVIL_DAY + DetermineTimeZoneOffset(&tm, zone) * USECS_PER_SEC;
}

/* An instant; of a date its first one, or (ends) the first one after it. */
int64
qzpay_json_instant(const JsonbValue *value, bool ends, const QzpayJsonPlace *place, const char *key)
{
	QzpayText	text = qzpay_json_text(value, place, key);
	QzpayInstant instant;

	if (qzpay_instant_parse(text.data, text.length, &instant) != QZPAY_OK)
		qzpay_json_fault(place, key, "an ISO 8601 instant with its zone, or a date, is wanted");
	return instant.is_date ? begin_of_day(&instant.civil, ends, place->zone) : instant.usec;
}

pg_tz *
qzpay_json_zone(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	QzpayText	text = qzpay_json_text(value, place, key);

	return qzpay_timezone_named(text.data, text.length);
}

QzpayLineKind
qzpay_json_kind_named(QzpayText name, const QzpayJsonPlace *place, const char *key)
{
	QzpayLineKind kind;

	if (qzpay_line_kind_parse(pnstrdup(name.data, name.length), &kind) != QZPAY_OK)
		qzpay_json_fault(place, key, psprintf("unknown kind of line \"%s\"", pnstrdup(name.data, Min(name.length, 64))));
	return kind;
}

