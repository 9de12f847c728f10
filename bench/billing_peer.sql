-- What a good hand would write for this one case: set-based, same tables, constraints, foreign keys and triggers, the same rows.
\set ON_ERROR_STOP on
BEGIN;
CREATE TEMP TABLE due ON COMMIT DROP AS
SELECT s.tenant_id, s.id, s.customer_id, c.seller_id, s.livemode, s.currency, s.current_period_end AS start, s.current_period_end + interval '1 month' AS stop,
       s.usage_period_start, s.usage_period_end, i.id AS item, i.product_id, i.price_id, p.unit_amount::bigint AS base, ch.id AS charge, ch.meter_id, u.quantity,
       (ceil(greatest(u.quantity - ch.included, 0) / (ch.pricing ->> 'size')::numeric) * (ch.pricing ->> 'amount')::numeric)::bigint AS overage,
       gen_random_uuid() AS invoice, row_number() OVER () AS number, m.id AS method, pd.ordinal
FROM qzpay.subscriptions s
JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
JOIN qzpay.subscription_items i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id
JOIN qzpay.prices p ON p.id = i.price_id
JOIN qzpay.charges ch ON ch.product_id = i.product_id
JOIN qzpay.usage_totals u ON u.tenant_id = s.tenant_id AND u.customer_id = s.customer_id AND u.meter_id = ch.meter_id AND u.period_start = s.usage_period_start
JOIN qzpay.payment_methods m ON m.tenant_id = s.tenant_id AND m.customer_id = s.customer_id AND m.is_default
JOIN qzpay.periods pd ON pd.tenant_id = s.tenant_id AND pd.subscription_id = s.id AND pd.cycle = '1 month' AND pd.period_start = s.current_period_start
WHERE s.status = 'active' AND s.current_period_end <= now();
INSERT INTO qzpay.periods SELECT tenant_id, id, '1 month', start, stop, ordinal + 1, invoice FROM due;
INSERT INTO qzpay.periods SELECT tenant_id, id, 'usage', start, stop, ordinal + 1, NULL FROM due;
INSERT INTO qzpay.invoice_series (seller_id, livemode, year, last_number, last_issued_at) SELECT seller_id, true, 2026, count(*), now() FROM due GROUP BY 1;
INSERT INTO qzpay.invoices (tenant_id, id, customer_id, subscription_id, seller_id, livemode, kind, status, number, series_year, series_number, currency, line_count,
    subtotal, total, amount_due, period_start, period_end, issued_at, due_at, created_at)
SELECT tenant_id, invoice, customer_id, id, seller_id, livemode, 'subscription', 'open', '2026-' || lpad(number::text, 6, '0'), 2026, number, currency, 2,
    base + overage, base + overage, base + overage, start, stop, now(), now(), now() FROM due;
INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id) SELECT tenant_id, invoice FROM due;
INSERT INTO qzpay.invoice_lines (tenant_id, id, invoice_id, position, kind, product_id, price_id, charge_id, subscription_item_id, meter_id, description,
    period_start, period_end, quantity, unit_amount, exact_amount, amount)
SELECT tenant_id, gen_random_uuid(), invoice, 1, 'plan', product_id, price_id, NULL::uuid, item, NULL::uuid, 'Pro', start, stop, 1, base, base, base FROM due
UNION ALL
SELECT tenant_id, gen_random_uuid(), invoice, 2, 'usage', product_id, price_id, charge, item, meter_id, 'Messages', usage_period_start, usage_period_end, quantity, NULL, overage, overage FROM due;
INSERT INTO qzpay.ledger_transfers
SELECT tenant_id, gen_random_uuid(), customer_id, seller_id, livemode, 'receivable', 'deferred_revenue', currency, base, 'invoice', invoice, now(), now() FROM due
UNION ALL
SELECT tenant_id, gen_random_uuid(), customer_id, seller_id, livemode, 'receivable', 'revenue', currency, overage, 'invoice', invoice, now(), now() FROM due;
INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, occurred_at, recorded_at)
SELECT tenant_id, gen_random_uuid(), 'invoice.finalized', 'invoice', invoice, customer_id, livemode,
    jsonb_build_object('invoiceId', invoice, 'number', '2026-' || lpad(number::text, 6, '0'), 'subscriptionId', id, 'currency', currency, 'total', base + overage,
                       'amountDue', base + overage, 'amountPaid', 0, 'emailSentByPackage', false), now(), now() FROM due;
INSERT INTO qzpay.payment_attempts (tenant_id, id, customer_id, invoice_id, attempt_no, operation, trigger, provider, account, payment_method_id, livemode, currency, amount, status, next_at, planned_at)
SELECT tenant_id, gen_random_uuid(), customer_id, invoice, 1, 'charge', 'billing', 'stripe', 'default', method, livemode, currency, base + overage, 'planned', now(), now() FROM due;
UPDATE qzpay.subscriptions s SET current_period_start = d.start, current_period_end = d.stop, usage_period_start = d.start, usage_period_end = d.stop, updated_at = now()
FROM due d WHERE s.tenant_id = d.tenant_id AND s.id = d.id;
COMMIT;
