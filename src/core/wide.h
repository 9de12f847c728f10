/*
 * wide.h
 *		128-bit integers: the type, its limits and the multiplication that reports overflow.
 *
 * Included by core files only.  Everything here is static inline, so nothing is exported.
 */
#ifndef QZPAY_WIDE_H
#define QZPAY_WIDE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Aligned to 8, not to its natural 16: a server allocates memory aligned to 8, and the compiler would use instructions that fault
 * on anything less than what the type promises.
 */
typedef __int128 QzpayInt128 __attribute__((aligned(8)));
typedef unsigned __int128 QzpayUint128 __attribute__((aligned(8)));

#define QZPAY_MAX_SCALE 18

static const int64_t qzpay_pow10[QZPAY_MAX_SCALE + 1] = {
	INT64_C(1), INT64_C(10), INT64_C(100), INT64_C(1000), INT64_C(10000), INT64_C(100000), INT64_C(1000000),
	INT64_C(10000000), INT64_C(100000000), INT64_C(1000000000), INT64_C(10000000000), INT64_C(100000000000),
	INT64_C(1000000000000), INT64_C(10000000000000), INT64_C(100000000000000), INT64_C(1000000000000000),
	INT64_C(10000000000000000), INT64_C(100000000000000000), INT64_C(1000000000000000000)
};

/* 10^38 - 1, the largest magnitude of 38 digits: symmetrical, so that negation is always safe. */
#define QZPAY_WIDE_MAX (((QzpayInt128) INT64_C(1000000000000000000)) * INT64_C(1000000000000000000) * 100 - 1)

/*
 * qzpay_fits_i64
 *		Whether a value survives the conversion to int64_t.
 */
static inline bool
qzpay_fits_i64(QzpayInt128 value)
{
	return (QzpayInt128) (int64_t) value == value;
}

/*
 * qzpay_wide_mul
 *		a * b into *out; false when the magnitude is above QZPAY_WIDE_MAX.
 *
 * Written out because the compiler's checked 128-bit multiplication needs a run-time library that not every linker brings along.
 * The division is reached only when a factor is wider than 64 bits.  Needs |a|, |b| <= QZPAY_WIDE_MAX.
 */
static inline bool
qzpay_wide_mul(QzpayInt128 a, QzpayInt128 b, QzpayInt128 *out)
{
	/* Two values of 64 bits have a product of at most 2^126, which is within the limit. */
	if (!(qzpay_fits_i64(a) && qzpay_fits_i64(b)))
	{
		QzpayInt128 magnitude_a = a < 0 ? -a : a;
		QzpayInt128 magnitude_b = b < 0 ? -b : b;

		if (magnitude_a != 0 && magnitude_b > QZPAY_WIDE_MAX / magnitude_a)
			return false;
	}
	*out = a * b;
	return true;
}

/*
 * qzpay_wide_add
 *		a + b into *out; false when the magnitude is above QZPAY_WIDE_MAX.
 */
static inline bool
qzpay_wide_add(QzpayInt128 a, QzpayInt128 b, QzpayInt128 *out)
{
	QzpayInt128 sum;

	if (__builtin_add_overflow(a, b, &sum) || sum > QZPAY_WIDE_MAX || sum < -QZPAY_WIDE_MAX)
		return false;
	*out = sum;
	return true;
}

#endif
