/*
 * proration.c
 *		The part of a debit that was used, and what is left of it.
 *
 * Measures are of any one unit: microseconds when prorating by second, local
 * days of the customer when prorating by day.
 */
#include "core/proration.h"

/*
 * qzpay_prorate
 *		amount × part / whole, rounded once to minor units.
 *
 * QZPAY_E_RANGE unless 0 <= part <= whole and whole > 0.
 */
QzpayCode
qzpay_prorate(int64_t amount, int64_t part, int64_t whole, QzpayRounding rounding, int64_t *out)
{
	QzpayInt128 result;
	QzpayCode	code;

	if (whole <= 0 || part < 0 || part > whole)
		return QZPAY_E_RANGE;
	code = qzpay_divide_round((QzpayInt128) amount * part, whole, rounding, &result);
	if (code == QZPAY_OK)
		*out = (int64_t) result;	/* never further from zero than amount */
	return code;
}

/*
 * qzpay_unused
 *		What is left of a debit after its used part.
 *
 * The used part is what is rounded and the credit is the rest, so that both
 * always add up to the debit; zero time used gives the whole of it back.
 */
QzpayCode
qzpay_unused(int64_t amount, int64_t used, int64_t whole, QzpayRounding rounding, int64_t *out)
{
	int64_t		part;
	QzpayCode	code = qzpay_prorate(amount, used, whole, rounding, &part);

	if (code == QZPAY_OK)
		*out = amount - part;
	return code;
}
