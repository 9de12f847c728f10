-- Lives through trial, pause, end and free access. Pro is 9900 a month; half of a February is 5429 left at 2026-02-02 09:00 of [01-19, 02-19).
BEGIN;
SELECT no_plan();
\ir include/lives.psql
\set catalog `cat examples/asistia/catalog.json`
SELECT lives_ok(format('SELECT qzpay.import_catalog(%L)', :'catalog'::jsonb - 'automaticDiscounts'), 'the catalog imports');

-- 1. A change in the trial is free and at once; the trial ends when it would have.
SELECT pg_temp.begin_life('taster', '2026-01-05 09:00+00', plan => 'starter', token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('taster', '2026-01-10 09:00+00') \g /dev/null
SELECT is(pg_temp.change('taster', 'pro'), 'upgrade 01-10 09:00', 'taster: upgraded in the trial');
SELECT is(pg_temp.state('taster') || ' ' || pg_temp.can('taster') || ' ' || pg_temp.bills('taster'), 'trialing access true none', 'taster: Pro at once, no bill');
SELECT is(pg_temp.change('taster', per => 'year'), 'upgrade 01-10 09:00', 'taster: then by the year');
SELECT is(pg_temp.change('taster', 'starter'), 'downgrade 01-10 09:00', 'taster: a downgrade in the trial does not wait');
SELECT is(pg_temp.can('taster'), false, 'taster: and takes Pro''s features');
SELECT is((SELECT trial_end FROM qzpay.subscriptions WHERE id = pg_temp.of('taster')), '2026-01-19 09:00+00', 'taster: the trial''s end has not moved');
SELECT pg_temp.go('taster', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('taster') || ', ' || pg_temp.period('taster'), '2026-01-19 29000 paid, 2026-01-19 09:00 | 2027-01-19 09:00', 'taster: converts to what it was changed to');
SELECT is(pg_temp.happened('taster', '^trial\.(started|converted|expired)'), '01-05 09:00 trial.started, 01-19 09:00 trial.converted', 'taster: one trial');

-- 2. A trial made longer: it ends later, and its reminders are counted anew.
SELECT pg_temp.begin_life('prolonged', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('prolonged', '2026-01-17 09:00+00') \g /dev/null
SELECT is((SELECT (qzpay.extend_trial(pg_temp.of('prolonged'), 7)).trial_end), '2026-01-26 09:00+00'::timestamptz, 'prolonged: seven days more');
SELECT throws_ok($$ SELECT qzpay.extend_trial(pg_temp.of('prolonged'), '2026-01-26 09:00+00'::timestamptz) $$, '22023', NULL, 'prolonged: not to the same instant');
SELECT throws_ok($$ SELECT qzpay.extend_trial(pg_temp.of('prolonged'), -1) $$, '22023', NULL, 'prolonged: nor backwards');
SELECT pg_temp.go('prolonged', '2026-01-26 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('prolonged'), 'trialing access', 'prolonged: to the last microsecond');
SELECT pg_temp.go('prolonged', '2026-01-26 09:00+00') \g /dev/null
SELECT is(pg_temp.state('prolonged'), 'canceled/trial_expired no access', 'prolonged: then over');
SELECT is(pg_temp.happened('prolonged', '^trial\.expir'),
    '01-12 09:00 trial.expiring, 01-16 09:00 trial.expiring, 01-19 09:00 trial.expiring, 01-23 09:00 trial.expiring, 01-25 09:00 trial.expiring, 01-26 09:00 trial.expired',
    'prolonged: 7 and 3 days of the old end, 7, 3 and 1 of the new');
SELECT is(pg_temp.periods('prolonged', 'usage'), '2026-01-05 | 2026-01-26', 'prolonged: one usage period');
SELECT throws_ok($$ SELECT qzpay.extend_trial(pg_temp.of('prolonged'), 7) $$, 'QZ204', NULL, 'prolonged: not after the end');

-- 3. Converted early.
SELECT pg_temp.begin_life('eager', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('eager', '2026-01-10 12:00+00') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.end_trial(pg_temp.of('eager')) $$, 'QZ204', NULL, 'eager: not without a method');
SELECT pg_temp.card('eager', 'tok_ok') \g /dev/null
SELECT is((SELECT (qzpay.end_trial(pg_temp.of('eager'))).status), 'active', 'eager: active at once');
SELECT is(pg_temp.bills('eager') || ', ' || pg_temp.period('eager'), '2026-01-10 9900 paid, 2026-01-10 12:00 | 2026-02-10 12:00', 'eager: billed from that instant');
SELECT is(pg_temp.happened('eager', '^trial\.'), '01-05 09:00 trial.started, 01-10 12:00 trial.converted', 'eager: no reminder, no second end');
SELECT throws_ok($$ SELECT qzpay.end_trial(pg_temp.of('eager')) $$, 'QZ204', NULL, 'eager: once');
SELECT pg_temp.go('eager', '2026-02-10 12:00+00') \g /dev/null
SELECT is(pg_temp.bills('eager'), '2026-01-10 9900 paid, 2026-02-10 9900 paid', 'eager: renews from its own anchor');

-- 4. The three ends of a trial without a method: the plan says which.
UPDATE qzpay.products SET trial_end_behavior = 'pause' WHERE code = 'pro';
SELECT pg_temp.begin_life('held', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('held', '2026-02-01 09:00+00') \g /dev/null
SELECT is(pg_temp.state('held') || ', ' || pg_temp.bills('held'), 'paused/trial_without_payment_method no access, none', 'held: paused, no bill');
SELECT pg_temp.card('held', 'tok_ok') \g /dev/null
SELECT is((SELECT (qzpay.resume(pg_temp.of('held'))).status), 'active', 'held: resumed with a card');
SELECT is(pg_temp.bills('held') || ', ' || pg_temp.period('held'), '2026-02-01 9900 paid, 2026-02-01 09:00 | 2026-03-01 09:00', 'held: a full period from then');
UPDATE qzpay.products SET trial_end_behavior = 'past_due' WHERE code = 'pro';
SELECT pg_temp.begin_life('trusted', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('trusted', '2026-01-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('trusted') || ', ' || pg_temp.bills('trusted'), 'past_due/payment_failed access, 2026-01-19 9900 open', 'trusted: billed, in grace');
SELECT pg_temp.go('trusted', '2026-01-21 09:00+00') \g /dev/null
SELECT pg_temp.card('trusted', 'tok_ok') \g /dev/null
SELECT pg_temp.go('trusted', '2026-01-21 09:00+00') \g /dev/null
SELECT is(pg_temp.state('trusted') || ', ' || pg_temp.bills('trusted'), 'active access, 2026-01-19 9900 paid', 'trusted: pays within grace');
SELECT pg_temp.begin_life('mistrusted', '2026-01-05 09:00+00') \g /dev/null
SELECT pg_temp.go('mistrusted', '2026-01-24 09:00+00') \g /dev/null
SELECT is(pg_temp.state('mistrusted') || ', ' || pg_temp.bills('mistrusted'), 'canceled/payment_failed no access, 2026-01-19 9900 uncollectible', 'mistrusted: does not');
UPDATE qzpay.products SET trial_end_behavior = 'cancel' WHERE code = 'pro';

-- 5. A pause at the end of the period, with its own end.
SELECT pg_temp.begin_life('sabbatical', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('sabbatical', '2026-02-02 09:00+00') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.pause(pg_temp.of('sabbatical'), resume_at => '2026-02-10') $$, '22023', NULL, 'sabbatical: it cannot end before it begins');
SELECT qzpay.pause(pg_temp.of('sabbatical'), resume_at => '2026-04-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('sabbatical'), 'active access', 'sabbatical: what is paid is kept');
SELECT pg_temp.sleep('sabbatical', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.can('sabbatical'), false, 'sabbatical: no access from the boundary, though no job has run');
SELECT pg_temp.go('sabbatical', '2026-03-31 23:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('sabbatical') || ', ' || pg_temp.bills('sabbatical'), 'paused/requested no access, 2026-01-19 9900 paid', 'sabbatical: paused, not billed');
SELECT throws_ok($$ SELECT pg_temp.use('sabbatical', 1, 'paused') $$, 'QZ403', NULL, 'sabbatical: no usage in a pause');
SELECT pg_temp.go('sabbatical', '2026-05-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('sabbatical'), '2026-01-19 9900 paid, 2026-04-01 9900 paid, 2026-05-01 9900 paid', 'sabbatical: goes on by itself with full periods');
SELECT is(pg_temp.periods('sabbatical', form => 'MM-DD HH24'), '01-19 09 04-01 00 05-01 00 | 06-01 00', 'sabbatical: from a new anchor');
SELECT is(pg_temp.happened('sabbatical', 'paused|resumed'), '02-19 09:00 subscription.paused, 04-01 00:00 subscription.resumed', 'sabbatical: paused and resumed');

-- 6. A pause now gives the rest back, and resume by hand begins anew.
SELECT pg_temp.begin_life('breaker', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('breaker', '2026-02-02 09:00+00') \g /dev/null
SELECT pg_temp.use('breaker', 10010, 'before') \g /dev/null
SELECT is((SELECT (qzpay.pause(pg_temp.of('breaker'), 'now')).status), 'paused', 'breaker: paused at once');
SELECT is(pg_temp.last_bill('breaker'), 'usage 15', 'breaker: the rest is given back, usage up to now is billed');
SELECT is(pg_temp.periods('breaker') || ', ' || pg_temp.periods('breaker', 'usage'), '2026-01-19 | 2026-02-02, 2026-01-19 | 2026-02-02', 'breaker: the periods end with it');
SELECT pg_temp.go('breaker', '2026-03-10 12:00+00') \g /dev/null
SELECT is((SELECT (qzpay.resume(pg_temp.of('breaker'))).status), 'active', 'breaker: resumed');
SELECT is(pg_temp.bills('breaker') || ', ' || pg_temp.period('breaker'), '2026-01-19 9900 paid, 2026-02-02 15 paid, 2026-03-10 9900 paid, 2026-03-10 12:00 | 2026-04-10 12:00', 'breaker: a full new period');
SELECT is(pg_temp.paid('breaker') || ' ' || pg_temp.balance('breaker'), '14386 0', 'breaker: of which the balance paid 5414');
SELECT throws_ok($$ SELECT qzpay.resume(pg_temp.of('breaker')) $$, 'QZ204', NULL, 'breaker: nothing to resume twice');
SELECT is(pg_temp.can('breaker'), true, 'breaker: access again');

-- 7. A pause that is taken back before it begins, and one beside an end.
SELECT pg_temp.begin_life('fickle', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.pause(pg_temp.of('fickle')) \g /dev/null
SELECT qzpay.resume(pg_temp.of('fickle')) \g /dev/null
SELECT pg_temp.go('fickle', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.bills('fickle') || ', ' || pg_temp.state('fickle'), '2026-01-19 9900 paid, 2026-02-19 9900 paid, active access', 'fickle: renews as ever');
SELECT qzpay.pause(pg_temp.of('fickle')) \g /dev/null
SELECT qzpay.cancel(pg_temp.of('fickle')) \g /dev/null
SELECT pg_temp.go('fickle', '2026-03-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('fickle'), 'canceled/requested no access', 'fickle: the end beats the pause');
UPDATE qzpay.products SET limited_features = '{canAccessAnalytics}' WHERE code = 'pro';
SELECT pg_temp.begin_life('siesta', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.pause(pg_temp.of('siesta'), access => 'limited') \g /dev/null
SELECT pg_temp.sleep('siesta', '2026-02-19 08:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('siesta') || ' ' || pg_temp.can('siesta'), 'active access true', 'siesta: full to the last microsecond of the period');
SELECT pg_temp.sleep('siesta', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('siesta') || ' ' || pg_temp.can('siesta') || ' ' || pg_temp.can('siesta', 'canAccessAnalytics'), 'active access false true', 'siesta: limited in the instant of the pause, though no job has run');
SELECT pg_temp.go('siesta', '2026-02-19 09:00+00') \g /dev/null
SELECT is(pg_temp.state('siesta') || ' ' || pg_temp.can('siesta') || ' ' || pg_temp.can('siesta', 'canAccessAnalytics'), 'paused/requested access false true', 'siesta: and after it has');
UPDATE qzpay.products SET limited_features = '{}' WHERE code = 'pro';
SELECT pg_temp.begin_life('dormant', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.pause(pg_temp.of('dormant'), 'now', access => 'full') \g /dev/null
SELECT is(pg_temp.state('dormant') || ' ' || pg_temp.can('dormant'), 'paused/requested access true', 'dormant: access kept on request');
SELECT qzpay.cancel(pg_temp.of('dormant')) \g /dev/null
SELECT is(pg_temp.state('dormant') || ' ' || pg_temp.balance('dormant'), 'canceled/requested no access 9900', 'dormant: ended in the pause, the balance stays');

-- 8. What is asked for during a pause waits for the resume.
SELECT pg_temp.begin_life('sleeper', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('sleeper', '2026-02-02 09:00+00') \g /dev/null
SELECT qzpay.pause(pg_temp.of('sleeper'), 'now') \g /dev/null
SELECT is(pg_temp.change('sleeper', 'starter'), 'downgrade on resume', 'sleeper: accepted for the resume');
SELECT is((SELECT to_plan || coalesce(effective_at::text, ' on resume') FROM qzpay.scheduled_changes WHERE subscription_id = pg_temp.of('sleeper')), 'starter on resume', 'sleeper: listed');
SELECT pg_temp.go('sleeper', '2026-03-01 09:00+00') \g /dev/null
SELECT qzpay.resume(pg_temp.of('sleeper')) \g /dev/null
SELECT is(pg_temp.last_bill('sleeper') || ' ' || pg_temp.balance('sleeper') || ' ' || pg_temp.can('sleeper'), 'plan 2900 2529 false', 'sleeper: Starter from the resume, out of the balance');
SELECT is(pg_temp.changes('sleeper'), '02-02 09:00 subscription.downgraded, 03-01 09:00 subscription.changed', 'sleeper: accepted then, changed now');
SELECT qzpay.pause(pg_temp.of('sleeper'), 'now') \g /dev/null
SELECT pg_temp.change('sleeper', 'pro', 'year') \g /dev/null
SELECT pg_temp.go('sleeper', '2026-03-05 09:00+00') \g /dev/null
SELECT qzpay.resume(pg_temp.of('sleeper')) \g /dev/null
SELECT is(pg_temp.last_bill('sleeper') || ', ' || pg_temp.period('sleeper'), 'plan 99000, 2026-03-05 09:00 | 2027-03-05 09:00', 'sleeper: another interval likewise');

-- 9. Ended now with the rest as credit; what is not paid is not given back.
SELECT pg_temp.begin_life('quitter', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('quitter', '2026-02-02 09:00+00') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.cancel(pg_temp.of('quitter'), 'period_end', settle => 'credit') $$, '22023', NULL, 'quitter: a later end is not settled');
SELECT qzpay.cancel(pg_temp.of('quitter'), 'now', settle => 'credit') \g /dev/null
SELECT is(pg_temp.last_bill('quitter') || ' ' || pg_temp.balance('quitter') || ' ' || pg_temp.state('quitter'), 'plan 9900 5429 canceled/requested no access', 'quitter: the unused part is balance');
SELECT is((SELECT (qzpay.subscribe(customer, 'pro', trial_days => 0)).status FROM life WHERE name = 'quitter'), 'active', 'quitter: comes back');
SELECT is(pg_temp.paid('quitter') || ' ' || pg_temp.balance('quitter'), '14371 0', 'quitter: and the balance pays its part');
SELECT pg_temp.begin_life('owing', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.sandbox_set_token(method, 'tok_insufficient_funds') FROM life WHERE name = 'owing' \g /dev/null
SELECT pg_temp.go('owing', '2026-02-20 09:00+00') \g /dev/null
SELECT qzpay.cancel(pg_temp.of('owing'), 'now', settle => 'credit') \g /dev/null
SELECT is(pg_temp.balance('owing') || ' ' || pg_temp.state('owing'), '0 canceled/requested no access', 'owing: no credit for what was never paid');
-- With 30 % off, 6930 were paid and come back in the same instant.
SELECT pg_temp.begin_life('welcomed', '2025-06-02 09:00+00', days => 0, token => 'tok_ok', promo_code => 'WELCOME30') \g /dev/null
SELECT is(pg_temp.bills('welcomed'), '2025-06-02 6930 paid', 'welcomed: thirty per cent off');
SELECT qzpay.cancel(pg_temp.of('welcomed'), 'now', settle => 'credit') \g /dev/null
SELECT is(pg_temp.balance('welcomed'), 6930::bigint, 'welcomed: what was paid comes back, not what was listed');
SELECT pg_temp.begin_life('welcomed_2', '2025-06-02 09:00+00', days => 0, token => 'tok_ok', promo_code => 'WELCOME30') \g /dev/null
SELECT is(pg_temp.change('welcomed_2', 'starter', effective => 'now'), 'downgrade 06-02 09:00', 'welcomed: a downgrade in the same instant');
SELECT is(pg_temp.last_bill('welcomed_2'), 'plan -6930, plan 2900, balance 4030', 'welcomed: likewise');

-- 10. An end at an instant of its own.
SELECT pg_temp.begin_life('dated', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.cancel(pg_temp.of('dated'), '2026-01-18 00:00+00') $$, '22023', NULL, 'dated: not in the past');
SELECT qzpay.cancel(pg_temp.of('dated'), '2026-03-01 00:00+00') \g /dev/null
SELECT pg_temp.go('dated', '2026-02-28 23:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('dated') || ', ' || pg_temp.bills('dated'), 'active access, 2026-01-19 9900 paid, 2026-02-19 9900 paid', 'dated: renews once more before its end');
SELECT pg_temp.sleep('dated', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.can('dated'), false, 'dated: no access from its end, though no job has run');
SELECT pg_temp.go('dated', '2026-05-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('dated') || ', ' || pg_temp.bills('dated'), 'canceled/requested no access, 2026-01-19 9900 paid, 2026-02-19 9900 paid', 'dated: over');
SELECT is(pg_temp.happened('dated', '(canceled|expired|expiring)'), '02-22 00:00 subscription.expiring, 02-26 00:00 subscription.expiring, 02-28 00:00 subscription.expiring, 03-01 00:00 subscription.canceled',
          'dated: reminded, ended once');

-- 11. Free access in a trial, while active, paused, past due; for ever, taken back; and its end with and without a card.
SELECT pg_temp.begin_life('friend', '2026-01-05 09:00+00') \g /dev/null
SELECT qzpay.comp(pg_temp.of('friend'), '2026-03-01 00:00+00', 'a friend') \g /dev/null
SELECT pg_temp.go('friend', '2026-02-28 23:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.state('friend') || ', ' || pg_temp.bills('friend'), 'active access, none', 'friend: the trial goes over into free access');
SELECT pg_temp.use('friend', 20000, 'free') \g /dev/null
SELECT pg_temp.sleep('friend', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.can('friend'), false, 'friend: it ends in its instant, though no job has run');
SELECT pg_temp.go('friend', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.state('friend') || ', ' || pg_temp.bills('friend'), 'canceled/comp_expired no access, none', 'friend: without a card that is all; its usage was free');
SELECT is(pg_temp.happened('friend', '^subscription\.(canceled|expired)'), '03-01 00:00 subscription.expired', 'friend: it expired by itself');
SELECT pg_temp.begin_life('partner', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT pg_temp.go('partner', '2026-02-02 09:00+00') \g /dev/null
SELECT throws_ok($$ SELECT qzpay.comp(pg_temp.of('partner'), '2026-02-01', 'late') $$, '22023', NULL, 'partner: not into the past');
SELECT throws_ok($$ SELECT qzpay.comp(pg_temp.of('partner'), '2026-05-01', ' ') $$, '22023', NULL, 'partner: not without a reason');
SELECT qzpay.comp(pg_temp.of('partner'), '2026-05-01 00:00+00', 'partner') \g /dev/null
SELECT pg_temp.go('partner', '2026-03-01 00:00+00') \g /dev/null
SELECT is(pg_temp.change('partner', 'enterprise'), 'upgrade 03-01 00:00', 'partner: a change while it is free');
SELECT is(pg_temp.bills('partner'), '2026-01-19 9900 paid', 'partner: costs nothing');
SELECT pg_temp.go('partner', '2026-06-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('partner'), '2026-01-19 9900 paid, 2026-05-01 49900 paid, 2026-06-01 49900 paid', 'partner: paid before, free from the next boundary, paid from the end on');
SELECT is(pg_temp.periods('partner'), '2026-01-19 2026-02-19 2026-03-19 2026-04-19 2026-05-01 2026-06-01 | 2026-07-01', 'partner: the free period is cut where the paid one begins');
SELECT pg_temp.begin_life('family', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.comp(pg_temp.of('family'), 'infinity', 'family') \g /dev/null
SELECT pg_temp.go('family', '2027-06-01 00:00+00') \g /dev/null
SELECT is(pg_temp.bills('family') || ' ' || pg_temp.state('family'), '2026-01-19 9900 paid active access', 'family: for ever');
SELECT qzpay.comp(pg_temp.of('family'), NULL, 'divorce') \g /dev/null
SELECT is(pg_temp.bills('family') || ', ' || pg_temp.period('family'), '2026-01-19 9900 paid, 2027-06-01 9900 paid, 2027-06-01 00:00 | 2027-07-01 00:00', 'family: until it is taken back');
SELECT pg_temp.begin_life('pitied', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.sandbox_set_token(method, 'tok_insufficient_funds') FROM life WHERE name = 'pitied' \g /dev/null
SELECT pg_temp.go('pitied', '2026-02-20 09:00+00') \g /dev/null
SELECT qzpay.comp(pg_temp.of('pitied'), '2026-06-01', 'hard times') \g /dev/null
SELECT is(pg_temp.state('pitied'), 'past_due/payment_failed access', 'pitied: access while past due');
SELECT pg_temp.begin_life('guest', '2026-01-19 09:00+00', days => 0, token => 'tok_decline') \g /dev/null
SELECT qzpay.comp(pg_temp.of('guest'), '2026-01-19 12:00+00', 'try') \g /dev/null
SELECT is(pg_temp.state('guest'), 'active access', 'guest: access while incomplete');
SELECT pg_temp.begin_life('nurse', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.pause(pg_temp.of('nurse'), 'now') \g /dev/null
SELECT qzpay.comp(pg_temp.of('nurse'), '2026-06-01', 'in the pause') \g /dev/null
SELECT is(pg_temp.state('nurse'), 'paused/requested access', 'nurse: access while paused');

-- Free access that is over before the trial is: the trial's end converts it as any other.
SELECT pg_temp.begin_life('early_gift', '2026-01-05 09:00+00', token => 'tok_ok') \g /dev/null
SELECT isnt((SELECT (qzpay.comp(subscription, '2026-01-12 09:00+00', 'gift')).id FROM life WHERE name = 'early_gift'), NULL, 'early gift: given');
SELECT pg_temp.go('early_gift', '2026-01-20 09:00+00') \g /dev/null
SELECT is(pg_temp.state('early_gift') || ', ' || pg_temp.bills('early_gift'), 'active access, 2026-01-19 9900 paid', 'early gift: converted and billed');
SELECT is((SELECT s.set_aside_at FROM qzpay.subscriptions s JOIN life l ON l.subscription = s.id WHERE l.name = 'early_gift'), NULL, 'early gift: billing goes on');

-- The end that dunning asks for waits while money may be under way: renewals meanwhile are billed, and the outcome, be it good, lets dunning go on.
SELECT pg_temp.begin_life('blind', '2026-01-19 09:00+00', days => 0, token => 'tok_ok') \g /dev/null
SELECT qzpay.sandbox_set_token(method, 'tok_unknown') FROM life WHERE name = 'blind' \g /dev/null
SELECT pg_temp.go('blind', '2026-03-01 00:00+00') \g /dev/null
SELECT a.id AS attempt FROM qzpay.payment_attempts a JOIN life l ON l.customer = a.customer_id WHERE l.name = 'blind' AND a.status IN ('unknown', 'needs_operator') \gset
SELECT qzpay.sandbox_set_token(method, 'tok_lost') FROM life WHERE name = 'blind' \g /dev/null
SELECT pg_temp.go('blind', '2026-04-20 00:00+00') \g /dev/null
SELECT is((SELECT s.status || ' ' || (s.set_aside_at IS NULL) FROM qzpay.subscriptions s WHERE s.id = pg_temp.of('blind')), 'past_due true', 'blind: nobody ends it, and it is not set aside');
SELECT is(pg_temp.bills('blind'), '2026-01-19 9900 paid, 2026-02-19 9900 open, 2026-03-19 9900 open, 2026-04-19 9900 open', 'blind: billed on');
SELECT qzpay.resolve_attempt(:'attempt', 'succeeded', 'seen in its books') \g /dev/null
SELECT pg_temp.go('blind', '2026-04-20 00:00:01+00') \g /dev/null
SELECT is(pg_temp.state('blind') || ', ' || pg_temp.bills('blind'),
          'canceled/payment_failed no access, 2026-01-19 9900 paid, 2026-02-19 9900 paid, 2026-03-19 9900 uncollectible, 2026-04-19 9900 uncollectible', 'blind: one is paid, the others end it');

SELECT is_empty('SELECT * FROM pg_temp.unkept_previews()', 'every bill is what its preview said');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
