/*
 * decimal.c
 *		The server's numeric and the core's decimal.
 *
 * numeric's structure is private to the server, but its stored form is part of every data directory that pg_upgrade takes along, so it
 * doesn't change: a 16-bit header, in the long form followed by a 16-bit weight, then digits to the base 10000, each 16 bits.  Reading it
 * costs a few nanoseconds where numeric_out() and a parser cost hundreds.  A regression test compares the two ways.
 *
 *		header 10SDDDDDDDWWWWWW	short form: sign, display scale, weight (7 bits, signed)
 *		header 0SDDDDDDDDDDDDDD	long form: sign, display scale; the weight follows
 *		header 11..............	NaN and the infinities
 *
 * The value is the sum of digit[i] * 10000^(weight - i).
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "store/decimal.h"

#define BASE 10000
#define BASE_DIGITS 4

#define FORM_MASK 0xC000
#define FORM_NEGATIVE 0x4000
#define FORM_SHORT 0x8000
#define FORM_SPECIAL 0xC000
#define SHORT_NEGATIVE 0x2000
#define SHORT_WEIGHT_NEGATIVE 0x0040
#define SHORT_WEIGHT_MASK 0x003F
#define SHORT_SCALE_SHIFT 7

/* What can be shifted by up to three places to whole digits of a numeric and still fits 64 bits, and how many digits that takes. */
#define SMALL_COEF INT64CONST(1000000000000000)
#define SMALL_DIGITS 5

/* A packed numeric need not be aligned. */
static inline int16
load_int16(const char *from)
{
	int16		value;

	memcpy(&value, from, sizeof(value));
	return value;
}

/* The last decimals without which the value has QZPAY_MAX_SCALE of them, and zeros beyond what is there. */
static QzpayCode
scale_decimal(QzpayInt128 coef, int scale, QzpayDecimal *out)
{
	if (qzpay_fits_i64(coef))
	{
		int64		small = (int64) coef;

		for (; scale > 0 && small % 10 == 0; scale--)
			small /= 10;
		coef = small;
	}
	for (; scale > 0 && coef % 10 == 0; scale--)
		coef /= 10;
	if (scale > QZPAY_MAX_SCALE)
		return QZPAY_E_SCALE;
	for (; scale < 0; scale += BASE_DIGITS)
	{
		if (!qzpay_wide_mul(coef, BASE, &coef))
			return QZPAY_E_OVERFLOW;
	}
	out->coef = coef;
	out->scale = scale;
	return QZPAY_OK;
}

/*
 * qzpay_decimal_from_numeric
 *		Reads a numeric datum, normalised.
 *
 * QZPAY_E_NAN for NaN and the infinities, QZPAY_E_SCALE for more decimals than QZPAY_MAX_SCALE, QZPAY_E_OVERFLOW for more than 38 digits.
 */
QzpayCode
qzpay_decimal_from_numeric(Datum value, QzpayDecimal *out)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);
	const char *data = VARDATA_ANY(packed);
	int			size = VARSIZE_ANY_EXHDR(packed);
	uint16		header = (uint16) load_int16(data);
	bool		negative;
	int			weight;
	int			n_digits;
	int			i = 0;
	QzpayInt128 coef = 0;

	data += sizeof(int16);
	size -= sizeof(int16);
	if ((header & FORM_MASK) == FORM_SPECIAL)
		return QZPAY_E_NAN;
	if ((header & FORM_MASK) == FORM_SHORT)
	{
		negative = (header & SHORT_NEGATIVE) != 0;
		weight = (header & SHORT_WEIGHT_NEGATIVE) ? (int) (header & SHORT_WEIGHT_MASK) - SHORT_WEIGHT_NEGATIVE : header & SHORT_WEIGHT_MASK;
	}
	else
	{
		negative = (header & FORM_MASK) == FORM_NEGATIVE;
		weight = load_int16(data);
		data += sizeof(int16);
		size -= sizeof(int16);
	}
	n_digits = size / (int) sizeof(int16);

	/* Four digits to the base 10000 fit a machine word; the common number has no more. */
	if (n_digits <= 4)
	{
		int64		small = 0;

		for (; i < n_digits; i++)
			small = small * BASE + load_int16(data + i * sizeof(int16));
		coef = small;
	}
	else
	{
		for (; i < n_digits; i++)
		{
			if (!qzpay_wide_mul(coef, BASE, &coef) || !qzpay_wide_add(coef, load_int16(data + i * sizeof(int16)), &coef))
				return QZPAY_E_OVERFLOW;
		}
	}
	if (negative)
		coef = -coef;
	if ((Pointer) packed != DatumGetPointer(value))
		pfree(packed);
	if (n_digits == 0)
		weight = -1;
	/* Whole numbers, the most common of all, need nothing more. */
	if (weight == n_digits - 1)
	{
		out->coef = coef;
		out->scale = 0;
		return QZPAY_OK;
	}
	return scale_decimal(coef, (n_digits - 1 - weight) * BASE_DIGITS, out);
}

/*
 * small_numeric
 *		The stored form of coef * 10^-scale, which has no zeros at its end: as the server makes it, without zero digits at either end.
 *
 * At half the cost of the server's own way, which goes by an unpacked form.
 */
static Datum
small_numeric(int64 coef, int scale)
{
	int			fraction = (scale + BASE_DIGITS - 1) / BASE_DIGITS;
	uint64		rest = (uint64) (coef < 0 ? -coef : coef) * qzpay_pow10[fraction * BASE_DIGITS - scale];
	int16		digits[SMALL_DIGITS];
	int			first = SMALL_DIGITS;
	int			last = SMALL_DIGITS;
	int			weight;
	uint16		header;
	char	   *result;
	int			size;

	for (; rest != 0; rest /= BASE)
		digits[--first] = (int16) (rest % BASE);
	/* Of zero the server says so, too. */
	weight = first == last ? 0 : last - first - fraction - 1;
	while (last > first && digits[last - 1] == 0)
		last--;
	header = FORM_SHORT | (coef < 0 ? SHORT_NEGATIVE : 0) | (scale << SHORT_SCALE_SHIFT) |
		(weight < 0 ? SHORT_WEIGHT_NEGATIVE : 0) | (weight & SHORT_WEIGHT_MASK);
	size = VARHDRSZ + sizeof(header) + (last - first) * sizeof(int16);
	result = palloc(size);
	SET_VARSIZE(result, size);
	memcpy(VARDATA(result), &header, sizeof(header));
	memcpy(VARDATA(result) + sizeof(header), digits + first, (last - first) * sizeof(int16));
	return PointerGetDatum(result);
}

/* A numeric datum without zeros at the end of its decimals, in the current memory context. */
Datum
qzpay_decimal_to_numeric(const QzpayDecimal *value)
{
	char		text[QZPAY_DECIMAL_BUFSIZE];

	if (value->coef <= SMALL_COEF && value->coef >= -SMALL_COEF)
	{
		int64		coef = (int64) value->coef;
		int			scale = value->scale;

		for (; scale > 0 && coef % 10 == 0; scale--)
			coef /= 10;
		return small_numeric(coef, scale);
	}
	qzpay_decimal_print(qzpay_decimal_normalise(*value), text);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/*
 * qzpay_core_error
 *		Raises what a result code of the core means for the argument or result named.
 */
void
qzpay_core_error(QzpayCode code, const char *what)
{
	switch (code)
	{
		case QZPAY_E_OVERFLOW:
			ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("%s is out of range", what)));
			break;
		case QZPAY_E_SCALE:
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("%s has too many decimals", what),
					 errdetail("Amounts are exact to %d decimals.", QZPAY_MAX_SCALE)));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid %s: %s", what, qzpay_code_message(code))));
	}
}
