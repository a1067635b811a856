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
VERSION := 0.1.0

WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wshadow -Wstrict-prototypes
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' -I. -I$(B) -MMD -MP
LIBS := -lbpf -lxdp -lelf -lyaml -ljansson -ltalloc -lmd -lmnl
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
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LIBS)
$(B)/san/sluice: $(CLI_SRC:%.c=$(B)/san/%.o) $(B)/libsluice-san.a
	$(call say,LD-SAN,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS)
$(B)/san/sluiced: $(AGENT_SRC:%.c=$(B)/san/%.o) $(B)/libsluice-san.a
	$(call say,LD-SAN,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ $(LIBS)

# --- tests: one program per file of tests/unit (sanitizers, no root) and tests/prog (root) ---
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
PROG_TESTS := $(patsubst tests/prog/%.c,$(B)/tests/prog/%,$(wildcard tests/prog/test_*.c))

$(B)/tests/unit/%: tests/unit/%.c $(B)/libsluice-san.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -O2,$(ALL_CFLAGS)) $(SAN) -o $@ $< $(B)/libsluice-san.a $(LIBS) -lcmocka
$(B)/tests/prog/%: tests/prog/%.c $(wildcard tests/prog/*.h) $(B)/libsluice.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(B)/libsluice.a $(LIBS) -lcmocka

.PHONY: unit-tests prog-tests
unit-tests: $(UNIT_TESTS)
prog-tests: $(PROG_TESTS)

.PHONY: clean
clean:
	$(Q)rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
