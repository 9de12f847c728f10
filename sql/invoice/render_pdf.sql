-- PDF of a document, by the module qzpay_pdf.

CREATE OR REPLACE FUNCTION qzpay._document_pdf(document jsonb) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'qzpay_document_as_pdf';
COMMENT ON FUNCTION qzpay._document_pdf(jsonb) IS
    'A document in the shape of invoice_document() as PDF. The same document gives the same pages, as long as the server has the same fonts. 0A000 where the module qzpay_pdf is not installed.';

CREATE OR REPLACE FUNCTION qzpay.invoice_pdf(invoice uuid, locale text DEFAULT NULL) RETURNS bytea
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.invoice_pdf(uuid, text) IS
    'An invoice as PDF, in the customer''s language or the given locale: A4 or Letter as the language or the seller says, fonts embedded, table heads repeated, pages numbered. '
    'What it says is invoice_document(). The logo is shown if it is a data URI of PNG or JPEG, at most 2 MB; nothing is fetched. '
    'Errors: 0A000 where the server has no module qzpay_pdf, QZ404 no such invoice, 22023 a locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._invoice_pdf(p_invoice uuid, p_locale text) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._document_pdf(qzpay._invoice_document(p_invoice, p_locale));
END $$;
COMMENT ON FUNCTION qzpay._invoice_pdf(uuid, text) IS 'Internal of invoice_pdf(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.credit_note_pdf(credit_note uuid, locale text DEFAULT NULL) RETURNS bytea
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_credit_note';
COMMENT ON FUNCTION qzpay.credit_note_pdf(uuid, text) IS
'A credit note as invoice_pdf() makes invoices; what it says is credit_note_document(). Errors: 0A000 where the server has no module qzpay_pdf, QZ404 no such credit note, 22023 a locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._credit_note_pdf(p_credit_note uuid, p_locale text) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._document_pdf(qzpay._credit_note_document(p_credit_note, p_locale));
END $$;
COMMENT ON FUNCTION qzpay._credit_note_pdf(uuid, text) IS 'Internal of credit_note_pdf(), inside the tenant''s context.';
