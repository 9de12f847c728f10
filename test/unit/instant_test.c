/*
 * instant_test.c
 *		Instants and dates of JSON documents.
 */
#include <string.h>

#include "core/instant.h"
#include "tap.h"

#define SECOND INT64_C(1000000)

static void
reads(const char *text, int64_t usec)
{
	QzpayInstant instant;

	if (tap_int(qzpay_instant_parse(text, strlen(text), &instant), QZPAY_OK, "%s is read", text))
	{
		tap_ok(!instant.is_date, "%s is an instant", text);
		tap_int(instant.usec, usec, "%s", text);
	}
}

static void
refuses(const char *text)
{
	QzpayInstant instant;

	tap_int(qzpay_instant_parse(text, strlen(text), &instant), QZPAY_E_INVALID, "\"%s\" is refused", text);
}

int
main(void)
{
	static const char *const wrong[] = {
		"", "2025", "2025-", "2025-6-02", "2025-06", "2025-06-2", "25-06-02", "2025/06/02", "2025-13-01", "2025-00-01", "2025-02-29", "2025-06-00",
		"0000-01-01", "2025-06-02T", "2025-06-02T09", "2025-06-02T09:30", "2025-06-02T09:30:00", "2025-06-02T24:00Z", "2025-06-02T09:60Z",
		"2025-06-02T09:30:60Z", "2025-06-02T09:30:00.Z", "2025-06-02T09:30:00.1234567Z", "2025-06-02T09:30Zx", "2025-06-02T09:30z",
		"2025-06-02T09:30+", "2025-06-02T09:30+3", "2025-06-02T09:30+16", "2025-06-02T09:30+03:60", "2025-06-02T09:30+03:6", "2025-06-02T9:30Z",
		"2025-06-02X09:30Z", "2025-06-02 ", " 2025-06-02", "infinity", "2025-06-02T-1:00Z", "2025-06-02T09:30:0Z"
	};
	QzpayInstant instant;

	reads("1970-01-01T00:00Z", 0);
	reads("1970-01-02T00:00:01Z", 86401 * SECOND);
	reads("1969-12-31T23:59:59.999999Z", -1);
	reads("2026-01-05T09:00:00+00:00", INT64_C(1767603600) * SECOND);
	reads("2026-01-05 06:00:00-03", INT64_C(1767603600) * SECOND);
	reads("2026-01-05T14:30+0530", INT64_C(1767603600) * SECOND);
	reads("2026-01-05T09:00:00.5Z", INT64_C(1767603600) * SECOND + 500000);
	reads("2026-01-05T09:00:00.000001Z", INT64_C(1767603600) * SECOND + 1);
	tap_int(qzpay_instant_parse("2024-02-29", 10, &instant), QZPAY_OK, "a leap day");
	tap_ok(instant.is_date && instant.civil.usec_of_day == 0, "is a date");
	tap_int(instant.civil.day, 29, "with its day");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refuses(wrong[i]);
	return tap_done();
}
