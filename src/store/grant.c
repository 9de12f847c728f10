/*
 * grant.c
 *		What a customer's holdings give: features, limits, and what is free of a meter.
 *
 * Arithmetic over a row of entitlements and the catalog; reads no table.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "store/entitlement.h"
#include "store/number.h"

/* Whether any subscription gives access at this instant. */
bool
qzpay_entitlement_access(const QzpayEntitlement *entitlement, TimestampTz at)
{
	for (int i = 0; i < entitlement->n_held; i++)
	{
		if (entitlement->held[i].since <= at && at < entitlement->held[i].until)
			return true;
	}
	return false;
}

/* Walks over what is in force at an instant: what is held, or else the default plan. */
typedef struct InForce
{
	const QzpayCatalog *catalog;
	const QzpayEntitlement *entitlement;
	TimestampTz at;
	int			next;
	bool		any;
	QzpayHeld	by_default;		/* stands for the default plan */
} InForce;

static void
in_force_begin(InForce *walk, const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, TimestampTz at)
{
	walk->catalog = catalog;
	walk->entitlement = entitlement;
	walk->at = at;
	walk->next = 0;
	walk->any = false;
}

/* The next product, or NULL; *held says how many and since when. */
static const QzpayProduct *
in_force_next(InForce *walk, const QzpayHeld **held)
{
	const QzpayProduct *product;

	while (walk->next < walk->entitlement->n_held)
	{
		const QzpayHeld *candidate = &walk->entitlement->held[walk->next++];

		if (candidate->since > walk->at || walk->at >= candidate->until)
			continue;
		walk->any = true;
		product = qzpay_catalog_product(walk->catalog, &candidate->product);
		if (product != NULL)
		{
			*held = candidate;
			return product;
		}
	}
	if (walk->any)
		return NULL;
	walk->any = true;
	product = qzpay_catalog_default_plan(walk->catalog);
	if (product != NULL)
	{
		walk->by_default.product = product->id;
		walk->by_default.quantity = 1;
		walk->by_default.since = DT_NOBEGIN;
		walk->by_default.until = DT_NOEND;
		walk->by_default.full_until = DT_NOEND;
		walk->by_default.added = walk->at;
		*held = &walk->by_default;
	}
	return product;
}

/*
 * What holds for a feature at an instant, where something limits it: anything in force may give it while some of it is full, or while a
 * product of what is limited keeps it.
 */
typedef enum Scope
{
	SCOPE_NOTHING,				/* nothing in force, not even a default plan */
	SCOPE_CUT_OFF,				/* only limited access, which keeps others */
	SCOPE_KEPT,					/* only limited access, which keeps this */
	SCOPE_FULL
} Scope;

static Scope
scope_of(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature, TimestampTz at)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;
	Scope		scope = SCOPE_NOTHING;

	in_force_begin(&walk, catalog, entitlement, at);
	while ((product = in_force_next(&walk, &held)) != NULL)
		scope = Max(scope, at < held->full_until ? SCOPE_FULL : product->grants[feature->position].kept ? SCOPE_KEPT : SCOPE_CUT_OFF);
	return scope;
}

/*
 * What was decided for this customer about the feature and still holds; false where nothing was, or where there is nothing that it could
 * change: it opens no access that isn't there.
 */
static bool
find_override(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature, TimestampTz at, JsonbValue *value)
{
	JsonbValue	entry;
	JsonbValue	until;

	if (entitlement->overrides == NULL ||
		getKeyJsonValueFromContainer(&entitlement->overrides->root, feature->code, strlen(feature->code), &entry) == NULL ||
		entry.type != jbvBinary ||
		getKeyJsonValueFromContainer(entry.val.binary.data, "value", strlen("value"), value) == NULL)
		return false;
	/* Microseconds, of the epoch that the server counts from. */
	if (getKeyJsonValueFromContainer(entry.val.binary.data, "until", strlen("until"), &until) != NULL && until.type == jbvNumeric &&
		at >= DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(until.val.numeric))))
		return false;
	return scope_of(catalog, entitlement, feature, at) >= SCOPE_KEPT;
}

static bool
grants(const QzpayProduct *product, const QzpayFeature *feature)
{
	if (product->grants[feature->position].enabled)
		return true;
	for (int i = 0; i < product->n_contained; i++)
	{
		if (product->contained[i]->grants[feature->position].enabled)
			return true;
	}
	return false;
}

/* A boolean that is on, a text, a limit above 0 or unlimited. */
static bool
override_enables(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvBool:
			return value->val.boolean;
		case jbvNumeric:
			return qzpay_number_sign(value->val.numeric) > 0;
		default:
			return true;
	}
}

/*
 * qzpay_entitlement_has
 *		Whether anything in force grants the feature, or what was decided for the customer does; a limit is granted when it is not zero.
 */
bool
qzpay_entitlement_has(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;
	JsonbValue	value;
	bool		by_limited = false;

	if (entitlement->overrides != NULL && find_override(catalog, entitlement, feature, entitlement->now, &value))
		return override_enables(&value);
	in_force_begin(&walk, catalog, entitlement, entitlement->now);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		if (!grants(product, feature))
			continue;
		if (entitlement->now < held->full_until)
			return true;
		by_limited = true;
	}
	return by_limited && scope_of(catalog, entitlement, feature, entitlement->now) == SCOPE_KEPT;
}

/* Sum of two amounts of which the first may be missing. */
static Numeric
add_to(Numeric sum, Numeric amount)
{
	return sum == NULL ? amount : qzpay_number_add(sum, amount);
}

/* quantity × delta */
static Numeric
times(Numeric delta, int64 quantity)
{
	return quantity == 1 ? delta : qzpay_number_multiply(delta, int64_to_numeric(quantity));
}

/*
 * What an add-on in force, held or contained in a plan, adds to a limit.
 */
static void
add_increase(const QzpayGrant *grant, int64 quantity, QzpayAllowance *result, Numeric *increase)
{
	if (!grant->given)
		return;
	result->given = true;
	if (grant->unlimited)
		result->unlimited = true;
	else if (grant->value != NULL)
		*increase = add_to(*increase, times(grant->value, quantity));
}

/*
 * A limit by the features of what is in force: the greatest plan value, or the one decided for the customer, plus what add-ons add;
 * unlimited wins (RULES B9, B36).
 */
static void
limit_by_features(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature, TimestampTz at,
				  QzpayAllowance *result)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;
	Numeric		base = NULL;
	Numeric		increase = NULL;
	JsonbValue	override;
	bool		is_overridden;

	memset(result, 0, sizeof(*result));
	result->type = QZPAY_LIMIT_HARD;
	is_overridden = entitlement->overrides != NULL && find_override(catalog, entitlement, feature, at, &override);
	if (is_overridden)
	{
		result->given = true;
		if (override.type == jbvNumeric)
			base = override.val.numeric;
		else
			result->unlimited = true;
	}
	in_force_begin(&walk, catalog, entitlement, at);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		const QzpayGrant *grant = &product->grants[feature->position];

		if (at >= held->full_until && scope_of(catalog, entitlement, feature, at) == SCOPE_CUT_OFF)
			continue;
		if (!product->is_plan)
			add_increase(grant, held->quantity, result, &increase);
		else if (grant->given && !is_overridden)
		{
			result->given = true;
			if (grant->unlimited)
				result->unlimited = true;
			else if (grant->value != NULL && (base == NULL || qzpay_number_compare(grant->value, base) > 0))
				base = grant->value;
		}
		for (int i = 0; i < product->n_contained; i++)
			add_increase(&product->contained[i]->grants[feature->position], 1, result, &increase);
	}
	if (result->given && !result->unlimited)
		result->value = base != NULL && increase != NULL ? qzpay_number_add(base, increase) :
			base != NULL ? base : increase != NULL ? increase : qzpay_number_zero();
}

/* The version of a product's charge for a meter that applies to who subscribed at this time. */
static const QzpayCharge *
charge_of(const QzpayProduct *product, const QzpayMeter *meter, const char *currency, TimestampTz added)
{
	const QzpayCharge *best = NULL;

	for (const QzpayCharge *charge = product->charges; charge != NULL; charge = charge->next)
	{
		if (charge->meter == meter && strcmp(charge->currency, currency) == 0 && charge->created_at <= added &&
			(best == NULL || charge->version > best->version))
			best = charge;
	}
	return best;
}

/* The quantity negotiated for a product's meter, or NULL. */
static Numeric
negotiated_quantity(Jsonb *negotiated, const pg_uuid_t *product, const QzpayMeter *meter)
{
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(product)));
	JsonbValue	value;
	JsonbValue *found;

	if (negotiated == NULL)
		return NULL;
	found = getKeyJsonValueFromContainer(&negotiated->root, id, strlen(id), &value);
	if (found == NULL || found->type != jbvBinary)
		return NULL;
	found = getKeyJsonValueFromContainer(found->val.binary.data, meter->code, strlen(meter->code), &value);
	return found == NULL || found->type != jbvNumeric ? NULL : found->val.numeric;
}

/* The charge that bills the meter, and the quantity free under it; false when nothing in force charges for it. */
static bool
find_charge(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayMeter *meter, TimestampTz at, QzpayAllowance *result)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;

	in_force_begin(&walk, catalog, entitlement, at);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		const QzpayCharge *charge = charge_of(product, meter, entitlement->currency, held->added);
		Numeric		agreed;

		/* Of several plans the one that gives most. */
		if (charge == NULL)
			continue;
		agreed = entitlement->negotiated == NULL ? NULL : negotiated_quantity(entitlement->negotiated, &product->id, meter);
		if (agreed == NULL)
			agreed = charge->included;
		if (result->charge == NULL || qzpay_number_compare(agreed, result->value) > 0)
		{
			result->charge = charge;
			result->value = agreed;
		}
	}
	return result->charge != NULL;
}

/* What held add-ons add to the quantity free under a charge, by the limits that are counted by its meter. */
static Numeric
increase_by_addons(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayMeter *meter, TimestampTz at,
				   QzpayAllowance *result)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;
	Numeric		increase = NULL;

	in_force_begin(&walk, catalog, entitlement, at);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		if (product->is_plan)
			continue;
		for (int i = 0; i < qzpay_catalog_n_features(catalog); i++)
		{
			if (qzpay_catalog_feature_at(catalog, i)->meter == meter)
				add_increase(&product->grants[i], held->quantity, result, &increase);
		}
	}
	return increase;
}

/*
 * qzpay_entitlement_in_trial
 *		Whether the instant lies in a trial.  An anchor that is still to come is none: the part of a period before it is billed.
 */
bool
qzpay_entitlement_in_trial(const QzpayEntitlement *entitlement, TimestampTz at)
{
	return entitlement->has_period && entitlement->in_trial && at < entitlement->trial_end;
}

/*
 * qzpay_entitlement_meter
 *		How much of a meter is free in a usage period, and what happens beyond (RULES B8, B12, B13, B14).
 *
 * With a charge: its included quantity, or what was negotiated, plus what add-ons add, and its limit type; in a trial nobody would pay the
 * rest, so it is refused.  Without: the limits counted by the meter, hard; none of them: free and unlimited.
 */
void
qzpay_entitlement_meter(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayMeter *meter, TimestampTz at,
						QzpayAllowance *result)
{
	memset(result, 0, sizeof(*result));
	if (find_charge(catalog, entitlement, meter, at, result))
	{
		Numeric		increase = increase_by_addons(catalog, entitlement, meter, at, result);

		result->given = true;
		result->type = qzpay_entitlement_in_trial(entitlement, at) ? QZPAY_LIMIT_HARD : result->charge->limit_type;
		if (increase != NULL)
			result->value = qzpay_number_add(result->value, increase);
		return;
	}
	for (int i = 0; i < qzpay_catalog_n_features(catalog); i++)
	{
		const QzpayFeature *feature = qzpay_catalog_feature_at(catalog, i);
		QzpayAllowance limit;

		if (feature->meter != meter)
			continue;
		limit_by_features(catalog, entitlement, feature, at, &limit);
		/* Of several limits on one meter the narrowest holds. */
		if (limit.given && !limit.unlimited &&
			(result->value == NULL || qzpay_number_compare(limit.value, result->value) < 0))
			*result = limit;
	}
	if (!result->given)
		result->unlimited = true;
}

/*
 * qzpay_entitlement_limit
 *		What a limit allows now; one that a meter counts is decided by its charge where there is one.
 */
void
qzpay_entitlement_limit(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature, QzpayAllowance *result)
{
	if (feature->meter != NULL && scope_of(catalog, entitlement, feature, entitlement->now) != SCOPE_CUT_OFF)
	{
		qzpay_entitlement_meter(catalog, entitlement, feature->meter, entitlement->now, result);
		if (result->charge != NULL)
			return;
	}
	limit_by_features(catalog, entitlement, feature, entitlement->now, result);
}

/* The text that stands for the feature: the one decided, else that of what was held last, add-ons before plans. */
static const char *
text_of_feature(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;
	const char *of_plan = NULL;
	const char *of_addon = NULL;

	in_force_begin(&walk, catalog, entitlement, entitlement->now);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		const char *text = product->grants[feature->position].text;

		if (entitlement->now >= held->full_until && scope_of(catalog, entitlement, feature, entitlement->now) == SCOPE_CUT_OFF)
			continue;
		for (int i = 0; i < product->n_contained && text == NULL; i++)
			text = product->contained[i]->grants[feature->position].text;
		if (text != NULL && product->is_plan)
			of_plan = text;
		else if (text != NULL)
			of_addon = text;
	}
	return of_addon != NULL ? of_addon : of_plan;
}

/*
 * qzpay_entitlement_value
 *		What the customer has of a feature, as JSON: true or false, a number or null for unlimited, a text; NULL where nothing gives it.
 */
Jsonb *
qzpay_entitlement_value(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature)
{
	JsonbValue	value;
	QzpayAllowance limit;

	switch (feature->kind)
	{
		case QZPAY_FEATURE_BOOLEAN:
			value.type = jbvBool;
			value.val.boolean = qzpay_entitlement_has(catalog, entitlement, feature);
			break;
		case QZPAY_FEATURE_LIMIT:
			qzpay_entitlement_limit(catalog, entitlement, feature, &limit);
			if (!limit.given && !limit.unlimited)
				return NULL;
			value.type = limit.unlimited ? jbvNull : jbvNumeric;
			if (!limit.unlimited)
				value.val.numeric = limit.value;
			break;
		case QZPAY_FEATURE_TEXT:
			if (entitlement->overrides == NULL || !find_override(catalog, entitlement, feature, entitlement->now, &value))
			{
				const char *text = text_of_feature(catalog, entitlement, feature);

				if (text == NULL)
					return NULL;
				value.type = jbvString;
				value.val.string.val = unconstify(char *, text);
				value.val.string.len = strlen(text);
			}
			break;
	}
	return JsonbValueToJsonb(&value);
}

/*
 * qzpay_entitlement_in_full
 *		Makes of what a customer holds now what it would hold with full access, and on another plan unless that is NULL.
 */
void
qzpay_entitlement_in_full(QzpayEntitlement *entitlement, const QzpayCatalog *catalog, const pg_uuid_t *plan)
{
	QzpayHeld  *held = palloc((entitlement->n_held + 1) * sizeof(QzpayHeld));
	int			n = 0;

	if (plan != NULL)
	{
		held[n].product = *plan;
		held[n].quantity = 1;
		held[n].since = DT_NOBEGIN;
		held[n].until = DT_NOEND;
		held[n].full_until = DT_NOEND;
		held[n].added = DT_NOEND;	/* the newest version of its charges */
		n++;
	}
	for (int i = 0; i < entitlement->n_held; i++)
	{
		const QzpayHeld *old = &entitlement->held[i];
		const QzpayProduct *product = qzpay_catalog_product(catalog, &old->product);

		if (plan != NULL && (product == NULL || product->is_plan))
			continue;
		held[n] = *old;
		held[n].full_until = DT_NOEND;
		n++;
	}
	entitlement->held = held;
	entitlement->n_held = n;
}
