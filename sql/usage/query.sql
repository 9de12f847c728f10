-- Meters over the application's own tables: no event is copied, the rows are counted where they lie.

CREATE OR REPLACE FUNCTION qzpay._check_meter_query(p_query text, p_run_as name) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_check_meter_query';
COMMENT ON FUNCTION qzpay._check_meter_query(text, name) IS
'Type of the column customer of a query that a meter could have; it is analysed with the rights of that role and not run. Errors: 42501 the role may do too much, 42704 no such role, 22023 not a single SELECT or wrong types, '
'and whatever is wrong with the query.';

CREATE OR REPLACE FUNCTION qzpay._count_rows(p_meter uuid, p_tenant uuid, p_customer uuid, p_from timestamptz, p_to timestamptz, OUT quantity numeric, OUT events bigint)
    LANGUAGE c STABLE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_count_rows';
COMMENT ON FUNCTION qzpay._count_rows(uuid, uuid, uuid, timestamptz, timestamptz) IS
'What the query of a meter finds for a customer in [p_from, p_to), run with the rights of the role that was named with it. Errors: QZ404, 42501 the role has come to more rights, and what the query raises.';

CREATE OR REPLACE FUNCTION qzpay.set_meter_query(meter text, query text, run_as name DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.set_meter_query(text, text, name) IS
'Makes a meter count rows of the application''s own tables instead of events: a SELECT with the columns customer (external id; text, uuid, integer or bigint), quantity and occurred_at (timestamptz). '
'It runs with the rights of run_as, which must have none of qzpay''s staff, inside a restricted operation: whoever owns what it reads can put code behind it. Names in it are qualified, its search path is pg_catalog. '
'An index on (customer, occurred_at) makes it cheap. The bill counts the period afresh at its end; rows that came later for it are added to the next. query NULL: back to events. '
'Errors: QZ401 unknown meter, QZ204 the meter has usage of the other kind, 42501 run_as may do too much, 22004, 22023.';

CREATE OR REPLACE FUNCTION qzpay._set_meter_query(meter text, query text, run_as name) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_meter uuid;
    v_aggregation text;
BEGIN
    SELECT m.id, m.aggregation INTO v_meter, v_aggregation FROM qzpay.meters m WHERE m.code = meter;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown meter "%"', meter USING ERRCODE = 'QZ401', HINT = 'The meters of the catalog are listed in qzpay.meters.';
    END IF;
    IF EXISTS (SELECT FROM qzpay.usage_totals t WHERE t.meter_id = v_meter AND t.gauge IS DISTINCT FROM (SELECT true FROM qzpay.meter_queries q WHERE q.meter_id = v_meter)) THEN
        RAISE EXCEPTION 'meter "%" has been used another way', meter USING ERRCODE = 'QZ204', HINT = 'Make another meter for it.';
    END IF;
    IF query IS NULL THEN
        UPDATE qzpay.meters m SET counts_rows = false WHERE m.id = v_meter;
        DELETE FROM qzpay.meter_queries q WHERE q.meter_id = v_meter;
        RETURN;
    END IF;
    IF run_as IS NULL THEN
        RAISE EXCEPTION 'run_as must not be null' USING ERRCODE = '22004', HINT = 'Name the role with whose rights the query is to run.';
    END IF;
    IF v_aggregation <> 'sum' THEN
        RAISE EXCEPTION 'meter "%" aggregates by %, and a query adds up', meter, v_aggregation USING ERRCODE = '22023';
    END IF;
    INSERT INTO qzpay.meter_queries AS q (meter_id, query, run_as, customer_type)
    VALUES (v_meter, query, run_as, qzpay._check_meter_query(query, run_as))
    ON CONFLICT (meter_id) DO UPDATE SET query = EXCLUDED.query, run_as = EXCLUDED.run_as, customer_type = EXCLUDED.customer_type;
    UPDATE qzpay.meters m SET counts_rows = true WHERE m.id = v_meter AND NOT m.counts_rows;
END $$;
COMMENT ON FUNCTION qzpay._set_meter_query(text, text, name) IS 'Internal of set_meter_query().';

CREATE OR REPLACE FUNCTION qzpay._counted_usage(p_meter uuid, p_tenant uuid, p_customer uuid, p_period_start timestamptz, p_to timestamptz, OUT quantity numeric, OUT events bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_mark qzpay.usage_marks%ROWTYPE;
BEGIN
    SELECT * INTO v_mark FROM qzpay.usage_marks k WHERE k.tenant_id = p_tenant AND k.customer_id = p_customer AND k.meter_id = p_meter AND k.period_start = p_period_start;
    SELECT c.quantity + coalesce(v_mark.quantity, 0), c.events + coalesce(v_mark.events, 0) INTO quantity, events
    FROM qzpay._count_rows(p_meter, p_tenant, p_customer, coalesce(v_mark.counted_until, p_period_start), p_to) c;
END $$;
COMMENT ON FUNCTION qzpay._counted_usage(uuid, uuid, uuid, timestamptz, timestamptz) IS
'Usage of a meter with a query since the start of a period: what was counted up to the mark, and the rows since then.';

CREATE OR REPLACE FUNCTION qzpay._close_counted(p_tenant uuid, p_customer uuid, p_period_start timestamptz, p_period_end timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_meter uuid;
    v_before qzpay.usage_marks%ROWTYPE;
    v_now record;
    v_then record;
    v_late numeric;
BEGIN
    FOR v_meter IN SELECT m.id FROM qzpay.meters m WHERE m.counts_rows ORDER BY m.id LOOP
        SELECT * INTO v_now FROM qzpay._count_rows(v_meter, p_tenant, p_customer, p_period_start, p_period_end);
        v_late := 0;
        SELECT * INTO v_before FROM qzpay.usage_marks k
        WHERE k.tenant_id = p_tenant AND k.customer_id = p_customer AND k.meter_id = v_meter AND k.is_closed AND k.period_start < p_period_start
        ORDER BY k.period_start DESC LIMIT 1;
        IF FOUND THEN
            SELECT * INTO v_then FROM qzpay._count_rows(v_meter, p_tenant, p_customer, v_before.period_start, v_before.counted_until);
            -- Rows may also have gone; no more is taken back than the period has.
            v_late := greatest(v_then.quantity - v_before.quantity, -v_now.quantity);
            UPDATE qzpay.usage_marks k SET quantity = k.quantity + v_late, events = v_then.events
            WHERE k.tenant_id = p_tenant AND k.customer_id = p_customer AND k.meter_id = v_meter AND k.period_start = v_before.period_start;
        END IF;
        CONTINUE WHEN v_now.events = 0 AND v_late = 0;
        INSERT INTO qzpay.usage_marks AS k (tenant_id, customer_id, meter_id, period_start, counted_until, quantity, events, is_closed)
        VALUES (p_tenant, p_customer, v_meter, p_period_start, p_period_end, v_now.quantity, v_now.events, true)
        ON CONFLICT (tenant_id, customer_id, meter_id, period_start)
            DO UPDATE SET counted_until = EXCLUDED.counted_until, quantity = EXCLUDED.quantity, events = EXCLUDED.events, is_closed = true;
        INSERT INTO qzpay.usage_totals AS t (tenant_id, customer_id, meter_id, period_start, shard, quantity, events, gauge)
        VALUES (p_tenant, p_customer, v_meter, p_period_start, 0, v_now.quantity + v_late, v_now.events, true)
        ON CONFLICT (tenant_id, customer_id, meter_id, period_start, shard) DO UPDATE SET quantity = EXCLUDED.quantity, events = EXCLUDED.events;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._close_counted(uuid, uuid, timestamptz, timestamptz) IS
'Counts the rows of meters with a query for a usage period that ends, all of it, whatever was marked before: a transaction may commit rows behind the mark. What has come or gone since the period before was closed is added here.';

CREATE OR REPLACE FUNCTION qzpay._raise_reached_alerts(p_tenant uuid, p_customer uuid, p_meter uuid, p_period_start timestamptz, p_total numeric) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._raise_usage_alert(p_tenant, p_customer, p_meter, r.period_start, r.period_end, t.threshold, r.limit_type = 'hard', p_total, r.included)
    FROM qzpay._usage_rules(p_customer) r
    CROSS JOIN LATERAL (SELECT p.percent::integer AS threshold FROM jsonb_array_elements_text(qzpay.setting('usage_alert_percents')) p (percent) WHERE r.included > 0 AND 100 * p_total >= p.percent::integer * r.included
                        UNION ALL SELECT 101 WHERE r.limit_type <> 'hard' AND p_total > r.included) t
    WHERE r.meter_id = p_meter AND r.period_start = p_period_start AND p_total > 0
      AND NOT EXISTS (SELECT FROM qzpay.usage_alerts a WHERE a.tenant_id = p_tenant AND a.customer_id = p_customer AND a.meter_id = p_meter AND a.period_start = p_period_start AND a.threshold = t.threshold);
END $$;
COMMENT ON FUNCTION qzpay._raise_reached_alerts(uuid, uuid, uuid, timestamptz, numeric) IS
'Raises what thresholds of the included quantity the total of a running usage period has reached, each once, by the rule by which record_usage() does.';

CREATE OR REPLACE FUNCTION qzpay._job_usage_marks(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
    v_until timestamptz;
    v_more record;
    v_total numeric;
    v_done bigint := 0;
BEGIN
    FOR v_row IN
        SELECT e.tenant_id, e.customer_id, m.id AS meter_id, e.usage_start, coalesce(k.counted_until, e.usage_start) AS counted_until,
               least(e.usage_end, qzpay._real_now() - interval '1 hour') AS until
        FROM qzpay.meters m
        CROSS JOIN qzpay.entitlements e
        LEFT JOIN qzpay.usage_marks k ON k.tenant_id = e.tenant_id AND k.customer_id = e.customer_id AND k.meter_id = m.id AND k.period_start = e.usage_start
        WHERE m.counts_rows AND e.usage_start IS NOT NULL AND e.test_clock_id IS NULL
          AND coalesce(k.counted_until, e.usage_start) < least(e.usage_end, qzpay._real_now() - interval '1 hour') - interval '1 hour'
        ORDER BY 5 LIMIT p_limit
    LOOP
        v_until := v_row.until;
        SELECT * INTO v_more FROM qzpay._count_rows(v_row.meter_id, v_row.tenant_id, v_row.customer_id, v_row.counted_until, v_until);
        INSERT INTO qzpay.usage_marks AS k (tenant_id, customer_id, meter_id, period_start, counted_until, quantity, events)
        VALUES (v_row.tenant_id, v_row.customer_id, v_row.meter_id, v_row.usage_start, v_until, v_more.quantity, v_more.events)
        ON CONFLICT (tenant_id, customer_id, meter_id, period_start)
            DO UPDATE SET counted_until = EXCLUDED.counted_until, quantity = k.quantity + EXCLUDED.quantity, events = k.events + EXCLUDED.events WHERE NOT k.is_closed
        RETURNING k.quantity INTO v_total;
        IF v_more.events > 0 THEN
            PERFORM qzpay._raise_reached_alerts(v_row.tenant_id, v_row.customer_id, v_row.meter_id, v_row.usage_start, v_total);
        END IF;
        v_done := v_done + 1;
    END LOOP;
    RETURN v_done;
END $$;
COMMENT ON FUNCTION qzpay._job_usage_marks(integer) IS
'Job: moves the marks of meters with a query up to an hour ago, so that a live total counts only what is newer. A mark may miss rows that are committed late; the bill does not go by it. Raises the alerts that the usage up to the mark has reached.';
