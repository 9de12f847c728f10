-- Change of plan, interval, quantity, terms and add-ons: one request, resolved to items, dated now or ahead.

CREATE OR REPLACE FUNCTION qzpay._merge_requests(p_first jsonb, p_then jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(p_first, '{}') || p_then || jsonb_strip_nulls(jsonb_build_object(
        'addons', (SELECT jsonb_agg(a.part ORDER BY a.ordinality) FROM jsonb_array_elements(coalesce(p_first -> 'addons', '[]') || coalesce(p_then -> 'addons', '[]')) WITH ORDINALITY a (part)
                   WHERE a.ordinality > jsonb_array_length(coalesce(p_first -> 'addons', '[]'))
                      OR NOT EXISTS (SELECT FROM jsonb_array_elements(coalesce(p_then -> 'addons', '[]')) b WHERE (b ->> 'addon', coalesce(b ->> 'scope', '')) = (a.part ->> 'addon', coalesce(a.part ->> 'scope', '')))),
        'terms', (SELECT jsonb_agg(t) FROM jsonb_array_elements(coalesce(p_first -> 'terms', '[]') || coalesce(p_then -> 'terms', '[]')) t)))
$$;
COMMENT ON FUNCTION qzpay._merge_requests(jsonb, jsonb) IS 'Two requests of change one after the other, as one.';

CREATE OR REPLACE FUNCTION qzpay._read_sub(p_subscription uuid) RETURNS qzpay._sub
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub;
BEGIN
    -- Customer first, where it may have subscriptions that share invoices.
    PERFORM FROM qzpay.customers c
    WHERE (c.tenant_id, c.id) = (SELECT s.tenant_id, s.customer_id FROM qzpay.subscriptions s WHERE s.id = p_subscription AND (qzpay._consolidates() OR EXISTS (
                                     SELECT FROM qzpay.invoice_shares h WHERE h.tenant_id = s.tenant_id AND h.subscription_id = s.id))) FOR NO KEY UPDATE;
    SELECT s.tenant_id, s.id, s.customer_id, s.status, s.currency, s.interval_unit, s.interval_count, s.usage_unit, s.usage_count, s.timezone, s.trial_end, s.anchor,
           s.current_period_start, s.current_period_end, s.usage_period_start, s.usage_period_end, s.has_payment_method, s.managed_by, s.period_comped, s.pause_at, s.resume_at,
           s.cancel_at, s.ended_at, s.test_clock_id, s.next_due_at, s.set_aside_at, qzpay.now(s.customer_id)
      INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    RETURN v_sub;
END $$;
COMMENT ON FUNCTION qzpay._read_sub(uuid) IS 'Locks a subscription and returns what whoever changes it needs to know.';

CREATE OR REPLACE FUNCTION qzpay._sub_of(p_subscription uuid) RETURNS qzpay._sub
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._read_sub(p_subscription);
BEGIN
    -- What time has asked for up to now is done first, so that a request stamped now belongs to what begins now.
    WHILE v_sub.next_due_at <= v_sub.now AND v_sub.set_aside_at IS NULL LOOP
        PERFORM qzpay._do_due(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_sub.next_due_at], v_sub.now);
        PERFORM qzpay._run_internal_attempts(v_sub.test_clock_id, 10);
        v_sub := qzpay._read_sub(p_subscription);
    END LOOP;
    RETURN v_sub;
END $$;
COMMENT ON FUNCTION qzpay._sub_of(uuid) IS '_read_sub() of a subscription that has been brought up to its customer''s now.';

CREATE OR REPLACE FUNCTION qzpay._refuse_unless_changeable(p_sub qzpay._sub) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_sub.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % has ended', p_sub.id USING ERRCODE = 'QZ204', DETAIL = format('It is %s since %s.', p_sub.status, p_sub.ended_at);
    ELSIF p_sub.managed_by <> 'engine' THEN
        RAISE EXCEPTION 'subscription % is managed by its provider', p_sub.id USING ERRCODE = 'QZ204', HINT = 'Change it there; its webhooks or sync_subscription() bring it here.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._refuse_unless_changeable(qzpay._sub) IS 'QZ204 for a subscription that has ended or that a provider manages.';

CREATE OR REPLACE FUNCTION qzpay._refuse_while_unpaid(p_sub qzpay._sub) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_sub.status IN ('incomplete', 'past_due', 'unpaid') THEN
        RAISE EXCEPTION 'subscription % is %', p_sub.id, p_sub.status USING ERRCODE = 'QZ204', HINT = 'Pay what is open first, or schedule the change: effective => ''period_end''.';
    ELSIF EXISTS (SELECT FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
                  WHERE m.tenant_id = p_sub.tenant_id AND m.subscription_id = p_sub.id AND i.status = 'open' AND i.collection = 'charge_automatically') THEN
        RAISE EXCEPTION 'a payment of subscription % is under way', p_sub.id USING ERRCODE = 'QZ204', HINT = 'Wait for its outcome, or schedule the change: effective => ''period_end''.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._refuse_while_unpaid(qzpay._sub) IS 'QZ204 while a payment of the subscription is open, failed or under way: what has not been paid cannot be credited.';

CREATE OR REPLACE FUNCTION qzpay._finalize_drafts(p_sub qzpay._sub, p_shared boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_draft uuid;
BEGIN
    FOR v_draft IN SELECT i.id FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
                   WHERE m.tenant_id = p_sub.tenant_id AND m.subscription_id = p_sub.id AND i.status = 'draft' AND i.kind <> 'manual'
                     AND (p_shared OR i.subscription_id IS NOT NULL) ORDER BY i.created_at, i.id LOOP
        -- One that is shared may have become final while the others of it were waited for.
        PERFORM qzpay._lock_invoice(v_draft);
        PERFORM qzpay._finalize_draft(p_sub.tenant_id, i.id, p_sub.now) FROM qzpay.invoices i WHERE i.tenant_id = p_sub.tenant_id AND i.id = v_draft AND i.status = 'draft';
    END LOOP;
    IF v_draft IS NOT NULL THEN
        PERFORM qzpay._run_internal_attempts(p_sub.test_clock_id, 10);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._finalize_drafts(qzpay._sub, boolean) IS
'Makes the drafts of a subscription final before their lines are credited: a draft has no tax, and its discounts are judged when it becomes final. '
'p_shared: also those that others share, and has them paid; who credits by a note does that with the note, so that only what is left is asked for.';

CREATE OR REPLACE FUNCTION qzpay._cancel_pending_change(p_tenant uuid, p_subscription uuid, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.subscription_changes h SET status = 'canceled', closed_at = p_at WHERE h.tenant_id = p_tenant AND h.subscription_id = p_subscription AND h.status = 'pending';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM qzpay._set_items(p_tenant, p_subscription, qzpay._items_at(p_tenant, p_subscription, p_at), p_at);
    UPDATE qzpay.subscriptions s SET change_at = NULL, updated_at = p_at WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._cancel_pending_change(uuid, uuid, timestamptz) IS 'Takes back what was scheduled: items go on as they are. False where nothing was.';

CREATE OR REPLACE FUNCTION qzpay._put_usage_aside(p_sub qzpay._sub, p_end timestamptz, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._add_pending_lines(p_sub.tenant_id, p_sub.id, qzpay._usage_lines(ARRAY[jsonb_populate_record(NULL::qzpay._roll, jsonb_build_object(
        'tenant_id', p_sub.tenant_id, 'subscription_id', p_sub.id, 'customer_id', p_sub.customer_id, 'currency', p_sub.currency, 'due_at', p_at, 'closes_usage', true,
        'rates_usage', NOT p_sub.period_comped AND p_sub.status <> 'trialing', 'usage_start', p_sub.usage_period_start, 'usage_end', p_end))]), p_at);
END $$;
COMMENT ON FUNCTION qzpay._put_usage_aside(qzpay._sub, timestamptz, timestamptz) IS
'Rates the usage of the running period up to an instant, with the items of that instant; the lines wait for the next invoice.';

CREATE OR REPLACE FUNCTION qzpay._split_usage(p_sub qzpay._sub, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_full record;
    v_share numeric;
BEGIN
    IF p_sub.usage_period_start IS NULL OR p_sub.usage_period_start >= p_at OR p_sub.usage_period_end <= p_at THEN
        RETURN;
    END IF;
    -- The period as it was begun, whatever the zone of now says.
    SELECT p.ordinal, qzpay.period_boundary(p_sub.anchor, p_sub.usage_unit, p_sub.usage_count, p.ordinal, p_sub.timezone) AS period_start,
           qzpay.period_boundary(p_sub.anchor, p_sub.usage_unit, p_sub.usage_count, p.ordinal + 1, p_sub.timezone) AS period_end INTO STRICT v_full
    FROM qzpay.periods p WHERE p.tenant_id = p_sub.tenant_id AND p.subscription_id = p_sub.id AND p.cycle = 'usage' AND p.period_start = p_sub.usage_period_start;
    v_share := round(extract(epoch FROM p_at - p_sub.usage_period_start) / extract(epoch FROM v_full.period_end - v_full.period_start), 18);
    PERFORM qzpay._close_usage(ARRAY[p_sub.tenant_id], ARRAY[p_sub.customer_id], ARRAY[p_sub.usage_period_start], ARRAY[p_at]);
    UPDATE qzpay.subscriptions s SET usage_share = v_share WHERE s.tenant_id = p_sub.tenant_id AND s.id = p_sub.id;
    PERFORM qzpay._put_usage_aside(p_sub, p_at, p_at);
    UPDATE qzpay.periods p SET period_end = p_at
    WHERE p.tenant_id = p_sub.tenant_id AND p.subscription_id = p_sub.id AND p.cycle = 'usage' AND p.period_start = p_sub.usage_period_start;
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
    VALUES (p_sub.tenant_id, p_sub.id, 'usage', p_at, p_sub.usage_period_end, v_full.ordinal);
    UPDATE qzpay.subscriptions s SET usage_period_start = p_at,
           usage_share = round(extract(epoch FROM p_sub.usage_period_end - p_at) / extract(epoch FROM v_full.period_end - v_full.period_start), 18)
    WHERE s.tenant_id = p_sub.tenant_id AND s.id = p_sub.id;
END $$;
COMMENT ON FUNCTION qzpay._split_usage(qzpay._sub, timestamptz) IS
'Ends the running usage period at a change of plan that is no upgrade: what was used is rated on the old plan, with included quantities by time share rounded down, and waits for the next invoice; '
'the rest of the period goes by the new plan and its share.';

CREATE OR REPLACE FUNCTION qzpay._change(p_subscription uuid, p_request jsonb, p_effective text, p_proration text, p_uncancel boolean, p_key text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub;
    v_first jsonb;
    v_tenant uuid := (SELECT s.tenant_id FROM qzpay.subscriptions s WHERE s.id = p_subscription);
    v_effective text;
    v_proration text := coalesce(p_proration, qzpay.setting('proration_behavior') #>> '{}');
BEGIN
    IF p_effective NOT IN ('now', 'period_end') THEN
        RAISE EXCEPTION 'no effective "%"', p_effective USING ERRCODE = '22023', HINT = 'now or period_end; NULL goes by the setting change_rules.';
    ELSIF v_proration NOT IN ('always_invoice', 'create_prorations', 'none') THEN
        RAISE EXCEPTION 'no proration "%"', v_proration USING ERRCODE = '22023', HINT = 'always_invoice, create_prorations or none.';
    END IF;
    v_first := qzpay._idempotent_begin(v_tenant, 'change', p_key, jsonb_build_array(p_subscription, p_request, p_effective, p_proration, p_uncancel));
    IF v_first IS NOT NULL THEN
        RETURN qzpay._subscription_row(v_tenant, p_subscription);
    END IF;
    v_sub := qzpay._sub_of(p_subscription);
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF p_uncancel AND v_sub.cancel_at > v_sub.now THEN
        PERFORM qzpay._uncancel(p_subscription);
        v_sub.cancel_at := NULL;
    END IF;
    IF v_sub.status = 'paused' THEN
        PERFORM qzpay._schedule_change(v_sub, p_request, v_proration, NULL);
    ELSIF v_sub.status <> 'trialing' AND v_sub.current_period_end IS NULL THEN
        RAISE EXCEPTION 'subscription % has not begun', p_subscription USING ERRCODE = 'QZ204';
    ELSE
        v_effective := CASE WHEN v_sub.status = 'trialing' THEN 'now'
                            ELSE coalesce(p_effective, (SELECT qzpay.setting('change_rules') ->> r.direction
                                 FROM qzpay._resolve_change(v_sub, qzpay._items_at(v_sub.tenant_id, v_sub.id, v_sub.now), p_request) r)) END;
        IF v_effective = 'now' AND NOT (v_sub.status <> 'trialing' AND qzpay._lowers_packs(v_sub, p_request)) THEN
            PERFORM qzpay._change_now(v_sub, p_request, v_proration);
        ELSE
            PERFORM qzpay._schedule_change(v_sub, p_request, v_proration, qzpay._change_instant(v_sub, p_request));
        END IF;
    END IF;
    PERFORM qzpay._idempotent_end(v_sub.tenant_id, 'change', p_key, jsonb_build_object('id', v_sub.id));
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._change(uuid, jsonb, text, text, boolean, text) IS
'The one door of every change: now, dated ahead to the end of the period, or kept until a paused subscription is resumed.';

CREATE OR REPLACE FUNCTION qzpay._lowers_packs(p_sub qzpay._sub, p_request jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM jsonb_array_elements(p_request -> 'addons') a
        JOIN unnest(qzpay._items_at(p_sub.tenant_id, p_sub.id, p_sub.now)) i ON i.product_id = qzpay._find_product(p_sub.tenant_id, 'addon', a ->> 'addon') AND i.scope = coalesce(a ->> 'scope', '')
        WHERE i.quantity > (a ->> 'quantity')::integer AND qzpay._is_quantity_pack(i.product_id));
END $$;
COMMENT ON FUNCTION qzpay._lowers_packs(qzpay._sub, jsonb) IS 'Whether a request takes away packs that are charged and granted in full, and so end only with their period.';

CREATE OR REPLACE FUNCTION qzpay._change_instant(p_sub qzpay._sub, p_request jsonb) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What is scheduled already decides; add-ons with an interval of their own change at their own boundary.
    RETURN coalesce(
        (SELECT h.effective_at FROM qzpay.subscription_changes h WHERE h.tenant_id = p_sub.tenant_id AND h.subscription_id = p_sub.id AND h.status = 'pending'),
        (SELECT q.period_end
         FROM jsonb_array_elements(p_request -> 'addons') a
         JOIN qzpay.subscription_items i ON i.tenant_id = p_sub.tenant_id AND i.subscription_id = p_sub.id AND i.valid_from <= p_sub.now AND i.valid_until > p_sub.now
              AND i.product_id = qzpay._find_product(p_sub.tenant_id, 'addon', a ->> 'addon')
         JOIN qzpay.prices c ON c.id = i.price_id
         JOIN qzpay.periods q ON q.tenant_id = i.tenant_id AND q.subscription_id = i.subscription_id AND q.cycle = c.interval_count || ' ' || c.interval_unit
              AND q.period_start <= p_sub.now AND q.period_end > p_sub.now
         WHERE NOT p_request ?| '{plan,interval,quantity}' ORDER BY q.period_end LIMIT 1),
        p_sub.current_period_end);
END $$;
COMMENT ON FUNCTION qzpay._change_instant(qzpay._sub, jsonb) IS 'When a change that waits for the end of a period takes effect: together with what is scheduled, at the boundary of the add-on''s own interval, or at the plan''s.';

CREATE OR REPLACE FUNCTION qzpay._schedule_change(p_sub qzpay._sub, p_request jsonb, p_proration text, p_effective_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now_items qzpay._item[] := qzpay._items_at(p_sub.tenant_id, p_sub.id, p_sub.now);
    v_request jsonb := qzpay._merge_requests((SELECT h.request FROM qzpay.subscription_changes h WHERE h.tenant_id = p_sub.tenant_id AND h.subscription_id = p_sub.id AND h.status = 'pending'), p_request);
    r record;
    u record;
BEGIN
    IF p_sub.status <> 'paused' AND p_effective_at IS NULL THEN
        RAISE EXCEPTION 'subscription % has no period at whose end it could change', p_sub.id USING ERRCODE = 'QZ204';
    END IF;
    SELECT * INTO STRICT r FROM qzpay._resolve_change(p_sub, v_now_items, v_request);
    PERFORM qzpay._cancel_pending_change(p_sub.tenant_id, p_sub.id, p_sub.now);
    -- A request for what is there already takes back what was scheduled.
    IF r.items = v_now_items AND (r.unit, r.count) = (p_sub.interval_unit, p_sub.interval_count) THEN
        RETURN;
    END IF;
    SELECT i.* INTO STRICT u FROM unnest(r.items) x CROSS JOIN LATERAL qzpay._usage_interval(x.product_id, r.unit, r.count) i WHERE x.kind = 'plan';
    INSERT INTO qzpay.subscription_changes (tenant_id, id, subscription_id, status, direction, request, from_plan, to_plan, interval_unit, interval_count, usage_unit, usage_count,
                                            proration, effective_at, requested_at)
    VALUES (p_sub.tenant_id, qzpay.uuid_v7(), p_sub.id, 'pending', r.direction, v_request, r.from_plan, r.to_plan, r.unit, r.count, u.unit, u.count, p_proration, p_effective_at, p_sub.now);
    IF p_effective_at IS NOT NULL THEN
        PERFORM qzpay._set_items(p_sub.tenant_id, p_sub.id, r.items, p_effective_at);
        -- Add-ons by an interval of their own go on until then.
        PERFORM qzpay._set_cycle_due(p_sub.tenant_id, p_sub.id, p_sub.now);
        UPDATE qzpay.subscriptions s SET change_at = p_effective_at, updated_at = p_sub.now WHERE s.tenant_id = p_sub.tenant_id AND s.id = p_sub.id;
    END IF;
    PERFORM qzpay._emit_change(p_sub, r.direction, r.from_plan, r.to_plan, p_effective_at, NULL, false);
END $$;
COMMENT ON FUNCTION qzpay._schedule_change(qzpay._sub, jsonb, text, timestamptz) IS
'Dates a change ahead, together with what was scheduled before; without an instant it waits for the subscription to be resumed.';

CREATE OR REPLACE FUNCTION qzpay._emit_change(p_sub qzpay._sub, p_direction text, p_from text, p_to text, p_effective_at timestamptz, p_amount bigint, p_done boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_data jsonb := jsonb_build_object('subscriptionId', p_sub.id, 'oldPlan', p_from, 'newPlan', p_to, 'direction', p_direction, 'effectiveAt', p_effective_at,
                                       'proratedAmount', p_amount, 'emailSentByPackage', false);
BEGIN
    IF p_direction <> 'lateral' THEN
        PERFORM qzpay._emit_event(p_sub.tenant_id, 'subscription.' || p_direction || 'd', 'subscription', p_sub.id, p_sub.customer_id, v_data, NULL, p_sub.now);
    END IF;
    IF p_done THEN
        PERFORM qzpay._emit_event(p_sub.tenant_id, 'subscription.changed', 'subscription', p_sub.id, p_sub.customer_id, v_data, NULL, p_sub.now);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._emit_change(qzpay._sub, text, text, text, timestamptz, bigint, boolean) IS 'upgraded or downgraded when a change is accepted, changed when it takes effect.';

CREATE OR REPLACE FUNCTION qzpay._change_now(p_sub qzpay._sub, p_request jsonb, p_proration text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_items qzpay._item[] := qzpay._items_at(p_sub.tenant_id, p_sub.id, p_sub.now);
    v_pending jsonb;
    v_change uuid := qzpay.uuid_v7();
    v_invoice uuid := qzpay.uuid_v5(qzpay.installation_id(), 'invoice:proration:' || v_change);
    r record;
    u record;
    d record;
    v_resets boolean;
    v_amount bigint;
BEGIN
    SELECT * INTO STRICT r FROM qzpay._resolve_change(p_sub, v_items, p_request);
    -- What was scheduled for the plan is overtaken; what was scheduled for add-ons is scheduled again below.
    SELECT h.request INTO v_pending FROM qzpay.subscription_changes h WHERE h.tenant_id = p_sub.tenant_id AND h.subscription_id = p_sub.id AND h.status = 'pending';
    IF p_request ? 'plan' OR p_request ? 'interval' THEN
        v_pending := v_pending - '{plan,interval,quantity}'::text[];
    END IF;
    v_pending := v_pending || jsonb_build_object('addons', (SELECT coalesce(jsonb_agg(a || '{"or_none": true}'), '[]') FROM jsonb_array_elements(coalesce(v_pending -> 'addons', '[]')) a
        WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(coalesce(p_request -> 'addons', '[]')) b WHERE (b ->> 'addon', coalesce(b ->> 'scope', '')) = (a ->> 'addon', coalesce(a ->> 'scope', '')))));
    PERFORM qzpay._cancel_pending_change(p_sub.tenant_id, p_sub.id, p_sub.now);
    IF r.items = v_items AND (r.unit, r.count) = (p_sub.interval_unit, p_sub.interval_count) THEN
        RETURN;
    END IF;
    IF p_sub.status <> 'trialing' THEN
        PERFORM qzpay._finalize_drafts(p_sub, true);
        PERFORM qzpay._refuse_while_unpaid(p_sub);
    END IF;
    IF p_sub.cancel_at > p_sub.now THEN
        RAISE EXCEPTION 'subscription % is to end', p_sub.id USING ERRCODE = 'QZ204', DETAIL = format('It ends at %s.', p_sub.cancel_at), HINT = 'Take the end back with uncancel(), or pass uncancel => true.';
    END IF;
    SELECT i.* INTO STRICT u FROM unnest(r.items) x CROSS JOIN LATERAL qzpay._usage_interval(x.product_id, r.unit, r.count) i WHERE x.kind = 'plan';
    v_resets := p_sub.status <> 'trialing' AND (r.unit, r.count, u.unit, u.count) IS DISTINCT FROM (p_sub.interval_unit, p_sub.interval_count, p_sub.usage_unit, p_sub.usage_count);
    IF p_proration <> 'none' AND p_sub.status <> 'trialing' THEN
        -- With a new anchor everything begins a new period, so everything is credited.
        PERFORM qzpay._add_pending_lines(p_sub.tenant_id, p_sub.id, qzpay._credit_lines(p_sub.tenant_id, p_sub.id,
            (SELECT array_agg(i.id) FROM qzpay.subscription_items i WHERE i.tenant_id = p_sub.tenant_id AND i.subscription_id = p_sub.id AND i.valid_from <= p_sub.now AND i.valid_until > p_sub.now
             AND (v_resets OR NOT EXISTS (SELECT FROM unnest(r.items) t WHERE (t.product_id, t.price_id, t.scope, t.quantity, t.name, t.unit_amount, t.included)
                                          IS NOT DISTINCT FROM (i.product_id, i.price_id, i.scope, i.quantity, i.name, i.unit_amount, i.included)))), p_sub.now), p_sub.now);
    END IF;
    SELECT * INTO STRICT d FROM qzpay._set_items(p_sub.tenant_id, p_sub.id, r.items, p_sub.now);
    PERFORM qzpay._adopt_plan(p_sub.tenant_id, p_sub.id, p_sub.now);
    INSERT INTO qzpay.subscription_changes (tenant_id, id, subscription_id, status, direction, request, from_plan, to_plan, interval_unit, interval_count, usage_unit, usage_count,
                                            proration, effective_at, invoice_id, requested_at, closed_at)
    VALUES (p_sub.tenant_id, v_change, p_sub.id, CASE WHEN v_resets THEN 'pending' ELSE 'applied' END, r.direction, p_request, r.from_plan, r.to_plan, r.unit, r.count, u.unit, u.count,
            p_proration, p_sub.now, CASE WHEN p_sub.status <> 'trialing' AND p_proration = 'always_invoice' AND NOT v_resets THEN v_invoice END, p_sub.now,
            CASE WHEN NOT v_resets THEN p_sub.now END);
    IF p_sub.status = 'trialing' THEN
        UPDATE qzpay.subscriptions s SET interval_unit = r.unit, interval_count = r.count, usage_unit = u.unit, usage_count = u.count, updated_at = p_sub.now
        WHERE s.tenant_id = p_sub.tenant_id AND s.id = p_sub.id;
        PERFORM qzpay._set_cycle_due(p_sub.tenant_id, p_sub.id, p_sub.now);
        PERFORM qzpay._emit_change(p_sub, r.direction, r.from_plan, r.to_plan, p_sub.now, NULL, true);
    ELSE
        IF NOT p_sub.period_comped THEN
            PERFORM qzpay._add_pending_lines(p_sub.tenant_id, p_sub.id,
                CASE WHEN NOT v_resets AND p_proration <> 'none' THEN qzpay._debit_lines(p_sub.tenant_id, p_sub.id, d.begun, v_items, p_sub.now) END
                || qzpay._setup_lines(p_sub.tenant_id, p_sub.id, d.begun, p_sub.now), p_sub.now);
        END IF;
        IF NOT v_resets THEN
            PERFORM qzpay._begin_own_cycles(p_sub.tenant_id, p_sub.id, d.begun, p_sub.now);
            IF r.new_product AND r.direction <> 'upgrade' THEN
                PERFORM qzpay._split_usage(p_sub, p_sub.now);
            END IF;
        END IF;
        UPDATE qzpay.subscriptions s SET change_at = CASE WHEN v_resets THEN p_sub.now END, updated_at = p_sub.now WHERE s.tenant_id = p_sub.tenant_id AND s.id = p_sub.id;
        SELECT sum(l.amount) INTO v_amount FROM qzpay.pending_lines l WHERE l.tenant_id = p_sub.tenant_id AND l.subscription_id = p_sub.id;
        PERFORM qzpay._emit_change(p_sub, r.direction, r.from_plan, r.to_plan, p_sub.now, v_amount, NOT v_resets);
        -- A new interval is a change scheduled for this very instant, and time's to carry out.
        IF v_resets THEN
            PERFORM qzpay._advance_subscriptions(ARRAY[p_sub.tenant_id], ARRAY[p_sub.id], ARRAY[p_sub.now], p_sub.now);
        ELSIF p_proration = 'always_invoice' THEN
            PERFORM qzpay._invoice_pending(p_sub.tenant_id, p_sub.id, v_invoice, p_sub.now);
        END IF;
        PERFORM qzpay._set_cycle_due(p_sub.tenant_id, p_sub.id, p_sub.now);
    END IF;
    IF v_pending ? 'plan' OR v_pending ? 'quantity' OR v_pending ? 'interval' OR jsonb_array_length(coalesce(v_pending -> 'addons', '[]') || coalesce(v_pending -> 'terms', '[]')) > 0 THEN
        PERFORM qzpay._schedule_change(qzpay._read_sub(p_sub.id), v_pending, p_proration, qzpay._change_instant(qzpay._read_sub(p_sub.id), v_pending));
    END IF;
    PERFORM qzpay._run_internal_attempts(p_sub.test_clock_id, 10);
END $$;
COMMENT ON FUNCTION qzpay._change_now(qzpay._sub, jsonb, text) IS
'Carries a change out at the customer''s now: items, credits and debits for the rest of the period, an invoice of its own or a new period, usage.';

CREATE OR REPLACE FUNCTION qzpay._change_on_resume(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
    v_sub qzpay._sub;
    r record;
    u record;
BEGIN
    FOR v_row IN
        SELECT s.tenant_id, s.id, s.customer_id, h.id AS change_id, h.request, k.due_at
        FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
        JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id AND s.status = 'paused' AND s.resume_at <= k.due_at AND coalesce(s.cancel_at > k.due_at, true)
        JOIN qzpay.subscription_changes h ON h.tenant_id = s.tenant_id AND h.subscription_id = s.id AND h.status = 'pending' AND h.effective_at IS NULL
    LOOP
        v_sub := qzpay._read_sub(v_row.id);
        SELECT * INTO STRICT r FROM qzpay._resolve_change(v_sub, qzpay._items_at(v_row.tenant_id, v_row.id, v_row.due_at), v_row.request);
        SELECT i.* INTO STRICT u FROM unnest(r.items) x CROSS JOIN LATERAL qzpay._usage_interval(x.product_id, r.unit, r.count) i WHERE x.kind = 'plan';
        PERFORM qzpay._set_items(v_row.tenant_id, v_row.id, r.items, v_row.due_at);
        UPDATE qzpay.subscription_changes h SET effective_at = v_row.due_at WHERE h.tenant_id = v_row.tenant_id AND h.id = v_row.change_id;
        UPDATE qzpay.subscriptions s SET change_at = v_row.due_at WHERE s.tenant_id = v_row.tenant_id AND s.id = v_row.id;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._change_on_resume(uuid[], uuid[], timestamptz[], timestamptz) IS 'Dates the changes that wait for a resume to the instant of it.';

-- For the subscriber and the application.

CREATE OR REPLACE FUNCTION qzpay.change_plan(subscription uuid, plan text, billing_interval text DEFAULT NULL, quantity integer DEFAULT NULL, effective text DEFAULT NULL,
        proration text DEFAULT NULL, uncancel boolean DEFAULT false, idempotency_key text DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.change_plan(uuid, text, text, integer, text, text, boolean, text) IS
'Moves a subscription to another plan, interval or quantity; NULL keeps what it has. effective: now or period_end; NULL goes by direction and the setting change_rules (upgrade now, downgrade at period end). '
'A change now credits the unused part of what was debited and debits the rest of the period: proration always_invoice (at once), create_prorations (with the next invoice) or none; NULL is the setting proration_behavior. '
'A change of interval now begins a new period at this instant. In a trial everything changes at once and nothing is billed; of a paused subscription when it resumes. One change can be scheduled: a further one joins it, '
'one that asks for what is there takes it back. Keeping plan and interval keeps the price. uncancel takes back a pending end. '
'Errors: QZ401 unknown plan, or no price for interval and currency; QZ204 ended, unpaid, payment under way, pending end; 22023 bad quantity or argument.';

CREATE OR REPLACE FUNCTION qzpay._change_plan(p_subscription uuid, p_plan text, p_interval text, p_quantity integer, p_effective text, p_proration text, p_uncancel boolean, p_key text)
RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._change(p_subscription, jsonb_strip_nulls(jsonb_build_object('plan', p_plan, 'interval', p_interval, 'quantity', p_quantity)), p_effective, p_proration,
                         coalesce(p_uncancel, false), p_key);
END $$;
COMMENT ON FUNCTION qzpay._change_plan(uuid, text, text, integer, text, text, boolean, text) IS 'Internal of change_plan(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.preview_change(subscription uuid, plan text, billing_interval text DEFAULT NULL, quantity integer DEFAULT NULL, effective text DEFAULT NULL,
        proration text DEFAULT NULL, uncancel boolean DEFAULT false)
RETURNS TABLE (effective_at timestamptz, direction text, invoice_at timestamptz, line_position integer, kind text, description text, period_start timestamptz, period_end timestamptz,
               quantity numeric, amount bigint, discount_amount bigint, tax_amount bigint, invoice_total bigint, amount_due bigint, currency text)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.preview_change(uuid, text, text, integer, text, text, boolean) IS
'Lines of the invoice that change_plan() with these arguments would make: its own, or where it has none the one at the next boundary. The real change, rolled back. '
'Where a later change shares the invoice of its day with other subscriptions, only its own part is shown. One row with NULL lines where nothing would be billed. For add-ons use dry_run(). Errors as change_plan().';

CREATE OR REPLACE FUNCTION qzpay._preview_change(p_subscription uuid, p_plan text, p_interval text, p_quantity integer, p_effective text, p_proration text, p_uncancel boolean)
RETURNS TABLE (effective_at timestamptz, direction text, invoice_at timestamptz, line_position integer, kind text, description text, period_start timestamptz, period_end timestamptz,
               quantity numeric, amount bigint, discount_amount bigint, tax_amount bigint, invoice_total bigint, amount_due bigint, currency text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_sub qzpay._sub;
    v_known uuid[];
    v_due timestamptz;
    v_before timestamptz;
    v_change jsonb;
    v_rows jsonb;
BEGIN
    v_sub := qzpay._sub_of(p_subscription);
    v_known := (SELECT coalesce(array_agg(i.id), '{}') FROM qzpay.invoices i WHERE i.tenant_id = v_sub.tenant_id AND i.customer_id = v_sub.customer_id);
    BEGIN
        PERFORM qzpay._change_plan(p_subscription, p_plan, p_interval, p_quantity, p_effective, p_proration, p_uncancel, NULL);
        v_change := (SELECT jsonb_build_object('effective_at', h.effective_at, 'direction', h.direction) FROM qzpay.subscription_changes h
                     WHERE h.tenant_id = v_sub.tenant_id AND h.subscription_id = v_sub.id AND h.requested_at = v_sub.now AND h.status <> 'canceled' ORDER BY h.id DESC LIMIT 1);
        IF NOT EXISTS (SELECT FROM qzpay.invoices i WHERE i.tenant_id = v_sub.tenant_id AND i.subscription_id = v_sub.id AND i.id <> ALL (v_known)) THEN
            SELECT coalesce(CASE WHEN s.status = 'trialing' THEN s.trial_end END, s.change_at, s.current_period_end) INTO v_due
            FROM qzpay.subscriptions s WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id AND s.status IN ('trialing', 'active', 'past_due', 'unpaid');
            IF v_due IS NOT NULL THEN
                -- What is billed before, such as usage that waits for late reports, has invoices of its own.
                v_before := qzpay._next_bill_at(v_sub.tenant_id, v_sub.id);
                WHILE v_before < v_due LOOP
                    PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_before], v_before);
                    v_known := (SELECT coalesce(array_agg(i.id), '{}') FROM qzpay.invoices i WHERE i.tenant_id = v_sub.tenant_id AND i.customer_id = v_sub.customer_id);
                    v_before := (SELECT n FROM qzpay._next_bill_at(v_sub.tenant_id, v_sub.id) n WHERE n > v_before);
                END LOOP;
                PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_due], v_due);
            END IF;
        END IF;
        SELECT jsonb_agg(jsonb_build_object('invoice_at', coalesce(i.issued_at, i.finalize_at), 'line_position', l.position, 'kind', l.kind, 'description', l.description, 'period_start', l.period_start,
                                            'period_end', l.period_end, 'quantity', l.quantity, 'amount', l.amount, 'discount_amount', l.discount_amount, 'tax_amount', l.tax_amount,
                                            'invoice_total', i.total, 'amount_due', i.amount_due, 'currency', i.currency) || coalesce(v_change, '{}') ORDER BY i.series_number, l.position) INTO v_rows
        FROM qzpay.invoices i JOIN qzpay.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
        WHERE i.tenant_id = v_sub.tenant_id AND i.subscription_id = v_sub.id AND i.id <> ALL (v_known);
        RAISE EXCEPTION USING ERRCODE = 'QZ999';
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
    RETURN QUERY SELECT x.* FROM jsonb_to_recordset(coalesce(v_rows, CASE WHEN v_change IS NOT NULL THEN jsonb_build_array(v_change) END))
        AS x (effective_at timestamptz, direction text, invoice_at timestamptz, line_position integer, kind text, description text, period_start timestamptz, period_end timestamptz,
              quantity numeric, amount bigint, discount_amount bigint, tax_amount bigint, invoice_total bigint, amount_due bigint, currency text);
END $$;
COMMENT ON FUNCTION qzpay._preview_change(uuid, text, text, integer, text, text, boolean) IS 'Internal of preview_change(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.cancel_scheduled_change(subscription uuid) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.cancel_scheduled_change(uuid) IS 'Takes back the scheduled change of a subscription; false where none is pending. See the view qzpay.scheduled_changes.';

CREATE OR REPLACE FUNCTION qzpay._cancel_scheduled_change(p_subscription uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    RETURN qzpay._cancel_pending_change(v_sub.tenant_id, v_sub.id, v_sub.now);
END $$;
COMMENT ON FUNCTION qzpay._cancel_scheduled_change(uuid) IS 'Internal of cancel_scheduled_change(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.add_addon(subscription uuid, addon text, quantity integer DEFAULT 1, scope text DEFAULT '', effective text DEFAULT NULL, proration text DEFAULT NULL,
        metadata jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.add_addon(uuid, text, integer, text, text, text, jsonb, text) IS
'Adds so many more of an add-on, now unless told, prorated like change_plan(); called twice without a key it adds twice. scope tells several of one add-on apart (a bot, a project). An add-on is billed by the subscription''s interval where it has such a price, '
'else by its own on the same anchor; one that sells quantity of a meter is charged and granted in full. Errors: QZ401 unknown add-on or no price; QZ204 included in the plan, not for it, requires or excludes another, not sold by itself; '
'22023 bad quantity; and as change_plan().';

CREATE OR REPLACE FUNCTION qzpay._add_addon(p_subscription uuid, p_addon text, p_quantity integer, p_scope text, p_effective text, p_proration text, p_metadata jsonb, p_key text)
RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := (SELECT s.tenant_id FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE);
    v_held integer;
BEGIN
    IF coalesce(p_quantity, 0) NOT BETWEEN 1 AND 1000000000 THEN
        RAISE EXCEPTION 'quantity % cannot be added', coalesce(p_quantity::text, 'NULL') USING ERRCODE = '22023', HINT = 'To lower it use set_addon_quantity() or remove_addon().';
    END IF;
    -- With a key the request is what was asked for, not what it comes to.
    IF qzpay._idempotent_begin(v_tenant, 'add_addon', p_key, jsonb_build_array(p_subscription, p_addon, p_quantity, p_scope, p_effective, p_proration, p_metadata)) IS NOT NULL THEN
        RETURN qzpay._subscription_row(v_tenant, p_subscription);
    END IF;
    SELECT i.quantity INTO v_held FROM unnest(qzpay._items_at(v_tenant, p_subscription, qzpay.now((SELECT s.customer_id FROM qzpay.subscriptions s WHERE s.tenant_id = v_tenant AND s.id = p_subscription)))) i
    WHERE i.product_id = qzpay._find_product(v_tenant, 'addon', p_addon) AND i.scope = coalesce(p_scope, '');
    PERFORM qzpay._set_addon_quantity(p_subscription, p_addon, coalesce(v_held, 0) + p_quantity, p_scope, p_effective, p_proration, p_metadata, NULL);
    PERFORM qzpay._idempotent_end(v_tenant, 'add_addon', p_key, jsonb_build_object('id', p_subscription));
    RETURN qzpay._subscription_row(v_tenant, p_subscription);
END $$;
COMMENT ON FUNCTION qzpay._add_addon(uuid, text, integer, text, text, text, jsonb, text) IS 'Internal of add_addon(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.set_addon_quantity(subscription uuid, addon text, quantity integer, scope text DEFAULT '', effective text DEFAULT NULL, proration text DEFAULT NULL,
        metadata jsonb DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.set_addon_quantity(uuid, text, integer, text, text, text, jsonb, text) IS
'Sets how many of an add-on a subscription has; 0 removes it. More is an upgrade and takes effect now, less at the end of the period, unless told; less of one that sells quantity of a meter always then. Errors as add_addon(); QZ204 to remove what is not there, or what another add-on requires.';

CREATE OR REPLACE FUNCTION qzpay._set_addon_quantity(p_subscription uuid, p_addon text, p_quantity integer, p_scope text, p_effective text, p_proration text, p_metadata jsonb, p_key text)
RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_addon IS NULL OR p_quantity IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN p_addon IS NULL THEN 'addon' ELSE 'quantity' END USING ERRCODE = '22004';
    ELSIF p_quantity < 0 THEN
        RAISE EXCEPTION 'quantity % is negative', p_quantity USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._check_metadata(p_metadata);
    RETURN qzpay._change(p_subscription, jsonb_build_object('addons', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('addon', p_addon, 'scope', p_scope, 'quantity', p_quantity,
                         'metadata', p_metadata)))), p_effective, p_proration, false, p_key);
END $$;
COMMENT ON FUNCTION qzpay._set_addon_quantity(uuid, text, integer, text, text, text, jsonb, text) IS 'Internal of set_addon_quantity(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.remove_addon(subscription uuid, addon text, scope text DEFAULT '', effective text DEFAULT NULL, proration text DEFAULT NULL, idempotency_key text DEFAULT NULL)
RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.remove_addon(uuid, text, text, text, text, text) IS 'set_addon_quantity() to 0: at the end of the period, or now with the unused part credited (one that sells quantity of a meter stays to the end).';

CREATE OR REPLACE FUNCTION qzpay._remove_addon(p_subscription uuid, p_addon text, p_scope text, p_effective text, p_proration text, p_key text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._set_addon_quantity(p_subscription, p_addon, 0, p_scope, p_effective, p_proration, NULL, p_key);
END $$;
COMMENT ON FUNCTION qzpay._remove_addon(uuid, text, text, text, text, text) IS 'Internal of remove_addon(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.set_item_terms(subscription uuid, product text, unit_amount numeric DEFAULT NULL, name text DEFAULT NULL, included jsonb DEFAULT NULL, scope text DEFAULT '',
        effective text DEFAULT 'period_end', proration text DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.set_item_terms(uuid, text, numeric, text, jsonb, text, text, text) IS
'Negotiated terms of one product of a subscription: price per unit and interval in minor units, name on invoices, included quantities ({"messages": 20000}). NULL leaves a term; a JSON null for included drops it. '
'Takes effect with the next period unless told now. Kept in subscription_changes. Errors: QZ401, QZ204 not part of the subscription, 22023.';

CREATE OR REPLACE FUNCTION qzpay._set_item_terms(p_subscription uuid, p_product text, p_unit_amount numeric, p_name text, p_included jsonb, p_scope text, p_effective text, p_proration text)
RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := (SELECT s.tenant_id FROM qzpay.subscriptions s WHERE s.id = p_subscription);
    v_terms jsonb := jsonb_strip_nulls(jsonb_build_object('unit_amount', p_unit_amount, 'name', p_name)) || CASE WHEN p_included IS NULL THEN '{}' ELSE jsonb_build_object('included', p_included) END;
    v_product uuid;
BEGIN
    PERFORM qzpay._check_terms(v_terms);
    SELECT i.product_id INTO v_product FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id AND (p.code = p_product OR p_product = ANY (p.aliases))
    WHERE i.tenant_id = v_tenant AND i.subscription_id = p_subscription LIMIT 1;
    RETURN qzpay._change(p_subscription, jsonb_build_object('terms', jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object('product', p_product, 'product_id', v_product, 'scope', p_scope)) || v_terms)), p_effective, p_proration, false, NULL);
END $$;
COMMENT ON FUNCTION qzpay._set_item_terms(uuid, text, numeric, text, jsonb, text, text, text) IS 'Internal of set_item_terms(), inside the tenant''s context.';
