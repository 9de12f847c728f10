CREATE TYPE qzpay.subscription_state AS (
    id uuid, customer_id uuid, status qzpay.subscription_status, status_reason text, plan text, quantity integer,
    current_period tstzrange, trial_end timestamptz, cancel_at timestamptz, has_access boolean, access_until timestamptz
);
COMMENT ON TYPE qzpay.subscription_state IS
'A subscription as the functions that change it return it. current_period is half-open; has_access is judged at the customer''s now.';

CREATE TYPE qzpay._item AS (
    product_id uuid, price_id uuid, kind text, scope text, quantity integer, name text, unit_amount numeric, included jsonb, metadata jsonb
);
COMMENT ON TYPE qzpay._item IS 'A part of a subscription without its dates; two that are equal are the same part.';

CREATE TYPE qzpay._sub AS (
    tenant_id uuid, id uuid, customer_id uuid, status qzpay.subscription_status, currency text, interval_unit text, interval_count integer, usage_unit text, usage_count integer,
    timezone text, trial_end timestamptz, anchor timestamptz, current_period_start timestamptz, current_period_end timestamptz, usage_period_start timestamptz,
    usage_period_end timestamptz, has_payment_method boolean, managed_by text, period_comped boolean, pause_at timestamptz, resume_at timestamptz, cancel_at timestamptz,
    ended_at timestamptz, test_clock_id uuid, next_due_at timestamptz, set_aside_at timestamptz, now timestamptz
);
COMMENT ON TYPE qzpay._sub IS 'A locked subscription as the functions that change it read it, with its customer''s now.';

CREATE TYPE qzpay._roll AS (
    tenant_id uuid, subscription_id uuid, customer_id uuid, seller_id uuid, livemode boolean, currency text,
    due_at timestamptz,             -- the instant whose work this is
    ends boolean, end_reason text,  -- the contract is over at due_at
    pauses boolean, starts_trial boolean,
    activates boolean,              -- a trial converts, a pause is over
    resets boolean,                 -- periods are counted from a new anchor
    comped boolean,                 -- the period that begins is free
    bills boolean, cycle text, ordinal integer, bill_start timestamptz, bill_end timestamptz,
    full_start timestamptz,         -- where the whole period would begin; before bill_start for a first part of one
    anchor timestamptz,
    closes_usage boolean, rates_usage boolean, usage_start timestamptz, usage_end timestamptz,   -- the usage period that is closed
    next_usage_start timestamptz, next_usage_end timestamptz, usage_ordinal integer,
    interval_unit text, interval_count integer, change_id uuid, invoice_id uuid, metadata jsonb
);
COMMENT ON TYPE qzpay._roll IS 'One subscription at one instant of its own, with what is to happen there; the working set of _advance_subscriptions().';

CREATE TYPE qzpay._cycle AS (
    tenant_id uuid, subscription_id uuid, invoice_id uuid, cycle text, interval_unit text, interval_count integer,
    ordinal integer, full_start timestamptz, period_start timestamptz, period_end timestamptz, comped boolean
);
COMMENT ON TYPE qzpay._cycle IS 'A period that begins and is billed in advance: of a subscription''s interval, or of items with one of their own.';
