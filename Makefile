# Bulkhead's only build file.
#
#   make                    builds build/release/{bulkheadd,bulkhead}; no root needed
#   make check              every test that needs no root; with root, all of them
#   make demo               the shop on a private containerd (root)
#   make demo-kube          the shop on a private Kubernetes cluster (root, Go 1.24)
#   make bench              side-by-side measurements (root)
#   make image              the container image, as build/bulkhead-image.tar
#   make deb                a Debian package in build/deb
#   make install DESTDIR=   programs, man pages, unit, completion, examples
#   make check-unit check-golden check-netns ...   one group; VARIANT=asan for sanitizers

PREFIX ?= /usr/local
DESTDIR ?=
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
DATADIR ?= $(PREFIX)/share/bulkhead
SYSCONFDIR ?= /etc
COMPDIR ?= $(PREFIX)/share/bash-completion/completions
CC ?= gcc
PROTOC_C ?= protoc-c
CFLAGS ?= -O2 -g
V ?=
VARIANT ?= release
WERROR ?=

VERSION := 0.2.0

B := build/$(VARIANT)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2);)

# --- libraries, by pkg-config name and Debian package --------------------------
PKGS := libmnl libnftnl libnetfilter_conntrack jansson \
	yaml-0.1 libcurl libprotobuf-c libuv libmicrohttpd libcap-ng libcrypto libseccomp
DEB_PKGS := build-essential pkg-config protobuf-c-compiler uthash-dev libcmocka-dev \
	libmnl-dev libnftnl-dev libnetfilter-conntrack-dev \
	libjansson-dev libyaml-dev libcurl4-openssl-dev libprotobuf-c-dev libuv1-dev \
	libmicrohttpd-dev libcap-ng-dev libssl-dev libseccomp-dev

# Targets that install what is missing start a make of their own afterwards.
ifeq ($(filter clean help check demo demo-kube bench coverage image deb print-deps,$(MAKECMDGOALS)),)
MISSING := $(shell packaging/deps.sh missing $(DEB_PKGS) 2>/dev/null)
ifneq ($(MISSING),)
ifneq ($(shell pkg-config --exists $(PKGS) 2>/dev/null && echo ok),ok)
$(error these Debian packages are missing: $(MISSING). Install them with: sudo apt-get install $(MISSING))
endif
endif
endif

PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm

PACKAGE_PKGS := debhelper dh-apparmor dpkg-dev lintian
TEST_PKGS := nftables conntrack iproute2 iputils-ping procps python3 git clang clang-format \
	clang-tidy libclang-rt-14-dev mandoc containerd runc containernetworking-plugins \
	busybox-static chromium etcd-server etcd-client openssl buildah debootstrap \
	strace apparmor selinux-policy-dev systemd \
	$(PACKAGE_PKGS)
DEMO_PKGS := nftables conntrack iproute2 iputils-ping procps python3 containerd runc \
	containernetworking-plugins busybox-static

# --- flags the code depends on; not overridable --------------------------------
WARN = -Wall -Wextra -Wshadow -Wconversion -Wvla -Wcast-qual -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef \
	$(if $(findstring clang,$(CC)),,-Wno-format-truncation) $(if $(WERROR),-Werror)
BASE_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Ulinux -Iinclude -Itests/lib -I$(B)/gen \
	-DBH_VERSION='"$(VERSION)"' -fPIE -fstack-protector-strong $(WARN) -MMD -MP $(PKG_CFLAGS)
BASE_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

ifeq ($(VARIANT),release)
VARIANT_CFLAGS := -D_FORTIFY_SOURCE=2
else ifeq ($(VARIANT),debug)
VARIANT_CFLAGS := -O0 -g3
else ifeq ($(VARIANT),asan)
VARIANT_CFLAGS := -O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=all
VARIANT_LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),cov)
VARIANT_CFLAGS := -O0 -g --coverage
VARIANT_LDFLAGS := --coverage
else ifeq ($(VARIANT),fuzz)
CC := clang
VARIANT_CFLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -DBH_LIBFUZZER
VARIANT_LDFLAGS := -fsanitize=fuzzer,address,undefined
else
$(error VARIANT is one of release debug asan cov fuzz)
endif

ALL_CFLAGS = $(CFLAGS) $(VARIANT_CFLAGS) $(BASE_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) $(VARIANT_LDFLAGS) $(BASE_LDFLAGS)

# --- sources: adding a file is adding a file -----------------------------------
PROGRAMS := bulkheadd bulkhead
LIB_SRC := $(wildcard policy/*.c) $(filter-out src/daemon/main.c src/cli/main.c,$(wildcard src/*/*.c))
PROTO := $(wildcard src/*/*.proto tests/tools/*.proto)
GEN_C := $(PROTO:%.proto=$(B)/gen/%.pb-c.c)
GEN_H := $(GEN_C:.c=.h)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(patsubst $(B)/gen/%.c,$(B)/gen/%.o,$(filter $(B)/gen/src/%,$(GEN_C)))
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
TOOL_BIN := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c)) \
	$(patsubst tests/tools/%.c,$(B)/tests/tools/%.so,$(wildcard tests/tools/preload/*.c))
BENCH_BIN := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
LIB := $(B)/libbulkhead.a
# What tests, tools and benchmarks share.
TESTLIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
TESTLIB := $(B)/libtest.a

.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: all image deb print-deps tests tools benches check-kube check-packaging clean install help FORCE check check-unit check-golden check-fuzz check-netns \
	check-runtime check-static check-tidy demo demo-kube bench coverage

all: $(PROGRAMS:%=$(B)/%) $(B)/compile_commands.json

$(B)/bulkheadd: $(B)/src/daemon/main.o $(LIB)
$(B)/bulkhead: $(B)/src/cli/main.o $(LIB)
$(PROGRAMS:%=$(B)/%):
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(LIB): $(LIB_OBJ)
$(TESTLIB): $(TESTLIB_OBJ)
$(LIB) $(TESTLIB):
	$(call say,AR,$@)rm -f $@ && $(AR) crs $@ $^

# A change of compiler or flags rebuilds.
FLAGS_NOW = $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)
$(B)/flags: FORCE
	@mkdir -p $(B); echo '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS_NOW))' >$@

$(B)/%.o: %.c $(B)/flags | $(GEN_H)
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -c -o $@ $<
	@printf '{"directory":"%s","file":"%s","command":"%s"},\n' '$(CURDIR)' '$<' \
		'$(subst ','\'',$(subst ",\",$(CC) $(ALL_CFLAGS) -c $<))' >$(@:.o=.cdb)

$(B)/src/sim/html.o: src/sim/page.html

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: %.proto
	@mkdir -p $(B)/gen
	$(call say,PROTOC,$<)$(PROTOC_C) --c_out=$(B)/gen $<
$(B)/gen/%.o: $(B)/gen/%.c $(B)/flags
	$(call say,CC,$<)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) -std=gnu17 -Ulinux -fPIE -I$(B)/gen -MMD -MP -c -o $@ $<

$(B)/compile_commands.json: $(LIB_OBJ)
	@{ echo '['; cat $(patsubst %.c,$(B)/%.cdb,$(LIB_SRC)) 2>/dev/null | sed '$$ s/,$$//'; echo ']'; } >$@

# --- tests ---------------------------------------------------------------------
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(TESTLIB) $(LIB)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka
# The runtime's test client speaks more of its protocol than the agent.
$(B)/tests/tools/cri: $(B)/gen/tests/tools/cri.pb-c.o
# Preloaded into the programs under test; never with sanitizers of its own.
$(B)/tests/tools/preload/%.so: tests/tools/preload/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) $(BASE_CFLAGS) -fPIC -shared -o $@ $< -lmnl -ldl
$(B)/tests/tools/%: $(B)/tests/tools/%.o $(TESTLIB) $(LIB)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(TESTLIB) $(LIB)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(if $(filter fuzz,$(VARIANT)),,$(B)/tests/fuzz/replay.o) $(LIB)
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Benchmarks too, so that they stay fit to be run.
tests: $(UNIT_BIN) tools $(FUZZ_BIN) $(if $(filter fuzz,$(VARIANT)),,$(BENCH_BIN))
tools: $(TOOL_BIN)
benches: $(BENCH_BIN)

# Those behind -- run beside the others, about as long.
CHECKS := check unit golden fuzz netns netns:asan -- \
	kube runtime packaging page tidy unit:asan golden:asan fuzz:asan

check:
	@packaging/deps.sh install $(DEB_PKGS) $(TEST_PKGS)
	@tests/run.sh $(CHECKS)
check-unit check-golden check-fuzz check-netns check-runtime check-packaging check-kube:
	@tests/run.sh $(@:check-%=%)$(if $(filter-out release,$(VARIANT)),:$(VARIANT))
check-static:
	@tests/run.sh check
check-tidy:
	@tests/run.sh tidy

demo:
	@packaging/deps.sh install $(DEB_PKGS) $(DEMO_PKGS)
	@$(MAKE) --no-print-directory -j2 all tools
	@BH_BUILD=$(CURDIR)/$(B) tests/demo/demo.sh

demo-kube:
	@packaging/deps.sh install $(DEB_PKGS) $(DEMO_PKGS) etcd-server openssl
	@$(MAKE) --no-print-directory -j2 all tools
	@BH_BUILD=$(CURDIR)/$(B) tests/demo/demo-kube.sh

bench:
	@packaging/deps.sh install $(DEB_PKGS) $(DEMO_PKGS) valgrind curl etcd-server etcd-client openssl
	@$(MAKE) --no-print-directory -j2 all benches tools
	@BH_BUILD=$(CURDIR)/$(B) tests/bench/run.sh

coverage:
	@packaging/deps.sh install $(DEB_PKGS) $(TEST_PKGS) gcovr
	@tests/run.sh unit:cov golden:cov fuzz:cov netns:cov
	@gcovr -r . build/cov --exclude-unreachable-branches --html-details build/cov/coverage.html \
		--print-summary --filter 'policy/' --filter 'src/'

# --- installation --------------------------------------------------------------
SUBST = sed -e 's|@SBINDIR@|$(SBINDIR)|g' -e 's|@BINDIR@|$(BINDIR)|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' \
	-e 's|@DATADIR@|$(DATADIR)|g' -e 's|@VERSION@|$(VERSION)|g'

install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(COMPDIR) \
		$(DESTDIR)$(SYSCONFDIR)/bulkhead/policies $(DESTDIR)$(SYSCONFDIR)/logrotate.d \
		$(DESTDIR)$(SYSCONFDIR)/apparmor.d $(DESTDIR)$(DATADIR)/selinux
	install -m 755 $(B)/bulkheadd $(DESTDIR)$(SBINDIR)/bulkheadd
	install -m 755 $(B)/bulkhead $(DESTDIR)$(BINDIR)/bulkhead
	for m in packaging/man/*.[1-8]; do \
		install -d $(DESTDIR)$(MANDIR)/man$${m##*.} && \
		$(SUBST) $$m >$(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/} || exit 1; done
	for u in packaging/systemd/*.service; do \
		$(SUBST) $$u >$(DESTDIR)$(UNITDIR)/$${u##*/} || exit 1; done
	install -m 644 packaging/completions/bulkhead $(DESTDIR)$(COMPDIR)/bulkhead
	[ -e $(DESTDIR)$(SYSCONFDIR)/bulkhead/bulkheadd.yaml ] || \
		$(SUBST) packaging/bulkheadd.yaml >$(DESTDIR)$(SYSCONFDIR)/bulkhead/bulkheadd.yaml
	$(SUBST) packaging/logrotate >$(DESTDIR)$(SYSCONFDIR)/logrotate.d/bulkhead
	install -m 644 packaging/apparmor/bulkheadd $(DESTDIR)$(SYSCONFDIR)/apparmor.d/bulkheadd
	install -m 644 packaging/selinux/bulkhead.te packaging/selinux/bulkhead.fc \
		$(DESTDIR)$(DATADIR)/selinux/
	cp -R policy/examples $(DESTDIR)$(DATADIR)/

image:
	@packaging/deps.sh install $(DEB_PKGS)
	@packaging/image.sh build/bulkhead-image.tar bulkhead:$(VERSION)
	@echo build/bulkhead-image.tar

# In a folder of its own, where debhelper finds its debian/.
deb:
	@packaging/deps.sh install $(DEB_PKGS) $(PACKAGE_PKGS)
	@$(MAKE) --no-print-directory -j2 VARIANT=release all
	@rm -rf build/deb && mkdir -p build/deb/bulkhead && cp -R packaging/debian build/deb/bulkhead/
	cd build/deb/bulkhead && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -b -us -uc -d
	@ls build/deb/*.deb

# What a machine needs to build, for scripts.
print-deps:
	@echo $(DEB_PKGS)

help:
	@sed -n 's/^#   //p' Makefile

clean:
	rm -rf build

-include $(LIB_OBJ:.o=.d) $(wildcard $(B)/tests/*/*.d $(B)/src/daemon/main.d $(B)/src/cli/main.d)
