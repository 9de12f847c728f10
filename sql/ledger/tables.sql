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
    cause text NOT NULL CHECK (cause IN ('invoice', 'payment', 'refund', 'credit_note', 'write_off', 'recognition', 'payout', 'dispute', 'balance')),
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
    PRIMARY KEY (tenant_id, customer_id, currency),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers
) WITH (fillfactor = 70);
COMMENT ON TABLE qzpay.balances IS 'Credit of a customer per currency, in minor units: the account customer_balance of the ledger, kept as a row that can be locked. Applied to the next invoice by itself.';

CREATE TABLE qzpay.balance_entries (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    balance_after bigint NOT NULL CHECK (balance_after >= 0),
    cause text NOT NULL CHECK (cause IN ('invoice', 'invoice_excess', 'credit_note', 'goodwill', 'payment', 'refund', 'import', 'carry')),
    cause_id uuid NOT NULL,
    description text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id, currency) REFERENCES qzpay.balances
);
COMMENT ON TABLE qzpay.balance_entries IS 'Every movement of a balance, append-only. cause invoice: used by that invoice; invoice_excess: credits beyond its debits.';
CREATE INDEX balance_entries_customer_id_idx ON qzpay.balance_entries (tenant_id, customer_id, currency);
