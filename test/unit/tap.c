/*
 * tap.c
 *		What a unit test says, in the Test Anything Protocol.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"

static int	checks = 0;
static int	failures = 0;

/* One line for a check; the number comes first, so that a crash shows how far it went. */
static void
report(bool passed, const char *name, va_list args)
{
	checks++;
	if (!passed)
		failures++;
	printf("%sok %d - ", passed ? "" : "not ", checks);
	vprintf(name, args);
	putchar('\n');
	fflush(stdout);
}

/* The condition holds. */
bool
tap_ok(bool passed, const char *name,...)
{
	va_list		args;

	va_start(args, name);
	report(passed, name, args);
	va_end(args);
	return passed;
}

/* Two integers, codes or enum values are equal. */
bool
tap_int(int64_t got, int64_t expected, const char *name,...)
{
	va_list		args;

	va_start(args, name);
	report(got == expected, name, args);
	va_end(args);
	if (got != expected)
		printf("#      got: %" PRId64 "\n# expected: %" PRId64 "\n", got, expected);
	return got == expected;
}

/* Two texts are equal; NULL equals only NULL. */
bool
tap_text(const char *got, const char *expected, const char *name,...)
{
	bool		passed = got == NULL || expected == NULL ? got == expected : strcmp(got, expected) == 0;
	va_list		args;

	va_start(args, name);
	report(passed, name, args);
	va_end(args);
	if (!passed)
		printf("#      got: %s\n# expected: %s\n", got == NULL ? "(null)" : got, expected == NULL ? "(null)" : expected);
	return passed;
}

/* Bytes are those written as lower-case hexadecimal digits. */
bool
tap_bytes(const void *got, const char *expected_hex, const char *name,...)
{
	const unsigned char *bytes = got;
	bool		passed = true;
	va_list		args;

	for (size_t i = 0; i < strlen(expected_hex) / 2; i++)
	{
		char		pair[3];

		snprintf(pair, sizeof(pair), "%02x", bytes[i]);
		passed = passed && memcmp(pair, expected_hex + 2 * i, 2) == 0;
	}
	va_start(args, name);
	report(passed, name, args);
	va_end(args);
	if (!passed)
	{
		printf("#      got: ");
		for (size_t i = 0; i < strlen(expected_hex) / 2; i++)
			printf("%02x", bytes[i]);
		printf("\n# expected: %s\n", expected_hex);
	}
	return passed;
}

/* A remark. */
void
tap_note(const char *text,...)
{
	va_list		args;

	printf("# ");
	va_start(args, text);
	vprintf(text, args);
	va_end(args);
	putchar('\n');
}

/* The plan; the exit status of the program. */
int
tap_done(void)
{
	printf("1..%d\n", checks);
	return failures == 0 && checks > 0 ? 0 : 1;
}
