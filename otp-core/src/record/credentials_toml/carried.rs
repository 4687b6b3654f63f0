//! An enrollment between two steps, as TOML: what is carried by the process that enrolls, sealed, where the next step may be
//! another machine's.

use std::fmt::{self, Write as _};

use zeroize::Zeroizing;

use crate::codes::recovery::RecoverySet;
use crate::record::credentials::Device;
use crate::record::credentials_toml::{
    Lines, RECOVERY, VERSION, between_quotes, hex, number, quoted, unquoted, utf8, write_device,
};
use crate::record::error::RecordError;
use crate::record::id::EnrollmentId;
use crate::value::time::UnixTime;
use crate::value::user::UserName;

/// More bytes than any of them has.
const LARGEST: usize = 4096;

/// An enrollment of one user on one host.
#[derive(Debug)]
pub struct Carried {
    pub user: UserName,
    /// The id of the host.
    pub host: String,
    /// When it ends.
    pub until: UnixTime,
    /// What permits it, in the words of the service.
    pub proof: String,
    /// Whether the user had a device, and proved it.
    pub is_proved: bool,
    /// The record for which it was made; `None` if there was none.
    pub record: Option<EnrollmentId>,
    /// Whether the user's other devices stay.
    pub is_beside: bool,
    pub stage: CarriedStage,
    /// Its id has no meaning yet.
    pub device: Device,
}

/// How far it is.
#[derive(Debug)]
pub enum CarriedStage {
    /// A code of the device is awaited, or the PIN that was sent to it.
    Offered(CarriedOffer),
    /// Its code was right.
    Accepted {
        /// The lowest step or counter that is accepted next.
        next: u64,
        /// The id of the record, once the device is in force.
        enrollment: EnrollmentId,
        recovery: Option<RecoverySet>,
    },
}

/// What an offer is besides its device.
#[derive(Debug)]
pub struct CarriedOffer {
    pub window: u64,
    pub counter: u64,
    /// What a token with a keypad is to answer; empty for all others.
    pub question: String,
    pub brings_seed: bool,
    /// How many recovery codes it gets; `None` for the number of the configuration.
    pub count: Option<u8>,
    pub pin: Option<CarriedPin>,
}

/// A PIN that was sent.
#[derive(Debug)]
pub struct CarriedPin {
    pub digits: Zeroizing<String>,
    pub until: UnixTime,
    pub id: [u8; 16],
}

/// A word for each of two.
fn one_of(text: &str, yes: &str, no: &str) -> Option<bool> {
    let word = between_quotes(text)?;
    (word == yes || word == no).then_some(word == yes)
}

impl Carried {
    /// The text. [`Carried::decode`] reads it back.
    pub fn encode(&self) -> Zeroizing<String> {
        // Large enough from the beginning: a buffer that grows leaves copies of seeds behind.
        let mut text = Zeroizing::new(String::with_capacity(LARGEST));
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "version = {VERSION}\nuser = {}", quoted(self.user.as_str()))?;
        writeln!(text, "host = {}\nuntil = {}", quoted(&self.host), self.until.0)?;
        writeln!(text, "proof = {}", quoted(&self.proof))?;
        writeln!(text, "devices = \"{}\"", if self.is_proved { "proved" } else { "none" })?;
        match self.record {
            Some(record) => writeln!(text, "record = \"{record}\"")?,
            None => writeln!(text, "record = \"none\"")?,
        }
        writeln!(text, "purpose = \"{}\"", if self.is_beside { "beside" } else { "alone" })?;
        match &self.stage {
            CarriedStage::Offered(CarriedOffer { window, counter, question, brings_seed, count, pin }) => {
                writeln!(text, "stage = \"offered\"\nwindow = {window}\ncounter = {counter}")?;
                writeln!(text, "question = {}", quoted(question))?;
                writeln!(text, "seed = \"{}\"", if *brings_seed { "brought" } else { "drawn" })?;
                if let Some(count) = count {
                    writeln!(text, "count = {count}")?;
                }
                if let Some(CarriedPin { digits, until, id }) = pin {
                    writeln!(text, "pin = \"{}\"\npin_until = {}", **digits, until.0)?;
                    writeln!(text, "pin_id = \"{}\"", base16ct::lower::encode_string(id))?;
                }
            }
            CarriedStage::Accepted { next, enrollment, recovery } => {
                writeln!(text, "stage = \"accepted\"\nnext = {next}\nenrollment = \"{enrollment}\"")?;
                if let Some(RecoverySet { salt, hashes }) = recovery {
                    writeln!(text, "{RECOVERY}\nsalt = \"{}\"\ncodes = [", base16ct::lower::encode_string(salt))?;
                    for hash in hashes {
                        writeln!(text, "  \"{}\",", base16ct::lower::encode_string(hash))?;
                    }
                    writeln!(text, "]")?;
                }
            }
        }
        write_device(text, &self.device)
    }

    /// Reads the keys that [`Carried::encode`] writes, in its order.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut lines = Lines::of(utf8(bytes)?);
        let version = lines.value("version", number)?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let user = lines.value("user", |text| UserName::parse(&unquoted(text)?))?;
        let host = lines.value("host", unquoted)?;
        let until = UnixTime(lines.value("until", number)?);
        let proof = lines.value("proof", unquoted)?;
        let is_proved = lines.value("devices", |text| one_of(text, "proved", "none"))?;
        let record = lines.value("record", |text| match between_quotes(text)? {
            "none" => Some(None),
            id => EnrollmentId::parse(id).map(Some),
        })?;
        let is_beside = lines.value("purpose", |text| one_of(text, "beside", "alone"))?;
        let stage = if lines.value("stage", |text| one_of(text, "offered", "accepted"))? {
            CarriedStage::Offered(lines.offer()?)
        } else {
            CarriedStage::Accepted {
                next: lines.value("next", number)?,
                enrollment: lines.value("enrollment", |text| EnrollmentId::parse(between_quotes(text)?))?,
                recovery: if lines.take(RECOVERY) { Some(lines.recovery()?) } else { None },
            }
        };
        if !lines.take("[[device]]") {
            return Err(RecordError::Malformed("it holds no device".into()));
        }
        let device = lines.device()?;
        lines.end()?;
        Ok(Self { user, host, until, proof, is_proved, record, is_beside, stage, device })
    }
}

impl Lines<'_> {
    fn offer(&mut self) -> Result<CarriedOffer, RecordError> {
        let (window, counter) = (self.value("window", number)?, self.value("counter", number)?);
        let question = self.value("question", unquoted)?;
        let brings_seed = self.value("seed", |text| one_of(text, "brought", "drawn"))?;
        let count = self.if_next("count", number)?;
        let pin = match self.if_next("pin", between_quotes)? {
            Some(digits) => Some(CarriedPin {
                digits: Zeroizing::new(digits.to_owned()),
                until: UnixTime(self.value("pin_until", number)?),
                id: self.value("pin_id", hex)?,
            }),
            None => None,
        };
        Ok(CarriedOffer { window, counter, question, brings_seed, count, pin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures::{phone, token};

    fn carried(stage: CarriedStage) -> Carried {
        Carried {
            user: UserName::parse("al\"ice").unwrap(),
            host: "web1".into(),
            until: UnixTime(7),
            proof: "accepted totp device 1".into(),
            is_proved: true,
            record: Some(EnrollmentId([0xab; 16])),
            is_beside: false,
            stage,
            device: phone(1),
        }
    }

    fn offered(pin: Option<CarriedPin>, count: Option<u8>) -> CarriedStage {
        let (window, counter, question) = (3, 9, "QA10".to_owned());
        CarriedStage::Offered(CarriedOffer { window, counter, question, brings_seed: true, count, pin })
    }

    fn accepted(recovery: Option<RecoverySet>) -> CarriedStage {
        CarriedStage::Accepted { next: 5, enrollment: EnrollmentId([1; 16]), recovery }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let pin = || Some(CarriedPin { digits: Zeroizing::new("0007".into()), until: UnixTime(9), id: [3; 16] });
        let set = || Some(RecoverySet { salt: [1; 16], hashes: vec![[2; 32]; 10] });
        let stages = [offered(None, None), offered(pin(), Some(3)), accepted(None), accepted(set())];
        let mut all: Vec<_> = stages.map(carried).into();
        all.push(Carried {
            is_proved: false,
            record: None,
            is_beside: true,
            device: token(2),
            ..carried(accepted(None))
        });
        for carried in all {
            let text = carried.encode();
            assert!(text.capacity() == LARGEST, "{}", text.len());
            assert_eq!(*Carried::decode(text.as_bytes()).unwrap().encode(), *text);
        }
    }

    #[test]
    fn anything_else_is_an_error_without_the_seed() {
        let text = carried(accepted(None)).encode();
        for (from, to, expected) in [
            ("version = 1", "version = 2", "has version 2; this program reads version 1"),
            ("devices = \"proved\"", "devices = \"some\"", "cannot be read: line 6: devices has an invalid value"),
            ("record = \"ab", "record = \"xx", "cannot be read: line 7: record has an invalid value"),
            ("stage = \"accepted\"\n", "", "cannot be read: line 9: stage is expected here"),
            ("[[device]]\n", "", "cannot be read: it holds no device"),
        ] {
            let broken = text.replacen(from, to, 1);
            assert_ne!(broken, *text, "{from}");
            assert_eq!(Carried::decode(broken.as_bytes()).unwrap_err().to_string(), expected);
        }
        let more = format!("{}id = 2\n", *text);
        assert!(Carried::decode(more.as_bytes()).unwrap_err().to_string().ends_with("no line is expected here"));
    }
}
