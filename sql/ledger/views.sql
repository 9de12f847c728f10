CREATE OR REPLACE VIEW qzpay.customer_balances WITH (security_invoker = true) AS
SELECT c.tenant_id, c.id AS customer_id, c.external_id, k.currency, k.amount AS balance, k.refundable, coalesce(g.remaining, 0) AS grants, coalesce(o.amount, 0) AS owed
FROM qzpay.customers c
JOIN (SELECT b.tenant_id, b.customer_id, b.currency, sum(b.amount)::bigint AS amount, sum(b.refundable)::bigint AS refundable
      FROM (SELECT x.tenant_id, x.customer_id, x.currency, x.amount, x.refundable FROM qzpay.balances x
            UNION ALL SELECT x.tenant_id, x.customer_id, x.currency, 0, 0 FROM qzpay.credit_grants x
            UNION ALL SELECT x.tenant_id, x.customer_id, x.currency, 0, 0 FROM qzpay.invoices x WHERE x.status = 'open') b GROUP BY b.tenant_id, b.customer_id, b.currency) k
    ON k.tenant_id = c.tenant_id AND k.customer_id = c.id
CROSS JOIN LATERAL (SELECT qzpay.now(c.id) AS now) n
LEFT JOIN LATERAL (SELECT sum(x.remaining)::bigint AS remaining FROM qzpay.credit_grants x
                   WHERE x.tenant_id = k.tenant_id AND x.customer_id = k.customer_id AND x.currency = k.currency AND x.remaining > 0 AND x.effective_at <= n.now AND x.expires_at > n.now) g ON true
LEFT JOIN LATERAL (SELECT sum(x.amount_due - x.amount_paid - x.amount_credited - x.amount_written_off)::bigint AS amount FROM qzpay.invoices x
                   WHERE x.tenant_id = k.tenant_id AND x.customer_id = k.customer_id AND x.currency = k.currency AND x.status = 'open') o ON true;
COMMENT ON VIEW qzpay.customer_balances IS
'Per customer and currency, in minor units: credit (balance), the part of it that may be paid out (refundable), prepaid and promotional credit usable at present (grants), and what open invoices ask for (owed).';
COMMENT ON COLUMN qzpay.customer_balances.tenant_id IS 'Tenant.';
COMMENT ON COLUMN qzpay.customer_balances.customer_id IS 'Id of the customer.';
COMMENT ON COLUMN qzpay.customer_balances.external_id IS 'The application''s id of the customer.';
COMMENT ON COLUMN qzpay.customer_balances.currency IS 'ISO 4217 code of the amounts.';
COMMENT ON COLUMN qzpay.customer_balances.balance IS 'Credit that the next invoices use up, minor units.';
COMMENT ON COLUMN qzpay.customer_balances.refundable IS 'The part of balance that may be paid out, minor units.';
COMMENT ON COLUMN qzpay.customer_balances.grants IS 'Prepaid and promotional credit that is usable now, minor units.';
COMMENT ON COLUMN qzpay.customer_balances.owed IS 'What is left to pay of open invoices, minor units.';
