CREATE OR REPLACE TRIGGER a_status_guard BEFORE UPDATE OF status ON qzpay.invoices FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION qzpay._status_guard('invoice');
-- A draft may change; what is finalised only in how it is settled.
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.invoices FOR EACH ROW WHEN (OLD.status <> 'draft')
    EXECUTE FUNCTION qzpay._guard_columns('status', 'status_reason', 'amount_paid', 'amount_in_flight', 'amount_credited', 'amount_written_off',
                                          'paid_at', 'closed_at', 'overdue_at', 'reminders', 'po_number', 'metadata');
-- Erasure takes away what somebody wrote into a document; that is the only change of it.
CREATE OR REPLACE TRIGGER b_po_number BEFORE UPDATE OF po_number ON qzpay.invoices FOR EACH ROW
    WHEN (OLD.status <> 'draft' AND NEW.po_number IS NOT NULL AND NEW.po_number IS DISTINCT FROM OLD.po_number) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER c_transition AFTER UPDATE OF status ON qzpay.invoices FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION qzpay._record_transition('invoice');
CREATE OR REPLACE TRIGGER d_no_delete BEFORE DELETE ON qzpay.invoices FOR EACH ROW WHEN (OLD.status <> 'draft') EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.invoices FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER draft_only BEFORE UPDATE OR DELETE ON qzpay.invoice_lines FOR EACH ROW EXECUTE FUNCTION qzpay._lines_of_draft_only();
CREATE OR REPLACE TRIGGER sums AFTER INSERT ON qzpay.invoice_lines REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._lines_prove_invoice();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.invoice_lines FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.invoice_parties FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.credit_notes FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.credit_notes FOR EACH ROW
    WHEN (NEW.reason IS NOT NULL OR NEW.metadata <> '{}') EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.credit_notes FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('reason', 'metadata');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.credit_notes FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.credit_note_lines FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.credit_note_lines FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER sums AFTER INSERT ON qzpay.credit_note_lines REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._lines_prove_credit_note();
-- Only the end of a rate's time may change.
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.tax_rates FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('valid_until', 'name');
CREATE OR REPLACE TRIGGER d_no_delete BEFORE DELETE ON qzpay.tax_rates FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.tax_rates FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.invoices
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.invoice_parties
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.invoice_lines
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
