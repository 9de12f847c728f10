CREATE OR REPLACE VIEW qzpay.billing_progress WITH (security_invoker = true) AS
SELECT r.id, CASE WHEN r.finished_at IS NOT NULL THEN 'finished' WHEN EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = r.pid) THEN 'running' ELSE 'stopped' END AS state,
       r.as_of, r.total, r.done, CASE WHEN r.total > 0 THEN least(round(100.0 * r.done / r.total, 1), 100) END AS percent,
       round((r.done / s.seconds)::numeric, 1) AS per_second, r.started_at, r.updated_at, r.finished_at,
       CASE WHEN r.finished_at IS NULL AND r.done > 0 THEN r.updated_at + greatest(r.total - r.done, 0) / (r.done / s.seconds) * interval '1 second' END AS estimated_end, r.pid
FROM qzpay.billing_runs r
CROSS JOIN LATERAL (SELECT greatest(extract(epoch FROM coalesce(r.finished_at, r.updated_at) - r.started_at), 0.001)::double precision AS seconds) s;
COMMENT ON VIEW qzpay.billing_progress IS
'Billing runs, from any session: subscriptions done of those due at the start, rate, and when it should end at that rate. stopped: the session is gone; run_billing() again goes on where it was.';
COMMENT ON COLUMN qzpay.billing_progress.id IS 'The run.';
COMMENT ON COLUMN qzpay.billing_progress.state IS 'running, finished, or stopped: its session is gone.';
COMMENT ON COLUMN qzpay.billing_progress.as_of IS 'Up to which instant it bills.';
COMMENT ON COLUMN qzpay.billing_progress.total IS 'Subscriptions that were due at its start.';
COMMENT ON COLUMN qzpay.billing_progress.done IS 'Subscriptions done so far.';
COMMENT ON COLUMN qzpay.billing_progress.percent IS 'done of total, at most 100; NULL where nothing was due.';
COMMENT ON COLUMN qzpay.billing_progress.per_second IS 'Subscriptions per second so far.';
COMMENT ON COLUMN qzpay.billing_progress.started_at IS 'When it began.';
COMMENT ON COLUMN qzpay.billing_progress.updated_at IS 'When its last batch ended.';
COMMENT ON COLUMN qzpay.billing_progress.finished_at IS 'When it ended; NULL: it has not.';
COMMENT ON COLUMN qzpay.billing_progress.estimated_end IS 'When it will have ended at its rate so far; NULL when it has, or nothing is done yet.';
COMMENT ON COLUMN qzpay.billing_progress.pid IS 'Process of its session.';
