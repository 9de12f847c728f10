-- A document as data: everything that is printed, in the words and numbers of one language. HTML and PDF only lay it out.

CREATE OR REPLACE FUNCTION qzpay._print_number(value numeric, shift integer, decimals integer, point text, separator text, minimum integer) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_printed_number';
COMMENT ON FUNCTION qzpay._print_number(numeric, integer, integer, text, text, integer) IS
    'value × 10^-shift as printed: at least so many decimals after the point, digits in groups of three from "minimum" digits before the first separator on. Never rounded. '
    '22023 or 22003 for what is no way of writing numbers, or a number of more than 38 digits.';

CREATE OR REPLACE FUNCTION qzpay._escape_html(document jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_escaped_for_html';
COMMENT ON FUNCTION qzpay._escape_html(jsonb) IS
    'A document with every string in it escaped for HTML, for text and for quoted attributes alike: so nothing that is laid out from it can be forgotten. 22023 unless it is an object.';

CREATE OR REPLACE FUNCTION qzpay._is_image_source(p_source text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_source ~ '^https://[[:alnum:]][^[:space:][:cntrl:]"<>\\^`{|}]*$' OR p_source ~ '^data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/]+={0,2}$'
$$;
COMMENT ON FUNCTION qzpay._is_image_source(text) IS 'Whether a browser may be told to load an image from here: an https URL, or the image itself as a data URI in base64.';

CREATE OR REPLACE FUNCTION qzpay._document_texts(p_seller uuid, p_locale text, OUT lang text, OUT texts jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_parts text[] := CASE WHEN length(p_locale) <= 35 THEN string_to_array(lower(replace(p_locale, '_', '-')), '-') END;
    v_tags text[];
BEGIN
    SELECT array_agg(array_to_string(v_parts[1:n], '-') ORDER BY n DESC) INTO v_tags FROM generate_series(1, cardinality(v_parts)) n;
    SELECT t.locale INTO lang FROM qzpay.document_texts t
    WHERE lower(t.locale) = ANY (v_tags) AND t.locale <> '' AND (t.seller_id IS NULL OR t.seller_id = p_seller)
    ORDER BY length(t.locale) DESC LIMIT 1;
    SELECT jsonb_object_agg(x.name, x.value) INTO texts
    FROM (SELECT DISTINCT ON (t.name) t.name, t.value FROM qzpay.document_texts t
          WHERE (t.seller_id IS NULL OR t.seller_id = p_seller) AND (lower(t.locale) = ANY (v_tags) OR t.locale IN ('', 'en'))
          ORDER BY t.name, t.seller_id IS NULL, coalesce(array_position(v_tags, lower(t.locale)), CASE t.locale WHEN '' THEN 100 ELSE 101 END)) x;
END $$;
COMMENT ON FUNCTION qzpay._document_texts(uuid, text) IS
'The texts of a seller''s documents in a locale, name → value, each from the nearest rows that have it; lang is the nearest language of which there is any, NULL for none.';

CREATE OR REPLACE FUNCTION qzpay._print_amount(p_amount numeric, p_currency text, p_texts jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_exponent integer := qzpay.currency_exponent(p_currency);
    v_symbol text := coalesce(p_texts ->> ('currency.' || p_currency), p_currency);
    v_pattern text := p_texts ->> 'money';
BEGIN
    IF v_symbol ~ '[[:alpha:]]$' THEN
        v_pattern := replace(v_pattern, '{currency}{amount}', '{currency} {amount}');
    END IF;
    RETURN CASE WHEN p_amount < 0 THEN '−' ELSE '' END
        || replace(replace(replace(v_pattern, ' ', chr(160)), '{currency}', v_symbol), '{amount}',
                   qzpay._print_number(abs(p_amount), v_exponent, v_exponent, p_texts ->> 'number.point', p_texts ->> 'number.separator', (p_texts ->> 'number.least')::integer));
END $$;
COMMENT ON FUNCTION qzpay._print_amount(numeric, text, jsonb) IS
'An amount of minor units, which may have a fraction, as printed: decimals of the currency, more where the amount has more; texts as of _document_texts().';

CREATE OR REPLACE FUNCTION qzpay._print_percent(p_percent numeric, p_texts jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN replace(replace(p_texts ->> 'percent', ' ', chr(160)), '{number}',
                   qzpay._print_number(p_percent, 0, 0, p_texts ->> 'number.point', p_texts ->> 'number.separator', (p_texts ->> 'number.least')::integer));
END $$;
COMMENT ON FUNCTION qzpay._print_percent(numeric, jsonb) IS 'A percentage as printed; texts as of _document_texts().';

CREATE OR REPLACE FUNCTION qzpay._print_date(p_date date, p_pattern text, p_texts jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_day integer := extract(day FROM p_date);
    v_month integer := extract(month FROM p_date);
BEGIN
    RETURN replace(replace(replace(replace(replace(replace(p_pattern,
        '{day}', v_day::text), '{dd}', lpad(v_day::text, 2, '0')), '{mm}', lpad(v_month::text, 2, '0')), '{year}', extract(year FROM p_date)::text),
        '{month}', split_part(p_texts ->> 'months', '|', v_month)), '{month_short}', split_part(p_texts ->> 'months_short', '|', v_month));
END $$;
COMMENT ON FUNCTION qzpay._print_date(date, text, jsonb) IS 'A date in a pattern of {day}, {dd}, {month}, {month_short}, {mm}, {year}; texts as of _document_texts().';

CREATE OR REPLACE FUNCTION qzpay._print_period(p_from date, p_until date, p_texts jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN replace(replace(p_texts ->> 'period', '{from}', qzpay._print_date(p_from, p_texts ->> 'date_short', p_texts)),
                   '{until}', qzpay._print_date(p_until, p_texts ->> 'date_short', p_texts));
END $$;
COMMENT ON FUNCTION qzpay._print_period(date, date, jsonb) IS 'First and last day of a period as printed.';

CREATE OR REPLACE FUNCTION qzpay._address_lines(p_address jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_known text[] := string_to_array('line1,street,line2,postal_code,postalCode,zip,city,state,region,province,country', ',');
BEGIN
    RETURN coalesce((
        SELECT jsonb_agg(x.line ORDER BY x.place)
        FROM (VALUES
            (1, coalesce(p_address ->> 'line1', p_address ->> 'street')),
            (2, p_address ->> 'line2'),
            (3, concat_ws(' ', coalesce(p_address ->> 'postal_code', p_address ->> 'postalCode', p_address ->> 'zip'), p_address ->> 'city')),
            (4, coalesce(p_address ->> 'state', p_address ->> 'region', p_address ->> 'province')),
            -- What we don't know the place of is printed all the same.
            (5, (SELECT string_agg(e.value #>> '{}', ', ' ORDER BY e.key) FROM jsonb_each(p_address) e WHERE e.key <> ALL (v_known) AND jsonb_typeof(e.value) IN ('string', 'number'))),
            (6, p_address ->> 'country')) AS x (place, line)
        WHERE btrim(x.line) <> ''), '[]');
END $$;
COMMENT ON FUNCTION qzpay._address_lines(jsonb) IS
'An address as lines: line1 or street, line2, postal_code (postalCode, zip) and city, state (region, province), whatever else it holds, country.';

CREATE OR REPLACE FUNCTION qzpay._tax_groups(p_lines jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((
        SELECT jsonb_agg(jsonb_build_object('code', g.code, 'name', g.name, 'rate', g.rate, 'inclusive', g.inclusive, 'base', g.base, 'amount', g.amount)
                         ORDER BY g.inclusive, g.code, g.rate)
        FROM (SELECT t.value ->> 'code' AS code, max(t.value ->> 'name') AS name, (t.value ->> 'rate')::numeric AS rate, coalesce((t.value ->> 'inclusive')::boolean, false) AS inclusive,
                     sum((l.value ->> 'amount')::numeric - (l.value ->> 'discount_amount')::numeric
                         - coalesce((SELECT sum((x ->> 'amount')::numeric) FROM jsonb_array_elements(l.value -> 'taxes') x WHERE (x ->> 'inclusive')::boolean), 0)) AS base,
                     sum((t.value ->> 'amount')::numeric) AS amount
              FROM jsonb_array_elements(p_lines) l
              CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(l.value -> 'taxes') WHEN 'array' THEN l.value -> 'taxes' ELSE '[]' END) t
              GROUP BY 1, 3, 4) g), '[]');
END $$;
COMMENT ON FUNCTION qzpay._tax_groups(jsonb) IS 'What lines are taxed by: per code, rate and kind the net amounts (after discounts, without tax that they contain) and the tax.';

CREATE OR REPLACE FUNCTION qzpay._tax_name(p_tax jsonb, p_texts jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_name text := coalesce(p_tax ->> 'name', p_tax ->> 'code', p_texts ->> 'total.tax');
BEGIN
    -- Many a rate is named after its percentage.
    IF v_name !~ '%' THEN
        v_name := concat_ws(' ', v_name, qzpay._print_percent((p_tax ->> 'rate')::numeric, p_texts));
    END IF;
    RETURN CASE WHEN (p_tax ->> 'inclusive')::boolean THEN replace(p_texts ->> 'tax.inclusive', '{tax}', v_name) ELSE v_name END;
END $$;
COMMENT ON FUNCTION qzpay._tax_name(jsonb, jsonb) IS 'A tax as printed: its name, and its rate where the name does not say it.';

CREATE OR REPLACE FUNCTION qzpay._compose_line(p_line jsonb, p_currency text, p_texts jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_amount numeric := (p_line ->> 'amount')::numeric;
    v_unit numeric := (p_line ->> 'unit_amount')::numeric;
    v_quantity numeric := (p_line ->> 'quantity')::numeric;
    v_taxes jsonb := CASE jsonb_typeof(p_line -> 'taxes') WHEN 'array' THEN p_line -> 'taxes' ELSE '[]' END;
    v_details text[] := ARRAY[]::text[];
    v_said text;
BEGIN
    -- Words that billing itself has put around the name of a product.
    SELECT replace(p_texts ->> w.name, '{name}', substring(p_line ->> 'description' FROM w.pattern)) INTO v_said
    FROM (VALUES ('line.unused', '^Unused time on (.*)$'), ('line.remaining', '^Remaining time on (.*)$'), ('line.commitment', '^(.*): minimum commitment$')) AS w (name, pattern)
    WHERE ((p_line ->> 'proration')::boolean OR p_line ->> 'kind' = 'commitment') AND p_line ->> 'description' ~ w.pattern;
    v_details := v_details || qzpay._print_period((p_line ->> 'from')::date, (p_line ->> 'until')::date, p_texts);
    v_details := v_details || coalesce((
        SELECT array_agg(replace(replace(p_texts ->> 'line.discount', '{amount}', qzpay._print_amount(-(d.value ->> 'amount')::numeric, p_currency, p_texts)), '{code}', coalesce(d.value ->> 'code', ''))
                         ORDER BY d.ordinality)
        FROM jsonb_array_elements(CASE jsonb_typeof(p_line -> 'discounts') WHEN 'array' THEN p_line -> 'discounts' ELSE '[]' END) WITH ORDINALITY d), '{}');
    RETURN jsonb_build_object(
        'position', p_line -> 'position',
        'kind', p_line ->> 'kind',
        'group', p_line ->> 'group',
        'description', CASE p_line ->> 'kind' WHEN 'balance' THEN p_texts ->> 'line.balance' ELSE coalesce(v_said, p_line ->> 'description') END,
        'details', to_jsonb(array_remove(v_details, NULL)),
        'quantity', jsonb_build_object('value', v_quantity, 'text', coalesce(qzpay._print_number(v_quantity, 0, 0, p_texts ->> 'number.point', p_texts ->> 'number.separator',
                                                                                                 (p_texts ->> 'number.least')::integer), '')),
        'unit_amount', jsonb_build_object('value', v_unit, 'text', coalesce(qzpay._print_amount(v_unit, p_currency, p_texts), '')),
        'tax', jsonb_build_object('value', v_taxes,
                                  'text', coalesce((SELECT string_agg(coalesce(qzpay._print_percent((t.value ->> 'rate')::numeric, p_texts), t.value ->> 'code'), ' + ' ORDER BY t.ordinality)
                                                    FROM jsonb_array_elements(v_taxes) WITH ORDINALITY t), '')),
        'amount', jsonb_build_object('value', v_amount, 'text', qzpay._print_amount(v_amount, p_currency, p_texts)));
END $$;
COMMENT ON FUNCTION qzpay._compose_line(jsonb, text, jsonb) IS 'A line of a document, with its figures as values and as printed.';

CREATE OR REPLACE FUNCTION qzpay._compose_totals(p_facts jsonb, p_lines jsonb, p_texts jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_currency text := p_facts ->> 'currency';
    v_discount numeric := (p_facts ->> 'discount_total')::numeric;
    v_settled boolean := p_facts ->> 'kind' = 'invoice' AND p_facts ->> 'status' <> 'void';
BEGIN
    RETURN (
        WITH discounts AS (
            SELECT d.value ->> 'code' AS code, sum((d.value ->> 'amount')::numeric) AS amount
            FROM jsonb_array_elements(p_lines) l
            CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(l.value -> 'discounts') WHEN 'array' THEN l.value -> 'discounts' ELSE '[]' END) d
            GROUP BY 1
        ), rows (place, name, label, amount, shown, strong) AS (
            VALUES (1, 'subtotal', p_texts ->> 'total.subtotal', (p_facts ->> 'subtotal')::numeric, (p_facts -> 'subtotal') <> (p_facts -> 'total'), false),
                   (3, 'discount', btrim(replace(p_texts ->> 'total.discount', '{code}', '')), -(v_discount - coalesce((SELECT sum(d.amount) FROM discounts d), 0)),
                    v_discount <> coalesce((SELECT sum(d.amount) FROM discounts d), 0), false),
                   (4, 'tax', p_texts ->> 'total.tax', (p_facts ->> 'tax_total')::numeric, (p_facts ->> 'tax_total')::numeric <> 0, false),
                   (5, 'total', p_texts ->> 'total.total', (p_facts ->> 'total')::numeric, true, true),
                   (6, 'balance_applied', p_texts ->> 'total.balance_applied', -(p_facts ->> 'balance_applied')::numeric, v_settled AND (p_facts ->> 'balance_applied')::numeric <> 0, false),
                   (7, 'grants_applied', p_texts ->> 'total.grants_applied', -(p_facts ->> 'grants_applied')::numeric, v_settled AND (p_facts ->> 'grants_applied')::numeric <> 0, false),
                   (8, 'paid', p_texts ->> 'total.paid', -(p_facts ->> 'amount_paid')::numeric, v_settled AND (p_facts ->> 'amount_paid')::numeric <> 0, false),
                   (9, 'credited', p_texts ->> 'total.credited', -(p_facts ->> 'amount_credited')::numeric, v_settled AND (p_facts ->> 'amount_credited')::numeric <> 0, false),
                   (10, 'due', p_texts ->> 'total.due', (p_facts ->> 'amount_left')::numeric, v_settled, true),
                   (11, 'to_invoice', p_texts ->> 'total.to_invoice', (p_facts ->> 'to_invoice')::numeric, (p_facts ->> 'to_invoice')::numeric <> 0, false),
                   (12, 'to_balance', p_texts ->> 'total.to_balance', (p_facts ->> 'to_balance')::numeric, (p_facts ->> 'to_balance')::numeric <> 0, false),
                   (13, 'to_refund', p_texts ->> 'total.to_refund', (p_facts ->> 'to_refund')::numeric, (p_facts ->> 'to_refund')::numeric <> 0, false),
                   (14, 'refunded', p_texts ->> 'total.refunded', (p_facts ->> 'amount_refunded')::numeric, v_settled AND (p_facts ->> 'amount_refunded')::numeric <> 0, false)
            UNION ALL
            SELECT 2, 'discount', btrim(replace(p_texts ->> 'total.discount', '{code}', coalesce(d.code, ''))), -d.amount, true, false FROM discounts d
        )
        SELECT jsonb_agg(jsonb_build_object('name', r.name, 'label', r.label, 'value', r.amount, 'text', qzpay._print_amount(r.amount, v_currency, p_texts), 'strong', r.strong)
                         ORDER BY r.place, r.label)
        FROM rows r WHERE r.shown);
END $$;
COMMENT ON FUNCTION qzpay._compose_totals(jsonb, jsonb, jsonb) IS 'The rows below the lines of a document: subtotal, discounts by code, tax, total, and how it is settled.';

CREATE OR REPLACE FUNCTION qzpay._compose_document(p_facts jsonb, p_lines jsonb, p_lang text, p_texts jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_currency text := p_facts ->> 'currency';
    v_status text := p_facts ->> 'status';
    v_title text := p_texts ->> CASE WHEN v_status = 'draft' THEN 'title.draft' ELSE 'title.' || (p_facts ->> 'kind') END;
    v_taxes jsonb := qzpay._tax_groups(p_lines);
    v_taxed boolean := v_taxes <> '[]';
    v_counted boolean := EXISTS (SELECT FROM jsonb_array_elements(p_lines) l WHERE l.value ->> 'quantity' IS NOT NULL);
    v_units boolean := EXISTS (SELECT FROM jsonb_array_elements(p_lines) l WHERE l.value ->> 'unit_amount' IS NOT NULL);
BEGIN
    RETURN jsonb_build_object(
        'kind', p_facts ->> 'kind', 'id', p_facts ->> 'id', 'number', p_facts ->> 'number', 'status', v_status, 'livemode', p_facts -> 'livemode', 'currency', v_currency,
        'issued_at', p_facts ->> 'issued_at', 'lang', p_lang, 'direction', p_texts ->> 'direction', 'paper', p_texts ->> 'paper', 'accent', p_texts ->> 'accent',
        'logo', p_texts ->> 'logo',
        'title', v_title,
        'heading', concat_ws(' ', v_title, p_facts ->> 'number'),
        'notices', (SELECT coalesce(jsonb_agg(p_texts ->> n.name ORDER BY n.name), '[]')
                    FROM (VALUES ('notice.test', NOT (p_facts ->> 'livemode')::boolean), ('notice.draft', v_status = 'draft'), ('notice.void', v_status = 'void')) n (name, holds) WHERE n.holds),
        'facts', (SELECT jsonb_agg(jsonb_build_object('name', f.name, 'label', p_texts ->> ('fact.' || f.name), 'value', f.value, 'text', f.printed) ORDER BY f.place)
                  FROM (VALUES
                      (1, 'number', p_facts ->> 'number', p_facts ->> 'number'),
                      (2, 'issued', p_facts ->> 'issued_on', qzpay._print_date((p_facts ->> 'issued_on')::date, p_texts ->> 'date', p_texts)),
                      (3, 'due', p_facts ->> 'due_on', qzpay._print_date((p_facts ->> 'due_on')::date, p_texts ->> 'date', p_texts)),
                      (4, 'period', (p_facts ->> 'from') || '/' || (p_facts ->> 'until'), qzpay._print_period((p_facts ->> 'from')::date, (p_facts ->> 'until')::date, p_texts)),
                      (5, 'po_number', p_facts ->> 'po_number', p_facts ->> 'po_number'),
                      (6, 'corrects', p_facts ->> 'corrects', p_facts ->> 'corrects'),
                      (7, 'replaces', p_facts ->> 'replaces', p_facts ->> 'replaces'),
                      (8, 'reason', p_facts ->> 'reason', p_facts ->> 'reason'),
                      (9, 'status', v_status, replace(p_texts ->> ('status.' || v_status), '{date}',
                                                      coalesce(qzpay._print_date((p_facts ->> 'paid_on')::date, p_texts ->> 'date', p_texts), '')))) AS f (place, name, value, printed)
                  WHERE f.printed <> ''),
        'parties', jsonb_build_array(
            jsonb_build_object('name', 'seller', 'label', p_texts ->> 'seller',
                               'lines', jsonb_build_array(p_facts #>> '{seller,name}') || qzpay._address_lines(p_facts #> '{seller,address}')
                                        || CASE WHEN p_facts #>> '{seller,tax_id}' <> '' THEN jsonb_build_array((p_texts ->> 'tax_id') || ': ' || (p_facts #>> '{seller,tax_id}')) ELSE '[]' END),
            jsonb_build_object('name', 'buyer', 'label', p_texts ->> 'buyer',
                               'lines', (CASE WHEN p_facts #>> '{buyer,name}' <> '' THEN jsonb_build_array(p_facts #>> '{buyer,name}') ELSE '[]' END)
                                        || qzpay._address_lines(p_facts #> '{buyer,address}')
                                        || (CASE WHEN p_facts #>> '{buyer,email}' <> '' THEN jsonb_build_array(p_facts #>> '{buyer,email}') ELSE '[]' END)
                                        || coalesce((SELECT jsonb_agg(CASE jsonb_typeof(t.value)
                                                                      WHEN 'object' THEN coalesce(p_texts ->> ('tax_id.' || (t.value ->> 'type')), upper(replace(t.value ->> 'type', '_', ' ')), p_texts ->> 'tax_id')
                                                                                         || ': ' || (t.value ->> 'value')
                                                                      ELSE (p_texts ->> 'tax_id') || ': ' || (t.value #>> '{}') END ORDER BY t.ordinality)
                                                     FROM jsonb_array_elements(p_facts #> '{buyer,tax_ids}') WITH ORDINALITY t
                                                     WHERE coalesce(t.value ->> 'value', t.value #>> '{}') <> ''), '[]'))),
        'lines_label', p_texts ->> 'lines',
        'columns', (SELECT jsonb_agg(jsonb_build_object('name', c.name, 'label', p_texts ->> ('column.' || c.name), 'figure', c.place > 1) ORDER BY c.place)
                    FROM (VALUES (1, 'description', true), (2, 'quantity', v_counted), (3, 'unit_amount', v_units), (4, 'tax', v_taxed), (5, 'amount', true)) AS c (place, name, shown)
                    WHERE c.shown),
        'lines', coalesce((SELECT jsonb_agg(qzpay._compose_line(l.value, v_currency, p_texts) ORDER BY l.ordinality) FROM jsonb_array_elements(p_lines) WITH ORDINALITY l), '[]'),
        'totals_label', p_texts ->> 'totals',
        'totals', qzpay._compose_totals(p_facts, p_lines, p_texts),
        'taxes', CASE WHEN v_taxed THEN jsonb_build_object(
            'label', p_texts ->> 'taxes',
            'columns', jsonb_build_array(p_texts ->> 'column.tax', p_texts ->> 'column.base', p_texts ->> 'column.tax_amount'),
            'rows', (SELECT jsonb_agg(jsonb_build_object('code', t.value ->> 'code', 'rate', t.value -> 'rate', 'inclusive', t.value -> 'inclusive', 'label', qzpay._tax_name(t.value, p_texts),
                                                         'base', jsonb_build_object('value', t.value -> 'base', 'text', qzpay._print_amount((t.value ->> 'base')::numeric, v_currency, p_texts)),
                                                         'amount', jsonb_build_object('value', t.value -> 'amount', 'text', qzpay._print_amount((t.value ->> 'amount')::numeric, v_currency, p_texts)))
                                      ORDER BY t.ordinality)
                     FROM jsonb_array_elements(v_taxes) WITH ORDINALITY t)) END,
        'notes_label', p_texts ->> 'notes_title',
        'notes', (SELECT coalesce(jsonb_agg(n.value), '[]') FROM unnest(ARRAY[p_facts ->> 'tax_note', p_facts ->> 'notes', p_texts ->> 'notes']) AS n (value) WHERE btrim(n.value) <> ''),
        'footer', p_texts ->> 'footer',
        'page', p_texts ->> 'page');
END $$;
COMMENT ON FUNCTION qzpay._compose_document(jsonb, jsonb, text, jsonb) IS
'A document in the shape of invoice_document() from its facts (kind, parties, dates, sums) and lines, in the words of texts; for every kind of document that has a title.KIND among the texts.';

CREATE OR REPLACE FUNCTION qzpay.invoice_document(invoice uuid, locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.invoice_document(uuid, text) IS
'An invoice as it is printed, in the customer''s language or the given locale: {kind, id, number, status, livemode, currency, issued_at, lang, direction, paper, accent, logo, title, heading, notices [text], '
'facts [{name, label, value, text}], parties [{name, label, lines [text]}], lines_label, columns [{name, label, figure}], lines [{position, kind, group, description, details [text], quantity, unit_amount, tax, '
'amount: {value, text}}], totals_label, totals [{name, label, value, text, strong}], taxes {label, columns, rows [{code, rate, inclusive, label, base, amount}]} or null, notes_label, notes [text], footer, page}. '
'group is the heading above the first line of each subscription, where several share the invoice, else null. Values of money are minor units. The date of issue is that of the seller''s zone, as its number; other dates are of the customer''s. Errors: QZ404 no such invoice, 22023 a locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._keep_seller_version() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Of several changes in one transaction only what was before the first has been printed.
    INSERT INTO qzpay.seller_versions (seller_id, valid_until, name, tax_id, address, timezone) VALUES (OLD.id, qzpay.now(), OLD.name, OLD.tax_id, OLD.address, OLD.timezone)
    ON CONFLICT (seller_id, valid_until) DO NOTHING;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._keep_seller_version() IS 'Trigger AFTER UPDATE of sellers: keeps what documents have said of the seller so far.';

CREATE OR REPLACE FUNCTION qzpay._document_sides(p_tenant uuid, p_customer uuid, p_seller uuid, p_invoice uuid, p_live_at timestamptz, p_locale text,
        OUT facts jsonb, OUT timezone text, OUT seller_timezone text, OUT lang text, OUT texts jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    s qzpay.sellers%ROWTYPE;
    v_buyer jsonb;
BEGIN
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.tenant_id = p_tenant AND x.id = p_customer;
    SELECT * INTO STRICT s FROM qzpay.sellers x WHERE x.id = p_seller;
    SELECT coalesce(v.name, s.name), CASE WHEN v.name IS NULL THEN s.tax_id ELSE v.tax_id END, coalesce(v.address, s.address), coalesce(v.timezone, s.timezone)
      INTO s.name, s.tax_id, s.address, s.timezone
    FROM (VALUES (1)) one
    LEFT JOIN LATERAL (SELECT * FROM qzpay.seller_versions x WHERE x.seller_id = p_seller AND x.valid_until > p_live_at ORDER BY x.valid_until LIMIT 1) v ON true;
    -- A draft has no buyer of its own yet.
    SELECT jsonb_build_object('name', p.name, 'email', p.email, 'address', p.address, 'tax_ids', p.tax_ids) INTO v_buyer
    FROM qzpay.invoice_parties p WHERE p.tenant_id = p_tenant AND p.invoice_id = p_invoice;
    IF NOT FOUND THEN
        v_buyer := jsonb_build_object('name', c.name, 'email', c.email, 'address', c.address, 'tax_ids', c.tax_ids);
    END IF;
    facts := jsonb_build_object('seller', jsonb_build_object('name', s.name, 'tax_id', s.tax_id, 'address', s.address), 'buyer', v_buyer);
    timezone := c.timezone;
    seller_timezone := s.timezone;
    SELECT t.lang, t.texts INTO lang, texts FROM qzpay._document_texts(s.id, coalesce(p_locale, c.locale)) t;
    IF lang IS NULL AND p_locale IS NOT NULL THEN
        RAISE EXCEPTION 'there are no texts for locale "%"', left(p_locale, 64) USING ERRCODE = '22023',
            HINT = 'Languages are rows of qzpay.document_texts.';
    END IF;
    lang := coalesce(lang, 'en');
END $$;
COMMENT ON FUNCTION qzpay._document_sides(uuid, uuid, uuid, uuid, timestamptz, text) IS
'Who a document is from (as it was when it was issued; p_live_at NULL for drafts and tests: as it is) and for (the buyer as printed on the invoice), their zones, and the texts of the given locale, or the customer''s, or English. 22023 for a given locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._share_name(p_tenant uuid, p_invoice uuid, p_subscription uuid) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT concat_ws(' – ', n.name, nullif(s.metadata ->> 'name', ''))
        FROM qzpay.invoice_shares h
        JOIN qzpay.subscriptions s ON s.tenant_id = h.tenant_id AND s.id = h.subscription_id
        LEFT JOIN LATERAL (SELECT coalesce(t.name, p.name) AS name FROM qzpay.subscription_items t JOIN qzpay.products p ON p.id = t.product_id
                           WHERE t.tenant_id = h.tenant_id AND t.subscription_id = h.subscription_id AND t.kind = 'plan' AND t.valid_from <= h.due_at ORDER BY t.valid_from DESC LIMIT 1) n ON true
        WHERE h.tenant_id = p_tenant AND h.invoice_id = p_invoice AND h.subscription_id = p_subscription);
END $$;
COMMENT ON FUNCTION qzpay._share_name(uuid, uuid, uuid) IS 'What the lines of a subscription are headed by on an invoice that several share: its plan, and the name that its metadata give it. NULL for one that does not share it.';

CREATE OR REPLACE FUNCTION qzpay._invoice_document(p_invoice uuid, p_locale text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_sides record;
    v_lines jsonb;
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.id = p_invoice;
    v_sides := qzpay._document_sides(i.tenant_id, i.customer_id, i.seller_id, i.id, CASE WHEN i.livemode THEN i.issued_at END, p_locale);
    -- The last day of a period is that of its last instant.
    SELECT jsonb_agg(jsonb_build_object('position', l.position, 'kind', l.kind, 'description', l.description, 'quantity', l.quantity, 'unit_amount', l.unit_amount,
                                        'amount', l.amount, 'discount_amount', l.discount_amount, 'discounts', l.discounts, 'taxes', l.taxes, 'proration', l.proration, 'group', l.heading,
                                        'from', (l.period_start AT TIME ZONE v_sides.timezone)::date,
                                        'until', ((l.period_end - interval '1 microsecond') AT TIME ZONE v_sides.timezone)::date) ORDER BY l.position) INTO v_lines
    FROM (SELECT l.*, CASE WHEN l.subscription_id IS DISTINCT FROM lag(l.subscription_id) OVER (ORDER BY l.position) THEN qzpay._share_name(l.tenant_id, l.invoice_id, l.subscription_id) END AS heading
          FROM qzpay.invoice_lines l WHERE l.tenant_id = i.tenant_id AND l.invoice_id = i.id) l;
    RETURN qzpay._compose_document(
        v_sides.facts || jsonb_build_object(
            'kind', 'invoice', 'id', i.id, 'number', i.number, 'status', i.status, 'livemode', i.livemode, 'currency', i.currency,
            'issued_at', to_char(i.issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'issued_on', (i.issued_at AT TIME ZONE v_sides.seller_timezone)::date,
            'due_on', CASE WHEN i.due_at > i.issued_at THEN (i.due_at AT TIME ZONE v_sides.timezone)::date END,
            'paid_on', (coalesce(i.paid_at, i.closed_at, i.issued_at) AT TIME ZONE v_sides.timezone)::date,
            'from', (i.period_start AT TIME ZONE v_sides.timezone)::date, 'until', ((i.period_end - interval '1 microsecond') AT TIME ZONE v_sides.timezone)::date,
            'po_number', i.po_number, 'replaces', (SELECT r.number FROM qzpay.invoices r WHERE r.tenant_id = i.tenant_id AND r.id = i.replaces), 'notes', i.metadata ->> 'notes',
            'tax_note', CASE WHEN i.tax_note = (SELECT t.value FROM qzpay.document_texts t WHERE t.seller_id IS NULL AND t.locale = 'en' AND t.name = 'tax_note.' || i.tax_exempt)
                             THEN v_sides.texts ->> ('tax_note.' || i.tax_exempt) ELSE i.tax_note END,
            'subtotal', i.subtotal, 'discount_total', i.discount_total, 'tax_total', i.tax_total, 'total', i.total, 'balance_applied', i.balance_applied, 'grants_applied', i.grants_applied,
            'amount_paid', i.amount_paid, 'amount_credited', i.amount_credited, 'amount_left', i.amount_due - i.amount_paid - i.amount_credited,
            'amount_refunded', (SELECT coalesce(sum(p.refunded), 0) FROM qzpay.payments p WHERE p.tenant_id = i.tenant_id AND p.invoice_id = i.id)),
        coalesce(v_lines, '[]'), v_sides.lang, v_sides.texts);
END $$;
COMMENT ON FUNCTION qzpay._invoice_document(uuid, text) IS 'Internal of invoice_document(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.credit_note_document(credit_note uuid, locale text DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_credit_note';
COMMENT ON FUNCTION qzpay.credit_note_document(uuid, text) IS
'A credit note as it is printed, in the shape of invoice_document(): kind credit_note, no status, the invoice it corrects and the reason among the facts. Amounts are positive. '
'Errors: QZ404 no such credit note, 22023 a locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._credit_note_document(p_credit_note uuid, p_locale text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    n qzpay.credit_notes%ROWTYPE;
    i qzpay.invoices%ROWTYPE;
    v_sides record;
    v_lines jsonb;
BEGIN
    SELECT * INTO STRICT n FROM qzpay.credit_notes x WHERE x.id = p_credit_note;
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = n.tenant_id AND x.id = n.invoice_id;
    v_sides := qzpay._document_sides(n.tenant_id, n.customer_id, n.seller_id, i.id, CASE WHEN n.livemode THEN n.issued_at END, p_locale);
    SELECT jsonb_agg(jsonb_build_object('position', l.position, 'kind', l.kind, 'description', l.description, 'amount', l.amount, 'discount_amount', 0, 'taxes', l.taxes,
                                        'proration', true, 'from', (l.period_start AT TIME ZONE v_sides.timezone)::date,
                                        'until', ((l.period_end - interval '1 microsecond') AT TIME ZONE v_sides.timezone)::date) ORDER BY l.position) INTO v_lines
    FROM qzpay.credit_note_lines l WHERE l.tenant_id = n.tenant_id AND l.credit_note_id = n.id;
    RETURN qzpay._compose_document(
        v_sides.facts || jsonb_build_object(
            'kind', 'credit_note', 'id', n.id, 'number', n.number, 'livemode', n.livemode, 'currency', n.currency,
            'issued_at', to_char(n.issued_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'issued_on', (n.issued_at AT TIME ZONE v_sides.seller_timezone)::date,
            'po_number', i.po_number, 'corrects', i.number, 'reason', n.reason, 'notes', n.metadata ->> 'notes',
            'subtotal', n.subtotal, 'discount_total', 0, 'tax_total', n.tax_total, 'total', n.total,
            'to_invoice', n.to_invoice, 'to_balance', n.to_balance, 'to_refund', n.to_refund),
        v_lines, v_sides.lang, v_sides.texts);
END $$;
COMMENT ON FUNCTION qzpay._credit_note_document(uuid, text) IS 'Internal of credit_note_document(), inside the tenant''s context.';
