/*
 * settings.h
 *		The seller's settings, read without SPI.
 */
#ifndef QZPAY_STORE_SETTINGS_H
#define QZPAY_STORE_SETTINGS_H

#include "utils/jsonb.h"

extern Jsonb *qzpay_setting(const char *name);
extern int	qzpay_setting_integers(const char *name, int *values, int max_values);

#endif							/* QZPAY_STORE_SETTINGS_H */
