/*
 * code.h
 *		Result codes of the core.  The core never raises: every function that can fail returns one of these.
 */
#ifndef QZPAY_CODE_H
#define QZPAY_CODE_H

typedef enum QzpayCode
{
	QZPAY_OK = 0,
	QZPAY_E_OVERFLOW,			/* the exact result does not fit its type */
	QZPAY_E_RANGE,				/* an argument is outside of its domain */
	QZPAY_E_INVALID,			/* text or structure that is not what it should be */
	QZPAY_E_NAN,				/* NaN or an infinity where a number is needed */
	QZPAY_E_SCALE,				/* more decimals than can be kept exactly */
	QZPAY_E_MALFORMED,			/* a signature or token that cannot be read */
	QZPAY_E_MISMATCH,			/* a signature that is not the one expected */
	QZPAY_E_TOO_OLD,			/* signed too long ago, or expired */
	QZPAY_E_FUTURE,				/* signed too far ahead of our clock */
	QZPAY_E_CONFIG,				/* no usable secret, or a tolerance that checks nothing */
	QZPAY_E_CRYPTO				/* the cryptographic library failed */
} QzpayCode;

extern const char *qzpay_code_message(QzpayCode code);

#endif
