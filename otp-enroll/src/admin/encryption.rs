//! Encryption of bundles, by age: to recipients, or with a passphrase.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use age::armor::ArmoredReader;
use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, EncryptError, Encryptor, scrypt, x25519};
use otp_formats::bundle::BundleError;

use crate::error::CliError;
use crate::seed_file::{self, OF_ALL_USERS, OF_ONE_TOKEN};
use crate::ui::alternate_screen::AlternateScreen;
use crate::ui::output::{Output, say};
use crate::ui::prompt::{self, LONGEST_LINE};
use crate::ui::terminal::Terminal;

/// What scrypt costs to make: 2^18 steps take about a second and 256 MB, as `age` itself makes them.
const WORK: u8 = 18;

/// What it may cost to open. A file that asks for more is refused before anything is computed: it may be made to hang.
const MOST_WORK: u8 = 20;

/// A person who has the file, and time, guesses fewer characters.
const SHORT: usize = 12;

/// Who can open a bundle that is made.
pub(super) enum Seal {
    Recipients(Vec<x25519::Recipient>),
    Passphrase(SecretString),
}

/// What opens a bundle.
pub(super) enum Key {
    Identities(Vec<x25519::Identity>),
    Passphrase(SecretString),
}

/// Where it comes from.
pub(super) trait ReadAgain: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadAgain for T {}

/// What is in an encrypted file.
pub(super) type Opened = StreamReader<ArmoredReader<BufReader<Box<dyn ReadAgain>>>>;

impl Seal {
    /// Without recipients and a file with a passphrase, one is asked for, twice.
    pub(super) fn of(recipients: &[String], passphrase_file: Option<&Path>, output: &Output) -> Result<Self, CliError> {
        if !recipients.is_empty() {
            let recipients = recipients.iter().map(|recipient| {
                recipient.parse().map_err(|_| {
                    CliError::Usage(format!(
                        "{recipient:?} is no recipient of age: write what `age-keygen` calls the public key, age1..."
                    ))
                })
            });
            return Ok(Self::Recipients(recipients.collect::<Result<_, _>>()?));
        }
        let passphrase = match passphrase_file {
            Some(file) => in_file(file, output)?,
            None => asked_twice()?,
        };
        if length(&passphrase) < SHORT {
            output.warn(
                "this passphrase is short: a person who gets the file can try many; the bundle is as safe as the passphrase is long",
            );
        }
        Ok(Self::Passphrase(passphrase))
    }

    /// What is written to it is encrypted, once `finish` was called.
    pub(super) fn around<W: Write>(&self, output: W) -> io::Result<StreamWriter<W>> {
        let encryptor = match self {
            Self::Recipients(recipients) => {
                Encryptor::with_recipients(recipients.iter().map(|recipient| -> &dyn age::Recipient { recipient }))
            }
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                let recipient: &dyn age::Recipient = &recipient;
                Encryptor::with_recipients(std::iter::once(recipient))
            }
        };
        encryptor.map_err(cannot_encrypt)?.wrap_output(output)
    }
}

fn cannot_encrypt(error: EncryptError) -> io::Error {
    if let EncryptError::Io(error) = error { error } else { io::Error::other(error.to_string()) }
}

impl Key {
    /// Without a file that has it, a passphrase is asked for.
    pub(super) fn of(
        identity: Option<&Path>,
        passphrase_file: Option<&Path>,
        output: &Output,
    ) -> Result<Self, CliError> {
        match (identity, passphrase_file) {
            (Some(file), _) => identities(file, output).map(Self::Identities),
            (None, Some(file)) => in_file(file, output).map(Self::Passphrase),
            (None, None) => asked_once().map(Self::Passphrase),
        }
    }

    /// Opens what this key opens.
    pub(super) fn open(&self, path: &Path, input: Box<dyn ReadAgain>) -> Result<Opened, CliError> {
        let decryptor = Decryptor::new(ArmoredReader::new(input));
        let opened = decryptor.and_then(|decryptor| match self {
            Self::Identities(identities) => {
                decryptor.decrypt(identities.iter().map(|identity| -> &dyn age::Identity { identity }))
            }
            Self::Passphrase(passphrase) => {
                let mut identity = scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(MOST_WORK);
                let identity: &dyn age::Identity = &identity;
                decryptor.decrypt(std::iter::once(identity))
            }
        });
        opened.map_err(|error| self.unopened(path, error))
    }

    fn unopened(&self, path: &Path, error: DecryptError) -> CliError {
        let file = path.display();
        let (error, hint) = match (error, self) {
            (DecryptError::NoMatchingKeys, Self::Identities(_)) => (
                format!("{file} cannot be opened: it is for another recipient, or has a passphrase"),
                "give the key that belongs to its recipient with --identity, or its passphrase",
            ),
            (DecryptError::NoMatchingKeys, Self::Passphrase(_)) => (
                format!("{file} cannot be opened: it is for a recipient, and has no passphrase"),
                "give the file with the recipient's key: --identity",
            ),
            (DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed, Self::Passphrase(_)) => {
                (format!("{file} cannot be opened: the passphrase is wrong"), "give the one that it was made with")
            }
            (DecryptError::ExcessiveWork { .. }, _) => (
                format!("{file} asks for more work than any bundle of otp-enroll: it may be made to hang"),
                "nothing was computed; ask where the file comes from",
            ),
            (DecryptError::Io(error), _) if error.kind() != io::ErrorKind::UnexpectedEof && is_of_system(&error) => {
                return CliError::Unreadable { path: path.to_owned(), error };
            }
            (DecryptError::InvalidHeader | DecryptError::UnknownFormat | DecryptError::Io(_), _) => {
                (format!("{file} is no file of age, or is cut off"), "give the file that `admin export` made")
            }
            (_, _) => (format!("{file} is damaged, or was changed"), "copy it again from where it was made"),
        };
        CliError::Reported { error, hint: hint.into() }
    }
}

fn is_of_system(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}

/// What is wrong with a bundle that was opened.
pub(super) fn unreadable(path: &Path, error: BundleError) -> CliError {
    if let BundleError::Unreadable(error) = error {
        return CliError::Unreadable { path: path.to_owned(), error };
    }
    let hint = if let BundleError::Version(_) = error {
        "nothing was changed; use otp-enroll of the same version on both hosts"
    } else {
        "nothing was changed; make it again with `otp-enroll admin export`"
    };
    CliError::Reported { error: format!("{} {error}", path.display()), hint: hint.into() }
}

/// The encrypted file. Standard input, and what can be read once only, is kept in memory: it is read several times.
pub(super) fn input(path: &Path, output: &Output) -> Result<Box<dyn ReadAgain>, CliError> {
    if path.as_os_str() != "-" {
        let failed = |error| CliError::Unreadable { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_file() {
            seed_file::warn_of_others(path, &metadata, "seeds, though encrypted,", output);
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            return Ok(Box::new(file));
        }
    }
    let mut bytes = seed_file::read(path, OF_ALL_USERS, output)?;
    Ok(Box::new(Cursor::new(std::mem::take(&mut *bytes))))
}

/// The keys of a file that `age-keygen` made.
fn identities(path: &Path, output: &Output) -> Result<Vec<x25519::Identity>, CliError> {
    let unfit = |line: usize| CliError::Reported {
        error: format!("{}:{line}: this is no key of age", path.display()),
        hint: "give a file that `age-keygen` made; keys of ssh and of plugins are not supported".into(),
    };
    let text = seed_file::read(path, OF_ONE_TOKEN, output)?;
    let text = str::from_utf8(&text).map_err(|_| unfit(1))?;
    let mut identities = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if !line.is_empty() && !line.starts_with('#') {
            identities.push(line.parse().map_err(|_| unfit(number))?);
        }
    }
    if identities.is_empty() { Err(unfit(1)) } else { Ok(identities) }
}

/// The first line of a file.
fn in_file(path: &Path, output: &Output) -> Result<SecretString, CliError> {
    let text = seed_file::read(path, OF_ONE_TOKEN, output)?;
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).unwrap_or_default();
    if line.is_empty() {
        return Err(CliError::Reported {
            error: format!("{} has no passphrase in its first line", path.display()),
            hint: "write one there, in UTF-8".into(),
        });
    }
    Ok(SecretString::from(line.to_owned()))
}

fn length(passphrase: &SecretString) -> usize {
    age::secrecy::ExposeSecret::expose_secret(passphrase).chars().count()
}

/// Asks for a new passphrase until it was given twice alike.
fn asked_twice() -> Result<SecretString, CliError> {
    let terminal = terminal("add --recipient or --passphrase-file")?;
    let _screen = watch(&terminal)?;
    loop {
        let first = prompt::ask_hidden(&terminal, "Passphrase of the bundle (not shown): ")?;
        let text = first.expose();
        // Of a longer line the end is lost.
        if text.is_empty() || text.len() >= LONGEST_LINE {
            say("A passphrase has 1 to 255 bytes.")?;
        } else if prompt::ask_hidden(&terminal, "The same once more: ")?.expose() == text {
            return Ok(SecretString::from(text.to_owned()));
        } else {
            say("These are not the same.")?;
        }
    }
}

fn asked_once() -> Result<SecretString, CliError> {
    let terminal = terminal("add --identity or --passphrase-file")?;
    let _screen = watch(&terminal)?;
    let line = prompt::ask_hidden(&terminal, "Passphrase of the bundle (not shown): ")?;
    Ok(SecretString::from(line.expose().to_owned()))
}

fn terminal(otherwise: &str) -> Result<Terminal, CliError> {
    let terminal = Terminal { escapes: false, ..Terminal::here() };
    if terminal.interactive {
        Ok(terminal)
    } else {
        Err(CliError::Usage(format!("not a terminal, so I cannot ask for a passphrase; {otherwise}")))
    }
}

/// An interruption shows again what is typed.
fn watch(terminal: &Terminal) -> Result<AlternateScreen, CliError> {
    Ok(AlternateScreen::enter(terminal, "nothing was changed")?)
}

/// A path as messages name it.
pub(super) fn named(path: &Path) -> PathBuf {
    if path.as_os_str() == "-" { "standard input".into() } else { path.to_owned() }
}
