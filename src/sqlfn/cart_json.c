/*
 * cart_json.c
 *		Carts and options as JSON, into what the core takes; docs/discounts.md shows the shapes.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/datetime.h"

#include "sqlfn/argument.h"
#include "sqlfn/discount_json.h"
#include "sqlfn/json_reader.h"

#define UNIX_EPOCH_USEC (INT64CONST(86400000000) * (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE))

/* Whether a member was one that only says more about a line or a cart. */
static bool
is_remark(const JsonbValue *key)
{
	return qzpay_json_is_key(key, "id") || qzpay_json_is_key(key, "name") || qzpay_json_is_key(key, "description") || qzpay_json_is_key(key, "metadata");
}

static void
read_line(JsonbContainer *object, const QzpayJsonPlace *place, QzpayCartLine *line)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;
	QzpayBound	unit_amount = {false};
	QzpayDecimal exact;
	bool		has_amount = false;

	line->quantity = qzpay_decimal_int(1);
	while (qzpay_json_next_member(&iterator, &key, &value))
	{
		if (qzpay_json_is_key(&key, "kind"))
			line->kind = qzpay_json_kind_named(qzpay_json_text(&value, place, "kind"), place, "kind");
		else if (qzpay_json_is_key(&key, "product"))
			line->product = qzpay_json_text(&value, place, "product");
		else if (qzpay_json_is_key(&key, "categories"))
			line->categories = qzpay_json_list(&value, place, "categories");
		else if (qzpay_json_is_key(&key, "quantity"))
			line->quantity = qzpay_json_decimal(&value, place, "quantity");
		else if (qzpay_json_is_key(&key, "amount"))
		{
			line->amount = qzpay_json_integer(&value, PG_INT64_MIN, PG_INT64_MAX, place, "amount");
			has_amount = true;
		}
		else if (qzpay_json_is_key(&key, "unitAmount"))
			unit_amount = qzpay_json_bound(&value, place, "unitAmount");
		else if (qzpay_json_is_key(&key, "proration"))
			line->proration = qzpay_json_bool(&value, place, "proration");
		else if (!is_remark(&key))
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
	if (has_amount == unit_amount.given)
		qzpay_json_fault(place, NULL, "either \"amount\" or \"unitAmount\" is wanted");
	if (!has_amount && (qzpay_decimal_mul(unit_amount.value, line->quantity, &exact) != QZPAY_OK ||
						qzpay_decimal_round(exact, QZPAY_ROUND_HALF_UP, &line->amount) != QZPAY_OK))
		qzpay_json_fault(place, "unitAmount", "the amount is out of range");
}

static void
read_lines(const JsonbValue *value, const QzpayJsonPlace *cart_place, QzpayCart *cart)
{
	JsonbContainer *array = qzpay_json_container_of(value, true, cart_place, "lines");
	QzpayJsonPlace		place = {"cart line", 0, cart_place->zone};
	QzpayCartLine *lines;

	cart->nlines = JsonContainerSize(array);
	if (cart->nlines > QZPAY_MAX_CART_LINES)
		qzpay_json_fault(cart_place, "lines", psprintf("there are more than %d", QZPAY_MAX_CART_LINES));
	lines = palloc0(sizeof(QzpayCartLine) * Max(cart->nlines, 1));
	for (int i = 0; i < cart->nlines; i++)
	{
		place.n = i + 1;
		read_line(qzpay_json_container_of(getIthJsonbValueFromContainer(array, i), false, &place, NULL), &place, &lines[i]);
	}
	cart->lines = lines;
}

static void
read_customer(const JsonbValue *value, const QzpayJsonPlace *place, QzpayCart *cart)
{
	JsonbIterator *iterator = JsonbIteratorInit(qzpay_json_container_of(value, false, place, "customer"));
	JsonbValue	key;
	JsonbValue	member;

	while (qzpay_json_next_member(&iterator, &key, &member))
	{
		if (qzpay_json_is_key(&key, "firstPurchase"))
			cart->first_purchase = qzpay_json_bool(&member, place, "firstPurchase") ? QZPAY_YES : QZPAY_NO;
		else if (qzpay_json_is_key(&key, "segments"))
			cart->segments = qzpay_json_list(&member, place, "segments");
		else if (qzpay_json_is_key(&key, "registeredAt"))
		{
			cart->registered_at = qzpay_json_instant(&member, false, place, "registeredAt");
			cart->has_registered_at = true;
		}
		else if (!is_remark(&key))
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
}

static void
read_change(const JsonbValue *value, const QzpayJsonPlace *place, QzpayCart *cart)
{
	JsonbIterator *iterator = JsonbIteratorInit(qzpay_json_container_of(value, false, place, "change"));
	JsonbValue	key;
	JsonbValue	member;

	while (qzpay_json_next_member(&iterator, &key, &member))
	{
		if (qzpay_json_is_key(&key, "upgrade"))
			cart->upgrade = qzpay_json_bool(&member, place, "upgrade") ? QZPAY_YES : QZPAY_NO;
		else if (qzpay_json_is_key(&key, "from"))
			cart->from_plan = qzpay_json_text(&member, place, "from");
		else if (qzpay_json_is_key(&key, "to"))
			cart->to_plan = qzpay_json_text(&member, place, "to");
		else
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
}

static void
read_usage(const JsonbValue *value, const QzpayJsonPlace *place, QzpayCart *cart)
{
	JsonbContainer *object = qzpay_json_container_of(value, false, place, "usage");
	JsonbIterator *iterator = JsonbIteratorInit(object);
	QzpayReading *readings = palloc(sizeof(QzpayReading) * Max(JsonContainerSize(object), 1));
	JsonbValue	key;
	JsonbValue	member;

	while (qzpay_json_next_member(&iterator, &key, &member))
	{
		QzpayReading *reading = &readings[cart->nreadings++];

		reading->meter.data = key.val.string.val;
		reading->meter.length = key.val.string.len;
		reading->value = qzpay_json_decimal(&member, place, "usage");
	}
	cart->readings = readings;
}

/* The one plan among the lines, where the cart says none. */
static QzpayText
plan_of_lines(const QzpayCart *cart)
{
	QzpayText	plan = {NULL, 0};

	for (int i = 0; i < cart->nlines; i++)
	{
		const QzpayCartLine *line = &cart->lines[i];

		if (line->kind != QZPAY_LINE_PLAN || line->product.data == NULL || line->amount < 0)
			continue;
		if (plan.data != NULL && !qzpay_text_equal(plan, line->product))
			return (QzpayText) {NULL, 0};
		plan = line->product;
	}
	return plan;
}

/*
 * qzpay_cart_read
 *		A cart: its lines, and what is known of its buyer.
 */
void
qzpay_cart_read(Jsonb *json, const QzpayDiscountOptions *options, QzpayCart *cart)
{
	QzpayJsonPlace		place = {"cart", 0, options->zone};
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;
	bool		has_lines = false;

	memset(cart, 0, sizeof(*cart));
	if (!JB_ROOT_IS_OBJECT(json))
		qzpay_json_fault(&place, NULL, "an object is wanted");
	iterator = JsonbIteratorInit(&json->root);
	while (qzpay_json_next_member(&iterator, &key, &value))
	{
		if (qzpay_json_is_key(&key, "lines"))
		{
			read_lines(&value, &place, cart);
			has_lines = true;
		}
		else if (qzpay_json_is_key(&key, "currency"))
			cart->currency = qzpay_json_text(&value, &place, "currency");
		else if (qzpay_json_is_key(&key, "plan"))
			cart->plan = qzpay_json_text(&value, &place, "plan");
		else if (qzpay_json_is_key(&key, "interval"))
		{
			cart->interval = qzpay_json_interval_named(qzpay_json_text(&value, &place, "interval"), &place, "interval");
			cart->has_interval = true;
		}
		else if (qzpay_json_is_key(&key, "customer"))
			read_customer(&value, &place, cart);
		else if (qzpay_json_is_key(&key, "usage"))
			read_usage(&value, &place, cart);
		else if (qzpay_json_is_key(&key, "change"))
			read_change(&value, &place, cart);
		else if (qzpay_json_is_key(&key, "trialing"))
			cart->trialing = qzpay_json_bool(&value, &place, "trialing") ? QZPAY_YES : QZPAY_NO;
		else if (!is_remark(&key))
			qzpay_json_fault(&place, qzpay_json_shown(&key), "it has no meaning here");
	}
	if (!has_lines)
		qzpay_json_fault(&place, "lines", "they are missing");
	if (cart->plan.data == NULL)
		cart->plan = plan_of_lines(cart);
	cart->has_at = options->has_at;
	cart->at = options->at;
}

static void
read_stacking(const JsonbValue *value, const QzpayJsonPlace *place, QzpayStackingRule *rule)
{
	JsonbIterator *iterator = JsonbIteratorInit(qzpay_json_container_of(value, false, place, "stacking"));
	JsonbValue	key;
	JsonbValue	member;

	while (qzpay_json_next_member(&iterator, &key, &member))
	{
		if (qzpay_json_is_key(&key, "mode"))
		{
			if (qzpay_stacking_parse(qzpay_json_word(&member, place, "mode"), &rule->mode) != QZPAY_OK)
				qzpay_json_fault(place, "mode", "it is best_discount, all_stackable or automatic_first");
		}
		else if (qzpay_json_is_key(&key, "maxStacked") || qzpay_json_is_key(&key, "maxStackedDiscounts"))
			rule->max_stacked = qzpay_json_integer(&member, 1, 1000000, place, "maxStacked");
		else
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
}

/*
 * qzpay_discount_options_read
 *		The instant, the zone, the stacking rule, and how often what was redeemed.
 */
void
qzpay_discount_options_read(Jsonb *json, QzpayDiscountOptions *options)
{
	QzpayJsonPlace		place = {"options", 0, NULL};
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;
	JsonbValue	at;

	memset(options, 0, sizeof(*options));
	options->rule.mode = QZPAY_ALL_STACKABLE;
	if (!JB_ROOT_IS_OBJECT(json))
		qzpay_json_fault(&place, NULL, "an object is wanted");
	iterator = JsonbIteratorInit(&json->root);
	while (qzpay_json_next_member(&iterator, &key, &value))
	{
		if (qzpay_json_is_key(&key, "at"))
		{
			at = value;
			options->has_at = true;
		}
		else if (qzpay_json_is_key(&key, "timezone"))
			options->zone = qzpay_json_zone(&value, &place, "timezone");
		else if (qzpay_json_is_key(&key, "stacking"))
			read_stacking(&value, &place, &options->rule);
		else if (qzpay_json_is_key(&key, "redemptions"))
			options->redemptions = qzpay_json_container_of(&value, false, &place, "redemptions");
		else
			qzpay_json_fault(&place, qzpay_json_shown(&key), "it has no meaning here");
	}
	if (options->zone == NULL)
		options->zone = qzpay_timezone_named("UTC", strlen("UTC"));
	place.zone = options->zone;
	if (options->has_at)
		options->at = qzpay_json_instant(&at, false, &place, "at");
}

static void
read_redemption(JsonbContainer *object, const QzpayJsonPlace *place, QzpayDiscountFacts *facts)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	while (qzpay_json_next_member(&iterator, &key, &value))
	{
		if (qzpay_json_is_key(&key, "total"))
			facts->uses = qzpay_json_bound(&value, place, "total");
		else if (qzpay_json_is_key(&key, "customer"))
			facts->customer_uses = qzpay_json_bound(&value, place, "customer");
		else if (qzpay_json_is_key(&key, "redeemed"))
			facts->redeemed = qzpay_json_bool(&value, place, "redeemed");
		else if (qzpay_json_is_key(&key, "covered"))
			facts->covered = qzpay_json_bool(&value, place, "covered");
		else if (qzpay_json_is_key(&key, "periodsUsed"))
			facts->periods_used = qzpay_json_integer(&value, 0, PG_INT32_MAX, place, "periodsUsed");
		else
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
}

/* Weekday and hour of an instant in a zone. */
static void
local_time(int64 usec, pg_tz *zone, QzpayDiscountFacts *facts)
{
	TimestampTz at = usec - UNIX_EPOCH_USEC;
	struct pg_tm tm;
	fsec_t		fraction;
	int			offset;

	if (timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	/* The server's weeks begin on Sunday. */
	facts->weekday = (j2day(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday)) + 6) % 7;
	facts->hour = tm.tm_hour;
	facts->has_local = true;
}

/* What is known under "automatic:CODE" or "promo_code:CODE", or under the code alone. */
static bool
find_redemption(const QzpayDiscountOptions *options, const QzpayDiscount *d, JsonbValue *value)
{
	char		key[128];
	const char *trigger = d->trigger == QZPAY_AUTOMATIC ? "automatic:" : "promo_code:";
	int			prefix = strlen(trigger);

	if (options->redemptions == NULL)
		return false;
	if (prefix + d->code.length <= (int) sizeof(key))
	{
		memcpy(key, trigger, prefix);
		memcpy(key + prefix, d->code.data, d->code.length);
		if (getKeyJsonValueFromContainer(options->redemptions, key, prefix + d->code.length, value) != NULL)
			return value->type != jbvNull;
	}
	return getKeyJsonValueFromContainer(options->redemptions, d->code.data, d->code.length, value) != NULL && value->type != jbvNull;
}

/*
 * qzpay_discount_facts_read
 *		What the options know of each discount; facts has room for one per discount.
 */
void
qzpay_discount_facts_read(const QzpayDiscountOptions *options, const QzpayDiscountList *list, QzpayDiscountFacts *facts)
{
	QzpayJsonPlace		place = {"options", 0, options->zone};

	memset(facts, 0, sizeof(*facts) * list->n);
	for (int i = 0; i < list->n; i++)
	{
		const QzpayDiscount *d = &list->discounts[i];
		JsonbValue	value;

		if (d->schedule.given && options->has_at)
			local_time(options->at, list->zones[i], &facts[i]);
		if (find_redemption(options, d, &value))
			read_redemption(qzpay_json_container_of(&value, false, &place, "redemptions"), &place, &facts[i]);
	}
}
