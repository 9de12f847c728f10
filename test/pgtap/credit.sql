-- Credit notes, void, write-off, reissue, balances, refunds and grants: worked numbers, and what must be refused.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
SELECT count(*) FROM qzpay.import_catalog('{"plans": [{"id": "starter", "name": "Starter", "prices": {"month": {"amount": 2900, "currency": "USD"}}},
                                                      {"id": "pro", "name": "Pro", "prices": {"month": {"amount": 9900, "currency": "USD"}}}],
    "services": [{"id": "help", "name": "Help", "price": 3333, "currency": "USD"}]}') \g /dev/null
-- What is to be paid back is paid by hand here; how a provider does it is told in refund.sql.
UPDATE qzpay.providers SET capabilities = capabilities - 'refund';
SELECT qzpay.set_tax_rate('es_iva', 21, 'IVA', country => 'ES') \g /dev/null
SELECT qzpay.set_tax_rate('ar_iva', 21, 'IVA', inclusive => true, country => 'AR') \g /dev/null

CREATE FUNCTION pg_temp.buyer(name text, country text, token text DEFAULT 'tok_ok') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    c uuid := (qzpay.sync_customer(name, name || '@example.org', name => name, address => jsonb_build_object('country', country), test_clock => qzpay.create_test_clock('2026-01-05 09:00+00'))).id;
BEGIN
    IF token IS NOT NULL THEN
        PERFORM qzpay.attach_payment_method(c, 'sandbox', token);
    END IF;
    RETURN c;
END $$;
-- A finalised invoice over these amounts.
CREATE FUNCTION pg_temp.invoice(c uuid, VARIADIC amounts bigint[]) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    i uuid := qzpay.create_invoice(c);
BEGIN
    PERFORM qzpay.add_invoice_line(i, description => 'Item ' || a, unit_amount => a) FROM unnest(amounts) a;
    PERFORM qzpay.finalize_invoice(i);
    RETURN i;
END $$;
CREATE FUNCTION pg_temp.state(i uuid) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', x.status, 'total', x.total, 'due', x.amount_due, 'paid', x.amount_paid, 'credited', x.amount_credited, 'given up', x.amount_written_off) FROM qzpay.invoices x WHERE x.id = i
$$;
-- A note in one line, with its lines: net, tax, included.
CREATE FUNCTION pg_temp.note(r qzpay.credit_note_result) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', r.total, 'invoice', r.to_invoice, 'balance', r.to_balance, 'refund', r.to_refund) || ' | '
           || (SELECT string_agg(concat_ws(' ', l.amount, l.tax_amount, l.tax_included), ', ' ORDER BY l.position) FROM qzpay.credit_note_lines l WHERE l.credit_note_id = r.id)
$$;
CREATE FUNCTION pg_temp.balance(c uuid) RETURNS text LANGUAGE sql AS $$ SELECT k.amount || ' of which ' || k.refundable FROM qzpay.balances k WHERE k.customer_id = c $$;
-- What a document posted.
CREATE FUNCTION pg_temp.posted(document uuid, cause text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(t.debit_account || '<' || t.credit_account || ' ' || t.amount, ', ' ORDER BY t.debit_account, t.credit_account) FROM qzpay.ledger_transfers t WHERE t.cause_id = document AND t.cause = posted.cause
$$;

-- 1. A paid invoice: by lines, by an amount, then all that is left. Tax to the cent, in the sum all of it.
SELECT pg_temp.buyer('cn_paid', 'ES') AS c \gset
SELECT pg_temp.invoice(:'c', 10001, 333, 333) AS i \gset
SELECT is(pg_temp.state(:'i'), 'paid total 12907 due 12907 paid 12907 credited 0 given up 0', '106.67 + 21 % (22.40) are paid');
SELECT is((SELECT array_agg(l.tax_amount ORDER BY l.position) FROM qzpay.invoice_lines l WHERE l.invoice_id = :'i'), '{2100,70,70}', 'tax by line');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', lines => '[{"line": "1", "amount": 1000}]', reason => 'too much')), '1210 invoice 0 balance 1210 refund 0 | 1000 210 0', 'part of a line, with its tax');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', lines => '[{"line": "2"}, {"line": "3", "amount": 1}]')), '404 invoice 0 balance 404 refund 0 | 333 70 0, 1 0 0', 'a whole line, and a cent');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', amount => 1000)), '1000 invoice 0 balance 1000 refund 0 | 797 167 0, 30 6 0', 'an amount, tax and all, by what is left of each line');
SELECT is(pg_temp.balance(:'c'), '2614 of which 2614', 'it was paid with money, so the balance may be paid out');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[{"line": "2"}]') $$, :'i'), 'QZ103', NULL, 'of a line that was given back nothing is left');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[{"line": "1", "amount": 8205}]') $$, :'i'), 'QZ103', NULL, 'no cent more than is left of a line');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, amount => 10294) $$, :'i'), 'QZ103', NULL, 'nor of the invoice');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, mode => 'write_off') $$, :'i'), 'QZ103', NULL, 'what is paid cannot be waived');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', mode => 'refund')), '10293 invoice 0 balance 0 refund 10293 | 8204 1723 0, 302 64 0', 'all that is left, to be paid back');
SELECT is((SELECT concat_ws(' ', sum(l.amount), sum(l.tax_amount)) FROM qzpay.credit_note_lines l WHERE l.invoice_id = :'i'), '10667 2240', 'in the sum exactly the invoice');
SELECT throws_ok(format('SELECT qzpay.credit_invoice(%L)', :'i'), 'QZ103', NULL, 'and then nothing is left');
SELECT is((SELECT string_agg(n.number, ' ' ORDER BY n.series_number) FROM qzpay.credit_notes n WHERE n.invoice_id = :'i'), 'CN-2026-000001 CN-2026-000002 CN-2026-000003 CN-2026-000004', 'numbered in a series of their own');
SELECT is(pg_temp.posted((SELECT n.id FROM qzpay.credit_notes n WHERE n.invoice_id = :'i' AND n.series_number = 4), 'credit_note'), 'revenue<refunds_payable 8506, tax_payable<refunds_payable 1787', 'revenue and tax are taken back');
SELECT throws_ok($$ UPDATE qzpay.credit_notes SET reason = 'x' $$, 'QZ203', NULL, 'notes never change');
SELECT throws_ok($$ INSERT INTO qzpay.credit_note_lines SELECT tenant_id, credit_note_id, position + 10, id, invoice_id, invoice_position, invoice_line_id, kind, description, NULL, NULL, amount, tax_amount, tax_included, taxes
                    FROM qzpay.credit_note_lines LIMIT 1 $$, 'QZ202', NULL, 'nor take another line');

-- What is to be paid back
SELECT id AS r FROM qzpay.refund_requests WHERE customer_id = :'c' \gset
SELECT throws_ok(format($$ SELECT qzpay.record_refund(%L, ' ') $$, :'r'), '22023', NULL, 'not without a reference');
SELECT qzpay.record_refund(:'r', 'bank 4711') \g /dev/null
SELECT throws_ok(format($$ SELECT qzpay.record_refund(%L, 'again') $$, :'r'), 'QZ204', NULL, 'a refund is recorded once');
SELECT throws_ok(format($$ SELECT qzpay.cancel_refund(%L) $$, :'r'), 'QZ204', NULL, 'and then not given up');
SELECT is(pg_temp.posted(:'r', 'refund'), 'refunds_payable<provider_clearing 10293', 'the money is gone');
SELECT throws_ok(format('SELECT qzpay.refund_balance(%L, 2615)', :'c'), 'QZ103', NULL, 'not more than the balance');
SELECT qzpay.refund_balance(:'c', 614, idempotency_key => 'once') AS r \gset
SELECT is(qzpay.refund_balance(:'c', 614, idempotency_key => 'once'), :'r'::uuid, 'the same call again is the same request');
SELECT is(pg_temp.balance(:'c'), '2000 of which 2000', 'it left the balance');
SELECT qzpay.cancel_refund(:'r') \g /dev/null
SELECT is(pg_temp.balance(:'c'), '2614 of which 2614', 'and came back');

-- 2. Balance pays by itself; goodwill first, and is never paid out
SELECT is(qzpay.adjust_balance(:'c', 500, 'sorry'), 3114::bigint, 'goodwill');
SELECT throws_matching(format($$ SELECT qzpay.adjust_balance(%L, 9223372036854775807, 'generous') $$, :'c'), '^balance of customer .* is out of range$', 'not beyond what an amount can be');
SELECT throws_ok(format($$ SELECT qzpay.adjust_balance(%L, 9223372036854775807, 'generous') $$, :'c'), '22003', NULL, 'which is 22003');
SELECT throws_ok(format($$ SELECT qzpay.adjust_balance(%L, -9223372036854775808, 'greedy') $$, :'c'), '22003', 'amount 9223372036854775808 is out of range', 'nor below');
SELECT throws_ok(format($$ SELECT qzpay.adjust_balance(%L, 500, ' ') $$, :'c'), '22023', NULL, 'not without a reason');
SELECT throws_ok(format($$ SELECT qzpay.adjust_balance(%L, 0, 'x') $$, :'c'), '22023', NULL, 'not by nothing');
SELECT throws_ok(format($$ SELECT qzpay.adjust_balance(%L, -501, 'x') $$, :'c'), 'QZ103', NULL, 'the customer''s own money is not taken away');
SELECT is(qzpay.adjust_balance(:'c', -100, 'less'), 3014::bigint, 'what was given is');
SELECT throws_ok(format('SELECT qzpay.refund_balance(%L, 3014)', :'c'), 'QZ103', NULL, 'goodwill is not paid out');
SELECT pg_temp.invoice(:'c', 1000) AS j \gset
SELECT is(pg_temp.state(:'j'), 'paid total 1210 due 0 paid 0 credited 0 given up 0', 'the next invoice is paid from it');
SELECT is(pg_temp.balance(:'c'), '1804 of which 1804', 'goodwill went first');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'j', amount => 121, mode => 'refund')), '121 invoice 0 balance 121 refund 0 | 100 21 0', 'what balance paid is given back as balance');
SELECT is(pg_temp.balance(:'c'), '1925 of which 1804', 'which is not to be paid out');
SELECT pg_temp.invoice(:'c', 2000) AS j \gset
SELECT is(pg_temp.state(:'j'), 'paid total 2420 due 495 paid 495 credited 0 given up 0', 'and the rest is charged');

-- 3. An open invoice: the credit first reduces it
SELECT pg_temp.buyer('cn_open', 'ES', 'tok_insufficient_funds') AS c \gset
SELECT pg_temp.invoice(:'c', 10000) AS i \gset
SELECT is(pg_temp.state(:'i'), 'open total 12100 due 12100 paid 0 credited 0 given up 0', 'not paid');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', amount => 2100)), '2100 invoice 2100 balance 0 refund 0 | 1736 364 0', 'nothing was paid, so nothing becomes balance');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', amount => 1000, mode => 'write_off')), '1000 invoice 1000 balance 0 refund 0 | 826 174 0', 'a part is waived');
SELECT is((SELECT a.amount FROM qzpay.payment_attempts a WHERE a.invoice_id = :'i' AND a.status = 'planned'), NULL, 'no attempt is planned that was not');
SELECT qzpay.sandbox_set_token(m.id, 'tok_ok') FROM qzpay.payment_methods m WHERE m.customer_id = :'c' \g /dev/null
SELECT is((SELECT status FROM qzpay.pay_invoice(:'i')), 'succeeded', 'the rest is paid');
SELECT is(pg_temp.state(:'i'), 'paid total 12100 due 12100 paid 9000 credited 3100 given up 0', '90.00 of it');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i')), '9000 invoice 0 balance 9000 refund 0 | 7438 1562 0', 'all that is left');
SELECT is(pg_temp.balance(:'c'), '9000 of which 9000', 'is what was paid');
-- partly open
SELECT pg_temp.buyer('cn_part', 'FR', NULL) AS c \gset
SELECT pg_temp.invoice(:'c', 5000) AS i \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok', make_default => false) \g /dev/null
SELECT is((SELECT sum(a.amount) FROM qzpay.payment_attempts a WHERE a.invoice_id = :'i' AND a.status = 'planned'), 5000::numeric, 'a first method is to try what is open');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', amount => 1000)), '1000 invoice 1000 balance 0 refund 0 | 1000 0 0', 'a credit meanwhile');
SELECT is((SELECT sum(a.amount) FROM qzpay.payment_attempts a WHERE a.invoice_id = :'i' AND a.status = 'planned'), 4000::numeric, 'leaves less to try');
SELECT qzpay.advance_test_clock(test_clock_id, '2026-01-05 10:00') FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT is(pg_temp.state(:'i'), 'paid total 5000 due 5000 paid 4000 credited 1000 given up 0', 'and that is paid');

-- 4. Void
SELECT pg_temp.buyer('cn_void', 'AR', NULL) AS c \gset
SELECT qzpay.adjust_balance(:'c', 1000, 'welcome') \g /dev/null
SELECT pg_temp.invoice(:'c', 9900, 100) AS i \gset
SELECT is(pg_temp.state(:'i'), 'open total 10000 due 9000 paid 0 credited 0 given up 0', 'open, partly paid from the balance');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', amount => 1000)), '1000 invoice 1000 balance 0 refund 0 | 990 0 172, 10 0 2', 'the tax a price contains goes along');
SELECT qzpay.void_invoice(:'i', 'a mistake') \g /dev/null
SELECT is(pg_temp.state(:'i'), 'void total 10000 due 9000 paid 0 credited 1000 given up 8000', 'void');
SELECT is(pg_temp.balance(:'c'), '1000 of which 0', 'what the balance paid returns to it');
SELECT is(pg_temp.posted(:'i', 'void'), 'revenue<receivable 7438, tax_payable<customer_balance 1000, tax_payable<receivable 562', 'what it posted is taken back, less what the note took');
SELECT throws_ok(format('SELECT qzpay.void_invoice(%L)', :'i'), 'QZ204', NULL, 'once');
SELECT throws_ok(format('SELECT qzpay.credit_invoice(%L)', :'i'), 'QZ204', NULL, 'and then not credited');
SELECT pg_temp.invoice(:'c', 3000) AS i \gset
SELECT qzpay.mark_uncollectible(:'i') \g /dev/null
SELECT is(pg_temp.state(:'i'), 'uncollectible total 3000 due 2000 paid 0 credited 0 given up 2000', 'given up');
SELECT throws_ok(format('SELECT qzpay.mark_uncollectible(%L)', :'i'), 'QZ204', NULL, 'once');
SELECT qzpay.void_invoice(:'i') \g /dev/null
SELECT is(pg_temp.state(:'i') || ', ' || pg_temp.balance(:'c'), 'void total 3000 due 2000 paid 0 credited 0 given up 2000, 1000 of which 0', 'a bad debt that never should have been');
SELECT throws_ok(format('SELECT qzpay.void_invoice(%L)', i.id), 'QZ204', NULL, 'what is paid is not voided') FROM qzpay.invoices i WHERE i.status = 'paid' LIMIT 1;

-- 5. Issued anew: other buyer data, same amounts, no money moved
SELECT pg_temp.buyer('cn_again', 'ES') AS c \gset
SELECT qzpay.adjust_balance(:'c', 1000, 'welcome') \g /dev/null
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT i.id AS i FROM qzpay.invoices i WHERE i.customer_id = :'c' \gset
SELECT is(pg_temp.state(:'i'), 'paid total 11979 due 10979 paid 10979 credited 0 given up 0', 'paid by balance and card');
SELECT qzpay.sync_customer('cn_again', name => 'The Right Name, S. L.') \g /dev/null
SELECT qzpay.set_billing_details(:'c', tax_ids => '[{"type": "es_nif", "value": "B1"}]') \g /dev/null
SELECT qzpay.set_billing_details(:'c', po_number => 'PO-1') \g /dev/null
SELECT qzpay.reissue_invoice(:'i', 'wrong name', 'k') AS j \gset
SELECT is(qzpay.reissue_invoice(:'i', 'wrong name', 'k'), :'j'::uuid, 'the same call again');
SELECT is(pg_temp.state(:'i'), 'void total 11979 due 10979 paid 0 credited 10979 given up 0', 'the old one is void');
SELECT is(pg_temp.state(:'j'), 'paid total 11979 due 10979 paid 10979 credited 0 given up 0', 'the new one is paid');
SELECT is((SELECT concat_ws('|', p.name, p.tax_ids #>> '{0,value}', i.po_number, i.replaces = :'i') FROM qzpay.invoices i JOIN qzpay.invoice_parties p ON p.invoice_id = i.id WHERE i.id = :'j'),
          'The Right Name, S. L.|B1|PO-1|t', 'with the right buyer');
SELECT is((SELECT concat_ws(' ', n.mode, n.total, n.to_invoice, n.to_balance) FROM qzpay.credit_notes n WHERE n.invoice_id = :'i'), 'reissue 11979 10979 1000', 'a credit note stands between them');
SELECT is((SELECT array_agg(p.invoice_id) FROM qzpay.payments p WHERE p.customer_id = :'c'), ARRAY[:'j'::uuid], 'the payment is linked to the new one');
SELECT is(pg_temp.balance(:'c'), '0 of which 0', 'the balance is used as before');
SELECT is((SELECT s.status FROM qzpay.subscriptions s WHERE s.id = :'s'), 'active', 'the subscription is as it was');
SELECT throws_ok(format('SELECT qzpay.reissue_invoice(%L)', :'i'), 'QZ204', NULL, 'a void one is not issued anew');
-- the new one is what a change credits
SELECT qzpay.change_plan(:'s', 'starter', effective => 'now') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', l.kind, l.amount, l.tax_amount), ', ' ORDER BY l.amount) FROM qzpay.invoices i JOIN qzpay.invoice_lines l ON l.invoice_id = i.id WHERE i.customer_id = :'c' AND i.kind = 'proration'),
          'plan -9900 -2079, plan 2900 609, balance 8470 0', 'a downgrade at once takes the tax back with the price, and the excess becomes balance');
SELECT is(pg_temp.balance(:'c'), '8470 of which 0', 'not to be paid out, since goodwill paid a part of it');
SELECT throws_ok(format('SELECT qzpay.reissue_invoice(%L)', :'j'), 'QZ204', NULL, 'an invoice whose lines were credited is not issued anew');

-- 6. Prepaid and promotional credit: priority, then expiry, then age
SELECT pg_temp.buyer('cn_grants', 'FR') AS c \gset
SELECT qzpay.grant_credit(:'c', 1000, priority => 50, expires_at => '2026-06-01', name => 'b') AS gb \gset
SELECT qzpay.grant_credit(:'c', 1000, priority => 50, expires_at => '2026-03-01', name => 'a') AS ga \gset
SELECT qzpay.grant_credit(:'c', 1000, priority => 10, name => 'first') AS gf \gset
SELECT qzpay.grant_credit(:'c', 1000, effective_at => '2026-02-01', priority => 0, name => 'later') AS gl \gset
SELECT throws_ok(format($$ SELECT qzpay.grant_credit(%L, 100, expires_at => '2026-01-01') $$, :'c'), '22023', NULL, 'not for the past');
SELECT throws_ok(format($$ SELECT qzpay.grant_credit(%L, 0) $$, :'c'), '22023', NULL, 'not nothing');
SELECT throws_ok(format($$ SELECT qzpay.grant_credit(%L, 1, priority => 101) $$, :'c'), '22023', NULL, 'no such priority');
SELECT qzpay.adjust_balance(:'c', 100, 'hello') \g /dev/null
SELECT pg_temp.invoice(:'c', 1700) AS i \gset
SELECT is(pg_temp.state(:'i'), 'paid total 1700 due 0 paid 0 credited 0 given up 0', 'paid by balance, then grants');
SELECT is((SELECT string_agg(concat_ws(' ', g.name, u.amount), ', ' ORDER BY u.amount DESC) FROM qzpay.grant_uses u JOIN qzpay.credit_grants g ON g.id = u.grant_id WHERE u.invoice_id = :'i'), 'first 1000, a 600', 'by priority, then by expiry');
SELECT is(pg_temp.posted(:'i', 'grant'), 'prepaid_credit<receivable 1000, prepaid_credit<receivable 600', 'and posted');
SELECT is((SELECT grants || ' ' || balance || ' ' || owed FROM qzpay.customer_balances WHERE customer_id = :'c'), '1400 0 0', 'what can be used at present');
SELECT qzpay.advance_test_clock(test_clock_id, '2026-03-01') FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT is((SELECT concat_ws(' ', remaining, expired_amount, closed_at::date) FROM qzpay.credit_grants WHERE id = :'ga'), '0 400 2026-03-01', 'what is left expires');
SELECT is(pg_temp.posted(:'ga', 'breakage'), 'prepaid_credit<goodwill 400', 'given credit that lapses is no income');
SELECT pg_temp.invoice(:'c', 1500) AS i \gset
SELECT is((SELECT string_agg(concat_ws(' ', g.name, u.amount), ', ' ORDER BY u.amount DESC) FROM qzpay.grant_uses u JOIN qzpay.credit_grants g ON g.id = u.grant_id WHERE u.invoice_id = :'i'), 'later 1000, b 500', 'what was for later now comes first');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', amount => 300)), '300 invoice 0 balance 300 refund 0 | 300 0 0', 'a credit of it becomes balance');
SELECT is(pg_temp.balance(:'c'), '300 of which 0', 'that is not paid out');
-- sold
SELECT pg_temp.buyer('cn_sold', 'FR') AS c \gset
SELECT pg_temp.invoice(:'c', 5000) AS i \gset
SELECT throws_ok(format('SELECT qzpay.grant_credit(%L, 5001, paid_by => %L)', :'c', :'i'), 'QZ103', NULL, 'an invoice sells no more than its price');
SELECT qzpay.grant_credit(:'c', 5000, paid_by => :'i', expires_at => '2026-02-05') AS g \gset
SELECT throws_ok(format('SELECT qzpay.grant_credit(%L, 1, paid_by => %L)', :'c', :'i'), 'QZ103', NULL, 'once');
SELECT throws_ok(format('SELECT qzpay.grant_credit(%L, 1, paid_by => %L)', :'c', gen_random_uuid()), 'QZ404', NULL, 'no such invoice');
SELECT pg_temp.invoice(:'c', 2000) \g /dev/null
SELECT qzpay.advance_test_clock(test_clock_id, '2026-02-05') FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', t.debit_account, t.credit_account, t.amount), ', ' ORDER BY t.amount DESC, t.debit_account) FROM qzpay.ledger_transfers t WHERE t.customer_id = :'c' AND 'prepaid_credit' IN (t.debit_account, t.credit_account)),
          'revenue prepaid_credit 5000, prepaid_credit breakage 3000, prepaid_credit receivable 2000', 'sold credit is revenue when used, breakage when not');

-- 7. With a subscription
SELECT pg_temp.buyer('cn_dunned', 'FR', 'tok_ok') AS c \gset
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT qzpay.sandbox_set_token(m.id, 'tok_insufficient_funds') FROM qzpay.payment_methods m WHERE m.customer_id = :'c' \g /dev/null
SELECT qzpay.advance_test_clock(test_clock_id, '2026-02-06 10:00') FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT i.id AS i FROM qzpay.invoices i WHERE i.customer_id = :'c' AND i.status = 'open' \gset
SELECT is((SELECT status FROM qzpay.subscriptions WHERE id = :'s'), 'past_due', 'a renewal that fails');
SELECT is(pg_temp.note(qzpay.credit_invoice(:'i', mode => 'write_off', reason => 'let it be')), '9900 invoice 9900 balance 0 refund 0 | 9900 0 0', 'is waived');
SELECT is((SELECT status FROM qzpay.subscriptions WHERE id = :'s'), 'active', 'and the subscription recovers');
SELECT qzpay.advance_test_clock(test_clock_id, '2026-03-06 10:00') FROM qzpay.customers WHERE id = :'c' \g /dev/null
SELECT qzpay.void_invoice(i.id) FROM qzpay.invoices i WHERE i.customer_id = :'c' AND i.status = 'open' \g /dev/null
SELECT is((SELECT status FROM qzpay.subscriptions WHERE id = :'s'), 'active', 'so it does when the invoice is void');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, mode => 'gift') $$, :'i'), '22023', NULL, 'no such mode');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[]') $$, :'i'), '22023', NULL, 'no lines');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[{"line": "9"}]') $$, :'i'), 'QZ404', NULL, 'no such line');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[{"line": "1"}, {"line": "1"}]') $$, :'i'), '22023', NULL, 'a line twice');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[{"line": "1", "amount": -1}]') $$, :'i'), '22023', NULL, 'a negative amount');
SELECT throws_ok(format($$ SELECT qzpay.credit_invoice(%L, lines => '[{"line": "1"}]', amount => 1) $$, :'i'), '22023', NULL, 'both');
SELECT throws_ok(format('SELECT qzpay.credit_invoice(%L)', gen_random_uuid()), 'QZ404', NULL, 'no such invoice');

-- 8. Worked examples: an upgrade with tax, coupon and tax and credits in their order
SELECT qzpay.create_test_clock('2026-01-19 09:00+00') AS clock \gset
SELECT id AS c FROM qzpay.sync_customer('cn_n4', address => '{"country": "ES"}', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok') \g /dev/null
SELECT (qzpay.subscribe(:'c', 'starter', trial_days => 0)).id AS s \gset
SELECT qzpay.advance_test_clock(:'clock', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.change_plan(:'s', 'pro', effective => 'now') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', l.amount, l.tax_amount), ', ' ORDER BY l.amount) || ' = ' || min(i.total) FROM qzpay.invoices i JOIN qzpay.invoice_lines l ON l.invoice_id = i.id WHERE i.customer_id = :'c' AND i.kind = 'proration'),
          '-1590 -334, 5429 1140 = 4645', '17 of 31 days left: 29.00 + 6.09 give back 15.90 + 3.34, 99.00 ask for 54.29 + 11.40');
SELECT qzpay.change_plan(:'s', 'starter', effective => 'now') \g /dev/null
SELECT is((SELECT concat_ws(' ', sum(l.amount), sum(l.tax_amount)) FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.id = l.invoice_id WHERE i.customer_id = :'c' AND (l.description LIKE '%Pro' AND l.kind = 'plan')), '0 0',
          'and back in the same instant: of the upgrade nothing stays, nor of its tax');
-- A credit that waits for its invoice has taken its part: a note takes what is left, and the tax of both is the debit's.
SELECT qzpay.create_test_clock('2026-01-19 09:00+00') AS clock \gset
SELECT id AS c FROM qzpay.sync_customer('cn_waits', address => '{"country": "ES"}', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok') \g /dev/null
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT qzpay.advance_test_clock(:'clock', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.change_plan(:'s', NULL, quantity => 3, proration => 'create_prorations') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.reissue_invoice(id) FROM qzpay.invoices WHERE customer_id = %L', :'c'), 'QZ204', NULL, 'an invoice that a credit waits for is not issued anew');
SELECT is((SELECT (qzpay.credit_invoice(i.id)).total FROM qzpay.invoices i WHERE i.customer_id = :'c'), 5410::bigint, '44.71 + 9.39 are left for a note');
SELECT throws_ok(format('SELECT qzpay.credit_invoice(id) FROM qzpay.invoices WHERE customer_id = %L', :'c'), 'QZ103', NULL, 'and then nothing');
SELECT qzpay.advance_test_clock(:'clock', '2026-02-20 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', l.amount, l.tax_amount), ', ' ORDER BY l.amount) FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.id = l.invoice_id WHERE i.customer_id = :'c' AND l.proration),
          '-5429 -1140, 16287 3420', 'what waited comes with the rest of the tax');
SELECT is_empty('SELECT error_message FROM qzpay.billing_errors', 'and nobody is set aside');

-- A draft has no tax yet: it becomes final before a line of it is credited, and the tax goes along.
SELECT count(*) FROM qzpay.import_catalog('{"meters": {"calls": {"name": "Calls", "aggregation": "sum"}}, "plans": [{"id": "drafted", "name": "Drafted", "invoiceDraftHours": 48,
    "prices": {"month": {"amount": 5000, "currency": "USD"}}, "usage": {"calls": {"overageRate": 1, "unit": 1, "limitType": "none", "currency": "USD"}}}]}') \g /dev/null
SELECT qzpay.create_test_clock('2026-01-19 09:00+00') AS clock \gset
SELECT id AS c FROM qzpay.sync_customer('cn_draft', address => '{"country": "ES"}', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok') \g /dev/null
SELECT (qzpay.subscribe(:'c', 'drafted', trial_days => 0)).id AS s \gset
SELECT qzpay.record_usage(:'c'::uuid, 'calls', 100, NULL) \g /dev/null
SELECT qzpay.advance_test_clock(:'clock', '2026-02-19 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', status, total), ', ' ORDER BY created_at) FROM qzpay.invoices WHERE customer_id = :'c'), 'paid 6050, draft 5100', 'a draft, without its tax');
SELECT qzpay.change_plan(:'s', 'pro', effective => 'now') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', status, total), ', ' ORDER BY series_number) FROM qzpay.invoices WHERE customer_id = :'c'), 'paid 6050, paid 6171, paid 5929', 'a change makes it final');
SELECT is((SELECT concat_ws(' ', l.amount, l.tax_amount) FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.id = l.invoice_id WHERE i.customer_id = :'c' AND l.amount < 0), '-5000 -1050', 'and credits what it has charged');

-- What another invoice credits of an open one, or what waits to, has come off it already: voided, it would be given twice.
SELECT qzpay.create_test_clock('2026-01-19 09:00+00') AS clock \gset
SELECT id AS c FROM qzpay.sync_customer('cn_elsewhere', address => '{"country": "ES"}', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok') \g /dev/null
SELECT (qzpay.subscribe(:'c', 'pro', trial_days => 0)).id AS s \gset
SELECT qzpay.set_billing_details(:'c', collection => 'send_invoice', net_days => 60) \g /dev/null
SELECT qzpay.advance_test_clock(:'clock', '2026-03-05 09:00+00') \g /dev/null
SELECT id AS i FROM qzpay.invoices WHERE customer_id = :'c' AND status = 'open' \gset
SELECT qzpay.change_plan(:'s', NULL, quantity => 3, proration => 'create_prorations') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.void_invoice(%L)', :'i'), 'QZ204', NULL, 'not while a credit waits');
SELECT qzpay.advance_test_clock(:'clock', '2026-03-20 09:00+00') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.void_invoice(%L)', :'i'), 'QZ204', NULL, 'nor when it stands on the next');
SELECT is((SELECT (qzpay.credit_invoice(:'i')).total), 5990::bigint, 'what is left is credited: of 99.00 + 20.79 all but 49.50 + 10.39');
SELECT is((SELECT count(*) FROM qzpay.balances k WHERE k.customer_id = :'c' AND k.amount <> 0), 0::bigint, 'who has paid nothing of it has nothing');

-- 50 + 20, less 10; tax 10 %; less 20 of balance, less 30 of prepaid credit: 16 are left to pay
SELECT qzpay.set_tax_rate('ten', 10, country => 'IT') \g /dev/null
SELECT count(*) FROM qzpay.import_catalog('{"automaticDiscounts": [{"id": "ten-off", "name": "Ten off", "type": "fixed_amount", "value": 1000, "config": {"currency": "USD"}, "appliesTo": "one-time", "conditions": {"minPurchaseAmount": 7000}}]}') \g /dev/null
SELECT pg_temp.buyer('cn_order', 'IT') AS c \gset
SELECT qzpay.adjust_balance(:'c', 2000, 'given'), qzpay.grant_credit(:'c', 3000) \g /dev/null
SELECT pg_temp.invoice(:'c', 5000, 2000) AS i \gset
SELECT is((SELECT concat_ws(' ', subtotal, discount_total, tax_total, total, balance_applied, grants_applied, amount_due) FROM qzpay.invoices WHERE id = :'i'), '7000 1000 600 6600 2000 3000 1600', 'coupon, tax, balance, grants, the rest');

SELECT is_empty($$ SELECT seller, livemode, currency, sum(balance) FROM qzpay.trial_balance() GROUP BY 1, 2, 3 HAVING sum(balance) <> 0 $$, 'the trial balance adds up to nothing');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
