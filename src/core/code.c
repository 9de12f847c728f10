/*
 * code.c
 *		Texts of the result codes, in the style of primary error messages.
 */
#include "core/code.h"

/*
 * qzpay_code_message
 *		Say what a code means: lower case, no full stop, never NULL, valid for ever.
 */
const char *
qzpay_code_message(QzpayCode code)
{
	switch (code)
	{
		case QZPAY_OK:
			return "no error";
		case QZPAY_E_OVERFLOW:
			return "amount out of range";
		case QZPAY_E_RANGE:
			return "argument out of range";
		case QZPAY_E_INVALID:
			return "invalid value";
		case QZPAY_E_NAN:
			return "value is not a finite number";
		case QZPAY_E_SCALE:
			return "too many decimals for exact arithmetic";
		case QZPAY_E_MALFORMED:
			return "signature or token is malformed";
		case QZPAY_E_MISMATCH:
			return "signature does not match";
		case QZPAY_E_TOO_OLD:
			return "signature or token is too old";
		case QZPAY_E_FUTURE:
			return "signature or token is dated too far in the future";
		case QZPAY_E_CONFIG:
			return "secret or tolerance is not configured";
		case QZPAY_E_CRYPTO:
			return "cryptographic library failed";
	}
	return "unknown error";
}
