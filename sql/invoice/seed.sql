INSERT INTO qzpay.settings (name, value, description) VALUES
    ('tax_provider', 'null', 'Code of the provider of kind tax, answering inside the database, that says the tax of every invoice; null: the rates of set_tax_rate() do.'),
    ('tax_exempt_note', '"Exempt from tax."', 'Printed on invoices of customers that are exempt from tax.'),
    ('tax_reverse_note', '"Reverse charge: tax is to be accounted for by the recipient."', 'Printed on invoices of customers under reverse charge.'),
    ('invoice_draft_hours', '0', 'Hours for which an invoice with usage stays a draft before it becomes final, from 0 to 720.'),
    ('overdue_reminder_days', '[3, 7, 14]', 'Days (of 24 hours) after the due date at which invoice.reminder is emitted; an array of integers from 1 to 999.')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;
