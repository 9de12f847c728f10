-- HTML of a document. Every string comes escaped out of _escape_html(), so layout alone is left to do here.

CREATE OR REPLACE FUNCTION qzpay._document_css() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $css$
    SELECT $$
*{box-sizing:border-box}
html{background:#eef0f2;color:#1c1e21;font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
body{margin:0}
main{background:#fff;max-width:52rem;margin:2rem auto;padding:3rem;border-top:.4rem solid;overflow-wrap:anywhere}
header{display:flex;justify-content:space-between;align-items:flex-start;gap:2rem}
.logo{max-width:14rem;max-height:4.5rem}
h1{font-size:1.8rem;line-height:1.2;margin:0}
h2{font-size:.8rem;font-weight:600;letter-spacing:.04em;color:#54585e;margin:0 0 .35rem}
.notice{border:2px solid #8a2a0c;color:#8a2a0c;font-weight:600;margin:1.5rem 0 0;padding:.5rem .8rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.5rem;margin:1.5rem 0}
dt{color:#54585e}
dd{margin:0}
.parties{display:grid;grid-template-columns:1fr 1fr;gap:2rem;margin:1.5rem 0 2rem}
.parties p{margin:0}
.parties p:first-of-type{font-weight:600}
table{width:100%;border-collapse:collapse;margin:0 0 1.5rem}
caption{text-align:start;font-size:.8rem;font-weight:600;letter-spacing:.04em;color:#54585e;padding:0 0 .35rem}
th,td{text-align:start;vertical-align:top;padding:.5rem .6rem;border-bottom:1px solid #d9dce0;font-weight:400}
thead th{border-bottom:2px solid #1c1e21;font-weight:600;vertical-align:bottom}
th:first-child,td:first-child{padding-inline-start:0}
th:last-child,td:last-child{padding-inline-end:0}
.figure{text-align:end;white-space:nowrap;font-variant-numeric:tabular-nums;overflow-wrap:normal}
.group th{font-weight:600;padding-top:1.1rem}
.detail{display:block;color:#54585e;font-size:.87rem}
.sums{display:flex;flex-wrap:wrap;justify-content:space-between;align-items:flex-start;gap:0 3rem}
.sums table{flex:1 1 18rem;width:auto}
.totals{max-width:26rem;margin-inline-start:auto}
.strong th,.strong td{font-weight:700}
.totals tr:last-child th,.totals tr:last-child td{font-size:1.15rem;border-bottom:0}
.notes p{margin:0 0 .6rem;white-space:pre-line}
footer{border-top:1px solid #d9dce0;color:#54585e;font-size:.87rem;margin-top:2rem;padding-top:1rem;white-space:pre-line}
@media (max-width:40rem){main{margin:0;padding:1.2rem}.parties{grid-template-columns:1fr;gap:1rem}header{flex-direction:column-reverse;gap:1rem}th,td{padding:.4rem .3rem}.lines .minor{display:none}}
@page{margin:16mm 15mm}
@media print{html{background:none;font-size:12px}main{margin:0;padding:1.2rem 0 0;max-width:none}thead{display:table-header-group}tr,.notice,.parties,dl{break-inside:avoid}.sums,footer{break-inside:avoid}}
$$
$css$;
COMMENT ON FUNCTION qzpay._document_css() IS 'Style sheet of documents: screen, phone, and print on the paper of the printer.';

CREATE OR REPLACE FUNCTION qzpay._html_texts(p_texts jsonb, p_before text, p_after text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT string_agg(p_before || (t.value #>> '{}') || p_after, E'\n' ORDER BY t.ordinality) FROM jsonb_array_elements(p_texts) WITH ORDINALITY t), '');
END $$;
COMMENT ON FUNCTION qzpay._html_texts(jsonb, text, text) IS 'Each text of an array between two pieces of HTML.';

CREATE OR REPLACE FUNCTION qzpay._document_html(p_document jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d jsonb := qzpay._escape_html(p_document);
    v_columns jsonb := d -> 'columns';
    v_logo text := CASE WHEN qzpay._is_image_source(p_document ->> 'logo') THEN d ->> 'logo' END;
BEGIN
    RETURN concat(
        '<!DOCTYPE html>', E'\n<html lang="', d ->> 'lang', '" dir="', d ->> 'direction', E'">\n<head>\n<meta charset="utf-8">\n',
        '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; img-src https: data:; style-src ''unsafe-inline''">', E'\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">', E'\n<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n',
        '<title>', d ->> 'heading', ' – ', d #>> '{parties,0,lines,0}', E'</title>\n<style>', qzpay._document_css(), 'main{border-color:', d ->> 'accent', E'}\n</style>\n</head>\n<body>\n<main>\n',
        '<header><h1><bdi>', d ->> 'heading', '</bdi></h1>',
        '<img class="logo" src="' || v_logo || '" alt="' || (d #>> '{parties,0,lines,0}') || '">', E'</header>\n',
        qzpay._html_texts(d -> 'notices', '<p class="notice" dir="auto">', '</p>'), E'\n<dl>\n',
        (SELECT string_agg('<dt>' || (f.value ->> 'label') || '</dt><dd><bdi>' || (f.value ->> 'text') || '</bdi></dd>', E'\n' ORDER BY f.ordinality) FROM jsonb_array_elements(d -> 'facts') WITH ORDINALITY f),
        E'\n</dl>\n<div class="parties">\n',
        (SELECT string_agg('<section><h2>' || (p.value ->> 'label') || E'</h2>\n' || qzpay._html_texts(p.value -> 'lines', '<p><bdi>', '</bdi></p>') || '</section>', E'\n' ORDER BY p.ordinality)
         FROM jsonb_array_elements(d -> 'parties') WITH ORDINALITY p),
        E'\n</div>\n<table class="lines">\n<caption>', d ->> 'lines_label', E'</caption>\n<thead><tr>',
        (SELECT string_agg('<th scope="col"' || CASE WHEN (c.value ->> 'figure')::boolean
                                                     THEN ' class="figure' || CASE WHEN c.value ->> 'name' IN ('unit_amount', 'tax') THEN ' minor' ELSE '' END || '"' ELSE '' END
                           || '>' || (c.value ->> 'label') || '</th>', '' ORDER BY c.ordinality) FROM jsonb_array_elements(v_columns) WITH ORDINALITY c),
        E'</tr></thead>\n<tbody>\n',
        (SELECT string_agg(coalesce('<tr class="group"><th scope="rowgroup" colspan="' || jsonb_array_length(v_columns) || '"><bdi>' || (l.value ->> 'group') || E'</bdi></th></tr>\n', '')
                           || '<tr><th scope="row"><bdi>' || (l.value ->> 'description') || '</bdi>' || qzpay._html_texts(l.value -> 'details', '<span class="detail"><bdi>', '</bdi></span>') || '</th>'
                           || (SELECT string_agg('<td class="figure' || CASE WHEN c.value ->> 'name' IN ('unit_amount', 'tax') THEN ' minor' ELSE '' END || '">'
                                                 || coalesce('<bdi>' || nullif(l.value -> (c.value ->> 'name') ->> 'text', '') || '</bdi>', '') || '</td>', '' ORDER BY c.ordinality)
                               FROM jsonb_array_elements(v_columns) WITH ORDINALITY c WHERE (c.value ->> 'figure')::boolean)
                           || '</tr>', E'\n' ORDER BY l.ordinality) FROM jsonb_array_elements(d -> 'lines') WITH ORDINALITY l),
        E'\n</tbody>\n</table>\n<div class="sums">\n',
        '<table>' || E'\n<caption>' || (d #>> '{taxes,label}') || E'</caption>\n<thead><tr>'
        || (SELECT string_agg('<th scope="col"' || CASE WHEN h.ordinality > 1 THEN ' class="figure"' ELSE '' END || '>' || (h.value #>> '{}') || '</th>', '' ORDER BY h.ordinality)
            FROM jsonb_array_elements(d #> '{taxes,columns}') WITH ORDINALITY h) || E'</tr></thead>\n<tbody>\n'
        || (SELECT string_agg('<tr><th scope="row"><bdi>' || (r.value ->> 'label') || '</bdi></th><td class="figure"><bdi>' || (r.value #>> '{base,text}') || '</bdi></td><td class="figure"><bdi>'
                              || (r.value #>> '{amount,text}') || '</bdi></td></tr>',
                              E'\n' ORDER BY r.ordinality)
            FROM jsonb_array_elements(d #> '{taxes,rows}') WITH ORDINALITY r) || E'\n</tbody>\n</table>\n',
        '<table class="totals">', E'\n<caption>', d ->> 'totals_label', E'</caption>\n<tbody>\n',
        (SELECT string_agg('<tr' || CASE WHEN (t.value ->> 'strong')::boolean THEN ' class="strong"' ELSE '' END || '><th scope="row"><bdi>' || (t.value ->> 'label') || '</bdi></th><td class="figure"><bdi>'
                           || (t.value ->> 'text') || '</bdi></td></tr>', E'\n' ORDER BY t.ordinality) FROM jsonb_array_elements(d -> 'totals') WITH ORDINALITY t),
        E'\n</tbody>\n</table>\n</div>\n',
        CASE WHEN d -> 'notes' <> '[]' THEN '<section class="notes"><h2>' || (d ->> 'notes_label') || E'</h2>\n' || qzpay._html_texts(d -> 'notes', '<p dir="auto">', '</p>') || E'</section>\n' END,
        '<footer dir="auto">' || (d ->> 'footer') || E'</footer>\n',
        E'</main>\n</body>\n</html>\n');
END $$;
COMMENT ON FUNCTION qzpay._document_html(jsonb) IS
'A document in the shape of invoice_document() as one self-contained page of HTML5: no script, no style or font from elsewhere; an image only where the logo is an https URL.';

CREATE OR REPLACE FUNCTION qzpay.invoice_html(invoice uuid, locale text DEFAULT NULL) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_invoice';
COMMENT ON FUNCTION qzpay.invoice_html(uuid, text) IS
'An invoice as a page of HTML5 (UTF-8), in the customer''s language or the given locale: one file, for screens and for print on A4 or Letter, whatever the printer has. All data are escaped; it holds no script. '
'What it says is invoice_document(). Errors: QZ404 no such invoice, 22023 a locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._invoice_html(p_invoice uuid, p_locale text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._document_html(qzpay._invoice_document(p_invoice, p_locale));
END $$;
COMMENT ON FUNCTION qzpay._invoice_html(uuid, text) IS 'Internal of invoice_html(), inside the tenant''s context.';

CREATE OR REPLACE FUNCTION qzpay.credit_note_html(credit_note uuid, locale text DEFAULT NULL) RETURNS text
    LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER
    AS 'MODULE_PATHNAME', 'qzpay_in_tenant_of_credit_note';
COMMENT ON FUNCTION qzpay.credit_note_html(uuid, text) IS
'A credit note as invoice_html() makes invoices; what it says is credit_note_document(). Errors: QZ404 no such credit note, 22023 a locale without texts.';

CREATE OR REPLACE FUNCTION qzpay._credit_note_html(p_credit_note uuid, p_locale text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN qzpay._document_html(qzpay._credit_note_document(p_credit_note, p_locale));
END $$;
COMMENT ON FUNCTION qzpay._credit_note_html(uuid, text) IS 'Internal of credit_note_html(), inside the tenant''s context.';
