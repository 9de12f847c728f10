-- Everything belongs to qzpay_owner, which is no superuser and is under row security; only the extension itself stays the installer's.
DO $$
DECLARE
    member record;
BEGIN
    FOR member IN
        SELECT 'ROUTINE' AS kind, p.oid::regprocedure::text AS identity
        FROM pg_depend d
             JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'qzpay'
             JOIN pg_proc p ON p.oid = d.objid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
          AND p.proowner <> 'qzpay_owner'::regrole
        UNION ALL
        SELECT 'TYPE', t.oid::regtype::text
        FROM pg_depend d
             JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'qzpay'
             JOIN pg_type t ON t.oid = d.objid
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND d.classid = 'pg_type'::regclass
          AND t.typowner <> 'qzpay_owner'::regrole
          -- array and multirange types follow the type they were made for
          AND t.typtype <> 'm' AND NOT EXISTS (SELECT FROM pg_type el WHERE el.typarray = t.oid)
        ORDER BY 1, 2
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO qzpay_owner', member.kind, member.identity);
    END LOOP;
END
$$;

REVOKE ALL ON ALL ROUTINES IN SCHEMA qzpay FROM PUBLIC;
