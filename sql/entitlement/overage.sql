-- More held than a limit allows: after a downgrade what is there stays, new rows are refused, and a countdown runs.

CREATE OR REPLACE FUNCTION qzpay._limit_in_full(p_customer uuid, p_plan uuid, p_feature text) RETURNS numeric
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_limit_in_full';
COMMENT ON FUNCTION qzpay._limit_in_full(uuid, uuid, text) IS
'The limit that a customer would have on another plan (a product''s id), with the add-ons it holds now, or by what it holds (NULL), in either case with full access. 0 where nothing gives it; NULL where nothing is refused.';

CREATE OR REPLACE FUNCTION qzpay._counted(p_tenant uuid, p_customer uuid) RETURNS TABLE (feature text, current numeric, period_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT l.feature_code, max(l.used)::numeric, NULL::timestamptz
    FROM qzpay.limit_counters l JOIN qzpay.features f ON f.code = l.feature_code AND f.limit_kind = 'stock'
    WHERE l.tenant_id = p_tenant AND l.customer_id = p_customer GROUP BY l.feature_code
    UNION ALL
    SELECT f.code, t.used, r.period_end
    FROM qzpay._usage_rules(p_customer) r
    JOIN qzpay.features f ON f.meter_id = r.meter_id
    CROSS JOIN LATERAL (SELECT sum(u.quantity) AS used FROM qzpay.usage_totals u
                        WHERE u.tenant_id = p_tenant AND u.customer_id = p_customer AND u.meter_id = r.meter_id AND u.period_start = r.period_start) t
    WHERE t.used IS NOT NULL;
END $$;
COMMENT ON FUNCTION qzpay._counted(uuid, uuid) IS
'What is counted against a customer''s limits now: rows by enforce_limit() (of several tables or groups, each of which has the limit for itself, the greatest count), and usage of the running period, which ends at period_end.';

CREATE OR REPLACE FUNCTION qzpay.check_overage(customer uuid, plan text, counts jsonb DEFAULT NULL)
RETURNS TABLE (feature text, current numeric, limit_value numeric, excess numeric, within boolean)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.check_overage(uuid, text, jsonb) IS
'What a change to a plan would put over its limits, the add-ons held now included: one row per limit that is counted. counts gives counts of the application''s own, {"limit": number}, which stand before those of enforce_limit() and of meters. '
'limit_value is NULL where nothing is refused (unlimited, or billed beyond what is included). Errors: QZ404 unknown customer, QZ401 unknown plan or limit, 22023 a count that is no number from 0.';

CREATE OR REPLACE FUNCTION qzpay._check_overage(p_customer uuid, p_plan text, p_counts jsonb)
RETURNS TABLE (feature text, current numeric, limit_value numeric, excess numeric, within boolean)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_tenant uuid := qzpay.current_tenant();
    v_plan uuid;
    v_count record;
BEGIN
    SELECT p.id INTO v_plan FROM qzpay.products p WHERE p.code = p_plan AND p.kind = 'plan' AND (p.tenant_id IS NULL OR p.tenant_id = v_tenant) ORDER BY p.tenant_id NULLS LAST LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown plan "%"', p_plan USING ERRCODE = 'QZ401', HINT = 'Plans are listed in the view qzpay.plans.';
    ELSIF jsonb_typeof(p_counts) <> 'object' THEN
        RAISE EXCEPTION 'counts must be a JSON object' USING ERRCODE = '22023', HINT = 'Such as {"maxBots": 4}.';
    END IF;
    FOR v_count IN SELECT e.key, e.value FROM jsonb_each(p_counts) e LOOP
        IF NOT EXISTS (SELECT FROM qzpay.features f WHERE f.code = v_count.key AND f.kind = 'limit') THEN
            RAISE EXCEPTION 'unknown limit "%"', v_count.key USING ERRCODE = 'QZ401', HINT = 'The features of the catalog are listed in qzpay.features.';
        ELSIF jsonb_typeof(v_count.value) <> 'number' OR (v_count.value #>> '{}')::numeric < 0 THEN
            RAISE EXCEPTION 'count of "%" must be a number from 0', v_count.key USING ERRCODE = '22023';
        END IF;
    END LOOP;
    RETURN QUERY
    SELECT k.feature, k.current, l.value, greatest(k.current - l.value, 0), k.current <= l.value IS NOT FALSE
    FROM (SELECT coalesce(e.key, c.feature) AS feature, coalesce((e.value #>> '{}')::numeric, c.current) AS current
          FROM qzpay._counted(v_tenant, p_customer) c FULL JOIN jsonb_each(p_counts) e ON e.key = c.feature) k
    CROSS JOIN LATERAL (SELECT qzpay._limit_in_full(p_customer, v_plan, k.feature) AS value) l
    ORDER BY k.feature COLLATE "C";
END $$;
COMMENT ON FUNCTION qzpay._check_overage(uuid, text, jsonb) IS 'Internal of check_overage(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.overage_state(subscription uuid)
RETURNS TABLE (feature text, current numeric, limit_value numeric, excess numeric, since timestamptz, deadline timestamptz, grace_days_remaining integer, expired boolean)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.overage_state(uuid) IS
'The limits that the customer of a subscription, running or ended, is over since a change: what is counted now, the limit, the excess, since when and until when it has time to come back within (setting overage_grace_days, of 24 hours), '
'and what is left of that in calendar days of its zone (0 on the last day). No rows: nothing is over. What is there stays, new rows are refused; it clears itself as soon as the count or the limit moves enough. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._overage_state(p_subscription uuid)
RETURNS TABLE (feature text, current numeric, limit_value numeric, excess numeric, since timestamptz, deadline timestamptz, grace_days_remaining integer, expired boolean)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_tenant uuid := qzpay.current_tenant();
    v_customer uuid;
    v_now timestamptz;
    v_zone text;
BEGIN
    SELECT s.customer_id, s.timezone INTO STRICT v_customer, v_zone FROM qzpay.subscriptions s WHERE s.tenant_id = v_tenant AND s.id = p_subscription;
    v_now := qzpay.now(v_customer);
    RETURN QUERY
    SELECT o.feature_code, c.current, l.value, c.current - l.value, o.since, o.deadline,
           greatest((o.deadline AT TIME ZONE v_zone)::date - (v_now AT TIME ZONE v_zone)::date, 0), v_now >= o.deadline
    FROM qzpay.overages o
    JOIN qzpay._counted(v_tenant, v_customer) c ON c.feature = o.feature_code
    CROSS JOIN LATERAL (SELECT qzpay._limit_in_full(v_customer, NULL, o.feature_code) AS value) l
    WHERE o.tenant_id = v_tenant AND o.customer_id = v_customer AND c.current > l.value
    ORDER BY o.feature_code COLLATE "C";
END $$;
COMMENT ON FUNCTION qzpay._overage_state(uuid) IS 'Internal of overage_state(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._look_for_overages(p_tenants uuid[], p_customers uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
BEGIN
    FOR v_row IN
        SELECT DISTINCT k.tenant_id, k.customer_id FROM unnest(p_tenants, p_customers) AS k (tenant_id, customer_id)
        WHERE EXISTS (SELECT FROM qzpay.limit_counters l WHERE l.tenant_id = k.tenant_id AND l.customer_id = k.customer_id AND l.used > 0)
           OR EXISTS (SELECT FROM qzpay.usage_totals u JOIN qzpay.features f ON f.meter_id = u.meter_id WHERE u.tenant_id = k.tenant_id AND u.customer_id = k.customer_id)
           OR EXISTS (SELECT FROM qzpay.overages o WHERE o.tenant_id = k.tenant_id AND o.customer_id = k.customer_id)
        ORDER BY 1, 2
    LOOP
        PERFORM qzpay._look_for_overage(v_row.tenant_id, v_row.customer_id);
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._look_for_overages(uuid[], uuid[]) IS 'Called where contracts change: _look_for_overage() for those of these customers against whom anything is counted.';

CREATE OR REPLACE FUNCTION qzpay._look_for_overage(p_tenant uuid, p_customer uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_at timestamptz := qzpay.now(p_customer);
    v_deadline timestamptz := v_at + (qzpay.setting('overage_grace_days') #>> '{}')::integer * interval '24 hours';
    v_sub uuid;
    v_row record;
    v_over text[] := ARRAY[]::text[];
BEGIN
    SELECT s.id INTO v_sub FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer ORDER BY s.ended_at DESC NULLS FIRST, s.started_at DESC, s.id DESC LIMIT 1;
    FOR v_row IN
        SELECT c.feature, c.current, l.value AS limit_value, c.period_end FROM qzpay._counted(p_tenant, p_customer) c
        CROSS JOIN LATERAL (SELECT qzpay._limit_in_full(p_customer, NULL, c.feature) AS value) l
        WHERE c.current > l.value ORDER BY c.feature COLLATE "C"
    LOOP
        v_over := array_append(v_over, v_row.feature);
        INSERT INTO qzpay.overages (tenant_id, customer_id, feature_code, subscription_id, test_clock_id, since, deadline, limit_value, next_look_at)
        SELECT p_tenant, p_customer, v_row.feature, v_sub, c.test_clock_id, v_at, v_deadline, v_row.limit_value, least(v_deadline, v_row.period_end)
        FROM qzpay.customers c WHERE c.tenant_id = p_tenant AND c.id = p_customer
        ON CONFLICT (tenant_id, customer_id, feature_code) DO NOTHING;
        IF FOUND THEN
            PERFORM qzpay._emit_overage('subscription.overage.started', p_tenant, p_customer, v_sub, v_row.feature, v_row.current, v_row.limit_value, v_at, v_deadline, v_at);
        ELSE
            UPDATE qzpay.overages o SET limit_value = v_row.limit_value, next_look_at = least(CASE WHEN o.expired_at IS NULL THEN o.deadline END, CASE WHEN v_row.period_end > v_at THEN v_row.period_end END)
            WHERE o.tenant_id = p_tenant AND o.customer_id = p_customer AND o.feature_code = v_row.feature;
        END IF;
    END LOOP;
    FOR v_row IN
        DELETE FROM qzpay.overages o WHERE o.tenant_id = p_tenant AND o.customer_id = p_customer AND NOT o.feature_code = ANY (v_over)
        RETURNING o.feature_code, o.subscription_id, o.since, o.deadline
    LOOP
        PERFORM qzpay._emit_overage('subscription.overage.resolved', p_tenant, p_customer, v_row.subscription_id, v_row.feature_code, c.current,
                                    qzpay._limit_in_full(p_customer, NULL, v_row.feature_code), v_row.since, v_row.deadline, v_at)
        FROM (SELECT 1) one LEFT JOIN qzpay._counted(p_tenant, p_customer) c ON c.feature = v_row.feature_code;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._look_for_overage(uuid, uuid) IS
'Compares what is counted against a customer''s limits with what it holds now: a limit that is exceeded begins its countdown, one that no longer is ends it.';

CREATE OR REPLACE FUNCTION qzpay._emit_overage(p_type text, p_tenant uuid, p_customer uuid, p_subscription uuid, p_feature text, p_current numeric, p_limit numeric,
        p_since timestamptz, p_deadline timestamptz, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._emit_event(p_tenant, p_type, CASE WHEN p_subscription IS NULL THEN 'customer' ELSE 'subscription' END, coalesce(p_subscription, p_customer), p_customer,
        jsonb_build_object('subscriptionId', p_subscription, 'limit', p_feature, 'current', p_current, 'limitValue', p_limit, 'excess', greatest(p_current - p_limit, 0),
                           'since', p_since, 'deadline', p_deadline, 'emailSentByPackage', false), NULL, p_at);
END $$;
COMMENT ON FUNCTION qzpay._emit_overage(text, uuid, uuid, uuid, text, numeric, numeric, timestamptz, timestamptz, timestamptz) IS 'The event of an overage that started, was resolved or has expired.';

CREATE OR REPLACE FUNCTION qzpay._look_at_overages(p_clock uuid, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    o qzpay.overages%ROWTYPE;
    v_rows bigint := 0;
BEGIN
    FOR o IN
        SELECT x.* FROM qzpay.overages x
        WHERE x.next_look_at <= p_at AND CASE WHEN p_clock IS NULL THEN x.test_clock_id IS NULL ELSE x.test_clock_id = p_clock END
        ORDER BY x.next_look_at, x.tenant_id, x.customer_id, x.feature_code LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        v_rows := v_rows + 1;
        PERFORM qzpay._look_for_overage(o.tenant_id, o.customer_id);
        -- Gone when it is over no longer.
        UPDATE qzpay.overages x SET expired_at = p_at WHERE x.tenant_id = o.tenant_id AND x.customer_id = o.customer_id AND x.feature_code = o.feature_code
           AND x.expired_at IS NULL AND x.deadline <= p_at;
        IF FOUND THEN
            PERFORM qzpay._emit_overage('subscription.overage.expired', o.tenant_id, o.customer_id, o.subscription_id, o.feature_code, c.current,
                                        qzpay._limit_in_full(o.customer_id, NULL, o.feature_code), o.since, o.deadline, p_at)
            FROM qzpay._counted(o.tenant_id, o.customer_id) c WHERE c.feature = o.feature_code;
            PERFORM qzpay._look_for_overage(o.tenant_id, o.customer_id);
        END IF;
    END LOOP;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._look_at_overages(uuid, timestamptz, integer) IS
'Looks at overages that are due: whether they are resolved (a new usage period, a recount), or their deadline has come, for customers of a test clock or (NULL) in real time. Returns how many were looked at.';

CREATE OR REPLACE FUNCTION qzpay._job_overages(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._look_at_overages(NULL, qzpay.now(), p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_overages(integer) IS 'Job: deadlines of customers over their limits.';
