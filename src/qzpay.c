/*
 * qzpay.c
 *		Module load.
 */
#include "postgres.h"

#include "fmgr.h"

#include "qzpay.h"

PG_MODULE_MAGIC;
