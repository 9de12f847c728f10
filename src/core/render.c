/*
 * render.c
 *		Text of a printed document: numbers in a language's way, and what HTML may contain.
 */
#include <stdint.h>
#include <string.h>

#include "core/render.h"

/* What is printed before a negative number, and what stands for a character that HTML forbids, in UTF-8. */
#define MINUS "\xE2\x88\x92"
#define REPLACEMENT "\xEF\xBF\xBD"

static char *
append(char *out, const char *text, size_t length)
{
	memcpy(out, text, length);
	return out + length;
}

/*
 * qzpay_number_print
 *		Write a number, terminated, with at least so many decimals: more where its value has more, none that are only zeros beyond them.
 *
 * QZPAY_E_RANGE for more decimals than QZPAY_PRINT_DECIMALS_MAX or a grouping below 1, QZPAY_E_INVALID for a separator that is too long.
 */
QzpayCode
qzpay_number_print(QzpayDecimal value, int decimals, const QzpayNumberStyle *style, char out[QZPAY_NUMBER_BUFSIZE])
{
	size_t		point_length = strlen(style->point);
	size_t		separator_length = strlen(style->separator);
	char		plain[QZPAY_DECIMAL_BUFSIZE];
	char	   *digit = plain;
	char	   *end = out;
	int			whole;
	bool		groups;

	if (decimals < 0 || decimals > QZPAY_PRINT_DECIMALS_MAX || style->least < 1)
		return QZPAY_E_RANGE;
	if (point_length > QZPAY_SEPARATOR_MAX || separator_length > QZPAY_SEPARATOR_MAX)
		return QZPAY_E_INVALID;
	value = qzpay_decimal_normalise(value);
	qzpay_decimal_print(value, plain);
	if (*digit == '-')
	{
		end = append(end, MINUS, strlen(MINUS));
		digit++;
	}
	whole = (int) strcspn(digit, ".");
	groups = whole >= 3 + style->least;
	for (int left = whole; left > 0; left--)
	{
		*end++ = *digit++;
		if (groups && left > 1 && (left - 1) % 3 == 0)
			end = append(end, style->separator, separator_length);
	}
	if (value.scale > 0 || decimals > 0)
		end = append(end, style->point, point_length);
	if (value.scale > 0)
		end = append(end, digit + 1, (size_t) value.scale);
	for (int n = value.scale; n < decimals; n++)
		*end++ = '0';
	*end = '\0';
	return QZPAY_OK;
}

/* The reference that stands for an ASCII character in HTML; NULL where it may stand itself. */
static const char *
reference_of(unsigned char c)
{
	switch (c)
	{
		case '&':
			return "&amp;";
		case '<':
			return "&lt;";
		case '>':
			return "&gt;";
		case '"':
			return "&quot;";
		case '\'':
			return "&#39;";
		case '\t':
		case '\n':
			return NULL;
		case '\r':
			return "\n";
		default:
			return c < 0x20 || c == 0x7F ? "?" : NULL;
	}
}

/*
 * forbidden
 *		Bytes of the UTF-8 character that begins here, if it is a control character or none at all, which HTML refuses; else 0.
 */
static size_t
forbidden(const unsigned char *at, size_t left)
{
	if (left >= 2 && at[0] == 0xC2 && at[1] < 0xA0)
		return 2;				/* U+0080 to U+009F */
	if (left >= 3 && at[0] == 0xEF && at[1] == 0xB7 && at[2] >= 0x90 && at[2] <= 0xAF)
		return 3;				/* U+FDD0 to U+FDEF */
	if (left >= 3 && at[0] == 0xEF && at[1] == 0xBF && at[2] >= 0xBE)
		return 3;				/* U+FFFE, U+FFFF */
	if (left >= 4 && at[0] >= 0xF0 && (at[1] & 0x0F) == 0x0F && at[2] == 0xBF && at[3] >= 0xBE)
		return 4;				/* the last two of every other plane */
	return 0;
}

/*
 * qzpay_html_escape
 *		Write text so that HTML shows it and does nothing else with it, between tags and within quoted attributes; the bytes written.
 *
 * With out NULL only counts.  Control characters and what is no character become one that says so.  Text in another encoding than UTF-8
 * must be one whose bytes below 0x80 are ASCII.
 */
size_t
qzpay_html_escape(const char *in, size_t length, bool utf8, char *out)
{
	size_t		written = 0;

	for (size_t i = 0; i < length;)
	{
		const unsigned char *at = (const unsigned char *) in + i;
		size_t		taken = utf8 ? forbidden(at, length - i) : 0;
		const char *reference = taken > 0 ? REPLACEMENT : reference_of(*at);
		size_t		size;

		if (taken == 0)
			taken = 1;
		if (reference == NULL)
			reference = in + i, size = 1;
		else
			size = strlen(reference);
		if (out != NULL)
			memcpy(out + written, reference, size);
		written += size;
		i += taken;
	}
	return written;
}
