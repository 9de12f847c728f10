/*
 * rating.c
 *		SQL-callable functions: from what was used to an amount by a pricing model.
 *
 * A pricing is parsed once per call site and kept in fn_extra, found again by comparing its bytes: a billing run rates thousands of
 * quantities under a handful of pricings, and parsing JSON costs more than the arithmetic.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "core/rating.h"
#include "qzpay.h"
#include "sqlfn/argument.h"
#include "store/decimal.h"

QZPAY_FUNCTION(qzpay_pricing_rates_events);
QZPAY_FUNCTION(qzpay_rated_usage);
QZPAY_FUNCTION(qzpay_usage_as_amount);

#define KEPT_PRICINGS 8

/* A parsed pricing and the two arguments it was parsed from. */
typedef struct KeptPricing
{
	char	   *model;
	size_t		model_size;
	char	   *json;
	size_t		json_size;
	QzpayPricing pricing;
} KeptPricing;

typedef struct KeptPricings
{
	KeptPricing *kept[KEPT_PRICINGS];
	int			last;			/* found last time */
	int			next;			/* replaced next */
} KeptPricings;

/* Raises 22023 for a pricing that cannot be; tier is 0-based, or -1. */
static void
bad_pricing(const char *reason, int tier)
{
	if (tier < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid pricing: %s", reason)));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid pricing: %s (tier %d)", reason, tier + 1)));
}

/* A member of a JSON object as a decimal; false when it isn't there, NULL counts as that. */
static bool
decimal_member(JsonbContainer *object, const char *name, int tier, QzpayDecimal *out)
{
	JsonbValue	value;
	QzpayCode	code;

	if (getKeyJsonValueFromContainer(object, name, strlen(name), &value) == NULL || value.type == jbvNull)
		return false;
	if (value.type != jbvNumeric)
		bad_pricing(psprintf("\"%s\" must be a number", name), tier);
	code = qzpay_decimal_from_numeric(NumericGetDatum(value.val.numeric), out);
	if (code != QZPAY_OK)
		bad_pricing(psprintf("\"%s\": %s", name, qzpay_code_message(code)), tier);
	return true;
}

/* The same, when it has to be there. */
static QzpayDecimal
required_member(JsonbContainer *object, const char *name, int tier)
{
	QzpayDecimal value;

	if (!decimal_member(object, name, tier, &value))
		bad_pricing(psprintf("\"%s\" is missing", name), tier);
	return value;
}

/* The required member "rate", a percentage, as a share. */
static QzpayDecimal
required_share(JsonbContainer *object, int tier)
{
	QzpayDecimal share;
	QzpayCode	code = qzpay_share_of_percent(required_member(object, "rate", tier), &share);

	if (code != QZPAY_OK)
		bad_pricing(psprintf("\"rate\": %s", qzpay_code_message(code)), tier);
	return share;
}

static bool
is_among(const JsonbValue *key, const char *const *known)
{
	for (; *known != NULL; known++)
	{
		if (strlen(*known) == key->val.string.len && memcmp(*known, key->val.string.val, key->val.string.len) == 0)
			return true;
	}
	return false;
}

/*
 * Refuses members that mean nothing: a misspelt one would otherwise change the price silently.  Rounding and bounds belong to the charge as
 * a whole and are allowed with every model, but not in a tier.
 */
static void
check_members(JsonbContainer *object, const char *const *known, int tier)
{
	static const char *const common[] = {"rounding", "minimum_amount", "maximum_amount", NULL};
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !is_among(&value, known) && (tier >= 0 || !is_among(&value, common)))
			bad_pricing(psprintf("\"%.*s\" has no meaning here", value.val.string.len, value.val.string.val), tier);
	}
}

/* {"tiers": [{"up_to", "unit_amount" or "rate", "flat_amount"} ...], "flat_on_zero"} */
static void
parse_tiers(JsonbContainer *object, QzpayPricing *pricing)
{
	static const char *const quantities[] = {"up_to", "unit_amount", "flat_amount", NULL};
	static const char *const amounts[] = {"up_to", "rate", "flat_amount", NULL};
	bool		is_percentage = pricing->model == QZPAY_MODEL_GRADUATED_PERCENTAGE;
	JsonbValue	value;
	JsonbContainer *tiers;

	pricing->flat_on_zero = true;
	if (getKeyJsonValueFromContainer(object, "flat_on_zero", strlen("flat_on_zero"), &value) != NULL)
	{
		if (value.type != jbvBool)
			bad_pricing("\"flat_on_zero\" must be true or false", -1);
		pricing->flat_on_zero = value.val.boolean;
	}
	if (getKeyJsonValueFromContainer(object, "tiers", strlen("tiers"), &value) == NULL ||
		value.type != jbvBinary || !JsonContainerIsArray(value.val.binary.data))
		bad_pricing("\"tiers\" must be an array", -1);
	tiers = value.val.binary.data;
	if (JsonContainerSize(tiers) > QZPAY_MAX_TIERS)
		bad_pricing(psprintf("there are more than %d tiers", QZPAY_MAX_TIERS), -1);
	pricing->ntiers = JsonContainerSize(tiers);
	for (int i = 0; i < pricing->ntiers; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(tiers, i);
		QzpayTier  *tier = &pricing->tiers[i];

		if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
			bad_pricing("a tier must be an object", i);
		check_members(element->val.binary.data, is_percentage ? amounts : quantities, i);
		tier->open = !decimal_member(element->val.binary.data, "up_to", i, &tier->up_to);
		tier->unit_amount = is_percentage ? required_share(element->val.binary.data, i) :
			required_member(element->val.binary.data, "unit_amount", i);
		if (!decimal_member(element->val.binary.data, "flat_amount", i, &tier->flat_amount))
			tier->flat_amount = qzpay_decimal_int(0);
	}
}

/* "minimum_amount" and "maximum_amount" or others of such a pair. */
static void
parse_bounds(JsonbContainer *object, const char *minimum, const char *maximum, bool *has_minimum, QzpayDecimal *minimum_value,
			 bool *has_maximum, QzpayDecimal *maximum_value)
{
	*has_minimum = decimal_member(object, minimum, -1, minimum_value);
	*has_maximum = decimal_member(object, maximum, -1, maximum_value);
}

/* "rounding" is not done here, but a charge whose rounding has no meaning could not be billed. */
static void
check_rounding(JsonbContainer *object)
{
	JsonbValue	value;
	QzpayRounding rounding;

	if (getKeyJsonValueFromContainer(object, "rounding", strlen("rounding"), &value) == NULL || value.type == jbvNull)
		return;
	if (value.type != jbvString || qzpay_rounding_parse(pnstrdup(value.val.string.val, value.val.string.len), &rounding) != QZPAY_OK)
		bad_pricing("\"rounding\" must be half_up or half_even", -1);
}

/* {"rate", "fixed_amount", "free_events", "free_amount", "event_minimum", "event_maximum"} */
static void
parse_percentage(JsonbContainer *object, QzpayPricing *pricing)
{
	QzpayDecimal events;

	pricing->unit_amount = required_share(object, -1);
	(void) decimal_member(object, "fixed_amount", -1, &pricing->amount);
	pricing->has_free_events = decimal_member(object, "free_events", -1, &events);
	if (pricing->has_free_events)
	{
		if (events.scale != 0 || !qzpay_fits_i64(events.coef))
			bad_pricing("\"free_events\" must be a whole number", -1);
		pricing->free_events = (int64) events.coef;
	}
	pricing->has_free_amount = decimal_member(object, "free_amount", -1, &pricing->free_amount);
	parse_bounds(object, "event_minimum", "event_maximum", &pricing->has_event_minimum, &pricing->event_minimum,
				 &pricing->has_event_maximum, &pricing->event_maximum);
}

/*
 * parse_pricing
 *		Fills in a zeroed pricing; the shapes are those of the comment on rate_usage().
 */
static void
parse_pricing(const char *model, JsonbContainer *object, QzpayPricing *pricing)
{
	static const char *const flat[] = {"amount", NULL};
	static const char *const per_unit[] = {"unit_amount", NULL};
	static const char *const package[] = {"amount", "size", NULL};
	static const char *const tiered[] = {"tiers", "flat_on_zero", NULL};
	static const char *const percentage[] = {
		"rate", "fixed_amount", "free_events", "free_amount", "event_minimum", "event_maximum", NULL
	};
	static const char *const dynamic[] = {"multiplier", NULL};
	const char *reason;
	int			tier;

	if (qzpay_model_parse(model, &pricing->model) != QZPAY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown pricing model \"%s\"", model),
				 errhint("The models are flat, per_unit, package, graduated, volume, percentage, graduated_percentage and dynamic.")));
	if (!JsonContainerIsObject(object))
		bad_pricing("an object is wanted", -1);
	switch (pricing->model)
	{
		case QZPAY_MODEL_FLAT:
			check_members(object, flat, -1);
			pricing->amount = required_member(object, "amount", -1);
			break;
		case QZPAY_MODEL_PER_UNIT:
			check_members(object, per_unit, -1);
			pricing->unit_amount = required_member(object, "unit_amount", -1);
			break;
		case QZPAY_MODEL_PACKAGE:
			check_members(object, package, -1);
			pricing->amount = required_member(object, "amount", -1);
			pricing->size = required_member(object, "size", -1);
			break;
		case QZPAY_MODEL_GRADUATED:
		case QZPAY_MODEL_VOLUME:
		case QZPAY_MODEL_GRADUATED_PERCENTAGE:
			check_members(object, tiered, -1);
			parse_tiers(object, pricing);
			break;
		case QZPAY_MODEL_PERCENTAGE:
			check_members(object, percentage, -1);
			parse_percentage(object, pricing);
			break;
		case QZPAY_MODEL_DYNAMIC:
			check_members(object, dynamic, -1);
			if (!decimal_member(object, "multiplier", -1, &pricing->unit_amount))
				pricing->unit_amount = qzpay_decimal_int(1);
			break;
	}
	check_rounding(object);
	parse_bounds(object, "minimum_amount", "maximum_amount", &pricing->has_minimum, &pricing->minimum, &pricing->has_maximum, &pricing->maximum);
	if (qzpay_pricing_prepare(pricing, &reason, &tier) != QZPAY_OK)
		bad_pricing(reason, tier);
}

static inline bool
is_from(const KeptPricing *kept, struct varlena *model, struct varlena *json)
{
	return kept != NULL &&
		kept->model_size == VARSIZE_ANY_EXHDR(model) && kept->json_size == VARSIZE_ANY_EXHDR(json) &&
		memcmp(kept->json, VARDATA_ANY(json), kept->json_size) == 0 &&
		memcmp(kept->model, VARDATA_ANY(model), kept->model_size) == 0;
}

/* Parses a pricing and keeps it in a place of its own, so that an error leaves what is kept as it was. */
static KeptPricing *
keep_pricing(MemoryContext memory, struct varlena *model, struct varlena *json)
{
	char	   *name = text_to_cstring((text *) model);
	Jsonb	   *aligned = palloc(VARHDRSZ + VARSIZE_ANY_EXHDR(json));
	QzpayPricing *pricing = palloc0(sizeof(QzpayPricing));
	KeptPricing *kept;

	/* The packed datum need not be aligned as the container's numbers have to be. */
	SET_VARSIZE(aligned, VARHDRSZ + VARSIZE_ANY_EXHDR(json));
	memcpy(VARDATA(aligned), VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
	parse_pricing(name, &aligned->root, pricing);

	kept = MemoryContextAlloc(memory, sizeof(KeptPricing) + VARSIZE_ANY_EXHDR(model) + VARSIZE_ANY_EXHDR(json));
	kept->pricing = *pricing;
	kept->model = (char *) (kept + 1);
	kept->model_size = VARSIZE_ANY_EXHDR(model);
	memcpy(kept->model, VARDATA_ANY(model), kept->model_size);
	kept->json = kept->model + kept->model_size;
	kept->json_size = VARSIZE_ANY_EXHDR(json);
	memcpy(kept->json, VARDATA_ANY(json), kept->json_size);
	pfree(pricing);
	pfree(aligned);
	pfree(name);
	return kept;
}

/* The pricing of the first two arguments. */
static const QzpayPricing *
pricing_argument(FunctionCallInfo fcinfo)
{
	KeptPricings *cache = fcinfo->flinfo->fn_extra;
	MemoryContext memory = fcinfo->flinfo->fn_mcxt;
	struct varlena *model = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(0));
	struct varlena *json = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(1));
	KeptPricing *found = NULL;

	if (cache == NULL)
		cache = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(memory, sizeof(KeptPricings));
	if (is_from(cache->kept[cache->last], model, json))
		found = cache->kept[cache->last];
	for (int i = 0; found == NULL && i < KEPT_PRICINGS; i++)
	{
		if (is_from(cache->kept[i], model, json))
		{
			cache->last = i;
			found = cache->kept[i];
		}
	}
	if (found == NULL)
	{
		found = keep_pricing(memory, model, json);
		if (cache->kept[cache->next] != NULL)
			pfree(cache->kept[cache->next]);
		cache->kept[cache->next] = found;
		cache->last = cache->next;
		cache->next = (cache->next + 1) % KEPT_PRICINGS;
	}
	if ((Pointer) model != DatumGetPointer(PG_GETARG_DATUM(0)))
		pfree(model);
	if ((Pointer) json != DatumGetPointer(PG_GETARG_DATUM(1)))
		pfree(json);
	return &found->pricing;
}

static QzpayDecimal
decimal_element(Datum element, const char *what)
{
	QzpayDecimal value;
	QzpayCode	code = qzpay_decimal_from_numeric(element, &value);

	if (code != QZPAY_OK)
		qzpay_core_error(code, what);
	return value;
}

static void
add_to(QzpayDecimal *sum, QzpayDecimal value)
{
	QzpayCode	code = qzpay_decimal_add(*sum, value, sum);

	if (code != QZPAY_OK)
		qzpay_core_error(code, "sum of the events");
}

static void
check_sum(bool right, const char *what)
{
	if (!right)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the events do not add up to the %s", what)));
}

/* Takes the events from the two arrays, the second of which may lack, whole or in parts. */
static void
read_events(FunctionCallInfo fcinfo, int quantities, QzpayUsage *usage)
{
	bool	   *null_amounts;
	int			n_quantities;
	int			n_amounts;
	Datum	   *quantity = PG_ARGISNULL(quantities) ? NULL : qzpay_argument_array(fcinfo, quantities, NUMERICOID, "quantity of an event", NULL, &n_quantities);
	Datum	   *amount = PG_ARGISNULL(quantities + 1) ? NULL : qzpay_argument_array(fcinfo, quantities + 1, NUMERICOID, "amount of an event", &null_amounts, &n_amounts);
	bool		has_amount = usage->has_amount;
	QzpayDecimal total_quantity = qzpay_decimal_int(0);
	QzpayDecimal total_amount = qzpay_decimal_int(0);
	QzpayUse   *events;

	if (quantity == NULL && amount == NULL)
		return;
	if (quantity == NULL || (amount != NULL && n_amounts != n_quantities))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there must be as many quantities as amounts of events")));
	events = MemoryContextAllocHuge(CurrentMemoryContext, Max(n_quantities, 1) * sizeof(QzpayUse));
	for (int i = 0; i < n_quantities; i++)
	{
		events[i].quantity = events[i].amount = decimal_element(quantity[i], "quantity of an event");
		if (amount != NULL && !null_amounts[i])
		{
			events[i].amount = decimal_element(amount[i], "amount of an event");
			usage->has_amount = true;
		}
		add_to(&total_quantity, events[i].quantity);
		add_to(&total_amount, events[i].amount);
	}
	check_sum(qzpay_decimal_compare(total_quantity, usage->quantity) == 0, "quantity");
	check_sum(!has_amount || qzpay_decimal_compare(total_amount, usage->amount) == 0, "amount");
	check_sum(usage->n_events < 0 || usage->n_events == n_quantities, "number of events");
	usage->amount = total_amount;
	usage->n_events = n_quantities;
	usage->events = events;
}

/* Raises what a rating says of its arguments. */
static void
rating_error(const QzpayPricing *pricing, const QzpayUsage *usage, QzpayCode code)
{
	if (code == QZPAY_E_RANGE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", qzpay_decimal_sign(usage->quantity) < 0 ? "quantity" :
						qzpay_decimal_sign(usage->included) < 0 ? "included quantity" :
						usage->has_amount && qzpay_decimal_sign(usage->amount) < 0 ? "amount" : "quantity or amount of an event")));
	if (code == QZPAY_E_INVALID)
	{
		if (qzpay_rating_need(pricing, usage) == QZPAY_NEEDS_COUNT)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the number of events is wanted"),
							errdetail("The pricing has a fixed amount per event.")));
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("quantity and amount of each event are wanted"),
						errdetail("By this pricing it matters which events are free, or each has a fee of its own.")));
	}
	qzpay_core_error(code, "amount");
}

/* A number among the arguments, read to where it is wanted: copies of it would cost more than reading it. */
static inline void
read_decimal(FunctionCallInfo fcinfo, int n, const char *what, QzpayDecimal *value)
{
	QzpayCode	code = qzpay_decimal_from_numeric(PG_GETARG_DATUM(n), value);

	if (code != QZPAY_OK)
		qzpay_core_error(code, what);
}

/* What is known of the usage beside its quantity, from the arguments from n on. */
static void
read_usage(FunctionCallInfo fcinfo, int n, QzpayUsage *usage)
{
	usage->has_amount = !PG_ARGISNULL(n + 1);
	if (usage->has_amount)
		read_decimal(fcinfo, n + 1, "amount", &usage->amount);
	usage->events = NULL;
	/* No usage is no event. */
	usage->n_events = !PG_ARGISNULL(n) ? PG_GETARG_INT64(n) : qzpay_decimal_sign(usage->quantity) == 0 && !usage->has_amount ? 0 : -1;
	if (!PG_ARGISNULL(n) && usage->n_events < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("number of events must not be negative")));
	read_events(fcinfo, n + 2, usage);
	check_sum(usage->n_events != 0 || qzpay_decimal_sign(usage->quantity) == 0, "quantity");
}

/*
 * rate
 *		The exact amount of the common arguments: four, and from more on those that tell of events.
 */
static void
rate(FunctionCallInfo fcinfo, int more, QzpayDecimal *exact)
{
	const QzpayPricing *pricing = pricing_argument(fcinfo);
	QzpayUsage	usage;
	QzpayCode	code;

	read_decimal(fcinfo, 2, "quantity", &usage.quantity);
	read_decimal(fcinfo, 3, "included quantity", &usage.included);
	usage.has_amount = false;
	if (qzpay_model_rates_amounts(pricing->model))
		read_usage(fcinfo, more, &usage);
	code = qzpay_rate_usage(pricing, &usage, exact);
	if (code != QZPAY_OK)
		rating_error(pricing, &usage, code);
}

/* Whether one of the arguments is NULL that tell of no event. */
static inline bool
lacks_argument(FunctionCallInfo fcinfo, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (PG_ARGISNULL(i))
			return true;
	}
	return false;
}

/* rate_usage(model, pricing, quantity, included, events, amount, event_quantities, event_amounts) */
Datum
qzpay_rated_usage(PG_FUNCTION_ARGS)
{
	QzpayDecimal exact;

	if (lacks_argument(fcinfo, 4))
		PG_RETURN_NULL();
	rate(fcinfo, 4, &exact);
	return qzpay_decimal_to_numeric(&exact);
}

/* usage_amount(model, pricing, quantity, included, rounding, events, amount, event_quantities, event_amounts) */
Datum
qzpay_usage_as_amount(PG_FUNCTION_ARGS)
{
	QzpayRounding rounding;
	QzpayDecimal exact;
	int64_t		amount;
	QzpayCode	code;

	if (lacks_argument(fcinfo, 5))
		PG_RETURN_NULL();
	rounding = qzpay_argument_rounding(fcinfo, 4);
	rate(fcinfo, 5, &exact);
	code = qzpay_decimal_round(exact, rounding, &amount);
	if (code != QZPAY_OK)
		qzpay_core_error(code, "amount");
	PG_RETURN_INT64(amount);
}

/* _rates_events(model, pricing, quantity, included, has_amount) */
Datum
qzpay_pricing_rates_events(PG_FUNCTION_ARGS)
{
	QzpayUsage	usage = {.n_events = -1};

	read_decimal(fcinfo, 2, "quantity", &usage.quantity);
	read_decimal(fcinfo, 3, "included quantity", &usage.included);
	usage.has_amount = PG_GETARG_BOOL(4);
	PG_RETURN_BOOL(qzpay_rating_need(pricing_argument(fcinfo), &usage) == QZPAY_NEEDS_EVENTS);
}
