/*
 * stripe_header_fuzz.c
 *		Signature headers: the genuine one is accepted within its tolerance whatever stands around it, and nothing without the right
 *		digits ever is.
 *
 * Mercado Pago's header goes through the same reader, so it is tried with the same inputs.
 */
#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

#include "core/signature.h"
#include "fuzz.h"

#define DIGITS (2 * QZPAY_SHA256_SIZE)

static QzpayMac *mac = NULL;
static const QzpayBytes secret = {"whsec_of_the_fuzzer", 19};
static const QzpayBytes body = {"{\"id\":\"evt_1\"}", 14};

/* The digits that "stamp.body" is signed with. */
static void
sign(const char *stamp, size_t length, char out[DIGITS + 1])
{
	QzpayBytes	parts[3] = {{stamp, length}, {".", 1}, body};
	uint8_t		hash[QZPAY_SHA256_SIZE];

	FUZZ_CHECK(qzpay_hmac_sha256(mac, secret, parts, 3, hash) == QZPAY_OK);
	qzpay_hex_encode(hash, sizeof(hash), out);
}

/* Whether the genuine digits for the time in it stand somewhere in a header, in either case: found without reading its items. */
static bool
has_genuine_digits(const char *header, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		size_t		stamp = 0;
		char		digits[DIGITS + 1];

		while (i + stamp < length && isdigit((unsigned char) header[i + stamp]))
			stamp++;
		if (stamp == 0 || (i > 0 && isdigit((unsigned char) header[i - 1])))
			continue;
		sign(header + i, stamp, digits);
		for (size_t j = 0; j + DIGITS <= length; j++)
			if (strncasecmp(header + j, digits, DIGITS) == 0)
				return true;
	}
	return false;
}

/* What must come of a genuine signature, in 128 bits. */
static QzpaySignature
in_time(int64_t signed_at, int64_t now, int64_t tolerance)
{
	__int128	age = (__int128) now - signed_at;

	if (tolerance <= 0)
		return QZPAY_SIGNATURE_CONFIG;
	if (age > tolerance)
		return QZPAY_SIGNATURE_TOO_OLD;
	return -age > tolerance ? QZPAY_SIGNATURE_FUTURE : QZPAY_SIGNATURE_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	int64_t		now = fuzz_int64(&input);
	int64_t		tolerance = fuzz_int64(&input);
	int64_t		signed_at = (int64_t) ((uint64_t) fuzz_int64(&input) % UINT64_C(1000000000000000000));
	uint8_t		order = fuzz_byte(&input);
	uint8_t		damage = fuzz_byte(&input);
	QzpayBytes	header = {input.data, input.length};
	QzpaySignature result;
	char		stamp[24];
	char		digits[DIGITS + 1];
	char		noise[64];
	char		text[512];
	int			written;
	size_t		n = 0;

	if (mac == NULL)
		mac = qzpay_mac_open();

	/* Anything. */
	result = qzpay_signature_stripe(mac, secret, header, body, now, tolerance);
	if (result == QZPAY_SIGNATURE_OK)
		FUZZ_CHECK(has_genuine_digits(header.data, header.length));
	FUZZ_CHECK((result == QZPAY_SIGNATURE_CONFIG) == (tolerance <= 0));
	result = qzpay_signature_mercadopago(mac, secret, header, header, header, now, tolerance);
	FUZZ_CHECK(result != QZPAY_SIGNATURE_OK);

	/* The genuine header with an item of noise in one of its places: it has no comma, and no space or "t=" in front. */
	for (size_t i = 0; i < input.length && n < sizeof(noise) - 1; i++)
		if (input.data[i] != ',' && input.data[i] != '\0' && input.data[i] != ' ')
			noise[n++] = (char) input.data[i];
	noise[n] = '\0';
	snprintf(stamp, sizeof(stamp), "%" PRId64, signed_at);
	sign(stamp, strlen(stamp), digits);
	if (strncmp(noise, "t=", 2) == 0)
		noise[0] = 'T';
	switch (order % 3)
	{
		case 0:
			written = snprintf(text, sizeof(text), "x%s=,t=%s,v1=%s", noise, stamp, digits);
			break;
		case 1:
			written = snprintf(text, sizeof(text), "v1=%s,v1=%s , t=%s", noise, digits, stamp);
			break;
		default:
			written = snprintf(text, sizeof(text), "t=%s,v1=%s,v0=%s", stamp, digits, noise);
			break;
	}
	header = (QzpayBytes) {text, (size_t) written};
	FUZZ_CHECK(qzpay_signature_stripe(mac, secret, header, body, now, tolerance) == in_time(signed_at, now, tolerance));

	/* The same with a digit of the signature changed. */
	digits[damage % DIGITS] = digits[damage % DIGITS] == '0' ? '1' : '0';
	header.length = (size_t) snprintf(text, sizeof(text), "t=%s,v1=%s", stamp, digits);
	result = qzpay_signature_stripe(mac, secret, header, body, now, tolerance);
	FUZZ_CHECK(result == (tolerance <= 0 ? QZPAY_SIGNATURE_CONFIG : QZPAY_SIGNATURE_MISMATCH));
	return 0;
}
