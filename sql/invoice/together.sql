-- One invoice for all that falls due for a customer on one day.

CREATE OR REPLACE FUNCTION qzpay._consolidates() RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay.setting('invoice_consolidation') = '"day"' OR EXISTS (SELECT FROM qzpay.customers c WHERE c.invoice_consolidation = 'day');
END $$;
COMMENT ON FUNCTION qzpay._consolidates() IS 'Whether any customer in sight may have its subscriptions put on one invoice; where none has, nothing else of this file is called.';

CREATE OR REPLACE FUNCTION qzpay._next_bill_at(p_tenant uuid, p_subscription uuid) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT least(CASE WHEN s.status = 'trialing' THEN s.trial_end END, s.current_period_end, qzpay._usage_closes_at(s.status::text, s.usage_period_end, s.usage_late_hours),
                     s.cycle_due_at, s.cancel_at, s.pause_at)
        FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = p_subscription);
END $$;
COMMENT ON FUNCTION qzpay._next_bill_at(uuid, uuid) IS 'The next boundary of a subscription at which something may be invoiced: of its period or usage, of an add-on''s own interval, of its trial; an end or a pause.';

CREATE OR REPLACE FUNCTION qzpay._day_waits_until(p_tenant uuid, p_customer uuid, p_currency text, p_day date, p_timezone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_end timestamptz := (p_day + 1)::timestamp AT TIME ZONE p_timezone;
BEGIN
    RETURN (
        SELECT max(greatest(s.next_due_at, b.bill_at))
        FROM qzpay.subscriptions s
        CROSS JOIN LATERAL (SELECT least(qzpay._next_bill_at(s.tenant_id, s.id), s.resume_at, CASE WHEN s.period_comped THEN s.comp_until END) AS bill_at) b
        -- What is due for something else than billing that day is not waited for, nor what the run has set aside.
        WHERE s.tenant_id = p_tenant AND s.customer_id = p_customer AND s.currency = p_currency AND s.status <> 'incomplete' AND s.set_aside_at IS NULL
          AND s.next_due_at < v_end AND b.bill_at < v_end);
END $$;
COMMENT ON FUNCTION qzpay._day_waits_until(uuid, uuid, text, date, text) IS
'The last instant of a day at which, or after an earlier one at which, a subscription of the customer has something to bill that it has not billed yet; NULL: the day''s invoice is complete.';

CREATE OR REPLACE FUNCTION qzpay._merge_bills(p_bills qzpay._bill[]) RETURNS qzpay._bill[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(p_bills) b WHERE b.billing_day IS NOT NULL) THEN
        RETURN p_bills;
    END IF;
    RETURN (
        SELECT array_agg(ROW(m.tenant_id, m.invoice_id, m.customer_id, CASE WHEN m.shares = 1 THEN m.subscriptions[1] END, m.seller_id, m.livemode, m.currency,
                             m.kind, m.due_at, m.period_start, m.period_end, m.collection, m.net_days, m.metadata, m.billing_day)::qzpay._bill
                         ORDER BY m.due_at, m.tenant_id, m.subscriptions[1], m.invoice_id)
        FROM (SELECT b.tenant_id, b.invoice_id, b.customer_id, count(*) AS shares, array_agg(b.subscription_id ORDER BY b.subscription_id) AS subscriptions, b.seller_id, b.livemode, b.currency,
                     CASE WHEN bool_or(b.kind = 'usage') AND NOT bool_or(b.kind = 'subscription') THEN 'usage' WHEN count(*) > 1 THEN 'subscription' ELSE min(b.kind) END AS kind,
                     max(b.due_at) AS due_at, min(b.period_start) AS period_start, max(b.period_end) AS period_end, min(b.collection) AS collection, min(b.net_days) AS net_days,
                     -- What each subscription would have written on an invoice of its own stays with the subscriptions.
                     CASE WHEN count(*) = 1 OR min(b.metadata::text) = max(b.metadata::text) AND count(b.metadata) = count(*) THEN (array_agg(b.metadata))[1] END AS metadata, b.billing_day
              FROM unnest(p_bills) b
              GROUP BY b.tenant_id, b.invoice_id, b.customer_id, b.seller_id, b.livemode, b.currency, b.billing_day) m
    );
END $$;
COMMENT ON FUNCTION qzpay._merge_bills(qzpay._bill[]) IS
'One bill for each invoice: where subscriptions share it the bill names none of them, spans their periods, and has the metadata that all of them have. In the order of due instants.';

CREATE OR REPLACE FUNCTION qzpay._write_shares(p_bills qzpay._bill[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.invoice_shares AS h (tenant_id, invoice_id, subscription_id, due_at, period_start, period_end)
    SELECT b.tenant_id, b.invoice_id, b.subscription_id, b.due_at, b.period_start, b.period_end
    FROM unnest(p_bills) b JOIN qzpay.invoices i ON i.tenant_id = b.tenant_id AND i.id = b.invoice_id AND i.subscription_id IS NULL
    WHERE b.billing_day IS NOT NULL
    -- Twice on one day: at the later instant all of it is judged.
    ON CONFLICT (tenant_id, invoice_id, subscription_id) DO UPDATE SET due_at = greatest(h.due_at, EXCLUDED.due_at),
        period_start = least(h.period_start, EXCLUDED.period_start), period_end = greatest(h.period_end, EXCLUDED.period_end);
END $$;
COMMENT ON FUNCTION qzpay._write_shares(qzpay._bill[]) IS 'Writes who shares the invoices just written, where they bill more than one subscription or may come to.';

CREATE OR REPLACE FUNCTION qzpay._shared_by(p_tenant uuid, p_invoice uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE WHEN count(*) > 0 THEN jsonb_build_object('subscriptionIds', jsonb_agg(h.subscription_id ORDER BY h.subscription_id)) ELSE '{}' END
            FROM qzpay.invoice_shares h WHERE h.tenant_id = p_tenant AND h.invoice_id = p_invoice);
END $$;
COMMENT ON FUNCTION qzpay._shared_by(uuid, uuid) IS 'For the events of an invoice that subscriptions share, which names none: {"subscriptionIds": […]}; {} for one made by hand.';

CREATE OR REPLACE FUNCTION qzpay._join_days(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz, OUT bills qzpay._bill[], OUT lines qzpay._line[], OUT written bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_default boolean := qzpay.setting('invoice_consolidation') = '"day"';
    v_from uuid[];
    v_to uuid[];
    v_days date[];
    v_waits timestamptz[];
    v_drafts boolean[];
    v_group record;
BEGIN
    bills := p_bills;
    lines := p_lines;
    written := 0;
    -- Whoever is finalising a day's draft by hand comes first.
    PERFORM FROM qzpay.invoices i
    WHERE i.billing_day IS NOT NULL AND i.status = 'draft' AND (i.tenant_id, i.customer_id) IN (SELECT b.tenant_id, b.customer_id FROM unnest(p_bills) b)
    ORDER BY i.tenant_id, i.id FOR NO KEY UPDATE;
    WITH part AS MATERIALIZED (
        SELECT b.tenant_id, b.invoice_id, b.customer_id, b.seller_id, b.currency, (b.due_at AT TIME ZONE c.timezone)::date AS day, c.timezone
        FROM unnest(p_bills) b
        JOIN qzpay.customers c ON c.tenant_id = b.tenant_id AND c.id = b.customer_id
        JOIN qzpay.subscriptions s ON s.tenant_id = b.tenant_id AND s.id = b.subscription_id
        WHERE CASE c.invoice_consolidation WHEN 'day' THEN true WHEN 'none' THEN false ELSE v_default END
          -- A contract begins with the payment of its own invoice, and ends with one that nobody else is chased for.
          AND s.status <> 'incomplete' AND NOT (s.ended_at IS NOT NULL AND s.status_reason IS NOT DISTINCT FROM 'payment_failed')
          AND b.invoice_id IN (SELECT l.invoice_id FROM unnest(p_lines) l WHERE l.amount <> 0)
    ), day AS MATERIALIZED (
        SELECT d.*, i.id AS invoice_id, i.status, qzpay._day_waits_until(d.tenant_id, d.customer_id, d.currency, d.day, d.timezone) AS waits,
               qzpay.uuid_v5(n.id, concat_ws(':', 'invoice:customer', d.customer_id, d.seller_id, d.currency, d.day)) AS id
        FROM (SELECT p.tenant_id, p.customer_id, p.seller_id, p.currency, p.day, min(p.timezone) AS timezone, count(*) AS parts FROM part p GROUP BY 1, 2, 3, 4, 5) d
        CROSS JOIN qzpay.installation n
        LEFT JOIN qzpay.invoices i ON i.tenant_id = d.tenant_id AND i.customer_id = d.customer_id AND i.seller_id = d.seller_id AND i.currency = d.currency AND i.billing_day = d.day
    )
    SELECT array_agg(p.invoice_id), array_agg(coalesce(d.invoice_id, d.id)), array_agg(d.day), array_agg(d.waits), array_agg(d.invoice_id IS NOT NULL)
    INTO v_from, v_to, v_days, v_waits, v_drafts
    FROM day d JOIN part p USING (tenant_id, customer_id, seller_id, currency, day)
    -- What comes when the day's invoice is final has one of its own.
    WHERE (d.invoice_id IS NULL OR d.status = 'draft') AND (d.parts > 1 OR d.waits IS NOT NULL OR d.invoice_id IS NOT NULL);
    IF v_from IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(ROW(l.tenant_id, coalesce(k.becomes, l.invoice_id), l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                         l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.discount_amount, l.tax_amount, l.discounts, l.taxes, l.metadata, l.id,
                         b.subscription_id)::qzpay._line ORDER BY b.subscription_id NULLS FIRST, l.ordinality) INTO lines
    FROM unnest(p_lines) WITH ORDINALITY l
    LEFT JOIN unnest(v_from, v_to) AS k (id, becomes) ON k.id = l.invoice_id
    LEFT JOIN unnest(p_bills) b ON b.invoice_id = k.id;
    SELECT array_agg(ROW(b.tenant_id, coalesce(k.becomes, b.invoice_id), b.customer_id, b.subscription_id, b.seller_id, b.livemode, b.currency, b.kind, b.due_at, b.period_start, b.period_end,
                         b.collection, b.net_days, b.metadata, k.day)::qzpay._bill) INTO bills
    FROM unnest(p_bills) b LEFT JOIN unnest(v_from, v_to, v_days) AS k (id, becomes, day) ON k.id = b.invoice_id;
    UPDATE qzpay.periods p SET invoice_id = k.becomes
    FROM unnest(p_bills) b JOIN unnest(v_from, v_to) AS k (id, becomes) ON k.id = b.invoice_id
    WHERE p.tenant_id = b.tenant_id AND p.subscription_id = b.subscription_id AND p.invoice_id = b.invoice_id;
    -- The rest of the day is waited for, or has begun before: a draft. The job makes it final as soon as nothing is to come.
    FOR v_group IN
        SELECT k.drafts, k.finalize_at, array_agg(b) AS bills, array_agg(b.invoice_id) AS invoices
        FROM unnest(bills) b
        JOIN (SELECT DISTINCT u.becomes, u.drafts, greatest(u.waits, p_at + coalesce(h.hours, 0) * interval '1 hour') AS finalize_at
              FROM unnest(v_to, v_drafts, v_waits) AS u (becomes, drafts, waits)
              LEFT JOIN qzpay._draft_hours(bills, lines) h ON h.invoice_id = u.becomes
              WHERE u.drafts OR u.waits IS NOT NULL) k
            ON k.becomes = b.invoice_id
        GROUP BY k.drafts, k.finalize_at ORDER BY k.finalize_at, k.drafts
    LOOP
        IF v_group.drafts THEN
            PERFORM qzpay._extend_drafts(v_group.bills, lines, v_group.finalize_at);
        ELSE
            written := written + qzpay._write_drafts(v_group.bills, lines, v_group.finalize_at, p_at);
        END IF;
        bills := (SELECT array_agg(b) FROM unnest(bills) b WHERE b.invoice_id <> ALL (v_group.invoices));
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._join_days(qzpay._bill[], qzpay._line[], timestamptz) IS
'Puts what is due for one customer, seller and currency on one day of its zone on one invoice, where the setting or the customer says so: bills and lines get its id, and lines their subscription. '
'Where more is due that day, or was before, it is written as that day''s draft, or added to it; the others are returned. What is alone on its day is left as it is.';

CREATE OR REPLACE FUNCTION qzpay._extend_drafts(p_bills qzpay._bill[], p_lines qzpay._line[], p_finalize_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._write_draft_lines(p_bills, p_lines);
    PERFORM qzpay._write_shares(p_bills);
    UPDATE qzpay.invoices i SET kind = CASE WHEN b.kind = 'subscription' THEN b.kind ELSE i.kind END, period_start = least(i.period_start, b.period_start),
           period_end = greatest(i.period_end, b.period_end), finalize_at = greatest(i.finalize_at, p_finalize_at)
    FROM unnest(qzpay._merge_bills(p_bills)) b WHERE i.tenant_id = b.tenant_id AND i.id = b.invoice_id;
    PERFORM qzpay._sum_draft(b.tenant_id, b.invoice_id) FROM unnest(qzpay._merge_bills(p_bills)) b;
END $$;
COMMENT ON FUNCTION qzpay._extend_drafts(qzpay._bill[], qzpay._line[], timestamptz) IS 'Adds what further subscriptions have due on their day to locked drafts.';

CREATE OR REPLACE FUNCTION qzpay._advance_with_its_day(p_tenant uuid, p_subscription uuid, p_due timestamptz) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer uuid;
    v_currency text;
    v_timezone text;
    v_day date;
    v_last timestamptz := p_due;
    v_next record;
BEGIN
    SELECT c.id, s.currency, c.timezone, (p_due AT TIME ZONE c.timezone)::date INTO v_customer, v_currency, v_timezone, v_day
    FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
    WHERE s.tenant_id = p_tenant AND s.id = p_subscription AND qzpay._consolidates() AND coalesce(c.invoice_consolidation, qzpay.setting('invoice_consolidation') #>> '{}') = 'day';
    IF NOT FOUND THEN
        -- Usage is the customer's, and one contract bills it: others that close the same usage period go along, as they will.
        FOR v_next IN
            SELECT k.closes_at, array_agg(k.id ORDER BY k.id) AS ids, array_agg(p_tenant) AS tenants, array_agg(k.closes_at) AS dues
            FROM (SELECT s.id, CASE WHEN s.id = p_subscription THEN p_due ELSE qzpay._usage_closes_at(s.status::text, s.usage_period_end, s.usage_late_hours) END AS closes_at
                  FROM qzpay.subscriptions o JOIN qzpay.subscriptions s ON s.tenant_id = o.tenant_id AND s.customer_id = o.customer_id
                  WHERE o.tenant_id = p_tenant AND o.id = p_subscription AND (s.id = o.id OR s.usage_period_start = o.usage_period_start AND s.set_aside_at IS NULL)
                  ORDER BY s.id FOR UPDATE OF s) k
            WHERE k.closes_at <= p_due
            GROUP BY k.closes_at ORDER BY k.closes_at
        LOOP
            PERFORM qzpay._advance_subscriptions(v_next.tenants, v_next.ids, v_next.dues, v_next.closes_at);
        END LOOP;
        RETURN p_due;
    END IF;
    -- The others of the day as their instants come, whichever is first; nothing twice, since each leaves its instant behind.
    FOR v_next IN
        SELECT b.bill_at, array_agg(s.id ORDER BY s.id) AS ids, array_agg(p_tenant) AS tenants, array_agg(b.bill_at) AS dues FROM qzpay.subscriptions s
        CROSS JOIN LATERAL (SELECT CASE WHEN s.id = p_subscription THEN p_due ELSE qzpay._next_bill_at(s.tenant_id, s.id) END AS bill_at) b
        WHERE s.tenant_id = p_tenant AND s.customer_id = v_customer AND (s.id = p_subscription OR s.currency = v_currency AND s.set_aside_at IS NULL AND s.status <> 'incomplete'
              AND s.next_due_at < (v_day + 1)::timestamp AT TIME ZONE v_timezone AND (b.bill_at AT TIME ZONE v_timezone)::date = v_day)
        GROUP BY b.bill_at ORDER BY b.bill_at
    LOOP
        v_last := greatest(v_last, v_next.bill_at);
        PERFORM qzpay._advance_subscriptions(v_next.tenants, v_next.ids, v_next.dues, v_next.bill_at, true);
    END LOOP;
    RETURN v_last;
END $$;
COMMENT ON FUNCTION qzpay._advance_with_its_day(uuid, uuid, timestamptz) IS
'For a preview: brings a subscription to its due instant, and with it what else will be on its invoice. Returns when that will be complete.';
