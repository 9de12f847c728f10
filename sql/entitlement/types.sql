CREATE TYPE qzpay.limit_check AS (
    allowed boolean, limit_value numeric, current_count numeric, remaining numeric, percent_used numeric, unlimited boolean, reason text
);
COMMENT ON TYPE qzpay.limit_check IS
'The answer of check_limit(). limit_value, remaining and percent_used are NULL where the limit is unlimited; remaining is never below 0; percent_used is 100 where the limit is 0. '
'reason is limit_reached or no_access (nothing held gives this limit) when refused, overage when allowed beyond a soft limit, else NULL.';

CREATE TYPE qzpay.rate_check AS (
    allowed boolean, limit_value bigint, used bigint, remaining bigint, retry_after interval, unlimited boolean, reason text
);
COMMENT ON TYPE qzpay.rate_check IS
'The answer of check_rate(): used is what was taken in the last minute, this time included. limit_value and remaining are NULL where the rate is unlimited. '
'When refused, retry_after is the time until as much would be allowed (NULL: never) and reason is limit_reached or no_access (nothing held gives this limit).';
