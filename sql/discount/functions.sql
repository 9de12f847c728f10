-- IMMUTABLE as the server's own timezone(text, timestamptz): the result changes only with an update of the zones' definitions.
CREATE OR REPLACE FUNCTION qzpay.apply_discounts(cart jsonb, discounts jsonb, options jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_discounts_on_cart';
COMMENT ON FUNCTION qzpay.apply_discounts(jsonb, jsonb, jsonb) IS
'Which discounts take how much off which lines of a cart, and why the others do not; pure, and the same whatever the order of its input. Shapes are in docs/discounts.md. '
'cart {currency, plan, interval, lines [{kind, product, categories, quantity, amount or unitAmount}], customer {firstPurchase, segments, registeredAt}, usage, change, trialing}; '
'discounts: an array in the words of a catalog document; options {at, timezone, stacking {mode, maxStacked}, redemptions {CODE: {total, customer, redeemed, periodsUsed, covered}}}. '
'Result {subtotal, discount, total, lines [{amount, discount, total, discounts}], discounts [{code, applied, amount, lines, reason …}]}, in minor units. '
'Each discount is computed on the original amount of the lines it reaches, rounded once half away from zero, split among them by largest remainder, and never takes a line below 0. '
'A restriction whose fact is not given is not met. Errors: 22023 for anything that has no meaning, 22003 for amounts out of range.';

CREATE OR REPLACE FUNCTION qzpay._discount_terms(p_discount uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT jsonb_strip_nulls(jsonb_build_object('trigger', d.trigger, 'code', d.code, 'type', d.type, 'value', d.value, 'currency', d.currency, 'active', d.active,
                   'stackable', d.stackable, 'priority', d.priority, 'appliesTo', replace(d.applies_to, '_', '-'), 'periods', d.periods, 'forever', nullif(d.forever, false),
                   'tiers', nullif(d.tiers, '[]'), 'validFrom', qzpay._catalog_instant_text(d.valid_from), 'validUntil', qzpay._catalog_instant_text(d.valid_until),
                   'maxUses', d.max_uses, 'maxUsesPerCustomer', d.max_uses_per_customer, 'conditions', d.conditions))
        FROM qzpay.discounts d WHERE d.id = p_discount
    );
END $$;
COMMENT ON FUNCTION qzpay._discount_terms(uuid) IS 'A discount of the table as apply_discounts() takes it.';

CREATE OR REPLACE FUNCTION qzpay.explain_discount(p_judgement jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN (p_judgement -> 'unknown')::boolean THEN 'Nothing is known of what it asks for: ' ELSE '' END || CASE p_judgement ->> 'reason'
        WHEN 'unknown_code' THEN 'There is no such code.'
        WHEN 'inactive' THEN 'It is not active.'
        WHEN 'not_started' THEN 'It is not valid yet.'
        WHEN 'expired' THEN 'It is not valid any more.'
        WHEN 'currency_mismatch' THEN 'It is in another currency.'
        WHEN 'max_uses' THEN format('It may be used %s times, and was.', p_judgement ->> 'needed')
        WHEN 'max_uses_per_customer' THEN format('It may be used %s times by a customer, and was.', p_judgement ->> 'needed')
        WHEN 'already_redeemed' THEN 'The subscription has it already.'
        WHEN 'periods_used' THEN format('The %s periods it is for are over.', p_judgement ->> 'needed')
        WHEN 'not_trialing' THEN 'It is for trials.'
        WHEN 'plan' THEN 'It is for other plans.'
        WHEN 'interval' THEN 'It is for another billing interval.'
        WHEN 'not_upgrade' THEN 'It is for upgrades.'
        WHEN 'from_plan' THEN 'It is for changes from other plans.'
        WHEN 'to_plan' THEN 'It is for changes to other plans.'
        WHEN 'not_first_purchase' THEN 'It is for a first purchase.'
        WHEN 'segment' THEN 'It is for other customers.'
        WHEN 'registered_before' THEN 'It is for customers who registered later.'
        WHEN 'schedule' THEN 'It is for other days or hours.'
        WHEN 'usage_threshold' THEN format('It needs a usage of %s; it is %s.', p_judgement ->> 'needed', coalesce(p_judgement ->> 'is', 'not known'))
        WHEN 'incomplete_bundle' THEN 'It is for a bundle of which something is missing.'
        WHEN 'nothing_eligible' THEN 'There is nothing that it is for.'
        WHEN 'min_quantity' THEN format('It needs a quantity of %s; it is %s.', p_judgement ->> 'needed', coalesce(p_judgement ->> 'is', 'not known'))
        WHEN 'min_quantity_per_product' THEN format('It needs a quantity of %s of one product.', p_judgement ->> 'needed')
        WHEN 'min_amount' THEN format('It needs an amount of %s; it is %s.', p_judgement ->> 'needed', p_judgement ->> 'is')
        WHEN 'max_amount' THEN format('It is for amounts up to %s; it is %s.', p_judgement ->> 'needed', p_judgement ->> 'is')
        WHEN 'tier_not_reached' THEN format('Its first tier begins at %s; it is %s.', p_judgement ->> 'needed', coalesce(p_judgement ->> 'is', 'not known'))
        WHEN 'rounds_to_nothing' THEN 'It comes to less than the smallest unit of the currency.'
        WHEN 'not_best' THEN 'Another takes off more.'
        WHEN 'not_stackable' THEN 'It cannot be combined with what applies.'
        WHEN 'max_stacked' THEN 'As many as can be combined apply already.'
        WHEN 'nothing_left' THEN 'Others take off everything.'
        WHEN 'too_many_attempts' THEN 'Too many wrong codes were tried; wait ten minutes.'
    END;
END $$;
COMMENT ON FUNCTION qzpay.explain_discount(jsonb) IS 'A sentence for the reason why a discount does not apply, of an element of discounts in the result of apply_discounts(); NULL for one that does. Amounts are minor units.';

CREATE OR REPLACE FUNCTION qzpay._discount_description(p_terms jsonb, p_locale text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_es boolean := p_locale LIKE 'es%';
    v_n integer := (p_terms ->> 'periods')::integer;
BEGIN
    RETURN CASE p_terms ->> 'type'
        WHEN 'percentage' THEN format(CASE WHEN v_es THEN '%s%% de descuento' ELSE '%s%% off' END, p_terms ->> 'value')
        WHEN 'fixed_amount' THEN format(CASE WHEN v_es THEN '%s de descuento' ELSE '%s off' END, qzpay.format_amount(qzpay.round_amount((p_terms ->> 'value')::numeric), p_terms ->> 'currency'))
        WHEN 'reduced_period' THEN format(CASE WHEN v_es THEN '%s%% de descuento' ELSE '%s%% off' END, p_terms ->> 'value')
        WHEN 'free_period' THEN CASE WHEN v_es THEN 'gratis' ELSE 'free' END
        WHEN 'trial_extension' THEN format(CASE WHEN v_es THEN '%s días más de prueba' ELSE '%s more days of trial' END, p_terms ->> 'value')
        WHEN 'free_shipping' THEN CASE WHEN v_es THEN 'envío gratis' ELSE 'free shipping' END
        ELSE CASE WHEN v_es THEN 'descuento por cantidad' ELSE 'discount by quantity' END END
        || CASE WHEN v_n = 1 THEN CASE WHEN v_es THEN ', primer período' ELSE ', first period' END
                WHEN v_n > 1 THEN format(CASE WHEN v_es THEN ', primeros %s períodos' ELSE ', first %s periods' END, v_n) ELSE '' END;
END $$;
COMMENT ON FUNCTION qzpay._discount_description(jsonb, text) IS 'What a discount gives, in a few words of English or (locale es…) Spanish, for one that has no description of its own.';

CREATE OR REPLACE FUNCTION qzpay._failed_guesses(tenant uuid, failed boolean) RETURNS integer
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_failed_guesses';
COMMENT ON FUNCTION qzpay._failed_guesses(uuid, boolean) IS
'How many wrong promo codes a tenant has tried in the last ten minutes, counting one more if failed. A ROLLBACK takes none back. Where the library is not preloaded each session counts for itself.';

CREATE OR REPLACE FUNCTION qzpay._discount_carts(p_bills qzpay._bill[], p_lines qzpay._line[], p_terms jsonb, p_says jsonb DEFAULT '{}')
RETURNS TABLE (bill qzpay._bill, cart jsonb, positions bigint[], proration_end timestamptz, period_end timestamptz)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    -- What no discount asks for is not looked up.
    v_first boolean := p_terms @? '$[*].conditions ? (@.newCustomersOnly == true || @.isFirstPurchase == true)';
    v_change boolean := p_terms @? '$[*].conditions ? (exists(@.isUpgrade) || exists(@.fromPlans) || exists(@.toPlans))';
    v_meters uuid[] := (SELECT array_agg(m.id) FROM qzpay.meters m
                        WHERE m.code IN (SELECT x #>> '{}' FROM jsonb_path_query(p_terms, '$[*].conditions.*.metric') x UNION ALL SELECT x #>> '{}' FROM jsonb_path_query(p_terms, '$[*].conditions.of') x));
BEGIN
    RETURN QUERY
    -- Arrays are brought together by grouping, never by a join: how long they are is not known to the plan.
    WITH debit AS (
        -- What gives a debit back is net of that debit's discount; where both are new the debit counts with what is left of it.
        SELECT l.invoice_id, l.ordinality, l.kind, l.product_id, l.quantity, l.proration, l.period_end, l.metadata, l.amount, l.source_line_id,
               CASE WHEN l.id IS NOT NULL OR l.source_line_id IS NOT NULL
                    THEN sum(CASE WHEN l.source_line_id IS NOT NULL THEN l.amount ELSE 0 END) OVER (PARTITION BY l.invoice_id, coalesce(l.source_line_id, l.id)) ELSE 0 END AS credit
        FROM unnest(p_lines) WITH ORDINALITY l
    ), whole AS (
        SELECT u.invoice_id, (array_agg(u.bill) FILTER (WHERE u.ordinality IS NULL))[1] AS bill, array_agg(u.ordinality ORDER BY u.ordinality) FILTER (WHERE u.ordinality IS NOT NULL) AS positions,
               jsonb_agg(u.line ORDER BY u.ordinality) FILTER (WHERE u.ordinality IS NOT NULL) AS lines, max(u.proration_end) AS proration_end, max(u.period_end) AS period_end
        FROM (SELECT (b.bill).invoice_id, b.bill, NULL::bigint AS ordinality, NULL::jsonb AS line, NULL::timestamptz AS proration_end, NULL::timestamptz AS period_end
              FROM (SELECT b AS bill FROM unnest(p_bills) b) b
              UNION ALL
              SELECT l.invoice_id, NULL, l.ordinality,
                     jsonb_build_object('kind', CASE l.kind WHEN 'proration' THEN 'plan' ELSE l.kind END, 'product', p.code,
                                        'categories', coalesce(nullif(to_jsonb(p.categories), '[]'), CASE jsonb_typeof(l.metadata -> 'categories') WHEN 'array' THEN l.metadata -> 'categories' END),
                                        'quantity', least(round(l.quantity, 12), 999999999999999), 'amount', l.amount + greatest(l.credit, -l.amount), 'proration', l.proration),
                     CASE WHEN l.proration THEN l.period_end END, CASE WHEN l.kind IN ('plan', 'addon') THEN l.period_end END
              FROM debit l LEFT JOIN qzpay.products p ON p.id = l.product_id
              WHERE l.source_line_id IS NULL AND l.amount >= 0 AND l.kind <> 'balance') u
        GROUP BY u.invoice_id
    )
    SELECT b.bill,
           jsonb_build_object(
               'currency', (b.bill).currency, 'plan', n.code, 'interval', s.interval_count || ' ' || s.interval_unit, 'lines', b.lines,
               'customer', jsonb_build_object('segments', to_jsonb(c.segments), 'registeredAt', (to_jsonb(c.created_at AT TIME ZONE 'UTC') #>> '{}') || 'Z',
                   'firstPurchase', CASE WHEN v_first THEN
                       NOT EXISTS (SELECT FROM qzpay.invoices i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id AND i.status = 'paid' AND i.total > 0)
                       AND NOT EXISTS (SELECT FROM qzpay.payments y WHERE y.tenant_id = c.tenant_id AND y.customer_id = c.id AND y.status = 'succeeded') END),
               'usage', CASE WHEN v_meters IS NOT NULL AND u.period_start IS NOT NULL THEN
                   (SELECT jsonb_object_agg(m.code, coalesce(t.quantity, CASE WHEN m.aggregation IN ('sum', 'count') THEN 0 END))
                    FROM qzpay.meters m
                    CROSS JOIN LATERAL (SELECT sum(t.quantity) AS quantity FROM qzpay.usage_totals t WHERE t.tenant_id = c.tenant_id AND t.customer_id = c.id
                                        AND t.meter_id = m.id AND t.period_start = u.period_start) t
                    WHERE m.id = ANY (v_meters)) END,
               'change', CASE WHEN v_change THEN coalesce(
                   (SELECT jsonb_build_object('from', o.code, 'to', n.code, 'upgrade', n.tier_rank > o.tier_rank)
                    FROM qzpay.subscription_items i JOIN qzpay.products o ON o.id = i.product_id
                    WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan' AND i.valid_until = (b.bill).due_at AND n.valid_from = (b.bill).due_at
                    ORDER BY i.valid_from DESC LIMIT 1), '{"upgrade": false}') END) || p_says,
           b.positions, b.proration_end, b.period_end
    FROM whole b
    JOIN qzpay.customers c ON c.tenant_id = (b.bill).tenant_id AND c.id = (b.bill).customer_id
    LEFT JOIN qzpay.subscriptions s ON s.tenant_id = (b.bill).tenant_id AND s.id = (b.bill).subscription_id
    -- The usage period that ends at this instant, or runs.
    LEFT JOIN LATERAL (SELECT max(p.period_start) AS period_start FROM qzpay.periods p
                       WHERE p.tenant_id = s.tenant_id AND p.subscription_id = s.id AND p.cycle = 'usage' AND p.period_start < (b.bill).due_at AND p.period_end >= (b.bill).due_at) u ON v_meters IS NOT NULL
    LEFT JOIN LATERAL (SELECT p.code, p.tier_rank, i.valid_from FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id
                       WHERE i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.kind = 'plan' AND i.valid_from <= (b.bill).due_at AND i.valid_until > (b.bill).due_at
                       ORDER BY i.valid_from DESC LIMIT 1) n ON true
    WHERE b.lines IS NOT NULL;
END $$;
COMMENT ON FUNCTION qzpay._discount_carts(qzpay._bill[], qzpay._line[], jsonb, jsonb) IS
'The carts of invoices that are about to be written, for apply_discounts(): their debit lines (positions: where in p_lines they stand), and those facts that these discounts ask for. p_says is merged into each cart.';

CREATE OR REPLACE FUNCTION qzpay._discount_options(p_at timestamptz, p_timezone text, p_redemptions jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN jsonb_build_object('at', (to_jsonb(p_at AT TIME ZONE 'UTC') #>> '{}') || 'Z', 'timezone', p_timezone, 'redemptions', p_redemptions,
                              'stacking', jsonb_build_object('mode', qzpay.setting('discount_stacking'), 'maxStacked', qzpay.setting('discount_max_stacked')));
END $$;
COMMENT ON FUNCTION qzpay._discount_options(timestamptz, text, jsonb) IS 'Options for apply_discounts(): instant, the seller''s zone, the stacking of the settings, and what is known of redemptions.';
