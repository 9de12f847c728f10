/*
 * uuid.c
 *		Ids: derived ones (version 5), so that redone work gets the same identity, and new ones (version 7), ordered by time.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/hash.h"
#include "store/clock.h"
#include "store/uuid.h"

#define RANDOM_BYTES 10			/* of one version 7 id */
#define POOL_IDS 64

/* Version 5: SHA-1 of name space and name. */
void
qzpay_uuid_derive(pg_uuid_t *out, const pg_uuid_t *name_space, const char *name, size_t length)
{
	static QzpaySha1 *sha1 = NULL;	/* for the session */

	if (sha1 == NULL)
		sha1 = qzpay_sha1_open();
	if (qzpay_uuid_v5(sha1, name_space->data, name, length, out->data) != QZPAY_OK)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a hash")));
}

/* The same of a text datum. */
void
qzpay_uuid_derive_text(pg_uuid_t *out, const pg_uuid_t *name_space, Datum name)
{
	text	   *value = DatumGetTextPP(name);

	qzpay_uuid_derive(out, name_space, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* Random bytes, drawn many at a time since each drawing is a system call. */
static const uint8 *
next_random(void)
{
	static uint8 pool[POOL_IDS * RANDOM_BYTES];
	static size_t used = sizeof(pool);
	const uint8 *result;

	if (used == sizeof(pool))
	{
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		used = 0;
	}
	result = pool + used;
	used += RANDOM_BYTES;
	return result;
}

/*
 * qzpay_uuid_next
 *		Version 7: milliseconds of real time, then random bits; each greater than the one before in this backend.
 *
 * Within a millisecond, or when the clock has stepped back, the random part of the last id goes up by a random step, so later ids cannot
 * be guessed from earlier ones.
 */
void
qzpay_uuid_next(pg_uuid_t *out)
{
	static uint64 last_ms = 0;
	static uint64 last_high = 0;	/* 12 bits, beside the version */
	static uint64 last_low = 0; /* 62 bits, beside the variant */
	const uint64 low_mask = (UINT64CONST(1) << 62) - 1;
	uint64		ms;
	uint64		low;
	const uint8 *random = next_random();

	ms = (qzpay_clock_real() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000;
	memcpy(&low, random, sizeof(low));
	if (ms > last_ms)
	{
		last_ms = ms;
		last_high = ((random[8] << 8) | random[9]) & 0x7ff; /* room for carries */
		last_low = low & low_mask;
	}
	else
	{
		last_low += (low & 0xffffffff) + 1;
		if (last_low > low_mask)
		{
			last_low &= low_mask;
			last_high++;
		}
		/* 2^30 ids in one millisecond won't be, but a clock stuck in the past may be. */
		if (last_high > 0xfff)
		{
			last_high = 0;
			last_ms++;
		}
	}
	for (int i = 0; i < 6; i++)
		out->data[i] = (uint8) (last_ms >> (40 - 8 * i));
	out->data[6] = 0x70 | (uint8) (last_high >> 8);
	out->data[7] = (uint8) last_high;
	for (int i = 0; i < 8; i++)
		out->data[8 + i] = (uint8) (last_low >> (56 - 8 * i));
	out->data[8] |= 0x80;
}

static inline int
digit_of(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Whether the text is an id's, in the form in which ids are shown. */
bool
qzpay_uuid_parse_text(Datum value, pg_uuid_t *id)
{
	text	   *string = DatumGetTextPP(value);
	const char *at = VARDATA_ANY(string);

	if (VARSIZE_ANY_EXHDR(string) != 36 || at[8] != '-' || at[13] != '-' || at[18] != '-' || at[23] != '-')
		return false;
	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high;
		int			low;

		if (*at == '-')
			at++;
		high = digit_of(*at++);
		low = digit_of(*at++);
		if (high < 0 || low < 0)
			return false;
		id->data[i] = (unsigned char) (high << 4 | low);
	}
	return true;
}
