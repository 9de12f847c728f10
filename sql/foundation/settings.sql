CREATE OR REPLACE FUNCTION qzpay.setting(name text) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_value jsonb;
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION 'name must not be null' USING ERRCODE = '22004';
    END IF;
    SELECT s.value INTO v_value FROM qzpay.settings s WHERE s.name = setting.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown setting "%"', name USING ERRCODE = 'QZ404', HINT = 'Settings are listed in qzpay.settings.';
    END IF;
    RETURN v_value;
END $$;
COMMENT ON FUNCTION qzpay.setting(text) IS 'Value of a setting of the installation; JSON null where nothing is set. Errors: QZ404 for an unknown name.';

CREATE OR REPLACE FUNCTION qzpay._setting_fits(p_name text, p_value jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_text text := p_value #>> '{}';
    v_is text := jsonb_typeof(p_value);
BEGIN
    CASE p_name
    WHEN 'default_plan' THEN
        RETURN v_is = 'null' OR v_is = 'string' AND EXISTS (SELECT FROM qzpay.products p WHERE p.code = v_text AND p.kind = 'plan' AND p.tenant_id IS NULL);
    WHEN 'default_currency' THEN
        RETURN v_is = 'string' AND v_text ~ '^[A-Z]{3}$' AND qzpay.currency_exponent(v_text) IS NOT NULL;
    WHEN 'dunning_policy' THEN
        RETURN v_is = 'string' AND EXISTS (SELECT FROM qzpay.dunning_policies d WHERE d.code = v_text);
    WHEN 'signup_plan' THEN
        RETURN v_is = 'null' OR v_is = 'string' AND EXISTS (SELECT FROM qzpay.products p WHERE p.code = v_text AND p.kind = 'plan' AND p.tenant_id IS NULL);
    WHEN 'invoice_consolidation' THEN
        RETURN p_value IN ('"none"', '"day"');
    WHEN 'proration_unit' THEN
        RETURN p_value IN ('"second"', '"day"');
    WHEN 'proration_behavior' THEN
        RETURN p_value IN ('"always_invoice"', '"create_prorations"', '"none"');
    WHEN 'trial_reuse' THEN
        RETURN p_value IN ('"never"', '"per_plan"', '"always"');
    WHEN 'change_rules' THEN
        RETURN v_is = 'object' AND p_value ?& '{upgrade,downgrade,lateral}' AND NOT EXISTS (
            SELECT FROM jsonb_each(CASE WHEN v_is = 'object' THEN p_value ELSE '{}' END) r WHERE r.key NOT IN ('upgrade', 'downgrade', 'lateral') OR r.value NOT IN ('"now"', '"period_end"'));
    WHEN 'trial_reminder_days', 'expiring_reminder_days', 'payment_method_expiry_days' THEN
        RETURN v_is = 'array' AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE WHEN v_is = 'array' THEN p_value ELSE '[]' END) d (day)
                                              WHERE jsonb_typeof(d.day) <> 'number' OR d.day::text !~ '^[1-9][0-9]{0,2}$');
    WHEN 'discount_stacking' THEN
        RETURN v_is = 'string' AND v_text IN ('best_discount', 'all_stackable', 'automatic_first');
    WHEN 'discount_max_stacked' THEN
        RETURN v_is = 'null' OR v_is = 'number' AND v_text ~ '^[1-9][0-9]{0,3}$' AND v_text::integer <= 1000;
    WHEN 'late_renewal_days', 'overage_grace_days' THEN
        RETURN v_is = 'number' AND v_text ~ '^[0-9]{1,4}$' AND v_text::integer <= 3650;
    WHEN 'upcoming_invoice_days' THEN
        RETURN v_is = 'null' OR v_is = 'number' AND v_text ~ '^[1-9][0-9]{0,2}$' AND v_text::integer <= 365;
    WHEN 'usage_alert_percents' THEN
        RETURN v_is = 'array' AND jsonb_array_length(CASE WHEN v_is = 'array' THEN p_value ELSE '[]' END) <= 16
           AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE WHEN v_is = 'array' THEN p_value ELSE '[]' END) d (percent)
                           WHERE jsonb_typeof(d.percent) <> 'number' OR d.percent::text !~ '^([1-9][0-9]?|100)$');
    WHEN 'usage_late_window' THEN
        RETURN v_is = 'number' AND v_text ~ '^[0-9]{1,3}$' AND v_text::integer <= 720;
    WHEN 'usage_retention_months', 'audit_retention_months' THEN
        RETURN v_is = 'null' OR v_is = 'number' AND v_text ~ '^[0-9]{1,4}$' AND v_text::integer BETWEEN 3 AND 1200;
    WHEN 'tax_provider' THEN
        RETURN v_is = 'null' OR v_is = 'string' AND EXISTS (SELECT FROM qzpay.providers p WHERE p.code = v_text AND p.kind = 'tax' AND p.transport = 'internal' AND p.enabled);
    WHEN 'tax_exempt_note', 'tax_reverse_note' THEN
        RETURN v_is = 'string' AND length(v_text) BETWEEN 1 AND 500;
    WHEN 'invoice_draft_hours' THEN
        RETURN v_is = 'number' AND v_text ~ '^[0-9]{1,3}$' AND v_text::integer <= 720;
    WHEN 'overdue_reminder_days' THEN
        RETURN v_is = 'array' AND NOT EXISTS (SELECT FROM jsonb_array_elements(CASE WHEN v_is = 'array' THEN p_value ELSE '[]' END) d (day)
                                              WHERE jsonb_typeof(d.day) <> 'number' OR d.day::text !~ '^[1-9][0-9]{0,2}$');
    WHEN 'idempotency_days' THEN
        RETURN v_is = 'number' AND v_text ~ '^[0-9]{1,4}$' AND v_text::integer BETWEEN 35 AND 3650;
    ELSE
        -- A setting that the seller has added to the table is the seller's to judge.
        RETURN true;
    END CASE;
END $$;
COMMENT ON FUNCTION qzpay._setting_fits(text, jsonb) IS 'Whether a value is possible for a setting that qzpay itself reads.';

CREATE OR REPLACE FUNCTION qzpay.set_setting(name text, value jsonb) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_as_act';
COMMENT ON FUNCTION qzpay.set_setting(text, jsonb) IS
'Changes a setting of the installation and returns its value before. Running subscriptions keep what they were made with. Errors: QZ404 unknown name, 22023 impossible value.';

CREATE OR REPLACE FUNCTION qzpay._set_setting(name text, value jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_before jsonb := qzpay.setting(name);
BEGIN
    IF NOT coalesce(qzpay._setting_fits(name, value), false) THEN
        RAISE EXCEPTION 'setting "%" cannot be %', name, coalesce(value::text, 'NULL') USING ERRCODE = '22023',
            HINT = (SELECT s.description FROM qzpay.settings s WHERE s.name = _set_setting.name);
    END IF;
    UPDATE qzpay.settings s SET value = _set_setting.value WHERE s.name = _set_setting.name AND s.value <> _set_setting.value;
    RETURN v_before;
END $$;
COMMENT ON FUNCTION qzpay._set_setting(text, jsonb) IS 'Internal of set_setting().';

CREATE OR REPLACE FUNCTION qzpay._retention_months(p_setting text) RETURNS integer
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_value jsonb := qzpay.setting(p_setting);
BEGIN
    IF NOT coalesce(qzpay._setting_fits(p_setting, v_value), false) THEN
        RAISE EXCEPTION 'setting "%" cannot be %', p_setting, v_value USING ERRCODE = '22023', DETAIL = 'Nothing is forgotten by a setting that was not made by set_setting().';
    END IF;
    RETURN (v_value #>> '{}')::integer;
END $$;
COMMENT ON FUNCTION qzpay._retention_months(text) IS
'Months for which something is kept, by a setting; NULL: for ever. 22023 for a value that set_setting() would refuse: written to the table it would forget what is young.';
