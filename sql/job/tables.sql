CREATE TABLE qzpay.jobs (
    name text PRIMARY KEY,
    function text NOT NULL,
    every interval NOT NULL CHECK (every > '0'),
    batch_size integer NOT NULL CHECK (batch_size > 0),
    enabled boolean NOT NULL DEFAULT true,
    position integer NOT NULL,
    next_run_at timestamptz NOT NULL,
    last_started_at timestamptz,
    last_finished_at timestamptz,
    last_done bigint,
    last_error text,
    description text NOT NULL
);
COMMENT ON TABLE qzpay.jobs IS
'What is done in time: a batch function (batch_size → rows done, called until it returns 0), how often, and how it went last. Run by the worker, by pg_cron or by hand through run_due_jobs().';

CREATE TABLE qzpay.billing_runs (
    id uuid PRIMARY KEY,
    pid integer NOT NULL,
    as_of timestamptz,
    total bigint NOT NULL CHECK (total >= 0),
    remaining bigint NOT NULL CHECK (remaining >= 0),
    done bigint NOT NULL DEFAULT 0,
    batches integer NOT NULL DEFAULT 0,
    busy_seconds double precision NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    noticed_at timestamptz NOT NULL,
    finished_at timestamptz
);
COMMENT ON TABLE qzpay.billing_runs IS
'Runs of run_billing(), one row per session: subscriptions due when it began, those left when last counted, whoever did the others, and the steps of its own, committed with each batch. '
'Read the view qzpay.billing_progress.';
COMMENT ON COLUMN qzpay.billing_runs.done IS 'Steps of this session: a subscription has one for each instant at which something is due.';
COMMENT ON COLUMN qzpay.billing_runs.busy_seconds IS 'Time spent in its batches: what a session that was interrupted and goes on has waited is not in it.';
CREATE INDEX billing_runs_pid_idx ON qzpay.billing_runs (pid) WHERE finished_at IS NULL;

CREATE TABLE qzpay.workers (
    database name PRIMARY KEY,
    pid integer NOT NULL,
    started_at timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    state text NOT NULL
);
COMMENT ON TABLE qzpay.workers IS 'Heartbeat of the background worker.';

CREATE TABLE qzpay.billing_errors (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    error_code text NOT NULL,
    error_message text NOT NULL,
    occurred_at timestamptz NOT NULL,
    resolved_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions
);
COMMENT ON TABLE qzpay.billing_errors IS 'Subscriptions that a billing run had to set aside, and why; the others went on.';
CREATE INDEX billing_errors_subscription_id_idx ON qzpay.billing_errors (tenant_id, subscription_id);
