use otp_core::codes::hotp_totp::{Algorithm, Clock, Drift};
use otp_core::decision::import::Imported;
use otp_core::record::credentials::Kind;

use super::*;
use crate::source::{Entry, Source, Whose};
use crate::tokens::algorithm;

const HEX: &str = "3132333435363738393031323334353637383930";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SEED: &[u8] = b"12345678901234567890";

fn tokens(text: &str, options: Options) -> Read<Tokens<File<&[u8]>>> {
    read(text.as_bytes(), options, Map::default()).unwrap()
}

/// Owner, type, digits, period or counter, of each entry that has one device.
fn told(text: &str) -> Vec<String> {
    let read = tokens(text, Options::default());
    assert!(read.faults.is_empty(), "{text}: {:?}", read.faults);
    (0..read.entries.count())
        .map(|place| {
            let Entry { whose, found, maker, .. } = read.entries.entry(place).unwrap();
            let [Imported { kind, secret, algorithm, digits, next, name, serial, is_confirmed, .. }] =
                &found.devices[..]
            else {
                panic!("{text}");
            };
            assert!(secret.expose() == SEED && !is_confirmed);
            let owner = match whose {
                Whose::User(user) => user,
                Whose::Serial(serial) => format!("#{serial}"),
            };
            let moving = match kind {
                Kind::Totp(Clock { period, drift: Some(Drift::NONE) }) => format!("every {}", period.get()),
                other => format!("{} {next}", other.word()),
            };
            let (name, serial) =
                (name.as_ref().unwrap().as_str(), serial.as_ref().map_or("", |serial| serial.as_str()));
            let maker = maker.unwrap_or_default();
            let text = [&owner, serial, algorithm.name(), &digits.get().to_string(), &moving, name, &maker].join(" ");
            text.trim_end().to_owned()
        })
        .collect()
}

fn faults(text: &str) -> Vec<(usize, String)> {
    tokens(text, Options::default()).faults.into_iter().map(|fault| (fault.line, fault.what)).collect()
}

#[test]
fn a_heading_names_the_columns_in_any_order_and_case() {
    let text = format!(
        "\u{feff}Secret,SERIAL,User,Type,Algorithm,Digits,Period,Counter,Name\r\n\
         {HEX},A1,alice,,,,,,\r\n\
         {BASE32},\"B, 2\",,totp,SHA-256,8,60,,Blue one\r\n\
         {HEX},,bob,HOTP,hmac-sha512,7,,9,123\r\n\
         {HEX},D4,carol,,,,,3,\r\n"
    );
    let expected = [
        "alice A1 SHA1 6 every 30 token",
        "#B, 2 B, 2 SHA256 8 every 60 Blue one",
        "bob  SHA512 7 hotp 9 token", // a name of digits would be taken for a number
        "carol D4 SHA1 6 hotp 3 token",
    ];
    assert_eq!(told(&text), expected);
}

#[test]
fn the_layouts_of_others_are_read_as_they_are() {
    let oath = format!(
        "# version\ntoken01, {HEX}, hotp, 6\ntoken02, {HEX}, totp, 8, 60\ntoken03,{HEX},HOTP,6,5\ntoken04,{HEX}\ntoken05,{HEX},ocra,OCRA-1:HOTP-SHA1-6:QN08\n"
    );
    let expected = [
        "#token01 token01 SHA1 6 hotp 0 token",
        "#token02 token02 SHA1 8 every 60 token",
        "#token03 token03 SHA1 6 hotp 5 token",
        "#token04 token04 SHA1 6 hotp 0 token",
        "#token05 token05 SHA1 6 ocra 0 token",
    ];
    assert_eq!(told(&oath), expected);
    let entra = format!(
        "upn,serial number,secret key,time interval,manufacturer,model\r\nHelga@contoso.com,1234567,{},60,Contoso,HardwareKey\r\n",
        BASE32.to_lowercase()
    );
    assert_eq!(told(&entra), ["Helga@contoso.com 1234567 SHA1 6 every 60 token Contoso"]);
    let yubico = format!(
        "LOGGING START,11.12.13 18:55\nOATH-HOTP,11.12.13 18:55,1,cccccccccccc,,{HEX},,,0,0,0,6,0,0,0,0,0,0\n\
         508327,,0,{HEX},,2013-12-12T08:41:07,\n"
    );
    let expected =
        ["#cccccccccccc cccccccccccc SHA1 6 hotp 0 token Yubico", "#508327 508327 SHA1 6 hotp 0 token Yubico"];
    assert_eq!(told(&yubico), expected);
    assert_eq!(
        told(&format!("1382042,,0,{HEX},,2013-12-12T08:41:17,\n")),
        ["#1382042 1382042 SHA1 6 hotp 0 token Yubico"]
    );
    assert_eq!(tokens(&yubico, Options::default()).entries.entry(0).unwrap().remarks.len(), 1);
}

#[test]
fn a_user_with_a_domain_is_the_user_as_a_whole_or_without_it() {
    let text = format!("upn,secret\nalice@example.org,{BASE32}\nbob,{BASE32}\n");
    let users = |without_domain| {
        let read = tokens(&text, Options { without_domain, ..Options::default() });
        (0..2).map(|place| format!("{:?}", read.entries.entry(place).unwrap().whose)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(users(false), "User(\"alice@example.org\") User(\"bob\")");
    assert_eq!(users(true), "User(\"alice\") User(\"bob\")");
}

#[test]
fn tokens_of_one_user_come_together_and_the_map_comes_first() {
    let other = "41".repeat(20);
    let text = format!("serial,user,secret\nA1,alice,{HEX}\nB2,bob,{HEX}\nC3,alice,{other}\nD4,,{HEX}\n");
    let map = Map::read(b"B2,carol\nZ9,zoe\n").map_err(|_| ()).unwrap();
    let Read { entries, faults } = read(text.as_bytes(), Options::default(), map).unwrap();
    assert!(faults.is_empty());
    assert!(entries.has_stock());
    let whose: Vec<_> = (0..entries.count())
        .map(|place| entries.entry(place).unwrap())
        .map(|entry| (format!("{:?}", entry.whose), entry.found.devices.len(), entry.may_be_root))
        .collect();
    let expected = [("User(\"alice\")", 2, false), ("User(\"carol\")", 1, true), ("Serial(\"D4\")", 1, false)];
    assert_eq!(whose, expected.map(|(whose, devices, may_be_root)| (whose.to_owned(), devices, may_be_root)));
    let parts: Vec<_> = entries.ranges(0).unwrap().into_iter().map(|range| &text[range]).collect();
    assert_eq!(parts, [format!("A1,alice,{HEX}\n"), format!("C3,alice,{other}\n")]);
}

#[test]
fn a_row_with_a_fault_says_what_is_wrong_and_never_the_seed() {
    let text = format!(
        "serial,user,secret,type,algorithm,digits,period,counter\n\
         A1,,{HEX}0,,,,,\nB2,,313233,,,,,\nC3,,{HEX},yubikey,,,,\nD4,,{HEX},,MD5,,,\nE5,,{HEX},,,9,,\nF6,,{HEX},,,,5,\n\
         G7,,{HEX},hotp,,,,x\nH8,,{HEX}\nI9,,{HEX},,,,,\nI9,,{HEX},,,,,\n,,{HEX},,,,,\n,a\tb,{HEX},,,,,\n\
         ,,\"{HEX},,,,,\n"
    );
    let faults = faults(&text);
    let expected = [
        (2, "its seed cannot be used: a seed in HEX has two digits for each byte, and here is one too few or too many"),
        (3, "its seed cannot be used: a seed has 80 to 512 bits: 20 to 128 digits in HEX, 16 to 103 letters in Base32"),
        (4, "its type is neither totp nor hotp"),
        (5, "its hash is none of SHA1, SHA256 and SHA512"),
        (6, "a code has 6, 7 or 8 digits"),
        (7, "a period has 10 to 300 seconds"),
        (8, "its counter is not a number"),
        (9, "it has 3 fields, and the heading has 8"),
        (11, "the serial number is the one of line 10"),
        (12, "it has neither a user nor a serial number"),
        (13, "the user name is not valid"),
        (14, "a quotation mark is not closed"),
    ];
    assert_eq!(faults.iter().map(|(line, what)| (*line, what.as_str())).collect::<Vec<_>>(), expected);
    let both = "serial,secret\nA1,ABCDEF234567ABCDEF234567\n";
    assert_eq!(self::faults(both)[0].1, "its seed can be read as HEX and as Base32: say which with --seed-format");
    let said = Options { encoding: Some(Encoding::Hex), ..Options::default() };
    assert!(tokens(both, said).faults.is_empty());
}

#[test]
fn a_heading_and_a_layout_that_are_not_known_are_one_fault() {
    for (text, expected) in [
        ("serial,secret,colour\nA1,x,y\n", "the name of column 3 is not known; known are"),
        ("serial,secret,seed\nA1,x,y\n", "column 3 was there before"),
        ("a,b,c,d,e,f,g\na,b,c,d,e,f,g\n", "its layout is not known: write a heading"),
        ("alone\n", "its layout is not known"),
        ("\"open\n", "a quotation mark is not closed"),
    ] {
        let faults = faults(text);
        assert!(faults.len() == 1 && faults[0].0 == 1 && faults[0].1.starts_with(expected), "{text}: {faults:?}");
    }
    assert!(faults("").is_empty());
    assert_eq!(algorithm("HMAC-SHA256"), Ok(Algorithm::Sha256));
}

#[test]
fn lines_of_yubico_that_are_no_codes_say_why() {
    let text = format!(
        "Yubico OTP,11.12.13 16:43,1,cccccccirblh,b321173a2fb8,{0},,,0,0,0,0,0,0,0,0,0,1\n\
         Static Password: Scan Code,17.04.12 12:29,1,2828282828,,,,,0\nOATH-HOTP,11.12.13 19:01,1,,,{0},,,0,0,0,6,0\n\
         508326,cccccccccccc,83cebdfb7b93,{0},,2013-12-12T08:43:17,\n508326,,,{0},,2013-12-12T08:44:34,\nmore,\n",
        "ab".repeat(16)
    );
    let whys: Vec<_> = faults(&text).into_iter().map(|(_, what)| what).collect();
    let expected = [
        "a Yubico OTP is not a code of a token (only OATH-HOTP is)",
        "a static password is not a code of a token (only OATH-HOTP is)",
        "it has no number to tell the token by: use the tool's format «Yubico»",
        "a Yubico OTP is not a code of a token (only OATH-HOTP is)",
        "a static password, or a response to a challenge of a program is not a code of a token (only OATH-HOTP is)",
        "it is no line of this log",
    ];
    assert_eq!(whys, expected);
}
