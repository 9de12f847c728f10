CREATE OR REPLACE FUNCTION qzpay._answer_class(p_transport text, p_status integer) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'qzpay_answer_class';
COMMENT ON FUNCTION qzpay._answer_class(text, integer) IS
'What may be concluded from how an exchange ended (ok, not_sent, timeout, reset, truncated, too_large, invalid) and its HTTP status: read, declined, rejected, pause_lane, retry, not_sent or unknown. '
'The one table for every provider, in src/core/outcome.c.';

CREATE OR REPLACE FUNCTION qzpay._retry_after(p_value text) RETURNS interval
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'qzpay_retry_after';
COMMENT ON FUNCTION qzpay._retry_after(text) IS 'How long a Retry-After header asks to wait, at most a day; NULL when it is neither seconds nor a date.';

CREATE OR REPLACE FUNCTION qzpay._lookup_delay(p_done integer) RETURNS interval
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'qzpay_lookup_delay';
COMMENT ON FUNCTION qzpay._lookup_delay(integer) IS
'Time until the next lookup after this many: 30 s, 2 min, 10 min, 1 h, 6 h, then daily up to day 7; NULL when a person has to look.';

CREATE OR REPLACE FUNCTION qzpay._secrets_present(p_names text[]) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'qzpay_secrets_present';
COMMENT ON FUNCTION qzpay._secrets_present(text[]) IS 'Whether the secrets file has all of these names; tells nothing of the values.';

CREATE OR REPLACE FUNCTION qzpay._provider_url_problem(p_url text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'qzpay_provider_url_problem';
COMMENT ON FUNCTION qzpay._provider_url_problem(text) IS
'Why the server''s configuration does not let provider calls go to this URL, or NULL: HTTPS to a host of qzpay.provider_hosts, or plain loopback where qzpay.allow_loopback_http is on.';

CREATE OR REPLACE FUNCTION qzpay._server_identity(OUT system_identifier bigint, OUT timeline integer, OUT host text, OUT database name)
    LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'qzpay_server_identity';
COMMENT ON FUNCTION qzpay._server_identity() IS 'What tells this server and database from a clone, a restored dump or a promoted standby of it.';

CREATE OR REPLACE FUNCTION qzpay.is_live() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT EXISTS (SELECT FROM qzpay.epochs e, qzpay._server_identity() s
                       WHERE e.system_identifier = s.system_identifier AND e.timeline = s.timeline AND e.host = s.host AND e.database = s.database));
END $$;
COMMENT ON FUNCTION qzpay.is_live() IS 'Whether go_live() was called on this very server and database; otherwise no live customer is charged from here.';

CREATE OR REPLACE FUNCTION qzpay.go_live() RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.go_live() IS
'Declares this server the one that charges live customers; true if it was not before. A clone, a restored dump and a promoted standby are other servers and send nothing until it is called there: '
'make sure first that the old one is off.';

CREATE OR REPLACE FUNCTION qzpay._go_live() RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.epochs (id, system_identifier, timeline, host, database, opened_at, opened_by)
    SELECT qzpay.uuid_v7(), s.system_identifier, s.timeline, s.host, s.database, qzpay._recorded_at(), session_user
    FROM qzpay._server_identity() s
    ON CONFLICT (system_identifier, timeline, host, database) DO NOTHING;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._go_live() IS 'Internal of go_live().';

CREATE OR REPLACE FUNCTION qzpay._provider_amount(p_provider text, p_currency text, p_amount bigint, p_refund boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE
            WHEN l.provider IS NULL THEN p_amount
            WHEN p_amount < l.min_amount AND NOT p_refund OR p_amount > l.max_amount OR p_amount % l.step <> 0 THEN NULL
            WHEN p_amount::numeric * s.up % s.down <> 0 OR p_amount::numeric * s.up / s.down > 9223372036854775807 THEN NULL
            ELSE (p_amount::numeric * s.up / s.down)::bigint
        END
        FROM (SELECT 1) one
        LEFT JOIN qzpay.provider_limits l ON l.provider = p_provider AND l.currency = p_currency
        LEFT JOIN LATERAL (SELECT power(10::numeric, greatest(l.exponent - qzpay.currency_exponent(p_currency), 0)) AS up,
                                  power(10::numeric, greatest(qzpay.currency_exponent(p_currency) - l.exponent, 0)) AS down) s ON l.provider IS NOT NULL);
END $$;
COMMENT ON FUNCTION qzpay._provider_amount(text, text, bigint, boolean) IS
'An amount in the provider''s own minor units; NULL when the provider cannot take it: below its minimum (which counts for charges only), above its maximum, not on its step, or with decimals it does not have. Nothing is ever rounded.';

CREATE OR REPLACE FUNCTION qzpay._url_encode(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(string_agg(CASE WHEN chr(b.byte) ~ '^[A-Za-z0-9._~-]$' AND b.byte < 128 THEN chr(b.byte) ELSE '%' || upper(lpad(to_hex(b.byte), 2, '0')) END, '' ORDER BY b.n), '')
    FROM (SELECT n, get_byte(convert_to(p_text, 'UTF8'), n) AS byte FROM generate_series(0, octet_length(convert_to(p_text, 'UTF8')) - 1) n) b
$$;
COMMENT ON FUNCTION qzpay._url_encode(text) IS 'Percent-encodes a text for a URL or form: all but letters, digits and . _ ~ - of ASCII.';

CREATE OR REPLACE FUNCTION qzpay._form_encode(VARIADIC p_pairs text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(string_agg(qzpay._url_encode(p_pairs[2 * n - 1]) || '=' || qzpay._url_encode(p_pairs[2 * n]), '&' ORDER BY n), '')
    FROM generate_series(1, cardinality(p_pairs) / 2) n
    WHERE p_pairs[2 * n] IS NOT NULL
$$;
COMMENT ON FUNCTION qzpay._form_encode(text[]) IS 'Names and values in turn as application/x-www-form-urlencoded, in the order given; pairs without a value are left out.';

CREATE OR REPLACE FUNCTION qzpay._call_adapter(p_function text, p_first anyelement, p_attempt jsonb, p_last jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_function regproc := p_function::regproc;
    v_answer jsonb;
BEGIN
    -- Staff registers these functions; the owner of our tables and superusers run nobody else's code.
    IF EXISTS (SELECT FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner JOIN pg_roles me ON me.rolname = current_user
               WHERE p.oid = v_function AND (me.rolsuper OR me.rolname = 'qzpay_owner') AND o.rolname <> 'qzpay_owner' AND (me.rolname = 'qzpay_owner' OR NOT o.rolsuper)) THEN
        RAISE EXCEPTION 'provider function % is not run as %', v_function, current_user USING ERRCODE = '42501',
            HINT = 'A function of another role is run by the worker and by members of qzpay_worker.';
    END IF;
    EXECUTE format('SELECT %s($1, $2, $3)', v_function) INTO v_answer USING p_first, p_attempt, p_last;
    RETURN v_answer;
END $$;
COMMENT ON FUNCTION qzpay._call_adapter(text, anyelement, jsonb, jsonb) IS
'Calls a provider''s function by name, with the caller''s rights: request(operation, attempt, provider) or outcome(operation, attempt, response). '
'Refuses (42501) to run a function of another role as qzpay_owner or as a superuser.';

CREATE OR REPLACE FUNCTION qzpay._check_base_url() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_problem text := qzpay._provider_url_problem(NEW.base_url);
BEGIN
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'provider "%" cannot be at this base_url: %', NEW.code, v_problem USING ERRCODE = '42501',
            HINT = 'Calls carry secrets, so the hosts they may go to are listed in qzpay.provider_hosts of the server''s configuration.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION qzpay._check_base_url() IS 'Row trigger: a provider''s base_url is one that the server''s configuration allows.';

CREATE OR REPLACE FUNCTION qzpay.pause_provider(provider text, reason text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.pause_provider(text, text) IS
'Stops sending anything to a provider; attempts wait. False if it was paused already. What is being sent at this moment still comes to its end. QZ404 for an unknown provider.';

CREATE OR REPLACE FUNCTION qzpay._pause_provider(provider text, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM qzpay.providers p WHERE p.code = _pause_provider.provider) THEN
        RAISE EXCEPTION 'provider "%" not found', provider USING ERRCODE = 'QZ404';
    END IF;
    UPDATE qzpay.providers p SET paused_at = qzpay._recorded_at(), paused_reason = _pause_provider.reason
    WHERE p.code = _pause_provider.provider AND p.paused_at IS NULL;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._pause_provider(text, text) IS 'Internal of pause_provider().';

CREATE OR REPLACE FUNCTION qzpay.resume_provider(provider text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.resume_provider(text) IS 'Goes on with a paused provider where it stopped; false if it was not paused. QZ404 for an unknown provider.';

CREATE OR REPLACE FUNCTION qzpay._resume_provider(provider text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM qzpay.providers p WHERE p.code = _resume_provider.provider) THEN
        RAISE EXCEPTION 'provider "%" not found', provider USING ERRCODE = 'QZ404';
    END IF;
    UPDATE qzpay.providers p SET paused_at = NULL, paused_reason = NULL WHERE p.code = _resume_provider.provider AND p.paused_at IS NOT NULL;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._resume_provider(text) IS 'Internal of resume_provider().';
