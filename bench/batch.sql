-- Events per second of both sides and their ratio, nanoseconds of the backend's processor time per event and their ratio, a row per round; each batch in a transaction
-- of its own.  Both tables begin with an event of a quarter of the customers.  Variables: rounds (up to 39).
\set ON_ERROR_STOP on
CREATE TEMP TABLE times (round integer, side text, took double precision, processor double precision);
CREATE FUNCTION pg_temp.processor() RETURNS bigint LANGUAGE sql AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint $$;
CREATE PROCEDURE pg_temp.measure(rounds integer) LANGUAGE plpgsql AS $$
DECLARE
    b record;
    t timestamptz;
    p bigint;
BEGIN
    FOR round IN 1 .. rounds + 1 LOOP
        FOR b IN SELECT * FROM bench.batches WHERE batch = round ORDER BY side DESC LOOP
            COMMIT;
            t := clock_timestamp();
            p := pg_temp.processor();
            IF b.side = 'qzpay' THEN
                PERFORM status FROM qzpay.record_usage_batch(b.events);
            ELSE
                INSERT INTO bench.events (customer_id, key, meter, quantity)
                SELECT u.c, u.k, 'messages', 1 FROM unnest(b.customers, b.keys) AS u (c, k) ON CONFLICT DO NOTHING;
            END IF;
            COMMIT;
            INSERT INTO times VALUES (round, b.side, extract(epoch FROM clock_timestamp() - t), pg_temp.processor() - p);
        END LOOP;
    END LOOP;
END $$;
CALL pg_temp.measure(:rounds);
-- The first round warms up.
SELECT 1000 / q.took, 1000 / u.took, u.took / q.took, q.processor / 1000, u.processor / 1000, u.processor / q.processor FROM times q JOIN times u USING (round) WHERE q.side = 'qzpay' AND u.side = 'unnest' AND round > 1;
