-- Lives of subscribers of Asist.IA's Pro plan: each scenario with its instants and cents. Sandbox answers at once, zones are UTC.
BEGIN;
SELECT plan(70);
\ir include/lives.psql

\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'), 'the catalog imports');

-- 1. No card: the trial ends by itself.
SELECT pg_temp.begin_life('no_card', '2026-01-05 09:00+00') \g /dev/null
SELECT is(pg_temp.state('no_card'), 'trialing access', 'no card: trialing with access');
SELECT pg_temp.go('no_card', '2026-01-19 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.can('no_card'), true, 'no card: access in the last microsecond of the trial');
SELECT pg_temp.go('no_card', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('no_card'), 'canceled/trial_expired no access', 'no card: canceled at the trial''s end');
SELECT is(pg_temp.can('no_card'), false, 'no card: the default plan cannot use the API');
SELECT is(pg_temp.bills('no_card'), 'none', 'no card: no invoice');
SELECT is(pg_temp.happened('no_card', 'trial|subscription'),
    '01-05 09:00 subscription.created, 01-05 09:00 trial.started, 01-12 09:00 trial.expiring, 01-16 09:00 trial.expiring, 01-18 09:00 trial.expiring, '
    '01-19 09:00 trial.expired, 01-19 09:00 subscription.expired', 'no card: its events, reminders at 7, 3 and 1 days');

-- 2. Yearly: the base once a year, overage monthly, nothing in a month without any.
SELECT pg_temp.begin_life('yearly', '2026-01-05 09:00+00', per => 'year', token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('yearly', '2026-01-25 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('yearly'), '2026-01-19 99000 paid', 'yearly: the year in advance');
SELECT pg_temp.use('yearly', 10500, 'january') \g /dev/null
SELECT pg_temp.go('yearly', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('yearly'), '2026-01-19 99000 paid, 2026-02-19 750 paid', 'yearly: a month''s overage alone');
SELECT pg_temp.use('yearly', 9000, 'february') \g /dev/null
SELECT pg_temp.go('yearly', '2027-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('yearly'), '2026-01-19 99000 paid, 2026-02-19 750 paid, 2027-01-19 99000 paid', 'yearly: months within what is included make no invoice');

-- 3. The card is mended in the middle of dunning.
SELECT pg_temp.begin_life('mended', '2026-03-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT is(pg_temp.state('mended') || ', ' || pg_temp.bills('mended'), 'active access, 2026-03-19 9900 paid', 'mended: active with the first payment');
SELECT qzpay.sandbox_set_token(method, 'tok_insufficient_funds') FROM life WHERE name = 'mended' \g /dev/null
SELECT pg_temp.go('mended', '2026-04-21 12:00+00') \g /dev/null
SELECT is(pg_temp.state('mended'), 'past_due/payment_failed access', 'mended: past due in grace');
SELECT pg_temp.card('mended', 'tok_ok') \g /dev/null
SELECT pg_temp.go('mended', '2026-04-21 12:00+00') \g /dev/null
SELECT is(pg_temp.state('mended'), 'active access', 'mended: the new card is tried at once');
SELECT is(pg_temp.bills('mended'), '2026-03-19 9900 paid, 2026-04-19 9900 paid', 'mended: paid');
SELECT is((SELECT current_period_end FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'mended'),
          '2026-05-19 09:00+00'::timestamptz, 'mended: the boundary has not moved');
SELECT is(pg_temp.happened('mended', 'past_due|recovered|canceled'), '04-19 09:00 subscription.past_due, 04-21 12:00 subscription.recovered', 'mended: one past_due, one recovered');
SELECT pg_temp.go('mended', '2026-05-20 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('mended'), '2026-03-19 9900 paid, 2026-04-19 9900 paid, 2026-05-19 9900 paid', 'mended: goes on');

-- 4. Never paid: four retries, grace of five days, then everything at once.
SELECT pg_temp.begin_life('dunned', '2026-03-05 09:00+00', token => 'tok_insufficient_funds') \g /dev/null
SELECT pg_temp.go('dunned', '2026-03-24 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('dunned'), 'past_due/payment_failed access', 'dunned: access to the last microsecond of grace');
SELECT is(pg_temp.happened('dunned', 'payment.failed'),
    '03-19 09:00 payment.failed, 03-20 09:00 payment.failed, 03-21 09:00 payment.failed, 03-22 09:00 payment.failed, 03-23 09:00 payment.failed', 'dunned: five attempts, 24 hours apart');
SELECT is((SELECT string_agg(e.data ->> 'willRetry', ' ' ORDER BY e.id) FROM qzpay.events e JOIN life l ON l.customer = e.customer_id WHERE l.name = 'dunned' AND e.type = 'payment.failed'),
          'true true true true false', 'dunned: the last failure says that nothing follows');
SELECT is((SELECT qzpay.has_entitlement(l.customer, 'canUseApi') FROM life l WHERE l.name = 'dunned'), true, 'dunned: entitled in the last microsecond');
UPDATE qzpay.test_clocks SET now_at = '2026-03-24 09:00+00' WHERE name = 'dunned';
SELECT is(pg_temp.can('dunned'), false, 'dunned: not at the end of grace, though no job has run');
SELECT pg_temp.go('dunned', '2026-03-24 09:00+00') \g /dev/null
SELECT is(pg_temp.state('dunned'), 'canceled/payment_failed no access', 'dunned: canceled');
SELECT is(pg_temp.bills('dunned'), '2026-03-19 9900 uncollectible', 'dunned: uncollectible');
SELECT pg_temp.go('dunned', '2027-03-24 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('dunned'), '2026-03-19 9900 uncollectible', 'dunned: no bill after the end');

-- 5. Overage: a started package counts.
SELECT pg_temp.begin_life('overage', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.use('overage', 10505, 'all') \g /dev/null
SELECT pg_temp.go('overage', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('overage'), '2026-01-19 9900 paid, 2026-02-19 10665 paid', 'overage: 505 over at 15 per 10 are 765');
SELECT is((SELECT string_agg(n.kind || ' ' || n.amount, ', ' ORDER BY n.position) FROM life l JOIN qzpay.invoices i ON i.subscription_id = l.subscription AND i.total = 10665
           JOIN qzpay.invoice_lines n ON n.invoice_id = i.id WHERE l.name = 'overage'), 'plan 9900, usage 765', 'overage: two lines, the base first');
SELECT is((SELECT string_agg(e.type || coalesce(' ' || (e.data ->> 'percent'), ''), ', ' ORDER BY e.id) FROM qzpay.events e JOIN life l ON l.customer = e.customer_id
           WHERE l.name = 'overage' AND e.type LIKE 'usage.%'), 'usage.warning 75, usage.warning 90, usage.warning 100, usage.overage.started', 'overage: each threshold once');

-- 6. Month end: the anchor's day comes back after February.
SELECT pg_temp.begin_life('month_end', '2026-01-31 10:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('month_end', '2026-05-31 10:00+00') \g /dev/null
SELECT is((SELECT string_agg(p.period_start::date::text, ' ' ORDER BY p.period_start) FROM qzpay.periods p JOIN life l ON l.subscription = p.subscription_id
           WHERE l.name = 'month_end' AND p.cycle = '1 month'), '2026-01-31 2026-02-28 2026-03-31 2026-04-30 2026-05-31', 'month end: boundaries are multiples of the anchor');

-- 7. Daylight saving: the wall clock of the customer's zone stays.
SELECT pg_temp.begin_life('zone', '2026-02-15 14:00+00', days => 0, token => 'tok_ok', zone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('zone', '2026-04-20 00:00+00') \g /dev/null
SELECT is((SELECT string_agg(to_char(p.period_start AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), ' ' ORDER BY p.period_start) FROM qzpay.periods p JOIN life l ON l.subscription = p.subscription_id
           WHERE l.name = 'zone' AND p.cycle = '1 month'), '02-15 14:00 03-15 13:00 04-15 13:00', 'zone: nine in the morning in New York, whatever UTC says');

-- 8. Cancel at period end, taken back, then for good.
SELECT pg_temp.begin_life('undecided', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT is((SELECT (qzpay.cancel(subscription)).cancel_at FROM life WHERE name = 'undecided'), '2026-02-19 09:00+00'::timestamptz, 'undecided: ends with the period');
SELECT is(pg_temp.state('undecided'), 'active access', 'undecided: still active');
SELECT is((SELECT (qzpay.uncancel(subscription)).cancel_at FROM life WHERE name = 'undecided'), NULL, 'undecided: taken back');
SELECT throws_ok('SELECT qzpay.uncancel(subscription) FROM life WHERE name = ''undecided''', 'QZ204', NULL, 'undecided: nothing to take back twice');
SELECT pg_temp.go('undecided', '2026-02-25 09:00+00') \g /dev/null
SELECT qzpay.cancel(subscription, reason => 'too_expensive') FROM life WHERE name = 'undecided' \g /dev/null
SELECT pg_temp.go('undecided', '2026-03-19 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.can('undecided'), true, 'undecided: keeps what was paid');
SELECT pg_temp.go('undecided', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('undecided'), 'canceled/too_expensive no access', 'undecided: ended at the boundary');
SELECT is(pg_temp.bills('undecided'), '2026-01-19 9900 paid, 2026-02-19 9900 paid', 'undecided: the end beats the renewal');
SELECT throws_ok('SELECT qzpay.cancel(subscription) FROM life WHERE name = ''undecided''', 'QZ204', NULL, 'undecided: cannot end twice');

-- 9. Ended in mid-month: the last usage is still billed.
SELECT pg_temp.begin_life('leaver', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('leaver', '2026-02-01 09:00+00') \g /dev/null
SELECT pg_temp.use('leaver', 10010, 'all') \g /dev/null
SELECT is((SELECT (qzpay.cancel(subscription, 'now')).status FROM life WHERE name = 'leaver'), 'canceled', 'leaver: gone at once');
SELECT pg_temp.go('leaver', '2026-02-01 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('leaver'), '2026-01-19 9900 paid, 2026-02-01 15 paid', 'leaver: the last usage is billed');

-- 10. No payment, no start: 23 hours.
SELECT pg_temp.begin_life('never_paid', '2026-01-19 09:00+00', days => 0, token => 'tok_decline') \g /dev/null
SELECT is(pg_temp.state('never_paid'), 'incomplete/awaiting_payment no access', 'never paid: incomplete, no access');
SELECT pg_temp.go('never_paid', '2026-01-20 07:59:59+00') \g /dev/null
SELECT is(pg_temp.state('never_paid'), 'incomplete/awaiting_payment no access', 'never paid: until 23 hours are over');
SELECT pg_temp.go('never_paid', '2026-01-20 08:00+00') \g /dev/null
SELECT is(pg_temp.state('never_paid'), 'incomplete_expired/payment_timeout no access', 'never paid: expired');
SELECT is(pg_temp.bills('never_paid'), '2026-01-19 9900 void', 'never paid: the invoice is void');

-- 11. The free plan.
SELECT pg_temp.begin_life('free', '2026-01-19 09:00+00', plan => 'free') \g /dev/null
SELECT pg_temp.go('free', '2026-06-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('free') || ', ' || pg_temp.bills('free'), 'active access, none', 'free: active, never an invoice');

-- 12. One trial per customer, for ever.
SELECT pg_temp.begin_life('again', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('again', '2026-01-20 09:00+00') \g /dev/null
SELECT is((SELECT (qzpay.subscribe(customer, 'starter')).status FROM life WHERE name = 'again'), 'incomplete', 'again: no second trial');

-- 13. Billing three days late: the period is the one that was due, grace counts from the failure.
SELECT pg_temp.begin_life('late', '2026-03-05 09:00+00', token => 'tok_insufficient_funds') \g /dev/null
UPDATE qzpay.test_clocks SET now_at = '2026-03-22 09:00+00' WHERE name = 'late';
SELECT is(pg_temp.can('late'), true, 'late: a renewal in progress keeps access');
SELECT pg_temp.go('late', '2026-03-27 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.happened('late', 'payment.failed'),
    '03-22 09:00 payment.failed, 03-23 09:00 payment.failed, 03-24 09:00 payment.failed, 03-25 09:00 payment.failed, 03-26 09:00 payment.failed', 'late: retries count from the first failure');
SELECT is((SELECT current_period_start || ' ' || current_period_end FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'late'),
    '2026-03-19 09:00:00+00 2026-04-19 09:00:00+00', 'late: the period is the one that was due');
SELECT is(pg_temp.can('late'), true, 'late: grace to 03-27 09:00');
SELECT pg_temp.go('late', '2026-03-27 09:00+00') \g /dev/null
SELECT is(pg_temp.state('late'), 'canceled/payment_failed no access', 'late: then over');

-- 14. A trial that requires a method begins with it, in full length.
UPDATE qzpay.products SET trial_requires_payment_method = true WHERE code = 'starter';
SELECT pg_temp.begin_life('waiting', '2026-01-05 09:00+00', plan => 'starter') \g /dev/null
SELECT is(pg_temp.state('waiting'), 'incomplete/awaiting_payment no access', 'waiting: incomplete without a method');
SELECT pg_temp.go('waiting', '2026-01-05 12:00+00') \g /dev/null
SELECT pg_temp.card('waiting', 'tok_ok') \g /dev/null
SELECT is(pg_temp.state('waiting'), 'trialing access', 'waiting: the trial begins with the method');
SELECT pg_temp.go('waiting', '2026-01-19 11:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('waiting') || ', ' || pg_temp.bills('waiting'), 'trialing access, none', 'waiting: and lasts fourteen days from there');
SELECT pg_temp.go('waiting', '2026-01-19 12:00+00') \g /dev/null
SELECT is(pg_temp.state('waiting') || ', ' || pg_temp.bills('waiting'), 'active access, 2026-01-19 2900 paid', 'waiting: then it is paid');

-- 15. A charge whose outcome is unknown is looked up in the clock's own time.
SELECT pg_temp.begin_life('unsure', '2026-01-05 09:00+00', token => 'tok_timeout') \g /dev/null
SELECT pg_temp.go('unsure', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('unsure') || ', ' || pg_temp.bills('unsure'), 'active access, 2026-01-19 9900 open', 'unsure: no outcome is no failure');
SELECT pg_temp.go('unsure', '2026-01-20 09:00+00') \g /dev/null
SELECT is(pg_temp.state('unsure') || ', ' || pg_temp.bills('unsure'), 'active access, 2026-01-19 9900 paid', 'unsure: found at the provider');

-- 16. A subscription whose billing fails is set aside and stops nobody else; mended, it catches up period by period.
SELECT pg_temp.begin_life('broken', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.use('broken', 10500, 'all') \g /dev/null
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted for sk_live_0123456789abcdefghij'; END $$;
CREATE TRIGGER planted BEFORE INSERT ON qzpay.invoice_parties FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT pg_temp.go('broken', '2026-04-20 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('broken'), '2026-01-19 9900 paid', 'broken: not billed');
SELECT is((SELECT count(*) || ' ' || max(error_code) || ' ' || bool_or(error_message LIKE '%0123456789%') FROM qzpay.billing_errors e JOIN life l ON l.subscription = e.subscription_id
           WHERE l.name = 'broken'), '1 P0001 false', 'broken: its error is kept, without the secret in it');
SELECT is(pg_temp.can('broken'), false, 'broken: a renewal that nobody makes keeps access no longer than 30 days');
DROP TRIGGER planted ON qzpay.invoice_parties;
SELECT is((SELECT qzpay.retry_billing(subscription) FROM life WHERE name = 'broken'), true, 'broken: mended and given back');
SELECT is((SELECT qzpay.retry_billing(subscription) FROM life WHERE name = 'broken'), false, 'broken: once');
SELECT pg_temp.go('broken', '2026-04-20 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('broken'), '2026-01-19 9900 paid, 2026-04-20 10650 paid, 2026-04-20 9900 paid, 2026-04-20 9900 paid', 'broken: three periods, each billed once');
SELECT is(pg_temp.state('broken'), 'active access', 'broken: and all is well');

-- Refusals.
SELECT throws_ok('SELECT qzpay.subscribe(customer, ''gold'') FROM life WHERE name = ''free''', 'QZ401', 'unknown plan "gold"', 'an unknown plan is refused');
SELECT throws_ok('SELECT qzpay.subscribe(customer, ''pro'', ''week'') FROM life WHERE name = ''again''', 'QZ401', NULL, 'a price that is not there is refused');
SELECT throws_ok('SELECT qzpay.subscribe(customer, ''pro'') FROM life WHERE name = ''free''', 'QZ204', NULL, 'a second live subscription is refused');
SELECT throws_ok('SELECT qzpay.subscribe(gen_random_uuid(), ''pro'')', 'QZ404', NULL, 'an unknown customer is refused');
SELECT throws_ok($$ SELECT qzpay.advance_test_clock(clock, '2025-01-01') FROM life WHERE name = 'free' $$, '22023', NULL, 'a clock does not go back');

SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
