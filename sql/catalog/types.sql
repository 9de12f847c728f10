CREATE TYPE qzpay._catalog_object AS (kind text, code text, path text, implied boolean, body jsonb);
COMMENT ON TYPE qzpay._catalog_object IS
'An object of the catalog as one fragment of the document: what the document wants (path: where it says so) or what the tables hold. implied: made when missing, never changed.';

CREATE TYPE qzpay._catalog_change AS (ordinal bigint, action text, kind text, code text, before jsonb, after jsonb, body jsonb);
COMMENT ON TYPE qzpay._catalog_change IS
'One line of the difference between a catalog document and the tables. before and after hold what differs, body the whole object as it shall be.';
