/*
 * address.c
 *		Which network addresses belong to the public Internet.
 *
 * A request to a user's URL must never reach the server's own network.  The lists are the IANA special-purpose registries (RFC 6890 and
 * what was added since), read strictly: what is not plainly global is not.
 */
#include "core/address.h"

#include <stddef.h>

/*
 * qzpay_address_v4_is_global
 *		Whether an IPv4 address, in network order, is one of the public Internet.
 */
bool
qzpay_address_v4_is_global(const uint8_t address[4])
{
	static const struct
	{
		uint32_t	network;
		int			bits;
	}			special[] = {
		{0x00000000, 8},		/* this network */
		{0x0A000000, 8},		/* private */
		{0x64400000, 10},		/* carrier-grade NAT */
		{0x7F000000, 8},		/* loopback */
		{0xA9FE0000, 16},		/* link-local, cloud metadata */
		{0xAC100000, 12},		/* private */
		{0xC0000000, 24},		/* IETF protocols */
		{0xC0000200, 24},		/* documentation */
		{0xC0586300, 24},		/* 6to4 relays */
		{0xC0A80000, 16},		/* private */
		{0xC6120000, 15},		/* benchmarks */
		{0xC6336400, 24},		/* documentation */
		{0xCB007100, 24},		/* documentation */
		{0xE0000000, 3},		/* multicast, reserved, broadcast */
	};
	uint32_t	value = (uint32_t) address[0] << 24 | (uint32_t) address[1] << 16 | (uint32_t) address[2] << 8 | address[3];
	size_t		i;

	for (i = 0; i < sizeof(special) / sizeof(special[0]); i++)
	{
		if ((value ^ special[i].network) >> (32 - special[i].bits) == 0)
			return false;
	}
	return true;
}

/*
 * qzpay_address_v6_is_global
 *		Whether an IPv6 address, in network order, is one of the public Internet.
 *
 * Only 2000::/3 is given out; within it, tunnels and documentation lead elsewhere.  Mapped and translated IPv4 lies outside of it, so no
 * spelling of a private IPv4 address passes.
 */
bool
qzpay_address_v6_is_global(const uint8_t address[16])
{
	if ((address[0] & 0xE0) != 0x20)
		return false;
	if (address[0] == 0x20 && address[1] == 0x01)
	{
		if (address[2] < 0x02)	/* 2001::/23: Teredo, ORCHID, benchmarks */
			return false;
		if (address[2] == 0x0D && address[3] == 0xB8)	/* documentation */
			return false;
	}
	if (address[0] == 0x20 && address[1] == 0x02)	/* 6to4 */
		return false;
	if (address[0] == 0x3F && address[1] == 0xFF && address[2] < 0x10)	/* documentation */
		return false;
	return true;
}
