/*
 * pan.h
 *		Card numbers in what somebody hands in: refused before they are kept anywhere.
 */
#ifndef QZPAY_STORE_PAN_H
#define QZPAY_STORE_PAN_H

#include "postgres.h"

#include "utils/jsonb.h"

extern const char qzpay_pan_message[];

extern bool qzpay_text_holds_pan(const text *value);
extern bool qzpay_jsonb_holds_pan(Jsonb *value);
extern void qzpay_raise_pan(const char *argument) pg_attribute_noreturn();

#endif							/* QZPAY_STORE_PAN_H */
