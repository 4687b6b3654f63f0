//! `otp-enroll admin export` and `admin import bundle`: records that go from one host to another. Two sites stand for the hosts.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    conversation::Talk,
    desk::logged,
    machine,
    outcome::{Dialogue, Outcome},
    phone::Phone,
    pty::{Pty, Terminal},
    service::Service,
    session::{Session, dates},
    site::Site,
    syslog,
    users::{Crowd, TestUser},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// A host, and the module there.
struct Host {
    site: Site,
    service: Service,
}

/// Two hosts, a folder for what goes from one to the other, and a key of age that `age-keygen` made.
struct Move {
    from: Host,
    to: Host,
    folder: PathBuf,
    recipient: String,
}

impl Host {
    fn new() -> Host {
        let site = Site::new("");
        let service = Service::private(&site.auth("required", ""));
        Host { site, service }
    }

    /// Why the module refuses, or `accepted`.
    fn login(&self, user: &str, code: &str) -> String {
        let (_, log) = logged(&Talk::new(&self.service, user), &[code]);
        let word = |rest: &str| rest.split(' ').next().unwrap().to_owned();
        match log[0].split_once(" why=") {
            Some((_, why)) => word(why),
            None => word(log[0].split_once(' ').unwrap().1),
        }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.site.admin_command().args(arguments), "")
    }

    fn show(&self, user: &str) -> Value {
        serde_json::from_str(&self.site.admin(&["show", "--json", user])).unwrap()
    }

    fn at_terminal(&self, arguments: &[&str]) -> Terminal {
        let config = self.site.config().to_str().unwrap();
        Pty::new("otp-enroll").args(["--config", config, "admin"].iter().chain(arguments)).start()
    }
}

impl Move {
    fn new() -> Move {
        let folder = PathBuf::from(format!("/run/{}", machine::unique("moving")));
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        let key = folder.join("key");
        machine::run(Command::new("age-keygen").arg("-o").arg(&key));
        let recipient = machine::run(Command::new("age-keygen").arg("-y").arg(&key)).trim_end().to_owned();
        Move { from: Host::new(), to: Host::new(), folder, recipient }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// Exports to a new file of this name.
    fn export(&self, name: &str, arguments: &[&str]) -> Outcome {
        let to = self.path(name);
        self.from.run(&[&["export", "--to", &to, "--recipient", &self.recipient], arguments].concat())
    }

    fn import(&self, name: &str, arguments: &[&str]) -> Outcome {
        let (file, key) = (self.path(name), self.path("key"));
        self.to.run(&[&["import", "bundle", &file, "--identity", &key], arguments].concat())
    }

    /// What is in a bundle, as the real age says.
    fn inside(&self, name: &str) -> String {
        machine::run(Command::new("age").args(["-d", "-i", &self.path("key"), &self.path(name)]))
    }

    /// A bundle with this in it, which the real age encrypts.
    fn write(&self, name: &str, text: &str) {
        let plain = self.path("plain");
        fs::write(&plain, text).unwrap();
        let _ = fs::remove_file(self.path(name));
        machine::run(Command::new("age").args(["-r", &self.recipient, "-o", &self.path(name), &plain]));
    }
}

/// A file for root alone.
fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn done(outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{}", outcome.out);
}

#[test]
fn a_code_lets_in_once_on_each_host_and_never_again_where_it_was_used() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    let phone = Phone::enroll(&moving.from.site, user);
    let (used, recovery) = (phone.next_code(), phone.recovery_code());
    assert_eq!(moving.from.login(user, &used), "accepted");
    assert_eq!(moving.from.login(user, &recovery), "accepted");
    let mark = syslog::mark();
    let export = moving.export("bundle", &[user]);
    done(&export);
    let said = format!(
        "One user exported.\nWhen the bundle is imported, {user} has the same device on two hosts: one code may let in \
         once on each.\n"
    );
    assert_eq!(export.out, said);
    syslog::wait_for(mark, &format!("exported user={user} by_uid=0"), Duration::from_secs(5)).unwrap();
    let bundle = moving.folder.join("bundle");
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(!fs::read(&bundle).unwrap().windows(user.len()).any(|bytes| bytes == user.as_bytes()), "it is encrypted");

    let mark = syslog::mark();
    let import = moving.import("bundle", &["--yes"]);
    done(&import);
    assert!(import.out.contains(&format!("\n{user}: imported\n\n1 imported, 0 were")), "{}", import.out);
    syslog::wait_for(mark, &format!("imported user={user} by_uid=0"), Duration::from_secs(5)).unwrap();
    assert_eq!(moving.to.login(user, &used), "replayed");
    assert_eq!(moving.to.login(user, &recovery), "recovery-used");
    let code = phone.next_code();
    for host in [&moving.from, &moving.to] {
        assert_eq!(host.login(user, &code), "accepted");
        assert_eq!(host.login(user, &code), "replayed");
    }
    assert_eq!(moving.to.login(user, &phone.recovery_code()), "accepted");

    // Again and again: nothing is given back.
    let again = moving.import("bundle", &["--yes", "--json"]);
    assert_eq!(again.json()[1..], [json!({"user": user, "changed": false})], "{again:?}");
    assert_eq!(moving.to.login(user, &code), "replayed");
    let later = phone.next_code();
    assert_eq!(moving.from.login(user, &later), "accepted");
    done(&moving.export("later", &[user]));
    assert_eq!(moving.import("later", &["--yes", "--json"]).json()[1..], [json!({"user": user, "changed": true})]);
    assert_eq!(moving.to.login(user, &later), "replayed");
}

#[test]
fn the_real_age_opens_what_we_made_and_we_open_what_it_made() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    Phone::enroll(&moving.from.site, user);
    done(&moving.export("bundle", &[user]));
    let inside = moving.inside("bundle");
    assert!(inside.starts_with("pam_otp-bundle 1\nhost "), "{}", &inside[..40]);
    assert!(inside.trim_end().ends_with("\nend 1"));
    moving.write("theirs", &inside);
    assert_eq!(moving.import("theirs", &["--yes"]).code, Some(0));
    let armored = moving.path("armored");
    machine::run(Command::new("age").args(["-a", "-r", &moving.recipient, "-o", &armored, &moving.path("plain")]));
    assert_eq!(moving.import("armored", &["--yes", "--json"]).json()[1]["changed"], false);

    let words = moving.path("words");
    write(&words, "correct horse battery staple\n");
    let protected = moving.path("protected");
    done(&moving.from.run(&["export", user, "--to", &protected, "--passphrase-file", &words]));
    let mut age = Pty::new("age").args(["-d", "-o", &moving.path("opened"), &protected]).start();
    age.wait_for("passphrase");
    age.send_line("correct horse battery staple");
    assert_eq!(age.wait().code(), Some(0), "{}", age.transcript());
    assert_eq!(fs::read_to_string(moving.path("opened")).unwrap().lines().next(), Some("pam_otp-bundle 1"));
    let mut age = Pty::new("age").args(["-p", "-o", &moving.path("theirs too"), &moving.path("opened")]).start();
    age.wait_for("passphrase");
    age.send_line("correct horse battery staple");
    age.wait_for("onfirm");
    age.send_line("correct horse battery staple");
    assert_eq!(age.wait().code(), Some(0), "{}", age.transcript());
    let import = moving.to.run(&["import", "bundle", &moving.path("theirs too"), "--passphrase-file", &words, "--yes"]);
    assert_eq!(import.code, Some(0), "{import:?}");
}

#[test]
fn a_passphrase_is_asked_for_twice_and_not_shown() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    Phone::enroll(&moving.from.site, user);
    let bundle = moving.path("bundle");
    let unasked = moving.from.run(&["export", user, "--to", &bundle]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.err.contains("add --recipient or --passphrase-file"), "{unasked:?}");
    let mut terminal = moving.from.at_terminal(&["export", user, "--to", &bundle]);
    for (question, answer) in [
        ("Passphrase of the bundle (not shown): ", "one of many words"),
        ("The same once more: ", "another of many"),
        ("These are not the same.", ""),
    ] {
        terminal.wait_for(question);
        if !answer.is_empty() {
            terminal.send_line(answer);
        }
    }
    terminal.wait_for("Passphrase of the bundle (not shown): ");
    terminal.send_line("one of many words");
    terminal.wait_for("The same once more: ");
    terminal.send_line("one of many words");
    assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.transcript());
    assert!(!terminal.transcript().contains("many words"), "{}", terminal.transcript());

    let mut terminal = moving.to.at_terminal(&["import", "bundle", &bundle]);
    terminal.wait_for("Passphrase of the bundle (not shown): ");
    terminal.send_line("another of many");
    assert_eq!(terminal.wait().code(), Some(4));
    assert!(terminal.transcript().contains("cannot be opened: the passphrase is"), "{}", terminal.transcript());
    for (answer, code) in [("n", 1), ("y", 0)] {
        let mut terminal = moving.to.at_terminal(&["import", "bundle", &bundle]);
        terminal.wait_for("Passphrase of the bundle (not shown): ");
        terminal.send_line("one of many words");
        terminal.wait_for("authenticator (totp) with 10 recovery codes");
        terminal.wait_for("Import this from this bundle? [y/N] ");
        terminal.send_line(answer);
        assert_eq!(terminal.wait().code(), Some(code), "{}", terminal.transcript());
        assert_eq!(moving.to.site.files().is_empty(), answer == "n");
    }

    let second = moving.path("second");
    let mut terminal = moving.from.at_terminal(&["export", user, "--to", &second]);
    terminal.wait_for("Passphrase of the bundle (not shown): ");
    terminal.send("\x03");
    assert_eq!(terminal.wait().code(), Some(130));
    assert!(!Path::new(&second).exists());
}

#[test]
fn a_bundle_that_is_not_as_we_make_it_gets_a_sentence_and_changes_nothing() {
    let (moving, alice, bob) = (Move::new(), TestUser::new("alice"), TestUser::new("bob"));
    let (a, b) = (alice.name.as_str(), bob.name.as_str());
    Phone::enroll(&moving.from.site, a);
    Phone::enroll(&moving.from.site, b);
    done(&moving.export("bundle", &[a, b]));
    let refused = |name: &str, expected: &str| {
        let outcome = moving.import(name, &["--yes"]);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(4), ""), "{outcome:?}");
        assert!(outcome.err.contains(expected), "{expected}: {outcome:?}");
        let said = outcome.err.lines().filter(|line| !line.contains("others than its owner can open"));
        assert!(!outcome.err.contains("os error") && said.count() == 2, "{outcome:?}");
        assert_eq!(moving.to.site.files(), BTreeSet::new(), "{name}");
    };
    let whole = fs::read(moving.path("bundle")).unwrap();
    // Between the chunks of age and within them, in the header, and nothing at all.
    for length in [0, 10, 100, 216, 1000, 216 + 65_552, whole.len() - 100, whole.len() - 1] {
        write(moving.path("cut"), &whole[..length]);
        refused("cut", "cut");
    }
    let mut damaged = whole;
    damaged[500] ^= 1;
    write(moving.path("damaged"), damaged);
    refused("damaged", "is cut off or damaged");
    refused("missing", "cannot read");
    refused("key", "is no file of age, or is cut off");

    machine::run(Command::new("age-keygen").arg("-o").arg(moving.path("other")));
    let other = machine::run(Command::new("age-keygen").args(["-y", &moving.path("other")])).trim_end().to_owned();
    machine::run(Command::new("age").args(["-r", &other, "-o", &moving.path("not ours"), &moving.path("key")]));
    refused("not ours", "it is for another recipient");
    let words = moving.path("words");
    write(&words, "correct horse battery staple");
    let protected = moving.path("protected");
    done(&moving.from.run(&["export", a, "--to", &protected, "--passphrase-file", &words]));
    refused("protected", "it is for another recipient, or has a passphrase");
    let by_words = |file: &str| moving.to.run(&["import", "bundle", file, "--passphrase-file", &words, "--yes"]);
    assert!(by_words(&moving.path("bundle")).err.contains("it is for a recipient, and has no passphrase"));
    let mut slow = fs::read(&protected).unwrap();
    let place = slow.windows(4).position(|bytes| bytes == b" 18\n").unwrap();
    slow.splice(place + 1..place + 3, *b"30");
    write(moving.path("slow"), slow);
    assert!(by_words(&moving.path("slow")).err.contains("asks for more work than any bundle"));
    fs::write(&words, "correct horse battery stable").unwrap();
    assert!(by_words(&protected).err.contains("the passphrase is wrong"));

    let inside = moving.inside("bundle");
    let record = &inside[inside.find("record ").unwrap()..inside.rfind("record ").unwrap()];
    let devices = format!("{}[[device]]", "[[device]]\n".repeat(8));
    for (from, to, expected) in [
        ("pam_otp-bundle 1", "pam_otp-bundle 2", "holds a bundle of version 2; this program reads version 1"),
        ("pam_otp-bundle 1", "hello world ok 1", "holds no bundle of otp-enroll"),
        ("version = 1", "version = 2", "number 1 has version 2; this program reads version 1"),
        ("end 2", "end 3", "has 2 records and says that it has 3"),
        ("end 2", "", "has a line before its record 3 that no bundle has"),
        ("[[device]]", &devices, "number 1 cannot be read"),
        (record, &record.repeat(2), "has two records of one user"),
        ("record ", "record 9", "has a line before its record 1"),
    ] {
        assert!(inside.contains(from), "{from}");
        moving.write("changed", &inside.replacen(from, to, 1));
        refused("changed", expected);
    }
}

#[test]
fn a_name_that_climbs_out_of_the_folder_is_a_name_of_nobody() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    Phone::enroll(&moving.from.site, user);
    done(&moving.export("bundle", &[user]));
    let inside = moving.inside("bundle");
    let climbing = format!("../../../../etc/{}", &user[..user.len().min(4)]);
    let (from, to) = (format!("user = \"{user}\""), format!("user = \"{climbing}\""));
    let (head, rest) = inside.split_once("record ").unwrap();
    let (length, rest) = rest.split_once(' ').unwrap();
    let longer = length.parse::<usize>().unwrap() + climbing.len() - user.len();
    moving.write("climbing", &format!("{head}record {longer} {}", rest.replacen(&from, &to, 1)));
    let import = moving.import("climbing", &["--yes"]);
    assert_eq!(import.code, Some(4), "{import:?}");
    assert!(import.out.contains(&format!("{climbing}: failed: there is no such user")), "{import:?}");
    assert_eq!(moving.to.site.files(), BTreeSet::new());
}

#[test]
fn root_comes_only_by_name_and_an_override_only_if_it_is_asked_for() {
    let (moving, alice, bob) = (Move::new(), TestUser::new("alice"), TestUser::new("bob"));
    let (a, b) = (alice.name.as_str(), bob.name.as_str());
    Phone::enroll(&moving.from.site, "root");
    Phone::enroll(&moving.from.site, a);
    moving.from.site.admin(&["require", a]);
    moving.from.site.admin(&["exempt", b]);
    done(&moving.export("bundle", &["--all"]));
    let first = moving.import("bundle", &["--yes"]);
    assert_eq!(first.code, Some(4), "{first:?}");
    assert!(
        first.out.contains("root: failed: root is an account of root, which comes only if it is named"),
        "{first:?}"
    );
    assert!(first.out.contains("One record has no device, only an override"), "{first:?}");
    assert_eq!(moving.to.show(a)["override"], "none");
    assert!(!moving.to.site.credentials("root").exists() && !moving.to.site.credentials(b).exists());

    let with = moving.import("bundle", &["--yes", "--with-overrides", "--json"]);
    let lines = with.json();
    let has = |user: &str| lines.iter().any(|line| line["user"] == user && line["changed"] == true);
    assert!(has(a) && has(b), "{lines:?}");
    assert_eq!(
        (&moving.to.show(a)["override"], &moving.to.show(b)["override"]),
        (&json!("required"), &json!("exempt"))
    );
    done(&moving.import("bundle", &["root", "--yes"]));
    assert!(moving.to.site.credentials("root").exists());

    // Neither comes another user's record to root by another way than its name on the command line.
    let renamed = moving.import("bundle", &[a, "--rename", &format!("{a}=root"), "--dry-run"]);
    assert!(renamed.out.contains("root: failed: has a second factor already"), "{renamed:?}");
}

#[test]
fn a_record_is_bound_to_the_account_that_it_is_renamed_to() {
    let (moving, alice, other) = (Move::new(), TestUser::new("alice"), TestUser::new("other"));
    let (a, b) = (alice.name.as_str(), other.name.as_str());
    let phone = Phone::enroll(&moving.from.site, a);
    done(&moving.export("bundle", &[a]));
    for (option, expected) in [
        ("alice", "write the name there and the name here, OLD=NEW"),
        ("=b", "write the name there and the name here, OLD=NEW"),
        ("nobody=root", "has no record of nobody"),
    ] {
        let refused = moving.import("bundle", &["--yes", "--rename", option]);
        assert!(refused.code != Some(0) && refused.err.contains(expected), "{refused:?}");
    }
    assert!(moving.import("bundle", &["nobody", "--yes"]).err.contains("has no record of nobody"));
    let added = moving.import("bundle", &["--add", "--yes"]);
    assert!(added.code == Some(2) && added.err.contains("--add does not go with a bundle"), "{added:?}");
    // `--rename` names its user, besides those in the arguments.
    Phone::enroll(&moving.from.site, b);
    done(&moving.export("both", &[a, b]));
    let third = TestUser::new("third");
    let dry = moving.import("both", &[b, "--rename", &format!("{a}={}", third.name), "--dry-run", "--json"]).json();
    assert_eq!((&dry[1]["user"], &dry[2]["user"], dry.len()), (&json!(third.name), &json!(b), 3), "{dry:?}");
    let twice = moving.import("both", &["--rename", &format!("{a}={b}"), "--yes"]);
    assert!(twice.code == Some(4) && twice.err.contains("would get two records of the bundle"), "{twice:?}");
    done(&moving.import("bundle", &["--yes", "--rename", &format!("{a}={b}")]));
    assert_eq!(moving.to.site.files(), [format!("{b}.state"), format!("{b}.toml")].into());
    assert_eq!(moving.to.login(b, &phone.next_code()), "accepted");
}

#[test]
fn other_devices_stay_unless_they_are_to_be_replaced() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    let (there, here) = (Phone::enroll(&moving.from.site, user), Phone::enroll(&moving.to.site, user));
    done(&moving.export("bundle", &[user]));
    let refused = moving.import("bundle", &["--yes"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(
        refused.out.contains("failed: has a second factor already; to replace it by what is in the bundle: --replace"),
        "{refused:?}"
    );
    assert_eq!(moving.to.login(user, &here.next_code()), "accepted");
    let dry = moving.import("bundle", &["--replace", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(
        dry.out.contains("would be replaced; authenticator (totp) with 10 recovery codes left; in place of"),
        "{dry:?}"
    );
    done(&moving.import("bundle", &["--replace", "--yes"]));
    assert_eq!(moving.to.login(user, &here.next_code()), "wrong");
    assert_eq!(moving.to.login(user, &there.next_code()), "accepted");
}

#[test]
fn a_file_is_new_and_private_and_never_there_in_part() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    Phone::enroll(&moving.from.site, user);
    fs::write(moving.path("there"), "before").unwrap();
    let exists = moving.export("there", &[user]);
    assert!(exists.code == Some(4) && exists.err.contains("there exists"), "{exists:?}");
    assert_eq!(fs::read(moving.path("there")).unwrap(), b"before");
    let small = moving.path("small");
    fs::create_dir(&small).unwrap();
    machine::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=40k", "none", &small]));
    let full = moving.export("small/bundle", &[user]);
    assert!(full.code == Some(4) && full.err.contains("could not be written: No space left"), "{full:?}");
    assert_eq!(fs::read_dir(&small).unwrap().count(), 0);
    machine::run(Command::new("umount").arg(&small));
    let nobody = moving.export("nobody", &["nobody-at-all"]);
    assert!(nobody.code == Some(3) && !Path::new(&moving.path("nobody")).exists(), "{nobody:?}");

    let mut terminal = moving.from.at_terminal(&["export", user, "--to", "-", "--recipient", &moving.recipient]);
    assert_eq!(terminal.wait().code(), Some(2));
    assert!(terminal.transcript().contains("would write to the terminal"), "{}", terminal.transcript());
    let piped = fs::File::create_new(moving.path("piped")).unwrap();
    let mut command = moving.from.site.admin_command();
    let command = command.args(["export", user, "--to", "-", "--recipient", &moving.recipient]).stdout(piped);
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(moving.import("piped", &["--yes"]).code, Some(0));
    let moved = moving.from.run(&["export", user, "--to", "-", "--recipient", &moving.recipient, "--move", "--yes"]);
    assert!(moved.code == Some(2) && moved.err.contains("--move needs a file"), "{moved:?}");
    let unfit = moving.from.run(&["export", user, "--to", &moving.path("x"), "--recipient", "ssh-ed25519 AAAA"]);
    assert!(unfit.code == Some(2) && unfit.err.contains("is no recipient of age"), "{unfit:?}");
}

#[test]
fn a_bundle_comes_through_standard_input_again_and_again() {
    let (moving, alice) = (Move::new(), TestUser::new("alice"));
    let user = alice.name.as_str();
    Phone::enroll(&moving.from.site, user);
    done(&moving.export("bundle", &[user]));
    for changed in [true, false, false] {
        let mut command = moving.to.site.admin_command();
        let command = command.args(["import", "bundle", "-", "--json", "--yes", "--identity", &moving.path("key")]);
        let output = command.stdin(fs::File::open(moving.path("bundle")).unwrap()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(line, json!({"user": user, "changed": changed}), "{text}");
    }
}

#[test]
fn move_removes_what_is_in_the_bundle_and_nothing_else() {
    let (moving, alice, bob) = (Move::new(), TestUser::new("alice"), TestUser::new("bob"));
    let (a, b) = (alice.name.as_str(), bob.name.as_str());
    let phone = Phone::enroll(&moving.from.site, a);
    Phone::enroll(&moving.from.site, b);
    assert_eq!(moving.export("asked", &[a, "--move"]).code, Some(2));
    let mut terminal =
        moving.from.at_terminal(&["export", a, "--to", &moving.path("no"), "--recipient", &moving.recipient, "--move"]);
    terminal.wait_for("Overrides go, too. [y/N] ");
    terminal.send_line("n");
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(!Path::new(&moving.path("no")).exists());

    let mark = syslog::mark();
    let moved = moving.export("bundle", &[a, "--move", "--yes"]);
    done(&moved);
    assert_eq!(moved.out, format!("{a}: moved: the record is in the bundle alone\n"));
    syslog::wait_for(mark, &format!("moved user={a} by_uid=0 proof=admin"), Duration::from_secs(5)).unwrap();
    assert_eq!(moving.from.site.files(), [format!("{b}.state"), format!("{b}.toml")].into());
    let again = moving.export("again", &[a, b, "--move", "--yes"]);
    assert_eq!(again.code, Some(4), "{again:?}");
    assert!(again.out.contains(&format!("{a}: failed: has no second factor here; it was moved already")), "{again:?}");
    assert_eq!(moving.from.site.files(), BTreeSet::new());
    done(&moving.import("bundle", &["--yes"]));
    assert_eq!(moving.to.login(a, &phone.next_code()), "accepted");
}

#[test]
fn a_move_that_is_killed_leaves_a_whole_bundle_or_none_and_each_record_in_one_place_at_least() {
    const COUNT: usize = 300;
    let (moving, crowd) = (Move::new(), Crowd::new(COUNT));
    enroll(&moving.from.site, &crowd, &moving.path("users"));
    let mut killed = 0;
    for run in 0..60 {
        let name = format!("bundle-{run}");
        let mut command = moving.from.site.admin_command();
        let to = moving.path(&name);
        command.args(["export", "--all", "--to", &to, "--recipient", &moving.recipient, "--move", "--yes", "--json"]);
        let mut export = Dialogue::start(&mut command);
        if run % 2 == 0 {
            thread::sleep(Duration::from_millis(15 * (run + 1)));
        } else {
            for _ in 0..run {
                export.object();
            }
        }
        export.kill();
        export.end();
        killed += 1;
        if Path::new(&to).exists() {
            done(&moving.import(&name, &["--yes", "--quiet"]));
        }
        // No user is lost.
        let stems = |site: &Site| -> BTreeSet<String> {
            site.files().iter().filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect()
        };
        let (left, arrived) = (stems(&moving.from.site), stems(&moving.to.site));
        let all: BTreeSet<_> = left.union(&arrived).cloned().collect();
        assert_eq!(all.len(), COUNT, "after {killed} kills: {} left, {} arrived", left.len(), arrived.len());
        if left.is_empty() {
            break;
        }
    }
    assert!(killed >= 3, "{killed} kills");
    let whole: BTreeSet<_> =
        crowd.names.iter().flat_map(|name| ["state", "toml"].map(|kind| format!("{name}.{kind}"))).collect();
    assert_eq!(moving.to.site.files(), whole);
}

/// Gives each of a crowd a device.
fn enroll(site: &Site, crowd: &Crowd, file: &str) {
    let line = |(number, name): (usize, &String)| format!("HOTP {name} - {number:040x}\n");
    fs::write(file, crowd.names.iter().enumerate().map(line).collect::<String>()).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    site.admin(&["import", "oath", file, "--quiet"]);
}

/// Runs a command, and returns how much memory it had at most, in kilobytes.
fn most_memory(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut most = 0;
    loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = most.max(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return most;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn five_thousand_users_take_no_more_memory_than_a_hundred() {
    let (moving, crowd) = (Move::new(), Crowd::new(5000));
    enroll(&moving.from.site, &crowd, &moving.path("users"));
    let hundred: Vec<&str> = crowd.names[..100].iter().map(String::as_str).collect();
    let (mut exports, mut imports) = (Vec::new(), Vec::new());
    for (name, who) in [("few", hundred), ("all", vec!["--all"])] {
        let to = moving.path(name);
        let mut export = moving.from.site.admin_command();
        export.args(["export", "--to", &to, "--recipient", &moving.recipient]).args(who);
        exports.push(most_memory(&mut export));
        let mut import = moving.to.site.admin_command();
        import.args(["import", "bundle", &to, "--identity", &moving.path("key"), "--yes"]);
        imports.push(most_memory(&mut import));
    }
    // The text of five thousand records is ten megabytes. Names are kept.
    for both in [&exports, &imports] {
        assert!(both[1] < both[0] + 3000, "exports {exports:?}, imports {imports:?}");
    }
    assert_eq!(moving.to.site.files().len(), 10_000);
}

#[test]
fn pam_oath_takes_the_file_that_is_exported_for_it() {
    let (moving, alice, bob) = (Move::new(), TestUser::new("alice"), TestUser::new("bob"));
    let (a, b) = (alice.name.as_str(), bob.name.as_str());
    let phone = Phone::enroll(&moving.from.site, a);
    let seed = "3132333435363738393031323334353637383930";
    fs::write(moving.path("users"), format!("HOTP {b} - {seed} 7\n")).unwrap();
    moving.from.site.admin(&["import", "oath", &moving.path("users")]);
    let file = moving.path("users.oath");
    let export = moving.from.run(&["export", "oath", a, b, "--to", &file]);
    assert_eq!(export.code, Some(0), "{export:?}");
    assert!(export.err.contains("holds every seed in plain text"), "{export:?}");
    assert!(
        export.out.contains("10 recovery codes were left out") && export.out.contains("2 devices exported."),
        "{export:?}"
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let theirs = Service::private(&format!("auth required pam_oath.so usersfile={file} window=20 digits=6"));
    let login = |user: &str, code: &str| Talk::new(&theirs, user).run(&[code]).result("authenticate").to_owned();
    assert_eq!(login(a, &phone.code(0)), "PAM_SUCCESS");
    let hotp = |counter: u64| {
        let code = machine::run(Command::new("oathtool").args(["--hotp", &format!("--counter={counter}"), seed]));
        code.trim_end().to_owned()
    };
    assert_ne!(login(b, &hotp(6)), "PAM_SUCCESS");
    assert_eq!(login(b, &hotp(7)), "PAM_SUCCESS");
    // And back: our own reader takes it.
    done(&moving.to.run(&["import", "oath", &file]));
    assert_eq!(moving.to.login(b, &hotp(7)), "replayed");
    assert_eq!(moving.to.login(b, &hotp(8)), "accepted");

    let uris = moving.from.run(&["export", "uri", a, "--to", "-"]);
    assert!(uris.out.starts_with("otpauth://totp/") && uris.out.lines().count() == 1, "{uris:?}");
    let base32 = machine::run(Command::new("oathtool").args(["--verbose", &phone.hex]));
    let base32 = base32.lines().find_map(|line| line.strip_prefix("Base32 secret: ")).unwrap().to_owned();
    assert!(uris.out.contains(base32.trim_end_matches('=')), "{uris:?}");
    assert!(uris.err.contains("holds every seed in plain text"), "{uris:?}");
}

#[test]
fn what_an_administrator_reads() {
    let [_wanda, _wim] = ["wanda", "wim"].map(TestUser::named);
    let moving = Move::new();
    let mut session = Session::among(&["wanda", "wim"]);
    for user in ["wanda", "wim"] {
        Phone::enroll(&moving.from.site, user);
    }
    moving.from.site.admin(&["require", "wanda"]);
    moving.from.site.admin(&["issue", "wim"]);
    let host = machine::run(&mut Command::new("hostname"));
    session.name(host.trim_end(), "one.example.org");
    session.name(moving.folder.to_str().unwrap(), "/root");
    session.name(&moving.recipient, "age1...");
    let mut run = |on: &Host, line: &str| {
        let line = line.replace("FOLDER", moving.folder.to_str().unwrap()).replace("KEY", &moving.recipient);
        let mut command = Command::new("otp-enroll");
        command.arg("--config").arg(on.site.config()).args(line.split(' '));
        session.run(&format!("otp-enroll {line}"), &mut command, "");
    };
    run(&moving.from, "admin export wanda wim --to FOLDER/bundle --recipient KEY");
    run(&moving.from, "admin export wanda --to FOLDER/bundle --recipient KEY");
    run(&moving.to, "admin import bundle FOLDER/bundle --identity FOLDER/key --dry-run");
    run(&moving.to, "admin import bundle FOLDER/bundle --identity FOLDER/key --dry-run --with-overrides --json");
    run(&moving.to, "admin import bundle FOLDER/bundle --identity FOLDER/key");
    run(&moving.to, "admin import bundle FOLDER/bundle --identity FOLDER/key wanda --yes");
    run(&moving.to, "admin import bundle FOLDER/bundle --identity FOLDER/key --yes");
    run(&moving.from, "admin export wanda wim --to FOLDER/moved --recipient KEY --move --yes");
    run(&moving.from, "admin export wanda wim --to FOLDER/again --recipient KEY --move --yes --json");
    run(&moving.to, "admin export oath wanda wim --to FOLDER/users.oath");
    run(&moving.to, "admin export uri wanda --to FOLDER/uris --json");
    insta::assert_snapshot!("bundle", dates(&session.text()));
}
