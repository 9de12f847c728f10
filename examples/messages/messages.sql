-- Billing by the rows of a table that the application has anyway: no event is sent, copied or reconciled.
-- psql -f examples/messages/messages.sql in a database of its own.
\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION IF NOT EXISTS qzpay CASCADE;
SELECT qzpay.install() \g /dev/null

-- The application's table, and the index by which qzpay will read it.
CREATE SCHEMA chat;
CREATE TABLE chat.messages (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    organization_id text NOT NULL,
    body text NOT NULL,
    sent_at timestamptz NOT NULL
);
CREATE INDEX ON chat.messages (organization_id, sent_at);

-- With whose rights it is read: a role that can do this and nothing else.
DO $$ BEGIN IF to_regrole('chat_meter') IS NULL THEN CREATE ROLE chat_meter; END IF; END $$;
GRANT USAGE ON SCHEMA chat TO chat_meter;
GRANT SELECT (organization_id, sent_at) ON chat.messages TO chat_meter;

SELECT qzpay.import_catalog('{
    "meters": {"messages": {"name": "Messages"}},
    "plans": [{"id": "chat", "name": "Chat", "prices": {"month": {"amount": 2000, "currency": "USD"}},
               "usage": {"messages": {"included": 100, "overageRate": 15, "unit": 10, "limitType": "soft", "displayName": "Messages"}}}]}') \g /dev/null
SELECT qzpay.set_meter_query('messages', 'SELECT organization_id AS customer, 1 AS quantity, sent_at AS occurred_at FROM chat.messages', 'chat_meter');

-- A customer on a clock of its own; its external id is the organization's.
SELECT qzpay.create_test_clock('2026-01-01 00:00+00') AS clock \gset
SELECT qzpay.sync_customer('acme', test_clock => :'clock') \g /dev/null
SELECT qzpay.attach_payment_method(c.id, 'sandbox', 'tok_ok') FROM qzpay.customers c WHERE c.external_id = 'acme' \g /dev/null
SELECT qzpay.subscribe(c.id, 'chat', trial_days => 0) FROM qzpay.customers c WHERE c.external_id = 'acme' \g /dev/null

-- The application does what it does.
INSERT INTO chat.messages (organization_id, body, sent_at) SELECT 'acme', 'hello ' || n, '2026-01-10 00:00+00'::timestamptz + n * interval '1 minute' FROM generate_series(1, 125) n;
SELECT qzpay.advance_test_clock(:'clock', '2026-01-15 00:00+00') \g /dev/null
\echo 'Used so far, and what it will cost:'
SELECT meter, used, included, overage, amount FROM qzpay.usage_summary('acme');
SELECT qzpay.advance_test_clock(:'clock', '2026-02-01 00:00+00') \g /dev/null
\echo 'The bill of 1 February: 125 messages, 100 included, 3 started tens at 15:'
SELECT l.description, l.quantity, l.amount FROM qzpay.invoices i JOIN qzpay.invoice_lines l USING (tenant_id) WHERE l.invoice_id = i.id AND i.issued_at = '2026-02-01' ORDER BY l.position;
