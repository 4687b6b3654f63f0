//! What `make install` puts where, what `make uninstall` takes away again, and the RPM that is made of it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{machine, outcome::Outcome, users::TestUser};
use std::{collections::BTreeSet, os::unix::fs::PermissionsExt, path::Path, process::Command};

const DROP_IN_FOLDER: &str = "usr/lib/systemd/system/polkit-agent-helper@.service.d";

type Lines = BTreeSet<String>;

/// As a package says it.
const PLACES: [&str; 4] = [
    "prefix=/usr",
    "libdir=/usr/lib64",
    "docdir=/usr/share/doc/libpam-otp",
    "zshcompdir=/usr/share/zsh/site-functions",
];

/// What there is then, but for documentation: the mode and the place.
const INSTALLED: [&str; 20] = [
    "644 /etc/apparmor.d/abstractions/pam_otp",
    "644 /etc/fail2ban/filter.d/pam_otp.conf",
    "644 /etc/fail2ban/jail.d/pam_otp.conf",
    "644 /etc/pam_otp/pam_otp.toml",
    "755 /usr/bin/otp-enroll",
    "644 /usr/lib/systemd/system/pam_otp-seal-keys.service",
    "644 /usr/lib/systemd/system/polkit-agent-helper@.service.d/pam_otp.conf",
    "644 /usr/lib/sysusers.d/pam_otp.conf",
    "644 /usr/lib/tmpfiles.d/pam_otp.conf",
    "644 /usr/lib64/security/pam_otp.so",
    "2755 /usr/libexec/pam_otp/otp-helper",
    "644 /usr/share/bash-completion/completions/otp-enroll",
    "644 /usr/share/fish/vendor_completions.d/otp-enroll.fish",
    "644 /usr/share/locale/de/LC_MESSAGES/pam_otp.mo",
    "644 /usr/share/locale/fr/LC_MESSAGES/pam_otp.mo",
    "644 /usr/share/man/man1/otp-enroll.1",
    "644 /usr/share/man/man5/pam_otp.toml.5",
    "644 /usr/share/man/man8/pam_otp.8",
    "644 /usr/share/zsh/site-functions/_otp-enroll",
    "1730 /var/lib/pam_otp",
];

/// And of the agent, which is apart.
const AGENT: [&str; 10] = [
    "644 /etc/apparmor.d/otp-agent",
    "755 /usr/bin/otp-agent",
    "644 /usr/lib/systemd/system/otp-agent.service",
    "644 /usr/lib/systemd/system/otp-agent.socket",
    "644 /usr/lib/systemd/system/otp-sender.service",
    "644 /usr/lib/systemd/system/otp-sender.socket",
    "644 /usr/lib/sysusers.d/otp-agent.conf",
    "755 /usr/libexec/pam_otp/otp-sender",
    "644 /usr/share/man/man8/otp-agent.8",
    "644 /usr/share/man/man8/otp-sender.8",
];

/// And of the verifier, which is for other machines.
const VERIFIER: [&str; 7] = [
    "755 /usr/bin/otp-verifier",
    "644 /usr/lib/systemd/system/otp-sender.socket.d/otp-verifier.conf",
    "644 /usr/lib/systemd/system/otp-verifier-renew.service",
    "644 /usr/lib/systemd/system/otp-verifier-renew.timer",
    "644 /usr/lib/systemd/system/otp-verifier.service",
    "644 /usr/lib/sysusers.d/otp-verifier.conf",
    "644 /usr/share/man/man8/otp-verifier.8",
];

/// And of the page in Cockpit, which browsers read.
const COCKPIT: [&str; 4] = [
    "644 /usr/share/cockpit/pam-otp/index.css",
    "644 /usr/share/cockpit/pam-otp/index.html",
    "644 /usr/share/cockpit/pam-otp/index.js",
    "644 /usr/share/cockpit/pam-otp/manifest.json",
];

fn make(target: &str, destination: &Path) {
    make_with(target, destination, &[]);
}

fn make_with(target: &str, destination: &Path, variables: &[&str]) {
    let mut make = Command::new("make");
    make.arg("-C").arg(machine::source("")).arg("--no-print-directory").arg(target).args(PLACES).args(variables);
    machine::run(make.arg(format!("DESTDIR={}", destination.display())).env_remove("MAKEFLAGS"));
}

/// Of the installed programs and the module, those that have a table of symbols, which debuggers alone read.
fn with_symbols(destination: &Path) -> Lines {
    let programs = INSTALLED.iter().chain(&AGENT).chain(&VERIFIER).filter_map(|line| {
        let (mode, path) = line.split_once(' ')?;
        (mode.contains("755") || path.ends_with(".so")).then_some(path)
    });
    let has_symbols = |path: &&str| {
        let file = destination.join(path.trim_start_matches('/'));
        machine::run(Command::new("readelf").args(["--wide", "--sections"]).arg(file)).contains(" .symtab ")
    };
    programs.filter(has_symbols).map(str::to_owned).collect()
}

/// Files, and the folder of the records, with their modes.
fn files(destination: &Path) -> Lines {
    let mut find = Command::new("find");
    find.arg(destination).args([
        "-type",
        "f",
        "-printf",
        "%m /%P\n",
        "-o",
        "-path",
        "*/var/lib/*",
        "-printf",
        "%m /%P\n",
    ]);
    machine::run(&mut find).lines().map(str::to_owned).collect()
}

fn documentation(line: &str) -> bool {
    line.contains(" /usr/share/doc/") || line.contains(" /usr/share/licenses")
}

#[test]
fn what_is_installed_is_taken_away_again_but_for_configuration_and_records() {
    let dir = tempfile::tempdir().unwrap();
    make("install", dir.path());
    let (documents, others): (Lines, Lines) = files(dir.path()).into_iter().partition(|line| documentation(line));
    assert_eq!(others, INSTALLED.map(str::to_owned).into());
    for (mode, document) in [
        (644, "README.md"),
        (644, "docs/locked-out.md"),
        (644, "docs/services/ssh.md"),
        (644, "selinux/pam_otp.te"),
        (644, "examples/pam.d/screen-locker"),
        (755, "examples/senders/smtp"),
        (644, "examples/senders/otp-sender.service.d/gammu.conf"),
    ] {
        let line = format!("{mode} /usr/share/doc/libpam-otp/{document}");
        assert!(documents.contains(&line), "{line}: {documents:#?}");
    }
    make("uninstall", dir.path());
    let left: Lines = ["644 /etc/pam_otp/pam_otp.toml", "1730 /var/lib/pam_otp"].map(str::to_owned).into();
    assert_eq!(files(dir.path()), left);
    for folder in ["usr/libexec/pam_otp", "usr/share/doc/libpam-otp", DROP_IN_FOLDER] {
        assert!(!dir.path().join(folder).exists(), "{folder}");
    }
}

#[test]
fn the_agent_is_installed_apart_and_taken_away_apart() {
    let dir = tempfile::tempdir().unwrap();
    make("install-agent", dir.path());
    assert_eq!(files(dir.path()), AGENT.map(str::to_owned).into());
    let unit = std::fs::read_to_string(dir.path().join("usr/lib/systemd/system/otp-agent.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/otp-agent\n"), "{unit}");
    let unit = std::fs::read_to_string(dir.path().join("usr/lib/systemd/system/otp-sender.service")).unwrap();
    assert!(
        unit.contains("\nExecStart=/usr/libexec/pam_otp/otp-sender\nType=exec\nRestart=no\nUser=otp-sender\n"),
        "{unit}"
    );
    make("install", dir.path());
    make("uninstall-agent", dir.path());
    let others: Lines = files(dir.path()).into_iter().filter(|line| !documentation(line)).collect();
    assert_eq!(others, INSTALLED.map(str::to_owned).into());
}

#[test]
fn the_verifier_is_installed_apart_and_its_folder_stays() {
    let dir = tempfile::tempdir().unwrap();
    make("install-verifier", dir.path());
    assert_eq!(files(dir.path()), VERIFIER.map(str::to_owned).into());
    let unit = std::fs::read_to_string(dir.path().join("usr/lib/systemd/system/otp-verifier.service")).unwrap();
    for line in ["ExecStart=/usr/bin/otp-verifier serve", "ConditionPathExists=/etc/otp-verifier/otp-verifier.toml"] {
        assert!(unit.lines().any(|found| found == line), "{line}: {unit}");
    }
    let renews = std::fs::read_to_string(dir.path().join("usr/lib/systemd/system/otp-verifier-renew.service")).unwrap();
    assert!(renews.contains("\nExecStart=/usr/bin/otp-verifier renew --before 60\n"), "{renews}");
    let folder = dir.path().join("etc/otp-verifier");
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o7777, 0o750);
    std::fs::write(folder.join("keys"), "").unwrap();
    make("uninstall-verifier", dir.path());
    let left: Lines = files(dir.path()).iter().map(|line| line.split(' ').next_back().unwrap().to_owned()).collect();
    assert_eq!(left, ["/etc/otp-verifier/keys".to_owned()].into());
}

#[test]
fn the_page_in_cockpit_is_installed_apart_and_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    make("install-cockpit", dir.path());
    assert_eq!(files(dir.path()), COCKPIT.map(str::to_owned).into());
    make("uninstall-cockpit", dir.path());
    assert_eq!(files(dir.path()), Lines::new());
}

#[test]
fn programs_are_installed_without_symbols_unless_a_package_keeps_them() {
    let (bare, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for target in ["install", "install-agent", "install-verifier"] {
        make(target, bare.path());
        make_with(target, whole.path(), &["STRIP="]);
    }
    assert_eq!(with_symbols(bare.path()), Lines::new());
    assert_eq!(with_symbols(whole.path()).len(), 6, "{:?}", with_symbols(whole.path()));
    for recipe in ["debian/rules", "packaging/pam_otp.spec"] {
        let text = std::fs::read_to_string(machine::source(recipe)).unwrap();
        // The page has no program.
        let installs = |line: &&str| {
            line.contains(" install") && line.contains("DESTDIR=") && !line.contains("MAKE) install-cockpit ")
        };
        assert!(text.lines().any(|line| installs(&line)), "{recipe}");
        for line in text.lines().filter(installs) {
            assert!(line.contains(" STRIP= "), "{recipe}: {line}");
        }
    }
}

#[test]
fn polkits_service_may_write_the_records_where_they_are() {
    for (localstatedir, records) in [("/var", "/var/lib/pam_otp"), ("/srv/state", "/srv/state/lib/pam_otp")] {
        let dir = tempfile::tempdir().unwrap();
        let mut make = Command::new("make");
        make.arg("-C").arg(machine::source("")).args(["--no-print-directory", "install"]).args(PLACES);
        make.arg(format!("localstatedir={localstatedir}")).arg(format!("DESTDIR={}", dir.path().display()));
        machine::run(make.env_remove("MAKEFLAGS"));
        let drop_in = dir.path().join("usr/lib/systemd/system/polkit-agent-helper@.service.d/pam_otp.conf");
        let text = std::fs::read_to_string(&drop_in).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["[Service]", &format!("ReadWritePaths=-{records}")]);
    }
}

#[test]
fn a_user_who_is_not_root_installs_below_a_destination_only() {
    let (dir, user) = (tempfile::tempdir().unwrap(), TestUser::new("builder"));
    std::os::unix::fs::chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
    // The tree may lie in a folder that this user cannot enter: the capability opens it, and does not make the user root.
    let as_user = |arguments: &[String]| {
        let mut make = Command::new("setpriv");
        make.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"]);
        make.args(["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search", "make", "-C"]);
        Outcome::of(
            make.arg(machine::source(""))
                .args(["--no-print-directory", "install"])
                .args(arguments)
                .env_remove("MAKEFLAGS"),
            "",
        )
    };
    let outcome = as_user(&[format!("prefix={}", dir.path().display())]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let said = "make install gives files to root: run it as root, or set DESTDIR=…\n";
    assert!(outcome.err.starts_with(said), "{outcome:?}");
    assert_eq!(files(dir.path()), Lines::new());

    let outcome =
        as_user(&[PLACES.map(str::to_owned).to_vec(), vec![format!("DESTDIR={}", dir.path().display())]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let others: Lines = files(dir.path()).into_iter().filter(|line| !documentation(line)).collect();
    assert_eq!(others, INSTALLED.map(str::to_owned).into());
}

/// Mode, owner and group, flags of configuration, place: for everything in the package.
fn packed(rpm: &Path) -> Vec<(u32, String, String, String)> {
    let format = "[%{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} -%{FILEFLAGS:fflags} %{FILENAMES}\\n]";
    let listed = machine::run(Command::new("rpm").args(["-qp", "--qf", format]).arg(rpm));
    let entry = |line: &str| {
        let [mode, owners, flags, path] = line.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
        (u32::from_str_radix(mode, 8).unwrap(), owners.to_owned(), flags.to_owned(), path.to_owned())
    };
    listed.lines().map(entry).collect()
}

#[test]
fn the_rpm_holds_the_same_with_owners_and_keeps_an_administrators_changes() {
    machine::require("packing what is built, with the names of an installed system");
    let dir = tempfile::tempdir().unwrap();
    let mut build = Command::new("rpmbuild");
    build
        .args(["-bb", "--build-in-place", "--nodeps", "--without", "build", "--quiet"])
        .current_dir(machine::source(""));
    build.args(["--define", &format!("_topdir {}", dir.path().display()), "--define", "_libdir /usr/lib64"]);
    machine::run(build.arg("packaging/pam_otp.spec").env_remove("MAKEFLAGS"));
    let found = machine::run(Command::new("find").arg(dir.path().join("RPMS")).args(["-name", "*.rpm"]));
    let mut rpms: Vec<_> = found.lines().collect();
    rpms.sort_by_key(|rpm| rpm.rsplit('/').next());
    let [cockpit, agent, verifier, module] = rpms.try_into().unwrap();

    for (rpm, expected) in [
        (agent, Lines::from(AGENT.map(str::to_owned))),
        (cockpit, COCKPIT.map(str::to_owned).into()),
        (verifier, VERIFIER.map(str::to_owned).into()),
        (module, INSTALLED.map(str::to_owned).into()),
    ] {
        let mut listed = Lines::new();
        for (mode, owners, flags, path) in packed(Path::new(rpm)) {
            let ours = ["/var/lib/pam_otp", "/usr/libexec/pam_otp/otp-helper"].contains(&path.as_str());
            let group = match path.as_str() {
                _ if ours => "pam_otp",
                "/etc/otp-verifier" => "otp-verifier",
                _ => "root",
            };
            assert_eq!(owners, format!("root:{group}"), "{path}");
            assert!(group != "otp-verifier" || mode & 0o7777 == 0o750, "{mode:o}");
            let (is_file, configuration) = (mode & 0o170_000 == 0o100_000, path.starts_with("/etc/"));
            assert_eq!(flags.contains("cn"), is_file && configuration, "{path}: config(noreplace)");
            let line = format!("{:o} {}", mode & 0o7777, path.trim_end_matches(".gz"));
            if (is_file || ours) && !documentation(&line) {
                listed.insert(line);
            }
        }
        assert_eq!(listed, expected, "{rpm}");
    }
    let said = |what: &str, rpm| machine::run(Command::new("rpm").args(["-qp", what, rpm]));
    let scripts = said("--scripts", module);
    for line in ["groupadd --system pam_otp", "systemd-tmpfiles --create /usr/lib/tmpfiles.d/pam_otp.conf"] {
        assert!(scripts.contains(line), "{line}: {scripts}");
    }
    assert!(said("--requires", cockpit).contains("pam_otp >= "), "{}", said("--requires", cockpit));
    // The agent is never without the module, and no script enables it.
    assert!(said("--requires", agent).contains("pam_otp(x86-64) = "), "{}", said("--requires", agent));
    let scripts = said("--scripts", agent);
    for line in ["systemctl disable --now otp-agent.socket", "otp-sender.socket", "useradd --system"] {
        assert!(scripts.contains(line), "{line}: {scripts}");
    }
    assert!(!scripts.contains("systemctl enable"), "{scripts}");
    // The verifier is without the module, and no script enables or starts it.
    assert!(!said("--requires", verifier).contains("pam_otp"), "{}", said("--requires", verifier));
    let scripts = said("--scripts", verifier);
    assert!(scripts.contains("useradd --system --user-group"), "{scripts}");
    for line in ["systemctl enable", "systemctl start", "systemctl restart"] {
        assert!(!scripts.contains(line), "{line}: {scripts}");
    }
}
