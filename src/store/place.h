/*
 * place.h
 *		Where rows were found, in memory that all sessions share.
 */
#ifndef QZPAY_STORE_PLACE_H
#define QZPAY_STORE_PLACE_H

#include "storage/itemptr.h"
#include "utils/rel.h"

/* A row's key as the places know it; a table's keys are hashed with its file, so that another file's places are never found. */
typedef struct QzpayPlaceKey
{
	uint64		hash;			/* 0: places are of no use here */
	uint32		epoch;			/* of the keys of this hash when it was made */
} QzpayPlaceKey;

extern void qzpay_place_init(void);
extern void qzpay_place_key(QzpayPlaceKey *key, Relation heap, const void *bytes, size_t length);
extern bool qzpay_place_find(const QzpayPlaceKey *key, ItemPointer tid);
extern void qzpay_place_prefetch(const QzpayPlaceKey *key);
extern void qzpay_place_note(const QzpayPlaceKey *key, const ItemPointerData *tid);
extern void qzpay_place_outdate(const QzpayPlaceKey *key);

#endif							/* QZPAY_STORE_PLACE_H */
