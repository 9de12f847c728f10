-- Random lives for 070_random_lives.pl: plans, intervals, trials, declines, new cards, cancellations, usage; each in a transaction of its own.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA lives;
SELECT count(*) AS objects FROM qzpay.import_catalog('{
    "meters": {"messages": {"name": "Messages", "aggregation": "sum"}},
    "plans": [
        {"id": "small", "name": "Small", "trial": {"days": 10}, "prices": {"day": {"amount": 99, "currency": "USD"}, "week": {"amount": 500, "currency": "USD"},
            "month": {"amount": 1999, "currency": "USD"}, "quarter": {"amount": 5000, "currency": "USD"}, "year": {"amount": 19990, "currency": "USD"}},
         "usage": {"messages": {"included": 100, "overageRate": 3, "unit": 10, "limitType": "soft", "displayName": "Messages"}}},
        {"id": "large", "name": "Large", "prices": {"week": {"amount": 2500, "currency": "USD"}, "month": {"amount": 9999, "currency": "USD"},
            "quarter": {"amount": 25000, "currency": "USD"}, "year": {"amount": 99990, "currency": "USD"}},
         "usage": {"messages": {"included": 1000, "overageRate": 2, "unit": 1, "limitType": "none", "displayName": "Messages"}}}]}');

SELECT qzpay.set_tax_rate('added', 21, country => 'ES'), qzpay.set_tax_rate('second', 3.5, country => 'ES'), qzpay.set_tax_rate('within', 19, inclusive => true, country => 'DE');
CREATE TABLE lives.life (name text, customer uuid, told text DEFAULT '');
CREATE TABLE lives.used (customer uuid, at timestamptz, quantity numeric);

CREATE FUNCTION lives.one_of(things text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT things[1 + floor(random() * cardinality(things))::integer] $$;

-- One thing that a customer may do now.
CREATE FUNCTION lives.act(v_customer uuid, v_plan text, v_interval text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_what text := lives.one_of('{use,use,use,use,card,card,cancel,cancel_now,uncancel,pay,double,preview,detach,credit,credit,void,give,grant,sell,reissue,refund,exempt}');
    v_subscription uuid := (SELECT s.id FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.ended_at IS NULL ORDER BY s.started_at DESC LIMIT 1);
    v_quantity numeric := floor(random() * 3000);
BEGIN
    IF v_subscription IS NULL AND random() < 0.8 THEN
        PERFORM qzpay.subscribe(v_customer, v_plan, v_interval);
        RETURN 'subscribe';
    END IF;
    CASE v_what
    WHEN 'use' THEN
        PERFORM qzpay.record_usage(v_customer, 'messages', v_quantity, NULL);
        INSERT INTO lives.used VALUES (v_customer, qzpay.now(v_customer), v_quantity);
    WHEN 'card' THEN
        PERFORM qzpay.attach_payment_method(v_customer, 'sandbox', lives.one_of('{tok_ok,tok_ok,tok_ok,tok_decline,tok_lost,tok_expired,tok_timeout,tok_3ds}'));
    WHEN 'cancel' THEN
        PERFORM qzpay.cancel(v_subscription);
    WHEN 'cancel_now' THEN
        IF random() < 0.3 THEN
            PERFORM qzpay.cancel(v_subscription, 'now');
        END IF;
    WHEN 'uncancel' THEN
        PERFORM qzpay.uncancel(v_subscription);
    WHEN 'pay' THEN
        PERFORM qzpay.pay_invoice((SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = v_customer ORDER BY random() LIMIT 1));
    WHEN 'double' THEN
        PERFORM qzpay.subscribe(v_customer, v_plan, v_interval, allow_multiple => random() < 0.2);
    WHEN 'preview' THEN
        PERFORM qzpay.preview_invoice(v_subscription);
    WHEN 'credit' THEN
        PERFORM qzpay.credit_invoice(i.id, amount => CASE WHEN random() < 0.7 THEN ceil(random() * i.total)::bigint END, mode => lives.one_of('{balance,refund,write_off}'))
        FROM (SELECT i.id, i.total FROM qzpay.invoices i WHERE i.customer_id = v_customer AND i.total > 0 ORDER BY random() LIMIT 1) i;
    WHEN 'void' THEN
        PERFORM qzpay.void_invoice((SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = v_customer AND i.kind = 'manual' ORDER BY random() LIMIT 1));
    WHEN 'give' THEN
        PERFORM qzpay.adjust_balance(v_customer, (floor(random() * 3000) - 800)::bigint, 'as it happens');
    WHEN 'grant' THEN
        PERFORM qzpay.grant_credit(v_customer, ceil(random() * 3000)::bigint, priority => floor(random() * 100)::integer, expires_at => qzpay.now(v_customer) + random() * interval '200 days');
    WHEN 'sell' THEN
        PERFORM qzpay.charge(v_customer, ceil(random() * 9000)::bigint, 'Something');
    WHEN 'reissue' THEN
        PERFORM qzpay.reissue_invoice((SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = v_customer ORDER BY random() LIMIT 1));
    WHEN 'refund' THEN
        IF random() < 0.5 THEN
            PERFORM qzpay.refund_balance(v_customer);
        ELSIF random() < 0.5 THEN
            PERFORM qzpay.record_refund((SELECT r.id FROM qzpay.refund_requests r WHERE r.customer_id = v_customer AND r.status = 'requested' LIMIT 1), 'by hand');
        ELSE
            PERFORM qzpay.cancel_refund((SELECT r.id FROM qzpay.refund_requests r WHERE r.customer_id = v_customer AND r.status = 'requested' LIMIT 1));
        END IF;
    WHEN 'exempt' THEN
        PERFORM qzpay.set_billing_details(v_customer, tax_exempt => lives.one_of('{none,none,exempt,reverse}'));
    WHEN 'detach' THEN
        PERFORM qzpay.detach_payment_method((SELECT m.id FROM qzpay.payment_methods m WHERE m.customer_id = v_customer ORDER BY random() LIMIT 1));
    END CASE;
    RETURN v_what;
EXCEPTION
    -- A refusal is an answer like any other; nothing else may come.
    WHEN SQLSTATE 'QZ204' OR SQLSTATE 'QZ301' OR SQLSTATE 'QZ505' OR SQLSTATE 'QZ103' OR null_value_not_allowed OR invalid_parameter_value THEN
        RETURN v_what || ' refused';
END $$;

CREATE FUNCTION lives.live(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_start timestamptz := '2026-01-01 00:00+00'::timestamptz + floor(random() * 365 * 24 * 60) * interval '1 minute';
    v_at timestamptz := v_start;
    v_clock uuid := qzpay.create_test_clock(v_start, 'random ' || n);
    v_customer uuid := (qzpay.sync_customer('random_' || n, test_clock => v_clock,
        address => jsonb_build_object('country', lives.one_of('{ES,DE,FR}')), timezone => lives.one_of('{UTC,America/Argentina/Buenos_Aires,Europe/Madrid,America/New_York,Asia/Kolkata,Pacific/Auckland}'))).id;
    v_plan text := lives.one_of('{small,large}');
    -- One life by the day and one by the week: they have many times as many bills.
    v_interval text := CASE n WHEN 1 THEN 'day' WHEN 2 THEN 'week' ELSE lives.one_of('{month,month,month,quarter,year}') END;
    v_told text := '';
BEGIN
    IF n <= 2 THEN
        v_plan := 'small';
        v_at := v_start + 950 * interval '24 hours';
        PERFORM qzpay.advance_test_clock(v_clock, v_at);
    END IF;
    IF random() < 0.7 THEN
        PERFORM qzpay.attach_payment_method(v_customer, 'sandbox', 'tok_ok');
    END IF;
    PERFORM qzpay.subscribe(v_customer, v_plan, v_interval, trial_days => CASE WHEN random() < 0.3 THEN 0 END);
    WHILE v_at < v_start + interval '3 years' LOOP
        v_told := v_told || v_at::text || ' ' || lives.act(v_customer, v_plan, v_interval) || E'\n';
        v_at := CASE WHEN random() < 0.2
                     THEN greatest(v_at, coalesce((SELECT min(s.next_due_at) FROM qzpay.subscriptions s WHERE s.customer_id = v_customer), v_at))
                     ELSE v_at + floor(random() * 60 * 24 * 3600) * interval '1 second' END;
        PERFORM qzpay.advance_test_clock(v_clock, v_at);
    END LOOP;
    INSERT INTO lives.life VALUES ('random_' || n, v_customer, v_told);
END $$;
