/*
 * worker.h
 *		Background processes: the launcher, and one worker per database.
 */
#ifndef QZPAY_WORKER_H
#define QZPAY_WORKER_H

extern void qzpay_worker_register(void);

extern PGDLLEXPORT void qzpay_launcher_main(Datum arg);
extern PGDLLEXPORT void qzpay_worker_main(Datum arg);

#endif							/* QZPAY_WORKER_H */
