-- After the rows that install() ships: those are the version's decision, nobody's of this database.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM qzpay._audited_tables() LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER audit AFTER %s ON qzpay.%I FOR EACH ROW %s EXECUTE FUNCTION qzpay._audit_change(%L, %L)',
                       r.events, r.relation, CASE WHEN r.kind = 'customer' THEN 'WHEN (qzpay._in_act())' END, r.kind, r.keys);
    END LOOP;
END $$;

-- Sealing fills in position and hash, once; what is forgotten lies before the beginning of the chain.
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.audit_entries FOR EACH ROW WHEN (NOT qzpay._audit_forgotten(OLD.id)) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.audit_entries FOR EACH ROW
    WHEN (OLD.position IS NOT NULL OR NEW.position IS NULL) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.audit_entries FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('position', 'hash');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.audit_entries FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();

-- Erasure takes personal data out; that is the only change.
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.audit_personal FOR EACH ROW WHEN (NOT qzpay._audit_forgotten(OLD.entry_id)) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_update BEFORE UPDATE ON qzpay.audit_personal FOR EACH ROW
    WHEN (OLD.erased_at IS NOT NULL OR NEW.erased_at IS NULL) EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER b_immutable BEFORE UPDATE ON qzpay.audit_personal FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('data', 'salt', 'erased_at');
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.audit_personal FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();

CREATE OR REPLACE TRIGGER append_only BEFORE DELETE ON qzpay.audit_head FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
CREATE OR REPLACE TRIGGER append_only_truncate BEFORE TRUNCATE ON qzpay.audit_head FOR EACH STATEMENT EXECUTE FUNCTION qzpay._append_only();
