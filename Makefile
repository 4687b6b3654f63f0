# pam_otp: build, install, check.
#   make             build              make check   everything, on a throwaway copy of this machine (as root)
#   make install     as root            make demo    a second factor set up and used, before your eyes
#   make deb         the Debian package
#   make soak        100,000 logins     make timing  what the time to a refusal tells     make asan  AddressSanitizer
#   make proof       every crash and every failing system call, in full: about an hour
#   make bench       what a login costs, beside other modules (as root); BENCH="--help" for its options
#   make fuzz        FUZZ_SECONDS=600 for each target        make mutants    which change would no test notice?
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

prefix        ?= /usr/local
bindir        ?= $(prefix)/bin
libexecdir    ?= $(prefix)/libexec/pam_otp
mandir        ?= $(prefix)/share/man
sysusersdir   ?= $(prefix)/lib/sysusers.d
tmpfilesdir   ?= $(prefix)/lib/tmpfiles.d
sysconfdir    ?= /etc
localstatedir ?= /var
statedir      := $(localstatedir)/lib/pam_otp
group         := pam_otp

# Where libpam looks for modules that are named without a path: beside pam_unix.so.
multiarch := $(shell gcc -print-multiarch 2> /dev/null || echo "$$(uname -m)-linux-gnu")
pam_unix  := $(firstword $(wildcard $(addsuffix /security/pam_unix.so, \
	/usr/lib/$(multiarch) /lib/$(multiarch) /usr/lib64 /lib64 /usr/lib /lib)))
pamdir    ?= $(patsubst %/,%,$(dir $(pam_unix)))

# What the programs are told at compile time, so that nothing in the environment of a login can tell them otherwise.
export PAM_OTP_CONFIG ?= $(sysconfdir)/pam_otp/pam_otp.toml
export PAM_OTP_HELPER ?= $(libexecdir)/otp-helper

CARGO        ?= cargo
CARGOFLAGS   ?= --locked
target       := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
release      := $(target)/release
TEST_THREADS ?= 4# most of a login test is waiting

# Fuzzing with LLVM's libFuzzer, on stable Rust: to count what was run through takes ordinary flags. AddressSanitizer
# would not; what is fuzzed forbids unsafe. Targets are the files of fuzz/fuzz_targets, none named means all.
FUZZ_TARGETS ?=
FUZZ_SECONDS ?= 60# for each target of `make fuzz`
FUZZ_RUNS    ?= 20000# for each target of `make check`
host         := $(shell rustc -vV 2> /dev/null | sed -n 's/^host: //p')
fuzzers      := $(target)/$(host)/release
coverage     := --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-, \
	level=4 inline-8bit-counters pc-table trace-compares)

# Debian's names for what the build, the tests and the demo run.
PACKAGES      := build-essential debhelper lintian libpam0g-dev libpam-runtime openssh-server openssh-client oathtool \
	zbar-tools librsvg2-bin sudo login passwd adduser procps util-linux mount e2fsprogs strace valgrind \
	libnss-extrausers mandoc man-db screen vlock
BENCH_PACKAGES := libpam-google-authenticator libpam-oath libnss-db
LINT_PACKAGES := shellcheck
SCRIPTS       := tests/machine tests/person tests/demo tests/deb .ci/run fuzz/run mutants/run \
	debian/tests/second-factor $(addprefix debian/libpam-otp.,config postinst prerm postrm)

# The throwaway copy takes root. Cargo's own variables and PATH go along.
as_root := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env env "PATH=$$PATH")

# The same programs, byte for byte, in whatever folder and by whomever they are built: these names stand in the files.
# A target folder that several source folders share gets all of them, since other flags compile every crate anew.
source_folders ?= $(CURDIR)
cargo_home     := $(or $(CARGO_HOME),$(HOME)/.cargo)
remapped       := $(foreach folder,$(source_folders),$(folder)=/usr/src/pam_otp) $(cargo_home)=/usr/src/cargo
blanks         := $(word 2,$(CURDIR))$(word 2,$(cargo_home))# where make would part them
remap          := $(if $(blanks),,--config 'build.rustflags=[$(foreach one,$(remapped),"--remap-path-prefix=$(one)",)]')

.PHONY: all products packages lint-packages bench-packages check check-inside check-deb fuzz-build fuzz mutants proof soak \
	timing asan asan-inside bench bench-inside lint demo demo-shell deb install uninstall clean

all:
	$(CARGO) build $(CARGOFLAGS) $(remap) --release --workspace --exclude pam-otp-bench

# Without the test bench.
products:
	$(CARGO) build $(CARGOFLAGS) $(remap) --release $(addprefix --package=,pam_otp otp-enroll otp-helper)

packages lint-packages bench-packages:
	@missing=
	for package in $(if $(filter lint-packages,$@),$(LINT_PACKAGES),$(if $(filter bench-packages,$@),$(BENCH_PACKAGES),$(PACKAGES))); do
	  case $$(dpkg-query -W -f '$${db:Status-Status}' "$$package" 2> /dev/null || :) in
	    installed*) ;;
	    *) missing="$$missing $$package" ;;
	  esac
	done
	if [ -n "$$missing" ]; then
	  echo "installing Debian packages:$$missing"
	  $(as_root) apt-get update -q
	  $(as_root) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing
	fi

# Recipes are run as one script each.
.ONESHELL:

deb: packages
	@tests/deb build

check-deb: deb
	@tests/deb check
	$(as_root) tests/deb live

check: packages all fuzz-build
	@echo '$(CARGO) test $(CARGOFLAGS) --workspace --no-run'
	$(CARGO) test $(CARGOFLAGS) --workspace --no-run
	rm -f "$(target)/check-auth.log"
	result=0
	{
	  failed=0
	  $(as_root) tests/machine --keep-log "$(target)/check-auth.log" \
	    $(MAKE) --no-print-directory check-inside || failed=$$?
	  $(MAKE) --no-print-directory check-deb || failed=$$?
	  exit "$$failed"
	} 2>&1 | tee "$(target)/check.log" || result=$$?
	printf '\n---- make check ----\n'
	grep -E '^ +(Running|Doc-tests) |^(proof|ok|NOT SO): |^fuzz |^test result: |^test .* FAILED$$|^error: |^make.*\*\*\*' \
	  "$(target)/check.log" || :
	if [ "$$result" = 0 ]; then
	  echo 'make check: passed'
	else
	  echo "make check: FAILED; see $(target)/check.log and check-auth.log"
	fi
	exit "$$result"

# What `check` runs, within the copy: the product as an administrator installs it, then every test against that.
check-inside:
	@[ -e /run/pam_otp-machine ] || { echo 'check-inside runs within tests/machine; you want: make check' >&2; exit 1; }
	setsid --fork "$(release)/logd" < /dev/null
	$(MAKE) --no-print-directory install
	fuzz=0
	fuzz/run "$(fuzzers)" - -runs=$(FUZZ_RUNS) || fuzz=$$?
	echo '$(CARGO) test $(CARGOFLAGS) --workspace --no-fail-fast -- --test-threads $(TEST_THREADS)'
	CARGO_NET_OFFLINE=true $(CARGO) test $(CARGOFLAGS) --workspace --no-fail-fast -- --test-threads $(TEST_THREADS)
	exit "$$fuzz"

fuzz-build:
	RUSTFLAGS='$(coverage)' $(CARGO) build $(CARGOFLAGS) --release --manifest-path fuzz/Cargo.toml --target $(host) \
	  --target-dir "$(target)"

# What a run finds out is kept in target/fuzz for the next one.
fuzz: packages fuzz-build
	$(as_root) tests/machine fuzz/run "$(fuzzers)" "$(target)/fuzz" -max_total_time=$(FUZZ_SECONDS) $(FUZZ_TARGETS)

# Does a test fail for every change of what decides and what stores? An hour or two.
mutants: packages
	command -v cargo-mutants > /dev/null || $(CARGO) install --locked cargo-mutants
	$(as_root) tests/machine mutants/run "$(target)"

# The long forms of tests that `check` runs in short: minutes each, with their figures.
soak timing: packages all
	@echo 'tests/tests/$@.rs, the long form'
	$(as_root) tests/machine bash -euc 'setsid --fork "$(release)/logd" < /dev/null
	  $(MAKE) --no-print-directory install > /dev/null
	  CARGO_NET_OFFLINE=true $(CARGO) test $(CARGOFLAGS) -p pam-otp-tests --test $@ -- \
	    --ignored --nocapture --skip address_sanitizer'

# Rust keeps the switch for its nightly builds, and the runtime comes with every toolchain. With --target, what runs while
# building is built without it. The host lends the module its runtime.
asan = RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=address -Clink-arg=-Wl,--export-dynamic' \
	CARGO_TARGET_DIR="$(target)/asan" $(CARGO)

asan: packages all
	@$(asan) build $(CARGOFLAGS) --target $(host) -p pam_otp
	$(asan) test $(CARGOFLAGS) --target $(host) -p pam-otp-tests --test soak --no-run
	$(as_root) tests/machine $(MAKE) --no-print-directory asan-inside

asan-inside:
	@[ -e /run/pam_otp-machine ] || { echo 'asan-inside runs within tests/machine; you want: make asan' >&2; exit 1; }
	setsid --fork "$(release)/logd" < /dev/null
	$(MAKE) --no-print-directory install > /dev/null
	install -m 0644 "$(target)/asan/$(host)/debug/libpam_otp.so" "$(pamdir)/pam_otp.so"
	CARGO_NET_OFFLINE=true $(asan) test $(CARGOFLAGS) --target $(host) -p pam-otp-tests --test soak -- \
	  --ignored --nocapture address_sanitizer

# The long form of what `check` does with one error for each system call: each of them with all, once and from then on.
proof: packages all
	$(CARGO) test $(CARGOFLAGS) --package pam-otp-tests --no-run
	result=0
	$(as_root) env PAM_OTP_PROOF=1 tests/machine bash -euc '
	  setsid --fork "$(release)/logd" < /dev/null
	  $(MAKE) --no-print-directory install > /dev/null
	  CARGO_NET_OFFLINE=true $(CARGO) test $(CARGOFLAGS) --package pam-otp-tests --no-fail-fast \
	    --test crashes --test failures --test power --test disks -- --nocapture --test-threads $(TEST_THREADS)
	' 2>&1 | tee "$(target)/proof.log" || result=$$?
	printf '\n---- make proof ----\n'
	grep -E '^proof: |^test result: |^test .* FAILED$$' "$(target)/proof.log" || :
	exit "$$result"
# What a login costs, beside Debian's other modules; the result is docs/performance.md.
bench: packages bench-packages all
	$(CARGO) build $(CARGOFLAGS) $(remap) --release --package pam-otp-bench
	$(as_root) tests/machine $(MAKE) --no-print-directory bench-inside BENCH='$(BENCH)'

bench-inside:
	@[ -e /run/pam_otp-machine ] || { echo 'bench-inside runs within tests/machine; you want: make bench' >&2; exit 1; }
	setsid --fork "$(release)/logd" < /dev/null
	$(MAKE) --no-print-directory install > /dev/null 2>&1
	"$(release)/login-bench" $(BENCH)

demo: packages all
	@$(as_root) tests/machine tests/demo

demo-shell: packages all
	@$(as_root) tests/machine tests/demo --shell

lint: packages lint-packages
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy $(CARGOFLAGS) --workspace --all-targets -- -D warnings
	$(CARGO) clippy $(CARGOFLAGS) --manifest-path fuzz/Cargo.toml --target-dir "$(target)" -- -D warnings
	shellcheck --external-sources $(SCRIPTS)
	command -v cargo-deny > /dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

# With DESTDIR (packagers) files are only copied; group and owners are then for sysusers.d, tmpfiles.d or the package.
install:
	@for file in libpam_otp.so otp-enroll otp-helper; do
	  [ -e "$(release)/$$file" ] || { echo "$(release)/$$file is not built: run make first" >&2; exit 1; }
	done
	[ -n "$(pamdir)" ] || { echo 'no folder of PAM modules found: say pamdir=…' >&2; exit 1; }
	if [ -z "$(DESTDIR)" ]; then
	  getent group $(group) > /dev/null || groupadd --system $(group)
	fi
	set -x
	install -d "$(DESTDIR)$(pamdir)" "$(DESTDIR)$(bindir)" "$(DESTDIR)$(libexecdir)" "$(DESTDIR)$(sysconfdir)/pam_otp" \
	  "$(DESTDIR)$(sysusersdir)" "$(DESTDIR)$(tmpfilesdir)"
	install -d -m 1730 $(if $(DESTDIR),,-o root -g $(group)) "$(DESTDIR)$(statedir)"
	install -m 2755 $(if $(DESTDIR),,-o root -g $(group)) "$(release)/otp-helper" "$(DESTDIR)$(libexecdir)/otp-helper"
	install -m 0755 "$(release)/otp-enroll" "$(DESTDIR)$(bindir)/otp-enroll"
	install -m 0644 "$(release)/libpam_otp.so" "$(DESTDIR)$(pamdir)/pam_otp.so"
	install -m 0644 config/sysusers.conf "$(DESTDIR)$(sysusersdir)/pam_otp.conf"
	install -m 0644 config/tmpfiles.conf "$(DESTDIR)$(tmpfilesdir)/pam_otp.conf"
	[ -e "$(DESTDIR)$(sysconfdir)/pam_otp/pam_otp.toml" ] ||
	  install -m 0644 config/pam_otp.toml "$(DESTDIR)$(sysconfdir)/pam_otp/pam_otp.toml"
	{ set +x; } 2> /dev/null
	for page in $(wildcard man/*.[1-8]); do
	  installed="$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}"
	  install -D -m 0644 "$$page" "$$installed"
	  sed -i 's|/usr/local/libexec/pam_otp|$(libexecdir)|' "$$installed"
	done

# A PAM file that names a module which is gone refuses everybody, so that comes first. Enrolments and configuration stay.
uninstall:
	@if [ -z "$(DESTDIR)" ] && grep -Eln '^[^#]*pam_otp\.so' $(sysconfdir)/pam.d/* $(sysconfdir)/pam.conf 2> /dev/null; then
	  echo 'these still name pam_otp.so; without it nobody could log in there. Take the lines out first.' >&2
	  exit 1
	fi
	rm -f "$(DESTDIR)$(pamdir)/pam_otp.so" "$(DESTDIR)$(bindir)/otp-enroll" "$(DESTDIR)$(libexecdir)/otp-helper" \
	  "$(DESTDIR)$(sysusersdir)/pam_otp.conf" "$(DESTDIR)$(tmpfilesdir)/pam_otp.conf"
	for page in $(notdir $(wildcard man/*.[1-8])); do
	  rm -f "$(DESTDIR)$(mandir)/man$${page##*.}/$$page"
	done
	rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(libexecdir)"
	echo 'left in place: $(DESTDIR)$(sysconfdir)/pam_otp, $(DESTDIR)$(statedir), group $(group)'

clean:
	$(CARGO) clean
