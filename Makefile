# howdah: a connection pooler, read/write splitter and sharding router for PostgreSQL
#
# Out-of-tree objects: build/ for the plain build, build-asan/, build-tsan/ and build-fuzz/ for the others.

VERSION := 0.1.0
PREFIX ?= /usr/local

# The order of the layers: a folder of src/ includes only from itself and from those before it.
LAYERS := base proto sql conf auth shard net topology route pool gather session admin

BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
PACKAGES := libevent_core libevent_pthreads libcrypto inih libidn libpq
# Optional.  make SYSTEMD=no leaves it out; after a change of mind, make clean.
SYSTEMD ?= $(shell pkg-config --exists libsystemd && echo yes || echo no)
ifeq ($(SYSTEMD),yes)
PACKAGES += libsystemd
FEATURES += -DHAVE_SYSTEMD
endif

WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wshadow -Wvla -Wformat=2 \
        -Wstrict-prototypes -Wmissing-prototypes
HARDEN := -fstack-protector-strong -fPIE -fno-strict-overflow
ifeq ($(SANITIZE),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
OPTIMIZE ?= -O2
else
HARDEN += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
LDSAN := -fsanitize=$(SANITIZE)
OPTIMIZE ?= -O1
endif

# PostgreSQL's parser: its structs are those of the server's headers, which only src/sql sees.  The library's
# own check of the stack never fails, and one function recurses without any: ours take their place.
SERVER_HEADERS ?= /usr/include/postgresql/15/server
PARSER_LIBS := -l:libpg_query.a -Wl,--wrap=check_stack_depth -Wl,--wrap=exprLocation

PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null || \
        echo -levent_core -levent_pthreads -lcrypto -linih -lidn -lpq)
LIBS = $(PARSER_LIBS) $(PKG_LIBS) -lm
CFLAGS ?= $(OPTIMIZE) -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DHOWDAH_VERSION='"$(VERSION)"' -Isrc -MMD -MP -pthread \
        $(FEATURES) $(WARN) $(HARDEN) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -pthread $(LDSAN) $(LDFLAGS)

SOURCES := $(wildcard $(addprefix src/,$(addsuffix /*.c,$(LAYERS))))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
PROGRAM := $(BUILD)/howdah
UNIT_SOURCES := $(wildcard test/unit/*/test_*.c)
UNIT_TESTS := $(UNIT_SOURCES:test/unit/%.c=$(BUILD)/unit/%.t)
FUZZ_SOURCES := $(wildcard test/fuzz/fuzz_*.c)
FUZZ_TARGETS := $(FUZZ_SOURCES:test/fuzz/%.c=$(BUILD)/fuzz/%)
TAP_TESTS := $(wildcard test/t/*.pl)

JOBS ?= 2
FUZZ_SECONDS ?= 60

# make V=1 shows the commands.
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2);)

all: $(PROGRAM) ## build howdah (the default)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | \
		expand -t 22

$(PROGRAM): $(BUILD)/src/main.o $(BUILD)/libhowdah.a
	$(call say,link,$@)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/libhowdah.a: $(OBJECTS)
	@rm -f $@
	$(call say,ar,$@)ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc,$@)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/src/sql/%.o $(BUILD)/unit/sql/%.t: PKG_CFLAGS += -isystem $(SERVER_HEADERS)

$(BUILD)/unit/%.t: test/unit/%.c $(BUILD)/libhowdah.a
	@mkdir -p $(@D)
	$(call say,test,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libhowdah.a $(LIBS) -lcmocka

unit-tests: $(UNIT_TESTS)

$(BUILD)/fuzz/%: test/fuzz/%.c $(BUILD)/libhowdah.a
	@mkdir -p $(@D)
	$(call say,fuzz,$@)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libhowdah.a $(LIBS)

fuzz-targets: $(FUZZ_TARGETS)

layers: ## fail on an #include that points to a later layer
	@scripts/check-layers $(LAYERS)

# Tests.  A second make sees what the first one installed.

SUBMAKE = @$(MAKE) --no-print-directory -j$(JOBS)
RUN_TAP = BUILD=$(BUILD) SANITIZE=$(SANITIZE) test/run-tap -j $(JOBS)

deps:
	@scripts/install-deps build test

check: deps ## install what is missing, build, run all tests
	$(SUBMAKE) all unit-tests
	$(RUN_TAP) $(UNIT_TESTS) $(TAP_TESTS)

check-unit: unit-tests ## unit tests only
	$(RUN_TAP) $(UNIT_TESTS)

check-tap: all ## end-to-end tests only (TESTS='test/t/001_start.pl ...' for some of them)
	$(RUN_TAP) $(or $(TESTS),$(TAP_TESTS))

asan: ## all tests under the address and undefined-behaviour sanitizers
	$(SUBMAKE) check BUILD=build-asan SANITIZE=address,undefined

tsan: ## all tests under the thread sanitizer
	$(SUBMAKE) check BUILD=build-tsan SANITIZE=thread

fuzz: ## FUZZ_SECONDS (60) of each target of test/fuzz
	@scripts/install-deps build fuzz
	$(SUBMAKE) fuzz-targets CC=clang BUILD=build-fuzz SANITIZE=address,undefined \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link'
	@scripts/fuzz build-fuzz $(FUZZ_SECONDS)

drivers: all ## the drivers of test/drivers, each in its own language
	@if [ -x test/drivers/run ]; then HOWDAH=$(PROGRAM) test/drivers/run; \
	else echo "there is no test/drivers/run yet"; fi

regress: ## PostgreSQL's own tests, directly and through howdah (MODE=transaction: what is lost there)
	@scripts/install-deps build test regress
	$(SUBMAKE) all $(BUILD)/unit/sql/test_corpus.t
	@BUILD=$(BUILD) SANITIZE=$(SANITIZE) test/regress/run $(or $(MODE),session)

lint: ## layout, static analysis, warnings of two compilers
	@scripts/install-deps build test lint
	@scripts/lint

format: ## lay out the sources as .clang-format says
	clang-format -i $$(find src test -name '*.[ch]')

bench: all ## CPU a transaction, against PgBouncer where that is installed
	@bench/run --howdah $(PROGRAM)

$(BUILD)/sql-bench: bench/sql.c $(BUILD)/libhowdah.a
	$(call say,link,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libhowdah.a $(LIBS)

demo: ## a cluster, howdah in front of it, 100 clients over 10 servers
	@scripts/demo

# Without libsystemd nobody tells that the service is ready, and alive.
UNIT_EDITS = $(if $(filter no,$(SYSTEMD)),-e 's/^Type=notify/Type=simple/' -e '/^WatchdogSec=/d')

install: all ## install to DESTDIR and PREFIX (/usr/local)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/howdah
	install -D -m 644 doc/howdah.1 $(DESTDIR)$(PREFIX)/share/man/man1/howdah.1
	install -D -m 644 etc/howdah.ini $(DESTDIR)$(PREFIX)/share/doc/howdah/howdah.ini
	install -D -m 644 etc/userlist.txt $(DESTDIR)$(PREFIX)/share/doc/howdah/userlist.txt
	sed -e 's|/usr/local|$(PREFIX)|' $(UNIT_EDITS) etc/howdah.service > $(BUILD)/howdah.service
	install -D -m 644 $(BUILD)/howdah.service $(DESTDIR)$(PREFIX)/lib/systemd/system/howdah.service

clean: ## remove what was built
	rm -rf build build-*

-include $(OBJECTS:.o=.d) $(BUILD)/src/main.d $(UNIT_TESTS:.t=.d)

.PHONY: all help unit-tests fuzz-targets layers deps check check-unit check-tap asan tsan fuzz drivers \
	regress lint format bench demo install clean
