CREATE TABLE qzpay.installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL,
    schema_version text NOT NULL,
    installed_at timestamptz NOT NULL
);
COMMENT ON TABLE qzpay.installation IS
'One row: the name space of every derived id, and the version of the tables (compared with that of the extension).';

CREATE TABLE qzpay.settings (
    name text PRIMARY KEY,
    value jsonb NOT NULL,
    description text NOT NULL
);
COMMENT ON TABLE qzpay.settings IS
'Decisions of the seller that apply to the whole installation; change them with qzpay.set_setting().';

CREATE TABLE qzpay.test_clocks (
    id uuid PRIMARY KEY,
    name text,
    now_at timestamptz NOT NULL CHECK (isfinite(now_at)),
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE qzpay.test_clocks IS
'Clocks that stand still until advanced. A customer on one lives in its time and is never in live mode.';

CREATE TABLE qzpay.epochs (
    id uuid PRIMARY KEY,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    host text NOT NULL,
    database name NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    UNIQUE (system_identifier, timeline, host, database)
);
COMMENT ON TABLE qzpay.epochs IS
'Servers that may call live providers, each opened by go_live(). A clone, a restored dump or a promoted standby is in no row, so it sends nothing.';

CREATE TABLE qzpay.idempotency_keys (
    tenant_id uuid NOT NULL,
    function text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL,
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, function, key)
);
COMMENT ON TABLE qzpay.idempotency_keys IS
'Answers of calls made with an idempotency_key: the same call again returns the first answer, another call under the key is refused (QZ001).';
