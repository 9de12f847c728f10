-- Amounts: currencies, rounding, splitting, rating.
\set VERBOSITY terse
\pset null '(null)'
SELECT qzpay.currency_exponent(c), c FROM unnest('{USD,EUR,ARS,CLP,JPY,KWD,CLF}'::text[]) c;
SELECT qzpay.currency_exponent('usd');
SELECT qzpay.currency_exponent('USDX');
SELECT qzpay.currency_exponent('');
SELECT qzpay.currency_exponent('ZZZ');
SELECT qzpay.currency_exponent(NULL);
SELECT qzpay.format_amount(a, c), a, c FROM (VALUES (9900, 'USD'), (0, 'USD'), (-5, 'USD'), (5, 'CLP'), (1234, 'KWD'),
    (9223372036854775807, 'USD'), (-9223372036854775808, 'USD')) v (a, c);
SELECT qzpay.format_amount(1, 'EURO');

-- One rounding, half away from zero or to even
SELECT x, qzpay.round_amount(x), qzpay.round_amount(x, 'half_even') FROM unnest('{0.5,1.5,2.5,-0.5,-1.5,-2.5,0.49999999999999999,2.500000000000000001,0,-0.4,1000000.50}'::numeric[]) x;
SELECT qzpay.round_amount(9223372036854775807.4), qzpay.round_amount(-9223372036854775808.4);
SELECT qzpay.round_amount(9223372036854775807.5);
SELECT qzpay.round_amount('1e38');
SELECT qzpay.round_amount('1e200');
SELECT qzpay.round_amount('1e-200');
SELECT qzpay.round_amount('0.1234567890123456789');
SELECT qzpay.round_amount('NaN');
SELECT qzpay.round_amount('Infinity');
SELECT qzpay.round_amount('-Infinity');
SELECT qzpay.round_amount(1, 'up');
SELECT qzpay.round_amount(NULL);
-- the stored form of numeric is read as the server reads it: every magnitude and scale, packed in a table and not
CREATE TEMP TABLE numbers (x numeric);
INSERT INTO numbers
SELECT s * (d * power(10::numeric, e)) FROM unnest('{-1,1}'::int[]) s, generate_series(-18, 14) e,
       unnest('{0,1,5,9,10,99,1234,9999,10000,10001,12345678,99999999,100000000}'::numeric[]) d
WHERE d * power(10::numeric, e) = round(d * power(10::numeric, e), 18);
INSERT INTO numbers SELECT x::numeric(30, 15) FROM numbers WHERE abs(x) < 1e14;
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE qzpay.round_amount(x) IS DISTINCT FROM round(x)::bigint) AS packed,
       count(*) FILTER (WHERE qzpay.round_amount(x + 0) IS DISTINCT FROM round(x)::bigint) AS computed FROM numbers WHERE abs(x) < 9e18;
-- and written: what comes back has the value that went in, with no zeros at its end
SELECT count(*) FILTER (WHERE r IS DISTINCT FROM x) AS other_value, count(*) FILTER (WHERE r::text <> trim_scale(x)::text) AS other_text,
       count(*) FILTER (WHERE numeric_send(r) <> numeric_send(trim_scale(x)) OR hash_numeric(r) <> hash_numeric(x)) AS other_form
FROM (SELECT x, qzpay.rate_usage('per_unit', '{"unit_amount": 1}', x) AS r FROM numbers WHERE x >= 0 OFFSET 0) v;
SELECT qzpay.rate_usage('per_unit', '{"unit_amount": 1000000000000}', 12345678901234567890123456);

-- Parts that add up
SELECT qzpay.split_amount(a, w), a, w FROM (VALUES (100, '{1,1,1}'::numeric[]), (-100, '{1,1,1}'), (0, '{0,0}'), (0, '{1,2}'), (10, '{0.1,0.25,0}'), (1, '{0.3,0.3,0.3}'),
    (9223372036854775807, '{1,2}'), (-9223372036854775808, '{1,1,1}'), (7, '{5}'), (10, '{0.000000000000000001,0.000000000000000003}')) v (a, w);
SELECT count(*) FROM generate_series(-50, 50) a, generate_series(1, 7) n
WHERE a <> (SELECT sum(p) FROM unnest(qzpay.split_amount(a, ARRAY(SELECT (i * i % 5 + 0.5) / 3 FROM generate_series(1, n) i)::numeric(12, 6)[])) p);
SELECT qzpay.split_amount(10, '{}');
SELECT qzpay.split_amount(10, '{0,0}');
SELECT qzpay.split_amount(10, '{1,-1}');
SELECT qzpay.split_amount(10, '{1,NaN}');
SELECT qzpay.split_amount(10, '{1,Infinity}');
SELECT qzpay.split_amount(10, '{1,null}');
SELECT qzpay.split_amount(10, '{{1,2},{3,4}}');
SELECT qzpay.split_amount(10, NULL);

-- Rating: the models of the reference
SELECT qzpay.rate_usage('package', '{"amount": 15, "size": 10}', q) FROM unnest('{0,0.001,10,500,501,505}'::numeric[]) q;
SELECT qzpay.rate_usage('package', '{"amount": 15, "size": 10}', 10500, 10000), qzpay.rate_usage('package', '{"amount": 15, "size": 10}', 9999, 10000);
SELECT qzpay.rate_usage('per_unit', '{"unit_amount": 1.5}', 501), qzpay.usage_amount('per_unit', '{"unit_amount": 1.5}', 501),
       qzpay.usage_amount('per_unit', '{"unit_amount": 0.5}', 1, 0, 'half_even');
SELECT qzpay.rate_usage('flat', '{"amount": 700}', q) FROM unnest('{0,1,1000000}'::numeric[]) q;
\set tiers '''{"tiers": [{"up_to": 100, "unit_amount": 10}, {"up_to": 1000, "unit_amount": 5, "flat_amount": 100}, {"up_to": null, "unit_amount": 1}]}'''
SELECT q, qzpay.rate_usage('graduated', :tiers, q) AS graduated, qzpay.rate_usage('volume', :tiers, q) AS volume FROM unnest('{0,1,100,100.5,101,1000,1001,5000.25}'::numeric[]) q;
SELECT qzpay.rate_usage(m, jsonb_build_object('flat_on_zero', z, 'tiers', '[{"up_to": 10, "unit_amount": 1, "flat_amount": 50}, {"unit_amount": 2}]'::jsonb), q) AS amount, m, z, q
FROM unnest('{graduated,volume}'::text[]) m, unnest('{t,f}'::bool[]) z, unnest('{0,1}'::numeric[]) q;
-- many pricings by turns at one call site, each rated by its own
SELECT count(*) FROM generate_series(1, 500) n
WHERE qzpay.rate_usage(CASE n % 2 WHEN 0 THEN 'per_unit' ELSE 'flat' END, jsonb_build_object(CASE n % 2 WHEN 0 THEN 'unit_amount' ELSE 'amount' END, n % 23), 3)
      <> CASE n % 2 WHEN 0 THEN 3 ELSE 1 END * (n % 23);
-- in a table, where the JSON is packed or compressed
CREATE TEMP TABLE offers (model text, pricing jsonb, want numeric);
INSERT INTO offers SELECT 'graduated', jsonb_build_object('tiers', (SELECT jsonb_agg(jsonb_build_object('up_to', NULLIF(i, n) * 10, 'unit_amount', i)) FROM generate_series(1, n) i)), n * 5 * (n + 1)
FROM generate_series(1, 100) n;
SELECT count(*) FROM offers WHERE qzpay.rate_usage(model, pricing, (SELECT jsonb_array_length(pricing -> 'tiers') * 10)) <> want;

CREATE FUNCTION pg_temp.try(model text, pricing jsonb, quantity numeric DEFAULT 1, included numeric DEFAULT 0) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN qzpay.rate_usage(model, pricing, quantity, included);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT pg_temp.try(m, p::jsonb) FROM (VALUES
    ('tiered', '{}'), ('flat', '[]'), ('flat', '1'), ('flat', 'null'), ('flat', '{}'), ('flat', '{"amount": null}'), ('flat', '{"amount": "1"}'), ('flat', '{"amount": -1}'),
    ('flat', '{"amount": 1, "unit_amount": 1}'), ('flat', '{"amount": 1e40}'), ('flat', '{"amount": 1e-30}'), ('flat', '{"amount": 5, "rounding": "half_even"}'),
    ('per_unit', '{"unit_amount": true}'), ('package', '{"amount": 1}'), ('package', '{"amount": 1, "size": 0}'), ('package', '{"amount": 1, "size": -2}'),
    ('graduated', '{}'), ('graduated', '{"tiers": {}}'), ('graduated', '{"tiers": []}'), ('graduated', '{"tiers": [1]}'), ('graduated', '{"tiers": [{"unit_amount": 1, "up_to": 10}]}'),
    ('graduated', '{"tiers": [{"unit_amount": 1}, {"unit_amount": 1}]}'), ('graduated', '{"tiers": [{"unit_amount": 1, "up_to": 10}, {"unit_amount": 1, "up_to": 10}, {"unit_amount": 1}]}'),
    ('graduated', '{"tiers": [{"up_to": 10}, {"unit_amount": 1}]}'), ('volume', '{"tiers": [{"unit_amount": 1}], "flat_on_zero": 1}'), ('volume', '{"tiers": [{"unit_amount": 1, "flat": 3}]}'),
    ('volume', '{"tiers": [{"unit_amount": 1, "flat_amount": -3}]}')) v (m, p);
SELECT pg_temp.try('volume', jsonb_build_object('tiers', (SELECT jsonb_agg('{"unit_amount": 1}'::jsonb) FROM generate_series(1, 101))));
SELECT pg_temp.try('per_unit', '{"unit_amount": 1}', q, i) FROM (VALUES (-1::numeric, 0::numeric), ('NaN', 0), ('Infinity', 0), (1, -1), (1, 'NaN'), (NULL, 0), (1, NULL), ('1e37', 0), ('1e-18', 0), ('1e-19', 0)) v (q, i);
SELECT pg_temp.try('per_unit', '{"unit_amount": 99999999999999}', '1e30'), pg_temp.try('per_unit', '{"unit_amount": 0.000000000001}', 0.0000001);
SELECT qzpay.usage_amount('per_unit', '{"unit_amount": 10}', 1e18);
SELECT qzpay.usage_amount('per_unit', '{"unit_amount": 10}', 1, 0, 'down');
-- an error leaves what a call site keeps as it was
DO $$
DECLARE
    p jsonb;
BEGIN
    FOREACH p IN ARRAY '{"{\"amount\": 1}","{\"amount\": -1}","{\"amount\": 2}","{\"amount\": -1}"}'::jsonb[] LOOP
        BEGIN
            RAISE NOTICE '%', qzpay.rate_usage('flat', p, 1);
        EXCEPTION WHEN SQLSTATE '22023' THEN
            RAISE NOTICE '%', SQLERRM;
        END;
    END LOOP;
END $$;

-- State machines
SELECT qzpay.status_allowed('subscription', 'trialing', 'active'), qzpay.status_allowed('subscription', 'canceled', 'active'), qzpay.status_allowed('invoice', 'open', 'draft');
SELECT qzpay.status_allowed('invoice', 'open', 'lost');
SELECT qzpay.status_allowed('invoice', 'lost', 'open');
SELECT qzpay.status_allowed('order', 'open', 'paid');
-- every value of the enums is known to its machine
SELECT t.typname, e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
WHERE t.typnamespace = 'qzpay'::regnamespace AND qzpay.status_allowed(replace(t.typname, '_status', ''), e.enumlabel, e.enumlabel) IS NULL;
