//! What all threads of a verifier share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use otp_core::config::settings::Settings;

use crate::authority::Authority;
use crate::budgets::Budgets;
use crate::config::Config;
use crate::database::Servers;
use crate::database::hosts::Host;
use crate::database::session::Session;
use crate::error::Error;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::work::now;
use otp_core::store::error::StoreError;

/// How long it is remembered what a host may do. Whether it may ask at all is compared again as a verdict is written.
const REMEMBERED: Duration = Duration::from_secs(5);

pub(crate) struct Fleet {
    pub(crate) config: Config,
    /// Limits, codes, grace; its policy asks every user for every kind of device: who must give a code is the hosts' policy.
    pub(crate) settings: Settings,
    pub(crate) servers: Arc<Servers>,
    pub(crate) keys: Keys,
    pub(crate) authority: Authority,
    pub(crate) budgets: Budgets,
    pub(crate) metrics: Metrics,
    hosts: Mutex<HashMap<[u8; 32], (Host, Instant)>>,
}

impl Fleet {
    pub(crate) fn load(config: Config) -> Result<Self, Error> {
        let settings = config.settings()?.settings;
        let servers = config.servers()?;
        Ok(Self {
            settings,
            servers,
            keys: config.keys()?,
            authority: Authority::load(&config)?,
            budgets: Budgets::default(),
            metrics: Metrics::default(),
            hosts: Mutex::default(),
            config,
        })
    }

    /// The host with this key; `None` if the fleet has none.
    pub(crate) fn host(&self, session: &Session, key: &[u8; 32]) -> Result<Option<Host>, StoreError> {
        let hosts = || self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((host, at)) = hosts().get(key)
            && now().saturating_duration_since(*at) < REMEMBERED
        {
            return Ok(Some(host.clone()));
        }
        let host = session.host(key)?;
        match &host {
            Some(host) => hosts().insert(*key, (host.clone(), now())),
            None => hosts().remove(key),
        };
        Ok(host)
    }
}
