-- Usage by what it means: periods, trials, limits, late events, distinct values, means, dimensions, reports, and the way back from an invoice line.
BEGIN;
SELECT plan(119);
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'), 'the catalog imports');
CREATE FUNCTION pg_temp.clock_of(who text) RETURNS uuid LANGUAGE sql AS $$ SELECT c.test_clock_id FROM qzpay.customers c WHERE c.external_id = who $$;
CREATE FUNCTION pg_temp.go(who text, at timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT 'now ' || a.now_at FROM qzpay.advance_test_clock(pg_temp.clock_of(who), at) a $$;
CREATE FUNCTION pg_temp.make(who text, at timestamptz, plan text DEFAULT 'pro', days integer DEFAULT NULL, per text DEFAULT 'month') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c uuid := (qzpay.sync_customer(who, test_clock => qzpay.create_test_clock(at, who))).id;
BEGIN
    PERFORM qzpay.attach_payment_method(c, 'sandbox', 'tok_ok');
    IF plan IS NOT NULL THEN
        PERFORM qzpay.subscribe(c, plan, per, trial_days => days);
    END IF;
END $$;
CREATE FUNCTION pg_temp.bills(who text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(i.issued_at::date || ' ' || i.total || ' ' || i.status, ', ' ORDER BY i.issued_at, i.series_number), 'none')
    FROM qzpay.invoices i JOIN qzpay.customers c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id WHERE c.external_id = who
$$;
CREATE FUNCTION pg_temp.line(who text, at date, OUT invoice uuid, OUT line_position integer, OUT quantity numeric, OUT amount bigint, OUT exact_amount numeric, OUT metadata jsonb) LANGUAGE sql AS $$
    SELECT l.invoice_id, l.position, l.quantity, l.amount, l.exact_amount, l.metadata
    FROM qzpay.customers c JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.customer_id = c.id JOIN qzpay.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
    WHERE c.external_id = who AND i.issued_at::date = at AND l.kind = 'usage'
$$;
CREATE FUNCTION pg_temp.happened(who text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(e.type || coalesce(' ' || (e.data ->> 'percent'), '') || ' at ' || (e.data ->> 'current'), ', ' ORDER BY e.id)
    FROM qzpay.events e JOIN qzpay.customers c ON c.tenant_id = e.tenant_id AND c.id = e.customer_id WHERE c.external_id = who AND e.type LIKE 'usage.%'
$$;

-- 1. RULES N2: 10 500 messages, some keys twice, one by one: thresholds where they lie, 10 000 free, 500 over = 750.
SELECT pg_temp.make('n2', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('n2', '2026-01-20 00:00+00') \g /dev/null
SELECT is((SELECT count(*) FROM generate_series(1, 10500) n, qzpay.record_usage('n2', 'messages', 1, 'm' || n) r WHERE r.status = 'recorded'), 10500::bigint, '10 500 messages are recorded');
SELECT is((SELECT count(*) FROM generate_series(1, 10500, 7) n, qzpay.record_usage('n2', 'messages', 1, 'm' || n) r WHERE r.status = 'duplicate'), 1500::bigint, 'repeated keys are duplicates');
SELECT is((SELECT used FROM qzpay.usage_summary('n2') WHERE meter = 'messages'), 10500::numeric, 'the live total is exact at once');
SELECT is((SELECT amount FROM qzpay.usage_summary('n2') WHERE meter = 'messages'), 750::bigint, 'and so is what it will cost');
SELECT is(pg_temp.happened('n2'), 'usage.warning 75 at 7500, usage.warning 90 at 9000, usage.warning 100 at 10000, usage.overage.started at 10001',
          'alerts at 7 500, 9 000 and 10 000, overage from 10 001, each once');
SELECT pg_temp.go('n2', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('n2'), '2026-01-19 9900 paid, 2026-02-19 10650 paid', 'billed 9900 and 9900 + 750');
SELECT is((SELECT used FROM qzpay.usage_summary('n2') WHERE meter = 'messages'), 0::numeric, 'the next period starts at 0');
-- ... and proved.
SELECT is((SELECT count(*) FROM pg_temp.line('n2', '2026-02-19') l, qzpay.invoice_line_events(l.invoice, l.line_position)), 10500::bigint, 'the line leads to its 10 500 events');
SELECT is((SELECT (sum(e.quantity), sum(e.free_quantity), sum(e.billed_quantity), sum(e.rated_amount))::text FROM pg_temp.line('n2', '2026-02-19') l, qzpay.invoice_line_events(l.invoice, l.line_position) e),
          '(10500,10000,500,750)', 'which add up to its quantity, what was free, what was billed, and its amount');
SELECT is((SELECT count(*) FROM pg_temp.line('n2', '2026-02-19') l, qzpay.invoice_line_events_csv(l.invoice, l.line_position)), 10501::bigint, 'as CSV with a header');
SELECT matches((SELECT c FROM pg_temp.line('n2', '2026-02-19') l, qzpay.invoice_line_events_csv(l.invoice, l.line_position) c OFFSET 1 LIMIT 1),
               '^[0-9a-f-]{36},2026-01-20 00:00:00\+00,[^,]+,m[0-9]+,1,,,false,1,1,0,0,$', 'in lines as they should be');
SELECT throws_ok(format('SELECT * FROM qzpay.invoice_line_events(%L, 1)', (SELECT invoice FROM pg_temp.line('n2', '2026-02-19'))), 'QZ204', NULL, 'a base line has no events');
SELECT throws_ok(format('SELECT * FROM qzpay.invoice_line_events(%L, 9)', (SELECT invoice FROM pg_temp.line('n2', '2026-02-19'))), 'QZ404', NULL, 'nor has a line that is not there');

-- 2. B4: a growing total under one key fails; under a key per reading it counts the difference, may fall, and does not mix.
SELECT pg_temp.make('b4', '2026-01-01 00:00+00', 'pro', 0) \g /dev/null
SELECT is((SELECT (r.status, r.total)::text FROM qzpay.record_usage('b4', 'messages', 100, 'sub:messages:2026-01:hourly', action => 'set') r), '(recorded,100)', 'a reading');
SELECT throws_ok($$ SELECT qzpay.record_usage('b4', 'messages', 180, 'sub:messages:2026-01:hourly', action => 'set') $$, 'QZ501', NULL, 'the second hour under the same key is other content');
SELECT is((qzpay.record_usage('b4', 'messages', 180, 'sub:messages:2026-01:hour-2', action => 'set')).total, 180::numeric, 'with the hour in the key it is the new total');
SELECT is((qzpay.record_usage('b4', 'messages', 150, 'sub:messages:2026-01:hour-3', action => 'set')).total, 150::numeric, 'which may fall');
SELECT throws_ok($$ SELECT qzpay.record_usage('b4', 'messages', 1, 'one') $$, 'QZ204', NULL, 'increments do not mix with readings');
SELECT is((qzpay.record_usage('b4', 'api_calls', 1, 'one')).total, 1::numeric, 'on another meter they may be used');

-- 3. B13: hard refuses above included, soft and none bill; check_limit says why.
SELECT qzpay.import_catalog('{"meters": {"pages": {"name": "Pages"}, "scans": {"name": "Scans"}, "faxes": {"name": "Faxes"}},
    "limits": {"maxPages": {"kind": "period", "meter": "pages"}, "maxScans": {"kind": "period", "meter": "scans"}, "maxFaxes": {"kind": "period", "meter": "faxes"}},
    "plans": [{"id": "office", "name": "Office", "prices": {"month": {"amount": 1000, "currency": "USD"}}, "limits": {"maxPages": 10, "maxScans": 10, "maxFaxes": 10},
        "usage": {"pages": {"included": 10, "overageRate": 3, "unit": 1, "limitType": "hard", "displayName": "Pages"},
                  "scans": {"included": 10, "overageRate": 3, "unit": 1, "limitType": "soft", "displayName": "Scans"},
                  "faxes": {"included": 10, "overageRate": 3, "unit": 1, "limitType": "none", "displayName": "Faxes"}}}]}') \g /dev/null
SELECT pg_temp.make('b13', '2026-01-01 00:00+00', 'office', 0) \g /dev/null
SELECT is((qzpay.record_usage('b13', 'pages', 10, 'p')).total, 10::numeric, 'hard: up to what is included');
SELECT throws_ok($$ SELECT qzpay.record_usage('b13', 'pages', 1, 'p2') $$, 'QZ505', NULL, 'hard: not beyond');
SELECT is((qzpay.record_usage('b13', 'scans', 12, 's')).total, 12::numeric, 'soft: beyond');
SELECT is((qzpay.record_usage('b13', 'faxes', 13, 'f')).total, 13::numeric, 'none: beyond');
SELECT is((SELECT string_agg(concat(l.allowed, ' ', l.reason), ', ' ORDER BY n) FROM unnest('{maxPages,maxScans,maxFaxes}'::text[]) WITH ORDINALITY AS k (code, n), qzpay.check_limit('b13', k.code, 10) l),
          'f limit_reached, t overage, t ', 'check_limit: no, overage, yes');
SELECT is((SELECT string_agg(e.type, ' ' ORDER BY e.type) FROM qzpay.events e JOIN qzpay.customers c ON c.id = e.customer_id WHERE c.external_id = 'b13' AND e.type ~ '^usage.(limit|overage)'),
          'usage.limit.reached usage.overage.started usage.overage.started', 'the limit is reached only where it is hard, overage starts elsewhere');
SELECT is((SELECT string_agg(concat_ws('/', v.limit_code, v.meter, v.kind, v.current, v.limit_value, v.overage, v.limit_type), ', ') FROM qzpay.usage_violations('b13') v),
          'maxFaxes/faxes/period/13/10/3/none, maxScans/scans/period/12/10/2/soft', 'what lies over its limit');
SELECT is((SELECT count(*) FROM qzpay.usage_violations('b4')), 0::bigint, 'nothing over, no row');

-- 4. B14: a trial bills nothing, refuses beyond what is included, and the counter starts anew; its end instant is paid.
SELECT pg_temp.make('b14', '2026-01-05 09:00+00') \g /dev/null
SELECT is((qzpay.record_usage('b14', 'messages', 10000, 'all')).total, 10000::numeric, 'in a trial all that is included');
SELECT throws_ok($$ SELECT qzpay.record_usage('b14', 'messages', 1, 'more') $$, 'QZ505', NULL, 'and not one more, though the charge is soft');
SELECT pg_temp.go('b14', '2026-01-19 09:00+00') \g /dev/null
SELECT is((SELECT used FROM qzpay.usage_summary('b14') WHERE meter = 'messages'), 0::numeric, 'the paid period starts at 0');
SELECT is((SELECT r.total FROM qzpay.record_usage('b14', 'messages', 10001, 'paid', '2026-01-19 09:00+00') r), 10001::numeric, 'the end instant is in it');
SELECT pg_temp.go('b14', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('b14'), '2026-01-19 9900 paid, 2026-02-19 9915 paid', 'the trial''s usage is on no bill');

-- 5. C4: late events are refused, or counted in the running period, marked, and named on its line; a retry is a duplicate.
SELECT throws_ok($$ SELECT qzpay.record_usage('b14', 'messages', 5, 'late', '2026-02-19 08:59+00') $$, 'QZ503', NULL, 'an event of a closed period is refused');
SELECT is((SELECT (r.status, r.total)::text FROM qzpay.record_usage('b14', 'messages', 5, 'late', '2026-02-19 08:59+00', late => 'next') r), '(recorded,5)', 'or counted in the running one');
SELECT is((SELECT r.status FROM qzpay.record_usage('b14', 'messages', 5, 'late', '2026-02-19 08:59+00', late => 'next') r), 'duplicate', 'once');
SELECT is((SELECT r.status FROM qzpay.record_usage('b14', 'messages', 10001, 'paid', '2026-01-19 09:00+00') r), 'duplicate', 'a report repeated after the close is a duplicate, not refused');
SELECT throws_ok($$ SELECT qzpay.record_usage('b14', 'messages', 10002, 'paid', '2026-01-19 09:00+00') $$, 'QZ501', NULL, 'and other content is still an error');
SELECT throws_ok($$ SELECT qzpay.record_usage('b14', 'messages', 1, 'x', late => 'maybe') $$, '22023', NULL, 'late is refuse or next');
SELECT is((SELECT string_agg(status || coalesce(' ' || left(error, 5), ''), ', ' ORDER BY index) FROM qzpay.record_usage_batch(
    '[{"customer": "b14", "meter": "messages", "quantity": 2, "idempotency_key": "l2", "occurred_at": "2026-01-20T00:00:00Z", "late": "next"},
      {"customer": "b14", "meter": "messages", "quantity": 2, "idempotency_key": "l3", "occurred_at": "2026-01-20T00:00:00Z"},
      {"customer": "b14", "meter": "messages", "quantity": 2, "idempotency_key": "l4", "late": true}]')), 'recorded, refused QZ503, refused 22023', 'the same in a batch');
SELECT is((qzpay.record_usage('b14', 'messages', 10000, 'in time')).total, 10007::numeric, 'late and timely usage share a total');
SELECT pg_temp.go('b14', '2026-03-19 09:00+00') \g /dev/null
SELECT is((SELECT (l.quantity, l.amount, l.metadata)::text FROM pg_temp.line('b14', '2026-03-19') l), '(10007,15,"{""included"": 10000, ""lateEvents"": 2, ""lateQuantity"": 7}")',
          'the invoice line names what came late');
SELECT is((SELECT string_agg(e.idempotency_key || e.late, ', ') FROM pg_temp.line('b14', '2026-03-19') l, qzpay.invoice_line_events(l.invoice, l.line_position) e), 'l2true, latetrue, in timefalse',
          'and so do its events, by their true time');

-- 6. Distinct values: exact at once, once per period, by JSON's equality; the value is wanted.
SELECT qzpay.import_catalog('{"meters": {"users": {"name": "Active users", "aggregation": "unique", "valueProperty": "user", "dimensions": ["country", "device"]},
                                         "latency": {"name": "Response time", "aggregation": "avg", "unit": "ms"}},
    "plans": [{"id": "seats", "name": "Seats", "prices": {"month": {"amount": 0, "currency": "USD"}},
               "usage": {"users": {"included": 2, "overageRate": 100, "unit": 1, "limitType": "none", "displayName": "Active users"}}}]}') \g /dev/null
SELECT pg_temp.make('unique', '2026-01-01 00:00+00', 'seats', 0) \g /dev/null
SELECT is((SELECT string_agg(r.total::text, ' ' ORDER BY n) FROM unnest('{"{\"user\": \"a\"}","{\"user\": \"b\"}","{\"user\": \"a\"}","{\"user\": 1}","{\"user\": 1.0}","{\"user\": \"1\"}","{\"user\": true}"}'::jsonb[]) WITH ORDINALITY AS v (p, n),
    LATERAL qzpay.record_usage('unique', 'users', 1, 'u' || n, properties => p) r), '1 2 2 3 3 4 5', 'values count once each');
SELECT is((SELECT r.total FROM qzpay.record_usage('unique', 'users', 1, 'u3', properties => '{"user": "a"}') r), 5::numeric, 'a duplicate changes nothing');
SELECT throws_ok(format('SELECT qzpay.record_usage(%L, %L, 1, %L, properties => %L)', 'unique', 'users', 'x', p), '22023', NULL, 'no value: ' || coalesce(p, 'NULL'))
FROM unnest(ARRAY[NULL, '{}', '{"user": null}', '{"user": ["a"]}', '[]']) p;
SELECT pg_temp.go('unique', '2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('unique'), '2026-02-01 300 paid', '5 values, 2 included: 3 × 100');
SELECT is((qzpay.record_usage('unique', 'users', 1, 'feb', properties => '{"user": "a"}')).total, 1::numeric, 'a known value counts again in the next period');

-- 7. Means are reported, never limited, never billed.
SELECT is((SELECT string_agg(round(r.total, 4)::text, ' ' ORDER BY n) FROM unnest('{10,20,40.5}'::numeric[]) WITH ORDINALITY AS v (q, n), LATERAL qzpay.record_usage('unique', 'latency', q, 'l' || n) r),
          '10.0000 15.0000 23.5000', 'the total is the mean');
SELECT is((SELECT (round(used, 2), included, amount)::text FROM qzpay.usage_summary('unique') WHERE meter = 'latency'), '(23.50,,0)', 'in the summary too');
SELECT throws_ok($$ SELECT qzpay.import_catalog('{"plans": [{"id": "bad", "name": "Bad", "prices": {"month": {"amount": 0, "currency": "USD"}}, "usage": {"latency": {"included": 0, "overageRate": 1, "unit": 1, "limitType": "none"}}}]}') $$,
                 'QZ601', NULL, 'a charge on a mean is refused');
SELECT throws_ok($$ SELECT qzpay.import_catalog('{"limits": {"maxLatency": {"kind": "period", "meter": "latency"}}}') $$, 'QZ601', NULL, 'and a limit');
SELECT throws_ok($$ SELECT qzpay.import_catalog('{"meters": {"x": {"aggregation": "unique"}}}') $$, 'QZ601', NULL, 'distinct values need a property');

-- 8. By dimension, in buckets, in a report.
SELECT qzpay.record_usage_batch('[{"customer": "unique", "meter": "users", "quantity": 1, "idempotency_key": "d1", "properties": {"user": "a", "country": "AR", "device": "x"}},
    {"customer": "unique", "meter": "users", "quantity": 1, "idempotency_key": "d2", "properties": {"user": "c", "country": "AR", "device": "y"}},
    {"customer": "unique", "meter": "users", "quantity": 1, "idempotency_key": "d3", "properties": {"user": "d", "country": "UY", "device": "x"}}]') \g /dev/null
SELECT is((SELECT string_agg(b.dimension_values::text || ' ' || b.quantity, ', ') FROM qzpay.usage_breakdown('unique', 'users', '{country}') b),
          '{"country": "AR"} 2, {"country": null} 1, {"country": "UY"} 1', 'distinct users by country');
SELECT is((SELECT count(*) FROM qzpay.usage_breakdown('unique', 'users')), 4::bigint, 'by all declared dimensions');
SELECT throws_ok($$ SELECT * FROM qzpay.usage_breakdown('unique', 'users', '{user}') $$, 'QZ401', NULL, 'not by one that is not declared');
SELECT is((SELECT string_agg(h.bucket_start::date || ' ' || h.quantity || coalesce(' ' || (h.dimension_values ->> 'device'), ''), ', ' ORDER BY h.bucket_start, h.dimension_values)
           FROM qzpay.usage_history('unique', 'users', 'month', '2026-01-01', '2026-02-02', '{device}') h), '2026-01-01 5, 2026-02-01 1, 2026-02-01 2 x, 2026-02-01 1 y', 'history by device');
SELECT is((SELECT string_agg(concat_ws('/', r.meter, round(r.total, 1), r.events, r.average, round(r.peak, 1), r.peak_start::date, r.buckets), ', ' ORDER BY r.meter) FROM qzpay.usage_report('n2', '2026-01-19', '2026-01-29') r),
          'messages/10500.0/10500/1050.000000/10500.0/2026-01-20/10', 'report: total, events, daily average, peak and its day');
SELECT throws_ok($$ SELECT * FROM qzpay.usage_report('n2', unit => 'year') $$, '22023', NULL, 'report: an unknown unit');

-- 9. A pause refuses usage, unless access is kept.
SELECT qzpay.import_catalog('{"plans": [{"id": "sleepy", "name": "Sleepy", "prices": {"month": {"amount": 500, "currency": "USD"}}, "trial": {"days": 7, "endBehavior": "pause"}}]}') \g /dev/null
SELECT pg_temp.make('paused', '2026-01-01 00:00+00', NULL) \g /dev/null
SELECT qzpay.detach_payment_method(m.id) FROM qzpay.payment_methods m JOIN qzpay.customers c ON c.id = m.customer_id WHERE c.external_id = 'paused' \g /dev/null
SELECT qzpay.subscribe(c.id, 'sleepy') FROM qzpay.customers c WHERE c.external_id = 'paused' \g /dev/null
SELECT pg_temp.go('paused', '2026-01-09 00:00+00') \g /dev/null
SELECT is((SELECT s.status::text FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'paused'), 'paused', 'a trial without a method ends paused');
SELECT throws_ok($$ SELECT qzpay.record_usage('paused', 'messages', 1, 'p1') $$, 'QZ403', NULL, 'usage is refused while paused');
SELECT is((SELECT error FROM qzpay.record_usage_batch('[{"customer": "paused", "meter": "messages", "quantity": 1}]')), 'QZ403: usage of "messages" is refused while the subscription is paused', 'in a batch too');
UPDATE qzpay.subscriptions s SET pause_access = 'full' FROM qzpay.customers c WHERE c.id = s.customer_id AND c.external_id = 'paused';
SELECT is((SELECT r.status FROM qzpay.record_usage('paused', 'messages', 1, 'p1') r), 'recorded', 'not where access is kept');

-- A number so large that only its exponent is long.
SELECT throws_ok($$ SELECT qzpay.record_usage('paused', 'messages', 1e30, 'huge') $$, '22003', 'quantity of "messages" must be below 10^15 and have at most 18 decimals', 'a huge quantity says what it may be');
SELECT results_eq($$ SELECT b.status, left(b.error, 5) FROM qzpay.record_usage_batch('[{"customer": "paused", "meter": "messages", "quantity": 1e30}, {"customer": "paused", "meter": "messages", "quantity": 1e4000},
    {"customer": "paused", "meter": "messages", "quantity": 1}]') b $$, $$ VALUES ('refused', '22003'), ('refused', '22003'), ('recorded', NULL) $$, 'and loses no other element of its batch');

-- 10. Settings. How months are forgotten stands in test/sql/usage.sql: it takes several transactions.
SELECT lives_ok($$ SELECT qzpay.set_setting('usage_retention_months', '3') $$, 'retention is a setting');
SELECT throws_ok($$ SELECT qzpay.set_setting('usage_retention_months', '2') $$, '22023', NULL, 'of at least three months');
SELECT throws_ok($$ SELECT qzpay.set_setting('usage_alert_percents', '[50, 101]') $$, '22023', NULL, 'thresholds are percents');
SELECT throws_ok($$ SELECT qzpay._drop_usage_partition(current_date) $$, 'QZ204', NULL, 'nobody drops a month that is to be kept');
SAVEPOINT retention;
SELECT qzpay.set_setting('usage_retention_months', 'null') \g /dev/null
SELECT throws_ok($$ SELECT qzpay._drop_usage_partition(current_date - 1000) $$, 'QZ204', NULL, 'none where all are kept for ever');
UPDATE qzpay.settings SET value = '-1' WHERE name = 'usage_retention_months';
SELECT throws_ok($$ SELECT qzpay._drop_usage_partition(current_date) $$, '22023', NULL, 'nor by a setting that set_setting() refuses');
ROLLBACK TO retention;

-- 11. A window for late reports: the boundary bills in advance as ever, the usage of the period follows when the window closes.
SELECT throws_ok($$ SELECT qzpay.set_setting('usage_late_window', '721') $$, '22023', NULL, 'the window has an end');
SELECT qzpay.set_setting('usage_late_window', '24') \g /dev/null
SELECT pg_temp.make('window', '2026-01-01 00:00+00', 'office', 0) \g /dev/null
SELECT qzpay.set_setting('usage_late_window', '0') \g /dev/null
SELECT qzpay.record_usage('window', 'scans', 12, 'w1') \g /dev/null
SELECT pg_temp.go('window', '2026-02-01 12:00+00') \g /dev/null
SELECT is(pg_temp.bills('window'), '2026-01-01 1000 paid, 2026-02-01 1000 paid', 'at the boundary the base alone');
SELECT is((SELECT r.total FROM qzpay.record_usage('window', 'scans', 1, 'w2', '2026-01-31 23:00+00') r), 13::numeric, 'a late report counts in its own period');
SELECT is((SELECT r.total FROM qzpay.record_usage('window', 'scans', 11, 'w3') r), 11::numeric, 'a timely one in the next');
SELECT is((SELECT string_agg(p.due_at::date || ' ' || p.kind || ' ' || p.quantity || ' ' || p.amount, ', ') FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id, qzpay.preview_invoice(s.id) p WHERE c.external_id = 'window'),
          '2026-02-02 usage 13 9', 'the preview shows what comes next');
SELECT pg_temp.go('window', '2026-02-02 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('window'), '2026-01-01 1000 paid, 2026-02-01 1000 paid, 2026-02-02 9 paid', 'then the usage of January');
SELECT throws_ok($$ SELECT qzpay.record_usage('window', 'scans', 1, 'w4', '2026-01-31 23:00+00') $$, 'QZ503', NULL, 'after it, January is closed');
SELECT pg_temp.go('window', '2026-03-02 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('window'), '2026-01-01 1000 paid, 2026-02-01 1000 paid, 2026-02-02 9 paid, 2026-03-01 1000 paid, 2026-03-02 3 paid', 'and so on');
SELECT qzpay.record_usage('window', 'scans', 12, 'w5') \g /dev/null
SELECT qzpay.cancel(s.id) FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'window' \g /dev/null
SELECT pg_temp.go('window', '2026-04-03 00:00+00') \g /dev/null
SELECT matches(pg_temp.bills('window'), '2026-04-01 6', 'an end closes at once');
-- The plan's window before the setting's; a change of plan takes on the new one's.
SELECT qzpay.import_catalog('{"plans": [{"id": "patient", "name": "Patient", "usageLateHours": 12, "prices": {"month": {"amount": 1000, "currency": "USD"}},
    "usage": {"scans": {"included": 10, "overageRate": 3, "unit": 1, "limitType": "soft", "displayName": "Scans"}}}]}') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.import_catalog(qzpay.export_catalog()) WHERE action <> 'unchanged'), 0::bigint, 'which a catalog exports');
SELECT pg_temp.make('patient', '2026-01-01 00:00+00', 'patient', 0) \g /dev/null
SELECT pg_temp.go('patient', '2026-02-01 11:00+00') \g /dev/null
SELECT is((SELECT r.status FROM qzpay.record_usage('patient', 'scans', 13, 'late', occurred_at => '2026-01-31 23:00+00') r), 'recorded', 'eleven hours late is in time for twelve');
SELECT pg_temp.go('patient', '2026-02-01 12:00+00') \g /dev/null
SELECT is(pg_temp.bills('patient'), '2026-01-01 1000 paid, 2026-02-01 1000 paid, 2026-02-01 9 paid', 'and billed when they are over');
SELECT qzpay.change_plan(s.id, 'office', effective => 'now') FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'patient' \g /dev/null
SELECT is((SELECT s.usage_late_hours FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'patient'), (qzpay.setting('usage_late_window') #>> '{}')::integer, 'a plan that says nothing goes by the setting');
-- Scheduled for the boundary, too: the period that ends there is closed there, with the items it had, and the contract goes on.
SELECT pg_temp.make('hasty', '2026-01-01 00:00+00', 'patient', 0) \g /dev/null
SELECT qzpay.record_usage('hasty', 'scans', 13, 'h1') \g /dev/null
SELECT qzpay.change_plan(s.id, 'office', effective => 'period_end') FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'hasty' \g /dev/null
SELECT pg_temp.go('hasty', '2026-02-01 01:00+00') \g /dev/null
SELECT is(pg_temp.bills('hasty'), '2026-01-01 1000 paid, 2026-02-01 1009 paid', 'a change to a plan without a window closes what ends with the old one');
SELECT throws_ok($$ SELECT qzpay.record_usage('hasty', 'scans', 1, 'h2', '2026-01-31 23:00+00') $$, 'QZ503', NULL, 'which is closed');
SELECT qzpay.record_usage('hasty', 'scans', 12, 'h3') \g /dev/null
SELECT pg_temp.go('hasty', '2026-03-02 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('hasty'), '2026-01-01 1000 paid, 2026-02-01 1009 paid, 2026-03-01 1006 paid', 'and the next period follows');
SELECT pg_temp.make('foresight', '2026-01-01 00:00+00', 'patient', 0) \g /dev/null
SELECT qzpay.record_usage('foresight', 'scans', 13, 'f1') \g /dev/null
SELECT pg_temp.go('foresight', '2026-02-01 01:00+00') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', to_char(p.invoice_at, 'MM-DD'), p.kind, p.amount, p.invoice_total), ', ') FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id
           CROSS JOIN qzpay.preview_change(s.id, 'office', effective => 'period_end') p WHERE c.external_id = 'foresight'), '03-01 plan 1000 1000', 'inside the window the preview of a later change leaves the invoice of the window out');
-- An anchor ahead is no trial: what is used before it is billed, not refused.
SELECT qzpay.create_test_clock('2026-01-20 00:00+00', 'stub') AS stub_clock \gset
SELECT id AS stub FROM qzpay.sync_customer('stub', test_clock => :'stub_clock') \gset
SELECT qzpay.attach_payment_method(:'stub', 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.subscribe(:'stub', 'patient', trial_days => 0, anchor => 'calendar') \g /dev/null
SELECT is((SELECT r.total FROM qzpay.record_usage('stub', 'scans', 13, 's1') r), 13::numeric, 'a soft limit is soft before the anchor');
SELECT is((SELECT concat_ws(' ', u.limit_type, u.overage, u.amount) FROM qzpay.usage_summary('stub') u WHERE u.meter = 'scans'), 'soft 3 9', 'and what is beyond it has its price');
-- What ends a contract or a period inside the window ends two periods: the one that waits, and the one that has begun behind it.
SELECT qzpay.set_setting('usage_late_window', '48') \g /dev/null
SELECT pg_temp.make(n, '2026-01-19 09:00+00', 'office', 0) FROM unnest('{window_end,window_pause,window_mover}'::text[]) n \g /dev/null
SELECT qzpay.set_setting('usage_late_window', '0') \g /dev/null
SELECT qzpay.record_usage(n, 'scans', 12, 'w1') FROM unnest('{window_end,window_pause}'::text[]) n \g /dev/null
SELECT pg_temp.go(n, '2026-02-20 09:00+00') FROM unnest('{window_end,window_pause}'::text[]) n \g /dev/null
SELECT qzpay.record_usage(n, 'scans', 14, 'w2') FROM unnest('{window_end,window_pause}'::text[]) n \g /dev/null
SELECT pg_temp.go(n, '2026-02-20 10:00+00') FROM unnest('{window_end,window_pause}'::text[]) n \g /dev/null
SELECT qzpay.cancel(s.id, 'now') FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'window_end' \g /dev/null
SELECT qzpay.pause(s.id, 'now') FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'window_pause' \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', c.external_id, to_char(l.period_start, 'MM-DD HH24'), to_char(l.period_end, 'MM-DD HH24'), l.quantity, l.amount), ', ' ORDER BY c.external_id, l.period_start)
           FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.id = l.invoice_id JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id ~ '^window_' AND l.kind = 'usage' AND i.issued_at = '2026-02-20 10:00+00'),
          'window_end 01-19 09 02-19 09 12 6, window_end 02-19 09 02-20 10 14 12, window_pause 01-19 09 02-19 09 12 6, window_pause 02-19 09 02-20 10 14 12', 'both are billed at once');
-- Who has moved begins the next period where the running one ends, whatever the clock of the new zone says.
SELECT pg_temp.go('window_mover', '2026-03-01 00:00+00') \g /dev/null
SELECT qzpay.sync_customer('window_mover', timezone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('window_mover', '2026-03-19 08:30+00') \g /dev/null
SELECT qzpay.record_usage('window_mover', 'scans', 11, 'm1') \g /dev/null
SELECT pg_temp.go('window_mover', '2026-03-19 09:30+00') \g /dev/null
SELECT qzpay.record_usage('window_mover', 'scans', 13, 'm2') \g /dev/null
SELECT pg_temp.go('window_mover', '2026-04-25 00:00+00') \g /dev/null
SELECT matches(pg_temp.bills('window_mover'), '2026-03-21 3 paid, 2026-04-19 1000 paid, 2026-04-21 9 paid', 'in the window after a move each event finds its period');

-- 12. More than an amount can be: quantity and price are possible, their product is not.
SELECT qzpay.import_catalog('{"meters": {"gold": {"name": "Gold"}}, "plans": [
    {"id": "mine", "name": "Mine", "prices": {"month": {"amount": 1000, "currency": "USD"}}, "usage": {
        "gold": {"included": 0, "overageRate": 100000000, "unit": 1, "limitType": "none", "displayName": "Gold"},
        "scans": {"included": 0, "overageRate": 3, "unit": 1, "limitType": "none", "displayName": "Scans"},
        "faxes": {"included": 0, "overageRate": 3, "unit": 1, "limitType": "none", "displayName": "Faxes"}}},
    {"id": "mint", "name": "Mint", "prices": {"month": {"amount": 2000, "currency": "USD"}}}]}') \g /dev/null
SELECT pg_temp.make('gold', '2026-01-01 00:00+00', 'mine', 0) \g /dev/null
SELECT is((SELECT string_agg(r.status, ' ') FROM (VALUES ('gold', 999999999999999), ('scans', 2)) u (m, q), qzpay.record_usage('gold', u.m, u.q, u.m) r), 'recorded recorded', 'absurd usage is recorded');
SELECT is((SELECT string_agg(concat_ws(' ', s.meter, s.used, s.percent_used, coalesce(s.amount::text, 'no amount')), ', ') FROM qzpay.usage_summary('gold') s WHERE s.meter IN ('faxes', 'gold', 'scans')),
          'faxes 0 100 0, gold 999999999999999 100 no amount, scans 2 100 6', 'its meter has no amount, the others have; and of nothing included everything is used (B9)');
SELECT pg_temp.go('gold', '2026-02-02 00:00+00') \g /dev/null
SELECT is((SELECT b.error_code FROM qzpay.billing_errors b JOIN qzpay.subscriptions s ON s.id = b.subscription_id JOIN qzpay.customers c ON c.id = s.customer_id WHERE c.external_id = 'gold'), '22003',
          'the run sets the subscription aside and goes on');
SELECT throws_ok($$ SELECT p.* FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id, qzpay.preview_invoice(s.id) p WHERE c.external_id = 'gold' $$, '22003', NULL, 'a preview says so too');

-- 13. Batches: what is written together counts as if it came one by one.
SELECT pg_temp.make('batch', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('batch', '2026-01-20 00:00+00') \g /dev/null
CREATE FUNCTION pg_temp.answers(events jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(status || coalesce(' ' || left(error, 5), ''), ', ' ORDER BY index) FROM qzpay.record_usage_batch(events)
$$;
CREATE FUNCTION pg_temp.reports(who text, n integer) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('customer', who, 'meter', 'messages', 'quantity', 1, 'idempotency_key', 'r' || k)) FROM generate_series(1, n) k
$$;
SELECT is((SELECT string_agg(status || ' ' || n, ', ') FROM (SELECT status, count(*) AS n FROM qzpay.record_usage_batch(pg_temp.reports('batch', 9999)) GROUP BY 1) r), 'recorded 9999', 'many at once');
SELECT is(pg_temp.happened('batch'), 'usage.warning 75 at 9999, usage.warning 90 at 9999', 'thresholds that are passed together are told together, with the total they were passed with');
SELECT is((SELECT string_agg(status || ' ' || n, ', ' ORDER BY n) FROM (SELECT status, count(*) AS n FROM qzpay.record_usage_batch(pg_temp.reports('batch', 10001)) GROUP BY 1) r),
          'recorded 2, duplicate 9999', 'sent again with two more: those count');
SELECT is((SELECT used FROM qzpay.usage_summary('batch') WHERE meter = 'messages'), 10001::numeric, 'the total is exact');
SELECT is(pg_temp.answers('[{"customer": "batch", "meter": "messages", "quantity": 1, "idempotency_key": "x1"}, {"customer": "batch", "meter": "messages", "quantity": 2, "idempotency_key": "x2"},
    {"customer": "batch", "meter": "messages", "quantity": 2, "idempotency_key": "x1"}, {"customer": "batch", "meter": "messages", "quantity": 1, "idempotency_key": "x1"},
    {"customer": "batch", "meter": "messages", "quantity": 3}, {"customer": "batch", "meter": "messages", "quantity": 7, "action": "set"}, {"customer": "batch", "meter": "messages", "quantity": 1, "idempotency_key": ""}]'),
          'recorded, recorded, refused QZ501, duplicate, recorded, refused QZ204, refused 22023', 'of one key the first report counts, and none is lost for the others');
SELECT is((SELECT used FROM qzpay.usage_summary('batch') WHERE meter = 'messages'), 10007::numeric, 'which adds up');
-- A key of the month before, among new ones, for a customer without a test clock.
SELECT qzpay.sync_customer('months', livemode => false) \g /dev/null
SELECT qzpay._make_usage_partition((date_trunc('month', qzpay._recorded_at() AT TIME ZONE 'UTC') - interval '1 day')::date) \g /dev/null
INSERT INTO qzpay.usage_events (tenant_id, customer_id, id, meter_id, period_start, occurred_at, recorded_at, quantity, idempotency_key)
SELECT c.tenant_id, c.id, qzpay.uuid_v5(c.id, 'r3'), m.id, '2020-01-01', '2020-01-02', (date_trunc('month', qzpay._recorded_at() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') - interval '1 second', 1, 'r3'
FROM qzpay.customers c, qzpay.meters m WHERE c.external_id = 'months' AND m.code = 'messages';
INSERT INTO qzpay.usage_totals (tenant_id, customer_id, meter_id, period_start, shard, quantity, events)
SELECT e.tenant_id, e.customer_id, e.meter_id, e.period_start, 0, 1, 1 FROM qzpay.usage_events e WHERE e.idempotency_key = 'r3' AND e.period_start = '2020-01-01';
SELECT is(pg_temp.answers(pg_temp.reports('months', 5)), 'recorded, recorded, duplicate, recorded, recorded', 'a key of the month before is a duplicate in a batch too');
-- What is rolled back leaves nothing, not even in what the session remembers.
CREATE FUNCTION pg_temp.and_back(events jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM qzpay.record_usage_batch(events);
    RAISE EXCEPTION 'back';
EXCEPTION WHEN raise_exception THEN
    RETURN pg_temp.answers(events);
END $$;
SELECT is(pg_temp.and_back(jsonb_build_array(pg_temp.reports('months', 9) -> 7, pg_temp.reports('months', 9) -> 8)), 'recorded, recorded', 'what was rolled back is recorded again');
-- Amounts, told and untold, and several periods of one meter.
SELECT is(pg_temp.answers('[{"customer": "months", "meter": "api_calls", "quantity": 2, "amount": 30}, {"customer": "months", "meter": "api_calls", "quantity": 5}, {"customer": "months", "meter": "api_calls", "quantity": 1, "amount": 0.5}]'),
          'recorded, recorded, recorded', 'amounts');
SELECT is((SELECT (t.quantity, t.events, t.amount)::text FROM qzpay.usage_totals t JOIN qzpay.customers c ON c.id = t.customer_id JOIN qzpay.meters m ON m.id = t.meter_id WHERE c.external_id = 'months' AND m.code = 'api_calls'),
          '(8,3,35.5)', 'where none is told it is the quantity');

-- 14. Neither a time before the contract nor a card number.
SELECT throws_ok($$ SELECT qzpay.record_usage('batch', 'messages', 1, 'old', '4713-01-01 00:00 BC', late => 'next') $$, 'QZ503', NULL, 'a time long before the contract is refused');
SELECT is(pg_temp.answers('[{"customer": "batch", "meter": "messages", "quantity": 1, "occurred_at": "4713-01-01 00:00 BC", "late": "next"},
    {"customer": "batch", "meter": "messages", "quantity": 1, "occurred_at": "2025-02-01 00:00Z", "late": "next"}, {"customer": "batch", "meter": "messages", "quantity": 1, "occurred_at": "2025-12-31 00:00Z", "late": "next"}]'),
          'refused QZ503, recorded, recorded', 'in a batch too; what a contract before it may have seen is not');
SELECT throws_ok($$ SELECT qzpay.record_usage('batch', 'messages', 1, 'card', properties => '{"note": "4111 1111 1111 1111"}') $$, '22023', 'a value looks like a card number', 'a card number is refused');
SELECT is((SELECT string_agg(concat_ws(' ', status, error), ', ' ORDER BY index) FROM qzpay.record_usage_batch('[{"customer": "batch", "meter": "messages", "quantity": 1, "idempotency_key": "card", "properties": {"a": [{"4111111111111111": 1}]}},
    {"customer": "batch", "meter": "messages", "quantity": 1, "idempotency_key": "card", "properties": {"a": 4111111111111112}}]')), 'refused 22023: a value looks like a card number, recorded', 'of a batch alone, and nothing of it is told');

-- 15. A contract that charges for no usage takes none away from one that does.
SELECT qzpay.import_catalog('{"plans": [{"id": "bare", "name": "Bare", "prices": {"month": {"amount": 500, "currency": "USD"}}}]}') \g /dev/null
SELECT pg_temp.make('beside', '2026-01-05 00:00+00', 'office', 0) \g /dev/null
SELECT pg_temp.go('beside', '2026-01-20 00:00+00') \g /dev/null
SELECT qzpay.subscribe(id, 'bare', trial_days => 0, allow_multiple => true) FROM qzpay.customers WHERE external_id = 'beside' \g /dev/null
SELECT qzpay.record_usage('beside', 'scans', 15, 'b1') \g /dev/null
SELECT is((SELECT (used, amount)::text FROM qzpay.usage_summary('beside') WHERE meter = 'scans'), '(15,15)', 'what the summary says');
SELECT pg_temp.go('beside', '2026-02-05 00:00+00') \g /dev/null
SELECT is((SELECT l.amount FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.id = l.invoice_id JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id = 'beside' AND l.kind = 'usage'), 15::bigint, 'is billed');

-- 16. The books.
-- The decoder of PostgreSQL 15 raises for a zone that it doesn't know, where it answers for anything else.
SELECT pg_temp.make('zone', '2026-01-01 00:00+00', 'office', 0) \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', status, error), ', ' ORDER BY index) FROM qzpay.record_usage_batch(
    '[{"customer": "zone", "meter": "scans", "quantity": 1, "occurred_at": "2026-01-01 00:00 Nowhere/Zone"},
      {"customer": "zone", "meter": "scans", "quantity": 1, "occurred_at": "2026-01-01 02:00 Europe/Athens"},
      {"customer": "zone", "meter": "scans", "quantity": 1}]')), 'refused 22007: "2026-01-01 00:00 Nowhere/Zone" is no timestamp, recorded, recorded',
          'an unknown time zone in a batch is its own row''s fault');
-- Rows are written without the executor, which would have refused.
CREATE FUNCTION pg_temp.when_read_only(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL transaction_read_only = on;
    EXECUTE command;
    RAISE EXCEPTION 'it was done';
EXCEPTION WHEN OTHERS THEN
    RETURN sqlstate;
END $$;
SELECT is((SELECT array_agg(pg_temp.when_read_only(format('SELECT qzpay.%s', c)) ORDER BY n) FROM unnest(ARRAY[
    $$record_usage('zone', 'scans', 1, 'first')$$, $$record_usage('zone', 'scans', 1, NULL)$$, $$record_usage_batch('[{"customer": "zone", "meter": "scans", "quantity": 1}]')$$])
    WITH ORDINALITY AS k (c, n)), '{25006,25006,25006}', 'a read-only transaction records nothing');
SELECT is((SELECT string_agg(check_name || ': ' || evidence, ', ') FROM qzpay.check_integrity() WHERE status <> 'pass' AND check_name <> 'nothing_is_set_aside'), NULL, 'every invariant holds');
SELECT * FROM finish();
ROLLBACK;
