//! Disks that are full or read-only, real ones: a right code logs in, once, or is refused with the reason in the log; an
//! enrollment that does not fit leaves the old one as it is, and says what to do.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    app::{App, Enrolled},
    before_or_after::Scene,
    conversation::Talk,
    desk::{UNAVAILABLE, logged},
    injection::report,
    outcome::{Dialogue, Outcome},
    site::Site,
    volume::{Kind, Volume},
};

/// A user whose record is on a small file system, once for each kind that there is here.
fn on_each(test: impl Fn(&Scene, &Volume)) {
    for kind in [Kind::Tmpfs, Kind::Ext4] {
        let site = Site::new("[policy]\nsecond_factor = \"required\"\n");
        if let Some(volume) = Volume::over(&site, kind) {
            test(&Scene::at(site, true), &volume);
            report(&format!("on {kind:?}"));
        } else {
            report(&format!("NOT on {kind:?}: this machine has no loop devices"));
        }
    }
}

/// A reset by root up to its end, with what it offered.
fn reset(scene: &Scene, proof: &str) -> (App, Outcome) {
    let mut enroll = Dialogue::start(scene.enroll().args(["reset", "--json"]));
    enroll.say(proof);
    let app = App::scan(enroll.json()["uri"].as_str().unwrap());
    enroll.say_if_heard(&app.previous_code());
    (app, enroll.end())
}

#[test]
fn on_a_full_disk_each_right_code_works_once_and_guesses_count() {
    on_each(|scene, volume| {
        let Enrolled { app, recovery } = scene.old();
        volume.fill();
        volume.fill_with_files();
        for code in [&app.code(0), &recovery.first().unwrap().clone(), &app.code(1)] {
            assert_eq!((scene.accepts(code), scene.accepts(code)), (Ok(true), Ok(false)), "{code}");
        }
        let wrong = app.wrong();
        (0..6).for_each(|_| assert_eq!(scene.accepts(&wrong), Ok(false)));
        assert_eq!(scene.accepts(&app.code(2)), Ok(false), "it is locked after six");
        assert_eq!(scene.accepts(recovery.get(1).unwrap()), Ok(true));
    });
}

#[test]
fn a_change_that_does_not_fit_leaves_the_old_enrollment_and_says_what_to_do() {
    on_each(|scene, volume| {
        let Enrolled { app, recovery } = scene.old();
        let fill: [fn(&Volume); 2] = [Volume::fill, Volume::fill_with_files];
        for (fill, proof) in fill.iter().zip(recovery) {
            fill(volume);
            let names: Vec<_> = scene.files().into_keys().collect();
            let (new, Outcome { code, out, err }) = reset(scene, proof);
            assert_eq!(code, Some(4), "{out}{err}");
            assert!(err.contains("No space left on device"), "{err}");
            assert!(err.ends_with("\n  make room on that file system; nothing was lost\n"), "{err}");
            assert_eq!(scene.files().into_keys().collect::<Vec<_>>(), names, "nothing is left behind");
            assert_eq!(scene.accepts(&new.code(0)), Ok(false));
            volume.clear();
        }
        assert_eq!(scene.accepts(&app.code(0)), Ok(true), "the old device is in force");
        let (new, Outcome { code, err, .. }) = reset(scene, recovery.get(2).unwrap());
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!((scene.accepts(&new.code(0)), scene.accepts(&app.code(1))), (Ok(true), Ok(false)));
    });
}

#[test]
fn a_first_enrollment_that_does_not_fit_leaves_nothing_and_succeeds_when_there_is_room() {
    on_each(|scene, volume| {
        scene.put(&[].into());
        let fill: [fn(&Volume); 2] = [Volume::fill, Volume::fill_with_files];
        for fill in fill {
            fill(volume);
            let mut enroll = Dialogue::start(scene.enroll().arg("--json"));
            let app = App::scan(enroll.json()["uri"].as_str().unwrap());
            enroll.say_if_heard(&app.previous_code());
            let Outcome { code, err, .. } = enroll.end();
            assert!(code == Some(4) && err.contains("No space left on device"), "{code:?} {err}");
            assert!(scene.files().is_empty(), "{:?}", scene.files().keys());
            volume.clear();
        }
        let set_up = Enrolled::by(scene.enroll().arg("--json"));
        assert_eq!(scene.accepts(&set_up.app.code(0)), Ok(true));
    });
}

#[test]
fn on_a_read_only_disk_a_right_code_is_refused_with_the_reason_and_works_later() {
    on_each(|scene, volume| {
        let app = &scene.old().app;
        let state = scene.site.state_file(&scene.user.name);
        volume.read_only(true);
        for code in [app.code(0), app.wrong()] {
            let (said, log) = logged(&Talk::new(&scene.service, &scene.user.name), &[&code]);
            assert_eq!(said.result("authenticate"), "PAM_AUTHINFO_UNAVAIL", "{said}");
            assert_eq!(said.texts(), [UNAVAILABLE]);
            let line = format!(
                "err error user={} error=\"cannot open {}: Read-only file system\" \
                 hint=\"find out why that file system is read-only; nothing was lost\"",
                scene.user.name,
                state.display()
            );
            assert_eq!(log, [line]);
        }
        let proof = scene.old().recovery.first().unwrap();
        let Outcome { code, err, .. } = Outcome::of(scene.enroll().args(["reset", "--json"]), &format!("{proof}\n"));
        assert!(code == Some(4) && err.contains("Read-only file system"), "{code:?} {err}");
        volume.read_only(false);
        let code = app.code(0);
        assert_eq!((scene.accepts(&code), scene.accepts(&code)), (Ok(true), Ok(false)));
        assert_eq!(scene.accepts(proof), Ok(true), "the proof was not spent");
    });
}
