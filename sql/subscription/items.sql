-- What a subscription consists of, and what a request makes of it.


CREATE OR REPLACE FUNCTION qzpay._monthly_amount(p_amount numeric, p_unit text, p_count integer) RETURNS numeric
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'qzpay_monthly_amount';
COMMENT ON FUNCTION qzpay._monthly_amount(numeric, text, integer) IS
'What an amount per interval is per month: a year 1/12, a quarter 1/3, a week 52/12, n days 365/(12 n). 22023 for an interval that is none.';

CREATE OR REPLACE FUNCTION qzpay._change_direction(p_rank integer, p_unit text, p_count integer, p_quantity integer, p_amount numeric,
        p_to_rank integer, p_to_unit text, p_to_count integer, p_to_quantity integer, p_to_amount numeric) RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'qzpay_change_direction_of';
COMMENT ON FUNCTION qzpay._change_direction(integer, text, integer, integer, numeric, integer, text, integer, integer, numeric) IS
'upgrade, downgrade or lateral: by tier rank (NULL: none), then the longer interval, then the quantity, then what both cost per month. NULL for any other argument that is NULL.';

CREATE OR REPLACE FUNCTION qzpay._items_at(p_tenant uuid, p_subscription uuid, p_at timestamptz) RETURNS qzpay._item[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT array_agg(ROW(i.product_id, i.price_id, i.kind, i.scope, i.quantity, i.name, i.unit_amount, i.included, i.metadata)::qzpay._item ORDER BY i.kind DESC, i.product_id, i.scope)
                     FROM qzpay.subscription_items i WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.valid_from <= p_at AND i.valid_until > p_at), '{}');
END $$;
COMMENT ON FUNCTION qzpay._items_at(uuid, uuid, timestamptz) IS 'What a subscription consists of at an instant, the plan first.';

CREATE OR REPLACE FUNCTION qzpay._set_items(p_tenant uuid, p_subscription uuid, p_items qzpay._item[], p_at timestamptz, OUT ended uuid[], OUT begun uuid[])
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What had been dated ahead is decided anew.
    DELETE FROM qzpay.subscription_items i WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.valid_from > p_at;
    WITH gone AS (
        SELECT i.id FROM qzpay.subscription_items i
        WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.valid_from <= p_at AND i.valid_until > p_at
          AND NOT EXISTS (SELECT FROM unnest(p_items) t WHERE (t.product_id, t.price_id, t.scope, t.quantity, t.name, t.unit_amount, t.included)
                          IS NOT DISTINCT FROM (i.product_id, i.price_id, i.scope, i.quantity, i.name, i.unit_amount, i.included)))
    SELECT coalesce(array_agg(g.id), '{}') INTO ended FROM gone g;
    -- A part that begins and ends in one instant was never there; its lines on invoices stay.
    DELETE FROM qzpay.subscription_items i WHERE i.tenant_id = p_tenant AND i.id = ANY (ended) AND i.valid_from = p_at;
    UPDATE qzpay.subscription_items i SET valid_until = CASE WHEN i.id = ANY (ended) THEN p_at ELSE 'infinity' END
    WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.valid_from <= p_at AND i.valid_until > p_at
      AND i.valid_until IS DISTINCT FROM CASE WHEN i.id = ANY (ended) THEN p_at ELSE 'infinity' END;
    WITH new AS (
        INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, scope, quantity, valid_from, name, unit_amount, included, metadata, created_at)
        SELECT p_tenant, qzpay.uuid_v7(), p_subscription, t.product_id, t.price_id, t.kind, t.scope, t.quantity, p_at, t.name, t.unit_amount, t.included, coalesce(t.metadata, '{}'), qzpay._recorded_at()
        FROM unnest(p_items) t
        WHERE NOT EXISTS (SELECT FROM qzpay.subscription_items i WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.product_id = t.product_id AND i.scope = t.scope
                          AND i.valid_from <= p_at AND i.valid_until > p_at)
        RETURNING id)
    SELECT coalesce(array_agg(n.id), '{}') INTO begun FROM new n;
    PERFORM qzpay._set_cycle_due(p_tenant, p_subscription, p_at);
END $$;
COMMENT ON FUNCTION qzpay._set_items(uuid, uuid, qzpay._item[], timestamptz) IS
'Makes a subscription consist of these items from an instant on, now or later: what is the same goes on, what differs ends there, what is new begins. Returns the ids of what ends and begins.';

CREATE OR REPLACE FUNCTION qzpay._set_cycle_due(p_tenant uuid, p_subscription uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.subscriptions s SET cycle_due_at = d.due_at
    FROM (SELECT s.id, min(CASE WHEN s.status IN ('trialing', 'incomplete') OR s.anchor IS NULL THEN coalesce(s.trial_end, s.started_at)
                                WHEN i.valid_from > p_at THEN i.valid_from ELSE coalesce(q.period_end, n.period_end) END)
                           FILTER (WHERE c.id IS NOT NULL) AS due_at
          FROM qzpay.subscriptions s
          LEFT JOIN (qzpay.subscription_items i JOIN qzpay.prices c ON c.id = i.price_id)
               ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.valid_until > p_at AND (c.interval_unit, c.interval_count) <> (s.interval_unit, s.interval_count)
          LEFT JOIN qzpay.periods q ON q.tenant_id = s.tenant_id AND q.subscription_id = s.id AND q.cycle = c.interval_count || ' ' || c.interval_unit AND q.period_start <= p_at AND q.period_end > p_at
          CROSS JOIN LATERAL qzpay._running_period(s.tenant_id, s.id, s.anchor, c.interval_unit, c.interval_count, s.timezone, p_at) n
          WHERE s.tenant_id = p_tenant AND s.id = p_subscription GROUP BY s.id) d
    WHERE s.tenant_id = p_tenant AND s.id = d.id AND s.cycle_due_at IS DISTINCT FROM d.due_at;
END $$;
COMMENT ON FUNCTION qzpay._set_cycle_due(uuid, uuid, timestamptz) IS 'Notes the next boundary of items that have an interval of their own, or when one that is dated ahead begins.';

CREATE OR REPLACE FUNCTION qzpay._begin_own_cycles(p_tenant uuid, p_subscription uuid, p_items uuid[], p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.periods (tenant_id, subscription_id, cycle, period_start, period_end, ordinal)
    SELECT DISTINCT s.tenant_id, s.id, c.interval_count || ' ' || c.interval_unit, n.period_start, n.period_end, n.ordinal
    FROM qzpay.subscription_items i
    JOIN qzpay.prices c ON c.id = i.price_id
    JOIN qzpay.subscriptions s ON s.tenant_id = i.tenant_id AND s.id = i.subscription_id AND s.status <> 'trialing'
    CROSS JOIN LATERAL qzpay._running_period(s.tenant_id, s.id, s.anchor, c.interval_unit, c.interval_count, s.timezone, p_at) n
    WHERE i.tenant_id = p_tenant AND i.subscription_id = p_subscription AND i.id = ANY (p_items) AND (c.interval_unit, c.interval_count) <> (s.interval_unit, s.interval_count)
      AND NOT EXISTS (SELECT FROM qzpay.periods q WHERE q.tenant_id = s.tenant_id AND q.subscription_id = s.id AND q.cycle = c.interval_count || ' ' || c.interval_unit
                      AND q.period_start < n.period_end AND q.period_end > n.period_start);
END $$;
COMMENT ON FUNCTION qzpay._begin_own_cycles(uuid, uuid, uuid[], timestamptz) IS 'Writes the running period of items that are billed by another interval than the plan''s, where they are the first of it.';

CREATE OR REPLACE FUNCTION qzpay._adopt_plan(p_tenant uuid, p_subscription uuid, p_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.subscriptions s SET trial_end_behavior = p.trial_end_behavior, trial_reminder_days = p.trial_reminder_days, expiring_reminder_days = p.expiring_reminder_days,
           late_renewal_days = coalesce(p.late_renewal_days, (qzpay.setting('late_renewal_days') #>> '{}')::integer),
           usage_late_hours = coalesce(p.usage_late_hours, qzpay._usage_late_hours()), grace_days = coalesce(p.grace_days, d.grace_days), grace_access = p.grace_access, dunning_policy = d.code,
           is_free = NOT EXISTS (SELECT FROM qzpay.subscription_items i JOIN qzpay.prices c ON c.id = i.price_id
                                 WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.valid_from <= p_at AND i.valid_until > p_at AND coalesce(i.unit_amount, c.unit_amount) > 0)
    FROM qzpay.subscription_items x
    JOIN qzpay.products p ON p.id = x.product_id
    JOIN qzpay.dunning_policies d ON d.code = coalesce(p.dunning_policy, qzpay.setting('dunning_policy') #>> '{}')
    WHERE s.tenant_id = p_tenant AND s.id = p_subscription AND x.tenant_id = s.tenant_id AND x.subscription_id = s.id AND x.kind = 'plan' AND x.valid_from <= p_at AND x.valid_until > p_at;
END $$;
COMMENT ON FUNCTION qzpay._adopt_plan(uuid, uuid, timestamptz) IS 'Takes over what the plan in force says about reminders, late renewals, late usage, grace, dunning and the end of a trial, and whether anything is to be paid at all.';

CREATE OR REPLACE FUNCTION qzpay._usage_interval(p_product uuid, p_unit text, p_count integer, OUT unit text, OUT count integer)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT CASE WHEN q.shorter THEN p_unit ELSE p.usage_interval_unit END, CASE WHEN q.shorter THEN p_count ELSE p.usage_interval_count END INTO unit, count
    FROM qzpay.products p
    CROSS JOIN LATERAL (SELECT (p_count || ' ' || p_unit)::interval < (p.usage_interval_count || ' ' || p.usage_interval_unit)::interval AS shorter) q
    WHERE p.id = p_product;
END $$;
COMMENT ON FUNCTION qzpay._usage_interval(uuid, text, integer) IS 'Usage periods of a plan under a billing interval: a usage month inside a longer one; a shorter one is its own usage period.';

CREATE OR REPLACE FUNCTION qzpay._find_product(p_tenant uuid, p_kind text, p_code text) RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_id uuid;
BEGIN
    SELECT p.id INTO v_id FROM qzpay.products p
    WHERE (p.code = p_code OR p_code = ANY (p.aliases)) AND p.kind = p_kind AND p.active AND (p.tenant_id IS NULL OR p.tenant_id = p_tenant)
    ORDER BY p.tenant_id NULLS LAST, p.code <> p_code LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown % "%"', CASE p_kind WHEN 'addon' THEN 'add-on' ELSE p_kind END, p_code USING ERRCODE = 'QZ401',
            HINT = format('They are listed in the view qzpay.%ss.', p_kind);
    END IF;
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._find_product(uuid, text, text) IS 'A product that is sold, by code or alias; one that is private to the tenant goes first. QZ401 otherwise.';

CREATE OR REPLACE FUNCTION qzpay._require_price(p_product uuid, p_currency text, p_unit text, p_count integer, OUT price_id uuid, OUT unit_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_product qzpay.products%ROWTYPE;
BEGIN
    SELECT a.price_id, a.unit_amount INTO price_id, unit_amount FROM qzpay._active_price(p_product, p_currency, p_unit, p_count) a;
    IF price_id IS NULL THEN
        SELECT * INTO STRICT v_product FROM qzpay.products p WHERE p.id = p_product;
        RAISE EXCEPTION '% "%" has no price per % in %', v_product.kind, v_product.code, qzpay._interval_name(p_unit, p_count), p_currency USING ERRCODE = 'QZ401',
            HINT = (SELECT 'It has prices per ' || string_agg(format('%s in %s', qzpay._interval_name(r.interval_unit, r.interval_count), r.currency), ', '
                                                              ORDER BY r.currency, r.interval_unit, r.interval_count) || '.'
                    FROM qzpay.prices r WHERE r.product_id = p_product AND r.active AND r.interval_unit NOT IN ('once', 'trial'));
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._require_price(uuid, text, text, integer) IS 'The price at which a product is sold now per interval in a currency; QZ401 where there is none.';

CREATE OR REPLACE FUNCTION qzpay._addon_price(p_addon uuid, p_currency text, p_unit text, p_count integer, OUT price_id uuid, OUT unit_amount numeric)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT c.id, c.unit_amount INTO price_id, unit_amount FROM qzpay.prices c
    WHERE c.product_id = p_addon AND c.active AND c.currency = p_currency AND c.interval_unit NOT IN ('once', 'trial')
    ORDER BY (c.interval_unit, c.interval_count) <> (p_unit, p_count), (c.interval_count || ' ' || c.interval_unit)::interval DESC
    LIMIT 1;
    IF price_id IS NULL THEN
        SELECT r.price_id, r.unit_amount INTO price_id, unit_amount FROM qzpay._require_price(p_addon, p_currency, p_unit, p_count) r;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._addon_price(uuid, text, text, integer) IS 'Price of an add-on for a subscription: by its interval, else by the longest of its own. QZ401 where it has none in the currency.';

CREATE OR REPLACE FUNCTION qzpay._check_quantity(p_product uuid, p_quantity integer) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_product qzpay.products%ROWTYPE;
BEGIN
    SELECT * INTO STRICT v_product FROM qzpay.products p WHERE p.id = p_product;
    IF coalesce(p_quantity, 0) < greatest(v_product.min_quantity, 1) OR p_quantity > v_product.max_quantity THEN
        RAISE EXCEPTION 'quantity % is outside what % "%" allows', coalesce(p_quantity::text, 'NULL'), v_product.kind, v_product.code USING ERRCODE = '22023',
            DETAIL = format('From %s to %s.', greatest(v_product.min_quantity, 1), coalesce(v_product.max_quantity::text, 'any'));
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_quantity(uuid, integer) IS '22023 for a quantity that a product is not sold in.';

CREATE OR REPLACE FUNCTION qzpay._check_addon(p_addon uuid, p_items qzpay._item[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_addon qzpay.products%ROWTYPE;
    v_plan qzpay.products%ROWTYPE;
    v_missing text;
BEGIN
    SELECT * INTO STRICT v_addon FROM qzpay.products p WHERE p.id = p_addon;
    SELECT p.* INTO STRICT v_plan FROM unnest(p_items) i JOIN qzpay.products p ON p.id = i.product_id WHERE i.kind = 'plan';
    IF EXISTS (SELECT FROM qzpay.product_relations r WHERE r.product_id = p_addon AND r.relation = 'included_in' AND r.related_id = v_plan.id) THEN
        RAISE EXCEPTION 'plan "%" includes add-on "%" already', v_plan.code, v_addon.code USING ERRCODE = 'QZ204';
    ELSIF NOT coalesce((SELECT bool_or(r.related_id = v_plan.id) FROM qzpay.product_relations r WHERE r.product_id = p_addon AND r.relation = 'applicable_plan'), true) THEN
        RAISE EXCEPTION 'add-on "%" is not for plan "%"', v_addon.code, v_plan.code USING ERRCODE = 'QZ204',
            HINT = (SELECT 'It is for ' || string_agg(p.code, ', ' ORDER BY p.code) || '.' FROM qzpay.product_relations r JOIN qzpay.products p ON p.id = r.related_id
                    WHERE r.product_id = p_addon AND r.relation = 'applicable_plan');
    END IF;
    SELECT string_agg(p.code, ', ' ORDER BY p.code) INTO v_missing FROM qzpay.product_relations r
    JOIN unnest(p_items) i ON i.product_id = CASE r.product_id WHEN p_addon THEN r.related_id ELSE r.product_id END
    JOIN qzpay.products p ON p.id = i.product_id
    WHERE r.relation = 'incompatible_with' AND p_addon IN (r.product_id, r.related_id);
    IF v_missing IS NOT NULL THEN
        RAISE EXCEPTION 'add-on "%" is incompatible with %', v_addon.code, v_missing USING ERRCODE = 'QZ204';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_addon(uuid, qzpay._item[]) IS
'QZ204 for an add-on that cannot stand beside these items: included in the plan, not for it, or incompatible.';

CREATE OR REPLACE FUNCTION qzpay._check_required(p_items qzpay._item[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_addon text;
    v_missing text;
BEGIN
    SELECT a.code, string_agg(p.code, ', ' ORDER BY p.code) INTO v_addon, v_missing
    FROM unnest(p_items) x
    JOIN qzpay.products a ON a.id = x.product_id
    JOIN qzpay.product_relations r ON r.product_id = a.id AND r.relation = 'requires'
    JOIN qzpay.products p ON p.id = r.related_id
    WHERE NOT EXISTS (SELECT FROM unnest(p_items) i WHERE i.product_id = r.related_id)
      AND NOT EXISTS (SELECT FROM unnest(p_items) i JOIN qzpay.product_relations n ON n.product_id = r.related_id AND n.relation = 'included_in' AND n.related_id = i.product_id)
    GROUP BY a.code ORDER BY a.code LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'add-on "%" requires %', v_addon, v_missing USING ERRCODE = 'QZ204';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_required(qzpay._item[]) IS 'QZ204 where one of these items requires a product that is neither among them nor contained in one.';

CREATE OR REPLACE FUNCTION qzpay._addons_request(p_addons jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_addons) <> 'object' OR EXISTS (SELECT FROM jsonb_each(CASE jsonb_typeof(p_addons) WHEN 'object' THEN p_addons ELSE '{}' END) a WHERE a.value::text !~ '^[1-9][0-9]{0,8}$') THEN
        RAISE EXCEPTION 'addons must be a JSON object of codes and quantities' USING ERRCODE = '22023';
    END IF;
    RETURN jsonb_build_object('addons', (SELECT coalesce(jsonb_agg(jsonb_build_object('addon', a.key, 'quantity', a.value) ORDER BY a.key), '[]') FROM jsonb_each(p_addons) a));
END $$;
COMMENT ON FUNCTION qzpay._addons_request(jsonb) IS 'Add-ons as {code: quantity}, as a request of change. 22023 for anything else.';

CREATE OR REPLACE FUNCTION qzpay._check_terms(p_terms jsonb) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_included jsonb := CASE jsonb_typeof(p_terms -> 'included') WHEN 'object' THEN p_terms -> 'included' ELSE '{}' END;
BEGIN
    IF jsonb_typeof(p_terms) <> 'object' OR p_terms - '{unit_amount,name,included}'::text[] <> '{}' THEN
        RAISE EXCEPTION 'terms must be a JSON object of unit_amount, name and included' USING ERRCODE = '22023';
    ELSIF p_terms ->> 'unit_amount' !~ '^[0-9]{1,15}([.][0-9]{1,12})?$' THEN
        RAISE EXCEPTION 'unit amount % is not possible', p_terms ->> 'unit_amount' USING ERRCODE = '22023';
    ELSIF jsonb_typeof(p_terms -> 'included') NOT IN ('object', 'null') OR EXISTS (
        SELECT FROM jsonb_each(v_included) e
        WHERE jsonb_typeof(e.value) <> 'number' OR e.value::text !~ '^[0-9]{1,15}([.][0-9]{1,12})?$' OR NOT EXISTS (SELECT FROM qzpay.meters m WHERE m.code = e.key)) THEN
        RAISE EXCEPTION 'included must be a JSON object of meters and quantities' USING ERRCODE = '22023';
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_terms(jsonb) IS '22023 for what are no negotiated terms: {unit_amount, name, included: {meter: quantity}}.';

CREATE OR REPLACE FUNCTION qzpay._check_left(p_items qzpay._item[], p_removed uuid[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_addon text;
    v_required text;
BEGIN
    SELECT p.code, q.code INTO v_addon, v_required FROM unnest(p_items) i
    JOIN qzpay.product_relations r ON r.product_id = i.product_id AND r.relation = 'requires' AND r.related_id = ANY (p_removed)
    JOIN qzpay.products p ON p.id = r.product_id
    JOIN qzpay.products q ON q.id = r.related_id
    WHERE NOT EXISTS (SELECT FROM unnest(p_items) x WHERE x.product_id = r.related_id)
      AND NOT EXISTS (SELECT FROM qzpay.product_relations n JOIN unnest(p_items) x ON x.product_id = n.related_id AND x.kind = 'plan' WHERE n.product_id = r.related_id AND n.relation = 'included_in')
    ORDER BY p.code, q.code LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'add-on "%" requires %', v_addon, v_required USING ERRCODE = 'QZ204', HINT = format('Remove "%s" first.', v_addon);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._check_left(qzpay._item[], uuid[]) IS 'QZ204 if one of these items requires one of the products removed.';

CREATE OR REPLACE FUNCTION qzpay._resolve_change(p_sub qzpay._sub, p_items qzpay._item[], p_request jsonb,
        OUT items qzpay._item[], OUT unit text, OUT count integer, OUT direction text, OUT from_plan text, OUT to_plan text, OUT new_product boolean)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_old qzpay._item;
    v_plan qzpay._item;
    v_item qzpay._item;
    v_old_price qzpay.prices%ROWTYPE;
    v_new_price qzpay.prices%ROWTYPE;
    v_interval record;
    v_price record;
    v_part jsonb;
    v_id uuid;
    v_quantity integer;
    v_old_rank integer;
    v_new_rank integer;
    v_old_addons numeric := 0;
    v_new_addons numeric := 0;
    v_removed uuid[] := ARRAY[]::uuid[];
BEGIN
    SELECT i.* INTO STRICT v_old FROM unnest(p_items) i WHERE i.kind = 'plan';
    SELECT c.* INTO STRICT v_old_price FROM qzpay.prices c WHERE c.id = v_old.price_id;
    unit := p_sub.interval_unit;
    count := p_sub.interval_count;
    IF p_request ->> 'interval' IS NOT NULL THEN
        SELECT * INTO v_interval FROM qzpay.interval_parse(p_request ->> 'interval');
        unit := v_interval.unit;
        count := v_interval.count;
    END IF;
    v_plan := v_old;
    v_id := CASE WHEN p_request ->> 'plan' IS NULL THEN v_old.product_id ELSE qzpay._find_product(p_sub.tenant_id, 'plan', p_request ->> 'plan') END;
    v_plan.quantity := coalesce((p_request ->> 'quantity')::integer, v_old.quantity);
    new_product := v_id <> v_old.product_id;
    IF new_product OR (unit, count) <> (v_old_price.interval_unit, v_old_price.interval_count) THEN
        SELECT * INTO v_price FROM qzpay._require_price(v_id, p_sub.currency, unit, count);
        v_plan.product_id := v_id;
        v_plan.price_id := v_price.price_id;
        v_plan.name := CASE WHEN NOT new_product THEN v_old.name END;
        v_plan.unit_amount := NULL;
        v_plan.included := CASE WHEN NOT new_product THEN v_old.included END;
    END IF;
    IF new_product OR v_plan.quantity <> v_old.quantity THEN
        PERFORM qzpay._check_quantity(v_id, v_plan.quantity);
    END IF;
    items := ARRAY[v_plan];
    FOR v_item IN SELECT i.* FROM unnest(p_items) i WHERE i.kind = 'addon' LOOP
        v_old_addons := v_old_addons + (SELECT qzpay._monthly_amount(coalesce(v_item.unit_amount, c.unit_amount) * v_item.quantity, c.interval_unit, c.interval_count) FROM qzpay.prices c WHERE c.id = v_item.price_id);
        -- An add-on that the new plan contains, or that is not for it, ends with the change.
        CONTINUE WHEN new_product AND (EXISTS (SELECT FROM qzpay.product_relations r WHERE r.product_id = v_item.product_id AND r.relation = 'included_in' AND r.related_id = v_id)
            OR NOT coalesce((SELECT bool_or(r.related_id = v_id) FROM qzpay.product_relations r WHERE r.product_id = v_item.product_id AND r.relation = 'applicable_plan'), true));
        IF (unit, count) <> (p_sub.interval_unit, p_sub.interval_count) AND v_item.unit_amount IS NULL THEN
            SELECT * INTO v_price FROM qzpay._active_price(v_item.product_id, p_sub.currency, unit, count);
            v_item.price_id := coalesce(v_price.price_id, v_item.price_id);
        END IF;
        items := items || v_item;
    END LOOP;
    FOR v_part IN SELECT a FROM jsonb_array_elements(coalesce(p_request -> 'addons', '[]')) a LOOP
        v_id := qzpay._find_product(p_sub.tenant_id, 'addon', v_part ->> 'addon');
        SELECT i.* INTO v_item FROM unnest(items) i WHERE i.product_id = v_id AND i.scope = coalesce(v_part ->> 'scope', '');
        v_quantity := (v_part ->> 'quantity')::integer;
        SELECT coalesce(array_agg(i), '{}') INTO items FROM unnest(items) i WHERE NOT (i.product_id = v_id AND i.scope = coalesce(v_part ->> 'scope', ''));
        IF v_quantity = 0 THEN
            IF v_item.product_id IS NULL AND NOT coalesce((v_part ->> 'or_none')::boolean, false) THEN
                RAISE EXCEPTION 'the subscription has no add-on "%"', v_part ->> 'addon' USING ERRCODE = 'QZ204';
            END IF;
            v_removed := v_removed || v_id;
            CONTINUE;
        END IF;
        PERFORM qzpay._check_quantity(v_id, v_quantity);
        IF v_item.product_id IS NULL THEN
            PERFORM qzpay._check_addon(v_id, items);
            SELECT * INTO v_price FROM qzpay._addon_price(v_id, p_sub.currency, unit, count);
            IF v_price.unit_amount = 0 AND v_part ->> 'unit_amount' IS NULL THEN
                RAISE EXCEPTION 'add-on "%" is not sold by itself', v_part ->> 'addon' USING ERRCODE = 'QZ204', HINT = 'It costs nothing: it comes with the plans that include it.';
            END IF;
            v_item := ROW(v_id, v_price.price_id, 'addon', coalesce(v_part ->> 'scope', ''), v_quantity, v_part ->> 'name', (v_part ->> 'unit_amount')::numeric, NULL,
                          coalesce(v_part -> 'metadata', '{}'))::qzpay._item;
        END IF;
        v_item.quantity := v_quantity;
        items := items || v_item;
    END LOOP;
    IF v_removed <> '{}' THEN
        PERFORM qzpay._check_left(items, v_removed);
    END IF;
    FOR v_part IN SELECT a FROM jsonb_array_elements(coalesce(p_request -> 'terms', '[]')) a LOOP
        IF NOT EXISTS (SELECT FROM unnest(items) i WHERE i.product_id = (v_part ->> 'product_id')::uuid AND i.scope = coalesce(v_part ->> 'scope', '')) THEN
            RAISE EXCEPTION 'the subscription has no product "%"', v_part ->> 'product' USING ERRCODE = 'QZ204';
        END IF;
        SELECT array_agg(CASE WHEN i.product_id = (v_part ->> 'product_id')::uuid AND i.scope = coalesce(v_part ->> 'scope', '')
                              THEN ROW(i.product_id, coalesce((v_part ->> 'price_id')::uuid, i.price_id), i.kind, i.scope, i.quantity,
                                       CASE WHEN v_part ? 'name' THEN v_part ->> 'name' ELSE i.name END,
                                       CASE WHEN v_part ? 'unit_amount' THEN (v_part ->> 'unit_amount')::numeric ELSE i.unit_amount END,
                                       CASE WHEN v_part ? 'included' THEN nullif(v_part -> 'included', 'null') ELSE i.included END, i.metadata)::qzpay._item
                              ELSE i END) INTO items FROM unnest(items) i;
    END LOOP;
    SELECT array_agg(i ORDER BY i.kind DESC, i.product_id, i.scope) INTO items FROM unnest(items) i;
    IF EXISTS (SELECT FROM unnest(items) i JOIN qzpay.prices c ON c.id = i.price_id WHERE coalesce(i.unit_amount, c.unit_amount) * i.quantity >= 9e15) THEN
        RAISE EXCEPTION 'quantity and price come to more than can be billed' USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._check_required(items);
    SELECT i.* INTO STRICT v_plan FROM unnest(items) i WHERE i.kind = 'plan';
    SELECT c.* INTO STRICT v_new_price FROM qzpay.prices c WHERE c.id = v_plan.price_id;
    SELECT p.code, p.tier_rank INTO STRICT from_plan, v_old_rank FROM qzpay.products p WHERE p.id = v_old.product_id;
    SELECT p.code, p.tier_rank INTO STRICT to_plan, v_new_rank FROM qzpay.products p WHERE p.id = v_plan.product_id;
    direction := qzpay._change_direction(v_old_rank, p_sub.interval_unit, p_sub.interval_count, v_old.quantity, coalesce(v_old.unit_amount, v_old_price.unit_amount) * v_old.quantity,
                                         v_new_rank, unit, count, v_plan.quantity, coalesce(v_plan.unit_amount, v_new_price.unit_amount) * v_plan.quantity);
    IF direction = 'lateral' THEN
        SELECT coalesce(sum(qzpay._monthly_amount(coalesce(i.unit_amount, c.unit_amount) * i.quantity, c.interval_unit, c.interval_count)), 0) INTO v_new_addons
        FROM unnest(items) i JOIN qzpay.prices c ON c.id = i.price_id WHERE i.kind = 'addon';
        direction := CASE WHEN v_new_addons > v_old_addons THEN 'upgrade' WHEN v_new_addons < v_old_addons THEN 'downgrade' ELSE 'lateral' END;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._resolve_change(qzpay._sub, qzpay._item[], jsonb) IS
'What these items become by a request: {plan, interval, quantity, addons: [{addon, scope, quantity, metadata}], terms: [{product_id, scope, price_id, unit_amount, name, included}]}. '
'Who keeps plan and interval keeps the price. Errors: QZ401, QZ204 and 22023 as the public functions say.';
