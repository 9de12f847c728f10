-- Dunning: one case per subscription, steps counted from its first definite failure.

CREATE OR REPLACE FUNCTION qzpay._next_dunning_at(p_tenant uuid, p_subscription uuid) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN t.action IN ('cancel', 'mark_unpaid') THEN greatest(d.opened_at + t.after_days * interval '24 hours', d.grace_until)
                    ELSE d.opened_at + t.after_days * interval '24 hours' END
        FROM qzpay.dunning_cases d JOIN qzpay.dunning_steps t ON t.policy = d.policy AND t.step > d.step
        WHERE d.tenant_id = p_tenant AND d.subscription_id = p_subscription AND d.closed_at IS NULL
        ORDER BY t.step LIMIT 1
    );
END $$;
COMMENT ON FUNCTION qzpay._next_dunning_at(uuid, uuid) IS
'Instant of the open case''s next step: n × 24 h after it opened; the final step not before grace is over. NULL: no open case, or no step left.';

CREATE OR REPLACE FUNCTION qzpay._money_under_way(p_tenant uuid, p_subscription uuid) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
        JOIN qzpay.payment_attempts a ON a.tenant_id = i.tenant_id AND a.invoice_id = i.id
        WHERE m.tenant_id = p_tenant AND m.subscription_id = p_subscription AND i.status = 'open' AND a.operation = 'charge'
          AND a.status IN ('sending', 'confirming', 'processing', 'unknown', 'needs_operator'));
END $$;
COMMENT ON FUNCTION qzpay._money_under_way(uuid, uuid) IS 'Whether a payment of an open invoice of a subscription may have moved money that nobody knows of yet: until then dunning''s final step waits.';

CREATE OR REPLACE FUNCTION qzpay._dunning_goes_on(p_tenant uuid, p_subscription uuid, p_at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_next timestamptz := qzpay._next_dunning_at(p_tenant, p_subscription);
BEGIN
    -- A step whose instant is over is the final one, put off.
    RETURN CASE WHEN v_next > p_at THEN v_next WHEN v_next IS NOT NULL AND NOT qzpay._money_under_way(p_tenant, p_subscription) THEN p_at END;
END $$;
COMMENT ON FUNCTION qzpay._dunning_goes_on(uuid, uuid, timestamptz) IS
'When an outcome at this instant lets dunning take its next step: at once where its time is over. NULL: no open case, no step left, or another payment is still under way, whose outcome will ask again.';

CREATE OR REPLACE FUNCTION qzpay._will_retry(p_tenant uuid, p_invoice uuid, p_class text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT p_class IS DISTINCT FROM 'never' AND EXISTS (
            SELECT FROM qzpay.invoices i
            JOIN qzpay.invoice_subscriptions m ON m.tenant_id = i.tenant_id AND m.invoice_id = i.id
            JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id AND s.ended_at IS NULL
            LEFT JOIN qzpay.dunning_cases d ON d.tenant_id = s.tenant_id AND d.subscription_id = s.id AND d.closed_at IS NULL
            JOIN qzpay.dunning_steps t ON t.policy = coalesce(d.policy, s.dunning_policy) AND t.action = 'retry' AND t.step > coalesce(d.step, 0)
            WHERE i.tenant_id = p_tenant AND i.id = p_invoice AND s.status <> 'incomplete')
    );
END $$;
COMMENT ON FUNCTION qzpay._will_retry(uuid, uuid, text) IS 'Whether dunning still has a retry ahead for this invoice; false for a decline of class never.';

CREATE OR REPLACE FUNCTION qzpay._is_chased(p_tenant uuid, p_invoice uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM qzpay.invoice_subscriptions m JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id AND s.ended_at IS NULL
                   WHERE m.tenant_id = p_tenant AND m.invoice_id = p_invoice);
END $$;
COMMENT ON FUNCTION qzpay._is_chased(uuid, uuid) IS 'Whether a subscription that an invoice bills still runs, so that there is somebody to ask for the money.';

CREATE OR REPLACE FUNCTION qzpay._payment_failed(p_tenant uuid, p_invoice uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_never_active boolean;
    v_grace timestamptz;
BEGIN
    -- Manual invoices change nobody's status; a first payment has its own 23 hours.
    FOR v_sub IN
        SELECT s.* FROM qzpay.invoice_subscriptions m
        JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id
        WHERE m.tenant_id = p_tenant AND m.invoice_id = p_invoice ORDER BY s.id FOR UPDATE OF s
    LOOP
        v_never_active := v_sub.ended_at IS NOT NULL AND qzpay._was_never_active(p_tenant, v_sub.id);
        IF (v_never_active OR v_sub.ended_at IS NOT NULL AND v_sub.status_reason = 'payment_failed') AND NOT qzpay._is_chased(p_tenant, p_invoice) THEN
            -- The contract ended while this attempt was under way; what it leaves is given up like the rest was.
            PERFORM qzpay._write_off(ARRAY[i.tenant_id], ARRAY[i.id], ARRAY[CASE WHEN v_never_active THEN 'void' ELSE 'uncollectible' END], p_at)
            FROM qzpay.invoices i WHERE i.tenant_id = p_tenant AND i.id = p_invoice AND i.status = 'open' AND i.amount_in_flight = 0;
        END IF;
        CONTINUE WHEN v_sub.ended_at IS NOT NULL OR v_sub.status NOT IN ('active', 'past_due', 'unpaid');
        v_grace := p_at + v_sub.grace_days * interval '24 hours';
        INSERT INTO qzpay.dunning_cases (tenant_id, id, subscription_id, policy, opened_at, grace_until)
        VALUES (p_tenant, qzpay.uuid_v7(), v_sub.id, v_sub.dunning_policy, p_at, v_grace)
        ON CONFLICT (tenant_id, subscription_id) WHERE closed_at IS NULL DO NOTHING;
        UPDATE qzpay.subscriptions s SET
            status = CASE WHEN s.status = 'active' THEN 'past_due' ELSE s.status END,
            status_reason = CASE WHEN s.status = 'active' THEN 'payment_failed' ELSE s.status_reason END,
            past_due_since = CASE WHEN s.status = 'active' THEN p_at ELSE s.past_due_since END,
            grace_until = CASE WHEN s.status = 'active' THEN v_grace ELSE s.grace_until END,
            dunning_next_at = qzpay._dunning_goes_on(p_tenant, s.id, p_at),
            updated_at = p_at
        WHERE s.tenant_id = p_tenant AND s.id = v_sub.id;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._payment_failed(uuid, uuid, timestamptz) IS
'What a definite failure of an invoice means for each contract it bills: the first opens the dunning case and grace, later ones join it.';

CREATE OR REPLACE FUNCTION qzpay._invoice_paid(p_tenant uuid, p_invoice uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
BEGIN
    FOR v_sub IN
        SELECT s.* FROM qzpay.invoice_subscriptions m
        JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id
        WHERE m.tenant_id = p_tenant AND m.invoice_id = p_invoice ORDER BY s.id FOR UPDATE OF s
    LOOP
        IF v_sub.ended_at IS NOT NULL THEN
            PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'invoice', p_invoice, v_sub.customer_id,
                jsonb_build_object('level', 'warning', 'message', 'an invoice was paid after its subscription had ended', 'invoiceId', p_invoice, 'subscriptionId', v_sub.id), NULL, p_at);
        ELSIF v_sub.status = 'incomplete' AND v_sub.trial_price_id IS NOT NULL THEN
            PERFORM qzpay._start_trial(p_tenant, v_sub.id, p_at);
        ELSIF v_sub.status = 'incomplete' THEN
            UPDATE qzpay.subscriptions s SET status = 'active', status_reason = NULL, updated_at = p_at WHERE s.tenant_id = p_tenant AND s.id = v_sub.id;
        ELSIF v_sub.status IN ('past_due', 'unpaid') AND NOT EXISTS (
            SELECT FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
            WHERE m.tenant_id = p_tenant AND m.subscription_id = v_sub.id AND i.status = 'open') THEN
            UPDATE qzpay.dunning_cases d SET closed_at = p_at, outcome = 'recovered'
            WHERE d.tenant_id = p_tenant AND d.subscription_id = v_sub.id AND d.closed_at IS NULL;
            UPDATE qzpay.subscriptions s SET status = 'active', status_reason = NULL, past_due_since = NULL, grace_until = NULL, dunning_next_at = NULL,
                   restricted_at = NULL, restricted_reason = NULL, updated_at = p_at
            WHERE s.tenant_id = p_tenant AND s.id = v_sub.id;
        ELSIF v_sub.status IN ('past_due', 'unpaid') AND v_sub.dunning_next_at IS NULL THEN
            -- The final step has waited for this payment; others are not made.
            UPDATE qzpay.subscriptions s SET dunning_next_at = qzpay._dunning_goes_on(p_tenant, s.id, p_at) WHERE s.tenant_id = p_tenant AND s.id = v_sub.id;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._invoice_paid(uuid, uuid, timestamptz) IS
'What a fully paid invoice means for each subscription it bills: the first payment activates it or begins its trial, the last overdue one ends dunning; one that comes after the end raises an alert.';

CREATE OR REPLACE FUNCTION qzpay._dunning_steps(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
    v_oldest uuid;
BEGIN
    FOR v_row IN
        SELECT s.tenant_id, s.id, s.customer_id, k.due_at, d.id AS case_id, t.step, t.action, t.template
        FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
        JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id
        JOIN qzpay.dunning_cases d ON d.tenant_id = s.tenant_id AND d.subscription_id = s.id AND d.closed_at IS NULL
        CROSS JOIN LATERAL (SELECT t.* FROM qzpay.dunning_steps t WHERE t.policy = d.policy AND t.step > d.step ORDER BY t.step LIMIT 1) t
        WHERE s.dunning_next_at <= k.due_at
        ORDER BY k.due_at, s.tenant_id, s.id
    LOOP
        IF v_row.action IN ('cancel', 'mark_unpaid') AND qzpay._money_under_way(v_row.tenant_id, v_row.id) THEN
            -- Money may be under way: the outcome, whichever it is, sets the next instant. Access has ended with grace regardless.
            UPDATE qzpay.subscriptions s SET dunning_next_at = NULL WHERE s.tenant_id = v_row.tenant_id AND s.id = v_row.id;
            CONTINUE;
        END IF;
        UPDATE qzpay.dunning_cases d SET step = v_row.step WHERE d.tenant_id = v_row.tenant_id AND d.id = v_row.case_id;
        CASE v_row.action
        WHEN 'retry' THEN
            SELECT i.id INTO v_oldest FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
            WHERE m.tenant_id = v_row.tenant_id AND m.subscription_id = v_row.id AND i.status = 'open' ORDER BY i.issued_at, i.series_number LIMIT 1;
            -- Where several are chased for one invoice, their steps come together, and one of them tries.
            IF NOT EXISTS (SELECT FROM qzpay.payment_attempts a JOIN qzpay.invoice_shares h ON h.tenant_id = a.tenant_id AND h.invoice_id = a.invoice_id AND h.subscription_id = v_row.id
                           WHERE a.tenant_id = v_row.tenant_id AND a.invoice_id = v_oldest AND a.trigger = 'dunning' AND a.planned_at >= v_row.due_at) THEN
                PERFORM qzpay._plan_attempts(ARRAY[v_row.tenant_id], ARRAY[v_oldest], 'dunning', p_at);
            END IF;
        WHEN 'email' THEN
            PERFORM qzpay._emit_event(v_row.tenant_id, 'subscription.past_due', 'subscription', v_row.id, v_row.customer_id,
                jsonb_build_object('subscriptionId', v_row.id, 'reminder', v_row.template, 'step', v_row.step, 'emailSentByPackage', false), NULL, p_at);
        WHEN 'restrict' THEN
            UPDATE qzpay.subscriptions s SET restricted_at = v_row.due_at, restricted_reason = 'dunning', updated_at = p_at
            WHERE s.tenant_id = v_row.tenant_id AND s.id = v_row.id AND s.restricted_at IS NULL;
            PERFORM qzpay._emit_event(v_row.tenant_id, 'subscription.restricted', 'subscription', v_row.id, v_row.customer_id,
                jsonb_build_object('subscriptionId', v_row.id, 'reason', 'dunning', 'emailSentByPackage', false), NULL, p_at);
        WHEN 'mark_unpaid' THEN
            UPDATE qzpay.subscriptions s SET status = 'unpaid', updated_at = p_at WHERE s.tenant_id = v_row.tenant_id AND s.id = v_row.id;
        WHEN 'cancel' THEN
            UPDATE qzpay.subscriptions s SET cancel_at = v_row.due_at, cancel_reason = 'payment_failed' WHERE s.tenant_id = v_row.tenant_id AND s.id = v_row.id;
        END CASE;
        UPDATE qzpay.subscriptions s SET dunning_next_at = qzpay._next_dunning_at(v_row.tenant_id, v_row.id)
        WHERE s.tenant_id = v_row.tenant_id AND s.id = v_row.id;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._dunning_steps(uuid[], uuid[], timestamptz[], timestamptz) IS
'Does the dunning step that is due for each of these locked subscriptions. cancel only asks for the end; _advance_subscriptions() then carries it out in its order.';
