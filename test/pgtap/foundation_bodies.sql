-- Bodies are late-bound (tables come with install()), so plpgsql_check reads every PL/pgSQL body against the installed schema.
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE EXTENSION plpgsql_check;
SELECT plan(2);

SELECT is_empty($$
    SELECT p.oid::regprocedure::text, c.lineno, c.level, c.message, c.detail, c.query
    FROM pg_proc p
         JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
         CROSS JOIN LATERAL plpgsql_check_function_tb(p.oid, security_warnings => true, extra_warnings => false) c
    WHERE p.pronamespace = 'qzpay'::regnamespace AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
$$, 'functions and procedures');

-- enforce_limit() is for tables of the application; here it has none.
SELECT is_empty($$
    SELECT p.oid::regprocedure::text, t.tgrelid::regclass::text, c.lineno, c.level, c.message, c.detail, c.query
    FROM pg_proc p
         JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
         JOIN (SELECT DISTINCT tgfoid, tgrelid FROM pg_trigger WHERE NOT tgisinternal) t ON t.tgfoid = p.oid
         CROSS JOIN LATERAL plpgsql_check_function_tb(p.oid, t.tgrelid, security_warnings => true, extra_warnings => false) c
    WHERE p.pronamespace = 'qzpay'::regnamespace
$$, 'trigger functions, on each table they serve');

SELECT * FROM finish();
ROLLBACK;
