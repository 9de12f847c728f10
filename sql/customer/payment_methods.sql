-- Payment methods: saved by the provider's token, one of them the default.

CREATE OR REPLACE FUNCTION qzpay.attach_payment_method(customer uuid, provider text, token text, brand text DEFAULT NULL, last4 text DEFAULT NULL,
        exp_month integer DEFAULT NULL, exp_year integer DEFAULT NULL, make_default boolean DEFAULT true, metadata jsonb DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.attach_payment_method(uuid, text, text, text, text, integer, integer, boolean, jsonb) IS
'Saves a way to pay by the provider''s token (never a card number) and returns its id; the same token again returns the same method, brought up to date, its metadata merged. The first one is the default whatever make_default says. '
'Open invoices are tried with a new default at once. Errors: QZ404 unknown customer or provider, QZ204 a provider for tests on a live customer, 22023 a malformed value, a token that the sandbox does not know, or what looks like a card number.';

CREATE OR REPLACE FUNCTION qzpay._check_token(p_provider text, p_capabilities jsonb, p_token text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_token IS NULL OR p_capabilities -> 'tokens' IS NOT NULL AND NOT p_capabilities -> 'tokens' ? p_token THEN
        RAISE EXCEPTION 'provider "%" has no token "%"', p_provider, p_token USING ERRCODE = '22023',
            HINT = 'Its tokens are ' || (SELECT string_agg(t, ', ' ORDER BY n) FROM jsonb_array_elements_text(p_capabilities -> 'tokens') WITH ORDINALITY AS k (t, n)) || '.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_token(text, jsonb, text) IS 'Raises 22023 for a token that a provider with a fixed list of them (capability tokens, as the sandbox has) does not know, with the list as HINT.';

CREATE OR REPLACE FUNCTION qzpay._attach_payment_method(p_customer uuid, p_provider text, p_token text, p_brand text, p_last4 text,
        p_exp_month integer, p_exp_year integer, p_make_default boolean, p_metadata jsonb) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_capabilities jsonb;
    v_at timestamptz := qzpay.now(p_customer);
    v_id uuid;
BEGIN
    IF coalesce(length(p_token), 0) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'a payment method needs the provider''s token, of 1 to 255 characters' USING ERRCODE = '22023';
    ELSIF p_last4 !~ '^[0-9]{4}$' THEN
        RAISE EXCEPTION 'last4 must be four digits' USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._check_expiry(p_exp_month, p_exp_year);
    PERFORM qzpay._check_metadata(p_metadata);
    -- The customer's row is the lock under which its methods change, after its subscriptions: whoever bills holds those.
    PERFORM FROM qzpay.subscriptions s WHERE s.customer_id = p_customer AND s.ended_at IS NULL ORDER BY s.id FOR NO KEY UPDATE;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    IF v_customer.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" is deleted', v_customer.external_id USING ERRCODE = 'QZ204';
    END IF;
    SELECT p.capabilities INTO v_capabilities FROM qzpay.providers p WHERE p.code = p_provider AND p.kind = 'payment' AND p.enabled;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'payment provider "%" not found', p_provider USING ERRCODE = 'QZ404',
            HINT = (SELECT 'One of ' || string_agg(p.code, ', ' ORDER BY p.code) || '.' FROM qzpay.providers p WHERE p.kind = 'payment' AND p.enabled);
    ELSIF v_capabilities @> '{"test_only": true}' AND v_customer.livemode THEN
        RAISE EXCEPTION 'provider "%" moves no real money, and customer "%" is live', p_provider, v_customer.external_id USING ERRCODE = 'QZ204',
            HINT = 'Make customers for tests with sync_customer(livemode => false) or on a test clock.';
    END IF;
    PERFORM qzpay._check_token(p_provider, v_capabilities, p_token);
    SELECT m.id INTO v_id FROM qzpay.payment_methods m
    WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.provider = p_provider AND m.token = p_token AND m.detached_at IS NULL;
    IF v_id IS NULL THEN
        IF (p_exp_month IS NULL) <> (p_exp_year IS NULL) THEN
            RAISE EXCEPTION 'an expiry is a month and a year' USING ERRCODE = '22023';
        END IF;
        v_id := qzpay.uuid_v7();
        INSERT INTO qzpay.payment_methods (tenant_id, id, customer_id, provider, token, brand, last4, exp_month, exp_year, is_default, test_clock_id, metadata, created_at)
        VALUES (v_customer.tenant_id, v_id, p_customer, p_provider, p_token, p_brand, p_last4, p_exp_month, p_exp_year, false, v_customer.test_clock_id, qzpay._merge_metadata('{}', p_metadata), v_at);
        PERFORM qzpay._emit_event(v_customer.tenant_id, 'payment_method.attached', 'payment_method', v_id, p_customer,
            jsonb_build_object('paymentMethodId', v_id, 'provider', p_provider, 'brand', p_brand, 'last4', p_last4, 'metadata', qzpay._merge_metadata('{}', p_metadata)), NULL, v_at);
    ELSE
        UPDATE qzpay.payment_methods m SET brand = coalesce(p_brand, m.brand), last4 = coalesce(p_last4, m.last4),
               exp_month = coalesce(p_exp_month, m.exp_month), exp_year = coalesce(p_exp_year, m.exp_year),
               metadata = qzpay._merge_metadata(m.metadata, p_metadata)
        WHERE m.tenant_id = v_customer.tenant_id AND m.id = v_id;
    END IF;
    PERFORM qzpay._plan_expiry_warning(v_customer.tenant_id, v_id, v_at - interval '1 microsecond');
    UPDATE qzpay.subscriptions s SET has_payment_method = true, updated_at = v_at
    WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.ended_at IS NULL AND NOT s.has_payment_method;
    PERFORM qzpay._start_trials(v_customer.tenant_id, p_customer, v_at);
    IF coalesce(p_make_default, true) OR NOT EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.is_default) THEN
        PERFORM qzpay._make_default_method(v_customer.tenant_id, p_customer, v_id, v_at);
    END IF;
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._attach_payment_method(uuid, text, text, text, text, integer, integer, boolean, jsonb) IS 'Internal of attach_payment_method(), inside the tenant''s context.';

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
    IF EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = m.tenant_id AND a.payment_method_id = m.id AND a.operation = 'charge' AND a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled')) THEN
        RAISE EXCEPTION 'payment method % has a payment under way', m.id USING ERRCODE = 'QZ204';
    ELSIF m.is_default AND v_others THEN
        RAISE EXCEPTION 'payment method % is the default', m.id USING ERRCODE = 'QZ204', HINT = 'Call set_default_payment_method() for another one first.';
    ELSIF NOT v_others AND EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = m.tenant_id AND s.customer_id = m.customer_id AND s.ended_at IS NULL) THEN
        RAISE EXCEPTION 'payment method % is the last one of a customer with a live subscription', m.id USING ERRCODE = 'QZ204',
            HINT = 'Attach another one first, or cancel the subscription.';
    END IF;
    PERFORM qzpay._remove_method(m.tenant_id, m.id, v_at);
END $$;
COMMENT ON FUNCTION qzpay._detach_payment_method(uuid) IS 'Internal of detach_payment_method(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._remove_method(p_tenant uuid, p_payment_method uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.payment_methods m SET is_default = false, detached_at = p_at, next_warning_at = NULL WHERE m.tenant_id = p_tenant AND m.id = p_payment_method;
    PERFORM qzpay._emit_event(p_tenant, 'payment_method.detached', 'payment_method', m.id, m.customer_id, jsonb_build_object('paymentMethodId', m.id), NULL, p_at)
    FROM qzpay.payment_methods m WHERE m.tenant_id = p_tenant AND m.id = p_payment_method;
END $$;
COMMENT ON FUNCTION qzpay._remove_method(uuid, uuid, timestamptz) IS 'Takes a method out of use; whether that may be, the caller has decided.';

CREATE OR REPLACE FUNCTION qzpay._provider_forgot_customer(p_tenant uuid, p_customer uuid, p_provider text, p_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_id uuid;
    v_rows integer := 0;
BEGIN
    PERFORM FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.ended_at IS NULL ORDER BY s.id FOR NO KEY UPDATE;
    PERFORM FROM qzpay.customers c WHERE c.tenant_id = p_tenant AND c.id = p_customer FOR NO KEY UPDATE;
    FOR v_id IN
        SELECT m.id FROM qzpay.payment_methods m
        WHERE m.tenant_id = p_tenant AND m.customer_id = p_customer AND m.provider = p_provider AND m.detached_at IS NULL ORDER BY m.id
    LOOP
        PERFORM qzpay._remove_method(p_tenant, v_id, p_at);
        v_rows := v_rows + 1;
    END LOOP;
    -- The eldest of what is left is charged from now on; where nothing is, renewals find no method and say so.
    PERFORM qzpay._make_default_method(p_tenant, p_customer, m.id, p_at)
    FROM (SELECT m.id FROM qzpay.payment_methods m WHERE m.tenant_id = p_tenant AND m.customer_id = p_customer AND m.detached_at IS NULL ORDER BY m.created_at, m.id LIMIT 1) m
    WHERE NOT EXISTS (SELECT FROM qzpay.payment_methods d WHERE d.tenant_id = p_tenant AND d.customer_id = p_customer AND d.is_default);
    UPDATE qzpay.subscriptions s SET has_payment_method = false, updated_at = p_at
    WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.ended_at IS NULL AND s.has_payment_method
      AND NOT EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.tenant_id = p_tenant AND m.customer_id = p_customer AND m.detached_at IS NULL);
    PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'customer', p_customer, p_customer,
        jsonb_build_object('level', 'warning', 'message', format('provider "%s" has deleted a customer', p_provider), 'customerId', p_customer, 'paymentMethods', v_rows), NULL, p_at);
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._provider_forgot_customer(uuid, uuid, text, timestamptz) IS
'What it means that a provider has deleted a customer: its methods there are removed, and an alert is raised; nothing is canceled. Returns how many methods were.';

CREATE OR REPLACE FUNCTION qzpay._check_expiry(p_month integer, p_year integer) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_month NOT BETWEEN 1 AND 12 OR p_year NOT BETWEEN 2000 AND 2200 THEN
        RAISE EXCEPTION 'no card expires in month % of year %', coalesce(p_month::text, '?'), coalesce(p_year::text, '?') USING ERRCODE = '22023',
            HINT = 'A month from 1 to 12, a year with four digits.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_expiry(integer, integer) IS 'Raises 22023 unless a card may expire in this month and year; NULL is not said.';

CREATE OR REPLACE FUNCTION qzpay.update_payment_method(payment_method uuid, exp_month integer DEFAULT NULL, exp_year integer DEFAULT NULL, brand text DEFAULT NULL, last4 text DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_payment_method';
COMMENT ON FUNCTION qzpay.update_payment_method(uuid, integer, integer, text, text) IS
'Changes what is shown of a saved method: its expiry, brand, last four digits; NULL leaves a value. Warnings of its expiry start anew. '
'Returns false if nothing changed. Errors: QZ404, QZ204 a removed method, 22023 a malformed value or what looks like a card number.';

CREATE OR REPLACE FUNCTION qzpay._update_payment_method(p_payment_method uuid, p_exp_month integer, p_exp_year integer, p_brand text, p_last4 text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m record;
    v_at timestamptz;
BEGIN
    IF p_last4 !~ '^[0-9]{4}$' THEN
        RAISE EXCEPTION 'last4 must be four digits' USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._check_expiry(p_exp_month, p_exp_year);
    SELECT * INTO STRICT m FROM qzpay._lock_method(p_payment_method);
    IF EXISTS (SELECT FROM qzpay.payment_methods o WHERE o.tenant_id = m.tenant_id AND o.id = m.id
               AND (coalesce(p_exp_month, o.exp_month) IS NULL) <> (coalesce(p_exp_year, o.exp_year) IS NULL)) THEN
        RAISE EXCEPTION 'an expiry is a month and a year' USING ERRCODE = '22023';
    END IF;
    v_at := qzpay.now(m.customer_id);
    UPDATE qzpay.payment_methods o SET exp_month = coalesce(p_exp_month, o.exp_month), exp_year = coalesce(p_exp_year, o.exp_year),
           brand = coalesce(p_brand, o.brand), last4 = coalesce(p_last4, o.last4)
    WHERE o.tenant_id = m.tenant_id AND o.id = m.id
      AND (coalesce(p_exp_month, o.exp_month), coalesce(p_exp_year, o.exp_year), coalesce(p_brand, o.brand), coalesce(p_last4, o.last4))
          IS DISTINCT FROM (o.exp_month, o.exp_year, o.brand, o.last4);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_exp_month IS NOT NULL OR p_exp_year IS NOT NULL THEN
        PERFORM qzpay._plan_expiry_warning(m.tenant_id, m.id, v_at - interval '1 microsecond');
    END IF;
    PERFORM qzpay._emit_event(m.tenant_id, 'payment_method.updated', 'payment_method', m.id, m.customer_id,
        jsonb_build_object('paymentMethodId', m.id, 'isDefault', m.is_default), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._update_payment_method(uuid, integer, integer, text, text) IS 'Internal of update_payment_method(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.replace_payment_method(payment_method uuid, token text, brand text DEFAULT NULL, last4 text DEFAULT NULL,
        exp_month integer DEFAULT NULL, exp_year integer DEFAULT NULL, provider text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_payment_method';
COMMENT ON FUNCTION qzpay.replace_payment_method(uuid, text, text, text, integer, integer, text, jsonb) IS
'Saves another way to pay in the place of one: it becomes the default if that was, open invoices are then tried with it, and the old one is removed, even the last one under a live subscription. Returns the id of the new one. '
'provider defaults to that of the old one; metadata is that of the new one. Where a payment with the old one is under way it stays, no longer as the default. '
'Errors: as attach_payment_method(), QZ204 a removed method.';

CREATE OR REPLACE FUNCTION qzpay._replace_payment_method(p_payment_method uuid, p_token text, p_brand text, p_last4 text, p_exp_month integer, p_exp_year integer, p_provider text, p_metadata jsonb) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    m record;
    v_id uuid;
    v_at timestamptz;
BEGIN
    SELECT * INTO STRICT m FROM qzpay._lock_method(p_payment_method);
    v_at := qzpay.now(m.customer_id);
    IF m.is_default THEN
        -- What was about to be charged to the old one is planned anew with the new one.
        PERFORM qzpay._cancel_planned_attempts(array_agg(a.tenant_id), array_agg(a.invoice_id), v_at)
        FROM qzpay.payment_attempts a WHERE a.tenant_id = m.tenant_id AND a.payment_method_id = m.id AND a.operation = 'charge' AND a.status = 'planned' HAVING count(*) > 0;
    END IF;
    v_id := qzpay._attach_payment_method(m.customer_id, coalesce(p_provider, (SELECT o.provider FROM qzpay.payment_methods o WHERE o.tenant_id = m.tenant_id AND o.id = m.id)),
                                         p_token, p_brand, p_last4, p_exp_month, p_exp_year, m.is_default, p_metadata);
    IF v_id <> m.id AND NOT EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = m.tenant_id AND a.payment_method_id = m.id
                                    AND a.operation = 'charge' AND a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled')) THEN
        PERFORM qzpay._remove_method(m.tenant_id, m.id, v_at);
    END IF;
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._replace_payment_method(uuid, text, text, text, integer, integer, text, jsonb) IS 'Internal of replace_payment_method(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._plan_expiry_warning(p_tenant uuid, p_payment_method uuid, p_after timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.payment_methods m SET next_warning_at = (
        SELECT min(e.at - d.days::integer * interval '24 hours')
        FROM qzpay._method_expires_at(m.exp_month, m.exp_year, c.timezone) e (at)
        CROSS JOIN jsonb_array_elements_text((SELECT qzpay.setting('payment_method_expiry_days'))) d (days)
        WHERE e.at - d.days::integer * interval '24 hours' > p_after)
    FROM qzpay.customers c
    WHERE m.tenant_id = p_tenant AND m.id = p_payment_method AND c.tenant_id = m.tenant_id AND c.id = m.customer_id;
END $$;
COMMENT ON FUNCTION qzpay._plan_expiry_warning(uuid, uuid, timestamptz) IS 'Notes when the first warning of a method''s expiry after an instant is due; none for one that does not expire.';

CREATE OR REPLACE FUNCTION qzpay._method_expires_at(p_month integer, p_year integer, p_timezone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (make_date(p_year, p_month, 1) + interval '1 month') AT TIME ZONE p_timezone;
END $$;
COMMENT ON FUNCTION qzpay._method_expires_at(integer, integer, text) IS 'First instant after the month in which a card expires, in a time zone; NULL where none is said.';

CREATE OR REPLACE FUNCTION qzpay._warn_of_expiry(p_clock uuid, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
    v_rows bigint := 0;
BEGIN
    FOR v_row IN
        SELECT m.tenant_id, m.id, m.customer_id, m.brand, m.last4, m.exp_month, m.exp_year, m.is_default, m.next_warning_at, qzpay._method_expires_at(m.exp_month, m.exp_year, c.timezone) AS expires_at
        FROM qzpay.payment_methods m JOIN qzpay.customers c ON c.tenant_id = m.tenant_id AND c.id = m.customer_id
        WHERE m.next_warning_at <= p_at AND CASE WHEN p_clock IS NULL THEN m.test_clock_id IS NULL ELSE m.test_clock_id = p_clock END
        ORDER BY m.next_warning_at, m.tenant_id, m.id LIMIT p_limit FOR NO KEY UPDATE OF m SKIP LOCKED
    LOOP
        -- Several that fell due while nobody looked are one warning, and after the end there is nothing to warn of.
        IF p_at < v_row.expires_at THEN
            PERFORM qzpay._emit_event(v_row.tenant_id, 'payment_method.expiring', 'payment_method', v_row.id, v_row.customer_id,
                jsonb_build_object('paymentMethodId', v_row.id, 'brand', v_row.brand, 'last4', v_row.last4, 'expMonth', v_row.exp_month, 'expYear', v_row.exp_year, 'isDefault', v_row.is_default,
                                   'expiresAt', v_row.expires_at, 'daysRemaining', ceil(extract(epoch FROM v_row.expires_at - p_at) / 86400)::integer, 'emailSentByPackage', false),
                'payment_method.expiring:' || v_row.id || ':' || extract(epoch FROM v_row.next_warning_at), p_at);
        END IF;
        PERFORM qzpay._plan_expiry_warning(v_row.tenant_id, v_row.id, p_at);
        v_rows := v_rows + 1;
    END LOOP;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._warn_of_expiry(uuid, timestamptz, integer) IS
'Tells of payment methods that expire soon, each warning (setting payment_method_expiry_days) once, for customers of a test clock or (NULL) in real time. Returns how many were looked at.';

CREATE OR REPLACE FUNCTION qzpay._job_payment_method_expiry(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._warn_of_expiry(NULL, qzpay.now(), p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_payment_method_expiry(integer) IS 'Job: warnings of payment methods that expire soon.';
