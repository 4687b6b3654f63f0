//! What all threads of a verifier share.

use std::sync::Arc;

use otp_core::config::settings::Settings;

use crate::authority::Authority;
use crate::budgets::Budgets;
use crate::config::Config;
use crate::database::Servers;
use crate::error::Error;
use crate::keys::Keys;
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
            config,
        })
    }
}
