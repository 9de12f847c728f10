-- Everything belongs to qzpay_owner, under row security like everybody else.  Before the policies and grants: a grant of the old owner's
-- would leave a GRANT and a REVOKE for each privilege in every dump.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT c.oid::regclass AS name, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
        FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relowner <> 'qzpay_owner'::regrole
        ORDER BY c.oid
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO qzpay_owner', r.kind, r.name);
    END LOOP;
END $$;
