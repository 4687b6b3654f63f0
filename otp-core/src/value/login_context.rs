//! The login context: where a login comes from and through which service.

use serde::{Deserialize, Serialize};

use crate::value::network::Address;

/// The PAM items of one login. They grant nothing by themselves: a caller that is not root chooses its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginContext {
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_RHOST`, as the host reported it.
    pub rhost: Option<String>,
    /// `PAM_TTY`, without `/dev/`.
    pub tty: Option<String>,
    /// The module argument `nullok`: replaces the policy's rules on this PAM line with `second_factor = "optional"`.
    pub nullok: bool,
    /// The module argument `enroll`: this PAM line offers enrollment to users without a device.
    pub enroll: bool,
    /// Password and code are typed as one: what holds no code is a password. `false` where a request does not say.
    #[serde(default)]
    pub as_one: bool,
    /// The module argument `send`: codes may be sent to the user here. `false` where a request does not say.
    #[serde(default)]
    pub send: bool,
}

impl LoginContext {
    /// A change of devices as a login: what the policy says of it counts, wherever the user comes from.
    pub fn of_changes() -> Self {
        Self { service: "otp-enroll".to_owned(), ..Self::default() }
    }

    /// A terminal's name as [`LoginContext::tty`] holds it. Some hosts report it with its folder, `/dev/`.
    pub fn terminal(name: &str) -> String {
        name.strip_prefix("/dev/").unwrap_or(name).to_owned()
    }

    /// A service's name as `PAM_SERVICE` holds it: libpam drops a path before it, and writes it in lower case.
    pub fn service(name: &str) -> String {
        name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase()
    }

    /// The address that the login comes from, if the host reported one. A host name is none.
    pub fn address(&self) -> Option<Address> {
        self.rhost.as_deref().and_then(Address::parse)
    }
}
