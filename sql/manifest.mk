# Every SQL file, one line each, in the order of assembly.  tools/lint fails when a file below sql/ is missing here.
# Order of the domains: foundation tenancy catalog customer subscription entitlement usage discount invoice ledger payment provider
# webhook event marketplace job metrics.

# CODE_SQL: types, then functions; members of the extension, the body of qzpay--VERSION.sql.  CREATE OR REPLACE at the start of a
# line becomes CREATE there, so that nobody can put an object of their own in place beforehand.
CODE_SQL += sql/foundation/functions.sql

# DATA_ONCE: tables, constraints, indexes; ordinary objects, made once by install()

# DATA_AGAIN: triggers, views, policies, grants; re-runnable, made by install() and again by upgrade()
