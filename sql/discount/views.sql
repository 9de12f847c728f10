CREATE OR REPLACE VIEW qzpay.considered_discounts WITH (security_invoker = true) AS
SELECT d.tenant_id, d.invoice_id, i.customer_id, i.number, c.position, c.item ->> 'code' AS code, c.item ->> 'trigger' AS trigger, c.item ->> 'type' AS type,
       (c.item -> 'applied')::boolean AS applied, (c.item -> 'amount')::bigint AS amount, i.currency, c.item ->> 'reason' AS reason,
       (c.item -> 'needed')::numeric AS needed, (c.item -> 'is')::numeric AS actual, qzpay.explain_discount(c.item) AS explanation
FROM qzpay.invoice_discounts d
JOIN qzpay.invoices i ON i.tenant_id = d.tenant_id AND i.id = d.invoice_id
CROSS JOIN LATERAL jsonb_array_elements(d.considered) WITH ORDINALITY AS c (item, position);
COMMENT ON VIEW qzpay.considered_discounts IS
'Every discount that was considered for an invoice, in the order of application: what it took off (minor units), or the reason why it did not apply, with the number needed and the actual one where the reason is about a number.';
COMMENT ON COLUMN qzpay.considered_discounts.tenant_id IS 'Tenant.';
COMMENT ON COLUMN qzpay.considered_discounts.invoice_id IS 'Id of the invoice.';
COMMENT ON COLUMN qzpay.considered_discounts.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN qzpay.considered_discounts.number IS 'Number of the invoice; NULL: a draft.';
COMMENT ON COLUMN qzpay.considered_discounts.position IS 'Place in the order of application.';
COMMENT ON COLUMN qzpay.considered_discounts.code IS 'Code of the discount.';
COMMENT ON COLUMN qzpay.considered_discounts.trigger IS 'promo_code or automatic.';
COMMENT ON COLUMN qzpay.considered_discounts.type IS 'Type of the discount.';
COMMENT ON COLUMN qzpay.considered_discounts.applied IS 'Whether it took something off.';
COMMENT ON COLUMN qzpay.considered_discounts.amount IS 'What it took off, minor units.';
COMMENT ON COLUMN qzpay.considered_discounts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN qzpay.considered_discounts.reason IS 'Why it did not apply; NULL: it did.';
COMMENT ON COLUMN qzpay.considered_discounts.needed IS 'The number that the reason is about.';
COMMENT ON COLUMN qzpay.considered_discounts.actual IS 'The number that was there.';
COMMENT ON COLUMN qzpay.considered_discounts.explanation IS 'The same as a sentence.';
