CREATE OR REPLACE FUNCTION qzpay.library_version() RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_library_version';
COMMENT ON FUNCTION qzpay.library_version() IS
    'Version of the loaded C library; differs from pg_extension.extversion between installing a release and ALTER EXTENSION qzpay UPDATE.';
