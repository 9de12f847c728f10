-- Recording usage. Each takes the customer's id, or the external id (or the id as text).

CREATE OR REPLACE FUNCTION qzpay.record_usage(customer uuid, meter text, quantity numeric, idempotency_key text, occurred_at timestamptz DEFAULT NULL,
        action text DEFAULT 'increment', properties jsonb DEFAULT NULL, amount numeric DEFAULT NULL, late text DEFAULT 'refuse') RETURNS qzpay.usage_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_record_usage';
COMMENT ON FUNCTION qzpay.record_usage(uuid, text, numeric, text, timestamptz, text, jsonb, numeric, text) IS
'Records usage of a meter in the transaction of the caller. The same key never counts twice (status duplicate), while the usage period that counts it is open, and for 35 days at least; NULL: no such protection. '
'occurred_at defaults to the customer''s now. action set states the total of the usage period instead of adding to it. '
'late says what becomes of usage of a period that is closed: refuse, or next: it keeps its time, counts in the running period and is named on its invoice line. '
'A meter that counts distinct values (aggregation unique) takes the value from its property and leaves the quantity aside; total is the mean where it averages. '
'amount is what the event is worth, in minor units of the currency it is billed in, for charges that rate amounts (percentage, graduated_percentage, dynamic); without it that is the quantity. '
'Thresholds emit usage.warning, usage.limit.reached and usage.overage.started, each once per period. '
'Errors: QZ401 unknown meter, QZ404 unknown customer, QZ501 the key was used for other content, QZ502 more than five minutes in the future, QZ503 the usage period is closed and late is not next, or the time lies more than 366 days before the customer''s contract, QZ504 quantity or amount negative or not finite, 22003 quantity from 10^15 or with more than 18 decimals, '
'QZ505 a hard limit would be exceeded (in a trial every limit is hard), QZ204 increments and readings mixed, QZ403 paused without access, 22023 the property to count is missing or the properties hold what passes for a card number, 40001 the contract changed meanwhile.';

CREATE OR REPLACE FUNCTION qzpay.record_usage(customer text, meter text, quantity numeric, idempotency_key text, occurred_at timestamptz DEFAULT NULL,
        action text DEFAULT 'increment', properties jsonb DEFAULT NULL, amount numeric DEFAULT NULL, late text DEFAULT 'refuse') RETURNS qzpay.usage_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_record_usage_ref';
COMMENT ON FUNCTION qzpay.record_usage(text, text, numeric, text, timestamptz, text, jsonb, numeric, text) IS 'record_usage() by external id.';

CREATE OR REPLACE FUNCTION qzpay.record_usage_batch(events jsonb) RETURNS TABLE (index integer, status text, error text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1000
    AS 'MODULE_PATHNAME', 'qzpay_record_usage_batch';
COMMENT ON FUNCTION qzpay.record_usage_batch(jsonb) IS
'record_usage() for an array of objects with the keys customer, meter, quantity, idempotency_key, occurred_at, action, properties, amount, late. One row per element, from 0: recorded, duplicate or refused; '
'error is the SQLSTATE and the reason. What is wrong with one element does not lose the others. Of one key the first element counts. '
'Increments are counted first, then, for each customer and meter as they came, readings and what a hard limit decides; thresholds are told with the total of the batch. '
'Two batches with the same keys wait for each other, in whatever order they name them, and never both.';

CREATE OR REPLACE FUNCTION qzpay._usage_rules(p_customer uuid) RETURNS TABLE (meter_id uuid, period_start timestamptz, period_end timestamptz, included numeric,
        limit_type text, charge_id uuid, in_trial boolean)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 10
    AS 'MODULE_PATHNAME', 'qzpay_usage_rules';
COMMENT ON FUNCTION qzpay._usage_rules(uuid) IS
'For each active meter: the customer''s usage period of now, the quantity free in it (NULL: unlimited), what happens beyond, and the charge that bills it.';

CREATE OR REPLACE FUNCTION qzpay._await_usage(p_tenants uuid[], p_customers uuid[], p_period_starts timestamptz[]) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_await_usage';
COMMENT ON FUNCTION qzpay._await_usage(uuid[], uuid[], timestamptz[]) IS
'Waits for every other transaction that has written to these customers'' totals of these usage periods and has not ended. '
'40001 in REPEATABLE READ and SERIALIZABLE where the transaction''s snapshot misses some of it.';

CREATE OR REPLACE FUNCTION qzpay._close_usage(p_tenants uuid[], p_customers uuid[], p_period_starts timestamptz[], p_period_ends timestamptz[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
BEGIN
    PERFORM FROM qzpay.entitlements e
    WHERE (e.tenant_id, e.customer_id) IN (SELECT k.tenant_id, k.customer_id FROM unnest(p_tenants, p_customers) AS k (tenant_id, customer_id))
    ORDER BY e.tenant_id, e.customer_id FOR NO KEY UPDATE;
    PERFORM qzpay._await_usage(p_tenants, p_customers, p_period_starts);
    IF EXISTS (SELECT FROM qzpay.meters m WHERE m.counts_rows) THEN
        PERFORM qzpay._close_counted(k.tenant_id, k.customer_id, k.period_start, k.period_end)
        FROM unnest(p_tenants, p_customers, p_period_starts, p_period_ends) AS k (tenant_id, customer_id, period_start, period_end) WHERE k.period_start < k.period_end;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._close_usage(uuid[], uuid[], timestamptz[], timestamptz[]) IS
'Before a run reads the totals of usage periods that it closes: from here on nobody adds to them, and whoever had begun to has ended. '
'The transaction that calls it moves the customers'' usage periods on; until it ends, record_usage() for them waits.';

CREATE OR REPLACE FUNCTION qzpay._make_usage_partition(p_month date) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET client_min_messages = warning AS $$
DECLARE
    v_month timestamp := date_trunc('month', p_month::timestamp);
    v_name name := 'usage_events_' || to_char(v_month, 'YYYYMM');
BEGIN
    IF to_regclass('qzpay.' || v_name) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Two at once: the second waits here and then finds it.
    PERFORM pg_advisory_xact_lock(hashtextextended('qzpay.usage_events', 0));
    IF to_regclass('qzpay.' || v_name) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Attaching takes a weaker lock on the parent than creating a partition of it.
    EXECUTE format('CREATE TABLE qzpay.%I (LIKE qzpay.usage_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_name);
    EXECUTE format('ALTER TABLE qzpay.%I ADD CONSTRAINT %I UNIQUE (tenant_id, customer_id, id)', v_name, v_name || '_key');
    PERFORM qzpay._secure_table(format('qzpay.%I', v_name)::regclass);
    EXECUTE format('ALTER TABLE qzpay.usage_events ATTACH PARTITION qzpay.%I FOR VALUES FROM (%L) TO (%L)',
                   v_name, v_month::timestamptz, (v_month + interval '1 month')::timestamptz);
END $$;
COMMENT ON FUNCTION qzpay._make_usage_partition(date) IS
'Makes the partition of usage_events for the month (UTC) of this day, if it isn''t there: unique keys, row security of its own, no rights of its own. With the dropping of old ones the only DDL outside of install() and upgrade().';

CREATE OR REPLACE FUNCTION qzpay._usage_late_hours() RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (qzpay.setting('usage_late_window') #>> '{}')::integer;
END $$;
COMMENT ON FUNCTION qzpay._usage_late_hours() IS 'The setting usage_late_window, for subscriptions that are being made.';

CREATE OR REPLACE FUNCTION qzpay._usage_closes_at(p_status text, p_usage_end timestamptz, p_late_hours integer) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_late_hours > 0 AND p_status <> 'trialing' THEN p_usage_end + p_late_hours * interval '1 hour' ELSE p_usage_end END
$$;
COMMENT ON FUNCTION qzpay._usage_closes_at(text, timestamptz, integer) IS 'When a usage period that ends at p_usage_end is closed and billed: after the window for late reports, which a trial has not.';

CREATE OR REPLACE FUNCTION qzpay._forget_usage(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' AS $$
DECLARE
    v_keep integer := qzpay._retention_months('usage_retention_months');
    v_month timestamptz;
    v_done bigint := 0;
BEGIN
    FOR v_month IN
        SELECT to_timestamp(substr(c.relname, 14), 'YYYYMM') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('qzpay.usage_events') AND c.relname ~ '^usage_events_[0-9]{6}$'
          AND to_timestamp(substr(c.relname, 14), 'YYYYMM') < date_trunc('month', qzpay._recorded_at()) - v_keep * interval '1 month'
        ORDER BY 1
    LOOP
        EXIT WHEN v_done >= p_limit;
        -- A key has to be found as long as its event could be reported again: until the usage period that counts it is closed.
        CONTINUE WHEN EXISTS (
            SELECT FROM qzpay.usage_events e
            LEFT JOIN qzpay.entitlements n ON n.tenant_id = e.tenant_id AND n.customer_id = e.customer_id
            WHERE e.recorded_at >= v_month AND e.recorded_at < v_month + interval '1 month'
              AND e.period_start >= coalesce(n.usage_start, qzpay.now(e.customer_id) - n.usage_count * ('1 ' || n.usage_unit)::interval + interval '1 microsecond'));
        INSERT INTO qzpay.usage_archived AS a (tenant_id, customer_id, meter_id, period_start, quantity, events, amount)
        SELECT e.tenant_id, e.customer_id, e.meter_id, e.period_start, sum(e.quantity), count(*), sum(coalesce(e.amount, e.quantity))
        FROM qzpay.usage_events e WHERE e.recorded_at >= v_month AND e.recorded_at < v_month + interval '1 month'
        GROUP BY e.tenant_id, e.customer_id, e.meter_id, e.period_start
        ON CONFLICT (tenant_id, customer_id, meter_id, period_start)
            DO UPDATE SET quantity = a.quantity + EXCLUDED.quantity, events = a.events + EXCLUDED.events, amount = a.amount + EXCLUDED.amount;
        DELETE FROM qzpay.usage_values v
        USING (SELECT DISTINCT e.tenant_id, e.customer_id, e.meter_id, e.period_start FROM qzpay.usage_events e JOIN qzpay.meters m ON m.id = e.meter_id AND m.aggregation = 'unique'
               WHERE e.recorded_at >= v_month AND e.recorded_at < v_month + interval '1 month') e
        WHERE v.tenant_id = e.tenant_id AND v.customer_id = e.customer_id AND v.meter_id = e.meter_id AND v.period_start = e.period_start;
        PERFORM qzpay._drop_usage_partition(v_month::date);
        v_done := v_done + 1;
    END LOOP;
    RETURN v_done;
END $$;
COMMENT ON FUNCTION qzpay._forget_usage(integer) IS
'Drops up to p_limit months of usage events that the setting usage_retention_months no longer keeps, oldest first, after adding what they counted to usage_archived. '
'A month with an event of a usage period that is still open is kept: so a key never counts twice while its period is open, nor in the months kept. Returns how many were dropped.';

CREATE OR REPLACE FUNCTION qzpay._drop_usage_partition(p_month date) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s' AS $$
BEGIN
    -- Whoever may call this may not choose what is lost.
    IF p_month >= coalesce(date_trunc('month', qzpay._recorded_at()) - qzpay._retention_months('usage_retention_months') * interval '1 month', '-infinity') THEN
        RAISE EXCEPTION 'usage events of % are kept', to_char(p_month, 'YYYY-MM') USING ERRCODE = 'QZ204';
    END IF;
    -- This waits for whoever reads events and makes others wait behind it: not for long, the job comes again.
    EXECUTE format('DROP TABLE qzpay.%I', 'usage_events_' || to_char(p_month, 'YYYYMM'));
END $$;
COMMENT ON FUNCTION qzpay._drop_usage_partition(date) IS 'Drops a month of usage events, if the setting usage_retention_months does not keep it. Errors: QZ204 it does, 55P03 somebody has been reading events for more than two seconds.';

CREATE OR REPLACE FUNCTION qzpay._note_late_usage(p_tenant uuid, p_customer uuid, p_meter uuid, p_period_start timestamptz, p_event uuid, p_occurred_at timestamptz,
        p_quantity numeric) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.usage_late (tenant_id, customer_id, meter_id, period_start, event_id, occurred_at, quantity)
    VALUES (p_tenant, p_customer, p_meter, p_period_start, p_event, p_occurred_at, p_quantity);
END $$;
COMMENT ON FUNCTION qzpay._note_late_usage(uuid, uuid, uuid, timestamptz, uuid, timestamptz, numeric) IS 'Marks an event that was counted in a later usage period than its own.';

CREATE OR REPLACE FUNCTION qzpay._usage_customer(p_external_id text) RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer uuid;
BEGIN
    SELECT c.id INTO v_customer FROM qzpay.customers c WHERE c.tenant_id = qzpay.current_tenant() AND c.external_id = p_external_id;
    -- By it the wrapper has found this tenant.
    RETURN coalesce(v_customer, p_external_id::uuid);
END $$;
COMMENT ON FUNCTION qzpay._usage_customer(text) IS 'The customer of this external id, or id as text, inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._raise_usage_alert(p_tenant uuid, p_customer uuid, p_meter uuid, p_period_start timestamptz, p_period_end timestamptz,
        p_threshold integer, p_hard boolean, p_current numeric, p_limit numeric) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_at timestamptz := qzpay.now(p_customer);
    v_code text;
    v_data jsonb;
    v_key text := 'usage:' || p_meter || ':' || extract(epoch FROM p_period_start) || ':' || p_threshold;
BEGIN
    INSERT INTO qzpay.usage_alerts (tenant_id, customer_id, meter_id, period_start, threshold, raised_at)
    VALUES (p_tenant, p_customer, p_meter, p_period_start, p_threshold, v_at)
    ON CONFLICT (tenant_id, customer_id, meter_id, period_start, threshold) DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT m.code INTO STRICT v_code FROM qzpay.meters m WHERE m.id = p_meter;
    v_data := jsonb_build_object('customerId', p_customer, 'meter', v_code, 'current', p_current, 'limit', p_limit,
                                 'periodStart', p_period_start, 'periodEnd', p_period_end, 'emailSentByPackage', false);
    IF p_threshold = 101 THEN
        PERFORM qzpay._emit_event(p_tenant, 'usage.overage.started', 'customer', p_customer, p_customer, v_data, v_key, v_at);
        RETURN;
    END IF;
    PERFORM qzpay._emit_event(p_tenant, 'usage.warning', 'customer', p_customer, p_customer, v_data || jsonb_build_object('percent', p_threshold), v_key, v_at);
    IF p_threshold = 100 AND p_hard THEN
        PERFORM qzpay._emit_event(p_tenant, 'usage.limit.reached', 'customer', p_customer, p_customer, v_data, v_key || ':hard', v_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._raise_usage_alert(uuid, uuid, uuid, timestamptz, timestamptz, integer, boolean, numeric, numeric) IS
'Notes that a threshold (percent of the included quantity; 101: overage began) was reached in a usage period and emits its event, once.';

CREATE OR REPLACE FUNCTION qzpay.usage_summary(customer uuid)
RETURNS TABLE (meter text, name text, unit_name text, period_start timestamptz, period_end timestamptz, used numeric, included numeric, percent_used numeric,
               remaining numeric, overage numeric, limit_type text, amount bigint, currency text)
    LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.usage_summary(uuid) IS
'Usage of the running period, a row per active meter: what was used (the mean where it averages), what is included (NULL: unlimited), percent_used of it (100 where nothing is), '
'and what the usage would cost (minor units), as it stands, at the period''s end: nothing in a trial, NULL where it is more than an amount can be, which no bill could state either (it would be set aside with 22003).';

CREATE OR REPLACE FUNCTION qzpay.usage_summary(customer text)
RETURNS TABLE (meter text, name text, unit_name text, period_start timestamptz, period_end timestamptz, used numeric, included numeric, percent_used numeric,
               remaining numeric, overage numeric, limit_type text, amount bigint, currency text)
    LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer_ref';
COMMENT ON FUNCTION qzpay.usage_summary(text) IS 'usage_summary() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._estimate_usage(p_model text, p_pricing jsonb, p_included numeric, p_quantity numeric, p_events bigint, p_amount numeric, p_is_reading boolean,
        p_tenant uuid, p_customer uuid, p_meter uuid, p_period_start timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay.round_amount(qzpay._rate_period(p_model, p_pricing, p_included, p_quantity, p_events, p_amount, p_is_reading, p_tenant, p_customer, p_meter, p_period_start),
                              coalesce(p_pricing ->> 'rounding', 'half_up'));
EXCEPTION WHEN numeric_value_out_of_range THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._estimate_usage(text, jsonb, numeric, numeric, bigint, numeric, boolean, uuid, uuid, uuid, timestamptz) IS
'_rate_period() rounded to minor units as the charge says; NULL where that is more than an amount can be, so that one meter does not hide the others. Unsafe in parallel: it catches the error in a subtransaction.';

CREATE OR REPLACE FUNCTION qzpay._usage_summary(p_customer uuid)
RETURNS TABLE (meter text, name text, unit_name text, period_start timestamptz, period_end timestamptz, used numeric, included numeric, percent_used numeric,
               remaining numeric, overage numeric, limit_type text, amount bigint, currency text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT m.code, m.name, m.unit_name, r.period_start, r.period_end, CASE WHEN m.aggregation = 'avg' AND t.events > 0 THEN t.used / t.events ELSE t.used END, r.included,
           CASE WHEN r.included = 0 THEN 100 ELSE round(100 * t.used / r.included) END,
           greatest(r.included - t.used, 0), coalesce(greatest(t.used - r.included, 0), 0), r.limit_type,
           CASE WHEN c.id IS NOT NULL AND NOT r.in_trial
                THEN qzpay._estimate_usage(c.model, x.pricing, r.included, t.used, t.events, t.amount, t.gauge OR m.aggregation NOT IN ('sum', 'count'), u.tenant_id, u.id, m.id, r.period_start)
                ELSE 0 END,
           coalesce(c.currency, u.currency)
    FROM qzpay._usage_rules(p_customer) r
    JOIN qzpay.meters m ON m.id = r.meter_id
    JOIN qzpay.customers u ON u.tenant_id = qzpay.current_tenant() AND u.id = p_customer
    LEFT JOIN qzpay.charges c ON c.id = r.charge_id
    CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN c.pricing ? 'minimum_amount' THEN (
            SELECT qzpay._pricing_of_part(c.pricing, s.anchor, s.usage_unit, s.usage_count, s.timezone, greatest(r.period_start, i.valid_from), r.period_end)
            FROM qzpay.subscriptions s JOIN qzpay.subscription_items i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id
            WHERE s.tenant_id = u.tenant_id AND s.customer_id = u.id AND i.product_id = c.product_id AND i.valid_until >= r.period_end AND s.anchor IS NOT NULL
            ORDER BY s.started_at DESC, s.id DESC, i.valid_from DESC LIMIT 1) END, c.pricing) AS pricing) x
    CROSS JOIN LATERAL (SELECT coalesce(sum(t.quantity), 0) AS used, coalesce(sum(t.events), 0)::bigint AS events,
                               CASE WHEN bool_or(t.amount IS NOT NULL) THEN sum(coalesce(t.amount, t.quantity)) END AS amount, coalesce(bool_or(t.gauge), false) AS gauge
                        FROM (SELECT k.quantity, k.events, k.amount, k.gauge FROM qzpay.usage_totals k
                              WHERE k.tenant_id = u.tenant_id AND k.customer_id = u.id AND k.meter_id = r.meter_id AND k.period_start = r.period_start AND NOT m.counts_rows
                              UNION ALL
                              SELECT k.quantity, k.events, NULL, true
                              FROM qzpay._counted_usage(m.id, u.tenant_id, u.id, r.period_start, least(r.period_end, qzpay.now(p_customer) + interval '1 microsecond')) k
                              WHERE m.counts_rows) t) t
    ORDER BY m.code;
END $$;
COMMENT ON FUNCTION qzpay._usage_summary(uuid) IS 'Internal of usage_summary(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._usage_summary(p_external_id text)
RETURNS TABLE (meter text, name text, unit_name text, period_start timestamptz, period_end timestamptz, used numeric, included numeric, percent_used numeric,
               remaining numeric, overage numeric, limit_type text, amount bigint, currency text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT s.* FROM qzpay._usage_summary(qzpay._usage_customer(p_external_id)) s;
END $$;
COMMENT ON FUNCTION qzpay._usage_summary(text) IS 'Internal of usage_summary() by external id, or by id as text.';
