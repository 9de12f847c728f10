-- The tenant context: whose rows, until when, and what does not change it.
\set VERBOSITY terse
SET client_min_messages = warning;
\set main :DBNAME
CREATE DATABASE regression_context;
\c regression_context
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() \g /dev/null

CREATE ROLE regress_app LOGIN;
CREATE ROLE regress_other_app LOGIN;
CREATE ROLE regress_tenant LOGIN;
CREATE ROLE regress_bound LOGIN;
CREATE ROLE regress_staff LOGIN;
CREATE ROLE regress_nobody LOGIN;
INSERT INTO qzpay.tenants VALUES
    ('aaaaaaaa-0000-4000-8000-000000000001', 'A', '2026-01-01 00:00+00'),
    ('bbbbbbbb-0000-4000-8000-000000000002', 'B', '2026-01-01 00:00+00');
SELECT qzpay.grant_access('regress_app', 'app') \g /dev/null
SELECT qzpay.grant_access('regress_other_app', 'app') \g /dev/null
SELECT qzpay.grant_access('regress_tenant', 'tenant') \g /dev/null
SELECT qzpay.grant_access('regress_bound', 'tenant', 'bbbbbbbb-0000-4000-8000-000000000002') \g /dev/null
SELECT qzpay.grant_access('regress_staff', 'admin') \g /dev/null
-- In PL/pgSQL: the same current_tenant() over and over, in what order we like.
CREATE FUNCTION public.who() RETURNS text LANGUAGE sql AS
    $$ SELECT coalesce((SELECT string_agg(name, ',' ORDER BY name) FROM qzpay.tenants), 'none') $$;
\set a '''aaaaaaaa-0000-4000-8000-000000000001'''
\set b '''bbbbbbbb-0000-4000-8000-000000000002'''

SELECT 'superuser' AS role, who();
SET ROLE regress_staff;
SELECT 'staff' AS role, who();
SET ROLE regress_nobody;
SELECT count(*) FROM qzpay.tenants;
SELECT qzpay.current_tenant();
SET ROLE regress_bound;
SELECT 'bound' AS role, who(), qzpay.current_tenant();
SELECT qzpay.set_tenant(:a);
SELECT qzpay.set_tenant(NULL);
SET ROLE regress_tenant;
SELECT 'tenant' AS role, who(), qzpay.current_tenant();
SELECT qzpay.set_tenant(:a);
SET ROLE regress_app;
SELECT 'app' AS role, who(), qzpay.current_tenant();

-- For the transaction
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
SELECT who();
SELECT qzpay.set_tenant(:b) \g /dev/null
SELECT who();
SELECT qzpay.set_tenant(NULL) \g /dev/null
SELECT who();
SELECT qzpay.set_tenant(:a) \g /dev/null
COMMIT;
SELECT who();
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
ROLLBACK;
SELECT who();

-- Subtransactions: an abort restores, a commit hands on.
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
SAVEPOINT one;
SELECT qzpay.set_tenant(:b) \g /dev/null
SAVEPOINT two;
SELECT qzpay.set_tenant(NULL) \g /dev/null
SELECT who();
ROLLBACK TO two;
SELECT who();
RELEASE two;
ROLLBACK TO one;
SELECT who();
SELECT qzpay.set_tenant(:b) \g /dev/null
RELEASE one;
SELECT who();
SAVEPOINT three;
SELECT qzpay.set_tenant(:a) \g /dev/null
RELEASE three;
SELECT who();
COMMIT;
BEGIN;
SAVEPOINT outer_one;
SAVEPOINT inner_one;
SELECT qzpay.set_tenant(:a) \g /dev/null
RELEASE inner_one;
SELECT who();
ROLLBACK TO outer_one;
SELECT who();
COMMIT;
DO $$ BEGIN
    BEGIN
        PERFORM qzpay.set_tenant('aaaaaaaa-0000-4000-8000-000000000001');
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN
        RAISE WARNING 'after the exception: %', who();
    END;
    PERFORM qzpay.set_tenant('bbbbbbbb-0000-4000-8000-000000000002');
    RAISE WARNING 'in the block: %', who();
END $$;
SELECT who();

-- For the session, with a transaction's over it
SELECT qzpay.set_tenant(:a, false) \g /dev/null
SELECT who();
BEGIN;
SELECT qzpay.set_tenant(:b) \g /dev/null
SELECT who();
COMMIT;
SELECT who();
BEGIN;
SELECT qzpay.set_tenant(NULL) \g /dev/null
SELECT who();
COMMIT;
BEGIN;
SELECT qzpay.set_tenant(:b, false) \g /dev/null
SELECT who();
ROLLBACK;
SELECT who();
BEGIN;
SAVEPOINT s;
SELECT qzpay.set_tenant(:b, false) \g /dev/null
ROLLBACK TO s;
COMMIT;
SELECT who();
-- it belongs to the role that set it
SET ROLE regress_other_app;
SELECT who();
SET ROLE regress_tenant;
SELECT who();
SET ROLE regress_app;
SELECT who();
RESET ROLE;
DISCARD ALL;
SET client_min_messages = warning;
SET ROLE regress_app;
SELECT who();

-- Not while a cursor is open
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
DECLARE c CURSOR FOR SELECT name FROM qzpay.tenants;
SAVEPOINT s;
SELECT qzpay.set_tenant(:b);
ROLLBACK TO s;
FETCH c;
CLOSE c;
SELECT qzpay.set_tenant(:b) \g /dev/null
SELECT who();
COMMIT;
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT 1 LOOP
        PERFORM qzpay.set_tenant('aaaaaaaa-0000-4000-8000-000000000001');
    END LOOP;
END $$;
DO $$
DECLARE
    t uuid;
BEGIN
    FOREACH t IN ARRAY ARRAY['aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000002']::uuid[] LOOP
        PERFORM qzpay.set_tenant(t);
        RAISE WARNING '% is %', t, who();
    END LOOP;
END $$;

-- Prepared statements follow the context; so does a plan kept by PL/pgSQL
PREPARE names AS SELECT name FROM qzpay.tenants;
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
EXECUTE names;
SELECT qzpay.set_tenant(:b) \g /dev/null
EXECUTE names;
COMMIT;
EXECUTE names;
DEALLOCATE names;

-- A definer function keeps the caller's context, and no right to another
RESET ROLE;
CREATE FUNCTION public.definer_choice() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM qzpay.set_tenant('aaaaaaaa-0000-4000-8000-000000000001');
    RETURN 'chosen';
END $$;
SET ROLE regress_tenant;
SELECT definer_choice();

-- Bindings are seen at once, by sessions that have looked before too, and end with the transaction that made them
RESET ROLE;
SET ROLE regress_other_app;
SELECT who();
RESET ROLE;
BEGIN;
INSERT INTO qzpay.tenant_roles VALUES ('regress_other_app', :b);
SET LOCAL ROLE regress_other_app;
SELECT who();
SELECT qzpay.set_tenant(:a);
ROLLBACK;
SET ROLE regress_other_app;
SELECT who();
RESET ROLE;
BEGIN;
SAVEPOINT s;
INSERT INTO qzpay.tenant_roles VALUES ('regress_other_app', :b);
SET LOCAL ROLE regress_other_app;
SELECT who();
ROLLBACK TO s;
SET LOCAL ROLE regress_other_app;
SELECT who();
COMMIT;
ALTER ROLE regress_bound RENAME TO regress_renamed;
SET ROLE regress_renamed;
SELECT who();
RESET ROLE;
ALTER ROLE regress_renamed RENAME TO regress_bound;
SET ROLE regress_bound;
SELECT who();
RESET ROLE;

-- Rights follow memberships
SET ROLE regress_app;
BEGIN;
SELECT qzpay.set_tenant(:a) \g /dev/null
COMMIT;
RESET ROLE;
REVOKE qzpay_app FROM regress_other_app;
GRANT EXECUTE ON FUNCTION qzpay.set_tenant(uuid, boolean) TO regress_other_app;
GRANT USAGE ON SCHEMA qzpay TO regress_other_app;
SET ROLE regress_other_app;
SELECT qzpay.set_tenant(:a);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION qzpay.set_tenant(uuid, boolean) FROM regress_other_app;
REVOKE USAGE ON SCHEMA qzpay FROM regress_other_app;

-- grant_access
\set VERBOSITY sqlstate
SELECT qzpay.grant_access('regress_other_app', 'owner');
SELECT qzpay.grant_access('regress_missing', 'app');
SELECT qzpay.grant_access('qzpay_runner', 'app');
SELECT qzpay.grant_access('regress_other_app', 'app', :a);
SELECT qzpay.grant_access('regress_other_app', 'tenant', 'cccccccc-0000-4000-8000-000000000003');
SELECT qzpay.grant_access('regress_bound', 'tenant', :a);
SELECT qzpay.grant_access('regress_bound', 'tenant', :b);
CREATE ROLE regress_super SUPERUSER;
SELECT qzpay.grant_access('regress_super', 'app');
DROP ROLE regress_super;
SET ROLE regress_app;
SELECT qzpay.grant_access('regress_app', 'admin');
RESET ROLE;

\c :main
SET client_min_messages = warning;
DROP DATABASE regression_context;
DROP ROLE regress_app, regress_other_app, regress_tenant, regress_bound, regress_staff, regress_nobody;
