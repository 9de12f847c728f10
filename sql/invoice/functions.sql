CREATE OR REPLACE FUNCTION qzpay._advance_lines(p_cycles qzpay._cycle[]) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(r.tenant_id, r.invoice_id, i.kind, i.product_id, i.price_id, NULL, i.id, NULL, coalesce(i.name, p.name),
                             r.period_start, r.period_end, i.quantity, x.unit_amount, y.exact_amount, y.amount, x.part,
                             NULL, NULL, NULL, NULL, NULL, i.metadata, NULL, NULL)::qzpay._line
                         ORDER BY i.kind DESC, p.code, i.scope)
        FROM unnest(p_cycles) r
        CROSS JOIN LATERAL (SELECT i.* FROM qzpay.subscription_items i WHERE i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id
                            AND i.valid_from <= r.period_start AND i.valid_until > r.period_start OFFSET 0) i
        CROSS JOIN LATERAL (SELECT p.name, p.code FROM qzpay.products p WHERE p.id = i.product_id OFFSET 0) p
        CROSS JOIN LATERAL (SELECT c.unit_amount FROM qzpay.prices c WHERE c.id = i.price_id AND c.interval_unit = r.interval_unit AND c.interval_count = r.interval_count OFFSET 0) c
        CROSS JOIN LATERAL (SELECT coalesce(i.unit_amount, c.unit_amount) AS unit_amount, r.full_start < r.period_start AS part) x
        CROSS JOIN LATERAL (
            SELECT CASE WHEN x.part THEN z.unused ELSE x.unit_amount * i.quantity END AS exact_amount, CASE WHEN x.part THEN z.unused ELSE z.whole END AS amount
            FROM (SELECT w.whole, CASE WHEN x.part THEN qzpay._prorated(r.tenant_id, r.subscription_id, w.whole, r.full_start, r.period_end, r.period_start) END AS unused
                  FROM (SELECT qzpay.round_amount(x.unit_amount * i.quantity) AS whole) w) z) y
        WHERE NOT coalesce(r.comped, false)
    );
END $$;
COMMENT ON FUNCTION qzpay._advance_lines(qzpay._cycle[]) IS
'Lines billed in advance for the periods that begin: each item in force at the start that has their interval, quantity × unit amount (negotiated before catalog), rounded once; '
'of a first part of a period, its share.';

CREATE OR REPLACE FUNCTION qzpay._usage_lines(p_rolls qzpay._roll[]) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(k.tenant_id, k.invoice_id, 'usage', k.product_id, k.price_id, k.charge_id, k.item_id, k.meter_id, k.display_name,
                             k.usage_start, k.usage_end, t.quantity - b.quantity, NULL, x.exact, qzpay.round_amount(x.exact, coalesce(k.pricing ->> 'rounding', 'half_up')), false,
                             NULL, NULL, NULL, NULL, NULL, jsonb_build_object('included', n.quantity) || d.late, NULL, NULL)::qzpay._line
                         ORDER BY m.code)
        FROM (
            SELECT r.tenant_id, r.invoice_id, r.customer_id, r.subscription_id, r.usage_start, r.usage_end, s.usage_share, i.id AS item_id, i.product_id, i.price_id, i.included AS negotiated,
                   c.id AS charge_id, c.meter_id, c.display_name, c.model, c.included,
                   CASE WHEN c.pricing ? 'minimum_amount'
                        THEN qzpay._pricing_of_part(c.pricing, s.anchor, s.usage_unit, s.usage_count, s.timezone, greatest(r.usage_start, i.valid_from), r.usage_end) ELSE c.pricing END AS pricing,
                   rank() OVER (PARTITION BY r.tenant_id, r.customer_id, c.meter_id, r.usage_start ORDER BY s.started_at DESC, s.id DESC) AS place
            FROM unnest(p_rolls) r
            CROSS JOIN LATERAL (SELECT s.* FROM qzpay.subscriptions s WHERE s.tenant_id = r.tenant_id AND s.id = r.subscription_id OFFSET 0) s
            CROSS JOIN LATERAL (SELECT i.* FROM qzpay.subscription_items i WHERE i.tenant_id = r.tenant_id AND i.subscription_id = r.subscription_id
                                AND i.valid_from < r.usage_end AND i.valid_until >= r.usage_end OFFSET 0) i
            CROSS JOIN LATERAL (
                SELECT c.* FROM qzpay.charges c
                WHERE c.product_id = i.product_id AND c.currency = r.currency AND c.created_at <= i.created_at AND (c.retired_at IS NULL OR c.retired_at > i.created_at)
                  AND NOT EXISTS (SELECT FROM qzpay.charges newer WHERE newer.product_id = c.product_id AND newer.meter_id = c.meter_id AND newer.currency = c.currency
                                  AND newer.version > c.version AND newer.created_at <= i.created_at) OFFSET 0) c
            WHERE r.closes_usage AND r.rates_usage AND r.usage_start < r.usage_end
        ) k
        JOIN qzpay.meters m ON m.id = k.meter_id
        -- Without usage a flat amount or a minimum may still be due.
        JOIN LATERAL (SELECT coalesce(sum(u.quantity), 0) AS quantity, coalesce(sum(u.events), 0)::bigint AS events,
                             CASE WHEN bool_or(u.amount IS NOT NULL) THEN sum(coalesce(u.amount, u.quantity)) END AS amount, coalesce(bool_or(u.gauge), false) AS gauge
                      FROM qzpay.usage_totals u
                      WHERE u.tenant_id = k.tenant_id AND u.customer_id = k.customer_id AND u.meter_id = k.meter_id AND u.period_start = k.usage_start) t
            ON t.events > 0 OR qzpay.rate_usage(k.model, k.pricing, 0) > 0
        -- Usage is the customer's: where the periods of several subscriptions begin together, one of them bills it, and a later one only what came since.
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(l.quantity), 0) AS quantity, coalesce(sum(l.exact_amount), 0) AS exact
            FROM (SELECT v.tenant_id, v.id FROM qzpay.invoices v WHERE v.tenant_id = k.tenant_id AND v.customer_id = k.customer_id AND v.issued_at >= k.usage_start AND v.status <> 'void'
                  -- On the draft of the day, which waits for this one.
                  UNION ALL SELECT v.tenant_id, v.id FROM qzpay.invoices v WHERE v.tenant_id = k.tenant_id AND v.customer_id = k.customer_id AND v.billing_day IS NOT NULL AND v.status = 'draft') v
            JOIN qzpay.invoice_lines l ON l.tenant_id = v.tenant_id AND l.invoice_id = v.id
            WHERE l.kind = 'usage' AND l.meter_id = k.meter_id AND l.period_start = k.usage_start
        ) b
        CROSS JOIN LATERAL (
            -- Free up to the negotiated or the charge's quantity, plus what add-ons raise it by, per unit.
            SELECT CASE WHEN bool_or(pf.unlimited) THEN NULL
                        ELSE CASE WHEN k.usage_share IS NULL THEN n.included ELSE floor(n.included * k.usage_share) END + coalesce(sum(pf.limit_value * a.quantity), 0) END AS quantity
            FROM (SELECT coalesce((k.negotiated ->> m.code)::numeric, k.included) AS included) n
            LEFT JOIN (qzpay.subscription_items a
            JOIN qzpay.product_features pf ON pf.product_id = a.product_id
            JOIN qzpay.features f ON f.code = pf.feature_code)
                ON f.meter_id = k.meter_id AND a.tenant_id = k.tenant_id AND a.subscription_id = k.subscription_id AND a.kind = 'addon' AND a.valid_from < k.usage_end AND a.valid_until >= k.usage_end
            GROUP BY n.included
        ) n
        CROSS JOIN LATERAL (
            SELECT greatest(qzpay._rate_period(k.model, k.pricing, n.quantity, t.quantity, t.events, t.amount, t.gauge OR m.aggregation NOT IN ('sum', 'count'),
                                               k.tenant_id, k.customer_id, k.meter_id, k.usage_start) - b.exact, 0) AS exact OFFSET 0
        ) x
        CROSS JOIN LATERAL (
            SELECT CASE WHEN count(*) > 0 THEN jsonb_build_object('lateEvents', count(*), 'lateQuantity', sum(e.quantity)) ELSE '{}' END AS late
            FROM qzpay.usage_late e
            WHERE e.tenant_id = k.tenant_id AND e.customer_id = k.customer_id AND e.meter_id = k.meter_id AND e.period_start = k.usage_start
        ) d
        WHERE k.place = 1 AND (t.quantity > b.quantity OR x.exact > 0)
    );
END $$;
COMMENT ON FUNCTION qzpay._usage_lines(qzpay._roll[]) IS
'Lines billed in arrears for the usage periods that end: the total of each meter that the items in force at the end charge for, rated on the charge version they were subscribed under. '
'metadata keeps what was included, and how many events, of which quantity, came late from earlier periods. No line of quantity 0 and amount 0, and none for what was billed before; a flat amount or a minimum is due without usage too. Usage of a trial or of a contract never paid is not rated.';

CREATE OR REPLACE FUNCTION qzpay._take_numbers(p_seller uuid, p_livemode boolean, p_at timestamptz, p_count bigint, p_document text DEFAULT 'invoice',
        OUT first_number bigint, OUT year integer, OUT issued_at timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_seller qzpay.sellers%ROWTYPE;
    v_last timestamptz;
BEGIN
    SELECT * INTO STRICT v_seller FROM qzpay.sellers s WHERE s.id = p_seller;
    issued_at := p_at;
    IF p_livemode THEN
        -- Dates never fall within a series, though a clock stepped back.
        SELECT max(s.last_issued_at) INTO v_last FROM qzpay.invoice_series s WHERE s.seller_id = p_seller AND s.livemode AND s.document = p_document;
        issued_at := greatest(p_at, v_last);
    END IF;
    year := extract(year FROM issued_at AT TIME ZONE v_seller.timezone);
    -- Counted discounts, then both kinds of numbers, which have to be there to be locked: one order for whoever writes an invoice and a note, one after the other or the other way round.
    PERFORM qzpay._lock_limited_discounts();
    INSERT INTO qzpay.invoice_series (seller_id, livemode, document, year, last_number, last_issued_at)
    SELECT p_seller, p_livemode, k.document, _take_numbers.year, 0, '-infinity' FROM (VALUES (1, 'credit_note'), (2, 'invoice')) k (n, document) ORDER BY k.n
    ON CONFLICT (seller_id, livemode, document, year) DO NOTHING;
    PERFORM FROM qzpay.invoice_series s WHERE s.seller_id = p_seller AND s.livemode = p_livemode AND s.year = _take_numbers.year ORDER BY s.document FOR NO KEY UPDATE;
    INSERT INTO qzpay.invoice_series AS s (seller_id, livemode, document, year, last_number, last_issued_at)
    VALUES (p_seller, p_livemode, p_document, _take_numbers.year, p_count, _take_numbers.issued_at)
    ON CONFLICT (seller_id, livemode, document, year) DO UPDATE SET last_number = s.last_number + p_count, last_issued_at = greatest(s.last_issued_at, EXCLUDED.last_issued_at)
    RETURNING s.last_number - p_count + 1, CASE WHEN p_livemode THEN s.last_issued_at ELSE _take_numbers.issued_at END INTO first_number, issued_at;
END $$;
COMMENT ON FUNCTION qzpay._take_numbers(uuid, boolean, timestamptz, bigint, text) IS
'Takes a block of consecutive numbers of invoices or credit notes of the seller''s series for the year of issue in the seller''s zone; the row lock lasts until the transaction ends, so a rollback leaves no gap.';

CREATE OR REPLACE FUNCTION qzpay._draft_hours(p_bills qzpay._bill[], p_lines qzpay._line[]) RETURNS TABLE (invoice_id uuid, hours integer)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_hours integer := (qzpay.setting('invoice_draft_hours') #>> '{}')::integer;
BEGIN
    RETURN QUERY
    -- Of subscriptions that share an invoice the one that waits longest.
    SELECT b.invoice_id, max(h.hours)
    FROM unnest(p_bills) b
    -- The plan in force when the usage period ended.
    LEFT JOIN LATERAL (SELECT p.invoice_draft_hours FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id
                       WHERE i.tenant_id = b.tenant_id AND i.subscription_id = b.subscription_id AND i.kind = 'plan' AND i.valid_from < b.due_at
                       ORDER BY i.valid_from DESC LIMIT 1) p ON true
    CROSS JOIN LATERAL (SELECT coalesce(p.invoice_draft_hours, v_hours) AS hours) h
    WHERE h.hours > 0 AND b.invoice_id IN (SELECT l.invoice_id FROM unnest(p_lines) l WHERE l.kind = 'usage' AND l.amount <> 0)
    GROUP BY b.invoice_id;
END $$;
COMMENT ON FUNCTION qzpay._draft_hours(qzpay._bill[], qzpay._line[]) IS 'For how many hours which of these invoices stay drafts because of the usage on them: those of the plan, or else of the setting.';

CREATE OR REPLACE FUNCTION qzpay._write_invoices(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_hours integer := (qzpay.setting('invoice_draft_hours') #>> '{}')::integer;
    v_drafts uuid[] := ARRAY[]::uuid[];
    v_group record;
    v_written bigint := 0;
BEGIN
    IF v_hours > 0 OR EXISTS (SELECT FROM qzpay.products p WHERE p.invoice_draft_hours > 0) THEN
        FOR v_group IN
            SELECT h.hours, array_agg(b) AS bills, array_agg(b.invoice_id) AS invoices
            FROM unnest(p_bills) b JOIN qzpay._draft_hours(p_bills, p_lines) h USING (invoice_id)
            GROUP BY h.hours ORDER BY h.hours
        LOOP
            v_written := v_written + qzpay._write_drafts(v_group.bills, p_lines, p_at + v_group.hours * interval '1 hour', p_at);
            v_drafts := v_drafts || v_group.invoices;
        END LOOP;
    END IF;
    RETURN v_written + qzpay._write_final_invoices((SELECT array_agg(b) FROM unnest(p_bills) b WHERE b.invoice_id <> ALL (v_drafts)), p_lines, p_at);
END $$;
COMMENT ON FUNCTION qzpay._write_invoices(qzpay._bill[], qzpay._line[], timestamptz) IS
'Writes the invoices these lines make: those with usage as drafts for the invoice_draft_hours of the plan or else of the setting, all others final at once. No invoice where every line is 0. Returns how many were written.';

CREATE OR REPLACE FUNCTION qzpay._write_final_invoices(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_parts qzpay._bill[];
    v_bills qzpay._bill[];
    v_lines qzpay._line[];
    v_group record;
    v_block record;
    v_rows bigint;
    v_total bigint := 0;
BEGIN
    -- No invoice where every line is 0.
    SELECT array_agg(b ORDER BY b.due_at, b.tenant_id, b.subscription_id, b.invoice_id) INTO v_parts
    FROM unnest(p_bills) b WHERE b.invoice_id IN (SELECT l.invoice_id FROM unnest(p_lines) l WHERE l.amount <> 0);
    IF v_parts IS NULL THEN
        RETURN 0;
    END IF;
    -- Discounts are each subscription's, whatever it is billed with; from there on a document counts as one.
    v_lines := qzpay._discount_lines(v_parts, p_lines, p_at);
    v_bills := qzpay._merge_bills(v_parts);
    v_lines := qzpay._tax_lines(v_bills, v_lines, p_at);
    v_lines := qzpay._with_excess_lines(v_lines);
    PERFORM qzpay._lock_balances(v_bills);
    FOR v_group IN SELECT b.seller_id, b.livemode, array_agg(b) AS bills FROM unnest(v_bills) b GROUP BY b.seller_id, b.livemode ORDER BY b.seller_id, b.livemode LOOP
        SELECT * INTO STRICT v_block FROM qzpay._take_numbers(v_group.seller_id, v_group.livemode, p_at, cardinality(v_group.bills));
        INSERT INTO qzpay.invoices (tenant_id, id, customer_id, subscription_id, seller_id, livemode, kind, status, number, series_year, series_number,
                                    currency, line_count, subtotal, discount_total, tax_total, tax_included, tax_exempt, tax_note, total, balance_applied, grants_applied, amount_due,
                                    period_start, period_end, collection, net_days, issued_at, due_at, po_number, billing_day, metadata, created_at)
        SELECT b.tenant_id, b.invoice_id, b.customer_id, b.subscription_id, b.seller_id, b.livemode, b.kind, 'open',
               qzpay._invoice_number(s.number_format, s.prefix, v_block.year, v_block.first_number + b.ordinality - 1),
               v_block.year, v_block.first_number + b.ordinality - 1, b.currency, t.line_count, t.amount, t.discount, t.tax, t.included,
               c.tax_exempt, CASE c.tax_exempt WHEN 'exempt' THEN qzpay.setting('tax_exempt_note') #>> '{}' WHEN 'reverse' THEN qzpay.setting('tax_reverse_note') #>> '{}' END,
               t.total, t.balance, t.grants, t.total - t.balance - t.grants,
               b.period_start, b.period_end, coalesce(b.collection, c.collection), n.days, v_block.issued_at, v_block.issued_at + n.days * interval '24 hours',
               coalesce(b.metadata ->> '_po_number', c.po_number), b.billing_day, coalesce(b.metadata - '_po_number', '{}'), p_at
        FROM unnest(v_group.bills) WITH ORDINALITY b
        JOIN qzpay._invoice_totals(v_group.bills, v_lines, v_block.issued_at) t USING (invoice_id)
        JOIN qzpay.sellers s ON s.id = b.seller_id
        -- Here and below by key, as _plan_rolls() does.
        CROSS JOIN LATERAL (SELECT c.* FROM qzpay.customers c WHERE c.tenant_id = b.tenant_id AND c.id = b.customer_id OFFSET 0) c
        CROSS JOIN LATERAL (SELECT coalesce(b.net_days, CASE WHEN coalesce(b.collection, c.collection) = 'send_invoice' THEN c.net_days END, 0) AS days) n;
        GET DIAGNOSTICS v_rows = ROW_COUNT;
        v_total := v_total + v_rows;
        INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id, name, email, billing_emails, address, tax_ids)
        SELECT c.tenant_id, b.invoice_id, c.name, c.email, c.billing_emails, c.address, c.tax_ids
        FROM unnest(v_group.bills) b CROSS JOIN LATERAL (SELECT c.* FROM qzpay.customers c WHERE c.tenant_id = b.tenant_id AND c.id = b.customer_id OFFSET 0) c;
        INSERT INTO qzpay.invoice_lines (tenant_id, id, invoice_id, position, kind, product_id, price_id, charge_id, subscription_item_id, meter_id, description,
                                         period_start, period_end, quantity, unit_amount, exact_amount, amount, proration, source_line_id,
                                         discount_amount, tax_amount, tax_included, discounts, taxes, metadata, subscription_id)
        SELECT l.tenant_id, coalesce(l.id, qzpay.uuid_v7()), l.invoice_id, row_number() OVER (PARTITION BY l.tenant_id, l.invoice_id ORDER BY l.ordinality), l.kind,
               l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description,
               l.period_start, l.period_end, l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id,
               coalesce(l.discount_amount, 0), coalesce(l.tax_amount, 0), CASE WHEN l.taxes IS NOT NULL THEN qzpay._tax_included(l.taxes) ELSE 0 END,
               l.discounts, l.taxes, coalesce(l.metadata, '{}'), l.subscription_id
        FROM unnest(v_lines) WITH ORDINALITY l
        WHERE l.invoice_id IN (SELECT b.invoice_id FROM unnest(v_group.bills) b);
        IF EXISTS (SELECT FROM unnest(v_group.bills) b WHERE b.billing_day IS NOT NULL) THEN
            PERFORM qzpay._write_shares((SELECT array_agg(b) FROM unnest(v_parts) b WHERE b.invoice_id IN (SELECT g.invoice_id FROM unnest(v_group.bills) g)));
        END IF;
        PERFORM qzpay._post_invoices(v_group.bills, v_lines, v_block.issued_at);
        INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, occurred_at, recorded_at)
        SELECT i.tenant_id, qzpay.uuid_v7(), 'invoice.finalized', 'invoice', i.id, i.customer_id, i.livemode,
               jsonb_build_object('invoiceId', i.id, 'number', i.number, 'subscriptionId', i.subscription_id, 'currency', i.currency, 'total', i.total,
                                  'amountDue', i.amount_due, 'amountPaid', i.amount_paid, 'emailSentByPackage', false)
                   || CASE WHEN i.subscription_id IS NULL THEN qzpay._shared_by(i.tenant_id, i.id) ELSE '{}' END,
               p_at, qzpay._recorded_at()
        FROM unnest(v_group.bills) b CROSS JOIN LATERAL (SELECT i.* FROM qzpay.invoices i WHERE i.tenant_id = b.tenant_id AND i.id = b.invoice_id OFFSET 0) i;
        -- Nothing to collect: paid by credit, or worth 0.
        UPDATE qzpay.invoices i SET status = 'paid', paid_at = p_at FROM unnest(v_group.bills) b
        WHERE i.tenant_id = b.tenant_id AND i.id = b.invoice_id AND i.amount_due = 0;
        IF FOUND THEN
            PERFORM qzpay._invoice_paid(i.tenant_id, i.id, p_at)
            FROM unnest(v_group.bills) b JOIN qzpay.invoices i ON i.tenant_id = b.tenant_id AND i.id = b.invoice_id AND i.status = 'paid';
        END IF;
    END LOOP;
    RETURN v_total;
END $$;
COMMENT ON FUNCTION qzpay._write_final_invoices(qzpay._bill[], qzpay._line[], timestamptz) IS
'Writes the finalised invoices these lines make, with their buyers, lines, ledger rows and events, numbered in the order of due instants; the customer''s balance and prepaid grants are applied, '
'and what comes to 0 is paid. No invoice where every line is 0. Returns how many were written.';

CREATE OR REPLACE FUNCTION qzpay._invoice_totals(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz)
RETURNS TABLE (invoice_id uuid, line_count integer, amount bigint, discount bigint, tax bigint, included bigint, total bigint, balance bigint, grants bigint)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH summed AS (
        SELECT l.invoice_id, count(*)::integer AS line_count, sum(l.amount)::bigint AS amount, sum(coalesce(l.discount_amount, 0))::bigint AS discount, sum(coalesce(l.tax_amount, 0))::bigint AS tax,
               sum(CASE WHEN l.taxes IS NOT NULL THEN qzpay._tax_included(l.taxes) ELSE 0 END)::bigint AS included,
               sum(l.amount - coalesce(l.discount_amount, 0) + coalesce(l.tax_amount, 0))::bigint AS total
        FROM unnest(p_lines) l GROUP BY l.invoice_id
    ), by_balance AS (
        -- Credit goes to the invoices of a customer in their order.
        SELECT b.tenant_id, b.customer_id, b.currency, b.ordinality, t.*, CASE WHEN k.amount > 0 THEN least(t.total, greatest(k.amount - (
                   sum(t.total) OVER (PARTITION BY b.tenant_id, b.customer_id, b.currency ORDER BY b.ordinality) - t.total), 0)) ELSE 0 END::bigint AS balance
        FROM unnest(p_bills) WITH ORDINALITY b
        JOIN summed t USING (invoice_id)
        LEFT JOIN qzpay.balances k ON k.tenant_id = b.tenant_id AND k.customer_id = b.customer_id AND k.currency = b.currency
    )
    SELECT t.invoice_id, t.line_count, t.amount, t.discount, t.tax, t.included, t.total, t.balance,
           CASE WHEN g.remaining > 0 THEN least(t.total - t.balance, greatest(g.remaining - (
               sum(t.total - t.balance) OVER (PARTITION BY t.tenant_id, t.customer_id, t.currency ORDER BY t.ordinality) - (t.total - t.balance)), 0)) ELSE 0 END::bigint
    FROM by_balance t
    LEFT JOIN (SELECT g.tenant_id, g.customer_id, g.currency, sum(g.remaining) AS remaining FROM qzpay.credit_grants g
               WHERE g.remaining > 0 AND g.effective_at <= p_at AND g.expires_at > p_at
                 AND (g.tenant_id, g.customer_id) IN (SELECT b.tenant_id, b.customer_id FROM unnest(p_bills) b)
               GROUP BY g.tenant_id, g.customer_id, g.currency) g
        ON g.tenant_id = t.tenant_id AND g.customer_id = t.customer_id AND g.currency = t.currency;
END $$;
COMMENT ON FUNCTION qzpay._invoice_totals(qzpay._bill[], qzpay._line[], timestamptz) IS
'Sums of the lines of these invoices, and what the (locked) balances and prepaid grants of their customers pay of each, in the order of the array.';

CREATE OR REPLACE FUNCTION qzpay._line_accounts() RETURNS TABLE (kind text, account text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    VALUES ('plan', 'deferred_revenue'), ('addon', 'deferred_revenue'), ('usage', 'revenue'), ('service', 'revenue'), ('proration', 'revenue'), ('setup', 'revenue'),
           ('shipping', 'revenue'), ('commitment', 'revenue'), ('balance', 'customer_balance')
$$;
COMMENT ON FUNCTION qzpay._line_accounts() IS 'The account that a line''s net (less the tax it contains) is posted to, by its kind.';

CREATE OR REPLACE FUNCTION qzpay._with_excess_lines(p_lines qzpay._line[]) RETURNS qzpay._line[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Only credits make an invoice negative.
    IF NOT EXISTS (SELECT FROM unnest(p_lines) l WHERE l.amount < 0) THEN
        RETURN p_lines;
    END IF;
    RETURN p_lines || coalesce((
        SELECT array_agg(ROW(t.tenant_id, t.invoice_id, 'balance', NULL, NULL, NULL, NULL, NULL, 'Credited to the balance', NULL, NULL, 1, NULL, -t.total, -t.total, false,
                             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._line ORDER BY t.invoice_id)
        FROM (SELECT l.tenant_id, l.invoice_id, sum(l.amount - coalesce(l.discount_amount, 0) + coalesce(l.tax_amount, 0))::bigint AS total
              FROM unnest(p_lines) l GROUP BY l.tenant_id, l.invoice_id) t WHERE t.total < 0), '{}');
END $$;
COMMENT ON FUNCTION qzpay._with_excess_lines(qzpay._line[]) IS
'These lines, and for each invoice on which credits exceed debits one line that moves the excess to the customer''s balance, so that it ends at 0.';

CREATE OR REPLACE FUNCTION qzpay._post_invoices(p_bills qzpay._bill[], p_lines qzpay._line[], p_posted_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT b.tenant_id, qzpay.uuid_v7(), b.customer_id, b.seller_id, b.livemode, CASE WHEN t.amount > 0 THEN 'receivable' ELSE t.account END,
           CASE WHEN t.amount > 0 THEN t.account ELSE 'receivable' END, b.currency, abs(t.amount), 'invoice', b.invoice_id, p_posted_at, qzpay._recorded_at()
    FROM unnest(p_bills) b
    JOIN (SELECT l.invoice_id, a.account, sum(a.amount)::bigint AS amount
          FROM unnest(p_lines) l
          JOIN qzpay._line_accounts() k USING (kind)
          CROSS JOIN LATERAL (SELECT CASE WHEN l.taxes IS NOT NULL THEN qzpay._tax_included(l.taxes) ELSE 0 END AS included) t
          CROSS JOIN LATERAL (VALUES (k.account, l.amount - coalesce(l.discount_amount, 0) - t.included), ('tax_payable', l.tax_amount + t.included)) a (account, amount)
          WHERE a.amount <> 0 GROUP BY 1, 2 HAVING sum(a.amount) <> 0) t USING (invoice_id);
    PERFORM qzpay._move_balances(array_agg(m.tenant_id), array_agg(m.customer_id), array_agg(m.currency), array_agg(m.amount), array_agg(m.cause), array_agg(m.invoice_id), p_posted_at,
                                 NULL, array_agg(m.refundable))
    FROM (SELECT b.tenant_id, b.customer_id, b.currency, l.amount, 'invoice_excess' AS cause, b.invoice_id,
                 CASE WHEN qzpay._sources_paid_by_money(p_lines, b.invoice_id) THEN l.amount ELSE 0 END AS refundable
          FROM unnest(p_lines) l JOIN unnest(p_bills) b USING (invoice_id) WHERE l.kind = 'balance'
          UNION ALL
          SELECT i.tenant_id, i.customer_id, i.currency, -i.balance_applied, 'invoice', i.id, 0
          FROM unnest(p_bills) b JOIN qzpay.invoices i ON i.tenant_id = b.tenant_id AND i.id = b.invoice_id AND i.balance_applied > 0) m
    HAVING count(*) > 0;
    PERFORM qzpay._burn_grants(p_bills, p_posted_at);
END $$;
COMMENT ON FUNCTION qzpay._post_invoices(qzpay._bill[], qzpay._line[], timestamptz) IS
'Ledger rows of invoices just written: receivable from deferred_revenue (plan, add-on), revenue (usage, services), customer_balance (excess) and tax_payable, the net of each account '
'in one transfer, reversed where credits exceed; then what the balance and prepaid grants pay.';

CREATE OR REPLACE FUNCTION qzpay._invoice_number(p_format text, p_prefix text, p_year integer, p_number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT replace(replace(replace(p_format, '{prefix}', p_prefix), '{year}', p_year::text),
                   '{number}', CASE WHEN p_number < 1000000 THEN lpad(p_number::text, 6, '0') ELSE p_number::text END)
$$;
COMMENT ON FUNCTION qzpay._invoice_number(text, text, integer, bigint) IS 'The printed number of an invoice: the seller''s format with {prefix}, {year} and {number} (at least six digits) filled in.';

CREATE OR REPLACE FUNCTION qzpay._lines_of_draft_only() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM qzpay.invoices i WHERE i.tenant_id = OLD.tenant_id AND i.id = OLD.invoice_id AND i.status = 'draft') THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION 'line % of invoice % is final', OLD.position, OLD.invoice_id USING ERRCODE = 'QZ202', HINT = 'Correct a finalised invoice with a credit note.';
END $$;
COMMENT ON FUNCTION qzpay._lines_of_draft_only() IS 'Row trigger: lines change only while their invoice is a draft.';

CREATE OR REPLACE FUNCTION qzpay._lines_prove_invoice() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off AS $$
DECLARE
    v_invoice uuid;
BEGIN
    SELECT i.id INTO v_invoice
    FROM (SELECT l.tenant_id, l.invoice_id, count(*) AS lines, sum(l.amount) AS amount, sum(l.discount_amount) AS discount, sum(l.tax_amount) AS tax, sum(l.tax_included) AS included
          FROM qzpay.invoice_lines l JOIN (SELECT DISTINCT n.tenant_id, n.invoice_id FROM new_rows n) n USING (tenant_id, invoice_id)
          GROUP BY l.tenant_id, l.invoice_id) t
    JOIN qzpay.invoices i ON i.tenant_id = t.tenant_id AND i.id = t.invoice_id
    WHERE i.status <> 'draft' AND (i.line_count, i.subtotal, i.discount_total, i.tax_total, i.tax_included) IS DISTINCT FROM (t.lines, t.amount, t.discount, t.tax, t.included) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'lines of invoice % do not add up to it', v_invoice USING ERRCODE = 'QZ202',
            DETAIL = 'A finalised invoice takes no further line, and its totals are the sums of its lines.';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._lines_prove_invoice() IS
'Statement trigger: the lines of every finalised invoice touched are as many as it says and add up to its totals, so none can be added later.';

CREATE OR REPLACE FUNCTION qzpay._write_off(p_tenants uuid[], p_invoices uuid[], p_statuses text[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT i.tenant_id, qzpay.uuid_v7(), i.customer_id, i.seller_id, i.livemode, 'bad_debt', 'receivable', i.currency,
           i.amount_due - i.amount_paid - i.amount_credited - i.amount_written_off, 'write_off', i.id, p_at, qzpay._recorded_at()
    FROM unnest(p_tenants, p_invoices, p_statuses) AS k (tenant_id, id, status)
    JOIN qzpay.invoices i ON i.tenant_id = k.tenant_id AND i.id = k.id
    WHERE k.status = 'uncollectible' AND i.status = 'open' AND i.amount_due - i.amount_paid - i.amount_credited - i.amount_written_off > 0;
    PERFORM qzpay._post_void(k.tenant_id, k.id, p_at) FROM unnest(p_tenants, p_invoices, p_statuses) AS k (tenant_id, id, status)
    JOIN qzpay.invoices i ON i.tenant_id = k.tenant_id AND i.id = k.id
    WHERE k.status = 'void' AND i.status IN ('open', 'uncollectible');
    UPDATE qzpay.invoices i SET status = k.status::qzpay.invoice_status, closed_at = p_at,
           amount_written_off = i.amount_due - i.amount_paid - i.amount_credited
    FROM unnest(p_tenants, p_invoices, p_statuses) AS k (tenant_id, id, status)
    WHERE i.tenant_id = k.tenant_id AND i.id = k.id AND (i.status = 'open' OR i.status = 'uncollectible' AND k.status = 'void');
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._write_off(uuid[], uuid[], text[], timestamptz) IS
'Closes open invoices with nothing in flight as uncollectible (debit bad_debt) or void (what they posted is taken back). Returns how many.';

CREATE OR REPLACE FUNCTION qzpay.preview_invoice(subscription uuid)
RETURNS TABLE (due_at timestamptz, line_position integer, kind text, description text, period_start timestamptz, period_end timestamptz,
               quantity numeric, amount bigint, discount_amount bigint, tax_amount bigint, invoice_total bigint, amount_due bigint, currency text, subscription_id uuid)
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.preview_invoice(uuid) IS
'Lines of the invoice that the next boundary of this subscription would make as things stand: the real run, rolled back. Usage that another contract of the customer will bill is not on it. Amounts in minor units, before discount and tax, which stand beside; the total and what of it is due after balance and credit on every row. '
'Where subscriptions of one day share an invoice it is that one, with the lines of all of them; subscription_id says whose a line is (NULL: the excess that goes to the balance). No row when nothing would be billed.';

CREATE OR REPLACE FUNCTION qzpay._preview_invoice(p_subscription uuid)
RETURNS TABLE (due_at timestamptz, line_position integer, kind text, description text, period_start timestamptz, period_end timestamptz,
               quantity numeric, amount bigint, discount_amount bigint, tax_amount bigint, invoice_total bigint, amount_due bigint, currency text, subscription_id uuid)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_due timestamptz;
    v_known uuid[];
    v_rows jsonb;
BEGIN
    PERFORM FROM qzpay.customers c WHERE (c.tenant_id, c.id) = (SELECT s.tenant_id, s.customer_id FROM qzpay.subscriptions s WHERE s.id = p_subscription AND qzpay._consolidates()) FOR NO KEY UPDATE;
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    v_due := qzpay._next_bill_at(v_sub.tenant_id, v_sub.id);
    v_known := (SELECT coalesce(array_agg(m.invoice_id), '{}') FROM qzpay.invoice_subscriptions m WHERE m.tenant_id = v_sub.tenant_id AND m.subscription_id = v_sub.id);
    BEGIN
        v_due := qzpay._advance_with_its_day(v_sub.tenant_id, v_sub.id, v_due);
        PERFORM qzpay._finalize_draft(i.tenant_id, i.id, v_due) FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
        WHERE m.tenant_id = v_sub.tenant_id AND m.subscription_id = v_sub.id AND i.status = 'draft' AND i.id <> ALL (v_known);
        SELECT jsonb_agg(jsonb_build_object('due_at', v_due, 'line_position', l.position, 'kind', l.kind, 'description', l.description, 'period_start', l.period_start,
                                            'period_end', l.period_end, 'quantity', l.quantity, 'amount', l.amount, 'discount_amount', l.discount_amount, 'tax_amount', l.tax_amount,
                                            'invoice_total', i.total, 'amount_due', i.amount_due, 'currency', i.currency, 'subscription_id', coalesce(l.subscription_id, i.subscription_id))
                         ORDER BY l.position) INTO v_rows
        FROM qzpay.invoice_subscriptions m
        JOIN qzpay.invoices i ON i.tenant_id = m.tenant_id AND i.id = m.invoice_id
        JOIN qzpay.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
        WHERE m.tenant_id = v_sub.tenant_id AND m.subscription_id = v_sub.id AND i.id <> ALL (v_known);
        RAISE EXCEPTION USING ERRCODE = 'QZ999';
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
    RETURN QUERY SELECT x.* FROM jsonb_to_recordset(v_rows) AS x (due_at timestamptz, line_position integer, kind text, description text, period_start timestamptz,
        period_end timestamptz, quantity numeric, amount bigint, discount_amount bigint, tax_amount bigint, invoice_total bigint, amount_due bigint, currency text, subscription_id uuid);
END $$;
COMMENT ON FUNCTION qzpay._preview_invoice(uuid) IS 'Internal of preview_invoice(), inside the tenant''s context.';
