/*
 * outcome_test.c
 *		What answers mean, when to ask again, and which addresses are public.
 */
#include <string.h>

#include "core/address.h"
#include "core/outcome.h"
#include "tap.h"

static void
test_classes(void)
{
	static const struct
	{
		int			status;
		QzpayAnswer answer;
	}			cases[] = {
		{0, QZPAY_ANSWER_UNKNOWN}, {100, QZPAY_ANSWER_UNKNOWN}, {199, QZPAY_ANSWER_UNKNOWN}, {200, QZPAY_ANSWER_READ}, {201, QZPAY_ANSWER_READ},
		{299, QZPAY_ANSWER_READ}, {301, QZPAY_ANSWER_UNKNOWN}, {307, QZPAY_ANSWER_UNKNOWN}, {400, QZPAY_ANSWER_REJECTED}, {401, QZPAY_ANSWER_PAUSE_LANE},
		{402, QZPAY_ANSWER_DECLINED}, {403, QZPAY_ANSWER_PAUSE_LANE}, {404, QZPAY_ANSWER_REJECTED}, {405, QZPAY_ANSWER_REJECTED}, {408, QZPAY_ANSWER_UNKNOWN},
		{409, QZPAY_ANSWER_RETRY}, {422, QZPAY_ANSWER_REJECTED}, {425, QZPAY_ANSWER_RETRY}, {429, QZPAY_ANSWER_RETRY}, {451, QZPAY_ANSWER_UNKNOWN},
		{500, QZPAY_ANSWER_UNKNOWN}, {502, QZPAY_ANSWER_UNKNOWN}, {503, QZPAY_ANSWER_UNKNOWN}, {599, QZPAY_ANSWER_UNKNOWN}, {-1, QZPAY_ANSWER_UNKNOWN}
	};
	size_t		i;
	int			definite = 0;
	int			status;
	QzpayTransport transport;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_text(qzpay_outcome_class_name(qzpay_outcome_class(QZPAY_TRANSPORT_OK, cases[i].status)),
				 qzpay_outcome_class_name(cases[i].answer), "status %d", cases[i].status);
	/* A status counts for nothing when the answer did not come whole. */
	for (transport = QZPAY_TRANSPORT_TIMEOUT; transport <= QZPAY_TRANSPORT_INVALID; transport++)
	{
		for (status = 0; status < 600; status++)
			definite += qzpay_outcome_class(transport, status) != QZPAY_ANSWER_UNKNOWN;
	}
	tap_int(definite, 0, "nothing but a whole answer is definite");
	tap_int(qzpay_outcome_class(QZPAY_TRANSPORT_NOT_SENT, 200), QZPAY_ANSWER_NOT_SENT, "not sent");
}

static void
test_names(void)
{
	QzpayTransport transport;
	QzpayTransport parsed;
	int			wrong = 0;

	for (transport = QZPAY_TRANSPORT_OK; transport <= QZPAY_TRANSPORT_INVALID; transport++)
		wrong += !qzpay_outcome_transport_parse(qzpay_outcome_transport_name(transport), &parsed) || parsed != transport;
	tap_int(wrong, 0, "every transport is found by its name");
	tap_ok(!qzpay_outcome_transport_parse("OK", &parsed), "no transport OK");
	tap_ok(!qzpay_outcome_transport_parse("", &parsed), "no transport without a name");
}

static void
test_retry_after(void)
{
	/* 1994-11-06 08:49:37 UTC, the example of RFC 9110 */
	const int64_t example = 784111777;

	tap_int(qzpay_outcome_retry_after("0", 0), 0, "at once");
	tap_int(qzpay_outcome_retry_after("120", 0), 120, "seconds");
	tap_int(qzpay_outcome_retry_after("86401", 0), QZPAY_RETRY_AFTER_MAX, "at most a day");
	tap_int(qzpay_outcome_retry_after("99999999999999999999999999", 0), QZPAY_RETRY_AFTER_MAX, "however many digits");
	tap_int(qzpay_outcome_retry_after("12a", 0), -1, "no number");
	tap_int(qzpay_outcome_retry_after("", 0), -1, "nothing");
	tap_int(qzpay_outcome_retry_after("-5", 0), -1, "negative");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", example - 60), 60, "a date");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", example + 60), 0, "a date that is past");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 0), QZPAY_RETRY_AFTER_MAX, "a date far ahead");
	tap_int(qzpay_outcome_retry_after("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800 - 1), 1, "a leap day");
	tap_int(qzpay_outcome_retry_after("Fri, 01 Mar 2024 00:00:00 GMT", 1709251200 - 7), 7, "the day after");
	tap_int(qzpay_outcome_retry_after("Fri, 31 Dec 1999 23:59:60 GMT", 946684800 - 3), 3, "a leap second");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nov 1994 08:49:37", 0), -1, "no zone");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nov 1994 08:49:37 GMT ", 0), -1, "something behind");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nox 1994 08:49:37 GMT", 0), -1, "no such month");
	tap_int(qzpay_outcome_retry_after("Sun, 32 Nov 1994 08:49:37 GMT", 0), -1, "no such day");
	tap_int(qzpay_outcome_retry_after("Sun, 06 Nov 1994 24:49:37 GMT", 0), -1, "no such hour");
	tap_int(qzpay_outcome_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", 0), -1, "an obsolete form");
	tap_int(qzpay_outcome_retry_after("Sun", 0), -1, "too short");
}

static void
test_lookup_delay(void)
{
	int64_t		sum = 0;
	int			n = 0;

	tap_int(qzpay_outcome_lookup_delay(-1), 30, "the first, whatever the count");
	tap_int(qzpay_outcome_lookup_delay(0), 30, "30 seconds");
	tap_int(qzpay_outcome_lookup_delay(1), 120, "2 minutes");
	tap_int(qzpay_outcome_lookup_delay(2), 600, "10 minutes");
	tap_int(qzpay_outcome_lookup_delay(3), 3600, "an hour");
	tap_int(qzpay_outcome_lookup_delay(4), 21600, "6 hours");
	while (qzpay_outcome_lookup_delay(n) >= 0)
		sum += qzpay_outcome_lookup_delay(n++);
	tap_int(sum / 86400, 7, "until day 7");
	tap_int(qzpay_outcome_lookup_delay(1000), -1, "then a person");
}

/* Whether an IPv4 address is public. */
static bool
v4(int a, int b, int c, int d)
{
	uint8_t		address[4] = {(uint8_t) a, (uint8_t) b, (uint8_t) c, (uint8_t) d};

	return qzpay_address_v4_is_global(address);
}

/* Whether the IPv6 address that begins with these bytes is public. */
static bool
v6(int a, int b, int c, int d)
{
	uint8_t		address[16] = {(uint8_t) a, (uint8_t) b, (uint8_t) c, (uint8_t) d};

	return qzpay_address_v6_is_global(address);
}

static void
test_addresses(void)
{
	uint8_t		mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1};
	uint8_t		loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

	tap_ok(v4(8, 8, 8, 8) && v4(1, 1, 1, 1) && v4(172, 15, 255, 255) && v4(172, 32, 0, 0) && v4(100, 63, 0, 1) && v4(100, 128, 0, 1) && v4(223, 255, 255, 255),
		   "public IPv4");
	tap_ok(!v4(0, 0, 0, 0) && !v4(10, 1, 2, 3) && !v4(100, 64, 0, 1) && !v4(127, 0, 0, 1) && !v4(127, 255, 255, 255) && !v4(169, 254, 169, 254),
		   "own network, private, shared, loopback, link-local");
	tap_ok(!v4(172, 16, 0, 1) && !v4(172, 31, 255, 255) && !v4(192, 168, 0, 1) && !v4(192, 0, 0, 1) && !v4(192, 0, 2, 1) && !v4(192, 88, 99, 1),
		   "more private and special");
	tap_ok(!v4(198, 18, 0, 1) && !v4(198, 19, 255, 255) && !v4(198, 51, 100, 1) && !v4(203, 0, 113, 1) && !v4(224, 0, 0, 1) && !v4(240, 0, 0, 1) && !v4(255, 255, 255, 255),
		   "benchmarks, documentation, multicast, reserved, broadcast");
	tap_ok(v6(0x2A, 0x00, 0x14, 0x50) && v6(0x20, 0x01, 0x48, 0x60) && v6(0x26, 0x06, 0, 0), "public IPv6");
	tap_ok(!v6(0xFE, 0x80, 0, 0) && !v6(0xFC, 0, 0, 0) && !v6(0xFD, 0, 0, 0) && !v6(0xFF, 2, 0, 0) && !v6(0, 0x64, 0xFF, 0x9B),
		   "link-local, unique local, multicast, translated");
	tap_ok(!v6(0x20, 0x01, 0, 0) && !v6(0x20, 0x01, 0x0D, 0xB8) && !v6(0x20, 0x02, 0x7F, 0) && !v6(0x3F, 0xFF, 0x01, 0), "tunnels and documentation");
	tap_ok(!qzpay_address_v6_is_global(mapped) && !qzpay_address_v6_is_global(loopback), "mapped IPv4 and loopback");
}

int
main(void)
{
	test_classes();
	test_names();
	test_retry_after();
	test_lookup_delay();
	test_addresses();
	return tap_done();
}
