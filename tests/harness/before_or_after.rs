//! What a program may leave behind when it is killed, when one of its calls fails and when the power is cut: the record
//! before or the record after, never neither and never a mixture; no code that works twice; nothing that blocks the next,
//! nothing that hangs, no secret where none belongs.

use crate::{
    app::{App, Enrolled},
    injection::{BOUND, Injection, Point, Traced, points},
    machine,
    outcome::{Dialogue, Outcome},
    pam::{Call, Host, Transaction},
    power_cut::Moment,
    service::Service,
    site::Site,
    syslog,
    users::TestUser,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
    process::Command,
    time::Instant,
};

/// Files by name, with their content.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Something a program does to a user's record.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The program, and that it is the user who runs it.
    pub program: fn(&Scene) -> (Command, bool),
    /// Text in the trace of the first call that is its own and not the loader's.
    pub begins: fn(&Scene) -> String,
    /// How the user stands before.
    pub before: fn() -> Scene,
    /// Says what there is to say, and hears.
    pub talk: fn(&Scene, Dialogue) -> Told,
    /// Tries what is in force afterwards. An error is something between before and after.
    pub found: fn(&Scene, &Told) -> Result<Standing, String>,
}

/// Which record is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The one there was, with everything it had spent.
    Before,
    /// The one that the operation makes.
    After,
}

/// What a program said.
#[derive(Clone, Debug)]
pub struct Told {
    /// That it is done, and lasting.
    pub done: bool,
    /// That it is not, and that nothing was changed.
    pub failed: bool,
    /// That a new device was offered, which is to say that the proof was taken.
    pub offered: bool,
    /// The device that was offered, with the recovery codes where they came to be shown.
    pub new: Option<Enrolled>,
    /// The code that it was given.
    pub given: Option<String>,
    /// A helper's last answer.
    pub said: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// A user, before and after.
#[derive(Debug)]
pub struct Scene {
    /// Whose record.
    pub user: TestUser,
    /// Where.
    pub site: Site,
    /// The module alone.
    pub service: Service,
    /// What the user has before; nothing, where enrollment is what is tried.
    pub set_up: Option<Enrolled>,
    before: Files,
}

impl Scene {
    /// At a site of their own, where root does it.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn of_root(config: &str, enrolled: bool) -> Scene {
        Scene::at(Site::new(config), enrolled)
    }

    /// At the machine's site, where a user's helper does it.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn of_user(enrolled: bool) -> Scene {
        Scene::at(Site::of_the_machine(), enrolled)
    }

    /// At this site.
    ///
    /// # Panics
    /// Outside the machine.
    pub fn at(site: Site, enrolled: bool) -> Scene {
        let user = TestUser::new("alice");
        let service = Service::private(&site.auth("required", ""));
        let mut scene = Scene { user, site, service, set_up: None, before: Files::new() };
        if enrolled {
            scene.set_up = Some(Enrolled::by(scene.enroll().arg("--json")));
        }
        scene.keep();
        scene
    }

    /// What there is now is how it is before.
    pub fn keep(&mut self) {
        self.before = self.files();
    }

    /// `otp-enroll` of root about this user.
    pub fn enroll(&self) -> Command {
        self.site.own_command(&self.user.name)
    }

    /// `otp-enroll admin` about this user.
    pub fn admin(&self, words: &[&str]) -> Command {
        let mut command = self.site.admin_command();
        command.args(words).arg(&self.user.name);
        command
    }

    /// The device and the codes there were before.
    ///
    /// # Panics
    /// Where there were none.
    pub fn old(&self) -> &Enrolled {
        self.set_up.as_ref().unwrap()
    }

    /// The user's files, with the entry in the index by number.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn files(&self) -> Files {
        let (own, index) = (self.user.name.clone() + ".", self.index());
        let names = fs::read_dir(self.site.state()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names
            .filter_map(|name| name.into_string().ok())
            .filter(|name| name.starts_with(&own) || name.starts_with(&index));
        names.map(|name| (name.clone(), fs::read(self.site.state().join(&name)).unwrap())).collect()
    }

    /// The name of the file that names the user's record by number.
    fn index(&self) -> String {
        format!(".uid-{}", self.user.uid)
    }

    /// These files and no others, for the user.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn put(&self, files: &Files) {
        for name in self.files().keys() {
            fs::remove_file(self.site.state().join(name)).unwrap();
        }
        let mut inode = None;
        // The state comes first: other files are named after its inode number, which a disk keeps.
        for (name, content) in files.iter().rev() {
            let path = self.site.state().join(inode.map_or_else(|| name.clone(), |inode| after(name, inode)));
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(self.user.uid), Some(self.user.gid)).unwrap();
            if name.ends_with(".state") {
                inode = Some(fs::metadata(&path).unwrap().ino());
            }
        }
    }

    /// As it was before.
    pub fn put_back(&self) {
        self.put(&self.before);
    }

    /// How it was before.
    pub fn before(&self) -> &Files {
        &self.before
    }

    /// Where strace may write.
    pub fn trace_file(&self) -> PathBuf {
        self.service.path().with_file_name("trace")
    }

    /// A login with this code, in this process. Whatever came before it, it is decided.
    ///
    /// # Errors
    /// When it is neither let in nor refused as wrong.
    pub fn accepts(&self, code: &str) -> Result<bool, String> {
        let user = Some(self.user.name.as_str());
        let host = Box::new(Typist(code.to_owned()));
        let mut login = Transaction::start(self.service.name(), user, self.service.confdir(), host).unwrap();
        login.take_over_delays();
        match login.call(Call::Authenticate).to_string().as_str() {
            "PAM_SUCCESS" => Ok(true),
            "PAM_AUTH_ERR" => Ok(false),
            other => Err(format!("a login afterwards ends in {other}: {:?}", self.files().keys())),
        }
    }

    /// Whether there is anything in force.
    pub fn is_enrolled(&self) -> bool {
        let record = fs::read_to_string(self.site.credentials(&self.user.name));
        record.is_ok_and(|record| !record.contains("\ndevices = 0\n"))
    }

    /// The names of the user's files; an entry in the index that is left behind does no harm.
    fn names(&self) -> Vec<String> {
        self.files().into_keys().filter(|name| *name != self.index()).collect()
    }

    /// That nothing is left behind for ever: where there is more than a whole record or none, one more enrollment must
    /// be possible and take it away.
    ///
    /// # Errors
    /// What stays.
    pub fn is_tidy(&self, in_force: Option<&Enrolled>) -> Result<(), String> {
        let user = &self.user.name;
        let whole: Vec<String> = ["state", "toml"].iter().map(|kind| format!("{user}.{kind}")).collect();
        let names = self.names();
        if names.is_empty() || names == whole {
            return Ok(());
        }
        let by_root = self.site.config() != Site::of_the_machine().config();
        let mut again = if by_root { self.enroll() } else { self.user.command("otp-enroll") };
        if in_force.is_some() {
            again.arg("reset");
        }
        let mut talk = Dialogue::start(again.arg("--json"));
        if let Some(set_up) = in_force {
            talk.say_if_heard(&set_up.recovery.last().cloned().unwrap_or_else(|| set_up.app.code(1)));
        }
        let Some(app) = talk.object().and_then(|offer| Some(App::scan(offer["uri"].as_str()?))) else {
            return Err(format!("{names:?} blocks the next enrollment: {:?}", talk.end()));
        };
        let (mark, confirming) = (syslog::mark(), app.code(-1));
        talk.say_if_heard(&confirming);
        let outcome = talk.end();
        let left = self.names();
        if outcome.code != Some(0) {
            Err(format!("{names:?} blocks the next enrollment: {outcome:?}"))
        } else if left != whole {
            Err(format!("{left:?} stays after the next enrollment"))
        } else {
            let code = app.code(0);
            // Chance may give an app that shows the confirming code again, which then uses up the codes between.
            if self.accepts(&code)? || app.repeats_digits() {
                return Ok(());
            }
            let state = fs::read(self.site.state().join(&whole[0])).unwrap();
            let (state, log) = (String::from_utf8_lossy(&state), syslog::lines_since(mark));
            let log: Vec<_> = log.iter().filter(|line| line.contains(user)).collect();
            Err(format!("the next enrollment's code {code} is refused after {confirming}: {app:?}\n{state}\n{log:#?}"))
        }
    }
}

impl Told {
    /// Nothing yet.
    pub fn nothing() -> Told {
        let outcome = Outcome { code: None, out: String::new(), err: String::new() };
        Told { done: false, failed: false, offered: false, new: None, given: None, said: String::new(), outcome }
    }

    /// The code that it was given.
    ///
    /// # Panics
    /// Where there was none.
    pub fn given(&self) -> &str {
        self.given.as_deref().unwrap()
    }

    /// What of it was said by the time the power failed.
    #[must_use]
    pub fn up_to(&self, moment: &Moment) -> Told {
        let mut told = Told { failed: false, offered: self.offered && moment.spoke, ..self.clone() };
        if !moment.told {
            told.done = false;
            told.new = told.new.map(|new| Enrolled { recovery: Vec::new(), ..new });
        }
        told
    }

    /// How it ended: well where it did what was asked, badly where it said that it did not.
    pub fn ended(mut self, outcome: Outcome) -> Told {
        self.done = outcome.code == Some(0);
        let admitted = ["in force", "active all the same", "done, but writing to standard output failed"]
            .iter()
            .any(|words| outcome.err.contains(words));
        self.failed = outcome.code.is_some_and(|code| ![0, 5].contains(&code)) && !admitted;
        self.outcome = outcome;
        self
    }
}

/// Holds what came of an operation against what may.
///
/// # Errors
/// What is not as it must be.
pub fn judge(operation: &Operation, scene: &Scene, told: &Told) -> Result<Standing, String> {
    let said = format!("{}{}{}", told.outcome.out, told.outcome.err, told.said);
    if secrets(scene.set_up.as_ref()).any(|secret| said.contains(secret)) {
        return Err("a secret is said".into());
    }
    let standing = (operation.found)(scene, told)?;
    let in_force = match standing {
        Standing::Before => scene.set_up.as_ref(),
        Standing::After => told.new.as_ref().or(scene.set_up.as_ref()),
    };
    scene.is_tidy(in_force.filter(|_| scene.is_enrolled()))?;
    match standing {
        Standing::Before if told.done => Err("it says that it is done, and it is not".into()),
        Standing::After if told.failed => Err("it says that it failed, and it is done".into()),
        Standing::Before | Standing::After => Ok(standing),
    }
}

/// The name of new credentials that wait for their rename, beside a state with this inode number.
fn after(name: &str, inode: u64) -> String {
    match name.rsplit_once('-') {
        Some((start, _)) if [".new", ".new-by-root"].iter().any(|kind| start.ends_with(kind)) => {
            format!("{start}-{inode}")
        }
        _ => name.to_owned(),
    }
}

fn secrets(set_up: Option<&Enrolled>) -> impl Iterator<Item = &String> {
    set_up.into_iter().flat_map(|set_up| set_up.recovery.iter().chain([&set_up.app.secret]))
}

/// What came of many runs of an operation.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Calls that the operation makes.
    pub calls: usize,
    /// Runs that met their injection.
    pub met: usize,
    /// Runs that did not come to it.
    pub missed: usize,
    /// After which the record was the one before.
    pub before: usize,
    /// After which it was the one that the operation makes.
    pub after: usize,
    /// That did what they were to do, and said so, all the same.
    pub done: usize,
}

/// What came of an operation from its beginning, and whether it hung. Once more where chance gave it an app whose codes
/// cannot be told apart: one in some thousand has one.
fn talk(operation: &Operation, scene: &Scene, dialogue: impl Fn() -> Dialogue) -> (Told, bool) {
    loop {
        scene.put_back();
        let start = Instant::now();
        let told = (operation.talk)(scene, dialogue());
        let hangs = start.elapsed().as_secs() >= BOUND;
        if !told.new.as_ref().is_some_and(|new| new.app.repeats_digits()) {
            return (told, hangs);
        }
    }
}

/// Runs an operation once undisturbed, then once for each injection that `injections` has for each of its calls, each time from
/// the same beginning.
///
/// # Panics
/// When one of the runs leaves behind what it must not.
pub fn inject_at_each_call(operation: &Operation, injections: impl Fn(usize, &Point) -> Vec<Injection>) -> Tally {
    let mark = syslog::mark();
    let scene = (operation.before)();
    let (program, by_user) = (operation.program)(&scene);
    let traced = Traced::new(&program, by_user.then_some(&scene.user), &scene.trace_file());
    let (told, _) = talk(operation, &scene, || Dialogue::start(&mut traced.watched()));
    let trace = traced.trace();
    let standing = judge(operation, &scene, &told);
    let log =
        || syslog::lines_since(mark).into_iter().filter(|line| line.contains(&scene.user.name)).collect::<Vec<_>>();
    assert_eq!(standing, Ok(Standing::After), "undisturbed: {told:#?}\n{:#?}", log());
    assert!(told.done && !told.failed, "undisturbed: {told:#?}");

    let points = points(&trace, &(operation.begins)(&scene));
    let (mut tally, mut wrong, mut shown) = (Tally { calls: points.len(), ..Tally::default() }, Vec::new(), Vec::new());
    for (number, point) in points.iter().enumerate() {
        for injection in injections(number, point).into_iter().filter(|injection| injection.fits(point)) {
            let (told, hangs) = talk(operation, &scene, || Dialogue::start(&mut traced.meeting(injection, point)));
            match judge(operation, &scene, &told) {
                _ if hangs => wrong.push(format!("it hangs\n{injection} {point:?}\n{told:?}")),
                Err(what) => wrong.push(format!("{what}\n{injection} {point:?}\n{told:?}")),
                Ok(Standing::Before) => tally.before += 1,
                Ok(Standing::After) => tally.after += 1,
            }
            tally.done += usize::from(told.done);
            *if traced.was_met() { &mut tally.met } else { &mut tally.missed } += 1;
            shown.extend(told.new);
        }
    }
    let log = syslog::lines_since(mark).join("\n");
    let leaked = secrets(scene.set_up.as_ref()).chain(shown.iter().flat_map(|shown| secrets(Some(shown))));
    wrong.extend(leaked.filter(|secret| log.contains(secret.as_str())).map(|_| "a secret is in the log".to_owned()));
    assert!(wrong.is_empty(), "{} runs of {}:\n{}", wrong.len(), tally.met + tally.missed, wrong.join("\n\n"));
    assert!(tally.missed <= tally.met / 20, "too many runs do not come to their injection: {tally:?}");
    tally
}

/// Types one code, whatever is asked.
struct Typist(String);

impl Host for Typist {
    fn prompt(&mut self, _echo: bool, _text: &str) -> Option<Vec<u8>> {
        Some(self.0.clone().into_bytes())
    }

    fn tell(&mut self, _error: bool, _text: &str) {}
}

/// Gives a wrong code so often.
pub fn guess(scene: &Scene, times: usize) {
    machine::require("guessing");
    let wrong = scene.old().app.wrong();
    for _ in 0..times {
        assert_eq!(scene.accepts(&wrong), Ok(false));
    }
}
