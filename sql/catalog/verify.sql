-- What a catalog document means, checked against itself and against the tables, after the grammar has been checked.

CREATE OR REPLACE FUNCTION qzpay._catalog_name_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    WITH named AS (
        SELECT s.space, s.section, s.ordinal AS section_ordinal, e.ordinal, e.path, s.id, coalesce(e.item ->> s.id, e.key) AS code, e.item ->> 'tenant' AS tenant
        FROM (VALUES (1, 'meter', 'meters', 'id'), (2, 'feature', 'features', 'id'), (3, 'feature', 'limits', 'id'), (4, 'product', 'plans', 'id'),
                     (5, 'product', 'addons', 'id'), (6, 'product', 'plugins', 'id'), (7, 'product', 'services', 'id'),
                     (8, 'promo code', 'promoCodes', 'code'), (9, 'automatic discount', 'automaticDiscounts', 'id')) AS s (ordinal, space, section, id)
        CROSS JOIN LATERAL qzpay._catalog_entries(s.section, p_doc -> s.section) e
    ), counted AS (
        SELECT n.*, row_number() OVER (PARTITION BY n.space, n.tenant, CASE WHEN n.space IN ('promo code', 'automatic discount') THEN upper(n.code) ELSE n.code END
                                       ORDER BY n.section_ordinal, n.ordinal) AS nth
        FROM named n
    )
    SELECT c.path || '.' || c.id, format('"%s" is missing', c.id) FROM counted c WHERE c.code IS NULL
    UNION ALL
    SELECT c.path || '.' || c.id, format('the %s "%s" is there twice', c.space, c.code) FROM counted c WHERE c.code IS NOT NULL AND c.nth > 1
$$;
COMMENT ON FUNCTION qzpay._catalog_name_faults(jsonb) IS 'Objects without a code, and codes that are there twice. The products of all kinds share one name space, and those private to a tenant another; so do features and limits.';

CREATE OR REPLACE FUNCTION qzpay._catalog_product_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH product AS (SELECT p.*, split_part(p.code, ' @', 1) AS name, (p.item ->> 'tenant')::uuid AS tenant FROM qzpay._catalog_products(p_doc) p),
    there AS (SELECT p.*, qzpay._catalog_ref(p.code, p.tenant_id) AS ref FROM qzpay.products p),
    known AS (
        SELECT p.code AS ref, p.name AS code, p.tenant, p.kind FROM product p
        UNION ALL
        SELECT t.ref, t.code, t.tenant_id, t.kind FROM there t WHERE t.ref NOT IN (SELECT i.code FROM product i)
    ), reference AS (
        -- What a product may name: those of everybody, and before them those of its tenant.
        SELECT p.code, p.name, c.path, c.item #>> '{}' AS named, r.wants, k.*
        FROM product p
        CROSS JOIN (VALUES ('requiredPlan', 'plan'), ('applicablePlans', 'plan'), ('includedIn', 'plan'), ('requires', NULL), ('incompatibleWith', NULL),
                           ('includesAddons', 'addon'), ('applicableAddons', 'addon')) AS r (key, wants)
        CROSS JOIN LATERAL qzpay._catalog_each(p.path || '.' || r.key, p.item -> r.key) c
        LEFT JOIN LATERAL (SELECT k.ref, k.kind FROM known k WHERE k.code = c.item #>> '{}' AND (k.tenant IS NULL OR k.tenant = p.tenant) ORDER BY k.tenant NULLS LAST LIMIT 1) k ON true
    )
    SELECT p.path || '.id', format('"%s" is there as %s, and the kind of a product does not change', p.name, t.kind)
    FROM product p JOIN there t ON t.ref = p.code AND t.kind <> p.kind
    UNION ALL
    SELECT a.path, format('"%s" names another product already', a.item #>> '{}')
    FROM product p CROSS JOIN LATERAL qzpay._catalog_entries(p.path || '.aliases', p.item -> 'aliases') a
    WHERE EXISTS (SELECT FROM known k WHERE k.code = a.item #>> '{}' AND k.tenant IS NOT DISTINCT FROM p.tenant)
       OR EXISTS (SELECT FROM product i WHERE i.code <> p.code AND i.tenant IS NOT DISTINCT FROM p.tenant AND i.item -> 'aliases' ? (a.item #>> '{}'))
       OR EXISTS (SELECT FROM there t WHERE t.tenant_id IS NOT DISTINCT FROM p.tenant AND t.ref NOT IN (SELECT i.code FROM product i) AND a.item #>> '{}' = ANY (t.aliases))
    UNION ALL
    SELECT p.path || '.' || k.key, 'the add-on says it, where a plan is not private to a tenant' FROM product p CROSS JOIN (VALUES ('includesAddons'), ('applicableAddons')) k (key)
    WHERE p.tenant IS NULL AND jsonb_typeof(p.item -> k.key) = 'array'
    UNION ALL
    SELECT p.path || '.trial.price', 'a trial of 0 days has no price' FROM product p WHERE p.item #> '{trial,days}' = '0' AND jsonb_typeof(p.item #> '{trial,price}') IN ('number', 'object')
    UNION ALL
    SELECT d.path || '.' || d.key, 'it has more than 16 elements'
    FROM product p CROSS JOIN LATERAL (VALUES (p.path, 'expiringReminderDays', p.item -> 'expiringReminderDays'), (p.path || '.trial', 'reminderDays', p.item #> '{trial,reminderDays}')) d (path, key, list)
    WHERE jsonb_array_length(CASE jsonb_typeof(d.list) WHEN 'array' THEN d.list ELSE '[]' END) > 16
    UNION ALL
    SELECT p.path || '.maxQuantity', 'it is lower than minQuantity' FROM product p
    WHERE (p.item ->> 'maxQuantity')::numeric < coalesce((p.item ->> 'minQuantity')::numeric, 1)
    UNION ALL
    SELECT p.path || '.display.' || k.key, format('"%s" has a key of its own', k.key) FROM product p CROSS JOIN (VALUES ('features'), ('featured'), ('badge'), ('sortOrder')) k (key)
    WHERE p.item -> 'display' ? k.key
    UNION ALL
    SELECT p.path || '.usageInterval', 'usage has no one-time interval' FROM product p WHERE p.item ->> 'usageInterval' = 'once'
    UNION ALL
    SELECT p.path || '.dunningPolicy', format('unknown dunning policy "%s"', p.item ->> 'dunningPolicy') FROM product p
    WHERE p.item ->> 'dunningPolicy' IS NOT NULL AND NOT EXISTS (SELECT FROM qzpay.dunning_policies d WHERE d.code = p.item ->> 'dunningPolicy')
    UNION ALL
    SELECT r.path, CASE WHEN r.ref IS NULL THEN format('unknown %s "%s"', CASE r.wants WHEN 'plan' THEN 'plan' WHEN 'addon' THEN 'add-on' ELSE 'product' END, r.named)
                        WHEN r.ref = r.code THEN 'a product cannot refer to itself' ELSE format('"%s" is no %s', r.named, CASE r.wants WHEN 'plan' THEN 'plan' ELSE 'add-on' END) END
    FROM reference r WHERE r.ref IS NULL OR r.ref = r.code OR r.kind <> r.wants
    UNION ALL
    SELECT 'defaultPlan', format('unknown plan "%s"', p_doc ->> 'defaultPlan')
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.ref = p_doc ->> 'defaultPlan' AND k.kind = 'plan') AND p_doc ->> 'defaultPlan' IS NOT NULL;
END $$;
COMMENT ON FUNCTION qzpay._catalog_product_faults(jsonb) IS 'Products that contradict themselves, each other or the tables.';

CREATE OR REPLACE FUNCTION qzpay._catalog_averages(p_doc jsonb) RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH said AS (
        SELECT coalesce(e.item ->> 'id', e.key) AS code, coalesce(e.item ->> 'aggregation', 'sum') AS aggregation FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e
    )
    SELECT s.code FROM said s WHERE s.aggregation = 'avg'
    UNION ALL
    SELECT m.code FROM qzpay.meters m WHERE m.aggregation = 'avg' AND NOT EXISTS (SELECT FROM said s WHERE s.code = m.code);
END $$;
COMMENT ON FUNCTION qzpay._catalog_averages(jsonb) IS 'Codes of the meters that aggregate by avg, by the document or, where it is silent, by the tables.';

CREATE OR REPLACE FUNCTION qzpay._catalog_feature_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH meter AS (
        SELECT coalesce(e.item ->> 'id', e.key) AS code FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e
        UNION SELECT m.code FROM qzpay.meters m
    ), feature AS (SELECT f.*, CASE f.kind WHEN 'limit' THEN 'limit' ELSE coalesce(f.body ->> 'kind', 'boolean') END AS type FROM qzpay._catalog_features(p_doc) f),
    type AS (
        -- the tables first: what is there keeps its type
        SELECT f.code, coalesce(t.kind, f.type) AS type FROM feature f LEFT JOIN qzpay.features t ON t.code = f.code
    )
    SELECT f.path, format('feature "%s" is a %s, and that does not change', f.code, t.kind)
    FROM feature f JOIN qzpay.features t ON t.code = f.code AND t.kind <> f.type WHERE NOT f.implied
    UNION ALL
    SELECT f.path || '.meter', 'a limit of kind period needs the meter that counts it'
    FROM feature f WHERE f.body ->> 'kind' = 'period' AND f.body ->> 'meter' IS NULL
    UNION ALL
    SELECT f.path || '.meter', 'only a limit of kind period is counted by a meter'
    FROM feature f WHERE f.body ->> 'kind' IS DISTINCT FROM 'period' AND f.body ->> 'meter' IS NOT NULL
    UNION ALL
    SELECT e.path || '.valueProperty', CASE WHEN e.item ? 'valueProperty' THEN 'only a meter that aggregates by unique counts the values of a property'
                                            ELSE 'a meter that aggregates by unique needs the property whose values it counts' END
    FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e WHERE (coalesce(e.item ->> 'aggregation', 'sum') = 'unique') <> (e.item ->> 'valueProperty' IS NOT NULL)
    UNION ALL
    SELECT f.path || '.meter', format('meter "%s" aggregates by avg, which is reported and never limited', f.body ->> 'meter')
    FROM feature f JOIN qzpay._catalog_averages(p_doc) a ON a = f.body ->> 'meter'
    UNION ALL
    SELECT f.path || '.meter', format('unknown meter "%s"', f.body ->> 'meter') FROM feature f
    WHERE f.body ->> 'meter' IS NOT NULL AND NOT EXISTS (SELECT FROM meter m WHERE m.code = f.body ->> 'meter')
    UNION ALL
    SELECT v.path, format('feature "%s" is a %s', v.key, t.type)
    FROM qzpay._catalog_products(p_doc) p
    CROSS JOIN (VALUES ('entitlements'), ('limits')) AS u (section)
    CROSS JOIN LATERAL qzpay._catalog_entries(p.path || '.' || u.section, p.item -> u.section) v
    JOIN type t ON t.code = v.key
    WHERE t.type <> CASE WHEN u.section = 'limits' THEN 'limit' WHEN jsonb_typeof(v.item) = 'string' THEN 'text' ELSE 'boolean' END
    UNION ALL
    SELECT v.path, format('unknown feature "%s"', v.item #>> '{}')
    FROM qzpay._catalog_products(p_doc) p
    CROSS JOIN LATERAL qzpay._catalog_entries(p.path || '.limitedFeatures', p.item -> 'limitedFeatures') v
    WHERE NOT EXISTS (SELECT FROM feature f WHERE f.code = v.item #>> '{}') AND NOT EXISTS (SELECT FROM qzpay.features t WHERE t.code = v.item #>> '{}');
END $$;
COMMENT ON FUNCTION qzpay._catalog_feature_faults(jsonb) IS 'Features and limits used as what they are not, and limits without or with a wrong meter.';

CREATE OR REPLACE FUNCTION qzpay._catalog_price_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    WITH price AS (
        SELECT p.*, row_number() OVER (PARTITION BY p.product, p.currency, p.unit ORDER BY p.path COLLATE "C") AS nth FROM qzpay._catalog_prices(p_doc) p
    )
    SELECT CASE p.part WHEN 'price' THEN regexp_replace(p.path, '\.(price|pricePerUnit)$', '') || '.currency' ELSE p.path END, '"currency" is missing' FROM price p WHERE p.currency IS NULL
    UNION ALL
    SELECT p.path, CASE p.kind WHEN 'service' THEN 'a service has a price once, not per interval' ELSE format('a price of a %s is per interval', p.kind) END
    FROM price p WHERE p.part = 'price' AND (p.kind = 'service') <> (p.unit = 'once')
    UNION ALL
    -- Otherwise the trial would be free for whoever pays in another currency.
    SELECT regexp_replace(min(t.path), '\.trial\.price.*$', '.trial.price'), format('the trial has no price in %s, in which the plan is sold', p.currency)
    FROM price p JOIN price t ON t.product = p.product AND t.part = 'trial'
    WHERE p.part = 'price' AND p.currency IS NOT NULL AND NOT EXISTS (SELECT FROM price o WHERE o.product = p.product AND o.part = 'trial' AND o.currency = p.currency)
    GROUP BY p.product, p.currency
    UNION ALL
    SELECT p.path || '.commitment', 'only a plan has a commitment' FROM price p WHERE p.body ? 'commitment' AND p.kind <> 'plan'
    UNION ALL
    SELECT p.path, format('"%s" has two prices per %s in %s', p.product, p.unit, p.currency) FROM price p WHERE p.nth > 1 AND p.currency IS NOT NULL
$$;
COMMENT ON FUNCTION qzpay._catalog_price_faults(jsonb) IS 'Prices without a currency, of a wrong interval, or twice.';

CREATE OR REPLACE FUNCTION qzpay._catalog_charge_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH meter AS (
        SELECT coalesce(e.item ->> 'id', e.key) AS code FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e
        UNION SELECT m.code FROM qzpay.meters m
    ), charge AS (
        SELECT c.*, row_number() OVER (PARTITION BY c.product, c.meter, c.currency ORDER BY c.path COLLATE "C" DESC) AS nth
        FROM qzpay._catalog_charges(p_doc) c
    )
    SELECT e.path, format('unknown key "%s"', e.key)
    FROM qzpay._catalog_products(p_doc) p CROSS JOIN LATERAL qzpay._catalog_entries(p.path || '.overage', p.item -> 'overage') e WHERE e.key !~ '.Price$'
    UNION ALL
    SELECT c.path, format('unknown meter "%s"', c.meter) FROM charge c WHERE c.meter NOT IN (SELECT m.code FROM meter m)
    UNION ALL
    SELECT c.path, format('meter "%s" aggregates by avg, which is reported and never billed', c.meter) FROM charge c JOIN qzpay._catalog_averages(p_doc) a ON a = c.meter
    UNION ALL
    SELECT c.path || '.currency', '"currency" is missing' FROM charge c WHERE c.currency IS NULL
    UNION ALL
    SELECT c.path, format('"%s" has two charges on %s in %s', c.product, c.meter, c.currency) FROM charge c WHERE c.nth > 1 AND c.currency IS NOT NULL
    UNION ALL
    SELECT c.path, format('"%s" has no limit on %s from which to take what is included', c.product, c.meter)
    FROM charge c WHERE c.path ~ '\.overage[.[][^.]*$' AND c.limit_value IS NULL
    UNION ALL
    SELECT c.path || '.overageRate', 'either overageRate or model and pricing is wanted' FROM charge c WHERE c.item ? 'overageRate' = (c.item ? 'model' OR c.item ? 'pricing')
    UNION ALL
    SELECT c.path || '.' || k.key, format('"%s" goes with "%s"', k.key, k.wants)
    FROM charge c CROSS JOIN (VALUES ('unit', 'overageRate'), ('rounding', 'overageRate'), ('model', 'pricing'), ('pricing', 'model')) AS k (key, wants)
    WHERE c.item ? k.key AND NOT c.item ? k.wants
    UNION ALL
    SELECT c.path || '.unit', 'it must be above 0' FROM charge c WHERE (c.item ->> 'unit')::numeric = 0
    UNION ALL
    SELECT c.path || '.overageRate', 'the price of a single unit is no number of at most 12 decimals'
    FROM charge c WHERE c.item ->> 'rounding' = 'exact' AND (c.item ->> 'unit')::numeric > 0
      AND round((c.item ->> 'overageRate')::numeric / (c.item ->> 'unit')::numeric, 12) * (c.item ->> 'unit')::numeric <> (c.item ->> 'overageRate')::numeric
    UNION ALL
    SELECT qzpay._catalog_path(c.path || '.pricing', k.key), format('model %s has no "%s"', c.item ->> 'model', k.key)
    FROM charge c CROSS JOIN LATERAL jsonb_object_keys(c.item -> 'pricing') AS k (key)
    WHERE c.item ? 'model' AND k.key NOT IN ('rounding', 'minimum_amount', 'maximum_amount') AND NOT k.key = ANY (CASE c.item ->> 'model'
              WHEN 'flat' THEN '{amount}' WHEN 'per_unit' THEN '{unit_amount}' WHEN 'package' THEN '{amount,size}' WHEN 'dynamic' THEN '{multiplier}'
              WHEN 'percentage' THEN '{rate,fixed_amount,free_events,free_amount,event_minimum,event_maximum}' ELSE '{tiers,flat_on_zero}' END::text[]);
END $$;
COMMENT ON FUNCTION qzpay._catalog_charge_faults(jsonb) IS 'Usage charges that cannot be: of an unknown meter, without a currency, priced in two ways or in none. Tiers are checked by the rating itself.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tiers_fault(p_item jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_message text;
BEGIN
    PERFORM qzpay.apply_discounts('{"lines": []}', jsonb_build_array(jsonb_build_object('code', '?', 'type', p_item -> 'type', 'value', 0, 'tiers', p_item -> 'tiers', 'config', p_item -> 'config')));
    RETURN NULL;
EXCEPTION WHEN invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS v_message = MESSAGE_TEXT;
    RETURN regexp_replace(v_message, '^invalid discount 1: ', '');
END $$;
COMMENT ON FUNCTION qzpay._catalog_tiers_fault(jsonb) IS 'What is wrong with the tiers of a discount, or NULL, by the rule that applies them.';

CREATE OR REPLACE FUNCTION qzpay._catalog_discount_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH discount AS (
        SELECT d.*, d.item ->> 'type' AS type, (d.item ->> 'value')::numeric AS value, coalesce(nullif(d.item -> 'config', 'null'), '{}') AS config,
               d.path || CASE d.kind WHEN 'promo_code' THEN '.restrictions' ELSE '.conditions' END AS rules_path,
               coalesce(nullif(d.item -> CASE d.kind WHEN 'promo_code' THEN 'restrictions' ELSE 'conditions' END, 'null'), '{}') AS rules
        FROM qzpay._catalog_discounts(p_doc) d
    ), meter AS (
        SELECT coalesce(e.item ->> 'id', e.key) AS code FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e
        UNION SELECT m.code FROM qzpay.meters m
    )
    SELECT d.path || '.value', format('%s percent is more than everything', d.value) FROM discount d WHERE d.type IN ('percentage', 'reduced_period') AND d.value > 100
    UNION ALL
    SELECT d.path || '.value', format('a %s counts whole %s from 1', d.type, CASE d.type WHEN 'free_period' THEN 'periods' ELSE 'days' END)
    FROM discount d WHERE d.type IN ('free_period', 'trial_extension') AND (d.value < 1 OR d.value > 3650 OR trunc(d.value) <> d.value)
    UNION ALL
    SELECT d.path || '.config.currency', '"currency" is missing' FROM discount d WHERE d.type = 'fixed_amount' AND d.config ->> 'currency' IS NULL
    UNION ALL
    SELECT d.path || '.config.periods', 'a reduced_period needs its number of periods'
    FROM discount d WHERE d.type = 'reduced_period' AND d.config ->> 'periods' IS NULL AND d.config -> 'forever' IS DISTINCT FROM 'true'
    UNION ALL
    SELECT d.path || '.config.periods', 'the value of a free_period is its number of periods'
    FROM discount d WHERE d.type = 'free_period' AND d.config ->> 'periods' IS NOT NULL AND d.config -> 'periods' <> d.item -> 'value'
    UNION ALL
    SELECT d.path || '.config.forever', 'a discount has a number of periods or lasts for ever' FROM discount d
    WHERE d.config -> 'forever' = 'true' AND (d.config ->> 'periods' IS NOT NULL OR d.type IN ('free_period', 'trial_extension'))
    UNION ALL
    SELECT d.rules_path || k.path, format('unknown meter "%s"', d.rules #>> k.keys)
    FROM discount d CROSS JOIN (VALUES ('.usageThreshold.metric', '{usageThreshold,metric}'::text[]), ('.of', '{of}')) AS k (path, keys)
    WHERE d.rules #>> k.keys IS NOT NULL AND NOT EXISTS (SELECT FROM meter m WHERE m.code = d.rules #>> k.keys)
    UNION ALL
    SELECT d.rules_path || '.of', '"of" goes with "minQuantity" or with tiers of a volume'
    FROM discount d WHERE d.rules ->> 'of' IS NOT NULL AND d.rules ->> 'minQuantity' IS NULL AND NOT (d.type = 'volume' AND jsonb_typeof(d.item -> 'tiers') = 'array')
    UNION ALL
    SELECT d.path || '.value', '"value" is missing' FROM discount d WHERE d.value IS NULL AND d.type <> 'free_shipping' AND jsonb_typeof(d.item -> 'tiers') IS DISTINCT FROM 'array'
    UNION ALL
    SELECT d.rules_path || '.usageThreshold', '"minValue" or "maxValue" is wanted' FROM discount d
    WHERE d.rules #>> '{usageThreshold,metric}' IS NOT NULL AND coalesce(d.rules #>> '{usageThreshold,minValue}', d.rules #>> '{usageThreshold,maxValue}') IS NULL
    UNION ALL
    SELECT d.rules_path || '.' || n.synonym, format('it is said under "%s" too', n.key) FROM discount d JOIN qzpay._catalog_discount_synonyms() n ON d.rules ? n.synonym AND d.rules ? n.key
    UNION ALL
    SELECT d.path || '.tiers', f.message FROM discount d CROSS JOIN LATERAL qzpay._catalog_tiers_fault(d.item) AS f (message)
    WHERE jsonb_typeof(d.item -> 'tiers') = 'array' AND f.message IS NOT NULL
    UNION ALL
    SELECT i.path, 'no discount is for a one-time interval'
    FROM discount d CROSS JOIN LATERAL qzpay._catalog_entries(d.rules_path || '.validIntervals', d.rules -> 'validIntervals') i WHERE i.item = '"once"'
    UNION ALL
    SELECT d.rules_path || '.schedule.hours.to', 'it is the same hour as "from"' FROM discount d
    WHERE d.rules #> '{schedule,hours,from}' = d.rules #> '{schedule,hours,to}'
    UNION ALL
    SELECT d.path || '.validUntil', 'it ends before it begins' FROM discount d
    WHERE qzpay._catalog_instant(d.item ->> 'validUntil', true) <= qzpay._catalog_instant(d.item ->> 'validFrom', false)
    UNION ALL
    SELECT d.rules_path || '.expiresAt', 'it ends before it begins' FROM discount d
    WHERE qzpay._catalog_instant(d.rules ->> 'expiresAt', true) <= qzpay._catalog_instant(d.rules ->> 'startsAt', false)
    UNION ALL
    SELECT CASE d.kind WHEN 'promo_code' THEN d.rules_path || '.maxUses' ELSE d.path || '.maxRedemptions' END, format('it was used %s times already', t.uses)
    FROM discount d JOIN qzpay.discounts t ON upper(t.code) = upper(d.code) AND t.trigger = CASE d.kind WHEN 'promo_code' THEN d.kind ELSE 'automatic' END
    WHERE coalesce((d.rules ->> 'maxUses')::numeric, (d.item ->> 'maxRedemptions')::numeric) < t.uses;
END $$;
COMMENT ON FUNCTION qzpay._catalog_discount_faults(jsonb) IS 'Discounts whose value, duration or conditions cannot be.';

CREATE OR REPLACE FUNCTION qzpay._catalog_warnings(p_doc jsonb) RETURNS TABLE (kind text, code text, path text, message text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH product AS (
        SELECT split_part(p.code, ' @', 1) AS code, p.kind FROM qzpay._catalog_products(p_doc) p UNION SELECT p.code, p.kind FROM qzpay.products p
    )
    SELECT d.kind, d.code, v.path,
           format('unknown %s "%s": the condition is not met until it exists', CASE WHEN k.plans THEN 'plan' ELSE 'product' END, v.item #>> '{}')
    FROM qzpay._catalog_discounts(p_doc) d
    CROSS JOIN (VALUES ('restrictions'), ('conditions')) AS r (section)
    CROSS JOIN (VALUES ('validPlans', true), ('fromPlans', true), ('toPlans', true), ('validProducts', false), ('excludedProducts', false),
                        ('products', false), ('excludeProducts', false), ('allProducts', false)) AS k (key, plans)
    CROSS JOIN LATERAL qzpay._catalog_entries(d.path || '.' || r.section || '.' || k.key, d.item -> r.section -> k.key) v
    WHERE NOT EXISTS (SELECT FROM product p WHERE p.code = v.item #>> '{}' AND (p.kind = 'plan' OR NOT k.plans))
    UNION ALL
    SELECT 'charge', c.product || '/' || c.meter || '/' || c.currency, c.path || '.included',
           format('limit "%s" says %s, the charge includes %s: the charge decides', c.limit_code, coalesce(c.limit_value::text, 'unlimited'), c.item ->> 'included')
    FROM qzpay._catalog_charges(p_doc) c
    WHERE c.limit_code IS NOT NULL AND c.item ? 'included' AND (c.item ->> 'included')::numeric IS DISTINCT FROM c.limit_value
    UNION ALL
    SELECT o.kind, o.code, v.path, format('unknown product "%s": the tax rate does not reach it until it exists', v.item #>> '{}')
    FROM qzpay._catalog_tax_rates(p_doc) t
    CROSS JOIN LATERAL qzpay._catalog_tax_object(t.code, t.facts, t.valid_from, t.valid_until, t.next_from) o
    CROSS JOIN LATERAL qzpay._catalog_entries(t.path || '.products', t.item -> 'products') v
    WHERE NOT EXISTS (SELECT FROM product p WHERE p.code = v.item #>> '{}');
END $$;
COMMENT ON FUNCTION qzpay._catalog_warnings(jsonb) IS
'What an import accepts and mentions: conditions and tax rates that name a plan or product the catalog lacks (they stay inert), and a limit that differs from what its charge includes.';

CREATE OR REPLACE FUNCTION qzpay._catalog_verify(p_doc jsonb, p_strict boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_doc jsonb := p_doc;
    v_fault record;
BEGIN
    IF jsonb_typeof(v_doc) IS DISTINCT FROM 'object' THEN
        PERFORM qzpay._catalog_fault('$', 'a catalog document is an object');
    END IF;
    PERFORM qzpay._catalog_check('', v_doc, 'one', '@document');
    v_doc := qzpay._catalog_with_tenants(v_doc);
    -- In this order, because the later ones go by the names that the first has found to be unique.
    FOR v_fault IN
        SELECT f.path, f.message FROM qzpay._catalog_name_faults(v_doc) f ORDER BY f.path COLLATE "C", f.message LIMIT 1
    LOOP
        PERFORM qzpay._catalog_fault(v_fault.path, v_fault.message);
    END LOOP;
    FOR v_fault IN
        SELECT f.* FROM (SELECT * FROM qzpay._catalog_product_faults(v_doc) UNION ALL SELECT * FROM qzpay._catalog_feature_faults(v_doc)
                         UNION ALL SELECT * FROM qzpay._catalog_price_faults(v_doc) UNION ALL SELECT * FROM qzpay._catalog_charge_faults(v_doc)
                         UNION ALL SELECT * FROM qzpay._catalog_discount_faults(v_doc)
                         UNION ALL SELECT * FROM qzpay._catalog_tax_faults(v_doc)) f
        ORDER BY f.path COLLATE "C", f.message LIMIT 1
    LOOP
        PERFORM qzpay._catalog_fault(v_fault.path, v_fault.message);
    END LOOP;
    FOR v_fault IN SELECT c.path, c.item FROM qzpay._catalog_charges(v_doc) c WHERE c.item ? 'model' LOOP
        BEGIN
            PERFORM qzpay._rates_events(v_fault.item ->> 'model', v_fault.item -> 'pricing', 0, 0, false);
        EXCEPTION WHEN OTHERS THEN
            PERFORM qzpay._catalog_fault(v_fault.path || '.pricing', SQLERRM);
        END;
    END LOOP;
    IF p_strict THEN
        FOR v_fault IN SELECT w.path, w.message FROM qzpay._catalog_warnings(v_doc) w ORDER BY w.path COLLATE "C" LIMIT 1 LOOP
            PERFORM qzpay._catalog_fault(v_fault.path, v_fault.message);
        END LOOP;
    END IF;
    RETURN v_doc;
END $$;
COMMENT ON FUNCTION qzpay._catalog_verify(jsonb, boolean) IS
'Refuses a catalog document with QZ601 and the JSON path of its first fault; strict refuses what would be a warning too. Writes nothing. Returns the document with the ids of tenants.';
