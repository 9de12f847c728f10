-- Discounts on invoices of Asist.IA: the acceptance numbers, what a code may and may not, and what is explained.
BEGIN;
SELECT plan(122);
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'), 'the catalog imports');

CREATE TEMP TABLE life (name text PRIMARY KEY, clock uuid, customer uuid, subscription uuid);

-- A customer on a clock of its own, with a subscription if a plan is given.
CREATE FUNCTION pg_temp.begin_life(life_name text, at timestamptz, plan text DEFAULT NULL, code text DEFAULT NULL, days integer DEFAULT 0, per text DEFAULT 'month', token text DEFAULT 'tok_ok')
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    l.name := life_name;
    l.clock := qzpay.create_test_clock(at, life_name);
    l.customer := (qzpay.sync_customer(life_name, life_name || '@example.org', life_name, test_clock => l.clock)).id;
    IF token IS NOT NULL THEN
        PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', token);
    END IF;
    IF plan IS NOT NULL THEN
        l.subscription := (qzpay.subscribe(l.customer, plan, per, trial_days => days, promo_code => code)).id;
    END IF;
    INSERT INTO life VALUES (l.*);
END $$;
CREATE FUNCTION pg_temp.go(life_name text, at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT (SELECT 'now ' || a.now_at FROM life l, qzpay.advance_test_clock(l.clock, at) a WHERE l.name = life_name)
$$;
CREATE FUNCTION pg_temp.bills(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(i.subtotal || ' - ' || i.discount_total || ' ' || i.status, ', ' ORDER BY i.issued_at, i.series_number), 'none')
    FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.asks(life_name text, code text, plan text DEFAULT 'pro', per text DEFAULT 'month', quantity integer DEFAULT 1) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN v.valid THEN 'valid ' || v.amount || coalesce(' ' || v.trial_days || ' days', '') ELSE v.reason END
    FROM life l, qzpay.validate_promo_code(l.customer, code, plan, per, quantity => quantity) v WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.redeemed(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(concat_ws(' ', r.code, r.state, r.periods_used || '/' || coalesce(r.periods::text, 'all'), r.amount, CASE WHEN r.ended_at IS NULL THEN 'open' ELSE 'ended' END), ', ' ORDER BY r.redeemed_at, r.code), 'none')
    FROM life l JOIN qzpay.redemptions r ON r.subscription_id = l.subscription WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.uses(discount_code text) RETURNS bigint LANGUAGE sql AS $$ SELECT uses FROM qzpay.discounts WHERE code = discount_code $$;
-- What was considered for the nth invoice of a life: the amount, or the reason.
CREATE FUNCTION pg_temp.considered(life_name text, nth integer) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(c.code || ' ' || CASE WHEN c.applied THEN c.amount::text ELSE c.reason END, ', ' ORDER BY c.position)
    FROM qzpay.considered_discounts c
    WHERE c.invoice_id = (SELECT i.id FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = life_name ORDER BY i.issued_at, i.series_number OFFSET nth - 1 LIMIT 1)
$$;

-- 1. Before the purchase (seed 000 flow 5.3), in June 2025.
SELECT pg_temp.begin_life('june', '2025-06-02 00:00+00') \g /dev/null
SELECT is(pg_temp.asks('june', 'WELCOME30'), 'valid 2970', 'WELCOME30 on 9900 is 2970');
SELECT is(pg_temp.asks('june', 'welcome30'), 'valid 2970', 'codes are written in any case');
SELECT is(pg_temp.asks('june', 'WELCOME30', quantity => 2), 'valid 5940', 'of two it is twice as much');
SELECT is((SELECT v.total || ' ' || v.description FROM life l, qzpay.validate_promo_code(l.customer, 'WELCOME30', 'pro') v WHERE l.name = 'june'), '6930 30% off', 'with what is left, and a description');
SELECT is((SELECT v.amount FROM qzpay.validate_promo_code('june', 'WELCOME30', 'pro') v), 2970::bigint, 'also by external id');
SELECT is((SELECT v.amount FROM life l, qzpay.validate_promo_code(l.customer::text, 'WELCOME30', 'pro') v WHERE l.name = 'june'), 2970::bigint, 'and by id as text');
SELECT is(pg_temp.asks('june', 'WELCOME30', 'free'), 'plan', 'a plan that is not named');
SELECT is(pg_temp.asks('june', 'PRO25OFF'), 'valid 2500', 'PRO25OFF takes 2500 off Pro');
SELECT is(pg_temp.asks('june', 'PRO25OFF', 'starter'), 'plan', 'and nothing off Starter');
SELECT is(pg_temp.asks('june', 'FREEMONTH', 'pro', 'year'), 'interval', 'a free month is no free year');
SELECT is(pg_temp.asks('june', 'FREEMONTH'), 'valid 9900', 'a free month');
SELECT is(pg_temp.asks('june', 'STARTUP50', 'pro', 'year'), 'interval', 'three periods of a year would be three years');
SELECT is(pg_temp.asks('june', 'STARTUP50'), 'valid 4950', 'half of it');
SELECT is(pg_temp.asks('june', 'TRIAL7EXTRA'), 'valid 0 7 days', 'seven days more of the trial to come');
SELECT is(pg_temp.asks('june', 'TRIAL7EXTRA', 'free'), 'not_trialing', 'where there is one');
SELECT is(pg_temp.asks('june', 'multi-bot-10'), 'unknown_code', 'an automatic discount is no code');
SELECT throws_ok($$SELECT * FROM qzpay.validate_promo_code('june', 'WELCOME30', 'professional')$$, 'QZ401', 'unknown plan "professional"', 'an unknown plan is an error');
SELECT throws_ok($$SELECT * FROM qzpay.validate_promo_code('june', NULL, 'pro')$$, '22004', 'code must not be null', 'so is no code');
SELECT throws_ok($$SELECT * FROM qzpay.validate_promo_code('june', 'WELCOME30', 'pro', 'week')$$, 'QZ401', 'plan "pro" has no price per week in USD', 'and no price');
SELECT throws_ok($$SELECT * FROM qzpay.validate_promo_code('june', 'WELCOME30', 'pro', quantity => 0)$$, '22023', 'quantity 0 is not possible', 'and no quantity');
SELECT pg_temp.begin_life('january', '2026-01-05 09:00+00') \g /dev/null
SELECT is(pg_temp.asks('january', 'WELCOME30'), 'expired', 'WELCOME30 is refused in 2026');
SELECT pg_temp.begin_life('last_day', '2025-12-31 23:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.asks('last_day', 'WELCOME30'), 'valid 2970', 'and not in the last microsecond of 2025');
SELECT pg_temp.go('last_day', '2026-01-01 00:00+00') \g /dev/null
SELECT is(pg_temp.asks('last_day', 'WELCOME30'), 'expired', 'its end is exclusive');

-- 2. A once-code and its alternatives.
SELECT pg_temp.begin_life('welcome', '2025-06-02 00:00+00', 'pro', 'WELCOME30') \g /dev/null
SELECT is(pg_temp.bills('welcome'), '9900 - 2970 paid', 'WELCOME30: 6930 is paid');
SELECT is(pg_temp.considered('welcome', 1), 'WELCOME30 2970, agency-first-month-free not_upgrade, multi-bot-10 min_quantity, service-happy-hour schedule, high-volume-15 usage_threshold, welcome-20 not_stackable',
          'WELCOME30: everything that was considered, and why not');
SELECT is((SELECT n.discount_amount || ' ' || n.discounts FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription JOIN qzpay.invoice_lines n ON n.invoice_id = i.id WHERE l.name = 'welcome'),
          '2970 [{"code": "WELCOME30", "amount": 2970}]', 'WELCOME30: on its line');
SELECT is((SELECT sum(t.amount) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription JOIN qzpay.ledger_transfers t ON t.cause_id = i.id AND t.debit_account = 'receivable' WHERE l.name = 'welcome'),
          6930::numeric, 'WELCOME30: the ledger has what is due');
SELECT is(pg_temp.redeemed('welcome'), 'WELCOME30 used 1/1 2970 ended', 'WELCOME30: used up');
SELECT is(pg_temp.uses('WELCOME30'), 1::bigint, 'WELCOME30: one use of 500');
SELECT is((SELECT e.data ->> 'code' || ' ' || (e.data ->> 'discount') FROM qzpay.events e JOIN life l ON l.customer = e.customer_id WHERE e.type = 'promo_code.applied' AND l.name = 'welcome'),
          'WELCOME30 2970', 'WELCOME30: promo_code.applied');
SELECT pg_temp.go('welcome', '2025-07-02 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('welcome'), '9900 - 2970 paid, 9900 - 0 paid', 'WELCOME30: once');
SELECT is(pg_temp.asks('welcome', 'WELCOME30'), 'max_uses_per_customer', 'WELCOME30: once per customer');
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'welcome'), 'WELCOME30')$$, 'QZ701', 'promo code "WELCOME30" cannot be redeemed: max_uses_per_customer', 'WELCOME30: not twice');
SELECT is(pg_temp.asks('welcome', 'STARTUP50'), 'not_first_purchase', 'welcome is no new customer any more');
SELECT pg_temp.begin_life('automatic', '2025-06-02 00:00+00', 'pro') \g /dev/null
SELECT is(pg_temp.bills('automatic'), '9900 - 1980 paid', 'without a code: welcome-20 makes the first invoice 7920');
SELECT pg_temp.go('automatic', '2025-07-02 00:00+00') \g /dev/null
SELECT is(pg_temp.considered('automatic', 2), 'agency-first-month-free not_upgrade, multi-bot-10 min_quantity, service-happy-hour schedule, high-volume-15 usage_threshold, welcome-20 not_first_purchase',
          'without a code: only the first');
SELECT pg_temp.begin_life('starter', '2026-01-05 09:00+00', 'starter') \g /dev/null
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'starter'), 'PRO25OFF')$$, 'QZ701', 'promo code "PRO25OFF" cannot be redeemed: plan', 'PRO25OFF: refused on Starter');
SELECT is(pg_temp.bills('starter'), '2900 - 0 paid', 'in 2026 nothing is automatic');
SELECT is(pg_temp.considered('starter', 1), 'agency-first-month-free not_upgrade, multi-bot-10 min_quantity, service-happy-hour schedule, high-volume-15 usage_threshold, welcome-20 expired',
          'and everything is explained');
SELECT pg_temp.begin_life('pro25', '2026-01-05 09:00+00', 'pro', 'PRO25OFF') \g /dev/null
SELECT is(pg_temp.bills('pro25'), '9900 - 2500 paid', 'PRO25OFF: 7400 is paid');

-- 3. Periods.
SELECT pg_temp.begin_life('startup', '2026-01-31 09:00+00', 'pro', 'STARTUP50') \g /dev/null
SELECT is(pg_temp.redeemed('startup'), 'STARTUP50 used 1/3 4950 open', 'STARTUP50: one of three');
SELECT is((SELECT covered_until FROM qzpay.redemptions r JOIN life l ON l.subscription = r.subscription_id WHERE l.name = 'startup'), '2026-02-28 09:00+00'::timestamptz, 'STARTUP50: covers its period');
SELECT pg_temp.go('startup', '2026-04-30 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('startup'), '9900 - 4950 paid, 9900 - 4950 paid, 9900 - 4950 paid, 9900 - 0 paid', 'STARTUP50: 4950 three times, then 9900');
SELECT is(pg_temp.redeemed('startup'), 'STARTUP50 used 3/3 14850 ended', 'STARTUP50: over');
SELECT is(split_part(pg_temp.considered('startup', 4), ',', 1), 'STARTUP50 periods_used', 'STARTUP50: says so');
SELECT pg_temp.go('startup', '2026-05-31 09:00+00') \g /dev/null
SELECT is(pg_temp.considered('startup', 5) ~ 'STARTUP50', false, 'STARTUP50: and is heard of no more');
SELECT pg_temp.begin_life('free', '2026-01-05 09:00+00', 'pro', 'FREEMONTH', 14) \g /dev/null
SELECT is(pg_temp.redeemed('free'), 'FREEMONTH reserved 0/1 0 open', 'FREEMONTH: reserved in the trial');
SELECT pg_temp.go('free', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('free'), '9900 - 9900 paid', 'FREEMONTH: an invoice of 0, paid at once');
SELECT is((SELECT count(*) FROM life l JOIN qzpay.payment_attempts a ON a.customer_id = l.customer WHERE l.name = 'free'), 0::bigint, 'FREEMONTH: without an attempt');
SELECT is((SELECT o.status || ' ' || o.has_access FROM life l JOIN qzpay.subscription_overview o ON o.id = l.subscription WHERE l.name = 'free'), 'active true', 'FREEMONTH: active');
SELECT pg_temp.go('free', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('free'), '9900 - 9900 paid, 9900 - 0 paid', 'FREEMONTH: one month');
SELECT pg_temp.begin_life('free_upgrade', '2026-01-05 09:00+00', 'starter', 'FREEMONTH') \g /dev/null
SELECT pg_temp.go('free_upgrade', '2026-01-20 09:00+00') \g /dev/null
SELECT isnt((SELECT (qzpay.change_plan(l.subscription, 'pro')).id FROM life l WHERE l.name = 'free_upgrade'), NULL, 'free month of Starter: upgraded');
SELECT is((SELECT sum(i.discount_total) || ' ' || sum(i.total) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = 'free_upgrade'),
          '2900 ' || qzpay.prorate(9900, '[2026-01-05 09:00+00,2026-02-05 09:00+00)', '2026-01-20 09:00+00'), 'free month of Starter: is no free month of Pro, and nothing is credited');
SELECT pg_temp.begin_life('reduced_upgrade', '2026-01-05 09:00+00', 'starter', 'STARTUP50') \g /dev/null
SELECT pg_temp.go('reduced_upgrade', '2026-01-20 09:00+00') \g /dev/null
SELECT isnt((SELECT (qzpay.change_plan(l.subscription, 'pro')).id FROM life l WHERE l.name = 'reduced_upgrade'), NULL, 'half of Starter: upgraded');
SELECT is((SELECT n.amount || ' ' || n.discount_amount FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription JOIN qzpay.invoice_lines n ON n.invoice_id = i.id
           WHERE l.name = 'reduced_upgrade' AND n.proration AND n.source_line_id IS NULL), (SELECT a || ' ' || qzpay.round_amount(a / 2.0)
           FROM qzpay.prorate(9900, '[2026-01-05 09:00+00,2026-02-05 09:00+00)', '2026-01-20 09:00+00') a), 'half of Starter: the debit of a covered period is halved too');
SELECT is((SELECT n.amount FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription JOIN qzpay.invoice_lines n ON n.invoice_id = i.id
           WHERE l.name = 'reduced_upgrade' AND n.source_line_id IS NOT NULL), -qzpay.prorate(1450, '[2026-01-05 09:00+00,2026-02-05 09:00+00)', '2026-01-20 09:00+00'), 'half of Starter: the credit is of what was debited, 1450');
SELECT is(pg_temp.redeemed('reduced_upgrade') ~ 'STARTUP50 used 1/3', true, 'half of Starter: the proration is no period');

-- 4. Trials.
SELECT pg_temp.begin_life('longer', '2026-01-05 09:00+00', 'pro', 'TRIAL7EXTRA', 14) \g /dev/null
SELECT is((SELECT trial_end FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'longer'), '2026-01-26 09:00+00'::timestamptz, 'TRIAL7EXTRA: 21 days');
SELECT is(pg_temp.redeemed('longer'), 'TRIAL7EXTRA used 0/all 0 ended', 'TRIAL7EXTRA: used at once');
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'starter'), 'TRIAL7EXTRA')$$, 'QZ701', 'promo code "TRIAL7EXTRA" cannot be redeemed: not_trialing', 'TRIAL7EXTRA: only in a trial');
SELECT pg_temp.go('longer', '2026-01-26 08:59:59+00') \g /dev/null
SELECT is(pg_temp.bills('longer'), 'none', 'TRIAL7EXTRA: nothing is billed before');
SELECT pg_temp.go('longer', '2026-01-26 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('longer'), '9900 - 0 paid', 'TRIAL7EXTRA: and then the whole');
SELECT pg_temp.begin_life('waits', '2025-12-20 09:00+00', 'pro', 'WELCOME30', 14) \g /dev/null
SELECT pg_temp.go('waits', '2026-01-03 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('waits'), '9900 - 2970 paid', 'a code given at the start of a trial is judged then, though it ended before the first invoice');

-- 5. Stacking (N4): WELCOME30 and multi-bot-10.
SELECT qzpay.import_catalog('{"meters": {"bots": {"name": "Bots", "aggregation": "last"}}, "automaticDiscounts": [{"id": "multi-bot-10", "name": "3+ bots", "type": "percentage", "value": 10,
    "conditions": {"minQuantity": 3, "of": "bots"}, "appliesTo": "subscription", "stackable": true, "priority": 1}]}') \g /dev/null
SELECT qzpay.set_setting('discount_max_stacked', '2') \g /dev/null
SELECT pg_temp.begin_life('bots', '2025-06-02 00:00+00', 'pro', 'WELCOME30', 14) \g /dev/null
SELECT is((SELECT status FROM life l, qzpay.record_usage(l.customer, 'bots', 10, 'reading') WHERE l.name = 'bots'), 'recorded', 'ten bots');
SELECT pg_temp.go('bots', '2025-06-16 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('bots'), '9900 - 3960 paid', 'WELCOME30 and multi-bot-10: 2970 + 990 = 3960, 5940 is paid');
SELECT is((SELECT discounts::text FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription JOIN qzpay.invoice_lines n ON n.invoice_id = i.id WHERE l.name = 'bots'),
          '[{"code": "WELCOME30", "amount": 2970}, {"code": "multi-bot-10", "amount": 990}]', 'WELCOME30 and multi-bot-10: both on the line');
SELECT qzpay.set_setting('discount_stacking', '"best_discount"') \g /dev/null
SELECT pg_temp.begin_life('bots_best', '2025-06-02 00:00+00', 'pro', 'WELCOME30', 14) \g /dev/null
SELECT status FROM life l, qzpay.record_usage(l.customer, 'bots', 10, 'reading') WHERE l.name = 'bots_best' \g /dev/null
SELECT pg_temp.go('bots_best', '2025-06-16 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('bots_best'), '9900 - 2970 paid', 'best_discount: the code alone');
SELECT qzpay.set_setting('discount_stacking', '"all_stackable"') \g /dev/null
SELECT throws_ok($$SELECT qzpay.set_setting('discount_stacking', '"sum"')$$, '22023', NULL, 'a stacking rule that is none');
SELECT throws_ok($$SELECT qzpay.set_setting('discount_max_stacked', '0')$$, '22023', NULL, 'a maximum of none');
SELECT pg_temp.begin_life('no_bots', '2025-06-02 00:00+00', 'pro', 'WELCOME30', 14) \g /dev/null
SELECT pg_temp.go('no_bots', '2025-06-16 00:00+00') \g /dev/null
SELECT is((SELECT c.reason || ' ' || c.explanation FROM life l JOIN qzpay.considered_discounts c ON c.customer_id = l.customer WHERE l.name = 'no_bots' AND c.code = 'multi-bot-10'),
          'min_quantity Nothing is known of what it asks for: It needs a quantity of 3; it is not known.', 'bots nobody has counted: it fails closed');

-- 6. Usage thresholds: the period that is billed.
SELECT pg_temp.begin_life('volume', '2026-01-05 09:00+00', 'pro') \g /dev/null
SELECT status FROM life l, qzpay.record_usage(l.customer, 'messages', 50000, 'all') WHERE l.name = 'volume' \g /dev/null
SELECT pg_temp.go('volume', '2026-02-05 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(n.kind || ' ' || n.amount || ' - ' || n.discount_amount, ', ' ORDER BY n.position) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription
           JOIN qzpay.invoice_lines n ON n.invoice_id = i.id WHERE l.name = 'volume' AND i.subtotal > 9900), 'plan 9900 - 1485, usage 60000 - 0', 'high volume: 15 percent of the plan, nothing off usage');

-- 7. An upgrade to a plan that is named, automatic and once per customer.
SELECT qzpay.import_catalog('{"plans": [{"id": "agency", "name": "Agency", "tierRank": 9, "prices": {"month": {"amount": 30000, "currency": "USD"}}}]}') \g /dev/null
SELECT pg_temp.begin_life('agency', '2026-01-05 09:00+00', 'starter') \g /dev/null
SELECT pg_temp.go('agency', '2026-01-20 09:00+00') \g /dev/null
SELECT isnt((SELECT (qzpay.change_plan(l.subscription, 'agency')).id FROM life l WHERE l.name = 'agency'), NULL, 'agency: upgraded');
SELECT is(split_part(pg_temp.considered('agency', 2), ',', 1) ~ '^agency-first-month-free [0-9]+$', true, 'agency: the rest of the month is free');
SELECT is(pg_temp.redeemed('agency') ~ '^agency-first-month-free used 1/1 [0-9]+ open$', true, 'agency: which is redeemed by itself');
SELECT is(pg_temp.uses('agency-first-month-free'), 1::bigint, 'agency: and counted');
SELECT pg_temp.go('agency', '2026-03-05 09:00+00') \g /dev/null
SELECT is((SELECT sum(i.discount_total) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = 'agency' AND i.subtotal = 30000), 0::numeric, 'agency: one month only');

-- 8. Uses: the last one, a purchase that never was, and removal.
SELECT qzpay.import_catalog('{"promoCodes": {"TWO": {"type": "percentage", "value": 10, "restrictions": {"maxUses": 2}}, "ALWAYS": {"type": "percentage", "value": 10, "config": {"forever": true}},
    "ALONE": {"type": "percentage", "value": 50, "combinable": false}, "EURO": {"type": "fixed_amount", "value": 100, "config": {"currency": "EUR"}}}}') \g /dev/null
SELECT pg_temp.begin_life('never', '2026-01-05 09:00+00', 'pro', 'TWO', token => 'tok_insufficient_funds') \g /dev/null
SELECT is(pg_temp.uses('TWO'), 1::bigint, 'TWO: used by a purchase that is not paid');
SELECT pg_temp.begin_life('second', '2026-01-05 09:00+00', 'pro', 'TWO') \g /dev/null
SELECT throws_ok($$SELECT pg_temp.begin_life('third', '2026-01-05 09:00+00', 'pro', 'TWO')$$, 'QZ701', 'promo code "TWO" cannot be redeemed: max_uses', 'TWO: no third use');
SELECT is((SELECT count(*) FROM qzpay.customers WHERE external_id = 'third'), 0::bigint, 'TWO: and no purchase');
SELECT pg_temp.go('never', '2026-01-06 09:00+00') \g /dev/null
SELECT is(pg_temp.redeemed('never'), 'TWO returned 1/1 990 ended', 'TWO: the purchase came to nothing');
SELECT is(pg_temp.uses('TWO'), 1::bigint, 'TWO: and its use came back');
SELECT pg_temp.begin_life('elsewhere', '2026-01-05 09:00+00', 'pro', 'TWO', token => 'tok_insufficient_funds') \g /dev/null
SELECT qzpay._cancel_planned_attempts(array_agg(i.tenant_id), array_agg(i.id), qzpay.now(l.customer)), qzpay._write_off(array_agg(i.tenant_id), array_agg(i.id), '{void}', qzpay.now(l.customer))
FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer WHERE l.name = 'elsewhere' GROUP BY l.customer \g /dev/null
SELECT is(pg_temp.uses('TWO'), 2::bigint, 'TWO: an invoice that is void gives no use back');
UPDATE qzpay.subscriptions s SET managed_by = 'provider', provider_ref = 'sub_elsewhere' FROM life l WHERE l.name = 'elsewhere' AND s.id = l.subscription;
SELECT is((SELECT (qzpay.sync_subscription(l.subscription, 'incomplete_expired', reason => 'abandoned')).status || ' ' || pg_temp.uses('TWO') FROM life l WHERE l.name = 'elsewhere'), 'incomplete_expired 1',
          'TWO: likewise where the provider says so, for whatever reason');
SELECT pg_temp.begin_life('third', '2026-01-05 09:00+00', 'pro', 'TWO') \g /dev/null
SELECT is(pg_temp.bills('third'), '9900 - 990 paid', 'TWO: for another');
SELECT is(pg_temp.asks('third', 'EURO'), 'currency_mismatch', 'a code in another currency');
SELECT pg_temp.begin_life('always', '2026-01-05 09:00+00', 'pro', 'ALWAYS') \g /dev/null
SELECT pg_temp.go('always', '2026-03-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('always'), '9900 - 990 paid, 9900 - 990 paid, 9900 - 990 paid', 'ALWAYS: for ever');
SELECT is((SELECT concat_ws(' ', n.amount, n.discount_amount, n.tax_amount, n.invoice_total, n.amount_due) FROM life l, qzpay.preview_invoice(l.subscription) n WHERE l.name = 'always'), '9900 990 0 8910 8910',
          'ALWAYS: the preview says what is taken off');
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'always'), 'always')$$, 'QZ701', 'promo code "always" cannot be redeemed: already_redeemed', 'ALWAYS: not twice');
SELECT qzpay.import_catalog('{"promoCodes": {"ONE": {"type": "percentage", "value": 10, "config": {"forever": true}, "restrictions": {"maxUses": 1}},
    "MINE": {"type": "percentage", "value": 10, "config": {"forever": true}, "restrictions": {"maxUsesPerCustomer": 1}}}}') \g /dev/null
SELECT qzpay.redeem_promo_code(l.subscription, c) FROM life l, unnest('{ONE,MINE}'::text[]) c WHERE l.name = 'third' \g /dev/null
SELECT is((SELECT array_agg(pg_temp.asks('third', c) ORDER BY n) FROM unnest('{ONE,MINE}'::text[]) WITH ORDINALITY AS k (c, n)), '{max_uses,max_uses_per_customer}', 'a code that is used up is that before anything else');
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'third'), 'ONE')$$, 'QZ701', 'promo code "ONE" cannot be redeemed: max_uses', 'also for who has it');
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'third'), 'MINE')$$, 'QZ701', 'promo code "MINE" cannot be redeemed: max_uses_per_customer', 'and of one''s own uses');
SELECT is((SELECT (qzpay.redeem_promo_code(l.subscription, 'ALONE')).amount FROM life l WHERE l.name = 'always'), 4950::bigint, 'ALONE: redeemed beside it');
SELECT pg_temp.go('always', '2026-04-05 09:00+00') \g /dev/null
SELECT is(pg_temp.considered('always', 4) ~ '^ALONE 4950, ALWAYS not_best', true, 'ALONE: stands alone, as it takes more');
SELECT is((SELECT qzpay.remove_discount(l.subscription, 'always') FROM life l WHERE l.name = 'always'), true, 'ALWAYS: removed');
SELECT pg_temp.go('always', '2026-05-05 09:00+00') \g /dev/null
SELECT is(split_part(pg_temp.bills('always'), ', ', 5), '9900 - 0 paid', 'ALWAYS: no more');
SELECT throws_ok($$SELECT qzpay.remove_discount((SELECT subscription FROM life WHERE name = 'always'), 'always')$$, 'QZ404', NULL, 'ALWAYS: not twice');
SELECT is(pg_temp.uses('ALWAYS'), 1::bigint, 'ALWAYS: its use counts');
SELECT is((SELECT n.amount || ' ' || n.invoice_total FROM life l, qzpay.preview_invoice(l.subscription) n WHERE l.name = 'startup'), '9900 9900', 'a preview is the invoice');
SELECT throws_ok($$UPDATE qzpay.redemptions SET code = 'X'$$, 'QZ202', NULL, 'what was redeemed does not change');
SELECT throws_ok($$DELETE FROM qzpay.invoice_discounts$$, 'QZ203', NULL, 'what was considered is append-only');

-- 9. Automatic discounts that run out within one run: the first bills have them, the others are judged again without.
SELECT qzpay.import_catalog('{"automaticDiscounts": [{"id": "first-three", "type": "percentage", "value": 50, "maxRedemptions": 3, "maxRedemptionsPerCustomer": 1, "stackable": true, "priority": 5},
    {"id": "rest", "type": "percentage", "value": 20, "stackable": false}]}') \g /dev/null
CREATE TEMP TABLE crowd AS SELECT qzpay.create_test_clock('2027-01-05 09:00+00', 'crowd') AS clock;
SELECT qzpay.attach_payment_method(c.id, 'sandbox', 'tok_ok') FROM crowd, generate_series(1, 4) n, LATERAL qzpay.sync_customer('crowd' || n, test_clock => crowd.clock) c \g /dev/null
-- The first customer has two subscriptions, one without a trial; the others end their trials at one instant.
SELECT qzpay.subscribe(c.id, 'starter', trial_days => 10, allow_multiple => true) FROM qzpay.customers c, generate_series(1, CASE c.external_id WHEN 'crowd1' THEN 2 ELSE 1 END) n
WHERE c.external_id LIKE 'crowd%' ORDER BY c.external_id \g /dev/null
SELECT qzpay.advance_test_clock(clock, '2027-01-15 09:00+00') FROM crowd \g /dev/null
SELECT is((SELECT string_agg(i.discount_total::text, ' ' ORDER BY i.discount_total DESC) FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id LIKE 'crowd%'),
          '1450 1450 1450 580 580', 'three have the half, two the next best');
SELECT is((SELECT max(n) FROM (SELECT count(*) AS n FROM qzpay.redemptions WHERE code = 'first-three' GROUP BY customer_id) x), 1::bigint, 'once per customer');
SELECT is(pg_temp.uses('first-three'), 3::bigint, 'and three in all');
SELECT is((SELECT string_agg(DISTINCT c.reason, ' ' ORDER BY c.reason) FROM qzpay.considered_discounts c JOIN qzpay.customers k ON k.id = c.customer_id WHERE k.external_id LIKE 'crowd%' AND c.code = 'first-three' AND NOT c.applied)
          IN ('max_uses', 'max_uses max_uses_per_customer'), true, 'which the others are told');
SELECT qzpay.advance_test_clock(clock, '2027-02-15 09:00+00') FROM crowd \g /dev/null
SELECT is((SELECT string_agg(DISTINCT i.discount_total::text, ' ') FROM qzpay.invoices i JOIN qzpay.customers c ON c.id = i.customer_id WHERE c.external_id LIKE 'crowd%' AND i.issued_at > '2027-02-01'),
          '580', 'the next month nobody has it');
UPDATE qzpay.discounts SET active = false WHERE code IN ('first-three', 'rest');

-- 10. A promise kept: the code is changed after it was redeemed.
SELECT pg_temp.begin_life('promise', '2026-01-05 09:00+00', 'pro', 'STARTUP50') \g /dev/null
UPDATE qzpay.discounts SET value = 5, active = false WHERE code = 'STARTUP50';
SELECT pg_temp.go('promise', '2026-02-05 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('promise'), '9900 - 4950 paid, 9900 - 4950 paid', 'a redeemed code keeps its terms');
SELECT is(pg_temp.asks('june', 'STARTUP50'), 'inactive', 'for others it is over');
UPDATE qzpay.discounts SET value = 50, active = true WHERE code = 'STARTUP50';

-- 11. Changes that wait for the next invoice: what is given back of a debit on the same invoice lessens what is discounted.
SELECT pg_temp.begin_life('waits_next', '2026-01-05 09:00+00', 'starter', 'STARTUP50') \g /dev/null
SELECT pg_temp.go('waits_next', '2026-01-20 09:00+00') \g /dev/null
SELECT isnt((SELECT (qzpay.change_plan(l.subscription, 'pro', proration => 'create_prorations')).id FROM life l WHERE l.name = 'waits_next'), NULL, 'to Pro, on the next invoice');
SELECT isnt((SELECT (qzpay.change_plan(l.subscription, 'starter', effective => 'now', proration => 'create_prorations')).id FROM life l WHERE l.name = 'waits_next'), NULL, 'and back at the same instant');
SELECT pg_temp.go('waits_next', '2026-02-05 09:00+00') \g /dev/null
SELECT is((SELECT sum(i.total) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = 'waits_next'), 2900::numeric, 'there and back is nothing: two halves of Starter');

SELECT pg_temp.begin_life('regrets', '2025-06-02 00:00+00', 'pro', 'WELCOME30') \g /dev/null
SELECT isnt((SELECT (qzpay.cancel(l.subscription, 'now', settle => 'credit')).id FROM life l WHERE l.name = 'regrets'), NULL, 'bought with WELCOME30 and canceled at the same instant');
SELECT is((SELECT b.amount FROM life l JOIN qzpay.balances b ON b.customer_id = l.customer WHERE l.name = 'regrets'), 6930::bigint, 'what comes back is what was paid, 6930');

SELECT isnt((SELECT qzpay.reissue_invoice(i.id) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = 'pro25'), NULL, 'an invoice is issued anew');
SELECT is((SELECT string_agg(i.discount_total || ' ' || i.status || ' ' || (SELECT count(*) FROM qzpay.considered_discounts c WHERE c.invoice_id = i.id AND c.applied), ', ' ORDER BY i.series_number)
           FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription WHERE l.name = 'pro25'), '2500 void 1, 2500 paid 1', 'with its discount, explained');

-- 12. Guessing.
SELECT pg_temp.begin_life('guesser', '2025-06-02 00:00+00', 'starter') \g /dev/null
SAVEPOINT guesses;
SELECT count(*) FROM generate_series(1, 10) n, LATERAL pg_temp.asks('guesser', 'GUESS' || n) a \g /dev/null
ROLLBACK TO guesses;
SELECT throws_ok(format($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'guesser'), 'G%s')$$, n), 'QZ701', NULL, 'a wrong code ' || n) FROM generate_series(11, 12) n;
SELECT is(pg_temp.asks('guesser', 'STARTUP50'), 'not_first_purchase', 'a right code after twelve wrong ones');
SELECT count(*) FROM generate_series(13, 20) n, LATERAL pg_temp.asks('guesser', 'GUESS' || n) a \g /dev/null
SELECT is(pg_temp.asks('guesser', 'STARTUP50'), 'too_many_attempts', 'not after twenty, and a rollback takes no guess back');
SELECT throws_ok($$SELECT qzpay.redeem_promo_code((SELECT subscription FROM life WHERE name = 'guesser'), 'PRO25OFF')$$, 'QZ702', NULL, 'nor by redeeming');
SELECT is(pg_temp.asks('june', 'PRO25OFF'), 'valid 2500', 'another tenant is not concerned');

-- 13. The books.
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT string_agg(check_name || ' ' || violations || ' ' || evidence, ', ') FROM qzpay.check_integrity() WHERE status <> 'pass'), NULL, 'every check passes');

SELECT * FROM finish();
ROLLBACK;
