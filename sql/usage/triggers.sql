-- record_usage() writes below the triggers, and takes back only what it has written in the same call; nobody else changes an event.
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE ON qzpay.usage_events FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.usage_events FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
