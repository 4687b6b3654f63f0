//! `pamtalk`: a PAM application that says on standard output what the modules say, and answers from standard input.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a transcript on standard output is what it is for")]
#![expect(clippy::disallowed_methods, reason = "how long a host waits for its modules is measured in real time")]

use pam_otp_tests::pam::{Call, Code, Host, Item, Transaction, heap_in_use, open_log, sigpipe_ends_this_process};
use std::{
    collections::VecDeque,
    io::{self, BufRead, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

const USAGE: &str = "\
usage: pamtalk [OPTION]… SERVICE USER          (USER - : let the module ask for the name)
  --confdir DIR          service files from DIR instead of /etc/pam.d
  --rhost H --tty T
  --putenv NAME=VALUE    set in the PAM environment before the first call
  --getenv NAME          print it after each call
  --call CALL,…          authenticate (default) acct_mgmt setcred delete_cred chauthtok chauthtok_expired open_session
                         close_session, or login: authenticate, acct_mgmt, chauthtok_expired where that wants it,
                         setcred, up to the first failure, as sshd and login do
  --stop                 no call after one that failed
  --silent               PAM_SILENT with every call
  --locale               take the locale of the environment, as login and su do
  --set-faildelay-off    print `delay MICROSECONDS` after a failure instead of sleeping
  --become NAME          PAM_USER is NAME from the first prompt on, as a faulty or hostile application has it
  --wait-file F          after printing the first prompt and before answering, wait until F exists
  --repeat N             N transactions in this process; answers are read first and used cyclically
  --serve                transactions in this process for as long as standard input lasts: each takes a line with the
                         name of its user, and then a line for each prompt (Ctrl-D alone: PAM_CONV_ERR); after each,
                         `measured NANOSECONDS BYTES`: from the last answer to the end of the calls, and in the heap
Each message is printed as one line: prompt-off \"…\", prompt-on \"…\", info \"…\", error \"…\"; each call as
authenticate -> PAM_SUCCESS. Each prompt takes one line of standard input; at its end, PAM_CONV_ERR.
Exit code: 0 when the last call succeeded, 1 when not, 2 for usage.";

fn main() -> ExitCode {
    sigpipe_ends_this_process();
    open_log(c"pamtalk");
    let Some(order) = Order::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let answers = Arc::new(Mutex::new(Answers::new(order.repeat > 1)));
    let mut last = Code::SUCCESS;
    if order.serve {
        while let Some(user) = line() {
            last = order.serve(&String::from_utf8_lossy(&user), &answers);
        }
    } else {
        for _ in 0..order.repeat {
            last = order.transact(order.user.as_deref(), &answers);
        }
    }
    if last == Code::SUCCESS { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Order {
    service: String,
    user: Option<String>,
    confdir: Option<PathBuf>,
    items: Vec<(Item, String)>,
    putenv: Vec<String>,
    getenv: Vec<String>,
    calls: Calls,
    stop: bool,
    silent: bool,
    delays: bool,
    becomes: Option<String>,
    wait_file: Option<PathBuf>,
    repeat: u64,
    serve: bool,
}

enum Calls {
    Login,
    These(Vec<Call>),
}

impl Order {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Order> {
        let mut order = Order {
            service: String::new(),
            user: None,
            confdir: None,
            items: Vec::new(),
            putenv: Vec::new(),
            getenv: Vec::new(),
            calls: Calls::These(vec![Call::Authenticate]),
            stop: false,
            silent: false,
            delays: false,
            becomes: None,
            wait_file: None,
            repeat: 1,
            serve: false,
        };
        loop {
            let arg = args.next()?;
            match arg.as_str() {
                "--confdir" => order.confdir = Some(args.next()?.into()),
                "--rhost" => order.items.push((Item::Rhost, args.next()?)),
                "--tty" => order.items.push((Item::Tty, args.next()?)),
                "--putenv" => order.putenv.push(args.next()?),
                "--getenv" => order.getenv.push(args.next()?),
                "--call" => order.calls = Calls::parse(&args.next()?)?,
                "--stop" => order.stop = true,
                "--silent" => order.silent = true,
                "--set-faildelay-off" => order.delays = true,
                "--become" => order.becomes = Some(args.next()?),
                "--wait-file" => order.wait_file = Some(args.next()?.into()),
                "--serve" => order.serve = true,
                "--locale" => drop(otp_locale::Locale::from_environment()),
                "--repeat" => order.repeat = args.next()?.parse().ok()?,
                option if option.starts_with("--") => return None,
                _ => {
                    order.service = arg;
                    order.user = Some(args.next()?).filter(|user| user != "-");
                    return args.next().is_none().then_some(order);
                }
            }
        }
    }

    fn serve(&self, user: &str, answers: &Arc<Mutex<Answers>>) -> Code {
        let code = self.transact(Some(user), answers);
        let answered = answers.lock().unwrap_or_else(PoisonError::into_inner).last;
        println!("measured {} {}", answered.elapsed().as_nanos(), heap_in_use());
        code
    }

    fn transact(&self, user: Option<&str>, answers: &Arc<Mutex<Answers>>) -> Code {
        let host =
            Terminal { answers: Arc::clone(answers), becomes: self.becomes.clone(), wait_file: self.wait_file.clone() };
        let started = Transaction::start(&self.service, user, self.confdir.as_deref(), Box::new(host));
        let mut transaction = match started {
            Ok(transaction) => transaction,
            Err(code) => {
                println!("start -> {code}");
                return code;
            }
        };
        for (item, value) in &self.items {
            transaction.set(*item, value);
        }
        for assignment in &self.putenv {
            transaction.putenv(assignment);
        }
        if self.silent {
            transaction.silence();
        }
        if self.delays {
            transaction.take_over_delays();
        }
        match &self.calls {
            Calls::Login => self.login(&mut transaction),
            Calls::These(calls) => {
                let mut last = Code::SUCCESS;
                for call in calls {
                    last = self.call(&mut transaction, *call);
                    if self.stop && last != Code::SUCCESS {
                        break;
                    }
                }
                last
            }
        }
    }

    fn login(&self, transaction: &mut Transaction) -> Code {
        let mut code = self.call(transaction, Call::Authenticate);
        if code == Code::SUCCESS {
            code = self.call(transaction, Call::AcctMgmt);
        }
        if code == Code::NEW_AUTHTOK_REQD {
            code = self.call(transaction, Call::ChExpiredAuthTok);
        }
        if code == Code::SUCCESS {
            code = self.call(transaction, Call::SetCred);
        }
        println!("login -> {code}");
        code
    }

    fn call(&self, transaction: &mut Transaction, call: Call) -> Code {
        let code = transaction.call(call);
        println!("{} -> {code}", call.name());
        for name in &self.getenv {
            match transaction.getenv(name) {
                Some(value) => println!("env {:?}", format!("{name}={value}")),
                None => println!("env {name:?}"),
            }
        }
        code
    }
}

impl Calls {
    fn parse(list: &str) -> Option<Calls> {
        if list == "login" {
            return Some(Calls::Login);
        }
        list.split(',').map(Call::named).collect::<Option<_>>().map(Calls::These)
    }
}

/// Standard input, a line an answer.
struct Answers {
    /// All of it, used cyclically; otherwise it is read as it comes.
    cycle: Option<VecDeque<Vec<u8>>>,
    /// When the last one was given.
    last: Instant,
}

impl Answers {
    fn new(cyclic: bool) -> Answers {
        let mut answers = Answers { cycle: None, last: Instant::now() };
        if cyclic {
            answers.cycle = Some(std::iter::from_fn(line).collect());
        }
        answers
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let answer = match &mut self.cycle {
            None => line(),
            Some(lines) => {
                lines.rotate_left(usize::from(!lines.is_empty()));
                lines.back().cloned()
            }
        };
        self.last = Instant::now();
        answer.filter(|answer| answer != b"\x04")
    }
}

fn line() -> Option<Vec<u8>> {
    let mut line = Vec::new();
    io::stdin().lock().read_until(b'\n', &mut line).ok().filter(|read| *read > 0)?;
    line.pop_if(|last| *last == b'\n');
    Some(line)
}

struct Terminal {
    answers: Arc<Mutex<Answers>>,
    becomes: Option<String>,
    wait_file: Option<PathBuf>,
}

impl Host for Terminal {
    fn prompt(&mut self, echo: bool, text: &str) -> Option<Vec<u8>> {
        say(if echo { "prompt-on" } else { "prompt-off" }, text);
        if let Some(file) = self.wait_file.take() {
            while !file.exists() {
                thread::sleep(Duration::from_micros(200));
            }
        }
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    fn tell(&mut self, error: bool, text: &str) {
        say(if error { "error" } else { "info" }, text);
    }

    fn impersonate(&mut self) -> Option<String> {
        self.becomes.clone()
    }

    fn delay(&mut self, microseconds: u32) {
        if microseconds > 0 {
            println!("delay {microseconds}");
        }
    }
}

/// `Debug` of a `str` escapes quotes and control characters: one message, one line.
fn say(kind: &str, text: &str) {
    println!("{kind} {text:?}");
    let _ = io::stdout().flush();
}
