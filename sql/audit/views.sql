CREATE OR REPLACE VIEW qzpay.audit_log WITH (security_invoker = true) AS
SELECT e.id, e.recorded_at, e.occurred_at, e.tenant_id, e.customer_id, e.act, e.act_id, e.object, e.object_id, e.operation,
       CASE WHEN e.before IS NOT NULL OR p.data ? 'before' THEN coalesce(e.before, '{}') || coalesce(p.data -> 'before', '{}') END AS before,
       CASE WHEN e.after IS NOT NULL OR p.data ? 'after' THEN coalesce(e.after, '{}') || coalesce(p.data -> 'after', '{}') END AS after,
       e.session_role, e.role, p.data ->> 'actor' AS actor, e.application, p.data ->> 'address' AS client_address, p.erased_at, e.position, e.hash
FROM qzpay.audit_entries e
LEFT JOIN qzpay.audit_personal p ON p.entry_id = e.id;
COMMENT ON VIEW qzpay.audit_log IS
'Who changed what, one row per row changed, in the order of id within a session. Staff reads everything, a tenant what concerns it. Append-only, chained and proved by verify_audit_log().';
COMMENT ON COLUMN qzpay.audit_log.id IS 'The entry; ordered by time.';
COMMENT ON COLUMN qzpay.audit_log.recorded_at IS 'Real start of the transaction that made the change.';
COMMENT ON COLUMN qzpay.audit_log.occurred_at IS 'The same in the time that the customer lives in: that of its test clock, if it has one.';
COMMENT ON COLUMN qzpay.audit_log.tenant_id IS 'Whom it concerns; NULL: the seller''s own decisions, which only staff reads.';
COMMENT ON COLUMN qzpay.audit_log.customer_id IS 'The customer whose row it is; NULL for configuration.';
COMMENT ON COLUMN qzpay.audit_log.act IS 'The public function that was called, the outermost one; direct: the table was written to without one.';
COMMENT ON COLUMN qzpay.audit_log.act_id IS 'The call: the same for every entry of it.';
COMMENT ON COLUMN qzpay.audit_log.object IS 'The table of the row, or what else the act was about: role, audit_head.';
COMMENT ON COLUMN qzpay.audit_log.object_id IS 'Which row: its id, code or name; keys of several columns with a space between them.';
COMMENT ON COLUMN qzpay.audit_log.operation IS 'insert, update or delete of the row; act: what was done is no row.';
COMMENT ON COLUMN qzpay.audit_log.before IS 'The changed columns as they were, with secrets and card numbers as [redacted]; NULL for a new row. Instants in UTC.';
COMMENT ON COLUMN qzpay.audit_log.after IS 'The changed columns as they became; NULL for a row that was removed.';
COMMENT ON COLUMN qzpay.audit_log.session_role IS 'The role that logged in.';
COMMENT ON COLUMN qzpay.audit_log.role IS 'The role it acted as (SET ROLE).';
COMMENT ON COLUMN qzpay.audit_log.actor IS 'Whom the application said it acted for (qzpay.actor); NULL: it said nothing, or it was erased.';
COMMENT ON COLUMN qzpay.audit_log.application IS 'application_name of the session.';
COMMENT ON COLUMN qzpay.audit_log.client_address IS 'Address of the client; NULL on a local socket, or where it was erased.';
COMMENT ON COLUMN qzpay.audit_log.erased_at IS 'When the personal part was erased with its customer.';
COMMENT ON COLUMN qzpay.audit_log.position IS 'Place in the chain; NULL until sealed.';
COMMENT ON COLUMN qzpay.audit_log.hash IS 'SHA-256 of the hash before it, position and entry, in hexadecimal; NULL until sealed.';
