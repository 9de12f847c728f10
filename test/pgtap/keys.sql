-- Foreign keys checked by set: the same verdict as row by row, whatever else hangs on the tables.
BEGIN;
SELECT plan(19);

SELECT count(*) FROM qzpay.import_catalog('{"meters": {"calls": {"name": "Calls"}}, "plans": [{"id": "keys", "name": "Keys", "prices": {"month": {"amount": 900, "currency": "USD"}},
    "usage": {"calls": {"included": 10, "overageRate": 15, "unit": 10, "limitType": "none", "displayName": "Calls"}}}]}') \g /dev/null
SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT count(qzpay.attach_payment_method((qzpay.sync_customer('keys_' || n, test_clock => :'clock')).id, 'sandbox', 'tok_ok')) FROM generate_series(1, 30) n \g /dev/null
SELECT count((qzpay.subscribe(c.id, 'keys', trial_days => 0)).id) FROM qzpay.customers c WHERE c.test_clock_id = :'clock' \g /dev/null
SELECT count(qzpay.record_usage(c.id, 'calls', 25, 'k')) FROM qzpay.customers c WHERE c.test_clock_id = :'clock' \g /dev/null

-- A run over more than a few, with what an application may have hung on the tables.
CREATE TABLE public.keys_seen (id uuid);
CREATE TABLE public.keys_cycles (code text PRIMARY KEY);
CREATE FUNCTION public.keys_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.keys_seen VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER zz_note AFTER INSERT ON qzpay.invoices FOR EACH ROW EXECUTE FUNCTION public.keys_note();
SELECT is((SELECT done FROM qzpay.advance_test_clock(:'clock', '2026-02-05 09:00+00')), 30::bigint, 'a batch of thirty is billed');
SELECT is(current_setting('qzpay.keys_by_set'), 'on', 'its keys are checked by set');
SELECT is((SELECT count(*) FROM public.keys_seen), 30::bigint, 'a row trigger of one''s own fires for each row all the same');
SELECT is((SELECT count(*) FROM qzpay.invoice_lines l WHERE l.kind = 'usage' AND l.amount = 30), 30::bigint, 'each with its usage');
SELECT is((SELECT count(*) FROM qzpay.check_integrity() WHERE status <> 'pass'), 0::bigint, 'the books hold');
SELECT qzpay.advance_test_clock(:'clock', '2026-02-05 10:00+00') \g /dev/null

SELECT s.tenant_id, s.id AS s FROM qzpay.subscriptions s WHERE s.test_clock_id = :'clock' ORDER BY s.id LIMIT 1 \gset
PREPARE orphans AS INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
SELECT :'tenant_id', CASE WHEN n < 40 THEN :'s' ELSE '00000000-0000-4000-8000-000000000000' END::uuid, 'orphan', '2001-01-01'::timestamptz + n * interval '1 day', '2001-01-02'::timestamptz + n * interval '1 day', n
FROM generate_series(1, 40) n;
PREPARE children AS INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
SELECT :'tenant_id', :'s', 'child', '2001-01-01'::timestamptz + n * interval '1 day', '2001-01-02'::timestamptz + n * interval '1 day', n FROM generate_series(1, 40) n;
PREPARE upsert AS INSERT INTO qzpay.invoice_parties AS p (tenant_id, invoice_id, name) VALUES (gen_random_uuid(), gen_random_uuid(), 'x')
ON CONFLICT (tenant_id, invoice_id) DO UPDATE SET name = EXCLUDED.name;
PREPARE by_cte AS WITH x AS (INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id) VALUES (gen_random_uuid(), gen_random_uuid()) RETURNING 1) SELECT * FROM x;

SET LOCAL qzpay.keys_by_set = off;
SELECT throws_ok('orphans', '23503', 'insert or update on table "periods" violates foreign key constraint "periods_tenant_id_subscription_id_fkey"', 'row by row: one of forty has no parent');
SELECT throws_ok('upsert', '23503', NULL, 'row by row: a row that may conflict');
SET LOCAL qzpay.keys_by_set = on;
SELECT throws_ok('orphans', '23503', 'insert or update on table "periods" violates foreign key constraint "periods_tenant_id_subscription_id_fkey"', 'by set: the same error');
SELECT throws_ok('upsert', '23503', NULL, 'by set: a row that may conflict');
SELECT throws_ok('by_cte', '23503', NULL, 'by set: a row from within WITH');
SELECT throws_ok($$INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, livemode, data, occurred_at, recorded_at)
    SELECT gen_random_uuid(), gen_random_uuid(), 'no.such.type', 'customer', gen_random_uuid(), false, '{}', now(), now()$$, '23503', NULL, 'by set: a key of text');
SELECT lives_ok('children', 'by set: rows with a parent');
SELECT throws_ok('orphans', '23503', NULL, 'by set: again, by the plan that is kept');
SELECT lives_ok($$INSERT INTO qzpay.invoices (tenant_id, id, customer_id, subscription_id, seller_id, livemode, kind, status, currency, line_count, subtotal, total, amount_due, created_at)
    SELECT tenant_id, gen_random_uuid(), customer_id, NULL, seller_id, livemode, 'manual', 'draft', currency, 0, 0, 0, 0, created_at FROM qzpay.invoices LIMIT 3$$, 'by set: no parent is asked of a key that is null');

-- A key of one's own that the set does not handle stays with the server.
INSERT INTO public.keys_cycles SELECT DISTINCT cycle FROM qzpay.periods;
ALTER TABLE qzpay.periods ADD CONSTRAINT keys_own FOREIGN KEY (cycle) REFERENCES public.keys_cycles MATCH FULL DEFERRABLE INITIALLY DEFERRED;
SELECT lives_ok($$INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
    SELECT tenant_id, id, 'unheard of', '2001-01-01', '2001-01-02', 0 FROM qzpay.subscriptions LIMIT 2$$, 'a deferred key waits');
SELECT throws_ok('SET CONSTRAINTS ALL IMMEDIATE', '23503', NULL, 'and is checked');

-- Without the trigger the server checks; as a replica nobody does, as ever.
ALTER TABLE qzpay.invoice_parties DISABLE TRIGGER keys_by_set;
SELECT throws_ok('INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id) VALUES (gen_random_uuid(), gen_random_uuid())', '23503', NULL, 'with the trigger disabled the check is made row by row');
ALTER TABLE qzpay.invoice_parties ENABLE TRIGGER keys_by_set;
SELECT throws_ok('SELECT qzpay._keys_by_set()', '39P01', NULL, 'it is a trigger only');
SELECT throws_ok('INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id) SELECT gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 30)', '23503', NULL, 'enabled again it is made by set');
SELECT * FROM finish();
ROLLBACK;
