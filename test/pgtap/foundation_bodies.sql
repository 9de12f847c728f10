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
      -- Run as their caller: the statement is the argument of dry_run(), a constant of check_integrity(), and quoted in add_limit().
      AND NOT (c.level = 'security' AND p.proname IN ('dry_run', 'check_integrity', 'add_limit') AND NOT p.prosecdef)
$$, 'functions and procedures');

-- enforce_limit() is for tables of the application; here it has none.
SELECT is_empty($$
    SELECT p.oid::regprocedure::text, t.tgrelid::regclass::text, c.lineno, c.level, c.message, c.detail, c.query
    FROM pg_proc p
         JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
         JOIN (SELECT tgfoid, tgrelid, max(tgoldtable::text)::name AS tgoldtable, max(tgnewtable::text)::name AS tgnewtable
               FROM pg_trigger WHERE NOT tgisinternal GROUP BY tgfoid, tgrelid) t ON t.tgfoid = p.oid
         CROSS JOIN LATERAL plpgsql_check_function_tb(p.oid, t.tgrelid, oldtable => t.tgoldtable, newtable => t.tgnewtable, security_warnings => true, extra_warnings => false) c
    WHERE p.pronamespace = 'qzpay'::regnamespace
$$, 'trigger functions, on each table they serve');

SELECT * FROM finish();
ROLLBACK;
