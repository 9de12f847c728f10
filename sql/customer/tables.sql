CREATE TABLE qzpay.customers (
    tenant_id uuid NOT NULL REFERENCES qzpay.tenants,
    id uuid NOT NULL,
    external_id text NOT NULL CHECK (length(external_id) BETWEEN 1 AND 255),
    email text,
    name text,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    locale text NOT NULL DEFAULT 'en',
    timezone text NOT NULL DEFAULT 'UTC',
    address jsonb NOT NULL DEFAULT '{}',
    tax_ids jsonb NOT NULL DEFAULT '[]',
    tax_exempt text NOT NULL DEFAULT 'none' CHECK (tax_exempt IN ('none', 'exempt', 'reverse')),
    tax_rates text[] CHECK (tax_rates <> '{}'),
    billing_emails text[] NOT NULL DEFAULT '{}',
    po_number text,
    collection text NOT NULL DEFAULT 'charge_automatically' CHECK (collection IN ('charge_automatically', 'send_invoice')),
    net_days integer NOT NULL DEFAULT 0 CHECK (net_days BETWEEN 0 AND 3650),
    invoice_consolidation text CHECK (invoice_consolidation IN ('none', 'day')),
    segments text[] NOT NULL DEFAULT '{}',
    seller_id uuid NOT NULL REFERENCES qzpay.sellers,
    livemode boolean NOT NULL,
    test_clock_id uuid REFERENCES qzpay.test_clocks,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    erased_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, external_id),
    CHECK (NOT (livemode AND test_clock_id IS NOT NULL))
);
COMMENT ON TABLE qzpay.customers IS
'Who is billed. id is derived from tenant and external id, so the application may use either; a foreign key from or to its own tables survives dumps.';
COMMENT ON COLUMN qzpay.customers.tax_rates IS 'Codes of the tax rates that apply to this customer whatever its address; NULL: those of its place.';
COMMENT ON COLUMN qzpay.customers.collection IS 'How invoices of its subscriptions are collected; with send_invoice they are due net_days × 24 h after issue and nothing is charged by itself.';
COMMENT ON COLUMN qzpay.customers.invoice_consolidation IS 'none: an invoice for each subscription; day: one for all that is due on a day of the customer''s zone; NULL: the setting of that name.';
CREATE INDEX customers_invoice_consolidation_idx ON qzpay.customers (invoice_consolidation) WHERE invoice_consolidation = 'day';
CREATE INDEX customers_id_idx ON qzpay.customers (id);
CREATE INDEX customers_test_clock_id_idx ON qzpay.customers (test_clock_id) WHERE test_clock_id IS NOT NULL;

CREATE TABLE qzpay.payment_methods (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    provider text NOT NULL REFERENCES qzpay.providers,
    type text NOT NULL DEFAULT 'card',
    token text NOT NULL CHECK (length(token) BETWEEN 1 AND 255),
    brand text,
    last4 text CHECK (last4 ~ '^[0-9]{4}$'),
    exp_month integer CHECK (exp_month BETWEEN 1 AND 12),
    exp_year integer CHECK (exp_year BETWEEN 2000 AND 2200),
    is_default boolean NOT NULL,
    blocked_reason text,
    metadata jsonb NOT NULL DEFAULT '{}',
    test_clock_id uuid,
    next_warning_at timestamptz,
    created_at timestamptz NOT NULL,
    detached_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    CHECK ((exp_month IS NULL) = (exp_year IS NULL)),
    CHECK (NOT (is_default AND detached_at IS NOT NULL))
);
COMMENT ON TABLE qzpay.payment_methods IS
'Saved ways to pay: the provider''s token and what may be shown of it, never a card number. A blocked method is not retried by itself.';
CREATE INDEX payment_methods_id_idx ON qzpay.payment_methods (id);
CREATE UNIQUE INDEX payment_methods_default_key ON qzpay.payment_methods (tenant_id, customer_id) WHERE is_default;
CREATE INDEX payment_methods_customer_id_idx ON qzpay.payment_methods (tenant_id, customer_id);
CREATE INDEX payment_methods_next_warning_at_idx ON qzpay.payment_methods (next_warning_at) WHERE next_warning_at IS NOT NULL AND test_clock_id IS NULL;
CREATE INDEX payment_methods_test_clock_id_idx ON qzpay.payment_methods (test_clock_id, next_warning_at) WHERE test_clock_id IS NOT NULL;
COMMENT ON COLUMN qzpay.payment_methods.next_warning_at IS 'When the next warning of its expiry is due; NULL: none is left.';
