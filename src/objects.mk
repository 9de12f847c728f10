# Every C file of the module, one line each, sorted within its floor.  A floor calls only what stands above it in this file.
# tools/lint fails when a file below src/ is missing here.

# core: pure arithmetic and rules, compiled without any server header
CORE_SRCS += src/core/status.c

# store: rows read and written from C

# sqlfn: the SQL-callable functions
SQLFN_SRCS += src/sqlfn/foundation.c

# worker: launcher, worker, HTTP

# module load
MODULE_SRCS += src/qzpay.c
