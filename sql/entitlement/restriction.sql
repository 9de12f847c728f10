-- Restriction of a subscription by an administrator; dunning restricts by its own step.

CREATE OR REPLACE FUNCTION qzpay.restrict(subscription uuid, reason text) RETURNS timestamptz
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.restrict(uuid, text) IS
'Limits the access of a subscription from now on to the limited_features of its products, until unrestrict() or, where something is overdue, until that is paid. Billing goes on, and free access (comp) stays full. '
'Returns since when it is restricted; one that is already keeps its instant and reason. For administrators. Errors: QZ404, QZ204 an ended subscription, 22023 no reason.';

CREATE OR REPLACE FUNCTION qzpay._restrict(p_subscription uuid, p_reason text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_at timestamptz;
BEGIN
    IF coalesce(btrim(p_reason), '') = '' THEN
        RAISE EXCEPTION 'a subscription is not restricted without a reason' USING ERRCODE = '22023';
    END IF;
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    v_at := qzpay.now(v_sub.customer_id);
    IF v_sub.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'subscription % has ended', v_sub.id USING ERRCODE = 'QZ204', DETAIL = format('It ended at %s.', v_sub.ended_at);
    ELSIF v_sub.restricted_at IS NOT NULL THEN
        RETURN v_sub.restricted_at;
    END IF;
    UPDATE qzpay.subscriptions s SET restricted_at = v_at, restricted_reason = p_reason, updated_at = v_at WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._emit_event(v_sub.tenant_id, 'subscription.restricted', 'subscription', v_sub.id, v_sub.customer_id,
        jsonb_build_object('subscriptionId', v_sub.id, 'reason', p_reason, 'restrictedAt', v_at, 'emailSentByPackage', false), NULL, v_at);
    RETURN v_at;
END $$;
COMMENT ON FUNCTION qzpay._restrict(uuid, text) IS 'Internal of restrict(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.unrestrict(subscription uuid) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_subscription';
COMMENT ON FUNCTION qzpay.unrestrict(uuid) IS
'Lifts a restriction, whoever made it; false if there was none. What the status itself limits (grace, pause) stays limited. For administrators. Error QZ404.';

CREATE OR REPLACE FUNCTION qzpay._unrestrict(p_subscription uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_sub qzpay.subscriptions%ROWTYPE;
    v_at timestamptz;
BEGIN
    SELECT * INTO STRICT v_sub FROM qzpay.subscriptions s WHERE s.id = p_subscription FOR UPDATE;
    IF v_sub.restricted_at IS NULL OR v_sub.ended_at IS NOT NULL THEN
        RETURN false;
    END IF;
    v_at := qzpay.now(v_sub.customer_id);
    UPDATE qzpay.subscriptions s SET restricted_at = NULL, restricted_reason = NULL, updated_at = v_at WHERE s.tenant_id = v_sub.tenant_id AND s.id = v_sub.id;
    PERFORM qzpay._emit_event(v_sub.tenant_id, 'subscription.unrestricted', 'subscription', v_sub.id, v_sub.customer_id,
        jsonb_build_object('subscriptionId', v_sub.id, 'reason', v_sub.restricted_reason, 'restrictedAt', v_sub.restricted_at, 'emailSentByPackage', false), NULL, v_at);
    RETURN true;
END $$;
COMMENT ON FUNCTION qzpay._unrestrict(uuid) IS 'Internal of unrestrict(), inside the tenant''s context.';
