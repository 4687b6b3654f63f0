//! The language of what a login shows: that of its host, else that of the configuration, else English.

use pam_otp_tests::{
    conversation::{Talk, Transcript},
    desk::Desk,
    locale::Locales,
    machine,
    service::Service,
    site::Site,
    users::TestUser,
};
use std::process::Command;

/// A login in a locale of its environment, which the host takes or not.
fn login(talk: &Talk, locales: &Locales, locale: &str, answers: &[&str]) -> Transcript {
    let mut command = talk.command();
    command.envs(locales.environment(locale));
    let mut conversation = talk.start_as(command);
    for answer in answers {
        if conversation.listen().is_some() {
            conversation.answer(answer);
        }
    }
    conversation.hang_up();
    conversation.finish()
}

#[test]
fn a_login_speaks_the_language_of_its_host() {
    let locales = Locales::new(&["de_DE", "fr_FR"]);
    let desk = Desk::new("[lockout]\nafter = 100");
    for (locale, prompt, refused) in [
        ("de_DE.UTF-8", "Prüfcode: ", "Prüfung fehlgeschlagen."),
        ("fr_FR.UTF-8", "Code de vérification\u{a0}: ", "Échec de la vérification."),
        // No language, one that is not there, and an encoding that the texts do not have.
        ("C", "Verification code: ", "Verification failed."),
        ("C.UTF-8", "Verification code: ", "Verification failed."),
        ("it_IT.UTF-8", "Verification code: ", "Verification failed."),
    ] {
        let seen = login(&desk.talk().flag("--locale"), &locales, locale, &["000000"]);
        assert_eq!((seen.prompts(), seen.texts()), (vec![prompt], vec![refused]), "{locale}: {seen:?}");
    }
    // A host that sets no locale, as sshd.
    let seen = login(&desk.talk(), &locales, "de_DE.UTF-8", &["000000"]);
    assert_eq!(seen.prompts(), ["Verification code: "]);
    // A number in a text, after a right code.
    let right = desk.next();
    let seen = login(&desk.talk().flag("--locale"), &locales, "de_DE.UTF-8", &[&right]);
    let told = "6 falsche Codes wurden seit Ihrem letzten richtigen für Ihr Konto versucht.";
    assert!(seen.texts().concat().contains(told), "{seen:?}");
}

#[test]
fn the_configuration_has_a_language_for_hosts_without_one_and_texts_that_come_first() {
    let locales = Locales::new(&["de_DE", "fr_FR"]);
    let desk = Desk::new("");
    desk.site.set_with_table("language = \"de_DE.UTF-8\"");
    let prompt = |talk: &Talk, locale: &str| login(talk, &locales, locale, &["000000"]).prompts().concat();
    assert_eq!(prompt(&desk.talk(), "C"), "Prüfcode: ");
    assert_eq!(prompt(&desk.talk().flag("--locale"), "fr_FR.UTF-8"), "Code de vérification\u{a0}: ");
    desk.site.set_with_table("language = \"it_IT.UTF-8\"");
    assert_eq!(prompt(&desk.talk(), "C"), "Verification code: ", "a language that is not there");
    desk.site.set_with_table("language = \"de_DE.UTF-8\"\n[prompt]\ncode = \"Code please: \"");
    assert_eq!(prompt(&desk.talk(), "C"), "Code please: ");
    desk.site.set("[prompt]\ncode = \"Verification code: \"");
    assert_eq!(prompt(&desk.talk().flag("--locale"), "de_DE.UTF-8"), "Verification code: ", "as the site writes it");
}

#[test]
fn set_up_during_a_login_speaks_german_and_takes_german_answers() {
    let locales = Locales::new(&["de_DE"]);
    let site = Site::new("[policy]\nsecond_factor = \"enroll\"");
    let service = Service::private(&site.set_up_stack());
    let user = TestUser::new("greta");
    let talk = Talk::new(&service, &user.name).calls("login").flag("--stop").flag("--locale");
    let mut command = talk.command();
    command.envs(locales.environment("de_DE.UTF-8"));
    let mut conversation = talk.start_as(command);
    let texts = conversation.texts_before_prompt().concat();
    assert!(texts.contains("Zweiten Faktor mit einer Authenticator-App einrichten:"), "{texts}");
    let (_, key) = texts.rsplit_once(": ").unwrap();
    let key = key.replace(' ', "");
    conversation.answer("12345");
    conversation.prompt();
    let code = machine::run(Command::new("oathtool").args(["--totp", "--base32", &key]));
    conversation.answer(code.trim());
    let texts = conversation.texts_before_prompt().concat();
    assert!(texts.contains("Wiederherstellungscodes, jeder gut für eine Anmeldung"), "{texts}");
    conversation.answer("ja");
    let seen = conversation.finish();
    assert_eq!(seen.result("login"), "PAM_SUCCESS", "{seen:?}");
    let wrong = "Dieser Code ist nicht richtig. Warten Sie auf den nächsten;";
    assert!(seen.texts().iter().any(|text| text.starts_with(wrong)), "{seen:?}");
}
