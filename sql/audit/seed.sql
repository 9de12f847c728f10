INSERT INTO qzpay.settings (name, value, description) VALUES
    ('audit_retention_months', 'null', 'Months for which the audit log is kept, from 3 to 1200; null: for ever.')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;

INSERT INTO qzpay.jobs (name, function, every, batch_size, position, next_run_at, description) VALUES
    ('audit_seal', '_job_audit_seal', '1 minute', 1000, 7, qzpay._real_now(), 'Chains new entries of the audit log.'),
    ('audit_retention', '_job_audit_retention', '1 day', 10000, 7, qzpay._real_now(), 'Forgets entries of the audit log older than the setting audit_retention_months.')
ON CONFLICT (name) DO UPDATE SET function = EXCLUDED.function, position = EXCLUDED.position, description = EXCLUDED.description;

INSERT INTO qzpay.audit_head (position, hash, sealed_at, base_position, base_hash)
SELECT 0, qzpay._audit_origin(), qzpay._recorded_at(), 0, qzpay._audit_origin()
WHERE NOT EXISTS (SELECT FROM qzpay.audit_head) AND NOT EXISTS (SELECT FROM qzpay.audit_entries);
