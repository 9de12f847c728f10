-- Providers that answer inside the database, and the ways to drive the outbox.

CREATE OR REPLACE FUNCTION qzpay._run_internal_attempt(p_tenant uuid, p_attempt uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_claim jsonb;
    v_provider qzpay.providers%ROWTYPE;
    a qzpay.payment_attempts%ROWTYPE;
    v_next jsonb;
    v_steps integer := 0;
BEGIN
    SELECT x.* INTO STRICT a FROM qzpay.payment_attempts x WHERE x.tenant_id = p_tenant AND x.id = p_attempt;
    SELECT * INTO STRICT v_provider FROM qzpay.providers p WHERE p.code = a.provider;
    IF v_provider.transport <> 'internal' OR NOT v_provider.enabled OR v_provider.paused_at IS NOT NULL OR a.next_at IS NULL
       OR a.next_at > qzpay._attempt_now(a.provider, a.test_clock_id) OR a.livemode AND NOT qzpay.is_live() THEN
        RETURN false;
    END IF;
    v_claim := qzpay._claim_attempt(p_tenant, p_attempt, 'internal', qzpay._attempt_now(a.provider, a.test_clock_id));
    v_next := v_claim;
    WHILE v_next IS NOT NULL AND v_steps < 4 LOOP
        v_steps := v_steps + 1;
        v_next := qzpay._settle_attempt(p_tenant, p_attempt, (v_claim ->> 'fence')::integer, v_next ->> 'phase', qzpay._build_request(p_tenant, p_attempt, v_next ->> 'phase'));
    END LOOP;
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._run_internal_attempt(uuid, uuid) IS
'Claims, carries out and settles an attempt of a provider that answers inside the database, in this transaction: its request function returns the response. False when the attempt is of another kind or not due.';

CREATE OR REPLACE FUNCTION qzpay._run_internal_attempts(p_clock uuid, p_limit integer) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_now timestamptz := coalesce((SELECT c.now_at FROM qzpay.test_clocks c WHERE c.id = p_clock), qzpay._real_now());
    v_providers text[] := qzpay._sendable_providers('internal');
    v_live boolean := qzpay.is_live();
    v_row record;
    v_done integer := 0;
BEGIN
    FOR v_row IN
        SELECT a.tenant_id, a.id, a.invoice_id, a.refund_request_id, a.customer_id
        FROM qzpay.payment_attempts a
        WHERE a.next_at <= v_now AND a.provider = ANY (v_providers) AND a.test_clock_id IS NOT DISTINCT FROM p_clock AND (v_live OR NOT a.livemode)
        ORDER BY a.next_at, a.id LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        CONTINUE WHEN NOT qzpay._try_lock_above(v_row.tenant_id, v_row.invoice_id, v_row.refund_request_id);
        v_done := v_done + qzpay._run_internal_attempt_alone(v_row.tenant_id, v_row.id)::integer;
    END LOOP;
    RETURN v_done;
END $$;
COMMENT ON FUNCTION qzpay._run_internal_attempts(uuid, integer) IS
'Carries out up to p_limit due attempts of providers that answer inside the database, for the customers of a test clock or, with NULL, those on none; in this transaction. Returns how many.';

CREATE OR REPLACE FUNCTION qzpay._run_internal_attempt_alone(p_tenant uuid, p_attempt uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_message text;
BEGIN
    RETURN qzpay._run_internal_attempt(p_tenant, p_attempt);
EXCEPTION
    WHEN OTHERS THEN
        IF qzpay._is_passing(SQLSTATE) THEN
            RAISE;
        END IF;
        v_message := qzpay.redact(SQLSTATE || ' ' || SQLERRM);
        UPDATE qzpay.payment_attempts a SET next_at = qzpay._attempt_now(a.provider, a.test_clock_id) + interval '1 hour', status_reason = left(v_message, 500)
        WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
        PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'attempt', p_attempt, a.customer_id,
            jsonb_build_object('level', 'error', 'message', 'a payment failed inside the database: ' || v_message, 'attemptId', p_attempt), 'claim:' || p_attempt || ':' || md5(v_message), qzpay.now(a.customer_id))
        FROM qzpay.payment_attempts a WHERE a.tenant_id = p_tenant AND a.id = p_attempt;
        RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._run_internal_attempt_alone(uuid, uuid) IS 'The same in a subtransaction: an error puts this attempt off for an hour, with an alert, and stops nobody else.';

CREATE OR REPLACE FUNCTION qzpay._next_internal_at(p_clock uuid, p_after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT min(a.next_at) FROM qzpay.payment_attempts a
        WHERE a.next_at > p_after AND a.test_clock_id = p_clock AND a.provider IN (SELECT p.code FROM qzpay.providers p WHERE p.transport = 'internal'));
END $$;
COMMENT ON FUNCTION qzpay._next_internal_at(uuid, timestamptz) IS 'Next instant of a test clock, after the given one, at which an attempt of a provider inside the database has to be looked at.';

CREATE OR REPLACE FUNCTION qzpay._claim_requests(p_worker text, p_limit integer)
RETURNS TABLE (tenant_id uuid, attempt_id uuid, fence integer, phase text, method text, url text, headers text, body text, secrets text)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.tenant_id, c.attempt_id, c.fence, c.phase, c.request ->> 'method', c.request ->> 'url',
           (SELECT string_agg(h.key || ': ' || h.value, E'\n' ORDER BY h.key) FROM jsonb_each_text(c.request -> 'headers') h), c.request ->> 'body',
           (SELECT string_agg(s, ',') FROM jsonb_array_elements_text(c.request -> 'secrets') s)
    FROM qzpay._claim_attempts(p_worker, p_limit) c
$$;
COMMENT ON FUNCTION qzpay._claim_requests(text, integer) IS 'What _claim_attempts() claims, taken apart for the sender in C: headers one per line, names of secrets with commas.';

CREATE OR REPLACE FUNCTION qzpay._settle_request(p_tenant uuid, p_attempt uuid, p_fence integer, p_phase text, p_response text)
RETURNS TABLE (phase text, method text, url text, headers text, body text, secrets text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_next jsonb := qzpay._settle_attempt(p_tenant, p_attempt, p_fence, p_phase, p_response::jsonb);
BEGIN
    IF v_next IS NOT NULL THEN
        RETURN QUERY SELECT v_next ->> 'phase', v_next #>> '{request,method}', v_next #>> '{request,url}',
            (SELECT string_agg(h.key || ': ' || h.value, E'\n' ORDER BY h.key) FROM jsonb_each_text(v_next #> '{request,headers}') h), v_next #>> '{request,body}',
            (SELECT string_agg(s, ',') FROM jsonb_array_elements_text(v_next #> '{request,secrets}') s);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._settle_request(uuid, uuid, integer, text, text) IS '_settle_attempt() for the sender in C: a row when there is a next request.';

CREATE OR REPLACE FUNCTION qzpay._deliver_step() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'qzpay_deliver_step';
COMMENT ON FUNCTION qzpay._deliver_step() IS
'One step of deliver(), in a transaction of its own: claim, or send what the last step claimed and settle its answer. False when nothing is left to do. '
'Refuses (55000) to send what its own transaction has claimed.';

CREATE OR REPLACE PROCEDURE qzpay.deliver()
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM qzpay._check_schema_version();
    LOOP
        EXIT WHEN NOT qzpay._deliver_step();
        COMMIT;
    END LOOP;
END $$;
COMMENT ON PROCEDURE qzpay.deliver() IS
'Talks to the providers until nothing is due: what the background worker does, from this session. May run in several sessions at once and be stopped at any time. Not inside a transaction block (error 2D000 as soon as something is due).';

CREATE OR REPLACE FUNCTION qzpay._heartbeat(p_state text, p_started timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.workers AS w (database, pid, started_at, heartbeat_at, state)
    VALUES (current_database(), pg_backend_pid(), p_started, qzpay._real_now(), p_state)
    ON CONFLICT (database) DO UPDATE SET pid = EXCLUDED.pid, started_at = EXCLUDED.started_at, heartbeat_at = EXCLUDED.heartbeat_at, state = EXCLUDED.state;
END $$;
COMMENT ON FUNCTION qzpay._heartbeat(text, timestamptz) IS 'The worker''s sign of life.';
