//! Administration of one account. Never shows or chooses a seed.

use std::cell::Cell;

use crate::audit::{Event, Proof};
use crate::config::settings::Settings;
use crate::decision::verify::is_locked;
use crate::error::CoreError;
use crate::protocol::request::Order;
use crate::record::Record;
use crate::record::change::Change;
use crate::record::credentials::Override;
use crate::record::state::State;
use crate::service::caller::Caller;
use crate::service::enrollment::{Entropy, new_enrollment};
use crate::store::error::StoreError;
use crate::store::note::Note;
use crate::store::{Store, change};
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Carries out an order; `false` if nothing had to be changed.
pub(crate) fn carry_out(
    store: &impl Store,
    settings: &Settings,
    account: &Account,
    order: Order,
    entropy: Entropy,
    caller: Caller<'_>,
) -> Result<bool, CoreError> {
    let (mut what, note) = (order.word(), caller.note(order.word()));
    let changed = match order {
        Order::Override(user_override) => set_override(store, account, user_override, entropy, &note)?,
        Order::ForgetAddresses => change_state(store, account, &note, Record::without_graces)?,
        Order::Unlock => {
            let (was_open, now) = (Cell::new(false), UnixTime::now());
            let changed = change_state(store, account, &note, |record| {
                was_open.set(!is_locked(record.state.lock, now));
                record.unlocked()
            })?;
            if was_open.get() {
                what = "forgot-wrong-codes";
            }
            changed
        }
        Order::UnlockAfterClockWasAhead => {
            let (limits, now) = (&settings.limits, UnixTime::now());
            change_state(store, account, &note, |record| record.unlocked_after_clock_was_ahead(limits, now))?
        }
        Order::RevokePasscode => {
            let enrollment = new_enrollment(entropy)?;
            change(store, account, &note, |record| {
                match record.filter(|record| record.credentials.passcode.is_some()) {
                    Some(record) => (record.with_passcode(None, enrollment), true),
                    None => (Change::Keep, false),
                }
            })?
        }
        Order::Reset => {
            let enrollment = new_enrollment(entropy)?;
            remove(store, account, &note, |record| record.without_devices(enrollment))?
        }
        Order::Disable => remove(store, account, &note, |_| Change::Nothing)?,
    };
    if changed {
        let (user, by) = (account.name.as_str(), caller.uid);
        (caller.log)(&Event::Change { user, by, what, device: None, proof: Proof::Administrator });
    }
    Ok(changed)
}

/// Sets the override of a user, with or without a device.
fn set_override(
    store: &impl Store,
    account: &Account,
    user_override: Override,
    entropy: Entropy,
    note: &Note<'_>,
) -> Result<bool, CoreError> {
    let enrollment = new_enrollment(entropy)?;
    Ok(change(store, account, note, |record| {
        let present = record.map_or(Override::None, |record| record.credentials.user_override);
        if present == user_override {
            return (Change::Keep, false);
        }
        let stranger = Record::stranger(account);
        (record.unwrap_or(&stranger).with_override(user_override, enrollment), true)
    })?)
}

/// Writes the state that `how` makes of a record, if it differs.
fn change_state(
    store: &impl Store,
    account: &Account,
    note: &Note<'_>,
    how: impl Fn(&Record) -> State,
) -> Result<bool, CoreError> {
    Ok(change(store, account, note, |record| match record.map(|record| (record, how(record))) {
        Some((record, state)) if state != record.state => (Change::State(state), true),
        Some(_) | None => (Change::Keep, false),
    })?)
}

/// Removes from a record what `how` says. A record that cannot be read is removed as a whole.
fn remove(
    store: &impl Store,
    account: &Account,
    note: &Note<'_>,
    how: impl Fn(&Record) -> Change,
) -> Result<bool, CoreError> {
    match change(store, account, note, |record| {
        record.map_or((Change::Keep, false), |record| (how(record), !record.is_blank()))
    }) {
        Err(StoreError::Record { .. } | StoreError::Untrusted { .. } | StoreError::OfOther { .. }) => {
            Ok(store.purge(account, note)?)
        }
        Ok(true) => Ok(true),
        // Without credentials there may be a state that was left over.
        Ok(false) if store.outline(account)?.is_none() => Ok(store.purge(account, note)?),
        answer => Ok(answer?),
    }
}
