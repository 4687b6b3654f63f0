//! Which token is whose, in a file beside that of the tokens: `SERIAL,USER`, one a line.

use std::collections::HashMap;

use otp_core::record::credentials::Serial;

use crate::csv_rows::{Fields, Rows};
use crate::source::{Fault, is_user};

/// Users by the serial numbers of their tokens.
#[derive(Clone, Default)]
pub struct Map(HashMap<Box<str>, Box<str>>);

impl Map {
    /// Reads the file. A heading, `serial,user`, may come first.
    pub fn read(text: &[u8]) -> Result<Self, Vec<Fault>> {
        let (mut map, mut faults) = (HashMap::new(), Vec::new());
        // A text in memory can always be read.
        for (place, row) in Rows::of(text).map_while(Result::ok).enumerate() {
            let read = row.fields.and_then(|fields| entry(&fields, place == 0));
            let fault = match read {
                Ok(None) => None,
                Ok(Some((serial, user))) => map.insert(serial, user).map(|_| "the serial number was there before"),
                Err(what) => Some(what),
            };
            faults.extend(fault.map(|what| Fault { line: row.line, what: what.to_owned() }));
        }
        if faults.is_empty() { Ok(Self(map)) } else { Err(faults) }
    }

    /// Whose token this is.
    pub(crate) fn user(&self, serial: &Serial) -> Option<&str> {
        self.0.get(serial.as_str()).map(|user| &**user)
    }
}

type Entry = (Box<str>, Box<str>);

/// The serial number and the user of a row; none in a heading.
fn entry(fields: &Fields, is_first: bool) -> Result<Option<Entry>, &'static str> {
    if fields.count() != 2 {
        return Err("it must have two fields: a serial number and a user");
    }
    let (serial, user) = (fields.get(0), fields.get(1));
    if is_first && serial.eq_ignore_ascii_case("serial") && user.eq_ignore_ascii_case("user") {
        return Ok(None);
    }
    let serial = Serial::parse(serial).ok_or("a serial number has 1 to 40 printable ASCII characters")?;
    if !is_user(user) {
        return Err("the user name is not valid");
    }
    Ok(Some((serial.as_str().into(), user.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_says_whose_a_token_is() {
        for text in ["Serial,USER\r\nA1,alice\r\n\"B 2\", bob\r\n", "\u{feff}A1,alice\nB 2,bob"] {
            let map = Map::read(text.as_bytes()).map_err(|faults| format!("{faults:?}")).unwrap();
            let user = |serial: &str| map.user(&Serial::parse(serial).unwrap());
            assert_eq!([user("A1"), user("B 2"), user("C3")], [Some("alice"), Some("bob"), None], "{text}");
        }
    }

    #[test]
    fn a_line_of_a_map_with_a_fault_is_told() {
        let faults = Map::read(b"A1,alice\nA1,bob\nC3\n,dave\nE5,\nF6,f,g\nG7,\"a\tb\"\n").err().unwrap();
        let told: Vec<_> = faults.iter().map(|fault| (fault.line, fault.what.as_str())).collect();
        let two = "it must have two fields: a serial number and a user";
        let expected = [
            (2, "the serial number was there before"),
            (3, two),
            (4, "a serial number has 1 to 40 printable ASCII characters"),
            (5, "the user name is not valid"),
            (6, two),
            (7, "the user name is not valid"),
        ];
        assert_eq!(told, expected);
    }
}
