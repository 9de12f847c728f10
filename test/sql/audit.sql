-- The audit log as an administrator meets it.
\set VERBOSITY terse
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
\set main :DBNAME
DROP DATABASE IF EXISTS regression_audit;
CREATE DATABASE regression_audit;
\c regression_audit
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() IS NOT NULL AS installed;
SELECT count(*) FROM qzpay.audit_log WHERE act = 'set_setting' AND object_id = 'overage_grace_days';
BEGIN;
SET LOCAL qzpay.actor = 'user_17';
SELECT qzpay.set_setting('overage_grace_days', '10');
COMMIT;
SELECT act, object, object_id, operation, before, after, actor, tenant_id, customer_id, position FROM qzpay.audit_log WHERE object_id = 'overage_grace_days' ORDER BY id;
SELECT qzpay.set_setting('overage_grace_days', '7');
SELECT act, before, after, actor FROM qzpay.audit_log WHERE object_id = 'overage_grace_days' ORDER BY id DESC LIMIT 1;

SELECT entries > 0 AS sealed, length(head), sealed_at IS NOT NULL AS dated FROM qzpay.seal_audit_log();
SELECT * FROM qzpay.verify_audit_log();
SELECT * FROM qzpay.verify_audit_log(1);
SELECT * FROM qzpay.verify_audit_log(1, 'no hash');
SELECT violation, at_position FROM qzpay.verify_audit_log(1000000, repeat('0', 64));
DELETE FROM qzpay.audit_entries;
UPDATE qzpay.audit_entries SET after = '{}' WHERE position = 1;
TRUNCATE qzpay.audit_personal;
SET qzpay.actor = 'a name of more than two hundred and fifty-five bytes ...........................................................................................................................................................................................................';
SELECT qzpay.set_setting('audit_retention_months', '1');

\c :main
DROP DATABASE regression_audit;
