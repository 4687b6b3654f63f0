//! A passcode that an administrator issues: drawn, stored as a hash, and shown to the administrator alone.

use crate::audit::{Event, Proof};
use crate::codes::passcode::{Issued, Passcode};
use crate::decision::verify::{Refusal, Verdict};
use crate::error::CoreError;
use crate::protocol::request::{Confidential, IssuedPasscode, PasscodeOrder, Reply};
use crate::record::Record;
use crate::service::caller::Caller;
use crate::service::enrollment::{Entropy, new_enrollment};
use crate::service::renaming;
use crate::store::{Store, change};
use crate::value::time::UnixTime;
use crate::value::user::Account;

/// Issues a passcode in place of any other, to a user with or without a device.
pub(crate) fn issue(
    store: &impl Store,
    account: &Account,
    order: &PasscodeOrder,
    entropy: Entropy,
    caller: Caller<'_>,
) -> Result<Reply, CoreError> {
    if renaming::would_hide_former(store, account, store.read(account)?.as_ref())? {
        return Ok(Reply::Verdict(Verdict::Refused(Refusal::Renamed)));
    }
    let passcode = Passcode::draw(entropy)?;
    let (mut salt, enrollment) = ([0; 16], new_enrollment(entropy)?);
    entropy(&mut salt)?;
    let PasscodeOrder { valid, service } = order;
    let until = UnixTime::now().after(*valid);
    let issued = Issued::of(&passcode, salt, until, service.clone()).ok_or(CoreError::Entropy)?;
    change(store, account, &caller.note("passcode-issued"), |record| {
        let stranger = Record::stranger(account);
        (record.unwrap_or(&stranger).with_passcode(Some(issued.clone()), enrollment), ())
    })?;
    let (user, by) = (account.name.as_str(), caller.uid);
    let proof = Proof::Administrator;
    (caller.log)(&Event::Change { user, by, what: "passcode-issued", device: None, proof });
    Ok(Reply::Passcode(IssuedPasscode {
        user: user.to_owned(),
        passcode: Confidential::new(&passcode.reveal()),
        until: until.to_string(),
        service: service.clone(),
    }))
}
