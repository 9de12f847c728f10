# Every SQL file, one line each, in the order of assembly.  tools/lint fails when a file below sql/ is missing here.
# Order of the domains: foundation tenancy catalog customer subscription entitlement usage discount invoice ledger payment provider
# webhook event marketplace job metrics.

# CODE_SQL: types, then functions; members of the extension, the body of qzpay--VERSION.sql.  CREATE OR REPLACE at the start of a
# line becomes CREATE there, so that nobody can put an object of their own in place beforehand.
CODE_SQL += sql/foundation/types.sql
CODE_SQL += sql/subscription/types.sql
CODE_SQL += sql/catalog/types.sql
CODE_SQL += sql/entitlement/types.sql
CODE_SQL += sql/usage/types.sql
CODE_SQL += sql/invoice/types.sql
CODE_SQL += sql/foundation/functions.sql
CODE_SQL += sql/foundation/settings.sql
CODE_SQL += sql/foundation/install.sql
CODE_SQL += sql/tenancy/functions.sql
CODE_SQL += sql/foundation/clock.sql
CODE_SQL += sql/foundation/money.sql
CODE_SQL += sql/catalog/grammar.sql
CODE_SQL += sql/catalog/verify.sql
CODE_SQL += sql/catalog/import.sql
CODE_SQL += sql/catalog/export.sql
CODE_SQL += sql/catalog/functions.sql
CODE_SQL += sql/customer/functions.sql
CODE_SQL += sql/customer/payment_methods.sql
CODE_SQL += sql/customer/lifecycle.sql
CODE_SQL += sql/subscription/items.sql
CODE_SQL += sql/subscription/prorate.sql
CODE_SQL += sql/subscription/change.sql
CODE_SQL += sql/subscription/lifecycle.sql
CODE_SQL += sql/subscription/book.sql
CODE_SQL += sql/subscription/advance.sql
CODE_SQL += sql/subscription/dunning.sql
CODE_SQL += sql/subscription/functions.sql
CODE_SQL += sql/entitlement/functions.sql
CODE_SQL += sql/entitlement/limits.sql
CODE_SQL += sql/entitlement/overage.sql
CODE_SQL += sql/entitlement/overrides.sql
CODE_SQL += sql/entitlement/rates.sql
CODE_SQL += sql/entitlement/restriction.sql
CODE_SQL += sql/usage/functions.sql
CODE_SQL += sql/usage/report.sql
CODE_SQL += sql/invoice/functions.sql
CODE_SQL += sql/invoice/rating.sql
CODE_SQL += sql/invoice/commitment.sql
CODE_SQL += sql/ledger/balance.sql
CODE_SQL += sql/payment/outbox.sql
CODE_SQL += sql/payment/settle.sql
CODE_SQL += sql/payment/functions.sql
CODE_SQL += sql/payment/deliver.sql
CODE_SQL += sql/provider/functions.sql
CODE_SQL += sql/provider/sandbox/functions.sql
CODE_SQL += sql/provider/stripe/functions.sql
CODE_SQL += sql/event/functions.sql
CODE_SQL += sql/job/functions.sql
CODE_SQL += sql/job/chores.sql
CODE_SQL += sql/metrics/functions.sql
CODE_SQL += sql/metrics/doctor.sql

# DATA_ONCE: tables, constraints, indexes; ordinary objects, made once by install().  provider stands before what references its rows.
DATA_ONCE += sql/foundation/tables.sql
DATA_ONCE += sql/tenancy/tables.sql
DATA_ONCE += sql/catalog/tables.sql
DATA_ONCE += sql/provider/tables.sql
DATA_ONCE += sql/customer/tables.sql
DATA_ONCE += sql/subscription/tables.sql
DATA_ONCE += sql/entitlement/tables.sql
DATA_ONCE += sql/usage/tables.sql
DATA_ONCE += sql/discount/tables.sql
DATA_ONCE += sql/invoice/tables.sql
DATA_ONCE += sql/ledger/tables.sql
DATA_ONCE += sql/payment/tables.sql
DATA_ONCE += sql/provider/sandbox/tables.sql
DATA_ONCE += sql/event/tables.sql
DATA_ONCE += sql/job/tables.sql

# DATA_AGAIN: triggers, views, rows we ship, then owner, policies and grants; re-runnable, made by install() and again by upgrade()
DATA_AGAIN += sql/tenancy/triggers.sql
DATA_AGAIN += sql/catalog/triggers.sql
DATA_AGAIN += sql/provider/triggers.sql
DATA_AGAIN += sql/subscription/triggers.sql
DATA_AGAIN += sql/entitlement/triggers.sql
DATA_AGAIN += sql/usage/triggers.sql
DATA_AGAIN += sql/invoice/triggers.sql
DATA_AGAIN += sql/ledger/triggers.sql
DATA_AGAIN += sql/payment/triggers.sql
DATA_AGAIN += sql/event/triggers.sql
DATA_AGAIN += sql/catalog/views.sql
DATA_AGAIN += sql/subscription/views.sql
DATA_AGAIN += sql/foundation/seed.sql
DATA_AGAIN += sql/tenancy/seed.sql
DATA_AGAIN += sql/ledger/seed.sql
DATA_AGAIN += sql/event/seed.sql
DATA_AGAIN += sql/provider/sandbox/seed.sql
DATA_AGAIN += sql/provider/stripe/seed.sql
DATA_AGAIN += sql/payment/seed.sql
DATA_AGAIN += sql/job/seed.sql
DATA_AGAIN += sql/tenancy/owner.sql
DATA_AGAIN += sql/usage/seed.sql
DATA_AGAIN += sql/tenancy/policies.sql
DATA_AGAIN += sql/tenancy/grants.sql
