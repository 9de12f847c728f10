-- Where it lives is the administrator's once it is there.
INSERT INTO qzpay.providers (code, kind, transport, request_function, outcome_function, base_url, secret_names, capabilities) VALUES
    ('stripe', 'payment', 'http', 'qzpay.stripe_request', 'qzpay.stripe_outcome', 'https://api.stripe.com', '{STRIPE_SECRET_KEY}',
     '{"two_phase": true, "lookup_by_id": true, "lookup_by_reference": true, "cancel": true, "refund": true, "idempotency_hours": 24}')
ON CONFLICT (code) DO UPDATE SET request_function = EXCLUDED.request_function, outcome_function = EXCLUDED.outcome_function, secret_names = EXCLUDED.secret_names;

-- Charged with a number of decimals that is not ISO 4217's. In our minor units: the krona and the shilling are whole for us and
-- hundredths for Stripe, dinars and rials go by steps of ten of their thousandths.
INSERT INTO qzpay.provider_limits (provider, currency, exponent, step) VALUES
    ('stripe', 'ISK', 2, 1), ('stripe', 'UGX', 2, 1),
    ('stripe', 'BHD', 3, 10), ('stripe', 'JOD', 3, 10), ('stripe', 'KWD', 3, 10), ('stripe', 'OMR', 3, 10), ('stripe', 'TND', 3, 10)
ON CONFLICT (provider, currency) DO NOTHING;
INSERT INTO qzpay.provider_limits (provider, currency, exponent, min_amount, max_amount) VALUES
    ('stripe', 'USD', 2, 50, 99999999), ('stripe', 'EUR', 2, 50, 99999999), ('stripe', 'GBP', 2, 30, 99999999)
ON CONFLICT (provider, currency) DO NOTHING;
