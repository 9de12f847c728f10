-- The book as a whole: prices moved on purpose, contracts brought from elsewhere, contracts that a provider manages.

CREATE OR REPLACE FUNCTION qzpay.migrate_subscriptions(from_price uuid, to_price uuid, effective text DEFAULT 'period_end', proration text DEFAULT NULL, dry_run boolean DEFAULT false)
RETURNS TABLE (subscription_id uuid, external_id text, quantity integer, from_amount numeric, to_amount numeric, currency text, effective_at timestamptz, status text, reason text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.migrate_subscriptions(uuid, uuid, text, text, boolean) IS
'Moves everybody who has one version of a price to another version of it, at the end of their periods or now, and says what becomes of each: scheduled, changed, left (negotiated) or refused, with the reason; '
'amounts are per interval in minor units. dry_run tells the same and changes nothing. Runs with the caller''s rights. Errors: QZ404, 22023 prices of different products, currencies or intervals.';

CREATE OR REPLACE FUNCTION qzpay._migrate_subscriptions(from_price uuid, to_price uuid, effective text, proration text, dry_run boolean)
RETURNS TABLE (subscription_id uuid, external_id text, quantity integer, from_amount numeric, to_amount numeric, currency text, effective_at timestamptz, status text, reason text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_from qzpay.prices%ROWTYPE;
    v_to qzpay.prices%ROWTYPE;
    v_row record;
    v_rows jsonb := jsonb_build_array();
    v_status text;
    v_reason text;
BEGIN
    SELECT * INTO v_from FROM qzpay.prices c WHERE c.id = from_price;
    SELECT * INTO v_to FROM qzpay.prices c WHERE c.id = to_price;
    IF v_from.id IS NULL OR v_to.id IS NULL THEN
        RAISE EXCEPTION 'price % not found', CASE WHEN v_from.id IS NULL THEN from_price ELSE to_price END USING ERRCODE = 'QZ404';
    ELSIF (v_from.product_id, v_from.currency, v_from.interval_unit, v_from.interval_count) <> (v_to.product_id, v_to.currency, v_to.interval_unit, v_to.interval_count) OR v_from.id = v_to.id THEN
        RAISE EXCEPTION 'prices % and % are not two versions of one', from_price, to_price USING ERRCODE = '22023', HINT = 'Product, currency and interval must be the same; another plan is change_plan().';
    ELSIF coalesce(effective, '') NOT IN ('now', 'period_end') THEN
        RAISE EXCEPTION 'no effective "%"', effective USING ERRCODE = '22023', HINT = 'now or period_end.';
    END IF;
    BEGIN
        FOR v_row IN
            SELECT s.tenant_id, s.id, c.external_id, i.product_id, i.scope, i.quantity, i.unit_amount, p.code
            FROM qzpay.subscription_items i
            JOIN qzpay.subscriptions s ON s.tenant_id = i.tenant_id AND s.id = i.subscription_id AND s.ended_at IS NULL
            JOIN qzpay.customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
            JOIN qzpay.products p ON p.id = i.product_id
            WHERE i.price_id = from_price AND i.valid_until = 'infinity'
            ORDER BY s.tenant_id, s.id, i.scope
        LOOP
            v_status := CASE effective WHEN 'now' THEN 'changed' ELSE 'scheduled' END;
            v_reason := NULL;
            IF v_row.unit_amount IS NOT NULL THEN
                v_status := 'left';
                v_reason := 'its price is negotiated';
            ELSE
                BEGIN
                    PERFORM qzpay._change(v_row.id, jsonb_build_object('terms', jsonb_build_array(jsonb_build_object('product', v_row.code, 'product_id', v_row.product_id, 'scope', v_row.scope,
                                          'price_id', to_price))), effective, proration, false, NULL);
                EXCEPTION WHEN SQLSTATE 'QZ204' THEN
                    v_status := 'refused';
                    v_reason := SQLERRM;
                END;
            END IF;
            v_rows := v_rows || jsonb_build_object('subscription_id', v_row.id, 'external_id', v_row.external_id, 'quantity', v_row.quantity, 'status', v_status, 'reason', v_reason,
                'effective_at', CASE WHEN v_status IN ('changed', 'scheduled') THEN (SELECT h.effective_at FROM qzpay.subscription_changes h
                                     WHERE h.tenant_id = v_row.tenant_id AND h.subscription_id = v_row.id AND h.status <> 'canceled' ORDER BY h.id DESC LIMIT 1) END);
        END LOOP;
        IF dry_run THEN
            RAISE EXCEPTION USING ERRCODE = 'QZ999';
        END IF;
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
    RETURN QUERY SELECT x.subscription_id, x.external_id, x.quantity, v_from.unit_amount * x.quantity, v_to.unit_amount * x.quantity, v_to.currency, x.effective_at, x.status, x.reason
        FROM jsonb_to_recordset(v_rows) AS x (subscription_id uuid, external_id text, quantity integer, effective_at timestamptz, status text, reason text);
END $$;
COMMENT ON FUNCTION qzpay._migrate_subscriptions(uuid, uuid, text, text, boolean) IS 'Internal of migrate_subscriptions().';

CREATE OR REPLACE FUNCTION qzpay._status_of(p_name text) RETURNS qzpay.subscription_status
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE lower(p_name) WHEN 'trial' THEN 'trialing' WHEN 'cancelled' THEN 'canceled' WHEN 'expired' THEN 'canceled' WHEN 'suspended' THEN 'unpaid' WHEN 'authorized' THEN 'active'
                WHEN 'pending' THEN 'incomplete' ELSE lower(p_name) END::qzpay.subscription_status;
EXCEPTION WHEN invalid_text_representation THEN
    RAISE EXCEPTION 'unknown subscription status "%"', p_name USING ERRCODE = '22023', HINT = format('One of %s.', array_to_string(enum_range(NULL::qzpay.subscription_status), ', '));
END $$;
COMMENT ON FUNCTION qzpay._status_of(text) IS 'A status by the names that providers and applications have for it.';

CREATE OR REPLACE FUNCTION qzpay.import_subscription(customer uuid, plan text, current_period_start timestamptz, current_period_end timestamptz, billing_interval text DEFAULT 'month',
        currency text DEFAULT NULL, quantity integer DEFAULT 1, status text DEFAULT 'active', trial_end timestamptz DEFAULT NULL, started_at timestamptz DEFAULT NULL, anchor timestamptz DEFAULT NULL,
        unit_amount numeric DEFAULT NULL, addons jsonb DEFAULT NULL, auto_renew boolean DEFAULT true, cancel_at timestamptz DEFAULT NULL, balance bigint DEFAULT 0, managed_by text DEFAULT 'engine',
        provider_ref text DEFAULT NULL, allow_multiple boolean DEFAULT false, metadata jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.import_subscription(uuid, text, timestamptz, timestamptz, text, text, integer, text, timestamptz, timestamptz, timestamptz, numeric, jsonb, boolean, timestamptz, bigint, text, text, boolean, jsonb, text) IS
'Takes over a running contract in mid-period from another system: nothing of the past is invoiced, and the first period that is billed here begins at current_period_end (in a trial, at trial_end). '
'status: trialing, active or paused, also by other systems'' names. anchor (default current_period_end) is what boundaries are counted from and must have that instant among them. unit_amount is what the customer pays there, where that is not the catalog''s price. '
'balance: credit in minor units. managed_by provider with provider_ref: the provider goes on charging, and sync_subscription() moves it. What was paid elsewhere cannot be credited here. Errors: QZ401, QZ204, 22023.';

CREATE OR REPLACE FUNCTION qzpay._import_subscription(p_customer uuid, p_plan text, p_period_start timestamptz, p_period_end timestamptz, p_interval text, p_currency text, p_quantity integer,
        p_status text, p_trial_end timestamptz, p_started_at timestamptz, p_anchor timestamptz, p_unit_amount numeric, p_addons jsonb, p_auto_renew boolean, p_cancel_at timestamptz,
        p_balance bigint, p_managed_by text, p_provider_ref text, p_allow_multiple boolean, p_metadata jsonb, p_key text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer qzpay.customers%ROWTYPE;
    v_product qzpay.products%ROWTYPE;
    v_status qzpay.subscription_status := qzpay._status_of(p_status);
    v_now timestamptz := qzpay.now(p_customer);
    v_id uuid := qzpay.uuid_v7();
    v_currency text;
    v_start timestamptz;
    v_end timestamptz;
    v_anchor timestamptz;
    v_interval record;
    v_price record;
    v_main record;
    v_items qzpay._item[];
    v_first jsonb;
BEGIN
    SELECT * INTO STRICT v_customer FROM qzpay.customers c WHERE c.id = p_customer FOR NO KEY UPDATE;
    v_first := qzpay._idempotent_begin(v_customer.tenant_id, 'import_subscription', p_key,
        jsonb_build_array(p_customer, p_plan, p_period_start, p_period_end, p_interval, p_currency, p_quantity, p_status, p_trial_end, p_started_at, p_anchor, p_unit_amount, p_addons, p_auto_renew,
                          p_cancel_at, p_balance, p_managed_by, p_provider_ref, p_allow_multiple, p_metadata));
    IF v_first IS NOT NULL THEN
        RETURN qzpay._subscription_row(v_customer.tenant_id, (v_first ->> 'id')::uuid);
    END IF;
    PERFORM qzpay._check_metadata(p_metadata);
    PERFORM qzpay._check_terms(jsonb_build_object('unit_amount', p_unit_amount));
    SELECT * INTO STRICT v_product FROM qzpay.products p WHERE p.id = qzpay._find_product(v_customer.tenant_id, 'plan', p_plan);
    SELECT * INTO v_interval FROM qzpay.interval_parse(p_interval);
    v_currency := coalesce(p_currency, v_customer.currency);
    SELECT * INTO v_price FROM qzpay._require_price(v_product.id, v_currency, v_interval.unit, v_interval.count);
    v_start := coalesce(p_period_start, p_started_at, v_now);
    v_end := CASE v_status WHEN 'trialing' THEN coalesce(p_trial_end, p_period_end) ELSE p_period_end END;
    IF v_status IS NULL THEN
        RAISE EXCEPTION 'a contract needs a status' USING ERRCODE = '22004', HINT = 'Import it as active, trialing or paused.';
    ELSIF v_status NOT IN ('trialing', 'active', 'paused') THEN
        RAISE EXCEPTION 'a contract that is % cannot be imported', v_status USING ERRCODE = '22023', HINT = 'Import it as active, trialing or paused; what is owed elsewhere is collected there.';
    ELSIF NOT (isfinite(v_start) AND isfinite(v_end) AND isfinite(coalesce(p_started_at, v_start)) AND isfinite(coalesce(p_anchor, v_end)) AND isfinite(coalesce(p_trial_end, v_end))
               AND isfinite(coalesce(p_cancel_at, v_end))) THEN
        RAISE EXCEPTION 'a contract has no instant infinity' USING ERRCODE = '22023', DETAIL = format('It is the one of customer "%s".', v_customer.external_id),
            HINT = 'Leave out what is not known, as NULL; a contract that does not renew has auto_renew => false.';
    ELSIF coalesce(v_start >= v_end OR v_start > v_now OR v_end <= v_now, true) THEN
        RAISE EXCEPTION 'the running period [%, %) of customer "%" does not contain %', v_start, v_end, v_customer.external_id, v_now USING ERRCODE = '22023',
            HINT = 'Give the period that the other system says is running now; what is due there already is billed there first.';
    ELSIF p_started_at > v_start THEN
        RAISE EXCEPTION 'a contract that started at % has no period from % on', p_started_at, v_start USING ERRCODE = '22023', HINT = 'started_at is the beginning of its first period.';
    ELSIF p_balance < 0 OR coalesce(p_managed_by, '') NOT IN ('engine', 'provider') OR p_managed_by = 'provider' AND p_provider_ref IS NULL THEN
        RAISE EXCEPTION 'balance % or manager "%" is not possible', p_balance, p_managed_by USING ERRCODE = '22023', HINT = 'What a provider manages needs its provider_ref.';
    ELSIF NOT coalesce(p_allow_multiple, false) AND EXISTS (SELECT FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.customer_id = p_customer AND s.ended_at IS NULL) THEN
        RAISE EXCEPTION 'customer "%" has a live subscription', v_customer.external_id USING ERRCODE = 'QZ204', HINT = 'Pass allow_multiple => true for another one.';
    ELSIF p_cancel_at < v_now THEN
        RAISE EXCEPTION 'a contract that ended at % cannot be imported', p_cancel_at USING ERRCODE = '22023';
    END IF;
    v_anchor := CASE WHEN v_status <> 'trialing' THEN coalesce(p_anchor, v_end) END;
    IF v_anchor IS NOT NULL THEN
        SELECT * INTO STRICT v_main FROM qzpay._period_containing(v_anchor, v_interval.unit, v_interval.count, v_customer.timezone, v_end - interval '1 microsecond');
        IF v_main.period_end <> v_end THEN
            RAISE EXCEPTION 'no period counted from % ends at %', v_anchor, v_end USING ERRCODE = '22023', DETAIL = format('One ends at %s.', v_main.period_end);
        END IF;
    END IF;
    v_items := ARRAY[ROW(v_product.id, v_price.price_id, 'plan', '', p_quantity, NULL, nullif(p_unit_amount, v_price.unit_amount), NULL, '{}')::qzpay._item];
    PERFORM qzpay._check_quantity(v_product.id, p_quantity);
    INSERT INTO qzpay.subscriptions (tenant_id, id, customer_id, status, currency, interval_unit, interval_count, usage_unit, usage_count, timezone, livemode, test_clock_id, started_at, trial_end, anchor,
                                     current_period_start, current_period_end, usage_period_start, usage_period_end, auto_renew, has_payment_method, is_free, managed_by, provider_ref, trial_end_behavior,
                                     late_renewal_days, grace_days, grace_access, dunning_policy, cancel_at, cancel_reason, paused_at, allow_multiple, metadata, created_at, updated_at)
    SELECT v_customer.tenant_id, v_id, p_customer, v_status, v_currency, v_interval.unit, v_interval.count, u.unit, u.count, v_customer.timezone, v_customer.livemode, v_customer.test_clock_id,
           coalesce(p_started_at, v_start), CASE v_status WHEN 'trialing' THEN v_end ELSE p_trial_end END, v_anchor,
           CASE WHEN v_status <> 'trialing' THEN v_start END, CASE WHEN v_status <> 'trialing' THEN v_end END, n.period_start, n.period_end, coalesce(p_auto_renew, true),
           EXISTS (SELECT FROM qzpay.payment_methods m WHERE m.tenant_id = v_customer.tenant_id AND m.customer_id = p_customer AND m.is_default), false, p_managed_by, p_provider_ref,
           v_product.trial_end_behavior, (qzpay.setting('late_renewal_days') #>> '{}')::integer, coalesce(v_product.grace_days, d.grace_days), v_product.grace_access, d.code,
           p_cancel_at, CASE WHEN p_cancel_at IS NOT NULL THEN 'requested' END, CASE v_status WHEN 'paused' THEN v_now END, coalesce(p_allow_multiple, false), coalesce(p_metadata, '{}'), v_now, v_now
    FROM qzpay._usage_interval(v_product.id, v_interval.unit, v_interval.count) u
    CROSS JOIN LATERAL (SELECT CASE v_status WHEN 'trialing' THEN v_start WHEN 'paused' THEN NULL ELSE k.period_start END AS period_start,
                               CASE v_status WHEN 'trialing' THEN v_end WHEN 'paused' THEN NULL ELSE k.period_end END AS period_end
                        FROM qzpay._period_containing(coalesce(v_anchor, v_end), u.unit, u.count, v_customer.timezone, v_now) k) n
    JOIN qzpay.dunning_policies d ON d.code = coalesce(v_product.dunning_policy, qzpay.setting('dunning_policy') #>> '{}');
    IF coalesce(p_addons, '{}') <> '{}' THEN
        v_items := (SELECT r.items FROM qzpay._resolve_change(qzpay._read_sub(v_id), v_items, qzpay._addons_request(p_addons)) r);
    END IF;
    PERFORM qzpay._set_items(v_customer.tenant_id, v_id, v_items, v_start);
    PERFORM qzpay._begin_own_cycles(v_customer.tenant_id, v_id, (SELECT array_agg(i.id) FROM qzpay.subscription_items i WHERE i.tenant_id = v_customer.tenant_id AND i.subscription_id = v_id), v_now);
    PERFORM qzpay._set_cycle_due(v_customer.tenant_id, v_id, v_now);
    PERFORM qzpay._adopt_plan(v_customer.tenant_id, v_id, v_now);
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
    SELECT s.tenant_id, s.id, s.interval_count || ' ' || s.interval_unit, v_start, v_end, v_main.ordinal FROM qzpay.subscriptions s
    WHERE s.tenant_id = v_customer.tenant_id AND s.id = v_id AND v_status <> 'trialing'
    UNION ALL
    SELECT s.tenant_id, s.id, 'usage', s.usage_period_start, s.usage_period_end, CASE v_status WHEN 'trialing' THEN 0 ELSE
           (SELECT k.ordinal FROM qzpay._period_containing(s.anchor, s.usage_unit, s.usage_count, s.timezone, v_now) k) END
    FROM qzpay.subscriptions s WHERE s.tenant_id = v_customer.tenant_id AND s.id = v_id AND s.usage_period_start IS NOT NULL;
    IF p_balance > 0 THEN
        PERFORM qzpay._move_balances(ARRAY[v_customer.tenant_id], ARRAY[p_customer], ARRAY[v_currency], ARRAY[p_balance], ARRAY['import'], ARRAY[v_id], v_now, 'Brought from another system');
        INSERT INTO qzpay.ledger_transfers (tenant_id, id, customer_id, seller_id, livemode, debit_account, credit_account, currency, amount, cause, cause_id, posted_at, recorded_at)
        VALUES (v_customer.tenant_id, qzpay.uuid_v7(), p_customer, v_customer.seller_id, v_customer.livemode, 'opening_balance', 'customer_balance', v_currency, p_balance, 'balance', v_id, v_now, qzpay._recorded_at());
    END IF;
    PERFORM qzpay._emit_event(v_customer.tenant_id, 'subscription.created', 'subscription', v_id, p_customer,
        jsonb_build_object('subscriptionId', v_id, 'plan', v_product.code, 'interval', p_interval, 'quantity', p_quantity, 'status', v_status, 'imported', true, 'providerManaged', p_managed_by = 'provider',
                           'emailSentByPackage', false), NULL, v_now);
    PERFORM qzpay._idempotent_end(v_customer.tenant_id, 'import_subscription', p_key, jsonb_build_object('id', v_id));
    RETURN qzpay._subscription_row(v_customer.tenant_id, v_id);
END $$;
COMMENT ON FUNCTION qzpay._import_subscription(uuid, text, timestamptz, timestamptz, text, text, integer, text, timestamptz, timestamptz, timestamptz, numeric, jsonb, boolean, timestamptz, bigint, text, text, boolean, jsonb, text) IS
'Internal of import_subscription(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.link_subscription(subscription uuid, provider_ref text, managed_by text DEFAULT 'provider') RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.link_subscription(uuid, text, text) IS
'Hands a subscription to the provider, which charges it from now on under its id, or with managed_by engine back to the engine, which bills from the end of the running period. Errors: QZ204 ended or unpaid, 22023, 23505 the id is another subscription''s.';

CREATE OR REPLACE FUNCTION qzpay._link_subscription(p_subscription uuid, p_provider_ref text, p_managed_by text) RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._sub_of(p_subscription);
BEGIN
    IF coalesce(p_managed_by, '') NOT IN ('engine', 'provider') OR p_managed_by = 'provider' AND coalesce(p_provider_ref, '') = '' THEN
        RAISE EXCEPTION 'a subscription is managed by engine, or by provider under its provider_ref' USING ERRCODE = '22023';
    ELSIF v_sub.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % has ended', p_subscription USING ERRCODE = 'QZ204';
    END IF;
    PERFORM qzpay._refuse_while_unpaid(v_sub);
    UPDATE qzpay.subscriptions s SET managed_by = p_managed_by, provider_ref = coalesce(p_provider_ref, s.provider_ref), updated_at = v_sub.now WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._link_subscription(uuid, text, text) IS 'Internal of link_subscription(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.sync_subscription(subscription uuid, status text DEFAULT NULL, current_period_start timestamptz DEFAULT NULL, current_period_end timestamptz DEFAULT NULL,
        cancel_at timestamptz DEFAULT NULL, reason text DEFAULT NULL, plan text DEFAULT NULL, quantity integer DEFAULT NULL) RETURNS qzpay.subscription_state
LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.sync_subscription(uuid, text, timestamptz, timestamptz, timestamptz, text, text, integer) IS
'Brings a provider-managed subscription to what its provider says: status (by any of the usual names), running period, pending end, plan, quantity. NULL says nothing of a fact and leaves it; cancel_at infinity says that no end is pending. Nothing is billed. '
'Saying the same again changes nothing, and a period older than the one known is ignored. Errors: QZ204 not managed by a provider, QZ201 a move no status table knows, QZ401, 22023.';

CREATE OR REPLACE FUNCTION qzpay._sync_subscription(p_subscription uuid, p_status text, p_start timestamptz, p_end timestamptz, p_cancel_at timestamptz, p_reason text, p_plan text, p_quantity integer)
RETURNS qzpay.subscription_state
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay._sub := qzpay._read_sub(p_subscription);
    v_status qzpay.subscription_status := CASE WHEN p_status IS NULL THEN v_sub.status ELSE qzpay._status_of(p_status) END;
    v_grace integer;
    v_items qzpay._item[];
    v_rolls qzpay._roll[];
    r record;
BEGIN
    IF v_sub.managed_by <> 'provider' THEN
        RAISE EXCEPTION 'subscription % is not managed by a provider', p_subscription USING ERRCODE = 'QZ204';
    ELSIF (p_start IS NULL) <> (p_end IS NULL) OR p_start >= p_end OR NOT isfinite(p_start) OR NOT isfinite(p_end) THEN
        RAISE EXCEPTION 'a period needs a beginning and a later end' USING ERRCODE = '22023';
    ELSIF p_cancel_at = '-infinity' THEN
        RAISE EXCEPTION 'a subscription does not end at %', p_cancel_at USING ERRCODE = '22023', HINT = 'infinity for no pending end, NULL where nothing is said of one.';
    END IF;
    IF v_sub.ended_at IS NULL AND (p_plan IS NOT NULL OR p_quantity IS NOT NULL) THEN
        v_items := qzpay._items_at(v_sub.tenant_id, v_sub.id, v_sub.now);
        SELECT * INTO STRICT r FROM qzpay._resolve_change(v_sub, v_items, jsonb_strip_nulls(jsonb_build_object('plan', p_plan, 'quantity', p_quantity)));
        IF r.items <> v_items THEN
            PERFORM qzpay._set_items(v_sub.tenant_id, v_sub.id, r.items, v_sub.now);
            PERFORM qzpay._emit_change(v_sub, r.direction, r.from_plan, r.to_plan, v_sub.now, NULL, true);
        END IF;
    END IF;
    IF p_start > coalesce(v_sub.current_period_start, '-infinity') AND v_sub.ended_at IS NULL THEN
        INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
        SELECT v_sub.tenant_id, v_sub.id, v_sub.interval_count || ' ' || v_sub.interval_unit, p_start, p_end, 0
        WHERE NOT EXISTS (SELECT FROM qzpay.periods p WHERE p.tenant_id = v_sub.tenant_id AND p.subscription_id = v_sub.id AND p.cycle = v_sub.interval_count || ' ' || v_sub.interval_unit
                          AND p.period_start < p_end AND p.period_end > p_start);
    ELSE
        p_start := NULL;
        p_end := CASE WHEN p_end > v_sub.current_period_start THEN p_end END;
    END IF;
    SELECT s.grace_days INTO STRICT v_grace FROM qzpay.subscriptions s WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    UPDATE qzpay.subscriptions s SET status = v_status,
           status_reason = CASE WHEN v_status = s.status THEN s.status_reason ELSE coalesce(p_reason, CASE v_status WHEN 'past_due' THEN 'payment_failed' WHEN 'canceled' THEN 'requested' END) END,
           current_period_start = coalesce(p_start, s.current_period_start), current_period_end = coalesce(p_end, s.current_period_end),
           anchor = coalesce(s.anchor, p_start), cancel_at = CASE WHEN v_status IN ('canceled', 'incomplete_expired') THEN s.cancel_at ELSE nullif(coalesce(p_cancel_at, s.cancel_at), 'infinity') END,
           past_due_since = CASE v_status WHEN 'past_due' THEN coalesce(s.past_due_since, v_sub.now) WHEN 'active' THEN NULL ELSE s.past_due_since END,
           grace_until = CASE v_status WHEN 'past_due' THEN coalesce(s.grace_until, v_sub.now + v_grace * interval '24 hours') WHEN 'active' THEN NULL ELSE s.grace_until END,
           paused_at = CASE v_status WHEN 'paused' THEN coalesce(s.paused_at, v_sub.now) END,
           canceled_at = CASE WHEN v_status IN ('canceled', 'incomplete_expired') THEN coalesce(s.canceled_at, v_sub.now) ELSE s.canceled_at END,
           ended_at = CASE WHEN v_status IN ('canceled', 'incomplete_expired') THEN coalesce(s.ended_at, v_sub.now) END, updated_at = v_sub.now
    WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    IF v_sub.ended_at IS NULL AND v_status IN ('canceled', 'incomplete_expired') THEN
        v_rolls := (SELECT array_agg(x) FROM jsonb_populate_record(NULL::qzpay._roll, jsonb_build_object('tenant_id', v_sub.tenant_id, 'subscription_id', v_sub.id, 'customer_id', v_sub.customer_id,
                        'due_at', v_sub.now, 'ends', true, 'end_reason', coalesce(p_reason, 'requested'))) x);
        PERFORM qzpay._after_changes(v_rolls, v_sub.now);
        PERFORM qzpay._after_ends(v_rolls, v_sub.now);
    END IF;
    RETURN qzpay._subscription_row(v_sub.tenant_id, v_sub.id);
END $$;
COMMENT ON FUNCTION qzpay._sync_subscription(uuid, text, timestamptz, timestamptz, timestamptz, text, text, integer) IS 'Internal of sync_subscription(), inside the tenant''s context.';
