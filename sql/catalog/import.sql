-- Reading a catalog document. Both sides of the comparison speak the document's language: _catalog_wanted() brings a document into one
-- canonical form, _catalog_state() (export.sql) writes the tables in the same form, and an import is the difference of the two.

CREATE OR REPLACE FUNCTION qzpay._catalog_products(p_doc jsonb) RETURNS TABLE (kind text, path text, code text, key text, ordinal bigint, item jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.kind, e.path, coalesce(e.item ->> 'id', e.key) || coalesce(' @' || (e.item ->> 'tenant'), ''), e.key, e.ordinal,
           CASE WHEN s.section <> 'plugins' THEN e.item
                ELSE e.item || jsonb_build_object('categories',
                    coalesce(nullif(e.item -> 'categories', 'null'), '[]') || CASE WHEN e.item -> 'categories' ? 'plugin' THEN '[]' ELSE '["plugin"]' END::jsonb) END
    FROM (VALUES ('plan', 'plans'), ('addon', 'addons'), ('addon', 'plugins'), ('service', 'services')) AS s (kind, section)
    CROSS JOIN LATERAL qzpay._catalog_entries(s.section, p_doc -> s.section) e
$$;
COMMENT ON FUNCTION qzpay._catalog_products(jsonb) IS
'The products of a checked document. code is that of _catalog_ref(): the id, or the key it stands under, and the tenant it is private to; a plugin is an add-on of the category plugin.';

CREATE OR REPLACE FUNCTION qzpay._catalog_ref(p_code text, p_tenant uuid) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN p_code || coalesce(' @' || p_tenant, '');
END $$;
COMMENT ON FUNCTION qzpay._catalog_ref(text, uuid) IS
'What an import calls a product: its code, and the tenant it is private to. Codes have neither blanks nor slashes, so this is never the name of another, and may stand in a path.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tenant_of(p_path text, p_name text) RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[] := ARRAY(SELECT t.tenant_id FROM qzpay.tenants t WHERE t.tenant_id::text = lower(p_name));
BEGIN
    IF v_tenants = '{}' THEN
        v_tenants := ARRAY(SELECT DISTINCT c.tenant_id FROM qzpay.customers c WHERE c.external_id = p_name);
    END IF;
    IF cardinality(v_tenants) <> 1 THEN
        PERFORM qzpay._catalog_fault(p_path, format(CASE WHEN v_tenants = '{}' THEN 'unknown tenant "%s"' ELSE 'several tenants have a customer "%s"' END, p_name),
                                     'A tenant is named by its id, or by the external id of its customer, who has to be there first: sync_customer().');
    END IF;
    RETURN v_tenants[1];
END $$;
COMMENT ON FUNCTION qzpay._catalog_tenant_of(text, text) IS 'The tenant that a document names by its id or by the external id of a customer; QZ601 where that is none or not one.';

CREATE OR REPLACE FUNCTION qzpay._catalog_with_tenants(p_doc jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_doc jsonb := p_doc;
    v_row record;
BEGIN
    FOR v_row IN
        SELECT e.path, e.item ->> 'tenant' AS tenant, ARRAY[s.section, coalesce(e.key, (e.ordinal - 1)::text), 'tenant'] AS at
        FROM unnest('{plans,addons,plugins,services}'::text[]) AS s (section) CROSS JOIN LATERAL qzpay._catalog_entries(s.section, p_doc -> s.section) e
        WHERE e.item ->> 'tenant' IS NOT NULL
    LOOP
        v_doc := jsonb_set(v_doc, v_row.at, to_jsonb(qzpay._catalog_tenant_of(v_row.path || '.tenant', v_row.tenant)));
    END LOOP;
    RETURN v_doc;
END $$;
COMMENT ON FUNCTION qzpay._catalog_with_tenants(jsonb) IS 'A document whose grammar is right, with the ids of the tenants in place of what names them.';

CREATE OR REPLACE FUNCTION qzpay._catalog_limit_meters(p_doc jsonb) RETURNS TABLE (feature text, meter text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH said AS (
        SELECT coalesce(e.item ->> 'id', e.key) AS feature, e.item ->> 'meter' AS meter FROM qzpay._catalog_entries('limits', p_doc -> 'limits') e
    )
    SELECT s.feature, s.meter FROM said s WHERE s.meter IS NOT NULL
    UNION ALL
    SELECT f.code, m.code FROM qzpay.features f JOIN qzpay.meters m ON m.id = f.meter_id
    WHERE f.code NOT IN (SELECT s.feature FROM said s WHERE s.feature IS NOT NULL);
END $$;
COMMENT ON FUNCTION qzpay._catalog_limit_meters(jsonb) IS 'Which meter counts which limit, by the document or, where it is silent, by the tables.';

CREATE OR REPLACE FUNCTION qzpay._catalog_limit_value(p_value jsonb) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN jsonb_typeof(p_value) = 'number' AND p_value <> '-1' THEN trim_scale((p_value #>> '{}')::numeric) END;
END $$;
COMMENT ON FUNCTION qzpay._catalog_limit_value(jsonb) IS 'The number of a limit; NULL for every spelling of unlimited.';

CREATE OR REPLACE FUNCTION qzpay._catalog_prune(p_value jsonb, p_defaults jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(e.key, CASE WHEN jsonb_typeof(e.value) = 'number' THEN to_jsonb(trim_scale((e.value #>> '{}')::numeric)) ELSE e.value END), '{}')
            FROM jsonb_each(p_value) e
            WHERE e.value NOT IN ('null', '{}', '[]') AND e.value IS DISTINCT FROM p_defaults -> e.key);
END $$;
COMMENT ON FUNCTION qzpay._catalog_prune(jsonb, jsonb) IS 'Takes out of an object what is null, empty or the default, so that saying a default and saying nothing are the same; numbers lose trailing zeros.';

CREATE OR REPLACE FUNCTION qzpay._catalog_days(p_key text, p_days jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_days) IS DISTINCT FROM 'array' THEN
        RETURN jsonb_build_object();
    END IF;
    RETURN jsonb_build_object(p_key, (SELECT coalesce(jsonb_agg(d.day ORDER BY d.day DESC), '[]') FROM (SELECT DISTINCT trim_scale(e.day::numeric) AS day FROM jsonb_array_elements_text(p_days) e (day)) d));
END $$;
COMMENT ON FUNCTION qzpay._catalog_days(text, jsonb) IS 'Days of reminders under a key, most first, each once. None at all is said too, by an empty list; NULL is not saying.';

CREATE OR REPLACE FUNCTION qzpay._catalog_product_body(p_item jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT qzpay._catalog_prune(
        p_item - '{id,price,pricePerUnit,prices,setupFee,currency,interval,usage,overage,requiredPlan}'::text[]
        || jsonb_build_object(
            'limits', (SELECT jsonb_object_agg(l.key, qzpay._catalog_limit_value(l.value)) FROM jsonb_each(nullif(p_item -> 'limits', 'null')) l),
            'trial', CASE WHEN p_item #> '{trial,days}' > '0'
                          THEN qzpay._catalog_prune((p_item -> 'trial') - 'price' - 'reminderDays', '{"requiresPaymentMethod": false, "endBehavior": "cancel"}')
                               || qzpay._catalog_days('reminderDays', p_item #> '{trial,reminderDays}') END,
            'includesAddons', (SELECT jsonb_agg(DISTINCT a.code) FROM jsonb_array_elements(nullif(p_item -> 'includesAddons', 'null')) a (code)),
            'applicableAddons', (SELECT jsonb_agg(DISTINCT a.code) FROM jsonb_array_elements(nullif(p_item -> 'applicableAddons', 'null')) a (code)),
            'expiringReminderDays', NULL,
            'limitedFeatures', (SELECT jsonb_agg(DISTINCT f.code) FROM jsonb_array_elements(nullif(p_item -> 'limitedFeatures', 'null')) f (code)),
            'usageInterval', qzpay._catalog_interval(p_item ->> 'usageInterval'),
            'applicablePlans', r.applicable_plans, 'includedIn', r.included_in, 'requires', r.requires, 'incompatibleWith', r.incompatible_with),
        '{"active": true, "visible": true, "selfService": true, "minQuantity": 1, "graceAccess": "full", "usageInterval": "month", "isFeatured": false}')
        || qzpay._catalog_days('expiringReminderDays', p_item -> 'expiringReminderDays')
    FROM (SELECT jsonb_agg(DISTINCT c.item) FILTER (WHERE s.key = 'applicablePlans') AS applicable_plans,
                 jsonb_agg(DISTINCT c.item) FILTER (WHERE s.key = 'includedIn') AS included_in,
                 jsonb_agg(DISTINCT c.item) FILTER (WHERE s.key = 'requires') AS requires,
                 jsonb_agg(DISTINCT c.item) FILTER (WHERE s.key = 'incompatibleWith') AS incompatible_with
          FROM (VALUES ('applicablePlans', p_item -> 'applicablePlans'), ('applicablePlans', p_item -> 'requiredPlan'), ('includedIn', p_item -> 'includedIn'),
                       ('requires', p_item -> 'requires'), ('incompatibleWith', p_item -> 'incompatibleWith')) AS s (key, value)
          CROSS JOIN LATERAL qzpay._catalog_each('', s.value) c) r
$$;
COMMENT ON FUNCTION qzpay._catalog_product_body(jsonb) IS 'Canonical form of a product, without its prices and charges, which are objects of their own.';

CREATE OR REPLACE FUNCTION qzpay._catalog_prices(p_doc jsonb) RETURNS TABLE (product text, kind text, path text, currency text, unit text, body jsonb, part text)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.code, p.kind, q.path, coalesce(q.currency, p.item ->> 'currency', p_doc ->> 'currency'), CASE q.part WHEN 'trial' THEN 'trial' ELSE qzpay._catalog_interval(q.unit) END, q.body, q.part
    FROM qzpay._catalog_products(p_doc) p
    CROSS JOIN LATERAL (
        SELECT 'price' AS part, c.path, e.key AS unit, c.item ->> 'currency' AS currency, qzpay._catalog_prune(c.item - 'currency') AS body
        FROM qzpay._catalog_entries(p.path || '.prices', p.item -> 'prices') e CROSS JOIN LATERAL qzpay._catalog_each(e.path, e.item) c
        UNION ALL
        SELECT 'price', p.path || '.' || s.key, CASE p.kind WHEN 'service' THEN 'once' ELSE coalesce(p.item ->> 'interval', 'month') END, NULL, jsonb_build_object('amount', s.value)
        FROM jsonb_each(p.item) s WHERE s.key IN ('price', 'pricePerUnit') AND s.value <> 'null'
        UNION ALL
        SELECT x.part, CASE WHEN a.currency IS NULL THEN x.path ELSE qzpay._catalog_path(x.path, a.currency) END, 'once', a.currency, jsonb_build_object('amount', a.amount)
        FROM (VALUES ('setup', p.path || '.setupFee', p.item -> 'setupFee'), ('trial', p.path || '.trial.price', p.item #> '{trial,price}')) AS x (part, path, given)
        CROSS JOIN LATERAL (
            SELECT m.key AS currency, m.value AS amount FROM jsonb_each(CASE jsonb_typeof(x.given) WHEN 'object' THEN x.given ELSE '{}' END) m
            UNION ALL
            -- A number alone is in the currency of all the product's prices.
            SELECT (SELECT min(u.currency) FROM (
                        SELECT coalesce(c.item ->> 'currency', p.item ->> 'currency', p_doc ->> 'currency') AS currency
                        FROM qzpay._catalog_entries('', p.item -> 'prices') e CROSS JOIN LATERAL qzpay._catalog_each('', e.item) c) u HAVING count(DISTINCT u.currency) = 1), x.given
            WHERE jsonb_typeof(x.given) = 'number') a
        WHERE a.amount > '0'
    ) q
$$;
COMMENT ON FUNCTION qzpay._catalog_prices(jsonb) IS 'The prices of a checked document, whichever way they are written: of intervals (part price), set-up fees (setup) and trials (trial). currency is NULL where nothing says it.';

CREATE OR REPLACE FUNCTION qzpay._catalog_charges(p_doc jsonb) RETURNS TABLE (product text, kind text, path text, meter text, currency text, item jsonb, limit_code text, limit_value numeric)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.code, p.kind, q.path, q.meter, coalesce(q.item ->> 'currency', c.currency, p_doc ->> 'currency'), q.item, l.code, l.value
    FROM qzpay._catalog_products(p_doc) p
    CROSS JOIN LATERAL (
        SELECT c.path, e.key AS meter, qzpay._catalog_prune(c.item)
               -- Dynamic is the one model that may say nothing more.
               || CASE WHEN c.item ->> 'model' = 'dynamic' THEN jsonb_build_object('pricing', coalesce(nullif(c.item -> 'pricing', 'null'), '{}')) ELSE '{}' END AS item
        FROM qzpay._catalog_entries(p.path || '.usage', p.item -> 'usage') e CROSS JOIN LATERAL qzpay._catalog_each(e.path, e.item) c
        UNION ALL
        -- { "messagesPrice": 1 } is 1 for each message beyond the limit on messages
        SELECT e.path, regexp_replace(e.key, 'Price$', ''), jsonb_build_object('overageRate', e.item)
        FROM qzpay._catalog_entries(p.path || '.overage', p.item -> 'overage') e
    ) q
    LEFT JOIN LATERAL (
        SELECT min(m.feature) AS code, min(qzpay._catalog_limit_value(v.value)) AS value
        FROM jsonb_each(nullif(p.item -> 'limits', 'null')) v JOIN qzpay._catalog_limit_meters(p_doc) m ON m.feature = v.key AND m.meter = q.meter
    ) l ON p.kind = 'plan'
    LEFT JOIN LATERAL (
        SELECT min(r.currency) AS currency FROM qzpay._catalog_prices(p_doc) r WHERE r.product = p.code AND r.part = 'price' HAVING count(DISTINCT r.currency) = 1
    ) c ON true
$$;
COMMENT ON FUNCTION qzpay._catalog_charges(jsonb) IS
'The usage charges of a checked document. The currency is the charge''s, that of the product''s prices if they have one only, or the document''s. '
'limit_code and limit_value: the limit of the plan that the same meter counts.';

CREATE OR REPLACE FUNCTION qzpay._catalog_charge_body(p_item jsonb, p_limit numeric, p_meter_name text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('included', coalesce(p_item -> 'included', to_jsonb(p_limit), '0'), 'limitType', coalesce(p_item ->> 'limitType', 'none'),
                              'displayName', coalesce(p_item ->> 'displayName', p_meter_name))
           || CASE WHEN p_item -> 'model' IS NOT NULL THEN jsonb_build_object('model', p_item -> 'model', 'pricing', p_item -> 'pricing')
                   WHEN p_item ->> 'rounding' = 'exact'
                   THEN jsonb_build_object('model', 'per_unit', 'pricing', jsonb_build_object('unit_amount', trim_scale(round((p_item ->> 'overageRate')::numeric / u.unit, 12))))
                   ELSE jsonb_build_object('model', 'package', 'pricing', jsonb_build_object('amount', p_item -> 'overageRate', 'size', u.unit)) END
    FROM (SELECT coalesce((p_item ->> 'unit')::numeric, 1) AS unit) u
$$;
COMMENT ON FUNCTION qzpay._catalog_charge_body(jsonb, numeric, text) IS
'Canonical form of a charge. overageRate per unit counts every started unit (package); rounding exact makes it a price per single unit. What is not said to be included is the limit.';

CREATE OR REPLACE FUNCTION qzpay._catalog_discount_synonyms() RETURNS TABLE (synonym text, key text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY VALUES ('minPurchaseAmount', 'minAmount'), ('maxPurchaseAmount', 'maxAmount'), ('customerSegments', 'segments'), ('products', 'validProducts'),
                        ('excludeProducts', 'excludedProducts'), ('excludeCategories', 'excludedCategories');
END $$;
COMMENT ON FUNCTION qzpay._catalog_discount_synonyms() IS 'Other words for conditions of discounts, and those they are stored under.';

CREATE OR REPLACE FUNCTION qzpay._catalog_discount_body(p_kind text, p_item jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT qzpay._catalog_prune(
        p_item - '{id,code}'::text[]
        || jsonb_build_object(
            'value', coalesce(nullif(p_item -> 'value', 'null'), '0'),
            'config', qzpay._catalog_prune(coalesce(nullif(p_item -> 'config', 'null'), '{}') || CASE WHEN p_item ->> 'type' = 'free_period' THEN jsonb_build_object('periods', p_item -> 'value') ELSE '{}' END,
                                           '{"forever": false}'),
            -- Shipping lines are discounted by nothing else, so free shipping stands beside other discounts unless it is said not to.
            'stackable', CASE WHEN p_kind = 'automatic_discount' AND p_item ->> 'type' = 'free_shipping' THEN coalesce(nullif(p_item -> 'stackable', 'null'), 'true') ELSE p_item -> 'stackable' END,
            'restrictions', CASE WHEN p_kind = 'promo_code' THEN r.body END,
            'conditions', CASE WHEN p_kind = 'automatic_discount' THEN r.body - '{validFrom,validUntil,maxRedemptions,maxRedemptionsPerCustomer}'::text[] END,
            'validFrom', coalesce(qzpay._catalog_instant_text(qzpay._catalog_instant(p_item ->> 'validFrom', false)), r.body ->> 'validFrom'),
            'validUntil', coalesce(qzpay._catalog_instant_text(qzpay._catalog_instant(p_item ->> 'validUntil', true)), r.body ->> 'validUntil'),
            'maxRedemptions', coalesce(nullif(p_item -> 'maxRedemptions', 'null'), r.body -> 'maxRedemptions'),
            'maxRedemptionsPerCustomer', coalesce(nullif(p_item -> 'maxRedemptionsPerCustomer', 'null'), r.body -> 'maxRedemptionsPerCustomer')),
        '{"active": true, "combinable": true, "stackable": false, "priority": 0, "appliesTo": "subscription"}')
    FROM (SELECT qzpay._catalog_prune(c.given || jsonb_build_object(
                     'validIntervals', (SELECT jsonb_agg(DISTINCT qzpay._catalog_interval(i.name)) FROM jsonb_array_elements_text(nullif(c.given -> 'validIntervals', 'null')) i (name)),
                     'registeredAfter', qzpay._catalog_instant_text(qzpay._catalog_instant(c.given ->> 'registeredAfter', false)),
                     'startsAt', qzpay._catalog_instant_text(qzpay._catalog_instant(c.given ->> 'startsAt', false)),
                     'expiresAt', qzpay._catalog_instant_text(qzpay._catalog_instant(c.given ->> 'expiresAt', true)),
                     'validFrom', qzpay._catalog_instant_text(qzpay._catalog_instant(c.given ->> 'validFrom', false)),
                     'validUntil', qzpay._catalog_instant_text(qzpay._catalog_instant(c.given ->> 'validUntil', true)))) AS body
          FROM (SELECT coalesce(jsonb_object_agg(coalesce(n.key, e.key), e.value), '{}') AS given
                FROM jsonb_each(coalesce(nullif(p_item -> CASE p_kind WHEN 'promo_code' THEN 'restrictions' ELSE 'conditions' END, 'null'), '{}')) e
                LEFT JOIN qzpay._catalog_discount_synonyms() n ON n.synonym = e.key) c) r
$$;
COMMENT ON FUNCTION qzpay._catalog_discount_body(text, jsonb) IS
'Canonical form of a promo code or an automatic discount: conditions and intervals by their stored names, dates as instants, a free period''s number of periods from its value.';

CREATE OR REPLACE FUNCTION qzpay._catalog_discounts(p_doc jsonb) RETURNS TABLE (kind text, path text, code text, item jsonb)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'promo_code', e.path, coalesce(e.item ->> 'code', e.key), e.item FROM qzpay._catalog_entries('promoCodes', p_doc -> 'promoCodes') e
    UNION ALL
    SELECT 'automatic_discount', e.path, coalesce(e.item ->> 'id', e.key), e.item FROM qzpay._catalog_entries('automaticDiscounts', p_doc -> 'automaticDiscounts') e
$$;
COMMENT ON FUNCTION qzpay._catalog_discounts(jsonb) IS 'The promo codes and automatic discounts of a checked document.';

CREATE OR REPLACE FUNCTION qzpay._catalog_features(p_doc jsonb) RETURNS TABLE (kind text, path text, code text, implied boolean, body jsonb)
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    WITH said AS (
        SELECT s.kind, e.path, coalesce(e.item ->> 'id', e.key) AS code, qzpay._catalog_prune(e.item - 'id', jsonb_build_object('kind', s.usual)) AS body
        FROM (VALUES ('feature', 'features', 'boolean'), ('limit', 'limits', 'stock')) AS s (kind, section, usual)
        CROSS JOIN LATERAL qzpay._catalog_entries(s.section, p_doc -> s.section) e
    ), used AS (
        SELECT DISTINCT ON (v.key) u.kind, qzpay._catalog_path(p.path || '.' || u.section, v.key) AS path, v.key AS code,
               CASE WHEN u.kind = 'feature' AND jsonb_typeof(v.value) = 'string' THEN '{"kind": "text"}' ELSE '{}' END::jsonb AS body
        FROM qzpay._catalog_products(p_doc) p
        CROSS JOIN (VALUES ('feature', 'entitlements'), ('limit', 'limits')) AS u (kind, section)
        CROSS JOIN LATERAL jsonb_each(nullif(p.item -> u.section, 'null')) v
        ORDER BY v.key, p.path, u.kind
    )
    SELECT s.kind, s.path, s.code, false, CASE WHEN s.body ->> 'name' = s.code THEN s.body - 'name' ELSE s.body END FROM said s
    UNION ALL
    SELECT u.kind, u.path, u.code, true, u.body FROM used u WHERE u.code NOT IN (SELECT s.code FROM said s WHERE s.code IS NOT NULL)
$$;
COMMENT ON FUNCTION qzpay._catalog_features(jsonb) IS 'The features and limits of a checked document: those it describes, and those that a product just uses (implied).';

CREATE OR REPLACE FUNCTION qzpay._catalog_ranks(p_doc jsonb) RETURNS TABLE (code text, rank bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH plan AS (SELECT p.kind, p.path, p.code, p.key, p.item, row_number() OVER (PARTITION BY p.item ->> 'tenant' IS NULL ORDER BY p.ordinal) AS ordinal
                  FROM qzpay._catalog_products(p_doc) p WHERE p.kind = 'plan'),
    there AS (SELECT p.code, p.tier_rank FROM qzpay.products p WHERE p.kind = 'plan' AND p.tenant_id IS NULL)
    SELECT p.code, CASE WHEN p.item ->> 'tenant' IS NOT NULL THEN (p.item ->> 'tierRank')::numeric::bigint ELSE coalesce((p.item ->> 'tierRank')::numeric::bigint,
                            CASE WHEN NOT EXISTS (SELECT FROM there t WHERE t.code NOT IN (SELECT i.code FROM plan i)) THEN p.ordinal
                                 ELSE coalesce(t.tier_rank, (SELECT coalesce(max(h.tier_rank), 0) FROM there h) + p.ordinal) END) END
    FROM plan p LEFT JOIN there t ON t.code = p.code;
END $$;
COMMENT ON FUNCTION qzpay._catalog_ranks(jsonb) IS
'Tier ranks: as said, or the place in the list of plans if it names all there are. In a partial list known plans keep theirs and new ones come after the highest. '
'A plan private to a tenant has the rank it is given, or none.';

CREATE OR REPLACE FUNCTION qzpay._catalog_aliases(p_doc jsonb) RETURNS TABLE (code text, aliases jsonb)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH product AS (SELECT * FROM qzpay._catalog_products(p_doc)),
    other AS (SELECT p.code, p.aliases FROM qzpay.products p WHERE p.tenant_id IS NULL AND p.code NOT IN (SELECT i.code FROM product i)),
    alias AS (
        SELECT p.code, a.name, a.ordinal FROM product p CROSS JOIN LATERAL jsonb_array_elements_text(nullif(p.item -> 'aliases', 'null')) WITH ORDINALITY AS a (name, ordinal)
        UNION ALL
        SELECT p.code, p.key, 1000000 FROM product p
        WHERE p.key <> p.code AND p.item ->> 'tenant' IS NULL
          AND NOT EXISTS (SELECT FROM product i WHERE i.code = p.key OR i.key = p.key AND i.code <> p.code OR i.code <> p.code AND i.item -> 'aliases' ? p.key)
          AND NOT EXISTS (SELECT FROM other o WHERE o.code = p.key OR p.key = ANY (o.aliases))
    )
    SELECT d.code, jsonb_agg(d.name ORDER BY d.ordinal, d.name) FROM (SELECT a.code, a.name, min(a.ordinal) AS ordinal FROM alias a GROUP BY a.code, a.name) d GROUP BY d.code;
END $$;
COMMENT ON FUNCTION qzpay._catalog_aliases(jsonb) IS 'Other names of products: as listed, and the key a product stands under in the document where that names nothing else.';

CREATE OR REPLACE FUNCTION qzpay._catalog_wanted(p_doc jsonb) RETURNS SETOF qzpay._catalog_object
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 'meter', coalesce(e.item ->> 'id', e.key), e.path, false,
           CASE WHEN e.item ->> 'name' = coalesce(e.item ->> 'id', e.key) THEN m.body - 'name' ELSE m.body END
    FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e
    CROSS JOIN LATERAL qzpay._catalog_prune(e.item - 'id', '{"aggregation": "sum", "active": true}') AS m (body)
    UNION ALL
    SELECT f.kind, f.code, f.path, f.implied, f.body FROM qzpay._catalog_features(p_doc) f
    UNION ALL
    SELECT p.kind, p.code, p.path, false, qzpay._catalog_product_body(p.item || jsonb_build_object('aliases', a.aliases, 'tierRank', r.rank))
    FROM qzpay._catalog_products(p_doc) p
    LEFT JOIN qzpay._catalog_aliases(p_doc) a ON a.code = p.code
    LEFT JOIN qzpay._catalog_ranks(p_doc) r ON r.code = p.code
    UNION ALL
    -- An add-on, plugin or service at price 0 is never sold, so it has no price; a plan at 0 is.
    SELECT 'price', p.product || '/' || p.currency || '/' || p.unit, p.path, false, p.body
    FROM qzpay._catalog_prices(p_doc) p WHERE p.kind = 'plan' OR p.body -> 'amount' > '0'
    UNION ALL
    SELECT 'charge', c.product || '/' || c.meter || '/' || c.currency, c.path, false, qzpay._catalog_charge_body(c.item, c.limit_value, coalesce(n.name, c.meter))
    FROM qzpay._catalog_charges(p_doc) c
    LEFT JOIN LATERAL (
        SELECT coalesce((SELECT coalesce(e.item ->> 'name', c.meter) FROM qzpay._catalog_entries('meters', p_doc -> 'meters') e WHERE coalesce(e.item ->> 'id', e.key) = c.meter),
                        (SELECT m.name FROM qzpay.meters m WHERE m.code = c.meter)) AS name
    ) n ON true
    UNION ALL
    SELECT d.kind, d.code, d.path, false, qzpay._catalog_discount_body(d.kind, d.item) FROM qzpay._catalog_discounts(p_doc) d
    UNION ALL
    SELECT o.kind, o.code, t.path, o.implied, o.body FROM qzpay._catalog_tax_rates(p_doc) t CROSS JOIN LATERAL qzpay._catalog_tax_object(t.code, t.facts, t.valid_from, t.valid_until, t.next_from) o
    UNION ALL
    SELECT 'setting', 'default_plan', 'defaultPlan', false, jsonb_build_object('value', p_doc -> 'defaultPlan')
    WHERE p_doc ->> 'defaultPlan' IS NOT NULL;
END $$;
COMMENT ON FUNCTION qzpay._catalog_wanted(jsonb) IS 'Every object of a checked document in canonical form.';
