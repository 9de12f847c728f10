/*
 * discount.c
 *		SQL-callable functions: discounts on a cart.
 *
 * A billing run judges the same discounts for thousands of carts, so those read last are kept in fn_extra and found again by their bytes.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/uuid.h"

#include "core/discount.h"
#include "qzpay.h"
#include "sqlfn/discount_json.h"
#include "store/decimal.h"
#include "store/throttle.h"

QZPAY_FUNCTION(qzpay_discounts_on_cart);
QZPAY_FUNCTION(qzpay_failed_guesses);

#define KEPT_LISTS 4

/* Discounts that were read, with the JSON that their texts point into. */
typedef struct KeptList
{
	MemoryContext memory;		/* NULL: nothing is kept here */
	pg_tz	   *zone;
	Jsonb	   *json;
	QzpayDiscountList list;
} KeptList;

typedef struct KeptLists
{
	KeptList	kept[KEPT_LISTS];
	int			next;			/* replaced next */
} KeptLists;

/* The discounts of the second argument. */
static const QzpayDiscountList *
discounts_argument(FunctionCallInfo fcinfo, pg_tz *zone)
{
	KeptLists  *lists = fcinfo->flinfo->fn_extra;
	Jsonb	   *json = PG_GETARG_JSONB_P(1);
	KeptList	fresh;
	KeptList   *place;
	MemoryContext caller;

	if (lists == NULL)
		lists = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(KeptLists));
	for (int i = 0; i < KEPT_LISTS; i++)
	{
		place = &lists->kept[i];
		if (place->memory != NULL && place->zone == zone && VARSIZE(place->json) == VARSIZE(json) && memcmp(place->json, json, VARSIZE(json)) == 0)
			return &place->list;
	}
	/* Below the call's memory until it is read: an error leaves what is kept as it was. */
	fresh.memory = AllocSetContextCreate(CurrentMemoryContext, "qzpay discounts", ALLOCSET_SMALL_SIZES);
	fresh.zone = zone;
	caller = MemoryContextSwitchTo(fresh.memory);
	fresh.json = palloc(VARSIZE(json));
	memcpy(fresh.json, json, VARSIZE(json));
	qzpay_discounts_read(fresh.json, zone, &fresh.list);
	MemoryContextSwitchTo(caller);

	place = &lists->kept[lists->next];
	lists->next = (lists->next + 1) % KEPT_LISTS;
	if (place->memory != NULL)
		MemoryContextDelete(place->memory);
	MemoryContextSetParent(fresh.memory, fcinfo->flinfo->fn_mcxt);
	*place = fresh;
	return &place->list;
}

static void
add_key(JsonbParseState **state, const char *key)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, key);
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

static void
add_text(JsonbParseState **state, const char *key, const char *text, int length)
{
	JsonbValue	value;

	add_key(state, key);
	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = length;
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_number(JsonbParseState **state, JsonbIteratorToken token, QzpayDecimal number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = number.scale == 0 && qzpay_fits_i64(number.coef) ? int64_to_numeric((int64) number.coef)
		: DatumGetNumeric(qzpay_decimal_to_numeric(&number));
	pushJsonbValue(state, token, &value);
}

static void
add_number(JsonbParseState **state, const char *key, QzpayDecimal number)
{
	add_key(state, key);
	push_number(state, WJB_VALUE, number);
}

static void
add_bool(JsonbParseState **state, const char *key, bool boolean)
{
	JsonbValue	value;

	add_key(state, key);
	value.type = jbvBool;
	value.val.boolean = boolean;
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* What was decided about one discount. */
static void
add_judgement(JsonbParseState **state, const QzpayCart *cart, const QzpayDiscount *d, const QzpayJudgement *j)
{
	const char *type = qzpay_discount_type_name(d->type);
	const char *reason = qzpay_reason_name(j->reason);

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	add_text(state, "code", d->code.data, d->code.length);
	add_text(state, "trigger", d->trigger == QZPAY_AUTOMATIC ? "automatic" : "promo_code", strlen(d->trigger == QZPAY_AUTOMATIC ? "automatic" : "promo_code"));
	add_text(state, "type", type, strlen(type));
	add_bool(state, "applied", j->applied);
	add_number(state, "amount", qzpay_decimal_int(j->amount));
	if (j->applied && d->type == QZPAY_TRIAL_EXTENSION)
		add_number(state, "days", d->value);
	else if (j->applied)
	{
		add_number(state, "base", qzpay_decimal_int(j->base));
		add_number(state, j->rate_is_amount ? "fixed" : "percentage", j->rate);
		add_key(state, "lines");
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < cart->nlines; i++)
			push_number(state, WJB_ELEM, qzpay_decimal_int(j->parts[i]));
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
	}
	else
	{
		add_text(state, "reason", reason, strlen(reason));
		if (j->needed.given)
			add_number(state, "needed", j->needed.value);
		if (j->is.given)
			add_number(state, "is", j->is.value);
		if (j->unknown)
			add_bool(state, "unknown", true);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

/* One line with what is taken off it. */
static int64
add_line(JsonbParseState **state, const QzpayCartLine *line, int at, const QzpayDiscountList *list, const int *order, const QzpayJudgement *judgements)
{
	int64		discount = 0;

	for (int i = 0; i < list->n; i++)
		discount += judgements[i].parts[at];
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	add_number(state, "amount", qzpay_decimal_int(line->amount));
	add_number(state, "discount", qzpay_decimal_int(discount));
	add_number(state, "total", qzpay_decimal_int(line->amount - discount));
	if (discount > 0)
	{
		add_key(state, "discounts");
		pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < list->n; i++)
		{
			const QzpayDiscount *d = &list->discounts[order[i]];
			int64		part = judgements[order[i]].parts[at];

			if (part == 0)
				continue;
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			add_text(state, "code", d->code.data, d->code.length);
			add_number(state, "amount", qzpay_decimal_int(part));
			pushJsonbValue(state, WJB_END_OBJECT, NULL);
		}
		pushJsonbValue(state, WJB_END_ARRAY, NULL);
	}
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
	return discount;
}

/* The whole answer. */
static Jsonb *
answer(const QzpayCart *cart, const QzpayDiscountList *list, const int *order, const QzpayJudgement *judgements)
{
	JsonbParseState *state = NULL;
	QzpayDecimal subtotal = qzpay_decimal_int(0);
	QzpayDecimal total = qzpay_decimal_int(0);
	QzpayDecimal discount = qzpay_decimal_int(0);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (cart->currency.data != NULL)
		add_text(&state, "currency", cart->currency.data, cart->currency.length);
	add_key(&state, "lines");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < cart->nlines; i++)
	{
		subtotal.coef += cart->lines[i].amount;
		discount.coef += add_line(&state, &cart->lines[i], i, list, order, judgements);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	total.coef = subtotal.coef - discount.coef;
	add_number(&state, "subtotal", subtotal);
	add_number(&state, "discount", discount);
	add_number(&state, "total", total);
	add_key(&state, "discounts");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < list->n; i++)
		add_judgement(&state, cart, &list->discounts[order[i]], &judgements[order[i]]);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* apply_discounts(cart, discounts, options) */
Datum
qzpay_discounts_on_cart(PG_FUNCTION_ARGS)
{
	QzpayDiscountOptions options;
	QzpayCart	cart;
	const QzpayDiscountList *list;
	QzpayDiscountFacts *facts;
	QzpayJudgement *judgements;
	QzpayDiscountRoom room;
	int64_t    *parts;
	QzpayCode	code;

	qzpay_discount_options_read(PG_GETARG_JSONB_P(2), &options);
	qzpay_cart_read(PG_GETARG_JSONB_P(0), &options, &cart);
	list = discounts_argument(fcinfo, options.zone);
	facts = palloc(sizeof(QzpayDiscountFacts) * Max(list->n, 1));
	qzpay_discount_facts_read(&options, list, facts);

	judgements = palloc(sizeof(QzpayJudgement) * Max(list->n, 1));
	parts = palloc(sizeof(int64_t) * Max(list->n * cart.nlines, 1));
	for (int i = 0; i < list->n; i++)
		judgements[i].parts = parts + (size_t) i * cart.nlines;
	room.order = palloc(sizeof(int) * Max(list->n, 1));
	room.sorted = palloc(sizeof(QzpayCartLine *) * Max(cart.nlines, 1));
	room.left = palloc(sizeof(int64_t) * Max(cart.nlines, 1));
	room.shares = palloc(sizeof(int64_t) * Max(cart.nlines, 1));
	room.weights = palloc(sizeof(QzpayDecimal) * Max(cart.nlines, 1));
	code = qzpay_discounts_apply(&cart, list->pointers, facts, list->n, &options.rule, &room, judgements);
	if (code == QZPAY_E_INVALID)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid discounts: a code is there twice")));
	if (code == QZPAY_E_RANGE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cart: a quantity is impossible"),
				 errdetail("Quantities are not negative, below 10^15, with at most 12 decimals.")));
	if (code != QZPAY_OK)
		qzpay_core_error(code, "cart");
	PG_RETURN_JSONB_P(answer(&cart, list, room.order, judgements));
}

/* _failed_guesses(tenant, failed) */
Datum
qzpay_failed_guesses(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(qzpay_throttle_failures(PG_GETARG_UUID_P(0), PG_GETARG_BOOL(1)));
}
