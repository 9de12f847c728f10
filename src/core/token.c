/*
 * token.c
 *		Tokens by which a tenant's role enters its tenant.
 *
 * installation ‖ tenant ‖ expiry (seconds since 1970, big-endian) ‖ HMAC-SHA-256 of "qzt1" and those, as base64url behind "qzt1.".
 * The text is canonical: another spelling of the same bytes is malformed.
 */
#include "core/token.h"

#include <string.h>

#define PREFIX "qzt1."
#define PREFIX_SIZE 5
#define EXPIRY_AT (2 * QZPAY_UUID_SIZE)
#define MAC_AT (EXPIRY_AT + 8)
#define RAW_SIZE (MAC_AT + QZPAY_SHA256_SIZE)	/* 72: divisible by 3, so there is no padding to think of */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static QzpayCode
compute_mac(QzpayBytes key, const uint8_t *raw, uint8_t out[QZPAY_SHA256_SIZE])
{
	QzpayBytes	parts[2] = {{PREFIX, PREFIX_SIZE}, {raw, MAC_AT}};

	if (key.length < QZPAY_TOKEN_KEY_MIN)
		return QZPAY_E_CONFIG;
	return qzpay_hmac_sha256(NULL, key, parts, 2, out);
}

static void
encode(const uint8_t raw[RAW_SIZE], char *out)
{
	int			i;

	for (i = 0; i < RAW_SIZE; i += 3)
	{
		uint32_t	three = (uint32_t) raw[i] << 16 | (uint32_t) raw[i + 1] << 8 | raw[i + 2];

		*out++ = alphabet[three >> 18];
		*out++ = alphabet[three >> 12 & 63];
		*out++ = alphabet[three >> 6 & 63];
		*out++ = alphabet[three & 63];
	}
	*out = '\0';
}

/* False for a character that isn't of the alphabet. */
static bool
decode(const char *text, uint8_t raw[RAW_SIZE])
{
	int			i;
	int			j;

	for (i = 0; i < RAW_SIZE; i += 3)
	{
		uint32_t	three = 0;

		for (j = 0; j < 4; j++)
		{
			const char *found = *text == '\0' ? NULL : strchr(alphabet, *text);

			if (found == NULL)
				return false;
			three = three << 6 | (uint32_t) (found - alphabet);
			text++;
		}
		raw[i] = (uint8_t) (three >> 16);
		raw[i + 1] = (uint8_t) (three >> 8);
		raw[i + 2] = (uint8_t) three;
	}
	return true;
}

/*
 * qzpay_token_issue
 *		A token for a tenant that is good until expires_at, in seconds since 1970, exclusive.
 *
 * QZPAY_E_CONFIG for a key that is too short, QZPAY_E_CRYPTO when the library fails.
 */
QzpayCode
qzpay_token_issue(QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE], const uint8_t tenant[QZPAY_UUID_SIZE],
				  int64_t expires_at, char out[QZPAY_TOKEN_SIZE])
{
	uint8_t		raw[RAW_SIZE];
	QzpayCode	code;
	int			i;

	memcpy(raw, installation, QZPAY_UUID_SIZE);
	memcpy(raw + QZPAY_UUID_SIZE, tenant, QZPAY_UUID_SIZE);
	for (i = 0; i < 8; i++)
		raw[EXPIRY_AT + i] = (uint8_t) ((uint64_t) expires_at >> (56 - 8 * i));
	code = compute_mac(key, raw, raw + MAC_AT);
	if (code != QZPAY_OK)
		return code;
	memcpy(out, PREFIX, PREFIX_SIZE);
	encode(raw, out + PREFIX_SIZE);
	return QZPAY_OK;
}

/*
 * qzpay_token_verify
 *		The tenant of a token.
 *
 * QZPAY_E_MALFORMED for what is no token, QZPAY_E_MISMATCH for one that this key and installation didn't issue, QZPAY_E_TOO_OLD for one
 * that has expired; nothing of a token is looked at before its code has been verified.  QZPAY_E_CONFIG and QZPAY_E_CRYPTO as in issuing.
 */
QzpayCode
qzpay_token_verify(QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE], int64_t now,
				   const char *text, size_t length, uint8_t tenant[QZPAY_UUID_SIZE])
{
	uint8_t		raw[RAW_SIZE];
	uint8_t		mac[QZPAY_SHA256_SIZE];
	uint64_t	expires_at = 0;
	QzpayCode	code;
	int			i;

	if (length != QZPAY_TOKEN_SIZE - 1 || memcmp(text, PREFIX, PREFIX_SIZE) != 0 || !decode(text + PREFIX_SIZE, raw))
		return QZPAY_E_MALFORMED;
	code = compute_mac(key, raw, mac);
	if (code != QZPAY_OK)
		return code;
	if (!qzpay_bytes_equal(mac, raw + MAC_AT, QZPAY_SHA256_SIZE) || memcmp(raw, installation, QZPAY_UUID_SIZE) != 0)
		return QZPAY_E_MISMATCH;
	for (i = 0; i < 8; i++)
		expires_at = expires_at << 8 | raw[EXPIRY_AT + i];
	if (now >= (int64_t) expires_at)
		return QZPAY_E_TOO_OLD;
	memcpy(tenant, raw + QZPAY_UUID_SIZE, QZPAY_UUID_SIZE);
	return QZPAY_OK;
}
