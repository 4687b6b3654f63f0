//! Records that go to another host and come from one, as pure functions.

use serde::{Deserialize, Serialize};

use crate::codes::passcode::Issued;
use crate::codes::recovery::RecoverySet;
use crate::decision::import::Outcome;
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Kind, Override};
use crate::record::id::EnrollmentId;
use crate::record::state::{State, Used};
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// A record that comes from another host.
pub struct Arrival<'a> {
    pub record: &'a Record,
    /// Whether it takes the place of other devices.
    pub replace: bool,
    /// Whether its override comes, too.
    pub with_override: bool,
    /// The time at which its passcode comes, too, if it is good then; `None` if it stays where it is.
    pub passcode_at: Option<UnixTime>,
}

/// What becomes of a passcode that is good where its record comes from. What it is bound to stays: its end and its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivedPasscode {
    /// It is good here.
    Taken,
    /// It is good nowhere: another one is here, or the user has other devices here.
    Void,
}

impl Record {
    /// What of this record another host can use: no remembered address, no open challenge, no passcode, and nothing of what
    /// was only logged.
    pub fn departing(&self) -> Self {
        let mut record = self.renewed(self.credentials.enrollment);
        record.credentials.passcode = None;
        record.credentials.sealed.passcode = None;
        let State { challenges, graces, unenforced, passcode_used, .. } = &mut record.state;
        (*passcode_used, *unenforced) = (false, None);
        challenges.clear();
        graces.clear();
        record
    }

    /// Whether it says of all devices that the other one has, if any. With a record that does not, a host could bring something for each
    /// user.
    pub fn knows_devices_of(&self, other: &Self) -> bool {
        !other.is_enrolled() || self.has_devices_of(other)
    }

    /// Whether these are the same devices, each once: they show equal codes. Numbers, names and drift do not count.
    pub fn has_devices_of(&self, other: &Self) -> bool {
        let (these, those) = (&self.credentials.devices, &other.credentials.devices);
        these.len() == those.len()
            && these.iter().all(|this| those.iter().any(|that| this.shows_codes_of(that)))
            && those.iter().all(|that| these.iter().any(|this| this.shows_codes_of(that)))
    }
}

impl Record {
    /// Takes a passcode, unused, in place of any other.
    fn take_passcode(&mut self, issued: Option<Issued>) {
        if issued.is_some() {
            (self.credentials.passcode, self.state.passcode_used) = (issued, false);
            self.credentials.sealed.passcode = None;
        }
    }

    /// Keeps the passcode of another record, as it is there.
    fn keep_passcode(&mut self, other: Option<&Self>) {
        if let Some(other) = other {
            self.credentials.passcode = other.credentials.passcode.clone();
            self.state.passcode_used = other.state.passcode_used;
        }
    }

    /// Lets the codes that are sent begin far from those that any other host sends with the same seed: the new enrollment's id is
    /// random.
    fn send_other_codes(&mut self) {
        let random = self.credentials.enrollment.0.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        for device in self.credentials.devices.iter().filter(|device| matches!(device.kind, Kind::Sent(_))) {
            if let Some(progress) = self.state.devices.get_mut(device.id) {
                progress.move_to(progress.next.saturating_add(random.into()));
            }
        }
    }
}

impl Arrival<'_> {
    /// The step of a change: the record becomes the account's, with a new enrollment id. What was used there is used here,
    /// and what was used here stays used. Nothing changes for a user who has other devices, unless they are to be replaced.
    pub fn into_record(&self, account: &Account, here: Option<&Record>, enrollment: EnrollmentId) -> (Change, Outcome) {
        let user_override = self.override_with(here);
        if !self.record.is_enrolled() {
            return self.without_device(account, here, enrollment);
        }
        match here.filter(|here| here.is_enrolled()) {
            Some(here) if self.record.has_devices_of(here) => {
                let (state, brought) = (self.caught_up(here), self.brought(Some(here)));
                if user_override != here.credentials.user_override || brought.is_some() {
                    let mut record = here.renewed(enrollment);
                    record.credentials.user_override = user_override;
                    record.state = State { enrollment, ..state };
                    record.take_passcode(brought);
                    (Change::Record(Box::new(record)), Outcome::CaughtUp)
                } else if state == here.state {
                    (Change::Keep, Outcome::Already)
                } else {
                    (Change::State(state), Outcome::CaughtUp)
                }
            }
            Some(_) if !self.replace => (Change::Keep, Outcome::HasOthers),
            other => {
                let outcome = if other.is_some() { Outcome::Replaced } else { Outcome::Imported };
                let mut record = self.record.departing().renewed(enrollment);
                record.credentials.user = account.name.clone();
                record.credentials.uid = account.uid;
                record.credentials.user_override = user_override;
                if let Some(here) = other {
                    record.state = State { enrollment, ..used_in_both(&record, here) };
                }
                record.keep_passcode(here.filter(|_| self.passcode_at.is_some()));
                record.take_passcode(self.brought(here));
                record.send_other_codes();
                (Change::Record(Box::new(record)), outcome)
            }
        }
    }

    /// The override of the record, if it is to come, or else the one that the user has here.
    fn override_with(&self, here: Option<&Record>) -> Override {
        let of_here = here.map_or(Override::None, |here| here.credentials.user_override);
        let brought = self.record.credentials.user_override;
        if self.with_override && brought != Override::None { brought } else { of_here }
    }

    /// What becomes of its passcode, unless the user keeps other devices. `None` if it has none that is good, or if the same one was used
    /// here.
    pub fn passcode(&self, here: Option<&Record>) -> Option<ArrivedPasscode> {
        let now = self.passcode_at?;
        let issued = self.record.good_passcode(now)?;
        let Some(here) = here else { return Some(ArrivedPasscode::Taken) };
        if here.credentials.passcode.as_ref().is_some_and(|present| present.salt == issued.salt) {
            return here.good_passcode(now).map(|_| ArrivedPasscode::Taken);
        }
        let fits = (self.replace || self.record.knows_devices_of(here)) && here.good_passcode(now).is_none();
        Some(if fits { ArrivedPasscode::Taken } else { ArrivedPasscode::Void })
    }

    /// The passcode that comes and is not here already.
    fn brought(&self, here: Option<&Record>) -> Option<Issued> {
        let issued = self.record.credentials.passcode.as_ref()?;
        let is_here = here.is_some_and(|here| here.credentials.passcode.as_ref() == Some(issued));
        let is_taken = self.passcode(here) == Some(ArrivedPasscode::Taken);
        (is_taken && !is_here).then(|| issued.clone())
    }

    /// A record without a device brings an override, a passcode or nothing.
    fn without_device(&self, account: &Account, here: Option<&Record>, enrollment: EnrollmentId) -> (Change, Outcome) {
        let (stranger, user_override, brought) =
            (Record::stranger(account), self.override_with(here), self.brought(here));
        let here = here.unwrap_or(&stranger);
        if brought.is_some() {
            let mut record = here.renewed(enrollment);
            record.credentials.user_override = user_override;
            record.take_passcode(brought);
            return (Change::Record(Box::new(record)), Outcome::Imported);
        }
        if user_override == here.credentials.user_override {
            return (Change::Keep, Outcome::Already);
        }
        (here.with_override(user_override, enrollment), Outcome::Imported)
    }

    /// The state of the record here, in which everything is used that was used there.
    fn caught_up(&self, here: &Record) -> State {
        used_in_both(here, self.record)
    }
}

/// The state of `record`, in which everything is used that `other` says of devices and codes that both have. The next step or
/// counter only rises.
fn used_in_both(record: &Record, other: &Record) -> State {
    let mut state = record.state.clone();
    for device in &record.credentials.devices {
        for same in other.credentials.devices.iter().filter(|same| device.shows_codes_of(same)) {
            let (here, there) = (state.devices.get_mut(device.id), other.state.devices.get(same.id));
            if let (Some(here), Some(there)) = (here, there) {
                here.join(*there);
            }
        }
    }
    let is_same = |one: &Option<RecoverySet>, other: &Option<RecoverySet>| one.is_some() && one == other;
    let (these, those) = (&record.credentials, &other.credentials);
    if is_same(&these.recovery, &those.recovery) {
        state.used = Used(state.used.0 | other.state.used.0);
    }
    if is_same(&these.scratch, &those.scratch) {
        state.scratch_used = Used(state.scratch_used.0 | other.state.scratch_used.0);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::hotp_totp::Digits;
    use crate::codes::recovery::RecoverySet;
    use crate::decision::verify::{Verdict, decide};
    use crate::record::credentials::Device;
    use crate::record::id::DeviceId;
    use crate::record::state::{Challenged, Grace, Lock, Unenforced};
    use crate::testing::fixtures::{
        LIMITS, NOW, REPLAYED, STEP, alice, issued_until, named, phone, record, recovery, shown, token,
    };
    use crate::value::destination::{Channel, Destination};
    use crate::value::network::Address;
    use crate::value::time::UnixTime;

    const NEW: EnrollmentId = EnrollmentId([8; 16]);

    fn arrival(record: &Record) -> Arrival<'_> {
        Arrival { record, replace: false, with_override: false, passcode_at: None }
    }

    fn arrived(arrival: &Arrival<'_>, here: Option<&Record>) -> (Record, Outcome) {
        match arrival.into_record(&named("alicia", 2001), here, NEW) {
            (Change::Record(record), outcome) => (*record, outcome),
            (_, outcome) => panic!("{outcome:?}"),
        }
    }

    /// A record with something in every place.
    fn full() -> Record {
        let mut full = record(vec![phone(2), token(5)]);
        full.credentials.default = Some(DeviceId(5));
        full.credentials.last_id = DeviceId(7);
        full.credentials.user_override = Override::Required;
        full.credentials.scratch = Some(RecoverySet { salt: [1; 16], hashes: vec![[2; 32]; 5] });
        full.credentials.passcode = Some(issued_until(UnixTime(NOW.0 + 60)));
        full.state.set_nexts([(2, STEP - 5), (5, 7)]);
        for progress in full.state.devices.values_mut() {
            (progress.is_confirmed, progress.awaits_resync) = (false, true);
        }
        full.state.used.mark(3);
        full.state.scratch_used.mark(1);
        (full.state.failures, full.state.lock) = (4, Lock::UntilUnlocked);
        let (address, device) = (Address::parse("192.0.2.1").unwrap(), DeviceId(5));
        full.state.graces.push(Grace { address, at: NOW });
        full.state.challenges.push(Challenged { device, until: NOW, question: "1".into(), is_used: false });
        full.state.unenforced = Some(Unenforced { at: NOW, why: "wrong".into() });
        full
    }

    #[test]
    fn a_record_is_bound_to_the_account_here_and_keeps_what_was_used() {
        let there = full();
        let (here, outcome) = arrived(&arrival(&there), None);
        assert_eq!(outcome, Outcome::Imported);
        let expected = State { enrollment: NEW, ..there.departing().state };
        assert_eq!(here.state, expected);
        assert_eq!((here.credentials.user.as_str(), here.credentials.uid), ("alicia", 2001));
        assert_eq!((here.credentials.enrollment, here.credentials.default), (NEW, Some(DeviceId(5))));
        assert_eq!((here.credentials.last_id, here.credentials.user_override), (DeviceId(7), Override::None));
        assert_eq!(here.credentials.recovery, there.credentials.recovery);
        assert_eq!(here.credentials.scratch, there.credentials.scratch);
        assert!(here.has_devices_of(&there));
        assert_eq!(here.state.nexts(), [(2, STEP - 5), (5, 7)]);
        assert!(here.state.devices.values().all(|progress| !progress.is_confirmed && progress.awaits_resync));
        assert_eq!((here.state.failures, here.state.lock), (4, Lock::UntilUnlocked));
        assert!(here.state.used.has(3) && here.state.scratch_used.has(1));
        assert!(Record::new(here.credentials, here.state).is_ok());
    }

    #[test]
    fn what_belongs_to_the_other_host_stays_there() {
        let (here, _) = arrived(&arrival(&full()), None);
        assert!(here.state.graces.is_empty() && here.state.challenges.is_empty());
        assert_eq!((here.state.unenforced, here.credentials.passcode), (None, None));
    }

    #[test]
    fn an_override_comes_only_where_it_is_asked_for() {
        let there = full();
        let mut exempt = record(vec![]);
        exempt.credentials.user_override = Override::Exempt;
        for (with_override, here, expected) in [
            (false, None, Override::None),
            (true, None, Override::Required),
            (false, Some(&exempt), Override::Exempt),
            (true, Some(&exempt), Override::Required),
        ] {
            let (record, _) = arrived(&Arrival { with_override, ..arrival(&there) }, here);
            assert_eq!(record.credentials.user_override, expected);
        }
        // No override is no order to remove one.
        let without = record(vec![phone(1)]);
        let (record, _) = arrived(&Arrival { with_override: true, ..arrival(&without) }, Some(&exempt));
        assert_eq!(record.credentials.user_override, Override::Exempt);
    }

    #[test]
    fn a_record_without_a_device_brings_an_override_or_nothing() {
        let there = exempted();
        let (change, outcome) = arrival(&there).into_record(&alice(), None, NEW);
        assert!(matches!((change, outcome), (Change::Keep, Outcome::Already)));
        let with = Arrival { with_override: true, ..arrival(&there) };
        let here = record(vec![phone(1)]);
        let (after, outcome) = arrived(&with, Some(&here));
        assert_eq!((outcome, after.credentials.user_override), (Outcome::Imported, Override::Exempt));
        assert!(after.has_devices_of(&here), "the devices here stay");
        let (change, outcome) = with.into_record(&alice(), Some(&exempted()), NEW);
        assert!(matches!((change, outcome), (Change::Keep, Outcome::Already)));
    }

    fn exempted() -> Record {
        let mut exempted = record(vec![]);
        exempted.credentials.user_override = Override::Exempt;
        exempted
    }

    #[test]
    fn other_devices_stay_unless_they_are_to_be_replaced() {
        let (there, mut here) = (full(), record(vec![phone(2), phone(9)]));
        here.state.set_nexts([(2, STEP), (9, STEP)]);
        here.credentials.user_override = Override::Enroll;
        let (change, outcome) = arrival(&there).into_record(&alice(), Some(&here), NEW);
        assert!(matches!((change, outcome), (Change::Keep, Outcome::HasOthers)));
        let (after, outcome) = arrived(&Arrival { replace: true, ..arrival(&there) }, Some(&here));
        assert_eq!((outcome, after.has_devices_of(&there)), (Outcome::Replaced, true));
        assert_eq!(after.credentials.user_override, Override::Enroll);
        // A device that both have goes on from the higher step.
        assert_eq!(after.state.nexts(), [(2, STEP), (5, 7)]);
    }

    #[test]
    fn a_record_that_is_here_is_caught_up_and_never_falls_behind() {
        let (mut there, mut here) = (record(vec![phone(1), token(2)]), record(vec![token(2), phone(3)]));
        here.credentials.devices[1].secret = phone(1).secret;
        (there.credentials.recovery, here.credentials.recovery) =
            (full().credentials.recovery, full().credentials.recovery);
        there.state.set_nexts([(1, STEP + 1), (2, 3)]);
        here.state.set_nexts([(2, 9), (3, STEP - 9)]);
        there.state.used.mark(3);
        here.state.used.mark(4);
        let (change, outcome) = arrival(&there).into_record(&alice(), Some(&here), NEW);
        let Change::State(state) = change else { panic!("{outcome:?}") };
        assert_eq!((outcome, state.nexts()), (Outcome::CaughtUp, vec![(2, 9), (3, STEP + 1)]));
        assert!(state.used.has(3) && state.used.has(4));
        here.state = state;
        let (change, outcome) = arrival(&there).into_record(&alice(), Some(&here), NEW);
        assert!(matches!((change, outcome), (Change::Keep, Outcome::Already)));
        assert_eq!(decide(&LIMITS, &here, &shown(&phone(1), STEP), NOW).1, REPLAYED);
    }

    /// A passcode with this salt that is good for a minute, through sudo alone.
    fn passcode_of(salt: u8) -> Issued {
        Issued { salt: [salt; 16], service: Some("sudo".into()), ..issued_until(UnixTime(NOW.0 + 60)) }
    }

    fn with_passcode(devices: Vec<Device>, salt: u8) -> Record {
        let mut with = record(devices);
        with.credentials.passcode = Some(passcode_of(salt));
        with
    }

    /// What becomes of it, and the passcode that is here then, with whether it is used.
    fn brings(there: &Record, here: Option<&Record>) -> (Option<ArrivedPasscode>, Option<u8>, bool) {
        let arrival = Arrival { passcode_at: Some(NOW), ..arrival(there) };
        let after = match arrival.into_record(&alice(), here, NEW).0 {
            Change::Record(record) => {
                record.credentials.passcode.clone().map(|issued| (issued, record.state.passcode_used))
            }
            Change::Keep | Change::State(_) => {
                here.and_then(|here| here.credentials.passcode.clone().map(|issued| (issued, here.state.passcode_used)))
            }
            Change::Nothing => panic!("the record is gone"),
        };
        let (salt, used) = after.map_or((None, false), |(issued, used)| {
            assert_eq!((issued.until, issued.service.as_deref()), (UnixTime(NOW.0 + 60), Some("sudo")));
            (Some(issued.salt[0]), used)
        });
        (arrival.passcode(here), salt, used)
    }

    const TAKEN: Option<ArrivedPasscode> = Some(ArrivedPasscode::Taken);
    const VOID: Option<ArrivedPasscode> = Some(ArrivedPasscode::Void);

    #[test]
    fn a_good_passcode_comes_where_it_is_asked_for_with_what_it_is_bound_to() {
        for there in [with_passcode(vec![phone(1)], 1), with_passcode(vec![], 1)] {
            let blank = record(there.credentials.devices.iter().map(Device::duplicate).collect());
            for here in [None, Some(&blank), Some(&exempted())] {
                assert_eq!(brings(&there, here), (TAKEN, Some(1), false));
            }
            assert_eq!(arrival(&there).passcode(None), None);
            let mut used = there.renewed(NEW);
            used.state.passcode_used = true;
            assert_eq!(brings(&used, None), (None, None, false));
            let ended = Arrival { passcode_at: Some(UnixTime(NOW.0 + 60)), ..arrival(&there) };
            assert_eq!((ended.passcode(None), ended.brought(None)), (None, None));
        }
    }

    #[test]
    fn a_passcode_that_is_here_stays_as_long_as_it_is_good() {
        for devices in [|| vec![phone(1)], Vec::new] {
            let (there, here) = (with_passcode(devices(), 1), with_passcode(devices(), 2));
            assert_eq!(brings(&there, Some(&here)), (VOID, Some(2), false));
            // Also one of a user who has no device here.
            assert_eq!(brings(&there, Some(&with_passcode(vec![], 2))), (VOID, Some(2), false));
            let mut used = here;
            used.state.passcode_used = true;
            assert_eq!(brings(&there, Some(&used)), (TAKEN, Some(1), false));
        }
    }

    #[test]
    fn a_passcode_that_was_used_here_is_not_good_again() {
        for devices in [|| vec![phone(1)], Vec::new] {
            let (there, mut here) = (with_passcode(devices(), 1), with_passcode(devices(), 1));
            assert_eq!(brings(&there, Some(&here)), (TAKEN, Some(1), false));
            here.state.passcode_used = true;
            assert_eq!(brings(&there, Some(&here)), (None, Some(1), true));
        }
    }

    #[test]
    fn a_record_without_the_devices_here_brings_no_passcode() {
        let here = record(vec![phone(1)]);
        assert_eq!(brings(&with_passcode(vec![], 1), Some(&here)), (VOID, None, false));
        assert_eq!(brings(&with_passcode(vec![phone(2)], 1), Some(&here)).1, None);
    }

    #[test]
    fn new_recovery_codes_here_are_not_used_up_by_the_old_ones_there() {
        let (mut there, mut here) = (record(vec![phone(1)]), record(vec![phone(1)]));
        there.credentials.recovery = Some(RecoverySet { salt: [9; 16], hashes: vec![[9; 32]; 10] });
        there.state.used = Used(0b11_1111_1111);
        here.state.set_nexts([(1, STEP)]);
        there.state.set_nexts([(1, STEP)]);
        assert_eq!(arrival(&there).into_record(&alice(), Some(&here), NEW).1, Outcome::Already);
        assert!(matches!(decide(&LIMITS, &here, &recovery(0), NOW).1, Verdict::Accepted(_)));
    }

    #[test]
    fn an_override_that_is_asked_for_reaches_a_user_who_has_the_devices() {
        let (mut there, here) = (record(vec![phone(1)]), record(vec![phone(1)]));
        there.credentials.user_override = Override::Required;
        let (after, outcome) = arrived(&Arrival { with_override: true, ..arrival(&there) }, Some(&here));
        assert_eq!((outcome, after.credentials.user_override), (Outcome::CaughtUp, Override::Required));
        assert!(Record::new(after.credentials, after.state).is_ok());
    }

    #[test]
    fn codes_that_are_sent_are_others_on_each_host() {
        let number = Kind::Sent(Destination::parse(Channel::Sms, "+61412345678").unwrap());
        let mut there = record(vec![phone(1), Device { kind: number, digits: Digits::SEVEN, ..phone(2) }]);
        there.state.set_nexts([(1, 5), (2, 9)]);
        let on_host = |id: u8| {
            let (change, _) = arrival(&there).into_record(&alice(), None, EnrollmentId([id; 16]));
            let Change::Record(record) = change else { panic!("no record") };
            record.state.nexts()
        };
        assert_eq!(on_host(1), [(1, 5), (2, 9 + 0x0101_0101)]);
        assert_ne!(on_host(1), on_host(2));
    }
}
