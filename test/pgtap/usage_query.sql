-- Meters over the application's own tables: exact live and on the bill, nothing copied, and nobody's code behind a table gets more rights than it had.
BEGIN;
SELECT plan(36);
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

CREATE ROLE regress_posts_owner;
CREATE ROLE regress_posts_reader;
CREATE ROLE regress_posts_staff;
GRANT qzpay_worker TO regress_posts_staff;
CREATE SCHEMA app AUTHORIZATION regress_posts_owner;
CREATE TABLE app.posts (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, organization text NOT NULL, words integer NOT NULL, written_at timestamptz NOT NULL);
CREATE INDEX ON app.posts (organization, written_at);
ALTER TABLE app.posts OWNER TO regress_posts_owner;
GRANT USAGE ON SCHEMA app TO regress_posts_reader;
GRANT SELECT ON app.posts TO regress_posts_reader;
SELECT qzpay.import_catalog('{"meters": {"words": {"name": "Words"}, "calls": {"name": "Calls"}, "top": {"name": "Top", "aggregation": "max"}},
    "plans": [{"id": "writer", "name": "Writer", "prices": {"month": {"amount": 100, "currency": "USD"}},
               "usage": {"words": {"included": 1000, "overageRate": 1, "unit": 1, "limitType": "soft", "displayName": "Words"}}}]}') \g /dev/null
SELECT id AS customer FROM qzpay.sync_customer('org_writer', test_clock => qzpay.create_test_clock('2026-01-01 00:00+00', 'writer')) \gset
SELECT id AS other FROM qzpay.sync_customer('org_reader') \gset
SELECT qzpay.attach_payment_method(:'customer', 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.subscribe(:'customer', 'writer', trial_days => 0) \g /dev/null
SELECT qzpay.record_usage('org_writer', 'calls', 1, 'c1') \g /dev/null
CREATE FUNCTION pg_temp.go(at timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT 'now ' || a.now_at FROM qzpay.test_clocks c, qzpay.advance_test_clock(c.id, at) a WHERE c.name = 'writer' $$;
CREATE FUNCTION pg_temp.bills() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(i.total::text, ' ' ORDER BY i.issued_at) FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id = 'org_writer' $$;

-- what is no query
SELECT throws_ok(format('SELECT qzpay.set_meter_query(%L, %L, %L)', m, q, r), e, NULL, d) FROM (VALUES
    ('nothing', 'SELECT 1', 'regress_posts_reader', 'QZ401', 'an unknown meter'),
    ('calls', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', 'regress_posts_reader', 'QZ204', 'a meter with events'),
    ('top', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', 'regress_posts_reader', '22023', 'a meter that doesn''t add up'),
    ('words', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', 'postgres', '42501', 'run as a superuser'),
    ('words', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', 'regress_posts_staff', '42501', 'run as one of qzpay''s staff'),
    ('words', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', 'nobody_there', '42704', 'run as nobody'),
    ('words', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', NULL, '22004', 'run as NULL'),
    ('words', 'SELECT organization AS customer, 1 AS quantity FROM app.posts', 'regress_posts_reader', '42703', 'a column missing'),
    ('words', 'SELECT organization AS customer, 1 AS quantity, 1 AS occurred_at FROM app.posts', 'regress_posts_reader', '22023', 'a time that is none'),
    ('words', 'SELECT written_at AS customer, 1 AS quantity, written_at AS occurred_at FROM app.posts', 'regress_posts_reader', '22023', 'a customer that is none'),
    ('words', 'SELECT organization AS customer, 1 AS quantity, written_at AS occurred_at FROM posts', 'regress_posts_reader', '42P01', 'a name without its schema'),
    ('words', 'SELECT 1) q; DELETE FROM app.posts; SELECT (1', 'regress_posts_reader', NULL, 'several statements')) AS v (m, q, r, e, d);
SET LOCAL ROLE regress_posts_reader;
SELECT throws_ok($$ SELECT qzpay.set_meter_query('words', 'SELECT 1', 'regress_posts_reader') $$, '42501', NULL, 'who is no administrator sets no query');
RESET ROLE;

SELECT lives_ok($$ SELECT qzpay.set_meter_query('words', 'SELECT organization AS customer, words AS quantity, written_at AS occurred_at FROM app.posts', 'regress_posts_reader') $$, 'a query');
INSERT INTO app.posts (organization, words, written_at) VALUES ('org_writer', 600, '2026-01-01 00:00+00'), ('org_writer', 500, '2026-01-02 10:00+00'), ('org_reader', 9999, '2026-01-02 10:00+00'),
    ('org_writer', 40, '2026-01-31 23:59:59.999999+00'), ('org_writer', 7, '2026-02-01 00:00+00');
SELECT pg_temp.go('2026-01-15 00:00+00') \g /dev/null
SELECT is((SELECT (used, overage, amount)::text FROM qzpay.usage_summary('org_writer') WHERE meter = 'words'), '(1100,100,100)', 'live: exact at once, up to now');
SELECT throws_ok($$ SELECT qzpay.record_usage('org_writer', 'words', 1, 'w') $$, 'QZ204', NULL, 'and no reports');
SELECT is((SELECT string_agg(h.bucket_start::date || ' ' || h.quantity, ', ' ORDER BY h.bucket_start) FROM qzpay.usage_history('org_writer', 'words', 'day', '2026-01-01', '2026-01-04') h),
          '2026-01-01 600, 2026-01-02 500, 2026-01-03 0', 'history');
SELECT is((SELECT (r.total, r.events, r.peak)::text FROM qzpay.usage_report('org_writer', '2026-01-01', '2026-01-04') r WHERE r.meter = 'words'), '(1100,2,600)', 'report');
-- a mark saves counting what lies before it
INSERT INTO qzpay.usage_marks (tenant_id, customer_id, meter_id, period_start, counted_until, quantity, events)
SELECT c.tenant_id, c.id, m.id, '2026-01-01', '2026-01-02', 5000, 1 FROM qzpay.customers c, qzpay.meters m WHERE c.id = :'customer' AND m.code = 'words';
SELECT is((SELECT used FROM qzpay.usage_summary('org_writer') WHERE meter = 'words'), 5500::numeric, 'live: the mark, and what came after it');
SELECT pg_temp.go('2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills(), '100 240', 'the bill counts afresh, to the last microsecond: 1140 words, 140 over');
-- late rows, and rows that go
INSERT INTO app.posts (organization, words, written_at) VALUES ('org_writer', 2000, '2026-01-20 00:00+00');
SELECT pg_temp.go('2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills(), '100 240 1107', 'what came late is on the next bill: 7 + 2000');
DELETE FROM app.posts WHERE words = 7;
INSERT INTO app.posts (organization, words, written_at) VALUES ('org_writer', 1507, '2026-03-02 00:00+00');
SELECT pg_temp.go('2026-04-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills(), '100 240 1107 600', 'what has gone is taken from the next');
SELECT pg_temp.go('2026-05-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills(), '100 240 1107 600 100', 'once');

-- Thresholds are looked at by the job that moves the marks.
SELECT id AS alerted, tenant_id AS alerted_tenant FROM qzpay.sync_customer('org_alerted', livemode => false) \gset
SELECT qzpay.attach_payment_method(:'alerted', 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.subscribe(:'alerted', 'writer', trial_days => 0, start_at => qzpay._real_now() - interval '10 days') \g /dev/null
CREATE FUNCTION pg_temp.alerts() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.type || coalesce(' ' || (e.data ->> 'percent'), '') || ' at ' || (e.data ->> 'current'), ', ' ORDER BY e.id) FROM qzpay.events e WHERE e.type LIKE 'usage.%' AND e.customer_id =
        (SELECT id FROM qzpay.customers WHERE external_id = 'org_alerted') $$;
INSERT INTO app.posts (organization, words, written_at) VALUES ('org_alerted', 800, qzpay._real_now() - interval '5 days');
SELECT qzpay._job_usage_marks(1000) \g /dev/null
SELECT is(pg_temp.alerts(), 'usage.warning 75 at 800', 'alert: three quarters');
SELECT qzpay._job_usage_marks(1000) \g /dev/null
SELECT is(pg_temp.alerts(), 'usage.warning 75 at 800', 'alert: once');
INSERT INTO app.posts (organization, words, written_at) VALUES ('org_alerted', 300, qzpay._real_now() - interval '2 hours');
UPDATE qzpay.usage_marks k SET counted_until = counted_until - interval '3 days' WHERE k.customer_id = :'alerted';
SET LOCAL ROLE qzpay_runner;
SELECT qzpay._job_usage_marks(1000) \g /dev/null
RESET ROLE;
SELECT is(pg_temp.alerts(), 'usage.warning 75 at 800, usage.warning 90 at 1100, usage.warning 100 at 1100, usage.overage.started at 1100', 'alert: and the rest, by the worker''s role');

-- The attack: the owner of the table puts a view in its place, with code of his own behind it.
SET LOCAL ROLE regress_posts_owner;
CREATE TABLE app.seen (who text);
CREATE FUNCTION app.code() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN current_user = 'regress_posts_reader' THEN 1 ELSE 1000000 END; END $$;
CREATE FUNCTION app.climb() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'RESET ROLE'; RETURN 1; END $$;
CREATE FUNCTION app.become() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION DEFAULT'; RETURN 1; END $$;
CREATE FUNCTION app.pay() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN UPDATE qzpay.invoices SET amount_paid = 0; RETURN 1; END $$;
CREATE FUNCTION app.note() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.seen VALUES (current_user); RETURN 1; END $$;
GRANT INSERT ON app.seen TO regress_posts_reader;
ALTER TABLE app.posts RENAME TO real_posts;
CREATE VIEW app.posts WITH (security_invoker) AS SELECT 'org_writer'::text AS organization, app.code() AS words, '2026-05-01 00:00+00'::timestamptz AS written_at;
GRANT SELECT ON app.posts TO regress_posts_reader;
RESET ROLE;
SELECT is((SELECT used FROM qzpay.usage_summary('org_writer') WHERE meter = 'words'), 1::numeric, 'his code runs as the role that was named');
SELECT is(current_user::text, session_user::text, 'and only while it runs');
SET LOCAL ROLE regress_posts_owner;
CREATE FUNCTION app.put(code text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    EXECUTE format('CREATE OR REPLACE VIEW app.posts WITH (security_invoker) AS SELECT ''org_writer''::text AS organization, app.%I() AS words, ''2026-05-01 00:00+00''::timestamptz AS written_at', code);
END $$;
RESET ROLE;
CREATE FUNCTION pg_temp.attack(code text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL ROLE regress_posts_owner;
    PERFORM app.put(code);
    RESET ROLE;
    PERFORM s.used FROM qzpay.usage_summary('org_writer') s;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.attack(c), e, d) FROM (VALUES ('climb', '42501', 'it cannot reset its role'), ('become', '42501', 'nor its session''s'), ('pay', '42501', 'it has no rights on invoices'), ('note', 'done', 'and may do what the role may')) AS v (c, e, d);
SELECT is((SELECT string_agg(DISTINCT who, ', ') FROM app.seen), 'regress_posts_reader', 'as the role');
SELECT is(current_user::text, session_user::text, 'after an error too');
ALTER ROLE regress_posts_reader SUPERUSER;
SELECT throws_ok($$ SELECT * FROM qzpay.usage_summary('org_writer') $$, '42501', NULL, 'a role that has come to more rights is no longer used');
ALTER ROLE regress_posts_reader NOSUPERUSER;

SELECT is((SELECT string_agg(check_name || ': ' || evidence, ', ') FROM qzpay.check_integrity() WHERE status = 'fail'), NULL, 'every invariant holds');
SELECT * FROM finish();
ROLLBACK;
