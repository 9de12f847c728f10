/*
 * discount.c
 *		Promo codes and automatic discounts: which of them take how much off which lines of a cart, and why the others do not.
 *
 * Three steps.  Each discount is judged by itself: does it meet its conditions, which lines does it reach, how much would it take off the
 * cart if it were alone.  Then the stacking rule chooses among those that would.  Those chosen are taken off in their order: always
 * computed on the original amounts, added, and never more than what is left of a line.
 *
 * Nothing depends on the order in which discounts or lines are given: discounts have an order of their own (trigger, priority, code), and
 * where the parts of a split could go to either of two lines, the lines' contents decide.
 */
#include "core/discount_judge.h"

#include <stddef.h>
#include <string.h>

/* As prices and quantities in the catalog: a percentage of any amount, and the sum of as many lines as there can be, fit 38 digits. */
#define MAX_DECIMALS 12
#define MAX_VALUE INT64_C(1000000000000000)

/* One call. */
typedef struct Run
{
	const QzpayCart *cart;
	const QzpayDiscount *const *discounts;
	const QzpayDiscountFacts *facts;
	int			n;
	const QzpayStackingRule *rule;
	QzpayDiscountRoom *room;
	QzpayJudgement *judgements;
} Run;

static const char *const type_names[] = {
	"percentage", "fixed_amount", "free_period", "reduced_period", "trial_extension", "free_shipping", "volume", "amount_threshold"
};

static const char *const kind_names[] = {
	"", "plan", "addon", "service", "usage", "setup", "commitment", "shipping", "balance"
};

static const char *const stacking_names[] = {"best_discount", "all_stackable", "automatic_first"};

static const char *const reason_names[] = {
	"", "inactive", "not_started", "expired", "currency_mismatch", "max_uses", "max_uses_per_customer", "periods_used", "not_trialing",
	"plan", "interval", "not_upgrade", "from_plan", "to_plan", "not_first_purchase", "segment", "registered_before", "schedule",
	"usage_threshold", "incomplete_bundle", "nothing_eligible", "min_quantity", "min_quantity_per_product", "min_amount", "max_amount",
	"tier_not_reached", "rounds_to_nothing", "not_best", "not_stackable", "max_stacked", "nothing_left"
};

/*
 * find_name
 *		Place of a name in a list, or -1.
 */
static int
find_name(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/*
 * qzpay_discount_type_parse
 *		The type of a stored name, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_discount_type_parse(const char *name, QzpayDiscountType *type)
{
	int			found = find_name(type_names, QZPAY_AMOUNT_THRESHOLD + 1, name);

	if (found < 0)
		return QZPAY_E_INVALID;
	*type = (QzpayDiscountType) found;
	return QZPAY_OK;
}

/*
 * qzpay_discount_type_name
 *		The stored name of a type.
 */
const char *
qzpay_discount_type_name(QzpayDiscountType type)
{
	return type_names[type];
}

/*
 * qzpay_stacking_parse
 *		best_discount, all_stackable or automatic_first, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_stacking_parse(const char *name, QzpayStacking *mode)
{
	int			found = find_name(stacking_names, QZPAY_AUTOMATIC_FIRST + 1, name);

	if (found < 0)
		return QZPAY_E_INVALID;
	*mode = (QzpayStacking) found;
	return QZPAY_OK;
}

/*
 * qzpay_line_kind_parse
 *		The kind of a stored name, else QZPAY_E_INVALID.
 */
QzpayCode
qzpay_line_kind_parse(const char *name, QzpayLineKind *kind)
{
	int			found = find_name(kind_names, QZPAY_LINE_BALANCE + 1, name);

	if (found <= 0)
		return QZPAY_E_INVALID;
	*kind = (QzpayLineKind) found;
	return QZPAY_OK;
}

/*
 * qzpay_reason_name
 *		The word for a reason; empty for none.
 */
const char *
qzpay_reason_name(QzpayReason reason)
{
	return reason_names[reason];
}

static bool
is_percentage(QzpayDecimal value)
{
	return value.coef >= 0 && value.scale <= MAX_DECIMALS && qzpay_decimal_compare(value, qzpay_decimal_int(100)) <= 0;
}

static bool
is_number(QzpayDecimal value)
{
	return value.coef >= 0 && value.scale <= MAX_DECIMALS && qzpay_decimal_compare(value, qzpay_decimal_int(MAX_VALUE)) < 0;
}

/*
 * check_tiers
 *		Tiers rise; what they take off is a percentage, or an amount in the discount's currency.
 */
static const char *
check_tiers(const QzpayDiscount *d)
{
	if (d->ntiers < 0 || d->ntiers > QZPAY_MAX_DISCOUNT_TIERS)
		return "there are more than 50 tiers";
	if (d->ntiers > 0 && d->type != QZPAY_VOLUME && d->type != QZPAY_AMOUNT_THRESHOLD)
		return "only volume and amount_threshold have tiers";
	for (int i = 0; i < d->ntiers; i++)
	{
		const QzpayDiscountTier *t = &d->tiers[i];

		if (!is_number(t->from) || (i > 0 && qzpay_decimal_compare(t->from, d->tiers[i - 1].from) <= 0))
			return "tiers must begin at rising numbers";
		if (t->is_amount ? !is_number(t->value) : !is_percentage(t->value))
			return t->is_amount ? "the amount of a tier is not an amount" : "the percentage of a tier is not from 0 to 100";
		if (t->is_amount && d->currency.data == NULL)
			return "an amount needs its currency";
	}
	return NULL;
}

/*
 * qzpay_discount_check
 *		What is wrong with a discount as such, or NULL; only checked ones may be applied.
 */
const char *
qzpay_discount_check(const QzpayDiscount *d)
{
	const QzpaySchedule *s = &d->schedule;

	if (d->code.data == NULL || d->code.length == 0)
		return "its code is missing";
	switch (d->type)
	{
		case QZPAY_FIXED_AMOUNT:
			if (!is_number(d->value))
				return "its value is not an amount";
			if (d->currency.data == NULL)
				return "an amount needs its currency";
			break;
		case QZPAY_FREE_PERIOD:
			if (!d->has_periods)
				return "a free_period has a number of periods";
			break;
		case QZPAY_TRIAL_EXTENSION:
			if (!is_number(d->value) || qzpay_decimal_normalise(d->value).scale > 0 || d->value.coef == 0)
				return "its value is not a number of days";
			break;
		case QZPAY_FREE_SHIPPING:
			break;
		case QZPAY_PERCENTAGE:
		case QZPAY_REDUCED_PERIOD:
		case QZPAY_VOLUME:
		case QZPAY_AMOUNT_THRESHOLD:
			if (!is_percentage(d->value))
				return "its value is not a percentage from 0 to 100";
			break;
	}
	if (d->has_periods && d->periods < 1)
		return "it lasts at least one period";
	if ((d->kinds & (QZPAY_LINE_BIT(QZPAY_LINE_SHIPPING) | QZPAY_LINE_BIT(QZPAY_LINE_BALANCE))) != 0)
		return "only free_shipping is for shipping lines";
	if (s->given && s->has_hours && (s->from < 0 || s->from > 23 || s->to < 1 || s->to > 24 || s->from == s->to))
		return "the hours of its schedule are from 0 to 23 until another from 1 to 24";
	return check_tiers(d);
}

static QzpayDiscountCase
case_of(const Run *run, int i)
{
	QzpayDiscountCase		result = {run->cart, run->discounts[i], &run->facts[i], &run->judgements[i]};

	return result;
}

/*
 * is_candidate
 *		Whether it would take something off, and nothing has been decided against it.
 */
static bool
is_candidate(const Run *run, int i)
{
	return !run->judgements[i].applied && run->judgements[i].reason == QZPAY_REASON_NONE;
}

/*
 * compare_discounts
 *		Their order: promo codes before automatic ones, or after them, then priority, then code.
 */
static int
compare_discounts(const QzpayDiscount *a, const QzpayDiscount *b, QzpayStacking mode)
{
	int			first = mode == QZPAY_AUTOMATIC_FIRST ? QZPAY_AUTOMATIC : QZPAY_PROMO_CODE;

	if (a->trigger != b->trigger)
		return (int) a->trigger == first ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return qzpay_text_compare(a->code, b->code);
}

/*
 * compare_lines
 *		Any order that goes by what the lines are and not by where they stand.
 */
static int
compare_lines(const QzpayCartLine *a, const QzpayCartLine *b)
{
	int			order = (a->kind > b->kind) - (a->kind < b->kind);

	if (order == 0)
		order = qzpay_text_compare(a->product, b->product);
	if (order == 0)
		order = qzpay_decimal_compare(a->quantity, b->quantity);
	if (order == 0)
		order = (a->amount < b->amount) - (a->amount > b->amount);
	return order;
}

/*
 * sort_both
 *		Fill in room->order and room->sorted; QZPAY_E_INVALID for a discount that is there twice, QZPAY_E_RANGE for an impossible quantity.
 */
static QzpayCode
sort_both(Run *run)
{
	QzpayDiscountRoom *room = run->room;

	for (int i = 0; i < run->n; i++)
	{
		int			at = i;

		for (; at > 0; at--)
		{
			int			order = compare_discounts(run->discounts[i], run->discounts[room->order[at - 1]], run->rule->mode);

			if (order == 0)
				return QZPAY_E_INVALID;
			if (order > 0)
				break;
			room->order[at] = room->order[at - 1];
		}
		room->order[at] = i;
	}
	for (int i = 0; i < run->cart->nlines; i++)
	{
		const QzpayCartLine *line = &run->cart->lines[i];
		int			at = i;

		if (!is_number(line->quantity))
			return QZPAY_E_RANGE;
		for (; at > 0 && compare_lines(line, room->sorted[at - 1]) < 0; at--)
			room->sorted[at] = room->sorted[at - 1];
		room->sorted[at] = line;
		room->left[i] = line->amount > 0 ? line->amount : 0;
	}
	return QZPAY_OK;
}

/*
 * take
 *		Take a candidate off what is left, and return how much that is.
 *
 * A percentage has its share of each line and no more: where a line is used up, the rest of that share is lost.  An amount is taken
 * from whatever is left.
 */
static int64_t
take(Run *run, int i)
{
	QzpayDiscountCase		c = case_of(run, i);
	QzpayJudgement *j = c.judgement;
	QzpayDiscountRoom *room = run->room;
	QzpayInt128 available = 0;
	int			n = run->cart->nlines;

	for (int k = 0; k < n; k++)
	{
		const QzpayCartLine *line = room->sorted[k];
		bool		taken = qzpay_discount_takes_off(&c, line);
		int64_t		left = taken ? room->left[line - run->cart->lines] : 0;

		available += left;
		room->weights[k] = qzpay_decimal_int(j->rate_is_amount || !taken ? left : line->amount);
	}
	if (j->rate_is_amount && j->amount > available)
		j->amount = (int64_t) available;
	/* The weights fit, and are not all zero while the amount is not. */
	(void) qzpay_split(j->amount, room->weights, n, room->shares);
	j->amount = 0;
	for (int k = 0; k < n; k++)
	{
		int			at = (int) (room->sorted[k] - run->cart->lines);
		int64_t		part = room->shares[k];

		if (part > room->left[at])
			part = room->left[at];
		room->left[at] -= part;
		j->parts[at] = part;
		j->amount += part;
	}
	return j->amount;
}

static void
put_back(Run *run, int i, QzpayReason reason)
{
	QzpayJudgement *j = &run->judgements[i];

	for (int k = 0; k < run->cart->nlines; k++)
	{
		run->room->left[k] += j->parts[k];
		j->parts[k] = 0;
	}
	j->amount = 0;
	j->applied = false;
	j->reason = reason;
}

/*
 * decline
 *		This reason for every candidate of the trigger (or of any, -1) that is still undecided.
 */
static void
decline(Run *run, int trigger, QzpayReason reason)
{
	for (int i = 0; i < run->n; i++)
		if (is_candidate(run, i) && (trigger < 0 || (int) run->discounts[i]->trigger == trigger))
			put_back(run, i, reason);
}

/*
 * best_candidate
 *		The one that takes most off alone, by the order among equals; -1 for none.
 */
static int
best_candidate(const Run *run, int trigger, bool unstackable_only)
{
	int			best = -1;

	for (int k = 0; k < run->n; k++)
	{
		int			i = run->room->order[k];

		if (is_candidate(run, i) && (trigger < 0 || (int) run->discounts[i]->trigger == trigger) &&
			!(unstackable_only && run->discounts[i]->stackable) &&
			(best < 0 || run->judgements[i].amount > run->judgements[best].amount))
			best = i;
	}
	return best;
}

/*
 * stack
 *		Take the stackable candidates of a trigger (or of any) in their order, as many as the rule allows; how much they take together.
 */
static QzpayInt128
stack(Run *run, int trigger, int *stacked)
{
	QzpayInt128 total = 0;

	for (int k = 0; k < run->n; k++)
	{
		int			i = run->room->order[k];

		if (!is_candidate(run, i) || !run->discounts[i]->stackable || (trigger >= 0 && (int) run->discounts[i]->trigger != trigger))
			continue;
		if (run->rule->max_stacked > 0 && *stacked >= run->rule->max_stacked)
			put_back(run, i, QZPAY_REASON_MAX_STACKED);
		else if (take(run, i) == 0)
			put_back(run, i, QZPAY_REASON_NOTHING_LEFT);
		else
		{
			run->judgements[i].applied = true;
			total += run->judgements[i].amount;
			(*stacked)++;
		}
	}
	return total;
}

/*
 * stack_or_alone
 *		The stackable ones together, or the one that stands alone if it takes off more; whether it was the one.
 */
static bool
stack_or_alone(Run *run, int trigger, int *stacked)
{
	int			alone = best_candidate(run, trigger, true);
	QzpayInt128 total;

	if (alone >= 0)
	{
		int64_t		amount = run->judgements[alone].amount;

		total = stack(run, trigger, stacked);
		if (amount <= total)
		{
			decline(run, trigger, QZPAY_REASON_NOT_STACKABLE);
			return false;
		}
		for (int i = 0; i < run->n; i++)
			if (run->judgements[i].applied && run->discounts[i]->type != QZPAY_TRIAL_EXTENSION)
				put_back(run, i, QZPAY_REASON_NOT_BEST);
		(void) take(run, alone);
		run->judgements[alone].applied = true;
		decline(run, trigger, QZPAY_REASON_NOT_BEST);
		return true;
	}
	(void) stack(run, trigger, stacked);
	return false;
}

/*
 * choose
 *		The stacking rule over the candidates.
 */
static void
choose(Run *run)
{
	int			stacked = 0;
	int			best;

	switch (run->rule->mode)
	{
		case QZPAY_BEST_DISCOUNT:
			best = best_candidate(run, -1, false);
			if (best >= 0)
			{
				(void) take(run, best);
				run->judgements[best].applied = true;
			}
			decline(run, -1, QZPAY_REASON_NOT_BEST);
			break;
		case QZPAY_ALL_STACKABLE:
			(void) stack_or_alone(run, -1, &stacked);
			break;
		case QZPAY_AUTOMATIC_FIRST:
			if (best_candidate(run, QZPAY_AUTOMATIC, false) < 0)
				(void) stack_or_alone(run, QZPAY_PROMO_CODE, &stacked);
			else if (!stack_or_alone(run, QZPAY_AUTOMATIC, &stacked))
				(void) stack(run, QZPAY_PROMO_CODE, &stacked);
			decline(run, QZPAY_PROMO_CODE, QZPAY_REASON_NOT_STACKABLE);
			break;
	}
}

/*
 * qzpay_discounts_apply
 *		Judge every discount, choose, and take off.
 *
 * discounts and facts go together by place, and so do judgements, whose parts point to room for a number per line of the cart; the rest of
 * them is filled in.  room->order is the order of the discounts afterwards.
 *
 * QZPAY_E_INVALID when a discount (code and trigger) is there twice, QZPAY_E_RANGE for a quantity that is negative, 10^15 or more, or has
 * more than 12 decimals, QZPAY_E_OVERFLOW when the amounts add up to too much.
 */
QzpayCode
qzpay_discounts_apply(const QzpayCart *cart, const QzpayDiscount *const *discounts, const QzpayDiscountFacts *facts, int n,
					  const QzpayStackingRule *rule, QzpayDiscountRoom *room, QzpayJudgement *judgements)
{
	Run			run = {cart, discounts, facts, n, rule, room, judgements};
	QzpayCode	code = sort_both(&run);

	for (int i = 0; code == QZPAY_OK && i < n; i++)
	{
		QzpayDiscountCase		c = case_of(&run, i);
		int64_t    *parts = judgements[i].parts;

		memset(&judgements[i], 0, sizeof(judgements[i]));
		judgements[i].parts = parts;
		for (int k = 0; k < cart->nlines; k++)
			parts[k] = 0;
		code = qzpay_discount_judge(&c);
		if (!is_candidate(&run, i))
			judgements[i].amount = 0;
	}
	if (code == QZPAY_OK)
		choose(&run);
	return code;
}
