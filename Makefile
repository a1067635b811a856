# SPDX-License-Identifier: Apache-2.0
# Sluice. `make demo` and `make check` install what they need; everything generated is in build/.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)')

B := build
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
BPFTOOL ?= bpftool
PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= /lib/systemd/system
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
VERSION := 0.1.0

WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wshadow -Wstrict-prototypes
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -I. -I$(B) -MMD -MP
LIBS := -lbpf -lxdp -lelf -lyaml -ljansson -ltalloc -lnettle -lmnl -lm
AGENT_LIBS := -lseccomp
SAN := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -I. \
	-I/usr/include/$(shell uname -m)-linux-gnu

# --- what is built from what: a room is a folder, so a new file needs no new rule ---
PURE_SRC := $(wildcard user/base/*.c user/model/*.c user/input/*.c user/plan/*.c user/store/*.c)
KERNEL_SRC := $(wildcard user/kernel/*.c user/node/*.c)
CLI_SRC := $(wildcard user/cli/*.c)
AGENT_SRC := $(wildcard user/agent/*.c)
BPF_SRC := $(wildcard bpf/*.bpf.c)
SKELS := $(BPF_SRC:bpf/%.bpf.c=$(B)/%.skel.h)
LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(PURE_SRC) $(KERNEL_SRC))
SAN_LIB_OBJ := $(patsubst %.c,$(B)/san/%.o,$(PURE_SRC) $(KERNEL_SRC))

.PHONY: all
all: $(B)/sluice $(B)/sluiced

# Kept, or every build would begin with the data plane again.
.SECONDARY: $(SKELS) $(BPF_SRC:bpf/%.bpf.c=$(B)/%.bpf.o)

$(B)/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $* > $@

$(B)/obj/%.o: %.c | $(SKELS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/san/%.o: %.c | $(SKELS)
	$(call say,CC-SAN,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -O2,$(ALL_CFLAGS)) $(SAN) -c $< -o $@

$(B)/libsluice.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/libsluice-san.a: $(SAN_LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/sluice: $(CLI_SRC:%.c=$(B)/obj/%.o) $(B)/libsluice.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
$(B)/sluiced: $(AGENT_SRC:%.c=$(B)/obj/%.o) $(B)/libsluice.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS) $(AGENT_LIBS)
$(B)/san/sluice: $(CLI_SRC:%.c=$(B)/san/%.o) $(B)/libsluice-san.a
	$(call say,LD-SAN,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS)
$(B)/san/sluiced: $(AGENT_SRC:%.c=$(B)/san/%.o) $(B)/libsluice-san.a
	$(call say,LD-SAN,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS) $(AGENT_LIBS)

# --- install ---
.PHONY: install
install: all
	install -Dm755 $(B)/sluice $(DESTDIR)$(SBINDIR)/sluice
	install -Dm755 $(B)/sluiced $(DESTDIR)$(SBINDIR)/sluiced
	install -Dm644 deploy/sluiced.service $(DESTDIR)$(UNITDIR)/sluiced.service
	install -Dm644 deploy/man/sluice.8 $(DESTDIR)$(MANDIR)/man8/sluice.8
	install -Dm644 deploy/man/sluiced.8 $(DESTDIR)$(MANDIR)/man8/sluiced.8
	install -dm755 $(DESTDIR)$(COMPLETIONDIR) $(DESTDIR)/etc/sluice
	$(B)/sluice completion bash > $(DESTDIR)$(COMPLETIONDIR)/sluice
	install -dm700 $(DESTDIR)/var/lib/sluice

# --- tests: one program per file of tests/unit (sanitizers, no root) and tests/prog (root) ---
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
PROG_TESTS := $(patsubst tests/prog/%.c,$(B)/tests/prog/%,$(wildcard tests/prog/test_*.c))

# The coverage's build has no second library.
UNIT_LIB := $(B)/libsluice-san.a
$(B)/tests/unit/%: tests/unit/%.c $(UNIT_LIB)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -O2,$(ALL_CFLAGS)) $(SAN) -o $@ $< $(UNIT_LIB) $(LIBS) -lcmocka
# Somebody else's XDP program, beside which ours is put.
$(B)/tests/prog/other.bpf.o: tests/prog/other.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
$(B)/tests/prog/other.skel.h: $(B)/tests/prog/other.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name other > $@
.SECONDARY: $(B)/tests/prog/other.bpf.o
$(B)/tests/prog/%: tests/prog/%.c $(wildcard tests/prog/*.h) $(B)/libsluice.a $(B)/tests/prog/other.skel.h
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -I$(@D) -o $@ $< $(B)/libsluice.a $(LIBS) -lcmocka

# The doors as plain C, and the rows of tests/prog that need no kernel over them: with sanitizers here, and on a
# machine of the other byte order in `make check-be`. A field of a frame may lie at any address, as it may for BPF.
NATIVE_TESTS := $(patsubst %,$(B)/tests/native/test_%,doors attacks fuzz promises)
NATIVE_SAN ?= $(SAN)
NATIVE_LIBS ?= -lcmocka
NATIVE_DOOR := -fno-strict-aliasing -fno-sanitize=alignment -Wno-missing-prototypes -Wno-unknown-pragmas
NATIVE_OBJ := $(patsubst %.c,$(B)/native/%.o,$(filter-out %.bpf.c,$(notdir $(wildcard tests/native/*.c))) doors.c) \
	$(B)/native/door_tc.o $(B)/native/door_xdp.o
NATIVE_CC = $(CC) -Itests/native/include -Itests/native $(filter-out -O2,$(ALL_CFLAGS)) $(NATIVE_SAN)
OBJCOPY ?= objcopy
.SECONDARY: $(NATIVE_OBJ)
# Half of what the kernel's doors get: sanitizers take their time.
$(B)/tests/native/test_fuzz: NATIVE_CC += -DFUZZ_PACKETS_USUAL=500000

# Both have the same names of maps and functions, so what one has for itself is hidden.
$(B)/native/door_%.o: tests/native/door_%.bpf.c
	$(call say,CC-NAT,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(NATIVE_CC) $(NATIVE_DOOR) -c $< -o $@
	$(Q)$(OBJCOPY) --keep-global-symbol=native_$* $@
$(B)/native/%.o: tests/native/%.c
	$(call say,CC-NAT,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(NATIVE_CC) -c $< -o $@
$(B)/native/doors.o: user/kernel/doors.c
	$(call say,CC-NAT,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(NATIVE_CC) -c $< -o $@
$(B)/tests/native/%: tests/prog/%.c $(NATIVE_OBJ)
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(NATIVE_CC) -o $@ $< $(NATIVE_OBJ) $(NATIVE_LIBS)

# What tests/net/*.sh and the demo use: plain programs without our code, but for the one that changes weights.
NET_TOOLS := $(patsubst tests/net/%.c,$(B)/tests/net/%,$(wildcard tests/net/*.c))

$(B)/tests/net/flipper: tests/net/flipper.c $(B)/libsluice.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(filter %.c %.a,$^) $(LIBS)
$(B)/tests/net/%: tests/net/%.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $<

# A release whose maps are laid out otherwise: the same sources, but for the lines that tests/other/layout.sed changes.
OTHER := $(B)/other
OTHER_SRC := $(wildcard bpf/*.[ch] user/*/*.[ch])
$(OTHER)/src/copied: tests/other/layout.sed tests/other/copy.sh $(OTHER_SRC)
	$(call say,COPY,$(@D))
	$(Q)tests/other/copy.sh $(@D)
$(OTHER)/sluiced $(OTHER)/sluice &: $(OTHER)/src/copied
	$(Q)$(MAKE) --no-print-directory -C $(OTHER)/src -f $(abspath Makefile) B=$(abspath $(OTHER)) all

# What tests/crash/*.sh uses: one stops a command at a system call, one keeps tables and puts them back.
CRASH_TOOLS := $(patsubst tests/crash/%.c,$(B)/tests/crash/%,$(wildcard tests/crash/*.c))

$(B)/tests/crash/%: tests/crash/%.c $(B)/libsluice.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/libsluice.a $(LIBS)

.PHONY: unit-tests native-tests prog-tests net-tools crash-tools other
other: $(OTHER)/sluiced $(OTHER)/sluice
unit-tests: $(UNIT_TESTS)
native-tests: $(NATIVE_TESTS)
prog-tests: $(PROG_TESTS)
net-tools: $(NET_TOOLS)
crash-tools: $(CRASH_TOOLS)

# Installs what it lacks, builds, runs every level. `make check-root` and `make unit` leave the installing out, and what reads
# the source (static) or counts what the tests reach (coverage).
.PHONY: check check-root check-static unit
CHECK_LEVELS := unit native prog net crash fuzz
check:
	$(Q)scripts/deps.sh check
	$(Q)$(MAKE) --no-print-directory -j"$$(nproc)" CHECK_LEVELS="static $(CHECK_LEVELS) coverage" check-root
check-static:
	$(Q)scripts/deps.sh check
	$(Q)$(MAKE) --no-print-directory -j"$$(nproc)" CHECK_LEVELS="static coverage" check-root
check-root: all other unit-tests native-tests prog-tests net-tools crash-tools fuzz-tools $(B)/san/sluice $(B)/san/sluiced
	$(Q)scripts/rooms.sh
	$(Q)BUILD=$(abspath $(B)) FUZZ_SECONDS=60 tests/run.sh $(CHECK_LEVELS)
# Each system call of each command, with each error where the call changes something, and of each takeover: many hours.
.PHONY: check-crash-all
check-crash-all: all other net-tools crash-tools
	$(Q)BUILD=$(abspath $(B)) ALL=1 TEST_SECONDS=360000 ONLY="crash/* net/test_migrate.sh" tests/run.sh crash net
unit: unit-tests
	$(Q)BUILD=$(abspath $(B)) tests/run.sh unit

# --- what reads the source: tests/static has the rows ---
.PHONY: static skeletons objects check-compilers check-gcc check-clang
static: all
	$(Q)BUILD=$(abspath $(B)) tests/run.sh static
BENCH_SKELS := $(patsubst tests/bench/%.bpf.c,$(B)/bench/%.skel.h,$(wildcard tests/bench/*.bpf.c))
PROG_SKELS := $(patsubst tests/prog/%.bpf.c,$(B)/tests/prog/%.skel.h,$(wildcard tests/prog/*.bpf.c))
skeletons: $(SKELS) $(BENCH_SKELS) $(PROG_SKELS)
objects: $(patsubst %.c,$(B)/obj/%.o,$(filter-out %.bpf.c,$(wildcard user/*/*.c tests/*/*.c)))
$(patsubst %.c,$(B)/obj/%.o,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c))): | $(BENCH_SKELS)
PROG_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(filter-out %.bpf.c,$(wildcard tests/prog/*.c)))
$(PROG_OBJ): ALL_CFLAGS += -I$(B)/tests/prog
$(PROG_OBJ): | $(PROG_SKELS)
# A build in the other compiler's folder, unless that is the one that $(B) is built with.
compiler_folder = $(if $(filter $(1),$(notdir $(CC))),$(B),$(B)/$(1))
check-gcc:
	$(Q)$(MAKE) --no-print-directory CC=gcc B=$(call compiler_folder,gcc) objects
# It warns before it makes code, so none is made.
check-clang:
	$(Q)$(MAKE) --no-print-directory CC=$(CLANG) CFLAGS=-fsyntax-only B=$(call compiler_folder,clang) objects
check-compilers: check-gcc check-clang

# Counters live in mapped files, so that a process that is killed has counted too.
COVERAGE_FLAGS := -O1 -g -fprofile-instr-generate -fcoverage-mapping -mllvm -runtime-counter-relocation \
	-Wno-unused-command-line-argument
.PHONY: coverage coverage-build
coverage:
	$(Q)BUILD=$(abspath $(B)) tests/run.sh coverage
coverage-build:
	$(Q)$(MAKE) --no-print-directory CC=$(CLANG) B=$(B)/cov CFLAGS="$(COVERAGE_FLAGS)" SAN= WARN=-w \
		UNIT_LIB=$(B)/cov/libsluice.a all unit-tests prog-tests net-tools

# The same tests on stock kernels: make check-vm, make check-vm KERNEL=6.1. vm-test/run.sh --help has the settings.
$(B)/vm-test/verify: vm-test/verify.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< -lbpf
.PHONY: check-vm check-vm-built
check-vm:
	$(Q)scripts/deps.sh vm
	$(Q)$(MAKE) --no-print-directory check-vm-built
check-vm-built: all other prog-tests net-tools crash-tools $(B)/vm-test/verify
	$(Q)BUILD=$(abspath $(B)) vm-test/run.sh $(ARGS) $(KERNEL)

# The pure rooms' tests and the rows of the native data plane on a big-endian machine (qemu's user mode).
.PHONY: check-be
check-be:
	$(Q)scripts/deps.sh be
	$(Q)BUILD=$(abspath $(B)) vm-test/big_endian.sh

# --- fuzzing: one target a file of tests/fuzz; FUZZ_SECONDS each ---
FUZZ_SECONDS ?= 3600
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
# The arguments' target parses for both programs, so their parsers are in; what runs commands is not called.
FUZZ_OBJ := $(patsubst %.c,$(B)/fuzz/%.o,$(PURE_SRC) $(KERNEL_SRC) $(filter-out user/cli/sluice.c,$(CLI_SRC)) \
	user/agent/options.c)
FUZZ_CC = $(CLANG) $(filter-out -O2 $(WARN),$(ALL_CFLAGS)) $(FUZZ_SAN)

$(B)/fuzz/%.o: %.c | $(SKELS)
	$(call say,CC-FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link -c $< -o $@
$(B)/libsluice-fuzz.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^
$(B)/fuzz/%: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) $(B)/libsluice-fuzz.a
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer -o $@ $< $(B)/libsluice-fuzz.a $(LIBS)
.PHONY: fuzz fuzz-tools fuzz-doors
fuzz-tools: $(FUZZERS)
fuzz: fuzz-tools fuzz-doors
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/test_fuzz.sh
# Both doors against the reference model, by another seed each time; root.
FUZZ_PACKETS ?= 12000000
FUZZ_SEED ?= $(shell date +%s)
fuzz-doors: $(B)/tests/prog/test_fuzz
	$(Q)FUZZ_PACKETS=$(FUZZ_PACKETS) FUZZ_SEED=$(FUZZ_SEED) $<

# --- soak: half an hour of everything at once for each door; root. ARGS=tc or xdp for one, SOAK_SECONDS and so on: --help ---
$(B)/tests/soak/%: tests/soak/%.c
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< -lbpf
.PHONY: soak
soak: all net-tools $(B)/tests/soak/flood
	$(Q)BUILD=$(abspath $(B)) tests/soak/soak.sh $(ARGS)

# --- benchmarks; root ---
# What one packet costs, by BPF_PROG_RUN. ARGS='-n 7 -r 1000000 -p xdp/' chooses rounds, packets, rows.
$(B)/bench/%.bpf.o: tests/bench/%.bpf.c $(wildcard tests/bench/*.h) bpf/abi.h
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@
$(B)/bench/%.skel.h: $(B)/bench/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $* > $@
.SECONDARY: $(B)/bench/packet_gen.bpf.o $(B)/bench/packet_floor.bpf.o
$(B)/bench/packet: tests/bench/packet.c $(wildcard tests/bench/*.h tests/prog/*.h) $(B)/libsluice.a \
		$(B)/bench/packet_gen.skel.h $(B)/bench/packet_floor.skel.h
	$(call say,BENCH,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/libsluice.a $(LIBS)
.PHONY: bench-packet
bench-packet: $(B)/bench/packet
	$(Q)BENCH_COMPILER="$$($(CLANG) --version | head -n 1)" \
		BENCH_SOURCE="$$(git describe --always --dirty 2>/dev/null)" $(B)/bench/packet $(ARGS)

# How near slot tables are to the weights, and what a change moves; no root. ARGS='-c 1000'.
$(B)/bench/fidelity: tests/bench/fidelity.c $(wildcard tests/bench/fidelity*.h) $(B)/libsluice.a
	$(call say,BENCH,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -pthread -o $@ $< $(B)/libsluice.a $(LIBS)
.PHONY: bench-fidelity
bench-fidelity: $(B)/bench/fidelity
	$(Q)BENCH_SOURCE="$$(git describe --always --dirty 2>/dev/null)" $(B)/bench/fidelity $(ARGS)

# Connections through a node: Sluice's doors beside direct routing, nftables, HAProxy. ARGS='-n 7 -c direct,sluice-tc'.
ENDTOEND_TOOLS := $(B)/bench/load $(B)/bench/backend
$(ENDTOEND_TOOLS): $(B)/bench/%: tests/bench/%.c $(wildcard tests/bench/load*.h)
	$(call say,BENCH,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $<
.PHONY: bench-endtoend
bench-endtoend: all $(ENDTOEND_TOOLS)
	$(Q)BENCH_COMPILER="$$($(CLANG) --version | head -n 1)" \
		BENCH_SOURCE="$$(git describe --always --dirty 2>/dev/null)" \
		BUILD=$(abspath $(B)) tests/bench/endtoend.py $(ARGS)

# How long a change takes, and how much memory things take: ARGS='-n 7 --quick'.
$(B)/bench/control: tests/bench/control.c $(wildcard tests/bench/control_*.h tests/bench/bench_*.h) \
		$(B)/libsluice.a
	$(call say,BENCH,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/libsluice.a $(LIBS) -lpthread
bench_env = BUILD=$(B) BENCH_COMPILER="$$($(CC) --version | head -n 1)" \
	BENCH_SOURCE="$$(git describe --always --dirty 2>/dev/null)"
.PHONY: bench-control bench-memory
bench-control: all $(B)/bench/control
	$(Q)$(bench_env) $(B)/bench/control -o $(B)/bench/control.json $(ARGS)
bench-memory: all
	$(Q)mkdir -p $(B)/bench
	$(Q)$(bench_env) tests/bench/memory.py -o $(B)/bench/memory.json $(ARGS)

# All parts in order, then the report (docs/benchmark.md), under 10 minutes; quick: under 2, to build/bench/. Each
# installs what it lacks. bench-report writes the report alone, from what was measured last.
.PHONY: bench bench-quick bench-report
bench bench-quick:
	$(Q)scripts/deps.sh build check bench
	$(Q)$(MAKE) --no-print-directory -j"$$(nproc)" all
	$(Q)BUILD=$(B) tests/bench/run.sh $(if $(filter bench-quick,$@),--quick)
bench-report:
	$(Q)tests/bench/report.py --from $(B)/bench $(ARGS)

# Needs root. Installs what it lacks, builds, and runs a canary release and its rollback with real servers.
.PHONY: demo deps-build deps-demo deps-check
demo:
	$(Q)scripts/deps.sh build demo
	$(Q)$(MAKE) --no-print-directory -j"$$(nproc)" all net-tools
	$(Q)scripts/demo.sh
deps-build deps-demo deps-check: deps-%:
	$(Q)scripts/deps.sh $*

.PHONY: clean
clean:
	$(Q)rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
