//! HTTP/1.1 as agent and verifier need it: a request with a body, and an answer whose length is known.
//!
//! Strict: what a verifier does not send is an error, and nothing of the answer is in its text.

use std::fmt::Write as _;
use std::io::{self, Read};

use otp_wire::LONGEST_BODY;
use zeroize::Zeroizing;

/// Most bytes of the head of an answer.
const LONGEST_HEAD: usize = 4096;

/// Most lines of it.
const MOST_LINES: usize = 40;

/// A question. The body is wiped when it is gone.
pub(crate) struct Request {
    bytes: Zeroizing<Vec<u8>>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Whether the next question may be asked over the same connection.
    pub(crate) is_kept: bool,
}

impl Request {
    /// `host` is the verifier's name and port. Without a body it is a GET.
    pub(crate) fn new(path: &str, host: &str, body: Option<&[u8]>) -> Self {
        let mut head = String::with_capacity(256);
        let method = if body.is_some() { "POST" } else { "GET" };
        // Writing to a string cannot fail.
        let _ = write!(head, "{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        if let Some(body) = body {
            let _ = write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let body = body.unwrap_or_default();
        // Of its full size at once: a buffer that grows leaves copies of what was typed behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(head.len().saturating_add(body.len())));
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body);
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The connection was closed before the first byte: the question may never have been read.
    ClosedBefore,
    Io(io::Error),
    /// What came is no answer of a verifier.
    Unfit(&'static str),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads an answer.
pub(crate) fn read(stream: &mut impl Read) -> Result<Answer, NoAnswer> {
    let longest = LONGEST_HEAD.saturating_add(LONGEST_BODY);
    let (mut bytes, mut length) = (Zeroizing::new(vec![0u8; longest]), 0usize);
    let end = loop {
        if let Some(end) = end_of_head(bytes.get(..length).unwrap_or_default()) {
            break end;
        }
        let rest = bytes.get_mut(length..LONGEST_HEAD).filter(|rest| !rest.is_empty());
        let received = receive(stream, rest.ok_or(NoAnswer::Unfit("its head is too long"))?, length == 0)?;
        length = length.saturating_add(received);
    };
    let head = Head::parse(bytes.get(..end).unwrap_or_default()).map_err(NoAnswer::Unfit)?;
    let whole = end.saturating_add(head.length);
    while length < whole {
        let rest = bytes.get_mut(length..whole).ok_or(NoAnswer::Unfit("its body is too long"))?;
        length = length.saturating_add(receive(stream, rest, false)?);
    }
    if length > whole {
        return Err(NoAnswer::Unfit("more follows it than was announced"));
    }
    let body = Zeroizing::new(bytes.get(end..whole).unwrap_or_default().to_vec());
    Ok(Answer { status: head.status, body, is_kept: head.is_kept })
}

/// At least one byte.
fn receive(stream: &mut impl Read, into: &mut [u8], is_first: bool) -> Result<usize, NoAnswer> {
    loop {
        return match stream.read(into) {
            Ok(0) if is_first => Err(NoAnswer::ClosedBefore),
            Ok(0) => Err(NoAnswer::Unfit("it ends too early")),
            Ok(received) => Ok(received),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_first && is_closed(&error) => Err(NoAnswer::ClosedBefore),
            // An attacker may have cut a connection that is closed without TLS's goodbye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(NoAnswer::Unfit("it ends too early")),
            Err(error) => Err(error.into()),
        };
    }
}

/// Whether the other end has closed the connection.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at.saturating_add(4))
}

struct Head {
    status: u16,
    length: usize,
    is_kept: bool,
}

impl Head {
    /// Reads a head, its empty line included (RFC 9112 §2).
    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).ok_or("its head is not ASCII")?;
        let text = text.strip_suffix("\r\n\r\n").unwrap_or(text);
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(status).ok_or("it does not begin as an answer of HTTP/1.1")?;
        let (mut length, mut is_kept) = (None, true);
        for (number, line) in lines.enumerate() {
            if number >= MOST_LINES {
                return Err("its head has too many lines");
            }
            let (name, value) =
                line.split_once(':').filter(|(name, _)| is_token(name)).ok_or("its head has a bad line")?;
            let value = value.trim_matches([' ', '\t']);
            if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err("its head has a bad line");
            }
            if name.eq_ignore_ascii_case("content-length") {
                let number = Some(value).filter(|value| (1..=5).contains(&value.len()) && is_number(value));
                let number = number.and_then(|value| value.parse().ok()).filter(|number| *number <= LONGEST_BODY);
                if length.replace(number.ok_or("its body is too long, or of no length")?).is_some() {
                    return Err("it has two lengths");
                }
            } else if name.eq_ignore_ascii_case("transfer-encoding") || name.eq_ignore_ascii_case("content-encoding") {
                return Err("it is encoded");
            } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                is_kept = false;
            }
        }
        Ok(Self { status, length: length.ok_or("it has no length")?, is_kept })
    }
}

/// `HTTP/1.1 200 OK`. An answer that is followed by another one (1xx) is none.
fn status(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.1 ")?;
    let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let fits = status.len() == 3 && is_number(status) && !reason.bytes().any(|byte| byte.is_ascii_control());
    fits.then(|| status.parse().ok()).flatten().filter(|status| (200..600).contains(status))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A token (RFC 9110 §5.6.2).
fn is_token(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Answer, String> {
        read(&mut text.as_bytes()).map_err(|error| match error {
            NoAnswer::ClosedBefore => "closed before".into(),
            NoAnswer::Io(error) => error.to_string(),
            NoAnswer::Unfit(why) => why.into(),
        })
    }

    #[test]
    fn a_question_has_a_length_and_one_without_a_body_has_none() {
        let post = Request::new("/v1/verify", "a:1", Some(b"{}"));
        let head =
            "POST /v1/verify HTTP/1.1\r\nHost: a:1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(std::str::from_utf8(post.bytes()), Ok(head));
        let get = Request::new("/v1/hello", "a:1", None);
        assert_eq!(std::str::from_utf8(get.bytes()), Ok("GET /v1/hello HTTP/1.1\r\nHost: a:1\r\n\r\n"));
    }

    #[test]
    fn an_answer_is_read_whole_also_a_byte_at_a_time() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
                (into[0], self.0) = (*first, rest);
                Ok(1)
            }
        }
        let text = "HTTP/1.1 200 OK\r\nDate: now\r\ncontent-length: 2\r\n\r\n{}";
        let answer = Answer { status: 200, body: Zeroizing::new(b"{}".to_vec()), is_kept: true };
        assert_eq!(read_text(text), Ok(answer));
        assert_eq!(read(&mut Slow(text.as_bytes())).unwrap().body.as_slice(), b"{}");
        let closing = read_text("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(closing.map(|answer| (answer.status, answer.is_kept)), Ok((503, false)));
        assert!(read_text("HTTP/1.1 403\r\nContent-Length: 0\r\n\r\n").is_ok());
    }

    #[test]
    fn what_is_no_answer_of_a_verifier_is_refused() {
        let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LONGEST_BODY + 1);
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(MOST_LINES + 1));
        let long = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(LONGEST_HEAD));
        for (text, why) in [
            ("", "closed before"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", "it ends too early"),
            ("HTTP/1.1 200 OK\r\nContent-Le", "it ends too early"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}x", "more follows it than was announced"),
            ("HTTP/1.1 200 OK\r\n\r\n", "it has no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", "it has two lengths"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}", "its body is too long, or of no length"),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n{}", "its body is too long, or of no length"),
            (&length, "its body is too long, or of no length"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "it is encoded"),
            ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}", "its head has a bad line"),
            ("HTTP/1.1 200 OK\r\n folded: 2\r\n\r\n{}", "its head has a bad line"),
            ("HTTP/1.1 200 OK\r\na: b\nc: d\r\n\r\n{}", "its head has a bad line"),
            ("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n", "it does not begin as an answer of HTTP/1.1"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "it does not begin as an answer of HTTP/1.1"),
            ("HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}", "it does not begin as an answer of HTTP/1.1"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "it does not begin as an answer of HTTP/1.1"),
            ("HTTP/1.1 200 OK\r\na: \u{e9}\r\n\r\n", "its head is not ASCII"),
            (&many, "its head has too many lines"),
            (&long, "its head is too long"),
        ] {
            assert_eq!(read_text(text), Err(why.to_owned()), "{text}");
        }
    }
}
