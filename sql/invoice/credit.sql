-- What a finalised invoice is corrected by: credit notes, void, write-off, reissue.

CREATE OR REPLACE FUNCTION qzpay._lines_prove_credit_note() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_note uuid;
BEGIN
    SELECT n.id INTO v_note
    FROM (SELECT l.tenant_id, l.credit_note_id, count(*) AS lines, sum(l.amount) AS amount, sum(l.tax_amount) AS tax, sum(l.tax_included) AS included
          FROM qzpay.credit_note_lines l JOIN (SELECT DISTINCT x.tenant_id, x.credit_note_id FROM new_rows x) x USING (tenant_id, credit_note_id)
          GROUP BY l.tenant_id, l.credit_note_id) t
    JOIN qzpay.credit_notes n ON n.tenant_id = t.tenant_id AND n.id = t.credit_note_id
    WHERE (n.line_count, n.subtotal, n.tax_total, n.tax_included) IS DISTINCT FROM (t.lines, t.amount, t.tax, t.included) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'lines of credit note % do not add up to it', v_note USING ERRCODE = 'QZ202', DETAIL = 'A credit note takes no further line, and its totals are the sums of its lines.';
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._lines_prove_credit_note() IS 'Statement trigger: the lines of every credit note touched are as many as it says and add up to its totals.';

CREATE OR REPLACE FUNCTION qzpay._post_pairs(p_tenant uuid, p_invoice uuid, p_debits text[], p_debit_amounts bigint[], p_credits text[], p_credit_amounts bigint[],
        p_cause text, p_cause_id uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Both sides are laid end to end; where an account to be debited overlaps one to be credited, that much goes from the one to the other.
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT i.tenant_id, qzpay.uuid_v7(), i.customer_id, i.seller_id, i.livemode, d.account, c.account, i.currency,
           least(d.upto, c.upto) - greatest(d.upto - d.amount, c.upto - c.amount), p_cause, p_cause_id, p_at, qzpay._recorded_at()
    FROM qzpay.invoices i
    CROSS JOIN (SELECT u.account, u.amount, sum(u.amount) OVER (ORDER BY u.n) AS upto FROM unnest(p_debits, p_debit_amounts) WITH ORDINALITY AS u (account, amount, n) WHERE u.amount > 0) d
    CROSS JOIN (SELECT u.account, u.amount, sum(u.amount) OVER (ORDER BY u.n) AS upto FROM unnest(p_credits, p_credit_amounts) WITH ORDINALITY AS u (account, amount, n) WHERE u.amount > 0) c
    WHERE i.tenant_id = p_tenant AND i.id = p_invoice AND least(d.upto, c.upto) > greatest(d.upto - d.amount, c.upto - c.amount)
    ORDER BY d.upto, c.upto;
END $$;
COMMENT ON FUNCTION qzpay._post_pairs(uuid, uuid, text[], bigint[], text[], bigint[], text, uuid, timestamptz) IS
'Posts amounts to be debited and amounts to be credited, of equal sum, as transfers from account to account, for the customer and seller of an invoice.';

CREATE OR REPLACE FUNCTION qzpay._lock_invoice(p_invoice uuid) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_tenant uuid;
BEGIN
    SELECT i.tenant_id INTO STRICT v_tenant FROM qzpay.invoices i WHERE i.id = p_invoice;
    PERFORM qzpay._lock_subscriptions_of(v_tenant, p_invoice);
    PERFORM FROM qzpay.payment_attempts a WHERE a.tenant_id = v_tenant AND a.invoice_id = p_invoice AND a.operation = 'charge' AND a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled') FOR NO KEY UPDATE;
    PERFORM FROM qzpay.invoices i WHERE i.tenant_id = v_tenant AND i.id = p_invoice FOR NO KEY UPDATE;
    RETURN v_tenant;
END $$;
COMMENT ON FUNCTION qzpay._lock_invoice(uuid) IS 'Locks what an invoice''s correction may change, in the order of every settlement: subscriptions, attempt, invoice. Returns the tenant.';

CREATE OR REPLACE FUNCTION qzpay._take_lines(p_tenant uuid, p_invoice uuid, p_lines jsonb) RETURNS qzpay._take[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_bad text;
    v_takes qzpay._take[];
BEGIN
    IF jsonb_typeof(p_lines) <> 'array' OR p_lines = '[]' THEN
        RAISE EXCEPTION 'lines must be an array of {line, amount}' USING ERRCODE = '22023', HINT = 'line is the id or the position of a line, amount (net of added tax) what to take of it, by default all that is left.';
    END IF;
    SELECT CASE WHEN jsonb_typeof(x.line) <> 'object' OR coalesce(x.line ->> 'line', '') = '' THEN 'no line is named'
                WHEN coalesce(x.line ->> 'amount', '1') !~ '^[0-9]{1,18}$' THEN format('the amount of line %s is no positive whole number', x.line ->> 'line') END INTO v_bad
    FROM jsonb_array_elements(p_lines) AS x (line) ORDER BY 1 NULLS LAST LIMIT 1;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION 'lines to credit are malformed: %', v_bad USING ERRCODE = '22023';
    END IF;
    WITH asked AS (
        SELECT x.ordinality, x.line ->> 'line' AS name, (x.line ->> 'amount')::bigint AS amount, (x.line ->> 'period_start')::timestamptz AS period_start, (x.line ->> 'period_end')::timestamptz AS period_end,
               l.id, l.position, l.kind, l.description, l.period_start AS line_start, l.period_end AS line_end
        FROM jsonb_array_elements(p_lines) WITH ORDINALITY AS x (line, ordinality)
        LEFT JOIN qzpay.invoice_lines l ON l.tenant_id = p_tenant AND l.invoice_id = p_invoice AND l.amount > 0 AND l.kind <> 'balance' AND x.line ->> 'line' IN (l.id::text, l.position::text)
    ), rest AS MATERIALIZED (
        SELECT r.* FROM (SELECT array_agg(p_tenant) AS tenants, array_agg(a.id) AS lines FROM asked a WHERE a.id IS NOT NULL) k
        CROSS JOIN LATERAL qzpay._rest_of_lines(k.tenants, k.lines, NULL, p_invoice) r
    )
    SELECT min(CASE WHEN a.id IS NULL THEN format('QZ404:line %s of invoice %s not found', a.name, p_invoice)
                    WHEN a.n > 1 THEN format('22023:line %s is named twice', a.name)
                    WHEN coalesce(a.amount, r.net) > r.net THEN format('QZ103:line %s has less left than %s: %s', a.position, a.amount, r.net) END),
           array_agg(ROW(a.id, a.position, a.kind, a.description, coalesce(a.period_start, a.line_start), coalesce(a.period_end, a.line_end), t.net, t.tax, t.included,
                         qzpay._taxes_part(r.taxes, t.tax, t.included))::qzpay._take ORDER BY a.position) FILTER (WHERE t.net + t.tax > 0) INTO v_bad, v_takes
    FROM (SELECT a.*, count(*) OVER (PARTITION BY a.id) AS n FROM asked a) a
    LEFT JOIN rest r ON r.line_id = a.id
    LEFT JOIN LATERAL (SELECT least(coalesce(a.amount, r.net), r.net) AS net, qzpay._part_taken(r.tax, least(coalesce(a.amount, r.net), r.net), r.net) AS tax,
                              qzpay._part_taken(r.included, least(coalesce(a.amount, r.net), r.net), r.net) AS included) t ON true;
    IF v_bad IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = split_part(v_bad, ':', 1), MESSAGE = substr(v_bad, position(':' IN v_bad) + 1);
    END IF;
    RETURN v_takes;
END $$;
COMMENT ON FUNCTION qzpay._take_lines(uuid, uuid, jsonb) IS
'What a credit note takes by naming lines: each {line: id or position, amount: net of added tax, default all that is left, period_start, period_end: the time that is credited}. Errors: 22023, QZ404 no such debit, QZ103 more than is left.';

CREATE OR REPLACE FUNCTION qzpay._debits_of_invoice(p_tenant uuid, p_invoice uuid) RETURNS uuid[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT array_agg(l.id ORDER BY l.position) FROM qzpay.invoice_lines l WHERE l.tenant_id = p_tenant AND l.invoice_id = p_invoice AND l.amount > 0 AND l.kind <> 'balance');
END $$;
COMMENT ON FUNCTION qzpay._debits_of_invoice(uuid, uuid) IS 'The lines of an invoice that a credit note may take from, in their order; NULL for none.';

CREATE OR REPLACE FUNCTION qzpay._creditable(p_tenant uuid, p_invoice uuid) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_lines uuid[] := qzpay._debits_of_invoice(p_tenant, p_invoice);
BEGIN
    RETURN (SELECT least((SELECT coalesce(sum(r.net + r.tax), 0) FROM qzpay._rest_of_lines(array_fill(p_tenant, ARRAY[cardinality(v_lines)]), v_lines, NULL, p_invoice) r),
                         i.total - coalesce((SELECT sum(n.total) FROM qzpay.credit_notes n WHERE n.tenant_id = p_tenant AND n.invoice_id = p_invoice), 0))::bigint
            FROM qzpay.invoices i WHERE i.tenant_id = p_tenant AND i.id = p_invoice);
END $$;
COMMENT ON FUNCTION qzpay._creditable(uuid, uuid) IS 'How much of an invoice, tax and all, credits have left: of its debits, and never more than its total. Not above 0 when nothing is left.';

CREATE OR REPLACE FUNCTION qzpay._take_amount(p_tenant uuid, p_invoice uuid, p_amount bigint) RETURNS qzpay._take[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_lines uuid[] := qzpay._debits_of_invoice(p_tenant, p_invoice);
    v_cap bigint := qzpay._creditable(p_tenant, p_invoice);
    v_amount bigint := coalesce(p_amount, v_cap);
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = p_tenant AND x.id = p_invoice;
    IF p_amount <= 0 THEN
        RAISE EXCEPTION 'amount must be positive, not %', p_amount USING ERRCODE = '22023';
    ELSIF v_cap <= 0 OR v_amount > v_cap THEN
        RAISE EXCEPTION 'invoice % cannot be credited by %', coalesce(i.number, i.id::text), coalesce(p_amount::text, 'anything') USING ERRCODE = 'QZ103', DETAIL = format('Left to credit: %s.', greatest(v_cap, 0));
    END IF;
    RETURN (
        SELECT array_agg(ROW(l.id, l.position, l.kind, l.description, l.period_start, l.period_end, g.gross - t.tax, t.tax, n.included, qzpay._taxes_part(r.taxes, t.tax, n.included))::qzpay._take
                         ORDER BY l.position) FILTER (WHERE g.gross > 0)
        FROM (SELECT r.*, row_number() OVER (ORDER BY r.line_position) AS place FROM qzpay._rest_of_lines(array_fill(p_tenant, ARRAY[cardinality(v_lines)]), v_lines, NULL, p_invoice) r) r
        JOIN qzpay.invoice_lines l ON l.tenant_id = p_tenant AND l.invoice_id = p_invoice AND l.position = r.line_position
        JOIN LATERAL unnest(qzpay.split_amount(v_amount, (SELECT array_agg((k.net + k.tax)::numeric ORDER BY k.line_position)
                                                          FROM qzpay._rest_of_lines(array_fill(p_tenant, ARRAY[cardinality(v_lines)]), v_lines, NULL, p_invoice) k))) WITH ORDINALITY AS g (gross, place) USING (place)
        CROSS JOIN LATERAL (SELECT qzpay._part_taken(r.tax, g.gross, r.net + r.tax) AS tax) t
        CROSS JOIN LATERAL (SELECT qzpay._part_taken(r.included, g.gross - t.tax, r.net) AS included) n
    );
END $$;
COMMENT ON FUNCTION qzpay._take_amount(uuid, uuid, bigint) IS
'What a credit note takes by an amount, tax and all: shared by the debits of the invoice in proportion to what is left of them. NULL: all that is left, never more than the invoice''s total. Error QZ103.';

CREATE OR REPLACE FUNCTION qzpay._write_credit_note(p_tenant uuid, p_invoice uuid, p_takes qzpay._take[], p_mode text, p_to_invoice bigint, p_to_refund bigint, p_refundable bigint,
        p_reason text, p_at timestamptz) RETURNS qzpay.credit_note_result
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_block record;
    v_accounts record;
    v_result qzpay.credit_note_result;
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = p_tenant AND x.id = p_invoice;
    SELECT * INTO STRICT v_block FROM qzpay._take_numbers(i.seller_id, i.livemode, p_at, 1, 'credit_note');
    SELECT qzpay.uuid_v7(), qzpay._invoice_number(s.credit_number_format, s.prefix, v_block.year, v_block.first_number) INTO STRICT v_result.id, v_result.number FROM qzpay.sellers s WHERE s.id = i.seller_id;
    v_result.total := (SELECT sum(t.net + t.tax) FROM unnest(p_takes) t);
    v_result.to_invoice := p_to_invoice;
    v_result.to_refund := p_to_refund;
    v_result.to_balance := v_result.total - p_to_invoice - p_to_refund;
    INSERT INTO qzpay.credit_notes (tenant_id, id, invoice_id, customer_id, seller_id, livemode, number, series_year, series_number, currency, mode, reason, line_count,
                                    subtotal, tax_total, tax_included, total, to_invoice, to_balance, to_refund, issued_at, created_at)
    SELECT p_tenant, v_result.id, i.id, i.customer_id, i.seller_id, i.livemode, v_result.number, v_block.year, v_block.first_number, i.currency, p_mode, p_reason, count(*),
           sum(t.net), sum(t.tax), sum(t.included), v_result.total, v_result.to_invoice, v_result.to_balance, v_result.to_refund, v_block.issued_at, p_at
    FROM unnest(p_takes) t;
    INSERT INTO qzpay.credit_note_lines (tenant_id, credit_note_id, position, id, invoice_id, invoice_position, invoice_line_id, kind, description, period_start, period_end,
                                         amount, tax_amount, tax_included, taxes)
    SELECT p_tenant, v_result.id, t.ordinality, qzpay.uuid_v7(), i.id, t.line_position, t.line_id, t.kind, t.description, t.period_start, t.period_end, t.net, t.tax, t.included, t.taxes
    FROM unnest(p_takes) WITH ORDINALITY t;
    SELECT array_agg(a.account) AS names, array_agg(a.amount) AS amounts INTO v_accounts
    FROM (SELECT a.account, sum(a.amount)::bigint AS amount FROM unnest(p_takes) t JOIN qzpay._line_accounts() k USING (kind)
          CROSS JOIN LATERAL (VALUES (k.account, t.net - t.included), ('tax_payable', t.tax + t.included)) a (account, amount) GROUP BY a.account ORDER BY a.account) a;
    PERFORM qzpay._post_pairs(p_tenant, i.id, v_accounts.names, v_accounts.amounts, '{receivable,customer_balance,refunds_payable}',
                              ARRAY[v_result.to_invoice, v_result.to_balance, v_result.to_refund], 'credit_note', v_result.id, v_block.issued_at);
    IF v_result.to_balance > 0 THEN
        PERFORM qzpay._move_balances(ARRAY[p_tenant], ARRAY[i.customer_id], ARRAY[i.currency], ARRAY[v_result.to_balance], ARRAY['credit_note'], ARRAY[v_result.id], v_block.issued_at, p_reason, ARRAY[p_refundable]);
    END IF;
    PERFORM qzpay._emit_event(p_tenant, 'credit.issued', 'invoice', i.id, i.customer_id, jsonb_build_object('creditNoteId', v_result.id, 'number', v_result.number, 'invoiceId', i.id,
        'invoiceNumber', i.number, 'currency', i.currency, 'total', v_result.total, 'toInvoice', v_result.to_invoice, 'toBalance', v_result.to_balance, 'toRefund', v_result.to_refund,
        'reason', p_reason, 'emailSentByPackage', false), NULL, p_at);
    RETURN v_result;
END $$;
COMMENT ON FUNCTION qzpay._write_credit_note(uuid, uuid, qzpay._take[], text, bigint, bigint, bigint, text, timestamptz) IS
'Writes a credit note on a locked invoice: lines, number, ledger (what was revenue, deferred or tax goes against the receivable, to the balance, and to what is to be paid back), balance, event. '
'The invoice itself is the caller''s, and so is the request for what is to be paid back.';

CREATE OR REPLACE FUNCTION qzpay._money_left(p_tenant uuid, p_invoice uuid) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT greatest(i.amount_paid - coalesce((SELECT sum(n.to_refund + coalesce(e.refundable, 0)) FROM qzpay.credit_notes n
                LEFT JOIN qzpay.balance_entries e ON e.tenant_id = n.tenant_id AND e.customer_id = n.customer_id AND e.currency = n.currency AND e.cause = 'credit_note' AND e.cause_id = n.id
                WHERE n.tenant_id = i.tenant_id AND n.invoice_id = i.id), 0), 0)
            FROM qzpay.invoices i WHERE i.tenant_id = p_tenant AND i.id = p_invoice);
END $$;
COMMENT ON FUNCTION qzpay._money_left(uuid, uuid) IS 'What was paid of an invoice with money and has not been given back, or made refundable balance, by credit notes.';

CREATE OR REPLACE FUNCTION qzpay._issue_credit_note(p_tenant uuid, p_invoice uuid, p_takes qzpay._take[], p_mode text, p_reason text, p_at timestamptz) RETURNS qzpay.credit_note_result
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_total bigint;
    v_open bigint;
    v_money bigint;
    v_refund bigint;
    v_replan boolean;
    v_result qzpay.credit_note_result;
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = p_tenant AND x.id = p_invoice;
    SELECT coalesce(sum(t.net + t.tax), 0) INTO v_total FROM unnest(p_takes) t;
    v_open := CASE WHEN i.status = 'open' THEN i.amount_due - i.amount_paid - i.amount_in_flight - i.amount_credited - i.amount_written_off ELSE 0 END;
    IF i.status NOT IN ('open', 'paid') THEN
        RAISE EXCEPTION 'invoice % cannot be credited', coalesce(i.number, i.id::text) USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', i.status);
    ELSIF v_total = 0 THEN
        RAISE EXCEPTION 'invoice % has nothing left to credit', i.number USING ERRCODE = 'QZ103';
    ELSIF p_mode = 'write_off' AND v_total > v_open THEN
        RAISE EXCEPTION 'credit of % is more than what is unpaid of invoice %', v_total, i.number USING ERRCODE = 'QZ103', DETAIL = format('Unpaid: %s.', v_open),
            HINT = 'A credit of mode write_off only waives what was not paid.';
    ELSIF i.amount_in_flight > 0 AND v_total > v_open THEN
        RAISE EXCEPTION 'a payment of invoice % is under way', i.number USING ERRCODE = 'QZ301', HINT = 'Wait for its outcome: it decides whether the credit reduces the invoice or becomes balance.';
    END IF;
    v_open := least(v_open, v_total);
    v_money := qzpay._money_left(p_tenant, p_invoice);
    v_refund := CASE WHEN p_mode = 'refund' THEN least(v_total - v_open, v_money) ELSE 0 END;
    v_result := qzpay._write_credit_note(p_tenant, p_invoice, p_takes, p_mode, v_open, v_refund, least(v_total - v_open - v_refund, v_money - v_refund), p_reason, p_at);
    IF v_open > 0 THEN
        v_replan := qzpay._cancel_planned_attempts(ARRAY[p_tenant], ARRAY[p_invoice], p_at) > 0;
        UPDATE qzpay.invoices x SET amount_credited = x.amount_credited + v_open,
               status = CASE WHEN x.amount_paid + x.amount_credited + v_open = x.amount_due THEN 'paid' ELSE x.status END,
               paid_at = CASE WHEN x.amount_paid + x.amount_credited + v_open = x.amount_due THEN p_at ELSE x.paid_at END
        WHERE x.tenant_id = p_tenant AND x.id = p_invoice RETURNING * INTO STRICT i;
        IF i.status = 'paid' THEN
            PERFORM qzpay._invoice_settled(p_tenant, p_invoice, p_at);
        ELSIF v_replan THEN
            PERFORM qzpay._plan_attempts(ARRAY[p_tenant], ARRAY[p_invoice], 'billing', p_at);
        END IF;
    END IF;
    IF v_refund > 0 THEN
        PERFORM qzpay._send_refund(p_tenant, qzpay._request_refund(p_tenant, i.customer_id, i.currency, v_refund, v_result.id, NULL, 0, p_reason, p_at), p_at);
    END IF;
    RETURN v_result;
END $$;
COMMENT ON FUNCTION qzpay._issue_credit_note(uuid, uuid, qzpay._take[], text, text, timestamptz) IS
'Credits a locked invoice by these takes: first what is unpaid of it, the rest by mode (balance, refund as far as money was received, which is sent to the payments at once, write_off). An attempt that was planned is planned anew over what is left. '
'Errors: QZ204, QZ103, QZ301 the money in question is in flight.';

CREATE OR REPLACE FUNCTION qzpay._invoice_settled(p_tenant uuid, p_invoice uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Of a contract that has ended nothing is expected any more.
    IF EXISTS (SELECT FROM qzpay.invoices i JOIN qzpay.invoice_subscriptions m ON m.tenant_id = i.tenant_id AND m.invoice_id = i.id
               JOIN qzpay.subscriptions s ON s.tenant_id = m.tenant_id AND s.id = m.subscription_id
               WHERE i.tenant_id = p_tenant AND i.id = p_invoice AND s.ended_at IS NULL AND (s.status <> 'incomplete' OR i.status = 'paid')) THEN
        PERFORM qzpay._invoice_paid(p_tenant, p_invoice, p_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._invoice_settled(uuid, uuid, timestamptz) IS 'What it means for a running subscription that an invoice is open no more, though no money came: as if it had been paid.';

CREATE OR REPLACE FUNCTION qzpay.credit_invoice(invoice uuid, lines jsonb DEFAULT NULL, amount bigint DEFAULT NULL, mode text DEFAULT 'balance', reason text DEFAULT NULL,
        idempotency_key text DEFAULT NULL) RETURNS qzpay.credit_note_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.credit_invoice(uuid, jsonb, bigint, text, text, text) IS
'Issues a credit note: over lines ([{"line": id or position, "amount": net of added tax, default all that is left}]), or over an amount (tax and all, shared by the lines), or over all that is left. '
'It first reduces what is unpaid; the rest becomes balance, or with mode refund is paid back as far as it was paid with money: through the providers of its payments, and what they cannot send by hand (refund_requests); write_off only waives what is unpaid. Tax goes along pro rata, to the cent in the sum. '
'Errors: QZ404, QZ204 wrong status, QZ103 more than is left, QZ301 a payment is under way, 22023, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._credit_invoice(p_invoice uuid, p_lines jsonb, p_amount bigint, p_mode text, p_reason text, p_key text) RETURNS qzpay.credit_note_result
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_tenant uuid := qzpay._lock_invoice(p_invoice);
    v_first jsonb;
    v_result qzpay.credit_note_result;
BEGIN
    v_first := qzpay._idempotent_begin(v_tenant, 'credit_invoice', p_key, jsonb_build_array(p_invoice, p_lines, p_amount, p_mode, p_reason));
    IF v_first IS NOT NULL THEN
        RETURN jsonb_populate_record(NULL::qzpay.credit_note_result, v_first);
    END IF;
    IF p_mode IS NULL OR p_mode NOT IN ('balance', 'refund', 'write_off') THEN
        RAISE EXCEPTION 'mode cannot be "%"', p_mode USING ERRCODE = '22023', HINT = 'One of balance, refund, write_off.';
    ELSIF p_lines IS NOT NULL AND p_amount IS NOT NULL THEN
        RAISE EXCEPTION 'a credit goes by lines or by an amount, not by both' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = v_tenant AND x.id = p_invoice;
    IF i.status NOT IN ('open', 'paid') THEN
        RAISE EXCEPTION 'invoice % cannot be credited', coalesce(i.number, i.id::text) USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', i.status);
    END IF;
    v_result := qzpay._issue_credit_note(v_tenant, p_invoice, CASE WHEN p_lines IS NULL THEN qzpay._take_amount(v_tenant, p_invoice, p_amount) ELSE qzpay._take_lines(v_tenant, p_invoice, p_lines) END,
                                         p_mode, p_reason, qzpay.now(i.customer_id));
    PERFORM qzpay._idempotent_end(v_tenant, 'credit_invoice', p_key, to_jsonb(v_result));
    RETURN v_result;
END $$;
COMMENT ON FUNCTION qzpay._credit_invoice(uuid, jsonb, bigint, text, text, text) IS 'Internal of credit_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._credited_elsewhere(p_tenant uuid, p_invoice uuid) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM qzpay.invoice_lines l
        WHERE l.tenant_id = p_tenant AND l.invoice_id = p_invoice
          AND (EXISTS (SELECT FROM qzpay.invoice_lines c JOIN qzpay.invoices o ON o.tenant_id = c.tenant_id AND o.id = c.invoice_id AND o.status <> 'void'
                       WHERE c.tenant_id = l.tenant_id AND c.source_line_id = l.id)
               OR EXISTS (SELECT FROM qzpay.pending_lines c WHERE c.tenant_id = l.tenant_id AND c.source_line_id = l.id)));
END $$;
COMMENT ON FUNCTION qzpay._credited_elsewhere(uuid, uuid) IS 'Whether a line of an invoice is credited by another invoice that is not void, or by a line that waits for one: it cannot be taken back as if all of it were still there.';

CREATE OR REPLACE FUNCTION qzpay._post_void(p_tenant uuid, p_invoice uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_accounts record;
    v_open bigint;
    v_back bigint;
    v_refundable bigint;
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = p_tenant AND x.id = p_invoice;
    PERFORM qzpay._reopen_schedules(p_tenant, p_invoice);
    -- What the invoice posted, less what credit notes took of it since.
    SELECT array_agg(a.account ORDER BY a.account) FILTER (WHERE a.amount > 0) AS debits, array_agg(a.amount ORDER BY a.account) FILTER (WHERE a.amount > 0) AS debit_amounts,
           array_agg(a.account ORDER BY a.account) FILTER (WHERE a.amount < 0) AS credits, array_agg(-a.amount ORDER BY a.account) FILTER (WHERE a.amount < 0) AS credit_amounts,
           coalesce(sum(a.amount), 0)::bigint AS total INTO v_accounts
    FROM (SELECT a.account, sum(a.amount)::bigint AS amount
          FROM (SELECT l.kind, l.amount - l.discount_amount AS net, l.tax_amount AS tax, l.tax_included AS included FROM qzpay.invoice_lines l WHERE l.tenant_id = p_tenant AND l.invoice_id = p_invoice
                UNION ALL
                SELECT c.kind, -c.amount, -c.tax_amount, -c.tax_included FROM qzpay.credit_note_lines c WHERE c.tenant_id = p_tenant AND c.invoice_id = p_invoice) t
          JOIN qzpay._line_accounts() k USING (kind)
          CROSS JOIN LATERAL (VALUES (k.account, t.net - t.included), ('tax_payable', t.tax + t.included)) a (account, amount) GROUP BY a.account) a;
    v_open := i.amount_due - i.amount_paid - i.amount_credited - i.amount_written_off;
    v_back := v_accounts.total - v_open - i.amount_written_off;
    IF v_back < 0 THEN
        RAISE EXCEPTION 'invoice % cannot be voided', i.number USING ERRCODE = 'QZ204', DETAIL = 'Credit notes have given back more than is left of it.';
    END IF;
    PERFORM qzpay._post_pairs(p_tenant, p_invoice, v_accounts.debits, v_accounts.debit_amounts, coalesce(v_accounts.credits, '{}') || '{receivable,bad_debt,customer_balance}'::text[],
                              coalesce(v_accounts.credit_amounts, '{}') || ARRAY[v_open, i.amount_written_off, v_back], 'void', i.id, p_at);
    IF v_back > 0 THEN
        SELECT coalesce(-sum(e.refundable), 0) + qzpay._money_left(p_tenant, p_invoice) INTO v_refundable FROM qzpay.balance_entries e
        WHERE e.tenant_id = p_tenant AND e.customer_id = i.customer_id AND e.currency = i.currency AND e.cause = 'invoice' AND e.cause_id = i.id;
        PERFORM qzpay._move_balances(ARRAY[p_tenant], ARRAY[i.customer_id], ARRAY[i.currency], ARRAY[v_back], ARRAY['void'], ARRAY[i.id], p_at, NULL, ARRAY[least(v_back, v_refundable)]);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._post_void(uuid, uuid, timestamptz) IS
'Takes back what an invoice posted: revenue, deferred revenue and tax against what is open of it or was written off; what had been paid of it, by whatever means, becomes the customer''s balance.';

CREATE OR REPLACE FUNCTION qzpay._close_invoice(p_invoice uuid, p_status text, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_tenant uuid := qzpay._lock_invoice(p_invoice);
    v_at timestamptz;
BEGIN
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = v_tenant AND x.id = p_invoice;
    v_at := qzpay.now(i.customer_id);
    IF i.status <> 'open' AND NOT (i.status = 'uncollectible' AND p_status = 'void') THEN
        RAISE EXCEPTION 'invoice % cannot become %', coalesce(i.number, i.id::text), p_status USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', i.status),
            HINT = CASE i.status WHEN 'paid' THEN 'Correct it with credit_invoice().' WHEN 'draft' THEN 'Remove it with delete_draft_invoice().' ELSE 'That is final.' END;
    ELSIF i.amount_in_flight > 0 THEN
        RAISE EXCEPTION 'a payment of invoice % is under way', i.number USING ERRCODE = 'QZ301', HINT = 'Wait for its outcome.';
    ELSIF p_status = 'void' AND i.amount_paid > 0 THEN
        RAISE EXCEPTION 'invoice % is partly paid', i.number USING ERRCODE = 'QZ204', DETAIL = format('Paid: %s.', i.amount_paid), HINT = 'Correct it with credit_invoice().';
    ELSIF p_status = 'void' AND qzpay._credited_elsewhere(v_tenant, p_invoice) THEN
        RAISE EXCEPTION 'invoice % cannot be voided', i.number USING ERRCODE = 'QZ204', DETAIL = 'Another invoice credits a line of it, or a credit waits for one.', HINT = 'Take back what is left with credit_invoice().';
    END IF;
    PERFORM qzpay._cancel_planned_attempts(ARRAY[v_tenant], ARRAY[p_invoice], v_at);
    UPDATE qzpay.invoices x SET status_reason = coalesce(p_reason, x.status_reason) WHERE x.tenant_id = v_tenant AND x.id = p_invoice;
    PERFORM qzpay._write_off(ARRAY[v_tenant], ARRAY[p_invoice], ARRAY[p_status], v_at);
    IF p_status = 'void' THEN
        PERFORM qzpay._invoice_settled(v_tenant, p_invoice, v_at);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._close_invoice(uuid, text, text) IS 'Makes an invoice void or uncollectible, with all that entails; errors QZ204, QZ301.';

CREATE OR REPLACE FUNCTION qzpay.void_invoice(invoice uuid, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.void_invoice(uuid, text) IS
'Annuls an open or uncollectible invoice nothing was paid of with money: its postings are taken back, what balance or grants had paid returns to the balance, its number stays used. '
'A subscription that was past due for it recovers. Errors: QZ404, QZ204 wrong status, partly paid, or credited by another invoice, QZ301 a payment is under way.';

CREATE OR REPLACE FUNCTION qzpay._void_invoice(p_invoice uuid, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._close_invoice(p_invoice, 'void', p_reason);
END $$;
COMMENT ON FUNCTION qzpay._void_invoice(uuid, text) IS 'Internal of void_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.mark_uncollectible(invoice uuid, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.mark_uncollectible(uuid, text) IS
'Gives up an open invoice: what is unpaid becomes bad debt. Its subscription stays as it is. Errors: QZ404, QZ204 wrong status, QZ301 a payment is under way.';

CREATE OR REPLACE FUNCTION qzpay._mark_uncollectible(p_invoice uuid, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._close_invoice(p_invoice, 'uncollectible', p_reason);
END $$;
COMMENT ON FUNCTION qzpay._mark_uncollectible(uuid, text) IS 'Internal of mark_uncollectible(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.reissue_invoice(invoice uuid, reason text DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.reissue_invoice(uuid, text, text) IS
'Issues an invoice anew, with the buyer''s present name, address, tax ids and PO number: a credit note over all of the old one, which becomes void, and a new one with the same lines and amounts and a new number; '
'its payments are linked to the new one and no money moves. Returns the new id. Correct the customer first with sync_customer() or set_billing_details(). '
'Errors: QZ404, QZ204 not open or paid, or with credits on it, QZ301 a payment is under way, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._reissue_invoice(p_invoice uuid, p_reason text, p_key text) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    i qzpay.invoices%ROWTYPE;
    v_tenant uuid := qzpay._lock_invoice(p_invoice);
    v_first jsonb;
    v_new uuid := qzpay.uuid_v7();
    v_at timestamptz;
    v_means bigint;
    v_block record;
    v_lines qzpay._line[];
BEGIN
    v_first := qzpay._idempotent_begin(v_tenant, 'reissue_invoice', p_key, jsonb_build_array(p_invoice, p_reason));
    IF v_first IS NOT NULL THEN
        RETURN (v_first ->> 'id')::uuid;
    END IF;
    SELECT * INTO STRICT i FROM qzpay.invoices x WHERE x.tenant_id = v_tenant AND x.id = p_invoice;
    v_at := qzpay.now(i.customer_id);
    IF i.status NOT IN ('open', 'paid') THEN
        RAISE EXCEPTION 'invoice % cannot be issued anew', coalesce(i.number, i.id::text) USING ERRCODE = 'QZ204', DETAIL = format('It is %s.', i.status);
    ELSIF i.amount_in_flight > 0 THEN
        RAISE EXCEPTION 'a payment of invoice % is under way', i.number USING ERRCODE = 'QZ301', HINT = 'Wait for its outcome.';
    ELSIF i.total = 0 OR EXISTS (
        SELECT FROM qzpay.invoice_lines l WHERE l.tenant_id = v_tenant AND l.invoice_id = p_invoice AND (l.amount < 0 OR l.kind = 'balance'))
        OR qzpay._credited_elsewhere(v_tenant, p_invoice) OR EXISTS (SELECT FROM qzpay.credit_notes n WHERE n.tenant_id = v_tenant AND n.invoice_id = p_invoice) THEN
        RAISE EXCEPTION 'invoice % cannot be issued anew', i.number USING ERRCODE = 'QZ204', DETAIL = 'There are credits on it or on its lines, or its total is 0.', HINT = 'Credit what is left with credit_invoice() and make a new one.';
    END IF;
    PERFORM qzpay._cancel_planned_attempts(ARRAY[v_tenant], ARRAY[p_invoice], v_at);
    -- What balance and grants paid goes through the balance from the old to the new; what money paid stays where it is.
    v_means := i.balance_applied + i.grants_applied;
    PERFORM qzpay._write_credit_note(v_tenant, p_invoice, qzpay._take_amount(v_tenant, p_invoice, NULL), 'reissue', i.amount_due, 0,
        (SELECT least(v_means, coalesce(-sum(e.refundable), 0))::bigint FROM qzpay.balance_entries e
         WHERE e.tenant_id = v_tenant AND e.customer_id = i.customer_id AND e.currency = i.currency AND e.cause = 'invoice' AND e.cause_id = i.id), p_reason, v_at);
    UPDATE qzpay.invoices x SET status = 'void', status_reason = coalesce(p_reason, 'reissued'), closed_at = v_at, amount_paid = 0, amount_credited = x.amount_due
    WHERE x.tenant_id = v_tenant AND x.id = p_invoice;

    SELECT * INTO STRICT v_block FROM qzpay._take_numbers(i.seller_id, i.livemode, v_at, 1);
    INSERT INTO qzpay.invoices (tenant_id, id, customer_id, subscription_id, seller_id, livemode, kind, status, number, series_year, series_number, currency, line_count, subtotal, discount_total,
                                tax_total, tax_included, tax_exempt, tax_note, total, balance_applied, amount_due, amount_paid, period_start, period_end, collection, issued_at, due_at, paid_at,
                                po_number, replaces, metadata, created_at)
    SELECT i.tenant_id, v_new, i.customer_id, i.subscription_id, i.seller_id, i.livemode, i.kind, i.status, qzpay._invoice_number(s.number_format, s.prefix, v_block.year, v_block.first_number),
           v_block.year, v_block.first_number, i.currency, i.line_count, i.subtotal, i.discount_total, i.tax_total, i.tax_included, i.tax_exempt, i.tax_note, i.total, v_means, i.amount_due, i.amount_paid,
           i.period_start, i.period_end, i.collection, v_block.issued_at, greatest(i.due_at, v_block.issued_at), i.paid_at, coalesce(c.po_number, i.po_number), i.id, i.metadata, v_at
    FROM qzpay.sellers s, qzpay.customers c WHERE s.id = i.seller_id AND c.tenant_id = v_tenant AND c.id = i.customer_id;
    INSERT INTO qzpay.invoice_parties (tenant_id, invoice_id, name, email, billing_emails, address, tax_ids)
    SELECT c.tenant_id, v_new, c.name, c.email, c.billing_emails, c.address, c.tax_ids FROM qzpay.customers c WHERE c.tenant_id = v_tenant AND c.id = i.customer_id;
    INSERT INTO qzpay.invoice_lines (tenant_id, id, invoice_id, position, kind, product_id, price_id, charge_id, subscription_item_id, meter_id, description, period_start, period_end, quantity,
                                     unit_amount, exact_amount, amount, discount_amount, tax_amount, tax_included, proration, discounts, taxes, metadata, subscription_id)
    SELECT l.tenant_id, qzpay.uuid_v7(), v_new, l.position, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end, l.quantity,
           l.unit_amount, l.exact_amount, l.amount, l.discount_amount, l.tax_amount, l.tax_included, l.proration, l.discounts, l.taxes, l.metadata, l.subscription_id
    FROM qzpay.invoice_lines l WHERE l.tenant_id = v_tenant AND l.invoice_id = p_invoice;
    INSERT INTO qzpay.invoice_shares (tenant_id, invoice_id, subscription_id, due_at, period_start, period_end)
    SELECT h.tenant_id, v_new, h.subscription_id, h.due_at, h.period_start, h.period_end FROM qzpay.invoice_shares h WHERE h.tenant_id = v_tenant AND h.invoice_id = p_invoice;
    INSERT INTO qzpay.invoice_discounts (tenant_id, invoice_id, considered)
    SELECT d.tenant_id, v_new, d.considered FROM qzpay.invoice_discounts d WHERE d.tenant_id = v_tenant AND d.invoice_id = p_invoice;
    v_lines := qzpay._lines_of_invoice(v_tenant, v_new);
    PERFORM qzpay._post_invoices((qzpay._bills_of_invoice(v_tenant, v_new))[1:1], v_lines, v_block.issued_at);
    PERFORM qzpay._reopen_schedules(v_tenant, p_invoice);
    UPDATE qzpay.payments p SET invoice_id = v_new WHERE p.tenant_id = v_tenant AND p.invoice_id = p_invoice;
    UPDATE qzpay.periods p SET invoice_id = v_new FROM qzpay.invoice_subscriptions m
    WHERE m.tenant_id = v_tenant AND m.invoice_id = p_invoice AND p.tenant_id = v_tenant AND p.subscription_id = m.subscription_id AND p.invoice_id = p_invoice;
    PERFORM qzpay._emit_event(v_tenant, 'invoice.finalized', 'invoice', v_new, i.customer_id, jsonb_build_object('invoiceId', x.id, 'number', x.number, 'subscriptionId', x.subscription_id,
        'currency', x.currency, 'total', x.total, 'amountDue', x.amount_due, 'amountPaid', x.amount_paid, 'replaces', x.replaces, 'emailSentByPackage', false)
        || CASE WHEN x.subscription_id IS NULL THEN qzpay._shared_by(v_tenant, v_new) ELSE '{}' END, NULL, v_at)
    FROM qzpay.invoices x WHERE x.tenant_id = v_tenant AND x.id = v_new;
    IF i.status = 'open' THEN
        PERFORM qzpay._plan_attempts(ARRAY[v_tenant], ARRAY[v_new], 'billing', v_at);
    END IF;
    PERFORM qzpay._idempotent_end(v_tenant, 'reissue_invoice', p_key, jsonb_build_object('id', v_new));
    RETURN v_new;
END $$;
COMMENT ON FUNCTION qzpay._reissue_invoice(uuid, text, text) IS 'Internal of reissue_invoice(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._lines_of_invoice(p_tenant uuid, p_invoice uuid) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(l.tenant_id, l.invoice_id, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                             l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.discount_amount, l.tax_amount, l.discounts, l.taxes, l.metadata, l.id, l.subscription_id)::qzpay._line ORDER BY l.position)
        FROM qzpay.invoice_lines l WHERE l.tenant_id = p_tenant AND l.invoice_id = p_invoice
    );
END $$;
COMMENT ON FUNCTION qzpay._lines_of_invoice(uuid, uuid) IS 'The lines of a written invoice as they were before it was written.';

CREATE OR REPLACE FUNCTION qzpay._bills_of_invoice(p_tenant uuid, p_invoice uuid) RETURNS qzpay._bill[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(i.tenant_id, i.id, i.customer_id, coalesce(i.subscription_id, h.subscription_id), i.seller_id, i.livemode, i.currency, i.kind,
                             coalesce(h.due_at, i.finalize_at, i.issued_at, i.created_at), coalesce(h.period_start, i.period_start), coalesce(h.period_end, i.period_end), i.collection, i.net_days,
                             i.metadata || CASE WHEN i.po_number IS NULL THEN '{}' ELSE jsonb_build_object('_po_number', i.po_number) END, i.billing_day)::qzpay._bill ORDER BY h.due_at, h.subscription_id)
        FROM qzpay.invoices i LEFT JOIN qzpay.invoice_shares h ON h.tenant_id = i.tenant_id AND h.invoice_id = i.id
        WHERE i.tenant_id = p_tenant AND i.id = p_invoice
    );
END $$;
COMMENT ON FUNCTION qzpay._bills_of_invoice(uuid, uuid) IS 'A written invoice as it was before it was written, a bill for each subscription that shares it; its PO number travels in the metadata, as _po_number.';
