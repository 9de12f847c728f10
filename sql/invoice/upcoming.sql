-- Notices of renewals ahead, with the amount that they will ask for.

CREATE OR REPLACE FUNCTION qzpay._upcoming(p_clock uuid, p_until timestamptz) RETURNS TABLE (tenant_id uuid, subscription_id uuid, customer_id uuid, renews_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.tenant_id, s.id, s.customer_id, r.at
    FROM qzpay.subscriptions s
    CROSS JOIN LATERAL (SELECT CASE s.status WHEN 'trialing' THEN s.trial_end ELSE s.current_period_end END AS at) r
    -- Nothing is due before the first work of a subscription, which has an index.
    WHERE CASE WHEN p_clock IS NULL THEN s.test_clock_id IS NULL ELSE s.test_clock_id = p_clock END AND s.next_due_at <= p_until AND s.set_aside_at IS NULL
      AND r.at <= p_until AND s.upcoming_at IS DISTINCT FROM r.at AND s.managed_by = 'engine'
      AND CASE s.status WHEN 'trialing' THEN s.has_payment_method OR s.trial_end_behavior = 'past_due' ELSE s.status IN ('active', 'past_due', 'unpaid') AND s.auto_renew END
      AND (s.cancel_at IS NULL OR s.cancel_at > r.at) AND (s.pause_at IS NULL OR s.pause_at > r.at);
END $$;
COMMENT ON FUNCTION qzpay._upcoming(uuid, timestamptz) IS 'Subscriptions, of a test clock or (NULL) in real time, that will renew or convert up to an instant, and whose notice of that has not been given.';

CREATE OR REPLACE FUNCTION qzpay._upcoming_days() RETURNS integer
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (qzpay.setting('upcoming_invoice_days') #>> '{}')::integer;
END $$;
COMMENT ON FUNCTION qzpay._upcoming_days() IS 'The setting upcoming_invoice_days; NULL: no notices.';

CREATE OR REPLACE FUNCTION qzpay._preview_renewals(p_clock uuid, p_tenants uuid[], p_subscriptions uuid[], p_renewals timestamptz[]) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_until timestamptz[];
    v_last timestamptz;
    v_due record;
    v_rows jsonb;
BEGIN
    -- A day's invoice is complete when the day is over, so the others of the customer come along.
    SELECT array_agg(x.tenant_id), array_agg(x.id), array_agg(x.until), max(x.until) INTO p_tenants, p_subscriptions, v_until, v_last
    FROM (SELECT s.tenant_id, s.id, max(CASE WHEN d.together THEN greatest(k.renews_at, ((k.renews_at AT TIME ZONE c.timezone)::date + 1)::timestamp AT TIME ZONE c.timezone - interval '1 microsecond')
                                             ELSE k.renews_at END) AS until
          FROM unnest(p_tenants, p_subscriptions, p_renewals) AS k (tenant_id, id, renews_at)
          JOIN qzpay.subscriptions o ON o.tenant_id = k.tenant_id AND o.id = k.id
          JOIN qzpay.customers c ON c.tenant_id = o.tenant_id AND c.id = o.customer_id
          CROSS JOIN LATERAL (SELECT coalesce(c.invoice_consolidation, qzpay.setting('invoice_consolidation') #>> '{}') = 'day' AS together) d
          JOIN qzpay.subscriptions s ON s.tenant_id = o.tenant_id AND s.customer_id = o.customer_id AND (s.id = o.id OR d.together)
          GROUP BY s.tenant_id, s.id) x;
    IF p_clock IS NULL THEN
        PERFORM qzpay._clock_set(v_last);
    END IF;
    LOOP
        SELECT array_agg(k.tenant_id) AS tenants, array_agg(k.id) AS subscriptions, array_agg(k.next_due_at) AS dues INTO v_due
        FROM (SELECT s.tenant_id, s.id, s.next_due_at
              FROM unnest(p_tenants, p_subscriptions, v_until) AS u (tenant_id, id, until)
              JOIN qzpay.subscriptions s ON s.tenant_id = u.tenant_id AND s.id = u.id AND s.next_due_at <= u.until AND s.set_aside_at IS NULL
              ORDER BY s.tenant_id, s.id FOR UPDATE OF s) k;
        EXIT WHEN v_due.subscriptions IS NULL;
        PERFORM qzpay._do_due_of(v_due.tenants, v_due.subscriptions, v_due.dues, v_last);
    END LOOP;
    PERFORM qzpay._finalize_draft(i.tenant_id, i.id, v_last)
    FROM qzpay.invoices i
    WHERE i.status = 'draft' AND (i.tenant_id, i.id) IN (SELECT m.tenant_id, m.invoice_id FROM unnest(p_tenants, p_subscriptions) AS u (tenant_id, id)
                                                         JOIN qzpay.invoice_subscriptions m ON m.tenant_id = u.tenant_id AND m.subscription_id = u.id);
    SELECT jsonb_agg(to_jsonb(x)) INTO v_rows
    FROM (SELECT i.tenant_id, i.id AS invoice_id, i.customer_id, i.currency, i.total, i.amount_due, array_agg(DISTINCT p.subscription_id ORDER BY p.subscription_id) AS subscriptions, max(p.period_start) AS renews_at
          FROM unnest(p_tenants, p_subscriptions) AS u (tenant_id, id)
          JOIN qzpay.subscriptions s ON s.tenant_id = u.tenant_id AND s.id = u.id
          JOIN qzpay.periods p ON p.tenant_id = s.tenant_id AND p.subscription_id = s.id AND p.period_start = s.current_period_start AND p.cycle <> 'usage'
          JOIN qzpay.invoices i ON i.tenant_id = p.tenant_id AND i.id = p.invoice_id AND i.created_at = v_last
          GROUP BY i.tenant_id, i.id) x;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._preview_renewals(uuid, uuid[], uuid[], timestamptz[]) IS
'What the invoices of these renewals will be: does all that is due until then, so the caller rolls it back. Array of {tenant_id, invoice_id, customer_id, currency, total, amount_due, subscriptions, renews_at}; NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._tell_upcoming(p_clock uuid, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_days integer := qzpay._upcoming_days();
    v_tenants uuid[];
    v_subscriptions uuid[];
    v_renewals timestamptz[];
    v_rows jsonb;
BEGIN
    IF v_days IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM FROM qzpay.customers c
    WHERE qzpay._consolidates() AND (c.tenant_id, c.id) IN (SELECT u.tenant_id, u.customer_id FROM qzpay._upcoming(p_clock, p_at + v_days * interval '24 hours') u ORDER BY u.renews_at, u.tenant_id, u.subscription_id LIMIT p_limit)
    ORDER BY c.tenant_id, c.id FOR NO KEY UPDATE;
    SELECT array_agg(k.tenant_id), array_agg(k.id), array_agg(k.renews_at) INTO v_tenants, v_subscriptions, v_renewals
    FROM (SELECT s.tenant_id, s.id, u.renews_at
          FROM (SELECT * FROM qzpay._upcoming(p_clock, p_at + v_days * interval '24 hours') u ORDER BY u.renews_at, u.tenant_id, u.subscription_id LIMIT p_limit) u
          JOIN qzpay.subscriptions s ON s.tenant_id = u.tenant_id AND s.id = u.subscription_id
          ORDER BY s.tenant_id, s.id FOR UPDATE OF s SKIP LOCKED) k;
    IF v_subscriptions IS NULL THEN
        RETURN 0;
    END IF;
    BEGIN
        v_rows := qzpay._preview_renewals(p_clock, v_tenants, v_subscriptions, v_renewals);
        RAISE EXCEPTION USING ERRCODE = 'QZ999';
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
    INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, dedupe_key, occurred_at, recorded_at)
    SELECT x.tenant_id, qzpay.uuid_v7(), 'invoice.upcoming', 'subscription', x.subscriptions[1], x.customer_id, c.livemode,
           jsonb_build_object('subscriptionId', CASE WHEN cardinality(x.subscriptions) = 1 THEN x.subscriptions[1] END, 'effectiveAt', x.renews_at, 'currency', x.currency, 'total', x.total, 'amountDue', x.amount_due,
                              'daysRemaining', ceil(extract(epoch FROM x.renews_at - p_at) / 86400)::integer, 'hasPaymentMethod', s.has_payment_method, 'emailSentByPackage', false)
               || CASE WHEN cardinality(x.subscriptions) > 1 THEN jsonb_build_object('subscriptionIds', x.subscriptions) ELSE '{}' END,
           'invoice.upcoming:' || x.invoice_id, p_at, qzpay._recorded_at()
    FROM jsonb_to_recordset(v_rows) AS x (tenant_id uuid, invoice_id uuid, customer_id uuid, currency text, total bigint, amount_due bigint, subscriptions uuid[], renews_at timestamptz)
    JOIN qzpay.customers c ON c.tenant_id = x.tenant_id AND c.id = x.customer_id
    JOIN qzpay.subscriptions s ON s.tenant_id = x.tenant_id AND s.id = x.subscriptions[1]
    -- Once the instant has come it is no notice any more.
    WHERE x.renews_at > p_at AND EXISTS (SELECT FROM unnest(v_tenants, v_subscriptions) AS k (tenant_id, id) WHERE k.tenant_id = x.tenant_id AND k.id = ANY (x.subscriptions))
    ON CONFLICT (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    -- Also where nothing will be asked for, which need not be found out again.
    UPDATE qzpay.subscriptions s SET upcoming_at = k.renews_at FROM unnest(v_tenants, v_subscriptions, v_renewals) AS k (tenant_id, id, renews_at) WHERE s.tenant_id = k.tenant_id AND s.id = k.id;
    RETURN cardinality(v_subscriptions);
END $$;
COMMENT ON FUNCTION qzpay._tell_upcoming(uuid, timestamptz, integer) IS
'Emits invoice.upcoming for renewals within the days of the setting upcoming_invoice_days, once per invoice ahead, with the amounts of the real run, rolled back; none where nothing will be asked for. '
'For a test clock or (NULL) real time; skips what another session holds. Returns how many subscriptions were looked at.';

CREATE OR REPLACE FUNCTION qzpay._job_upcoming(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._tell_upcoming(NULL, qzpay.now(), p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_upcoming(integer) IS 'Job: notices of renewals ahead.';
