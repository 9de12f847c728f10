-- Rating the usage of a period, as the invoice and the live estimate do.

CREATE OR REPLACE FUNCTION qzpay._pricing_of_part(p_pricing jsonb, p_from timestamptz, p_to timestamptz, p_start timestamptz, p_end timestamptz) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_pricing -> 'minimum_amount' IS NULL OR p_pricing -> 'minimum_amount' = 'null' OR p_from <= p_start AND p_to >= p_end THEN
        RETURN p_pricing;
    END IF;
    RETURN jsonb_set(p_pricing, '{minimum_amount}',
                     to_jsonb(round((p_pricing ->> 'minimum_amount')::numeric * extract(epoch FROM p_to - p_from) / extract(epoch FROM p_end - p_start), 6)));
END $$;
COMMENT ON FUNCTION qzpay._pricing_of_part(jsonb, timestamptz, timestamptz, timestamptz, timestamptz) IS
'The pricing of a charge that holds from p_from to p_to of a usage period: its minimum is due for that part of the period, by time, to six decimals. Tiers, maximum and all else stay.';

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
