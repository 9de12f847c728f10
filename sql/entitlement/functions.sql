CREATE OR REPLACE FUNCTION qzpay._entitlement_facts(p_tenants uuid[], p_customers uuid[])
RETURNS TABLE (tenant_id uuid, customer_id uuid, test_clock_id uuid, products uuid[], quantities bigint[], since timestamptz[], until timestamptz[],
               usage_subscription_id uuid, usage_start timestamptz, usage_end timestamptz, usage_anchor timestamptz, timezone text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.tenant_id, c.id, c.test_clock_id, coalesce(i.products, '{}'), coalesce(i.quantities, '{}'), coalesce(i.since, '{}'), coalesce(i.until, '{}'),
           m.id, m.usage_period_start, m.usage_period_end, coalesce(m.anchor, m.trial_end, c.created_at), c.timezone
    FROM (SELECT DISTINCT k.tenant_id, k.customer_id FROM unnest(p_tenants, p_customers) AS k (tenant_id, customer_id)) k
    JOIN qzpay.customers c ON c.tenant_id = k.tenant_id AND c.id = k.customer_id
    CROSS JOIN LATERAL (
        SELECT array_agg(h.product_id ORDER BY h.since, h.product_id) AS products, array_agg(h.quantity::bigint ORDER BY h.since, h.product_id) AS quantities,
               array_agg(h.since ORDER BY h.since, h.product_id) AS since, array_agg(h.until ORDER BY h.since, h.product_id) AS until
        FROM (SELECT i.product_id, i.quantity, greatest(i.valid_from, s.started_at) AS since, least(i.valid_until, s.access_until) AS until
              FROM qzpay.subscriptions s
              JOIN qzpay.subscription_items i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id
              WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.ended_at IS NULL AND s.access_until IS NOT NULL) h
        WHERE h.since < h.until
    ) i
    LEFT JOIN LATERAL (
        SELECT s.id, s.usage_period_start, s.usage_period_end, s.anchor, s.trial_end FROM qzpay.subscriptions s
        WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.ended_at IS NULL AND s.usage_period_end IS NOT NULL
        ORDER BY s.started_at DESC, s.id DESC LIMIT 1
    ) m ON true;
END $$;
COMMENT ON FUNCTION qzpay._entitlement_facts(uuid[], uuid[]) IS
'What the entitlement rows of these customers have to say, computed from subscriptions and items: the one definition of the materialised row. '
'Each product is held from since until (exclusive), never longer than its subscription gives access.';

CREATE OR REPLACE FUNCTION qzpay._refresh_entitlements(p_tenants uuid[], p_customers uuid[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    INSERT INTO qzpay.entitlements AS e (tenant_id, customer_id, test_clock_id, products, quantities, since, until,
                                         usage_subscription_id, usage_start, usage_end, usage_anchor, timezone)
    SELECT f.* FROM qzpay._entitlement_facts(p_tenants, p_customers) f
    ORDER BY f.tenant_id, f.customer_id
    ON CONFLICT (tenant_id, customer_id) DO UPDATE
        SET test_clock_id = EXCLUDED.test_clock_id, products = EXCLUDED.products, quantities = EXCLUDED.quantities, since = EXCLUDED.since, until = EXCLUDED.until,
            usage_subscription_id = EXCLUDED.usage_subscription_id, usage_start = EXCLUDED.usage_start, usage_end = EXCLUDED.usage_end,
            usage_anchor = EXCLUDED.usage_anchor, timezone = EXCLUDED.timezone;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._refresh_entitlements(uuid[], uuid[]) IS 'Writes the entitlement rows of these customers anew; returns how many.';

CREATE OR REPLACE FUNCTION qzpay._subscriptions_changed() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_customers uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.tenant_id), array_agg(n.customer_id) INTO v_tenants, v_customers FROM new_rows n;
    ELSE
        SELECT array_agg(n.tenant_id), array_agg(n.customer_id) INTO v_tenants, v_customers
        FROM new_rows n JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id
        WHERE (n.access_until, n.started_at, n.usage_period_start, n.usage_period_end, n.anchor, n.timezone)
              IS DISTINCT FROM (o.access_until, o.started_at, o.usage_period_start, o.usage_period_end, o.anchor, o.timezone);
    END IF;
    IF v_tenants IS NOT NULL THEN
        PERFORM qzpay._refresh_entitlements(v_tenants, v_customers);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._subscriptions_changed() IS 'Statement trigger on subscriptions: rewrites the entitlement rows of the customers whose access or usage period moved.';

CREATE OR REPLACE FUNCTION qzpay._items_changed() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_customers uuid[];
BEGIN
    SELECT array_agg(s.tenant_id), array_agg(s.customer_id) INTO v_tenants, v_customers
    FROM (SELECT DISTINCT n.tenant_id, n.subscription_id FROM new_rows n) n
    JOIN qzpay.subscriptions s ON s.tenant_id = n.tenant_id AND s.id = n.subscription_id;
    IF v_tenants IS NOT NULL THEN
        PERFORM qzpay._refresh_entitlements(v_tenants, v_customers);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._items_changed() IS 'Statement trigger on subscription_items: rewrites the entitlement rows of the customers concerned.';
