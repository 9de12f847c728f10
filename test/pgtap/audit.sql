-- The audit log: which acts it covers, what an entry says, the chain, erasure, retention.
BEGIN;
SELECT no_plan();
SET LOCAL client_min_messages = warning;
SET LOCAL timezone = 'America/Argentina/Buenos_Aires';
\set catalog `cat examples/asistia/catalog.json`

-- 1. Coverage: every public function that may write is either an act, and then opens one, or an exception with its reason.
CREATE TEMP TABLE act AS
SELECT name FROM regexp_split_to_table('add_addon add_invoice_line adjust_balance attach_payment_method cancel cancel_refund cancel_scheduled_change change_plan charge clear_entitlement comp create_invoice
    credit_invoice delete_customer delete_draft_invoice detach_payment_method end_tax_rate end_trial erase_customer extend_trial finalize_invoice go_live grant_access grant_credit import_catalog
    import_subscription link_subscription mark_uncollectible migrate_subscriptions pause pause_provider pay_invoice record_refund redeem_promo_code refund refund_balance reissue_invoice remove_addon remove_discount
    remove_invoice_line replace_payment_method resolve_attempt restrict resume resume_provider retry_billing retry_refund sandbox_authenticate sandbox_set_token set_addon_quantity set_auto_renew
    set_billing_details set_default_payment_method set_entitlement set_item_terms set_meter_query set_setting set_tax_rate subscribe sync_customer sync_subscription uncancel unrestrict
    update_customer update_payment_method void_invoice', '\s+') name;
CREATE TEMP TABLE exception (name text, reason text);
INSERT INTO exception VALUES
    ('acquire_slot', 'a lease, taken and given back all day'), ('release_slot', 'a lease'), ('renew_slot', 'a lease'), ('require_slot', 'a lease'),
    ('add_limit', 'triggers on a table of the application, which its owner may put there anyway'), ('recount_limit', 'a counter'), ('enforce_limit', 'a trigger on a table of the application'),
    ('advance_test_clock', 'test clocks move no money'), ('create_test_clock', 'test clocks move no money'),
    ('check_rate', 'a counter in shared memory'), ('require_rate', 'a counter in shared memory'),
    ('deliver', 'the machine: attempts and payments tell'), ('run_due_jobs', 'the machine: transitions, events and the ledger tell'), ('run_billing', 'the machine: one entry for the run'),
    ('recognize_revenue', 'the machine: the ledger tells'), ('sandbox_request', 'what a provider answers'),
    ('doctor', 'writes nothing'), ('dry_run', 'is rolled back'), ('preview_billing', 'is rolled back'), ('preview_change', 'is rolled back'), ('preview_invoice', 'is rolled back'),
    ('validate_promo_code', 'counts wrong guesses'), ('uuid_v7', 'writes nothing'), ('seal_audit_log', 'chains what is there'),
    ('install', 'the version''s decision'), ('upgrade', 'the version''s decision'), ('enter', 'the session''s own state'), ('set_tenant', 'the session''s own state'),
    ('record_usage', 'usage events tell'), ('record_usage_batch', 'usage events tell');
CREATE TEMP VIEW writer AS
SELECT p.proname::text AS name, p.prosrc FROM pg_proc p
WHERE p.pronamespace = 'qzpay'::regnamespace AND p.provolatile = 'v' AND p.proname !~ '^_';
SELECT is_empty('SELECT name FROM writer WHERE name NOT IN (SELECT name FROM act UNION ALL SELECT name FROM exception)', 'every public function that may write is an act or an exception');
SELECT is_empty('SELECT name FROM (SELECT name FROM act UNION ALL SELECT name FROM exception) l WHERE name NOT IN (SELECT name FROM writer)', 'and every one of the list is there');
SELECT is_empty('SELECT name FROM act JOIN writer USING (name) WHERE prosrc !~ ''^qzpay_(as_act|in_tenant_of_[a-z_]+)$''', 'every act opens one');
SELECT is_empty('SELECT name FROM act JOIN exception USING (name)', 'nothing is both');

-- What a customer's row says in words is personal unless it is known not to be.
SELECT is_empty($$
    SELECT a.relation, c.attname FROM qzpay._audited_tables() a JOIN pg_attribute c ON c.attrelid = ('qzpay.' || a.relation)::regclass AND c.attnum > 0 AND NOT c.attisdropped
    WHERE a.kind = 'customer' AND c.atttypid IN ('text'::regtype, 'jsonb'::regtype, 'text[]'::regtype, 'name'::regtype, 'inet'::regtype, 'bytea'::regtype)
      AND c.attname <> ALL (qzpay._audit_columns('personal') || qzpay._audit_columns('hidden') || qzpay._audit_columns('derived'))
      AND c.attname NOT IN ('account', 'blocked_reason', 'category', 'cause', 'code', 'collection', 'currency', 'cycle', 'decline_class', 'decline_code', 'direction', 'discounts',
          'dunning_policy', 'feature_code', 'from_plan', 'grace_access', 'included', 'interval_unit', 'invoice_consolidation', 'kind', 'locale', 'managed_by', 'mode', 'number', 'operation', 'pause_access', 'proration',
          'provider', 'set_by', 'state', 'status', 'tax_exempt', 'tax_note', 'tax_rates', 'taxes', 'terms', 'timezone', 'to_plan', 'trial_end_behavior', 'trigger', 'type', 'usage_unit', 'value') $$,
    'no column of words goes to the immutable part unawares');

-- 2. What an entry says
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null
SELECT is((SELECT count(DISTINCT act_id) || ' ' || string_agg(DISTINCT act, ',') || ' ' || (count(*) FILTER (WHERE before IS NOT NULL AND operation = 'insert')) FROM qzpay.audit_log WHERE object = 'products'),
    '1 import_catalog 0', 'an import is one act of many rows, new ones without a before');
SELECT count(*) AS entries FROM qzpay.audit_log \gset
SELECT count(*) FROM qzpay.import_catalog(:'catalog') \g /dev/null
SELECT count(*) FROM qzpay.import_catalog(:'catalog', dry_run => true) \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.audit_log), :entries::bigint, 'what changes nothing is not written down');

SET LOCAL qzpay.actor = 'ana, card 4111 1111 1111 1111';
SET LOCAL application_name = 'back office';
SELECT qzpay.set_setting('overage_grace_days', '9') \g /dev/null
SELECT is((SELECT concat_ws(' | ', act, object, object_id, operation, before, after, session_role = session_user, role = current_user, actor, application, position IS NULL, tenant_id IS NULL, recorded_at = now(), occurred_at = now())
           FROM qzpay.audit_log ORDER BY id DESC LIMIT 1),
    'set_setting | settings | overage_grace_days | update | {"value": 7} | {"value": 9} | t | t | ana, card [redacted] | back office | t | t | t | t', 'who, what, when, before, after');
SELECT throws_ok($$ SET LOCAL qzpay.actor = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' $$,
    '22023', NULL, 'an actor is a name, no letter');
SET LOCAL qzpay.actor = '';
UPDATE qzpay.settings SET value = '8' WHERE name = 'overage_grace_days';
SELECT is((SELECT concat_ws(' ', act, before, after, actor) FROM qzpay.audit_log ORDER BY id DESC LIMIT 1), 'direct {"value": 9} {"value": 8}', 'a superuser who writes to the table is seen too');
UPDATE qzpay.sellers SET name = 'sk_live_51HabcdefghijklmnopQRSTUV', address = '{"note": [4111111111111111, "5500005555555559", 12], "4111111111111111": true}';
SELECT is((SELECT concat_ws(' ', after ->> 'name' ~ '51Habc', after -> 'address') FROM qzpay.audit_log ORDER BY id DESC LIMIT 1),
    'f {"note": ["[redacted]", "[redacted]", 12], "[redacted]": true}', 'no secret and no card number, in whatever place');
SELECT is(qzpay._redact_json(j::jsonb), j::jsonb, 'as it was: ' || j) FROM unnest('{"\"x\"","1","null","[]","{}","[[1, {\"a\": [null, true]}], \"\"]","{\"amount\": 4111111111111111}"}'::text[]) j;
SAVEPOINT undone;
SELECT qzpay.set_setting('overage_grace_days', '10') \g /dev/null
ROLLBACK TO undone;
SELECT is((SELECT after -> 'value' FROM qzpay.audit_log WHERE object_id = 'overage_grace_days' ORDER BY id DESC LIMIT 1), '8', 'what is rolled back leaves no entry');
SELECT is((SELECT count(*) FROM qzpay.dry_run($$ SELECT qzpay.set_setting('overage_grace_days', '11') $$)), 1::bigint, 'a dry run');
SELECT throws_ok($$ SELECT qzpay.set_setting('overage_grace_days', '-1') $$, '22023', NULL, 'what is refused');
SELECT is((SELECT after -> 'value' FROM qzpay.audit_log WHERE object_id = 'overage_grace_days' ORDER BY id DESC LIMIT 1), '8', 'leaves none either');
UPDATE qzpay.settings SET value = '7' WHERE name = 'overage_grace_days';
SELECT is((SELECT act FROM qzpay.audit_log ORDER BY id DESC LIMIT 1), 'direct', 'and no act stays open behind it');
-- whoever SET ROLE says
CREATE ROLE audit_admin LOGIN;
SELECT qzpay.grant_access('audit_admin', 'admin') \g /dev/null
SELECT is((SELECT concat_ws(' ', act, object, object_id, operation, after) FROM qzpay.audit_log ORDER BY id DESC LIMIT 1), 'grant_access role audit_admin act {"level": "admin"}', 'access given');
SET LOCAL ROLE audit_admin;
SELECT qzpay.set_setting('overage_grace_days', '6') \g /dev/null
RESET ROLE;
SELECT is((SELECT concat_ws(' ', role, session_role = session_user) FROM qzpay.audit_log ORDER BY id DESC LIMIT 1), 'audit_admin t', 'the role it acted as, and the one that logged in');

-- 3. Every act leaves its entry
CREATE FUNCTION pg_temp.done(call text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT ' || call;
EXCEPTION WHEN OTHERS THEN
    RAISE EXCEPTION '%: % %', call, SQLSTATE, SQLERRM;
END $$;
SELECT qzpay.create_test_clock('2026-01-05 09:00+00') AS clock \gset
SELECT id AS c, tenant_id AS t FROM qzpay.sync_customer('org_1', 'ana@example.org', 'Ana Personal', test_clock => :'clock') \gset
SELECT is((SELECT concat_ws(' ', act, operation, after ->> 'email', after ->> 'name', occurred_at AT TIME ZONE 'UTC') FROM qzpay.audit_log WHERE customer_id = :'c'),
    'sync_customer insert ana@example.org Ana Personal 2026-01-05 09:00:00', 'a customer, in its own time');
SELECT is((SELECT after::text ~ 'ana@|Personal|org_1' FROM qzpay.audit_entries WHERE customer_id = :'c'), false, 'the immutable part names nobody');
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_ok', 'visa', '4242', 12, 2030) AS m1 \gset
SELECT qzpay.attach_payment_method(:'c', 'sandbox', 'tok_3ds', make_default => false) AS m2 \gset
SELECT is((SELECT after ->> 'token' FROM qzpay.audit_log WHERE object_id = :'m1' AND operation = 'insert'), '[redacted]', 'no token');
SELECT id AS s FROM qzpay.subscribe(:'c', 'starter') \gset
SELECT pg_temp.done(format(call, :'c', :'s', :'m1', :'m2')) FROM unnest(ARRAY[
    'qzpay.update_customer(%1$L, add_segments => ''{gold}'')', 'qzpay.set_billing_details(%1$L, po_number => ''PO 7'')', 'qzpay.update_payment_method(%3$L, 11, 2031)',
    'qzpay.set_default_payment_method(%4$L)', 'qzpay.set_default_payment_method(%3$L)', 'qzpay.detach_payment_method(%4$L)', 'qzpay.extend_trial(%2$L, 3)', 'qzpay.end_trial(%2$L)',
    'qzpay.set_entitlement(%1$L, ''maxBots'', ''5'', reason => ''Ana Personal asked'')', 'qzpay.clear_entitlement(%1$L, ''maxBots'')', 'qzpay.set_entitlement(%1$L, ''maxBots'', ''6'')',
    'qzpay.add_addon(%2$L, ''extra-bots'', 1)', 'qzpay.set_addon_quantity(%2$L, ''extra-bots'', 3)', 'qzpay.remove_addon(%2$L, ''extra-bots'', effective => ''now'')',
    'qzpay.set_item_terms(%2$L, ''starter'', unit_amount => 1234, effective => ''now'')', 'qzpay.change_plan(%2$L, ''pro'', effective => ''period_end'')', 'qzpay.cancel_scheduled_change(%2$L)',
    'qzpay.change_plan(%2$L, ''pro'', effective => ''now'')', 'qzpay.restrict(%2$L, ''abuse'')', 'qzpay.unrestrict(%2$L)', 'qzpay.comp(%2$L, ''2026-03-01'', ''friend'')',
    'qzpay.set_auto_renew(%2$L, false)', 'qzpay.set_auto_renew(%2$L, true)', 'qzpay.cancel(%2$L)', 'qzpay.uncancel(%2$L)', 'qzpay.pause(%2$L, ''now'')', 'qzpay.resume(%2$L)',
    'qzpay.adjust_balance(%1$L, 500, ''goodwill'')', 'qzpay.grant_credit(%1$L, 700)', 'qzpay.charge(%1$L, 100, ''one'')',
    'qzpay.set_tax_rate(''vat'', 21, automatic => false)', 'qzpay.end_tax_rate(''vat'', ''2030-01-01'')', 'qzpay.pause_provider(''stripe'', ''test'')', 'qzpay.resume_provider(''stripe'')', 'qzpay.go_live()']) call \g /dev/null
SELECT qzpay.create_invoice(:'c', collection => 'send_invoice', net_days => 30) AS i \gset
SELECT qzpay.add_invoice_line(:'i', description => 'first', unit_amount => 5000) AS l \gset
SELECT pg_temp.done(format(call, :'i', :'l')) FROM unnest(ARRAY['qzpay.remove_invoice_line(%L, %L)', 'qzpay.delete_draft_invoice(%L)']) call \g /dev/null
CREATE FUNCTION pg_temp.invoice(customer uuid, amount bigint) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    i uuid := qzpay.create_invoice(customer, collection => 'send_invoice', net_days => 30);
BEGIN
    PERFORM qzpay.add_invoice_line(i, description => 'something', unit_amount => amount);
    PERFORM qzpay.finalize_invoice(i);
    RETURN i;
END $$;
SELECT id AS d FROM qzpay.sync_customer('org_documents', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'d', 'sandbox', 'tok_refund_fails') AS m3 \gset
SELECT pg_temp.invoice(:'d', 5000) AS voided, pg_temp.invoice(:'d', 5000) AS lost, pg_temp.invoice(:'d', 5000) AS again, pg_temp.invoice(:'d', 5000) AS paid, pg_temp.invoice(:'d', 5000) AS fails \gset
SELECT qzpay.void_invoice(:'voided', 'mistake') \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', before ->> 'status', after ->> 'status', after ->> 'status_reason', after ->> 'amount_written_off'), ', ' ORDER BY id) FROM qzpay.audit_log WHERE object_id = :'voided' AND act = 'void_invoice'),
    'mistake, open void 5000', 'a void, and why');
SELECT qzpay.mark_uncollectible(:'lost') \g /dev/null
SELECT qzpay.reissue_invoice(:'again') \g /dev/null
SELECT qzpay.pay_invoice(:'paid') \g /dev/null
SELECT qzpay.credit_invoice(:'paid', amount => 1000, mode => 'refund') \g /dev/null
SELECT pg_temp.done(format('qzpay.record_refund(%L, ''bank'')', id)) FROM qzpay.refund_requests WHERE customer_id = :'d' AND status = 'requested' \g /dev/null
SELECT qzpay.credit_invoice(:'paid', amount => 1000) \g /dev/null
SELECT qzpay.refund_balance(:'d', 400) AS r \gset
SELECT qzpay.cancel_refund(:'r') \g /dev/null
SELECT (SELECT f.refund_request FROM qzpay.refund(p.id, 100) f) AS r FROM qzpay.payments p WHERE p.customer_id = :'d' LIMIT 1 \gset
SELECT qzpay.retry_refund(:'r') \g /dev/null
SELECT qzpay.sandbox_set_token(:'m3', 'tok_3ds') \g /dev/null
SELECT attempt_id AS a FROM qzpay.pay_invoice(:'fails') \gset
SELECT qzpay.sandbox_authenticate(:'a') \g /dev/null
SELECT qzpay.replace_payment_method(:'m3', 'tok_ok') AS m4 \gset
SELECT id AS p FROM qzpay.sync_customer('org_2', test_clock => :'clock') \gset
SELECT id AS brought FROM qzpay.import_subscription(:'p', 'starter', '2026-01-01', '2026-02-01') \gset
SELECT qzpay.link_subscription(:'brought', 'sub_1') \g /dev/null
SELECT qzpay.sync_subscription(:'brought', status => 'past_due') \g /dev/null
INSERT INTO qzpay.discounts (id, code, trigger, type, value, stackable, created_at) VALUES (gen_random_uuid(), 'TEN', 'promo_code', 'percentage', 10, true, now());
SELECT is((SELECT concat_ws(' ', act, object, after ->> 'code') FROM qzpay.audit_log ORDER BY id DESC LIMIT 1), 'direct discounts TEN', 'a code made by hand');
SELECT is((SELECT valid FROM qzpay.redeem_promo_code(:'s', 'TEN')), true, 'and redeemed');
SELECT qzpay.remove_discount(:'s', 'TEN') \g /dev/null
SELECT id AS p2 FROM qzpay.sync_customer('org_migrated', test_clock => :'clock') \gset
SELECT qzpay.attach_payment_method(:'p2', 'sandbox', 'tok_ok') \g /dev/null
SELECT id AS s2 FROM qzpay.subscribe(:'p2', 'starter', 'year', trial_days => 0) \gset
UPDATE qzpay.prices SET active = false WHERE id = (SELECT price_id FROM qzpay.subscription_items WHERE subscription_id = :'s2');
INSERT INTO qzpay.prices SELECT n.* FROM qzpay.prices p CROSS JOIN LATERAL jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid(), 'version', p.version + 1, 'active', true, 'unit_amount', 1)) n
WHERE p.id = (SELECT price_id FROM qzpay.subscription_items WHERE subscription_id = :'s2') RETURNING id AS new_price \gset
SELECT is((SELECT status FROM qzpay.migrate_subscriptions((SELECT price_id FROM qzpay.subscription_items WHERE subscription_id = :'s2'), :'new_price', effective => 'now')), 'changed', 'subscribers migrated by staff, who is in no tenant');
SELECT is((SELECT string_agg(DISTINCT customer_id::text, ' ') FROM qzpay.audit_log WHERE act = 'migrate_subscriptions' AND object = 'subscription_items'), :'p2', 'are each their tenant''s');
SELECT qzpay.set_entitlement(:'c', 'maxBots', '6', reason => 'another reason') \g /dev/null
SELECT is((SELECT concat_ws(' ', operation, before -> 'reason', after -> 'reason') FROM qzpay.audit_log ORDER BY id DESC LIMIT 1), 'update null "another reason"', 'only words changed');
SELECT is_empty($$
    SELECT name FROM act WHERE name NOT IN (SELECT act FROM qzpay.audit_entries)
      -- seen by the tests of their domains only: they need a life of their own
      AND name NOT IN ('resolve_attempt', 'retry_billing', 'set_meter_query', 'erase_customer', 'delete_customer') $$, 'every act that was done has its entry');
SELECT is_empty($$ SELECT act, object FROM qzpay.audit_entries WHERE act NOT IN (SELECT name FROM act) AND act <> 'direct' $$, 'and nothing else has');
SELECT is((SELECT concat_ws(' ', before ->> 'unit_amount', after ->> 'unit_amount') FROM qzpay.audit_log WHERE act = 'set_item_terms' AND object = 'subscription_items' AND after ? 'unit_amount' ORDER BY id DESC LIMIT 1), '1234', 'a negotiated price');
SELECT is((SELECT concat_ws(' ', object, after ->> 'amount', after ->> 'description') FROM qzpay.audit_log WHERE act = 'adjust_balance' AND object = 'balance_entries'), 'balance_entries 500 goodwill', 'a balance adjusted');
SELECT is((SELECT count(*) FROM qzpay.audit_log WHERE act = 'charge' AND object = 'payments'), (SELECT count(*) FROM qzpay.payments p JOIN qzpay.invoices i ON i.id = p.invoice_id WHERE i.total = 100), 'a charge, down to its payment');
SELECT is_empty($$ SELECT e.act, e.object, e.operation FROM qzpay.audit_entries e JOIN qzpay._audited_tables() a ON a.relation = e.object AND a.kind = 'customer' WHERE e.customer_id IS NULL OR e.tenant_id IS NULL $$,
    'every row of a customer''s is known as that customer''s, so that erasure finds it');
-- the machine leaves none, but a run
SELECT count(*) AS entries FROM qzpay.audit_entries \gset
SELECT qzpay.advance_test_clock(:'clock', '2026-04-10') \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.audit_entries), :entries::bigint, 'three months of renewals leave none');
SELECT id AS late FROM qzpay.sync_customer('org_3', livemode => false) \gset
SELECT qzpay.attach_payment_method(:'late', 'sandbox', 'tok_ok') \g /dev/null
SELECT qzpay.subscribe(:'late', 'starter', trial_days => 0) \g /dev/null
UPDATE qzpay.subscriptions SET cancel_at = now() - interval '1 minute' WHERE customer_id = :'late';
SELECT count(*) AS entries FROM qzpay.audit_entries \gset
SELECT qzpay._run_billing_batch(NULL, 100) \g /dev/null
SELECT is((SELECT string_agg(act || ' ' || object || ' ' || operation, ', ') FROM (SELECT * FROM qzpay.audit_entries ORDER BY id OFFSET :entries) x), 'direct billing_runs insert', 'a billing run leaves one');
SELECT is((SELECT status FROM qzpay.subscriptions WHERE customer_id = :'late'), 'canceled', 'whatever it does');

-- 4. Whose it is to read
CREATE ROLE audit_app LOGIN;
CREATE ROLE audit_tenant LOGIN;
SELECT qzpay.grant_access('audit_app', 'app'), qzpay.grant_access('audit_tenant', 'tenant', :'t') \g /dev/null
GRANT ALL ON act TO PUBLIC;
SET LOCAL ROLE audit_app;
SELECT is((SELECT count(*) FROM qzpay.audit_log), 0::bigint, 'without a context nobody reads a line');
SELECT qzpay.set_tenant(:'t') \g /dev/null
SELECT is((SELECT count(DISTINCT tenant_id) || ' ' || min(tenant_id::text) FROM qzpay.audit_log), '1 ' || :'t', 'an application reads its tenant''s');
SELECT is((SELECT count(*) FROM qzpay.audit_log WHERE tenant_id IS NULL), 0::bigint, 'and none of the seller''s');
SELECT throws_ok($$ SELECT * FROM qzpay.verify_audit_log() $$, '42501', NULL, 'proves nothing');
SELECT throws_ok($$ SELECT * FROM qzpay.seal_audit_log() $$, '42501', NULL, 'seals nothing');
SELECT throws_ok($$ INSERT INTO qzpay.audit_entries DEFAULT VALUES $$, '42501', NULL, 'and writes nothing');
SET LOCAL ROLE audit_tenant;
SELECT is((SELECT count(DISTINCT tenant_id) || ' ' || bool_and(tenant_id = :'t') || ' ' || bool_or(before IS NOT NULL) FROM qzpay.audit_log), '1 true true', 'a tenant reads its own');
RESET ROLE;
SET LOCAL ROLE audit_admin;
SELECT is((SELECT count(DISTINCT coalesce(tenant_id::text, '')) FROM qzpay.audit_log), (SELECT count(DISTINCT tenant_id) + 1 FROM qzpay.audit_entries), 'staff reads all');
SELECT throws_ok(format('%s', q), '42501', NULL, 'and changes nothing: ' || q) FROM unnest(ARRAY['UPDATE qzpay.audit_entries SET act = ''nothing''', 'DELETE FROM qzpay.audit_personal', 'UPDATE qzpay.audit_head SET position = 0',
    'DELETE FROM qzpay.audit_entries', 'TRUNCATE qzpay.audit_entries']) q;
SELECT is(entries > 300 AND head ~ '^[0-9a-f]{64}$', true, 'but may seal') FROM qzpay.seal_audit_log();
RESET ROLE;

-- 5. The chain
SELECT * FROM qzpay.seal_audit_log() \gset
SELECT is((SELECT count(*) || ' ' || max(position) || ' ' || min(position) FROM qzpay.audit_entries WHERE position IS NOT NULL), :entries || ' ' || :entries || ' 1', 'all are sealed, each in a place of its own');
SELECT is_empty('SELECT * FROM qzpay.verify_audit_log()', 'it is whole');
SELECT is_empty(format('SELECT * FROM qzpay.verify_audit_log(%s, %L)', :entries, upper(:'head')), 'and as it was kept outside');
SELECT is((SELECT violation FROM qzpay.verify_audit_log(:entries, repeat('0', 64))), 'not_as_kept', 'another head is another log');
SELECT is((SELECT violation FROM qzpay.verify_audit_log(:entries + 1, :'head')), 'not_as_kept', 'a longer one too');
SELECT throws_ok(q, '22023', NULL, q) FROM unnest(ARRAY['SELECT qzpay.verify_audit_log(1)', 'SELECT qzpay.verify_audit_log(NULL, repeat(''0'', 64))', 'SELECT qzpay.verify_audit_log(-1, repeat(''0'', 64))', 'SELECT qzpay.verify_audit_log(1, ''x'')']) q;
SET LOCAL timezone = 'Asia/Kolkata';
SET LOCAL bytea_output = 'escape';
SET LOCAL datestyle = 'SQL, DMY';
SELECT is_empty('SELECT * FROM qzpay.verify_audit_log()', 'whatever the session''s ways of writing');
RESET datestyle;
SELECT is(qzpay._seal_audit(10), 0::bigint, 'nothing new');
SELECT throws_ok(q, 'QZ203', NULL, q) FROM unnest(ARRAY['UPDATE qzpay.audit_entries SET act = act', 'DELETE FROM qzpay.audit_entries', 'DELETE FROM qzpay.audit_personal', 'UPDATE qzpay.audit_personal SET data = ''{}''',
    'DELETE FROM qzpay.audit_head', 'TRUNCATE qzpay.audit_head', 'TRUNCATE qzpay.audit_entries', 'TRUNCATE qzpay.audit_personal']) q;
SELECT qzpay.set_setting('overage_grace_days', '5') \g /dev/null
SELECT throws_ok($$ UPDATE qzpay.audit_entries SET act = 'x', position = 1, hash = repeat('0', 64) WHERE position IS NULL $$, 'QZ202', NULL, 'sealing fills in position and hash, and nothing else');
SELECT throws_ok($$ DELETE FROM qzpay.audit_entries WHERE position IS NULL $$, 'QZ203', NULL, 'what is not sealed yet stays, too');
CREATE FUNCTION pg_temp.tampered(how text, OUT told text, OUT books text) LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        SET LOCAL session_replication_role = replica;
        EXECUTE how;
        SET LOCAL session_replication_role = origin;
        SELECT string_agg(v.violation || coalesce(' ' || v.at_position, ''), ', ' ORDER BY v.at_position, v.violation) INTO told FROM qzpay.verify_audit_log() v;
        SELECT c.status INTO books FROM qzpay.check_integrity() c WHERE c.check_name = 'audit_log_is_whole';
        RAISE EXCEPTION USING ERRCODE = 'QZ999';
    EXCEPTION WHEN SQLSTATE 'QZ999' THEN
        NULL;
    END;
END $$;
SELECT is(concat_ws(' | ', t.told, t.books), f || ' | fail', how) FROM (VALUES
    ('UPDATE qzpay.audit_entries SET after = ''{"value": 1}'' WHERE position = 7', 'entry_changed 7'),
    ('UPDATE qzpay.audit_entries SET role = ''nobody'' WHERE position = 7', 'entry_changed 7'),
    ('UPDATE qzpay.audit_entries SET recorded_at = recorded_at + interval ''1 microsecond'' WHERE position = 7', 'entry_changed 7'),
    ('UPDATE qzpay.audit_entries SET hash = repeat(''0'', 64) WHERE position = 7', 'entry_changed 7, entry_changed 8'),
    ('DELETE FROM qzpay.audit_entries WHERE position = 7', 'entry_missing 8'),
    ('DELETE FROM qzpay.audit_entries WHERE position <= 7', 'entry_missing 8'),
    (format('DELETE FROM qzpay.audit_entries WHERE position > %s', :entries - 1), 'end_missing ' || :entries),
    ('DELETE FROM qzpay.audit_entries WHERE position = 7; UPDATE qzpay.audit_entries SET position = 7 WHERE position = 8', 'entry_changed 7, entry_missing 9'),
    ('UPDATE qzpay.audit_entries e SET position = 15 - e.position WHERE e.position IN (7, 8)', 'entry_changed 7, entry_changed 8, entry_changed 9'),
    ('INSERT INTO qzpay.audit_entries SELECT gen_random_uuid(), tenant_id, customer_id, act, act_id, object, object_id, operation, before, after, session_role, role, application, NULL, occurred_at, recorded_at, position, hash
      FROM qzpay.audit_entries WHERE position = 7', 'entry_missing 7'),
    ('UPDATE qzpay.audit_head SET base_position = 7, base_hash = (SELECT hash FROM qzpay.audit_entries WHERE position = 7); DELETE FROM qzpay.audit_personal WHERE entry_id IN (SELECT id FROM qzpay.audit_entries WHERE position <= 7);
      DELETE FROM qzpay.audit_entries WHERE position <= 7', 'beginning_missing 7')) x (how, f) CROSS JOIN LATERAL pg_temp.tampered(x.how) t;
SELECT is((pg_temp.tampered('DELETE FROM qzpay.audit_head')).told, 'head_missing', 'without its head it proves nothing');
SELECT is((SELECT t.told ~ '^personal_changed \d+$' FROM pg_temp.tampered(format('UPDATE qzpay.audit_personal SET data = ''{"actor": "somebody else"}'' WHERE entry_id = (SELECT min(entry_id::text)::uuid FROM qzpay.audit_personal WHERE customer_id = %L)', :'c')) t), true, 'personal data is chained by its digest');
SELECT is((SELECT t.told ~ '^personal_missing \d+$' FROM pg_temp.tampered('DELETE FROM qzpay.audit_personal WHERE entry_id = (SELECT min(entry_id::text)::uuid FROM qzpay.audit_personal)') t), true, 'and does not vanish');
SELECT is((SELECT t.told ~ '^personal_erased \d+$' FROM pg_temp.tampered('UPDATE qzpay.audit_personal SET data = NULL, salt = NULL, erased_at = now() WHERE entry_id = (SELECT min(entry_id::text)::uuid FROM qzpay.audit_personal)') t), true,
    'nor is it erased but with its customer');
-- who rewrites the whole chain is found out by a head that was kept elsewhere
CREATE FUNCTION pg_temp.rewritten(entries bigint, head text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v text;
BEGIN
    SET LOCAL session_replication_role = replica;
    UPDATE qzpay.audit_entries SET act = 'innocent' WHERE position = 7;
    UPDATE qzpay.audit_entries SET position = NULL, hash = NULL;
    UPDATE qzpay.audit_head SET position = 0, hash = base_hash;
    SET LOCAL session_replication_role = origin;
    PERFORM qzpay.seal_audit_log();
    SELECT concat_ws(', ', (SELECT count(*) FROM qzpay.verify_audit_log()), (SELECT string_agg(x.violation, ' ') FROM qzpay.verify_audit_log(entries, head) x)) INTO v;
    RAISE EXCEPTION USING ERRCODE = 'QZ999', MESSAGE = v;
EXCEPTION WHEN SQLSTATE 'QZ999' THEN
    RETURN SQLERRM;
END $$;
SELECT is(pg_temp.rewritten(:entries, :'head'), '0, not_as_kept', 'who rewrites it all is found out by a head kept elsewhere');
-- what goes past the triggers
SELECT is((SELECT string_agg(c.check_name, ' ') FROM (SELECT set_config('session_replication_role', 'replica', true)) a CROSS JOIN LATERAL (SELECT * FROM qzpay.check_integrity()) c WHERE c.status <> 'pass'), NULL, 'all is in order');
UPDATE qzpay.settings SET value = '4' WHERE name = 'overage_grace_days';
SET LOCAL session_replication_role = origin;
SELECT is((SELECT evidence FROM qzpay.check_integrity() WHERE check_name = 'decisions_are_audited'), '["overage_grace_days"]', 'a setting that was changed without an entry is told');
UPDATE qzpay.settings SET value = '5' WHERE name = 'overage_grace_days';
ALTER TABLE qzpay.prices DISABLE TRIGGER audit;
SELECT is((SELECT evidence FROM qzpay.check_integrity() WHERE check_name = 'audit_log_is_kept'), '["prices"]', 'a table that is watched no more is told');
ALTER TABLE qzpay.prices ENABLE TRIGGER audit;

-- 6. Export, erasure
SELECT qzpay.export_customer(:'c') AS doc \gset
SELECT is(jsonb_array_length(:'doc'::jsonb -> 'audit_entries'), (SELECT count(*)::integer FROM qzpay.audit_log WHERE customer_id = :'c'), 'an export has what was done to the customer');
SELECT is(:'doc'::jsonb -> 'audit_personal' @> '[{"after": {"email": "ana@example.org"}}]' AND NOT :'doc' ~ 'audit_admin|back office', true, 'what it was about, and nobody of the staff');
SELECT id AS f FROM qzpay.sync_customer('forget', 'forgotten@example.org', 'Forgotten Person', livemode => false) \gset
SELECT qzpay.update_customer(:'f', address => '{"line1": "Forgotten street", "country": "AR"}') \g /dev/null
SELECT qzpay.attach_payment_method(:'f', 'sandbox', 'tok_ok', 'visa', '4242', 12, 2030) \g /dev/null
SELECT qzpay.seal_audit_log() \g /dev/null
SELECT qzpay.erase_customer(:'f') \g /dev/null
SELECT is_empty($$ SELECT * FROM qzpay.audit_log l WHERE l::text ~* 'forgotten' $$, 'erasure reaches the log, what it wrote itself included');
SELECT is((SELECT string_agg(DISTINCT act, ' ' ORDER BY act) FROM qzpay.audit_log WHERE customer_id = :'f' AND role = current_user), 'attach_payment_method erase_customer sync_customer update_customer', 'what was done, and by whom, stays');
SELECT is_empty('SELECT * FROM qzpay.verify_audit_log()', 'and is proved as before');
SELECT qzpay.seal_audit_log() \g /dev/null
SELECT is_empty('SELECT * FROM qzpay.verify_audit_log()', 'the erasure too');
SELECT throws_ok(format('UPDATE qzpay.audit_personal SET erased_at = now() WHERE customer_id = %L', :'f'), 'QZ203', NULL, 'what is erased stays so');

-- 7. Retention
SELECT is(qzpay._job_audit_retention(1000), 0::bigint, 'it is kept for ever');
SELECT throws_ok($$ SELECT qzpay.set_setting('audit_retention_months', '2') $$, '22023', NULL, 'or for three months at least');
-- Whoever may write to the settings may not have the log forget what he did.
SET ROLE qzpay_admin;
UPDATE qzpay.settings SET value = '-100' WHERE name = 'audit_retention_months';
SELECT throws_ok('SELECT qzpay._job_audit_retention(1000)', '22023', NULL, 'whatever is written to the table without set_setting()');
SELECT throws_ok($$ SELECT qzpay._write_audit(NULL, NULL, 'settings', 'signup_plan', 'update', '{"value": null}', '{"value": "pro"}', NULL) $$, '42501', NULL, 'nor are entries written but by what is done');
RESET ROLE;
SELECT qzpay.set_setting('audit_retention_months', '3') \g /dev/null
SELECT is(qzpay._job_audit_retention(1000), 0::bigint, 'nothing is so old');
SET LOCAL session_replication_role = replica;
UPDATE qzpay.audit_entries SET recorded_at = recorded_at - interval '4 months' WHERE position <= 50 AND position <> 40;
UPDATE qzpay.audit_entries SET position = NULL, hash = NULL;
UPDATE qzpay.audit_head SET position = 0, hash = base_hash;
SET LOCAL session_replication_role = origin;
SELECT * FROM qzpay.seal_audit_log() \gset
SELECT is(qzpay._job_audit_retention(20), 20::bigint, 'a batch of the oldest');
SELECT is(qzpay._job_audit_retention(1000), 29::bigint, 'and the others, up to the first that is kept');
SELECT is(qzpay._job_audit_retention(1000), 0::bigint, 'once');
SELECT is((SELECT min(position) || ' ' || count(*) FILTER (WHERE act = 'direct' AND object = 'audit_head') FROM qzpay.audit_entries), '50 2', 'that they were forgotten is in the log');
SELECT is_empty('SELECT * FROM qzpay.verify_audit_log()', 'which is whole from there on');
SELECT is_empty(format('SELECT * FROM qzpay.verify_audit_log(%s, %L)', :entries, :'head'), 'and a head kept outside still holds');
SELECT is((SELECT detail ~ 'forgotten' FROM qzpay.verify_audit_log(3, repeat('0', 64))), true, 'but one from before');
SELECT is_empty('SELECT entry_id FROM qzpay.audit_personal p WHERE NOT EXISTS (SELECT FROM qzpay.audit_entries e WHERE e.id = p.entry_id)', 'with their personal parts');
SELECT qzpay.seal_audit_log() \g /dev/null
SELECT is((SELECT count(*) FROM qzpay.jobs WHERE name IN ('audit_seal', 'audit_retention') AND enabled), 2::bigint, 'jobs do both');

SELECT is_empty('SELECT check_name, evidence FROM qzpay.check_integrity() WHERE status <> ''pass''', 'the books are in order');
SELECT * FROM finish();
ROLLBACK;
