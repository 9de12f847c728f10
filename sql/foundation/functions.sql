CREATE OR REPLACE FUNCTION qzpay.library_version() RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_library_version';
COMMENT ON FUNCTION qzpay.library_version() IS
    'Version of the loaded C library; differs from pg_extension.extversion between installing a release and ALTER EXTENSION qzpay UPDATE.';

-- Where the library isn't preloaded, a session that has called nothing of it yet would drop the extension unguarded.
CREATE OR REPLACE FUNCTION qzpay._load_library() RETURNS event_trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_load_library';
COMMENT ON FUNCTION qzpay._load_library() IS
    'Event trigger that loads the library, whose hook refuses to drop the extension unless qzpay.allow_drop is on.';

-- Only what can reach the extension by a cascade: members of extensions cannot be dropped one by one.  Event triggers can't be given away.
CREATE EVENT TRIGGER qzpay_load_library ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP LANGUAGE', 'DROP OWNED', 'DROP SCHEMA')
    EXECUTE FUNCTION qzpay._load_library();
ALTER EVENT TRIGGER qzpay_load_library ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER qzpay_load_library IS
    'Loads the library before commands that could drop the extension qzpay, so that its guard is there.';

CREATE OR REPLACE FUNCTION qzpay.installation_id() RETURNS uuid
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_installation_uuid';
COMMENT ON FUNCTION qzpay.installation_id() IS
    'Identity of this installation, the name space of derived ids. QZ002 before install().';

-- The override is memory of the leader, so everything that looks at it is parallel restricted.
CREATE OR REPLACE FUNCTION qzpay.now() RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_now';
COMMENT ON FUNCTION qzpay.now() IS
    'The time billing goes by: start of the transaction, or what a dry run or an advancing clock says instead.';

CREATE OR REPLACE FUNCTION qzpay.now(customer uuid) RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_now_of_customer';
COMMENT ON FUNCTION qzpay.now(uuid) IS
    'The time this customer lives in: that of its test clock, else qzpay.now(). QZ404 for a customer that does not exist or is another tenant''s.';

CREATE OR REPLACE FUNCTION qzpay._real_now() RETURNS timestamptz
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_real_now';
COMMENT ON FUNCTION qzpay._real_now() IS 'Real time, going on within a transaction: for leases and heartbeats, never for billing.';

CREATE OR REPLACE FUNCTION qzpay._recorded_at() RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_recorded_at';
COMMENT ON FUNCTION qzpay._recorded_at() IS 'Real start of the transaction: what recorded_at columns hold.';

CREATE OR REPLACE FUNCTION qzpay._clock_set(at timestamptz) RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_set_clock';
COMMENT ON FUNCTION qzpay._clock_set(timestamptz) IS
    'Sets what qzpay.now() says until the transaction ends or rolls back to before (NULL: real time again); returns the value before, or NULL. 22008 for an infinite time.';

CREATE OR REPLACE FUNCTION qzpay._is_passing(p_sqlstate text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT left(p_sqlstate, 2) IN ('40', '53', '57', '58') OR p_sqlstate = '55P03'
$$;
COMMENT ON FUNCTION qzpay._is_passing(text) IS
'Whether an error tells of the moment and not of the row at hand: a conflict with another transaction (class 40), a lock not got in time (55P03), want of memory, disk or connections (53), an operator (57), the system (58). '
'Runs that set a failing row aside do not set it aside for these: they end with the error and can be repeated.';

CREATE OR REPLACE FUNCTION qzpay.uuid_v5(namespace uuid, name text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_derived_uuid';
COMMENT ON FUNCTION qzpay.uuid_v5(uuid, text) IS 'Id derived from a name space and a name (RFC 9562, version 5): the same facts give the same id.';

CREATE OR REPLACE FUNCTION qzpay.uuid_v7() RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_new_uuid';
COMMENT ON FUNCTION qzpay.uuid_v7() IS 'New id (RFC 9562, version 7): ordered by time, and strictly rising within a session.';

CREATE OR REPLACE FUNCTION qzpay.contains_pan(value text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_text_contains_pan';
COMMENT ON FUNCTION qzpay.contains_pan(text) IS 'Whether a text holds what passes for a card number: right digits, length, beginning and check digit.';

CREATE OR REPLACE FUNCTION qzpay.redact(value text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_redacted_text';
COMMENT ON FUNCTION qzpay.redact(text) IS 'A text with card numbers and secrets replaced by [redacted]; a secret''s prefix stays.';

-- Trigger functions.  Nobody may execute them: a trigger on a table of one's own would run them with rows one made up.
CREATE OR REPLACE FUNCTION qzpay._append_only() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_append_only';
COMMENT ON FUNCTION qzpay._append_only() IS 'Trigger: refuses UPDATE, DELETE and TRUNCATE (QZ203).';

CREATE OR REPLACE FUNCTION qzpay._guard_columns() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_guard_columns';
COMMENT ON FUNCTION qzpay._guard_columns() IS 'Trigger BEFORE UPDATE: refuses a change of any column but those its arguments name (QZ202).';

CREATE OR REPLACE FUNCTION qzpay._keys_by_set() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_keys_by_set';
COMMENT ON FUNCTION qzpay._keys_by_set() IS
'Trigger AFTER INSERT with the new rows: where qzpay.keys_by_set was on when the statement began, looks up and locks each distinct parent once, in place of the checks by row (23503).';

CREATE OR REPLACE FUNCTION qzpay._status_guard() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_status_guard';
COMMENT ON FUNCTION qzpay._status_guard() IS 'Trigger BEFORE UPDATE OF status: refuses moves that the state machine named by its argument doesn''t have (QZ201).';

CREATE OR REPLACE FUNCTION qzpay._record_transition() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_record_transition';
COMMENT ON FUNCTION qzpay._record_transition() IS
    'Trigger AFTER UPDATE OF status: has _on_transition() write the transition and its events, in the context of the row''s tenant, whoever has updated.';

CREATE OR REPLACE FUNCTION qzpay._derive_subscription() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_derive_subscription';
COMMENT ON FUNCTION qzpay._derive_subscription() IS
    'Trigger BEFORE INSERT OR UPDATE on subscriptions: computes access_until and next_due_at from the other columns.';

CREATE OR REPLACE FUNCTION qzpay._invalidate_catalog() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_invalidate_catalog';
COMMENT ON FUNCTION qzpay._invalidate_catalog() IS
    'Trigger AFTER statement: tells every session that keeps what the table says to read it again.';

CREATE OR REPLACE FUNCTION qzpay._known_timezone(p_name text) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The view reads every zone's file. Only a name with digits or a sign may be a rule of its own (POSIX), which is no zone of a customer.
    IF p_name !~ '^[A-Za-z_]+(/[A-Za-z_]+)+$' AND p_name <> 'UTC' THEN
        RETURN EXISTS (SELECT FROM pg_timezone_names z WHERE z.name = p_name);
    END IF;
    PERFORM '2000-01-01'::timestamp AT TIME ZONE p_name;
    RETURN true;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END $$;
COMMENT ON FUNCTION qzpay._known_timezone(text) IS 'Whether a time zone of this name is known, as in pg_timezone_names.';
