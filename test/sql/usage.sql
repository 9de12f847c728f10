-- Usage: periods, keys, hard and soft limits, alerts, readings, batches, summary and history; what is refused and how.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
\set main :DBNAME
DROP DATABASE IF EXISTS regression_usage;
CREATE DATABASE regression_usage;
\c regression_usage
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() \g /dev/null
\set document `cat examples/asistia/catalog.json`
SELECT count(*) > 0 AS imported FROM qzpay.import_catalog(:'document');
CREATE FUNCTION public.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s text; m text; d text; h text;
BEGIN
    EXECUTE sql;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws(' | ', s || ': ' || m, nullif(d, ''), nullif(h, '')), '[0-9a-f]{8}-[0-9a-f-]{27}', '<id>', 'g');
END $$;
CREATE VIEW totals AS SELECT c.external_id, m.code, t.period_start, t.shard, t.quantity, t.events, t.gauge
FROM qzpay.usage_totals t JOIN qzpay.meters m ON m.id = t.meter_id JOIN qzpay.customers c ON c.tenant_id = t.tenant_id AND c.id = t.customer_id;
CREATE VIEW alerts AS SELECT e.type, e.data ->> 'meter' AS meter, e.data ->> 'percent' AS percent, e.data ->> 'current' AS current, e.data ->> 'limit' AS "limit", e.occurred_at
FROM qzpay.events e WHERE e.type LIKE 'usage.%' ORDER BY e.id;
SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT id AS pro FROM qzpay.sync_customer('org_pro', test_clock => :'clock') \gset
SELECT id AS free FROM qzpay.sync_customer('org_free', test_clock => :'clock') \gset
SELECT id AS sub FROM qzpay.subscribe(:'pro', 'pro') \gset
SELECT qzpay.attach_payment_method(:'pro', 'sandbox', 'tok_ok') \g /dev/null

-- a trial: everything is hard, nothing is billed, the period is the trial's
SELECT * FROM qzpay.record_usage(:'pro'::uuid, 'messages', 9999, 'trial-1');
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'messages', 2, 'trial-2') $$);
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 1, 'trial-3');
SELECT meter, used, included, percent_used, remaining, overage, limit_type, amount, currency, period_start, period_end FROM qzpay.usage_summary('org_pro');
SELECT * FROM alerts;
-- the end instant of the trial belongs to the paid period, where the counter starts anew
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-01-18 12:00+00') \g /dev/null
BEGIN;
UPDATE qzpay.test_clocks SET now_at = '2026-01-19 09:00+00';    -- the job that ends the trial is late
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'messages', 3, 'late-1', '2026-01-19 08:59:59.999999+00') $$);
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 3, 'late-2');
SELECT * FROM totals ORDER BY period_start;
ROLLBACK;
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-01-25 12:00+00') \g /dev/null

-- keys: never twice, other content is an error
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 10, 'k1', '2026-01-20 10:00+00', properties => '{"bot": 1}');
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 10.0, 'k1', '2026-01-20 10:00+00', properties => '{"bot": 1}');
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 10, 'k1', properties => '{"bot": 1}');
SELECT try(format('SELECT qzpay.record_usage(%L, %L, %s, %L, %L, %L, %L)', 'org_pro', m, q, 'k1', t, a, p))
FROM (VALUES ('messages', 11, '2026-01-20 10:00+00', 'increment', '{"bot": 1}'), ('api_calls', 10, '2026-01-20 10:00+00', 'increment', '{"bot": 1}'),
             ('messages', 10, '2026-01-20 10:01+00', 'increment', '{"bot": 1}'), ('messages', 10, '2026-01-20 10:00+00', 'set', '{"bot": 1}'),
             ('messages', 10, '2026-01-20 10:00+00', 'increment', '{"bot": 2}'), ('messages', 10, '2026-01-20 10:00+00', 'increment', NULL)) AS v (m, q, t, a, p);
SELECT * FROM qzpay.record_usage('org_free', 'messages', 10, 'k1');     -- another customer's key
SELECT count(*) FROM (SELECT qzpay.record_usage('org_pro', 'messages', 1, NULL) FROM generate_series(1, 5)) r;
BEGIN;
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 1, 'k2');
ROLLBACK;
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 1, 'k2');
-- in one transaction and one statement
BEGIN;
SELECT r.status, count(*), max(r.total) FROM generate_series(0, 199) n, LATERAL qzpay.record_usage('org_pro', 'messages', 1, 'bulk-' || n / 2) r GROUP BY 1 ORDER BY 1;
SAVEPOINT s;
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 1, 'bulk-x');
ROLLBACK TO s;
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 1, 'bulk-x');
COMMIT;
SELECT * FROM totals ORDER BY external_id, period_start;

-- a customer that the statement itself has made
SELECT status, total FROM qzpay.record_usage((qzpay.sync_customer('org_new', test_clock => :'clock')).id, 'api_calls', 1, 'at once');

-- what is refused
SELECT try(format('SELECT qzpay.record_usage(%L, %L, %L, %L, %L)', c, m, q, k, t))
FROM (VALUES ('org_pro', 'massages', '1', 'e', NULL), ('org_nobody', 'messages', '1', 'e', NULL), ('org_pro', 'messages', '-1', 'e', NULL), ('org_pro', 'messages', 'NaN', 'e', NULL),
             ('org_pro', 'messages', 'Infinity', 'e', NULL), ('org_pro', 'messages', '1e15', 'e', NULL), ('org_pro', 'messages', '1e-19', 'e', NULL), ('org_pro', 'messages', '1', '', NULL),
             ('org_pro', 'messages', '1', repeat('k', 256), NULL), ('org_pro', 'messages', '1', 'e', '2026-01-25 12:05:00.000001+00'), ('org_pro', 'messages', '1', 'e', '2026-01-19 08:59:59.999999+00'),
             ('org_pro', 'messages', '1', 'e', 'infinity'), ('org_pro', 'messages', NULL, 'e', NULL), (NULL, 'messages', '1', 'e', NULL), ('org_pro', NULL, '1', 'e', NULL)) AS v (c, m, q, k, t);
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'messages', 1, 'e', action => 'decrement') $$);
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 0, 'ahead', '2026-01-25 12:05+00');
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 0.25, 'part');

-- none and soft: beyond what is included usage is booked and said, each threshold once
SELECT (qzpay.record_usage('org_pro', 'api_calls', 37499, 'a1')).total, (qzpay.record_usage('org_pro', 'api_calls', 1, 'a2')).total, (qzpay.record_usage('org_pro', 'api_calls', 1, 'a3')).total;
SELECT (qzpay.record_usage('org_pro', 'api_calls', 12499, 'a4')).total, (qzpay.record_usage('org_pro', 'api_calls', 1, 'a5')).total, (qzpay.record_usage('org_pro', 'api_calls', 5, 'a6')).total;
SELECT * FROM alerts WHERE meter = 'api_calls';
SELECT l.* FROM qzpay.check_limit('org_pro', 'maxMessagesPerMonth', 10000) l;
SELECT meter, used, included, percent_used, remaining, overage, limit_type, amount, currency, period_start, period_end FROM qzpay.usage_summary(:'pro'::uuid);
-- hard: exactly
SELECT * FROM qzpay.record_usage('org_free', 'messages', 89.5, 'f1');
SELECT try($$ SELECT qzpay.record_usage('org_free', 'messages', 0.51, 'f2') $$);
SELECT * FROM qzpay.record_usage('org_free', 'messages', 0.5, 'f3');
SELECT try($$ SELECT qzpay.record_usage('org_free', 'messages', 0.01, 'f4') $$);
SELECT * FROM qzpay.record_usage('org_free', 'messages', 0.5, 'f3');
SELECT type, percent, current, "limit" FROM alerts WHERE current::numeric <= 100;
-- a meter without charge or limit: recorded, free, unlimited
SELECT * FROM qzpay.record_usage('org_free', 'api_calls', 123456, 'f5');
SELECT meter, used, included, percent_used, remaining, overage, limit_type, amount, currency, period_start, period_end FROM qzpay.usage_summary('org_free');
-- without a subscription a month from the customer's creation; what lies before is closed
SELECT try($$ SELECT qzpay.record_usage('org_free', 'messages', 0, 'f6', '2026-01-05 09:00+00') $$), try($$ SELECT qzpay.record_usage('org_free', 'messages', 0, 'f7', '2026-01-05 08:59:59+00') $$);

-- readings: the total of the period, which may fall; a key names one reading
SELECT * FROM qzpay.record_usage('org_pro', 'llm_tokens', 1000, 's1', action => 'set');
SELECT * FROM qzpay.record_usage('org_pro', 'llm_tokens', 1500, 's2', action => 'set');
SELECT * FROM qzpay.record_usage('org_pro', 'llm_tokens', 1000, 's1', action => 'set');
SELECT * FROM qzpay.record_usage('org_pro', 'llm_tokens', 1200, 's3', action => 'set');
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'llm_tokens', 1, 's4') $$), try($$ SELECT qzpay.record_usage('org_pro', 'messages', 1, 's5', action => 'set') $$);
SELECT e.quantity, e.reading FROM qzpay.usage_events e JOIN qzpay.meters m ON m.id = e.meter_id WHERE m.code = 'llm_tokens' ORDER BY e.idempotency_key;
-- other aggregations
INSERT INTO qzpay.meters (id, code, name, aggregation) SELECT qzpay.uuid_v7(), a, a, a FROM unnest(ARRAY['count', 'max', 'last', 'avg']) a;
SELECT m, q, r.total FROM (VALUES ('count', 5), ('count', 7), ('max', 5), ('max', 7), ('max', 6), ('last', 5), ('last', 7), ('last', 6)) AS v (m, q), LATERAL qzpay.record_usage('org_free', m, q, m || q) r;
SELECT m.code, e.quantity, e.reading FROM qzpay.usage_events e JOIN qzpay.meters m ON m.id = e.meter_id WHERE m.code IN ('count', 'max', 'last') ORDER BY m.code, e.idempotency_key;
SELECT try($$ SELECT qzpay.record_usage('org_free', 'avg', 1, 'x') $$), try($$ SELECT qzpay.record_usage('org_free', 'max', 1, 'x', action => 'set') $$);
UPDATE qzpay.meters SET active = false WHERE code = 'max';
SELECT try($$ SELECT qzpay.record_usage('org_free', 'max', 1, 'x') $$);

-- an add-on that raises the included quantity; a negotiated quantity
BEGIN;
INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
SELECT s.tenant_id, qzpay.uuid_v7(), s.id, p.id, c.id, 'addon', 2, s.started_at, s.created_at
FROM qzpay.subscriptions s, qzpay.products p JOIN qzpay.prices c ON c.product_id = p.id WHERE s.id = :'sub' AND p.code = 'extra-messages-pack';
SELECT included FROM qzpay.usage_summary('org_pro') WHERE meter = 'messages';
ALTER TABLE qzpay.subscription_items DISABLE TRIGGER b_immutable;
UPDATE qzpay.subscription_items SET included = '{"messages": 12345}' WHERE kind = 'plan';
SELECT included FROM qzpay.usage_summary('org_pro') WHERE meter = 'messages';
ROLLBACK;

-- a batch: a row per report, a bad one does not lose the others
SELECT * FROM qzpay.record_usage_batch(jsonb_build_array(
    '{"customer": "org_pro", "meter": "messages", "quantity": 1, "idempotency_key": "b1"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 2, "idempotency_key": "b2", "occurred_at": "2026-01-24T10:00:00Z", "properties": {"bot": [1, 2]}}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 2, "idempotency_key": "b2", "occurred_at": "2026-01-24 12:00:00+02", "properties": {"bot": [1, 2]}}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 3, "idempotency_key": "b2"}'::jsonb,
    jsonb_build_object('customer', :'pro', 'meter', 'messages', 'quantity', 1.5, 'idempotency_key', 'b3'),
    '{"customer": "org_free", "meter": "messages", "quantity": 1, "idempotency_key": "b4"}'::jsonb,
    '{"customer": "org_pro", "meter": "massages", "quantity": 1}'::jsonb,
    '{"customer": "org_nobody", "meter": "messages", "quantity": 1}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": "1"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": -1}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 1, "occurred_at": "yesterday noon"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 1, "occurred_at": "infinity"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 1, "occurred_at": "2026-01-25T13:00:00Z"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 1, "action": "sum"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages", "quantity": 1, "idempotencyKey": "x"}'::jsonb,
    '{"customer": "org_pro", "meter": "messages"}'::jsonb, '{}'::jsonb, '[]'::jsonb, 'null'::jsonb, '"x"'::jsonb,
    '{"customer": "org_pro", "meter": "llm_tokens", "quantity": 1300, "action": "set", "idempotency_key": null, "occurred_at": null, "properties": null}'::jsonb));
SELECT try($$ SELECT qzpay.record_usage_batch('{}') $$), try($$ SELECT qzpay.record_usage_batch('1') $$), try($$ SELECT qzpay.record_usage_batch(NULL) $$);
SELECT * FROM qzpay.record_usage_batch('[]');
SELECT * FROM totals ORDER BY external_id, code, period_start;
SELECT check_name, status FROM qzpay.check_integrity() WHERE check_name IN ('usage_totals_are_their_events', 'entitlements_are_their_facts', 'tenants_are_walled');

-- history in the customer's zone
SELECT bucket_start, quantity, events FROM qzpay.usage_history(:'pro'::uuid, 'messages', 'day', '2026-01-19 00:00+00', '2026-01-26 00:00+00');
SELECT bucket_start, bucket_end, quantity FROM qzpay.usage_history(:'pro'::uuid, 'messages', 'week', '2026-01-01 00:00+00', '2026-01-26 00:00+00');
SELECT count(*), sum(quantity), min(bucket_start), max(bucket_end) FROM qzpay.usage_history(:'pro'::uuid, 'messages', 'hour', '2026-01-24 00:30+00', '2026-01-25 00:30+00');
SELECT bucket_start, bucket_end, quantity FROM qzpay.usage_history(:'pro'::uuid, 'messages', 'month');
SELECT qzpay.sync_customer('org_pro', timezone => 'Europe/Madrid') \g /dev/null
SELECT bucket_start, bucket_end - bucket_start AS length FROM qzpay.usage_history(:'pro'::uuid, 'messages', 'day', '2026-03-28 12:00+00', '2026-03-30 12:00+00');
SELECT count(*) FROM qzpay.usage_history(:'pro'::uuid, 'messages', 'hour', '2026-03-28 23:00+00', '2026-03-29 22:00+00');
SELECT try(format('SELECT qzpay.usage_history(%L::uuid, %L, %L, %L)', :'pro', m, u, f)) FROM (VALUES ('massages', 'day', NULL), ('messages', 'year', NULL), ('messages', NULL, NULL), ('messages', 'hour', '2020-01-01')) AS v (m, u, f);

-- months: a key is looked for in those kept; a partition is made where none is
SELECT count(*) FROM pg_inherits WHERE inhparent = 'qzpay.usage_events'::regclass;
SELECT qzpay._make_usage_partition('2020-02-29'), qzpay._make_usage_partition('2020-02-01');
SELECT pg_get_expr(c.relpartbound, c.oid), c.relrowsecurity, c.relforcerowsecurity, c.relowner::regrole, c.relacl IS NULL AS no_rights,
       (SELECT string_agg(p.polname, ',' ORDER BY p.polname) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
FROM pg_class c WHERE c.relname = 'usage_events_202002';
INSERT INTO qzpay.usage_events (tenant_id, customer_id, id, meter_id, period_start, occurred_at, recorded_at, quantity, idempotency_key)
SELECT e.tenant_id, e.customer_id, qzpay.uuid_v5(e.customer_id, 'old'), e.meter_id, e.period_start, e.occurred_at, '2020-02-03 00:00+00', 1, 'old' FROM qzpay.usage_events e WHERE e.idempotency_key = 'f1';
SELECT status FROM qzpay.record_usage('org_free', 'messages', 1, 'old');
SELECT try($$ SELECT qzpay.record_usage('org_free', 'messages', 2, 'old') $$);
BEGIN;
ALTER TABLE qzpay.usage_events DETACH PARTITION qzpay.usage_events_202002;
SELECT try($$ SELECT qzpay.record_usage('org_free', 'messages', 2, 'old') $$);    -- now it is the hard limit
ROLLBACK;
DROP TABLE qzpay.usage_events_202002;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(inhrelid::regclass::text, ', ') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE inhparent = 'qzpay.usage_events'::regclass AND NOT EXISTS (SELECT FROM qzpay.usage_events e WHERE e.tableoid = c.oid));
    EXECUTE (SELECT 'TRUNCATE ' || inhrelid::regclass || '; DROP TABLE ' || inhrelid::regclass FROM pg_inherits WHERE inhparent = 'qzpay.usage_events'::regclass);
END $$;
SELECT count(*) FROM pg_inherits WHERE inhparent = 'qzpay.usage_events'::regclass;
SELECT status FROM qzpay.record_usage('org_pro', 'messages', 1, 'new partition');
SELECT count(*), bool_and(c.relrowsecurity) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE inhparent = 'qzpay.usage_events'::regclass;
-- a further index of the administrator's is kept up
CREATE INDEX by_time ON qzpay.usage_events (customer_id, occurred_at);
SELECT count(*) FROM (SELECT qzpay.record_usage('org_pro', 'messages', 1, 'indexed-' || n) FROM generate_series(1, 50) n) r;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM qzpay.usage_events WHERE customer_id = :'pro' AND occurred_at > '2020-01-01';
RESET enable_seqscan;
RESET enable_bitmapscan;

-- amounts: part of what a key stands for; totals have them only where an event says one
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'api_calls', 1, 'a1', amount => -0.01) $$);
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'api_calls', 1, 'a1', amount => 'NaN') $$);
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'api_calls', 1, 'a1', amount => 1e15) $$);
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'api_calls', 1, 'a1', amount => 0.0000000000001) $$);
SELECT try($$ SELECT qzpay.record_usage('org_free', 'messages', 1, 'a1', action => 'set', amount => 1) $$);
SELECT bool_and(amount IS NULL) AS no_amounts, sum(events) AS events FROM qzpay.usage_totals u JOIN qzpay.meters m ON m.id = u.meter_id AND m.code = 'api_calls' WHERE u.customer_id = :'pro';
SELECT status FROM qzpay.record_usage('org_pro', 'api_calls', 2, 'a1', amount => 0.5);
SELECT status FROM qzpay.record_usage('org_pro', 'api_calls', 2, 'a1', amount => 0.50);
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'api_calls', 2, 'a1', amount => 0.51) $$);
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'api_calls', 2, 'a1') $$);
SELECT index, status, error FROM qzpay.record_usage_batch('[{"customer": "org_pro", "meter": "api_calls", "quantity": 0, "amount": 7}, {"customer": "org_pro", "meter": "api_calls", "quantity": 3, "amount": "7"},
                                                            {"customer": "org_pro", "meter": "api_calls", "quantity": 3, "amount": null}]');
SELECT sum(u.amount) - sum(u.quantity) AS more_than_the_quantity, sum(u.events) AS events FROM qzpay.usage_totals u JOIN qzpay.meters m ON m.id = u.meter_id AND m.code = 'api_calls' WHERE u.customer_id = :'pro';

-- retention: a month goes once nothing in it is of an open usage period, and what it counted stays
SELECT qzpay.create_test_clock('2026-01-01 00:00+00') AS old_clock \gset
SELECT qzpay.sync_customer('org_old', test_clock => :'old_clock') \g /dev/null
INSERT INTO qzpay.meters (id, code, name, aggregation, value_property) VALUES (qzpay.uuid_v7(), 'users', 'users', 'unique', 'user');
SELECT qzpay.set_setting('usage_retention_months', '3');
SELECT qzpay.record_usage('org_old', 'users', 1, 'o' || n, properties => jsonb_build_object('user', n / 2)) FROM generate_series(1, 5) n \g /dev/null
SELECT qzpay.record_usage('org_old', 'api_calls', 7, 'o6') \g /dev/null
SELECT qzpay._make_usage_partition('2020-01-01') \g /dev/null
SET session_replication_role = replica;
UPDATE qzpay.usage_events e SET recorded_at = '2020-01-15 00:00+00' FROM qzpay.customers c WHERE c.id = e.customer_id AND c.external_id = 'org_old';
SET session_replication_role = origin;
SELECT qzpay._forget_usage(10);
SELECT r.status FROM qzpay.record_usage('org_old', 'api_calls', 7, 'o6') r;
SELECT count(*) FROM qzpay.usage_values;
SELECT count(*) FROM qzpay.advance_test_clock(:'old_clock', '2026-02-01 00:00+00') \g /dev/null
SELECT qzpay._forget_usage(0), qzpay._forget_usage(10), qzpay._forget_usage(10), to_regclass('qzpay.usage_events_202001');
SELECT m.code, a.period_start, a.quantity, a.events, a.amount FROM qzpay.usage_archived a JOIN qzpay.meters m ON m.id = a.meter_id ORDER BY 1;
SELECT count(*) FROM qzpay.usage_values;
SELECT r.status, r.total FROM qzpay.record_usage('org_old', 'api_calls', 7, 'o6') r;
SELECT m.code, t.period_start, t.quantity, t.events FROM qzpay.usage_totals t JOIN qzpay.meters m ON m.id = t.meter_id JOIN qzpay.customers c ON c.id = t.customer_id WHERE c.external_id = 'org_old' ORDER BY 1, 2;
SELECT check_name, status FROM qzpay.check_integrity() WHERE check_name = 'distinct_values_are_their_totals';
SELECT try($$ SELECT qzpay._drop_usage_partition(current_date) $$);

-- who may: the application for every customer or within its tenant; a tenant's role reports nothing
CREATE ROLE regress_usage_app LOGIN;
SELECT qzpay.grant_access('regress_usage_app', 'app') \g /dev/null
CREATE ROLE regress_usage_tenant LOGIN;
SELECT tenant_id AS free_tenant FROM qzpay.customers WHERE id = :'free' \gset
SELECT qzpay.grant_access('regress_usage_tenant', 'tenant', :'free_tenant') \g /dev/null
SET SESSION AUTHORIZATION regress_usage_app;
SELECT status FROM qzpay.record_usage('org_pro', 'messages', 1, 'by app');
SELECT status FROM qzpay.record_usage('org_pro', 'api_calls', 50000, 'alerts by app');
SELECT count(*) FROM qzpay.usage_events;
BEGIN;
SELECT qzpay.set_tenant(:'free_tenant') \g /dev/null
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'messages', 1, 'by other') $$);
SELECT index, status, error FROM qzpay.record_usage_batch('[{"customer": "org_pro", "meter": "messages", "quantity": 1}, {"customer": "org_free", "meter": "api_calls", "quantity": 1}]');
SELECT count(DISTINCT customer_id) FROM qzpay.usage_events;
COMMIT;
SET SESSION AUTHORIZATION regress_usage_tenant;
SELECT try($$ SELECT qzpay.record_usage('org_free', 'api_calls', 1, 'by tenant') $$);
SELECT meter, used > 0 AS used FROM qzpay.usage_summary('org_free') ORDER BY 1;
SELECT try($$ SELECT qzpay.usage_summary('org_pro') $$);
RESET SESSION AUTHORIZATION;
-- an index of the administrator is kept up as well, one by one and in batches
DO $$ BEGIN EXECUTE format('CREATE INDEX by_occurrence ON qzpay.usage_events_%s (occurred_at)', to_char(qzpay._recorded_at() AT TIME ZONE 'UTC', 'YYYYMM')); END $$;
SELECT status FROM qzpay.record_usage('org_pro', 'messages', 1, 'indexed 1', '2026-01-24 11:11+00');
SELECT * FROM qzpay.record_usage_batch((SELECT jsonb_agg(jsonb_build_object('customer', 'org_pro', 'meter', 'messages', 'quantity', 1, 'idempotency_key', 'indexed ' || n, 'occurred_at', '2026-01-24 11:11+00'))
                                        FROM generate_series(1, 4) n));
SET enable_seqscan = off;
SELECT count(*) FROM qzpay.usage_events e WHERE e.occurred_at = '2026-01-24 11:11+00';
RESET enable_seqscan;
DROP INDEX qzpay.by_occurrence;
-- the next period begins by itself
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-02-19 09:00+00') \g /dev/null
SELECT * FROM qzpay.record_usage('org_pro', 'messages', 1, 'february');
SELECT try($$ SELECT qzpay.record_usage('org_pro', 'messages', 1, 'january', '2026-02-19 08:59:59.999999+00') $$);
SELECT total, amount_paid FROM qzpay.invoices ORDER BY series_number;

\c :main
DROP DATABASE regression_usage;
DROP ROLE regress_usage_app, regress_usage_tenant;
