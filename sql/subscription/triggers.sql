-- Names order the triggers of one event: the guard speaks before the derivation.
CREATE OR REPLACE TRIGGER a_status_guard BEFORE UPDATE OF status ON qzpay.subscriptions FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION qzpay._status_guard('subscription');
CREATE OR REPLACE TRIGGER b_derive BEFORE INSERT OR UPDATE ON qzpay.subscriptions FOR EACH ROW EXECUTE FUNCTION qzpay._derive_subscription();
CREATE OR REPLACE TRIGGER c_transition AFTER UPDATE OF status ON qzpay.subscriptions FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION qzpay._record_transition('subscription');
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.transitions FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
-- Erasure takes a reason in somebody's words away; that is the only change.
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.transitions FOR EACH ROW WHEN (NEW.reason IS NOT NULL) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.transitions FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('reason');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.transitions FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
-- What is agreed anew is another item: only how long one holds may change.
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.subscription_items FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('valid_from', 'valid_until', 'metadata');
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.periods
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
