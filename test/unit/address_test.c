/*
 * address_test.c
 *		First and last addresses of every special range, and their neighbours outside of it.
 */
#include <arpa/inet.h>
#include <string.h>

#include "core/address.h"
#include "tap.h"

static void
check(const char *text, bool expected)
{
	uint8_t		address[16];
	bool		is_v6 = strchr(text, ':') != NULL;
	bool		got;

	if (!tap_int(inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address), 1, "%s is an address", text))
		return;
	got = is_v6 ? qzpay_address_v6_is_global(address) : qzpay_address_v4_is_global(address);
	tap_int(got, expected, "%s is %s", text, expected ? "global" : "not global");
}

int
main(void)
{
	static const char *const global[] = {
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
		"169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
		"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255",
		"203.0.114.0", "223.255.255.255", "8.8.8.8",
		"2000::", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "2001:4860:4860::8888", "2003::1", "2600::1", "3fff:1000::1",
		"3fff:ffff::1"
	};
	static const char *const special[] = {
		"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
		"169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.0",
		"192.0.2.255", "192.88.99.0", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.0",
		"198.51.100.255", "203.0.113.0", "203.0.113.255", "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
		"::", "::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "1fff::1", "2001::1",
		"2001:1ff:ffff::1", "2001:db8::", "2001:db8:ffff::1", "2002::1", "2002:a00:1::1", "3fff::", "3fff:fff:ffff::1", "4000::1",
		"5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1"
	};

	for (size_t i = 0; i < sizeof(global) / sizeof(global[0]); i++)
		check(global[i], true);
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		check(special[i], false);
	return tap_done();
}
