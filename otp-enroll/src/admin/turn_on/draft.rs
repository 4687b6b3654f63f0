//! What doctor says of the files before they are in force: of a folder with the new PAM files, and of a configuration of sshd
//! with the drop-in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::drop_in;
use super::plan::{Plan, refused};
use crate::admin::doctor::finding::{Finding, Severity};
use crate::admin::doctor::sshd::{self, CONFIGURATION, CONFIGURATIONS, Settings, Unknown};
use crate::admin::doctor::{self};
use crate::cli::Common;
use crate::error::CliError;
use crate::pam::stack::PAM_FOLDERS;
use crate::ui::output::Output;

/// Where root logs in with a key.
const KEYS_OF_ROOT: [&str; 2] = ["/root/.ssh/authorized_keys", "/root/.ssh/authorized_keys2"];

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
    if plan.has_drop_in() || key {
        draft.check_sshd(key)?;
    }
    let pam = draft.folder.path().join("pam");
    let (_, findings) = doctor::examine(common, Some(&pam), draft.sshd.as_deref(), output)?;
    Ok(findings.into_iter().map(|finding| draft.as_in_force(finding)).collect())
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
                .filter(|path| path.extension().is_some_and(|end| end == "conf"))
                .chain([PathBuf::from(drop_in::FILE)])
                .collect();
            files.sort(); // as glob(3) does
            let files = files.iter().map(|path| if path.as_os_str() == drop_in::FILE { &ours } else { path });
            let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
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
        let settings = sshd::settings(self.sshd.as_deref()).map_err(|unknown| {
            let (Unknown::Refused(why) | Unknown::NotAsked(why)) = unknown;
            refused(format!("sshd would reject its configuration: {why}"), "see: sshd -t".into())
        })?;
        let unmet = drop_in::unmet(&settings, key);
        if !unmet.is_empty() {
            return Err(refused(
                format!("another file of sshd sets this before {}: not {}", drop_in::FILE, unmet.join(", not ")),
                format!("look for it in {CONFIGURATION} above its Include, and in files of {CONFIGURATIONS}"),
            ));
        }
        if key { self.check_key(&settings) } else { Ok(()) }
    }

    /// With a key and a code, PAM asks for no password: every login must have shown a key before.
    fn check_key(&self, settings: &Settings) -> Result<(), CliError> {
        let mut open: Vec<PathBuf> = vec![self.sshd.clone().unwrap_or_else(|| CONFIGURATION.into())];
        let more = fs::read_dir(CONFIGURATIONS).into_iter().flatten().flatten().map(|entry| entry.path());
        open.extend(more);
        for path in open {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            let place = self.told(&path.display().to_string());
            if let Some(list) = drop_in::methods_without_proof(&text).first() {
                return Err(refused(
                    format!("{place}: AuthenticationMethods {list} asks for no key, and PAM would ask for no password"),
                    "begin each of its lists with publickey".into(),
                ));
            }
            let unread = drop_in::included(&text).into_iter().find(|pattern| {
                !pattern.starts_with(CONFIGURATIONS)
                    && !pattern.starts_with("sshd_config.d/")
                    && Path::new(pattern) != self.drop_in()
            });
            if let Some(pattern) = unread {
                return Err(refused(
                    format!("{place} includes {pattern}, which is not searched here for AuthenticationMethods"),
                    "see *Key and code* in the manual: write the lines by hand".into(),
                ));
            }
        }
        let permitted = settings.get("permitrootlogin").map_or("", String::as_str);
        let has_key = KEYS_OF_ROOT.iter().any(|path| fs::metadata(path).is_ok_and(|found| found.len() > 0));
        if has_key && !["yes", "no"].contains(&permitted) {
            return Err(refused(
                format!("root logs in with a key, and sshd would refuse root's code: PermitRootLogin is {permitted}"),
                "set PermitRootLogin yes (root then needs a key and a code), or no; then run this again".into(),
            ));
        }
        Ok(())
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
