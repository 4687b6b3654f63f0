# What takes minutes or hours, each with its figures.
#   make proof       every crash, every system call that fails, in full: hours, in parts that go on where they were interrupted
#   make soak        100,000 logins in one process         make asan      the same host under AddressSanitizer
#   make timing      what the time to a refusal tells
#   make reproducible   the Debian package built again in another folder, compared byte for byte
#   make tpm         an emulated TPM keeps the key of sealed seeds
#   make vm          the package on a Debian 13 that boots under emulation; VM_SCRIPTS='package selinux' for some of them
#   make newcomer    README.md's commands, as a newcomer follows them      make check-container   the image of `make container`
#   make fleet-figures    how many logins a second, a million users, 9,900 hosts; parts='races speed' for some of them
#   make fleet-power-cut  both machines of the database lose their power     make fleet-patroni   its leader killed, frozen, switched
#   make fleet-ansible    the playbook on machines that boot                 make fleet-compose   the compose file with podman
#   make cookbook    each recipe of docs/services with the real thing; COOKBOOK='ssh sudo' for some of them
#   make fuzz        FUZZ_SECONDS=600 for each target      make mutants   which change of the code does no test notice?
#   make bench       what a login costs, beside other modules; BENCH=--help for its options
#   make pictures    docs/*.svg, drawn again
.PHONY: fleet-figures fleet-power-cut fleet-patroni fleet-ansible fleet-compose tpm proof reproducible vm cookbook newcomer check-container soak timing asan asan-inside fuzz-build fuzz mutants bench login-code pictures

# Fuzzing with LLVM's libFuzzer, on stable Rust: to count what was run through takes ordinary flags. AddressSanitizer
# would not; what is fuzzed forbids unsafe. Targets are the files of fuzz/fuzz_targets, none named means all.
FUZZ_TARGETS ?=
FUZZ_SECONDS ?= 60# for each target of `make fuzz`
FUZZ_RUNS    ?= 5000# for each target of `make check`
host         := $(shell rustc -vV 2> /dev/null | sed -n 's/^host: //p')
fuzzers      := $(target)/$(host)/release
coverage     := --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-, \
	level=4 inline-8bit-counters pc-table trace-compares)

# On the throwaway copy, with the product installed: $(call installed,COMMAND).
installed = $(as_root) tests/machine bash -euc 'setsid --fork "$(logd)" < /dev/null; \
	$(MAKE) --no-print-directory install $(installing) > /dev/null; export CARGO_NET_OFFLINE=true; $(1)'

# Modules of a group of tests, of which each must have some: within `installed`.
only = $(by_this_cargo) tests/only

# Files of tests/vm/scripts, none named means all. The disk is made from a Debian mirror the first time: see tests/vm/image.
VM_SCRIPTS ?=
NEWCOMER_PACKAGES := sudo python3 iproute2
README ?=

vm: vm-packages deb
	$(as_root) tests/vm/run $(VM_SCRIPTS) 2>&1 | tee "$(target)/vm.log"

# The same in a Debian 13 that boots: make vm VM_SCRIPTS=newcomer
newcomer: rust build-packages
	@$(as_root) tests/machine bash -euc 'tests/packages $(DEMO_PACKAGES) $(NEWCOMER_PACKAGES); exec tests/newcomer $(README)'

# Where no container can be built or started, this fails and says why.
check-container:
	@$(as_root) tests/machine tests/container check

# Files of tests/cookbook/scripts, none named means all. The packages that they name are installed in their copies.
COOKBOOK ?=

cookbook: packages all test-programs
	$(as_root) tests/cookbook/run $(COOKBOOK) 2>&1 | tee "$(target)/cookbook.log"

# What a fleet does when it is large, and when its database is in trouble: see docs/fleet.md, which has the figures.
fleet-figures fleet-power-cut fleet-patroni: rust build-packages products agent verifier test-programs
fleet-figures: load
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES) bc procps; exec tests/fleet/figures' 2>&1 | tee "$(target)/fleet-figures.log"

fleet-power-cut:
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES) e2fsprogs libeatmydata1; exec tests/fleet/power-cut $(WRONG)'

fleet-patroni:
	$(as_root) tests/machine bash -euc 'tests/packages $(FLEET_PACKAGES) patroni etcd-server python3-etcd procps; exec tests/fleet/patroni $(WRONG)'

# Both install the Debian packages of this tree.
fleet-ansible: deb
	$(as_root) tests/machine bash -euc 'tests/packages ansible-core systemd-container mmdebstrap dpkg-dev openssh-client openssl oathtool iproute2 procps; exec tests/fleet/ansible'

fleet-compose:
	$(as_root) tests/machine tests/fleet/compose

# WRONG=--wrong: with a setting that is wrong the claims fail, or they would prove nothing.
WRONG ?=

reproducible: deb
	tests/deb again

# `check` makes each system call fail once, with one error; here each of them with all, once and from then on. Interrupted, it goes on
# with what is not done.
proof: packages all
	$(CARGO) test $(CARGOFLAGS) --package pam-otp-tests --no-run
	$(call installed,$(by_this_cargo) tests/proof "$(target)/proof" \
	  $(addprefix "$(release)"/,libpam_otp.so otp-helper otp-enroll))

# The long forms of tests/robustness/soak.rs and timing.rs.
soak timing: packages all test-programs
	$(call installed,$(only) robustness $@ -- --ignored --nocapture --skip address_sanitizer)

# Rust keeps the switch for its nightly builds, and the runtime comes with every toolchain. With --target, what runs while
# building is built without it. The host lends the module its runtime.
asan_env   = RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=address -Clink-arg=-Wl,--export-dynamic' \
	CARGO_TARGET_DIR="$(target)/asan"
asan_cargo = $(asan_env) $(CARGO)

asan: packages all test-programs
	@$(asan_cargo) build $(CARGOFLAGS) --target $(host) --package pam_otp
	$(asan_cargo) test $(CARGOFLAGS) --target $(host) --package pam-otp-tests --test robustness --no-run
	$(as_root) tests/machine $(MAKE) --no-print-directory asan-inside

asan-inside:
	@[ -e /run/pam_otp-machine ] || { echo 'asan-inside runs within tests/machine; you want: make asan' >&2; exit 1; }
	setsid --fork "$(logd)" < /dev/null
	$(MAKE) --no-print-directory install > /dev/null
	install -m 0644 "$(target)/asan/$(host)/debug/libpam_otp.so" "$(pamdir)/pam_otp.so"
	CARGO_NET_OFFLINE=true CARGO='$(CARGO)' CARGOFLAGS='$(CARGOFLAGS) --target $(host)' $(asan_env) tests/only robustness \
	  soak -- --ignored --nocapture --skip a_hundred_thousand

# An emulated TPM keeps the key of sealed seeds.
tpm: products
	$(as_root) tests/machine tests/tpm

fuzz-build:
	RUSTFLAGS='$(coverage)' $(CARGO) build $(CARGOFLAGS) --release --manifest-path fuzz/Cargo.toml --target $(host) \
	  --target-dir "$(target)"

# What a run finds out is kept in target/fuzz for the next one.
fuzz: packages fuzz-build
	$(as_root) tests/machine fuzz/run "$(fuzzers)" "$(target)/fuzz" -max_total_time=$(FUZZ_SECONDS) $(FUZZ_TARGETS)

# Does a test fail for every change of what decides and what stores? Some hours of a core, in parts that go on where they were
# interrupted. MUTANTS='--jobs 2', and other options of cargo-mutants.
mutants: packages
	command -v cargo-mutants > /dev/null || $(CARGO) install --locked cargo-mutants
	$(as_root) tests/machine mutants/run "$(target)" $(MUTANTS)

# What a login costs, beside Debian's other modules; the result is docs/performance.md.
BENCH_PACKAGES := libpam-google-authenticator libpam-oath libnss-db
# login-code: the functions that a login runs, which the module has side by side; to be made again when the test of it says so.
bench login-code: installing := STRIP=# callgrind tells by the names of functions what a login does
login-code: override BENCH := login-code pam_otp/link/login.ld
bench login-code: packages bench-packages all test-programs
	$(CARGO) build $(CARGOFLAGS) $(remap) --release --package pam-otp-bench --package pam-otp-tests
	$(call installed,"$(release)/login-bench" $(BENCH))

# What the README shows, drawn from a run of the real programs.
pictures: packages all test-programs
	$(call installed,"$(target)/debug/pictures" docs)
