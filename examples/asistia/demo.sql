-- A billed month of Asist.IA, told in the terminal. Run it with: make demo
\set ON_ERROR_STOP on
\set QUIET on
\pset footer off
\pset null '-'
SET client_min_messages = warning;
SET timezone = 'UTC';
\if :{?catalog}
\else
    \set catalog examples/asistia/catalog.json
\endif

\echo
\echo '  qzpay: a SaaS bills its first months inside PostgreSQL'
\echo '  ======================================================'
\echo
\echo '1. Install, and load the catalog of Asist.IA (chatbots: four plans, add-ons, plugins, services, discounts)'
\echo
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install();
\set document `cat :catalog`
SELECT kind, count(*) AS would_change FROM qzpay.import_catalog(:'document', dry_run => true) WHERE action <> 'warning' GROUP BY kind ORDER BY kind;
SELECT count(*) AS changed FROM qzpay.import_catalog(:'document') WHERE action <> 'warning' \gset
SELECT count(*) AS changed_again FROM qzpay.import_catalog(:'document') WHERE action <> 'warning' \gset
\echo '   imported' :changed 'objects; importing the same document again changes' :changed_again
\echo
SELECT code AS plan, name, monthly_amount, yearly_amount, yearly_saving_percent AS yearly_saves FROM qzpay.plans ORDER BY tier_rank;

\echo '2. A test clock stands at 2026-01-05 09:00 UTC; org_1 signs up for Pro: 14 days of trial, no card'
\echo
SELECT qzpay.create_test_clock('2026-01-05 09:00:00+00', 'demo') AS clock \gset
SELECT id AS org_1 FROM qzpay.sync_customer('org_1', 'ana@org-1.example', 'Org One', test_clock => :'clock') \gset
SELECT id AS org_2 FROM qzpay.sync_customer('org_2', 'leo@org-2.example', 'Org Two', test_clock => :'clock') \gset
SELECT id AS subscription FROM qzpay.subscribe(:'org_1', 'pro', 'month') \gset
SELECT status, has_access, trial_end FROM qzpay.subscription_overview WHERE id = :'subscription';
SELECT qzpay.has_entitlement(:'org_1'::uuid, 'canUseApi') AS can_use_api, qzpay.has_entitlement(:'org_2'::uuid, 'canUseApi') AS org_2_can;
SELECT 9 AS bots, l.allowed, l.limit_value, l.remaining, l.reason FROM qzpay.check_limit(:'org_1'::uuid, 'maxBots', 9) l
UNION ALL
SELECT 10, l.allowed, l.limit_value, l.remaining, l.reason FROM qzpay.check_limit(:'org_1'::uuid, 'maxBots', 10) l;

\echo '3. The limit is a constraint on the application''s own table: the eleventh bot is refused'
\echo
CREATE TABLE bots (id serial PRIMARY KEY, organization_id text NOT NULL, name text NOT NULL);
CREATE TRIGGER max_bots AFTER INSERT OR UPDATE OR DELETE ON bots FOR EACH ROW EXECUTE FUNCTION qzpay.enforce_limit('maxBots', 'organization_id');
INSERT INTO bots (organization_id, name) SELECT 'org_1', 'bot ' || n FROM generate_series(1, 10) n;
\set ON_ERROR_STOP off
INSERT INTO bots (organization_id, name) VALUES ('org_1', 'bot 11');
\set ON_ERROR_STOP on
\echo '   SQLSTATE' :LAST_ERROR_SQLSTATE
SELECT count(*) AS bots_of_org_1 FROM bots;

\echo '4. Day 13: a card is saved (sandbox). Day 14: the trial ends, the first invoice is charged'
\echo
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-01-18 09:00:00+00') \g /dev/null
SELECT qzpay.attach_payment_method(:'org_1', 'sandbox', 'tok_ok', 'visa', '4242', 12, 2030) AS card \gset
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-01-19 09:00:00+00') \g /dev/null
SELECT number, status, total, amount_paid, currency, issued_at FROM qzpay.invoices ORDER BY series_number;
SELECT status, has_access, current_period_start, current_period_end FROM qzpay.subscription_overview WHERE id = :'subscription';

\echo '5. A month of use: 10 500 messages, some reported twice under the same key'
\echo
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-02-10 12:00:00+00') \g /dev/null
SELECT result.status, count(*) FROM generate_series(1, 10500) n
CROSS JOIN LATERAL qzpay.record_usage(:'org_1'::uuid, 'messages', 1, 'message-' || n) result GROUP BY 1;
SELECT result.status, count(*) FROM generate_series(101, 400) n
CROSS JOIN LATERAL qzpay.record_usage(:'org_1'::uuid, 'messages', 1, 'message-' || n) result GROUP BY 1;
SELECT meter, used, included, percent_used, overage, amount FROM qzpay.usage_summary(:'org_1'::uuid) WHERE used > 0;
\echo '   The next invoice, previewed by running it and rolling back:'
\echo
SELECT description, quantity, period_start::date AS from, period_end::date AS until, amount, invoice_total FROM qzpay.preview_invoice(:'subscription');

\echo '6. 2026-02-19: the second invoice, next month in advance and the overage in arrears'
\echo
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-02-19 09:00:00+00') \g /dev/null
SELECT i.number, l.position AS line, l.description, l.quantity, l.period_start::date AS from, l.period_end::date AS until, qzpay.format_amount(l.amount, i.currency) AS amount
FROM qzpay.invoices i JOIN qzpay.invoice_lines l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id WHERE i.series_number = 2 ORDER BY l.position;
SELECT number, status, total, amount_paid, qzpay.format_amount(total, currency) AS amount FROM qzpay.invoices WHERE series_number = 2;

\echo '   Every automatic discount of the catalog was considered for it, and why none applied:'
\echo
SELECT c.code, c.applied, c.amount, c.reason, c.explanation FROM qzpay.considered_discounts c JOIN qzpay.invoices i ON i.tenant_id = c.tenant_id AND i.id = c.invoice_id
WHERE i.series_number = 2 ORDER BY c.position;
\echo '   A promo code, asked about before the purchase: on a clock in June 2025, and on ours'
\echo
SELECT qzpay.create_test_clock('2025-06-02 00:00:00+00', 'june') AS june \gset
SELECT id AS org_3 FROM qzpay.sync_customer('org_3', 'eva@org-3.example', 'Org Three', test_clock => :'june') \gset
SELECT qzpay.now(:'org_3'::uuid)::date AS on, v.valid, v.code, v.amount, v.total, v.description, v.reason FROM qzpay.validate_promo_code('org_3', 'WELCOME30', 'pro') v
UNION ALL
SELECT qzpay.now(:'org_2'::uuid)::date, v.valid, v.code, v.amount, v.total, v.description, v.reason FROM qzpay.validate_promo_code('org_2', 'WELCOME30', 'pro') v;

\echo '7. The card starts to decline. 2026-03-19: the renewal fails; access stays while grace runs'
\echo
SELECT qzpay.sandbox_set_token(:'card', 'tok_insufficient_funds') \g /dev/null
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-03-19 09:00:00+00') \g /dev/null
SELECT status, has_access, grace_until FROM qzpay.subscription_overview WHERE id = :'subscription';
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-03-24 08:59:59.999999+00') \g /dev/null
SELECT occurred_at, data ->> 'attempt' AS attempt, type, data ->> 'declineCode' AS code, data ->> 'willRetry' AS will_retry
FROM qzpay.events WHERE type = 'payment.failed' ORDER BY id;
\echo '   The last microsecond of the five days of grace:'
SELECT qzpay.now(:'org_1'::uuid) AS now, qzpay.has_entitlement(:'org_1'::uuid, 'canUseApi') AS can_use_api;
\echo '   One microsecond later, before any job has run (the clock is only looked at):'
BEGIN;
UPDATE qzpay.test_clocks SET now_at = '2026-03-24 09:00:00+00' WHERE id = :'clock';
SELECT qzpay.now(:'org_1'::uuid) AS now, qzpay.has_entitlement(:'org_1'::uuid, 'canUseApi') AS can_use_api,
       (SELECT status FROM qzpay.subscriptions WHERE id = :'subscription') AS status_still;
ROLLBACK;
SELECT count(*) FROM qzpay.advance_test_clock(:'clock', '2026-03-24 09:00:00+00') \g /dev/null
SELECT status, status_reason, has_access FROM qzpay.subscription_overview WHERE id = :'subscription';
SELECT l.limit_value AS bots_allowed, l.allowed AS another_bot, l.reason, (SELECT count(*) FROM bots) AS bots_kept FROM qzpay.check_limit(:'org_1'::uuid, 'maxBots', 10) l;

\echo '8. The books'
\echo
SELECT number, status, total, amount_paid, amount_written_off, issued_at::date AS issued FROM qzpay.invoices ORDER BY series_number;
SELECT sum(total) AS invoiced, sum(amount_paid) AS paid, sum(amount_written_off) AS uncollectible,
       (SELECT count(*) FROM qzpay.payment_attempts) AS attempts, (SELECT count(*) FROM qzpay.payment_attempts WHERE status = 'succeeded') AS succeeded
FROM qzpay.invoices;
SELECT debit_account, credit_account, sum(amount) AS amount, count(*) AS transfers FROM qzpay.ledger_transfers GROUP BY 1, 2 ORDER BY 1, 2;

\echo '9. What happened, as the application is told'
\echo
SELECT occurred_at, type FROM qzpay.events WHERE customer_id = :'org_1' ORDER BY id;

\echo '10. Another tenant sees none of it'
\echo
CREATE ROLE demo_app LOGIN;
SELECT qzpay.grant_access('demo_app', 'app') \g /dev/null
SELECT tenant_id AS tenant_2 FROM qzpay.customers WHERE id = :'org_2' \gset
SELECT tenant_id AS tenant_1 FROM qzpay.customers WHERE id = :'org_1' \gset
SET SESSION AUTHORIZATION demo_app;
SELECT count(*) AS invoices_without_context FROM qzpay.invoices;
BEGIN;
SELECT qzpay.set_tenant(:'tenant_2') \g /dev/null
SELECT (SELECT count(*) FROM qzpay.invoices) AS invoices_seen_by_org_2, (SELECT count(*) FROM qzpay.events WHERE customer_id = :'org_1') AS events_of_org_1;
COMMIT;
BEGIN;
SELECT qzpay.set_tenant(:'tenant_1') \g /dev/null
SELECT count(*) AS invoices_seen_by_org_1 FROM qzpay.invoices;
COMMIT;
RESET SESSION AUTHORIZATION;

\echo '11. Integrity'
\echo
SELECT check_name, status, violations FROM qzpay.check_integrity();
SELECT bool_and(status = 'pass') AS all_pass FROM qzpay.check_integrity() \gset
\if :all_pass
    \echo '   Every check passes.'
\else
    \echo '   A check failed.'
    SELECT 1 / 0;
\endif
