CREATE TABLE qzpay.discounts (
    id uuid PRIMARY KEY,
    code text NOT NULL CHECK (code <> ''),
    trigger text NOT NULL CHECK (trigger IN ('promo_code', 'automatic')),
    type text NOT NULL CHECK (type IN ('percentage', 'fixed_amount', 'free_period', 'reduced_period', 'trial_extension', 'free_shipping', 'volume', 'amount_threshold')),
    value numeric NOT NULL CHECK (value >= 0 AND value < 1e15),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    periods integer CHECK (periods > 0),
    forever boolean NOT NULL DEFAULT false,
    tiers jsonb NOT NULL DEFAULT '[]',
    name text,
    description text,
    applies_to text NOT NULL DEFAULT 'subscription' CHECK (applies_to IN ('subscription', 'one_time', 'all')),
    stackable boolean NOT NULL,
    priority integer NOT NULL DEFAULT 0,
    conditions jsonb NOT NULL DEFAULT '{}',
    valid_from timestamptz,
    valid_until timestamptz,
    max_uses integer CHECK (max_uses > 0),
    max_uses_per_customer integer CHECK (max_uses_per_customer > 0),
    uses bigint NOT NULL DEFAULT 0 CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses)),
    active boolean NOT NULL DEFAULT true,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    CHECK (type <> 'fixed_amount' OR currency IS NOT NULL),
    CHECK (type NOT IN ('percentage', 'reduced_period') OR value <= 100),
    CHECK (tiers = '[]' OR type IN ('volume', 'amount_threshold')),
    CHECK (NOT (forever AND periods IS NOT NULL))
);
COMMENT ON TABLE qzpay.discounts IS
'Promo codes and automatic discounts as data: what is taken off, from what, when and how often. valid_until is exclusive. conditions holds restrictions by name; one whose fact is missing fails. '
'uses counts the redemptions that were not given back.';
CREATE UNIQUE INDEX discounts_code_key ON qzpay.discounts (trigger, upper(code));

CREATE TABLE qzpay.redemptions (
    tenant_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    subscription_id uuid,
    discount_id uuid NOT NULL REFERENCES qzpay.discounts,
    code text NOT NULL,
    state text NOT NULL CHECK (state IN ('reserved', 'used', 'returned')),
    terms jsonb NOT NULL,
    periods integer CHECK (periods > 0),
    periods_used integer NOT NULL DEFAULT 0 CHECK (periods_used >= 0 AND (periods IS NULL OR periods_used <= periods)),
    covered_until timestamptz,
    amount bigint NOT NULL DEFAULT 0 CHECK (amount >= 0),
    redeemed_at timestamptz NOT NULL,
    used_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES qzpay.customers,
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES qzpay.subscriptions,
    CHECK (state <> 'returned' OR ended_at IS NOT NULL),
    CHECK ((state = 'used') = (used_at IS NOT NULL) OR state = 'returned')
) WITH (fillfactor = 80);
COMMENT ON TABLE qzpay.redemptions IS
'Uses of discounts by customers: reserved when a code is redeemed, used with the first invoice (or trial) it changes, returned when the purchase came to nothing. One that is open (no ended_at) is judged on every invoice of its subscription. '
'terms are the discount''s as they were then, so that a later change of it breaks no promise.';
COMMENT ON COLUMN qzpay.redemptions.periods IS 'Billing periods it is for; NULL: for ever.';
COMMENT ON COLUMN qzpay.redemptions.covered_until IS 'End of the last period it was used for: prorations until then are discounted too.';
COMMENT ON COLUMN qzpay.redemptions.amount IS 'What it has taken off so far, in minor units.';
CREATE UNIQUE INDEX redemptions_open_key ON qzpay.redemptions (tenant_id, subscription_id, discount_id) WHERE ended_at IS NULL;
CREATE INDEX redemptions_customer_id_idx ON qzpay.redemptions (tenant_id, customer_id, discount_id);
CREATE INDEX redemptions_discount_id_idx ON qzpay.redemptions (discount_id);

CREATE TABLE qzpay.invoice_discounts (
    tenant_id uuid NOT NULL,
    invoice_id uuid NOT NULL,
    considered jsonb NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id),
    -- Discounts are judged before their invoice is written.
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES qzpay.invoices DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE qzpay.invoice_discounts IS
'Every discount that was considered for an invoice, applied or not, with amount or reason: the member discounts of the result of apply_discounts(); where subscriptions share the invoice, of each, which is named in subscription. Append-only. The view considered_discounts has a row for each.';
