-- What a subscription has committed itself to spend.

CREATE OR REPLACE FUNCTION qzpay._commitment_lines(p_rolls qzpay._roll[], p_lines qzpay._line[]) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM qzpay.prices p WHERE p.commitment > 0) THEN
        RETURN NULL;
    END IF;
    RETURN (
        WITH period AS (
            SELECT r.tenant_id, r.subscription_id, r.customer_id, r.invoice_id, s.current_period_start AS period_start, x.period_end, CASE WHEN q.ordinal >= 0 THEN s.current_period_end - s.current_period_start ELSE w.period_end - w.period_start END AS whole
            FROM unnest(p_rolls) r
            JOIN qzpay.subscriptions s ON s.tenant_id = r.tenant_id AND s.id = r.subscription_id
            CROSS JOIN LATERAL (SELECT CASE WHEN r.ends OR r.pauses OR r.resets THEN least(r.due_at, s.current_period_end) ELSE s.current_period_end END AS period_end) x
            -- A period is as long as it was begun, though the customer has moved; before an anchor that is ahead, the one that it is a part of.
            LEFT JOIN qzpay.periods q ON q.tenant_id = s.tenant_id AND q.subscription_id = s.id AND q.cycle = s.interval_count || ' ' || s.interval_unit AND q.period_start = s.current_period_start
            CROSS JOIN LATERAL qzpay._period_containing(s.anchor, s.interval_unit, s.interval_count, s.timezone, s.current_period_start) w
            -- Who was given the period for nothing owes nothing for it; a pause has settled what came before it.
            WHERE s.status NOT IN ('trialing', 'incomplete', 'paused') AND NOT s.period_comped
              AND x.period_end > s.current_period_start AND x.period_end <= r.due_at AND (r.ends OR r.pauses OR r.resets OR r.bills)
        ), committed AS (
            SELECT p.*, x.item_id, x.product_id, x.price_id, x.name, x.amount
            FROM period p
            CROSS JOIN LATERAL (
                -- Each plan of the period for its part of it, by time; the last one names the line.
                SELECT (array_agg(i.id ORDER BY i.valid_from DESC))[1] AS item_id, (array_agg(i.product_id ORDER BY i.valid_from DESC))[1] AS product_id,
                       (array_agg(i.price_id ORDER BY i.valid_from DESC))[1] AS price_id, (array_agg(coalesce(i.name, d.name) ORDER BY i.valid_from DESC))[1] AS name,
                       round(sum(c.commitment * extract(epoch FROM least(i.valid_until, p.period_end) - greatest(i.valid_from, p.period_start)))
                             / extract(epoch FROM p.whole), 6) AS amount
                FROM qzpay.subscription_items i
                JOIN qzpay.prices c ON c.id = i.price_id AND c.commitment > 0
                JOIN qzpay.products d ON d.id = i.product_id
                WHERE i.tenant_id = p.tenant_id AND i.subscription_id = p.subscription_id AND i.kind = 'plan' AND i.valid_from < p.period_end AND i.valid_until > p.period_start
            ) x
            WHERE x.amount > 0
        ), spent AS (
            -- The period's plan and add-ons, and the usage that was closed in it, on invoices written or about to be; less what was given back of them,
            -- before its discount as they are.
            SELECT k.tenant_id, k.subscription_id, sum(CASE WHEN l.amount > l.discount THEN l.amount * (1 - coalesce(c.amount, 0) / (l.amount - l.discount)) ELSE l.amount END) AS amount
            FROM committed k
            CROSS JOIN LATERAL (
                SELECT n.id, n.amount, n.discount_amount AS discount, n.kind, n.period_start, n.period_end
                FROM qzpay.invoices v
                JOIN qzpay.invoice_lines n ON n.tenant_id = v.tenant_id AND n.invoice_id = v.id AND n.source_line_id IS NULL
                JOIN qzpay.subscription_items i ON i.tenant_id = n.tenant_id AND i.id = n.subscription_item_id AND i.subscription_id = k.subscription_id
                WHERE v.tenant_id = k.tenant_id AND v.customer_id = k.customer_id AND v.issued_at >= k.period_start AND v.status <> 'void'
                UNION ALL
                SELECT n.id, n.amount, coalesce(n.discount_amount, 0), n.kind, n.period_start, n.period_end
                FROM unnest(p_lines) n WHERE n.invoice_id = k.invoice_id AND n.source_line_id IS NULL
            ) l
            CROSS JOIN LATERAL (
                SELECT sum(g.amount) AS amount
                FROM (SELECT -n.amount AS amount FROM qzpay.invoice_lines n JOIN qzpay.invoices v ON v.tenant_id = n.tenant_id AND v.id = n.invoice_id AND v.status <> 'void'
                      WHERE n.tenant_id = k.tenant_id AND n.source_line_id = l.id
                      UNION ALL SELECT -n.amount FROM unnest(p_lines) n WHERE n.source_line_id = l.id
                      UNION ALL SELECT n.amount FROM qzpay.credit_note_lines n WHERE n.tenant_id = k.tenant_id AND n.invoice_line_id = l.id) g
            ) c
            WHERE l.kind IN ('plan', 'addon') AND l.period_start >= k.period_start AND l.period_start < k.period_end
               OR l.kind = 'usage' AND l.period_end > k.period_start AND l.period_end <= k.period_end
            GROUP BY k.tenant_id, k.subscription_id
        )
        SELECT array_agg(ROW(k.tenant_id, k.invoice_id, 'commitment', k.product_id, k.price_id, NULL, k.item_id, NULL, format('%s: minimum commitment', k.name),
                             k.period_start, k.period_end, 1, x.missing, x.missing, qzpay.round_amount(x.missing), false,
                             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._line
                         ORDER BY k.tenant_id, k.subscription_id)
        FROM committed k
        LEFT JOIN spent s ON s.tenant_id = k.tenant_id AND s.subscription_id = k.subscription_id
        CROSS JOIN LATERAL (SELECT k.amount - coalesce(round(s.amount, 6), 0) AS missing) x
        WHERE x.missing >= 0.5
    );
END $$;
COMMENT ON FUNCTION qzpay._commitment_lines(qzpay._roll[], qzpay._line[]) IS
'True-up lines for the billing periods that end: what plan, add-ons and usage of the period, before discounts and less what was credited, fall short of the commitment of the plan''s price. '
'p_lines are the lines of the same run. A period cut short by an end, a pause or a new anchor, or shared by several plans, counts by time, to six decimals; the amount is rounded once. Nothing is due for trials, contracts never paid and periods given for free.';
