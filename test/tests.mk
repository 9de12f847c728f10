# Tests of pg_regress (test/sql) and of the isolation tester (test/specs, names start with iso_), in the order of running.
REGRESS += extension
REGRESS += foundation_roles
REGRESS += catalog
ISOLATION += iso_catalog_import
ISOLATION += iso_payment
REGRESS += context
REGRESS += tenancy
REGRESS += errors_c
REGRESS += money
REGRESS += calendar
REGRESS += redact
ISOLATION += iso_billing
ISOLATION += iso_usage
