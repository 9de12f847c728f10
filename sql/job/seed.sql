INSERT INTO qzpay.jobs (name, function, every, batch_size, position, next_run_at, description) VALUES
    ('billing', '_job_billing', '10 seconds', 1000, 1, qzpay._real_now(), 'Trial ends and reminders, renewals, usage, ends, dunning steps of customers in real time.'),
    ('overages', '_job_overages', '1 minute', 1000, 5, qzpay._real_now(), 'Tells when customers over a limit have had their days of grace.'),
    ('payment_method_expiry', '_job_payment_method_expiry', '1 hour', 1000, 4, qzpay._real_now(), 'Warns of payment methods that expire soon (setting payment_method_expiry_days).'),
    ('upcoming_invoices', '_job_upcoming', '1 hour', 1000, 6, qzpay._real_now(), 'Tells of renewals ahead, with what they will ask for (setting upcoming_invoice_days).'),
    ('usage_partitions', '_job_usage_partitions', '6 hours', 1, 2, qzpay._real_now(), 'Makes the monthly partitions of usage_events ahead.'),
    ('usage_marks', '_job_usage_marks', '15 minutes', 1000, 5, qzpay._real_now(), 'Counts rows for meters over the application''s tables up to an hour ago.'),
    ('usage_retention', '_job_usage_retention', '1 day', 1, 4, qzpay._real_now(), 'Drops months of usage events older than the setting usage_retention_months.'),
    ('invoices', '_job_invoices', '1 minute', 1000, 4, qzpay._real_now(), 'Drafts become final, unpaid invoices overdue, granted credit expires.'),
    ('idempotency_retention', '_job_idempotency_retention', '1 day', 10000, 3, qzpay._real_now(), 'Forgets idempotency keys older than the setting idempotency_days.')
ON CONFLICT (name) DO UPDATE SET function = EXCLUDED.function, position = EXCLUDED.position, description = EXCLUDED.description;

INSERT INTO qzpay.jobs (name, function, every, batch_size, enabled, position, next_run_at, description) VALUES
    ('revenue_recognition', '_job_revenue_recognition', '1 day', 10000, false, 6, qzpay._real_now(), 'Moves deferred revenue to revenue for the service given; off until somebody enables it.')
ON CONFLICT (name) DO UPDATE SET function = EXCLUDED.function, position = EXCLUDED.position, description = EXCLUDED.description;
