CREATE OR REPLACE VIEW qzpay.subscription_overview WITH (security_invoker = true) AS
SELECT s.tenant_id, s.id, s.customer_id, c.external_id, s.status, s.status_reason, p.code AS plan, coalesce(i.name, p.name) AS plan_name, i.quantity,
       s.status = 'active' AS is_active,
       s.status = 'trialing' AS is_trial,
       coalesce(n.now < s.access_until, false) AS has_access,
       s.status = 'past_due' AND coalesce(n.now < s.grace_until, false) AS in_grace,
       s.ended_at IS NULL AND s.cancel_at IS NOT NULL AS will_cancel,
       s.ended_at IS NULL AND s.cancel_at IS NULL AND s.auto_renew AND s.status <> 'paused' AND s.pause_at IS NULL AS will_renew,
       greatest((e.ends_at AT TIME ZONE s.timezone)::date - (n.now AT TIME ZONE s.timezone)::date, 0) AS days_remaining,
       CASE WHEN s.status = 'trialing' THEN greatest((s.trial_end AT TIME ZONE s.timezone)::date - (n.now AT TIME ZONE s.timezone)::date, 0) END AS trial_days_remaining,
       CASE WHEN s.status = 'past_due' THEN greatest((s.grace_until AT TIME ZONE s.timezone)::date - (n.now AT TIME ZONE s.timezone)::date, 0) END AS grace_days_remaining,
       s.restricted_at IS NOT NULL AS is_restricted, s.restricted_reason, coalesce(n.now < s.comp_until, false) AS is_comped,
       h.to_plan AS scheduled_plan, h.effective_at AS scheduled_at, s.pause_at, s.paused_at, s.resume_at,
       s.has_payment_method, m.id AS default_payment_method, m.brand AS payment_method_brand, m.last4 AS payment_method_last4,
       s.current_period_start, s.current_period_end, s.trial_end, s.grace_until, s.cancel_at, s.ended_at, s.access_until
FROM qzpay.subscriptions s
JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
CROSS JOIN LATERAL (SELECT qzpay.now(s.customer_id) AS now) n
CROSS JOIN LATERAL (SELECT coalesce(s.ended_at, least(s.cancel_at, CASE WHEN s.status = 'trialing' THEN s.trial_end ELSE s.current_period_end END)) AS ends_at) e
LEFT JOIN LATERAL (SELECT i.product_id, i.name, i.quantity FROM qzpay.subscription_items i
                   WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan'
                   ORDER BY i.valid_from > n.now, CASE WHEN i.valid_from <= n.now THEN i.valid_from END DESC, i.valid_from LIMIT 1) i ON true
LEFT JOIN qzpay.subscription_changes h ON h.tenant_id = s.tenant_id AND h.subscription_id = s.id AND h.status = 'pending'
LEFT JOIN qzpay.products p ON p.id = i.product_id
LEFT JOIN qzpay.payment_methods m ON m.tenant_id = s.tenant_id AND m.customer_id = s.customer_id AND m.is_default;
COMMENT ON VIEW qzpay.subscription_overview IS
'Subscriptions as an application shows them, judged at the customer''s now: access, grace, whether it will renew or end, and days left as calendar days in the customer''s zone (0 on the last day).';
COMMENT ON COLUMN qzpay.subscription_overview.tenant_id IS 'Tenant.';
COMMENT ON COLUMN qzpay.subscription_overview.id IS 'Id of the subscription.';
COMMENT ON COLUMN qzpay.subscription_overview.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN qzpay.subscription_overview.external_id IS 'The application''s id of the customer.';
COMMENT ON COLUMN qzpay.subscription_overview.status IS 'State of the contract.';
COMMENT ON COLUMN qzpay.subscription_overview.status_reason IS 'Why it is in that state, where that is not plain.';
COMMENT ON COLUMN qzpay.subscription_overview.plan IS 'Code of the plan in force, or of the one that is to begin.';
COMMENT ON COLUMN qzpay.subscription_overview.plan_name IS 'Name of the plan, or the negotiated one.';
COMMENT ON COLUMN qzpay.subscription_overview.quantity IS 'Quantity of the plan.';
COMMENT ON COLUMN qzpay.subscription_overview.is_active IS 'Whether the status is active.';
COMMENT ON COLUMN qzpay.subscription_overview.is_trial IS 'Whether the status is trialing.';
COMMENT ON COLUMN qzpay.subscription_overview.has_access IS 'Whether access is given now: active, in trial, in grace, renewal in progress or free.';
COMMENT ON COLUMN qzpay.subscription_overview.in_grace IS 'Whether it is past due within its grace.';
COMMENT ON COLUMN qzpay.subscription_overview.will_cancel IS 'Whether an end is set that has not come.';
COMMENT ON COLUMN qzpay.subscription_overview.will_renew IS 'Whether it goes on by itself after this period.';
COMMENT ON COLUMN qzpay.subscription_overview.days_remaining IS 'Calendar days in the customer''s zone to the end of the period, trial or contract; 0 on the last day, NULL without an end.';
COMMENT ON COLUMN qzpay.subscription_overview.trial_days_remaining IS 'The same for the trial; NULL out of one.';
COMMENT ON COLUMN qzpay.subscription_overview.grace_days_remaining IS 'The same for grace; NULL unless past due.';
COMMENT ON COLUMN qzpay.subscription_overview.is_restricted IS 'Whether access is restricted, by dunning or by staff.';
COMMENT ON COLUMN qzpay.subscription_overview.restricted_reason IS 'Why it is restricted.';
COMMENT ON COLUMN qzpay.subscription_overview.is_comped IS 'Whether it is free by comp() now.';
COMMENT ON COLUMN qzpay.subscription_overview.scheduled_plan IS 'Code of the plan after the scheduled change; NULL: none is scheduled.';
COMMENT ON COLUMN qzpay.subscription_overview.scheduled_at IS 'Instant of the scheduled change; NULL: none, or with the resumption.';
COMMENT ON COLUMN qzpay.subscription_overview.pause_at IS 'Instant from which it will be paused.';
COMMENT ON COLUMN qzpay.subscription_overview.paused_at IS 'Since when it is paused.';
COMMENT ON COLUMN qzpay.subscription_overview.resume_at IS 'Instant at which it resumes.';
COMMENT ON COLUMN qzpay.subscription_overview.has_payment_method IS 'Whether the customer has a usable payment method.';
COMMENT ON COLUMN qzpay.subscription_overview.default_payment_method IS 'Id of the method that is charged.';
COMMENT ON COLUMN qzpay.subscription_overview.payment_method_brand IS 'Brand of that method.';
COMMENT ON COLUMN qzpay.subscription_overview.payment_method_last4 IS 'Last four digits of that method.';
COMMENT ON COLUMN qzpay.subscription_overview.current_period_start IS 'First instant of the running period.';
COMMENT ON COLUMN qzpay.subscription_overview.current_period_end IS 'First instant after the running period.';
COMMENT ON COLUMN qzpay.subscription_overview.trial_end IS 'First instant after the trial.';
COMMENT ON COLUMN qzpay.subscription_overview.grace_until IS 'First instant after grace.';
COMMENT ON COLUMN qzpay.subscription_overview.cancel_at IS 'Instant at which it is to end; NULL: none is set.';
COMMENT ON COLUMN qzpay.subscription_overview.ended_at IS 'Instant at which it ended; NULL: it has not.';
COMMENT ON COLUMN qzpay.subscription_overview.access_until IS 'First instant without access if nothing else happens; infinity: open end, NULL: none.';

CREATE OR REPLACE VIEW qzpay.scheduled_changes WITH (security_invoker = true) AS
SELECT h.tenant_id, h.id, h.subscription_id, s.customer_id, h.direction, h.from_plan, h.to_plan, h.interval_unit, h.interval_count, h.request, h.effective_at, h.requested_at,
       s.cancel_at IS NOT NULL AND s.cancel_at <= h.effective_at AS overtaken_by_end
FROM qzpay.subscription_changes h
JOIN qzpay.subscriptions s ON s.tenant_id = h.tenant_id AND s.id = h.subscription_id
WHERE h.status = 'pending';
COMMENT ON VIEW qzpay.scheduled_changes IS
'Changes still to come, one per subscription at most; effective_at NULL: when it is resumed. cancel_scheduled_change() takes one back; an end at or before its instant overtakes it.';
COMMENT ON COLUMN qzpay.scheduled_changes.tenant_id IS 'Tenant.';
COMMENT ON COLUMN qzpay.scheduled_changes.id IS 'Id of the change.';
COMMENT ON COLUMN qzpay.scheduled_changes.subscription_id IS 'Id of the subscription.';
COMMENT ON COLUMN qzpay.scheduled_changes.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN qzpay.scheduled_changes.direction IS 'upgrade, downgrade or lateral.';
COMMENT ON COLUMN qzpay.scheduled_changes.from_plan IS 'Code of the plan it is on.';
COMMENT ON COLUMN qzpay.scheduled_changes.to_plan IS 'Code of the plan it will be on.';
COMMENT ON COLUMN qzpay.scheduled_changes.interval_unit IS 'Unit of the billing interval after it.';
COMMENT ON COLUMN qzpay.scheduled_changes.interval_count IS 'How many units.';
COMMENT ON COLUMN qzpay.scheduled_changes.request IS 'What was asked for, as change_plan() and its kin keep it.';
COMMENT ON COLUMN qzpay.scheduled_changes.effective_at IS 'When it takes effect; NULL: with the resumption.';
COMMENT ON COLUMN qzpay.scheduled_changes.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN qzpay.scheduled_changes.overtaken_by_end IS 'Whether the contract ends before.';
