-- A month of every kind of contract for 080_billing_crash.pl; 085_clock_storm.pl has its customers act by it too.  month.live(n) tells the past of customer n, in a transaction of its own: when it is over, whatever the month
-- asks of the customer is due and nothing of it done.  Each customer depends on its number alone.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA month;
-- The same in each currency; an amount is of dollars and keeps its figure.
CREATE FUNCTION month.everywhere(v_what jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(v_what || jsonb_build_object('currency', c)) FROM unnest('{USD,EUR,JPY,KWD}'::text[]) c
$$;
CREATE FUNCTION month.plan(v_id text, v_amount integer, v_usage jsonb, v_terms jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('id', v_id, 'name', initcap(v_id),
        'prices', jsonb_build_object('month', month.everywhere(jsonb_build_object('amount', v_amount)), 'year', month.everywhere(jsonb_build_object('amount', 10 * v_amount))),
        'usage', (SELECT jsonb_object_agg(u.key, month.everywhere(u.value)) FROM jsonb_each(v_usage) u)) || v_terms
$$;
SELECT count(*) AS objects FROM qzpay.import_catalog(jsonb_build_object(
    'meters', '{"pages": {"name": "Pages", "aggregation": "sum"}, "minutes": {"name": "Minutes", "aggregation": "sum"}, "seats": {"name": "Seats", "aggregation": "max"}}'::jsonb,
    'plans', jsonb_build_array(
        month.plan('basic', 1900, '{"pages": {"included": 100, "overageRate": 7, "unit": 10, "limitType": "soft"}}', '{"trial": {"days": 14, "requiresPaymentMethod": false}}'),
        month.plan('pausing', 1500, '{"pages": {"included": 10, "overageRate": 5, "unit": 1, "limitType": "soft"}}', '{"trial": {"days": 14, "requiresPaymentMethod": false, "endBehavior": "pause"}}'),
        month.plan('tiered', 4900, '{
            "pages": {"model": "graduated", "pricing": {"tiers": [{"up_to": 100, "unit_amount": 3, "flat_amount": 50}, {"up_to": 500, "unit_amount": 1.5}, {"unit_amount": 0.75}]}},
            "minutes": {"model": "volume", "pricing": {"tiers": [{"up_to": 60, "unit_amount": 0.9}, {"unit_amount": 0.333, "flat_amount": 100}]}},
            "seats": {"model": "per_unit", "pricing": {"unit_amount": 400}}}'),
        month.plan('draft', 2500, '{"pages": {"included": 0, "overageRate": 1, "unit": 1, "limitType": "none"}}', '{"invoiceDraftHours": 48}'),
        month.plan('committed', 3000, '{"pages": {"included": 50, "overageRate": 2, "unit": 1, "limitType": "none"}}', jsonb_build_object('prices', jsonb_build_object('month', month.everywhere('{"amount": 3000, "commitment": 3500}')))),
        month.plan('large', 9900, '{"pages": {"included": 300, "overageRate": 2, "unit": 1, "limitType": "none"}}')),
    'addons', jsonb_build_array(jsonb_build_object('id', 'robot', 'name', 'Robot', 'prices', jsonb_build_object('month', month.everywhere('{"amount": 701}')))),
    'promoCodes', '[
        {"code": "HALF", "type": "percentage", "value": 50, "config": {"periods": 3}},
        {"code": "EVER", "type": "percentage", "value": 10, "config": {"forever": true}},
        {"code": "FIVER", "type": "fixed_amount", "value": 500, "config": {"currency": "USD", "periods": 2}}]'::jsonb,
    'automaticDiscounts', '[
        {"id": "many", "name": "Three and more", "type": "percentage", "value": 15, "stackable": true, "conditions": {"minQuantity": 3}},
        {"id": "counted", "name": "A counted one", "type": "percentage", "value": 3, "stackable": true, "conditions": {"lineKinds": ["plan", "usage"], "segments": ["counted"], "maxRedemptions": 1000000}},
        {"id": "heavy", "name": "Much used", "type": "percentage", "value": 5, "conditions": {"usageThreshold": {"metric": "pages", "minValue": 400}}}]'::jsonb));
SELECT qzpay.set_tax_rate('iva', 21, country => 'ES'), qzpay.set_tax_rate('second', 3.5, country => 'ES', products => '{tiered}'), qzpay.set_tax_rate('ust', 19, inclusive => true, country => 'DE');
-- The month's last instant, the same in every copy of this database.
CREATE TABLE month.term AS SELECT now() AS until;
CREATE TABLE month.life (n integer PRIMARY KEY, customer uuid, tenant_id uuid, kind text, busy boolean);
CREATE TABLE month.bad (customer uuid PRIMARY KEY);
GRANT USAGE ON SCHEMA month TO PUBLIC;
GRANT SELECT ON month.bad TO PUBLIC;

-- One in so many cannot be billed until the trigger is gone.
CREATE FUNCTION month.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM month.bad b WHERE b.customer = NEW.customer_id) THEN
        RAISE EXCEPTION 'planted: this customer cannot be billed';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION month.use(v_customer uuid, v_meter text, v_quantity numeric, v_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM qzpay.record_usage(v_customer, v_meter, v_quantity, v_meter || ':' || v_at, occurred_at => v_at);
END $$;

CREATE FUNCTION month.live(n integer, v_busy boolean, v_bad boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_kinds text[] := '{plain,plain,tiered,tiered,yearly,yearly,trial_pays,trial_ends,trial_pauses,cancels,shrinks,shrinks_interval,pauses,robot,comp,expires,draft,late,two,reverse}';
    v_kind text := v_kinds[1 + n % 20];
    v_m integer := n / 20;                    -- varies within a kind
    v_until timestamptz := (SELECT t.until FROM month.term t);
    -- Monthly periods end once before the term; a trial of 14 days, too, and its first month does not.
    v_start timestamptz := CASE WHEN v_kind LIKE 'trial%' THEN v_until - interval '15 days' - (n * 37 % 240) * interval '1 hour' ELSE v_until - interval '1 month' - (n * 37 % 480 + 2) * interval '1 hour' END;
    v_live boolean := v_m % 5 = 0 AND v_kind IN ('plain', 'tiered', 'yearly', 'reverse');
    v_currency text := ('{USD,USD,EUR,JPY,KWD}'::text[])[1 + v_m % 5];
    v_zone text := ('{UTC,Europe/Madrid,America/Argentina/Buenos_Aires,Pacific/Apia,Asia/Kolkata,America/St_Johns}'::text[])[1 + n % 6];
    v_customer uuid;
    v_tenant uuid;
    v_method uuid;
    v_sub uuid;
BEGIN
    PERFORM qzpay._clock_set(v_start);
    SELECT c.id, c.tenant_id INTO v_customer, v_tenant FROM qzpay.sync_customer('c' || n, 'c' || n || '@example.org', 'Customer ' || n, currency => v_currency, timezone => v_zone, livemode => v_live,
        segments => CASE WHEN n % 3 = 0 THEN '{counted}'::text[] END,
        address => CASE n % 4 WHEN 0 THEN '{"country": "ES"}' WHEN 1 THEN '{"country": "DE"}' WHEN 2 THEN '{"country": "US"}' END::jsonb) c;
    IF v_kind = 'reverse' THEN
        PERFORM qzpay.set_billing_details(v_customer, tax_exempt => CASE WHEN v_m % 2 = 0 THEN 'reverse' ELSE 'exempt' END, tax_ids => '[{"type": "eu_vat", "value": "ESB12345678"}]');
    END IF;
    -- No card may be charged for a live one: the balance pays the beginning, and a part of what comes.
    IF v_live THEN
        PERFORM qzpay.adjust_balance(v_customer, 22000000, 'to begin with');
    ELSIF v_kind <> 'trial_ends' AND NOT (v_kind = 'trial_pauses' AND v_m % 2 = 0) THEN
        v_method := qzpay.attach_payment_method(v_customer, 'sandbox', 'tok_ok');
    END IF;
    IF v_kind = 'late' THEN
        PERFORM qzpay.set_setting('usage_late_window', '6');
    END IF;
    SELECT s.id INTO v_sub FROM qzpay.subscribe(v_customer, CASE WHEN v_kind IN ('tiered', 'late', 'two') OR v_kind = 'yearly' AND v_m % 2 = 0 THEN 'tiered' WHEN v_kind IN ('shrinks', 'shrinks_interval') THEN 'large'
                                                             WHEN v_kind = 'draft' THEN 'draft' WHEN v_kind = 'trial_pauses' THEN 'pausing' WHEN v_kind = 'comp' THEN 'committed' ELSE 'basic' END,
        CASE WHEN v_kind IN ('yearly', 'robot') THEN 'year' ELSE 'month' END, quantity => 1 + v_m % 4,
        promo_code => CASE WHEN v_live THEN NULL WHEN v_m % 4 = 1 THEN 'HALF' WHEN v_m % 4 = 2 THEN 'EVER' WHEN v_m % 4 = 3 AND v_currency = 'USD' THEN 'FIVER' END,
        trial_days => CASE WHEN v_kind NOT LIKE 'trial%' THEN 0 END, allow_multiple => v_kind = 'two', addons => CASE WHEN v_kind = 'robot' THEN '{"robot": 2}'::jsonb END) s;
    IF v_kind = 'late' THEN
        PERFORM qzpay.set_setting('usage_late_window', '0');
    END IF;
    PERFORM qzpay._run_internal_attempts(NULL, 10);
    IF v_kind = 'two' THEN
        PERFORM qzpay._clock_set(v_start + interval '1 hour');
        PERFORM qzpay.subscribe(v_customer, 'basic', 'month', trial_days => 0, allow_multiple => true);
        PERFORM qzpay._run_internal_attempts(NULL, 10);
    END IF;
    PERFORM qzpay._clock_set(v_start + interval '2 days');
    IF v_kind NOT IN ('trial_pauses', 'two') THEN
        PERFORM month.use(v_customer, 'pages', (n * 31) % CASE WHEN v_kind LIKE 'trial%' THEN 100 ELSE 700 END, v_start + interval '1 day 3 hours');
    END IF;
    IF v_kind IN ('tiered', 'late', 'two') OR v_kind = 'yearly' AND v_m % 2 = 0 THEN
        PERFORM month.use(v_customer, 'minutes', round((n * 17 % 1000) / 7.0, 3), v_start + interval '1 day 5 hours');
        PERFORM month.use(v_customer, 'seats', 1 + n % 5, v_start + interval '1 day 6 hours');
    END IF;
    PERFORM qzpay._clock_set(v_start + interval '10 days');
    CASE v_kind
        WHEN 'cancels' THEN PERFORM qzpay.cancel(v_sub, reason => 'too_expensive');
        WHEN 'shrinks' THEN PERFORM qzpay.change_plan(v_sub, 'basic', quantity => 1 + v_m % 2, effective => 'period_end');
        WHEN 'shrinks_interval' THEN PERFORM qzpay.change_plan(v_sub, 'tiered', 'year', effective => 'period_end');
        WHEN 'pauses' THEN PERFORM qzpay.pause(v_sub, resume_at => CASE WHEN v_m % 2 = 0 THEN v_start + interval '1 month 1 hour' END);
        WHEN 'comp' THEN PERFORM qzpay.comp(v_sub, v_start + interval '1 month 1 day', 'a gift');
        WHEN 'expires' THEN PERFORM qzpay.set_auto_renew(v_sub, false);
        ELSE NULL;
    END CASE;
    -- What is left over: balances, prepaid credit that lasts, ends within the month, or is not enough. Of two contracts whichever is billed first would take it.
    IF v_kind = 'two' THEN
        NULL;
    ELSIF v_m % 3 = 1 THEN
        PERFORM qzpay.adjust_balance(v_customer, 1 + n % 1500, 'goodwill');
    ELSIF v_m % 3 = 2 THEN
        PERFORM qzpay.grant_credit(v_customer, 100 + n % 4000, expires_at => CASE WHEN n % 2 = 0 THEN v_until - interval '1 hour' END, priority => 10 + n % 3);
        PERFORM qzpay.grant_credit(v_customer, 777);
    END IF;
    IF n % 11 = 3 AND v_method IS NOT NULL THEN
        PERFORM qzpay.sandbox_set_token(v_method, ('{tok_insufficient_funds,tok_lost,tok_expired}'::text[])[1 + v_m % 3]);
    END IF;
    INSERT INTO month.life VALUES (n, v_customer, v_tenant, v_kind, v_busy);
    IF v_bad THEN
        INSERT INTO month.bad VALUES (v_customer);
    END IF;
END $$;

-- Something that a busy customer does of itself; what is not possible just now is refused.
CREATE FUNCTION month.act(v_salt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    l month.life;
    v_sub uuid;
    v_dice integer := floor(random() * 10);
BEGIN
    SELECT * INTO l FROM month.life x WHERE x.busy ORDER BY random() LIMIT 1;
    SELECT s.id INTO v_sub FROM qzpay.subscriptions s WHERE s.customer_id = l.customer ORDER BY random() LIMIT 1;
    CASE
        WHEN v_dice < 3 THEN PERFORM qzpay.record_usage(l.customer, 'pages', floor(random() * 100)::numeric, NULL);
        WHEN v_dice = 3 THEN PERFORM qzpay.change_plan(v_sub, ('{basic,tiered,large}'::text[])[1 + floor(random() * 3)::integer], quantity => 1 + floor(random() * 5)::integer);
        WHEN v_dice = 4 THEN PERFORM qzpay.change_plan(v_sub, ('{basic,tiered,large}'::text[])[1 + floor(random() * 3)::integer], ('{month,year}'::text[])[1 + floor(random() * 2)::integer], effective => 'period_end');
        WHEN v_dice = 5 AND random() < 0.5 THEN PERFORM qzpay.cancel(v_sub, at => 'now', settle => ('{none,credit}'::text[])[1 + floor(random() * 2)::integer]);
        WHEN v_dice = 5 THEN PERFORM qzpay.cancel(v_sub);
        WHEN v_dice = 6 THEN PERFORM qzpay.uncancel(v_sub);
        WHEN v_dice = 7 THEN PERFORM qzpay.adjust_balance(l.customer, 100, 'thanks');
        WHEN v_dice = 8 THEN
            SELECT c.id INTO l.customer FROM qzpay.sync_customer('new' || v_salt || '-' || floor(random() * 1000000), livemode => false, test_clock => (SELECT x.test_clock_id FROM qzpay.customers x WHERE x.id = l.customer)) c;
            INSERT INTO month.life SELECT -(SELECT count(*) FROM month.life) - floor(random() * 1000000000), c.id, c.tenant_id, 'new', true FROM qzpay.customers c WHERE c.id = l.customer ON CONFLICT DO NOTHING;
            PERFORM qzpay.attach_payment_method(l.customer, 'sandbox', 'tok_ok');
            PERFORM qzpay.subscribe(l.customer, 'tiered', trial_days => 0);
        ELSE PERFORM qzpay.pay_invoice(i.id) FROM qzpay.invoices i WHERE i.customer_id = l.customer AND i.status = 'open' LIMIT 1;
    END CASE;
    RETURN 'done';
EXCEPTION WHEN SQLSTATE 'QZ204' OR SQLSTATE 'QZ403' OR SQLSTATE 'QZ401' OR SQLSTATE 'QZ505' OR SQLSTATE 'QZ503' THEN
    RETURN 'refused';
END $$;
