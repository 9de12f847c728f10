-- Credit of customers by hand: goodwill, prepaid grants, and what is paid back.

CREATE OR REPLACE FUNCTION qzpay._post(p_tenant uuid, p_customer uuid, p_debit text, p_credit text, p_currency text, p_amount bigint, p_cause text, p_cause_id uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
    SELECT c.tenant_id, qzpay.uuid_v7(), c.id, c.seller_id, c.livemode, p_debit, p_credit, p_currency, p_amount, p_cause, p_cause_id, p_at, qzpay._recorded_at()
    FROM qzpay.customers c WHERE c.tenant_id = p_tenant AND c.id = p_customer;
END $$;
COMMENT ON FUNCTION qzpay._post(uuid, uuid, text, text, text, bigint, text, uuid, timestamptz) IS 'Posts one transfer for a customer: debit account, credit account.';

CREATE OR REPLACE FUNCTION qzpay._check_amount(p_amount numeric, p_currency text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_amount IS NULL OR p_amount <= 0 THEN
        RAISE EXCEPTION 'amount must be positive, not %', coalesce(p_amount::text, 'NULL') USING ERRCODE = '22023';
    ELSIF p_amount > 9223372036854775807 THEN
        RAISE EXCEPTION 'amount % is out of range', p_amount USING ERRCODE = '22003';
    END IF;
    PERFORM qzpay.currency_exponent(p_currency);
END $$;
COMMENT ON FUNCTION qzpay._check_amount(numeric, text) IS 'Raises 22023 unless the amount (minor units) is positive, 22003 where it is no bigint, QZ101 for an unknown currency.';

CREATE OR REPLACE FUNCTION qzpay.adjust_balance(customer uuid, amount bigint, reason text, currency text DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.adjust_balance(uuid, bigint, text, text, text) IS
'Gives a customer credit out of goodwill, in minor units, or with a negative amount takes such credit back; never what stems from the customer''s own money. It pays the next invoices by itself and is never paid out. '
'Returns the balance after. Errors: QZ404, 22023 no amount or no reason, QZ103 more would be taken back than was given and is left, 22003 a balance beyond 2^63 - 1, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._adjust_balance(p_customer uuid, p_amount bigint, p_reason text, p_currency text, p_key text) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    v_first jsonb;
    v_currency text;
    v_at timestamptz := qzpay.now(p_customer);
    v_id uuid := qzpay.uuid_v7();
    v_left bigint;
    v_after bigint;
BEGIN
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(c.tenant_id, 'adjust_balance', p_key, jsonb_build_array(p_customer, p_amount, p_reason, p_currency));
    IF v_first IS NOT NULL THEN
        RETURN (v_first ->> 'balance')::bigint;
    END IF;
    v_currency := coalesce(p_currency, c.currency);
    PERFORM qzpay._check_amount(abs(p_amount::numeric), v_currency);
    IF coalesce(btrim(p_reason), '') = '' THEN
        RAISE EXCEPTION 'a balance is not adjusted without a reason' USING ERRCODE = '22023';
    END IF;
    IF p_amount < 0 THEN
        SELECT k.amount - k.refundable INTO v_left FROM qzpay.balances k WHERE k.tenant_id = c.tenant_id AND k.customer_id = p_customer AND k.currency = v_currency FOR NO KEY UPDATE;
        IF coalesce(v_left, 0) < -p_amount THEN
            RAISE EXCEPTION 'balance of customer "%" cannot be reduced by %', c.external_id, -p_amount USING ERRCODE = 'QZ103', DETAIL = format('Credit that was given and is left: %s.', coalesce(v_left, 0)),
                HINT = 'What the customer paid is only paid back, by refund_balance().';
        END IF;
    END IF;
    PERFORM qzpay._post(c.tenant_id, p_customer, CASE WHEN p_amount > 0 THEN 'goodwill' ELSE 'customer_balance' END, CASE WHEN p_amount > 0 THEN 'customer_balance' ELSE 'goodwill' END,
                        v_currency, abs(p_amount), 'goodwill', v_id, v_at);
    PERFORM qzpay._move_balances(ARRAY[c.tenant_id], ARRAY[p_customer], ARRAY[v_currency], ARRAY[p_amount], ARRAY['goodwill'], ARRAY[v_id], v_at, p_reason);
    SELECT k.amount INTO STRICT v_after FROM qzpay.balances k WHERE k.tenant_id = c.tenant_id AND k.customer_id = p_customer AND k.currency = v_currency;
    PERFORM qzpay._emit_event(c.tenant_id, 'credit.adjusted', 'customer', p_customer, p_customer,
        jsonb_build_object('customerId', p_customer, 'amount', p_amount, 'currency', v_currency, 'balance', v_after, 'reason', p_reason, 'emailSentByPackage', false), NULL, v_at);
    PERFORM qzpay._idempotent_end(c.tenant_id, 'adjust_balance', p_key, jsonb_build_object('balance', v_after));
    RETURN v_after;
END $$;
COMMENT ON FUNCTION qzpay._adjust_balance(uuid, bigint, text, text, text) IS 'Internal of adjust_balance(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.grant_credit(customer uuid, amount bigint, currency text DEFAULT NULL, expires_at timestamptz DEFAULT NULL, priority integer DEFAULT 50, name text DEFAULT NULL,
        effective_at timestamptz DEFAULT NULL, paid_by uuid DEFAULT NULL, metadata jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.grant_credit(uuid, bigint, text, timestamptz, integer, text, timestamptz, uuid, jsonb, text) IS
'Grants a customer credit that pays invoices after the balance, from effective_at (default now) until expires_at (default never), lowest priority (0 to 100) first, then what expires first. Returns its id. '
'Without paid_by it is promotional; with paid_by, a paid invoice of the customer, it was sold by that invoice: its price, without tax, must cover all that it sold, and was no revenue yet. '
'What is left at the end is booked as breakage. Errors: QZ404, QZ204 the invoice is not paid, QZ103 it does not cover the grant, 22023, QZ101, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._grant_credit(p_customer uuid, p_amount bigint, p_currency text, p_expires_at timestamptz, p_priority integer, p_name text, p_effective_at timestamptz,
        p_paid_by uuid, p_metadata jsonb, p_key text) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    i qzpay.invoices%ROWTYPE;
    v_first jsonb;
    v_currency text;
    v_at timestamptz := qzpay.now(p_customer);
    v_from timestamptz := coalesce(p_effective_at, v_at);
    v_until timestamptz := coalesce(p_expires_at, 'infinity');
    v_id uuid := qzpay.uuid_v7();
    v_left bigint;
BEGIN
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(c.tenant_id, 'grant_credit', p_key,
        jsonb_build_array(p_customer, p_amount, p_currency, p_expires_at, p_priority, p_name, p_effective_at, p_paid_by, p_metadata));
    IF v_first IS NOT NULL THEN
        RETURN (v_first ->> 'id')::uuid;
    END IF;
    v_currency := coalesce(p_currency, c.currency);
    PERFORM qzpay._check_amount(p_amount, v_currency);
    PERFORM qzpay._check_metadata(p_metadata);
    IF v_from >= v_until OR v_until <= v_at THEN
        RAISE EXCEPTION 'credit cannot be granted from % to %', v_from, v_until USING ERRCODE = '22023', DETAIL = format('It is %s for this customer.', v_at);
    ELSIF coalesce(p_priority, 50) NOT BETWEEN 0 AND 100 THEN
        RAISE EXCEPTION 'priority cannot be %', p_priority USING ERRCODE = '22023', HINT = 'From 0 (used first) to 100.';
    END IF;
    IF p_paid_by IS NOT NULL THEN
        SELECT * INTO i FROM qzpay.invoices x WHERE x.tenant_id = c.tenant_id AND x.customer_id = p_customer AND x.id = p_paid_by FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'invoice "%" not found', p_paid_by USING ERRCODE = 'QZ404';
        ELSIF i.status <> 'paid' OR i.currency <> v_currency THEN
            RAISE EXCEPTION 'invoice % does not pay for credit', i.number USING ERRCODE = 'QZ204', DETAIL = format('It is %s, in %s.', i.status, i.currency);
        END IF;
        -- Touched, so that of two that sell at once in higher isolation one has to begin anew.
        UPDATE qzpay.invoices x SET reminders = x.reminders WHERE x.tenant_id = c.tenant_id AND x.id = i.id;
        -- Only what was posted to revenue can have been the price of credit.
        v_left := coalesce((SELECT sum(CASE t.credit_account WHEN 'revenue' THEN t.amount ELSE -t.amount END) FROM qzpay.ledger_transfers t
                            WHERE t.tenant_id = c.tenant_id AND 'revenue' IN (t.debit_account, t.credit_account)
                              AND t.cause_id IN (SELECT i.id UNION ALL SELECT n.id FROM qzpay.credit_notes n WHERE n.tenant_id = c.tenant_id AND n.invoice_id = i.id
                                                 UNION ALL SELECT g.id FROM qzpay.credit_grants g WHERE g.tenant_id = c.tenant_id AND g.paid_by = i.id)), 0);
        IF v_left < p_amount THEN
            RAISE EXCEPTION 'invoice % does not cover credit of %', i.number, p_amount USING ERRCODE = 'QZ103', DETAIL = format('Left of what it sold: %s.', v_left);
        END IF;
    END IF;
    INSERT INTO qzpay.credit_grants (tenant_id, id, customer_id, currency, amount, remaining, category, name, priority, paid_by, effective_at, expires_at, metadata, created_at)
    VALUES (c.tenant_id, v_id, p_customer, v_currency, p_amount, p_amount, CASE WHEN p_paid_by IS NULL THEN 'promotional' ELSE 'paid' END, p_name, coalesce(p_priority, 50), p_paid_by,
            v_from, v_until, coalesce(p_metadata, '{}'), v_at);
    PERFORM qzpay._post(c.tenant_id, p_customer, CASE WHEN p_paid_by IS NULL THEN 'goodwill' ELSE 'revenue' END, 'prepaid_credit', v_currency, p_amount, 'grant', v_id, v_at);
    PERFORM qzpay._emit_event(c.tenant_id, 'credit.granted', 'customer', p_customer, p_customer, jsonb_build_object('customerId', p_customer, 'grantId', v_id, 'amount', p_amount, 'currency', v_currency,
        'expiresAt', v_until, 'emailSentByPackage', false), NULL, v_at);
    PERFORM qzpay._idempotent_end(c.tenant_id, 'grant_credit', p_key, jsonb_build_object('id', v_id));
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._grant_credit(uuid, bigint, text, timestamptz, integer, text, timestamptz, uuid, jsonb, text) IS 'Internal of grant_credit(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._expire_grants(p_clock uuid, p_until timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    g record;
    v_done bigint := 0;
BEGIN
    FOR g IN
        SELECT x.* FROM qzpay.credit_grants x JOIN qzpay.customers c ON c.tenant_id = x.tenant_id AND c.id = x.customer_id
        WHERE x.remaining > 0 AND x.expires_at <= p_until AND c.test_clock_id IS NOT DISTINCT FROM p_clock ORDER BY x.expires_at, x.id LIMIT p_limit FOR NO KEY UPDATE OF x SKIP LOCKED
    LOOP
        UPDATE qzpay.credit_grants x SET remaining = 0, expired_amount = g.remaining, closed_at = g.expires_at WHERE x.tenant_id = g.tenant_id AND x.id = g.id;
        -- What was given away is no income when it lapses.
        PERFORM qzpay._post(g.tenant_id, g.customer_id, 'prepaid_credit', CASE g.category WHEN 'paid' THEN 'breakage' ELSE 'goodwill' END, g.currency, g.remaining, 'breakage', g.id, g.expires_at);
        PERFORM qzpay._emit_event(g.tenant_id, 'credit.expired', 'customer', g.customer_id, g.customer_id,
            jsonb_build_object('customerId', g.customer_id, 'grantId', g.id, 'amount', g.remaining, 'currency', g.currency, 'emailSentByPackage', false), NULL, g.expires_at);
        v_done := v_done + 1;
    END LOOP;
    RETURN v_done;
END $$;
COMMENT ON FUNCTION qzpay._expire_grants(uuid, timestamptz, integer) IS
'Books what expired grants have left, at the instant of expiry, for customers on a test clock or (NULL) in real time: sold credit as breakage, given credit back to goodwill. Returns how many.';

CREATE OR REPLACE FUNCTION qzpay.refund_balance(customer uuid, amount bigint DEFAULT NULL, currency text DEFAULT NULL, reason text DEFAULT NULL, idempotency_key text DEFAULT NULL) RETURNS uuid
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.refund_balance(uuid, bigint, text, text, text) IS
'Takes from a customer''s balance what is to be paid back, at most (and by default) the part that stems from money received, and returns the id of the refund request. It is sent through the providers to the payments it came from, '
'most recent first; what none of them can take waits for record_refund(), or goes back by cancel_refund(). Errors: QZ404, QZ103 more than the refundable part, 22023, QZ001.';

CREATE OR REPLACE FUNCTION qzpay._balance_to_refund(p_tenant uuid, p_customer uuid, p_currency text, p_amount bigint, p_request uuid, p_reason text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM qzpay._post(p_tenant, p_customer, 'customer_balance', 'refunds_payable', p_currency, p_amount, 'refund', p_request, p_at);
    PERFORM qzpay._move_balances(ARRAY[p_tenant], ARRAY[p_customer], ARRAY[p_currency], ARRAY[-p_amount], ARRAY['refund'], ARRAY[p_request], p_at, p_reason, ARRAY[-p_amount]);
END $$;
COMMENT ON FUNCTION qzpay._balance_to_refund(uuid, uuid, text, bigint, uuid, text, timestamptz) IS 'Takes what a refund request pays back out of the refundable part of a balance, in the books too.';

CREATE OR REPLACE FUNCTION qzpay._refund_balance(p_customer uuid, p_amount bigint, p_currency text, p_reason text, p_key text) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    v_first jsonb;
    v_currency text;
    v_left bigint;
    v_amount bigint;
    v_id uuid;
    v_at timestamptz := qzpay.now(p_customer);
BEGIN
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(c.tenant_id, 'refund_balance', p_key, jsonb_build_array(p_customer, p_amount, p_currency, p_reason));
    IF v_first IS NOT NULL THEN
        RETURN (v_first ->> 'id')::uuid;
    END IF;
    v_currency := coalesce(p_currency, c.currency);
    SELECT k.refundable INTO v_left FROM qzpay.balances k WHERE k.tenant_id = c.tenant_id AND k.customer_id = p_customer AND k.currency = v_currency FOR NO KEY UPDATE;
    v_amount := coalesce(p_amount, v_left);
    IF p_amount IS NOT NULL THEN
        PERFORM qzpay._check_amount(p_amount, v_currency);
    END IF;
    IF coalesce(v_left, 0) = 0 OR v_amount > v_left THEN
        RAISE EXCEPTION 'balance of customer "%" cannot be paid back by %', c.external_id, coalesce(p_amount::text, 'anything') USING ERRCODE = 'QZ103',
            DETAIL = format('What stems from money received: %s.', coalesce(v_left, 0)), HINT = 'Goodwill is never paid out.';
    END IF;
    v_id := qzpay._request_refund(c.tenant_id, p_customer, v_currency, v_amount, NULL, NULL, 0, p_reason, v_at);
    PERFORM qzpay._balance_to_refund(c.tenant_id, p_customer, v_currency, v_amount, v_id, p_reason, v_at);
    PERFORM qzpay._send_refund(c.tenant_id, v_id, v_at);
    PERFORM qzpay._idempotent_end(c.tenant_id, 'refund_balance', p_key, jsonb_build_object('id', v_id));
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._refund_balance(uuid, bigint, text, text, text) IS 'Internal of refund_balance(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.trial_balance(at timestamptz DEFAULT NULL)
RETURNS TABLE (seller text, livemode boolean, currency text, account text, kind text, debit numeric, credit numeric, balance numeric)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT s.code, t.livemode, t.currency, a.code, a.kind, sum(t.debit), sum(t.credit), sum(t.debit) - sum(t.credit)
    FROM (SELECT t.seller_id, t.livemode, t.currency, x.account, x.debit, x.credit
          FROM (SELECT l.seller_id, l.livemode, l.currency, l.debit_account, l.credit_account, sum(l.amount) AS amount FROM qzpay.ledger_transfers l
                WHERE trial_balance.at IS NULL OR l.posted_at <= trial_balance.at GROUP BY l.seller_id, l.livemode, l.currency, l.debit_account, l.credit_account) t
          CROSS JOIN LATERAL (VALUES (t.debit_account, t.amount, 0::numeric), (t.credit_account, 0, t.amount)) AS x (account, debit, credit)) t
    JOIN qzpay.ledger_accounts a ON a.code = t.account
    JOIN qzpay.sellers s ON s.id = t.seller_id
    GROUP BY s.code, t.livemode, t.currency, a.code, a.kind
    ORDER BY s.code, t.livemode DESC, t.currency, array_position(ARRAY['asset', 'liability', 'income', 'expense'], a.kind), a.code;
END $$;
COMMENT ON FUNCTION qzpay.trial_balance(timestamptz) IS
'Turnover and balance (debit − credit, minor units) of every account at an instant, that instant included (NULL: all that is posted), by seller, mode and currency, over what the caller may see. '
'The balances of a seller, mode and currency add up to 0.';
