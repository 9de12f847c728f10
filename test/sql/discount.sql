-- apply_discounts(): the shapes it takes, what it refuses, and conditions by their words. The rule itself is tested without a server.
\pset format unaligned
SET timezone = 'America/New_York';
SET datestyle = 'SQL, DMY';

-- What is taken off, or why not, in the order of application.
CREATE FUNCTION said(cart jsonb, discounts jsonb, options jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' = ', r -> 'total', concat_ws(' - ', r ->> 'subtotal', r ->> 'discount')) || ': ' ||
           (SELECT string_agg(d ->> 'code' || ' ' || CASE WHEN (d -> 'applied')::boolean THEN coalesce(d ->> 'days' || ' days', (d ->> 'amount') || ' ' || (d ->> 'lines'))
                                                          ELSE concat_ws(' ', d ->> 'reason', d ->> 'needed', d ->> 'is', CASE WHEN (d -> 'unknown')::boolean THEN 'unknown' END) END, ', ' ORDER BY n)
            FROM jsonb_array_elements(r -> 'discounts') WITH ORDINALITY AS x (d, n))
    FROM qzpay.apply_discounts(cart, discounts, options) r
$$;
CREATE FUNCTION try(cart text, discounts text DEFAULT '[]', options text DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN qzpay.apply_discounts(cart::jsonb, discounts::jsonb, options::jsonb);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- The whole answer
SELECT jsonb_pretty(qzpay.apply_discounts(
    '{"currency": "USD", "plan": "pro", "interval": "month", "lines": [{"kind": "plan", "product": "pro", "amount": 9900}, {"kind": "addon", "product": "bots", "quantity": 2, "unitAmount": 499.5}]}',
    '[{"code": "WELCOME30", "type": "percentage", "value": 30, "restrictions": {"validPlans": ["pro"], "expiresAt": "2025-12-31"}}, {"id": "three", "type": "percentage", "value": 10, "conditions": {"minQuantity": 4}}]',
    '{"at": "2025-12-31T23:59:59.999999Z"}'));

-- An order of 150.00 with shipping: 10 % above 100.00, free shipping above 50.00, and a code of 20 %: 105.00, since shipping was in the sum.
\set order '{"currency": "USD", "lines": [{"product": "ring", "categories": ["rings"], "amount": 15000}, {"kind": "shipping", "amount": 500}]}'
\set shop '[{"id": "bulk-order-10", "type": "percentage", "value": 10, "conditions": {"minPurchaseAmount": 10000}, "stackable": true, "priority": 1}, {"id": "first-purchase", "type": "percentage", "value": 5, "conditions": {"isFirstPurchase": true}, "stackable": true, "priority": 2}, {"id": "free-shipping-50", "type": "free_shipping", "value": 0, "conditions": {"minPurchaseAmount": 5000}}, {"id": "happy-hour", "type": "percentage", "value": 15, "conditions": {"schedule": {"days": ["friday", "saturday"], "hours": {"from": 18, "to": 21}, "timezone": "America/Argentina/Buenos_Aires"}}}, {"code": "VERANO20", "type": "percentage", "value": 20}]'
SELECT said(:'order', :'shop', '{"stacking": {"mode": "all_stackable", "maxStackedDiscounts": 3}, "at": "2026-02-20T20:59:59Z"}');
SELECT said(:'order', :'shop', '{"stacking": {"mode": "best_discount"}, "at": "2026-02-20T21:00:00Z"}');
SELECT said(:'order', :'shop', '{"stacking": {"mode": "automatic_first", "maxStacked": 2}, "at": "2026-02-21T00:00:00Z"}');
-- in any order
SELECT count(DISTINCT r) FROM (SELECT said(:'order', jsonb_agg(d ORDER BY random()), '{"at": "2026-02-20T21:00:00Z"}') AS r
    FROM generate_series(1, 50) n, jsonb_array_elements(:'shop') d GROUP BY n) s;

-- Instants: with their zone, or dates in that of the options
\set cart '{"currency": "USD", "plan": "pro", "interval": "month", "lines": [{"kind": "plan", "product": "pro", "amount": 9900}]}'
SELECT at, zone, said(:'cart', '[{"code": "X", "type": "percentage", "value": 10, "restrictions": {"startsAt": "2025-12-30", "expiresAt": "2025-12-31"}}]', jsonb_build_object('at', at, 'timezone', zone))
FROM (VALUES ('2025-12-30T02:59:59Z', 'America/Argentina/Buenos_Aires'), ('2025-12-30T03:00:00Z', 'America/Argentina/Buenos_Aires'), ('2026-01-01T02:59:59.999999Z', 'America/Argentina/Buenos_Aires'),
             ('2026-01-01T00:00:00-03:00', 'America/Argentina/Buenos_Aires'), ('2025-12-31T23:59:59Z', NULL), ('2026-01-01 00:00Z', 'UTC'), (NULL, 'UTC')) t (at, zone);
-- Schedules: the zone of the schedule, else that of the options; over midnight; a day that daylight saving shortens
SELECT at, said(:'cart', '[{"id": "night", "type": "percentage", "value": 10, "conditions": {"schedule": {"days": ["friday"], "hours": {"from": 22, "to": 2}}}, "stackable": true},
    {"id": "ny", "type": "percentage", "value": 10, "conditions": {"schedule": {"days": "sunday", "hours": {"from": 2, "to": 3}, "timezone": "America/New_York"}}, "stackable": true}]',
    jsonb_build_object('at', at, 'timezone', 'Europe/Madrid'))
FROM (VALUES ('2026-01-09T20:59:59Z'), ('2026-01-09T21:00:00Z'), ('2026-01-10T00:59:59Z'), ('2026-01-10T01:00:00Z'), ('2026-01-09T00:30:00Z'), ('2026-03-08T06:59:59Z'), ('2026-03-08T07:00:00Z'), ('2026-01-11T07:00:00Z')) t (at);
SELECT said(:'cart', '[{"id": "night", "type": "percentage", "value": 10, "conditions": {"schedule": {"days": ["friday"]}}}]');

-- Conditions by their words, and what they need
SELECT c.condition, said(:'cart', jsonb_build_array(jsonb_build_object('code', 'X', 'type', 'percentage', 'value', 10, 'restrictions', c.condition::jsonb))) AS without,
       said(:'cart'::jsonb || c.facts::jsonb, jsonb_build_array(jsonb_build_object('code', 'X', 'type', 'percentage', 'value', 10, 'restrictions', c.condition::jsonb)), c.options::jsonb) AS with
FROM (VALUES
    ('{"minAmount": 9900, "maxAmount": 9900}', '{}', '{}'),
    ('{"minPurchaseAmount": 9900.5}', '{}', '{}'),
    ('{"maxPurchaseAmount": 9899}', '{}', '{}'),
    ('{"minQuantity": 3, "of": "bots"}', '{"usage": {"bots": 3}}', '{}'),
    ('{"minQuantityPerProduct": 2}', '{"lines": [{"kind": "plan", "product": "pro", "amount": 9900, "quantity": 2}, {"kind": "addon", "product": "x", "amount": 100}]}', '{}'),
    ('{"isFirstPurchase": true}', '{"customer": {"firstPurchase": true}}', '{}'),
    ('{"newCustomersOnly": true}', '{"customer": {"firstPurchase": false}}', '{}'),
    ('{"newCustomersOnly": false}', '{}', '{}'),
    ('{"customerSegments": ["vip"]}', '{"customer": {"segments": ["new", "vip"]}}', '{}'),
    ('{"segments": []}', '{"customer": {"segments": ["new", "vip"]}}', '{}'),
    ('{"registeredAfter": "2026-01-01"}', '{"customer": {"registeredAt": "2026-01-01T00:00:00Z"}}', '{}'),
    ('{"registeredAfter": "2026-01-01"}', '{"customer": {"registeredAt": "2026-01-01T02:59:59Z"}}', '{"timezone": "America/Argentina/Buenos_Aires"}'),
    ('{"categories": ["a"]}', '{"lines": [{"kind": "plan", "amount": 100, "categories": ["b", "a"]}, {"kind": "plan", "amount": 50}]}', '{}'),
    ('{"products": ["pro", "other"]}', '{"plan": "other"}', '{}'),
    ('{"allProducts": ["pro", "bots"]}', '{"lines": [{"kind": "plan", "product": "pro", "amount": 100}, {"kind": "addon", "product": "bots", "amount": 50}, {"kind": "addon", "amount": 7}]}', '{}'),
    ('{"excludeProducts": ["pro"]}', '{"lines": [{"kind": "plan", "product": "pro", "amount": 100}, {"kind": "addon", "product": "bots", "amount": 50}]}', '{}'),
    ('{"excludeCategories": ["a"]}', '{"lines": [{"kind": "plan", "product": "pro", "amount": 100, "categories": ["a"]}, {"kind": "addon", "product": "bots", "amount": 50}]}', '{}'),
    ('{"validPlans": ["starter", "pro"]}', '{"plan": "starter"}', '{}'),
    ('{"validIntervals": ["yearly", "3 months"]}', '{"interval": "quarter"}', '{}'),
    ('{"validUntil": "2030-01-01T00:00:00Z"}', '{}', '{"at": "2029-12-31T23:59:59Z"}'),
    ('{"usageThreshold": {"metric": "messages", "minValue": 50000}}', '{"usage": {"messages": 50000}}', '{}'),
    ('{"usageThreshold": {"metric": "messages", "maxValue": 10}}', '{"usage": {"messages": 10.5}}', '{}'),
    ('{"isUpgrade": true, "fromPlans": ["starter"], "toPlans": ["pro"]}', '{"change": {"upgrade": true, "from": "starter", "to": "pro"}}', '{}'),
    ('{"maxUses": 10}', '{}', '{"redemptions": {"X": {"total": 9}}}'),
    ('{"maxRedemptionsPerCustomer": 1}', '{}', '{"redemptions": {"promo_code:X": {"customer": 1}}}'),
    ('{"lineKinds": ["usage"]}', '{"lines": [{"kind": "plan", "amount": 100}, {"kind": "usage", "amount": 50}, {"kind": "setup", "amount": 9}]}', '{}')) c (condition, facts, options);
-- appliesTo
SELECT a, said('{"lines": [{"kind": "plan", "amount": 100}, {"kind": "addon", "amount": 10}, {"kind": "service", "amount": 1000}, {"kind": "usage", "amount": 10000}, {"amount": 100000}, {"kind": "plan", "amount": -50}]}',
    jsonb_build_array(jsonb_build_object('code', 'X', 'type', 'percentage', 'value', 10, 'appliesTo', a)))
FROM unnest('{null,subscription,one-time,all,usage,addon}'::text[]) a;
-- periods, trials, tiers
SELECT r, said(:'cart', '[{"code": "STARTUP50", "type": "reduced_period", "value": 50, "config": {"periods": 3}}]', jsonb_build_object('redemptions', jsonb_build_object('STARTUP50', r::jsonb)))
FROM unnest('{null,"{\"periodsUsed\": 2}","{\"redeemed\": true, \"periodsUsed\": 3}"}'::text[]) r;
SELECT said(:'cart'::jsonb || '{"trialing": true}', '[{"code": "T", "type": "trial_extension", "value": 7}, {"code": "F", "type": "free_period", "value": 1}]');
SELECT q, said(jsonb_build_object('currency', 'USD', 'lines', jsonb_build_array(jsonb_build_object('amount', 1000 * q, 'quantity', q))),
    '[{"id": "v", "type": "volume", "tiers": [{"from": 3, "percentage": 10}, {"from": 10, "percentage": 20}], "stackable": true}, {"id": "t", "type": "amount_threshold", "currency": "USD", "tiers": [{"from": 5000, "amount": 500}], "stackable": true}]')
FROM unnest('{2,3,5,9,10}'::int[]) q;

-- What has no meaning
SELECT c, try(c) FROM unnest(ARRAY['[]', '{}', '{"lines": {}}', '{"lines": [1]}', '{"lines": [{}]}', '{"lines": [{"amount": 1, "unitAmount": 1}]}', '{"lines": [{"amount": 1.5}]}', '{"lines": [{"amount": "1"}]}',
    '{"lines": [{"amount": 1, "quantity": -1}]}', '{"lines": [{"amount": 1, "kind": "gift"}]}', '{"lines": [{"amount": 1, "price": 2}]}', '{"lines": [{"amount": 9223372036854775808}]}',
    '{"lines": [], "plans": 1}', '{"lines": [], "interval": "soon"}', '{"lines": [], "customer": {"age": 1}}', '{"lines": [], "customer": {"registeredAt": "2026-01-01T00:00"}}', '{"lines": [], "usage": {"a": "b"}}',
    '{"lines": [], "change": {"by": "me"}}', '{"lines": [], "trialing": 1}', '{"lines": [], "currency": ""}', '{"lines": [], "name": "a remark"}']) c;
SELECT d, try('{"lines": []}', d) FROM unnest(ARRAY['{}', '[1]', '[{}]', '[{"code": "X"}]', '[{"code": "X", "type": "magic"}]', '[{"code": "X", "type": "percentage"}]', '[{"type": "percentage", "value": 1}]',
    '[{"code": "X", "type": "percentage", "value": 101}]', '[{"code": "X", "type": "fixed_amount", "value": 1}]', '[{"code": "X", "type": "percentage", "value": 1, "restrictions": {"minAmuont": 1}}]',
    '[{"code": "X", "type": "percentage", "value": 1, "minAmount": 1}]', '[{"code": "X", "type": "percentage", "value": 1, "restrictions": {"schedule": {"hours": {"from": 3}}}}]',
    '[{"code": "X", "type": "percentage", "value": 1, "restrictions": {"schedule": {"hours": {"from": 3, "to": 3}}}}]', '[{"code": "X", "type": "percentage", "value": 1, "restrictions": {"schedule": {"days": ["funday"]}}}]',
    '[{"code": "X", "type": "percentage", "value": 1, "restrictions": {"schedule": {"timezone": "Mars/Olympus"}}}]', '[{"code": "X", "type": "percentage", "value": 1, "restrictions": {"usageThreshold": {"metric": "m"}}}]',
    '[{"code": "X", "type": "percentage", "value": 1, "tiers": [{"from": 1, "percentage": 2}]}]', '[{"code": "X", "type": "volume", "tiers": [{"from": 1}]}]', '[{"code": "X", "type": "percentage", "value": 1, "validUntil": "2026-02-30"}]',
    '[{"code": "X", "type": "free_period", "value": 1.5}]', '[{"code": "X", "type": "percentage", "value": 1, "periods": 2, "forever": true}]', '[{"code": "X", "type": "percentage", "value": 1, "trigger": "magic"}]',
    '[{"code": "X", "type": "percentage", "value": 1, "appliesTo": "shipping"}]', '[{"code": "X", "type": "percentage", "value": 1}, {"code": "X", "type": "percentage", "value": 2}]',
    '[{"code": "X", "type": "percentage", "value": 1}, {"id": "X", "type": "percentage", "value": 2}]', '[{"code": null, "type": "percentage", "value": 1}]']) d;
SELECT o, try('{"lines": []}', '[]', o) FROM unnest(ARRAY['[]', '{"at": "now"}', '{"timezone": "Nowhere"}', '{"stacking": {"mode": "all"}}', '{"stacking": {"maxStacked": 0}}', '{"stacking": {"max": 1}}', '{"redemptions": []}', '{"when": 1}', '{"at": null}']) o;
SELECT try('{"lines": []}', '[{"code": "X", "type": "percentage", "value": 1}]', '{"redemptions": {"X": {"uses": 1}}}');
SELECT try(jsonb_build_object('lines', (SELECT jsonb_agg('{"amount": 9000000000000000000}'::jsonb) FROM generate_series(1, 3)))::text, '[{"code": "X", "type": "percentage", "value": 1}]');
SELECT qzpay.apply_discounts(NULL, '[]', '{}') IS NULL AS strict;
-- One call site, many discounts: what is kept is found by its bytes.
SELECT sum((qzpay.apply_discounts('{"lines": [{"amount": 1000}]}', jsonb_build_array(jsonb_build_object('code', 'X', 'type', 'percentage', 'value', n % 7)), '{}') -> 'discount')::int) AS sum FROM generate_series(1, 70) n;

-- What every reason is told as
SELECT r, qzpay.explain_discount(jsonb_build_object('reason', r, 'needed', 3, 'is', 1)) IS NOT NULL AS told
FROM unnest('{unknown_code,inactive,not_started,expired,currency_mismatch,max_uses,max_uses_per_customer,already_redeemed,periods_used,not_trialing,plan,interval,not_upgrade,from_plan,to_plan,not_first_purchase,segment,registered_before,schedule,usage_threshold,incomplete_bundle,nothing_eligible,min_quantity,min_quantity_per_product,min_amount,max_amount,tier_not_reached,rounds_to_nothing,not_best,not_stackable,max_stacked,nothing_left,too_many_attempts}'::text[]) r
WHERE qzpay.explain_discount(jsonb_build_object('reason', r, 'needed', 3, 'is', 1)) IS NULL;
