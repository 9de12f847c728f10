CREATE OR REPLACE FUNCTION qzpay.doctor() RETURNS TABLE (check_name text, status text, detail text, hint text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := qzpay._real_now();
    v_preloaded boolean := 'qzpay' = ANY (regexp_split_to_array(current_setting('shared_preload_libraries'), '[[:space:]",]+'));
    v_worker boolean := v_preloaded AND current_database() = ANY (regexp_split_to_array(coalesce(current_setting('qzpay.databases', true), ''), '[[:space:]",]+'));
    v_minor integer := current_setting('server_version_num')::integer;
BEGIN
    IF qzpay.schema_version() IS NULL THEN
        RETURN QUERY SELECT 'versions', 'error', 'The extension is there, its tables are not.', 'SELECT qzpay.install() as a superuser.';
        RETURN;
    END IF;
    RETURN QUERY
    SELECT d.name, CASE WHEN d.good THEN 'ok' ELSE d.otherwise END, CASE WHEN d.good THEN NULL ELSE d.detail END, CASE WHEN d.good THEN NULL ELSE d.hint END
    FROM (
        SELECT 'versions' AS name, qzpay.schema_version() = qzpay._extension_version() AND qzpay._extension_version() = qzpay.library_version() AS good, 'error' AS otherwise,
               format('Tables %s, extension %s, library %s.', qzpay.schema_version(), qzpay._extension_version(), qzpay.library_version()) AS detail,
               'ALTER EXTENSION qzpay UPDATE, then SELECT qzpay.upgrade().' AS hint
        UNION ALL
        SELECT 'server', NOT (v_minor BETWEEN 150000 AND 150013 OR v_minor BETWEEN 160000 AND 160009 OR v_minor BETWEEN 170000 AND 170005), 'warning',
               format('PostgreSQL %s has known faults in row security or dumps.', current_setting('server_version')), 'Install the current minor release.'
        UNION ALL
        SELECT 'worker', v_worker, 'warning',
               CASE WHEN v_preloaded THEN 'The library is preloaded, but no worker serves this database.' ELSE 'The library is not preloaded, so no worker runs and throttles are per session.' END,
               CASE WHEN v_preloaded THEN 'Name the database in qzpay.databases.' ELSE 'Add qzpay to shared_preload_libraries, or call run_due_jobs() and CALL qzpay.deliver() from cron.' END
        UNION ALL
        SELECT 'heartbeat', NOT v_worker OR coalesce(max(w.heartbeat_at) > v_now - interval '1 minute', false), 'error',
               format('The worker was last heard of at %s.', coalesce(max(w.heartbeat_at)::text, 'no time')), 'See the server''s log.'
        FROM qzpay.workers w WHERE w.database = current_database()
        UNION ALL
        SELECT 'jobs', count(*) = 0, 'error', format('Late or failing: %s.', string_agg(j.name || coalesce(' (' || j.last_error || ')', ''), ', ' ORDER BY j.position)),
               'Somebody has to run them: the worker, or run_due_jobs().'
        FROM qzpay.jobs j WHERE j.enabled AND (j.next_run_at < v_now - greatest(j.every * 3, interval '5 minutes') OR j.last_error IS NOT NULL)
        UNION ALL
        SELECT 'renewals', count(*) = 0, 'error', format('%s subscriptions are due for more than an hour, the oldest since %s.', count(*), min(s.next_due_at)), 'CALL qzpay.run_billing().'
        FROM qzpay.subscriptions s WHERE s.test_clock_id IS NULL AND s.set_aside_at IS NULL AND s.next_due_at < v_now - interval '1 hour'
        UNION ALL
        SELECT 'set_aside', count(*) = 0, 'error', format('Billing set %s subscriptions aside.', count(*)), 'Mend what billing_errors says, then retry_billing().'
        FROM qzpay.subscriptions s WHERE s.set_aside_at IS NOT NULL
        UNION ALL
        SELECT 'providers', count(*) = 0, 'error', string_agg(format('%s: %s.', p.code, p.paused_reason), ' ' ORDER BY p.code), 'Mend the cause, then resume_provider().'
        FROM qzpay.providers p WHERE p.enabled AND p.paused_at IS NOT NULL
        UNION ALL
        SELECT 'secrets', count(*) = 0, 'error', format('Payment methods are saved with %s, but its secrets are not there: %s.', min(p.code), min(array_to_string(p.secret_names, ', '))),
               'Put them into the file that qzpay.secrets_file names (mode 0600, NAME=value).'
        FROM qzpay.providers p
        WHERE p.enabled AND p.transport = 'http' AND NOT qzpay._secrets_present(p.secret_names)
          AND EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.provider = p.code AND m.detached_at IS NULL)
        UNION ALL
        SELECT 'live', qzpay.is_live() OR NOT EXISTS (SELECT FROM qzpay.customers c WHERE c.livemode), 'warning',
               'There are live customers, and this server has not been declared live: nothing is sent for them.', 'SELECT qzpay.go_live() on the server that is to charge, on no copy of it.'
        UNION ALL
        SELECT 'outcomes', count(*) = 0, 'error', format('%s payment attempts wait for an operator.', count(*)), 'Look them up at the provider, then resolve_attempt().'
        FROM qzpay.payment_attempts a WHERE a.status = 'needs_operator'
        UNION ALL
        SELECT 'refunds', count(*) = 0, CASE WHEN min(r.requested_at) < v_now - interval '72 hours' THEN 'error' ELSE 'warning' END,
               format('%s refund requests wait for a person for more than a day, the oldest since %s.', count(*), min(r.requested_at)),
               'Pay them and record_refund(), send them again with retry_refund(), or give them up with cancel_refund().'
        FROM qzpay.refund_requests r JOIN qzpay.customers c ON c.tenant_id = r.tenant_id AND c.id = r.customer_id AND c.test_clock_id IS NULL
        WHERE r.status = 'requested' AND r.refunding = 0 AND r.requested_at < v_now - interval '24 hours'
        UNION ALL
        SELECT 'usage_partitions', to_regclass('qzpay.usage_events_' || to_char((v_now AT TIME ZONE 'UTC') + interval '1 month', 'YYYYMM')) IS NOT NULL, 'error',
               'Next month has no partition for usage events.', 'Run the job usage_partitions: SELECT * FROM qzpay.run_due_jobs().'
        UNION ALL
        SELECT 'roles', v_minor >= 160000 OR count(*) = 0, 'warning', format('Before PostgreSQL 16 whoever may create roles can join any: %s.', string_agg(r.rolname::text, ', ' ORDER BY r.rolname)),
               'ALTER ROLE … NOCREATEROLE.'
        FROM pg_roles r WHERE r.rolcreaterole AND NOT r.rolsuper
    ) d;
END $$;
COMMENT ON FUNCTION qzpay.doctor() IS
'What an operator should know, one row per check: ok, warning or error, what was found and the way out. Looks at the installation, not at the books: those are check_integrity()''s.';
