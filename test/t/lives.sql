-- Random lives for 070_random_lives.pl: everything that a customer, a seller and time may do to a contract; each life in a transaction of its own.
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA lives;
-- Prices in dollars, yen (no decimals) and dinars (three): {"month": 1999} is 1999 of each, which are 19.99, 1 999 and 1.999.
CREATE FUNCTION lives.prices(doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(p.key, (SELECT jsonb_agg(jsonb_build_object('amount', p.value, 'currency', c)) FROM unnest('{USD,JPY,KWD}'::text[]) c)) FROM jsonb_each(doc) p
$$;
CREATE FUNCTION lives.usage(doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(p.key, (SELECT jsonb_agg(p.value || jsonb_build_object('currency', c)) FROM unnest('{USD,JPY,KWD}'::text[]) c)) FROM jsonb_each(doc) p
$$;
CREATE FUNCTION lives.products(doc jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(p || jsonb_strip_nulls(jsonb_build_object('prices', lives.prices(p -> 'prices'), 'usage', lives.usage(p -> 'usage')))) FROM jsonb_array_elements(doc) p
$$;
SELECT count(*) AS objects FROM (SELECT '{
    "meters": {"messages": {"name": "Messages", "aggregation": "sum"}, "storage": {"name": "Storage", "aggregation": "sum"}},
    "limits": {"maxMessages": {"kind": "period", "meter": "messages"}},
    "plans": [
        {"id": "small", "name": "Small", "trial": {"days": 10}, "prices": {"day": 99, "week": 500, "month": 1999, "quarter": 5000, "year": 19990},
         "usage": {"messages": {"included": 100, "overageRate": 3, "unit": 10, "limitType": "soft", "displayName": "Messages"},
                   "storage": {"model": "graduated", "included": 10, "pricing": {"tiers": [{"up_to": 50, "unit_amount": 2}, {"unit_amount": 1.5}]}, "limitType": "none", "displayName": "Storage"}}},
        {"id": "large", "name": "Large", "prices": {"week": 2500, "month": 9999, "quarter": 25000, "year": 99990},
         "usage": {"messages": {"included": 1000, "overageRate": 2, "unit": 1, "limitType": "none", "displayName": "Messages"}}},
        {"id": "odd", "name": "Odd", "prorationUnit": "day", "trial": {"days": 5, "endBehavior": "pause"}, "setupFee": {"USD": 700, "JPY": 700, "KWD": 700}, "graceDays": 0, "usageInterval": "week",
         "prices": {"week": 777, "month": 3333, "year": 33333}, "usage": {"messages": {"included": 50, "overageRate": 7, "unit": 100, "limitType": "hard", "displayName": "Messages"}}},
        {"id": "slow", "name": "Slow", "invoiceDraftHours": 48, "graceAccess": "limited", "trial": {"days": 7, "endBehavior": "past_due", "price": {"USD": 100, "JPY": 100, "KWD": 100}},
         "prices": {"month": 4321, "quarter": 12000}, "usage": {"messages": {"model": "per_unit", "pricing": {"unit_amount": 0.7, "minimum_amount": 350}, "limitType": "none", "displayName": "Messages"}}},
        {"id": "sworn", "name": "Sworn", "prices": {"month": 1000, "year": 10000}, "usage": {"messages": {"overageRate": 1, "unit": 1, "limitType": "none", "displayName": "Messages"}}},
        {"id": "moving0", "name": "Moving", "prices": {"month": 1100}}, {"id": "moving1", "name": "Moving", "prices": {"month": 1100}}],
    "addons": [
        {"id": "seats", "name": "Seats", "prices": {"month": 701, "year": 7001}},
        {"id": "robot", "name": "Robot", "prices": {"month": 1301}},
        {"id": "arm", "name": "Arm", "prices": {"month": 97}, "requires": ["robot"], "setupFee": {"USD": 50, "JPY": 50, "KWD": 50}},
        {"id": "house", "name": "House", "prices": {"year": 6000}},
        {"id": "meal", "name": "Meal", "prices": {"week": 333}},
        {"id": "pack", "name": "Pack", "prices": {"month": 1500}, "limits": {"maxMessages": 500}}]}'::jsonb) c (doc)
CROSS JOIN LATERAL qzpay.import_catalog(doc || jsonb_build_object('plans', lives.products(doc -> 'plans'), 'addons', lives.products(doc -> 'addons')));
-- What a period of it costs at least, and versions of a price to move between; each session has a plan and codes of its own, since lives of one wait for nobody.
SELECT count(*) AS commitments FROM qzpay.import_catalog(jsonb_build_object('plans', jsonb_build_array(
    '{"id": "sworn", "name": "Sworn", "usage": {"messages": {"overageRate": 1, "unit": 1, "limitType": "none", "displayName": "Messages"}}}'::jsonb || jsonb_build_object('prices',
    '{"month": [{"amount": 1000, "commitment": 3000, "currency": "USD"}], "year": [{"amount": 10000, "commitment": 30000, "currency": "USD"}]}'::jsonb),
    '{"id": "moving0", "name": "Moving"}'::jsonb || jsonb_build_object('prices', lives.prices('{"month": 1200}')), '{"id": "moving1", "name": "Moving"}'::jsonb || jsonb_build_object('prices', lives.prices('{"month": 1200}')))));
SELECT count(*) AS codes FROM qzpay.import_catalog((SELECT jsonb_build_object('promoCodes', jsonb_object_agg(c.code || lane, c.body)) FROM generate_series(0, 1) lane, (VALUES
    ('ONCE', '{"type": "percentage", "value": 25}'::jsonb), ('ALWAYS', '{"type": "percentage", "value": 10, "config": {"forever": true}}'), ('THRICE', '{"type": "fixed_amount", "value": 450, "config": {"currency": "USD", "periods": 3}}'),
    ('FREE', '{"type": "free_period", "value": 2}'), ('LESS', '{"type": "reduced_period", "value": 40, "config": {"periods": 4}}'), ('LONGER', '{"type": "trial_extension", "value": 6}'),
    ('ALL', '{"type": "percentage", "value": 5, "appliesTo": "all", "config": {"forever": true}, "combinable": false}')) c (code, body)));

SELECT qzpay.set_tax_rate('added', 21, country => 'ES'), qzpay.set_tax_rate('second', 3.5, country => 'ES'), qzpay.set_tax_rate('within', 19, inclusive => true, country => 'DE');
-- Taxes rise, and one ends, while they live.
SELECT qzpay.set_tax_rate('added', 23, country => 'ES', valid_from => '2027-07-01'), qzpay.set_tax_rate('within', 7.7, inclusive => true, country => 'DE', valid_from => '2028-01-01'),
       qzpay.end_tax_rate('second', '2028-10-01');
-- Numbers of documents are given by seller: with one each, the two sessions do not wait for each other.
INSERT INTO qzpay.sellers (id, code, name, timezone, created_at) VALUES (qzpay.uuid_v7(), 'other', 'Other', 'America/Argentina/Buenos_Aires', '2026-01-01');
CREATE TABLE lives.life (name text, customer uuid, told text DEFAULT '');
-- Lives that ended by an error which is no refusal: what was done or due when it came, and all that was told before.
CREATE TABLE lives.death (n integer, seed numeric, at timestamptz, act text, error text, told text);
CREATE TABLE lives.used (customer uuid, at timestamptz, quantity numeric);
-- Totals stated of the running period.
CREATE TABLE lives.stated (customer uuid, at timestamptz, quantity numeric);
-- Previews that were no bills.
CREATE TABLE lives.broken_promises (name text, at timestamptz, what text, previewed text, billed text);
CREATE SEQUENCE lives.kept_promises;

CREATE FUNCTION lives.one_of(things text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT things[1 + floor(random() * cardinality(things))::integer] $$;

-- What has been invoiced for a contract at an instant, beside what was there before.
CREATE FUNCTION lives.billed(v_subscription uuid, v_at timestamptz, v_known uuid[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', n.kind, n.description, n.period_start, n.period_end, n.quantity, n.amount, i.total), ', ' ORDER BY i.series_number, n.position)
    FROM qzpay.invoices i JOIN qzpay.invoice_lines n ON n.tenant_id = i.tenant_id AND n.invoice_id = i.id
    WHERE i.id IN (SELECT m.invoice_id FROM qzpay.invoice_subscriptions m WHERE m.subscription_id = v_subscription) AND i.issued_at = v_at AND i.id <> ALL (v_known)
$$;
CREATE FUNCTION lives.known(v_subscription uuid) RETURNS uuid[] LANGUAGE sql AS $$ SELECT coalesce(array_agg(m.invoice_id), '{}') FROM qzpay.invoice_subscriptions m JOIN qzpay.invoices i ON i.id = m.invoice_id AND i.status <> 'draft' WHERE m.subscription_id = v_subscription $$;
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
    IF (v_due IS NULL OR v_due = v_at) AND NOT EXISTS (SELECT FROM qzpay.invoices i WHERE i.subscription_id = v_subscription AND i.status = 'draft') THEN
        PERFORM lives.compare(c.external_id, v_at, concat_ws(' ', 'change', v_plan, v_interval, v_quantity, v_effective, v_proration), v_previewed, lives.billed(v_subscription, v_at, v_known))
        FROM qzpay.subscriptions s JOIN qzpay.customers c ON c.id = s.customer_id WHERE s.id = v_subscription;
    END IF;
END $$;

-- One thing that may happen to a customer.
CREATE FUNCTION lives.any_act() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT lives.one_of('{use,use,use,use,card,card,cancel,cancel_at,cancel_now,cancel_credit,uncancel,pay,double,preview,detach,change,change,change,change,quantity,undo,addon,addon,addon_quantity,'
                                'addon_remove,terms,pause,pause_now,resume,resume,extend,end_trial,comp,auto_renew,auto_renew,move,goodwill,'
                                'credit,credit,void,give,grant,sell,reissue,refund,refund,pay_back,exempt,late,late,state,state,redeem,redeem,undiscount,country,collection,give_up,draft,replace,token,answer,answer,migrate,'
                                'import,leave}')
$$;

-- It happens now.
CREATE FUNCTION lives.act(v_what text, v_customer uuid, v_plan text, v_interval text, v_lane integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_id uuid;
    v_text text;
    v_time timestamptz;
    v_subscription uuid := (SELECT s.id FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.ended_at IS NULL ORDER BY s.started_at DESC LIMIT 1);
    v_now timestamptz := qzpay.now(v_customer);
    v_quantity numeric := floor(random() * 3000);
    v_effective text := lives.one_of('{now,period_end,NULL}');
    v_proration text := lives.one_of('{always_invoice,always_invoice,create_prorations,NULL,none}');
BEGIN
    IF v_subscription IS NULL AND random() < 0.8 THEN
        IF random() < 0.4 THEN
            PERFORM qzpay.attach_payment_method(v_customer, 'sandbox', 'tok_ok');
        END IF;
        PERFORM qzpay.subscribe(v_customer, v_plan, v_interval, quantity => 1 + floor(random() * 3)::integer,
            start_at => CASE WHEN random() < 0.15 THEN v_now + (random() - 0.4) * interval '100 days' END,
            addons => CASE WHEN random() < 0.3 THEN lives.one_of('{"{\"robot\": 1, \"arm\": 2}","{\"house\": 1}","{\"meal\": 2, \"seats\": 1}"}')::jsonb END,
            anchor => CASE WHEN random() < 0.1 THEN 'calendar' END, promo_code => CASE WHEN random() < 0.3 THEN lives.one_of('{ONCE,ALWAYS,THRICE,FREE,LESS,LONGER,ALL}') || v_lane END, auto_renew => random() < 0.9, terms => CASE WHEN random() < 0.1 THEN '{"unit_amount": 1777}'::jsonb END);
        RETURN 'subscribe';
    END IF;
    v_effective := nullif(v_effective, 'NULL');
    v_proration := nullif(v_proration, 'NULL');
    CASE v_what
    WHEN 'use' THEN
        PERFORM qzpay.record_usage(v_customer, 'messages', v_quantity, NULL);
        INSERT INTO lives.used VALUES (v_customer, v_now, v_quantity);
    WHEN 'card' THEN
        PERFORM qzpay.attach_payment_method(v_customer, 'sandbox', lives.one_of('{tok_ok,tok_ok,tok_ok,tok_ok,tok_ok,tok_decline,tok_lost,tok_expired,tok_timeout,tok_3ds,tok_insufficient_funds,tok_unknown,'
                                            'tok_refund_fails,tok_refund_pending,tok_refund_timeout}'));
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
            PERFORM qzpay.cancel(v_subscription, 'now', settle => lives.one_of('{credit,refund}'));
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
        PERFORM qzpay.void_invoice((SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = v_customer AND (i.kind = 'manual' OR random() < 0.3) ORDER BY random() LIMIT 1));
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
        PERFORM lives.change(v_subscription, lives.one_of('{small,small,large,large,odd,slow,sworn}'), CASE WHEN random() < 0.3 THEN lives.one_of('{week,month,month,quarter,year}') END, NULL, v_effective, v_proration, random() < 0.2);
    WHEN 'quantity' THEN
        PERFORM lives.change(v_subscription, NULL, NULL, 1 + floor(random() * 4)::integer, v_effective, v_proration, false);
    WHEN 'undo' THEN
        PERFORM qzpay.cancel_scheduled_change(v_subscription);
    WHEN 'addon' THEN
        PERFORM qzpay.add_addon(v_subscription, lives.one_of('{seats,seats,robot,arm,pack,house,meal}'), 1 + floor(random() * 2)::integer, CASE WHEN random() < 0.2 THEN 'b' ELSE '' END, v_effective, v_proration);
    WHEN 'addon_quantity' THEN
        PERFORM qzpay.set_addon_quantity(v_subscription, lives.one_of('{seats,robot,pack,house,meal}'), floor(random() * 4)::integer, effective => v_effective, proration => v_proration);
    WHEN 'addon_remove' THEN
        PERFORM qzpay.remove_addon(v_subscription, lives.one_of('{seats,robot,arm,pack,house,meal}'), effective => v_effective, proration => v_proration);
    WHEN 'terms' THEN
        PERFORM qzpay.set_item_terms(v_subscription, lives.one_of('{small,large,seats}'), floor(random() * 9000)::numeric, effective => coalesce(v_effective, 'now'), proration => v_proration);
    WHEN 'pause' THEN
        PERFORM qzpay.pause(v_subscription, resume_at => CASE WHEN random() < 0.7 THEN v_now + random() * interval '120 days' END, access => lives.one_of('{none,none,limited,full}'));
    WHEN 'pause_now' THEN
        PERFORM qzpay.pause(v_subscription, 'now', CASE WHEN random() < 0.7 THEN v_now + random() * interval '60 days' END, lives.one_of('{none,limited,full}'));
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
    WHEN 'late' THEN
        -- Of the period of its time while that is open, else of the running one.
        v_time := v_now - random() * interval '40 days';
        v_text := random()::text;
        PERFORM qzpay.record_usage(v_customer, 'messages', v_quantity, v_text, occurred_at => v_time, late => lives.one_of('{refuse,next,next}'));
        -- Without a contract the period is nobody's, whatever had a contract at that time.
        INSERT INTO lives.used SELECT v_customer, greatest(v_time, e.period_start), v_quantity FROM qzpay.usage_events e WHERE e.customer_id = v_customer AND e.idempotency_key = v_text AND v_subscription IS NOT NULL;
    WHEN 'state' THEN
        PERFORM qzpay.record_usage(v_customer, 'storage', floor(v_quantity / 20), random()::text, action => 'set');
        INSERT INTO lives.stated VALUES (v_customer, v_now, floor(v_quantity / 20));
    WHEN 'redeem' THEN
        PERFORM qzpay.redeem_promo_code(v_subscription, lives.one_of('{ONCE,ALWAYS,THRICE,FREE,LESS,LONGER,ALL}') || v_lane);
    WHEN 'undiscount' THEN
        PERFORM qzpay.remove_discount(v_subscription, (SELECT r.code FROM qzpay.redemptions r WHERE r.subscription_id = v_subscription AND r.ended_at IS NULL ORDER BY random() LIMIT 1));
    WHEN 'country' THEN
        PERFORM qzpay.update_customer(v_customer, address => jsonb_build_object('country', lives.one_of('{ES,DE,FR}')));
    WHEN 'collection' THEN
        PERFORM qzpay.set_billing_details(v_customer, collection => lives.one_of('{charge_automatically,charge_automatically,send_invoice}'), net_days => lives.one_of('{0,14,45}')::integer);
    WHEN 'give_up' THEN
        PERFORM qzpay.mark_uncollectible((SELECT i.id FROM qzpay.invoices i WHERE i.customer_id = v_customer AND i.status = 'open' ORDER BY random() LIMIT 1));
    WHEN 'draft' THEN
        v_id := qzpay.create_invoice(v_customer);
        PERFORM qzpay.add_invoice_line(v_id, description => 'Work', unit_amount => ceil(random() * 999)::numeric / 8, quantity => ceil(random() * 40)::numeric / 4), qzpay.add_invoice_line(v_id, description => 'More', unit_amount => 333);
        IF random() < 0.8 THEN
            PERFORM qzpay.finalize_invoice(v_id);
        ELSE
            PERFORM qzpay.delete_draft_invoice(v_id);
        END IF;
    WHEN 'replace' THEN
        PERFORM qzpay.replace_payment_method((SELECT m.id FROM qzpay.payment_methods m WHERE m.customer_id = v_customer AND m.detached_at IS NULL ORDER BY random() LIMIT 1), lives.one_of('{tok_ok,tok_ok,tok_decline}'));
    WHEN 'token' THEN
        PERFORM qzpay.sandbox_set_token((SELECT m.id FROM qzpay.payment_methods m WHERE m.customer_id = v_customer AND m.is_default), lives.one_of('{tok_ok,tok_ok,tok_insufficient_funds,tok_lost,tok_3ds}'));
    WHEN 'answer' THEN
        SELECT a.id, a.status::text INTO v_id, v_text FROM qzpay.payment_attempts a JOIN qzpay.invoices i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
        WHERE i.customer_id = v_customer AND a.status IN ('requires_action', 'unknown', 'needs_operator') ORDER BY random() LIMIT 1;
        IF v_text = 'requires_action' THEN
            PERFORM qzpay.sandbox_authenticate(v_id, random() < 0.7);
        ELSE
            PERFORM qzpay.resolve_attempt(v_id, lives.one_of('{succeeded,declined}'), 'seen in its books');
        END IF;
    WHEN 'migrate' THEN
        PERFORM qzpay.migrate_subscriptions(f.id, t.id, v_effective, v_proration) FROM qzpay.products p JOIN qzpay.prices f ON f.product_id = p.id
        JOIN qzpay.prices t ON t.product_id = p.id AND t.id <> f.id AND t.currency = f.currency AND t.interval_unit = f.interval_unit WHERE p.code = v_plan AND p.code ~ 'moving' AND random() < 0.7;
    WHEN 'import' THEN
        IF v_subscription IS NULL THEN
            PERFORM qzpay.import_subscription(v_customer, v_plan, v_now - 10 * interval '24 hours', qzpay.period_boundary(v_now - 10 * interval '24 hours', 'month', 1, 1, c.timezone), 'month',
                anchor => v_now - 10 * interval '24 hours', addons => CASE WHEN random() < 0.5 THEN '{"seats": 2}'::jsonb END, balance => floor(random() * 2000)::bigint)
            FROM qzpay.customers c WHERE c.id = v_customer;
        END IF;
    WHEN 'leave' THEN
        IF random() < 0.2 THEN
            PERFORM qzpay.delete_customer(v_customer), qzpay.sync_customer((SELECT c.external_id FROM qzpay.customers c WHERE c.id = v_customer), name => 'Back');
        END IF;
    END CASE;
    RETURN v_what;
EXCEPTION
    -- A refusal is an answer like any other; nothing else may come.
    WHEN SQLSTATE 'QZ204' OR SQLSTATE 'QZ301' OR SQLSTATE 'QZ505' OR SQLSTATE 'QZ103' OR SQLSTATE 'QZ401' OR SQLSTATE 'QZ403' OR SQLSTATE 'QZ404' OR SQLSTATE 'QZ503' OR SQLSTATE 'QZ701' OR null_value_not_allowed OR invalid_parameter_value THEN
        RETURN v_what || ' refused: ' || SQLERRM;
END $$;
CREATE FUNCTION lives.zone() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT lives.one_of('{UTC,America/Argentina/Buenos_Aires,Europe/Madrid,America/New_York,Asia/Kolkata,Pacific/Auckland,America/Santiago,Australia/Lord_Howe}')
$$;

CREATE FUNCTION lives.live(n integer, seed numeric) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_seeded text := setseed(seed)::text;
    v_zone text := lives.zone();
    -- Any minute of a year; or one by which clocks and calendars stumble, as it is told there.
    v_start timestamptz := CASE WHEN random() < 0.6 THEN '2026-01-01 00:00+00'::timestamptz + floor(random() * 365 * 24 * 60) * interval '1 minute'
        ELSE lives.one_of('{2026-01-31 23:30,2026-01-30 12:00,2026-01-29 00:00,2026-03-31 02:30,2026-08-31 00:00,2026-03-08 02:30,2026-03-29 02:15,2026-10-25 02:30,2026-11-01 01:30,2026-04-05 02:45,2026-09-06 00:00,2026-12-31 23:59:59.999999}')
             ::timestamp AT TIME ZONE v_zone END;
    v_at timestamptz := v_start;
    v_clock uuid := qzpay.create_test_clock(v_start, 'random ' || n);
    v_customer uuid := (qzpay.sync_customer('random_' || n, test_clock => v_clock, currency => lives.one_of('{USD,USD,USD,JPY,KWD}'),
        address => jsonb_build_object('country', lives.one_of('{ES,DE,FR}')), timezone => v_zone)).id;
    v_plan text := CASE WHEN random() < 0.7 THEN lives.one_of('{small,large}') ELSE lives.one_of('{odd,slow,sworn,moving}') END;
    -- One life by the day and one by the week: they have many times as many bills.
    v_interval text := CASE n WHEN 1 THEN 'day' WHEN 2 THEN 'week' ELSE lives.one_of('{month,month,month,quarter,year}') END;
    v_told text := '';
    v_what text := 'subscribe';
    v_direct boolean;
    -- Every third has two contracts and an invoice for all that falls due on a day.
    v_together boolean := n % 3 = 0;
    v_next record;
    v_due timestamptz;
    v_previewed text;
    v_known uuid[];
    v_error text;
    v_detail text;
    v_context text;
BEGIN
    -- Nobody sells by the day, the quarter or the year what is not sold so.
    v_interval := CASE WHEN v_plan = 'moving' OR v_plan = 'odd' AND v_interval = 'quarter' OR v_plan = 'slow' AND v_interval = 'year' OR v_plan = 'sworn' AND v_interval = 'quarter' THEN 'month' ELSE v_interval END;
    v_plan := v_plan || CASE v_plan WHEN 'moving' THEN (n % 2)::text ELSE '' END;
    IF v_plan = 'sworn' THEN
        PERFORM qzpay.sync_customer('random_' || n, currency => 'USD');
    END IF;
    IF n % 2 = 1 THEN
        UPDATE qzpay.customers c SET seller_id = s.id FROM qzpay.sellers s WHERE s.code = 'other' AND c.id = v_customer;
    END IF;
    IF n <= 2 THEN
        v_plan := 'small';
        v_at := v_start + 950 * interval '24 hours';
        PERFORM qzpay.advance_test_clock(v_clock, v_at);
    END IF;
    IF random() < 0.7 OR v_together THEN
        PERFORM qzpay.attach_payment_method(v_customer, 'sandbox', 'tok_ok');
    END IF;
    -- In one session some wait two days for late reports.
    IF n % 2 = 0 THEN
        PERFORM qzpay.set_setting('usage_late_window', CASE WHEN random() < 0.4 THEN '48' ELSE '0' END::jsonb);
    END IF;
    PERFORM qzpay.subscribe(v_customer, v_plan, v_interval, trial_days => CASE WHEN random() < 0.3 OR v_together THEN 0 END);
    IF v_together THEN
        PERFORM qzpay.set_billing_details(v_customer, invoice_consolidation => 'day');
        v_at := v_at + floor(random() * 20 * 3600) * interval '1 second';
        PERFORM qzpay.advance_test_clock(v_clock, v_at);
        PERFORM qzpay.subscribe(v_customer, v_plan, v_interval, trial_days => 0, allow_multiple => true);
    END IF;
    WHILE v_at < v_start + interval '3 years' LOOP
        v_what := lives.any_act();
        v_told := v_told || v_at::text || ' ' || lives.act(v_what, v_customer, v_plan, v_interval, n % 2) || E'\n';
        v_what := 'time, after ' || v_what;
        -- A step in time, or straight to what is due next, whose bill is asked for beforehand.
        v_direct := random() < 0.3;
        SELECT s.id, s.next_due_at, s.next_due_at = s.current_period_end AND s.status = 'active' AND s.auto_renew
                   -- Before it something may become of a payment that is not made yet.
                   AND NOT EXISTS (SELECT FROM qzpay.invoices i WHERE i.subscription_id = s.id AND i.status IN ('open', 'draft'))
                   -- Contracts side by side may share a usage period, which one of them bills.
                   AND (v_together OR NOT EXISTS (SELECT FROM qzpay.subscriptions o WHERE o.customer_id = s.customer_id AND o.id <> s.id AND o.ended_at IS NULL)) AS renews INTO v_next
        FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.next_due_at IS NOT NULL AND v_direct ORDER BY s.next_due_at, s.id LIMIT 1;
        IF v_next.next_due_at > v_at THEN
            v_known := lives.known(v_next.id);
            SELECT string_agg(concat_ws(' ', p.kind, p.description, p.period_start, p.period_end, p.quantity, p.amount, p.invoice_total), ', ' ORDER BY p.line_position), max(p.due_at) INTO v_previewed, v_due
            FROM qzpay.preview_invoice(v_next.id) p WHERE p.due_at = v_next.next_due_at OR v_together AND v_next.renews;
            -- The invoice of a day comes when the last has joined it.
            v_at := coalesce(v_due, v_next.next_due_at);
            PERFORM qzpay.advance_test_clock(v_clock, v_at);
            -- What is still a draft is told by no number yet.
            IF v_next.renews AND NOT EXISTS (SELECT FROM qzpay.invoices i WHERE i.customer_id = v_customer AND i.status = 'draft') THEN
                PERFORM lives.compare('random_' || n, v_at, 'renewal', v_previewed, lives.billed(v_next.id, v_at, v_known));
            END IF;
        ELSE
            v_at := v_at + floor(random() * 60 * 24 * 3600) * interval '1 second';
            PERFORM qzpay.advance_test_clock(v_clock, v_at);
        END IF;
    END LOOP;
    -- What nobody answers for so long is an operator's to settle.
    PERFORM qzpay.resolve_attempt(a.id, 'declined', 'seen in its books') FROM qzpay.payment_attempts a JOIN qzpay.invoices i ON i.tenant_id = a.tenant_id AND i.id = a.invoice_id
    WHERE i.customer_id = v_customer AND a.status IN ('unknown', 'needs_operator');
    IF v_plan ~ 'moving' THEN
        -- Who has lived is migrated no more.
        PERFORM qzpay.cancel(s.id, 'now') FROM qzpay.subscriptions s WHERE s.customer_id = v_customer AND s.ended_at IS NULL;
    END IF;
    INSERT INTO lives.life VALUES ('random_' || n, v_customer, v_told);
    SET CONSTRAINTS ALL IMMEDIATE;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_error = MESSAGE_TEXT, v_detail = PG_EXCEPTION_DETAIL, v_context = PG_EXCEPTION_CONTEXT;
    INSERT INTO lives.death VALUES (n, seed, v_at, v_what, concat_ws(E'\n', SQLSTATE || ' ' || v_error, nullif(v_detail, ''), v_context), v_told);
END $$;
