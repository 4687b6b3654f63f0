//! Paths that are fixed at compile time, so that no environment of a login can change them.

/// The configuration. The helper reads no other.
pub const CONFIG: &str = match option_env!("PAM_OTP_CONFIG") {
    Some(path) => path,
    None => "/etc/pam_otp/pam_otp.toml",
};

/// The set-group-ID helper.
pub const HELPER: &str = match option_env!("PAM_OTP_HELPER") {
    Some(path) => path,
    None => "/usr/local/libexec/pam_otp/otp-helper",
};

/// Translations, in folders by language.
pub const LOCALE: &str = match option_env!("PAM_OTP_LOCALE") {
    Some(path) => path,
    None => "/usr/local/share/locale",
};

/// The socket of the agent, in a folder of root's.
pub const AGENT: &str = match option_env!("PAM_OTP_AGENT") {
    Some(path) => path,
    None => "/run/pam_otp/agent",
};

/// The keys of sealed seeds, in memory: made at boot, and gone with it.
pub const SEAL_KEYS: &str = match option_env!("PAM_OTP_SEAL_KEYS") {
    Some(path) => path,
    None => "/run/pam_otp/seal-keys",
};

/// The socket of the sender, beside the agent's.
pub const SENDER: &str = match option_env!("PAM_OTP_SENDER") {
    Some(path) => path,
    None => "/run/pam_otp/sender",
};

/// What only the agent reads and writes: the key and the certificate of this host in its fleet.
pub const AGENT_STATE: &str = match option_env!("PAM_OTP_AGENT_STATE") {
    Some(path) => path,
    None => "/var/lib/otp-agent",
};
