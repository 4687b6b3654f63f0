//! Seals the seeds of all records, makes a new key, and takes it back.
//!
//! The order of each: the key is with its keeper and the recovery key is written down, then the key is in memory, then records are
//! written again; an old key goes last. Killed anywhere, sealed and plain records stand side by side, each of them works, and the
//! same command goes on.

mod keeper;
mod program;
mod recovery_key;
mod systemd_creds;
mod tpm2_tools;
mod walk;

use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::getuid;
use otp_core::audit::Event;
use otp_core::record::key_ring::Ring;
use otp_core::record::seal::{KeyId, SealKey};
use otp_core::store::files::open::FileStore;
use otp_core::store::files::seal_keys;
use otp_core::system::config_file::Site;
use otp_core::system::random;
use serde::Serialize;
use zeroize::Zeroizing;

use self::keeper::{Keeper, Method};
use self::walk::{Counted, Goal};
use crate::cli::sealing::Seal;
use crate::client;
use crate::error::CliError;
use crate::ui::dialog::Asks;
use crate::ui::output::Output;

/// The answer to a change.
#[derive(Serialize)]
struct Sealed {
    keeper: Option<&'static str>,
    records: usize,
    changed: bool,
}

/// The answer to `--status`.
#[derive(Serialize)]
struct Status {
    keeper: Option<&'static str>,
    /// Whether the keeper gives the key now.
    unseals: bool,
    /// Whether the key is in memory, for logins.
    unpacked: bool,
    sealed: usize,
    plain: usize,
    other_keys: usize,
    unreadable: usize,
}

/// Carries out `admin seal` with these options.
pub(super) fn seal(how: &Seal, site: &Site, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let keeper = Keeper::of(site);
    if how.status {
        return status(&keeper, store, output);
    }
    // Of two at once, one would keep its keys in place of the other's, and records be sealed under keys that none keeps.
    let _lock = keeper.lock()?;
    if how.off {
        return off(how, &keeper, store, output);
    }
    if how.recovery_key {
        return recover(how, &keeper, store, output);
    }
    match keeper.method()? {
        None if how.rotate => Err(not_sealed()),
        None => begin(how, &keeper, store, output),
        Some(method) => go_on(how, &keeper, &method, store, output),
    }
}

/// Writes the keys into memory, as a unit does at boot. Without a keeper there is nothing to do.
pub(super) fn unpack(site: &Site, output: &Output) -> Result<(), CliError> {
    let keeper = Keeper::of(site);
    let Some(ring) = keeper.ring()? else {
        return output
            .done(&Sealed { keeper: None, records: 0, changed: false }, "seeds are not sealed: nothing to do");
    };
    keeper.unpack(ring.bytes())?;
    let word = keeper.method()?.map(|method| method.word());
    let path = keeper.unpacked_path().display();
    output.done(&Sealed { keeper: word, records: 0, changed: true }, &format!("the key is in {path}"))
}

/// What is wrong with the keys, and what to do, for `check` and doctor: whether codes are refused now, or after the next boot.
pub(super) fn faults(site: &Site) -> Vec<(String, String)> {
    let keeper = Keeper::of(site);
    let method = match keeper.method() {
        Ok(method) => method,
        Err(error) => return vec![told(&error)],
    };
    let Some(method) = method else { return Vec::new() };
    let mut faults = Vec::new();
    match (keeper.ring(), keeper.unpacked()) {
        (Ok(Some(kept)), Ok(there)) if kept.bytes() != there.bytes() => faults.push((
            format!("{} holds other keys than {}", keeper.unpacked_path().display(), method.told()),
            "otp-enroll admin seal --unpack".into(),
        )),
        (Ok(_), Ok(_)) => {}
        (kept, there) => {
            if let Err(error) = there {
                let path = keeper.unpacked_path().display();
                faults.push((
                    format!("seeds are sealed, and {path} cannot be read: {error}; codes are refused"),
                    "systemctl restart pam_otp-seal-keys.service, or otp-enroll admin seal --unpack".into(),
                ));
            }
            faults.extend(kept.err().map(|error| told(&error)));
        }
    }
    faults
}

/// What writes the key into memory at boot.
const UNIT: &str = "pam_otp-seal-keys.service";

/// Whether systemd writes the key into memory at boot, from now on or no more. Without systemd an init script does that.
fn at_boot(is_on: bool, keeper: &Keeper, output: &Output) {
    if !Path::new("/run/systemd/system").exists() || keeper.path() != Path::new("/etc/pam_otp/seal/keys") {
        return;
    }
    let verb = if is_on { "enable" } else { "disable" };
    let done = Command::new("systemctl").args(["--quiet", verb, UNIT]).stdin(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        output.insist(&format!(
            "systemctl {verb} {UNIT} failed: without that unit logins do not have the key after a boot"
        ));
    }
}

fn log(what: &str, method: &Method, records: usize) {
    let by = getuid().as_raw();
    client::log(&Event::Sealing { what, keeper: method.word(), records, by });
}

fn told(error: &CliError) -> (String, String) {
    (error.to_string(), error.hint().unwrap_or_default())
}

fn number_of(records: usize) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}

fn not_sealed() -> CliError {
    CliError::Reported { error: "seeds are not sealed".into(), hint: "to seal them: otp-enroll admin seal".into() }
}

fn chosen(how: &Seal) -> Option<Method> {
    match (how.tpm2, how.host, &how.key_file) {
        (true, _, _) => Some(Method::tpm2(how.pcrs.clone().unwrap_or_default())),
        (_, true, _) => Some(Method::Host),
        (_, _, Some(path)) => Some(Method::File(std::path::absolute(path).unwrap_or_else(|_| path.clone()))),
        (false, false, None) => None,
    }
}

/// No file that is there is overwritten, but the one that keeps the keys.
fn is_free(method: &Method) -> Result<(), CliError> {
    match method {
        Method::File(path) if path.symlink_metadata().is_ok() => {
            Err(CliError::Usage(format!("{} exists already: name a new file", path.display())))
        }
        Method::File(_) | Method::Host | Method::Tpm2(_) | Method::Tpm2Tools(_) => Ok(()),
    }
}

fn drawn() -> Result<SealKey, CliError> {
    let mut key = SealKey::new(&[0; 32]);
    random::entropy(key.bytes_mut())?;
    Ok(key)
}

/// A ring of these keys.
fn ring(keys: &[SealKey], is_plain: bool) -> Zeroizing<Vec<u8>> {
    Ring::bytes_of(keys.iter().map(|key| (key.id(), key)), is_plain)
}

fn keys_of(ring: &Ring) -> Vec<SealKey> {
    ring.all().map(|(_, key)| key).collect()
}

/// The keys are with the keeper first, and then in memory.
fn keep(keeper: &Keeper, method: &Method, keys: &[SealKey], is_plain: bool) -> Result<(), CliError> {
    let ring = ring(keys, is_plain);
    keeper.keep(method, &ring)?;
    keeper.unpack(&ring)
}

fn begin(how: &Seal, keeper: &Keeper, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let (method, counted) = (chosen(how).unwrap_or_else(Method::usual), walk::count(store, output)?);
    if counted.sealed() > 0 {
        return Err(CliError::Reported {
            error: format!("seeds of {} are sealed, and nothing here keeps their key", number_of(counted.sealed())),
            hint: "use the recovery key of the machine they come from: otp-enroll admin seal --recovery-key".into(),
        });
    }
    if how.dry_run {
        let text = format!("{} would be sealed; {} would keep the key", number_of(counted.plain), method.told());
        return output.done(&Sealed { keeper: Some(method.word()), records: counted.plain, changed: false }, &text);
    }
    // A run that was killed may have left the file, and nothing that names it: its key is taken again.
    let left = match &method {
        Method::File(path) => seal_keys::read(path).ok().and_then(|ring| ring.all().next()).map(|(_, key)| key),
        Method::Tpm2(_) | Method::Tpm2Tools(_) | Method::Host => None,
    };
    if left.is_none() {
        is_free(&method)?;
    }
    output.advise(protection(&method))?;
    if !how.yes {
        output.confirm(&format!("Seal the seeds of {}? {} keeps the key.", number_of(counted.plain), method.told()))?;
    }
    let key = left.map_or_else(drawn, Ok)?;
    recovery_key::show(&key, how.yes, output)?;
    let keys = [key];
    keep(keeper, &method, &keys, false)?;
    at_boot(true, keeper, output);
    sealed_under(keeper, &method, &keys, store, output)
}

/// What is protected from whom.
fn protection(method: &Method) -> &'static str {
    match method {
        Method::Tpm2(_) | Method::Tpm2Tools(_) => {
            "A copy of the disk, a backup and an image show no seed then. Root on the running machine still reads all."
        }
        Method::Host => {
            "A backup of the records shows no seed then; a copy of the whole disk does, since the key of the host is on it, and root \
             on the running machine reads all."
        }
        Method::File(_) => {
            "A copy of the records shows no seed then, unless the key file is copied too. Root on the running machine reads all."
        }
    }
}

/// A new key, another keeper, or what an interruption has left.
fn go_on(how: &Seal, keeper: &Keeper, now: &Method, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let kept = keeper.ring()?.ok_or_else(not_sealed)?;
    let method = chosen(how).unwrap_or_else(|| now.clone());
    if method != *now {
        is_free(&method)?;
    }
    let mut keys = keys_of(&kept);
    let (is_new, first) = (how.rotate && keys.len() < 2, keys.first().map(SealKey::id));
    if how.dry_run {
        let counted = walk::count(store, output)?;
        let there = if is_new { 0 } else { first.map_or(0, |id| counted.under(id)) };
        let records = counted.plain.saturating_add(counted.sealed()).saturating_sub(there);
        let text = format!("{} would be sealed; {} would keep the key", number_of(records), method.told());
        return output.done(&Sealed { keeper: Some(method.word()), records, changed: false }, &text);
    }
    if is_new {
        let key = drawn()?;
        recovery_key::show(&key, how.yes, output)?;
        keys.insert(0, key);
    }
    keep(keeper, &method, &keys, false)?;
    if method != *now
        && let Method::File(former) = now
        && method != Method::File(former.clone())
    {
        let _ = std::fs::remove_file(former); // the keys are kept elsewhere now
    }
    sealed_under(keeper, &method, &keys, store, output)
}

/// Seals all records under the first of these keys; the others go last.
fn sealed_under(
    keeper: &Keeper,
    method: &Method,
    keys: &[SealKey],
    store: &FileStore,
    output: &Output,
) -> Result<(), CliError> {
    let present: KeyId = keys.first().map(SealKey::id).ok_or_else(not_sealed)?;
    let records = walk::walk(store, Goal::Under(present), "sealing", output)?;
    if let [only, _, ..] = keys {
        keep(keeper, method, std::slice::from_ref(only), false)?;
    }
    log("sealed", method, records);
    let were = if records == 1 { "was" } else { "were" };
    let text = format!("{} {were} sealed; {} keeps the key", number_of(records), method.told());
    output.done(&Sealed { keeper: Some(method.word()), records, changed: true }, &text)
}

fn off(how: &Seal, keeper: &Keeper, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let Some(method) = keeper.method()? else { return Err(not_sealed()) };
    let kept = keeper.ring()?.ok_or_else(not_sealed)?;
    let counted = walk::count(store, output)?;
    if how.dry_run {
        let text = format!("{} would be written in plain text, and the key removed", number_of(counted.sealed()));
        return output.done(&Sealed { keeper: None, records: counted.sealed(), changed: false }, &text);
    }
    if !how.yes {
        output.confirm(&format!(
            "Write the seeds of {} in plain text, and remove the key?",
            number_of(counted.sealed())
        ))?;
    }
    keep(keeper, &method, &keys_of(&kept), true)?;
    let records = walk::walk(store, Goal::Plain, "opening", output)?;
    at_boot(false, keeper, output);
    keeper.forget()?;
    log("unsealed", &method, records);
    output.done(
        &Sealed { keeper: None, records, changed: true },
        &format!("the seeds of {} are in plain text, and the key is removed", number_of(records)),
    )
}

/// A key that another machine or another TPM kept.
fn recover(how: &Seal, keeper: &Keeper, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let typed = output.ask_code(Asks::RecoveryKey, "Recovery key: ")?;
    let mistyped = || CliError::Reported {
        error: "that is no recovery key: a letter is wrong, or some are missing".into(),
        hint: "compare it letter by letter; 58 letters and digits, blanks and hyphens do not matter".into(),
    };
    let key = recovery_key::read(typed.expose()).ok_or_else(mistyped)?;
    let counted = walk::count(store, output)?;
    if counted.under(key.id()) == 0 && counted.sealed() > 0 {
        return Err(CliError::Reported {
            error: "no record is sealed under that key".into(),
            hint: "each machine has its own, and each `seal --rotate` makes another one".into(),
        });
    }
    if how.dry_run {
        let records = counted.under(key.id());
        let text = format!("seeds of {} are sealed under that key", number_of(records));
        return output.done(&Sealed { keeper: None, records, changed: false }, &text);
    }
    // A key that the keeper no longer gives is lost: its file is written again without it.
    let there = keeper.ring().ok().flatten().or_else(|| keeper.unpacked().ok());
    let mut keys = there.as_ref().map(keys_of).unwrap_or_default();
    if keys.iter().all(|other| other.id() != key.id()) {
        keys.push(key);
    }
    let now = keeper.method().ok().flatten();
    let method = chosen(how).or_else(|| now.clone()).unwrap_or_else(Method::usual);
    if Some(&method) != now.as_ref() {
        is_free(&method)?;
    }
    keep(keeper, &method, &keys, false)?;
    at_boot(true, keeper, output);
    sealed_under(keeper, &method, &keys, store, output)
}

fn status(keeper: &Keeper, store: &FileStore, output: &Output) -> Result<(), CliError> {
    let method = keeper.method()?;
    let (kept, there) = (keeper.ring(), keeper.unpacked());
    let ids: Vec<KeyId> = there.iter().chain(kept.iter().flatten()).flat_map(Ring::ids).collect();
    let counted = walk::count(store, output)?;
    // Without any key it is not known which one is another.
    let known = |id: &KeyId| ids.is_empty() || ids.contains(id);
    let other_keys = counted.sealed.iter().filter(|(id, _)| !known(id)).map(|(_, count)| *count).sum();
    let Counted { plain, unreadable, .. } = counted;
    let answer = Status {
        keeper: method.as_ref().map(Method::word),
        unseals: matches!(kept, Ok(Some(_))),
        unpacked: there.is_ok(),
        sealed: counted.sealed(),
        plain,
        other_keys,
        unreadable,
    };
    output.result(&answer, || {
        let mut lines = Vec::new();
        match &method {
            None => lines.push("Seeds are not sealed.".to_owned()),
            Some(method) => {
                lines.push(format!("The key is kept by {}.", method.told()));
                lines.push(match &kept {
                    Ok(_) => "It gives the key now.".to_owned(),
                    Err(error) => format!("It does not give the key: {error}."),
                });
                lines.push(if answer.unpacked {
                    "Logins have the key.".to_owned()
                } else {
                    format!(
                        "Logins do not have the key: {} is missing or not trusted.",
                        keeper.unpacked_path().display()
                    )
                });
            }
        }
        lines.push(format!("Records: {} sealed, {plain} in plain text.", answer.sealed));
        if other_keys > 0 {
            lines.push(format!(
                "{other_keys} are sealed under a key that is not here: otp-enroll admin seal --recovery-key"
            ));
        }
        if unreadable > 0 {
            lines.push(format!("{unreadable} cannot be read: otp-enroll admin doctor"));
        }
        lines.join("\n")
    })?;
    let is_well = method.is_none() || (answer.unseals && answer.unpacked);
    if is_well && other_keys == 0 { Ok(()) } else { Err(CliError::Faults(1)) }
}
