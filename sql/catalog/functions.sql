CREATE OR REPLACE FUNCTION qzpay._active_price(p_product uuid, p_currency text, p_unit text, p_count integer, OUT price_id uuid, OUT unit_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT p.id, p.unit_amount INTO price_id, unit_amount FROM qzpay.prices p
    WHERE p.product_id = p_product AND p.currency = p_currency AND p.interval_unit = p_unit AND p.interval_count = p_count AND p.active;
END $$;
COMMENT ON FUNCTION qzpay._active_price(uuid, text, text, integer) IS
'The price at which a product is sold now in a currency per interval (unit once: not recurring); NULLs when it is not sold like that.';

CREATE OR REPLACE FUNCTION qzpay._catalog_differences(p_wanted qzpay._catalog_object[]) RETURNS SETOF qzpay._catalog_change
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS (SELECT w.* FROM unnest(p_wanted) w),
    state AS MATERIALIZED (SELECT s.* FROM qzpay._catalog_state() s),
    pair AS (
        SELECT coalesce(w.kind, s.kind) AS kind, coalesce(s.code, w.code) AS code, s.body AS before, w.body AS after,
               CASE WHEN w.kind IS NULL THEN 'deactivate' WHEN s.kind IS NULL THEN 'create' ELSE 'update' END AS action
        FROM wanted w
        FULL JOIN state s ON s.kind = w.kind AND CASE WHEN s.kind IN ('promo_code', 'automatic_discount') THEN upper(s.code) ELSE s.code END
                                                 = CASE WHEN w.kind IN ('promo_code', 'automatic_discount') THEN upper(w.code) ELSE w.code END
        WHERE CASE WHEN s.kind IS NULL THEN true
                   -- Objects the document does not name stay. A product it names is described in full: a price or charge not said is no longer sold.
                   WHEN w.kind IS NULL THEN s.kind IN ('price', 'charge') AND split_part(s.code, '/', 1) IN (SELECT p.code FROM wanted p WHERE p.kind IN ('plan', 'addon', 'service'))
                   WHEN w.implied THEN false
                   ELSE s.body <> w.body END
    )
    SELECT row_number() OVER (ORDER BY k.ordinal, p.code COLLATE "C"), p.action, p.kind, p.code,
           CASE WHEN p.action = 'update' THEN d.before ELSE p.before END, CASE WHEN p.action = 'update' THEN d.after ELSE p.after END, p.after
    FROM pair p
    JOIN unnest('{meter,feature,limit,plan,addon,service,price,charge,promo_code,automatic_discount,tax_rate,setting}'::text[]) WITH ORDINALITY AS k (kind, ordinal) ON k.kind = p.kind
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(coalesce(b.key, a.key), b.value) AS before, jsonb_object_agg(coalesce(b.key, a.key), a.value) AS after
        FROM jsonb_each(p.before) b FULL JOIN jsonb_each(p.after) a ON a.key = b.key WHERE a.value IS DISTINCT FROM b.value
    ) d
$$;
COMMENT ON FUNCTION qzpay._catalog_differences(qzpay._catalog_object[]) IS
'What has to be made, changed or taken from sale so that the tables say what is wanted, in the order of doing it; none when they do.';

CREATE OR REPLACE FUNCTION qzpay._catalog_apply_features(p_changes qzpay._catalog_change[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_installation uuid := qzpay.installation_id();
BEGIN
    INSERT INTO qzpay.meters AS m (id, code, name, aggregation, value_property, unit_name, dimensions, active, metadata)
    SELECT qzpay.uuid_v5(v_installation, 'meter:' || c.code), c.code, coalesce(c.body ->> 'name', c.code), coalesce(c.body ->> 'aggregation', 'sum'), c.body ->> 'valueProperty', c.body ->> 'unit',
           ARRAY(SELECT jsonb_array_elements_text(c.body -> 'dimensions')), coalesce((c.body ->> 'active')::boolean, true), coalesce(c.body -> 'metadata', '{}')
    FROM unnest(p_changes) c WHERE c.kind = 'meter'
    ON CONFLICT (code) DO UPDATE SET name = EXCLUDED.name, aggregation = EXCLUDED.aggregation, value_property = EXCLUDED.value_property, unit_name = EXCLUDED.unit_name,
        dimensions = EXCLUDED.dimensions, active = EXCLUDED.active, metadata = EXCLUDED.metadata;

    INSERT INTO qzpay.features AS f (code, kind, limit_kind, meter_id, name, description)
    SELECT c.code, CASE c.kind WHEN 'limit' THEN 'limit' ELSE coalesce(c.body ->> 'kind', 'boolean') END,
           CASE c.kind WHEN 'limit' THEN coalesce(c.body ->> 'kind', 'stock') END, m.id, coalesce(c.body ->> 'name', c.code), c.body ->> 'description'
    FROM unnest(p_changes) c LEFT JOIN qzpay.meters m ON m.code = c.body ->> 'meter' WHERE c.kind IN ('feature', 'limit')
    ON CONFLICT (code) DO UPDATE SET limit_kind = EXCLUDED.limit_kind, meter_id = EXCLUDED.meter_id, name = EXCLUDED.name, description = EXCLUDED.description;
END $$;
COMMENT ON FUNCTION qzpay._catalog_apply_features(qzpay._catalog_change[]) IS 'Writes the meters, features and limits among the changes of an import.';

CREATE OR REPLACE FUNCTION qzpay._catalog_apply_products(p_changes qzpay._catalog_change[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_installation uuid := qzpay.installation_id();
    v_at timestamptz := qzpay.now();
BEGIN
    INSERT INTO qzpay.products AS p (id, tenant_id, code, aliases, kind, name, description, unit_label, categories, tier_rank, trial_days, trial_requires_payment_method,
        trial_end_behavior, trial_reuse, trial_reminder_days, expiring_reminder_days, late_renewal_days, proration_unit, invoice_draft_hours, usage_late_hours, prorate,
        usage_interval_unit, usage_interval_count, grace_days, grace_access, limited_features, dunning_policy, min_quantity, max_quantity,
        self_service, visible, active, display, metadata, created_at, updated_at)
    SELECT coalesce(t.id, qzpay.uuid_v5(v_installation, 'product:' || c.code)), (b ->> 'tenant')::uuid, split_part(c.code, ' @', 1), ARRAY(SELECT jsonb_array_elements_text(b -> 'aliases')), c.kind, b ->> 'name', b ->> 'description',
           b ->> 'unit', ARRAY(SELECT jsonb_array_elements_text(b -> 'categories')), (b ->> 'tierRank')::integer,
           coalesce((b #>> '{trial,days}')::integer, 0), coalesce((b #>> '{trial,requiresPaymentMethod}')::boolean, false), coalesce(b #>> '{trial,endBehavior}', 'cancel'), b #>> '{trial,reuse}',
           CASE WHEN b #> '{trial,reminderDays}' IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(b #> '{trial,reminderDays}')::integer) END,
           CASE WHEN b ? 'expiringReminderDays' THEN ARRAY(SELECT jsonb_array_elements_text(b -> 'expiringReminderDays')::integer) END,
           (b ->> 'lateRenewalDays')::integer, b ->> 'prorationUnit', (b ->> 'invoiceDraftHours')::integer, (b ->> 'usageLateHours')::integer, (b ->> 'prorate')::boolean,
           u.unit, u.count, (b ->> 'graceDays')::integer, coalesce(b ->> 'graceAccess', 'full'),
           ARRAY(SELECT jsonb_array_elements_text(b -> 'limitedFeatures')), b ->> 'dunningPolicy',
           coalesce((b ->> 'minQuantity')::integer, 1), (b ->> 'maxQuantity')::integer,
           coalesce((b ->> 'selfService')::boolean, true), coalesce((b ->> 'visible')::boolean, true), coalesce((b ->> 'active')::boolean, true),
           coalesce(b -> 'display', '{}') || jsonb_strip_nulls(jsonb_build_object('features', b -> 'displayFeatures', 'featured', b -> 'isFeatured',
                                                                                  'badge', b -> 'badgeText', 'sortOrder', b -> 'sortOrder')),
           coalesce(b -> 'metadata', '{}'), v_at, v_at
    FROM unnest(p_changes) c
    CROSS JOIN LATERAL (SELECT c.body AS b) x
    CROSS JOIN LATERAL qzpay._interval_parts(coalesce(b ->> 'usageInterval', 'month')) u
    LEFT JOIN qzpay.products t ON qzpay._catalog_ref(t.code, t.tenant_id) = c.code
    WHERE c.kind IN ('plan', 'addon', 'service')
    ON CONFLICT (id) DO UPDATE SET
        aliases = EXCLUDED.aliases, name = EXCLUDED.name, description = EXCLUDED.description, unit_label = EXCLUDED.unit_label, categories = EXCLUDED.categories,
        tier_rank = EXCLUDED.tier_rank, trial_days = EXCLUDED.trial_days, trial_requires_payment_method = EXCLUDED.trial_requires_payment_method,
        trial_end_behavior = EXCLUDED.trial_end_behavior, trial_reuse = EXCLUDED.trial_reuse, trial_reminder_days = EXCLUDED.trial_reminder_days,
        expiring_reminder_days = EXCLUDED.expiring_reminder_days, late_renewal_days = EXCLUDED.late_renewal_days, proration_unit = EXCLUDED.proration_unit,
        invoice_draft_hours = EXCLUDED.invoice_draft_hours, usage_late_hours = EXCLUDED.usage_late_hours, prorate = EXCLUDED.prorate, usage_interval_unit = EXCLUDED.usage_interval_unit, usage_interval_count = EXCLUDED.usage_interval_count,
        grace_days = EXCLUDED.grace_days, grace_access = EXCLUDED.grace_access, limited_features = EXCLUDED.limited_features, dunning_policy = EXCLUDED.dunning_policy,
        min_quantity = EXCLUDED.min_quantity, max_quantity = EXCLUDED.max_quantity, self_service = EXCLUDED.self_service, visible = EXCLUDED.visible,
        active = EXCLUDED.active, display = EXCLUDED.display, metadata = EXCLUDED.metadata, updated_at = EXCLUDED.updated_at;

    DELETE FROM qzpay.product_features x
    USING unnest(p_changes) c JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = c.code
    WHERE c.kind IN ('plan', 'addon', 'service') AND x.product_id = p.id
      AND NOT coalesce(c.body -> 'entitlements' ? x.feature_code, false) AND NOT coalesce(c.body -> 'limits' ? x.feature_code, false);
    INSERT INTO qzpay.product_features AS x (product_id, feature_code, enabled, limit_value, unlimited, text_value)
    SELECT p.id, v.key, CASE WHEN v.type = 'boolean' THEN v.value::boolean END, CASE WHEN v.type = 'number' THEN v.value::numeric END, v.type = 'null',
           CASE WHEN v.type = 'string' THEN v.value END
    FROM unnest(p_changes) c
    JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = c.code
    CROSS JOIN LATERAL (SELECT e.key, e.value #>> '{}' AS value, jsonb_typeof(e.value) AS type
                        FROM (SELECT * FROM jsonb_each(c.body -> 'entitlements') UNION ALL SELECT * FROM jsonb_each(c.body -> 'limits')) e) v
    WHERE c.kind IN ('plan', 'addon', 'service')
    ON CONFLICT (product_id, feature_code) DO UPDATE
        SET enabled = EXCLUDED.enabled, limit_value = EXCLUDED.limit_value, unlimited = EXCLUDED.unlimited, text_value = EXCLUDED.text_value
        WHERE (x.enabled, x.limit_value, x.unlimited, x.text_value) IS DISTINCT FROM (EXCLUDED.enabled, EXCLUDED.limit_value, EXCLUDED.unlimited, EXCLUDED.text_value);

    -- A relation to what is private to a tenant is said there, where the other end is not.
    DELETE FROM qzpay.product_relations x
    USING unnest(p_changes) c JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = c.code, qzpay.products o
    WHERE c.kind IN ('plan', 'addon', 'service')
      AND (x.product_id = p.id AND o.id = x.related_id AND (o.tenant_id IS NULL OR o.tenant_id = p.tenant_id) AND NOT coalesce(c.body -> qzpay._catalog_relation_key(x.relation, false) ? o.code, false)
           OR x.related_id = p.id AND o.id = x.product_id AND p.tenant_id IS NOT NULL AND o.tenant_id IS NULL
              AND NOT coalesce(c.body -> qzpay._catalog_relation_key(x.relation, true) ? o.code, false));
    INSERT INTO qzpay.product_relations (product_id, relation, related_id)
    SELECT CASE WHEN r.inverse THEN o.id ELSE p.id END, r.relation, CASE WHEN r.inverse THEN p.id ELSE o.id END
    FROM unnest(p_changes) c
    JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = c.code
    CROSS JOIN (VALUES ('applicable_plan', false), ('included_in', false), ('requires', false), ('incompatible_with', false), ('applicable_plan', true), ('included_in', true)) AS r (relation, inverse)
    CROSS JOIN LATERAL jsonb_array_elements_text(c.body -> qzpay._catalog_relation_key(r.relation, r.inverse)) AS e (code)
    CROSS JOIN LATERAL (SELECT o.id FROM qzpay.products o WHERE o.code = e.code AND (o.tenant_id IS NULL OR o.tenant_id = p.tenant_id) AND (NOT r.inverse OR o.kind = 'addon' AND o.tenant_id IS NULL)
                        ORDER BY o.tenant_id NULLS LAST LIMIT 1) o
    WHERE c.kind IN ('plan', 'addon', 'service')
    ON CONFLICT (product_id, relation, related_id) DO NOTHING;
END $$;
COMMENT ON FUNCTION qzpay._catalog_apply_products(qzpay._catalog_change[]) IS
'Writes the products among the changes of an import, with what they grant and their relations. Nobody''s entitlements are rewritten: they refer to the product.';

CREATE OR REPLACE FUNCTION qzpay._catalog_relation_key(p_relation text, p_inverse boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_inverse THEN CASE p_relation WHEN 'applicable_plan' THEN 'applicableAddons' WHEN 'included_in' THEN 'includesAddons' END
                ELSE CASE p_relation WHEN 'applicable_plan' THEN 'applicablePlans' WHEN 'included_in' THEN 'includedIn'
                           WHEN 'requires' THEN 'requires' WHEN 'incompatible_with' THEN 'incompatibleWith' END END
$$;
COMMENT ON FUNCTION qzpay._catalog_relation_key(text, boolean) IS 'How the catalog document calls a relation between products; inverse: said by the plan, where that is private to a tenant and the add-on is not.';

CREATE OR REPLACE FUNCTION qzpay._interval_parts(p_name text, OUT unit text, OUT count integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT substring(p_name FROM '[a-z]+$'), coalesce(substring(p_name FROM '^[0-9]+')::integer, 1)
$$;
COMMENT ON FUNCTION qzpay._interval_parts(text) IS 'Unit and count of a canonical interval name: the reverse of _interval_name().';

CREATE OR REPLACE FUNCTION qzpay._catalog_apply_prices(p_changes qzpay._catalog_change[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_installation uuid := qzpay.installation_id();
    -- Real time, as on subscription items: it decides which version somebody subscribed under, whatever a test clock says.
    v_at timestamptz := qzpay._recorded_at();
BEGIN
    UPDATE qzpay.prices x SET active = false
    FROM unnest(p_changes) c
    JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = split_part(c.code, '/', 1)
    CROSS JOIN LATERAL qzpay._interval_parts(split_part(c.code, '/', 3)) i
    WHERE c.kind = 'price' AND x.active AND x.product_id = p.id AND x.currency = split_part(c.code, '/', 2) AND x.interval_unit = i.unit AND x.interval_count = i.count;
    INSERT INTO qzpay.prices (id, product_id, version, currency, interval_unit, interval_count, unit_amount, commitment, metadata, created_at)
    SELECT qzpay.uuid_v5(v_installation, concat_ws(':', 'price', split_part(c.code, '/', 1), k.currency, i.unit, i.count, v.version)), p.id, v.version, k.currency, i.unit, i.count,
           (c.body ->> 'amount')::numeric, (c.body ->> 'commitment')::numeric, coalesce(c.body -> 'metadata', '{}'), v_at
    FROM unnest(p_changes) c
    JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = split_part(c.code, '/', 1)
    CROSS JOIN LATERAL qzpay._interval_parts(split_part(c.code, '/', 3)) i
    CROSS JOIN LATERAL (SELECT split_part(c.code, '/', 2) AS currency) k
    CROSS JOIN LATERAL (SELECT coalesce(max(o.version), 0) + 1 AS version FROM qzpay.prices o
                        WHERE o.product_id = p.id AND o.currency = k.currency AND o.interval_unit = i.unit AND o.interval_count = i.count) v
    WHERE c.kind = 'price' AND c.action <> 'deactivate';

    UPDATE qzpay.charges x SET active = false, retired_at = v_at
    FROM unnest(p_changes) c
    JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = split_part(c.code, '/', 1)
    JOIN qzpay.meters m ON m.code = split_part(c.code, '/', 2)
    WHERE c.kind = 'charge' AND x.active AND x.product_id = p.id AND x.meter_id = m.id AND x.currency = split_part(c.code, '/', 3);
    INSERT INTO qzpay.charges (id, product_id, meter_id, version, currency, display_name, included, model, pricing, limit_type, created_at)
    SELECT qzpay.uuid_v5(v_installation, concat_ws(':', 'charge', split_part(c.code, '/', 1), m.code, k.currency, v.version)), p.id, m.id, v.version, k.currency,
           c.body ->> 'displayName', (c.body ->> 'included')::numeric, c.body ->> 'model', c.body -> 'pricing', c.body ->> 'limitType', v_at
    FROM unnest(p_changes) c
    JOIN qzpay.products p ON qzpay._catalog_ref(p.code, p.tenant_id) = split_part(c.code, '/', 1)
    JOIN qzpay.meters m ON m.code = split_part(c.code, '/', 2)
    CROSS JOIN LATERAL (SELECT split_part(c.code, '/', 3) AS currency) k
    CROSS JOIN LATERAL (SELECT coalesce(max(o.version), 0) + 1 AS version FROM qzpay.charges o
                        WHERE o.product_id = p.id AND o.meter_id = m.id AND o.currency = k.currency) v
    WHERE c.kind = 'charge' AND c.action <> 'deactivate';
END $$;
COMMENT ON FUNCTION qzpay._catalog_apply_prices(qzpay._catalog_change[]) IS
'Writes the prices and charges among the changes of an import: each change is a new version, the old row only stops being sold.';

CREATE OR REPLACE FUNCTION qzpay._catalog_apply_discounts(p_changes qzpay._catalog_change[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.discounts AS d (id, code, trigger, type, value, currency, periods, forever, tiers, name, description, applies_to, stackable, priority, conditions,
                                      valid_from, valid_until, max_uses, max_uses_per_customer, active, metadata, created_at)
    SELECT qzpay.uuid_v5(qzpay.installation_id(), concat_ws(':', 'discount', t.trigger, upper(c.code))), c.code, t.trigger, b ->> 'type', (b ->> 'value')::numeric,
           b #>> '{config,currency}', (b #>> '{config,periods}')::integer, coalesce((b #>> '{config,forever}')::boolean, false), coalesce(b -> 'tiers', '[]'), b ->> 'name', b ->> 'description',
           coalesce(replace(b ->> 'appliesTo', '-', '_'), 'subscription'),
           coalesce((b ->> CASE t.trigger WHEN 'promo_code' THEN 'combinable' ELSE 'stackable' END)::boolean, t.trigger = 'promo_code'), coalesce((b ->> 'priority')::integer, 0),
           coalesce(b -> CASE t.trigger WHEN 'promo_code' THEN 'restrictions' ELSE 'conditions' END, '{}') - '{maxUses,maxUsesPerCustomer,startsAt,expiresAt}'::text[],
           coalesce(b #>> '{restrictions,startsAt}', b ->> 'validFrom')::timestamptz, coalesce(b #>> '{restrictions,expiresAt}', b ->> 'validUntil')::timestamptz,
           coalesce(b #>> '{restrictions,maxUses}', b ->> 'maxRedemptions')::integer,
           coalesce(b #>> '{restrictions,maxUsesPerCustomer}', b ->> 'maxRedemptionsPerCustomer')::integer,
           coalesce((b ->> 'active')::boolean, true), coalesce(b -> 'metadata', '{}'), qzpay.now()
    FROM unnest(p_changes) c
    CROSS JOIN LATERAL (SELECT c.body AS b, CASE c.kind WHEN 'promo_code' THEN 'promo_code' ELSE 'automatic' END AS trigger) t
    WHERE c.kind IN ('promo_code', 'automatic_discount')
    ON CONFLICT (trigger, upper(code)) DO UPDATE SET
        type = EXCLUDED.type, value = EXCLUDED.value, currency = EXCLUDED.currency, periods = EXCLUDED.periods, forever = EXCLUDED.forever, tiers = EXCLUDED.tiers, name = EXCLUDED.name,
        description = EXCLUDED.description, applies_to = EXCLUDED.applies_to, stackable = EXCLUDED.stackable, priority = EXCLUDED.priority,
        conditions = EXCLUDED.conditions, valid_from = EXCLUDED.valid_from, valid_until = EXCLUDED.valid_until, max_uses = EXCLUDED.max_uses,
        max_uses_per_customer = EXCLUDED.max_uses_per_customer, active = EXCLUDED.active, metadata = EXCLUDED.metadata;
END $$;
COMMENT ON FUNCTION qzpay._catalog_apply_discounts(qzpay._catalog_change[]) IS
'Writes the promo codes and automatic discounts among the changes of an import; how often they were used stays.';

CREATE OR REPLACE FUNCTION qzpay.import_catalog(doc jsonb, dry_run boolean DEFAULT false, strict boolean DEFAULT false)
RETURNS TABLE (action text, kind text, code text, before jsonb, after jsonb)
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.import_catalog(jsonb, boolean, boolean) IS
'Brings the catalog to what the document says and returns each change: create, update, deactivate (a price or charge no longer sold) or warning; no rows when nothing differs. '
'dry_run returns the same rows and writes nothing. Objects that the document does not name are left alone; one that it names is described in full. '
'A changed price or charge is a new version: who subscribed keeps the old one. So is a changed tax rate, from validFrom or now on; in the rows its code is followed by a slash and its beginning. A product with a tenant (the tenant''s id, or the external id of its customer) is private to that tenant; '
'in the rows its code is followed by @ and the tenant''s id. strict refuses what would be a warning. '
'Errors: QZ601, with the JSON path of the fault in DETAIL, before anything is written.';

CREATE OR REPLACE FUNCTION qzpay._import_catalog(doc jsonb, dry_run boolean, strict boolean)
RETURNS TABLE (action text, kind text, code text, before jsonb, after jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
-- Invoker: staff may write the products of every tenant, which the owner, bound by row security, may not.  Nested set-returning functions look expensive to the planner; compiling their queries would take 50 times as long as running them.
SET jit = off
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_doc jsonb;
    v_wanted qzpay._catalog_object[];
    v_changes qzpay._catalog_change[];
BEGIN
    PERFORM qzpay._check_schema_version();
    -- One import at a time, and none beside a change of products by hand; readers and subscribers are not held up.
    LOCK TABLE qzpay.products IN SHARE ROW EXCLUSIVE MODE;
    v_doc := qzpay._catalog_verify(doc, strict);
    SELECT array_agg(w) INTO v_wanted FROM qzpay._catalog_wanted(v_doc) w;
    SELECT array_agg(d ORDER BY d.ordinal) INTO v_changes FROM qzpay._catalog_differences(v_wanted) d;
    -- Before the writes: what the tables lack is what a warning is about.
    RETURN QUERY
        SELECT c.action, c.kind, c.code, c.before, c.after FROM unnest(v_changes) c ORDER BY c.ordinal;
    RETURN QUERY
        SELECT 'warning', w.kind, w.code, NULL::jsonb, jsonb_build_object('path', w.path, 'message', w.message)
        FROM qzpay._catalog_warnings(v_doc) w
        WHERE EXISTS (SELECT FROM unnest(v_changes) c WHERE c.kind = w.kind AND c.code = w.code)
        ORDER BY w.path COLLATE "C";
    IF NOT dry_run AND v_changes IS NOT NULL THEN
        PERFORM qzpay._catalog_apply_features(v_changes);
        PERFORM qzpay._catalog_apply_products(v_changes);
        PERFORM qzpay._catalog_apply_prices(v_changes);
        PERFORM qzpay._catalog_apply_discounts(v_changes);
        PERFORM qzpay._catalog_apply_taxes(v_changes);
        UPDATE qzpay.settings s SET value = c.body -> 'value' FROM unnest(v_changes) c WHERE c.kind = 'setting' AND s.name = c.code;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._import_catalog(jsonb, boolean, boolean) IS 'Internal of import_catalog().';
