CREATE TABLE qzpay.invoice_series (
    seller_id uuid NOT NULL REFERENCES qzpay.sellers,
    livemode boolean NOT NULL,
    document text NOT NULL DEFAULT 'invoice' CHECK (document IN ('invoice', 'credit_note')),
    year integer NOT NULL,
    last_number bigint NOT NULL CHECK (last_number >= 0),
    last_issued_at timestamptz NOT NULL,
    PRIMARY KEY (seller_id, livemode, document, year)
);
COMMENT ON TABLE qzpay.invoice_series IS
'Gapless numbers per seller, kind of document, year of issue in the seller''s zone, and mode. The row is locked by the transaction that finalises, as its last write; a rollback gives the number back.';

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
    tax_included bigint NOT NULL DEFAULT 0,
    tax_exempt text NOT NULL DEFAULT 'none' CHECK (tax_exempt IN ('none', 'exempt', 'reverse')),
    tax_note text,
    total bigint NOT NULL CHECK (total >= 0),
    balance_applied bigint NOT NULL DEFAULT 0 CHECK (balance_applied >= 0),
    grants_applied bigint NOT NULL DEFAULT 0 CHECK (grants_applied >= 0),
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
    finalize_at timestamptz,
    net_days integer CHECK (net_days BETWEEN 0 AND 3650),
    overdue_at timestamptz,
    reminders integer NOT NULL DEFAULT 0,
    po_number text,
    replaces uuid,
    billing_day date,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    UNIQUE (seller_id, livemode, series_year, series_number),
    CHECK (total = subtotal - discount_total + tax_total),
    CHECK (amount_due = total - balance_applied - grants_applied),
    CHECK (amount_paid + amount_in_flight + amount_credited + amount_written_off <= amount_due),
    CHECK ((status = 'draft') = (number IS NULL)),
    CHECK ((number IS NULL) = (issued_at IS NULL) AND (number IS NULL) = (series_number IS NULL) AND (number IS NULL) = (series_year IS NULL)),
    CHECK (status <> 'paid' OR amount_paid + amount_credited = amount_due)
) WITH (fillfactor = 85);
COMMENT ON TABLE qzpay.invoices IS
'Bills. Amounts in minor units: total = subtotal − discounts + tax, amount_due = total − balance_applied − grants_applied, and paid + in flight + credited + written off never exceed it. '
'Numbered when finalised, immutable from then on but for how it is settled. Personal data of the buyer is in invoice_parties.';
COMMENT ON COLUMN qzpay.invoices.tax_total IS 'Tax added to the prices. What prices contain is tax_included, a part of subtotal − discounts; the tax of the invoice is the sum of both.';
COMMENT ON COLUMN qzpay.invoices.tax_note IS 'What an invoice without tax has to say why, as set when it was made (settings tax_exempt_note, tax_reverse_note).';
COMMENT ON COLUMN qzpay.invoices.finalize_at IS 'When a draft becomes final by itself; NULL: when somebody says so.';
COMMENT ON COLUMN qzpay.invoices.overdue_at IS 'Since when it has been overdue, set once, when invoice.overdue was emitted; reminders counts those sent after.';
COMMENT ON COLUMN qzpay.invoices.replaces IS 'The voided invoice in whose place this one was issued.';
COMMENT ON COLUMN qzpay.invoices.subscription_id IS 'The subscription it bills; NULL for one made by hand, and where several share it: those are in invoice_shares, all together in the view invoice_subscriptions.';
COMMENT ON COLUMN qzpay.invoices.billing_day IS 'The day, in the customer''s zone, whose due subscriptions were put on this one invoice (setting invoice_consolidation); NULL: an invoice of its own. There is one per customer, seller, currency and day.';
CREATE UNIQUE INDEX invoices_billing_day_key ON qzpay.invoices (tenant_id, customer_id, seller_id, currency, billing_day) WHERE billing_day IS NOT NULL;
CREATE INDEX invoices_id_idx ON qzpay.invoices (id);
CREATE INDEX invoices_customer_id_idx ON qzpay.invoices (tenant_id, customer_id, issued_at);
CREATE INDEX invoices_subscription_id_idx ON qzpay.invoices (tenant_id, subscription_id);
CREATE INDEX invoices_open_idx ON qzpay.invoices (due_at) WHERE status = 'open';
CREATE INDEX invoices_overdue_idx ON qzpay.invoices (due_at) WHERE status = 'open' AND (collection = 'send_invoice' OR kind = 'manual');
CREATE INDEX invoices_draft_idx ON qzpay.invoices (finalize_at) WHERE status = 'draft';

CREATE TABLE qzpay.invoice_parties (
    tenant_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    name text,
    email text,
    billing_emails text[] NOT NULL DEFAULT '{}',
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
    tax_included bigint NOT NULL DEFAULT 0,
    proration boolean NOT NULL DEFAULT false,
    source_line_id uuid,
    discounts jsonb,
    taxes jsonb,
    metadata jsonb NOT NULL DEFAULT '{}',
    subscription_id uuid,
    PRIMARY KEY (tenant_id, invoice_id, position),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    CHECK (abs(amount - exact_amount) <= 0.5),
    CHECK (period_start < period_end),
    CHECK (source_line_id IS NULL OR amount <= 0),
    CHECK (tax_amount = 0 AND tax_included = 0 OR taxes IS NOT NULL)
);
COMMENT ON TABLE qzpay.invoice_lines IS
'What an invoice is made of. exact_amount is the rated amount, amount its one rounding to minor units; discount and tax are per line and add up to the invoice''s.';
COMMENT ON COLUMN qzpay.invoice_lines.subscription_id IS 'The subscription it bills, on an invoice that several share; NULL: that of the invoice.';
COMMENT ON COLUMN qzpay.invoice_lines.source_line_id IS 'The debit (id of a line) of which this credit gives back the unused part.';
COMMENT ON COLUMN qzpay.invoice_lines.discounts IS 'What makes up discount_amount: array of {code, amount}.';
COMMENT ON COLUMN qzpay.invoice_lines.taxes IS 'What makes up tax_amount and, where inclusive, tax_included: array of {code, name, rate, inclusive, amount}; rate in percent.';
COMMENT ON COLUMN qzpay.invoice_lines.tax_included IS 'Tax that amount − discount_amount contains; tax_amount is what is added to it.';
CREATE INDEX invoice_lines_item_idx ON qzpay.invoice_lines (tenant_id, subscription_item_id) WHERE subscription_item_id IS NOT NULL AND kind <> 'usage';
CREATE INDEX invoice_lines_source_idx ON qzpay.invoice_lines (tenant_id, source_line_id) WHERE source_line_id IS NOT NULL;

CREATE TABLE qzpay.invoice_shares (
    tenant_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    period_start timestamptz,
    period_end timestamptz,
    PRIMARY KEY (tenant_id, invoice_id, subscription_id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions
);
COMMENT ON TABLE qzpay.invoice_shares IS
'The subscriptions that share an invoice, where they are several: what was due on one day. due_at is the instant whose work put each there, by which its discounts are judged. The invoice''s lines name their subscription.';
CREATE INDEX invoice_shares_subscription_id_idx ON qzpay.invoice_shares (tenant_id, subscription_id);

CREATE TABLE qzpay.pending_lines (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    subscription_id uuid,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    kind text NOT NULL CHECK (kind IN ('plan', 'addon', 'usage', 'service', 'setup', 'shipping', 'commitment', 'balance')),
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

CREATE TABLE qzpay.tax_rates (
    id uuid PRIMARY KEY,
    code text NOT NULL CHECK (code <> ''),
    tax text NOT NULL CHECK (tax <> ''),
    name text NOT NULL,
    percentage numeric NOT NULL CHECK (percentage BETWEEN 0 AND 1000 AND scale(percentage) <= 6),
    inclusive boolean NOT NULL,
    automatic boolean NOT NULL,
    seller_id uuid REFERENCES qzpay.sellers,
    country text CHECK (country ~ '^[A-Z]{2}$'),
    region text,
    products text[] CHECK (products <> '{}'),
    categories text[] CHECK (categories <> '{}'),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL DEFAULT 'infinity',
    created_at timestamptz NOT NULL,
    CHECK (valid_from < valid_until),
    CHECK (region IS NULL OR country IS NOT NULL),
    CONSTRAINT tax_rates_one_at_a_time EXCLUDE USING gist (code WITH =, tstzrange(valid_from, valid_until) WITH &&)
);
COMMENT ON TABLE qzpay.tax_rates IS
'Rates of taxes, in versions by time; a version never changes but for its end. Of the rates of one tax that fit a line the most specific counts (product, category, region, country, seller); different taxes add up. '
'NULL: whatever the seller, country (of the customer''s address), region, product. What is not automatic reaches only customers that name its code.';

CREATE TABLE qzpay.tax_answers (
    tenant_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    provider text NOT NULL REFERENCES qzpay.providers,
    request_hash bytea NOT NULL,
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
);
COMMENT ON TABLE qzpay.tax_answers IS
'What the tax provider said about an invoice, kept before the invoice is written: the same question is not asked twice, and the taxes of its lines are proved by it.';

CREATE TABLE qzpay.credit_notes (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    seller_id uuid NOT NULL REFERENCES qzpay.sellers,
    livemode boolean NOT NULL,
    number text NOT NULL,
    series_year integer NOT NULL,
    series_number bigint NOT NULL CHECK (series_number > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    mode text NOT NULL CHECK (mode IN ('balance', 'refund', 'write_off', 'reissue')),
    reason text,
    line_count integer NOT NULL CHECK (line_count > 0),
    subtotal bigint NOT NULL CHECK (subtotal >= 0),
    tax_total bigint NOT NULL CHECK (tax_total >= 0),
    tax_included bigint NOT NULL CHECK (tax_included BETWEEN 0 AND subtotal),
    total bigint NOT NULL CHECK (total > 0),
    to_invoice bigint NOT NULL CHECK (to_invoice >= 0),
    to_balance bigint NOT NULL CHECK (to_balance >= 0),
    to_refund bigint NOT NULL CHECK (to_refund >= 0),
    issued_at timestamptz NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    UNIQUE (seller_id, livemode, series_year, series_number),
    CHECK (total = subtotal + tax_total),
    CHECK (total = to_invoice + to_balance + to_refund)
);
COMMENT ON TABLE qzpay.credit_notes IS
'What an invoice was corrected by, in minor units, positive; append-only. to_invoice reduced what was unpaid, to_balance became the customer''s balance, to_refund is paid back (refund_requests). '
'Numbered without gaps in a series of their own.';
CREATE INDEX credit_notes_id_idx ON qzpay.credit_notes (id);
CREATE INDEX credit_notes_invoice_id_idx ON qzpay.credit_notes (tenant_id, invoice_id);
CREATE INDEX credit_notes_customer_id_idx ON qzpay.credit_notes (tenant_id, customer_id, issued_at);

CREATE TABLE qzpay.credit_note_lines (
    tenant_id uuid NOT NULL,
    credit_note_id uuid NOT NULL,
    position integer NOT NULL CHECK (position > 0),
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    invoice_position integer NOT NULL,
    invoice_line_id uuid NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    period_start timestamptz,
    period_end timestamptz,
    amount bigint NOT NULL CHECK (amount >= 0),
    tax_amount bigint NOT NULL CHECK (tax_amount >= 0),
    tax_included bigint NOT NULL CHECK (tax_included BETWEEN 0 AND amount),
    taxes jsonb,
    PRIMARY KEY (tenant_id, credit_note_id, position),
    FOREIGN KEY (tenant_id, credit_note_id) REFERENCES qzpay.credit_notes,
    FOREIGN KEY (tenant_id, invoice_id, invoice_position) REFERENCES qzpay.invoice_lines,
    CHECK (period_start < period_end),
    CHECK (tax_amount = 0 AND tax_included = 0 OR taxes IS NOT NULL)
);
COMMENT ON TABLE qzpay.credit_note_lines IS
'What a credit note takes from each line: net of discount, the tax that was added to it and the tax it contains. All notes and credits of a line together never take more than it has. Append-only.';
CREATE INDEX credit_note_lines_line_idx ON qzpay.credit_note_lines (tenant_id, invoice_line_id);
