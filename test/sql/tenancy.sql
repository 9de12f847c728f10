-- Wrappers, clocks, walls between tenants, rights, guarded rows, the drop guard.
\set VERBOSITY terse
SET client_min_messages = warning;
\set main :DBNAME
CREATE DATABASE regression_tenancy;
\c regression_tenancy
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SET timezone = 'UTC';
SELECT qzpay.install() \g /dev/null
\set a '''aaaaaaaa-0000-4000-8000-000000000001'''
\set b '''bbbbbbbb-0000-4000-8000-000000000002'''
\set ca '''ca000000-0000-4000-8000-000000000001'''
\set cb '''cb000000-0000-4000-8000-000000000002'''
\set sa '''5a000000-0000-4000-8000-000000000001'''
CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_tenant LOGIN;
CREATE ROLE regress_bound LOGIN;
CREATE ROLE regress_staff LOGIN;
INSERT INTO qzpay.tenants SELECT t, n, '2026-01-01 00:00+00' FROM (VALUES (:a::uuid, 'A'), (:b, 'B')) v (t, n);
INSERT INTO qzpay.test_clocks (id, now_at, created_at) VALUES ('cc000000-0000-4000-8000-000000000001', '2030-01-01 00:00+00', '2026-01-01 00:00+00');
INSERT INTO qzpay.customers (tenant_id, id, external_id, currency, seller_id, livemode, test_clock_id, created_at, updated_at)
SELECT t, c, x, 'USD', s.id, false, k, '2026-01-01 00:00+00', '2026-01-01 00:00+00'
FROM qzpay.sellers s, (VALUES (:a::uuid, :ca::uuid, 'org_a', 'cc000000-0000-4000-8000-000000000001'::uuid), (:b, :cb, 'org_b', NULL)) v (t, c, x, k);
SELECT qzpay.grant_access('regress_app', 'app') \g /dev/null
SELECT qzpay.grant_access('regress_tenant', 'tenant') \g /dev/null
SELECT qzpay.grant_access('regress_bound', 'tenant', :b) \g /dev/null
SELECT qzpay.grant_access('regress_staff', 'admin') \g /dev/null

CREATE FUNCTION public.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text; d text; h text;
BEGIN
    EXECUTE sql;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, m, nullif(d, ''), nullif(h, ''));
END $$;

-- A public function, declared as all are: in C over an internal of the same name.
CREATE FUNCTION qzpay.probe(customer uuid, note text DEFAULT 'hello') RETURNS text
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_customer';
CREATE FUNCTION qzpay._probe(p_customer uuid, p_note text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF p_note = 'fail' THEN
        RAISE EXCEPTION 'failed' USING ERRCODE = 'QZ204';
    ELSIF p_note = 'choose' THEN
        PERFORM qzpay.set_tenant(NULL);
    ELSIF p_note = 'other' THEN
        RETURN qzpay.probe('cb000000-0000-4000-8000-000000000002', 'inner');
    ELSIF p_note = 'caught' THEN
        BEGIN
            PERFORM qzpay.probe(p_customer, 'fail');
        EXCEPTION WHEN SQLSTATE 'QZ204' THEN
            NULL;
        END;
    END IF;
    RETURN format('%s %s sees %s as %s', p_note, (SELECT name FROM qzpay.tenants WHERE tenant_id = qzpay.current_tenant()),
                  (SELECT string_agg(external_id, ',') FROM qzpay.customers), current_user);
END $$;
CREATE FUNCTION qzpay.probe_rows(customer uuid, n int) RETURNS TABLE (i int, tenant text)
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_customer';
CREATE FUNCTION qzpay._probe_rows(p_customer uuid, n int) RETURNS TABLE (i int, tenant text) LANGUAGE sql AS
    $$ SELECT g, t.name FROM generate_series(1, n) g, qzpay.tenants t $$;
CREATE FUNCTION qzpay.probe_record(customer uuid, OUT id uuid, OUT name text)
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_customer';
CREATE FUNCTION qzpay._probe_record(p_customer uuid, OUT id uuid, OUT name text) LANGUAGE plpgsql AS
    $$ BEGIN id := p_customer; name := (SELECT t.name FROM qzpay.tenants t); END $$;
CREATE FUNCTION qzpay.probe_ref(customer text) RETURNS text
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_customer_ref';
CREATE FUNCTION qzpay._probe_ref(p_customer text) RETURNS text LANGUAGE sql AS $$ SELECT t.name FROM qzpay.tenants t $$;
CREATE FUNCTION qzpay.probe_new(external_id text) RETURNS text
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_external_id';
CREATE FUNCTION qzpay._probe_new(p_external_id text) RETURNS text LANGUAGE sql AS
    $$ SELECT CASE WHEN qzpay.current_tenant() = qzpay.uuid_v5(qzpay.installation_id(), p_external_id) THEN 'derived' ELSE qzpay.current_tenant()::text END $$;
CREATE FUNCTION qzpay.probe_strict(customer uuid, n int) RETURNS int
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_customer';
CREATE FUNCTION qzpay._probe_strict(p_customer uuid, n int) RETURNS int LANGUAGE sql STRICT AS $$ SELECT 1 $$;
CREATE FUNCTION qzpay.probe_alone(customer uuid) RETURNS text
    LANGUAGE c SECURITY DEFINER AS 'qzpay', 'qzpay_in_tenant_of_customer';
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'qzpay'::regnamespace AND proname ~ '^_?probe' LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO qzpay_owner', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', f);
    END LOOP;
END $$;

-- every caller works inside the tenant of the id it gave
SELECT qzpay.probe(:ca);
SET ROLE regress_staff;
SELECT qzpay.probe(:cb);
SET ROLE regress_app;
SELECT qzpay.probe(:ca), qzpay.probe(:cb, 'again'), qzpay.current_tenant() IS NULL AS outside;
SELECT * FROM qzpay.probe_rows(:cb, 2);
SELECT (qzpay.probe_rows(:ca, 2)).*;
SELECT * FROM qzpay.probe_record(:ca);
SELECT qzpay.probe_strict(:ca, 5), qzpay.probe_strict(:ca, NULL);
SELECT qzpay.probe_new('anything');
-- and leaves it whatever happens
SELECT qzpay.probe(:ca, 'fail');
SELECT qzpay.current_tenant();
SELECT qzpay.probe(:ca, 'caught');
DO $$ BEGIN
    PERFORM qzpay.probe('ca000000-0000-4000-8000-000000000001', 'fail');
EXCEPTION WHEN SQLSTATE 'QZ204' THEN
    RAISE WARNING 'caught: %, tenant %', SQLERRM, qzpay.current_tenant();
END $$;
-- no way out of it from within
SELECT qzpay.probe(:ca, 'choose');
SELECT qzpay.probe(:ca, 'other');
-- what there is not
\pset tuples_only on
SELECT try($$SELECT qzpay.probe('00000000-0000-4000-8000-000000000000')$$);
SELECT try($$SELECT qzpay.probe(NULL)$$);
SELECT try($$SELECT qzpay.probe_ref('nobody')$$);
SELECT try($$SELECT qzpay.probe_ref(NULL)$$);
SELECT try($$SELECT qzpay.probe_new(NULL)$$);
SELECT try($$SELECT qzpay.probe_alone('ca000000-0000-4000-8000-000000000001')$$);
\pset tuples_only off
-- in a context, only that tenant; the same answer as for an id that isn't
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
SELECT qzpay.probe(:ca);
SELECT qzpay.probe_ref('org_a');
SELECT qzpay.probe_new('anything') = :a;
SAVEPOINT s;
SELECT qzpay.probe(:cb);
ROLLBACK TO s;
SELECT qzpay.probe_ref('org_b');
ROLLBACK TO s;
SELECT qzpay.now(:cb);
ROLLBACK;
-- a tenant's role needs its context
SET ROLE regress_tenant;
SELECT try($$SELECT qzpay.probe('ca000000-0000-4000-8000-000000000001')$$);
SELECT try($$SELECT qzpay.probe('00000000-0000-4000-8000-000000000000')$$);
SELECT qzpay.probe_ref('org_a');
SELECT qzpay.now(:ca);
SET ROLE regress_bound;
SELECT qzpay.probe(:cb), qzpay.probe_ref('org_b');
SELECT qzpay.probe(:ca);
RESET ROLE;

-- an id that exists twice is nobody's
BEGIN;
INSERT INTO qzpay.customers (tenant_id, id, external_id, currency, seller_id, livemode, created_at, updated_at)
SELECT :b, :ca, 'twin', 'USD', s.id, false, '2026-01-01 00:00+00', '2026-01-01 00:00+00' FROM qzpay.sellers s;
\set VERBOSITY sqlstate
SELECT qzpay.probe(:ca);
\set VERBOSITY terse
ROLLBACK;

-- direct scans in loops with exceptions, commits and a table that comes and goes
DO $$ DECLARE r text; BEGIN
    FOR n IN 1 .. 3 LOOP
        BEGIN
            r := qzpay.probe('ca000000-0000-4000-8000-000000000001', CASE WHEN n = 2 THEN 'fail' ELSE 'n' || n END);
        EXCEPTION WHEN SQLSTATE 'QZ204' THEN
            r := 'exception';
        END;
        RAISE WARNING '%: % %', n, r, qzpay.now('ca000000-0000-4000-8000-000000000001');
        COMMIT;
    END LOOP;
END $$;
BEGIN;
SELECT qzpay.now(:ca) IS NOT NULL AS first;
SAVEPOINT s;
SELECT qzpay.now(:ca), 1 / (SELECT 0);
ROLLBACK TO s;
SELECT qzpay.now(:ca);
SELECT 1 / 0;
ROLLBACK;
SELECT qzpay.now(:ca);

-- Clocks
SELECT qzpay.now() = now() AS transaction_start, qzpay.now(:ca), qzpay.now(:cb) = now() AS real, qzpay._recorded_at() = now() AS recorded;
BEGIN;
SELECT qzpay._clock_set('2031-02-03 04:05:06+00') IS NULL AS none_before;
SELECT qzpay.now(), qzpay.now(:ca), qzpay.now(:cb), qzpay._recorded_at() = now() AS recorded, qzpay._real_now() >= now() AS real;
SAVEPOINT s;
SELECT qzpay._clock_set('2032-01-01 00:00+00');
SAVEPOINT t;
SELECT qzpay._clock_set(NULL);
SELECT qzpay.now() = now() AS real;
ROLLBACK TO t;
SELECT qzpay.now();
RELEASE t;
ROLLBACK TO s;
SELECT qzpay.now();
SELECT qzpay._clock_set('2033-01-01 00:00+00');
RELEASE s;
SELECT qzpay.now();
SAVEPOINT u;
SELECT qzpay._clock_set('infinity');
ROLLBACK TO u;
COMMIT;
SELECT qzpay.now() = now() AS real;
SELECT qzpay.now('00000000-0000-4000-8000-000000000000');

-- Catalogs: a private product is seen by its tenant and staff, with all that hangs on it
INSERT INTO qzpay.products (id, tenant_id, code, kind, name, created_at, updated_at) VALUES
    ('9a000000-0000-4000-8000-000000000001', NULL, 'shared', 'plan', 'Shared', '2026-01-01 00:00+00', '2026-01-01 00:00+00'),
    ('9b000000-0000-4000-8000-000000000002', :b, 'private', 'plan', 'Private', '2026-01-01 00:00+00', '2026-01-01 00:00+00');
INSERT INTO qzpay.prices (id, product_id, version, currency, interval_unit, unit_amount, created_at)
SELECT id, id, 1, 'USD', 'month', 100, '2026-01-01 00:00+00' FROM qzpay.products;
CREATE FUNCTION public.offers() RETURNS text LANGUAGE sql AS
    $$ SELECT (SELECT string_agg(code, ',' ORDER BY code) FROM qzpay.products) || ' ' || (SELECT count(*) FROM qzpay.prices) $$;
SELECT offers();
SET ROLE regress_staff;
SELECT offers();
SET ROLE regress_bound;
SELECT offers();
SET ROLE regress_app;
SELECT offers();
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
SELECT offers();
ROLLBACK;

-- Rights: nobody below staff writes, sees tokens, other tables or internals
\set VERBOSITY sqlstate
INSERT INTO qzpay.tenants VALUES (:a, 'x', now());
UPDATE qzpay.customers SET name = 'x';
DELETE FROM qzpay.events;
SELECT token FROM qzpay.payment_methods;
SELECT id, last4 FROM qzpay.payment_methods;
SELECT request FROM qzpay.payment_attempts;
SELECT * FROM qzpay.settings;
SELECT * FROM qzpay.sellers;
SELECT * FROM qzpay.tenant_roles;
SELECT qzpay._clock_set(now());
SELECT qzpay._recorded_at();
SELECT qzpay.install();
SELECT qzpay.upgrade();
CREATE TEMP TABLE mine (tenant_id uuid, id uuid, status text);
CREATE TRIGGER t AFTER UPDATE ON mine FOR EACH ROW EXECUTE FUNCTION qzpay._record_transition('subscription');
RESET ROLE;
SET ROLE regress_staff;
SELECT qzpay.install();
SELECT count(*) FROM qzpay.payment_methods WHERE token = '';
UPDATE qzpay.tenants SET name = name;
UPDATE qzpay.installation SET id = qzpay.uuid_v7();
UPDATE qzpay.events SET type = type;
RESET ROLE;
-- public functions that nobody may call are in no list of grants.sql
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'qzpay'::regnamespace AND p.proname !~ '^_|^probe' AND NOT has_function_privilege('qzpay_admin', p.oid, 'EXECUTE')
  AND p.proname NOT IN ('install', 'upgrade', 'schema_script') ORDER BY 1;
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'qzpay'::regnamespace AND p.proname ~ '^_' AND p.proname !~ '^_probe|^_issue_token$'
  AND (has_function_privilege('qzpay_app', p.oid, 'EXECUTE') OR has_function_privilege('qzpay_tenant', p.oid, 'EXECUTE'));
-- every table is under row security, for its owner too
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity);
-- and belongs to qzpay_owner
SELECT c.oid::regclass FROM pg_class c WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relowner <> 'qzpay_owner'::regrole;

-- Guarded rows
INSERT INTO qzpay.event_types VALUES ('test.event', '{}', 'Test') ON CONFLICT DO NOTHING;
INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, livemode, data, occurred_at, recorded_at)
VALUES (:a, :a, 'test.event', 'test', :a, false, '{}', now(), now());
SELECT try($$UPDATE qzpay.events SET data = '{"x": 1}'$$);
SELECT try($$DELETE FROM qzpay.events$$);
SELECT try($$TRUNCATE qzpay.events$$);
SELECT try($$UPDATE qzpay.prices SET unit_amount = 200 WHERE product_id = '9a000000-0000-4000-8000-000000000001'$$);
SELECT try($$UPDATE qzpay.prices SET active = false WHERE product_id = '9a000000-0000-4000-8000-000000000001'$$);
\set VERBOSITY terse
SELECT unit_amount, active FROM qzpay.prices WHERE product_id = '9a000000-0000-4000-8000-000000000001';

-- The schema once, and again
SELECT qzpay.install();
SELECT qzpay.upgrade(), qzpay.schema_version() = qzpay.library_version() AS current;
BEGIN;
UPDATE qzpay.installation SET schema_version = '99.0.0';
SELECT try('SELECT qzpay._check_schema_version()');
ROLLBACK;
BEGIN;
UPDATE qzpay.installation SET schema_version = '99.0.0';
SELECT try('SELECT qzpay.upgrade()');
ROLLBACK;

-- The extension stays
\set VERBOSITY terse
DROP EXTENSION qzpay;
DROP EXTENSION qzpay CASCADE;
DROP EXTENSION btree_gist CASCADE;
DROP SCHEMA qzpay CASCADE;
\c -
SET client_min_messages = warning;
DROP EXTENSION btree_gist CASCADE;
\c -
SET client_min_messages = error;
DROP SCHEMA qzpay CASCADE;
SELECT count(*) FROM pg_extension WHERE extname = 'qzpay';
-- unless a superuser says so
SET ROLE regress_app;
SET qzpay.allow_drop = on;
RESET ROLE;
BEGIN;
SET LOCAL qzpay.allow_drop = on;
DROP SCHEMA qzpay CASCADE;
SELECT count(*) FROM pg_extension WHERE extname = 'qzpay';
ROLLBACK;
SELECT count(*) FROM pg_extension WHERE extname = 'qzpay';
\c :main
DROP DATABASE regression_tenancy;
DROP ROLE regress_app, regress_tenant, regress_bound, regress_staff;
