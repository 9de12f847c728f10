CREATE TABLE qzpay.sandbox_charges (
    tenant_id uuid NOT NULL REFERENCES qzpay.tenants,
    id text NOT NULL,
    idempotency_key text NOT NULL,
    attempt_id uuid NOT NULL,
    token text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    status text NOT NULL CHECK (status IN ('succeeded', 'declined', 'requires_action', 'canceled')),
    decline_code text,
    answers integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, idempotency_key)
);
COMMENT ON TABLE qzpay.sandbox_charges IS
'The sandbox provider''s own books: what it did under which idempotency key, so that a repeated call gets the first result and a lookup finds what was never answered. Not part of ours.';

CREATE TABLE qzpay.sandbox_refunds (
    tenant_id uuid NOT NULL,
    id text NOT NULL,
    idempotency_key text NOT NULL,
    charge_id text NOT NULL,
    attempt_id uuid NOT NULL,
    token text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    status text NOT NULL CHECK (status IN ('succeeded', 'processing', 'failed')),
    answers integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, charge_id) REFERENCES qzpay.sandbox_charges,
    UNIQUE (tenant_id, idempotency_key)
);
COMMENT ON TABLE qzpay.sandbox_refunds IS 'What the sandbox provider gave back, and under which idempotency key: its own books, like sandbox_charges.';
