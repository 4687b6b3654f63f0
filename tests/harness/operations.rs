//! What programs do to a record: each operation as a value, to be cut off, failed, or robbed of its unflushed writes.

use crate::{
    app::{App, Enrolled, codes},
    before_or_after::{Operation, Scene, Standing, Told, guess},
    conversation::{Talk, unquote},
    machine,
    outcome::{Dialogue, Outcome},
    phone::{key, recovery_codes},
    pty::PATIENCE,
    site::HELPER,
    syslog,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// A PAM host of root's lets a user in by a code of the device.
pub const LOGIN: Operation = Operation {
    program: host,
    begins: service,
    before: || Scene::of_root("[policy]\nsecond_factor = \"required\"\n", true),
    talk: |scene, talk| log_in(talk, scene.old().app.code(0)),
    found: let_in,
};

/// The same by a recovery code.
pub const LOGIN_BY_RECOVERY_CODE: Operation =
    Operation { talk: |scene, talk| log_in(talk, scene.old().recovery[0].clone()), ..LOGIN };

/// The same by a passcode, which takes the place of the first recovery code here.
pub const LOGIN_BY_PASSCODE: Operation = Operation { before: with_passcode, ..LOGIN_BY_RECOVERY_CODE };

/// Root issues another passcode in place of the one that there is.
pub const ISSUE: Operation = Operation {
    program: |scene| (scene.admin(&["issue"]), false),
    before: with_passcode,
    talk: |_, talk| Told::nothing().ended(talk.end()),
    found: |scene, told| {
        let (old, new) = (&scene.old().recovery[0], passcode_in(&told.outcome.out));
        let new = new.map(|new| Ok::<_, String>((scene.accepts(&new)?, scene.accepts(&new)?))).transpose()?;
        match (scene.accepts(old)?, new) {
            (true, None | Some((false, false))) => Ok(Standing::Before),
            (false, None | Some((true, false))) => Ok(Standing::After),
            (old, new) => Err(format!("the old passcode works: {old}, the new one, and once more: {new:?}")),
        }
    },
    ..UNLOCK
};

/// A user who has guessed once types a wrong code, which locks them.
pub const WRONG_CODE: Operation = Operation {
    before: || {
        let mut scene = Scene::of_root("[lockout]\nafter = 2\n[policy]\nsecond_factor = \"required\"\n", true);
        guess(&scene, 1);
        scene.keep();
        scene
    },
    talk: |scene, talk| {
        let told = log_in(talk, scene.old().app.wrong());
        // What is done here is the counting, and that is what a refusal stands for.
        let counted = ["Verification failed.", "-> PAM_AUTH_ERR"].iter().all(|said| told.outcome.out.contains(said));
        Told { done: counted, ..told }
    },
    found: |scene, told| {
        for result in ["PAM_SUCCESS", "PAM_IGNORE"] {
            if told.outcome.out.contains(&format!("-> {result}")) {
                return Err(format!("a wrong code ends in {result}"));
            }
        }
        locked(scene).map(|locked| if locked { Standing::After } else { Standing::Before })
    },
    ..LOGIN
};

/// A screen locker, as the user, asks the helper.
pub const UNLOCK_SCREEN: Operation =
    Operation { program: |scene| (host(scene).0, true), before: || Scene::of_user(true), ..LOGIN };

/// A PAM host of root's sets a user up in the middle of a login.
pub const ENROLLMENT_BY_LOGIN: Operation = Operation {
    program: |scene| (Talk::new(&scene.service, &scene.user.name).calls("login").command(), false),
    before: || {
        let scene = Scene::of_root("[policy]\nsecond_factor = \"enroll\"\n", false);
        scene.service.set(&scene.site.set_up_stack());
        scene
    },
    talk: |scene, mut talk| {
        let mut told = Told::nothing();
        if let Some(invitation) = asked(&mut talk).filter(|said| said.contains("or type this key: ")) {
            let app = App::of(&key(&invitation));
            talk.say_if_heard(&app.code(-1));
            let recovery = asked(&mut talk).map(|sheet| recovery_codes(&sheet)).unwrap_or_default();
            talk.say_if_heard("yes");
            told.new = Some(Enrolled { app, recovery });
        }
        let told = told.ended(talk.end());
        helpers_have_ended(scene);
        // A refusal does not say what became of the set-up.
        Told { done: told.outcome.out.contains("login -> PAM_SUCCESS"), failed: false, ..told }
    },
    found: replaced,
    ..LOGIN
};

/// Root unlocks.
pub const UNLOCK: Operation = Operation {
    program: |scene| (scene.admin(&["unlock"]), false),
    begins: configuration,
    before: || {
        let mut scene = Scene::of_root("[lockout]\nafter = 2\n[policy]\nsecond_factor = \"required\"\n", true);
        guess(&scene, 2);
        scene.keep();
        scene
    },
    // That it could not be flushed does not say that it is not so.
    talk: |_, talk| Told { failed: false, ..Told::nothing().ended(talk.end()) },
    found: |scene, _| locked(scene).map(|locked| if locked { Standing::Before } else { Standing::After }),
};

/// Root forgets a user's device.
pub const FORGET: Operation = Operation {
    program: |scene| (scene.admin(&["reset", "--yes"]), false),
    before: LOGIN.before,
    talk: |_, talk| Told::nothing().ended(talk.end()),
    found: disabled,
    ..UNLOCK
};

/// Root sets a user up.
pub const ENROLLMENT: Operation = Operation {
    program: |scene| {
        let mut enroll = scene.enroll();
        enroll.arg("--json");
        (enroll, false)
    },
    before: || Scene::of_root("[policy]\nsecond_factor = \"required\"\n", false),
    talk: |_, talk| set_up(talk, None),
    found: replaced,
    ..UNLOCK
};

/// Root imports a user of pam_oath, as one of many whose files are flushed together.
pub const IMPORT: Operation = Operation {
    program: |scene| {
        let file = scene.trace_file().with_file_name("users.oath");
        fs::write(&file, format!("HOTP/T30/6 {} - {}\n", scene.user.name, App::of(THEIRS).hex())).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut import = scene.site.admin_command();
        import.args(["import", "oath"]).arg(file);
        (import, false)
    },
    talk: |_, talk| {
        let new = Some(Enrolled { app: App::of(THEIRS), recovery: Vec::new() });
        let told = Told { new, ..Told::nothing() }.ended(talk.end());
        Told { failed: told.failed && !told.outcome.out.contains("in force"), ..told }
    },
    found: |scene, told| {
        if !scene.is_enrolled() {
            return Ok(Standing::Before);
        }
        let next = told.new.as_ref().unwrap().app.code(1); // the one before may have been used elsewhere
        match (scene.accepts(&next)?, scene.accepts(&next)?) {
            (true, false) => Ok(Standing::After),
            (next, again) => Err(format!("the next code is accepted: {next}, and once more: {again}")),
        }
    },
    ..ENROLLMENT
};

/// The key of a device that pam_oath knows (RFC 6238, appendix B).
const THEIRS: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// Root gives a user another device.
pub const RESET: Operation = Operation {
    program: |scene| {
        let mut enroll = scene.enroll();
        enroll.args(["reset", "--json"]);
        (enroll, false)
    },
    before: LOGIN.before,
    talk: |scene, talk| set_up(talk, Some(&scene.old().recovery[0])),
    ..ENROLLMENT
};

/// A user changes phones; the program in front is killed, or its calls fail.
pub const CHANGE_PHONES: Operation = Operation {
    program: |scene| {
        let mut enroll = scene.user.command("otp-enroll");
        enroll.args(["reset", "--json"]);
        (enroll, true)
    },
    begins: |_| "socketpair(".to_owned(),
    before: || Scene::of_user(true),
    ..RESET
};

/// A user's helper sets up, under a umask that would keep even the user from what it makes.
pub const HELPER_ENROLLS: Operation = Operation {
    program: |_| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask 0777; exec {HELPER}")]);
        (shell, true)
    },
    begins: configuration,
    before: || Scene::of_user(false),
    talk: |_, talk| set_up_by_helper(talk, None),
    found: replaced,
};

/// A helper that such a host has started takes the steps of an enrollment.
pub const HELPER_OF_ROOT_ENROLLS: Operation = Operation {
    program: |scene| {
        let mut helper = Command::new(HELPER);
        helper.arg(scene.site.config());
        (helper, false)
    },
    begins: configuration,
    before: ENROLLMENT.before,
    talk: |scene, mut talk| {
        let step = |step: Value| json!({"about": scene.user.name, "request": {"enrolling": step}});
        let mut told = Told::nothing();
        let mut answer = ask(&mut talk, &step(json!({"enroll": {"proof": null}})));
        let key = answer["login"].as_str().and_then(|words| words.strip_prefix("offer ")?.split(' ').next());
        if let Some(key) = key {
            let app = App::of(key);
            answer = ask(&mut talk, &step(json!({"confirm": {"code": app.code(-1)}})));
            let codes = answer["login"].as_str().and_then(|words| words.strip_prefix("codes "));
            let recovery: Vec<_> = codes.into_iter().flat_map(|codes| codes.split(' ')).map(str::to_owned).collect();
            if !recovery.is_empty() {
                answer = ask(&mut talk, &step(json!({"activate": {}})));
            }
            told.new = Some(Enrolled { app, recovery });
            told.offered = true;
        }
        answered(told, &answer, talk)
    },
    found: replaced,
};

/// A user's helper changes the device, on proof.
pub const HELPER_RESETS: Operation = Operation {
    program: |_| (Command::new(HELPER), true),
    before: || Scene::of_user(true),
    talk: |scene, talk| set_up_by_helper(talk, Some(&scene.old().recovery[0])),
    ..HELPER_ENROLLS
};

/// A user's helper makes new recovery codes, on proof.
pub const HELPER_RENEWS_RECOVERY_CODES: Operation = Operation {
    talk: |scene, mut talk| {
        let mut told = Told::nothing();
        let proof = scene.old().app.code(0);
        let answer = ask(&mut talk, &json!({"recovery": {"proof": proof}}));
        let codes = codes(&answer["recovery-codes"]);
        told.given = Some(proof);
        told.new = (!codes.is_empty()).then(|| Enrolled { app: scene.old().app.clone(), recovery: codes });
        answered(told, &answer, talk)
    },
    found: |scene, told| {
        let (device, paper) = (scene.accepts(told.given())?, scene.accepts(&scene.old().recovery[0])?);
        if device != paper {
            return Err(format!("proof unspent: {device}, old recovery codes good: {paper}"));
        }
        if !scene.accepts(&scene.old().app.code(1))? {
            return Err("the device is refused".into());
        }
        match told.new.as_ref().and_then(|new| new.recovery.first()) {
            Some(new) if !scene.accepts(new)? => Err("the new recovery codes are not in force".into()),
            Some(_) | None => Ok(if paper { Standing::Before } else { Standing::After }),
        }
    },
    ..HELPER_RESETS
};

/// A user's helper removes the second factor, on proof.
pub const HELPER_DISABLES: Operation = Operation {
    talk: |scene, mut talk| {
        let answer = ask(&mut talk, &json!({"disable": {"proof": scene.old().app.code(0)}}));
        answered(Told::nothing(), &answer, talk)
    },
    found: disabled,
    ..HELPER_RESETS
};

/// A user's helper tells the host that asks it whether a code is right.
pub const HELPER_VERIFIES: Operation = Operation {
    talk: |scene, mut talk| {
        let code = scene.old().app.code(0);
        let login = json!({"service": "vlock", "rhost": null, "tty": null, "nullok": false, "enroll": false});
        let answer = ask(&mut talk, &json!({"verify": {"typed": code, "login": login}}));
        let accepted = answer["login"].as_str().is_some_and(|words| words.starts_with("accepted"));
        let told = Told { given: Some(code), ..Told::nothing() };
        Told { done: accepted, failed: false, ..answered(told, &answer, talk) }
    },
    found: let_in,
    ..HELPER_RESETS
};

/// A user with a device and a passcode.
fn with_passcode() -> Scene {
    let mut scene = Scene::of_root("[policy]\nsecond_factor = \"required\"\n", true);
    let issued = Outcome::of(&mut scene.admin(&["issue"]), "");
    let passcode = passcode_in(&issued.out).unwrap_or_else(|| panic!("{issued:?}"));
    scene.set_up.as_mut().unwrap().recovery.insert(0, passcode);
    scene.keep();
    scene
}

/// The passcode that `otp-enroll admin issue` says.
fn passcode_in(said: &str) -> Option<String> {
    Some(said.split_once("'s passcode, ")?.0.split_once(" is ")?.0.to_owned())
}

fn host(scene: &Scene) -> (Command, bool) {
    (Talk::new(&scene.service, &scene.user.name).command(), false)
}

fn configuration(scene: &Scene) -> String {
    format!("{}\", O_RDONLY", scene.site.config().display())
}

fn service(scene: &Scene) -> String {
    scene.service.path().display().to_string()
}

fn log_in(mut talk: Dialogue, code: String) -> Told {
    talk.say_if_heard(&code);
    let mut told = Told { given: Some(code), ..Told::nothing() }.ended(talk.end());
    told.done = told.outcome.out.contains("authenticate -> PAM_SUCCESS");
    // A refusal does not say what became of the code.
    told.failed = false;
    told
}

/// What is said up to the next question; `None` where the program ends before.
fn asked(talk: &mut Dialogue) -> Option<String> {
    let mut said = String::new();
    loop {
        let line = talk.line();
        let (kind, quoted) = line.split_once(' ')?;
        let text = unquote(quoted).map(|(text, _)| text).unwrap_or_default();
        if kind == "prompt-off" {
            return Some(said);
        }
        said.push_str(&text);
    }
}

/// A code that was given once and is tried again, and the next one.
fn let_in(scene: &Scene, told: &Told) -> Result<Standing, String> {
    if told.outcome.out.contains("PAM_IGNORE") {
        return Err("nobody was asked for a code".into());
    }
    let again = scene.accepts(told.given())?;
    if again && scene.accepts(told.given())? {
        return Err("a code works twice".into());
    }
    let next = scene.old().app.code(1);
    match (scene.accepts(&next)?, scene.accepts(&next)?) {
        (true, false) => Ok(if again { Standing::Before } else { Standing::After }),
        (next, again) => Err(format!("the next code is accepted: {next}, and once more: {again}")),
    }
}

fn locked(scene: &Scene) -> Result<bool, String> {
    let mark = syslog::mark();
    let accepted = scene.accepts(&scene.old().app.code(0))?;
    let log = syslog::of_logins(mark, scene.service.name());
    if !accepted && !log.iter().any(|line| line.contains(" why=locked")) {
        return Err(format!("a right code is refused, and not for a lock: {log:?}"));
    }
    let recovery = &scene.old().recovery[0];
    match (scene.accepts(recovery)?, scene.accepts(recovery)?) {
        (true, false) => Ok(!accepted),
        (first, second) => Err(format!("a recovery code is accepted: {first}, and once more: {second}")),
    }
}

fn disabled(scene: &Scene, _: &Told) -> Result<Standing, String> {
    if !scene.is_enrolled() {
        Ok(Standing::After)
    } else if scene.accepts(&scene.old().app.code(0))? && scene.accepts(&scene.old().recovery[0])? {
        Ok(Standing::Before)
    } else {
        Err("neither is the device forgotten, nor does it work".into())
    }
}

fn replaced(scene: &Scene, told: &Told) -> Result<Standing, String> {
    let enrolled = scene.is_enrolled();
    let old = match &scene.set_up {
        Some(_) if !enrolled => return Err("there is no record".into()),
        Some(old) => scene.accepts(&old.app.code(1))?,
        None => !enrolled,
    };
    let new = match &told.new {
        Some(new) if enrolled => scene.accepts(&new.app.code(0))?,
        Some(_) | None => false,
    };
    if let Some(proof) = &told.given
        && told.offered
        && scene.accepts(proof)?
    {
        return Err("the proof works once more".into());
    }
    match (old, new, &told.new) {
        (true, false, _) => Ok(Standing::Before),
        (false, true, Some(set_up)) if scene.accepts(&set_up.app.code(-1))? => Err("the confirming code works".into()),
        (false, true, Some(Enrolled { recovery, .. })) => match recovery.first() {
            Some(code) if !scene.accepts(code)? => Err("the recovery codes that were shown are not in force".into()),
            Some(_) | None => Ok(Standing::After),
        },
        (old, new, _) => Err(format!("the old device works: {old}, the new one: {new}")),
    }
}

/// `otp-enroll --json`, proof and all.
fn set_up(mut talk: Dialogue, proof: Option<&str>) -> Told {
    let mut told = Told { given: proof.map(str::to_owned), ..Told::nothing() };
    if let Some(proof) = proof {
        talk.say_if_heard(proof);
    }
    let offer = talk.object().unwrap_or_default();
    if let Some(uri) = offer["uri"].as_str() {
        let app = App::scan(uri);
        talk.say_if_heard(&app.code(-1));
        let answer = talk.object().unwrap_or_default();
        told.new = Some(Enrolled { app, recovery: codes(&answer["recovery_codes"]) });
        told.offered = true;
    }
    told.ended(talk.end())
}

/// The same in the helper's own words.
fn set_up_by_helper(mut talk: Dialogue, proof: Option<&str>) -> Told {
    let mut told = Told { given: proof.map(str::to_owned), ..Told::nothing() };
    let mut answer = ask(&mut talk, &json!({"enroll": {"proof": proof}}));
    if let Some(uri) = answer["offer"]["uri"].as_str() {
        let app = App::scan(uri);
        answer = ask(&mut talk, &json!({"confirm": {"code": app.code(-1)}}));
        told.new = Some(Enrolled { app, recovery: codes(&answer["recovery-codes"]) });
        if !answer["recovery-codes"].is_null() {
            answer = ask(&mut talk, &json!({"activate": {}}));
        }
        told.offered = true;
    }
    answered(told, &answer, talk)
}

fn ask(talk: &mut Dialogue, request: &Value) -> Value {
    talk.say_if_heard(&request.to_string());
    talk.object().unwrap_or_default()
}

/// What a helper's last answer amounts to: done, failed, or cut off.
fn answered(told: Told, answer: &Value, talk: Dialogue) -> Told {
    let error = answer["failed"]["error"].as_str();
    let done = !answer["recovery-codes"].is_null() || answer["changed"] == true || answer["login"] == "in-force";
    let failed = error.is_some_and(|error| !error.contains("in force")) || !answer["declined"].is_null();
    let ended = told.ended(talk.end());
    Told { done, failed, said: answer.to_string(), ..ended }
}

/// The helper that a killed host has asked still takes its step, and learns only then that no host waits for the answer.
fn helpers_have_ended(scene: &Scene) {
    let ended = machine::wait(PATIENCE, || scene.site.helpers().is_empty().then_some(()));
    assert!(ended.is_some(), "{:?}", scene.site.helpers());
}

/// A test of each operation, or of each one named, that calls a function with its name and itself.
#[macro_export]
macro_rules! each_operation {
    ($run:ident) => {
        $crate::each_operation! {
            $run:
            a_login LOGIN,
            a_login_by_recovery_code LOGIN_BY_RECOVERY_CODE,
            a_login_by_passcode LOGIN_BY_PASSCODE,
            a_passcode_that_root_issues ISSUE,
            a_wrong_code WRONG_CODE,
            a_screen_locker UNLOCK_SCREEN,
            a_login_that_enrolls ENROLLMENT_BY_LOGIN,
            an_unlock_by_root UNLOCK,
            a_removal_by_root FORGET,
            an_enrollment_by_root ENROLLMENT,
            an_import_by_root IMPORT,
            a_change_of_device_by_root RESET,
            the_program_in_front_of_a_helper CHANGE_PHONES,
            an_enrollment_by_the_helper HELPER_ENROLLS,
            an_enrollment_by_the_helper_of_root HELPER_OF_ROOT_ENROLLS,
            a_change_of_device_by_the_helper HELPER_RESETS,
            new_recovery_codes_by_the_helper HELPER_RENEWS_RECOVERY_CODES,
            a_removal_by_the_helper HELPER_DISABLES,
            a_check_by_the_helper HELPER_VERIFIES,
        }
    };
    ($run:ident: $($sentence:ident $operation:ident,)*) => {
        $(#[test]
        fn $sentence() {
            $run(stringify!($sentence), &$crate::operations::$operation);
        })*
    };
}
