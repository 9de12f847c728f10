CREATE TYPE qzpay.promo_code_answer AS (
    valid boolean, code text, type text, amount bigint, total bigint, currency text, periods integer, trial_days integer, description text, reason text, explanation text
);
COMMENT ON TYPE qzpay.promo_code_answer IS
'The answer of validate_promo_code(). amount is what the first invoice would be less by and total what is left of it, before tax, in minor units; periods: how many invoices it is for (NULL: all); '
'trial_days: by how many days it extends a trial. reason is a word of docs/discounts.md, NULL when valid.';

CREATE TYPE qzpay._judged_bill AS (
    tenant_id uuid, invoice_id uuid, customer_id uuid, subscription_id uuid, due_at timestamptz,
    cart jsonb, positions bigint[],     -- of the cart's lines among all lines
    period_end timestamptz,             -- of the period that its plan and add-on lines begin
    terms jsonb, facts jsonb, timezone text, result jsonb
);
COMMENT ON TYPE qzpay._judged_bill IS 'An invoice about to be written with what apply_discounts() is given and says.';

CREATE TYPE qzpay._used_discount AS (
    tenant_id uuid, customer_id uuid, subscription_id uuid, trigger text, code text, due_at timestamptz, amount bigint, begins_period boolean, period_end timestamptz, reason text
);
COMMENT ON TYPE qzpay._used_discount IS 'What an invoice uses of a discount, or (reason) that its periods are over.';
