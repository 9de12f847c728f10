# Every C file of the module, one line each, sorted within its floor.  A floor calls only what stands above it in this file.
# tools/lint fails when a file below src/ is missing here.

# core: pure arithmetic and rules, compiled without any server header
CORE_SRCS += src/core/code.c
CORE_SRCS += src/core/hash.c
CORE_SRCS += src/core/redact.c
CORE_SRCS += src/core/signature.c
CORE_SRCS += src/core/status.c

# store: rows read and written from C
STORE_SRCS += src/store/clock.c
STORE_SRCS += src/store/context.c
STORE_SRCS += src/store/installation.c
STORE_SRCS += src/store/relation.c
STORE_SRCS += src/store/secrets.c
STORE_SRCS += src/store/tenant_of.c
STORE_SRCS += src/store/uuid.c

# sqlfn: the SQL-callable functions
SQLFN_SRCS += src/sqlfn/foundation.c
SQLFN_SRCS += src/sqlfn/tenancy.c
SQLFN_SRCS += src/sqlfn/wrapper.c

# worker: launcher, worker, HTTP

# module load
MODULE_SRCS += src/guc.c
MODULE_SRCS += src/qzpay.c
