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

CREATE OR REPLACE FUNCTION qzpay._customer_id(tenant uuid, external_id text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_derived_uuid';
COMMENT ON FUNCTION qzpay._customer_id(uuid, text) IS 'Id of the customer with this external id in this tenant, whether or not it exists.';
