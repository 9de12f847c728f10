-- Invoices made by hand, drafts, and what time does to invoices.

CREATE OR REPLACE FUNCTION qzpay.create_invoice(customer uuid, currency text DEFAULT NULL, collection text DEFAULT NULL, net_days integer DEFAULT NULL, metadata jsonb DEFAULT '{}',
        po_number text DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.create_invoice(uuid, text, text, integer, jsonb, text, text) IS
'Makes a draft of an invoice for a customer and returns its id; fill it with add_invoice_line(), then finalize_invoice(). collection: charge_automatically, or send_invoice, due net_days × 24 h after issue; '
'both default to what set_billing_details() says. It never changes a subscription''s status. Errors: QZ404, QZ204 deleted customer, QZ101 unknown currency, 22023, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._create_invoice(p_customer uuid, p_currency text, p_collection text, p_net_days integer, p_metadata jsonb, p_po_number text, p_key text) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    v_first jsonb;
    v_id uuid;
    v_at timestamptz := qzpay.now(p_customer);
BEGIN
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(c.tenant_id, 'create_invoice', p_key, jsonb_build_array(p_customer, p_currency, p_collection, p_net_days, p_metadata, p_po_number));
    IF v_first IS NOT NULL THEN
        RETURN (v_first ->> 'id')::uuid;
    END IF;
    PERFORM qzpay.currency_exponent(p_currency);
    PERFORM qzpay._check_metadata(p_metadata);
    IF c.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" is deleted', c.external_id USING ERRCODE = 'QZ204';
    ELSIF p_collection NOT IN ('charge_automatically', 'send_invoice') THEN
        RAISE EXCEPTION 'collection cannot be "%"', p_collection USING ERRCODE = '22023', HINT = 'One of charge_automatically, send_invoice.';
    ELSIF p_net_days NOT BETWEEN 0 AND 3650 THEN
        RAISE EXCEPTION 'net_days cannot be %', p_net_days USING ERRCODE = '22023', HINT = 'From 0 to 3650.';
    ELSIF length(p_po_number) > 100 THEN
        RAISE EXCEPTION 'po_number must have at most 100 characters' USING ERRCODE = '22023';
    END IF;
    v_id := CASE WHEN p_key IS NULL THEN qzpay.uuid_v7() ELSE qzpay.uuid_v5(qzpay.installation_id(), 'invoice:manual:' || p_customer || ':' || p_key) END;
    INSERT INTO qzpay.invoices (tenant_id, id, customer_id, seller_id, livemode, kind, status, currency, line_count, subtotal, total, amount_due, collection, net_days, po_number, metadata, created_at)
    VALUES (c.tenant_id, v_id, p_customer, c.seller_id, c.livemode, 'manual', 'draft', coalesce(p_currency, c.currency), 0, 0, 0, 0, coalesce(p_collection, c.collection),
            coalesce(p_net_days, CASE WHEN coalesce(p_collection, c.collection) = 'send_invoice' THEN c.net_days ELSE 0 END), coalesce(p_po_number, c.po_number), coalesce(p_metadata, '{}'), v_at);
    PERFORM qzpay._emit_event(c.tenant_id, 'invoice.created', 'invoice', v_id, p_customer, jsonb_build_object('invoiceId', v_id, 'emailSentByPackage', false), NULL, v_at);
    PERFORM qzpay._idempotent_end(c.tenant_id, 'create_invoice', p_key, jsonb_build_object('id', v_id));
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._create_invoice(uuid, text, text, integer, jsonb, text, text) IS 'Internal of create_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._lock_draft(p_invoice uuid) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := qzpay._lock_invoice(p_invoice);
    v_status text;
    v_number text;
BEGIN
    SELECT i.status, i.number INTO v_status, v_number FROM qzpay.invoices i WHERE i.tenant_id = v_tenant AND i.id = p_invoice;
    IF v_status IS DISTINCT FROM 'draft' THEN
        RAISE EXCEPTION 'invoice % is no draft', coalesce(v_number, p_invoice::text) USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', coalesce(v_status, 'gone')),
            HINT = 'Correct a finalised invoice with credit_invoice().';
    END IF;
    RETURN v_tenant;
END $$;
COMMENT ON FUNCTION qzpay._lock_draft(uuid) IS 'Locks a draft and returns its tenant; QZ204 for an invoice that is none.';

CREATE OR REPLACE FUNCTION qzpay._sum_draft(p_tenant uuid, p_invoice uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- As on the drafts of a billing run, credits beyond debits show as a total of 0.
    UPDATE qzpay.invoices i SET line_count = t.lines, subtotal = t.amount, tax_total = greatest(-t.amount, 0), total = greatest(t.amount, 0), amount_due = greatest(t.amount, 0)
    FROM (SELECT count(*)::integer AS lines, coalesce(sum(l.amount), 0)::bigint AS amount FROM qzpay.invoice_lines l WHERE l.tenant_id = p_tenant AND l.invoice_id = p_invoice) t
    WHERE i.tenant_id = p_tenant AND i.id = p_invoice;
END $$;
COMMENT ON FUNCTION qzpay._sum_draft(uuid, uuid) IS 'Brings a draft''s sums up to its lines.';

CREATE OR REPLACE FUNCTION qzpay.add_invoice_line(invoice uuid, product text DEFAULT NULL, description text DEFAULT NULL, unit_amount numeric DEFAULT NULL, quantity numeric DEFAULT 1,
        kind text DEFAULT 'service', category text DEFAULT NULL, period_start timestamptz DEFAULT NULL, period_end timestamptz DEFAULT NULL, metadata jsonb DEFAULT '{}') RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.add_invoice_line(uuid, text, text, numeric, numeric, text, text, timestamptz, timestamptz, jsonb) IS
'Adds a line to a draft and returns its id: a product at its one-time price in the draft''s currency, or at unit_amount (minor units, fractions allowed); or without a product a description and a unit_amount. '
'Quantities may have decimals; quantity × unit_amount is rounded once, half away from zero. kind: service, setup or shipping. category: what rates and discounts by category look for where there is no product. '
'Discounts and tax come with finalize_invoice(). Errors: QZ404, QZ204 no draft, QZ401 unknown product or no price, 22004, 22023, 22003.';

CREATE OR REPLACE FUNCTION qzpay._add_invoice_line(p_invoice uuid, p_product text, p_description text, p_unit_amount numeric, p_quantity numeric, p_kind text, p_category text,
        p_period_start timestamptz, p_period_end timestamptz, p_metadata jsonb) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := qzpay._lock_draft(p_invoice);
    v_id uuid := qzpay.uuid_v7();
    v_product uuid;
    v_name text;
    v_price uuid;
    v_unit numeric := p_unit_amount;
    v_currency text;
BEGIN
    PERFORM qzpay._check_metadata(p_metadata);
    SELECT i.currency INTO STRICT v_currency FROM qzpay.invoices i WHERE i.tenant_id = v_tenant AND i.id = p_invoice;
    IF p_product IS NOT NULL THEN
        SELECT p.id, p.name INTO v_product, v_name FROM qzpay.products p
        WHERE p.code = p_product AND p.active AND (p.tenant_id IS NULL OR p.tenant_id = v_tenant) ORDER BY p.tenant_id NULLS LAST LIMIT 1;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'unknown product "%"', p_product USING ERRCODE = 'QZ401', HINT = 'Services are listed in the view qzpay.services.';
        END IF;
        IF v_unit IS NULL THEN
            SELECT x.id, x.unit_amount INTO v_price, v_unit FROM qzpay.prices x WHERE x.product_id = v_product AND x.currency = v_currency AND x.interval_unit = 'once' AND x.active;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'product "%" has no one-time price in %', p_product, v_currency USING ERRCODE = 'QZ401', HINT = 'Give a unit_amount.';
            END IF;
        END IF;
    END IF;
    IF v_unit IS NULL OR coalesce(btrim(coalesce(p_description, v_name)), '') = '' THEN
        RAISE EXCEPTION 'a line without a product needs a description and a unit_amount' USING ERRCODE = '22004';
    ELSIF v_unit = 'NaN' OR v_unit < 0 OR v_unit >= 1e15 OR scale(v_unit) > 12 THEN
        RAISE EXCEPTION 'unit_amount cannot be %', v_unit USING ERRCODE = '22023', HINT = 'From 0 to less than 1e15, with at most twelve decimals; give money back with credit_invoice() or adjust_balance().';
    ELSIF p_quantity IS NULL OR p_quantity = 'NaN' OR p_quantity <= 0 OR p_quantity >= 1e12 OR scale(p_quantity) > 6 THEN
        RAISE EXCEPTION 'quantity cannot be %', coalesce(p_quantity::text, 'NULL') USING ERRCODE = '22023', HINT = 'More than 0 and less than 1e12, with at most six decimals.';
    ELSIF p_kind IS NULL OR p_kind NOT IN ('service', 'setup', 'shipping') THEN
        RAISE EXCEPTION 'kind cannot be "%"', p_kind USING ERRCODE = '22023', HINT = 'One of service, setup, shipping.';
    ELSIF (p_period_start IS NULL) <> (p_period_end IS NULL) OR p_period_start >= p_period_end THEN
        RAISE EXCEPTION 'a period needs a start before its end' USING ERRCODE = '22023';
    END IF;
    INSERT INTO qzpay.invoice_lines (tenant_id, id, invoice_id, position, kind, product_id, price_id, description, period_start, period_end, quantity, unit_amount, exact_amount, amount, metadata)
    SELECT v_tenant, v_id, p_invoice, coalesce(max(l.position), 0) + 1, p_kind, v_product, v_price, coalesce(p_description, v_name), p_period_start, p_period_end, p_quantity, v_unit, v_unit * p_quantity,
           qzpay.round_amount(v_unit * p_quantity), coalesce(p_metadata, '{}') || CASE WHEN p_category IS NULL THEN '{}' ELSE jsonb_build_object('category', p_category) END
    FROM qzpay.invoice_lines l WHERE l.tenant_id = v_tenant AND l.invoice_id = p_invoice;
    PERFORM qzpay._sum_draft(v_tenant, p_invoice);
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._add_invoice_line(uuid, text, text, numeric, numeric, text, text, timestamptz, timestamptz, jsonb) IS 'Internal of add_invoice_line(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.remove_invoice_line(invoice uuid, line uuid) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.remove_invoice_line(uuid, uuid) IS
'Takes a line off a draft; false where it has no such line. Usage that was rated stays: credit it after it is final. Errors: QZ404, QZ204 no draft, or a line of a billing run.';

CREATE OR REPLACE FUNCTION qzpay._remove_invoice_line(p_invoice uuid, p_line uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := qzpay._lock_draft(p_invoice);
    v_kind text;
BEGIN
    DELETE FROM qzpay.invoice_lines l WHERE l.tenant_id = v_tenant AND l.invoice_id = p_invoice AND l.id = p_line RETURNING l.kind INTO v_kind;
    IF NOT FOUND THEN
        RETURN false;
    ELSIF v_kind NOT IN ('service', 'setup', 'shipping') THEN
        RAISE EXCEPTION 'line % of invoice % was made by a billing run', p_line, p_invoice USING ERRCODE = 'QZ204', HINT = 'Finalise the invoice, then credit the line with credit_invoice().';
    END IF;
    PERFORM qzpay._sum_draft(v_tenant, p_invoice);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._remove_invoice_line(uuid, uuid) IS 'Internal of remove_invoice_line(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.delete_draft_invoice(invoice uuid) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.delete_draft_invoice(uuid) IS 'Removes a draft made by hand, which leaves no trace in any number series. Errors: QZ404, QZ204 no draft, or one of a billing run.';

CREATE OR REPLACE FUNCTION qzpay._delete_draft_invoice(p_invoice uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid := qzpay._lock_draft(p_invoice);
BEGIN
    IF EXISTS (SELECT FROM qzpay.invoices i WHERE i.tenant_id = v_tenant AND i.id = p_invoice AND i.kind <> 'manual') THEN
        RAISE EXCEPTION 'draft % was made by a billing run', p_invoice USING ERRCODE = 'QZ204', HINT = 'Finalise it, then credit or void it.';
    END IF;
    PERFORM qzpay._remove_draft(v_tenant, p_invoice);
END $$;
COMMENT ON FUNCTION qzpay._delete_draft_invoice(uuid) IS 'Internal of delete_draft_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._remove_draft(p_tenant uuid, p_invoice uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM qzpay.invoice_lines l WHERE l.tenant_id = p_tenant AND l.invoice_id = p_invoice;
    DELETE FROM qzpay.invoice_shares h WHERE h.tenant_id = p_tenant AND h.invoice_id = p_invoice;
    DELETE FROM qzpay.invoices i WHERE i.tenant_id = p_tenant AND i.id = p_invoice AND i.status = 'draft';
END $$;
COMMENT ON FUNCTION qzpay._remove_draft(uuid, uuid) IS 'Removes the rows of a draft.';

CREATE OR REPLACE FUNCTION qzpay._write_draft_lines(p_bills qzpay._bill[], p_lines qzpay._line[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.invoice_lines (tenant_id, id, invoice_id, position, kind, product_id, price_id, charge_id, subscription_item_id, meter_id, description, period_start, period_end, quantity,
                                     unit_amount, exact_amount, amount, proration, source_line_id, metadata, subscription_id)
    SELECT l.tenant_id, coalesce(l.id, qzpay.uuid_v7()), l.invoice_id, m.position + row_number() OVER (PARTITION BY l.invoice_id ORDER BY l.ordinality), l.kind, l.product_id, l.price_id, l.charge_id,
           l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end, l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, coalesce(l.metadata, '{}'), l.subscription_id
    FROM unnest(p_lines) WITH ORDINALITY l
    JOIN (SELECT b.invoice_id, (SELECT coalesce(max(n.position), 0) FROM qzpay.invoice_lines n WHERE n.tenant_id = b.tenant_id AND n.invoice_id = b.invoice_id) AS position
          FROM unnest(qzpay._merge_bills(p_bills)) b) m USING (invoice_id);
END $$;
COMMENT ON FUNCTION qzpay._write_draft_lines(qzpay._bill[], qzpay._line[]) IS 'Adds lines to these drafts, after those that they have.';

CREATE OR REPLACE FUNCTION qzpay._write_drafts(p_bills qzpay._bill[], p_lines qzpay._line[], p_finalize_at timestamptz, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    INSERT INTO qzpay.invoices (tenant_id, id, customer_id, subscription_id, seller_id, livemode, kind, status, currency, line_count, subtotal, tax_total, total, amount_due, period_start, period_end,
                                collection, net_days, finalize_at, billing_day, metadata, created_at)
    -- A draft on which credits exceed debits shows a total of 0. One of a day is nobody's own, others may join it.
    SELECT b.tenant_id, b.invoice_id, b.customer_id, CASE WHEN b.billing_day IS NULL THEN b.subscription_id END, b.seller_id, b.livemode, b.kind, 'draft', b.currency, t.lines, t.amount, greatest(-t.amount, 0), greatest(t.amount, 0),
           greatest(t.amount, 0), b.period_start, b.period_end, coalesce(b.collection, c.collection), b.net_days, p_finalize_at, b.billing_day, coalesce(b.metadata, '{}'), p_at
    FROM unnest(qzpay._merge_bills(p_bills)) b
    JOIN qzpay.customers c ON c.tenant_id = b.tenant_id AND c.id = b.customer_id
    JOIN (SELECT l.invoice_id, count(*)::integer AS lines, sum(l.amount)::bigint AS amount FROM unnest(p_lines) l GROUP BY l.invoice_id) t USING (invoice_id);
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    PERFORM qzpay._write_draft_lines(p_bills, p_lines);
    PERFORM qzpay._write_shares(p_bills);
    INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, occurred_at, recorded_at)
    SELECT b.tenant_id, qzpay.uuid_v7(), 'invoice.created', 'invoice', b.invoice_id, b.customer_id, b.livemode,
           jsonb_build_object('invoiceId', b.invoice_id, 'subscriptionId', b.subscription_id, 'finalizesAt', p_finalize_at, 'emailSentByPackage', false), p_at, qzpay._recorded_at()
    FROM unnest(qzpay._merge_bills(p_bills)) b;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._write_drafts(qzpay._bill[], qzpay._line[], timestamptz, timestamptz) IS
'Writes drafts, without number, discount and tax, that become final by themselves at an instant; until then lines may be added. Returns how many.';

CREATE OR REPLACE FUNCTION qzpay._finalize_draft(p_tenant uuid, p_invoice uuid, p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_bills qzpay._bill[] := qzpay._bills_of_invoice(p_tenant, p_invoice);
    v_lines qzpay._line[];
    v_rows bigint;
BEGIN
    -- What the draft had judged is judged now. If nobody has joined it, it is one subscription's after all.
    SELECT array_agg(ROW(l.tenant_id, l.invoice_id, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                         l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, NULL, NULL, NULL, NULL, l.metadata, l.id,
                         CASE WHEN cardinality(v_bills) > 1 THEN l.subscription_id END)::qzpay._line ORDER BY l.subscription_id NULLS FIRST, l.ordinality) INTO v_lines
    FROM unnest(qzpay._lines_of_invoice(p_tenant, p_invoice)) WITH ORDINALITY l;
    PERFORM qzpay._remove_draft(p_tenant, p_invoice);
    v_rows := qzpay._write_final_invoices(v_bills, v_lines, p_at);
    PERFORM qzpay._collect(ARRAY[p_tenant], ARRAY[p_invoice], p_at);
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._finalize_draft(uuid, uuid, timestamptz) IS
'Writes a locked draft anew as a finalised invoice of the same id, by the way of every invoice, and plans its payment. Returns 0 for a draft whose lines are all 0, which is gone then.';

CREATE OR REPLACE FUNCTION qzpay.finalize_invoice(invoice uuid, OUT number text, OUT status text, OUT total bigint, OUT amount_due bigint, OUT amount_paid bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.finalize_invoice(uuid) IS
'Makes a draft final: discounts, tax, number, balance and grants applied, ledger; from now on it never changes. With collection charge_automatically the default payment method is charged '
'(the sandbox answers at once, other providers after this transaction). Errors: QZ404, QZ204 no draft, or nothing on it.';

CREATE OR REPLACE FUNCTION qzpay._finalize_invoice(p_invoice uuid, OUT number text, OUT status text, OUT total bigint, OUT amount_due bigint, OUT amount_paid bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_tenant uuid := qzpay._lock_draft(p_invoice);
    v_customer uuid;
    v_attempt uuid;
BEGIN
    SELECT i.customer_id INTO STRICT v_customer FROM qzpay.invoices i WHERE i.tenant_id = v_tenant AND i.id = p_invoice;
    IF qzpay._finalize_draft(v_tenant, p_invoice, qzpay.now(v_customer)) = 0 THEN
        RAISE EXCEPTION 'draft % has nothing to invoice', p_invoice USING ERRCODE = 'QZ204', HINT = 'Add lines with add_invoice_line(), or remove it with delete_draft_invoice().';
    END IF;
    SELECT a.id INTO v_attempt FROM qzpay.payment_attempts a WHERE a.tenant_id = v_tenant AND a.invoice_id = p_invoice AND a.operation = 'charge' AND a.status = 'planned';
    IF FOUND THEN
        PERFORM qzpay._run_internal_attempt(v_tenant, v_attempt);
    END IF;
    SELECT i.number, i.status::text, i.total, i.amount_due, i.amount_paid INTO STRICT number, status, total, amount_due, amount_paid FROM qzpay.invoices i WHERE i.tenant_id = v_tenant AND i.id = p_invoice;
END $$;
COMMENT ON FUNCTION qzpay._finalize_invoice(uuid) IS 'Internal of finalize_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.charge(customer uuid, amount bigint, description text, currency text DEFAULT NULL, metadata jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL,
        OUT invoice_id uuid, OUT number text, OUT status text, OUT total bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.charge(uuid, bigint, text, text, jsonb, text) IS
'A one-time charge: an invoice of one line (amount in minor units, tax comes on top where it is not included), finalised and collected at once. status paid says that the money is there (the sandbox answers at once), '
'open that it is being collected or could not be: events tell. Errors as create_invoice() and add_invoice_line().';

CREATE OR REPLACE FUNCTION qzpay._charge(p_customer uuid, p_amount bigint, p_description text, p_currency text, p_metadata jsonb, p_key text,
        OUT invoice_id uuid, OUT number text, OUT status text, OUT total bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    IF p_amount IS NULL OR p_amount <= 0 THEN
        RAISE EXCEPTION 'amount must be positive, not %', coalesce(p_amount::text, 'NULL') USING ERRCODE = '22023';
    END IF;
    -- The key is the draft's, so what was made under it is no draft any more when the call comes again.
    invoice_id := qzpay._create_invoice(p_customer, p_currency, 'charge_automatically', 0, p_metadata, NULL, p_key);
    IF EXISTS (SELECT FROM qzpay.invoices i WHERE i.id = _charge.invoice_id AND i.status = 'draft' AND i.line_count = 0) THEN
        PERFORM qzpay._add_invoice_line(invoice_id, NULL, p_description, p_amount, 1, 'service', NULL, NULL, NULL, '{}');
        PERFORM qzpay._finalize_invoice(invoice_id);
    ELSIF p_amount <> (SELECT l.amount FROM qzpay.invoice_lines l JOIN qzpay.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id WHERE i.id = _charge.invoice_id ORDER BY l.position LIMIT 1) THEN
        RAISE EXCEPTION 'idempotency key "%" was used for another call of charge()', p_key USING ERRCODE = 'QZ001', HINT = 'A key stands for one request: use a new key, or repeat the call unchanged.';
    END IF;
    SELECT i.number, i.status::text, i.total INTO number, status, total FROM qzpay.invoices i WHERE i.id = _charge.invoice_id;
END $$;
COMMENT ON FUNCTION qzpay._charge(uuid, bigint, text, text, jsonb, text) IS 'Internal of charge(), inside the tenant''s context.';

-- What time does to invoices: drafts become final, unpaid ones overdue, granted credit expires.

CREATE OR REPLACE FUNCTION qzpay._finalize_due(p_clock uuid, p_until timestamptz, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d record;
    v_done bigint := 0;
    v_code text;
    v_message text;
BEGIN
    FOR d IN
        SELECT i.tenant_id, i.id, i.customer_id FROM qzpay.invoices i JOIN qzpay.customers c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id
        WHERE i.status = 'draft' AND i.finalize_at <= p_until AND c.test_clock_id IS NOT DISTINCT FROM p_clock
          -- Another subscription may have its place on it; whoever looks at all that is ahead does not wait.
          AND (i.billing_day IS NULL OR p_until = 'infinity' OR qzpay._day_waits_until(i.tenant_id, i.customer_id, i.currency, i.billing_day, c.timezone) IS NULL)
        ORDER BY i.finalize_at, i.tenant_id, i.id LIMIT p_limit
    LOOP
        -- Subscription before invoice, as everybody locks; whoever is at it will do it.
        CONTINUE WHEN NOT qzpay._try_lock_subscription(d.tenant_id, d.id);
        PERFORM FROM qzpay.invoices i WHERE i.tenant_id = d.tenant_id AND i.id = d.id AND i.status = 'draft' FOR NO KEY UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        BEGIN
            PERFORM qzpay._finalize_draft(d.tenant_id, d.id, p_at);
        EXCEPTION
            WHEN OTHERS THEN
                IF qzpay._is_passing(SQLSTATE) THEN
                    RAISE;
                END IF;
                GET STACKED DIAGNOSTICS v_code = RETURNED_SQLSTATE, v_message = MESSAGE_TEXT;
                UPDATE qzpay.invoices i SET finalize_at = NULL, status_reason = left(v_code || ': ' || qzpay.redact(v_message), 500) WHERE i.tenant_id = d.tenant_id AND i.id = d.id;
                PERFORM qzpay._emit_event(d.tenant_id, 'alert.raised', 'invoice', d.id, d.customer_id,
                    jsonb_build_object('level', 'error', 'message', 'a draft could not be finalised: ' || qzpay.redact(v_message), 'code', v_code, 'invoiceId', d.id), NULL, p_at);
        END;
        v_done := v_done + 1;
    END LOOP;
    RETURN v_done;
END $$;
COMMENT ON FUNCTION qzpay._finalize_due(uuid, timestamptz, timestamptz, integer) IS
'Finalises the drafts that are due, for customers on a test clock or (NULL) in real time. One that fails keeps its error in status_reason, raises an alert and waits for finalize_invoice(). Returns how many were looked at.';

CREATE OR REPLACE FUNCTION qzpay._reminder_days() RETURNS integer[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT coalesce(array_agg(d::integer ORDER BY d::integer), '{}') FROM jsonb_array_elements_text(qzpay.setting('overdue_reminder_days')) d);
END $$;
COMMENT ON FUNCTION qzpay._reminder_days() IS 'The setting overdue_reminder_days, in order.';

CREATE OR REPLACE FUNCTION qzpay._overdue_after(p_collection text) RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p_collection WHEN 'send_invoice' THEN interval '0' ELSE interval '24 hours' END
$$;
COMMENT ON FUNCTION qzpay._overdue_after(text) IS 'How long after its due date an invoice is overdue: at once where the customer pays by itself, after a day where it is charged.';

CREATE OR REPLACE FUNCTION qzpay._mark_overdue(p_clock uuid, p_until timestamptz, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_days integer[] := qzpay._reminder_days();
    i record;
    v_rows bigint := 0;
BEGIN
    FOR i IN
        SELECT x.tenant_id, x.id, x.customer_id, x.number, x.currency, x.due_at, x.overdue_at, x.reminders, x.subscription_id, x.amount_due - x.amount_paid - x.amount_credited AS rest
        FROM qzpay.invoices x JOIN qzpay.customers c ON c.tenant_id = x.tenant_id AND c.id = x.customer_id
        WHERE x.status = 'open' AND (x.collection = 'send_invoice' OR x.kind = 'manual') AND c.test_clock_id IS NOT DISTINCT FROM p_clock
          AND x.due_at <= p_until AND (x.overdue_at IS NULL AND x.due_at + qzpay._overdue_after(x.collection) <= p_until OR x.overdue_at IS NOT NULL AND x.due_at + v_days[x.reminders + 1] * interval '24 hours' <= p_until)
        ORDER BY x.due_at, x.tenant_id, x.id LIMIT p_limit
    LOOP
        CONTINUE WHEN NOT qzpay._try_lock_subscription(i.tenant_id, i.id);
        IF i.overdue_at IS NULL THEN
            UPDATE qzpay.invoices x SET overdue_at = i.due_at + qzpay._overdue_after(x.collection) WHERE x.tenant_id = i.tenant_id AND x.id = i.id AND x.status = 'open' AND x.overdue_at IS NULL;
            CONTINUE WHEN NOT FOUND;
            -- Who pays by invoice has failed to pay when the time is over, and grace counts from there.
            PERFORM qzpay._payment_failed(i.tenant_id, i.id, p_at);
        ELSE
            UPDATE qzpay.invoices x SET reminders = x.reminders + 1 WHERE x.tenant_id = i.tenant_id AND x.id = i.id AND x.status = 'open' AND x.reminders = i.reminders;
            CONTINUE WHEN NOT FOUND;
        END IF;
        PERFORM qzpay._emit_event(i.tenant_id, CASE WHEN i.overdue_at IS NULL THEN 'invoice.overdue' ELSE 'invoice.reminder' END, 'invoice', i.id, i.customer_id,
            jsonb_strip_nulls(jsonb_build_object('invoiceId', i.id, 'number', i.number, 'subscriptionId', i.subscription_id, 'currency', i.currency, 'amountRemaining', i.rest, 'dueAt', i.due_at,
                'reminder', CASE WHEN i.overdue_at IS NOT NULL THEN i.reminders + 1 END, 'daysOverdue', CASE WHEN i.overdue_at IS NOT NULL THEN v_days[i.reminders + 1] END, 'emailSentByPackage', false)),
            concat_ws(':', 'overdue', i.id, CASE WHEN i.overdue_at IS NOT NULL THEN i.reminders + 1 END), p_at);
        v_rows := v_rows + 1;
    END LOOP;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._mark_overdue(uuid, timestamptz, timestamptz, integer) IS
'Invoices that are to be paid by transfer or by hand and were not in time: overdue once, then a reminder at each of the setting overdue_reminder_days. For the subscription behind one it is a failed payment. Returns how many.';

CREATE OR REPLACE FUNCTION qzpay._invoice_batch(p_clock uuid, p_until timestamptz, p_at timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._finalize_due(p_clock, p_until, p_at, p_limit) + qzpay._mark_overdue(p_clock, p_until, p_at, p_limit) + qzpay._expire_grants(p_clock, p_until, p_limit);
END $$;
COMMENT ON FUNCTION qzpay._invoice_batch(uuid, timestamptz, timestamptz, integer) IS
'What time does to invoices up to p_until, for customers on a test clock or (NULL) in real time: drafts become final, unpaid ones overdue, granted credit expires. Returns how many rows were done.';

CREATE OR REPLACE FUNCTION qzpay._next_invoice_at(p_clock uuid, p_after timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_days integer[] := qzpay._reminder_days();
BEGIN
    RETURN (
        SELECT least((SELECT min(i.finalize_at) FROM qzpay.customers c JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.customer_id = c.id AND i.status = 'draft'
                      WHERE c.test_clock_id = p_clock AND i.finalize_at > p_after),
                     (SELECT min(d.at)
                      FROM qzpay.customers c JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.customer_id = c.id AND i.status = 'open' AND (i.collection = 'send_invoice' OR i.kind = 'manual')
                      CROSS JOIN LATERAL (SELECT CASE WHEN i.overdue_at IS NULL THEN i.due_at + qzpay._overdue_after(i.collection) ELSE i.due_at + v_days[i.reminders + 1] * interval '24 hours' END AS at) d
                      WHERE c.test_clock_id = p_clock AND d.at > p_after),
                     (SELECT min(g.expires_at) FROM qzpay.customers c JOIN qzpay.credit_grants g ON g.tenant_id = c.tenant_id AND g.customer_id = c.id AND g.remaining > 0
                      WHERE c.test_clock_id = p_clock AND g.expires_at > p_after AND g.expires_at < 'infinity'))
    );
END $$;
COMMENT ON FUNCTION qzpay._next_invoice_at(uuid, timestamptz) IS 'The next instant after this one at which _invoice_batch() has work for the customers of a test clock; NULL: none.';

CREATE OR REPLACE FUNCTION qzpay._job_invoices(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._invoice_batch(NULL, qzpay.now(), qzpay.now(), p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_invoices(integer) IS 'Job: one batch of what time does to invoices of customers in real time.';
