-- What a newcomer gets wrong: every answer is a sentence with an SQLSTATE of its class, and a hint where there is a way out.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set main :DBNAME
CREATE DATABASE regression_mistakes;
\c regression_mistakes
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE FUNCTION public.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text; d text; h text;
BEGIN
    EXECUTE sql;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, m, nullif(d, ''), nullif(h, ''));
END $$;

-- install() forgotten
CREATE EXTENSION qzpay CASCADE;
SELECT call, try(call) FROM unnest(ARRAY[
    'SELECT qzpay.upgrade()',
    'CALL qzpay.run_billing()',
    'CALL qzpay.deliver()',
    'SELECT * FROM qzpay.run_due_jobs()',
    'SELECT * FROM qzpay.check_integrity()',
    $$SELECT * FROM qzpay.import_catalog('{}')$$,
    'SELECT qzpay.export_catalog()',
    $$SELECT qzpay.create_test_clock('2026-01-01')$$,
    $$SELECT qzpay.has_entitlement('org_1', 'x')$$]) call;
SELECT * FROM qzpay.doctor();
SELECT qzpay.schema_version();
SELECT qzpay.install() IS NOT NULL AS installed;

\set catalog `cat examples/asistia/catalog.json`
SELECT count(*) > 0 AS imported FROM qzpay.import_catalog(:'catalog');
SELECT qzpay.create_test_clock('2026-01-31 12:00+00') AS clock \gset
SELECT id AS customer FROM qzpay.sync_customer('org_1', 'ana@example.org', test_clock => :'clock') \gset

-- metadata and addresses
SELECT call, try(call) FROM unnest(ARRAY[
    $$SELECT qzpay.sync_customer('org_1', metadata => '[]')$$,
    $$SELECT qzpay.sync_customer('org_1', metadata => '"x"')$$,
    $$SELECT qzpay.sync_customer('org_1', metadata => '{"card": "4242424242424242"}')$$,
    $$SELECT qzpay.sync_customer('org_1', address => '1')$$,
    $$SELECT qzpay.sync_customer('org_1', metadata => '{"a": 1}')$$]) call;

-- payment methods
SELECT call, try(format(call, :'customer')) FROM unnest(ARRAY[
    $$SELECT qzpay.attach_payment_method(%L, 'sandbox', NULL)$$,
    $$SELECT qzpay.attach_payment_method(%L, 'sandbox', '')$$,
    $$SELECT qzpay.attach_payment_method(%L, 'sandbox', repeat('x', 256))$$,
    $$SELECT qzpay.attach_payment_method(%L, NULL, 'tok_ok')$$,
    $$SELECT qzpay.attach_payment_method(%L, 'paypal', 'tok_ok')$$,
    $$SELECT qzpay.attach_payment_method(%L, 'sandbox', 'tok_ok', last4 => '42x2')$$,
    $$SELECT qzpay.attach_payment_method(%L, 'sandbox', 'tok_ok', exp_month => 13, exp_year => 2030)$$,
    $$SELECT qzpay.attach_payment_method(%L, 'sandbox', 'tok_ok', exp_month => 12, exp_year => 30)$$]) call;
SELECT count(*) AS methods FROM qzpay.payment_methods;

-- subscribing
SELECT call, try(format(call, :'customer')) FROM unnest(ARRAY[
    $$SELECT qzpay.subscribe(%L, NULL)$$,
    $$SELECT qzpay.subscribe(%L, 'pro', NULL)$$,
    $$SELECT qzpay.subscribe(%L, 'pro', 'week')$$,
    $$SELECT qzpay.subscribe(%L, 'pro', currency => 'EUR')$$,
    $$SELECT qzpay.subscribe(%L, 'pro', quantity => NULL)$$,
    $$SELECT qzpay.subscribe(%L, 'pro', quantity => -1)$$,
    $$SELECT qzpay.subscribe(%L, 'pro', trial_days => -1)$$,
    $$SELECT qzpay.subscribe(%L, 'pro', metadata => '[]')$$,
    $$SELECT qzpay.subscribe(%L, 'pro', idempotency_key => '')$$,
    $$SELECT qzpay.subscribe(%L, 'pro', idempotency_key => repeat('k', 256))$$]) call;
SELECT count(*) AS subscriptions FROM qzpay.subscriptions;
SELECT status FROM qzpay.subscribe(:'customer', 'pro', auto_renew => NULL, metadata => NULL);
SELECT try(format('SELECT qzpay.subscribe(%L, ''pro'', allow_multiple => NULL)', :'customer'));

-- an id where an external id is expected
SELECT count(*) AS meters FROM qzpay.usage_summary('org_1');
SELECT count(*) AS meters FROM qzpay.usage_summary(:'customer'::text);
SELECT count(*) AS meters FROM qzpay.usage_summary(upper(:'customer'));
SELECT call, try(call) FROM unnest(ARRAY[
    $$SELECT * FROM qzpay.usage_summary('org_2')$$,
    $$SELECT * FROM qzpay.usage_summary('00000000-0000-0000-0000-000000000000')$$]) call;
SELECT qzpay.sync_customer('org_2', test_clock => :'clock') \g /dev/null
SELECT tenant_id AS tenant_2 FROM qzpay.customers WHERE external_id = 'org_2' \gset
BEGIN;
SELECT qzpay.set_tenant(:'tenant_2');
SELECT split_part(try(format('SELECT * FROM qzpay.usage_summary(%L::text)', :'customer')), ' ', 1) AS of_another_tenant;
ROLLBACK;

-- limits
CREATE TABLE bots (id integer PRIMARY KEY, org text, room text);
SELECT call, try(call) FROM unnest(ARRAY[
    $$SELECT qzpay.add_limit(NULL, 'maxBots', 'org')$$,
    $$SELECT qzpay.add_limit('bots', 'maxBots', NULL)$$,
    $$SELECT qzpay.add_limit('bots', 'maxBots', 'owner')$$,
    $$SELECT qzpay.add_limit('bots', 'maxBots', 'org', 'house')$$,
    $$SELECT qzpay.add_limit('bots', 'maxBotz', 'org')$$]) call;
SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'bots'::regclass;
SELECT qzpay.add_limit('bots', 'maxBots', 'org', 'room');

-- clocks, settings, dry runs
SELECT try(format('SELECT qzpay.advance_test_clock(%L, NULL)', :'clock'));
SELECT try(format('SELECT qzpay.advance_test_clock(%L, ''infinity'')', :'clock'));
SELECT call, try(call) FROM unnest(ARRAY['SELECT qzpay.setting(NULL)', 'SELECT qzpay.dry_run(NULL)']) call;

\c :main
DROP DATABASE regression_mistakes;
