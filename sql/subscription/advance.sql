-- Time's side of a contract: what is due, done set by set.

CREATE OR REPLACE FUNCTION qzpay._period_containing(p_anchor timestamptz, p_unit text, p_count integer, p_timezone text, p_at timestamptz,
        OUT ordinal integer, OUT period_start timestamptz, OUT period_end timestamptz)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_from timestamp := p_anchor AT TIME ZONE p_timezone;
    v_to timestamp := p_at AT TIME ZONE p_timezone;
BEGIN
    IF NOT (isfinite(p_anchor) AND isfinite(p_at)) THEN
        RAISE EXCEPTION 'periods counted from % have none that contains %', p_anchor, p_at USING ERRCODE = '22023';
    END IF;
    -- An estimate from the calendar, then the boundaries themselves decide.
    ordinal := floor(CASE WHEN p_unit IN ('month', 'year') THEN ((extract(year FROM v_to) - extract(year FROM v_from)) * 12 + extract(month FROM v_to) - extract(month FROM v_from))
                                                                / (p_count * CASE p_unit WHEN 'year' THEN 12 ELSE 1 END)
                          ELSE (v_to::date - v_from::date)::numeric / (p_count * CASE p_unit WHEN 'week' THEN 7 ELSE 1 END) END);
    period_start := qzpay.period_boundary(p_anchor, p_unit, p_count, ordinal, p_timezone);
    WHILE period_start > p_at LOOP
        ordinal := ordinal - 1;
        period_start := qzpay.period_boundary(p_anchor, p_unit, p_count, ordinal, p_timezone);
    END LOOP;
    LOOP
        period_end := qzpay.period_boundary(p_anchor, p_unit, p_count, ordinal + 1, p_timezone);
        EXIT WHEN period_end > p_at;
        ordinal := ordinal + 1;
        period_start := period_end;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._period_containing(timestamptz, text, integer, text, timestamptz) IS
'The period [boundary ordinal, boundary ordinal + 1) of an anchor that contains an instant; the ordinal is negative before the anchor.';

CREATE OR REPLACE FUNCTION qzpay._kept_end(p_tenant uuid, p_subscription uuid, p_anchor timestamptz, p_timezone text, p_start timestamptz, p_end timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT min(p.period_end) FROM qzpay.periods p
                     WHERE p.tenant_id = p_tenant AND p.subscription_id = p_subscription AND p.cycle <> 'usage' AND p.period_start <= p_start AND p.period_end > p_start AND p.period_end <> p_end
                       AND qzpay.period_boundary(p_anchor, split_part(p.cycle, ' ', 2), split_part(p.cycle, ' ', 1)::integer, p.ordinal + 1, p_timezone) = p_end), p_end);
END $$;
COMMENT ON FUNCTION qzpay._kept_end(uuid, uuid, timestamptz, text, timestamptz, timestamptz) IS
'End of a period that begins at p_start and by the calendar ends at p_end: where another running period of the subscription ends at that same boundary, but was begun by the clock of another zone, it is the end that one keeps. '
'So that a month beside a year, and its usage, end with it in one instant though the customer has moved.';

CREATE OR REPLACE FUNCTION qzpay._running_period(p_tenant uuid, p_subscription uuid, p_anchor timestamptz, p_unit text, p_count integer, p_timezone text, p_at timestamptz,
        OUT ordinal integer, OUT period_start timestamptz, OUT period_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_anchor IS NULL OR coalesce(p_unit IN ('once', 'trial'), true) THEN
        RETURN;
    END IF;
    SELECT n.* INTO STRICT ordinal, period_start, period_end FROM qzpay._period_containing(p_anchor, p_unit, p_count, p_timezone, p_at) n;
    -- The boundary before may be one that is kept for later.
    IF qzpay._kept_end(p_tenant, p_subscription, p_anchor, p_timezone, p_at, period_start) > p_at THEN
        ordinal := ordinal - 1;
        period_end := period_start;
        period_start := qzpay.period_boundary(p_anchor, p_unit, p_count, ordinal, p_timezone);
    END IF;
    period_end := qzpay._kept_end(p_tenant, p_subscription, p_anchor, p_timezone, p_at, period_end);
END $$;
COMMENT ON FUNCTION qzpay._running_period(uuid, uuid, timestamptz, text, integer, text, timestamptz) IS
'_period_containing() for an interval beside others of a subscription, that ends where they end (_kept_end()). NULL for a price that is no interval''s, or without an anchor.';

CREATE OR REPLACE FUNCTION qzpay._plan_rolls(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[]) RETURNS qzpay._roll[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_installation uuid := qzpay.installation_id();
BEGIN
    RETURN (
        SELECT array_agg(ROW(s.tenant_id, s.id, s.customer_id, c.seller_id, s.livemode, s.currency, k.due_at, f.ends, f.end_reason,
                             f.pauses, f.starts_trial, f.converts OR f.resumes, r.resets, b.bills AND s.comp_until > b.bill_start,
                             b.bills, r.count || ' ' || r.unit, o.ordinal, b.bill_start,
                             CASE WHEN b.bills AND s.cycle_due_at IS NOT NULL AND NOT r.resets
                                  THEN qzpay._kept_end(s.tenant_id, s.id, r.anchor, s.timezone, b.bill_start, o.period_end)
                                  ELSE o.period_end END, b.full_start, r.anchor,
                             u.closes, u.closes AND s.status NOT IN ('trialing', 'incomplete', 'paused') AND NOT s.period_comped, u.usage_start, u.usage_end,
                             u.next_start, CASE WHEN f.starts_trial OR b.bills AND (s.cycle_due_at IS NULL OR r.resets) THEN w.period_end
                                                -- Beside a longer period, with which the last of them ends.
                                                WHEN u.next_start IS NOT NULL THEN qzpay._kept_end(s.tenant_id, s.id, r.anchor, s.timezone, u.next_start, w.period_end) END,
                             w.ordinal, r.unit, r.count, h.id,
                             qzpay.uuid_v5(v_installation, 'invoice:subscription:' || s.id::text || ':' || extract(epoch FROM k.due_at)::text
                                 -- Beside the renewal an instant may see an end, a pause, a new anchor, each with an invoice of its own.
                                 || CASE WHEN f.ends OR f.pauses OR r.resets AND NOT f.converts
                                         THEN (SELECT ':' || count(*) FROM qzpay.invoices i WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id) ELSE '' END), nullif(s.metadata, '{}'))::qzpay._roll
                         ORDER BY k.due_at, s.tenant_id, s.id)
        FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
        -- By key, whatever the planner takes for cheaper: what a batch costs must not depend on how many there are.
        CROSS JOIN LATERAL (SELECT s.* FROM qzpay.subscriptions s WHERE s.tenant_id = k.tenant_id AND s.id = k.id OFFSET 0) s
        CROSS JOIN LATERAL (SELECT c.seller_id FROM qzpay.customers c WHERE c.tenant_id = s.tenant_id AND c.id = s.customer_id OFFSET 0) c
        LEFT JOIN LATERAL (SELECT h.* FROM qzpay.subscription_changes h WHERE s.change_at <= k.due_at AND h.tenant_id = s.tenant_id AND h.subscription_id = s.id
                           AND h.status = 'pending' OFFSET 0) h ON true
        -- OFFSET 0 keeps the planner from writing each of these out wherever it is used, which made one row cost as much as a hundred.
        CROSS JOIN LATERAL (
            -- The end beats everything, the pause what is billed. A contract that a provider manages only has its usage closed here.
            SELECT e.end_reason IS NOT NULL AS ends, e.end_reason,
                   e.goes_on AND s.status = 'trialing' AND s.trial_end <= k.due_at
                       AND (s.has_payment_method OR s.trial_end_behavior = 'past_due' OR coalesce(s.comp_until > k.due_at, false)) AS converts,
                   e.goes_on AND s.status = 'paused' AND coalesce(s.resume_at <= k.due_at, false) AS resumes,
                   e.goes_on AND s.status = 'active' AND coalesce(s.pause_at <= k.due_at, false) AS pauses,
                   e.goes_on AND s.status = 'active' AND s.period_comped AND coalesce(s.comp_until <= k.due_at, false) AS comp_ends,
                   e.goes_on AND s.status = 'incomplete' AND s.trial_end IS NOT NULL AND s.started_at > s.created_at AND s.started_at <= k.due_at AND s.trial_price_id IS NULL AS starts_trial,
                   e.goes_on
            FROM (SELECT x.end_reason, x.end_reason IS NULL AND s.managed_by = 'engine' AS goes_on
                  FROM (SELECT CASE
                      WHEN s.managed_by <> 'engine' OR s.ended_at IS NOT NULL THEN NULL
                      WHEN s.status = 'incomplete' AND greatest(s.created_at, s.started_at) + interval '23 hours' <= k.due_at
                           AND NOT (s.current_period_end IS NULL AND s.started_at > s.created_at) THEN 'payment_timeout'
                      WHEN s.cancel_at <= k.due_at THEN coalesce(s.cancel_reason, 'requested')
                      WHEN s.status = 'trialing' AND s.trial_end <= k.due_at AND NOT s.has_payment_method AND s.trial_end_behavior = 'cancel'
                           AND NOT coalesce(s.comp_until > k.due_at, false) THEN 'trial_expired'
                      WHEN s.period_comped AND s.comp_until <= k.due_at AND NOT s.has_payment_method AND NOT s.is_free THEN 'comp_expired'
                      WHEN NOT s.auto_renew AND s.status <> 'trialing' AND s.current_period_end <= k.due_at THEN 'expired'
                  END AS end_reason OFFSET 0) x) e
            -- Barriers: flattened, each of these stages would be computed again for every mention in the next.
            OFFSET 0
        ) f
        CROSS JOIN LATERAL (
            SELECT f.converts OR f.resumes OR f.comp_ends OR g.new_interval AS resets,
                   CASE WHEN f.converts THEN s.trial_end WHEN f.resumes OR f.comp_ends OR g.new_interval THEN k.due_at ELSE s.anchor END AS anchor,
                   CASE WHEN g.changes THEN h.interval_unit ELSE s.interval_unit END AS unit, CASE WHEN g.changes THEN h.interval_count ELSE s.interval_count END AS count,
                   CASE WHEN g.changes THEN h.usage_unit ELSE s.usage_unit END AS usage_unit, CASE WHEN g.changes THEN h.usage_count ELSE s.usage_count END AS usage_count
            FROM (SELECT h.id IS NOT NULL AND f.goes_on AS changes,
                         h.id IS NOT NULL AND f.goes_on AND NOT f.pauses AND s.status <> 'trialing'
                             AND (h.interval_unit, h.interval_count, h.usage_unit, h.usage_count)
                                 IS DISTINCT FROM (s.interval_unit, s.interval_count, s.usage_unit, s.usage_count) AS new_interval) g
            OFFSET 0
        ) r
        LEFT JOIN LATERAL (SELECT p.ordinal FROM qzpay.periods p WHERE NOT r.resets AND p.tenant_id = s.tenant_id AND p.subscription_id = s.id
                           AND p.cycle = s.interval_count || ' ' || s.interval_unit AND p.period_start = s.current_period_start OFFSET 0) pb ON true
        LEFT JOIN LATERAL (SELECT p.ordinal FROM qzpay.periods p WHERE NOT r.resets AND p.tenant_id = s.tenant_id AND p.subscription_id = s.id
                           AND p.cycle = 'usage' AND p.period_start = s.usage_period_start OFFSET 0) pu ON true
        -- A first period is the one that contains its instant: later than the start where that is backdated, a part of one where the anchor is ahead.
        LEFT JOIN LATERAL (SELECT n.* FROM qzpay._period_containing(s.anchor, s.interval_unit, s.interval_count, s.timezone, k.due_at) n WHERE NOT r.resets AND s.current_period_end IS NULL OFFSET 0) fb ON true
        LEFT JOIN LATERAL (SELECT n.* FROM qzpay._period_containing(s.anchor, s.usage_unit, s.usage_count, s.timezone, k.due_at) n WHERE NOT r.resets AND s.current_period_end IS NULL OFFSET 0) fu ON true
        CROSS JOIN LATERAL (
            SELECT f.goes_on AND NOT f.pauses AND (r.resets OR s.status IN ('active', 'past_due', 'unpaid', 'incomplete')
                       AND coalesce(s.current_period_end, CASE WHEN s.anchor IS NOT NULL THEN s.started_at END) <= k.due_at) AS bills,
                   CASE WHEN r.resets THEN r.anchor WHEN fb.ordinal IS NOT NULL THEN greatest(fb.period_start, s.started_at) ELSE s.current_period_end END AS bill_start,
                   CASE WHEN r.resets THEN r.anchor WHEN fb.ordinal IS NOT NULL THEN fb.period_start ELSE s.current_period_end END AS full_start,
                   CASE WHEN r.resets THEN 0 ELSE coalesce(fb.ordinal, pb.ordinal + 1) END AS ordinal
            OFFSET 0
        ) b
        -- Where a zone skips a day, a boundary may fall together with the next.
        CROSS JOIN LATERAL (SELECT CASE WHEN b.bills THEN qzpay.period_boundary(r.anchor, r.unit, r.count, b.ordinal + 1, s.timezone) END AS period_end OFFSET 0) x
        CROSS JOIN LATERAL (SELECT CASE WHEN x.period_end <= b.bill_start THEN b.ordinal + 1 ELSE b.ordinal END AS ordinal,
                                   CASE WHEN x.period_end <= b.bill_start THEN qzpay.period_boundary(r.anchor, r.unit, r.count, b.ordinal + 2, s.timezone) ELSE x.period_end END AS period_end OFFSET 0) o
        CROSS JOIN LATERAL (
            SELECT s.usage_period_end IS NOT NULL AND (f.ends OR r.resets OR f.pauses OR x.closes_at <= k.due_at) AS closes,
                   s.usage_period_start AS usage_start, least(s.usage_period_end, CASE WHEN f.ends OR r.resets OR f.pauses THEN k.due_at END) AS usage_end,
                   CASE WHEN f.ends OR f.pauses OR s.ended_at IS NOT NULL OR s.status = 'paused' AND NOT f.resumes THEN NULL
                        WHEN f.starts_trial THEN s.started_at
                        WHEN s.status = 'trialing' AND s.trial_end <= k.due_at AND NOT f.converts THEN NULL
                        WHEN r.resets THEN r.anchor
                        WHEN b.bills AND fu.ordinal IS NOT NULL THEN greatest(fu.period_start, s.started_at)
                        WHEN x.closes_at <= k.due_at THEN s.usage_period_end END AS next_start,
                   CASE WHEN r.resets OR f.starts_trial THEN 0 ELSE coalesce(fu.ordinal, pu.ordinal + 1) END AS next_ordinal
            -- A plan that waits less for late reports, taken on at this instant, closes what ends with the one before: from then on its window counts.
            FROM (SELECT least(qzpay._usage_closes_at(s.status::text, s.usage_period_end, s.usage_late_hours), CASE WHEN h.id IS NOT NULL AND f.goes_on THEN (
                      SELECT qzpay._usage_closes_at(s.status::text, s.usage_period_end, coalesce(p.usage_late_hours, qzpay._usage_late_hours()))
                      FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id
                      WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan' AND i.valid_from <= k.due_at AND i.valid_until > k.due_at) END) AS closes_at OFFSET 0) x
            OFFSET 0
        ) u
        CROSS JOIN LATERAL (SELECT CASE WHEN f.starts_trial THEN s.trial_end
                                        WHEN u.next_start IS NOT NULL THEN qzpay.period_boundary(r.anchor, r.usage_unit, r.usage_count, u.next_ordinal + 1, s.timezone) END AS period_end OFFSET 0) y
        CROSS JOIN LATERAL (SELECT y.period_end <= u.next_start AND NOT f.starts_trial AS skips OFFSET 0) z
        CROSS JOIN LATERAL (SELECT CASE WHEN z.skips THEN u.next_ordinal + 1 ELSE u.next_ordinal END AS ordinal,
                                   CASE WHEN z.skips THEN qzpay.period_boundary(r.anchor, r.usage_unit, r.usage_count, u.next_ordinal + 2, s.timezone) ELSE y.period_end END AS period_end OFFSET 0) w
    );
END $$;
COMMENT ON FUNCTION qzpay._plan_rolls(uuid[], uuid[], timestamptz[]) IS
'What each of these (locked) subscriptions has to do at its due instant: close a usage period, end, pause, resume, convert a trial, take on a scheduled change, begin a period. '
'Boundary n is anchor + n × interval in its zone. Reads only; NULL for no subscription.';

CREATE OR REPLACE FUNCTION qzpay._plan_cycles(p_rolls qzpay._roll[]) RETURNS qzpay._cycle[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_main qzpay._cycle[];
BEGIN
    v_main := (SELECT array_agg(ROW(r.tenant_id, r.subscription_id, r.invoice_id, r.cycle, r.interval_unit, r.interval_count, r.ordinal,
                                    r.full_start, r.bill_start, r.bill_end, r.comped)::qzpay._cycle) FROM unnest(p_rolls) r WHERE r.bills);
    IF NOT EXISTS (SELECT FROM unnest(p_rolls) r CROSS JOIN LATERAL (SELECT s.cycle_due_at FROM qzpay.subscriptions s WHERE s.tenant_id = r.tenant_id AND s.id = r.subscription_id OFFSET 0) s
                   WHERE s.cycle_due_at IS NOT NULL) THEN
        RETURN v_main;
    END IF;
    RETURN v_main || (
        SELECT array_agg(ROW(r.tenant_id, r.subscription_id, r.invoice_id, x.cycle, x.interval_unit, x.interval_count, t.ordinal,
                             t.full_start, t.period_start, CASE WHEN r.resets THEN e.period_end ELSE qzpay._kept_end(r.tenant_id, r.subscription_id, r.anchor, s.timezone, t.period_start, e.period_end) END, coalesce(s.comp_until > t.period_start, false))::qzpay._cycle)
        FROM unnest(p_rolls) r
        JOIN qzpay.subscriptions s ON s.tenant_id = r.tenant_id AND s.id = r.subscription_id AND s.cycle_due_at IS NOT NULL
        CROSS JOIN LATERAL (
            SELECT c.interval_unit, c.interval_count, c.interval_count || ' ' || c.interval_unit AS cycle, min(i.valid_from) AS since
            FROM qzpay.subscription_items i JOIN qzpay.prices c ON c.id = i.price_id
            WHERE i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id AND i.valid_from <= r.due_at AND i.valid_until > r.due_at
              AND (c.interval_unit, c.interval_count) <> (r.interval_unit, r.interval_count)
            GROUP BY c.interval_unit, c.interval_count) x
        LEFT JOIN LATERAL (
            SELECT p.ordinal, p.period_end FROM qzpay.periods p
            WHERE NOT r.resets AND p.tenant_id = r.tenant_id AND p.subscription_id = r.subscription_id AND p.cycle = x.cycle AND p.period_end >= r.due_at ORDER BY p.period_start DESC LIMIT 1) l ON true
        -- The first, or the first after a time without: the one that contains the instant, from where its items begin.
        CROSS JOIN LATERAL qzpay._period_containing(CASE WHEN l.ordinal IS NULL THEN r.anchor END, x.interval_unit, x.interval_count, s.timezone, r.due_at) f
        CROSS JOIN LATERAL (SELECT coalesce(l.ordinal + 1, f.ordinal) AS ordinal, coalesce(l.period_end, f.period_start) AS full_start,
                                   coalesce(l.period_end, CASE WHEN r.resets THEN f.period_start ELSE greatest(f.period_start, x.since) END) AS period_start) t
        CROSS JOIN LATERAL (SELECT qzpay.period_boundary(r.anchor, x.interval_unit, x.interval_count, t.ordinal + 1, s.timezone) AS period_end) e
        WHERE NOT r.ends AND NOT r.pauses AND (r.bills OR s.status IN ('active', 'past_due', 'unpaid')) AND t.period_start <= r.due_at
    );
END $$;
COMMENT ON FUNCTION qzpay._plan_cycles(qzpay._roll[]) IS
'The periods that begin in these rolls: those of the subscriptions'' own interval, and those of add-ons billed by another one on the same anchor. NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._advance_subscriptions(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz, p_together boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rolls qzpay._roll[];
    v_cycles qzpay._cycle[];
    v_lines qzpay._line[];
    v_bills qzpay._bill[];
    v_invoices bigint := 0;
BEGIN
    PERFORM qzpay._change_on_resume(p_tenants, p_subscriptions, p_dues, p_at);
    v_rolls := qzpay._plan_rolls(p_tenants, p_subscriptions, p_dues);
    IF v_rolls IS NULL THEN
        RETURN 0;
    END IF;
    IF EXISTS (SELECT FROM unnest(v_rolls) r WHERE r.closes_usage AND r.usage_end < r.due_at AND (r.ends OR r.pauses OR r.resets)) THEN
        PERFORM qzpay._end_late_window(v_rolls, p_at);
        v_rolls := qzpay._plan_rolls(p_tenants, p_subscriptions, p_dues);
    END IF;
    v_cycles := qzpay._plan_cycles(v_rolls);
    -- Nobody adds to the usage that is about to be read, and whoever had begun to has ended.
    PERFORM qzpay._close_usage(array_agg(r.tenant_id), array_agg(r.customer_id), array_agg(r.usage_start), array_agg(r.usage_end)) FROM unnest(v_rolls) r WHERE r.closes_usage HAVING count(*) > 0;
    IF EXISTS (SELECT FROM unnest(v_rolls) r WHERE r.resets OR r.pauses) THEN
        PERFORM qzpay._credit_cut(v_rolls);
    END IF;
    v_lines := qzpay._take_pending_lines(v_rolls) || qzpay._advance_lines(v_cycles) || qzpay._usage_lines(v_rolls);
    v_lines := v_lines || qzpay._commitment_lines(v_rolls, v_lines);
    IF EXISTS (SELECT FROM unnest(v_rolls) r WHERE r.resets OR r.pauses) THEN
        PERFORM qzpay._cut_periods(v_rolls);
    END IF;
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal, invoice_id)
    SELECT c.tenant_id, c.subscription_id, c.cycle, c.period_start, c.period_end, c.ordinal, l.invoice_id
    FROM unnest(v_cycles) c LEFT JOIN (SELECT DISTINCT l.invoice_id FROM unnest(v_lines) l WHERE l.amount <> 0) l USING (invoice_id)
    UNION ALL
    SELECT r.tenant_id, r.subscription_id, 'usage', r.next_usage_start, r.next_usage_end, r.usage_ordinal, NULL FROM unnest(v_rolls) r WHERE r.next_usage_start IS NOT NULL;

    UPDATE qzpay.subscriptions s SET
        status = CASE WHEN r.ends AND r.end_reason = 'payment_timeout' THEN 'incomplete_expired'
                      WHEN r.ends THEN 'canceled'
                      WHEN r.activates THEN 'active'
                      WHEN r.pauses THEN 'paused'
                      WHEN r.starts_trial THEN 'trialing'
                      WHEN s.status = 'trialing' AND s.trial_end <= r.due_at AND s.trial_end_behavior = 'pause' THEN 'paused'
                      ELSE s.status END::qzpay.subscription_status,
        status_reason = CASE WHEN r.ends THEN r.end_reason WHEN r.activates OR r.starts_trial THEN NULL WHEN r.pauses THEN 'requested'
                             WHEN s.status = 'trialing' AND s.trial_end <= r.due_at THEN 'trial_without_payment_method'
                             WHEN s.status = 'incomplete' AND r.bills THEN 'awaiting_payment' ELSE s.status_reason END,
        anchor = coalesce(r.anchor, s.anchor),
        interval_unit = r.interval_unit, interval_count = r.interval_count,
        usage_unit = coalesce(h.usage_unit, s.usage_unit), usage_count = coalesce(h.usage_count, s.usage_count),
        current_period_start = CASE WHEN r.bills THEN r.bill_start ELSE s.current_period_start END,
        current_period_end = CASE WHEN r.bills THEN r.bill_end WHEN r.pauses THEN greatest(least(s.current_period_end, r.due_at), s.current_period_start + interval '1 microsecond') ELSE s.current_period_end END,
        period_comped = CASE WHEN r.bills THEN coalesce(r.comped, false) ELSE s.period_comped END,
        usage_period_start = CASE WHEN r.next_usage_start IS NOT NULL THEN r.next_usage_start WHEN r.closes_usage THEN NULL ELSE s.usage_period_start END,
        usage_period_end = CASE WHEN r.next_usage_start IS NOT NULL THEN r.next_usage_end WHEN r.closes_usage THEN NULL ELSE s.usage_period_end END,
        usage_share = CASE WHEN r.closes_usage OR r.next_usage_start IS NOT NULL THEN NULL ELSE s.usage_share END,
        pause_at = CASE WHEN s.pause_at <= r.due_at THEN NULL ELSE s.pause_at END,
        paused_at = CASE WHEN r.pauses OR NOT r.ends AND NOT r.activates AND s.status = 'trialing' AND s.trial_end <= r.due_at AND s.trial_end_behavior = 'pause' THEN r.due_at
                         WHEN r.activates THEN NULL ELSE s.paused_at END,
        resume_at = CASE WHEN r.activates THEN NULL ELSE s.resume_at END,
        comp_until = CASE WHEN s.comp_until <= r.due_at AND (s.status <> 'trialing' OR r.activates) THEN NULL ELSE s.comp_until END,
        change_at = CASE WHEN r.change_id IS NOT NULL THEN NULL ELSE s.change_at END,
        cycle_due_at = CASE WHEN s.cycle_due_at IS NOT NULL AND NOT r.ends THEN (
                                SELECT min(CASE WHEN i.valid_from > r.due_at THEN i.valid_from WHEN r.pauses OR r.starts_trial OR NOT r.activates AND s.status IN ('trialing', 'paused') THEN r.due_at
                                                ELSE q.period_end END)
                                FROM qzpay.subscription_items i
                                JOIN qzpay.prices c ON c.id = i.price_id AND (c.interval_unit, c.interval_count) <> (r.interval_unit, r.interval_count)
                                LEFT JOIN qzpay.periods q ON q.tenant_id = i.tenant_id AND q.subscription_id = i.subscription_id AND q.cycle = c.interval_count || ' ' || c.interval_unit
                                     AND q.period_start <= r.due_at AND q.period_end > r.due_at
                                WHERE i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id AND i.valid_until > r.due_at) END,
        canceled_at = CASE WHEN r.ends THEN coalesce(s.canceled_at, p_at) ELSE s.canceled_at END,
        ended_at = CASE WHEN r.ends THEN r.due_at ELSE s.ended_at END,
        dunning_next_at = CASE WHEN r.ends THEN NULL ELSE s.dunning_next_at END,
        updated_at = p_at
    FROM unnest(v_rolls) r
    LEFT JOIN qzpay.subscription_changes h ON h.tenant_id = r.tenant_id AND h.id = r.change_id
    WHERE s.tenant_id = r.tenant_id AND s.id = r.subscription_id
      AND (r.ends OR r.bills OR r.pauses OR r.starts_trial OR r.closes_usage OR r.next_usage_start IS NOT NULL OR r.change_id IS NOT NULL
           OR s.status = 'trialing' AND s.trial_end <= r.due_at OR s.comp_until <= r.due_at OR s.pause_at <= r.due_at OR s.cycle_due_at <= r.due_at);

    v_bills := (SELECT array_agg(ROW(r.tenant_id, r.invoice_id, r.customer_id, r.subscription_id, r.seller_id, r.livemode, r.currency,
        CASE WHEN r.bills OR r.invoice_id IN (SELECT c.invoice_id FROM unnest(v_cycles) c) THEN 'subscription' ELSE 'usage' END, r.due_at, coalesce(r.bill_start, r.usage_start), coalesce(r.bill_end, r.usage_end), NULL, NULL, r.metadata, NULL)::qzpay._bill)
        FROM unnest(v_rolls) r);
    IF p_together AND qzpay._consolidates() THEN
        SELECT j.bills, j.lines, j.written INTO v_bills, v_lines, v_invoices FROM qzpay._join_days(v_bills, v_lines, p_at) j;
    END IF;
    v_invoices := v_invoices + qzpay._write_invoices(v_bills, v_lines, p_at);
    PERFORM qzpay._after_changes(v_rolls, p_at);
    PERFORM qzpay._after_ends(v_rolls, p_at);
    PERFORM qzpay._collect((SELECT array_agg(b.tenant_id) FROM unnest(v_bills) b), (SELECT array_agg(b.invoice_id) FROM unnest(v_bills) b), p_at);
    RETURN v_invoices;
END $$;
COMMENT ON FUNCTION qzpay._advance_subscriptions(uuid[], uuid[], timestamptz[], timestamptz, boolean) IS
'The billing run, set by set, over subscriptions locked by the caller, each at its own due instant: usage period closed with the items it had, ends, pauses, scheduled changes, new periods, '
'one invoice per subscription and instant (advance and arrears lines together), attempts planned. p_at dates the documents. '
'p_together: subscriptions of one customer share an invoice where that is wanted. A period that exists already is a unique violation, so nothing is billed twice. Returns the number of invoices.';

CREATE OR REPLACE FUNCTION qzpay._end_late_window(p_rolls qzpay._roll[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r qzpay._roll;
    v_sub qzpay._sub;
    v_next record;
BEGIN
    FOR r IN SELECT u.* FROM unnest(p_rolls) u WHERE u.closes_usage AND u.usage_end < u.due_at AND (u.ends OR u.pauses OR u.resets) LOOP
        v_sub := qzpay._read_sub(r.subscription_id);
        -- What was never paid for the first time has not gone on.
        WHILE v_sub.status <> 'incomplete' AND v_sub.usage_period_end < r.due_at LOOP
            PERFORM qzpay._close_usage(ARRAY[v_sub.tenant_id], ARRAY[v_sub.customer_id], ARRAY[v_sub.usage_period_start], ARRAY[v_sub.usage_period_end]);
            PERFORM qzpay._put_usage_aside(v_sub, v_sub.usage_period_end, p_at);
            -- The first boundary that lies behind, since two may fall together.
            SELECT n.ordinal, qzpay.period_boundary(v_sub.anchor, v_sub.usage_unit, v_sub.usage_count, n.ordinal + 1, v_sub.timezone) AS period_end INTO STRICT v_next
            FROM qzpay.periods p CROSS JOIN LATERAL generate_series(p.ordinal + 1, p.ordinal + 2) AS n (ordinal)
            WHERE p.tenant_id = v_sub.tenant_id AND p.subscription_id = v_sub.id AND p.cycle = 'usage' AND p.period_start = v_sub.usage_period_start
              AND qzpay.period_boundary(v_sub.anchor, v_sub.usage_unit, v_sub.usage_count, n.ordinal + 1, v_sub.timezone) > v_sub.usage_period_end ORDER BY n.ordinal LIMIT 1;
            INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
            VALUES (v_sub.tenant_id, v_sub.id, 'usage', v_sub.usage_period_end, v_next.period_end, v_next.ordinal);
            UPDATE qzpay.subscriptions s SET usage_period_start = v_sub.usage_period_end, usage_period_end = v_next.period_end, usage_share = NULL
            WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
            v_sub := qzpay._read_sub(r.subscription_id);
        END LOOP;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._end_late_window(qzpay._roll[], timestamptz) IS
'Closes the usage periods that wait for late reports of subscriptions that end, pause or begin anew: their lines go onto the invoice of that instant, and what was used since is the running period''s, which closes there.';

CREATE OR REPLACE FUNCTION qzpay._credit_cut(p_rolls qzpay._roll[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
    v_sub qzpay._sub;
BEGIN
    FOR v_row IN
        SELECT r.subscription_id, r.due_at, r.pauses FROM unnest(p_rolls) r
        JOIN qzpay.subscriptions s ON s.tenant_id = r.tenant_id AND s.id = r.subscription_id AND s.cycle_due_at IS NOT NULL AND s.status IN ('active', 'past_due', 'unpaid')
        LEFT JOIN qzpay.subscription_changes h ON h.tenant_id = r.tenant_id AND h.id = r.change_id
        WHERE (r.pauses OR r.resets) AND h.proration IS DISTINCT FROM 'none'
    LOOP
        v_sub := qzpay._read_sub(v_row.subscription_id);
        v_sub.now := v_row.due_at;
        PERFORM qzpay._credit_rest(v_sub, 'balance', CASE WHEN v_row.pauses THEN 'paused' ELSE 'changed' END);
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._credit_cut(qzpay._roll[]) IS
'Credits what add-ons with an interval of their own were debited beyond an instant at which all periods are cut, such as a year beside a plan''s month. What was credited already is not again.';

CREATE OR REPLACE FUNCTION qzpay._cut_periods(p_rolls qzpay._roll[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM qzpay.periods p USING unnest(p_rolls) r
    WHERE (r.resets OR r.pauses) AND p.tenant_id = r.tenant_id AND p.subscription_id = r.subscription_id AND p.period_start >= r.due_at;
    UPDATE qzpay.periods p SET period_end = r.due_at FROM unnest(p_rolls) r
    WHERE (r.resets OR r.pauses) AND p.tenant_id = r.tenant_id AND p.subscription_id = r.subscription_id AND p.period_end > r.due_at;
END $$;
COMMENT ON FUNCTION qzpay._cut_periods(qzpay._roll[]) IS 'Ends the running periods of these subscriptions at their due instant, where a new anchor or a pause begins.';

CREATE OR REPLACE FUNCTION qzpay._after_changes(p_rolls qzpay._roll[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_row record;
BEGIN
    FOR v_row IN
        UPDATE qzpay.subscription_changes h SET status = CASE WHEN r.ends THEN 'canceled' ELSE 'applied' END, closed_at = p_at
        FROM unnest(p_rolls) r
        WHERE h.tenant_id = r.tenant_id AND h.subscription_id = r.subscription_id AND h.status = 'pending' AND (h.id = r.change_id OR r.ends)
        RETURNING h.tenant_id, h.subscription_id, r.customer_id, h.status, h.from_plan, h.to_plan, h.effective_at
    LOOP
        CONTINUE WHEN v_row.status = 'canceled';
        PERFORM qzpay._adopt_plan(v_row.tenant_id, v_row.subscription_id, v_row.effective_at);
        PERFORM qzpay._emit_event(v_row.tenant_id, 'subscription.changed', 'subscription', v_row.subscription_id, v_row.customer_id,
            jsonb_build_object('subscriptionId', v_row.subscription_id, 'oldPlan', v_row.from_plan, 'newPlan', v_row.to_plan, 'effectiveAt', v_row.effective_at,
                               'emailSentByPackage', false), NULL, p_at);
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._after_changes(qzpay._roll[], timestamptz) IS 'Closes the scheduled changes that have taken effect, or that an end has overtaken.';

CREATE OR REPLACE FUNCTION qzpay._was_never_active(p_tenant uuid, p_subscription uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM qzpay.transitions t WHERE t.tenant_id = p_tenant AND t.object_id = p_subscription AND t.machine = 'subscription'
                   AND t.from_status = 'incomplete' AND t.to_status IN ('incomplete_expired', 'canceled'));
END $$;
COMMENT ON FUNCTION qzpay._was_never_active(uuid, uuid) IS 'Whether a subscription ended before its first payment, so that nothing was given for its invoice.';

CREATE OR REPLACE FUNCTION qzpay._after_ends(p_rolls qzpay._roll[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_invoices uuid[];
    v_statuses text[];
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(p_rolls) r WHERE r.ends) THEN
        RETURN;
    END IF;
    -- A change dated for the very instant of the end is overtaken like a later one.
    DELETE FROM qzpay.subscription_items i USING unnest(p_rolls) r
    WHERE r.ends AND i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id AND (i.valid_from > r.due_at OR i.valid_from = r.due_at AND r.change_id IS NOT NULL);
    UPDATE qzpay.subscription_items i SET valid_until = greatest(r.due_at, i.valid_from + interval '1 microsecond')
    FROM unnest(p_rolls) r
    WHERE r.ends AND i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id AND i.valid_until > r.due_at;
    UPDATE qzpay.dunning_cases d SET closed_at = p_at, outcome = 'canceled'
    FROM unnest(p_rolls) r
    WHERE r.ends AND d.tenant_id = r.tenant_id AND d.subscription_id = r.subscription_id AND d.closed_at IS NULL;
    -- A purchase that came to nothing gives the use of its promo code back, whoever says that it did; no other end does.
    PERFORM qzpay._return_redemptions(array_agg(r.tenant_id), array_agg(r.subscription_id), p_at) FROM unnest(p_rolls) r
    JOIN qzpay.subscriptions s ON s.tenant_id = r.tenant_id AND s.id = r.subscription_id AND s.status = 'incomplete_expired' WHERE r.ends HAVING count(*) > 0;
    -- What dunning could not collect is written off; what was never activated is void.
    -- An invoice that others share is chased with them until the last has ended.
    SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(CASE WHEN k.never_active THEN 'void' ELSE 'uncollectible' END) INTO v_tenants, v_invoices, v_statuses
    FROM (SELECT DISTINCT i.tenant_id, i.id, x.never_active
          FROM unnest(p_rolls) r
          CROSS JOIN LATERAL (SELECT qzpay._was_never_active(r.tenant_id, r.subscription_id) AS never_active) x
          JOIN qzpay.invoice_subscriptions m ON m.tenant_id = r.tenant_id AND m.subscription_id = r.subscription_id
          JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
          WHERE r.ends AND (x.never_active OR r.end_reason = 'payment_failed' AND i.id <> r.invoice_id) AND i.status = 'open' AND i.amount_in_flight = 0
            AND NOT qzpay._is_chased(i.tenant_id, i.id)) k;
    IF v_invoices IS NOT NULL THEN
        PERFORM qzpay._cancel_planned_attempts(v_tenants, v_invoices, p_at);
        PERFORM qzpay._write_off(v_tenants, v_invoices, v_statuses, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._after_ends(qzpay._roll[], timestamptz) IS
'What an end entails: items end, the dunning case closes, its unpaid invoices become uncollectible (payment_failed) or void (first payment never made, whatever ended it).';

CREATE OR REPLACE FUNCTION qzpay._collect(p_tenants uuid[], p_invoices uuid[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_planned integer;
    v_row record;
BEGIN
    -- By key, never by scan: a plan that is made while there are no attempts yet would read those of all batches before it, again and again.
    -- (What has no index is still scanned, at a price at which everything would be compiled: hence no jit.)
    -- An invoice that has been tried is of an earlier run at the same instant, such as that of a cancellation right after a renewal.
    SELECT qzpay._plan_attempts(array_agg(k.tenant_id), array_agg(k.invoice_id), 'billing', p_at) INTO v_planned FROM unnest(p_tenants, p_invoices) AS k (tenant_id, invoice_id)
    WHERE NOT EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = k.tenant_id AND a.invoice_id = k.invoice_id);
    IF v_planned = cardinality(p_invoices) THEN
        RETURN;
    END IF;
    FOR v_row IN
        SELECT i.tenant_id, i.id
        FROM unnest(p_tenants, p_invoices) AS k (tenant_id, invoice_id)
        CROSS JOIN LATERAL (SELECT i.* FROM qzpay.invoices i WHERE i.tenant_id = k.tenant_id AND i.id = k.invoice_id OFFSET 0) i
        WHERE EXISTS (SELECT FROM qzpay.invoice_subscriptions m JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id AND s.ended_at IS NULL
                      WHERE m.tenant_id = i.tenant_id AND m.invoice_id = i.id)
          AND i.status = 'open' AND i.collection = 'charge_automatically' AND NOT EXISTS (SELECT FROM qzpay.payment_attempts a WHERE a.tenant_id = i.tenant_id AND a.invoice_id = i.id)
    LOOP
        -- Nothing to charge: a definite failure that only the customer can mend.
        PERFORM qzpay._payment_failed(v_row.tenant_id, v_row.id, p_at);
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._collect(uuid[], uuid[], timestamptz) IS
'Plans the first attempt of each new invoice; one of a running subscription without any usable method counts as failed at once.';

CREATE OR REPLACE FUNCTION qzpay._due_batch(p_clock uuid, p_until timestamptz, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenants uuid[];
    v_subscriptions uuid[];
    v_dues timestamptz[];
BEGIN
    IF p_clock IS NULL AND qzpay._consolidates() THEN
        -- Customer first: two runs never have subscriptions of one customer in hand, which might belong on one invoice.
        SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(k.next_due_at) INTO v_tenants, v_subscriptions, v_dues
        FROM (SELECT s.tenant_id, s.id, s.next_due_at FROM qzpay.customers c JOIN qzpay.subscriptions s ON s.tenant_id = c.tenant_id AND s.customer_id = c.id
              WHERE s.test_clock_id IS NULL AND s.next_due_at <= p_until AND s.set_aside_at IS NULL
              ORDER BY s.next_due_at, s.tenant_id LIMIT p_limit FOR NO KEY UPDATE OF c SKIP LOCKED FOR UPDATE OF s SKIP LOCKED) k;
    ELSIF p_clock IS NULL THEN
        SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(k.next_due_at) INTO v_tenants, v_subscriptions, v_dues
        FROM (SELECT s.tenant_id, s.id, s.next_due_at FROM qzpay.subscriptions s
              WHERE s.test_clock_id IS NULL AND s.next_due_at <= p_until AND s.set_aside_at IS NULL
              ORDER BY s.next_due_at, s.tenant_id LIMIT p_limit FOR UPDATE SKIP LOCKED) k;
    ELSE
        SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(k.next_due_at) INTO v_tenants, v_subscriptions, v_dues
        FROM (SELECT s.tenant_id, s.id, s.next_due_at FROM qzpay.subscriptions s
              WHERE s.test_clock_id = p_clock AND s.next_due_at <= p_until AND s.set_aside_at IS NULL
              ORDER BY s.next_due_at, s.tenant_id, s.id LIMIT p_limit FOR UPDATE) k;
    END IF;
    IF v_subscriptions IS NULL THEN
        RETURN 0;
    END IF;
    RETURN qzpay._do_due_of(v_tenants, v_subscriptions, v_dues, p_at);
END $$;
COMMENT ON FUNCTION qzpay._due_batch(uuid, timestamptz, timestamptz, integer) IS
'Does what time itself asks for, for up to p_limit subscriptions due at p_until or before: those on the test clock, or with NULL those in real time. p_at dates what is written. '
'Skips what another session holds. Returns how many subscriptions were taken; 0 means nothing is due.';

CREATE OR REPLACE FUNCTION qzpay._do_due_of(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    BEGIN
        PERFORM qzpay._do_due(p_tenants, p_subscriptions, p_dues, p_at);
    EXCEPTION WHEN OTHERS THEN
        -- Somebody in the batch failed: one by one, so that only the bad ones are set aside.
        FOR n IN 1 .. cardinality(p_subscriptions) LOOP
            BEGIN
                PERFORM qzpay._do_due_alone(p_tenants[n], p_subscriptions[n], p_dues[n], p_at);
            EXCEPTION WHEN OTHERS THEN
                -- Nobody's fault. What the ones before it have locked may be what stands in the way: they are done, and the rest is the next batch's.
                IF n = 1 THEN
                    RAISE;
                END IF;
                RETURN n - 1;
            END;
        END LOOP;
    END;
    RETURN cardinality(p_subscriptions);
END $$;
COMMENT ON FUNCTION qzpay._do_due_of(uuid[], uuid[], timestamptz[], timestamptz) IS 'All that is due for these locked subscriptions at their due instants; one that fails is set aside without the others. Returns how many were done.';

CREATE OR REPLACE FUNCTION qzpay._do_due_alone(p_tenant uuid, p_subscription uuid, p_due timestamptz, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_code text;
    v_message text;
BEGIN
    PERFORM qzpay._do_due(ARRAY[p_tenant], ARRAY[p_subscription], ARRAY[p_due], p_at);
EXCEPTION
    WHEN OTHERS THEN
        IF qzpay._is_passing(SQLSTATE) THEN
            RAISE;
        END IF;
        GET STACKED DIAGNOSTICS v_code = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
        INSERT INTO qzpay.billing_errors (tenant_id, id, subscription_id, due_at, error_code, error_message, occurred_at)
        VALUES (p_tenant, qzpay.uuid_v7(), p_subscription, p_due, v_code, qzpay.redact(v_message), p_at);
        RAISE WARNING 'subscription % is set aside: %', p_subscription, qzpay.redact(v_message)
            USING DETAIL = format('Nothing of what is due at %s was done for it.', p_due), HINT = 'Mend the cause, then SELECT qzpay.retry_billing(…) and run billing again.';
        UPDATE qzpay.subscriptions s SET set_aside_at = p_at WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
        PERFORM qzpay._emit_event(p_tenant, 'alert.raised', 'subscription', p_subscription, s.customer_id,
                                  jsonb_build_object('level', 'error', 'message', 'billing set aside: ' || qzpay.redact(v_message), 'code', v_code), NULL, p_at)
        FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
END $$;
COMMENT ON FUNCTION qzpay._do_due_alone(uuid, uuid, timestamptz, timestamptz) IS
'The work of one subscription in a subtransaction of its own; an error sets it aside (billing_errors, alert.raised) and stops nobody else.';

CREATE OR REPLACE FUNCTION qzpay._still_due(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[]) RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT s.id FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
            CROSS JOIN LATERAL (SELECT s.id, s.next_due_at FROM qzpay.subscriptions s WHERE s.tenant_id = k.tenant_id AND s.id = k.id OFFSET 0) s
            WHERE s.next_due_at <= k.due_at LIMIT 1);
END $$;
COMMENT ON FUNCTION qzpay._still_due(uuid[], uuid[], timestamptz[]) IS 'One of these subscriptions that is due at its instant or before; NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._do_due(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_stuck uuid;
    v_in_dunning boolean;
    v_in_trial boolean;
BEGIN
    -- The order of RULES C3: dunning's own end first asks for it, then usage, end, renewal and charge in one pass, reminders last.
    SELECT bool_or(s.dunning_next_at <= k.due_at), bool_or(s.status = 'incomplete' AND s.trial_price_id IS NOT NULL) INTO v_in_dunning, v_in_trial
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    CROSS JOIN LATERAL (SELECT s.status, s.trial_price_id, s.dunning_next_at FROM qzpay.subscriptions s WHERE s.tenant_id = k.tenant_id AND s.id = k.id OFFSET 0) s;
    IF v_in_dunning THEN
        PERFORM qzpay._dunning_steps(p_tenants, p_subscriptions, p_dues, p_at);
    END IF;
    IF v_in_trial THEN
        PERFORM qzpay._bill_trials(p_tenants, p_subscriptions, p_dues, p_at);
    END IF;
    PERFORM qzpay._advance_subscriptions(p_tenants, p_subscriptions, p_dues, p_at, true);
    -- Who is due at the same instant still is to be reminded.
    IF qzpay._still_due(p_tenants, p_subscriptions, p_dues) IS NULL THEN
        RETURN;
    END IF;
    PERFORM qzpay._remind(p_tenants, p_subscriptions, p_dues, p_at);
    v_stuck := qzpay._still_due(p_tenants, p_subscriptions, p_dues);
    IF v_stuck IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % made no progress at its due instant', v_stuck USING ERRCODE = 'XX000';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._do_due(uuid[], uuid[], timestamptz[], timestamptz) IS
'All that is due for these locked subscriptions at their due instants; raises XX000 if one would be due at the same instant again.';

CREATE OR REPLACE FUNCTION qzpay._remind(p_tenants uuid[], p_subscriptions uuid[], p_dues timestamptz[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, dedupe_key, occurred_at, recorded_at)
    SELECT s.tenant_id, qzpay.uuid_v7(), e.type, 'subscription', s.id, s.customer_id, s.livemode,
           jsonb_build_object('subscriptionId', s.id, 'daysRemaining', d.days, 'daysLeft', d.days, 'effectiveAt', e.ends_at,
                              'hasPaymentMethod', s.has_payment_method, 'emailSentByPackage', false),
           e.type || ':' || s.id || ':' || extract(epoch FROM e.ends_at) || ':' || d.days, p_at, qzpay._recorded_at()
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    JOIN qzpay.subscriptions s ON s.tenant_id = k.tenant_id AND s.id = k.id AND s.status IN ('trialing', 'active')
    -- As qzpay_reminded_end() has it.
    CROSS JOIN LATERAL (SELECT CASE s.status WHEN 'trialing' THEN 'trial.expiring' ELSE 'subscription.expiring' END AS type,
                               CASE s.status WHEN 'trialing' THEN s.trial_end ELSE least(s.cancel_at, CASE WHEN NOT s.auto_renew THEN s.current_period_end END) END AS ends_at) e
    CROSS JOIN LATERAL (SELECT days::int AS days FROM jsonb_array_elements_text(coalesce(
            to_jsonb(CASE s.status WHEN 'trialing' THEN s.trial_reminder_days ELSE s.expiring_reminder_days END),
            qzpay.setting(CASE s.status WHEN 'trialing' THEN 'trial_reminder_days' ELSE 'expiring_reminder_days' END))) AS days) d
    WHERE p_at < e.ends_at AND k.due_at = e.ends_at - d.days * interval '24 hours' AND (s.status = 'trialing' OR s.cancel_reason IS DISTINCT FROM 'payment_failed')
    ON CONFLICT (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    UPDATE qzpay.subscriptions s SET reminded_at = k.due_at
    FROM unnest(p_tenants, p_subscriptions, p_dues) AS k (tenant_id, id, due_at)
    WHERE s.tenant_id = k.tenant_id AND s.id = k.id AND s.next_due_at <= k.due_at
      AND (s.status = 'trialing' AND k.due_at < s.trial_end OR s.status = 'active' AND (s.cancel_at > k.due_at OR NOT s.auto_renew AND s.current_period_end > k.due_at));
END $$;
COMMENT ON FUNCTION qzpay._remind(uuid[], uuid[], timestamptz[], timestamptz) IS
'Emits trial.expiring, or subscription.expiring for a contract that will not renew, once per end and number of days, for the subscriptions whose due instant is a reminder; none once the end has come.';
