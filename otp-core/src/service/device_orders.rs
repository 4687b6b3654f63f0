//! What an administrator does to one of a user's devices: add a token, remove a device, resynchronize a token.

use crate::audit::{Event, Proof};
use crate::config::settings::Settings;
use crate::decision::devices::NotChanged;
use crate::decision::enrollment::Pending;
use crate::decision::verify::{Refusal, Verdict};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, Declined, DeviceOrder, Reply, Token};
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::{Device, DeviceName};
use crate::record::id::{DeviceId, EnrollmentId};
use crate::record::state::Progress;
use crate::service::caller::Caller;
use crate::service::enrollment::{Entropy, new_enrollment};
use crate::service::not_done::NotDone;
use crate::service::self_service::code_in;
use crate::service::self_service::devices::name_for;
use crate::service::token::Lost;
use crate::service::{renaming, token};
use crate::store::note::Note;
use crate::store::{Store, change};
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Carries out an order.
pub(crate) fn carry_out(
    store: &impl Store,
    settings: &Settings,
    account: &Account,
    order: &DeviceOrder,
    entropy: Entropy,
    caller: Caller<'_>,
) -> Result<Reply, CoreError> {
    let (now, enrollment) = (UnixTime::now(), new_enrollment(entropy)?);
    let (user, by) = (account.name.as_str(), caller.uid);
    let (what, changed) = match order {
        DeviceOrder::Add { name, token, code, next } => {
            let codes = (code.as_ref(), next.as_ref());
            let pending = described(store, settings, account, name.as_deref(), token, entropy)?;
            let device = pending.and_then(|pending| Ok(confirmed(&pending, codes, now)?));
            let changed = match device {
                Ok((device, progress)) => {
                    change_device(store, account, enrollment, &caller.note("device-added"), |record| {
                        record.add_device(device.duplicate(), progress)
                    })?
                }
                Err(why) => Err(why),
            };
            ("device-added", changed)
        }
        DeviceOrder::Remove(named) => (
            "device-removed",
            change_device(store, account, enrollment, &caller.note("device-removed"), |record| {
                record.remove_device(named)
            })?,
        ),
        DeviceOrder::Resync { device, first, second } => {
            let (device, codes, limits) = (device.as_deref(), [first, second], &settings.limits);
            let lost = Lost { device, codes, limits, enrollment, now };
            let found = lost.find(store, account, &caller.note("resynchronized"))?;
            ("resynchronized", found.map(|(device, _)| device))
        }
    };
    Ok(match changed {
        Ok(device) => {
            (caller.log)(&Event::Change { user, by, what, device: Some(device), proof: Proof::Administrator });
            Reply::ChangedDevice(device)
        }
        Err(NotDone::Refused(why)) => {
            (caller.log)(&Event::ChangeRefused { user, by, what, why });
            Reply::Verdict(Verdict::Refused(why))
        }
        Err(NotDone::Declined(declined)) => Reply::Declined(declined),
    })
}

/// The token that is described, for a user who may have no device yet.
fn described(
    store: &impl Store,
    settings: &Settings,
    account: &Account,
    name: Option<&str>,
    token: &Token,
    entropy: Entropy,
) -> Result<Result<Pending, NotDone>, CoreError> {
    let record = store.read(account)?;
    if renaming::would_hide_former(store, account, record.as_ref())? {
        return Ok(Err(NotDone::Refused(Refusal::Renamed)));
    }
    let record = record.unwrap_or_else(|| Record::stranger(account));
    Ok(match name_for(&record, name, &DeviceName::of_token()) {
        Ok(name) => token::pending(token, name, settings.limits.window, entropy)?.map_err(NotDone::from),
        Err(declined) => Err(declined.into()),
    })
}

/// The token, confirmed by its code where there is one.
fn confirmed(
    pending: &Pending,
    (code, next): (Option<&Confidential>, Option<&Confidential>),
    now: UnixTime,
) -> Result<(Device, Progress), Declined> {
    let Some(code) = code else { return Ok(pending.unconfirmed(now)) };
    let code = code_in(code).ok_or(Declined::NotConfirmed { clock_off: None })?;
    Ok(pending.confirm(&code, next.and_then(code_in).as_ref(), now)?.device())
}

/// Changes one device of a record.
fn change_device(
    store: &impl Store,
    account: &Account,
    enrollment: EnrollmentId,
    note: &Note<'_>,
    how: impl Fn(&mut Record) -> Result<DeviceId, NotChanged>,
) -> Result<Result<DeviceId, NotDone>, CoreError> {
    Ok(change(store, account, note, |record| {
        let stranger = Record::stranger(account);
        let mut changed = record.unwrap_or(&stranger).renewed(enrollment);
        match how(&mut changed) {
            Ok(device) => (Change::Record(Box::new(changed)), Ok(device)),
            Err(why) => (Change::Keep, Err(why.into())),
        }
    })?)
}
