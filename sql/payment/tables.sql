CREATE TABLE qzpay.dunning_policies (
    code text PRIMARY KEY,
    name text NOT NULL,
    grace_days integer NOT NULL CHECK (grace_days BETWEEN 0 AND 3650)
);
COMMENT ON TABLE qzpay.dunning_policies IS 'What happens after a failed payment; a plan names one.';

CREATE TABLE qzpay.dunning_steps (
    policy text NOT NULL REFERENCES qzpay.dunning_policies,
    step integer NOT NULL CHECK (step > 0),
    after_days integer NOT NULL CHECK (after_days >= 0),
    action text NOT NULL CHECK (action IN ('retry', 'email', 'restrict', 'mark_unpaid', 'cancel')),
    template text,
    PRIMARY KEY (policy, step)
);
COMMENT ON TABLE qzpay.dunning_steps IS
'Steps of a policy, each n × 24 h after the first definite failure. The final one (cancel, mark_unpaid) waits for the end of grace and for any attempt still in flight.';

CREATE TABLE qzpay.dunning_cases (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    policy text NOT NULL REFERENCES qzpay.dunning_policies,
    opened_at timestamptz NOT NULL,
    grace_until timestamptz NOT NULL,
    step integer NOT NULL DEFAULT 0,
    closed_at timestamptz,
    outcome text CHECK (outcome IN ('recovered', 'canceled', 'unpaid')),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
);
COMMENT ON TABLE qzpay.dunning_cases IS
'One case per subscription at a time: opened by the first definite failure, joined by further invoices, closed when none of them is open. step: the last one done.';
CREATE UNIQUE INDEX dunning_cases_open_key ON qzpay.dunning_cases (tenant_id, subscription_id) WHERE closed_at IS NULL;

CREATE TABLE qzpay.payments (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    invoice_id uuid,
    attempt_id uuid NOT NULL,
    provider text NOT NULL REFERENCES qzpay.providers,
    account text NOT NULL,
    provider_ref text NOT NULL,
    livemode boolean NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    refunding bigint NOT NULL DEFAULT 0 CHECK (refunding >= 0),
    disputed bigint NOT NULL DEFAULT 0 CHECK (disputed >= 0),
    status text NOT NULL CHECK (status IN ('pending', 'processing', 'requires_action', 'succeeded', 'failed', 'canceled')),
    paid_at timestamptz NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    UNIQUE (tenant_id, provider, account, provider_ref),
    CHECK (refunded + refunding <= amount)
);
COMMENT ON TABLE qzpay.payments IS
'Money received, one row per captured charge; refunds and disputes never exceed it. refunded was given back, refunding is planned to be or on its way, in minor units.';
CREATE INDEX payments_id_idx ON qzpay.payments (id);
CREATE INDEX payments_invoice_id_idx ON qzpay.payments (tenant_id, invoice_id);

CREATE TABLE qzpay.refund_requests (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    credit_note_id uuid,
    payment_id uuid,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    expense bigint NOT NULL DEFAULT 0 CHECK (expense BETWEEN 0 AND amount),
    refunded bigint NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    refunding bigint NOT NULL DEFAULT 0 CHECK (refunding >= 0),
    status text NOT NULL CHECK (status IN ('requested', 'done', 'canceled')),
    reason text,
    reference text,
    requested_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, credit_note_id) REFERENCES qzpay.credit_notes,
    FOREIGN KEY (tenant_id, payment_id) REFERENCES qzpay.payments,
    CHECK (refunded + refunding <= amount),
    CHECK ((status = 'requested') = (settled_at IS NULL)),
    CHECK (status = 'requested' OR refunding = 0),
    CHECK (reference IS NULL OR status = 'done'),
    CHECK (status <> 'done' OR refunded = amount OR reference IS NOT NULL)
) WITH (fillfactor = 80);
COMMENT ON TABLE qzpay.refund_requests IS
'Money to be paid back: by credit notes of mode refund, from balances, by refund(). It is owed (refunds_payable) until it is paid. refunded was paid back by providers, refunding is on its way there; '
'what is left of amount waits for a person: record_refund() says how it was paid, retry_refund() sends it again, cancel_refund() gives it up. reference: of what was paid by hand. '
'credit_note_id: the note that takes back what was invoiced; payment_id: the one payment that refund() named; expense: the part that nothing was credited for.';
CREATE INDEX refund_requests_id_idx ON qzpay.refund_requests (id);
CREATE INDEX refund_requests_customer_id_idx ON qzpay.refund_requests (tenant_id, customer_id);

CREATE TABLE qzpay.payment_attempts (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    attempt_no integer NOT NULL CHECK (attempt_no > 0),
    operation text NOT NULL CHECK (operation IN ('charge', 'refund')),
    trigger text NOT NULL CHECK (trigger IN ('billing', 'dunning', 'new_method', 'customer', 'operator')),
    provider text NOT NULL REFERENCES qzpay.providers,
    account text NOT NULL,
    payment_method_id uuid NOT NULL,
    payment_id uuid,
    refund_request_id uuid,
    livemode boolean NOT NULL,
    test_clock_id uuid,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    status qzpay.attempt_status NOT NULL,
    status_reason text,
    idempotency_key text,
    request jsonb,
    provider_ref text,
    decline_code text,
    decline_class text CHECK (decline_class IN ('later', 'needs_customer', 'never')),
    next_action jsonb,
    fence integer NOT NULL DEFAULT 0,
    leased_by text,
    lease_until timestamptz,
    crash_count integer NOT NULL DEFAULT 0,
    lookups integer NOT NULL DEFAULT 0,
    next_at timestamptz,
    first_sent_at timestamptz,
    planned_at timestamptz NOT NULL,
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    FOREIGN KEY (tenant_id, payment_method_id) REFERENCES qzpay.payment_methods,
    FOREIGN KEY (tenant_id, payment_id) REFERENCES qzpay.payments,
    FOREIGN KEY (tenant_id, refund_request_id) REFERENCES qzpay.refund_requests,
    UNIQUE (tenant_id, invoice_id, operation, attempt_no),
    CHECK ((operation = 'refund') = (payment_id IS NOT NULL)),
    CHECK ((operation = 'refund') = (refund_request_id IS NOT NULL))
) WITH (fillfactor = 70);
COMMENT ON TABLE qzpay.payment_attempts IS
'The outbox of money. T1 claims (fence, lease, frozen request and key), the network call follows with no transaction open, and whoever learns the outcome goes through _settle_attempt(). '
'next_at is when somebody must act on it next, by the server''s clock (by the test clock where the provider answers inside the database). '
'An attempt of operation refund gives back a part of the payment payment_id for a refund request; invoice and method are those of the charge.';
CREATE INDEX payment_attempts_refund_request_id_idx ON qzpay.payment_attempts (tenant_id, refund_request_id) WHERE refund_request_id IS NOT NULL;
CREATE INDEX payment_attempts_id_idx ON qzpay.payment_attempts (id);
CREATE UNIQUE INDEX payment_attempts_open_key ON qzpay.payment_attempts (tenant_id, invoice_id)
    WHERE operation = 'charge' AND status NOT IN ('succeeded', 'declined', 'rejected', 'canceled');
CREATE INDEX payment_attempts_next_at_idx ON qzpay.payment_attempts (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX payment_attempts_provider_ref_idx ON qzpay.payment_attempts (provider, provider_ref) WHERE provider_ref IS NOT NULL;
