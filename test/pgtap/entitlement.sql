-- What customers have: limited access, decisions for one customer, where it comes from.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

SELECT lives_ok($$ SELECT qzpay.import_catalog('{
    "currency": "USD", "defaultPlan": "none",
    "features": {"level": {"kind": "text"}},
    "limits": {"perMinute": {"kind": "rate"}, "upload": {"kind": "value"}, "exports": {"kind": "concurrency"}, "monthly": {"kind": "period", "meter": "calls"}, "billed": {"kind": "period", "meter": "texts"}},
    "meters": {"calls": {}, "texts": {}},
    "plans": [
        {"id": "none", "name": "None", "prices": {"month": {"amount": 0}}, "entitlements": {"read": true}, "limits": {"seats": 1, "monthly": 10}},
        {"id": "team", "name": "Team", "prices": {"month": {"amount": 1000}}, "graceAccess": "limited", "limitedFeatures": ["export", "seats", "level", "monthly"],
         "entitlements": {"read": true, "write": true, "export": true, "level": "silver"}, "limits": {"seats": 5, "bots": 10, "monthly": 1000, "billed": 50, "perMinute": 60, "upload": 25.5, "exports": 2},
         "usage": {"texts": {"included": 50, "overageRate": 2, "limitType": "soft"}}},
        {"id": "free", "name": "Free of charge", "prices": {"month": {"amount": 0}}, "entitlements": {"read": true, "write": false}, "limits": {"seats": null}}],
    "addons": [
        {"id": "more-seats", "name": "More seats", "price": 100, "limits": {"seats": 2, "bots": 1}},
        {"id": "gold", "name": "Gold", "price": 100, "entitlements": {"level": "gold", "sso": true}}]}') $$, 'a catalog with every kind of feature imports');
SELECT throws_ok($$ SELECT qzpay.import_catalog('{"plans": [{"id": "x", "name": "X", "limitedFeatures": ["nothing"]}]}') $$, 'QZ601', NULL, 'a limited feature must exist');
SELECT is_empty($$ SELECT * FROM qzpay.import_catalog(qzpay.export_catalog()) $$, 'the catalog comes back as it went out');
SELECT is((SELECT p ->> 'limitedFeatures' FROM jsonb_array_elements(qzpay.export_catalog() -> 'plans') p WHERE p ->> 'id' = 'team'), '["export", "level", "monthly", "seats"]', 'limited features are exported');

CREATE TEMP TABLE life (name text PRIMARY KEY, clock uuid, customer uuid, subscription uuid);
CREATE FUNCTION pg_temp.begin_life(life_name text, plan text DEFAULT 'team', token text DEFAULT 'tok_ok') RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    l.name := life_name;
    l.clock := qzpay.create_test_clock('2026-01-19 09:00+00', life_name);
    l.customer := (qzpay.sync_customer(life_name, test_clock => l.clock)).id;
    IF plan IS NOT NULL THEN
        PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', token);
        l.subscription := (qzpay.subscribe(l.customer, plan, trial_days => 0)).id;
    END IF;
    INSERT INTO life VALUES (l.*);
    RETURN l.customer;
END $$;
CREATE FUNCTION pg_temp.go(life_name text, at timestamptz) RETURNS text LANGUAGE sql AS $$
    SELECT (SELECT 'now ' || a.now_at FROM life l, qzpay.advance_test_clock(l.clock, at) a WHERE l.name = life_name)
$$;
CREATE FUNCTION pg_temp.add(life_name text, addon text, n integer DEFAULT 1) RETURNS void LANGUAGE sql AS $$
    INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
    SELECT s.tenant_id, qzpay.uuid_v7(), s.id, p.id, c.id, 'addon', n, qzpay.now(s.customer_id), s.created_at
    FROM life l JOIN qzpay.subscriptions s ON s.id = l.subscription, qzpay.products p JOIN qzpay.prices c ON c.product_id = p.id WHERE l.name = life_name AND p.code = addon
$$;
-- The features a customer has, and its limits.
CREATE FUNCTION pg_temp.has(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(f.code, ' ' ORDER BY f.code), 'nothing') FROM life l, qzpay.features f
    WHERE l.name = life_name AND f.kind <> 'limit' AND qzpay.has_entitlement(l.customer, f.code)
$$;
CREATE FUNCTION pg_temp.limits(life_name text, codes text DEFAULT '^(bots|seats|monthly)$') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(f.code || ' ' || coalesce(qzpay.feature_value(l.customer, f.code)::text, '-'), ', ' ORDER BY f.code) FROM life l, qzpay.features f WHERE l.name = life_name AND f.kind = 'limit' AND f.code ~ codes
$$;
CREATE FUNCTION pg_temp.happened(life_name text, types text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(to_char(e.occurred_at, 'MM-DD HH24:MI ') || e.type, ', ' ORDER BY e.id), 'nothing')
    FROM life l JOIN qzpay.events e ON e.customer_id = l.customer WHERE l.name = life_name AND e.type ~ types
$$;

-- 1. Limited access: in a grace that is limited.
SELECT pg_temp.begin_life('grace') AS grace \gset
SELECT is(pg_temp.has('grace'), 'export level read write', 'in full access everything');
SELECT is(pg_temp.limits('grace'), 'bots 10, monthly 1000, seats 5', 'and every limit');
SELECT pg_temp.add('grace', 'more-seats', 2) \g /dev/null
SELECT pg_temp.add('grace', 'gold') \g /dev/null
SELECT is(pg_temp.limits('grace'), 'bots 12, monthly 1000, seats 9', 'add-ons add');
SELECT is(qzpay.feature_value('grace', 'level'), '"gold"', 'an add-on''s text stands before the plan''s');
SELECT qzpay.attach_payment_method(:'grace', 'sandbox', 'tok_decline') \g /dev/null
SELECT pg_temp.go('grace', '2026-02-19 09:00+00') \g /dev/null
SELECT is((SELECT status || ' ' || has_access FROM qzpay.subscription_overview WHERE external_id = 'grace'), 'past_due true', 'a renewal failed, grace runs');
SELECT is(pg_temp.has('grace'), 'export level', 'limited access is what the plan keeps');
SELECT is(pg_temp.limits('grace'), 'bots -, monthly 1000, seats 9', 'limits likewise; add-ons of a limit that is kept still add');
SELECT is((qzpay.check_limit('grace', 'bots', 0)).reason, 'no_access', 'a limit that is not kept allows nothing');
SELECT is(qzpay.feature_value('grace', 'level'), '"gold"', 'a text that is kept');
SELECT is((SELECT count(*) FROM qzpay.list_entitlements(:'grace') WHERE limited), (SELECT count(*) FROM qzpay.list_entitlements(:'grace')), 'every source is limited');
SELECT qzpay.attach_payment_method(:'grace', 'sandbox', 'tok_ok') \g /dev/null
SELECT pg_temp.go('grace', '2026-02-20 09:00+00') \g /dev/null
SELECT is(pg_temp.has('grace'), 'export level read sso write', 'paid: everything again');

-- 2. Restricted by an administrator; free access is full.
SELECT pg_temp.begin_life('bad') AS bad \gset
SELECT subscription AS bad_sub FROM life WHERE name = 'bad' \gset
SELECT throws_ok(format('SELECT qzpay.restrict(%L, %L)', :'bad_sub', ' '), '22023', NULL, 'no restriction without a reason');
SELECT is(qzpay.restrict(:'bad_sub', 'abuse'), '2026-01-19 09:00+00', 'restricted from now on');
SELECT is(pg_temp.has('bad'), 'export level', 'restricted to what the plan keeps');
SELECT is(qzpay.has_access('bad'), true, 'it is access, though limited');
SELECT pg_temp.go('bad', '2026-01-20 09:00+00') \g /dev/null
SELECT is(qzpay.restrict(:'bad_sub', 'again'), '2026-01-19 09:00+00', 'restricting twice changes nothing');
UPDATE qzpay.subscriptions SET comp_until = '2026-01-25 09:00+00' WHERE id = :'bad_sub';
SELECT is(pg_temp.has('bad'), 'export level read write', 'free access is full');
SELECT is((SELECT string_agg(DISTINCT source, ' ') FROM qzpay.list_entitlements(:'bad')), 'comp', 'and says where it comes from');
SELECT pg_temp.go('bad', '2026-01-25 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.has('bad'), 'export level read write', 'to its last microsecond');
SELECT pg_temp.go('bad', '2026-01-25 09:00+00') \g /dev/null
SELECT is(pg_temp.has('bad'), 'export level', 'then restricted again, without anybody doing anything');
SELECT ok(qzpay.unrestrict(:'bad_sub'), 'lifted by hand');
SELECT ok(NOT qzpay.unrestrict(:'bad_sub'), 'once');
SELECT is(pg_temp.has('bad'), 'export level read write', 'and everything is back');
SELECT is(pg_temp.happened('bad', 'restricted'), '01-19 09:00 subscription.restricted, 01-25 09:00 subscription.unrestricted', 'each told once');
SELECT qzpay.cancel(:'bad_sub', 'now') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.restrict(%L, %L)', :'bad_sub', 'abuse'), 'QZ204', NULL, 'what has ended is not restricted');

-- 3. Decided for one customer.
SELECT pg_temp.begin_life('special') AS special \gset
SELECT pg_temp.begin_life('nobody', NULL) AS nobody \gset
SELECT ok(qzpay.set_entitlement(:'special', 'sso', 'true', reason => 'agreed'), 'a feature is given');
SELECT ok(NOT qzpay.set_entitlement(:'special', 'sso', 'true', reason => 'agreed'), 'deciding the same again changes nothing');
SELECT ok(qzpay.set_entitlement(:'special', 'write', 'false', until => '2026-02-01 00:00+00'), 'another is taken, for a while');
SELECT ok(qzpay.set_entitlement(:'special', 'bots', '25'), 'a limit is set');
SELECT ok(qzpay.set_entitlement(:'special', 'seats', 'null'), 'a limit is lifted');
SELECT ok(qzpay.set_entitlement(:'special', 'level', '"platinum"'), 'a text');
SELECT is(pg_temp.has('special'), 'export level read sso', 'what was decided stands before the plan');
SELECT is(pg_temp.limits('special'), 'bots 25, monthly 1000, seats null', 'limits too');
SELECT is((qzpay.check_limit('special', 'bots', 24)).allowed AND NOT (qzpay.check_limit('special', 'bots', 25)).allowed AND (qzpay.check_limit('special', 'seats', 1e9)).unlimited, true, 'check_limit() goes by it');
SELECT is(qzpay.feature_limit('special', 'bots'), 25::numeric, 'so does feature_limit()');
SELECT is(qzpay.feature_value('special', 'level'), '"platinum"', 'so does feature_value()');
SELECT pg_temp.add('special', 'more-seats', 3) \g /dev/null
SELECT is(qzpay.feature_limit('special', 'bots'), 28::numeric, 'what an add-on adds comes on top: it is paid for');
SELECT set_eq(format('SELECT feature, source, value::text, effective::text FROM qzpay.list_entitlements(%L) WHERE feature IN (''bots'', ''sso'', ''write'')', :'special'),
    $$ VALUES ('bots', 'plan', '10', '28'), ('bots', 'addon', '1', '28'), ('bots', 'override', '25', '28'), ('sso', 'override', 'true', 'true'), ('write', 'plan', 'true', 'false'), ('write', 'override', 'false', 'false') $$,
    'every source says its part');
SELECT pg_temp.go('special', '2026-01-31 23:59:59.999999+00') \g /dev/null
SELECT is(qzpay.has_entitlement('special', 'write'), false, 'until its end');
SELECT pg_temp.go('special', '2026-02-01 00:00+00') \g /dev/null
SELECT is(qzpay.has_entitlement('special', 'write'), true, 'no longer at it');
SELECT ok(qzpay.clear_entitlement(:'special', 'bots'), 'taken back');
SELECT ok(NOT qzpay.clear_entitlement(:'special', 'bots'), 'once');
SELECT is(qzpay.feature_limit('special', 'bots'), 13::numeric, 'the plan speaks again');
SELECT is(pg_temp.happened('special', 'customer.entitlement'),
    '01-19 09:00 customer.entitlement.set, 01-19 09:00 customer.entitlement.set, 01-19 09:00 customer.entitlement.set, 01-19 09:00 customer.entitlement.set, 01-19 09:00 customer.entitlement.set, 02-01 00:00 customer.entitlement.cleared',
    'each change is an event, what changes nothing is none');
-- limited access limits this too
SELECT subscription AS special_sub FROM life WHERE name = 'special' \gset
SELECT qzpay.restrict(:'special_sub', 'abuse') \g /dev/null
SELECT is(pg_temp.has('special') || '; ' || pg_temp.limits('special'), 'export level; bots -, monthly 1000, seats null', 'decisions count for what is kept');
SELECT qzpay.unrestrict(:'special_sub') \g /dev/null
-- who has no subscription has the default plan, and what was decided
SELECT is(pg_temp.has('nobody') || '; ' || pg_temp.limits('nobody'), 'read; bots -, monthly 10, seats 1', 'the default plan');
SELECT ok(qzpay.set_entitlement(:'nobody', 'export', 'true') AND qzpay.set_entitlement(:'nobody', 'monthly', '12'), 'decided without a subscription');
SELECT is(pg_temp.has('nobody') || '; ' || pg_temp.limits('nobody'), 'export read; bots -, monthly 12, seats 1', 'it counts');
SELECT is((SELECT string_agg(DISTINCT source, ' ' ORDER BY source) FROM qzpay.list_entitlements(:'nobody')), 'default_plan override', 'and says so');
SELECT qzpay.record_usage(:'nobody', 'calls', 12, 'dozen') \g /dev/null
SELECT throws_ok(format('SELECT qzpay.record_usage(%L::uuid, %L, 1, %L)', :'nobody', 'calls', 'thirteenth'), 'QZ505', NULL, 'the limit of a meter without a charge is what was decided');
SAVEPOINT no_default;
SELECT qzpay.set_setting('default_plan', 'null') \g /dev/null
SELECT is(pg_temp.has('nobody') || '; ' || pg_temp.limits('nobody', 'seats|bots'), 'nothing; bots -, seats -', 'a decision opens no access where there is none');
ROLLBACK TO no_default;
-- what does not fit
SELECT throws_ok(format('SELECT qzpay.set_entitlement(%L, %L, %L)', :'special', f, v), code, NULL, format('%s cannot be %s', f, v))
FROM (VALUES ('read', '1', '22023'), ('read', 'null', '22023'), ('bots', '-1', '22023'), ('bots', 'true', '22023'), ('bots', '1e15', '22023'), ('bots', '"inf"', '22023'), ('level', '""', '22023'), ('level', 'true', '22023'),
             ('read', '{}', '22023'), ('fly', 'true', 'QZ401'), ('billed', '100', 'QZ204'), ('level', '"4111 1111 1111 1111"', '22023')) AS x (f, v, code);
SELECT throws_ok(format('SELECT qzpay.set_entitlement(%L, %L, NULL)', :'special', 'bots'), '22004', NULL, 'nothing is no decision');
SELECT throws_ok(format('SELECT qzpay.set_entitlement(%L, %L, %L, %L)', :'special', 'bots', '1', at), '22023', NULL, 'until ' || at)
FROM unnest('{2026-02-01 00:00+00,infinity,-infinity}'::text[]) at;
SELECT throws_ok($$ SELECT qzpay.set_entitlement('00000000-0000-4000-8000-000000000000', 'bots', '1') $$, 'QZ404', NULL, 'for nobody');
SELECT unalike((SELECT string_agg(data::text, '') FROM qzpay.events), '%4111%', 'a refused card number is nowhere');
-- a tenant decides nothing for itself
CREATE ROLE regress_ent_self LOGIN;
SELECT qzpay.grant_access('regress_ent_self', 'tenant', (SELECT tenant_id FROM qzpay.customers WHERE id = :'special')) \g /dev/null
SET LOCAL ROLE regress_ent_self;
SELECT throws_ok(format('SELECT qzpay.%s', f), '42501', NULL, f) FROM (VALUES (format('set_entitlement(%L, %L, %L)', :'special', 'sso', 'true')), (format('clear_entitlement(%L, %L)', :'special', 'sso')),
    (format('restrict(%L, %L)', :'special_sub', 'x')), (format('unrestrict(%L)', :'special_sub'))) AS x (f);
RESET ROLE;

-- 4. Over the limit after a change: what is there stays, nothing new, seven days.
CREATE TABLE public.ent_bots (id integer PRIMARY KEY, org text);
SELECT qzpay.add_limit('public.ent_bots', 'bots', 'org') \g /dev/null
SELECT pg_temp.begin_life('over') AS over \gset
SELECT subscription AS over_sub FROM life WHERE name = 'over' \gset
INSERT INTO public.ent_bots SELECT n, 'over' FROM generate_series(1, 8) n;
SELECT qzpay.record_usage(:'over'::uuid, 'calls', 40, 'forty') \g /dev/null
SELECT set_eq(format('SELECT * FROM qzpay.check_overage(%L, %L)', :'over', 'none'), $$ VALUES ('bots', 8::numeric, 0::numeric, 8::numeric, false), ('monthly', 40, 10, 30, false) $$, 'what the free plan would put over');
SELECT set_eq(format('SELECT * FROM qzpay.check_overage(%L, %L)', :'over', 'team'), $$ VALUES ('bots', 8::numeric, 10::numeric, 0::numeric, true), ('monthly', 40, 1000, 0, true) $$, 'and the plan it has');
SELECT set_eq(format('SELECT * FROM qzpay.check_overage(%L, %L, %L)', :'over', 'free', '{"seats": 100, "bots": 0, "billed": 7.5}'),
    $$ VALUES ('bots', 0::numeric, 0::numeric, 0::numeric, true), ('monthly', 40, 0, 40, false), ('seats', 100, NULL, 0, true), ('billed', 7.5, 0, 7.5, false) $$, 'counts of the application''s own stand first; unlimited is within');
SELECT is((SELECT within FROM qzpay.check_overage(:'over', 'team', '{"billed": 500}') WHERE feature = 'billed'), true, 'what is billed beyond is within');
SELECT throws_ok(format('SELECT * FROM qzpay.check_overage(%L, %L, %L)', :'over', p, c), code, NULL, concat_ws(' ', p, c))
FROM (VALUES ('nothing', '{}', 'QZ401'), (NULL, '{}', 'QZ401'), ('team', '{"wings": 1}', 'QZ401'), ('team', '{"write": 1}', 'QZ401'), ('team', '{"bots": -1}', '22023'), ('team', '{"bots": "1"}', '22023'), ('team', '[]', '22023')) AS x (p, c, code);
SELECT is_empty(format('SELECT * FROM qzpay.overage_state(%L)', :'over_sub'), 'within');
-- the contract ends at an instant: nothing new from there on, though no job has looked
SELECT qzpay.cancel(:'over_sub', '2026-02-01 12:00+00') \g /dev/null
SAVEPOINT unlooked;
UPDATE qzpay.test_clocks SET now_at = '2026-02-01 11:59:59.999999+00' WHERE id = (SELECT clock FROM life WHERE name = 'over');
INSERT INTO public.ent_bots VALUES (9, 'over');
UPDATE qzpay.test_clocks SET now_at = '2026-02-01 12:00+00' WHERE id = (SELECT clock FROM life WHERE name = 'over');
SELECT throws_ok($$ INSERT INTO public.ent_bots VALUES (10, 'over') $$, 'QZ402', NULL, 'not one more from the instant of the end');
ROLLBACK TO unlooked;
SELECT pg_temp.go('over', '2026-02-01 12:00+00') \g /dev/null
SELECT is(pg_temp.happened('over', 'overage'), '02-01 12:00 subscription.overage.started, 02-01 12:00 subscription.overage.started', 'both limits start their countdown');
SELECT set_eq(format('SELECT feature, current, limit_value, excess, since, deadline, grace_days_remaining, expired FROM qzpay.overage_state(%L)', :'over_sub'),
    $$ VALUES ('bots', 8::numeric, 0::numeric, 8::numeric, '2026-02-01 12:00+00'::timestamptz, '2026-02-08 12:00+00'::timestamptz, 7, false), ('monthly', 40, 10, 30, '2026-02-01 12:00+00', '2026-02-08 12:00+00', 7, false) $$, 'rows and usage');
SELECT is((SELECT count(*) FROM public.ent_bots WHERE org = 'over'), 8::bigint, 'existing rows stay');
SELECT throws_ok($$ INSERT INTO public.ent_bots VALUES (10, 'over') $$, 'QZ402', NULL, 'new ones are refused');
DELETE FROM public.ent_bots WHERE id <= 3;
SELECT is((SELECT current || ' ' || excess FROM qzpay.overage_state(:'over_sub') WHERE feature = 'bots'), '5 5', 'it goes by the counter');
SELECT pg_temp.go('over', '2026-02-08 00:00+00') \g /dev/null
SELECT is((SELECT min(grace_days_remaining) FROM qzpay.overage_state(:'over_sub')), 0, '0 on the last day');
SAVEPOINT in_time;
DELETE FROM public.ent_bots WHERE org = 'over';
SELECT matches(pg_temp.happened('over', 'overage'), '02-08 00:00 subscription.overage.resolved$', 'resolved by the last row that goes');
SELECT is((SELECT string_agg(feature, ' ') FROM qzpay.overage_state(:'over_sub')), 'monthly', 'and over');
ROLLBACK TO in_time;
SELECT pg_temp.go('over', '2026-02-10 00:00+00') \g /dev/null
SELECT matches(pg_temp.happened('over', 'overage'), '02-08 12:00 subscription.overage.expired, 02-08 12:00 subscription.overage.expired$', 'or expired at the deadline');
SELECT is((SELECT bool_and(expired) FROM qzpay.overage_state(:'over_sub')), true, 'and says so');
SELECT is((SELECT data ->> 'excess' FROM qzpay.events WHERE type = 'subscription.overage.expired' AND data ->> 'limit' = 'bots'), '5', 'with what is too much');
SELECT pg_temp.go('over', '2026-03-10 00:00+00') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.events WHERE customer_id = :'over' AND type = 'subscription.overage.expired'), 2::bigint, 'once each');
SELECT matches(pg_temp.happened('over', 'overage'), '02-19 09:00 subscription.overage.resolved$', 'a new usage period resolves what is counted per period');
SELECT qzpay.set_entitlement(:'over', 'bots', '5') \g /dev/null
SELECT matches(pg_temp.happened('over', 'overage'), '03-10 00:00 subscription.overage.resolved$', 'a limit that rises resolves too');
-- limited access is no downgrade
SELECT pg_temp.begin_life('calm') AS calm \gset
INSERT INTO public.ent_bots SELECT 100 + n, 'calm' FROM generate_series(1, 8) n;
SELECT qzpay.restrict(subscription, 'abuse') FROM life WHERE name = 'calm' \g /dev/null
SELECT is(pg_temp.happened('calm', 'overage'), 'nothing', 'a restriction begins no countdown');
SELECT throws_ok($$ INSERT INTO public.ent_bots VALUES (200, 'calm') $$, 'QZ402', NULL, 'though nothing new is let in');
DELETE FROM public.ent_bots WHERE id = 101;
SELECT is(pg_temp.happened('calm', 'overage'), 'nothing', 'nor does what goes meanwhile');
-- fewer of an add-on
SELECT qzpay.unrestrict(subscription) FROM life WHERE name = 'calm' \g /dev/null
SELECT pg_temp.add('calm', 'more-seats', 3) \g /dev/null
INSERT INTO public.ent_bots SELECT 120 + n, 'calm' FROM generate_series(1, 6) n;
SELECT pg_temp.go('calm', '2026-01-20 09:00+00') \g /dev/null
UPDATE qzpay.subscription_items i SET valid_until = '2026-01-20 09:00+00' FROM life l WHERE l.name = 'calm' AND i.subscription_id = l.subscription AND i.kind = 'addon';
SELECT is((SELECT feature || ' ' || excess FROM qzpay.overage_state((SELECT subscription FROM life WHERE name = 'calm'))), 'bots 3', 'an add-on that goes is a downgrade');
SELECT pg_temp.add('calm', 'more-seats', 3) \g /dev/null
SELECT is(pg_temp.happened('calm', 'overage'), '01-20 09:00 subscription.overage.started, 01-20 09:00 subscription.overage.resolved', 'and bought again resolves it');
-- counters that are forgotten are looked at by the job
SELECT qzpay.set_entitlement(:'calm', 'bots', '1') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.overage_state((SELECT subscription FROM life WHERE name = 'calm'))), 1::bigint, 'over again');
ALTER TABLE public.ent_bots DISABLE TRIGGER USER;
DELETE FROM public.ent_bots WHERE org = 'calm';
ALTER TABLE public.ent_bots ENABLE TRIGGER USER;
SELECT qzpay.recount_limit('public.ent_bots', 'bots') \g /dev/null
SELECT pg_temp.go('calm', '2026-01-20 10:00+00') \g /dev/null
SELECT matches(pg_temp.happened('calm', 'overage'), '01-20 09:00 subscription.overage.resolved$', 'a recount resolves at the next look');

-- 5. Limits per group of rows, of single values, per minute, at once
SELECT pg_temp.begin_life('kinds') AS kinds \gset
CREATE TABLE public.ent_photos (id integer PRIMARY KEY, org text, property text);
SELECT qzpay.add_limit('public.ent_photos', 'seats', 'org', 'property') \g /dev/null
INSERT INTO public.ent_photos SELECT n, 'kinds', CASE WHEN n <= 4 THEN 'flat' ELSE 'house' END FROM generate_series(1, 6) n;
SELECT is((SELECT string_agg(concat_ws(' ', s, l.allowed, l.current_count, l.remaining), ', ' ORDER BY s) FROM unnest('{flat,house,boat}'::text[]) s, qzpay.check_limit(:'kinds'::uuid, 'seats', NULL, 1, s) l),
    'boat t 0 5, flat t 4 1, house t 2 3', 'each group by its own count');
SELECT is((qzpay.check_limit('kinds', 'seats', NULL, 2, 'flat')).reason, 'limit_reached', 'two more are too many');
SELECT is((qzpay.check_limit('kinds', 'seats', 1, 2, 'flat')).allowed, true, 'a count of the application''s own stands first');
SELECT is((qzpay.check_limit('kinds', 'seats', 4, 1, NULL)).allowed AND qzpay.check_limit('kinds', 'seats', 4, NULL, 'flat') IS NULL, true, 'no group is a group, no increment is none');
SELECT throws_ok($$ SELECT qzpay.require_limit('kinds', 'seats', NULL, 2, 'flat') $$, 'QZ402', NULL, 'require_limit() of a group raises');
SELECT lives_ok($$ SELECT qzpay.require_limit('kinds', 'seats', NULL, 1, 'flat') $$, 'or does not');
SELECT throws_ok($$ SELECT qzpay.require_limit('kinds', 'seats', NULL, NULL, 'flat') $$, '22004', NULL, 'a guard is not asked about nothing');
SELECT throws_ok($$ SELECT qzpay.require_limit('kinds', 'seats', NULL) $$, '22004', NULL, 'without a group the count is the application''s');
-- a value
SELECT is((SELECT string_agg(l.allowed::text, ' ' ORDER BY v) FROM unnest('{0,25.5,25.51}'::numeric[]) v, qzpay.check_limit('kinds', 'upload', v) l), 'true true false', 'a value up to the ceiling');
SELECT throws_ok($$ SELECT qzpay.require_limit('kinds', 'upload', 26) $$, 'QZ402', NULL, 'not above');
-- per minute
SELECT is((SELECT string_agg(concat_ws(' ', r.allowed, r.limit_value, r.used, r.remaining, r.retry_after IS NULL, r.unlimited, r.reason), ', ') FROM generate_series(1, 3) n, qzpay.check_rate('kinds', 'perMinute', 20 + 0 * n) r),
    't 60 20 40 t f, t 60 40 20 t f, t 60 60 0 t f', 'up to the limit');
SELECT is((SELECT concat_ws(' ', allowed, used, remaining, retry_after BETWEEN '50 seconds' AND '63 seconds', reason) FROM qzpay.check_rate(:'kinds'::uuid, 'perMinute')), 'f 60 0 t limit_reached', 'then no more for a minute');
SELECT is((SELECT concat_ws(' ', allowed, used) FROM qzpay.check_rate('kinds', 'perMinute', 0)), 't 60', 'cost 0 looks');
SELECT is((SELECT retry_after FROM qzpay.check_rate('kinds', 'perMinute', 61)), NULL, 'more than the limit is never allowed');
CREATE FUNCTION pg_temp.detail(sql text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE d text; BEGIN EXECUTE sql; RETURN 'ok'; EXCEPTION WHEN SQLSTATE 'QZ402' THEN GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL; RETURN regexp_replace(d, '"retry_after": [0-9]+', '"retry_after": n'); END $$;
SELECT is(pg_temp.detail($$ SELECT qzpay.require_rate('kinds', 'perMinute') $$), '{"limit": "perMinute", "current": 60, "limit_value": 60, "retry_after": n}', 'require_rate() raises, with what a client needs');
SELECT is((SELECT reason FROM qzpay.check_rate('nobody', 'perMinute')), 'no_access', 'nothing where nothing gives it');
SELECT is(qzpay.check_rate('kinds', NULL) IS NULL, true, 'NULL of nothing');
SELECT throws_ok(format('SELECT qzpay.check_rate(%s)', a), code, NULL, a) FROM (VALUES ('''kinds'', ''bots''', '22023'), ('''kinds'', ''read''', 'QZ401'), ('''kinds'', ''perMinute'', -1', '22023'), ('''no_one'', ''perMinute''', 'QZ404')) AS x (a, code);
SAVEPOINT taken;
SELECT qzpay.set_entitlement(:'kinds', 'perMinute', '61') \g /dev/null
SELECT is((SELECT allowed FROM qzpay.check_rate('kinds', 'perMinute')), true, 'a higher limit leaves room');
ROLLBACK TO taken;
SELECT is((SELECT used FROM qzpay.check_rate('kinds', 'perMinute', 0)), 61::bigint, 'and a ROLLBACK gives nothing back');
SELECT qzpay.set_entitlement(:'kinds', 'perMinute', 'null') \g /dev/null
SELECT is((SELECT concat_ws(' ', allowed, unlimited, limit_value) FROM qzpay.check_rate('kinds', 'perMinute', 1000)), 't t', 'unlimited');
SELECT lives_ok($$ SELECT qzpay.require_rate('kinds', 'perMinute', 1000) $$, 'for the guard too');
-- at once
SELECT qzpay.acquire_slot(:'kinds', 'exports') AS slot1 \gset
SELECT qzpay.acquire_slot(:'kinds', 'exports', '1 hour', 'worker 7') AS slot2 \gset
SELECT is(qzpay.acquire_slot(:'kinds', 'exports'), NULL, 'two slots, not three');
SELECT is(pg_temp.detail(format('SELECT qzpay.require_slot(%L, %L)', :'kinds', 'exports'))::jsonb, '{"limit": "exports", "current": 2, "limit_value": 2}', 'require_slot() raises');
SELECT ok(qzpay.release_slot(:'kinds', :'slot1') AND NOT qzpay.release_slot(:'kinds', :'slot1'), 'one is given back, once');
SELECT isnt(qzpay.acquire_slot(:'kinds', 'exports'), NULL, 'and taken again');
UPDATE qzpay.limit_slots SET lease_until = qzpay._real_now() WHERE id = :'slot2';
SELECT ok(NOT qzpay.renew_slot(:'kinds', :'slot2'), 'a lease that is over is not renewed');
SELECT isnt(qzpay.require_slot(:'kinds', 'exports'), NULL, 'its place is free');
SELECT ok(NOT qzpay.release_slot(:'kinds', :'slot2'), 'and its holder hears so');
SELECT is((SELECT bool_and(qzpay.renew_slot(:'kinds', id, '1 day')) FROM qzpay.limit_slots), true, 'those that run are renewed');
SELECT is((SELECT used || ' ' || (SELECT count(*) FROM qzpay.limit_slots) FROM qzpay.limit_counters WHERE feature_code = 'exports'), '2 2', 'counted as they are');
SELECT is(qzpay.acquire_slot(:'nobody', 'exports'), NULL, 'none where nothing gives any');
SELECT throws_ok(format('SELECT qzpay.acquire_slot(%L, %s)', :'kinds', a), code, NULL, a)
FROM (VALUES ('''bots''', '22023'), ('''wings''', 'QZ401'), ('NULL', '22004'), ('''exports'', NULL', '22004'), ('''exports'', ''0''', '22023'), ('''exports'', ''25 hours''', '22023'), ('''exports'', ''1 hour'', ''4111111111111111''', '22023')) AS x (a, code);
SELECT throws_ok(format('SELECT qzpay.renew_slot(%L, id, %L) FROM qzpay.limit_slots', :'kinds', '2 days'), '22023', NULL, 'no endless lease');
SELECT is(pg_temp.happened('kinds', 'overage'), 'nothing', 'slots are no overage');

-- 6. The same by the functions of contracts: a change of plan, at once and at the end of the period, and fewer of an add-on
SELECT qzpay.import_catalog('{"currency": "USD", "plans": [{"id": "solo", "name": "Solo", "tierRank": 1, "prices": {"month": {"amount": 500}}, "entitlements": {"read": true}, "limits": {"bots": 3, "seats": 1}},
    {"id": "group", "name": "Group", "tierRank": 2, "prices": {"month": {"amount": 900}}, "entitlements": {"read": true, "write": true}, "limits": {"bots": 6, "seats": 4}}]}') \g /dev/null
SELECT pg_temp.begin_life('fall', 'group') AS fall \gset
SELECT subscription AS fall_sub FROM life WHERE name = 'fall' \gset
INSERT INTO public.ent_bots SELECT 300 + n, 'fall' FROM generate_series(1, 6) n;
SELECT is((SELECT excess FROM qzpay.check_overage(:'fall', 'solo') WHERE feature = 'bots'), 3::numeric, 'a downgrade is asked about');
SELECT qzpay.change_plan(:'fall_sub', 'solo', effective => 'period_end') \g /dev/null
SELECT is(pg_temp.limits('fall', 'bots') || ' ' || pg_temp.happened('fall', 'overage'), 'bots 6 nothing', 'scheduled: nothing yet');
SELECT pg_temp.go('fall', '2026-02-19 08:59:59.999999+00') \g /dev/null
SAVEPOINT unlooked;
UPDATE qzpay.test_clocks SET now_at = '2026-02-19 09:00+00' WHERE id = (SELECT clock FROM life WHERE name = 'fall');
SELECT is(pg_temp.limits('fall', 'bots') || ' ' || pg_temp.has('fall'), 'bots 3 read', 'the lower plan holds from its instant on, though no job has run');
SELECT throws_ok($$ INSERT INTO public.ent_bots VALUES (310, 'fall') $$, 'QZ402', NULL, 'and nothing new is let in');
ROLLBACK TO unlooked;
SELECT pg_temp.go('fall', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.happened('fall', 'overage'), '02-19 09:00 subscription.overage.started', 'over from that instant on');
SELECT is((SELECT concat_ws(' ', feature, current, limit_value, excess, deadline) FROM qzpay.overage_state(:'fall_sub')), 'bots 6 3 3 2026-02-26 09:00:00+00', 'three too many, seven days');
SELECT qzpay.change_plan(:'fall_sub', 'group', effective => 'now') \g /dev/null
SELECT matches(pg_temp.happened('fall', 'overage'), '02-19 09:00 subscription.overage.resolved$', 'an upgrade resolves it at once');
SELECT qzpay.add_addon(:'fall_sub', 'more-seats', 2) \g /dev/null
SELECT is(pg_temp.limits('fall', 'bots'), 'bots 8', 'an add-on raises');
INSERT INTO public.ent_bots SELECT 320 + n, 'fall' FROM generate_series(1, 2) n;
SELECT qzpay.set_addon_quantity(:'fall_sub', 'more-seats', 0, effective => 'now') \g /dev/null
SELECT is((SELECT feature || ' ' || excess FROM qzpay.overage_state(:'fall_sub')), 'bots 2', 'lowering it below what is in use is a downgrade');
SELECT qzpay.pause(:'fall_sub', 'now') \g /dev/null
SELECT is(pg_temp.has('fall'), 'read', 'paused without access: what the default plan gives');

-- 7. Restricted by dunning, lifted by payment
INSERT INTO qzpay.dunning_policies (code, name, grace_days) VALUES ('strict', 'Strict', 20);
INSERT INTO qzpay.dunning_steps (policy, step, after_days, action) VALUES ('strict', 1, 3, 'restrict'), ('strict', 2, 10, 'retry'), ('strict', 3, 20, 'cancel');
SELECT qzpay.import_catalog('{"currency": "USD", "plans": [{"id": "strict", "name": "Strict", "prices": {"month": {"amount": 500}}, "dunningPolicy": "strict", "limitedFeatures": ["export"],
    "entitlements": {"read": true, "export": true}, "limits": {"bots": 3}}]}') \g /dev/null
SELECT pg_temp.begin_life('strict', 'strict') AS strict \gset
SELECT qzpay.attach_payment_method(:'strict', 'sandbox', 'tok_decline') \g /dev/null
SELECT pg_temp.go('strict', '2026-02-22 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.has('strict'), 'export read', 'in grace everything, until dunning restricts');
SELECT pg_temp.go('strict', '2026-02-22 09:00+00') \g /dev/null
SELECT is(pg_temp.has('strict') || '; ' || pg_temp.limits('strict', 'bots'), 'export; bots -', 'then what is kept');
SELECT is((SELECT concat_ws(' ', is_restricted, restricted_reason, has_access, grace_days_remaining) FROM qzpay.subscription_overview WHERE customer_id = :'strict'), 't dunning t 17', 'and the overview says so');
SELECT is((qzpay.check_limit('strict', 'bots', 0)).reason, 'no_access', 'no new rows');
SELECT qzpay.attach_payment_method(:'strict', 'sandbox', 'tok_ok') \g /dev/null
SELECT pg_temp.go('strict', '2026-02-22 09:00+00') \g /dev/null
SELECT is(pg_temp.has('strict') || '; ' || pg_temp.limits('strict', 'bots'), 'export read; bots 3', 'paid: lifted');

SELECT is_empty($$ SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass' AND check_name <> 'nothing_is_billed_late' $$, 'the books agree');
SELECT * FROM finish();
ROLLBACK;
