-- Every code of class QZ is raised by what docs/errors.md says, with its detail and hint.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
\set main :DBNAME
DROP DATABASE IF EXISTS regression_errors;
CREATE DATABASE regression_errors;
\c regression_errors
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE TABLE public.raised (code text);
GRANT ALL ON public.raised TO PUBLIC;
CREATE FUNCTION public.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s text; m text; d text; h text;
BEGIN
    EXECUTE sql;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    INSERT INTO public.raised VALUES (s);
    RETURN regexp_replace(concat_ws(' | ', s || ': ' || m, nullif(d, ''), nullif(h, '')), '[0-9a-f]{8}-[0-9a-f-]{27}', '<id>', 'g');
END $$;
CREATE EXTENSION qzpay CASCADE;
SELECT try($$ SELECT qzpay.run_due_jobs() $$);
SELECT qzpay.install() \g /dev/null
SELECT count(*) > 0 AS imported FROM qzpay.import_catalog('{"currency": "USD", "meters": {"calls": {}, "pages": {}}, "features": {"api": {}},
    "limits": {"perMinute": {"kind": "rate"}, "exports": {"kind": "concurrency"}, "pagesPerMonth": {"kind": "period", "meter": "pages"}},
    "plans": [{"id": "small", "name": "Small", "prices": {"month": {"amount": 100}}, "limits": {"bots": 1, "pagesPerMonth": 5, "perMinute": 2, "exports": 0}},
              {"id": "big", "name": "Big", "prices": {"month": {"amount": 900}}}]}');
SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT id AS customer, tenant_id AS tenant FROM qzpay.sync_customer('org', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'customer', 'sandbox', 'tok_ok') AS method \gset
SELECT id AS sub FROM qzpay.subscribe(:'customer', 'small', idempotency_key => 'once') \gset
SELECT id AS slow FROM qzpay.sync_customer('slow', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'slow', 'sandbox', 'tok_3ds') \g /dev/null
SELECT qzpay.subscribe(:'slow', 'small') \g /dev/null
SELECT id AS invoice FROM qzpay.invoices WHERE status = 'open' \gset
-- QZ0
SELECT try(format('SELECT qzpay.subscribe(%L, %L, idempotency_key => %L)', :'customer', 'big', 'once'));
CREATE ROLE regress_err_self LOGIN;
SELECT qzpay.grant_access('regress_err_self', 'tenant') \g /dev/null
SET ROLE regress_err_self;
SELECT try($$ SELECT qzpay.has_entitlement('org', 'api') $$);
RESET ROLE;
-- QZ1
SELECT try($$ SELECT qzpay.sync_customer('org', currency => 'DOL') $$);
SELECT try($$ SELECT qzpay._check_tax_answer('{"invoice": "i", "lines": [{"line": 1, "amount": 100}]}', '{"lines": []}') $$);
SELECT try(format('SELECT qzpay.adjust_balance(%L, -1, %L)', :'customer', 'taken back'));
SELECT qzpay.sandbox_set_token(:'method', 'tok_refund_pending') \g /dev/null
SELECT invoice_id AS charged FROM qzpay.charge(:'customer', 500, 'Something') \gset
SELECT id AS payment FROM qzpay.payments WHERE invoice_id = :'charged' \gset
SELECT refund_request AS refund FROM qzpay.refund(:'payment', 300) \gset
SELECT try(format('SELECT qzpay.refund(%L, 201)', :'payment'));
-- QZ2
SELECT try(format('UPDATE qzpay.subscriptions SET status = %L WHERE id = %L', 'incomplete', :'sub'));
SELECT try('UPDATE qzpay.prices SET unit_amount = 1 WHERE unit_amount = 900');
SELECT try('DELETE FROM qzpay.events');
SELECT try(format('SELECT qzpay.uncancel(%L)', :'sub'));
-- QZ3
SELECT try(format('SELECT qzpay.pay_invoice(%L)', :'invoice'));
SELECT try(format('SELECT qzpay.record_refund(%L, %L)', :'refund', 'by hand'));
-- QZ4
SELECT try($$ SELECT qzpay.has_entitlement('org', 'ape') $$);
SELECT try($$ SELECT qzpay.require_limit('org', 'bots', 1) $$);
SELECT try($$ SELECT qzpay.require_rate('org', 'perMinute', 3) $$);
SELECT try(format('SELECT qzpay.require_slot(%L, %L)', :'customer', 'exports'));
CREATE TABLE bots (id integer, org text);
SELECT qzpay.add_limit('bots', 'bots', 'org') \g /dev/null
SELECT try($$ INSERT INTO bots VALUES (1, 'org'), (2, 'org') $$);
SELECT try($$ SELECT qzpay.require_entitlement('org', 'api') $$);
SELECT try($$ SELECT qzpay.require_active_subscription('slow') $$);
SELECT try($$ SELECT qzpay.has_access('nobody') $$);
-- QZ5
SELECT qzpay.record_usage('org', 'calls', 1, 'one') \g /dev/null
SELECT try($$ SELECT qzpay.record_usage('org', 'calls', 2, 'one') $$);
SELECT try($$ SELECT qzpay.record_usage('org', 'calls', 1, 'two', '2026-03-01') $$);
SELECT try($$ SELECT qzpay.record_usage('org', 'calls', 1, 'three', '2025-03-01') $$);
SELECT try($$ SELECT qzpay.record_usage('org', 'calls', -1, 'four') $$);
SELECT try($$ SELECT qzpay.record_usage('org', 'pages', 6, 'five') $$);
-- QZ6
SELECT try($$ SELECT qzpay.import_catalog('{"plans": [{"id": "x"}]}') $$);
-- QZ7
SELECT try(format('SELECT qzpay.redeem_promo_code(%L, %L)', :'sub', 'NONE'));
SELECT count(*) AS wrong FROM generate_series(1, 21) n, qzpay.validate_promo_code('org', 'WRONG' || n, 'big');
SELECT regexp_replace(try(format('SELECT qzpay.redeem_promo_code(%L, %L)', :'sub', 'NONE')), '[0-9]+ (minutes?|seconds?)', 'some time', 'g') AS try;
-- the table is complete, but for what is reserved (QZ003), internal (QZ999), or needs a key (QZ005: test/t/011_secrets_tokens.pl)
\set table `sed -nE 's/^. (QZ...) .*/\1/p' docs/errors.md | tr '\n' ' '`
SELECT string_agg(t.code, ' ' ORDER BY t.code) AS never_raised FROM regexp_split_to_table(trim(:'table'), ' ') t (code) WHERE t.code NOT IN (SELECT r.code FROM raised r);
\c :main
DROP DATABASE regression_errors;
DROP ROLE regress_err_self;
