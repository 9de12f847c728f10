-- The subscriber's side.

CREATE OR REPLACE FUNCTION qzpay._subscription_row(p_tenant uuid, p_subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT ROW(s.id, s.customer_id, s.status, s.status_reason, p.code, i.quantity,
               CASE WHEN s.current_period_start IS NOT NULL THEN tstzrange(s.current_period_start, s.current_period_end) END,
               s.trial_end, s.cancel_at, coalesce(qzpay.now(s.customer_id) < s.access_until, false), s.access_until)::qzpay.subscription_state
        FROM qzpay.subscriptions s
        LEFT JOIN LATERAL (SELECT i.product_id, i.quantity FROM qzpay.subscription_items i
                           WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan' ORDER BY i.valid_from DESC LIMIT 1) i ON true
        LEFT JOIN qzpay.products p ON p.id = i.product_id
        WHERE s.tenant_id = p_tenant AND s.id = p_subscription
    );
END $$;
COMMENT ON FUNCTION qzpay._subscription_row(uuid, uuid) IS 'A subscription as the public functions return it.';

CREATE OR REPLACE FUNCTION qzpay.subscribe(customer uuid, plan text, billing_interval text DEFAULT 'month', currency text DEFAULT NULL, quantity integer DEFAULT 1,
        trial_days integer DEFAULT NULL, auto_renew boolean DEFAULT true, allow_multiple boolean DEFAULT false, metadata jsonb DEFAULT '{}',
        idempotency_key text DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.subscribe(uuid, text, text, text, integer, integer, boolean, boolean, jsonb, text) IS
'Subscribes a customer to a plan. With a trial (the plan''s, or trial_days; one per customer for ever) it is trialing at once, unless the plan''s trial needs a payment method that is not there; '
'without one the first invoice is made now and the subscription is incomplete until it is paid, 23 hours at most. A plan at 0 is active at once. '
'currency defaults to the customer''s; billing_interval is a name (month, year, quarter …) or a count and a unit. '
'Errors: QZ401 unknown plan or no price for the interval and currency, QZ204 a live subscription exists, 22004 or 22023 bad argument.';

CREATE OR REPLACE FUNCTION qzpay._subscribe(p_customer uuid, p_plan text, p_interval text, p_currency text, p_quantity integer, p_trial_days integer,
        p_auto_renew boolean, p_allow_multiple boolean, p_metadata jsonb, p_key text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_product qzpay.products%ROWTYPE;
    v_price record;
    v_interval record;
    v_currency text;
    v_at timestamptz := qzpay.now(p_customer);
    v_has_method boolean;
    v_trial integer;
    v_id uuid := qzpay.uuid_v7();
    v_first jsonb;
    v_status qzpay.subscription_status;
BEGIN
    IF p_plan IS NULL OR p_interval IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN p_plan IS NULL THEN 'plan' ELSE 'billing_interval' END USING ERRCODE = '22004';
    END IF;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(v_customer.tenant_id, 'subscribe', p_key,
        jsonb_build_array(p_customer, p_plan, p_interval, p_currency, p_quantity, p_trial_days, p_auto_renew, p_allow_multiple, p_metadata));
    IF v_first IS NOT NULL THEN
        RETURN qzpay._subscription_row(v_customer.tenant_id, (v_first ->> 'id')::uuid);
    END IF;
    IF v_customer.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" is deleted', v_customer.external_id USING ERRCODE = 'QZ204';
    END IF;
    PERFORM qzpay._check_metadata(p_metadata);
    SELECT * INTO v_product FROM qzpay.products p
    WHERE p.code = p_plan AND p.kind = 'plan' AND p.active AND (p.tenant_id IS NULL OR p.tenant_id = v_customer.tenant_id) ORDER BY p.tenant_id NULLS LAST LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown plan "%"', p_plan USING ERRCODE = 'QZ401', HINT = 'Plans are listed in the view qzpay.plans.';
    END IF;
    IF coalesce(p_quantity, 0) < greatest(v_product.min_quantity, 1) OR p_quantity > v_product.max_quantity THEN
        RAISE EXCEPTION 'quantity % is outside what plan "%" allows', coalesce(p_quantity::text, 'NULL'), p_plan USING ERRCODE = '22023',
            DETAIL = format('From %s to %s.', greatest(v_product.min_quantity, 1), coalesce(v_product.max_quantity::text, 'any'));
    END IF;
    IF p_trial_days NOT BETWEEN 0 AND 3650 THEN
        RAISE EXCEPTION 'trial of % days is not possible', p_trial_days USING ERRCODE = '22023', HINT = 'From 0 (no trial) to 3650.';
    END IF;
    SELECT * INTO v_interval FROM qzpay.interval_parse(p_interval);
    v_currency := coalesce(p_currency, v_customer.currency);
    SELECT * INTO v_price FROM qzpay._active_price(v_product.id, v_currency, v_interval.unit, v_interval.count);
    IF v_price.price_id IS NULL THEN
        RAISE EXCEPTION 'plan "%" has no price per % in %', p_plan, p_interval, v_currency USING ERRCODE = 'QZ401',
            HINT = (SELECT 'It has prices per ' || string_agg(format('%s in %s', qzpay._interval_name(r.interval_unit, r.interval_count), r.currency), ', '
                                                              ORDER BY r.currency, r.interval_unit, r.interval_count) || '.'
                    FROM qzpay.prices r WHERE r.product_id = v_product.id AND r.active);
    END IF;
    IF NOT coalesce(p_allow_multiple, false) AND EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.ended_at IS NULL) THEN
        RAISE EXCEPTION 'customer "%" has a live subscription', v_customer.external_id USING ERRCODE = 'QZ204',
            HINT = 'Change that one, or pass allow_multiple => true.';
    END IF;
    v_has_method := EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.is_default);
    v_trial := CASE WHEN EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.trial_end IS NOT NULL)
                    THEN 0 ELSE coalesce(p_trial_days, v_product.trial_days) END;
    v_status := CASE WHEN v_trial > 0 AND (v_has_method OR NOT v_product.trial_requires_payment_method) THEN 'trialing'
                     WHEN v_trial = 0 AND v_price.unit_amount = 0 THEN 'active' ELSE 'incomplete' END::qzpay.subscription_status;
    INSERT INTO qzpay.subscriptions (tenant_id, id, customer_id, status, status_reason, currency, interval_unit, interval_count, usage_unit, usage_count, timezone,
                                     livemode, test_clock_id, started_at, trial_end, anchor, usage_period_start, usage_period_end, auto_renew, has_payment_method, is_free,
                                     trial_end_behavior, late_renewal_days, grace_days, grace_access, dunning_policy, allow_multiple, metadata, created_at, updated_at)
    SELECT v_customer.tenant_id, v_id, p_customer, v_status, CASE WHEN v_status = 'incomplete' THEN 'awaiting_payment' END, v_currency,
           v_interval.unit, v_interval.count, u.unit, u.count, v_customer.timezone, v_customer.livemode, v_customer.test_clock_id, v_at,
           t.trial_end, CASE WHEN v_trial = 0 THEN v_at END, CASE WHEN v_status = 'trialing' THEN v_at END, CASE WHEN v_status = 'trialing' THEN t.trial_end END,
           coalesce(p_auto_renew, true), v_has_method, v_price.unit_amount = 0, v_product.trial_end_behavior, (qzpay.setting('late_renewal_days') #>> '{}')::integer,
           coalesce(v_product.grace_days, d.grace_days), v_product.grace_access, d.code, coalesce(p_allow_multiple, false), coalesce(p_metadata, '{}'), v_at, v_at
    FROM (SELECT CASE WHEN v_trial > 0 THEN v_at + v_trial * interval '24 hours' END AS trial_end) t
    -- A usage month inside a longer billing interval; a shorter billing interval is its own usage period.
    CROSS JOIN LATERAL (SELECT CASE WHEN q.shorter THEN v_interval.unit ELSE v_product.usage_interval_unit END AS unit,
                               CASE WHEN q.shorter THEN v_interval.count ELSE v_product.usage_interval_count END AS count
                        FROM (SELECT (v_interval.count || ' ' || v_interval.unit)::interval
                                     < (v_product.usage_interval_count || ' ' || v_product.usage_interval_unit)::interval AS shorter) q) u
    JOIN qzpay.dunning_policies d ON d.code = coalesce(v_product.dunning_policy, qzpay.setting('dunning_policy') #>> '{}');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown dunning policy "%"', v_product.dunning_policy USING ERRCODE = 'QZ401';
    END IF;
    INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
    VALUES (v_customer.tenant_id, qzpay.uuid_v7(), v_id, v_product.id, v_price.price_id, 'plan', p_quantity, v_at, qzpay._recorded_at());
    IF v_status = 'trialing' THEN
        INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
        VALUES (v_customer.tenant_id, v_id, 'usage', v_at, v_at + v_trial * interval '24 hours', 0);
    END IF;
    PERFORM qzpay._emit_event(v_customer.tenant_id, e.type, 'subscription', v_id, p_customer,
        jsonb_build_object('subscriptionId', v_id, 'plan', p_plan, 'interval', p_interval, 'quantity', p_quantity, 'status', v_status,
                           'trialEnd', v_at + v_trial * interval '24 hours', 'requiresPayment', v_status = 'incomplete', 'emailSentByPackage', false), NULL, v_at)
    FROM (VALUES ('subscription.created'), (CASE WHEN v_status = 'trialing' THEN 'trial.started' END)) e (type) WHERE e.type IS NOT NULL;
    IF v_trial = 0 THEN
        PERFORM qzpay._advance_subscriptions(ARRAY[v_customer.tenant_id], ARRAY[v_id], ARRAY[v_at], v_at);
        PERFORM qzpay._run_internal_attempts(v_customer.test_clock_id, 10);
    END IF;
    PERFORM qzpay._idempotent_end(v_customer.tenant_id, 'subscribe', p_key, jsonb_build_object('id', v_id));
    RETURN qzpay._subscription_row(v_customer.tenant_id, v_id);
END $$;
COMMENT ON FUNCTION qzpay._subscribe(uuid, text, text, text, integer, integer, boolean, boolean, jsonb, text) IS 'Internal of subscribe(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._start_trials(p_tenant uuid, p_customer uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
    SELECT s.tenant_id, s.id, 'usage', p_at, p_at + (s.trial_end - s.started_at), 0 FROM qzpay.subscriptions s
    WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.status = 'incomplete' AND s.trial_end IS NOT NULL;
    UPDATE qzpay.subscriptions s SET status = 'trialing', status_reason = NULL, started_at = p_at, trial_end = p_at + (s.trial_end - s.started_at),
           usage_period_start = p_at, usage_period_end = p_at + (s.trial_end - s.started_at), updated_at = p_at
    WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.status = 'incomplete' AND s.trial_end IS NOT NULL;
END $$;
COMMENT ON FUNCTION qzpay._start_trials(uuid, uuid, timestamptz) IS
'Begins, in full length, the trials of a customer that waited for a payment method.';

CREATE OR REPLACE FUNCTION qzpay.cancel(subscription uuid, at text DEFAULT 'period_end', reason text DEFAULT 'requested') RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.cancel(uuid, text, text) IS
'Ends a subscription: at ''period_end'' (default; the trial''s end in a trial), ''now'', or an instant given as text (words such as tomorrow are of real time, also on a test clock). What was paid is kept until then and nothing is credited. '
'Errors: QZ204 already ended, 22007 bad instant, 22023 an instant in the past.';

CREATE OR REPLACE FUNCTION qzpay._cancel(p_subscription uuid, p_at text, p_reason text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_now timestamptz;
    v_when timestamptz;
BEGIN
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    v_now := qzpay.now(v_sub.customer_id);
    IF v_sub.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % has ended', p_subscription USING ERRCODE = 'QZ204', DETAIL = format('It is %s since %s.', v_sub.status, v_sub.ended_at);
    END IF;
    PERFORM qzpay._refuse_pan(p_reason);
    v_when := CASE coalesce(p_at, 'period_end') WHEN 'now' THEN v_now
                   WHEN 'period_end' THEN coalesce(CASE WHEN v_sub.status = 'trialing' THEN v_sub.trial_end END, v_sub.current_period_end, v_now)
                   ELSE p_at::timestamptz END;
    IF v_when < v_now OR NOT isfinite(v_when) THEN
        RAISE EXCEPTION 'cannot cancel at %', v_when USING ERRCODE = '22023', DETAIL = format('It is %s for this customer.', v_now);
    END IF;
    UPDATE qzpay.subscriptions s SET cancel_at = v_when, cancel_reason = coalesce(p_reason, 'requested'), canceled_at = v_now, updated_at = v_now
    WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    IF v_when <= v_now THEN
        PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_now], v_now);
    END IF;
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._cancel(uuid, text, text) IS 'Internal of cancel(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.uncancel(subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.uncancel(uuid) IS 'Takes back a pending end. Error QZ204 where none is pending.';

CREATE OR REPLACE FUNCTION qzpay._uncancel(p_subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_now timestamptz;
BEGIN
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    v_now := qzpay.now(v_sub.customer_id);
    IF v_sub.ended_at IS NOT NULL OR v_sub.cancel_at IS NULL OR v_sub.cancel_at <= v_now THEN
        RAISE EXCEPTION 'subscription % has no pending end', p_subscription USING ERRCODE = 'QZ204';
    END IF;
    UPDATE qzpay.subscriptions s SET cancel_at = NULL, cancel_reason = NULL, canceled_at = NULL, updated_at = v_now
    WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._emit_event(v_sub.tenant_id, 'subscription.uncanceled', 'subscription', v_sub.id, v_sub.customer_id,
        jsonb_build_object('subscriptionId', v_sub.id, 'emailSentByPackage', false), NULL, v_now);
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._uncancel(uuid) IS 'Internal of uncancel(), inside the tenant''s context.';
