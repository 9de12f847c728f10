-- The extension as CREATE EXTENSION left it: version, roles, owners, rights.
\set SHOW_CONTEXT never
SELECT extversion = qzpay.library_version() AS same_version, extnamespace::regnamespace, extrelocatable
FROM pg_extension WHERE extname = 'qzpay';

SELECT rolname, rolcanlogin, rolconnlimit, rolpassword IS NULL AS no_password,
       rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS special
FROM pg_authid WHERE rolname LIKE 'qzpay%' ORDER BY rolname;

SELECT roleid::regrole::text AS role, member::regrole::text FROM pg_auth_members
WHERE roleid::regrole::text LIKE 'qzpay%' ORDER BY 1, 2;

-- everything is owned by qzpay_owner and closed to PUBLIC
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.pronamespace = 'qzpay'::regnamespace
  AND (p.proowner <> 'qzpay_owner'::regrole OR has_function_privilege('public', p.oid, 'EXECUTE'));

SELECT r AS role, has_schema_privilege(r, 'qzpay', 'USAGE') AS usage, has_schema_privilege(r, 'qzpay', 'CREATE') AS "create"
FROM unnest(ARRAY['public', 'qzpay_admin', 'qzpay_app', 'qzpay_owner', 'qzpay_tenant', 'qzpay_worker']) r;

-- the parts of the schema
SELECT length(qzpay.schema_script('once')) >= 0 AS once, length(qzpay.schema_script('again')) >= 0 AS again;
SELECT qzpay.schema_script('twice');
