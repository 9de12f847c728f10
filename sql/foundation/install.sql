-- The data of qzpay is no member of the extension but ordinary tables, so that any dump carries it whole; these functions make and upgrade it.

CREATE OR REPLACE FUNCTION qzpay.schema_version() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass('qzpay.installation') IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT i.schema_version FROM qzpay.installation i);
END $$;
COMMENT ON FUNCTION qzpay.schema_version() IS 'Version of the tables, as install() or upgrade() left them; NULL before install().';

CREATE OR REPLACE FUNCTION qzpay._extension_version() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.extversion FROM pg_extension e WHERE e.extname = 'qzpay'
$$;
COMMENT ON FUNCTION qzpay._extension_version() IS 'Version of the extension in this database.';

CREATE OR REPLACE FUNCTION qzpay._check_schema_version() RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_schema text := qzpay.schema_version();
    v_extension text := qzpay._extension_version();
BEGIN
    IF v_schema IS NULL THEN
        RAISE EXCEPTION 'qzpay is not installed in this database' USING ERRCODE = 'QZ002',
            DETAIL = 'The extension is there, its tables are not.', HINT = 'SELECT qzpay.install() as a superuser.';
    END IF;
    IF v_schema IS DISTINCT FROM v_extension OR v_extension IS DISTINCT FROM qzpay.library_version() THEN
        RAISE EXCEPTION 'tables, extension and library of qzpay are of different versions' USING ERRCODE = 'QZ002',
            DETAIL = format('Tables %s, extension %s, library %s.', v_schema, v_extension, qzpay.library_version()),
            HINT = 'ALTER EXTENSION qzpay UPDATE, then SELECT qzpay.upgrade(); sessions that loaded an old library have to reconnect.';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_schema_version() IS 'Raises QZ002 unless the tables are there, and they, the extension and the loaded library are of one version.';

CREATE OR REPLACE FUNCTION qzpay._require_superuser(p_what text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'only a superuser can %', p_what USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._require_superuser(text) IS 'Raises 42501 unless the caller is a superuser.';

CREATE OR REPLACE FUNCTION qzpay.install() RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $$
DECLARE
    v_version text := qzpay._extension_version();
BEGIN
    PERFORM qzpay._require_superuser('install qzpay');
    -- Two at once: the second waits here and then finds the tables.
    PERFORM pg_advisory_xact_lock(hashtextextended('qzpay.install', 0));
    IF to_regclass('qzpay.installation') IS NOT NULL THEN
        RAISE EXCEPTION 'qzpay is installed in this database' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'After ALTER EXTENSION qzpay UPDATE call qzpay.upgrade().';
    END IF;
    EXECUTE qzpay.schema_script('once');
    INSERT INTO qzpay.installation (id, schema_version, installed_at) VALUES (gen_random_uuid(), v_version, qzpay._recorded_at());
    EXECUTE qzpay.schema_script('again');
    RETURN v_version;
END $$;
COMMENT ON FUNCTION qzpay.install() IS
'Makes the tables, triggers, views, policies and grants of qzpay in this database, once, and returns their version. They belong to qzpay_owner and are dumped and restored like any table. '
'Superusers only. Error 55000 where it is installed already.';

CREATE OR REPLACE FUNCTION qzpay.upgrade() RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $$
DECLARE
    v_version text := qzpay._extension_version();
    v_schema text;
BEGIN
    PERFORM qzpay._require_superuser('upgrade qzpay');
    IF to_regclass('qzpay.installation') IS NULL THEN
        RAISE EXCEPTION 'qzpay is not installed in this database' USING ERRCODE = 'QZ002', HINT = 'Call qzpay.install().';
    END IF;
    SELECT i.schema_version INTO STRICT v_schema FROM qzpay.installation i FOR UPDATE;
    IF string_to_array(v_schema, '.')::int[] > string_to_array(v_version, '.')::int[] THEN
        RAISE EXCEPTION 'the tables are of version %, newer than the extension''s %', v_schema, v_version USING ERRCODE = 'QZ002',
            HINT = 'ALTER EXTENSION qzpay UPDATE to that version or a later one first.';
    END IF;
    EXECUTE qzpay.schema_script('again');
    UPDATE qzpay.installation SET schema_version = v_version;
    RETURN v_version;
END $$;
COMMENT ON FUNCTION qzpay.upgrade() IS
'Brings tables, triggers, views, policies and grants to the extension''s version and returns it; call it after ALTER EXTENSION qzpay UPDATE, or again at any time to restore them. '
'Superusers only. QZ002 where nothing is installed or the tables are newer.';
