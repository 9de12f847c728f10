CREATE TABLE qzpay.usage_events (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    quantity numeric NOT NULL CHECK (quantity > '-1e15' AND quantity < 1e15),
    reading numeric,
    amount numeric CHECK (amount >= 0 AND amount < 1e15 AND scale(amount) <= 12),
    idempotency_key text,
    properties jsonb
) PARTITION BY RANGE (recorded_at);
COMMENT ON TABLE qzpay.usage_events IS
'Append-only. id is the hash of the idempotency key, unique per customer in its month of recording; record_usage() also looks at the months before it, as far back as the usage period began and 35 days at least. '
'recorded_at is the server''s time, occurred_at the customer''s; period_start names the usage period that counts the event. Written directly: row triggers don''t fire on insert.';
COMMENT ON COLUMN qzpay.usage_events.quantity IS 'What the event adds to the total of its period.';
COMMENT ON COLUMN qzpay.usage_events.reading IS 'What was stated where that is not what it adds: the total of action set, the value for meters that aggregate by count, max or last.';
COMMENT ON COLUMN qzpay.usage_events.amount IS
'What the event is worth, in minor units, for the models that rate amounts; NULL: its quantity. No fee is kept here: a period may be rated on a plan that was chosen after the event.';

CREATE TABLE qzpay.usage_totals (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 15),
    quantity numeric NOT NULL,
    events bigint NOT NULL,
    amount numeric,
    gauge boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, customer_id, meter_id, period_start, shard)
) WITH (fillfactor = 70, vacuum_truncate = off);
COMMENT ON TABLE qzpay.usage_totals IS
'Exact running totals per usage period; the total is the sum over the shards. A second shard is only made where the first is locked by another transaction. Written directly: row triggers don''t fire.';
COMMENT ON COLUMN qzpay.usage_totals.amount IS 'Sum of the events'' amounts; NULL while none of the shard''s events has said one: it is the quantity then.';
COMMENT ON COLUMN qzpay.usage_totals.gauge IS 'Fed by action set; a meter takes either that or increments in one period.';

CREATE TABLE qzpay.usage_values (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    value_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, meter_id, period_start, value_id)
);
COMMENT ON TABLE qzpay.usage_values IS
'The values (as hashes) that meters which aggregate by unique have counted in a usage period: their number is the total. Written directly: row triggers don''t fire.';

CREATE TABLE qzpay.usage_archived (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    quantity numeric NOT NULL,
    events bigint NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, meter_id, period_start)
);
COMMENT ON TABLE qzpay.usage_archived IS
'What the events of months that are no longer kept added to the totals of their usage periods: totals = events that are kept + this. amount counts the quantity of events without one.';

CREATE TABLE qzpay.meter_queries (
    meter_id uuid PRIMARY KEY REFERENCES qzpay.meters,
    query text NOT NULL,
    run_as name NOT NULL,
    customer_type text NOT NULL CHECK (customer_type IN ('text', 'uuid', 'integer', 'bigint'))
);
COMMENT ON TABLE qzpay.meter_queries IS 'The query of a meter that counts rows of the application, and the role with whose rights it runs. Written by administrators only.';

CREATE TABLE qzpay.usage_marks (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    counted_until timestamptz NOT NULL,
    quantity numeric NOT NULL,
    events bigint NOT NULL,
    is_closed boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, customer_id, meter_id, period_start),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
);
COMMENT ON TABLE qzpay.usage_marks IS
'How far the rows of a meter with a query were counted in a usage period, and what they came to. Of a closed period: all of it, and what has been added to or taken from later bills for it.';

CREATE TABLE qzpay.usage_late (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    event_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL CHECK (occurred_at < period_start),
    quantity numeric NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, meter_id, period_start, event_id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
);
COMMENT ON TABLE qzpay.usage_late IS
'Events that came when the usage period of their time was closed, and were counted in the one that starts at period_start (late => next). Named on its invoice line.';

CREATE TABLE qzpay.usage_alerts (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    meter_id uuid NOT NULL,
    period_start timestamptz NOT NULL,
    threshold integer NOT NULL,
    raised_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, meter_id, period_start, threshold),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
);
COMMENT ON TABLE qzpay.usage_alerts IS 'Which thresholds (percent of the included quantity; 101: overage began) were reached in which usage period: each once.';
