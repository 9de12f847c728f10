# Every C file of the module, one line each, sorted within its floor.  A floor calls only what stands above it in this file.
# tools/lint fails when a file below src/ is missing here.

# core: pure arithmetic and rules, compiled without any server header
CORE_SRCS += src/core/address.c
CORE_SRCS += src/core/calendar.c
CORE_SRCS += src/core/change.c
CORE_SRCS += src/core/code.c
CORE_SRCS += src/core/currency.c
CORE_SRCS += src/core/discount.c
CORE_SRCS += src/core/discount_judge.c
CORE_SRCS += src/core/hash.c
CORE_SRCS += src/core/instant.c
CORE_SRCS += src/core/money.c
CORE_SRCS += src/core/outcome.c
CORE_SRCS += src/core/proration.c
CORE_SRCS += src/core/rate.c
CORE_SRCS += src/core/rating.c
CORE_SRCS += src/core/redact.c
CORE_SRCS += src/core/render.c
CORE_SRCS += src/core/signature.c
CORE_SRCS += src/core/status.c
CORE_SRCS += src/core/tax.c

# store: rows read and written from C
STORE_SRCS += src/store/act.c
STORE_SRCS += src/store/call.c
STORE_SRCS += src/store/catalog_cache.c
STORE_SRCS += src/store/catalog_read.c
STORE_SRCS += src/store/clock.c
STORE_SRCS += src/store/context.c
STORE_SRCS += src/store/decimal.c
STORE_SRCS += src/store/entitlement.c
STORE_SRCS += src/store/grant.c
STORE_SRCS += src/store/installation.c
STORE_SRCS += src/store/limit.c
STORE_SRCS += src/store/pan.c
STORE_SRCS += src/store/period.c
STORE_SRCS += src/store/place.c
STORE_SRCS += src/store/rate.c
STORE_SRCS += src/store/relation.c
STORE_SRCS += src/store/row.c
STORE_SRCS += src/store/secrets.c
STORE_SRCS += src/store/settings.c
STORE_SRCS += src/store/shared.c
STORE_SRCS += src/store/tenant_of.c
STORE_SRCS += src/store/throttle.c
STORE_SRCS += src/store/usage.c
STORE_SRCS += src/store/usage_alert.c
STORE_SRCS += src/store/usage_batch.c
STORE_SRCS += src/store/usage_event.c
STORE_SRCS += src/store/usage_total.c
STORE_SRCS += src/store/usage_value.c
STORE_SRCS += src/store/uuid.c

# sqlfn: the SQL-callable functions
SQLFN_SRCS += src/sqlfn/argument.c
SQLFN_SRCS += src/sqlfn/audit.c
SQLFN_SRCS += src/sqlfn/calendar.c
SQLFN_SRCS += src/sqlfn/cart_json.c
SQLFN_SRCS += src/sqlfn/change.c
SQLFN_SRCS += src/sqlfn/currency.c
SQLFN_SRCS += src/sqlfn/discount.c
SQLFN_SRCS += src/sqlfn/discount_json.c
SQLFN_SRCS += src/sqlfn/entitlement.c
SQLFN_SRCS += src/sqlfn/foundation.c
SQLFN_SRCS += src/sqlfn/json_reader.c
SQLFN_SRCS += src/sqlfn/keys.c
SQLFN_SRCS += src/sqlfn/limit.c
SQLFN_SRCS += src/sqlfn/live.c
SQLFN_SRCS += src/sqlfn/money.c
SQLFN_SRCS += src/sqlfn/payment.c
SQLFN_SRCS += src/sqlfn/rate.c
SQLFN_SRCS += src/sqlfn/rating.c
SQLFN_SRCS += src/sqlfn/render.c
SQLFN_SRCS += src/sqlfn/status.c
SQLFN_SRCS += src/sqlfn/tax.c
SQLFN_SRCS += src/sqlfn/tenancy.c
SQLFN_SRCS += src/sqlfn/triggers.c
SQLFN_SRCS += src/sqlfn/usage.c
SQLFN_SRCS += src/sqlfn/usage_query.c
SQLFN_SRCS += src/sqlfn/wrapper.c

# worker: launcher, worker, HTTP
WORKER_SRCS += src/worker/deliver.c
WORKER_SRCS += src/worker/exchange.c
WORKER_SRCS += src/worker/http.c
WORKER_SRCS += src/worker/launcher.c
WORKER_SRCS += src/worker/worker.c

# module load
MODULE_SRCS += src/guc.c
MODULE_SRCS += src/qzpay.c

# qzpay_pdf: a module of its own, made where Pango is; loaded by the first invoice_pdf()
PDF_SRCS += src/pdf/layout.c
PDF_SRCS += src/pdf/logo.c
PDF_SRCS += src/pdf/module.c
