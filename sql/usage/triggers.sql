-- record_usage() writes below the triggers, and takes back only what it has written in the same call; nobody else changes an event.
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.usage_events FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
-- Erasure takes the properties away; that is the only change.
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.usage_events FOR EACH ROW
    WHEN (OLD.properties IS NULL OR NEW.properties IS NOT NULL) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.usage_events FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('properties');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.usage_events FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
