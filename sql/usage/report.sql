-- What was used, read again: by time, by dimension, against limits, and from an invoice line down to its events.

CREATE OR REPLACE FUNCTION qzpay._usage_grouped(p_customer uuid, p_meter text, p_from timestamptz, p_to timestamptz, p_unit text, p_dimensions text[])
RETURNS TABLE (bucket timestamptz, dimensions jsonb, quantity numeric, events bigint)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_tenant uuid := qzpay.current_tenant();
    v_meter qzpay.meters%ROWTYPE;
    v_zone text;
    v_strange text;
BEGIN
    SELECT c.timezone INTO STRICT v_zone FROM qzpay.customers c WHERE c.tenant_id = v_tenant AND c.id = p_customer;
    SELECT * INTO v_meter FROM qzpay.meters m WHERE m.code = p_meter;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown meter "%"', p_meter USING ERRCODE = 'QZ401', HINT = 'The meters of the catalog are listed in qzpay.meters.';
    END IF;
    SELECT d INTO v_strange FROM unnest(p_dimensions) d WHERE d <> ALL (v_meter.dimensions) OR d IS NULL LIMIT 1;
    IF FOUND THEN
        -- What isn't declared may be anything, down to one value per event: no report, and perhaps nobody else's business.
        RAISE EXCEPTION 'meter "%" has no dimension "%"', p_meter, v_strange USING ERRCODE = 'QZ401',
            HINT = CASE WHEN v_meter.dimensions = '{}' THEN 'The catalog declares none for it.' ELSE 'Its dimensions are ' || array_to_string(v_meter.dimensions, ', ') || '.' END;
    END IF;
    IF v_meter.counts_rows THEN
        RETURN QUERY
        SELECT b.bucket, NULL::jsonb, c.quantity, c.events
        FROM (SELECT u.bucket, greatest(u.bucket, p_from) AS since, least(u.bucket_end, p_to) AS until FROM qzpay._usage_buckets(p_unit, p_from, p_to, v_zone) u WHERE p_unit IS NOT NULL
              UNION ALL SELECT NULL, p_from, p_to WHERE p_unit IS NULL) b
        CROSS JOIN LATERAL qzpay._count_rows(v_meter.id, v_tenant, p_customer, b.since, b.until) c
        WHERE c.events > 0;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT date_trunc(p_unit, e.occurred_at, v_zone), d.dimensions,
           CASE v_meter.aggregation
               WHEN 'max' THEN max(e.reading)
               WHEN 'last' THEN (array_agg(e.reading ORDER BY e.recorded_at DESC, e.id DESC) FILTER (WHERE v_meter.aggregation = 'last'))[1]
               WHEN 'unique' THEN count(DISTINCT e.properties -> v_meter.value_property) FILTER (WHERE v_meter.aggregation = 'unique')
               WHEN 'avg' THEN sum(e.quantity) / count(*)
               ELSE sum(e.quantity) END,
           count(*)
    FROM qzpay.usage_events e
    CROSS JOIN LATERAL (SELECT CASE WHEN p_dimensions IS NOT NULL
                                    THEN (SELECT jsonb_object_agg(k, e.properties -> k) FROM unnest(p_dimensions) k) END AS dimensions) d
    WHERE e.tenant_id = v_tenant AND e.customer_id = p_customer AND e.meter_id = v_meter.id AND e.occurred_at >= p_from AND e.occurred_at < p_to
    GROUP BY 1, 2;
END $$;
COMMENT ON FUNCTION qzpay._usage_grouped(uuid, text, timestamptz, timestamptz, text, text[]) IS
'Usage that occurred in [p_from, p_to) by unit of time in the customer''s zone (NULL: all of it) and by the values of dimensions (NULL: all of them), aggregated as the meter does within each group. '
'Groups of a meter that takes a maximum, a last value, a mean or distinct values do not add up to the whole.';

CREATE OR REPLACE FUNCTION qzpay.usage_history(customer uuid, meter text, unit text DEFAULT 'day', "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL,
        dimensions text[] DEFAULT NULL)
RETURNS TABLE (bucket_start timestamptz, bucket_end timestamptz, quantity numeric, events bigint, dimension_values jsonb)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.usage_history(uuid, text, text, timestamptz, timestamptz, text[]) IS
'What a meter counted per hour, day, week (from Monday) or month of the customer''s zone, for usage that occurred from "from" (default: 30 days before "to") until before "to" (default: the customer''s now). '
'Each bucket aggregates as the meter does: what was added, the greatest or last reading, the mean, the number of distinct values. Buckets without usage are rows of 0 (NULL for max, last and avg). '
'With dimensions (of those the meter declares) there is a row per bucket and combination of values that occurred, and none of 0. Errors: QZ401 unknown meter or dimension, 22023 bad unit, or more than 10000 buckets.';

CREATE OR REPLACE FUNCTION qzpay.usage_history(customer text, meter text, unit text DEFAULT 'day', "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL,
        dimensions text[] DEFAULT NULL)
RETURNS TABLE (bucket_start timestamptz, bucket_end timestamptz, quantity numeric, events bigint, dimension_values jsonb)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer_ref';
COMMENT ON FUNCTION qzpay.usage_history(text, text, text, timestamptz, timestamptz, text[]) IS 'usage_history() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._usage_buckets(p_unit text, p_from timestamptz, p_to timestamptz, p_zone text) RETURNS TABLE (bucket timestamptz, bucket_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_unit IS NULL OR p_unit NOT IN ('hour', 'day', 'week', 'month') THEN
        RAISE EXCEPTION 'unknown unit "%"', p_unit USING ERRCODE = '22023', HINT = 'The units are hour, day, week and month.';
    END IF;
    IF NOT isfinite(p_from) OR NOT isfinite(p_to) OR (p_to - p_from) / 10000 > (CASE p_unit WHEN 'hour' THEN interval '1 hour' ELSE interval '24 hours' END) THEN
        RAISE EXCEPTION 'too many buckets from % to %', p_from, p_to USING ERRCODE = '22023';
    END IF;
    RETURN QUERY
    -- Hours are counted in real time, so that a day of 23 or 25 of them has as many buckets.
    SELECT g, g + interval '1 hour'
    FROM generate_series(date_trunc('hour', p_from, p_zone), p_to, interval '1 hour') g WHERE p_unit = 'hour' AND g < p_to
    UNION ALL
    SELECT g AT TIME ZONE p_zone, (g + ('1 ' || p_unit)::interval) AT TIME ZONE p_zone
    FROM generate_series(date_trunc(p_unit, p_from AT TIME ZONE p_zone), p_to AT TIME ZONE p_zone, ('1 ' || p_unit)::interval) g
    WHERE p_unit <> 'hour' AND g AT TIME ZONE p_zone < p_to;
END $$;
COMMENT ON FUNCTION qzpay._usage_buckets(text, timestamptz, timestamptz, text) IS
'The hours, days, weeks or months of a zone that [p_from, p_to) touches. 22023 for an unknown unit, infinite bounds or more than 10000 of them.';

CREATE OR REPLACE FUNCTION qzpay._usage_history(p_customer uuid, p_meter text, p_unit text, p_from timestamptz, p_to timestamptz, p_dimensions text[])
RETURNS TABLE (bucket_start timestamptz, bucket_end timestamptz, quantity numeric, events bigint, dimension_values jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_to timestamptz := coalesce(p_to, qzpay.now(p_customer));
    v_from timestamptz := coalesce(p_from, v_to - 30 * interval '24 hours');
    v_zone text;
    v_zero numeric;
BEGIN
    SELECT c.timezone INTO STRICT v_zone FROM qzpay.customers c WHERE c.tenant_id = qzpay.current_tenant() AND c.id = p_customer;
    SELECT CASE WHEN m.aggregation NOT IN ('max', 'last', 'avg') THEN 0 END INTO v_zero FROM qzpay.meters m WHERE m.code = p_meter;
    RETURN QUERY
    SELECT b.bucket, b.bucket_end, coalesce(k.quantity, v_zero), coalesce(k.events, 0), k.dimensions
    FROM qzpay._usage_buckets(p_unit, v_from, v_to, v_zone) b
    LEFT JOIN qzpay._usage_grouped(p_customer, p_meter, v_from, v_to, p_unit, p_dimensions) k ON k.bucket = b.bucket
    WHERE p_dimensions IS NULL OR k.events > 0
    ORDER BY b.bucket, k.dimensions;
END $$;
COMMENT ON FUNCTION qzpay._usage_history(uuid, text, text, timestamptz, timestamptz, text[]) IS 'Internal of usage_history(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._usage_history(p_external_id text, p_meter text, p_unit text, p_from timestamptz, p_to timestamptz, p_dimensions text[])
RETURNS TABLE (bucket_start timestamptz, bucket_end timestamptz, quantity numeric, events bigint, dimension_values jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT h.* FROM qzpay._usage_history(qzpay._usage_customer(p_external_id), p_meter, p_unit, p_from, p_to, p_dimensions) h;
END $$;
COMMENT ON FUNCTION qzpay._usage_history(text, text, text, timestamptz, timestamptz, text[]) IS 'Internal of usage_history() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay.usage_breakdown(customer uuid, meter text, dimensions text[] DEFAULT NULL, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL)
RETURNS TABLE (dimension_values jsonb, quantity numeric, events bigint)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.usage_breakdown(uuid, text, text[], timestamptz, timestamptz) IS
'Usage of a meter by the values of its dimensions (NULL: all that it declares), greatest first, for usage that occurred from "from" (default: start of the running period) until before "to" '
'(default: the customer''s now). A value that events lack is null. Groups of a meter that takes a maximum, a last value, a mean or distinct values do not add up. Error QZ401 unknown meter or dimension.';

CREATE OR REPLACE FUNCTION qzpay.usage_breakdown(customer text, meter text, dimensions text[] DEFAULT NULL, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL)
RETURNS TABLE (dimension_values jsonb, quantity numeric, events bigint)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer_ref';
COMMENT ON FUNCTION qzpay.usage_breakdown(text, text, text[], timestamptz, timestamptz) IS 'usage_breakdown() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._usage_breakdown(p_customer uuid, p_meter text, p_dimensions text[], p_from timestamptz, p_to timestamptz)
RETURNS TABLE (dimension_values jsonb, quantity numeric, events bigint)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_dimensions text[] := coalesce(p_dimensions, (SELECT m.dimensions FROM qzpay.meters m WHERE m.code = p_meter));
    v_from timestamptz := coalesce(p_from, (SELECT min(r.period_start) FROM qzpay._usage_rules(p_customer) r));
BEGIN
    RETURN QUERY
    -- The end of the range is exclusive, but not for what happens right now.
    SELECT coalesce(g.dimensions, '{}'), g.quantity, g.events
    FROM qzpay._usage_grouped(p_customer, p_meter, v_from, coalesce(p_to, qzpay.now(p_customer) + interval '1 microsecond'), NULL, v_dimensions) g
    ORDER BY g.quantity DESC, g.dimensions;
END $$;
COMMENT ON FUNCTION qzpay._usage_breakdown(uuid, text, text[], timestamptz, timestamptz) IS 'Internal of usage_breakdown(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._usage_breakdown(p_external_id text, p_meter text, p_dimensions text[], p_from timestamptz, p_to timestamptz)
RETURNS TABLE (dimension_values jsonb, quantity numeric, events bigint)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT b.* FROM qzpay._usage_breakdown(qzpay._usage_customer(p_external_id), p_meter, p_dimensions, p_from, p_to) b;
END $$;
COMMENT ON FUNCTION qzpay._usage_breakdown(text, text, text[], timestamptz, timestamptz) IS 'Internal of usage_breakdown() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay.usage_report(customer uuid, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, unit text DEFAULT 'day')
RETURNS TABLE (meter text, name text, unit_name text, aggregation text, total numeric, events bigint, average numeric, peak numeric, peak_start timestamptz, buckets bigint)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.usage_report(uuid, timestamptz, timestamptz, text) IS
'A row per meter with usage from "from" (default: start of the running period) until before "to" (default: the customer''s now): the total, the average per day (or hour, week, month) rounded to six decimals, '
'the greatest of them, and when that began in the customer''s zone. Days without usage count as 0 in the average of what is added up; elsewhere (max, last, unique, avg) only days with usage do. '
'buckets is how many days the range touches. Errors: 22023 bad unit, or more than 10000 buckets.';

CREATE OR REPLACE FUNCTION qzpay.usage_report(customer text, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, unit text DEFAULT 'day')
RETURNS TABLE (meter text, name text, unit_name text, aggregation text, total numeric, events bigint, average numeric, peak numeric, peak_start timestamptz, buckets bigint)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer_ref';
COMMENT ON FUNCTION qzpay.usage_report(text, timestamptz, timestamptz, text) IS 'usage_report() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._usage_report(p_customer uuid, p_from timestamptz, p_to timestamptz, p_unit text)
RETURNS TABLE (meter text, name text, unit_name text, aggregation text, total numeric, events bigint, average numeric, peak numeric, peak_start timestamptz, buckets bigint)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_from timestamptz := coalesce(p_from, (SELECT min(r.period_start) FROM qzpay._usage_rules(p_customer) r));
    v_to timestamptz := coalesce(p_to, qzpay.now(p_customer) + interval '1 microsecond');
    v_zone text;
    v_buckets bigint;
BEGIN
    SELECT c.timezone INTO STRICT v_zone FROM qzpay.customers c WHERE c.tenant_id = qzpay.current_tenant() AND c.id = p_customer;
    SELECT count(*) INTO v_buckets FROM qzpay._usage_buckets(p_unit, v_from, v_to, v_zone);
    RETURN QUERY
    SELECT m.code, m.name, m.unit_name, m.aggregation, t.quantity, t.events,
           round(CASE WHEN m.aggregation IN ('sum', 'count') THEN b.total / v_buckets ELSE b.mean END, 6), b.peak, b.peak_start, v_buckets
    FROM qzpay.meters m
    JOIN LATERAL qzpay._usage_grouped(p_customer, m.code, v_from, v_to, NULL, NULL) t ON true
    CROSS JOIN LATERAL (
        SELECT sum(g.quantity) AS total, avg(g.quantity) AS mean, max(g.quantity) AS peak, (array_agg(g.bucket ORDER BY g.quantity DESC, g.bucket))[1] AS peak_start
        FROM qzpay._usage_grouped(p_customer, m.code, v_from, v_to, p_unit, NULL) g
    ) b
    ORDER BY m.code;
END $$;
COMMENT ON FUNCTION qzpay._usage_report(uuid, timestamptz, timestamptz, text) IS 'Internal of usage_report(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._usage_report(p_external_id text, p_from timestamptz, p_to timestamptz, p_unit text)
RETURNS TABLE (meter text, name text, unit_name text, aggregation text, total numeric, events bigint, average numeric, peak numeric, peak_start timestamptz, buckets bigint)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT r.* FROM qzpay._usage_report(qzpay._usage_customer(p_external_id), p_from, p_to, p_unit) r;
END $$;
COMMENT ON FUNCTION qzpay._usage_report(text, timestamptz, timestamptz, text) IS 'Internal of usage_report() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay.usage_violations(customer uuid)
RETURNS TABLE (limit_code text, meter text, kind text, scope text, current numeric, limit_value numeric, overage numeric, limit_type text, period_start timestamptz, period_end timestamptz)
    LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.usage_violations(uuid) IS
'What lies over its limit now. kind period: usage of the running period beyond what is included (limit_type none and soft: billed); kind stock: rows that enforce_limit() counts, more than the plan of now allows, '
'per scope where the limit holds per parent row. limit_code is NULL where a meter has a charge but no limit of the catalog. No row: nothing is over.';

CREATE OR REPLACE FUNCTION qzpay.usage_violations(customer text)
RETURNS TABLE (limit_code text, meter text, kind text, scope text, current numeric, limit_value numeric, overage numeric, limit_type text, period_start timestamptz, period_end timestamptz)
    LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer_ref';
COMMENT ON FUNCTION qzpay.usage_violations(text) IS 'usage_violations() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._usage_violations(p_customer uuid)
RETURNS TABLE (limit_code text, meter text, kind text, scope text, current numeric, limit_value numeric, overage numeric, limit_type text, period_start timestamptz, period_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT f.code, s.meter, 'period', NULL, s.used, s.included, s.used - s.included, s.limit_type, s.period_start, s.period_end
    FROM qzpay._usage_summary(p_customer) s
    JOIN qzpay.meters m ON m.code = s.meter
    LEFT JOIN qzpay.features f ON f.meter_id = m.id AND f.kind = 'limit'
    WHERE s.used > s.included
    UNION ALL
    SELECT k.feature_code, NULL, 'stock', nullif(k.scope, ''), k.used, v.value, k.used - v.value, 'hard', NULL, NULL
    FROM (SELECT c.feature_code, c.scope, sum(c.used) AS used FROM qzpay.limit_counters c
          WHERE c.tenant_id = qzpay.current_tenant() AND c.customer_id = p_customer GROUP BY c.feature_code, c.scope) k
    CROSS JOIN LATERAL (SELECT qzpay.feature_limit(p_customer, k.feature_code) AS value OFFSET 0) v
    WHERE k.used > v.value
    ORDER BY 3, 1, 2, 4;
END $$;
COMMENT ON FUNCTION qzpay._usage_violations(uuid) IS 'Internal of usage_violations(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._usage_violations(p_external_id text)
RETURNS TABLE (limit_code text, meter text, kind text, scope text, current numeric, limit_value numeric, overage numeric, limit_type text, period_start timestamptz, period_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT v.* FROM qzpay._usage_violations(qzpay._usage_customer(p_external_id)) v;
END $$;
COMMENT ON FUNCTION qzpay._usage_violations(text) IS 'Internal of usage_violations() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay.invoice_line_events(invoice uuid, line_position integer)
RETURNS TABLE (event_id uuid, occurred_at timestamptz, recorded_at timestamptz, idempotency_key text, quantity numeric, reading numeric, amount numeric, late boolean,
               running_quantity numeric, free_quantity numeric, billed_quantity numeric, rated_amount numeric, properties jsonb)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.invoice_line_events(uuid, integer) IS
'The events behind a usage line, in the order in which they occurred, as they were rated: what each adds, the total after it, how much of it was free and how much billed, and what it adds to the line''s exact amount '
'(minor units, before rounding and before a minimum or maximum of the charge; NULL for pricing models that rate the events'' amounts). late: it was counted here because its own period was closed. '
'Sum of quantity = quantity of the line, as long as its events are kept (setting usage_retention_months). To a file: \copy (SELECT * FROM qzpay.invoice_line_events(…)) TO … CSV HEADER. '
'Errors: QZ404 no such invoice or line, QZ204 the line is not one of metered usage.';

CREATE OR REPLACE FUNCTION qzpay._invoice_line_events(p_invoice uuid, p_line_position integer)
RETURNS TABLE (event_id uuid, occurred_at timestamptz, recorded_at timestamptz, idempotency_key text, quantity numeric, reading numeric, amount numeric, late boolean,
               running_quantity numeric, free_quantity numeric, billed_quantity numeric, rated_amount numeric, properties jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_invoice qzpay.invoices%ROWTYPE;
    v_line qzpay.invoice_lines%ROWTYPE;
    v_charge qzpay.charges%ROWTYPE;
    v_pricing jsonb;
    v_included numeric;
BEGIN
    SELECT * INTO STRICT v_invoice FROM qzpay.invoices i WHERE i.id = p_invoice;
    SELECT * INTO v_line FROM qzpay.invoice_lines l WHERE l.tenant_id = v_invoice.tenant_id AND l.invoice_id = v_invoice.id AND l.position = p_line_position;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'invoice % has no line %', p_invoice, p_line_position USING ERRCODE = 'QZ404';
    END IF;
    IF v_line.kind <> 'usage' OR v_line.meter_id IS NULL THEN
        RAISE EXCEPTION 'line % of invoice % is not one of metered usage', p_line_position, p_invoice USING ERRCODE = 'QZ204';
    END IF;
    SELECT * INTO v_charge FROM qzpay.charges c WHERE c.id = v_line.charge_id;
    IF v_charge.model IN ('flat', 'per_unit', 'graduated', 'volume', 'package') THEN
        v_pricing := v_charge.pricing - ARRAY['minimum_amount', 'maximum_amount'];
    END IF;
    v_included := (v_line.metadata ->> 'included')::numeric;
    RETURN QUERY
    SELECT e.id, e.occurred_at, e.recorded_at, e.idempotency_key, e.quantity, e.reading, e.amount, e.occurred_at < e.period_start,
           e.running, e.free - lag(e.free, 1, 0) OVER w, (e.running - e.free) - lag(e.running - e.free, 1, 0) OVER w,
           CASE WHEN v_pricing IS NOT NULL THEN e.rated - lag(e.rated, 1, 0) OVER w END, e.properties
    FROM (
        SELECT r.*, least(r.running, coalesce(v_included, r.running)) AS free,
               CASE WHEN v_pricing IS NOT NULL THEN qzpay.rate_usage(v_charge.model, v_pricing, greatest(r.running, 0), coalesce(v_included, greatest(r.running, 0))) END AS rated
        FROM (
            SELECT x.*, sum(x.quantity) OVER (ORDER BY x.occurred_at, x.recorded_at, x.id) AS running
            FROM qzpay.usage_events x
            WHERE x.tenant_id = v_invoice.tenant_id AND x.customer_id = v_invoice.customer_id AND x.meter_id = v_line.meter_id AND x.period_start = v_line.period_start
        ) r
    ) e
    WINDOW w AS (ORDER BY e.occurred_at, e.recorded_at, e.id)
    ORDER BY e.occurred_at, e.recorded_at, e.id;
END $$;
COMMENT ON FUNCTION qzpay._invoice_line_events(uuid, integer) IS 'Internal of invoice_line_events(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._csv_field(p_value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_value IS NULL THEN '' WHEN p_value = '' OR p_value ~ '[",\r\n]' OR p_value <> btrim(p_value) THEN '"' || replace(p_value, '"', '""') || '"' ELSE p_value END
$$;
COMMENT ON FUNCTION qzpay._csv_field(text) IS 'A value as a field of CSV (RFC 4180): quoted where it has to be; empty for NULL.';

CREATE OR REPLACE FUNCTION qzpay.invoice_line_events_csv(invoice uuid, line_position integer) RETURNS SETOF text
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.invoice_line_events_csv(uuid, integer) IS
'invoice_line_events() as lines of CSV (RFC 4180) with a header, times in UTC. Text is given as it is: a spreadsheet may take a key that begins with = for a formula. Errors as there.';

CREATE OR REPLACE FUNCTION qzpay._invoice_line_events_csv(p_invoice uuid, p_line_position integer) RETURNS SETOF text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO' AS $$
BEGIN
    RETURN NEXT 'event_id,occurred_at,recorded_at,idempotency_key,quantity,reading,amount,late,running_quantity,free_quantity,billed_quantity,rated_amount,properties';
    RETURN QUERY
    SELECT concat_ws(',', e.event_id, e.occurred_at, e.recorded_at, qzpay._csv_field(e.idempotency_key), e.quantity, coalesce(e.reading::text, ''), coalesce(e.amount::text, ''), e.late::text,
                     e.running_quantity, coalesce(e.free_quantity::text, ''), coalesce(e.billed_quantity::text, ''), coalesce(e.rated_amount::text, ''), qzpay._csv_field(e.properties::text))
    FROM qzpay._invoice_line_events(p_invoice, p_line_position) e;
END $$;
COMMENT ON FUNCTION qzpay._invoice_line_events_csv(uuid, integer) IS 'Internal of invoice_line_events_csv(), inside the tenant''s context.';
