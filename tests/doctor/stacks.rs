//! What `otp-enroll admin doctor` foresees of a PAM stack, beside what the real libpam does with it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    conversation::{Event, Talk},
    outcome::Outcome,
    phone::Phone,
    service::Service,
    site::Site,
    users::TestUser,
};
use std::fs;

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<'a>(&mut self, choice: &[&'a str]) -> &'a str {
        choice[self.roll(choice.len())]
    }
}

const CONTROLS: [&str; 16] = [
    "required",
    "requisite",
    "sufficient",
    "optional",
    "[success=1 default=ignore]",
    "[success=2 default=ignore]",
    "[success=done default=die]",
    "[success=ok default=1]",
    "[success=ok default=reset]",
    "[success=ok ignore=ignore default=ignore]",
    "[success=1 ignore=ignore default=bad]",
    "[default=ok]",
    "[success=reset default=bad]",
    "[success=ok auth_err=2 default=die]",
    "[success=bad default=ignore]",
    "[success=ignore default=done]",
];

/// What a module that is not ours answers in a stack: always the same, or whatever the next bit says.
const OTHERS: [&str; 6] = ["pam_permit.so", "pam_deny.so", "ANY", "ANY", "ANY", "ANY"];

/// What tells one failure from another.
const PICKY: [&str; 3] = [
    "[success=ok auth_err=die default=ignore]",
    "[success=ok maxtries=1 default=die]",
    "[success=1 maxtries=ignore default=die]",
];

/// What is rarely met: `reset` two substacks deep, and `done` where something has refused before and is forgiven after.
const ODD: [[&str; 3]; 2] = [
    [
        "auth substack FILE1\n",
        "auth required pam_deny.so\nauth substack FILE2\n",
        "auth [default=reset] pam_permit.so\nauth optional OURS\nauth required pam_permit.so\n",
    ],
    [
        "auth substack FILE1\n",
        "auth required pam_deny.so\nauth sufficient pam_permit.so\nauth [default=reset] OURS\n\
         auth required pam_permit.so\n",
        "",
    ],
];

/// A stack with one line of ours: a file, and perhaps one that it includes, and one more.
type Files = [String; 3];

fn any_stack(dice: &mut Dice, controls: &[&str]) -> Files {
    let lines = 2 + dice.roll(5);
    let (ours, from, deepest) = (dice.roll(lines), dice.roll(lines), dice.roll(3));
    let mut files = Files::default();
    for number in 0..lines {
        let depth = number.checked_sub(from).filter(|after| *after < 3).map_or(0, |after| deepest.min(after + 1));
        for inner in 1..=depth {
            if files[inner].is_empty() {
                files[inner - 1] += &format!("auth {} FILE{inner}\n", dice.one_of(&["substack", "include"]));
            }
        }
        let module = if number == ours { "OURS" } else { dice.one_of(&OTHERS) };
        files[depth] += &format!("auth {} {module}\n", dice.one_of(controls));
    }
    files
}

/// The file of the service, and those beside it.
fn write(service: &Service, files: &Files, ours: &str, mut others: impl FnMut() -> &'static str) {
    for (number, text) in files.iter().enumerate() {
        let mut text = text.replace("OURS", ours);
        while text.contains("ANY") {
            text = text.replacen("ANY", others(), 1);
        }
        // Debian's libpam looks for what is included in /etc/pam.d, wherever the service's file is.
        let folder = service.confdir().unwrap().display().to_string();
        let text = text.replace("FILE", &format!("{folder}/included-"));
        if number == 0 {
            service.set(&text);
        } else {
            fs::write(format!("{folder}/included-{number}"), text).unwrap();
        }
    }
}

/// A login through libpam.
struct Login {
    result: String,
    is_asked: bool,
    /// A module that may check a password has succeeded.
    is_proved: bool,
}

/// What libpam does with a stack when our module gives an answer, for each set of answers of the others.
fn by_libpam(service: &Service, files: &Files, ours: &str, talk: &Talk) -> Vec<Login> {
    let free: usize = files.iter().map(|text| text.matches("ANY").count()).sum();
    // Its refusal has a name of its own, so that the result says who has refused. No control here tells it apart.
    let files = files.each_ref().map(|text| text.replace("pam_deny.so", "pam_debug.so auth=perm_denied"));
    let login = |answers: u32| {
        let mut bits = (0..).map(|bit| answers >> bit & 1);
        write(service, &files, ours, || match bits.next() {
            Some(1) => "pam_debug.so auth=success",
            _ => "pam_debug.so auth=auth_err",
        });
        let said = talk.run(&["000000"]);
        Login {
            result: said.result("authenticate").to_owned(),
            is_asked: !said.prompts().is_empty(),
            is_proved: said.events.contains(&Event::Info("auth=success".into())),
        }
    };
    (0..1_u32 << free).map(login).collect()
}

/// Whether some login succeeds in which a code was asked for, and one in which none was.
fn let_in(logins: &[Login]) -> (bool, bool) {
    let any = |asked: bool| logins.iter().any(|login| login.result == "PAM_SUCCESS" && login.is_asked == asked);
    (any(true), any(false))
}

/// Whether a login that a code lets in after a right password is refused without one, and by no module that might agree.
fn right_password_refused(with_code: &[Login], without: &[Login]) -> bool {
    with_code.iter().zip(without).any(|(with_code, without)| {
        with_code.result == "PAM_SUCCESS"
            && with_code.is_proved
            && ["PAM_PERM_DENIED", "PAM_IGNORE"].contains(&without.result.as_str())
    })
}

/// Whether libpam, for some results of the other modules, reaches our line before any of them has succeeded, and after.
fn reached_by_libpam(service: &Service, files: &Files, ours: &str, talk: &Talk) -> (bool, bool) {
    // A success, and failures that some of the controls tell apart.
    let results = ["pam_debug.so auth=auth_err", "pam_debug.so auth=success", "pam_debug.so auth=maxtries"];
    let free: u32 = files.iter().map(|text| text.matches("ANY").count()).sum::<usize>().try_into().unwrap();
    let (mut before, mut after) = (false, false);
    for mut answers in 0..3_usize.pow(free) {
        write(service, files, ours, || {
            let result = results[answers % 3];
            answers /= 3;
            result
        });
        let said = talk.run(&["000000"]);
        let Some(question) = said.events.iter().position(Event::is_prompt) else { continue };
        // pam_debug says what it returns.
        let succeeded = said.events[..question].contains(&Event::Info("auth=success".into()));
        if succeeded { after = true } else { before = true }
    }
    (before, after)
}

#[test]
fn a_line_that_sends_is_reached_without_a_right_password_where_doctor_says_so() {
    let bob = TestUser::new("bob");
    let site = Site::new("[policy]\nsecond_factor = \"required\"\n");
    let service = Service::private("");
    let (ours, talk) = (site.module() + " send", Talk::new(&service, &bob.name));
    let controls = [&CONTROLS[..], &PICKY].concat();
    let (mut seen, mut dice) = ([0; 3], Dice(2));
    for number in 0..100 {
        let stack = any_stack(&mut dice, &controls);
        let (before, after) = reached_by_libpam(&service, &stack, &ours, &talk);
        let expected = match (before, after) {
            (true, _) => ["fault"].as_slice(),
            // To doctor, pam_debug is a module that may check something else.
            (false, true) => &["warning"],
            (false, false) => &[],
        };

        write(&service, &stack, &ours, || "pam_debug.so");
        let mut doctor = site.admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam"]).arg(service.confdir().unwrap()), "");
        let findings = outcome.json()[0]["findings"].as_array().unwrap().clone();
        let of_sending = findings.iter().filter(|finding| finding["what"].as_str().unwrap().contains("codes are sent"));
        let told: Vec<&str> = of_sending.clone().map(|finding| finding["severity"].as_str().unwrap()).collect();
        assert_eq!(told, expected, "stack {number}: {stack:?}\n{findings:#?}");
        assert_eq!(
            of_sending.filter(|finding| finding["what"].to_string().contains("although no password was right")).count(),
            usize::from(before)
        );
        let kinds = [&[][..], &["warning"], &["fault"]];
        seen[kinds.iter().position(|kind| *kind == expected).unwrap()] += 1;
    }
    assert!(seen.iter().all(|times| *times >= 5), "{seen:?}");
}

#[test]
fn what_doctor_foresees_of_a_stack_is_what_libpam_does() {
    let (alice, bob) = (TestUser::new("alice"), TestUser::new("bob"));
    let required = "[policy]\nsecond_factor = \"required\"\n";
    let (refusing, ignoring) = (Site::new(required), Site::new("[policy]\nsecond_factor = \"skip\"\n"));
    let accepting = Site::new("[grace]\nfor = \"1h\"\n");
    let service = Service::private("");
    let at = |user: &TestUser| Talk::new(&service, &user.name).rhost("192.0.2.1");
    let phone = Phone::enroll(&accepting, &alice.name);
    service.set(&accepting.auth("required", ""));
    assert_eq!(at(&alice).run(&[phone.next_code()]).result("authenticate"), "PAM_SUCCESS");

    let (mut seen, mut dice) = (Vec::new(), Dice(1));
    let odd = ODD.map(|files| files.map(str::to_owned));
    for (number, stack) in odd.into_iter().chain((0..100).map(|_| any_stack(&mut dice, &CONTROLS))).enumerate() {
        let (a_wrong_code_is_good, ours_is_passed_by) =
            let_in(&by_libpam(&service, &stack, &refusing.module(), &at(&bob)));
        let with_code = by_libpam(&service, &stack, &accepting.module(), &at(&alice));
        let without = by_libpam(&service, &stack, &ignoring.module(), &at(&bob));
        let ((accepted, passed), (ignored, passed_too)) = (let_in(&with_code), let_in(&without));
        let nobody_without = (accepted || passed) && !(ignored || passed_too);
        let right_password = right_password_refused(&with_code, &without);
        let expected = [
            ("a wrong code does not prevent the login", a_wrong_code_is_good),
            ("the login ends before pam_otp.so runs", ours_is_passed_by),
            ("no user can log in", !(accepted || passed)),
            ("users who need no code are refused", nobody_without || right_password),
            ("users who need no code are refused after a right password", right_password && !nobody_without),
        ];

        write(&service, &stack, &refusing.module(), || "pam_debug.so");
        let folder = service.confdir().unwrap().to_str().unwrap();
        let mut doctor = refusing.admin_command();
        let outcome = Outcome::of(doctor.args(["doctor", "--json", "--pam", folder]), "");
        let findings = outcome.json()[0]["findings"].to_string();
        for (text, holds) in expected {
            assert_eq!(findings.contains(text), holds, "stack {number}: {text}\n{stack:?}\n{findings}");
            if holds {
                seen.push(text);
            }
        }
    }
    for (text, least) in [
        ("a wrong code does not prevent the login", 5),
        ("the login ends before pam_otp.so runs", 5),
        ("no user can log in", 5),
        ("users who need no code are refused", 3),
        ("users who need no code are refused after a right password", 2),
    ] {
        let times = seen.iter().filter(|found| **found == text).count();
        assert!(times >= least, "{text}: only {times} times among these stacks");
    }
}

#[test]
fn a_line_is_read_as_libpam_reads_it_however_it_is_spelt() {
    let bob = TestUser::new("bob");
    let (refusing, ignoring) = ("[policy]\nsecond_factor = \"required\"\n", "[policy]\nsecond_factor = \"skip\"\n");
    let (refusing, ignoring) = (Site::new(refusing), Site::new(ignoring));
    let service = Service::private("");
    let folder = service.confdir().unwrap().to_str().unwrap();
    let talk = Talk::new(&service, &bob.name);
    let (mut good, mut bad) = (0, 0);
    for stack in [
        "auth [success = ok  default = die] YES\nauth [ success=ok ignore= ignore default =die ] OURS\n",
        "-AUTH\tRequired\tYES\nAuth\tREQUISITE\tOURS",
        "auth required YES # nullok\nauth required OURS # \\\nauth required pam_permit.so",
        "auth required \\\n# nobody\n\n YES\nauth optional \\  \n OURS\n",
        "auth [required] YES\nauth success=ok YES\nauth [required] OURS\n",
        "auth required YES\nauth [success=ok default=ignore default=die] OURS\n",
        "auth required YES\nauth [success=ok ignore=ignore default=die default=ignore] OURS\n",
        "auth required YES\nauth [succes=ok default=ignore] OURS\n",
        "auth required YES\nauth [success=ok default=] OURS\n",
        "auth required YES\nauth requird OURS\n",
        "atuh required YES\nauth required OURS\n",
        "auth required YES\nauth required\nauth required OURS\n",
        "auth required YES\r\nauth required OURS\r\n",
        "auth required YES\nauth required OURS\naccount required YES \\\n",
        "# by hand\r\nauth required YES\n\r\nauth required OURS\n",
    ] {
        let is_let_in = |site: &Site| {
            service.set(&stack.replace("OURS", &site.module()).replace("YES", "pam_debug.so auth=success"));
            talk.run(&["000000"]).results().any(|result| result == ("authenticate", "PAM_SUCCESS"))
        };
        let (a_wrong_code_is_good, nobody_gets_in) = (is_let_in(&refusing), !is_let_in(&ignoring));
        let outcome = Outcome::of(ignoring.admin_command().args(["doctor", "--json", "--pam", folder]), "");
        let findings = outcome.json()[0]["findings"].to_string();
        assert_eq!(findings.contains("a wrong code does not prevent"), a_wrong_code_is_good, "{stack:?}\n{findings}");
        assert_eq!(findings.contains("libpam cannot parse this line"), nobody_gets_in, "{stack:?}\n{findings}");
        if nobody_gets_in { bad += 1 } else { good += 1 }
    }
    assert_eq!((good, bad), (7, 8));
}
