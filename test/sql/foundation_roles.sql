-- CREATE EXTENSION refuses a schema or a role that somebody else could use to get at the data.
-- Everything is rolled back: the extension of the other tests stays as it is.
\set SHOW_CONTEXT never
CREATE ROLE regress_qzpay_other;

\set attempt 'BEGIN; SET LOCAL qzpay.allow_drop = on; DROP EXTENSION qzpay;'

-- the schema
:attempt
ALTER SCHEMA qzpay OWNER TO regress_qzpay_other;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
GRANT CREATE ON SCHEMA qzpay TO regress_qzpay_other;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
GRANT CREATE ON SCHEMA qzpay TO PUBLIC;
CREATE EXTENSION qzpay;
ROLLBACK;

-- attributes
:attempt
ALTER ROLE qzpay_owner LOGIN;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
ALTER ROLE qzpay_app BYPASSRLS;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
ALTER ROLE qzpay_runner CONNECTION LIMIT -1;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
ALTER ROLE qzpay_runner PASSWORD 'secret';
CREATE EXTENSION qzpay;
ROLLBACK;

-- members and memberships
:attempt
GRANT qzpay_owner TO regress_qzpay_other;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
GRANT regress_qzpay_other TO qzpay_owner;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
GRANT qzpay_runner TO regress_qzpay_other;
CREATE EXTENSION qzpay;
ROLLBACK;
:attempt
GRANT qzpay_admin TO qzpay_runner;
CREATE EXTENSION qzpay;
ROLLBACK;

-- what a restore or a second database finds is fine: the schema is there, group roles have members
:attempt
ALTER SCHEMA qzpay OWNER TO qzpay_owner;
GRANT qzpay_app TO regress_qzpay_other;
CREATE EXTENSION qzpay;
SELECT count(*) FROM pg_proc WHERE pronamespace = 'qzpay'::regnamespace AND proname = 'library_version';
ROLLBACK;

-- nothing of ours can be put in place beforehand
:attempt
CREATE FUNCTION qzpay.library_version() RETURNS text LANGUAGE sql AS $$ SELECT 'mine'::text $$;
CREATE EXTENSION qzpay;
ROLLBACK;

DROP ROLE regress_qzpay_other;
