//! A host joins, is known, and renews its certificate.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use otp_core::protocol::request::Confidential;
use serde_json::json;

use super::*;
use crate::hello::ask_by;
use crate::renew::{if_due, renew};
use crate::test_verifier::{Authority, For, Say, TestHost, TestVerifier};
use crate::upstream::Upstream;
use crate::upstream::identity::AUTHORITY;

fn invitation_to(verifier: &TestVerifier, authority: &Authority) -> Invitation {
    Invitation {
        verifiers: vec![verifier.at.to_string()],
        authority: authority.pem(),
        token: Confidential::new("a-token-for-one-host"),
    }
}

fn authority_and_verifier() -> (Arc<Authority>, TestVerifier) {
    let authority = Arc::new(Authority::new("fleet"));
    let verifier = TestVerifier::listen(&authority.signed(For::Server), &authority);
    verifier.signs(&authority);
    (authority, verifier)
}

#[test]
fn a_host_that_has_joined_is_known_and_joins_again_only_when_it_is_told_to() {
    let (authority, verifier) = authority_and_verifier();
    let invitation = invitation_to(&verifier, &authority);
    let folder = tempfile::tempdir().unwrap();
    let (fleet, state) = (folder.path().join("fleet.toml"), folder.path().join("state"));
    let joining = |replace| Joining { fleet: &fleet, folder: &state, name: "web-1", replace };
    joining(false).join(&invitation).unwrap();
    let asked = verifier.questions().remove(0);
    assert_eq!((&asked.body["host"], &asked.body["token"]), (&json!("web-1"), &json!("a-token-for-one-host")));
    let mode = |name: &str| state.join(name).metadata().unwrap().mode() & 0o777;
    assert_eq!((state.metadata().unwrap().mode() & 0o777, mode(IDENTITY)), (0o700, 0o600));
    assert_eq!(fs::read_dir(&state).unwrap().count(), 2, "no other file stays");

    let report = ask_by(&Upstream::new(&fleet, &state)).unwrap();
    assert_eq!(report.exit_code(), 0);
    assert!(report.text().contains("version 9.9.9, knows this host as web-1, rights login; its clock is "));

    let before = fs::read(state.join(IDENTITY)).unwrap();
    let error = joining(false).join(&invitation).unwrap_err().to_string();
    assert!(error.contains("has joined a fleet already: ") && error.contains("--replace"), "{error}");
    assert_eq!(fs::read(state.join(IDENTITY)).unwrap(), before);
    joining(true).join(&invitation).unwrap();
    assert_ne!(fs::read(state.join(IDENTITY)).unwrap(), before);
    assert_eq!(ask_by(&Upstream::new(&fleet, &state)).unwrap().exit_code(), 0);
}

#[test]
fn a_host_that_may_not_join_is_told_why_and_keeps_nothing() {
    let (authority, verifier) = authority_and_verifier();
    let folder = tempfile::tempdir().unwrap();
    let (fleet, state) = (folder.path().join("fleet.toml"), folder.path().join("state"));
    let joining = Joining { fleet: &fleet, folder: &state, name: "web-1", replace: false };
    let join = |invitation: &Invitation| joining.join(invitation).unwrap_err().to_string();
    let invitation = invitation_to(&verifier, &authority);
    verifier.will_say([Say::Status(403, json!({"error": "the token is used\u{1b}", "hint": "ask for another one"}))]);
    let text = format!("{} does not let this host join: the token is used?\n  ask for another one", verifier.at);
    assert_eq!(join(&invitation), text);
    verifier.will_say([Say::Status(503, json!({"error": "no primary", "hint": "-"}))]);
    assert!(join(&invitation).starts_with(&format!("no verifier answers: {}: no primary\n", verifier.at)));
    verifier.will_say([Say::Status(200, json!({"certificate": "none"}))]);
    assert!(join(&invitation).contains("has no certificate in PEM"));
    // A certificate for another key is of no use.
    let other = authority.signed(For::Host);
    let (_, certificate) = other.split_once("-----BEGIN CERTIFICATE").unwrap();
    let certificate = format!("-----BEGIN CERTIFICATE{certificate}");
    verifier.will_say([Say::Status(200, json!({ "certificate": certificate }))]);
    assert!(join(&invitation).contains("key and certificate"));
    // A server that another authority has signed gets no token.
    let before = verifier.questions().len();
    let other = Invitation { authority: Authority::new("fleet").pem(), ..invitation.clone() };
    assert!(join(&other).contains("invalid peer certificate"));
    assert!(join(&Invitation { verifiers: vec![], ..invitation }).contains("names no verifiers"));
    assert_eq!((verifier.questions().len(), fs::read_dir(&state).unwrap().count(), fleet.exists()), (before, 0, false));
}

#[test]
fn an_invitation_is_read_as_it_was_printed_and_an_error_repeats_nothing() {
    let (authority, verifier) = authority_and_verifier();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let text = serde_json::to_string_pretty(&invitation_to(&verifier, &authority)).unwrap() + "\n";
    fs::write(&path, &text).unwrap();
    assert_eq!(invitation(&path).unwrap().token.expose(), "a-token-for-one-host");
    fs::write(&path, text.replace("\"token\"", "\"tokens\"")).unwrap();
    let error = invitation(&path).unwrap_err().to_string();
    assert!(error.contains("not as expected at line") && !error.contains("for-one-host"), "{error}");
    fs::remove_file(&path).unwrap();
    assert!(invitation(&path).unwrap_err().to_string().contains("No such file or directory"));
}

#[test]
fn a_certificate_is_renewed_over_itself_with_the_same_key() {
    let (authority, verifier) = authority_and_verifier();
    let host = TestHost::new(&authority, &authority.signed(For::OldHost), vec![verifier.at.clone()]);
    let path = host.folder.path().join(IDENTITY);
    let key = |text: &str| text.split_once("-----BEGIN CERTIFICATE").unwrap().0.to_owned();
    let before = fs::read_to_string(&path).unwrap();
    let fleet = host.upstream.fleet().unwrap();
    let until = fleet.identity.validity.until;

    // What is no better certificate changes nothing.
    verifier.will_say([
        Say::Status(200, json!({"certificate": "none"})),
        Say::Status(403, json!({"error": "no", "hint": "-"})),
    ]);
    renew(&fleet, host.folder.path());
    renew(&fleet, host.folder.path());
    assert_eq!(fs::read_to_string(&path).unwrap(), before);

    // The next question of a login is the occasion.
    let id = otp_core::value::request_id::RequestId([1; 16]);
    let question = otp_wire::LetInQuestion {
        id,
        user: otp_wire::User { name: "alice".into(), uid: 1000, gid: 1000 },
        place: otp_wire::Place::default(),
        why: otp_wire::WithoutCode::NothingAsked,
    };
    let ask = || -> otp_wire::LetInAnswer {
        host.upstream.ask(otp_wire::LET_IN, id, &question, Deadline::after(PATIENCE)).unwrap()
    };
    ask();
    if_due(&host.upstream);
    for _ in 0..500 {
        if fs::read_to_string(&path).unwrap() != before {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let after = fs::read_to_string(&path).unwrap();
    assert!(after != before && key(&after) == key(&before));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(host.upstream.fleet().unwrap().identity.validity.until.0 > until.0);
    ask();
    if_due(&host.upstream);
    let renewals = verifier.questions().iter().filter(|question| question.path == otp_wire::RENEW).count();
    assert_eq!((renewals, host.folder.path().join(AUTHORITY).exists()), (3, true));
}
