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
                           WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan'
                           ORDER BY i.valid_from > qzpay.now(s.customer_id), CASE WHEN i.valid_from <= qzpay.now(s.customer_id) THEN i.valid_from END DESC, i.valid_from LIMIT 1) i ON true
        LEFT JOIN qzpay.products p ON p.id = i.product_id
        WHERE s.tenant_id = p_tenant AND s.id = p_subscription
    );
END $$;
COMMENT ON FUNCTION qzpay._subscription_row(uuid, uuid) IS 'A subscription as the public functions return it.';

CREATE OR REPLACE FUNCTION qzpay.subscribe(customer uuid, plan text, billing_interval text DEFAULT 'month', currency text DEFAULT NULL, quantity integer DEFAULT 1,
        promo_code text DEFAULT NULL, trial_days integer DEFAULT NULL, start_at timestamptz DEFAULT NULL, idempotency_key text DEFAULT NULL, auto_renew boolean DEFAULT true,
        allow_multiple boolean DEFAULT false, anchor text DEFAULT NULL, addons jsonb DEFAULT NULL, terms jsonb DEFAULT NULL, metadata jsonb DEFAULT '{}') RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.subscribe(uuid, text, text, text, integer, text, integer, timestamptz, text, boolean, boolean, text, jsonb, jsonb, jsonb) IS
'Subscribes a customer to a plan. With a trial (the plan''s, or trial_days; by the plan''s trial reuse or the setting trial_reuse one per customer for ever) it is trialing at once, unless the plan''s trial needs a payment method that is not there, or has a price: that is invoiced now, and the trial begins, in full length, with its payment, which is to come within 23 hours; '
'without one the first invoice is made now and the subscription is incomplete until it is paid, 23 hours at most. A plan at 0 is active at once. '
'currency defaults to the customer''s; billing_interval is a name (month, year, quarter …) or a count and a unit. start_at in the future: nothing happens until then; in the past: periods are counted from it, '
'and only the running one is billed, in full. anchor: from where periods are counted, an instant ahead or calendar (the first of the month or year, Monday); the part before it is billed by time share. '
'addons: {"code": quantity}; terms: negotiated {"unit_amount", "name", "included"} of the plan. auto_renew false ends it with its first period. '
'Errors: QZ401 unknown plan or add-on, or no price for the interval and currency; QZ204 a live subscription exists, or an add-on does not fit; 22004, 22007 or 22023 bad argument; and those of redeem_promo_code().';

CREATE OR REPLACE FUNCTION qzpay._subscribe(p_customer uuid, p_plan text, p_interval text, p_currency text, p_quantity integer, p_promo_code text, p_trial_days integer,
        p_start_at timestamptz, p_key text, p_auto_renew boolean, p_allow_multiple boolean, p_anchor text, p_addons jsonb, p_terms jsonb, p_metadata jsonb) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_product qzpay.products%ROWTYPE;
    v_price record;
    v_interval record;
    v_currency text;
    v_now timestamptz := qzpay.now(p_customer);
    v_start timestamptz := coalesce(p_start_at, v_now);
    v_has_method boolean;
    v_trial integer;
    v_trial_price uuid;
    v_anchor timestamptz;
    v_id uuid := qzpay.uuid_v7();
    v_first jsonb;
    v_status qzpay.subscription_status;
    v_items qzpay._item[];
    v_returns boolean;
BEGIN
    IF p_plan IS NULL OR p_interval IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN p_plan IS NULL THEN 'plan' ELSE 'billing_interval' END USING ERRCODE = '22004';
    END IF;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(v_customer.tenant_id, 'subscribe', p_key,
        jsonb_build_array(p_customer, p_plan, p_interval, p_currency, p_quantity, p_promo_code, p_trial_days, p_start_at, p_auto_renew, p_allow_multiple, p_anchor, p_addons, p_terms, p_metadata));
    IF v_first IS NOT NULL THEN
        RETURN qzpay._subscription_row(v_customer.tenant_id, (v_first ->> 'id')::uuid);
    END IF;
    IF v_customer.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" is deleted', v_customer.external_id USING ERRCODE = 'QZ204';
    END IF;
    PERFORM qzpay._check_metadata(p_metadata);
    SELECT * INTO STRICT v_product FROM qzpay.products p WHERE p.id = qzpay._find_product(v_customer.tenant_id, 'plan', p_plan);
    PERFORM qzpay._check_quantity(v_product.id, p_quantity);
    IF p_trial_days NOT BETWEEN 0 AND 3650 THEN
        RAISE EXCEPTION 'trial of % days is not possible', p_trial_days USING ERRCODE = '22023', HINT = 'From 0 (no trial) to 3650.';
    ELSIF NOT isfinite(v_start) OR v_start > v_now + 3650 * interval '24 hours' OR v_start < v_now - 36500 * interval '24 hours' THEN
        RAISE EXCEPTION 'a subscription cannot start at %', v_start USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._check_terms(p_terms);
    SELECT * INTO v_interval FROM qzpay.interval_parse(p_interval);
    v_currency := coalesce(p_currency, v_customer.currency);
    SELECT * INTO v_price FROM qzpay._require_price(v_product.id, v_currency, v_interval.unit, v_interval.count);
    IF NOT coalesce(p_allow_multiple, false) AND EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.ended_at IS NULL) THEN
        RAISE EXCEPTION 'customer "%" has a live subscription', v_customer.external_id USING ERRCODE = 'QZ204',
            HINT = 'Change that one, or pass allow_multiple => true.';
    END IF;
    v_has_method := EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.is_default);
    v_returns := EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.status = 'canceled');
    v_trial := CASE WHEN v_start < v_now OR qzpay._had_trial(v_customer.tenant_id, p_customer, v_product.id) THEN 0 ELSE coalesce(p_trial_days, v_product.trial_days) END;
    v_anchor := CASE WHEN v_trial = 0 THEN qzpay._parse_anchor(p_anchor, v_start, v_now, v_interval.unit, v_interval.count, v_customer.timezone) END;
    IF v_trial > 0 AND p_anchor IS NOT NULL THEN
        RAISE EXCEPTION 'the end of the trial is the anchor' USING ERRCODE = '22023', HINT = 'Pass trial_days => 0 for an anchor of your own.';
    ELSIF v_trial > 0 AND v_start > v_now AND v_product.trial_requires_payment_method AND NOT v_has_method THEN
        RAISE EXCEPTION 'the trial of plan "%" needs a payment method', p_plan USING ERRCODE = 'QZ204', HINT = 'Save one with attach_payment_method() first.';
    END IF;
    v_trial_price := (SELECT a.price_id FROM qzpay._active_price(v_product.id, v_currency, 'trial', 1) a WHERE v_trial > 0 AND a.unit_amount > 0);
    v_items := ARRAY[ROW(v_product.id, v_price.price_id, 'plan', '', p_quantity, p_terms ->> 'name', (p_terms ->> 'unit_amount')::numeric, p_terms -> 'included', '{}')::qzpay._item];
    v_status := CASE WHEN v_start > v_now THEN 'incomplete'
                     WHEN v_trial > 0 AND v_trial_price IS NULL AND (v_has_method OR NOT v_product.trial_requires_payment_method) THEN 'trialing'
                     WHEN v_trial = 0 AND coalesce((p_terms ->> 'unit_amount')::numeric, v_price.unit_amount) = 0 AND coalesce(p_addons, '{}') = '{}' THEN 'active' ELSE 'incomplete' END::qzpay.subscription_status;
    INSERT INTO qzpay.subscriptions (tenant_id, id, customer_id, status, status_reason, currency, interval_unit, interval_count, usage_unit, usage_count, timezone,
                                     livemode, test_clock_id, started_at, trial_end, anchor, usage_period_start, usage_period_end, auto_renew, has_payment_method, is_free,
                                     trial_end_behavior, trial_price_id, late_renewal_days, grace_days, grace_access, dunning_policy, allow_multiple, metadata, created_at, updated_at)
    SELECT v_customer.tenant_id, v_id, p_customer, v_status, CASE WHEN v_start > v_now THEN 'scheduled' WHEN v_status = 'incomplete' THEN 'awaiting_payment' END, v_currency,
           v_interval.unit, v_interval.count, u.unit, u.count, v_customer.timezone, v_customer.livemode, v_customer.test_clock_id, v_start,
           t.trial_end, v_anchor, CASE WHEN v_status = 'trialing' THEN v_start END, CASE WHEN v_status = 'trialing' THEN t.trial_end END,
           coalesce(p_auto_renew, true), v_has_method, v_status = 'active', v_product.trial_end_behavior, v_trial_price, (qzpay.setting('late_renewal_days') #>> '{}')::integer,
           coalesce(v_product.grace_days, d.grace_days), v_product.grace_access, d.code, coalesce(p_allow_multiple, false), coalesce(p_metadata, '{}'), v_now, v_now
    FROM (SELECT CASE WHEN v_trial > 0 THEN v_start + v_trial * interval '24 hours' END AS trial_end) t
    CROSS JOIN LATERAL qzpay._usage_interval(v_product.id, v_interval.unit, v_interval.count) u
    JOIN qzpay.dunning_policies d ON d.code = coalesce(v_product.dunning_policy, qzpay.setting('dunning_policy') #>> '{}');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown dunning policy "%"', v_product.dunning_policy USING ERRCODE = 'QZ401';
    END IF;
    IF coalesce(p_addons, '{}') <> '{}' THEN
        v_items := (SELECT r.items FROM qzpay._resolve_change(qzpay._read_sub(v_id), v_items, qzpay._addons_request(p_addons)) r);
    END IF;
    PERFORM qzpay._set_items(v_customer.tenant_id, v_id, v_items, v_start);
    PERFORM qzpay._adopt_plan(v_customer.tenant_id, v_id, v_start);
    IF v_status = 'trialing' THEN
        INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
        VALUES (v_customer.tenant_id, v_id, 'usage', v_start, v_start + v_trial * interval '24 hours', 0);
    END IF;
    PERFORM qzpay._add_pending_lines(v_customer.tenant_id, v_id, qzpay._setup_lines(v_customer.tenant_id, v_id,
        (SELECT array_agg(i.id) FROM qzpay.subscription_items i WHERE i.tenant_id = v_customer.tenant_id AND i.subscription_id = v_id), v_start), v_now);
    IF p_promo_code IS NOT NULL THEN
        PERFORM qzpay._redeem_code(v_customer.tenant_id, p_customer, v_id, p_promo_code, v_now);
    END IF;
    PERFORM qzpay._emit_event(v_customer.tenant_id, e.type, 'subscription', v_id, p_customer,
        jsonb_build_object('subscriptionId', v_id, 'plan', v_product.code, 'interval', p_interval, 'quantity', p_quantity, 'status', v_status, 'startsAt', v_start,
                           'trialEnd', v_start + v_trial * interval '24 hours', 'requiresPayment', v_status = 'incomplete', 'reactivation', v_returns, 'metadata', coalesce(p_metadata, '{}'), 'emailSentByPackage', false), NULL, v_now)
    FROM (VALUES ('subscription.created'), (CASE WHEN v_status = 'trialing' THEN 'trial.started' END)) e (type) WHERE e.type IS NOT NULL;
    IF v_trial = 0 AND v_start <= v_now THEN
        PERFORM qzpay._advance_subscriptions(ARRAY[v_customer.tenant_id], ARRAY[v_id], ARRAY[v_now], v_now);
        PERFORM qzpay._run_internal_attempts(v_customer.test_clock_id, 10);
    ELSIF v_trial_price IS NOT NULL AND v_start <= v_now THEN
        PERFORM qzpay._bill_trials(ARRAY[v_customer.tenant_id], ARRAY[v_id], ARRAY[v_now], v_now);
        PERFORM qzpay._run_internal_attempts(v_customer.test_clock_id, 10);
    END IF;
    PERFORM qzpay._idempotent_end(v_customer.tenant_id, 'subscribe', p_key, jsonb_build_object('id', v_id));
    RETURN qzpay._subscription_row(v_customer.tenant_id, v_id);
END $$;
COMMENT ON FUNCTION qzpay._subscribe(uuid, text, text, text, integer, text, integer, timestamptz, text, boolean, boolean, text, jsonb, jsonb, jsonb) IS 'Internal of subscribe(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._had_trial(p_tenant uuid, p_customer uuid, p_product uuid) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE coalesce((SELECT p.trial_reuse FROM qzpay.products p WHERE p.id = p_product), qzpay.setting('trial_reuse') #>> '{}')
        WHEN 'always' THEN false
        WHEN 'per_plan' THEN EXISTS (SELECT FROM qzpay.subscriptions s JOIN qzpay.subscription_items i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.product_id = p_product
                                     WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.trial_end IS NOT NULL AND s.trial_price_id IS NULL AND s.status <> 'incomplete_expired')
        ELSE EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.trial_end IS NOT NULL AND s.trial_price_id IS NULL AND s.status <> 'incomplete_expired') END;
END $$;
COMMENT ON FUNCTION qzpay._had_trial(uuid, uuid, uuid) IS 'Whether a customer has had its trial, by what the plan or else the setting says of trial_reuse. One that never began, for want of a method or its price, is none.';

CREATE OR REPLACE FUNCTION qzpay._parse_anchor(p_anchor text, p_start timestamptz, p_now timestamptz, p_unit text, p_count integer, p_timezone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_anchor timestamptz;
    v_from timestamptz := greatest(p_start, p_now);
    v_local timestamp := v_from AT TIME ZONE p_timezone;
BEGIN
    IF coalesce(p_anchor, 'start') = 'start' THEN
        RETURN p_start;
    ELSIF p_anchor = 'calendar' THEN
        v_anchor := date_trunc(p_unit, v_local) AT TIME ZONE p_timezone;
        RETURN CASE WHEN v_anchor = v_from THEN v_anchor ELSE (date_trunc(p_unit, v_local) + ('1 ' || p_unit)::interval) AT TIME ZONE p_timezone END;
    END IF;
    v_anchor := p_anchor::timestamptz;
    IF NOT isfinite(v_anchor) OR v_anchor < p_start OR v_anchor > qzpay.period_boundary(v_from, p_unit, p_count, 1, p_timezone) THEN
        RAISE EXCEPTION 'anchor % is not between the start and one period after it', v_anchor USING ERRCODE = '22023';
    END IF;
    RETURN v_anchor;
END $$;
COMMENT ON FUNCTION qzpay._parse_anchor(text, timestamptz, timestamptz, text, integer, text) IS
'Where periods are counted from: start (default), calendar (the next beginning of the unit in the zone), or an instant at most one period after the start.';

CREATE OR REPLACE FUNCTION qzpay._start_trial(p_tenant uuid, p_subscription uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
    SELECT s.tenant_id, s.id, 'usage', p_at, p_at + (s.trial_end - s.started_at), 0 FROM qzpay.subscriptions s
    WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
    UPDATE qzpay.subscriptions s SET status = 'trialing', status_reason = NULL, trial_price_id = NULL, started_at = p_at, trial_end = p_at + (s.trial_end - s.started_at),
           current_period_start = NULL, current_period_end = NULL, usage_period_start = p_at, usage_period_end = p_at + (s.trial_end - s.started_at), updated_at = p_at
    WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
END $$;
COMMENT ON FUNCTION qzpay._start_trial(uuid, uuid, timestamptz) IS 'Begins, in full length, a trial that waited for a payment method or for its price.';

CREATE OR REPLACE FUNCTION qzpay._start_trials(p_tenant uuid, p_customer uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._start_trial(s.tenant_id, s.id, p_at) FROM qzpay.subscriptions s
    WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.status = 'incomplete' AND s.trial_end IS NOT NULL AND s.trial_price_id IS NULL AND s.started_at <= p_at;
END $$;
COMMENT ON FUNCTION qzpay._start_trials(uuid, uuid, timestamptz) IS
'Begins the trials of a customer that waited for a payment method; not those that are to begin later, nor those that have a price.';

CREATE OR REPLACE FUNCTION qzpay._bill_trials(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_bills qzpay._bill[];
    v_lines qzpay._line[];
    v_invoices bigint;
BEGIN
    SELECT array_agg(ROW(s.tenant_id, v.id, s.customer_id, s.id, c.seller_id, s.livemode, s.currency, 'subscription', k.due_at, s.started_at, s.trial_end, NULL, NULL, NULL, NULL)::qzpay._bill),
           array_agg(ROW(s.tenant_id, v.id, 'setup', x.product_id, x.id, NULL, NULL, NULL, coalesce(i.name, p.name) || ': trial', s.started_at, s.trial_end,
                         i.quantity, x.unit_amount, x.unit_amount * i.quantity, qzpay.round_amount(x.unit_amount * i.quantity), false, NULL, NULL, NULL, NULL, NULL, i.metadata, NULL, NULL)::qzpay._line)
      INTO v_bills, v_lines
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id AND s.status = 'incomplete' AND s.trial_price_id IS NOT NULL AND s.current_period_end IS NULL AND s.started_at <= k.due_at
    JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
    JOIN qzpay.prices x ON x.id = s.trial_price_id
    JOIN qzpay.products p ON p.id = x.product_id
    JOIN qzpay.subscription_items i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan' AND i.valid_from <= s.started_at AND i.valid_until > s.started_at
    CROSS JOIN LATERAL (SELECT qzpay.uuid_v5(qzpay.installation_id(), 'invoice:trial:' || s.id) AS id) v;
    IF v_bills IS NULL THEN
        RETURN 0;
    END IF;
    -- The period that waits for its payment, as with any first invoice: from now on its 23 hours run.
    UPDATE qzpay.subscriptions s SET status_reason = 'awaiting_payment', current_period_start = s.started_at, current_period_end = s.trial_end, updated_at = p_at
    FROM unnest(v_bills) b WHERE s.tenant_id = b.tenant_id AND s.id = b.subscription_id;
    v_invoices := qzpay._write_final_invoices(v_bills, v_lines, p_at);
    PERFORM qzpay._collect(array_agg(b.tenant_id), array_agg(b.invoice_id), p_at) FROM unnest(v_bills) b;
    RETURN v_invoices;
END $$;
COMMENT ON FUNCTION qzpay._bill_trials(uuid[], uuid[], timestamptz[], timestamptz) IS
'Invoices, at their start, the trials that have a price: quantity × price for the whole trial, which no discount lowers unless it names set-up lines. Returns how many.';
