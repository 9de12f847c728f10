CREATE OR REPLACE FUNCTION qzpay._plan_attempts(p_tenant_ids uuid[], p_invoice_ids uuid[], p_trigger text, p_at timestamptz, p_payment_method uuid DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows integer;
BEGIN
    INSERT INTO qzpay.payment_attempts (tenant_id, id, customer_id, invoice_id, attempt_no, operation, trigger, provider, account, payment_method_id, livemode, test_clock_id,
                                        currency, amount, status, next_at, planned_at)
    SELECT i.tenant_id, qzpay.uuid_v5(n.id, 'attempt:' || i.id || ':' || t.attempt_no || ':charge'), i.customer_id, i.id, t.attempt_no, 'charge', p_trigger, m.provider, p.account, m.id,
           i.livemode, c.test_clock_id, i.currency, t.rest, 'planned', CASE WHEN p.transport = 'internal' AND c.test_clock_id IS NOT NULL THEN p_at ELSE qzpay._recorded_at() END, p_at
    FROM unnest(p_tenant_ids, p_invoice_ids) AS k (tenant_id, invoice_id)
    JOIN qzpay.invoices i ON i.tenant_id = k.tenant_id AND i.id = k.invoice_id
    JOIN qzpay.customers c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id
    JOIN qzpay.payment_methods m ON m.tenant_id = i.tenant_id AND m.customer_id = i.customer_id AND m.detached_at IS NULL
         AND CASE WHEN p_payment_method IS NULL THEN m.is_default ELSE m.id = p_payment_method END
    JOIN qzpay.providers p ON p.code = m.provider
    CROSS JOIN qzpay.installation n
    CROSS JOIN LATERAL (
        SELECT coalesce(max(a.attempt_no), 0) + 1 AS attempt_no, i.amount_due - i.amount_paid - i.amount_in_flight - i.amount_credited - i.amount_written_off AS rest
        FROM qzpay.payment_attempts a WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.id AND a.operation = 'charge') t
    WHERE i.status = 'open' AND (i.collection = 'charge_automatically' OR p_trigger IN ('customer', 'operator')) AND t.rest > 0
      AND (m.blocked_reason IS NULL OR p_trigger IN ('customer', 'operator'))
      AND NOT (i.livemode AND p.capabilities @> '{"test_only": true}')
      AND NOT EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.id AND a.operation = 'charge'
                      AND a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled'))
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
    WHERE a.tenant_id = k.tenant_id AND a.invoice_id = k.invoice_id AND a.status = 'planned';
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._cancel_planned_attempts(uuid[], uuid[], timestamptz) IS 'Calls off attempts of these invoices that were not sent. Returns how many.';

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

CREATE OR REPLACE FUNCTION qzpay.attach_payment_method(customer uuid, provider text, token text, brand text DEFAULT NULL, last4 text DEFAULT NULL,
        exp_month integer DEFAULT NULL, exp_year integer DEFAULT NULL, make_default boolean DEFAULT true) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.attach_payment_method(uuid, text, text, text, text, integer, integer, boolean) IS
'Saves a way to pay by the provider''s token (never a card number) and returns its id; the same token again returns the same method. The first one is the default whatever make_default says. '
'Open invoices are tried with a new default at once. Errors: QZ404 unknown customer or provider, QZ204 a provider for tests on a live customer, 22023 a malformed value or what looks like a card number.';

CREATE OR REPLACE FUNCTION qzpay._attach_payment_method(p_customer uuid, p_provider text, p_token text, p_brand text, p_last4 text,
        p_exp_month integer, p_exp_year integer, p_make_default boolean) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_test_only boolean;
    v_at timestamptz := qzpay.now(p_customer);
    v_id uuid;
    v_text text;
BEGIN
    FOREACH v_text IN ARRAY ARRAY[p_token, p_brand, p_last4] LOOP
        PERFORM qzpay._refuse_pan(v_text);
    END LOOP;
    IF coalesce(length(p_token), 0) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'a payment method needs the provider''s token, of 1 to 255 characters' USING ERRCODE = '22023';
    ELSIF p_last4 !~ '^[0-9]{4}$' THEN
        RAISE EXCEPTION 'last4 must be four digits' USING ERRCODE = '22023';
    ELSIF p_exp_month NOT BETWEEN 1 AND 12 OR p_exp_year NOT BETWEEN 2000 AND 2200 THEN
        RAISE EXCEPTION 'no card expires in month % of year %', coalesce(p_exp_month::text, '?'), coalesce(p_exp_year::text, '?') USING ERRCODE = '22023',
            HINT = 'A month from 1 to 12, a year with four digits.';
    END IF;
    -- The customer's row is the lock under which its methods change, after its subscriptions: whoever bills holds those.
    PERFORM FROM qzpay.subscriptions s WHERE s.customer_id = p_customer AND s.ended_at IS NULL ORDER BY s.id FOR NO KEY UPDATE;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    SELECT coalesce(p.capabilities @> '{"test_only": true}', false) INTO v_test_only FROM qzpay.providers p WHERE p.code = p_provider AND p.kind = 'payment' AND p.enabled;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payment provider "%" not found', p_provider USING ERRCODE = 'QZ404',
            HINT = (SELECT 'One of ' || string_agg(p.code, ', ' ORDER BY p.code) || '.' FROM qzpay.providers p WHERE p.kind = 'payment' AND p.enabled);
    ELSIF v_test_only AND v_customer.livemode THEN
        RAISE EXCEPTION 'provider "%" moves no real money, and customer "%" is live', p_provider, v_customer.external_id USING ERRCODE = 'QZ204',
            HINT = 'Make customers for tests with sync_customer(livemode => false) or on a test clock.';
    END IF;
    SELECT m.id INTO v_id FROM qzpay.payment_methods m
    WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.provider = p_provider AND m.token = p_token AND m.detached_at IS NULL;
    IF v_id IS NULL THEN
        v_id := qzpay.uuid_v7();
        INSERT INTO qzpay.payment_methods (tenant_id, id, customer_id, provider, token, brand, last4, exp_month, exp_year, is_default, created_at)
        VALUES (v_customer.tenant_id, v_id, p_customer, p_provider, p_token, p_brand, p_last4, p_exp_month, p_exp_year, false, v_at);
        PERFORM qzpay._emit_event(v_customer.tenant_id, 'payment_method.attached', 'payment_method', v_id, p_customer,
            jsonb_build_object('paymentMethodId', v_id, 'provider', p_provider, 'brand', p_brand, 'last4', p_last4), NULL, v_at);
    ELSE
        UPDATE qzpay.payment_methods m SET brand = coalesce(p_brand, m.brand), last4 = coalesce(p_last4, m.last4),
               exp_month = coalesce(p_exp_month, m.exp_month), exp_year = coalesce(p_exp_year, m.exp_year)
        WHERE m.tenant_id = v_customer.tenant_id AND m.id = v_id;
    END IF;
    UPDATE qzpay.subscriptions s SET has_payment_method = true, updated_at = v_at
    WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.ended_at IS NULL AND NOT s.has_payment_method;
    PERFORM qzpay._start_trials(v_customer.tenant_id, p_customer, v_at);
    IF coalesce(p_make_default, true) OR NOT EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.is_default) THEN
        PERFORM qzpay._make_default_method(v_customer.tenant_id, p_customer, v_id, v_at);
    END IF;
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._attach_payment_method(uuid, text, text, text, text, integer, integer, boolean) IS 'Internal of attach_payment_method(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._make_default_method(p_tenant uuid, p_customer uuid, p_payment_method uuid, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.payment_methods m SET is_default = false WHERE m.tenant_id = p_tenant AND m.customer_id = p_customer AND m.is_default AND m.id <> p_payment_method;
    UPDATE qzpay.payment_methods m SET is_default = true WHERE m.tenant_id = p_tenant AND m.id = p_payment_method AND NOT m.is_default;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM qzpay._emit_event(p_tenant, 'payment_method.updated', 'payment_method', p_payment_method, p_customer,
        jsonb_build_object('paymentMethodId', p_payment_method, 'isDefault', true), NULL, p_at);
    PERFORM qzpay._retry_open_invoices(p_tenant, p_customer, p_payment_method, 'new_method', p_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._make_default_method(uuid, uuid, uuid, timestamptz) IS 'Makes a method the customer''s default and tries open invoices with it; false if it was already.';

CREATE OR REPLACE FUNCTION qzpay.set_default_payment_method(payment_method uuid) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_payment_method';
COMMENT ON FUNCTION qzpay.set_default_payment_method(uuid) IS
'Makes a saved method the one that is charged, and tries open invoices with it; false if it was already. Errors: QZ404, QZ204 for a removed method.';

CREATE OR REPLACE FUNCTION qzpay._set_default_payment_method(p_payment_method uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m record;
BEGIN
    SELECT * INTO STRICT m FROM qzpay._lock_method(p_payment_method);
    RETURN qzpay._make_default_method(m.tenant_id, m.customer_id, m.id, qzpay.now(m.customer_id));
END $$;
COMMENT ON FUNCTION qzpay._set_default_payment_method(uuid) IS 'Internal of set_default_payment_method(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._lock_method(p_payment_method uuid, OUT tenant_id uuid, OUT id uuid, OUT customer_id uuid, OUT is_default boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_customer uuid;
    v_detached timestamptz;
BEGIN
    SELECT m.customer_id INTO STRICT v_customer FROM qzpay.payment_methods m WHERE m.id = p_payment_method;
    PERFORM FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.ended_at IS NULL ORDER BY s.id FOR NO KEY UPDATE;
    PERFORM FROM qzpay.customers c WHERE c.id = v_customer FOR NO KEY UPDATE;
    SELECT m.tenant_id, m.id, m.customer_id, m.is_default, m.detached_at INTO STRICT tenant_id, id, customer_id, is_default, v_detached
    FROM qzpay.payment_methods m WHERE m.id = p_payment_method;
    IF v_detached IS NOT NULL THEN
        RAISE EXCEPTION 'payment method % was removed', p_payment_method USING ERRCODE = 'QZ204';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._lock_method(uuid) IS 'Locks the customer of a method, subscriptions first, and reads it; QZ204 when it was removed.';

CREATE OR REPLACE FUNCTION qzpay.detach_payment_method(payment_method uuid) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_payment_method';
COMMENT ON FUNCTION qzpay.detach_payment_method(uuid) IS
'Removes a saved method. Refused with QZ204 for the default while there are others, for the last one under a live subscription, and while a payment with it is under way.';

CREATE OR REPLACE FUNCTION qzpay._detach_payment_method(p_payment_method uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m record;
    v_others boolean;
    v_at timestamptz;
BEGIN
    SELECT * INTO STRICT m FROM qzpay._lock_method(p_payment_method);
    v_at := qzpay.now(m.customer_id);
    v_others := EXISTS (SELECT FROM qzpay.payment_methods o WHERE o.tenant_id = m.tenant_id AND o.customer_id = m.customer_id AND o.detached_at IS NULL AND o.id <> m.id);
    IF EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = m.tenant_id AND a.payment_method_id = m.id AND a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled')) THEN
        RAISE EXCEPTION 'payment method % has a payment under way', m.id USING ERRCODE = 'QZ204';
    ELSIF m.is_default AND v_others THEN
        RAISE EXCEPTION 'payment method % is the default', m.id USING ERRCODE = 'QZ204', HINT = 'Call set_default_payment_method() for another one first.';
    ELSIF NOT v_others AND EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = m.tenant_id AND s.customer_id = m.customer_id AND s.ended_at IS NULL) THEN
        RAISE EXCEPTION 'payment method % is the last one of a customer with a live subscription', m.id USING ERRCODE = 'QZ204',
            HINT = 'Attach another one first, or cancel the subscription.';
    END IF;
    UPDATE qzpay.payment_methods o SET is_default = false, detached_at = v_at WHERE o.tenant_id = m.tenant_id AND o.id = m.id;
    PERFORM qzpay._emit_event(m.tenant_id, 'payment_method.detached', 'payment_method', m.id, m.customer_id, jsonb_build_object('paymentMethodId', m.id), NULL, v_at);
END $$;
COMMENT ON FUNCTION qzpay._detach_payment_method(uuid) IS 'Internal of detach_payment_method(), inside the tenant''s context.';

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
    PERFORM FROM qzpay.subscriptions s WHERE s.tenant_id = i.tenant_id AND s.id = i.subscription_id FOR NO KEY UPDATE;
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
        SELECT x.id INTO STRICT attempt_id FROM qzpay.payment_attempts x WHERE x.tenant_id = i.tenant_id AND x.invoice_id = i.id AND x.status = 'planned';
    END IF;
    PERFORM qzpay._run_internal_attempt(i.tenant_id, attempt_id);
    SELECT x.status::text INTO STRICT status FROM qzpay.payment_attempts x WHERE x.tenant_id = i.tenant_id AND x.id = attempt_id;
END $$;
COMMENT ON FUNCTION qzpay._pay_invoice(uuid, uuid) IS 'Internal of pay_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.resolve_attempt(attempt uuid, outcome text, note text, provider_ref text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_attempt';
COMMENT ON FUNCTION qzpay.resolve_attempt(uuid, text, text, text) IS
'An operator who has seen the provider''s own books says what became of an attempt: succeeded, declined, canceled, or unknown to have it looked up again at once. '
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
    PERFORM qzpay._refuse_pan(p_note);
    PERFORM qzpay._refuse_pan(p_provider_ref);
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.id = p_attempt;
    PERFORM qzpay._lock_subscription_of(a.tenant_id, a.id);
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
