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
		walk->by_default.added = walk->at;
		*held = &walk->by_default;
	}
	return product;
}

/*
 * qzpay_entitlement_has
 *		Whether anything in force grants the feature; a limit is granted when it is not zero.
 */
bool
qzpay_entitlement_has(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;

	in_force_begin(&walk, catalog, entitlement, entitlement->now);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		if (product->grants[feature->position].enabled)
			return true;
		for (int i = 0; i < product->n_contained; i++)
		{
			if (product->contained[i]->grants[feature->position].enabled)
				return true;
		}
	}
	return false;
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

/* A limit by the features of what is in force: the greatest plan value plus what add-ons add; unlimited wins (RULES B9, B36). */
static void
limit_by_features(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature, TimestampTz at,
				  QzpayAllowance *result)
{
	InForce		walk;
	const QzpayHeld *held;
	const QzpayProduct *product;
	Numeric		base = NULL;
	Numeric		increase = NULL;

	memset(result, 0, sizeof(*result));
	result->type = QZPAY_LIMIT_HARD;
	in_force_begin(&walk, catalog, entitlement, at);
	while ((product = in_force_next(&walk, &held)) != NULL)
	{
		const QzpayGrant *grant = &product->grants[feature->position];

		if (!product->is_plan)
			add_increase(grant, held->quantity, result, &increase);
		else if (grant->given)
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
 *		Whether the instant lies in a trial: the subscription's periods are counted from an anchor that is still to come.
 */
bool
qzpay_entitlement_in_trial(const QzpayEntitlement *entitlement, TimestampTz at)
{
	return entitlement->has_period && entitlement->usage_anchor > entitlement->usage_start && at < entitlement->usage_anchor;
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
	if (feature->meter != NULL)
	{
		qzpay_entitlement_meter(catalog, entitlement, feature->meter, entitlement->now, result);
		if (result->charge != NULL)
			return;
	}
	limit_by_features(catalog, entitlement, feature, entitlement->now, result);
}
