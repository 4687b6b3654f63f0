//! The servers of sshd that run here and ask this machine's PAM, and how each was started: options of its command line come
//! before its configuration, which may be another file.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::sshd::{SERVICE, Settings};
use super::sshd_files::{self, CONFIGURATION};
use super::units;

/// Its names in systemd: Debian's, and that of others.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];

/// Where a server writes its number unless its configuration names another file.
const PID_FILE: &str = "/run/sshd.pid";

/// Files with the options that a unit or a script starts it with, of Debian and of Fedora.
const DEFAULTS: [&str; 2] = ["/etc/default/ssh", "/etc/sysconfig/sshd"];
const VARIABLES: [&str; 2] = ["SSHD_OPTS=", "OPTIONS="];

/// Where inetd is told what to start for each connection.
const INETD: &str = "/etc/inetd.conf";

/// Letters of its command line that an argument follows.
const WITH_ARGUMENT: &str = "CEbcfghkopu";
/// Letters without one.
const ALONE: &str = "46DGQRTdeiqrtV";

/// Ticks of a second in /proc, on every Linux.
const TICKS: u64 = 100;

/// A server that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) pid: i32,
    /// The file of its configuration.
    pub(crate) configuration: PathBuf,
    /// Options that come before it: `PasswordAuthentication=yes`.
    pub(crate) options: Vec<String>,
    /// The unit that it runs in.
    pub(crate) unit: Option<&'static str>,
    /// What starts it, if it does not run yet.
    starter: Option<String>,
}

/// Servers whose command line cannot be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Untold {
    /// The server, for people.
    who: String,
    command_line: String,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is started in a way that is not known here ({})", self.who, self.command_line)
    }
}

/// What a process has open, and where it was begun: another after it has read its configuration again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    sockets: BTreeSet<String>,
    stack: Option<String>,
    written: Option<(u64, i64, i64)>,
}

/// All servers that use this /etc/pam.d; those in containers use another.
pub(crate) fn all() -> Result<Vec<Server>, Untold> {
    let mut servers = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if is_sshd(pid) && uses_our_files(pid) && !listening(pid).is_empty() {
            servers.extend(server(pid)?);
        }
    }
    servers.sort_by_key(|server| server.pid);
    Ok(servers)
}

/// The servers that will be started, where a file says how: with options of the file for the unit, by units of their own, and
/// by inetd for each login. They have no process number.
pub(crate) fn to_come() -> Result<Vec<Server>, Untold> {
    let defaults = DEFAULTS.into_iter().filter_map(|file| {
        let line = options_of_unit(&fs::read_to_string(file).ok()?)?;
        Some(server_to_come(file.to_owned(), &line))
    });
    let units = units::all();
    let commands =
        units.iter().flat_map(|unit| unit.values("ExecStart").into_iter().map(|line| (unit.name.clone(), line)));
    let units = commands.filter_map(|(name, line)| Some(server_to_come(name, &command_of_unit(line)?)));
    let inetd = fs::read_to_string(INETD).unwrap_or_default();
    let inetd = inetd.lines().filter_map(|line| Some(server_to_come(INETD.to_owned(), &command_of_inetd(line)?)));
    defaults.chain(units).chain(inetd).collect()
}

/// The options that a file sets for a unit.
fn options_of_unit(text: &str) -> Option<String> {
    let value = |line: &str| VARIABLES.iter().find_map(|name| line.trim().strip_prefix(name)).map(str::to_owned);
    let line = text.lines().filter_map(value).next_back()?;
    Some(line.trim().trim_matches(['"', '\'']).to_owned())
}

/// What follows the program in a line of a unit that starts sshd; variables of other files are left out.
fn command_of_unit(line: &str) -> Option<String> {
    let mut words = line.trim_start_matches(['-', '@', ':', '+', '!', '|']).split_whitespace();
    Path::new(words.next()?).file_name().filter(|name| *name == SERVICE)?;
    Some(
        words
            .filter(|word| {
                !VARIABLES.iter().any(|name| word.trim_matches(['$', '{', '}']) == name.trim_end_matches('='))
            })
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// The same of a line of inetd.conf(5), which names the program twice.
fn command_of_inetd(line: &str) -> Option<String> {
    let mut words = line.split('#').next()?.split_whitespace();
    let is_sshd = |word: &str| word.starts_with('/') && Path::new(word).file_name().is_some_and(|name| name == SERVICE);
    words.find(|word| is_sshd(word))?;
    Some(words.skip(1).collect::<Vec<_>>().join(" "))
}

fn server_to_come(starter: String, line: &str) -> Result<Server, Untold> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let told = options(&words).filter(|_| !line.contains(['"', '\'', '\\', '$', '#']));
    let (configuration, options) =
        told.ok_or_else(|| Untold { who: named(0, Some(&starter)), command_line: line.to_owned() })?;
    let configuration = configuration.unwrap_or_else(|| CONFIGURATION.into());
    Ok(Server { pid: 0, configuration, options, unit: None, starter: Some(starter) })
}

fn path(pid: i32, name: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(name)
}

/// A process of root that runs sshd's program. One that was replaced by an update is told with ` (deleted)` after it.
fn is_sshd(pid: i32) -> bool {
    let program = fs::read_link(path(pid, "exe")).unwrap_or_default();
    let is_it = program.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("sshd"));
    is_it && fs::metadata(path(pid, "")).is_ok_and(|about| about.uid() == 0)
}

fn uses_our_files(pid: i32) -> bool {
    let same = |one: fs::Metadata, other: fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    let theirs = fs::metadata(path(pid, "root/etc/pam.d"));
    theirs.is_ok_and(|theirs| fs::metadata("/etc/pam.d").is_ok_and(|ours| same(theirs, ours)))
}

/// Its sockets that wait for connections, by number.
fn listening(pid: i32) -> BTreeSet<String> {
    let tables = ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(path(pid, table)).unwrap_or_default());
    let listen = |line: &str| {
        let mut columns = line.split_whitespace();
        (columns.nth(3) == Some("0A")).then(|| columns.nth(5).map(str::to_owned)).flatten()
    };
    let all: BTreeSet<String> = tables.iter().flat_map(|table| table.lines()).filter_map(listen).collect();
    let open = fs::read_dir(path(pid, "fd")).into_iter().flatten().flatten();
    let targets = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .filter(|number| all.contains(number))
        .collect()
}

/// `None` for a session that forwards a port, and for a program whose PAM service is another.
fn server(pid: i32) -> Result<Option<Server>, Untold> {
    let line = fs::read(path(pid, "cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&line).trim_end_matches('\0').to_owned();
    let untold = || Untold { who: named(pid, None), command_line: text.replace('\0', " ") };
    // `sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups`; older ones leave what they were started with.
    let words: Vec<String> = match text.split_once(": /") {
        Some((_, title)) => {
            let (command, _) = title.split_once(" [listener]").ok_or_else(untold)?;
            format!("/{command}").split_whitespace().map(str::to_owned).collect()
        }
        None if text.starts_with('/') => text.split('\0').map(str::to_owned).collect(),
        None => return Ok(None),
    };
    let (program, words) = words.split_first().ok_or_else(untold)?;
    if Path::new(program).file_name().is_none_or(|name| name != SERVICE) {
        return Ok(None);
    }
    let (configuration, options) = options(words).ok_or_else(untold)?;
    let group = fs::read_to_string(path(pid, "cgroup")).unwrap_or_default();
    let unit = UNITS.into_iter().find(|unit| group.lines().any(|line| line.ends_with(&format!("/{unit}"))));
    let configuration = configuration.unwrap_or_else(|| CONFIGURATION.into());
    // Another build has other defaults, and perhaps another configuration.
    let program = fs::read_link(path(pid, "exe")).ok();
    let program = program.as_deref().and_then(Path::to_str).map(|path| path.trim_end_matches(" (deleted)").to_owned());
    let usual = sshd_files::program().ok().and_then(|path| path.canonicalize().ok());
    if program.as_deref().map(Path::new).zip(usual.as_deref()).is_some_and(|(one, other)| !is_same_server(one, other)) {
        return Err(untold());
    }
    Ok(Some(Server { pid, configuration, options, unit, starter: None }))
}

/// The file and the options of a command line, as getopt(3) reads it; `None` if that cannot be told.
fn options(words: &[String]) -> Option<(Option<PathBuf>, Vec<String>)> {
    let (mut file, mut options) = (None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?;
        while let Some(letter) = letters.chars().next() {
            letters = letters.get(letter.len_utf8()..)?;
            if WITH_ARGUMENT.contains(letter) {
                let argument = if letters.is_empty() { words.next()?.as_str() } else { letters };
                match letter {
                    'f' => {
                        file = Some(PathBuf::from(argument).canonicalize().ok().filter(|_| argument.starts_with('/'))?);
                    }
                    'o' => options.push(argument.to_owned()),
                    _ => {}
                }
                break;
            } else if !ALONE.contains(letter) {
                return None;
            }
        }
    }
    Some((file, options))
}

impl Server {
    /// Whether it reads this machine's usual configuration.
    pub(crate) fn is_usual(&self) -> bool {
        let usual = Path::new(CONFIGURATION);
        self.configuration == usual || usual.canonicalize().is_ok_and(|usual| usual == self.configuration)
    }

    /// Whether its process has ended.
    pub(crate) fn is_gone(&self) -> bool {
        !path(self.pid, "").exists()
    }

    /// How it was started, for people.
    pub(crate) fn told(&self) -> String {
        named(self.pid, self.starter.as_deref())
    }

    /// What of its command line comes before its usual configuration.
    pub(crate) fn started_with(&self) -> String {
        let file = (!self.is_usual()).then(|| format!("-f {}", self.configuration.display()));
        let options = self.options.iter().map(|option| format!("-o {option}"));
        file.into_iter().chain(options).collect::<Vec<_>>().join(" ")
    }

    /// The file that has its number, if it writes one; it does so whenever it has read its configuration.
    fn pid_file(&self, settings: &Settings) -> Option<fs::Metadata> {
        let file = settings.get("pidfile").map_or(PID_FILE, String::as_str);
        let is_it = fs::read_to_string(file).is_ok_and(|text| text.trim() == self.pid.to_string());
        if is_it { fs::metadata(file).ok() } else { None }
    }

    /// When it has read its configuration for the last time, if it notes that by writing its number.
    pub(crate) fn read_at(&self, settings: &Settings) -> Option<SystemTime> {
        self.pid_file(settings)?.modified().ok()
    }

    /// When it began.
    pub(crate) fn began_at(&self) -> Option<SystemTime> {
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
        let ticks: u64 = stat(self.pid, 19)?.parse().ok()?;
        let since_boot = Duration::from_secs(boot.saturating_add(ticks.checked_div(TICKS)?));
        SystemTime::UNIX_EPOCH.checked_add(since_boot)
    }

    /// What changes when it reads its configuration again: it is a new program in the same process, and listens again.
    pub(crate) fn mark(&self, settings: &Settings) -> Mark {
        let about = self.pid_file(settings);
        Mark {
            sockets: listening(self.pid),
            stack: stat(self.pid, 25),
            written: about.map(|about| (about.ino(), about.mtime(), about.mtime_nsec())),
        }
    }
}

impl Mark {
    /// Whether all that it shows of has changed since, and the server listens.
    pub(crate) fn has_read_since(&self, before: &Self) -> bool {
        let is_new = match (self.written, before.written) {
            (now, Some(then)) => now.is_some_and(|now| now != then),
            (_, None) => self.sockets != before.sockets || self.stack != before.stack,
        };
        is_new && !self.sockets.is_empty()
    }
}

fn named(pid: i32, starter: Option<&str>) -> String {
    starter.map_or_else(
        || format!("the sshd with the process number {pid}"),
        |starter| format!("the sshd that {starter} starts"),
    )
}

/// Whether two programs are of one installation: newer servers have a program of their own for sessions.
fn is_same_server(one: &Path, other: &Path) -> bool {
    one == other || one.file_name() != other.file_name()
}

/// A field of its line in /proc, counted after the name, which is between brackets and may hold anything.
fn stat(pid: i32, field: usize) -> Option<String> {
    let text = fs::read_to_string(path(pid, "stat")).ok()?;
    text.rsplit_once(") ")?.1.split(' ').nth(field).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<(Option<PathBuf>, Vec<String>)> {
        options(&line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_command_line_is_read_as_sshd_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("config");
        fs::write(&file, "").unwrap();
        let named = file.display();
        assert_eq!(told("-D"), Some((None, Vec::new())));
        assert_eq!(told(&format!("-De -f {named}")), Some((Some(file.clone()), Vec::new())));
        let options = vec!["PasswordAuthentication=yes".to_owned(), "UsePAM=no".to_owned()];
        let all = format!("-oPasswordAuthentication=yes -Df{named} -p 22 -o UsePAM=no");
        assert_eq!(told(&all), Some((Some(file), options)));
    }

    #[test]
    fn the_options_of_the_next_start_are_read() {
        let told = |text: &str| {
            let server = options_of_unit(text).map(|line| server_to_come("x".into(), &line)).transpose();
            server.map(|server| server.map(|server| server.options))
        };
        assert_eq!(told("# Options\nSSHD_OPTS=\n"), Ok(Some(Vec::new())));
        assert_eq!(told("#SSHD_OPTS=-oUsePAM=no\n"), Ok(None));
        let all = Ok(Some(vec!["UsePAM=no".to_owned()]));
        assert_eq!(told("SSHD_OPTS=\nSSHD_OPTS=\"-D -o UsePAM=no\"\n"), all);
        assert_eq!(told("OPTIONS=-oUsePAM=no"), all);
        for text in ["SSHD_OPTS=\"-o 'UsePAM no'\"", "OPTIONS=$MORE", "OPTIONS=-u0 x"] {
            assert!(told(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_units_and_inetd_start_is_found() {
        for (line, expected) in [
            ("/usr/sbin/sshd -D $SSHD_OPTS", Some("-D")),
            ("-/usr/sbin/sshd -i ${OPTIONS} -o UsePAM=no", Some("-i -o UsePAM=no")),
            ("/usr/sbin/sshd -t -f $FILE", Some("-t -f $FILE")),
            ("/usr/sbin/cron -f", None),
        ] {
            assert_eq!(command_of_unit(line).as_deref(), expected, "{line}");
        }
        for (line, expected) in [
            ("ssh stream tcp nowait root /usr/sbin/sshd sshd -i -f /etc/ssh/other", Some("-i -f /etc/ssh/other")),
            ("#ssh stream tcp nowait root /usr/sbin/sshd sshd -i", None),
            ("finger stream tcp nowait nobody /usr/sbin/fingerd fingerd", None),
        ] {
            assert_eq!(command_of_inetd(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        for line in ["-o PasswordAuthentication yes", "-D x", "-f", "-o", "-z", "-f relative", "-f /no/such/file", "-"]
        {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
