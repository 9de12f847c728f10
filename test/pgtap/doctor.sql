-- doctor() names what is wrong and the way out.
BEGIN;
SELECT plan(7);
SET LOCAL client_min_messages = warning;
-- As if the installation were of this instant, however long the tests before have taken.
UPDATE qzpay.jobs j SET next_run_at = j.next_run_at + (qzpay._real_now() - k.latest) FROM (SELECT max(next_run_at) AS latest FROM qzpay.jobs) k;
SELECT is((SELECT string_agg(check_name || ' ' || status, ', ' ORDER BY check_name) FROM qzpay.doctor() WHERE check_name = 'jobs' AND status <> 'ok'), NULL, 'right after the installation no job is late');
SELECT is((SELECT count(*) FROM qzpay.jobs j WHERE j.enabled AND j.next_run_at > qzpay._real_now()), 0::bigint, 'though all of them are due');
SELECT count(*) FROM qzpay.run_due_jobs() \g /dev/null
SELECT is((SELECT string_agg(check_name || ' ' || status, ', ' ORDER BY check_name) FROM qzpay.doctor() WHERE status <> 'ok' AND check_name <> 'server'), 'worker warning',
          'a fresh installation without a worker has nothing but that to say');
SELECT is_empty('SELECT FROM qzpay.doctor() WHERE (status = ''ok'') <> (detail IS NULL) OR (status = ''ok'') <> (hint IS NULL)', 'whatever is wrong has a detail and a hint');

SELECT qzpay.pause_provider('sandbox', 'planted') \g /dev/null
UPDATE qzpay.jobs SET next_run_at = qzpay._real_now() - interval '1 day' WHERE name = 'billing';
SELECT qzpay.attach_payment_method((qzpay.sync_customer('doctor', livemode => true)).id, 'stripe', 'pm_1') \g /dev/null
SELECT is((SELECT string_agg(check_name || ' ' || status, ', ' ORDER BY check_name) FROM qzpay.doctor() WHERE status <> 'ok' AND check_name <> 'server'),
          'jobs error, live warning, providers error, secrets error, worker warning', 'a neglected one has more');
SELECT matches((SELECT detail FROM qzpay.doctor() WHERE check_name = 'secrets'), 'stripe.*STRIPE_SECRET_KEY', 'it names the secret that is missing');
SELECT throws_ok('SET LOCAL ROLE qzpay_app; SELECT * FROM qzpay.doctor()', '42501', NULL, 'it is not for applications');
SELECT * FROM finish();
ROLLBACK;
