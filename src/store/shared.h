/*
 * shared.h
 *		Memory that all sessions share, where the library is preloaded.
 */
#ifndef QZPAY_SHARED_H
#define QZPAY_SHARED_H

#include "storage/lwlock.h"

/* A named area; memory and locks stay NULL where the library is not preloaded. */
typedef struct QzpayShared
{
	const char *name;			/* also that of its locks */
	Size		size;
	int			n_locks;
	void		(*begin) (void *memory);	/* fills it in, once per start of the server; NULL: zeroes will do */
	void	   *memory;
	LWLockPadded *locks;
	struct QzpayShared *next;
} QzpayShared;

extern void qzpay_shared_reserve(QzpayShared *area);

#endif							/* QZPAY_SHARED_H */
