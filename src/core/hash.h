/*
 * hash.h
 *		Digests, message authentication, derived and timed UUIDs, hexadecimal text.
 *
 * Thin over libcrypto, which is the only library the core links.
 */
#ifndef QZPAY_HASH_H
#define QZPAY_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/code.h"

#define QZPAY_SHA1_SIZE 20
#define QZPAY_SHA256_SIZE 32
#define QZPAY_UUID_SIZE 16
#define QZPAY_UUID_RANDOM_SIZE 10

/* A stretch of bytes that somebody else owns; data may be NULL when length is 0. */
typedef struct QzpayBytes
{
	const void *data;
	size_t		length;
} QzpayBytes;

/*
 * A prepared HMAC-SHA-256, to be reused by callers that authenticate often; it keeps the last key.  One thread at a time.
 */
typedef struct evp_mac_ctx_st QzpayMac;

/* A prepared SHA-1, to be reused by callers that derive many ids.  One thread at a time. */
typedef struct evp_md_ctx_st QzpaySha1;

extern QzpaySha1 *qzpay_sha1_open(void);
extern void qzpay_sha1_close(QzpaySha1 *prepared);
extern QzpayCode qzpay_sha1(const QzpayBytes *parts, int count, uint8_t out[QZPAY_SHA1_SIZE]);
extern QzpayCode qzpay_sha256(const QzpayBytes *parts, int count, uint8_t out[QZPAY_SHA256_SIZE]);

extern QzpayMac *qzpay_mac_open(void);
extern void qzpay_mac_close(QzpayMac *mac);
extern QzpayCode qzpay_hmac_sha256(QzpayMac *mac, QzpayBytes key, const QzpayBytes *parts, int count, uint8_t out[QZPAY_SHA256_SIZE]);

extern bool qzpay_bytes_equal(const void *a, const void *b, size_t length);

extern QzpayCode qzpay_uuid_v5(QzpaySha1 *prepared, const uint8_t name_space[QZPAY_UUID_SIZE], const void *name, size_t length, uint8_t out[QZPAY_UUID_SIZE]);
extern QzpayCode qzpay_uuid_v7(int64_t unix_ms, const uint8_t random[QZPAY_UUID_RANDOM_SIZE], uint8_t out[QZPAY_UUID_SIZE]);

extern void qzpay_hex_encode(const uint8_t *bytes, size_t length, char *out);
extern QzpayCode qzpay_hex_decode(const char *text, size_t length, uint8_t *out);

#endif							/* QZPAY_HASH_H */
