CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.ledger_transfers FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.ledger_transfers FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.balance_entries FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.balance_entries FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
