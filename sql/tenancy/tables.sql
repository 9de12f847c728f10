CREATE TABLE qzpay.tenants (
    tenant_id uuid PRIMARY KEY,
    name text,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE qzpay.tenants IS
'The walls of row security. One tenant normally has one customer, made together by sync_customer(); a shop may have many.';

CREATE TABLE qzpay.tenant_roles (
    role_name name PRIMARY KEY,
    tenant_id uuid NOT NULL REFERENCES qzpay.tenants
);
COMMENT ON TABLE qzpay.tenant_roles IS
'Login roles bound to one tenant for ever: such a role needs no token and can enter no other tenant.';
CREATE INDEX tenant_roles_tenant_id_idx ON qzpay.tenant_roles (tenant_id);

CREATE TABLE qzpay.sellers (
    id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL,
    tax_id text,
    address jsonb NOT NULL DEFAULT '{}',
    timezone text NOT NULL DEFAULT 'UTC',
    number_format text NOT NULL DEFAULT '{prefix}{year}-{number}',
    credit_number_format text NOT NULL DEFAULT '{prefix}CN-{year}-{number}',
    prefix text NOT NULL DEFAULT '',
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE qzpay.sellers IS 'Legal entities that issue invoices, each with its number series.';
CREATE UNIQUE INDEX sellers_default_key ON qzpay.sellers (is_default) WHERE is_default;
