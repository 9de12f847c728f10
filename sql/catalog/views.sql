CREATE OR REPLACE VIEW qzpay.plans WITH (security_invoker = true) AS
SELECT p.code, p.name, p.description, p.tier_rank, c.currency, c.monthly_amount, c.yearly_amount,
       round(c.yearly_amount / 12) AS yearly_per_month,
       CASE WHEN c.monthly_amount > 0 THEN round(100 - 100 * c.yearly_amount / (12 * c.monthly_amount))::integer END AS yearly_saving_percent,
       c.prices, c.setup_fee, p.trial_days, c.trial_price, p.trial_requires_payment_method, p.trial_end_behavior, f.entitlements, f.limits, u.usage,
       ARRAY(SELECT jsonb_array_elements_text(p.display -> 'features')) AS display_features, coalesce((p.display ->> 'featured')::boolean, false) AS is_featured,
       p.display ->> 'badge' AS badge_text, (p.display ->> 'sortOrder')::integer AS sort_order, p.display - '{features,featured,badge,sortOrder}'::text[] AS display,
       p.unit_label, p.categories, p.min_quantity, p.max_quantity, p.visible, p.self_service, p.tenant_id IS NOT NULL AS is_private, p.id AS product_id
FROM qzpay.products p
LEFT JOIN LATERAL (
    SELECT x.currency, min(x.unit_amount) FILTER (WHERE x.interval_unit = 'month' AND x.interval_count = 1) AS monthly_amount,
           min(x.unit_amount) FILTER (WHERE x.interval_unit = 'year' AND x.interval_count = 1) AS yearly_amount,
           jsonb_object_agg(CASE WHEN x.interval_count = 1 THEN x.interval_unit ELSE x.interval_count || ' ' || x.interval_unit END, x.unit_amount)
               FILTER (WHERE x.interval_unit NOT IN ('once', 'trial')) AS prices,
           min(x.unit_amount) FILTER (WHERE x.interval_unit = 'once') AS setup_fee, min(x.unit_amount) FILTER (WHERE x.interval_unit = 'trial') AS trial_price
    FROM qzpay.prices x WHERE x.product_id = p.id AND x.active GROUP BY x.currency HAVING bool_or(x.interval_unit NOT IN ('once', 'trial'))
) c ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(x.feature_code, coalesce(to_jsonb(x.enabled), to_jsonb(x.text_value))) FILTER (WHERE x.enabled IS NOT NULL OR x.text_value IS NOT NULL) AS entitlements,
           jsonb_object_agg(x.feature_code, x.limit_value) FILTER (WHERE x.enabled IS NULL AND x.text_value IS NULL) AS limits
    FROM qzpay.product_features x WHERE x.product_id = p.id
) f ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(m.code, jsonb_build_object('name', x.display_name, 'unit', m.unit_name, 'included', x.included, 'model', x.model, 'pricing', x.pricing, 'limit_type', x.limit_type)) AS usage
    FROM qzpay.charges x JOIN qzpay.meters m ON m.id = x.meter_id WHERE x.product_id = p.id AND x.currency = c.currency AND x.active
) u ON true
WHERE p.kind = 'plan' AND p.active;
COMMENT ON VIEW qzpay.plans IS
'The plans on sale, one row per currency: prices in minor units per month and year (all intervals in prices), what the yearly price is per month and saves in percent, trial, '
'what the plan grants (a null limit is unlimited), what usage costs, and what a pricing page shows.';
COMMENT ON COLUMN qzpay.plans.code IS 'What the API is called with.';
COMMENT ON COLUMN qzpay.plans.name IS 'Name on invoices and pages.';
COMMENT ON COLUMN qzpay.plans.description IS 'One sentence for pages.';
COMMENT ON COLUMN qzpay.plans.tier_rank IS 'Higher is an upgrade. NULL: interval, quantity and price decide.';
COMMENT ON COLUMN qzpay.plans.currency IS 'ISO 4217 code of this row''s prices; NULL for a plan without any.';
COMMENT ON COLUMN qzpay.plans.monthly_amount IS 'Price per unit and month, minor units; NULL: not sold by the month.';
COMMENT ON COLUMN qzpay.plans.yearly_amount IS 'Price per unit and year, minor units; NULL: not sold by the year.';
COMMENT ON COLUMN qzpay.plans.yearly_per_month IS 'A twelfth of the yearly price, rounded to minor units.';
COMMENT ON COLUMN qzpay.plans.yearly_saving_percent IS 'What the yearly price saves against twelve months, rounded to whole percent; negative if it costs more.';
COMMENT ON COLUMN qzpay.plans.prices IS 'Price per unit of every interval sold: {"month": 9900, "3 month": 27000}, minor units.';
COMMENT ON COLUMN qzpay.plans.setup_fee IS 'Asked for once, with the first invoice, minor units; NULL: none.';
COMMENT ON COLUMN qzpay.plans.trial_days IS 'Days of 24 hours; 0: no trial.';
COMMENT ON COLUMN qzpay.plans.trial_price IS 'Price per unit of the whole trial, invoiced at its start, minor units; NULL: free.';
COMMENT ON COLUMN qzpay.plans.trial_requires_payment_method IS 'Whether the trial waits for a payment method.';
COMMENT ON COLUMN qzpay.plans.trial_end_behavior IS 'What the end of a trial without a payment method does: cancel, pause or past_due.';
COMMENT ON COLUMN qzpay.plans.entitlements IS 'What is granted: {"feature": true}, or a text.';
COMMENT ON COLUMN qzpay.plans.limits IS 'Limits: {"limit": number}; null: unlimited.';
COMMENT ON COLUMN qzpay.plans.usage IS 'Charges on usage by meter: {"meter": {name, unit, included, model, pricing, limit_type}}; pricing as rate_usage() takes it.';
COMMENT ON COLUMN qzpay.plans.display_features IS 'Lines for a pricing page, in order; they grant nothing.';
COMMENT ON COLUMN qzpay.plans.is_featured IS 'Whether a pricing page stresses it.';
COMMENT ON COLUMN qzpay.plans.badge_text IS 'A word to stick on it.';
COMMENT ON COLUMN qzpay.plans.sort_order IS 'Place on a pricing page, least first; NULL: by rank.';
COMMENT ON COLUMN qzpay.plans.display IS 'Whatever else the seller wants shown.';
COMMENT ON COLUMN qzpay.plans.unit_label IS 'What one unit is, such as seat.';
COMMENT ON COLUMN qzpay.plans.categories IS 'Categories, for discounts and pages.';
COMMENT ON COLUMN qzpay.plans.min_quantity IS 'Least quantity sold.';
COMMENT ON COLUMN qzpay.plans.max_quantity IS 'Greatest quantity sold; NULL: any.';
COMMENT ON COLUMN qzpay.plans.visible IS 'Whether a pricing page lists it.';
COMMENT ON COLUMN qzpay.plans.self_service IS 'Whether customers may choose it by themselves.';
COMMENT ON COLUMN qzpay.plans.is_private IS 'Whether it is one tenant''s only; nobody else sees it.';
COMMENT ON COLUMN qzpay.plans.product_id IS 'Id of the product.';

CREATE OR REPLACE VIEW qzpay.addons WITH (security_invoker = true) AS
SELECT p.code, p.name, p.description, p.unit_label, p.categories, c.currency, c.monthly_amount, c.yearly_amount, round(c.yearly_amount / 12) AS yearly_per_month,
       CASE WHEN c.monthly_amount > 0 THEN round(100 - 100 * c.yearly_amount / (12 * c.monthly_amount))::integer END AS yearly_saving_percent,
       c.prices, c.setup_fee, c.prices IS NOT NULL AS is_sold,
       coalesce(p.prorate, NOT EXISTS (SELECT FROM qzpay.product_features x JOIN qzpay.features e ON e.code = x.feature_code AND e.meter_id IS NOT NULL WHERE x.product_id = p.id)) AS is_prorated,
       f.entitlements, f.limits, u.usage, r.applicable_plans, r.included_in, r.requires, r.incompatible_with, p.min_quantity, p.max_quantity,
       ARRAY(SELECT jsonb_array_elements_text(p.display -> 'features')) AS display_features, coalesce((p.display ->> 'featured')::boolean, false) AS is_featured,
       p.display ->> 'badge' AS badge_text, (p.display ->> 'sortOrder')::integer AS sort_order, p.display - '{features,featured,badge,sortOrder}'::text[] AS display,
       p.visible, p.self_service, p.tenant_id IS NOT NULL AS is_private, p.id AS product_id
FROM qzpay.products p
LEFT JOIN LATERAL (
    SELECT x.currency, min(x.unit_amount) FILTER (WHERE x.interval_unit = 'month' AND x.interval_count = 1) AS monthly_amount,
           min(x.unit_amount) FILTER (WHERE x.interval_unit = 'year' AND x.interval_count = 1) AS yearly_amount,
           jsonb_object_agg(CASE WHEN x.interval_count = 1 THEN x.interval_unit ELSE x.interval_count || ' ' || x.interval_unit END, x.unit_amount) FILTER (WHERE x.interval_unit <> 'once') AS prices,
           min(x.unit_amount) FILTER (WHERE x.interval_unit = 'once') AS setup_fee
    FROM qzpay.prices x WHERE x.product_id = p.id AND x.active GROUP BY x.currency HAVING bool_or(x.interval_unit <> 'once')
) c ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(x.feature_code, coalesce(to_jsonb(x.enabled), to_jsonb(x.text_value))) FILTER (WHERE x.enabled IS NOT NULL OR x.text_value IS NOT NULL) AS entitlements,
           jsonb_object_agg(x.feature_code, x.limit_value) FILTER (WHERE x.enabled IS NULL AND x.text_value IS NULL) AS limits
    FROM qzpay.product_features x WHERE x.product_id = p.id
) f ON true
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(m.code, jsonb_build_object('name', x.display_name, 'unit', m.unit_name, 'included', x.included, 'model', x.model, 'pricing', x.pricing, 'limit_type', x.limit_type)) AS usage
    FROM qzpay.charges x JOIN qzpay.meters m ON m.id = x.meter_id WHERE x.product_id = p.id AND x.currency = c.currency AND x.active
) u ON true
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
COMMENT ON COLUMN qzpay.addons.code IS 'What the API is called with.';
COMMENT ON COLUMN qzpay.addons.name IS 'Name on invoices and pages.';
COMMENT ON COLUMN qzpay.addons.description IS 'One sentence for pages.';
COMMENT ON COLUMN qzpay.addons.unit_label IS 'What one unit is, such as bot; NULL: a piece.';
COMMENT ON COLUMN qzpay.addons.categories IS 'Categories, for discounts and pages; plugin for plugins.';
COMMENT ON COLUMN qzpay.addons.currency IS 'ISO 4217 code of this row''s prices; NULL for one that is not sold.';
COMMENT ON COLUMN qzpay.addons.monthly_amount IS 'Price per unit and month, minor units; NULL: not sold by the month.';
COMMENT ON COLUMN qzpay.addons.yearly_amount IS 'Price per unit and year, minor units; NULL: not sold by the year.';
COMMENT ON COLUMN qzpay.addons.yearly_per_month IS 'A twelfth of the yearly price, rounded to minor units.';
COMMENT ON COLUMN qzpay.addons.yearly_saving_percent IS 'What the yearly price saves against twelve months, rounded to whole percent.';
COMMENT ON COLUMN qzpay.addons.prices IS 'Price per unit of every interval sold: {"month": 1500}, minor units.';
COMMENT ON COLUMN qzpay.addons.setup_fee IS 'Asked for once, when it is held for the first time, minor units; NULL: none.';
COMMENT ON COLUMN qzpay.addons.is_sold IS 'Whether it has a price; if not, it comes with plans only.';
COMMENT ON COLUMN qzpay.addons.is_prorated IS 'Whether it is charged and credited by time within a period; else in full.';
COMMENT ON COLUMN qzpay.addons.entitlements IS 'What is granted: {"feature": true}, or a text.';
COMMENT ON COLUMN qzpay.addons.limits IS 'By how much each unit raises a limit, or the included quantity of the charge behind it; null: to unlimited.';
COMMENT ON COLUMN qzpay.addons.usage IS 'Charges on usage by meter, as in plans.';
COMMENT ON COLUMN qzpay.addons.applicable_plans IS 'Codes of the plans it may join; NULL: any.';
COMMENT ON COLUMN qzpay.addons.included_in IS 'Codes of the plans that contain it, with which it cannot be bought.';
COMMENT ON COLUMN qzpay.addons.requires IS 'Codes of the products it needs beside it.';
COMMENT ON COLUMN qzpay.addons.incompatible_with IS 'Codes of the products it cannot stand beside.';
COMMENT ON COLUMN qzpay.addons.min_quantity IS 'Least quantity sold.';
COMMENT ON COLUMN qzpay.addons.max_quantity IS 'Greatest quantity sold; NULL: any.';
COMMENT ON COLUMN qzpay.addons.display_features IS 'Lines for a pricing page, in order; they grant nothing.';
COMMENT ON COLUMN qzpay.addons.is_featured IS 'Whether a pricing page stresses it.';
COMMENT ON COLUMN qzpay.addons.badge_text IS 'A word to stick on it.';
COMMENT ON COLUMN qzpay.addons.sort_order IS 'Place on a pricing page, least first.';
COMMENT ON COLUMN qzpay.addons.display IS 'Whatever else the seller wants shown.';
COMMENT ON COLUMN qzpay.addons.visible IS 'Whether a pricing page lists it.';
COMMENT ON COLUMN qzpay.addons.self_service IS 'Whether customers may choose it by themselves.';
COMMENT ON COLUMN qzpay.addons.is_private IS 'Whether it is one tenant''s only; nobody else sees it.';
COMMENT ON COLUMN qzpay.addons.product_id IS 'Id of the product.';

CREATE OR REPLACE VIEW qzpay.services WITH (security_invoker = true) AS
SELECT p.code, p.name, p.description, p.unit_label, p.categories, x.currency, x.unit_amount AS amount, r.applicable_plans, r.requires, r.incompatible_with, p.min_quantity, p.max_quantity,
       ARRAY(SELECT jsonb_array_elements_text(p.display -> 'features')) AS display_features, coalesce((p.display ->> 'featured')::boolean, false) AS is_featured,
       p.display ->> 'badge' AS badge_text, (p.display ->> 'sortOrder')::integer AS sort_order, p.display - '{features,featured,badge,sortOrder}'::text[] AS display,
       p.visible, p.self_service, p.tenant_id IS NOT NULL AS is_private, p.id AS product_id
FROM qzpay.products p
LEFT JOIN qzpay.prices x ON x.product_id = p.id AND x.active AND x.interval_unit = 'once'
LEFT JOIN LATERAL (
    SELECT array_agg(o.code ORDER BY o.tier_rank, o.code) FILTER (WHERE y.relation = 'applicable_plan') AS applicable_plans,
           array_agg(o.code ORDER BY o.code) FILTER (WHERE y.relation = 'requires') AS requires,
           array_agg(o.code ORDER BY o.code) FILTER (WHERE y.relation = 'incompatible_with') AS incompatible_with
    FROM qzpay.product_relations y JOIN qzpay.products o ON o.id = y.related_id WHERE y.product_id = p.id
) r ON true
WHERE p.kind = 'service' AND p.active;
COMMENT ON VIEW qzpay.services IS 'One-time services, one row per currency, with the amount in minor units per unit (unit_label, such as an hour; otherwise per piece).';
COMMENT ON COLUMN qzpay.services.code IS 'What the API is called with.';
COMMENT ON COLUMN qzpay.services.name IS 'Name on invoices and pages.';
COMMENT ON COLUMN qzpay.services.description IS 'One sentence for pages.';
COMMENT ON COLUMN qzpay.services.unit_label IS 'What one unit is, such as hora; NULL: a piece. Quantities may be fractions (1.5 hours).';
COMMENT ON COLUMN qzpay.services.categories IS 'Categories, for discounts and pages.';
COMMENT ON COLUMN qzpay.services.currency IS 'ISO 4217 code of amount; NULL for one without a price.';
COMMENT ON COLUMN qzpay.services.amount IS 'Price per unit, minor units.';
COMMENT ON COLUMN qzpay.services.applicable_plans IS 'Codes of the plans it is meant for; NULL: any.';
COMMENT ON COLUMN qzpay.services.requires IS 'Codes of the products it needs beside it.';
COMMENT ON COLUMN qzpay.services.incompatible_with IS 'Codes of the products it cannot stand beside.';
COMMENT ON COLUMN qzpay.services.min_quantity IS 'Least quantity sold.';
COMMENT ON COLUMN qzpay.services.max_quantity IS 'Greatest quantity sold; NULL: any.';
COMMENT ON COLUMN qzpay.services.display_features IS 'Lines for a pricing page, in order.';
COMMENT ON COLUMN qzpay.services.is_featured IS 'Whether a pricing page stresses it.';
COMMENT ON COLUMN qzpay.services.badge_text IS 'A word to stick on it.';
COMMENT ON COLUMN qzpay.services.sort_order IS 'Place on a pricing page, least first.';
COMMENT ON COLUMN qzpay.services.display IS 'Whatever else the seller wants shown.';
COMMENT ON COLUMN qzpay.services.visible IS 'Whether a pricing page lists it.';
COMMENT ON COLUMN qzpay.services.self_service IS 'Whether customers may order it by themselves.';
COMMENT ON COLUMN qzpay.services.is_private IS 'Whether it is one tenant''s only; nobody else sees it.';
COMMENT ON COLUMN qzpay.services.product_id IS 'Id of the product.';

CREATE OR REPLACE VIEW qzpay.price_history WITH (security_invoker = true) AS
SELECT p.code, p.kind, CASE WHEN c.interval_unit = 'trial' THEN 'trial' WHEN c.interval_unit <> 'once' THEN 'price' WHEN p.kind = 'service' THEN 'price' ELSE 'setup' END AS part,
       c.currency, CASE WHEN c.interval_count = 1 THEN c.interval_unit ELSE c.interval_count || ' ' || c.interval_unit END AS billing_interval,
       c.version, c.unit_amount, c.commitment, c.active AS is_sold, c.created_at AS sold_from,
       lead(c.created_at) OVER (PARTITION BY c.product_id, c.currency, c.interval_unit, c.interval_count ORDER BY c.version) AS followed_at,
       coalesce(i.subscriptions, 0) AS subscriptions, coalesce(i.negotiated, 0) AS negotiated, p.tenant_id IS NOT NULL AS is_private, c.product_id, c.id AS price_id
FROM qzpay.prices c
JOIN qzpay.products p ON p.id = c.product_id
LEFT JOIN (
    SELECT x.price_id, count(DISTINCT (x.tenant_id, x.subscription_id)) AS subscriptions, count(DISTINCT (x.tenant_id, x.subscription_id)) FILTER (WHERE x.unit_amount IS NOT NULL) AS negotiated
    FROM qzpay.subscription_items x
    JOIN qzpay.subscriptions s ON s.tenant_id = x.tenant_id AND s.id = x.subscription_id AND s.ended_at IS NULL
    WHERE x.valid_until = 'infinity' GROUP BY x.price_id
) i ON i.price_id = c.id;
COMMENT ON VIEW qzpay.price_history IS
'Every version of every price, and how many live subscriptions are on it: all for staff, its own for a tenant. migrate_subscriptions() moves them to the version that is sold.';
COMMENT ON COLUMN qzpay.price_history.code IS 'Code of the product.';
COMMENT ON COLUMN qzpay.price_history.kind IS 'plan, addon or service.';
COMMENT ON COLUMN qzpay.price_history.part IS 'price, setup (the set-up fee) or trial (the price of the whole trial).';
COMMENT ON COLUMN qzpay.price_history.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN qzpay.price_history.billing_interval IS 'month, 3 month, once, trial …';
COMMENT ON COLUMN qzpay.price_history.version IS 'Counted from 1 for each product, currency and interval.';
COMMENT ON COLUMN qzpay.price_history.unit_amount IS 'Price per unit, minor units.';
COMMENT ON COLUMN qzpay.price_history.commitment IS 'What is spent at least in a billing period, minor units; NULL: nothing.';
COMMENT ON COLUMN qzpay.price_history.is_sold IS 'Whether whoever subscribes now gets this version.';
COMMENT ON COLUMN qzpay.price_history.sold_from IS 'When the version was made.';
COMMENT ON COLUMN qzpay.price_history.followed_at IS 'When the next version was made; NULL: it is the last.';
COMMENT ON COLUMN qzpay.price_history.subscriptions IS 'Live subscriptions with an item on this version that goes on.';
COMMENT ON COLUMN qzpay.price_history.negotiated IS 'How many of them pay another, negotiated amount.';
COMMENT ON COLUMN qzpay.price_history.is_private IS 'Whether the product is one tenant''s only.';
COMMENT ON COLUMN qzpay.price_history.product_id IS 'Id of the product.';
COMMENT ON COLUMN qzpay.price_history.price_id IS 'Id of the price.';

CREATE OR REPLACE VIEW qzpay.charge_history WITH (security_invoker = true) AS
SELECT p.code, p.kind, m.code AS meter, c.currency, c.version, c.included, c.model, c.pricing, c.limit_type, c.active AS is_sold, c.created_at AS sold_from, c.retired_at AS sold_until,
       coalesce(i.subscriptions, 0) AS subscriptions, p.tenant_id IS NOT NULL AS is_private, c.product_id, c.id AS charge_id
FROM qzpay.charges c
JOIN qzpay.products p ON p.id = c.product_id
JOIN qzpay.meters m ON m.id = c.meter_id
LEFT JOIN (
    SELECT h.id, count(DISTINCT (x.tenant_id, x.subscription_id)) AS subscriptions
    FROM qzpay.subscription_items x
    JOIN qzpay.subscriptions s ON s.tenant_id = x.tenant_id AND s.id = x.subscription_id AND s.ended_at IS NULL
    JOIN qzpay.charges h ON h.product_id = x.product_id AND h.currency = s.currency AND h.created_at <= x.created_at AND (h.retired_at IS NULL OR h.retired_at > x.created_at)
    WHERE x.valid_until = 'infinity' GROUP BY h.id
) i ON i.id = c.id;
COMMENT ON VIEW qzpay.charge_history IS
'Every version of every charge on usage, and how many live subscriptions are rated by it: all for staff, its own for a tenant.';
COMMENT ON COLUMN qzpay.charge_history.code IS 'Code of the product.';
COMMENT ON COLUMN qzpay.charge_history.kind IS 'plan or addon.';
COMMENT ON COLUMN qzpay.charge_history.meter IS 'Code of the meter.';
COMMENT ON COLUMN qzpay.charge_history.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN qzpay.charge_history.version IS 'Counted from 1 for each product, meter and currency.';
COMMENT ON COLUMN qzpay.charge_history.included IS 'Quantity per usage period that costs nothing.';
COMMENT ON COLUMN qzpay.charge_history.model IS 'Pricing model.';
COMMENT ON COLUMN qzpay.charge_history.pricing IS 'Its numbers, as rate_usage() takes them.';
COMMENT ON COLUMN qzpay.charge_history.limit_type IS 'hard refuses beyond included; soft and none bill it.';
COMMENT ON COLUMN qzpay.charge_history.is_sold IS 'Whether whoever subscribes now gets this version.';
COMMENT ON COLUMN qzpay.charge_history.sold_from IS 'When the version was made.';
COMMENT ON COLUMN qzpay.charge_history.sold_until IS 'When it stopped being sold; NULL: it is sold.';
COMMENT ON COLUMN qzpay.charge_history.subscriptions IS 'Live subscriptions with an item of the product that was made while this version was sold.';
COMMENT ON COLUMN qzpay.charge_history.is_private IS 'Whether the product is one tenant''s only.';
COMMENT ON COLUMN qzpay.charge_history.product_id IS 'Id of the product.';
COMMENT ON COLUMN qzpay.charge_history.charge_id IS 'Id of the charge.';
