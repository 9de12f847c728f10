/*
 * render.h
 *		Text of a printed document: numbers in a language's way, and what HTML may contain.
 */
#ifndef QZPAY_RENDER_H
#define QZPAY_RENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/code.h"
#include "core/money.h"

/* Longest separator, in bytes: a narrow no-break space takes three. */
#define QZPAY_SEPARATOR_MAX 8

/* Most decimals that may be asked for. */
#define QZPAY_PRINT_DECIMALS_MAX 9

/* Longest printed number: the decimal, zeros added, and a separator for each three of its digits, beside the point. */
#define QZPAY_NUMBER_BUFSIZE (QZPAY_DECIMAL_BUFSIZE + QZPAY_PRINT_DECIMALS_MAX + 15 * QZPAY_SEPARATOR_MAX)

/* How a language writes numbers. */
typedef struct QzpayNumberStyle
{
	const char *point;			/* before the decimals */
	const char *separator;		/* between groups of three digits; may be empty */
	int			least;			/* digits before the first separator: 1 writes 1.234, 2 writes 1234 and 12.345 */
} QzpayNumberStyle;

extern QzpayCode qzpay_number_print(QzpayDecimal value, int decimals, const QzpayNumberStyle *style, char out[QZPAY_NUMBER_BUFSIZE]);
extern size_t qzpay_html_escape(const char *in, size_t length, bool utf8, char *out);

#endif							/* QZPAY_RENDER_H */
