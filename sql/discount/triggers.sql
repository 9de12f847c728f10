CREATE OR REPLACE TRIGGER guard_columns BEFORE UPDATE ON qzpay.redemptions
    FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('state', 'periods_used', 'covered_until', 'amount', 'used_at', 'ended_at');
CREATE OR REPLACE TRIGGER append_only_delete BEFORE DELETE ON qzpay.redemptions FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.redemptions FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.invoice_discounts FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.invoice_discounts FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
