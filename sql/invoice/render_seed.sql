-- What is there already may have been changed by the seller, and stays.
INSERT INTO qzpay.document_texts (seller_id, locale, name, value)
SELECT NULL, t.locale, t.name, t.value
FROM (
    SELECT l.locale, s.name, l.value
    FROM (VALUES
        ('title.invoice', 'Invoice', 'Factura'),
        ('title.credit_note', 'Credit note', 'Nota de crédito'),
        ('title.draft', 'Draft', 'Borrador'),
        ('notice.test', 'Test document: not a valid invoice, nothing is owed.', 'Documento de prueba: no es una factura válida y no hay nada que pagar.'),
        ('notice.draft', 'Draft: not an invoice yet.', 'Borrador: todavía no es una factura.'),
        ('notice.void', 'Void: this document has been annulled.', 'Anulada: este documento ha quedado sin efecto.'),
        ('seller', 'From', 'Emisor'),
        ('buyer', 'Bill to', 'Cliente'),
        ('tax_id', 'Tax ID', 'NIF/CIF'),
        ('fact.number', 'Number', 'Número'),
        ('fact.issued', 'Date of issue', 'Fecha de emisión'),
        ('fact.due', 'Due date', 'Fecha de vencimiento'),
        ('fact.period', 'Service period', 'Período de servicio'),
        ('fact.po_number', 'Purchase order', 'Orden de compra'),
        ('fact.corrects', 'Corrects invoice', 'Rectifica la factura'),
        ('fact.replaces', 'Replaces invoice', 'Sustituye a la factura'),
        ('fact.reason', 'Reason', 'Motivo'),
        ('fact.status', 'Status', 'Estado'),
        ('status.draft', 'Draft', 'Borrador'),
        ('status.open', 'Open', 'Pendiente'),
        ('status.paid', 'Paid on {date}', 'Pagada el {date}'),
        ('status.void', 'Void', 'Anulada'),
        ('status.uncollectible', 'Unpaid', 'Impagada'),
        ('lines', 'Items', 'Conceptos'),
        ('column.description', 'Description', 'Descripción'),
        ('column.quantity', 'Quantity', 'Cantidad'),
        ('column.unit_amount', 'Unit price', 'Precio unitario'),
        ('column.tax', 'Tax', 'Impuesto'),
        ('column.amount', 'Amount', 'Importe'),
        ('line.unused', 'Unused time on {name}', 'Tiempo no utilizado de {name}'),
        ('line.remaining', 'Remaining time on {name}', 'Tiempo restante de {name}'),
        ('line.commitment', '{name}: minimum commitment', '{name}: consumo mínimo'),
        ('line.discount', 'Discount {code}: {amount}', 'Descuento {code}: {amount}'),
        ('line.balance', 'Credited to your balance', 'Abonado a su saldo'),
        ('totals', 'Totals', 'Totales'),
        ('total.subtotal', 'Subtotal', 'Subtotal'),
        ('total.discount', 'Discount {code}', 'Descuento {code}'),
        ('total.tax', 'Tax', 'Impuestos'),
        ('total.total', 'Total', 'Total'),
        ('total.balance_applied', 'Paid from your balance', 'Pagado con su saldo'),
        ('total.grants_applied', 'Paid from prepaid credit', 'Pagado con crédito prepago'),
        ('total.paid', 'Paid', 'Pagado'),
        ('total.credited', 'Credited', 'Abonado'),
        ('total.due', 'Amount due', 'Importe por pagar'),
        ('total.to_invoice', 'Deducted from the invoice', 'Descontado de la factura'),
        ('total.to_balance', 'Credited to your balance', 'Abonado a su saldo'),
        ('total.to_refund', 'To be refunded', 'A reembolsar'),
        ('total.refunded', 'Refunded', 'Reembolsado'),
        ('taxes', 'Tax summary', 'Resumen de impuestos'),
        ('column.rate', 'Rate', 'Tipo'),
        ('column.base', 'Taxable amount', 'Base imponible'),
        ('column.tax_amount', 'Tax', 'Cuota'),
        ('tax.inclusive', '{tax}, included', '{tax}, incluido'),
        ('percent', '{number}%', '{number} %'),
        -- As in the settings tax_exempt_note and tax_reverse_note: what these say as shipped is said in the document's language.
        ('tax_note.exempt', 'Exempt from tax.', 'Operación exenta de impuestos.'),
        ('tax_note.reverse', 'Reverse charge: tax is to be accounted for by the recipient.', 'Inversión del sujeto pasivo: el destinatario debe declarar el impuesto.'),
        ('notes_title', 'Notes', 'Observaciones'),
        ('page', 'Page {page} of {pages}', 'Página {page} de {pages}'),
        ('number.point', '.', ','),
        ('number.separator', ',', '.'),
        ('number.least', '1', '2'),
        ('money', '{currency}{amount}', '{amount} {currency}'),
        ('date', '{month} {day}, {year}', '{day} de {month} de {year}'),
        ('date_short', '{month_short} {day}, {year}', '{day} {month_short} {year}'),
        ('period', '{from} – {until}', '{from} – {until}'),
        ('months', 'January|February|March|April|May|June|July|August|September|October|November|December',
                   'enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre'),
        ('months_short', 'Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec', 'ene|feb|mar|abr|may|jun|jul|ago|sep|oct|nov|dic')
    ) AS s (name, en, es)
    CROSS JOIN LATERAL (VALUES ('en', s.en), ('es', s.es)) AS l (locale, value)
    UNION ALL
    -- How countries differ from their language.
    SELECT c.locale, x.name, x.value
    FROM unnest('{es-MX,es-US,es-PR,es-PE,es-GT,es-HN,es-NI,es-PA,es-SV,es-DO}'::text[]) AS c (locale)
    CROSS JOIN (VALUES ('number.point', '.'), ('number.separator', ','), ('number.least', '1'), ('money', '{currency}{amount}')) AS x (name, value)
    UNION ALL
    SELECT c.locale, x.name, x.value
    FROM unnest('{es-AR,es-BO,es-CL,es-CO,es-CR,es-EC,es-PY,es-UY,es-VE}'::text[]) AS c (locale)
    CROSS JOIN (VALUES ('number.least', '1'), ('money', '{currency} {amount}')) AS x (name, value)
    UNION ALL
    VALUES
        ('es-AR', 'tax_id', 'CUIT'), ('es-CL', 'tax_id', 'RUT'), ('es-CO', 'tax_id', 'NIT'), ('es-MX', 'tax_id', 'RFC'), ('es-PE', 'tax_id', 'RUC'), ('es-UY', 'tax_id', 'RUT'),
        ('en-GB', 'date', '{day} {month} {year}'), ('en-GB', 'date_short', '{day} {month_short} {year}'),
        ('en-AU', 'date', '{day} {month} {year}'), ('en-AU', 'date_short', '{day} {month_short} {year}'),
        ('en-IE', 'date', '{day} {month} {year}'), ('en-IE', 'date_short', '{day} {month_short} {year}'),
        ('en-US', 'paper', 'Letter'), ('en-CA', 'paper', 'Letter'), ('es-US', 'paper', 'Letter'), ('es-PR', 'paper', 'Letter'), ('es-MX', 'paper', 'Letter'),
        ('es-CL', 'paper', 'Letter'), ('es-CO', 'paper', 'Letter'), ('es-VE', 'paper', 'Letter'),
        ('', 'paper', 'A4'), ('', 'direction', 'ltr'), ('', 'accent', '#1F4E79'),
        ('', 'currency.EUR', '€'), ('', 'currency.GBP', '£'), ('', 'currency.USD', 'US$'), ('', 'currency.BRL', 'R$')
) AS t (locale, name, value)
ON CONFLICT (seller_id, locale, name) DO NOTHING;
