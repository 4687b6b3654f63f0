//! A verifier for tests: a real server of TLS in a thread, which answers rightly unless it is told otherwise.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use otp_core::config::fleet::{Fleet, Verifier};
use otp_core::value::time::{Seconds, UnixTime};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::upstream::Upstream;
use crate::upstream::identity::{AUTHORITY, IDENTITY};

/// What the verifier does with a question that it has read.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Answers it.
    Right,
    /// Answers it, and closes the connection.
    RightAndClose,
    /// Answers with this status and body.
    Status(u16, Value),
    /// Answers with this text as it is, and closes the connection.
    Text(String),
    /// Answers with another id.
    OtherId,
    /// Answers nothing, and keeps the connection.
    Silence,
    /// Sends a head, a byte at a time.
    Drip,
    /// Closes the connection.
    Close,
}

/// A question that came.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Question {
    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap()
    }
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Say>>,
    /// What the record of every user holds.
    record: Mutex<Value>,
    verdict: Mutex<Value>,
    /// The answer to what is asked of self service.
    own: Mutex<Value>,
    /// Whether users without a device need a passcode.
    logins_only: AtomicBool,
    questions: Mutex<Vec<Question>>,
    connections: AtomicUsize,
    authority: Mutex<Option<Arc<Authority>>>,
}

/// The authority of a fleet.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Which certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    Server,
    Host,
    /// One that lives until the day after tomorrow, and has lived for years.
    OldHost,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Key and certificate, in PEM.
    pub(crate) fn signed(&self, of: For) -> String {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = of == For::Server;
        params.extended_key_usages =
            vec![if server { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth }];
        if of == For::OldHost {
            params.not_before = date_time_ymd(2020, 1, 1);
            let day = UnixTime::now().after(Seconds(2 * 86_400)).day();
            let parts: Vec<i32> = day.split('-').map(|part| part.parse().unwrap()).collect();
            let [year, month, day] = *parts else { panic!("{day}") };
            params.not_after = date_time_ymd(year, month.try_into().unwrap(), day.try_into().unwrap());
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    /// The certificate for a signing request.
    fn signed_for(&self, request: &str) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(request).unwrap();
        request.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.signed_by(&self.0).unwrap().pem()
    }
}

/// A verifier that listens.
pub(crate) struct TestVerifier {
    pub(crate) at: Verifier,
    shared: Arc<Shared>,
}

impl TestVerifier {
    /// `identity` is key and certificate; hosts are those of `hosts`.
    pub(crate) fn listen(identity: &str, hosts: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(hosts.0.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let clients = clients.allow_unauthenticated().build().unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.as_bytes()).unwrap();
        let chain = CertificateDer::pem_slice_iter(identity.as_bytes()).map(Result::unwrap).collect();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = Verifier { name: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
        let shared = Arc::new(Shared::default());
        let (config, of_thread) = (Arc::new(config), Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, shared) = (Arc::clone(&config), Arc::clone(&of_thread));
                thread::spawn(move || shared.serve(stream.unwrap(), config));
            }
        });
        Self { at, shared }
    }

    /// The next answers; those after them are right.
    pub(crate) fn will_say(&self, says: impl IntoIterator<Item = Say>) {
        self.shared.script.lock().unwrap().extend(says);
    }

    pub(crate) fn forgets_what_to_say(&self) {
        self.shared.script.lock().unwrap().clear();
    }

    pub(crate) fn has_record(&self, record: Value) {
        *self.shared.record.lock().unwrap() = record;
    }

    pub(crate) fn gives_verdict(&self, verdict: &str, bare: &Value) {
        *self.shared.verdict.lock().unwrap() = json!({"verdict": verdict, "bare": bare});
    }

    pub(crate) fn answers_own(&self, reply: &Value, under_way: Option<&str>, event: &Value) {
        *self.shared.own.lock().unwrap() = json!({"reply": reply, "under_way": under_way, "event": event});
    }

    pub(crate) fn is_for_logins_only(&self) {
        self.shared.logins_only.store(true, Ordering::SeqCst);
    }

    /// Signs for hosts that join or renew.
    pub(crate) fn signs(&self, authority: &Arc<Authority>) {
        *self.shared.authority.lock().unwrap() = Some(Arc::clone(authority));
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        self.shared.questions.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) {
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let mut is_counted = false;
        while let Some(question) = read(&mut stream) {
            if !std::mem::replace(&mut is_counted, true) {
                self.connections.fetch_add(1, Ordering::SeqCst);
            }
            self.questions.lock().unwrap().push(question.clone());
            let is_known = stream.conn.peer_certificates().is_some();
            let say = self.script.lock().unwrap().pop_front().unwrap_or(Say::Right);
            let refused = Say::Status(403, json!({"error": "no certificate", "hint": "join"}));
            let say = if is_known || question.path == otp_wire::JOIN { say } else { refused };
            match say {
                Say::Right => send(&mut stream, 200, &self.answer(&question)),
                Say::RightAndClose => {
                    send(&mut stream, 200, &self.answer(&question));
                    return;
                }
                Say::Status(status, body) => send(&mut stream, status, &body),
                Say::Text(text) => {
                    let _ = stream.write_all(text.as_bytes());
                    return;
                }
                Say::OtherId => {
                    let mut answer = self.answer(&question);
                    answer["id"] = json!("5a".repeat(16));
                    send(&mut stream, 200, &answer);
                }
                Say::Silence => {
                    // Until the other end has enough of it.
                    let _ = stream.read(&mut [0]);
                    return;
                }
                Say::Drip => {
                    for byte in "HTTP/1.1 200 OK\r\n".bytes().chain(std::iter::repeat_n(b'a', 100_000)) {
                        thread::sleep(Duration::from_millis(20));
                        if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
                            return;
                        }
                    }
                }
                Say::Close => return,
            }
        }
    }

    fn answer(&self, question: &Question) -> Value {
        let id = &question.body["id"];
        match question.path.as_str() {
            otp_wire::OUTLINE => {
                let enrolls = !self.logins_only.load(Ordering::SeqCst);
                json!({"id": id, "record": *self.record.lock().unwrap(), "enrolls": enrolls, "sends": null})
            }
            otp_wire::SELF => {
                let mut said = self.own.lock().unwrap().clone();
                said["id"] = id.clone();
                said
            }
            otp_wire::VERIFY => {
                let said = self.verdict.lock().unwrap().clone();
                let said =
                    if said.is_null() { json!({"verdict": "accepted totp device 1", "bare": null}) } else { said };
                json!({"id": id, "verdict": said["verdict"], "bare": said["bare"]})
            }
            otp_wire::LET_IN => json!({ "id": id }),
            otp_wire::CHALLENGE => json!({"id": id, "challenge": "question 12345678"}),
            otp_wire::ADOPT | otp_wire::WOULD_ADOPT => {
                json!({"id": id, "outcome": {"record": "taken", "passcode": "taken"}})
            }
            otp_wire::PULL => json!({"id": id, "pulled": {"no-record": {}}}),
            otp_wire::ADMIN => json!({"id": id, "answer": {"reply": {"changed": true}}}),
            otp_wire::JOIN | otp_wire::RENEW => {
                let authority = self.authority.lock().unwrap().clone().unwrap();
                json!({"certificate": authority.signed_for(question.body["request"].as_str().unwrap())})
            }
            otp_wire::HELLO => {
                json!({"version": "9.9.9", "time": 7, "host": "web-1", "rights": ["login"], "scope": null, "sends": null})
            }
            path => panic!("{path}"),
        }
    }
}

fn send(stream: &mut impl Write, status: u16, body: &Value) {
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // The other end may be gone.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

fn read(stream: &mut impl Read) -> Option<Question> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if !stream.read(&mut byte).is_ok_and(|count| count == 1) {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |it| it.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    Some(Question { path, body: serde_json::from_slice(&body).unwrap_or_default() })
}

/// A host that has joined a fleet of these verifiers.
pub(crate) struct TestHost {
    pub(crate) upstream: Upstream,
    pub(crate) fleet: PathBuf,
    pub(crate) folder: TempDir,
}

impl TestHost {
    pub(crate) fn new(authority: &Authority, identity: &str, verifiers: Vec<Verifier>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fleet = folder.path().join("fleet.toml");
        fs::write(&fleet, Fleet { host: "web-1".into(), verifiers }.text()).unwrap();
        fs::write(folder.path().join(AUTHORITY), authority.pem()).unwrap();
        let path = folder.path().join(IDENTITY);
        fs::write(&path, identity).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        Self { upstream: Upstream::new(&fleet, folder.path()), fleet, folder }
    }
}

/// A host and so many verifiers of one fleet.
pub(crate) fn fleet(count: usize) -> (TestHost, Vec<TestVerifier>) {
    let authority = Authority::new("fleet");
    let listen = |_| TestVerifier::listen(&authority.signed(For::Server), &authority);
    let verifiers: Vec<_> = (0..count).map(listen).collect();
    let at = verifiers.iter().map(|verifier| verifier.at.clone()).collect();
    (TestHost::new(&authority, &authority.signed(For::Host), at), verifiers)
}
