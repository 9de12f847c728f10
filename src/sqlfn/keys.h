/*
 * keys.h
 *		Foreign keys of many new rows, checked by set.
 */
#ifndef QZPAY_SQLFN_KEYS_H
#define QZPAY_SQLFN_KEYS_H

extern void qzpay_keys_init(void);

#endif							/* QZPAY_SQLFN_KEYS_H */
