-- Who changed what.  Row triggers write entries in the transaction that changes the rows; they take no lock that anybody waits for, so acts
-- never queue behind each other.  Sealing chains the committed entries afterwards, one sealer at a time.

CREATE OR REPLACE FUNCTION qzpay._in_act() RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_in_act';
COMMENT ON FUNCTION qzpay._in_act() IS 'Whether a public function that changes something is at work; the billing run and jobs are none.';

CREATE OR REPLACE FUNCTION qzpay._act_facts(OUT act text, OUT act_id uuid, OUT role name, OUT actor text)
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'qzpay_act_facts';
COMMENT ON FUNCTION qzpay._act_facts() IS
    'The public function at work, the outermost one, and the id of this call (both NULL: none); the role that the session acts as; and whom the application says it acts for (qzpay.actor).';

CREATE OR REPLACE FUNCTION qzpay._redact_json(value jsonb) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_redacted_json';
COMMENT ON FUNCTION qzpay._redact_json(jsonb) IS
    'A row, as JSON, with redact() done to every string and key in it, and card numbers among nested numbers replaced; the row''s own numbers are amounts and stay.';

CREATE OR REPLACE FUNCTION qzpay._audited_tables() RETURNS TABLE (relation name, kind text, events text, keys text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    VALUES
        -- configuration: whoever writes
        ('charges'::name, 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('discounts', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('document_texts', 'configuration', 'INSERT OR UPDATE OR DELETE', 'seller_id locale name'),
        ('dunning_policies', 'configuration', 'INSERT OR UPDATE OR DELETE', 'code'),
        ('dunning_steps', 'configuration', 'INSERT OR UPDATE OR DELETE', 'policy step'),
        ('epochs', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('event_types', 'configuration', 'INSERT OR UPDATE OR DELETE', 'type'),
        ('features', 'configuration', 'INSERT OR UPDATE OR DELETE', 'code'),
        ('jobs', 'configuration', 'INSERT OR UPDATE OF function, every, batch_size, enabled, position OR DELETE', 'name'),
        ('meter_queries', 'configuration', 'INSERT OR UPDATE OR DELETE', 'meter_id'),
        ('meters', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('prices', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('product_features', 'configuration', 'INSERT OR UPDATE OR DELETE', 'product_id feature_code'),
        ('product_relations', 'configuration', 'INSERT OR UPDATE OR DELETE', 'product_id relation related_id'),
        ('products', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('provider_limits', 'configuration', 'INSERT OR UPDATE OR DELETE', 'provider currency'),
        ('providers', 'configuration', 'INSERT OR UPDATE OR DELETE', 'code'),
        ('sellers', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('settings', 'configuration', 'INSERT OR UPDATE OR DELETE', 'name'),
        ('tax_rates', 'configuration', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('tenant_roles', 'configuration', 'INSERT OR UPDATE OR DELETE', 'role_name'),
        -- one entry for a whole billing run
        ('billing_runs', 'run', 'INSERT', 'id'),
        -- rows of customers: what public functions do to them
        ('balance_entries', 'customer', 'INSERT', 'id'),
        ('credit_grants', 'customer', 'INSERT OR UPDATE', 'id'),
        ('credit_notes', 'customer', 'INSERT', 'id'),
        ('customers', 'customer', 'INSERT OR UPDATE', 'id'),
        ('entitlement_overrides', 'customer', 'INSERT OR UPDATE OR DELETE', 'customer_id feature_code'),
        ('invoice_lines', 'customer', 'INSERT OR DELETE', 'id'),
        ('invoices', 'customer', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('payment_attempts', 'customer', 'INSERT OR UPDATE OF status', 'id'),
        ('payment_methods', 'customer', 'INSERT OR UPDATE', 'id'),
        ('payments', 'customer', 'INSERT OR UPDATE', 'id'),
        ('pending_lines', 'customer', 'INSERT OR DELETE', 'id'),
        ('redemptions', 'customer', 'INSERT OR UPDATE', 'id'),
        ('refund_requests', 'customer', 'INSERT OR UPDATE', 'id'),
        ('subscription_changes', 'customer', 'INSERT OR UPDATE', 'id'),
        ('subscription_items', 'customer', 'INSERT OR UPDATE OR DELETE', 'id'),
        ('subscriptions', 'customer', 'INSERT OR UPDATE', 'id')
$$;
COMMENT ON FUNCTION qzpay._audited_tables() IS
'The tables whose changes the audit log keeps: configuration, whoever writes; rows of customers, where a public function does; runs. events: of the trigger; keys: the columns that name a row.';

CREATE OR REPLACE FUNCTION qzpay._audit_columns(p_what text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE p_what
        -- follows from other columns, or is how the machine goes about its work
        WHEN 'derived' THEN '{access_until,amount_in_flight,crash_count,fence,first_sent_at,lease_until,leased_by,lookups,next_at,next_due_at,next_warning_at,updated_at,uses}'::text[]
        -- tokens and references of providers, as tenancy/grants.sql hides them, and frozen requests that contain them
        WHEN 'hidden' THEN '{idempotency_key,provider_ref,request,token}'
        -- of customers; what erase_customer() empties, and free text that somebody wrote about them
        WHEN 'personal' THEN '{address,billing_emails,brand,cancel_feedback,cancel_reason,description,email,exp_month,exp_year,external_id,last4,metadata,name,next_action,po_number,reason,reference,
            restricted_reason,scope,segments,status_reason,tax_ids}'
    END;
END $$;
COMMENT ON FUNCTION qzpay._audit_columns(text) IS
'Columns that the audit log treats specially: derived ones are left out, of hidden ones it says only that they changed, personal ones of customers'' rows go to audit_personal.';

CREATE OR REPLACE FUNCTION qzpay._write_audit(p_tenant uuid, p_customer uuid, p_object text, p_object_id text, p_operation text, p_before jsonb, p_after jsonb, p_personal jsonb) RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_id uuid := qzpay.uuid_v7();
    v_facts record;
    v_personal jsonb := coalesce(p_personal, '{}');
    v_salt bytea;
BEGIN
    SELECT * INTO v_facts FROM qzpay._act_facts();
    IF v_facts.actor IS NOT NULL THEN
        v_personal := v_personal || jsonb_build_object('actor', qzpay.redact(v_facts.actor));
    END IF;
    IF inet_client_addr() IS NOT NULL THEN
        v_personal := v_personal || jsonb_build_object('address', host(inet_client_addr()));
    END IF;
    IF v_personal <> '{}' THEN
        v_salt := uuid_send(gen_random_uuid());
        INSERT INTO qzpay.audit_personal (entry_id, tenant_id, customer_id, data, salt) VALUES (v_id, p_tenant, p_customer, v_personal, v_salt);
    END IF;
    INSERT INTO qzpay.audit_entries (id, tenant_id, customer_id, act, act_id, object, object_id, operation, before, after, session_role, role, application, personal_digest, occurred_at, recorded_at)
    VALUES (v_id, p_tenant, p_customer, coalesce(v_facts.act, 'direct'), coalesce(v_facts.act_id, v_id), p_object, p_object_id, p_operation, p_before, p_after,
            session_user, v_facts.role, qzpay.redact(current_setting('application_name')), qzpay._audit_digest(v_salt, v_personal),
            CASE WHEN p_customer IS NULL THEN qzpay.now() ELSE qzpay.now(p_customer) END, qzpay._recorded_at());
    RETURN v_id;
END $$;
COMMENT ON FUNCTION qzpay._write_audit(uuid, uuid, text, text, text, jsonb, jsonb, jsonb) IS
'Writes one entry of the audit log, with who, when and by what act as they are, whatever the caller may claim; returns its id. What is given must be redacted.';

CREATE OR REPLACE FUNCTION qzpay._audit_digest(p_salt bytea, p_data jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN encode(sha256(p_salt || convert_to(p_data::text, 'UTF8')), 'hex');
END $$;
COMMENT ON FUNCTION qzpay._audit_digest(bytea, jsonb) IS 'SHA-256, in hexadecimal, of a salt and the personal data of an entry; NULL without a salt.';

CREATE OR REPLACE FUNCTION qzpay._audit_link(p_previous text, p_position bigint, p_entry jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN encode(sha256(decode(p_previous, 'hex') || int8send(p_position) || convert_to((p_entry - '{position,hash}'::text[])::text, 'UTF8')), 'hex');
END $$;
COMMENT ON FUNCTION qzpay._audit_link(text, bigint, jsonb) IS
'Hash of a sealed entry: SHA-256, in hexadecimal, of the hash before it, its position (8 bytes, big-endian) and its columns as jsonb, in UTF-8. The caller''s TimeZone must be UTC, since instants are text there.';

CREATE OR REPLACE FUNCTION qzpay._audit_change() RETURNS trigger
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_row';
COMMENT ON FUNCTION qzpay._audit_change() IS
'Trigger AFTER row: writes what changed to the audit log, only the columns that did, redacted; nothing where only derived ones did. Arguments: kind of the table and the columns that name a row, as in _audited_tables().';

CREATE OR REPLACE FUNCTION qzpay.__audit_change() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' AS $$
DECLARE
    v_old jsonb := to_jsonb(OLD);
    v_new jsonb := to_jsonb(NEW);
    v_row jsonb := coalesce(v_new, v_old);
    v_of_customer boolean := TG_ARGV[0] = 'customer';
    v_derived text[] := qzpay._audit_columns('derived');
    v_hidden text[] := qzpay._audit_columns('hidden');
    v_personal text[] := CASE WHEN v_of_customer THEN qzpay._audit_columns('personal') ELSE '{}' END;
    v_customer uuid;
    d record;
BEGIN
    SELECT jsonb_object_agg(x.key, x.old) FILTER (WHERE NOT x.personal) AS before, jsonb_object_agg(x.key, x.new) FILTER (WHERE NOT x.personal) AS after,
           jsonb_object_agg(x.key, x.old) FILTER (WHERE x.personal) AS personal_before, jsonb_object_agg(x.key, x.new) FILTER (WHERE x.personal) AS personal_after, count(*) AS n
      INTO d
      FROM (SELECT key, CASE WHEN h.hidden AND o.value <> 'null' THEN '"[redacted]"' ELSE o.value END AS old, CASE WHEN h.hidden AND n.value <> 'null' THEN '"[redacted]"' ELSE n.value END AS new,
                   key = ANY (v_personal) AS personal
            FROM jsonb_each(coalesce(v_old, '{}')) o FULL JOIN jsonb_each(coalesce(v_new, '{}')) n USING (key)
            CROSS JOIN LATERAL (SELECT key = ANY (v_hidden) AS hidden) h
            WHERE coalesce(o.value, 'null') <> coalesce(n.value, 'null') AND key <> ALL (v_derived)) x;
    IF d.n = 0 THEN
        RETURN NULL;
    END IF;
    IF v_of_customer THEN
        v_customer := CASE
            WHEN TG_TABLE_NAME = 'customers' THEN v_row ->> 'id'
            WHEN v_row ? 'customer_id' THEN v_row ->> 'customer_id'
            WHEN v_row ? 'subscription_id' AND v_row ->> 'subscription_id' IS NOT NULL THEN
                (SELECT s.customer_id::text FROM qzpay.subscriptions s WHERE s.tenant_id = (v_row ->> 'tenant_id')::uuid AND s.id = (v_row ->> 'subscription_id')::uuid)
            WHEN v_row ? 'invoice_id' THEN
                (SELECT i.customer_id::text FROM qzpay.invoices i WHERE i.tenant_id = (v_row ->> 'tenant_id')::uuid AND i.id = (v_row ->> 'invoice_id')::uuid)
        END;
    END IF;
    PERFORM qzpay._write_audit((v_row ->> 'tenant_id')::uuid, v_customer, TG_TABLE_NAME,
        (SELECT string_agg(coalesce(v_row ->> k.name, ''), ' ' ORDER BY k.n) FROM unnest(string_to_array(TG_ARGV[1], ' ')) WITH ORDINALITY AS k (name, n)), lower(TG_OP),
        CASE WHEN v_old IS NOT NULL THEN qzpay._redact_json(d.before) END, CASE WHEN v_new IS NOT NULL THEN qzpay._redact_json(d.after) END,
        CASE WHEN v_old IS NOT NULL AND d.personal_before IS NOT NULL THEN jsonb_build_object('before', qzpay._redact_json(d.personal_before)) ELSE '{}' END
        || CASE WHEN v_new IS NOT NULL AND d.personal_after IS NOT NULL THEN jsonb_build_object('after', qzpay._redact_json(d.personal_after)) ELSE '{}' END);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION qzpay.__audit_change() IS 'Internal of _audit_change(), in the context of the row''s tenant where it has one.';

CREATE OR REPLACE FUNCTION qzpay._erase_audit(p_tenant uuid, p_customer uuid) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE qzpay.audit_personal p SET data = NULL, salt = NULL, erased_at = qzpay._recorded_at()
    WHERE p.tenant_id = p_tenant AND p.customer_id = p_customer AND p.erased_at IS NULL;
END $$;
COMMENT ON FUNCTION qzpay._erase_audit(uuid, uuid) IS 'Takes the personal data of a customer out of the audit log; what was done, by which role and when stays, and stays provable.';

CREATE OR REPLACE FUNCTION qzpay._seal_audit(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' AS $$
DECLARE
    h qzpay.audit_head%ROWTYPE;
    v_entry record;
    v_ids uuid[] := ARRAY[]::uuid[];
    v_hashes text[] := ARRAY[]::text[];
BEGIN
    -- One at a time; who comes second leaves it to the first.
    SELECT * INTO h FROM qzpay.audit_head x FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- What is committed by now, in any order of its own: whatever commits later is chained behind it.
    FOR v_entry IN SELECT e.id, to_jsonb(e) AS content FROM qzpay.audit_entries e WHERE e.position IS NULL ORDER BY e.recorded_at, e.id LIMIT p_limit LOOP
        h.hash := qzpay._audit_link(h.hash, h.position + cardinality(v_ids) + 1, v_entry.content);
        v_ids := v_ids || v_entry.id;
        v_hashes := v_hashes || h.hash;
    END LOOP;
    IF cardinality(v_ids) > 0 THEN
        UPDATE qzpay.audit_entries e SET position = h.position + u.n, hash = u.hash
        FROM unnest(v_ids, v_hashes) WITH ORDINALITY AS u (id, hash, n) WHERE e.id = u.id;
        UPDATE qzpay.audit_head x SET position = h.position + cardinality(v_ids), hash = h.hash, sealed_at = qzpay._real_now();
    END IF;
    RETURN cardinality(v_ids);
END $$;
COMMENT ON FUNCTION qzpay._seal_audit(integer) IS
'Chains so many committed entries to the audit log''s head; returns how many. 0 also where another session is at it: nobody waits.';

CREATE OR REPLACE FUNCTION qzpay._job_audit_seal(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._seal_audit(p_limit);
END $$;
COMMENT ON FUNCTION qzpay._job_audit_seal(integer) IS 'Job: chains new entries of the audit log.';

CREATE OR REPLACE FUNCTION qzpay.seal_audit_log(OUT entries bigint, OUT head text, OUT sealed_at timestamptz)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WHILE qzpay._seal_audit(10000) > 0 LOOP
    END LOOP;
    SELECT h.position, h.hash, h.sealed_at INTO STRICT entries, head, sealed_at FROM qzpay.audit_head h;
END $$;
COMMENT ON FUNCTION qzpay.seal_audit_log() IS
'Chains every committed entry of the audit log now and returns its head: how many entries have been sealed since its beginning, the hash of the last one, and when that was. Keep them outside of this database and give them to '
'verify_audit_log() later: from then on not even a superuser who rewrites the whole chain goes unnoticed.';

CREATE OR REPLACE FUNCTION qzpay.verify_audit_log(entries bigint DEFAULT NULL, head text DEFAULT NULL) RETURNS TABLE (violation text, at_position bigint, entry_id uuid, detail text)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC' AS $$
DECLARE
    h qzpay.audit_head%ROWTYPE;
    v_last qzpay.audit_entries%ROWTYPE;
    v_hash text;
BEGIN
    PERFORM qzpay._check_schema_version();
    IF (verify_audit_log.entries IS NULL) <> (verify_audit_log.head IS NULL) OR verify_audit_log.entries < 0 OR verify_audit_log.head !~* '^[0-9a-f]{64}$' THEN
        RAISE EXCEPTION 'entries and head are given together, as seal_audit_log() returned them' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO h FROM qzpay.audit_head x;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'head_missing', NULL::bigint, NULL::uuid, 'The row of audit_head is gone.';
        RETURN;
    END IF;
    RETURN QUERY
        SELECT CASE WHEN c.position <> c.before + 1 THEN 'entry_missing' ELSE 'entry_changed' END, c.position, c.id,
               CASE WHEN c.position <> c.before + 1 THEN format('It follows position %s.', c.before) ELSE 'Its hash is not that of its content after the one before.' END
        FROM (SELECT e.position, e.id, lag(e.position, 1, h.base_position) OVER w AS before,
                     e.hash = qzpay._audit_link(lag(e.hash, 1, h.base_hash) OVER w, e.position, to_jsonb(e)) AS good
              FROM qzpay.audit_entries e WHERE e.position IS NOT NULL WINDOW w AS (ORDER BY e.position, e.id)) c
        WHERE c.position <> c.before + 1 OR NOT c.good;
    SELECT * INTO v_last FROM qzpay.audit_entries e WHERE e.position IS NOT NULL ORDER BY e.position DESC LIMIT 1;
    IF (coalesce(v_last.position, h.base_position), coalesce(v_last.hash, h.base_hash)) IS DISTINCT FROM (h.position, h.hash) THEN
        RETURN QUERY SELECT 'end_missing', h.position, NULL::uuid, format('%s was sealed last, the last entry is %s.', h.position, coalesce(v_last.position, h.base_position));
    END IF;
    -- What was forgotten says so in an entry of its own.
    IF (CASE WHEN h.base_position = 0 THEN h.base_hash <> qzpay._audit_origin()
             ELSE NOT EXISTS (SELECT FROM qzpay.audit_entries e WHERE e.object = 'audit_head' AND e.operation = 'act'
                             AND e.after = jsonb_build_object('position', h.base_position, 'hash', h.base_hash)) END) THEN
        RETURN QUERY SELECT 'beginning_missing', h.base_position, NULL::uuid, 'The chain does not begin where it was begun, nor where entries were forgotten by the setting.';
    END IF;
    RETURN QUERY
        SELECT CASE WHEN p.entry_id IS NULL THEN 'personal_missing' WHEN p.erased_at IS NOT NULL THEN 'personal_erased' ELSE 'personal_changed' END, e.position, e.id,
               CASE WHEN p.entry_id IS NULL THEN 'The personal part is gone.' WHEN p.erased_at IS NOT NULL THEN 'The personal part was erased, its customer was not.'
                    ELSE 'The digest is not that of the personal part.' END
        FROM qzpay.audit_entries e LEFT JOIN qzpay.audit_personal p ON p.entry_id = e.id
        WHERE e.personal_digest IS NOT NULL
          AND (p.entry_id IS NULL
               OR p.erased_at IS NULL AND e.personal_digest <> qzpay._audit_digest(p.salt, p.data)
               OR p.erased_at IS NOT NULL AND NOT EXISTS (SELECT FROM qzpay.customers c WHERE c.tenant_id = e.tenant_id AND c.id = e.customer_id AND c.erased_at IS NOT NULL));
    IF verify_audit_log.entries IS NOT NULL THEN
        SELECT x.hash INTO v_hash FROM (SELECT e.hash FROM qzpay.audit_entries e WHERE e.position = verify_audit_log.entries
                                        UNION ALL SELECT h.base_hash WHERE h.base_position = verify_audit_log.entries) x LIMIT 1;
        IF v_hash IS NULL OR v_hash <> lower(verify_audit_log.head) THEN
            RETURN QUERY SELECT 'not_as_kept', verify_audit_log.entries, NULL::uuid,
                CASE WHEN verify_audit_log.entries < h.base_position THEN 'Entries up to here have been forgotten by the setting: compare with a later head.'
                     WHEN v_hash IS NULL THEN 'There is no such entry.' ELSE format('Its hash is %s.', v_hash) END;
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION qzpay.verify_audit_log(bigint, text) IS
'Proves the audit log: one row for each entry that was changed, removed, moved or put in since it was sealed, for a beginning or an end that is missing, and for personal data changed or taken away but by erase_customer(); '
'no rows: it is whole. entries and head: what seal_audit_log() returned once and was kept elsewhere; the log must still contain it. Reads everything: run it as an administrator. Error 22023.';

CREATE OR REPLACE FUNCTION qzpay._audit_origin() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT encode(sha256(uuid_send(i.id)), 'hex') FROM qzpay.installation i);
END $$;
COMMENT ON FUNCTION qzpay._audit_origin() IS 'What the first entry of the audit log is chained to: SHA-256, in hexadecimal, of the installation''s id.';

CREATE OR REPLACE FUNCTION qzpay._audit_forgotten(p_entry uuid) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (SELECT FROM qzpay.audit_entries e JOIN qzpay.audit_head h ON e.position <= h.base_position WHERE e.id = p_entry);
END $$;
COMMENT ON FUNCTION qzpay._audit_forgotten(uuid) IS 'Whether an entry lies before the beginning of the chain and so may be removed.';

CREATE OR REPLACE FUNCTION qzpay._job_audit_retention(p_limit integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_months integer := qzpay._retention_months('audit_retention_months');
    h qzpay.audit_head%ROWTYPE;
    v_base record;
    v_rows bigint;
BEGIN
    IF v_months IS NULL THEN
        RETURN 0;
    END IF;
    SELECT * INTO h FROM qzpay.audit_head x FOR UPDATE SKIP LOCKED;
    -- From the beginning as far as everything is old enough: the order of sealing is not quite that of recording.
    SELECT e.position, e.hash INTO v_base FROM qzpay.audit_entries e
    WHERE e.position <= h.base_position + p_limit
      AND e.position < coalesce((SELECT min(k.position) FROM qzpay.audit_entries k
                                 WHERE k.position <= h.base_position + p_limit AND k.recorded_at >= qzpay._recorded_at() - v_months * interval '1 month'), h.base_position + p_limit + 1)
    ORDER BY e.position DESC LIMIT 1;
    IF v_base.position IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM qzpay._write_audit(NULL, NULL, 'audit_head', 'base', 'act', jsonb_build_object('position', h.base_position, 'hash', h.base_hash),
                               jsonb_build_object('position', v_base.position, 'hash', v_base.hash), NULL);
    UPDATE qzpay.audit_head x SET base_position = v_base.position, base_hash = v_base.hash;
    DELETE FROM qzpay.audit_personal p USING qzpay.audit_entries e WHERE e.position <= v_base.position AND p.entry_id = e.id;
    DELETE FROM qzpay.audit_entries e WHERE e.position <= v_base.position;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    RETURN v_rows;
END $$;
COMMENT ON FUNCTION qzpay._job_audit_retention(integer) IS
'Job: forgets entries of the audit log older than the setting audit_retention_months, from its beginning; where the chain then begins is kept in audit_head and told by an entry of its own.';
