/*
 * tap.h
 *		What a unit test says, in the Test Anything Protocol.  One program per *_test.c; its main ends with "return tap_done();".
 *
 * Each check returns whether it passed.  got comes first, then what is expected; the name is a printf format.
 */
#ifndef QZPAY_TAP_H
#define QZPAY_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAP_FORMAT(position) __attribute__((format(printf, position, position + 1)))

extern bool tap_ok(bool passed, const char *name, ...) TAP_FORMAT(2);
extern bool tap_int(int64_t got, int64_t expected, const char *name, ...) TAP_FORMAT(3);
extern bool tap_text(const char *got, const char *expected, const char *name, ...) TAP_FORMAT(3);
extern bool tap_bytes(const void *got, const char *expected_hex, const char *name, ...) TAP_FORMAT(3);
extern void tap_note(const char *text, ...) TAP_FORMAT(1);
extern int	tap_done(void);

#endif							/* QZPAY_TAP_H */
