-- Time's side of a contract: what is due, done set by set.

CREATE OR REPLACE FUNCTION qzpay._plan_rolls(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[]) RETURNS qzpay._roll[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(s.tenant_id, s.id, s.customer_id, c.seller_id, s.livemode, s.currency, k.due_at, f.ends, f.end_reason,
                             b.bills, f.converts, s.interval_count || ' ' || s.interval_unit, b.ordinal,
                             b.bill_start, CASE WHEN b.bills THEN qzpay.period_boundary(b.anchor, s.interval_unit, s.interval_count, b.ordinal + 1, s.timezone) END, b.anchor,
                             u.closes, u.closes AND s.status NOT IN ('trialing', 'incomplete'), u.usage_start, u.usage_end,
                             u.next_start, CASE WHEN u.next_start IS NOT NULL THEN qzpay.period_boundary(b.anchor, s.usage_unit, s.usage_count, u.next_ordinal + 1, s.timezone) END,
                             u.next_ordinal, s.interval_unit, s.interval_count,
                             qzpay.uuid_v5(n.id, 'invoice:subscription:' || s.id::text || ':' || extract(epoch FROM k.due_at)::text))::qzpay._roll
                         ORDER BY k.due_at, s.tenant_id, s.id)
        FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
        JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id
        JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
        CROSS JOIN qzpay.installation n
        CROSS JOIN LATERAL (
            -- The end beats the renewal.
            SELECT e.end_reason IS NOT NULL AS ends, e.end_reason,
                   e.end_reason IS NULL AND s.status = 'trialing' AND s.trial_end <= k.due_at AND (s.has_payment_method OR s.trial_end_behavior = 'past_due') AS converts
            FROM (SELECT CASE
                      WHEN s.status = 'incomplete' AND s.created_at + interval '23 hours' <= k.due_at THEN 'payment_timeout'
                      WHEN s.cancel_at <= k.due_at THEN coalesce(s.cancel_reason, 'requested')
                      WHEN s.status = 'trialing' AND s.trial_end <= k.due_at AND NOT s.has_payment_method AND s.trial_end_behavior = 'cancel' THEN 'trial_expired'
                      WHEN NOT s.auto_renew AND s.status <> 'trialing' AND s.current_period_end <= k.due_at THEN 'expired'
                  END AS end_reason) e
        ) f
        LEFT JOIN qzpay.periods pb ON NOT f.converts AND pb.tenant_id = s.tenant_id AND pb.subscription_id = s.id
             AND pb.cycle = s.interval_count || ' ' || s.interval_unit AND pb.period_start = s.current_period_start
        LEFT JOIN qzpay.periods pu ON NOT f.converts AND pu.tenant_id = s.tenant_id AND pu.subscription_id = s.id
             AND pu.cycle = 'usage' AND pu.period_start = s.usage_period_start
        CROSS JOIN LATERAL (
            SELECT CASE WHEN f.converts THEN s.trial_end ELSE s.anchor END AS anchor,
                   NOT f.ends AND (f.converts OR s.status IN ('active', 'past_due', 'unpaid', 'incomplete') AND coalesce(s.current_period_end, s.anchor) <= k.due_at) AS bills,
                   CASE WHEN f.converts THEN s.trial_end ELSE coalesce(s.current_period_end, s.anchor) END AS bill_start,
                   CASE WHEN f.converts OR s.current_period_end IS NULL THEN 0 ELSE pb.ordinal + 1 END AS ordinal
        ) b
        CROSS JOIN LATERAL (
            SELECT s.usage_period_end IS NOT NULL AND (f.ends OR f.converts OR s.usage_period_end <= k.due_at) AS closes,
                   s.usage_period_start AS usage_start, least(s.usage_period_end, CASE WHEN f.ends OR f.converts THEN k.due_at END) AS usage_end,
                   CASE WHEN f.ends OR s.status IN ('canceled', 'incomplete_expired', 'paused') THEN NULL
                        WHEN s.status = 'trialing' AND s.trial_end <= k.due_at AND NOT f.converts THEN NULL
                        WHEN f.converts THEN s.trial_end
                        WHEN s.usage_period_end IS NULL AND b.bills THEN s.anchor
                        WHEN s.usage_period_end <= k.due_at THEN s.usage_period_end END AS next_start,
                   CASE WHEN f.converts OR s.usage_period_end IS NULL THEN 0 ELSE pu.ordinal + 1 END AS next_ordinal
        ) u
    );
END $$;
COMMENT ON FUNCTION qzpay._plan_rolls(uuid[], uuid[], timestamptz[]) IS
'What each of these (locked) subscriptions has to do at its due instant: close a usage period, end, convert a trial, begin a period. Boundary n is anchor + n × interval in its zone. '
'Reads only; NULL for no subscription.';

CREATE OR REPLACE FUNCTION qzpay._advance_subscriptions(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rolls qzpay._roll[] := qzpay._plan_rolls(p_tenants, p_subscriptions, p_dues);
    v_lines qzpay._line[];
    v_invoices bigint;
BEGIN
    IF v_rolls IS NULL THEN
        RETURN 0;
    END IF;
    -- Nobody adds to the usage that is about to be read, and whoever had begun to has ended.
    PERFORM qzpay._close_usage(array_agg(r.tenant_id), array_agg(r.customer_id), array_agg(r.usage_start)) FROM unnest(v_rolls) r WHERE r.closes_usage HAVING count(*) > 0;
    v_lines := qzpay._advance_lines(v_rolls) || qzpay._usage_lines(v_rolls);
    v_lines := v_lines || qzpay._commitment_lines(v_rolls, v_lines);
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal, invoice_id)
    SELECT r.tenant_id, r.subscription_id, r.cycle, r.bill_start, r.bill_end, r.ordinal, l.invoice_id
    FROM unnest(v_rolls) r LEFT JOIN (SELECT DISTINCT l.invoice_id FROM unnest(v_lines) l WHERE l.amount <> 0) l USING (invoice_id) WHERE r.bills
    UNION ALL
    SELECT r.tenant_id, r.subscription_id, 'usage', r.next_usage_start, r.next_usage_end, r.usage_ordinal, NULL FROM unnest(v_rolls) r WHERE r.next_usage_start IS NOT NULL;

    v_invoices := qzpay._write_invoices((SELECT array_agg(ROW(r.tenant_id, r.invoice_id, r.customer_id, r.subscription_id, r.seller_id, r.livemode, r.currency,
        CASE WHEN r.bills THEN 'subscription' ELSE 'usage' END, r.due_at, coalesce(r.bill_start, r.usage_start), coalesce(r.bill_end, r.usage_end), NULL, NULL, NULL)::qzpay._bill)
        FROM unnest(v_rolls) r), v_lines, p_at);

    UPDATE qzpay.subscriptions s SET
        status = CASE WHEN r.ends AND r.end_reason = 'payment_timeout' THEN 'incomplete_expired'
                      WHEN r.ends THEN 'canceled'
                      WHEN r.converts THEN 'active'
                      WHEN s.status = 'trialing' AND s.trial_end <= r.due_at AND s.trial_end_behavior = 'pause' THEN 'paused'
                      ELSE s.status END::qzpay.subscription_status,
        status_reason = CASE WHEN r.ends THEN r.end_reason WHEN r.converts THEN NULL
                             WHEN s.status = 'trialing' AND s.trial_end <= r.due_at THEN 'trial_without_payment_method' ELSE s.status_reason END,
        anchor = coalesce(r.anchor, s.anchor),
        current_period_start = CASE WHEN r.bills THEN r.bill_start ELSE s.current_period_start END,
        current_period_end = CASE WHEN r.bills THEN r.bill_end ELSE s.current_period_end END,
        usage_period_start = CASE WHEN r.next_usage_start IS NOT NULL THEN r.next_usage_start WHEN r.closes_usage THEN NULL ELSE s.usage_period_start END,
        usage_period_end = CASE WHEN r.next_usage_start IS NOT NULL THEN r.next_usage_end WHEN r.closes_usage THEN NULL ELSE s.usage_period_end END,
        paused_at = CASE WHEN NOT r.ends AND NOT r.converts AND s.status = 'trialing' AND s.trial_end <= r.due_at AND s.trial_end_behavior = 'pause'
                         THEN r.due_at ELSE s.paused_at END,
        canceled_at = CASE WHEN r.ends THEN coalesce(s.canceled_at, p_at) ELSE s.canceled_at END,
        ended_at = CASE WHEN r.ends THEN r.due_at ELSE s.ended_at END,
        dunning_next_at = CASE WHEN r.ends THEN NULL ELSE s.dunning_next_at END,
        updated_at = p_at
    FROM unnest(v_rolls) r
    WHERE s.tenant_id = r.tenant_id AND s.id = r.subscription_id
      AND (r.ends OR r.bills OR r.closes_usage OR r.next_usage_start IS NOT NULL OR s.status = 'trialing' AND s.trial_end <= r.due_at);

    PERFORM qzpay._after_ends(v_rolls, p_at);
    PERFORM qzpay._collect(v_rolls, p_at);
    RETURN v_invoices;
END $$;
COMMENT ON FUNCTION qzpay._advance_subscriptions(uuid[], uuid[], timestamptz[], timestamptz) IS
'The billing run, set by set, over subscriptions locked by the caller, each at its own due instant: usage period closed with the items it had, ends, new periods, '
'one invoice per subscription and instant (advance and arrears lines together), attempts planned. p_at dates the documents. '
'A period that exists already is a unique violation, so nothing is billed twice. Returns the number of invoices.';

CREATE OR REPLACE FUNCTION qzpay._was_never_active(p_tenant uuid, p_subscription uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM qzpay.transitions t WHERE t.tenant_id = p_tenant AND t.object_id = p_subscription AND t.machine = 'subscription'
                   AND t.from_status = 'incomplete' AND t.to_status IN ('incomplete_expired', 'canceled'));
END $$;
COMMENT ON FUNCTION qzpay._was_never_active(uuid, uuid) IS 'Whether a subscription ended before its first payment, so that nothing was given for its invoice.';

CREATE OR REPLACE FUNCTION qzpay._after_ends(p_rolls qzpay._roll[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_invoices uuid[];
    v_statuses text[];
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(p_rolls) r WHERE r.ends) THEN
        RETURN;
    END IF;
    UPDATE qzpay.subscription_items i SET valid_until = greatest(r.due_at, i.valid_from + interval '1 microsecond')
    FROM unnest(p_rolls) r
    WHERE r.ends AND i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id AND i.valid_until > r.due_at;
    UPDATE qzpay.dunning_cases d SET closed_at = p_at, outcome = 'canceled'
    FROM unnest(p_rolls) r
    WHERE r.ends AND d.tenant_id = r.tenant_id AND d.subscription_id = r.subscription_id AND d.closed_at IS NULL;
    -- What dunning could not collect is written off; what was never activated is void.
    SELECT array_agg(i.tenant_id), array_agg(i.id), array_agg(CASE WHEN x.never_active THEN 'void' ELSE 'uncollectible' END) INTO v_tenants, v_invoices, v_statuses
    FROM unnest(p_rolls) r
    CROSS JOIN LATERAL (SELECT qzpay._was_never_active(r.tenant_id, r.subscription_id) AS never_active) x
    JOIN qzpay.invoices i ON i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id
    WHERE r.ends AND (x.never_active OR r.end_reason = 'payment_failed' AND i.id <> r.invoice_id) AND i.status = 'open' AND i.amount_in_flight = 0;
    IF v_invoices IS NOT NULL THEN
        PERFORM qzpay._cancel_planned_attempts(v_tenants, v_invoices, p_at);
        PERFORM qzpay._write_off(v_tenants, v_invoices, v_statuses, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._after_ends(qzpay._roll[], timestamptz) IS
'What an end entails: items end, the dunning case closes, its unpaid invoices become uncollectible (payment_failed) or void (first payment never made, whatever ended it).';

CREATE OR REPLACE FUNCTION qzpay._collect(p_rolls qzpay._roll[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
BEGIN
    -- An invoice that has been tried is of an earlier run at the same instant, such as that of a cancellation right after a renewal.
    PERFORM qzpay._plan_attempts(array_agg(r.tenant_id), array_agg(r.invoice_id), 'billing', p_at) FROM unnest(p_rolls) r
    WHERE NOT EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = r.tenant_id AND a.invoice_id = r.invoice_id);
    FOR v_row IN
        SELECT i.tenant_id, i.id
        FROM unnest(p_rolls) r
        JOIN qzpay.invoices i ON i.tenant_id = r.tenant_id AND i.id = r.invoice_id AND i.status = 'open' AND i.collection = 'charge_automatically'
        WHERE NOT r.ends AND NOT EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.id)
    LOOP
        -- Nothing to charge: a definite failure that only the customer can mend.
        PERFORM qzpay._payment_failed(v_row.tenant_id, v_row.id, p_at);
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._collect(qzpay._roll[], timestamptz) IS
'Plans the first attempt of each new invoice; an invoice without any usable method counts as failed at once.';

CREATE OR REPLACE FUNCTION qzpay._due_batch(p_clock uuid, p_until timestamptz, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_subscriptions uuid[];
    v_dues timestamptz[];
BEGIN
    SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(k.next_due_at) INTO v_tenants, v_subscriptions, v_dues
    FROM (SELECT s.tenant_id, s.id, s.next_due_at FROM qzpay.subscriptions s
          WHERE p_clock IS NULL AND s.test_clock_id IS NULL AND s.next_due_at <= p_until AND s.set_aside_at IS NULL
          ORDER BY s.next_due_at LIMIT p_limit FOR UPDATE SKIP LOCKED) k;
    IF p_clock IS NOT NULL THEN
        SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(k.next_due_at) INTO v_tenants, v_subscriptions, v_dues
        FROM (SELECT s.tenant_id, s.id, s.next_due_at FROM qzpay.subscriptions s
              WHERE s.test_clock_id = p_clock AND s.next_due_at <= p_until AND s.set_aside_at IS NULL
              ORDER BY s.next_due_at, s.tenant_id, s.id LIMIT p_limit FOR UPDATE) k;
    END IF;
    IF v_subscriptions IS NULL THEN
        RETURN 0;
    END IF;
    BEGIN
        PERFORM qzpay._do_due(v_tenants, v_subscriptions, v_dues, p_at);
    EXCEPTION WHEN OTHERS THEN
        -- Somebody in the batch failed: one by one, so that only the bad ones are set aside.
        FOR n IN 1 .. cardinality(v_subscriptions) LOOP
            PERFORM qzpay._do_due_alone(v_tenants[n], v_subscriptions[n], v_dues[n], p_at);
        END LOOP;
    END;
    RETURN cardinality(v_subscriptions);
END $$;
COMMENT ON FUNCTION qzpay._due_batch(uuid, timestamptz, timestamptz, integer) IS
'Does what time itself asks for, for up to p_limit subscriptions due at p_until or before: those on the test clock, or with NULL those in real time. p_at dates what is written. '
'Skips what another session holds. Returns how many subscriptions were taken; 0 means nothing is due.';

CREATE OR REPLACE FUNCTION qzpay._do_due_alone(p_tenant uuid, p_subscription uuid, p_due timestamptz, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_code text;
    v_message text;
BEGIN
    PERFORM qzpay._do_due(ARRAY[p_tenant], ARRAY[p_subscription], ARRAY[p_due], p_at);
EXCEPTION
    WHEN query_canceled OR deadlock_detected OR serialization_failure OR admin_shutdown THEN
        RAISE;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS v_code = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
        INSERT INTO qzpay.billing_errors (tenant_id, id, subscription_id, due_at, error_code, error_message, occurred_at)
        VALUES (p_tenant, qzpay.uuid_v7(), p_subscription, p_due, v_code, qzpay.redact(v_message), p_at);
        UPDATE qzpay.subscriptions s SET set_aside_at = p_at WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
        PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'subscription', p_subscription, s.customer_id,
                                  jsonb_build_object('level', 'error', 'message', 'billing set aside: ' || qzpay.redact(v_message), 'code', v_code), NULL, p_at)
        FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
END $$;
COMMENT ON FUNCTION qzpay._do_due_alone(uuid, uuid, timestamptz, timestamptz) IS
'The work of one subscription in a subtransaction of its own; an error sets it aside (billing_errors, alert.raised) and stops nobody else.';

CREATE OR REPLACE FUNCTION qzpay._do_due(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_stuck uuid;
BEGIN
    -- The order of RULES C3: dunning's own end first asks for it, then usage, end, renewal and charge in one pass, reminders last.
    PERFORM qzpay._dunning_steps(p_tenants, p_subscriptions, p_dues, p_at);
    PERFORM qzpay._advance_subscriptions(p_tenants, p_subscriptions, p_dues, p_at);
    PERFORM qzpay._remind(p_tenants, p_subscriptions, p_dues, p_at);
    SELECT s.id INTO v_stuck
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id WHERE s.next_due_at <= k.due_at LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'subscription % made no progress at its due instant', v_stuck USING ERRCODE = 'XX000';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._do_due(uuid[], uuid[], timestamptz[], timestamptz) IS
'All that is due for these locked subscriptions at their due instants; raises XX000 if one would be due at the same instant again.';

CREATE OR REPLACE FUNCTION qzpay._remind(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, dedupe_key, occurred_at, recorded_at)
    SELECT s.tenant_id, qzpay.uuid_v7(), 'trial.expiring', 'subscription', s.id, s.customer_id, s.livemode,
           jsonb_build_object('subscriptionId', s.id, 'daysRemaining', d.days, 'daysLeft', d.days, 'effectiveAt', s.trial_end,
                              'hasPaymentMethod', s.has_payment_method, 'emailSentByPackage', false),
           'trial.expiring:' || s.id || ':' || extract(epoch FROM s.trial_end) || ':' || d.days, p_at, qzpay._recorded_at()
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id
    CROSS JOIN LATERAL (SELECT days::int AS days FROM jsonb_array_elements_text(qzpay.setting('trial_reminder_days')) AS days) d
    WHERE s.status = 'trialing' AND p_at < s.trial_end AND k.due_at = s.trial_end - d.days * interval '24 hours'
    ON CONFLICT (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    UPDATE qzpay.subscriptions s SET reminded_at = k.due_at
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    WHERE s.tenant_id = k.tenant_id AND s.id = k.id AND s.status = 'trialing' AND k.due_at < s.trial_end;
END $$;
COMMENT ON FUNCTION qzpay._remind(uuid[], uuid[], timestamptz[], timestamptz) IS
'Emits trial.expiring, once per trial end and number of days, for the subscriptions whose due instant is a reminder; none once the trial is over.';
