CREATE TABLE qzpay.entitlements (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    test_clock_id uuid,
    products uuid[] NOT NULL DEFAULT '{}',
    quantities bigint[] NOT NULL DEFAULT '{}',
    since timestamptz[] NOT NULL DEFAULT '{}',
    until timestamptz[] NOT NULL DEFAULT '{}',
    full_until timestamptz[],
    overrides jsonb,
    added timestamptz[] NOT NULL DEFAULT '{}',
    negotiated jsonb,
    usage_subscription_id uuid,
    usage_start timestamptz,
    usage_end timestamptz,
    usage_anchor timestamptz NOT NULL,
    usage_unit text NOT NULL,
    usage_count integer NOT NULL,
    currency text NOT NULL,
    timezone text NOT NULL,
    usage_trial_end timestamptz,
    PRIMARY KEY (tenant_id, customer_id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
) WITH (fillfactor = 70, vacuum_truncate = off);
COMMENT ON TABLE qzpay.entitlements IS
'One row per customer that answers has_entitlement() and check_limit() with one index probe: which products it holds, how many, and from when until when each gives access. '
'Written by the transaction that changes the subscription; what a product grants is not copied here, so a plan edit rewrites nothing.';
COMMENT ON COLUMN qzpay.entitlements.full_until IS 'From when on each product gives only what it keeps while access is limited; NULL: none is limited before it ends.';
COMMENT ON COLUMN qzpay.entitlements.overrides IS 'What was decided for the customer: feature code → value and, in microseconds since 2000, until; NULL where nothing was.';
COMMENT ON COLUMN qzpay.entitlements.added IS 'When each product was subscribed to: decides which version of its charges applies.';
COMMENT ON COLUMN qzpay.entitlements.negotiated IS 'Negotiated included quantities: product id, then meter code; NULL where none are.';
COMMENT ON COLUMN qzpay.entitlements.usage_start IS 'Running usage period [usage_start, usage_end); NULL: periods of usage_count usage_unit counted from usage_anchor.';
COMMENT ON COLUMN qzpay.entitlements.usage_trial_end IS 'Until when the subscription is in its trial, in which every limit is hard; NULL: it is in none. An anchor that is still to come is no trial.';
CREATE INDEX entitlements_customer_id_idx ON qzpay.entitlements (customer_id);

CREATE TABLE qzpay.limit_counters (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    feature_code text NOT NULL REFERENCES qzpay.features,
    relation regclass NOT NULL,
    scope text NOT NULL DEFAULT '',
    used bigint NOT NULL CHECK (used >= 0),
    PRIMARY KEY (tenant_id, customer_id, feature_code, relation, scope),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
) WITH (fillfactor = 50);
COMMENT ON TABLE qzpay.limit_counters IS
'Rows that the application''s own tables hold per customer and limit, kept by enforce_limit(). Moved by UPDATE … WHERE used + n <= limit, which no snapshot can get around.';

CREATE TABLE qzpay.entitlement_overrides (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    feature_code text NOT NULL REFERENCES qzpay.features,
    value jsonb NOT NULL CHECK (jsonb_typeof(value) IN ('boolean', 'number', 'string', 'null')),
    until timestamptz CHECK (isfinite(until)),
    reason text,
    set_by text NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, customer_id, feature_code),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
);
COMMENT ON TABLE qzpay.entitlement_overrides IS
'What was decided for one customer and stands before what its plans say: true or false, a number (null: unlimited), a text; until (exclusive) or for good. Its history is in the events.';

CREATE TABLE qzpay.overages (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    feature_code text NOT NULL REFERENCES qzpay.features,
    subscription_id uuid,
    test_clock_id uuid,
    since timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    limit_value numeric NOT NULL,
    expired_at timestamptz,
    next_look_at timestamptz,
    PRIMARY KEY (tenant_id, customer_id, feature_code),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
);
COMMENT ON TABLE qzpay.overages IS
'Limits that a customer is over since a change of its contract, and until when it has time to come back within. A row goes as soon as that is so; what was is in the events.';
COMMENT ON COLUMN qzpay.overages.next_look_at IS 'When time itself has work here: at the deadline, or at the end of the usage period that is over. NULL: the count or the contract has to move.';
CREATE INDEX overages_next_look_at_idx ON qzpay.overages (next_look_at) WHERE next_look_at IS NOT NULL AND test_clock_id IS NULL;
CREATE INDEX overages_test_clock_id_idx ON qzpay.overages (test_clock_id, next_look_at) WHERE test_clock_id IS NOT NULL;

CREATE TABLE qzpay.limit_slots (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    feature_code text NOT NULL REFERENCES qzpay.features,
    holder text,
    acquired_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
) WITH (fillfactor = 70);
COMMENT ON TABLE qzpay.limit_slots IS
'Slots of limits on how many at once that are taken, until released or their lease (real time) is over. Counted in limit_counters like rows of the application''s own.';
CREATE INDEX limit_slots_customer_id_idx ON qzpay.limit_slots (tenant_id, customer_id, feature_code);
