\echo Use "CREATE EXTENSION qzpay CASCADE" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;
-- Bodies name tables that install() makes later.
SET LOCAL check_function_bodies = off;

-- The schema may have been made beforehand (pg_restore does); whoever owns it could rename it or drop what is in it,
-- and whoever may create in it could put a function of their own beside ours.
DO $$
DECLARE
    owner name;
    intruder name;
BEGIN
    SELECT r.rolname INTO STRICT owner
    FROM pg_namespace n JOIN pg_authid r ON r.oid = n.nspowner
    WHERE n.nspname = 'qzpay';
    PERFORM FROM pg_authid r
    WHERE r.rolname = owner AND (r.rolsuper OR r.rolname = current_user OR r.rolname = 'qzpay_owner');
    IF NOT found THEN
        RAISE EXCEPTION 'schema qzpay belongs to role "%"', owner
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'It must belong to the installing role, to a superuser or to qzpay_owner.',
                  HINT = 'Drop the schema, or give it to a superuser with ALTER SCHEMA qzpay OWNER TO.';
    END IF;
    SELECT coalesce(r.rolname, 'PUBLIC') INTO intruder
    FROM pg_namespace n
         CROSS JOIN LATERAL aclexplode(n.nspacl) a
         LEFT JOIN pg_authid r ON r.oid = a.grantee
    WHERE n.nspname = 'qzpay' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
      AND NOT coalesce(r.rolsuper OR r.rolname = 'qzpay_owner', false)
    ORDER BY 1
    LIMIT 1;
    IF found THEN
        RAISE EXCEPTION 'schema qzpay is open for objects of %', intruder
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Only superusers and qzpay_owner may create objects in it.',
                  HINT = 'REVOKE CREATE ON SCHEMA qzpay from that role.';
    END IF;
END
$$;

-- Roles belong to the cluster: another database may have made them already, and another one may be making them right now.
DO $$
DECLARE
    want record;
    have pg_authid;
BEGIN
    FOR want IN
        SELECT *
        FROM (VALUES
            ('qzpay_owner'::name, 'NOLOGIN', 'Owns the objects of qzpay; nobody is a member'),
            ('qzpay_admin', 'NOLOGIN', 'Group role of qzpay: staff of the seller'),
            ('qzpay_worker', 'NOLOGIN', 'Group role of qzpay: billing runs and jobs'),
            ('qzpay_app', 'NOLOGIN', 'Group role of qzpay: the application'),
            ('qzpay_tenant', 'NOLOGIN', 'Group role of qzpay: logins bound to one tenant'),
            ('qzpay_runner', 'LOGIN CONNECTION LIMIT 0', 'Background workers of qzpay connect as this role; clients cannot')
        ) AS v (role, attributes, comment)
    LOOP
        PERFORM FROM pg_authid WHERE rolname = want.role;
        IF NOT found THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I %s', want.role, want.attributes);
                EXECUTE format('COMMENT ON ROLE %I IS %L', want.role, want.comment);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;           -- made by another database meanwhile
            END;
        END IF;

        SELECT * INTO STRICT have FROM pg_authid WHERE rolname = want.role;
        IF have.rolsuper OR have.rolcreaterole OR have.rolcreatedb OR have.rolreplication OR have.rolbypassrls
            OR have.rolcanlogin <> (want.role = 'qzpay_runner')
            OR have.rolpassword IS NOT NULL OR (want.role = 'qzpay_runner' AND have.rolconnlimit <> 0)
        THEN
            RAISE EXCEPTION 'role "%" has attributes that qzpay did not give it', want.role
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('Expected: %s, and no password, SUPERUSER, CREATEROLE, CREATEDB, REPLICATION or BYPASSRLS.', want.attributes),
                      HINT = 'Take the attributes away with ALTER ROLE, or drop the role.';
        END IF;
    END LOOP;

    FOR want IN
        SELECT *
        FROM (VALUES ('qzpay_admin'::name), ('qzpay_runner')) AS v (role)
        WHERE NOT EXISTS (SELECT FROM pg_auth_members m
                          WHERE m.roleid = 'qzpay_worker'::regrole AND m.member = v.role::regrole)
    LOOP
        BEGIN
            EXECUTE format('GRANT qzpay_worker TO %I', want.role);
        EXCEPTION WHEN unique_violation THEN
            NULL;
        END;
    END LOOP;

    -- Whoever is a member of these two is above row security, and what they are members of runs users' SQL.
    FOR want IN
        SELECT g.roleid::regrole::name AS role, g.member::regrole::name AS member
        FROM pg_auth_members g
        WHERE g.roleid IN ('qzpay_owner'::regrole, 'qzpay_runner'::regrole)
           OR g.member = 'qzpay_owner'::regrole
           OR (g.member = 'qzpay_runner'::regrole AND g.roleid <> 'qzpay_worker'::regrole)
        ORDER BY 1, 2
    LOOP
        RAISE EXCEPTION 'role "%" is a member of role "%"', want.member, want.role
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'qzpay_owner and qzpay_runner must have no members, and no memberships but that of qzpay_runner in qzpay_worker.',
                  HINT = format('REVOKE %I FROM %I.', want.role, want.member);
    END LOOP;
END
$$;

GRANT USAGE, CREATE ON SCHEMA qzpay TO qzpay_owner;
GRANT USAGE ON SCHEMA qzpay TO qzpay_admin, qzpay_worker, qzpay_app, qzpay_tenant;
COMMENT ON SCHEMA qzpay IS 'SaaS billing: the functions of the extension qzpay and the data that qzpay.install() made';
