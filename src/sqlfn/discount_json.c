/*
 * discount_json.c
 *		Carts, discounts and options as JSON, into what the core takes; docs/discounts.md shows the shapes.
 *
 * A member that means nothing is an error: a misspelt condition would otherwise be one that everybody meets.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

#include "core/instant.h"
#include "sqlfn/argument.h"
#include "sqlfn/discount_json.h"
#include "store/decimal.h"

#define UNIX_EPOCH_USEC (INT64CONST(86400000000) * (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE))

/* Where a member stands, for messages: "discount 3". */
typedef struct Place
{
	const char *what;
	int			n;				/* 1-based; 0: there is only one */
	pg_tz	   *zone;			/* of dates */
} Place;

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

static void
fault(const Place *place, const char *key, const char *message) pg_attribute_noreturn();

/* "invalid discount 3: "value": a number is wanted" */
static void
fault(const Place *place, const char *key, const char *message)
{
	char	   *where = place->n > 0 ? psprintf("%s %d", place->what, place->n) : pstrdup(place->what);

	if (key == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s: %s", where, message)));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid %s: \"%s\": %s", where, key, message)));
}

/* A member's name, for messages. */
static char *
shown(const JsonbValue *key)
{
	return pnstrdup(key->val.string.val, Min(key->val.string.len, 64));
}

/* The container of an object or an array, which a value has to be. */
static JsonbContainer *
container_of(const JsonbValue *value, bool array, const Place *place, const char *key)
{
	if (value->type != jbvBinary || (array ? !JsonContainerIsArray(value->val.binary.data) || JsonContainerIsScalar(value->val.binary.data)
									 : !JsonContainerIsObject(value->val.binary.data)))
		fault(place, key, array ? "an array is wanted" : "an object is wanted");
	return value->val.binary.data;
}

/* The next member of an object; those that are null are as if they weren't there. */
static bool
next_member(JsonbIterator **iterator, JsonbValue *key, JsonbValue *value)
{
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(iterator, key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(iterator, value, true);
		if (value->type != jbvNull)
			return true;
	}
	return false;
}

static bool
is_key(const JsonbValue *key, const char *name)
{
	return key->val.string.len == (int) strlen(name) && memcmp(key->val.string.val, name, key->val.string.len) == 0;
}

static QzpayText
read_text(const JsonbValue *value, const Place *place, const char *key)
{
	QzpayText	result;

	if (value->type != jbvString || value->val.string.len == 0)
		fault(place, key, "a text is wanted");
	result.data = value->val.string.val;
	result.length = value->val.string.len;
	return result;
}

/* A text of which the core knows the words. */
static char *
read_word(const JsonbValue *value, const Place *place, const char *key)
{
	QzpayText	text = read_text(value, place, key);

	return pnstrdup(text.data, text.length);
}

static bool
read_bool(const JsonbValue *value, const Place *place, const char *key)
{
	if (value->type != jbvBool)
		fault(place, key, "true or false is wanted");
	return value->val.boolean;
}

static QzpayDecimal
read_decimal(const JsonbValue *value, const Place *place, const char *key)
{
	QzpayDecimal result = {0, 0};
	QzpayCode	code;

	if (value->type != jbvNumeric)
		fault(place, key, "a number is wanted");
	code = qzpay_decimal_from_numeric(NumericGetDatum(value->val.numeric), &result);
	if (code != QZPAY_OK)
		fault(place, key, qzpay_code_message(code));
	return result;
}

static QzpayBound
read_bound(const JsonbValue *value, const Place *place, const char *key)
{
	QzpayBound	result;

	result.given = true;
	result.value = read_decimal(value, place, key);
	if (result.value.coef < 0)
		fault(place, key, "it is negative");
	return result;
}

static int64
read_integer(const JsonbValue *value, int64 low, int64 high, const Place *place, const char *key)
{
	QzpayDecimal number = read_decimal(value, place, key);

	if (number.scale > 0 || number.coef < low || number.coef > high)
		fault(place, key, psprintf("an integer from " INT64_FORMAT " to " INT64_FORMAT " is wanted", low, high));
	return (int64) number.coef;
}

/* One text, or an array of them. */
static QzpayTextList
read_list(const JsonbValue *value, const Place *place, const char *key)
{
	QzpayTextList list = {true, 0, NULL};
	QzpayText  *items;
	JsonbContainer *array;

	if (value->type == jbvString)
	{
		items = palloc(sizeof(QzpayText));
		items[0] = read_text(value, place, key);
		list.n = 1;
	}
	else
	{
		array = container_of(value, true, place, key);
		list.n = JsonContainerSize(array);
		items = palloc(sizeof(QzpayText) * Max(list.n, 1));
		for (int i = 0; i < list.n; i++)
			items[i] = read_text(getIthJsonbValueFromContainer(array, i), place, key);
	}
	list.items = items;
	return list;
}

static QzpayInterval
interval_named(QzpayText name, const Place *place, const char *key)
{
	QzpayInterval interval;

	if (qzpay_interval_parse(name.data, name.length, &interval.unit, &interval.count) != QZPAY_OK)
		fault(place, key, "an interval such as \"month\" is wanted");
	return interval;
}

/* The first instant of a day in a zone, in microseconds since 1970. */
static int64
begin_of_day(const QzpayCivil *civil, int days, pg_tz *zone)
{
	QzpayCivil	day = *civil;
	struct pg_tm tm;

	/* Four-digit years have room for a day more. */
	(void) qzpay_civil_add(civil, QZPAY_UNIT_DAY, days, &day);
	memset(&tm, 0, sizeof(tm));
	tm.tm_year = day.year;
	tm.tm_mon = day.month;
	tm.tm_mday = day.day;
	return qzpay_civil_day_number(&day) * QZPAY_USEC_PER_CIVIL_DAY + DetermineTimeZoneOffset(&tm, zone) * USECS_PER_SEC;
}

/* An instant; of a date its first one, or (ends) the first one after it. */
static int64
read_instant(const JsonbValue *value, bool ends, const Place *place, const char *key)
{
	QzpayText	text = read_text(value, place, key);
	QzpayInstant instant;

	if (qzpay_instant_parse(text.data, text.length, &instant) != QZPAY_OK)
		fault(place, key, "an ISO 8601 instant with its zone, or a date, is wanted");
	return instant.is_date ? begin_of_day(&instant.civil, ends, place->zone) : instant.usec;
}

static pg_tz *
read_zone(const JsonbValue *value, const Place *place, const char *key)
{
	QzpayText	text = read_text(value, place, key);

	return qzpay_timezone_named(text.data, text.length);
}

static QzpayLineKind
kind_named(QzpayText name, const Place *place, const char *key)
{
	QzpayLineKind kind;

	if (qzpay_line_kind_parse(pnstrdup(name.data, name.length), &kind) != QZPAY_OK)
		fault(place, key, psprintf("unknown kind of line \"%s\"", pnstrdup(name.data, Min(name.length, 64))));
	return kind;
}

/* subscription, one-time, all; or kinds of lines. */
static unsigned
read_applies_to(const JsonbValue *value, const Place *place, const char *key)
{
	const unsigned subscription = QZPAY_LINE_BIT(QZPAY_LINE_PLAN) | QZPAY_LINE_BIT(QZPAY_LINE_ADDON);
	const unsigned once = QZPAY_LINE_BIT(QZPAY_LINE_SERVICE);
	QzpayTextList list = read_list(value, place, key);
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
			kinds |= QZPAY_LINE_BIT(kind_named(list.items[i], place, key));
	}
	return kinds;
}

static unsigned
read_days(const JsonbValue *value, const Place *place)
{
	static const char *const names[] = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};
	QzpayTextList list = read_list(value, place, "days");
	unsigned	days = 0;

	for (int i = 0; i < list.n; i++)
	{
		int			day = 0;

		while (day < 7 && (list.items[i].length != (int) strlen(names[day]) || memcmp(list.items[i].data, names[day], list.items[i].length) != 0))
			day++;
		if (day == 7)
			fault(place, "days", "days are monday to sunday");
		days |= 1u << day;
	}
	if (days == 0)
		fault(place, "days", "a day is wanted");
	return days;
}

static void
read_schedule(const JsonbValue *value, const Place *place, QzpaySchedule *schedule, pg_tz **zone)
{
	JsonbIterator *iterator = JsonbIteratorInit(container_of(value, false, place, "schedule"));
	JsonbValue	key;
	JsonbValue	member;
	JsonbValue	hour;

	schedule->given = true;
	while (next_member(&iterator, &key, &member))
	{
		if (is_key(&key, "days"))
			schedule->days = read_days(&member, place);
		else if (is_key(&key, "timezone"))
			*zone = read_zone(&member, place, "timezone");
		else if (is_key(&key, "hours"))
		{
			JsonbIterator *hours = JsonbIteratorInit(container_of(&member, false, place, "hours"));
			int			seen = 0;

			while (next_member(&hours, &key, &hour))
			{
				if (is_key(&key, "from"))
					schedule->from = read_integer(&hour, 0, 23, place, "from");
				else if (is_key(&key, "to"))
					schedule->to = read_integer(&hour, 1, 24, place, "to");
				else
					fault(place, shown(&key), "it has no meaning here");
				seen++;
			}
			if (seen != 2)
				fault(place, "hours", "\"from\" and \"to\" are wanted");
			schedule->has_hours = true;
		}
		else
			fault(place, shown(&key), "it has no meaning here");
	}
}

static void
read_threshold(const JsonbValue *value, const Place *place, QzpayDiscount *d)
{
	JsonbIterator *iterator = JsonbIteratorInit(container_of(value, false, place, "usageThreshold"));
	JsonbValue	key;
	JsonbValue	member;

	while (next_member(&iterator, &key, &member))
	{
		if (is_key(&key, "metric"))
			d->usage_of = read_text(&member, place, "metric");
		else if (is_key(&key, "minValue"))
			d->usage_min = read_bound(&member, place, "minValue");
		else if (is_key(&key, "maxValue"))
			d->usage_max = read_bound(&member, place, "maxValue");
		else
			fault(place, shown(&key), "it has no meaning here");
	}
	if (d->usage_of.data == NULL || (!d->usage_min.given && !d->usage_max.given))
		fault(place, "usageThreshold", "\"metric\" and \"minValue\" or \"maxValue\" are wanted");
}

static void
read_tiers(const JsonbValue *value, const Place *place, QzpayDiscount *d)
{
	JsonbContainer *array = container_of(value, true, place, "tiers");
	QzpayDiscountTier *tiers;

	d->ntiers = JsonContainerSize(array);
	tiers = palloc0(sizeof(QzpayDiscountTier) * Max(d->ntiers, 1));
	for (int i = 0; i < d->ntiers; i++)
	{
		JsonbIterator *iterator = JsonbIteratorInit(container_of(getIthJsonbValueFromContainer(array, i), false, place, "tiers"));
		JsonbValue	key;
		JsonbValue	member;
		bool		has_from = false;
		int			values = 0;

		while (next_member(&iterator, &key, &member))
		{
			if (is_key(&key, "from"))
			{
				tiers[i].from = read_decimal(&member, place, "from");
				has_from = true;
			}
			else if (is_key(&key, "percentage") || is_key(&key, "amount"))
			{
				tiers[i].is_amount = is_key(&key, "amount");
				tiers[i].value = read_decimal(&member, place, "tiers");
				values++;
			}
			else
				fault(place, shown(&key), "it has no meaning in a tier");
		}
		if (!has_from || values != 1)
			fault(place, "tiers", "a tier has \"from\", and either \"percentage\" or \"amount\"");
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
read_members(JsonbContainer *object, int where, Place *place, QzpayDiscount *d, pg_tz **zone, Said *said)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	while (next_member(&iterator, &key, &value))
	{
		int			found = find_discount_key(&key);
		const char *name;
		char	   *word;
		QzpayTextList list;
		QzpayInterval *intervals;

		if (found < 0 || (discount_keys[found].where & where) == 0)
			fault(place, shown(&key), "it has no meaning here");
		name = discount_keys[found].name;
		switch (discount_keys[found].key)
		{
			case KEY_IGNORED:
				break;
			case KEY_ID:
			case KEY_CODE:
				d->code = read_text(&value, place, name);
				if (!said->trigger)
					d->trigger = discount_keys[found].key == KEY_ID ? QZPAY_AUTOMATIC : QZPAY_PROMO_CODE;
				break;
			case KEY_TRIGGER:
				word = read_word(&value, place, name);
				if (strcmp(word, "promo_code") != 0 && strcmp(word, "automatic") != 0)
					fault(place, name, "it is promo_code or automatic");
				d->trigger = word[0] == 'a' ? QZPAY_AUTOMATIC : QZPAY_PROMO_CODE;
				said->trigger = true;
				break;
			case KEY_TYPE:
				word = read_word(&value, place, name);
				if (qzpay_discount_type_parse(word, &d->type) != QZPAY_OK)
					fault(place, name, psprintf("unknown type \"%s\"", shown(&value)));
				said->type = true;
				break;
			case KEY_VALUE:
				d->value = read_decimal(&value, place, name);
				said->value = true;
				break;
			case KEY_ACTIVE:
				d->active = read_bool(&value, place, name);
				break;
			case KEY_COMBINABLE:
			case KEY_STACKABLE:
				d->stackable = read_bool(&value, place, name);
				said->stackable = true;
				break;
			case KEY_PRIORITY:
				d->priority = read_integer(&value, -1000000, 1000000, place, name);
				break;
			case KEY_APPLIES_TO:
				d->kinds = read_applies_to(&value, place, name);
				said->applies_to = true;
				break;
			case KEY_LINE_KINDS:
				list = read_list(&value, place, name);
				for (int i = 0; i < list.n; i++)
					said->also |= QZPAY_LINE_BIT(kind_named(list.items[i], place, name));
				break;
			case KEY_CONFIG:
				read_members(container_of(&value, false, place, name), IN_CONFIG, place, d, zone, said);
				break;
			case KEY_CONDITIONS:
				read_members(container_of(&value, false, place, name), IN_CONDITIONS, place, d, zone, said);
				break;
			case KEY_CURRENCY:
				d->currency = read_text(&value, place, name);
				break;
			case KEY_PERIODS:
				d->periods = read_integer(&value, 1, 1200, place, name);
				d->has_periods = true;
				break;
			case KEY_FOREVER:
				said->forever = read_bool(&value, place, name);
				break;
			case KEY_TIERS:
				read_tiers(&value, place, d);
				break;
			case KEY_VALID_FROM:
				d->valid_from = read_instant(&value, false, place, name);
				d->has_from = true;
				break;
			case KEY_VALID_UNTIL:
				d->valid_until = read_instant(&value, true, place, name);
				d->has_until = true;
				break;
			case KEY_MAX_USES:
				d->max_uses = read_bound(&value, place, name);
				break;
			case KEY_MAX_USES_PER_CUSTOMER:
				d->max_uses_per_customer = read_bound(&value, place, name);
				break;
			case KEY_MIN_AMOUNT:
				d->min_amount = read_bound(&value, place, name);
				break;
			case KEY_MAX_AMOUNT:
				d->max_amount = read_bound(&value, place, name);
				break;
			case KEY_MIN_QUANTITY:
				d->min_quantity = read_bound(&value, place, name);
				break;
			case KEY_MIN_QUANTITY_PER_PRODUCT:
				d->min_quantity_per_product = read_bound(&value, place, name);
				break;
			case KEY_OF:
				d->quantity_of = read_text(&value, place, name);
				break;
			case KEY_VALID_PLANS:
				d->plans = read_list(&value, place, name);
				break;
			case KEY_PRODUCTS:
				d->products = read_list(&value, place, name);
				break;
			case KEY_ALL_PRODUCTS:
				d->bundle = read_list(&value, place, name);
				break;
			case KEY_CATEGORIES:
				d->categories = read_list(&value, place, name);
				break;
			case KEY_EXCLUDED_PRODUCTS:
				d->excluded_products = read_list(&value, place, name);
				break;
			case KEY_EXCLUDED_CATEGORIES:
				d->excluded_categories = read_list(&value, place, name);
				break;
			case KEY_VALID_INTERVALS:
				list = read_list(&value, place, name);
				intervals = palloc(sizeof(QzpayInterval) * Max(list.n, 1));
				for (int i = 0; i < list.n; i++)
					intervals[i] = interval_named(list.items[i], place, name);
				d->intervals = intervals;
				d->nintervals = list.n;
				d->has_intervals = true;
				break;
			case KEY_FIRST_PURCHASE:
				d->first_purchase |= read_bool(&value, place, name);
				break;
			case KEY_UPGRADE:
				d->upgrade = read_bool(&value, place, name);
				break;
			case KEY_FROM_PLANS:
				d->from_plans = read_list(&value, place, name);
				break;
			case KEY_TO_PLANS:
				d->to_plans = read_list(&value, place, name);
				break;
			case KEY_SEGMENTS:
				d->segments = read_list(&value, place, name);
				break;
			case KEY_REGISTERED_AFTER:
				d->registered_after = read_instant(&value, false, place, name);
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
read_discount(JsonbContainer *object, Place *place, QzpayDiscount *d, pg_tz **zone)
{
	Said		said = {0};
	const char *reason;

	*zone = place->zone;
	d->active = true;
	read_members(object, IN_DISCOUNT, place, d, zone, &said);
	if (!said.type)
		fault(place, "type", "it is missing");
	if (!said.value && d->type != QZPAY_FREE_SHIPPING && d->ntiers == 0)
		fault(place, "value", "it is missing");
	if (!said.stackable)
		d->stackable = d->trigger == QZPAY_PROMO_CODE || d->type == QZPAY_FREE_SHIPPING;
	if (!said.applies_to)
		d->kinds = QZPAY_LINE_BIT(QZPAY_LINE_ANY) | QZPAY_LINE_BIT(QZPAY_LINE_PLAN) | QZPAY_LINE_BIT(QZPAY_LINE_ADDON);
	d->kinds |= said.also;
	if (d->type == QZPAY_FREE_PERIOD && !d->has_periods)
	{
		QzpayDecimal periods = qzpay_decimal_normalise(d->value);

		if (periods.scale > 0 || periods.coef < 1 || periods.coef > 3650)
			fault(place, "value", "it is not a number of periods");
		d->has_periods = true;
		d->periods = (int) periods.coef;
	}
	if (said.forever && d->has_periods)
		fault(place, "forever", "a discount has a number of periods or lasts for ever");
	reason = qzpay_discount_check(d);
	if (reason != NULL)
		fault(place, NULL, reason);
}

/*
 * qzpay_discounts_read
 *		An array of discounts; zone is that of dates and of schedules that name none.
 */
void
qzpay_discounts_read(Jsonb *json, pg_tz *zone, QzpayDiscountList *list)
{
	Place		place = {"discounts", 0, zone};

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		fault(&place, NULL, "an array is wanted");
	if (JB_ROOT_COUNT(json) > QZPAY_MAX_DISCOUNTS)
		fault(&place, NULL, psprintf("there are more than %d", QZPAY_MAX_DISCOUNTS));
	list->n = JB_ROOT_COUNT(json);
	list->discounts = palloc0(sizeof(QzpayDiscount) * Max(list->n, 1));
	list->pointers = palloc(sizeof(QzpayDiscount *) * Max(list->n, 1));
	list->zones = palloc(sizeof(pg_tz *) * Max(list->n, 1));
	place.what = "discount";
	for (int i = 0; i < list->n; i++)
	{
		place.n = i + 1;
		read_discount(container_of(getIthJsonbValueFromContainer(&json->root, i), false, &place, NULL), &place, &list->discounts[i], &list->zones[i]);
		list->pointers[i] = &list->discounts[i];
	}
}

/* Whether a member was one that only says more about a line or a cart. */
static bool
is_remark(const JsonbValue *key)
{
	return is_key(key, "id") || is_key(key, "name") || is_key(key, "description") || is_key(key, "metadata");
}

static void
read_line(JsonbContainer *object, const Place *place, QzpayCartLine *line)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;
	QzpayBound	unit_amount = {false};
	QzpayDecimal exact;
	bool		has_amount = false;

	line->quantity = qzpay_decimal_int(1);
	while (next_member(&iterator, &key, &value))
	{
		if (is_key(&key, "kind"))
			line->kind = kind_named(read_text(&value, place, "kind"), place, "kind");
		else if (is_key(&key, "product"))
			line->product = read_text(&value, place, "product");
		else if (is_key(&key, "categories"))
			line->categories = read_list(&value, place, "categories");
		else if (is_key(&key, "quantity"))
			line->quantity = read_decimal(&value, place, "quantity");
		else if (is_key(&key, "amount"))
		{
			line->amount = read_integer(&value, PG_INT64_MIN, PG_INT64_MAX, place, "amount");
			has_amount = true;
		}
		else if (is_key(&key, "unitAmount"))
			unit_amount = read_bound(&value, place, "unitAmount");
		else if (is_key(&key, "proration"))
			line->proration = read_bool(&value, place, "proration");
		else if (!is_remark(&key))
			fault(place, shown(&key), "it has no meaning here");
	}
	if (has_amount == unit_amount.given)
		fault(place, NULL, "either \"amount\" or \"unitAmount\" is wanted");
	if (!has_amount && (qzpay_decimal_mul(unit_amount.value, line->quantity, &exact) != QZPAY_OK ||
						qzpay_decimal_round(exact, QZPAY_ROUND_HALF_UP, &line->amount) != QZPAY_OK))
		fault(place, "unitAmount", "the amount is out of range");
}

static void
read_lines(const JsonbValue *value, const Place *cart_place, QzpayCart *cart)
{
	JsonbContainer *array = container_of(value, true, cart_place, "lines");
	Place		place = {"cart line", 0, cart_place->zone};
	QzpayCartLine *lines;

	cart->nlines = JsonContainerSize(array);
	if (cart->nlines > QZPAY_MAX_CART_LINES)
		fault(cart_place, "lines", psprintf("there are more than %d", QZPAY_MAX_CART_LINES));
	lines = palloc0(sizeof(QzpayCartLine) * Max(cart->nlines, 1));
	for (int i = 0; i < cart->nlines; i++)
	{
		place.n = i + 1;
		read_line(container_of(getIthJsonbValueFromContainer(array, i), false, &place, NULL), &place, &lines[i]);
	}
	cart->lines = lines;
}

static void
read_customer(const JsonbValue *value, const Place *place, QzpayCart *cart)
{
	JsonbIterator *iterator = JsonbIteratorInit(container_of(value, false, place, "customer"));
	JsonbValue	key;
	JsonbValue	member;

	while (next_member(&iterator, &key, &member))
	{
		if (is_key(&key, "firstPurchase"))
			cart->first_purchase = read_bool(&member, place, "firstPurchase") ? QZPAY_YES : QZPAY_NO;
		else if (is_key(&key, "segments"))
			cart->segments = read_list(&member, place, "segments");
		else if (is_key(&key, "registeredAt"))
		{
			cart->registered_at = read_instant(&member, false, place, "registeredAt");
			cart->has_registered_at = true;
		}
		else if (!is_remark(&key))
			fault(place, shown(&key), "it has no meaning here");
	}
}

static void
read_change(const JsonbValue *value, const Place *place, QzpayCart *cart)
{
	JsonbIterator *iterator = JsonbIteratorInit(container_of(value, false, place, "change"));
	JsonbValue	key;
	JsonbValue	member;

	while (next_member(&iterator, &key, &member))
	{
		if (is_key(&key, "upgrade"))
			cart->upgrade = read_bool(&member, place, "upgrade") ? QZPAY_YES : QZPAY_NO;
		else if (is_key(&key, "from"))
			cart->from_plan = read_text(&member, place, "from");
		else if (is_key(&key, "to"))
			cart->to_plan = read_text(&member, place, "to");
		else
			fault(place, shown(&key), "it has no meaning here");
	}
}

static void
read_usage(const JsonbValue *value, const Place *place, QzpayCart *cart)
{
	JsonbContainer *object = container_of(value, false, place, "usage");
	JsonbIterator *iterator = JsonbIteratorInit(object);
	QzpayReading *readings = palloc(sizeof(QzpayReading) * Max(JsonContainerSize(object), 1));
	JsonbValue	key;
	JsonbValue	member;

	while (next_member(&iterator, &key, &member))
	{
		QzpayReading *reading = &readings[cart->nreadings++];

		reading->meter.data = key.val.string.val;
		reading->meter.length = key.val.string.len;
		reading->value = read_decimal(&member, place, "usage");
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
	Place		place = {"cart", 0, options->zone};
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;
	bool		has_lines = false;

	memset(cart, 0, sizeof(*cart));
	if (!JB_ROOT_IS_OBJECT(json))
		fault(&place, NULL, "an object is wanted");
	iterator = JsonbIteratorInit(&json->root);
	while (next_member(&iterator, &key, &value))
	{
		if (is_key(&key, "lines"))
		{
			read_lines(&value, &place, cart);
			has_lines = true;
		}
		else if (is_key(&key, "currency"))
			cart->currency = read_text(&value, &place, "currency");
		else if (is_key(&key, "plan"))
			cart->plan = read_text(&value, &place, "plan");
		else if (is_key(&key, "interval"))
		{
			cart->interval = interval_named(read_text(&value, &place, "interval"), &place, "interval");
			cart->has_interval = true;
		}
		else if (is_key(&key, "customer"))
			read_customer(&value, &place, cart);
		else if (is_key(&key, "usage"))
			read_usage(&value, &place, cart);
		else if (is_key(&key, "change"))
			read_change(&value, &place, cart);
		else if (is_key(&key, "trialing"))
			cart->trialing = read_bool(&value, &place, "trialing") ? QZPAY_YES : QZPAY_NO;
		else if (!is_remark(&key))
			fault(&place, shown(&key), "it has no meaning here");
	}
	if (!has_lines)
		fault(&place, "lines", "they are missing");
	if (cart->plan.data == NULL)
		cart->plan = plan_of_lines(cart);
	cart->has_at = options->has_at;
	cart->at = options->at;
}

static void
read_stacking(const JsonbValue *value, const Place *place, QzpayStackingRule *rule)
{
	JsonbIterator *iterator = JsonbIteratorInit(container_of(value, false, place, "stacking"));
	JsonbValue	key;
	JsonbValue	member;

	while (next_member(&iterator, &key, &member))
	{
		if (is_key(&key, "mode"))
		{
			if (qzpay_stacking_parse(read_word(&member, place, "mode"), &rule->mode) != QZPAY_OK)
				fault(place, "mode", "it is best_discount, all_stackable or automatic_first");
		}
		else if (is_key(&key, "maxStacked") || is_key(&key, "maxStackedDiscounts"))
			rule->max_stacked = read_integer(&member, 1, 1000000, place, "maxStacked");
		else
			fault(place, shown(&key), "it has no meaning here");
	}
}

/*
 * qzpay_discount_options_read
 *		The instant, the zone, the stacking rule, and how often what was redeemed.
 */
void
qzpay_discount_options_read(Jsonb *json, QzpayDiscountOptions *options)
{
	Place		place = {"options", 0, NULL};
	JsonbIterator *iterator;
	JsonbValue	key;
	JsonbValue	value;
	JsonbValue	at;

	memset(options, 0, sizeof(*options));
	options->rule.mode = QZPAY_ALL_STACKABLE;
	if (!JB_ROOT_IS_OBJECT(json))
		fault(&place, NULL, "an object is wanted");
	iterator = JsonbIteratorInit(&json->root);
	while (next_member(&iterator, &key, &value))
	{
		if (is_key(&key, "at"))
		{
			at = value;
			options->has_at = true;
		}
		else if (is_key(&key, "timezone"))
			options->zone = read_zone(&value, &place, "timezone");
		else if (is_key(&key, "stacking"))
			read_stacking(&value, &place, &options->rule);
		else if (is_key(&key, "redemptions"))
			options->redemptions = container_of(&value, false, &place, "redemptions");
		else
			fault(&place, shown(&key), "it has no meaning here");
	}
	if (options->zone == NULL)
		options->zone = qzpay_timezone_named("UTC", strlen("UTC"));
	place.zone = options->zone;
	if (options->has_at)
		options->at = read_instant(&at, false, &place, "at");
}

static void
read_redemption(JsonbContainer *object, const Place *place, QzpayDiscountFacts *facts)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	while (next_member(&iterator, &key, &value))
	{
		if (is_key(&key, "total"))
			facts->uses = read_bound(&value, place, "total");
		else if (is_key(&key, "customer"))
			facts->customer_uses = read_bound(&value, place, "customer");
		else if (is_key(&key, "redeemed"))
			facts->redeemed = read_bool(&value, place, "redeemed");
		else if (is_key(&key, "covered"))
			facts->covered = read_bool(&value, place, "covered");
		else if (is_key(&key, "periodsUsed"))
			facts->periods_used = read_integer(&value, 0, PG_INT32_MAX, place, "periodsUsed");
		else
			fault(place, shown(&key), "it has no meaning here");
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
	Place		place = {"options", 0, options->zone};

	memset(facts, 0, sizeof(*facts) * list->n);
	for (int i = 0; i < list->n; i++)
	{
		const QzpayDiscount *d = &list->discounts[i];
		JsonbValue	value;

		if (d->schedule.given && options->has_at)
			local_time(options->at, list->zones[i], &facts[i]);
		if (find_redemption(options, d, &value))
			read_redemption(container_of(&value, false, &place, "redemptions"), &place, &facts[i]);
	}
}
