CREATE OR REPLACE FUNCTION qzpay.apply_discounts(cart jsonb, discounts jsonb, options jsonb DEFAULT '{}') RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_discounts_on_cart';
COMMENT ON FUNCTION qzpay.apply_discounts(jsonb, jsonb, jsonb) IS
'Which discounts take how much off which lines of a cart, and why the others do not; pure, and the same whatever the order of its input. Shapes are in docs/discounts.md. '
'cart {currency, plan, interval, lines [{kind, product, categories, quantity, amount or unitAmount}], customer {firstPurchase, segments, registeredAt}, usage, change, trialing}; '
'discounts: an array in the words of a catalog document; options {at, timezone, stacking {mode, maxStacked}, redemptions {CODE: {total, customer, redeemed, periodsUsed, covered}}}. '
'Result {subtotal, discount, total, lines [{amount, discount, total, discounts}], discounts [{code, applied, amount, lines, reason …}]}, in minor units. '
'Each discount is computed on the original amount of the lines it reaches, rounded once half away from zero, split among them by largest remainder, and never takes a line below 0. '
'A restriction whose fact is not given is not met. Errors: 22023 for anything that has no meaning, 22003 for amounts out of range.';
