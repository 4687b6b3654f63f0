//! Gives the configuration and its state directory one id: the proof of a login that its records are there. Enters records of
//! earlier versions in the index by number.

use otp_core::error::CoreError;
use otp_core::store::files::identity::{Identity, StoreId};
use otp_core::store::files::open::FileStore;
use otp_core::system::config_file::Site;
use otp_core::system::random;
use serde::Serialize;

use crate::error::CliError;
use crate::ui::output::Output;

/// The answer as JSON.
#[derive(Serialize)]
struct Initialized<'a> {
    state_directory: &'a str,
    changed: bool,
}

/// `if_new`: only where neither file exists, for an installation. Otherwise root says which state directory is the right
/// one.
pub(super) fn init_store(site: &Site, if_new: bool, yes: bool, output: &Output) -> Result<(), CliError> {
    let store = FileStore::open(&site.config.state_directory).map_err(CoreError::from)?;
    let beside = site.store_id();
    let state_directory = &*site.config.state_directory.to_string_lossy();
    let id = match store.identity(&beside) {
        Identity::Known => {
            store.enter_all().map_err(CoreError::from)?;
            let same = Initialized { state_directory, changed: false };
            return output.done(&same, &format!("{state_directory}: has the id of its configuration already"));
        }
        Identity::New => None,
        Identity::Unknown(_, error) if if_new => return Err(CoreError::from(error).into()),
        Identity::Unknown(id, error) => {
            if !yes {
                let records = store.stems(|| ()).map_err(CoreError::from)?.len();
                output.warn(&format!(
                    "{error}; {state_directory} holds {records} records. Users without a record there count as not \
                     enrolled, and policy may let them in by the password alone"
                ));
                output.confirm(&format!("Is {state_directory} the right state directory?"))?;
            }
            id
        }
    };
    // The id of a directory stays, since other configurations may use the directory too. A directory without one gets a new
    // id: another directory, not mounted now, may have the old one.
    let id = match id {
        Some(id) => id,
        None => {
            let mut bytes = [0; 16];
            random::entropy(&mut bytes)?;
            StoreId::new(bytes)
        }
    };
    store.set_identity(&beside, id).map_err(CoreError::from)?;
    store.enter_all().map_err(CoreError::from)?;
    output.done(&Initialized { state_directory, changed: true }, &format!("{state_directory}: initialized"))
}
