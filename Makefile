# qzpay.  The two commands: "make demo" (a first billed month) and "make test"; both prepare what they need and leave nothing running.
# "make" and "make install" build for the server of PG_CONFIG, as with any extension.

PGVERSION ?= 15
PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/$(PGVERSION)/bin/pg_config) pg_config)

include src/objects.mk
include sql/manifest.mk
include test/tests.mk

EXTENSION  = qzpay
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" qzpay.control)
MODULE_big = qzpay
SRCS       = $(CORE_SRCS) $(STORE_SRCS) $(SQLFN_SRCS) $(WORKER_SRCS) $(MODULE_SRCS)
OBJS       = $(SRCS:src/%.c=build/obj/%.o)
DATA_built = build/qzpay--$(EXTVERSION).sql

# Hidden symbols are correctness, not style: servers before 16 export theirs, and those would replace ours of the same name.
# Those servers also leave PGDLLEXPORT empty.
PG_MAJOR := $(shell $(PG_CONFIG) --version 2>/dev/null | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
WARNINGS    = -Wextra
# The server's own headers and the fmgr calling convention force these three.
WARNINGS_PG = -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
PG_CFLAGS   = -std=gnu11 -fvisibility=hidden $(WARNINGS) $(WARNINGS_PG)
PG_CPPFLAGS = -Isrc -DQZPAY_VERSION='"$(EXTVERSION)"'
ifneq ($(filter 13 14 15,$(PG_MAJOR)),)
PG_CPPFLAGS += -DPGDLLEXPORT='__attribute__((visibility("default")))'
endif
SHLIB_LINK += -lcurl -lcrypto

# pg_regress before 16 has no --expecteddir; with these settings expected/ at the top level serves both drivers on every version.
# Isolation tests are named iso_..., since both share results/.
REGRESS_OPTS   = --inputdir=test --load-extension=btree_gist --load-extension=qzpay
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=btree_gist --load-extension=qzpay
TAP_TESTS     := $(if $(wildcard test/t/*.pl),1)
PROVE_TESTS   ?= test/t/*.pl

EXTRA_CLEAN = build qzpay_pdf.so results regression.diffs regression.out output_iso

# Bitcode for the server's JIT gains nothing here and doubles the compile time; "make with_llvm=yes" makes it all the same.
ifneq ($(origin with_llvm),command line)
override with_llvm := no
endif

# PDF is a module of its own where its libraries are, so that qzpay itself needs none of them.
PDF_PACKAGES = pangocairo cairo-pdf fontconfig
PDF_OBJS     = $(PDF_SRCS:src/%.c=build/obj/%.o)
PDF_MODULE  := $(shell pkg-config --exists $(PDF_PACKAGES) 2>/dev/null && echo qzpay_pdf.so)

PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
.PHONY: all install installcheck clean
all install installcheck:
	@echo "qzpay: no PostgreSQL server development files ($(PG_CONFIG)); run tools/bootstrap or set PG_CONFIG" >&2; exit 1
clean:
	rm -rf $(EXTRA_CLEAN) qzpay.so
endif

ifneq ($(PDF_MODULE),)
PDF_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PDF_PACKAGES)))
build/obj/pdf/%.o: override CPPFLAGS += $(PDF_CFLAGS)

all: $(PDF_MODULE)
$(PDF_MODULE): $(PDF_OBJS)
	$(CC) $(CFLAGS) -shared -o $@ $^ $(LDFLAGS) $(shell pkg-config --libs $(PDF_PACKAGES)) -lm -lpthread

install: install-pdf
.PHONY: install-pdf
install-pdf: $(PDF_MODULE)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_SHLIB) $(PDF_MODULE) '$(DESTDIR)$(pkglibdir)/'

uninstall: uninstall-pdf
.PHONY: uninstall-pdf
uninstall-pdf:
	rm -f '$(DESTDIR)$(pkglibdir)/$(PDF_MODULE)'
endif

# The core sees no server header.
build/obj/core/%.o build/obj/core/%.bc: override CPPFLAGS = -Isrc
build/obj/core/%.o: WARNINGS_PG =

build/obj/%.o: src/%.c build/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

build/obj/%.bc: src/%.c build/flags
	@mkdir -p $(@D)
	$(COMPILE.c.bc) -o $@ $<

-include $(OBJS:.o=.d) $(PDF_OBJS:.o=.d)

# Changes only when the objects have to be made anew: another server, version or option.
build/flags: FORCE
	@mkdir -p build
	@echo '$(EXTVERSION) $(shell $(PG_CONFIG) --version) $(CC) $(COPT) $(PROFILE)' | cmp -s - $@ || \
		echo '$(EXTVERSION) $(shell $(PG_CONFIG) --version) $(CC) $(COPT) $(PROFILE)' > $@

# The extension script: header, types and functions, the text that install() and upgrade() run, footer.
$(DATA_built): sql/foundation/header.sql $(CODE_SQL) $(DATA_ONCE) $(DATA_AGAIN) sql/foundation/footer.sql \
		sql/manifest.mk tools/assemble qzpay.control
	@mkdir -p $(@D)
	tools/assemble "$(CODE_SQL)" "$(DATA_ONCE)" "$(DATA_AGAIN)" > $@.tmp && mv $@.tmp $@

.PHONY: FORCE demo test bench unit-check fuzz docs format lists
FORCE:

demo:
	+@tools/demo

# STAGE=lint|unit|regress|isolation|pgtap|tap runs one kind.
test:
	+@tools/test $(STAGE)

bench:
	+@tools/with-server bench/run

unit-check:
	@$(MAKE) --no-print-directory -f test/unit/unit.mk unit-check

fuzz:
	@$(MAKE) --no-print-directory -f test/fuzz/fuzz.mk fuzz

# docs/reference.md from the comments in the catalog
docs:
	+@tools/with-server tools/tmpcluster tools/reference docs/reference.md

format:
	@tools/format

# For tools/lint: what the lists name.
lists:
	@printf 'source %s\n' $(SRCS) $(PDF_SRCS)
	@printf 'sql %s\n' sql/foundation/header.sql sql/foundation/footer.sql $(CODE_SQL) $(DATA_ONCE) $(DATA_AGAIN)
	@$(if $(REGRESS),printf 'regress %s\n' $(REGRESS:%=test/sql/%.sql),:)
	@$(if $(ISOLATION),printf 'isolation %s\n' $(ISOLATION:%=test/specs/%.spec),:)

clean: clean-server
.PHONY: clean-server
clean-server:
	@tools/private-root --remove
