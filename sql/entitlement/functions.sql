CREATE OR REPLACE FUNCTION qzpay._full_access_until(status text, grace_access text, pause_access text, pause_at timestamptz, restricted_at timestamptz, comp_until timestamptz, access_until timestamptz) RETURNS timestamptz
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_full_access_until';
COMMENT ON FUNCTION qzpay._full_access_until(text, text, text, timestamptz, timestamptz, timestamptz, timestamptz) IS
'First instant from which a subscription''s access, which ends at access_until, is limited (-infinity: from the beginning); access_until itself where it never is. Free access is full.';

CREATE OR REPLACE FUNCTION qzpay._included_share(p_product uuid, p_currency text, p_created_at timestamptz, p_included jsonb, p_share numeric) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_object_agg(m.code, floor(coalesce((p_included ->> m.code)::numeric, c.included) * p_share))
            FROM qzpay.charges c JOIN qzpay.meters m ON m.id = c.meter_id
            WHERE c.product_id = p_product AND c.currency = p_currency AND c.created_at <= p_created_at AND (c.retired_at IS NULL OR c.retired_at > p_created_at));
END $$;
COMMENT ON FUNCTION qzpay._included_share(uuid, text, timestamptz, jsonb, numeric) IS
'Included quantities of a product in a usage period that is only a part of one: each by time share, rounded down.';

CREATE OR REPLACE FUNCTION qzpay._entitlement_facts(p_tenants uuid[], p_customers uuid[])
RETURNS TABLE (tenant_id uuid, customer_id uuid, test_clock_id uuid, products uuid[], quantities bigint[], since timestamptz[], until timestamptz[],
               full_until timestamptz[], overrides jsonb, added timestamptz[], negotiated jsonb, usage_subscription_id uuid, usage_start timestamptz, usage_end timestamptz, usage_anchor timestamptz,
               usage_unit text, usage_count integer, currency text, timezone text, usage_trial_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.tenant_id, c.id, c.test_clock_id, coalesce(i.products, '{}'), coalesce(i.quantities, '{}'), coalesce(i.since, '{}'), coalesce(i.until, '{}'),
           CASE WHEN i.is_limited THEN i.full_until END, o.overrides, coalesce(i.added, '{}'), i.negotiated, m.id, m.usage_period_start, m.usage_period_end, coalesce(m.anchor, m.trial_end, c.created_at),
           coalesce(m.usage_unit, d.usage_interval_unit, 'month'), coalesce(m.usage_count, d.usage_interval_count, 1),
           coalesce(m.currency, c.currency), coalesce(m.timezone, c.timezone), CASE WHEN m.anchor IS NULL THEN m.trial_end END
    -- Neighbours one after the other: of very many, each page of an index is read once.
    FROM (SELECT DISTINCT k.tenant_id, k.customer_id FROM unnest(p_tenants, p_customers) AS k (tenant_id, customer_id) ORDER BY k.tenant_id, k.customer_id OFFSET 0) k
    CROSS JOIN LATERAL (SELECT c.* FROM qzpay.customers c WHERE c.tenant_id = k.tenant_id AND c.id = k.customer_id OFFSET 0) c
    CROSS JOIN LATERAL (
        -- Of rows sorted once; sorting them for each array was most of the cost of a customer.
        SELECT array_agg(h.product_id) AS products, array_agg(h.quantity::bigint) AS quantities, array_agg(h.since) AS since, array_agg(h.until) AS until,
               array_agg(h.full_until) AS full_until, bool_or(h.full_until < h.until) AS is_limited, array_agg(h.created_at) AS added,
               jsonb_object_agg(h.product_id, h.included) FILTER (WHERE h.included IS NOT NULL) AS negotiated
        FROM (SELECT * FROM (SELECT i.id, i.product_id, i.quantity, i.created_at, greatest(i.valid_from, s.started_at) AS since, least(i.valid_until, s.access_until) AS until,
                     CASE WHEN s.usage_share IS NULL THEN i.included ELSE qzpay._included_share(i.product_id, s.currency, i.created_at, i.included, s.usage_share) END AS included,
                     least(i.valid_until, qzpay._full_access_until(s.status::text, s.grace_access, s.pause_access, s.pause_at, s.restricted_at, s.comp_until, s.access_until)) AS full_until
              FROM (SELECT s.* FROM qzpay.subscriptions s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.ended_at IS NULL AND s.access_until IS NOT NULL OFFSET 0) s
              CROSS JOIN LATERAL (SELECT i.* FROM qzpay.subscription_items i WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id OFFSET 0) i) x
            WHERE x.since < x.until ORDER BY x.since, x.product_id, x.id) h
    ) i
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(x.feature_code, jsonb_build_object('value', x.value)
                   || CASE WHEN x.until IS NULL THEN '{}' ELSE jsonb_build_object('until', ((extract(epoch FROM x.until) - 946684800) * 1000000)::bigint) END) AS overrides
        FROM qzpay.entitlement_overrides x WHERE x.tenant_id = c.tenant_id AND x.customer_id = c.id
    ) o
    LEFT JOIN LATERAL (
        SELECT s.* FROM (
            SELECT s.id, s.usage_period_start, s.usage_period_end, s.anchor, s.trial_end, s.usage_unit, s.usage_count, s.currency, s.timezone, s.started_at, count(*) OVER () AS contracts FROM qzpay.subscriptions s
            WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.ended_at IS NULL AND s.usage_period_end IS NOT NULL) s
        -- Usage goes where somebody bills it: before the newest contract comes the newest that charges for any.
        ORDER BY CASE WHEN s.contracts > 1 THEN EXISTS (
                     SELECT FROM qzpay.subscription_items i JOIN qzpay.charges h ON h.product_id = i.product_id AND h.currency = s.currency
                     WHERE i.tenant_id = c.tenant_id AND i.subscription_id = s.id AND i.valid_from < s.usage_period_end AND i.valid_until >= s.usage_period_end) ELSE false END DESC,
                 s.started_at DESC, s.id DESC LIMIT 1
    ) m ON true
    LEFT JOIN qzpay.products d ON d.tenant_id IS NULL AND d.code = (SELECT qzpay.setting('default_plan') #>> '{}');
END $$;
COMMENT ON FUNCTION qzpay._entitlement_facts(uuid[], uuid[]) IS
'What the entitlement rows of these customers have to say, computed from subscriptions and items: the one definition of the materialised row. '
'Each product is held from since until (exclusive), never longer than its subscription gives access; from full_until on (NULL: all in full) only what it keeps while limited. '
'overrides: feature → value, and until in microseconds since 2000.';

CREATE OR REPLACE FUNCTION qzpay._refresh_entitlements(p_tenants uuid[], p_customers uuid[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_rows bigint;
BEGIN
    -- Whoever changes another thing of the same customer meanwhile is waited for before the facts are read, lest one overwrites what the other wrote.
    PERFORM FROM qzpay.entitlements e JOIN unnest(p_tenants, p_customers) AS k (tenant_id, customer_id) ON e.tenant_id = k.tenant_id AND e.customer_id = k.customer_id
    ORDER BY e.tenant_id, e.customer_id FOR NO KEY UPDATE OF e;
    INSERT INTO qzpay.entitlements AS e (tenant_id, customer_id, test_clock_id, products, quantities, since, until, full_until, overrides, added, negotiated,
                                         usage_subscription_id, usage_start, usage_end, usage_anchor, usage_unit, usage_count, currency, timezone, usage_trial_end)
    SELECT f.* FROM qzpay._entitlement_facts(p_tenants, p_customers) f
    ORDER BY f.tenant_id, f.customer_id
    ON CONFLICT (tenant_id, customer_id) DO UPDATE
        SET test_clock_id = EXCLUDED.test_clock_id, products = EXCLUDED.products, quantities = EXCLUDED.quantities, since = EXCLUDED.since, until = EXCLUDED.until,
            full_until = EXCLUDED.full_until, overrides = EXCLUDED.overrides, added = EXCLUDED.added, negotiated = EXCLUDED.negotiated, usage_subscription_id = EXCLUDED.usage_subscription_id, usage_start = EXCLUDED.usage_start, usage_end = EXCLUDED.usage_end,
            usage_anchor = EXCLUDED.usage_anchor, usage_unit = EXCLUDED.usage_unit, usage_count = EXCLUDED.usage_count, currency = EXCLUDED.currency, timezone = EXCLUDED.timezone,
            usage_trial_end = EXCLUDED.usage_trial_end;
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
    v_look_tenants uuid[];
    v_look_customers uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.tenant_id), array_agg(n.customer_id) INTO v_tenants, v_customers FROM new_rows n;
    ELSE
        -- A renewal changes nobody's limits; a status does, access that is gone, and a scheduled change whose instant has come.
        SELECT array_agg(n.tenant_id), array_agg(n.customer_id),
               array_agg(n.tenant_id) FILTER (WHERE n.status <> o.status OR n.access_until IS NULL OR n.change_at IS DISTINCT FROM o.change_at),
               array_agg(n.customer_id) FILTER (WHERE n.status <> o.status OR n.access_until IS NULL OR n.change_at IS DISTINCT FROM o.change_at)
          INTO v_tenants, v_customers, v_look_tenants, v_look_customers
        FROM new_rows n JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id
        WHERE (n.status, n.restricted_at, n.comp_until, n.grace_access, n.pause_access, n.pause_at, n.access_until, n.started_at, n.ended_at, n.usage_period_start, n.usage_period_end,
               n.anchor, n.usage_share, n.trial_end, n.usage_unit, n.usage_count, n.timezone, n.change_at)
              IS DISTINCT FROM (o.status, o.restricted_at, o.comp_until, o.grace_access, o.pause_access, o.pause_at, o.access_until, o.started_at, o.ended_at, o.usage_period_start, o.usage_period_end,
               o.anchor, o.usage_share, o.trial_end, o.usage_unit, o.usage_count, o.timezone, o.change_at);
    END IF;
    IF v_tenants IS NOT NULL THEN
        PERFORM qzpay._refresh_entitlements(v_tenants, v_customers);
    END IF;
    IF v_look_tenants IS NOT NULL THEN
        PERFORM qzpay._look_for_overages(v_look_tenants, v_look_customers);
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
        PERFORM qzpay._look_for_overages(v_tenants, v_customers);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._items_changed() IS 'Statement trigger on subscription_items: rewrites the entitlement rows of the customers concerned.';

CREATE OR REPLACE FUNCTION qzpay._customers_changed() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_customers uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.tenant_id), array_agg(n.id) INTO v_tenants, v_customers FROM new_rows n;
    ELSE
        SELECT array_agg(n.tenant_id), array_agg(n.id) INTO v_tenants, v_customers
        FROM new_rows n JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id
        WHERE (n.test_clock_id, n.currency, n.timezone) IS DISTINCT FROM (o.test_clock_id, o.currency, o.timezone);
    END IF;
    IF v_tenants IS NOT NULL THEN
        PERFORM qzpay._refresh_entitlements(v_tenants, v_customers);
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._customers_changed() IS 'Statement trigger on customers: writes the entitlement rows of new ones, and of those whose clock, currency or zone changed.';

-- For the application. Each takes the customer's id, or the external id (or the id as text).

CREATE OR REPLACE FUNCTION qzpay.has_entitlement(customer uuid, feature text) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_has_entitlement';
COMMENT ON FUNCTION qzpay.has_entitlement(uuid, text) IS
'Whether what the customer holds at its now grants the feature: plan, add-ons and what the plan contains, or without a subscription the default plan; what set_entitlement() decided stands before them. '
'A limit is granted when it is above 0. While access is limited (grace, pause, restriction) only the limited_features of the products count. '
'Access ends at its instant, whether or not a job has run. May be used in row security of the application''s tables. NULL, that is no, for a NULL argument. Errors: QZ401 unknown feature, QZ404 unknown customer.';

CREATE OR REPLACE FUNCTION qzpay.has_entitlement(customer text, feature text) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_has_entitlement_ref';
COMMENT ON FUNCTION qzpay.has_entitlement(text, text) IS 'has_entitlement() by external id.';

CREATE OR REPLACE FUNCTION qzpay.check_limit(customer uuid, feature text, current_count numeric, increment numeric DEFAULT 1) RETURNS qzpay.limit_check
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_check_limit';
COMMENT ON FUNCTION qzpay.check_limit(uuid, text, numeric, numeric) IS
'Whether the customer may go from current_count to current_count + increment: the greatest plan value plus what add-ons add. '
'A limit that a meter counts is decided by the charge of that meter where there is one: soft allows with reason overage, none allows; in a trial both refuse. '
'Of a limit of kind value current_count is the value, which must not be above it, and increment counts for nothing. '
'To make a limit impossible to exceed, put enforce_limit() on the table. All NULL, that is no, for a NULL argument. Errors: QZ401 unknown limit, QZ404 unknown customer, 22023 negative count.';

CREATE OR REPLACE FUNCTION qzpay.check_limit(customer text, feature text, current_count numeric, increment numeric DEFAULT 1) RETURNS qzpay.limit_check
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_check_limit_ref';
COMMENT ON FUNCTION qzpay.check_limit(text, text, numeric, numeric) IS 'check_limit() by external id.';

CREATE OR REPLACE FUNCTION qzpay.check_limit(customer uuid, feature text, current_count numeric, increment numeric, scope text) RETURNS qzpay.limit_check
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_check_limit_in';
COMMENT ON FUNCTION qzpay.check_limit(uuid, text, numeric, numeric, text) IS
'check_limit() for one group of rows, such as the photos of one property, each of which has the limit for itself: scope is a value of the group column of enforce_limit(), NULL where there is none. '
'current_count NULL: what enforce_limit() has counted there so far. NULL for any other NULL argument.';

CREATE OR REPLACE FUNCTION qzpay.check_limit(customer text, feature text, current_count numeric, increment numeric, scope text) RETURNS qzpay.limit_check
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_check_limit_in_ref';
COMMENT ON FUNCTION qzpay.check_limit(text, text, numeric, numeric, text) IS 'check_limit() of a group by external id.';

CREATE OR REPLACE FUNCTION qzpay.feature_limit(customer uuid, feature text) RETURNS numeric
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_feature_limit';
COMMENT ON FUNCTION qzpay.feature_limit(uuid, text) IS
'The value of a limit for this customer now; NULL: unlimited; 0 where nothing held gives it. Errors: QZ401 unknown limit, QZ404 unknown customer.';

CREATE OR REPLACE FUNCTION qzpay.feature_limit(customer text, feature text) RETURNS numeric
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_feature_limit_ref';
COMMENT ON FUNCTION qzpay.feature_limit(text, text) IS 'feature_limit() by external id.';

CREATE OR REPLACE FUNCTION qzpay.has_access(customer uuid) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_has_access';
COMMENT ON FUNCTION qzpay.has_access(uuid) IS
'Whether any subscription of the customer gives access now: active, in a trial, in grace, renewal in progress, or free by decision. The default plan gives features but is no access. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay.has_access(customer text) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_has_access_ref';
COMMENT ON FUNCTION qzpay.has_access(text) IS 'has_access() by external id.';

CREATE OR REPLACE FUNCTION qzpay.require_active_subscription(customer uuid) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_active_subscription';
COMMENT ON FUNCTION qzpay.require_active_subscription(uuid) IS 'Raises QZ403 unless has_access().';

CREATE OR REPLACE FUNCTION qzpay.require_active_subscription(customer text) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_active_subscription_ref';
COMMENT ON FUNCTION qzpay.require_active_subscription(text) IS 'require_active_subscription() by external id.';

CREATE OR REPLACE FUNCTION qzpay.require_entitlement(customer uuid, feature text) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_entitlement';
COMMENT ON FUNCTION qzpay.require_entitlement(uuid, text) IS 'Raises QZ403 unless has_entitlement().';

CREATE OR REPLACE FUNCTION qzpay.require_entitlement(customer text, feature text) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_entitlement_ref';
COMMENT ON FUNCTION qzpay.require_entitlement(text, text) IS 'require_entitlement() by external id.';

CREATE OR REPLACE FUNCTION qzpay.require_limit(customer uuid, feature text, current_count numeric, increment numeric DEFAULT 1) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_limit';
COMMENT ON FUNCTION qzpay.require_limit(uuid, text, numeric, numeric) IS
'Raises QZ402 unless check_limit() allows; DETAIL is JSON with limit, current and limit_value.';

CREATE OR REPLACE FUNCTION qzpay.require_limit(customer text, feature text, current_count numeric, increment numeric DEFAULT 1) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_limit_ref';
COMMENT ON FUNCTION qzpay.require_limit(text, text, numeric, numeric) IS 'require_limit() by external id.';

CREATE OR REPLACE FUNCTION qzpay.require_limit(customer uuid, feature text, current_count numeric, increment numeric, scope text) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_limit';
COMMENT ON FUNCTION qzpay.require_limit(uuid, text, numeric, numeric, text) IS 'require_limit() for one group of rows; current_count NULL: what enforce_limit() has counted there.';

CREATE OR REPLACE FUNCTION qzpay.require_limit(customer text, feature text, current_count numeric, increment numeric, scope text) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_require_limit_ref';
COMMENT ON FUNCTION qzpay.require_limit(text, text, numeric, numeric, text) IS 'require_limit() of a group by external id.';
