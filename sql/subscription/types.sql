CREATE TYPE qzpay.subscription_state AS (
    id uuid, customer_id uuid, status qzpay.subscription_status, status_reason text, plan text, quantity integer,
    current_period tstzrange, trial_end timestamptz, cancel_at timestamptz, has_access boolean, access_until timestamptz
);
COMMENT ON TYPE qzpay.subscription_state IS
'A subscription as the functions that change it return it. current_period is half-open; has_access is judged at the customer''s now.';

CREATE TYPE qzpay._roll AS (
    tenant_id uuid, subscription_id uuid, customer_id uuid, seller_id uuid, livemode boolean, currency text,
    due_at timestamptz,             -- the instant whose work this is
    ends boolean, end_reason text,  -- the contract is over at due_at
    bills boolean, converts boolean, cycle text, ordinal integer,
    bill_start timestamptz, bill_end timestamptz, anchor timestamptz,
    closes_usage boolean, rates_usage boolean, usage_start timestamptz, usage_end timestamptz,   -- the usage period that is closed
    next_usage_start timestamptz, next_usage_end timestamptz,
    usage_ordinal integer, interval_unit text, interval_count integer,
    invoice_id uuid
);
COMMENT ON TYPE qzpay._roll IS 'One subscription at one instant of its own, with what is to happen there; the working set of _advance_subscriptions().';
