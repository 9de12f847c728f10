/*
 * discount_judge.h
 *		One discount by itself: whether its conditions are met, which lines it reaches, what it would take off alone.
 *
 * For discount.c, which chooses among several.
 */
#ifndef QZPAY_DISCOUNT_JUDGE_H
#define QZPAY_DISCOUNT_JUDGE_H

#include "core/discount.h"

/* A discount on a cart. */
typedef struct QzpayDiscountCase
{
	const QzpayCart *cart;
	const QzpayDiscount *discount;
	const QzpayDiscountFacts *facts;
	QzpayJudgement *judgement;
} QzpayDiscountCase;

extern int	qzpay_text_compare(QzpayText a, QzpayText b);
extern bool qzpay_discount_takes_off(const QzpayDiscountCase *c, const QzpayCartLine *line);
extern QzpayCode qzpay_discount_judge(QzpayDiscountCase *c);

#endif							/* QZPAY_DISCOUNT_JUDGE_H */
