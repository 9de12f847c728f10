CREATE OR REPLACE VIEW qzpay.considered_discounts WITH (security_invoker = true) AS
SELECT d.tenant_id, d.invoice_id, i.customer_id, i.number, c.position, c.item ->> 'code' AS code, c.item ->> 'trigger' AS trigger, c.item ->> 'type' AS type,
       (c.item -> 'applied')::boolean AS applied, (c.item -> 'amount')::bigint AS amount, i.currency, c.item ->> 'reason' AS reason,
       (c.item -> 'needed')::numeric AS needed, (c.item -> 'is')::numeric AS actual, qzpay.explain_discount(c.item) AS explanation
FROM qzpay.invoice_discounts d
JOIN qzpay.invoices i ON i.tenant_id = d.tenant_id AND i.id = d.invoice_id
CROSS JOIN LATERAL jsonb_array_elements(d.considered) WITH ORDINALITY AS c (item, position);
COMMENT ON VIEW qzpay.considered_discounts IS
'Every discount that was considered for an invoice, in the order of application: what it took off (minor units), or the reason why it did not apply, with the number needed and the actual one where the reason is about a number.';
