INSERT INTO qzpay.settings (name, value, description) VALUES
    ('usage_alert_percents', '[75, 90, 100]', 'Percents of the included quantity (1 to 100) at which usage.warning is emitted; an array of integers.'),
    ('usage_late_window', '0', 'Hours for which a usage period stays open for late reports after its end, from 0 to 720; its invoice is made then, apart from the one of the boundary. For new subscriptions.'),
    ('usage_retention_months', '25', 'Months for which usage events are kept after the one they were recorded in, from 3 to 1200; null: for ever. Those of an open usage period are kept in any case.')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;

-- This month and the next three; a job makes the later ones.
SELECT qzpay._make_usage_partition((date_trunc('month', qzpay._recorded_at() AT TIME ZONE 'UTC') + n * interval '1 month')::date) FROM generate_series(0, 3) n;
