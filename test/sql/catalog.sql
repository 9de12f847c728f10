-- The catalog as one document: dry run, import, refusal, versions, round trip; the views; settings.
-- Two databases, because a document has to mean the same in another installation.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_qzpay_catalog_1;
DROP DATABASE IF EXISTS regress_qzpay_catalog_2;
CREATE DATABASE regress_qzpay_catalog_1;
\c regress_qzpay_catalog_1
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT count(*) FROM qzpay.install();
CREATE DATABASE regress_qzpay_catalog_2 TEMPLATE template1;

SET timezone = 'America/Argentina/Buenos_Aires';
SET datestyle = 'SQL, DMY';
\set document `cat examples/asistia/catalog.json`
CREATE TABLE document (doc jsonb);
INSERT INTO document VALUES (:'document');
GRANT SELECT ON document TO qzpay_admin;

-- one checksum over everything an import may write
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(t.content, '' ORDER BY t.content COLLATE "C"))
    FROM (SELECT 'm' || m::text AS content FROM qzpay.meters m UNION ALL SELECT 'f' || f::text FROM qzpay.features f
          UNION ALL SELECT 'p' || p::text FROM qzpay.products p UNION ALL SELECT 'r' || r::text FROM qzpay.product_relations r
          UNION ALL SELECT 'x' || x::text FROM qzpay.product_features x UNION ALL SELECT 'c' || c::text FROM qzpay.prices c
          UNION ALL SELECT 'u' || u::text FROM qzpay.charges u UNION ALL SELECT 'd' || d::text FROM qzpay.discounts d
          UNION ALL SELECT 's' || s::text FROM qzpay.settings s) t
$$;
SELECT state() AS empty \gset

-- who may
SELECT r AS role, has_function_privilege(r, 'qzpay.import_catalog(jsonb, boolean, boolean)', 'EXECUTE') AS import,
       has_function_privilege(r, 'qzpay.export_catalog(boolean)', 'EXECUTE') AS export,
       has_function_privilege(r, 'qzpay.set_setting(text, jsonb)', 'EXECUTE') AS set_setting
FROM unnest('{qzpay_admin,qzpay_worker,qzpay_app,qzpay_tenant}'::name[]) r;

-- a dry run shows everything and writes nothing
SET ROLE qzpay_admin;
SELECT i.action, i.kind, i.code, i.before FROM document, qzpay.import_catalog(doc, dry_run => true) i;
RESET ROLE;
SELECT state() = :'empty' AS nothing_written;

-- the import does what the dry run said; the second time there is nothing to do
SET ROLE qzpay_admin;
SELECT i.action, i.kind, count(*) FROM document, qzpay.import_catalog(doc) i GROUP BY i.action, i.kind ORDER BY i.action, i.kind;
SELECT count(*) AS again FROM document, qzpay.import_catalog(doc) i;
SELECT count(*) AS exported FROM qzpay.import_catalog(qzpay.export_catalog()) i;
RESET ROLE;
SELECT state() AS full \gset

-- as the user thinks
SELECT code, name, tier_rank, currency, monthly_amount, yearly_amount, yearly_per_month, yearly_saving_percent, trial_days, is_featured, badge_text FROM qzpay.plans ORDER BY tier_rank;
SELECT code, entitlements -> 'canUseApi' AS can_use_api, limits, usage FROM qzpay.plans ORDER BY tier_rank;
SELECT code, unit_label, monthly_amount, is_sold, entitlements, limits, applicable_plans, included_in FROM qzpay.addons ORDER BY code COLLATE "C";
SELECT code, unit_label, amount, currency FROM qzpay.services ORDER BY code COLLATE "C";
SELECT code, aliases FROM qzpay.products WHERE kind <> 'plan' AND (code LIKE '%training%' OR code = 'extra-bots') ORDER BY code COLLATE "C";
SELECT code, kind, limit_kind, (SELECT m.code FROM qzpay.meters m WHERE m.id = f.meter_id) AS meter FROM qzpay.features f ORDER BY code COLLATE "C";
SELECT code, type, value, currency, periods, stackable, priority, applies_to, conditions, valid_until AT TIME ZONE 'UTC' AS valid_until, max_uses, max_uses_per_customer
FROM qzpay.discounts ORDER BY trigger, code COLLATE "C";
SELECT a.unit_amount, b.unit_amount AS absent FROM qzpay.products p, qzpay._active_price(p.id, 'USD', 'year', 1) a, qzpay._active_price(p.id, 'EUR', 'year', 1) b WHERE p.code = 'pro';
SELECT i.code, i.after FROM document, LATERAL (SELECT jsonb_set(doc, '{automaticDiscounts,agencyUpgrade,name}', '"Agency"') AS changed) c, qzpay.import_catalog(changed, dry_run => true) i
ORDER BY i.action;

-- every wrong document is refused with the path of its fault, and nothing changes
CREATE FUNCTION refusal(doc jsonb, OUT state text, OUT detail text, OUT message text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM qzpay.import_catalog(doc);
    message := 'ACCEPTED';
    RAISE EXCEPTION USING ERRCODE = 'P0001';
EXCEPTION
    WHEN raise_exception THEN RETURN;
    WHEN OTHERS THEN GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL, message = MESSAGE_TEXT;
END $$;
CREATE TABLE wrong (n serial, path text[], value jsonb);
INSERT INTO wrong (path, value) VALUES
    ('{plnas}', '[]'),
    ('{plans}', '{}'),
    ('{plans,0}', '"free"'),
    ('{plans,0,id}', 'null'),
    ('{plans,1,id}', '"free"'),
    ('{plans,1,id}', '"plan one"'),
    ('{plans,1,id}', '"extra-bots"'),
    ('{plans,1,name}', '7'),
    ('{plans,1,name}', 'null'),
    ('{plans,1,price}', '100'),
    ('{plans,2,prices,month,amount}', '-1'),
    ('{plans,2,prices,month,amount}', '"9900"'),
    ('{plans,2,prices,month,amount}', '1e15'),
    ('{plans,2,prices,month,amount}', '0.0000000000001'),
    ('{plans,2,prices,month,ammount}', '1'),
    ('{plans,2,prices,month}', '{}'),
    ('{plans,2,prices,month,currency}', '"XYZ"'),
    ('{plans,2,prices,month,currency}', '"usd"'),
    ('{plans,2,prices,fortnight}', '{"amount": 1}'),
    ('{plans,2,prices,once}', '{"amount": 1}'),
    ('{plans,2,prices,monthly}', '{"amount": 1}'),
    ('{plans,2,prices,month}', '[{"amount": 1}, {"amount": 2}]'),
    ('{plans,2,limits,maxBots}', '"abc"'),
    ('{plans,2,limits,maxBots}', '-2'),
    ('{plans,2,limits,maxBots}', 'true'),
    ('{plans,2,limits,canUseApi}', '1'),
    ('{plans,2,entitlements,canUseApi}', '"yes"'),
    ('{plans,2,entitlements,canUseApi}', 'null'),
    ('{plans,2,entitlements,maxBots}', 'true'),
    ('{plans,2,trial,days}', '-1'),
    ('{plans,2,trial,days}', '1.5'),
    ('{plans,2,trial}', '14'),
    ('{plans,2,trial}', '{"requiresPaymentMethod": true}'),
    ('{plans,2,trial,endBehavior}', '"explode"'),
    ('{plans,2,trial,reuse}', '"sometimes"'),
    ('{plans,2,trial,reminderDays}', '[7, 0]'),
    ('{plans,2,trial,reminderDays}', '[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]'),
    ('{plans,2,trial,price}', '"100"'),
    ('{plans,2,trial,price}', '{"usd": 100}'),
    ('{plans,2,trial,price}', '{"EUR": 100}'),
    ('{plans,2,trial}', '{"days": 0, "price": 100}'),
    ('{plans,2,setupFee}', '-5'),
    ('{plans,2,setupFee}', '{"USD": {"amount": 5}}'),
    ('{plans,2,setupFee}', '[500]'),
    ('{plans,2,tenant}', '"nobody"'),
    ('{plans,2,includesAddons}', '["plugin-crm"]'),
    ('{plans,2,expiringReminderDays}', '7'),
    ('{plans,2,lateRenewalDays}', '-1'),
    ('{plans,2,prorationUnit}', '"hour"'),
    ('{plans,2,invoiceDraftHours}', '721'),
    ('{plans,2,metadata}', '{"card": "4242 4242 4242 4242"}'),
    ('{plans,2,graceDays}', '3651'),
    ('{plans,2,dunningPolicy}', '"nobody-wrote-it"'),
    ('{plans,2,usageInterval}', '"once"'),
    ('{plans,2,maxQuantity}', '0'),
    ('{plans,2,display}', '{"featured": true}'),
    ('{plans,2,usage,faxes}', '{"overageRate": 1}'),
    ('{plans,2,usage,messages,overageRate}', 'null'),
    ('{plans,2,usage,messages,model}', '"package"'),
    ('{plans,2,usage,messages,unit}', '0'),
    ('{plans,2,usage,messages,included}', '-5'),
    ('{plans,2,usage,messages,limitType}', '"squishy"'),
    ('{plans,2,usage,messages}', '{"overageRate": 1, "unit": 3, "rounding": "exact"}'),
    ('{plans,2,usage,messages}', '{"model": "flat", "pricing": {"unit_amount": 3}}'),
    ('{plans,2,usage,messages}', '{"model": "flat"}'),
    ('{plans,2,usage,messages}', '{"included": 3}'),
    ('{plans,2,usage,messages}', '[{"overageRate": 1}, {"overageRate": 2}]'),
    ('{plans,2,overage}', '{"messages": 1}'),
    ('{plans,2,overage}', '{"faxesPrice": 1}'),
    ('{plans,2,overage}', '{"api_callsPrice": 1}'),
    ('{limits,maxMessagesPerMonth,meter}', '"faxes"'),
    ('{limits,maxMessagesPerMonth,kind}', '"stock"'),
    ('{limits,maxSeats}', '{"kind": "period"}'),
    ('{features}', '{"canUseApi": {"kind": "text"}}'),
    ('{features}', '{"maxBots": {}}'),
    ('{meters,messages,aggregation}', '"median"'),
    ('{meters,messages,agregation}', '"sum"'),
    ('{defaultPlan}', '"gold"'),
    ('{defaultPlan}', '"extra-bots"'),
    ('{addons,prioritySupport,requiredPlan}', '["free", "gold"]'),
    ('{plugins,faq,includedIn}', '["extra-bots"]'),
    ('{plugins,faq,requires}', '["plugin-faq"]'),
    ('{plugins,faq,id}', '"plugin-crm"'),
    ('{plugins,faq,aliases}', '["pro"]'),
    ('{addons,extraBots,pricePerUnit}', '-1'),
    ('{addons,extraBots,interval}', '"lunar"'),
    ('{addons,extraBots,prorate}', '"yes"'),
    ('{services,setupBasic,setupFee}', '1'),
    ('{services,setupBasic,prices}', '{"month": {"amount": 1}}'),
    ('{services,setupBasic,id}', '"pro"'),
    ('{promoCodes,WELCOME30,value}', '101'),
    ('{promoCodes,WELCOME30,type}', '"magic"'),
    ('{promoCodes,WELCOME30,code}', '"Startup50"'),
    ('{promoCodes,WELCOME30,restrictions,expiresAt}', '"31/12/2025"'),
    ('{promoCodes,WELCOME30,restrictions,expiresAt}', '"2025-02-30"'),
    ('{promoCodes,WELCOME30,restrictions,startsAt}', '"2026-06-01"'),
    ('{promoCodes,WELCOME30,restrictions,maxUses}', '0'),
    ('{promoCodes,WELCOME30,restrictions,validIntervals}', '["decade"]'),
    ('{promoCodes,WELCOME30,restrictions,of}', '"messages"'),
    ('{promoCodes,PRO25OFF,config}', '{}'),
    ('{promoCodes,FREEMONTH,value}', '0.5'),
    ('{promoCodes,STARTUP50,config}', '{}'),
    ('{promoCodes,STARTUP50,config,forever}', 'true'),
    ('{automaticDiscounts,highVolumeDiscount,conditions,usageThreshold,metric}', '"monthlyMessages"'),
    ('{automaticDiscounts,multiBotDiscount,conditions,minQuanity}', '3'),
    ('{automaticDiscounts,serviceHappyHour,conditions,schedule,timezone}', '"Mars/Olympus"'),
    ('{automaticDiscounts,serviceHappyHour,conditions,schedule,days,0}', '"funday"'),
    ('{automaticDiscounts,serviceHappyHour,conditions,schedule,hours,to}', '14'),
    ('{automaticDiscounts,welcomeDiscount,validFrom}', '"2026-01-01T00:00:00Z"');
SELECT array_to_string(w.path, '.') AS at, w.value, r.state, r.detail, r.message
FROM document, wrong w CROSS JOIN LATERAL refusal(jsonb_set(doc, w.path, w.value)) r ORDER BY w.n;
SELECT r.* FROM (VALUES (NULL::jsonb), ('[]'), ('"catalog"')) AS v (doc), refusal(doc) r;
-- an object needs a code where no key gives one
SELECT r.* FROM document, refusal(jsonb_set(doc, '{services}', '[{"name": "Setup", "price": 1}]')) r;
-- a price needs a currency
SELECT r.* FROM document, refusal(doc - 'currency') r;
-- tiers are the rating's business: the last one has to be open
SELECT r.state, r.detail
FROM document, (VALUES ('{"model": "graduated", "pricing": {"tiers": [{"up_to": 10, "unit_amount": 1}]}}'::jsonb), ('{"model": "volume", "pricing": {"tiers": []}}'),
                       ('{"model": "package", "pricing": {"amount": 1}}')) AS t (charge), refusal(jsonb_set(doc, '{plans,2,usage,messages}', t.charge)) r;
SELECT r.state, r.detail, r.message FROM document, refusal(jsonb_set(doc, '{plans,2,usage,messages}', '{"model": "graduated", "pricing": {"tiers": [{"upTo": 10}]}}')) r;
-- what is a warning, strict refuses
SELECT count(*) FROM document, qzpay.import_catalog(doc, strict => true);
SELECT state() = :'full' AS nothing_changed;

-- a changed price or charge is a new version, beside the old one
SELECT i.* FROM document, qzpay.import_catalog(jsonb_set(jsonb_set(doc, '{plans,2,prices,month,amount}', '10900'), '{plans,2,usage,messages,overageRate}', '20')) i;
SELECT c.version, c.unit_amount, c.active FROM qzpay.prices c JOIN qzpay.products p ON p.id = c.product_id WHERE p.code = 'pro' AND c.interval_unit = 'month' ORDER BY 1;
SELECT c.version, c.pricing, c.active, c.retired_at IS NOT NULL AS retired
FROM qzpay.charges c JOIN qzpay.products p ON p.id = c.product_id JOIN qzpay.meters m ON m.id = c.meter_id WHERE p.code = 'pro' AND m.code = 'messages' ORDER BY 1;
SELECT yearly_saving_percent FROM qzpay.plans WHERE code = 'pro';
-- what the plan no longer says is no longer sold; objects that are not named stay
SELECT i.* FROM document, qzpay.import_catalog(jsonb_build_object('currency', 'USD', 'plans', jsonb_build_array((doc #> '{plans,2}') #- '{prices,year}' #- '{usage,api_calls}'))) i;
SELECT code, tier_rank, monthly_amount, yearly_amount FROM qzpay.plans ORDER BY tier_rank;
-- and back
SELECT i.action, i.kind, i.code, i.after FROM document, qzpay.import_catalog(doc) i;
SELECT c.interval_unit, c.version, c.unit_amount, c.active FROM qzpay.prices c JOIN qzpay.products p ON p.id = c.product_id WHERE p.code = 'pro' ORDER BY 1, 2;
UPDATE qzpay.prices SET unit_amount = 1;
UPDATE qzpay.charges SET included = 0;

-- other words for the same
BEGIN;
SELECT count(*) AS differences FROM document, qzpay.import_catalog(
    jsonb_set(jsonb_set(jsonb_set(jsonb_set(doc, '{plans,2,limits,maxPlugins}', 'null'), '{plans,3,limits,maxBots}', '"Infinity"'), '{plans,3,limits,maxSeats}', '"inf"'),
              '{plans,3,usage}', '{"messages": {"overageRate": 1}}') #- '{plans,3,overage}' #- '{plans,3,prices,month}'
    || '{}') i WHERE i.kind <> 'price';
SELECT i.action, i.kind, i.code, i.after FROM qzpay.import_catalog('{
    "meters": [{"id": "faxes", "unit": "page", "aggregation": "sum"}],
    "plans": [{"id": "fax", "name": "Fax", "prices": {"trimestral": {"amount": 2500.5, "currency": "EUR"}, "14 days": [{"amount": 500, "currency": "EUR"}, {"amount": 600, "currency": "USD"}]},
               "entitlements": {"channel": "fax", "canUseApi": true}, "limits": {"maxBots": -1},
               "usage": {"faxes": [{"included": 10, "overageRate": 15, "unit": 10, "rounding": "exact", "currency": "EUR"},
                                   {"model": "graduated", "currency": "USD", "pricing": {"tiers": [{"up_to": 100, "unit_amount": 2}, {"up_to": null, "unit_amount": 1, "flat_amount": 5}]}}]},
               "trial": {"days": 7, "requiresPaymentMethod": true, "endBehavior": "pause"}, "usageInterval": "quarterly", "graceDays": 5, "metadata": {"a": null},
               "minQuantity": 2, "maxQuantity": 9, "visible": false, "sortOrder": 4, "display": {"color": "red"}}],
    "promoCodes": [{"code": "FAX", "type": "percentage", "value": 12.5, "config": {"forever": true}, "combinable": false,
                    "restrictions": {"startsAt": "2026-03-01T10:00:00.5-03:00", "validIntervals": ["mensual", "14 day"]}}]}') i;
SELECT code, currency, monthly_amount, prices, entitlements, limits, usage, visible FROM qzpay.plans WHERE code = 'fax' ORDER BY currency;
SELECT usage_interval_unit, usage_interval_count, trial_end_behavior, tier_rank, display, metadata FROM qzpay.products WHERE code = 'fax';
-- fees, a paid trial and terms of the plan; a number alone is in the currency of the prices
SELECT i.action, i.kind, i.code, i.after FROM qzpay.import_catalog('{
    "plans": [{"id": "telex", "name": "Telex", "prices": {"month": {"amount": 900, "currency": "EUR"}}, "setupFee": 500, "trial": {"days": 5, "price": 99, "reuse": "per_plan", "reminderDays": [1, 3.0, 3]},
               "expiringReminderDays": [], "lateRenewalDays": 4, "prorationUnit": "day", "invoiceDraftHours": 6, "graceDays": 2.0}],
    "addons": [{"id": "paper", "name": "Paper", "prices": {"year": [{"amount": 100, "currency": "EUR"}, {"amount": 120, "currency": "USD"}]}, "setupFee": {"EUR": 10, "USD": 0}, "prorate": false}]}') i;
SELECT code, currency, prices, setup_fee, trial_price FROM qzpay.plans WHERE code = 'telex';
SELECT code, currency, yearly_per_month, setup_fee, is_prorated FROM qzpay.addons WHERE code = 'paper' ORDER BY currency;
SELECT trial_reuse, trial_reminder_days, expiring_reminder_days, late_renewal_days, proration_unit, invoice_draft_hours, grace_days FROM qzpay.products WHERE code = 'telex';
SELECT e.product -> 'setupFee' AS setup_fee, e.product -> 'trial' AS trial, e.product -> 'prices' AS prices
FROM jsonb_path_query(qzpay.export_catalog(), '$.*[*] ? (@.id == "telex" || @.id == "paper")') AS e (product) ORDER BY 1;
SELECT part, billing_interval, unit_amount, is_sold, subscriptions FROM qzpay.price_history WHERE code = 'telex' ORDER BY 1;
SELECT conditions, valid_from AT TIME ZONE 'UTC' AS valid_from, forever, stackable FROM qzpay.discounts WHERE code = 'FAX';
SELECT count(*) AS differences FROM qzpay.import_catalog(qzpay.export_catalog()) i;
-- the kind of a product never changes, nor does the type of a feature
SELECT r.* FROM (VALUES ('{"addons": [{"id": "fax", "name": "Fax"}]}'::jsonb), ('{"features": {"maxBots": {}}}'), ('{"limits": {"channel": {}}}'),
                        ('{"plans": [{"id": "telex", "name": "Telex", "entitlements": {"channel": true}}]}')) AS v (doc), refusal(doc) r;
-- a code in another case is the same code; a limit below what was used is refused
UPDATE qzpay.discounts SET uses = 3 WHERE code = 'TRIAL7EXTRA';
SELECT r.* FROM (VALUES ('{"promoCodes": [{"code": "trial7extra", "type": "trial_extension", "value": 7, "restrictions": {"maxUses": 2}}]}'::jsonb)) AS v (doc), refusal(doc) r;
SELECT i.* FROM qzpay.import_catalog('{"promoCodes": [{"code": "trial7extra", "type": "trial_extension", "value": 7, "restrictions": {"maxUses": 3}}]}') i;
-- a charge decides over the limit it is bound to
SELECT i.* FROM document, qzpay.import_catalog(jsonb_set(doc, '{plans,2,usage,messages,included}', '9000'), dry_run => true) i WHERE i.kind = 'charge';
ROLLBACK;

-- settings
SELECT qzpay.setting('default_plan'), qzpay.setting('trial_reminder_days'), qzpay.setting('late_renewal_days');
SELECT qzpay.setting('late_renewal_dyas');
SELECT qzpay.set_setting('late_renewal_dyas', '1');
SELECT qzpay.set_setting('late_renewal_days', '-1');
SELECT qzpay.set_setting('late_renewal_days', '"30"');
SELECT qzpay.set_setting('trial_reminder_days', '[7, 0]');
SELECT qzpay.set_setting('trial_reminder_days', '7');
SELECT qzpay.set_setting('default_plan', '"gold"');
SELECT qzpay.set_setting('default_currency', '"usd"');
SELECT qzpay.set_setting('default_plan', NULL);
BEGIN;
SELECT qzpay.set_setting('trial_reminder_days', '[14]'), qzpay.setting('trial_reminder_days');
SELECT qzpay.set_setting('default_plan', 'null') AS was;
ROLLBACK;

-- the same document in another, empty installation; ids are the installation's own
\pset format unaligned
\pset tuples_only on
SELECT qzpay.export_catalog() AS exported \gset
\pset format aligned
\pset tuples_only off
SELECT md5(string_agg(id::text, '' ORDER BY id)) AS ids FROM qzpay.products \gset
\c regress_qzpay_catalog_2
SET client_min_messages = warning;
CREATE EXTENSION qzpay CASCADE;
SELECT count(*) FROM qzpay.install();
SELECT i.action, i.kind, count(*) FROM qzpay.import_catalog(:'exported') i GROUP BY i.action, i.kind ORDER BY i.action, i.kind;
SELECT count(*) AS again FROM qzpay.import_catalog(:'exported') i;
SELECT qzpay.export_catalog() = :'exported'::jsonb AS same_document;
SELECT md5(string_agg(id::text, '' ORDER BY id)) = :'ids' AS same_ids FROM qzpay.products;
\set document `cat examples/asistia/catalog.json`
SELECT count(*) AS original FROM qzpay.import_catalog(:'document') i;

\c postgres
DROP DATABASE regress_qzpay_catalog_1;
DROP DATABASE regress_qzpay_catalog_2;
