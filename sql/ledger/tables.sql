CREATE TABLE qzpay.ledger_accounts (
    code text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('asset', 'liability', 'income', 'expense')),
    name text NOT NULL
);
COMMENT ON TABLE qzpay.ledger_accounts IS 'Chart of accounts; every balance is further told apart by tenant, seller, mode and currency of its transfers.';

CREATE TABLE qzpay.ledger_transfers (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    seller_id uuid NOT NULL,
    livemode boolean NOT NULL,
    debit_account text NOT NULL REFERENCES qzpay.ledger_accounts,
    credit_account text NOT NULL REFERENCES qzpay.ledger_accounts,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    cause text NOT NULL CHECK (cause IN ('invoice', 'payment', 'refund', 'credit_note', 'write_off', 'void', 'recognition', 'payout', 'dispute', 'balance', 'goodwill', 'grant', 'breakage')),
    cause_id uuid NOT NULL,
    posted_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    CHECK (debit_account <> credit_account)
);
COMMENT ON TABLE qzpay.ledger_transfers IS
'Double entry, one row per movement from the credited to the debited account, so it balances by construction. Append-only; a correction is another transfer.';
CREATE INDEX ledger_transfers_cause_idx ON qzpay.ledger_transfers (tenant_id, cause_id);

CREATE TABLE qzpay.balances (
    tenant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount >= 0),
    refundable bigint NOT NULL DEFAULT 0 CHECK (refundable BETWEEN 0 AND amount),
    PRIMARY KEY (tenant_id, customer_id, currency),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
) WITH (fillfactor = 70);
COMMENT ON TABLE qzpay.balances IS 'Credit of a customer per currency, in minor units: the account customer_balance of the ledger, kept as a row that can be locked. Applied to the next invoice by itself. '
'refundable: the part that stems from money received and may be paid out; what invoices use is taken from the rest first.';

CREATE TABLE qzpay.balance_entries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    balance_after bigint NOT NULL CHECK (balance_after >= 0),
    refundable bigint NOT NULL DEFAULT 0,
    cause text NOT NULL CHECK (cause IN ('invoice', 'invoice_excess', 'credit_note', 'void', 'goodwill', 'payment', 'refund', 'import', 'carry')),
    cause_id uuid NOT NULL,
    description text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id, currency) REFERENCES qzpay.balances
);
COMMENT ON TABLE qzpay.balance_entries IS 'Every movement of a balance, append-only. cause invoice: used by that invoice; invoice_excess: credits beyond its debits. '
'refundable: by how much the refundable part moved.';
CREATE INDEX balance_entries_customer_id_idx ON qzpay.balance_entries (tenant_id, customer_id, currency);

CREATE TABLE qzpay.credit_grants (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount bigint NOT NULL CHECK (amount > 0),
    remaining bigint NOT NULL CHECK (remaining BETWEEN 0 AND amount),
    category text NOT NULL CHECK (category IN ('paid', 'promotional')),
    name text,
    priority integer NOT NULL CHECK (priority BETWEEN 0 AND 100),
    paid_by uuid,
    effective_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    expired_amount bigint NOT NULL DEFAULT 0 CHECK (expired_amount >= 0),
    closed_at timestamptz,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, paid_by) REFERENCES qzpay.invoices,
    CHECK (effective_at < expires_at),
    CHECK ((category = 'paid') = (paid_by IS NOT NULL)),
    CHECK (remaining = 0 OR closed_at IS NULL)
) WITH (fillfactor = 80);
COMMENT ON TABLE qzpay.credit_grants IS
'Prepaid and promotional credit that pays invoices after the balance, until it expires: lowest priority number first, then what expires first, then the oldest. What has not been used at expires_at is booked as breakage.';
CREATE INDEX credit_grants_left_idx ON qzpay.credit_grants (tenant_id, customer_id) WHERE remaining > 0;
CREATE INDEX credit_grants_expires_at_idx ON qzpay.credit_grants (expires_at) WHERE remaining > 0;
CREATE INDEX credit_grants_paid_by_idx ON qzpay.credit_grants (tenant_id, paid_by) WHERE paid_by IS NOT NULL;

CREATE TABLE qzpay.grant_uses (
    tenant_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    used_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, grant_id, invoice_id),
    FOREIGN KEY (tenant_id, grant_id) REFERENCES qzpay.credit_grants,
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices
);
COMMENT ON TABLE qzpay.grant_uses IS 'Which invoice was paid by which grant. Append-only.';
CREATE INDEX grant_uses_invoice_id_idx ON qzpay.grant_uses (tenant_id, invoice_id);

CREATE TABLE qzpay.revenue_schedules (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    amount bigint NOT NULL,
    recognized bigint NOT NULL DEFAULT 0,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    recognized_at timestamptz NOT NULL DEFAULT '-infinity',
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices,
    CHECK (period_start <= period_end)
) WITH (fillfactor = 70);
COMMENT ON TABLE qzpay.revenue_schedules IS
'What of a line (id, of an invoice or a credit note) that was posted to deferred revenue is recognised, until when. Filled by recognize_revenue() only; credits and notes have negative amounts.';
CREATE INDEX revenue_schedules_left_idx ON qzpay.revenue_schedules (recognized_at) WHERE NOT done;
CREATE INDEX revenue_schedules_invoice_id_idx ON qzpay.revenue_schedules (tenant_id, invoice_id);
