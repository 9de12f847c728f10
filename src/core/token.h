/*
 * token.h
 *		Tokens by which a tenant's role enters its tenant.
 */
#ifndef QZPAY_TOKEN_H
#define QZPAY_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "core/code.h"
#include "core/hash.h"

/* A key shorter than this is refused. */
#define QZPAY_TOKEN_KEY_MIN 32

/* Text of a token: "qzt1." and base64url without padding of 16 + 16 + 8 + 32 bytes; the size counts the terminating zero. */
#define QZPAY_TOKEN_SIZE (5 + 96 + 1)

extern QzpayCode qzpay_token_issue(QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE], const uint8_t tenant[QZPAY_UUID_SIZE],
								   int64_t expires_at, char out[QZPAY_TOKEN_SIZE]);
extern QzpayCode qzpay_token_verify(QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE], int64_t now,
									const char *text, size_t length, uint8_t tenant[QZPAY_UUID_SIZE]);

#endif							/* QZPAY_TOKEN_H */
