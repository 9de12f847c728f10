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
