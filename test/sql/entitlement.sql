-- What customers may do: features and limits of plans, add-ons and the default plan, by id and external id; guards; enforce_limit().
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
\set main :DBNAME
DROP DATABASE IF EXISTS regression_entitlement;
CREATE DATABASE regression_entitlement;
\c regression_entitlement
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() \g /dev/null
\set document `cat examples/asistia/catalog.json`
SELECT count(*) > 0 AS imported FROM qzpay.import_catalog(:'document');
CREATE FUNCTION public.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    s text; m text; d text; h text;
BEGIN
    EXECUTE sql;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws(' | ', s || ': ' || m, nullif(d, ''), nullif(h, '')), '[0-9a-f]{8}-[0-9a-f-]{27}', '<id>', 'g');
END $$;
SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT id AS pro FROM qzpay.sync_customer('org_pro', test_clock => :'clock') \gset
SELECT id AS free FROM qzpay.sync_customer('org_free', test_clock => :'clock') \gset
SELECT id AS sub FROM qzpay.subscribe(:'pro', 'pro') \gset

-- features
SELECT f.code, qzpay.has_entitlement(:'pro'::uuid, f.code) AS pro, qzpay.has_entitlement('org_pro', f.code) AS by_name,
       qzpay.has_entitlement(:'pro'::text, f.code) AS by_id_as_text, qzpay.has_entitlement(:'free'::uuid, f.code) AS free
FROM qzpay.features f ORDER BY f.code;
SELECT qzpay.has_entitlement(NULL::uuid, 'canUseApi'), qzpay.has_entitlement('org_pro', NULL);
SELECT try($$ SELECT qzpay.has_entitlement('org_pro', 'canFly') $$);
SELECT try($$ SELECT qzpay.has_entitlement('org_nobody', 'canUseApi') $$);
SELECT try($$ SELECT qzpay.has_entitlement('00000000-0000-4000-8000-000000000000'::uuid, 'canUseApi') $$);

-- limits: 9 + 1 of 10 is allowed, 10 + 1 is not
SELECT c, l.* FROM unnest(ARRAY[0, 9, 9.5, 10, 11]) c, qzpay.check_limit(:'pro'::uuid, 'maxBots', c) l;
SELECT i, l.* FROM unnest(ARRAY[0, 1, 2]) i, qzpay.check_limit('org_pro', 'maxBots', 9, i) l;
SELECT l.* FROM qzpay.check_limit('org_free', 'maxBots', 0) l;
SELECT l.* FROM qzpay.check_limit('org_pro', 'maxPlugins', 1e9) l;
SELECT l.* FROM qzpay.check_limit('org_free', 'maxPlugins', 0) l;
SELECT l.* FROM qzpay.check_limit('org_free', 'maxPlugins', 0, 0) l;
SELECT f.code, qzpay.feature_limit('org_pro', f.code) AS pro, qzpay.feature_limit(:'free'::uuid, f.code) AS free
FROM qzpay.features f WHERE f.kind = 'limit' ORDER BY f.code;
-- a limit that a meter counts: hard without a charge and in a trial, else what its charge says
SELECT 'free' AS who, l.* FROM qzpay.check_limit('org_free', 'maxMessagesPerMonth', 100) l
UNION ALL SELECT 'trial', l.* FROM qzpay.check_limit('org_pro', 'maxMessagesPerMonth', 10000) l;
SELECT try($$ SELECT qzpay.check_limit('org_pro', 'canUseApi', 1) $$);
SELECT try($$ SELECT qzpay.check_limit('org_pro', 'maxBotz', 1) $$);
SELECT try(format('SELECT qzpay.check_limit(%L, %L, %L)', 'org_pro', 'maxBots', c)) FROM unnest(ARRAY['-1', 'NaN', 'Infinity']) c;
SELECT try($$ SELECT qzpay.check_limit('org_pro', 'maxBots', 1, -1) $$);

-- guards
SELECT try($$ SELECT qzpay.require_entitlement('org_pro', 'canUseApi') $$), try($$ SELECT qzpay.require_entitlement('org_free', 'canUseApi') $$);
SELECT try($$ SELECT qzpay.require_limit('org_pro', 'maxBots', 9) $$), try($$ SELECT qzpay.require_limit('org_pro', 'maxBots', 10) $$);
SELECT try($$ SELECT qzpay.require_active_subscription('org_pro') $$), try($$ SELECT qzpay.require_active_subscription('org_free') $$);
SELECT try($$ SELECT qzpay.require_entitlement(NULL::text, 'canUseApi') $$), try($$ SELECT qzpay.require_limit('org_pro', 'maxBots', NULL) $$),
       try($$ SELECT qzpay.require_active_subscription(NULL::uuid) $$);
SELECT qzpay.has_access('org_pro'), qzpay.has_access(:'free'::uuid);

-- an add-on adds quantity × delta; a plan that contains it grants its features
INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
SELECT s.tenant_id, qzpay.uuid_v7(), s.id, p.id, c.id, 'addon', 3, s.started_at, s.created_at
FROM qzpay.subscriptions s, qzpay.products p JOIN qzpay.prices c ON c.product_id = p.id WHERE s.id = :'sub' AND p.code IN ('extra-bots', 'extra-messages-pack');
SELECT qzpay.feature_limit('org_pro', 'maxBots'), qzpay.feature_limit('org_pro', 'maxMessagesPerMonth');
BEGIN;
INSERT INTO qzpay.features (code, kind, name) VALUES ('canDoCrm', 'boolean', 'CRM');
INSERT INTO qzpay.product_features (product_id, feature_code, enabled) SELECT p.id, 'canDoCrm', true FROM qzpay.products p WHERE p.code = 'plugin-crm';
SELECT qzpay.has_entitlement('org_pro', 'canDoCrm') AS pro_contains_it, qzpay.has_entitlement('org_free', 'canDoCrm') AS free_does_not;
ROLLBACK;
SELECT try($$ SELECT qzpay.has_entitlement('org_pro', 'canDoCrm') $$);
DELETE FROM qzpay.subscription_items i USING qzpay.products p WHERE p.id = i.product_id AND p.kind = 'addon';
SELECT qzpay._refresh_entitlements(array_agg(tenant_id), array_agg(id)) FROM qzpay.customers;

-- an edit of the plan is seen by the next statement, and gone with its (sub)transaction
BEGIN;
UPDATE qzpay.product_features f SET limit_value = 12 FROM qzpay.products p WHERE p.id = f.product_id AND p.code = 'pro' AND f.feature_code = 'maxBots';
SELECT qzpay.feature_limit('org_pro', 'maxBots');
SAVEPOINT s;
UPDATE qzpay.product_features f SET limit_value = 13 FROM qzpay.products p WHERE p.id = f.product_id AND p.code = 'pro' AND f.feature_code = 'maxBots';
SELECT qzpay.feature_limit('org_pro', 'maxBots');
ROLLBACK TO s;
SELECT qzpay.feature_limit('org_pro', 'maxBots');
ROLLBACK;
SELECT qzpay.feature_limit('org_pro', 'maxBots');
BEGIN;
SELECT qzpay.set_setting('default_plan', 'null') \g /dev/null
SELECT l.* FROM qzpay.check_limit('org_free', 'maxBots', 0) l;
SELECT qzpay.has_entitlement('org_free', 'canInviteTeamMembers'), qzpay.feature_limit('org_free', 'maxBots');
ROLLBACK;
-- a row that is missing is computed
BEGIN;
DELETE FROM qzpay.entitlements;
SELECT qzpay.has_entitlement('org_pro', 'canUseApi'), qzpay.has_entitlement(:'pro'::uuid, 'canUseApi'), qzpay.feature_limit('org_free', 'maxBots'), qzpay.feature_limit('org_free', 'maxMessagesPerMonth');
ROLLBACK;
-- access ends at its instant, without a job: 14 days of trial, no card
BEGIN;
UPDATE qzpay.test_clocks SET now_at = '2026-01-19 08:59:59.999999+00';
SELECT qzpay.has_entitlement('org_pro', 'canUseApi'), qzpay.has_access('org_pro'), qzpay.feature_limit('org_pro', 'maxBots');
UPDATE qzpay.test_clocks SET now_at = '2026-01-19 09:00+00';
SELECT qzpay.has_entitlement('org_pro', 'canUseApi'), qzpay.has_access('org_pro'), qzpay.feature_limit('org_pro', 'maxBots');
ROLLBACK;
-- in a statement that is still running, a customer and his rows are as at its start
CREATE FUNCTION public.twice() RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    r boolean[];
BEGIN
    r := ARRAY[qzpay.has_entitlement('org_pro', 'canUseApi')];
    BEGIN
        UPDATE qzpay.test_clocks SET now_at = '2026-01-19 09:00+00';
        r := r || qzpay.has_entitlement('org_pro', 'canUseApi');
        PERFORM 1 / 0;
    EXCEPTION WHEN division_by_zero THEN
        RETURN r || qzpay.has_entitlement('org_pro', 'canUseApi');
    END;
END $$;
SELECT public.twice();
-- in row security of the application's own tables
CREATE ROLE regress_ent_app LOGIN;
SELECT qzpay.grant_access('regress_ent_app', 'app') \g /dev/null
CREATE ROLE regress_ent_tenant LOGIN;
SELECT tenant_id AS free_tenant FROM qzpay.customers WHERE id = :'free' \gset
SELECT tenant_id AS pro_tenant FROM qzpay.customers WHERE id = :'pro' \gset
SELECT qzpay.grant_access('regress_ent_tenant', 'tenant', :'free_tenant') \g /dev/null
CREATE TABLE reports (organization_id text, body text);
INSERT INTO reports VALUES ('org_pro', 'a'), ('org_pro', 'b'), ('org_free', 'c');
ALTER TABLE reports ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON reports USING (qzpay.has_entitlement(organization_id, 'canUseApi'));
GRANT SELECT ON reports TO regress_ent_app;
SET SESSION AUTHORIZATION regress_ent_app;
SELECT * FROM reports ORDER BY body;
SELECT qzpay.has_entitlement('org_pro', 'canUseApi'), (SELECT count(*) FROM qzpay.entitlements) AS rows_seen;
-- a context admits nobody else's
BEGIN;
SELECT qzpay.set_tenant(:'free_tenant') \g /dev/null
SELECT qzpay.has_entitlement('org_free', 'canUseApi');
SELECT try($$ SELECT qzpay.has_entitlement('org_pro', 'canUseApi') $$);
SELECT try(format('SELECT qzpay.has_entitlement(%L::uuid, %L)', :'pro', 'canUseApi'));
COMMIT;
SET SESSION AUTHORIZATION regress_ent_tenant;
SELECT qzpay.feature_limit('org_free', 'maxBots');
SELECT try(format('SELECT qzpay.feature_limit(%L::uuid, %L)', :'pro', 'maxBots'));
RESET SESSION AUTHORIZATION;

-- enforce_limit(): on a table that holds rows already, for every way in which rows come and go
CREATE ROLE regress_ent_plain LOGIN;
CREATE TABLE bots (id integer PRIMARY KEY, organization_id text, name text);
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON bots TO regress_ent_app, regress_ent_plain;
CREATE VIEW counted AS SELECT c.external_id, l.scope, l.used, l.relation FROM qzpay.limit_counters l JOIN qzpay.customers c ON c.tenant_id = l.tenant_id AND c.id = l.customer_id;
INSERT INTO bots SELECT n, 'org_pro' FROM generate_series(1, 4) n;
INSERT INTO bots VALUES (100, 'org_free'), (101, 'org_free'), (102, NULL);
CREATE TRIGGER max_bots AFTER INSERT OR UPDATE OR DELETE ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'organization_id');
SELECT try($$ INSERT INTO bots SELECT n, 'org_pro' FROM generate_series(5, 11) n $$);
SELECT try($$ INSERT INTO bots SELECT n, 'org_pro' FROM generate_series(5, 10) n $$);
SELECT * FROM counted;
SELECT try($$ INSERT INTO bots VALUES (11, 'org_pro') $$);
SELECT try($$ INSERT INTO bots VALUES (103, 'org_free') $$);    -- two of one are there: they stay, none comes
DELETE FROM bots WHERE id IN (9, 10, 100);
SELECT * FROM counted ORDER BY 1;
SELECT try($$ UPDATE bots SET organization_id = 'org_pro' WHERE id = 101 $$), try($$ UPDATE bots SET organization_id = 'org_free' WHERE id IN (1, 2) $$);
SELECT * FROM counted ORDER BY 1;
UPDATE bots SET name = 'x';
SELECT try($$ INSERT INTO bots VALUES (104, 'org_unknown') $$), try($$ INSERT INTO bots VALUES (105, NULL) $$);
-- by id, and by roles that know nothing of qzpay
SELECT try(format('INSERT INTO bots VALUES (106, %L)', :'pro'));
SET SESSION AUTHORIZATION regress_ent_plain;
INSERT INTO bots VALUES (107, 'org_free');
SELECT count(*) FROM bots WHERE organization_id = 'org_free';
INSERT INTO bots VALUES (108, 'org_free');
RESET SESSION AUTHORIZATION;
SELECT * FROM counted ORDER BY 1;
-- add_limit(): statement triggers, and a new count
SELECT qzpay.add_limit('bots', 'maxBots', 'organization_id') \g /dev/null
DROP TRIGGER max_bots ON bots;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'bots'::regclass ORDER BY 1;
SELECT * FROM counted;
SELECT try($$ INSERT INTO bots SELECT n, 'org_pro' FROM generate_series(20, 21) n $$), (SELECT count(*) FROM bots WHERE organization_id IN ('org_pro', (SELECT id::text FROM qzpay.customers WHERE external_id = 'org_pro')));
SELECT try($$ INSERT INTO bots SELECT 22, 'org_pro' UNION ALL SELECT 23, 'org_free' $$);
SELECT * FROM counted ORDER BY 1;
-- a row that moves makes room in the same statement
UPDATE bots SET organization_id = CASE organization_id WHEN 'org_pro' THEN 'org_free' ELSE 'org_pro' END WHERE id IN (3, 107);
SELECT * FROM counted ORDER BY 1;
WITH gone AS (DELETE FROM bots WHERE organization_id = 'org_pro' RETURNING id) SELECT count(*) FROM gone;
SELECT * FROM counted ORDER BY 1;
INSERT INTO bots VALUES (107, 'org_pro') ON CONFLICT (id) DO UPDATE SET organization_id = EXCLUDED.organization_id;
SELECT * FROM counted ORDER BY 1;
TRUNCATE bots;
SELECT * FROM counted;
INSERT INTO bots SELECT n, 'org_pro' FROM generate_series(1, 10) n;
SELECT try($$ INSERT INTO bots VALUES (11, 'org_pro') $$);
COPY bots FROM STDIN;
12	org_pro	x
\.
-- what drifted while triggers were off is counted again
ALTER TABLE bots DISABLE TRIGGER USER;
DELETE FROM bots WHERE id > 3;
ALTER TABLE bots ENABLE TRIGGER USER;
SELECT try($$ INSERT INTO bots VALUES (11, 'org_pro') $$);
SELECT qzpay.recount_limit('bots', 'maxBots') \g /dev/null
SELECT try($$ INSERT INTO bots VALUES (11, 'org_pro') $$);
SELECT * FROM counted;
-- groups: each property has the limit for itself; uuid columns
CREATE TABLE photos (id integer, customer uuid, property integer);
SELECT qzpay.add_limit('photos', 'maxBots', 'customer', 'property') \g /dev/null
INSERT INTO photos SELECT n, :'pro', n % 2 FROM generate_series(1, 20) n;
SELECT try(format('INSERT INTO photos VALUES (21, %L, 1)', :'pro')), try(format('INSERT INTO photos VALUES (21, %L, 2)', :'pro')), try(format('INSERT INTO photos VALUES (21, %L, NULL)', :'pro'));
SELECT * FROM counted WHERE relation = 'photos'::regclass ORDER BY scope;
UPDATE photos SET property = 3 WHERE id <= 4;
SELECT * FROM counted WHERE relation = 'photos'::regclass ORDER BY scope;
-- partitions: the counter is the table's, not the partition's
CREATE TABLE seats (id integer, organization_id text) PARTITION BY RANGE (id);
CREATE TABLE seats_1 PARTITION OF seats FOR VALUES FROM (0) TO (100);
CREATE TABLE seats_2 PARTITION OF seats FOR VALUES FROM (100) TO (200);
INSERT INTO seats VALUES (1, 'org_pro'), (101, 'org_pro');
CREATE TRIGGER max_seats AFTER INSERT OR UPDATE OR DELETE ON seats FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxSeats', 'organization_id');
INSERT INTO seats VALUES (2, 'org_pro'), (102, 'org_pro'), (3, 'org_pro');
SELECT try($$ INSERT INTO seats VALUES (103, 'org_pro') $$), try($$ UPDATE seats SET id = 150 WHERE id = 1 $$);
SELECT * FROM counted WHERE relation = 'seats'::regclass;
-- misuse
SELECT try($$ CREATE TRIGGER t AFTER INSERT ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ CREATE TRIGGER t AFTER INSERT ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'owner'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ CREATE TRIGGER t AFTER INSERT ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBotz', 'organization_id'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ CREATE TRIGGER t AFTER INSERT ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxMessagesPerMonth', 'organization_id'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ CREATE TRIGGER t BEFORE INSERT ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'organization_id'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ CREATE TRIGGER t AFTER INSERT ON bots FOR EACH STATEMENT EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'organization_id'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ CREATE CONSTRAINT TRIGGER t AFTER INSERT ON bots DEFERRABLE FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'organization_id'); INSERT INTO bots VALUES (50, 'org_free') $$);
SELECT try($$ SELECT qzpay.add_limit('bots', 'maxBotz', 'organization_id') $$);
SET SESSION AUTHORIZATION regress_ent_app;
SELECT try($$ SELECT qzpay.recount_limit('bots', 'maxBots') $$);
RESET SESSION AUTHORIZATION;

\c :main
DROP DATABASE regression_entitlement;
DROP ROLE regress_ent_app, regress_ent_tenant, regress_ent_plain;
