-- Customers of qzpay, and the same in tables as an application would write them by hand.  Variables: customers.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT qzpay.install() \g /dev/null
CREATE SCHEMA bench;

-- pgbench has only numbers: both sides turn them into ids by the same expression.
CREATE FUNCTION bench.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;

INSERT INTO qzpay.meters (id, code, name) VALUES (qzpay.uuid_v7(), 'messages', 'Messages');
INSERT INTO qzpay.features (code, kind, limit_kind, name)
SELECT 'feature' || n, 'boolean', NULL, 'Feature ' || n FROM generate_series(1, 10) n UNION ALL SELECT 'limit' || n, 'limit', 'stock', 'Limit ' || n FROM generate_series(1, 3) n;
INSERT INTO qzpay.products (id, code, kind, name, created_at, updated_at)
SELECT bench.id(1000 + n), 'plan' || n, CASE WHEN n <= 4 THEN 'plan' ELSE 'addon' END, 'Plan ' || n, qzpay.now(), qzpay.now() FROM generate_series(1, 5) n;
INSERT INTO qzpay.prices (id, product_id, version, currency, interval_unit, unit_amount, created_at)
SELECT bench.id(2000 + n), bench.id(1000 + n), 1, 'USD', 'month', 1000, qzpay.now() FROM generate_series(1, 5) n;
INSERT INTO qzpay.product_features (product_id, feature_code, enabled)
SELECT bench.id(1000 + p), 'feature' || f, true FROM generate_series(1, 4) p, generate_series(1, 10) f WHERE f <= 2 * p + 2
UNION ALL SELECT bench.id(1005), 'feature10', true;
INSERT INTO qzpay.product_features (product_id, feature_code, limit_value)
SELECT bench.id(1000 + p), 'limit' || f, p * 10 FROM generate_series(1, 4) p, generate_series(1, 3) f;
INSERT INTO qzpay.charges (id, product_id, meter_id, version, currency, display_name, included, model, pricing, limit_type, created_at)
SELECT bench.id(3000 + n), bench.id(1000 + n), m.id, 1, 'USD', 'Messages', 1e9, 'package', '{"amount": 15, "size": 10}', 'soft', '2020-01-01' FROM generate_series(1, 4) n, qzpay.meters m;

INSERT INTO qzpay.tenants (tenant_id, name, created_at) SELECT bench.id(1000000000 + n), 'Tenant ' || n, qzpay.now() FROM generate_series(1, :customers) n;
INSERT INTO qzpay.customers (tenant_id, id, external_id, currency, seller_id, livemode, created_at, updated_at)
SELECT bench.id(1000000000 + n), bench.id(n), 'customer_' || n, 'USD', s.id, true, qzpay.now(), qzpay.now() FROM generate_series(1, :customers) n, qzpay.sellers s;
INSERT INTO qzpay.subscriptions (tenant_id, id, customer_id, status, currency, interval_unit, interval_count, usage_unit, usage_count, timezone, livemode, started_at, anchor,
                                 current_period_start, current_period_end, usage_period_start, usage_period_end, has_payment_method, dunning_policy, created_at, updated_at)
SELECT bench.id(1000000000 + n), bench.id(n), bench.id(n), 'active', 'USD', 'month', 1, 'month', 1, 'UTC', true, t.start, t.start,
       t.start, t.start + interval '1 month', t.start, t.start + interval '1 month', true, 'default', t.start, t.start
FROM generate_series(1, :customers) n, (SELECT qzpay.now() - interval '3 days' AS start) t WHERE n % 20 <> 0;
INSERT INTO qzpay.subscription_items (tenant_id, id, subscription_id, product_id, price_id, kind, quantity, valid_from, created_at)
SELECT s.tenant_id, qzpay.uuid_v7(), s.id, bench.id(1001 + k.n % 4), bench.id(2001 + k.n % 4), 'plan', 1, s.started_at, s.started_at
FROM generate_series(1, :customers) k (n) JOIN qzpay.subscriptions s ON s.id = bench.id(k.n)
UNION ALL
SELECT s.tenant_id, qzpay.uuid_v7(), s.id, bench.id(1005), bench.id(2005), 'addon', 1, s.started_at, s.started_at
FROM generate_series(1, :customers) k (n) JOIN qzpay.subscriptions s ON s.id = bench.id(k.n) WHERE k.n % 10 = 0;

-- by hand
CREATE TABLE bench.customers (id uuid PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE bench.plan_entitlements (plan integer, feature text, PRIMARY KEY (plan, feature));
CREATE TABLE bench.subscriptions (customer_id uuid NOT NULL REFERENCES bench.customers, plan integer NOT NULL, status text NOT NULL, period_end timestamptz NOT NULL);
CREATE TABLE bench.addon_grants (customer_id uuid NOT NULL REFERENCES bench.customers, feature text NOT NULL, PRIMARY KEY (customer_id, feature));
INSERT INTO bench.customers SELECT bench.id(n), 'Customer ' || n FROM generate_series(1, :customers) n;
INSERT INTO bench.plan_entitlements SELECT p, 'feature' || f FROM generate_series(0, 3) p, generate_series(1, 10) f WHERE f <= 2 * p + 4;
INSERT INTO bench.subscriptions SELECT bench.id(n), n % 4, CASE WHEN n % 20 <> 0 THEN 'active' ELSE 'canceled' END, now() + interval '20 days' FROM generate_series(1, :customers) n;
CREATE INDEX ON bench.subscriptions (customer_id) INCLUDE (plan, status, period_end);
INSERT INTO bench.addon_grants SELECT bench.id(n), 'feature10' FROM generate_series(10, :customers, 10) n WHERE n % 20 <> 0;
CREATE FUNCTION bench.has_entitlement(p_customer uuid, p_feature text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM bench.subscriptions s JOIN bench.plan_entitlements e ON e.plan = s.plan AND e.feature = p_feature
               WHERE s.customer_id = p_customer AND s.status = 'active' AND s.period_end > now()) THEN
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM bench.addon_grants g WHERE g.customer_id = p_customer AND g.feature = p_feature);
END $$;

CREATE TABLE bench.events (customer_id uuid NOT NULL, key text NOT NULL, meter text NOT NULL, quantity numeric NOT NULL, occurred_at timestamptz NOT NULL DEFAULT now(), UNIQUE (customer_id, key));
CREATE TABLE bench.counters (customer_id uuid NOT NULL, meter text NOT NULL, month date NOT NULL, quantity numeric NOT NULL, PRIMARY KEY (customer_id, meter, month)) WITH (fillfactor = 85);
CREATE FUNCTION bench.record_usage(p_customer uuid, p_meter text, p_quantity numeric, p_key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bench.events (customer_id, key, meter, quantity) VALUES (p_customer, p_key, p_meter, p_quantity) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'duplicate';
    END IF;
    INSERT INTO bench.counters VALUES (p_customer, p_meter, date_trunc('month', now()), p_quantity)
    ON CONFLICT (customer_id, meter, month) DO UPDATE SET quantity = counters.quantity + EXCLUDED.quantity;
    RETURN 'recorded';
END $$;
-- a quarter of the customers are in the middle of their month
SELECT count(*) FROM (SELECT qzpay.record_usage(bench.id(n), 'messages', 1, NULL) FROM generate_series(1, :customers, 4) n) r \g /dev/null
INSERT INTO bench.counters SELECT bench.id(n), 'messages', date_trunc('month', now()), 1 FROM generate_series(1, :customers, 4) n;
INSERT INTO bench.events (customer_id, key, meter, quantity) SELECT bench.id(n), 'first-' || md5(n::text), 'messages', 1 FROM generate_series(1, :customers, 4) n ORDER BY md5(n::text);

-- batches of 1000 reports, as JSON and as arrays, each with keys of its own
CREATE TABLE bench.batches AS
SELECT b AS batch, side, jsonb_agg(jsonb_build_object('customer', c, 'meter', 'messages', 'quantity', 1, 'idempotency_key', k)) AS events,
       array_agg(c) AS customers, array_agg(k) AS keys
FROM (SELECT b, side, bench.id(1 + 4 * (random() * (:customers / 4 - 1))::bigint) AS c, side || '-' || b || '-' || md5(random()::text) AS k
      FROM generate_series(1, 40) b, (VALUES ('qzpay'), ('unnest')) AS s (side), generate_series(1, 1000)) r
GROUP BY b, side;

-- tiers, for rating in SQL
CREATE TABLE bench.tiers (plan integer, position integer, lower numeric, upper numeric, unit_amount numeric, PRIMARY KEY (plan, position));
INSERT INTO bench.tiers SELECT p, t.* FROM generate_series(0, 3) p, (VALUES (1, 0::numeric, 1000::numeric, 2.5::numeric), (2, 1000, 10000, 1.75), (3, 10000, NULL, 0.9)) t;
CREATE TABLE bench.pricing AS
SELECT p AS plan, '{"tiers": [{"up_to": 1000, "unit_amount": 2.5}, {"up_to": 10000, "unit_amount": 1.75}, {"up_to": null, "unit_amount": 0.9}]}'::jsonb AS pricing FROM generate_series(0, 3) p;
CREATE TABLE bench.quantities AS SELECT n % 4 AS plan, (random() * 20000)::integer::numeric AS quantity FROM generate_series(1, 200000) n;
VACUUM (ANALYZE);
CHECKPOINT;
