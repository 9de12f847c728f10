CREATE OR REPLACE FUNCTION qzpay.check_integrity() RETURNS TABLE (check_name text, status text, violations bigint, evidence jsonb)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
-- Whole tables are joined: by hash or merge, however few rows the planner takes a table that has just grown to have. JIT would follow from what a forbidden join is said to cost.
SET enable_nestloop = off
SET jit = off
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_check record;
BEGIN
    PERFORM qzpay._check_schema_version();
    FOR v_check IN SELECT * FROM (VALUES
        ('invoice_lines_add_up', $q$
            SELECT i.id::text FROM qzpay.invoices i
            LEFT JOIN (SELECT tenant_id, invoice_id, count(*) n, sum(amount) a, sum(discount_amount) d, sum(tax_amount) t, sum(tax_included) c FROM qzpay.invoice_lines GROUP BY 1, 2) l
                ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
            WHERE i.status <> 'draft' AND (i.line_count, i.subtotal, i.discount_total, i.tax_total, i.tax_included) IS DISTINCT FROM (l.n, l.a, l.d, l.t, l.c)$q$),
        ('ledger_holds_every_invoice', $q$
            SELECT coalesce(i.id, t.cause_id)::text
            FROM (SELECT * FROM qzpay.invoices WHERE status <> 'draft') i
            FULL JOIN (SELECT tenant_id, cause_id, currency, sum(CASE 'receivable' WHEN debit_account THEN amount ELSE -amount END) a FROM qzpay.ledger_transfers
                       WHERE cause = 'invoice' AND 'receivable' IN (debit_account, credit_account) GROUP BY 1, 2, 3) t
                ON t.tenant_id = i.tenant_id AND t.cause_id = i.id
            WHERE i.id IS NULL OR i.total <> coalesce(t.a, 0) OR i.currency <> t.currency$q$),
        ('balances_are_the_ledgers', $q$
            SELECT coalesce(b.customer_id, t.customer_id) || ' ' || coalesce(b.currency, t.currency)
            FROM qzpay.balances b
            FULL JOIN (SELECT tenant_id, customer_id, currency, sum(CASE 'customer_balance' WHEN credit_account THEN amount ELSE -amount END) a FROM qzpay.ledger_transfers
                       WHERE 'customer_balance' IN (debit_account, credit_account) GROUP BY 1, 2, 3) t
                ON t.tenant_id = b.tenant_id AND t.customer_id = b.customer_id AND t.currency = b.currency
            WHERE coalesce(b.amount, 0) <> coalesce(t.a, 0)$q$),
        ('ledger_holds_every_payment', $q$
            SELECT coalesce(p.id, t.cause_id)::text
            FROM (SELECT * FROM qzpay.payments WHERE status = 'succeeded') p
            FULL JOIN (SELECT tenant_id, cause_id, currency, sum(amount) a FROM qzpay.ledger_transfers WHERE cause = 'payment' GROUP BY 1, 2, 3) t
                ON t.tenant_id = p.tenant_id AND t.cause_id = p.id
            WHERE p.amount IS DISTINCT FROM t.a OR p.currency IS DISTINCT FROM t.currency$q$),
        ('receivable_is_what_is_open', $q$
            SELECT tenant_id || ' ' || currency FROM (
                SELECT tenant_id, currency, sum(CASE 'receivable' WHEN debit_account THEN amount WHEN credit_account THEN -amount ELSE 0 END) a
                FROM qzpay.ledger_transfers WHERE 'receivable' IN (debit_account, credit_account) GROUP BY 1, 2
                UNION ALL
                SELECT tenant_id, currency, -sum(amount_due - amount_paid - amount_credited - amount_written_off) FROM qzpay.invoices WHERE status <> 'draft' GROUP BY 1, 2
            ) b GROUP BY tenant_id, currency HAVING sum(a) <> 0$q$),
        ('credit_note_lines_add_up', $q$
            SELECT n.id::text FROM qzpay.credit_notes n
            LEFT JOIN (SELECT tenant_id, credit_note_id, count(*) n, sum(amount) a, sum(tax_amount) t, sum(tax_included) c FROM qzpay.credit_note_lines GROUP BY 1, 2) l
                ON l.tenant_id = n.tenant_id AND l.credit_note_id = n.id
            WHERE (n.line_count, n.subtotal, n.tax_total, n.tax_included) IS DISTINCT FROM (l.n, l.a, l.t, l.c)$q$),
        ('ledger_holds_every_credit_note', $q$
            SELECT coalesce(n.id, t.cause_id)::text FROM qzpay.credit_notes n
            FULL JOIN (SELECT tenant_id, cause_id, currency, sum(amount) a FROM qzpay.ledger_transfers WHERE cause = 'credit_note' GROUP BY 1, 2, 3) t ON t.tenant_id = n.tenant_id AND t.cause_id = n.id
            WHERE n.total IS DISTINCT FROM t.a OR n.currency IS DISTINCT FROM t.currency$q$),
        ('credited_is_what_notes_say', $q$
            SELECT coalesce(i.id, n.invoice_id)::text FROM (SELECT * FROM qzpay.invoices WHERE amount_credited <> 0) i
            FULL JOIN (SELECT tenant_id, invoice_id, sum(to_invoice) a FROM qzpay.credit_notes GROUP BY 1, 2 HAVING sum(to_invoice) <> 0) n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id
            WHERE i.amount_credited IS DISTINCT FROM n.a$q$),
        ('no_line_is_credited_beyond_itself', $q$
            SELECT c.id::text
            FROM (SELECT tenant_id, id, sum(net) net, sum(tax) tax, sum(included) included
                  FROM (SELECT l.tenant_id, l.source_line_id AS id, -l.amount AS net, -l.tax_amount AS tax, -l.tax_included AS included FROM qzpay.invoice_lines l
                        JOIN qzpay.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id AND i.status NOT IN ('draft', 'void') WHERE l.source_line_id IS NOT NULL
                        UNION ALL SELECT tenant_id, invoice_line_id, amount, tax_amount, tax_included FROM qzpay.credit_note_lines) x GROUP BY 1, 2) c
            LEFT JOIN qzpay.invoice_lines l ON l.tenant_id = c.tenant_id AND l.id = c.id
            WHERE l.id IS NULL OR c.net > l.amount - l.discount_amount OR c.tax > l.tax_amount OR c.included > l.tax_included
               OR c.net = l.amount - l.discount_amount AND (c.tax, c.included) <> (l.tax_amount, l.tax_included)$q$),
        ('tax_payable_is_what_was_invoiced', $q$
            SELECT tenant_id || ' ' || currency FROM (
                SELECT tenant_id, currency, sum(CASE 'tax_payable' WHEN debit_account THEN -amount ELSE amount END) a
                FROM qzpay.ledger_transfers WHERE 'tax_payable' IN (debit_account, credit_account) GROUP BY 1, 2
                UNION ALL SELECT tenant_id, currency, -sum(tax_total + tax_included) FROM qzpay.invoices WHERE status NOT IN ('draft', 'void') GROUP BY 1, 2
                UNION ALL SELECT n.tenant_id, n.currency, sum(n.tax_total + n.tax_included) FROM qzpay.credit_notes n
                          JOIN qzpay.invoices i ON i.tenant_id = n.tenant_id AND i.id = n.invoice_id AND i.status <> 'void' GROUP BY 1, 2
            ) b GROUP BY tenant_id, currency HAVING sum(a) <> 0$q$),
        ('balances_are_their_entries', $q$
            SELECT customer_id || ' ' || currency FROM (
                SELECT tenant_id, customer_id, currency, amount a, refundable r FROM qzpay.balances
                UNION ALL SELECT tenant_id, customer_id, currency, -sum(amount), -sum(refundable) FROM qzpay.balance_entries GROUP BY 1, 2, 3
            ) b GROUP BY tenant_id, customer_id, currency HAVING sum(a) <> 0 OR sum(r) <> 0$q$),
        ('grants_are_what_is_left_of_them', $q$
            SELECT id::text FROM (
                SELECT g.id FROM qzpay.credit_grants g LEFT JOIN (SELECT tenant_id, grant_id, sum(amount) a FROM qzpay.grant_uses GROUP BY 1, 2) u ON u.tenant_id = g.tenant_id AND u.grant_id = g.id
                WHERE g.amount <> g.remaining + g.expired_amount + coalesce(u.a, 0)
                UNION ALL SELECT coalesce(i.id, u.invoice_id) FROM (SELECT * FROM qzpay.invoices WHERE grants_applied > 0) i
                FULL JOIN (SELECT tenant_id, invoice_id, sum(amount) a FROM qzpay.grant_uses GROUP BY 1, 2) u ON u.tenant_id = i.tenant_id AND u.invoice_id = i.id WHERE i.grants_applied IS DISTINCT FROM u.a
                UNION ALL SELECT customer_id FROM (
                    SELECT tenant_id, customer_id, currency, sum(CASE 'prepaid_credit' WHEN debit_account THEN amount ELSE -amount END) a
                    FROM qzpay.ledger_transfers WHERE 'prepaid_credit' IN (debit_account, credit_account) GROUP BY 1, 2, 3
                    UNION ALL SELECT tenant_id, customer_id, currency, sum(remaining) FROM qzpay.credit_grants GROUP BY 1, 2, 3) b GROUP BY tenant_id, customer_id, currency HAVING sum(a) <> 0
            ) x$q$),
        ('refunds_payable_is_what_is_requested', $q$
            SELECT customer_id || ' ' || currency FROM (
                SELECT tenant_id, customer_id, currency, sum(CASE 'refunds_payable' WHEN debit_account THEN amount ELSE -amount END) a
                FROM qzpay.ledger_transfers WHERE 'refunds_payable' IN (debit_account, credit_account) GROUP BY 1, 2, 3
                UNION ALL SELECT tenant_id, customer_id, currency, sum(amount - refunded) FROM qzpay.refund_requests WHERE status = 'requested' GROUP BY 1, 2, 3
            ) b GROUP BY tenant_id, customer_id, currency HAVING sum(a) <> 0$q$),
        ('ledger_holds_every_refund', $q$
            SELECT coalesce(r.id, t.cause_id)::text
            FROM (SELECT tenant_id, id, currency, CASE status WHEN 'done' THEN amount ELSE refunded END AS a FROM qzpay.refund_requests WHERE status = 'done' OR refunded > 0) r
            FULL JOIN (SELECT tenant_id, cause_id, currency, sum(amount) a FROM qzpay.ledger_transfers WHERE cause = 'refund' AND debit_account = 'refunds_payable' AND credit_account = 'provider_clearing'
                       GROUP BY 1, 2, 3) t ON t.tenant_id = r.tenant_id AND t.cause_id = r.id
            WHERE r.a IS DISTINCT FROM t.a OR r.currency IS DISTINCT FROM t.currency$q$),
        ('refunds_are_what_is_attempted', $q$
            SELECT id::text FROM (
                SELECT tenant_id, id, refunded AS done, refunding AS under_way FROM qzpay.payments WHERE refunded + refunding > 0
                UNION ALL SELECT tenant_id, id, refunded, refunding FROM qzpay.refund_requests WHERE refunded + refunding > 0
                UNION ALL SELECT a.tenant_id, k.id, CASE a.status WHEN 'succeeded' THEN -a.amount ELSE 0 END, CASE a.status WHEN 'succeeded' THEN 0 ELSE -a.amount END
                          FROM qzpay.payment_attempts a CROSS JOIN LATERAL (VALUES (a.payment_id), (a.refund_request_id)) k (id)
                          WHERE a.operation = 'refund' AND a.status NOT IN ('declined', 'rejected', 'canceled')
            ) x GROUP BY tenant_id, id HAVING sum(done) <> 0 OR sum(under_way) <> 0$q$),
        ('deferred_revenue_is_what_is_unearned', $q$
            SELECT tenant_id || ' ' || currency FROM (
                SELECT tenant_id, currency, sum(CASE 'deferred_revenue' WHEN debit_account THEN -amount ELSE amount END) a
                FROM qzpay.ledger_transfers WHERE 'deferred_revenue' IN (debit_account, credit_account) GROUP BY 1, 2
                UNION ALL SELECT i.tenant_id, i.currency, -sum(l.amount - l.discount_amount - l.tax_included) FROM qzpay.invoices i
                          JOIN qzpay.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id JOIN qzpay._line_accounts() k ON k.kind = l.kind AND k.account = 'deferred_revenue'
                          WHERE i.status NOT IN ('draft', 'void') GROUP BY 1, 2
                UNION ALL SELECT i.tenant_id, i.currency, sum(l.amount - l.tax_included) FROM qzpay.invoices i
                          JOIN qzpay.credit_note_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id JOIN qzpay._line_accounts() k ON k.kind = l.kind AND k.account = 'deferred_revenue'
                          WHERE i.status <> 'void' GROUP BY 1, 2
                UNION ALL SELECT i.tenant_id, i.currency, sum(s.recognized) FROM qzpay.revenue_schedules s JOIN qzpay.invoices i ON i.tenant_id = s.tenant_id AND i.id = s.invoice_id GROUP BY 1, 2
            ) b GROUP BY tenant_id, currency HAVING sum(a) <> 0$q$),
        ('paid_is_what_was_received', $q$
            SELECT i.id::text FROM qzpay.invoices i
            LEFT JOIN (SELECT tenant_id, invoice_id, sum(amount) a FROM qzpay.payments WHERE status = 'succeeded' GROUP BY 1, 2) p ON p.tenant_id = i.tenant_id AND p.invoice_id = i.id
            WHERE i.amount_paid <> coalesce(p.a, 0)$q$),
        ('in_flight_is_what_is_attempted', $q$
            SELECT i.id::text FROM qzpay.invoices i
            LEFT JOIN (SELECT tenant_id, invoice_id, sum(amount) a FROM qzpay.payment_attempts
                       WHERE operation = 'charge' AND status IN ('sending', 'confirming', 'processing', 'requires_action', 'unknown', 'needs_operator') GROUP BY 1, 2) p
                ON p.tenant_id = i.tenant_id AND p.invoice_id = i.id
            WHERE i.amount_in_flight <> coalesce(p.a, 0)$q$),
        ('one_payment_per_success', $q$
            SELECT coalesce(a.id, p.attempt_id)::text
            FROM (SELECT * FROM qzpay.payment_attempts WHERE operation = 'charge' AND status = 'succeeded') a
            FULL JOIN qzpay.payments p ON p.tenant_id = a.tenant_id AND p.attempt_id = a.id
            WHERE a.id IS NULL OR p.id IS NULL OR a.amount <> p.amount OR a.currency <> p.currency$q$),
        ('numbers_have_no_gap', $q$
            SELECT s.seller_id || ' ' || s.document || ' ' || s.year FROM qzpay.invoice_series s
            LEFT JOIN (SELECT seller_id, livemode, 'invoice' AS document, series_year, count(*) n, max(series_number) m FROM qzpay.invoices WHERE series_number IS NOT NULL GROUP BY 1, 2, 4
                       UNION ALL SELECT seller_id, livemode, 'credit_note', series_year, count(*), max(series_number) FROM qzpay.credit_notes GROUP BY 1, 2, 4) i
                ON (i.seller_id, i.livemode, i.document, i.series_year) = (s.seller_id, s.livemode, s.document, s.year)
            WHERE s.last_number <> coalesce(i.n, 0) OR s.last_number <> coalesce(i.m, 0)$q$),
        ('shared_invoices_name_their_subscriptions', $q$
            SELECT i.id::text FROM qzpay.invoices i
            LEFT JOIN (SELECT h.tenant_id, h.invoice_id, count(*) n, array_agg(h.subscription_id ORDER BY h.subscription_id) s,
                              bool_and(s.id IS NOT NULL AND i.id IS NOT NULL) fits
                       FROM qzpay.invoice_shares h
                       LEFT JOIN qzpay.invoices i ON i.tenant_id = h.tenant_id AND i.id = h.invoice_id
                       LEFT JOIN qzpay.subscriptions s ON s.tenant_id = h.tenant_id AND s.id = h.subscription_id AND (s.customer_id, s.currency, s.livemode) = (i.customer_id, i.currency, i.livemode)
                       GROUP BY 1, 2) h ON h.tenant_id = i.tenant_id AND h.invoice_id = i.id
            LEFT JOIN (SELECT tenant_id, invoice_id, array_agg(DISTINCT subscription_id ORDER BY subscription_id) FILTER (WHERE subscription_id IS NOT NULL) s,
                              bool_or(subscription_id IS NULL AND kind IN ('plan', 'addon', 'usage', 'commitment')) nobodys
                       FROM qzpay.invoice_lines GROUP BY 1, 2) l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
            WHERE h.s IS DISTINCT FROM l.s OR NOT h.fits OR h.n IS NOT NULL AND (i.subscription_id IS NOT NULL OR l.nobodys)
               OR i.subscription_id IS NULL AND i.kind <> 'manual' AND coalesce(h.n, 0) < CASE i.status WHEN 'draft' THEN 1 ELSE 2 END$q$),
        ('periods_are_on_their_invoices', $q$
            SELECT p.subscription_id || ' ' || p.cycle FROM qzpay.periods p
            LEFT JOIN qzpay.invoice_subscriptions m ON m.tenant_id = p.tenant_id AND m.invoice_id = p.invoice_id AND m.subscription_id = p.subscription_id
            WHERE p.invoice_id IS NOT NULL AND m.invoice_id IS NULL$q$),
        ('periods_follow_each_other', $q$
            SELECT p.subscription_id || ' ' || p.cycle FROM (
                SELECT tenant_id, subscription_id, cycle, ordinal, period_start, lag(period_end) OVER (PARTITION BY tenant_id, subscription_id, cycle ORDER BY period_start) before
                FROM qzpay.periods) p
            JOIN qzpay.subscriptions s ON s.tenant_id = p.tenant_id AND s.id = p.subscription_id
            WHERE p.ordinal > 0 AND p.period_start <> p.before AND p.cycle IN ('usage', s.interval_count || ' ' || s.interval_unit)
              -- While the plan had another interval this was an add-on's, which may have been gone for a while.
              AND NOT EXISTS (SELECT FROM qzpay.periods m WHERE p.cycle <> 'usage' AND m.tenant_id = p.tenant_id AND m.subscription_id = p.subscription_id AND m.cycle NOT IN ('usage', p.cycle)
                              AND m.period_start < p.period_start AND m.period_end > p.before)$q$),
        ('contracts_are_whole', $q$
            SELECT s.id::text FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
            LEFT JOIN (SELECT i.tenant_id, i.subscription_id, max(i.valid_until) FILTER (WHERE i.kind = 'plan') plan_until,
                              min(p.currency) FILTER (WHERE i.valid_until = 'infinity') first_currency, max(p.currency) FILTER (WHERE i.valid_until = 'infinity') last_currency
                       FROM qzpay.subscription_items i JOIN qzpay.prices p ON p.id = i.price_id GROUP BY 1, 2) i
                ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id
            -- What is paid for until when stands in the periods, which are only ever added to.
            LEFT JOIN qzpay.periods p ON p.tenant_id = s.tenant_id AND p.subscription_id = s.id AND p.cycle = s.interval_count || ' ' || s.interval_unit
                AND p.period_start = s.current_period_start AND p.period_end = s.current_period_end
            WHERE s.livemode <> c.livemode
               OR s.ended_at IS NULL AND coalesce(i.plan_until <= coalesce(s.current_period_start, s.started_at), true)
               OR s.ended_at IS NULL AND (i.first_currency <> s.currency OR i.last_currency <> s.currency)
               OR s.status IN ('active', 'past_due') AND s.managed_by = 'engine' AND p.tenant_id IS NULL$q$),
        -- An item never changes (what is agreed anew is another item), so each line billed in advance says what its item said.
        ('items_are_as_billed', $q$
            SELECT l.id::text FROM qzpay.invoice_lines l
            JOIN qzpay.subscription_items i ON i.tenant_id = l.tenant_id AND i.id = l.subscription_item_id
            JOIN qzpay.prices p ON p.id = i.price_id
            WHERE l.kind IN ('plan', 'addon') AND NOT l.proration AND l.source_line_id IS NULL
              AND (l.product_id, l.price_id, l.quantity, l.unit_amount) IS DISTINCT FROM (i.product_id, i.price_id, i.quantity::numeric, coalesce(i.unit_amount, p.unit_amount))$q$),
        ('nothing_is_billed_late', $q$
            SELECT id::text FROM qzpay.subscriptions
            WHERE test_clock_id IS NULL AND set_aside_at IS NULL AND next_due_at < qzpay.now() - interval '1 hour'
            UNION ALL SELECT i.id::text FROM qzpay.invoices i JOIN qzpay.customers c ON c.tenant_id = i.tenant_id AND c.id = i.customer_id AND c.test_clock_id IS NULL
            WHERE i.status = 'draft' AND i.billing_day IS NOT NULL AND i.finalize_at < qzpay.now() - interval '1 hour'$q$),
        ('nothing_is_set_aside', $q$ SELECT id::text FROM qzpay.subscriptions WHERE set_aside_at IS NOT NULL $q$),
        ('no_outcome_is_unknown_for_long', $q$
            SELECT a.id::text FROM qzpay.payment_attempts a JOIN qzpay.invoices i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
            WHERE a.status = 'needs_operator' OR a.status = 'unknown' AND a.first_sent_at < least(qzpay._recorded_at(), qzpay.now(i.customer_id)) - interval '24 hours'$q$),
        ('usage_totals_are_their_events', $q$
            SELECT coalesce(t.customer_id, e.customer_id) || ' ' || coalesce(t.period_start, e.period_start)
            FROM (SELECT tenant_id, customer_id, meter_id, period_start, sum(quantity) q, sum(events) n, sum(coalesce(amount, quantity)) a FROM qzpay.usage_totals WHERE meter_id NOT IN (SELECT m.id FROM qzpay.meters m WHERE m.counts_rows) GROUP BY 1, 2, 3, 4) t
            FULL JOIN (SELECT tenant_id, customer_id, meter_id, period_start, sum(quantity) q, sum(events) n, sum(coalesce(amount, quantity)) a FROM (
                           SELECT tenant_id, customer_id, meter_id, period_start, quantity, amount, 1 AS events FROM qzpay.usage_events
                           UNION ALL SELECT tenant_id, customer_id, meter_id, period_start, quantity, amount, events FROM qzpay.usage_archived) e GROUP BY 1, 2, 3, 4) e
                USING (tenant_id, customer_id, meter_id, period_start)
            WHERE (t.q, t.n, t.a) IS DISTINCT FROM (e.q, e.n, e.a)$q$),
        ('distinct_values_are_their_totals', $q$
            SELECT coalesce(t.customer_id, v.customer_id) || ' ' || coalesce(t.period_start, v.period_start)
            FROM (SELECT t.tenant_id, t.customer_id, t.meter_id, t.period_start, sum(t.quantity) n FROM qzpay.usage_totals t JOIN qzpay.meters m ON m.id = t.meter_id AND m.aggregation = 'unique'
                  WHERE NOT EXISTS (SELECT FROM qzpay.usage_archived a WHERE (a.tenant_id, a.customer_id, a.meter_id, a.period_start) = (t.tenant_id, t.customer_id, t.meter_id, t.period_start))
                  GROUP BY 1, 2, 3, 4) t
            FULL JOIN (SELECT tenant_id, customer_id, meter_id, period_start, count(*) n FROM qzpay.usage_values GROUP BY 1, 2, 3, 4) v USING (tenant_id, customer_id, meter_id, period_start)
            WHERE t.n IS DISTINCT FROM v.n$q$),
        ('usage_is_billed_once', $q$
            SELECT l.customer_id || ' ' || l.period_start
            FROM (SELECT i.tenant_id, i.customer_id, l.meter_id, l.period_start, sum(l.quantity) q FROM qzpay.invoice_lines l
                  JOIN qzpay.invoices i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id AND i.status <> 'void'
                  WHERE l.kind = 'usage' AND l.meter_id IS NOT NULL GROUP BY 1, 2, 3, 4) l
            LEFT JOIN (SELECT tenant_id, customer_id, meter_id, period_start, sum(quantity) q FROM qzpay.usage_totals GROUP BY 1, 2, 3, 4) t
                USING (tenant_id, customer_id, meter_id, period_start)
            WHERE l.q > coalesce(t.q, 0)$q$),
        ('entitlements_are_their_facts', $q$
            SELECT e.customer_id::text FROM qzpay.entitlements e
            FULL JOIN qzpay._entitlement_facts((SELECT array_agg(tenant_id ORDER BY id) FROM qzpay.customers), (SELECT array_agg(id ORDER BY id) FROM qzpay.customers)) f
                ON f.tenant_id = e.tenant_id AND f.customer_id = e.customer_id
            WHERE (e.products, e.quantities, e.since, e.until, e.full_until, e.overrides, e.added, e.negotiated, e.usage_start, e.usage_end, e.usage_trial_end, e.test_clock_id)
                  IS DISTINCT FROM (f.products, f.quantities, f.since, f.until, f.full_until, f.overrides, f.added, f.negotiated, f.usage_start, f.usage_end, f.usage_trial_end, f.test_clock_id)$q$),
        ('slots_are_counted', $q$
            SELECT coalesce(s.customer_id, c.customer_id) || ' ' || coalesce(s.feature_code, c.feature_code)
            FROM (SELECT tenant_id, customer_id, feature_code, count(*) AS n FROM qzpay.limit_slots GROUP BY 1, 2, 3) s
            FULL JOIN (SELECT * FROM qzpay.limit_counters WHERE relation = 'qzpay.limit_slots'::regclass) c USING (tenant_id, customer_id, feature_code)
            WHERE coalesce(s.n, 0) <> coalesce(c.used, 0)$q$),
        ('discounts_are_used_as_redeemed', $q$
            SELECT d.trigger || ' ' || d.code FROM qzpay.discounts d
            LEFT JOIN (SELECT discount_id, count(*) n FROM qzpay.redemptions WHERE state <> 'returned' GROUP BY 1) r ON r.discount_id = d.id
            WHERE d.uses <> coalesce(r.n, 0)$q$),
        ('discounts_fit_their_lines', $q$
            SELECT l.id::text FROM qzpay.invoice_lines l
            WHERE l.discount_amount <> CASE WHEN l.discounts IS NULL THEN 0 ELSE (SELECT coalesce(sum((x.item -> 'amount')::bigint), 0) FROM jsonb_array_elements(l.discounts) x (item)) END OR l.discount_amount NOT BETWEEN 0 AND greatest(l.amount, 0)$q$),
        ('discounts_are_explained', $q$
            SELECT coalesce(l.invoice_id, d.invoice_id)::text
            FROM (SELECT tenant_id, invoice_id, x.item ->> 'code' code, sum((x.item -> 'amount')::bigint) a
                  FROM qzpay.invoice_lines, jsonb_array_elements(discounts) x (item) WHERE discounts IS NOT NULL GROUP BY 1, 2, 3) l
            FULL JOIN (SELECT tenant_id, invoice_id, x.item ->> 'code' code, sum((x.item -> 'amount')::bigint) a
                       FROM qzpay.invoice_discounts, jsonb_array_elements(considered) x (item) WHERE x.item -> 'amount' <> '0' GROUP BY 1, 2, 3) d
                ON (l.tenant_id, l.invoice_id, l.code) = (d.tenant_id, d.invoice_id, d.code)
            WHERE l.a IS DISTINCT FROM d.a$q$),
        ('audit_log_is_whole', $q$
            SELECT violation || coalesce(' ' || at_position, '') || coalesce(' ' || entry_id, '') FROM qzpay.verify_audit_log()$q$),
        ('audit_log_is_kept', $q$
            SELECT a.relation FROM qzpay._audited_tables() a
            LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass('qzpay.' || a.relation) AND t.tgname = 'audit' AND t.tgenabled IN ('O', 'A') WHERE t.oid IS NULL$q$),
        ('decisions_are_audited', $q$
            SELECT d.what FROM (
                SELECT 'entitlement_overrides', customer_id || ' ' || feature_code, NULL::jsonb FROM qzpay.entitlement_overrides
                UNION ALL SELECT 'credit_grants', id::text, NULL FROM qzpay.credit_grants
                UNION ALL SELECT 'settings', s.name, qzpay._redact_json(jsonb_build_object('value', s.value)) FROM qzpay.settings s) d (object, what, after)
            LEFT JOIN LATERAL (SELECT true AS found, e.after FROM qzpay.audit_entries e WHERE e.object = d.object AND e.object_id = d.what ORDER BY e.id DESC LIMIT 1) e ON true
            -- A setting that nobody has changed has no entry; where old entries were forgotten, neither has an old decision.
            WHERE CASE WHEN d.object = 'settings' THEN e.after -> 'value' <> d.after -> 'value'
                       ELSE e.found IS NULL AND NOT EXISTS (SELECT FROM qzpay.audit_head h WHERE h.base_position > 0) END$q$),
        ('tenants_are_walled', $q$
            SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'qzpay'
            WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)$q$)
    ) AS c (name, query) LOOP
        check_name := v_check.name;
        EXECUTE format('SELECT count(*), to_jsonb((array_agg(x.what))[1:5]) FROM (%s) x (what)', v_check.query) INTO violations, evidence;
        status := CASE WHEN violations = 0 THEN 'pass' ELSE 'fail' END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay.check_integrity() IS
'Proves the books against the documents, one row per invariant: pass or fail, how many violations, and up to five of the offending objects. Reads everything the caller may see: run it as an administrator.';
