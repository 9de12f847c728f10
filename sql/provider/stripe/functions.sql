-- Stripe: a PaymentIntent is created unconfirmed, its id is stored, then it is confirmed; a refund is made in one step. Whatever stays open is answered by GET.

CREATE OR REPLACE FUNCTION qzpay.stripe_request(operation text, attempt jsonb, provider jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'method', CASE WHEN k.asks THEN 'GET' ELSE 'POST' END,
        'url', (provider ->> 'base_url') || CASE WHEN operation LIKE 'refund%' THEN '/v1/refunds' ELSE '/v1/payment_intents' END || CASE operation
            WHEN 'create' THEN ''
            WHEN 'refund' THEN ''
            WHEN 'refund_lookup' THEN '/' || qzpay._url_encode(attempt ->> 'provider_ref')
            WHEN 'refund_find' THEN '?' || qzpay._form_encode('limit', '100', 'payment_intent', attempt ->> 'payment_ref')
            WHEN 'lookup' THEN '/' || qzpay._url_encode(attempt ->> 'provider_ref')
            WHEN 'find' THEN '?' || qzpay._form_encode('limit', '100', 'customer', attempt ->> 'provider_customer',
                                                       'created[gte]', ((attempt ->> 'first_sent_at')::bigint - 600)::text,
                                                       'created[lte]', ((attempt ->> 'first_sent_at')::bigint + 172800)::text)
            ELSE '/' || qzpay._url_encode(attempt ->> 'provider_ref') || '/' || operation END,
        'headers', jsonb_build_object('Authorization', 'Bearer ${STRIPE_SECRET_KEY}', 'Stripe-Version', '2024-06-20')
            || CASE WHEN k.asks THEN '{}'::jsonb
                    ELSE jsonb_build_object('Content-Type', 'application/x-www-form-urlencoded', 'Idempotency-Key', (attempt ->> 'idempotency_key') || '-' || operation) END,
        'body', CASE operation
            WHEN 'create' THEN qzpay._form_encode(
                'amount', attempt ->> 'amount', 'currency', lower(attempt ->> 'currency'), 'confirm', 'false',
                'payment_method', attempt ->> 'token', 'customer', attempt ->> 'provider_customer', 'payment_method_types[0]', 'card',
                'description', attempt ->> 'invoice_number',
                'metadata[qzpay_installation]', attempt ->> 'installation', 'metadata[qzpay_invoice]', attempt ->> 'invoice_id',
                'metadata[qzpay_attempt]', attempt ->> 'id')
            WHEN 'confirm' THEN qzpay._form_encode('payment_method', attempt ->> 'token',
                                                   'off_session', CASE WHEN attempt ->> 'trigger' <> 'customer' THEN 'true' END,
                                                   'return_url', CASE WHEN attempt ->> 'trigger' = 'customer' THEN provider #>> '{capabilities,return_url}' END)
            WHEN 'refund' THEN qzpay._form_encode(
                'payment_intent', attempt ->> 'payment_ref', 'amount', attempt ->> 'amount',
                'metadata[qzpay_installation]', attempt ->> 'installation', 'metadata[qzpay_refund]', attempt ->> 'refund_request_id',
                'metadata[qzpay_attempt]', attempt ->> 'id')
            WHEN 'cancel' THEN '' END)
    FROM (SELECT operation IN ('lookup', 'find', 'refund_lookup', 'refund_find') AS asks) k
$$;
COMMENT ON FUNCTION qzpay.stripe_request(text, jsonb, jsonb) IS
'Adapter of Stripe: the HTTP request for create, confirm, lookup (by id), find (by our metadata among recent ones) and cancel of a PaymentIntent, and for refund, refund_lookup and refund_find of a Refund. '
'Metadata carries installation, invoice or refund request, and attempt; the key is named only and filled in when it is sent.';

CREATE OR REPLACE FUNCTION qzpay._stripe_decline_class(p_code text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN p_code IN ('authentication_required', 'authentication_not_handled', 'payment_intent_authentication_failure', 'expired_card', 'incorrect_cvc', 'invalid_cvc', 'incorrect_zip',
                        'incorrect_number', 'invalid_expiry_month', 'invalid_expiry_year', 'incorrect_pin', 'invalid_pin', 'offline_pin_required',
                        'online_or_offline_pin_required', 'pin_try_exceeded', 'currency_not_supported', 'card_not_supported',
                        'call_issuer', 'customer_canceled') THEN 'needs_customer'
        WHEN p_code IN ('lost_card', 'stolen_card', 'pickup_card', 'invalid_account', 'invalid_number', 'fraudulent', 'merchant_blacklist', 'restricted_card',
                        'revocation_of_all_authorizations', 'revocation_of_authorization', 'stop_payment_order', 'security_violation',
                        'transaction_not_allowed', 'service_not_allowed', 'new_account_information_available', 'not_permitted') THEN 'never'
        ELSE 'later' END
$$;
COMMENT ON FUNCTION qzpay._stripe_decline_class(text) IS
'What a decline code of Stripe means for retries: needs_customer, never, else later.';

CREATE OR REPLACE FUNCTION qzpay._stripe_intent(p_intent jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'outcome', CASE p_intent ->> 'status'
            WHEN 'succeeded' THEN 'succeeded' WHEN 'processing' THEN 'processing' WHEN 'requires_action' THEN 'requires_action'
            WHEN 'canceled' THEN 'canceled' WHEN 'requires_confirmation' THEN 'created'
            WHEN 'requires_payment_method' THEN CASE WHEN jsonb_typeof(p_intent -> 'last_payment_error') = 'object' THEN 'declined' ELSE 'created' END
            ELSE 'unknown' END,
        'provider_ref', p_intent ->> 'id',
        'amount', CASE WHEN p_intent ->> 'status' = 'succeeded' THEN p_intent -> 'amount_received' ELSE p_intent -> 'amount' END,
        'currency', p_intent ->> 'currency', 'livemode', p_intent -> 'livemode', 'attempt', p_intent #>> '{metadata,qzpay_attempt}',
        'next_action', CASE WHEN jsonb_typeof(p_intent -> 'next_action') = 'object' THEN p_intent -> 'next_action' END,
        'decline_code', e.code, 'decline_class', CASE WHEN e.code IS NOT NULL THEN qzpay._stripe_decline_class(e.code) END,
        'message', p_intent #>> '{last_payment_error,message}'))
    FROM (SELECT coalesce(p_intent #>> '{last_payment_error,decline_code}', p_intent #>> '{last_payment_error,code}') AS code) e
$$;
COMMENT ON FUNCTION qzpay._stripe_intent(jsonb) IS 'What the state of a PaymentIntent means. One that lacks a method after an error was declined; without an error it was never confirmed.';

CREATE OR REPLACE FUNCTION qzpay._stripe_refund(p_refund jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'outcome', CASE WHEN p_refund ->> 'status' = 'succeeded' THEN 'succeeded' WHEN p_refund ->> 'status' IN ('pending', 'requires_action') THEN 'processing'
                        WHEN p_refund ->> 'status' IN ('failed', 'canceled') THEN 'declined' ELSE 'unknown' END,
        'provider_ref', p_refund ->> 'id', 'amount', p_refund -> 'amount', 'currency', p_refund ->> 'currency', 'payment', p_refund ->> 'payment_intent',
        'attempt', p_refund #>> '{metadata,qzpay_attempt}',
        'decline_code', CASE p_refund ->> 'status' WHEN 'failed' THEN coalesce(p_refund ->> 'failure_reason', 'failed') WHEN 'canceled' THEN 'canceled' END,
        'decline_class', CASE WHEN p_refund ->> 'status' IN ('failed', 'canceled') THEN qzpay._stripe_refund_class(p_refund ->> 'failure_reason') END))
$$;
COMMENT ON FUNCTION qzpay._stripe_refund(jsonb) IS 'What the state of a Refund means: one that is pending or waits for the customer is looked up later, one that failed or was canceled has given nothing back.';

CREATE OR REPLACE FUNCTION qzpay._stripe_refund_class(p_code text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_code IN ('lost_or_stolen_card', 'expired_or_canceled_card', 'charge_for_pending_refund_disputed', 'declined', 'charge_already_refunded', 'charge_disputed', 'resource_missing',
                                'parameter_invalid_integer', 'parameter_unknown') THEN 'never' ELSE 'later' END
$$;
COMMENT ON FUNCTION qzpay._stripe_refund_class(text) IS 'Whether a refund that Stripe refused for this reason can succeed when it is sent again: never, or later (no funds, for example).';

CREATE OR REPLACE FUNCTION qzpay.stripe_outcome(operation text, attempt jsonb, response jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_body jsonb := (response ->> 'body')::jsonb;
    v_error jsonb := v_body -> 'error';
    v_code text := coalesce(v_error ->> 'decline_code', v_error ->> 'code');
    v_refund boolean := operation LIKE 'refund%';
    v_found jsonb;
BEGIN
    IF (response ->> 'status')::integer BETWEEN 200 AND 299 THEN
        IF operation IN ('find', 'refund_find') AND v_body ->> 'object' = 'list' AND jsonb_typeof(v_body -> 'data') = 'array' THEN
            SELECT d INTO v_found FROM jsonb_array_elements(v_body -> 'data') d WHERE d #>> '{metadata,qzpay_attempt}' = attempt ->> 'id' LIMIT 1;
            IF FOUND THEN
                RETURN CASE WHEN v_refund THEN qzpay._stripe_refund(v_found) ELSE qzpay._stripe_intent(v_found) END;
            END IF;
            -- A list that goes on was not read to its end, so it proves nothing.
            RETURN jsonb_build_object('outcome', CASE WHEN v_body -> 'has_more' = 'false'::jsonb THEN 'not_found' ELSE 'unknown' END);
        ELSIF operation IN ('refund', 'refund_lookup') AND v_body ->> 'object' = 'refund' THEN
            RETURN qzpay._stripe_refund(v_body);
        ELSIF NOT v_refund AND operation <> 'find' AND v_body ->> 'object' = 'payment_intent' THEN
            RETURN qzpay._stripe_intent(v_body);
        END IF;
        RETURN jsonb_build_object('outcome', 'unknown', 'message', 'not the object that was asked for');
    ELSIF (response ->> 'status')::integer = 402 AND v_error ->> 'type' = 'card_error' AND NOT v_refund THEN
        RETURN jsonb_strip_nulls(jsonb_build_object('outcome', 'declined', 'provider_ref', v_error #>> '{payment_intent,id}', 'decline_code', v_code,
                                                    'decline_class', qzpay._stripe_decline_class(v_code), 'message', v_error ->> 'message'));
    ELSIF v_error ->> 'type' = 'invalid_request_error' AND coalesce(v_error ->> 'code', '') <> 'payment_intent_unexpected_state' THEN
        RETURN jsonb_strip_nulls(jsonb_build_object('outcome', 'rejected', 'decline_code', v_code,
            'decline_class', CASE WHEN v_refund THEN qzpay._stripe_refund_class(v_code) ELSE 'never' END, 'message', v_error ->> 'message'));
    END IF;
    -- An unexpected state is one that we do not know of, a key error a fault of ours: only the object itself can tell.
    RETURN jsonb_strip_nulls(jsonb_build_object('outcome', 'unknown', 'alert', CASE WHEN v_error ->> 'type' = 'idempotency_error' THEN 'the provider knows this key with another request' END,
                                                'message', v_error ->> 'message'));
END $$;
COMMENT ON FUNCTION qzpay.stripe_outcome(text, jsonb, jsonb) IS
'Adapter of Stripe: what a response means. Only a card error is a decline, only an invalid request is rejected; everything else is unknown until looked up.';
