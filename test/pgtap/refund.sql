-- Money back through a provider: which payments it is taken from, every kind of answer, what a person decides, and what must never be given back twice.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
SELECT count(*) FROM qzpay.import_catalog('{"plans": [{"id": "pro", "name": "Pro", "prices": {"month": {"amount": 9900, "currency": "USD"}}}]}') \g /dev/null
SELECT qzpay.set_tax_rate('es_iva', 21, 'IVA', country => 'ES') \g /dev/null

CREATE FUNCTION pg_temp.buyer(name text, token text DEFAULT 'tok_ok', country text DEFAULT 'FR') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    c uuid := (qzpay.sync_customer(name, name || '@example.org', address => jsonb_build_object('country', country), test_clock => qzpay.create_test_clock('2026-01-05 09:00+00'))).id;
BEGIN
    PERFORM qzpay.attach_payment_method(c, 'sandbox', token);
    RETURN c;
END $$;
-- A paid invoice of one line, and its payment.
CREATE FUNCTION pg_temp.paid(c uuid, amount bigint) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    i uuid := (qzpay.charge(c, amount, 'Something')).invoice_id;
BEGIN
    RETURN (SELECT p.id FROM qzpay.payments p WHERE p.invoice_id = i);
END $$;
CREATE FUNCTION pg_temp.go(c uuid, at timestamptz) RETURNS void LANGUAGE sql AS $$ SELECT qzpay.advance_test_clock(x.test_clock_id, at) FROM qzpay.customers x WHERE x.id = c $$;
CREATE FUNCTION pg_temp.money(payment uuid) RETURNS text LANGUAGE sql AS $$ SELECT p.amount || ' -' || p.refunded || ' ~' || p.refunding FROM qzpay.payments p WHERE p.id = payment $$;
CREATE FUNCTION pg_temp.request(request uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.status, r.amount, '-' || r.refunded, '~' || r.refunding, r.reference) FROM qzpay.refund_requests r WHERE r.id = request
$$;
-- Attempts at a request, in the order of planning.
CREATE FUNCTION pg_temp.tries(req uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', a.status, a.amount, a.decline_code), ', ' ORDER BY a.attempt_no, a.amount) FROM qzpay.payment_attempts a WHERE a.refund_request_id = req
$$;
CREATE FUNCTION pg_temp.posted(request uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(t.debit_account || '<' || t.credit_account || ' ' || t.amount, ', ' ORDER BY t.debit_account, t.credit_account, t.amount) FROM qzpay.ledger_transfers t WHERE t.cause_id = request
$$;
CREATE FUNCTION pg_temp.told(c uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', e.type, e.data ->> 'amount', e.data ->> 'amountRefunded'), ', ' ORDER BY e.id) FROM qzpay.events e WHERE e.customer_id = c AND e.type ~ 'refund'
$$;
CREATE FUNCTION pg_temp.balance(c uuid) RETURNS text LANGUAGE sql AS $$ SELECT k.amount || ' of which ' || k.refundable FROM qzpay.balances k WHERE k.customer_id = c $$;

-- 1. A payment is refunded: in part, again, all that is left, and no cent more.
SELECT pg_temp.buyer('whole', country => 'ES') AS c \gset
SELECT pg_temp.paid(:'c', 10000) AS p \gset
SELECT refund_request AS r, attempt_id AS a, credit_note AS n, status FROM qzpay.refund(:'p', 1210, 'scratched', 'k1') \gset
SELECT is(:'status'::text, 'succeeded', 'the sandbox answers at once');
SELECT is(pg_temp.money(:'p'), '12100 -1210 ~0', 'the payment says how much was given back');
SELECT is(pg_temp.request(:'r'), 'done 1210 -1210 ~0', 'the request is done, without a person');
SELECT is(pg_temp.tries(:'r'), 'succeeded 1210', 'by one attempt');
SELECT is((SELECT concat_ws(' ', n.mode, n.subtotal, n.tax_total, n.to_invoice, n.to_balance, n.to_refund, n.reason) FROM qzpay.credit_notes n WHERE n.id = :'n'), 'refund 1000 210 0 0 1210 scratched',
    'a credit note takes back what was invoiced, tax and all');
SELECT is((SELECT concat_ws(' ', i.status, i.amount_due, i.amount_paid, i.amount_credited) FROM qzpay.invoices i JOIN qzpay.payments p ON p.invoice_id = i.id WHERE p.id = :'p'), 'paid 12100 12100 0',
    'the invoice stays paid');
SELECT is(pg_temp.posted(:'r'), 'refunds_payable<provider_clearing 1210', 'the money left');
SELECT is((SELECT concat_ws(' ', s.charge_id = p.provider_ref, s.amount, s.status) FROM qzpay.sandbox_refunds s JOIN qzpay.payments p ON p.tenant_id = s.tenant_id WHERE p.id = :'p'), 't 1210 succeeded', 'by the provider''s own books');
SELECT is(pg_temp.told(:'c'), 'credit.refund_requested 1210, payment.refunded 1210 1210, credit.refunded 1210', 'and all of it is told');
SELECT is((SELECT e.data - '{attemptId,invoiceId,paymentId,refundRequestId,creditNoteId}'::text[] FROM qzpay.events e WHERE e.type = 'payment.refunded' AND e.customer_id = :'c'),
    '{"amount": 1210, "attempt": 1, "reason": "scratched", "currency": "USD", "provider": "sandbox", "declineCode": null, "declineClass": null, "amountRefunded": 1210, "emailSentByPackage": false}', 'with what an application needs');
SELECT is((SELECT f.refund_request FROM qzpay.refund(:'p', 1210, 'scratched', 'k1') f), :'r'::uuid, 'the same call again is the same refund');
SELECT throws_ok(format($$ SELECT qzpay.refund(%L, 1211, 'scratched', 'k1') $$, :'p'), 'QZ001', NULL, 'another one needs a key of its own');
SELECT throws_ok(format('SELECT qzpay.refund(%L, 10891)', :'p'), 'QZ103', NULL, 'no cent more than is left');
SELECT throws_ok(format('SELECT qzpay.refund(%L, 0)', :'p'), '22023', NULL, 'not nothing');
SELECT throws_ok(format('SELECT qzpay.refund(%L, -1)', :'p'), '22023', NULL, 'nor less');
SELECT throws_ok(format('SELECT qzpay.refund(%L, 9223372036854775807)', :'p'), 'QZ103', NULL, 'nor everything there is');
SELECT throws_ok(format($$ SELECT qzpay.refund(%L, 1, '4242424242424242') $$, :'p'), '22023', NULL, 'no card number in the reason');
SELECT throws_ok('SELECT qzpay.refund(gen_random_uuid())', 'QZ404', NULL, 'an unknown payment');
SELECT throws_ok('SELECT qzpay.refund(NULL)', '22004', NULL, 'none at all');
SELECT throws_ok(format('SELECT qzpay.refund(%L, end_access => true)', :'p'), 'QZ204', NULL, 'a one-time charge gives no access that could end');
SELECT is((SELECT f.status FROM qzpay.refund(:'p') f), 'succeeded', 'all that is left');
SELECT is(pg_temp.money(:'p'), '12100 -12100 ~0', 'all is given back');
SELECT throws_ok(format('SELECT qzpay.refund(%L)', :'p'), 'QZ103', NULL, 'and then nothing is left');
SELECT throws_ok(format($$ UPDATE qzpay.payments SET refunding = 1 WHERE id = %L $$, :'p'), '23514', NULL, 'whoever tries');
SELECT is((SELECT concat_ws(' ', sum(n.subtotal), sum(n.tax_total)) FROM qzpay.credit_notes n WHERE n.customer_id = :'c'), '10000 2100', 'the notes are exactly the invoice');
SELECT is((SELECT string_agg(concat_ws(' ', s.kind, s.debit, s.credit, s.balance), ', ' ORDER BY s.entry_position) FROM qzpay.statement(:'c') s),
    'opening 0, invoice 12100 12100, payment 12100 0, credit_note 1210 -1210, refund 1210 0, credit_note 10890 -10890, refund 10890 0, closing 0', 'its statement shows every step');
SELECT is((SELECT jsonb_agg(t ->> 'value') FROM jsonb_array_elements((SELECT qzpay.invoice_document(p.invoice_id, 'en') FROM qzpay.payments p WHERE p.id = :'p') -> 'totals') t WHERE t ->> 'name' = 'refunded'), '["12100"]',
    'the invoice says what was given back');

-- 2. Credit notes and balances find the payments by themselves.
SELECT pg_temp.buyer('several') AS c \gset
SELECT pg_temp.paid(:'c', 3000) AS p1 \gset
SELECT pg_temp.go(:'c', '2026-01-06') \g /dev/null
SELECT pg_temp.paid(:'c', 5000) AS p2 \gset
SELECT pg_temp.go(:'c', '2026-01-07') \g /dev/null
SELECT pg_temp.paid(:'c', 2000) AS p3 \gset
SELECT qzpay.credit_invoice(invoice_id, amount => 1000, mode => 'refund') FROM qzpay.payments WHERE id = :'p1' \g /dev/null
SELECT is(pg_temp.money(:'p1') || ', ' || pg_temp.money(:'p3'), '3000 -1000 ~0, 2000 -0 ~0', 'a credit note goes back to the payment of its invoice');
SELECT qzpay.credit_invoice(invoice_id, amount => 4000) FROM qzpay.payments WHERE id = :'p2' \g /dev/null
SELECT qzpay.credit_invoice(invoice_id, amount => 1500) FROM qzpay.payments WHERE id = :'p1' \g /dev/null
SELECT is(pg_temp.balance(:'c'), '5500 of which 5500', 'credits become balance');
SELECT qzpay.refund_balance(:'c', 4500) AS r \gset
SELECT is(pg_temp.request(:'r'), 'done 4500 -4500 ~0', 'which is paid out');
SELECT is(pg_temp.tries(:'r'), 'succeeded 4500', 'to the most recent payment of those it came from');
SELECT is(concat_ws(', ', pg_temp.money(:'p1'), pg_temp.money(:'p2'), pg_temp.money(:'p3')), '3000 -1000 ~0, 5000 -4500 ~0, 2000 -0 ~0', 'and not to one it did not come from');
SELECT is(pg_temp.posted(:'r'), 'customer_balance<refunds_payable 4500, refunds_payable<provider_clearing 4500', 'in the books');
SELECT qzpay.refund_balance(:'c') AS r \gset
SELECT is(pg_temp.tries(:'r'), 'succeeded 500, succeeded 500', 'what one payment has not left the next one has');
SELECT is((SELECT string_agg(a.payment_id || ' ' || a.amount, ', ' ORDER BY a.payment_id = :'p1', a.id) FROM qzpay.payment_attempts a WHERE a.refund_request_id = :'r'), :'p2' || ' 500, ' || :'p1' || ' 500', 'in that order');
SELECT is(pg_temp.balance(:'c'), '0 of which 0', 'nothing is left of the balance');
-- goodwill never goes out, and what no payment covers waits for a person
SELECT qzpay.adjust_balance(:'c', 700, 'sorry') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.refund_balance(%L)', :'c'), 'QZ103', NULL, 'goodwill is not paid out');
SELECT pg_temp.buyer('brought') AS c \gset
SELECT pg_temp.paid(:'c', 1000) AS p \gset
SELECT qzpay._post(tenant_id, id, 'opening_balance', 'customer_balance', 'USD', 1500, 'balance', id, qzpay.now(id)) FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT qzpay._move_balances(ARRAY[tenant_id], ARRAY[id], '{USD}', '{1500}', '{import}', ARRAY[id], qzpay.now(id), NULL, '{1500}') FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT qzpay.refund_balance(:'c') AS r \gset
SELECT is(pg_temp.request(:'r') || ' | ' || pg_temp.money(:'p'), 'requested 1500 -1000 ~0 | 1000 -1000 ~0', 'never more than was captured; the rest stays a request');
SELECT is(qzpay.retry_refund(:'r'), 0, 'which no payment can take');
SELECT throws_ok(format($$ SELECT qzpay.record_refund(%L, '') $$, :'r'), '22023', NULL, 'recorded with a reference only');
SELECT qzpay.record_refund(:'r', 'bank 1') \g /dev/null
SELECT is(pg_temp.request(:'r') || ' | ' || pg_temp.posted(:'r'), 'done 1500 -1000 ~0 bank 1 | customer_balance<refunds_payable 1500, refunds_payable<provider_clearing 500, refunds_payable<provider_clearing 1000', 'a person pays the rest');
SELECT is((SELECT e.data ->> 'byHand' FROM qzpay.events e WHERE e.customer_id = :'c' AND e.type = 'credit.refunded'), '500', 'and that is told');
-- the unused part of a contract
SELECT pg_temp.buyer('leaver') AS c \gset
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT pg_temp.go(:'c', '2026-01-20 21:00') \g /dev/null
SELECT qzpay.cancel(:'s', 'now', settle => 'refund') \g /dev/null
SELECT is((SELECT pg_temp.money(p.id) FROM qzpay.payments p WHERE p.customer_id = :'c'), '9900 -4950 ~0', 'cancel(settle => refund) gives half of a month back');
-- a contract whose money is refunded goes on, unless it is said to end
SELECT pg_temp.buyer('reader') AS c \gset
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT p.id AS p FROM qzpay.payments p WHERE p.customer_id = :'c' \gset
SELECT qzpay.refund(:'p', 5000) \g /dev/null
SELECT is((SELECT o.status || ' ' || o.has_access FROM qzpay.subscription_overview o WHERE o.id = :'s'), 'active true', 'a refund changes neither status nor access');
SELECT is((SELECT f.status FROM qzpay.refund(:'p', end_access => true) f), 'succeeded', 'with end_access');
SELECT is((SELECT o.status || ' ' || o.status_reason || ' ' || o.has_access FROM qzpay.subscription_overview o WHERE o.id = :'s'), 'canceled refunded false', 'it ends the contract');
SELECT is(pg_temp.money(:'p'), '9900 -9900 ~0', 'and all is given back');

-- 3. Where nothing is left to credit: the balance, then an expense
SELECT pg_temp.buyer('credited') AS c \gset
SELECT pg_temp.paid(:'c', 10000) AS p \gset
SELECT qzpay.credit_invoice(invoice_id, amount => 7000) FROM qzpay.payments WHERE id = :'p' \g /dev/null
SELECT qzpay.charge(:'c', 4000, 'Paid from the balance') \g /dev/null
SELECT is(pg_temp.balance(:'c'), '3000 of which 3000', 'a credit of 70, of which 40 were used');
SELECT refund_request AS r, credit_note AS n FROM qzpay.refund(:'p') \gset
SELECT is((SELECT n.total FROM qzpay.credit_notes n WHERE n.id = :'n'), 3000::bigint, 'what is left of the invoice is credited');
SELECT is(pg_temp.posted(:'r'), 'customer_balance<refunds_payable 3000, refunds<refunds_payable 4000, refunds_payable<provider_clearing 10000', 'then the balance; what was used up is an expense');
SELECT is(pg_temp.balance(:'c'), '0 of which 0', 'so the customer has it once');
SELECT is((SELECT balance FROM qzpay.trial_balance() WHERE account = 'refunds' AND NOT livemode), 4000::numeric, 'and the trial balance shows it');
SELECT is((SELECT string_agg(concat_ws(' ', s.kind, s.debit, s.credit, s.balance), ', ' ORDER BY s.entry_position) FROM qzpay.statement(:'c') s),
    'opening 0, invoice 10000 10000, payment 10000 0, credit_note 7000 -7000, invoice 4000 -3000, credit_note 3000 -6000, refund 6000 0, closing 0', 'the statement comes out even');
-- given up, the expense is none
SELECT pg_temp.buyer('regretted', 'tok_refund_fails') AS c \gset
SELECT pg_temp.paid(:'c', 1000) AS p \gset
SELECT qzpay.credit_invoice(invoice_id) FROM qzpay.payments WHERE id = :'p' \g /dev/null
SELECT qzpay.charge(:'c', 400, 'Paid from the balance') \g /dev/null
SELECT refund_request AS r, status, attempt_id AS a FROM qzpay.refund(:'p') \gset
SELECT is(:'status' || ' ' || pg_temp.request(:'r'), 'declined requested 1000 -0 ~0', 'a refund that fails returns to the request');
SELECT is(pg_temp.money(:'p'), '1000 -0 ~0', 'and its money to the payment');
SELECT is(pg_temp.told(:'c'), 'credit.refund_requested 1000, refund.failed 1000 0', 'with an event');
SELECT is((SELECT concat_ws(' ', e.data ->> 'declineCode', e.data ->> 'declineClass', e.data ->> 'refundRequestId' = :'r', e.data ? 'willRetry') FROM qzpay.events e WHERE e.customer_id = :'c' AND e.type = 'refund.failed'),
    'refund_failed later t f', 'that says why');
SELECT is((SELECT m.blocked_reason FROM qzpay.payment_methods m WHERE m.customer_id = :'c'), NULL, 'the card is not blocked by it');
SELECT is(qzpay.retry_refund(:'r'), 1, 'a person sends it again');
SELECT is(pg_temp.tries(:'r'), 'declined 1000 refund_failed, declined 1000 refund_failed', 'which fails again');
SELECT isnt((SELECT min(a.idempotency_key) FROM qzpay.payment_attempts a WHERE a.refund_request_id = :'r'), (SELECT max(a.idempotency_key) FROM qzpay.payment_attempts a WHERE a.refund_request_id = :'r'), 'under a key of its own, since the failure was definite');
SELECT qzpay.cancel_refund(:'r') \g /dev/null
SELECT is(pg_temp.request(:'r') || ' | ' || pg_temp.balance(:'c'), 'canceled 1000 -0 ~0 | 600 of which 600', 'given up, what came from the balance returns to it');
SELECT is((SELECT sum(CASE t.debit_account WHEN 'refunds' THEN t.amount ELSE -t.amount END) FROM qzpay.ledger_transfers t WHERE t.cause_id = :'r' AND 'refunds' IN (t.debit_account, t.credit_account)), 0::numeric, 'and the expense is none');
SELECT throws_ok(format('SELECT qzpay.%I(%L)', f, :'r'), 'QZ204', NULL, f || ' of what is settled') FROM unnest('{retry_refund,cancel_refund}'::text[]) f;
SELECT throws_ok(format('SELECT qzpay.%I(gen_random_uuid())', f), 'QZ404', NULL, f || ' of nothing') FROM unnest('{retry_refund,cancel_refund}'::text[]) f;
-- what a person paid, or still has to, is not given back a second time by the next call
SELECT pg_temp.buyer('by_hand', 'tok_refund_fails') AS c \gset
SELECT pg_temp.paid(:'c', 1000) AS p \gset
SELECT refund_request AS r FROM qzpay.refund(:'p', 300) \gset
SELECT throws_ok(format('SELECT qzpay.refund(%L, 701)', :'p'), 'QZ103', NULL, 'no cent more than was captured while a request waits for a person');
SELECT qzpay.record_refund(:'r', 'bank 2') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.refund(%L, 701)', :'p'), 'QZ103', NULL, 'nor after it was paid by hand');
SELECT refund_request AS r FROM qzpay.refund(:'p') \gset
SELECT is(pg_temp.request(:'r'), 'requested 700 -0 ~0', 'all that is left is the rest');
SELECT qzpay.cancel_refund(:'r') \g /dev/null
SELECT is((SELECT f.status FROM qzpay.refund(:'p', 700) f), 'declined', 'what is called off may be given back again');
-- money that nobody had waited for: its invoice stays, its balance goes
SELECT pg_temp.buyer('twice') AS c \gset
SELECT pg_temp.paid(:'c', 800) AS p \gset
SELECT qzpay._post(tenant_id, id, 'goodwill', 'customer_balance', 'USD', 800, 'balance', id, qzpay.now(id)) FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT qzpay._move_balances(ARRAY[tenant_id], ARRAY[customer_id], '{USD}', '{800}', '{payment}', ARRAY[id], paid_at, NULL, '{800}') FROM qzpay.payments WHERE id = :'p' \g /dev/null
SELECT refund_request AS r FROM qzpay.refund(:'p') \gset
SELECT is((SELECT count(*) FROM qzpay.credit_notes n WHERE n.customer_id = :'c') || ' ' || pg_temp.posted(:'r'), '0 customer_balance<refunds_payable 800, refunds_payable<provider_clearing 800', 'a payment that became balance leaves it, and credits no invoice');

-- 4. Answers that take time, or never come
SELECT pg_temp.buyer('patient', 'tok_refund_pending') AS c \gset
SELECT pg_temp.paid(:'c', 1000) AS p \gset
SELECT refund_request AS r, attempt_id AS a, status FROM qzpay.refund(:'p', 600) \gset
SELECT is(:'status' || ' ' || pg_temp.money(:'p'), 'processing 1000 -0 ~600', 'what is pending is on its way');
SELECT throws_ok(format('SELECT qzpay.refund(%L, 401)', :'p'), 'QZ103', NULL, 'and is not given back a second time meanwhile');
SELECT throws_ok(format($$ SELECT qzpay.record_refund(%L, 'x') $$, :'r'), 'QZ301', NULL, 'nor by hand');
SELECT throws_ok(format('SELECT qzpay.cancel_refund(%L)', :'r'), 'QZ301', NULL, 'nor called off');
SELECT is(qzpay.retry_refund(:'r'), 0, 'nor sent again');
SELECT throws_ok(format('SELECT qzpay.erase_customer(%L)', :'c'), 'QZ204', NULL, 'nor is the customer erased');
SELECT lives_ok(format('SELECT qzpay.detach_payment_method(%L)', m.id), 'the card may go') FROM qzpay.payment_methods m WHERE m.customer_id = :'c';
SELECT pg_temp.go(:'c', '2026-01-05 10:00') \g /dev/null
SELECT is(pg_temp.request(:'r') || ' | ' || pg_temp.money(:'p'), 'done 600 -600 ~0 | 1000 -600 ~0', 'looked up, it is done');
SELECT is(pg_temp.told(:'c'), 'credit.refund_requested 600, payment.refunded 600 600, credit.refunded 600', 'told once');
SELECT pg_temp.buyer('lost', 'tok_refund_timeout') AS c \gset
SELECT pg_temp.paid(:'c', 1000) AS p \gset
SELECT refund_request AS r, attempt_id AS a, status FROM qzpay.refund(:'p', 300) \gset
SELECT is(:'status'::text, 'unknown', 'an answer that is lost leaves the outcome unknown');
SELECT pg_temp.go(:'c', '2026-01-05 10:00') \g /dev/null
SELECT is(pg_temp.request(:'r') || ' | ' || pg_temp.money(:'p'), 'done 300 -300 ~0 | 1000 -300 ~0', 'the same key again gets the first answer');
SELECT is((SELECT count(*) FROM qzpay.sandbox_refunds s WHERE s.attempt_id = :'a'), 1::bigint, 'and gives nothing back twice');
SELECT pg_temp.buyer('silent', 'tok_refund_unknown') AS c \gset
SELECT pg_temp.paid(:'c', 1000) AS p \gset
SELECT refund_request AS r, attempt_id AS a, status FROM qzpay.refund(:'p', 300) \gset
SELECT pg_temp.go(:'c', '2026-01-15') \g /dev/null
SELECT is(pg_temp.tries(:'r') || ' ' || pg_temp.money(:'p'), 'needs_operator 300 1000 -0 ~300', 'what stays unknown for a week is an operator''s');
SELECT is((SELECT status FROM qzpay.doctor() WHERE check_name = 'outcomes'), 'error', 'whom doctor() tells');
SELECT throws_ok(format('SELECT qzpay.cancel_refund(%L)', :'r'), 'QZ301', NULL, 'until then the request is bound');
SELECT is(qzpay.resolve_attempt(:'a', 'declined', 'it is not there'), 'declined', 'who has looked it up');
SELECT is(pg_temp.request(:'r') || ' ' || pg_temp.money(:'p'), 'requested 300 -0 ~0 1000 -0 ~0', 'so that it can be decided');
SELECT qzpay.sandbox_set_token(m.id, 'tok_ok') FROM qzpay.payment_methods m WHERE m.customer_id = :'c' \g /dev/null
SELECT is(qzpay.retry_refund(:'r'), 1, 'anew');
SELECT is(pg_temp.request(:'r'), 'done 300 -300 ~0', 'and done');

-- 5. A provider over HTTP: what is sent, and what its answers mean. Nothing here calls anybody.
CREATE TEMP TABLE trial (n serial PRIMARY KEY, tenant uuid, customer uuid, payment uuid, request uuid, attempt uuid, fence integer, next jsonb);
-- A card of 99.00 that was charged as pi_N, of which 40.00 are to be refunded.
CREATE FUNCTION pg_temp.begin_trial(amount bigint DEFAULT 4000, currency text DEFAULT 'USD', captured bigint DEFAULT 9900) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    t trial;
    i uuid;
BEGIN
    t.n := nextval('trial_n_seq');
    SELECT c.id, c.tenant_id INTO t.customer, t.tenant FROM qzpay.sync_customer('stripe_' || t.n, currency => begin_trial.currency, livemode => false) c;
    PERFORM qzpay.attach_payment_method(t.customer, 'stripe', 'pm_ok');
    SELECT k.invoice_id INTO i FROM qzpay.charge(t.customer, captured, 'Something', currency => begin_trial.currency) k;
    SELECT a.id INTO t.attempt FROM qzpay.payment_attempts a WHERE a.invoice_id = i;
    PERFORM qzpay._claim_attempt(t.tenant, t.attempt, 'pid 0', qzpay._real_now());
    PERFORM qzpay._settle_attempt(t.tenant, t.attempt, 1, 'create', '{"transport": "timeout"}');
    PERFORM qzpay.resolve_attempt(t.attempt, 'succeeded', 'test', 'pi_' || t.n);
    SELECT p.id INTO STRICT t.payment FROM qzpay.payments p WHERE p.attempt_id = t.attempt;
    SELECT f.refund_request, f.attempt_id INTO t.request, t.attempt FROM qzpay.refund(t.payment, begin_trial.amount) f;
    INSERT INTO trial VALUES (t.*);
    RETURN t.n;
END $$;
CREATE FUNCTION pg_temp.claim(trial_n integer) RETURNS text LANGUAGE sql AS $$
    UPDATE trial t SET (next, fence) = (SELECT c.claim, (c.claim ->> 'fence')::integer FROM qzpay._claim_attempt(t.tenant, t.attempt, 'pid 0', qzpay._real_now()) AS c (claim)) WHERE t.n = trial_n RETURNING t.next ->> 'phase'
$$;
CREATE FUNCTION pg_temp.settle(trial_n integer, phase text, response jsonb) RETURNS text LANGUAGE sql AS $$
    UPDATE trial t SET next = qzpay._settle_attempt(t.tenant, t.attempt, t.fence, phase, response) WHERE t.n = trial_n RETURNING t.next ->> 'phase'
$$;
CREATE FUNCTION pg_temp.http(status integer, body text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('transport', 'ok', 'status', status, 'headers', '{}'::jsonb, 'body', body) $$;
CREATE FUNCTION pg_temp.answer(trial_n integer, status text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT pg_temp.http(200, (jsonb_build_object('object', 'refund', 'id', 're_' || trial_n, 'status', status, 'amount', 4000, 'currency', 'usd', 'payment_intent', 'pi_' || trial_n,
                                                 'metadata', jsonb_build_object('qzpay_attempt', t.attempt)) || more)::text) FROM trial t WHERE t.n = trial_n
$$;
-- Attempt, why, request, payment.
CREATE FUNCTION pg_temp.state(trial_n integer) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.status, coalesce(a.decline_code || '/' || a.decline_class, '-'), r.status, r.refunding, r.refunded, p.refunding, p.refunded)
    FROM trial t JOIN qzpay.payment_attempts a ON a.id = t.attempt JOIN qzpay.refund_requests r ON r.id = t.request JOIN qzpay.payments p ON p.id = t.payment WHERE t.n = trial_n
$$;
CREATE FUNCTION pg_temp.run(phase text, response jsonb, status text DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_n integer := pg_temp.begin_trial();
BEGIN
    UPDATE qzpay.providers SET paused_at = NULL WHERE code = 'stripe';
    PERFORM pg_temp.claim(v_n);
    IF phase = 'lookup' THEN
        PERFORM pg_temp.settle(v_n, 'create', pg_temp.answer(v_n, 'pending'));
        PERFORM pg_temp.claim(v_n);
    ELSIF phase = 'find' THEN
        PERFORM pg_temp.settle(v_n, 'create', '{"transport": "timeout"}');
        UPDATE qzpay.payment_attempts a SET first_sent_at = a.first_sent_at - interval '21 hours' FROM trial t WHERE t.n = v_n AND a.id = t.attempt;
        PERFORM pg_temp.claim(v_n);
    END IF;
    PERFORM pg_temp.settle(v_n, phase, CASE WHEN response IS NOT NULL THEN response WHEN phase = 'find'
        THEN pg_temp.http(200, jsonb_build_object('object', 'list', 'has_more', false, 'data', jsonb_build_array((pg_temp.answer(v_n, status, more) ->> 'body')::jsonb))::text) ELSE pg_temp.answer(v_n, status, more) END);
    RETURN pg_temp.state(v_n);
END $$;
SELECT pg_temp.begin_trial() AS t \gset
SELECT is(pg_temp.state(:t), 'planned - requested 4000 0 4000 0', 'planned, it is reserved');
SELECT is(pg_temp.claim(:t), 'create', 'claimed like a charge');
SELECT is((SELECT concat_ws(' ', r #>> '{method}', r #>> '{url}', r #>> '{headers,Authorization}') FROM (SELECT next -> 'request' AS r FROM trial WHERE n = :t) x), 'POST https://api.stripe.com/v1/refunds Bearer ${STRIPE_SECRET_KEY}', 'the request');
SELECT is((SELECT replace(t.next #>> '{request,body}', t.attempt::text, 'ATTEMPT') FROM trial t WHERE n = :t),
    format('payment_intent=pi_%s&amount=4000&metadata%%5Bqzpay_installation%%5D=%s&metadata%%5Bqzpay_refund%%5D=%s&metadata%%5Bqzpay_attempt%%5D=ATTEMPT', :t, qzpay.installation_id(), request), 'names the payment, the amount and us') FROM trial WHERE n = :t;
SELECT is((SELECT t.next #>> '{request,headers,Idempotency-Key}' FROM trial t WHERE n = :t), (SELECT a.idempotency_key || '-refund' FROM trial t JOIN qzpay.payment_attempts a ON a.id = t.attempt WHERE t.n = :t), 'under its key');
SELECT is((SELECT qzpay._settle_attempt(t.tenant, t.attempt, 0, 'create', pg_temp.answer(:t, 'succeeded')) FROM trial t WHERE t.n = :t), NULL, 'a stale fence says nothing');
SELECT is(pg_temp.state(:t), 'sending - requested 4000 0 4000 0', 'and changes nothing');
SELECT is(pg_temp.settle(:t, 'create', pg_temp.answer(:t, 'succeeded')), NULL, 'one step');
SELECT is(pg_temp.state(:t), 'succeeded - done 0 4000 0 4000', 'and it is done');
SELECT is(pg_temp.settle(:t, 'create', response) || pg_temp.state(:t), NULL, 'a final state takes no further answer')
FROM unnest(ARRAY[pg_temp.answer(:t, 'succeeded'), pg_temp.answer(:t, 'failed'), '{"transport": "timeout"}']) response;
SELECT is((SELECT sum(l.amount) FROM qzpay.ledger_transfers l JOIN trial t ON t.request = l.cause_id WHERE t.n = :t), 4000::numeric, 'in the ledger once');
-- what answers mean
SELECT is(pg_temp.run(phase, NULL, s.status, more), s.expected, phase || ', refund ' || s.status)
FROM unnest('{create,lookup,find}'::text[]) phase
CROSS JOIN (VALUES ('succeeded', '{}'::jsonb, 'succeeded - done 0 4000 0 4000'), ('pending', '{}', 'processing - requested 4000 0 4000 0'), ('requires_action', '{}', 'processing - requested 4000 0 4000 0'),
                   ('failed', '{"failure_reason": "expired_or_canceled_card"}', 'declined expired_or_canceled_card/never requested 0 0 0 0'), ('canceled', '{}', 'declined canceled/later requested 0 0 0 0')) s (status, more, expected)
ORDER BY phase, s.status;
SELECT is(pg_temp.run('create', NULL, 'odd'), 'unknown - requested 4000 0 4000 0', 'a status that nobody knows');
SELECT is(pg_temp.run('create', response), expected, 'create, ' || name)
FROM (VALUES ('already refunded', pg_temp.http(400, '{"error": {"type": "invalid_request_error", "code": "charge_already_refunded"}}'), 'rejected charge_already_refunded/never requested 0 0 0 0'),
             ('no funds', pg_temp.http(400, '{"error": {"type": "invalid_request_error", "code": "balance_insufficient"}}'), 'rejected balance_insufficient/later requested 0 0 0 0'),
             ('402', pg_temp.http(402, '{"error": {"type": "card_error", "code": "card_declined"}}'), 'unknown - requested 4000 0 4000 0'),
             ('a key that is known with another request', pg_temp.http(400, '{"error": {"type": "idempotency_error"}}'), 'unknown - requested 4000 0 4000 0'),
             ('409', pg_temp.http(409, '{"error": {"type": "idempotency_error"}}'), 'unknown - requested 4000 0 4000 0'), ('500', pg_temp.http(500, '{}'), 'unknown - requested 4000 0 4000 0'),
             ('401', pg_temp.http(401, '{}'), 'planned - requested 4000 0 4000 0'), ('not sent', '{"transport": "not_sent"}', 'planned - requested 4000 0 4000 0'),
             ('429', pg_temp.http(429, '{}'), 'planned - requested 4000 0 4000 0'), ('timeout', '{"transport": "timeout"}', 'unknown - requested 4000 0 4000 0'),
             ('garbage', pg_temp.http(200, 'maintenance'), 'unknown - requested 4000 0 4000 0'), ('a payment', pg_temp.http(200, '{"object": "payment_intent", "id": "pi_1", "status": "succeeded"}'), 'unknown - requested 4000 0 4000 0')) v (name, response, expected);
SELECT is(pg_temp.run('lookup', pg_temp.http(404, '{"error": {"type": "invalid_request_error", "code": "resource_missing"}}')), 'processing - requested 4000 0 4000 0', 'a lookup that fails is no answer');
SELECT is(pg_temp.run('create', NULL, 'succeeded', more), 'unknown - requested 4000 0 4000 0', 'another ' || name || ' is not ours')
FROM (VALUES ('amount', '{"amount": 4001}'::jsonb), ('currency', '{"currency": "eur"}'), ('payment', '{"payment_intent": "pi_0"}'), ('attempt', '{"metadata": {"qzpay_attempt": "x"}}'), ('id', '{"id": null}')) v (name, more);
SELECT is(pg_temp.run('find', pg_temp.http(200, '{"object": "list", "has_more": true, "data": []}')), 'unknown - requested 4000 0 4000 0', 'a list that goes on proves nothing');
-- not found twice, an hour apart: nobody makes it afresh by himself, since one step moves the money
SELECT is(pg_temp.run('find', pg_temp.http(200, '{"object": "list", "has_more": false, "data": []}')), 'unknown - requested 4000 0 4000 0', 'once not found may be delay');
SELECT max(n) AS t FROM trial \gset
UPDATE qzpay.payment_attempts a SET request = jsonb_set(a.request, '{not_found,at}', to_jsonb((a.request #>> '{not_found,at}')::timestamptz - interval '2 hours')) FROM trial t WHERE t.n = :t AND a.id = t.attempt;
SELECT is(pg_temp.claim(:t), 'find', 'looked for again');
SELECT is((SELECT t.next #>> '{request,url}' FROM trial t WHERE n = :t), format('https://api.stripe.com/v1/refunds?limit=100&payment_intent=pi_%s', :t), 'among the refunds of the payment');
SELECT pg_temp.settle(:t, 'find', pg_temp.http(200, '{"object": "list", "has_more": false, "data": []}')) \g /dev/null
SELECT is(pg_temp.state(:t), 'needs_operator - requested 4000 0 4000 0', 'an operator decides');
-- what was planned may be called off, what was sent may not
SELECT pg_temp.begin_trial() AS t \gset
SELECT qzpay.record_refund(request, 'cash') FROM trial WHERE n = :t \g /dev/null
SELECT is(pg_temp.state(:t), 'canceled - done 0 0 0 0', 'paid by hand meanwhile, nothing is sent');
SELECT is((SELECT count(*) FROM qzpay.events e JOIN trial t ON t.customer = e.customer_id WHERE t.n = :t AND e.type = 'refund.failed'), 0::bigint, 'which is no failure');
SELECT pg_temp.begin_trial() AS t \gset
SELECT pg_temp.claim(:t) \g /dev/null
SELECT throws_ok(format('SELECT qzpay.record_refund(%L, ''cash'')', request), 'QZ301', NULL, 'what is being sent is not paid by hand') FROM trial WHERE n = :t;
-- amounts
SELECT pg_temp.begin_trial(10) AS t \gset
SELECT is(pg_temp.claim(:t), 'create', 'a refund has no minimum');
SELECT pg_temp.begin_trial(5125, 'KWD', 90000) AS t \gset
SELECT is(pg_temp.claim(:t), NULL, 'what the provider cannot express is not sent');
SELECT is(pg_temp.state(:t), 'rejected amount_not_supported/never requested 0 0 0 0', 'nor rounded');
-- a charge of the same invoice stays apart
SELECT is(qzpay._adapter_operation(o, p), e, o || ' ' || p) FROM (VALUES ('charge', 'create', 'create'), ('charge', 'find', 'find'), ('refund', 'create', 'refund'), ('refund', 'lookup', 'refund_lookup')) v (o, p, e);
-- a provider that cannot refund, and a payment whose id nobody knows, are a person's
UPDATE qzpay.providers SET capabilities = capabilities - 'refund' WHERE code = 'stripe';
SELECT pg_temp.begin_trial() AS t \gset
SELECT is((SELECT pg_temp.request(request) FROM trial WHERE n = :t), 'requested 4000 -0 ~0', 'a provider that cannot refund is not asked');
UPDATE qzpay.providers SET capabilities = capabilities || '{"refund": true}' WHERE code = 'stripe';
SELECT is(qzpay.retry_refund(request), 1, 'until it can') FROM trial WHERE n = :t;
SELECT is((SELECT status FROM qzpay.doctor() WHERE check_name = 'refunds'), 'ok', 'doctor() has nothing to say of what is new');
SELECT pg_temp.run('create', NULL, 'failed') \g /dev/null
SET LOCAL session_replication_role = replica;
UPDATE qzpay.refund_requests SET requested_at = requested_at - interval '25 hours' WHERE id = (SELECT request FROM trial ORDER BY n DESC LIMIT 1);
SELECT is((SELECT status || ' ' || detail FROM qzpay.doctor() WHERE check_name = 'refunds') ~ '^warning 1 refund requests', true, 'but of what waits for a day');
UPDATE qzpay.refund_requests SET requested_at = requested_at - interval '48 hours' WHERE id = (SELECT request FROM trial ORDER BY n DESC LIMIT 1);
SELECT is((SELECT status FROM qzpay.doctor() WHERE check_name = 'refunds'), 'error', 'and the more so for three');
SET LOCAL session_replication_role = origin;

-- 6. What nobody may do
SELECT throws_ok(format(q, r.id), c, NULL, q) FROM (SELECT id FROM qzpay.refund_requests LIMIT 1) r,
    (VALUES ('UPDATE qzpay.refund_requests SET amount = 1 WHERE id = %L', 'QZ202'), ('DELETE FROM qzpay.refund_requests WHERE id = %L', 'QZ203')) v (q, c);
SELECT throws_ok(format('UPDATE qzpay.payment_attempts SET payment_id = NULL WHERE id = %L', a.id), 'QZ202', NULL, 'an attempt stays with its payment') FROM qzpay.payment_attempts a WHERE a.operation = 'refund' LIMIT 1;
SELECT ok(NOT has_function_privilege('qzpay_app', 'qzpay.refund(uuid, bigint, text, text, boolean)', 'EXECUTE') AND NOT has_function_privilege('qzpay_tenant', 'qzpay.retry_refund(uuid)', 'EXECUTE'), 'refunds are an administrator''s');

-- 7. The books
SELECT is_empty($$ SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass' AND check_name NOT IN ('no_outcome_is_unknown_for_long', 'balances_are_the_ledgers') $$, 'the books agree');
SELECT is((SELECT evidence FROM qzpay.check_integrity() WHERE check_name = 'balances_are_the_ledgers'), NULL, 'so do balances');
-- each proof notices what it is there for
CREATE FUNCTION pg_temp.notices(name text, change text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_status text;
BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE change;
    SET LOCAL session_replication_role = origin;
    SELECT c.status INTO v_status FROM qzpay.check_integrity() c WHERE c.check_name = name;
    RAISE EXCEPTION 'undo' USING DETAIL = v_status;
EXCEPTION WHEN raise_exception THEN
    GET STACKED DIAGNOSTICS v_status = PG_EXCEPTION_DETAIL;
    RETURN v_status = 'fail';
END $$;
SELECT ok(pg_temp.notices(v.name, v.change), v.name || ' notices: ' || v.change) FROM (VALUES
    ('refunds_are_what_is_attempted', 'UPDATE qzpay.payments SET refunded = refunded - 1 WHERE refunded = 12100'),
    ('refunds_are_what_is_attempted', 'UPDATE qzpay.refund_requests SET refunding = refunding - 1 WHERE refunding = 4000'),
    ('ledger_holds_every_refund', 'DELETE FROM qzpay.ledger_transfers WHERE cause = ''refund'' AND credit_account = ''provider_clearing'' AND amount = 10890'),
    ('refunds_payable_is_what_is_requested', 'UPDATE qzpay.refund_requests SET amount = amount + 1 WHERE status = ''requested''')) AS v (name, change);

-- 8. Export and erasure
SELECT id AS c FROM qzpay.customers WHERE external_id = 'lost' \gset
SELECT is((SELECT count(*) FROM jsonb_array_elements(qzpay.export_customer(:'c') -> 'payment_attempts') a WHERE a ->> 'operation' = 'refund' AND a ? 'payment_id' AND NOT a ? 'provider_ref'), 1::bigint, 'refunds are in the export, without ids of the provider');
SELECT ok(qzpay.erase_customer(:'c'), 'a customer whose refunds are done can be erased');
SELECT is((SELECT string_agg(concat_ws(' ', p.refunded, r.refunded), ',') FROM qzpay.payments p JOIN qzpay.refund_requests r ON r.customer_id = p.customer_id WHERE p.customer_id = :'c'), '300 300', 'and what was given back stays on record');
SELECT * FROM finish();
ROLLBACK;
