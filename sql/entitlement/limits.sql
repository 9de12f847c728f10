-- Limits as constraints on the application's own tables.

CREATE OR REPLACE FUNCTION qzpay.enforce_limit() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_enforce_limit';
COMMENT ON FUNCTION qzpay.enforce_limit() IS
'Trigger for the application''s own tables: a customer can hold no more rows than its limit, from any client and under any concurrency. Arguments: the limit, the column with the customer (external id or id), '
'and optionally a column whose values each have the limit for themselves. AFTER INSERT, UPDATE and DELETE FOR EACH ROW, or FOR EACH STATEMENT with transition tables and TRUNCATE, as add_limit() makes them. '
'Rows that are there already are counted when first needed and stay, also above the limit. Errors: QZ402 limit reached, QZ401 unknown limit, QZ404 a row''s customer is unknown.';

CREATE OR REPLACE FUNCTION qzpay.add_limit(relation regclass, feature text, customer_column name, group_column name DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning AS $$
DECLARE
    -- With the event's name at most 63 bytes, beyond which the server would cut the names of different triggers to the same one.
    v_name text := 'qzpay_limit_' || CASE WHEN octet_length(feature) <= 42 THEN feature ELSE left(feature, 8) || '_' || left(md5(feature), 8) END;
    v_group text := coalesce(group_column, '');
    v_column name;
BEGIN
    IF relation IS NULL OR feature IS NULL OR customer_column IS NULL THEN
        RAISE EXCEPTION 'relation, feature and customer_column must not be null' USING ERRCODE = '22004';
    END IF;
    -- The triggers would find out only with the first row.
    FOREACH v_column IN ARRAY array_remove(ARRAY[customer_column, group_column], NULL) LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = v_column AND a.attnum > 0 AND NOT a.attisdropped) THEN
            RAISE EXCEPTION 'table "%" has no column "%"', relation, v_column USING ERRCODE = '42703';
        END IF;
    END LOOP;
    -- No row comes or goes between forgetting the old counts and the first trigger.
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', relation);
    PERFORM qzpay.recount_limit(relation, feature);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %s REFERENCING NEW TABLE AS qzpay_new '
                   'FOR EACH STATEMENT EXECUTE FUNCTION qzpay.enforce_limit(%L, %L, %L)', v_name || '_insert', relation, feature, customer_column, v_group);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON %s REFERENCING OLD TABLE AS qzpay_old NEW TABLE AS qzpay_new '
                   'FOR EACH STATEMENT EXECUTE FUNCTION qzpay.enforce_limit(%L, %L, %L)', v_name || '_update', relation, feature, customer_column, v_group);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON %s REFERENCING OLD TABLE AS qzpay_old '
                   'FOR EACH STATEMENT EXECUTE FUNCTION qzpay.enforce_limit(%L, %L, %L)', v_name || '_delete', relation, feature, customer_column, v_group);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION qzpay.enforce_limit(%L, %L, %L)', v_name || '_truncate', relation, feature, customer_column, v_group);
END $$;
COMMENT ON FUNCTION qzpay.add_limit(regclass, text, name, name) IS
'Puts enforce_limit() on a table for every way in which rows come, move and go; call it again to change the columns. The caller must own the table. Rows that are there already are counted, and stay. '
'Errors: QZ401 unknown limit, 42703 no such column, 42501 not the owner.';

CREATE OR REPLACE FUNCTION qzpay.recount_limit(relation regclass, feature text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_recount_limit';
COMMENT ON FUNCTION qzpay.recount_limit(regclass, text) IS
'Forgets what enforce_limit() has counted in a table, so that it counts anew: after triggers were disabled or dropped for a while. The caller must own the table. Error QZ401 unknown limit.';

CREATE OR REPLACE FUNCTION qzpay._move_counter(p_tenant uuid, p_customer uuid, p_feature text, p_relation oid, p_scope text, p_delta bigint, p_limit numeric,
        OUT moved boolean, OUT used bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    -- A count that drifted while triggers were disabled must not stop a deletion.
    UPDATE qzpay.limit_counters c SET used = greatest(c.used + p_delta, 0)
    WHERE c.tenant_id = p_tenant AND c.customer_id = p_customer AND c.feature_code = p_feature AND c.relation = p_relation AND c.scope = p_scope
      AND (p_delta <= 0 OR p_limit IS NULL OR c.used + p_delta <= p_limit)
    RETURNING true, c.used INTO moved, used;
    IF NOT FOUND THEN
        SELECT false, c.used INTO moved, used FROM qzpay.limit_counters c
        WHERE c.tenant_id = p_tenant AND c.customer_id = p_customer AND c.feature_code = p_feature AND c.relation = p_relation AND c.scope = p_scope;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay._move_counter(uuid, uuid, text, oid, text, bigint, numeric) IS
'Adds to a counter unless that exceeds the limit (NULL: none): moved true or false, and the count; both NULL where there is no counter.';

CREATE OR REPLACE FUNCTION qzpay._counter_value(p_tenant uuid, p_customer uuid, p_feature text, p_scope text) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT max(c.used) FROM qzpay.limit_counters c
            WHERE c.tenant_id = p_tenant AND c.customer_id = p_customer AND c.feature_code = p_feature AND c.scope = p_scope);
END $$;
COMMENT ON FUNCTION qzpay._counter_value(uuid, uuid, text, text) IS 'What is counted against a limit in one group, of several tables in the fullest; NULL where nothing is.';

CREATE OR REPLACE FUNCTION qzpay._start_counter(p_tenant uuid, p_customer uuid, p_feature text, p_relation oid, p_scope text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.limit_counters (tenant_id, customer_id, feature_code, relation, scope, used)
    VALUES (p_tenant, p_customer, p_feature, p_relation, p_scope, 0)
    ON CONFLICT (tenant_id, customer_id, feature_code, relation, scope) DO NOTHING;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._start_counter(uuid, uuid, text, oid, text) IS 'Makes a counter at 0; false where another transaction has made it, whose end is waited for.';

CREATE OR REPLACE FUNCTION qzpay._set_counter(p_tenant uuid, p_customer uuid, p_feature text, p_relation oid, p_scope text, p_used bigint) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.limit_counters c SET used = p_used
    WHERE c.tenant_id = p_tenant AND c.customer_id = p_customer AND c.feature_code = p_feature AND c.relation = p_relation AND c.scope = p_scope;
END $$;
COMMENT ON FUNCTION qzpay._set_counter(uuid, uuid, text, oid, text, bigint) IS 'Writes what was counted into a counter that this transaction has started.';

CREATE OR REPLACE FUNCTION qzpay._forget_counters(p_relation oid, p_feature text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM qzpay.limit_counters c WHERE c.relation = p_relation AND (p_feature IS NULL OR c.feature_code = p_feature);
    UPDATE qzpay.overages o SET next_look_at = '-infinity' WHERE p_feature IS NULL OR o.feature_code = p_feature;
END $$;
COMMENT ON FUNCTION qzpay._forget_counters(oid, text) IS 'Removes the counters of a table, of one limit or of all, for every tenant; the job looks anew at who was over.';
