-- The one door for outcomes.

CREATE OR REPLACE FUNCTION qzpay._settle_attempt(p_tenant uuid, p_attempt uuid, p_fence integer, p_phase text, p_response jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_answer jsonb;
    v_at timestamptz;
BEGIN
    PERFORM qzpay._commit_durably();
    PERFORM qzpay._lock_above(p_tenant, p_attempt);
    SELECT * INTO a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt FOR NO KEY UPDATE;
    IF NOT FOUND OR NOT qzpay._answer_fits(a.status::text, a.fence, a.provider_ref, p_fence, p_phase) THEN
        RETURN NULL;
    END IF;
    v_at := qzpay.now(a.customer_id);
    v_answer := qzpay._read_answer(p_tenant, p_attempt, p_phase, p_response);
    IF v_answer ? 'alert' THEN
        PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'attempt', p_attempt, a.customer_id,
            jsonb_build_object('level', 'error', 'message', v_answer ->> 'alert', 'attemptId', p_attempt, 'invoiceId', a.invoice_id, 'provider', a.provider),
            'answer:' || p_attempt || ':' || md5(v_answer ->> 'alert'), v_at);
    END IF;
    -- Whatever came back, the worker is alive.
    UPDATE qzpay.payment_attempts x SET crash_count = 0, lease_until = NULL, leased_by = NULL,
           provider_ref = CASE WHEN v_answer ->> 'outcome' IN ('created', 'succeeded', 'processing', 'requires_action') THEN coalesce(x.provider_ref, v_answer ->> 'provider_ref') ELSE x.provider_ref END
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    CASE
    WHEN v_answer ->> 'outcome' = 'created' AND a.status IN ('sending', 'confirming', 'unknown') THEN
        RETURN qzpay._next_request(p_tenant, p_attempt, CASE WHEN a.request ? 'supersede' THEN 'cancel' ELSE 'confirm' END, a.leased_by);
    WHEN v_answer ->> 'outcome' = 'succeeded' AND a.operation = 'refund' THEN
        PERFORM qzpay._succeed_refund(p_tenant, p_attempt, v_answer ->> 'provider_ref', v_answer ->> 'message', v_at);
    WHEN v_answer ->> 'outcome' IN ('declined', 'rejected', 'canceled') AND a.operation = 'refund' THEN
        PERFORM qzpay._fail_refund(p_tenant, p_attempt, v_answer ->> 'outcome', v_answer ->> 'decline_code', v_answer ->> 'decline_class', v_answer ->> 'message', v_at);
    WHEN v_answer ->> 'outcome' = 'succeeded' THEN
        PERFORM qzpay._succeed_attempt(p_tenant, p_attempt, v_answer ->> 'provider_ref', v_answer ->> 'message', v_at);
    WHEN v_answer ->> 'outcome' IN ('declined', 'rejected', 'canceled') THEN
        PERFORM qzpay._fail_attempt(p_tenant, p_attempt, v_answer ->> 'outcome', v_answer ->> 'decline_code', v_answer ->> 'decline_class', v_answer ->> 'message', v_at);
    WHEN v_answer ->> 'outcome' = 'not_found' THEN
        RETURN qzpay._settle_not_found(p_tenant, p_attempt, a.leased_by);
    ELSE
        PERFORM qzpay._postpone_attempt(p_tenant, p_attempt, p_phase, v_answer, a.crash_count, v_at);
    END CASE;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._settle_attempt(uuid, uuid, integer, text, jsonb) IS
'The one door for outcomes of attempts, for worker, reaper, webhook and operator alike: attempt, invoice, ledger, payment, events and what follows for the subscription or the refund request, in the caller''s transaction. '
'A stale fence, a phase that does not fit and a final state change nothing. p_response: {"transport", "status", "headers", "body"}. '
'Returns the next request to send once this has committed ({"phase", "request"}), or NULL.';

CREATE OR REPLACE FUNCTION qzpay._lock_above(p_tenant uuid, p_attempt uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request uuid := (SELECT a.refund_request_id FROM qzpay.payment_attempts a WHERE a.tenant_id = p_tenant AND a.id = p_attempt);
BEGIN
    IF v_request IS NOT NULL THEN
        PERFORM FROM qzpay.refund_requests r WHERE r.tenant_id = p_tenant AND r.id = v_request FOR NO KEY UPDATE;
        RETURN;
    END IF;
    PERFORM qzpay._lock_subscriptions_of(p_tenant, (SELECT a.invoice_id FROM qzpay.payment_attempts a WHERE a.tenant_id = p_tenant AND a.id = p_attempt));
END $$;
COMMENT ON FUNCTION qzpay._lock_above(uuid, uuid) IS
'Locks what an attempt''s outcome may change, before the attempt itself: the subscriptions (the order in which billing runs lock), or the request of a refund.';

CREATE OR REPLACE FUNCTION qzpay._answer_fits(p_status text, p_held integer, p_ref text, p_fence integer, p_phase text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(CASE p_phase
        WHEN 'create' THEN p_fence = p_held AND p_ref IS NULL AND p_status IN ('sending', 'unknown')
        WHEN 'find' THEN p_fence = p_held AND p_ref IS NULL AND p_status IN ('sending', 'unknown')
        WHEN 'confirm' THEN p_fence = p_held AND p_status = 'confirming'
        WHEN 'cancel' THEN p_fence = p_held AND p_status IN ('confirming', 'unknown', 'processing', 'requires_action')
        WHEN 'lookup' THEN p_fence = p_held AND p_status IN ('sending', 'confirming', 'unknown', 'processing', 'requires_action')
        WHEN 'operator' THEN p_fence IS NULL AND p_status IN ('unknown', 'processing', 'requires_action', 'needs_operator') END, false)
$$;
COMMENT ON FUNCTION qzpay._answer_fits(text, integer, text, integer, text) IS 'Whether an answer to this phase, under this fence, may still speak to an attempt in this state.';

CREATE OR REPLACE FUNCTION qzpay._read_answer(p_tenant uuid, p_attempt uuid, p_phase text, p_response jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_class text := qzpay._answer_class(coalesce(p_response ->> 'transport', 'invalid'), (p_response ->> 'status')::integer);
    v_function text;
    v_attempt jsonb;
    v_answer jsonb;
    v_outcome text;
BEGIN
    IF p_phase = 'operator' THEN
        RETURN p_response;
    END IF;
    IF v_class = 'rejected' AND p_phase = 'cancel' OR v_class IN ('declined', 'rejected') AND p_phase IN ('lookup', 'find') THEN
        -- A question that failed is no answer.
        RETURN jsonb_build_object('outcome', 'unknown', 'message', 'the lookup failed');
    END IF;
    IF v_class NOT IN ('read', 'declined', 'rejected') THEN
        RETURN jsonb_strip_nulls(jsonb_build_object('outcome', v_class, 'message', coalesce(p_response ->> 'problem', 'HTTP ' || (p_response ->> 'status')),
            'http_status', p_response -> 'status', 'retry_after', extract(epoch FROM qzpay._retry_after(p_response #>> '{headers,retry-after}'))));
    END IF;
    SELECT p.outcome_function INTO STRICT v_function FROM qzpay.payment_attempts a JOIN qzpay.providers p ON p.code = a.provider WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
    v_attempt := qzpay._attempt_document(p_tenant, p_attempt);
    BEGIN
        v_answer := qzpay._call_adapter(v_function, qzpay._adapter_operation(v_attempt ->> 'operation', p_phase), v_attempt, p_response);
        v_outcome := v_answer ->> 'outcome';
    EXCEPTION WHEN OTHERS THEN
        RETURN jsonb_build_object('outcome', 'unknown', 'alert', 'a provider''s answer could not be read: ' || qzpay.redact(SQLSTATE || ' ' || SQLERRM));
    END;
    -- An adapter reads the body; it cannot make a definite answer of an indefinite one, nor a success of a refusal.
    IF v_outcome IS NULL OR v_outcome NOT IN ('created', 'succeeded', 'declined', 'requires_action', 'processing', 'canceled', 'rejected', 'not_found', 'unknown')
       OR v_class = 'declined' AND v_outcome NOT IN ('declined', 'unknown') OR v_class = 'rejected' AND v_outcome NOT IN ('rejected', 'declined', 'unknown')
       OR v_outcome = 'not_found' AND p_phase <> 'find' OR v_attempt ->> 'operation' = 'refund' AND v_outcome IN ('created', 'requires_action') THEN
        RETURN jsonb_build_object('outcome', 'unknown', 'alert', 'the adapter''s outcome "' || coalesce(v_outcome, 'null') || '" does not follow from the answer');
    END IF;
    RETURN qzpay._compare_answer(p_tenant, p_attempt, v_answer);
END $$;
COMMENT ON FUNCTION qzpay._read_answer(uuid, uuid, text, jsonb) IS
'What a response means: by transport and status where those decide, else by the provider''s adapter, whose errors make it unknown. {"outcome", "provider_ref", "decline_code", "decline_class", "message", "alert", …}.';

CREATE OR REPLACE FUNCTION qzpay._compare_answer(p_tenant uuid, p_attempt uuid, p_answer jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_differs text;
BEGIN
    IF p_answer ->> 'outcome' NOT IN ('created', 'succeeded', 'processing', 'requires_action', 'canceled', 'declined') THEN
        RETURN p_answer;
    END IF;
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    v_differs := CASE
        WHEN p_answer ->> 'provider_ref' IS NULL AND p_answer ->> 'outcome' <> 'declined' THEN 'id missing'
        WHEN p_answer ->> 'provider_ref' <> a.provider_ref THEN 'id'
        WHEN p_answer ->> 'attempt' <> a.id::text THEN 'attempt'
        WHEN p_answer ->> 'payment' <> (SELECT p.provider_ref FROM qzpay.payments p WHERE p.tenant_id = a.tenant_id AND p.id = a.payment_id) THEN 'payment'
        WHEN p_answer ->> 'livemode' <> a.livemode::text THEN 'mode'
        WHEN upper(p_answer ->> 'currency') <> a.currency THEN 'currency'
        WHEN (p_answer ->> 'amount')::numeric <> qzpay._provider_amount(a.provider, a.currency, a.amount, a.operation = 'refund') THEN 'amount'
        WHEN p_answer ->> 'outcome' IN ('created', 'succeeded') AND (p_answer ->> 'amount' IS NULL OR p_answer ->> 'currency' IS NULL) THEN 'amount or currency missing'
        WHEN EXISTS (SELECT FROM qzpay.payment_attempts o WHERE o.provider = a.provider AND o.provider_ref = p_answer ->> 'provider_ref' AND o.id <> a.id) THEN 'id of another attempt'
    END;
    IF v_differs IS NULL THEN
        RETURN p_answer;
    END IF;
    RETURN jsonb_build_object('outcome', 'unknown', 'alert', 'the provider''s answer does not match the attempt: ' || v_differs);
END $$;
COMMENT ON FUNCTION qzpay._compare_answer(uuid, uuid, jsonb) IS 'Holds an answer against the attempt (id, amount, currency, mode, our reference, for a refund the payment); one that does not match is unknown, with an alert.';

CREATE OR REPLACE FUNCTION qzpay._next_request(p_tenant uuid, p_attempt uuid, p_phase text, p_worker text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_until timestamptz := qzpay._real_now() + qzpay._lease();
BEGIN
    UPDATE qzpay.payment_attempts a SET status = 'confirming', lease_until = v_until, next_at = v_until, leased_by = p_worker
    WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
    RETURN jsonb_build_object('phase', p_phase, 'request', qzpay._freeze_request(p_tenant, p_attempt, p_phase));
END $$;
COMMENT ON FUNCTION qzpay._next_request(uuid, uuid, text, text) IS
'T2: the provider''s object is known, and that is stored before the call that moves money. Returns that call, frozen like the first.';

CREATE OR REPLACE FUNCTION qzpay._succeed_attempt(p_tenant uuid, p_attempt uuid, p_ref text, p_note text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    i qzpay.invoices%ROWTYPE;
    v_applies boolean;
BEGIN
    UPDATE qzpay.payment_attempts x SET status = 'succeeded', status_reason = p_note, provider_ref = coalesce(x.provider_ref, p_ref), settled_at = p_at, next_at = NULL,
           next_action = NULL, decline_code = NULL, decline_class = NULL
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt RETURNING * INTO STRICT a;
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = p_tenant AND x.id = a.invoice_id FOR NO KEY UPDATE;
    v_applies := i.status = 'open' AND i.amount_in_flight >= a.amount;
    INSERT INTO qzpay.payments (tenant_id, id, customer_id, invoice_id, attempt_id, provider, account, provider_ref, livemode, currency, amount, status, paid_at, metadata)
    VALUES (p_tenant, qzpay.uuid_v5(qzpay.installation_id(), 'payment:' || a.id), a.customer_id, a.invoice_id, a.id, a.provider, a.account, coalesce(a.provider_ref, 'attempt:' || a.id), a.livemode,
            a.currency, a.amount, 'succeeded', p_at, i.metadata);
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    VALUES (p_tenant, qzpay.uuid_v7(), a.customer_id, i.seller_id, a.livemode, 'provider_clearing', CASE WHEN v_applies THEN 'receivable' ELSE 'customer_balance' END, a.currency, a.amount,
            'payment', qzpay.uuid_v5(qzpay.installation_id(), 'payment:' || a.id), p_at, qzpay._recorded_at());
    IF NOT v_applies THEN
        PERFORM qzpay._move_balances(ARRAY[p_tenant], ARRAY[a.customer_id], ARRAY[a.currency], ARRAY[a.amount], ARRAY['payment'], ARRAY[qzpay.uuid_v5(qzpay.installation_id(), 'payment:' || a.id)], p_at,
                                     NULL, ARRAY[a.amount]);
        PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'attempt', p_attempt, a.customer_id,
            jsonb_build_object('level', 'error', 'message', 'money came in for an invoice that does not wait for it; it is kept as the customer''s balance', 'attemptId', a.id, 'invoiceId', i.id), NULL, p_at);
        RETURN;
    END IF;
    UPDATE qzpay.invoices x SET amount_in_flight = x.amount_in_flight - a.amount, amount_paid = x.amount_paid + a.amount,
           status = CASE WHEN x.amount_paid + a.amount + x.amount_credited = x.amount_due THEN 'paid' ELSE x.status END,
           paid_at = CASE WHEN x.amount_paid + a.amount + x.amount_credited = x.amount_due THEN p_at ELSE x.paid_at END
    WHERE x.tenant_id = p_tenant AND x.id = i.id RETURNING * INTO STRICT i;
    IF i.status = 'paid' THEN
        PERFORM qzpay._invoice_paid(p_tenant, i.id, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._succeed_attempt(uuid, uuid, text, text, timestamptz) IS
'T3 of money received: attempt, payment, ledger (debit provider_clearing, credit receivable), invoice, and what the last cent of it means for the subscription.';

CREATE OR REPLACE FUNCTION qzpay._fail_attempt(p_tenant uuid, p_attempt uuid, p_status text, p_code text, p_class text, p_message text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_class text := CASE WHEN p_class IN ('later', 'needs_customer', 'never') THEN p_class WHEN p_status = 'rejected' THEN 'never' ELSE 'later' END;
BEGIN
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    IF a.status <> 'planned' THEN
        UPDATE qzpay.invoices i SET amount_in_flight = i.amount_in_flight - a.amount WHERE i.tenant_id = p_tenant AND i.id = a.invoice_id;
    END IF;
    UPDATE qzpay.payment_attempts x SET status = p_status::qzpay.attempt_status, status_reason = left(p_message, 500), decline_code = left(coalesce(p_code, x.decline_code), 100),
           decline_class = CASE WHEN p_status <> 'canceled' THEN v_class ELSE x.decline_class END, settled_at = p_at, next_at = NULL, next_action = NULL
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    IF v_class = 'never' AND p_status <> 'canceled' THEN
        UPDATE qzpay.payment_methods m SET blocked_reason = coalesce(p_code, p_status) WHERE m.tenant_id = p_tenant AND m.id = a.payment_method_id AND m.blocked_reason IS NULL;
    END IF;
    IF p_status = 'rejected' THEN
        PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'attempt', p_attempt, a.customer_id,
            jsonb_build_object('level', 'error', 'message', 'a payment was refused as a request, not as a charge: ' || coalesce(p_message, p_code, ''), 'attemptId', a.id, 'invoiceId', a.invoice_id), NULL, p_at);
    END IF;
    -- What waited for the customer has been counted as a failure already, unless it ends otherwise than by being called off.
    IF a.request #>> '{supersede,trigger}' IS NOT NULL THEN
        PERFORM qzpay._plan_attempts(ARRAY[p_tenant], ARRAY[a.invoice_id], a.request #>> '{supersede,trigger}', p_at, (a.request #>> '{supersede,payment_method}')::uuid);
    ELSIF NOT (p_status = 'canceled' AND a.status = 'requires_action') THEN
        PERFORM qzpay._payment_failed(p_tenant, a.invoice_id, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._fail_attempt(uuid, uuid, text, text, text, text, timestamptz) IS
'T3 of a definite failure: the money is free again for another attempt, a method of class never is blocked, dunning learns of it; where another method waits for its turn, that is planned.';

CREATE OR REPLACE FUNCTION qzpay._stop_attempt(p_tenant uuid, p_attempt uuid, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.payment_attempts a SET status = 'unknown' WHERE a.tenant_id = p_tenant AND a.id = p_attempt AND a.status <> 'unknown';
    UPDATE qzpay.payment_attempts a SET status = 'needs_operator', status_reason = left(p_reason, 500), next_at = NULL, lease_until = NULL, leased_by = NULL
    WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
END $$;
COMMENT ON FUNCTION qzpay._stop_attempt(uuid, uuid, text) IS 'Leaves an attempt to an operator: its outcome cannot be found out, so its money stays in flight and blocks any other attempt. See resolve_attempt().';

CREATE OR REPLACE FUNCTION qzpay._settle_not_found(p_tenant uuid, p_attempt uuid, p_worker text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_now timestamptz := qzpay._real_now();
    v_epoch text := (SELECT s.system_identifier || '/' || s.timeline || '/' || s.host FROM qzpay._server_identity() s);
    v_two_phase boolean;
BEGIN
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    SELECT a.operation = 'charge' AND coalesce(p.capabilities @> '{"two_phase": true}', false) INTO STRICT v_two_phase FROM qzpay.providers p WHERE p.code = a.provider;
    IF NOT a.request ? 'not_found' OR a.request #>> '{not_found,epoch}' IS DISTINCT FROM v_epoch THEN
        UPDATE qzpay.payment_attempts x SET status = 'unknown', status_reason = 'not found at the provider', lookups = x.lookups + 1,
               next_at = v_now + greatest(interval '1 hour', coalesce(qzpay._lookup_delay(x.lookups), interval '1 day')),
               request = x.request || jsonb_build_object('not_found', jsonb_build_object('at', v_now, 'epoch', v_epoch))
        WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    ELSIF v_two_phase AND v_now >= (a.request #>> '{not_found,at}')::timestamptz + interval '1 hour' THEN
        -- Twice not there: the object was never made, and so never confirmed. The key has left the provider's memory: it begins anew.
        UPDATE qzpay.payment_attempts x SET status = 'unknown', first_sent_at = v_now, request = x.request - 'not_found', lease_until = v_now + qzpay._lease(),
               next_at = v_now + qzpay._lease(), leased_by = p_worker
        WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
        RETURN jsonb_build_object('phase', 'create', 'request', a.request -> 'create');
    ELSIF v_two_phase THEN
        UPDATE qzpay.payment_attempts x SET next_at = (a.request #>> '{not_found,at}')::timestamptz + interval '1 hour' WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    ELSE
        PERFORM qzpay._stop_attempt(p_tenant, p_attempt, 'not found at a provider, where one step moves the money');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._settle_not_found(uuid, uuid, text) IS
'The provider does not know our reference. Once may be delay; twice, an hour apart and on the same server, allows a two-phase provider''s object to be made afresh. One-phase, as every refund is: an operator decides.';

CREATE OR REPLACE FUNCTION qzpay._postpone_attempt(p_tenant uuid, p_attempt uuid, p_phase text, p_answer jsonb, p_crashes integer, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_outcome text := p_answer ->> 'outcome';
    v_fresh boolean;
    v_status text;
    v_delay interval;
BEGIN
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    -- Only the very first call of an attempt can be said never to have reached the provider.
    v_fresh := a.status = 'sending' AND p_phase = 'create' AND p_crashes <= 1;
    v_status := CASE
        WHEN v_outcome IN ('processing', 'requires_action') THEN v_outcome
        WHEN v_outcome IN ('not_sent', 'pause_lane') AND v_fresh OR v_outcome = 'retry' AND v_fresh AND p_answer ->> 'http_status' = '429' THEN 'planned'
        WHEN a.status IN ('processing', 'requires_action') AND p_phase IN ('lookup', 'cancel') THEN a.status::text
        ELSE 'unknown' END;
    v_delay := CASE WHEN v_outcome = 'pause_lane' THEN interval '0'
                    WHEN v_outcome = 'retry' THEN greatest(make_interval(secs => (p_answer ->> 'retry_after')::double precision), interval '1 second') * (1 + random() * 0.1)
                    ELSE qzpay._lookup_delay(a.lookups) END;
    IF v_outcome = 'pause_lane' THEN
        UPDATE qzpay.providers p SET paused_at = qzpay._recorded_at(), paused_reason = 'credentials refused: ' || coalesce(p_answer ->> 'message', '')
        WHERE p.code = a.provider AND p.paused_at IS NULL;
        IF FOUND THEN
            PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'attempt', p_attempt, a.customer_id,
                jsonb_build_object('level', 'error', 'message', 'provider ' || a.provider || ' refuses our credentials; nothing is sent until resume_provider()', 'provider', a.provider), NULL, p_at);
        END IF;
    END IF;
    IF v_delay IS NULL AND v_status = 'unknown' THEN
        PERFORM qzpay._stop_attempt(p_tenant, p_attempt, 'no outcome in seven days');
        RETURN;
    ELSIF v_delay IS NULL THEN
        v_delay := interval '1 day';
    END IF;
    IF v_status = 'planned' AND a.operation = 'charge' THEN
        UPDATE qzpay.invoices i SET amount_in_flight = i.amount_in_flight - a.amount WHERE i.tenant_id = p_tenant AND i.id = a.invoice_id;
    END IF;
    UPDATE qzpay.payment_attempts x SET status = v_status::qzpay.attempt_status, status_reason = left(p_answer ->> 'message', 500),
           lookups = x.lookups + CASE WHEN v_outcome IN ('pause_lane', 'retry') THEN 0 ELSE 1 END, next_at = qzpay._attempt_now(x.provider, x.test_clock_id) + v_delay,
           first_sent_at = CASE WHEN v_status = 'planned' THEN NULL ELSE x.first_sent_at END,
           next_action = CASE WHEN v_outcome = 'requires_action' THEN p_answer -> 'next_action' WHEN v_status = 'requires_action' THEN x.next_action END,
           decline_code = CASE WHEN v_outcome = 'requires_action' THEN 'authentication_required' ELSE x.decline_code END,
           decline_class = CASE WHEN v_outcome = 'requires_action' THEN 'needs_customer' ELSE x.decline_class END,
           -- A customer who has not answered when the lookups are over will not.
           request = CASE WHEN v_status = 'requires_action' AND qzpay._lookup_delay(a.lookups) IS NULL AND NOT x.request ? 'supersede'
                          THEN x.request || '{"supersede": {}}' ELSE x.request END
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    IF v_status = 'requires_action' AND a.status <> 'requires_action' THEN
        PERFORM qzpay._payment_failed(p_tenant, a.invoice_id, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._postpone_attempt(uuid, uuid, text, jsonb, integer, timestamptz) IS
'What has no definite outcome yet: processing, requires_action and unknown are looked up later; what certainly was not sent is planned again under the same number and key; refused credentials pause the lane.';
