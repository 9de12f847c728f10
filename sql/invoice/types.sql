CREATE TYPE qzpay._line AS (
    tenant_id uuid, invoice_id uuid, kind text, product_id uuid, price_id uuid, charge_id uuid, subscription_item_id uuid, meter_id uuid, description text,
    period_start timestamptz, period_end timestamptz, quantity numeric, unit_amount numeric, exact_amount numeric, amount bigint, proration boolean
);
COMMENT ON TYPE qzpay._line IS 'An invoice line before its invoice is written.';
