-- One invoice for all that falls due for a customer on a day (setting invoice_consolidation), and what follows from it.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
SELECT count(*) FROM qzpay.import_catalog('{"currency": "USD", "meters": {"hits": {"name": "Hits", "aggregation": "sum"}, "mails": {"name": "Mails", "aggregation": "sum"}},
    "plans": [{"id": "site", "name": "Site", "prices": {"month": {"amount": 1000, "currency": "USD"}},
               "usage": {"hits": {"included": 0, "overageRate": 7, "unit": 1, "limitType": "none", "displayName": "Hits"}}},
              {"id": "shop", "name": "Shop", "prices": {"month": {"amount": 2000, "currency": "USD"}, "year": {"amount": 20000, "currency": "USD"}},
               "usage": {"mails": {"included": 0, "overageRate": 11, "unit": 1, "limitType": "none", "displayName": "Mails"}}}],
    "addons": [{"id": "extra", "name": "Extra", "prices": {"month": {"amount": 300, "currency": "USD"}}}],
    "promoCodes": {"HALF": {"type": "percentage", "value": 50, "config": {"forever": true}}, "THREE": {"type": "fixed_amount", "value": 300, "config": {"forever": true, "currency": "USD"}}}}') \g /dev/null

CREATE TEMP TABLE life (name text PRIMARY KEY, clock uuid, customer uuid, site uuid, shop uuid);
CREATE FUNCTION pg_temp.begin_life(life_name text, wanted text DEFAULT 'day', token text DEFAULT 'tok_ok', zone text DEFAULT 'UTC', shop_at timestamptz DEFAULT '2026-01-05 09:00+00',
                                   per text DEFAULT 'month', code text DEFAULT NULL, addons jsonb DEFAULT NULL, second text DEFAULT 'shop') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    l.name := life_name;
    l.clock := qzpay.create_test_clock('2026-01-05 09:00+00', life_name);
    l.customer := (qzpay.sync_customer(life_name, life_name || '@example.org', life_name, test_clock => l.clock, timezone => zone)).id;
    PERFORM qzpay.set_billing_details(l.customer, invoice_consolidation => wanted);
    PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', token);
    l.site := (qzpay.subscribe(l.customer, 'site', trial_days => 0, allow_multiple => true, promo_code => code)).id;
    PERFORM qzpay.advance_test_clock(l.clock, shop_at);
    l.shop := (qzpay.subscribe(l.customer, second, per, trial_days => 0, allow_multiple => true, addons => addons, metadata => '{"name": "North"}')).id;
    INSERT INTO life VALUES (l.*);
END $$;
CREATE FUNCTION pg_temp.go(life_name text, at timestamptz) RETURNS void LANGUAGE sql AS $$ SELECT qzpay.advance_test_clock(l.clock, at) FROM life l WHERE l.name = life_name $$;
CREATE FUNCTION pg_temp.card(life_name text, token text) RETURNS uuid LANGUAGE sql AS $$ SELECT qzpay.attach_payment_method(customer, 'sandbox', token) FROM life WHERE name = life_name $$;
-- Invoices issued from an instant on: when, what, and who shares each.
CREATE FUNCTION pg_temp.bills(life_name text, since timestamptz DEFAULT '2026-02-01 00:00+00') RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(coalesce(to_char(i.issued_at, 'MM-DD HH24:MI'), 'no date') || ' ' || i.status || ' ' || i.total || ' ' || s.who, ', ' ORDER BY i.issued_at, i.series_number), 'none')
    FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer
    CROSS JOIN LATERAL (SELECT coalesce(string_agg(CASE m.subscription_id WHEN l.site THEN 'site' WHEN l.shop THEN 'shop' END, '+' ORDER BY m.subscription_id), 'nobody') AS who
                        FROM qzpay.invoice_subscriptions m WHERE m.invoice_id = i.id) s
    WHERE l.name = life_name AND coalesce(i.issued_at, i.created_at) >= since
$$;
CREATE FUNCTION pg_temp.last(life_name text) RETURNS uuid LANGUAGE sql AS $$
    SELECT i.id FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer WHERE l.name = life_name ORDER BY i.created_at DESC, i.series_number DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.lines(invoice uuid) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(coalesce(CASE n.subscription_id WHEN l.site THEN 'site ' WHEN l.shop THEN 'shop ' END, '') || n.kind || ' ' || n.amount || CASE WHEN n.discount_amount > 0 THEN ' - ' || n.discount_amount ELSE '' END,
                      ', ' ORDER BY n.position)
    FROM qzpay.invoice_lines n JOIN qzpay.invoices i ON i.id = n.invoice_id JOIN life l ON l.customer = i.customer_id WHERE n.invoice_id = invoice
$$;
CREATE FUNCTION pg_temp.preview(subscription uuid) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(max(p.due_at), 'MM-DD HH24:MI') || ' ' || max(p.invoice_total) || ' ' || max(p.amount_due) || ': '
           || string_agg(p.kind || ' ' || p.amount || ' ' || p.discount_amount || ' ' || p.tax_amount || ' ' || CASE p.subscription_id WHEN l.site THEN 'site' WHEN l.shop THEN 'shop' END, ', ' ORDER BY p.line_position)
    FROM qzpay.preview_invoice(preview.subscription) p, life l WHERE preview.subscription IN (l.site, l.shop)
$$;
-- The same of an invoice that is there.
CREATE FUNCTION pg_temp.billed(invoice uuid) RETURNS text LANGUAGE sql AS $$
    SELECT to_char(max(i.issued_at), 'MM-DD HH24:MI') || ' ' || max(i.total) || ' ' || max(i.amount_due) || ': '
           || string_agg(n.kind || ' ' || n.amount || ' ' || n.discount_amount || ' ' || n.tax_amount || ' ' || CASE coalesce(n.subscription_id, i.subscription_id) WHEN l.site THEN 'site' WHEN l.shop THEN 'shop' END, ', '
                         ORDER BY n.position)
    FROM qzpay.invoice_lines n JOIN qzpay.invoices i ON i.id = n.invoice_id JOIN life l ON l.customer = i.customer_id WHERE n.invoice_id = invoice
$$;
CREATE FUNCTION pg_temp.states(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE o.id WHEN l.site THEN 'site ' ELSE 'shop ' END || o.status || CASE WHEN o.has_access THEN ' access' ELSE ' no access' END, ', ' ORDER BY o.id)
    FROM life l JOIN qzpay.subscription_overview o ON o.id IN (l.site, l.shop) WHERE l.name = life_name
$$;

-- 1. Off by default: an invoice each, on the same instant.
SELECT is(qzpay.setting('invoice_consolidation'), '"none"', 'off by default');
SELECT throws_ok($$ SELECT qzpay.set_setting('invoice_consolidation', '"month"') $$, '22023', NULL, 'by the day or not');
SELECT pg_temp.begin_life('apart', wanted => '') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.set_billing_details(customer, invoice_consolidation => 'week') FROM life $$, '22023', NULL, 'nor by the week for one customer');
SELECT pg_temp.go('apart', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('apart'), '02-05 09:00 paid 1000 site, 02-05 09:00 paid 2000 shop', 'apart: an invoice each');

-- 2. By the setting: one invoice, one payment; a customer may have it otherwise.
SELECT qzpay.set_setting('invoice_consolidation', '"day"') \g /dev/null
SELECT pg_temp.go('apart', '2026-03-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('apart', '2026-03-01'), '03-05 09:00 paid 3000 site+shop', 'by the setting: one for both');
SELECT qzpay.set_billing_details(customer, invoice_consolidation => 'none') FROM life WHERE name = 'apart' \g /dev/null
SELECT pg_temp.go('apart', '2026-04-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('apart', '2026-04-01'), '04-05 09:00 paid 1000 site, 04-05 09:00 paid 2000 shop', 'apart: not for this customer');
SELECT qzpay.set_setting('invoice_consolidation', '"none"') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.invoice_shares), 2::bigint, 'only an invoice that is shared has shares');

-- 3. Together: what is due at one instant; add-ons and usage of both; what each line is for; exactly once.
SELECT pg_temp.begin_life('pair', addons => '{"extra": 2}') \g /dev/null
SELECT is(pg_temp.bills('pair', '2026-01-01'), '01-05 09:00 paid 1000 site, 01-05 09:00 paid 2600 shop', 'pair: a contract begins with the payment of an invoice of its own');
SELECT qzpay.record_usage(customer, 'hits', 10, 'h1') FROM life WHERE name = 'pair' \g /dev/null
SELECT qzpay.record_usage(customer, 'mails', 10, 'm1') FROM life WHERE name = 'pair' \g /dev/null
SELECT pg_temp.preview(site) AS p FROM life WHERE name = 'pair' \gset
SELECT is(pg_temp.preview(shop), :'p', 'pair: the preview of either is that of the invoice') FROM life WHERE name = 'pair';
SELECT pg_temp.go('pair', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('pair'), '02-05 09:00 paid 3780 site+shop', 'pair: one invoice');
SELECT is(pg_temp.lines(pg_temp.last('pair')), 'site plan 1000, site usage 70, shop plan 2000, shop addon 600, shop usage 110', 'pair: lines by subscription');
SELECT is(pg_temp.billed(pg_temp.last('pair')), :'p', 'pair: as previewed');
SELECT is((SELECT count(*) FROM qzpay.periods p JOIN life l ON p.subscription_id IN (l.site, l.shop) WHERE l.name = 'pair' AND p.invoice_id = pg_temp.last('pair')), 2::bigint, 'pair: both periods stand on it');
SELECT is((SELECT array_agg(i.subscription_id) FROM qzpay.invoices i WHERE i.id = pg_temp.last('pair')), '{NULL}', 'pair: it is nobody''s own');
SELECT is((SELECT pg_temp.last('pair')), (SELECT qzpay.uuid_v5(qzpay.installation_id(), 'invoice:customer:' || c.id || ':' || c.seller_id || ':USD:2026-02-05') FROM qzpay.customers c WHERE c.external_id = 'pair'),
    'pair: its id says whose day it is');
SELECT is((SELECT count(*) FROM qzpay.payments p WHERE p.invoice_id = pg_temp.last('pair')), 1::bigint, 'pair: paid at once');
SELECT is((SELECT DISTINCT e.data -> 'subscriptionIds' FROM qzpay.events e WHERE e.aggregate_id = pg_temp.last('pair') AND e.type IN ('invoice.finalized', 'invoice.paid')),
    (SELECT jsonb_build_array(site, shop) FROM life WHERE name = 'pair'), 'pair: events name both');
SELECT is((SELECT jsonb_agg(n.value ->> 'group') FROM jsonb_array_elements(qzpay.invoice_document(pg_temp.last('pair')) -> 'lines') n), '["Site", null, "Shop – North", null, null]', 'pair: headings on the document');
SELECT matches(qzpay.invoice_html(pg_temp.last('pair')), '<tr class="group"><th scope="rowgroup" colspan="[34]"><bdi>Shop – North</bdi></th></tr>', 'pair: and on the page');
SELECT is((SELECT jsonb_array_length(qzpay.export_customer(customer) -> 'invoice_shares') FROM life WHERE name = 'pair'), 2, 'pair: in the export');

-- 4. Different days, and different days of the customer's zone within one of UTC.
SELECT pg_temp.begin_life('days', shop_at => '2026-01-07 09:00+00') \g /dev/null
SELECT pg_temp.go('days', '2026-02-10 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('days'), '02-05 09:00 paid 1000 site, 02-07 09:00 paid 2000 shop', 'days: an invoice each, at once');
SELECT pg_temp.begin_life('zone', zone => 'Asia/Tokyo', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT pg_temp.go('zone', '2026-02-10 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('zone'), '02-05 09:00 paid 1000 site, 02-05 15:00 paid 2000 shop', 'zone: in Tokyo it is the next day');

-- 5. Later the same day: the first waits for the last, access does not.
SELECT pg_temp.begin_life('later', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT pg_temp.go('later', '2026-02-05 08:00+00') \g /dev/null
SELECT pg_temp.preview(site) AS p FROM life WHERE name = 'later' \gset
SELECT is(pg_temp.preview(shop), :'p', 'later: the preview of either is that of the invoice') FROM life WHERE name = 'later';
SELECT pg_temp.go('later', '2026-02-05 12:00+00') \g /dev/null
SELECT is(pg_temp.bills('later'), 'no date draft 1000 site', 'later: a draft from nine to three');
SELECT is((SELECT finalize_at FROM qzpay.invoices WHERE id = pg_temp.last('later')), '2026-02-05 15:00+00', 'later: until then');
SELECT is(pg_temp.states('later'), 'site active access, shop active access', 'later: nothing is missed');
SELECT is(pg_temp.preview(shop), :'p', 'later: the preview has not changed') FROM life WHERE name = 'later';
SELECT throws_ok(format('SELECT qzpay.delete_draft_invoice(%L)', pg_temp.last('later')), 'QZ204', NULL, 'later: it cannot be removed');
SELECT pg_temp.go('later', '2026-02-05 15:00+00') \g /dev/null
SELECT is(pg_temp.bills('later'), '02-05 15:00 paid 3000 site+shop', 'later: one invoice at three');
SELECT is(pg_temp.billed(pg_temp.last('later')), :'p', 'later: as previewed');

-- 6. What was waited for does not come: it is billed alone. What comes after the day's invoice has its own.
SELECT pg_temp.begin_life('alone', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT pg_temp.go('alone', '2026-02-05 12:00+00') \g /dev/null
SELECT qzpay.cancel(shop, 'now', settle => 'none') FROM life WHERE name = 'alone' \g /dev/null
SELECT pg_temp.go('alone', '2026-02-05 15:00+00') \g /dev/null
SELECT is(pg_temp.bills('alone'), '02-05 15:00 paid 1000 site', 'alone: its own after all');
SELECT is((SELECT i.subscription_id FROM qzpay.invoices i WHERE i.id = pg_temp.last('alone')), (SELECT site FROM life WHERE name = 'alone'), 'alone: named by it');
SELECT is_empty(format('SELECT FROM qzpay.invoice_shares WHERE invoice_id = %1$L UNION ALL SELECT FROM qzpay.invoice_lines WHERE invoice_id = %1$L AND subscription_id IS NOT NULL', pg_temp.last('alone')),
    'alone: and nothing says that it was to be shared');
SELECT pg_temp.begin_life('hand', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT pg_temp.go('hand', '2026-02-05 12:00+00') \g /dev/null
SELECT is((qzpay.finalize_invoice(pg_temp.last('hand'))).status, 'paid', 'hand: finalised before its time');
SELECT pg_temp.go('hand', '2026-02-05 15:00+00') \g /dev/null
SELECT is(pg_temp.bills('hand'), '02-05 12:00 paid 1000 site, 02-05 15:00 paid 2000 shop', 'hand: what comes then has an invoice of its own');
SELECT pg_temp.begin_life('quits', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT pg_temp.go('quits', '2026-02-05 12:00+00') \g /dev/null
SELECT qzpay.cancel(site, 'now', settle => 'credit') FROM life WHERE name = 'quits' \g /dev/null
SELECT pg_temp.go('quits', '2026-02-05 15:00+00') \g /dev/null
SELECT is(pg_temp.bills('quits'), '02-05 12:00 paid 1000 site, 02-05 15:00 paid 2000 shop', 'quits: whoever leaves in between is billed, credited');
SELECT is((SELECT string_agg(total || ' ' || to_invoice || ' ' || to_balance, ', ') FROM qzpay.credit_notes n JOIN life l ON l.customer = n.customer_id WHERE l.name = 'quits'),
    (SELECT qzpay.prorate(1000, tstzrange('2026-02-05 09:00+00', '2026-03-05 09:00+00'), '2026-02-05 12:00+00') || ' ' || qzpay.prorate(1000, tstzrange('2026-02-05 09:00+00', '2026-03-05 09:00+00'), '2026-02-05 12:00+00') || ' 0'),
    'quits: for what is left of the month');

-- 7. An add-on by the month beside a plan by the year shares the invoice of the other's month.
SELECT pg_temp.begin_life('mixed', per => 'year', addons => '{"extra": 1}') \g /dev/null
SELECT pg_temp.go('mixed', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('mixed') || ': ' || pg_temp.lines(pg_temp.last('mixed')), '02-05 09:00 paid 1300 site+shop: site plan 1000, shop addon 300', 'mixed: the add-on''s month with the site''s');

-- 8. A change in between is invoiced at once and alone; what waits for the next invoice comes with it.
SELECT pg_temp.begin_life('changes', addons => '{"extra": 1}') \g /dev/null
SELECT pg_temp.go('changes', '2026-01-20 09:00+00') \g /dev/null
SELECT qzpay.set_addon_quantity(shop, 'extra', 2) FROM life WHERE name = 'changes' \g /dev/null
SELECT is(pg_temp.bills('changes', '2026-01-06'), '01-20 09:00 paid ' || qzpay.prorate(600, tstzrange('2026-01-05 09:00+00', '2026-02-05 09:00+00'), '2026-01-20 09:00+00')
       - qzpay.prorate(300, tstzrange('2026-01-05 09:00+00', '2026-02-05 09:00+00'), '2026-01-20 09:00+00') || ' shop', 'changes: prorated on an invoice of its own');
SELECT qzpay.set_addon_quantity(shop, 'extra', 3, proration => 'create_prorations') FROM life WHERE name = 'changes' \g /dev/null
SELECT pg_temp.preview(site) AS p FROM life WHERE name = 'changes' \gset
SELECT pg_temp.go('changes', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.billed(pg_temp.last('changes')), :'p', 'changes: the rest on the shared one, as previewed');
SELECT matches(pg_temp.lines(pg_temp.last('changes')), '^site plan 1000, shop addon -[0-9]+, shop addon [0-9]+, shop plan 2000, shop addon 900$', 'changes: with its subscription');

-- 9. A code is its subscription's; the balance is taken once.
SELECT pg_temp.begin_life('coded', code => 'HALF') \g /dev/null
SELECT qzpay.adjust_balance(customer, 700, 'sorry') FROM life WHERE name = 'coded' \g /dev/null
SELECT pg_temp.preview(shop) AS p FROM life WHERE name = 'coded' \gset
SELECT pg_temp.go('coded', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.lines(pg_temp.last('coded')), 'site plan 1000 - 500, shop plan 2000', 'coded: half of one');
SELECT is((SELECT total || ' ' || balance_applied || ' ' || amount_due FROM qzpay.invoices WHERE id = pg_temp.last('coded')), '2500 700 1800', 'coded: the balance once');
SELECT is(pg_temp.billed(pg_temp.last('coded')), :'p', 'coded: as previewed');
SELECT is((SELECT string_agg(code || ' ' || amount, ', ') FROM qzpay.considered_discounts WHERE invoice_id = pg_temp.last('coded')), 'HALF 500', 'coded: and explained');
SELECT qzpay.redeem_promo_code(shop, 'THREE') FROM life WHERE name = 'coded' \g /dev/null
SELECT pg_temp.go('coded', '2026-03-05 09:00+00') \g /dev/null
SELECT is(pg_temp.lines(pg_temp.last('coded')), 'site plan 1000 - 500, shop plan 2000 - 300', 'coded: one code each');
SELECT is((SELECT jsonb_agg(x -> 'subscription') FROM qzpay.invoice_discounts d, jsonb_array_elements(d.considered) x WHERE d.invoice_id = pg_temp.last('coded')),
    (SELECT jsonb_build_array(site, shop) FROM life WHERE name = 'coded'), 'coded: each with its subscription');

-- 10. Tax of one document: rounded over all of its lines.
SELECT qzpay.set_tax_rate('small', 0.25, 'Small', country => 'ZZ') \g /dev/null
SELECT pg_temp.begin_life('taxed') \g /dev/null
SELECT qzpay.update_customer(customer, address => '{"country": "ZZ"}') FROM life WHERE name = 'taxed' \g /dev/null
SELECT pg_temp.go('taxed', '2026-02-05 09:00+00') \g /dev/null
SELECT is((SELECT tax_total FROM qzpay.invoices WHERE id = pg_temp.last('taxed')), 8::bigint, 'taxed: 7.5 of 3000, not 2.5 and 5 rounded');

-- 11. A failed payment is each one's; one retry at a time; paying recovers all.
SELECT pg_temp.begin_life('poor') \g /dev/null
SELECT pg_temp.card('poor', 'tok_decline') \g /dev/null
SELECT pg_temp.go('poor', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('poor') || '; ' || pg_temp.states('poor'), '02-05 09:00 open 3000 site+shop; site past_due access, shop past_due access', 'poor: both are past due');
SELECT is((SELECT count(*) FROM qzpay.dunning_cases d JOIN life l ON d.subscription_id IN (l.site, l.shop) WHERE l.name = 'poor' AND d.closed_at IS NULL), 2::bigint, 'poor: a case each');
SELECT throws_ok($$ SELECT qzpay.change_plan(shop, 'site', effective => 'now') FROM life WHERE name = 'poor' $$, 'QZ204', NULL, 'poor: neither changes before it is paid');
SELECT pg_temp.go('poor', '2026-02-07 10:00+00') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.payment_attempts a WHERE a.invoice_id = pg_temp.last('poor')), 3::bigint, 'poor: one attempt, and one for each day since');
SELECT pg_temp.card('poor', 'tok_ok') \g /dev/null
SELECT pg_temp.go('poor', '2026-02-07 11:00+00') \g /dev/null
SELECT is(pg_temp.bills('poor') || '; ' || pg_temp.states('poor'), '02-05 09:00 paid 3000 site+shop; site active access, shop active access', 'poor: paid, and both recover');
SELECT is((SELECT string_agg(d.outcome, ' ') FROM qzpay.dunning_cases d JOIN life l ON d.subscription_id IN (l.site, l.shop) WHERE l.name = 'poor'), 'recovered recovered', 'poor: both cases close');
SELECT pg_temp.go('poor', '2026-03-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('poor', '2026-03-01'), '03-05 09:00 paid 3000 site+shop', 'poor: and go on');

-- 12. One leaves while it is unpaid: its lines are credited, the other is chased for the rest.
SELECT pg_temp.begin_life('leaves') \g /dev/null
SELECT pg_temp.card('leaves', 'tok_decline') \g /dev/null
SELECT pg_temp.go('leaves', '2026-02-05 09:00+00') \g /dev/null
SELECT qzpay.cancel(shop, 'now', settle => 'credit') FROM life WHERE name = 'leaves' \g /dev/null
SELECT is((SELECT i.amount_credited || ' ' || i.status FROM qzpay.invoices i WHERE i.id = pg_temp.last('leaves')), '2000 open', 'leaves: all of the shop''s');
SELECT is((SELECT string_agg(CASE n.subscription_id WHEN f.site THEN 'site ' ELSE 'shop ' END || l.amount, ', ') FROM qzpay.credit_note_lines l JOIN qzpay.invoice_lines n ON n.id = l.invoice_line_id JOIN life f ON f.name = 'leaves'
           WHERE l.invoice_id = pg_temp.last('leaves')), 'shop 2000', 'leaves: and nothing of the site''s');
SELECT is(pg_temp.states('leaves'), 'site past_due access, shop canceled no access', 'leaves: the other is still past due');
SELECT pg_temp.card('leaves', 'tok_ok') \g /dev/null
SELECT pg_temp.go('leaves', '2026-02-05 10:00+00') \g /dev/null
SELECT is((SELECT i.amount_paid || ' ' || i.status FROM qzpay.invoices i WHERE i.id = pg_temp.last('leaves')) || ', ' || pg_temp.states('leaves'), '1000 paid, site active access, shop canceled no access', 'leaves: which pays its part');

-- 13. Exhaustion: each by its own policy, the invoice is given up with the last.
INSERT INTO qzpay.dunning_policies (code, name, grace_days) VALUES ('slow', 'Slow', 7);
INSERT INTO qzpay.dunning_steps (policy, step, after_days, action) VALUES ('slow', 1, 7, 'cancel');
SELECT pg_temp.begin_life('broke') \g /dev/null
UPDATE qzpay.subscriptions s SET dunning_policy = 'slow', grace_days = 7 FROM life l WHERE l.name = 'broke' AND s.id = l.shop;
SELECT pg_temp.card('broke', 'tok_decline') \g /dev/null
SELECT pg_temp.go('broke', '2026-02-11 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('broke') || '; ' || pg_temp.states('broke'), '02-05 09:00 open 3000 site+shop; site canceled no access, shop past_due access', 'broke: one has ended, the other is chased on');
SELECT pg_temp.go('broke', '2026-02-12 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('broke') || '; ' || pg_temp.states('broke'), '02-05 09:00 uncollectible 3000 site+shop; site canceled no access, shop canceled no access', 'broke: and with it the invoice is given up');
SELECT pg_temp.begin_life('bust') \g /dev/null
SELECT pg_temp.card('bust', 'tok_decline') \g /dev/null
SELECT pg_temp.go('bust', '2026-02-11 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('bust') || '; ' || pg_temp.states('bust'), '02-05 09:00 uncollectible 3000 site+shop; site canceled no access, shop canceled no access', 'bust: both at once');

-- 14. Corrections: credited by lines, voided, issued anew.
SELECT pg_temp.begin_life('wrong') \g /dev/null
SELECT pg_temp.go('wrong', '2026-02-05 09:00+00') \g /dev/null
SELECT is((qzpay.credit_invoice(pg_temp.last('wrong'), '[{"line": "2", "amount": 500}]')).to_balance, 500::bigint, 'wrong: a line of the second');
SELECT is((qzpay.credit_invoice(pg_temp.last('wrong'), amount => 250)).to_balance, 250::bigint, 'wrong: an amount of all');
SELECT pg_temp.begin_life('voided') \g /dev/null
SELECT pg_temp.card('voided', 'tok_decline') \g /dev/null
SELECT pg_temp.go('voided', '2026-02-05 09:00+00') \g /dev/null
SELECT qzpay.void_invoice(pg_temp.last('voided')) \g /dev/null
SELECT is(pg_temp.bills('voided') || '; ' || pg_temp.states('voided'), '02-05 09:00 void 3000 site+shop; site active access, shop active access', 'voided: both recover');
SELECT pg_temp.begin_life('anew') \g /dev/null
SELECT pg_temp.go('anew', '2026-02-05 09:00+00') \g /dev/null
SELECT qzpay.reissue_invoice(pg_temp.last('anew'), 'address') AS n \gset
SELECT is(pg_temp.bills('anew'), '02-05 09:00 void 3000 site+shop, 02-05 09:00 paid 3000 site+shop', 'anew: shared as before');
SELECT is(pg_temp.lines(:'n'), 'site plan 1000, shop plan 2000', 'anew: line by line');
SELECT pg_temp.go('anew', '2026-03-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('anew', '2026-03-01'), '03-05 09:00 paid 3000 site+shop', 'anew: the next one is as ever');
SELECT is((SELECT string_agg(s.kind || ' ' || coalesce(s.debit, -s.credit, 0), ', ' ORDER BY s.entry_position) FROM life l, qzpay.statement(l.customer, '2026-03-01', '2026-04-01') s WHERE l.name = 'anew'),
    'opening 0, invoice 3000, payment -3000, closing 0', 'anew: one entry in the statement');

-- 15. By transfer: overdue for both.
SELECT pg_temp.begin_life('terms') \g /dev/null
SELECT qzpay.set_billing_details(customer, collection => 'send_invoice', net_days => 5) FROM life WHERE name = 'terms' \g /dev/null
SELECT pg_temp.go('terms', '2026-02-10 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('terms') || '; ' || pg_temp.states('terms'), '02-05 09:00 open 3000 site+shop; site past_due access, shop past_due access', 'terms: not paid in time');
SELECT is((SELECT count(*) FROM qzpay.events e WHERE e.aggregate_id = pg_temp.last('terms') AND e.type = 'invoice.overdue'), 1::bigint, 'terms: overdue once');

-- 16. Usage that may come late keeps the whole invoice a draft; a usage period of one, the period of the other.
SELECT qzpay.set_setting('invoice_draft_hours', '6') \g /dev/null
SELECT pg_temp.begin_life('window', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT qzpay.record_usage(customer, 'mails', 1, 'w1') FROM life WHERE name = 'window' \g /dev/null
SELECT pg_temp.preview(site) AS p FROM life WHERE name = 'window' \gset
SELECT pg_temp.go('window', '2026-02-05 20:00+00') \g /dev/null
SELECT is(pg_temp.bills('window'), 'no date draft 3011 site+shop', 'window: six hours from the last');
SELECT pg_temp.go('window', '2026-02-05 21:00+00') \g /dev/null
SELECT is(pg_temp.bills('window'), '02-05 21:00 paid 3011 site+shop', 'window: then final');
SELECT is(regexp_replace(pg_temp.billed(pg_temp.last('window')), '^.{11} ', ''), regexp_replace(:'p', '^.{11} ', ''), 'window: as previewed, but for the hours');
SELECT qzpay.set_setting('invoice_draft_hours', '0') \g /dev/null

-- 17. A database nobody has run for three months catches up day by day, in batches of one too.
SELECT pg_temp.begin_life('neglected', shop_at => '2026-01-05 15:00+00') \g /dev/null
UPDATE qzpay.test_clocks c SET now_at = '2026-04-10 00:00+00' FROM life l WHERE l.name = 'neglected' AND c.id = l.clock;
DO $$
DECLARE
    v_clock uuid := (SELECT clock FROM life WHERE name = 'neglected');
BEGIN
    WHILE qzpay._due_batch(v_clock, '2026-04-10 00:00+00', '2026-04-10 00:00+00', 1) + qzpay._invoice_batch(v_clock, '2026-04-10 00:00+00', '2026-04-10 00:00+00', 1) > 0 LOOP
    END LOOP;
END $$;
SELECT is(pg_temp.bills('neglected'), '04-10 00:00 open 3000 site+shop, 04-10 00:00 open 3000 site+shop, 04-10 00:00 open 3000 site+shop', 'neglected: three days, three invoices');
SELECT pg_temp.go('neglected', '2026-04-10 00:00+00') \g /dev/null
SELECT is(pg_temp.states('neglected'), 'site active access, shop active access', 'neglected: paid');

-- Usage that both contracts charge for is billed by one of them, though they come to the draft one after the other.
SELECT pg_temp.begin_life('metered', second => 'site') \g /dev/null
SELECT qzpay.record_usage(customer, 'hits', 10, 'x1') FROM life WHERE name = 'metered' \g /dev/null
UPDATE qzpay.test_clocks c SET now_at = '2026-02-05 09:00+00' FROM life l WHERE l.name = 'metered' AND c.id = l.clock;
SELECT qzpay._due_batch(clock, '2026-02-05 09:00+00', '2026-02-05 09:00+00', 1) FROM life WHERE name = 'metered' \g /dev/null
SELECT is(pg_temp.bills('metered'), 'no date draft 1070 site', 'metered: the first, with the usage');
SELECT qzpay._due_batch(clock, '2026-02-05 09:00+00', '2026-02-05 09:00+00', 1) FROM life WHERE name = 'metered' \g /dev/null
SELECT pg_temp.go('metered', '2026-02-05 10:00+00') \g /dev/null
SELECT is(pg_temp.lines(pg_temp.last('metered')), 'site plan 1000, site usage 70, shop plan 1000', 'metered: the second has none left');
SELECT qzpay.refund((SELECT p.id FROM qzpay.payments p WHERE p.invoice_id = pg_temp.last('metered')), end_access => true) \g /dev/null
SELECT is(pg_temp.states('metered'), 'site canceled no access, shop canceled no access', 'metered: who pays back what was paid for both may end both');

-- A draft that is shared becomes final, with its tax, before a change or a pause credits a line of it.
SELECT qzpay.set_setting('invoice_draft_hours', '48') \g /dev/null
SELECT qzpay.set_tax_rate('draft_tax', 21, 'VAT', automatic => false) \g /dev/null
SELECT pg_temp.begin_life(n) FROM unnest('{grows,halts}'::text[]) n \g /dev/null
SELECT qzpay.set_billing_details(customer, tax_rates => '{draft_tax}') FROM life WHERE name IN ('grows', 'halts') \g /dev/null
SELECT qzpay.record_usage(customer, 'hits', 10, 'd1') FROM life WHERE name IN ('grows', 'halts') \g /dev/null
SELECT pg_temp.go(n, '2026-02-06 09:00+00') FROM unnest('{grows,halts}'::text[]) n \g /dev/null
SELECT is(pg_temp.bills('grows'), 'no date draft 3070 site+shop', 'grows: a draft');
SELECT qzpay.change_plan(site, 'shop', effective => 'now') FROM life WHERE name = 'grows' \g /dev/null
-- 27 of 28 days: -964.29 and 1928.57, with 21 % of 965; of the pause 964, with 210 less what stays, 8
SELECT is(pg_temp.bills('grows'), '02-06 09:00 paid 3715 site+shop, 02-06 09:00 paid 1168 site', 'grows: which is final before it is credited');
SELECT qzpay.pause(site, 'now') FROM life WHERE name = 'halts' \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', n.subtotal, n.tax_total, n.to_balance), ', ') FROM life l JOIN qzpay.credit_notes n ON n.customer_id = l.customer WHERE l.name = 'halts'), '964 202 1166',
          'halts: the tax of what is paused comes back');
SELECT qzpay.set_setting('invoice_draft_hours', '0') \g /dev/null

-- 18. In real time: the preview of the run is the run.
SELECT (qzpay.sync_customer('real', livemode => false)).id AS r \gset
SELECT qzpay.set_billing_details(:'r', invoice_consolidation => 'day') \g /dev/null
SELECT qzpay.attach_payment_method(:'r', 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.subscribe(:'r', 'site', trial_days => 0, allow_multiple => true) \g /dev/null
SELECT qzpay.subscribe(:'r', 'shop', trial_days => 0, allow_multiple => true) \g /dev/null
SELECT is((SELECT count(*) || ' ' || max(total) || ' ' || count(subscription_id) FROM qzpay.preview_billing(qzpay.now() + interval '32 days')), '1 3000 0', 'real: one invoice ahead');

-- 19. Told ahead, once per invoice, with the amounts of the preview.
SELECT pg_temp.begin_life('told', shop_at => '2026-01-05 15:00+00') \g /dev/null
SELECT pg_temp.begin_life('told_apart', wanted => '', per => 'year') \g /dev/null
SELECT pg_temp.go('told', '2026-01-20 00:00+00') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.events WHERE type = 'invoice.upcoming'), 0::bigint, 'told: not unless asked for');
SELECT throws_ok($$ SELECT qzpay.set_setting('upcoming_invoice_days', '0') $$, '22023', NULL, 'told: a day ahead at least');
SELECT qzpay.set_setting('upcoming_invoice_days', '7') \g /dev/null
SELECT qzpay.adjust_balance(customer, 100, 'sorry') FROM life WHERE name = 'told' \g /dev/null
CREATE FUNCTION pg_temp.told(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', to_char(e.occurred_at, 'MM-DD HH24:MI'), e.data ->> 'total', e.data ->> 'amountDue', to_char((e.data ->> 'effectiveAt')::timestamptz, 'MM-DD HH24:MI'), e.data ->> 'daysRemaining',
                               coalesce(jsonb_array_length(e.data -> 'subscriptionIds'), 1)), ', ' ORDER BY e.id), 'nothing')
    FROM life l JOIN qzpay.events e ON e.customer_id = l.customer AND e.type = 'invoice.upcoming' WHERE l.name = life_name
$$;
SELECT pg_temp.go('told', '2026-01-29 08:59+00') \g /dev/null
SELECT is(pg_temp.told('told'), 'nothing', 'told: not before its time');
SELECT pg_temp.go('told', '2026-02-04 09:00+00') \g /dev/null
SELECT is(pg_temp.told('told'), '01-29 09:00 3000 2900 02-05 15:00 8 2', 'told: once for both, with the total and what is due after the balance');
SELECT is((SELECT 'sum ' || max(p.invoice_total) || ' ' || max(p.amount_due) FROM life l, qzpay.preview_invoice(l.site) p WHERE l.name = 'told'), 'sum 3000 2900', 'told: as the preview says');
SELECT pg_temp.go('told', '2026-02-28 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('told') || '; ' || pg_temp.told('told'), '02-05 15:00 paid 3000 site+shop; 01-29 09:00 3000 2900 02-05 15:00 8 2, 02-26 09:00 3000 3000 03-05 15:00 8 2', 'told: and again before the next');
SELECT pg_temp.go('told_apart', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.told('told_apart'), '01-29 09:00 1000 1000 02-05 09:00 7 1, 02-26 09:00 1000 1000 03-05 09:00 7 1', 'told: of renewals, a year has none this month');
SELECT is((SELECT qzpay._tell_upcoming(NULL, qzpay.now() + interval '25 days', 100)), 2::bigint, 'told: in real time both of a customer are looked at');
SELECT is((SELECT string_agg((e.data ->> 'total') || ' ' || jsonb_array_length(e.data -> 'subscriptionIds'), ', ') FROM qzpay.events e WHERE e.type = 'invoice.upcoming' AND e.customer_id = :'r'), '3000 2', 'told: once');
SELECT is((SELECT qzpay._tell_upcoming(NULL, qzpay.now() + interval '25 days', 100)), 0::bigint, 'told: and not again');
SELECT is((SELECT count(*) FROM qzpay.invoices i WHERE i.customer_id = :'r'), 2::bigint, 'told: nothing of the look ahead stays');

SELECT is_empty($$ SELECT * FROM qzpay.check_integrity() WHERE status <> 'pass' AND check_name <> 'nothing_is_billed_late' $$, 'the books are whole');
SELECT * FROM finish();
ROLLBACK;
