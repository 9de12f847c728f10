INSERT INTO qzpay.dunning_policies (code, name, grace_days) VALUES
    ('default', 'Four daily retries, five days of grace, then the end', 5),
    ('handbook', 'Letters and restriction over three weeks', 21)
ON CONFLICT (code) DO NOTHING;

-- A policy that has steps is the administrator's own.
INSERT INTO qzpay.dunning_steps (policy, step, after_days, action, template)
SELECT v.policy, v.step, v.after_days, v.action, v.template
FROM (VALUES
    ('default', 1, 1, 'retry', NULL), ('default', 2, 2, 'retry', NULL), ('default', 3, 3, 'retry', NULL), ('default', 4, 4, 'retry', NULL),
    ('default', 5, 5, 'cancel', NULL),
    ('handbook', 1, 0, 'email', 'reminder'), ('handbook', 2, 3, 'email', 'urgent'), ('handbook', 3, 7, 'restrict', NULL),
    ('handbook', 4, 14, 'email', 'final'), ('handbook', 5, 21, 'cancel', NULL)) AS v (policy, step, after_days, action, template)
WHERE NOT EXISTS (SELECT FROM qzpay.dunning_steps s WHERE s.policy = v.policy)
ON CONFLICT (policy, step) DO NOTHING;
