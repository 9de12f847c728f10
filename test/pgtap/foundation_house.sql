-- The rules of the house that the catalog can prove, for whatever the schema holds.
BEGIN;
SELECT plan(11);

CREATE TEMP VIEW routine AS
SELECT p.oid::regprocedure::text AS name, p.*, l.lanname
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'qzpay'::regnamespace;

SELECT isnt_empty('SELECT FROM routine', 'there are routines to look at');

SELECT is_empty($$
    SELECT name FROM routine WHERE proowner <> 'qzpay_owner'::regrole
    UNION ALL
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relowner <> 'qzpay_owner'::regrole
    UNION ALL
    SELECT t.oid::regtype::text FROM pg_type t
    WHERE t.typnamespace = 'qzpay'::regnamespace AND t.typowner <> 'qzpay_owner'::regrole
$$, 'qzpay_owner owns everything');

SELECT is_empty($$
    SELECT name FROM routine WHERE has_function_privilege('public', oid, 'EXECUTE')
    UNION ALL
    SELECT c.oid::regclass::text FROM pg_class c, aclexplode(c.relacl) a
    WHERE c.relnamespace = 'qzpay'::regnamespace AND a.grantee = 0
$$, 'PUBLIC may neither call nor read anything');

SELECT is_empty($$
    SELECT name FROM routine WHERE obj_description(oid, 'pg_proc') IS NULL
    UNION ALL
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
      AND obj_description(c.oid, 'pg_class') IS NULL
    UNION ALL
    SELECT t.oid::regtype::text FROM pg_type t
    WHERE t.typnamespace = 'qzpay'::regnamespace AND t.typtype IN ('e', 'd', 'c') AND obj_description(t.oid, 'pg_type') IS NULL
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
$$, 'every routine, table, view and type has a comment');

SELECT is_empty($$
    SELECT c.oid::regclass::text, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('v', 'm') AND col_description(c.oid, a.attnum) IS NULL
$$, 'every column of every view has a comment');

-- A procedure that commits can neither SET nor be definer.
SELECT is_empty($$
    SELECT name FROM routine
    WHERE lanname IN ('plpgsql', 'sql') AND prosqlbody IS NULL
      AND NOT ('search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}')))
      AND NOT (prokind = 'p' AND prosrc ~* '\mCOMMIT\M' AND NOT prosecdef)
      AND proname <> 'dry_run'     -- runs the caller's statement on the caller's path
$$, 'every SQL and PL/pgSQL body pins its search_path');

SELECT is_empty($$
    SELECT name FROM routine
    WHERE prosecdef AND lanname = 'plpgsql' AND prosrc ~* '\mEXECUTE\M\s+(?!FUNCTION|PROCEDURE|ON)'
      AND proname NOT IN ('install', 'upgrade', 'grant_access', '_make_usage_partition', '_drop_usage_partition')
$$, 'definer code runs no dynamic SQL');

SELECT is_empty($$
    SELECT name FROM routine WHERE proleakproof AND lanname <> 'c'
$$, 'only C functions claim to be leakproof');

SELECT is_empty($$
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind = 'v'
      AND NOT ('security_invoker=true' = ANY (coalesce(c.reloptions, '{}')) OR 'security_invoker=on' = ANY (coalesce(c.reloptions, '{}')))
$$, 'every view is security_invoker');

SELECT is_empty($$
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p')
      AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.attnotnull)
      AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
$$, 'every table of tenants has row security enabled and forced, partitions included');

-- A plan cached by an SQL function keeps the row security of the role it was made for; PL/pgSQL's are made anew for another role.
SELECT is_empty($$
    SELECT r.name, c.relname FROM routine r JOIN pg_class c ON c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    WHERE r.lanname = 'sql' AND r.prosrc ~ ('\mqzpay\.' || c.relname || '\M')
$$, 'no function in SQL reads a table');

SELECT * FROM finish();
ROLLBACK;
