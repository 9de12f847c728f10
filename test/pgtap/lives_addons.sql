-- Lives with add-ons: intervals of their own, packs, what a plan includes, what fits with what, terms, and several contracts.
-- In [2026-01-19, 02-19) 17 of 31 days are left on 02-02 at nine.
BEGIN;
SELECT no_plan();
\ir include/lives.psql
\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'::jsonb - 'automaticDiscounts'), 'the catalog imports');
SELECT lives_ok($$ SELECT qzpay.import_catalog('{"currency": "USD",
    "plans": [{"id": "base", "name": "Base", "prices": {"month": {"amount": 3100}, "year": {"amount": 36500}}}],
    "addons": [{"id": "engine", "name": "Engine", "prices": {"month": {"amount": 310}}},
               {"id": "turbo", "name": "Turbo", "prices": {"month": {"amount": 620}}, "requires": ["engine"]},
               {"id": "eco", "name": "Eco", "prices": {"month": {"amount": 930}, "year": {"amount": 3650}}, "incompatibleWith": ["turbo"]}]}') $$, 'add-ons that require and exclude');

-- What an add-on has to say to whoever looks.
CREATE FUNCTION pg_temp.has(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(p.code || ' ' || i.quantity, ', ' ORDER BY p.code, i.scope), 'none')
    FROM life l JOIN qzpay.subscription_items i ON i.subscription_id = l.subscription AND i.kind = 'addon' AND qzpay.now(l.customer) >= i.valid_from AND qzpay.now(l.customer) < i.valid_until
    JOIN qzpay.products p ON p.id = i.product_id WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.bots(life_name text) RETURNS numeric LANGUAGE sql AS $$
    SELECT c.limit_value FROM life l, qzpay.check_limit(l.customer, 'maxBots', 0) c WHERE l.name = life_name
$$;

-- 1. A monthly add-on beside a yearly plan is billed by the month, on the plan's anchor.
SELECT pg_temp.begin_life('fleet', '2026-01-19 09:00+00', per => 'year', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('fleet', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('fleet'), 'extra-bots', 2) \g /dev/null
SELECT is(pg_temp.last_bill('fleet') || ' ' || pg_temp.bots('fleet'), 'addon 1645 12', 'fleet: round(3000 x 17/31) for the rest of the month; twelve bots');
SELECT pg_temp.go('fleet', '2026-04-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('fleet'), '2026-01-19 99000 paid, 2026-02-02 1645 paid, 2026-02-19 3000 paid, 2026-03-19 3000 paid, 2026-04-19 3000 paid', 'fleet: then monthly');
SELECT pg_temp.go('fleet', '2026-05-02 09:00+00') \g /dev/null
SELECT qzpay.set_addon_quantity(pg_temp.of('fleet'), 'extra-bots', 1) \g /dev/null
SELECT is(pg_temp.bots('fleet'), 12::numeric, 'fleet: less waits');
SELECT pg_temp.go('fleet', '2026-05-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('fleet') || ' ' || pg_temp.bots('fleet'), 'addon 1500 11', 'fleet: for the boundary of the add-on''s own month, not the plan''s year');
SELECT pg_temp.go('fleet', '2027-02-19 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(n.kind || ' ' || n.amount, ', ' ORDER BY n.position) FROM qzpay.invoice_lines n JOIN qzpay.invoices i ON i.id = n.invoice_id
           WHERE i.subscription_id = pg_temp.of('fleet') AND i.issued_at = '2027-01-19 09:00+00'), 'plan 99000, addon 1500', 'fleet: year and month on one bill where they meet');
SELECT is(pg_temp.periods('fleet', form => 'MM-DD'), '01-19 02-19 03-19 04-19 05-19 06-19 07-19 08-19 09-19 10-19 11-19 12-19 01-19 02-19 | 03-19', 'fleet: every month, from the first');
SELECT qzpay.remove_addon(pg_temp.of('fleet'), 'extra-bots') \g /dev/null
SELECT pg_temp.go('fleet', '2027-06-19 09:00+00') \g /dev/null
SELECT is((SELECT max(issued_at) FROM qzpay.invoices WHERE subscription_id = pg_temp.of('fleet')), '2027-02-19 09:00+00', 'fleet: removed with its month, no bill after');
SELECT is(pg_temp.has('fleet'), 'none', 'fleet: gone');

-- Dated ahead to the year's end, after a time without; and over a pause.
SELECT pg_temp.begin_life('slow', '2026-01-19 09:00+00', per => 'year', days => 0, token => 'tok_ok', addons => '{"extra-bots": 1}') \g /dev/null
SELECT qzpay.remove_addon(pg_temp.of('slow'), 'extra-bots') \g /dev/null
SELECT pg_temp.go('slow', '2026-06-05 09:00+00') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('slow'), 'extra-bots', 2, effective => 'period_end') \g /dev/null
SELECT pg_temp.go('slow', '2027-02-19 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(i.issued_at::date || ' ' || i.total, ', ' ORDER BY i.issued_at) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('slow')),
          '2026-01-19 100500, 2027-01-19 102000, 2027-02-19 3000', 'slow: nothing for the months between');
SELECT pg_temp.go('slow', '2027-03-05 09:00+00') \g /dev/null
SELECT qzpay.pause(pg_temp.of('slow'), 'now') \g /dev/null
SELECT pg_temp.go('slow', '2027-06-01 09:00+00') \g /dev/null
SELECT qzpay.resume(pg_temp.of('slow')) \g /dev/null
SELECT is(pg_temp.last_bill('slow'), 'plan 99000, addon 3000', 'slow: both begin anew with the resume');
SELECT pg_temp.go('slow', '2027-07-01 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('slow'), 'addon 3000', 'slow: and the bots go on by the month');
SELECT pg_temp.begin_life('slow_trial', '2026-01-01 09:00+00', per => 'year', token => 'tok_ok', addons => '{"extra-bots": 1}', start_at => '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('slow_trial', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('slow_trial'), '2026-01-19 100500 paid, 2026-02-19 1500 paid', 'slow trial: begun later, converted, and on by the month');

-- The other way round: an add-on by the year beside a plan by the month gives back its rest where a pause or a new interval cuts it.
SELECT pg_temp.begin_life('mixed', '2026-01-19 09:00+00', plan => 'base', days => 0, token => 'tok_ok') \g /dev/null
UPDATE qzpay.prices c SET active = false FROM qzpay.products p WHERE p.id = c.product_id AND p.code = 'eco' AND c.interval_unit = 'month' \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('mixed'), 'eco') \g /dev/null
SELECT is(pg_temp.last_bill('mixed'), 'addon 3650', 'mixed: a year of it');
SELECT qzpay.pause(pg_temp.of('mixed'), resume_at => '2026-05-01 00:00+00') \g /dev/null
SELECT pg_temp.go('mixed', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.balance('mixed'), 3340::bigint, 'mixed: 334 days of 365 back with the pause at the month''s end');
SELECT pg_temp.go('mixed', '2026-05-01 00:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('mixed') || ' ' || pg_temp.balance('mixed'), 'plan 3100, addon 3650 0', 'mixed: and a new year after it');
SELECT qzpay.change_plan(pg_temp.of('mixed'), 'base', 'year', effective => 'period_end') \g /dev/null
SELECT pg_temp.go('mixed', '2026-06-01 00:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('mixed') || ' ' || pg_temp.paid('mixed') + pg_temp.balance('mixed'), 'plan 36500, addon 3650 46970', 'mixed: the rest of it is back too where the plan goes over to the year');
UPDATE qzpay.prices c SET active = true FROM qzpay.products p WHERE p.id = c.product_id AND p.code = 'eco' \g /dev/null

-- 2. An add-on changed now: credited and debited by what is left; 0 removes.
SELECT pg_temp.begin_life('buyer', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-seats', 3) \g /dev/null
SELECT is(pg_temp.last_bill('buyer'), 'addon 3000', 'buyer: whole at the period''s first instant');
SELECT pg_temp.go('buyer', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-seats') \g /dev/null
SELECT is(pg_temp.last_bill('buyer') || ' ' || pg_temp.has('buyer'), 'addon -1645, addon 2194 extra-seats 4', 'buyer: adding adds to what is there');
SELECT qzpay.set_addon_quantity(pg_temp.of('buyer'), 'extra-seats', 0, effective => 'now') \g /dev/null
SELECT is(pg_temp.last_bill('buyer') || ' ' || pg_temp.has('buyer'), 'addon -2194, balance 2194 none', 'buyer: nought removes, and gives back what that instant was debited');
SELECT throws_ok($$ SELECT qzpay.remove_addon(pg_temp.of('buyer'), 'extra-seats') $$, 'QZ204', NULL, 'buyer: what is not there is not removed');
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-seats', -1) $$, '22023', NULL, 'buyer: no negative addition');
SELECT throws_ok($$ SELECT qzpay.set_addon_quantity(pg_temp.of('buyer'), 'extra-seats', -1) $$, '22023', NULL, 'buyer: nor quantity');
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-wheels') $$, 'QZ401', NULL, 'buyer: nor unknown thing');
SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-bots', 1, 'bot-a', idempotency_key => 'one') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-bots', 1, 'bot-a', idempotency_key => 'one') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('buyer'), 'extra-bots', 2, 'bot-b') \g /dev/null
SELECT is(pg_temp.has('buyer') || ' ' || pg_temp.bots('buyer'), 'extra-bots 1, extra-bots 2 13', 'buyer: scopes are apart, a key counts once, limits add up');
SELECT pg_temp.go('buyer', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('buyer'), 'plan 9900, addon 1500, addon 3000', 'buyer: each on the next bill');

-- 3. A pack of quantity is charged and granted in full, on the last day too, and stays to the boundary.
SELECT pg_temp.begin_life('heavy', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.use('heavy', 15500, 'much') \g /dev/null
SELECT pg_temp.go('heavy', '2026-02-19 08:00+00') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('heavy'), 'extra-messages-pack') \g /dev/null
SELECT is(pg_temp.last_bill('heavy'), 'addon 4900', 'heavy: the whole price in the last hour');
SELECT pg_temp.go('heavy', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('heavy'), 'plan 9900, addon 4900, usage 750', 'heavy: 15000 included, 500 over');
SELECT pg_temp.use('heavy', 15000, 'as much') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('heavy'), 'extra-messages-pack', 2) \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('heavy'), 'extra-messages-pack') \g /dev/null
SELECT is((SELECT string_agg(i.total::text, ' ' ORDER BY i.series_number) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('heavy') AND i.issued_at = '2026-02-19 09:00+00'), '15550 9800 4900',
          'heavy: further packs, in one instant too, are charged and the first is not charged again');
SELECT pg_temp.go('heavy', '2026-03-01 09:00+00') \g /dev/null
SELECT qzpay.set_addon_quantity(pg_temp.of('heavy'), 'extra-messages-pack', 1, effective => 'now') \g /dev/null
SELECT is(pg_temp.has('heavy') || ' ' || pg_temp.balance('heavy'), 'extra-messages-pack 4 0', 'heavy: fewer packs wait as well');
SELECT pg_temp.go('heavy', '2026-03-05 09:00+00') \g /dev/null
SELECT qzpay.remove_addon(pg_temp.of('heavy'), 'extra-messages-pack', effective => 'now') \g /dev/null
SELECT is(pg_temp.has('heavy'), 'extra-messages-pack 4', 'heavy: a pack ends only with its period, whatever is asked');
SELECT is(pg_temp.balance('heavy'), 0::bigint, 'heavy: and is not given back');
SELECT pg_temp.go('heavy', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('heavy') || ' ' || pg_temp.has('heavy'), 'plan 9900, usage 0 none', 'heavy: 15000 were included; then it is gone');

-- 4. What the new plan includes, or excludes, ends with the change; what is included is not sold.
SELECT pg_temp.begin_life('grower', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok', addons => '{"plugin-crm": 1, "priority-support": 1, "extra-bots": 1}') \g /dev/null
SELECT is(pg_temp.last_bill('grower'), 'plan 2900, addon 1500, addon 1900, addon 4900', 'grower: all four at the start');
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('grower'), 'plugin-faq') $$, 'QZ204', NULL, 'grower: an included plugin is not sold');
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('grower'), 'plugin-forms') $$, 'QZ204', NULL, 'grower: nor what costs nothing');
SELECT pg_temp.go('grower', '2026-02-02 09:00+00') \g /dev/null
SELECT pg_temp.change('grower', 'pro') \g /dev/null
SELECT is(pg_temp.last_bill('grower') || '; ' || pg_temp.has('grower'), 'plan -1590, addon -1042, addon -2687, plan 5429; extra-bots 1', 'grower: the CRM is Pro''s, the support not for Pro; bots stay');
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('grower'), 'plugin-crm') $$, 'QZ204', NULL, 'grower: Pro includes it');
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('grower'), 'priority-support') $$, 'QZ204', NULL, 'grower: Pro cannot have it');
SELECT qzpay.add_addon(pg_temp.of('grower'), 'plugin-whatsapp') \g /dev/null
SELECT is(pg_temp.last_bill('grower'), 'addon 2687', 'grower: but WhatsApp');
SELECT pg_temp.go('grower', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('grower'), 'plan 9900, addon 1500, addon 4900', 'grower: from then on');

-- 5. Requires, excludes.
SELECT pg_temp.begin_life('racer', '2026-01-19 09:00+00', plan => 'base', days => 0, token => 'tok_ok') \g /dev/null
SELECT throws_like($$ SELECT qzpay.add_addon(pg_temp.of('racer'), 'turbo') $$, '%requires engine%', 'racer: no turbo without an engine');
SELECT qzpay.add_addon(pg_temp.of('racer'), 'engine') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('racer'), 'turbo') \g /dev/null
SELECT throws_like($$ SELECT qzpay.add_addon(pg_temp.of('racer'), 'eco') $$, '%incompatible with turbo%', 'racer: no eco beside it');
SELECT throws_ok($$ SELECT qzpay.remove_addon(pg_temp.of('racer'), 'engine', effective => 'now') $$, 'QZ204', NULL, 'racer: the engine stays while the turbo needs it');
SELECT qzpay.remove_addon(pg_temp.of('racer'), 'turbo', effective => 'now') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('racer'), 'eco') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.add_addon(pg_temp.of('racer'), 'turbo') $$, 'QZ204', NULL, 'racer: excluded the other way round as well');
SELECT is(pg_temp.has('racer') || ' ' || pg_temp.balance('racer'), 'eco 1, engine 1 0', 'racer: the turbo''s credit paid for the eco');
-- To the year: an add-on with a yearly price goes along, one without keeps its month.
SELECT pg_temp.change('racer', per => 'year') \g /dev/null
SELECT is(pg_temp.last_bill('racer'), 'plan -3100, addon -930, addon -310, plan 36500, addon 3650, addon 310', 'racer: everything begins anew in the year');
SELECT pg_temp.go('racer', '2026-03-19 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(i.total::text, ' ' ORDER BY i.issued_at) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('racer') AND i.issued_at > '2026-01-20'), '310 310', 'racer: the engine goes on by the month');

-- 6. In a trial, add-ons cost nothing; with its end they are billed.
SELECT pg_temp.begin_life('sampler', '2026-01-05 09:00+00', token => 'tok_ok') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('sampler'), 'extra-bots', 2) \g /dev/null
SELECT is(pg_temp.bills('sampler') || ' ' || pg_temp.bots('sampler'), 'none 12', 'sampler: no bill, twelve bots');
SELECT pg_temp.go('sampler', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('sampler'), 'plan 9900, addon 3000', 'sampler: both with the first period');
SELECT qzpay.pause(pg_temp.of('sampler'), 'now') \g /dev/null
SELECT is(pg_temp.balance('sampler'), 12900::bigint, 'sampler: a pause now gives both back');
SELECT qzpay.set_addon_quantity(pg_temp.of('sampler'), 'extra-bots', 5) \g /dev/null
SELECT pg_temp.go('sampler', '2026-02-01 09:00+00') \g /dev/null
SELECT qzpay.resume(pg_temp.of('sampler')) \g /dev/null
SELECT is(pg_temp.last_bill('sampler'), 'plan 9900, addon 7500', 'sampler: five from the resume');

-- 7. Negotiated terms: from the next period, or now; another plan has its own price.
SELECT pg_temp.begin_life('haggler', '2026-01-19 09:00+00', days => 0, token => 'tok_ok', terms => '{"unit_amount": 8000, "name": "Pro for friends", "included": {"messages": 20000}}') \g /dev/null
SELECT is((SELECT string_agg(n.description || ' ' || n.amount, ', ') FROM qzpay.invoice_lines n JOIN qzpay.invoices i ON i.id = n.invoice_id WHERE i.subscription_id = pg_temp.of('haggler')), 'Pro for friends 8000', 'haggler: at his price, under his name');
SELECT pg_temp.use('haggler', 20010, 'all') \g /dev/null
SELECT pg_temp.go('haggler', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.set_item_terms(pg_temp.of('haggler'), 'pro', 7000) \g /dev/null
SELECT is(pg_temp.bills('haggler'), '2026-01-19 8000 paid', 'haggler: cheaper from the next period');
SELECT pg_temp.go('haggler', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('haggler'), 'plan 7000, usage 15', 'haggler: 7000, and 10 over his 20000');
SELECT pg_temp.go('haggler', '2026-03-05 09:00+00') \g /dev/null
SELECT qzpay.set_item_terms(pg_temp.of('haggler'), 'pro', 9000, effective => 'now') \g /dev/null
SELECT is(pg_temp.last_bill('haggler'), 'plan -3500, plan 4500', 'haggler: half the period at each price');
SELECT throws_ok($$ SELECT qzpay.set_item_terms(pg_temp.of('haggler'), 'extra-bots', 1) $$, 'QZ204', NULL, 'haggler: no terms for what he has not');
SELECT pg_temp.change('haggler', 'enterprise') \g /dev/null
SELECT is(pg_temp.last_bill('haggler'), 'plan -4500, plan 24950', 'haggler: another plan at its list price');

-- 8. Back again: no second trial, unless the seller says so.
SELECT pg_temp.begin_life('returner', '2026-01-05 09:00+00', token => 'tok_ok') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('returner'), 'now') \g /dev/null
SELECT is((SELECT s.status || ' ' || coalesce(s.trial_end::text, 'no trial') FROM life l, qzpay.subscribe(l.customer, 'starter') s WHERE l.name = 'returner'), 'active no trial', 'returner: never a second trial');
UPDATE life l SET subscription = (SELECT s.id FROM qzpay.subscriptions s WHERE s.customer_id = l.customer ORDER BY s.ended_at IS NULL DESC LIMIT 1) WHERE name = 'returner';
SELECT is((SELECT string_agg(coalesce(e.data ->> 'reactivation', '-'), ' ' ORDER BY e.id) FROM qzpay.events e JOIN life l ON l.customer = e.customer_id WHERE l.name = 'returner' AND e.type = 'subscription.created'),
          'false true', 'returner: told as a return');
SELECT qzpay.cancel(pg_temp.of('returner'), 'now') \g /dev/null
SELECT qzpay.set_setting('trial_reuse', '"per_plan"') \g /dev/null
SELECT is((SELECT (qzpay.subscribe(l.customer, 'enterprise')).status FROM life l WHERE l.name = 'returner'), 'trialing', 'returner: one per plan, if the seller says so');
UPDATE life l SET subscription = (SELECT s.id FROM qzpay.subscriptions s WHERE s.customer_id = l.customer ORDER BY s.ended_at IS NULL DESC LIMIT 1) WHERE name = 'returner';
SELECT qzpay.cancel(pg_temp.of('returner'), 'now') \g /dev/null
SELECT is((SELECT (qzpay.subscribe(l.customer, 'pro')).status FROM life l WHERE l.name = 'returner'), 'active', 'returner: not of the same plan');
UPDATE life l SET subscription = (SELECT s.id FROM qzpay.subscriptions s WHERE s.customer_id = l.customer ORDER BY s.ended_at IS NULL DESC LIMIT 1) WHERE name = 'returner';
SELECT qzpay.cancel(pg_temp.of('returner'), 'now') \g /dev/null
SELECT qzpay.set_setting('trial_reuse', '"always"') \g /dev/null
SELECT is((SELECT (qzpay.subscribe(l.customer, 'pro')).status FROM life l WHERE l.name = 'returner'), 'trialing', 'returner: or always');
SELECT qzpay.set_setting('trial_reuse', '"never"') \g /dev/null

-- 9. Several contracts of one customer: features are or-ed, the greatest plan limit and all add-ons count.
SELECT pg_temp.begin_life('holding', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('holding'), 'extra-bots') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.subscribe(customer, 'pro') FROM life WHERE name = 'holding' $$, 'QZ204', NULL, 'holding: not by accident');
SELECT qzpay.subscribe(customer, 'pro', trial_days => 0, allow_multiple => true, addons => '{"extra-bots": 2}') FROM life WHERE name = 'holding' \g /dev/null
SELECT is(pg_temp.bots('holding') || ' ' || pg_temp.can('holding'), '13 true', 'holding: ten of Pro and three more');
SELECT qzpay.cancel(pg_temp.of('holding'), 'now') \g /dev/null
SELECT is(pg_temp.bots('holding') || ' ' || pg_temp.can('holding'), '12 true', 'holding: without the first contract and its add-on');

-- A change of plan that waits for the year's end stops no month before it.
SELECT pg_temp.begin_life('convoy', '2026-01-19 09:00+00', plan => 'base', per => 'year', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('convoy'), 'engine') \g /dev/null
SELECT pg_temp.go('convoy', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.change_plan(pg_temp.of('convoy'), 'pro', 'year', effective => 'period_end') \g /dev/null
SELECT pg_temp.go('convoy', '2026-04-20 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(to_char(n.period_start, 'MM-DD ') || n.amount, ', ' ORDER BY n.period_start) FROM qzpay.invoice_lines n JOIN qzpay.invoices i ON i.id = n.invoice_id
           WHERE i.subscription_id = pg_temp.of('convoy') AND n.kind = 'addon'), '01-19 310, 02-19 310, 03-19 310, 04-19 310', 'convoy: every month of the add-on');

SELECT is_empty('SELECT * FROM pg_temp.unkept_previews()', 'every bill is what its preview said');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
