CREATE OR REPLACE FUNCTION qzpay._job_billing(p_limit integer) RETURNS bigint
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT qzpay._due_batch(NULL, qzpay.now(), qzpay.now(), p_limit)
$$;
COMMENT ON FUNCTION qzpay._job_billing(integer) IS 'Job: one batch of what is due in real time.';

CREATE OR REPLACE FUNCTION qzpay._job_usage_partitions(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._make_usage_partition((date_trunc('month', qzpay._recorded_at() AT TIME ZONE 'UTC') + n * interval '1 month')::date)
    FROM generate_series(0, 3) n;
    RETURN 0;
END $$;
COMMENT ON FUNCTION qzpay._job_usage_partitions(integer) IS 'Job: this month''s partition of usage_events and the next three.';

CREATE OR REPLACE FUNCTION qzpay._job_usage_retention(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._forget_usage(p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_usage_retention(integer) IS 'Job: drops months of usage events that are older than the setting usage_retention_months.';

CREATE OR REPLACE FUNCTION qzpay._job_idempotency_retention(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    DELETE FROM qzpay.idempotency_keys k
    WHERE (k.tenant_id, k.function, k.key) IN (
        SELECT o.tenant_id, o.function, o.key FROM qzpay.idempotency_keys o
        WHERE o.created_at < qzpay._recorded_at() - greatest(35, (qzpay.setting('idempotency_days') #>> '{}')::integer) * interval '24 hours' LIMIT p_limit);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._job_idempotency_retention(integer) IS 'Job: forgets old idempotency keys; they live by real time, at least 35 days.';

CREATE OR REPLACE FUNCTION qzpay._run_due_jobs_batch(OUT job text, OUT done bigint, OUT error text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_job qzpay.jobs%ROWTYPE;
BEGIN
    PERFORM qzpay._check_schema_version();
    SELECT * INTO v_job FROM qzpay.jobs j WHERE j.enabled AND j.next_run_at <= qzpay._real_now() ORDER BY j.position LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    job := v_job.name;
    BEGIN
        EXECUTE format('SELECT qzpay.%I($1)', v_job.function) INTO done USING v_job.batch_size;
    EXCEPTION
        WHEN query_canceled OR admin_shutdown THEN
            RAISE;
        WHEN OTHERS THEN
            error := SQLSTATE || ': ' || qzpay.redact(SQLERRM);
    END;
    -- A full batch means there is more: the job stays due.
    UPDATE qzpay.jobs j SET last_started_at = qzpay._recorded_at(), last_finished_at = qzpay._real_now(), last_done = _run_due_jobs_batch.done, last_error = _run_due_jobs_batch.error,
           next_run_at = CASE WHEN _run_due_jobs_batch.error IS NULL AND _run_due_jobs_batch.done >= v_job.batch_size THEN j.next_run_at ELSE qzpay._real_now() + j.every END
    WHERE j.name = v_job.name;
END $$;
COMMENT ON FUNCTION qzpay._run_due_jobs_batch() IS
'One batch of the first job that is due and that nobody else is running. job is NULL when none is. An error is kept with the job, which comes again after its interval.';

CREATE OR REPLACE FUNCTION qzpay.run_due_jobs() RETURNS TABLE (job text, done bigint, error text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
BEGIN
    -- Here, because the batch cannot even be compiled without its tables.
    PERFORM qzpay._check_schema_version();
    LOOP
        SELECT * INTO v_row FROM qzpay._run_due_jobs_batch();
        EXIT WHEN v_row.job IS NULL;
        job := v_row.job;
        done := v_row.done;
        error := v_row.error;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay.run_due_jobs() IS
'Runs every job that is due, batch after batch, in the caller''s transaction; for pg_cron or by hand where no worker runs. One row per batch. CALL qzpay.deliver() then talks to the providers.';

CREATE OR REPLACE FUNCTION qzpay._count_due(p_as_of timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT count(*) FROM qzpay.subscriptions s WHERE s.test_clock_id IS NULL AND s.next_due_at <= coalesce(p_as_of, qzpay.now()) AND s.set_aside_at IS NULL);
END $$;
COMMENT ON FUNCTION qzpay._count_due(timestamptz) IS 'Subscriptions in real time with something due up to an instant (NULL: now), but for those set aside.';

CREATE OR REPLACE FUNCTION qzpay._begin_run(p_as_of timestamptz, OUT run uuid, OUT is_new boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_total bigint;
    v_now timestamptz := qzpay._real_now();
BEGIN
    -- The lock on its row tells others that the session is at work; a process of the same number before it was another session.
    SELECT r.id INTO run FROM qzpay.billing_runs r
    WHERE r.pid = pg_backend_pid() AND r.finished_at IS NULL AND r.as_of IS NOT DISTINCT FROM p_as_of
      AND r.started_at >= coalesce((SELECT a.backend_start FROM pg_stat_get_activity(pg_backend_pid()) a), '-infinity')
    ORDER BY r.started_at DESC LIMIT 1 FOR NO KEY UPDATE;
    is_new := NOT FOUND;
    IF NOT is_new THEN
        RETURN;
    END IF;
    v_total := qzpay._count_due(p_as_of);
    IF v_total = 0 THEN
        is_new := false;
        RETURN;
    END IF;
    DELETE FROM qzpay.billing_runs r WHERE r.updated_at < v_now - interval '90 days';
    INSERT INTO qzpay.billing_runs (id, pid, as_of, total, remaining, started_at, updated_at, noticed_at) VALUES (qzpay.uuid_v7(), pg_backend_pid(), p_as_of, v_total, v_total, v_now, v_now, v_now) RETURNING id INTO run;
END $$;
COMMENT ON FUNCTION qzpay._begin_run(timestamptz) IS 'The run this session is at, or a new one over what is due; no run when nothing is.';

CREATE OR REPLACE FUNCTION qzpay._note_progress(p_run uuid, p_done bigint, p_batch integer, p_more boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay.billing_runs%ROWTYPE;
    v_now timestamptz := qzpay._real_now();
BEGIN
    UPDATE qzpay.billing_runs x SET done = x.done + p_done, batches = x.batches + 1, updated_at = v_now, finished_at = CASE WHEN NOT p_more THEN v_now END,
           busy_seconds = x.busy_seconds + extract(epoch FROM v_now - qzpay._recorded_at())
    WHERE x.id = p_run RETURNING * INTO r;
    -- For whoever watches: at most a line a second, less often where counting takes long, and none for what one batch does.
    IF NOT FOUND OR p_more AND v_now - r.noticed_at < greatest(1, r.total / 50000.0) * interval '1 second' THEN
        RETURN;
    END IF;
    UPDATE qzpay.billing_runs x SET remaining = qzpay._count_due(r.as_of), noticed_at = v_now WHERE x.id = p_run RETURNING * INTO r;
    IF r.total <= p_batch THEN
        RETURN;
    ELSIF p_more THEN
        RAISE NOTICE 'billing: % of % subscriptions, % steps per second, % to go', greatest(r.total - r.remaining, 0), r.total, round(r.done / greatest(r.busy_seconds, 0.001)),
            CASE WHEN r.remaining < r.total THEN make_interval(secs => ceil(r.remaining * r.busy_seconds / (r.total - r.remaining)))::text ELSE 'unknown' END;
    ELSE
        RAISE NOTICE 'billing: finished, % steps in %', r.done, make_interval(secs => ceil(r.busy_seconds))
            || CASE WHEN r.remaining > 0 THEN format('; other sessions are at %s subscriptions', r.remaining) ELSE '' END;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._note_progress(uuid, bigint, integer, boolean) IS 'Writes how far a run is, to be seen from other sessions once its batch commits, and says so to the session''s own client.';

CREATE OR REPLACE FUNCTION qzpay.preview_billing(until timestamptz)
RETURNS TABLE (tenant_id uuid, customer_id uuid, external_id text, subscription_id uuid, kind text, period_start timestamptz, period_end timestamptz,
               subtotal bigint, discount_total bigint, tax_total bigint, total bigint, amount_due bigint, currency text, livemode boolean)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_rows jsonb;
BEGIN
    PERFORM qzpay._check_schema_version();
    IF until IS NULL OR NOT isfinite(until) OR until <= qzpay.now() THEN
        RAISE EXCEPTION 'there is nothing ahead to preview up to %', coalesce(until::text, 'NULL') USING ERRCODE = '22023', HINT = 'Give an instant in the future.';
    ELSIF until > qzpay.now() + interval '13 months' THEN
        RAISE EXCEPTION 'a preview up to % looks too far ahead', until USING ERRCODE = '22023', DETAIL = 'Every period of every customer up to then would be billed, and rolled back.',
            HINT = 'Look ahead 13 months at most; beyond them, put a customer like it on a test clock.';
    END IF;
    BEGIN
        PERFORM qzpay._clock_set(until);
        LOOP
            EXIT WHEN qzpay._due_batch(NULL, until, until, 10000) = 0;
        END LOOP;
        WHILE qzpay._finalize_due(NULL, 'infinity', until, 10000) > 0 LOOP
        END LOOP;
        -- Nothing but this run is dated ahead.
        SELECT jsonb_agg(to_jsonb(x) ORDER BY x.period_start, x.tenant_id, x.series_number) INTO v_rows
        FROM (SELECT i.tenant_id, i.customer_id, c.external_id, i.subscription_id, i.kind, i.period_start, i.period_end, i.subtotal, i.discount_total, i.tax_total + i.tax_included AS tax_total,
                     i.total, i.amount_due, i.currency, i.livemode, i.series_number
              FROM qzpay.invoices i JOIN qzpay.customers c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id WHERE i.created_at = until AND i.status <> 'draft' AND c.test_clock_id IS NULL) x;
        RAISE EXCEPTION USING ERRCODE = 'QZ999';
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
    RETURN QUERY SELECT x.* FROM jsonb_to_recordset(coalesce(v_rows, '[]')) AS x (tenant_id uuid, customer_id uuid, external_id text, subscription_id uuid, kind text, period_start timestamptz,
        period_end timestamptz, subtotal bigint, discount_total bigint, tax_total bigint, total bigint, amount_due bigint, currency text, livemode boolean);
END $$;
COMMENT ON FUNCTION qzpay.preview_billing(timestamptz) IS
'The invoices that running billing up to an instant ahead would make for all customers in real time, as things stand and if nothing is paid meanwhile: the real run, rolled back. '
'It holds the subscriptions in question until it returns. tax_total includes what prices contain; subscription_id is NULL where several share an invoice, of a day that is not over with what is due of it by then. Error 22023 for an instant that is not ahead, or more than 13 months, for every period up to it is billed and rolled back.';

CREATE OR REPLACE FUNCTION qzpay._run_billing_batch(p_as_of timestamptz, p_batch integer, p_announce boolean DEFAULT false) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_run record;
    v_done bigint;
    v_more boolean;
BEGIN
    PERFORM qzpay._check_schema_version();
    IF p_batch NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'batch must be from 1 to 100000, not %', p_batch USING ERRCODE = '22023';
    END IF;
    IF p_as_of > qzpay.now() THEN
        RAISE EXCEPTION 'cannot bill as of %, which is in the future', p_as_of USING ERRCODE = '22023', HINT = 'Look ahead with preview_invoice(), dry_run() or a test clock.';
    END IF;
    SELECT * INTO v_run FROM qzpay._begin_run(p_as_of);
    IF v_run.is_new AND p_announce THEN
        -- For others to see before the first batch is done.
        RETURN true;
    END IF;
    v_done := qzpay._due_batch(NULL, coalesce(p_as_of, qzpay.now()), qzpay.now(), p_batch);
    v_more := qzpay._invoice_batch(NULL, coalesce(p_as_of, qzpay.now()), qzpay.now(), p_batch) + v_done > 0;
    PERFORM qzpay._note_progress(v_run.run, v_done, p_batch, v_more);
    RETURN v_more;
END $$;
COMMENT ON FUNCTION qzpay._run_billing_batch(timestamptz, integer, boolean) IS 'One batch of run_billing(), or with p_announce, first of all, the mere note that a run begins; false when nothing is due any more.';

CREATE OR REPLACE PROCEDURE qzpay.run_billing(as_of timestamptz DEFAULT NULL, batch integer DEFAULT 5000)
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT qzpay._run_billing_batch(as_of, batch, true) THEN
        RETURN;
    END IF;
    LOOP
        COMMIT;
        EXIT WHEN NOT qzpay._run_billing_batch(as_of, batch);
    END LOOP;
END $$;
COMMENT ON PROCEDURE qzpay.run_billing(timestamptz, integer) IS
'Does everything due up to as_of (NULL: now) for customers in real time, dated now, committing per batch: may be stopped, repeated and run from several sessions at once. '
'Says every second how far it is, which qzpay.billing_progress shows to other sessions. A subscription that cannot be billed is set aside with a warning (see qzpay.billing_errors) until retry_billing(). '
'Not inside a transaction block (error 2D000 as soon as something is due): there, run_due_jobs() does the same.';

CREATE OR REPLACE FUNCTION qzpay.retry_billing(subscription uuid) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.retry_billing(uuid) IS
'Gives a subscription that a billing run set aside back to the next run, once the cause named in billing_errors is mended; false if it was not set aside. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._retry_billing(p_subscription uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
BEGIN
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    IF v_sub.set_aside_at IS NULL THEN
        RETURN false;
    END IF;
    UPDATE qzpay.subscriptions s SET set_aside_at = NULL WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    UPDATE qzpay.billing_errors e SET resolved_at = qzpay.now(v_sub.customer_id)
    WHERE e.tenant_id = v_sub.tenant_id AND e.subscription_id = v_sub.id AND e.resolved_at IS NULL;
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._retry_billing(uuid) IS 'Internal of retry_billing(), inside the tenant''s context.';
