//! One connection to one server. It is polled by hand, so that its warnings are seen.
//!
//! In the extended protocol `CommandComplete` comes before the commit, and the warning that a commit is not replicated comes after
//! it. `tokio_postgres::Client::query` returns at `ReadyForQuery`, which comes after both.

use std::collections::HashMap;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::database::Facts;

/// A value in a statement.
pub(crate) type Value<'v> = &'v (dyn ToSql + Sync);

type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// What each connection begins with. A role or database with other defaults changes nothing: without warnings, a commit that no
/// standby has looks like any other.
const SETTINGS: &str = "SET synchronous_commit = on; SET client_min_messages = notice; SET search_path = pg_catalog; \
     SET default_transaction_isolation = 'read committed'; SET jit = off; SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0";

// Every role sees the names of those who copy, and nothing else of them. `pg_control_checkpoint()` shows the old timeline until the first checkpoint after a promotion.
const FACTS: &str = "SELECT s.system_identifier, \
     CASE WHEN pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' THEN NULL \
     ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END, \
     current_setting('synchronous_standby_names'), current_setting('fsync') = 'on', \
     ARRAY(SELECT coalesce(application_name, '') FROM pg_stat_replication) FROM pg_control_system() s";

/// A connection and the statements that are prepared on it.
pub(super) struct Link {
    /// Which server of the configuration.
    pub(super) number: usize,
    client: Client,
    wire: Wire,
    statements: HashMap<&'static str, Statement>,
}

/// Why a connection has no answer.
pub(super) enum Silence {
    /// The server refused the statement and wrote nothing.
    Refused(Box<DbError>),
    /// The connection is of no use any more. What was sent may be in force or not.
    Broken(String),
    /// The server warned.
    Warned(String),
    /// The wait was given up.
    GivenUp,
}

impl Link {
    /// Connects, and sets what every connection begins with.
    pub(super) async fn open(config: &Config, tls: MakeRustlsConnect, number: usize) -> Result<Self, String> {
        let (client, mut wire) = config.connect(tls).await.map_err(|error| text_of(&error))?;
        // A server may warn of its collations as it is connected to. Nothing was written.
        let set = driven(&mut wire, client.batch_execute(SETTINGS), pending(), OnWarning::Ignore).await;
        set.map_err(|silence| silence.to_string())?;
        Ok(Self { number, client, wire, statements: HashMap::new() })
    }

    /// What this server says about itself.
    pub(super) async fn facts(&mut self) -> Result<Facts, String> {
        let rows = self.ask(FACTS, &[], pending()).await.map_err(|silence| silence.to_string())?;
        let read = || {
            let row = rows.first()?;
            let timeline = match row.try_get::<_, Option<&str>>(1).ok()? {
                Some(digits) => Some(u32::from_str_radix(digits, 16).ok()?),
                None => None,
            };
            let (system, standbys) = (row.try_get(0).ok()?, row.try_get(2).ok()?);
            Some(Facts { system, timeline, standbys, is_synced: row.try_get(3).ok()?, copiers: row.try_get(4).ok()? })
        };
        read().ok_or_else(|| "what it says about itself cannot be read".to_owned())
    }

    /// One statement, in a transaction of its own. Its rows are an answer only when it is committed.
    pub(super) async fn ask(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        until: impl Future<Output = ()>,
    ) -> Result<Vec<Row>, Silence> {
        let Self { client, wire, statements, .. } = self;
        let asked = async {
            let statement = match statements.get(sql) {
                Some(statement) => statement.clone(),
                None => {
                    let statement = client.prepare(sql).await?;
                    statements.insert(sql, statement.clone());
                    statement
                }
            };
            client.query(&statement, values).await
        };
        driven(wire, asked, until, OnWarning::End).await
    }

    /// Several statements without values, in one transaction.
    pub(super) async fn run(&mut self, sql: &str, until: impl Future<Output = ()>) -> Result<(), Silence> {
        let Self { client, wire, .. } = self;
        driven(wire, client.batch_execute(sql), until, OnWarning::End).await
    }
}

/// What a warning does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnWarning {
    Ignore,
    End,
}

/// Waits for an answer and moves the connection meanwhile. Messages are looked at in the order in which they came: a warning
/// before the end of its statement.
async fn driven<T>(
    wire: &mut Wire,
    answer: impl Future<Output = Result<T, Error>>,
    until: impl Future<Output = ()>,
    on_warning: OnWarning,
) -> Result<T, Silence> {
    let (mut answer, mut until) = (pin!(answer), pin!(until));
    let mut end = None;
    poll_fn(|context| {
        while end.is_none() {
            match wire.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice))))
                    if on_warning == OnWarning::End && is_warning(&notice) =>
                {
                    return Poll::Ready(Err(Silence::Warned(notice.message().to_owned())));
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => end = Some(text_of(&error)),
                Poll::Ready(None) => end = Some("the server closed the connection".to_owned()),
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(answer.map_err(|error| silence(&error)));
        }
        if let Some(why) = &end {
            return Poll::Ready(Err(Silence::Broken(why.clone())));
        }
        until.as_mut().poll(context).map(|()| Err(Silence::GivenUp))
    })
    .await
}

fn is_warning(notice: &DbError) -> bool {
    let is_harmless =
        matches!(notice.parsed_severity(), Some(Severity::Notice | Severity::Info | Severity::Log | Severity::Debug));
    !is_harmless
}

/// An error is a refusal only if the server said so and goes on: one that ends the connection may follow a commit.
fn silence(error: &Error) -> Silence {
    match error.as_db_error() {
        Some(refusal) if refusal.parsed_severity() == Some(Severity::Error) => {
            Silence::Refused(Box::new(refusal.clone()))
        }
        Some(_) | None => Silence::Broken(text_of(error)),
    }
}

/// What happened, with its cause: the text of the crate alone is "db error".
fn text_of(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => {
                write!(f, "it refused the statement: {} ({})", refusal.message(), refusal.code().code())
            }
            Self::Broken(why) => f.write_str(why),
            Self::Warned(warning) => write!(f, "it warned: {warning}"),
            Self::GivenUp => f.write_str("another server was promoted"),
        }
    }
}
