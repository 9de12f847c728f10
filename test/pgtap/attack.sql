-- What an attacker, an unlucky customer or an impatient one could do to the books.
BEGIN;
SELECT plan(25);
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
\set catalog `cat examples/asistia/catalog.json`
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null

CREATE TEMP TABLE life (name text PRIMARY KEY, clock uuid, customer uuid, subscription uuid);
CREATE FUNCTION pg_temp.begin_life(life_name text, token text DEFAULT 'tok_ok', at timestamptz DEFAULT '2026-01-01 00:00+00') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l life;
BEGIN
    l.name := life_name;
    l.clock := qzpay.create_test_clock(at, life_name);
    l.customer := (qzpay.sync_customer(life_name, test_clock => l.clock)).id;
    PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', token);
    l.subscription := (qzpay.subscribe(l.customer, 'pro', trial_days => 0)).id;
    INSERT INTO life VALUES (l.*);
END $$;
CREATE FUNCTION pg_temp.go(life_name text, at timestamptz) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT (SELECT a.now_at FROM life l, qzpay.advance_test_clock(l.clock, at) a WHERE l.name = life_name)
$$;
CREATE FUNCTION pg_temp.bills(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(i.status || ' ' || i.total || coalesce(' ' || u.what, ''), ', ' ORDER BY i.series_number)
    FROM life l JOIN qzpay.invoices i ON i.customer_id = l.customer
    LEFT JOIN LATERAL (SELECT string_agg('usage ' || x.quantity || ' for ' || x.amount, ', ' ORDER BY x.position) AS what
                       FROM qzpay.invoice_lines x WHERE x.invoice_id = i.id AND x.kind = 'usage') u ON true
    WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.attempts(life_name text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(a.status::text, ', ' ORDER BY a.planned_at, a.attempt_no) FROM life l JOIN qzpay.payment_attempts a ON a.customer_id = l.customer WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.use(life_name text, messages integer) RETURNS text LANGUAGE sql AS $$
    SELECT (qzpay.record_usage(l.customer, 'messages', messages, NULL)).status FROM life l WHERE l.name = life_name
$$;
CREATE FUNCTION pg_temp.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

-- Two subscriptions whose usage periods begin together: the customer's usage is billed by one of them.
SELECT pg_temp.begin_life('twice') \g /dev/null
SELECT qzpay.subscribe(customer, 'pro', trial_days => 0, allow_multiple => true) FROM life WHERE name = 'twice' \g /dev/null
SELECT pg_temp.use('twice', 20000) \g /dev/null
SELECT is((SELECT string_agg((SELECT string_agg(p.kind || ' ' || p.amount, ', ' ORDER BY p.line_position) FROM qzpay.preview_invoice(s.id) p), ' and ' ORDER BY s.started_at, s.id)
           FROM life l JOIN qzpay.subscriptions s ON s.customer_id = l.customer WHERE l.name = 'twice'), 'plan 9900 and plan 9900, usage 15000', 'as their previews said');
SELECT pg_temp.go('twice', '2026-02-02') \g /dev/null
SELECT is(pg_temp.bills('twice'), 'paid 9900, paid 9900, paid 9900, paid 24900 usage 20000 for 15000', 'usage is billed once, by the later subscription');

-- The one ends in the middle of the month; the other one goes on where it stopped.
SELECT pg_temp.begin_life('after') \g /dev/null
SELECT pg_temp.use('after', 0) \g /dev/null
SELECT (qzpay.subscribe(customer, 'pro', trial_days => 0, allow_multiple => true)).id AS second FROM life WHERE name = 'after' \gset
SELECT pg_temp.use('after', 12000) \g /dev/null
SELECT pg_temp.go('after', '2026-01-10') \g /dev/null
SELECT qzpay.cancel(:'second', 'now') \g /dev/null
SELECT pg_temp.use('after', 1000) \g /dev/null
SELECT pg_temp.go('after', '2026-02-01') \g /dev/null
SELECT is(pg_temp.bills('after'), 'paid 9900, paid 9900, paid 3000 usage 12000 for 3000, paid 11400 usage 1000 for 1500', 'what was billed already is not billed again');
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
UPDATE qzpay.usage_totals SET quantity = 12000 WHERE customer_id = (SELECT customer FROM life WHERE name = 'after') AND period_start = '2026-01-01' AND quantity > 0;
SELECT results_eq('SELECT check_name FROM qzpay.check_integrity() WHERE status <> ''pass'' ORDER BY 1', ARRAY['usage_is_billed_once', 'usage_totals_are_their_events'],
    'more billed than used is noticed');
UPDATE qzpay.usage_totals SET quantity = 13000 WHERE customer_id = (SELECT customer FROM life WHERE name = 'after') AND period_start = '2026-01-01' AND quantity > 0;

-- Canceled before the first payment: nothing is owed, and no later card pays for it.
SELECT pg_temp.begin_life('regret', 'tok_decline') \g /dev/null
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'regret' \g /dev/null
SELECT is(pg_temp.bills('regret'), 'void 9900', 'the invoice of a contract never begun is void');
SELECT is(pg_temp.attempts('regret'), 'declined', 'its cancellation is not a reason to charge again');
SELECT qzpay.attach_payment_method(customer, 'sandbox', 'tok_ok') FROM life WHERE name = 'regret' \g /dev/null
SELECT pg_temp.go('regret', '2026-01-03') \g /dev/null
SELECT is(pg_temp.attempts('regret'), 'declined', 'nor is a new card');

-- Canceled in the instant of a renewal that failed.
SELECT pg_temp.begin_life('instant') \g /dev/null
SELECT qzpay.attach_payment_method(customer, 'sandbox', 'tok_decline') FROM life WHERE name = 'instant' \g /dev/null
SELECT pg_temp.go('instant', '2026-02-01') \g /dev/null
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'instant' \g /dev/null
SELECT is(pg_temp.attempts('instant'), 'succeeded, declined', 'a cancellation in the instant of the renewal does not charge for it again');

-- Usage of a contract that was never paid is not billed, and its outcome while money is under way closes it.
SELECT pg_temp.begin_life('unpaid', 'tok_unknown') \g /dev/null
SELECT pg_temp.use('unpaid', 50) \g /dev/null
SELECT qzpay.cancel(subscription, 'now') FROM life WHERE name = 'unpaid' \g /dev/null
SELECT is(pg_temp.bills('unpaid'), 'open 9900', 'an invoice whose payment may be under way stays open');
SELECT qzpay.resolve_attempt(a.id, 'declined', 'the provider has no such payment') FROM qzpay.payment_attempts a JOIN life l ON l.customer = a.customer_id WHERE l.name = 'unpaid' \g /dev/null
SELECT is(pg_temp.bills('unpaid'), 'void 9900', 'and is void when it turns out that it was not');

-- A payment without an answer is looked up when its time has come, not with the next renewal.
SELECT pg_temp.begin_life('timeout', 'tok_timeout') \g /dev/null
SELECT is(pg_temp.bills('timeout') || ' ' || pg_temp.attempts('timeout'), 'open 9900 unknown', 'no answer yet');
SELECT pg_temp.go('timeout', '2026-01-01 00:01+00') \g /dev/null
SELECT is(pg_temp.bills('timeout') || ' ' || pg_temp.attempts('timeout'), 'paid 9900 succeeded', 'a test clock stops for the lookup');
SELECT is((SELECT min(p.paid_at) FROM qzpay.payments p JOIN life l ON l.customer = p.customer_id WHERE l.name = 'timeout'), '2026-01-01 00:00:30+00', 'at its instant');

-- What is on paper stays: for staff and for the owner of the tables.
SET LOCAL ROLE qzpay_admin;
SELECT is(pg_temp.refused('UPDATE qzpay.invoice_parties SET name = ''Somebody else'''), '42501', 'staff does not change the buyer of an invoice');
SELECT is(pg_temp.refused('UPDATE qzpay.usage_events SET quantity = 0'), '42501', 'nor what was used');
RESET ROLE;
SELECT is(pg_temp.refused('UPDATE qzpay.usage_events SET quantity = 0'), 'QZ203', 'not even a superuser changes an event of usage');
SELECT is(pg_temp.refused('DELETE FROM qzpay.usage_events'), 'QZ203', 'or removes one');

-- Staff registers adapters; neither the owner of the tables nor a superuser runs staff's code.
CREATE ROLE attack_staff;
SELECT qzpay.grant_access('attack_staff', 'admin') \g /dev/null
GRANT CREATE ON SCHEMA public TO attack_staff;
SET LOCAL ROLE attack_staff;
CREATE FUNCTION public.attack(operation text, attempt jsonb, provider jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN
        ALTER ROLE attack_staff SUPERUSER;
    END IF;
    RETURN qzpay.sandbox_request(operation, attempt, provider);
END $$;
GRANT EXECUTE ON FUNCTION public.attack(text, jsonb, jsonb) TO PUBLIC;
RESET ROLE;
SELECT pg_temp.begin_life('staff') \g /dev/null
SET LOCAL ROLE attack_staff;
UPDATE qzpay.providers SET request_function = 'public.attack' WHERE code = 'sandbox';
RESET ROLE;
SELECT pg_temp.go('staff', '2026-02-01') \g /dev/null
SELECT is((SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = 'attack_staff'), false, 'staff does not become superuser by a provider''s function');
SELECT is((SELECT a.status || ': ' || left(a.status_reason, 5) FROM qzpay.payment_attempts a JOIN life l ON l.customer = a.customer_id WHERE l.name = 'staff' ORDER BY a.planned_at DESC LIMIT 1),
    'planned: 42501', 'the attempt waits, and says why');
SELECT is(pg_temp.refused('SELECT qzpay.pay_invoice(i.id) FROM qzpay.invoices i JOIN life l ON l.customer = i.customer_id WHERE l.name = ''staff'' AND i.status = ''open'''), '42501',
    'a call on behalf of a tenant does not run it either');
SET LOCAL ROLE attack_staff;
SELECT is((SELECT a.now_at FROM qzpay.test_clocks c, qzpay.advance_test_clock(c.id, '2026-02-01 02:00+00') a WHERE c.name = 'staff'), '2026-02-01 02:00+00', 'staff may run its own');
RESET ROLE;
SELECT is(pg_temp.bills('staff'), 'paid 9900, paid 9900', 'with its own rights, which suffice');
UPDATE qzpay.providers SET request_function = 'qzpay.sandbox_request' WHERE code = 'sandbox';
SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');

-- Limits whose names are long, and alike, and not in ASCII: each has its own triggers.
SELECT count(*) FROM qzpay.import_catalog(jsonb_build_object('plans', jsonb_build_array(jsonb_build_object('id', 'long', 'name', 'Long',
    'prices', '{"month": {"amount": 0, "currency": "USD"}}'::jsonb, 'limits', jsonb_build_object(repeat('x', 60) || '1', 1, repeat('x', 60) || '2', 1, repeat('é', 50), 1))))) \g /dev/null
CREATE TABLE public.attack_rows (owner text);
SELECT qzpay.add_limit('public.attack_rows', f.code, 'owner') FROM qzpay.features f WHERE f.code ~ '^(x{60}|é{50})' \g /dev/null
SELECT is((SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = 'public.attack_rows'::regclass), 12::bigint, 'no limit''s triggers take the place of another''s');
SELECT * FROM finish();
ROLLBACK;
