-- The tax provider that needs no network: the worked example of the contract. It knows two places.

CREATE OR REPLACE FUNCTION qzpay.sandbox_tax(operation text, question jsonb, provider jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    WITH line AS (
        SELECT (l ->> 'line')::bigint AS line, (l ->> 'amount')::bigint AS amount FROM jsonb_array_elements(question -> 'lines') l
    ), rate AS (
        SELECT r.* FROM (VALUES ('ES', NULL, 'es_iva', 'IVA', 21.0), ('US', 'NY', 'us_ny', 'New York State', 4.0), ('US', 'NY', 'us_nyc', 'New York City', 4.5)) AS r (country, region, code, name, percentage)
        WHERE r.country = upper(question #>> '{customer,address,country}') AND (r.region IS NULL OR r.region = question #>> '{customer,address,region}')
    ), tax AS (
        SELECT u.line, r.code, r.name, r.percentage, u.amount
        FROM rate r CROSS JOIN (SELECT array_agg(l.line ORDER BY l.line) AS lines, array_agg(l.amount ORDER BY l.line) AS amounts FROM line l) a
        CROSS JOIN LATERAL unnest(a.lines, qzpay.tax_amounts(a.amounts, r.percentage)) AS u (line, amount)
    )
    SELECT jsonb_build_object('lines', jsonb_agg(jsonb_build_object('line', l.line, 'taxes', (
               SELECT coalesce(jsonb_agg(jsonb_build_object('code', t.code, 'name', t.name, 'rate', t.percentage, 'inclusive', false, 'amount', t.amount) ORDER BY t.code), '[]')
               FROM tax t WHERE t.line = l.line)) ORDER BY l.line))
    FROM line l
$$;
COMMENT ON FUNCTION qzpay.sandbox_tax(text, jsonb, jsonb) IS
'Request function of the tax provider sandbox_tax: 21 % in Spain, 4 and 4.5 % in the state of New York, nothing elsewhere, added to the price. For tests, and as the example of the contract.';
