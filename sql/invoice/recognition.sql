-- Deferred revenue becomes revenue day by day: an optional job.

CREATE OR REPLACE FUNCTION qzpay._schedule_revenue(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    INSERT INTO qzpay.revenue_schedules (tenant_id, id, invoice_id, amount, period_start, period_end)
    SELECT i.tenant_id, x.id, i.id, x.amount, coalesce(x.period_start, i.issued_at), coalesce(x.period_end, i.issued_at)
    FROM (SELECT l.tenant_id, l.invoice_id, l.id, l.amount - l.discount_amount - l.tax_included AS amount, l.period_start, l.period_end, l.kind FROM qzpay.invoice_lines l
          UNION ALL
          -- What a note takes of a line gives back the revenue of the line's time, as far as it has been recognised.
          SELECT c.tenant_id, c.invoice_id, c.id, -(c.amount - c.tax_included), c.period_start, c.period_end, c.kind FROM qzpay.credit_note_lines c) x
    JOIN qzpay._line_accounts() k ON k.kind = x.kind AND k.account = 'deferred_revenue'
    JOIN qzpay.invoices i ON i.tenant_id = x.tenant_id AND i.id = x.invoice_id AND i.status <> 'draft'
    WHERE x.amount <> 0 AND NOT EXISTS (SELECT FROM qzpay.revenue_schedules s WHERE s.tenant_id = x.tenant_id AND s.id = x.id)
    LIMIT p_limit
    ON CONFLICT (tenant_id, id) DO NOTHING;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._schedule_revenue(integer) IS 'Puts lines posted to deferred revenue, and what credit notes took of them, on the schedule of recognition. Returns how many.';

CREATE OR REPLACE FUNCTION qzpay.recognize_revenue(at timestamptz DEFAULT NULL, batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_at timestamptz := coalesce(at, date_trunc('day', qzpay.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC');
    v_total bigint := 0;
    v_rows bigint;
BEGIN
    PERFORM qzpay._check_schema_version();
    IF NOT isfinite(v_at) THEN
        RAISE EXCEPTION 'revenue cannot be recognised up to %', v_at USING ERRCODE = '22023';
    ELSIF batch IS NULL OR batch NOT BETWEEN 1 AND 1000000 THEN
        RAISE EXCEPTION 'batch must be from 1 to 1000000, not %', batch USING ERRCODE = '22023';
    END IF;
    WHILE qzpay._schedule_revenue(batch) > 0 LOOP
    END LOOP;
    LOOP
        v_rows := qzpay._recognize_batch(v_at, batch);
        EXIT WHEN v_rows = 0;
        v_total := v_total + v_rows;
    END LOOP;
    RETURN v_total;
END $$;
COMMENT ON FUNCTION qzpay.recognize_revenue(timestamptz, integer) IS
'Moves deferred revenue to revenue for the service given up to an instant (default: this day''s start in UTC): of each line its amount × elapsed ÷ length of its period, rounded, less what was recognised before; '
'of a void invoice nothing. Also the daily job revenue_recognition, which is off until enabled. Returns how many lines moved. Error 22023.';

CREATE OR REPLACE FUNCTION qzpay._recognize_batch(p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_done record;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT s.tenant_id, s.id, s.amount, s.recognized, s.period_start, s.period_end, i.status = 'void' AS is_void
        FROM qzpay.revenue_schedules s JOIN qzpay.invoices i ON i.tenant_id = s.tenant_id AND i.id = s.invoice_id
        WHERE NOT s.done AND s.recognized_at < p_at AND (s.period_start < p_at OR i.status = 'void') ORDER BY s.recognized_at LIMIT p_limit FOR NO KEY UPDATE OF s SKIP LOCKED
    ), moved AS (
        UPDATE qzpay.revenue_schedules s SET recognized = t.target, recognized_at = p_at, done = d.is_void OR d.period_end <= p_at
        FROM due d
        CROSS JOIN LATERAL (SELECT CASE WHEN d.is_void THEN 0 WHEN d.period_end <= p_at THEN d.amount
                                        ELSE d.amount - qzpay.prorate(d.amount, tstzrange(d.period_start, d.period_end), p_at) END AS target) t
        WHERE s.tenant_id = d.tenant_id AND s.id = d.id
        RETURNING s.tenant_id, s.invoice_id, s.recognized - d.recognized AS amount
    ), posted AS (
        INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
        SELECT i.tenant_id, qzpay.uuid_v7(), i.customer_id, i.seller_id, i.livemode, CASE WHEN m.amount > 0 THEN 'deferred_revenue' ELSE 'revenue' END,
               CASE WHEN m.amount > 0 THEN 'revenue' ELSE 'deferred_revenue' END, i.currency, abs(m.amount), 'recognition', i.id, p_at, qzpay._recorded_at()
        FROM (SELECT m.tenant_id, m.invoice_id, sum(m.amount)::bigint AS amount FROM moved m GROUP BY m.tenant_id, m.invoice_id HAVING sum(m.amount) <> 0) m
        JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
    )
    SELECT count(*) AS rows INTO v_done FROM moved;
    RETURN v_done.rows;
END $$;
COMMENT ON FUNCTION qzpay._recognize_batch(timestamptz, integer) IS 'One batch of recognize_revenue(): one transfer per invoice, deferred_revenue to revenue or back. Returns how many lines were brought up to the instant.';

CREATE OR REPLACE FUNCTION qzpay._reopen_schedules(p_tenant uuid, p_invoice uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.revenue_schedules s SET done = false, recognized_at = '-infinity' WHERE s.tenant_id = p_tenant AND s.invoice_id = p_invoice AND s.recognized <> 0;
END $$;
COMMENT ON FUNCTION qzpay._reopen_schedules(uuid, uuid) IS 'Has the next recognition take back what it recognised of an invoice that becomes void.';

CREATE OR REPLACE FUNCTION qzpay._job_revenue_recognition(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._schedule_revenue(p_limit) + qzpay._recognize_batch(date_trunc('day', qzpay.now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_revenue_recognition(integer) IS 'Job: one batch of revenue recognised up to the start of the day in UTC.';
