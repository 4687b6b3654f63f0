//! Where the programs look for each other: fixed at compile time, so that nothing in the environment of a login can change it.

/// Where the configuration is. The helper reads no other.
pub const CONFIG: &str = match option_env!("PAM_OTP_CONFIG") {
    Some(path) => path,
    None => "/etc/pam_otp/pam_otp.toml",
};

/// Where the set-group-ID helper is.
pub const HELPER: &str = match option_env!("PAM_OTP_HELPER") {
    Some(path) => path,
    None => "/usr/local/libexec/pam_otp/otp-helper",
};
