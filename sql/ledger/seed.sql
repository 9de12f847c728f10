INSERT INTO qzpay.ledger_accounts (code, kind, name) VALUES
    ('receivable', 'asset', 'Owed by customers on finalised invoices'),
    ('provider_clearing', 'asset', 'Received by payment providers, not yet paid out'),
    ('deferred_revenue', 'liability', 'Billed in advance, service still to be given'),
    ('customer_balance', 'liability', 'Credit of customers'),
    ('prepaid_credit', 'liability', 'Granted or sold to customers in advance, not used yet'),
    ('refunds_payable', 'liability', 'To be paid back to customers'),
    ('tax_payable', 'liability', 'Tax collected for the authorities'),
    ('revenue', 'income', 'Earned'),
    ('breakage', 'income', 'Prepaid credit that expired'),
    ('goodwill', 'expense', 'Credit given away'),
    ('bad_debt', 'expense', 'Invoices given up'),
    ('opening_balance', 'expense', 'Credit that customers brought from another system'),
    ('refunds', 'expense', 'Paid back to customers'),
    ('provider_fees', 'expense', 'Kept by payment providers')
ON CONFLICT (code) DO UPDATE SET kind = EXCLUDED.kind, name = EXCLUDED.name;
