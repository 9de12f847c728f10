-- The provider that needs no network and no account. Tokens decide: tok_ok, tok_decline and tok_insufficient_funds (class later), tok_lost (never),
-- tok_expired (needs_customer), tok_3ds (requires_action), tok_timeout (no answer, though the money moved), tok_unknown (no answer, ever).
-- With tok_refund_fails, tok_refund_pending (done when it is looked up), tok_refund_timeout and tok_refund_unknown the charge succeeds, and the refund behaves so; with any other a refund succeeds.

CREATE OR REPLACE FUNCTION qzpay._sandbox_decline(p_token text, OUT code text, OUT class text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.code, d.class
    FROM (VALUES ('tok_decline', 'generic_decline', 'later'), ('tok_insufficient_funds', 'insufficient_funds', 'later'),
                 ('tok_lost', 'lost_card', 'never'), ('tok_expired', 'expired_card', 'needs_customer')) AS d (token, code, class)
    WHERE d.token = p_token
$$;
COMMENT ON FUNCTION qzpay._sandbox_decline(text) IS 'Code and class with which the sandbox declines this token; NULL where it does not.';

CREATE OR REPLACE FUNCTION qzpay._sandbox_refund(p_operation text, p_attempt jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := (p_attempt ->> 'tenant_id')::uuid;
    v_token text := p_attempt ->> 'token';
    v_left bigint;
    v_refund qzpay.sandbox_refunds%ROWTYPE;
BEGIN
    IF v_token = 'tok_refund_unknown' THEN
        RETURN jsonb_build_object('transport', 'timeout');
    END IF;
    IF p_operation = 'refund' AND NOT EXISTS (SELECT FROM qzpay.sandbox_refunds r WHERE r.tenant_id = v_tenant AND r.idempotency_key = p_attempt ->> 'idempotency_key') THEN
        SELECT c.amount - coalesce((SELECT sum(r.amount) FROM qzpay.sandbox_refunds r WHERE r.tenant_id = v_tenant AND r.charge_id = c.id AND r.status <> 'failed'), 0) INTO v_left
        FROM qzpay.sandbox_charges c WHERE c.tenant_id = v_tenant AND c.id = p_attempt ->> 'payment_ref' AND c.status = 'succeeded' FOR NO KEY UPDATE OF c;
        IF NOT FOUND OR (p_attempt ->> 'amount')::bigint > v_left THEN
            RETURN jsonb_build_object('transport', 'ok', 'status', 400,
                                      'body', jsonb_build_object('error', CASE WHEN v_left IS NULL THEN 'no such charge' ELSE 'more than is left of the charge' END)::text);
        END IF;
        INSERT INTO qzpay.sandbox_refunds (tenant_id, id, idempotency_key, charge_id, attempt_id, token, currency, amount, status, created_at)
        VALUES (v_tenant, 'sbr_' || replace(p_attempt ->> 'id', '-', ''), p_attempt ->> 'idempotency_key', p_attempt ->> 'payment_ref', (p_attempt ->> 'id')::uuid, v_token, p_attempt ->> 'currency',
                (p_attempt ->> 'amount')::bigint, CASE v_token WHEN 'tok_refund_fails' THEN 'failed' WHEN 'tok_refund_pending' THEN 'processing' ELSE 'succeeded' END, qzpay._recorded_at());
    ELSIF p_operation = 'refund_lookup' THEN
        UPDATE qzpay.sandbox_refunds r SET status = 'succeeded' WHERE r.tenant_id = v_tenant AND r.id = p_attempt ->> 'provider_ref' AND r.status = 'processing';
    END IF;
    SELECT * INTO v_refund FROM qzpay.sandbox_refunds r WHERE r.tenant_id = v_tenant AND r.idempotency_key = p_attempt ->> 'idempotency_key';
    IF NOT FOUND THEN
        RETURN jsonb_build_object('transport', 'ok', 'status', 200, 'body', jsonb_build_object('status', 'not_found')::text);
    END IF;
    UPDATE qzpay.sandbox_refunds r SET answers = r.answers + 1 WHERE r.tenant_id = v_tenant AND r.id = v_refund.id;
    IF v_refund.token = 'tok_refund_timeout' AND v_refund.answers = 0 THEN
        RETURN jsonb_build_object('transport', 'timeout');
    END IF;
    RETURN jsonb_build_object('transport', 'ok', 'status', 200,
        'body', jsonb_build_object('id', v_refund.id, 'payment', v_refund.charge_id, 'status', CASE v_refund.status WHEN 'failed' THEN 'declined' ELSE v_refund.status END, 'amount', v_refund.amount,
                                   'currency', v_refund.currency, 'attempt', v_refund.attempt_id, 'decline_code', CASE v_refund.status WHEN 'failed' THEN 'refund_failed' END)::text);
END $$;
COMMENT ON FUNCTION qzpay._sandbox_refund(text, jsonb) IS 'Refunds of the sandbox: made once per key, never more than is left of the charge, by its own books; the token of the payment''s method decides how it goes.';

CREATE OR REPLACE FUNCTION qzpay.sandbox_request(operation text, attempt jsonb, provider jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := (attempt ->> 'tenant_id')::uuid;
    v_token text := attempt ->> 'token';
    v_charge qzpay.sandbox_charges%ROWTYPE;
BEGIN
    IF operation IN ('refund', 'refund_lookup', 'refund_find') THEN
        RETURN qzpay._sandbox_refund(operation, attempt);
    ELSIF operation = 'create' THEN
        IF NOT coalesce(provider #> '{capabilities,tokens}' ? v_token, false) THEN
            RETURN jsonb_build_object('transport', 'ok', 'status', 400, 'body', jsonb_build_object('error', 'no such token')::text);
        END IF;
        INSERT INTO qzpay.sandbox_charges (tenant_id, id, idempotency_key, attempt_id, token, currency, amount, status, decline_code, created_at)
        SELECT v_tenant, 'sbx_' || replace(attempt ->> 'id', '-', ''), attempt ->> 'idempotency_key', (attempt ->> 'id')::uuid, v_token,
               attempt ->> 'currency', (attempt ->> 'amount')::bigint,
               CASE WHEN d.code IS NOT NULL THEN 'declined' WHEN v_token = 'tok_3ds' THEN 'requires_action' ELSE 'succeeded' END, d.code, qzpay._recorded_at()
        FROM qzpay._sandbox_decline(v_token) d
        WHERE v_token <> 'tok_unknown'
        ON CONFLICT (tenant_id, idempotency_key) DO NOTHING;
    ELSIF operation = 'cancel' THEN
        UPDATE qzpay.sandbox_charges c SET status = 'canceled'
        WHERE c.tenant_id = v_tenant AND c.idempotency_key = attempt ->> 'idempotency_key' AND c.status = 'requires_action';
    END IF;
    SELECT * INTO v_charge FROM qzpay.sandbox_charges c WHERE c.tenant_id = v_tenant AND c.idempotency_key = attempt ->> 'idempotency_key';
    IF NOT FOUND AND v_token = 'tok_unknown' THEN
        RETURN jsonb_build_object('transport', 'timeout');
    ELSIF NOT FOUND THEN
        RETURN jsonb_build_object('transport', 'ok', 'status', 200, 'body', jsonb_build_object('status', 'not_found')::text);
    END IF;
    UPDATE qzpay.sandbox_charges c SET answers = c.answers + 1 WHERE c.tenant_id = v_tenant AND c.id = v_charge.id;
    IF v_charge.token = 'tok_timeout' AND v_charge.answers = 0 THEN
        RETURN jsonb_build_object('transport', 'timeout');
    END IF;
    RETURN jsonb_build_object('transport', 'ok', 'status', CASE WHEN v_charge.status = 'declined' AND operation = 'create' THEN 402 ELSE 200 END,
        'body', jsonb_build_object('id', v_charge.id, 'status', v_charge.status, 'amount', v_charge.amount, 'currency', v_charge.currency,
                                   'decline_code', v_charge.decline_code, 'attempt', v_charge.attempt_id)::text);
END $$;
COMMENT ON FUNCTION qzpay.sandbox_request(text, jsonb, jsonb) IS
'Adapter of the sandbox: transport internal means that the request is carried out here and its response returned.';

CREATE OR REPLACE FUNCTION qzpay.sandbox_outcome(operation text, attempt jsonb, response jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN (response ->> 'status')::integer = 400 THEN jsonb_build_object('outcome', 'rejected', 'message', b.body ->> 'error')
           ELSE jsonb_strip_nulls(jsonb_build_object('outcome', b.body ->> 'status', 'provider_ref', b.body ->> 'id', 'amount', b.body -> 'amount', 'currency', b.body ->> 'currency',
                                  'payment', b.body ->> 'payment', 'attempt', b.body ->> 'attempt', 'decline_code', b.body ->> 'decline_code', 'decline_class', d.class,
                                  'next_action', CASE WHEN b.body ->> 'status' = 'requires_action' THEN jsonb_build_object('type', 'sandbox_authenticate') END)) END
    FROM (SELECT (response ->> 'body')::jsonb AS body) b
    LEFT JOIN (VALUES ('generic_decline', 'later'), ('insufficient_funds', 'later'), ('lost_card', 'never'), ('expired_card', 'needs_customer'),
                      ('authentication_failed', 'needs_customer'), ('refund_failed', 'later')) AS d (code, class)
        ON d.code = b.body ->> 'decline_code'
$$;
COMMENT ON FUNCTION qzpay.sandbox_outcome(text, jsonb, jsonb) IS 'Adapter of the sandbox: what its response means.';

CREATE OR REPLACE FUNCTION qzpay.sandbox_set_token(payment_method uuid, token text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_payment_method';
COMMENT ON FUNCTION qzpay.sandbox_set_token(uuid, text) IS
'Makes a sandbox card behave otherwise from now on, for example tok_insufficient_funds. Errors: QZ204 for a method of another provider, 22023 for an unknown token.';

CREATE OR REPLACE FUNCTION qzpay._sandbox_set_token(p_payment_method uuid, p_token text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._check_token(p.code, p.capabilities, p_token) FROM qzpay.providers p WHERE p.code = 'sandbox';
    UPDATE qzpay.payment_methods m SET token = p_token WHERE m.id = p_payment_method AND m.provider = 'sandbox';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payment method % is not of the sandbox', p_payment_method USING ERRCODE = 'QZ204';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._sandbox_set_token(uuid, text) IS 'Internal of sandbox_set_token(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.sandbox_authenticate(attempt uuid, succeed boolean DEFAULT true) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_attempt';
COMMENT ON FUNCTION qzpay.sandbox_authenticate(uuid, boolean) IS
'Plays the customer who is asked to authenticate a tok_3ds payment: the charge succeeds or is declined, and the attempt learns it at once. QZ204 if the attempt waits for nobody.';

CREATE OR REPLACE FUNCTION qzpay._sandbox_authenticate(p_attempt uuid, p_succeed boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_attempt qzpay.payment_attempts%ROWTYPE;
BEGIN
    SELECT * INTO STRICT v_attempt FROM qzpay.payment_attempts a WHERE a.id = p_attempt;
    UPDATE qzpay.sandbox_charges c SET status = CASE WHEN p_succeed THEN 'succeeded' ELSE 'declined' END, decline_code = CASE WHEN NOT p_succeed THEN 'authentication_failed' END
    WHERE c.tenant_id = v_attempt.tenant_id AND c.attempt_id = p_attempt AND c.status = 'requires_action';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'attempt % does not wait for the customer', p_attempt USING ERRCODE = 'QZ204';
    END IF;
    UPDATE qzpay.payment_attempts a SET next_at = qzpay._attempt_now(a.provider, a.test_clock_id) WHERE a.tenant_id = v_attempt.tenant_id AND a.id = p_attempt;
    PERFORM qzpay._run_internal_attempt(v_attempt.tenant_id, p_attempt);
END $$;
COMMENT ON FUNCTION qzpay._sandbox_authenticate(uuid, boolean) IS 'Internal of sandbox_authenticate(), inside the tenant''s context.';
