-- Tax on the net of each line, after discounts: by rates, by a provider, or, on what a credit takes back, by what the debit had.

CREATE OR REPLACE FUNCTION qzpay.tax_amounts(amounts bigint[], percentage numeric, included numeric DEFAULT 0) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_taxes_of_lines';
COMMENT ON FUNCTION qzpay.tax_amounts(bigint[], numeric, numeric) IS
'Tax of one rate on the lines of an invoice, in minor units: amount × percentage / (100 + included), where included is the sum of the percentages that the amounts contain (0: none). '
'The sum is rounded once, half away from zero, and shared by largest remainder. Errors: 22023 a rate outside of 0 to 1000 or with more than six decimals, or an array of more than one dimension; 22004 an amount of NULL; 22003 out of range.';

CREATE OR REPLACE FUNCTION qzpay._part_taken(p_amount bigint, p_taken bigint, p_whole bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_part_taken';
COMMENT ON FUNCTION qzpay._part_taken(bigint, bigint, bigint) IS
'What of an amount goes along when so much of a whole is taken back: the part that stays is rounded, the rest goes; taking the rest of the whole takes all of it. 22023 when more is taken than there is.';

CREATE OR REPLACE FUNCTION qzpay._tax_included(p_taxes jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(sum((t ->> 'amount')::bigint), 0)::bigint FROM jsonb_array_elements(p_taxes) t WHERE (t ->> 'inclusive')::boolean
$$;
COMMENT ON FUNCTION qzpay._tax_included(jsonb) IS 'The tax of a line''s taxes that its price contains.';

CREATE OR REPLACE FUNCTION qzpay._taxes_part(p_taxes jsonb, p_added bigint, p_included bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_agg(k.tax || jsonb_build_object('amount', CASE WHEN k.inclusive THEN i.parts[k.place] ELSE a.parts[k.place] END) ORDER BY k.n)
    FROM (SELECT t.tax, t.n, (t.tax ->> 'inclusive')::boolean AS inclusive, row_number() OVER (PARTITION BY (t.tax ->> 'inclusive')::boolean ORDER BY t.n) AS place
          FROM jsonb_array_elements(p_taxes) WITH ORDINALITY AS t (tax, n)) k
    CROSS JOIN (SELECT qzpay.split_amount(p_added, array_agg((t.tax ->> 'amount')::numeric ORDER BY t.n)) AS parts
                FROM jsonb_array_elements(p_taxes) WITH ORDINALITY AS t (tax, n) WHERE NOT (t.tax ->> 'inclusive')::boolean) a
    CROSS JOIN (SELECT qzpay.split_amount(p_included, array_agg((t.tax ->> 'amount')::numeric ORDER BY t.n)) AS parts
                FROM jsonb_array_elements(p_taxes) WITH ORDINALITY AS t (tax, n) WHERE (t.tax ->> 'inclusive')::boolean) i
$$;
COMMENT ON FUNCTION qzpay._taxes_part(jsonb, bigint, bigint) IS
'The same taxes with other amounts: so much added and so much included, shared in proportion to what they were, by largest remainder. NULL for no taxes.';

CREATE OR REPLACE FUNCTION qzpay._rest_of_lines(p_tenants uuid[], p_lines uuid[], p_items uuid[], p_invoice uuid DEFAULT NULL)
RETURNS TABLE (tenant_id uuid, line_id uuid, invoice_id uuid, line_position integer, net bigint, tax bigint, included bigint, taxes jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH source AS (
        SELECT k.tenant_id, k.id FROM (SELECT DISTINCT u.tenant_id, u.id, u.item FROM unnest(p_tenants, p_lines, p_items) AS u (tenant_id, id, item)) k
    ), line AS (
        -- A line has no index of its own: it is found by its invoice, else by its subscription item, else among the tenant's.
        SELECT l.* FROM unnest(p_tenants, p_lines) AS k (tenant_id, id)
        JOIN qzpay.invoice_lines l ON l.tenant_id = k.tenant_id AND l.invoice_id = p_invoice AND l.id = k.id WHERE p_invoice IS NOT NULL
        UNION
        SELECT l.* FROM unnest(p_tenants, p_lines, p_items) AS k (tenant_id, id, item)
        JOIN qzpay.invoice_lines l ON l.tenant_id = k.tenant_id AND l.subscription_item_id = k.item AND l.kind <> 'usage' AND l.id = k.id WHERE k.item IS NOT NULL AND p_invoice IS NULL
        UNION
        SELECT l.* FROM unnest(p_tenants, p_lines, p_items) AS k (tenant_id, id, item)
        JOIN qzpay.invoice_lines l ON l.tenant_id = k.tenant_id AND l.id = k.id WHERE k.item IS NULL AND p_invoice IS NULL
    ), taken AS (
        SELECT c.tenant_id, c.source_line_id AS id, -c.amount AS net, -c.tax_amount AS tax, -c.tax_included AS included, c.taxes, -1 AS sign
        FROM source s JOIN qzpay.invoice_lines c ON c.tenant_id = s.tenant_id AND c.source_line_id = s.id
        JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.id = c.invoice_id AND i.status NOT IN ('draft', 'void')
        UNION ALL
        SELECT c.tenant_id, c.invoice_line_id, c.amount, c.tax_amount, c.tax_included, c.taxes, 1
        FROM source s JOIN qzpay.credit_note_lines c ON c.tenant_id = s.tenant_id AND c.invoice_line_id = s.id
    )
    SELECT l.tenant_id, l.id, l.invoice_id, l.position, r.net - coalesce(w.net, 0), r.tax - coalesce(qzpay._part_taken(r.tax, CASE WHEN w.net > 0 THEN least(w.net, r.net) END, r.net), 0),
           r.included - coalesce(qzpay._part_taken(r.included, CASE WHEN w.net > 0 THEN least(w.net, r.net) END, r.net), 0),
           CASE WHEN t.net IS NULL THEN l.taxes ELSE (
               SELECT jsonb_agg(x.tax || jsonb_build_object('amount', (x.tax ->> 'amount')::bigint - coalesce((
                          SELECT sum(k.sign * (y.tax ->> 'amount')::bigint) FROM taken k CROSS JOIN LATERAL jsonb_array_elements(k.taxes) WITH ORDINALITY AS y (tax, n)
                          WHERE k.tenant_id = l.tenant_id AND k.id = l.id AND y.n = x.n), 0)) ORDER BY x.n)
               FROM jsonb_array_elements(l.taxes) WITH ORDINALITY AS x (tax, n)) END
    FROM line l
    LEFT JOIN (SELECT k.tenant_id, k.id, sum(k.net) AS net, sum(k.tax) AS tax, sum(k.included) AS included FROM taken k GROUP BY k.tenant_id, k.id) t
        ON t.tenant_id = l.tenant_id AND t.id = l.id
    -- A credit that waits for its invoice has taken its part already, and of the tax what goes with it.
    LEFT JOIN LATERAL (SELECT sum(-p.amount)::bigint AS net FROM qzpay.pending_lines p WHERE p.tenant_id = l.tenant_id AND p.source_line_id = l.id) w ON true
    CROSS JOIN LATERAL (SELECT (l.amount - l.discount_amount - coalesce(t.net, 0))::bigint AS net, (l.tax_amount - coalesce(t.tax, 0))::bigint AS tax,
                               (l.tax_included - coalesce(t.included, 0))::bigint AS included) r;
END $$;
COMMENT ON FUNCTION qzpay._rest_of_lines(uuid[], uuid[], uuid[], uuid) IS
'What credits (lines of invoices, credit notes) have left of these lines: net of discount, tax added to it, tax it contains, and the taxes one by one. p_items: the subscription item of each line, or NULL; p_invoice: the invoice of all of them, where it is one. '
'Credits that wait in pending_lines have taken theirs.';

CREATE OR REPLACE FUNCTION qzpay._tax_credits(p_lines qzpay._line[]) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        WITH line AS MATERIALIZED (SELECT l.*, l.source_line_id IS NOT NULL AND l.tax_amount IS NULL AS credits FROM unnest(p_lines) WITH ORDINALITY l),
        rest AS MATERIALIZED (
            SELECT r.tenant_id, r.line_id, r.net, r.tax, r.included, r.taxes
            FROM (SELECT array_agg(l.tenant_id) AS tenants, array_agg(l.source_line_id) AS lines, array_agg(l.subscription_item_id) AS items FROM line l WHERE l.credits) k
            CROSS JOIN LATERAL qzpay._rest_of_lines(k.tenants, k.lines, k.items) r
            UNION ALL
            -- The debit may stand beside its credit, both having waited.
            SELECT l.tenant_id, l.id, l.amount - coalesce(l.discount_amount, 0), coalesce(l.tax_amount, 0), CASE WHEN l.taxes IS NOT NULL THEN qzpay._tax_included(l.taxes) ELSE 0 END, l.taxes
            FROM line l WHERE (l.tenant_id, l.id) IN (SELECT c.tenant_id, c.source_line_id FROM line c WHERE c.credits)
        ), part AS (
            -- Several credits of one debit, one after the other.
            SELECT c.ordinality, r.taxes, qzpay._part_taken(r.tax, c.upto, r.net) - qzpay._part_taken(r.tax, c.upto + c.amount, r.net) AS tax,
                   qzpay._part_taken(r.included, c.upto, r.net) - qzpay._part_taken(r.included, c.upto + c.amount, r.net) AS included
            FROM (SELECT l.*, (sum(-l.amount) OVER (PARTITION BY l.tenant_id, l.source_line_id ORDER BY l.ordinality))::bigint AS upto FROM line l WHERE l.credits) c
            JOIN rest r ON r.tenant_id = c.tenant_id AND r.line_id = c.source_line_id
        )
        SELECT array_agg(ROW(l.tenant_id, l.invoice_id, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                             l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.discount_amount,
                             CASE WHEN l.credits THEN coalesce(-p.tax, 0) ELSE l.tax_amount END, l.discounts,
                             CASE WHEN l.credits THEN qzpay._taxes_part(p.taxes, -p.tax, -p.included) ELSE l.taxes END, l.metadata, l.id, l.subscription_id)::qzpay._line ORDER BY l.ordinality)
        FROM line l LEFT JOIN part p USING (ordinality)
    );
END $$;
COMMENT ON FUNCTION qzpay._tax_credits(qzpay._line[]) IS
'Gives the lines that credit a debit (source_line_id) the part of the debit''s tax that goes with what they take back, so that crediting all of a debit gives back all of its tax, whatever the steps.';

CREATE OR REPLACE FUNCTION qzpay._tax_by_rates(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        WITH line AS MATERIALIZED (SELECT l.* FROM unnest(p_lines) WITH ORDINALITY l),
        taxable AS (
            SELECT l.ordinality, l.invoice_id, l.amount - coalesce(l.discount_amount, 0) AS base, p.code AS product, coalesce(p.categories, ARRAY[l.metadata ->> 'category']) AS categories,
                   b.seller_id, c.tax_rates AS assigned, upper(c.address ->> 'country') AS country, coalesce(c.address ->> 'region', c.address ->> 'state') AS region
            FROM line l
            JOIN unnest(p_bills) b ON b.tenant_id = l.tenant_id AND b.invoice_id = l.invoice_id
            JOIN qzpay.customers c ON c.tenant_id = b.tenant_id AND c.id = b.customer_id AND c.tax_exempt = 'none'
            LEFT JOIN qzpay.products p ON p.id = l.product_id
            WHERE l.tax_amount IS NULL AND l.source_line_id IS NULL AND l.kind <> 'balance' AND l.amount <> coalesce(l.discount_amount, 0)
        ), applied AS (
            SELECT DISTINCT ON (t.ordinality, r.tax) t.ordinality, t.invoice_id, t.base, r.code, r.name, r.percentage, r.inclusive
            FROM taxable t
            JOIN qzpay.tax_rates r ON r.valid_from <= p_at AND r.valid_until > p_at AND (r.seller_id IS NULL OR r.seller_id = t.seller_id)
                 AND CASE WHEN t.assigned IS NULL THEN r.automatic AND (r.country IS NULL OR r.country = t.country) AND (r.region IS NULL OR r.region = t.region)
                          ELSE r.code = ANY (t.assigned) END
                 AND (r.products IS NULL OR t.product = ANY (r.products)) AND (r.categories IS NULL OR r.categories && t.categories)
            ORDER BY t.ordinality, r.tax, (r.products IS NULL), (r.categories IS NULL), (r.region IS NULL), (r.country IS NULL), (r.seller_id IS NULL), r.code
        ), taxed AS (
            SELECT u.ordinality, g.code, g.name, g.percentage, g.inclusive, u.amount
            FROM (SELECT a.code, a.name, a.percentage, a.inclusive, array_agg(a.ordinality ORDER BY a.ordinality) AS places,
                         qzpay.tax_amounts(array_agg(a.base ORDER BY a.ordinality), a.percentage, a.included) AS amounts
                  FROM (SELECT a.*, sum(CASE WHEN a.inclusive THEN a.percentage ELSE 0 END) OVER (PARTITION BY a.ordinality) AS included FROM applied a) a
                  GROUP BY a.invoice_id, a.code, a.name, a.percentage, a.inclusive, a.included) g
            CROSS JOIN LATERAL unnest(g.places, g.amounts) AS u (ordinality, amount)
        )
        SELECT array_agg(ROW(l.tenant_id, l.invoice_id, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                             l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.discount_amount, coalesce(s.added, l.tax_amount), l.discounts,
                             coalesce(s.taxes, l.taxes), l.metadata, l.id, l.subscription_id)::qzpay._line ORDER BY l.ordinality)
        FROM line l
        LEFT JOIN (SELECT t.ordinality, coalesce(sum(t.amount) FILTER (WHERE NOT t.inclusive), 0)::bigint AS added,
                          jsonb_agg(jsonb_build_object('code', t.code, 'name', t.name, 'rate', t.percentage, 'inclusive', t.inclusive, 'amount', t.amount) ORDER BY t.inclusive DESC, t.code) AS taxes
                   FROM taxed t GROUP BY t.ordinality) s USING (ordinality)
    );
END $$;
COMMENT ON FUNCTION qzpay._tax_by_rates(qzpay._bill[], qzpay._line[], timestamptz) IS
'Taxes lines by the rates valid at p_at: per invoice and rate the sum of exact taxes is rounded and shared by the lines. Tax that is added is reckoned on the price without what the price contains. '
'Lines that have their tax, lines of nothing and customers without tax are left alone.';

CREATE OR REPLACE FUNCTION qzpay._tax_document(p_bill qzpay._bill, p_lines qzpay._line[], p_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object('invoice', p_bill.invoice_id, 'currency', p_bill.currency, 'livemode', p_bill.livemode, 'at', p_at,
            'customer', jsonb_build_object('id', c.id, 'externalId', c.external_id, 'address', c.address, 'taxIds', c.tax_ids),
            'seller', jsonb_build_object('code', s.code, 'taxId', s.tax_id, 'address', s.address),
            'lines', (SELECT jsonb_agg(jsonb_build_object('line', l.ordinality, 'kind', l.kind, 'product', p.code, 'categories', p.categories, 'description', l.description,
                                                          'quantity', l.quantity, 'amount', l.amount - coalesce(l.discount_amount, 0)) ORDER BY l.ordinality)
                      FROM unnest(p_lines) WITH ORDINALITY l LEFT JOIN qzpay.products p ON p.id = l.product_id
                      WHERE l.tenant_id = p_bill.tenant_id AND l.invoice_id = p_bill.invoice_id AND l.tax_amount IS NULL AND l.source_line_id IS NULL AND l.kind <> 'balance' AND l.amount <> coalesce(l.discount_amount, 0)))
        FROM qzpay.customers c JOIN qzpay.sellers s ON s.id = p_bill.seller_id
        WHERE c.tenant_id = p_bill.tenant_id AND c.id = p_bill.customer_id AND c.tax_exempt = 'none'
    );
END $$;
COMMENT ON FUNCTION qzpay._tax_document(qzpay._bill, qzpay._line[], timestamptz) IS
'What a tax provider is asked about an invoice: buyer, seller and its taxable lines, amounts net of discount in minor units. NULL for a customer without tax.';

CREATE OR REPLACE FUNCTION qzpay._check_tax_answer(p_document jsonb, p_answer jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_problem text;
BEGIN
    SELECT CASE
        WHEN a.taxes IS NULL THEN format('line %s has no answer', coalesce(d.line, a.line))
        WHEN d.line IS NULL THEN format('line %s was not asked', a.line)
        WHEN jsonb_typeof(a.taxes) <> 'array' THEN format('taxes of line %s are no array', d.line)
        WHEN EXISTS (SELECT FROM jsonb_array_elements(a.taxes) t
                     WHERE coalesce(t ->> 'code', '') = '' OR jsonb_typeof(t -> 'inclusive') IS DISTINCT FROM 'boolean' OR jsonb_typeof(t -> 'rate') IS DISTINCT FROM 'number'
                        OR coalesce(t ->> 'amount', '') !~ '^-?[0-9]{1,18}$') THEN format('a tax of line %s lacks code, rate, inclusive or a whole amount', d.line)
        WHEN EXISTS (SELECT FROM jsonb_array_elements(a.taxes) t WHERE (t ->> 'amount')::numeric * sign(d.amount) < 0) THEN format('a tax of line %s has the wrong sign', d.line)
        WHEN (SELECT sum(abs((t ->> 'amount')::numeric)) FROM jsonb_array_elements(a.taxes) t WHERE (t ->> 'inclusive')::boolean) > abs(d.amount) THEN format('line %s contains more tax than its price', d.line)
        END INTO v_problem
    FROM (SELECT (l ->> 'line')::bigint AS line, (l ->> 'amount')::numeric AS amount FROM jsonb_array_elements(p_document -> 'lines') l) d
    FULL JOIN (SELECT (l ->> 'line')::bigint AS line, CASE WHEN count(*) = 1 THEN (array_agg(l -> 'taxes'))[1] END AS taxes
               FROM jsonb_array_elements(CASE jsonb_typeof(p_answer -> 'lines') WHEN 'array' THEN p_answer -> 'lines' ELSE '[]' END) l GROUP BY 1) a ON a.line = d.line
    ORDER BY 1 NULLS LAST LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'the tax provider''s answer does not fit invoice %', p_document ->> 'invoice' USING ERRCODE = 'QZ102', DETAIL = v_problem || '.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_tax_answer(jsonb, jsonb) IS 'Raises QZ102 unless the answer has taxes of the right form for every line of the question, once, and for no other.';

CREATE OR REPLACE FUNCTION qzpay._tax_by_provider(p_provider text, p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_provider qzpay.providers%ROWTYPE;
    v_bill qzpay._bill;
    v_document jsonb;
    v_hash bytea;
    v_answer jsonb;
    v_answers jsonb := jsonb_build_array();
BEGIN
    SELECT * INTO STRICT v_provider FROM qzpay.providers p WHERE p.code = p_provider;
    FOREACH v_bill IN ARRAY p_bills LOOP
        v_document := qzpay._tax_document(v_bill, p_lines, p_at);
        CONTINUE WHEN jsonb_typeof(v_document -> 'lines') IS DISTINCT FROM 'array';
        IF v_bill.livemode AND v_provider.capabilities @> '{"test_only": true}' THEN
            RAISE EXCEPTION 'tax provider "%" is for tests, and customer % is live', p_provider, v_bill.customer_id USING ERRCODE = 'QZ204',
                HINT = 'Change the setting tax_provider.';
        END IF;
        -- Not by the instant: the answer to a question about a draft holds when the draft becomes final.
        v_hash := sha256(convert_to((v_document - 'at')::text, 'UTF8'));
        SELECT a.answer INTO v_answer FROM qzpay.tax_answers a
        WHERE a.tenant_id = v_bill.tenant_id AND a.invoice_id = v_bill.invoice_id AND a.provider = p_provider AND a.request_hash = v_hash;
        IF NOT FOUND THEN
            v_answer := qzpay._call_adapter(v_provider.request_function, 'tax'::text, v_document, to_jsonb(v_provider));
            PERFORM qzpay._check_tax_answer(v_document, v_answer);
            INSERT INTO qzpay.tax_answers AS a (tenant_id, invoice_id, customer_id, provider, request_hash, answer, answered_at)
            VALUES (v_bill.tenant_id, v_bill.invoice_id, v_bill.customer_id, p_provider, v_hash, v_answer, p_at)
            ON CONFLICT (tenant_id, invoice_id) DO UPDATE SET provider = EXCLUDED.provider, request_hash = EXCLUDED.request_hash, answer = EXCLUDED.answer, answered_at = EXCLUDED.answered_at;
        END IF;
        v_answers := v_answers || (v_answer -> 'lines');
    END LOOP;
    RETURN (
        SELECT array_agg(ROW(l.tenant_id, l.invoice_id, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                             l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.discount_amount,
                             CASE WHEN a.taxes IS NULL THEN l.tax_amount ELSE s.added END, l.discounts, coalesce(a.taxes, l.taxes), l.metadata, l.id, l.subscription_id)::qzpay._line ORDER BY l.ordinality)
        FROM unnest(p_lines) WITH ORDINALITY l
        LEFT JOIN (SELECT (x ->> 'line')::bigint AS ordinality, nullif(x -> 'taxes', '[]') AS taxes FROM jsonb_array_elements(v_answers) x) a USING (ordinality)
        LEFT JOIN LATERAL (SELECT coalesce(sum((t ->> 'amount')::bigint), 0)::bigint AS added FROM jsonb_array_elements(a.taxes) t WHERE NOT (t ->> 'inclusive')::boolean) s ON true
    );
END $$;
COMMENT ON FUNCTION qzpay._tax_by_provider(text, qzpay._bill[], qzpay._line[], timestamptz) IS
'Taxes lines by what a provider of kind tax answers: its request function is called as (''tax'', question, provider) and returns {"lines": [{"line", "taxes": [{"code", "name", "rate", "inclusive", "amount"}]}]}. '
'An answer is kept with its invoice and reused for the same question. Errors: QZ102 an answer that does not fit, QZ204 a provider for tests on a live invoice.';

CREATE OR REPLACE FUNCTION qzpay._tax_lines(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lines qzpay._line[] := p_lines;
    v_provider text := qzpay.setting('tax_provider') #>> '{}';
BEGIN
    IF v_provider IS NOT NULL THEN
        v_lines := qzpay._tax_by_provider(v_provider, p_bills, p_lines, p_at);
    ELSIF EXISTS (SELECT FROM qzpay.tax_rates) THEN
        v_lines := qzpay._tax_by_rates(p_bills, p_lines, p_at);
    END IF;
    IF EXISTS (SELECT FROM unnest(p_lines) l WHERE l.source_line_id IS NOT NULL AND l.tax_amount IS NULL) THEN
        v_lines := qzpay._tax_credits(v_lines);
    END IF;
    RETURN v_lines;
END $$;
COMMENT ON FUNCTION qzpay._tax_lines(qzpay._bill[], qzpay._line[], timestamptz) IS
'The lines of these invoices with their tax, reckoned on what discounts leave: debits are taxed by the setting tax_provider, or else by tax_rates, and credits take back what their debit has.';

CREATE OR REPLACE FUNCTION qzpay._tax_rate_problem(p_code text, p_percentage numeric, p_country text, p_region text, OUT field text, OUT problem text, OUT hint text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_code !~ '^[^[:space:][:cntrl:]/]{1,100}$' THEN
        field := 'id';
        problem := format('a tax rate cannot have the code "%s"', left(p_code, 100));
        hint := 'A code has 1 to 100 characters, no blanks and no slash.';
    ELSIF p_percentage NOT BETWEEN 0 AND 1000 OR scale(trim_scale(p_percentage)) > 6 THEN
        field := 'percentage';
        problem := format('tax rate "%s" cannot be %s percent', p_code, p_percentage);
        hint := 'From 0 to 1000, with at most six decimals.';
    ELSIF p_country !~ '^[A-Za-z]{2}$' OR p_region IS NOT NULL AND p_country IS NULL THEN
        field := CASE WHEN p_country IS NULL THEN 'region' ELSE 'country' END;
        problem := format('tax rate "%s" has no such place', p_code);
        hint := 'A country is an ISO 3166 code of two letters, and a region lies in one.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._tax_rate_problem(text, numeric, text, text) IS 'What set_tax_rate() and an import of the catalog refuse of a tax rate: which field, why, and the way out; NULLs when nothing is wrong.';

CREATE OR REPLACE FUNCTION qzpay.set_tax_rate(code text, percentage numeric, name text DEFAULT NULL, inclusive boolean DEFAULT false, tax text DEFAULT NULL,
        country text DEFAULT NULL, region text DEFAULT NULL, products text[] DEFAULT NULL, categories text[] DEFAULT NULL, seller text DEFAULT NULL,
        automatic boolean DEFAULT true, valid_from timestamptz DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.set_tax_rate(text, numeric, text, boolean, text, text, text, text[], text[], text, boolean, timestamptz) IS
'Makes a tax rate, or a new version of it from valid_from on (first version: since ever; later: now), and returns its id. percentage: 21 is 21 %. inclusive: prices contain it. tax: rates of the same tax exclude each other, '
'the most specific wins (product codes, categories, region and country of the customer''s address, seller); others add up. automatic false: only for customers whose tax_rates name it (set_billing_details()). '
'The same again changes nothing. Errors: 22004, 22023, QZ404 unknown seller.';

CREATE OR REPLACE FUNCTION qzpay._set_tax_rate(code text, percentage numeric, name text, inclusive boolean, tax text,
        country text, region text, products text[], categories text[], seller text,
        automatic boolean, valid_from timestamptz) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_last qzpay.tax_rates%ROWTYPE;
    v_new qzpay.tax_rates%ROWTYPE;
    v_problem record;
BEGIN
    v_new.id := qzpay.uuid_v7();
    v_new.code := code;
    v_new.percentage := trim_scale(percentage);
    v_new.inclusive := coalesce(inclusive, false);
    v_new.tax := coalesce(nullif(tax, ''), code);
    v_new.name := coalesce(name, code);
    v_new.country := upper(country);
    v_new.region := region;
    v_new.products := nullif(products, '{}');
    v_new.categories := nullif(categories, '{}');
    v_new.automatic := coalesce(automatic, true);
    v_new.valid_until := 'infinity';
    v_new.created_at := qzpay._recorded_at();
    IF coalesce(code, '') = '' OR percentage IS NULL THEN
        RAISE EXCEPTION 'a tax rate needs a code and a percentage' USING ERRCODE = '22004';
    END IF;
    SELECT * INTO v_problem FROM qzpay._tax_rate_problem(code, percentage, country, region) p WHERE p.problem IS NOT NULL;
    IF FOUND THEN
        RAISE EXCEPTION '%', v_problem.problem USING ERRCODE = '22023', HINT = v_problem.hint;
    END IF;
    IF seller IS NOT NULL THEN
        SELECT s.id INTO v_new.seller_id FROM qzpay.sellers s WHERE s.code = seller;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'seller "%" not found', seller USING ERRCODE = 'QZ404';
        END IF;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('qzpay.tax_rate:' || code, 0));
    SELECT * INTO v_last FROM qzpay.tax_rates r WHERE r.code = _set_tax_rate.code ORDER BY r.valid_from DESC LIMIT 1;
    v_new.valid_from := coalesce(valid_from, CASE WHEN v_last.id IS NULL THEN '-infinity' ELSE qzpay.now() END);
    IF v_last.id IS NOT NULL THEN
        IF v_last.valid_until > v_new.valid_from AND (valid_from IS NULL OR valid_from = v_last.valid_from) AND
           (v_last.percentage, v_last.inclusive, v_last.tax, v_last.name, v_last.country, v_last.region, v_last.products, v_last.categories, v_last.seller_id, v_last.automatic) IS NOT DISTINCT FROM
           (v_new.percentage, v_new.inclusive, v_new.tax, v_new.name, v_new.country, v_new.region, v_new.products, v_new.categories, v_new.seller_id, v_new.automatic) THEN
            RETURN v_last.id;
        ELSIF v_new.valid_from <= v_last.valid_from THEN
            RAISE EXCEPTION 'tax rate "%" cannot change from % on', code, v_new.valid_from USING ERRCODE = '22023',
                DETAIL = format('Its last version is valid from %s.', v_last.valid_from), HINT = 'Versions follow each other: give a later valid_from.';
        END IF;
        UPDATE qzpay.tax_rates r SET valid_until = v_new.valid_from WHERE r.id = v_last.id AND r.valid_until > v_new.valid_from;
    END IF;
    INSERT INTO qzpay.tax_rates SELECT v_new.*;
    RETURN v_new.id;
END $$;
COMMENT ON FUNCTION qzpay._set_tax_rate(text, numeric, text, boolean, text, text, text, text[], text[], text, boolean, timestamptz) IS 'Internal of set_tax_rate().';

CREATE OR REPLACE FUNCTION qzpay.end_tax_rate(code text, at timestamptz DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.end_tax_rate(text, timestamptz) IS
'Ends a tax rate at an instant, by default now; invoices that have it keep it. False when it has ended by then. Errors: QZ404, 22023 an instant before its last version.';

CREATE OR REPLACE FUNCTION qzpay._end_tax_rate(code text, at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_last qzpay.tax_rates%ROWTYPE;
    v_at timestamptz := coalesce(at, qzpay.now());
BEGIN
    SELECT * INTO v_last FROM qzpay.tax_rates r WHERE r.code = _end_tax_rate.code ORDER BY r.valid_from DESC LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tax rate "%" not found', code USING ERRCODE = 'QZ404';
    ELSIF v_last.valid_until <= v_at THEN
        RETURN false;
    ELSIF v_last.valid_from >= v_at THEN
        RAISE EXCEPTION 'tax rate "%" cannot end at %', code, v_at USING ERRCODE = '22023', DETAIL = format('Its last version is valid from %s.', v_last.valid_from);
    END IF;
    UPDATE qzpay.tax_rates r SET valid_until = v_at WHERE r.id = v_last.id;
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._end_tax_rate(text, timestamptz) IS 'Internal of end_tax_rate().';

CREATE OR REPLACE FUNCTION qzpay.set_billing_details(customer uuid, tax_exempt text DEFAULT NULL, tax_ids jsonb DEFAULT NULL, tax_rates text[] DEFAULT NULL, billing_emails text[] DEFAULT NULL,
        po_number text DEFAULT NULL, collection text DEFAULT NULL, net_days integer DEFAULT NULL, invoice_consolidation text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.set_billing_details(uuid, text, jsonb, text[], text[], text, text, integer, text) IS
'How a customer is invoiced from now on; NULL leaves a value as it is. tax_exempt: none, exempt or reverse (charge). tax_ids: array of {type, value, verifiedAt}, the instant or date of a check if there was one. tax_rates: codes that apply whatever the address, {} for those of its place. '
'billing_emails: where invoices go beside the customer''s own address. po_number: printed, '''' for none. collection: charge_automatically, or send_invoice with net_days to pay. '
'invoice_consolidation: none, or day for one invoice for all that falls due on a day, '''' for what the setting of that name says. Errors: 22023, QZ401 unknown tax rate.';

CREATE OR REPLACE FUNCTION qzpay._set_billing_details(p_customer uuid, p_tax_exempt text, p_tax_ids jsonb, p_tax_rates text[], p_billing_emails text[],
        p_po_number text, p_collection text, p_net_days integer, p_invoice_consolidation text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_text text;
BEGIN
    PERFORM qzpay._check_tax_ids(p_tax_ids);
    IF p_tax_exempt NOT IN ('none', 'exempt', 'reverse') THEN
        RAISE EXCEPTION 'tax_exempt cannot be "%"', p_tax_exempt USING ERRCODE = '22023', HINT = 'One of none, exempt, reverse.';
    ELSIF p_collection NOT IN ('charge_automatically', 'send_invoice') THEN
        RAISE EXCEPTION 'collection cannot be "%"', p_collection USING ERRCODE = '22023', HINT = 'One of charge_automatically, send_invoice.';
    ELSIF p_net_days NOT BETWEEN 0 AND 3650 THEN
        RAISE EXCEPTION 'net_days cannot be %', p_net_days USING ERRCODE = '22023', HINT = 'From 0 to 3650.';
    ELSIF p_invoice_consolidation NOT IN ('none', 'day', '') THEN
        RAISE EXCEPTION 'invoice_consolidation cannot be "%"', p_invoice_consolidation USING ERRCODE = '22023', HINT = 'One of none, day, or nothing for what the setting says.';
    ELSIF length(p_po_number) > 100 THEN
        RAISE EXCEPTION 'po_number must have at most 100 characters' USING ERRCODE = '22023';
    ELSIF EXISTS (SELECT FROM unnest(p_billing_emails) e WHERE e IS NULL OR e !~ '^[^@[:space:]<>"]+@[^@[:space:]<>"]+\.[^@[:space:]<>"]+$') OR cardinality(p_billing_emails) > 20 THEN
        RAISE EXCEPTION 'invalid email address' USING ERRCODE = '22023', DETAIL = 'An address has one @ between a name and a domain, and no blanks; there may be 20.';
    END IF;
    SELECT c.code INTO v_text FROM unnest(p_tax_rates) AS c (code) WHERE NOT EXISTS (SELECT FROM qzpay.tax_rates r WHERE r.code = c.code) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'unknown tax rate "%"', v_text USING ERRCODE = 'QZ401', HINT = 'Rates are made by set_tax_rate().';
    END IF;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    UPDATE qzpay.customers c SET
        tax_exempt = coalesce(p_tax_exempt, c.tax_exempt), tax_ids = coalesce(p_tax_ids, c.tax_ids),
        tax_rates = CASE WHEN p_tax_rates IS NULL THEN c.tax_rates ELSE nullif(p_tax_rates, '{}') END, billing_emails = coalesce(p_billing_emails, c.billing_emails),
        po_number = CASE WHEN p_po_number IS NULL THEN c.po_number ELSE nullif(p_po_number, '') END,
        collection = coalesce(p_collection, c.collection), net_days = coalesce(p_net_days, c.net_days),
        invoice_consolidation = CASE WHEN p_invoice_consolidation IS NULL THEN c.invoice_consolidation ELSE nullif(p_invoice_consolidation, '') END, updated_at = qzpay.now(p_customer)
    WHERE c.tenant_id = v_customer.tenant_id AND c.id = p_customer;
    PERFORM qzpay._emit_event(v_customer.tenant_id, 'customer.updated', 'customer', p_customer, p_customer,
        jsonb_build_object('customerId', p_customer, 'externalId', v_customer.external_id), NULL, qzpay.now(p_customer));
END $$;
COMMENT ON FUNCTION qzpay._set_billing_details(uuid, text, jsonb, text[], text[], text, text, integer, text) IS 'Internal of set_billing_details(), inside the tenant''s context.';
