/*
 * redact.h
 *		What must not be stored or logged: card numbers and secrets within free text.
 */
#ifndef QZPAY_REDACT_H
#define QZPAY_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* What stands in a redacted text for what was there. */
#define QZPAY_REDACTED "[redacted]"

/* Why what holds a card number is refused. */
#define QZPAY_CARD_NUMBER_MESSAGE "a value looks like a card number"

extern bool qzpay_contains_pan(const char *text, size_t length);
extern size_t qzpay_redact(const char *in, size_t length, char *out, size_t capacity);

#endif							/* QZPAY_REDACT_H */
