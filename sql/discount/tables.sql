CREATE TABLE qzpay.discounts (
    id uuid PRIMARY KEY,
    code text NOT NULL CHECK (code <> ''),
    trigger text NOT NULL CHECK (trigger IN ('promo_code', 'automatic')),
    type text NOT NULL CHECK (type IN ('percentage', 'fixed_amount', 'free_period', 'reduced_period', 'trial_extension', 'free_shipping', 'volume', 'amount_threshold')),
    value numeric NOT NULL CHECK (value >= 0 AND value < 1e15),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    periods integer CHECK (periods > 0),
    forever boolean NOT NULL DEFAULT false,
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
    CHECK (type NOT IN ('percentage', 'reduced_period') OR value <= 100)
);
COMMENT ON TABLE qzpay.discounts IS
'Promo codes and automatic discounts as data: what is taken off, from what, when and how often. valid_until is exclusive. conditions holds restrictions by name; one whose fact is missing fails.';
CREATE UNIQUE INDEX discounts_code_key ON qzpay.discounts (trigger, upper(code));
