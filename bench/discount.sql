-- 1 000 carts of 3 lines and 20 discounts, as documents and as tables of one's own; and the hand-written way: conditions, the first three by priority,
-- each split over its lines by largest remainder.
CREATE TABLE bench.cart_lines AS
SELECT c AS cart, l AS line, (ARRAY['p', 'q', 'r'])[l] AS product, 1 + (c * l) % 5 AS quantity, (1000 + (c * 7919 + l * 104729) % 9000)::bigint AS amount
FROM generate_series(1, 1000) c, generate_series(1, 3) l;
ALTER TABLE bench.cart_lines ADD PRIMARY KEY (cart, line);
CREATE TABLE bench.carts AS
SELECT l.cart AS id, jsonb_build_object('currency', 'USD', 'plan', 'plan' || l.cart % 5, 'interval', 'month',
           'lines', jsonb_agg(jsonb_build_object('kind', 'addon', 'product', l.product, 'quantity', l.quantity, 'amount', l.amount) ORDER BY l.line)) AS document, 'plan' || l.cart % 5 AS plan
FROM bench.cart_lines l GROUP BY l.cart;
CREATE TABLE bench.discounts AS
SELECT 'd' || lpad(n::text, 2, '0') AS code, 3 + n AS percent, n % 7 AS priority, CASE WHEN n % 3 = 0 THEN ARRAY['plan' || n % 5, 'plan' || (n + 1) % 5] END AS plans,
       CASE WHEN n % 4 = 0 THEN 5 + n / 2 END AS min_quantity, CASE WHEN n % 5 = 0 THEN 800 * n END AS min_amount, CASE WHEN n % 2 = 0 THEN 'p' END AS without
FROM generate_series(1, 20) n;
CREATE TABLE bench.discount_documents AS
SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('id', d.code, 'type', 'percentage', 'value', d.percent, 'priority', d.priority, 'stackable', true, 'conditions',
    jsonb_build_object('validPlans', d.plans, 'minQuantity', d.min_quantity, 'minAmount', d.min_amount, 'excludedProducts', CASE WHEN d.without IS NOT NULL THEN jsonb_build_array(d.without) END)))) AS document
FROM bench.discounts d;
CREATE FUNCTION bench.discounted() RETURNS TABLE (cart integer, line integer, discount bigint) LANGUAGE sql STABLE AS $$
    WITH eligible AS (
        SELECT l.cart, d.code, d.percent, d.priority, sum(l.amount) AS base
        FROM bench.carts c JOIN bench.discounts d ON d.plans IS NULL OR c.plan = ANY (d.plans)
        JOIN bench.cart_lines l ON l.cart = c.id AND l.product IS DISTINCT FROM d.without
        GROUP BY l.cart, d.code, d.percent, d.priority, d.min_quantity, d.min_amount
        HAVING (d.min_quantity IS NULL OR sum(l.quantity) >= d.min_quantity) AND (d.min_amount IS NULL OR sum(l.amount) >= d.min_amount)
    ), chosen AS (
        SELECT e.*, round(e.base * e.percent / 100) AS amount FROM (SELECT e.*, row_number() OVER (PARTITION BY e.cart ORDER BY e.priority, e.code) AS nth FROM eligible e) e WHERE e.nth <= 3
    ), part AS (
        SELECT c.cart, c.code, l.line, floor(c.amount * l.amount / c.base) AS whole, c.amount,
               row_number() OVER (PARTITION BY c.cart, c.code ORDER BY mod(c.amount * l.amount, c.base) DESC, l.product) AS nth,
               sum(floor(c.amount * l.amount / c.base)) OVER (PARTITION BY c.cart, c.code) AS wholes
        FROM chosen c JOIN bench.discounts d ON d.code = c.code JOIN bench.cart_lines l ON l.cart = c.cart AND l.product IS DISTINCT FROM d.without
    )
    SELECT p.cart, p.line, sum(p.whole + CASE WHEN p.nth <= p.amount - p.wholes THEN 1 ELSE 0 END)::bigint FROM part p GROUP BY 1, 2
$$;
ANALYZE;
-- Both ways give the same, line by line.
DO $$ BEGIN
    IF EXISTS (SELECT FROM bench.discounted() h
               FULL JOIN (SELECT c.id AS cart, x.n::int AS line, (x.item -> 'discount')::bigint AS discount FROM bench.carts c, bench.discount_documents d,
                              jsonb_array_elements(qzpay.apply_discounts(c.document, d.document, '{"stacking": {"maxStacked": 3}}') -> 'lines') WITH ORDINALITY x (item, n)) q USING (cart, line)
               WHERE coalesce(h.discount, 0) <> q.discount) THEN
        RAISE EXCEPTION 'the two ways differ';
    END IF;
END $$;
