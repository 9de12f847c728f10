-- End, pause, trial and free access.

CREATE OR REPLACE FUNCTION qzpay.cancel(subscription uuid, at text DEFAULT 'period_end', reason text DEFAULT 'requested', settle text DEFAULT 'none', feedback text DEFAULT NULL)
RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.cancel(uuid, text, text, text, text) IS
'Ends a subscription: at ''period_end'' (default; the trial''s end in a trial), ''now'', or an instant given as text (words such as tomorrow are of real time, also on a test clock). '
'What was paid is kept until then; settle, for an end now, gives back the unused part by credit notes: credit to the customer''s balance, refund through the provider it was paid with (see credit_invoice()), in both cases less what is unpaid. reason is a code (too_expensive, missing_features …), feedback the customer''s own words. '
'Errors: QZ204 already ended or managed by a provider, 22007 bad instant, 22023 an instant in the past or a bad settle.';

CREATE OR REPLACE FUNCTION qzpay._cancel(p_subscription uuid, p_at text, p_reason text, p_settle text, p_feedback text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- An end now beats a renewal that is due and not made yet.
    v_sub qzpay._sub := CASE WHEN p_at = 'now' THEN qzpay._read_sub(p_subscription) ELSE qzpay._sub_of(p_subscription) END;
    v_when timestamptz;
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF coalesce(p_settle, 'none') NOT IN ('none', 'credit', 'refund') THEN
        RAISE EXCEPTION 'no settle "%"', p_settle USING ERRCODE = '22023', HINT = 'none, credit or refund.';
    END IF;
    v_when := CASE coalesce(p_at, 'period_end') WHEN 'now' THEN v_sub.now
                   WHEN 'period_end' THEN coalesce(CASE WHEN v_sub.status = 'trialing' THEN v_sub.trial_end END, CASE WHEN v_sub.status <> 'paused' THEN v_sub.current_period_end END, v_sub.now)
                   ELSE p_at::timestamptz END;
    IF v_when < v_sub.now OR NOT isfinite(v_when) THEN
        RAISE EXCEPTION 'cannot cancel at %', v_when USING ERRCODE = '22023', DETAIL = format('It is %s for this customer.', v_sub.now);
    ELSIF p_settle <> 'none' AND v_when > v_sub.now THEN
        RAISE EXCEPTION 'only an end now is settled' USING ERRCODE = '22023', HINT = 'What is paid is used up to a later end.';
    END IF;
    UPDATE qzpay.subscriptions s SET cancel_at = v_when, cancel_reason = coalesce(p_reason, 'requested'), cancel_feedback = p_feedback, canceled_at = v_sub.now,
           reminded_at = greatest(s.reminded_at, v_sub.now), updated_at = v_sub.now
    WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    IF v_when <= v_sub.now THEN
        IF p_settle <> 'none' THEN
            PERFORM qzpay._finalize_drafts(v_sub, false);
            PERFORM qzpay._credit_rest(v_sub, CASE p_settle WHEN 'refund' THEN 'refund' ELSE 'balance' END, 'canceled');
        END IF;
        PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_sub.now], v_sub.now);
        PERFORM qzpay._run_internal_attempts(v_sub.test_clock_id, 10);
    END IF;
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._cancel(uuid, text, text, text, text) IS 'Internal of cancel(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._credit_rest(p_sub qzpay._sub, p_mode text, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lines qzpay._line[] := qzpay._credit_lines(p_sub.tenant_id, p_sub.id,
        (SELECT array_agg(i.id) FROM qzpay.subscription_items i WHERE i.tenant_id = p_sub.tenant_id AND i.subscription_id = p_sub.id AND i.valid_from <= p_sub.now AND i.valid_until >= p_sub.now), p_sub.now);
    v_row record;
BEGIN
    FOR v_row IN
        SELECT l.invoice_id, jsonb_agg(jsonb_build_object('line', l.source_line_id, 'amount', -l.amount, 'period_start', l.period_start, 'period_end', l.period_end)) AS lines
        FROM unnest(v_lines) l WHERE l.invoice_id IS NOT NULL GROUP BY l.invoice_id ORDER BY l.invoice_id
    LOOP
        PERFORM qzpay._lock_invoice(v_row.invoice_id);
        -- What waits for others of its day does so no longer: only what is final can be credited.
        PERFORM qzpay._finalize_draft(i.tenant_id, i.id, p_sub.now) FROM qzpay.invoices i
        WHERE i.tenant_id = p_sub.tenant_id AND i.id = v_row.invoice_id AND i.status = 'draft' AND i.billing_day IS NOT NULL;
        PERFORM qzpay._issue_credit_note(p_sub.tenant_id, v_row.invoice_id, qzpay._take_lines(p_sub.tenant_id, v_row.invoice_id, v_row.lines), p_mode, p_reason, p_sub.now);
    END LOOP;
    -- What was not invoiced yet meets its credit on the next invoice.
    PERFORM qzpay._add_pending_lines(p_sub.tenant_id, p_sub.id, (SELECT array_agg(l) FROM unnest(v_lines) l WHERE l.invoice_id IS NULL), p_sub.now);
END $$;
COMMENT ON FUNCTION qzpay._credit_rest(qzpay._sub, text, text) IS
'Credits the unused part of everything that was debited for the running periods, by notes on the invoices it stands on: what is unpaid is reduced first, what was paid becomes balance, or by mode refund is to be paid back.';

CREATE OR REPLACE FUNCTION qzpay.uncancel(subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.uncancel(uuid) IS 'Takes back a pending end; what was scheduled behind it is scheduled again. Error QZ204 where none is pending.';

CREATE OR REPLACE FUNCTION qzpay._uncancel(p_subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    IF v_sub.ended_at IS NOT NULL OR v_sub.cancel_at IS NULL OR v_sub.cancel_at <= v_sub.now THEN
        RAISE EXCEPTION 'subscription % has no pending end', p_subscription USING ERRCODE = 'QZ204';
    END IF;
    UPDATE qzpay.subscriptions s SET cancel_at = NULL, cancel_reason = NULL, cancel_feedback = NULL, canceled_at = NULL, updated_at = v_sub.now
    WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._emit_event(v_sub.tenant_id, 'subscription.uncanceled', 'subscription', v_sub.id, v_sub.customer_id,
        jsonb_build_object('subscriptionId', v_sub.id, 'emailSentByPackage', false), NULL, v_sub.now);
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._uncancel(uuid) IS 'Internal of uncancel(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.set_auto_renew(subscription uuid, auto_renew boolean) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.set_auto_renew(uuid, boolean) IS 'Whether a subscription renews at the end of its period or ends there by itself. Errors: QZ204 ended, 22004.';

CREATE OR REPLACE FUNCTION qzpay._set_auto_renew(p_subscription uuid, p_auto_renew boolean) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF p_auto_renew IS NULL THEN
        RAISE EXCEPTION 'auto_renew must not be null' USING ERRCODE = '22004';
    END IF;
    UPDATE qzpay.subscriptions s SET auto_renew = p_auto_renew, reminded_at = greatest(s.reminded_at, v_sub.now), updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._set_auto_renew(uuid, boolean) IS 'Internal of set_auto_renew(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.pause(subscription uuid, at text DEFAULT 'period_end', resume_at timestamptz DEFAULT NULL, access text DEFAULT 'none') RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.pause(uuid, text, timestamptz, text) IS
'Stops billing at the end of the period, or now, with the unused part of what was paid credited to the balance. It goes on with resume(), or by itself at resume_at, with a full new period from that instant. '
'access while paused: none, limited or full. Errors: QZ204 not active, unpaid, or a pending end; 22023 bad at or access, or a resume not after the pause.';

CREATE OR REPLACE FUNCTION qzpay._pause(p_subscription uuid, p_at text, p_resume_at timestamptz, p_access text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
    v_when timestamptz;
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF coalesce(p_at, '') NOT IN ('now', 'period_end') OR coalesce(p_access, '') NOT IN ('none', 'limited', 'full') THEN
        RAISE EXCEPTION 'cannot pause at "%" with access "%"', p_at, p_access USING ERRCODE = '22023', HINT = 'at is now or period_end; access none, limited or full.';
    ELSIF v_sub.status <> 'active' OR v_sub.current_period_end IS NULL THEN
        RAISE EXCEPTION 'subscription % is %', p_subscription, v_sub.status USING ERRCODE = 'QZ204', HINT = 'Only an active subscription can be paused.';
    ELSIF v_sub.cancel_at IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % is to end', p_subscription USING ERRCODE = 'QZ204', HINT = 'Take the end back with uncancel() first.';
    END IF;
    v_when := CASE p_at WHEN 'now' THEN v_sub.now ELSE v_sub.current_period_end END;
    IF p_resume_at <= v_when OR NOT isfinite(p_resume_at) THEN
        RAISE EXCEPTION 'a pause from % cannot end at %', v_when, p_resume_at USING ERRCODE = '22023';
    END IF;
    IF p_at = 'now' THEN
        PERFORM qzpay._finalize_drafts(v_sub, true);
        PERFORM qzpay._refuse_while_unpaid(v_sub);
    END IF;
    UPDATE qzpay.subscriptions s SET pause_at = v_when, resume_at = p_resume_at, pause_access = p_access, updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    IF p_at = 'now' THEN
        PERFORM qzpay._credit_rest(v_sub, 'balance', 'paused');
        PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_sub.now], v_sub.now);
        PERFORM qzpay._run_internal_attempts(v_sub.test_clock_id, 10);
    END IF;
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._pause(uuid, text, timestamptz, text) IS 'Internal of pause(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.resume(subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.resume(uuid) IS
'Ends a pause now: a full new period begins at this instant and is billed. A pause that has not begun is taken back. What was asked for during the pause takes effect. Error QZ204 where there is no pause.';

CREATE OR REPLACE FUNCTION qzpay._resume(p_subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF v_sub.status = 'active' AND v_sub.pause_at IS NOT NULL THEN
        UPDATE qzpay.subscriptions s SET pause_at = NULL, resume_at = NULL, updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
        RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
    ELSIF v_sub.status <> 'paused' THEN
        RAISE EXCEPTION 'subscription % is %, not paused', p_subscription, v_sub.status USING ERRCODE = 'QZ204';
    END IF;
    UPDATE qzpay.subscriptions s SET resume_at = v_sub.now, updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_sub.now], v_sub.now);
    PERFORM qzpay._run_internal_attempts(v_sub.test_clock_id, 10);
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._resume(uuid) IS 'Internal of resume(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.extend_trial(subscription uuid, until timestamptz) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.extend_trial(uuid, timestamptz) IS
'Moves the end of a running trial to a later instant; its usage period goes on with it and its reminders are counted anew. Errors: QZ204 not in a trial, 22023 an instant that is not later.';

CREATE OR REPLACE FUNCTION qzpay._extend_trial(p_subscription uuid, p_until timestamptz) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF v_sub.status <> 'trialing' THEN
        RAISE EXCEPTION 'subscription % is %, not in a trial', p_subscription, v_sub.status USING ERRCODE = 'QZ204';
    ELSIF coalesce(p_until <= v_sub.trial_end OR p_until > v_sub.trial_end + 3650 * interval '24 hours', true) THEN
        RAISE EXCEPTION 'a trial that ends at % cannot be extended to %', v_sub.trial_end, coalesce(p_until::text, 'NULL') USING ERRCODE = '22023';
    END IF;
    UPDATE qzpay.periods p SET period_end = p_until
    WHERE p.tenant_id = v_sub.tenant_id AND p.subscription_id = v_sub.id AND p.cycle = 'usage' AND p.period_start = v_sub.usage_period_start;
    UPDATE qzpay.subscriptions s SET trial_end = p_until, usage_period_end = p_until, reminded_at = v_sub.now, updated_at = v_sub.now,
           cycle_due_at = CASE WHEN s.cycle_due_at IS NOT NULL THEN p_until END
    WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._emit_event(v_sub.tenant_id, 'subscription.changed', 'subscription', v_sub.id, v_sub.customer_id,
        jsonb_build_object('subscriptionId', v_sub.id, 'trialEnd', p_until, 'previousTrialEnd', v_sub.trial_end, 'effectiveAt', v_sub.now, 'emailSentByPackage', false), NULL, v_sub.now);
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._extend_trial(uuid, timestamptz) IS 'Internal of extend_trial(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.extend_trial(subscription uuid, days integer) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.extend_trial(uuid, integer) IS 'extend_trial() by so many days of 24 hours.';

CREATE OR REPLACE FUNCTION qzpay._extend_trial(p_subscription uuid, p_days integer) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF coalesce(p_days, 0) NOT BETWEEN 1 AND 3650 THEN
        RAISE EXCEPTION 'a trial cannot be extended by % days', coalesce(p_days::text, 'NULL') USING ERRCODE = '22023', HINT = 'From 1 to 3650.';
    END IF;
    RETURN qzpay._extend_trial(p_subscription, (SELECT s.trial_end + p_days * interval '24 hours' FROM qzpay.subscriptions s WHERE s.id = p_subscription));
END $$;
COMMENT ON FUNCTION qzpay._extend_trial(uuid, integer) IS 'Internal of extend_trial(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.end_trial(subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.end_trial(uuid) IS
'Converts a trial early: it ends now, the first period begins and is billed. Errors: QZ204 not in a trial, or no payment method.';

CREATE OR REPLACE FUNCTION qzpay._end_trial(p_subscription uuid) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF v_sub.status <> 'trialing' THEN
        RAISE EXCEPTION 'subscription % is %, not in a trial', p_subscription, v_sub.status USING ERRCODE = 'QZ204';
    ELSIF NOT v_sub.has_payment_method THEN
        RAISE EXCEPTION 'subscription % has no payment method', p_subscription USING ERRCODE = 'QZ204', HINT = 'Save one with attach_payment_method() first.';
    END IF;
    UPDATE qzpay.periods p SET period_end = v_sub.now
    WHERE p.tenant_id = v_sub.tenant_id AND p.subscription_id = v_sub.id AND p.cycle = 'usage' AND p.period_start = v_sub.usage_period_start AND p.period_start < v_sub.now;
    UPDATE qzpay.subscriptions s SET trial_end = v_sub.now, updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._advance_subscriptions(ARRAY[v_sub.tenant_id], ARRAY[v_sub.id], ARRAY[v_sub.now], v_sub.now);
    PERFORM qzpay._run_internal_attempts(v_sub.test_clock_id, 10);
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._end_trial(uuid) IS 'Internal of end_trial(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.comp(subscription uuid, until timestamptz, reason text) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.comp(uuid, timestamptz, text) IS
'Free access until an instant (infinity: for ever; NULL takes it back from now): no period that begins before it is billed. When it is over a paid period begins there, or without a payment method the contract ends (comp_expired). '
'A period that is paid already is not given back. Errors: QZ204 ended, 22023 an instant in the past or no reason.';

CREATE OR REPLACE FUNCTION qzpay._comp(p_subscription uuid, p_until timestamptz, p_reason text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    PERFORM qzpay._refuse_unless_changeable(v_sub);
    IF coalesce(btrim(p_reason), '') = '' THEN
        RAISE EXCEPTION 'free access is not given without a reason' USING ERRCODE = '22023';
    ELSIF p_until <= v_sub.now THEN
        RAISE EXCEPTION 'free access cannot end at %', p_until USING ERRCODE = '22023', DETAIL = format('It is %s for this customer.', v_sub.now);
    END IF;
    IF v_sub.status = 'incomplete' AND v_sub.current_period_end IS NOT NULL AND p_until IS NOT NULL THEN
        -- Nothing is to be paid for what is given: the first invoice is void, and the period it was for is free.
        PERFORM qzpay._cancel_planned_attempts(array_agg(i.tenant_id), array_agg(i.id), v_sub.now) FROM qzpay.invoices i
        WHERE i.tenant_id = v_sub.tenant_id AND i.subscription_id = v_sub.id AND i.status = 'open' HAVING count(*) > 0;
        PERFORM qzpay._void_invoice(i.id, 'free access') FROM qzpay.invoices i WHERE i.tenant_id = v_sub.tenant_id AND i.subscription_id = v_sub.id AND i.status = 'open';
        UPDATE qzpay.subscriptions s SET status = 'active', status_reason = NULL, period_comped = true, comp_until = p_until, updated_at = v_sub.now
        WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id AND s.status = 'incomplete';
    END IF;
    UPDATE qzpay.subscriptions s SET comp_until = coalesce(p_until, CASE WHEN s.period_comped THEN v_sub.now END), updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._emit_event(v_sub.tenant_id, 'subscription.comped', 'subscription', v_sub.id, v_sub.customer_id,
        jsonb_build_object('subscriptionId', v_sub.id, 'until', p_until, 'reason', p_reason, 'effectiveAt', v_sub.now, 'emailSentByPackage', false), NULL, v_sub.now);
    v_sub := qzpay._sub_of(p_subscription);
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._comp(uuid, timestamptz, text) IS 'Internal of comp(), inside the tenant''s context.';
