CREATE OR REPLACE VIEW qzpay.plans WITH (security_invoker = true) AS
SELECT p.code, p.name, p.description, p.tier_rank, c.currency, c.monthly_amount, c.yearly_amount,
       round(c.yearly_amount / 12) AS yearly_per_month,
       CASE WHEN c.monthly_amount > 0 THEN round(100 - 100 * c.yearly_amount / (12 * c.monthly_amount))::integer END AS yearly_saving_percent,
       c.prices, p.trial_days, p.trial_requires_payment_method, f.entitlements, f.limits, u.usage,
       ARRAY(SELECT jsonb_array_elements_text(p.display -> 'features')) AS display_features, coalesce((p.display ->> 'featured')::boolean, false) AS is_featured,
       p.display ->> 'badge' AS badge_text, (p.display ->> 'sortOrder')::integer AS sort_order,
       p.visible, p.self_service, p.tenant_id IS NOT NULL AS is_private, p.id AS product_id
FROM qzpay.products p
LEFT JOIN LATERAL (
    SELECT x.currency, min(x.unit_amount) FILTER (WHERE x.interval_unit = 'month' AND x.interval_count = 1) AS monthly_amount,
           min(x.unit_amount) FILTER (WHERE x.interval_unit = 'year' AND x.interval_count = 1) AS yearly_amount,
           jsonb_object_agg(CASE WHEN x.interval_count = 1 THEN x.interval_unit ELSE x.interval_count || ' ' || x.interval_unit END, x.unit_amount) AS prices
    FROM qzpay.prices x WHERE x.product_id = p.id AND x.active GROUP BY x.currency
) c ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(x.feature_code, coalesce(to_jsonb(x.enabled), to_jsonb(x.text_value))) FILTER (WHERE x.enabled IS NOT NULL OR x.text_value IS NOT NULL) AS entitlements,
           jsonb_object_agg(x.feature_code, x.limit_value) FILTER (WHERE x.enabled IS NULL AND x.text_value IS NULL) AS limits
    FROM qzpay.product_features x WHERE x.product_id = p.id
) f ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(m.code, jsonb_build_object('name', x.display_name, 'included', x.included, 'model', x.model, 'pricing', x.pricing, 'limit_type', x.limit_type)) AS usage
    FROM qzpay.charges x JOIN qzpay.meters m ON m.id = x.meter_id WHERE x.product_id = p.id AND x.currency = c.currency AND x.active
) u ON true
WHERE p.kind = 'plan' AND p.active;
COMMENT ON VIEW qzpay.plans IS
'The plans on sale, one row per currency: prices in minor units per month and year (all intervals in prices), what the yearly price is per month and saves in percent, trial, '
'what the plan grants (a null limit is unlimited), what usage costs, and what a pricing page shows.';

CREATE OR REPLACE VIEW qzpay.addons WITH (security_invoker = true) AS
SELECT p.code, p.name, p.description, p.unit_label, p.categories, c.currency, c.monthly_amount, c.yearly_amount, c.prices, c.currency IS NOT NULL AS is_sold,
       f.entitlements, f.limits, r.applicable_plans, r.included_in, r.requires, r.incompatible_with, p.min_quantity, p.max_quantity,
       p.visible, p.self_service, p.tenant_id IS NOT NULL AS is_private, p.id AS product_id
FROM qzpay.products p
LEFT JOIN LATERAL (
    SELECT x.currency, min(x.unit_amount) FILTER (WHERE x.interval_unit = 'month' AND x.interval_count = 1) AS monthly_amount,
           min(x.unit_amount) FILTER (WHERE x.interval_unit = 'year' AND x.interval_count = 1) AS yearly_amount,
           jsonb_object_agg(CASE WHEN x.interval_count = 1 THEN x.interval_unit ELSE x.interval_count || ' ' || x.interval_unit END, x.unit_amount) AS prices
    FROM qzpay.prices x WHERE x.product_id = p.id AND x.active GROUP BY x.currency
) c ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(x.feature_code, coalesce(to_jsonb(x.enabled), to_jsonb(x.text_value))) FILTER (WHERE x.enabled IS NOT NULL OR x.text_value IS NOT NULL) AS entitlements,
           jsonb_object_agg(x.feature_code, x.limit_value) FILTER (WHERE x.enabled IS NULL AND x.text_value IS NULL) AS limits
    FROM qzpay.product_features x WHERE x.product_id = p.id
) f ON true
LEFT JOIN LATERAL (
    SELECT array_agg(o.code ORDER BY o.tier_rank, o.code) FILTER (WHERE x.relation = 'applicable_plan') AS applicable_plans,
           array_agg(o.code ORDER BY o.tier_rank, o.code) FILTER (WHERE x.relation = 'included_in') AS included_in,
           array_agg(o.code ORDER BY o.code) FILTER (WHERE x.relation = 'requires') AS requires,
           array_agg(o.code ORDER BY o.code) FILTER (WHERE x.relation = 'incompatible_with') AS incompatible_with
    FROM qzpay.product_relations x JOIN qzpay.products o ON o.id = x.related_id WHERE x.product_id = p.id
) r ON true
WHERE p.kind = 'addon' AND p.active;
COMMENT ON VIEW qzpay.addons IS
'Add-ons and plugins, one row per currency. entitlements are granted and limits raised by each unit. applicable_plans NULL: any plan; included_in: plans that contain it already. '
'One that is not sold has no price: it exists through included_in only.';

CREATE OR REPLACE VIEW qzpay.services WITH (security_invoker = true) AS
SELECT p.code, p.name, p.description, p.unit_label, p.categories, x.currency, x.unit_amount AS amount, p.min_quantity, p.max_quantity,
       p.visible, p.self_service, p.tenant_id IS NOT NULL AS is_private, p.id AS product_id
FROM qzpay.products p
LEFT JOIN qzpay.prices x ON x.product_id = p.id AND x.active AND x.interval_unit = 'once'
WHERE p.kind = 'service' AND p.active;
COMMENT ON VIEW qzpay.services IS 'One-time services, one row per currency, with the amount in minor units per unit (unit_label, such as an hour; otherwise per piece).';
