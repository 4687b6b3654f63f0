//! A power cut at any moment of an operation: of what was not flushed, every combination of sectors is on the disk, and
//! each of these disks holds the record as it was or as it was to be.
#![expect(clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    before_or_after::{Operation, Standing, judge},
    injection::{Traced, report},
    outcome::Dialogue,
    power_cut::{Moment, moments},
};

/// Takes the power away at every moment of an operation.
fn cut_off_at_every_moment(name: &str, operation: &Operation) {
    let scene = (operation.before)();
    let (program, by_user) = (operation.program)(&scene);
    let traced = Traced::new(&program, by_user.then_some(&scene.user), &scene.trace_file());
    let told = (operation.talk)(&scene, Dialogue::start(&mut traced.watched()));
    let moments = moments(&traced.trace(), scene.site.state(), scene.before());
    let written = moments.last().map(|moment| moment.images.contains(&scene.files()));
    assert_eq!(written, Some(true), "what was read from the trace is what is there");

    let (mut disks, mut before, mut after) = (0_u32, 0_u32, 0_u32);
    let mut last = None;
    for moment in &moments {
        // A disk that was looked at a moment before need not be looked at again, unless more was said by now.
        let same = |last: &&Moment| (last.spoke, last.told) == (moment.spoke, moment.told);
        let known = last.replace(moment).filter(same).map(|last| &last.images);
        for image in moment.images.iter().filter(|image| known.is_none_or(|known| !known.contains(*image))) {
            scene.put(image);
            disks = disks.saturating_add(1);
            let told = told.up_to(moment);
            match judge(operation, &scene, &told) {
                Ok(Standing::Before) => before = before.saturating_add(1),
                Ok(Standing::After) => after = after.saturating_add(1),
                Err(wrong) => {
                    let sizes: Vec<_> = image.iter().map(|(name, content)| (name, content.len())).collect();
                    panic!("{wrong}\npower cut after {}\n{sizes:?}\n{told:?}", moment.after);
                }
            }
        }
    }
    report(&format!("{name}: {disks} disks after a power cut at {} moments, with nothing lost", moments.len()));
    assert!(before > 0 && after > 0, "cut off before and after: {before} {after}");
}

// The screen locker, otp-enroll and a login that enrolls write nothing themselves.
pam_otp_tests::each_operation! {
    cut_off_at_every_moment:
    a_login LOGIN,
    a_login_by_recovery_code LOGIN_BY_RECOVERY_CODE,
    a_wrong_code WRONG_CODE,
    an_unlock_by_root UNLOCK,
    a_removal_by_root FORGET,
    an_enrollment_by_root ENROLLMENT,
    an_import_by_root IMPORT,
    a_change_of_device_by_root RESET,
    an_enrollment_by_the_helper HELPER_ENROLLS,
    an_enrollment_by_the_helper_of_root HELPER_OF_ROOT_ENROLLS,
    a_change_of_device_by_the_helper HELPER_RESETS,
    new_recovery_codes_by_the_helper HELPER_RENEWS_RECOVERY_CODES,
    a_removal_by_the_helper HELPER_DISABLES,
    a_check_by_the_helper HELPER_VERIFIES,
}
