CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.ledger_transfers FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.ledger_transfers FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.balance_entries FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
-- Erasure takes the words away; that is the only change.
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.balance_entries FOR EACH ROW WHEN (NEW.description IS NOT NULL) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.balance_entries FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('description');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.balance_entries FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.credit_grants FOR EACH ROW
    EXECUTE FUNCTION qzpay._guard_columns('remaining', 'expired_amount', 'closed_at', 'metadata');
CREATE OR REPLACE TRIGGER d_no_delete BEFORE DELETE ON qzpay.credit_grants FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.credit_grants FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.grant_uses FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.grant_uses FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.ledger_transfers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
