//! Programs that die at any of their system calls: killed before each in turn, they leave the record as it was or as it
//! was to be, nothing that blocks the next, and no code that works twice.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on stops where it is"
)]

use pam_otp_tests::{
    fault::{Fault, Traced, points},
    operations,
    ordeal::{Operation, Standing, judge},
    outcome::Dialogue,
};

/// Kills the program at each of its calls. A state of the disk between two calls is that before the second one.
fn killed_at_every_call(operation: &Operation) {
    let scene = (operation.before)();
    let (program, by_user) = (operation.program)(&scene);
    let traced = Traced::new(&program, by_user.then_some(&scene.user), &scene.trace_file());
    let told = (operation.talk)(&scene, Dialogue::start(&mut traced.watched()));
    let trace = traced.trace();
    assert_eq!(judge(operation, &scene, &told), Ok(Standing::After), "undisturbed: {told:#?}");
    assert!(told.done, "{told:#?}");

    let (mut before, mut after, mut missed) = (0, 0, 0);
    let points = points(&trace, &(operation.begins)(&scene));
    for point in &points {
        scene.put_back();
        let told = (operation.talk)(&scene, Dialogue::start(&mut traced.meeting(Fault::Killed, point)));
        match judge(operation, &scene, &told) {
            Ok(Standing::Before) => before += 1,
            Ok(Standing::After) => after += 1,
            Err(wrong) => panic!("{wrong}\nkilled at {point:?}\n{told:#?}"),
        }
        missed += usize::from(!traced.was_met());
    }
    eprintln!(
        "killed at {} calls: {before} times the record before, {after} times after; {missed} missed",
        points.len()
    );
    assert!(before > 0 && after > 0 && missed <= points.len() / 50, "{before} {after} {missed}");
}

macro_rules! each_killed {
    ($($sentence:ident: $operation:ident,)*) => {
        $(#[test]
        fn $sentence() {
            killed_at_every_call(&operations::$operation);
        })*
    };
}

each_killed! {
    a_login: LOGIN,
    a_login_by_recovery_code: LOGIN_BY_RECOVERY_CODE,
    a_wrong_code: WRONG_CODE,
    a_screen_locker: UNLOCK_SCREEN,
    an_unlock_by_root: UNLOCK,
    a_removal_by_root: FORGET,
    an_enrolment_by_root: ENROL,
    a_change_of_device_by_root: RESET,
    the_program_in_front_of_a_helper: CHANGE_PHONES,
    an_enrolment_by_the_helper: HELPER_ENROLS,
    a_change_of_device_by_the_helper: HELPER_RESETS,
    new_recovery_codes_by_the_helper: HELPER_RENEWS_RECOVERY_CODES,
    a_removal_by_the_helper: HELPER_DISABLES,
    a_check_by_the_helper: HELPER_VERIFIES,
}
