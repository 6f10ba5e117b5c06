# howdah: a connection pooler, read/write splitter and sharding router for PostgreSQL
#
# Out-of-tree objects: build/ for the plain build, build-asan/ and build-tsan/ for the sanitizers.

VERSION := 0.1.0
PREFIX ?= /usr/local

# The order of the layers: a folder of src/ includes only from itself and from those before it.
LAYERS := base proto sql conf auth shard net topology route pool gather session admin

BUILD ?= build
CC ?= gcc
PACKAGES := libevent_core libevent_pthreads libcrypto inih

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

PKG_CFLAGS = $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null || \
        echo -levent_core -levent_pthreads -lcrypto -linih)
CFLAGS ?= $(OPTIMIZE) -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -DHOWDAH_VERSION='"$(VERSION)"' -Isrc -MMD -MP -pthread \
        $(WARN) $(HARDEN) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -pthread $(LDSAN) $(LDFLAGS)

SOURCES := $(wildcard $(addprefix src/,$(addsuffix /*.c,$(LAYERS))))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
PROGRAM := $(BUILD)/howdah
UNIT_SOURCES := $(wildcard test/unit/*/test_*.c)
UNIT_TESTS := $(UNIT_SOURCES:test/unit/%.c=$(BUILD)/unit/%.t)
FUZZ_SOURCES := $(wildcard test/fuzz/fuzz_*.c)

all: $(PROGRAM) ## build howdah (the default)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | \
		expand -t 22

$(PROGRAM): $(BUILD)/src/main.o $(BUILD)/libhowdah.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/libhowdah.a: $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/unit/%.t: test/unit/%.c $(BUILD)/libhowdah.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libhowdah.a $(PKG_LIBS) -lcmocka

unit-tests: $(UNIT_TESTS)

layers: ## fail on an #include that points to a later layer
	@scripts/check-layers $(LAYERS)

clean: ## remove what was built
	rm -rf build build-*

-include $(OBJECTS:.o=.d) $(BUILD)/src/main.d $(UNIT_TESTS:.t=.d)

.PHONY: all help unit-tests layers clean
