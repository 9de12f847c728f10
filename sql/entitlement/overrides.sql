-- What is decided for one customer, and what a customer has from where.

CREATE OR REPLACE FUNCTION qzpay.set_entitlement(customer uuid, feature text, value jsonb, until timestamptz DEFAULT NULL, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.set_entitlement(uuid, text, jsonb, timestamptz, text) IS
'Decides a feature for one customer, until an instant (exclusive) or for good: true or false, for a limit a number or null (unlimited), for a text a string. It stands before what plans say, as long as '
'anything is in force for the customer (a subscription with access or the default plan); what add-ons add to a limit comes on top. While access is limited it counts for the features that are kept. '
'Returns false if that was decided already. For the application and administrators. Errors: QZ404, QZ401 unknown feature, QZ204 deleted customer or a limit that a charge of the customer bills, 22023 a value or instant that does not fit, 22004.';

CREATE OR REPLACE FUNCTION qzpay._set_entitlement(p_customer uuid, p_feature text, p_value jsonb, p_until timestamptz, p_reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_feature qzpay.features%ROWTYPE;
    v_at timestamptz := qzpay.now(p_customer);
    v_is text := jsonb_typeof(p_value);
BEGIN
    IF p_feature IS NULL OR p_value IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN p_feature IS NULL THEN 'feature' ELSE 'value' END USING ERRCODE = '22004',
            HINT = CASE WHEN p_feature IS NOT NULL THEN 'Unlimited is JSON null; clear_entitlement() takes a decision back.' ELSE 'The features of the catalog are listed in qzpay.features.' END;
    END IF;
    SELECT * INTO v_feature FROM qzpay.features f WHERE f.code = p_feature;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown feature "%"', p_feature USING ERRCODE = 'QZ401', HINT = 'The features of the catalog are listed in qzpay.features.';
    ELSIF NOT coalesce(CASE v_feature.kind WHEN 'boolean' THEN v_is = 'boolean'
                       WHEN 'text' THEN v_is = 'string' AND p_value #>> '{}' ~ '\S'
                       ELSE v_is = 'null' OR v_is = 'number' AND (p_value #>> '{}')::numeric >= 0 AND (p_value #>> '{}')::numeric < 1e15 END, false) THEN
        RAISE EXCEPTION 'feature "%" cannot be %', p_feature, left(qzpay.redact(p_value::text), 60) USING ERRCODE = '22023',
            HINT = CASE v_feature.kind WHEN 'boolean' THEN 'It is true or false.' WHEN 'text' THEN 'It is a text.' ELSE 'It is a number from 0, or null for unlimited.' END;
    ELSIF p_until <= v_at OR NOT isfinite(p_until) THEN
        RAISE EXCEPTION 'a decision until % is none', p_until USING ERRCODE = '22023', DETAIL = format('For the customer it is %s.', v_at), HINT = 'Without until it holds for good.';
    END IF;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    IF v_customer.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" is deleted', v_customer.external_id USING ERRCODE = 'QZ204';
    ELSIF EXISTS (SELECT FROM qzpay.entitlements e JOIN qzpay.charges x ON x.product_id = ANY (e.products) AND x.meter_id = v_feature.meter_id AND x.currency = e.currency
                  WHERE e.tenant_id = v_customer.tenant_id AND e.customer_id = v_customer.id) THEN
        RAISE EXCEPTION 'limit "%" is decided by what its meter is charged', p_feature USING ERRCODE = 'QZ204',
            DETAIL = 'A product that the customer holds bills the meter beyond an included quantity.', HINT = 'Agree on another included quantity for the subscription instead.';
    END IF;
    INSERT INTO qzpay.entitlement_overrides AS o (tenant_id, customer_id, feature_code, value, until, reason, set_by, set_at)
    VALUES (v_customer.tenant_id, v_customer.id, p_feature, p_value, p_until, p_reason, session_user, v_at)
    ON CONFLICT (tenant_id, customer_id, feature_code) DO UPDATE
        SET value = EXCLUDED.value, until = EXCLUDED.until, reason = EXCLUDED.reason, set_by = EXCLUDED.set_by, set_at = EXCLUDED.set_at
        WHERE (o.value, o.until, o.reason) IS DISTINCT FROM (EXCLUDED.value, EXCLUDED.until, EXCLUDED.reason);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM qzpay._refresh_entitlements(ARRAY[v_customer.tenant_id], ARRAY[v_customer.id]);
    PERFORM qzpay._look_for_overages(ARRAY[v_customer.tenant_id], ARRAY[v_customer.id]);
    PERFORM qzpay._emit_event(v_customer.tenant_id, 'customer.entitlement.set', 'customer', v_customer.id, v_customer.id,
        jsonb_build_object('customerId', v_customer.id, 'feature', p_feature, 'value', p_value, 'until', p_until, 'reason', p_reason), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._set_entitlement(uuid, text, jsonb, timestamptz, text) IS 'Internal of set_entitlement(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.clear_entitlement(customer uuid, feature text, reason text DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.clear_entitlement(uuid, text, text) IS
'Takes back what set_entitlement() decided, so that plans and add-ons speak again; false if nothing was. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._clear_entitlement(p_customer uuid, p_feature text, p_reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid;
    v_at timestamptz := qzpay.now(p_customer);
BEGIN
    SELECT c.tenant_id INTO STRICT v_tenant FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    DELETE FROM qzpay.entitlement_overrides o WHERE o.tenant_id = v_tenant AND o.customer_id = p_customer AND o.feature_code = p_feature;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM qzpay._refresh_entitlements(ARRAY[v_tenant], ARRAY[p_customer]);
    PERFORM qzpay._look_for_overages(ARRAY[v_tenant], ARRAY[p_customer]);
    PERFORM qzpay._emit_event(v_tenant, 'customer.entitlement.cleared', 'customer', p_customer, p_customer,
        jsonb_build_object('customerId', p_customer, 'feature', p_feature, 'reason', p_reason), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._clear_entitlement(uuid, text, text) IS 'Internal of clear_entitlement(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.feature_value(customer uuid, feature text) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_feature_value';
COMMENT ON FUNCTION qzpay.feature_value(uuid, text) IS
'What the customer has of a feature now: true or false, for a limit its number or JSON null (unlimited), for a text the text. NULL where nothing gives the limit or text. '
'Of several texts that of the add-on held last stands, then that of the plan held last. Errors: QZ401 unknown feature, QZ404 unknown customer.';

CREATE OR REPLACE FUNCTION qzpay.feature_value(customer text, feature text) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_feature_value_ref';
COMMENT ON FUNCTION qzpay.feature_value(text, text) IS 'feature_value() by external id.';

CREATE OR REPLACE FUNCTION qzpay.list_entitlements(customer uuid)
RETURNS TABLE (feature text, kind text, effective jsonb, source text, product text, value jsonb, quantity integer, since timestamptz, until timestamptz, limited boolean)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.list_entitlements(uuid) IS
'Where a customer''s features come from now: one row per feature and source, which is plan, addon, comp (a plan or add-on whose subscription is free by decision), default_plan or override, with what that source says '
'(for an add-on: what each of quantity adds) and effective, what the customer has (as feature_value()). Features that nothing names are left out. limited: the source gives only what it keeps. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._list_entitlements(p_customer uuid)
RETURNS TABLE (feature text, kind text, effective jsonb, source text, product text, value jsonb, quantity integer, since timestamptz, until timestamptz, limited boolean)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := qzpay.now(p_customer);
BEGIN
    RETURN QUERY
    WITH held AS MATERIALIZED (
        SELECT i.product_id, i.quantity, h.since, h.until, CASE WHEN s.comp_until > v_now THEN 'comp' ELSE i.kind END AS source,
               v_now >= qzpay._full_access_until(s.status::text, s.grace_access, s.pause_access, s.pause_at, s.restricted_at, s.comp_until, s.access_until) AS limited
        FROM qzpay.subscriptions s
        JOIN qzpay.subscription_items i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id
        CROSS JOIN LATERAL (SELECT greatest(i.valid_from, s.started_at) AS since, least(i.valid_until, s.access_until) AS until) h
        WHERE s.customer_id = p_customer AND s.ended_at IS NULL AND s.access_until IS NOT NULL AND h.since <= v_now AND v_now < h.until
    ), in_force AS (
        SELECT h.* FROM held h
        UNION ALL
        SELECT p.id, 1, NULL, NULL, 'default_plan', false FROM qzpay.products p
        WHERE p.tenant_id IS NULL AND p.code = (SELECT qzpay.setting('default_plan') #>> '{}') AND NOT EXISTS (SELECT FROM held)
    ), contained AS (
        SELECT f.* FROM in_force f
        UNION ALL
        SELECT r.product_id, 1, f.since, f.until, CASE f.source WHEN 'plan' THEN 'addon' ELSE f.source END, f.limited
        FROM in_force f JOIN qzpay.product_relations r ON r.related_id = f.product_id AND r.relation = 'included_in'
    ), said AS (
        SELECT x.feature_code, f.source, p.code AS product, coalesce(to_jsonb(x.enabled), to_jsonb(x.text_value), to_jsonb(x.limit_value), 'null') AS value,
               f.quantity, f.since, f.until, f.limited
        FROM contained f JOIN qzpay.products p ON p.id = f.product_id JOIN qzpay.product_features x ON x.product_id = f.product_id
        UNION ALL
        SELECT o.feature_code, 'override', NULL, o.value, NULL, o.set_at, o.until, false
        FROM qzpay.entitlement_overrides o WHERE o.customer_id = p_customer AND (o.until IS NULL OR v_now < o.until)
    )
    SELECT s.feature_code, f.kind, qzpay.feature_value(p_customer, s.feature_code), s.source, s.product, s.value, s.quantity, s.since, s.until, s.limited
    FROM said s JOIN qzpay.features f ON f.code = s.feature_code
    ORDER BY s.feature_code COLLATE "C", s.source = 'override', s.since NULLS FIRST, s.product COLLATE "C";
END $$;
COMMENT ON FUNCTION qzpay._list_entitlements(uuid) IS 'Internal of list_entitlements(), inside the tenant''s context.';
