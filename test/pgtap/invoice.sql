-- Manual invoices, drafts, overdue, statements, recognition, runs.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
SELECT count(*) FROM qzpay.import_catalog('{"meters": {"pages": {"name": "Pages", "aggregation": "sum"}},
    "plans": [{"id": "pro", "name": "Pro", "prices": {"month": {"amount": 9900, "currency": "USD"}, "year": {"amount": 36500, "currency": "USD"}},
               "usage": {"pages": {"included": 0, "overageRate": 75, "unit": 100, "limitType": "none", "displayName": "Pages"}}}],
    "services": [{"id": "custom-development", "name": "Desarrollo a medida", "price": 15000, "currency": "USD", "unit": "hora"}, {"id": "data-migration", "name": "Migracion de datos", "price": 49900, "currency": "USD"}]}') \g /dev/null
CREATE FUNCTION pg_temp.buyer(name text, token text DEFAULT 'tok_ok') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    c uuid := (qzpay.sync_customer(name, name || '@example.org', test_clock => qzpay.create_test_clock('2026-01-05 09:00+00'))).id;
BEGIN
    IF token IS NOT NULL THEN
        PERFORM qzpay.attach_payment_method(c, 'sandbox', token);
    END IF;
    RETURN c;
END $$;
CREATE FUNCTION pg_temp.advance(c uuid, at timestamptz) RETURNS void LANGUAGE sql AS $$ SELECT qzpay.advance_test_clock(k.test_clock_id, at) FROM qzpay.customers k WHERE k.id = c $$;

-- 1. By hand: services, free lines, decimals
SELECT pg_temp.buyer('hand') AS c \gset
SELECT qzpay.create_invoice(:'c', metadata => '{"order": 7}', idempotency_key => 'o7') AS i \gset
SELECT is(qzpay.create_invoice(:'c', metadata => '{"order": 7}', idempotency_key => 'o7'), :'i'::uuid, 'the same call again is the same draft');
SELECT throws_ok(format($$ SELECT qzpay.create_invoice(%L, idempotency_key => 'o7') $$, :'c'), 'QZ001', NULL, 'another call under the key');
SELECT throws_ok(format($$ SELECT qzpay.create_invoice(%L, currency => 'XXZ') $$, :'c'), 'QZ101', NULL, 'no such currency');
SELECT throws_ok(format($$ SELECT qzpay.create_invoice(%L, collection => 'beg') $$, :'c'), '22023', NULL, 'no such collection');
SELECT throws_ok(format($$ SELECT qzpay.create_invoice(%L, net_days => -1) $$, :'c'), '22023', NULL, 'no such term');
SELECT throws_ok(format('SELECT qzpay.finalize_invoice(%L)', :'i'), 'QZ204', NULL, 'nothing to invoice');
SELECT isnt(qzpay.add_invoice_line(:'i', 'custom-development', quantity => 1.5), NULL, 'an hour and a half');
SELECT isnt(qzpay.add_invoice_line(:'i', 'data-migration', 'Migration, half price', unit_amount => 24950), NULL, 'at a price of its own');
SELECT qzpay.add_invoice_line(:'i', description => 'Stickers', unit_amount => 0.333, quantity => 1000) AS l \gset
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, 'nothing') $$, :'i'), 'QZ401', NULL, 'an unknown product');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, 'pro') $$, :'i'), 'QZ401', NULL, 'a plan has no one-time price');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x') $$, :'i'), '22004', NULL, 'no price');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, unit_amount => 1) $$, :'i'), '22004', NULL, 'no description');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x', unit_amount => -1) $$, :'i'), '22023', NULL, 'a negative price');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x', unit_amount => 'NaN') $$, :'i'), '22023', NULL, 'no number');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x', unit_amount => 1, quantity => 0) $$, :'i'), '22023', NULL, 'no quantity');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x', unit_amount => 999999999999999, quantity => 999999999999) $$, :'i'), '22003', NULL, 'beyond bigint');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x', unit_amount => 1, kind => 'plan') $$, :'i'), '22023', NULL, 'no such kind');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => '4242 4242 4242 4242', unit_amount => 1) $$, :'i'), '22023', NULL, 'a card number');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, description => 'x', unit_amount => 1, period_start => '2026-02-01', period_end => '2026-01-01') $$, :'i'), '22023', NULL, 'a period backwards');
SELECT is((SELECT concat_ws(' ', status, number, line_count, subtotal, total) FROM qzpay.invoices WHERE id = :'i'), 'draft 3 47783 47783', '22500 + 24950 + 333, without a number');
SELECT is(qzpay.remove_invoice_line(:'i', :'l'), true, 'a line is taken off');
SELECT is(qzpay.remove_invoice_line(:'i', :'l'), false, 'once');
SELECT throws_ok(format('SELECT qzpay.credit_invoice(%L)', :'i'), 'QZ204', NULL, 'a draft is not credited');
SELECT throws_ok(format('SELECT qzpay.void_invoice(%L)', :'i'), 'QZ204', NULL, 'nor voided');
SELECT is((SELECT concat_ws(' ', status, total, amount_paid) FROM qzpay.finalize_invoice(:'i')), 'paid 47450 47450', 'final, and charged at once');
SELECT is((SELECT metadata FROM qzpay.invoices WHERE id = :'i'), '{"order": 7}', 'with its metadata');
SELECT throws_ok(format('SELECT qzpay.finalize_invoice(%L)', :'i'), 'QZ204', NULL, 'once');
SELECT throws_ok(format($$ SELECT qzpay.add_invoice_line(%L, 'data-migration') $$, :'i'), 'QZ204', NULL, 'no line after that');
SELECT throws_ok(format('SELECT qzpay.delete_draft_invoice(%L)', :'i'), 'QZ204', NULL, 'and it stays');
SELECT throws_ok(format($$ UPDATE qzpay.invoices SET total = 1, subtotal = 1, amount_due = 1 WHERE id = %L $$, :'i'), 'QZ202', NULL, 'whoever tries');
SELECT qzpay.create_invoice(:'c') AS j \gset
SELECT qzpay.add_invoice_line(:'j', 'data-migration') \g /dev/null
SELECT qzpay.delete_draft_invoice(:'j') \g /dev/null
SELECT is_empty(format('SELECT FROM qzpay.invoices WHERE id = %L', :'j'), 'a draft goes without a trace');
SELECT throws_ok(format('SELECT qzpay.finalize_invoice(%L)', :'j'), 'QZ404', NULL, 'gone');
SELECT qzpay.create_invoice(:'c') AS j \gset
SELECT qzpay.add_invoice_line(:'j', description => 'Free', unit_amount => 0) \g /dev/null
SELECT throws_ok(format('SELECT qzpay.finalize_invoice(%L)', :'j'), 'QZ204', NULL, 'nothing but zeros is no invoice');
SELECT is((SELECT status FROM qzpay.invoices WHERE id = :'j'), 'draft', 'and stays a draft');

-- A one-time charge
SELECT invoice_id AS i, status FROM qzpay.charge(:'c', 1234, 'A coffee', idempotency_key => 'k1') \gset
SELECT is(:'status'::text, 'paid', 'charged at once');
SELECT is((SELECT concat_ws(' ', x.invoice_id = :'i', x.status, x.total) FROM qzpay.charge(:'c', 1234, 'A coffee', idempotency_key => 'k1') x), 't paid 1234', 'and once');
SELECT throws_ok(format($$ SELECT qzpay.charge(%L, 1235, 'A coffee', idempotency_key => 'k1') $$, :'c'), 'QZ001', NULL, 'another amount under the key');
SELECT throws_ok(format($$ SELECT qzpay.charge(%L, 0, 'Air') $$, :'c'), '22023', NULL, 'nothing');

-- 2. Sent, not charged: due, overdue once, reminders; no status but its own
SELECT pg_temp.buyer('net') AS c \gset
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT qzpay.create_invoice(:'c', collection => 'send_invoice', net_days => 30, po_number => 'PO-9') AS i \gset
SELECT qzpay.add_invoice_line(:'i', 'data-migration') \g /dev/null
SELECT is((SELECT status || ' ' || amount_due FROM qzpay.finalize_invoice(:'i')), 'open 49900', 'nothing is charged');
SELECT is((SELECT concat_ws(' ', due_at, po_number) FROM qzpay.invoices WHERE id = :'i'), '2026-02-04 09:00:00+00 PO-9', 'due in 30 days');
SELECT pg_temp.advance(:'c', '2026-02-04 08:59') \g /dev/null
SELECT is((SELECT overdue_at FROM qzpay.invoices WHERE id = :'i'), NULL, 'not before');
SELECT pg_temp.advance(:'c', '2026-02-20') \g /dev/null
SELECT is((SELECT string_agg(e.type || coalesce(' ' || (e.data ->> 'reminder') || ' on ' || (e.occurred_at::date - date '2026-02-04'), ''), ', ' ORDER BY e.id) FROM qzpay.events e WHERE e.aggregate_id = :'i' AND e.type IN ('invoice.overdue', 'invoice.reminder')),
          'invoice.overdue, invoice.reminder 1 on 3, invoice.reminder 2 on 7, invoice.reminder 3 on 14', 'overdue once, then the reminders');
SELECT is((SELECT status FROM qzpay.subscriptions WHERE id = :'s'), 'active', 'a manual invoice changes no subscription');
SELECT is((SELECT status FROM qzpay.pay_invoice(:'i')), 'succeeded', 'it can be paid by card all the same');
-- a subscriber who pays by invoice
SELECT pg_temp.buyer('net_sub', NULL) AS c \gset
SELECT qzpay.set_billing_details(:'c', collection => 'send_invoice', net_days => 14) \g /dev/null
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT is((SELECT concat_ws(' ', i.status, i.collection, i.due_at) FROM qzpay.invoices i WHERE i.customer_id = :'c'), 'open send_invoice 2026-01-19 09:00:00+00', 'its invoices go by its terms');

-- 3. A draft window: usage invoices wait, others don't
SELECT qzpay.set_setting('invoice_draft_hours', '48') \g /dev/null
SELECT pg_temp.buyer('draft') AS c \gset
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT is((SELECT i.status FROM qzpay.invoices i WHERE i.customer_id = :'c'), 'paid', 'a first invoice is final at once');
SELECT qzpay.record_usage(:'c', 'pages', 1000, NULL) \g /dev/null
SELECT is((SELECT string_agg(amount::text, ' ' ORDER BY line_position) FROM qzpay.preview_invoice(:'s')), '9900 750', 'the preview shows the final one');
SELECT pg_temp.advance(:'c', '2026-02-05 10:00') \g /dev/null
SELECT i.id AS i FROM qzpay.invoices i WHERE i.customer_id = :'c' AND i.kind <> 'manual' AND i.status = 'draft' \gset
SELECT is((SELECT concat_ws(' ', i.number, i.subtotal, i.finalize_at, s.status, s.current_period_end::date) FROM qzpay.invoices i JOIN qzpay.subscriptions s ON s.id = i.subscription_id WHERE i.id = :'i'),
          '10650 2026-02-07 09:00:00+00 active 2026-03-05', 'the renewal with usage waits as a draft; the period goes on');
SELECT throws_ok(format('SELECT qzpay.delete_draft_invoice(%L)', :'i'), 'QZ204', NULL, 'a draft of a run is not deleted');
SELECT throws_ok(format('SELECT qzpay.remove_invoice_line(%L, (SELECT id FROM qzpay.invoice_lines WHERE invoice_id = %L AND kind = ''usage''))', :'i', :'i'), 'QZ204', NULL, 'nor its lines');
SELECT qzpay.add_invoice_line(:'i', 'custom-development') \g /dev/null
SELECT pg_temp.advance(:'c', '2026-02-07 08:59') \g /dev/null
SELECT is((SELECT status FROM qzpay.invoices WHERE id = :'i'), 'draft', 'not before its time');
SELECT pg_temp.advance(:'c', '2026-02-07 09:00') \g /dev/null
SELECT is((SELECT concat_ws(' ', status, total, amount_paid, issued_at::date, line_count) FROM qzpay.invoices WHERE id = :'i'), 'paid 25650 25650 2026-02-07 3', 'then final and charged, with what was added');
SELECT qzpay.record_usage(:'c', 'pages', 100, NULL) \g /dev/null
SELECT pg_temp.advance(:'c', '2026-03-05 09:00') \g /dev/null
SELECT is((SELECT concat_ws(' ', status, total, amount_paid) FROM qzpay.finalize_invoice((SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = :'c' AND i.status = 'draft'))), 'paid 9975 9975', 'or when somebody says so');
SELECT pg_temp.advance(:'c', '2026-03-09') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.invoices i WHERE i.customer_id = :'c'), 3::bigint, 'and not again');
-- a draft that cannot be finalised stops nobody
SELECT qzpay.record_usage(:'c', 'pages', 100, NULL) \g /dev/null
SELECT pg_temp.advance(:'c', '2026-04-05 09:00') \g /dev/null
SELECT qzpay.set_setting('tax_provider', '"sandbox_tax"') \g /dev/null
UPDATE qzpay.providers SET request_function = 'pg_catalog.no_such_function' WHERE code = 'sandbox_tax';
SELECT pg_temp.advance(:'c', '2026-04-08') \g /dev/null
SELECT is((SELECT concat_ws(' ', status, finalize_at, left(status_reason, 5)) FROM qzpay.invoices WHERE customer_id = :'c' ORDER BY created_at DESC LIMIT 1), 'draft 42883', 'it waits, with its error');
SELECT is((SELECT count(*) FROM qzpay.events e WHERE e.customer_id = :'c' AND e.type = 'alert.raised'), 1::bigint, 'and an alert');
UPDATE qzpay.providers SET request_function = 'qzpay.sandbox_tax' WHERE code = 'sandbox_tax';
SELECT is((SELECT f.status FROM qzpay.invoices i CROSS JOIN LATERAL qzpay.finalize_invoice(i.id) f WHERE i.customer_id = :'c' AND i.status = 'draft'), 'paid', 'until it can be');
SELECT qzpay.set_setting('tax_provider', 'null') \g /dev/null
SELECT qzpay.set_setting('invoice_draft_hours', '0') \g /dev/null

-- 4. A statement
SELECT pg_temp.buyer('told', 'tok_insufficient_funds') AS c \gset
SELECT qzpay.create_invoice(:'c') AS i \gset
SELECT qzpay.add_invoice_line(:'i', 'data-migration') \g /dev/null
SELECT qzpay.finalize_invoice(:'i') \g /dev/null
SELECT pg_temp.advance(:'c', '2026-02-01') \g /dev/null
SELECT qzpay.credit_invoice(:'i', amount => 9900, reason => 'late') \g /dev/null
SELECT pg_temp.advance(:'c', '2026-02-02') \g /dev/null
SELECT qzpay.sandbox_set_token(m.id, 'tok_ok') FROM qzpay.payment_methods m WHERE m.customer_id = :'c' \g /dev/null
SELECT qzpay.pay_invoice(:'i') \g /dev/null
SELECT pg_temp.advance(:'c', '2026-02-03') \g /dev/null
SELECT qzpay.credit_invoice(:'i', amount => 10000) \g /dev/null
SELECT qzpay.adjust_balance(:'c', 500, 'sorry') \g /dev/null
SELECT is((SELECT array_agg(concat_ws(' ', s.kind, s.description, s.debit, -s.credit, s.balance) ORDER BY s.entry_position) FROM qzpay.statement(:'c') s),
          ARRAY['opening 0', 'invoice 49900 49900', 'credit_note late -9900 40000', 'payment sandbox -40000 0', 'credit_note -10000 -10000', 'goodwill sorry -500 -10500', 'closing -10500'], 'every document, and what is owed after it');
SELECT is((SELECT array_agg(concat_ws(' ', s.kind, s.balance) ORDER BY s.entry_position) FROM qzpay.statement(:'c', '2026-02-01', '2026-02-03') s), '{"opening 49900","credit_note 40000","payment 0","closing 0"}', 'of a time: from what was owed to what is');
SELECT is((SELECT s.balance FROM qzpay.statement(:'c', currency => 'EUR') s WHERE s.kind = 'closing'), 0::bigint, 'in another currency nothing');

-- 5. Recognition by the day
SELECT pg_temp.buyer('earned') AS c \gset
SELECT (qzpay.subscribe(:'c', 'pro', 'year', trial_days => 0)).id AS s \gset
CREATE FUNCTION pg_temp.earned(c uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', sum(CASE 'revenue' WHEN t.credit_account THEN t.amount WHEN t.debit_account THEN -t.amount ELSE 0 END), sum(CASE 'deferred_revenue' WHEN t.credit_account THEN t.amount WHEN t.debit_account THEN -t.amount ELSE 0 END))
    FROM qzpay.ledger_transfers t WHERE t.customer_id = c
$$;
SELECT is(pg_temp.earned(:'c'), '0 36500', 'billed in advance, nothing is earned');
SELECT cmp_ok(qzpay.recognize_revenue('2026-01-15 09:00+00'), '>', 0::bigint, 'ten days later');
SELECT is(pg_temp.earned(:'c'), '1000 35500', 'ten days are');
SELECT is(qzpay.recognize_revenue('2026-01-15 09:00+00'), 0::bigint, 'once');
SELECT is(qzpay.recognize_revenue('2026-01-10 09:00+00'), 0::bigint, 'and never back');
SELECT qzpay.credit_invoice(i.id, amount => 18250) FROM qzpay.invoices i WHERE i.customer_id = :'c' \g /dev/null
SELECT is(pg_temp.earned(:'c'), '1000 17250', 'a credit of half of it');
SELECT qzpay.recognize_revenue('2026-01-25 09:00+00') \g /dev/null
SELECT is(pg_temp.earned(:'c'), '1000 17250', 'takes back half of what had been earned and earns half as much since');
SELECT qzpay.recognize_revenue('2027-02-01') \g /dev/null
SELECT is(pg_temp.earned(:'c'), '18250 0', 'at the end all that was not given back is earned');
SELECT throws_ok($$ SELECT qzpay.recognize_revenue('infinity') $$, '22023', NULL, 'not for ever');
SELECT is((SELECT enabled FROM qzpay.jobs WHERE name = 'revenue_recognition'), false, 'the job is optional');
-- a void invoice earns nothing, not even what it had
SELECT pg_temp.buyer('unearned', NULL) AS c \gset
SELECT qzpay.set_billing_details(:'c', collection => 'send_invoice', net_days => 60) \g /dev/null
SELECT qzpay.subscribe(:'c', 'pro', trial_days => 0) \g /dev/null
SELECT qzpay.recognize_revenue('2027-02-02') \g /dev/null
SELECT is(pg_temp.earned(:'c'), '9900 0', 'earned');
SELECT qzpay.void_invoice(i.id) FROM qzpay.invoices i WHERE i.customer_id = :'c' \g /dev/null
SELECT qzpay.recognize_revenue('2027-02-03') \g /dev/null
SELECT is(pg_temp.earned(:'c'), '0 0', 'and taken back');
-- accounts
SELECT is_empty($$ SELECT seller, livemode, currency, sum(balance), sum(debit) - sum(credit) FROM qzpay.trial_balance() GROUP BY 1, 2, 3 HAVING sum(balance) <> 0 $$, 'the trial balance adds up to nothing');
SELECT is((SELECT count(*) FROM qzpay.trial_balance('2025-12-31')), 0::bigint, 'nothing was posted before the beginning');
SELECT cmp_ok((SELECT sum(debit) FROM qzpay.trial_balance('2026-01-31')), '<', (SELECT sum(debit) FROM qzpay.trial_balance()), 'an instant has its own');

-- 6. A month ahead for everybody, and how far a run is
SELECT (qzpay.sync_customer('ahead', livemode => false)).id AS c \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.subscribe(:'c', 'pro', trial_days => 0) \g /dev/null
SELECT qzpay.record_usage(:'c', 'pages', 1000, NULL) \g /dev/null
CREATE TEMP TABLE ahead AS SELECT * FROM qzpay.preview_billing(qzpay.now() + interval '40 days');
SELECT is((SELECT array_agg(concat_ws(' ', external_id, kind, subtotal, total)) FROM ahead), '{"ahead subscription 10650 10650"}', 'the renewal and its usage');
SELECT is((SELECT count(*) FROM qzpay.invoices WHERE customer_id = :'c'), 1::bigint, 'nothing of it has happened');
SELECT throws_ok('SELECT qzpay.preview_billing(qzpay.now())', '22023', NULL, 'only what is ahead');
SELECT throws_matching($$ SELECT qzpay.preview_billing('2200-01-01') $$, 'too far ahead', 'and not all of the future');
SELECT is(qzpay._begin_run(NULL)::text, '(,f)', 'nothing due, no run');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT qzpay._clock_set(qzpay.now() + interval '40 days') \g /dev/null
SELECT is(qzpay._run_billing_batch(NULL, 100, true), true, 'a run begins');
SELECT is((SELECT concat_ws(' ', state, total, remaining, percent, done) FROM qzpay.billing_progress), 'running 1 1 0.0 0', 'seen before anything is done');
SELECT is(qzpay._run_billing_batch(NULL, 100), true, 'a batch');
SELECT is((SELECT concat_ws(' ', state, total, done) FROM qzpay.billing_progress), 'running 1 1', 'seen while it runs');
SELECT qzpay._run_billing_batch(NULL, 100) \g /dev/null
SELECT is((SELECT concat_ws(' ', state, done, remaining, percent) FROM qzpay.billing_progress), 'finished 1 0 100.0', 'and when it is over');
SELECT is((SELECT array_agg(i.total ORDER BY i.total) FROM qzpay.invoices i WHERE i.customer_id = :'c'), '{9900,10650}', 'what was foretold has happened');
SELECT * FROM finish();
ROLLBACK;
