-- Limits per minute, and limits on how many at once.

CREATE OR REPLACE FUNCTION qzpay.check_rate(customer uuid, feature text, cost integer DEFAULT 1) RETURNS qzpay.rate_check
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_check_rate';
COMMENT ON FUNCTION qzpay.check_rate(uuid, text, integer) IS
'Takes cost from what a limit of kind rate allows per minute, or refuses it: never more than the limit in any 60 seconds of real time, wherever they begin; what was taken may count up to 3 seconds longer. Cost 0 only looks. '
'Counted in shared memory where the library is preloaded (for the most recent 16384 customers and limits, until the server restarts), else per session. A ROLLBACK gives nothing back. NULL for a NULL argument. '
'Errors: QZ401 unknown limit, QZ404 unknown customer, 22023 a limit of another kind or a negative cost.';

CREATE OR REPLACE FUNCTION qzpay.check_rate(customer text, feature text, cost integer DEFAULT 1) RETURNS qzpay.rate_check
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_check_rate_ref';
COMMENT ON FUNCTION qzpay.check_rate(text, text, integer) IS 'check_rate() by external id.';

CREATE OR REPLACE FUNCTION qzpay.require_rate(customer uuid, feature text, cost integer DEFAULT 1) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_require_rate';
COMMENT ON FUNCTION qzpay.require_rate(uuid, text, integer) IS
'Raises QZ402 unless check_rate() allows; DETAIL is JSON with limit, current, limit_value and retry_after (seconds; null: never).';

CREATE OR REPLACE FUNCTION qzpay.require_rate(customer text, feature text, cost integer DEFAULT 1) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_require_rate_ref';
COMMENT ON FUNCTION qzpay.require_rate(text, text, integer) IS 'require_rate() by external id.';

CREATE OR REPLACE FUNCTION qzpay.acquire_slot(customer uuid, feature text, lease interval DEFAULT '5 minutes', holder text DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.acquire_slot(uuid, text, interval, text) IS
'Takes one of the slots of a limit of kind concurrency and returns its id, or NULL when all are taken. It is free again after release_slot(), or when its lease (real time, 1 second to 1 day; renew_slot() renews it) is over: a holder that crashed blocks nobody for longer. '
'Others see it with the commit, and wait for it until then: call it in a transaction of its own. Errors: QZ404, QZ401 unknown limit, 22023 a limit of another kind or no possible lease, 22004; 40001 above READ COMMITTED where two want the last one.';

CREATE OR REPLACE FUNCTION qzpay._acquire_slot(p_customer uuid, p_feature text, p_lease interval, p_holder text) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := qzpay.current_tenant();
    v_table oid := 'qzpay.limit_slots'::regclass;
    v_limit numeric;
    v_gone bigint;
    v_moved record;
    v_id uuid := qzpay.uuid_v7();
BEGIN
    PERFORM qzpay._check_slot(p_feature, p_lease);
    v_limit := qzpay.feature_limit(p_customer, p_feature);
    DELETE FROM qzpay.limit_slots s WHERE s.tenant_id = v_tenant AND s.customer_id = p_customer AND s.feature_code = p_feature AND s.lease_until <= qzpay._real_now();
    GET DIAGNOSTICS v_gone = ROW_COUNT;
    IF v_gone > 0 THEN
        PERFORM qzpay._move_counter(v_tenant, p_customer, p_feature, v_table, '', -v_gone, NULL);
    END IF;
    LOOP
        SELECT * INTO v_moved FROM qzpay._move_counter(v_tenant, p_customer, p_feature, v_table, '', 1, v_limit);
        EXIT WHEN v_moved.moved IS NOT NULL;
        PERFORM qzpay._start_counter(v_tenant, p_customer, p_feature, v_table, '');
    END LOOP;
    IF NOT v_moved.moved THEN
        RETURN NULL;
    END IF;
    INSERT INTO qzpay.limit_slots (tenant_id, id, customer_id, feature_code, holder, acquired_at, lease_until)
    VALUES (v_tenant, v_id, p_customer, p_feature, p_holder, qzpay._real_now(), qzpay._real_now() + p_lease);
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._acquire_slot(uuid, text, interval, text) IS 'Internal of acquire_slot(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._check_slot(p_feature text, p_lease interval) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_kind text;
BEGIN
    IF p_feature IS NULL OR p_lease IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN p_feature IS NULL THEN 'feature' ELSE 'lease' END USING ERRCODE = '22004';
    END IF;
    SELECT f.limit_kind INTO v_kind FROM qzpay.features f WHERE f.code = p_feature AND f.kind = 'limit';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown limit "%"', p_feature USING ERRCODE = 'QZ401', HINT = 'The features of the catalog are listed in qzpay.features.';
    ELSIF v_kind <> 'concurrency' THEN
        RAISE EXCEPTION 'limit "%" is not one on how many at once', p_feature USING ERRCODE = '22023', HINT = 'Its kind in the catalog must be concurrency.';
    ELSIF p_lease NOT BETWEEN interval '1 second' AND interval '1 day' THEN
        RAISE EXCEPTION 'a lease of % is not possible', p_lease USING ERRCODE = '22023', HINT = 'From 1 second to 1 day; renew_slot() makes it longer.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_slot(text, interval) IS 'Raises QZ401 or 22023 unless this is a limit of kind concurrency and a possible lease.';

CREATE OR REPLACE FUNCTION qzpay.require_slot(customer uuid, feature text, lease interval DEFAULT '5 minutes', holder text DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.require_slot(uuid, text, interval, text) IS 'acquire_slot() that raises QZ402 when all slots are taken; DETAIL is JSON with limit, current and limit_value.';

CREATE OR REPLACE FUNCTION qzpay._require_slot(p_customer uuid, p_feature text, p_lease interval, p_holder text) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_slot uuid := qzpay._acquire_slot(p_customer, p_feature, p_lease, p_holder);
    v_limit numeric := qzpay.feature_limit(p_customer, p_feature);
BEGIN
    IF v_slot IS NULL THEN
        RAISE EXCEPTION 'customer "%" has reached its limit "%" of % at once', (SELECT c.external_id FROM qzpay.customers c WHERE c.id = p_customer), p_feature, v_limit USING ERRCODE = 'QZ402',
            DETAIL = jsonb_build_object('limit', p_feature, 'limit_value', v_limit, 'current', (SELECT count(*) FROM qzpay.limit_slots s WHERE s.tenant_id = qzpay.current_tenant()
                                        AND s.customer_id = p_customer AND s.feature_code = p_feature AND s.lease_until > qzpay._real_now()))::text,
            HINT = 'Wait until one is released; a higher plan or an add-on raises the limit.';
    END IF;
    RETURN v_slot;
END $$;
COMMENT ON FUNCTION qzpay._require_slot(uuid, text, interval, text) IS 'Internal of require_slot(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.renew_slot(customer uuid, slot uuid, lease interval DEFAULT '5 minutes') RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.renew_slot(uuid, uuid, interval) IS
'Gives a slot a lease from now on; false when its lease was over, for somebody else may have its place: the holder must stop. Errors: QZ404 unknown customer, 22023 no possible lease, 22004.';

CREATE OR REPLACE FUNCTION qzpay._renew_slot(p_customer uuid, p_slot uuid, p_lease interval) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_feature text;
BEGIN
    SELECT s.feature_code INTO v_feature FROM qzpay.limit_slots s WHERE s.tenant_id = qzpay.current_tenant() AND s.id = p_slot AND s.customer_id = p_customer FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM qzpay._check_slot(v_feature, p_lease);
    UPDATE qzpay.limit_slots s SET lease_until = qzpay._real_now() + p_lease
    WHERE s.tenant_id = qzpay.current_tenant() AND s.id = p_slot AND s.lease_until > qzpay._real_now();
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._renew_slot(uuid, uuid, interval) IS 'Internal of renew_slot(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.release_slot(customer uuid, slot uuid) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.release_slot(uuid, uuid) IS 'Gives a slot back; false when it was not held any more. Error QZ404 unknown customer.';

CREATE OR REPLACE FUNCTION qzpay._release_slot(p_customer uuid, p_slot uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s qzpay.limit_slots%ROWTYPE;
BEGIN
    DELETE FROM qzpay.limit_slots x WHERE x.tenant_id = qzpay.current_tenant() AND x.id = p_slot AND x.customer_id = p_customer RETURNING * INTO s;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM qzpay._move_counter(s.tenant_id, s.customer_id, s.feature_code, 'qzpay.limit_slots'::regclass, '', -1, NULL);
    RETURN s.lease_until > qzpay._real_now();
END $$;
COMMENT ON FUNCTION qzpay._release_slot(uuid, uuid) IS 'Internal of release_slot(), inside the tenant''s context.';
