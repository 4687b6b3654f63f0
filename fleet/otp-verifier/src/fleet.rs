//! What all threads of a verifier share.

use std::sync::Arc;

use otp_core::config::settings::Settings;
use otp_core::decision::kinds::Kinds;

use crate::authority::Authority;
use crate::budgets::Budgets;
use crate::config::Config;
use crate::database::Servers;
use crate::error::Error;
use crate::keys::Keys;
use crate::log;
use crate::metrics::Metrics;

pub(crate) struct Fleet {
    pub(crate) config: Config,
    /// Limits, codes, grace. Its policy is not asked: each host has its own.
    pub(crate) settings: Settings,
    pub(crate) servers: Arc<Servers>,
    pub(crate) keys: Keys,
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
            keys: config.keys()?,
            authority: Authority::load(&config)?,
            budgets: Budgets::default(),
            metrics: Metrics::default(),
            config,
        })
    }
}
