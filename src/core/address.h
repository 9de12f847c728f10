/*
 * address.h
 *		Which network addresses belong to the public Internet.
 */
#ifndef QZPAY_ADDRESS_H
#define QZPAY_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

extern bool qzpay_address_v4_is_global(const uint8_t address[4]);
extern bool qzpay_address_v6_is_global(const uint8_t address[16]);

#endif							/* QZPAY_ADDRESS_H */
