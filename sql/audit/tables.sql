CREATE TABLE qzpay.audit_entries (
    id uuid PRIMARY KEY,
    tenant_id uuid,
    customer_id uuid,
    act text NOT NULL,
    act_id uuid NOT NULL,
    object text NOT NULL,
    object_id text NOT NULL,
    operation text NOT NULL CHECK (operation IN ('insert', 'update', 'delete', 'act')),
    before jsonb,
    after jsonb,
    session_role name NOT NULL,
    role name NOT NULL,
    application text NOT NULL,
    personal_digest text CHECK (personal_digest ~ '^[0-9a-f]{64}$'),
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    position bigint CHECK (position > 0),
    hash text CHECK (hash ~ '^[0-9a-f]{64}$'),
    CHECK ((position IS NULL) = (hash IS NULL))
);
COMMENT ON TABLE qzpay.audit_entries IS
'Append-only: who changed what, one row per row changed, in the transaction that changed it; read it through the view audit_log. '
'Once sealed (position, hash) each is chained to the one before. No personal data of customers: that is in audit_personal, of which the digest is here.';
CREATE INDEX audit_entries_tenant_id_idx ON qzpay.audit_entries (tenant_id, customer_id);
CREATE INDEX audit_entries_object_id_idx ON qzpay.audit_entries (object_id, object);
CREATE INDEX audit_entries_position_idx ON qzpay.audit_entries (position) WHERE position IS NOT NULL;
CREATE INDEX audit_entries_unsealed_idx ON qzpay.audit_entries (recorded_at, id) WHERE position IS NULL;

CREATE TABLE qzpay.audit_personal (
    entry_id uuid PRIMARY KEY,
    tenant_id uuid,
    customer_id uuid,
    data jsonb,
    salt bytea,
    erased_at timestamptz,
    CHECK ((data IS NULL) = (erased_at IS NOT NULL) AND (salt IS NULL) = (erased_at IS NOT NULL))
);
COMMENT ON TABLE qzpay.audit_personal IS
'The part of an entry of the audit log that may have to be erased: personal columns before and after, actor, client address. The entry holds SHA-256 of salt and data; '
'erase_customer() takes both away, and the chain stays provable.';
CREATE INDEX audit_personal_customer_id_idx ON qzpay.audit_personal (tenant_id, customer_id) WHERE customer_id IS NOT NULL;

CREATE TABLE qzpay.audit_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    position bigint NOT NULL CHECK (position >= base_position),
    hash text NOT NULL,
    sealed_at timestamptz NOT NULL,
    base_position bigint NOT NULL CHECK (base_position >= 0),
    base_hash text NOT NULL
);
COMMENT ON TABLE qzpay.audit_head IS
'One row: the last sealed entry of the audit log, and the last one that was forgotten (base_position, 0: none), with which the chain begins. Whoever seals holds this row.';
