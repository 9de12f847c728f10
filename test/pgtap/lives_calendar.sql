-- Lives by the calendar: starts ahead and behind, anchors, intervals, zones and their clocks. Boundaries are reckoned again here from
-- PostgreSQL's own civil time: the anchor's wall clock in the customer's zone plus n intervals.
BEGIN;
SELECT no_plan();
\ir include/lives.psql
\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'::jsonb - 'automaticDiscounts'), 'the catalog imports');
SELECT lives_ok($$ SELECT qzpay.import_catalog('{"currency": "USD", "plans": [{"id": "any", "name": "Any", "prices": {"day": {"amount": 100}, "week": {"amount": 700}, "10 days": {"amount": 1000},
    "month": {"amount": 3100}, "quarter": {"amount": 9200}, "year": {"amount": 36500}}}],
    "addons": [{"id": "wheel", "name": "Wheel", "prices": {"month": {"amount": 310}}}, {"id": "house", "name": "House", "prices": {"year": {"amount": 3650}}}]}') $$, 'a plan by every interval');

-- Periods that are not where the calendar has them; also where one does not follow the other or was not billed once, in full.
CREATE FUNCTION pg_temp.strays(life_name text, step interval, of_cycle text, price bigint) RETURNS TABLE (n bigint, period_start timestamptz, reckoned timestamptz, billed text) LANGUAGE sql AS $$
    SELECT x.n, x.period_start, x.reckoned, x.billed FROM (
        SELECT p.n, p.period_start, r.at, (SELECT string_agg(i.total::text, ' ') FROM qzpay.invoices i WHERE i.subscription_id = p.subscription_id AND i.issued_at = p.period_start) AS billed,
               lag(p.period_end) OVER (ORDER BY p.period_start) AS before
        FROM (SELECT row_number() OVER (ORDER BY p.period_start) - 1 AS n, p.* FROM qzpay.periods p WHERE p.subscription_id = pg_temp.of(life_name) AND p.cycle = of_cycle) p
        JOIN qzpay.subscriptions s ON s.id = p.subscription_id
        CROSS JOIN LATERAL (SELECT ((s.anchor AT TIME ZONE s.timezone) + p.n * step) AT TIME ZONE s.timezone AS at) r) x (n, period_start, reckoned, billed, before)
    WHERE x.period_start <> x.reckoned OR x.before <> x.period_start OR x.billed IS DISTINCT FROM price::text
$$;
CREATE FUNCTION pg_temp.count_periods(life_name text, of_cycle text) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM qzpay.periods WHERE subscription_id = pg_temp.of(life_name) AND cycle = of_cycle $$;

-- 1. The days that not every month has, over 48 months; the last day of February in leap years and others.
SELECT pg_temp.begin_life('day_' || d, ('2026-01-' || d || ' 23:30')::timestamp AT TIME ZONE 'America/New_York', plan => 'any', token => 'tok_ok', zone => 'America/New_York') FROM unnest('{29,30,31}'::int[]) d \g /dev/null
SELECT pg_temp.go('day_' || d, '2030-01-15 00:00+00') FROM unnest('{29,30,31}'::int[]) d \g /dev/null
SELECT is_empty(format('SELECT * FROM pg_temp.strays(%L, ''1 month'', ''1 month'', 3100)', 'day_' || d), format('the %sth: every boundary of 48 months is a multiple of the anchor, billed once', d)) FROM unnest('{29,30,31}'::int[]) d;
SELECT is(pg_temp.count_periods('day_31', '1 month'), 48::bigint, 'the 31st: 48 months');
SELECT is((SELECT string_agg(to_char(p.period_start AT TIME ZONE 'America/New_York', 'MM-DD HH24:MI'), ' ' ORDER BY p.period_start) FROM qzpay.periods p
           WHERE p.subscription_id = pg_temp.of('day_31') AND p.cycle = '1 month' AND p.period_start BETWEEN '2028-01-15' AND '2028-06-15'),
          '01-31 23:30 02-29 23:30 03-31 23:30 04-30 23:30 05-31 23:30', 'the 31st: in a leap year, at half past eleven in New York throughout');
SELECT pg_temp.begin_life('leap', '2024-02-29 12:00+00', plan => 'any', per => 'year', token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('leap', '2033-01-01 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('leap', '1 year'), '2024-02-29 2025-02-28 2026-02-28 2027-02-28 2028-02-29 2029-02-28 2030-02-28 2031-02-28 2032-02-29 | 2033-02-28', 'leap day: the 29th whenever there is one');

-- 2. Weeks, quarters, ten days, over clocks that go forward and back.
SELECT pg_temp.begin_life('weekly', '2026-01-14 15:00+00', plan => 'any', per => 'week', token => 'tok_ok', zone => 'Europe/Madrid') \g /dev/null
SELECT pg_temp.begin_life('quarterly', '2025-11-30 15:00+00', plan => 'any', per => 'quarter', token => 'tok_ok', zone => 'Europe/Madrid') \g /dev/null
SELECT pg_temp.begin_life('ten_days', '2026-01-14 15:00+00', plan => 'any', per => '10 days', token => 'tok_ok', zone => 'Europe/Madrid') \g /dev/null
SELECT pg_temp.go(n, '2027-01-14 14:59:59.999999+00') FROM unnest('{weekly,quarterly,ten_days}'::text[]) n \g /dev/null
SELECT is_empty($$ SELECT * FROM pg_temp.strays('weekly', '7 days', '1 week', 700) $$, 'weekly: four in the afternoon in Madrid');
SELECT is_empty($$ SELECT * FROM pg_temp.strays('quarterly', '3 months', '3 month', 9200) $$, 'quarterly: from the last of November');
SELECT is_empty($$ SELECT * FROM pg_temp.strays('ten_days', '10 days', '10 day', 1000) $$, 'every ten days');
SELECT is(pg_temp.count_periods('weekly', '1 week') || ' ' || pg_temp.count_periods('quarterly', '3 month') || ' ' || pg_temp.count_periods('ten_days', '10 day'), '53 5 37', 'as many as the year has');
SELECT is(pg_temp.periods('quarterly', '3 month'), '2025-11-30 2026-02-28 2026-05-30 2026-08-30 2026-11-30 | 2027-02-28', 'quarterly: February''s last, then the 30th again');
-- Daily at an hour that is skipped in March and doubled in November.
SELECT pg_temp.begin_life('night', '2026-03-05 07:30+00', plan => 'any', per => 'day', token => 'tok_ok', zone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('night', '2026-03-12 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('night', '1 day', 'DD HH24:MI'), '05 07:30 06 07:30 07 07:30 08 07:30 09 06:30 10 06:30 11 06:30 | 12 06:30', 'night: half past two that is skipped is half past three, once');
SELECT is_empty($$ SELECT * FROM pg_temp.strays('night', '1 day', '1 day', 100) $$, 'night: as PostgreSQL has it');
SELECT pg_temp.begin_life('owl', '2026-10-29 05:30+00', plan => 'any', per => 'day', token => 'tok_ok', zone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('owl', '2026-11-04 00:00+00') \g /dev/null
SELECT is_empty($$ SELECT * FROM pg_temp.strays('owl', '1 day', '1 day', 100) $$, 'owl: half past one that comes twice begins one period');
SELECT is(pg_temp.count_periods('owl', '1 day'), 6::bigint, 'owl: six days, though one has 25 hours');

-- 3. Samoa had no 30 December 2011.
SELECT pg_temp.begin_life('samoa_daily', '2011-12-26 20:00+00', plan => 'any', per => 'day', token => 'tok_ok', zone => 'Pacific/Apia') \g /dev/null
SELECT pg_temp.begin_life('samoa_monthly', '2011-11-30 20:00+00', plan => 'any', token => 'tok_ok', zone => 'Pacific/Apia') \g /dev/null
SELECT pg_temp.go(n, '2012-03-05 00:00+00') FROM unnest('{samoa_daily,samoa_monthly}'::text[]) n \g /dev/null
SELECT is_empty(format($$ SELECT a.period_start, a.period_end, b.period_start FROM (SELECT p.*, lead(p.period_start) OVER (ORDER BY p.period_start) AS next FROM qzpay.periods p
    WHERE p.subscription_id = pg_temp.of(%L) AND p.cycle = %L) a JOIN qzpay.periods b ON b.subscription_id = a.subscription_id AND b.cycle = a.cycle AND b.period_start = a.next
    WHERE a.period_end <> b.period_start $$, n, c), n || ': no gap, no overlap') FROM (VALUES ('samoa_daily', '1 day'), ('samoa_monthly', '1 month')) x (n, c);
SELECT is((SELECT string_agg(to_char(p.period_start AT TIME ZONE 'Pacific/Apia', 'MM-DD HH24'), ' ' ORDER BY p.period_start) FROM qzpay.periods p
           WHERE p.subscription_id = pg_temp.of('samoa_daily') AND p.cycle = '1 day' AND p.period_start < '2012-01-03'),
          '12-26 10 12-27 10 12-28 10 12-29 10 12-31 10 01-01 10 01-02 10 01-03 10', 'samoa daily: the day that was skipped is not billed');
SELECT is((SELECT count(*) - count(DISTINCT i.issued_at) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('samoa_daily')), 0::bigint, 'samoa daily: one bill for each day there was');
SELECT is(pg_temp.bills('samoa_monthly'), '2011-11-30 3100 paid, 2011-12-30 3100 paid, 2012-01-29 3100 paid, 2012-02-28 3100 paid', 'samoa monthly: the 30th that was skipped is the 31st');

-- 4. A customer moves: the running period keeps its end, later boundaries follow the new clock.
SELECT pg_temp.begin_life('mover', '2026-01-19 09:00+00', plan => 'any', token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('mover', '2026-03-01 00:00+00') \g /dev/null
SELECT qzpay.sync_customer('mover', timezone => 'America/New_York') \g /dev/null
SELECT is((SELECT timezone FROM qzpay.subscriptions WHERE id = pg_temp.of('mover')), 'America/New_York', 'mover: the contract goes along');
SELECT pg_temp.go('mover', '2026-05-01 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('mover', form => 'MM-DD HH24'), '01-19 09 02-19 09 03-19 09 04-19 08 | 05-19 08', 'mover: four in the morning in New York from April on');
SELECT is(pg_temp.bills('mover'), '2026-01-19 3100 paid, 2026-02-19 3100 paid, 2026-03-19 3100 paid, 2026-04-19 3100 paid', 'mover: each period once, in full');
-- Whatever ends with the running period ends in its instant, also what begins after the move: nothing is billed for the hour between two clocks.
SELECT pg_temp.begin_life('mover_quarter', '2026-01-19 09:00+00', plan => 'any', per => 'quarter', token => 'tok_ok', addons => '{"wheel": 1}') \g /dev/null
SELECT pg_temp.go('mover_quarter', '2026-02-01 00:00+00') \g /dev/null
SELECT qzpay.sync_customer('mover_quarter', timezone => 'America/New_York') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('mover_quarter')) \g /dev/null
SELECT pg_temp.go('mover_quarter', '2026-05-01 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('mover_quarter', form => 'MM-DD HH24'), '01-19 09 02-19 09 03-19 08 | 04-19 09', 'mover_quarter: the last month of the wheel ends with the quarter');
SELECT is(pg_temp.periods('mover_quarter', 'usage', 'MM-DD HH24'), '01-19 09 02-19 09 03-19 08 | 04-19 09', 'mover_quarter: so does its usage');
SELECT is(pg_temp.bills('mover_quarter'), '2026-01-19 9510 paid, 2026-02-19 310 paid, 2026-03-19 310 paid', 'mover_quarter: no month of a wheel for the last hour');
SELECT pg_temp.begin_life('mover_late', '2026-01-19 09:00+00', plan => 'any', per => 'quarter', token => 'tok_ok') \g /dev/null
SELECT qzpay.sync_customer('mover_late', timezone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('mover_late', '2026-04-19 08:30+00') \g /dev/null
SELECT qzpay.add_addon(pg_temp.of('mover_late'), 'wheel') \g /dev/null
SELECT pg_temp.go('mover_late', '2026-04-20 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('mover_late', form => 'MM-DD HH24'), '03-19 08 04-19 09 | 05-19 08', 'mover_late: a wheel for the last half hour has the month that ends then');
SELECT is(pg_temp.bills('mover_late'), '2026-01-19 9200 paid, 2026-04-19 9510 paid', 'mover_late: its part is nothing, the next begins with the quarter');
SELECT pg_temp.begin_life('mover_year', '2026-03-28 12:00+00', plan => 'any', token => 'tok_ok', addons => '{"house": 1}') \g /dev/null
SELECT qzpay.sync_customer('mover_year', timezone => 'Europe/Madrid') \g /dev/null
SELECT pg_temp.go('mover_year', '2027-04-01 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('mover_year', '1 year', 'MM-DD HH24'), '03-28 12 03-28 12 | 03-28 11', 'mover_year: the year keeps its end');
SELECT is((SELECT to_char(max(p.period_end), 'MM-DD HH24') FROM qzpay.periods p WHERE p.subscription_id = pg_temp.of('mover_year') AND p.cycle = '1 month' AND p.period_start < '2027-03-20'), '03-28 12',
          'mover_year: and its last month ends with it');
SELECT is((SELECT count(*) || ' ' || max(i.total) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('mover_year') AND i.issued_at >= '2027-03-20'), '1 6750', 'mover_year: on one bill');

-- 5. Starts ahead.
SELECT pg_temp.begin_life('future', '2026-01-10 09:00+00', days => 0, token => 'tok_ok', start_at => '2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('future') || ', ' || pg_temp.bills('future') || ' ' || pg_temp.can('future'), 'incomplete/scheduled no access, none false', 'future: nothing yet');
SELECT throws_ok($$ SELECT qzpay.subscribe(customer, 'pro') FROM life WHERE name = 'future' $$, 'QZ204', NULL, 'future: but a contract');
SELECT pg_temp.go('future', '2026-01-31 23:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.bills('future'), 'none', 'future: not a microsecond early');
SELECT pg_temp.go('future', '2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('future') || ', ' || pg_temp.bills('future') || ', ' || pg_temp.period('future'), 'active access, 2026-02-01 9900 paid, 2026-02-01 00:00 | 2026-03-01 00:00', 'future: begins when it was to');
SELECT pg_temp.begin_life('future_trial', '2026-01-10 09:00+00', token => 'tok_ok', start_at => '2026-02-01 00:00+00') \g /dev/null
SELECT pg_temp.go('future_trial', '2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('future_trial') || ' ' || (SELECT trial_end FROM qzpay.subscriptions WHERE id = pg_temp.of('future_trial')), 'trialing access 2026-02-15 00:00:00+00', 'future trial: its whole length from the start');
SELECT pg_temp.go('future_trial', '2026-02-15 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('future_trial'), '2026-02-15 9900 paid', 'future trial: then paid');
SELECT pg_temp.begin_life('regretted', '2026-01-10 09:00+00', days => 0, token => 'tok_ok', start_at => '2026-02-01 00:00+00') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('regretted')) \g /dev/null
SELECT pg_temp.go('regretted', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('regretted') || ', ' || pg_temp.bills('regretted'), 'canceled/requested no access, none', 'regretted: taken back before it began');
SELECT pg_temp.begin_life('broke', '2026-01-10 09:00+00', days => 0, token => 'tok_decline', start_at => '2026-02-01 00:00+00') \g /dev/null
SELECT pg_temp.go('broke', '2026-02-01 22:59:59+00') \g /dev/null
SELECT is(pg_temp.state('broke'), 'incomplete/awaiting_payment no access', 'broke: declined at its start');
SELECT pg_temp.go('broke', '2026-02-01 23:00+00') \g /dev/null
SELECT is(pg_temp.state('broke') || ', ' || pg_temp.bills('broke'), 'incomplete_expired/payment_timeout no access, 2026-02-01 9900 void', 'broke: 23 hours counted from the start');

-- 6. Starts behind: only the running period is billed, in full.
SELECT pg_temp.begin_life('belated', '2026-03-12 09:00+00', days => 0, token => 'tok_ok', start_at => '2026-01-05 06:00+00') \g /dev/null
SELECT is(pg_temp.bills('belated') || ', ' || pg_temp.period('belated'), '2026-03-12 9900 paid, 2026-03-05 06:00 | 2026-04-05 06:00', 'belated: the period that runs');
SELECT pg_temp.go('belated', '2026-04-05 06:00+00') \g /dev/null
SELECT is(pg_temp.bills('belated'), '2026-03-12 9900 paid, 2026-04-05 9900 paid', 'belated: and those that follow');

-- 7. Anchors: an instant ahead, the first of the month here and in New York, the first of the year, Monday.
SELECT pg_temp.begin_life('anchored', '2026-01-19 09:00+00', days => 0, token => 'tok_ok', anchor => '2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('anchored') || ', ' || pg_temp.period('anchored'), '2026-01-19 4032 paid, 2026-01-19 09:00 | 2026-02-01 00:00', 'anchored: 12 days 15 hours of January''s 31');
SELECT pg_temp.change('anchored', 'enterprise') \g /dev/null
SELECT is(pg_temp.last_bill('anchored'), 'plan -4032, plan 20322', 'anchored: changed in its first part, by the share of a whole month');
SELECT pg_temp.go('anchored', '2026-02-01 00:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('anchored') || ', ' || pg_temp.period('anchored'), 'plan 49900, 2026-02-01 00:00 | 2026-03-01 00:00', 'anchored: then whole months');
SELECT throws_ok($$ SELECT pg_temp.begin_life('far_anchor', '2026-01-19 09:00+00', days => 0, token => 'tok_ok', anchor => '2026-03-01 00:00+00') $$, '22023', NULL, 'no anchor further than a period ahead');
SELECT throws_ok($$ SELECT pg_temp.begin_life('past_anchor', '2026-01-19 09:00+00', days => 0, token => 'tok_ok', anchor => '2026-01-01 00:00+00') $$, '22023', NULL, 'nor one behind');
SELECT pg_temp.begin_life('calendar', '2026-03-02 14:00+00', days => 0, token => 'tok_ok', anchor => 'calendar', zone => 'America/New_York') \g /dev/null
SELECT is(pg_temp.bills('calendar') || ', ' || pg_temp.period('calendar'), '2026-03-02 9460 paid, 2026-03-02 14:00 | 2026-04-01 04:00', 'calendar: 710 of the 743 hours that March has in New York');
SELECT pg_temp.go('calendar', '2026-11-01 04:00+00') \g /dev/null
SELECT is(pg_temp.periods('calendar', form => 'MM-DD HH24'), '03-02 14 04-01 04 05-01 04 06-01 04 07-01 04 08-01 04 09-01 04 10-01 04 11-01 04 | 12-01 05', 'calendar: midnight of the first in New York');
SELECT pg_temp.begin_life('calendar_year', '2026-07-02 12:00+00', per => 'year', days => 0, token => 'tok_ok', anchor => 'calendar') \g /dev/null
SELECT is(pg_temp.bills('calendar_year') || ', ' || pg_temp.period('calendar_year'), '2026-07-02 49500 paid, 2026-07-02 12:00 | 2027-01-01 00:00', 'calendar year: half of it');
SELECT pg_temp.go('calendar_year', '2027-02-15 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('calendar_year', 'usage', 'MM-DD HH24'), '07-02 12 08-01 00 09-01 00 10-01 00 11-01 00 12-01 00 01-01 00 02-01 00 | 03-01 00', 'calendar year: its usage months are the calendar''s');
-- A yearly contract brought in mid-year has its usage months too.
SELECT pg_temp.begin_life('brought', '2026-02-01 00:00+00', plan => 'free') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('brought'), 'now') \g /dev/null
UPDATE life SET subscription = (qzpay.import_subscription(customer, 'pro', '2025-09-19 09:00+00', '2026-09-19 09:00+00', 'year')).id WHERE name = 'brought';
SELECT pg_temp.card('brought', 'tok_ok') \g /dev/null
SELECT pg_temp.go('brought', '2026-10-20 00:00+00') \g /dev/null
SELECT is(pg_temp.periods('brought', 'usage', 'MM-DD'), '01-19 02-19 03-19 04-19 05-19 06-19 07-19 08-19 09-19 10-19 | 11-19', 'brought: every month, from the running one');
SELECT is(pg_temp.bills('brought') || ', ' || pg_temp.periods('brought', '1 year'), '2026-09-19 99000 paid, 2025-09-19 2026-09-19 | 2027-09-19', 'brought: billed when its year was over');
SELECT pg_temp.begin_life('monday', '2026-01-08 00:00+00', plan => 'any', per => 'week', token => 'tok_ok', anchor => 'calendar') \g /dev/null
SELECT pg_temp.go('monday', '2026-01-19 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('monday') || ', ' || pg_temp.periods('monday', '1 week'), '2026-01-08 400 paid, 2026-01-12 700 paid, 2026-01-19 700 paid, 2026-01-08 2026-01-12 2026-01-19 | 2026-01-26', 'monday: four days, then weeks');
SELECT pg_temp.begin_life('on_the_first', '2026-02-01 00:00+00', days => 0, token => 'tok_ok', anchor => 'calendar') \g /dev/null
SELECT is(pg_temp.bills('on_the_first') || ', ' || pg_temp.period('on_the_first'), '2026-02-01 9900 paid, 2026-02-01 00:00 | 2026-03-01 00:00', 'on the first: a whole month, no part of one');

-- 8. Contracts that do not renew.
SELECT pg_temp.begin_life('term', '2026-01-19 09:00+00', days => 0, token => 'tok_ok', auto_renew => false) \g /dev/null
SELECT pg_temp.go('term', '2026-02-19 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('term'), 'active access', 'term: to the last microsecond');
SELECT pg_temp.sleep('term', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.can('term'), false, 'term: not at the end, though no job has run');
SELECT pg_temp.go('term', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('term') || ', ' || pg_temp.bills('term'), 'canceled/expired no access, 2026-01-19 9900 paid', 'term: ended by itself');
SELECT is(pg_temp.happened('term', 'subscription\.(expir|cancel)'), '02-12 09:00 subscription.expiring, 02-16 09:00 subscription.expiring, 02-18 09:00 subscription.expiring, 02-19 09:00 subscription.expired',
          'term: told 7, 3 and 1 days before, and once at the end');
SELECT pg_temp.begin_life('renewed', '2026-01-19 09:00+00', days => 0, token => 'tok_ok', auto_renew => false) \g /dev/null
SELECT pg_temp.go('renewed', '2026-02-17 09:00+00') \g /dev/null
SELECT qzpay.set_auto_renew(pg_temp.of('renewed'), true) \g /dev/null
SELECT pg_temp.go('renewed', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('renewed'), '2026-01-19 9900 paid, 2026-02-19 9900 paid', 'renewed: changed his mind in time');
SELECT qzpay.set_auto_renew(pg_temp.of('renewed'), false) \g /dev/null
SELECT pg_temp.go('renewed', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.happened('renewed', 'subscription\.(expir|cancel)'),
    '02-12 09:00 subscription.expiring, 02-16 09:00 subscription.expiring, 03-12 09:00 subscription.expiring, 03-16 09:00 subscription.expiring, 03-18 09:00 subscription.expiring, 03-19 09:00 subscription.expired',
    'renewed: and again; reminders of the one end and of the other');

SELECT is_empty('SELECT * FROM pg_temp.unkept_previews()', 'every bill is what its preview said');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
