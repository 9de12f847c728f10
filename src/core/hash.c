/*
 * hash.c
 *		Digests, message authentication, derived and timed UUIDs, hexadecimal text.
 *
 * The algorithms are libcrypto's; a failure there (no memory, or an algorithm that its configuration forbids) is QZPAY_E_CRYPTO.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "core/hash.h"

/*
 * digest
 *		The digest of the parts, one after the other, as if they were one; by a context that is prepared for the algorithm, or NULL.
 */
static QzpayCode
digest(const EVP_MD *algorithm, EVP_MD_CTX *prepared, const QzpayBytes *parts, int count, uint8_t *out)
{
	EVP_MD_CTX *own = prepared == NULL ? EVP_MD_CTX_new() : NULL;
	EVP_MD_CTX *context = prepared == NULL ? own : prepared;
	bool		done = context != NULL && EVP_DigestInit_ex(context, prepared == NULL ? algorithm : NULL, NULL) == 1;

	for (int i = 0; i < count && done; i++)
		done = EVP_DigestUpdate(context, parts[i].data, parts[i].length) == 1;
	done = done && EVP_DigestFinal_ex(context, out, NULL) == 1;
	EVP_MD_CTX_free(own);
	return done ? QZPAY_OK : QZPAY_E_CRYPTO;
}

/*
 * qzpay_sha1
 *		SHA-1 of the parts, one after the other.  For identities (RFC 9562), not for secrets.
 */
QzpayCode
qzpay_sha1(const QzpayBytes *parts, int count, uint8_t out[QZPAY_SHA1_SIZE])
{
	return digest(EVP_sha1(), NULL, parts, count, out);
}

/*
 * qzpay_sha1_open
 *		Prepare a SHA-1 for reuse; NULL when libcrypto fails.  The caller closes it.
 *
 * Finding the algorithm costs more than the digest of an id's name.
 */
QzpaySha1 *
qzpay_sha1_open(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1)
		return context;
	EVP_MD_CTX_free(context);
	return NULL;
}

/*
 * qzpay_sha1_close
 *		Free a prepared SHA-1.  NULL is ignored.
 */
void
qzpay_sha1_close(QzpaySha1 *prepared)
{
	EVP_MD_CTX_free(prepared);
}

/*
 * qzpay_sha256
 *		SHA-256 of the parts, one after the other.
 */
QzpayCode
qzpay_sha256(const QzpayBytes *parts, int count, uint8_t out[QZPAY_SHA256_SIZE])
{
	return digest(EVP_sha256(), NULL, parts, count, out);
}

/*
 * qzpay_mac_open
 *		Prepare an HMAC-SHA-256 for reuse; NULL when libcrypto fails.  The caller closes it.
 *
 * Finding the algorithm costs as much as authenticating several hundred bytes.
 */
QzpayMac *
qzpay_mac_open(void)
{
	char		name[] = "SHA256";
	OSSL_PARAM	params[2];
	EVP_MAC    *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *mac = algorithm == NULL ? NULL : EVP_MAC_CTX_new(algorithm);

	EVP_MAC_free(algorithm);	/* the context holds a reference */
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (mac != NULL && EVP_MAC_CTX_set_params(mac, params) == 1)
		return mac;
	EVP_MAC_CTX_free(mac);
	return NULL;
}

/*
 * qzpay_mac_close
 *		Free a prepared HMAC, and wipe the key it keeps.  NULL is ignored.
 */
void
qzpay_mac_close(QzpayMac *mac)
{
	EVP_MAC_CTX_free(mac);
}

/*
 * qzpay_hmac_sha256
 *		HMAC-SHA-256 of the parts, one after the other.
 *
 * mac is from qzpay_mac_open, or NULL to prepare one for this call only.  Any key is taken, also an empty one: whether it is good
 * enough is the caller's to decide.
 */
QzpayCode
qzpay_hmac_sha256(QzpayMac *mac, QzpayBytes key, const QzpayBytes *parts, int count, uint8_t out[QZPAY_SHA256_SIZE])
{
	QzpayMac   *own = mac == NULL ? qzpay_mac_open() : NULL;
	QzpayMac   *used = mac == NULL ? own : mac;
	size_t		written;
	bool		done;

	/* A null key would mean the last one. */
	done = used != NULL && EVP_MAC_init(used, key.length == 0 ? (const unsigned char *) "" : key.data, key.length, NULL) == 1;
	for (int i = 0; i < count && done; i++)
		done = EVP_MAC_update(used, parts[i].data, parts[i].length) == 1;
	done = done && EVP_MAC_final(used, out, &written, QZPAY_SHA256_SIZE) == 1;
	qzpay_mac_close(own);
	return done ? QZPAY_OK : QZPAY_E_CRYPTO;
}

/*
 * qzpay_bytes_equal
 *		Whether two stretches are equal, in a time that depends on their length only.
 */
bool
qzpay_bytes_equal(const void *a, const void *b, size_t length)
{
	return CRYPTO_memcmp(a, b, length) == 0;
}

/*
 * uuid_stamp
 *		Write version and variant (RFC 9562, section 4) over their bits.
 */
static void
uuid_stamp(uint8_t uuid[QZPAY_UUID_SIZE], int version)
{
	uuid[6] = (uint8_t) ((uuid[6] & 0x0f) | (version << 4));
	uuid[8] = (uint8_t) ((uuid[8] & 0x3f) | 0x80);
}

/*
 * qzpay_uuid_v5
 *		The UUID of a name within a name space (RFC 9562, section 5.5): same name, same id, everywhere.
 *
 * prepared is from qzpay_sha1_open, or NULL to prepare one for this call only.
 */
QzpayCode
qzpay_uuid_v5(QzpaySha1 *prepared, const uint8_t name_space[QZPAY_UUID_SIZE], const void *name, size_t length, uint8_t out[QZPAY_UUID_SIZE])
{
	uint8_t		hash[QZPAY_SHA1_SIZE];
	QzpayBytes	parts[2] = {{name_space, QZPAY_UUID_SIZE}, {name, length}};
	QzpayCode	code = digest(EVP_sha1(), prepared, parts, 2, hash);

	if (code == QZPAY_OK)
	{
		memcpy(out, hash, QZPAY_UUID_SIZE);
		uuid_stamp(out, 5);
	}
	return code;
}

/*
 * qzpay_uuid_v7
 *		A UUID ordered by time (RFC 9562, section 5.7): 48 bits of milliseconds since 1970, then random bits.
 *
 * The caller brings clock and random bytes; 6 bits of the latter give way to version and variant.  QZPAY_E_RANGE for times before 1970 or
 * after the year 10889.
 */
QzpayCode
qzpay_uuid_v7(int64_t unix_ms, const uint8_t random[QZPAY_UUID_RANDOM_SIZE], uint8_t out[QZPAY_UUID_SIZE])
{
	if (unix_ms < 0 || unix_ms >= INT64_C(1) << 48)
		return QZPAY_E_RANGE;
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t) (unix_ms >> (40 - 8 * i));
	memcpy(out + 6, random, QZPAY_UUID_RANDOM_SIZE);
	uuid_stamp(out, 7);
	return QZPAY_OK;
}

/*
 * qzpay_hex_encode
 *		Write bytes as lower-case hexadecimal digits and a zero byte: 2 * length + 1 in all.
 */
void
qzpay_hex_encode(const uint8_t *bytes, size_t length, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < length; i++)
	{
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 0x0f];
	}
	*out = '\0';
}

/*
 * hex_digit
 *		The value of a hexadecimal digit of either case, or -1.
 */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * qzpay_hex_decode
 *		Read length hexadecimal digits of either case into length / 2 bytes.
 *
 * text need not be terminated.  QZPAY_E_INVALID for an odd length or anything but digits; out may then be partly written.
 */
QzpayCode
qzpay_hex_decode(const char *text, size_t length, uint8_t *out)
{
	if (length % 2 != 0)
		return QZPAY_E_INVALID;
	for (size_t i = 0; i < length; i += 2)
	{
		int			high = hex_digit(text[i]);
		int			low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return QZPAY_E_INVALID;
		*out++ = (uint8_t) (high << 4 | low);
	}
	return QZPAY_OK;
}
