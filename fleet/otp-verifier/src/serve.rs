//! The front: TLS 1.3 with certificates on both sides, HTTP/1.1, one POST a question.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use otp_core::codes::challenge::Challenge;
use otp_wire::{
    ADMIN, ADOPT, CHALLENGE, HELLO, JOIN, LET_IN, LONGEST_BODY, OUTLINE, PULL, Problem, RENEW, SELF, VERIFY,
    WOULD_ADOPT, read,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use crate::answered::{Answer, Answered, Failure, Outgoing};
use crate::asked::Asked;
use crate::authority::{certificates, name_of_key};
use crate::config::Config;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::guests::Guests;
use crate::log;
use crate::messenger::note_event;
use crate::watched::Watched;
use crate::work::{PATIENCE, Work};

/// How long a host may take to introduce itself, and to send the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(3600);
/// How often the files of certificate and keys are looked at.
const EVERY: Duration = Duration::from_secs(5);
/// Most hosts that join at a time: strangers that try tokens leave the other threads to hosts.
const MOST_JOINING: usize = 2;
/// Most messages on their way at a time. The sender has sixteen places.
const MOST_SENDING: usize = 16;
/// Most connections at a time.
const MOST_CONNECTIONS: usize = 20_000;
/// Most of them of one host: a few for its agent, and those of a server of RADIUS.
const MOST_OF_A_HOST: usize = 128;

/// What names the key of the certificate at the other end of a connection; `None` without one.
#[derive(Clone, Copy)]
struct Key(Option<[u8; 32]>);

/// What all questions share.
#[derive(Clone)]
struct Front {
    fleet: Arc<Fleet>,
    work: Work,
    joining: Arc<Semaphore>,
    sending: Arc<Semaphore>,
}

/// What all connections share.
#[derive(Clone)]
struct Door {
    fleet: Arc<Fleet>,
    router: Router,
    /// The present one: a connection keeps the certificate that it began with.
    tls: watch::Receiver<TlsAcceptor>,
    free: Arc<Semaphore>,
    guests: Guests,
}

/// Serves hosts on every address, until the process ends.
pub(crate) async fn serve(fleet: Arc<Fleet>, work: Work) -> Result<(), Error> {
    let (present, tls) = watch::channel(tls(&fleet.config)?);
    let front = Front {
        fleet: Arc::clone(&fleet),
        work,
        joining: Arc::new(Semaphore::new(MOST_JOINING)),
        sending: Arc::new(Semaphore::new(MOST_SENDING)),
    };
    let door = Door {
        fleet: Arc::clone(&fleet),
        router: routes(front),
        tls,
        free: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
        guests: Guests::default(),
    };
    let mut listeners = Vec::new();
    for address in &fleet.config.listen {
        listeners.push(bound(*address).await?);
    }
    let metrics = match fleet.config.metrics {
        Some(address) => Some(bound(address).await?),
        None => None,
    };
    crate::systemd::ready();
    let mut tasks = vec![tokio::spawn(replaced(Arc::clone(&fleet), present))];
    for listener in listeners {
        tasks.push(tokio::spawn(accept(listener, door.clone())));
    }
    if let Some(listener) = metrics {
        tasks.push(tokio::spawn(accept_metrics(listener, fleet)));
    }
    for task in tasks {
        let _ = task.await;
    }
    Ok(())
}

/// Looks for a new certificate and for other keys. What cannot be used is told once, and what is there stays in use.
async fn replaced(fleet: Arc<Fleet>, present: watch::Sender<TlsAcceptor>) {
    let config = &fleet.config;
    let mut certificate = Watched::of([config.certificate(), config.key(), config.authority()]);
    let mut keys = Watched::of([config.key_file()]);
    let mut configuration = Watched::of([config.path.clone()]);
    let mut last = config.clone();
    loop {
        tokio::time::sleep(EVERY).await;
        if certificate.is_changed() {
            match tls(config) {
                Ok(tls) => {
                    present.send_replace(tls);
                    log::notice("the certificate was replaced: new connections have the new one");
                }
                Err(error) => log::error(&format!("the certificate was replaced, and the old one is used: {error}")),
            }
        }
        if keys.is_changed() {
            match config.keys() {
                Ok(keys) => {
                    fleet.replace_keys(keys);
                    log::notice("the keys that seal records were replaced");
                }
                Err(error) => log::error(&format!("the keys were replaced, and the old ones are used: {error}")),
            }
        }
        if configuration.is_changed() {
            match Config::load(&config.path) {
                Ok(new) => {
                    fleet.replace_export_to(new.export_to.clone());
                    log::notice(changed(config, &last, &new));
                    last = new;
                }
                Err(error) => log::error(&format!("the configuration has changed, and is not used: {error}")),
            }
        }
    }
}

/// What of a configuration that was written again is in force.
fn changed(begun: &Config, last: &Config, new: &Config) -> &'static str {
    let rest = Config { export_to: begun.export_to.clone(), ..new.clone() };
    match (last.export_to == new.export_to, rest == *begun) {
        (false, true) => "export_to has changed, and is in force",
        (false, false) => "export_to has changed, and is in force; the rest of the configuration needs a restart",
        (true, false) => "the configuration has changed: it needs a restart",
        (true, true) => "the configuration was written again, and says the same",
    }
}

async fn bound(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        Error::new(
            format!("cannot listen on {address}: {error}"),
            "see listen in the configuration, and what else uses the port",
        )
    })
}

async fn accept(listener: TcpListener, door: Door) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files: others will end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&door.free).try_acquire_owned() else { continue };
        let door = door.clone();
        tokio::spawn(async move {
            connection(stream, door).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, door: Door) {
    let Door { fleet, router, tls, guests, .. } = door;
    let _ = stream.set_nodelay(true);
    let tls = tls.borrow().clone();
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else {
        fleet.metrics.handshakes_failed.add();
        return;
    };
    let key = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).and_then(name_of_key);
    let guest = key.map(|key| guests.enter(key, MOST_OF_A_HOST));
    if let Some(None) = guest {
        fleet.metrics.connections_refused.add();
        return;
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Key(key));
        router.clone().call(request)
    });
    // A machine that is no host yet has one question, and holds no place without it.
    let idle = if key.is_some() { IDLE } else { HANDSHAKE };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_headers(32);
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// Certificates of hosts are the authority's; who has none may only join.
fn tls(config: &Config) -> Result<TlsAcceptor, Error> {
    let unfit = |error: &dyn std::fmt::Display| {
        Error::new(format!("TLS: {error}"), "run otp-verifier init, or restore its folder")
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&config.authority())? {
        roots.add(certificate).map_err(|error| unfit(&error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let clients = clients.allow_unauthenticated().build().map_err(|error| unfit(&error))?;
    let key = PrivateKeyDer::from_pem_file(config.key()).map_err(|error| unfit(&error))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unfit(&error))?
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates(&config.certificate())?, key)
        .map_err(|error| unfit(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn routes(front: Front) -> Router {
    Router::new()
        .route(OUTLINE, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Outline))))
        .route(
            CHALLENGE,
            post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Challenge))),
        )
        .route(VERIFY, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Verify))))
        .route(LET_IN, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::LetIn))))
        .route(
            SELF,
            post(|front, key, request| asked(front, key, request, |body| read(body).map(Box::new).map(Asked::Own))),
        )
        .route(ADOPT, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Adopt))))
        .route(
            WOULD_ADOPT,
            post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::WouldAdopt))),
        )
        .route(ADMIN, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Admin))))
        .route(PULL, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Pull))))
        .route(JOIN, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Join))))
        .route(RENEW, post(|front, key, request| asked(front, key, request, |body| read(body).map(Asked::Renew))))
        .route(HELLO, get(|front, key, request| asked(front, key, request, |_| Ok(Asked::Hello))))
        .with_state(front)
}

impl Front {
    /// Sends what goes out with an answer, in a thread that decides on nothing: a program that sends has ten seconds.
    async fn deliver(&self, answered: Answered) -> Answered {
        let Ok(Answer { body, message: Some(Outgoing { ready, otherwise }) }) = answered else { return answered };
        let send = match Arc::clone(&self.sending).try_acquire_owned() {
            Ok(place) => {
                let send = move || {
                    let is_sent = ready.send(&note_event) != Challenge::NotSent;
                    drop(place);
                    is_sent
                };
                tokio::task::spawn_blocking(send).await
            }
            Err(_) => {
                log::warning("a message was not sent: as many as may be are on their way");
                Ok(false)
            }
        };
        let is_sent = matches!(send, Ok(true));
        let count = if is_sent { &self.fleet.metrics.sent } else { &self.fleet.metrics.not_sent };
        count.add();
        Ok(Answer { body: if is_sent { body } else { otherwise }, message: None })
    }
}

async fn asked(
    State(front): State<Front>,
    Extension(Key(key)): Extension<Key>,
    request: Request,
    to_asked: fn(&[u8]) -> Result<Asked, String>,
) -> Response {
    let Ok(Ok(body)) = tokio::time::timeout(HANDSHAKE, to_bytes(request.into_body(), LONGEST_BODY)).await else {
        return said(Err(Failure::malformed("the body is too long or does not come")));
    };
    let asked = match to_asked(&body) {
        Ok(asked) => asked,
        Err(what) => return said(Err(Failure::malformed(&what))),
    };
    front.fleet.metrics.asked.add();
    let is_joining = matches!(asked, Asked::Join(_));
    // Without a place in the queue, which is for hosts.
    if key.is_none() && !is_joining {
        front.fleet.metrics.not_permitted.add();
        return said(Err(Failure::without_certificate()));
    }
    if !is_joining {
        return said(front.deliver(front.work.ask(asked, key, &front.fleet).await).await);
    }
    // A rack of hosts that join at once waits here, and so does a flood of strangers; neither takes a host's place in the queue.
    match tokio::time::timeout(PATIENCE, front.joining.acquire()).await {
        Ok(Ok(_place)) => said(front.work.ask(asked, key, &front.fleet).await),
        Ok(Err(_)) | Err(_) => said(Err(Failure::not_begun("other hosts are joining"))),
    }
}

fn said(answer: Answered) -> Response {
    let (status, body) = match answer {
        Ok(Answer { body, .. }) => (StatusCode::OK, body),
        Err(Failure { status, error, hint }) => {
            let problem = serde_json::to_vec(&Problem { error, hint });
            (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), problem.unwrap_or_default())
        }
    };
    (status, [(header::CONTENT_TYPE, "application/json")], Bytes::from(body)).into_response()
}

async fn accept_metrics(listener: TcpListener, fleet: Arc<Fleet>) {
    let router = Router::new()
        .route("/metrics", get(|State(fleet): State<Arc<Fleet>>| async move { fleet.metrics_text() }))
        .route("/healthz", get(healthz))
        .with_state(fleet);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).keep_alive(false);
            let _ = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
        });
    }
}

async fn healthz(State(fleet): State<Arc<Fleet>>) -> Response {
    let (health, trouble) = (fleet.servers.health(), fleet.trouble());
    let (status, first) = match (trouble, health.primary) {
        (Some(trouble), _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        (None, primary) => {
            let primary = primary.unwrap_or_default();
            (StatusCode::OK, format!("ok: {primary} is primary on timeline {}\n", health.timeline))
        }
    };
    let text = health.faults.iter().fold(first, |text, fault| text + fault + "\n");
    (status, Body::from(text)).into_response()
}
