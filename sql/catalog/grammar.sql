-- What a catalog document may say. The grammar is data, so that the check for unknown keys, wrong types and wrong ranges is one function.
-- shape: one; amounts (one, or map currency -> value); list; map (code -> value); entries (list, or map whose keys stand for missing ids); one or list; map of one or list.
-- type: a scalar, or @record. low and high bound numbers; choices are the words of an enumeration.
CREATE OR REPLACE FUNCTION qzpay._catalog_grammar()
RETURNS TABLE (record text, key text, shape text, type text, required boolean, low numeric, high numeric, choices text[])
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 200
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT unnest(g.records), g.key, g.shape, g.type, g.required, g.low, g.high, g.choices
    FROM (VALUES
        ('{document}'::text[], 'currency', 'one', 'currency', false, NULL::numeric, NULL::numeric, NULL::text[]),
        ('{document}', 'defaultPlan', 'one', 'code', false, NULL, NULL, NULL),
        ('{document}', 'meters', 'entries', '@meter', false, NULL, NULL, NULL),
        ('{document}', 'features', 'entries', '@feature', false, NULL, NULL, NULL),
        ('{document}', 'limits', 'entries', '@limit', false, NULL, NULL, NULL),
        ('{document}', 'plans', 'list', '@plan', false, NULL, NULL, NULL),
        ('{document}', 'addons', 'entries', '@addon', false, NULL, NULL, NULL),
        ('{document}', 'plugins', 'entries', '@addon', false, NULL, NULL, NULL),
        ('{document}', 'services', 'entries', '@service', false, NULL, NULL, NULL),
        ('{document}', 'promoCodes', 'entries', '@promo', false, NULL, NULL, NULL),
        ('{document}', 'automaticDiscounts', 'entries', '@automatic', false, NULL, NULL, NULL),
        ('{document}', 'taxRates', 'entries', '@tax', false, NULL, NULL, NULL),
        ('{tax}', 'id', 'one', 'code', false, NULL, NULL, NULL),
        ('{tax}', 'name', 'one', 'text', false, NULL, NULL, NULL),
        ('{tax}', 'tax', 'one', 'text', false, NULL, NULL, NULL),
        ('{tax}', 'percentage', 'one', 'quantity', true, NULL, NULL, NULL),
        ('{tax}', 'inclusive', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{tax}', 'automatic', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{tax}', 'seller', 'one', 'text', false, NULL, NULL, NULL),
        ('{tax}', 'country', 'one', 'text', false, NULL, NULL, NULL),
        ('{tax}', 'region', 'one', 'text', false, NULL, NULL, NULL),
        ('{tax}', 'products', 'list', 'code', false, NULL, NULL, NULL),
        ('{tax}', 'categories', 'list', 'text', false, NULL, NULL, NULL),
        ('{tax}', 'validFrom', 'one', 'instant', false, NULL, NULL, NULL),
        ('{tax}', 'validUntil', 'one', 'instant', false, NULL, NULL, NULL),
        ('{meter,feature,limit,plan,addon,service,automatic}', 'id', 'one', 'code', false, NULL, NULL, NULL),
        ('{promo}', 'code', 'one', 'code', false, NULL, NULL, NULL),
        ('{meter,feature,limit,promo,automatic}', 'name', 'one', 'text', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'name', 'one', 'text', true, NULL, NULL, NULL),
        ('{feature,limit,plan,addon,service,promo,automatic}', 'description', 'one', 'text', false, NULL, NULL, NULL),
        ('{meter,plan,addon,service,price,promo,automatic}', 'metadata', 'one', 'metadata', false, NULL, NULL, NULL),
        ('{meter,plan,addon,service,promo,automatic}', 'active', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{meter,plan,addon,service}', 'unit', 'one', 'text', false, NULL, NULL, NULL),
        ('{meter}', 'aggregation', 'one', 'word', false, NULL, NULL, '{sum,count,max,last,unique,avg}'),
        ('{meter}', 'dimensions', 'list', 'code', false, NULL, NULL, NULL),
        ('{meter}', 'valueProperty', 'one', 'code', false, NULL, NULL, NULL),
        ('{feature}', 'kind', 'one', 'word', false, NULL, NULL, '{boolean,text}'),
        ('{limit}', 'kind', 'one', 'word', false, NULL, NULL, '{stock,period,rate,value,concurrency}'),
        ('{limit}', 'meter', 'one', 'code', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'aliases', 'list', 'code', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'categories', 'list', 'text', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'prices', 'map of one or list', '@price', false, NULL, NULL, NULL),
        ('{addon,service}', 'price', 'one', 'amount', false, NULL, NULL, NULL),
        ('{addon}', 'pricePerUnit', 'one', 'amount', false, NULL, NULL, NULL),
        ('{addon}', 'interval', 'one', 'interval', false, NULL, NULL, NULL),
        ('{addon,service,price,charge,config}', 'currency', 'one', 'currency', false, NULL, NULL, NULL),
        ('{plan,addon}', 'setupFee', 'amounts', 'amount', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'tenant', 'one', 'text', false, NULL, NULL, NULL),
        ('{plan}', 'includesAddons', 'list', 'code', false, NULL, NULL, NULL),
        ('{plan}', 'applicableAddons', 'list', 'code', false, NULL, NULL, NULL),
        ('{addon}', 'prorate', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{plan}', 'expiringReminderDays', 'list', 'integer', false, 1, 999, NULL),
        ('{plan}', 'lateRenewalDays', 'one', 'integer', false, 0, 3650, NULL),
        ('{plan}', 'prorationUnit', 'one', 'word', false, NULL, NULL, '{second,day}'),
        ('{plan}', 'invoiceDraftHours', 'one', 'integer', false, 0, 720, NULL),
        ('{plan}', 'usageLateHours', 'one', 'integer', false, 0, 720, NULL),
        ('{plan,addon}', 'entitlements', 'map', 'entitlement', false, NULL, NULL, NULL),
        ('{plan,addon}', 'limits', 'map', 'limit', false, NULL, NULL, NULL),
        ('{plan,addon}', 'usage', 'map of one or list', '@charge', false, NULL, NULL, NULL),
        ('{plan}', 'overage', 'map', 'amount', false, NULL, NULL, NULL),
        ('{plan}', 'trial', 'one', '@trial', false, NULL, NULL, NULL),
        ('{plan}', 'tierRank', 'one', 'integer', false, 0, 1000000, NULL),
        ('{plan}', 'usageInterval', 'one', 'interval', false, NULL, NULL, NULL),
        ('{plan}', 'graceDays', 'one', 'integer', false, 0, 3650, NULL),
        ('{plan}', 'graceAccess', 'one', 'word', false, NULL, NULL, '{full,limited,none}'),
        ('{plan,addon}', 'limitedFeatures', 'list', 'code', false, NULL, NULL, NULL),
        ('{plan}', 'dunningPolicy', 'one', 'code', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'minQuantity', 'one', 'integer', false, 0, 1000000000, NULL),
        ('{plan,addon,service}', 'maxQuantity', 'one', 'integer', false, 0, 1000000000, NULL),
        ('{plan,addon,service}', 'selfService', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'visible', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'displayFeatures', 'list', 'text', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'isFeatured', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'badgeText', 'one', 'text', false, NULL, NULL, NULL),
        ('{plan,addon,service}', 'sortOrder', 'one', 'integer', false, -1000000, 1000000, NULL),
        ('{plan,addon,service}', 'display', 'one', 'object', false, NULL, NULL, NULL),
        ('{addon,service}', 'requiredPlan', 'one or list', 'code', false, NULL, NULL, NULL),
        ('{addon,service}', 'applicablePlans', 'one or list', 'code', false, NULL, NULL, NULL),
        ('{addon}', 'includedIn', 'list', 'code', false, NULL, NULL, NULL),
        ('{addon,service}', 'requires', 'list', 'code', false, NULL, NULL, NULL),
        ('{addon,service}', 'incompatibleWith', 'list', 'code', false, NULL, NULL, NULL),
        ('{price}', 'amount', 'one', 'amount', true, NULL, NULL, NULL),
        ('{price}', 'commitment', 'one', 'amount', false, NULL, NULL, NULL),
        ('{trial}', 'days', 'one', 'integer', true, 0, 3650, NULL),
        ('{trial}', 'price', 'amounts', 'amount', false, NULL, NULL, NULL),
        ('{trial}', 'reuse', 'one', 'word', false, NULL, NULL, '{never,per_plan,always}'),
        ('{trial}', 'reminderDays', 'list', 'integer', false, 1, 999, NULL),
        ('{trial}', 'requiresPaymentMethod', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{trial}', 'endBehavior', 'one', 'word', false, NULL, NULL, '{cancel,pause,past_due}'),
        ('{charge}', 'included', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{charge}', 'overageRate', 'one', 'amount', false, NULL, NULL, NULL),
        ('{charge}', 'unit', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{charge}', 'rounding', 'one', 'word', false, NULL, NULL, '{started,exact}'),
        ('{charge}', 'limitType', 'one', 'word', false, NULL, NULL, '{hard,soft,none}'),
        ('{charge}', 'displayName', 'one', 'text', false, NULL, NULL, NULL),
        ('{charge}', 'model', 'one', 'word', false, NULL, NULL, '{flat,per_unit,graduated,volume,package,percentage,graduated_percentage,dynamic}'),
        ('{charge}', 'pricing', 'one', '@pricing', false, NULL, NULL, NULL),
        ('{pricing}', 'amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing,tier}', 'unit_amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'size', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{pricing}', 'tiers', 'list', '@tier', false, NULL, NULL, NULL),
        ('{pricing}', 'flat_on_zero', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{pricing,tier}', 'rate', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'fixed_amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'free_events', 'one', 'integer', false, 0, 1e15, NULL),
        ('{pricing}', 'free_amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'event_minimum', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'event_maximum', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'multiplier', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'minimum_amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'maximum_amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{pricing}', 'rounding', 'one', 'word', false, NULL, NULL, '{half_up,half_even}'),
        ('{tier}', 'up_to', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{tier}', 'flat_amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{promo,automatic}', 'type', 'one', 'word', true, NULL, NULL, '{percentage,fixed_amount,free_period,reduced_period,trial_extension,free_shipping,volume,amount_threshold}'),
        ('{promo,automatic}', 'value', 'one', 'amount', false, NULL, NULL, NULL),
        ('{promo,automatic}', 'tiers', 'list', '@discount_tier', false, NULL, NULL, NULL),
        ('{discount_tier}', 'from', 'one', 'quantity', true, NULL, NULL, NULL),
        ('{discount_tier}', 'percentage', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{discount_tier}', 'amount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{promo,automatic}', 'config', 'one', '@config', false, NULL, NULL, NULL),
        ('{promo,automatic}', 'appliesTo', 'one', 'word', false, NULL, NULL, '{subscription,one-time,all}'),
        ('{promo,automatic}', 'priority', 'one', 'integer', false, -1000000, 1000000, NULL),
        ('{config}', 'periods', 'one', 'integer', false, 1, 1200, NULL),
        ('{config}', 'forever', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{promo}', 'combinable', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{promo}', 'restrictions', 'one', '@restrictions', false, NULL, NULL, NULL),
        ('{restrictions}', 'maxUses', 'one', 'integer', false, 1, 2147483647, NULL),
        ('{restrictions}', 'maxUsesPerCustomer', 'one', 'integer', false, 1, 2147483647, NULL),
        ('{restrictions}', 'startsAt', 'one', 'instant', false, NULL, NULL, NULL),
        ('{restrictions}', 'expiresAt', 'one', 'instant', false, NULL, NULL, NULL),
        ('{automatic}', 'stackable', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{automatic}', 'maxRedemptions', 'one', 'integer', false, 1, 2147483647, NULL),
        ('{automatic}', 'maxRedemptionsPerCustomer', 'one', 'integer', false, 1, 2147483647, NULL),
        ('{automatic}', 'validFrom', 'one', 'instant', false, NULL, NULL, NULL),
        ('{automatic}', 'validUntil', 'one', 'instant', false, NULL, NULL, NULL),
        ('{automatic}', 'conditions', 'one', '@conditions', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'newCustomersOnly', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'isFirstPurchase', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'isUpgrade', 'one', 'boolean', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'validPlans', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'fromPlans', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'toPlans', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'validProducts', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'excludedProducts', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'validIntervals', 'list', 'interval', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'minAmount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'maxAmount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'minQuantity', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'minQuantityPerProduct', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'of', 'one', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'allProducts', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'excludedCategories', 'list', 'text', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'lineKinds', 'list', 'word', false, NULL, NULL, '{plan,addon,service,usage,setup,commitment}'),
        -- Other words for some of these; _catalog_discount_body() says what they become.
        ('{restrictions,conditions}', 'minPurchaseAmount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'maxPurchaseAmount', 'one', 'amount', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'customerSegments', 'list', 'text', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'products', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'excludeProducts', 'list', 'code', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'excludeCategories', 'list', 'text', false, NULL, NULL, NULL),
        ('{conditions}', 'validFrom', 'one', 'instant', false, NULL, NULL, NULL),
        ('{conditions}', 'validUntil', 'one', 'instant', false, NULL, NULL, NULL),
        ('{conditions}', 'maxRedemptions', 'one', 'integer', false, 1, 2147483647, NULL),
        ('{conditions}', 'maxRedemptionsPerCustomer', 'one', 'integer', false, 1, 2147483647, NULL),
        ('{restrictions,conditions}', 'segments', 'list', 'text', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'categories', 'list', 'text', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'registeredAfter', 'one', 'instant', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'usageThreshold', 'one', '@threshold', false, NULL, NULL, NULL),
        ('{restrictions,conditions}', 'schedule', 'one', '@schedule', false, NULL, NULL, NULL),
        ('{threshold}', 'metric', 'one', 'code', true, NULL, NULL, NULL),
        ('{threshold}', 'minValue', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{threshold}', 'maxValue', 'one', 'quantity', false, NULL, NULL, NULL),
        ('{schedule}', 'hours', 'one', '@hours', false, NULL, NULL, NULL),
        ('{schedule}', 'days', 'list', 'word', false, NULL, NULL, '{monday,tuesday,wednesday,thursday,friday,saturday,sunday}'),
        ('{schedule}', 'timezone', 'one', 'timezone', false, NULL, NULL, NULL),
        ('{hours}', 'from', 'one', 'integer', true, 0, 23, NULL),
        ('{hours}', 'to', 'one', 'integer', true, 1, 24, NULL)
    ) AS g (records, key, shape, type, required, low, high, choices);
END $$;
COMMENT ON FUNCTION qzpay._catalog_grammar() IS
'The keys of every record of a catalog document, with shape, type and range. What is not here is refused, so that a typing error is never a default.';

CREATE OR REPLACE FUNCTION qzpay._catalog_fault(p_path text, p_message text, p_hint text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_hint IS NULL THEN
        RAISE EXCEPTION 'invalid catalog document: %', p_message USING ERRCODE = 'QZ601', DETAIL = p_path;
    END IF;
    RAISE EXCEPTION 'invalid catalog document: %', p_message USING ERRCODE = 'QZ601', DETAIL = p_path, HINT = p_hint;
END $$;
COMMENT ON FUNCTION qzpay._catalog_fault(text, text, text) IS 'Refuses a catalog document (QZ601); DETAIL is the JSON path of the fault.';

CREATE OR REPLACE FUNCTION qzpay._catalog_path(p_path text, p_key text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN p_key !~ '^[A-Za-z_][A-Za-z0-9_]*$' THEN p_path || '[' || to_json(p_key)::text || ']'
                WHEN p_path = '' THEN p_key
                ELSE p_path || '.' || p_key END;
END $$;
COMMENT ON FUNCTION qzpay._catalog_path(text, text) IS 'JSON path of a key: a.b, or a["b c"] where the key is no identifier.';

-- These small ones are PL/pgSQL because they are called hundreds of times per document, and SQL bodies are planned anew each time.
CREATE OR REPLACE FUNCTION qzpay._catalog_entries(p_path text, p_value jsonb) RETURNS TABLE (path text, key text, ordinal bigint, item jsonb)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_value) = 'array' THEN
        RETURN QUERY SELECT p_path || '[' || a.ordinal - 1 || ']', NULL::text, a.ordinal, a.item FROM jsonb_array_elements(p_value) WITH ORDINALITY AS a (item, ordinal);
    ELSIF jsonb_typeof(p_value) = 'object' THEN
        RETURN QUERY SELECT qzpay._catalog_path(p_path, o.key), o.key, row_number() OVER (ORDER BY o.key COLLATE "C"), o.item FROM jsonb_each(p_value) AS o (key, item);
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._catalog_entries(text, jsonb) IS 'Elements of an array or members of an object, each with its JSON path; none for anything else.';

CREATE OR REPLACE FUNCTION qzpay._catalog_each(p_path text, p_value jsonb) RETURNS TABLE (path text, ordinal bigint, item jsonb)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 2
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_value) = 'array' THEN
        RETURN QUERY SELECT e.path, e.ordinal, e.item FROM qzpay._catalog_entries(p_path, p_value) e;
    ELSIF jsonb_typeof(p_value) <> 'null' THEN
        RETURN QUERY SELECT p_path, 1::bigint, p_value;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._catalog_each(text, jsonb) IS 'For what may be one value or a list of them: each value with its JSON path.';

CREATE OR REPLACE FUNCTION qzpay._catalog_interval(p_text text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_parts text[] := regexp_match(p_text, '^(?:([1-9][0-9]{0,3}) +)?(\S+)$');
    v_name text := v_parts[2];
    v_count bigint := coalesce(v_parts[1], '1')::bigint;
    v_interval record;
BEGIN
    IF v_parts IS NULL OR p_text = 'once' THEN
        RETURN CASE WHEN p_text = 'once' THEN p_text END;
    END IF;
    IF v_count > 1 THEN
        v_name := regexp_replace(v_name, '^(day|week|month|year)s$', '\1');
    END IF;
    BEGIN
        SELECT i.unit, i.count INTO v_interval FROM qzpay.interval_parse(v_name) i;
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END;
    v_count := v_count * v_interval.count;
    RETURN CASE WHEN v_count = 1 THEN v_interval.unit WHEN v_count <= 1000 THEN v_count || ' ' || v_interval.unit END;
END $$;
COMMENT ON FUNCTION qzpay._catalog_interval(text) IS
'Canonical name of an interval: once, month, 3 month … from any name interval_parse() knows, with a count before it if wanted; NULL when it is none.';

CREATE OR REPLACE FUNCTION qzpay._catalog_instant(p_text text, p_end_of_day boolean) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_text ~ '^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)$' THEN
        RETURN p_text::timestamptz;
    ELSIF p_text ~ '^\d{4}-\d{2}-\d{2}$' THEN
        RETURN (p_text::date + p_end_of_day::int)::timestamp
               AT TIME ZONE coalesce((SELECT s.timezone FROM qzpay.sellers s WHERE s.is_default), 'UTC');
    END IF;
    RETURN NULL;
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay._catalog_instant(text, boolean) IS
'An ISO 8601 instant with its zone, or a date: its first instant in the default seller''s zone, or for an end the first instant after that day. NULL when it is neither.';

CREATE OR REPLACE FUNCTION qzpay._catalog_instant_text(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '\.?0+$', '') || 'Z'
$$;
COMMENT ON FUNCTION qzpay._catalog_instant_text(timestamptz) IS 'An instant as the catalog document writes it: ISO 8601 in UTC.';

CREATE OR REPLACE FUNCTION qzpay._catalog_check_scalar(p_path text, p_value jsonb, p_type text, p_low numeric, p_high numeric, p_choices text[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_text text := p_value #>> '{}';
    v_want text := CASE WHEN p_type IN ('code', 'text', 'word', 'currency', 'interval', 'instant', 'timezone') THEN 'string'
                        WHEN p_type IN ('integer', 'amount', 'quantity') THEN 'number'
                        WHEN p_type IN ('boolean', 'object') THEN p_type WHEN p_type = 'metadata' THEN 'object' END;
    v_is text := jsonb_typeof(p_value);
    v_number numeric := CASE WHEN v_is = 'number' THEN v_text::numeric END;
    v_shown text := left(p_value::text, 60);
BEGIN
    IF v_is <> v_want THEN
        PERFORM qzpay._catalog_fault(p_path, format('a %s is wanted, not %s', v_want, v_shown));
    ELSIF p_type IN ('code', 'text') AND v_text !~ '\S' OR p_type = 'code' AND v_text !~ '^[^[:space:][:cntrl:]/]{1,100}$' THEN
        PERFORM qzpay._catalog_fault(p_path, format('a %s is wanted, not %s', p_type, v_shown),
                                     CASE p_type WHEN 'code' THEN 'A code has 1 to 100 characters, no blanks and no slash.' END);
    ELSIF p_type = 'word' AND NOT v_text = ANY (p_choices) THEN
        PERFORM qzpay._catalog_fault(p_path, format('%s is not one of %s', v_shown, array_to_string(p_choices, ', ')));
    ELSIF p_type = 'integer' AND (trunc(v_number) <> v_number OR v_number NOT BETWEEN p_low AND p_high) THEN
        PERFORM qzpay._catalog_fault(p_path, format('an integer from %s to %s is wanted, not %s', p_low, p_high, v_shown));
    ELSIF p_type IN ('amount', 'quantity') AND (v_number < 0 OR v_number >= 1e15 OR scale(trim_scale(v_number)) > 12) THEN
        PERFORM qzpay._catalog_fault(p_path, format('%s is not an %s', v_shown, CASE p_type WHEN 'amount' THEN 'amount in minor units' ELSE 'allowed quantity' END),
                                     'Numbers are not negative, below 10^15, with at most 12 decimals.');
    ELSIF p_type = 'limit' AND v_is <> 'null' AND NOT coalesce(v_number = -1 OR v_number >= 0 AND v_number < 1e15, lower(v_text) IN ('inf', 'infinity') AND v_is = 'string') THEN
        PERFORM qzpay._catalog_fault(p_path, format('%s is not a limit', v_shown), 'A limit is a number; null, -1, "inf" and "Infinity" mean unlimited.');
    ELSIF p_type = 'entitlement' AND NOT (v_is = 'boolean' OR v_is = 'string' AND v_text ~ '\S') THEN
        PERFORM qzpay._catalog_fault(p_path, format('%s is not an entitlement', v_shown), 'An entitlement is true, false or a text.');
    ELSIF p_type = 'interval' AND qzpay._catalog_interval(v_text) IS NULL THEN
        PERFORM qzpay._catalog_fault(p_path, format('unknown interval %s', v_shown));
    ELSIF p_type = 'instant' AND qzpay._catalog_instant(v_text, false) IS NULL THEN
        PERFORM qzpay._catalog_fault(p_path, format('%s is neither a date nor an instant', v_shown), 'Write 2025-12-31 or 2025-12-31T23:00:00Z.');
    ELSIF p_type = 'timezone' AND NOT qzpay._known_timezone(v_text) THEN
        PERFORM qzpay._catalog_fault(p_path, format('unknown time zone %s', v_shown));
    ELSIF p_type = 'metadata' THEN
        BEGIN
            PERFORM qzpay._check_metadata(p_value);
        EXCEPTION WHEN invalid_parameter_value THEN
            PERFORM qzpay._catalog_fault(p_path, SQLERRM);
        END;
    ELSIF p_type = 'currency' THEN
        BEGIN
            PERFORM qzpay.currency_exponent(v_text);
            IF v_text !~ '^[A-Z]{3}$' THEN
                RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'lower case';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            PERFORM qzpay._catalog_fault(p_path, format('unknown currency %s', v_shown), 'Currencies are ISO 4217 codes such as USD.');
        END;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._catalog_check_scalar(text, jsonb, text, numeric, numeric, text[]) IS 'Refuses a value of a catalog document that is not of this type and range.';

CREATE OR REPLACE FUNCTION qzpay._catalog_check(p_path text, p_value jsonb, p_shape text, p_type text,
        p_low numeric DEFAULT NULL, p_high numeric DEFAULT NULL, p_choices text[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_record text := substr(p_type, 2);
    v_is text := coalesce(jsonb_typeof(p_value), 'nothing');
    v_row record;
BEGIN
    IF p_shape = 'amounts' AND v_is = 'object' THEN
        FOR v_row IN SELECT e.path, e.item, e.key FROM qzpay._catalog_entries(p_path, p_value) e LOOP
            PERFORM qzpay._catalog_check_scalar(v_row.path, to_jsonb(v_row.key), 'currency', NULL, NULL, NULL);
            PERFORM qzpay._catalog_check_scalar(v_row.path, v_row.item, p_type, p_low, p_high, p_choices);
        END LOOP;
    ELSIF p_shape NOT IN ('one', 'amounts') THEN
        IF p_shape = 'list' AND v_is <> 'array' OR p_shape IN ('map', 'map of one or list') AND v_is <> 'object'
           OR p_shape = 'entries' AND v_is NOT IN ('array', 'object') THEN
            PERFORM qzpay._catalog_fault(p_path, format('%s is wanted, not %s',
                CASE p_shape WHEN 'list' THEN 'an array' WHEN 'entries' THEN 'an array or an object' ELSE 'an object' END, left(p_value::text, 60)));
        END IF;
        FOR v_row IN SELECT e.path, e.item, e.key FROM qzpay._catalog_entries(p_path, p_value) e WHERE p_shape <> 'one or list'
                     UNION ALL SELECT e.path, e.item, NULL FROM qzpay._catalog_each(p_path, p_value) e WHERE p_shape = 'one or list' LOOP
            IF v_row.key IS NOT NULL THEN
                PERFORM qzpay._catalog_check_scalar(v_row.path, to_jsonb(v_row.key), CASE WHEN p_type = '@price' THEN 'interval' ELSE 'code' END, NULL, NULL, NULL);
            END IF;
            PERFORM qzpay._catalog_check(v_row.path, v_row.item, CASE WHEN p_shape = 'map of one or list' THEN 'one or list' ELSE 'one' END,
                                         p_type, p_low, p_high, p_choices);
        END LOOP;
    ELSIF p_type NOT LIKE '@%' THEN
        PERFORM qzpay._catalog_check_scalar(p_path, p_value, p_type, p_low, p_high, p_choices);
    ELSIF v_is <> 'object' THEN
        PERFORM qzpay._catalog_fault(p_path, format('an object is wanted, not %s', left(p_value::text, 60)));
    ELSE
        FOR v_row IN
            SELECT g.*, d.key AS given, d.value
            FROM jsonb_each(p_value) d
            FULL JOIN (SELECT * FROM qzpay._catalog_grammar() g WHERE g.record = v_record) g ON g.key = d.key
            WHERE d.key IS NOT NULL OR g.required
            ORDER BY g.key IS NOT NULL, coalesce(d.key, g.key) COLLATE "C"
        LOOP
            IF v_row.key IS NULL THEN
                PERFORM qzpay._catalog_fault(qzpay._catalog_path(p_path, v_row.given), format('unknown key "%s"', v_row.given),
                    (SELECT 'Known here: ' || string_agg(g.key, ', ' ORDER BY g.key COLLATE "C") || '.' FROM qzpay._catalog_grammar() g WHERE g.record = v_record));
            ELSIF v_row.given IS NULL OR v_row.required AND jsonb_typeof(v_row.value) = 'null' THEN
                PERFORM qzpay._catalog_fault(qzpay._catalog_path(p_path, v_row.key), format('"%s" is missing', v_row.key));
            ELSIF jsonb_typeof(v_row.value) <> 'null' THEN
                PERFORM qzpay._catalog_check(qzpay._catalog_path(p_path, v_row.key), v_row.value, v_row.shape, v_row.type, v_row.low, v_row.high, v_row.choices);
            END IF;
        END LOOP;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._catalog_check(text, jsonb, text, text, numeric, numeric, text[]) IS
'Refuses whatever in a catalog document the grammar does not know: unknown and missing keys, wrong types, values out of range. An optional key may be null.';
