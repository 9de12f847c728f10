/*
 * installation.h
 *		The installation's identity: the name space of every derived id.
 */
#ifndef QZPAY_STORE_INSTALLATION_H
#define QZPAY_STORE_INSTALLATION_H

#include "utils/uuid.h"

extern void qzpay_installation_init(void);
extern const pg_uuid_t *qzpay_installation_id(void);

#endif							/* QZPAY_STORE_INSTALLATION_H */
