CREATE TYPE qzpay.usage_result AS (status text, total numeric);
COMMENT ON TYPE qzpay.usage_result IS
'The answer of record_usage(): recorded, or duplicate when the key was recorded before; total is the meter''s in the event''s usage period.';
