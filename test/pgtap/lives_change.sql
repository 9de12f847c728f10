-- Lives with changes in mid-period: what is credited, debited, scheduled and taken back, by instants and cents.
-- Asist.IA's plans; Starter 2900 and Pro 9900 a month, tenfold a year; sandbox answers at once.
BEGIN;
SELECT no_plan();
\ir include/lives.psql
\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'::jsonb - 'automaticDiscounts'), 'the catalog imports');

-- 1. Upgrade in mid-period: 17 of 31 days are left.
SELECT pg_temp.begin_life('upgrader', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('upgrader', '2026-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.can('upgrader'), false, 'upgrader: Starter has no API');
SELECT is(pg_temp.change('upgrader', 'pro'), 'upgrade 02-02 09:00', 'upgrader: an upgrade takes effect now');
SELECT is(pg_temp.last_bill('upgrader'), 'plan -1590, plan 5429', 'upgrader: 2900 - round(2900 x 14/31) back, round(9900 x 17/31) due');
SELECT is(pg_temp.can('upgrader'), true, 'upgrader: Pro at once');
SELECT is(pg_temp.period('upgrader'), '2026-01-19 09:00 | 2026-02-19 09:00', 'upgrader: the period stays');
SELECT pg_temp.go('upgrader', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('upgrader'), '2026-01-19 2900 paid, 2026-02-02 3839 paid, 2026-02-19 9900 paid', 'upgrader: 3839 now, then the whole price');
SELECT is(pg_temp.changes('upgrader'), '02-02 09:00 subscription.upgraded, 02-02 09:00 subscription.changed', 'upgrader: upgraded and changed, once each');
SELECT is((SELECT (e.data ->> 'oldPlan') || ' ' || (e.data ->> 'newPlan') || ' ' || (e.data ->> 'proratedAmount') || ' ' || (e.data ->> 'effectiveAt')::timestamptz
           FROM qzpay.events e JOIN life l ON l.customer = e.customer_id WHERE l.name = 'upgrader' AND e.type = 'subscription.upgraded'),
          'starter pro 3839 2026-02-02 09:00:00+00', 'upgrader: its event says from what to what, when and how much');

-- 2. There, back and there again in one instant nets what going there once does.
SELECT pg_temp.begin_life('waverer', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('waverer', '2026-02-02 09:00+00') \g /dev/null
SELECT pg_temp.change('waverer', 'pro') \g /dev/null
SELECT is(pg_temp.change('waverer', 'starter', effective => 'now'), 'downgrade 02-02 09:00', 'waverer: a downgrade now, when asked for');
SELECT is(pg_temp.last_bill('waverer'), 'plan -5429, plan 1590, balance 3839', 'waverer: the whole debit comes back, to the balance');
SELECT is(pg_temp.balance('waverer'), 3839::bigint, 'waverer: and is there');
SELECT pg_temp.change('waverer', 'pro') \g /dev/null
SELECT is(pg_temp.last_bill('waverer'), 'plan -1590, plan 5429', 'waverer: there again for the same');
SELECT is(pg_temp.balance('waverer') || ' ' || pg_temp.paid('waverer'), '0 6739', 'waverer: paid 2900 and 3839, no balance left');
SELECT pg_temp.go('waverer', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('waverer'), '2026-01-19 2900 paid, 2026-02-02 3839 paid, 2026-02-02 0 paid, 2026-02-02 3839 paid, 2026-02-19 9900 paid', 'waverer: three bills in one instant, each of its own');

-- 3. At the exact boundary a request belongs to the new period, though no job has run.
SELECT pg_temp.begin_life('edge', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('edge', '2026-02-19 08:59:59.999999+00') \g /dev/null
SELECT pg_temp.sleep('edge', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.change('edge', 'pro'), 'upgrade 02-19 09:00', 'edge: accepted at the boundary');
SELECT is(pg_temp.last_bill('edge'), 'plan -2900, plan 9900', 'edge: zero elapsed time gives the whole debit back');
SELECT is(pg_temp.bills('edge'), '2026-01-19 2900 paid, 2026-02-19 2900 paid, 2026-02-19 7000 paid', 'edge: the old plan''s period had begun');
SELECT is(pg_temp.periods('edge'), '2026-01-19 2026-02-19 | 2026-03-19', 'edge: one period more, no second');
-- One microsecond before, next to nothing is left.
SELECT pg_temp.begin_life('brink', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('brink', '2026-02-19 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.change('brink', 'pro'), 'upgrade 02-19 08:59', 'brink: accepted in the last microsecond');
SELECT pg_temp.go('brink', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('brink'), '2026-01-19 2900 paid, 2026-02-19 9900 paid', 'brink: nothing to prorate, then the new price');

-- 4. Two changes in one second.
SELECT pg_temp.begin_life('hasty', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('hasty', '2026-02-02 09:00:00.2+00') \g /dev/null
SELECT pg_temp.change('hasty', 'pro') \g /dev/null
SELECT pg_temp.go('hasty', '2026-02-02 09:00:00.7+00') \g /dev/null
SELECT is(pg_temp.change('hasty', 'enterprise'), 'upgrade 02-02 09:00', 'hasty: a second upgrade within the second');
SELECT is(pg_temp.last_bill('hasty'), 'plan -5429, plan 27365', 'hasty: 5429 back, round(49900 x 17/31) due');
SELECT is((SELECT count(DISTINCT i.id) || ' ' || count(DISTINCT i.number) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('hasty')), '3 3', 'hasty: each bill has its own identity');

-- 5. A downgrade waits for the end of the period, may be taken back, and takes features in its very instant.
SELECT pg_temp.begin_life('saver', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('saver', '2026-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.change('saver', 'starter'), 'downgrade 02-19 09:00', 'saver: a downgrade waits');
SELECT is(pg_temp.changes('saver'), '02-02 09:00 subscription.downgraded', 'saver: downgraded when accepted');
SELECT is((SELECT (e.data ->> 'effectiveAt')::timestamptz FROM qzpay.events e JOIN life l ON l.customer = e.customer_id WHERE l.name = 'saver' AND e.type = 'subscription.downgraded'),
          '2026-02-19 09:00+00', 'saver: and told for when');
SELECT is((SELECT to_plan || ' ' || effective_at FROM qzpay.scheduled_changes WHERE subscription_id = pg_temp.of('saver')), 'starter 2026-02-19 09:00:00+00', 'saver: it is listed');
SELECT is(qzpay.cancel_scheduled_change(pg_temp.of('saver')), true, 'saver: taken back');
SELECT is(qzpay.cancel_scheduled_change(pg_temp.of('saver')), false, 'saver: once');
SELECT pg_temp.undone('saver') \g /dev/null
SELECT pg_temp.go('saver', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('saver'), '2026-01-19 9900 paid, 2026-02-19 9900 paid', 'saver: Pro goes on');
SELECT pg_temp.change('saver', 'starter') \g /dev/null
SELECT pg_temp.go('saver', '2026-03-19 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.can('saver'), true, 'saver: Pro to the last microsecond');
SELECT pg_temp.sleep('saver', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.can('saver'), false, 'saver: Starter in its first instant, though no job has run');
SELECT pg_temp.go('saver', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('saver'), '2026-01-19 9900 paid, 2026-02-19 9900 paid, 2026-03-19 2900 paid', 'saver: one bill at the boundary, of the new plan');
SELECT is(pg_temp.changes('saver'), '02-02 09:00 subscription.downgraded, 02-19 09:00 subscription.downgraded, 03-19 09:00 subscription.changed', 'saver: changed when it took effect');
SELECT is((SELECT count(*) FROM qzpay.scheduled_changes WHERE subscription_id = pg_temp.of('saver')), 0::bigint, 'saver: nothing is pending any more');

-- 6. The end beats the scheduled change; taking the end back revives the change.
SELECT pg_temp.begin_life('torn', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.change('torn', 'starter') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('torn')) \g /dev/null
SELECT is((SELECT overtaken_by_end FROM qzpay.scheduled_changes WHERE subscription_id = pg_temp.of('torn')), true, 'torn: the end overtakes the change');
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('torn'), 'enterprise') $$, 'QZ204', NULL, 'torn: no change now while the end is pending');
SELECT qzpay.uncancel(pg_temp.of('torn')) \g /dev/null
SELECT is((SELECT overtaken_by_end FROM qzpay.scheduled_changes WHERE subscription_id = pg_temp.of('torn')), false, 'torn: revived');
SELECT pg_temp.go('torn', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('torn'), '2026-01-19 9900 paid, 2026-02-19 2900 paid', 'torn: and takes effect');
SELECT pg_temp.change('torn', 'free') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('torn')) \g /dev/null
SELECT is(pg_temp.change('torn', 'pro', effective => 'now', uncancel => true), 'upgrade 02-19 09:00', 'torn: uncancelled in the same call');
SELECT is((SELECT cancel_at FROM qzpay.subscriptions WHERE id = pg_temp.of('torn')), NULL, 'torn: the end is gone');
SELECT is((SELECT count(*) FROM qzpay.scheduled_changes WHERE subscription_id = pg_temp.of('torn')), 0::bigint, 'torn: so is the change to a plan that was overtaken');
SELECT pg_temp.change('torn', 'starter') \g /dev/null
SELECT pg_temp.undone('torn') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('torn')) \g /dev/null
SELECT pg_temp.go('torn', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('torn') || ', ' || pg_temp.bills('torn'),
          'canceled/requested no access, 2026-01-19 9900 paid, 2026-02-19 2900 paid, 2026-02-19 7000 paid', 'torn: in the end the end wins');
SELECT is((SELECT count(*) FROM qzpay.subscription_changes WHERE subscription_id = pg_temp.of('torn') AND status = 'pending'), 0::bigint, 'torn: and closes what was scheduled');

SELECT is((SELECT string_agg(p.code, ' ' ORDER BY i.valid_from) FROM qzpay.subscription_items i JOIN qzpay.products p ON p.id = i.product_id WHERE i.subscription_id = pg_temp.of('torn')), 'pro pro',
          'torn: what was to begin with the end never was');

-- 7. From the month to the year now: a new period and anchor at that instant.
SELECT pg_temp.begin_life('committed', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('committed', '2026-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.change('committed', per => 'year'), 'upgrade 02-02 09:00', 'committed: a longer interval is an upgrade');
SELECT is(pg_temp.last_bill('committed'), 'plan -5429, plan 99000', 'committed: 9900 - round(9900 x 14/31) back, the year due');
SELECT is(pg_temp.period('committed'), '2026-02-02 09:00 | 2027-02-02 09:00', 'committed: a year from now');
SELECT is(pg_temp.periods('committed') || ', ' || pg_temp.periods('committed', '1 year') || ', ' || pg_temp.periods('committed', 'usage'),
          '2026-01-19 | 2026-02-02, 2026-02-02 | 2027-02-02, 2026-01-19 2026-02-02 | 2026-03-02', 'committed: the month is cut, no gap and no overlap');
SELECT pg_temp.go('committed', '2027-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('committed'), '2026-01-19 9900 paid, 2026-02-02 93571 paid, 2027-02-02 99000 paid', 'committed: next year from the new anchor');

-- 8. From the year to the month now: the rest of the year becomes balance and pays the months.
SELECT pg_temp.begin_life('doubtful', '2026-01-19 09:00+00', per => 'year', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('doubtful', '2026-07-20 09:00+00') \g /dev/null
SELECT is(pg_temp.change('doubtful', per => 'month', effective => 'now'), 'downgrade 07-20 09:00', 'doubtful: a shorter interval is a downgrade');
SELECT is(pg_temp.last_bill('doubtful'), 'plan -49636, plan 9900, balance 39736', 'doubtful: 99000 - round(99000 x 182/365) back');
SELECT pg_temp.go('doubtful', '2026-12-20 09:00+00') \g /dev/null
SELECT is((SELECT string_agg(i.balance_applied || '+' || i.amount_paid, ' ' ORDER BY i.issued_at) FROM qzpay.invoices i WHERE i.subscription_id = pg_temp.of('doubtful') AND i.issued_at > '2026-07-21'),
          '9900+0 9900+0 9900+0 9900+0 136+9764', 'doubtful: four months and a bit of the fifth');
SELECT is(pg_temp.periods('doubtful'), '2026-07-20 2026-08-20 2026-09-20 2026-10-20 2026-11-20 2026-12-20 | 2027-01-20', 'doubtful: months from the new anchor');

-- 9. The same at the end of the year, undone by a scheduled yearly stay, then done.
SELECT pg_temp.begin_life('patient', '2026-01-19 09:00+00', per => 'year', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('patient', '2026-07-20 09:00+00') \g /dev/null
SELECT is(pg_temp.change('patient', per => 'month'), 'downgrade 01-19 09:00', 'patient: waits for the end of the year');
SELECT pg_temp.go('patient', '2027-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('patient'), '2026-01-19 99000 paid, 2027-01-19 9900 paid, 2027-02-19 9900 paid, 2027-03-19 9900 paid', 'patient: then by the month');
SELECT is(pg_temp.periods('patient', '1 year') || ', ' || pg_temp.periods('patient'), '2026-01-19 | 2027-01-19, 2027-01-19 2027-02-19 2027-03-19 | 2027-04-19', 'patient: without a gap');

-- 10. Seats.
SELECT pg_temp.begin_life('team', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('team', '2026-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.change('team', quantity => 3), 'upgrade 02-02 09:00', 'team: more is an upgrade');
SELECT is(pg_temp.last_bill('team'), 'plan -5429, plan 16287', 'team: one seat back, three debited');
SELECT is(pg_temp.change('team', quantity => 2), 'downgrade 02-19 09:00', 'team: fewer wait');
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('team'), NULL, quantity => 0) $$, '22023', NULL, 'team: none at all is refused');
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('team'), NULL, quantity => -1) $$, '22023', NULL, 'team: fewer than none too');
SELECT pg_temp.go('team', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('team'), '2026-01-19 9900 paid, 2026-02-02 10858 paid, 2026-02-19 19800 paid', 'team: two from the boundary');

-- 11. Prorations with the next invoice, or none.
SELECT pg_temp.begin_life('later', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('later', '2026-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.change('later', 'pro', proration => 'create_prorations'), 'upgrade 02-02 09:00', 'later: accepted');
SELECT is(pg_temp.bills('later') || ' ' || pg_temp.can('later'), '2026-01-19 2900 paid true', 'later: Pro now, no bill now');
SELECT pg_temp.go('later', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.last_bill('later'), 'plan -1590, plan 5429, plan 9900', 'later: both prorations on the next bill');
SELECT is(pg_temp.bills('later'), '2026-01-19 2900 paid, 2026-02-19 13739 paid', 'later: in one sum');
SELECT pg_temp.begin_life('gift', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('gift', '2026-02-02 09:00+00') \g /dev/null
SELECT is(pg_temp.change('gift', 'pro', proration => 'none'), 'upgrade 02-02 09:00', 'gift: accepted');
SELECT pg_temp.go('gift', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('gift'), '2026-01-19 2900 paid, 2026-02-19 9900 paid', 'gift: the rest of the period is not charged');

-- 12. By calendar day, over the short day of New York: the day of the change belongs to the new plan, and every day counts one.
SELECT qzpay.set_setting('proration_unit', '"day"') \g /dev/null
SELECT pg_temp.begin_life('by_day', '2026-02-15 14:00+00', plan => 'starter', days => 0, token => 'tok_ok', zone => 'America/New_York') \g /dev/null
SELECT pg_temp.go('by_day', '2026-03-09 03:59:59+00') \g /dev/null
SELECT is(pg_temp.change('by_day', 'pro'), 'upgrade 03-09 03:59', 'by day: late in the evening of March 8');
SELECT is(pg_temp.last_bill('by_day'), 'plan -725, plan 2475', 'by day: 7 of 28 days, the 8th among them');
SELECT pg_temp.go('by_day', '2026-03-09 04:00+00') \g /dev/null
SELECT is(pg_temp.change('by_day', 'enterprise'), 'upgrade 03-09 04:00', 'by day: one second later it is March 9');
SELECT is(pg_temp.last_bill('by_day'), 'plan -2121, plan 10693', 'by day: 2475 - round(2475 x 1/7) back, round(49900 x 6/28) due');
SELECT qzpay.set_setting('proration_unit', '"second"') \g /dev/null

-- 13. What may not change: past due, incomplete, in flight.
SELECT pg_temp.begin_life('debtor', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.sandbox_set_token(method, 'tok_insufficient_funds') FROM life WHERE name = 'debtor' \g /dev/null
SELECT pg_temp.go('debtor', '2026-02-20 09:00+00') \g /dev/null
SELECT is(pg_temp.state('debtor'), 'past_due/payment_failed access', 'debtor: past due');
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('debtor'), 'pro') $$, 'QZ204', NULL, 'debtor: no upgrade before what is open is paid');
SELECT throws_ok($$ SELECT * FROM qzpay.preview_change(pg_temp.of('debtor'), 'pro') $$, 'QZ204', NULL, 'debtor: nor its preview');
SELECT is(pg_temp.change('debtor', 'free', effective => 'period_end'), 'downgrade 03-19 09:00', 'debtor: but it may be scheduled');
SELECT is(pg_temp.bills('debtor'), '2026-01-19 2900 paid, 2026-02-19 2900 open', 'debtor: nothing was billed for it');
SELECT pg_temp.begin_life('unpaid_start', '2026-01-19 09:00+00', days => 0, token => 'tok_decline') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('unpaid_start'), 'enterprise') $$, 'QZ204', NULL, 'unpaid start: an incomplete subscription does not change');
SELECT pg_temp.begin_life('in_flight', '2026-01-05 09:00+00', plan => 'starter', token => 'tok_timeout') \g /dev/null
SELECT pg_temp.go('in_flight', '2026-01-19 09:00+00') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('in_flight'), 'pro') $$, 'QZ204', NULL, 'in flight: no change while the outcome is unknown');
SELECT pg_temp.go('in_flight', '2026-01-20 09:00+00') \g /dev/null
SELECT is(pg_temp.change('in_flight', 'pro'), 'upgrade 01-20 09:00', 'in flight: once it is known');

-- 14. Redone with its key, it is done once; with other arguments it is refused.
SELECT pg_temp.begin_life('clicker', '2026-01-19 09:00+00', plan => 'starter', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.change_plan(pg_temp.of('clicker'), 'pro', idempotency_key => 'k') \g /dev/null
SELECT qzpay.change_plan(pg_temp.of('clicker'), 'pro', idempotency_key => 'k') \g /dev/null
SELECT is(pg_temp.bills('clicker'), '2026-01-19 2900 paid, 2026-01-19 7000 paid', 'clicker: one change for two clicks');
SELECT throws_ok($$ SELECT qzpay.change_plan(pg_temp.of('clicker'), 'enterprise', idempotency_key => 'k') $$, 'QZ001', NULL, 'clicker: the key stands for its request');
SELECT qzpay.change_plan(pg_temp.of('clicker'), 'pro') \g /dev/null
SELECT is(pg_temp.bills('clicker'), '2026-01-19 2900 paid, 2026-01-19 7000 paid', 'clicker: what is there already changes nothing');

SELECT is_empty('SELECT * FROM pg_temp.unkept_previews()', 'every bill is what its preview said');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
