use otp_core::config::paths;
use otp_core::value::time::UnixTime;

use super::*;

const NOT_ALLOWED: &str = "permission denied";
const CHANGED: &str = "this second factor was changed by another command in the meantime";

/// What a failing pipe to the helper becomes.
fn helper(error: io::Error) -> CliError {
    CoreError::from(error).into()
}

fn not_allowed() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

/// An error, what it says, what to do next, and the exit code.
type Told = (CliError, &'static str, Option<&'static str>, u8);

#[track_caller]
fn assert_told<const N: usize>(errors: [Told; N]) {
    for (error, text, hint, code) in errors {
        let text = text.replace("WHY", NOT_ALLOWED).replace("HELPER", paths::HELPER);
        assert_eq!((error.to_string(), error.hint().as_deref()), (text, hint));
        assert_eq!(error.exit_code(), code, "{error}");
    }
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let again = Some("nothing was changed; try again with the code that the device shows now");
    let counted = Some(
        "it counts as a wrong code, and nothing else was changed; try again with the code that the device shows now",
    );
    let unchanged = Some("nothing was changed");
    let another = Some("nothing was changed; try another one, or a code that the device shows");
    let unlock = Some("use a recovery code, or ask your administrator: otp-enroll admin unlock");
    let other_device = Some(
        "nothing was changed; use another device or a recovery code: `otp-enroll status` says what is accepted where",
    );
    let issue = Some("ask your administrator for one: otp-enroll admin issue");
    let (none, gap) = (None, Some(Seconds(7200)));
    assert_told(
        [
            (Refusal::Wrong { failures: 1, clock_behind: none }, "that code is wrong", counted, 1),
            (
                Refusal::Wrong { failures: 3, clock_behind: none },
                "that code is wrong (3 wrong codes in a row)",
                counted,
                1,
            ),
            (
                Refusal::Wrong { failures: 3, clock_behind: gap },
                "that code is wrong; this machine's clock is 2 h behind your last login, so correct codes may be refused",
                counted,
                1,
            ),
            (
                Refusal::Replayed { clock_behind: none },
                "that code was used already; wait until the device shows the next one",
                unchanged,
                1,
            ),
            (
                Refusal::Replayed { clock_behind: gap },
                "that code was used already, and this machine's clock is 2 h behind your last login",
                unchanged,
                1,
            ),
            (Refusal::RecoveryUsed, "that recovery code was used already", another, 1),
            (Refusal::RecoveryUnknown, "that is not one of your recovery codes", another, 1),
            (Refusal::PasscodeUsed, "that passcode was used already", issue, 1),
            (Refusal::PasscodeExpired, "that passcode has expired", issue, 1),
            (
                Refusal::PasscodeUnknown,
                "that is not the passcode that was issued to you",
                Some("nothing was changed; try again with the passcode that you were given"),
                1,
            ),
            (
                Refusal::PasscodeElsewhere,
                "that passcode is not accepted here",
                Some("nothing was changed; a passcode is for logins through its service, and for the first device"),
                1,
            ),
            (
                Refusal::KindNotAccepted { failures: None },
                "the policy does not accept codes of that kind of device here",
                other_device,
                1,
            ),
            (
                Refusal::KindNotAccepted { failures: Some(2) },
                "the policy does not accept codes of that kind of device here",
                other_device,
                1,
            ),
            (
                Refusal::Locked(Lock::Until(UnixTime(1_763_750_020))),
                "too many wrong codes: only a recovery code, or a passcode at a login, is accepted until 2025-11-21 18:33:40 UTC",
                unlock,
                1,
            ),
            (
                Refusal::Locked(Lock::UntilUnlocked),
                "too many wrong codes: only a recovery code, or a passcode at a login, is accepted until an administrator unlocks",
                unlock,
                1,
            ),
            (Refusal::Malformed, "that is neither a code of 6 to 8 digits nor a recovery code", again, 1),
            (Refusal::NotEnrolled, "no second factor is set up", Some("set one up with: otp-enroll"), 3),
            (
                Refusal::Renamed,
                "this account was renamed, or it has the number of a removed account whose second factor is still there",
                Some(
                    "nothing was changed; an administrator decides: `otp-enroll admin doctor` names the old record, then \
                     `otp-enroll admin rename OLD NEW`, or `otp-enroll admin disable OLD`",
                ),
                1,
            ),
            (Refusal::UnknownUser, "there is no such account", again, 3),
        ]
        .map(|(why, text, hint, code)| (CliError::Refused(why), text, hint, code)),
    );
}

#[test]
fn a_request_that_was_not_done_is_told_with_what_to_do() {
    let again = Some("nothing was changed; start again with: otp-enroll");
    let not_confirmed = |clock_off| Declined::NotConfirmed { clock_off };
    assert_told(
        [
            (
                Declined::ProofNeeded,
                "a second factor is set up already; to change it, prove that it is yours",
                Some("give a current code or a recovery code"),
            ),
            (not_confirmed(None), "that code is not correct. Wait for the next one; if it happens again, scan the picture again: an old entry \
             of the app may be showing", again),
            (
                not_confirmed(Some(90)),
                "the clocks differ: the one of your device is about 2 min ahead; set both to automatic time",
                again,
            ),
            (
                not_confirmed(Some(-3600)),
                "the clocks differ: the one of your device is about 1 h behind; set both to automatic time and time zone",
                again,
            ),
            (
                Declined::PasscodeNeeded,
                "the first device needs a passcode from your administrator",
                Some("ask your administrator for one: otp-enroll admin issue"),
            ),
            (Declined::CountUnfit { most: 0 }, "this machine issues no recovery codes", Some("leave --count out")),
            (
                Declined::CountUnfit { most: 8 },
                "the number of recovery codes is 1 to 8",
                Some("nothing was changed; write another --count"),
            ),
            (Declined::NothingOffered, "there is no new key to confirm", Some("start again")),
            (Declined::ChangedMeanwhile, CHANGED, Some("start again")),
            (
                Declined::Required,
                "your administrator requires a second factor for this account",
                Some("to change phones use: otp-enroll reset"),
            ),
        ]
        .map(|(declined, text, hint)| (CliError::Declined(declined), text, hint, 1)),
    );
}

#[test]
fn a_change_of_a_device_that_was_not_made_is_told_with_what_to_do() {
    let list = Some("nothing was changed; the devices: otp-enroll list");
    let name = Some("nothing was changed; choose another name");
    let two = Kinds::read(["totp", "hotp"]).unwrap();
    let not_accepted = |kind| Declined::KindNotAccepted { kind: Kinds::one(kind).unwrap(), accepted: two };
    let accepted = Some("nothing was changed; accepted are: totp, hotp");
    assert_told(
        [
            (Declined::NoSuchDevice, "no device has this number or name", list),
            (Declined::NameTaken, "another device has this name", name),
            (not_accepted("sms"), "the policy accepts no text messages here", accepted),
            (not_accepted("email"), "the policy accepts no e-mail here", accepted),
            (not_accepted("ocra"), "the policy accepts no tokens with a keypad here", accepted),
            (not_accepted("hotp"), "the policy accepts no tokens that count here", accepted),
            (not_accepted("totp"), "the policy accepts no apps and tokens that go by the time here", accepted),
            (Declined::NameUnfit, "a name has 1 to 40 characters, all of them visible", name),
            (
                Declined::NameReserved,
                "this name would be taken for a code, for the number of a device, or for a kind of device",
                name,
            ),
            (
                Declined::TooManyDevices,
                "a user has at most 8 devices",
                Some("remove one first: otp-enroll remove DEVICE"),
            ),
            (
                Declined::OnlyDevice,
                "that is the only device: without it the second factor would be gone",
                Some("if it is lost or replaced: otp-enroll reset, with a recovery code; to have no second factor: otp-enroll disable"),
            ),
            (
                Declined::TokenUnfit,
                "this is not the description of a token",
                Some("nothing was changed; see TOKENS in otp-enroll(1)"),
            ),
            (Declined::NotAToken, "only hardware tokens are resynchronized: an app's phone sets its clock", list),
            (Declined::WhichToken, "there are several tokens: name one by its number or name", list),
            (
                Declined::NextCodeNeeded,
                "that code is the token's, but it is far from where it should be",
                Some("nothing was changed; give the code after it, too, or say how many it has shown: --counter"),
            ),
        ]
        .map(|(declined, text, hint)| (CliError::Declined(declined), text, hint, 1)),
    );
    assert_told([
        (
            CliError::NotTheTokens,
            "that code is not one of this device's",
            Some(
                "nothing was changed; check the seed and the options of the token: --type, --algorithm, --digits, --period, \
                 --counter",
            ),
            1,
        ),
        (
            CliError::NotInARow { failures: 0 },
            "these are not two codes in a row of this token",
            Some("nothing was changed; give a code that it shows and, when it shows another, that one, too"),
            1,
        ),
        (
            CliError::NotInARow { failures: 3 },
            "these are not two codes in a row of this token (3 wrong codes in a row)",
            Some(
                "they count as one wrong code, and nothing else was changed; give a code that it shows and, when it shows \
                 another, that one, too",
            ),
            1,
        ),
        (
            CliError::NotInARow { failures: 0 },
            "these are not two codes in a row of this token",
            Some("nothing was changed; give a code that it shows and, when it shows another, that one, too"),
            1,
        ),
        (
            CliError::IsLocked { until: None },
            "too many wrong codes: only a recovery code, or a passcode at a login, is accepted until an administrator unlocks",
            Some("use a recovery code, or ask your administrator: otp-enroll admin unlock"),
            1,
        ),
        (
            CliError::NotACode(8),
            "a code of this device has 8 digits",
            Some("nothing was changed; blanks do not matter"),
            1,
        ),
        (
            CliError::Seed(SeedFault::Both),
            "this seed can be read as HEX and as Base32",
            Some("nothing was changed; say which it is: --seed-format hex or --seed-format base32"),
            2,
        ),
        (
            CliError::Seed(SeedFault::Empty),
            "there is no seed",
            Some("nothing was changed; give the seed as the token's maker wrote it"),
            1,
        ),
        (
            CliError::NotTheTokens.although_proved(OTHERS_STAY),
            "that code is not one of this device's",
            Some("no device was added, and the others still work; the code you gave is used up"),
            1,
        ),
    ]);
}

#[test]
fn an_administrator_is_told_commands_of_an_administrator() {
    let show = "nothing was changed; the devices: otp-enroll admin show alice";
    for (declined, hint) in [
        (Declined::NoSuchDevice, show),
        (Declined::WhichToken, show),
        (Declined::NotAToken, show),
        (Declined::TooManyDevices, "remove one first: otp-enroll admin remove alice DEVICE"),
        (
            Declined::OnlyDevice,
            "with a recovery code the user enrolls a new one: otp-enroll reset; without one: otp-enroll admin reset alice",
        ),
        (Declined::NameTaken, "nothing was changed; choose another name"),
    ] {
        let error = CliError::Declined(declined).about("alice");
        assert_eq!((error.to_string(), error.exit_code()), (declined_text(declined), 1));
        assert_eq!(error.hint().as_deref(), Some(hint));
    }
}

#[test]
fn a_code_of_the_old_device_that_led_to_nothing_is_reported_as_used_up() {
    let used_up = Some("the old second factor still works; the code you gave for it is used up");
    let ended = || helper(io::ErrorKind::BrokenPipe.into());
    let not_confirmed = || CliError::Declined(Declined::NotConfirmed { clock_off: None });
    assert_told([
        (
            not_confirmed().although_proved(OLD_STAYS),
            "that code is not correct. Wait for the next one; if it happens again, scan the picture again: an old entry \
             of the app may be showing",
            used_up,
            1,
        ),
        (
            CliError::Ask(AskError::Closed).although_proved(OLD_STAYS),
            "the input ended before the question was answered",
            used_up,
            4,
        ),
        (ended().although_proved(OLD_STAYS), "the helper has ended: it waits 15 minutes for each answer", used_up, 4),
        (CliError::Declined(Declined::ChangedMeanwhile).although_proved(OLD_STAYS), CHANGED, Some("start again"), 1),
    ]);
}

#[test]
fn what_could_not_be_done_is_told_with_the_reason() {
    let goes_on = |why| CliError::SessionsGoOn { users: "alice bob".into(), why: Box::new(why) };
    let end_them = Some("end them with: loginctl terminate-user alice bob");
    let interrupted = |why| CliError::Interrupted { done: 2, of: 7, why };
    let go_on = Some("each user is enrolled completely or not at all; to continue, run the same command again");
    assert_told([
        (CliError::Usage("say so".into()), "say so", Some("see: otp-enroll --help"), 2),
        (CliError::NotRoot("do this"), "only root may do this", Some("become root, for example with sudo"), 1),
        (CliError::Core(CoreError::Entropy), "the kernel gave no random bytes", Some(CoreError::Entropy.hint()), 4),
        (CliError::Reported { error: "e".into(), hint: "h".into() }, "e", Some("h"), 4),
        (
            helper(not_allowed()),
            "the helper HELPER cannot be reached: WHY",
            Some("the helper must be installed set-group-ID pam_otp: see FILES in otp-enroll(1)"),
            4,
        ),
        (
            helper(io::ErrorKind::BrokenPipe.into()),
            "the helper has ended: it waits 15 minutes for each answer",
            Some("nothing was changed; start again"),
            4,
        ),
        (
            CliError::Ask(AskError::Closed),
            "the input ended before the question was answered",
            Some("nothing was changed"),
            4,
        ),
        (CliError::Ask(AskError::Io(not_allowed())), "the terminal cannot be used: WHY", None, 4),
        (CliError::Screen(ScreenError::Io(not_allowed())), "the terminal cannot be used: WHY", None, 4),
        (
            CliError::File(FileError::Exists("codes".into())),
            "codes exists",
            Some("choose another name: existing files are never overwritten"),
            4,
        ),
        (CliError::Qr(TooLong { bytes: 3000 }), "3000 bytes do not fit into a QR code", None, 4),
        (
            CliError::Png(png::EncodingError::IoError(not_allowed())),
            "the QR code could not be encoded as PNG: WHY",
            None,
            4,
        ),
        (CliError::Tool { program: "getent", error: not_allowed() }, "getent failed: WHY", None, 4),
        (CliError::Output(not_allowed()), "cannot write to standard output: WHY", None, 4),
        (CliError::Output(not_allowed()).although_done(), "done, but writing to standard output failed: WHY", None, 5),
        (
            CliError::CodesUnseen(not_allowed()),
            "the new recovery codes could not be shown: WHY",
            Some("they are active all the same; get new ones with: otp-enroll recovery"),
            5,
        ),
        (
            CliError::Unreadable { path: "users.oath".into(), error: not_allowed() },
            "cannot read users.oath: WHY",
            Some("check the path, and that you may read it"),
            4,
        ),
        (interrupted(None), "interrupted: 2 of 7 users were processed", go_on, 130),
        (
            interrupted(Some(Box::new(CliError::Cancelled))),
            "interrupted: 2 of 7 users were processed; cancelled: nothing was changed",
            go_on,
            1,
        ),
        (
            goes_on(CliError::Tool { program: "loginctl", error: not_allowed() }),
            "a second factor is required from now on, but sessions could not be ended: loginctl failed: WHY",
            end_them,
            5,
        ),
        (
            CliError::SessionsStay {
                sessions: "3 4".into(),
                why: Box::new(CliError::Tool { program: "loginctl", error: not_allowed() }),
            },
            "sessions 3 4 could not be ended: loginctl failed: WHY",
            Some("end them with: loginctl terminate-session 3 4"),
            4,
        ),
        (
            CliError::NoLogind,
            "there is no systemd-logind on this machine, so its sessions are not known",
            Some("look for users with `who`, and for their processes with `ps -u USER`; no session was ended"),
            4,
        ),
        (goes_on(CliError::Cancelled), "a second factor is required from now on; no session was ended", end_them, 1),
        (CliError::Cancelled, "cancelled: nothing was changed", None, 1),
        (
            CliError::Unchanged { error: "it is a link".into(), hint: "by hand".into() },
            "it is a link",
            Some("by hand"),
            1,
        ),
        (
            CliError::PerhapsGiven { user: "alice".into(), serial: "A1".into(), why: Box::new(CliError::Faults(1)) },
            "alice has the token A1 now, or not: one fault was found",
            Some(
                "the stock keeps it for this user; run the same command again, which finds out: otp-enroll admin assign alice A1",
            ),
            5,
        ),
        (
            CliError::TakenBack { why: Box::new(CliError::Faults(1)) },
            "one fault was found; all was taken back",
            Some("all files are as they were before; fix this, and try again"),
            4,
        ),
    ]);
}

#[test]
fn unknown_users_and_counts_are_reported() {
    let group =
        Some("check the group's name; to require a second factor of future members, add a rule to the configuration");
    let fixed = Some("until this is fixed, users may be locked out, or let in without a code");
    let unsent =
        Some("until this is fixed, no codes are sent: users with no other device or recovery code are refused");
    let file =
        Some("nothing was imported; fix the file, or a copy of it, and try again; or import the rest: --rejects FILE");
    let above = Some("the reasons are above; the command can be run again without harm");
    let unusable = Some(
        "their users cannot log in with a code; each line says why, and `otp-enroll admin doctor` says what to do",
    );
    assert_told([
        (CliError::NoSuchUser("al ice".into()), "there is no user \"al ice\"", None, 3),
        (CliError::NoSuchGroup("staff".into()), "there is no group \"staff\"", None, 3),
        (CliError::EmptyGroup("staff".into()), "no user in the group \"staff\" can log in", group, 3),
        (CliError::Faults(1), "one fault was found", fixed, 1),
        (CliError::Faults(2), "2 faults were found", fixed, 1),
        (CliError::FaultsOfMessages(1), "one fault was found", unsent, 1),
        (
            CliError::KindRefused { accepted: vec!["phone".into(), "blue key".into()] },
            "the policy does not accept codes of that kind of device here",
            Some("nothing was changed; use phone or blue key or a recovery code"),
            1,
        ),
        (
            CliError::KindRefused { accepted: Vec::new() },
            "the policy does not accept codes of that kind of device here",
            Some("nothing was changed; use a recovery code: no device of yours is accepted here"),
            1,
        ),
        (CliError::FaultyFile(1), "one fault was found in the file", file, 1),
        (CliError::FaultyFile(2), "2 faults were found in the file", file, 1),
        (CliError::Unusable(1), "one record cannot be used", unusable, 1),
        (CliError::Unusable(2), "2 records cannot be used", unusable, 1),
        (CliError::NotDone(1), "failed for one user", above, 4),
        (CliError::NotDone(2), "failed for 2 users", above, 4),
    ]);
}

#[test]
fn only_a_reader_who_has_seen_enough_needs_no_word() {
    let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
    assert!(CliError::Output(broken()).is_silent());
    for said in [CliError::Output(not_allowed()), CliError::Output(broken()).although_done(), helper(broken())] {
        assert!(!said.is_silent(), "{said}");
    }
}

#[test]
fn an_error_names_the_one_behind_it_as_its_source() {
    use std::error::Error as _;
    let source = |error: CliError| error.source().map(ToString::to_string);
    let (why, path) = (|| Some(NOT_ALLOWED.to_owned()), || "f".into());
    assert_eq!(source(CliError::Output(not_allowed())), why());
    assert_eq!(source(CliError::File(FileError::Write { path: path(), error: not_allowed() })), why());
    assert_eq!(source(CliError::Ask(AskError::Io(not_allowed()))), why());
    assert_eq!(source(CliError::Unreadable { path: path(), error: not_allowed() }), why());
    let goes_on = CliError::SessionsGoOn { users: "alice".into(), why: Box::new(CliError::Faults(2)) };
    assert_eq!(source(goes_on).as_deref(), Some("2 faults were found"));
    assert_eq!(source(CliError::Cancelled), None);
}

#[test]
fn the_text_of_a_system_error_has_no_number() {
    let error = io::Error::from_raw_os_error(2);
    assert_eq!(error.to_string(), "No such file or directory (os error 2)");
    assert_eq!(CliError::Output(error).to_string(), "cannot write to standard output: No such file or directory");
    let other = io::Error::other("a text (os error 2)");
    assert_eq!(plain(&other), "a text (os error 2)");
}
