-- Documents: what is printed, in which words and numbers, and what text from outside can do to a page.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'Asia/Tokyo';

\set nbsp `printf '\302\240'`
CREATE TEMP TABLE made (name text PRIMARY KEY, customer uuid, invoice uuid);
GRANT SELECT ON made TO PUBLIC;
UPDATE qzpay.sellers SET name = 'Seller & Sons', tax_id = '30-7', address = '{"line1": "Av. 1", "city": "Rosario", "country": "AR"}', timezone = 'America/Argentina/Buenos_Aires';
SELECT id AS seller FROM qzpay.sellers \gset
DELETE FROM qzpay.seller_versions;

-- An invoice of these lines: {description, quantity, unit_amount, amount, discounts, taxes, from, until, kind, proration}.
CREATE FUNCTION pg_temp.make(invoice_name text, lines jsonb, status text DEFAULT 'open', currency text DEFAULT 'USD', locale text DEFAULT 'en', buyer jsonb DEFAULT '{}',
                             issued timestamptz DEFAULT '2026-01-19 09:00+00', metadata jsonb DEFAULT '{}', balance bigint DEFAULT 0, live boolean DEFAULT true,
                             zone text DEFAULT 'UTC') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    c qzpay.customers;
    m made;
    lines_of qzpay.invoice_lines[];
    t record;
BEGIN
    m.name := invoice_name;
    m.customer := (qzpay.sync_customer(invoice_name, coalesce(buyer ->> 'email', 'a@b.example'), buyer ->> 'name', locale => make.locale, timezone => zone,
                                       address => buyer -> 'address', livemode => live)).id;
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = m.customer;
    m.invoice := gen_random_uuid();
    SELECT array_agg(ROW(c.tenant_id, gen_random_uuid(), m.invoice, l.ordinality, coalesce(l.value ->> 'kind', 'plan'), NULL, NULL, NULL, NULL, NULL, l.value ->> 'description',
                         (l.value ->> 'from')::timestamptz, (l.value ->> 'until')::timestamptz, coalesce((l.value ->> 'quantity')::numeric, 1), (l.value ->> 'unit_amount')::numeric,
                         (l.value ->> 'amount')::numeric, (l.value ->> 'amount')::bigint,
                         coalesce((SELECT sum((d ->> 'amount')::bigint) FROM jsonb_array_elements(nullif(l.value -> 'discounts', 'null')) d), 0),
                         coalesce((SELECT sum((d ->> 'amount')::bigint) FROM jsonb_array_elements(nullif(l.value -> 'taxes', 'null')) d WHERE NOT (d ->> 'inclusive')::boolean), 0), 0,
                         coalesce((l.value ->> 'proration')::boolean, false), NULL, l.value -> 'discounts', l.value -> 'taxes', '{}', NULL)::qzpay.invoice_lines)
      INTO lines_of FROM jsonb_array_elements(lines) WITH ORDINALITY l;
    SELECT sum(l.amount) AS amount, sum(l.discount_amount) AS discount, sum(l.tax_amount) AS tax, sum(l.amount - l.discount_amount + l.tax_amount) AS total INTO t FROM unnest(lines_of) l;
    INSERT INTO qzpay.invoices (tenant_id, id, customer_id, seller_id, livemode, kind, status, number, series_year, series_number, currency, line_count, subtotal, discount_total, tax_total, po_number,
                                total, balance_applied, amount_due, amount_paid, amount_written_off, issued_at, due_at, paid_at, metadata, created_at)
    SELECT c.tenant_id, m.invoice, c.id, c.seller_id, live, 'manual', make.status::qzpay.invoice_status, 'N-' || n, CASE WHEN n IS NOT NULL THEN extract(year FROM issued) END, n, make.currency, cardinality(lines_of),
           t.amount, t.discount, t.tax, make.metadata ->> 'po_number', t.total, balance, t.total - balance, CASE WHEN make.status = 'paid' THEN t.total - balance ELSE 0 END, 0,
           CASE WHEN n IS NOT NULL THEN issued END, issued + interval '240 hours', CASE WHEN make.status = 'paid' THEN issued END, make.metadata, issued
    FROM (SELECT CASE WHEN make.status <> 'draft' THEN 1000 + count(*) END FROM made) AS x (n);
    INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id, name, email, address, tax_ids) SELECT c.tenant_id, m.invoice, c.name, c.email, c.address, coalesce(buyer -> 'tax_ids', '[]') WHERE make.status <> 'draft';
    INSERT INTO qzpay.invoice_lines SELECT l.* FROM unnest(lines_of) l;
    INSERT INTO made VALUES (m.*);
    RETURN m.invoice;
END $$;
CREATE FUNCTION pg_temp.doc(invoice_name text, locale text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
    SELECT qzpay.invoice_document(m.invoice, doc.locale) FROM made m WHERE m.name = invoice_name
$$;
-- Texts of a part of the document as one line.
CREATE FUNCTION pg_temp.told(document jsonb, path text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(replace(x #>> '{}', chr(160), ' '), '; ') FROM jsonb_path_query(document, path::jsonpath) x
$$;
CREATE FUNCTION pg_temp.rows_of(parts jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg((r.value ->> 'label') || ' ' || replace(r.value ->> 'text', chr(160), ' '), ', ' ORDER BY r.ordinality) FROM jsonb_array_elements(parts) WITH ORDINALITY r
$$;
-- The page as XML: its tags are balanced and its attributes quoted, or this fails.
CREATE FUNCTION pg_temp.page(invoice_name text, locale text DEFAULT NULL) RETURNS xml LANGUAGE sql AS $$
    SELECT xmlparse(DOCUMENT regexp_replace(replace(qzpay.invoice_html(m.invoice, page.locale), '<!DOCTYPE html>', ''), '<(meta|img)([^>]*)>', '<\1\2/>', 'g')) FROM made m WHERE m.name = invoice_name
$$;

-- 1. Numbers and dates of a language, exponents of a currency.
SELECT pg_temp.make('numbers', '[{"description": "Pro", "unit_amount": 9900, "amount": 9900, "from": "2026-01-19 09:00+00", "until": "2026-02-19 09:00+00"},
    {"description": "Messages", "kind": "usage", "quantity": 10500, "unit_amount": 1.5, "amount": 15750, "from": "2025-12-01 00:00+00", "until": "2026-01-01 00:00+00"},
    {"description": "Hours", "kind": "service", "quantity": 1.5, "unit_amount": 1000000, "amount": 1500000}]') \g /dev/null
SELECT is(pg_temp.told(pg_temp.doc('numbers'), '$.lines[*].amount.text'), 'US$99.00; US$157.50; US$15,000.00', 'en: amounts');
SELECT is(pg_temp.told(pg_temp.doc('numbers'), '$.lines[*].unit_amount.text'), 'US$99.00; US$0.015; US$10,000.00', 'a unit price keeps its fractions of a minor unit');
SELECT is(pg_temp.told(pg_temp.doc('numbers'), '$.lines[*].quantity.text'), '1; 10,500; 1.5', 'en: quantities');
SELECT is(pg_temp.told(pg_temp.doc('numbers', 'es'), '$.lines[*].amount.text'), '99,00 US$; 157,50 US$; 15.000,00 US$', 'es: amounts');
SELECT is(pg_temp.told(pg_temp.doc('numbers', 'es_MX'), '$.lines[*].amount.text'), 'US$99.00; US$157.50; US$15,000.00', 'es-MX: amounts as in Mexico');
SELECT is(pg_temp.told(pg_temp.doc('numbers', 'es-AR'), '$.lines[*].amount.text'), 'US$ 99,00; US$ 157,50; US$ 15.000,00', 'es-AR: amounts as in Argentina');
SELECT is(pg_temp.doc('numbers', 'es-AR') #>> '{lines,0,amount,text}', 'US$' || :'nbsp' || '99,00', 'an amount does not break between lines');
SELECT is(pg_temp.told(pg_temp.doc('numbers'), '$.lines[*].details[*]'), 'Jan 19, 2026 – Feb 19, 2026; Dec 1, 2025 – Dec 31, 2025', 'en: the last day of a period is that of its last instant');
SELECT is(pg_temp.told(pg_temp.doc('numbers', 'es'), '$.lines[*].details[*]'), '19 ene 2026 – 19 feb 2026; 1 dic 2025 – 31 dic 2025', 'es: periods');
SELECT is(pg_temp.told(pg_temp.doc('numbers'), '$.lines[*].amount.value'), '9900; 15750; 1500000', 'values are minor units');
SELECT is(pg_temp.rows_of(pg_temp.doc('numbers') -> 'facts'), 'Number N-1000, Date of issue January 19, 2026, Due date January 29, 2026, Status Open', 'en: facts');
SELECT is(pg_temp.rows_of(pg_temp.doc('numbers', 'es') -> 'facts'), 'Número N-1000, Fecha de emisión 19 de enero de 2026, Fecha de vencimiento 29 de enero de 2026, Estado Pendiente', 'es: facts');
SELECT is(pg_temp.doc('numbers') ->> 'issued_at', '2026-01-19T09:00:00Z', 'what the session''s zone is changes nothing');

SELECT pg_temp.make('yen', '[{"description": "Pro", "unit_amount": 0.5, "amount": 1234567}]', currency => 'JPY') \g /dev/null
SELECT is(pg_temp.told(pg_temp.doc('yen'), '$.lines[*].*.text'), '; JPY 1,234,567; 1; JPY 0.5', 'no decimals');
SELECT pg_temp.make('dinar', '[{"description": "Pro", "amount": 1234567}]', currency => 'KWD') \g /dev/null
SELECT is(pg_temp.told(pg_temp.doc('dinar', 'es'), '$.totals[*].text'), '1234,567 KWD; 1234,567 KWD', 'three decimals; a fourth digit alone is no group in Spain');

-- 2. Zones: a period is the customer's, a date of issue the seller's, as the number's year is.
SELECT pg_temp.make('eve', '[{"description": "Pro", "amount": 100, "from": "2026-12-31 23:30+00", "until": "2027-01-31 23:00+00"}]', issued => '2027-01-01 01:30+00', zone => 'Europe/Madrid') \g /dev/null
SELECT is(pg_temp.told(pg_temp.doc('eve'), '$.facts[*] ? (@.name == "issued").value'), '2026-12-31', 'New Year''s Eve in Buenos Aires');
SELECT is(pg_temp.told(pg_temp.doc('eve'), '$.lines[*].details[*]'), 'Jan 1, 2027 – Jan 31, 2027', 'a period in Madrid');

-- 3. Discounts, taxes, balance, payment.
SELECT pg_temp.make('full', '[{"description": "Pro", "unit_amount": 9900, "amount": 9900, "discounts": [{"code": "WELCOME30", "amount": 2970}, {"code": "multi-bot-10", "amount": 990}],
        "taxes": [{"code": "iva21", "name": "IVA", "rate": 21, "inclusive": false, "amount": 1247}]},
    {"description": "Starter", "amount": -1590, "proration": true, "discounts": [{"code": "WELCOME30", "amount": 0}], "taxes": [{"code": "iva21", "name": "IVA", "rate": 21.00, "inclusive": false, "amount": -334}]},
    {"description": "Book", "kind": "service", "amount": 1000, "taxes": [{"code": "iva105", "name": "IVA 10,5%", "rate": 10.5, "inclusive": false, "amount": 105}]}]',
    status => 'paid', balance => 500, metadata => '{"po_number": "PO-7", "notes": "Thanks."}',
    buyer => '{"name": "Ana", "email": "ana@x.example", "address": {"line1": "C. 1", "zip": "28001", "city": "Madrid", "region": "M", "country": "ES", "piso": "3 B"},
               "tax_ids": [{"type": "eu_vat", "value": "ESB1"}, "77"]}') \g /dev/null
SELECT is(pg_temp.rows_of(pg_temp.doc('full') -> 'totals'),
    'Subtotal US$93.10, Discount WELCOME30 −US$29.70, Discount multi-bot-10 −US$9.90, Tax US$10.18, Total US$63.68, Paid from your balance −US$5.00, Paid −US$58.68, Amount due US$0.00', 'totals');
SELECT is((SELECT string_agg(concat_ws(' ', r ->> 'label', r #>> '{base,value}', r #>> '{amount,value}'), ', ') FROM jsonb_array_elements(pg_temp.doc('full') #> '{taxes,rows}') r),
    'IVA 10,5% 1000 105, IVA 21% 4350 913', 'the tax summary: net amounts and tax per rate, 21 and 21.00 being one');
SELECT is(pg_temp.told(pg_temp.doc('full'), '$.columns[*].name'), 'description; quantity; unit_amount; tax; amount', 'columns');
SELECT is(pg_temp.told(pg_temp.doc('yen'), '$.columns[*].name'), 'description; quantity; unit_amount; amount', 'no tax, no column for it');
SELECT is(pg_temp.doc('yen') -> 'taxes', 'null', 'no tax, no summary');
SELECT is(pg_temp.told(pg_temp.doc('full'), '$.lines[*].details[*]'), 'Discount WELCOME30: −US$29.70; Discount multi-bot-10: −US$9.90; Discount WELCOME30: US$0.00', 'details of lines');
SELECT is(pg_temp.told(pg_temp.doc('full'), '$.parties[0].lines[*]'), 'Seller & Sons; Av. 1; Rosario; AR; Tax ID: 30-7', 'the seller');
SELECT is(pg_temp.told(pg_temp.doc('full'), '$.parties[1].lines[*]'), 'Ana; C. 1; 28001 Madrid; M; 3 B; ES; ana@x.example; EU VAT: ESB1; Tax ID: 77', 'the buyer, nothing of the address lost');
SELECT is(pg_temp.rows_of(pg_temp.doc('full') -> 'facts'), 'Number N-1004, Date of issue January 19, 2026, Due date January 29, 2026, Purchase order PO-7, Status Paid on January 19, 2026', 'purchase order and payment');
SELECT is(pg_temp.doc('full') -> 'notes', '["Thanks."]', 'notes');

SELECT pg_temp.make('inclusive', '[{"description": "Pro", "amount": 12100, "tax_included": 2100, "taxes": [{"code": "iva", "name": "IVA", "rate": 21, "inclusive": true, "amount": 2100}]},
    {"description": "Box", "amount": 1000, "taxes": [{"code": "eco", "name": "Eco", "rate": 1, "inclusive": false, "amount": 10}]}]') \g /dev/null
SELECT is(pg_temp.rows_of(pg_temp.doc('inclusive') -> 'totals'), 'Subtotal US$131.00, Tax US$0.10, Total US$131.10, Amount due US$131.10', 'what prices contain is not added');
SELECT is((SELECT string_agg(translate(concat_ws(' ', r ->> 'label', r #>> '{base,value}', r #>> '{amount,value}'), chr(160), ' '), '; ') FROM jsonb_array_elements(pg_temp.doc('inclusive', 'es') #> '{taxes,rows}') r),
    'Eco 1 % 1000 10; IVA 21 %, incluido 10000 2100', 'but told, with the price without it');

-- 4. Drafts, tests, what is void; nothing but a number is owed on them.
SELECT pg_temp.make('draft', '[{"description": "Pro", "amount": 100}]', status => 'draft', live => false) \g /dev/null
SELECT is(pg_temp.told(pg_temp.doc('draft'), '$.notices[*]'), 'Draft: not an invoice yet.; Test document: not a valid invoice, nothing is owed.', 'a draft of a test customer says both');
SELECT is(pg_temp.doc('draft', 'es') ->> 'heading', 'Borrador', 'a draft has no number');
SELECT pg_temp.make('void', '[{"description": "Pro", "amount": 100}]', status => 'void') \g /dev/null
SELECT is(pg_temp.rows_of(pg_temp.doc('void') -> 'totals'), 'Total US$1.00', 'nothing is due on what is void');
SELECT is(pg_temp.told(pg_temp.doc('void', 'es'), '$.notices[*]'), 'Anulada: este documento ha quedado sin efecto.', 'and it says so');
SELECT pg_temp.make('empty', '[{"description": "Pro", "amount": 0, "taxes": null, "discounts": null}]') \g /dev/null
UPDATE qzpay.invoice_parties SET name = NULL, email = NULL WHERE invoice_id = (SELECT invoice FROM made WHERE name = 'empty');
SELECT is(pg_temp.told(pg_temp.doc('empty'), '$.parties[1].lines[*]'), NULL, 'an erased buyer');
SELECT ok(pg_temp.page('empty') IS NOT NULL, 'is a page all the same');

-- 5. Languages are rows.
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM qzpay.document_texts WHERE locale = 'en' AND seller_id IS NULL AND name NOT IN (SELECT name FROM qzpay.document_texts WHERE locale = 'es')), NULL, 'es says all that en says');
SELECT throws_ok(format('SELECT qzpay.invoice_document(%L, %L)', invoice, 'fr-CA'), '22023', 'there are no texts for locale "fr-CA"', 'a language nobody wrote') FROM made WHERE name = 'full';
SELECT throws_ok(format('SELECT qzpay.invoice_html(%L, repeat(%L, 5000))', invoice, 'es-'), '22023', NULL, 'a locale that is none') FROM made WHERE name = 'full';
SELECT is(pg_temp.doc('numbers', 'es-ZZ-1996') ->> 'lang', 'es', 'an unknown country speaks its language');
INSERT INTO qzpay.document_texts (locale, name, value) VALUES ('fr', 'title.invoice', 'Facture'), ('fr', 'money', '{amount} {currency}'), ('fr', 'number.separator', ' '), ('fr', 'number.point', ',');
SELECT is(concat_ws(' ', d ->> 'lang', d ->> 'heading', d #>> '{lines,2,amount,text}'), 'fr Facture N-1000 15 000,00' || :'nbsp' || 'US$', 'French, as far as it goes') FROM pg_temp.doc('numbers', 'fr-CA') d;
SELECT is(pg_temp.doc('numbers', 'fr') #>> '{columns,0,label}', 'Description', 'what is not there yet is English');
SELECT pg_temp.make('klingon', '[{"description": "Pro", "amount": 100}]', locale => 'tlh"><script>') \g /dev/null
SELECT is(pg_temp.doc('klingon') ->> 'lang', 'en', 'a customer of another language gets English');
INSERT INTO qzpay.document_texts (seller_id, locale, name, value) VALUES (:'seller', 'es', 'title.invoice', 'Factura B'), (:'seller', 'es', 'footer', 'Pie <legal>'), (:'seller', '', 'notes', 'To all');
SELECT is(pg_temp.doc('full', 'es-AR') ->> 'heading', 'Factura B N-1004', 'a seller''s own words');
SELECT is(pg_temp.doc('full', 'en') ->> 'heading', 'Invoice N-1004', 'in one language');
SELECT is(pg_temp.doc('full', 'es-AR') -> 'notes', '["Thanks.", "To all"]', 'the invoice''s notes and the seller''s');

-- 6. What comes from outside is text.
CREATE FUNCTION pg_temp.evil(what text) RETURNS text LANGUAGE sql AS $$
    SELECT '"><script>alert(''' || what || ''')</script></style></title>{{x}} & &amp; <img src=x onerror=y> ' || U&'\202E txt.exe \2066 \200F'
$$;
SELECT pg_temp.make('evil', jsonb_build_array(
        jsonb_build_object('description', pg_temp.evil('line'), 'amount', 100, 'discounts', jsonb_build_array(jsonb_build_object('code', pg_temp.evil('code'), 'amount', 10)),
                           'taxes', jsonb_build_array(jsonb_build_object('code', 'x', 'name', pg_temp.evil('tax'), 'rate', 10, 'inclusive', false, 'amount', 9))),
        jsonb_build_object('description', repeat('W', 10240), 'amount', 1)),
    buyer => jsonb_build_object('name', pg_temp.evil('name') || U&'\0001\001B\FFFE', 'address', jsonb_build_object('line1', pg_temp.evil('street'), 'city', repeat('ñ', 3000)),
                                'tax_ids', jsonb_build_array(jsonb_build_object('type', pg_temp.evil('type'), 'value', pg_temp.evil('value')))),
    metadata => jsonb_build_object('po_number', pg_temp.evil('po'), 'notes', E'one\ntwo ' || pg_temp.evil('notes'))) \g /dev/null
UPDATE qzpay.sellers SET name = pg_temp.evil('seller'), tax_id = pg_temp.evil('seller tax');
DELETE FROM qzpay.seller_versions;
INSERT INTO qzpay.document_texts (seller_id, locale, name, value) VALUES
    (:'seller', 'en', 'footer', pg_temp.evil('footer')), (:'seller', 'en', 'column.amount', pg_temp.evil('label')), (:'seller', '', 'logo', 'https://x.example/a.png?b=''c''&d=1#e');
SELECT is((xpath('count(//script)', pg_temp.page('evil')))[1]::text, '0', 'no script');
SELECT is((SELECT string_agg(DISTINCT a.name, ' ' ORDER BY a.name) FROM XMLTABLE('//@*' PASSING pg_temp.page('evil') COLUMNS name text PATH 'name()') a),
    'alt charset class content dir http-equiv lang name scope src', 'no attribute but the page''s own');
SELECT is((SELECT string_agg(DISTINCT a.name, ' ' ORDER BY a.name) FROM XMLTABLE('//*' PASSING pg_temp.page('evil') COLUMNS name text PATH 'name()') a),
    'bdi body caption dd div dl dt footer h1 h2 head header html img main meta p section span style table tbody td th thead title tr', 'no element but the page''s own');
SELECT is((SELECT a.name FROM XMLTABLE('//section[2]/p[1]/bdi' PASSING pg_temp.page('evil') COLUMNS name text PATH '.') a), pg_temp.evil('name') || '??' || U&'\FFFD', 'a name is read as it was written, in its own direction');
SELECT is((SELECT a.name FROM XMLTABLE('//footer' PASSING pg_temp.page('evil') COLUMNS name text PATH '.') a), pg_temp.evil('footer'), 'so is a footer');
SELECT is((SELECT a.name FROM XMLTABLE('//img' PASSING pg_temp.page('evil') COLUMNS name text PATH '@src') a), 'https://x.example/a.png?b=''c''&d=1#e', 'and the address of a logo');
SELECT is((SELECT count(*) FROM XMLTABLE('//main//*[not(*)][not(self::bdi or ancestor::bdi or self::h2 or self::dt or self::caption or self::footer or self::img)]' PASSING pg_temp.page('evil')
                                         COLUMNS said text PATH '.') a WHERE said LIKE '%<script%' AND said NOT LIKE '%''label''%' AND said NOT LIKE '%''notes''%'), 0::bigint, 'text of others stands alone between bdi');

-- 7. As billing makes them: words of its own in a line, notes on tax, corrections.
UPDATE qzpay.sellers SET name = 'Seller & Sons', tax_id = '30-7';
DELETE FROM qzpay.document_texts WHERE seller_id IS NOT NULL;
SELECT qzpay.set_tax_rate('iva', 21, 'IVA', country => 'ES') \g /dev/null
SELECT id AS real FROM qzpay.sync_customer('real', 'real@x.example', 'Ana', 'EUR', locale => 'es', timezone => 'Europe/Madrid', address => '{"country": "ES"}', livemode => false) \gset
SELECT qzpay.set_billing_details(:'real', po_number => 'PO-9') \g /dev/null
SELECT qzpay.attach_payment_method(:'real'::uuid, 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.create_invoice(:'real') AS paid \gset
SELECT qzpay.add_invoice_line(:'paid', description => 'Hours', unit_amount => 10000, quantity => 1.5) \g /dev/null
SELECT is(pg_temp.rows_of(qzpay.invoice_document(:'paid') -> 'facts'), 'Orden de compra PO-9, Estado Borrador', 'a draft, with the customer''s purchase order');
SELECT qzpay.finalize_invoice(:'paid') \g /dev/null
SELECT is(pg_temp.rows_of(qzpay.invoice_document(:'paid') -> 'totals'), 'Subtotal 150,00 €, Impuestos 31,50 €, Total 181,50 €, Pagado −181,50 €, Importe por pagar 0,00 €', 'an invoice with tax, charged');
SELECT id AS note FROM qzpay.credit_invoice(:'paid', amount => 6050, reason => 'Media <hora>') \gset
SELECT number AS corrected FROM qzpay.invoices WHERE id = :'paid' \gset
SELECT number AS note_number FROM qzpay.credit_notes WHERE id = :'note' \gset
SELECT is(d ->> 'kind' || ' ' || (d ->> 'heading'), 'credit_note Nota de crédito ' || :'note_number', 'a credit note') FROM qzpay.credit_note_document(:'note') d;
SELECT is(pg_temp.rows_of(jsonb_path_query_array(qzpay.credit_note_document(:'note', 'en'), '$.facts[*] ? (@.name != "issued")')),
    'Number ' || :'note_number' || ', Purchase order PO-9, Corrects invoice ' || :'corrected' || ', Reason Media <hora>', 'says what it corrects and why');
SELECT is(pg_temp.rows_of(qzpay.credit_note_document(:'note', 'en') -> 'totals'), 'Subtotal €50.00, Tax €10.50, Total €60.50, Credited to your balance €60.50', 'and what becomes of it');
SELECT is(pg_temp.told(qzpay.credit_note_document(:'note'), '$.columns[*].name'), 'description; tax; amount', 'it counts nothing');
SELECT ok(qzpay.credit_note_html(:'note') LIKE '%<dd><bdi>Media &lt;hora&gt;</bdi></dd>%', 'as a page');
SELECT is(pg_temp.told(qzpay.credit_note_document(:'note'), '$.parties[1].lines[*]'), 'Ana; ES; real@x.example', 'to the buyer of the invoice');
SELECT qzpay.set_billing_details(:'real', tax_exempt => 'reverse', collection => 'send_invoice', net_days => 10) \g /dev/null
SELECT qzpay.create_invoice(:'real') AS reverse \gset
SELECT qzpay.add_invoice_line(:'reverse', description => 'Hours', unit_amount => 10000) \g /dev/null
SELECT qzpay.finalize_invoice(:'reverse') \g /dev/null
SELECT is(qzpay.invoice_document(:'reverse') -> 'notes', '["Inversión del sujeto pasivo: el destinatario debe declarar el impuesto."]', 'why there is no tax, in the words shipped, is said in the document''s language');
SELECT is(qzpay.invoice_document(:'reverse', 'en') -> 'notes', '["Reverse charge: tax is to be accounted for by the recipient."]', 'whichever that is');
SELECT is(pg_temp.rows_of(qzpay.invoice_document(:'reverse', 'en') -> 'totals'), 'Total €100.00, Paid from your balance −€60.50, Amount due €39.50', 'what the note gave pays');
SELECT qzpay.set_setting('tax_reverse_note', '"Art. 84 LIVA"') \g /dev/null
SELECT qzpay.create_invoice(:'real') AS own \gset
SELECT qzpay.add_invoice_line(:'own', description => 'Hours', unit_amount => 10000) \g /dev/null
SELECT qzpay.finalize_invoice(:'own') \g /dev/null
SELECT is(qzpay.invoice_document(:'own', 'en') -> 'notes', '["Art. 84 LIVA"]', 'a note of the seller''s own is said as it is');
SELECT number AS old_number FROM qzpay.invoices WHERE id = :'own' \gset
SELECT qzpay.reissue_invoice(:'own', 'wrong address') AS anew \gset
SELECT is(pg_temp.told(qzpay.invoice_document(:'anew', 'es'), '$.facts[*] ? (@.name == "replaces").text'), :'old_number', 'an invoice issued anew says in whose place');
SELECT pg_temp.make('words', '[{"description": "Unused time on Pro", "amount": -100, "proration": true}, {"description": "Remaining time on Pro", "amount": 300, "proration": true},
    {"description": "Remaining time on earth", "amount": 1, "kind": "service"}, {"description": "Pro: minimum commitment", "amount": 5, "kind": "commitment"}, {"description": "Credited to the balance", "amount": 7, "kind": "balance"}]') \g /dev/null
SELECT pg_temp.make('before', '[{"description": "Pro", "amount": 100}]', issued => qzpay.now() - interval '1 hour', zone => 'UTC') \g /dev/null
DELETE FROM qzpay.seller_versions;
UPDATE qzpay.sellers SET name = 'Renamed Ltd', tax_id = '40-1', timezone = 'UTC';
UPDATE qzpay.sellers SET name = 'Renamed twice Ltd';
UPDATE qzpay.sellers SET prefix = 'X-';
SELECT is((SELECT count(*) FROM qzpay.seller_versions), 1::bigint, 'what was never printed is not kept');
SELECT is(pg_temp.told(pg_temp.doc('before'), '$.parties[0].lines[*]'), 'Seller & Sons; Av. 1; Rosario; AR; Tax ID: 30-7', 'a document issued before its seller changed says what it said');
UPDATE qzpay.seller_versions SET valid_until = qzpay.now() - interval '2 hours';
SELECT is(pg_temp.told(pg_temp.doc('before'), '$.parties[0].lines[*]'), 'Renamed twice Ltd; Av. 1; Rosario; AR; Tax ID: 40-1', 'one issued since what is now');
UPDATE qzpay.sellers SET tax_id = NULL;
SELECT is(pg_temp.told(pg_temp.doc('before'), '$.parties[0].lines[*]'), 'Renamed twice Ltd; Av. 1; Rosario; AR; Tax ID: 40-1', 'a tax id that is gone is still on it');
SELECT is(pg_temp.told(qzpay.invoice_document(:'paid', 'en'), '$.parties[0].lines[*]'), 'Renamed twice Ltd; Av. 1; Rosario; AR', 'a test document shows the seller as it is');
SELECT is(pg_temp.told(pg_temp.doc('words', 'es'), '$.lines[*].description'), 'Tiempo no utilizado de Pro; Tiempo restante de Pro; Remaining time on earth; Pro: consumo mínimo; Abonado a su saldo', 'words of billing''s own are said in the document''s language');

-- 8. A logo is an image from an https URL, or itself.
CREATE FUNCTION pg_temp.logo(source text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO qzpay.document_texts (locale, name, value) VALUES ('xx', 'logo', source);
    RAISE EXCEPTION USING ERRCODE = 'QZ999';
EXCEPTION WHEN SQLSTATE 'QZ999' THEN RETURN 'taken';
    WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.logo(s), '23514', 'refused: ' || translate(left(s, 40), E'\n\t', '  ')) FROM unnest(ARRAY['javascript:alert(1)', 'JavaScript:alert(1)', ' https://x.example/', 'http://x.example/a.png', '//x.example/a.png', 'file:///etc/passwd',
    'data:text/html;base64,AAAA', 'data:image/png,x', 'data:image/svg+xml;utf8,<svg onload=x>', 'data:image/png;base64,AA" onerror="x', E'https://x.example/\nb', 'https://x.example/"onerror=', 'https:// x',
    'https://', 'vbscript:x', E'java\tscript:x', E'https://x.example/a.png\njavascript:x', '']) s;
SELECT is(pg_temp.logo(s), 'taken', 'taken: ' || translate(left(s, 40), E'\n\t', '  ')) FROM unnest(ARRAY['https://x.example/a.png?x=1', 'data:image/png;base64,iVBORw0KGgo=', 'data:image/svg+xml;base64,AAAA', 'data:image/png;base64,' || repeat('A', 300000)]) s;
SELECT throws_ok($$INSERT INTO qzpay.document_texts (locale, name, value) VALUES ('', 'accent', 'red;}*{x:url(//e)')$$, '23514', NULL, 'a colour is a colour');
SELECT throws_ok($$INSERT INTO qzpay.document_texts (locale, name, value) VALUES ('e"n', 'accent', '#000000')$$, '23514', NULL, 'a locale is a locale');
SELECT throws_ok($$INSERT INTO qzpay.document_texts (locale, name, value) VALUES ('en', 'title.invoice', 'Again')$$, '23505', NULL, 'a text is said once');
SELECT throws_ok('SELECT qzpay._escape_html(''[1]'')', '22023', NULL, 'a document is an object');
SELECT is(qzpay._escape_html('{"<a>": ["<b>", 1, null, true, {"c": "\""}]}'), '{"<a>": ["&lt;b&gt;", 1, null, true, {"c": "&quot;"}]}', 'strings are escaped, wherever they are');

-- 9. Rights: a tenant renders its own.
DO $$ BEGIN
    CREATE ROLE render_app LOGIN;
    CREATE ROLE render_tenant LOGIN;
END $$;
SELECT qzpay.grant_access('render_app', 'app') \g /dev/null
SELECT qzpay.grant_access('render_tenant', 'tenant', (SELECT tenant_id FROM qzpay.customers WHERE external_id = 'full')) \g /dev/null
SET SESSION AUTHORIZATION render_tenant;
SELECT ok(qzpay.invoice_html(invoice, 'es') LIKE '%<h1><bdi>Factura N-1004</bdi></h1>%', 'a tenant renders its own') FROM made WHERE name = 'full';
SELECT throws_ok(format('SELECT qzpay.invoice_html(%L)', invoice), 'QZ404', NULL, 'and no other''s') FROM made WHERE name = 'yen';
SELECT throws_ok(format('SELECT qzpay.%I(%L)', f, :'note'), 'QZ404', NULL, f || ' of another tenant') FROM unnest('{credit_note_document,credit_note_html,credit_note_pdf}'::text[]) f;
SELECT throws_ok('SELECT * FROM qzpay.document_texts', '42501', NULL, 'the texts themselves are the staff''s');
SELECT throws_ok('SELECT qzpay._document_html(''{}'')', '42501', NULL, 'and so are the internals');
SET SESSION AUTHORIZATION render_app;
SELECT is(qzpay.invoice_document(invoice) ->> 'number', 'N-1001', 'an application renders any') FROM made WHERE name = 'yen';
SELECT throws_ok(format('SELECT qzpay.invoice_html(%L)', gen_random_uuid()), 'QZ404', NULL, 'what is not there');
SELECT throws_ok('SELECT qzpay.invoice_html(NULL)', '22004', NULL, 'nothing');
RESET SESSION AUTHORIZATION;
SELECT * FROM finish();
ROLLBACK;
