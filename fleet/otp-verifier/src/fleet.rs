//! What all threads of a verifier share.

use std::sync::{Arc, PoisonError, RwLock};

use otp_core::config::settings::Settings;
use otp_core::decision::kinds::Kinds;

use crate::authority::Authority;
use crate::budgets::Budgets;
use crate::config::{Config, KeyName};
use crate::database::Servers;
use crate::database::fleet::{Foreign, foreign};
use crate::error::Error;
use crate::keys::Keys;
use crate::log;
use crate::metrics::Metrics;

pub(crate) struct Fleet {
    pub(crate) config: Config,
    /// Limits, codes, grace. Its policy is not asked: each host has its own.
    pub(crate) settings: Settings,
    pub(crate) servers: Arc<Servers>,
    /// The keys of hosts to which seeds may go. They may be replaced while hosts are served.
    export_to: RwLock<Vec<KeyName>>,
    /// The ring may be replaced while hosts are served.
    keys: RwLock<Arc<Keys>>,
    pub(crate) authority: Authority,
    pub(crate) budgets: Budgets,
    pub(crate) metrics: Metrics,
    /// The kinds of device to which the sender of this machine sends, as it was when this was started.
    pub(crate) sends: Option<Kinds>,
}

impl Fleet {
    pub(crate) fn load(config: Config) -> Result<Self, Error> {
        let settings = config.settings()?.settings;
        let servers = config.servers()?;
        let sends = config.senders().map(|senders| senders.kinds()).unwrap_or_else(|error| {
            // Logins with other devices go on.
            log::warning(&format!("no codes are sent: {error}"));
            Kinds::NONE
        });
        Ok(Self {
            sends: Some(sends).filter(|sends| *sends != Kinds::NONE),
            settings,
            servers,
            export_to: RwLock::new(config.export_to.clone()),
            keys: RwLock::new(Arc::new(config.keys()?)),
            authority: Authority::load(&config)?,
            budgets: Budgets::default(),
            metrics: Metrics::default(),
            config,
        })
    }

    /// With these servers and keys, and nothing that sends.
    #[cfg(test)]
    pub(crate) fn of_test(config: Config, settings: Settings, servers: Arc<Servers>, keys: Keys) -> Self {
        Self {
            settings,
            servers,
            export_to: RwLock::default(),
            keys: RwLock::new(Arc::new(keys)),
            authority: Authority::load(&config).unwrap(),
            budgets: Budgets::default(),
            metrics: Metrics::default(),
            sends: None,
            config,
        }
    }

    /// Why no code is accepted now, in the words of an administrator; `None` if codes are.
    pub(crate) fn trouble(&self) -> Option<String> {
        let health = self.servers.health();
        match (&health.primary, health.without_primary) {
            (Some(_), _) => {}
            (None, Some(time)) => return Some(format!("no primary for {} s", time.as_secs())),
            (None, None) => return Some("no primary yet".to_owned()),
        }
        let foreign = self.foreign().map(Foreign::text);
        foreign.or_else(|| health.unconfirmed.map(|why| format!("nothing can be confirmed, so nobody logs in: {why}")))
    }

    /// All counts, for Prometheus.
    pub(crate) fn metrics_text(&self) -> String {
        self.metrics.text(&self.servers, self.trouble().is_none(), self.foreign().is_none())
    }

    /// Why the database is not of this verifier's fleet, as it was seen last.
    pub(crate) fn foreign(&self) -> Option<Foreign> {
        foreign(self.servers.fleet()?, &self.keys())
    }

    pub(crate) fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether seeds may go to the host with this key.
    pub(crate) fn exports_to(&self, key: KeyName) -> bool {
        self.export_to.read().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    pub(crate) fn replace_export_to(&self, keys: Vec<KeyName>) {
        *self.export_to.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Questions that are being answered keep the ring that they have.
    pub(crate) fn replace_keys(&self, keys: Keys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }
}
