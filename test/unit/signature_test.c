/*
 * signature_test.c
 *		Signed webhooks and tenant tokens, against signatures made by another implementation.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/signature.h"
#include "tap.h"

#define STRIPE_GOOD "799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f"
#define STRIPE_TIME INT64_C(1492774577)
#define STRIPE_BODY "{\"id\":\"evt_1\"}"
#define WRONG "0000000000000000000000000000000000000000000000000000000000000000"
#define TOKEN "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAAAGVT8TyeAPfgR3c8nQb-jBWT5lc2sS313X-zHyqZapzoqYchXA"
#define TOKEN_EXPIRY INT64_C(1700000060)

static QzpayBytes
bytes(const char *text)
{
	QzpayBytes	result = {text, strlen(text)};

	return result;
}

static QzpaySignature
stripe(const char *header, int64_t now, int64_t tolerance)
{
	return qzpay_signature_stripe(NULL, bytes("whsec_test_secret"), bytes(header), bytes(STRIPE_BODY), now, tolerance);
}

static void
test_stripe_headers(void)
{
	static const struct
	{
		const char *header;
		QzpaySignature expected;
		const char *name;
	}			cases[] = {
		{"t=1492774577,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_OK, "genuine"},
		{"v1=" STRIPE_GOOD ",t=1492774577", QZPAY_SIGNATURE_OK, "in the other order"},
		{" t=1492774577 , v1=" STRIPE_GOOD " ", QZPAY_SIGNATURE_OK, "spaces around the items"},
		{"t=1492774577,v1=799C4BA7BB339F3C8601ADFD112F0E477C930A268BE1243D341ABB8286501C2F", QZPAY_SIGNATURE_OK, "upper case"},
		{"t=1492774577,v1=" WRONG ",v1=" STRIPE_GOOD, QZPAY_SIGNATURE_OK, "the second of two secrets"},
		{"t=1492774577,v1=" STRIPE_GOOD ",v1=" WRONG, QZPAY_SIGNATURE_OK, "the first of two secrets"},
		{"t=1492774577,v0=" WRONG ",v1=" STRIPE_GOOD ",v2=?", QZPAY_SIGNATURE_OK, "other versions beside it"},
		{"t=1492774577,v1=junk,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_OK, "an unreadable signature beside it"},
		{"t=1492774577,v1=" STRIPE_GOOD ",", QZPAY_SIGNATURE_OK, "a comma at the end"},
		{"t=1492774577,v1=" WRONG, QZPAY_SIGNATURE_MISMATCH, "wrong signature"},
		{"t=1492774578,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MISMATCH, "another time than signed"},
		{"t=01492774577,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MISMATCH, "the same time in another text"},
		{"t=1492774577,v1=" WRONG ",v0=" STRIPE_GOOD, QZPAY_SIGNATURE_MISMATCH, "right only as v0"},
		{"t=1492774577,v0=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "v0 alone"},
		{"t=1492774577,V1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "keys are in lower case"},
		{"t=1492774577,v1=" STRIPE_GOOD "0", QZPAY_SIGNATURE_MALFORMED, "too long"},
		{"t=1492774577,v1=799c", QZPAY_SIGNATURE_MALFORMED, "too short"},
		{"t=1492774577,v1=", QZPAY_SIGNATURE_MALFORMED, "empty"},
		{"t=1492774577,v1=g99c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f", QZPAY_SIGNATURE_MALFORMED, "no digits"},
		{"t=1492774577", QZPAY_SIGNATURE_MALFORMED, "no signature"},
		{"v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "no time"},
		{"t=,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "empty time"},
		{"t=-1,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "negative time"},
		{"t=1492774577.0,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "fractional time"},
		{"t=1492774577x,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "letters in the time"},
		{"t=1000000000000000000,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "time of 19 digits"},
		{"t=1492774577,t=1492774577,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "two times"},
		{"t=1492774577,,v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "an empty item"},
		{"t=1492774577;v1=" STRIPE_GOOD, QZPAY_SIGNATURE_MALFORMED, "another separator"},
		{"junk", QZPAY_SIGNATURE_MALFORMED, "no items"},
		{" ", QZPAY_SIGNATURE_MALFORMED, "a space"},
		{"", QZPAY_SIGNATURE_MALFORMED, "an empty header"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		tap_int(stripe(cases[i].header, STRIPE_TIME, 300), cases[i].expected, "stripe header: %s", cases[i].name);
}

static void
test_stripe_limits(void)
{
	static const char good[] = "t=1492774577,v1=" STRIPE_GOOD;
	QzpayBytes	nothing = {NULL, 0};
	QzpayMac   *mac = qzpay_mac_open();

	tap_int(stripe(good, STRIPE_TIME + 300, 300), QZPAY_SIGNATURE_OK, "the last second of the tolerance");
	tap_int(stripe(good, STRIPE_TIME + 301, 300), QZPAY_SIGNATURE_TOO_OLD, "the second after it");
	tap_int(stripe(good, STRIPE_TIME - 300, 300), QZPAY_SIGNATURE_OK, "as far ahead of our clock");
	tap_int(stripe(good, STRIPE_TIME - 301, 300), QZPAY_SIGNATURE_FUTURE, "further ahead");
	tap_int(stripe(good, INT64_MAX, INT64_MAX - STRIPE_TIME), QZPAY_SIGNATURE_OK, "the end of time, tolerated");
	tap_int(stripe(good, INT64_MAX, INT64_MAX - STRIPE_TIME - 1), QZPAY_SIGNATURE_TOO_OLD, "the end of time");
	tap_int(stripe(good, INT64_MIN, INT64_MAX), QZPAY_SIGNATURE_FUTURE, "the beginning of time");
	tap_int(stripe("t=1492774577,v1=" WRONG, STRIPE_TIME + 301, 300), QZPAY_SIGNATURE_MISMATCH, "a forgery is not called old");
	tap_int(stripe(good, STRIPE_TIME, 0), QZPAY_SIGNATURE_CONFIG, "no tolerance");
	tap_int(stripe(good, STRIPE_TIME, -1), QZPAY_SIGNATURE_CONFIG, "negative tolerance");
	tap_int(qzpay_signature_stripe(NULL, nothing, bytes(good), bytes(STRIPE_BODY), STRIPE_TIME, 300),
			QZPAY_SIGNATURE_CONFIG, "no secret");
	tap_int(qzpay_signature_stripe(NULL, bytes("whsec_test_secret"), nothing, bytes(STRIPE_BODY), STRIPE_TIME, 300),
			QZPAY_SIGNATURE_MALFORMED, "no header");
	tap_int(qzpay_signature_stripe(NULL, bytes("whsec_test_secret"), bytes(good), nothing, STRIPE_TIME, 300),
			QZPAY_SIGNATURE_MISMATCH, "no body");
	tap_int(qzpay_signature_stripe(mac, bytes("whsec_test_secret"), bytes(good), bytes(STRIPE_BODY), STRIPE_TIME, 300),
			QZPAY_SIGNATURE_OK, "with an HMAC that is kept");
	tap_int(qzpay_signature_stripe(mac, bytes("whsec_other"), bytes(good), bytes(STRIPE_BODY), STRIPE_TIME, 300),
			QZPAY_SIGNATURE_MISMATCH, "another secret");
	tap_int(qzpay_signature_stripe(mac, bytes("whsec_test_secret"), bytes(good), bytes(STRIPE_BODY " "), STRIPE_TIME, 300),
			QZPAY_SIGNATURE_MISMATCH, "a body with a space more");
	qzpay_mac_close(mac);
}

static QzpaySignature
mercadopago(const char *header, const char *id, const char *request_id, int64_t now)
{
	return qzpay_signature_mercadopago(NULL, bytes("mp-secret"), bytes(header), bytes(id), bytes(request_id), now, 300);
}

static void
test_mercadopago(void)
{
	static const char full[] = "ts=1704908010,v1=f91308844e10442bc7b182aba22b7bcdad297c2b40639a7cc820cc4d16e563fd";
	static const char bare[] = "ts=1704908010,v1=f338d3693447f7b5016bd90ae9f624192b178c0235970e57067d0f28c35f9d9a";
	static const char fine[] = "ts=1704908010123,v1=0ff718e6bc2347ce0c7e7038b3002586909197006bc1e1ee36bf9df98d70002c";
	const int64_t at = INT64_C(1704908010);
	QzpayBytes	nothing = {NULL, 0};
	char		long_id[258];

	tap_int(mercadopago(full, "ORD01ABC", "req-1", at), QZPAY_SIGNATURE_OK, "id, request and time; the id in lower case");
	tap_int(mercadopago(full, "ord01abc", "req-1", at), QZPAY_SIGNATURE_OK, "an id that is in lower case already");
	tap_int(mercadopago(bare, "ord01abc", "", at), QZPAY_SIGNATURE_OK, "without a request id");
	tap_int(qzpay_signature_mercadopago(NULL, bytes("mp-secret"), bytes(bare), bytes("ord01abc"), nothing, at, 300),
			QZPAY_SIGNATURE_OK, "with no request id at all");
	tap_int(mercadopago(fine, "123456", "req-1", at), QZPAY_SIGNATURE_OK, "time in milliseconds");
	tap_int(mercadopago(fine, "123456", "req-1", at + 301), QZPAY_SIGNATURE_TOO_OLD, "milliseconds too old");
	tap_int(mercadopago(full, "ord01abc", "req-1", at + 300), QZPAY_SIGNATURE_OK, "the last second of the tolerance");
	tap_int(mercadopago(full, "ord01abc", "req-1", at + 301), QZPAY_SIGNATURE_TOO_OLD, "too old");
	tap_int(mercadopago(full, "ord01abc", "req-1", at - 301), QZPAY_SIGNATURE_FUTURE, "too far ahead");
	tap_int(mercadopago(full, "ord01abd", "req-1", at), QZPAY_SIGNATURE_MISMATCH, "another id");
	tap_int(mercadopago(full, "ord01abc", "req-2", at), QZPAY_SIGNATURE_MISMATCH, "another request");
	tap_int(mercadopago(full, "ord01abc", "REQ-1", at), QZPAY_SIGNATURE_MISMATCH, "the request keeps its case");
	tap_int(mercadopago(full, "ord01abc;request-id:req-1", "", at), QZPAY_SIGNATURE_MALFORMED, "an id that holds the rest of the manifest");
	tap_int(mercadopago(bare, "ord01abc", ";", at), QZPAY_SIGNATURE_MALFORMED, "a request id with a semicolon");
	tap_int(mercadopago(full, "", "req-1", at), QZPAY_SIGNATURE_MALFORMED, "no id, so nothing to look up");
	tap_int(mercadopago("t=1704908010,v1=" WRONG, "1", "req-1", at), QZPAY_SIGNATURE_MALFORMED, "the time has another name than Stripe's");
	memset(long_id, '1', 257);
	long_id[257] = '\0';
	tap_int(mercadopago(full, long_id, "req-1", at), QZPAY_SIGNATURE_MALFORMED, "an id of 257 bytes");
	tap_int(mercadopago(full, long_id + 1, "req-1", at), QZPAY_SIGNATURE_MISMATCH, "an id of 256 bytes is read");
	tap_int(qzpay_signature_mercadopago(NULL, nothing, bytes(full), bytes("1"), nothing, at, 300), QZPAY_SIGNATURE_CONFIG, "no secret");
	tap_int(qzpay_signature_mercadopago(NULL, bytes("s"), bytes(full), bytes("1"), nothing, at, 0), QZPAY_SIGNATURE_CONFIG, "no tolerance");
}

static uint8_t installation[QZPAY_UUID_SIZE];
static uint8_t tenant[QZPAY_UUID_SIZE];

/* Verify a token that must be refused: the result, if nothing was written. */
static int
refused(QzpayBytes token, int64_t now, int64_t longest)
{
	uint8_t		got[QZPAY_UUID_SIZE] = {0};
	static const uint8_t zeros[QZPAY_UUID_SIZE] = {0};
	int64_t		expiry = -7;
	QzpaySignature result = qzpay_token_verify(NULL, bytes("token-key"), installation, token, now, longest, got, &expiry);

	return memcmp(got, zeros, sizeof(got)) == 0 && expiry == -7 ? (int) result : -1;
}

static void
test_tokens(void)
{
	char		text[QZPAY_TOKEN_LENGTH + 1];
	uint8_t		got[QZPAY_UUID_SIZE];
	uint8_t		other[QZPAY_UUID_SIZE] = {9};
	int64_t		expiry = 0;
	QzpayBytes	nothing = {NULL, 0};

	for (int i = 0; i < QZPAY_UUID_SIZE; i++)
	{
		installation[i] = (uint8_t) i;
		tenant[i] = (uint8_t) (16 + i);
	}
	tap_int(qzpay_token_issue(NULL, bytes("token-key"), installation, tenant, TOKEN_EXPIRY, text), QZPAY_SIGNATURE_OK, "a token is issued");
	tap_text(text, TOKEN, "as another implementation writes it");
	tap_int(qzpay_token_verify(NULL, bytes("token-key"), installation, bytes(TOKEN), TOKEN_EXPIRY - 60, 60, got, &expiry),
			QZPAY_SIGNATURE_OK, "and opens, with the longest life allowed");
	tap_ok(memcmp(got, tenant, sizeof(got)) == 0, "its tenant");
	tap_int(expiry, TOKEN_EXPIRY, "until its expiry");
	tap_int(qzpay_token_verify(NULL, bytes("token-key"), installation, bytes(TOKEN), TOKEN_EXPIRY - 1, 60, got, &expiry),
			QZPAY_SIGNATURE_OK, "in its last second");
	tap_int(refused(bytes(TOKEN), TOKEN_EXPIRY, 60), QZPAY_SIGNATURE_TOO_OLD, "at its expiry it is over");
	tap_int(refused(bytes(TOKEN), INT64_MAX, 60), QZPAY_SIGNATURE_TOO_OLD, "at the end of time too");
	tap_int(refused(bytes(TOKEN), TOKEN_EXPIRY - 61, 60), QZPAY_SIGNATURE_FUTURE, "a longer life than allowed");
	tap_int(refused(bytes(TOKEN), INT64_MIN, INT64_MAX), QZPAY_SIGNATURE_FUTURE, "no clock makes the lifetime overflow");
	tap_int(refused(bytes(TOKEN), TOKEN_EXPIRY - 1, 0), QZPAY_SIGNATURE_CONFIG, "no limit configured");
	tap_int(qzpay_token_verify(NULL, nothing, installation, bytes(TOKEN), TOKEN_EXPIRY - 1, 60, got, &expiry),
			QZPAY_SIGNATURE_CONFIG, "no key to verify with");
	tap_int(qzpay_token_issue(NULL, nothing, installation, tenant, TOKEN_EXPIRY, text), QZPAY_SIGNATURE_CONFIG, "no key to issue with");
	tap_int(qzpay_token_verify(NULL, bytes("token-kex"), installation, bytes(TOKEN), TOKEN_EXPIRY - 1, 60, got, &expiry),
			QZPAY_SIGNATURE_MISMATCH, "another key");
	tap_int(qzpay_token_verify(NULL, bytes("token-key"), other, bytes(TOKEN), TOKEN_EXPIRY - 1, 60, got, &expiry),
			QZPAY_SIGNATURE_MISMATCH, "another installation");
	qzpay_token_issue(NULL, bytes("token-key"), installation, tenant, -1, text);
	tap_int(refused(bytes(text), 0, 60), QZPAY_SIGNATURE_TOO_OLD, "an expiry before 1970");
	tap_int(qzpay_token_verify(NULL, bytes("token-key"), installation, bytes(text), -2, 60, got, &expiry), QZPAY_SIGNATURE_OK, "is read");
	tap_int(expiry, -1, "as it was written");

	tap_int(refused(nothing, 0, 60), QZPAY_SIGNATURE_MALFORMED, "no token");
	tap_int(refused(bytes(TOKEN "A"), 0, 60), QZPAY_SIGNATURE_MALFORMED, "a character more");
	tap_int(refused(bytes(TOKEN + 1), 0, 60), QZPAY_SIGNATURE_MALFORMED, "a character less");
	for (int i = 0; i < QZPAY_TOKEN_LENGTH; i++)
	{
		strcpy(text, TOKEN);
		text[i] = text[i] == 'A' ? 'Q' : 'A';
		/* The version is in the first two characters.  Of the last one's six bits only two are used, and Q differs in those. */
		tap_int(refused(bytes(text), TOKEN_EXPIRY - 1, 60), i < 2 ? QZPAY_SIGNATURE_MALFORMED : QZPAY_SIGNATURE_MISMATCH,
				"character %d changed", i);
	}
	strcpy(text, TOKEN);
	text[QZPAY_TOKEN_LENGTH - 1]++;
	tap_int(refused(bytes(text), TOKEN_EXPIRY - 1, 60), QZPAY_SIGNATURE_MALFORMED, "another text of the same bytes");
	for (const char *bad = "+/= .\n\x80"; *bad != '\0'; bad++)
	{
		strcpy(text, TOKEN);
		text[50] = *bad;
		tap_int(refused(bytes(text), TOKEN_EXPIRY - 1, 60), QZPAY_SIGNATURE_MALFORMED, "byte %d is not base64url", (unsigned char) *bad);
	}
	strcpy(text, TOKEN);
	text[50] = '\0';
	tap_int(refused((QzpayBytes) {text, QZPAY_TOKEN_LENGTH}, 0, 60), QZPAY_SIGNATURE_MALFORMED, "byte 0 is not base64url");
}

static void
test_messages(void)
{
	for (int i = QZPAY_SIGNATURE_OK; i <= QZPAY_SIGNATURE_CRYPTO; i++)
		for (int j = QZPAY_SIGNATURE_OK; j < i; j++)
			tap_ok(strcmp(qzpay_signature_message((QzpaySignature) i), qzpay_signature_message((QzpaySignature) j)) != 0,
				   "results %d and %d have different messages", i, j);
	tap_text(qzpay_signature_message((QzpaySignature) 99), "unknown result", "a result that does not exist");
}

/* Last, since the library is of no use afterwards. */
static void
test_library_failure(void)
{
	char		text[QZPAY_TOKEN_LENGTH + 1];
	uint8_t		out[QZPAY_SHA256_SIZE];
	uint8_t		got[QZPAY_UUID_SIZE];
	int64_t		expiry;

	if (!tap_ok(EVP_set_default_properties(NULL, "provider=none") == 1, "no algorithm is to be found"))
		return;
	tap_ok(qzpay_mac_open() == NULL, "no HMAC");
	tap_int(qzpay_hmac_sha256(NULL, bytes("key"), NULL, 0, out), QZPAY_E_CRYPTO, "hmac");
	tap_int(qzpay_sha256(NULL, 0, out), QZPAY_E_CRYPTO, "sha256");
	tap_int(qzpay_uuid_v5(NULL, installation, "name", 4, out), QZPAY_E_CRYPTO, "uuid");
	tap_int(stripe("t=1492774577,v1=" STRIPE_GOOD, STRIPE_TIME, 300), QZPAY_SIGNATURE_CRYPTO, "stripe");
	tap_int(mercadopago("ts=1704908010,v1=" WRONG, "1", "", 1704908010), QZPAY_SIGNATURE_CRYPTO, "mercadopago");
	tap_int(qzpay_token_issue(NULL, bytes("token-key"), installation, tenant, 0, text), QZPAY_SIGNATURE_CRYPTO, "issue");
	tap_int(qzpay_token_verify(NULL, bytes("token-key"), installation, bytes(TOKEN), 0, 60, got, &expiry), QZPAY_SIGNATURE_CRYPTO, "verify");
}

int
main(void)
{
	test_stripe_headers();
	test_stripe_limits();
	test_mercadopago();
	test_tokens();
	test_messages();
	test_library_failure();
	return tap_done();
}
