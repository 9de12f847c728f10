-- Rating the usage of a period, as the invoice and the live estimate do.

CREATE OR REPLACE FUNCTION qzpay._pricing_of_part(p_pricing jsonb, p_anchor timestamptz, p_unit text, p_count integer, p_timezone text, p_from timestamptz, p_to timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_full record;
BEGIN
    IF p_pricing -> 'minimum_amount' IS NULL OR p_pricing -> 'minimum_amount' = 'null' THEN
        RETURN p_pricing;
    END IF;
    -- By its middle: its ends may be those of another zone, an hour beside the calendar of this one.
    SELECT * INTO STRICT v_full FROM qzpay._period_containing(p_anchor, p_unit, p_count, p_timezone, p_from + (p_to - p_from) / 2);
    IF p_from <= v_full.period_start AND p_to >= v_full.period_end THEN
        RETURN p_pricing;
    END IF;
    RETURN jsonb_set(p_pricing, '{minimum_amount}', to_jsonb(round((p_pricing ->> 'minimum_amount')::numeric * extract(epoch FROM p_to - p_from)
                                                                   / extract(epoch FROM v_full.period_end - v_full.period_start), 6)));
END $$;
COMMENT ON FUNCTION qzpay._pricing_of_part(jsonb, timestamptz, text, integer, text, timestamptz, timestamptz) IS
'The pricing of a charge that holds from p_from to p_to of a usage period: its minimum is due for that part of the whole period of the anchor, by time, to six decimals. Tiers, maximum and all else stay.';

CREATE OR REPLACE FUNCTION qzpay._rate_period(p_model text, p_pricing jsonb, p_included numeric, p_quantity numeric, p_events bigint, p_amount numeric, p_is_reading boolean,
        p_tenant uuid, p_customer uuid, p_meter uuid, p_period_start timestamptz) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_included IS NULL THEN
        RETURN qzpay.rate_usage(p_model, p_pricing, 0);
    ELSIF p_model NOT IN ('percentage', 'graduated_percentage', 'dynamic') THEN
        RETURN qzpay.rate_usage(p_model, p_pricing, p_quantity, p_included);
    ELSIF p_is_reading THEN
        RETURN qzpay.rate_usage(p_model, p_pricing, p_quantity, p_included, least(p_events, 1), NULL, CASE WHEN p_events > 0 THEN ARRAY[p_quantity] END);
    ELSIF NOT qzpay._rates_events(p_model, p_pricing, p_quantity, p_included, p_amount IS NOT NULL) THEN
        RETURN qzpay.rate_usage(p_model, p_pricing, p_quantity, p_included, p_events, p_amount);
    END IF;
    RETURN (SELECT qzpay.rate_usage(p_model, p_pricing, p_quantity, p_included, p_events, p_amount,
                                    array_agg(e.quantity ORDER BY e.occurred_at, e.recorded_at, e.id), array_agg(e.amount ORDER BY e.occurred_at, e.recorded_at, e.id))
            FROM qzpay.usage_events e
            WHERE e.tenant_id = p_tenant AND e.customer_id = p_customer AND e.meter_id = p_meter AND e.period_start = p_period_start);
END $$;
COMMENT ON FUNCTION qzpay._rate_period(text, jsonb, numeric, numeric, bigint, numeric, boolean, uuid, uuid, uuid, timestamptz) IS
'Exact amount of a customer''s usage of a meter in a period, given its totals; reads the events where the pricing needs them, in the order in which they occurred. '
'p_included NULL: all of it is. p_is_reading: the total is no sum of events (action set; max, last), so it counts as one event.';

CREATE OR REPLACE FUNCTION qzpay.usage_tiers(model text, pricing jsonb, quantity numeric, included numeric DEFAULT 0, rounding text DEFAULT 'half_up')
RETURNS TABLE (tier integer, above numeric, up_to numeric, units numeric, price numeric, flat_amount numeric, exact numeric, amount bigint)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 5
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    v_rest numeric := greatest(quantity - included, 0);
    v_plain jsonb := pricing - '{minimum_amount,maximum_amount}'::text[];
    v_total bigint := qzpay.usage_amount(model, v_plain, v_rest, 0, rounding);
    v_bounded bigint := qzpay.usage_amount(model, pricing, v_rest, 0, rounding);
BEGIN
    IF v_plain -> 'tiers' IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH tiers AS (
        SELECT t.ordinality::integer AS tier, lag((t.value ->> 'up_to')::numeric, 1, 0::numeric) OVER (ORDER BY t.ordinality) AS above, (t.value ->> 'up_to')::numeric AS up_to,
               coalesce(t.value ->> 'unit_amount', t.value ->> 'rate')::numeric AS price, coalesce((t.value ->> 'flat_amount')::numeric, 0) AS flat_amount
        FROM jsonb_array_elements(v_plain -> 'tiers') WITH ORDINALITY t
    ), entered AS (
        -- A tier costs what its end costs more than its beginning.
        SELECT t.*, CASE WHEN model = 'volume' THEN v_rest ELSE least(v_rest, coalesce(t.up_to, v_rest)) - t.above END AS units,
               qzpay.rate_usage(model, v_plain, least(v_rest, coalesce(t.up_to, v_rest)))
                   - CASE WHEN model = 'volume' OR t.tier = 1 THEN 0 ELSE qzpay.rate_usage(model, v_plain, t.above) END AS exact
        FROM tiers t
        WHERE (v_rest > t.above OR t.tier = 1) AND (model <> 'volume' OR t.up_to IS NULL OR v_rest <= t.up_to)
    )
    SELECT e.tier, e.above, e.up_to, e.units, e.price, e.flat_amount, e.exact, s.parts[row_number() OVER (ORDER BY e.tier)]
    FROM entered e CROSS JOIN (SELECT qzpay.split_amount(v_total, array_agg(x.exact ORDER BY x.tier)) AS parts FROM entered x) s
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, qzpay.rate_usage(model, pricing, v_rest) - qzpay.rate_usage(model, v_plain, v_rest), v_bounded - v_total
    WHERE v_bounded <> v_total
    ORDER BY 1;
END $$;
COMMENT ON FUNCTION qzpay.usage_tiers(text, jsonb, numeric, numeric, text) IS
'The tiers behind an amount of rate_usage(), to be shown: for each tier entered (volume: the one that prices all) its bounds, the units in it, its price (graduated_percentage: the rate, and quantity is the amount rated), '
'flat amount and exact amount, and a share in minor units: the shares are split by largest remainder and add up to usage_amount(). A last row without a tier holds what a minimum adds or a maximum takes off. '
'No row for models without tiers. Errors as of rate_usage().';
