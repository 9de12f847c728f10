CREATE OR REPLACE TRIGGER a_status_guard BEFORE UPDATE OF status ON qzpay.payment_attempts FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION qzpay._status_guard('attempt');
-- What is charged, to whom and under which number never changes; how it goes does, until it is over.
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.payment_attempts FOR EACH ROW
    EXECUTE FUNCTION qzpay._guard_columns('status', 'status_reason', 'idempotency_key', 'request', 'provider_ref', 'decline_code', 'decline_class', 'next_action',
                                          'fence', 'leased_by', 'lease_until', 'crash_count', 'lookups', 'next_at', 'first_sent_at', 'settled_at');
CREATE OR REPLACE TRIGGER c_transition AFTER UPDATE OF status ON qzpay.payment_attempts FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION qzpay._record_transition('attempt');
CREATE OR REPLACE TRIGGER d_no_delete BEFORE DELETE ON qzpay.payment_attempts FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.payment_attempts FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.payments FOR EACH ROW
    EXECUTE FUNCTION qzpay._guard_columns('status', 'invoice_id', 'refunded', 'refunding', 'disputed', 'metadata');
CREATE OR REPLACE TRIGGER d_no_delete BEFORE DELETE ON qzpay.payments FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.payments FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.refund_requests FOR EACH ROW
    EXECUTE FUNCTION qzpay._guard_columns('status', 'refunded', 'refunding', 'reason', 'reference', 'settled_at');
-- Erasure takes the words away; that is the only change of them.
CREATE OR REPLACE TRIGGER b_reason BEFORE UPDATE OF reason ON qzpay.refund_requests FOR EACH ROW
    WHEN (NEW.reason IS NOT NULL AND NEW.reason IS DISTINCT FROM OLD.reason) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER d_no_delete BEFORE DELETE ON qzpay.refund_requests FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.refund_requests FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.payment_attempts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
