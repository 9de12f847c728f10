-- Two tenants. Nobody below staff reads across, in any table or view, through any function.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
\set catalog `cat examples/asistia/catalog.json`
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null

CREATE TEMP TABLE tenant (name text PRIMARY KEY, tenant_id uuid, customer uuid, subscription uuid, invoice uuid, method uuid);
CREATE TEMP TABLE seen (who text, what text, own bigint, others bigint);
CREATE TEMP TABLE answered (who text, call text, code text);
GRANT ALL ON tenant, seen, answered TO PUBLIC;

CREATE FUNCTION pg_temp.live(tenant_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t tenant;
    clock uuid := qzpay.create_test_clock('2026-01-19 09:00+00', tenant_name);
BEGIN
    t.name := tenant_name;
    SELECT c.id, c.tenant_id INTO t.customer, t.tenant_id FROM qzpay.sync_customer(tenant_name, tenant_name || '@example.org', test_clock => clock) c;
    t.method := qzpay.attach_payment_method(t.customer, 'sandbox', 'tok_ok');
    t.subscription := (qzpay.subscribe(t.customer, 'pro', trial_days => 0)).id;
    PERFORM qzpay.record_usage(t.customer, 'messages', 8000, 'one');
    PERFORM qzpay.advance_test_clock(clock, '2026-02-20 00:00+00');
    SELECT i.id INTO t.invoice FROM qzpay.invoices i WHERE i.customer_id = t.customer ORDER BY i.series_number LIMIT 1;
    INSERT INTO tenant VALUES (t.*);
END $$;
SELECT pg_temp.live('wall_a') \g /dev/null
SELECT pg_temp.live('wall_b') \g /dev/null

-- Counts, in every table and view that has a tenant, the rows of the one and of all others that the current role sees.
CREATE FUNCTION pg_temp.look(who text, own uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rel regclass;
    mine bigint;
    theirs bigint;
BEGIN
    FOR rel IN
        SELECT c.oid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    LOOP
        BEGIN
            EXECUTE format('SELECT count(*) FILTER (WHERE tenant_id = %L), count(*) FILTER (WHERE tenant_id <> coalesce(%L, gen_random_uuid())) FROM %s', own, own, rel) INTO mine, theirs;
            INSERT INTO seen VALUES (who, rel, mine, theirs);
        EXCEPTION WHEN insufficient_privilege THEN
            INSERT INTO seen VALUES (who, rel, 0, 0);
        END;
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.try(who text, call text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    INSERT INTO answered VALUES (who, call, '00000');
EXCEPTION WHEN OTHERS THEN
    INSERT INTO answered VALUES (who, call, SQLSTATE);
END $$;

-- Every public function that names somebody's row, called with the other tenant's.
CREATE FUNCTION pg_temp.knock(who text, t tenant) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    f record;
    arguments text;
BEGIN
    FOR f IN
        SELECT p.oid, p.proname, p.proargtypes, p.pronargs, p.pronargdefaults, p.proargnames, p.prosrc
        FROM pg_proc p WHERE p.pronamespace = 'qzpay'::regnamespace AND p.proname !~ '^_' AND p.prokind = 'f' AND p.pronargs > 0
          AND p.prorettype <> 'trigger'::regtype
          AND p.proargnames[1] IN ('customer', 'subscription', 'invoice', 'payment_method', 'payment', 'attempt', 'refund_request')
    LOOP
        SELECT string_agg(CASE
                   WHEN n = 1 THEN quote_literal(CASE f.proargnames[1] WHEN 'customer' THEN CASE WHEN f.proargtypes[0] = 'text'::regtype THEN t.name ELSE t.customer::text END
                                                 WHEN 'subscription' THEN t.subscription::text WHEN 'invoice' THEN t.invoice::text ELSE t.method::text END)
                        || '::' || f.proargtypes[0]::regtype
                   WHEN f.proargtypes[n - 1] = 'text'::regtype AND f.proargnames[n] IN ('meter') THEN '''messages''::text'
                   WHEN f.proargtypes[n - 1] = 'text'::regtype AND f.proargnames[n] IN ('feature') THEN '''maxBots''::text'
                   WHEN f.proargtypes[n - 1] = 'text'::regtype AND f.proargnames[n] IN ('plan') THEN '''starter''::text'
                   WHEN f.proargtypes[n - 1] IN ('numeric'::regtype, 'int4'::regtype, 'int8'::regtype) THEN '1::' || f.proargtypes[n - 1]::regtype
                   WHEN f.proargtypes[n - 1] = 'timestamptz'::regtype THEN '''2026-02-20''::timestamptz'
                   ELSE 'NULL::' || f.proargtypes[n - 1]::regtype END, ', ' ORDER BY n)
          INTO arguments FROM generate_series(1, f.pronargs - f.pronargdefaults) n;
        PERFORM pg_temp.try(who, format('SELECT * FROM qzpay.%I(%s)', f.proname, arguments));
    END LOOP;
END $$;

DO $$ BEGIN
    CREATE ROLE wall_app LOGIN;
    CREATE ROLE wall_tenant_a LOGIN;
END $$;
SELECT qzpay.grant_access('wall_app', 'app') \g /dev/null
SELECT qzpay.grant_access('wall_tenant_a', 'tenant', (SELECT tenant_id FROM tenant WHERE name = 'wall_a')) \g /dev/null

SET SESSION AUTHORIZATION wall_app;
SELECT pg_temp.look('app, no context', NULL) \g /dev/null
SELECT qzpay.set_tenant((SELECT tenant_id FROM tenant WHERE name = 'wall_a')) \g /dev/null
SELECT pg_temp.look('app in a', (SELECT tenant_id FROM tenant WHERE name = 'wall_a')) \g /dev/null
SELECT pg_temp.knock('app in a', t) FROM tenant t WHERE name = 'wall_b' \g /dev/null
SET SESSION AUTHORIZATION wall_tenant_a;
SELECT pg_temp.look('tenant a', (SELECT tenant_id FROM tenant WHERE name = 'wall_a')) \g /dev/null
SELECT pg_temp.knock('tenant a', t) FROM tenant t WHERE name = 'wall_b' \g /dev/null
SELECT pg_temp.try('tenant a', format('SELECT qzpay.set_tenant(%L)', (SELECT tenant_id FROM tenant WHERE name = 'wall_b'))) \g /dev/null
SELECT pg_temp.try('tenant a', format('UPDATE qzpay.customers SET name = ''x'' WHERE id = %L', (SELECT customer FROM tenant WHERE name = 'wall_a'))) \g /dev/null
SELECT pg_temp.try('tenant a', 'SELECT token FROM qzpay.payment_methods') \g /dev/null
SELECT pg_temp.try('tenant a', 'SELECT qzpay.run_due_jobs()') \g /dev/null
SELECT pg_temp.try('tenant a', 'SELECT qzpay._due_batch(NULL, now(), now(), 1)') \g /dev/null
RESET SESSION AUTHORIZATION;

SELECT is_empty($$ SELECT what, own, others FROM seen WHERE who = 'app, no context' AND own + others > 0 $$, 'an application role without a context reads no row');
SELECT is_empty($$ SELECT who, what, others FROM seen WHERE who <> 'app, no context' AND others > 0 $$, 'within a context nobody reads a row of another tenant');
SELECT isnt_empty($$ SELECT FROM seen WHERE who = 'app in a' AND what = 'qzpay.invoices' AND own = 2 $$, 'an application reads its tenant''s invoices');
SELECT isnt_empty($$ SELECT FROM seen WHERE who = 'tenant a' AND what = 'qzpay.invoices' AND own = 2 $$, 'a tenant reads its own');
SELECT cmp_ok((SELECT count(*) FROM answered WHERE who = 'app in a'), '>', 12::bigint, 'the functions were tried');
SELECT is_empty($$ SELECT who, call, code FROM answered WHERE code NOT IN ('QZ404', 'QZ004', '42501') $$, 'no function answers about another tenant''s rows');
SELECT isnt_empty($$ SELECT FROM answered WHERE who = 'tenant a' AND call LIKE '%has_entitlement%' AND code = 'QZ404' $$, 'it is as if they did not exist');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
