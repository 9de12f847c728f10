-- Closed lists. A value is never added by an update script that also uses it, so every list is complete from the start.

CREATE TYPE qzpay.subscription_status AS ENUM
    ('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'paused', 'unpaid', 'canceled');
COMMENT ON TYPE qzpay.subscription_status IS
'State of a subscription. incomplete: waits for its first payment or method; incomplete_expired and canceled are final. '
'Legal moves are the table in src/core/status.c.';

CREATE TYPE qzpay.invoice_status AS ENUM ('draft', 'open', 'paid', 'void', 'uncollectible');
COMMENT ON TYPE qzpay.invoice_status IS
'State of an invoice. A draft has no number and may change; from open on the document is immutable.';

CREATE TYPE qzpay.attempt_status AS ENUM
    ('planned', 'sending', 'confirming', 'processing', 'requires_action', 'unknown', 'needs_operator',
     'succeeded', 'declined', 'rejected', 'canceled');
COMMENT ON TYPE qzpay.attempt_status IS
'State of one try to move money. succeeded, declined, rejected and canceled are final and absorb whatever comes later; '
'unknown blocks every other attempt on the invoice until the provider has been asked.';
