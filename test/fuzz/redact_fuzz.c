/*
 * redact_fuzz.c
 *		Redaction: of any text, nothing is left that would be found again; a card number made here is found wherever it is put.
 */
#include <stdbool.h>

#include "core/redact.h"
#include "fuzz.h"

#define TEXT_LONGEST 4096

/* Redact into memory of the exact size, so that a byte too many is seen; the caller frees it. */
static char *
redact(const char *text, size_t length, size_t *result)
{
	size_t		needed = qzpay_redact(text, length, NULL, 0);
	char	   *out = malloc(needed + 1);

	*result = qzpay_redact(text, length, out, needed + 1);
	FUZZ_CHECK(*result == needed && out[needed] == '\0');
	return out;
}

static void
check_text(const char *text, size_t length, size_t room)
{
	size_t		once_length;
	size_t		twice_length;
	char	   *once = redact(text, length, &once_length);
	char	   *twice = redact(once, once_length, &twice_length);
	char	   *cut = malloc(room + 1);

	FUZZ_CHECK(!qzpay_contains_pan(once, once_length));
	FUZZ_CHECK(twice_length == once_length && memcmp(once, twice, once_length) == 0);
	/* Without a card number or a secret, so without the words put in for them, it is the text. */
	if (memmem(once, once_length, QZPAY_REDACTED, strlen(QZPAY_REDACTED)) == NULL)
		FUZZ_CHECK(once_length == length && (length == 0 || memcmp(once, text, length) == 0));

	FUZZ_CHECK(qzpay_redact(text, length, cut, room) == once_length);
	if (room > 0)
	{
		size_t		fits = once_length < room ? once_length : room - 1;

		FUZZ_CHECK(memcmp(cut, once, fits) == 0 && cut[fits] == '\0');
	}
	free(cut);
	free(twice);
	free(once);
}

/*
 * Make a number of 16 digits with a prefix of Visa or Mastercard and the check digit that makes it one, in groups of four.  The check digit
 * is tried out, not computed as the code under test does: doubling is done by a table.
 */
static void
make_pan(FuzzInput *input, char out[20])
{
	static const int doubled[10] = {0, 2, 4, 6, 8, 1, 3, 5, 7, 9};
	char		separator = fuzz_byte(input) % 2 == 0 ? ' ' : '-';
	int			digit[16];
	int			n = 0;

	digit[0] = fuzz_byte(input) % 2 == 0 ? 4 : 5;
	digit[1] = 1 + fuzz_byte(input) % 5;
	for (int i = 2; i < 15; i++)
		digit[i] = fuzz_byte(input) % 10;
	for (digit[15] = 0; digit[15] < 10; digit[15]++)
	{
		int			sum = 0;

		for (int i = 0; i < 16; i += 2)
			sum += doubled[digit[i]] + digit[i + 1];
		if (sum % 10 == 0)
			break;
	}
	for (int i = 0; i < 16; i++)
	{
		if (i > 0 && i % 4 == 0)
			out[n++] = separator;
		out[n++] = (char) ('0' + digit[i]);
	}
	out[n] = '\0';
}

/*
 * Write a text of the pieces that matter, one for each byte of the input: by chance alone they hardly meet.
 */
static size_t
make_text(FuzzInput input, char *out, size_t room)
{
	static const char *const pieces[] = {
		"0", "1", "4", "5", "9", "41", "11", "99", "4111", "1111", " ", " ", "-", "-", "  ", " - ", "/", ".", "_", "x", "A", "a1",
		"4111111111111111", "5555 5555 5555 4444", "3782-822463-10005", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "41 11 11 11 11 11 11 11",
		"37 82 82 24 63 10 00 5", "4222222222222", "6205500000000000004", "550e8400-e29b-41d4-a716-446655440000",
		"49849680-0961-4f9f-8edf-a79c0b0a70f8", "4405745058567c51856a1ceee6f477f4", "sk_live_", "whsec_", "re_", "TEST-", "APP_USR-",
		"Bearer ", "basic ", "eyJ", "abcdefgh", "\xc2\xa0", "\xe2\x80\x93", "\n", "[redacted]"
	};
	size_t		n = 0;

	while (input.length > 0)
	{
		const char *piece = pieces[fuzz_byte(&input) % (sizeof(pieces) / sizeof(pieces[0]))];

		if (n + strlen(piece) > room)
			break;
		memcpy(out + n, piece, strlen(piece));
		n += strlen(piece);
	}
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	size_t		room = fuzz_byte(&input);
	char		pan[20];
	char		text[TEXT_LONGEST + 64];
	size_t		before;
	size_t		n = 0;

	make_pan(&input, pan);
	if (input.length > TEXT_LONGEST)
		input.length = TEXT_LONGEST;
	check_text((const char *) input.data, input.length, room);
	n = make_text(input, text, TEXT_LONGEST);
	check_text(text, n, room);

	/* The card number within the text; the signs around it keep it from being a part of something else. */
	before = input.length == 0 ? 0 : room % input.length;
	memcpy(text, input.data, before);
	n = before;
	n += (size_t) sprintf(text + n, ": %s ;", pan);
	memcpy(text + n, input.data + before, input.length - before);
	n += input.length - before;
	FUZZ_CHECK(qzpay_contains_pan(text, n));
	check_text(text, n, room);
	{
		size_t		redacted_length;
		char	   *redacted = redact(text, n, &redacted_length);

		/* Unless the noise holds the same number in a place where it is a part of something else. */
		if (memmem(input.data, input.length, pan + 15, 4) == NULL)
			FUZZ_CHECK(memmem(redacted, redacted_length, pan, strlen(pan)) == NULL);
		free(redacted);
	}
	return 0;
}
