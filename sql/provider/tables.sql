CREATE TABLE qzpay.providers (
    code text PRIMARY KEY CHECK (code ~ '^[a-z][a-z0-9_]*$'),
    kind text NOT NULL CHECK (kind IN ('payment', 'email', 'tax')),
    transport text NOT NULL CHECK (transport IN ('http', 'internal', 'manual')),
    request_function text NOT NULL,
    outcome_function text NOT NULL,
    event_function text,
    base_url text,
    account text NOT NULL DEFAULT 'default',
    secret_names text[] NOT NULL DEFAULT '{}',
    capabilities jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    paused_at timestamptz,
    paused_reason text,
    CHECK ((transport = 'http') = (base_url IS NOT NULL))
);
COMMENT ON TABLE qzpay.providers IS
'Adapters to the outside, the built-in ones registered as a user''s own would be: three SQL functions, where they live, and what the provider can do (capabilities: two_phase, lookup_by_reference, cancel, refund, idempotency_hours …). A paused lane sends nothing and loses nothing.';

CREATE TABLE qzpay.provider_limits (
    provider text NOT NULL REFERENCES qzpay.providers,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    exponent integer NOT NULL CHECK (exponent BETWEEN 0 AND 4),
    step bigint NOT NULL DEFAULT 1 CHECK (step > 0),
    min_amount bigint NOT NULL DEFAULT 1 CHECK (min_amount > 0),
    max_amount bigint CHECK (max_amount >= min_amount),
    PRIMARY KEY (provider, currency)
);
COMMENT ON TABLE qzpay.provider_limits IS
'What a provider accepts per currency where it differs from ISO 4217, in our minor units: an amount that does not fit is refused before it is sent, never rounded.';
