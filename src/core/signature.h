/*
 * signature.h
 *		Who sent this: signed webhooks of Stripe and Mercado Pago, and the tokens that open a tenant.
 *
 * All times are whole seconds since 1970 and come from the caller.  mac is from qzpay_mac_open, or NULL.
 */
#ifndef QZPAY_SIGNATURE_H
#define QZPAY_SIGNATURE_H

#include <stdint.h>

#include "core/hash.h"

typedef enum QzpaySignature
{
	QZPAY_SIGNATURE_OK = 0,
	QZPAY_SIGNATURE_MALFORMED,	/* cannot be read */
	QZPAY_SIGNATURE_MISMATCH,	/* not made with this key over this content */
	QZPAY_SIGNATURE_TOO_OLD,	/* genuine, but signed too long ago or expired */
	QZPAY_SIGNATURE_FUTURE,		/* genuine, but dated or valid too far ahead */
	QZPAY_SIGNATURE_CONFIG,		/* empty key, or a tolerance that would check nothing */
	QZPAY_SIGNATURE_CRYPTO		/* the cryptographic library failed */
} QzpaySignature;

/*
 * A token is the base64url text, without padding, of
 *
 *	  version (1 byte, 1) | installation (16) | tenant (16) | expiry (8, big-endian) | HMAC-SHA-256 of all before (32)
 *
 * so that whoever holds the key can issue one.
 */
#define QZPAY_TOKEN_VERSION 1
#define QZPAY_TOKEN_LENGTH 98

extern const char *qzpay_signature_message(QzpaySignature result);

extern QzpaySignature qzpay_signature_stripe(QzpayMac *mac, QzpayBytes secret, QzpayBytes header, QzpayBytes body,
											 int64_t now, int64_t tolerance);
extern QzpaySignature qzpay_signature_mercadopago(QzpayMac *mac, QzpayBytes secret, QzpayBytes header, QzpayBytes id,
												  QzpayBytes request_id, int64_t now, int64_t tolerance);

extern QzpaySignature qzpay_token_issue(QzpayMac *mac, QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE],
										const uint8_t tenant[QZPAY_UUID_SIZE], int64_t expiry, char out[QZPAY_TOKEN_LENGTH + 1]);
extern QzpaySignature qzpay_token_verify(QzpayMac *mac, QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE], QzpayBytes token,
										 int64_t now, int64_t longest, uint8_t tenant[QZPAY_UUID_SIZE], int64_t *expiry);

#endif							/* QZPAY_SIGNATURE_H */
