-- Credit of customers: one row per customer and currency, moved together with the ledger.

CREATE OR REPLACE FUNCTION qzpay._lock_balances(p_bills qzpay._bill[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM qzpay.balances k
    WHERE (k.tenant_id, k.customer_id, k.currency) IN (SELECT b.tenant_id, b.customer_id, b.currency FROM unnest(p_bills) b) AND k.amount > 0
    ORDER BY k.tenant_id, k.customer_id, k.currency FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION qzpay._lock_balances(qzpay._bill[]) IS 'Locks the balances that these invoices may use, so that what is read next is what is taken.';

CREATE OR REPLACE FUNCTION qzpay._move_balances(p_tenants uuid[], p_customers uuid[], p_currencies text[], p_amounts bigint[], p_causes text[], p_cause_ids uuid[], p_at timestamptz,
        p_description text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_after bigint;
BEGIN
    FOR n IN 1 .. cardinality(p_tenants) LOOP
        -- A row with a negative amount is refused before it is found to conflict.
        INSERT INTO qzpay.balances AS k (tenant_id, customer_id, currency, amount) VALUES (p_tenants[n], p_customers[n], p_currencies[n], 0)
        ON CONFLICT (tenant_id, customer_id, currency) DO NOTHING;
        UPDATE qzpay.balances k SET amount = k.amount + p_amounts[n]
        WHERE k.tenant_id = p_tenants[n] AND k.customer_id = p_customers[n] AND k.currency = p_currencies[n] RETURNING k.amount INTO v_after;
        INSERT INTO qzpay.balance_entries (tenant_id, id, customer_id, currency, amount, balance_after, cause, cause_id, description, occurred_at, recorded_at)
        VALUES (p_tenants[n], qzpay.uuid_v7(), p_customers[n], p_currencies[n], p_amounts[n], v_after, p_causes[n], p_cause_ids[n], p_description, p_at, qzpay._recorded_at());
    END LOOP;
    -- What makes an excess is posted with its invoice; what a balance pays is a transfer of its own.
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT k.tenant_id, qzpay.uuid_v7(), k.customer_id, c.seller_id, c.livemode, 'customer_balance', 'receivable', k.currency, -k.amount, 'balance', k.cause_id, p_at, qzpay._recorded_at()
    FROM unnest(p_tenants, p_customers, p_currencies, p_amounts, p_causes, p_cause_ids) AS k (tenant_id, customer_id, currency, amount, cause, cause_id)
    JOIN qzpay.customers c ON c.tenant_id = k.tenant_id AND c.id = k.customer_id
    WHERE k.cause = 'invoice';
END $$;
COMMENT ON FUNCTION qzpay._move_balances(uuid[], uuid[], text[], bigint[], text[], uuid[], timestamptz, text) IS
'Moves balances by signed amounts, one entry each, in the order given; a balance never falls below 0 (23514). Posts what pays an invoice; whoever gives credit posts where it comes from.';
