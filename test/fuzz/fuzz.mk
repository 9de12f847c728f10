# Fuzzers of src/core: every test/fuzz/*_fuzz.c is one; needs clang with libFuzzer, no server.
#   make -f test/fuzz/fuzz.mk fuzz                          each for a minute
#   make -f test/fuzz/fuzz.mk fuzz FUZZ=token FUZZ_SECONDS=600
# The corpus grows in build/fuzz/corpus; an input that fails is written to build/fuzz/NAME-crash-....

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ         ?= $(patsubst test/fuzz/%_fuzz.c,%,$(wildcard test/fuzz/*_fuzz.c))
FUZZ_WARN    := -Wall -Wextra -Wdeclaration-after-statement -Werror=vla
FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_FLAGS   := -std=gnu11 -D_GNU_SOURCE -O1 -g -fvisibility=hidden $(FUZZ_WARN) $(FUZZ_SANITIZE) -Isrc -Itest/fuzz

FUZZ_DIR     := build/fuzz
FUZZ_CORE    := $(patsubst src/core/%.c,$(FUZZ_DIR)/core/%.o,$(wildcard src/core/*.c))
FUZZ_BINARIES := $(FUZZ:%=$(FUZZ_DIR)/%_fuzz)

.PHONY: fuzz-build fuzz
fuzz-build: $(FUZZ_BINARIES)

fuzz: $(FUZZ_BINARIES)
	@for name in $(FUZZ); do \
		mkdir -p $(FUZZ_DIR)/corpus/$$name; \
		echo "fuzz $$name: $(FUZZ_SECONDS) s"; \
		$(FUZZ_DIR)/$${name}_fuzz -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=$(FUZZ_DIR)/$$name- $(FUZZ_FLAGS_RUN) $(FUZZ_DIR)/corpus/$$name || exit 1; \
	done

.SECONDARY:
$(FUZZ_DIR)/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(FUZZ_DIR)/%_fuzz: test/fuzz/%_fuzz.c $(wildcard test/fuzz/*.h) $(FUZZ_CORE)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_CORE) -lcrypto

-include $(wildcard $(FUZZ_DIR)/core/*.d)
