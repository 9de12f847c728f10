/*
 * render_test.c
 *		Printed numbers, and text on its way into HTML.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/render.h"
#include "tap.h"

static const QzpayNumberStyle english = {".", ",", 1};
static const QzpayNumberStyle spanish = {",", ".", 2};
static const QzpayNumberStyle plain = {".", "", 1};
static const QzpayNumberStyle narrow = {",", "\xE2\x80\xAF", 1};

static void
number(const char *text, int decimals, const QzpayNumberStyle *style, const char *expected)
{
	QzpayDecimal value;
	char		out[QZPAY_NUMBER_BUFSIZE];

	if (qzpay_decimal_parse(text, strlen(text), &value) != QZPAY_OK || qzpay_number_print(value, decimals, style, out) != QZPAY_OK)
		tap_ok(false, "%s is printed", text);
	else
		tap_text(out, expected, "%s with %d decimals", text, decimals);
}

static void
html(const char *in, size_t length, bool utf8, const char *expected)
{
	size_t		size = qzpay_html_escape(in, length, utf8, NULL);
	char	   *out = malloc(size + 1);

	tap_int(qzpay_html_escape(in, length, utf8, out), (int64_t) size, "as long as counted");
	out[size] = '\0';
	tap_text(out, expected, "escaped");
	free(out);
}

#define HTML(in, expected) html(in, sizeof(in) - 1, true, expected)

int
main(void)
{
	QzpayNumberStyle style = english;
	QzpayDecimal widest = {QZPAY_WIDE_MAX, 0};
	char		out[QZPAY_NUMBER_BUFSIZE];

	number("0", 0, &english, "0");
	number("0", 2, &english, "0.00");
	number("0", 3, &spanish, "0,000");
	number("99", 2, &english, "99.00");
	number("99.5", 2, &spanish, "99,50");
	number("0.015", 2, &english, "0.015");
	number("0.0150", 2, &english, "0.015");
	number("1.000", 0, &english, "1");
	number("10500", 0, &english, "10,500");
	number("999", 0, &english, "999");
	number("1000", 0, &english, "1,000");
	number("1000", 0, &spanish, "1000");
	number("9999.99", 2, &spanish, "9999,99");
	number("10000", 2, &spanish, "10.000,00");
	number("1234567.891", 2, &english, "1,234,567.891");
	number("123456", 2, &english, "123,456.00");
	number("1234567", 0, &plain, "1234567");
	number("1234567", 0, &narrow, "1\xE2\x80\xAF" "234\xE2\x80\xAF" "567");
	number("-1", 2, &english, "\xE2\x88\x92" "1.00");
	number("-1234.5", 2, &english, "\xE2\x88\x92" "1,234.50");
	number("-0.00", 2, &english, "0.00");

	style.separator = "12345678";
	style.point = "87654321";
	tap_int(qzpay_number_print(widest, 9, &style, out), QZPAY_OK, "the longest separators fit");
	tap_ok(strlen(out) < QZPAY_NUMBER_BUFSIZE, "and so does the longest number");
	style.separator = "123456789";
	tap_int(qzpay_number_print(widest, 0, &style, out), QZPAY_E_INVALID, "a separator too long");
	style = english;
	style.point = "123456789";
	tap_int(qzpay_number_print(widest, 0, &style, out), QZPAY_E_INVALID, "a point too long");
	style = english;
	tap_int(qzpay_number_print(widest, 10, &style, out), QZPAY_E_RANGE, "too many decimals");
	tap_int(qzpay_number_print(widest, -1, &style, out), QZPAY_E_RANGE, "a negative number of decimals");
	style.least = 0;
	tap_int(qzpay_number_print(widest, 0, &style, out), QZPAY_E_RANGE, "groups of nothing");

	HTML("", "");
	HTML("plain", "plain");
	HTML("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
	HTML("\" onload=\"x & y", "&quot; onload=&quot;x &amp; y");
	HTML("a\tb\nc\rd", "a\tb\nc\nd");
	HTML("a\x01" "b\x1B" "c\x7F", "a?b?c?");
	HTML("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8E\x89", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8E\x89");
	HTML("\xC2\x85|\xC2\xA0", "\xEF\xBF\xBD|\xC2\xA0");
	HTML("\xEF\xB7\x90|\xEF\xB7\xAF|\xEF\xB7\xB0|\xEF\xB7\x8F", "\xEF\xBF\xBD|\xEF\xBF\xBD|\xEF\xB7\xB0|\xEF\xB7\x8F");
	HTML("\xEF\xBF\xBE|\xEF\xBF\xBF|\xEF\xBF\xBD|\xEF\xBB\xBF", "\xEF\xBF\xBD|\xEF\xBF\xBD|\xEF\xBF\xBD|\xEF\xBB\xBF");
	HTML("\xF0\x9F\xBF\xBE|\xF4\x8F\xBF\xBF|\xF0\x9F\xBF\xBD", "\xEF\xBF\xBD|\xEF\xBF\xBD|\xF0\x9F\xBF\xBD");
	HTML("\xF0\x9F\xBF", "\xF0\x9F\xBF");
	html("\xC2\x85 <", 4, false, "\xC2\x85 &lt;");
	html("<&<&", 3, true, "&lt;&amp;&lt;");
	return tap_done();
}
