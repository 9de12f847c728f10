/*
 * fuzz.h
 *		What the fuzzers share: a property that must hold, and reading the input piece by piece.
 */
#ifndef QZPAY_FUZZ_H
#define QZPAY_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

typedef struct FuzzInput
{
	const uint8_t *data;
	size_t		length;
} FuzzInput;

/* Take bytes off the front; what the input lacks is zero. */
static inline void
fuzz_take(FuzzInput *input, void *out, size_t length)
{
	size_t		there = length < input->length ? length : input->length;

	memset(out, 0, length);
	if (there > 0)
		memcpy(out, input->data, there);
	input->data += there;
	input->length -= there;
}

static inline uint8_t
fuzz_byte(FuzzInput *input)
{
	uint8_t		value;

	fuzz_take(input, &value, sizeof(value));
	return value;
}

static inline int64_t
fuzz_int64(FuzzInput *input)
{
	int64_t		value;

	fuzz_take(input, &value, sizeof(value));
	return value;
}

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#endif							/* QZPAY_FUZZ_H */
