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

CREATE OR REPLACE VIEW qzpay.scheduled_changes WITH (security_invoker = true) AS
SELECT h.tenant_id, h.id, h.subscription_id, s.customer_id, h.direction, h.from_plan, h.to_plan, h.interval_unit, h.interval_count, h.request, h.effective_at, h.requested_at,
       s.cancel_at IS NOT NULL AND s.cancel_at <= h.effective_at AS overtaken_by_end
FROM qzpay.subscription_changes h
JOIN qzpay.subscriptions s ON s.tenant_id = h.tenant_id AND s.id = h.subscription_id
WHERE h.status = 'pending';
COMMENT ON VIEW qzpay.scheduled_changes IS
'Changes still to come, one per subscription at most; effective_at NULL: when it is resumed. cancel_scheduled_change() takes one back; an end at or before its instant overtakes it.';
