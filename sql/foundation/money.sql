-- Amounts are bigint minor units of an ISO 4217 currency.

CREATE OR REPLACE FUNCTION qzpay.currency_exponent(currency text) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_exponent_of_currency';
COMMENT ON FUNCTION qzpay.currency_exponent(text) IS 'Decimals of a currency: 2 for USD, 0 for CLP. QZ101 for what is no currency of ISO 4217.';

CREATE OR REPLACE FUNCTION qzpay.format_amount(amount bigint, currency text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_amount_as_text';
COMMENT ON FUNCTION qzpay.format_amount(bigint, text) IS 'An amount of minor units as text: 9900, USD is ''99.00 USD''. QZ101 for an unknown currency.';

CREATE OR REPLACE FUNCTION qzpay.round_amount(exact numeric, rounding text DEFAULT 'half_up') RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_rounded_amount';
COMMENT ON FUNCTION qzpay.round_amount(numeric, text) IS
    'The one rounding of an exact amount to minor units: half_up (half away from zero) or half_even. 22003 beyond bigint, 22023 for NaN, infinity or an unknown rounding.';

CREATE OR REPLACE FUNCTION qzpay.split_amount(amount bigint, weights numeric[]) RETURNS bigint[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_split_amounts';
COMMENT ON FUNCTION qzpay.split_amount(bigint, numeric[]) IS
    'Splits an amount in proportion to weights into parts that add up to it exactly (largest remainder, among equals the first). '
    '22023 for a negative weight, NaN, no weights, weights that are all zero while the amount is not, or an array of more than one dimension; 22004 for a weight of NULL; 22003 where they are out of range.';

CREATE OR REPLACE FUNCTION qzpay.rate_usage(model text, pricing jsonb, quantity numeric, included numeric DEFAULT 0, events bigint DEFAULT NULL, amount numeric DEFAULT NULL,
        event_quantities numeric[] DEFAULT NULL, event_amounts numeric[] DEFAULT NULL) RETURNS numeric
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_rated_usage';
COMMENT ON FUNCTION qzpay.rate_usage(text, jsonb, numeric, numeric, bigint, numeric, numeric[], numeric[]) IS
    'Exact amount, in minor units, of a quantity beyond what is included; NULL where one of the first four arguments is. Models and pricings: flat {"amount"}; per_unit {"unit_amount"}; '
    'package {"amount", "size"}, every started package counts; graduated and volume {"tiers": [{"up_to", "unit_amount", "flat_amount"}, …], "flat_on_zero"}, up_to cumulative and inclusive, null for the last. '
    'Three models rate amounts, those of the events or the quantity itself: percentage {"rate", "fixed_amount", "free_events", "free_amount", "event_minimum", "event_maximum"}: rate percent, and fixed_amount for each event, '
    'but for events that are free, until there were free_events of them or they reach free_amount, whichever is first; graduated_percentage {"tiers": [{"up_to", "rate", "flat_amount"}, …], "flat_on_zero"} over the whole amount; '
    'dynamic {"multiplier"}, by default 1. Any pricing: "minimum_amount" and "maximum_amount" of the result, due without usage too, and "rounding" (half_up, half_even) of its one rounding, which is not done here. '
    'events is how many there were, amount what they are worth together (NULL: the quantity). Where single events decide, as with free ones, bounds of each, or own amounts beyond what is included, their quantities and amounts are wanted, '
    'in the order in which they occurred; an amount of NULL is the quantity. The units included are the first ones; an event in which they end is worth the part of its amount that lies beyond, by its units, to six decimals. '
    '22023 for an unknown model, an invalid pricing, something negative or NaN, events that are wanted and not there, that do not add up, or arrays of more than one dimension; 22004 where the quantity of an event is NULL; 22003 where a number or the exact result has too many digits.';

CREATE OR REPLACE FUNCTION qzpay.usage_amount(model text, pricing jsonb, quantity numeric, included numeric DEFAULT 0, rounding text DEFAULT 'half_up', events bigint DEFAULT NULL,
        amount numeric DEFAULT NULL, event_quantities numeric[] DEFAULT NULL, event_amounts numeric[] DEFAULT NULL) RETURNS bigint
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_usage_as_amount';
COMMENT ON FUNCTION qzpay.usage_amount(text, jsonb, numeric, numeric, text, bigint, numeric, numeric[], numeric[]) IS
    'rate_usage() rounded once to minor units: half_up (half away from zero) or half_even.';

CREATE OR REPLACE FUNCTION qzpay._rates_events(p_model text, p_pricing jsonb, p_quantity numeric, p_included numeric, p_has_amount boolean) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_pricing_rates_events';
COMMENT ON FUNCTION qzpay._rates_events(text, jsonb, numeric, numeric, boolean) IS
    'Whether rate_usage() wants the single events for this usage; p_has_amount: some event has an amount of its own. 22023 for an unknown model or an invalid pricing.';

-- IMMUTABLE as the server's own timezone(text, timestamptz): the result changes only with an update of the zones' definitions.
CREATE OR REPLACE FUNCTION qzpay.period_boundary(anchor timestamptz, unit text, count integer, n integer, timezone text DEFAULT 'UTC') RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_boundary_of_period';
COMMENT ON FUNCTION qzpay.period_boundary(timestamptz, text, integer, integer, text) IS
    'Boundary n of periods counted from an anchor: anchor + n × count units (day, week, month, year) of the zone''s civil time, in a shorter month its last day. '
    'Errors: 22023 unknown unit or zone, or a count outside of 1 to 1000; 22008 out of range.';

CREATE OR REPLACE FUNCTION qzpay.interval_parse(name text, OUT unit text, OUT count integer)
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_parsed_interval';
COMMENT ON FUNCTION qzpay.interval_parse(text) IS
    'An interval''s name, in English or Spanish, with or without a count (month, monthly, mensual, quarter, 3 months …), as unit and count. 22023 for anything else.';

CREATE OR REPLACE FUNCTION qzpay.prorate(amount bigint, period tstzrange, at timestamptz, unit text DEFAULT 'second', timezone text DEFAULT 'UTC') RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_unused_part';
COMMENT ON FUNCTION qzpay.prorate(bigint, tstzrange, timestamptz, text, text) IS
    'What is left of a debit for a period that ends early: amount less its used part, which is rounded. By second (exact to the microsecond), or by day of the zone''s calendar, where the day of the change counts as unused. '
    'Errors: 22023 unknown unit or zone, or a period without a beginning or an end.';

CREATE OR REPLACE FUNCTION qzpay.status_allowed(machine text, "from" text, "to" text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'qzpay_status_move_allowed';
COMMENT ON FUNCTION qzpay.status_allowed(text, text, text) IS
    'Whether a subscription, invoice or attempt may go from one status to another. 22023 for an unknown machine or status.';
