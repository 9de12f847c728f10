-- Entitlements in the application's own row security: what a customer has not paid for is not there, whichever client asks.
-- In psql, as a superuser, in a database with qzpay installed:  \i examples/rls/rls.sql
-- Everything is made in the schema rls_example and by one customer on a test clock; DROP SCHEMA rls_example CASCADE removes the tables.
CREATE SCHEMA rls_example;
SET search_path = rls_example;

SELECT count(*) AS changes FROM qzpay.import_catalog('{
    "currency": "USD",
    "plans": [{"id": "rls_basic", "name": "Basic", "prices": {"month": {"amount": 1000}}, "entitlements": {"canSeeReports": false}, "limits": {"maxProjects": 2}},
              {"id": "rls_team", "name": "Team", "prices": {"month": {"amount": 5000}}, "entitlements": {"canSeeReports": true}, "limits": {"maxProjects": 50}}]}');

-- The application's tables. organization_id is the external id of the customer.
CREATE TABLE projects (id integer PRIMARY KEY, organization_id text NOT NULL, name text NOT NULL);
CREATE TABLE reports (id integer PRIMARY KEY, organization_id text NOT NULL, body text NOT NULL);
CREATE INDEX ON reports (organization_id);
CREATE INDEX ON projects (organization_id);
INSERT INTO reports SELECT n, 'rls_org_' || n % 1000, 'report ' || n FROM generate_series(1, 20000) n;
ANALYZE reports;

-- The application says for whom it acts by a setting of its own; row security keeps to it.
CREATE FUNCTION current_organization() RETURNS text STABLE LANGUAGE sql AS $$ SELECT current_setting('rls_example.organization', true) $$;
ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE reports ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON projects USING (organization_id = current_organization());

-- A feature: no reports for who is not entitled to them. The subquery asks once per statement, not once per row.
CREATE POLICY entitled ON reports USING (organization_id = current_organization() AND (SELECT qzpay.has_entitlement(current_organization(), 'canSeeReports')));

-- A limit: a trigger, because row security cannot count exactly under concurrency.
SELECT qzpay.add_limit('projects', 'maxProjects', 'organization_id');

-- The application's role.
CREATE ROLE rls_example_app LOGIN;
SELECT qzpay.grant_access('rls_example_app', 'app');
GRANT USAGE ON SCHEMA rls_example TO rls_example_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON projects, reports TO rls_example_app;

SELECT qzpay.create_test_clock('2026-01-05 09:00+00', 'rls_example') AS clock \gset
SELECT id AS customer FROM qzpay.sync_customer('rls_org_7', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'customer', 'sandbox', 'tok_ok') \g /dev/null
SELECT id AS subscription FROM qzpay.subscribe(:'customer', 'rls_basic', trial_days => 0) \gset

SET ROLE rls_example_app;
SET rls_example.organization = 'rls_org_7';
SELECT count(*) AS reports_on_basic FROM reports;
INSERT INTO projects VALUES (1, 'rls_org_7', 'one'), (2, 'rls_org_7', 'two');
\set ON_ERROR_STOP off
INSERT INTO projects VALUES (3, 'rls_org_7', 'three');
\set ON_ERROR_STOP on
RESET ROLE;

-- An upgrade is effective in the next statement, in every session.
SELECT status, plan FROM qzpay.change_plan(:'subscription', 'rls_team');
SET ROLE rls_example_app;
SELECT count(*) AS reports_on_team FROM reports;
INSERT INTO projects VALUES (3, 'rls_org_7', 'three');

-- What it costs: an index scan by organization below a filter that is computed once (the InitPlan).
EXPLAIN (COSTS OFF) SELECT body FROM reports;

-- The end of the contract is the end of the reports, at that instant, whether or not a job has run.
RESET ROLE;
SELECT status FROM qzpay.cancel(:'subscription', '2026-01-20 09:00+00');
SET ROLE rls_example_app;
SELECT count(*) AS reports_before FROM reports;
RESET ROLE;
UPDATE qzpay.test_clocks SET now_at = '2026-01-20 09:00+00' WHERE id = :'clock';     -- time goes on, no job does
SET ROLE rls_example_app;
SELECT count(*) AS reports_after FROM reports;
RESET ROLE;
RESET rls_example.organization;
RESET search_path;
