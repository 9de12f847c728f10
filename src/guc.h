/*
 * guc.h
 *		Configuration variables.
 */
#ifndef QZPAY_GUC_H
#define QZPAY_GUC_H

extern char *qzpay_guc_actor;
extern bool qzpay_guc_allow_drop;
extern bool qzpay_guc_allow_loopback_http;
extern char *qzpay_guc_databases;
extern int	qzpay_guc_http_timeout;
extern bool qzpay_guc_keys_by_set;
extern char *qzpay_guc_provider_hosts;
extern char *qzpay_guc_secrets_file;

extern void qzpay_guc_define(void);

#endif							/* QZPAY_GUC_H */
