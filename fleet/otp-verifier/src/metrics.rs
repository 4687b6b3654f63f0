//! What this verifier counts, for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::Servers;

/// One number that only grows.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) asked: Count,
    pub(crate) accepted: Count,
    pub(crate) refused: Count,
    pub(crate) let_in_without_code: Count,
    pub(crate) not_permitted: Count,
    pub(crate) budgets_spent: Count,
    pub(crate) altered_rows: Count,
    pub(crate) sent: Count,
    pub(crate) not_sent: Count,
    pub(crate) full: Count,
    pub(crate) late: Count,
    pub(crate) unconfirmed: Count,
    pub(crate) handshakes_failed: Count,
    pub(crate) connections_refused: Count,
}

impl Metrics {
    pub(crate) fn text(&self, servers: &Servers, is_ready: bool, keys_fit: bool) -> String {
        let counts = [
            ("questions", "Questions of hosts.", &self.asked),
            ("accepted", "Codes that were accepted.", &self.accepted),
            ("refused", "Codes that were refused.", &self.refused),
            ("let_in_without_code", "Logins that a policy let in without a code.", &self.let_in_without_code),
            ("not_permitted", "Questions that a host may not ask.", &self.not_permitted),
            ("budgets_spent", "Questions beyond the budget of a host.", &self.budgets_spent),
            (
                "altered_rows",
                "Questions that met a row of a host, scope or token that no verifier has written.",
                &self.altered_rows,
            ),
            ("messages_sent", "Messages that were handed over.", &self.sent),
            ("messages_not_sent", "Messages that could not be sent.", &self.not_sent),
            ("queue_full", "Questions that found all threads waiting.", &self.full),
            ("late", "Questions whose answer was not confirmed in time.", &self.late),
            ("unconfirmed", "Commits that were not confirmed.", &self.unconfirmed),
            ("handshakes_failed", "Connections that did not come to TLS.", &self.handshakes_failed),
            ("connections_refused", "Connections beyond those that a host may have.", &self.connections_refused),
        ];
        let mut text = String::new();
        for (name, help, count) in counts {
            let name = format!("otp_verifier_{name}_total");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {}\n", count.get()));
        }
        let health = servers.health();
        let gauges = [
            ("primary", "Whether a primary is in reach.", u64::from(health.primary.is_some())),
            ("ready", "Whether codes can be accepted.", u64::from(is_ready)),
            (
                "confirmed",
                "Whether commits are confirmed.",
                u64::from(health.primary.is_some() && health.unconfirmed.is_none()),
            ),
            ("keys_fit", "Whether the keys are those of the fleet.", u64::from(keys_fit)),
            ("timeline", "The highest timeline of a primary.", u64::from(health.timeline)),
            ("without_standby", "Whether commits may be lost with their server.", u64::from(health.alone)),
            ("server_faults", "Servers that are not in order.", u64::try_from(health.faults.len()).unwrap_or(u64::MAX)),
        ];
        for (name, help, value) in gauges {
            let name = format!("otp_verifier_{name}");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
        }
        text
    }
}
