/*
 * uuid.h
 *		Ids: derived ones and new ones.
 */
#ifndef QZPAY_STORE_UUID_H
#define QZPAY_STORE_UUID_H

#include "utils/uuid.h"

extern void qzpay_uuid_derive(pg_uuid_t *out, const pg_uuid_t *name_space, const char *name, size_t length);
extern void qzpay_uuid_derive_text(pg_uuid_t *out, const pg_uuid_t *name_space, Datum name);
extern void qzpay_uuid_next(pg_uuid_t *out);
extern bool qzpay_uuid_parse_text(Datum value, pg_uuid_t *id);

#endif							/* QZPAY_STORE_UUID_H */
