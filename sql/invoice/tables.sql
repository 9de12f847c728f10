CREATE TABLE qzpay.invoice_series (
    seller_id uuid NOT NULL REFERENCES qzpay.sellers,
    livemode boolean NOT NULL,
    year integer NOT NULL,
    last_number bigint NOT NULL CHECK (last_number >= 0),
    last_issued_at timestamptz NOT NULL,
    PRIMARY KEY (seller_id, livemode, year)
);
COMMENT ON TABLE qzpay.invoice_series IS
'Gapless numbers per seller, year of issue in the seller''s zone, and mode. The row is locked by the transaction that finalises, as its last write; a rollback gives the number back.';

CREATE TABLE qzpay.invoices (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    subscription_id uuid,
    seller_id uuid NOT NULL REFERENCES qzpay.sellers,
    livemode boolean NOT NULL,
    kind text NOT NULL CHECK (kind IN ('subscription', 'usage', 'proration', 'manual')),
    status qzpay.invoice_status NOT NULL,
    status_reason text,
    number text,
    series_year integer,
    series_number bigint CHECK (series_number > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    line_count integer NOT NULL CHECK (line_count >= 0),
    subtotal bigint NOT NULL,
    discount_total bigint NOT NULL DEFAULT 0 CHECK (discount_total >= 0),
    tax_total bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL CHECK (total >= 0),
    balance_applied bigint NOT NULL DEFAULT 0,
    amount_due bigint NOT NULL CHECK (amount_due >= 0),
    amount_paid bigint NOT NULL DEFAULT 0 CHECK (amount_paid >= 0),
    amount_in_flight bigint NOT NULL DEFAULT 0 CHECK (amount_in_flight >= 0),
    amount_credited bigint NOT NULL DEFAULT 0 CHECK (amount_credited >= 0),
    amount_written_off bigint NOT NULL DEFAULT 0 CHECK (amount_written_off >= 0),
    period_start timestamptz,
    period_end timestamptz,
    collection text NOT NULL DEFAULT 'charge_automatically' CHECK (collection IN ('charge_automatically', 'send_invoice')),
    issued_at timestamptz,
    due_at timestamptz,
    paid_at timestamptz,
    closed_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    UNIQUE (seller_id, livemode, series_year, series_number),
    CHECK (total = subtotal - discount_total + tax_total),
    CHECK (amount_due = total - balance_applied),
    CHECK (amount_paid + amount_in_flight + amount_credited + amount_written_off <= amount_due),
    CHECK ((status = 'draft') = (number IS NULL)),
    CHECK ((number IS NULL) = (issued_at IS NULL) AND (number IS NULL) = (series_number IS NULL) AND (number IS NULL) = (series_year IS NULL)),
    CHECK (status <> 'paid' OR amount_paid + amount_credited = amount_due)
) WITH (fillfactor = 85);
COMMENT ON TABLE qzpay.invoices IS
'Bills. Amounts in minor units: total = subtotal − discounts + tax, amount_due = total − balance_applied, and paid + in flight + credited + written off never exceed it. '
'Numbered when finalised, immutable from then on but for how it is settled. Personal data of the buyer is in invoice_parties.';
CREATE INDEX invoices_id_idx ON qzpay.invoices (id);
CREATE INDEX invoices_customer_id_idx ON qzpay.invoices (tenant_id, customer_id, issued_at);
CREATE INDEX invoices_subscription_id_idx ON qzpay.invoices (tenant_id, subscription_id);
CREATE INDEX invoices_open_idx ON qzpay.invoices (due_at) WHERE status = 'open';

CREATE TABLE qzpay.invoice_parties (
    tenant_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    name text,
    email text,
    address jsonb NOT NULL DEFAULT '{}',
    tax_ids jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, invoice_id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices
);
COMMENT ON TABLE qzpay.invoice_parties IS 'The buyer as printed on a finalised invoice: kept apart because only erasure may ever change it.';

CREATE TABLE qzpay.invoice_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    kind text NOT NULL CHECK (kind IN ('plan', 'addon', 'usage', 'service', 'proration', 'setup', 'shipping', 'commitment', 'balance')),
    product_id uuid,
    price_id uuid,
    charge_id uuid,
    subscription_item_id uuid,
    meter_id uuid,
    description text NOT NULL,
    period_start timestamptz,
    period_end timestamptz,
    quantity numeric NOT NULL,
    unit_amount numeric,
    exact_amount numeric NOT NULL,
    amount bigint NOT NULL,
    discount_amount bigint NOT NULL DEFAULT 0,
    tax_amount bigint NOT NULL DEFAULT 0,
    proration boolean NOT NULL DEFAULT false,
    source_line_id uuid,
    discounts jsonb,
    taxes jsonb,
    metadata jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, invoice_id, position),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    CHECK (abs(amount - exact_amount) <= 0.5),
    CHECK (period_start < period_end),
    CHECK (source_line_id IS NULL OR amount <= 0)
);
COMMENT ON TABLE qzpay.invoice_lines IS
'What an invoice is made of. exact_amount is the rated amount, amount its one rounding to minor units; discount and tax are per line and add up to the invoice''s.';
COMMENT ON COLUMN qzpay.invoice_lines.source_line_id IS 'The debit (id of a line) of which this credit gives back the unused part.';
COMMENT ON COLUMN qzpay.invoice_lines.discounts IS 'What makes up discount_amount: array of {code, amount}.';
COMMENT ON COLUMN qzpay.invoice_lines.taxes IS 'What makes up tax_amount: array of {code, rate, inclusive, amount}.';
CREATE INDEX invoice_lines_item_idx ON qzpay.invoice_lines (tenant_id, subscription_item_id) WHERE subscription_item_id IS NOT NULL AND kind <> 'usage';
CREATE INDEX invoice_lines_source_idx ON qzpay.invoice_lines (tenant_id, source_line_id) WHERE source_line_id IS NOT NULL;

CREATE TABLE qzpay.pending_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    subscription_id uuid,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    kind text NOT NULL CHECK (kind IN ('plan', 'addon', 'usage', 'service', 'setup', 'shipping', 'commitment', 'balance')),
    product_id uuid,
    price_id uuid,
    subscription_item_id uuid,
    description text NOT NULL,
    period_start timestamptz,
    period_end timestamptz,
    quantity numeric NOT NULL,
    unit_amount numeric,
    exact_amount numeric NOT NULL,
    amount bigint NOT NULL,
    proration boolean NOT NULL DEFAULT false,
    source_line_id uuid,
    tax_amount bigint,
    taxes jsonb,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    CHECK (abs(amount - exact_amount) <= 0.5)
);
COMMENT ON TABLE qzpay.pending_lines IS
'Lines that wait for the next invoice of their subscription (or, without one, of their customer): prorations, and what was added by hand. A row leaves when it is invoiced.';
CREATE INDEX pending_lines_subscription_id_idx ON qzpay.pending_lines (tenant_id, subscription_id);
