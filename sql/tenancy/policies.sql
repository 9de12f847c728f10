-- Row security on every table, partitions included; what kind, _secure_table() reads from the table's columns.
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT c.oid::regclass AS name FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.oid
    LOOP
        PERFORM qzpay._secure_table(r.name);
    END LOOP;
END $$;
