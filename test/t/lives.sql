-- Random lives for 070_random_lives.pl: everything that a customer, a seller and time may do to a contract; each life in a transaction of its own.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA lives;
SELECT count(*) AS objects FROM qzpay.import_catalog('{
    "meters": {"messages": {"name": "Messages", "aggregation": "sum"}},
    "limits": {"maxMessages": {"kind": "period", "meter": "messages"}},
    "plans": [
        {"id": "small", "name": "Small", "trial": {"days": 10}, "prices": {"day": {"amount": 99, "currency": "USD"}, "week": {"amount": 500, "currency": "USD"},
            "month": {"amount": 1999, "currency": "USD"}, "quarter": {"amount": 5000, "currency": "USD"}, "year": {"amount": 19990, "currency": "USD"}},
         "usage": {"messages": {"included": 100, "overageRate": 3, "unit": 10, "limitType": "soft", "displayName": "Messages"}}},
        {"id": "large", "name": "Large", "prices": {"week": {"amount": 2500, "currency": "USD"}, "month": {"amount": 9999, "currency": "USD"},
            "quarter": {"amount": 25000, "currency": "USD"}, "year": {"amount": 99990, "currency": "USD"}},
         "usage": {"messages": {"included": 1000, "overageRate": 2, "unit": 1, "limitType": "none", "displayName": "Messages"}}}],
    "addons": [
        {"id": "seats", "name": "Seats", "prices": {"month": {"amount": 701, "currency": "USD"}, "year": {"amount": 7001, "currency": "USD"}}},
        {"id": "robot", "name": "Robot", "prices": {"month": {"amount": 1301, "currency": "USD"}}},
        {"id": "arm", "name": "Arm", "prices": {"month": {"amount": 97, "currency": "USD"}}, "requires": ["robot"]},
        {"id": "pack", "name": "Pack", "prices": {"month": {"amount": 1500, "currency": "USD"}}, "limits": {"maxMessages": 500}}]}');

SELECT qzpay.set_tax_rate('added', 21, country => 'ES'), qzpay.set_tax_rate('second', 3.5, country => 'ES'), qzpay.set_tax_rate('within', 19, inclusive => true, country => 'DE');
CREATE TABLE lives.life (name text, customer uuid, told text DEFAULT '');
CREATE TABLE lives.used (customer uuid, at timestamptz, quantity numeric);
-- Previews that were no bills.
CREATE TABLE lives.broken_promises (name text, at timestamptz, what text, previewed text, billed text);
CREATE SEQUENCE lives.kept_promises;

CREATE FUNCTION lives.one_of(things text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT things[1 + floor(random() * cardinality(things))::integer] $$;

-- What has been invoiced for a contract at an instant, beside what was there before.
CREATE FUNCTION lives.billed(v_subscription uuid, v_at timestamptz, v_known uuid[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', n.kind, n.description, n.period_start, n.period_end, n.quantity, n.amount, i.total), ', ' ORDER BY i.series_number, n.position)
    FROM qzpay.invoices i JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id
    WHERE i.subscription_id = v_subscription AND i.issued_at = v_at AND i.id <> ALL (v_known)
$$;
CREATE FUNCTION lives.known(v_subscription uuid) RETURNS uuid[] LANGUAGE sql AS $$ SELECT coalesce(array_agg(i.id), '{}') FROM qzpay.invoices i WHERE i.subscription_id = v_subscription $$;
CREATE FUNCTION lives.compare(v_name text, v_at timestamptz, v_what text, v_previewed text, v_billed text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF v_previewed IS DISTINCT FROM v_billed THEN
        INSERT INTO lives.broken_promises VALUES (v_name, v_at, v_what, v_previewed, v_billed);
    ELSIF v_billed IS NOT NULL THEN
        PERFORM nextval('lives.kept_promises');
    END IF;
END $$;

-- A change after its preview.
CREATE FUNCTION lives.change(v_subscription uuid, v_plan text, v_interval text, v_quantity integer, v_effective text, v_proration text, v_uncancel boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := (SELECT qzpay.now(s.customer_id) FROM qzpay.subscriptions s WHERE s.id = v_subscription);
    v_previewed text;
    v_due timestamptz;
    v_known uuid[];
BEGIN
    SELECT string_agg(concat_ws(' ', p.kind, p.description, p.period_start, p.period_end, p.quantity, p.amount, p.invoice_total), ', ' ORDER BY p.n) FILTER (WHERE p.line_position IS NOT NULL), max(p.invoice_at)
      INTO v_previewed, v_due
    FROM (SELECT row_number() OVER () AS n, p.* FROM qzpay.preview_change(v_subscription, v_plan, v_interval, v_quantity, v_effective, v_proration, v_uncancel) p) p;
    v_known := lives.known(v_subscription);
    PERFORM qzpay.change_plan(v_subscription, v_plan, v_interval, v_quantity, v_effective, v_proration, v_uncancel);
    IF v_due IS NULL OR v_due = v_at THEN
        PERFORM lives.compare(c.external_id, v_at, concat_ws(' ', 'change', v_plan, v_interval, v_quantity, v_effective, v_proration), v_previewed, lives.billed(v_subscription, v_at, v_known))
        FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE s.id = v_subscription;
    END IF;
END $$;

-- One thing that may happen to a customer now.
CREATE FUNCTION lives.act(v_customer uuid, v_plan text, v_interval text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_what text := lives.one_of('{use,use,use,use,card,card,cancel,cancel_at,cancel_now,cancel_credit,uncancel,pay,double,preview,detach,change,change,change,change,quantity,undo,addon,addon,addon_quantity,'
                                'addon_remove,terms,pause,pause_now,resume,resume,extend,end_trial,comp,auto_renew,auto_renew,move,goodwill,'
                                'credit,credit,void,give,grant,sell,reissue,refund,refund,pay_back,exempt}');
    v_subscription uuid := (SELECT s.id FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.ended_at IS NULL ORDER BY s.started_at DESC LIMIT 1);
    v_now timestamptz := qzpay.now(v_customer);
    v_quantity numeric := floor(random() * 3000);
    v_effective text := lives.one_of('{now,period_end,NULL}');
    v_proration text := lives.one_of('{always_invoice,always_invoice,create_prorations,NULL,none}');
BEGIN
    IF v_subscription IS NULL AND random() < 0.8 THEN
        PERFORM qzpay.subscribe(v_customer, v_plan, v_interval, quantity => 1 + floor(random() * 3)::integer,
            start_at => CASE WHEN random() < 0.15 THEN v_now + (random() - 0.4) * interval '100 days' END,
            addons => CASE WHEN random() < 0.3 THEN '{"robot": 1, "arm": 2}'::jsonb END, auto_renew => random() < 0.9, terms => CASE WHEN random() < 0.1 THEN '{"unit_amount": 1777}'::jsonb END);
        RETURN 'subscribe';
    END IF;
    v_effective := nullif(v_effective, 'NULL');
    v_proration := nullif(v_proration, 'NULL');
    CASE v_what
    WHEN 'use' THEN
        PERFORM qzpay.record_usage(v_customer, 'messages', v_quantity, NULL);
        INSERT INTO lives.used VALUES (v_customer, v_now, v_quantity);
    WHEN 'card' THEN
        PERFORM qzpay.attach_payment_method(v_customer, 'sandbox', lives.one_of('{tok_ok,tok_ok,tok_ok,tok_ok,tok_ok,tok_decline,tok_lost,tok_expired,tok_timeout,tok_3ds,tok_refund_fails,tok_refund_pending,tok_refund_timeout}'));
    WHEN 'cancel' THEN
        PERFORM qzpay.cancel(v_subscription);
    WHEN 'cancel_at' THEN
        PERFORM qzpay.cancel(v_subscription, (v_now + random() * interval '60 days')::text);
    WHEN 'cancel_now' THEN
        IF random() < 0.2 THEN
            PERFORM qzpay.cancel(v_subscription, 'now');
        END IF;
    WHEN 'cancel_credit' THEN
        IF random() < 0.2 THEN
            PERFORM qzpay.cancel(v_subscription, 'now', settle => 'credit');
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
    WHEN 'pay_back' THEN
        IF random() < 0.6 THEN
            PERFORM qzpay.refund(p.id, CASE WHEN random() < 0.7 THEN ceil(random() * p.amount)::bigint END, end_access => random() < 0.1)
            FROM (SELECT p.id, p.amount FROM qzpay.payments p WHERE p.customer_id = v_customer ORDER BY random() LIMIT 1) p;
        ELSE
            PERFORM qzpay.retry_refund((SELECT r.id FROM qzpay.refund_requests r WHERE r.customer_id = v_customer AND r.status = 'requested' LIMIT 1));
        END IF;
    WHEN 'exempt' THEN
        PERFORM qzpay.set_billing_details(v_customer, tax_exempt => lives.one_of('{none,none,exempt,reverse}'));
    WHEN 'detach' THEN
        PERFORM qzpay.detach_payment_method((SELECT m.id FROM qzpay.payment_methods m WHERE m.customer_id = v_customer ORDER BY random() LIMIT 1));
    WHEN 'change' THEN
        PERFORM lives.change(v_subscription, lives.one_of('{small,large}'), CASE WHEN random() < 0.3 THEN lives.one_of('{week,month,month,quarter,year}') END, NULL, v_effective, v_proration, random() < 0.2);
    WHEN 'quantity' THEN
        PERFORM lives.change(v_subscription, NULL, NULL, 1 + floor(random() * 4)::integer, v_effective, v_proration, false);
    WHEN 'undo' THEN
        PERFORM qzpay.cancel_scheduled_change(v_subscription);
    WHEN 'addon' THEN
        PERFORM qzpay.add_addon(v_subscription, lives.one_of('{seats,seats,robot,arm,pack}'), 1 + floor(random() * 2)::integer, CASE WHEN random() < 0.2 THEN 'b' ELSE '' END, v_effective, v_proration);
    WHEN 'addon_quantity' THEN
        PERFORM qzpay.set_addon_quantity(v_subscription, lives.one_of('{seats,robot,pack}'), floor(random() * 4)::integer, effective => v_effective, proration => v_proration);
    WHEN 'addon_remove' THEN
        PERFORM qzpay.remove_addon(v_subscription, lives.one_of('{seats,robot,arm,pack}'), effective => v_effective, proration => v_proration);
    WHEN 'terms' THEN
        PERFORM qzpay.set_item_terms(v_subscription, lives.one_of('{small,large,seats}'), floor(random() * 9000)::numeric, effective => coalesce(v_effective, 'now'), proration => v_proration);
    WHEN 'pause' THEN
        PERFORM qzpay.pause(v_subscription, resume_at => CASE WHEN random() < 0.7 THEN v_now + random() * interval '120 days' END, access => lives.one_of('{none,none,limited,full}'));
    WHEN 'pause_now' THEN
        PERFORM qzpay.pause(v_subscription, 'now', CASE WHEN random() < 0.7 THEN v_now + random() * interval '60 days' END);
    WHEN 'resume' THEN
        PERFORM qzpay.resume(v_subscription);
    WHEN 'extend' THEN
        PERFORM qzpay.extend_trial(v_subscription, 1 + floor(random() * 9)::integer);
    WHEN 'end_trial' THEN
        PERFORM qzpay.end_trial(v_subscription);
    WHEN 'comp' THEN
        IF random() < 0.3 THEN
            PERFORM qzpay.comp(v_subscription, CASE WHEN random() < 0.8 THEN v_now + random() * interval '90 days' END, 'luck');
        END IF;
    WHEN 'auto_renew' THEN
        PERFORM qzpay.set_auto_renew(v_subscription, random() < 0.8);
    WHEN 'move' THEN
        PERFORM qzpay.sync_customer((SELECT c.external_id FROM qzpay.customers c WHERE c.id = v_customer), timezone => lives.zone());
    WHEN 'goodwill' THEN
        PERFORM qzpay.adjust_balance(v_customer, floor(random() * 3000)::bigint, 'sorry');
    END CASE;
    RETURN v_what;
EXCEPTION
    -- A refusal is an answer like any other; nothing else may come.
    WHEN SQLSTATE 'QZ204' OR SQLSTATE 'QZ301' OR SQLSTATE 'QZ505' OR SQLSTATE 'QZ103' OR SQLSTATE 'QZ401' OR SQLSTATE 'QZ403' OR null_value_not_allowed OR invalid_parameter_value THEN
        RETURN v_what || ' refused: ' || SQLERRM;
END $$;
CREATE FUNCTION lives.zone() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT lives.one_of('{UTC,America/Argentina/Buenos_Aires,Europe/Madrid,America/New_York,Asia/Kolkata,Pacific/Auckland}')
$$;

CREATE FUNCTION lives.live(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_start timestamptz := '2026-01-01 00:00+00'::timestamptz + floor(random() * 365 * 24 * 60) * interval '1 minute';
    v_at timestamptz := v_start;
    v_clock uuid := qzpay.create_test_clock(v_start, 'random ' || n);
    v_customer uuid := (qzpay.sync_customer('random_' || n, test_clock => v_clock,
        address => jsonb_build_object('country', lives.one_of('{ES,DE,FR}')), timezone => lives.zone())).id;
    v_plan text := lives.one_of('{small,large}');
    -- One life by the day and one by the week: they have many times as many bills.
    v_interval text := CASE n WHEN 1 THEN 'day' WHEN 2 THEN 'week' ELSE lives.one_of('{month,month,month,quarter,year}') END;
    v_told text := '';
    v_direct boolean;
    v_next record;
    v_previewed text;
    v_known uuid[];
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
        -- A step in time, or straight to what is due next, whose bill is asked for beforehand.
        v_direct := random() < 0.3;
        SELECT s.id, s.next_due_at, s.next_due_at = s.current_period_end AND s.status = 'active' AND s.auto_renew
                   -- Contracts side by side may share a usage period, which one of them bills.
                   AND NOT EXISTS (SELECT FROM qzpay.subscriptions o WHERE o.customer_id = s.customer_id AND o.id <> s.id AND o.ended_at IS NULL) AS renews INTO v_next
        FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.next_due_at IS NOT NULL AND v_direct ORDER BY s.next_due_at, s.id LIMIT 1;
        IF v_next.next_due_at > v_at THEN
            v_known := lives.known(v_next.id);
            SELECT string_agg(concat_ws(' ', p.kind, p.description, p.period_start, p.period_end, p.quantity, p.amount, p.invoice_total), ', ' ORDER BY p.line_position) INTO v_previewed
            FROM qzpay.preview_invoice(v_next.id) p WHERE p.due_at = v_next.next_due_at;
            v_at := v_next.next_due_at;
            PERFORM qzpay.advance_test_clock(v_clock, v_at);
            IF v_next.renews THEN
                PERFORM lives.compare('random_' || n, v_at, 'renewal', v_previewed, lives.billed(v_next.id, v_at, v_known));
            END IF;
        ELSE
            v_at := v_at + floor(random() * 60 * 24 * 3600) * interval '1 second';
            PERFORM qzpay.advance_test_clock(v_clock, v_at);
        END IF;
    END LOOP;
    INSERT INTO lives.life VALUES ('random_' || n, v_customer, v_told);
END $$;
