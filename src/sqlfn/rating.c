/*
 * rating.c
 *		SQL-callable functions: from a quantity to an amount by a pricing model.
 *
 * A pricing is parsed once per call site and kept in fn_extra, found again by comparing its bytes: a billing run rates thousands of
 * quantities under a handful of pricings, and parsing JSON costs more than the arithmetic.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "core/rating.h"
#include "qzpay.h"
#include "sqlfn/argument.h"
#include "store/decimal.h"

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

/* Refuses members that mean nothing: a misspelt one would otherwise change the price silently. */
static void
check_members(JsonbContainer *object, const char *const *known, int tier)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		int			i = 0;

		if (token != WJB_KEY)
			continue;
		while (known[i] != NULL && (strlen(known[i]) != value.val.string.len || memcmp(known[i], value.val.string.val, value.val.string.len) != 0))
			i++;
		if (known[i] == NULL)
			bad_pricing(psprintf("\"%.*s\" has no meaning here", value.val.string.len, value.val.string.val), tier);
	}
}

/* {"tiers": [{"up_to", "unit_amount", "flat_amount"} ...], "flat_on_zero"} */
static void
parse_tiers(JsonbContainer *object, QzpayPricing *pricing)
{
	static const char *const members[] = {"up_to", "unit_amount", "flat_amount", NULL};
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
		check_members(element->val.binary.data, members, i);
		tier->open = !decimal_member(element->val.binary.data, "up_to", i, &tier->up_to);
		tier->unit_amount = required_member(element->val.binary.data, "unit_amount", i);
		if (!decimal_member(element->val.binary.data, "flat_amount", i, &tier->flat_amount))
			tier->flat_amount = qzpay_decimal_int(0);
	}
}

/*
 * parse_pricing
 *		Fills in a zeroed pricing; the shapes are those of the comment on rate_usage().
 *
 * "rounding" belongs to the charge as a whole and is allowed with every model.
 */
static void
parse_pricing(const char *model, JsonbContainer *object, QzpayPricing *pricing)
{
	static const char *const flat[] = {"amount", "rounding", NULL};
	static const char *const per_unit[] = {"unit_amount", "rounding", NULL};
	static const char *const package[] = {"amount", "size", "rounding", NULL};
	static const char *const tiered[] = {"tiers", "flat_on_zero", "rounding", NULL};
	const char *reason;
	int			tier;

	if (qzpay_model_parse(model, &pricing->model) != QZPAY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown pricing model \"%s\"", model),
				 errhint("The models are flat, per_unit, package, graduated and volume.")));
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
			check_members(object, tiered, -1);
			parse_tiers(object, pricing);
			break;
	}
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

/* The exact amount of the four common arguments. */
static QzpayDecimal
rate(FunctionCallInfo fcinfo)
{
	const QzpayPricing *pricing = pricing_argument(fcinfo);
	QzpayDecimal quantity = qzpay_argument_decimal(fcinfo, 2, "quantity");
	QzpayDecimal included = qzpay_argument_decimal(fcinfo, 3, "included quantity");
	QzpayDecimal exact;
	QzpayCode	code = qzpay_rate(pricing, quantity, included, &exact);

	if (code == QZPAY_E_RANGE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", qzpay_decimal_sign(quantity) < 0 ? "quantity" : "included quantity")));
	if (code != QZPAY_OK)
		qzpay_core_error(code, "amount");
	return exact;
}

/* rate_usage(model, pricing, quantity, included) */
Datum
qzpay_rated_usage(PG_FUNCTION_ARGS)
{
	return qzpay_decimal_to_numeric(rate(fcinfo));
}

/* usage_amount(model, pricing, quantity, included, rounding) */
Datum
qzpay_usage_as_amount(PG_FUNCTION_ARGS)
{
	QzpayRounding rounding = qzpay_argument_rounding(fcinfo, 4);
	int64_t		amount;
	QzpayCode	code = qzpay_decimal_round(rate(fcinfo), rounding, &amount);

	if (code != QZPAY_OK)
		qzpay_core_error(code, "amount");
	PG_RETURN_INT64(amount);
}
