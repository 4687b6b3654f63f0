//! Where tokens without a user go: into the stock, unless they are there or a user has them.

use std::collections::HashMap;

use otp_core::decision::import::{Found, Imported};
use otp_core::error::CoreError;
use otp_core::record::credentials::{Device, DeviceName, Serial};
use otp_core::record::credentials_toml::spare::Spare;
use otp_core::record::id::DeviceId;
use otp_core::store::error::StoreError;
use otp_core::store::files::open::FileStore;
use otp_core::store::files::stock::{Put, Stock};
use otp_core::system::accounts::account;
use otp_core::value::secret::Secret;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};

/// The stock during an import.
pub(super) struct Shelf {
    /// `None` if there is none yet, and none is to be made.
    stock: Option<Stock>,
    /// Users who have a token with a serial number.
    users: HashMap<Box<str>, UserName>,
    dry_run: bool,
}

/// The result for a token that the file gives to no user.
pub(super) enum Shelved {
    Put,
    Already,
    /// A user has it.
    OfUser(String),
    /// Another token has its serial number.
    Taken,
}

impl Shelf {
    /// `is_needed`: the file has tokens without a user. Then each record is read once, to find those that users have.
    pub(super) fn open(store: &FileStore, is_needed: bool, dry_run: bool) -> Result<Self, CoreError> {
        if !is_needed {
            return Ok(Self { stock: store.stock()?, users: HashMap::new(), dry_run });
        }
        let stock = if dry_run { store.stock()? } else { Some(store.stock_or_new()?) };
        let mut users = HashMap::new();
        for stem in store.stems(|| ())? {
            let known = |name: &UserName| Ok::<_, StoreError>(known(name));
            // A record that cannot be read is doctor's to tell about.
            let Ok((account, Some(record))) = store.read_of(&stem, known) else { continue };
            for serial in record.credentials.devices.iter().filter_map(|device| device.serial.as_ref()) {
                users.insert(serial.as_str().into(), account.name.clone());
            }
        }
        Ok(Self { stock, users, dry_run })
    }

    /// Puts a token there.
    pub(super) fn put(&self, store: &FileStore, found: Found, maker: Option<String>) -> Result<Shelved, CoreError> {
        let mut devices = found.devices.into_iter();
        let (Some(device), None) = (devices.next(), devices.next()) else { return Ok(Shelved::Taken) };
        let Some(serial) = device.serial.clone() else { return Ok(Shelved::Taken) };
        if let Some(user) = self.users.get(serial.as_str()) {
            let record = store.read_open(&known(user))?;
            let has = record.is_some_and(|record| record.credentials.has_seed(&device.secret));
            return Ok(if has { Shelved::OfUser(user.to_string()) } else { Shelved::Taken });
        }
        let spare = spare(device, maker);
        let put = match &self.stock {
            Some(stock) if !self.dry_run => stock.put(&spare)?,
            Some(stock) => stock.compare(&spare)?,
            None => Put::Done,
        };
        Ok(match put {
            Put::Done => Shelved::Put,
            Put::Already => Shelved::Already,
            Put::Taken => Shelved::Taken,
        })
    }

    /// The tokens that may be in the stock, before they go to a user.
    pub(super) fn numbered(&self, found: &Found) -> Vec<(Serial, Secret)> {
        let of = |device: &Imported| Some((device.serial.clone()?, device.secret.duplicate()));
        let devices = self.stock.iter().flat_map(|_| &found.devices);
        devices.filter_map(of).collect()
    }

    /// Takes tokens out of the stock that a user has now.
    pub(super) fn take(&self, tokens: &[(Serial, Secret)]) -> Result<(), CoreError> {
        let Some(stock) = &self.stock else { return Ok(()) };
        for (serial, secret) in tokens {
            let is_there = |spare: Option<Spare>| spare.is_some_and(|spare| spare.has_seed(secret));
            if is_there(stock.get(serial)?) {
                let locked = stock.lock()?;
                if is_there(locked.get(serial)?) {
                    locked.remove(serial)?;
                }
            }
        }
        Ok(())
    }
}

/// The account of a name, or what is left of it.
fn known(name: &UserName) -> Account {
    account(name.as_str()).ok().flatten().unwrap_or_else(|| Account { name: name.clone(), ..Account::nobody() })
}

fn spare(imported: Imported, maker: Option<String>) -> Spare {
    let Imported { kind, secret, algorithm, digits, next, name, serial, .. } = imported;
    let (name, created, secret) = (name.unwrap_or_else(DeviceName::of_token), UnixTime::now(), secret.into());
    let device = Device { id: DeviceId(1), name, kind, secret, algorithm, digits, created, serial };
    Spare { device, sealed: None, next, maker, user: None }
}
