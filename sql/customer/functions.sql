CREATE OR REPLACE FUNCTION qzpay.sync_customer(external_id text, email text DEFAULT NULL, name text DEFAULT NULL, currency text DEFAULT NULL,
        locale text DEFAULT NULL, timezone text DEFAULT NULL, address jsonb DEFAULT NULL, segments text[] DEFAULT NULL,
        test_clock uuid DEFAULT NULL, livemode boolean DEFAULT NULL, metadata jsonb DEFAULT NULL,
        OUT id uuid, OUT tenant_id uuid, OUT created boolean)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_external_id';
COMMENT ON FUNCTION qzpay.sync_customer(text, text, text, text, text, text, jsonb, text[], uuid, boolean, jsonb) IS
'Makes or updates the customer with this external id and returns its id, its tenant and whether it is new. NULL leaves a value as it is, metadata is merged (a key with null is removed; at most 50). '
'An external id stands for its customer for ever, since ids are derived from it: use one of yours that does not change. One that was deleted comes back. '
'Without a tenant context the customer gets a tenant of its own, derived from the external id; with one it belongs to that tenant. '
'currency defaults to the setting default_currency, locale to en, timezone to UTC; a customer on a test clock is never live. Errors: 22023 for a malformed value, QZ404 for an unknown clock.';

CREATE OR REPLACE FUNCTION qzpay._sync_customer(p_external_id text, p_email text, p_name text, p_currency text, p_locale text, p_timezone text,
        p_address jsonb, p_segments text[], p_test_clock uuid, p_livemode boolean, p_metadata jsonb,
        OUT id uuid, OUT tenant_id uuid, OUT created boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_old qzpay.customers%ROWTYPE;
    v_at timestamptz;
BEGIN
    tenant_id := qzpay.current_tenant();
    id := qzpay._customer_id(tenant_id, p_external_id);
    IF coalesce(length(p_external_id), 0) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'external id must have 1 to 255 characters' USING ERRCODE = '22023';
    END IF;
    IF p_email IS NOT NULL AND p_email !~ '^[^@[:space:]<>"]+@[^@[:space:]<>"]+\.[^@[:space:]<>"]+$' THEN
        RAISE EXCEPTION 'invalid email address' USING ERRCODE = '22023', DETAIL = 'An address has one @ between a name and a domain, and no blanks.';
    END IF;
    IF p_currency IS NOT NULL THEN
        PERFORM qzpay.currency_exponent(p_currency);
    END IF;
    IF NOT qzpay._known_timezone(p_timezone) THEN
        RAISE EXCEPTION 'unknown time zone "%"', p_timezone USING ERRCODE = '22023', HINT = 'Use a name of pg_timezone_names, such as America/Argentina/Buenos_Aires.';
    END IF;
    PERFORM qzpay._check_metadata(p_metadata);
    PERFORM qzpay._check_address(p_address);
    -- The tenant's row is the lock under which its customers are made, so two sessions never race for one.
    INSERT INTO qzpay.tenants (tenant_id, name, created_at) VALUES (tenant_id, p_name, qzpay.now()) ON CONFLICT (tenant_id) DO NOTHING;
    PERFORM FROM qzpay.tenants t WHERE t.tenant_id = _sync_customer.tenant_id FOR NO KEY UPDATE;
    -- One that was erased has no external id any more, but it is still the one that this external id stands for.
    SELECT * INTO v_old FROM qzpay.customers c WHERE c.tenant_id = _sync_customer.tenant_id AND (c.external_id = p_external_id OR c.id = _sync_customer.id AND c.erased_at IS NOT NULL);
    created := NOT FOUND;
    IF created THEN
        IF p_test_clock IS NOT NULL AND p_livemode THEN
            RAISE EXCEPTION 'a customer on a test clock cannot be live' USING ERRCODE = '22023';
        END IF;
        -- Nobody joins a clock that is being advanced.
        PERFORM FROM qzpay.test_clocks t WHERE t.id = p_test_clock FOR SHARE;
        v_at := CASE WHEN p_test_clock IS NULL THEN qzpay.now() ELSE qzpay._clock_time(p_test_clock) END;
        INSERT INTO qzpay.customers (tenant_id, id, external_id, email, name, currency, locale, timezone, address, segments, seller_id,
                                     livemode, test_clock_id, metadata, created_at, updated_at)
        VALUES (tenant_id, id, p_external_id, p_email, p_name, coalesce(p_currency, qzpay.setting('default_currency') #>> '{}'),
                coalesce(p_locale, 'en'), coalesce(p_timezone, 'UTC'), coalesce(p_address, '{}'), coalesce(p_segments, '{}'),
                (SELECT s.id FROM qzpay.sellers s WHERE s.is_default),
                coalesce(p_livemode, p_test_clock IS NULL), p_test_clock, qzpay._merge_metadata('{}', p_metadata), v_at, v_at);
        PERFORM qzpay._emit_event(tenant_id, 'customer.created', 'customer', id, id, jsonb_build_object('customerId', id, 'externalId', p_external_id), NULL, v_at);
        IF qzpay.setting('signup_plan') <> 'null' THEN
            PERFORM qzpay._subscribe(id, qzpay.setting('signup_plan') #>> '{}', 'month', NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        END IF;
        RETURN;
    END IF;
    id := v_old.id;
    IF p_livemode IS DISTINCT FROM v_old.livemode AND p_livemode IS NOT NULL OR p_test_clock IS DISTINCT FROM v_old.test_clock_id AND p_test_clock IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" cannot move to another mode or clock', p_external_id USING ERRCODE = 'QZ204';
    END IF;
    IF p_currency IS DISTINCT FROM v_old.currency AND p_currency IS NOT NULL AND EXISTS (
        SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_old.tenant_id AND s.customer_id = v_old.id AND s.ended_at IS NULL
        UNION ALL SELECT FROM qzpay.invoices i WHERE i.tenant_id = v_old.tenant_id AND i.customer_id = v_old.id AND i.status IN ('draft', 'open')
        UNION ALL SELECT FROM qzpay.balances b WHERE b.tenant_id = v_old.tenant_id AND b.customer_id = v_old.id AND b.currency = v_old.currency AND b.amount > 0) THEN
        RAISE EXCEPTION 'customer "%" cannot change currency from % to %', p_external_id, v_old.currency, p_currency
            USING ERRCODE = 'QZ204', DETAIL = 'It has a live subscription, an open invoice or a balance in the old currency.';
    END IF;
    v_at := qzpay.now(v_old.id);
    IF p_timezone <> v_old.timezone THEN
        -- Before the customer, as everybody locks.
        PERFORM FROM qzpay.subscriptions s WHERE s.tenant_id = v_old.tenant_id AND s.customer_id = v_old.id AND s.ended_at IS NULL ORDER BY s.id FOR NO KEY UPDATE;
    END IF;
    IF v_old.deleted_at IS NOT NULL THEN
        UPDATE qzpay.customers c SET external_id = p_external_id, deleted_at = NULL, erased_at = NULL, updated_at = v_at WHERE c.tenant_id = v_old.tenant_id AND c.id = v_old.id;
        PERFORM qzpay._emit_event(tenant_id, 'customer.restored', 'customer', id, id, jsonb_build_object('customerId', id, 'externalId', p_external_id), NULL, v_at);
    END IF;
    UPDATE qzpay.customers c SET
        email = coalesce(p_email, c.email), name = coalesce(p_name, c.name), currency = coalesce(p_currency, c.currency),
        locale = coalesce(p_locale, c.locale), timezone = coalesce(p_timezone, c.timezone), address = coalesce(p_address, c.address),
        segments = coalesce(p_segments, c.segments), metadata = qzpay._merge_metadata(c.metadata, p_metadata), updated_at = v_at
    WHERE c.tenant_id = v_old.tenant_id AND c.id = v_old.id
      AND (coalesce(p_email, c.email), coalesce(p_name, c.name), coalesce(p_currency, c.currency), coalesce(p_locale, c.locale), coalesce(p_timezone, c.timezone),
           coalesce(p_address, c.address), coalesce(p_segments, c.segments), qzpay._merge_metadata(c.metadata, p_metadata))
          IS DISTINCT FROM (c.email, c.name, c.currency, c.locale, c.timezone, c.address, c.segments, c.metadata);
    IF FOUND THEN
        IF p_timezone <> v_old.timezone THEN
            UPDATE qzpay.subscriptions s SET timezone = p_timezone, updated_at = v_at
             WHERE s.tenant_id = v_old.tenant_id AND s.customer_id = v_old.id AND s.ended_at IS NULL;
        END IF;
        PERFORM qzpay._emit_event(tenant_id, 'customer.updated', 'customer', id, id, jsonb_build_object('customerId', id, 'externalId', p_external_id), NULL, v_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._sync_customer(text, text, text, text, text, text, jsonb, text[], uuid, boolean, jsonb) IS
'Internal of sync_customer(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._refuse_pan(p_text text) RETURNS void
    LANGUAGE c IMMUTABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_refuse_pan';
COMMENT ON FUNCTION qzpay._refuse_pan(text) IS
'Raises 22023 when a free-form text holds what passes for a card number, and keeps it out of the message, of the log''s statement and of pg_stat_activity. NULL is none.';

CREATE OR REPLACE FUNCTION qzpay._check_metadata(p_metadata jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_metadata) <> 'object' THEN
        RAISE EXCEPTION 'metadata must be a JSON object' USING ERRCODE = '22023';
    ELSIF (SELECT count(*) > 50 FROM jsonb_object_keys(p_metadata)) THEN
        RAISE EXCEPTION 'metadata has more than 50 keys' USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._refuse_pan(p_metadata::text);
END $$;
COMMENT ON FUNCTION qzpay._check_metadata(jsonb) IS 'Raises 22023 for metadata that is no JSON object, has more than 50 keys or holds, in keys too, what passes for a card number. NULL is none.';

CREATE OR REPLACE FUNCTION qzpay._merge_metadata(p_old jsonb, p_new jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_all jsonb := p_old || coalesce(p_new, '{}');
    v_merged jsonb := v_all - ARRAY(SELECT e.key FROM jsonb_each(v_all) e WHERE e.value = 'null');
BEGIN
    IF (SELECT count(*) > 50 FROM jsonb_object_keys(v_merged)) THEN
        RAISE EXCEPTION 'metadata would have more than 50 keys' USING ERRCODE = '22023', HINT = 'A key is removed by giving it null.';
    END IF;
    RETURN v_merged;
END $$;
COMMENT ON FUNCTION qzpay._merge_metadata(jsonb, jsonb) IS 'Metadata with new keys put in and those that are null taken out. 22023 beyond 50 keys.';
