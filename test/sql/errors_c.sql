-- Trigger functions in C: state machines, what is derived on subscriptions, transitions, guarded columns; misuse of each.
\set VERBOSITY terse
SET client_min_messages = warning;
\set main :DBNAME
CREATE DATABASE regression_errors_c;
\c regression_errors_c
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() \g /dev/null
\set a '''aaaaaaaa-0000-4000-8000-000000000001'''
\set ca '''ca000000-0000-4000-8000-000000000001'''
\set sa '''5a000000-0000-4000-8000-000000000001'''
INSERT INTO qzpay.tenants VALUES (:a, 'A', '2026-01-01 00:00+00');
INSERT INTO qzpay.customers (tenant_id, id, external_id, currency, seller_id, livemode, created_at, updated_at)
SELECT :a, :ca, 'org_a', 'USD', s.id, true, '2026-01-01 00:00+00', '2026-01-01 00:00+00' FROM qzpay.sellers s;
CREATE FUNCTION public.try(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    m text; d text; h text;
BEGIN
    EXECUTE sql;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, m, nullif(d, ''), nullif(h, ''));
END $$;

-- What is derived.  Each case is one subscription with the values given over the base's; the instants are those that follow from them.
SELECT value FROM qzpay.settings WHERE name = 'trial_reminder_days';
CREATE TEMP TABLE cases (n serial, label text, changes jsonb, access_until timestamptz, next_due_at timestamptz);
INSERT INTO cases (label, changes, access_until, next_due_at) VALUES
    ('trial without a method', '{"status": "trialing", "trial_end": "2026-01-19T09:00Z"}', '2026-01-19 09:00', '2026-01-12 09:00'),
    ('trial with a method', '{"status": "trialing", "trial_end": "2026-01-19T09:00Z", "has_payment_method": true}', '2026-02-18 09:00', '2026-01-12 09:00'),
    ('trial, reminded once', '{"status": "trialing", "trial_end": "2026-01-19T09:00Z", "reminded_at": "2026-01-12T09:00Z"}', '2026-01-19 09:00', '2026-01-16 09:00'),
    ('trial, all reminded', '{"status": "trialing", "trial_end": "2026-01-19T09:00Z", "reminded_at": "2026-01-18T09:00Z"}', '2026-01-19 09:00', '2026-01-19 09:00'),
    ('trial of two days', '{"status": "trialing", "trial_end": "2026-01-07T09:00Z"}', '2026-01-07 09:00', '2026-01-06 09:00'),
    ('trial, cancelled before', '{"status": "trialing", "trial_end": "2026-01-19T09:00Z", "has_payment_method": true, "cancel_at": "2026-01-10T00:00Z"}', '2026-01-10 00:00', '2026-01-10 00:00'),
    ('active, renews', '{"status": "active", "has_payment_method": true}', '2026-03-07 09:00', '2026-02-05 09:00'),
    ('active, no method', '{"status": "active"}', '2026-02-05 09:00', '2026-02-05 09:00'),
    ('active, free', '{"status": "active", "is_free": true}', '2026-03-07 09:00', '2026-02-05 09:00'),
    ('active, does not renew', '{"status": "active", "has_payment_method": true, "auto_renew": false}', '2026-02-05 09:00', '2026-01-29 09:00'),
    ('active, usage month', '{"status": "active", "has_payment_method": true, "usage_period_start": "2026-01-05T09:00Z", "usage_period_end": "2026-01-20T00:00Z"}', '2026-03-07 09:00', '2026-01-20 00:00'),
    ('active, ends', '{"status": "active", "has_payment_method": true, "cancel_at": "2026-02-05T09:00Z"}', '2026-02-05 09:00', '2026-01-29 09:00'),
    ('active, comped beyond', '{"status": "active", "comp_until": "2026-06-01T00:00Z"}', '2026-06-01 00:00', '2026-02-05 09:00'),
    ('past due in grace', '{"status": "past_due", "past_due_since": "2026-02-05T09:00Z", "grace_until": "2026-02-10T09:00Z", "dunning_next_at": "2026-02-06T09:00Z", "current_period_end": "2026-03-05T09:00Z"}',
        '2026-02-10 09:00', '2026-02-06 09:00'),
    ('past due, no access', '{"status": "past_due", "past_due_since": "2026-02-05T09:00Z", "grace_until": "2026-02-10T09:00Z", "grace_access": "none", "current_period_end": "2026-03-05T09:00Z"}',
        NULL, '2026-03-05 09:00'),
    ('unpaid', '{"status": "unpaid", "current_period_end": "2026-03-05T09:00Z"}', NULL, '2026-03-05 09:00'),
    ('paused', '{"status": "paused", "paused_at": "2026-01-10T00:00Z"}', NULL, NULL),
    ('paused, limited, resumes', '{"status": "paused", "pause_access": "limited", "resume_at": "2026-05-01T00:00Z"}', '2026-05-01 00:00', '2026-05-01 00:00'),
    ('paused, full, for ever', '{"status": "paused", "pause_access": "full"}', 'infinity', NULL),
    ('incomplete', '{"status": "incomplete", "current_period_start": null, "current_period_end": null}', NULL, '2026-01-06 08:00'),
    ('canceled', '{"status": "canceled", "ended_at": "2026-02-05T09:00Z"}', '2026-02-05 09:00', NULL),
    ('canceled, last usage open', '{"status": "canceled", "ended_at": "2026-02-05T09:00Z", "usage_period_start": "2026-02-01T00:00Z", "usage_period_end": "2026-02-05T09:00Z"}', '2026-02-05 09:00', '2026-02-05 09:00'),
    ('incomplete expired', '{"status": "incomplete_expired", "ended_at": "2026-01-06T08:00Z"}', NULL, NULL),
    ('a provider''s', '{"status": "active", "managed_by": "provider", "has_payment_method": true}', '2026-03-07 09:00', NULL);
INSERT INTO qzpay.subscriptions
SELECT s.* FROM cases c CROSS JOIN LATERAL jsonb_populate_record(NULL::qzpay.subscriptions, jsonb_build_object(
        'tenant_id', :a, 'id', qzpay.uuid_v5(:a, c.label), 'customer_id', :ca, 'currency', 'USD', 'interval_unit', 'month', 'interval_count', 1,
        'usage_unit', 'month', 'usage_count', 1, 'timezone', 'UTC', 'livemode', true, 'started_at', '2026-01-05T09:00Z', 'current_period_start', '2026-01-05T09:00Z',
        'current_period_end', '2026-02-05T09:00Z', 'auto_renew', true, 'has_payment_method', false, 'is_free', false, 'managed_by', 'engine',
        'trial_end_behavior', 'cancel', 'late_renewal_days', 30, 'grace_days', 5, 'grace_access', 'full', 'pause_access', 'none', 'dunning_policy', 'default',
        'allow_multiple', true, 'period_comped', false, 'metadata', '{}'::jsonb, 'created_at', '2026-01-05T09:00Z', 'updated_at', '2026-01-05T09:00Z',
        -- what the caller says of these two does not matter
        'access_until', '1999-01-01T00:00Z', 'next_due_at', '1999-01-01T00:00Z') || c.changes) s;
SELECT c.label, s.access_until, c.access_until AS expected_access, s.next_due_at, c.next_due_at AS expected_due
FROM cases c JOIN qzpay.subscriptions s ON s.id = qzpay.uuid_v5(:a, c.label)
WHERE (s.access_until, s.next_due_at) IS DISTINCT FROM (c.access_until, c.next_due_at);
SELECT count(*) FROM qzpay.subscriptions;
-- on UPDATE too, and for what nobody asked to change
UPDATE qzpay.subscriptions SET access_until = NULL, next_due_at = NULL;
SELECT count(*) FROM cases c JOIN qzpay.subscriptions s ON s.id = qzpay.uuid_v5(:a, c.label)
WHERE (s.access_until, s.next_due_at) IS DISTINCT FROM (c.access_until, c.next_due_at);
-- reminders are a setting
UPDATE qzpay.settings SET value = '[2, "x", 1e30, 1.5]' WHERE name = 'trial_reminder_days';
UPDATE qzpay.subscriptions SET updated_at = updated_at WHERE id = qzpay.uuid_v5(:a, 'trial without a method') RETURNING next_due_at;
UPDATE qzpay.settings SET value = '[]' WHERE name = 'trial_reminder_days';
UPDATE qzpay.subscriptions SET updated_at = updated_at WHERE id = qzpay.uuid_v5(:a, 'trial without a method') RETURNING next_due_at;

-- Moves of the state machine, and what they leave behind
\pset tuples_only on
SELECT try(format('UPDATE qzpay.subscriptions SET status = ''trialing'' WHERE id = %L', qzpay.uuid_v5(:a, 'active, renews')));
SELECT try(format('UPDATE qzpay.subscriptions SET status = ''active'', ended_at = NULL WHERE id = %L', qzpay.uuid_v5(:a, 'canceled')));
SELECT try(format('UPDATE qzpay.subscriptions SET status = ''active'' WHERE id = %L', qzpay.uuid_v5(:a, 'active, renews')));
SELECT try(format('UPDATE qzpay.subscriptions SET status = ''past_due'', status_reason = ''payment_failed'', past_due_since = ''2026-02-05 09:00+00'' WHERE id = %L', qzpay.uuid_v5(:a, 'active, renews')));
SELECT try(format('UPDATE qzpay.subscriptions SET status = ''active'', status_reason = NULL WHERE id = %L', qzpay.uuid_v5(:a, 'active, renews')));
\pset tuples_only off
SELECT machine, from_status, to_status, reason, object_id = qzpay.uuid_v5(:a, 'active, renews') AS right_object FROM qzpay.transitions ORDER BY id;
SELECT type, data ->> 'previousStatus' AS previous FROM qzpay.events ORDER BY id;
-- by staff directly: the trigger writes what staff itself may not
CREATE ROLE regress_staff LOGIN;
SELECT qzpay.grant_access('regress_staff', 'admin') \g /dev/null
SET ROLE regress_staff;
UPDATE qzpay.subscriptions SET status = 'past_due', past_due_since = '2026-02-05 09:00+00' WHERE id = qzpay.uuid_v5(:a, 'active, free');
SELECT qzpay.current_tenant();
RESET ROLE;
SELECT from_status, to_status, reason FROM qzpay.transitions ORDER BY id DESC LIMIT 1;
-- an error in what follows undoes the move, and leaves no context behind
SELECT try(format('UPDATE qzpay.subscriptions SET status = ''unpaid'', customer_id = ''00000000-0000-4000-8000-000000000000'' WHERE id = %L', qzpay.uuid_v5(:a, 'active, free')));
SELECT status, customer_id = :ca AS same, qzpay.current_tenant() FROM qzpay.subscriptions WHERE id = qzpay.uuid_v5(:a, 'active, free');

-- Guarded columns, with values of every kind of storage
CREATE TABLE public.documents (id uuid, fixed integer, words text, amount numeric, facts jsonb, free integer, gone integer);
ALTER TABLE public.documents DROP COLUMN gone;
CREATE TRIGGER guard BEFORE UPDATE ON public.documents FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('free');
INSERT INTO public.documents VALUES (:a, 1, repeat('word ', 2000), 1.50, '{"a": 1}', 1), (:ca, NULL, NULL, NULL, NULL, NULL);
SELECT id FROM public.documents, (SELECT 1) x;
\pset tuples_only on
SELECT try('UPDATE public.documents SET free = 2, words = repeat(''word '', 2000), amount = 1.50, facts = ''{"a":1}''' || c) FROM (VALUES (''), (', fixed = 2')) v (c);
SELECT try('UPDATE public.documents SET ' || c || ' WHERE fixed = 1') FROM (VALUES
    ('words = words || ''x'''), ('amount = 1.5'), ('facts = NULL'), ('fixed = 0'), ('id = NULL'), ('free = NULL')) v (c);
SELECT try('UPDATE public.documents SET words = words, free = 9 WHERE fixed = 1');
ALTER TABLE public.documents ADD COLUMN later integer;
SELECT try('UPDATE public.documents SET later = 1, free = 8 WHERE fixed = 1');
CREATE TABLE public.no_columns (id int);
CREATE TRIGGER guard BEFORE UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('absent');
INSERT INTO public.no_columns VALUES (1);
SELECT try('UPDATE public.no_columns SET id = 2');
DROP TRIGGER guard ON public.no_columns;
CREATE TRIGGER machine BEFORE INSERT OR UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._status_guard('subscription');
SELECT try('INSERT INTO public.no_columns VALUES (1)');
SELECT try('UPDATE public.no_columns SET id = 2');
SELECT try('UPDATE public.no_columns SET id = 2');
DROP TRIGGER machine ON public.no_columns;
CREATE TRIGGER machine BEFORE UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._status_guard('weather');
SELECT try('UPDATE public.no_columns SET id = 2');
DROP TRIGGER machine ON public.no_columns;
CREATE TRIGGER derive BEFORE UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._derive_subscription();
SELECT try('UPDATE public.no_columns SET id = 2');
DROP TRIGGER derive ON public.no_columns;
CREATE TRIGGER t AFTER UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._append_only();
SELECT try('UPDATE public.no_columns SET id = 2');
DROP TRIGGER t ON public.no_columns;
CREATE TRIGGER t AFTER UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._invalidate_catalog();
SELECT try('UPDATE public.no_columns SET id = 2');
DROP TRIGGER t ON public.no_columns;
CREATE TRIGGER t AFTER UPDATE ON public.no_columns FOR EACH ROW EXECUTE FUNCTION qzpay._record_transition();
SELECT try('UPDATE public.no_columns SET id = 2');
\pset tuples_only off
\c :main
DROP DATABASE regression_errors_c;
DROP ROLE regress_staff;
