/*
 * place.c
 *		Where rows were found, in memory that all sessions share, so that the next look needs no descent of an index.
 *
 * A place is a hint: whoever reads there makes sure that it is the row.  One word each, written and read at once, so there are no locks; of two keys of one
 * slot the later has it.  A table whose places are noted must never be truncated by vacuum.  Without shared_preload_libraries there is no such memory, and
 * nothing is ever found.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"

#include "compat.h"
#include "store/place.h"
#include "store/shared.h"

#define PLACES (1 << 19)		/* 4 MB */
#define EPOCHS 1024

/* A place is a tag of its key, the block and the line pointer, of which a page has fewer than 512. */
#define OFFSET_BITS 9
#define TAG_SHIFT (32 + OFFSET_BITS)

typedef struct Memory
{
	pg_atomic_uint32 epochs[EPOCHS];
	pg_atomic_uint64 places[PLACES];	/* 0: nothing */
} Memory;

static void
begin_memory(void *start)
{
	Memory	   *memory = start;

	for (int i = 0; i < EPOCHS; i++)
		pg_atomic_init_u32(&memory->epochs[i], 0);
	for (int i = 0; i < PLACES; i++)
		pg_atomic_init_u64(&memory->places[i], 0);
}

static QzpayShared shared = {.name = "qzpay_place",.size = sizeof(Memory),.begin = begin_memory};

#define memory ((Memory *) shared.memory)

/* Called once, by _PG_init. */
void
qzpay_place_init(void)
{
	qzpay_shared_reserve(&shared);
}

static inline pg_atomic_uint32 *
epoch_of(uint64 hash)
{
	return &memory->epochs[(hash >> 40) % EPOCHS];
}

/*
 * qzpay_place_key
 *		The key of a row of this table, to be made before the row is looked for that will be noted under it.
 *
 * A file that this transaction has made may still be cut off at its end; its rows have no places.
 */
void
qzpay_place_key(QzpayPlaceKey *key, Relation heap, const void *bytes, size_t length)
{
	key->hash = 0;
	if (memory == NULL || heap->rd_createSubid != InvalidSubTransactionId || qzpay_new_file_compat(heap))
		return;
	key->hash = hash_bytes_extended(bytes, length, ((uint64) MyDatabaseId << 32) ^ qzpay_file_number_compat(heap));
	key->epoch = pg_atomic_read_u32(epoch_of(key->hash));
	/* What is read from here on is not older than the epoch. */
	pg_read_barrier();
}

static inline pg_atomic_uint64 *
place_of(const QzpayPlaceKey *key)
{
	return &memory->places[key->hash % PLACES];
}

/* The other one of its line, for what has been displaced. */
static inline pg_atomic_uint64 *
second_place_of(const QzpayPlaceKey *key)
{
	return &memory->places[(key->hash % PLACES) ^ 1];
}

static inline uint64
tag_of(const QzpayPlaceKey *key)
{
	return (uint64) (murmurhash32((uint32) (key->hash >> 20)) + key->epoch * 0x9E3779B1) >> 9;
}

/* Has the processor fetch what qzpay_place_find() will look at. */
void
qzpay_place_prefetch(const QzpayPlaceKey *key)
{
	if (key->hash != 0)
		__builtin_prefetch(place_of(key));
}

/* Where the row was last seen, if anybody has noted that. */
bool
qzpay_place_find(const QzpayPlaceKey *key, ItemPointer tid)
{
	uint64		tag = tag_of(key);
	uint64		place;

	if (key->hash == 0)
		return false;
	place = pg_atomic_read_u64(place_of(key));
	if (place == 0 || place >> TAG_SHIFT != tag)
	{
		place = pg_atomic_read_u64(second_place_of(key));
		if (place == 0 || place >> TAG_SHIFT != tag)
			return false;
	}
	ItemPointerSet(tid, (BlockNumber) (place >> OFFSET_BITS), (OffsetNumber) (place & ((1 << OFFSET_BITS) - 1)));
	return OffsetNumberIsValid(ItemPointerGetOffsetNumberNoCheck(tid));
}

void
qzpay_place_note(const QzpayPlaceKey *key, const ItemPointerData *tid)
{
	OffsetNumber offset = ItemPointerGetOffsetNumber(tid);

	uint64		displaced;

	if (key->hash == 0 || offset >= 1 << OFFSET_BITS)
		return;
	displaced = pg_atomic_read_u64(place_of(key));
	if (displaced != 0 && displaced >> TAG_SHIFT != tag_of(key))
		pg_atomic_write_u64(second_place_of(key), displaced);
	pg_atomic_write_u64(place_of(key), tag_of(key) << TAG_SHIFT | (uint64) ItemPointerGetBlockNumber(tid) << OFFSET_BITS | offset);
}

/*
 * qzpay_place_outdate
 *		Makes sure that nothing noted under the key, or under keys of its kind made before this, is found any more.
 */
void
qzpay_place_outdate(const QzpayPlaceKey *key)
{
	if (key->hash != 0)
		pg_atomic_fetch_add_u32(epoch_of(key->hash), 1);
}
