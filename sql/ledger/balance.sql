-- Credit of customers: one row per customer and currency, moved together with the ledger.

CREATE OR REPLACE FUNCTION qzpay._lock_balances(p_bills qzpay._bill[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM qzpay.balances k
    WHERE (k.tenant_id, k.customer_id, k.currency) IN (SELECT b.tenant_id, b.customer_id, b.currency FROM unnest(p_bills) b) AND k.amount > 0
    ORDER BY k.tenant_id, k.customer_id, k.currency FOR NO KEY UPDATE;
    PERFORM FROM qzpay.credit_grants g
    WHERE (g.tenant_id, g.customer_id) IN (SELECT b.tenant_id, b.customer_id FROM unnest(p_bills) b) AND g.remaining > 0
    ORDER BY g.tenant_id, g.id FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION qzpay._lock_balances(qzpay._bill[]) IS 'Locks the balances and grants that these invoices may use, so that what is read next is what is taken.';

CREATE OR REPLACE FUNCTION qzpay._move_balances(p_tenants uuid[], p_customers uuid[], p_currencies text[], p_amounts bigint[], p_causes text[], p_cause_ids uuid[], p_at timestamptz,
        p_description text DEFAULT NULL, p_refundables bigint[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_before bigint;
    v_after bigint;
    v_refundable bigint;
BEGIN
    FOR n IN 1 .. cardinality(p_tenants) LOOP
        -- A row with a negative amount is refused before it is found to conflict.
        INSERT INTO qzpay.balances AS k (tenant_id, customer_id, currency, amount) VALUES (p_tenants[n], p_customers[n], p_currencies[n], 0)
        ON CONFLICT (tenant_id, customer_id, currency) DO NOTHING;
        SELECT k.refundable, k.amount INTO STRICT v_before, v_after FROM qzpay.balances k
        WHERE k.tenant_id = p_tenants[n] AND k.customer_id = p_customers[n] AND k.currency = p_currencies[n] FOR NO KEY UPDATE;
        IF v_after::numeric + p_amounts[n] > 9223372036854775807 THEN
            RAISE EXCEPTION 'balance of customer % is out of range', p_customers[n] USING ERRCODE = '22003', DETAIL = format('It is %s %s, and %s would be added.', v_after, p_currencies[n], p_amounts[n]);
        END IF;
        -- What may not be paid out is used first.
        UPDATE qzpay.balances k SET amount = k.amount + p_amounts[n],
               refundable = greatest(least(k.refundable + coalesce(p_refundables[n], 0), k.amount + p_amounts[n]), 0)
        WHERE k.tenant_id = p_tenants[n] AND k.customer_id = p_customers[n] AND k.currency = p_currencies[n] RETURNING k.amount, k.refundable INTO v_after, v_refundable;
        INSERT INTO qzpay.balance_entries (tenant_id, id, customer_id, currency, amount, balance_after, refundable, cause, cause_id, description, occurred_at, recorded_at)
        VALUES (p_tenants[n], qzpay.uuid_v7(), p_customers[n], p_currencies[n], p_amounts[n], v_after, v_refundable - v_before, p_causes[n], p_cause_ids[n], p_description, p_at, qzpay._recorded_at());
    END LOOP;
    -- What makes an excess is posted with its invoice; what a balance pays is a transfer of its own.
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT k.tenant_id, qzpay.uuid_v7(), k.customer_id, c.seller_id, c.livemode, 'customer_balance', 'receivable', k.currency, -k.amount, 'balance', k.cause_id, p_at, qzpay._recorded_at()
    FROM unnest(p_tenants, p_customers, p_currencies, p_amounts, p_causes, p_cause_ids) AS k (tenant_id, customer_id, currency, amount, cause, cause_id)
    JOIN qzpay.customers c ON c.tenant_id = k.tenant_id AND c.id = k.customer_id
    WHERE k.cause = 'invoice';
END $$;
COMMENT ON FUNCTION qzpay._move_balances(uuid[], uuid[], text[], bigint[], text[], uuid[], timestamptz, text, bigint[]) IS
'Moves balances by signed amounts, one entry each, in the order given; a balance never falls below 0 (23514), nor does it exceed 2^63 - 1 (22003). p_refundables: how much of each stems from money received (or, negative, is paid out). '
'Posts what pays an invoice; whoever gives credit posts where it comes from.';

CREATE OR REPLACE FUNCTION qzpay._sources_paid_by_money(p_lines qzpay._line[], p_invoice uuid) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT NOT EXISTS (
        SELECT FROM unnest(p_lines) l
        LEFT JOIN LATERAL qzpay._rest_of_lines(ARRAY[l.tenant_id], ARRAY[l.source_line_id], ARRAY[l.subscription_item_id]) r ON true
        LEFT JOIN qzpay.invoices i ON i.tenant_id = r.tenant_id AND i.id = r.invoice_id
        WHERE l.invoice_id = p_invoice AND l.amount < 0 AND l.kind <> 'balance' AND (i.id IS NULL OR i.amount_paid < i.total)));
END $$;
COMMENT ON FUNCTION qzpay._sources_paid_by_money(qzpay._line[], uuid) IS
'Whether every credit on an invoice takes back a debit of an invoice that was paid in full with money, so that its excess may be paid out.';

CREATE OR REPLACE FUNCTION qzpay._burn_grants(p_bills qzpay._bill[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_uses record;
BEGIN
    -- The invoices of a customer and its grants are laid end to end, each in their order; where they overlap, a grant pays.
    SELECT array_agg(i.tenant_id) AS tenants, array_agg(i.id) AS invoices, array_agg(g.id) AS grants,
           array_agg(least(i.upto, g.upto) - greatest(i.upto - i.amount, g.upto - g.remaining)) AS amounts INTO v_uses
    FROM (SELECT i.tenant_id, i.customer_id, i.currency, i.id, i.grants_applied AS amount,
                 sum(i.grants_applied) OVER (PARTITION BY i.tenant_id, i.customer_id, i.currency ORDER BY b.ordinality) AS upto
          FROM unnest(p_bills) WITH ORDINALITY b JOIN qzpay.invoices i ON i.tenant_id = b.tenant_id AND i.id = b.invoice_id WHERE i.grants_applied > 0) i
    JOIN (SELECT g.*, sum(g.remaining) OVER (PARTITION BY g.tenant_id, g.customer_id, g.currency ORDER BY g.priority, g.expires_at, g.created_at, g.id) AS upto
          FROM qzpay.credit_grants g
          WHERE g.remaining > 0 AND g.effective_at <= p_at AND g.expires_at > p_at AND (g.tenant_id, g.customer_id) IN (SELECT b.tenant_id, b.customer_id FROM unnest(p_bills) b)) g
        ON g.tenant_id = i.tenant_id AND g.customer_id = i.customer_id AND g.currency = i.currency AND least(i.upto, g.upto) > greatest(i.upto - i.amount, g.upto - g.remaining);
    IF v_uses.grants IS NULL THEN
        RETURN;
    END IF;
    UPDATE qzpay.credit_grants g SET remaining = g.remaining - u.amount, closed_at = CASE WHEN g.remaining = u.amount THEN p_at END
    FROM (SELECT u.tenant_id, u.grant_id, sum(u.amount)::bigint AS amount FROM unnest(v_uses.tenants, v_uses.grants, v_uses.amounts) AS u (tenant_id, grant_id, amount) GROUP BY 1, 2) u
    WHERE g.tenant_id = u.tenant_id AND g.id = u.grant_id;
    INSERT INTO qzpay.grant_uses (tenant_id, grant_id, invoice_id, amount, used_at)
    SELECT u.tenant_id, u.grant_id, u.invoice_id, u.amount, p_at FROM unnest(v_uses.tenants, v_uses.grants, v_uses.invoices, v_uses.amounts) AS u (tenant_id, grant_id, invoice_id, amount);
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT i.tenant_id, qzpay.uuid_v7(), i.customer_id, i.seller_id, i.livemode, 'prepaid_credit', 'receivable', i.currency, u.amount, 'grant', i.id, p_at, qzpay._recorded_at()
    FROM unnest(v_uses.tenants, v_uses.invoices, v_uses.amounts) AS u (tenant_id, invoice_id, amount) JOIN qzpay.invoices i ON i.tenant_id = u.tenant_id AND i.id = u.invoice_id;
END $$;
COMMENT ON FUNCTION qzpay._burn_grants(qzpay._bill[], timestamptz) IS
'Takes what grants pay of these invoices (grants_applied) from the customers'' grants in their order, and posts it: prepaid_credit pays receivable.';
