-- Settings, with values that stay as the seller has set them.
INSERT INTO qzpay.settings (name, value, description) VALUES
    ('default_plan', 'null', 'Code of the plan that gives features and limits to customers without a subscription; null: none.'),
    ('default_currency', '"USD"', 'ISO 4217 code of the currency of customers made without one.'),
    ('dunning_policy', '"default"', 'Code of the dunning policy of plans that name none; it also gives their days of grace.'),
    ('discount_stacking', '"all_stackable"', 'How discounts that apply together are combined: best_discount, all_stackable or automatic_first.'),
    ('discount_max_stacked', 'null', 'How many discounts may be combined on one invoice, from 1 to 1000; null: any number.'),
    ('trial_reminder_days', '[7, 3, 1]', 'Days (of 24 hours) before the end of a trial at which trial.expiring is emitted; an array of integers from 1 to 999.'),
    ('late_renewal_days', '30', 'Days (of 24 hours) for which a renewal without a definite outcome keeps access at most, from 0 to 3650.'),
    ('payment_method_expiry_days', '[30, 7, 1]', 'Days (of 24 hours) before the end of the month in which a payment method expires at which payment_method.expiring is emitted; an array of integers from 1 to 999.'),
    ('overage_grace_days', '7', 'Days (of 24 hours) that a customer has to come back within limits after a downgrade, from 0 to 3650.'),
    ('expiring_reminder_days', '[7, 3, 1]', 'The same for subscription.expiring, before the end of a contract that will not renew.'),
    ('proration_unit', '"second"', 'Measure of prorations: second, or day (of the customer''s calendar).'),
    ('proration_behavior', '"always_invoice"', 'What change_plan() does with prorations unless told: always_invoice (at once), create_prorations (with the next invoice) or none.'),
    ('change_rules', '{"upgrade": "now", "downgrade": "period_end", "lateral": "now"}', 'When a change takes effect unless told, by its direction: now or period_end.'),
    ('trial_reuse', '"never"', 'Whether a customer may have another trial: never, per_plan (once for each) or always.'),
    ('signup_plan', 'null', 'Code of the plan to which a new customer is subscribed by itself, with its trial; null: none.'),
    ('idempotency_days', '40', 'Days after which an idempotency key may be forgotten, from 35 to 3650.')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;
