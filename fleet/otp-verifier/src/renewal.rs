//! The certificate of this verifier: how long it is good, and another one for the same key. A verifier that runs takes it within
//! seconds; connections that are open go on.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use rcgen::KeyPair;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use crate::authority::{Authority, put};
use crate::command_line::Renew;
use crate::config::Config;
use crate::error::Error;
use crate::told::told;

/// What the present certificate says.
struct Present {
    names: Vec<String>,
    days: i64,
}

pub(crate) fn renew(config: &Config, how: &Renew) -> Result<(), Error> {
    let Present { names, days } = present(config)?;
    if how.before.is_some_and(|before| days >= i64::from(before)) {
        return told(&format!("The certificate is good for {days} days."));
    }
    let names = if how.names.is_empty() { names } else { how.names.clone() };
    if names.is_empty() {
        return Err(Error::new("the present certificate names nothing that can be read", "say --name"));
    }
    let key = fs::read_to_string(config.key()).map(Zeroizing::new);
    let key = key.map_err(|error| Error::io("read", &config.key(), &error))?;
    let key = KeyPair::from_pem(&key).map_err(|error| unreadable(config, &error.to_string()))?;
    // One file is replaced, as a whole: there is no moment at which key and certificate are not of each other.
    let (path, new) = (config.certificate(), config.certificate().with_extension("new"));
    let _ = fs::remove_file(&new); // of a command that was killed
    put(&new, Authority::load(config)?.certify(&key, &names)?, 0o644)?;
    fs::rename(&new, &path).map_err(|error| Error::io("replace", &path, &error))?;
    told(&format!("{} is renewed: good for {} days, for {}.", path.display(), present(config)?.days, names.join(", ")))
}

/// How long the certificate of this verifier is good.
pub(crate) fn days_left(config: &Config) -> Result<i64, Error> {
    Ok(present(config)?.days)
}

/// The names that hosts may reach this verifier by.
pub(crate) fn names(config: &Config) -> Result<Vec<String>, Error> {
    Ok(present(config)?.names)
}

fn present(config: &Config) -> Result<Present, Error> {
    let path = config.certificate();
    let pem = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
    let (_, pem) = parse_x509_pem(&pem).map_err(|error| unreadable(config, &error.to_string()))?;
    let parsed = pem.parse_x509().map_err(|error| unreadable(config, &error.to_string()))?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect()).unwrap_or_default();
    let seconds = parsed.validity().not_after.timestamp().saturating_sub(OffsetDateTime::now_utc().unix_timestamp());
    Ok(Present { names, days: seconds.div_euclid(86_400) })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some((*name).to_owned());
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let v4 = <[u8; 4]>::try_from(*bytes).map(|bytes| Ipv4Addr::from(bytes).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
}

fn unreadable(config: &Config, why: &str) -> Error {
    Error::new(format!("{}: {why}", config.certificate().display()), "run otp-verifier init, or restore its folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_for_its_names_and_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "listen = ['127.0.0.1:1']\nverifiers = ['a:1']\ndatabase = ['host=a']\nfolder = '{}'",
            folder.path().display()
        );
        let path = folder.path().join("otp-verifier.toml");
        fs::write(&path, text).unwrap();
        let config = Config::load(&path).unwrap();
        let names: Vec<String> = ["verifier1.example.org", "192.0.2.1", "2001:db8::1"].map(Into::into).into();
        Authority::make(&config).unwrap();
        Authority::load(&config).unwrap().make_verifier(&config, &names).unwrap();
        let (before, key) = (fs::read(config.certificate()).unwrap(), fs::read(config.key()).unwrap());
        let Present { names: present, days } = super::present(&config).unwrap();
        assert!(present == names && (728..=730).contains(&days), "{present:?} {days}");

        renew(&config, &Renew { names: Vec::new(), before: Some(60) }).unwrap();
        assert_eq!(fs::read(config.certificate()).unwrap(), before);
        renew(&config, &Renew { names: Vec::new(), before: Some(800) }).unwrap();
        assert_ne!(fs::read(config.certificate()).unwrap(), before);
        assert_eq!(fs::read(config.key()).unwrap(), key);
        assert_eq!(super::present(&config).unwrap().names, names);
        renew(&config, &Renew { names: vec!["other.example.org".into()], before: None }).unwrap();
        assert_eq!(super::present(&config).unwrap().names, ["other.example.org"]);
    }
}
