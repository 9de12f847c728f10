-- What the catalog may say and what follows for bills and access: set-up fees, paid trials, private products, terms of plans, versions; and documents at random.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

\set catalog `cat examples/asistia/catalog.json`
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null
SELECT lives_ok($$ SELECT qzpay.import_catalog('{
  "currency": "USD",
  "plans": [
    {"id": "house", "name": "House", "prices": {"month": {"amount": 10000}, "year": {"amount": 100000}}, "setupFee": {"USD": 500}},
    {"id": "taste", "name": "Taste", "prices": {"month": {"amount": 5000}}, "trial": {"days": 14, "price": {"USD": 100}}},
    {"id": "again", "name": "Again", "prices": {"month": {"amount": 3000}}, "trial": {"days": 10, "reuse": "always", "reminderDays": [2, 5.0, 2]}},
    {"id": "quiet", "name": "Quiet", "prices": {"month": {"amount": 3000}}, "trial": {"days": 10, "reuse": "per_plan", "reminderDays": []}, "expiringReminderDays": [4], "lateRenewalDays": 3},
    {"id": "daily", "name": "Daily", "prices": {"month": {"amount": 3100}}, "prorationUnit": "day"},
    {"id": "double", "name": "Double", "prices": {"month": {"amount": 6200}}, "prorationUnit": "second"},
    {"id": "careful", "name": "Careful", "prices": {"month": {"amount": 1000}}, "invoiceDraftHours": 12, "usage": {"messages": {"included": 10, "overageRate": 7}}},
    {"id": "hasty", "name": "Hasty", "prices": {"month": {"amount": 1000}}, "usage": {"messages": {"included": 10, "overageRate": 7}}}],
  "addons": [
    {"id": "rack", "name": "Rack", "pricePerUnit": 3100, "setupFee": 300},
    {"id": "whole", "name": "Whole", "pricePerUnit": 3100, "prorate": false},
    {"id": "parted", "name": "Parted", "pricePerUnit": 3100, "prorate": true, "limits": {"maxMessagesPerMonth": 100}},
    {"id": "pack", "name": "Pack", "pricePerUnit": 3100, "limits": {"maxMessagesPerMonth": 100}}]}') $$, 'the plans import');

CREATE TEMP TABLE life (name text PRIMARY KEY, clock uuid, customer uuid, tenant_id uuid, subscription uuid);
CREATE FUNCTION pg_temp.arrive(life_name text, at timestamptz, token text DEFAULT 'tok_ok') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    l.name := life_name;
    l.clock := qzpay.create_test_clock(at, life_name);
    SELECT c.id, c.tenant_id INTO l.customer, l.tenant_id FROM qzpay.sync_customer(life_name, life_name || '@example.org', life_name, test_clock => l.clock) c;
    IF token IS NOT NULL THEN
        PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', token);
    END IF;
    INSERT INTO life VALUES (l.*);
END $$;
CREATE FUNCTION pg_temp.take(life_name text, plan text, quantity integer DEFAULT 1, start_at timestamptz DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE life l SET subscription = (SELECT s.id FROM qzpay.subscribe(l.customer, plan, quantity => quantity, start_at => start_at) s) WHERE l.name = life_name;
    RETURN pg_temp.state(life_name);
END $$;
CREATE FUNCTION pg_temp.begin_life(life_name text, at timestamptz, plan text, token text DEFAULT 'tok_ok', quantity integer DEFAULT 1) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.arrive(life_name, at, token);
    RETURN pg_temp.take(life_name, plan, quantity);
END $$;
CREATE FUNCTION pg_temp.go(life_name text, at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT (SELECT 'now ' || a.now_at FROM life l, qzpay.advance_test_clock(l.clock, at) a WHERE l.name = life_name)
$$;
CREATE FUNCTION pg_temp.state(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT o.status || coalesce('/' || o.status_reason, '') || CASE WHEN o.has_access THEN ' access' ELSE ' no access' END
    FROM life l JOIN qzpay.subscription_overview o ON o.id = l.subscription WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.bills(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(to_char(i.created_at, 'MM-DD ') || coalesce((SELECT string_agg(n.kind || ' ' || n.amount, ' + ' ORDER BY n.position) FROM qzpay.invoice_lines n WHERE n.tenant_id = i.tenant_id AND n.invoice_id = i.id), '')
                               || ' = ' || i.total || ' ' || i.status, ', ' ORDER BY i.created_at, i.series_number), 'none')
    FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.happened(life_name text, types text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(to_char(e.occurred_at, 'MM-DD HH24:MI ') || e.type, ', ' ORDER BY e.id), 'nothing')
    FROM life l JOIN qzpay.events e ON e.customer_id = l.customer WHERE l.name = life_name AND e.type ~ types
$$;
CREATE FUNCTION pg_temp.addon(life_name text, addon text, quantity integer) RETURNS text LANGUAGE sql AS $$
    SELECT a.status::text FROM life l, qzpay.set_addon_quantity(l.subscription, addon, quantity, effective => 'now') a WHERE l.name = life_name
$$;

-- 1. The set-up fee: once, beside the first period, never discounted, and once per add-on however often its quantity changes.
SELECT is(pg_temp.begin_life('setup', '2026-02-01 00:00+00', 'house'), 'active access', 'set-up fee: active with the first payment');
SELECT is(pg_temp.bills('setup'), '02-01 setup 500 + plan 10000 = 10500 paid', 'set-up fee: 100.00 and 5.00');
SELECT pg_temp.go('setup', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('setup'), '02-01 setup 500 + plan 10000 = 10500 paid, 03-01 plan 10000 = 10000 paid', 'set-up fee: not again');
SELECT pg_temp.addon('setup', 'rack', 2) \g /dev/null
SELECT is((SELECT string_agg(n.kind || ' ' || n.amount, ' + ' ORDER BY n.position) FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer AND i.kind = 'proration'
           JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id WHERE l.name = 'setup'), 'addon 6200 + setup 300', 'set-up fee of an add-on: once, whatever the quantity');
SELECT pg_temp.addon('setup', 'rack', 3) \g /dev/null
SELECT pg_temp.addon('setup', 'rack', 0) \g /dev/null
SELECT pg_temp.addon('setup', 'rack', 1) \g /dev/null
SELECT is((SELECT count(*) FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id AND n.kind = 'setup'
           WHERE l.name = 'setup'), 2::bigint, 'set-up fee of an add-on: more, none and one again ask for nothing');
SELECT pg_temp.arrive('setup_code', '2026-02-01 00:00+00') \g /dev/null
SELECT count(*) FROM qzpay.import_catalog('{"promoCodes": [{"code": "HALF", "type": "percentage", "value": 50}]}') \g /dev/null
SELECT qzpay.subscribe(customer, 'house', promo_code => 'HALF') FROM life WHERE name = 'setup_code' \g /dev/null
SELECT is(pg_temp.bills('setup_code'), '02-01 setup 500 + plan 10000 = 5500 paid', 'set-up fee: half of the plan and all of the fee');
SELECT results_eq($$ SELECT setup_fee, monthly_amount, yearly_saving_percent, yearly_per_month, prices FROM qzpay.plans WHERE code = 'house' $$,
                  $$ VALUES (500::numeric, 10000::numeric, 17, 8333::numeric, '{"month": 10000, "year": 100000}'::jsonb) $$, 'set-up fee: beside the prices, not among them');

-- 2. The paid trial: invoiced at its start, begun by the payment, in full length from there; then what is sold.
SELECT is(pg_temp.begin_life('taste', '2026-01-05 09:00+00', 'taste', quantity => 2), 'trialing access', 'paid trial: paid at once, so begun at once');
SELECT is(pg_temp.bills('taste'), '01-05 setup 200 = 200 paid', 'paid trial: two at 1.00');
SELECT results_eq($$ SELECT n.period_start, n.period_end, n.description FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id WHERE l.name = 'taste' $$,
                  $$ VALUES ('2026-01-05 09:00+00'::timestamptz, '2026-01-19 09:00+00'::timestamptz, 'Taste: trial') $$, 'paid trial: its line is the whole trial');
SELECT pg_temp.go('taste', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('taste'), '01-05 setup 200 = 200 paid, 01-19 plan 10000 = 10000 paid', 'paid trial: then the plan');
SELECT is(pg_temp.happened('taste', 'trial|subscription'), '01-05 09:00 subscription.created, 01-05 09:00 trial.started, 01-12 09:00 trial.expiring, 01-16 09:00 trial.expiring, 01-18 09:00 trial.expiring, 01-19 09:00 trial.converted',
          'paid trial: the events of a trial');
SELECT is(pg_temp.begin_life('taste_late', '2026-01-05 09:00+00', 'taste', NULL), 'incomplete/awaiting_payment no access', 'paid trial, no card: incomplete, no access');
SELECT pg_temp.go('taste_late', '2026-01-05 19:00+00') \g /dev/null
SELECT qzpay.attach_payment_method(customer, 'sandbox', 'tok_ok') FROM life WHERE name = 'taste_late' \g /dev/null
SELECT pg_temp.go('taste_late', '2026-01-05 19:00+00') \g /dev/null
SELECT is(pg_temp.state('taste_late') || ' ' || (SELECT s.trial_end FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'taste_late'), 'trialing access 2026-01-19 19:00:00+00',
          'paid trial, card ten hours later: in full length from the payment');
SELECT is(pg_temp.begin_life('taste_never', '2026-01-05 09:00+00', 'taste', 'tok_insufficient_funds'), 'incomplete/awaiting_payment no access', 'paid trial, declined: incomplete');
SELECT pg_temp.go('taste_never', '2026-01-06 07:59:59+00') \g /dev/null
SELECT is(pg_temp.state('taste_never'), 'incomplete/awaiting_payment no access', 'paid trial, declined: 23 hours');
SELECT pg_temp.go('taste_never', '2026-01-06 08:00+00') \g /dev/null
SELECT is(pg_temp.state('taste_never') || ', ' || pg_temp.bills('taste_never'), 'incomplete_expired/payment_timeout no access, 01-05 setup 100 = 100 void', 'paid trial, declined: over, and nothing is owed');
SELECT qzpay.attach_payment_method(customer, 'sandbox', 'tok_ok') FROM life WHERE name = 'taste_never' \g /dev/null
SELECT is(pg_temp.take('taste_never', 'taste'), 'trialing access', 'paid trial: one that never began is no trial had');
SELECT pg_temp.arrive('taste_ahead', '2026-01-05 09:00+00', NULL) \g /dev/null
SELECT is(pg_temp.take('taste_ahead', 'taste', start_at => '2026-01-10 00:00+00'), 'incomplete/scheduled no access', 'paid trial ahead: nothing yet');
SELECT is(pg_temp.bills('taste_ahead'), 'none', 'paid trial ahead: no invoice yet');
SELECT qzpay.attach_payment_method(customer, 'sandbox', 'tok_ok') FROM life WHERE name = 'taste_ahead' \g /dev/null
SELECT is(pg_temp.state('taste_ahead'), 'incomplete/scheduled no access', 'a trial ahead is not begun by a payment method');
SELECT pg_temp.go('taste_ahead', '2026-01-24 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('taste_ahead'), '01-10 setup 100 = 100 paid, 01-24 plan 5000 = 5000 paid', 'paid trial ahead: each at its instant');
SELECT is((SELECT count(*) FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer WHERE l.name = 'taste_ahead'), 2::bigint, 'paid trial ahead: each once');
SELECT pg_temp.arrive('taste_code', '2026-01-05 09:00+00') \g /dev/null
SELECT qzpay.subscribe(customer, 'taste', promo_code => 'HALF') FROM life WHERE name = 'taste_code' \g /dev/null
SELECT pg_temp.go('taste_code', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('taste_code'), '01-05 setup 100 = 100 paid, 01-19 plan 5000 = 2500 paid', 'paid trial: a code is for the plan');
SELECT is((SELECT s.status || '' FROM life l, qzpay.subscribe(l.customer, 'taste', trial_days => 0, allow_multiple => true) s WHERE l.name = 'taste'), 'active', 'paid trial: without a trial nothing of it');

-- 3. Terms of a plan before the settings.
SELECT pg_temp.begin_life('again', '2026-01-05 09:00+00', 'again') \g /dev/null
SELECT pg_temp.go('again', '2026-01-14 00:00+00') \g /dev/null
SELECT is(pg_temp.happened('again', 'expiring'), '01-10 09:00 trial.expiring, 01-13 09:00 trial.expiring', 'reminders: the plan''s days');
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'again' \g /dev/null
SELECT is(pg_temp.take('again', 'again'), 'trialing access', 'trial reuse: always');
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'again' \g /dev/null
SELECT is(pg_temp.take('again', 'quiet'), 'trialing access', 'trial reuse: per plan, the first of this one');
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'again' \g /dev/null
SELECT is(pg_temp.take('again', 'quiet'), 'active access', 'trial reuse: per plan, no second one');
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'again' \g /dev/null
SELECT is(pg_temp.take('again', 'pro'), 'active access', 'trial reuse: never, by the setting');

SELECT pg_temp.begin_life('quiet', '2026-01-05 09:00+00', 'quiet') \g /dev/null
SELECT pg_temp.go('quiet', '2026-01-20 00:00+00') \g /dev/null
SELECT is(pg_temp.happened('quiet', 'expiring|converted'), '01-15 09:00 trial.converted', 'reminders: none where the plan wants none');
SELECT is((SELECT s.access_until - s.current_period_end FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'quiet'), interval '3 days', 'late renewal: the plan''s days');
SELECT qzpay.cancel(subscription, 'period_end') FROM life WHERE name = 'quiet' \g /dev/null
SELECT pg_temp.go('quiet', '2026-02-15 09:00+00') \g /dev/null
SELECT is(pg_temp.happened('quiet', 'expiring'), '02-11 09:00 subscription.expiring', 'expiring reminders: the plan''s days');
SELECT is((SELECT s.late_renewal_days FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'setup'), 30, 'late renewal: else the setting');
SELECT pg_temp.begin_life('moves', '2026-02-01 00:00+00', 'house') \g /dev/null
SELECT qzpay.change_plan(subscription, 'quiet', effective => 'now') FROM life WHERE name = 'moves' \g /dev/null
SELECT results_eq($$ SELECT s.late_renewal_days, s.expiring_reminder_days FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'moves' $$, $$ VALUES (3, '{4}'::integer[]) $$, 'a change of plan takes on its terms');

-- By day the day of the change belongs to the new plan: 21 of 31 days; by second 20.5. Credit and debit by the measure of the plan that was held.
SELECT pg_temp.begin_life('by_day', '2026-01-01 00:00+00', 'daily') \g /dev/null
SELECT pg_temp.go('by_day', '2026-01-11 12:00+00') \g /dev/null
SELECT qzpay.change_plan(subscription, 'double', effective => 'now') FROM life WHERE name = 'by_day' \g /dev/null
SELECT is(pg_temp.bills('by_day'), '01-01 plan 3100 = 3100 paid, 01-11 plan -2100 + plan 4200 = 2100 paid', 'proration by day');
SELECT pg_temp.begin_life('by_second', '2026-01-01 00:00+00', 'double') \g /dev/null
SELECT pg_temp.go('by_second', '2026-01-11 12:00+00') \g /dev/null
SELECT qzpay.change_plan(subscription, quantity => 2, plan => 'double', effective => 'now') FROM life WHERE name = 'by_second' \g /dev/null
SELECT is(pg_temp.bills('by_second'), '01-01 plan 6200 = 6200 paid, 01-11 plan -4100 + plan 8200 = 4100 paid', 'proration by second');

SELECT pg_temp.begin_life('careful', '2026-01-01 00:00+00', 'careful') \g /dev/null
SELECT pg_temp.begin_life('hasty', '2026-01-01 00:00+00', 'hasty') \g /dev/null
SELECT qzpay.record_usage(customer, 'messages', 15, name) FROM life WHERE name IN ('careful', 'hasty') \g /dev/null
SELECT pg_temp.go(n, '2026-02-01 11:59+00') FROM unnest('{careful,hasty}'::text[]) n \g /dev/null
SELECT is(pg_temp.bills('hasty'), '01-01 plan 1000 = 1000 paid, 02-01 plan 1000 + usage 35 = 1035 paid', 'usage is final at once');
SELECT is(pg_temp.bills('careful'), '01-01 plan 1000 = 1000 paid, 02-01 plan 1000 + usage 35 = 1035 draft', 'usage waits for the hours of the plan');
SELECT is((SELECT i.finalize_at FROM qzpay.invoices i JOIN life l ON l.customer = i.customer_id WHERE l.name = 'careful' AND i.status = 'draft'), '2026-02-01 12:00+00'::timestamptz, 'and no longer');

-- 4. Add-ons by time or in full: 17 of 31 days from 01-15.
SELECT pg_temp.begin_life('parts', '2026-01-01 00:00+00', 'hasty') \g /dev/null
SELECT pg_temp.go('parts', '2026-01-15 00:00+00') \g /dev/null
SELECT pg_temp.addon('parts', a, 1) FROM unnest('{rack,whole,parted,pack}'::text[]) a \g /dev/null
SELECT is((SELECT string_agg(p.code || ' ' || n.amount, ', ' ORDER BY p.code) FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id
           JOIN qzpay.products p ON p.id = n.product_id WHERE l.name = 'parts' AND n.kind = 'addon'), 'pack 3100, parted 1700, rack 1700, whole 3100', 'proration: as the add-on says, and in full where it sells quantity');
SELECT set_eq($$ SELECT code, is_prorated FROM qzpay.addons WHERE code IN ('rack', 'whole', 'parted', 'pack') $$, $$ VALUES ('rack', true), ('whole', false), ('parted', true), ('pack', false) $$, 'and the view says so');

-- 5. Versions of prices, and who is on which.
SELECT count(*) FROM qzpay.import_catalog('{"currency": "USD", "plans": [{"id": "house", "name": "House", "prices": {"month": {"amount": 12000}, "year": {"amount": 100000}}, "setupFee": {"USD": 800}}]}') \g /dev/null
SELECT pg_temp.begin_life('newer', '2026-02-01 00:00+00', 'house') \g /dev/null
SELECT is(pg_temp.bills('newer'), '02-01 setup 800 + plan 12000 = 12800 paid', 'a new version is for who comes now');
SELECT pg_temp.go('setup', '2026-05-01 00:00+00') \g /dev/null
SELECT is((SELECT max(n.amount) FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id AND n.kind = 'plan'
           WHERE l.name = 'setup' AND n.period_start = '2026-04-01 00:00+00'), 10000::bigint, 'who was there keeps the old one');
SELECT results_eq($$ SELECT part, billing_interval, version, unit_amount, is_sold, subscriptions FROM qzpay.price_history WHERE code = 'house' ORDER BY part, billing_interval, version $$,
                  $$ VALUES ('price', 'month', 1, 10000::numeric, false, 2::bigint), ('price', 'month', 2, 12000, true, 1), ('price', 'year', 1, 100000, true, 0),
                            ('setup', 'once', 1, 500, false, 0), ('setup', 'once', 2, 800, true, 0) $$, 'price_history: versions, and how many are on each');
SELECT results_eq($$ SELECT meter, version, is_sold, subscriptions FROM qzpay.charge_history WHERE code = 'hasty' $$, $$ VALUES ('messages', 1, true, 2::bigint) $$, 'charge_history: the same for usage');

-- 6. Private products: one tenant's only.
SELECT pg_temp.arrive(n, '2026-02-01 00:00+00') FROM unnest('{acme,rival}'::text[]) n \g /dev/null
CREATE FUNCTION pg_temp.refusal(doc jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    d text;
BEGIN
    PERFORM qzpay.import_catalog(doc);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || d || ': ' || SQLERRM;
END $$;
CREATE TEMP TABLE custom AS SELECT '{"currency": "USD",
    "plans": [{"id": "acme-gold", "tenant": "acme", "name": "Gold", "prices": {"month": {"amount": 77700}}, "entitlements": {"canUseApi": true}, "includesAddons": ["plugin-crm"], "applicableAddons": ["priority-support"]},
              {"id": "pro", "tenant": "acme", "name": "Pro for Acme", "prices": {"month": {"amount": 5}}}],
    "addons": [{"id": "acme-extra", "tenant": "acme", "name": "Extra", "pricePerUnit": 10, "requiredPlan": ["acme-gold", "enterprise"]}]}'::jsonb AS doc;
SELECT is((SELECT string_agg(i.action || ' ' || i.kind || ' ' || regexp_replace(i.code, '[0-9a-f-]{36}', (SELECT CASE WHEN i.code LIKE '%' || l.tenant_id || '%' THEN 'ACME' END FROM life l WHERE l.name = 'acme')), ', ' ORDER BY i.kind, i.code)
           FROM custom, qzpay.import_catalog(doc) i), 'create addon acme-extra @ACME, create plan acme-gold @ACME, create plan pro @ACME, create price acme-extra @ACME/USD/month, create price acme-gold @ACME/USD/month, create price pro @ACME/USD/month',
          'private: the rows name the tenant');
SELECT is((SELECT count(*) FROM custom, qzpay.import_catalog(doc)), 0::bigint, 'private: the second time there is nothing to do');
SELECT is((SELECT count(*) FROM qzpay.import_catalog(:'catalog')), 0::bigint, 'private: the shared catalog is as it was');
SELECT is((SELECT count(*) FROM qzpay.import_catalog(qzpay.export_catalog(true))), 0::bigint, 'private: round trip');
SELECT is(jsonb_path_query_array(qzpay.export_catalog(true), '$.*[*] ? (exists(@.tenant))."tenant"'), '["acme", "acme", "acme"]', 'private: exported when asked for, by the external id');
SELECT is(qzpay.export_catalog() @? '$.*[*].tenant', false, 'private: and else left out');
SELECT is(pg_temp.refusal('{"plans": [{"id": "x", "name": "X", "tenant": "nobody"}]}'), 'QZ601 plans[0].tenant: invalid catalog document: unknown tenant "nobody"', 'private: the tenant has to be there');
SELECT is(pg_temp.refusal('{"plugins": {"p": {"id": "x", "name": "X", "tenant": 7}}}'), 'QZ601 plugins.p.tenant: invalid catalog document: a string is wanted, not 7', 'private: and to be named');
SELECT is(pg_temp.refusal('{"currency": "USD", "addons": [{"id": "x", "name": "X", "requiredPlan": "acme-gold"}]}'), 'QZ601 addons[0].requiredPlan: invalid catalog document: unknown plan "acme-gold"', 'private: what is everybody''s does not name it');
SELECT is(pg_temp.refusal('{"currency": "USD", "addons": [{"id": "x", "name": "X", "tenant": "rival", "requiredPlan": "acme-gold"}]}'), 'QZ601 addons[0].requiredPlan: invalid catalog document: unknown plan "acme-gold"', 'private: nor does another tenant');
SELECT is(pg_temp.refusal('{"plans": [{"id": "x", "name": "X", "includesAddons": ["plugin-crm"]}]}'), 'QZ601 plans[0].includesAddons: invalid catalog document: the add-on says it, where a plan is not private to a tenant', 'private: what the add-on says is said there');
SELECT is(pg_temp.refusal('{"defaultPlan": "acme-gold"}'), 'QZ601 defaultPlan: invalid catalog document: unknown plan "acme-gold"', 'private: not the default plan');
SELECT throws_ok(format($$ SELECT qzpay.subscribe(%L::uuid, 'acme-gold') $$, (SELECT customer FROM life WHERE name = 'rival')), 'QZ401', 'unknown plan "acme-gold"', 'private: another tenant cannot subscribe');
SELECT is(pg_temp.take('acme', 'acme-gold'), 'active access', 'private: its own tenant does');
SELECT is(pg_temp.bills('acme'), '02-01 plan 77700 = 77700 paid', 'private: at its price');
SELECT is((SELECT qzpay.has_entitlement(customer, 'canUseApi') FROM life WHERE name = 'acme'), true, 'private: it grants what it says');
SELECT throws_ok(format($$ SELECT qzpay.add_addon(%L, 'plugin-crm') $$, (SELECT subscription FROM life WHERE name = 'acme')), 'QZ204', 'plan "acme-gold" includes add-on "plugin-crm" already', 'private: it includes an add-on of the catalog');
SELECT is((SELECT a.status::text FROM life l, qzpay.add_addon(l.subscription, 'priority-support') a WHERE l.name = 'acme'), 'active', 'private: another may join it');
SELECT is((SELECT a.status::text FROM life l, qzpay.add_addon(l.subscription, 'acme-extra') a WHERE l.name = 'acme'), 'active', 'private: and one of its own');
SELECT is((SELECT p.code || ' ' || (p.tenant_id IS NOT NULL) FROM qzpay.products p WHERE p.id = qzpay._find_product((SELECT tenant_id FROM life WHERE name = 'acme'), 'plan', 'pro')), 'pro true', 'private: goes before what everybody has under that code');
GRANT SELECT ON life TO qzpay_app;
SET LOCAL ROLE qzpay_app;
SELECT is((SELECT count(*) FROM qzpay.plans WHERE is_private), 0::bigint, 'private: no context sees none');
SELECT qzpay.set_tenant(tenant_id) FROM life WHERE name = 'rival' \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.products p WHERE p.tenant_id IS NOT NULL) || ' ' || (SELECT count(*) FROM qzpay.price_history WHERE is_private) || ' ' || (SELECT count(*) FROM qzpay.plans WHERE code = 'pro')
          || ' ' || (SELECT count(*) FROM qzpay.addons WHERE is_private), '0 0 1 0', 'private: another tenant sees neither product nor price');
SELECT qzpay.set_tenant(NULL) \g /dev/null
SELECT qzpay.set_tenant(tenant_id) FROM life WHERE name = 'acme' \g /dev/null
SELECT is((SELECT string_agg(code, ' ' ORDER BY code) FROM qzpay.plans WHERE is_private), 'acme-gold pro', 'private: its own tenant does');
SELECT throws_ok($$ SELECT qzpay.import_catalog('{}') $$, '42501', NULL, 'an application imports nothing');
RESET ROLE;

-- 7. Negotiated terms.
SELECT pg_temp.arrive('deal', '2026-02-01 00:00+00') \g /dev/null
SELECT throws_ok(format($$ SELECT qzpay.subscribe(%L::uuid, 'hasty', terms => %L) $$, l.customer, t.terms), '22023', t.message, 'terms that cannot be: ' || t.terms)
FROM life l, (VALUES ('{"unit_amount": -1}', 'unit amount -1 is not possible'), ('{"amount": 5}', 'terms must be a JSON object of unit_amount, name and included'),
    ('[1]', 'terms must be a JSON object of unit_amount, name and included'), ('{"included": {"faxes": 1}}', 'included must be a JSON object of meters and quantities'),
    ('{"included": 7}', 'included must be a JSON object of meters and quantities')) t (terms, message) WHERE l.name = 'deal';
UPDATE life l SET subscription = (SELECT s.id FROM qzpay.subscribe(l.customer, 'hasty', terms => '{"unit_amount": 800, "name": "Deal", "included": {"messages": 12}}') s) WHERE l.name = 'deal';
SELECT qzpay.record_usage(customer, 'messages', 15, 'deal') FROM life WHERE name = 'deal' \g /dev/null
SELECT pg_temp.go('deal', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('deal'), '02-01 plan 800 = 800 paid, 03-01 plan 800 + usage 21 = 821 paid', 'terms: price and included quantity');
SELECT is((SELECT negotiated FROM qzpay.price_history WHERE code = 'hasty' AND is_sold), 1::bigint, 'terms: counted beside the version');
SELECT ok(NOT has_function_privilege('qzpay_tenant', 'qzpay.set_item_terms(uuid, text, numeric, text, jsonb, text, text, text)', 'EXECUTE')
      AND NOT has_function_privilege('qzpay_tenant', 'qzpay.subscribe(uuid, text, text, text, integer, text, integer, timestamptz, text, boolean, boolean, text, jsonb, jsonb, jsonb)', 'EXECUTE'), 'terms: not for a tenant role');

-- 8. Documents at random: whatever is changed, a document is taken or refused with QZ601; what is taken is taken once, and comes out again as it went in.
CREATE TEMP TABLE base AS
SELECT d.doc || jsonb_build_object('plans', d.doc -> 'plans' || (r.doc -> 'plans'), 'addons', d.doc -> 'addons' || (r.doc -> 'addons'), 'features', r.doc -> 'features',
                                   'promoCodes', d.doc -> 'promoCodes' || (r.doc -> 'promoCodes'), 'meters', d.doc -> 'meters' || (r.doc -> 'meters'), 'taxRates', r.doc -> 'taxRates') AS doc
FROM (SELECT :'catalog'::jsonb AS doc) d,
     (SELECT '{"features": {"channel": {"kind": "text"}}, "meters": {"faxes": {"unit": "page", "dimensions": ["to"]}, "people": {"aggregation": "unique", "valueProperty": "who"}, "load": {"aggregation": "avg"}},
        "plans": [{"id": "gold", "tenant": "acme", "name": "Gold", "prices": {"month": {"amount": 100}, "14 days": [{"amount": 500, "currency": "EUR"}, {"amount": 600, "currency": "USD"}]}, "setupFee": {"USD": 500},
                   "trial": {"days": 7, "price": {"USD": 99, "EUR": 3}, "reuse": "always", "reminderDays": []}, "expiringReminderDays": [3, 1], "graceDays": 7, "lateRenewalDays": 3, "prorationUnit": "day",
                   "invoiceDraftHours": 2, "includesAddons": ["plugin-crm"], "applicableAddons": ["priority-support"], "entitlements": {"channel": "fax"}, "limitedFeatures": ["canUseApi"], "minQuantity": 1,
                   "maxQuantity": 9, "tierRank": 5, "sortOrder": 3, "display": {"color": "red"}, "aliases": ["yellow"], "categories": ["a"], "usageInterval": "month", "metadata": {"a": 1},
                   "usage": {"messages": [{"included": 5, "overageRate": 2, "unit": 1, "rounding": "exact", "currency": "USD"}],
                             "faxes": {"currency": "USD", "model": "graduated", "pricing": {"tiers": [{"up_to": 100, "unit_amount": 2}, {"up_to": null, "unit_amount": 1, "flat_amount": 5}], "minimum_amount": 3}}}}],
        "addons": {"x": {"id": "golden", "tenant": "acme", "name": "X", "pricePerUnit": 10, "requiredPlan": ["gold", "pro"], "setupFee": 3, "prorate": true, "requires": ["plugin-crm"], "incompatibleWith": ["extra-bots"]}},
        "promoCodes": {"FAX": {"type": "percentage", "value": 12.5, "config": {"forever": true}, "combinable": false,
                               "restrictions": {"startsAt": "2026-03-01T10:00:00.5-03:00", "validIntervals": ["mensual", "14 day"], "usageThreshold": {"metric": "faxes", "minValue": 3}}},
                       "VOL": {"type": "volume", "tiers": [{"from": 3, "percentage": 10}, {"from": 10, "percentage": 20}], "restrictions": {"allProducts": ["extra-bots"], "minPurchaseAmount": 3}}},
        "taxRates": [{"id": "iva", "percentage": 10.5, "validUntil": "2026-01-31"}, {"id": "iva", "percentage": 21, "name": "IVA", "inclusive": true, "validFrom": "2026-02-01", "validUntil": "2030-01-01T00:00:00Z"},
                     {"id": "city", "tax": "local", "percentage": 4, "automatic": false, "country": "US", "region": "NY", "products": ["pro"], "categories": ["a"], "seller": "default"}]}'::jsonb AS doc) r;
CREATE FUNCTION pg_temp.paths(doc jsonb) RETURNS TABLE (path text[], value jsonb) LANGUAGE sql IMMUTABLE AS $$
    WITH RECURSIVE w AS (
        SELECT '{}'::text[] AS path, doc AS value
        UNION ALL
        SELECT w.path || e.key, e.value FROM w CROSS JOIN LATERAL (
            SELECT o.key, o.value FROM jsonb_each(CASE jsonb_typeof(w.value) WHEN 'object' THEN w.value ELSE '{}' END) o
            UNION ALL SELECT (a.ordinality - 1)::text, a.value FROM jsonb_array_elements(CASE jsonb_typeof(w.value) WHEN 'array' THEN w.value ELSE '[]' END) WITH ORDINALITY a) e)
    SELECT w.path, w.value FROM w WHERE w.path <> '{}' ORDER BY array_to_string(w.path, '/') COLLATE "C"
$$;
CREATE FUNCTION pg_temp.mutate(doc jsonb, paths text[], givens jsonb[]) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    odd jsonb[] := ARRAY['null', 'true', 'false', '-1', '0', '1', '2', '7.0', '0.5', '1e3', '16', '1000', '3651', '2147483648', '1e15', '1e30', '1e-13', '-0.0', '""', '" "', '"x"', '"pro"', '"plugin-crm"', '"inf"', '"acme"', '"USD"',
        '"JPY"', '"messages"', '"maxBots"', '"month"', '"2 month"', '"once"', '"trial"', '"1001 day"', '"2025-02-30"', '"infinity"', '"epoch"', '"2025-12-31"', '"294277-01-01"', '"0000-01-01"', '[]', '{}', '[null]', '[[]]',
        '{"a": 1}', '{"USD": 5}', '{"USD": 0, "EUR": 3}', '["pro"]', '["x", "x"]', '[1, 1]', '{"month": {"amount": 1}}', '[{}]', '"a/b"', '"a @b"', '"é\u0001"', to_jsonb(repeat('y', 300))]::jsonb[];
    names text[] := '{x,id,price,currency,prices,tenant,limits,usage,trial,code,value,tiers,conditions,setupFee,includesAddons,0,-1}';
    at text[] := ARRAY(SELECT json_array_elements_text(paths[1 + floor(random() * cardinality(paths))::integer]::json));
    what jsonb := CASE WHEN random() < 0.7 THEN odd[1 + floor(random() * cardinality(odd))::integer] ELSE givens[1 + floor(random() * cardinality(givens))::integer] END;
    name text := names[1 + floor(random() * cardinality(names))::integer];
    kind integer := floor(random() * 5);
BEGIN
    RETURN CASE kind WHEN 0 THEN doc #- at WHEN 1 THEN jsonb_set(doc, at || name, what) ELSE jsonb_set(doc, at, what) END;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN doc;     -- a name where an array wants a number
END $$;
CREATE FUNCTION pg_temp.fuzz(seed double precision, rounds integer) RETURNS TABLE (code text, changed text) LANGUAGE plpgsql AS $$
DECLARE
    base jsonb := (SELECT b.doc FROM base b);
    paths text[] := ARRAY(SELECT to_json(p.path)::text FROM pg_temp.paths(base) p);
    givens jsonb[] := ARRAY(SELECT p.value FROM pg_temp.paths(base) p);
    doc jsonb;
BEGIN
    PERFORM setseed(seed);
    FOR i IN 1 .. rounds LOOP
        doc := pg_temp.mutate(base, paths, givens);
        IF random() < 0.5 THEN
            doc := pg_temp.mutate(doc, paths, givens);
        END IF;
        BEGIN
            PERFORM count(*) FROM qzpay.import_catalog(doc);
            code := CASE WHEN EXISTS (SELECT FROM qzpay.import_catalog(doc) x WHERE x.action <> 'warning') THEN 'not idempotent'
                         WHEN EXISTS (SELECT FROM qzpay.import_catalog(qzpay.export_catalog(true)) x WHERE x.action <> 'warning') THEN 'no round trip' ELSE 'taken' END;
            RAISE EXCEPTION USING ERRCODE = 'ZZ000';
        EXCEPTION
            WHEN SQLSTATE 'ZZ000' THEN NULL;
            WHEN SQLSTATE 'QZ601' THEN code := 'refused';
            WHEN OTHERS THEN code := SQLSTATE || ' ' || SQLERRM;
        END;
        changed := (SELECT string_agg(array_to_string(p.path, '.') || '=' || left(p.value::text, 60), ' ') FROM (SELECT * FROM pg_temp.paths(doc) EXCEPT SELECT * FROM pg_temp.paths(base)) p
                    WHERE jsonb_typeof(p.value) NOT IN ('object', 'array') OR p.value IN ('[]', '{}'));
        RETURN NEXT;
    END LOOP;
END $$;
SELECT count(*) FROM base, qzpay.import_catalog(doc) \g /dev/null
CREATE TEMP TABLE fuzzed AS SELECT * FROM pg_temp.fuzz(0.42, 40);
SELECT is_empty($$ SELECT * FROM fuzzed WHERE code NOT IN ('taken', 'refused') $$, 'random documents: taken, or refused with QZ601');
SELECT ok(count(*) FILTER (WHERE code = 'taken') > 5 AND count(*) FILTER (WHERE code = 'refused') > 5, 'random documents: some of each') FROM fuzzed;

SELECT is_empty($$ SELECT check_name, violations, evidence FROM qzpay.check_integrity() WHERE violations > 0 $$, 'the books are right');
SELECT * FROM finish();
ROLLBACK;
