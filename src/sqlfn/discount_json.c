/*
 * discount_json.c
 *		Discounts as JSON, into what the core takes; docs/discounts.md shows the shapes.
 *
 * A member that means nothing is an error: a misspelt condition would otherwise be one that everybody meets.
 */
#include "postgres.h"

#include "sqlfn/discount_json.h"
#include "sqlfn/json_reader.h"

typedef enum Key
{
	KEY_ACTIVE, KEY_ALL_PRODUCTS, KEY_APPLIES_TO, KEY_CATEGORIES, KEY_CODE, KEY_COMBINABLE, KEY_CONDITIONS, KEY_CONFIG, KEY_CURRENCY,
	KEY_EXCLUDED_CATEGORIES, KEY_EXCLUDED_PRODUCTS, KEY_FIRST_PURCHASE, KEY_FOREVER, KEY_FROM_PLANS, KEY_ID, KEY_IGNORED, KEY_LINE_KINDS,
	KEY_MAX_AMOUNT, KEY_MAX_USES, KEY_MAX_USES_PER_CUSTOMER, KEY_MIN_AMOUNT, KEY_MIN_QUANTITY, KEY_MIN_QUANTITY_PER_PRODUCT, KEY_OF,
	KEY_PERIODS, KEY_PRIORITY, KEY_PRODUCTS, KEY_REGISTERED_AFTER, KEY_SCHEDULE, KEY_SEGMENTS, KEY_STACKABLE, KEY_TIERS, KEY_TO_PLANS,
	KEY_TRIGGER, KEY_TYPE, KEY_UPGRADE, KEY_USAGE_THRESHOLD, KEY_VALID_FROM, KEY_VALID_INTERVALS, KEY_VALID_PLANS, KEY_VALID_UNTIL, KEY_VALUE
} Key;

#define IN_DISCOUNT 1
#define IN_CONDITIONS 2
#define IN_CONFIG 4

/* Sorted by name. */
static const struct
{
	const char *name;
	Key			key;
	int			where;
}			discount_keys[] = {
	{"active", KEY_ACTIVE, IN_DISCOUNT},
	{"allProducts", KEY_ALL_PRODUCTS, IN_CONDITIONS},
	{"appliesTo", KEY_APPLIES_TO, IN_DISCOUNT},
	{"categories", KEY_CATEGORIES, IN_CONDITIONS},
	{"code", KEY_CODE, IN_DISCOUNT},
	{"combinable", KEY_STACKABLE, IN_DISCOUNT},
	{"conditions", KEY_CONDITIONS, IN_DISCOUNT},
	{"config", KEY_CONFIG, IN_DISCOUNT},
	{"currency", KEY_CURRENCY, IN_DISCOUNT | IN_CONFIG},
	{"customerSegments", KEY_SEGMENTS, IN_CONDITIONS},
	{"description", KEY_IGNORED, IN_DISCOUNT},
	{"excludeCategories", KEY_EXCLUDED_CATEGORIES, IN_CONDITIONS},
	{"excludeProducts", KEY_EXCLUDED_PRODUCTS, IN_CONDITIONS},
	{"excludedCategories", KEY_EXCLUDED_CATEGORIES, IN_CONDITIONS},
	{"excludedProducts", KEY_EXCLUDED_PRODUCTS, IN_CONDITIONS},
	{"expiresAt", KEY_VALID_UNTIL, IN_DISCOUNT | IN_CONDITIONS},
	{"forever", KEY_FOREVER, IN_DISCOUNT | IN_CONFIG},
	{"fromPlans", KEY_FROM_PLANS, IN_CONDITIONS},
	{"id", KEY_ID, IN_DISCOUNT},
	{"isFirstPurchase", KEY_FIRST_PURCHASE, IN_CONDITIONS},
	{"isUpgrade", KEY_UPGRADE, IN_CONDITIONS},
	{"lineKinds", KEY_LINE_KINDS, IN_CONDITIONS},
	{"maxAmount", KEY_MAX_AMOUNT, IN_CONDITIONS},
	{"maxPurchaseAmount", KEY_MAX_AMOUNT, IN_CONDITIONS},
	{"maxRedemptions", KEY_MAX_USES, IN_DISCOUNT | IN_CONDITIONS},
	{"maxRedemptionsPerCustomer", KEY_MAX_USES_PER_CUSTOMER, IN_DISCOUNT | IN_CONDITIONS},
	{"maxUses", KEY_MAX_USES, IN_DISCOUNT | IN_CONDITIONS},
	{"maxUsesPerCustomer", KEY_MAX_USES_PER_CUSTOMER, IN_DISCOUNT | IN_CONDITIONS},
	{"metadata", KEY_IGNORED, IN_DISCOUNT},
	{"minAmount", KEY_MIN_AMOUNT, IN_CONDITIONS},
	{"minPurchaseAmount", KEY_MIN_AMOUNT, IN_CONDITIONS},
	{"minQuantity", KEY_MIN_QUANTITY, IN_CONDITIONS},
	{"minQuantityPerProduct", KEY_MIN_QUANTITY_PER_PRODUCT, IN_CONDITIONS},
	{"name", KEY_IGNORED, IN_DISCOUNT},
	{"newCustomersOnly", KEY_FIRST_PURCHASE, IN_CONDITIONS},
	{"of", KEY_OF, IN_CONDITIONS},
	{"periods", KEY_PERIODS, IN_DISCOUNT | IN_CONFIG},
	{"priority", KEY_PRIORITY, IN_DISCOUNT},
	{"products", KEY_PRODUCTS, IN_CONDITIONS},
	{"registeredAfter", KEY_REGISTERED_AFTER, IN_CONDITIONS},
	{"restrictions", KEY_CONDITIONS, IN_DISCOUNT},
	{"schedule", KEY_SCHEDULE, IN_CONDITIONS},
	{"segments", KEY_SEGMENTS, IN_CONDITIONS},
	{"stackable", KEY_STACKABLE, IN_DISCOUNT},
	{"startsAt", KEY_VALID_FROM, IN_DISCOUNT | IN_CONDITIONS},
	{"tiers", KEY_TIERS, IN_DISCOUNT},
	{"toPlans", KEY_TO_PLANS, IN_CONDITIONS},
	{"trigger", KEY_TRIGGER, IN_DISCOUNT},
	{"type", KEY_TYPE, IN_DISCOUNT},
	{"usageThreshold", KEY_USAGE_THRESHOLD, IN_CONDITIONS},
	{"validFrom", KEY_VALID_FROM, IN_DISCOUNT | IN_CONDITIONS},
	{"validIntervals", KEY_VALID_INTERVALS, IN_CONDITIONS},
	{"validPlans", KEY_VALID_PLANS, IN_CONDITIONS},
	{"validProducts", KEY_PRODUCTS, IN_CONDITIONS},
	{"validUntil", KEY_VALID_UNTIL, IN_DISCOUNT | IN_CONDITIONS},
	{"value", KEY_VALUE, IN_DISCOUNT},
};

/* subscription, one-time, all; or kinds of lines. */
static unsigned
read_applies_to(const JsonbValue *value, const QzpayJsonPlace *place, const char *key)
{
	const unsigned subscription = QZPAY_LINE_BIT(QZPAY_LINE_PLAN) | QZPAY_LINE_BIT(QZPAY_LINE_ADDON);
	const unsigned once = QZPAY_LINE_BIT(QZPAY_LINE_SERVICE);
	QzpayTextList list = qzpay_json_list(value, place, key);
	unsigned	kinds = 0;

	for (int i = 0; i < list.n; i++)
	{
		char	   *word = pnstrdup(list.items[i].data, list.items[i].length);

		if (strcmp(word, "subscription") == 0)
			kinds |= subscription;
		else if (strcmp(word, "one-time") == 0 || strcmp(word, "one_time") == 0)
			kinds |= once;
		else if (strcmp(word, "all") == 0)
			kinds |= subscription | once | QZPAY_LINE_BIT(QZPAY_LINE_ANY);
		else
			kinds |= QZPAY_LINE_BIT(qzpay_json_kind_named(list.items[i], place, key));
	}
	return kinds;
}

static unsigned
read_days(const JsonbValue *value, const QzpayJsonPlace *place)
{
	static const char *const names[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
	QzpayTextList list = qzpay_json_list(value, place, "days");
	unsigned	days = 0;

	for (int i = 0; i < list.n; i++)
	{
		int			day = 0;

		while (day < 7 && (list.items[i].length != (int) strlen(names[day]) || memcmp(list.items[i].data, names[day], list.items[i].length) != 0))
			day++;
		if (day == 7)
			qzpay_json_fault(place, "days", "days are monday to sunday");
		days |= 1u << day;
	}
	if (days == 0)
		qzpay_json_fault(place, "days", "a day is wanted");
	return days;
}

static void
read_schedule(const JsonbValue *value, const QzpayJsonPlace *place, QzpaySchedule *schedule, pg_tz **zone)
{
	JsonbIterator *iterator = JsonbIteratorInit(qzpay_json_container_of(value, false, place, "schedule"));
	JsonbValue	key;
	JsonbValue	member;
	JsonbValue	hour;

	schedule->given = true;
	while (qzpay_json_next_member(&iterator, &key, &member))
	{
		if (qzpay_json_is_key(&key, "days"))
			schedule->days = read_days(&member, place);
		else if (qzpay_json_is_key(&key, "timezone"))
			*zone = qzpay_json_zone(&member, place, "timezone");
		else if (qzpay_json_is_key(&key, "hours"))
		{
			JsonbIterator *hours = JsonbIteratorInit(qzpay_json_container_of(&member, false, place, "hours"));
			int			seen = 0;

			while (qzpay_json_next_member(&hours, &key, &hour))
			{
				if (qzpay_json_is_key(&key, "from"))
					schedule->from = qzpay_json_integer(&hour, 0, 23, place, "from");
				else if (qzpay_json_is_key(&key, "to"))
					schedule->to = qzpay_json_integer(&hour, 1, 24, place, "to");
				else
					qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
				seen++;
			}
			if (seen != 2)
				qzpay_json_fault(place, "hours", "\"from\" and \"to\" are wanted");
			schedule->has_hours = true;
		}
		else
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
}

static void
read_threshold(const JsonbValue *value, const QzpayJsonPlace *place, QzpayDiscount *d)
{
	JsonbIterator *iterator = JsonbIteratorInit(qzpay_json_container_of(value, false, place, "usageThreshold"));
	JsonbValue	key;
	JsonbValue	member;

	while (qzpay_json_next_member(&iterator, &key, &member))
	{
		if (qzpay_json_is_key(&key, "metric"))
			d->usage_of = qzpay_json_text(&member, place, "metric");
		else if (qzpay_json_is_key(&key, "minValue"))
			d->usage_min = qzpay_json_bound(&member, place, "minValue");
		else if (qzpay_json_is_key(&key, "maxValue"))
			d->usage_max = qzpay_json_bound(&member, place, "maxValue");
		else
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
	}
	if (d->usage_of.data == NULL || (!d->usage_min.given && !d->usage_max.given))
		qzpay_json_fault(place, "usageThreshold", "\"metric\" and \"minValue\" or \"maxValue\" are wanted");
}

static void
read_tiers(const JsonbValue *value, const QzpayJsonPlace *place, QzpayDiscount *d)
{
	JsonbContainer *array = qzpay_json_container_of(value, true, place, "tiers");
	QzpayDiscountTier *tiers;

	d->ntiers = JsonContainerSize(array);
	tiers = palloc0(sizeof(QzpayDiscountTier) * Max(d->ntiers, 1));
	for (int i = 0; i < d->ntiers; i++)
	{
		JsonbIterator *iterator = JsonbIteratorInit(qzpay_json_container_of(getIthJsonbValueFromContainer(array, i), false, place, "tiers"));
		JsonbValue	key;
		JsonbValue	member;
		bool		has_from = false;
		int			values = 0;

		while (qzpay_json_next_member(&iterator, &key, &member))
		{
			if (qzpay_json_is_key(&key, "from"))
			{
				tiers[i].from = qzpay_json_decimal(&member, place, "from");
				has_from = true;
			}
			else if (qzpay_json_is_key(&key, "percentage") || qzpay_json_is_key(&key, "amount"))
			{
				tiers[i].is_amount = qzpay_json_is_key(&key, "amount");
				tiers[i].value = qzpay_json_decimal(&member, place, "tiers");
				values++;
			}
			else
				qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning in a tier");
		}
		if (!has_from || values != 1)
			qzpay_json_fault(place, "tiers", "a tier has \"from\", and either \"percentage\" or \"amount\"");
	}
	d->tiers = tiers;
}

/* What defaults depend on, gathered while the members are read. */
typedef struct Said
{
	bool		trigger;
	bool		type;
	bool		value;
	bool		applies_to;
	bool		stackable;
	bool		forever;
	unsigned	also;			/* lineKinds */
} Said;

static int
find_discount_key(const JsonbValue *key)
{
	int			low = 0;
	int			high = lengthof(discount_keys) - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;
		const char *name = discount_keys[middle].name;
		int			length = strlen(name);
		int			order = memcmp(key->val.string.val, name, Min(key->val.string.len, length));

		if (order == 0)
			order = key->val.string.len - length;
		if (order == 0)
			return middle;
		if (order < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return -1;
}

static void
read_members(JsonbContainer *object, int where, QzpayJsonPlace *place, QzpayDiscount *d, pg_tz **zone, Said *said)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	while (qzpay_json_next_member(&iterator, &key, &value))
	{
		int			found = find_discount_key(&key);
		const char *name;
		char	   *word;
		QzpayTextList list;
		QzpayInterval *intervals;

		if (found < 0 || (discount_keys[found].where & where) == 0)
		{
			qzpay_json_fault(place, qzpay_json_shown(&key), "it has no meaning here");
			continue;			/* not reached: for tools that don't know it */
		}
		name = discount_keys[found].name;
		switch (discount_keys[found].key)
		{
			case KEY_IGNORED:
				break;
			case KEY_ID:
			case KEY_CODE:
				d->code = qzpay_json_text(&value, place, name);
				if (!said->trigger)
					d->trigger = discount_keys[found].key == KEY_ID ? QZPAY_AUTOMATIC : QZPAY_PROMO_CODE;
				break;
			case KEY_TRIGGER:
				word = qzpay_json_word(&value, place, name);
				if (strcmp(word, "promo_code") != 0 && strcmp(word, "automatic") != 0)
					qzpay_json_fault(place, name, "it is promo_code or automatic");
				d->trigger = word[0] == 'a' ? QZPAY_AUTOMATIC : QZPAY_PROMO_CODE;
				said->trigger = true;
				break;
			case KEY_TYPE:
				word = qzpay_json_word(&value, place, name);
				if (qzpay_discount_type_parse(word, &d->type) != QZPAY_OK)
					qzpay_json_fault(place, name, psprintf("unknown type \"%s\"", qzpay_json_shown(&value)));
				said->type = true;
				break;
			case KEY_VALUE:
				d->value = qzpay_json_decimal(&value, place, name);
				said->value = true;
				break;
			case KEY_ACTIVE:
				d->active = qzpay_json_bool(&value, place, name);
				break;
			case KEY_COMBINABLE:
			case KEY_STACKABLE:
				d->stackable = qzpay_json_bool(&value, place, name);
				said->stackable = true;
				break;
			case KEY_PRIORITY:
				d->priority = qzpay_json_integer(&value, -1000000, 1000000, place, name);
				break;
			case KEY_APPLIES_TO:
				d->kinds = read_applies_to(&value, place, name);
				said->applies_to = true;
				break;
			case KEY_LINE_KINDS:
				list = qzpay_json_list(&value, place, name);
				for (int i = 0; i < list.n; i++)
					said->also |= QZPAY_LINE_BIT(qzpay_json_kind_named(list.items[i], place, name));
				break;
			case KEY_CONFIG:
				read_members(qzpay_json_container_of(&value, false, place, name), IN_CONFIG, place, d, zone, said);
				break;
			case KEY_CONDITIONS:
				read_members(qzpay_json_container_of(&value, false, place, name), IN_CONDITIONS, place, d, zone, said);
				break;
			case KEY_CURRENCY:
				d->currency = qzpay_json_text(&value, place, name);
				break;
			case KEY_PERIODS:
				d->periods = qzpay_json_integer(&value, 1, 1200, place, name);
				d->has_periods = true;
				break;
			case KEY_FOREVER:
				said->forever = qzpay_json_bool(&value, place, name);
				break;
			case KEY_TIERS:
				read_tiers(&value, place, d);
				break;
			case KEY_VALID_FROM:
				d->valid_from = qzpay_json_instant(&value, false, place, name);
				d->has_from = true;
				break;
			case KEY_VALID_UNTIL:
				d->valid_until = qzpay_json_instant(&value, true, place, name);
				d->has_until = true;
				break;
			case KEY_MAX_USES:
				d->max_uses = qzpay_json_bound(&value, place, name);
				break;
			case KEY_MAX_USES_PER_CUSTOMER:
				d->max_uses_per_customer = qzpay_json_bound(&value, place, name);
				break;
			case KEY_MIN_AMOUNT:
				d->min_amount = qzpay_json_bound(&value, place, name);
				break;
			case KEY_MAX_AMOUNT:
				d->max_amount = qzpay_json_bound(&value, place, name);
				break;
			case KEY_MIN_QUANTITY:
				d->min_quantity = qzpay_json_bound(&value, place, name);
				break;
			case KEY_MIN_QUANTITY_PER_PRODUCT:
				d->min_quantity_per_product = qzpay_json_bound(&value, place, name);
				break;
			case KEY_OF:
				d->quantity_of = qzpay_json_text(&value, place, name);
				break;
			case KEY_VALID_PLANS:
				d->plans = qzpay_json_list(&value, place, name);
				break;
			case KEY_PRODUCTS:
				d->products = qzpay_json_list(&value, place, name);
				break;
			case KEY_ALL_PRODUCTS:
				d->bundle = qzpay_json_list(&value, place, name);
				break;
			case KEY_CATEGORIES:
				d->categories = qzpay_json_list(&value, place, name);
				break;
			case KEY_EXCLUDED_PRODUCTS:
				d->excluded_products = qzpay_json_list(&value, place, name);
				break;
			case KEY_EXCLUDED_CATEGORIES:
				d->excluded_categories = qzpay_json_list(&value, place, name);
				break;
			case KEY_VALID_INTERVALS:
				list = qzpay_json_list(&value, place, name);
				intervals = palloc(sizeof(QzpayInterval) * Max(list.n, 1));
				for (int i = 0; i < list.n; i++)
					intervals[i] = qzpay_json_interval_named(list.items[i], place, name);
				d->intervals = intervals;
				d->nintervals = list.n;
				d->has_intervals = true;
				break;
			case KEY_FIRST_PURCHASE:
				d->first_purchase |= qzpay_json_bool(&value, place, name);
				break;
			case KEY_UPGRADE:
				d->upgrade = qzpay_json_bool(&value, place, name);
				break;
			case KEY_FROM_PLANS:
				d->from_plans = qzpay_json_list(&value, place, name);
				break;
			case KEY_TO_PLANS:
				d->to_plans = qzpay_json_list(&value, place, name);
				break;
			case KEY_SEGMENTS:
				d->segments = qzpay_json_list(&value, place, name);
				break;
			case KEY_REGISTERED_AFTER:
				d->registered_after = qzpay_json_instant(&value, false, place, name);
				d->has_registered_after = true;
				break;
			case KEY_USAGE_THRESHOLD:
				read_threshold(&value, place, d);
				break;
			case KEY_SCHEDULE:
				read_schedule(&value, place, &d->schedule, zone);
				break;
		}
	}
}

/* One discount, with what is not said about it. */
static void
read_discount(JsonbContainer *object, QzpayJsonPlace *place, QzpayDiscount *d, pg_tz **zone)
{
	Said		said = {0};
	const char *reason;

	*zone = place->zone;
	d->active = true;
	read_members(object, IN_DISCOUNT, place, d, zone, &said);
	if (!said.type)
		qzpay_json_fault(place, "type", "it is missing");
	if (!said.value && d->type != QZPAY_FREE_SHIPPING && d->ntiers == 0)
		qzpay_json_fault(place, "value", "it is missing");
	if (!said.stackable)
		d->stackable = d->trigger == QZPAY_PROMO_CODE || d->type == QZPAY_FREE_SHIPPING;
	if (!said.applies_to)
		d->kinds = QZPAY_LINE_BIT(QZPAY_LINE_ANY) | QZPAY_LINE_BIT(QZPAY_LINE_PLAN) | QZPAY_LINE_BIT(QZPAY_LINE_ADDON);
	d->kinds |= said.also;
	if (d->type == QZPAY_FREE_PERIOD && !d->has_periods)
	{
		QzpayDecimal periods = qzpay_decimal_normalise(d->value);

		if (periods.scale > 0 || periods.coef < 1 || periods.coef > 3650)
			qzpay_json_fault(place, "value", "it is not a number of periods");
		d->has_periods = true;
		d->periods = (int) periods.coef;
	}
	if (said.forever && d->has_periods)
		qzpay_json_fault(place, "forever", "a discount has a number of periods or lasts for ever");
	reason = qzpay_discount_check(d);
	if (reason != NULL)
		qzpay_json_fault(place, NULL, reason);
}

/*
 * qzpay_discounts_read
 *		An array of discounts; zone is that of dates and of schedules that name none.
 */
void
qzpay_discounts_read(Jsonb *json, pg_tz *zone, QzpayDiscountList *list)
{
	QzpayJsonPlace		place = {"discounts", 0, zone};

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		qzpay_json_fault(&place, NULL, "an array is wanted");
	if (JB_ROOT_COUNT(json) > QZPAY_MAX_DISCOUNTS)
		qzpay_json_fault(&place, NULL, psprintf("there are more than %d", QZPAY_MAX_DISCOUNTS));
	list->n = JB_ROOT_COUNT(json);
	list->discounts = palloc0(sizeof(QzpayDiscount) * Max(list->n, 1));
	list->pointers = palloc(sizeof(QzpayDiscount *) * Max(list->n, 1));
	list->zones = palloc(sizeof(pg_tz *) * Max(list->n, 1));
	place.what = "discount";
	for (int i = 0; i < list->n; i++)
	{
		place.n = i + 1;
		read_discount(qzpay_json_container_of(getIthJsonbValueFromContainer(&json->root, i), false, &place, NULL), &place, &list->discounts[i], &list->zones[i]);
		list->pointers[i] = &list->discounts[i];
	}
}

