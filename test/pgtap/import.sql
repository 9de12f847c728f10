-- Contracts brought from elsewhere with facts that cannot be: refused at once, by a code and a way out, and nothing is written.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL statement_timeout = '60s';
\set catalog `cat examples/asistia/catalog.json`
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null
SELECT qzpay.create_test_clock('2026-03-10 10:00+00', 'import') AS clock \gset
SELECT id AS customer FROM qzpay.sync_customer('brought', test_clock => :'clock') \gset

CREATE FUNCTION pg_temp.bring(customer uuid, facts text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    hint text;
BEGIN
    EXECUTE format('SELECT qzpay.import_subscription(%L, %s)', customer, facts);
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || CASE WHEN hint = '' THEN ' without a hint' ELSE '' END;
END $$;

SELECT is(pg_temp.bring(:'customer', facts), code, facts)
FROM (VALUES ($$'pro', '2026-03-01', 'infinity'$$, '22023'),
             ($$'pro', '-infinity', '2026-04-01'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', anchor => 'infinity'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', anchor => '-infinity'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', started_at => '-infinity'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', started_at => '2026-03-02'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', trial_end => 'infinity'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', status => 'trialing', trial_end => 'infinity'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', cancel_at => 'infinity'$$, '22023'),
             ($$'pro', '2026-03-01', '2026-04-01', status => NULL$$, '22004'),
             ($$'pro', '2026-03-01', '2026-04-01', status => 'asleep'$$, '22023'),
             ($$'pro', '2026-02-01', '2026-03-01'$$, '22023'),
             ($$'pro', '2026-04-01', '2026-05-01'$$, '22023')) AS f (facts, code);
SELECT is((SELECT count(*) FROM qzpay.subscriptions s WHERE s.customer_id = :'customer'), 0::bigint, 'none of them left anything');
SELECT throws_matching(format($$ SELECT qzpay.import_subscription(%L, 'pro', '2026-02-01', '2026-03-01') $$, :'customer'), 'customer "brought"', 'the one of three hundred is named');

-- One key, one contract.
SELECT id AS keyed FROM qzpay.sync_customer('keyed', test_clock => :'clock') \gset
SELECT lives_ok(format($$ SELECT qzpay.import_subscription(%L, 'pro', '2026-03-01', '2026-04-01', idempotency_key => 'k') $$, :'keyed'), 'brought by a key');
SELECT lives_ok(format($$ SELECT qzpay.import_subscription(%L, 'pro', '2026-03-01', '2026-04-01', idempotency_key => 'k') $$, :'keyed'), 'and again');
SELECT throws_ok(format($$ SELECT qzpay.import_subscription(%L, 'pro', '2026-03-01', '2026-04-01', auto_renew => false, idempotency_key => 'k') $$, :'keyed'), 'QZ001', NULL, 'the key is not for one that ends');

-- What a provider says of a contract it manages.
SELECT id AS managed FROM qzpay.import_subscription(:'customer', 'pro', '2026-03-01', '2026-04-01', managed_by => 'provider', provider_ref => 'sub_1') \gset
SELECT throws_ok(format($$ SELECT qzpay.sync_subscription(%L, cancel_at => '-infinity') $$, :'managed'), '22023', NULL, 'no end before all time');
SELECT is((qzpay.sync_subscription(:'managed', cancel_at => '2026-04-01')).cancel_at, '2026-04-01'::timestamptz, 'it is to end');
SELECT is((qzpay.sync_subscription(:'managed', status => 'active')).cancel_at, '2026-04-01'::timestamptz, 'a message about something else leaves that');
SELECT is((qzpay.sync_subscription(:'managed', cancel_at => 'infinity')).cancel_at, NULL, 'until it says that it is not');
SELECT throws_ok(format($$ SELECT qzpay.sync_subscription(%L, current_period_start => '2026-04-01', current_period_end => 'infinity') $$, :'managed'), '22023', NULL, 'no period without an end');
SELECT throws_ok($$ SELECT qzpay._period_containing('2026-01-01', 'month', 1, 'UTC', 'infinity') $$, '22023', NULL, 'infinity is in no period');

SELECT is((SELECT count(*) FROM qzpay.check_integrity() WHERE status <> 'pass'), 0::bigint, 'the books are proved');

-- Whoever writes past the functions is found out.
CREATE FUNCTION pg_temp.found_out(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE statement;
    answer := (SELECT string_agg(check_name, ' ') FROM qzpay.check_integrity() WHERE status <> 'pass');
    RAISE EXCEPTION USING ERRCODE = 'QZ999', MESSAGE = coalesce(answer, 'nothing');
EXCEPTION WHEN SQLSTATE 'QZ999' THEN
    RETURN SQLERRM;
END $$;
SELECT qzpay.attach_payment_method((SELECT id FROM qzpay.sync_customer('bent', livemode => false)), 'sandbox', 'tok_ok') \g /dev/null
SELECT id AS bent FROM qzpay.subscribe((SELECT id FROM qzpay.customers WHERE external_id = 'bent'), 'pro', trial_days => 0) \gset
SELECT matches(pg_temp.found_out(format(statement, :'bent')), 'contracts_are_whole', statement)
FROM unnest(ARRAY['UPDATE qzpay.subscriptions SET current_period_end = current_period_end + interval ''1 year'' WHERE id = %L',
                  'UPDATE qzpay.subscriptions SET currency = ''EUR'' WHERE id = %L',
                  'UPDATE qzpay.subscriptions SET interval_unit = ''year'' WHERE id = %L',
                  'UPDATE qzpay.subscriptions SET livemode = true WHERE id = %L',
                  'DELETE FROM qzpay.subscription_items WHERE subscription_id = %L',
                  'DELETE FROM qzpay.periods WHERE subscription_id = %L']) statement;
SELECT throws_ok(format(statement, :'bent'), 'QZ202', NULL, statement)
FROM unnest(ARRAY['UPDATE qzpay.subscription_items SET quantity = 2 WHERE subscription_id = %L',
                  'UPDATE qzpay.subscription_items SET unit_amount = 1 WHERE subscription_id = %L',
                  'UPDATE qzpay.subscription_items SET included = ''{"messages": 1000000}'' WHERE subscription_id = %L']) statement;
ALTER TABLE qzpay.subscription_items DISABLE TRIGGER b_immutable;
SELECT matches(pg_temp.found_out(format(statement, :'bent')), 'items_are_as_billed', 'without the trigger: ' || statement)
FROM unnest(ARRAY['UPDATE qzpay.subscription_items SET quantity = 2 WHERE subscription_id = %L',
                  'UPDATE qzpay.subscription_items SET unit_amount = 1 WHERE subscription_id = %L',
                  'UPDATE qzpay.subscription_items SET price_id = (SELECT id FROM qzpay.prices WHERE id <> price_id AND currency = ''USD'' LIMIT 1) WHERE subscription_id = %L']) statement;
SELECT is((SELECT count(*) FROM qzpay.check_integrity() WHERE status <> 'pass'), 0::bigint, 'and everything is as it was');
SELECT * FROM finish();
ROLLBACK;
