-- Pricing models: the worked numbers, slices of a period, and each model through a billed month.
BEGIN;
SELECT * FROM no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

-- Worked numbers, in whatever unit the example speaks of.
SELECT is(qzpay.rate_usage(m, p::jsonb, q, i), want, m || ': ' || q || ' less ' || i || ' under ' || p)
FROM (VALUES
    ('flat', '{"amount": 50}', 0::numeric, 0::numeric, 50::numeric), ('flat', '{"amount": 50}', 1e6, 0, 50),
    ('per_unit', '{"unit_amount": 0.05}', 1000, 0, 50),
    ('graduated', '{"tiers": [{"up_to": 100, "unit_amount": 1}, {"up_to": 200, "unit_amount": 0.5}, {"unit_amount": 0.1}]}', 250, 0, 155),
    ('graduated', '{"tiers": [{"up_to": 5, "unit_amount": 7}, {"up_to": 10, "unit_amount": 6.5}, {"unit_amount": 6}]}', 20, 0, 127.5),
    ('volume', '{"tiers": [{"up_to": 5, "unit_amount": 7}, {"up_to": 10, "unit_amount": 6.5}, {"unit_amount": 6}]}', 5, 0, 35),
    ('volume', '{"tiers": [{"up_to": 5, "unit_amount": 7}, {"up_to": 10, "unit_amount": 6.5}, {"unit_amount": 6}]}', 6, 0, 39),
    ('volume', '{"tiers": [{"up_to": 5, "unit_amount": 7}, {"up_to": 10, "unit_amount": 6.5}, {"unit_amount": 6}]}', 20, 0, 120),
    ('volume', '{"tiers": [{"up_to": 10000, "unit_amount": 0.001}, {"unit_amount": 0.0006, "flat_amount": 10}]}', 65000, 0, 49),
    ('package', '{"amount": 5, "size": 100}', 201, 100, 10),
    ('package', '{"amount": 15, "size": 10}', 10500, 10000, 750), ('package', '{"amount": 15, "size": 10}', 10505, 10000, 765), ('per_unit', '{"unit_amount": 1.5}', 10501, 10000, 751.5),
    ('package', '{"amount": 5, "size": 1000}', 1500000, 1000000, 2500),
    -- blocks: the number of started blocks is what the tiers count
    ('graduated', '{"tiers": [{"up_to": 100, "unit_amount": 1}, {"unit_amount": 0.5}]}', ceil(1500 / 10.0), 0, 125),
    ('graduated', '{"tiers": [{"up_to": 1024, "unit_amount": 0.5}, {"unit_amount": 0.1}]}', 2048, 0, 614.4),
    ('volume', '{"tiers": [{"up_to": 100, "unit_amount": 1}, {"unit_amount": 0.5}]}', ceil(1500 / 10.0), 0, 75),
    ('volume', '{"tiers": [{"up_to": 1024, "unit_amount": 0.5}, {"unit_amount": 0.1}]}', 2048, 0, 204.8),
    -- capacity: a price for the peak's tier
    ('volume', '{"tiers": [{"up_to": 500, "unit_amount": 0, "flat_amount": 5}, {"unit_amount": 0, "flat_amount": 12}]}', 500, 0, 5),
    ('volume', '{"tiers": [{"up_to": 500, "unit_amount": 0, "flat_amount": 5}, {"unit_amount": 0, "flat_amount": 12}]}', 501, 0, 12),
    ('graduated_percentage', '{"tiers": [{"up_to": 1000, "rate": 1, "flat_amount": 200}, {"up_to": 10000, "rate": 2, "flat_amount": 300}, {"rate": 3, "flat_amount": 0}]}', 500, 0, 205),
    ('graduated_percentage', '{"tiers": [{"up_to": 1000, "rate": 1, "flat_amount": 200}, {"up_to": 10000, "rate": 2, "flat_amount": 300}, {"rate": 3, "flat_amount": 0}]}', 1050, 0, 205 + 306),
    ('graduated_percentage', '{"tiers": [{"up_to": 1000, "rate": 1, "flat_amount": 200}, {"up_to": 10000, "rate": 2, "flat_amount": 300}, {"rate": 3, "flat_amount": 0}]}', 5050, 0, 591),
    ('dynamic', '{"multiplier": 1.2}', 100, 0, 120), ('dynamic', '{}', 22, 0, 22),
    ('per_unit', '{"unit_amount": 0.05, "minimum_amount": 100}', 1000, 0, 100), ('per_unit', '{"unit_amount": 0.05, "minimum_amount": 100}', 0, 0, 100),
    ('per_unit', '{"unit_amount": 1, "maximum_amount": 100}', 120, 0, 100),
    ('percentage', '{"rate": 1.2, "free_amount": 500}', 550, 0, 0.6), ('percentage', '{"rate": 1.2, "fixed_amount": 10}', 0, 0, 0)
) AS v (m, p, q, i, want);
SELECT is(qzpay.rate_usage('per_unit', '{"unit_amount": 1, "maximum_amount": 100}', 120) - qzpay.rate_usage('per_unit', '{"unit_amount": 1, "maximum_amount": 100}', 70), 30::numeric,
          'a cap of 100 after a first line of 70 leaves 30');
SELECT is(qzpay.rate_usage('percentage', '{"rate": 1.2, "fixed_amount": 0.1, "free_events": 3, "free_amount": 500}', 350, event_quantities => '{100,100,100,50}'), 0.70,
          'percentage: the fourth event of 50 costs 0.70');
SELECT is(qzpay.rate_usage('dynamic', '{}', 22, 0, 3, 3.45), 3.45, 'dynamic: 0.70 + 0.55 + 2.20');
SELECT is(qzpay.rate_usage('dynamic', '{}', 22, 0, event_quantities => '{7,5,10}', event_amounts => '{0.70,0.55,2.20}'), 3.45, 'dynamic, from the events');
SELECT is(qzpay.usage_amount('per_unit', '{"unit_amount": 0.5}', 1, 0, 'half_even', events => 1), 0::bigint, 'half to even');

-- What cannot be.
CREATE FUNCTION pg_temp.refused(call text, code text, message text) RETURNS text LANGUAGE sql AS $$ SELECT throws_ok('SELECT ' || call, code, message, message) $$;
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": 1, "fixed_amount": 1}', 5)$$, '22023', 'the number of events is wanted');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": 1, "free_events": 1}', 5, 0, 2)$$, '22023', 'quantity and amount of each event are wanted');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 1, 2, 7)$$, '22023', 'quantity and amount of each event are wanted');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, event_quantities => '{2,2}')$$, '22023', 'the events do not add up to the quantity');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, amount => 8, event_quantities => '{2,3}', event_amounts => '{4,3}')$$, '22023', 'the events do not add up to the amount');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, 3, event_quantities => '{2,3}')$$, '22023', 'the events do not add up to the number of events');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, event_quantities => '{2,3}', event_amounts => '{4}')$$, '22023', 'there must be as many quantities as amounts of events');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, event_amounts => '{4}')$$, '22023', 'there must be as many quantities as amounts of events');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, event_quantities => '{5,NULL}')$$, '22004', 'quantity of an event must not be null');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, event_quantities => '{{5},{0}}')$$, '22023', 'an array must have one dimension, that of each quantity of an event');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": 1, "free_events": 1}', 5, 0, event_quantities => '{6,-1}')$$, '22023', 'quantity or amount of an event must not be negative');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, -1)$$, '22023', 'number of events must not be negative');
SELECT pg_temp.refused($$qzpay.rate_usage('dynamic', '{}', 5, 0, 1, -1)$$, '22023', 'amount must not be negative');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"fixed_amount": 1}', 0)$$, '22023', 'invalid pricing: "rate" is missing');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": 1, "free_events": 1.5}', 0)$$, '22023', 'invalid pricing: "free_events" must be a whole number');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": 1, "free_events": -1}', 0)$$, '22023', 'invalid pricing: the number of free events is negative');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": -1}', 0)$$, '22023', 'invalid pricing: the unit amount or rate is negative or not a number');
SELECT pg_temp.refused($$qzpay.rate_usage('percentage', '{"rate": 1, "event_minimum": 2, "event_maximum": 1}', 0)$$, '22023', 'invalid pricing: the minimum is above the maximum');
SELECT pg_temp.refused($$qzpay.rate_usage('per_unit', '{"unit_amount": 1, "rate": 1}', 0)$$, '22023', 'invalid pricing: "rate" has no meaning here');
SELECT pg_temp.refused($$qzpay.rate_usage('graduated_percentage', '{"tiers": [{"unit_amount": 1}]}', 0)$$, '22023', 'invalid pricing: "unit_amount" has no meaning here (tier 1)');
SELECT pg_temp.refused($$qzpay.rate_usage('graduated', '{"tiers": [{"unit_amount": 1, "minimum_amount": 1}]}', 0)$$, '22023', 'invalid pricing: "minimum_amount" has no meaning here (tier 1)');
SELECT pg_temp.refused($$qzpay.rate_usage('per_unit', '{"unit_amount": 1, "minimum_amount": 2, "maximum_amount": 1}', 0)$$, '22023', 'invalid pricing: the minimum is above the maximum');
SELECT is(qzpay.rate_usage('dynamic', '{}', NULL) IS NULL AND qzpay.usage_amount('dynamic', '{}', 1, 0, NULL) IS NULL, true, 'NULL for NULL');

-- A period billed in slices costs what it costs billed once, and no slice is negative; volume must wait for the end.
CREATE TEMP TABLE offers AS
SELECT row_number() OVER () AS offer, m AS model, p::jsonb AS pricing
FROM (VALUES ('flat', '{"amount": 50}'), ('per_unit', '{"unit_amount": 0.37}'), ('package', '{"amount": 15, "size": 7}'),
             ('graduated', '{"tiers": [{"up_to": 30, "unit_amount": 2, "flat_amount": 5}, {"up_to": 100, "unit_amount": 1.25}, {"unit_amount": 0.1, "flat_amount": 3}], "flat_on_zero": false}'),
             ('percentage', '{"rate": 1.25, "fixed_amount": 3}'), ('percentage', '{"rate": 1.25, "fixed_amount": 3, "free_events": 5, "free_amount": 40}'),
             ('percentage', '{"rate": 30, "event_minimum": 2, "event_maximum": 4.5}'),
             ('graduated_percentage', '{"tiers": [{"up_to": 30, "rate": 2, "flat_amount": 5}, {"up_to": 100, "rate": 1.25}, {"rate": 0.1, "flat_amount": 3}]}'),
             ('dynamic', '{"multiplier": 1.1}'), ('per_unit', '{"unit_amount": 0.37, "minimum_amount": 20, "maximum_amount": 50}')) v (m, p);
SELECT setseed(0.42) \g /dev/null
CREATE TEMP TABLE uses AS SELECT n, round((random() * 20)::numeric, 1) AS quantity, CASE n % 3 WHEN 0 THEN NULL ELSE round((random() * 30)::numeric, 2) END AS amount FROM generate_series(1, 40) n;
CREATE TEMP TABLE slices AS
SELECT o.offer, i.included, i.own, u.n, sum(u.quantity) OVER w AS quantity, CASE WHEN i.own THEN sum(coalesce(u.amount, u.quantity)) OVER w END AS amount,
       qzpay.rate_usage(o.model, o.pricing, sum(u.quantity) OVER w, i.included, event_quantities => array_agg(u.quantity) OVER w,
                        event_amounts => CASE WHEN i.own THEN array_agg(u.amount) OVER w END) AS exact
FROM offers o, uses u, (VALUES (0, false), (37, false), (0, true), (37, true)) AS i (included, own)
WINDOW w AS (PARTITION BY o.offer, i.included, i.own ORDER BY u.n);
SELECT is(count(*), 0::bigint, 'no slice of a period has a negative price')
FROM (SELECT s.exact - lag(s.exact, 1, 0::numeric) OVER (PARTITION BY offer, included, own ORDER BY n) AS step FROM slices s) s WHERE s.step < 0;
SELECT is(sum(s.step), (SELECT sum(exact) FROM slices WHERE n = 40), 'any number of slices cost what the period costs at once')
FROM (SELECT s.exact - lag(s.exact, 1, 0::numeric) OVER (PARTITION BY offer, included, own ORDER BY n) AS step FROM slices s WHERE s.n % 7 = 0 OR s.n = 40) s;
SELECT is(count(*) FILTER (WHERE qzpay.rate_usage(o.model, o.pricing, s.quantity, s.included, s.n, s.amount) <> s.exact) || ' of ' || (count(*) > 1000), '0 of true',
          'where totals suffice, they say what the events say')
FROM slices s JOIN offers o USING (offer) WHERE NOT qzpay._rates_events(o.model, o.pricing, s.quantity, s.included, s.own);

-- Tiers as they are shown: their shares add up to the one rounding.
SELECT results_eq($$ SELECT tier, above, up_to, units, exact, amount FROM qzpay.usage_tiers('graduated', '{"tiers": [{"up_to": 5, "unit_amount": 0.5}, {"up_to": 10, "unit_amount": 0.3, "flat_amount": 1}, {"unit_amount": 0.1}]}', 113, 100) $$,
                  $$ VALUES (1, 0::numeric, 5::numeric, 5::numeric, 2.5, 3::bigint), (2, 5, 10, 5, 2.5, 2), (3, 10, NULL, 3, 0.3, 0) $$, 'graduated: 5.3, so 5 in three parts');
SELECT results_eq($$ SELECT tier, units, price, exact, amount FROM qzpay.usage_tiers('volume', '{"tiers": [{"up_to": 5, "unit_amount": 0.5}, {"unit_amount": 0.3, "flat_amount": 1}], "minimum_amount": 9.5}', 10) $$,
                  $$ VALUES (2, 10::numeric, 0.3, 4.0, 4::bigint), (NULL, NULL, NULL, 5.5, 6) $$, 'volume: one tier, and what the minimum adds');
SELECT results_eq($$ SELECT tier, units, price, amount FROM qzpay.usage_tiers('graduated_percentage', '{"tiers": [{"up_to": 1000, "rate": 1, "flat_amount": 200}, {"rate": 2, "flat_amount": 300}], "maximum_amount": 500}', 1050) $$,
                  $$ VALUES (1, 1000::numeric, 1::numeric, 210::bigint), (2, 50, 2, 301), (NULL, NULL, NULL, -11) $$, 'graduated percentage: and what the maximum takes off');
SELECT is((SELECT count(*) FROM qzpay.usage_tiers('per_unit', '{"unit_amount": 1}', 5)), 0::bigint, 'no tiers, no rows');
SELECT results_eq($$ SELECT tier, amount FROM qzpay.usage_tiers('graduated', '{"tiers": [{"up_to": 5, "unit_amount": 0.5, "flat_amount": 3}, {"unit_amount": 0.3}]}', 0) $$, $$ VALUES (1, 3::bigint) $$, 'no usage: the first flat amount');
SELECT is(count(*) FILTER (WHERE s.sum <> qzpay.usage_amount(o.model, o.pricing, q)) || ' of ' || (count(*) > 80), '0 of true', 'whatever is used, the shares add up')
FROM offers o CROSS JOIN generate_series(0, 150, 3.7) q CROSS JOIN LATERAL (SELECT coalesce(sum(t.amount), 0) AS sum FROM qzpay.usage_tiers(o.model, o.pricing, q) t) s WHERE o.pricing ? 'tiers';

-- A billed month of each model.  Events are ordered by when they occurred: the card payment of 5000 is recorded first and is the fourth.
SELECT lives_ok($test$ SELECT qzpay.import_catalog('{
  "currency": "USD",
  "meters": {"nothing": {}, "calls": {}, "minutes": {}, "mails": {}, "messages": {}, "tokens": {}, "card": {}, "sales": {}, "fees": {"aggregation": "count"}, "calls_min": {}, "calls_max": {},
             "half": {}, "balance": {}, "peak": {"aggregation": "max"}},
  "plans": [{"id": "all", "name": "All models", "prices": {"month": {"amount": 1000}}, "usage": {
      "nothing": {"model": "flat", "pricing": {"amount": 700}},
      "calls": {"model": "per_unit", "pricing": {"unit_amount": 0.05}},
      "minutes": {"model": "graduated", "pricing": {"tiers": [{"up_to": 100, "unit_amount": 1}, {"up_to": 200, "unit_amount": 0.5}, {"unit_amount": 0.1}]}},
      "mails": {"model": "volume", "pricing": {"tiers": [{"up_to": 10000, "unit_amount": 0.001}, {"unit_amount": 0.0006, "flat_amount": 10}]}},
      "messages": {"included": 10000, "overageRate": 15, "unit": 10},
      "tokens": {"included": 1000000, "overageRate": 5, "unit": 1000},
      "card": {"model": "percentage", "pricing": {"rate": 1.2, "fixed_amount": 10, "free_events": 3, "free_amount": 50000}},
      "sales": {"model": "graduated_percentage", "pricing": {"tiers": [{"up_to": 100000, "rate": 1, "flat_amount": 20000}, {"up_to": 1000000, "rate": 2, "flat_amount": 30000}, {"rate": 3}]}},
      "fees": {"included": 1, "model": "dynamic", "pricing": {}},
      "calls_min": {"model": "per_unit", "pricing": {"unit_amount": 1, "minimum_amount": 10000}},
      "calls_max": {"model": "per_unit", "pricing": {"unit_amount": 1, "maximum_amount": 100}},
      "half": {"model": "per_unit", "pricing": {"unit_amount": 0.5, "rounding": "half_even"}},
      "balance": {"model": "percentage", "pricing": {"rate": 1, "fixed_amount": 30, "event_maximum": 1000}},
      "peak": {"model": "percentage", "pricing": {"rate": 50, "fixed_amount": 7}}
  }}]}') $test$, 'a catalog of all models');
SELECT is(count(*), 0::bigint, 'exported and imported, it is the same') FROM qzpay.import_catalog(qzpay.export_catalog());

SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT id AS customer FROM qzpay.sync_customer('org_rated', 'rated@example.org', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'customer', 'sandbox', 'tok_ok') \g /dev/null
SELECT id AS subscription FROM qzpay.subscribe(:'customer', 'all') \gset
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-01-20 09:00+00') \g /dev/null
SELECT is(string_agg(r.status, ','), string_agg('recorded', ','), 'a month of usage')
FROM (VALUES ('calls', 1000::numeric, '2026-01-06 10:00+00'::timestamptz, 'increment', NULL::numeric), ('minutes', 250, '2026-01-06 10:00+00', 'increment', NULL), ('mails', 65000, '2026-01-06 10:00+00', 'increment', NULL),
             ('messages', 10505, '2026-01-06 10:00+00', 'increment', NULL), ('tokens', 1500000, '2026-01-06 10:00+00', 'increment', NULL),
             ('card', 5000, '2026-01-09 10:00+00', 'increment', NULL), ('card', 10000, '2026-01-06 10:00+00', 'increment', NULL), ('card', 10000, '2026-01-07 10:00+00', 'increment', NULL),
             ('card', 10000, '2026-01-08 10:00+00', 'increment', NULL),
             ('sales', 50000, '2026-01-06 10:00+00', 'increment', NULL), ('sales', 55000, '2026-01-07 10:00+00', 'increment', NULL), ('sales', 400000, '2026-01-08 10:00+00', 'increment', NULL),
             ('fees', 1, '2026-01-08 10:00+00', 'increment', 70), ('fees', 1, '2026-01-06 10:00+00', 'increment', 999), ('fees', 1, '2026-01-07 10:00+00', 'increment', 55.5), ('fees', 1, '2026-01-09 10:00+00', 'increment', 219.5),
             ('calls_min', 5000, '2026-01-06 10:00+00', 'increment', NULL), ('calls_max', 70, '2026-01-06 10:00+00', 'increment', NULL), ('calls_max', 50, '2026-01-07 10:00+00', 'increment', NULL),
             ('half', 1, '2026-01-06 10:00+00', 'increment', NULL), ('balance', 9000, '2026-01-06 10:00+00', 'set', NULL), ('balance', 3000, '2026-01-07 10:00+00', 'set', NULL),
             ('peak', 10, '2026-01-06 10:00+00', 'increment', NULL), ('peak', 40, '2026-01-07 10:00+00', 'increment', NULL), ('peak', 20, '2026-01-08 10:00+00', 'increment', NULL)) AS v (meter, quantity, at, action, amount)
CROSS JOIN LATERAL qzpay.record_usage(:'customer'::uuid, meter, quantity, NULL, at, action, NULL, amount) r;
CREATE TEMP TABLE expected (meter text, amount bigint);
INSERT INTO expected VALUES ('nothing', 700), ('calls', 50), ('minutes', 155), ('mails', 49), ('messages', 765), ('tokens', 2500), ('card', 70), ('sales', 59100), ('fees', 345), ('calls_min', 10000),
                            ('calls_max', 100), ('half', 0), ('balance', 60), ('peak', 27);
SELECT results_eq(format('SELECT meter, amount FROM qzpay.usage_summary(%L::uuid) ORDER BY meter', :'customer'), 'SELECT * FROM expected ORDER BY meter', 'the live estimate');
CREATE TEMP TABLE preview AS SELECT description, quantity, amount FROM qzpay.preview_invoice(:'subscription') WHERE kind = 'usage';
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-02-05 09:00+00') \g /dev/null
SELECT results_eq(format($$ SELECT m.code, l.amount FROM qzpay.invoice_lines l JOIN qzpay.invoices i USING (tenant_id) JOIN qzpay.meters m ON m.id = l.meter_id
                            WHERE i.id = l.invoice_id AND i.customer_id = %L ORDER BY m.code $$, :'customer'),
                  'SELECT * FROM expected ORDER BY meter', 'the invoice, line by line');
SELECT results_eq('SELECT description, quantity, amount FROM preview ORDER BY 1',
                  format($$ SELECT l.description, l.quantity, l.amount FROM qzpay.invoice_lines l JOIN qzpay.invoices i USING (tenant_id) WHERE i.id = l.invoice_id AND i.customer_id = %L AND l.kind = 'usage' ORDER BY 1 $$, :'customer'),
                  'the preview said so');
SELECT is(string_agg(i.total || ' ' || i.status, ', ' ORDER BY i.series_number), '1000 paid, 74921 paid', 'two invoices') FROM qzpay.invoices i WHERE i.customer_id = :'customer';
-- A month without usage: what is due all the same.
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-03-05 09:00+00') \g /dev/null
SELECT is(string_agg(l.kind || ' ' || l.quantity || ' ' || l.amount, ', ' ORDER BY l.position), 'plan 1 1000, usage 0 10000, usage 0 700, usage 0 20000', 'without usage: the plan, the minimum, the flat prices')
FROM qzpay.invoices i JOIN qzpay.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id WHERE i.customer_id = :'customer' AND i.issued_at = '2026-03-05 09:00+00';

-- Commitments: 500 committed, 420 spent, 80 missing; and what cuts a period or changes what it cost.
SELECT lives_ok($test$ SELECT qzpay.import_catalog('{
  "currency": "USD", "meters": {"gigabytes": {}},
  "plans": [{"id": "committed", "name": "Committed", "prices": {"month": {"amount": 10000, "commitment": 50000}, "year": {"amount": 100000, "commitment": 500000}},
             "usage": {"gigabytes": {"model": "per_unit", "pricing": {"unit_amount": 100, "minimum_amount": 3100}}}}]}') $test$, 'a catalog with a commitment');
SELECT throws_ok($$ SELECT qzpay.import_catalog('{"currency": "USD", "addons": [{"id": "a", "name": "A", "prices": {"month": {"amount": 1, "commitment": 2}}}]}') $$, 'QZ601',
                 'invalid catalog document: only a plan has a commitment', 'only a plan has a commitment');
SELECT is(qzpay.export_catalog() #> '{plans,1,prices,month}', '{"amount": 10000, "currency": "USD", "commitment": 50000}', 'a commitment is exported');
SELECT is(count(*), 0::bigint, 'and imported unchanged') FROM qzpay.import_catalog(qzpay.export_catalog());
CREATE TEMP TABLE life (name text PRIMARY KEY, clock uuid, customer uuid, subscription uuid);
CREATE FUNCTION pg_temp.begin_life(life_name text, at timestamptz, plan text, per text DEFAULT 'month', days integer DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    l.name := life_name;
    l.clock := qzpay.create_test_clock(at, life_name);
    l.customer := (qzpay.sync_customer(life_name, life_name || '@example.org', life_name, test_clock => l.clock)).id;
    PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', 'tok_ok');
    l.subscription := (qzpay.subscribe(l.customer, plan, per, trial_days => days)).id;
    INSERT INTO life VALUES (l.*);
END $$;
CREATE FUNCTION pg_temp.go(life_name text, at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT (SELECT 'now ' || a.now_at FROM life l, qzpay.advance_test_clock(l.clock, at) a WHERE l.name = life_name)
$$;
CREATE FUNCTION pg_temp.use(life_name text, quantity numeric) RETURNS text LANGUAGE sql AS $$
    SELECT r.status FROM life l, qzpay.record_usage(l.customer, 'gigabytes', quantity, NULL) r WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.lines(life_name text, at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(n.kind || ' ' || n.amount, ', ' ORDER BY n.position), 'none')
    FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id WHERE l.name = life_name AND i.issued_at = at
$$;
SELECT pg_temp.begin_life('committed', '2026-01-10 09:00+00', 'committed') \g /dev/null
SELECT pg_temp.use('committed', 320) \g /dev/null
SELECT is((SELECT string_agg(p.kind || ' ' || p.amount, ', ' ORDER BY p.line_position) FROM life l, qzpay.preview_invoice(l.subscription) p WHERE l.name = 'committed'),
          'plan 10000, usage 32000, commitment 8000', 'committed: the preview');
SELECT pg_temp.go('committed', '2026-02-10 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('committed', '2026-01-10 09:00+00'), 'plan 10000', 'committed: the plan in advance');
SELECT is(pg_temp.lines('committed', '2026-02-10 09:00+00'), 'plan 10000, usage 32000, commitment 8000', 'committed: 50000 less 10000 less 32000');
SELECT is((SELECT n.description || ' ' || tstzrange(n.period_start, n.period_end) FROM qzpay.invoice_lines n JOIN life l ON l.name = 'committed' JOIN qzpay.invoices i ON i.customer_id = l.customer AND i.id = n.invoice_id
           WHERE n.kind = 'commitment'), 'Committed: minimum commitment ["2026-01-10 09:00:00+00","2026-02-10 09:00:00+00")', 'committed: for the period that ended');
SELECT pg_temp.use('committed', 400) \g /dev/null
SELECT pg_temp.go('committed', '2026-03-10 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('committed', '2026-03-10 09:00+00'), 'plan 10000, usage 40000', 'committed: spent in full, nothing missing');
SELECT pg_temp.go('committed', '2026-04-10 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('committed', '2026-04-10 09:00+00'), 'plan 10000, usage 3100, commitment 36900', 'committed: the minimum of a charge counts as spent');
-- A contract that ends within a period: 10 of 30 days of the commitment and of the minimum.
SELECT pg_temp.go('committed', '2026-04-20 09:00+00') \g /dev/null
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'committed' \g /dev/null
SELECT is(pg_temp.lines('committed', '2026-04-20 09:00+00'), 'usage 1033, commitment 5634', 'committed: canceled after a third of the period');
-- Who moves owes no more and no less for the month that had begun: not by the 31 days of the month before, nor by 28 less an hour.
SELECT pg_temp.begin_life('mover', '2026-07-10 08:00+00', 'committed') \g /dev/null
SELECT pg_temp.go('mover', '2026-11-10 08:30+00') \g /dev/null
SELECT qzpay.sync_customer('mover', timezone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('mover', '2026-12-11 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('mover', '2026-12-10 08:00+00'), 'plan 10000, usage 3100, commitment 36900', 'mover: the month of the move');
SELECT pg_temp.begin_life('mover_west', '2026-02-10 09:00+00', 'committed') \g /dev/null
SELECT qzpay.sync_customer('mover_west', timezone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('mover_west', '2026-03-11 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('mover_west', '2026-03-10 09:00+00'), 'plan 10000, usage 3100, commitment 36900', 'mover_west: the month of the move');
-- A trial commits to nothing; a yearly plan is settled once a year.
SELECT pg_temp.begin_life('trying', '2026-01-10 09:00+00', 'committed', days => 14) \g /dev/null
SELECT pg_temp.go('trying', '2026-02-24 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('trying', '2026-01-24 09:00+00') || '; ' || pg_temp.lines('trying', '2026-02-24 09:00+00'), 'plan 10000; plan 10000, usage 3100, commitment 36900', 'trying: from the trial''s end on');
SELECT pg_temp.begin_life('yearly', '2026-01-10 09:00+00', 'committed', 'year') \g /dev/null
SELECT pg_temp.use('yearly', 1000) \g /dev/null
SELECT pg_temp.go('yearly', '2027-01-10 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('yearly', '2026-02-10 09:00+00') || '; ' || pg_temp.lines('yearly', '2026-03-10 09:00+00') || '; ' || pg_temp.lines('yearly', '2027-01-10 09:00+00'),
          'usage 100000; usage 3100; plan 100000, usage 3100, commitment 265900', 'yearly: 500000 less 100000 less 100000 less 11 times 3100');

-- Amounts before discounts count as spent, and what is missing is not discounted.
SELECT lives_ok($test$ SELECT qzpay.import_catalog('{"promoCodes": [{"code": "HALF", "type": "percentage", "value": 50, "config": {"forever": true}}]}') $test$, 'a promo code');
SELECT qzpay.create_test_clock('2026-01-10 09:00+00') AS clock \gset
SELECT id AS customer FROM qzpay.sync_customer('discounted', 'd@example.org', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'customer', 'sandbox', 'tok_ok') \g /dev/null
INSERT INTO life SELECT 'discounted', :'clock', :'customer', s.id FROM qzpay.subscribe(:'customer', 'committed', promo_code => 'HALF') s;
SELECT pg_temp.use('discounted', 320) \g /dev/null
SELECT pg_temp.go('discounted', '2026-02-10 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(n.kind || ' ' || n.amount || ' less ' || n.discount_amount, ', ' ORDER BY n.position) FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer
           JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id WHERE l.name = 'discounted' AND i.issued_at = '2026-02-10 09:00+00'),
          'plan 10000 less 5000, usage 32000 less 0, commitment 8000 less 0', 'discounted: the plan only');
-- Cut short with a credit: 10 of 31 days of the commitment, less what the plan cost for them, less the same part of the minimum.
SELECT pg_temp.begin_life('credited', '2026-01-10 09:00+00', 'committed') \g /dev/null
SELECT pg_temp.go('credited', '2026-01-20 09:00+00') \g /dev/null
SELECT qzpay.cancel(subscription, 'now', settle => 'credit') FROM life WHERE name = 'credited' \g /dev/null
SELECT is(pg_temp.lines('credited', '2026-01-20 09:00+00'), 'usage 1000, commitment 11903', 'credited: 16129.03 less 3226 less 1000');
SELECT pg_temp.begin_life('paused', '2026-01-10 09:00+00', 'committed') \g /dev/null
SELECT pg_temp.go('paused', '2026-01-20 09:00+00') \g /dev/null
SELECT qzpay.pause(subscription, 'now') FROM life WHERE name = 'paused' \g /dev/null
SELECT is(pg_temp.lines('paused', '2026-01-20 09:00+00'), 'usage 1000, commitment 11903', 'paused: a pause settles what came before it');
SELECT pg_temp.go('paused', '2026-03-01 09:00+00') \g /dev/null
SELECT qzpay.resume(subscription) FROM life WHERE name = 'paused' \g /dev/null
SELECT pg_temp.go('paused', '2026-04-01 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('paused', '2026-03-01 09:00+00') || '; ' || pg_temp.lines('paused', '2026-04-01 09:00+00'), 'plan 10000; plan 10000, usage 3100, commitment 36900', 'paused: and a new period begins with the resume');
-- The same with half of the plan off: the discount neither raises nor lowers what is missing.
SELECT qzpay.create_test_clock('2026-01-10 09:00+00') AS clock \gset
SELECT id AS customer FROM qzpay.sync_customer('halved', 'h@example.org', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'customer', 'sandbox', 'tok_ok') \g /dev/null
INSERT INTO life SELECT 'halved', :'clock', :'customer', s.id FROM qzpay.subscribe(:'customer', 'committed', promo_code => 'HALF') s;
SELECT pg_temp.go('halved', '2026-01-20 09:00+00') \g /dev/null
SELECT qzpay.cancel(subscription, 'now', settle => 'credit') FROM life WHERE name = 'halved' \g /dev/null
SELECT is(pg_temp.lines('halved', '2026-01-20 09:00+00'), 'usage 1000, commitment 11903', 'halved: 16129.03 less 3226 less 1000');
-- Two plans in one period: each commits for its days, and the minimum is due for the days of its plan.
SELECT lives_ok($test$ SELECT qzpay.import_catalog('{"currency": "USD", "plans": [{"id": "easy", "name": "Easy", "tierRank": 1, "prices": {"month": {"amount": 3100}}}]}') $test$, 'a plan without commitment');
SELECT pg_temp.begin_life('moved', '2026-01-10 09:00+00', 'committed') \g /dev/null
SELECT pg_temp.go('moved', '2026-01-20 09:00+00') \g /dev/null
SELECT qzpay.change_plan(subscription, 'easy', effective => 'now') FROM life WHERE name = 'moved' \g /dev/null
SELECT pg_temp.go('moved', '2026-02-10 09:00+00') \g /dev/null
SELECT is(pg_temp.lines('moved', '2026-01-20 09:00+00') || '; ' || pg_temp.lines('moved', '2026-02-10 09:00+00'), 'plan -6774, plan 2100, usage 1000, balance 3674; plan 3100, commitment 9803', 'moved: 16129.03 less 3226 less 2100 less 1000');

-- Unlimited by an add-on: nothing beyond what is included.  Put in by hand, as of the period's beginning.
SELECT lives_ok($test$ SELECT qzpay.import_catalog('{
  "currency": "USD", "meters": {"photos": {}}, "limits": {"maxPhotos": {"kind": "period", "meter": "photos"}},
  "addons": [{"id": "all-photos", "name": "All photos", "prices": {"month": {"amount": 500}}, "limits": {"maxPhotos": -1}}],
  "plans": [{"id": "album", "name": "Album", "prices": {"month": {"amount": 1000}}, "limits": {"maxPhotos": 10}, "usage": {"photos": {"model": "percentage", "pricing": {"rate": 100, "fixed_amount": 1}}}}]}') $test$, 'a plan with photos');
SELECT pg_temp.begin_life('unlimited', '2026-01-10 09:00+00', 'album') \g /dev/null
SELECT pg_temp.begin_life('limited', '2026-01-10 09:00+00', 'album') \g /dev/null
INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
SELECT s.tenant_id, qzpay.uuid_v7(), s.id, p.id, c.id, 'addon', 1, s.started_at, qzpay.now() FROM life l JOIN qzpay.subscriptions s ON s.id = l.subscription, qzpay.products p JOIN qzpay.prices c ON c.product_id = p.id
WHERE l.name = 'unlimited' AND p.code = 'all-photos';
SELECT qzpay.record_usage(customer, 'photos', 15, NULL) FROM life WHERE name IN ('limited', 'unlimited') \g /dev/null
SELECT is((SELECT u.included || ' ' || u.amount FROM life l, qzpay.usage_summary(l.customer) u WHERE l.name = 'limited' AND u.meter = 'photos'), '10 6', 'limited: 5 beyond, and one event');
SELECT is((SELECT (u.included IS NULL) || ' ' || u.amount FROM life l, qzpay.usage_summary(l.customer) u WHERE l.name = 'unlimited' AND u.meter = 'photos'), 'true 0', 'unlimited: nothing to come');
SELECT pg_temp.go(name, '2026-02-10 09:00+00') FROM life WHERE name IN ('limited', 'unlimited') \g /dev/null
SELECT is(pg_temp.lines('limited', '2026-02-10 09:00+00') || '; ' || pg_temp.lines('unlimited', '2026-02-10 09:00+00'), 'plan 1000, usage 6; plan 1000, addon 500, usage 0', 'and so it is billed');

-- What a catalog may not say of the new models.
SELECT throws_ok(format($$ SELECT qzpay.import_catalog('{"currency": "USD", "meters": {"photos": {}}, "plans": [{"id": "p", "name": "P", "usage": {"photos": %s}}]}') $$, charge), 'QZ601', 'invalid catalog document: ' || message, message)
FROM (VALUES ('{"model": "dynamic", "pricing": {"rate": 1}}', 'model dynamic has no "rate"'), ('{"model": "percentage", "pricing": {"amount": 1}}', 'model percentage has no "amount"'),
             ('{"model": "percentage", "pricing": {}}', '"model" goes with "pricing"'), ('{"model": "percentage", "pricing": {"fixed_amount": 1}}', 'invalid pricing: "rate" is missing'),
             ('{"model": "percentage", "pricing": {"rate": 1, "event_minimum": 2, "event_maximum": 1}}', 'invalid pricing: the minimum is above the maximum'),
             ('{"model": "graduated_percentage", "pricing": {"tiers": [{"unit_amount": 1}]}}', 'invalid pricing: "unit_amount" has no meaning here (tier 1)'),
             ('{"model": "percentage", "pricing": {"rate": 1, "free_events": 1.5}}', 'an integer from 0 to 1000000000000000 is wanted, not 1.5')) v (charge, message);

SELECT is(coalesce(string_agg(c.check_name || ' ' || c.evidence, ', '), 'pass'), 'pass', 'the books are right') FROM qzpay.check_integrity() c WHERE c.status <> 'pass';
SELECT * FROM finish();
ROLLBACK;
