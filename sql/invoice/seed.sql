INSERT INTO qzpay.settings (name, value, description) VALUES
    ('tax_provider', 'null', 'Code of the provider of kind tax, answering inside the database, that says the tax of every invoice; null: the rates of set_tax_rate() do.'),
    ('tax_exempt_note', '"Exempt from tax."', 'Printed on invoices of customers that are exempt from tax.'),
    ('tax_reverse_note', '"Reverse charge: tax is to be accounted for by the recipient."', 'Printed on invoices of customers under reverse charge.'),
    ('invoice_draft_hours', '0', 'Hours for which an invoice with usage stays a draft before it becomes final, from 0 to 720.'),
    ('invoice_consolidation', '"none"', 'What shares an invoice: none (every subscription has its own), or day (all that falls due for a customer, in one currency, on a day of its zone). A customer may have its own, see set_billing_details().'),
    ('upcoming_invoice_days', 'null', 'Days (of 24 hours) before a renewal at which invoice.upcoming is emitted, from 1 to 365; null: it is not.'),
    ('overdue_reminder_days', '[3, 7, 14]', 'Days (of 24 hours) after the due date at which invoice.reminder is emitted; an array of integers from 1 to 999.')
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;
