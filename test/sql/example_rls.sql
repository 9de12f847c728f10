-- The example of entitlements in row security says what it promises.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
\set main :DBNAME
DROP DATABASE IF EXISTS regression_rls;
CREATE DATABASE regression_rls;
\c regression_rls
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() \g /dev/null
\i examples/rls/rls.sql
\c :main
DROP DATABASE regression_rls;
DROP ROLE rls_example_app;
