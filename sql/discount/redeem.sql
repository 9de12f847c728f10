-- Promo codes: asked about, redeemed, given back.

CREATE OR REPLACE FUNCTION qzpay._lock_limited_discounts() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM qzpay.discounts d WHERE d.trigger = 'automatic' AND d.active AND d.uses < d.max_uses ORDER BY d.id FOR NO KEY UPDATE;
END $$;
COMMENT ON FUNCTION qzpay._lock_limited_discounts() IS
'Locks the automatic discounts that can run out, so that one run at a time decides who has the last of them. Always before a promo code is locked.';

CREATE OR REPLACE FUNCTION qzpay._judge_promo_code(p_tenant uuid, p_customer uuid, p_discount uuid, p_uses bigint, p_bill qzpay._bill, p_lines qzpay._line[], p_says jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_terms jsonb := jsonb_build_array(qzpay._discount_terms(p_discount));
    v_result jsonb;
BEGIN
    SELECT qzpay.apply_discounts(k.cart, v_terms, qzpay._discount_options(p_bill.due_at, s.timezone,
               jsonb_build_object(v_terms #>> '{0,code}', jsonb_build_object('total', p_uses, 'customer', (
                   SELECT count(*) FROM qzpay.redemptions r WHERE r.tenant_id = p_tenant AND r.customer_id = p_customer AND r.discount_id = p_discount AND r.state <> 'returned')))))
    INTO STRICT v_result
    FROM qzpay._discount_carts(ARRAY[p_bill], p_lines, v_terms, p_says) k JOIN qzpay.sellers s ON s.id = p_bill.seller_id;
    RETURN (v_result #> '{discounts,0}') || jsonb_build_object('subtotal', v_result -> 'subtotal', 'total', v_result -> 'total');
END $$;
COMMENT ON FUNCTION qzpay._judge_promo_code(uuid, uuid, uuid, bigint, qzpay._bill, qzpay._line[], jsonb) IS
'Whether a code can be redeemed, judged alone on the first full invoice of a purchase: its element of apply_discounts(), with subtotal and total.';

CREATE OR REPLACE FUNCTION qzpay.validate_promo_code(customer uuid, code text, plan text, billing_interval text DEFAULT 'month', currency text DEFAULT NULL,
        quantity integer DEFAULT 1) RETURNS qzpay.promo_code_answer
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.validate_promo_code(uuid, text, text, text, text, integer) IS
'Whether a promo code could be redeemed with a subscription to this plan now, and what the first invoice would be less by (minor units, before tax), or the reason why not. Takes nothing and promises nothing. '
'After 20 wrong codes of a tenant in ten minutes every code is refused (too_many_attempts). Errors: QZ401 unknown plan or no price, 22004 or 22023 bad argument.';

CREATE OR REPLACE FUNCTION qzpay.validate_promo_code(customer text, code text, plan text, billing_interval text DEFAULT 'month', currency text DEFAULT NULL,
        quantity integer DEFAULT 1) RETURNS qzpay.promo_code_answer
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer_ref';
COMMENT ON FUNCTION qzpay.validate_promo_code(text, text, text, text, text, integer) IS 'validate_promo_code() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._validate_promo_code(p_customer text, p_code text, p_plan text, p_interval text, p_currency text, p_quantity integer) RETURNS qzpay.promo_code_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer uuid;
BEGIN
    SELECT c.id INTO v_customer FROM qzpay.customers c WHERE c.tenant_id = qzpay.current_tenant() AND c.external_id = p_customer;
    IF NOT FOUND THEN
        v_customer := p_customer::uuid;      -- the wrapper has found this tenant by it
    END IF;
    RETURN qzpay._validate_promo_code(v_customer, p_code, p_plan, p_interval, p_currency, p_quantity);
END $$;
COMMENT ON FUNCTION qzpay._validate_promo_code(text, text, text, text, text, integer) IS 'Internal of validate_promo_code() by external id, or by id as text.';

CREATE OR REPLACE FUNCTION qzpay._validate_promo_code(p_customer uuid, p_code text, p_plan text, p_interval text, p_currency text, p_quantity integer) RETURNS qzpay.promo_code_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_product qzpay.products%ROWTYPE;
    v_discount qzpay.discounts%ROWTYPE;
    v_interval record;
    v_price record;
    v_bill qzpay._bill;
    v_line qzpay._line;
    v_judgement jsonb;
    v_answer qzpay.promo_code_answer;
    v_trialing boolean;
BEGIN
    IF p_code IS NULL OR p_plan IS NULL OR p_interval IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN p_code IS NULL THEN 'code' WHEN p_plan IS NULL THEN 'plan' ELSE 'billing_interval' END USING ERRCODE = '22004';
    END IF;
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer;
    v_answer.valid := false;
    v_answer.code := p_code;
    v_answer.amount := 0;
    v_answer.currency := coalesce(p_currency, v_customer.currency);
    SELECT * INTO v_product FROM qzpay.products p
    WHERE p.code = p_plan AND p.kind = 'plan' AND p.active AND (p.tenant_id IS NULL OR p.tenant_id = v_customer.tenant_id) ORDER BY p.tenant_id NULLS LAST LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown plan "%"', p_plan USING ERRCODE = 'QZ401', HINT = 'Plans are listed in the view qzpay.plans.';
    END IF;
    IF coalesce(p_quantity, 0) < 1 THEN
        RAISE EXCEPTION 'quantity % is not possible', coalesce(p_quantity::text, 'NULL') USING ERRCODE = '22023';
    END IF;
    SELECT * INTO v_interval FROM qzpay.interval_parse(p_interval);
    SELECT * INTO v_price FROM qzpay._active_price(v_product.id, v_answer.currency, v_interval.unit, v_interval.count);
    IF v_price.price_id IS NULL THEN
        RAISE EXCEPTION 'plan "%" has no price per % in %', p_plan, p_interval, v_answer.currency USING ERRCODE = 'QZ401';
    END IF;
    IF qzpay._failed_guesses(v_customer.tenant_id, false) >= 20 THEN
        v_judgement := '{"reason": "too_many_attempts"}';
    ELSE
        SELECT * INTO v_discount FROM qzpay.discounts d WHERE d.trigger = 'promo_code' AND upper(d.code) = upper(p_code);
        IF NOT FOUND THEN
            PERFORM qzpay._failed_guesses(v_customer.tenant_id, true);
            v_judgement := '{"reason": "unknown_code"}';
        END IF;
    END IF;
    IF v_judgement IS NULL THEN
        v_answer.code := v_discount.code;
        v_answer.type := v_discount.type;
        v_answer.periods := coalesce(v_discount.periods, CASE WHEN NOT v_discount.forever AND v_discount.type <> 'trial_extension' THEN 1 END);
        v_answer.description := coalesce(v_discount.description, qzpay._discount_description(qzpay._discount_terms(v_discount.id), v_customer.locale));
        -- The trial of this purchase, or one that is running.
        v_trialing := EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.status = 'trialing')
                      OR v_product.trial_days > 0
                         AND NOT EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.trial_end IS NOT NULL);
        v_bill := ROW(v_customer.tenant_id, v_customer.id, p_customer, NULL, v_customer.seller_id, v_customer.livemode, v_answer.currency, NULL, qzpay.now(p_customer),
                      NULL, NULL, NULL, NULL, NULL, NULL);
        v_line.tenant_id := v_customer.tenant_id;
        v_line.invoice_id := v_bill.invoice_id;
        v_line.kind := 'plan';
        v_line.product_id := v_product.id;
        v_line.quantity := p_quantity;
        v_line.amount := qzpay.round_amount(v_price.unit_amount * p_quantity);
        v_line.proration := false;
        v_judgement := qzpay._judge_promo_code(v_customer.tenant_id, p_customer, v_discount.id, v_discount.uses, v_bill, ARRAY[v_line],
            jsonb_build_object('plan', p_plan, 'interval', v_interval.count || ' ' || v_interval.unit, 'trialing', v_trialing));
        v_answer.valid := (v_judgement -> 'applied')::boolean;
        v_answer.amount := (v_judgement -> 'amount')::bigint;
        v_answer.total := (v_judgement -> 'total')::bigint;
        v_answer.trial_days := (v_judgement -> 'days')::integer;
    END IF;
    v_answer.reason := v_judgement ->> 'reason';
    v_answer.explanation := qzpay.explain_discount(v_judgement);
    RETURN v_answer;
END $$;
COMMENT ON FUNCTION qzpay._validate_promo_code(uuid, text, text, text, text, integer) IS 'Internal of validate_promo_code(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._refuse_promo_code(p_code text, p_judgement jsonb) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'promo code "%" cannot be redeemed: %', left(p_code, 64), p_judgement ->> 'reason'
        USING ERRCODE = CASE WHEN p_judgement ->> 'reason' = 'too_many_attempts' THEN 'QZ702' ELSE 'QZ701' END,
              DETAIL = jsonb_strip_nulls(jsonb_build_object('code', left(p_code, 64), 'reason', p_judgement -> 'reason', 'needed', p_judgement -> 'needed', 'is', p_judgement -> 'is', 'unknown', p_judgement -> 'unknown'))::text,
              HINT = qzpay.explain_discount(p_judgement);
END $$;
COMMENT ON FUNCTION qzpay._refuse_promo_code(text, jsonb) IS 'Raises QZ701 (QZ702 for too many guesses) with the reason in DETAIL as JSON and a sentence about it in HINT.';

CREATE OR REPLACE FUNCTION qzpay._redeem_code(p_tenant uuid, p_customer uuid, p_subscription uuid, p_code text, p_at timestamptz) RETURNS qzpay.promo_code_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_discount qzpay.discounts%ROWTYPE;
    v_seller uuid;
    v_id uuid := qzpay.uuid_v7();
    v_lines qzpay._line[];
    v_judgement jsonb;
    v_days integer;
    v_answer qzpay.promo_code_answer;
BEGIN
    IF p_code IS NULL THEN
        RAISE EXCEPTION 'code must not be null' USING ERRCODE = '22004';
    END IF;
    IF qzpay._failed_guesses(p_tenant, false) >= 20 THEN
        PERFORM qzpay._refuse_promo_code(p_code, '{"reason": "too_many_attempts"}');
    END IF;
    -- The subscription first, as everywhere, then what a bill of the same transaction may lock. Then the use: whoever comes next waits here, and then counts this one.
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = p_subscription FOR UPDATE;
    PERFORM qzpay._lock_limited_discounts();
    UPDATE qzpay.discounts d SET uses = d.uses + 1
    WHERE d.trigger = 'promo_code' AND upper(d.code) = upper(p_code) AND (d.max_uses IS NULL OR d.uses < d.max_uses) RETURNING * INTO v_discount;
    IF NOT FOUND THEN
        SELECT * INTO v_discount FROM qzpay.discounts d WHERE d.trigger = 'promo_code' AND upper(d.code) = upper(p_code);
        IF NOT FOUND THEN
            PERFORM qzpay._failed_guesses(p_tenant, true);
            PERFORM qzpay._refuse_promo_code(p_code, '{"reason": "unknown_code"}');
        END IF;
        PERFORM qzpay._refuse_promo_code(p_code, jsonb_build_object('reason', 'max_uses', 'needed', v_discount.max_uses, 'is', v_discount.uses));
    END IF;
    SELECT c.seller_id INTO STRICT v_seller FROM qzpay.customers c WHERE c.tenant_id = p_tenant AND c.id = p_customer;
    SELECT array_agg(ROW(p_tenant, v_id, i.kind, i.product_id, i.price_id, NULL, i.id, NULL, p.name, NULL, NULL, i.quantity, NULL, NULL,
                         qzpay.round_amount(coalesce(i.unit_amount, c.unit_amount) * i.quantity), false, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._line) INTO v_lines
    FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id JOIN qzpay.prices c ON c.id = i.price_id
    WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.valid_from <= greatest(p_at, v_sub.started_at) AND i.valid_until > p_at;
    v_judgement := qzpay._judge_promo_code(p_tenant, p_customer, v_discount.id, v_discount.uses - 1,
        ROW(p_tenant, v_id, p_customer, p_subscription, v_seller, v_sub.livemode, v_sub.currency, NULL, p_at, NULL, NULL, NULL, NULL, NULL, NULL)::qzpay._bill, v_lines,
        -- A trial that waits for its payment method is one.
        jsonb_build_object('trialing', v_sub.trial_end IS NOT NULL AND v_sub.status IN ('trialing', 'incomplete')));
    -- A code that is used up says so, as validate_promo_code() does, though this subscription has had one of its uses.
    IF v_judgement ->> 'reason' IS DISTINCT FROM 'max_uses_per_customer'
       AND EXISTS (SELECT FROM qzpay.redemptions r WHERE r.tenant_id = p_tenant AND r.subscription_id = p_subscription AND r.discount_id = v_discount.id AND r.ended_at IS NULL) THEN
        PERFORM qzpay._refuse_promo_code(p_code, '{"reason": "already_redeemed"}');
    ELSIF NOT (v_judgement -> 'applied')::boolean THEN
        PERFORM qzpay._refuse_promo_code(p_code, v_judgement);
    END IF;
    v_days := (v_judgement -> 'days')::integer;
    INSERT INTO qzpay.redemptions (tenant_id, id, customer_id, subscription_id, discount_id, code, state, terms, periods, redeemed_at, used_at, ended_at)
    VALUES (p_tenant, v_id, p_customer, p_subscription, v_discount.id, v_discount.code, CASE WHEN v_days IS NULL THEN 'reserved' ELSE 'used' END,
            qzpay._discount_terms(v_discount.id), CASE WHEN v_days IS NULL AND NOT v_discount.forever THEN coalesce(v_discount.periods, 1) END,
            p_at, CASE WHEN v_days IS NOT NULL THEN p_at END, CASE WHEN v_days IS NOT NULL THEN p_at END);
    IF v_days IS NOT NULL THEN
        PERFORM qzpay._lengthen_trial(p_tenant, p_subscription, v_days, p_at);
    END IF;
    PERFORM qzpay._emit_event(p_tenant, 'promo_code.applied', 'subscription', p_subscription, p_customer,
        jsonb_build_object('code', v_discount.code, 'type', v_discount.type, 'subscriptionId', p_subscription, 'discount', v_judgement -> 'amount', 'currency', v_sub.currency,
                           'trialDays', v_days, 'redemptionId', v_id, 'emailSentByPackage', false), NULL, p_at);
    SELECT true, r.code, v_discount.type, (v_judgement -> 'amount')::bigint, (v_judgement -> 'total')::bigint, v_sub.currency, r.periods, v_days,
           coalesce(v_discount.description, qzpay._discount_description(r.terms, c.locale)), NULL, NULL INTO STRICT v_answer
    FROM qzpay.redemptions r JOIN qzpay.customers c ON c.tenant_id = r.tenant_id AND c.id = r.customer_id WHERE r.tenant_id = p_tenant AND r.id = v_id;
    RETURN v_answer;
END $$;
COMMENT ON FUNCTION qzpay._redeem_code(uuid, uuid, uuid, text, timestamptz) IS
'Redeems a promo code for a subscription at an instant, where all its restrictions are judged. A trial extension is used at once, anything else with the next invoices. '
'The count of uses is moved by a conditional update, so a code is never used too often, and a rollback gives the use back. Errors: QZ701 with the reason, QZ702 too many guesses.';

CREATE OR REPLACE FUNCTION qzpay._lengthen_trial(p_tenant uuid, p_subscription uuid, p_days integer, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.periods p SET period_end = p.period_end + p_days * interval '24 hours'
    FROM qzpay.subscriptions s
    WHERE s.tenant_id = p_tenant AND s.id = p_subscription AND s.status = 'trialing'
      AND p.tenant_id = s.tenant_id AND p.subscription_id = s.id AND p.cycle = 'usage' AND p.period_start = s.usage_period_start AND p.period_end = s.trial_end;
    UPDATE qzpay.subscriptions s SET
        usage_period_end = CASE WHEN s.usage_period_end = s.trial_end THEN s.usage_period_end + p_days * interval '24 hours' ELSE s.usage_period_end END,
        cancel_at = CASE WHEN s.cancel_at = s.trial_end THEN s.cancel_at + p_days * interval '24 hours' ELSE s.cancel_at END,
        trial_end = s.trial_end + p_days * interval '24 hours', updated_at = p_at
    WHERE s.tenant_id = p_tenant AND s.id = p_subscription AND s.trial_end IS NOT NULL AND s.status IN ('trialing', 'incomplete');
END $$;
COMMENT ON FUNCTION qzpay._lengthen_trial(uuid, uuid, integer, timestamptz) IS 'Moves the end of a trial, and of its usage period, by days of 24 hours; a cancellation at the trial''s end moves along.';

CREATE OR REPLACE FUNCTION qzpay._return_redemptions(p_tenants uuid[], p_subscriptions uuid[], p_at timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_rows bigint;
BEGIN
    -- In one order, as others may do the same.
    PERFORM FROM qzpay.discounts d
    WHERE d.id IN (SELECT r.discount_id FROM unnest(p_tenants, p_subscriptions) AS k (tenant_id, id)
                   JOIN qzpay.redemptions r ON r.tenant_id = k.tenant_id AND r.subscription_id = k.id AND r.state <> 'returned')
    ORDER BY d.id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    WITH returned AS (
        UPDATE qzpay.redemptions r SET state = 'returned', used_at = NULL, ended_at = coalesce(r.ended_at, p_at)
        FROM unnest(p_tenants, p_subscriptions) AS k (tenant_id, id)
        WHERE r.tenant_id = k.tenant_id AND r.subscription_id = k.id AND r.state <> 'returned'
        RETURNING r.discount_id
    ), given_back AS (
        UPDATE qzpay.discounts d SET uses = d.uses - c.uses FROM (SELECT r.discount_id, count(*) AS uses FROM returned r GROUP BY r.discount_id) c WHERE d.id = c.discount_id
    )
    SELECT count(*) INTO v_rows FROM returned;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._return_redemptions(uuid[], uuid[], timestamptz) IS
'Gives back the uses of all codes of subscriptions whose purchase came to nothing (incomplete_expired); returns how many.';

CREATE OR REPLACE FUNCTION qzpay.redeem_promo_code(subscription uuid, code text) RETURNS qzpay.promo_code_answer
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.redeem_promo_code(uuid, text) IS
'Redeems a promo code for a running subscription: used with its next invoices, or at once for a longer trial. The answer is that of validate_promo_code(), for the next full invoice. '
'Errors: QZ701 with the reason as JSON in DETAIL, QZ702 after 20 wrong codes of the tenant in ten minutes, QZ204 the subscription has ended.';

CREATE OR REPLACE FUNCTION qzpay._redeem_promo_code(p_subscription uuid, p_code text) RETURNS qzpay.promo_code_answer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
BEGIN
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    IF v_sub.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % has ended', p_subscription USING ERRCODE = 'QZ204', DETAIL = format('It is %s since %s.', v_sub.status, v_sub.ended_at);
    END IF;
    RETURN qzpay._redeem_code(v_sub.tenant_id, v_sub.customer_id, v_sub.id, p_code, qzpay.now(v_sub.customer_id));
END $$;
COMMENT ON FUNCTION qzpay._redeem_promo_code(uuid, text) IS 'Internal of redeem_promo_code(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.remove_discount(subscription uuid, code text) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.remove_discount(uuid, text) IS
'Ends what is left of a redeemed discount: later invoices are without it, and its use counts. Returns true. Error QZ404 where the subscription has no such discount.';

CREATE OR REPLACE FUNCTION qzpay._remove_discount(p_subscription uuid, p_code text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
BEGIN
    IF p_code IS NULL THEN
        RAISE EXCEPTION 'code must not be null' USING ERRCODE = '22004';
    END IF;
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    UPDATE qzpay.redemptions r SET ended_at = greatest(qzpay.now(v_sub.customer_id), r.redeemed_at)
    WHERE r.tenant_id = v_sub.tenant_id AND r.subscription_id = p_subscription AND upper(r.code) = upper(p_code) AND r.ended_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'subscription % has no discount "%"', p_subscription, left(p_code, 64) USING ERRCODE = 'QZ404';
    END IF;
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._remove_discount(uuid, text) IS 'Internal of remove_discount(), inside the tenant''s context.';
