//! Orders over TLS, to a real server at the other end.

use std::cell::RefCell;
use std::net::TcpListener;

use otp_core::config::fleet::Verifier;
use otp_core::protocol::administration::Service;
use otp_core::protocol::request::{Confidential, Token};
use serde_json::{Value, json};

use super::*;
use crate::test_verifier::{Authority, For, Say, TestHost, TestVerifier, fleet};

fn of_alice(order: UserOrder) -> Administration {
    Administration::User { name: "alice".into(), order }
}

fn unlock() -> Administration {
    of_alice(UserOrder::Unlock {})
}

fn issue() -> Administration {
    of_alice(UserOrder::IssuePasscode { valid: 3600, service: None })
}

const SEED: &str = "GEZDGNBVGY3TQOJQ";

fn token() -> Token {
    Token {
        r#type: "hotp".into(),
        suite: None,
        secret: Confidential::new(SEED),
        algorithm: "SHA1".into(),
        digits: 6,
        period: 30,
        counter: 0,
        app: false,
        serial: Some("A1".into()),
    }
}

/// The answer to root, and the lines of the log.
fn ordered(host: &TestHost, administration: Administration) -> (Value, Vec<String>) {
    let lines = RefCell::new(Vec::new());
    let log = |event: &Event<'_>| lines.borrow_mut().push(event.to_string());
    let answer = serde_json::to_value(administer(administration, 0, &host.upstream, &log)).unwrap();
    (answer, lines.into_inner())
}

#[test]
fn an_order_goes_to_a_verifier_with_who_gave_it_and_is_in_the_log() {
    let (host, verifiers) = fleet(1);
    let (answer, lines) = ordered(&host, unlock());
    assert_eq!(answer, json!({"verifier": {"reply": {"changed": true}}}));
    let question = verifiers[0].questions().remove(0);
    assert_eq!(question.path, ADMIN);
    let body =
        json!({"id": question.id(), "by": 0, "administration": {"user": {"name": "alice", "order": {"unlock": {}}}}});
    assert_eq!(question.body, body);
    assert!(lines.len() == 1 && lines[0].contains("user=alice") && lines[0].contains("unlocked"), "{lines:?}");
    // A look is in the audit of the fleet, and an order that changed nothing.
    let id_of = |verifiers: &[TestVerifier]| verifiers[0].questions().last().unwrap().id().to_owned();
    assert_eq!(ordered(&host, of_alice(UserOrder::Status {})).1, [""; 0]);
    assert_ne!(question.id(), id_of(&verifiers));
}

#[test]
fn what_may_be_done_twice_is_asked_again_with_its_id_where_no_answer_came() {
    let (host, verifiers) = fleet(2);
    verifiers[0].will_say([Say::Close]);
    assert_eq!(ordered(&host, unlock()).0, json!({"verifier": {"reply": {"changed": true}}}));
    let all: Vec<_> = verifiers.iter().flat_map(TestVerifier::questions).collect();
    assert!(all.len() >= 2 && all.iter().all(|question| question.id() == all[0].id()), "{all:?}");
}

#[test]
fn a_new_name_is_asked_for_again_too_and_is_in_the_log_once_it_is_given() {
    let (host, verifiers) = fleet(2);
    let rename = || Administration::Rename { from: "alice".into(), to: "alicia".into() };
    verifiers[0].will_say([Say::Close]);
    let (_, lines) = ordered(&host, rename());
    assert_eq!((verifiers.iter().map(|verifier| verifier.questions().len()).sum::<usize>(), lines.len()), (2, 0));
    let lines = RefCell::new(Vec::new());
    for renamed in [Renamed::NoRecord, Renamed::HasRecord, Renamed::Done] {
        note(&rename(), &Answer::Renamed(renamed), 0, &|event| lines.borrow_mut().push(event.to_string()));
    }
    assert_eq!(lines.into_inner(), ["renamed user=alicia by_uid=0 from=alice"]);
}

#[test]
fn what_may_not_be_done_twice_is_sent_once_and_the_answer_says_that_it_may_be_done() {
    let unconfirmed = Say::Status(504, json!({"error": "not confirmed in time", "hint": "wait"}));
    for lost in
        [Say::Close, Say::OtherId, unconfirmed, Say::Text("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".into())]
    {
        let code = || Confidential::new("123456");
        let orders = [
            issue(),
            of_alice(UserOrder::AddDevice { name: None, token: token(), code: None, next: None }),
            of_alice(UserOrder::RemoveDevice { device: "2".into() }),
            of_alice(UserOrder::Resync { device: None, first: code(), second: code() }),
        ];
        for order in orders {
            let (host, verifiers) = fleet(2);
            verifiers[0].will_say([lost.clone()]);
            let (answer, lines) = ordered(&host, order);
            assert!(answer.get("lost").is_some(), "{lost:?}: {answer}");
            assert_eq!([0, 1].map(|at| verifiers[at].questions().len()), [1, 0], "{lost:?}");
            assert!(lines.len() == 1 && lines[0].contains("was sent and has no answer"), "{lines:?}");
            assert!(!format!("{answer} {lines:?}").contains(SEED), "{answer}");
        }
    }
}

#[test]
fn what_a_verifier_has_not_begun_goes_to_the_next_one_and_is_undone_where_there_is_none() {
    let busy = || Say::Status(503, json!({"error": "all threads wait for the database", "hint": "wait"}));
    let (host, verifiers) = fleet(2);
    verifiers[0].will_say([busy()]);
    let (answer, lines) = ordered(&host, issue());
    assert_eq!(answer, json!({"verifier": {"reply": {"changed": true}}}));
    assert_eq!(([0, 1].map(|at| verifiers[at].questions().len()), lines.len()), ([1, 1], 1));
    verifiers.iter().for_each(|verifier| verifier.will_say([busy()]));
    assert_eq!(ordered(&host, issue()).0, json!({"verifier": {"reply": {"changed": true}}}), "soon one has time");
    verifiers.iter().for_each(|verifier| verifier.will_say(vec![busy(); 16]));
    let (answer, _) = ordered(&host, issue());
    let text = answer.to_string();
    assert!(answer.get("lost").is_none() && text.contains("no answer now: all threads wait"), "{text}");
}

#[test]
fn what_was_not_sent_goes_to_the_next_verifier() {
    let authority = Authority::new("fleet");
    let gone = Verifier {
        name: "127.0.0.1".into(),
        port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
    };
    let verifier = TestVerifier::listen(&authority.signed(For::Server), &authority);
    let host = TestHost::new(&authority, &authority.signed(For::Host), vec![gone, verifier.at.clone()]);
    let issued =
        json!({"user": "alice", "passcode": "K7QD-M3XA-92TE", "until": "2026-11-30T00:00:00Z", "service": null});
    // An answer with a secret: it is in no line.
    let with_passcode = |id: &str| json!({"id": id, "answer": {"reply": {"passcode": issued}}});
    let (answer, lines) = ordered(&host, issue());
    assert_eq!(answer, json!({"verifier": {"reply": {"changed": true}}}));
    assert_eq!((verifier.questions().len(), lines.len()), (1, 1));
    let reply: AdminAnswer = serde_json::from_value(with_passcode(&"a5".repeat(16))).unwrap();
    let lines = RefCell::new(Vec::new());
    note(&issue(), &reply.answer, 0, &|event| lines.borrow_mut().push(event.to_string()));
    let lines = lines.into_inner();
    assert!(lines.len() == 1 && lines[0].contains("passcode-issued") && !lines[0].contains("K7QD"), "{lines:?}");
}

#[test]
fn a_refusal_is_final_and_says_what_the_verifier_says() {
    let (host, verifiers) = fleet(2);
    let no = json!({"error": "host web-1 does not have the right admin", "hint": "see: otp-verifier host list"});
    let expected = json!({"failed": {
        "error": "the fleet refuses this host: host web-1 does not have the right admin",
        "hint": "see: otp-verifier host list",
    }});
    for order in [unlock(), issue(), Administration::Users { after: None, locked_by: None }] {
        verifiers[0].will_say([Say::Status(403, no.clone())]);
        let (answer, lines) = ordered(&host, order);
        assert_eq!((answer, lines.len()), (expected.clone(), 0));
    }
    assert!(verifiers[1].questions().is_empty());
    // A verifier that does not know the path did nothing.
    verifiers[0].will_say([Say::Status(404, json!({}))]);
    let (answer, _) = ordered(&host, issue());
    assert!(answer["failed"]["error"].as_str().unwrap().contains("status 404"), "{answer}");
}

#[test]
fn nobody_but_root_is_answered() {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = ours.into();
    let asker = Asker { uid: 1000, gid: 1000, socket: &socket };
    for asked in [Asked::Status {}, Asked::Administer(Box::new(unlock()))] {
        let answer = to(Question { fleet: asked }, &asker, &Memory::default());
        assert!(matches!(answer, Answered::Failed { error, .. } if error.starts_with("only root")));
    }
}

#[test]
fn a_status_says_what_each_verifier_is_and_renews_a_certificate_that_is_due() {
    let (host, verifiers) = fleet(2);
    verifiers[1].will_say([Say::Status(403, json!({"error": "suspended", "hint": "-"}))]);
    let status = hello::status(&host.upstream).unwrap();
    let said: Vec<_> = status.verifiers.iter().map(|verifier| verifier.error.as_deref()).collect();
    assert_eq!(said, [None, Some("suspended")]);
    assert_eq!(status.service(), Service::Partial);
    assert!(status.verifiers[0].clock_ahead.is_some_and(|ahead| ahead < -1_000_000));
    assert!(status.certificate.not_renewed.is_none());
    // One that ends in two days.
    let authority = std::sync::Arc::new(Authority::new("fleet"));
    let verifier = TestVerifier::listen(&authority.signed(For::Server), &authority);
    let host = TestHost::new(&authority, &authority.signed(For::OldHost), vec![verifier.at.clone()]);
    // The order in which the two questions come is not known.
    verifier.will_say([
        Say::Status(403, json!({"error": "no", "hint": "-"})),
        Say::Status(403, json!({"error": "no", "hint": "-"})),
    ]);
    let status = hello::status(&host.upstream).unwrap();
    let why = status.certificate.not_renewed.unwrap();
    assert!(status.certificate.days_left < 3 && why.contains("no"), "{why}");
    verifier.signs(&authority);
    let status = hello::status(&host.upstream).unwrap();
    assert!(status.certificate.not_renewed.is_none() && status.certificate.days_left > 30, "{status:?}");
}
