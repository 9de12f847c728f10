CREATE TYPE qzpay._line AS (
    tenant_id uuid, invoice_id uuid, kind text, product_id uuid, price_id uuid, charge_id uuid, subscription_item_id uuid, meter_id uuid, description text,
    period_start timestamptz, period_end timestamptz, quantity numeric, unit_amount numeric, exact_amount numeric, amount bigint, proration boolean,
    source_line_id uuid,            -- the debit that a credit takes back; its discount and tax are settled with it
    discount_amount bigint,         -- NULL: none, or not judged yet
    tax_amount bigint,
    discounts jsonb, taxes jsonb, metadata jsonb,
    id uuid,                        -- of a pending line; NULL: a new one
    subscription_id uuid            -- NULL: that of the invoice
);
COMMENT ON TYPE qzpay._line IS 'An invoice line before its invoice is written.';

CREATE TYPE qzpay._bill AS (
    tenant_id uuid, invoice_id uuid, customer_id uuid, subscription_id uuid, seller_id uuid, livemode boolean, currency text,
    kind text, due_at timestamptz,  -- orders the numbers
    period_start timestamptz, period_end timestamptz, collection text, net_days integer, metadata jsonb,
    billing_day date                -- whose due subscriptions share the invoice; NULL: it is one's own
);
COMMENT ON TYPE qzpay._bill IS
'An invoice before it is written; its lines carry its id. One that subscriptions share is a bill for each of them, with the same id and day, and their lines name them.';

CREATE TYPE qzpay._take AS (
    line_id uuid, line_position integer, kind text, description text, period_start timestamptz, period_end timestamptz,
    net bigint, tax bigint, included bigint, taxes jsonb
);
COMMENT ON TYPE qzpay._take IS 'What a credit note takes from a line, before the note is written.';

CREATE TYPE qzpay.credit_note_result AS (id uuid, number text, total bigint, to_invoice bigint, to_balance bigint, to_refund bigint);
COMMENT ON TYPE qzpay.credit_note_result IS
'A credit note that was issued: its total, and what of it reduced the unpaid part of the invoice, became balance, and is to be paid back, in minor units.';
