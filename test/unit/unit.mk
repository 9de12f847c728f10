# Unit tests of src/core: every test/unit/*_test.c is a program of its own; needs no server.
#   make -f test/unit/unit.mk unit-check                    all of them, under prove
#   make -f test/unit/unit.mk unit-check SANITIZE=1         the same with address and undefined-behaviour sanitizers
#   make -f test/unit/unit.mk unit-coverage                 lines of src/core that no test reaches

UNIT_CC      ?= $(CC)
UNIT_CFLAGS  ?= -O1 -g
UNIT_WARN    := -Wall -Wextra -Wdeclaration-after-statement -Werror=vla
UNIT_FLAGS    = -std=gnu11 -fvisibility=hidden $(UNIT_WARN) -Isrc -Itest/unit
UNIT_KIND    := plain
ifdef SANITIZE
UNIT_KIND    := sanitized
UNIT_FLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ifdef COVERAGE
UNIT_KIND    := coverage
UNIT_FLAGS   += --coverage -O0
endif

UNIT_DIR     := build/unit/$(UNIT_KIND)
UNIT_CORE    := $(patsubst src/core/%.c,$(UNIT_DIR)/core/%.o,$(wildcard src/core/*.c))
UNIT_TESTS   := $(patsubst test/unit/%.c,$(UNIT_DIR)/%,$(wildcard test/unit/*_test.c))

.PHONY: unit-build unit-check unit-coverage
unit-build: $(UNIT_TESTS)

unit-check: $(UNIT_TESTS)
	prove $(PROVE_FLAGS) -e '' $(UNIT_TESTS)

# Counts of an earlier run would be added up.  A line of a header is reached where any file that includes it reaches it.
unit-coverage:
	rm -rf build/unit/coverage
	$(MAKE) --no-print-directory -f test/unit/unit.mk unit-check COVERAGE=1
	@gcov -t -r build/unit/coverage/core/*.gcda | awk -F: ' \
		$$3 == "Source" { file = $$4 } \
		$$1 ~ /^ *([0-9]+\*?|#####)$$/ { line = $$2; sub(/^ */, "", line); at = file ":" line; text[at] = substr($$0, index($$0, $$3)); \
			if ($$1 !~ /#/) reached[at] = 1 } \
		END { for (at in text) { lines++; if (at in reached) hit++; else print "not reached: " at ":" text[at] } \
			print hit " of " lines " lines of src/core reached"; exit lines == 0 }'

.SECONDARY:
$(UNIT_DIR)/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(UNIT_CC) $(UNIT_CFLAGS) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

$(UNIT_DIR)/%.o: test/unit/%.c
	@mkdir -p $(@D)
	$(UNIT_CC) $(UNIT_CFLAGS) $(UNIT_FLAGS) -MMD -MP -c -o $@ $<

$(UNIT_DIR)/%_test: $(UNIT_DIR)/%_test.o $(UNIT_DIR)/tap.o $(UNIT_CORE)
	$(UNIT_CC) $(UNIT_FLAGS) -o $@ $^ -lcrypto

-include $(wildcard $(UNIT_DIR)/*.d $(UNIT_DIR)/core/*.d)
