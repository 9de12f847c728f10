-- What time brings beside contracts and payments, for customers on a test clock; in real time each kind has its job.

CREATE OR REPLACE FUNCTION qzpay._next_chore_at(p_clock uuid) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN least((SELECT min(m.next_warning_at) FROM qzpay.payment_methods m WHERE m.test_clock_id = p_clock),
                 (SELECT min(o.next_look_at) FROM qzpay.overages o WHERE o.test_clock_id = p_clock),
                 CASE WHEN qzpay._upcoming_days() IS NOT NULL THEN (SELECT min(u.renews_at) FROM qzpay._upcoming(p_clock, 'infinity') u) - qzpay._upcoming_days() * interval '24 hours' END);
END $$;
COMMENT ON FUNCTION qzpay._next_chore_at(uuid) IS 'When the next of these is due for customers of a test clock; NULL: never.';

CREATE OR REPLACE FUNCTION qzpay._do_chores(p_clock uuid, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._warn_of_expiry(p_clock, p_at, p_limit) + qzpay._look_at_overages(p_clock, p_at, p_limit) + qzpay._tell_upcoming(p_clock, p_at, p_limit);
END $$;
COMMENT ON FUNCTION qzpay._do_chores(uuid, timestamptz, integer) IS 'Does what is due of these for customers of a test clock; each leaves its next instant, or none, behind.';
