/*
 * redact_test.c
 *		Card numbers and secrets within free text: what is found, and what is left alone.
 *
 * The card numbers are those that schemes and processors publish for tests.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/redact.h"
#include "tap.h"

static const char *const pans[] = {
	"4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556", "4222222222222",	/* Visa */
	"5555555555554444", "5105105105105100", "2223003122003222", "5031755734530604",	/* Mastercard */
	"378282246310005", "371449635398431", "375365153556885",	/* American Express */
	"30569309025904", "38520000023237", "36227206271667",	/* Diners */
	"6011111111111117", "6011000990139424",	/* Discover */
	"3530111333300000", "3566002020360505", /* JCB */
	"6200000000000005", "6205500000000000004",	/* UnionPay, of 16 and 19 digits */
	"6304000000000000", "6759649826438453", /* Maestro */
	"5067310000000010",			/* Elo */
	"6062826786276634",			/* Hipercard */
	"2200000000000004",			/* Mir */
};

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

static bool
contains(const char *text)
{
	return qzpay_contains_pan(text, strlen(text));
}

/* Write a number in groups: the sizes repeat their last digit until the number ends. */
static void
in_groups(const char *number, const char *sizes, const char *separator, char *out)
{
	int			left = *sizes - '0';

	for (; *number != '\0'; number++)
	{
		if (left == 0)
		{
			strcpy(out, separator);
			out += strlen(separator);
			if (sizes[1] != '\0')
				sizes++;
			left = *sizes - '0';
		}
		*out++ = *number;
		left--;
	}
	*out = '\0';
}

static void
test_pans_in_all_writings(void)
{
	static const char *const separators[] = {
		" ", "-", "  ", " - ", "--", "\xc2\xa0", "\xe2\x80\x93", "\xe2\x80\x91", "\xe2\x80\x87", "\xe2\x80\xaf", " \xe2\x80\x94 "
	};
	static const char *const sizes[] = {"4", "46", "8", "69", "1", "2"};
	static const char *const frames[] = {
		"%s", "card %s ok", "n\xc2\xba%s.", "{\"pan\":\"%s\"}", "x%sx", "2024 %s",
		"%s 12/28 123", "12/28 %s", "1/2/28-%s-1/2/28", "1,%s,2", "\n%s\n"
	};
	char		written[128];
	char		text[256];
	size_t		missed = 0;
	size_t		survived = 0;
	size_t		tried = 0;

	for (size_t p = 0; p < COUNT(pans); p++)
	{
		tap_ok(contains(pans[p]), "%s is found", pans[p]);
		for (size_t f = 0; f < COUNT(frames); f++)
			for (size_t s = 0; s <= COUNT(separators) * COUNT(sizes); s++)
			{
				char		out[256];

				if (s == COUNT(separators) * COUNT(sizes))
					strcpy(written, pans[p]);
				else
					in_groups(pans[p], sizes[s / COUNT(separators)], separators[s % COUNT(separators)], written);
				snprintf(text, sizeof(text), frames[f], written);
				tried++;
				if (!contains(text))
				{
					missed++;
					tap_note("missed: %s", text);
				}
				qzpay_redact(text, strlen(text), out, sizeof(out));
				if (strstr(out, written) != NULL || contains(out) || strstr(out, QZPAY_REDACTED) == NULL)
				{
					survived++;
					tap_note("survived: %s as %s", text, out);
				}
			}
	}
	tap_ok(tried > 200, "%zu writings tried", tried);
	tap_int((int64_t) missed, 0, "none is missed");
	tap_int((int64_t) survived, 0, "none survives redaction");
}

static void
test_no_pans(void)
{
	static const struct
	{
		const char *text;
		const char *name;
	}			cases[] = {
		{"", "nothing"},
		{"4111111111111112", "wrong check digit"},
		{"411111111111", "12 digits"},
		{"41111111111111111111", "20 digits"},
		{"00000000000000000000", "zeros"},
		{"0000000000000000", "zeros of the right number"},
		{"9999999999999995", "a check digit that fits, but no scheme"},
		{"1234567812345670", "no scheme either"},
		{"378282246310005000000", "a card number within a longer one"},
		{"41111111111114", "Visa has no 14 digits"},
		{"0.4111111111111111", "decimals"},
		{"-3.4111111111111111", "decimals of a negative number"},
		{"4111 1111-1111 1111", "gaps of two kinds"},
		{"4111.1111.1111.1111", "points"},
		{"4111/1111/1111/1111", "slashes"},
		{"4111\n1111\n1111\n1111", "a column of numbers"},
		{"4111    1111    1111    1111", "numbers in columns"},
		{"411 111 111 111 111 1", "groups of three"},
		{"41 1111 1111 1111 11", "groups that start small"},
		{"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 9", "part of a series of digits"},
		{"9 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "the end of a series of digits"},
		{"4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 9 9 9 9 9", "a series of too many digits"},
		{"41 11 11 11 11 11 11 11 99", "part of a series of pairs"},
		{"99 41 11 11 11 11 11 11 11", "the end of a series of pairs"},
		{"41 11 11 11 11 11 11 1111", "pairs, then more"},
		{"2026-11-21 05:31:27.123456+00", "a timestamp"},
		{"20261121053127123", "a timestamp of digits"},
		{"1700000060123", "milliseconds"},
		{"1700000060123456", "microseconds"},
		{"550e8400-e29b-41d4-a716-446655440000", "a UUID"},
		{"49849680-0961-4f9f-8edf-a79c0b0a70f8", "a UUID that begins like a card number"},
		{"cus_49849680-0961-4f9f-8edf-a79c0b0a70f8", "the same with a prefix"},
		{"41111111-1111-1111-1111-111111111111", "a UUID of digits"},
		{"4405745058567c51856a1ceee6f477f4", "a digest with a card number in it"},
		{"+54 11 4444-5555 / +598 99 123 456", "telephone numbers"},
		{"pi_3MtwBwLkdIwHu7ix28a3tqPa", "an id of a payment"},
		{"411111111111111\xd9\xa1", "digits of another script"},
		{"4111\xe2\x80", "a cut character behind digits"},
		{"4111\xe2\x80\x96" "1111\xe2\x80\x96" "1111\xe2\x80\x96" "1111", "another sign between"},
		{"4111-", "a separator at the end"},
		{"4111 1111 1111 ", "groups and an end"},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		char		out[128];

		tap_ok(!contains(cases[i].text), "no card number: %s", cases[i].name);
		qzpay_redact(cases[i].text, strlen(cases[i].text), out, sizeof(out));
		tap_text(out, cases[i].text, "left alone: %s", cases[i].name);
	}
	tap_ok(!qzpay_contains_pan(NULL, 0), "no text at all");
	tap_ok(qzpay_contains_pan("a\0" "4111111111111111", 18), "a zero byte ends nothing");
	tap_ok(!qzpay_contains_pan("4111111111111111", 15), "but the length does");
	tap_ok(contains("4 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1") == false, "one digit more in front");
	tap_ok(contains("49849680-0961-4f9f-8edf-a79c0b0a70f"), "what is shorter than a UUID is looked at");
	tap_ok(contains("49849680-0961-4f9f-8edf-a79c0b0a70f8a"), "what is longer too");
	tap_ok(contains("x49849680-0961-4f9f-8edf-a79c0b0a70f8"), "and what does not start a word");
	tap_ok(contains("4405745058567c51856a1ceee6f477f"), "and what is shorter than a digest");
	tap_ok(contains("49849680-0961-4f9f-8edf-a79c0b0a70f84111111111111111"), "a card number glued to a UUID");
	tap_ok(contains("49849680-0961-4f9f-8edf-a79c0b0a70f8 4111111111111111"), "a card number behind a UUID");
	tap_ok(contains("7-4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"), "a digit before, by another gap");
	tap_ok(contains("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1-7"), "a digit behind, by another gap");
	tap_ok(contains("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 123"), "a number behind");
	tap_ok(contains("12 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"), "a number before");
}

/* A generator of random numbers good enough for tests, the same on every machine (splitmix64). */
static uint64_t state = 20261121;

static uint64_t
next_random(void)
{
	uint64_t	z = (state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* What people and programs really put into such fields. */
static void
benign(int kind, char *out, size_t size)
{
	uint64_t	a = next_random();
	uint64_t	b = next_random();
	int			d[6];

	for (int i = 0; i < 6; i++)
		d[i] = (int) (next_random() % 10000);
	switch (kind)
	{
		case 0:
			snprintf(out, size, "%08x-%04x-4%03x-8%03x-%012" PRIx64, (unsigned) (a >> 32), d[0], d[1] % 4096, d[2] % 4096, b >> 16);
			break;
		case 1:
			snprintf(out, size, "2026-%02d-%02dT%02d:%02d:%02d.%04d00Z", d[0] % 12 + 1, d[1] % 28 + 1, d[2] % 24, d[3] % 60, d[4] % 60, d[5]);
			break;
		case 2:
			snprintf(out, size, "+54 9 11 %04d-%04d, +598 %d %03d %03d", d[0], d[1], d[2] % 90 + 10, d[3] % 1000, d[4] % 1000);
			break;
		case 3:
			snprintf(out, size, "%" PRIu64, UINT64_C(1700000000000000) + a % UINT64_C(100000000000000));
			break;
		case 4:
			snprintf(out, size, "Factura A-%04d-%08d, CUIT 30-%08d-%d", d[0], (int) (a % 100000000), (int) (b % 100000000), d[1] % 10);
			break;
		case 5:
			snprintf(out, size, "%d.%04d%04d%04d%04d", d[0] % 10, d[1], d[2], d[3], d[4]);
			break;
		case 6:
			snprintf(out, size, "%016" PRIx64 "%016" PRIx64, a, b);
			break;
		case 7:
			snprintf(out, size, "%d.%d.%d.%d:%d %d ms %d bytes", d[0] % 256, d[1] % 256, d[2] % 256, d[3] % 256, d[4], d[5], (int) (a % 1000000));
			break;
		case 8:
			snprintf(out, size, "%d x %d.%02d = %d,%03d.%02d USD", d[0] % 100, d[1], d[2] % 100, d[3], d[4] % 1000, d[5] % 100);
			break;
		default:
			snprintf(out, size, "project %d, room %d-%d, %d users, code %04d %04d", d[0], d[1] % 100, d[2] % 100, d[3], d[4], d[5]);
			break;
	}
}

static void
test_benign_values(void)
{
	char		text[128];
	int			refused = 0;
	const int	tried = 100000;

	for (int i = 0; i < tried; i++)
	{
		benign(i % 10, text, sizeof(text));
		if (contains(text))
		{
			if (refused < 20)
				tap_note("refused: %s", text);
			refused++;
		}
	}
	tap_note("%d of %d refused", refused, tried);
	tap_ok(refused * 1000 < tried, "less than 0.1 %% of values without a card number are refused");
}

static void
test_secrets(void)
{
	static const struct
	{
		const char *text;
		const char *expected;
	}			cases[] = {
		{"STRIPE_SECRET_KEY=sk_live_51HxAbC", "STRIPE_SECRET_KEY=sk_live_[redacted]"},
		{"sk_test_xxx", "sk_test_[redacted]"},
		{"rk_live_abc rk_test_abc", "rk_live_[redacted] rk_test_[redacted]"},
		{"whsec_abc+/=", "whsec_[redacted]"},
		{"\"APP_USR-7243-112105-ab\"", "\"APP_USR-[redacted]\""},
		{"TEST-7243981-112105-abcdef", "TEST-[redacted]"},
		{"key re_8fXz2kLq_A7bC9dE1fG2h", "key re_[redacted]"},
		{"Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted]"},
		{"BEARER abcdef", "BEARER [redacted]"},
		{"bearer ABCDEF, next", "bearer [redacted], next"},
		{"basic dXNlcjpwYXNz", "basic [redacted]"},
		{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJ[redacted]"},
		{"The key is sk_live_abc.", "The key is sk_live_[redacted]."},
		{"Bearer abc.def...", "Bearer [redacted]..."},
		{"keysk_live_51HxAbCdEfGhIjKl", "keysk_live_[redacted]"},
		{"sk_live_abc,sk_live_def", "sk_live_[redacted],sk_live_[redacted]"},
		{"4111111111111111 sk_live_abc 5555-5555-5555-4444", "[redacted] sk_live_[redacted] [redacted]"},
		{"4111 1111 1111 1111 5555 5555 5555 4444", "[redacted] [redacted]"},
		{"6205500000000000004", "[redacted]"},
		{"sk_live_4111111111111111", "sk_live_[redacted]"},
		{"4111111111111111.5555555555554444", "[redacted].[redacted]"},
		{"task_live_view", "task_live_view"},
		{"sk_live_", "sk_live_"},
		{"sk_liv", "sk_liv"},
		{"whsec_ab", "whsec_ab"},
		{"pk_live_51HxAbCdEf", "pk_live_51HxAbCdEf"},
		{"re_establish_connection_again", "re_establish_connection_again"},
		{"are_8fXz2kLq_A7bC9dE1fG2h", "are_8fXz2kLq_A7bC9dE1fG2h"},
		{"re_8fXz", "re_8fXz"},
		{"TEST-driven development", "TEST-driven development"},
		{"bearer of bad news", "bearer of bad news"},
		{"basic principles", "basic principles"},
		{"basicprinciples1", "basicprinciples1"},
		{"Hey, eyJust look", "Hey, eyJust look"},
		{"", ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
	{
		char		out[256];
		char		again[256];
		size_t		length = qzpay_redact(cases[i].text, strlen(cases[i].text), out, sizeof(out));

		tap_text(out, cases[i].expected, "%s", cases[i].expected);
		tap_int((int64_t) length, (int64_t) strlen(cases[i].expected), "its length");
		qzpay_redact(out, length, again, sizeof(again));
		tap_text(again, out, "stays as it is");
	}
}

static void
test_capacity(void)
{
	static const char text[] = "a sk_live_abc b";
	static const char whole[] = "a sk_live_[redacted] b";
	char		out[64];

	tap_int((int64_t) qzpay_redact(text, strlen(text), NULL, 0), (int64_t) strlen(whole), "without room it only measures");
	for (size_t capacity = 1; capacity <= sizeof(whole) + 1; capacity++)
	{
		size_t		fits = capacity - 1 < strlen(whole) ? capacity - 1 : strlen(whole);

		memset(out, '#', sizeof(out));
		tap_int((int64_t) qzpay_redact(text, strlen(text), out, capacity), (int64_t) strlen(whole), "the length in a room of %zu", capacity);
		tap_ok(memcmp(out, whole, fits) == 0 && out[fits] == '\0' && out[fits + 1] == '#', "what fits, and a zero byte");
	}
	tap_int((int64_t) qzpay_redact("a\0sk_live_abc", 13, out, sizeof(out)), 20, "a zero byte ends nothing");
	tap_ok(memcmp(out, "a\0sk_live_[redacted]", 21) == 0, "and is kept");
}

/* Texts made to cost much: a look from every place to the end would take minutes. */
static void
test_long_texts(void)
{
	static char text[1 << 20];
	static char out[1 << 21];
	static const char *const pieces[] = {"re_-", "sk_live_", "eyJ-", "Bearer ...", "4111-1111-1111-", "4 1 1 ", "41 11 ", "4", "    -"};

	for (size_t i = 0; i < COUNT(pieces); i++)
	{
		for (size_t j = 0; j < sizeof(text); j++)
			text[j] = pieces[i][j % strlen(pieces[i])];
		tap_ok(!qzpay_contains_pan(text, sizeof(text)), "a megabyte of \"%s\" is looked through", pieces[i]);
		tap_ok(qzpay_redact(text, sizeof(text), out, sizeof(out)) < sizeof(out), "and redacted");
	}
}

int
main(void)
{
	test_pans_in_all_writings();
	test_no_pans();
	test_benign_values();
	test_secrets();
	test_capacity();
	test_long_texts();
	return tap_done();
}
