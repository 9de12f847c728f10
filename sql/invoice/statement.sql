-- What a customer is told about its account.

CREATE OR REPLACE FUNCTION qzpay.statement(customer uuid, "from" timestamptz DEFAULT NULL, "to" timestamptz DEFAULT NULL, currency text DEFAULT NULL)
RETURNS TABLE (entry_position bigint, occurred_at timestamptz, kind text, document_id uuid, document text, description text, debit bigint, credit bigint, balance bigint, entry_currency text)
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.statement(uuid, timestamptz, timestamptz, text) IS
'Account of a customer over [from, to) in one currency (default its own), in minor units: opening, one row per document (invoice, credit_note, payment, refund, void, write_off, goodwill, grant) and closing. '
'balance is what the customer owes after the row, less its credit balance and what is to be paid back to it (negative: it is owed). from NULL: since ever, to NULL: everything. Uses of the credit balance move nothing and are no rows. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._statement(p_customer uuid, p_from timestamptz, p_to timestamptz, p_currency text)
RETURNS TABLE (entry_position bigint, occurred_at timestamptz, kind text, document_id uuid, document text, description text, debit bigint, credit bigint, balance bigint, entry_currency text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH who AS (
        SELECT c.tenant_id, c.id, coalesce(p_currency, c.currency) AS currency, coalesce(p_from, '-infinity') AS since, coalesce(p_to, 'infinity') AS until FROM qzpay.customers c WHERE c.id = p_customer
    ), moved AS (
        -- Owed is the receivable less the balance and less what is to be paid back; a transfer between these moves nothing.
        SELECT t.cause, t.cause_id, t.posted_at, max(t.id::text) AS last_id,
               sum(t.amount * ((t.debit_account = ANY (o.accounts))::integer - (t.credit_account = ANY (o.accounts))::integer))::bigint AS amount
        FROM who w CROSS JOIN (SELECT '{receivable,customer_balance,refunds_payable}'::text[] AS accounts) o
        JOIN qzpay.ledger_transfers t ON t.tenant_id = w.tenant_id AND t.customer_id = w.id AND t.currency = w.currency
        WHERE t.posted_at < w.until AND (t.debit_account = ANY (o.accounts)) <> (t.credit_account = ANY (o.accounts))
        GROUP BY t.cause, t.cause_id, t.posted_at
    ), entry AS (
        SELECT m.posted_at, m.last_id, m.cause, m.cause_id, m.amount, sum(m.amount) OVER (ORDER BY m.posted_at, m.last_id)::bigint AS balance FROM moved m
    ), shown AS (
        SELECT 0 AS part, w.since AS occurred_at, NULL AS last_id, 'opening' AS kind, NULL::uuid AS document_id, NULL AS document, NULL AS description, 0::bigint AS amount,
               coalesce((SELECT sum(e.amount) FROM entry e WHERE e.posted_at < w.since), 0)::bigint AS balance FROM who w
        UNION ALL
        SELECT 1, e.posted_at, e.last_id, e.cause, e.cause_id, coalesce(i.number, n.number, r.reference), coalesce(n.reason, r.reason, b.description, CASE WHEN p.id IS NOT NULL THEN p.provider END), e.amount, e.balance
        FROM who w
        JOIN entry e ON e.posted_at >= w.since
        LEFT JOIN qzpay.invoices i ON i.tenant_id = w.tenant_id AND i.id = e.cause_id
        LEFT JOIN qzpay.credit_notes n ON n.tenant_id = w.tenant_id AND n.id = e.cause_id
        LEFT JOIN qzpay.payments p ON p.tenant_id = w.tenant_id AND p.id = e.cause_id
        LEFT JOIN qzpay.refund_requests r ON r.tenant_id = w.tenant_id AND r.id = e.cause_id
        LEFT JOIN LATERAL (SELECT k.description FROM qzpay.balance_entries k WHERE k.tenant_id = w.tenant_id AND k.customer_id = w.id AND k.currency = w.currency AND k.cause_id = e.cause_id
                           ORDER BY k.id LIMIT 1) b ON e.cause = 'goodwill'
        UNION ALL
        SELECT 2, w.until, NULL, 'closing', NULL, NULL, NULL, 0, coalesce((SELECT sum(e.amount) FROM entry e), 0)::bigint FROM who w
    )
    SELECT row_number() OVER (ORDER BY s.part, s.occurred_at, s.last_id), nullif(nullif(s.occurred_at, 'infinity'), '-infinity'), s.kind, s.document_id, s.document, s.description,
           CASE WHEN s.amount > 0 THEN s.amount END, CASE WHEN s.amount < 0 THEN -s.amount END, s.balance, w.currency
    FROM shown s, who w ORDER BY 1;
END $$;
COMMENT ON FUNCTION qzpay._statement(uuid, timestamptz, timestamptz, text) IS 'Internal of statement(), inside the tenant''s context.';
