//! One verifier: where it is, the connections to it that are open, and whether it has failed.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use otp_core::config::fleet::Verifier;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use crate::budgets::now;
use crate::upstream::deadline::Deadline;
use crate::upstream::http::{self, Answer, NoAnswer, Request, is_closed};

/// How long an address, and TLS with it, may take. A machine that is off answers nothing at all.
const CONNECT: Duration = Duration::from_millis(800);

/// How long an open connection is kept without a question. Servers close theirs later.
const IDLE: Duration = Duration::from_secs(20);

/// Most open connections without a question.
const MOST_IDLE: usize = 16;

/// How long a verifier that failed is asked after the others.
const FAILED: Duration = Duration::from_secs(30);

/// How long the addresses of a name are believed without asking again.
const KNOWN: Duration = Duration::from_secs(60);

pub(crate) struct Peer {
    pub(crate) verifier: Verifier,
    name: ServerName<'static>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    idle: Vec<(Instant, Connection)>,
    failed: Option<Instant>,
    addresses: Vec<SocketAddr>,
    looked_up: Option<Instant>,
}

/// Why a question that is asked once has no answer.
pub(crate) enum Once {
    /// It was not sent.
    NotSent(NoAnswer),
    /// It was, or a part of it.
    Lost(NoAnswer),
}

impl Peer {
    /// `None` if the name can be no name in a certificate.
    pub(crate) fn new(verifier: Verifier) -> Option<Self> {
        let name = ServerName::try_from(verifier.name.clone()).ok()?;
        Some(Self { verifier, name, memory: Mutex::default() })
    }

    /// Whether it has failed a short time ago.
    pub(crate) fn has_failed(&self) -> bool {
        self.memory().failed.is_some_and(|at| at.elapsed() < FAILED)
    }

    pub(crate) fn note(&self, has_failed: bool) {
        self.memory().failed = has_failed.then(now);
    }

    /// Asks, over a connection that is open or a new one.
    pub(crate) fn ask(
        &self,
        tls: &Arc<ClientConfig>,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Answer, NoAnswer> {
        while let Some(mut connection) = self.idle() {
            match connection.ask(request, deadline) {
                // The verifier has closed it meanwhile.
                Err(NoAnswer::ClosedBefore) => {}
                answer => return self.keep(connection, answer),
            }
        }
        let mut connection = self.connect(tls, deadline)?;
        let answer = connection.ask(request, deadline);
        self.keep(connection, answer)
    }

    /// Asks over a new connection, once: it is known whether the question was sent.
    pub(crate) fn ask_once(
        &self,
        tls: &Arc<ClientConfig>,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Answer, Once> {
        let mut connection = self.connect(tls, deadline).map_err(|error| Once::NotSent(error.into()))?;
        let answer = connection.ask(request, deadline);
        self.keep(connection, answer).map_err(Once::Lost)
    }

    /// Leaves the connection to the next question, unless there was anything about it.
    fn keep(&self, connection: Connection, answer: Result<Answer, NoAnswer>) -> Result<Answer, NoAnswer> {
        let answer = answer?;
        let mut memory = self.memory();
        if answer.is_kept && memory.idle.len() < MOST_IDLE {
            memory.idle.push((now(), connection));
        }
        Ok(answer)
    }

    fn idle(&self) -> Option<Connection> {
        let mut memory = self.memory();
        memory.idle.retain(|(since, _)| since.elapsed() < IDLE);
        memory.idle.pop().map(|(_, connection)| connection)
    }

    fn connect(&self, tls: &Arc<ClientConfig>, deadline: Deadline) -> io::Result<Connection> {
        let mut failure = io::Error::other("its name has no address");
        for address in self.addresses(deadline)? {
            let deadline = deadline.within(CONNECT);
            let left = deadline.left()?;
            match TcpStream::connect_timeout(&address, left).and_then(|stream| self.begin(tls, stream, deadline)) {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Does the handshake at once, so that a wrong certificate is an error of the connection and the question is not sent.
    fn begin(&self, tls: &Arc<ClientConfig>, stream: TcpStream, deadline: Deadline) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        let client = ClientConnection::new(Arc::clone(tls), self.name.clone()).map_err(io::Error::other)?;
        let mut connection = Connection(StreamOwned::new(client, Timed { stream, deadline }));
        while connection.0.conn.is_handshaking() {
            connection.0.conn.complete_io(&mut connection.0.sock)?;
        }
        Ok(connection)
    }

    /// The addresses of the name. A look-up ends when the resolver says so, which may be late: it has a thread of its own.
    fn addresses(&self, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
        let Verifier { name, port } = &self.verifier;
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, *port)]);
        }
        let known = {
            let memory = self.memory();
            let is_fresh = memory.looked_up.is_some_and(|at| at.elapsed() < KNOWN);
            if is_fresh && !memory.addresses.is_empty() {
                return Ok(memory.addresses.clone());
            }
            memory.addresses.clone()
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        let target = (name.clone(), *port);
        thread::Builder::new().spawn(move || {
            let found = (target.0.as_str(), target.1).to_socket_addrs();
            // Fails if the asker has given up.
            let _ = sender.send(found.map(Iterator::collect::<Vec<_>>));
        })?;
        let answer = receiver.recv_timeout(deadline.within(CONNECT).left()?);
        match answer.unwrap_or_else(|_| Err(io::Error::other("its name is not looked up in time"))) {
            Ok(found) => {
                let mut memory = self.memory();
                (memory.addresses, memory.looked_up) = (found.clone(), Some(now()));
                Ok(found)
            }
            // What was known is better than nothing: the certificate says who answers.
            Err(error) => {
                if known.is_empty() {
                    Err(error)
                } else {
                    Ok(known)
                }
            }
        }
    }

    /// No thread panics while it holds this.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Connection(StreamOwned<ClientConnection, Timed>);

impl Connection {
    fn ask(&mut self, request: &Request, deadline: Deadline) -> Result<Answer, NoAnswer> {
        self.0.sock.deadline = deadline;
        match self.0.write_all(request.bytes()).and_then(|()| self.0.flush()) {
            Ok(()) => http::read(&mut self.0),
            Err(error) if is_closed(&error) => {
                // It may have said why: a certificate that is not wanted is refused after the handshake (RFC 8446 §4.4.2.4).
                match http::read(&mut self.0) {
                    Err(NoAnswer::Io(why)) if !is_closed(&why) => Err(NoAnswer::Io(why)),
                    Ok(_) | Err(_) => Err(NoAnswer::ClosedBefore),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A connection whose calls end at a deadline, however few bytes come at a time.
struct Timed {
    stream: TcpStream,
    deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        self.stream.read(into).map_err(timed_out)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        self.stream.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What the kernel says of a call whose time is over.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
