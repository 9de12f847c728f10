-- Discounts on invoices that are about to be written.

CREATE OR REPLACE FUNCTION qzpay._discount_lines(p_bills qzpay._bill[], p_lines qzpay._line[], p_at timestamptz) RETURNS qzpay._line[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_automatic jsonb;
    v_limited uuid[];
    v_redeemed boolean;
    v_shared uuid[];
    v_judged qzpay._judged_bill[];
BEGIN
    SELECT jsonb_agg(qzpay._discount_terms(d.id) ORDER BY d.code COLLATE "C"), array_agg(d.id) FILTER (WHERE d.max_uses IS NOT NULL OR d.max_uses_per_customer IS NOT NULL OR d.periods IS NOT NULL)
    INTO v_automatic, v_limited FROM qzpay.discounts d WHERE d.trigger = 'automatic' AND d.active;
    v_redeemed := EXISTS (SELECT FROM unnest(p_bills) b JOIN qzpay.redemptions r ON r.tenant_id = b.tenant_id AND r.subscription_id = b.subscription_id AND r.ended_at IS NULL);
    IF v_automatic IS NULL AND NOT v_redeemed THEN
        RETURN p_lines;
    END IF;
    IF v_limited IS NOT NULL THEN
        PERFORM qzpay._lock_limited_discounts();
    END IF;
    SELECT array_agg(x.invoice_id) INTO v_shared FROM (SELECT b.invoice_id FROM unnest(p_bills) b WHERE b.billing_day IS NOT NULL GROUP BY b.invoice_id HAVING count(*) > 1) x;
    v_judged := CASE WHEN v_shared IS NULL THEN qzpay._judge_bills(p_bills, p_lines, coalesce(v_automatic, '[]'), v_limited)
                     ELSE qzpay._judge_shares(p_bills, p_lines, coalesce(v_automatic, '[]'), v_limited, v_shared) END;
    IF v_judged IS NULL THEN
        RETURN p_lines;
    END IF;
    INSERT INTO qzpay.invoice_discounts (tenant_id, invoice_id, considered)
    SELECT j.tenant_id, j.invoice_id, CASE WHEN j.result -> 'discount' = '0' THEN j.result -> 'discounts'
                                           ELSE (SELECT jsonb_agg(x.item - 'lines' ORDER BY x.ordinality) FROM jsonb_array_elements(j.result -> 'discounts') WITH ORDINALITY x (item)) END
    FROM unnest(v_judged) j WHERE v_shared IS NULL OR j.invoice_id <> ALL (v_shared);
    IF v_shared IS NOT NULL THEN
        INSERT INTO qzpay.invoice_discounts (tenant_id, invoice_id, considered)
        SELECT j.tenant_id, j.invoice_id, jsonb_agg(x.item - 'lines' || jsonb_build_object('subscription', j.subscription_id) ORDER BY j.ordinality, x.ordinality)
        FROM unnest(v_judged) WITH ORDINALITY j CROSS JOIN LATERAL jsonb_array_elements(j.result -> 'discounts') WITH ORDINALITY x (item)
        WHERE j.invoice_id = ANY (v_shared) GROUP BY j.tenant_id, j.invoice_id;
    END IF;
    IF NOT v_redeemed AND NOT EXISTS (SELECT FROM unnest(v_judged) j WHERE j.result -> 'discount' <> '0') THEN
        RETURN p_lines;
    END IF;
    PERFORM qzpay._use_redemptions(v_judged, v_limited, p_at);
    RETURN qzpay._with_discounts(p_lines, v_judged);
END $$;
COMMENT ON FUNCTION qzpay._discount_lines(qzpay._bill[], qzpay._line[], timestamptz) IS
'The lines of invoices about to be written with their discounts: automatic ones are judged afresh, redeemed codes as far as they reach. Writes what was considered for each invoice, and marks what was used. '
'Lines that give a debit back, and credits, stay as they are. Nothing but two lookups where there is no discount.';

CREATE OR REPLACE FUNCTION qzpay._with_discounts(p_lines qzpay._line[], p_judged qzpay._judged_bill[]) RETURNS qzpay._line[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
-- How long the arrays are is not known to the plan, so no loop over one inside the other. What must loop all the same then looks expensive, which is no reason to compile it.
SET enable_nestloop = off
SET jit = off
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(l.tenant_id, l.invoice_id, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id, l.meter_id, l.description, l.period_start, l.period_end,
                             l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, coalesce(x.discount, l.discount_amount), l.tax_amount,
                             coalesce(x.discounts, l.discounts), l.taxes, l.metadata, l.id, l.subscription_id)::qzpay._line ORDER BY l.ordinality)
        FROM unnest(p_lines) WITH ORDINALITY l
        LEFT JOIN (SELECT j.positions[x.ordinality] AS position, (x.item -> 'discount')::bigint AS discount, x.item -> 'discounts' AS discounts
                   FROM unnest(p_judged) j CROSS JOIN LATERAL jsonb_array_elements(j.result -> 'lines') WITH ORDINALITY x (item)
                   WHERE j.result -> 'discount' <> '0' AND x.item -> 'discount' <> '0') x ON x.position = l.ordinality
    );
END $$;
COMMENT ON FUNCTION qzpay._with_discounts(qzpay._line[], qzpay._judged_bill[]) IS 'Lines with what the judged invoices take off each.';

CREATE OR REPLACE FUNCTION qzpay._judge_bills(p_bills qzpay._bill[], p_lines qzpay._line[], p_automatic jsonb, p_limited uuid[]) RETURNS qzpay._judged_bill[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_judged qzpay._judged_bill[];
    v_exceeded bigint;
    v_terms jsonb := p_automatic || coalesce((SELECT jsonb_agg(DISTINCT r.terms) FROM unnest(p_bills) b
        JOIN qzpay.redemptions r ON r.tenant_id = b.tenant_id AND r.subscription_id = b.subscription_id AND r.ended_at IS NULL), '[]');
    v_options jsonb := qzpay._discount_options(p_bills[1].due_at, 'UTC');
BEGIN
    SELECT array_agg(ROW(b.tenant_id, b.invoice_id, b.customer_id, b.subscription_id, b.due_at, b.cart, b.positions, b.billed_until, t.terms,
                         f.facts, s.timezone, qzpay.apply_discounts(b.cart, t.terms, v_options
                             || jsonb_build_object('at', (to_jsonb(b.due_at AT TIME ZONE 'UTC') #>> '{}') || 'Z', 'timezone', s.timezone, 'redemptions', f.facts)))::qzpay._judged_bill
                     ORDER BY b.due_at, b.tenant_id, b.subscription_id, b.invoice_id) INTO v_judged
    FROM (SELECT (k.bill).*, k.cart, k.positions, k.period_end AS billed_until, k.proration_end,
                 row_number() OVER (PARTITION BY (k.bill).tenant_id, (k.bill).subscription_id ORDER BY (k.bill).due_at, (k.bill).invoice_id) AS nth
          FROM qzpay._discount_carts(p_bills, p_lines, v_terms) k) b
    JOIN qzpay.sellers s ON s.id = b.seller_id
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(r.terms ORDER BY r.code COLLATE "C") AS terms,
               jsonb_object_agg((r.terms ->> 'trigger') || ':' || r.code,
                   jsonb_build_object('redeemed', true, 'periodsUsed', r.periods_used, 'covered', coalesce(r.covered_until >= b.proration_end, false))) AS facts,
               coalesce(array_agg(r.code) FILTER (WHERE r.terms ->> 'trigger' = 'automatic'), '{}') AS automatic
        -- Once per run: what the first bill of a subscription uses, the second does not see yet.
        FROM qzpay.redemptions r WHERE r.tenant_id = b.tenant_id AND r.subscription_id = b.subscription_id AND r.ended_at IS NULL AND b.nth = 1
    ) r ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_object_agg('automatic:' || d.code, jsonb_build_object('total', d.uses, 'customer', c.uses, 'periodsUsed', c.periods_used)) AS facts
        FROM qzpay.discounts d
        CROSS JOIN LATERAL (SELECT count(*) AS uses, max(x.periods_used) FILTER (WHERE x.subscription_id = b.subscription_id AND x.periods IS NOT NULL AND d.periods IS NOT NULL) AS periods_used
                            FROM qzpay.redemptions x
                            WHERE x.tenant_id = b.tenant_id AND x.customer_id = b.customer_id AND x.discount_id = d.id AND x.state <> 'returned') c
        WHERE d.id = ANY (p_limited) AND NOT d.code = ANY (coalesce(r.automatic, '{}'))
    ) u ON p_limited IS NOT NULL
    -- An automatic one that has begun goes on with the terms it began with.
    CROSS JOIN LATERAL (SELECT CASE WHEN r.terms IS NULL THEN p_automatic
        ELSE r.terms || coalesce((SELECT jsonb_agg(a ORDER BY a ->> 'code' COLLATE "C") FROM jsonb_array_elements(p_automatic) a WHERE a ->> 'code' <> ALL (r.automatic)), '[]') END AS terms) t
    CROSS JOIN LATERAL (SELECT coalesce(r.facts, '{}') || coalesce(u.facts, '{}') AS facts) f
    WHERE r.terms IS NOT NULL OR p_automatic <> '[]';
    IF p_limited IS NULL OR NOT EXISTS (SELECT FROM unnest(v_judged) j WHERE j.result -> 'discount' <> '0') THEN
        RETURN v_judged;
    END IF;
    LOOP
        -- Within one run too the last uses go to the first bills; the others are judged again without them.
        SELECT array_agg(ROW(j.tenant_id, j.invoice_id, j.customer_id, j.subscription_id, j.due_at, j.cart, j.positions, j.period_end, j.terms,
                             CASE WHEN x.facts IS NULL THEN j.facts ELSE j.facts || x.facts END, j.timezone, CASE WHEN x.facts IS NULL THEN j.result END)::qzpay._judged_bill ORDER BY j.ordinality),
               count(x.facts)
        INTO v_judged, v_exceeded
        FROM unnest(v_judged) WITH ORDINALITY j
        LEFT JOIN (
            SELECT a.ordinality, jsonb_object_agg('automatic:' || a.code, jsonb_build_object('total', CASE WHEN a.nth > a.max_uses - a.uses THEN a.max_uses ELSE a.uses END,
                                                                                              'customer', CASE WHEN a.customer_nth > a.max_uses_per_customer - a.customer_uses THEN a.max_uses_per_customer ELSE a.customer_uses END)) AS facts
            FROM (SELECT j.ordinality, d.code, d.max_uses, d.max_uses_per_customer, d.uses, (j.facts -> ('automatic:' || d.code) -> 'customer')::bigint AS customer_uses,
                         row_number() OVER (PARTITION BY d.id ORDER BY j.ordinality) AS nth,
                         row_number() OVER (PARTITION BY d.id, j.tenant_id, j.customer_id ORDER BY j.ordinality) AS customer_nth
                  FROM unnest(v_judged) WITH ORDINALITY j
                  CROSS JOIN LATERAL jsonb_array_elements(j.result -> 'discounts') x (item)
                  JOIN qzpay.discounts d ON d.id = ANY (p_limited) AND d.code = x.item ->> 'code'
                  WHERE x.item ->> 'trigger' = 'automatic' AND (x.item -> 'applied')::boolean AND NOT coalesce((j.facts -> ('automatic:' || d.code) -> 'redeemed')::boolean, false)) a
            WHERE a.nth > a.max_uses - a.uses OR a.customer_nth > a.max_uses_per_customer - a.customer_uses
            GROUP BY a.ordinality
        ) x ON x.ordinality = j.ordinality;
        EXIT WHEN v_exceeded = 0;
        SELECT array_agg(ROW(j.tenant_id, j.invoice_id, j.customer_id, j.subscription_id, j.due_at, j.cart, j.positions, j.period_end, j.terms, j.facts, j.timezone,
                             coalesce(j.result, qzpay.apply_discounts(j.cart, j.terms, v_options
                                 || jsonb_build_object('at', (to_jsonb(j.due_at AT TIME ZONE 'UTC') #>> '{}') || 'Z', 'timezone', j.timezone, 'redemptions', j.facts))))::qzpay._judged_bill ORDER BY j.ordinality)
        INTO v_judged FROM unnest(v_judged) WITH ORDINALITY j;
    END LOOP;
    RETURN v_judged;
END $$;
COMMENT ON FUNCTION qzpay._judge_bills(qzpay._bill[], qzpay._line[], jsonb, uuid[]) IS
'apply_discounts() for invoices about to be written, in their order: the automatic discounts given and what each subscription has redeemed. p_limited: ids of those among them whose uses are counted. '
'NULL where no discount is to be considered.';

CREATE OR REPLACE FUNCTION qzpay._judge_shares(p_bills qzpay._bill[], p_lines qzpay._line[], p_automatic jsonb, p_limited uuid[], p_shared uuid[]) RETURNS qzpay._judged_bill[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(j.tenant_id, coalesce(b.invoice_id, j.invoice_id), j.customer_id, j.subscription_id, j.due_at, j.cart, j.positions, j.period_end, j.terms, j.facts, j.timezone, j.result)::qzpay._judged_bill
                         ORDER BY j.ordinality)
        FROM unnest(qzpay._judge_bills(
            (SELECT array_agg(ROW(b.tenant_id, CASE WHEN b.invoice_id = ANY (p_shared) THEN b.subscription_id ELSE b.invoice_id END, b.customer_id, b.subscription_id, b.seller_id, b.livemode, b.currency,
                                  b.kind, b.due_at, b.period_start, b.period_end, b.collection, b.net_days, b.metadata, b.billing_day)::qzpay._bill ORDER BY b.ordinality) FROM unnest(p_bills) WITH ORDINALITY b),
            (SELECT array_agg(ROW(l.tenant_id, CASE WHEN l.invoice_id = ANY (p_shared) THEN l.subscription_id ELSE l.invoice_id END, l.kind, l.product_id, l.price_id, l.charge_id, l.subscription_item_id,
                                  l.meter_id, l.description, l.period_start, l.period_end, l.quantity, l.unit_amount, l.exact_amount, l.amount, l.proration, l.source_line_id, l.discount_amount, l.tax_amount,
                                  l.discounts, l.taxes, l.metadata, l.id, l.subscription_id)::qzpay._line ORDER BY l.ordinality) FROM unnest(p_lines) WITH ORDINALITY l),
            p_automatic, p_limited)) WITH ORDINALITY j
        LEFT JOIN unnest(p_bills) b ON b.subscription_id = j.invoice_id AND b.invoice_id = ANY (p_shared)
    );
END $$;
COMMENT ON FUNCTION qzpay._judge_shares(qzpay._bill[], qzpay._line[], jsonb, uuid[], uuid[]) IS
'_judge_bills() where some invoices (p_shared) are shared by subscriptions: each of them is judged by its own lines as if it were billed alone, which keeps a code to the subscription that redeemed it. '
'While it is judged a share goes by the id of its subscription.';

CREATE OR REPLACE FUNCTION qzpay._use_redemptions(p_judged qzpay._judged_bill[], p_limited uuid[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_new qzpay._used_discount[];
    v_old qzpay._used_discount[];
    v_rows bigint;
BEGIN
    SELECT array_agg(x.used) FILTER (WHERE NOT x.redeemed), array_agg(x.used) FILTER (WHERE x.redeemed) INTO v_new, v_old
    FROM (
        SELECT ROW(j.tenant_id, j.customer_id, j.subscription_id, d.item ->> 'trigger', d.item ->> 'code', j.due_at, (d.item -> 'amount')::bigint,
                   -- What is taken off a line that begins a period is a use for that period.
                   EXISTS (SELECT FROM jsonb_array_elements(d.item -> 'lines') WITH ORDINALITY n (part) WHERE n.part <> '0' AND j.cart #> ARRAY['lines', (n.ordinality - 1)::text, 'proration'] = 'false'),
                   j.period_end, d.item ->> 'reason')::qzpay._used_discount AS used,
               coalesce((j.facts -> ((d.item ->> 'trigger') || ':' || (d.item ->> 'code')) -> 'redeemed')::boolean, false) AS redeemed
        FROM unnest(p_judged) j CROSS JOIN LATERAL jsonb_array_elements(j.result -> 'discounts') d (item)
        WHERE (d.item -> 'applied')::boolean OR d.item ->> 'reason' = 'periods_used'
    ) x;
    UPDATE qzpay.redemptions r SET
        state = CASE WHEN u.reason IS NULL THEN 'used' ELSE r.state END,
        used_at = CASE WHEN u.reason IS NULL THEN coalesce(r.used_at, u.due_at) ELSE r.used_at END,
        -- A code without periods is used up by whatever it is taken off.
        periods_used = r.periods_used + (u.reason IS NULL AND (u.begins_period OR NOT r.terms ? 'periods'))::integer,
        covered_until = CASE WHEN u.reason IS NULL AND u.begins_period THEN greatest(r.covered_until, u.period_end) ELSE r.covered_until END,
        amount = r.amount + u.amount,
        -- A code without periods is for one invoice; one with periods is open until the invoice after the last.
        ended_at = CASE WHEN u.reason = 'periods_used' OR NOT r.terms ? 'periods' AND r.periods = 1 THEN u.due_at END
    FROM unnest(v_old) u
    WHERE r.tenant_id = u.tenant_id AND r.subscription_id = u.subscription_id AND r.code = u.code AND r.terms ->> 'trigger' = u.trigger AND r.ended_at IS NULL;

    IF p_limited IS NULL OR v_new IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO qzpay.redemptions (tenant_id, id, customer_id, subscription_id, discount_id, code, state, terms, periods, periods_used, covered_until, amount, redeemed_at, used_at, ended_at)
    SELECT u.tenant_id, qzpay.uuid_v7(), u.customer_id, u.subscription_id, d.id, d.code, 'used', qzpay._discount_terms(d.id), coalesce(d.periods, 1), 1, u.period_end, u.amount,
           u.due_at, u.due_at, CASE WHEN d.periods IS NULL THEN u.due_at END
    FROM unnest(v_new) u JOIN qzpay.discounts d ON d.id = ANY (p_limited) AND d.trigger = u.trigger AND d.code = u.code
    WHERE u.reason IS NULL;
    UPDATE qzpay.discounts d SET uses = d.uses + n.uses
    FROM (SELECT u.code, count(*) AS uses FROM unnest(v_new) u WHERE u.trigger = 'automatic' AND u.reason IS NULL GROUP BY u.code) n
    WHERE d.id = ANY (p_limited) AND d.code = n.code;
    -- Those of one customer are counted after the row is ours; another run that was at it has ended.
    SELECT count(*) INTO v_rows
    FROM (SELECT DISTINCT u.tenant_id, u.customer_id, d.id, d.max_uses_per_customer FROM unnest(v_new) u
          JOIN qzpay.discounts d ON d.id = ANY (p_limited) AND d.trigger = u.trigger AND d.code = u.code AND d.max_uses_per_customer IS NOT NULL WHERE u.reason IS NULL) k
    WHERE (SELECT count(*) FROM qzpay.redemptions r WHERE r.tenant_id = k.tenant_id AND r.customer_id = k.customer_id AND r.discount_id = k.id AND r.state <> 'returned') > k.max_uses_per_customer;
    IF v_rows > 0 THEN
        RAISE EXCEPTION 'a discount was used by the same customer in another session' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._use_redemptions(qzpay._judged_bill[], uuid[], timestamptz) IS
'Marks what the judged invoices use: periods of redeemed discounts, and a redemption for each automatic one whose uses or periods are counted. 40001 where another session has used the last one of a customer.';
