-- The database of the pgTAP and the isolation tests.
SET client_min_messages = warning;
CREATE EXTENSION pgtap;
CREATE EXTENSION qzpay CASCADE;
SELECT to_regprocedure('qzpay.install()') IS NOT NULL AS installs \gset
\if :installs
    \o /dev/null
    SELECT qzpay.install();
    \o
\endif
