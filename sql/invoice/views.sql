-- In two arms that both have an index on either id, so that it is looked up from the invoice and from the subscription alike.
CREATE OR REPLACE VIEW qzpay.invoice_subscriptions WITH (security_invoker = true) AS
SELECT i.tenant_id, i.id AS invoice_id, i.subscription_id FROM qzpay.invoices i WHERE i.subscription_id IS NOT NULL
UNION ALL
SELECT h.tenant_id, h.invoice_id, h.subscription_id FROM qzpay.invoice_shares h;
COMMENT ON VIEW qzpay.invoice_subscriptions IS
'Which subscriptions an invoice bills: one row for the invoice of one, a row for each where several share it (setting invoice_consolidation), none for an invoice made by hand.';
COMMENT ON COLUMN qzpay.invoice_subscriptions.tenant_id IS 'Tenant.';
COMMENT ON COLUMN qzpay.invoice_subscriptions.invoice_id IS 'Id of the invoice.';
COMMENT ON COLUMN qzpay.invoice_subscriptions.subscription_id IS 'Id of a subscription that it bills.';
