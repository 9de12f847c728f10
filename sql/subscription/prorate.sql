-- What a change in mid-period gives back and asks for.

CREATE OR REPLACE FUNCTION qzpay._prorated(p_tenant uuid, p_subscription uuid, p_amount bigint, p_start timestamptz, p_end timestamptz, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The plan that was held until the instant: a change of plan gives back and asks for by one measure.
    v_unit text := (SELECT p.proration_unit FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id
                    WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.kind = 'plan' AND i.valid_from <= p_at
                    ORDER BY i.valid_from < p_at DESC, i.valid_from DESC LIMIT 1);
BEGIN
    RETURN qzpay.prorate(p_amount, tstzrange(p_start, p_end), p_at, coalesce(v_unit, qzpay.setting('proration_unit') #>> '{}'),
                         (SELECT s.timezone FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = p_subscription));
END $$;
COMMENT ON FUNCTION qzpay._prorated(uuid, uuid, bigint, timestamptz, timestamptz, timestamptz) IS
'prorate() by the proration unit of the plan or, where that has none, the setting, in the zone of a subscription: what is left of an amount for [start, end) at an instant. Debits and credits of one instant are this same number.';

CREATE OR REPLACE FUNCTION qzpay._is_quantity_pack(p_product uuid) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM qzpay.products p
                   WHERE p.id = p_product AND p.kind = 'addon'
                     AND NOT coalesce(p.prorate, NOT EXISTS (SELECT FROM qzpay.product_features pf JOIN qzpay.features f ON f.code = pf.feature_code AND f.meter_id IS NOT NULL WHERE pf.product_id = p.id)));
END $$;
COMMENT ON FUNCTION qzpay._is_quantity_pack(uuid) IS
'Whether an add-on is charged and grants in full at once, and ends only with the period: one that sells quantity of a meter, unless its prorate says otherwise.';

CREATE OR REPLACE FUNCTION qzpay._credit_lines(p_tenant uuid, p_subscription uuid, p_items uuid[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(p_tenant, d.invoice_id, d.kind, d.product_id, d.price_id, NULL, d.subscription_item_id, NULL, 'Unused time on ' || regexp_replace(d.description, '^Remaining time on ', ''),
                             p_at, d.period_end, d.quantity, NULL, -c.amount, -c.amount, true, d.id, NULL, NULL, NULL, NULL, d.metadata, NULL, NULL)::qzpay._line ORDER BY d.kind DESC, d.description, d.id)
        FROM (
            SELECT l.id, l.invoice_id, l.kind, l.product_id, l.price_id, l.subscription_item_id, l.description, l.period_start, l.period_end, l.quantity,
                   l.amount - l.discount_amount AS net, r.net AS rest, l.metadata
            FROM qzpay.invoice_lines l
            JOIN qzpay.invoices v ON v.tenant_id = l.tenant_id AND v.id = l.invoice_id AND v.status <> 'void'
            CROSS JOIN LATERAL qzpay._rest_of_lines(ARRAY[l.tenant_id], ARRAY[l.id], ARRAY[l.subscription_item_id]) r
            WHERE l.tenant_id = p_tenant AND l.subscription_item_id = ANY (p_items) AND l.kind <> 'usage' AND l.source_line_id IS NULL
            UNION ALL
            SELECT l.id, NULL, l.kind, l.product_id, l.price_id, l.subscription_item_id, l.description, l.period_start, l.period_end, l.quantity, l.amount, l.amount, l.metadata
            FROM qzpay.pending_lines l
            WHERE l.tenant_id = p_tenant AND l.subscription_id = p_subscription AND l.subscription_item_id = ANY (p_items) AND l.source_line_id IS NULL
        ) d
        CROSS JOIN LATERAL (
            -- Of a debit that waits itself; of an invoice's line this is in its rest.
            SELECT d.rest + coalesce(sum(l.amount), 0)::bigint AS rest FROM qzpay.pending_lines l
            WHERE d.invoice_id IS NULL AND l.tenant_id = p_tenant AND l.subscription_id = p_subscription AND l.source_line_id = d.id) w
        CROSS JOIN LATERAL (
            SELECT greatest(qzpay._prorated(p_tenant, p_subscription, d.net, d.period_start, d.period_end, p_at) - (d.net - w.rest), 0) AS amount) c
        WHERE d.kind IN ('plan', 'addon') AND d.net > 0 AND d.period_start <= p_at AND d.period_end > p_at AND c.amount > 0 AND NOT qzpay._is_quantity_pack(d.product_id)
    );
END $$;
COMMENT ON FUNCTION qzpay._credit_lines(uuid, uuid, uuid[], timestamptz) IS
'Credits for what these items were debited for a period that contains the instant: the debit (net of its discount) less its used part, which is rounded, less what was credited of it before. '
'The tax is settled with the invoice they come to; invoice_id is still the debit''s (NULL: it waits itself). NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._debit_lines(p_tenant uuid, p_subscription uuid, p_items uuid[], p_before qzpay._item[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(p_tenant, NULL, i.kind, i.product_id, i.price_id, NULL, i.id, NULL,
                             CASE WHEN a.amount = a.whole THEN '' ELSE 'Remaining time on ' END || coalesce(i.name, p.name),
                             p_at, w.period_end, k.quantity, x.unit_amount, a.amount, a.amount, true, NULL, NULL, NULL, NULL, NULL, i.metadata, NULL, NULL)::qzpay._line
                         ORDER BY i.kind DESC, p.code)
        FROM qzpay.subscription_items i
        JOIN qzpay.subscriptions s ON s.tenant_id = i.tenant_id AND s.id = i.subscription_id
        JOIN qzpay.products p ON p.id = i.product_id
        JOIN qzpay.prices c ON c.id = i.price_id
        CROSS JOIN LATERAL (SELECT coalesce(i.unit_amount, c.unit_amount) AS unit_amount) x
        LEFT JOIN qzpay.periods q ON q.tenant_id = s.tenant_id AND q.subscription_id = s.id AND q.cycle = c.interval_count || ' ' || c.interval_unit
             AND q.period_start <= p_at AND q.period_end > p_at
        CROSS JOIN LATERAL qzpay._running_period(s.tenant_id, s.id, s.anchor, c.interval_unit, c.interval_count, s.timezone, p_at) n
        CROSS JOIN LATERAL (SELECT CASE WHEN q.ordinal >= 0 THEN q.period_start ELSE n.period_start END AS period_start, coalesce(q.period_end, n.period_end) AS period_end) w
        -- Packs that were there are charged in full already and not credited.
        CROSS JOIN LATERAL (SELECT t.is_pack, CASE WHEN t.is_pack THEN greatest(i.quantity - coalesce((SELECT sum(b.quantity) FROM unnest(p_before) b WHERE b.product_id = i.product_id AND b.scope = i.scope), 0), 0)
                                                   ELSE i.quantity END AS quantity
                            FROM (SELECT qzpay._is_quantity_pack(i.product_id) AS is_pack) t) k
        CROSS JOIN LATERAL (
            SELECT r.whole, CASE WHEN k.is_pack THEN r.whole
                                 ELSE qzpay._prorated(p_tenant, p_subscription, r.whole, w.period_start, w.period_end, p_at) END AS amount
            FROM (SELECT qzpay.round_amount(x.unit_amount * k.quantity) AS whole) r) a
        WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.id = ANY (p_items) AND a.amount <> 0
    );
END $$;
COMMENT ON FUNCTION qzpay._debit_lines(uuid, uuid, uuid[], qzpay._item[], timestamptz) IS
'Debits for the rest of the running period for items that begin at the instant: what prorate() leaves of quantity × unit amount; of packs, the whole price of those that come to what was there before. NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._setup_lines(p_tenant uuid, p_subscription uuid, p_items uuid[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(p_tenant, NULL, 'setup', i.product_id, c.id, NULL, NULL, NULL, coalesce(i.name, p.name) || ': set-up',
                             NULL, NULL, 1, c.unit_amount, c.unit_amount, qzpay.round_amount(c.unit_amount), false, NULL, NULL, NULL, NULL, NULL, i.metadata, NULL, NULL)::qzpay._line ORDER BY p.code)
        FROM qzpay.subscription_items i
        JOIN qzpay.subscriptions s ON s.tenant_id = i.tenant_id AND s.id = i.subscription_id
        JOIN qzpay.products p ON p.id = i.product_id
        JOIN qzpay.prices c ON c.product_id = p.id AND c.active AND c.interval_unit = 'once' AND c.currency = s.currency AND c.unit_amount > 0
        WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.id = ANY (p_items)
          -- Once per product, however often its quantity changes.
          AND NOT EXISTS (SELECT FROM qzpay.subscription_items o WHERE o.tenant_id = i.tenant_id AND o.subscription_id = i.subscription_id AND o.product_id = i.product_id
                          AND o.scope = i.scope AND o.valid_from < i.valid_from)
          AND NOT EXISTS (SELECT FROM qzpay.invoice_subscriptions m JOIN qzpay.invoice_lines l ON l.tenant_id = m.tenant_id AND l.invoice_id = m.invoice_id
                          WHERE m.tenant_id = p_tenant AND m.subscription_id = p_subscription AND l.kind = 'setup' AND l.price_id = c.id AND coalesce(l.subscription_id, p_subscription) = p_subscription)
    );
END $$;
COMMENT ON FUNCTION qzpay._setup_lines(uuid, uuid, uuid[], timestamptz) IS 'Set-up fees of items held for the first time: the one-time price of a plan or add-on. NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._add_pending_lines(p_tenant uuid, p_subscription uuid, p_lines qzpay._line[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.pending_lines (tenant_id, id, customer_id, subscription_id, currency, kind, product_id, price_id, charge_id, subscription_item_id, meter_id, description, period_start, period_end,
                                     quantity, unit_amount, exact_amount, amount, proration, source_line_id, tax_amount, taxes, metadata, created_at)
    SELECT s.tenant_id, qzpay.uuid_v7(), s.customer_id, s.id, s.currency, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
           l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.tax_amount, l.taxes, coalesce(l.metadata, '{}'), p_at
    FROM unnest(p_lines) WITH ORDINALITY l
    JOIN qzpay.subscriptions s ON s.tenant_id = p_tenant AND s.id = p_subscription
    ORDER BY l.ordinality;
END $$;
COMMENT ON FUNCTION qzpay._add_pending_lines(uuid, uuid, qzpay._line[], timestamptz) IS 'Puts lines aside for the next invoice of a subscription.';

CREATE OR REPLACE FUNCTION qzpay._take_pending_lines(p_rolls qzpay._roll[]) RETURNS qzpay._line[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lines qzpay._line[];
BEGIN
    WITH taken AS (
        DELETE FROM qzpay.pending_lines l USING unnest(p_rolls) r
        WHERE l.tenant_id = r.tenant_id AND l.subscription_id = r.subscription_id AND (r.bills OR r.ends OR r.pauses) RETURNING l.*, r.invoice_id)
    SELECT array_agg(ROW(t.tenant_id, t.invoice_id, t.kind, t.product_id, t.price_id, t.charge_id, t.subscription_item_id, t.meter_id, t.description, t.period_start, t.period_end,
                         t.quantity, t.unit_amount, t.exact_amount, t.amount, t.proration, t.source_line_id, NULL, t.tax_amount, NULL, t.taxes, t.metadata, t.id, NULL)::qzpay._line ORDER BY t.id)
    INTO v_lines FROM taken t;
    RETURN v_lines;
END $$;
COMMENT ON FUNCTION qzpay._take_pending_lines(qzpay._roll[]) IS 'Takes the lines that waited for the invoices of these rolls; they keep their ids.';

CREATE OR REPLACE FUNCTION qzpay._invoice_pending(p_tenant uuid, p_subscription uuid, p_invoice uuid, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_bill qzpay._bill;
    v_lines qzpay._line[];
    v_rows bigint;
BEGIN
    SELECT s.tenant_id, p_invoice, s.customer_id, s.id, c.seller_id, s.livemode, s.currency, 'proration', p_at, p_at, s.current_period_end, NULL, NULL::integer, nullif(s.metadata, '{}'), NULL::date INTO STRICT v_bill
    FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id WHERE s.tenant_id = p_tenant AND s.id = p_subscription;
    IF v_bill.period_end <= v_bill.period_start THEN
        v_bill.period_end := NULL;
    END IF;
    v_lines := qzpay._take_pending_lines((SELECT array_agg(r) FROM jsonb_populate_record(NULL::qzpay._roll,
        jsonb_build_object('tenant_id', p_tenant, 'subscription_id', p_subscription, 'invoice_id', p_invoice, 'bills', true)) r));
    v_rows := qzpay._write_invoices(ARRAY[v_bill], v_lines, p_at);
    PERFORM qzpay._collect(ARRAY[p_tenant], ARRAY[p_invoice], p_at);
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._invoice_pending(uuid, uuid, uuid, timestamptz) IS 'Invoices at once what waits for the next invoice of a subscription, under this id. Returns 1, or 0 where nothing was to be invoiced.';
