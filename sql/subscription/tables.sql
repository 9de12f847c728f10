CREATE TABLE qzpay.subscriptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    status qzpay.subscription_status NOT NULL,
    status_reason text,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    interval_unit text NOT NULL CHECK (interval_unit IN ('day', 'week', 'month', 'year')),
    interval_count integer NOT NULL CHECK (interval_count BETWEEN 1 AND 1000),
    usage_unit text NOT NULL CHECK (usage_unit IN ('day', 'week', 'month', 'year')),
    usage_count integer NOT NULL CHECK (usage_count BETWEEN 1 AND 1000),
    timezone text NOT NULL,
    livemode boolean NOT NULL,
    test_clock_id uuid REFERENCES qzpay.test_clocks,
    started_at timestamptz NOT NULL,
    trial_end timestamptz,
    anchor timestamptz,
    current_period_start timestamptz,
    current_period_end timestamptz,
    usage_period_start timestamptz,
    usage_period_end timestamptz,
    usage_late_hours integer DEFAULT qzpay._usage_late_hours() CHECK (usage_late_hours BETWEEN 0 AND 720),
    auto_renew boolean NOT NULL DEFAULT true,
    has_payment_method boolean NOT NULL DEFAULT false,
    is_free boolean NOT NULL DEFAULT false,
    managed_by text NOT NULL DEFAULT 'engine' CHECK (managed_by IN ('engine', 'provider')),
    provider_ref text,
    trial_end_behavior text NOT NULL DEFAULT 'cancel' CHECK (trial_end_behavior IN ('cancel', 'pause', 'past_due')),
    trial_price_id uuid REFERENCES qzpay.prices,
    trial_reminder_days integer[],
    expiring_reminder_days integer[],
    late_renewal_days integer NOT NULL DEFAULT 30 CHECK (late_renewal_days BETWEEN 0 AND 3650),
    grace_days integer NOT NULL DEFAULT 0 CHECK (grace_days BETWEEN 0 AND 3650),
    grace_access text NOT NULL DEFAULT 'full' CHECK (grace_access IN ('full', 'limited', 'none')),
    pause_access text NOT NULL DEFAULT 'none' CHECK (pause_access IN ('full', 'limited', 'none')),
    dunning_policy text NOT NULL,
    past_due_since timestamptz,
    grace_until timestamptz,
    comp_until timestamptz,
    period_comped boolean NOT NULL DEFAULT false,
    pause_at timestamptz,
    paused_at timestamptz,
    resume_at timestamptz,
    restricted_at timestamptz,
    restricted_reason text,
    cancel_at timestamptz,
    cancel_reason text,
    cancel_feedback text,
    canceled_at timestamptz,
    ended_at timestamptz,
    allow_multiple boolean NOT NULL DEFAULT false,
    reminded_at timestamptz,
    dunning_next_at timestamptz,
    change_at timestamptz,
    cycle_due_at timestamptz,
    usage_share numeric CHECK (usage_share > 0 AND usage_share <= 1),
    access_until timestamptz,
    next_due_at timestamptz,
    set_aside_at timestamptz,
    upcoming_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    CHECK (current_period_start < current_period_end),
    CHECK (usage_period_start < usage_period_end),
    CHECK ((status IN ('canceled', 'incomplete_expired')) = (ended_at IS NOT NULL)),
    CHECK (status <> 'trialing' OR trial_end IS NOT NULL),
    CHECK (status <> 'past_due' OR past_due_since IS NOT NULL),
    CHECK (NOT (livemode AND test_clock_id IS NOT NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE qzpay.subscriptions IS
'A customer''s contract. Facts are stored (instants, flags); access_until and next_due_at are derived from them by a trigger, so that nobody can forget to.';
COMMENT ON COLUMN qzpay.subscriptions.usage_late_hours IS
'How long a usage period stays open for late reports after its end; its invoice is made then. Not for the usage period of a trial, nor where the contract ends, pauses or begins a new interval.';
COMMENT ON COLUMN qzpay.subscriptions.access_until IS
'First instant without access if nothing else happens (infinity: open end; NULL: none). Compared with qzpay.now(), so access ends without any job.';
COMMENT ON COLUMN qzpay.subscriptions.is_free IS
'Nothing is billed in advance, so a renewal needs no payment method.';
COMMENT ON COLUMN qzpay.subscriptions.trial_price_id IS 'The price of the trial, until that is paid; the trial begins with the payment. NULL: free, or paid.';
COMMENT ON COLUMN qzpay.subscriptions.trial_reminder_days IS 'The plan''s, as expiring_reminder_days; NULL: the setting of that name.';
COMMENT ON COLUMN qzpay.subscriptions.next_due_at IS
'Next instant at which time itself has work here: reminder, trial end, period boundary, retry, end. NULL: none.';
COMMENT ON COLUMN qzpay.subscriptions.upcoming_at IS 'The renewal of which invoice.upcoming has told, or that will ask for nothing.';
COMMENT ON COLUMN qzpay.subscriptions.set_aside_at IS
'The billing run failed on this subscription and left it out (see qzpay.billing_errors) until retried.';
COMMENT ON COLUMN qzpay.subscriptions.period_comped IS 'The running period is free by comp(): nothing was billed for it, and what comes after comp_until is.';
COMMENT ON COLUMN qzpay.subscriptions.change_at IS 'Instant of the pending change in subscription_changes.';
COMMENT ON COLUMN qzpay.subscriptions.cycle_due_at IS 'Next boundary of items whose price has another interval than the plan''s; NULL where there are none.';
COMMENT ON COLUMN qzpay.subscriptions.usage_share IS 'Part of a whole usage period that the running one is, where a change of plan has split it: included quantities are scaled by it. NULL: whole.';
CREATE INDEX subscriptions_id_idx ON qzpay.subscriptions (id);
CREATE INDEX subscriptions_customer_id_idx ON qzpay.subscriptions (tenant_id, customer_id);
-- With the tenant: many contracts are due at one instant, and a batch of neighbours finds and fills the same pages of every index.
CREATE INDEX subscriptions_next_due_at_idx ON qzpay.subscriptions (next_due_at, tenant_id)
    WHERE next_due_at IS NOT NULL AND set_aside_at IS NULL AND test_clock_id IS NULL;
CREATE INDEX subscriptions_test_clock_id_idx ON qzpay.subscriptions (test_clock_id, next_due_at)
    WHERE test_clock_id IS NOT NULL;
CREATE UNIQUE INDEX subscriptions_live_key ON qzpay.subscriptions (tenant_id, customer_id)
    WHERE status NOT IN ('canceled', 'incomplete_expired') AND NOT allow_multiple;
CREATE UNIQUE INDEX subscriptions_provider_ref_key ON qzpay.subscriptions (tenant_id, provider_ref)
    WHERE provider_ref IS NOT NULL;

CREATE TABLE qzpay.subscription_items (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    product_id uuid NOT NULL REFERENCES qzpay.products,
    price_id uuid NOT NULL REFERENCES qzpay.prices,
    kind text NOT NULL CHECK (kind IN ('plan', 'addon')),
    scope text NOT NULL DEFAULT '',
    quantity integer NOT NULL CHECK (quantity >= 1),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL DEFAULT 'infinity',
    name text,
    unit_amount numeric CHECK (unit_amount >= 0 AND unit_amount < 1e15),
    included jsonb,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    CHECK (valid_from < valid_until),
    -- Of every row, as the check above says; but the planner, who reckons an index by key in it to cost the same as in a B-tree, cannot know and takes the B-tree, which costs a third.
    CONSTRAINT subscription_items_no_overlap EXCLUDE USING gist
        (tenant_id WITH =, subscription_id WITH =, product_id WITH =, scope WITH =, tstzrange(valid_from, valid_until) WITH &&) WHERE (valid_from < valid_until)
);
COMMENT ON TABLE qzpay.subscription_items IS
'What a subscription consists of, effective-dated: a change ends one row and begins another, so any past instant can be read. '
'name, unit_amount and included are negotiated values that stand before the catalog''s.';
CREATE INDEX subscription_items_subscription_id_idx ON qzpay.subscription_items (tenant_id, subscription_id);

CREATE TABLE qzpay.periods (
    tenant_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    cycle text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    ordinal integer NOT NULL,
    invoice_id uuid,
    PRIMARY KEY (tenant_id, subscription_id, cycle, period_start),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    CHECK (period_start < period_end),
    -- The condition holds for every row: see subscription_items_no_overlap.
    CONSTRAINT periods_no_overlap EXCLUDE USING gist
        (tenant_id WITH =, subscription_id WITH =, cycle WITH =, tstzrange(period_start, period_end) WITH &&) WHERE (period_start < period_end)
);
COMMENT ON TABLE qzpay.periods IS
'Every period begun, half-open, per subscription and cycle: ''usage'', or the interval that is billed in advance (''1 month'', ''1 year'' …). '
'Boundary n is anchor + n × interval in the customer''s time zone, ordinals below 0 stand before an anchor that is ahead, the first of them for a part of a period; a period is billed once because it exists once. '
'One that a change of interval or a pause cuts short ends there.';

CREATE TABLE qzpay.subscription_changes (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'applied', 'canceled')),
    direction text NOT NULL CHECK (direction IN ('upgrade', 'downgrade', 'lateral')),
    request jsonb NOT NULL,
    from_plan text NOT NULL,
    to_plan text NOT NULL,
    interval_unit text NOT NULL,
    interval_count integer NOT NULL,
    usage_unit text NOT NULL,
    usage_count integer NOT NULL,
    proration text NOT NULL CHECK (proration IN ('always_invoice', 'create_prorations', 'none')),
    effective_at timestamptz,
    invoice_id uuid,
    requested_at timestamptz NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    CHECK ((status = 'pending') = (closed_at IS NULL))
);
COMMENT ON TABLE qzpay.subscription_changes IS
'Every change of plan, interval, quantity, price or add-ons: what was asked for, and when it took or takes effect. One may be pending per subscription; its items are dated ahead, so that '
'what it grants and takes holds in its very instant.';
COMMENT ON COLUMN qzpay.subscription_changes.effective_at IS 'NULL: when the subscription is resumed.';
COMMENT ON COLUMN qzpay.subscription_changes.invoice_id IS 'The invoice on which it was prorated, if it was invoiced by itself.';
CREATE UNIQUE INDEX subscription_changes_pending_key ON qzpay.subscription_changes (tenant_id, subscription_id) WHERE status = 'pending';
CREATE INDEX subscription_changes_subscription_id_idx ON qzpay.subscription_changes (tenant_id, subscription_id);

CREATE TABLE qzpay.transitions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    machine text NOT NULL CHECK (machine IN ('subscription', 'invoice', 'attempt')),
    object_id uuid NOT NULL,
    from_status text,
    to_status text NOT NULL,
    reason text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
COMMENT ON TABLE qzpay.transitions IS
'Append-only history of every status, written by the trigger that also emits the event. occurred_at is the customer''s time, recorded_at the server''s.';
CREATE INDEX transitions_object_id_idx ON qzpay.transitions (tenant_id, object_id);
