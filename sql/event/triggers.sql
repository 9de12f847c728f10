CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.events FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
-- Erasure takes personal data out of payloads; that is the only change.
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.events FOR EACH ROW
    WHEN (OLD.data = NEW.data OR NOT OLD.data @> NEW.data) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.events FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('data');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.events FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER keys_by_set AFTER INSERT ON qzpay.events
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._keys_by_set();
