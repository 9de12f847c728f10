-- Money back: a refund request is sent to the payments it can be taken from, by the same outbox as a charge; what no provider can send waits for a person.
-- Locks are taken in the order refund request, balance, attempt, payment; where an invoice is credited, its own locks come first.

CREATE OR REPLACE FUNCTION qzpay._request_refund(p_tenant uuid, p_customer uuid, p_currency text, p_amount bigint, p_credit_note uuid, p_payment uuid, p_expense bigint, p_reason text, p_at timestamptz)
RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_id uuid := qzpay.uuid_v7();
BEGIN
    INSERT INTO qzpay.refund_requests (tenant_id, id, customer_id, credit_note_id, payment_id, currency, amount, expense, status, reason, requested_at)
    VALUES (p_tenant, v_id, p_customer, p_credit_note, p_payment, p_currency, p_amount, p_expense, 'requested', p_reason, p_at);
    PERFORM qzpay._emit_event(p_tenant, 'credit.refund_requested', 'customer', p_customer, p_customer, jsonb_build_object('customerId', p_customer, 'refundRequestId', v_id, 'creditNoteId', p_credit_note,
        'paymentId', p_payment, 'amount', p_amount, 'currency', p_currency, 'emailSentByPackage', false), NULL, p_at);
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._request_refund(uuid, uuid, text, bigint, uuid, uuid, bigint, text, timestamptz) IS
'Writes down that money is to be paid back; whoever calls posts it to refunds_payable, then calls _send_refund(). p_payment: the one payment it is to be taken from, or NULL; p_expense: the part that nothing was credited for.';

CREATE OR REPLACE FUNCTION qzpay._lock_refund(p_refund_request uuid) RETURNS record
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.refund_requests%ROWTYPE;
BEGIN
    SELECT * INTO STRICT r FROM qzpay.refund_requests x WHERE x.id = p_refund_request FOR NO KEY UPDATE;
    IF r.status <> 'requested' THEN
        RAISE EXCEPTION 'refund request % is settled', p_refund_request USING ERRCODE = 'QZ204', DETAIL = format('It is %s since %s.', r.status, r.settled_at);
    END IF;
    RETURN r;
END $$;
COMMENT ON FUNCTION qzpay._lock_refund(uuid) IS 'Locks a refund request (a row of the table) that is not settled; QZ204 otherwise.';

CREATE OR REPLACE FUNCTION qzpay._lock_payments(p_tenant uuid, p_customer uuid, p_currency text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM qzpay.payments p WHERE p.tenant_id = p_tenant AND p.customer_id = p_customer AND p.currency = p_currency ORDER BY p.id FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION qzpay._lock_payments(uuid, uuid, text) IS
'Locks a customer''s payments in a currency, in one order: whoever plans refunds comes one after the other, so that no cent is planned twice and attempts of one invoice are numbered without a collision.';

CREATE OR REPLACE FUNCTION qzpay._plan_refunds(p_tenant uuid, p_request uuid, p_at timestamptz) RETURNS uuid[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.refund_requests%ROWTYPE;
    v_plan record;
BEGIN
    SELECT * INTO STRICT r FROM qzpay.refund_requests x WHERE x.tenant_id = p_tenant AND x.id = p_request FOR NO KEY UPDATE;
    PERFORM qzpay._lock_payments(p_tenant, r.customer_id, r.currency);
    WITH source AS (
        -- Where the money came from, as far as that can be said: the credited invoice; for a balance, payments nobody had waited for and invoices that were credited to it.
        SELECT n.invoice_id, NULL::uuid AS payment_id FROM qzpay.credit_notes n WHERE n.tenant_id = p_tenant AND n.id = r.credit_note_id
        UNION ALL
        SELECT n.invoice_id, CASE e.cause WHEN 'payment' THEN e.cause_id END
        FROM qzpay.balance_entries e LEFT JOIN qzpay.credit_notes n ON n.tenant_id = e.tenant_id AND n.id = e.cause_id
        WHERE r.credit_note_id IS NULL AND e.tenant_id = p_tenant AND e.customer_id = r.customer_id AND e.currency = r.currency AND e.refundable > 0 AND e.cause IN ('payment', 'credit_note')
    ), candidate AS (
        SELECT p.*, a.payment_method_id, a.invoice_id AS charged_invoice_id, v.transport, p.amount - p.refunded - p.refunding - p.disputed AS rest,
               row_number() OVER (ORDER BY EXISTS (SELECT FROM source s WHERE s.invoice_id = p.invoice_id OR s.payment_id = p.id) DESC, p.paid_at DESC, p.id DESC) AS place
        FROM qzpay.payments p
        JOIN qzpay.payment_attempts a ON a.tenant_id = p.tenant_id AND a.id = p.attempt_id AND a.provider_ref IS NOT NULL
        JOIN qzpay.providers v ON v.code = p.provider AND v.enabled AND v.capabilities @> '{"refund": true}'
        WHERE p.tenant_id = p_tenant AND p.customer_id = r.customer_id AND p.currency = r.currency AND p.status = 'succeeded' AND p.amount - p.refunded - p.refunding - p.disputed > 0
          AND (r.payment_id IS NULL OR p.id = r.payment_id)
    ), part AS (
        SELECT c.*, least(c.rest, (r.amount - r.refunded - r.refunding) - (sum(c.rest) OVER (ORDER BY c.place) - c.rest))::bigint AS part FROM candidate c
    ), planned AS (
        INSERT INTO qzpay.payment_attempts (tenant_id, id, customer_id, invoice_id, attempt_no, operation, trigger, provider, account, payment_method_id, payment_id, refund_request_id, livemode,
                                            test_clock_id, currency, amount, status, next_at, planned_at)
        SELECT p.tenant_id, qzpay.uuid_v5(qzpay.installation_id(), 'attempt:' || p.charged_invoice_id || ':' || t.attempt_no || ':refund'), p.customer_id, p.charged_invoice_id, t.attempt_no, 'refund',
               'operator', p.provider, p.account, p.payment_method_id, p.id, p_request, p.livemode, c.test_clock_id, p.currency, p.part, 'planned',
               CASE WHEN p.transport = 'internal' AND c.test_clock_id IS NOT NULL THEN p_at ELSE qzpay._recorded_at() END, p_at
        FROM part p
        JOIN qzpay.customers c ON c.tenant_id = p.tenant_id AND c.id = p.customer_id
        CROSS JOIN LATERAL (SELECT (SELECT coalesce(max(a.attempt_no), 0) FROM qzpay.payment_attempts a WHERE a.tenant_id = p.tenant_id AND a.invoice_id = p.charged_invoice_id AND a.operation = 'refund')
                                   + (SELECT count(*) FROM part o WHERE o.charged_invoice_id = p.charged_invoice_id AND o.place <= p.place AND o.part > 0)::integer AS attempt_no) t
        WHERE p.part > 0 ORDER BY p.place
        RETURNING id, payment_id, amount
    ), reserved AS (
        UPDATE qzpay.payments p SET refunding = p.refunding + n.amount FROM planned n WHERE p.tenant_id = p_tenant AND p.id = n.payment_id
    )
    SELECT coalesce(array_agg(n.id ORDER BY n.id), '{}') AS attempts, coalesce(sum(n.amount), 0)::bigint AS amount INTO STRICT v_plan FROM planned n;
    UPDATE qzpay.refund_requests x SET refunding = x.refunding + v_plan.amount WHERE x.tenant_id = p_tenant AND x.id = p_request AND v_plan.amount > 0;
    RETURN v_plan.attempts;
END $$;
COMMENT ON FUNCTION qzpay._plan_refunds(uuid, uuid, timestamptz) IS
'Plans what is left of a refund request onto the customer''s payments: those it came from first, then the most recent first, each at most by what was captured and is neither given back nor on its way back. '
'A request for one payment stays with it. From here on that much of each payment is reserved. Payments of a provider that cannot refund, or that the provider has no id for, are left out. Returns the attempts.';

CREATE OR REPLACE FUNCTION qzpay._send_refund(p_tenant uuid, p_request uuid, p_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_attempts uuid[] := qzpay._plan_refunds(p_tenant, p_request, p_at);
    v_attempt uuid;
BEGIN
    FOREACH v_attempt IN ARRAY v_attempts LOOP
        PERFORM qzpay._run_internal_attempt_alone(p_tenant, v_attempt);
    END LOOP;
    RETURN cardinality(v_attempts);
END $$;
COMMENT ON FUNCTION qzpay._send_refund(uuid, uuid, timestamptz) IS
'Sends what is left of a refund request through the providers: those inside the database answer at once, the others are called after the commit. Returns how many attempts were planned.';

CREATE OR REPLACE FUNCTION qzpay._try_lock_above(p_tenant uuid, p_invoice uuid, p_request uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_request IS NULL THEN
        RETURN qzpay._try_lock_subscription(p_tenant, p_invoice);
    END IF;
    PERFORM FROM qzpay.refund_requests r WHERE r.tenant_id = p_tenant AND r.id = p_request FOR NO KEY UPDATE SKIP LOCKED;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._try_lock_above(uuid, uuid, uuid) IS
'Locks what stands above an attempt in the order of locks, if nobody holds it: the subscription of the invoice for a charge, the request for a refund.';

CREATE OR REPLACE FUNCTION qzpay._release_refund(p_tenant uuid, p_attempt uuid, p_refunded boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
BEGIN
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    UPDATE qzpay.payments p SET refunding = p.refunding - a.amount, refunded = p.refunded + CASE WHEN p_refunded THEN a.amount ELSE 0 END WHERE p.tenant_id = p_tenant AND p.id = a.payment_id;
    UPDATE qzpay.refund_requests r SET refunding = r.refunding - a.amount, refunded = r.refunded + CASE WHEN p_refunded THEN a.amount ELSE 0 END WHERE r.tenant_id = p_tenant AND r.id = a.refund_request_id;
END $$;
COMMENT ON FUNCTION qzpay._release_refund(uuid, uuid, boolean) IS 'What an attempt at a refund had reserved of its payment and of its request is paid back, or free again.';

CREATE OR REPLACE FUNCTION qzpay._succeed_refund(p_tenant uuid, p_attempt uuid, p_ref text, p_note text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    r qzpay.refund_requests%ROWTYPE;
BEGIN
    PERFORM qzpay._release_refund(p_tenant, p_attempt, true);
    UPDATE qzpay.payment_attempts x SET status = 'succeeded', status_reason = p_note, provider_ref = coalesce(x.provider_ref, p_ref), settled_at = p_at, next_at = NULL, decline_code = NULL, decline_class = NULL
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt RETURNING * INTO STRICT a;
    PERFORM qzpay._post(p_tenant, a.customer_id, 'refunds_payable', 'provider_clearing', a.currency, a.amount, 'refund', a.refund_request_id, p_at);
    SELECT * INTO STRICT r FROM qzpay.refund_requests x WHERE x.tenant_id = p_tenant AND x.id = a.refund_request_id;
    IF r.refunded = r.amount THEN
        PERFORM qzpay._finish_refund(p_tenant, r.id, NULL, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._succeed_refund(uuid, uuid, text, text, timestamptz) IS
'T3 of money that went back: payment, request, attempt (whose transition emits payment.refunded), ledger (debit refunds_payable, credit provider_clearing). Changes neither an invoice nor a subscription.';

CREATE OR REPLACE FUNCTION qzpay._fail_refund(p_tenant uuid, p_attempt uuid, p_status text, p_code text, p_class text, p_message text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._release_refund(p_tenant, p_attempt, false);
    UPDATE qzpay.payment_attempts x
    SET status = (CASE WHEN p_status = 'canceled' AND x.status = 'sending' THEN 'declined' ELSE p_status END)::qzpay.attempt_status, status_reason = left(p_message, 500),
        decline_code = left(coalesce(p_code, x.decline_code), 100), decline_class = CASE WHEN p_class IN ('later', 'needs_customer', 'never') THEN p_class ELSE 'later' END,
        settled_at = p_at, next_at = NULL
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
END $$;
COMMENT ON FUNCTION qzpay._fail_refund(uuid, uuid, text, text, text, text, timestamptz) IS
'T3 of a refund that definitely failed: its amount returns to the request, for a person to decide, and to the payment; the transition emits refund.failed. It is not tried again by itself.';

CREATE OR REPLACE FUNCTION qzpay._finish_refund(p_tenant uuid, p_request uuid, p_reference text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.refund_requests%ROWTYPE;
BEGIN
    UPDATE qzpay.refund_requests x SET status = 'done', reference = p_reference, settled_at = p_at WHERE x.tenant_id = p_tenant AND x.id = p_request RETURNING * INTO STRICT r;
    PERFORM qzpay._emit_event(p_tenant, 'credit.refunded', 'customer', r.customer_id, r.customer_id, jsonb_build_object('customerId', r.customer_id, 'refundRequestId', r.id,
        'creditNoteId', r.credit_note_id, 'amount', r.amount, 'byHand', r.amount - r.refunded, 'currency', r.currency, 'emailSentByPackage', false), NULL, p_at);
END $$;
COMMENT ON FUNCTION qzpay._finish_refund(uuid, uuid, text, timestamptz) IS 'All of a refund request is paid back: done, with its event.';

CREATE OR REPLACE FUNCTION qzpay._call_off_refund(p_tenant uuid, p_request uuid, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_attempt uuid;
    v_under_way bigint;
BEGIN
    FOR v_attempt IN
        SELECT a.id FROM qzpay.payment_attempts a WHERE a.tenant_id = p_tenant AND a.refund_request_id = p_request AND a.status = 'planned' ORDER BY a.id FOR NO KEY UPDATE
    LOOP
        PERFORM qzpay._release_refund(p_tenant, v_attempt, false);
        UPDATE qzpay.payment_attempts x SET status = 'canceled', status_reason = 'called off', next_at = NULL, settled_at = p_at WHERE x.tenant_id = p_tenant AND x.id = v_attempt;
    END LOOP;
    SELECT r.refunding INTO STRICT v_under_way FROM qzpay.refund_requests r WHERE r.tenant_id = p_tenant AND r.id = p_request;
    IF v_under_way > 0 THEN
        RAISE EXCEPTION 'refund request % is under way', p_request USING ERRCODE = 'QZ301',
            DETAIL = format('Of it, %s were sent to a provider, whose outcome is not known.', v_under_way), HINT = 'Wait for its outcome; one that a person has to find out is told by resolve_attempt().';
    END IF;
    RETURN (SELECT r.amount - r.refunded FROM qzpay.refund_requests r WHERE r.tenant_id = p_tenant AND r.id = p_request);
END $$;
COMMENT ON FUNCTION qzpay._call_off_refund(uuid, uuid, timestamptz) IS
'Calls off what was planned and not sent of a locked refund request, and returns what is left of it, in minor units. QZ301 while something was sent whose outcome is open.';

CREATE OR REPLACE FUNCTION qzpay.record_refund(refund_request uuid, reference text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_refund_request';
COMMENT ON FUNCTION qzpay.record_refund(uuid, text) IS
'Says that what is left of a refund request was paid by hand, and under which reference (of the bank, or what you did at the provider). What was planned to be sent is called off. '
'Errors: QZ404, QZ204 settled already, QZ301 a part is under way at a provider, 22023 no reference.';

CREATE OR REPLACE FUNCTION qzpay._record_refund(p_refund_request uuid, p_reference text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.refund_requests%ROWTYPE;
    v_at timestamptz;
BEGIN
    IF coalesce(btrim(p_reference), '') = '' THEN
        RAISE EXCEPTION 'a refund is not recorded without a reference' USING ERRCODE = '22023';
    END IF;
    r := qzpay._lock_refund(p_refund_request);
    v_at := qzpay.now(r.customer_id);
    PERFORM qzpay._post(r.tenant_id, r.customer_id, 'refunds_payable', 'provider_clearing', r.currency, qzpay._call_off_refund(r.tenant_id, r.id, v_at), 'refund', r.id, v_at);
    PERFORM qzpay._finish_refund(r.tenant_id, r.id, p_reference, v_at);
END $$;
COMMENT ON FUNCTION qzpay._record_refund(uuid, text) IS 'Internal of record_refund(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.cancel_refund(refund_request uuid) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_refund_request';
COMMENT ON FUNCTION qzpay.cancel_refund(uuid) IS
'Gives up what is left of a refund request: the money becomes the customer''s balance (again), refundable; a part that nothing was credited for is no expense any more. What was planned to be sent is called off, '
'what was paid back stays so. Errors: QZ404, QZ204 settled already, QZ301 a part is under way at a provider.';

CREATE OR REPLACE FUNCTION qzpay._cancel_refund(p_refund_request uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.refund_requests%ROWTYPE;
    v_at timestamptz;
    v_left bigint;
    v_expense bigint;
BEGIN
    r := qzpay._lock_refund(p_refund_request);
    v_at := qzpay.now(r.customer_id);
    PERFORM FROM qzpay.balances k WHERE k.tenant_id = r.tenant_id AND k.customer_id = r.customer_id AND k.currency = r.currency FOR NO KEY UPDATE;
    v_left := qzpay._call_off_refund(r.tenant_id, r.id, v_at);
    v_expense := least(v_left, r.expense);
    UPDATE qzpay.refund_requests x SET status = 'canceled', settled_at = v_at WHERE x.tenant_id = r.tenant_id AND x.id = r.id;
    IF v_expense > 0 THEN
        PERFORM qzpay._post(r.tenant_id, r.customer_id, 'refunds_payable', 'refunds', r.currency, v_expense, 'refund', r.id, v_at);
    END IF;
    IF v_left > v_expense THEN
        PERFORM qzpay._post(r.tenant_id, r.customer_id, 'refunds_payable', 'customer_balance', r.currency, v_left - v_expense, 'refund', r.id, v_at);
        PERFORM qzpay._move_balances(ARRAY[r.tenant_id], ARRAY[r.customer_id], ARRAY[r.currency], ARRAY[v_left - v_expense], ARRAY['refund'], ARRAY[r.id], v_at, NULL, ARRAY[v_left - v_expense]);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._cancel_refund(uuid) IS 'Internal of cancel_refund(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.retry_refund(refund_request uuid) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_refund_request';
COMMENT ON FUNCTION qzpay.retry_refund(uuid) IS
'Sends what is left of a refund request through the providers once more, for example after refund.failed. Returns how many attempts were made of it: 0 where no payment can take it, or all of it is under way. '
'Errors: QZ404, QZ204 settled already.';

CREATE OR REPLACE FUNCTION qzpay._retry_refund(p_refund_request uuid) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.refund_requests%ROWTYPE;
BEGIN
    r := qzpay._lock_refund(p_refund_request);
    RETURN qzpay._send_refund(r.tenant_id, r.id, qzpay.now(r.customer_id));
END $$;
COMMENT ON FUNCTION qzpay._retry_refund(uuid) IS 'Internal of retry_refund(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.refund(payment uuid, amount bigint DEFAULT NULL, reason text DEFAULT NULL, idempotency_key text DEFAULT NULL, end_access boolean DEFAULT false,
        OUT refund_request uuid, OUT attempt_id uuid, OUT credit_note uuid, OUT status text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_payment';
COMMENT ON FUNCTION qzpay.refund(uuid, bigint, text, text, boolean) IS
'Gives back a payment, or a part of it (minor units; default all that is left), through the provider it came by; any number of times, in the sum never more than was captured, what a person paid by record_refund() or still has to included. '
'The books follow: a credit note over as much of its invoice as is left to credit and was paid with money, then the refundable part of the balance, and what nothing was credited for is an expense (account refunds). '
'Neither status nor access of a subscription changes, unless end_access is true: then the invoice''s subscription is canceled now. status: the attempt''s (the sandbox answers at once; other providers are called after '
'this transaction has committed: planned), or requested where no provider can send it and a person has to. What fails waits as a refund request (retry_refund(), record_refund(), cancel_refund()). '
'Errors: QZ404, QZ103 more than is left of the payment, QZ204 the payment is none that was received, or end_access without a subscription, 22023, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._refund(p_payment uuid, p_amount bigint, p_reason text, p_key text, p_end_access boolean,
        OUT refund_request uuid, OUT attempt_id uuid, OUT credit_note uuid, OUT status text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p qzpay.payments%ROWTYPE;
    i qzpay.invoices%ROWTYPE;
    v_invoice uuid;
    v_first jsonb;
    v_at timestamptz;
    v_otherwise bigint;
    v_left bigint;
    v_amount bigint;
    v_noted bigint := 0;
    v_back bigint;
BEGIN
    SELECT x.* INTO STRICT p FROM qzpay.payments x WHERE x.id = p_payment;
    v_invoice := p.invoice_id;
    IF v_invoice IS NOT NULL THEN
        PERFORM qzpay._lock_invoice(v_invoice);
    END IF;
    v_first := qzpay._idempotent_begin(p.tenant_id, 'refund', p_key, jsonb_build_array(p_payment, p_amount, p_reason, p_end_access));
    IF v_first IS NOT NULL THEN
        refund_request := (v_first ->> 'refund_request')::uuid;
        attempt_id := (v_first ->> 'attempt_id')::uuid;
        credit_note := (v_first ->> 'credit_note')::uuid;
        status := v_first ->> 'status';
        RETURN;
    END IF;
    IF p_amount IS NOT NULL THEN
        PERFORM qzpay._check_amount(p_amount, p.currency);
    END IF;
    v_at := qzpay.now(p.customer_id);
    IF p_end_access THEN
        IF NOT EXISTS (SELECT FROM qzpay.invoice_subscriptions m WHERE m.tenant_id = p.tenant_id AND m.invoice_id = v_invoice) THEN
            RAISE EXCEPTION 'payment % is for no subscription whose access could end', p_payment USING ERRCODE = 'QZ204';
        END IF;
        PERFORM qzpay._cancel(s.id, 'now', 'refunded', 'none', NULL) FROM qzpay.invoice_subscriptions m JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id
        WHERE m.tenant_id = p.tenant_id AND m.invoice_id = v_invoice AND s.ended_at IS NULL;
    END IF;
    SELECT * INTO i FROM qzpay.invoices x WHERE x.tenant_id = p.tenant_id AND x.id = v_invoice;
    PERFORM FROM qzpay.balances k WHERE k.tenant_id = p.tenant_id AND k.customer_id = p.customer_id AND k.currency = p.currency FOR NO KEY UPDATE;
    PERFORM qzpay._lock_payments(p.tenant_id, p.customer_id, p.currency);
    SELECT x.* INTO STRICT p FROM qzpay.payments x WHERE x.tenant_id = p.tenant_id AND x.id = p_payment;
    IF p.invoice_id IS DISTINCT FROM v_invoice THEN
        RAISE EXCEPTION 'payment % was linked to another invoice meanwhile', p_payment USING ERRCODE = '40001';
    ELSIF p.status <> 'succeeded' THEN
        RAISE EXCEPTION 'payment % cannot be refunded', p_payment USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', p.status);
    END IF;
    -- What earlier calls could not send was paid by hand, or is still owed.
    v_otherwise := coalesce((SELECT sum(r.amount - r.refunded - r.refunding) FROM qzpay.refund_requests r WHERE r.tenant_id = p.tenant_id AND r.payment_id = p.id AND r.status IN ('requested', 'done')), 0);
    v_left := p.amount - p.refunded - p.refunding - p.disputed - v_otherwise;
    v_amount := coalesce(p_amount, v_left);
    IF v_left <= 0 OR v_amount > v_left THEN
        RAISE EXCEPTION 'payment of invoice % cannot be refunded by %', coalesce(i.number, p_payment::text), coalesce(p_amount::text, 'anything') USING ERRCODE = 'QZ103',
            DETAIL = format('Captured: %s, refunded: %s, being refunded: %s, disputed: %s, paid by hand or waiting for it: %s, left: %s.',
                            p.amount, p.refunded, p.refunding, p.disputed, v_otherwise, greatest(v_left, 0));
    END IF;

    -- Money that nobody had waited for became balance and paid for nothing.
    IF i.status IN ('open', 'paid') AND NOT EXISTS (SELECT FROM qzpay.balance_entries e WHERE e.tenant_id = p.tenant_id AND e.customer_id = p.customer_id AND e.currency = p.currency
                                                    AND e.cause = 'payment' AND e.cause_id = p.id) THEN
        v_noted := greatest(least(v_amount, qzpay._creditable(p.tenant_id, i.id), qzpay._money_left(p.tenant_id, i.id)), 0);
    END IF;
    IF v_noted > 0 THEN
        SELECT n.id INTO STRICT credit_note FROM qzpay._write_credit_note(p.tenant_id, i.id, qzpay._take_amount(p.tenant_id, i.id, v_noted), 'refund', 0, v_noted, 0, p_reason, v_at) n;
    END IF;
    v_back := least(v_amount - v_noted, coalesce((SELECT k.refundable FROM qzpay.balances k WHERE k.tenant_id = p.tenant_id AND k.customer_id = p.customer_id AND k.currency = p.currency), 0));
    refund_request := qzpay._request_refund(p.tenant_id, p.customer_id, p.currency, v_amount, credit_note, p.id, v_amount - v_noted - v_back, p_reason, v_at);
    IF v_back > 0 THEN
        PERFORM qzpay._balance_to_refund(p.tenant_id, p.customer_id, p.currency, v_back, refund_request, p_reason, v_at);
    END IF;
    IF v_amount > v_noted + v_back THEN
        PERFORM qzpay._post(p.tenant_id, p.customer_id, 'refunds', 'refunds_payable', p.currency, v_amount - v_noted - v_back, 'refund', refund_request, v_at);
    END IF;
    PERFORM qzpay._send_refund(p.tenant_id, refund_request, v_at);
    SELECT a.id, a.status::text INTO attempt_id, status FROM qzpay.payment_attempts a WHERE a.tenant_id = p.tenant_id AND a.refund_request_id = refund_request;
    status := coalesce(status, 'requested');
    PERFORM qzpay._idempotent_end(p.tenant_id, 'refund', p_key, jsonb_build_object('refund_request', refund_request, 'attempt_id', attempt_id, 'credit_note', credit_note, 'status', status));
END $$;
COMMENT ON FUNCTION qzpay._refund(uuid, bigint, text, text, boolean) IS 'Internal of refund(), inside the tenant''s context.';
