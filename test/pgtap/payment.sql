-- Outcomes of attempts: every kind of answer in every phase, and what must never happen twice. Nothing here calls anybody.
BEGIN;
SELECT plan(189);
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';

CREATE TEMP TABLE trial (n serial PRIMARY KEY, tenant uuid, customer uuid, method uuid, invoice uuid, attempt uuid, fence integer, next jsonb);

-- A test customer with a card, an open invoice of 99.00 and a planned attempt.
CREATE FUNCTION pg_temp.begin_trial(provider text DEFAULT 'stripe', token text DEFAULT 'pm_ok', amount bigint DEFAULT 9900, currency text DEFAULT 'USD') RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    t trial;
BEGIN
    t.n := nextval('trial_n_seq');
    SELECT c.id, c.tenant_id INTO t.customer, t.tenant FROM qzpay.sync_customer('payer_' || t.n, currency => begin_trial.currency, livemode => false) c;
    t.method := qzpay.attach_payment_method(t.customer, provider, token);
    t.invoice := qzpay.uuid_v7();
    INSERT INTO qzpay.invoices (tenant_id, id, customer_id, seller_id, livemode, kind, status, number, series_year, series_number, currency, line_count, subtotal, total, amount_due, issued_at, due_at, created_at)
    SELECT t.tenant, t.invoice, t.customer, s.id, false, 'manual', 'open', 'T-' || t.n, 1999, t.n, begin_trial.currency, 1, amount, amount, amount, qzpay.now(), qzpay.now(), qzpay.now()
    FROM qzpay.sellers s WHERE s.is_default;
    PERFORM qzpay._plan_attempts(ARRAY[t.tenant], ARRAY[t.invoice], 'billing', qzpay.now());
    SELECT a.id INTO STRICT t.attempt FROM qzpay.payment_attempts a WHERE a.tenant_id = t.tenant AND a.invoice_id = t.invoice;
    INSERT INTO trial VALUES (t.*);
    RETURN t.n;
END $$;
CREATE FUNCTION pg_temp.claim(trial_n integer) RETURNS text LANGUAGE sql AS $$
    UPDATE trial t SET (next, fence) = (SELECT c.claim, (c.claim ->> 'fence')::integer FROM qzpay._claim_attempt(t.tenant, t.attempt, 'pid 0', qzpay._real_now()) AS c (claim)) WHERE t.n = trial_n RETURNING t.next ->> 'phase'
$$;
CREATE FUNCTION pg_temp.settle(trial_n integer, phase text, response jsonb) RETURNS text LANGUAGE sql AS $$
    UPDATE trial t SET next = qzpay._settle_attempt(t.tenant, t.attempt, t.fence, phase, response) WHERE t.n = trial_n RETURNING t.next ->> 'phase'
$$;
-- Attempt, what is in flight and paid, and what is sent next.
CREATE FUNCTION pg_temp.state(trial_n integer) RETURNS text LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.status, coalesce(a.decline_class, '-'), i.status, i.amount_in_flight, i.amount_paid, (SELECT count(*) FROM qzpay.payments p WHERE p.invoice_id = i.id), '>' || (t.next ->> 'phase'))
    FROM trial t JOIN qzpay.payment_attempts a ON a.id = t.attempt JOIN qzpay.invoices i ON i.id = t.invoice WHERE t.n = trial_n
$$;
-- The answers of a provider. $1 stands for the trial's own intent.
CREATE TEMP TABLE answer (name text PRIMARY KEY, response jsonb);
CREATE FUNCTION pg_temp.http(status integer, body text) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('transport', 'ok', 'status', status, 'headers', '{}'::jsonb, 'body', body) $$;
INSERT INTO answer
SELECT t, jsonb_build_object('transport', t) FROM unnest('{not_sent,timeout,reset,truncated,too_large,invalid}'::text[]) t
UNION ALL
SELECT s::text, pg_temp.http(s, '{"error": {"type": "api_error"}}') FROM unnest('{302,401,403,408,409,429,500,503}'::integer[]) s
UNION ALL VALUES
    ('card', pg_temp.http(402, '{"error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}}')),
    ('lost', pg_temp.http(402, '{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}')),
    ('3ds', pg_temp.http(402, '{"error": {"type": "card_error", "code": "authentication_required"}}')),
    ('402 of a proxy', pg_temp.http(402, '<html>pay for your proxy</html>')),
    ('bad request', pg_temp.http(400, '{"error": {"type": "invalid_request_error", "code": "parameter_unknown"}}')),
    ('missing', pg_temp.http(404, '{"error": {"type": "invalid_request_error", "code": "resource_missing"}}')),
    ('404 of a proxy', pg_temp.http(404, '<html>not found</html>')),
    ('other state', pg_temp.http(400, '{"error": {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}}')),
    ('key mismatch', pg_temp.http(400, '{"error": {"type": "idempotency_error"}}')),
    ('garbage', pg_temp.http(200, 'we are down for maintenance')),
    ('zero', pg_temp.http(200, '{"id": "\u0000"}')),
    ('null', pg_temp.http(200, 'null')),
    ('other object', pg_temp.http(200, '{"object": "charge", "id": "ch_1", "status": "succeeded"}'));
CREATE FUNCTION pg_temp.intent(trial_n integer, status text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT pg_temp.http(200, (jsonb_build_object('object', 'payment_intent', 'id', 'pi_' || trial_n, 'status', status, 'amount', 9900, 'amount_received', CASE WHEN status = 'succeeded' THEN 9900 ELSE 0 END,
        'currency', 'usd', 'livemode', false, 'metadata', jsonb_build_object('qzpay_attempt', t.attempt)) || more)::text) FROM trial t WHERE t.n = trial_n
$$;
-- Brings a new trial into a phase, with this answer; returns its state.
CREATE FUNCTION pg_temp.run(wanted text, response jsonb, status text DEFAULT NULL, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    n integer := pg_temp.begin_trial();
BEGIN
    UPDATE qzpay.providers SET paused_at = NULL WHERE code = 'stripe';
    PERFORM pg_temp.claim(n);
    IF wanted <> 'create' THEN
        PERFORM pg_temp.settle(n, 'create', pg_temp.intent(n, 'requires_confirmation'));
    END IF;
    IF wanted = 'lookup' THEN
        PERFORM pg_temp.settle(n, 'confirm', '{"transport": "timeout"}');
        PERFORM pg_temp.claim(n);
    END IF;
    PERFORM pg_temp.settle(n, wanted, coalesce(response, pg_temp.intent(n, status, more)));
    RETURN pg_temp.state(n);
END $$;

-- 1. What answers mean while the object is being made (nothing has moved yet), confirmed (it moves), and looked up.
SELECT is(pg_temp.run('create', response), CASE
    WHEN name IN ('not_sent', '401', '403', '429') THEN 'planned - open 0 0 0'
    WHEN name = 'card' THEN 'declined later open 0 0 0'
    WHEN name = 'lost' THEN 'declined never open 0 0 0'
    WHEN name = '3ds' THEN 'declined needs_customer open 0 0 0'
    WHEN name IN ('bad request', 'missing') THEN 'rejected never open 0 0 0'
    ELSE 'unknown - open 9900 0 0' END, 'create, ' || name) FROM answer ORDER BY name;
SELECT is(pg_temp.run('confirm', response), CASE
    WHEN name = 'card' THEN 'declined later open 0 0 0'
    WHEN name = 'lost' THEN 'declined never open 0 0 0'
    WHEN name = '3ds' THEN 'declined needs_customer open 0 0 0'
    WHEN name IN ('bad request', 'missing') THEN 'rejected never open 0 0 0'
    ELSE 'unknown - open 9900 0 0' END, 'confirm, ' || name) FROM answer ORDER BY name;
SELECT is(pg_temp.run('lookup', response), 'unknown - open 9900 0 0', 'lookup, ' || name || ': no answer, so nothing changes') FROM answer ORDER BY name;
SELECT is(pg_temp.run(phase, NULL, s.status), s.expected, phase || ', intent ' || s.status)
FROM unnest('{confirm,lookup}'::text[]) phase
CROSS JOIN (VALUES ('succeeded', 'succeeded - paid 0 9900 1'), ('processing', 'processing - open 9900 0 0'), ('requires_action', 'requires_action needs_customer open 9900 0 0'),
                   ('canceled', 'canceled - open 0 0 0'), ('requires_confirmation', 'confirming - open 9900 0 0 >confirm'), ('requires_capture', 'unknown - open 9900 0 0')) s (status, expected)
ORDER BY phase, s.status;
SELECT is(pg_temp.run('lookup', NULL, 'requires_payment_method', '{"last_payment_error": {"code": "expired_card"}}'), 'declined needs_customer open 0 0 0', 'lookup: an intent that lost its method was declined');
SELECT is(pg_temp.run('lookup', NULL, 'requires_payment_method'), 'confirming - open 9900 0 0 >confirm', 'lookup: without an error it was never confirmed');

-- 2. Answers that do not match
SELECT is(pg_temp.run('confirm', NULL, 'succeeded', more), 'unknown - open 9900 0 0', 'confirm: ' || name || ' is another')
FROM (VALUES ('id', '{"id": "pi_0"}'::jsonb), ('amount', '{"amount_received": 9899}'), ('no amount', '{"amount_received": null}'), ('currency', '{"currency": "eur"}'), ('mode', '{"livemode": true}'),
             ('attempt', '{"metadata": {"qzpay_attempt": "00000000-0000-0000-0000-000000000000"}}')) AS v (name, more);
SELECT cmp_ok((SELECT count(*) FROM qzpay.events e WHERE e.type = 'alert.raised' AND e.data ->> 'message' LIKE '%does not match%'), '=', 6::bigint, 'each with an alert');

-- 3. Once only
SELECT pg_temp.begin_trial() AS t \gset
SELECT is(pg_temp.claim(:t), 'create', 'a planned attempt is claimed for create');
SELECT is(pg_temp.state(:t), 'sending - open 9900 0 0 >create', 'the amount is in flight');
SELECT is((SELECT a.request #>> '{create,headers,Authorization}' FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = :t), 'Bearer ${STRIPE_SECRET_KEY}', 'the frozen request only names the secret');
SELECT is((SELECT count(*) FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = :t AND a.request #>> '{create,headers,Idempotency-Key}' = a.idempotency_key || '-create'), 1::bigint, 'under the derived key');
CREATE TEMP TABLE first_request AS SELECT a.request -> 'create' AS request, a.fence FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = :t;
UPDATE qzpay.payment_methods m SET token = 'pm_changed' FROM trial t WHERE t.n = :t AND m.id = t.method;
UPDATE trial SET next = NULL WHERE n = :t;
SELECT is(pg_temp.claim(:t), 'create', 'a holder that died is followed by the same call');
SELECT is((SELECT t.next -> 'request' FROM trial t WHERE t.n = :t), (SELECT request FROM first_request), 'byte for byte, whatever has changed since');
SELECT is((SELECT t.fence FROM trial t WHERE t.n = :t), 2, 'under a higher fence');
SELECT is((SELECT qzpay._settle_attempt(t.tenant, t.attempt, 1, 'create', pg_temp.intent(:t, 'requires_confirmation')) FROM trial t WHERE t.n = :t), NULL, 'the dead one''s answer is not taken');
SELECT is(pg_temp.state(:t), 'sending - open 9900 0 0 >create', 'and changes nothing');
SELECT is(pg_temp.settle(:t, 'confirm', pg_temp.intent(:t, 'succeeded')), NULL, 'nor is an answer to a call that was not made');
SELECT is(pg_temp.state(:t), 'sending - open 9900 0 0', 'which changes nothing either');
SELECT is(pg_temp.settle(:t, 'create', pg_temp.intent(:t, 'requires_confirmation')), 'confirm', 'the living one''s is');
SELECT is(pg_temp.settle(:t, 'create', pg_temp.intent(:t, 'requires_confirmation')), NULL, 'once');
SELECT is(pg_temp.settle(:t, 'confirm', pg_temp.intent(:t, 'succeeded')), NULL, 'confirmed');
SELECT is(pg_temp.state(:t), 'succeeded - paid 0 9900 1', 'and paid');
SELECT is(pg_temp.settle(:t, 'confirm', response) || pg_temp.state(:t), NULL, 'a final state takes no further answer: ' || name) FROM answer WHERE name IN ('card', '500', 'timeout');
SELECT is(pg_temp.settle(:t, 'lookup', pg_temp.intent(:t, 'canceled')), NULL, 'nor a lookup''s');
SELECT is(pg_temp.state(:t), 'succeeded - paid 0 9900 1', 'it stays paid, once');
SELECT is((SELECT string_agg(l.debit_account || '/' || l.credit_account || ' ' || l.amount, ',') FROM qzpay.ledger_transfers l JOIN qzpay.payments p ON p.id = l.cause_id JOIN trial t ON t.invoice = p.invoice_id WHERE t.n = :t),
          'provider_clearing/receivable 9900', 'in the ledger once');
SELECT is((SELECT string_agg(x.to_status, ' ' ORDER BY x.id) FROM qzpay.transitions x JOIN trial t ON t.attempt = x.object_id WHERE t.n = :t), 'sending confirming succeeded', 'its way is recorded');
SELECT is((SELECT string_agg(e.type, ' ' ORDER BY e.id) FROM qzpay.events e JOIN trial t ON e.aggregate_id IN (t.attempt, t.invoice) WHERE t.n = :t), 'payment.succeeded invoice.paid', 'with its events');
SELECT throws_ok(format('UPDATE qzpay.payment_attempts SET status = ''planned'' WHERE id = %L', attempt), 'QZ201', NULL, 'nobody reopens it') FROM trial WHERE n = :t;
SELECT throws_ok(format('UPDATE qzpay.payment_attempts SET amount = 1 WHERE id = %L', attempt), 'QZ202', NULL, 'or changes what was charged') FROM trial WHERE n = :t;
SELECT throws_ok(format('DELETE FROM qzpay.payment_attempts WHERE id = %L', attempt), 'QZ203', NULL, 'or removes it') FROM trial WHERE n = :t;

-- A claim that was lost with its transaction, as on a promoted standby, comes again under the same key.
CREATE FUNCTION pg_temp.lost_key(trial_n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_key text;
BEGIN
    PERFORM pg_temp.claim(trial_n);
    SELECT a.idempotency_key INTO v_key FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = trial_n;
    RAISE EXCEPTION 'lost' USING DETAIL = v_key;
EXCEPTION WHEN raise_exception THEN
    GET STACKED DIAGNOSTICS v_key = PG_EXCEPTION_DETAIL;
    RETURN v_key;
END $$;
SELECT pg_temp.begin_trial() AS t \gset
SELECT pg_temp.lost_key(:t) AS lost \gset
SELECT is(pg_temp.state(:t), 'planned - open 0 0 0', 'the claim is lost');
SELECT pg_temp.claim(:t) \g /dev/null
SELECT is((SELECT a.idempotency_key FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = :t), :'lost', 'the same facts give the same key');

-- 4. One at a time
SELECT pg_temp.begin_trial() AS t \gset
SELECT is((SELECT qzpay._plan_attempts(ARRAY[tenant], ARRAY[invoice], 'dunning', qzpay.now()) FROM trial WHERE n = :t), 0, 'no second attempt beside a planned one');
SELECT pg_temp.claim(:t) \g /dev/null
SELECT pg_temp.settle(:t, 'create', '{"transport": "timeout"}') \g /dev/null
SELECT is((SELECT qzpay._plan_attempts(ARRAY[tenant], ARRAY[invoice], 'dunning', qzpay.now()) FROM trial WHERE n = :t), 0, 'nor beside an unknown one');
SELECT throws_ok(format('SELECT qzpay.pay_invoice(%L)', invoice), 'QZ301', NULL, 'nor by the customer') FROM trial WHERE n = :t;
SELECT throws_ok(format('SELECT qzpay.detach_payment_method(%L)', method), 'QZ204', NULL, 'its method stays') FROM trial WHERE n = :t;
SELECT is((SELECT a.next_at - a.lease_until FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = :t), NULL, 'it is leased to nobody');
-- Lookups come ever later, and end with a person.
SELECT is((SELECT array_agg(s.status) FROM generate_series(1, 12) k, LATERAL (SELECT pg_temp.claim(:t + 0 * k), pg_temp.settle(:t + 0 * k, 'create', '{"transport": "timeout"}')) x,
           LATERAL (SELECT a.status::text FROM qzpay.payment_attempts a JOIN trial t ON t.attempt = a.id WHERE t.n = :t + 0 * k) s) IS NOT NULL, true, 'twelve more timeouts');
SELECT is(pg_temp.state(:t), 'needs_operator - open 9900 0 0', 'an operator has to look');
SELECT throws_ok(format('SELECT qzpay.resolve_attempt(%L, ''paid'', ''x'')', attempt), '22023', NULL, 'not by an unknown word') FROM trial WHERE n = :t;
SELECT throws_ok(format('SELECT qzpay.resolve_attempt(%L, ''succeeded'', '' '')', attempt), '22023', NULL, 'not without a note') FROM trial WHERE n = :t;
SELECT is(qzpay.resolve_attempt(attempt, 'succeeded', 'seen in the dashboard', 'pi_seen'), 'succeeded', 'who says what it was') FROM trial WHERE n = :t;
SELECT is((SELECT p.provider_ref FROM qzpay.payments p JOIN trial t ON t.invoice = p.invoice_id WHERE t.n = :t), 'pi_seen', 'and under which id');
SELECT throws_ok(format('SELECT qzpay.resolve_attempt(%L, ''declined'', ''second thoughts'')', attempt), 'QZ301', NULL, 'once') FROM trial WHERE n = :t;

-- 5. Amounts that a provider cannot take are never sent, nor rounded.
SELECT is(qzpay._provider_amount('stripe', 'USD', 9900), 9900::bigint, 'dollars as they are');
SELECT is(qzpay._provider_amount('stripe', 'USD', 49), NULL, 'below the minimum');
SELECT is(qzpay._provider_amount('stripe', 'UGX', 500), 50000::bigint, 'whole shillings in hundredths');
SELECT is(qzpay._provider_amount('stripe', 'KWD', 5120), 5120::bigint, 'dinars in thousandths');
SELECT is(qzpay._provider_amount('stripe', 'KWD', 5125), NULL, 'by steps of ten');
SELECT is(qzpay._provider_amount('stripe', 'UGX', 9223372036854775807), NULL, 'beyond what fits');
SELECT pg_temp.begin_trial(amount => 30) AS t \gset
SELECT is(pg_temp.claim(:t), NULL, 'thirty cents are not sent');
SELECT is(pg_temp.state(:t), 'rejected needs_customer open 0 0 0', 'but rejected');

-- 6. The sandbox
CREATE FUNCTION pg_temp.sandbox(card text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_trial integer := pg_temp.begin_trial('sandbox', CASE card WHEN 'tok_gone' THEN 'tok_ok' ELSE card END);
BEGIN
    -- One that the sandbox knew when it was saved.
    UPDATE qzpay.payment_methods m SET token = card FROM trial t WHERE t.n = v_trial AND m.id = t.method AND m.token <> card;
    PERFORM qzpay._run_internal_attempts(NULL, 100);
    RETURN pg_temp.state(v_trial);
END $$;
SELECT is(pg_temp.sandbox(token), expected, 'sandbox ' || token)
FROM (VALUES ('tok_ok', 'succeeded - paid 0 9900 1'), ('tok_decline', 'declined later open 0 0 0'), ('tok_insufficient_funds', 'declined later open 0 0 0'), ('tok_lost', 'declined never open 0 0 0'),
             ('tok_expired', 'declined needs_customer open 0 0 0'), ('tok_3ds', 'requires_action needs_customer open 9900 0 0'), ('tok_timeout', 'unknown - open 9900 0 0'),
             ('tok_unknown', 'unknown - open 9900 0 0'), ('tok_gone', 'rejected never open 0 0 0')) AS v (token, expected);
SELECT throws_ok($$SELECT pg_temp.begin_trial('sandbox', 'tok_nonsense')$$, '22023', 'provider "sandbox" has no token "tok_nonsense"', 'a token that it does not know is not saved');
UPDATE qzpay.payment_attempts SET next_at = qzpay._real_now() WHERE provider = 'sandbox' AND status = 'unknown';
SELECT is(qzpay._run_internal_attempts(NULL, 100), 2, 'two are looked up');
SELECT is((SELECT string_agg(a.status::text, ' ' ORDER BY m.token) FROM qzpay.payment_attempts a JOIN qzpay.payment_methods m ON m.id = a.payment_method_id WHERE m.token IN ('tok_timeout', 'tok_unknown')), 'succeeded unknown', 'one is found');
SELECT is((SELECT count(*) FROM qzpay.sandbox_charges c JOIN qzpay.payment_methods m ON m.tenant_id = c.tenant_id WHERE m.token = 'tok_timeout'), 1::bigint, 'and was charged once');
SELECT lives_ok(format('SELECT qzpay.sandbox_authenticate(%L)', t.attempt), 'the customer authenticates') FROM trial t JOIN qzpay.payment_methods m ON m.id = t.method WHERE m.token = 'tok_3ds';
SELECT is((SELECT a.status::text FROM qzpay.payment_attempts a JOIN qzpay.payment_methods m ON m.id = a.payment_method_id WHERE m.token = 'tok_3ds'), 'succeeded', 'which completes the payment');
SELECT is((SELECT m.blocked_reason FROM qzpay.payment_methods m WHERE m.token = 'tok_lost'), 'lost_card', 'a lost card is blocked');
SELECT is((SELECT qzpay._plan_attempts(ARRAY[t.tenant], ARRAY[t.invoice], 'dunning', qzpay.now()) FROM trial t JOIN qzpay.payment_methods m ON m.id = t.method WHERE m.token = 'tok_lost'), 0, 'and not retried by itself');
SELECT is((SELECT (qzpay.pay_invoice(t.invoice)).status FROM trial t JOIN qzpay.payment_methods m ON m.id = t.method WHERE m.token = 'tok_lost'), 'declined', 'but at the customer''s word');

-- 7. Methods of payment
SELECT id AS c FROM qzpay.sync_customer('methodical', livemode => false) \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok', 'visa', '4242', 12, 2030, false) AS m1 \gset
SELECT is((SELECT is_default FROM qzpay.payment_methods WHERE id = :'m1'), true, 'the first is the default whatever was asked');
SELECT is(qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok', exp_year => 2031), :'m1'::uuid, 'the same token again is the same method');
SELECT is((SELECT brand || last4 || exp_month || exp_year FROM qzpay.payment_methods WHERE id = :'m1'), 'visa4242122031', 'with its facts brought up to date');
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_3ds', make_default => false) AS m2 \gset
SELECT throws_ok(format('SELECT qzpay.detach_payment_method(%L)', :'m1'), 'QZ204', NULL, 'the default is not removed while there is another');
SELECT is(qzpay.set_default_payment_method(:'m2'), true, 'another becomes the default');
SELECT is(qzpay.set_default_payment_method(:'m2'), false, 'once');
SELECT lives_ok(format('SELECT qzpay.detach_payment_method(%L)', :'m1'), 'then the first can be removed');
SELECT throws_ok(format('SELECT qzpay.set_default_payment_method(%L)', :'m1'), 'QZ204', NULL, 'and is not to be chosen any more');
SELECT lives_ok(format('SELECT qzpay.detach_payment_method(%L)', :'m2'), 'without a subscription the last can go too');
SELECT throws_ok(format('SELECT qzpay.attach_payment_method(%L, ''sandbox'', ''4242424242424242'')', :'c'), '22023', NULL, 'a card number is no token');
SELECT throws_ok(format('SELECT qzpay.attach_payment_method(%L, ''nobody'', ''x'')', :'c'), 'QZ404', NULL, 'an unknown provider');
SELECT throws_ok('SELECT qzpay.attach_payment_method(gen_random_uuid(), ''sandbox'', ''tok_ok'')', 'QZ404', NULL, 'an unknown customer');
SELECT throws_ok(format('SELECT qzpay.attach_payment_method(%L, ''sandbox'', ''tok_ok'')', (qzpay.sync_customer('live_one', livemode => true)).id), 'QZ204', NULL, 'no sandbox for a live customer');
SELECT is((SELECT string_agg(e.type, ' ' ORDER BY e.id) FROM qzpay.events e WHERE e.customer_id = :'c' AND e.type LIKE 'payment_method%'),
    'payment_method.attached payment_method.updated payment_method.attached payment_method.updated payment_method.detached payment_method.detached', 'each has its event');

-- 8. Small things
SELECT is(qzpay._form_encode('a b', 'ä&=+/', 'metadata[x]', '1', 'none', NULL), 'a%20b=%C3%A4%26%3D%2B%2F&metadata%5Bx%5D=1', 'forms are encoded byte by byte');
SELECT is(qzpay._url_encode(''), '', 'nothing too');
SELECT is(qzpay.pause_provider('stripe', 'by hand'), true, 'a lane is paused');
SELECT is(qzpay.pause_provider('stripe', 'by hand'), false, 'once');
SELECT is(qzpay.resume_provider('stripe'), true, 'and resumed');
SELECT is((SELECT count(*) FROM qzpay.invoices i WHERE i.amount_in_flight <> (SELECT coalesce(sum(a.amount), 0) FROM qzpay.payment_attempts a
           WHERE a.invoice_id = i.id AND a.status IN ('sending', 'confirming', 'processing', 'requires_action', 'unknown', 'needs_operator'))), 0::bigint, 'what is in flight is what is under way');
SELECT is((SELECT count(*) FROM qzpay.payment_attempts a WHERE (a.next_at IS NULL) <> (a.status IN ('succeeded', 'declined', 'rejected', 'canceled', 'needs_operator'))), 0::bigint, 'whoever is under way has a next instant');
SELECT * FROM finish();
ROLLBACK;
