/*
 * redact.c
 *		Card numbers and secrets in free text.
 *
 * A card number (PAN) is looked for as people and programs write it: 13 to 19 digits, in one piece or in groups of up to 7 with a blank
 * or a dash between them, that pass the Luhn check and begin and measure as some network's numbers do (ISO/IEC 7812).  The last two keep
 * other long numbers out: order numbers, telephone numbers, microseconds, the groups of a UUID.  Bytes beyond ASCII are never digits, so
 * any encoding that contains ASCII will do.
 */
#include "core/redact.h"

#include <stdint.h>
#include <string.h>

#define PAN_MIN 13
#define PAN_MAX 19
#define GROUP_MAX 7				/* digits of one group, where there are several */

#define SECRET_MIN 10			/* characters behind the prefix; what stands for them is no longer than that */

static const char card_mark[] = "[card]";
static const char secret_mark[] = "[redacted]";

/* Prefixes by which providers mark their secrets. */
static const char *const secret_prefixes[] = {
	"sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "APP_USR-", "TEST-", "re_"
};

/* Schemes of HTTP authentication, any case. */
static const char *const schemes[] = {"bearer ", "basic "};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Characters of a token, base64 in both alphabets included. */
static bool
is_secret(char c)
{
	return is_word(c) || (c != '\0' && strchr("-.~+/=", c) != NULL);
}

/* Sum of the digits, every second one from the right doubled, divisible by 10. */
static bool
passes_luhn(const char *digits, int n)
{
	int			sum = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		int			value = digits[n - 1 - i] - '0';

		if (i % 2 == 1)
			value = value > 4 ? value * 2 - 9 : value * 2;
		sum += value;
	}
	return sum % 10 == 0;
}

/* Whether a network issues numbers that begin like this and are this long. */
static bool
is_issued(const char *digits, int n)
{
	int			four = (digits[0] - '0') * 1000 + (digits[1] - '0') * 100 + (digits[2] - '0') * 10 + (digits[3] - '0');
	int			two = four / 100;

	if (two / 10 == 4)
		return n == 13 || n == 16 || n == 19;	/* Visa */
	if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))
		return n == 16;			/* Mastercard */
	if (two == 34 || two == 37)
		return n == 15;			/* American Express */
	if ((four >= 3000 && four <= 3059) || four == 3095 || two == 36 || two == 38 || two == 39)
		return n == 14 || n == 16;	/* Diners Club */
	if (four >= 3528 && four <= 3589)
		return n >= 16;			/* JCB */
	if (four == 6011 || (four >= 6440 && four <= 6499) || two == 65 || two == 62)
		return n >= 16;			/* Discover, UnionPay */
	return two == 50 || (two >= 56 && two <= 69);	/* Maestro and its kin, 13 to 19 */
}

/* A number's fraction or whole part: 0.4111…, 4111….25 */
static bool
touches_point(const char *text, size_t length, size_t start, size_t end)
{
	if (start >= 2 && text[start - 1] == '.' && is_digit(text[start - 2]))
		return true;
	return end + 1 < length && text[end] == '.' && is_digit(text[end + 1]);
}

/*
 * find_pan
 *		The first card number at or after *start, as [*start, *end).
 *
 * Tries every group of digits as the first one, and for each as many further groups as stay within the length.
 */
static bool
find_pan(const char *text, size_t length, size_t *start, size_t *end)
{
	size_t		at = *start;

	while (at < length)
	{
		char		digits[PAN_MAX];
		int			n = 0;
		int			groups = 0;
		size_t		next = at;
		size_t		first_end = at;

		if (!is_digit(text[at]) || (at > 0 && is_digit(text[at - 1])))
		{
			at++;
			continue;
		}
		while (next < length && is_digit(text[next]))
		{
			int			group = 0;

			while (next < length && is_digit(text[next]))
			{
				if (n < PAN_MAX)
					digits[n] = text[next];
				n++;
				group++;
				next++;
			}
			groups++;
			if (groups == 1)
				first_end = next;
			if (n > PAN_MAX || (group > GROUP_MAX && groups > 1))
				break;
			if (n >= PAN_MIN && is_issued(digits, n) && passes_luhn(digits, n) && !touches_point(text, length, at, next))
			{
				*start = at;
				*end = next;
				return true;
			}
			if (group > GROUP_MAX || next + 1 >= length || (text[next] != ' ' && text[next] != '-') || !is_digit(text[next + 1]))
				break;
			next++;
		}
		at = first_end;
	}
	return false;
}

/*
 * qzpay_contains_pan
 *		Whether the text holds what passes for a card number.
 */
bool
qzpay_contains_pan(const char *text, size_t length)
{
	size_t		start = 0;
	size_t		end;

	return find_pan(text, length, &start, &end);
}

/* Whether the prefix stands at this place, ASCII case ignored where asked; length of it, or 0. */
static size_t
prefix_at(const char *text, size_t length, const char *prefix, bool any_case)
{
	size_t		i;

	for (i = 0; prefix[i] != '\0'; i++)
	{
		char		c;

		if (i >= length)
			return 0;
		c = text[i];
		if (any_case && c >= 'A' && c <= 'Z')
			c = (char) (c - 'A' + 'a');
		if (c != prefix[i])
			return 0;
	}
	return i;
}

/* A secret at this place: length of the part that may stay, and of what is to go; false when there is none. */
static bool
secret_at(const char *text, size_t length, size_t at, size_t *kept, size_t *hidden)
{
	size_t		i;

	if (at > 0 && is_word(text[at - 1]))
		return false;
	*kept = 0;
	for (i = 0; *kept == 0 && i < sizeof(secret_prefixes) / sizeof(secret_prefixes[0]); i++)
		*kept = prefix_at(text + at, length - at, secret_prefixes[i], false);
	for (i = 0; *kept == 0 && i < sizeof(schemes) / sizeof(schemes[0]); i++)
		*kept = prefix_at(text + at, length - at, schemes[i], true);
	if (*kept == 0)
		return false;
	*hidden = 0;
	while (at + *kept + *hidden < length && is_secret(text[at + *kept + *hidden]))
		(*hidden)++;
	return *hidden >= SECRET_MIN;
}

/* Appends as much as there is room for. */
static void
append(char *out, size_t capacity, size_t *used, const char *text, size_t length)
{
	if (length > capacity - *used)
		length = capacity - *used;
	if (length > 0)
		memcpy(out + *used, text, length);
	*used += length;
}

/*
 * qzpay_redact
 *		Copies a text with card numbers and secrets replaced; returns the length of the copy.
 *
 * The prefix of a secret stays, so that a reader sees what kind it was.  The copy is never longer than the text, is not terminated, and is
 * cut where capacity is less.
 */
size_t
qzpay_redact(const char *text, size_t length, char *out, size_t capacity)
{
	size_t		used = 0;
	size_t		at = 0;
	size_t		pan = 0;
	size_t		pan_end = 0;
	bool		has_pan = find_pan(text, length, &pan, &pan_end);

	while (at < length)
	{
		size_t		kept;
		size_t		hidden;

		if (has_pan && pan < at)
		{
			pan = at;
			has_pan = find_pan(text, length, &pan, &pan_end);
		}
		if (secret_at(text, length, at, &kept, &hidden))
		{
			append(out, capacity, &used, text + at, kept);
			append(out, capacity, &used, secret_mark, sizeof(secret_mark) - 1);
			at += kept + hidden;
		}
		else if (has_pan && at == pan)
		{
			append(out, capacity, &used, card_mark, sizeof(card_mark) - 1);
			at = pan_end;
		}
		else
		{
			append(out, capacity, &used, text + at, 1);
			at++;
		}
	}
	return used;
}
