/*
 * token_fuzz.c
 *		Tokens: whatever is issued opens its tenant for exactly its life; no other text opens anything.
 */
#include "core/signature.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static QzpayMac *mac = NULL;
	FuzzInput	input = {data, length};
	QzpayBytes	key = {"a key of the fuzzer", 19};
	uint8_t		installation[QZPAY_UUID_SIZE];
	uint8_t		tenant[QZPAY_UUID_SIZE];
	uint8_t		got[QZPAY_UUID_SIZE];
	char		text[QZPAY_TOKEN_LENGTH + 1];
	char		changed[QZPAY_TOKEN_LENGTH + 1];
	QzpayBytes	token = {text, QZPAY_TOKEN_LENGTH};
	QzpayBytes	altered = {changed, QZPAY_TOKEN_LENGTH};
	int64_t		expiry = fuzz_int64(&input);
	int64_t		now = fuzz_int64(&input);
	int64_t		longest = fuzz_int64(&input);
	int64_t		until = 0;
	QzpaySignature result;
	QzpaySignature expected;
	uint8_t		at;

	if (mac == NULL)
		mac = qzpay_mac_open();
	fuzz_take(&input, installation, sizeof(installation));
	fuzz_take(&input, tenant, sizeof(tenant));
	FUZZ_CHECK(qzpay_token_issue(mac, key, installation, tenant, expiry, text) == QZPAY_SIGNATURE_OK);
	FUZZ_CHECK(strlen(text) == QZPAY_TOKEN_LENGTH);

	/* The same judgement in 128 bits. */
	if (longest <= 0)
		expected = QZPAY_SIGNATURE_CONFIG;
	else if (expiry <= now)
		expected = QZPAY_SIGNATURE_TOO_OLD;
	else
		expected = (__int128) expiry - now > longest ? QZPAY_SIGNATURE_FUTURE : QZPAY_SIGNATURE_OK;
	result = qzpay_token_verify(mac, key, installation, token, now, longest, got, &until);
	FUZZ_CHECK(result == expected);
	if (result == QZPAY_SIGNATURE_OK)
		FUZZ_CHECK(until == expiry && memcmp(got, tenant, sizeof(got)) == 0);

	/* One character different. */
	memcpy(changed, text, sizeof(text));
	at = fuzz_byte(&input) % QZPAY_TOKEN_LENGTH;
	changed[at] = (char) fuzz_byte(&input);
	if (changed[at] != text[at])
	{
		result = qzpay_token_verify(mac, key, installation, altered, 0, INT64_MAX, got, &until);
		FUZZ_CHECK(result == QZPAY_SIGNATURE_MALFORMED || result == QZPAY_SIGNATURE_MISMATCH);
	}

	/* The rest of the input as a token, and as the tail of one. */
	altered = (QzpayBytes) {input.data, input.length};
	result = qzpay_token_verify(mac, key, installation, altered, 0, INT64_MAX, got, &until);
	FUZZ_CHECK(result == QZPAY_SIGNATURE_MALFORMED || result == QZPAY_SIGNATURE_MISMATCH);
	if (input.length > 0 && input.length <= QZPAY_TOKEN_LENGTH)
	{
		memcpy(changed, text, sizeof(text));
		memcpy(changed + QZPAY_TOKEN_LENGTH - input.length, input.data, input.length);
		altered = (QzpayBytes) {changed, QZPAY_TOKEN_LENGTH};
		result = qzpay_token_verify(mac, key, installation, altered, 0, INT64_MAX, got, &until);
		if (memcmp(changed, text, QZPAY_TOKEN_LENGTH) != 0)
			FUZZ_CHECK(result == QZPAY_SIGNATURE_MALFORMED || result == QZPAY_SIGNATURE_MISMATCH);
	}
	return 0;
}
