//! The sender: programs that send codes, and what becomes of those that hang, fail, flood, read nothing or leave processes.
#![expect(clippy::disallowed_methods, reason = "how long a refusal takes is measured")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    machine,
    sender::{Sender, USER},
    syslog,
    users::{self, TestUser},
};
use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const SENT: &str = r#"{"sent":true}"#;
const TEXT: &str = "481 2093 is your code for host (ssh from 203.0.113.9). Not you? Change your password.";

/// A program that the sender may run, and a folder that it may write: `$folder` in a shell script.
struct Program {
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    fn new(interpreter: &str, script: &str) -> Program {
        machine::require("a program that sends");
        users::ensure_system_user(USER);
        let folder = PathBuf::from("/run/pam-otp-senders").join(machine::unique("folder"));
        machine::run(Command::new("install").args(["-d", "-o", USER, "-m", "0755"]).arg(&folder));
        let path = folder.with_extension("program");
        fs::write(&path, format!("#!{interpreter}\nfolder='{}'\n{script}\n", folder.display())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Program { path, folder }
    }

    fn shell(script: &str) -> Program {
        Program::new("/bin/sh", script)
    }

    fn table(&self, kind: &str, arguments: &str) -> String {
        format!("[{kind}]\nsend = [\"{}\"{arguments}]\n", self.path.display())
    }

    /// What it has written to a file, once that is complete.
    fn wrote(&self, name: &str) -> String {
        let written = || fs::read_to_string(self.folder.join(name)).ok().filter(|text| text.ends_with('\n'));
        machine::wait(Duration::from_secs(5), written).unwrap()
    }
}

fn not_sent(why: &str) -> String {
    serde_json::json!({"not_sent": why}).to_string()
}

/// What this sender has logged, without time and process.
fn log_of(sender: &Sender, mark: syslog::Mark) -> Vec<String> {
    let sign = format!("otp-sender[{}]: ", sender.pid());
    let lines = syslog::lines_since(mark);
    lines.iter().filter_map(|line| Some(line.split_once(&sign)?.1.to_owned())).collect()
}

fn is_alive(pid: &str) -> bool {
    // A zombie has ended.
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn are_gone(pids: &str) -> bool {
    machine::wait(Duration::from_secs(3), || (!pids.lines().any(is_alive)).then_some(())).is_some()
}

#[test]
fn a_program_gets_what_is_configured_and_the_text_and_nothing_else() {
    let look = "import json, os, sys\n\
        text = sys.stdin.buffer.read().decode()\n\
        links = [os.path.join('/proc/self/fd', fd) for fd in os.listdir('/proc/self/fd')]\n\
        sockets = [link for link in links if os.path.exists(link) and 'socket:' in os.readlink(link)]\n\
        status = dict(line.rstrip().split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)\n\
        seen = dict(arguments=sys.argv[1:], environment=dict(os.environ), folder=os.getcwd(), ids=os.getresuid(),\n\
          groups=os.getgroups(), text=text, sockets=sockets,\n\
          leads=os.getpgrp() == os.getpid(), umask=os.umask(0), rights=[status[key] for key in ('CapEff', 'CapBnd', 'NoNewPrivs')])\n\
        open(folder + '/seen', 'w').write(json.dumps(seen) + '\\n')";
    let program = Program::new("/usr/bin/python3", look);
    let id = |option| machine::run(Command::new("id").args([option, USER])).trim().parse::<u32>().unwrap();
    for (environment, expected) in [
        (vec![("LD_LIBRARY_PATH", "/nowhere"), ("LANG", "de_DE.UTF-8"), ("KEY", "secret")], None),
        (
            vec![("CREDENTIALS_DIRECTORY", "/run/credentials/otp-sender.service")],
            Some("/run/credentials/otp-sender.service"),
        ),
    ] {
        for (kind, arguments, to) in [
            ("sms", ", \"--gateway\", \"a b; $(id)\"", "+61412345678"),
            ("email", ", \"-i\", \"--\"", "alice+otp@example.org"),
        ] {
            let sender = Sender::with(&program.table(kind, arguments), &environment);
            let text = format!("Subject: a code\n\n{TEXT}\n.\nzoë\n");
            assert_eq!(sender.send(kind, to, &text), SENT);
            let seen: serde_json::Value = serde_json::from_str(&program.wrote("seen")).unwrap();
            let mut arguments: Vec<String> =
                serde_json::from_str(&format!("[{}]", arguments.trim_start_matches(", "))).unwrap();
            arguments.push(to.into());
            let mut variables = serde_json::json!({
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8",
            });
            if let Some(folder) = expected {
                variables["CREDENTIALS_DIRECTORY"] = folder.into();
            }
            let (uid, gid) = (id("-u"), id("-g"));
            let expected = serde_json::json!({
                "arguments": arguments, "environment": variables, "folder": "/", "ids": [uid, uid, uid], "groups": [gid],
                "text": text, "sockets": [], "leads": true, "umask": 0o027,
                "rights": ["0000000000000000", "0000000000000000", "1"],
            });
            assert_eq!(seen, expected);
            fs::remove_file(program.folder.join("seen")).unwrap();
        }
    }
}

/// All of them at the same time: each takes ten seconds.
#[test]
fn a_program_that_takes_too_long_is_killed_with_what_it_has_started() {
    let program = Program::shell(
        "trap '' TERM INT HUP PIPE\nsleep 1000 & a=$!\n(sleep 1000 & echo $! >> $folder/$1; sleep 1000) & echo $! $$ $a | tr ' ' '\\n' >> $folder/$1\n\
         case $1 in\n+61400000002) exec yes;;\n+61400000003) exec 1>&- 2>&-;;\n+61400000004) exec 0<&-; kill -STOP $$;;\nesac\nwait",
    );
    let sender = Sender::start(&program.table("sms", ""));
    let (mark, begun) = (syslog::mark(), Instant::now());
    thread::scope(|scope| {
        for to in ["+61412345678", "+61400000002", "+61400000003", "+61400000004"] {
            let (sender, program) = (&sender, &program);
            scope.spawn(move || {
                let late = "the program did not end in 10 seconds, and was killed";
                assert_eq!(sender.send("sms", to, TEXT), not_sent(late), "{to}");
                assert!((9..12).contains(&begun.elapsed().as_secs()), "{to}: {:?}", begun.elapsed());
                let pids = program.wrote(to);
                assert_eq!(pids.lines().count(), 4, "{to}: {pids}");
                assert!(are_gone(&pids), "{to}: {pids}");
            });
        }
    });
    let log = log_of(&sender, mark);
    let failure = r#"not-sent kind=sms error="the program did not end in 10 seconds, and was killed""#;
    assert_eq!(log.iter().filter(|line| *line == failure).count(), 4, "{log:#?}");
    assert!(log.len() < 4 + 45, "{}", log.len());
}

#[test]
fn a_program_that_fails_is_told_of_with_its_status_and_its_output_without_the_message() {
    let program = Program::shell(
        "code=$(cat)\ncase $1 in\n+61412345678) echo \"550 no such number\" >&2; exit 75;;\n+61400000002) kill -SEGV $$;;\n\
         +61400000003) set -x; : \"$code\"; echo \"to $1: $code\" > /dev/null; set +x; echo \"to $1: $code\" | tr -d ' ' >&2; printf 'a\\033[2Jb\\n\\n%s' 'x=\"y\"'; exit 1;;\nesac",
    );
    let sender = Sender::start(&program.table("sms", ""));
    let mark = syslog::mark();
    for (to, why, output) in [
        ("+61412345678", "the program exited with status 75", vec!["550 no such number"]),
        ("+61400000002", "the program was killed by SIGSEGV", vec![]),
        (
            "+61400000003",
            "the program exited with status 1",
            vec![
                "+ : [message]",
                "+ echo to +61400000003: [message]",
                "to+61400000003:#######isyourcodeforhost",
                "a\\x1b[2Jb",
                "x='y'",
            ],
        ),
    ] {
        let mark = syslog::mark();
        assert_eq!(sender.send("sms", to, TEXT), not_sent(why));
        let log = log_of(&sender, mark);
        assert_eq!(log.last().unwrap(), &format!("not-sent kind=sms error=\"{why}\""));
        for line in output {
            let is_there = |logged: &String| logged.starts_with("sender-output kind=sms") && logged.contains(line);
            assert!(log.iter().any(is_there), "{line}: {log:#?}");
        }
    }
    for line in log_of(&sender, mark) {
        assert!(!line.contains("481") && !line.contains("2093") && !line.contains("Not you"), "{line}");
    }
    // What cannot be started.
    for (path, why) in [
        ("/usr/local/lib/no-such-program".into(), "No such file or directory"),
        ("/etc/passwd".into(), "Permission denied"),
        ("/run".into(), "Permission denied"),
        (program.path.with_extension("toml"), "No such file or directory"),
    ] {
        let path: PathBuf = path;
        sender.set(&format!("[sms]\nsend = [\"{}\"]\n", path.display()));
        let why = format!("the program cannot be started: {why}");
        assert_eq!(sender.send("sms", "+61412345678", TEXT), not_sent(&why), "{}", path.display());
    }
}

#[test]
fn a_program_that_reads_nothing_closes_its_input_or_floods_does_not_hold_up_the_answer() {
    let program = Program::shell(
        "case $1 in\n+61412345678) ;;\n+61400000002) exec 0<&-; sleep 0.3;;\n+61400000003) head -c 400000 /dev/zero | tr '\\0' x;;\n\
         +61400000004) yes 'a line' | head -n 300000; yes >&2 & sleep 0.5;;\n+61400000005) head -c 1 > /dev/null;;\nesac",
    );
    let sender = Sender::start(&program.table("sms", ""));
    let text = format!("{TEXT}\n{}", "x".repeat(16_000));
    for (to, lines, more) in [
        ("+61412345678", 0, false),
        ("+61400000002", 0, false),
        ("+61400000003", 1, true),
        ("+61400000004", 40, true),
        ("+61400000005", 0, false),
    ] {
        let (mark, begun) = (syslog::mark(), Instant::now());
        assert_eq!(sender.send("sms", to, &text), SENT, "{to}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{to}: {:?}", begun.elapsed());
        let log = log_of(&sender, mark);
        let end = r#"sender-output kind=sms text="[there is more, which is not logged]""#;
        assert_eq!((log.len(), log.last().is_some_and(|line| line == end)), (lines + usize::from(more), more), "{to}");
        assert!(log.iter().all(|line| line.len() < 1100), "{to}");
    }
}

#[test]
fn a_process_in_the_background_may_go_on_for_the_programs_time_and_no_longer() {
    let program = Program::shell(
        "sleep 1000 & echo $! > $folder/with-output\nsleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > $folder/without\n\
         (sleep 1; echo done > $folder/done) &\n[ $1 = +61412345678 ]",
    );
    let sender = Sender::start(&program.table("sms", ""));
    let begun = Instant::now();
    // What a program leaves that has failed is killed at once.
    assert_eq!(sender.send("sms", "+61400000002", TEXT), not_sent("the program exited with status 1"));
    let pids = || program.wrote("with-output") + &program.wrote("without");
    assert!(are_gone(&pids()));
    assert_eq!(sender.send("sms", "+61412345678", TEXT), SENT);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let pids = pids();
    assert!(pids.lines().all(is_alive), "{pids}");
    assert_eq!(program.wrote("done"), "done\n");
    let gone = machine::wait(Duration::from_secs(12), || (!pids.lines().any(is_alive)).then_some(()));
    assert!(gone.is_some() && begun.elapsed() > Duration::from_secs(9), "{pids}");
}

#[test]
fn what_the_configuration_does_not_name_is_not_sent_and_the_answer_says_why() {
    let program = Program::shell("echo > $folder/was-started");
    let sender = Sender::start("");
    let table = program.table("sms", "");
    for (tables, kind, to, why) in [
        ("# nothing\n".to_owned(), "sms", "+61412345678", "the configuration names no program: [sms] has no send"),
        (
            "[sms]\nlimit = \"5/15m\"\n".into(),
            "sms",
            "+61412345678",
            "the configuration names no program: [sms] has no send",
        ),
        (table.clone(), "email", "a@b", "the configuration names no program: [email] has no send"),
        (table.clone(), "sms", "61412345678", "this is no number in E.164 and no address of mail"),
        (table.clone(), "sms", "--help", "this is no number in E.164 and no address of mail"),
        (table.clone(), "sms", "+61\n4", "this is no number in E.164 and no address of mail"),
        (program.table("email", ""), "email", "-oQ/tmp@b", "this is no number in E.164 and no address of mail"),
        (program.table("email", ""), "email", "a@b\nBcc: c@d", "this is no number in E.164 and no address of mail"),
        (
            format!("{table}hour = 0\n"),
            "sms",
            "+61412345678",
            "/etc/pam_otp/pam_otp.toml:3: sms.hour must be 1 to 1000000 messages",
        ),
        (
            "[sms]\nsend = [\"sms\"]\n".into(),
            "sms",
            "+61412345678",
            "/etc/pam_otp/pam_otp.toml:2: sms.send must be a list",
        ),
        (
            format!("enforce = 1\n{table}"),
            "sms",
            "+61412345678",
            "/etc/pam_otp/pam_otp.toml:1: enforce must be true or false",
        ),
        ("[sms".into(), "sms", "+61412345678", "/etc/pam_otp/pam_otp.toml:1: "),
        (String::new(), "sms", "+61412345678", "/etc/pam_otp/pam_otp.toml: is empty"),
    ] {
        sender.set(&tables);
        let answer = sender.send(kind, to, TEXT);
        let (begin, _) = not_sent(why).rsplit_once('"').map(|(begin, end)| (begin.to_owned(), end.len())).unwrap();
        assert!(answer.starts_with(&begin), "{tables}: {answer}");
    }
    // Not one message.
    sender.set(&table);
    let unreadable = not_sent("the message cannot be parsed: install agent and sender of the same version");
    for line in [
        "\n",
        "{}\n",
        "{\"kind\":\"sms\",\"to\":\"+1\"}\n",
        "{\"kind\":\"fax\",\"to\":\"+1\",\"text\":\"x\"}\n",
        "{\"kind\":\"sms\",\"to\":\"+1\",\"text\":\"x\",\"send\":[\"/bin/sh\"]}\n",
        "{\"kind\":\"sms\",\"to\":\"+1\",\"text\":\"x\"}{}\n",
    ] {
        assert_eq!(sender.ask(line), unreadable, "{line}");
    }
    assert_eq!(sender.ask(&("x".repeat(20_000) + "\n")), "");
    let begun = Instant::now();
    assert_eq!(sender.ask("{\"kind\":\"sms\","), "");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(!program.folder.join("was-started").exists());
    assert_eq!(sender.send("sms", "+61412345678", TEXT), SENT);
    assert!(program.folder.join("was-started").exists());
}

#[test]
fn only_root_may_send() {
    let (program, mallory) = (Program::shell("echo > $folder/was-started"), TestUser::new("mallory"));
    let sender = Sender::start(&program.table("sms", ""));
    let socket = sender.open_to_all().to_owned();
    let ask = |socket: &Path| {
        let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ntry:\n  \
            s.sendall(b'{\"kind\":\"sms\",\"to\":\"+61412345678\",\"text\":\"x\"}\\n')\nexcept BrokenPipeError:\n  pass # it has answered already\nprint(s.recv(4096).decode(), end='')";
        machine::run(mallory.command("python3").args(["-c", script]).arg(socket).stdin(Stdio::null()))
    };
    // The folder may be passed by all.
    assert_eq!(ask(&socket).trim_end(), not_sent("only root and otp-verifier may send messages"));
    assert!(!program.folder.join("was-started").exists());
}

#[test]
fn sixteen_messages_are_sent_at_a_time_and_more_are_refused() {
    let program = Program::shell("until [ -e $folder/go ]; do sleep 0.1; done");
    let sender = Sender::start(&program.table("sms", ""));
    let answers: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..20).map(|_| scope.spawn(|| sender.send("sms", "+61412345678", TEXT))).collect();
        let are_refused = || (all.iter().filter(|one| one.is_finished()).count() == 4).then_some(());
        machine::wait(Duration::from_secs(5), are_refused).unwrap();
        machine::run(Command::new("touch").arg(program.folder.join("go")));
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let refused = not_sent("too many messages at a time");
    let count = |wanted: &str| answers.iter().filter(|answer| *answer == wanted).count();
    assert_eq!((count(SENT), count(&refused)), (16, 4), "{answers:?}");
    assert_eq!(sender.send("sms", "+61412345678", TEXT), SENT);
}

#[test]
fn an_idle_sender_ends_and_the_next_one_sends_by_the_same_socket() {
    let program = Program::shell(":");
    let mut sender = Sender::start(&program.table("sms", ""));
    assert!(sender.ended_within(Duration::from_secs(15)).unwrap().success());
    sender.restart();
    assert_eq!(sender.send("sms", "+61412345678", TEXT), SENT);
}

/// Debian's package with its libraries, put into the machine without its units and without a word to dpkg.
fn put_in_place(package: &str) {
    let put =
        "tar -C \"$0\" --exclude=./etc --exclude=./lib/systemd -c . | tar -C / -x --keep-directory-symlink && ldconfig";
    machine::run(Command::new("sh").args(["-ec", put]).arg(machine::unpacked(package)));
}

/// A program of `config/examples/senders`, as an administrator copies it.
fn example(name: &str) -> PathBuf {
    let folder = PathBuf::from("/run/pam-otp-senders").join(machine::unique("examples"));
    let program = folder.join(name);
    let source = machine::source("config/examples/senders").join(name);
    machine::run(Command::new("install").args(["-D", "-m", "0755"]).arg(source).arg(&program));
    program
}

/// A daemon that is gone with this.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn gammu_smsd_sends_what_the_example_gives_it() {
    put_in_place("gammu-smsd");
    let program = example("gammu");
    let spool = tempfile::tempdir().unwrap();
    let folder = |name: &str| format!("{}/{name}/", spool.path().display());
    users::ensure_system_user(USER);
    fs::set_permissions(spool.path(), Permissions::from_mode(0o755)).unwrap();
    for name in ["phone", "inbox", "outbox", "sent", "error"] {
        machine::run(Command::new("install").args(["-d", "-m", "0770", "-g", USER]).arg(folder(name)));
    }
    // A phone that gammu has for tests: it takes messages and sends none.
    let config = format!(
        "[gammu]\ndevice = {}\nconnection = none\nmodel = dummy\n[smsd]\nservice = files\nlogfile = {}log\n\
         inboxpath = {}\noutboxpath = {}\nsentsmspath = {}\nerrorsmspath = {}\ncommtimeout = 1\nloopsleep = 1\nchecksecurity = 0\n",
        folder("phone"),
        folder("phone"),
        folder("inbox"),
        folder("outbox"),
        folder("sent"),
        folder("error"),
    );
    fs::write("/etc/gammu-smsdrc", config).unwrap();
    let sender = Sender::start(&format!("[sms]\nsend = [\"{}\"]\n", program.display()));
    let mark = syslog::mark();
    assert_eq!(sender.send("sms", "+61412345678", TEXT), SENT, "{:#?}", log_of(&sender, mark));
    assert!(log_of(&sender, mark).iter().all(|line| !line.contains("2093")), "{:#?}", log_of(&sender, mark));
    let all = |name: &str| -> Vec<String> {
        let files = fs::read_dir(folder(name)).unwrap().map(|file| file.unwrap().path());
        files.map(|file| fs::read_to_string(file).unwrap_or_default()).collect()
    };
    assert_eq!(all("outbox").len(), 1);
    let mut smsd = Command::new("gammu-smsd");
    let smsd = smsd.args(["--config", "/etc/gammu-smsdrc"]).stdin(Stdio::null()).stdout(Stdio::null());
    let _smsd = Daemon(smsd.spawn().unwrap());
    let is_sent = || (all("sent").len() == 1 && all("outbox").is_empty()).then(|| all("sent").remove(0));
    let sent = machine::wait(Duration::from_secs(10), is_sent).unwrap();
    assert!(
        sent.contains("Number = \"+61412345678\"")
            && sent.contains("; 481 2093 is your code for host (ssh from 203.0.113.9)"),
        "{sent}"
    );
}

#[test]
fn a_mail_server_delivers_what_the_example_gives_it_into_the_mailbox() {
    put_in_place("opensmtpd");
    for user in ["opensmtpd", "opensmtpq"] {
        users::ensure_system_user(user);
    }
    fs::create_dir_all("/var/lib/opensmtpd/empty").unwrap();
    let (alice, program) = (TestUser::new("alice"), example("smtp"));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = "/run/pam-otp-senders/smtpd.conf";
    fs::write(
        config,
        format!("listen on 127.0.0.1 port {port}\naction \"local\" maildir \"/home/%{{user.username}}/Maildir\"\nmatch for any action \"local\"\n"),
    )
    .unwrap();
    let mut smtpd = Command::new("smtpd");
    let smtpd = smtpd.args(["-d", "-f", config]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _smtpd = Daemon(smtpd.spawn().unwrap());
    machine::wait(Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok()).unwrap();
    let send = format!("\"{}\", \"smtp://127.0.0.1:{port}\", \"root@example.org\"", program.display());
    let sender = Sender::start(&format!("[email]\nsend = [{send}]\n"));
    let to = format!("{}@localhost", alice.name);
    let message = format!("From: root@example.org\nTo: {to}\nSubject: A code\n\n{TEXT}\n.\nzoë\n");
    let mark = syslog::mark();
    assert_eq!(sender.send("email", &to, &message), SENT, "{:#?}", log_of(&sender, mark));
    let new = alice.home.join("Maildir/new");
    let delivered = || fs::read_dir(&new).ok()?.next()?.ok().map(|file| fs::read_to_string(file.path()).unwrap());
    let mail = machine::wait(Duration::from_secs(10), delivered).unwrap();
    let (head, body) = mail.split_once("\n\n").unwrap();
    assert!(head.contains("Subject: A code") && head.contains(&format!("Delivered-To: {to}")), "{mail}");
    assert_eq!(body, format!("{TEXT}\n.\nzoë\n"));
    // A server that refuses: the answer has the status of curl, and the log its words.
    let mark = syslog::mark();
    let refused = sender.send("email", "nobody-of-that-name@localhost", &message);
    assert!(refused.starts_with("{\"not_sent\":\"the program exited with status "), "{refused}");
    assert!(log_of(&sender, mark).iter().any(|line| line.contains("RCPT failed: 550")), "{:#?}", log_of(&sender, mark));
}

#[test]
fn a_gateway_gets_number_text_and_key_from_the_example() {
    let (program, keys) = (example("http-gateway"), tempfile::tempdir().unwrap());
    fs::set_permissions(keys.path(), Permissions::from_mode(0o755)).unwrap();
    fs::write(keys.path().join("gateway-key"), "Authorization: Bearer of-the-test\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/messages", listener.local_addr().unwrap());
    let sender = Sender::with(
        &format!("[sms]\nsend = [\"{}\", \"{url}\"]\n", program.display()),
        &[("CREDENTIALS_DIRECTORY", keys.path().to_str().unwrap())],
    );
    for (reply, answer) in
        [("201 Created", SENT.to_owned()), ("401 Unauthorized", not_sent("the program exited with status 22"))]
    {
        let asked = thread::scope(|scope| {
            let gateway = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = String::new();
                let mut piece = [0; 4096];
                while !request.contains("password") {
                    let read = stream.read(&mut piece).unwrap();
                    request += std::str::from_utf8(&piece[..read]).unwrap();
                }
                write!(stream, "HTTP/1.1 {reply}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
                request
            });
            assert_eq!(sender.send("sms", "+61412345678", TEXT), answer);
            gateway.join().unwrap()
        });
        assert!(asked.starts_with("POST /messages HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nAuthorization: Bearer of-the-test\r\n"), "{asked}");
        // Versions of curl write a blank in one or the other way.
        let form = asked.replace("%20", "+");
        assert!(form.contains("to=%2B61412345678&text=481+2093+is+your+code"), "{asked}");
    }
}
