CREATE OR REPLACE FUNCTION qzpay._emit_event(p_tenant uuid, p_type text, p_aggregate text, p_aggregate_id uuid, p_customer uuid,
                                             p_data jsonb, p_dedupe_key text, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO qzpay.events (tenant_id, id, type, aggregate, aggregate_id, customer_id, livemode, data, dedupe_key, occurred_at, recorded_at)
    SELECT p_tenant, qzpay.uuid_v7(), p_type, p_aggregate, p_aggregate_id, p_customer,
           coalesce((SELECT c.livemode FROM qzpay.customers c WHERE c.tenant_id = p_tenant AND c.id = p_customer), true),
           coalesce(p_data, '{}'), p_dedupe_key, p_at, qzpay._recorded_at()
    ON CONFLICT (tenant_id, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION qzpay._emit_event(uuid, text, text, uuid, uuid, jsonb, text, timestamptz) IS
'Writes one event in the caller''s transaction. With a dedupe key the same fact is written once per tenant; returns whether it was written now.';

CREATE OR REPLACE FUNCTION qzpay._subscription_event_types(p_from text, p_to text, p_reason text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN p_to = 'trialing' THEN ARRAY['trial.started']
        WHEN p_to = 'past_due' THEN ARRAY['subscription.past_due']
        WHEN p_to = 'paused' THEN ARRAY['subscription.paused']
        WHEN p_to = 'unpaid' THEN ARRAY['subscription.restricted']
        WHEN p_to = 'incomplete_expired' THEN ARRAY['subscription.expired']
        WHEN p_to = 'canceled' AND p_reason = 'trial_expired' THEN ARRAY['trial.expired', 'subscription.expired']
        WHEN p_to = 'canceled' AND p_reason IN ('expired', 'comp_expired') THEN ARRAY['subscription.expired']
        WHEN p_to = 'canceled' THEN ARRAY['subscription.canceled']
        WHEN p_to = 'active' AND p_from = 'trialing' THEN ARRAY['trial.converted']
        WHEN p_to = 'active' AND p_from = 'paused' THEN ARRAY['subscription.resumed']
        WHEN p_to = 'active' AND p_from IN ('past_due', 'unpaid') THEN ARRAY['subscription.recovered']
        ELSE ARRAY['subscription.changed']
    END
$$;
COMMENT ON FUNCTION qzpay._subscription_event_types(text, text, text) IS
'Which events a move of a subscription''s status emits, in order. One ending emits exactly one of expired and canceled.';

CREATE OR REPLACE FUNCTION qzpay._on_transition(p_machine text, p_tenant uuid, p_object uuid, p_from text, p_to text, p_reason text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_customer uuid;
    v_types text[];
    v_data jsonb;
    v_at timestamptz;
    v_type text;
BEGIN
    CASE p_machine
    WHEN 'subscription' THEN
        SELECT s.customer_id, qzpay._subscription_event_types(p_from, p_to, p_reason),
               jsonb_build_object('subscriptionId', s.id, 'status', p_to, 'previousStatus', p_from, 'reason', p_reason,
                                  'effectiveAt', s.updated_at, 'graceUntil', s.grace_until, 'metadata', s.metadata, 'emailSentByPackage', false)
          INTO STRICT v_customer, v_types, v_data
          FROM qzpay.subscriptions s WHERE s.tenant_id = p_tenant AND s.id = p_object;
    WHEN 'invoice' THEN
        SELECT i.customer_id,
               CASE p_to WHEN 'open' THEN ARRAY['invoice.finalized'] WHEN 'paid' THEN ARRAY['invoice.paid']
                         WHEN 'void' THEN ARRAY['invoice.voided'] WHEN 'uncollectible' THEN ARRAY['invoice.marked_uncollectible'] ELSE '{}' END,
               jsonb_build_object('invoiceId', i.id, 'number', i.number, 'subscriptionId', i.subscription_id, 'currency', i.currency,
                                  'total', i.total, 'amountDue', i.amount_due, 'amountPaid', i.amount_paid, 'metadata', i.metadata, 'emailSentByPackage', false)
                   || CASE WHEN i.subscription_id IS NULL THEN qzpay._shared_by(i.tenant_id, i.id) ELSE '{}' END
          INTO STRICT v_customer, v_types, v_data
          FROM qzpay.invoices i WHERE i.tenant_id = p_tenant AND i.id = p_object;
    WHEN 'attempt' THEN
        SELECT a.customer_id,
               CASE WHEN a.operation = 'refund' THEN CASE WHEN p_to = 'succeeded' THEN ARRAY['payment.refunded'] WHEN p_to IN ('declined', 'rejected') OR p_to = 'canceled' AND p_from <> 'planned' THEN ARRAY['refund.failed']
                                                          WHEN p_to = 'needs_operator' THEN ARRAY['alert.raised'] ELSE '{}' END
                    WHEN p_to = 'succeeded' THEN ARRAY['payment.succeeded'] WHEN p_to IN ('declined', 'rejected') THEN ARRAY['payment.failed']
                    WHEN p_to = 'requires_action' THEN ARRAY['payment.requires_action']
                    WHEN p_to = 'needs_operator' THEN ARRAY['alert.raised'] ELSE '{}' END,
               jsonb_build_object('attemptId', a.id, 'invoiceId', a.invoice_id, 'attempt', a.attempt_no, 'amount', a.amount, 'currency', a.currency,
                                  'provider', a.provider, 'declineCode', a.decline_code, 'declineClass', a.decline_class,
                                  'emailSentByPackage', false)
               || CASE a.operation WHEN 'refund' THEN jsonb_build_object('paymentId', p.id, 'amountRefunded', p.refunded, 'refundRequestId', r.id, 'creditNoteId', r.credit_note_id, 'reason', r.reason)
                       ELSE jsonb_build_object('willRetry', CASE WHEN p_to IN ('declined', 'rejected') THEN qzpay._will_retry(a.tenant_id, a.invoice_id, a.decline_class) END) END
          INTO STRICT v_customer, v_types, v_data
          FROM qzpay.payment_attempts a
          LEFT JOIN qzpay.payments p ON p.tenant_id = a.tenant_id AND p.id = a.payment_id
          LEFT JOIN qzpay.refund_requests r ON r.tenant_id = a.tenant_id AND r.id = a.refund_request_id
          WHERE a.tenant_id = p_tenant AND a.id = p_object;
    END CASE;
    v_at := qzpay.now(v_customer);
    INSERT INTO qzpay.transitions (tenant_id, id, machine, object_id, from_status, to_status, reason, occurred_at, recorded_at)
    VALUES (p_tenant, qzpay.uuid_v7(), p_machine, p_object, p_from, p_to, p_reason, v_at, qzpay._recorded_at());
    FOREACH v_type IN ARRAY v_types LOOP
        PERFORM qzpay._emit_event(p_tenant, v_type, p_machine, p_object, v_customer, v_data, NULL, v_at);
    END LOOP;
END $$;
COMMENT ON FUNCTION qzpay._on_transition(text, uuid, uuid, text, text, text) IS
'Called by the status triggers: writes the transition and the events it means.';
