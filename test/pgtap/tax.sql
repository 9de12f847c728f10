-- Tax on invoices: rates by place, product and customer, inclusive and exclusive, exemption, provider; worked numbers.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
SELECT count(*) FROM qzpay.import_catalog('{"meters": {"pages": {"name": "Pages", "aggregation": "sum"}},
    "plans": [{"id": "pro", "name": "Pro", "prices": {"month": {"amount": 9900, "currency": "USD"}},
               "usage": {"pages": {"included": 0, "overageRate": 75, "unit": 100, "limitType": "none", "displayName": "Pages"}}}],
    "services": [{"id": "book", "name": "Book", "price": 1000, "currency": "USD", "categories": ["print"]}, {"id": "help", "name": "Help", "price": 3333, "currency": "USD"}]}') \g /dev/null

-- A subscriber at this address, whose second invoice has 99.00 of base and 7.50 of usage.
CREATE FUNCTION pg_temp.subscriber(name text, address jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    clock uuid := qzpay.create_test_clock('2026-01-05 09:00+00');
    c uuid;
BEGIN
    c := (qzpay.sync_customer(name, address => subscriber.address, test_clock => clock)).id;
    PERFORM qzpay.attach_payment_method(c, 'sandbox', 'tok_ok');
    PERFORM qzpay.subscribe(c, 'pro', trial_days => 0);
    RETURN c;
END $$;
CREATE FUNCTION pg_temp.next_month(c uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM qzpay.record_usage(c, 'pages', 1000, NULL);
    PERFORM qzpay.advance_test_clock(k.test_clock_id, (SELECT max(s.current_period_end) FROM qzpay.subscriptions s WHERE s.customer_id = c)) FROM qzpay.customers k WHERE k.id = c;
END $$;
-- An invoice in one line: status, subtotal, added and included tax, total; then per line amount, added, included.
CREATE FUNCTION pg_temp.bill(c uuid, n integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', i.status, i.subtotal, i.tax_total, i.tax_included, i.total) || ' | ' ||
           (SELECT string_agg(concat_ws(' ', l.amount, l.tax_amount, l.tax_included), ', ' ORDER BY l.position) FROM qzpay.invoice_lines l WHERE l.invoice_id = i.id)
    FROM qzpay.invoices i WHERE i.customer_id = c ORDER BY i.series_number OFFSET n - 1 LIMIT 1
$$;
CREATE FUNCTION pg_temp.taxes(c uuid, n integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((SELECT string_agg(concat_ws(' ', t ->> 'code', t ->> 'rate', t ->> 'amount'), '+' ORDER BY o) FROM jsonb_array_elements(l.taxes) WITH ORDINALITY AS t (t, o)), ', ' ORDER BY l.position)
    FROM (SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = c ORDER BY i.series_number OFFSET n - 1 LIMIT 1) i JOIN qzpay.invoice_lines l ON l.invoice_id = i.id
$$;

-- Arithmetic, at the SQL surface
SELECT is(qzpay.tax_amounts('{9900,750}', 21), '{2079,158}'::bigint[], '21 %: the sum is rounded once');
SELECT is(qzpay.tax_amounts('{12100}', 21, 21), '{2100}'::bigint[], 'what a price contains');
SELECT is(qzpay.tax_amounts('{}', 21), '{}'::bigint[], 'no lines');
SELECT throws_ok($$ SELECT qzpay.tax_amounts('{1}', -1) $$, '22023', NULL, 'a negative rate');
SELECT throws_ok($$ SELECT qzpay.tax_amounts('{1}', 21.1234567) $$, '22023', NULL, 'seven decimals');
SELECT throws_ok($$ SELECT qzpay.tax_amounts('{1,null}', 21) $$, '22004', NULL, 'no amount');
SELECT throws_ok($$ SELECT qzpay.tax_amounts('{{1},{2}}', 21) $$, '22023', NULL, 'two dimensions');
SELECT throws_ok($$ SELECT qzpay.tax_amounts('{9223372036854775807}', 1000) $$, '22003', NULL, 'beyond bigint');
SELECT is(qzpay._part_taken(100, 0, 3) + qzpay._part_taken(100, 3, 3), 100::bigint, 'nothing, and everything');
SELECT is(qzpay._part_taken(7, 0, 0), 7::bigint, 'of nothing everything is taken');
SELECT throws_ok('SELECT qzpay._part_taken(100, 4, 3)', '22023', NULL, 'more than there is');

-- No rate, no tax
SELECT pg_temp.subscriber('tax_none', '{"country": "ES"}') AS c \gset
SELECT is(pg_temp.bill(:'c'), 'paid 9900 0 0 9900 | 9900 0 0', 'without rates nothing is taxed');

-- By place
SELECT qzpay.set_tax_rate('es_iva', 21, 'IVA', country => 'es', tax => 'vat') AS rate \gset
SELECT is(qzpay.set_tax_rate('es_iva', 21.0, 'IVA', country => 'ES', tax => 'vat'), :'rate'::uuid, 'the same again changes nothing');
SELECT pg_temp.subscriber('tax_es', '{"country": "es"}') AS c \gset
SELECT pg_temp.next_month(:'c') \g /dev/null
SELECT is(pg_temp.bill(:'c'), 'paid 9900 2079 0 11979 | 9900 2079 0', '21 % are added');
SELECT is(pg_temp.bill(:'c', 2), 'paid 10650 2237 0 12887 | 9900 2079 0, 750 158 0', 'per line, and their sum is that of the whole');
SELECT is(pg_temp.taxes(:'c', 2), 'es_iva 21 2079, es_iva 21 158', 'each line says which tax');
SELECT is((SELECT jsonb_object_agg(t.credit_account, t.amount) FROM qzpay.ledger_transfers t JOIN qzpay.invoices i ON i.id = t.cause_id WHERE t.cause = 'invoice' AND i.customer_id = :'c' AND i.total = 12887),
          '{"deferred_revenue": 9900, "revenue": 750, "tax_payable": 2237}', 'tax is owed to the authorities');
SELECT is((SELECT count(DISTINCT amount) FROM qzpay.payments WHERE customer_id = :'c'), 2::bigint, 'and charged');
SELECT pg_temp.subscriber('tax_fr', '{"country": "FR"}') AS c \gset
SELECT is(pg_temp.bill(:'c'), 'paid 9900 0 0 9900 | 9900 0 0', 'not elsewhere');

-- Several taxes, the most specific rate of each
SELECT qzpay.set_tax_rate('us_ny', 4, 'New York State', country => 'US', region => 'NY', tax => 'sales') \g /dev/null
SELECT qzpay.set_tax_rate('us', 1, 'Elsewhere', country => 'US', tax => 'sales') \g /dev/null
SELECT qzpay.set_tax_rate('us_ny_city', 4.5, 'New York City', country => 'US', region => 'NY', tax => 'city') \g /dev/null
SELECT qzpay.set_tax_rate('us_ny_pages', 0, 'Usage is free', country => 'US', region => 'NY', tax => 'city', products => '{none}') \g /dev/null
SELECT pg_temp.subscriber('tax_ny', '{"country": "US", "state": "NY"}') AS c \gset
SELECT is(pg_temp.bill(:'c'), 'paid 9900 842 0 10742 | 9900 842 0', 'two taxes add up: 396 + 446 (445.5)');
SELECT is(pg_temp.taxes(:'c'), 'us_ny 4 396+us_ny_city 4.5 446', 'the region''s rate before the country''s, and both taxes');
SELECT pg_temp.subscriber('tax_tx', '{"country": "US", "state": "TX"}') AS c \gset
SELECT is(pg_temp.taxes(:'c'), 'us 1 99', 'elsewhere the country''s');

-- Included in the price
SELECT qzpay.set_tax_rate('ar_iva', 21, 'IVA', inclusive => true, country => 'AR', tax => 'vat') \g /dev/null
SELECT qzpay.set_tax_rate('ar_iibb', 3, 'IIBB', country => 'AR', region => 'C') \g /dev/null
SELECT pg_temp.subscriber('tax_ar', '{"country": "AR"}') AS c \gset
SELECT pg_temp.next_month(:'c') \g /dev/null
SELECT is(pg_temp.bill(:'c', 2), 'paid 10650 0 1848 10650 | 9900 0 1718, 750 0 130', 'the price stays, 1848 (1848.35) are tax: 1718.18 and 130.17');
SELECT is((SELECT jsonb_object_agg(t.credit_account, t.amount) FROM qzpay.ledger_transfers t JOIN qzpay.invoices i ON i.id = t.cause_id WHERE t.cause = 'invoice' AND i.customer_id = :'c' AND i.tax_included = 1848),
          '{"deferred_revenue": 8182, "revenue": 620, "tax_payable": 1848}', 'and no revenue');
SELECT pg_temp.subscriber('tax_caba', '{"country": "AR", "region": "C"}') AS c \gset
SELECT is(pg_temp.bill(:'c'), 'paid 9900 245 1718 10145 | 9900 245 1718', 'what is added is reckoned without what is included: 3 % of 8181.82');

-- By product and category
SELECT qzpay.set_tax_rate('es_iva_books', 4, 'IVA reducido', country => 'ES', tax => 'vat', categories => '{print}') \g /dev/null
SELECT qzpay.set_tax_rate('es_iva_help', 10, 'IVA servicios', country => 'ES', tax => 'vat', products => '{help}') \g /dev/null
SELECT is((SELECT array_agg(l.tax_amount ORDER BY l.ordinality) FROM qzpay.customers c
           CROSS JOIN LATERAL unnest(qzpay._tax_lines(ARRAY[ROW(c.tenant_id, c.id, c.id, NULL, c.seller_id, false, 'USD', 'manual', now(), NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._bill],
               (SELECT array_agg(ROW(c.tenant_id, c.id, 'service', p.id, NULL, NULL, NULL, NULL, p.code, NULL, NULL, 1, NULL, v.amount, v.amount, false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._line ORDER BY v.amount DESC)
                FROM (VALUES ('pro', 9900), ('book', 1000), ('help', 3333)) AS v (code, amount) JOIN qzpay.products p ON p.code = v.code), now())) WITH ORDINALITY l
           WHERE c.external_id = 'tax_es'), '{2079,333,40}', 'product before category before country');

-- By customer
SELECT qzpay.set_tax_rate('special', 2.5, 'Special', automatic => false) \g /dev/null
SELECT throws_ok($$ SELECT qzpay.set_billing_details((SELECT id FROM qzpay.customers WHERE external_id = 'tax_es'), tax_rates => '{nothing}') $$, 'QZ401', NULL, 'an unknown rate');
SELECT pg_temp.subscriber('tax_special', '{"country": "ES"}') AS c \gset
SELECT qzpay.set_billing_details(:'c', tax_rates => '{special}') \g /dev/null
SELECT pg_temp.next_month(:'c') \g /dev/null
SELECT is(pg_temp.taxes(:'c', 2), 'special 2.5 247, special 2.5 19', 'a customer''s own rates instead of those of its place: 266 (266.25)');
SELECT qzpay.set_billing_details(:'c', tax_rates => '{}') \g /dev/null
SELECT pg_temp.next_month(:'c') \g /dev/null
SELECT is(pg_temp.taxes(:'c', 3), 'es_iva 21 2079, es_iva 21 158', 'and back');

-- In time
SELECT throws_ok($$ SELECT qzpay.set_tax_rate('fr_tva', 20, valid_from => '-infinity') UNION ALL SELECT qzpay.set_tax_rate('fr_tva', 19, valid_from => '-infinity') $$, '22023', NULL, 'versions follow each other');
SELECT qzpay.set_tax_rate('fr_tva', 20, country => 'FR') \g /dev/null
SELECT qzpay.set_tax_rate('fr_tva', 10, country => 'FR', valid_from => '2026-03-01') \g /dev/null
SELECT qzpay.end_tax_rate('fr_tva', '2026-04-01') \g /dev/null
SELECT is(qzpay.end_tax_rate('fr_tva', '2026-05-01'), false, 'a rate ends once');
SELECT qzpay.end_tax_rate('es_iva', '2026-03-20') \g /dev/null
SELECT pg_temp.subscriber('tax_time', '{"country": "FR"}') AS c \gset
SELECT pg_temp.next_month(:'c'), pg_temp.next_month(:'c') \g /dev/null
SELECT pg_temp.next_month(:'c') \g /dev/null
SELECT is(array_agg(pg_temp.taxes(:'c', n) ORDER BY n), '{"fr_tva 20 1980","fr_tva 20 1980, fr_tva 20 150","fr_tva 10 990, fr_tva 10 75",NULL}', 'each invoice has the rate of its day') FROM generate_series(1, 4) n;
SELECT throws_ok($$ UPDATE qzpay.tax_rates SET percentage = 1 $$, 'QZ202', NULL, 'a version never changes');
SELECT throws_ok($$ DELETE FROM qzpay.tax_rates $$, 'QZ203', NULL, 'nor goes away');
SELECT throws_ok($$ SELECT qzpay.set_tax_rate('x', 1001) $$, '22023', NULL, '1001 %');
SELECT throws_ok($$ SELECT qzpay.set_tax_rate('x', NULL) $$, '22004', NULL, 'no percentage');
SELECT throws_ok($$ SELECT qzpay.set_tax_rate('x', 1, region => 'NY') $$, '22023', NULL, 'a region of no country');
SELECT throws_ok($$ SELECT qzpay.set_tax_rate('x', 1, seller => 'nobody') $$, 'QZ404', NULL, 'an unknown seller');
SELECT throws_ok($$ SELECT qzpay.end_tax_rate('x') $$, 'QZ404', NULL, 'an unknown rate');
SELECT throws_ok($$ SELECT qzpay.end_tax_rate('fr_tva', '2026-02-01') $$, '22023', NULL, 'an end before its last version');

-- Exempt, and reverse charge
SELECT throws_ok($$ SELECT qzpay.set_billing_details((SELECT id FROM qzpay.customers WHERE external_id = 'tax_es'), billing_emails => '{nobody}') $$, '22023', NULL, 'no address');
SELECT throws_ok($$ SELECT qzpay.set_billing_details((SELECT id FROM qzpay.customers WHERE external_id = 'tax_es'), po_number => '4242 4242 4242 4242') $$, '22023', NULL, 'a card number');
SELECT pg_temp.subscriber('tax_reverse', '{"country": "US", "region": "TX"}') AS c \gset
SELECT qzpay.set_billing_details(:'c', tax_exempt => 'reverse', tax_ids => '[{"type": "eu_vat", "value": "ESB12345678"}]') \g /dev/null
SELECT qzpay.set_billing_details(:'c', billing_emails => '{ap@example.org,cfo@example.org}', po_number => 'PO-7') \g /dev/null
SELECT pg_temp.next_month(:'c') \g /dev/null
SELECT is(pg_temp.bill(:'c', 2), 'paid 10650 0 0 10650 | 9900 0 0, 750 0 0', 'reverse charge: no tax');
SELECT is((SELECT concat_ws('|', i.tax_exempt, i.tax_note, i.po_number, p.tax_ids #>> '{0,value}', p.billing_emails[2]) FROM qzpay.invoices i JOIN qzpay.invoice_parties p ON p.invoice_id = i.id WHERE i.customer_id = :'c' ORDER BY i.series_number DESC LIMIT 1),
          'reverse|Reverse charge: tax is to be accounted for by the recipient.|PO-7|ESB12345678|cfo@example.org', 'and the invoice says why, and to whom it goes');

-- A provider
SELECT throws_ok($$ SELECT qzpay.set_setting('tax_provider', '"sandbox"') $$, '22023', NULL, 'a provider of payments is none of tax');
SELECT qzpay.set_setting('tax_provider', '"sandbox_tax"') \g /dev/null
SELECT pg_temp.subscriber('tax_provided', '{"country": "US", "region": "NY"}') AS c \gset
SELECT is(pg_temp.taxes(:'c'), 'us_ny 4.0 396+us_nyc 4.5 446', 'the provider says the tax');
SELECT is(pg_temp.bill(:'c'), 'paid 9900 842 0 10742 | 9900 842 0', 'which is added');
SELECT is((SELECT a.answer #>> '{lines,0,taxes,1,amount}' FROM qzpay.tax_answers a JOIN qzpay.invoices i ON i.id = a.invoice_id WHERE i.customer_id = :'c'), '446', 'its answer is kept with the invoice');
SELECT pg_temp.subscriber('tax_nowhere', '{}') AS c \gset
SELECT is(pg_temp.bill(:'c'), 'paid 9900 0 0 9900 | 9900 0 0', 'no tax is an answer too');
CREATE FUNCTION qzpay.tap_tax(text, jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT current_setting('tap.tax')::jsonb $$;
ALTER FUNCTION qzpay.tap_tax(text, jsonb, jsonb) OWNER TO qzpay_owner;
UPDATE qzpay.providers SET request_function = 'qzpay.tap_tax' WHERE code = 'sandbox_tax';
CREATE FUNCTION pg_temp.answer(answer text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('tap.tax', answer, true);
    PERFORM pg_temp.subscriber('tax_' || md5(answer), '{"country": "US"}');
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.answer('{"lines": [{"line": 1, "taxes": [{"code": "t", "rate": 1, "inclusive": true, "amount": 98}]}]}'), 'taken', 'a whole answer');
SELECT is(pg_temp.answer(a), 'QZ102', a) FROM unnest(ARRAY['{}', 'null', '{"lines": []}', '{"lines": [{"line": 2, "taxes": []}]}', '{"lines": [{"line": 1}]}', '{"lines": [{"line": 1, "taxes": []}, {"line": 1, "taxes": []}]}',
    '{"lines": [{"line": 1, "taxes": [{"code": "t", "rate": 1, "inclusive": false, "amount": 1.5}]}]}', '{"lines": [{"line": 1, "taxes": [{"code": "t", "rate": 1, "inclusive": false, "amount": -1}]}]}',
    '{"lines": [{"line": 1, "taxes": [{"code": "", "rate": 1, "inclusive": false, "amount": 1}]}]}', '{"lines": [{"line": 1, "taxes": [{"code": "t", "rate": 1, "inclusive": true, "amount": 9901}]}]}']) a;
SELECT qzpay.set_setting('tax_provider', 'null') \g /dev/null
UPDATE qzpay.providers SET request_function = 'qzpay.sandbox_tax' WHERE code = 'sandbox_tax';
DROP FUNCTION qzpay.tap_tax(text, jsonb, jsonb);

-- Credits take the tax of their debit along, to the cent.
CREATE TEMP TABLE debit AS SELECT l.* FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.id = l.invoice_id JOIN qzpay.customers c ON c.id = i.customer_id
WHERE c.external_id IN ('tax_ny', 'tax_caba') AND l.kind = 'plan';
SELECT is(string_agg(concat_ws(' ', x.amount, x.tax_amount, qzpay._tax_included(x.taxes)), ', ' ORDER BY x.n), expected, name)
FROM (VALUES ('NY', 842, '-1 0 0, -3333 -284 0, -6566 -558 0', 'three credits in one invoice give back all of the tax'), ('CABA', 245, '-1 0 0, -3333 -83 -579, -6566 -162 -1139', 'and of what the price contains')) AS v (place, tax, expected, name)
JOIN debit d ON d.tax_amount = v.tax
CROSS JOIN LATERAL unnest(qzpay._tax_lines('{}', (SELECT array_agg(ROW(d.tenant_id, d.invoice_id, 'plan', d.product_id, NULL, NULL, d.subscription_item_id, NULL, 'credit', NULL, NULL, 1, NULL, -a, -a, true, d.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._line ORDER BY n)
                                                  FROM unnest('{1,3333,6566}'::bigint[]) WITH ORDINALITY AS a (a, n)), now()))
    WITH ORDINALITY AS x (tenant_id, invoice_id, kind, product_id, price_id, charge_id, subscription_item_id, meter_id, description, period_start, period_end, quantity, unit_amount, exact_amount, amount, proration,
                          source_line_id, discount_amount, tax_amount, discounts, taxes, metadata, id, n)
GROUP BY v.place, v.expected, v.name;
SELECT throws_ok(format($$ SELECT qzpay._tax_lines('{}', ARRAY[ROW(%L, %L, 'plan', NULL, NULL, NULL, %L, NULL, 'credit', NULL, NULL, 1, NULL, -9901, -9901, true, %L, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._line], now()) $$,
                        d.tenant_id, d.invoice_id, d.subscription_item_id, d.id), '22023', NULL, 'no credit beyond its debit') FROM debit d LIMIT 1;

SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
