-- Tax rates in the catalog document: what a document changes, what it cannot, and that an export imports without a change, here and elsewhere.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
SELECT count(*) FROM qzpay.import_catalog('{"plans": [{"id": "pro", "name": "Pro", "prices": {"month": {"amount": 9900, "currency": "USD"}}}]}') \g /dev/null
UPDATE qzpay.sellers SET timezone = 'America/Argentina/Buenos_Aires' WHERE is_default;

-- What an import does, in lines; a refusal as its path and message.
CREATE FUNCTION pg_temp.import(doc jsonb, strict boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_path text;
BEGIN
    RETURN coalesce((SELECT string_agg(concat_ws(' ', x.action, x.kind, x.code, x.before, CASE WHEN x.action = 'warning' THEN x.after - 'path' ELSE x.after END), ', ' ORDER BY x.code, x.action) FROM qzpay.import_catalog(doc, strict => strict) x), 'nothing');
EXCEPTION WHEN SQLSTATE 'QZ601' THEN
    GET STACKED DIAGNOSTICS v_path = PG_EXCEPTION_DETAIL;
    RETURN v_path || ': ' || replace(SQLERRM, 'invalid catalog document: ', '');
END $$;
CREATE FUNCTION pg_temp.rates(rate text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', r.percentage, r.name, r.valid_from, 'to', r.valid_until), ', ' ORDER BY r.valid_from) FROM qzpay.tax_rates r WHERE r.code = rate
$$;
CREATE FUNCTION pg_temp.taxes() RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('taxRates', coalesce(qzpay.export_catalog() -> 'taxRates', '[]')) $$;

-- 1. A rate, and what a document says of it later
SELECT is(pg_temp.import('{"taxRates": [{"id": "es_iva", "name": "IVA", "percentage": 21.0, "country": "es"}]}'), 'create tax_rate es_iva {"name": "IVA", "country": "ES", "percentage": 21}', 'a rate is made');
SELECT is(pg_temp.rates('es_iva'), '21 IVA -infinity to infinity', 'for all time');
SELECT is(pg_temp.import('{"taxRates": {"es_iva": {"name": "IVA", "tax": "es_iva", "percentage": 21, "inclusive": false, "automatic": true, "country": "ES", "products": [], "seller": null}}}'), 'nothing', 'said again in other words, nothing changes');
SELECT is(pg_temp.import('{"taxRates": [{"id": "es_iva", "percentage": 21, "country": "ES"}]}'), 'update tax_rate es_iva {"name": "IVA"} {"name": null}', 'its name may change');
SELECT is((SELECT count(*) FROM qzpay.import_catalog('{"taxRates": [{"id": "es_iva", "percentage": 22, "country": "ES"}]}', dry_run => true)), 1::bigint, 'a dry run tells of another percentage');
SELECT is(pg_temp.rates('es_iva'), '21 es_iva -infinity to infinity', 'and writes nothing');
SELECT is(regexp_replace(pg_temp.import('{"taxRates": [{"id": "es_iva", "percentage": 22, "country": "ES"}]}'), '20[0-9T:.-]+Z', 'NOW', 'g'), 'create tax_rate es_iva/NOW {"country": "ES", "validFrom": "NOW", "percentage": 22}', 'another percentage is a version from now on');
SELECT is(pg_temp.rates('es_iva'), format('21 es_iva -infinity to %s, 22 es_iva %1$s to infinity', qzpay.now()), 'and ends the one before');
SELECT is(pg_temp.import('{"taxRates": [{"id": "es_iva", "percentage": 22, "country": "ES"}]}'), 'nothing', 'once');
SELECT is(pg_temp.import(pg_temp.taxes()), 'nothing', 'the export changes nothing');
SELECT is(pg_temp.import('{"taxRates": []}') || pg_temp.import('{}'), 'nothingnothing', 'what a document does not name stays');

-- 2. Versions with dates: a date is the seller's day, and an end includes its day
SELECT is(pg_temp.import('{"taxRates": [
    {"id": "ar_iva", "percentage": 10.5, "inclusive": true, "country": "AR", "region": "CABA", "products": ["pro", "pro"], "categories": ["b", "a"], "seller": "default", "automatic": false, "tax": "iva", "validFrom": "2024-01-01", "validUntil": "2024-12-31"},
    {"id": "ar_iva", "percentage": 21, "inclusive": true, "country": "AR", "validFrom": "2025-01-01", "validUntil": "2030-06-30"},
    {"id": "ar_iva", "percentage": 27, "inclusive": true, "country": "AR", "validFrom": "2031-01-01T00:00:00Z"}]}'),
    'create tax_rate ar_iva/2024-01-01T03:00:00Z {"tax": "iva", "region": "CABA", "seller": "default", "country": "AR", "products": ["pro"], "automatic": false, "inclusive": true, "validFrom": "2024-01-01T03:00:00Z", "categories": ["a", "b"], "percentage": 10.5}, '
    'create tax_rate ar_iva/2025-01-01T03:00:00Z {"country": "AR", "inclusive": true, "validFrom": "2025-01-01T03:00:00Z", "percentage": 21, "validUntil": "2030-07-01T03:00:00Z"}, '
    'create tax_rate ar_iva/2031-01-01T00:00:00Z {"country": "AR", "inclusive": true, "validFrom": "2031-01-01T00:00:00Z", "percentage": 27}', 'three versions, with a gap');
SELECT is(pg_temp.rates('ar_iva'), '10.5 ar_iva 2024-01-01 03:00:00+00 to 2025-01-01 03:00:00+00, 21 ar_iva 2025-01-01 03:00:00+00 to 2030-07-01 03:00:00+00, 27 ar_iva 2031-01-01 00:00:00+00 to infinity', 'as they are said');
SELECT is((SELECT concat_ws(' ', r.tax, r.region, r.products, r.categories, r.inclusive, r.automatic, s.code) FROM qzpay.tax_rates r JOIN qzpay.sellers s ON s.id = r.seller_id WHERE r.code = 'ar_iva' AND r.percentage = 10.5), 'iva CABA {pro} {a,b} t f default', 'with all that set_tax_rate() knows');
SELECT is(pg_temp.import('{"taxRates": [{"id": "ar_iva", "percentage": 21, "inclusive": true, "country": "AR", "validFrom": "2025-01-01"}]}'), 'update tax_rate ar_iva/2025-01-01T03:00:00Z {"validUntil": "2030-07-01T03:00:00Z"} {"validUntil": null}', 'an end that is not said any more is none');
SELECT is(pg_temp.rates('ar_iva'), '10.5 ar_iva 2024-01-01 03:00:00+00 to 2025-01-01 03:00:00+00, 21 ar_iva 2025-01-01 03:00:00+00 to 2031-01-01 00:00:00+00, 27 ar_iva 2031-01-01 00:00:00+00 to infinity', 'but where the next version begins');
SELECT is(pg_temp.import('{"taxRates": [{"id": "es_iva", "percentage": 22, "country": "ES", "validUntil": "2999-12-31"}]}') ~ '^update tax_rate es_iva/\S+ {"validUntil": null} {"validUntil": "3000-01-01T03:00:00Z"}$', true, 'the version that runs gets an end');
SELECT is(pg_temp.import(pg_temp.taxes()), 'nothing', 'the export changes nothing, ends and all');
SELECT is(jsonb_array_length(pg_temp.taxes() -> 'taxRates'), 5, 'it has every version');
-- a rate that has ended begins anew
SELECT qzpay.set_tax_rate('fr_tva', 20, country => 'FR', valid_from => '2020-01-01') \g /dev/null
SELECT qzpay.end_tax_rate('fr_tva', '2021-01-01') \g /dev/null
SELECT is(pg_temp.import(pg_temp.taxes()), 'nothing', 'one that has ended is exported with its end');
SELECT is(pg_temp.import('{"taxRates": [{"id": "fr_tva", "percentage": 20, "country": "FR"}]}') ~ '^create tax_rate fr_tva/', true, 'said without an end, it begins anew');
SELECT is(pg_temp.rates('fr_tva'), format('20 fr_tva 2020-01-01 00:00:00+00 to 2021-01-01 00:00:00+00, 20 fr_tva %s to infinity', qzpay.now()), 'now, and not in the gap');
SELECT is(pg_temp.import('{"taxRates": [{"id": "fr_tva", "percentage": 20, "country": "FR"}]}'), 'nothing', 'once');

-- 3. Elsewhere: the same document makes the same rates.
SELECT pg_temp.taxes() AS exported \gset
SET LOCAL session_replication_role = replica;
DELETE FROM qzpay.tax_rates;
SET LOCAL session_replication_role = origin;
SELECT is(pg_temp.taxes(), '{"taxRates": []}', 'an installation without rates');
SELECT is((SELECT count(*) FROM qzpay.import_catalog(:'exported')), 7::bigint, 'takes them');
SELECT is(pg_temp.taxes(), :'exported'::jsonb, 'all of them, as they were');
SELECT is(pg_temp.import(:'exported'), 'nothing', 'once');

-- 4. What is refused, with its path
SELECT is(pg_temp.import(doc::jsonb), fault, fault) FROM (VALUES
    ('{"taxRates": [{"percentage": 1}]}', 'taxRates[0].id: "id" is missing'),
    ('{"taxRates": [{"id": "x"}]}', 'taxRates[0].percentage: "percentage" is missing'),
    ('{"taxRates": [{"id": "x", "percentage": null}]}', 'taxRates[0].percentage: "percentage" is missing'),
    ('{"taxRates": [{"id": "x", "percentage": "21"}]}', 'taxRates[0].percentage: a number is wanted, not "21"'),
    ('{"taxRates": [{"id": "x", "percentage": -1}]}', 'taxRates[0].percentage: -1 is not an allowed quantity'),
    ('{"taxRates": [{"id": "x", "percentage": 1000.1}]}', 'taxRates[0].percentage: tax rate "x" cannot be 1000.1 percent'),
    ('{"taxRates": [{"id": "x", "percentage": 0.0000001}]}', 'taxRates[0].percentage: tax rate "x" cannot be 0.0000001 percent'),
    ('{"taxRates": [{"id": "a/b", "percentage": 1}]}', 'taxRates[0].id: a code is wanted, not "a/b"'),
    ('{"taxRates": [{"id": "x", "percentage": 1, "country": "ESP"}]}', 'taxRates[0].country: tax rate "x" has no such place'),
    ('{"taxRates": [{"id": "x", "percentage": 1, "region": "NY"}]}', 'taxRates[0].region: tax rate "x" has no such place'),
    ('{"taxRates": {"x": {"percentage": 1, "seller": "nobody"}}}', 'taxRates.x.seller: unknown seller "nobody"'),
    ('{"taxRates": [{"id": "x", "percentage": 1, "rate": 2}]}', 'taxRates[0].rate: unknown key "rate"'),
    ('{"taxRates": [{"id": "x", "percentage": 1, "validFrom": "soon"}]}', 'taxRates[0].validFrom: "soon" is neither a date nor an instant'),
    ('{"taxRates": [{"id": "x", "percentage": 1, "validFrom": "2026-02-01", "validUntil": "2026-01-31"}]}', 'taxRates[0].validUntil: it must be after the beginning'),
    ('{"taxRates": [{"id": "x", "percentage": 1}, {"id": "x", "percentage": 2}]}', 'taxRates[1].validFrom: the tax rate "x" has two versions from the same instant'),
    ('{"taxRates": [{"id": "x", "percentage": 1, "validUntil": "2026-01-31"}, {"id": "x", "percentage": 2, "validFrom": "2026-01-31"}]}', 'taxRates[0].validUntil: the next version is valid from 2026-01-31T03:00:00Z'),
    ('{"taxRates": [{"id": "ar_iva", "percentage": 20, "inclusive": true, "country": "AR", "validFrom": "2025-01-01"}]}', 'taxRates[0]: tax rate "ar_iva" cannot change from 2025-01-01T03:00:00Z on: that version is there, and says otherwise'),
    ('{"taxRates": [{"id": "ar_iva", "percentage": 20, "inclusive": true, "country": "AR", "validFrom": "2026-01-01"}]}', 'taxRates[0].validFrom: versions follow each other, and the last one of tax rate "ar_iva" is valid from 2031-01-01T00:00:00Z'),
    ('{"taxRates": [{"id": "es_iva", "percentage": 20, "country": "ES"}, {"id": "es_iva", "percentage": 22, "country": "ES", "validFrom": "2099-01-01"}]}', 'taxRates[0]: tax rate "es_iva" cannot change from its beginning on: that version is there, and says otherwise')) v (doc, fault);
SELECT is(pg_temp.taxes(), :'exported'::jsonb, 'and none of them has changed anything');
SELECT throws_ok(q, c, NULL, q) FROM (VALUES ($$ SELECT qzpay.set_tax_rate('a b', 1) $$, '22023'), ($$ SELECT qzpay.set_tax_rate('x', 1000.1) $$, '22023'), ($$ SELECT qzpay.set_tax_rate('x', 'NaN') $$, '22023'),
    ($$ SELECT qzpay.set_tax_rate('x', 1, region => 'NY') $$, '22023'), ($$ SELECT qzpay.set_tax_rate('x', 1, seller => 'nobody') $$, 'QZ404')) v (q, c);
-- what is only mentioned
SELECT is(pg_temp.import('{"taxRates": [{"id": "x", "percentage": 1, "products": ["nothing"]}]}', strict => true), 'taxRates[0].products[0]: unknown product "nothing": the tax rate does not reach it until it exists', 'strict refuses an unknown product');
SELECT is(pg_temp.import('{"taxRates": [{"id": "x", "percentage": 1, "products": ["nothing"]}]}'),
    'create tax_rate x {"products": ["nothing"], "percentage": 1}, warning tax_rate x {"message": "unknown product \"nothing\": the tax rate does not reach it until it exists"}', 'otherwise it is a warning');

-- 5. An administrator imports, and invoices have the tax.
CREATE ROLE catalog_admin IN ROLE qzpay_admin;
SET LOCAL ROLE catalog_admin;
SELECT is(pg_temp.import('{"taxRates": [{"id": "it_iva", "percentage": 22, "country": "IT", "validUntil": "2999-12-31"}]}'), 'create tax_rate it_iva {"country": "IT", "percentage": 22, "validUntil": "3000-01-01T03:00:00Z"}', 'as an administrator');
SELECT throws_ok($$ UPDATE qzpay.tax_rates SET percentage = 1 $$, 'QZ202', NULL, 'who changes no version');
SELECT throws_ok($$ DELETE FROM qzpay.tax_rates $$, 'QZ203', NULL, 'nor removes one');
RESET ROLE;
SELECT id AS c FROM qzpay.sync_customer('italian', address => '{"country": "IT"}', livemode => false) \gset
SELECT is((SELECT total FROM qzpay.charge(:'c', 1000, 'Something')), 1220::bigint, 'an invoice has it');
SELECT is_empty($$ SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass' $$, 'the books agree');
SELECT * FROM finish();
ROLLBACK;
