# pam_otp: build, install, check.
#   make             build              make check   everything, on a throwaway copy of this machine (as root)
#   make install     as root            make demo    a second factor set up and used, before your eyes
#   make proof       every crash and every failing system call, in full: hours
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

# Debian's names for what the build, the tests and the demo run.
PACKAGES      := gcc libc6-dev libpam0g-dev libpam-runtime openssh-server openssh-client oathtool zbar-tools librsvg2-bin \
	sudo login passwd procps util-linux mount e2fsprogs strace mandoc man-db screen vlock
LINT_PACKAGES := shellcheck
SCRIPTS       := tests/machine tests/demo .ci/run

# The throwaway copy takes root. Cargo's own variables and PATH go along.
as_root := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env env "PATH=$$PATH")

.PHONY: all packages lint-packages check check-inside proof lint demo demo-shell install uninstall clean

all:
	$(CARGO) build $(CARGOFLAGS) --release --workspace

packages lint-packages:
	@missing=
	for package in $(if $(filter lint-packages,$@),$(LINT_PACKAGES),$(PACKAGES)); do
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

check: packages all
	@echo '$(CARGO) test $(CARGOFLAGS) --workspace --no-run'
	$(CARGO) test $(CARGOFLAGS) --workspace --no-run
	rm -f "$(target)/check-auth.log"
	result=0
	$(as_root) tests/machine --keep-log "$(target)/check-auth.log" \
	  $(MAKE) --no-print-directory check-inside 2>&1 | tee "$(target)/check.log" || result=$$?
	printf '\n---- make check ----\n'
	grep -E '^ +(Running|Doc-tests) |^proof: |^test result: |^test .* FAILED$$|^error: |^make.*\*\*\*' "$(target)/check.log" || :
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
	echo '$(CARGO) test $(CARGOFLAGS) --workspace --no-fail-fast -- --test-threads $(TEST_THREADS)'
	CARGO_NET_OFFLINE=true $(CARGO) test $(CARGOFLAGS) --workspace --no-fail-fast -- --test-threads $(TEST_THREADS)

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

demo: packages all
	@$(as_root) tests/machine tests/demo

demo-shell: packages all
	@$(as_root) tests/machine tests/demo --shell

lint: packages lint-packages
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CARGOFLAGS) --workspace --all-targets -- -D warnings
	shellcheck $(SCRIPTS)
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
	  install -D -m 0644 "$$page" "$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}"
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
