/*
 * redact.h
 *		Card numbers and secrets in free text.
 */
#ifndef QZPAY_REDACT_H
#define QZPAY_REDACT_H

#include <stdbool.h>
#include <stddef.h>

extern bool qzpay_contains_pan(const char *text, size_t length);
extern size_t qzpay_redact(const char *text, size_t length, char *out, size_t capacity);

#endif							/* QZPAY_REDACT_H */
