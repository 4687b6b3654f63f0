//! Changes of a user's devices, as pure functions: add, rename, remove, choose the default.
//!
//! Each works on a record that already has the enrollment id of the change, and leaves it as it was if it fails.

use crate::record::Record;
use crate::record::credentials::{Credentials, Device, DeviceName};
use crate::record::id::{DeviceId, MOST_DEVICES};
use crate::record::state::Progress;
use crate::value::secret::Secret;

/// Why the devices stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotChanged {
    /// No device has this number or name.
    NoSuchDevice,
    /// Another device has this name.
    NameTaken,
    /// Another device has this seed: a code that one has used up would be good again with the other.
    SeedKnown,
    /// The record holds as many as it can.
    TooMany,
    /// It is the only device: without it the second factor would be gone.
    OnlyDevice,
}

impl Credentials {
    /// Whether a device has this seed.
    pub fn has_seed(&self, seed: &Secret) -> bool {
        self.devices.iter().any(|device| device.secret.is(seed))
    }

    /// The number of a new device of this name. No number is given again, so there may be none left.
    pub fn room_for(&self, name: &DeviceName) -> Result<DeviceId, NotChanged> {
        if self.devices.iter().any(|device| device.name.is(name.as_str())) {
            return Err(NotChanged::NameTaken);
        }
        let id = self.last_id.0.checked_add(1).map(DeviceId);
        id.filter(|_| self.devices.len() < MOST_DEVICES).ok_or(NotChanged::TooMany)
    }

    /// A name that no device has: this one, or with a number behind it.
    pub fn free_name(&self, base: &DeviceName) -> DeviceName {
        base.free(|name| self.devices.iter().any(|device| device.name.is(name)))
    }
}

impl Record {
    /// Adds a device under the next number. The first one is the default.
    pub fn add_device(&mut self, device: Device, progress: Progress) -> Result<DeviceId, NotChanged> {
        let credentials = &mut self.credentials;
        // First of all: who gives a token again, since no answer came, learns that it is there, also as the last that has room.
        if device.secret.open().is_some_and(|seed| credentials.has_seed(seed)) {
            return Err(NotChanged::SeedKnown);
        }
        let id = credentials.room_for(&device.name)?;
        credentials.devices.push(Device { id, ..device });
        credentials.default = credentials.default.or(Some(id));
        credentials.last_id = id;
        self.state.devices.insert(id, progress);
        Ok(id)
    }

    pub fn rename_device(&mut self, named: &str, name: &DeviceName) -> Result<DeviceId, NotChanged> {
        let id = self.credentials.device(named).ok_or(NotChanged::NoSuchDevice)?.id;
        let devices = &mut self.credentials.devices;
        // The same name in other letters is no other device's.
        if devices.iter().any(|other| other.id != id && other.name.is(name.as_str())) {
            return Err(NotChanged::NameTaken);
        }
        devices.iter_mut().filter(|device| device.id == id).for_each(|device| device.name = name.clone());
        Ok(id)
    }

    /// Removes a device. If it was the default, the one with the lowest number becomes it. Addresses in grace are forgotten:
    /// the person who has the device may have logged in from one.
    pub fn remove_device(&mut self, named: &str) -> Result<DeviceId, NotChanged> {
        let id = self.credentials.device(named).ok_or(NotChanged::NoSuchDevice)?.id;
        let credentials = &mut self.credentials;
        if credentials.devices.len() == 1 {
            return Err(NotChanged::OnlyDevice);
        }
        credentials.devices.retain(|device| device.id != id);
        if credentials.default == Some(id) {
            credentials.default = credentials.devices.first().map(|device| device.id);
        }
        self.state.devices.remove(id);
        self.state.graces.clear();
        Ok(id)
    }

    pub fn make_default(&mut self, named: &str) -> Result<DeviceId, NotChanged> {
        let id = self.credentials.device(named).ok_or(NotChanged::NoSuchDevice)?.id;
        self.credentials.default = Some(id);
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::credentials_toml::ReadContext;
    use crate::testing::fixtures::{NOW, phone, record, token};
    use crate::value::network::Address;

    fn named(id: u8, name: &str) -> Device {
        Device { name: DeviceName::parse(name).unwrap(), ..phone(id) }
    }

    fn two() -> Record {
        record(vec![named(1, "phone"), Device { name: DeviceName::parse("Blue key").unwrap(), ..token(3) }])
    }

    /// Numbers and names, the default, and the last number, after a look at whether the record can be written and read.
    fn devices(record: &Record) -> (Vec<(u8, String)>, Option<u8>, u8) {
        let text = record.credentials.encode();
        let credentials = Credentials::decode(text.as_bytes(), ReadContext::ANYONE).unwrap();
        assert!(record.state.devices.keys().eq(credentials.devices.iter().map(|device| device.id)));
        let all = credentials.devices.iter().map(|device| (device.id.0, device.name.as_str().to_owned()));
        (all.collect(), credentials.default.map(|id| id.0), credentials.last_id.0)
    }

    fn add(record: &mut Record, name: &str) -> Result<DeviceId, NotChanged> {
        let seed = record.credentials.last_id.0.wrapping_add(1);
        record.add_device(named(seed, name), Progress::from(7))
    }

    #[test]
    fn a_seed_is_added_once() {
        // Of one that is there twice, each code would be good twice.
        let mut record = two();
        let again = Device { name: DeviceName::parse("another").unwrap(), ..token(1) };
        assert_eq!(record.add_device(again, Progress::from(0)), Err(NotChanged::SeedKnown));
        assert_eq!(record.state.nexts(), [(1, 0), (3, 0)]);
        // That it is there counts before its name, and before there being no room.
        record.credentials.last_id = DeviceId(255);
        assert_eq!(record.add_device(named(1, "phone"), Progress::from(0)), Err(NotChanged::SeedKnown));
    }

    #[test]
    fn a_device_gets_a_number_that_none_had_before() {
        let mut record = two();
        assert_eq!(add(&mut record, "tablet"), Ok(DeviceId(4)));
        assert_eq!(record.remove_device("4"), Ok(DeviceId(4)));
        assert_eq!(add(&mut record, "tablet"), Ok(DeviceId(5)));
        let all = [(1, "phone"), (3, "Blue key"), (5, "tablet")].map(|(id, name)| (id, name.to_owned()));
        assert_eq!(devices(&record), (all.to_vec(), Some(1), 5));
        assert_eq!(record.state.nexts(), [(1, 0), (3, 0), (5, 7)]);
        record.credentials.last_id = DeviceId(255);
        assert_eq!(add(&mut record, "watch"), Err(NotChanged::TooMany));
    }

    #[test]
    fn a_name_of_ours_is_one_that_no_device_has() {
        let mut record = record(vec![named(1, "phone")]);
        let base = DeviceName::parse("Phone").unwrap();
        assert_eq!(record.credentials.free_name(&base).as_str(), "Phone 2");
        add(&mut record, "phone 2").unwrap();
        assert_eq!(record.credentials.free_name(&base).as_str(), "Phone 3");
        assert_eq!(record.credentials.free_name(&DeviceName::parse("tablet").unwrap()).as_str(), "tablet");
    }

    #[test]
    fn eight_devices_are_enough_and_each_has_a_name_of_its_own() {
        let mut record = record(vec![phone(1)]);
        for n in 2..=8 {
            assert_eq!(add(&mut record, &format!("phone {n}")), Ok(DeviceId(n)));
        }
        assert_eq!(add(&mut record, "ninth"), Err(NotChanged::TooMany));
        assert_eq!(record.remove_device("Phone 3"), Ok(DeviceId(3)));
        assert_eq!(add(&mut record, "PHONE 4"), Err(NotChanged::NameTaken));
        assert_eq!(add(&mut record, "ninth"), Ok(DeviceId(9)));
    }

    #[test]
    fn the_first_device_is_the_default_until_another_is_chosen_or_it_is_removed() {
        let mut record = two();
        assert_eq!(record.make_default("blue KEY"), Ok(DeviceId(3)));
        assert_eq!(devices(&record).1, Some(3));
        record.state.begin_grace(Address::parse("192.0.2.1").unwrap(), NOW);
        assert_eq!(record.remove_device("3"), Ok(DeviceId(3)));
        assert_eq!((devices(&record).1, record.state.graces.len()), (Some(1), 0));
        assert_eq!(record.remove_device("phone"), Err(NotChanged::OnlyDevice));
        let mut record = self::record(vec![]);
        assert_eq!(add(&mut record, "phone"), Ok(DeviceId(1)));
        assert_eq!(devices(&record).1, Some(1));
    }

    #[test]
    fn a_device_is_renamed_by_number_or_name_to_a_name_that_no_other_has() {
        let mut record = two();
        let name = |text: &str| DeviceName::parse(text).unwrap();
        assert_eq!(record.rename_device(" PHONE ", &name("Phone")), Ok(DeviceId(1)));
        assert_eq!(record.rename_device("3", &name("green key")), Ok(DeviceId(3)));
        let all = [(1, "Phone"), (3, "green key")].map(|(id, name)| (id, name.to_owned()));
        assert_eq!(devices(&record).0, all);
        assert_eq!(record.rename_device("green key", &name("PHONE")), Err(NotChanged::NameTaken));
        for absent in ["2", "blue key", "", "-1", "01x"] {
            assert_eq!(record.rename_device(absent, &name("x")), Err(NotChanged::NoSuchDevice), "{absent}");
            assert_eq!(record.remove_device(absent), Err(NotChanged::NoSuchDevice), "{absent}");
            assert_eq!(record.make_default(absent), Err(NotChanged::NoSuchDevice), "{absent}");
        }
        assert_eq!(devices(&record).0, all);
    }
}
