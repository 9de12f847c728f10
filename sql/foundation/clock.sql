CREATE OR REPLACE FUNCTION qzpay._clock_time(p_clock uuid) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_at timestamptz;
BEGIN
    SELECT c.now_at INTO v_at FROM qzpay.test_clocks c WHERE c.id = p_clock;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'test clock % not found', p_clock USING ERRCODE = 'QZ404';
    END IF;
    RETURN v_at;
END $$;
COMMENT ON FUNCTION qzpay._clock_time(uuid) IS 'What a test clock shows; QZ404 if there is none.';

CREATE OR REPLACE FUNCTION qzpay.create_test_clock(at timestamptz, name text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_id uuid := qzpay.uuid_v7();
BEGIN
    PERFORM qzpay._check_schema_version();
    IF at IS NULL OR NOT isfinite(at) THEN
        RAISE EXCEPTION 'a test clock needs an instant to start from' USING ERRCODE = '22023';
    END IF;
    INSERT INTO qzpay.test_clocks (id, name, now_at, created_at) VALUES (v_id, name, at, qzpay._recorded_at());
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay.create_test_clock(timestamptz, text) IS
'Makes a clock that stands still at this instant until advance_test_clock() moves it. Give it to customers with sync_customer(test_clock => …). Error 22023 for no or an infinite instant.';

CREATE OR REPLACE FUNCTION qzpay.advance_test_clock(clock uuid, to_time timestamptz, OUT now_at timestamptz, OUT instants bigint, OUT done bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_due timestamptz;
    v_call timestamptz;
    v_chore timestamptz;
    v_next timestamptz;
    v_to timestamptz := to_time;
BEGIN
    instants := 0;
    done := 0;
    SELECT c.now_at INTO now_at FROM qzpay.test_clocks c WHERE c.id = clock FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'test clock % not found', clock USING ERRCODE = 'QZ404';
    END IF;
    IF v_to IS NULL OR NOT isfinite(v_to) OR v_to < now_at THEN
        RAISE EXCEPTION 'test clock cannot go from % to %', now_at, coalesce(v_to::text, 'NULL') USING ERRCODE = '22023', HINT = 'A test clock only moves forward, to an instant.';
    END IF;
    -- Everybody who acts for these customers begins with one of these rows and waits here; taken step by step they would be wanted while numbers, discounts and balances are
    -- held, for which whoever has such a row may be waiting.
    -- Customers first where they share invoices, as everybody has it then.
    PERFORM FROM qzpay.customers c WHERE c.test_clock_id = clock AND qzpay._consolidates() ORDER BY c.id FOR NO KEY UPDATE;
    PERFORM FROM qzpay.subscriptions s WHERE s.test_clock_id = clock AND (s.ended_at IS NULL OR s.next_due_at IS NOT NULL) ORDER BY s.id FOR UPDATE;
    PERFORM FROM qzpay.customers c WHERE c.test_clock_id = clock ORDER BY c.id FOR NO KEY UPDATE;
    -- A draft that a call has completed since the last step.
    PERFORM qzpay._finalize_due(clock, now_at, now_at, 10000);
    LOOP
        WHILE qzpay._run_internal_attempts(clock, 10000) > 0 LOOP
        END LOOP;
        SELECT min(s.next_due_at) INTO v_due FROM qzpay.subscriptions s WHERE s.test_clock_id = clock AND s.set_aside_at IS NULL;
        -- Attempts that are due and yet wait (a paused provider) are passed by: only a later instant is a step.
        v_call := qzpay._next_internal_at(clock, now_at);
        v_chore := qzpay._next_chore_at(clock);
        v_next := least(v_due, v_call, v_chore, qzpay._next_invoice_at(clock, now_at));
        EXIT WHEN v_next IS NULL OR v_next > v_to;
        instants := instants + 1;
        IF v_next > now_at THEN
            now_at := v_next;
            UPDATE qzpay.test_clocks c SET now_at = v_next WHERE c.id = clock;
        END IF;
        PERFORM qzpay._invoice_batch(clock, now_at, now_at, 10000);
        IF v_due <= v_next THEN
            done := done + qzpay._due_batch(clock, now_at, now_at, 10000);
            -- The last of a day's subscriptions has come to the invoice that waited for it.
            PERFORM qzpay._finalize_due(clock, now_at, now_at, 10000);
        END IF;
        IF v_chore <= v_next THEN
            PERFORM qzpay._do_chores(clock, now_at, 10000);
        END IF;
    END LOOP;
    now_at := v_to;
    UPDATE qzpay.test_clocks c SET now_at = v_to WHERE c.id = clock;
END $$;
COMMENT ON FUNCTION qzpay.advance_test_clock(uuid, timestamptz) IS
'Moves a test clock forward, doing everything that falls due on the way for its customers in the order of time, the target instant included: reminders, renewals, charges (providers that answer inside the database; '
'others are left to the worker), retries, ends. Returns the new time, the number of steps and the subscriptions handled. Whoever acts for these customers meanwhile waits until it commits. Errors: QZ404, 22023 for a step back or no instant.';

CREATE OR REPLACE FUNCTION qzpay.dry_run(sql text) RETURNS SETOF jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE AS $$
DECLARE
    v_rows jsonb[] := ARRAY[]::jsonb[];
    v_row jsonb;
BEGIN
    IF sql IS NULL THEN
        RAISE EXCEPTION 'sql must not be null' USING ERRCODE = '22004';
    END IF;
    BEGIN
        FOR v_row IN EXECUTE pg_catalog.format('WITH dry_run AS (%s) SELECT pg_catalog.to_jsonb(d) FROM dry_run d', sql) LOOP
            v_rows := pg_catalog.array_append(v_rows, v_row);
        END LOOP;
        RAISE EXCEPTION USING ERRCODE = 'QZ999', MESSAGE = 'end of dry run';
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
    RETURN QUERY SELECT pg_catalog.unnest(v_rows);
END $$;
COMMENT ON FUNCTION qzpay.dry_run(text) IS
'Runs one statement for real, with the caller''s own rights and search path, returns its rows as JSON and rolls all of it back: what would happen, by the code that would do it.';

CREATE OR REPLACE FUNCTION qzpay._idempotent_begin(p_tenant uuid, p_function text, p_key text, p_request jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_hash bytea := sha256(convert_to(p_request::text, 'UTF8'));
    v_row qzpay.idempotency_keys%ROWTYPE;
BEGIN
    IF p_key IS NULL THEN
        RETURN NULL;
    ELSIF length(p_key) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'idempotency_key must have 1 to 255 characters' USING ERRCODE = '22023';
    END IF;
    -- The row is the lock: a second session with the key waits here for the first one's end.
    INSERT INTO qzpay.idempotency_keys (tenant_id, function, key, request_hash, response, created_at)
    VALUES (p_tenant, p_function, p_key, v_hash, 'null', qzpay._recorded_at())
    ON CONFLICT (tenant_id, function, key) DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT * INTO STRICT v_row FROM qzpay.idempotency_keys k WHERE k.tenant_id = p_tenant AND k.function = p_function AND k.key = p_key;
    IF v_row.request_hash <> v_hash THEN
        RAISE EXCEPTION 'idempotency key "%" was used for another call of %()', p_key, p_function USING ERRCODE = 'QZ001',
            HINT = 'A key stands for one request: use a new key, or repeat the call unchanged.';
    END IF;
    RETURN v_row.response;
END $$;
COMMENT ON FUNCTION qzpay._idempotent_begin(uuid, text, text, jsonb) IS
'Claims an idempotency key. NULL: go on and call _idempotent_end(); otherwise the first call''s answer. QZ001 for another request under the key.';

CREATE OR REPLACE FUNCTION qzpay._idempotent_end(p_tenant uuid, p_function text, p_key text, p_response jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.idempotency_keys k SET response = p_response WHERE k.tenant_id = p_tenant AND k.function = p_function AND k.key = p_key;
END $$;
COMMENT ON FUNCTION qzpay._idempotent_end(uuid, text, text, jsonb) IS 'Stores the answer of a call made with an idempotency key (nothing without one).';
