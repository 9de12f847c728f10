CREATE OR REPLACE FUNCTION qzpay._plan_attempts(p_tenant_ids uuid[], p_invoice_ids uuid[], p_trigger text, p_at timestamptz, p_payment_method uuid DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_rows integer;
    v_installation uuid := qzpay.installation_id();
BEGIN
    INSERT INTO qzpay.payment_attempts (tenant_id, id, customer_id, invoice_id, attempt_no, operation, trigger, provider, account, payment_method_id, livemode, test_clock_id,
                                        currency, amount, status, next_at, planned_at)
    SELECT i.tenant_id, qzpay.uuid_v5(v_installation, 'attempt:' || i.id || ':' || t.attempt_no || ':charge'), i.customer_id, i.id, t.attempt_no, 'charge', p_trigger, m.provider, p.account, m.id,
           i.livemode, c.test_clock_id, i.currency, t.rest, 'planned', CASE WHEN p.transport = 'internal' AND c.test_clock_id IS NOT NULL THEN p_at ELSE qzpay._recorded_at() END, p_at
    FROM unnest(p_tenant_ids, p_invoice_ids) AS k (tenant_id, invoice_id)
    -- By key, and not by the partial index of what is open, which grows with every batch of a run.
    CROSS JOIN LATERAL (SELECT i.* FROM qzpay.invoices i WHERE i.tenant_id = k.tenant_id AND i.id = k.invoice_id OFFSET 0) i
    CROSS JOIN LATERAL (SELECT c.test_clock_id FROM qzpay.customers c WHERE c.tenant_id = i.tenant_id AND c.id = i.customer_id OFFSET 0) c
    CROSS JOIN LATERAL (SELECT m.* FROM qzpay.payment_methods m WHERE m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id AND m.detached_at IS NULL
                        AND CASE WHEN p_payment_method IS NULL THEN m.is_default ELSE m.id = p_payment_method END OFFSET 0) m
    JOIN qzpay.providers p ON p.code = m.provider
    CROSS JOIN LATERAL (
        SELECT coalesce(max(a.attempt_no), 0) + 1 AS attempt_no, coalesce(bool_or(a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled')), false) AS under_way,
               i.amount_due - i.amount_paid - i.amount_in_flight - i.amount_credited - i.amount_written_off AS rest
        FROM qzpay.payment_attempts a WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.id AND a.operation = 'charge') t
    WHERE i.status = 'open' AND (i.collection = 'charge_automatically' OR p_trigger IN ('customer', 'operator')) AND t.rest > 0
      AND (m.blocked_reason IS NULL OR p_trigger IN ('customer', 'operator'))
      AND NOT (i.livemode AND p.capabilities @> '{"test_only": true}')
      AND NOT t.under_way
    ORDER BY i.tenant_id, i.id
    ON CONFLICT (tenant_id, invoice_id) WHERE operation = 'charge' AND status NOT IN ('succeeded', 'declined', 'rejected', 'canceled') DO NOTHING;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._plan_attempts(uuid[], uuid[], text, timestamptz, uuid) IS
'Plans the next attempt for each of these invoices that is open, has a rest and none under way, on the customer''s default method or the given one. '
'By themselves, billing and dunning do not try a blocked method. The number is the one after the last, whose failure is definite. Returns how many were planned.';

CREATE OR REPLACE FUNCTION qzpay._cancel_planned_attempts(p_tenants uuid[], p_invoices uuid[], p_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows integer;
BEGIN
    UPDATE qzpay.payment_attempts a SET status = 'canceled', status_reason = 'called off', next_at = NULL, settled_at = p_at
    FROM unnest(p_tenants, p_invoices) AS k (tenant_id, invoice_id)
    WHERE a.tenant_id = k.tenant_id AND a.invoice_id = k.invoice_id AND a.operation = 'charge' AND a.status = 'planned';
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._cancel_planned_attempts(uuid[], uuid[], timestamptz) IS 'Calls off charges of these invoices that were not sent. Returns how many.';

CREATE OR REPLACE FUNCTION qzpay._supersede_attempts(p_tenant uuid, p_customer uuid, p_payment_method uuid, p_trigger text, p_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows integer;
BEGIN
    UPDATE qzpay.payment_attempts a SET next_at = qzpay._attempt_now(a.provider, a.test_clock_id),
           request = coalesce(a.request, '{}') || jsonb_build_object('supersede', jsonb_build_object('trigger', p_trigger, 'payment_method', p_payment_method))
    WHERE a.tenant_id = p_tenant AND a.customer_id = p_customer AND a.status = 'requires_action' AND a.payment_method_id <> p_payment_method;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._supersede_attempts(uuid, uuid, uuid, text, timestamptz) IS
'Attempts that wait for the customer give way to another method: the provider has to confirm that they are canceled before the new one is planned, lest the customer completes both.';

CREATE OR REPLACE FUNCTION qzpay._retry_open_invoices(p_tenant uuid, p_customer uuid, p_payment_method uuid, p_trigger text, p_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT qzpay._supersede_attempts(p_tenant, p_customer, p_payment_method, p_trigger, p_at)
               + coalesce((SELECT qzpay._plan_attempts(array_agg(i.tenant_id ORDER BY i.issued_at, i.id), array_agg(i.id ORDER BY i.issued_at, i.id), p_trigger, p_at)
                           FROM qzpay.invoices i
                           WHERE i.tenant_id = p_tenant AND i.customer_id = p_customer AND i.status = 'open' AND i.collection = 'charge_automatically'), 0));
END $$;
COMMENT ON FUNCTION qzpay._retry_open_invoices(uuid, uuid, uuid, text, timestamptz) IS 'A new way to pay is tried at once on what is open, outside of dunning''s count.';

CREATE OR REPLACE FUNCTION qzpay.pay_invoice(invoice uuid, payment_method uuid DEFAULT NULL, OUT attempt_id uuid, OUT status text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.pay_invoice(uuid, uuid) IS
'Collects an open invoice now, with the given method (which does not become the default) or the default one. The sandbox answers at once; other providers are called after this transaction has committed: '
'status is then planned, and events tell the outcome. Where the customer had been asked to authenticate an earlier try, that one is called off first. '
'Errors: QZ404, QZ204 nothing to pay or no usable method, QZ301 a payment is under way.';

CREATE OR REPLACE FUNCTION qzpay._pay_invoice(p_invoice uuid, p_payment_method uuid, OUT attempt_id uuid, OUT status text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    i qzpay.invoices%ROWTYPE;
    a qzpay.payment_attempts%ROWTYPE;
    v_at timestamptz;
    v_method uuid;
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.id = p_invoice;
    PERFORM qzpay._lock_subscriptions_of(i.tenant_id, i.id);
    v_at := qzpay.now(i.customer_id);
    SELECT * INTO a FROM qzpay.payment_attempts x
    WHERE x.tenant_id = i.tenant_id AND x.invoice_id = i.id AND x.operation = 'charge' AND x.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled') FOR NO KEY UPDATE;
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.id = p_invoice FOR NO KEY UPDATE;
    SELECT m.id INTO v_method FROM qzpay.payment_methods m
    WHERE m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id AND m.detached_at IS NULL AND CASE WHEN p_payment_method IS NULL THEN m.is_default ELSE m.id = p_payment_method END;
    IF i.status <> 'open' OR i.amount_due - i.amount_paid - i.amount_credited - i.amount_written_off <= 0 THEN
        RAISE EXCEPTION 'invoice % has nothing to pay', coalesce(i.number, i.id::text) USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', i.status);
    ELSIF v_method IS NULL THEN
        RAISE EXCEPTION 'invoice % has no payment method to be paid with', i.number USING ERRCODE = 'QZ204', HINT = 'Save one of this customer with attach_payment_method().';
    ELSIF a.status = 'requires_action' AND a.payment_method_id <> v_method THEN
        PERFORM qzpay._supersede_attempts(i.tenant_id, i.customer_id, v_method, 'customer', v_at);
        attempt_id := a.id;
    ELSIF a.status = 'planned' THEN
        PERFORM qzpay._cancel_planned_attempts(ARRAY[i.tenant_id], ARRAY[i.id], v_at);
    ELSIF a.id IS NOT NULL THEN
        RAISE EXCEPTION 'a payment of invoice % is under way', i.number USING ERRCODE = 'QZ301', DETAIL = format('Attempt %s is %s.', a.id, a.status),
            HINT = CASE WHEN a.status = 'needs_operator' THEN 'Its outcome is unknown; see resolve_attempt().' ELSE 'Wait for its outcome; a second one could charge the customer twice.' END;
    END IF;
    IF attempt_id IS NULL THEN
        IF qzpay._plan_attempts(ARRAY[i.tenant_id], ARRAY[i.id], 'customer', v_at, v_method) = 0 THEN
            RAISE EXCEPTION 'invoice % has no payment method to be paid with', i.number USING ERRCODE = 'QZ204', DETAIL = 'The method is for tests, and the invoice is live.';
        END IF;
        SELECT x.id INTO STRICT attempt_id FROM qzpay.payment_attempts x WHERE x.tenant_id = i.tenant_id AND x.invoice_id = i.id AND x.operation = 'charge' AND x.status = 'planned';
    END IF;
    PERFORM qzpay._run_internal_attempt(i.tenant_id, attempt_id);
    SELECT x.status::text INTO STRICT status FROM qzpay.payment_attempts x WHERE x.tenant_id = i.tenant_id AND x.id = attempt_id;
END $$;
COMMENT ON FUNCTION qzpay._pay_invoice(uuid, uuid) IS 'Internal of pay_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.resolve_attempt(attempt uuid, outcome text, note text, provider_ref text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_attempt';
COMMENT ON FUNCTION qzpay.resolve_attempt(uuid, text, text, text) IS
'An operator who has seen the provider''s own books says what became of an attempt at a charge or a refund: succeeded, declined, canceled, or unknown to have it looked up again at once. '
'The note stays with the attempt. Returns the new status. Errors: QZ404, QZ301 when its outcome is known or it is being sent, 22023.';

CREATE OR REPLACE FUNCTION qzpay._resolve_attempt(p_attempt uuid, p_outcome text, p_note text, p_provider_ref text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
BEGIN
    IF p_outcome IS NULL OR p_outcome NOT IN ('succeeded', 'declined', 'canceled', 'unknown') THEN
        RAISE EXCEPTION 'no outcome "%"', p_outcome USING ERRCODE = '22023', HINT = 'One of succeeded, declined, canceled, unknown.';
    ELSIF coalesce(btrim(p_note), '') = '' THEN
        RAISE EXCEPTION 'an attempt is not resolved without a note' USING ERRCODE = '22023', HINT = 'Say what you saw at the provider.';
    END IF;
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.id = p_attempt;
    PERFORM qzpay._lock_above(a.tenant_id, a.id);
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = a.tenant_id AND x.id = p_attempt FOR NO KEY UPDATE;
    IF NOT qzpay._answer_fits(a.status::text, a.fence, a.provider_ref, NULL, 'operator') OR a.lease_until > qzpay._real_now() THEN
        RAISE EXCEPTION 'attempt % of invoice % cannot be resolved by hand', a.attempt_no, (SELECT i.number FROM qzpay.invoices i WHERE i.tenant_id = a.tenant_id AND i.id = a.invoice_id)
            USING ERRCODE = 'QZ301', DETAIL = format('It is %s.', a.status);
    ELSIF p_provider_ref <> a.provider_ref THEN
        RAISE EXCEPTION 'attempt % is another payment at the provider', p_attempt USING ERRCODE = 'QZ301', DETAIL = format('It is known there as %s.', a.provider_ref);
    END IF;
    PERFORM qzpay._settle_attempt(a.tenant_id, a.id, NULL, 'operator', jsonb_strip_nulls(jsonb_build_object('transport', 'ok', 'outcome', p_outcome,
        'message', 'operator: ' || left(p_note, 400), 'decline_class', CASE WHEN p_outcome = 'declined' THEN 'later' END, 'provider_ref', p_provider_ref)));
    IF p_outcome = 'unknown' THEN
        UPDATE qzpay.payment_attempts x SET next_at = qzpay._attempt_now(x.provider, x.test_clock_id), lookups = 0 WHERE x.tenant_id = a.tenant_id AND x.id = a.id AND x.status = 'unknown';
    END IF;
    RETURN (SELECT x.status::text FROM qzpay.payment_attempts x WHERE x.tenant_id = a.tenant_id AND x.id = a.id);
END $$;
COMMENT ON FUNCTION qzpay._resolve_attempt(uuid, text, text, text) IS 'Internal of resolve_attempt(), inside the tenant''s context.';
