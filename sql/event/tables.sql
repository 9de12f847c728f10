CREATE TABLE qzpay.event_types (
    type text PRIMARY KEY,
    aliases text[] NOT NULL DEFAULT '{}',
    description text NOT NULL
);
COMMENT ON TABLE qzpay.event_types IS 'Every event that can be emitted; an application may add its own.';

CREATE TABLE qzpay.events (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL REFERENCES qzpay.event_types,
    aggregate text NOT NULL,
    aggregate_id uuid NOT NULL,
    customer_id uuid,
    livemode boolean NOT NULL,
    data jsonb NOT NULL,
    dedupe_key text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE qzpay.events IS
'Append-only: what happened, in the transaction that did it. ids rise within a session, so (aggregate_id, id) is the order of an aggregate; a dedupe_key makes a fact happen once.';
CREATE INDEX events_aggregate_id_idx ON qzpay.events (tenant_id, aggregate_id, id);
CREATE UNIQUE INDEX events_dedupe_key ON qzpay.events (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL;
