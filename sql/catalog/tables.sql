CREATE TABLE qzpay.meters (
    id uuid PRIMARY KEY,
    code text NOT NULL UNIQUE CHECK (code <> ''),
    name text NOT NULL,
    aggregation text NOT NULL DEFAULT 'sum' CHECK (aggregation IN ('sum', 'count', 'max', 'last', 'unique', 'avg')),
    value_property text CHECK (value_property <> ''),
    unit_name text,
    dimensions text[] NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    metadata jsonb NOT NULL DEFAULT '{}',
    counts_rows boolean NOT NULL DEFAULT false,
    CHECK ((aggregation = 'unique') = (value_property IS NOT NULL)),
    CHECK (NOT counts_rows OR aggregation = 'sum')
);
COMMENT ON TABLE qzpay.meters IS 'What can be counted: how events become one number per usage period.';
COMMENT ON COLUMN qzpay.meters.value_property IS 'The property of an event whose distinct values are counted, where aggregation is unique.';
COMMENT ON COLUMN qzpay.meters.counts_rows IS 'It counts rows of the application''s tables by a query (set_meter_query()) and takes no reports.';
COMMENT ON COLUMN qzpay.meters.dimensions IS 'The properties of events by which usage may be broken down.';

CREATE TABLE qzpay.features (
    code text PRIMARY KEY CHECK (code <> ''),
    kind text NOT NULL CHECK (kind IN ('boolean', 'limit', 'text')),
    limit_kind text CHECK (limit_kind IN ('stock', 'period', 'rate', 'value', 'concurrency')),
    meter_id uuid REFERENCES qzpay.meters,
    name text NOT NULL,
    description text,
    CHECK ((kind = 'limit') = (limit_kind IS NOT NULL)),
    CHECK (meter_id IS NULL OR limit_kind = 'period')
);
COMMENT ON TABLE qzpay.features IS
'What a product can grant: a yes or no, a number, or a text. A limit of kind period is counted by its meter.';
CREATE INDEX features_meter_id_idx ON qzpay.features (meter_id);

CREATE TABLE qzpay.products (
    id uuid PRIMARY KEY,
    tenant_id uuid REFERENCES qzpay.tenants,
    code text NOT NULL CHECK (code <> ''),
    aliases text[] NOT NULL DEFAULT '{}',
    kind text NOT NULL CHECK (kind IN ('plan', 'addon', 'service')),
    name text NOT NULL,
    description text,
    unit_label text,
    categories text[] NOT NULL DEFAULT '{}',
    tier_rank integer,
    trial_days integer NOT NULL DEFAULT 0 CHECK (trial_days BETWEEN 0 AND 3650),
    trial_requires_payment_method boolean NOT NULL DEFAULT false,
    trial_end_behavior text NOT NULL DEFAULT 'cancel' CHECK (trial_end_behavior IN ('cancel', 'pause', 'past_due')),
    trial_reuse text CHECK (trial_reuse IN ('never', 'per_plan', 'always')),
    trial_reminder_days integer[] CHECK (1 <= ALL (trial_reminder_days) AND 999 >= ALL (trial_reminder_days) AND cardinality(trial_reminder_days) <= 16),
    expiring_reminder_days integer[] CHECK (1 <= ALL (expiring_reminder_days) AND 999 >= ALL (expiring_reminder_days) AND cardinality(expiring_reminder_days) <= 16),
    late_renewal_days integer CHECK (late_renewal_days BETWEEN 0 AND 3650),
    proration_unit text CHECK (proration_unit IN ('second', 'day')),
    invoice_draft_hours integer CHECK (invoice_draft_hours BETWEEN 0 AND 720),
    usage_late_hours integer CHECK (usage_late_hours BETWEEN 0 AND 720),
    prorate boolean,
    usage_interval_unit text NOT NULL DEFAULT 'month' CHECK (usage_interval_unit IN ('day', 'week', 'month', 'year')),
    usage_interval_count integer NOT NULL DEFAULT 1 CHECK (usage_interval_count BETWEEN 1 AND 1000),
    grace_days integer CHECK (grace_days BETWEEN 0 AND 3650),
    grace_access text NOT NULL DEFAULT 'full' CHECK (grace_access IN ('full', 'limited', 'none')),
    limited_features text[] NOT NULL DEFAULT '{}',
    dunning_policy text,
    min_quantity integer NOT NULL DEFAULT 1 CHECK (min_quantity >= 0),
    max_quantity integer CHECK (max_quantity >= min_quantity),
    self_service boolean NOT NULL DEFAULT true,
    visible boolean NOT NULL DEFAULT true,
    active boolean NOT NULL DEFAULT true,
    display jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (prorate IS NULL OR kind = 'addon')
);
COMMENT ON TABLE qzpay.products IS
'Plans, add-ons (plugins are add-ons) and one-time services. A product with a tenant is private to it; code is what the API is called with.';
COMMENT ON COLUMN qzpay.products.trial_reuse IS
'This and trial_reminder_days, expiring_reminder_days, late_renewal_days, proration_unit, invoice_draft_hours stand before the setting of their name, usage_late_hours before usage_late_window; NULL: the setting. grace_days NULL: those of the dunning policy.';
COMMENT ON COLUMN qzpay.products.prorate IS
'Whether an add-on that begins or ends within a period is charged and credited by time. NULL: yes, unless it sells quantity of a meter, which is charged and granted in full.';
COMMENT ON COLUMN qzpay.products.limited_features IS
'Codes of the features and limits that stay while a subscription with this product gives limited access only (grace, pause, restriction); none of the others does then, whichever product grants it.';
CREATE UNIQUE INDEX products_code_key ON qzpay.products (code) WHERE tenant_id IS NULL;
CREATE UNIQUE INDEX products_tenant_code_key ON qzpay.products (tenant_id, code) WHERE tenant_id IS NOT NULL;

CREATE TABLE qzpay.product_relations (
    product_id uuid NOT NULL REFERENCES qzpay.products,
    relation text NOT NULL CHECK (relation IN ('applicable_plan', 'included_in', 'requires', 'incompatible_with')),
    related_id uuid NOT NULL REFERENCES qzpay.products,
    PRIMARY KEY (product_id, relation, related_id),
    CHECK (product_id <> related_id)
);
COMMENT ON TABLE qzpay.product_relations IS
'Rules of an add-on against other products: the plans it may join, those that contain it already, what it requires and what it excludes.';
CREATE INDEX product_relations_related_id_idx ON qzpay.product_relations (related_id);

CREATE TABLE qzpay.prices (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES qzpay.products,
    version integer NOT NULL CHECK (version > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    interval_unit text NOT NULL CHECK (interval_unit IN ('day', 'week', 'month', 'year', 'once', 'trial')),
    interval_count integer NOT NULL DEFAULT 1 CHECK (interval_count BETWEEN 1 AND 1000),
    unit_amount numeric NOT NULL CHECK (unit_amount >= 0 AND unit_amount < 1e15 AND scale(unit_amount) <= 12),
    commitment numeric CHECK (commitment >= 0 AND commitment < 1e15 AND scale(commitment) <= 12),
    active boolean NOT NULL DEFAULT true,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    UNIQUE (product_id, currency, interval_unit, interval_count, version)
);
COMMENT ON TABLE qzpay.prices IS
'Versions of what a product costs per unit and interval, in minor units (fractions allowed). A price never changes: a new version is a new row, and who subscribed keeps the old one.';
COMMENT ON COLUMN qzpay.prices.interval_unit IS
'once: what a service costs, or the set-up fee of a plan or add-on. trial: what the whole trial of a plan costs, at its start.';
COMMENT ON COLUMN qzpay.prices.commitment IS
'What a subscription to this plan spends at least in a billing period, before discounts, in minor units; what is missing is billed at the period''s end.';
CREATE UNIQUE INDEX prices_active_key ON qzpay.prices (product_id, currency, interval_unit, interval_count) WHERE active;

CREATE TABLE qzpay.product_features (
    product_id uuid NOT NULL REFERENCES qzpay.products,
    feature_code text NOT NULL REFERENCES qzpay.features,
    enabled boolean,
    limit_value numeric CHECK (limit_value >= 0 AND limit_value < 1e15),
    unlimited boolean NOT NULL DEFAULT false,
    text_value text,
    PRIMARY KEY (product_id, feature_code),
    CHECK (num_nonnulls(enabled, limit_value, text_value) + unlimited::int = 1)
);
COMMENT ON TABLE qzpay.product_features IS
'What a product grants. On a plan a limit is the allowance; on an add-on it is what each unit adds to it.';
CREATE INDEX product_features_feature_code_idx ON qzpay.product_features (feature_code);

CREATE TABLE qzpay.charges (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES qzpay.products,
    meter_id uuid NOT NULL REFERENCES qzpay.meters,
    version integer NOT NULL CHECK (version > 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    display_name text NOT NULL,
    included numeric NOT NULL DEFAULT 0 CHECK (included >= 0 AND included < 1e15),
    model text NOT NULL CHECK (model IN ('flat', 'per_unit', 'graduated', 'volume', 'package', 'percentage', 'graduated_percentage', 'dynamic')),
    pricing jsonb NOT NULL,
    limit_type text NOT NULL DEFAULT 'none' CHECK (limit_type IN ('hard', 'soft', 'none')),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    retired_at timestamptz,
    UNIQUE (product_id, meter_id, currency, version),
    CHECK (active = (retired_at IS NULL))
);
COMMENT ON TABLE qzpay.charges IS
'How usage of a meter is billed under a product, in arrears: quantity beyond included goes through the pricing model (shapes: rate_usage()). Versions as in prices. '
'limit_type hard refuses beyond included, soft and none bill it. Who subscribed in [created_at, retired_at) has this version.';
CREATE UNIQUE INDEX charges_active_key ON qzpay.charges (product_id, meter_id, currency) WHERE active;
CREATE INDEX charges_meter_id_idx ON qzpay.charges (meter_id);
