-- Tax rates in the catalog document: one entry for each version of a rate. A version that is there never changes, but for its name and its end.

CREATE OR REPLACE FUNCTION qzpay._catalog_tax_facts(p_code text, p_item jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT qzpay._catalog_prune(
        p_item - '{id,validFrom,validUntil}'::text[]
        || jsonb_build_object('name', nullif(p_item ->> 'name', p_code), 'tax', nullif(p_item ->> 'tax', p_code), 'country', upper(p_item ->> 'country'),
                              'products', (SELECT jsonb_agg(DISTINCT p.code) FROM jsonb_array_elements(nullif(p_item -> 'products', 'null')) p (code)),
                              'categories', (SELECT jsonb_agg(DISTINCT c.name) FROM jsonb_array_elements(nullif(p_item -> 'categories', 'null')) c (name))),
        '{"inclusive": false, "automatic": true}')
$$;
COMMENT ON FUNCTION qzpay._catalog_tax_facts(text, jsonb) IS 'Canonical form of a version of a tax rate, without the instants of its beginning and end.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tax_object(p_code text, p_facts jsonb, p_from timestamptz, p_until timestamptz, p_next timestamptz) RETURNS qzpay._catalog_object
LANGUAGE sql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT ROW('tax_rate', p_code || coalesce('/' || qzpay._catalog_instant_text(f.since), ''), NULL, false,
               p_facts || qzpay._catalog_prune(jsonb_build_object('validFrom', qzpay._catalog_instant_text(f.since),
                                                                  'validUntil', qzpay._catalog_instant_text(CASE WHEN p_until < coalesce(p_next, 'infinity') THEN p_until END))))::qzpay._catalog_object
    FROM (SELECT nullif(p_from, '-infinity') AS since) f
$$;
COMMENT ON FUNCTION qzpay._catalog_tax_object(text, jsonb, timestamptz, timestamptz, timestamptz) IS
'A version of a tax rate as an object of the catalog. That it begins with the first instant there is, or ends where the next one (p_next) begins, or never, is not said.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tax_state() RETURNS TABLE (code text, facts jsonb, valid_from timestamptz, valid_until timestamptz, next_from timestamptz)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT r.code, qzpay._catalog_tax_facts(r.code, jsonb_build_object('name', r.name, 'tax', r.tax, 'percentage', r.percentage, 'inclusive', r.inclusive, 'automatic', r.automatic, 'seller', s.code,
                                                                       'country', r.country, 'region', r.region, 'products', to_jsonb(r.products), 'categories', to_jsonb(r.categories))),
           r.valid_from, r.valid_until, lead(r.valid_from) OVER (PARTITION BY r.code ORDER BY r.valid_from)
    FROM qzpay.tax_rates r LEFT JOIN qzpay.sellers s ON s.id = r.seller_id;
END $$;
COMMENT ON FUNCTION qzpay._catalog_tax_state() IS 'The versions of tax rates that the tables hold, in canonical form, each with the beginning of the next.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tax_rates(p_doc jsonb)
RETURNS TABLE (path text, code text, item jsonb, facts jsonb, valid_from timestamptz, valid_until timestamptz, next_from timestamptz, present jsonb, last_from timestamptz)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH state AS MATERIALIZED (SELECT * FROM qzpay._catalog_tax_state()),
    said AS (
        SELECT e.path, coalesce(e.item ->> 'id', e.key) AS code, e.item, qzpay._catalog_tax_facts(coalesce(e.item ->> 'id', e.key), e.item) AS facts,
               qzpay._catalog_instant(e.item ->> 'validFrom', false) AS valid_from, qzpay._catalog_instant(e.item ->> 'validUntil', true) AS valid_until,
               count(*) OVER (PARTITION BY coalesce(e.item ->> 'id', e.key)) AS versions
        FROM qzpay._catalog_entries('taxRates', p_doc -> 'taxRates') e
    ), begun AS (
        -- Alone and without a beginning it is the version that runs, if that says the same; else it begins now, as by set_tax_rate().
        SELECT s.path, s.code, s.item, s.facts, s.valid_until, l.valid_from AS last_from,
               coalesce(s.valid_from, CASE WHEN l.code IS NULL OR s.versions > 1 THEN '-infinity'
                                           WHEN l.facts - 'name' = s.facts - 'name' AND (l.valid_until > qzpay.now() OR s.valid_until IS NOT NULL) THEN l.valid_from ELSE qzpay.now() END) AS valid_from
        FROM said s LEFT JOIN state l ON l.code = s.code AND l.next_from IS NULL
    )
    SELECT b.path, b.code, b.item, b.facts, b.valid_from, b.valid_until,
           (SELECT min(o.valid_from) FROM (SELECT x.code, x.valid_from FROM begun x UNION ALL SELECT x.code, x.valid_from FROM state x) o WHERE o.code = b.code AND o.valid_from > b.valid_from),
           (SELECT x.facts FROM state x WHERE x.code = b.code AND x.valid_from = b.valid_from), b.last_from
    FROM begun b;
END $$;
COMMENT ON FUNCTION qzpay._catalog_tax_rates(jsonb) IS
'The versions of tax rates in a checked document: from when, until when (NULL: not said), when the next begins, in the document or in the tables; '
'present: what the tables say of this version, NULL where it is new; last_from: beginning of the last version that is there.';

CREATE OR REPLACE FUNCTION qzpay._catalog_tax_faults(p_doc jsonb) RETURNS TABLE (path text, message text)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH rate AS MATERIALIZED (
        SELECT r.*, row_number() OVER (PARTITION BY r.code, r.valid_from ORDER BY r.path COLLATE "C") AS nth FROM qzpay._catalog_tax_rates(p_doc) r
    )
    SELECT r.path || '.id', '"id" is missing' FROM rate r WHERE r.code IS NULL
    UNION ALL
    SELECT r.path || '.validFrom', format('the tax rate "%s" has two versions from the same instant', r.code) FROM rate r WHERE r.nth > 1 AND r.code IS NOT NULL
    UNION ALL
    SELECT r.path || '.' || p.field, p.problem
    FROM rate r CROSS JOIN LATERAL qzpay._tax_rate_problem(coalesce(r.code, 'none'), (r.item ->> 'percentage')::numeric, r.item ->> 'country', r.item ->> 'region') p WHERE p.problem IS NOT NULL
    UNION ALL
    SELECT r.path || '.seller', format('unknown seller "%s"', r.item ->> 'seller') FROM rate r
    WHERE r.item ->> 'seller' IS NOT NULL AND NOT EXISTS (SELECT FROM qzpay.sellers s WHERE s.code = r.item ->> 'seller')
    UNION ALL
    SELECT r.path || '.validUntil', 'it must be after the beginning' FROM rate r WHERE r.valid_until <= r.valid_from
    UNION ALL
    SELECT r.path || '.validUntil', format('the next version is valid from %s', qzpay._catalog_instant_text(r.next_from)) FROM rate r WHERE r.valid_until > r.next_from
    UNION ALL
    SELECT r.path, format('tax rate "%s" cannot change from %s on: that version is there, and says otherwise', r.code, coalesce(qzpay._catalog_instant_text(nullif(r.valid_from, '-infinity')), 'its beginning'))
    FROM rate r WHERE r.present - 'name' <> r.facts - 'name'
    UNION ALL
    SELECT r.path || '.validFrom', format('versions follow each other, and the last one of tax rate "%s" is valid from %s', r.code, coalesce(qzpay._catalog_instant_text(nullif(r.last_from, '-infinity')), 'its beginning'))
    FROM rate r WHERE r.present IS NULL AND r.valid_from <= r.last_from;
END $$;
COMMENT ON FUNCTION qzpay._catalog_tax_faults(jsonb) IS 'Tax rates that set_tax_rate() would refuse, that overlap, or that say something else of a version that is there.';

CREATE OR REPLACE FUNCTION qzpay._catalog_apply_taxes(p_changes qzpay._catalog_change[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay.set_tax_rate(split_part(c.code, '/', 1), (c.body -> 'percentage')::numeric, c.body ->> 'name', (c.body -> 'inclusive')::boolean, c.body ->> 'tax', c.body ->> 'country', c.body ->> 'region',
                               ARRAY(SELECT jsonb_array_elements_text(c.body -> 'products')), ARRAY(SELECT jsonb_array_elements_text(c.body -> 'categories')), c.body ->> 'seller',
                               (c.body -> 'automatic')::boolean, coalesce((c.body ->> 'validFrom')::timestamptz, '-infinity'))
    FROM (SELECT * FROM unnest(p_changes) c WHERE c.kind = 'tax_rate' AND c.action = 'create' ORDER BY (c.body ->> 'validFrom')::timestamptz NULLS FIRST OFFSET 0) c;
    UPDATE qzpay.tax_rates r SET name = coalesce(c.body ->> 'name', r.code),
           valid_until = coalesce((c.body ->> 'validUntil')::timestamptz, (SELECT min(n.valid_from) FROM qzpay.tax_rates n WHERE n.code = r.code AND n.valid_from > r.valid_from), 'infinity')
    FROM unnest(p_changes) c
    WHERE c.kind = 'tax_rate' AND r.code = split_part(c.code, '/', 1) AND r.valid_from = coalesce((c.body ->> 'validFrom')::timestamptz, '-infinity');
END $$;
COMMENT ON FUNCTION qzpay._catalog_apply_taxes(qzpay._catalog_change[]) IS 'Writes the tax rates among the changes of an import: new versions by set_tax_rate(), names and ends of those that are there.';
