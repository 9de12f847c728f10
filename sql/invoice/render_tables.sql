CREATE TABLE qzpay.document_texts (
    seller_id uuid REFERENCES qzpay.sellers,
    locale text NOT NULL CHECK (locale ~ '^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$'),
    name text NOT NULL CHECK (name ~ '^[a-z][A-Za-z0-9_.]*$' AND length(name) <= 100),
    value text NOT NULL CHECK (length(value) <= 1000000),
    UNIQUE NULLS NOT DISTINCT (seller_id, locale, name),
    CHECK (name <> 'logo' OR qzpay._is_image_source(value)),
    CHECK (name <> 'accent' OR value ~ '^#[0-9A-Fa-f]{6}$'),
    CHECK (name <> 'paper' OR value IN ('A4', 'Letter')),
    CHECK (name <> 'direction' OR value IN ('ltr', 'rtl')),
    CHECK (name NOT LIKE 'number.%' OR length(value) <= 2),
    CHECK (name <> 'number.least' OR value ~ '^[1-4]$'),
    CHECK (name NOT IN ('months', 'months_short') OR cardinality(string_to_array(value, '|')) = 12)
);
COMMENT ON TABLE qzpay.document_texts IS
'What is printed on documents beside their data, per language: headings, names of months, ways of writing numbers and dates. Another language is more rows; locale '''' is every language. '
'A row with a seller is for that seller alone and goes before those without: its logo (https URL or data URI of an image), accent (a colour, #rrggbb), notes, footer. '
'For es-AR the rows of es-AR go before those of es, those of '''' and, as the last resort, en.';

CREATE TABLE qzpay.seller_versions (
    seller_id uuid NOT NULL REFERENCES qzpay.sellers ON DELETE CASCADE,
    valid_until timestamptz NOT NULL,
    name text NOT NULL,
    tax_id text,
    address jsonb NOT NULL,
    timezone text NOT NULL,
    PRIMARY KEY (seller_id, valid_until)
);
COMMENT ON TABLE qzpay.seller_versions IS
'What a seller''s documents said of it until it was changed, kept by a trigger: a document issued before still says so. Live documents only; those of test customers show the seller as it is.';
