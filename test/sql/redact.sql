-- Card numbers and secrets in free text.
\pset tuples_only on
-- what is a card number
SELECT t, qzpay.contains_pan(t), qzpay.redact(t) FROM unnest(ARRAY[
    '4111111111111111', '4111 1111 1111 1111', '4111-1111-1111-1111', 'card:4111111111111111.', 'x4111111111111111x', '{"n": "5555555555554444"}', '2223003122003222',
    '378282246310005', '3782 822463 10005', '30569309025904', '6011111111111117', '3530111333300000', '6200000000000005', '4222222222222', '4000000000000000006',
    'order 12345 4111 1111 1111 1111 today', '4111111111111111 and 5555-5555-5555-4444', 'ñ4111111111111111ñ']) t;
-- what is not
SELECT t, qzpay.contains_pan(t), qzpay.redact(t) FROM unnest(ARRAY[
    '', '4', '411111111111', '4111111111111112', '41111111111111111', '4111_1111_1111_1111', '41111111111111111111111111111111',
    '1111111111111117', '0000000000000000', '1768813200000000', '+54 9 11 5555 4444', '2026-01-19 09:00:00.000000+00', '0.4111111111111111',
    '41111111-1111-1111-8111-111111111111', 'aaaaaaaa-0000-4000-8000-000000000001', 'visa ending 4242']) t;
-- secrets keep their kind
SELECT qzpay.redact(t) FROM unnest(ARRAY[
    'key sk_live_51Habcdefghijklmnop, done', 'sk_test_0123456789', 'whsec_abcdefghijklmnop==', 'APP_USR-1234567890-abcdef', 're_AbCdEfGh_1234567890',
    'Authorization: Bearer abc.def-ghi_jkl/mno+pqr=', 'authorization: bearer short', 'BASIC dXNlcjpwYXNzd29yZA==', 'mask_live_0123456789', 'there_is_nothing_here', 'ñsk_live_0123456789ñ',
    'Bearer sk_live_0123456789abcdef', 'sk_live_4111111111111111']) t;
SELECT qzpay.redact(NULL) IS NULL, qzpay.contains_pan(NULL) IS NULL;
-- also where the result is longer than the text, and the second time changes nothing
SELECT qzpay.redact(repeat('sk_live_12345678 ', 3000)) = repeat('sk_live_[redacted] ', 3000);
SELECT bool_and(NOT qzpay.contains_pan(r) AND qzpay.redact(r) = r) FROM (SELECT qzpay.redact(repeat('x ', n) || '4111 1111 1111 1111 Bearer ' || repeat('7', n)) AS r FROM generate_series(1, 60) n) x;
