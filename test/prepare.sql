-- The database of the pgTAP and the isolation tests.
SET client_min_messages = warning;
CREATE EXTENSION pgtap;
CREATE EXTENSION qzpay CASCADE;
