//! What doctor says of the files before they are in force: of a folder with the new PAM files, and of a configuration of sshd
//! with the drop-in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::compared::is_as_open;
use super::drop_in;
use super::plan::{self, Plan, refused};
use super::reload;
use crate::admin::doctor::finding::{Finding, Severity};
use crate::admin::doctor::keyless;
use crate::admin::doctor::sshd::{self, CONFIGURATIONS, Settings};
use crate::admin::doctor::sshd_blocks::blocks;
use crate::admin::doctor::sshd_files::{self, CONFIGURATION, Line, Unknown};
use crate::admin::doctor::{self};
use crate::cli::Common;
use crate::error::CliError;
use crate::pam::stack::PAM_FOLDERS;
use crate::ui::output::Output;

/// The files of a plan in a folder of their own, which goes when this goes.
struct Draft {
    folder: TempDir,
    /// sshd's configuration, if that changes.
    sshd: Option<PathBuf>,
}

/// Checks the files of a plan.
pub(super) fn examine(plan: &Plan, key: bool, common: &Common, output: &Output) -> Result<Vec<Finding>, CliError> {
    let draft = Draft::write(plan).map_err(|error| CliError::Reported {
        error: format!("a draft could not be written: {}", crate::error::plain(&error)),
        hint: "nothing was changed".into(),
    })?;
    if plan.service == sshd::SERVICE {
        reload::can_be_told()?;
        draft.check_sshd(key)?;
    }
    let pam = draft.folder.path().join("pam");
    let (_, findings) = doctor::examine(common, Some(&pam), draft.sshd.as_deref(), output)?;
    Ok(findings.into_iter().map(|finding| draft.as_in_force(finding)).collect())
}

/// Whether `*.conf` means a file: glob(3) passes over names that begin with a dot.
fn is_read(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    !name.starts_with(b".") && name.ends_with(b".conf")
}

/// A name as a pattern of glob(3) that means it alone.
fn literally(name: &str) -> String {
    let letter = |letter: char| match letter {
        '*' | '?' | '[' => format!("[{letter}]"),
        _ => letter.to_string(),
    };
    name.chars().map(letter).collect()
}

/// The faults among findings.
pub(super) fn faults(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.severity == Severity::Fault).count()
}

impl Draft {
    fn write(plan: &Plan) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pam_otp-draft-").tempdir()?;
        let mut draft = Self { sshd: None, folder };
        let pam = draft.folder.path().join("pam");
        fs::create_dir(&pam)?;
        // A service that is on already is a part of what a login runs through: `su -` includes su.
        for name in &plan.names {
            let found = PAM_FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
            if let Some(found) = found {
                fs::copy(found, pam.join(name))?;
            }
        }
        for change in plan.changes.iter().filter(|change| !change.is_drop_in()) {
            fs::write(pam.join(change.path.file_name().unwrap_or_default()), &change.after)?;
        }
        if let Some(change) = plan.changes.iter().find(|change| change.is_drop_in()) {
            let ours = draft.drop_in();
            fs::write(&ours, &change.after)?;
            let mut files: Vec<PathBuf> = fs::read_dir(CONFIGURATIONS)?
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| is_read(path))
                .chain([PathBuf::from(drop_in::FILE)])
                .collect();
            files.sort(); // as glob(3) does
            let files = files.iter().map(|path| if path.as_os_str() == drop_in::FILE { &ours } else { path });
            let files: Vec<String> = files.map(|path| literally(&path.display().to_string())).collect();
            let now = String::from_utf8_lossy(&fs::read(CONFIGURATION)?).into_owned();
            let configuration = drop_in::with_files(&now, &files).unwrap_or(now);
            let path = draft.folder.path().join("sshd_config");
            fs::write(&path, configuration)?;
            draft.sshd = Some(path);
        }
        Ok(draft)
    }

    fn drop_in(&self) -> PathBuf {
        self.folder.path().join("00-pam_otp.conf")
    }

    /// Whether sshd would ask as it must, and whether that holds for all logins.
    fn check_sshd(&self, key: bool) -> Result<(), CliError> {
        let file = self.sshd.as_deref();
        let would_reject = |unknown: Unknown| {
            refused(
                format!("sshd would reject its configuration: {}", self.told(&unknown.why())),
                format!("look for what contradicts it in {CONFIGURATION} and in files of {CONFIGURATIONS}"),
            )
        };
        let settings = sshd::settings(file).map_err(would_reject)?;
        let unmet = drop_in::unmet(&settings, key);
        if !unmet.is_empty() {
            return Err(refused(
                format!("sshd would not use all of {}: {} would not hold", drop_in::FILE, unmet.join(", ")),
                format!(
                    "another line comes first and says otherwise: look for it in {CONFIGURATION} above its Include, and in files of \
                     {CONFIGURATIONS}"
                ),
            ));
        }
        let unread = |unknown: Unknown| {
            let why = self.told(&unknown.why());
            refused(format!("the files of sshd could not be read: {why}"), "see: sshd -T -dd".into())
        };
        let lines = sshd_files::read(file).map_err(unread)?;
        let lines: Vec<Line> = lines.into_iter().map(|line| self.line_in_force(line)).collect();
        let now = plan::settings()?;
        if now.get("usepam").is_none_or(|value| value != "yes") {
            return Err(refused(
                "sshd does not ask PAM (UsePAM no): with PAM, accounts that are locked get in with their key, and account lines \
                 decide for the first time"
                    .into(),
                format!("set UsePAM yes in {CONFIGURATION}, reload sshd, and look who can log in then; then run this again"),
            ));
        }
        reload::can_listen(&settings)?;
        is_as_open(&now, &settings, &lines, key)?;
        if key {
            Self::check_key(&lines)?;
            self.check_root(&lines, &settings)
        } else {
            Ok(())
        }
    }

    /// With a key and a code, PAM asks for no password: every login must have shown a key before, in each Match block too.
    fn check_key(lines: &[Line]) -> Result<(), CliError> {
        let proofs = ["publickey", "hostbased", "gssapi-with-mic"];
        let is_proved = |list: &&String| proofs.iter().any(|proof| list.split([',', ':']).next() == Some(proof));
        let methods = lines.iter().filter(|line| line.keyword == "authenticationmethods");
        let mut open = methods.flat_map(|line| line.values.iter().map(move |list| (line, list)));
        let Some((line, list)) = open.find(|(_, list)| !is_proved(list)) else { return Ok(()) };
        Err(refused(
            format!(
                "{}:{}: AuthenticationMethods {list} asks for no key, and PAM would ask for no password",
                line.file.display(),
                line.number
            ),
            "begin each of its lists with publickey".into(),
        ))
    }

    /// Whether root would still log in with a key, from wherever.
    fn check_root(&self, lines: &[Line], generic: &Settings) -> Result<(), CliError> {
        let settings = sshd::settings_for(self.sshd.as_deref(), "root", sshd::GENERIC_ADDRESS).unwrap_or_default();
        let setting = |key: &str| settings.get(key).map_or("", String::as_str);
        let in_blocks = blocks(lines, generic);
        let in_blocks =
            in_blocks.iter().filter_map(|block| Some((block.settings.get("permitrootlogin")?, &block.place)));
        let everywhere = std::iter::once((setting("permitrootlogin"), String::new()))
            .chain(in_blocks.map(|(permitted, place)| (permitted.as_str(), format!(" in the Match block {place}"))));
        let of_root = |pattern| keyless::file_of_keys(pattern, Path::new("/root"), "root", 0);
        let mut files = setting("authorizedkeysfile").split_whitespace().map(of_root);
        // Keys that a command or a certificate names are not looked for.
        let has_key = !keyless::sources_besides_files(&settings).is_empty()
            || files.any(|path| fs::metadata(path).is_ok_and(|found| found.len() > 0));
        let mut refusing = everywhere.filter(|(permitted, _)| !["yes", "no", ""].contains(permitted));
        match refusing.next().filter(|_| has_key) {
            None => Ok(()),
            Some((permitted, place)) => Err(refused(
                format!(
                    "root logs in with a key, and sshd would refuse root's code: PermitRootLogin is {permitted}{place}"
                ),
                "set PermitRootLogin yes there (root then needs a key and a code), or no; then run this again".into(),
            )),
        }
    }

    fn line_in_force(&self, mut line: Line) -> Line {
        line.file = self.told(&line.file.display().to_string()).into();
        line
    }

    fn as_in_force(&self, mut finding: Finding) -> Finding {
        finding.what = self.told(&finding.what);
        finding.fix = self.told(&finding.fix);
        finding
    }

    /// A text with the paths that the files will have.
    fn told(&self, text: &str) -> String {
        let here = |name: &str| self.folder.path().join(name).display().to_string();
        text.replace(&here("pam"), PAM_FOLDERS.first().copied().unwrap_or_default())
            .replace(&here("sshd_config"), CONFIGURATION)
            .replace(&self.drop_in().display().to_string(), drop_in::FILE)
    }
}
