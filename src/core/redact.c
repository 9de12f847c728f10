/*
 * redact.c
 *		What must not be stored or logged: card numbers and secrets within free text.
 *
 * A card number (PAN) is 13 to 19 digits in a row or in groups, whose first digits belong to a card scheme that has numbers of this length
 * and whose last digit is the check digit.  One random number of 16 digits in about 30 passes both tests, so what may be a group is narrow:
 *
 * - groups of at least four digits, the last of any size: 4-4-4-4, 4-6-5, 6-13, 4-4-4-4-3;
 * - or a complete series of single digits or of pairs (of which the last may be single), as people write to get past a check; the parts
 *	 of a date (12/28) are none of it.
 *
 * Between groups are one to three spaces or dashes, also the typographical ones; within a number either all gaps have a dash or none.
 * Decimals of a fraction (0.4111...) are no card number, and neither is what happens to be decimal within a UUID or a digest.
 */
#include <stdint.h>
#include <string.h>

#include "core/redact.h"

#define PAN_SHORTEST 13
#define PAN_LONGEST 19

/* Digits of a card scheme's prefix that are compared. */
#define PREFIX_DIGITS 6

/* Separators between two groups at most. */
#define GAP_LONGEST 3

/* A secret this long is one even where a word would not start, if it has digits or capitals. */
#define GLUED_LEAST 16

/* Hexadecimal digits of the shortest digest (MD5), also of a UUID without its dashes. */
#define DIGEST_LEAST 32

/* By its first characters a secret is told from a word, which bounds the time that a look at each place takes. */
#define SECRET_PROBE 64

#define LENGTH(n) (1u << (n))
#define LENGTHS_13_19 (LENGTH(20) - LENGTH(13))
#define LENGTHS_16_19 (LENGTH(20) - LENGTH(16))

/* First digits of the cards in use, the larger schemes and those of Latin America, with the lengths their numbers have. */
static const struct
{
	uint32_t	low;
	uint32_t	high;
	uint32_t	lengths;
}			schemes[] = {
	{220000, 220499, LENGTHS_16_19},	/* Mir */
	{222100, 272099, LENGTH(16)},	/* Mastercard */
	{300000, 305999, LENGTH(14) | LENGTHS_16_19},	/* Diners */
	{309500, 309599, LENGTH(14) | LENGTHS_16_19},
	{340000, 349999, LENGTH(15)},	/* American Express */
	{352800, 358999, LENGTHS_16_19},	/* JCB */
	{360000, 369999, LENGTH(14) | LENGTHS_16_19},	/* Diners */
	{370000, 379999, LENGTH(15)},	/* American Express */
	{380000, 399999, LENGTH(14) | LENGTHS_16_19},	/* Diners */
	{400000, 499999, LENGTH(13) | LENGTH(16) | LENGTH(19)},	/* Visa, Elo */
	{501100, 501199, LENGTH(16)},	/* Argencard */
	{501800, 502099, LENGTHS_13_19},	/* Maestro */
	{503100, 503199, LENGTH(16)},	/* Mastercard's debit cards in Argentina */
	{503800, 503899, LENGTHS_13_19},
	{504100, 504199, LENGTH(16)},	/* Elo */
	{506200, 506299, LENGTH(16)},	/* Carnet */
	{506699, 506799, LENGTH(16)},	/* Elo */
	{508500, 508999, LENGTH(16)},	/* RuPay */
	{509000, 509999, LENGTH(16)},	/* Elo */
	{510000, 559999, LENGTH(16)},	/* Mastercard */
	{589300, 589399, LENGTHS_13_19},	/* Maestro */
	{589500, 589699, LENGTH(16)},	/* Naranja, Cabal */
	{601100, 601199, LENGTHS_16_19},	/* Discover */
	{603500, 603599, LENGTH(16)},	/* Cabal */
	{604200, 604499, LENGTH(16)},
	{606282, 606282, LENGTH(13) | LENGTH(16) | LENGTH(19)},	/* Hipercard */
	{606985, 608499, LENGTH(16)},	/* RuPay */
	{620000, 629999, LENGTHS_16_19},	/* UnionPay */
	{630400, 630499, LENGTHS_13_19},	/* Maestro */
	{636200, 636399, LENGTH(16)},	/* Elo */
	{637000, 637999, LENGTH(16)},	/* Hipercard */
	{639000, 639099, LENGTHS_13_19},	/* Maestro */
	{644000, 659999, LENGTHS_16_19},	/* Discover */
	{675900, 676399, LENGTHS_13_19},	/* Maestro */
	{810000, 829999, LENGTHS_16_19},	/* UnionPay, RuPay */
	{979200, 979299, LENGTH(16)},	/* Troy */
};

/* How secrets begin. */
static const struct
{
	const char *prefix;
	size_t		least;			/* characters after it, before it is a secret */
	bool		caseless;
	bool		vague;			/* also begins what is none: needs a word's start and digits or capitals */
}			secrets[] = {
	{"sk_live_", 3, false, false},	/* Stripe's secret key */
	{"sk_test_", 3, false, false},
	{"rk_live_", 3, false, false},	/* its restricted key */
	{"rk_test_", 3, false, false},
	{"whsec_", 3, false, false},	/* key of its webhooks */
	{"APP_USR-", 3, false, false},	/* Mercado Pago's access token */
	{"TEST-", 20, false, true}, /* the one of its tests */
	{"re_", 16, false, true},	/* Resend's key */
	{"Bearer ", 6, true, false},
	{"Basic ", 8, true, true},
	{"eyJ", 20, false, true},	/* JSON Web Token: the text of {" */
};

/* How the separators between two groups look. */
typedef enum Gap
{
	GAP_NONE,
	GAP_SPACES,
	GAP_DASHES
} Gap;

/* A text that is looked through. */
typedef struct Scan
{
	const char *text;
	size_t		length;
	size_t		floor;			/* what lies before is no context any more: it has been dealt with */
	size_t		group_end;		/* of the last group of digits; not beyond floor: none since */
	size_t		group_length;
} Scan;

/* A card number as far as it has been collected. */
typedef struct Digits
{
	char		digit[PAN_LONGEST];
	size_t		count;
} Digits;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Part of a word, so that no other word starts behind it. */
static bool
is_word(char c)
{
	return is_digit(c) || is_lower(c) || is_upper(c) || c == '_';
}

/*
 * separator
 *		The bytes that the separator at a place takes, 0 if there is none; *dash is set if it is a dash.
 */
static size_t
separator(const Scan *scan, size_t at, bool *dash)
{
	const unsigned char *c = (const unsigned char *) scan->text + at;
	size_t		left = scan->length - at;

	if (left >= 1 && c[0] == ' ')
		return 1;
	if (left >= 1 && c[0] == '-')
	{
		*dash = true;
		return 1;
	}
	/* UTF-8: no-break space, figure space and narrow no-break space; hyphens and dashes U+2010 to U+2015 */
	if (left >= 2 && c[0] == 0xc2 && c[1] == 0xa0)
		return 2;
	if (left >= 3 && c[0] == 0xe2 && c[1] == 0x80)
	{
		if (c[2] == 0x87 || c[2] == 0xaf)
			return 3;
		if (c[2] >= 0x90 && c[2] <= 0x95)
		{
			*dash = true;
			return 3;
		}
	}
	return 0;
}

/*
 * gap
 *		What separates the group of digits that ends at *at from the next one, whose start *at then is; GAP_NONE if none follows.
 */
static Gap
gap(const Scan *scan, size_t *at)
{
	size_t		next = *at;
	bool		dash = false;

	for (int i = 0; i < GAP_LONGEST; i++)
	{
		size_t		bytes = separator(scan, next, &dash);

		if (bytes == 0)
			break;
		next += bytes;
	}
	if (next == *at || next >= scan->length || !is_digit(scan->text[next]))
		return GAP_NONE;
	*at = next;
	return dash ? GAP_DASHES : GAP_SPACES;
}

/* The number of digits in a row. */
static size_t
group(const Scan *scan, size_t at)
{
	size_t		end = at;

	while (end < scan->length && is_digit(scan->text[end]))
		end++;
	return end - at;
}

/* Whether a group of digits has a slash beside it, as the expiry date has that is written next to a card number. */
static bool
is_date(const Scan *scan, size_t at, size_t length)
{
	return (at > scan->floor && scan->text[at - 1] == '/') || (at + length < scan->length && scan->text[at + length] == '/');
}

/* Add a group to a number; false when the number is then too long for a card. */
static bool
collect(Digits *number, const char *digits, size_t length)
{
	if (length > PAN_LONGEST - number->count)
		return false;
	memcpy(number->digit + number->count, digits, length);
	number->count += length;
	return true;
}

/*
 * is_pan
 *		Whether the digits have the length and the beginning of a card number and its check digit (ISO/IEC 7812, Luhn).
 */
static bool
is_pan(const Digits *number)
{
	uint32_t	prefix = 0;
	int			sum = 0;
	bool		known = false;

	if (number->count < PAN_SHORTEST)
		return false;
	for (int i = 0; i < PREFIX_DIGITS; i++)
		prefix = prefix * 10 + (uint32_t) (number->digit[i] - '0');
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && !known; i++)
		known = prefix >= schemes[i].low && prefix <= schemes[i].high && (schemes[i].lengths & LENGTH(number->count)) != 0;
	if (!known)
		return false;
	for (size_t i = 0; i < number->count; i++)
	{
		int			digit = number->digit[number->count - 1 - i] - '0';

		if (i % 2 == 1)
			digit = digit > 4 ? 2 * digit - 9 : 2 * digit;
		sum += digit;
	}
	return sum % 10 == 0;
}

/*
 * pan_in_groups
 *		The end of the longest card number that starts at a group of four digits or more; 0 if there is none.
 */
static size_t
pan_in_groups(const Scan *scan, size_t at)
{
	Digits		number = {.count = 0};
	Gap			kind = GAP_NONE;
	size_t		found = 0;

	for (;;)
	{
		size_t		length = group(scan, at);
		Gap			next;

		if (!collect(&number, scan->text + at, length))
			return found;
		at += length;
		if (is_pan(&number))
			found = at;
		if (length < 4)
			return found;
		next = gap(scan, &at);
		if (next == GAP_NONE || (kind != GAP_NONE && next != kind))
			return found;
		kind = next;
	}
}

/*
 * pan_in_series
 *		The end of a card number that is all of a series of groups of one or two digits, starting here; 0 if there is none.
 *
 * before is the gap to a group of the same size before it, GAP_NONE if there is no such group.
 */
static size_t
pan_in_series(const Scan *scan, size_t at, size_t size, Gap before)
{
	Digits		number = {.count = 0};
	Gap			kind = GAP_NONE;
	size_t		end = at;
	size_t		length = size;

	for (;;)
	{
		Gap			next;

		if (length != size || is_date(scan, at, length))
		{
			/* A single digit ends a series of pairs, and belongs to it or not. */
			if (is_pan(&number))
				return end;
			return length < size && collect(&number, scan->text + at, length) && is_pan(&number) ? at + length : 0;
		}
		if (!collect(&number, scan->text + at, length))
			return 0;
		at += length;
		end = at;
		next = gap(scan, &at);
		if (kind == GAP_NONE && next != GAP_NONE && next == before)
			return 0;			/* the series started further left */
		if (next == GAP_NONE || (kind != GAP_NONE && next != kind))
			return is_pan(&number) ? end : 0;
		kind = next;
		length = group(scan, at);
	}
}

/*
 * find_pan
 *		The end of the card number that starts here, 0 if none does.  Called for every place in turn.
 */
static size_t
find_pan(Scan *scan, size_t at)
{
	const char *text = scan->text;
	size_t		joined = scan->group_end;
	size_t		last_length = scan->group_length;
	size_t		length;
	Gap			before = GAP_NONE;

	if (!is_digit(text[at]) || (at > scan->floor && is_digit(text[at - 1])))
		return 0;
	length = group(scan, at);
	if (joined > scan->floor)
	{
		before = gap(scan, &joined);
		if (joined != at || last_length != length)
			before = GAP_NONE;
	}
	scan->group_end = at + length;
	scan->group_length = is_date(scan, at, length) ? 0 : length;
	if (at >= scan->floor + 2 && text[at - 1] == '.' && is_digit(text[at - 2]))
		return 0;
	if (length >= 4)
		return pan_in_groups(scan, at);
	return length <= 2 ? pan_in_series(scan, at, length, before) : 0;
}

/*
 * find_identifier
 *		The end of the UUID or hexadecimal digest that starts here, 0 if none does.
 */
static size_t
find_identifier(const Scan *scan, size_t at)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	const char *text = scan->text;
	size_t		end = at;
	bool		letters = false;

	if (!is_hex(text[at]) || (at > scan->floor && ((is_word(text[at - 1]) && text[at - 1] != '_') || text[at - 1] == '-')))
		return 0;
	for (; end < scan->length && is_hex(text[end]); end++)
		letters |= !is_digit(text[end]);
	if (end - at < DIGEST_LEAST || !letters)
	{
		for (end = at; end - at < sizeof(shape) - 1; end++)
			if (end == scan->length || (shape[end - at] == '-' ? text[end] != '-' : !is_hex(text[end])))
				return 0;
	}
	return end < scan->length && (is_word(text[end]) || text[end] == '-') ? 0 : end;
}

/*
 * Whether there are as many digits as a card number has without a letter among them: a glance that settles what most texts are, such as keys
 * and UUIDs, for a fraction of what looking at each place costs.
 */
static bool
has_digits_of_pan(const char *text, size_t length)
{
	int			digits = 0;

	for (size_t i = 0; i < length; i++)
	{
		char		c = text[i];

		if (is_digit(c))
		{
			if (++digits == PAN_SHORTEST)
				return true;
		}
		else if (is_lower(c) || is_upper(c))
			digits = 0;
	}
	return false;
}

/*
 * qzpay_contains_pan
 *		Whether a text has something in it that looks like a card number.
 *
 * text need not be terminated and may be of any encoding that contains ASCII.  Time is linear in length.
 */
bool
qzpay_contains_pan(const char *text, size_t length)
{
	Scan		scan = {.text = text, .length = length};

	if (!has_digits_of_pan(text, length))
		return false;
	for (size_t at = 0; at < length; at++)
	{
		size_t		end = find_identifier(&scan, at);

		if (end != 0)
			at = scan.floor = end;
		if (at < length && find_pan(&scan, at) != 0)
			return true;
	}
	return false;
}

/* Whether a text begins with a prefix; letters of either case count as one if caseless (ASCII, whatever the locale). */
static bool
begins(const char *text, size_t length, const char *prefix, bool caseless)
{
	size_t		i = 0;

	for (; prefix[i] != '\0'; i++)
	{
		char		c;

		if (i == length)
			return false;
		c = text[i];
		if (caseless && is_upper(c) != is_upper(prefix[i]))
			c ^= 'a' ^ 'A';
		if (c != prefix[i])
			return false;
	}
	return true;
}

/* The characters that keys, tokens and base64 consist of. */
static bool
is_token(char c)
{
	return is_word(c) || c == '-' || c == '+' || c == '/' || c == '=' || c == '.' || c == '~';
}

/* The end of a token that starts here, within limit; a full stop behind it is the end of the sentence. */
static size_t
token_end(const char *text, size_t limit)
{
	size_t		end = 0;

	while (end < limit && is_token(text[end]))
		end++;
	while (end > 0 && text[end - 1] == '.')
		end--;
	return end;
}

/*
 * find_secret
 *		The end of the secret that starts here, 0 if none does; *shown is then how many bytes of it are its harmless prefix.
 */
static size_t
find_secret(const Scan *scan, size_t at, size_t *shown)
{
	const char *text = scan->text + at;
	size_t		left = scan->length - at;
	bool		word = at == scan->floor || !is_word(text[-1]);

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
	{
		size_t		start;
		size_t		probe;
		bool		mixed = false;

		/* The first letter, whatever its case, rules out nearly all. */
		if (((*text ^ *secrets[i].prefix) & ~('a' ^ 'A')) != 0 || !begins(text, left, secrets[i].prefix, secrets[i].caseless))
			continue;
		start = strlen(secrets[i].prefix);
		probe = token_end(text + start, left - start < SECRET_PROBE ? left - start : SECRET_PROBE);
		for (size_t j = start; j < start + probe; j++)
			mixed |= is_digit(text[j]) || is_upper(text[j]);
		if (probe < secrets[i].least || (secrets[i].vague && !(word && mixed)) || !(word || (mixed && probe >= GLUED_LEAST)))
			continue;
		*shown = start;
		return at + start + token_end(text + start, left - start);
	}
	return 0;
}

/* Where a redacted text goes. */
typedef struct Output
{
	char	   *text;
	size_t		capacity;
	size_t		length;			/* also of what did not fit */
} Output;

/* Append bytes, as far as they fit before the zero byte. */
static void
append(Output *output, const char *bytes, size_t length)
{
	if (output->length + 1 < output->capacity)
	{
		size_t		room = output->capacity - 1 - output->length;

		memcpy(output->text + output->length, bytes, length < room ? length : room);
	}
	output->length += length;
}

/*
 * qzpay_redact
 *		Copy a text with QZPAY_REDACTED in place of its card numbers and secrets; the length of the whole result, without the zero byte.
 *
 * Like snprintf: at most capacity bytes are written, zero byte included, and a result >= capacity says that the text was cut (perhaps
 * within a multi-byte character).  capacity 0 only measures.  The prefix of a secret stays ("sk_live_[redacted]"), so that one can see
 * what it was.  A redacted text is not changed by redacting it again, and qzpay_contains_pan finds nothing in it.
 */
size_t
qzpay_redact(const char *in, size_t length, char *out, size_t capacity)
{
	Scan		scan = {.text = in, .length = length};
	Output		output = {out, capacity, 0};
	size_t		at = 0;
	size_t		copied = 0;

	while (at < length)
	{
		size_t		shown = 0;
		size_t		end = find_identifier(&scan, at);

		if (end != 0)
		{
			at = scan.floor = end;
			continue;
		}
		end = find_secret(&scan, at, &shown);
		if (end == 0)
			end = find_pan(&scan, at);
		if (end == 0)
		{
			at++;
			continue;
		}
		append(&output, in + copied, at + shown - copied);
		append(&output, QZPAY_REDACTED, strlen(QZPAY_REDACTED));
		at = copied = scan.floor = end;
	}
	append(&output, in + copied, length - copied);
	if (capacity > 0)
		out[output.length < capacity ? output.length : capacity - 1] = '\0';
	return output.length;
}
