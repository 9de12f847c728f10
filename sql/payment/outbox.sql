-- The outbox: T1 claims, the network call follows with no transaction open, and whoever learns the outcome goes through _settle_attempt().
-- Locks are taken in the order customer (where several subscriptions share invoices), subscription, attempt, invoice (for a refund: request, attempt, payment). A claim takes the attempt first, and gives up
-- instead of waiting for what stands above it.

CREATE OR REPLACE FUNCTION qzpay._commit_durably() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._commit_durably() IS 'What is about to be sent, and what came of it, must survive a crash: turns asynchronous commit off for this transaction.';

CREATE OR REPLACE FUNCTION qzpay._attempt_now(p_provider text, p_clock uuid) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce((SELECT c.now_at FROM qzpay.test_clocks c JOIN qzpay.providers p ON p.code = p_provider AND p.transport = 'internal' WHERE c.id = p_clock), qzpay._real_now()));
END $$;
COMMENT ON FUNCTION qzpay._attempt_now(text, uuid) IS
'The clock by which an attempt''s next_at goes: the server''s, or the test clock where the provider answers inside the database and so lives in the customer''s time.';

CREATE OR REPLACE FUNCTION qzpay._lease() RETURNS interval
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(nullif(current_setting('qzpay.http_timeout', true), '')::interval, interval '30 seconds') + interval '30 seconds'
$$;
COMMENT ON FUNCTION qzpay._lease() IS 'How long a claim is respected: longer than any exchange can take.';

CREATE OR REPLACE FUNCTION qzpay._attempt_document(p_tenant uuid, p_attempt uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT jsonb_strip_nulls(jsonb_build_object(
            'id', a.id, 'tenant_id', a.tenant_id, 'customer_id', a.customer_id, 'invoice_id', a.invoice_id, 'invoice_number', i.number, 'attempt_no', a.attempt_no,
            'operation', a.operation, 'trigger', a.trigger, 'amount', qzpay._provider_amount(a.provider, a.currency, a.amount, a.operation = 'refund'), 'currency', a.currency,
            'token', m.token, 'provider_customer', m.metadata ->> 'customer', 'payment_ref', p.provider_ref, 'refund_request_id', a.refund_request_id, 'provider_ref', a.provider_ref, 'idempotency_key', a.idempotency_key,
            'livemode', a.livemode, 'installation', qzpay.installation_id(), 'first_sent_at', floor(extract(epoch FROM a.first_sent_at))))
        FROM qzpay.payment_attempts a
        JOIN qzpay.invoices i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
        JOIN qzpay.payment_methods m ON m.tenant_id = a.tenant_id AND m.id = a.payment_method_id
        LEFT JOIN qzpay.payments p ON p.tenant_id = a.tenant_id AND p.id = a.payment_id
        WHERE a.tenant_id = p_tenant AND a.id = p_attempt);
END $$;
COMMENT ON FUNCTION qzpay._attempt_document(uuid, uuid) IS 'An attempt as adapters see it; amount is in the provider''s minor units, first_sent_at in seconds since 1970. For a refund payment_ref is the provider''s id of the payment that is given back.';

CREATE OR REPLACE FUNCTION qzpay._adapter_operation(p_operation text, p_phase text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_operation = 'charge' THEN p_phase WHEN p_phase = 'create' THEN 'refund' ELSE 'refund_' || p_phase END
$$;
COMMENT ON FUNCTION qzpay._adapter_operation(text, text) IS
'By which name an adapter is asked for a phase of an attempt: create, confirm, lookup, find, cancel of a charge; refund, refund_lookup, refund_find. So one that knows charges only never takes a refund for one.';

CREATE OR REPLACE FUNCTION qzpay._build_request(p_tenant uuid, p_attempt uuid, p_operation text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_provider qzpay.providers%ROWTYPE;
    v_attempt jsonb := qzpay._attempt_document(p_tenant, p_attempt);
    v_request jsonb;
BEGIN
    SELECT p.* INTO STRICT v_provider FROM qzpay.payment_attempts a JOIN qzpay.providers p ON p.code = a.provider WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
    v_request := qzpay._call_adapter(v_provider.request_function, qzpay._adapter_operation(v_attempt ->> 'operation', p_operation), v_attempt, to_jsonb(v_provider));
    IF jsonb_typeof(v_request) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'provider "%" made no request for %', v_provider.code, p_operation USING ERRCODE = '22023';
    END IF;
    IF v_provider.transport = 'http' AND (v_request ->> 'method' IS NULL OR v_request ->> 'url' IS NULL OR EXISTS (
        SELECT FROM jsonb_each_text(v_request -> 'headers') h WHERE h.value IS NULL OR h.key !~ '^[A-Za-z0-9-]+$' OR h.value ~ '[^ -~]')) THEN
        RAISE EXCEPTION 'provider "%" made a request for % that cannot be sent', v_provider.code, p_operation USING ERRCODE = '22023',
            DETAIL = 'It needs a method, a URL, and headers of visible ASCII.';
    END IF;
    RETURN v_request || jsonb_build_object('secrets', v_provider.secret_names);
END $$;
COMMENT ON FUNCTION qzpay._build_request(uuid, uuid, text) IS 'The request of an attempt''s operation, made by its provider''s adapter; secrets are named only.';

CREATE OR REPLACE FUNCTION qzpay._freeze_request(p_tenant uuid, p_attempt uuid, p_operation text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_request jsonb;
BEGIN
    SELECT CASE WHEN p.transport = 'http' THEN coalesce(a.request -> p_operation, qzpay._build_request(p_tenant, p_attempt, p_operation)) END INTO STRICT v_request
    FROM qzpay.payment_attempts a JOIN qzpay.providers p ON p.code = a.provider WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
    UPDATE qzpay.payment_attempts a SET request = coalesce(a.request, '{}') || jsonb_strip_nulls(jsonb_build_object(p_operation, v_request))
    WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
    RETURN v_request;
END $$;
COMMENT ON FUNCTION qzpay._freeze_request(uuid, uuid, text) IS
'The request of an operation that has effects: made once, kept with the attempt, and sent again byte for byte. NULL for a provider inside the database, whose request function is the exchange itself.';

CREATE OR REPLACE FUNCTION qzpay._sendable_providers(p_transport text) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(p.code), '{}') FROM qzpay.providers p
        WHERE p.kind = 'payment' AND p.transport = p_transport AND p.enabled AND p.paused_at IS NULL
          AND CASE WHEN p.transport = 'http' THEN qzpay._secrets_present(p.secret_names) AND qzpay._provider_url_problem(p.base_url) IS NULL ELSE true END);
END $$;
COMMENT ON FUNCTION qzpay._sendable_providers(text) IS 'Providers of a transport that may be called now: enabled, not paused, with their secrets and at an allowed address.';

CREATE OR REPLACE FUNCTION qzpay._lock_subscriptions_of(p_tenant uuid, p_invoice uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM qzpay.customers c JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.customer_id = c.id AND i.subscription_id IS NULL
    WHERE i.tenant_id = p_tenant AND i.id = p_invoice AND EXISTS (SELECT FROM qzpay.invoice_shares h WHERE h.tenant_id = p_tenant AND h.invoice_id = p_invoice) FOR NO KEY UPDATE OF c;
    PERFORM FROM qzpay.subscriptions s
    WHERE s.tenant_id = p_tenant AND s.id IN (SELECT m.subscription_id FROM qzpay.invoice_subscriptions m WHERE m.tenant_id = p_tenant AND m.invoice_id = p_invoice) ORDER BY s.id FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION qzpay._lock_subscriptions_of(uuid, uuid) IS 'Locks the subscriptions that an invoice bills, and before them their customer where they are several: who locks more than one subscription of a customer has that first.';

CREATE OR REPLACE FUNCTION qzpay._try_lock_subscription(p_tenant uuid, p_invoice uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_ids uuid[] := (SELECT array_agg(m.subscription_id) FROM qzpay.invoice_subscriptions m WHERE m.tenant_id = p_tenant AND m.invoice_id = p_invoice);
    v_rows bigint;
BEGIN
    IF cardinality(v_ids) > 1 THEN
        PERFORM FROM qzpay.customers c JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.customer_id = c.id WHERE i.tenant_id = p_tenant AND i.id = p_invoice FOR NO KEY UPDATE OF c SKIP LOCKED;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    PERFORM FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = ANY (v_ids) FOR NO KEY UPDATE SKIP LOCKED;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows = coalesce(cardinality(v_ids), 0);
END $$;
COMMENT ON FUNCTION qzpay._try_lock_subscription(uuid, uuid) IS 'Locks the subscriptions that an invoice bills if nobody holds any of them; true also for an invoice without one.';

CREATE OR REPLACE FUNCTION qzpay._claim_attempts(p_worker text, p_limit integer)
RETURNS TABLE (tenant_id uuid, attempt_id uuid, fence integer, phase text, request jsonb)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := qzpay._real_now();
    v_live boolean := qzpay.is_live();
    v_providers text[] := qzpay._sendable_providers('http');
    v_row record;
    v_claim jsonb;
    v_message text;
    v_claimed integer := 0;
BEGIN
    IF cardinality(v_providers) = 0 THEN
        RETURN;
    END IF;
    PERFORM qzpay._commit_durably();
    FOR v_row IN
        SELECT a.tenant_id, a.id, a.invoice_id, a.refund_request_id, a.customer_id
        FROM qzpay.payment_attempts a
        WHERE a.next_at <= v_now AND a.provider = ANY (v_providers) AND (v_live OR NOT a.livemode)
        ORDER BY a.next_at, a.id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN v_claimed >= p_limit;
        CONTINUE WHEN NOT qzpay._try_lock_above(v_row.tenant_id, v_row.invoice_id, v_row.refund_request_id);
        BEGIN
            v_claim := qzpay._claim_attempt(v_row.tenant_id, v_row.id, p_worker, v_now);
        EXCEPTION
            WHEN OTHERS THEN
                IF qzpay._is_passing(SQLSTATE) THEN
                    RAISE;
                END IF;
                -- An adapter's fault stops this attempt only; it has sent nothing.
                v_message := qzpay.redact(SQLSTATE || ' ' || SQLERRM);
                v_claim := NULL;
                UPDATE qzpay.payment_attempts a SET next_at = v_now + interval '1 hour', status_reason = left(v_message, 500)
                WHERE a.tenant_id = v_row.tenant_id AND a.id = v_row.id;
                PERFORM qzpay._emit_event(v_row.tenant_id, 'alert.raised', 'attempt', v_row.id, v_row.customer_id,
                    jsonb_build_object('level', 'error', 'message', 'a payment could not be sent: ' || v_message, 'attemptId', v_row.id), 'claim:' || v_row.id || ':' || md5(v_message), qzpay.now(v_row.customer_id));
        END;
        IF v_claim IS NOT NULL THEN
            tenant_id := v_row.tenant_id;
            attempt_id := v_row.id;
            fence := (v_claim ->> 'fence')::integer;
            phase := v_claim ->> 'phase';
            request := v_claim -> 'request';
            v_claimed := v_claimed + 1;
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._claim_attempts(text, integer) IS
'T1 for providers over HTTP: takes up to p_limit attempts that are due and that nobody holds, including those whose holder died, and returns what to send for each. '
'Send nothing before this has committed, and hand every outcome to _settle_attempt() with the fence given here.';

CREATE OR REPLACE FUNCTION qzpay._claim_attempt(p_tenant uuid, p_attempt uuid, p_worker text, p_now timestamptz) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_provider qzpay.providers%ROWTYPE;
    v_capabilities jsonb;
    v_phase text;
    v_request jsonb;
BEGIN
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt FOR NO KEY UPDATE;
    SELECT * INTO STRICT v_provider FROM qzpay.providers p WHERE p.code = a.provider;
    v_capabilities := v_provider.capabilities;
    IF a.status = 'planned' THEN
        IF NOT qzpay._begin_sending(a.tenant_id, a.id, p_now) THEN
            RETURN NULL;
        END IF;
        v_phase := 'create';
    ELSE
        IF a.crash_count >= 8 THEN
            PERFORM qzpay._stop_attempt(p_tenant, p_attempt, 'its worker died again and again');
            RETURN NULL;
        ELSIF a.request ? 'supersede' AND a.status = 'requires_action' AND v_capabilities @> '{"cancel": true}' THEN
            v_phase := 'cancel';
        ELSIF a.provider_ref IS NOT NULL THEN
            v_phase := 'lookup';
        ELSIF v_capabilities -> 'idempotency_hours' IS NULL
              OR p_now < a.first_sent_at + ((v_capabilities ->> 'idempotency_hours')::numeric - 4)::double precision * interval '1 hour' THEN
            -- The provider still knows the key: the same bytes again get the first answer.
            v_phase := 'create';
        ELSIF v_capabilities @> '{"lookup_by_reference": true}' THEN
            v_phase := 'find';
        ELSE
            PERFORM qzpay._stop_attempt(p_tenant, p_attempt, 'no outcome while the provider knew the key, and no way to look it up');
            RETURN NULL;
        END IF;
    END IF;
    -- What has effects is frozen with its key; a question only names the provider's object.
    v_request := CASE WHEN v_phase IN ('create', 'cancel') THEN qzpay._freeze_request(p_tenant, p_attempt, v_phase)
                      WHEN v_provider.transport = 'http' THEN qzpay._build_request(p_tenant, p_attempt, v_phase) END;
    UPDATE qzpay.payment_attempts x SET fence = x.fence + 1, leased_by = p_worker, lease_until = p_now + qzpay._lease(), next_at = p_now + qzpay._lease(),
           crash_count = x.crash_count + 1
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    RETURN jsonb_build_object('fence', a.fence + 1, 'phase', v_phase, 'request', v_request);
END $$;
COMMENT ON FUNCTION qzpay._claim_attempt(uuid, uuid, text, timestamptz) IS
'Claims one locked attempt: raises its fence, leases it and says what to do: create (again with the same key while the provider keeps it), lookup by id, find by our reference, cancel. '
'crash_count is reset by any answer; an attempt that outlived eight workers waits for an operator. NULL: nothing to send.';

CREATE OR REPLACE FUNCTION qzpay._begin_sending(p_tenant uuid, p_attempt uuid, p_now timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a qzpay.payment_attempts%ROWTYPE;
    v_rest bigint;
    v_at timestamptz;
    v_detached boolean;
BEGIN
    SELECT * INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    v_at := qzpay.now(a.customer_id);
    IF a.operation = 'refund' THEN
        -- What it takes of its payment was reserved when it was planned.
        IF qzpay._provider_amount(a.provider, a.currency, a.amount, true) IS NULL THEN
            PERFORM qzpay._fail_refund(p_tenant, p_attempt, 'rejected', 'amount_not_supported', 'never', 'the provider cannot take this amount', v_at);
            RETURN false;
        END IF;
        PERFORM qzpay._freeze_first(p_tenant, p_attempt, p_now);
        RETURN true;
    END IF;
    SELECT CASE WHEN i.status = 'open' THEN i.amount_due - i.amount_paid - i.amount_in_flight - i.amount_credited - i.amount_written_off ELSE 0 END INTO STRICT v_rest
    FROM qzpay.invoices i WHERE i.tenant_id = p_tenant AND i.id = a.invoice_id FOR NO KEY UPDATE;
    IF v_rest < a.amount THEN
        UPDATE qzpay.payment_attempts x SET status = 'canceled', status_reason = 'nothing left to collect', next_at = NULL, settled_at = v_at
        WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
        RETURN false;
    END IF;
    SELECT m.detached_at IS NOT NULL INTO STRICT v_detached FROM qzpay.payment_methods m WHERE m.tenant_id = p_tenant AND m.id = a.payment_method_id;
    IF v_detached THEN
        PERFORM qzpay._fail_attempt(p_tenant, p_attempt, 'rejected', 'payment_method_detached', 'needs_customer', 'the payment method was removed', v_at);
        RETURN false;
    END IF;
    IF qzpay._provider_amount(a.provider, a.currency, a.amount) IS NULL THEN
        PERFORM qzpay._fail_attempt(p_tenant, p_attempt, 'rejected', 'amount_not_supported', 'needs_customer', 'the provider cannot take this amount', v_at);
        RETURN false;
    END IF;
    PERFORM qzpay._freeze_first(p_tenant, p_attempt, p_now);
    UPDATE qzpay.invoices i SET amount_in_flight = i.amount_in_flight + a.amount WHERE i.tenant_id = p_tenant AND i.id = a.invoice_id;
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._begin_sending(uuid, uuid, timestamptz) IS
'Takes a planned attempt on its way: for a charge the invoice''s rest becomes in flight; request and key are frozen. False when there is nothing to collect (canceled) or it cannot be sent (rejected).';

CREATE OR REPLACE FUNCTION qzpay._freeze_first(p_tenant uuid, p_attempt uuid, p_now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- 43 characters of base64url: the same facts give the same key on a promoted standby that lost this row.
    UPDATE qzpay.payment_attempts x SET status = 'sending', status_reason = NULL, first_sent_at = p_now,
           idempotency_key = 'qz1-' || translate(encode(sha256(convert_to(concat_ws('|', qzpay.installation_id(), x.livemode, x.account, x.invoice_id, x.attempt_no, x.operation), 'UTF8')), 'base64'), '+/=', '-_')
    WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    PERFORM qzpay._freeze_request(p_tenant, p_attempt, 'create');
END $$;
COMMENT ON FUNCTION qzpay._freeze_first(uuid, uuid, timestamptz) IS 'The attempt is being sent: its key, derived from what it is, and its first request are frozen.';

CREATE OR REPLACE FUNCTION qzpay._release_dead_leases() RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    UPDATE qzpay.payment_attempts a SET next_at = qzpay._real_now(), lease_until = NULL
    WHERE (a.tenant_id, a.id) IN (
        SELECT x.tenant_id, x.id FROM qzpay.payment_attempts x
        WHERE x.next_at > qzpay._real_now() AND x.lease_until IS NOT NULL AND x.leased_by ~ '^pid [0-9]+$'
          AND NOT EXISTS (SELECT FROM pg_stat_activity s WHERE s.pid = substr(x.leased_by, 5)::integer)
        FOR NO KEY UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._release_dead_leases() IS
'Makes attempts due whose holder is no process of this server any more, so that nobody waits for a dead worker''s lease. What they sent may still arrive: the same key and the fence see to that.';
