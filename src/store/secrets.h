/*
 * secrets.h
 *		Keys of providers and tokens, from the file of qzpay.secrets_file; values are reachable in C only.
 */
#ifndef QZPAY_STORE_SECRETS_H
#define QZPAY_STORE_SECRETS_H

#include "lib/stringinfo.h"

extern bool qzpay_secrets_exist(void);
extern const char *qzpay_secret(const char *name);
extern bool qzpay_secrets_substitute(const char *template, const char *const *allowed, int n_allowed, StringInfo out, char **missing);

#endif							/* QZPAY_STORE_SECRETS_H */
