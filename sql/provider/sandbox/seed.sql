INSERT INTO qzpay.providers (code, kind, transport, request_function, outcome_function, capabilities) VALUES
    ('sandbox', 'payment', 'internal', 'qzpay.sandbox_request', 'qzpay.sandbox_outcome',
     '{"two_phase": false, "lookup_by_reference": true, "cancel": true, "refund": true, "test_only": true,
       "tokens": ["tok_ok", "tok_decline", "tok_insufficient_funds", "tok_lost", "tok_expired", "tok_3ds", "tok_timeout", "tok_unknown",
                  "tok_refund_fails", "tok_refund_pending", "tok_refund_timeout", "tok_refund_unknown"]}')
ON CONFLICT (code) DO UPDATE SET request_function = EXCLUDED.request_function, outcome_function = EXCLUDED.outcome_function, capabilities = EXCLUDED.capabilities;
INSERT INTO qzpay.providers (code, kind, transport, request_function, outcome_function, capabilities) VALUES
    ('sandbox_tax', 'tax', 'internal', 'qzpay.sandbox_tax', 'qzpay.sandbox_tax', '{"test_only": true}')
ON CONFLICT (code) DO UPDATE SET request_function = EXCLUDED.request_function, outcome_function = EXCLUDED.outcome_function, capabilities = EXCLUDED.capabilities;
