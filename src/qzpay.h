/*
 * qzpay.h
 *		What every C file that talks to the server shares.
 */
#ifndef QZPAY_H
#define QZPAY_H

/*
 * Announces an SQL-callable function.  Symbols are hidden by default (the server would otherwise replace ours by its own of the same
 * name) and servers before 16 do not export the function from PG_FUNCTION_INFO_V1.
 */
#define QZPAY_FUNCTION(fn) \
	extern PGDLLEXPORT Datum fn(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(fn)

#endif /* QZPAY_H */
