CREATE OR REPLACE FUNCTION qzpay._interval_name(p_unit text, p_count integer) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_count = 1 THEN p_unit ELSE p_count || ' ' || p_unit END
$$;
COMMENT ON FUNCTION qzpay._interval_name(text, integer) IS 'Canonical name of an interval: month, 3 month, once.';

CREATE OR REPLACE FUNCTION qzpay._catalog_state() RETURNS SETOF qzpay._catalog_object
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM qzpay._check_schema_version();
    RETURN QUERY
    SELECT 'meter', m.code, NULL, false,
           qzpay._catalog_prune(jsonb_build_object('name', nullif(m.name, m.code), 'aggregation', m.aggregation, 'valueProperty', m.value_property, 'unit', m.unit_name,
                                                   'dimensions', m.dimensions, 'active', m.active, 'metadata', m.metadata),
                                '{"aggregation": "sum", "active": true}')
    FROM qzpay.meters m
    UNION ALL
    SELECT CASE f.kind WHEN 'limit' THEN 'limit' ELSE 'feature' END, f.code, NULL, false,
           qzpay._catalog_prune(jsonb_build_object('name', nullif(f.name, f.code), 'description', f.description,
                                                   'kind', coalesce(f.limit_kind, f.kind), 'meter', m.code),
                                jsonb_build_object('kind', CASE f.kind WHEN 'limit' THEN 'stock' ELSE 'boolean' END))
    FROM qzpay.features f LEFT JOIN qzpay.meters m ON m.id = f.meter_id
    UNION ALL
    SELECT p.kind, qzpay._catalog_ref(p.code, p.tenant_id), NULL, false, qzpay._catalog_product_body(
        jsonb_build_object('tenant', p.tenant_id, 'name', p.name, 'description', p.description, 'aliases', p.aliases, 'unit', p.unit_label, 'categories', p.categories,
            'tierRank', p.tier_rank, 'usageInterval', qzpay._interval_name(p.usage_interval_unit, p.usage_interval_count),
            'trial', jsonb_build_object('days', p.trial_days, 'requiresPaymentMethod', p.trial_requires_payment_method, 'endBehavior', p.trial_end_behavior,
                                        'reuse', p.trial_reuse, 'reminderDays', p.trial_reminder_days),
            'expiringReminderDays', p.expiring_reminder_days, 'lateRenewalDays', p.late_renewal_days, 'prorationUnit', p.proration_unit, 'invoiceDraftHours', p.invoice_draft_hours, 'usageLateHours', p.usage_late_hours,
            'prorate', p.prorate,
            'graceDays', p.grace_days, 'graceAccess', p.grace_access, 'limitedFeatures', p.limited_features, 'dunningPolicy', p.dunning_policy,
            'minQuantity', p.min_quantity, 'maxQuantity', p.max_quantity, 'selfService', p.self_service, 'visible', p.visible, 'active', p.active,
            'displayFeatures', p.display -> 'features', 'isFeatured', p.display -> 'featured', 'badgeText', p.display -> 'badge', 'sortOrder', p.display -> 'sortOrder',
            'display', p.display - '{features,featured,badge,sortOrder}'::text[], 'metadata', p.metadata,
            'entitlements', f.entitlements, 'limits', f.limits,
            'applicablePlans', r.applicable_plans, 'includedIn', r.included_in, 'requires', r.requires, 'incompatibleWith', r.incompatible_with,
            'includesAddons', b.includes_addons, 'applicableAddons', b.applicable_addons))
    FROM qzpay.products p
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(x.feature_code, coalesce(to_jsonb(x.enabled), to_jsonb(x.text_value))) FILTER (WHERE x.enabled IS NOT NULL OR x.text_value IS NOT NULL) AS entitlements,
               jsonb_object_agg(x.feature_code, x.limit_value) FILTER (WHERE x.enabled IS NULL AND x.text_value IS NULL) AS limits
        FROM qzpay.product_features x WHERE x.product_id = p.id
    ) f
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(o.code) FILTER (WHERE x.relation = 'applicable_plan') AS applicable_plans, jsonb_agg(o.code) FILTER (WHERE x.relation = 'included_in') AS included_in,
               jsonb_agg(o.code) FILTER (WHERE x.relation = 'requires') AS requires, jsonb_agg(o.code) FILTER (WHERE x.relation = 'incompatible_with') AS incompatible_with
        FROM qzpay.product_relations x JOIN qzpay.products o ON o.id = x.related_id AND (o.tenant_id IS NULL OR o.tenant_id = p.tenant_id) WHERE x.product_id = p.id
    ) r
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(o.code) FILTER (WHERE x.relation = 'included_in') AS includes_addons, jsonb_agg(o.code) FILTER (WHERE x.relation = 'applicable_plan') AS applicable_addons
        FROM qzpay.product_relations x JOIN qzpay.products o ON o.id = x.product_id AND o.tenant_id IS NULL WHERE x.related_id = p.id AND p.tenant_id IS NOT NULL
    ) b
    UNION ALL
    SELECT 'price', qzpay._catalog_ref(p.code, p.tenant_id) || '/' || c.currency || '/' || qzpay._interval_name(c.interval_unit, c.interval_count), NULL, false,
           qzpay._catalog_prune(jsonb_build_object('amount', c.unit_amount, 'commitment', c.commitment, 'metadata', c.metadata))
    FROM qzpay.prices c JOIN qzpay.products p ON p.id = c.product_id WHERE c.active
    UNION ALL
    SELECT 'charge', qzpay._catalog_ref(p.code, p.tenant_id) || '/' || m.code || '/' || c.currency, NULL, false,
           jsonb_build_object('included', c.included, 'limitType', c.limit_type, 'displayName', c.display_name, 'model', c.model, 'pricing', c.pricing)
    FROM qzpay.charges c JOIN qzpay.products p ON p.id = c.product_id JOIN qzpay.meters m ON m.id = c.meter_id WHERE c.active
    UNION ALL
    SELECT d.kind, d.code, NULL, false, qzpay._catalog_discount_body(d.kind,
        jsonb_build_object('name', d.name, 'description', d.description, 'type', d.type, 'value', d.value, 'tiers', d.tiers, 'active', d.active, 'metadata', d.metadata,
                           'config', jsonb_build_object('currency', d.currency, 'periods', d.periods, 'forever', d.forever),
                           'priority', d.priority, 'appliesTo', replace(d.applies_to, '_', '-'))
        || CASE d.kind WHEN 'promo_code'
           THEN jsonb_build_object('combinable', d.stackable, 'restrictions', d.conditions
                    || jsonb_build_object('maxUses', d.max_uses, 'maxUsesPerCustomer', d.max_uses_per_customer, 'startsAt', d.starts, 'expiresAt', d.ends))
           ELSE jsonb_build_object('stackable', d.stackable, 'conditions', d.conditions, 'maxRedemptions', d.max_uses,
                                   'maxRedemptionsPerCustomer', d.max_uses_per_customer, 'validFrom', d.starts, 'validUntil', d.ends) END)
    FROM (SELECT x.*, CASE x.trigger WHEN 'promo_code' THEN 'promo_code' ELSE 'automatic_discount' END AS kind,
                 qzpay._catalog_instant_text(x.valid_from) AS starts, qzpay._catalog_instant_text(x.valid_until) AS ends
          FROM qzpay.discounts x) d
    UNION ALL
    SELECT o.* FROM qzpay._catalog_tax_state() t CROSS JOIN LATERAL qzpay._catalog_tax_object(t.code, t.facts, t.valid_from, t.valid_until, t.next_from) o
    UNION ALL
    SELECT 'setting', s.name, NULL, false, jsonb_build_object('value', s.value) FROM qzpay.settings s WHERE s.name = 'default_plan' AND s.value <> 'null';
END $$;
COMMENT ON FUNCTION qzpay._catalog_state() IS
'What the tables hold, as canonical fragments of a catalog document. Versions of prices and charges no longer sold are left out.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tenant_name(p_tenant uuid) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT min(c.external_id) FROM qzpay.customers c WHERE c.tenant_id = p_tenant
                     HAVING count(*) = 1 AND NOT EXISTS (SELECT FROM qzpay.customers o WHERE o.external_id = min(c.external_id) AND o.tenant_id <> p_tenant)), p_tenant::text);
END $$;
COMMENT ON FUNCTION qzpay._catalog_tenant_name(uuid) IS
'How a document names a tenant: by the external id of its customer, which means the same in another installation; by its id where it has several, or another tenant has that external id too.';

CREATE OR REPLACE FUNCTION qzpay.export_catalog(private boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL UNSAFE
SET jit = off
SET search_path = pg_catalog, pg_temp AS $$
    WITH object AS MATERIALIZED (
        SELECT s.kind, s.code, CASE WHEN s.body ? 'tenant' THEN s.body || jsonb_build_object('tenant', qzpay._catalog_tenant_name((s.body ->> 'tenant')::uuid)) ELSE s.body END AS body
        FROM qzpay._catalog_state() s WHERE export_catalog.private OR s.code !~ ' @'
    ), part AS (
        SELECT x.*, CASE WHEN o.kind = 'charge' THEN 'usage' WHEN x.key = 'trial' THEN 'trial' WHEN x.key = 'once' AND p.kind <> 'service' THEN 'setup' ELSE 'prices' END AS section, o.body
        FROM object o
        CROSS JOIN LATERAL (SELECT split_part(o.code, '/', 1) AS product, split_part(o.code, '/', CASE o.kind WHEN 'price' THEN 3 ELSE 2 END) AS key,
                                   split_part(o.code, '/', CASE o.kind WHEN 'price' THEN 2 ELSE 3 END) AS currency) x
        JOIN object p ON p.kind IN ('plan', 'addon', 'service') AND p.code = x.product
        WHERE o.kind IN ('price', 'charge')
    ), listed AS (
        -- one value, or a list where there are several currencies
        SELECT p.section, p.product, p.key,
               CASE count(*) WHEN 1 THEN (jsonb_agg(v.value)) -> 0 ELSE jsonb_agg(v.value ORDER BY p.currency COLLATE "C") END AS value,
               jsonb_object_agg(p.currency, p.body -> 'amount') AS amounts
        FROM part p CROSS JOIN LATERAL (SELECT p.body || jsonb_build_object('currency', p.currency) AS value) v
        GROUP BY p.section, p.product, p.key
    ), product AS (
        SELECT o.kind, o.code, (o.body ->> 'tierRank')::bigint AS rank,
               jsonb_build_object('id', split_part(o.code, ' @', 1)) || o.body
               || qzpay._catalog_prune(jsonb_build_object(
                      'prices', (SELECT jsonb_object_agg(l.key, l.value) FROM listed l WHERE l.section = 'prices' AND l.product = o.code),
                      'setupFee', (SELECT l.amounts FROM listed l WHERE l.section = 'setup' AND l.product = o.code),
                      'trial', (SELECT (o.body -> 'trial') || jsonb_build_object('price', l.amounts) FROM listed l WHERE l.section = 'trial' AND l.product = o.code),
                      'usage', (SELECT jsonb_object_agg(l.key, l.value) FROM listed l WHERE l.section = 'usage' AND l.product = o.code))) AS body
        FROM object o WHERE o.kind IN ('plan', 'addon', 'service')
    )
    SELECT qzpay._catalog_prune(jsonb_build_object(
        'defaultPlan', (SELECT o.body -> 'value' FROM object o WHERE o.kind = 'setting'),
        'meters', (SELECT jsonb_object_agg(o.code, o.body) FROM object o WHERE o.kind = 'meter'),
        'features', (SELECT jsonb_object_agg(o.code, o.body) FROM object o WHERE o.kind = 'feature'),
        'limits', (SELECT jsonb_object_agg(o.code, o.body) FROM object o WHERE o.kind = 'limit'),
        'plans', (SELECT jsonb_agg(p.body ORDER BY p.code ~ ' @', p.rank, p.code COLLATE "C") FROM product p WHERE p.kind = 'plan'),
        'addons', (SELECT jsonb_agg(p.body ORDER BY p.code COLLATE "C") FROM product p WHERE p.kind = 'addon'),
        'services', (SELECT jsonb_agg(p.body ORDER BY p.code COLLATE "C") FROM product p WHERE p.kind = 'service'),
        'promoCodes', (SELECT jsonb_agg(jsonb_build_object('code', o.code) || o.body ORDER BY o.code COLLATE "C") FROM object o WHERE o.kind = 'promo_code'),
        'automaticDiscounts', (SELECT jsonb_agg(jsonb_build_object('id', o.code) || o.body ORDER BY o.code COLLATE "C") FROM object o WHERE o.kind = 'automatic_discount'),
        'taxRates', (SELECT jsonb_agg(jsonb_build_object('id', split_part(o.code, '/', 1)) || o.body ORDER BY split_part(o.code, '/', 1) COLLATE "C", (o.body ->> 'validFrom')::timestamptz NULLS FIRST)
                     FROM object o WHERE o.kind = 'tax_rate')))
$$;
COMMENT ON FUNCTION qzpay.export_catalog(boolean) IS
'The catalog as one document that import_catalog() takes: in this installation it changes nothing, in another it makes the same catalog. '
'It holds what is sold now: no earlier versions of prices (but all versions of tax rates), no counts of redemptions, and products private to a tenant only when private is asked for: '
'their tenant is named by the external id of its customer, who has to be there before they are imported.';
