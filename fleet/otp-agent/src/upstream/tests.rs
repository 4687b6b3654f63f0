//! A question and what may become of its answer, over TLS and with a real server at the other end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use otp_wire::{OUTLINE, OutlineAnswer, OutlineQuestion, Place, User};
use serde_json::json;

use super::*;
use crate::test_verifier::{Authority, For, Say, TestHost, TestVerifier, fleet};

const ID: RequestId = RequestId([0xa5; 16]);

fn ask_within(host: &TestHost, milliseconds: u64) -> Result<OutlineAnswer, UpstreamError> {
    let user = User { name: "alice".into(), uid: 1000, gid: 1000 };
    let question = OutlineQuestion { id: ID, user, place: Place::default() };
    host.upstream.ask(OUTLINE, ID, &question, Deadline::after(Duration::from_millis(milliseconds)))
}

/// Long enough for a machine that is busy.
fn ask(host: &TestHost) -> Result<OutlineAnswer, UpstreamError> {
    ask_within(host, 20_000)
}

fn unreachable(answer: Result<OutlineAnswer, UpstreamError>) -> String {
    match answer {
        Err(UpstreamError::Unreachable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn questions_share_a_connection_and_one_that_was_closed_is_made_again() {
    let (host, verifiers) = fleet(1);
    let verifier = &verifiers[0];
    verifier.will_say([Say::Right, Say::Right, Say::RightAndClose]);
    for connections in [1, 1, 1, 2, 2] {
        assert_eq!(ask(&host), Ok(OutlineAnswer { id: ID, record: None, enrolls: true, sends: None }));
        assert_eq!(verifier.connections(), connections);
    }
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ask(&host).unwrap());
        }
    });
    assert!(verifier.connections() <= 10 && verifier.questions().len() == 13);
}

#[test]
fn a_question_whose_answer_is_lost_is_asked_again_with_its_id_and_the_one_that_failed_is_asked_last() {
    let short = Say::Text("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"id\"".into());
    let long = Say::Text(format!("HTTP/1.1 200 OK\r\nContent-Length: 16385\r\n\r\n{}", " ".repeat(16_385)));
    let busy = Say::Status(503, json!({"error": "no primary", "hint": "wait"}));
    for lost in [Say::Close, short, long, busy, Say::OtherId, Say::Text("SSH-2.0\r\n\r\n".into())] {
        let (host, verifiers) = fleet(2);
        verifiers[0].will_say([lost.clone()]);
        assert!(ask(&host).is_ok(), "{lost:?}");
        let asked = [0, 1].map(|at| verifiers[at].questions());
        assert!(!asked[0].is_empty() && asked[1].len() == 1, "{lost:?} {asked:?}");
        assert!(asked.iter().flatten().all(|question| question.id() == ID.to_string()), "{lost:?}");
        assert!(ask(&host).is_ok());
        assert_eq!(verifiers[0].questions().len(), asked[0].len(), "{lost:?}");
        assert_eq!(verifiers[1].questions().len(), 2, "{lost:?}");
    }
}

#[test]
fn a_verifier_that_says_nothing_leaves_time_for_the_next_one() {
    for silent in [Say::Silence, Say::Drip] {
        let (host, verifiers) = fleet(2);
        verifiers[0].will_say([silent.clone()]);
        assert!(ask_within(&host, 4000).is_ok(), "{silent:?}");
        assert_eq!([0, 1].map(|at| verifiers[at].questions().len()), [1, 1], "{silent:?}");
    }
}

#[test]
fn silence_has_an_end_however_slowly_it_is_broken() {
    for silent in [Say::Silence, Say::Drip] {
        let (host, verifiers) = fleet(1);
        verifiers[0].will_say([silent]);
        let why = unreachable(ask_within(&host, 1500));
        assert_eq!(why, format!("{}: timed out", verifiers[0].at));
        assert_eq!(verifiers[0].questions().len(), 1);
    }
}

#[test]
fn a_verifier_without_an_answer_is_asked_again_until_it_has_one() {
    let (host, verifiers) = fleet(1);
    let busy = Say::Status(503, json!({"error": "no primary", "hint": "wait"}));
    verifiers[0].will_say(vec![busy.clone(); 3]);
    assert!(ask(&host).is_ok());
    assert_eq!(verifiers[0].questions().len(), 4);
    verifiers[0].will_say(vec![busy; MOST_TRIES]);
    assert_eq!(unreachable(ask(&host)), format!("{}: no answer now: no primary", verifiers[0].at));
    assert_eq!(verifiers[0].questions().len(), 4 + MOST_TRIES);
}

#[test]
fn a_refusal_of_the_host_is_final() {
    let problem = || Problem { error: "this host is suspended".into(), hint: "ask".into() };
    for (status, error) in [(403, UpstreamError::Forbidden(problem())), (429, UpstreamError::Spent(problem()))] {
        let (host, verifiers) = fleet(2);
        verifiers[0].will_say([Say::Status(status, json!({"error": "this host is suspended", "hint": "ask"}))]);
        assert_eq!(ask(&host), Err(error));
        assert_eq!([0, 1].map(|at| verifiers[at].questions().len()), [1, 0]);
        verifiers[0].will_say([Say::Status(status, json!({"odd": true}))]);
        let said = match ask(&host) {
            Err(UpstreamError::Forbidden(said) | UpstreamError::Spent(said)) => said,
            other => panic!("{other:?}"),
        };
        assert_eq!(said.error, "it gives no reason");
    }
}

#[test]
fn an_answer_that_cannot_be_used_is_no_sign_that_the_network_is_cut() {
    let (host, verifiers) = fleet(1);
    let at = &verifiers[0].at;
    let more = json!({"id": ID.to_string(), "record": null, "enrolls": true, "sends": null, "more": 1});
    for (say, why) in [
        (Say::OtherId, "its answer is not to this question"),
        (Say::Status(200, json!({"id": ID.to_string()})), "its answer is not to this question"),
        (Say::Status(200, more), "its answer is not to this question"),
        (Say::Status(400, json!({"error": "no such path", "hint": "-"})), "status 400: no such path"),
        (Say::Status(302, json!("x")), "status 302: it gives no reason"),
    ] {
        verifiers[0].will_say(vec![say; MOST_TRIES]);
        assert_eq!(ask(&host), Err(UpstreamError::Unusable(format!("{at}: {why}"))));
    }
}

#[test]
fn a_server_that_is_no_verifier_of_this_fleet_is_sent_no_question() {
    let (ours, other) = (Authority::new("fleet"), Authority::new("fleet"));
    // A host's own certificate is signed by the same authority, and is none for a server.
    for identity in [other.signed(For::Server), ours.signed(For::Host)] {
        let verifier = TestVerifier::listen(&identity, &ours);
        let host = TestHost::new(&ours, &ours.signed(For::Host), vec![verifier.at.clone()]);
        let why = unreachable(ask_within(&host, 1500));
        assert!(why.contains("invalid peer certificate"), "{why}");
        assert!(verifier.questions().is_empty());
    }
    // Nor is one of another name.
    let verifier = TestVerifier::listen(&ours.signed(For::Server), &ours);
    let elsewhere = otp_core::config::fleet::Verifier { name: "localhost".into(), port: verifier.at.port };
    let host = TestHost::new(&ours, &ours.signed(For::Host), vec![elsewhere]);
    let why = unreachable(ask_within(&host, 1500));
    assert!(why.contains("certificate") || why.contains("name"), "{why}");
    assert!(verifier.questions().is_empty());
}

#[test]
fn a_host_whose_certificate_is_not_the_fleets_is_told_so() {
    let (ours, other) = (Authority::new("fleet"), Authority::new("fleet"));
    let verifier = TestVerifier::listen(&ours.signed(For::Server), &ours);
    let host = TestHost::new(&ours, &other.signed(For::Host), vec![verifier.at.clone()]);
    let why = unreachable(ask_within(&host, 1500));
    assert!(why.contains("alert"), "{why}");
    assert!(verifier.questions().is_empty());
}

#[test]
fn a_port_at_which_no_server_listens_is_unreachable_and_named() {
    let (host, verifiers) = fleet(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone =
        otp_core::config::fleet::Verifier { name: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    drop(listener);
    let text = |verifiers| otp_core::config::fleet::Fleet { host: "web-1".into(), verifiers }.text();
    fs::write(&host.fleet, text(vec![gone.clone()])).unwrap();
    assert_eq!(unreachable(ask_within(&host, 1000)), format!("{gone}: Connection refused"));
    // The files are read again when they have changed.
    fs::write(&host.fleet, text(vec![gone, verifiers[0].at.clone()])).unwrap();
    assert!(ask(&host).is_ok());
}

#[test]
fn files_that_cannot_be_used_are_an_error_of_this_host() {
    let (host, verifiers) = fleet(1);
    let identity = host.folder.path().join(identity::IDENTITY);
    let why = |host: &TestHost| match ask(host) {
        Err(UpstreamError::UnfitFiles(why)) => why.replace(&host.folder.path().display().to_string(), ""),
        other => panic!("{other:?}"),
    };
    fs::set_permissions(&identity, PermissionsExt::from_mode(0o640)).unwrap();
    fs::write(&host.fleet, fs::read(&host.fleet).unwrap()).unwrap();
    assert_eq!(why(&host), "/identity.pem: must belong to root, and be closed to others");
    fs::set_permissions(&identity, PermissionsExt::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(&identity).unwrap();
    let other = Authority::new("fleet").signed(For::Host);
    let (key, _) = other.split_once("-----BEGIN CERTIFICATE").unwrap();
    let (_, certificate) = text.split_once("-----BEGIN CERTIFICATE").unwrap();
    for (text, expected) in [
        (String::new(), "/identity.pem: has no key in PEM"),
        (key.to_owned(), "/identity.pem: has no certificate in PEM"),
        (
            format!("{key}-----BEGIN CERTIFICATE{certificate}"),
            "/identity.pem: key and certificate: keys may not be consistent",
        ),
    ] {
        fs::write(&identity, text).unwrap();
        assert!(why(&host).starts_with(expected.split(": keys").next().unwrap()), "{}", why(&host));
    }
    fs::remove_file(&host.fleet).unwrap();
    match ask(&host) {
        Err(UpstreamError::NotJoined(why)) => assert!(why.ends_with("/fleet.toml: No such file or directory"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(verifiers[0].questions().is_empty());
}

#[test]
fn a_certificate_is_due_in_the_last_third_of_its_life() {
    let validity = Validity { from: UnixTime(1000), until: UnixTime(4000) };
    assert_eq!([0, 2999, 3001, 4000, 5000].map(|now| validity.is_due(UnixTime(now))), [false, false, true, true, true]);
}
