-- Customers beside their contracts: data, payment methods and their expiry, deletion, erasure, export.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'UTC';
\set catalog `cat examples/asistia/catalog.json`
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null
CREATE FUNCTION pg_temp.events(customer uuid, types text) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(to_char(e.occurred_at, 'YYYY-MM-DD ') || e.type, ', ' ORDER BY e.id), 'nothing') FROM qzpay.events e WHERE e.customer_id = customer AND e.type ~ types
$$;

-- 1. Metadata
SELECT id AS c, tenant_id AS t FROM qzpay.sync_customer('meta', livemode => false, metadata => (SELECT jsonb_object_agg('k' || n, n) FROM generate_series(1, 50) n)) \gset
SELECT throws_ok($$ SELECT qzpay.sync_customer('meta', metadata => '{"one": "more"}') $$, '22023', NULL, 'the 51st key is refused, though it comes alone');
SELECT throws_ok($$ SELECT qzpay.sync_customer('meta2', metadata => (SELECT jsonb_object_agg('k' || n, n) FROM generate_series(1, 51) n)) $$, '22023', NULL, 'or with the others');
SELECT lives_ok($$ SELECT qzpay.sync_customer('meta', metadata => '{"k1": null, "one": "more"}') $$, 'in the place of another it is not');
SELECT is((SELECT metadata - '{k2,k3}'::text[] ?& '{k4,k50,one}' AND NOT metadata ? 'k1' FROM qzpay.customers WHERE id = :'c'), true, 'null removes a key');
SELECT throws_ok(format('SELECT qzpay.sync_customer(%L, metadata => %L)', 'meta', m), '22023', NULL, 'refused: ' || left(m, 12))
FROM unnest(ARRAY['[]', '1', '{"card": "4111 1111 1111 1111"}', '{"4111-1111-1111-1111": 1}', '{"a": {"b": [5500005555555559]}}']) m;
-- Wherever somebody may write, in whatever function that writes.
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE TEMP TABLE written AS
SELECT p.oid::regprocedure AS function, a.name, format('SELECT qzpay.%I(%s)', p.proname, (
           SELECT string_agg(CASE WHEN n = a.n THEN quote_literal(CASE a.type WHEN 'jsonb' THEN '{"a": ["4111 1111 1111 1111"]}' WHEN 'text[]' THEN '{x,4111-1111-1111-1111}' ELSE 'my 4111111111111111' END)
                                  WHEN n = 1 THEN quote_literal('00000000-0000-0000-0000-000000000000') ELSE 'NULL' END || '::' || t::regtype, ', ' ORDER BY n)
           FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS k (t, n))) AS call
FROM pg_proc p CROSS JOIN LATERAL (SELECT t::regtype::text AS type, p.proargnames[n] AS name, n FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS k (t, n)) a
WHERE p.pronamespace = 'qzpay'::regnamespace AND (p.prosrc ~ '^qzpay_in_tenant' OR p.proname = 'record_usage') AND p.provolatile = 'v' AND a.type IN ('text', 'text[]', 'jsonb') AND a.name NOT IN ('tax_ids', 'meter', 'action', 'late')
  AND NOT (p.proname = 'record_usage' AND a.n = 1);
UPDATE written SET call = format('SELECT qzpay.record_usage(%L, ''messages'', 1, %L, properties => %L)', 'meta', CASE name WHEN 'idempotency_key' THEN '4111111111111111' ELSE 'k' END,
                                 CASE name WHEN 'properties' THEN '{"a": [{"b": 4111111111111111}]}' ELSE '{}' END) WHERE function::text ~ 'record_usage';
SELECT cmp_ok((SELECT count(*) FROM written), '>', 100::bigint, 'there are more than a hundred places');
SELECT is_empty($$ SELECT function, name, pg_temp.refusal(call) FROM written WHERE pg_temp.refusal(call) <> '22023 a value looks like a card number' $$, 'no card number is taken in any of them');
SELECT is((SELECT string_agg(concat_ws(' ', status, error), ', ' ORDER BY index) FROM qzpay.record_usage_batch('[{"customer": "meta", "meter": "messages", "quantity": 1, "idempotency_key": "4111111111111111"},
           {"customer": "meta", "meter": "messages", "quantity": 1, "properties": {"4111 1111 1111 1111": 1}}, {"customer": "meta", "meter": "messages", "quantity": 1, "properties": {"n": 4111111111111112}}]')),
          'refused 22023: a value looks like a card number, refused 22023: a value looks like a card number, recorded', 'nor in a batch of usage');
SELECT throws_ok(f, '22023', 'a value looks like a card number', 'no card number: ' || split_part(f, '(', 1) || ' ' || n)
FROM unnest(ARRAY[
    $$ SELECT qzpay.sync_customer('4111111111111111') $$, $$ SELECT qzpay.sync_customer('x', name => '4111111111111111') $$, $$ SELECT qzpay.sync_customer('x', email => '4111111111111111@example.org') $$,
    $$ SELECT qzpay.sync_customer('x', segments => '{4111111111111111}') $$, $$ SELECT qzpay.sync_customer('x', address => '{"line1": "4111111111111111"}') $$,
    format($$ SELECT qzpay.update_customer(%L, address => '{"4111111111111111": 1}') $$, :'c'), format($$ SELECT qzpay.update_customer(%L, add_segments => '{4111111111111111}') $$, :'c'),
    format($$ SELECT qzpay.set_billing_details(%L, tax_ids => '[{"type": "eu_vat", "value": "4111111111111111"}]') $$, :'c'), format($$ SELECT qzpay.delete_customer(%L, '4111111111111111') $$, :'c'),
    format($$ SELECT qzpay.attach_payment_method(%L, 'sandbox', '4111111111111111') $$, :'c'), format($$ SELECT qzpay.attach_payment_method(%L, 'sandbox', 'tok_ok', '4111111111111111') $$, :'c')]) WITH ORDINALITY AS x (f, n);

-- 2. Tax ids, address, segments
SELECT lives_ok(format('SELECT qzpay.set_billing_details(%L, tax_ids => %L, tax_exempt => %L)', :'c', '[{"type": "ar_cuit", "value": "20-11111111-1"}, {"type": "br_cnpj", "value": "36.438.936/0001-13", "verifiedAt": "2026-01-05T09:00:00Z"}]', 'reverse'),
    'tax ids, also one that could be an old card''s');
SELECT ok(qzpay.update_customer(:'c', address => '{"line1": "Somewhere 1", "country": "AR"}', add_segments => '{gold,early,gold}'), 'address, segments');
SELECT is((SELECT jsonb_array_length(tax_ids) || tax_exempt || (address ->> 'country') || array_to_string(segments, ',') FROM qzpay.customers WHERE id = :'c'), '2reverseARgold,early', 'are there');
SELECT ok(NOT qzpay.update_customer(:'c', add_segments => '{gold}'), 'nothing new is no change');
SELECT ok(qzpay.update_customer(:'c', add_segments => '{late}', remove_segments => '{early,unknown}'), 'segments come and go');
SELECT is((SELECT array_to_string(segments, ',') FROM qzpay.customers WHERE id = :'c'), 'gold,late', 'one by one');
SELECT throws_ok(format('SELECT qzpay.%s(%L, %s)', CASE WHEN a ~ '^tax' THEN 'set_billing_details' ELSE 'update_customer' END, :'c', a), '22023', NULL, a)
FROM unnest(ARRAY[$$tax_ids => '{}'$$, $$tax_ids => '[1]'$$, $$tax_ids => '[{"type": "eu_vat"}]'$$, $$tax_ids => '[{"type": "EU VAT", "value": "ES1"}]'$$, $$tax_ids => '[{"type": "eu_vat", "value": ""}]'$$,
    $$tax_ids => '[{"type": "eu_vat", "value": "ES1", "more": 1}]'$$, $$tax_ids => '[{"type": "eu_vat", "value": "ES1", "verifiedAt": "yesterday"}]'$$, $$tax_exempt => 'maybe'$$, $$address => '[]'$$, $$address => '{"country": "Spain"}'$$,
    $$add_segments => '{""}'$$]) a;

-- 3. Payment methods: expiry, replacing
SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT id AS p FROM qzpay.sync_customer('payer', test_clock => :'clock', timezone => 'America/Argentina/Buenos_Aires') \gset
SELECT throws_ok(format('SELECT qzpay.attach_payment_method(%L, %L, %L, exp_month => 3)', :'p', 'sandbox', 'tok_ok'), '22023', NULL, 'a month without a year');
SELECT qzpay.attach_payment_method(:'p', 'sandbox', 'tok_ok', 'visa', '4242', 3, 2026) AS m1 \gset
-- March ends at 03:00 UTC there
SELECT is((SELECT next_warning_at FROM qzpay.payment_methods WHERE id = :'m1'), '2026-03-02 03:00+00', 'the first warning is 30 days before the end of the month in the customer''s zone');
SELECT qzpay.advance_test_clock(:'clock', '2026-03-02 02:59:59.999999+00') \g /dev/null
SELECT is(pg_temp.events(:'p', 'expiring'), 'nothing', 'not a microsecond early');
SELECT qzpay.advance_test_clock(:'clock', '2026-04-30 00:00+00') \g /dev/null
SELECT is((SELECT string_agg(to_char(occurred_at, 'MM-DD HH24:MI ') || (data ->> 'daysRemaining'), ', ' ORDER BY id) FROM qzpay.events WHERE type = 'payment_method.expiring'),
    '03-02 03:00 30, 03-25 03:00 7, 03-31 03:00 1', '30, 7 and 1 days before, once each');
SELECT is((SELECT next_warning_at FROM qzpay.payment_methods WHERE id = :'m1'), NULL, 'then none');
SELECT ok(qzpay.update_payment_method(:'m1', 5, 2026), 'a new card of the same token');
SELECT ok(NOT qzpay.update_payment_method(:'m1', 5, 2026), 'once');
SELECT is((SELECT next_warning_at FROM qzpay.payment_methods WHERE id = :'m1'), '2026-05-02 03:00+00', 'is warned of anew');
SELECT throws_ok(format('SELECT qzpay.update_payment_method(%L, %s)', :'m1', a), '22023', NULL, a) FROM unnest(ARRAY['13, 2030', '0, 2030', '1, 30', 'last4 => ''42''', 'brand => ''4111111111111111''']) a;
-- late: in the last week only one is told
UPDATE qzpay.payment_methods SET next_warning_at = '2026-05-02 03:00+00', test_clock_id = NULL WHERE id = :'m1';
SELECT is(qzpay._warn_of_expiry(NULL, '2026-05-27 00:00+00', 10), 1::bigint, 'looked at late');
SELECT is((SELECT data ->> 'daysRemaining' FROM qzpay.events WHERE type = 'payment_method.expiring' ORDER BY id DESC LIMIT 1), '6', 'what fell due meanwhile is one warning, of the days that are left');
SELECT is((SELECT next_warning_at FROM qzpay.payment_methods WHERE id = :'m1'), '2026-05-31 03:00+00', 'and the next is the next');
UPDATE qzpay.payment_methods SET test_clock_id = :'clock' WHERE id = :'m1';
SELECT is((SELECT every FROM qzpay.jobs WHERE name = 'payment_method_expiry'), '1 hour'::interval, 'a job does it in real time');
-- replacing
SELECT id AS sub FROM qzpay.subscribe(:'p', 'pro', trial_days => 0) \gset
SELECT throws_ok(format('SELECT qzpay.detach_payment_method(%L)', :'m1'), 'QZ204', NULL, 'the last one under a live subscription stays');
SELECT qzpay.replace_payment_method(:'m1', 'tok_decline', 'mastercard', '4444', 12, 2027) AS m2 \gset
SELECT is((SELECT string_agg(concat_ws(' ', token, last4, is_default, detached_at IS NOT NULL), ', ' ORDER BY created_at, id) FROM qzpay.payment_methods WHERE customer_id = :'p'),
    'tok_ok 4242 f t, tok_decline 4444 t f', 'but it may be replaced');
SELECT throws_ok(format('SELECT qzpay.replace_payment_method(%L, %L)', :'m1', 'tok_ok'), 'QZ204', NULL, 'what was removed is replaced no more');
SELECT qzpay.advance_test_clock(:'clock', '2026-05-30 00:00+00') \g /dev/null
SELECT is((SELECT status FROM qzpay.subscription_overview WHERE id = :'sub'), 'past_due', 'the renewal fails on it');
SELECT qzpay.replace_payment_method(:'m2', 'tok_ok', exp_month => 12, exp_year => 2028) AS m3 \gset
SELECT qzpay.advance_test_clock(:'clock', '2026-05-30 00:00+00') \g /dev/null
SELECT is((SELECT status FROM qzpay.subscription_overview WHERE id = :'sub'), 'active', 'what is open is tried with the new one');
SELECT is(qzpay.replace_payment_method(:'m3', 'tok_ok', last4 => '0000'), :'m3'::uuid, 'the same token is the same method, and stays');
SELECT qzpay.attach_payment_method(:'p', 'sandbox', 'tok_3ds', make_default => false) AS m4 \gset
SELECT qzpay.replace_payment_method(:'m4', 'tok_lost') AS m5 \gset
SELECT is((SELECT is_default FROM qzpay.payment_methods WHERE id = :'m3'), true, 'replacing another leaves the default');
SELECT is((SELECT count(*) FROM qzpay.payment_methods WHERE customer_id = :'p' AND detached_at IS NULL), 2::bigint, 'and their number');

-- metadata, and a provider that has deleted its customer
SELECT qzpay.attach_payment_method(:'p', 'sandbox', 'tok_lost', make_default => false, metadata => '{"label": "spare"}') \g /dev/null
SELECT is((SELECT m.metadata ->> 'label' FROM qzpay.payment_methods m WHERE m.id = :'m5'), 'spare', 'metadata of a method is merged');
SELECT throws_ok(format('SELECT qzpay.attach_payment_method(%L, %L, %L, metadata => %L)', :'p', 'sandbox', 'tok_ok', '{"a": "5500005555555559"}'), '22023', NULL, 'and holds no card number');
SAVEPOINT forgotten;
SELECT is(qzpay._provider_forgot_customer(tenant_id, id, 'sandbox', qzpay.now(id)), 2, 'a provider that deletes its customer takes its methods along') FROM qzpay.customers WHERE id = :'p';
SELECT is((SELECT o.status || ' ' || o.has_payment_method FROM qzpay.subscription_overview o WHERE o.id = :'sub'), 'active false', 'and cancels nothing');
SELECT matches(pg_temp.events(:'p', 'alert'), 'alert.raised$', 'but somebody should look');
ROLLBACK TO forgotten;

-- 4. Deletion
SELECT qzpay.update_customer(:'p', address => '{"line1": "Private road 7"}', add_segments => '{vip}', metadata => '{"nick": "Annie"}') \g /dev/null
SELECT qzpay.set_billing_details(:'p', tax_ids => '[{"type": "ar_cuit", "value": "30-71234567-8"}]', billing_emails => '{annie@example.net}', po_number => 'PO-77') \g /dev/null
SELECT qzpay.credit_invoice((SELECT id FROM qzpay.invoices WHERE customer_id = :'p' AND status = 'paid' AND total > 100 ORDER BY issued_at LIMIT 1), amount => 100, mode => 'balance', reason => 'Annie called us') \g /dev/null
SELECT qzpay.adjust_balance(:'p', 5, 'sorry, Annie') \g /dev/null
SELECT qzpay.sync_customer('payer', 'ana@example.org', 'Ana Pérez') \g /dev/null
SELECT qzpay.record_usage(:'p'::uuid, 'messages', 10100, 'lots', properties => '{"who": "ana"}') \g /dev/null
SELECT qzpay.advance_test_clock(:'clock', '2026-06-15 00:00+00') \g /dev/null
SELECT qzpay.attach_payment_method(:'p', 'sandbox', 'tok_decline') \g /dev/null
SELECT ok(qzpay.delete_customer(:'p', 'moved away'), 'a customer is deleted');
SELECT ok(NOT qzpay.delete_customer(:'p'), 'once');
SELECT is((SELECT status || ' ' || status_reason || ' ' || has_access FROM qzpay.subscription_overview WHERE id = :'sub'), 'canceled moved away false', 'its subscription has ended');
SELECT is((SELECT count(*) FROM qzpay.payment_methods WHERE customer_id = :'p' AND (detached_at IS NULL OR is_default)), 0::bigint, 'its methods are removed');
SELECT is(pg_temp.events(:'p', 'customer.deleted|subscription.canceled'), '2026-06-15 subscription.canceled, 2026-06-15 customer.deleted', 'and all of it is told');
SELECT throws_ok(format(f, :'p'), 'QZ204', NULL, 'nothing new: ' || split_part(f, '(', 1)) FROM unnest(ARRAY['SELECT qzpay.subscribe(%L, ''pro'')', 'SELECT qzpay.attach_payment_method(%L, ''sandbox'', ''tok_ok'')',
    'SELECT qzpay.update_customer(%L, add_segments => ''{a}'')', 'SELECT qzpay.set_entitlement(%L, ''maxBots'', ''5'')']) f;
SAVEPOINT restored;
SELECT is((SELECT id FROM qzpay.sync_customer('payer')), :'p'::uuid, 'the same external id brings it back');
SELECT lives_ok(format('SELECT qzpay.attach_payment_method(%L, %L, %L)', :'p', 'sandbox', 'tok_ok'), 'as a customer like any other');
SELECT is(pg_temp.events(:'p', 'customer.restored'), '2026-06-15 customer.restored', 'and that is told');
ROLLBACK TO restored;

-- 5. Export
SELECT qzpay.export_customer(:'p', true) AS doc \gset
SELECT is(:'doc'::jsonb #>> '{customers,0,email}', 'ana@example.org', 'an export has the customer');
SELECT ok(jsonb_array_length(:'doc'::jsonb -> 'invoices') > 1 AND jsonb_array_length(:'doc'::jsonb -> 'events') > 10 AND jsonb_array_length(:'doc'::jsonb -> 'usage_events') = 1, 'its documents, events and usage');
SELECT ok(NOT :'doc' ~ 'tok_ok|tok_lost', 'no token');
SELECT is(qzpay.export_customer(:'p') -> 'usage_events', 'null'::jsonb, 'usage events only on request');
SELECT is_empty(format($$ SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'customer_id'
    WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT %L::jsonb ? c.relname
      AND c.relname NOT IN ('entitlements', 'ledger_transfers', 'usage_alerts', 'overages', 'revenue_schedules', 'usage_marks') $$, :'doc'), 'every table of customers is in it, but for what is derived from them');

-- 6. Erasure
CREATE FUNCTION pg_temp.traces(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r regclass;
    n bigint;
    found text := '';
BEGIN
    FOR r IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind = 'r' ORDER BY c.relname LOOP
        -- The log of what the providers were set up with names every token of the sandbox, as their table does.
        EXECUTE format('SELECT count(*) FROM %s x WHERE x::text ~ %L AND %s', r, what, CASE WHEN r = 'qzpay.audit_entries'::regclass THEN 'x.object <> ''providers''' ELSE 'true' END) INTO n;
        found := found || CASE WHEN n > 0 THEN r || ' ' ELSE '' END;
    END LOOP;
    RETURN found;
END $$;
SELECT throws_ok(format('SELECT qzpay.erase_customer(%L)', :'p'), 'QZ204', NULL, 'not while its last invoice is open');
SELECT isnt(pg_temp.traces('payer|ana@|Ana|Private|Annie|4242|30-7123'), '', 'there are traces everywhere');
SELECT id AS last_invoice FROM qzpay.invoices WHERE customer_id = :'p' AND status = 'open' \gset
SELECT qzpay._write_off(ARRAY[tenant_id], ARRAY[id], ARRAY['uncollectible'], qzpay.now(:'p')) FROM qzpay.invoices WHERE id = :'last_invoice' \g /dev/null
SELECT sum(total) AS billed FROM qzpay.invoices WHERE customer_id = :'p' \gset
SELECT ok(qzpay.erase_customer(:'p'), 'erased');
SELECT ok(NOT qzpay.erase_customer(:'p'), 'once');
SELECT is(regexp_replace(pg_temp.traces('payer|ana@|annie@|Ana P|Private|Annie|\m4242\M|30-7123|"ana"|vip|tok_lost|PO-77|moved away'), 'qzpay.(sandbox_\S+|providers) ', '', 'g'), '', 'no trace is left in any table');
SELECT is((SELECT sum(total) FROM qzpay.invoices WHERE customer_id = :'p'), :billed::numeric, 'every invoice is still there');
SELECT is_empty($$ SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> 'pass' AND check_name NOT IN ('nothing_is_billed_late') $$, 'and the books agree');
SELECT is(pg_temp.events(:'p', 'customer.erased'), '2026-06-15 customer.erased', 'it is told, by id');
SELECT is((SELECT id FROM qzpay.sync_customer('payer', 'new@example.org')), :'p'::uuid, 'who comes back has the same id');
SELECT is((SELECT concat_ws(' ', external_id, email, name, deleted_at, erased_at) FROM qzpay.customers WHERE id = :'p'), 'payer new@example.org', 'and nothing of what was known');
SELECT is(qzpay.has_entitlement('payer', 'canUseApi'), false, 'and is found by it');
-- while money is owed to it
SELECT qzpay._move_balances(ARRAY[:'t']::uuid[], ARRAY[:'c']::uuid[], '{USD}', '{500}', '{goodwill}', ARRAY[qzpay.uuid_v7()], qzpay.now()) \g /dev/null
SELECT throws_like(format('SELECT qzpay.erase_customer(%L)', :'c'), '%unfinished business%', 'nor while a balance is left');
SELECT is((SELECT deleted_at FROM qzpay.customers WHERE id = :'c'), NULL, 'and a refusal leaves everything as it was');
-- what only erasure may change
SELECT throws_ok(q, code, NULL, q) FROM (VALUES
    ($$ UPDATE qzpay.events SET data = data || '{"a": 1}' $$, 'QZ203'), ($$ UPDATE qzpay.events SET type = 'invoice.paid' $$, 'QZ203'), ($$ DELETE FROM qzpay.events $$, 'QZ203'),
    ($$ UPDATE qzpay.events SET data = data - 'customerId', occurred_at = recorded_at WHERE data ? 'customerId' $$, 'QZ202')) AS x (q, code);

SELECT * FROM finish();
ROLLBACK;
