-- What usage_summary() and usage_history() of one customer touch among ten million events: every statement they run, by auto_explain.
-- Run it in the root of the checkout, in a new database:  TMPCLUSTER_CONF=bench/postgresql.conf tools/tmpcluster psql -f bench/usage_plan.sql
\set customers 100000
\ir setup.sql
INSERT INTO qzpay.usage_events (tenant_id, customer_id, id, meter_id, period_start, occurred_at, recorded_at, quantity, idempotency_key)
SELECT e.tenant_id, e.customer_id, md5(r.n::text || 'x' || c.n)::uuid, m.id, e.usage_start, e.usage_start + r.n * interval '20 minutes', qzpay.now(), 1, 'k' || r.n
FROM generate_series(1, :customers) c (n) JOIN qzpay.entitlements e ON e.customer_id = bench.id(c.n) AND e.usage_start IS NOT NULL, generate_series(1, 105) r (n), qzpay.meters m;
INSERT INTO qzpay.usage_totals (tenant_id, customer_id, meter_id, period_start, shard, quantity, events)
SELECT e.tenant_id, e.customer_id, m.id, e.usage_start, 0, 105, 105 FROM qzpay.entitlements e, qzpay.meters m WHERE e.usage_start IS NOT NULL
ON CONFLICT (tenant_id, customer_id, meter_id, period_start, shard) DO UPDATE SET quantity = usage_totals.quantity + 105, events = usage_totals.events + 105;
VACUUM ANALYZE;
SELECT count(*) FROM qzpay.usage_events;
LOAD 'auto_explain';
SELECT * FROM qzpay.usage_summary(bench.id(77777)) \g /dev/null
SELECT * FROM qzpay.usage_history(bench.id(77777), 'messages') \g /dev/null
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_buffers = on;
SET auto_explain.log_timing = off;
SET client_min_messages = log;
SELECT * FROM qzpay.usage_summary(bench.id(77777));
SELECT count(*), sum(quantity) FROM qzpay.usage_history(bench.id(77777), 'messages');
