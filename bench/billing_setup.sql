-- N subscriptions (psql variable n) of one plan with a usage charge, all at their boundary, each with one report of 10 500 messages.
-- Set by set and without triggers; check_integrity() of the book after a run proves that it was whole.  Variable fresh: on leaves it as it is after
-- a bulk load, never vacuumed or analysed.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS qzpay CASCADE;
SELECT qzpay.install() \g /dev/null
SELECT count(*) FROM qzpay.import_catalog('{"meters": {"messages": {"name": "Messages"}}, "plans": [{"id": "pro", "name": "Pro",
    "prices": {"month": {"amount": 9900, "currency": "USD"}},
    "usage": {"messages": {"included": 10000, "overageRate": 15, "unit": 10, "limitType": "none", "displayName": "Messages"}}}]}') \g /dev/null
BEGIN;
SET LOCAL session_replication_role = replica;      -- the book is made consistent by hand
INSERT INTO qzpay.tenants (tenant_id, created_at) SELECT qzpay.uuid_v5(qzpay.installation_id(), 'bench-' || g), now() FROM generate_series(1, :n) g;
INSERT INTO qzpay.customers (tenant_id, id, external_id, currency, seller_id, livemode, created_at, updated_at)
SELECT t.id, qzpay.uuid_v5(t.id, 'bench-' || g), 'bench-' || g, 'USD', (SELECT id FROM qzpay.sellers), true, now(), now()
FROM generate_series(1, :n) g CROSS JOIN LATERAL (SELECT qzpay.uuid_v5(qzpay.installation_id(), 'bench-' || g) AS id) t;
INSERT INTO qzpay.payment_methods (tenant_id, id, customer_id, provider, token, is_default, created_at)
SELECT tenant_id, qzpay.uuid_v7(), id, 'stripe', 'pm_bench', true, now() FROM qzpay.customers;
INSERT INTO qzpay.subscriptions (tenant_id, id, customer_id, status, currency, interval_unit, interval_count, usage_unit, usage_count, timezone, livemode, started_at, anchor,
    current_period_start, current_period_end, usage_period_start, usage_period_end, has_payment_method, dunning_policy, created_at, updated_at, access_until, next_due_at)
SELECT c.tenant_id, qzpay.uuid_v7(), c.id, 'active', 'USD', 'month', 1, 'month', 1, 'UTC', true, b.start, b.start, b.start, b.stop, b.start, b.stop, true, 'default', b.start, b.start,
       b.stop + interval '30 days', b.stop
FROM qzpay.customers c, (SELECT date_trunc('day', now()) - interval '1 month' AS start, date_trunc('day', now()) - interval '1 month' + interval '1 month' AS stop) b;
INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
SELECT s.tenant_id, qzpay.uuid_v7(), s.id, p.product_id, p.id, 'plan', 1, s.started_at, now() FROM qzpay.subscriptions s, qzpay.prices p;
INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
SELECT tenant_id, id, c.cycle, current_period_start, current_period_end, 0 FROM qzpay.subscriptions, (VALUES ('1 month'), ('usage')) c (cycle);
INSERT INTO qzpay.usage_totals (tenant_id, customer_id, meter_id, period_start, shard, quantity, events)
SELECT s.tenant_id, s.customer_id, m.id, s.usage_period_start, 0, 10500, 1 FROM qzpay.subscriptions s, qzpay.meters m;
SELECT qzpay._make_usage_partition(d::date) FROM (SELECT DISTINCT date_trunc('month', started_at AT TIME ZONE 'UTC') AS d FROM qzpay.subscriptions) m \g /dev/null
INSERT INTO qzpay.usage_events (tenant_id, customer_id, id, meter_id, period_start, occurred_at, recorded_at, quantity, idempotency_key)
SELECT s.tenant_id, s.customer_id, qzpay.uuid_v7(), m.id, s.usage_period_start, s.usage_period_start, s.usage_period_start, 10500, 'bench' FROM qzpay.subscriptions s, qzpay.meters m;
SELECT qzpay._refresh_entitlements((SELECT array_agg(tenant_id ORDER BY id) FROM qzpay.customers), (SELECT array_agg(id ORDER BY id) FROM qzpay.customers)) \g /dev/null
COMMIT;
SELECT NOT :{?fresh} AS settled \gset
\if :settled
VACUUM ANALYZE;
\endif
