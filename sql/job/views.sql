CREATE OR REPLACE VIEW qzpay.billing_progress WITH (security_invoker = true) AS
SELECT r.id, x.state, r.as_of, r.total, r.remaining, CASE WHEN r.total > 0 THEN round(100.0 * greatest(r.total - r.remaining, 0) / r.total, 1) END AS percent, r.done,
       round((r.done / greatest(r.busy_seconds, 0.001))::numeric, 1) AS per_second, r.started_at, r.updated_at, r.finished_at,
       CASE WHEN x.state = 'running' AND r.remaining < r.total THEN r.updated_at + r.remaining * r.busy_seconds / (r.total - r.remaining) * interval '1 second' END AS estimated_end, r.pid
FROM qzpay.billing_runs r
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.finished_at IS NOT NULL THEN 'finished'
                WHEN EXISTS (SELECT FROM pg_locks l WHERE l.pid = r.pid AND l.locktype = 'relation' AND l.relation = 'qzpay.billing_runs'::regclass
                             AND l.mode IN ('RowShareLock', 'RowExclusiveLock')) THEN 'running'
                ELSE 'stopped' END AS state) x;
COMMENT ON VIEW qzpay.billing_progress IS
'Billing runs, one row per session, from any session: what is left of the subscriptions due at the start, rate, and when it should end at that rate. '
'stopped: interrupted, or the session is gone; run_billing() again goes on where it was.';
COMMENT ON COLUMN qzpay.billing_progress.id IS 'The run.';
COMMENT ON COLUMN qzpay.billing_progress.state IS 'running, finished, or stopped: it was interrupted, or its session is gone.';
COMMENT ON COLUMN qzpay.billing_progress.as_of IS 'Up to which instant it bills; NULL: now, whenever that is.';
COMMENT ON COLUMN qzpay.billing_progress.total IS 'Subscriptions that were due at its start.';
COMMENT ON COLUMN qzpay.billing_progress.remaining IS 'Subscriptions still due when last counted (about every second), but for those set aside; it does not matter which session does them.';
COMMENT ON COLUMN qzpay.billing_progress.percent IS 'What total and remaining make; NULL where nothing was due.';
COMMENT ON COLUMN qzpay.billing_progress.done IS 'Steps of this session so far: a subscription takes one for each instant at which something is due.';
COMMENT ON COLUMN qzpay.billing_progress.per_second IS 'Its steps per second so far, over the time it was at work.';
COMMENT ON COLUMN qzpay.billing_progress.started_at IS 'When it began.';
COMMENT ON COLUMN qzpay.billing_progress.updated_at IS 'When its last batch ended.';
COMMENT ON COLUMN qzpay.billing_progress.finished_at IS 'When it ended; NULL: it has not.';
COMMENT ON COLUMN qzpay.billing_progress.estimated_end IS 'When it will have ended at its rate so far; NULL when it is not running, or nothing is done yet.';
COMMENT ON COLUMN qzpay.billing_progress.pid IS 'Process of its session.';
