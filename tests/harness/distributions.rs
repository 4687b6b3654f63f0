//! The files that other distributions' services include to ask for a password, as they ship them.

/// Arch Linux (pambase), without the modules for what Debian does not have.
pub const ARCH_SYSTEM_AUTH: &str = "\
auth       required                    pam_faillock.so      preauth
-auth      [success=2 default=ignore]  pam_systemd_home.so
auth       [success=1 default=bad]     pam_unix.so          try_first_pass nullok
auth       [default=die]               pam_faillock.so      authfail
auth       optional                    pam_permit.so
auth       required                    pam_env.so
auth       required                    pam_faillock.so      authsucc
-account   [success=1 default=ignore]  pam_systemd_home.so
account    required                    pam_unix.so
account    optional                    pam_permit.so
account    required                    pam_time.so
";

/// Fedora (authselect, profile local).
pub const FEDORA_PASSWORD_AUTH: &str = "\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        sufficient                                   pam_unix.so nullok
auth        required                                     pam_deny.so
account     required                                     pam_unix.so
";

/// SUSE (pam-config).
pub const SUSE_COMMON_AUTH: &str = "\
auth    required        pam_env.so
auth    required        pam_unix.so     try_first_pass
";
