-- A customer's data beside what sync_customer() says, and its end: deletion, erasure, export.

CREATE OR REPLACE FUNCTION qzpay.update_customer(customer uuid, address jsonb DEFAULT NULL,
        add_segments text[] DEFAULT NULL, remove_segments text[] DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.update_customer(uuid, jsonb, text[], text[], jsonb) IS
'Changes a customer; NULL leaves a value. address: object, in the place of the one before (country: ISO 3166 code of two letters); '
'segments are added and removed one by one; metadata is merged, and a key with null is removed. Invoices that are finalised keep what they were printed with. Returns false if nothing changed. '
'Errors: QZ404, QZ204 a deleted customer, 22023 a malformed value.';

CREATE OR REPLACE FUNCTION qzpay._update_customer(p_customer uuid, p_address jsonb, p_add_segments text[], p_remove_segments text[], p_metadata jsonb) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    v_new qzpay.customers%ROWTYPE;
    v_text text;
    v_at timestamptz := qzpay.now(p_customer);
BEGIN
    PERFORM qzpay._check_address(p_address);
    PERFORM qzpay._check_metadata(p_metadata);
    FOREACH v_text IN ARRAY coalesce(p_add_segments, '{}') LOOP
        IF coalesce(length(v_text), 0) NOT BETWEEN 1 AND 100 THEN
            RAISE EXCEPTION 'a segment has 1 to 100 characters' USING ERRCODE = '22023';
        END IF;
    END LOOP;
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR NO KEY UPDATE;
    IF c.deleted_at IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" is deleted', c.external_id USING ERRCODE = 'QZ204';
    END IF;
    v_new := c;
    v_new.address := coalesce(p_address, c.address);
    v_new.segments := ARRAY(SELECT s.name FROM (SELECT u.name, min(u.n) AS n FROM unnest(c.segments || p_add_segments) WITH ORDINALITY AS u (name, n) GROUP BY u.name) s
                            WHERE NOT s.name = ANY (coalesce(p_remove_segments, '{}')) ORDER BY s.n);
    v_new.metadata := qzpay._merge_metadata(c.metadata, p_metadata);
    IF (v_new.address, v_new.segments, v_new.metadata) IS NOT DISTINCT FROM (c.address, c.segments, c.metadata) THEN
        RETURN false;
    END IF;
    UPDATE qzpay.customers x SET address = v_new.address, segments = v_new.segments, metadata = v_new.metadata, updated_at = v_at
    WHERE x.tenant_id = c.tenant_id AND x.id = c.id;
    PERFORM qzpay._emit_event(c.tenant_id, 'customer.updated', 'customer', c.id, c.id, jsonb_build_object('customerId', c.id, 'externalId', c.external_id), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._update_customer(uuid, jsonb, text[], text[], jsonb) IS 'Internal of update_customer(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._check_tax_ids(p_tax_ids jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_tax_ids) <> 'array' OR jsonb_array_length(p_tax_ids) > 10
       OR EXISTS (SELECT FROM jsonb_array_elements(p_tax_ids) t (id)
                  WHERE jsonb_typeof(t.id) <> 'object' OR t.id - '{type,value,verifiedAt}'::text[] <> '{}' OR jsonb_typeof(t.id -> 'type') IS DISTINCT FROM 'string'
                     OR jsonb_typeof(t.id -> 'value') IS DISTINCT FROM 'string' OR NOT t.id ->> 'type' ~ '^[a-z][a-z0-9_]{1,29}$'
                     OR NOT t.id ->> 'value' ~ '^[A-Za-z0-9][A-Za-z0-9 ./-]{1,39}$'
                     OR coalesce(t.id ->> 'verifiedAt', '2000-01-01') !~ '^\d{4}-\d{2}-\d{2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?$') THEN
        RAISE EXCEPTION 'tax ids must be an array of at most 10 objects {type, value, verifiedAt}' USING ERRCODE = '22023',
            HINT = 'Such as [{"type": "eu_vat", "value": "ESB12345678"}]; verifiedAt is an ISO 8601 date or instant.';
    END IF;
    -- Numbers of this length may pass for an older card's by chance; the cards of today have 15 digits and more.
    PERFORM qzpay._refuse_pan(t.id ->> 'value') FROM jsonb_array_elements(p_tax_ids) t (id) WHERE length(regexp_replace(t.id ->> 'value', '\D', '', 'g')) >= 15;
END $$;
COMMENT ON FUNCTION qzpay._check_tax_ids(jsonb) IS 'Raises 22023 for malformed tax ids. NULL is none.';

CREATE OR REPLACE FUNCTION qzpay._check_address(p_address jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_address) <> 'object' THEN
        RAISE EXCEPTION 'address must be a JSON object' USING ERRCODE = '22023';
    ELSIF p_address ->> 'country' !~* '^[A-Z]{2}$' THEN
        RAISE EXCEPTION 'country of an address must be an ISO 3166 code of two letters' USING ERRCODE = '22023';
    ELSIF length(p_address::text) > 4000 THEN
        RAISE EXCEPTION 'address is longer than 4000 characters' USING ERRCODE = '22023';
    END IF;
    PERFORM qzpay._refuse_pan(p_address::text);
END $$;
COMMENT ON FUNCTION qzpay._check_address(jsonb) IS 'Raises 22023 for an address that is no JSON object, names no possible country, or holds what passes for a card number. NULL is none.';

CREATE OR REPLACE FUNCTION qzpay.delete_customer(customer uuid, reason text DEFAULT 'requested') RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.delete_customer(uuid, text) IS
'Ends a customer: its subscriptions are canceled at once (a last invoice for usage included), payments that were not sent are called off, its payment methods removed. Documents, debts and balances stay; '
'sync_customer() with the same external id brings it back. Returns false if it was deleted already. Errors: QZ404, 22023.';

CREATE OR REPLACE FUNCTION qzpay._delete_customer(p_customer uuid, p_reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    v_id uuid;
    v_at timestamptz := qzpay.now(p_customer);
BEGIN
    -- Subscriptions before their customer, as whoever bills does; ones that are made meanwhile wait for the customer and find it deleted.
    PERFORM FROM qzpay.subscriptions s WHERE s.customer_id = p_customer AND s.ended_at IS NULL ORDER BY s.id FOR UPDATE;
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR NO KEY UPDATE;
    IF c.deleted_at IS NOT NULL THEN
        RETURN false;
    END IF;
    FOR v_id IN SELECT s.id FROM qzpay.subscriptions s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND s.ended_at IS NULL ORDER BY s.id LOOP
        PERFORM qzpay.cancel(subscription => v_id, at => 'now', reason => coalesce(p_reason, 'requested'));
    END LOOP;
    PERFORM qzpay._cancel_planned_attempts(array_agg(a.tenant_id), array_agg(a.invoice_id), v_at)
    FROM qzpay.payment_attempts a WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id AND a.operation = 'charge' AND a.status = 'planned' HAVING count(*) > 0;
    FOR v_id IN SELECT m.id FROM qzpay.payment_methods m WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id AND m.detached_at IS NULL ORDER BY m.id LOOP
        PERFORM qzpay._remove_method(c.tenant_id, v_id, v_at);
    END LOOP;
    UPDATE qzpay.customers x SET deleted_at = v_at, updated_at = v_at WHERE x.tenant_id = c.tenant_id AND x.id = c.id;
    PERFORM qzpay._emit_event(c.tenant_id, 'customer.deleted', 'customer', c.id, c.id,
        jsonb_build_object('customerId', c.id, 'externalId', c.external_id, 'reason', coalesce(p_reason, 'requested')), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._delete_customer(uuid, text) IS 'Internal of delete_customer(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay._personal_keys() RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN '{externalId,email,name,phone,address,taxIds,segments,metadata,brand,last4,expMonth,expYear}'::text[];
END $$;
COMMENT ON FUNCTION qzpay._personal_keys() IS 'Keys of event payloads that hold personal data: what erasure takes out of them.';

CREATE OR REPLACE FUNCTION qzpay._is_reason_code(p_reason text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(p_reason ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$', false)
$$;
COMMENT ON FUNCTION qzpay._is_reason_code(text) IS 'Whether a reason is a code, such as payment_failed, and not somebody''s words. False for NULL.';

CREATE OR REPLACE FUNCTION qzpay.erase_customer(customer uuid) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.erase_customer(uuid) IS
'Removes the personal data of a customer for good: name, address, e-mail, external id, tax ids, metadata everywhere, the buyer on its invoices, tokens and what is shown of its payment methods, properties of its usage, PO numbers, reasons and feedback in somebody''s words (codes stay), and what events said of them. '
'Amounts, numbers, dates, descriptions of lines, the ledger and the ids of payments at the provider stay. Deletion comes first where it has not been. The external id is free again: sync_customer() with it brings the same id back, without the data. '
'Returns false if it was erased already. For administrators. Errors: QZ404, QZ204 while an invoice is open, a payment or refund under way, or a balance or paid credit left.';

CREATE OR REPLACE FUNCTION qzpay._erase_customer(p_customer uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    c qzpay.customers%ROWTYPE;
    v_at timestamptz := qzpay.now(p_customer);
    v_open text;
BEGIN
    PERFORM qzpay._delete_customer(p_customer, 'erased');
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer;
    -- In the order of every settlement. The key of the customer comes last: whoever adds a row to it holds what stands above that row by then,
    -- and what was begun is either waited for here, and judged below, or comes after the erasure.
    PERFORM FROM qzpay.subscriptions s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id ORDER BY s.id FOR NO KEY UPDATE;
    PERFORM FROM qzpay.invoices i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id ORDER BY i.id FOR NO KEY UPDATE;
    PERFORM FROM qzpay.payments p WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id ORDER BY p.id FOR NO KEY UPDATE;
    SELECT * INTO STRICT c FROM qzpay.customers x WHERE x.id = p_customer FOR UPDATE;
    IF c.erased_at IS NOT NULL THEN
        RETURN false;
    END IF;
    SELECT string_agg(o.what, ', ' ORDER BY o.what) INTO v_open FROM (
        SELECT format('invoice %s is open', i.number) FROM qzpay.invoices i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id AND i.status = 'open'
        UNION ALL
        SELECT format('invoice %s is a draft', i.id) FROM qzpay.invoices i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id AND i.status = 'draft'
        UNION ALL
        SELECT format('payment attempt %s is %s', a.id, a.status) FROM qzpay.payment_attempts a
        WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id AND a.status NOT IN ('succeeded', 'declined', 'rejected', 'canceled')
        UNION ALL
        SELECT format('a balance of %s is left', qzpay.format_amount(b.amount, b.currency)) FROM qzpay.balances b WHERE b.tenant_id = c.tenant_id AND b.customer_id = c.id AND b.amount <> 0
        UNION ALL
        SELECT format('%s of paid credit are left', qzpay.format_amount(g.remaining, g.currency)) FROM qzpay.credit_grants g
        WHERE g.tenant_id = c.tenant_id AND g.customer_id = c.id AND g.category = 'paid' AND g.remaining > 0
        UNION ALL
        SELECT format('refund %s is requested', r.id) FROM qzpay.refund_requests r WHERE r.tenant_id = c.tenant_id AND r.customer_id = c.id AND r.status = 'requested'
    ) o (what);
    IF v_open IS NOT NULL THEN
        RAISE EXCEPTION 'customer "%" has unfinished business', c.external_id USING ERRCODE = 'QZ204', DETAIL = v_open || '.',
            HINT = 'Have open invoices paid, voided or written off, and pay a balance out, first.';
    END IF;
    UPDATE qzpay.customers x SET external_id = 'erased:' || c.id, email = NULL, name = NULL, address = '{}', tax_ids = '[]', billing_emails = '{}', po_number = NULL,
        segments = '{}', metadata = '{}', erased_at = v_at, updated_at = v_at
    WHERE x.tenant_id = c.tenant_id AND x.id = c.id;
    UPDATE qzpay.tenants t SET name = NULL
    WHERE t.tenant_id = c.tenant_id AND NOT EXISTS (SELECT FROM qzpay.customers x WHERE x.tenant_id = c.tenant_id AND x.erased_at IS NULL);
    UPDATE qzpay.payment_methods m SET token = 'erased', brand = NULL, last4 = NULL, exp_month = NULL, exp_year = NULL, metadata = '{}' WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id;
    UPDATE qzpay.payment_attempts a SET request = NULL, next_action = NULL
    WHERE a.tenant_id = c.tenant_id AND a.customer_id = c.id AND (a.request IS NOT NULL OR a.next_action IS NOT NULL);
    UPDATE qzpay.payments p SET metadata = '{}' WHERE p.tenant_id = c.tenant_id AND p.customer_id = c.id AND p.metadata <> '{}';
    UPDATE qzpay.credit_grants g SET metadata = '{}' WHERE g.tenant_id = c.tenant_id AND g.customer_id = c.id AND g.metadata <> '{}';
    UPDATE qzpay.subscriptions s SET metadata = '{}', cancel_feedback = NULL, restricted_reason = CASE WHEN s.restricted_at IS NOT NULL THEN 'erased' END,
           cancel_reason = CASE WHEN s.cancel_reason IS NULL OR qzpay._is_reason_code(s.cancel_reason) THEN s.cancel_reason ELSE 'erased' END,
           status_reason = CASE WHEN s.status_reason IS NULL OR qzpay._is_reason_code(s.status_reason) THEN s.status_reason ELSE 'erased' END
    WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id;
    UPDATE qzpay.transitions t SET reason = NULL
    WHERE t.tenant_id = c.tenant_id AND NOT qzpay._is_reason_code(t.reason)
      AND t.object_id IN (SELECT s.id FROM qzpay.subscriptions s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id
                          UNION ALL SELECT i.id FROM qzpay.invoices i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id);
    UPDATE qzpay.balance_entries b SET description = NULL WHERE b.tenant_id = c.tenant_id AND b.customer_id = c.id AND b.description IS NOT NULL;
    UPDATE qzpay.refund_requests r SET reason = NULL WHERE r.tenant_id = c.tenant_id AND r.customer_id = c.id AND r.reason IS NOT NULL;
    UPDATE qzpay.credit_notes n SET reason = NULL, metadata = '{}' WHERE n.tenant_id = c.tenant_id AND n.customer_id = c.id AND (n.reason IS NOT NULL OR n.metadata <> '{}');
    UPDATE qzpay.subscription_items i SET metadata = '{}'
    FROM qzpay.subscriptions s WHERE s.tenant_id = c.tenant_id AND s.customer_id = c.id AND i.tenant_id = s.tenant_id AND i.subscription_id = s.id AND i.metadata <> '{}';
    UPDATE qzpay.limit_slots l SET holder = NULL WHERE l.tenant_id = c.tenant_id AND l.customer_id = c.id AND l.holder IS NOT NULL;
    UPDATE qzpay.entitlement_overrides o SET reason = NULL WHERE o.tenant_id = c.tenant_id AND o.customer_id = c.id;
    UPDATE qzpay.invoices i SET metadata = '{}', po_number = NULL, status_reason = CASE WHEN qzpay._is_reason_code(i.status_reason) THEN i.status_reason END
    WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id;
    UPDATE qzpay.invoice_parties b SET name = NULL, email = NULL, billing_emails = '{}', address = '{}', tax_ids = '[]'
    FROM qzpay.invoices i WHERE i.tenant_id = c.tenant_id AND i.customer_id = c.id AND b.tenant_id = i.tenant_id AND b.invoice_id = i.id;
    UPDATE qzpay.events e SET data = e.data - qzpay._personal_keys() - CASE WHEN qzpay._is_reason_code(e.data ->> 'reason') THEN '{}'::text[] ELSE '{reason}' END
    WHERE e.tenant_id = c.tenant_id AND e.customer_id = c.id AND (e.data ?| qzpay._personal_keys() OR e.data ? 'reason' AND NOT qzpay._is_reason_code(e.data ->> 'reason'));
    UPDATE qzpay.usage_events u SET properties = NULL WHERE u.tenant_id = c.tenant_id AND u.customer_id = c.id AND u.properties IS NOT NULL;
    PERFORM qzpay._erase_audit(c.tenant_id, c.id);
    PERFORM qzpay._emit_event(c.tenant_id, 'customer.erased', 'customer', c.id, c.id, jsonb_build_object('customerId', c.id), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._erase_customer(uuid) IS 'Internal of erase_customer(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.export_customer(customer uuid, usage_events boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_customer';
COMMENT ON FUNCTION qzpay.export_customer(uuid, boolean) IS
'Everything that is stored about a customer, as one document: table → array of rows, each as its columns; amounts in minor units. Left out are the provider''s tokens and frozen requests, and single usage events unless usage_events is true. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._export_customer(p_customer uuid, p_usage_events boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t uuid := qzpay.current_tenant();
BEGIN
    RETURN jsonb_build_object(
        'exportedAt', qzpay._recorded_at(),
        'customers', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.customers x WHERE x.tenant_id = t AND x.id = p_customer),
        'payment_methods', (SELECT jsonb_agg(to_jsonb(x) - 'token' ORDER BY x.id) FROM qzpay.payment_methods x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'subscriptions', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.subscriptions x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'subscription_items', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.subscription_items x JOIN qzpay.subscriptions s ON s.tenant_id = x.tenant_id AND s.id = x.subscription_id
                               WHERE s.tenant_id = t AND s.customer_id = p_customer),
        'periods', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.subscription_id, x.cycle, x.period_start) FROM qzpay.periods x JOIN qzpay.subscriptions s ON s.tenant_id = x.tenant_id AND s.id = x.subscription_id
                    WHERE s.tenant_id = t AND s.customer_id = p_customer),
        'entitlement_overrides', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.feature_code) FROM qzpay.entitlement_overrides x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'limit_slots', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.limit_slots x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'limit_counters', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.feature_code, x.relation, x.scope) FROM qzpay.limit_counters x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_totals', (SELECT jsonb_agg(to_jsonb(x) || jsonb_build_object('meter', m.code) ORDER BY x.period_start, m.code, x.shard) FROM qzpay.usage_totals x JOIN qzpay.meters m ON m.id = x.meter_id
                         WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_events', CASE WHEN p_usage_events THEN (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.occurred_at, x.id) FROM qzpay.usage_events x WHERE x.tenant_id = t AND x.customer_id = p_customer) END,
        'credit_grants', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.credit_grants x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'credit_notes', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.credit_notes x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'refund_requests', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.refund_requests x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'tax_answers', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.tax_answers x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'redemptions', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.redemptions x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_archived', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.usage_archived x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_marks', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.usage_marks x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_late', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.usage_late x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_marks', (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.usage_marks x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'usage_values', CASE WHEN p_usage_events THEN (SELECT jsonb_agg(to_jsonb(x)) FROM qzpay.usage_values x WHERE x.tenant_id = t AND x.customer_id = p_customer) END,
        'invoices', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.invoices x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'invoice_lines', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.invoice_id, x.position) FROM qzpay.invoice_lines x JOIN qzpay.invoices i ON i.tenant_id = x.tenant_id AND i.id = x.invoice_id
                          WHERE i.tenant_id = t AND i.customer_id = p_customer),
        'invoice_parties', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.invoice_id) FROM qzpay.invoice_parties x JOIN qzpay.invoices i ON i.tenant_id = x.tenant_id AND i.id = x.invoice_id
                            WHERE i.tenant_id = t AND i.customer_id = p_customer),
        'invoice_shares', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.invoice_id, x.subscription_id) FROM qzpay.invoice_shares x JOIN qzpay.invoices i ON i.tenant_id = x.tenant_id AND i.id = x.invoice_id
                           WHERE i.tenant_id = t AND i.customer_id = p_customer),
        'pending_lines', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.pending_lines x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'payment_attempts', (SELECT jsonb_agg(to_jsonb(x) - '{request,idempotency_key,provider_ref,leased_by}'::text[] ORDER BY x.id) FROM qzpay.payment_attempts x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'payments', (SELECT jsonb_agg(to_jsonb(x) - 'provider_ref' ORDER BY x.id) FROM qzpay.payments x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'balances', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.currency) FROM qzpay.balances x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'balance_entries', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.balance_entries x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'audit_entries', (SELECT jsonb_agg(to_jsonb(x) - '{session_role,role,application,personal_digest,position,hash}'::text[] ORDER BY x.id) FROM qzpay.audit_entries x WHERE x.tenant_id = t AND x.customer_id = p_customer),
        'audit_personal', (SELECT jsonb_agg(jsonb_build_object('entry_id', x.entry_id, 'before', x.data -> 'before', 'after', x.data -> 'after') ORDER BY x.entry_id) FROM qzpay.audit_personal x
                           WHERE x.tenant_id = t AND x.customer_id = p_customer AND x.data ?| '{before,after}'),
        'events', (SELECT jsonb_agg(to_jsonb(x) ORDER BY x.id) FROM qzpay.events x WHERE x.tenant_id = t AND x.customer_id = p_customer));
END $$;
COMMENT ON FUNCTION qzpay._export_customer(uuid, boolean) IS 'Internal of export_customer(), inside the tenant''s context.';
