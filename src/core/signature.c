/*
 * signature.c
 *		Who sent this: signed webhooks of Stripe and Mercado Pago, and the tokens that open a tenant.
 *
 * Time is judged after authenticity, so "too old" is only ever said of what the sender really signed.
 */
#include <stdbool.h>
#include <string.h>

#include "core/signature.h"

/* Decimal digits of a timestamp: more do not fit, and none is due for 30 billion years. */
#define TIMESTAMP_DIGITS 18

/* From here on a timestamp is in milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973. */
#define FIRST_MILLISECONDS INT64_C(100000000000)

/* Longer than any id of Mercado Pago. */
#define ID_LENGTH 256

#define TOKEN_PAYLOAD_SIZE (1 + 2 * QZPAY_UUID_SIZE + 8)
#define TOKEN_SIZE (TOKEN_PAYLOAD_SIZE + QZPAY_SHA256_SIZE)

/* What a signature header says. */
typedef struct Header
{
	QzpayBytes	text;			/* all of it */
	QzpayBytes	stamp;			/* the timestamp as sent, since that text is what is signed */
	int64_t		time;			/* its value */
} Header;

/*
 * qzpay_signature_message
 *		Say what a result means: lower case, no full stop, never NULL, valid for ever.
 */
const char *
qzpay_signature_message(QzpaySignature result)
{
	switch (result)
	{
		case QZPAY_SIGNATURE_OK:
			return "signature is genuine";
		case QZPAY_SIGNATURE_MALFORMED:
			return "signature is malformed";
		case QZPAY_SIGNATURE_MISMATCH:
			return "signature does not match";
		case QZPAY_SIGNATURE_TOO_OLD:
			return "signature is too old";
		case QZPAY_SIGNATURE_FUTURE:
			return "signature is dated too far in the future";
		case QZPAY_SIGNATURE_CONFIG:
			return "signing key or tolerance is not configured";
		case QZPAY_SIGNATURE_CRYPTO:
			return "cryptographic library failed";
	}
	return "unknown result";
}

/*
 * next_item
 *		Take "key=value" off the front of a comma-separated list, spaces around it ignored; false for anything else.
 */
static bool
next_item(QzpayBytes *rest, QzpayBytes *key, QzpayBytes *value)
{
	const char *start = rest->data;
	const char *end = start + rest->length;
	const char *comma = memchr(start, ',', rest->length);
	const char *stop = comma == NULL ? end : comma;
	const char *equals;

	rest->data = comma == NULL ? end : comma + 1;
	rest->length = (size_t) (end - (const char *) rest->data);
	while (start < stop && *start == ' ')
		start++;
	while (start < stop && stop[-1] == ' ')
		stop--;
	equals = memchr(start, '=', (size_t) (stop - start));
	if (equals == NULL)
		return false;
	*key = (QzpayBytes) {start, (size_t) (equals - start)};
	*value = (QzpayBytes) {equals + 1, (size_t) (stop - equals - 1)};
	return true;
}

/* Whether the bytes are this text. */
static bool
is_text(QzpayBytes bytes, const char *text)
{
	return bytes.length == strlen(text) && memcmp(bytes.data, text, bytes.length) == 0;
}

/* Read a timestamp: digits only, at least one. */
static bool
parse_timestamp(QzpayBytes text, int64_t *out)
{
	const char *digits = text.data;
	int64_t		value = 0;

	if (text.length == 0 || text.length > TIMESTAMP_DIGITS)
		return false;
	for (size_t i = 0; i < text.length; i++)
	{
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		value = value * 10 + (digits[i] - '0');
	}
	*out = value;
	return true;
}

/* Read a signature of version 1: 64 hexadecimal digits. */
static bool
parse_signature(QzpayBytes key, QzpayBytes value, uint8_t out[QZPAY_SHA256_SIZE])
{
	return is_text(key, "v1") && value.length == 2 * QZPAY_SHA256_SIZE && qzpay_hex_decode(value.data, value.length, out) == QZPAY_OK;
}

/*
 * parse_header
 *		Read a signature header: one timestamp under the given key, and a readable signature of version 1.
 *
 * Other keys (the v0 of Stripe's test mode, versions to come) are ignored, whatever they say.
 */
static bool
parse_header(QzpayBytes text, const char *time_key, Header *out)
{
	QzpayBytes	rest = text;
	QzpayBytes	key;
	QzpayBytes	value;
	uint8_t		signature[QZPAY_SHA256_SIZE];
	bool		timed = false;
	bool		readable = false;

	while (rest.length > 0)
	{
		if (!next_item(&rest, &key, &value))
			return false;
		if (is_text(key, time_key))
		{
			/* Two of them: which one would be signed? */
			if (timed || !parse_timestamp(value, &out->time))
				return false;
			out->stamp = value;
			timed = true;
		}
		else if (parse_signature(key, value, signature))
			readable = true;
	}
	out->text = text;
	return timed && readable;
}

/*
 * judge
 *		Compare what the content should be signed with to the signatures of the header, then its time to the clock.
 *
 * While a secret is replaced the sender signs with both, so any of the signatures may be the right one.  All are looked at, whichever it
 * is.
 */
static QzpaySignature
judge(const Header *header, const uint8_t expected[QZPAY_SHA256_SIZE], int64_t signed_at, int64_t now, int64_t tolerance)
{
	QzpayBytes	rest = header->text;
	QzpayBytes	key;
	QzpayBytes	value;
	uint8_t		signature[QZPAY_SHA256_SIZE];
	bool		genuine = false;

	while (rest.length > 0 && next_item(&rest, &key, &value))
		if (parse_signature(key, value, signature))
			genuine |= qzpay_bytes_equal(signature, expected, QZPAY_SHA256_SIZE);
	if (!genuine)
		return QZPAY_SIGNATURE_MISMATCH;
	/* Unsigned differences: no distance between two int64_t overflows them. */
	if (signed_at < now && (uint64_t) now - (uint64_t) signed_at > (uint64_t) tolerance)
		return QZPAY_SIGNATURE_TOO_OLD;
	if (signed_at > now && (uint64_t) signed_at - (uint64_t) now > (uint64_t) tolerance)
		return QZPAY_SIGNATURE_FUTURE;
	return QZPAY_SIGNATURE_OK;
}

/*
 * qzpay_signature_stripe
 *		Verify the Stripe-Signature header "t=SECONDS,v1=HEX[,v1=HEX...]" over the body exactly as received.
 *
 * Signed is "SECONDS.BODY".  The tolerance, in seconds, holds in both directions and includes its last second.
 */
QzpaySignature
qzpay_signature_stripe(QzpayMac *mac, QzpayBytes secret, QzpayBytes header, QzpayBytes body, int64_t now, int64_t tolerance)
{
	Header		parsed;
	QzpayBytes	parts[3];
	uint8_t		expected[QZPAY_SHA256_SIZE];

	if (secret.length == 0 || tolerance <= 0)
		return QZPAY_SIGNATURE_CONFIG;
	if (!parse_header(header, "t", &parsed))
		return QZPAY_SIGNATURE_MALFORMED;
	parts[0] = parsed.stamp;
	parts[1] = (QzpayBytes) {".", 1};
	parts[2] = body;
	if (qzpay_hmac_sha256(mac, secret, parts, 3, expected) != QZPAY_OK)
		return QZPAY_SIGNATURE_CRYPTO;
	return judge(&parsed, expected, parsed.time, now, tolerance);
}

/*
 * qzpay_signature_mercadopago
 *		Verify the x-signature header "ts=TIME,v1=HEX" over the manifest "id:ID;request-id:REQUEST;ts:TIME;".
 *
 * id is data.id of the URL's query and is signed in lower case; request_id is the x-request-id header, left out of the manifest when it
 * was not sent (length 0).  The body is NOT covered: what it says is a hint, to be looked up under this id.  That is why an id is needed,
 * and why neither may have a semicolon, with which one manifest could be read as another.
 *
 * The provider documents TIME in seconds and sends milliseconds too; both are understood.
 */
QzpaySignature
qzpay_signature_mercadopago(QzpayMac *mac, QzpayBytes secret, QzpayBytes header, QzpayBytes id,
							QzpayBytes request_id, int64_t now, int64_t tolerance)
{
	Header		parsed;
	char		lower[ID_LENGTH];
	QzpayBytes	parts[7];
	int			count = 0;
	uint8_t		expected[QZPAY_SHA256_SIZE];

	if (secret.length == 0 || tolerance <= 0)
		return QZPAY_SIGNATURE_CONFIG;
	if (id.length == 0 || id.length > ID_LENGTH || memchr(id.data, ';', id.length) != NULL ||
		(request_id.length > 0 && memchr(request_id.data, ';', request_id.length) != NULL) || !parse_header(header, "ts", &parsed))
		return QZPAY_SIGNATURE_MALFORMED;
	for (size_t i = 0; i < id.length; i++)
	{
		char		c = ((const char *) id.data)[i];

		lower[i] = c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
	}
	parts[count++] = (QzpayBytes) {"id:", 3};
	parts[count++] = (QzpayBytes) {lower, id.length};
	if (request_id.length > 0)
	{
		parts[count++] = (QzpayBytes) {";request-id:", 12};
		parts[count++] = request_id;
	}
	parts[count++] = (QzpayBytes) {";ts:", 4};
	parts[count++] = parsed.stamp;
	parts[count++] = (QzpayBytes) {";", 1};
	if (qzpay_hmac_sha256(mac, secret, parts, count, expected) != QZPAY_OK)
		return QZPAY_SIGNATURE_CRYPTO;
	return judge(&parsed, expected, parsed.time >= FIRST_MILLISECONDS ? parsed.time / 1000 : parsed.time, now, tolerance);
}

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Write a token as text: six bits a character, the last one filled up with zeros. */
static void
token_encode(const uint8_t bytes[TOKEN_SIZE], char out[QZPAY_TOKEN_LENGTH + 1])
{
	uint32_t	bits = 0;
	int			held = 0;

	for (int i = 0; i < TOKEN_SIZE; i++)
	{
		bits = (bits << 8 | bytes[i]) & 0xffff;
		for (held += 8; held >= 6; held -= 6)
			*out++ = base64url[bits >> (held - 6) & 0x3f];
	}
	*out++ = base64url[bits << (6 - held) & 0x3f];
	*out = '\0';
}

/* Read what token_encode writes, and nothing else: one token has one text. */
static bool
token_decode(QzpayBytes text, uint8_t out[TOKEN_SIZE])
{
	uint32_t	bits = 0;
	int			held = 0;

	if (text.length != QZPAY_TOKEN_LENGTH)
		return false;
	for (size_t i = 0; i < text.length; i++)
	{
		const char *digit = memchr(base64url, ((const char *) text.data)[i], sizeof(base64url) - 1);

		if (digit == NULL)
			return false;
		bits = (bits << 6 | (uint32_t) (digit - base64url)) & 0xffff;
		held += 6;
		if (held >= 8)
		{
			held -= 8;
			*out++ = (uint8_t) (bits >> held);
		}
	}
	return (bits & ((1u << held) - 1)) == 0;
}

/*
 * qzpay_token_issue
 *		Write the token that opens a tenant of this installation until expiry (exclusive), terminated.
 */
QzpaySignature
qzpay_token_issue(QzpayMac *mac, QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE],
				  const uint8_t tenant[QZPAY_UUID_SIZE], int64_t expiry, char out[QZPAY_TOKEN_LENGTH + 1])
{
	uint8_t		token[TOKEN_SIZE];
	uint8_t    *at = token;
	QzpayBytes	payload = {token, TOKEN_PAYLOAD_SIZE};

	if (key.length == 0)
		return QZPAY_SIGNATURE_CONFIG;
	*at++ = QZPAY_TOKEN_VERSION;
	memcpy(at, installation, QZPAY_UUID_SIZE);
	memcpy(at + QZPAY_UUID_SIZE, tenant, QZPAY_UUID_SIZE);
	at += 2 * QZPAY_UUID_SIZE;
	for (int shift = 56; shift >= 0; shift -= 8)
		*at++ = (uint8_t) ((uint64_t) expiry >> shift);
	if (qzpay_hmac_sha256(mac, key, &payload, 1, at) != QZPAY_OK)
		return QZPAY_SIGNATURE_CRYPTO;
	token_encode(token, out);
	return QZPAY_SIGNATURE_OK;
}

/*
 * qzpay_token_verify
 *		Tell which tenant a token opens, and until when.
 *
 * A token of another installation is a mismatch, even if signed with our key.  longest is how many seconds a token may have left: one
 * that lives longer is FUTURE, whoever signed it, and longest <= 0 is CONFIG.  *tenant and *expiry are written on success only.
 */
QzpaySignature
qzpay_token_verify(QzpayMac *mac, QzpayBytes key, const uint8_t installation[QZPAY_UUID_SIZE], QzpayBytes token,
				   int64_t now, int64_t longest, uint8_t tenant[QZPAY_UUID_SIZE], int64_t *expiry)
{
	uint8_t		bytes[TOKEN_SIZE];
	uint8_t		expected[QZPAY_SHA256_SIZE];
	QzpayBytes	payload = {bytes, TOKEN_PAYLOAD_SIZE};
	uint64_t	until = 0;

	if (key.length == 0 || longest <= 0)
		return QZPAY_SIGNATURE_CONFIG;
	if (!token_decode(token, bytes) || bytes[0] != QZPAY_TOKEN_VERSION)
		return QZPAY_SIGNATURE_MALFORMED;
	if (qzpay_hmac_sha256(mac, key, &payload, 1, expected) != QZPAY_OK)
		return QZPAY_SIGNATURE_CRYPTO;
	if (!qzpay_bytes_equal(bytes + TOKEN_PAYLOAD_SIZE, expected, QZPAY_SHA256_SIZE) ||
		memcmp(bytes + 1, installation, QZPAY_UUID_SIZE) != 0)
		return QZPAY_SIGNATURE_MISMATCH;
	for (int i = 1 + 2 * QZPAY_UUID_SIZE; i < TOKEN_PAYLOAD_SIZE; i++)
		until = until << 8 | bytes[i];
	if ((int64_t) until <= now)
		return QZPAY_SIGNATURE_TOO_OLD;
	if (until - (uint64_t) now > (uint64_t) longest)
		return QZPAY_SIGNATURE_FUTURE;
	memcpy(tenant, bytes + 1 + QZPAY_UUID_SIZE, QZPAY_UUID_SIZE);
	*expiry = (int64_t) until;
	return QZPAY_SIGNATURE_OK;
}
