/*
 * json_reader.h
 *		Members of JSON objects, checked as they are read; a fault is an error that names the place.
 */
#ifndef QZPAY_SQLFN_JSON_READER_H
#define QZPAY_SQLFN_JSON_READER_H

#include "pgtime.h"
#include "utils/jsonb.h"

#include "core/discount.h"

/* Where a member stands, for messages: "discount 3". */
typedef struct QzpayJsonPlace
{
	const char *what;
	int			n;				/* 1-based; 0: there is only one */
	pg_tz	   *zone;			/* of dates */
} QzpayJsonPlace;

extern void qzpay_json_fault(const QzpayJsonPlace *place, const char *key, const char *message) pg_attribute_noreturn();
extern char *qzpay_json_shown(const JsonbValue *key);
extern JsonbContainer *qzpay_json_container_of(const JsonbValue *value, bool array, const QzpayJsonPlace *place, const char *key);
extern bool qzpay_json_next_member(JsonbIterator **iterator, JsonbValue *key, JsonbValue *value);
extern bool qzpay_json_is_key(const JsonbValue *key, const char *name);
extern QzpayText qzpay_json_text(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern char *qzpay_json_word(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern bool qzpay_json_bool(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern QzpayDecimal qzpay_json_decimal(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern QzpayBound qzpay_json_bound(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern int64 qzpay_json_integer(const JsonbValue *value, int64 low, int64 high, const QzpayJsonPlace *place, const char *key);
extern QzpayTextList qzpay_json_list(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern QzpayInterval qzpay_json_interval_named(QzpayText name, const QzpayJsonPlace *place, const char *key);
extern int64 qzpay_json_instant(const JsonbValue *value, bool ends, const QzpayJsonPlace *place, const char *key);
extern pg_tz *qzpay_json_zone(const JsonbValue *value, const QzpayJsonPlace *place, const char *key);
extern QzpayLineKind qzpay_json_kind_named(QzpayText name, const QzpayJsonPlace *place, const char *key);

#endif							/* QZPAY_SQLFN_JSON_READER_H */
