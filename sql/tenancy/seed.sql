INSERT INTO qzpay.sellers (id, code, name, is_default, created_at)
SELECT qzpay.uuid_v5(i.id, 'seller:default'), 'default', 'Seller', true, qzpay._recorded_at() FROM qzpay.installation i
WHERE NOT EXISTS (SELECT FROM qzpay.sellers);
