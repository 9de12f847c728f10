/*
 * hash_test.c
 *		Digests against published vectors: FIPS 180-4, RFC 4231, RFC 9562.
 */
#include <string.h>

#include "core/hash.h"
#include "tap.h"

static QzpayBytes
bytes(const char *text)
{
	QzpayBytes	result = {text, strlen(text)};

	return result;
}

static void
test_digests(void)
{
	uint8_t		out[QZPAY_SHA256_SIZE];
	QzpayBytes	abc = bytes("abc");
	QzpayBytes	parts[4] = {bytes("a"), {NULL, 0}, bytes("b"), bytes("c")};

	tap_int(qzpay_sha1(&abc, 1, out), QZPAY_OK, "sha1");
	tap_bytes(out, "a9993e364706816aba3e25717850c26c9cd0d89d", "sha1 of abc");
	qzpay_sha1(parts, 4, out);
	tap_bytes(out, "a9993e364706816aba3e25717850c26c9cd0d89d", "parts count as one");
	tap_int(qzpay_sha256(&abc, 1, out), QZPAY_OK, "sha256");
	tap_bytes(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "sha256 of abc");
	qzpay_sha256(NULL, 0, out);
	tap_bytes(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "sha256 of nothing");
}

static void
test_hmac(void)
{
	static const char case2[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
	uint8_t		out[QZPAY_SHA256_SIZE];
	char		long_key[131];
	QzpayBytes	key = {long_key, sizeof(long_key)};
	QzpayBytes	data = bytes("what do ya want for nothing?");
	QzpayBytes	parts[2] = {bytes("what do ya want "), bytes("for nothing?")};
	QzpayMac   *mac = qzpay_mac_open();

	tap_ok(mac != NULL, "an HMAC is prepared");
	tap_int(qzpay_hmac_sha256(NULL, bytes("Jefe"), &data, 1, out), QZPAY_OK, "hmac prepared for the call");
	tap_bytes(out, case2, "RFC 4231 case 2");
	memset(out, 0, sizeof(out));
	qzpay_hmac_sha256(mac, bytes("Jefe"), parts, 2, out);
	tap_bytes(out, case2, "the same in parts");

	memset(long_key, 0xaa, sizeof(long_key));
	data = bytes("Test Using Larger Than Block-Size Key - Hash Key First");
	tap_int(qzpay_hmac_sha256(mac, key, &data, 1, out), QZPAY_OK, "another key, same preparation");
	tap_bytes(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", "RFC 4231 case 6: a key longer than a block");

	key.data = NULL;
	key.length = 0;
	tap_int(qzpay_hmac_sha256(mac, key, NULL, 0, out), QZPAY_OK, "an empty key is a key");
	tap_bytes(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "and not the one before");
	qzpay_hmac_sha256(mac, bytes("Jefe"), parts, 2, out);
	tap_bytes(out, case2, "back to the first key");
	qzpay_mac_close(mac);
	qzpay_mac_close(NULL);
}

static void
test_uuids(void)
{
	/* RFC 9562, appendices A.4 and A.6 */
	static const uint8_t dns[QZPAY_UUID_SIZE] = {
		0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8
	};
	static const uint8_t random[QZPAY_UUID_RANDOM_SIZE] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
	static const uint8_t ones[QZPAY_UUID_RANDOM_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	static const uint8_t zeros[QZPAY_UUID_RANDOM_SIZE] = {0};
	uint8_t		out[QZPAY_UUID_SIZE] = {0};

	tap_int(qzpay_uuid_v5(NULL, dns, "www.example.com", 15, out), QZPAY_OK, "version 5");
	tap_bytes(out, "2ed6657de927568b95e12665a8aea6a2", "RFC 9562 A.4");
	tap_int(qzpay_uuid_v5(NULL, dns, NULL, 0, out), QZPAY_OK, "version 5 of an empty name");
	tap_bytes(out, "4ebd020883285d698c44ec50939c0967", "as another implementation has it");

	tap_int(qzpay_uuid_v7(INT64_C(0x017f22e279b0), random, out), QZPAY_OK, "version 7");
	tap_bytes(out, "017f22e279b07cc398c4dc0c0c07398f", "RFC 9562 A.6");
	qzpay_uuid_v7(0, zeros, out);
	tap_bytes(out, "00000000000070008000000000000000", "the first instant, all random bits clear");
	qzpay_uuid_v7((INT64_C(1) << 48) - 1, ones, out);
	tap_bytes(out, "ffffffffffff7fffbfffffffffffffff", "the last instant, all random bits set");
	tap_int(qzpay_uuid_v7(-1, zeros, out), QZPAY_E_RANGE, "before 1970");
	tap_int(qzpay_uuid_v7(INT64_C(1) << 48, zeros, out), QZPAY_E_RANGE, "beyond 48 bits");
	tap_bytes(out, "ffffffffffff7fffbfffffffffffffff", "a refused time writes nothing");
}

static void
test_hex(void)
{
	static const uint8_t sample[4] = {0x00, 0x9f, 0xa0, 0xff};
	char		text[9];
	uint8_t		out[4] = {1, 2, 3, 4};
	static const char *const bad[] = {"0g", "g0", "/0", ":0", "@0", "G0", "`0", " 0", "0x", "\xc3\xa9"};

	qzpay_hex_encode(sample, 4, text);
	tap_text(text, "009fa0ff", "lower-case digits");
	qzpay_hex_encode(sample, 0, text);
	tap_text(text, "", "of nothing");
	tap_int(qzpay_hex_decode("009Fa0Ff", 8, out), QZPAY_OK, "either case is read");
	tap_bytes(out, "009fa0ff", "into its bytes");
	tap_int(qzpay_hex_decode("123", 3, out), QZPAY_E_INVALID, "odd number of digits");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_int(qzpay_hex_decode(bad[i], 2, out), QZPAY_E_INVALID, "\"%s\" is not hexadecimal", bad[i]);
	tap_int(qzpay_hex_decode("", 0, out), QZPAY_OK, "no digits are no bytes");
	tap_ok(qzpay_bytes_equal("abc", "abd", 2), "equal stretches");
	tap_ok(!qzpay_bytes_equal("abc", "abd", 3), "stretches that differ in the last byte");
	tap_ok(qzpay_bytes_equal("a", "b", 0), "empty stretches");
}

int
main(void)
{
	test_digests();
	test_hmac();
	test_uuids();
	test_hex();
	return tap_done();
}
