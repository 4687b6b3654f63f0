# pam_otp: build, install, check.
#   make             build              make check   everything, on a throwaway copy of this machine (as root)
#   make install     as root            make demo    enrolls a device and logs in, step by step
#   make deb         a Debian package   make rpm     an RPM package
#   make dist        what a release has      make container   an image to try it with podman, buildah or docker
# Longer proofs, benchmark, fuzzing and pictures: see tests/long.mk.
.DEFAULT_GOAL := all
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

prefix        ?= /usr/local
bindir        ?= $(prefix)/bin
libexecdir    ?= $(prefix)/libexec/pam_otp
datadir       ?= $(prefix)/share
mandir        ?= $(datadir)/man
localedir     ?= $(datadir)/locale
docdir        ?= $(datadir)/doc/pam_otp
bashcompdir   ?= $(datadir)/bash-completion/completions
zshvendor     := $(and $(filter /usr,$(prefix)),$(wildcard /etc/debian_version))# Debian's name, for packages
zshcompdir    ?= $(datadir)/zsh/$(if $(zshvendor),vendor-completions,site-functions)
fishcompdir   ?= $(datadir)/fish/vendor_completions.d
sysusersdir   ?= $(prefix)/lib/sysusers.d
tmpfilesdir   ?= $(prefix)/lib/tmpfiles.d
unitdir       ?= $(prefix)/lib/systemd/system
sysconfdir    ?= /etc
localstatedir ?= /var
statedir      := $(localstatedir)/lib/pam_otp
group         := pam_otp

# polkit's own service: what is added to it lets a login through polkit write the records.
polkit_drop_in := polkit-agent-helper@.service.d/pam_otp.conf

# The folder in which libpam looks for modules without a path: that of pam_unix.so, or below the libdir that was set.
multiarch := $(shell gcc -print-multiarch 2> /dev/null || echo "$$(uname -m)-linux-gnu")
pam_unix  := $(firstword $(wildcard $(addsuffix /security/pam_unix.so, \
	/usr/lib/$(multiarch) /lib/$(multiarch) /usr/lib64 /lib64 /usr/lib /lib)))
pamdir    ?= $(if $(libdir),$(libdir)/security,$(patsubst %/,%,$(dir $(pam_unix))))

# Paths that the programs get at compile time, so that no environment of a login can change them. Not ?=: a package's make
# runs below this one, with its own folders.
export PAM_OTP_CONFIG := $(sysconfdir)/pam_otp/pam_otp.toml
export PAM_OTP_HELPER := $(libexecdir)/otp-helper
export PAM_OTP_LOCALE := $(localedir)

owners := $(if $(DESTDIR),,-o root -g $(group))

# systemd reads units when it is told to.
reload_units := $(if $(DESTDIR),:,[ ! -d /run/systemd/system ] || systemctl daemon-reload || :)

# Documents for users. Those for developers (CONTRIBUTING.md, docs/architecture.md, docs/decisions) stay in the source tree.
documents := README.md SECURITY.md $(filter-out docs/architecture.md,$(wildcard docs/*.md docs/*.svg docs/*.png docs/services/*.md))

# Files to install and uninstall: mode, target, source. `install` itself handles the rest: the helper and the state
# directory, which have a group; the configuration, which belongs to the administrator; completions, which otp-enroll
# prints. fail2ban and AppArmor keep an administrator's changes in other files (*.local, local/), so ours are replaced.
define files
0755 $(bindir)/otp-enroll $(release)/otp-enroll
0644 $(pamdir)/pam_otp.so $(release)/libpam_otp.so
0644 $(sysusersdir)/pam_otp.conf config/sysusers.conf
0644 $(tmpfilesdir)/pam_otp.conf config/tmpfiles.conf
0644 $(unitdir)/$(polkit_drop_in) config/systemd/$(polkit_drop_in)
0644 $(unitdir)/pam_otp-seal-keys.service config/systemd/pam_otp-seal-keys.service
0644 $(sysconfdir)/fail2ban/filter.d/pam_otp.conf config/fail2ban/filter.d/pam_otp.conf
0644 $(sysconfdir)/fail2ban/jail.d/pam_otp.conf config/fail2ban/jail.d/pam_otp.conf
0644 $(sysconfdir)/apparmor.d/abstractions/pam_otp config/apparmor/abstractions/pam_otp
$(foreach page,$(filter-out $(agent_pages) $(verifier_pages),$(wildcard man/*.[1-8])),0644 $(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)) $(page)$(newline))
$(foreach file,$(documents),0644 $(docdir)/$(file) $(file)$(newline))
$(foreach file,$(wildcard config/selinux/*),0644 $(docdir)/selinux/$(notdir $(file)) $(file)$(newline))
$(foreach file,$(sort $(shell find config/examples -type f)),$(if $(filter $(file),$(example_programs)),0755,0644) $(docdir)/$(file:config/%=%) $(file)$(newline))
$(foreach language,$(languages),0644 $(localedir)/$(language)/LC_MESSAGES/pam_otp.mo $(target)/po/$(language).mo$(newline))
endef
# Translations, where msgfmt (gettext) is there to compile them; without it all texts are English.
languages := $(if $(shell command -v msgfmt),$(basename $(notdir $(wildcard po/*.po))))
catalogues = $(addprefix $(target)/po/,$(languages:=.mo))
# Programs, to be copied and changed.
example_programs := $(addprefix config/examples/,$(addprefix senders/,gammu smtp http-gateway) hooks/account-removed \
	$(addprefix fleet/ansible/,make-secrets sign))
# The agent and the sender are installed apart, and are off until their sockets are enabled.
agent_pages := man/otp-agent.8 man/otp-sender.8
define agent_files
0755 $(bindir)/otp-agent $(release)/otp-agent
0755 $(libexecdir)/otp-sender $(release)/otp-sender
0644 $(unitdir)/otp-agent.socket config/systemd/otp-agent.socket
0644 $(unitdir)/otp-agent.service config/systemd/otp-agent.service
0644 $(unitdir)/otp-sender.socket config/systemd/otp-sender.socket
0644 $(unitdir)/otp-sender.service config/systemd/otp-sender.service
0644 $(sysusersdir)/otp-agent.conf config/sysusers-agent.conf
0644 $(sysconfdir)/apparmor.d/otp-agent config/apparmor/otp-agent
$(foreach page,$(agent_pages),0644 $(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)) $(page)$(newline))
endef
# What decides for a fleet, on machines of its own. Its folder is readable to its group alone, and is never taken away: without
# the keys in it no seed opens.
verifier_folder := /etc/otp-verifier
verifier_pages  := man/otp-verifier.8
define verifier_files
0755 $(bindir)/otp-verifier $(release)/otp-verifier
0644 $(unitdir)/otp-verifier.service config/systemd/otp-verifier.service
0644 $(unitdir)/otp-verifier-renew.service config/systemd/otp-verifier-renew.service
0644 $(unitdir)/otp-verifier-renew.timer config/systemd/otp-verifier-renew.timer
0644 $(unitdir)/otp-sender.socket.d/otp-verifier.conf config/systemd/otp-verifier-sender.conf
0644 $(sysusersdir)/otp-verifier.conf config/sysusers-verifier.conf
$(foreach page,$(verifier_pages),0644 $(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)) $(page)$(newline))
endef
# A page in Cockpit. What is installed was built by `make cockpit`, and is part of the source: an installation needs no npm.
cockpitdir := $(datadir)/cockpit/pam-otp
define cockpit_files
$(foreach file,$(wildcard cockpit/dist/*),0644 $(cockpitdir)/$(notdir $(file)) $(file)$(newline))
endef
define completions
bash $(bashcompdir)/otp-enroll
zsh $(zshcompdir)/_otp-enroll
fish $(fishcompdir)/otp-enroll.fish
endef
define newline


endef
# In a recipe: `bare FILE` prints the file to install in its place. A program that runs is never one that strip still writes.
define bare
bare=$$(mktemp -d)
trap 'rm -rf "$$bare"' EXIT
bare() {
  [ -n "$(STRIP)" ] || { echo "$$1"; return; }
  $(STRIP) -o "$$bare/$${1##*/}" "$$1" && echo "$$bare/$${1##*/}"
}
endef
install uninstall: export FILES = $(files)
install uninstall: export COMPLETIONS = $(completions)
install-agent uninstall-agent: export AGENT_FILES = $(agent_files)
install-verifier uninstall-verifier: export VERIFIER_FILES = $(verifier_files)
install-cockpit uninstall-cockpit: export COCKPIT_FILES = $(cockpit_files)

# Crates that were unpacked into the source (the tarball beside that of a release) are taken in place of the registry's.
CARGO        ?= cargo
CARGOFLAGS   ?= --locked $(if $(wildcard vendor/config.toml),--offline --config vendor/config.toml)
# Programs are installed without their symbols. Empty for what packages them and keeps the symbols apart.
STRIP        ?= strip
target       := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
release      := $(or $(PAM_OTP_RELEASE),$(target)/release)
logd         := $(target)/debug/logd# test-programs, or cargo test
TEST_THREADS ?= 4# login tests mostly wait

test_all     := $(CARGO) test $(CARGOFLAGS) --workspace
by_this_cargo := CARGO="$(CARGO)" CARGOFLAGS="$(CARGOFLAGS)"# before a script of tests
limited      := timeout --kill-after=10 1200
test_fleet   := $(CARGO) test $(CARGOFLAGS) --manifest-path fleet/Cargo.toml --target-dir "$(target)"

# Logins wait for each other's places (the agent's, the sender's) and for budgets to end, while what is hard on the product
# computes. What both take in turn has a lock in a file. First those that look at all records of the machine, while there are few.
test_groups  := $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs))
side_by_side := packaging administration enrollment doctor login robustness

# Debian packages: what a build needs; what `make deb` needs, which is what Build-Depends in debian/control says; what the demo
# installs in the throwaway copy; what all tests need on the machine.
BUILD_PACKAGES := gcc gettext libc6-dev libpam0g-dev
DEB_PACKAGES  := build-essential debhelper gettext jq libpam0g-dev
DEMO_PACKAGES := openssh-server openssh-client oathtool
# What the tests of a fleet need: installed in their throwaway copy alone.
FLEET_PACKAGES := $(DEMO_PACKAGES) postgresql iproute2 curl openssl python3 faketime
PACKAGES      := $(sort $(BUILD_PACKAGES) $(DEB_PACKAGES) $(DEMO_PACKAGES)) age lintian libpam-runtime \
	pskctool openssl libpam-oath libpam-google-authenticator zbar-tools librsvg2-bin sudo login passwd adduser procps util-linux mount e2fsprogs strace valgrind \
	libnss-extrausers locales mandoc man-db screen vlock bash-completion zsh fish rpm checkpolicy semodule-utils bzip2 python3 curl
# Installing these would start a daemon or load profiles on the build machine. They are only unpacked.
UNPACKED      := fail2ban apparmor selinux-policy-default
UNPACKED_WITH_LIBRARIES := freeradius gammu-smsd opensmtpd
LINT_PACKAGES := shellcheck
VM_PACKAGES   := mmdebstrap qemu-system-x86 seabios swtpm e2fsprogs
SCRIPTS       := $(addprefix tests/,machine machine-check only group proof packages person claims accounts demo deb rpm dist container podman newcomer tpm cockpit/check cockpit/same) .ci/run fuzz/run mutants/run \
	fleet/rustc-of-any-folder tests/login/seal.sh $(filter-out %/asker %/enroller,$(wildcard tests/fleet/*)) $(addprefix packaging/compose/,database verifier prepare) \
	$(addprefix tests/vm/,run image common polkit) $(wildcard tests/vm/scripts/*) \
	$(addprefix tests/cookbook/,run common) $(wildcard tests/cookbook/scripts/*) \
	packaging/container/start $(addprefix packaging/,dist rendered-manual sbom versions) debian/tests/second-factor $(addprefix debian/libpam-otp.,config postinst prerm postrm) \
	$(addprefix debian/otp-agent.,postinst prerm) \
	$(addprefix debian/otp-verifier.,postinst postrm prerm) $(example_programs)

# Whether the package that `check` builds is there, as an exit code; in a recipe, what waits for it.
packaged      := $(target)/check-packaged
define await_package
until [ -e "$(packaged)" ]; do sleep 0.5; done
[ "$$(cat "$(packaged)")" = 0 ] || { echo 'make deb: FAILED'; tail -n 60 "$(target)/check-deb.log"; exit 1; }
endef

# The throwaway copy needs root. Cargo's variables and PATH are kept.
as_root := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env env "PATH=$$PATH")

# Builds are reproducible, byte for byte, in any folder and by any user: the programs hold these names instead of paths. A
# target folder that several source folders share needs all of them, since other flags compile every crate again.
source_folders ?= $(CURDIR)
cargo_home     := $(or $(CARGO_HOME),$(HOME)/.cargo)
remapped       := $(foreach folder,$(source_folders),$(folder)=/usr/src/pam_otp) $(cargo_home)=/usr/src/cargo
blanks         := $(word 2,$(CURDIR))$(word 2,$(cargo_home))# make would split there
remap          := $(if $(blanks),,--config 'build.rustflags=[$(foreach one,$(remapped),"--remap-path-prefix=$(one)",)]')
# The same for C: rustls brings some.
remap_c        := $(if $(blanks),,$(addprefix -ffile-prefix-map=,$(remapped)))
fleet_build     = CFLAGS="$${CFLAGS:-} $(remap_c)" $(CARGO) build $(CARGOFLAGS) $(remap) $(any_folder) --release --manifest-path fleet/Cargo.toml --target-dir "$(target)"
any_folder     := $(if $(blanks),,--config 'build.rustc-wrapper="$(CURDIR)/fleet/rustc-of-any-folder"')

.PHONY: all agent install-agent uninstall-agent verifier install-verifier uninstall-verifier cockpit install-cockpit uninstall-cockpit fleet fleet-demo fleet-failover manual rendered-manual catalogue products test-programs rust packages build-packages deb-packages \
	lint-packages bench-packages vm-packages dist-packages unpacked check check-packaged check-inside check-fleet check-fleet-inside check-cockpit check-deb check-built-deb check-rpm check-built-rpm check-rootless lint advisories \
	demo demo-shell install uninstall deb rpm dist dist-check container clean

all: agent products

# A workspace of its own, so that none of its crates reaches the module.
agent: rust
	$(fleet_build) --package otp-agent --package otp-sender

# What decides for a fleet: not part of a login host. With `fat` its linking takes longer, and it is no faster: it waits for its database.
verifier: export CARGO_PROFILE_RELEASE_LTO ?= thin
verifier: rust
	$(fleet_build) --package otp-verifier

# Asks verifiers as many hosts at once, for `make fleet-figures`: not installed.
load: export CARGO_PROFILE_RELEASE_LTO ?= thin
load: rust
	$(fleet_build) --package otp-load

# Writes the list of options in otp-enroll(1), from the definitions of the command line, and all pages for docs/manual.
manual: rust
	$(CARGO) run $(CARGOFLAGS) --package otp-enroll --example manual
	$(MAKE) --no-print-directory rendered-manual

rendered-manual:
	for page in man/*.[1-8]; do
	  packaging/rendered-manual "$$page" > "docs/manual/$${page##*/}.md"
	done

# Writes the list of texts to translate.
catalogue: rust
	$(CARGO) run $(CARGOFLAGS) --package otp-enroll --example catalogue

products: rust $(catalogues)
	$(CARGO) build $(CARGOFLAGS) $(remap) --release $(addprefix --package=,pam_otp otp-enroll otp-helper)

$(target)/po/%.mo: po/%.po
	@mkdir -p "$(@D)"
	msgfmt --output-file="$@" $<

# What the tests run beside the product: pamtalk, logd, pictures. They are not installed, so they are compiled the quick way, as
# `cargo test` does it anyway.
test-programs: rust
	$(CARGO) build $(CARGOFLAGS) --package pam-otp-tests $(test_program)

packages: wanted = $(PACKAGES)
build-packages: wanted = $(BUILD_PACKAGES)
deb-packages: wanted = $(DEB_PACKAGES)
lint-packages: wanted = $(LINT_PACKAGES)
bench-packages: wanted = $(BENCH_PACKAGES)
vm-packages: wanted = $(VM_PACKAGES)
dist-packages: wanted = $(sort $(DEB_PACKAGES) $(DIST_PACKAGES))
packages build-packages deb-packages lint-packages bench-packages vm-packages dist-packages:
	@missing=
	for package in $(wanted); do
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

# Each recipe runs as one script.
.ONESHELL:

# An older cargo cannot even read the manifest, and does not say where a newer one comes from.
rust:
	@needed=$$(sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
	found=$$($(CARGO) --version 2> /dev/null | cut -d ' ' -f 2) || found=
	if [ "$$(printf '%s\n' "$$needed" "$${found:-none}" | sort -V | head -n 1)" != "$$needed" ] || [ -z "$$found" ]; then
	  echo "pam_otp needs Rust $$needed or newer, and cargo here is $${found:-missing}: install Rust with rustup" \
	    "(https://rustup.rs), since most distributions have an older one, then run make again" >&2
	  exit 1
	fi

unpacked: $(addprefix $(target)/unpacked/,$(UNPACKED) $(UNPACKED_WITH_LIBRARIES))

$(target)/unpacked/%:
	@mkdir -p "$(@D)"
	cd "$(@D)"
	apt-get download -q $* || { $(as_root) apt-get update -q && apt-get download -q $*; }
	rm -rf $*.new
	dpkg-deb --extract $*_*.deb $*.new
	rm $*_*.deb
	mv $*.new $*

# With the libraries that this machine lacks.
$(addprefix $(target)/unpacked/,$(UNPACKED_WITH_LIBRARIES)):
	@debs="$@.debs"
	mkdir -p "$$debs/partial"
	fetch() {
	  apt-get install -q -y --no-install-recommends --download-only -o Debug::NoLocking=1 -o Dir::Cache::archives="$$debs" \
	    $(@F) $(and $(filter freeradius,$(@F)),freeradius-utils)
	}
	fetch || { $(as_root) apt-get update -q && fetch; }
	rm -rf "$@.new"
	for deb in "$$debs"/*.deb; do
	  dpkg-deb --extract "$$deb" "$@.new"
	done
	rm -r "$$debs"
	mv "$@.new" "$@"

# What is tested is what the Debian package ships: the programs are compiled once, for it, and the tests install those. Two paths
# that differ are compiled in, the helper's and that of the translations; so here they are the package's.
as_packaged := libexecdir=/usr/libexec/pam_otp localedir=/usr/share/locale PAM_OTP_RELEASE="$(target)/deb/cargo/release"
check:
	@$(as_packaged) $(MAKE) --no-print-directory check-packaged

# A machine that boots is `make vm`.
check-packaged: packages unpacked
	@mkdir -p "$(target)"
	rm -f "$(target)/check-auth.log" "$(packaged)"
	# Linking the programs for the package takes minutes of one core alone. What needs none of them is compiled and run beside that.
	{
	  made=0
	  $(MAKE) --no-print-directory deb > "$(target)/check-deb.log" 2>&1 || made=$$?
	  echo "$$made" > "$(packaged)"
	} &
	packaging=$$!
	echo '$(test_all) --no-run'
	$(test_all) --no-run
	$(test_fleet) --no-run
	result=0
	{
	  failed=0
	  # What becomes of a fleet, and of the package, is mostly waiting, and needs one core of two.
	  $(MAKE) --no-print-directory check-fleet > "$(target)/check-fleet.log" 2>&1 &
	  fleet=$$!
	  {
	    beside=0
	    $(await_package)
	    $(MAKE) --no-print-directory check-built-deb || beside=$$?
	    $(MAKE) --no-print-directory check-built-rpm || beside=$$?
	    $(MAKE) --no-print-directory check-cockpit COCKPIT=user || beside=$$?
	    exit "$$beside"
	  } > "$(target)/check-beside.log" 2>&1 &
	  beside=$$!
	  $(MAKE) --no-print-directory fuzz-build || failed=$$?
	  $(as_root) tests/machine --keep-log "$(target)/check-auth.log" \
	    $(MAKE) --no-print-directory check-inside || failed=$$?
	  $(as_root) tests/machine-check || failed=$$?
	  wait "$$beside" || failed=$$?
	  cat "$(target)/check-beside.log"
	  wait "$$fleet" || failed=$$?
	  cat "$(target)/check-fleet.log"
	  exit "$$failed"
	} 2>&1 | tee "$(target)/check.log" || result=$$?
	wait "$$packaging"
	printf '\n---- make check ----\n'
	grep -E '^ +(Running|Doc-tests) |^(proof|ok|NOT SO): |^passed alone, |^fuzz |^test result: |^test .* FAILED$$|^error: |^make.*\*\*\*' \
	  "$(target)/check.log" || :
	if [ "$$result" = 0 ]; then
	  echo 'make check: passed'
	else
	  # What failed, with what was seen of it, comes last: a log that is cut is cut at its beginning.
	  awk '/^NOT SO: |^---- .* stdout ----$$/ { shown = 1; print; next } /^(ok|test|proof|--)[ :]|^$$/ { shown = 0 } shown' "$(target)/check.log"
	  echo "make check: FAILED; see $(target)/check.log and check-auth.log"
	fi
	exit "$$result"

# The part of `check` that runs in the copy: tests of the parts, and then of the product, installed as an administrator does.
# A text that differs from its snapshot fails; `INSTA_UPDATE=always tests/only …` accepts it.
check-inside: export INSTA_UPDATE := no
check-inside:
	@[ -e /run/pam_otp-machine ] || { echo 'check-inside runs only inside tests/machine; run: make check' >&2; exit 1; }
	failed=0
	export CARGO_NET_OFFLINE=true
	run() {
	  echo "$$*"
	  "$$@" || failed=$$?
	}
	group() {
	  # A test that hangs fails, and what ran for over 60 seconds is in the log.
	  $(by_this_cargo) TEST_THREADS=$(TEST_THREADS) run $(limited) tests/group "$$1"
	}
	run $(limited) $(test_all) --lib --bins --examples --no-fail-fast -- --test-threads $(TEST_THREADS)
	run $(limited) $(test_all) --doc --no-fail-fast
	run fuzz/run "$(fuzzers)" - -runs=$(FUZZ_RUNS)
	$(await_package)
	setsid --fork "$(logd)" < /dev/null
	$(MAKE) --no-print-directory install install-agent install-verifier
	beside() { # GROUP GROUP
	  { group "$$1"; exit "$$failed"; } > "$(target)/check-$$1.log" 2>&1 &
	  local first=$$!
	  group "$$2"
	  wait "$$first" || failed=$$?
	  cat "$(target)/check-$$1.log"
	}
	$(foreach group,$(filter-out $(side_by_side),$(test_groups)),group $(group)$(newline))
	beside packaging administration
	beside enrollment doctor
	beside login robustness
	exit "$$failed"

# The part of `check` about a fleet, in a copy of its own, which has PostgreSQL: the tests of its workspace, and a fleet that is used.
check-fleet:
	@$(as_root) tests/machine $(MAKE) --no-print-directory check-fleet-inside

check-fleet-inside:
	@[ -e /run/pam_otp-machine ] || { echo 'check-fleet-inside runs only inside tests/machine; run: make check' >&2; exit 1; }
	tests/packages $(FLEET_PACKAGES)
	export CARGO_NET_OFFLINE=true
	failed=0
	$(limited) $(test_fleet) --no-fail-fast -- --test-threads $(TEST_THREADS) || failed=$$?
	$(await_package)
	if $(limited) tests/fleet/check; then
	  echo 'ok: tests/fleet/check'
	else
	  failed=$$?
	  echo 'NOT SO: tests/fleet/check'
	fi
	exit "$$failed"

# The page in Cockpit: that what is checked in is what its sources give, and the page in a browser. COCKPIT names files of cockpit/tests;
# those that wait for minutes are not part of `check`.
COCKPIT ?=
check-cockpit: test-programs
	@$(as_root) tests/machine bash -euc 'tests/cockpit/same && exec $(limited) tests/cockpit/check $(COCKPIT)' &&
	  echo 'ok: tests/cockpit/check' || { echo 'NOT SO: tests/cockpit/check'; exit 1; }

# That a second build gives the same package is `make reproducible`; the package on a machine that boots is `make vm`.
check-deb: deb check-built-deb

check-built-deb:
	tests/deb check
	$(as_root) tests/deb live

# The RPM packages, from the same programs, on a copy of this machine. `make rpm` compiles them as an RPM system does.
check-rpm: deb
	@$(as_packaged) $(MAKE) --no-print-directory check-built-rpm

check-built-rpm:
	$(as_root) tests/machine tests/rpm

# The tests of our libraries for package builds, which are seldom root. Tests that make files of several users are left out.
check-rootless:
	$(test_all) --lib -- --skip service::local_authority::tests --skip service::renaming::tests --skip service::break_glass::tests \
	  --skip service::self_service::tests --skip store::files::tests --skip store::files::changes::tests \
	  --skip store::files::stock::tests --skip system::config_file::tests \
	  --skip protocol::sender_socket::tests::only_the_word

# A fleet in network namespaces of its own: PostgreSQL with a standby, two verifiers, three hosts.
fleet-demo fleet fleet-failover: test_program = --bin logd
fleet-demo: rust build-packages products agent verifier test-programs
	@$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES); exec tests/fleet/demo'

# The steps of docs/fleet.md for PostgreSQL by hand and for a lost machine, as they stand there.
fleet-failover: rust build-packages products agent verifier test-programs
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES); exec tests/fleet/failover'

fleet: rust build-packages products agent verifier test-programs
	$(test_fleet) --package otp-verifier
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES); exec tests/fleet/check'
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES); exec tests/fleet/failover'
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES) freeradius freeradius-rest freeradius-utils; exec tests/fleet/radius'

# Only what the build needs is installed on this machine; the rest is installed in the copy, and goes with it.
demo demo-shell: test_program = --bin logd
demo demo-shell: rust build-packages products test-programs
	@$(as_root) tests/machine bash -euc 'tests/packages $(DEMO_PACKAGES); exec tests/demo $(if $(filter %-shell,$@),--shell)'

lint: packages lint-packages
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) fmt --all --manifest-path fleet/Cargo.toml --check
	$(CARGO) clippy $(CARGOFLAGS) --workspace --all-targets -- -D warnings
	$(CARGO) check $(CARGOFLAGS) --package otp-core # without what other packages want of the crates they share
	$(CARGO) clippy $(CARGOFLAGS) --manifest-path fuzz/Cargo.toml --target-dir "$(target)" -- -D warnings
	$(CARGO) clippy $(CARGOFLAGS) --manifest-path fleet/Cargo.toml --target-dir "$(target)" --all-targets -- -D warnings
	shellcheck --external-sources $(SCRIPTS)
	command -v cargo-deny > /dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources
	$(CARGO) deny --manifest-path fleet/Cargo.toml --config fleet/deny.toml check bans licenses sources
	$(MAKE) --no-print-directory advisories

# What is known against the crates of all workspaces, by the database of RustSec as it is now. ADVISORY_DB is a clone of it, on a
# machine that does not reach its address.
advisory_db := https://github.com/RustSec/advisory-db
ADVISORY_DB ?=

advisories:
	@command -v cargo-deny > /dev/null || $(CARGO) install --locked cargo-deny
	if [ -n "$(ADVISORY_DB)" ]; then
	  from="file://$$(realpath -- "$(ADVISORY_DB)")"
	  echo "advisories: the database is $(ADVISORY_DB), of $$(git -C "$(ADVISORY_DB)" log -1 --format=%cs)"
	  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.$$from.insteadOf" GIT_CONFIG_VALUE_0=$(advisory_db)
	fi
	if ! $(CARGO) deny fetch db; then
	  echo 'advisories: NOT CHECKED: the database could not be fetched. Where there is a network: git clone --depth 1' \
	    '$(advisory_db); bring that folder here; make advisories ADVISORY_DB=FOLDER' >&2
	  exit 1
	fi
	failed=0
	deny() { $(CARGO) deny --manifest-path "$$1" --config "$$2" check advisories || failed=1; }
	deny Cargo.toml deny.toml
	deny fleet/Cargo.toml fleet/deny.toml
	deny fuzz/Cargo.toml deny.toml
	exit "$$failed"

# With DESTDIR (for packages) files are only copied; sysusers.d, tmpfiles.d or the package then set group and owners, and the
# package gives the store its id.
install: $(catalogues)
	@for file in libpam_otp.so otp-enroll otp-helper; do
	  [ -e "$(release)/$$file" ] || { echo "$(release)/$$file is not built: run make first" >&2; exit 1; }
	done
	[ -n "$(pamdir)" ] || { echo 'no folder of PAM modules found: set pamdir=…' >&2; exit 1; }
	if [ -z "$(DESTDIR)" ]; then
	  [ "$$(id -u)" = 0 ] || { echo 'make install gives files to root: run it as root, or set DESTDIR=…' >&2; exit 1; }
	  getent group $(group) > /dev/null || PATH=$$PATH:/usr/sbin:/sbin groupadd --system $(group)
	fi
	put() { # put MODE TARGET SOURCE [OPTION…]
	  echo "$$1 $(DESTDIR)$$2"
	  install -D -m "$$1" "$${@:4}" "$$3" "$(DESTDIR)$$2"
	}
	$(bare)
	install -d -m 1730 $(owners) "$(DESTDIR)$(statedir)"
	source=$$(bare "$(release)/otp-helper")
	put 2755 "$(PAM_OTP_HELPER)" "$$source" $(owners)
	while read -r mode target source; do
	  case $$source in
	    '') ;;
	    man/*) sed 's|/usr/local/libexec/pam_otp|$(libexecdir)|' "$$source" | put "$$mode" "$$target" /dev/stdin ;;
	    config/systemd/*) sed 's|/var/lib/pam_otp|$(statedir)|; s|/usr/local/bin|$(bindir)|; s|/etc/pam_otp|$(sysconfdir)/pam_otp|' "$$source" | put "$$mode" "$$target" /dev/stdin ;;
	    "$(release)"/*) source=$$(bare "$$source"); put "$$mode" "$$target" "$$source" ;;
	    *) put "$$mode" "$$target" "$$source" ;;
	  esac
	done <<< "$$FILES"
	while read -r shell target; do
	  "$(release)/otp-enroll" completions "$$shell" | put 0644 "$$target" /dev/stdin
	done <<< "$$COMPLETIONS"
	[ -e "$(DESTDIR)$(PAM_OTP_CONFIG)" ] || put 0644 "$(PAM_OTP_CONFIG)" config/pam_otp.toml
	[ -n "$(DESTDIR)" ] || "$(bindir)/otp-enroll" admin init-store --if-new \
	  || echo 'until that is done, every login with a line for pam_otp.so is refused' >&2
	$(reload_units)

# A PAM file that names a missing module refuses every login, so that is checked first. Records and configuration stay.
uninstall:
	@if [ -z "$(DESTDIR)" ] && grep -Eln '^[^#]*pam_otp\.so' $(sysconfdir)/pam.d/* $(sysconfdir)/pam.conf 2> /dev/null; then
	  echo 'these files still name pam_otp.so; without it no user could log in there. Remove the lines first.' >&2
	  exit 1
	fi
	while read -r _ target _; do
	  [ -z "$$target" ] || rm -f "$(DESTDIR)$$target"
	done <<< "helper $(PAM_OTP_HELPER)
	$$FILES
	$$COMPLETIONS"
	for folder in "$(libexecdir)" "$(docdir)" "$(dir $(unitdir)/$(polkit_drop_in))"; do
	  [ ! -d "$(DESTDIR)$$folder" ] || find "$(DESTDIR)$$folder" -depth -type d -empty -delete
	done
	$(reload_units)
	echo 'left in place: $(DESTDIR)$(sysconfdir)/pam_otp, $(DESTDIR)$(statedir), group $(group)'

# After `install`. Nothing asks the agent until its socket is enabled: systemctl enable --now otp-agent.socket. Nor does it send
# anything before: systemctl enable --now otp-sender.socket
install-agent:
	@for file in otp-agent otp-sender; do
	  [ -e "$(release)/$$file" ] || { echo "$(release)/$$file is not built: run make agent first" >&2; exit 1; }
	done
	[ -n "$(DESTDIR)" ] || getent passwd otp-sender > /dev/null || PATH=$$PATH:/usr/sbin:/sbin \
	  useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin otp-sender
	$(bare)
	while read -r mode target source; do
	  [ -n "$$target" ] || continue
	  echo "$$mode $(DESTDIR)$$target"
	  case $$source in
	    man/* | config/systemd/*)
	      sed 's|/usr/local/bin|$(bindir)|; s|/usr/local/libexec/pam_otp|$(libexecdir)|; s|/var/lib/pam_otp|$(statedir)|' "$$source" |
	        install -D -m "$$mode" /dev/stdin "$(DESTDIR)$$target" ;;
	    "$(release)"/*) source=$$(bare "$$source"); install -D -m "$$mode" "$$source" "$(DESTDIR)$$target" ;;
	    *) install -D -m "$$mode" "$$source" "$(DESTDIR)$$target" ;;
	  esac
	done <<< "$$AGENT_FILES"
	$(reload_units)
	[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl stop otp-agent.service otp-sender.service || : # the sockets start the new ones

uninstall-agent:
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl disable --now otp-agent.socket otp-agent.service otp-sender.socket otp-sender.service || :
	while read -r _ target _; do
	  [ -z "$$target" ] || rm -f "$(DESTDIR)$$target"
	done <<< "$$AGENT_FILES"
	$(reload_units)

# After `install-verifier`. Nothing is served until there is a configuration, and the service is enabled: see otp-verifier(8).
install-verifier:
	@[ -e "$(release)/otp-verifier" ] || { echo "$(release)/otp-verifier is not built: run make verifier first" >&2; exit 1; }
	[ -n "$(DESTDIR)" ] || getent passwd otp-verifier > /dev/null || PATH=$$PATH:/usr/sbin:/sbin \
	  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin otp-verifier
	install -d -m 0750 $(if $(DESTDIR),,-o root -g otp-verifier) "$(DESTDIR)$(verifier_folder)"
	$(bare)
	while read -r mode target source; do
	  [ -n "$$target" ] || continue
	  echo "$$mode $(DESTDIR)$$target"
	  case $$source in
	    config/systemd/*) sed 's|/usr/local/bin|$(bindir)|' "$$source" | install -D -m "$$mode" /dev/stdin "$(DESTDIR)$$target" ;;
	    "$(release)"/*) source=$$(bare "$$source"); install -D -m "$$mode" "$$source" "$(DESTDIR)$$target" ;;
	    *) install -D -m "$$mode" "$$source" "$(DESTDIR)$$target" ;;
	  esac
	done <<< "$$VERIFIER_FILES"
	$(reload_units)

uninstall-verifier:
	@[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl disable --now otp-verifier.service || :
	while read -r _ target _; do
	  [ -z "$$target" ] || rm -f "$(DESTDIR)$$target"
	done <<< "$$VERIFIER_FILES"
	$(reload_units)
	echo 'left in place: $(DESTDIR)$(verifier_folder), account otp-verifier'

# After `install`: the page asks otp-enroll.
install-cockpit:
	while read -r mode target source; do
	  [ -n "$$target" ] || continue
	  echo "$$mode $(DESTDIR)$$target"
	  install -D -m "$$mode" "$$source" "$(DESTDIR)$$target"
	done <<< "$$COCKPIT_FILES"

uninstall-cockpit:
	rm -rf "$(DESTDIR)$(cockpitdir)"

# What browsers get is made of cockpit/src, with npm. The same sources give the same bytes.
cockpit:
	cd cockpit
	npm ci --silent --no-progress
	npm run --silent check
	npm run --silent build

deb: rust deb-packages
	@tests/deb build

# An RPM, compiled from this source tree. The tests use the quick way (--without build), which packs what is built already.
rpm_always_the_same := --define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' \
	--define 'clamp_mtime_to_source_date_epoch 1'
rpm:
	CARGO_TARGET_DIR="$(target)/rpm/cargo" \
	  rpmbuild -bb --build-in-place --nodeps --define '_topdir $(target)/rpm' $(rpm_always_the_same) packaging/pam_otp.spec

# What a release has, from the commit that is checked out: see packaging/dist. `dist-check` unpacks and builds it in the copy.
DIST_PACKAGES := git jq rpm xz-utils $(if $(shell command -v npm),,npm)# which may have come another way
dist: rust dist-packages
	@packaging/dist

dist-check:
	@$(as_root) tests/machine tests/dist "$(target)/dist/$$(packaging/versions released)"

# Needs no Rust here: the package is built in the image of Rust.
container:
	@tests/container build

clean:
	$(CARGO) clean

include tests/long.mk
