-- LEAKPROOF, so that row security may call it before the user's own conditions: it takes no argument and raises nothing that depends on a row.
CREATE OR REPLACE FUNCTION qzpay.current_tenant() RETURNS uuid
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED LEAKPROOF
    AS 'MODULE_PATHNAME', 'qzpay_current_tenant';
COMMENT ON FUNCTION qzpay.current_tenant() IS
    'The tenant this session acts for, NULL for none: that of the running call, or of set_tenant() or enter(), or the one its role is bound to.';

CREATE OR REPLACE FUNCTION qzpay.set_tenant(tenant uuid, is_local boolean DEFAULT true) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_set_tenant';
COMMENT ON FUNCTION qzpay.set_tenant(uuid, boolean) IS
    'Chooses the tenant for the rest of the transaction, or with is_local => false of the session (until DISCARD ALL); NULL for none. '
    'It counts only while the role stays the same. Errors: 42501 for a role that may not choose, QZ004 inside a call or while a cursor is open.';

CREATE OR REPLACE FUNCTION qzpay.enter(token text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_enter_tenant';
COMMENT ON FUNCTION qzpay.enter(text) IS
    'Enters the tenant of a token for the rest of the transaction: the way in for roles of level tenant, once per transaction. '
    'Errors: QZ005 forged, malformed, expired or of another installation; 42501 another tenant entered already; QZ004 while a cursor is open; 55000 no key configured.';

CREATE OR REPLACE FUNCTION qzpay._issue_token(tenant uuid, seconds integer DEFAULT 300) RETURNS text
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_issued_token';
COMMENT ON FUNCTION qzpay._issue_token(uuid, integer) IS
    'A token with which enter() enters this tenant for so many seconds (at most a day), signed with QZPAY_TOKEN_KEY of the secrets file. For applications and staff. '
    'Errors: QZ404 no such tenant, or not the current one; 22023 bad duration; 55000 no key configured; 42501.';

CREATE OR REPLACE FUNCTION qzpay._customer_id(tenant uuid, external_id text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_derived_uuid';
COMMENT ON FUNCTION qzpay._customer_id(uuid, text) IS 'Id of the customer with this external id in this tenant, whether or not it exists.';

CREATE OR REPLACE FUNCTION qzpay._secure_table(p_table regclass) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $$
DECLARE
    v_root name;
    v_tenant boolean;               -- NULL: no such column; false: it may be NULL
    v_policy name;
BEGIN
    SELECT c.relname INTO STRICT v_root FROM pg_class c
    WHERE c.oid = coalesce((SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = p_table), p_table) AND c.relnamespace = 'qzpay'::regnamespace;
    SELECT a.attnotnull INTO v_tenant FROM pg_attribute a WHERE a.attrelid = p_table AND a.attname = 'tenant_id' AND NOT a.attisdropped;

    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', p_table);
    FOREACH v_policy IN ARRAY '{tenant,staff,owner,catalog}'::name[] LOOP
        EXECUTE format('DROP POLICY IF EXISTS %I ON %s', v_policy, p_table);
    END LOOP;

    EXECUTE format('CREATE POLICY staff ON %s TO qzpay_admin, qzpay_worker USING (true) WITH CHECK (true)', p_table);
    IF v_root IN ('audit_entries', 'audit_personal') THEN
        -- Without a tenant are the decisions of the seller, which are not for tenants to read; written by triggers with the owner's rights.
        EXECUTE format('CREATE POLICY owner ON %s TO qzpay_owner USING (true) WITH CHECK (true)', p_table);
        EXECUTE format('CREATE POLICY tenant ON %s FOR SELECT USING (tenant_id = (SELECT qzpay.current_tenant()))', p_table);
    ELSIF NOT v_tenant THEN
        EXECUTE format('CREATE POLICY tenant ON %s USING (tenant_id IS NULL OR tenant_id = qzpay.current_tenant())
                        WITH CHECK (tenant_id IS NULL OR tenant_id = qzpay.current_tenant())', p_table);
    ELSIF v_root IN ('events', 'invoice_lines', 'ledger_transfers', 'transitions', 'usage_events', 'usage_totals') THEN
        -- A subquery is computed once and leaves large scans parallel; the bare call is cheaper where a few rows are read by key.
        EXECUTE format('CREATE POLICY tenant ON %s USING (tenant_id = (SELECT qzpay.current_tenant())) WITH CHECK (tenant_id = (SELECT qzpay.current_tenant()))', p_table);
    ELSIF v_tenant THEN
        EXECUTE format('CREATE POLICY tenant ON %s USING (tenant_id = qzpay.current_tenant()) WITH CHECK (tenant_id = qzpay.current_tenant())', p_table);
    ELSE
        EXECUTE format('CREATE POLICY owner ON %s TO qzpay_owner USING (true) WITH CHECK (true)', p_table);
        -- What belongs to a product is seen by whoever sees the product.
        IF v_root = 'product_relations' THEN
            EXECUTE format('CREATE POLICY catalog ON %s FOR SELECT USING (EXISTS (SELECT FROM qzpay.products p WHERE p.id = product_id)
                            AND EXISTS (SELECT FROM qzpay.products p WHERE p.id = related_id))', p_table);
        ELSIF v_root IN ('charges', 'prices', 'product_features') THEN
            EXECUTE format('CREATE POLICY catalog ON %s FOR SELECT USING (EXISTS (SELECT FROM qzpay.products p WHERE p.id = product_id))', p_table);
        ELSIF v_root IN ('event_types', 'features', 'ledger_accounts', 'meters') THEN
            EXECUTE format('CREATE POLICY catalog ON %s FOR SELECT USING (true)', p_table);
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._secure_table(regclass) IS
'Puts a table of the schema, or a partition, under row security for everybody: rows of the current tenant, all rows for staff; tables without tenants are for staff and for functions of qzpay_owner, '
'catalog tables also readable as far as their product is. Run again it makes the policies anew.';

CREATE OR REPLACE FUNCTION qzpay.grant_access(role name, level text, tenant uuid DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.grant_access(name, text, uuid) IS
'Gives a role access at a level: admin (all tenants), app (acts for the tenant it sets, or for that of a call), tenant (its own rows: enters by token, or is bound to a tenant for ever). '
'The caller must be a superuser, or have the group roles WITH ADMIN OPTION (42501 otherwise). Errors: 22023 unknown level or a role above row security, 42704 no such role, QZ404 no such tenant, QZ204 bound to another.';

CREATE OR REPLACE FUNCTION qzpay._grant_access(role name, level text, tenant uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_role pg_roles%ROWTYPE;
    v_bound uuid;
BEGIN
    IF level IS NULL OR level NOT IN ('admin', 'app', 'tenant') THEN
        RAISE EXCEPTION 'unknown level "%"', level USING ERRCODE = '22023', HINT = 'The levels are admin, app and tenant.';
    END IF;
    SELECT * INTO v_role FROM pg_roles r WHERE r.rolname = role;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role "%" does not exist', role USING ERRCODE = '42704';
    END IF;
    IF v_role.rolname ~ '^qzpay_' THEN
        RAISE EXCEPTION 'role "%" is qzpay''s own', role USING ERRCODE = '22023', HINT = 'Access is given to login roles of your own.';
    END IF;
    IF level <> 'admin' AND (v_role.rolsuper OR v_role.rolbypassrls) THEN
        RAISE EXCEPTION 'role "%" is above row security', role USING ERRCODE = '22023',
            DETAIL = 'Superusers and roles with BYPASSRLS see the rows of every tenant.', HINT = 'Use a role without these attributes.';
    END IF;
    IF tenant IS NOT NULL AND level <> 'tenant' THEN
        RAISE EXCEPTION 'only a role of level tenant is bound to a tenant' USING ERRCODE = '22023';
    END IF;
    EXECUTE format('GRANT %I TO %I', 'qzpay_' || level, role);
    IF tenant IS NOT NULL THEN
        IF NOT EXISTS (SELECT FROM qzpay.tenants t WHERE t.tenant_id = tenant) THEN
            RAISE EXCEPTION 'tenant % not found', tenant USING ERRCODE = 'QZ404';
        END IF;
        INSERT INTO qzpay.tenant_roles (role_name, tenant_id) VALUES (role, tenant) ON CONFLICT (role_name) DO NOTHING;
        SELECT t.tenant_id INTO STRICT v_bound FROM qzpay.tenant_roles t WHERE t.role_name = role;
        IF v_bound <> tenant THEN
            RAISE EXCEPTION 'role "%" is bound to another tenant', role USING ERRCODE = 'QZ204', HINT = 'A binding is for ever: use another role.';
        END IF;
    END IF;
    PERFORM qzpay._write_audit(tenant, NULL, 'role', role, 'act', NULL, qzpay._redact_json(jsonb_build_object('level', level)), NULL);
END $$;
COMMENT ON FUNCTION qzpay._grant_access(name, text, uuid) IS 'Internal of grant_access().';
