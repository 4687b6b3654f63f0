//! The examples of RFC 6030 by their values, and what may be wrong with a container.

use otp_core::codes::hotp_totp::{Algorithm, Drift};
use otp_core::record::credentials::Kind;

use super::*;
use crate::pskc::container::Protection;
use crate::source::{Entry, Source, Whose, without};

const SEED: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";
const ROOT: &str = "xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
                    xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\" \
                    xmlns:pkcs5=\"http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#\"";
const XENC: &str = "http://www.w3.org/2001/04/xmlenc#";
const HOTP: &str = "urn:ietf:params:xml:ns:keyprov:pskc:hotp";
const TOTP: &str = "urn:ietf:params:xml:ns:keyprov:pskc:totp";
const EIGHT: &str = "<ResponseFormat Length=\"8\" Encoding=\"DECIMAL\"/>";

/// A day in 2009, and one after all those of the examples.
const IN_2009: UnixTime = UnixTime(1_235_000_000);
const NOW: UnixTime = UnixTime(1_795_316_400);

fn container(parts: &[&str]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<KeyContainer Version=\"1.0\" {ROOT}>\n{}</KeyContainer>\n",
        parts.concat()
    )
}

/// A package: what is in its `DeviceInfo`, the algorithm, its parameters, its data, and what follows.
fn package(device: &str, algorithm: &str, parameters: &str, data: &str, rest: &str) -> String {
    format!(
        "<KeyPackage><DeviceInfo>{device}</DeviceInfo><CryptoModuleInfo><Id>CM_ID_001</Id></CryptoModuleInfo>\
         <Key Id=\"12345678\" Algorithm=\"{algorithm}\"><Issuer>Issuer</Issuer>\
         <AlgorithmParameters>{parameters}</AlgorithmParameters><Data>{data}</Data>{rest}</Key></KeyPackage>\n"
    )
}

fn plain(secret: &str) -> String {
    format!("<Secret><PlainValue>\n  {secret}\n</PlainValue></Secret><Counter><PlainValue>0</PlainValue></Counter>")
}

fn encrypted(method: &str, cipher: &str) -> String {
    format!(
        "<xenc:EncryptionMethod Algorithm=\"{XENC}{method}\"/><xenc:CipherData><xenc:CipherValue>\n {cipher}\n\
         </xenc:CipherValue></xenc:CipherData>"
    )
}

fn secret(method: &str, cipher: &str, mac: &str) -> String {
    format!("<Secret><EncryptedValue>{}</EncryptedValue>{mac}</Secret>", encrypted(method, cipher))
}

fn serial(number: &str) -> String {
    format!("<Manufacturer>TokenVendorAcme</Manufacturer><SerialNo>{number}</SerialNo>")
}

fn read<'t>(text: &'t str, unlock: Unlock<'_>, now: UnixTime) -> Result<Read<Tokens<Packages<'t>>>, Fault> {
    super::read(Container::of(text.as_bytes())?, unlock, Map::default(), now)
}

/// The text without all that was taken.
fn rest(text: &str, entries: &impl Source) -> Vec<u8> {
    let mut rest = Vec::new();
    without(text.as_bytes(), (0..entries.count()).map(|place| entries.ranges(place)), &mut rest).unwrap();
    rest
}

/// The tokens, each with its owner, and the faults.
fn told(text: &str, unlock: Unlock<'_>, now: UnixTime) -> (Vec<String>, Vec<String>) {
    let Read { entries, faults } = match read(text, unlock, now) {
        Ok(read) => read,
        Err(Fault { line, what }) => return (vec![], vec![format!("{line}: {what}")]),
    };
    let tokens = (0..entries.count()).flat_map(|place| {
        let Entry { whose, found, .. } = entries.entry(place).unwrap();
        let owner = match whose {
            Whose::User(user) => user,
            Whose::Serial(serial) => format!("#{serial}"),
        };
        let told = found.devices.into_iter().map(move |device| {
            let moving = match &device.kind {
                Kind::Totp(clock) => format!("every {} drift {:?}", clock.period.get(), clock.drift.map(Drift::get)),
                other => format!("{} {}", other.word(), device.next),
            };
            let hash = if device.algorithm == Algorithm::Sha1 { "" } else { device.algorithm.name() };
            let seed = device.secret.hex();
            format!("{owner} {seed} {hash}{} {moving}", device.digits.get(), seed = &seed[..seed.len().min(8)])
        });
        told.collect::<Vec<_>>()
    });
    (tokens.collect(), faults.into_iter().map(|fault| format!("{}: {}", fault.line, fault.what)).collect())
}

fn tokens(text: &str, unlock: Unlock<'_>) -> Vec<String> {
    let (tokens, faults) = told(text, unlock, NOW);
    assert!(faults.is_empty(), "{faults:?}");
    tokens
}

fn faults(text: &str, unlock: Unlock<'_>) -> Vec<String> {
    let (tokens, faults) = told(text, unlock, NOW);
    assert!(tokens.is_empty(), "{tokens:?}");
    faults
}

#[test]
fn figures_2_to_5_are_plain() {
    let two = format!(
        "<KeyContainer Version=\"1.0\" Id=\"exampleID1\" xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\"><KeyPackage>\
         <Key Id=\"12345678\" Algorithm=\"{HOTP}\"><Issuer>Issuer-A</Issuer><Data><Secret><PlainValue>MTIzNA==\
         </PlainValue></Secret></Data></Key></KeyPackage></KeyContainer>"
    );
    let short =
        "1: its seed cannot be used: a seed has 80 to 512 bits: 20 to 128 digits in HEX, 16 to 103 letters in Base32";
    assert_eq!(faults(&two, Unlock::Nothing), [short]);
    let device = "<Manufacturer>Manufacturer</Manufacturer><SerialNo>987654321</SerialNo>";
    let with_user = format!("{device}<UserId>DC=example-bank,DC=net</UserId>");
    let three = package(&with_user, HOTP, EIGHT, &plain(SEED), "<UserId>UID=jsmith,DC=example-bank,DC=net</UserId>");
    let text = container(&[&three]);
    assert_eq!(tokens(&text, Unlock::Nothing), ["jsmith 31323334 8 hotp 0"]);
    let entries = read(&text, Unlock::Nothing, NOW).unwrap().entries;
    assert_eq!(entries.entry(0).unwrap().maker.as_deref(), Some("Manufacturer"));
    assert_eq!(entries.entry(0).unwrap().found.devices[0].serial.as_ref().unwrap().as_str(), "987654321");
    let four = package(device, HOTP, EIGHT, "<Counter><PlainValue>0</PlainValue></Counter>", "");
    assert_eq!(faults(&container(&[&four]), Unlock::Nothing), ["3: it has no seed"]);
    let pin = "<PINPolicy MinLength=\"4\" MaxLength=\"4\" PINKeyId=\"123456781\" PINEncoding=\"DECIMAL\" PINUsageMode=\"Local\"/>";
    let five = package(device, HOTP, EIGHT, &plain(SEED), &format!("<Policy>{pin}<KeyUsage>OTP</KeyUsage></Policy>"));
    let key = package(device, "urn:ietf:params:xml:ns:keyprov:pskc:pin", "", &plain("MTIzNA=="), "");
    let expected = ["3: it goes with a PIN, which is not checked here", "6: it is the PIN of a token, not a token"];
    assert_eq!(faults(&container(&[&five, &key]), Unlock::Nothing), expected);
}

const MAC_KEY: &str = "ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX";
const CIPHER: &str = "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv";
const KEY: [u8; 16] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12];

fn six(mac_key: &str, cipher: &str, mac: &str) -> String {
    let method = format!(
        "<MACMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#hmac-sha1\"><MACKey>{}</MACKey></MACMethod>\n",
        encrypted("aes128-cbc", mac_key)
    );
    container(&[
        "<EncryptionKey><ds:KeyName>Pre-shared-key</ds:KeyName></EncryptionKey>\n",
        &method,
        &package(&serial("987654321"), HOTP, EIGHT, &secret("aes128-cbc", cipher, mac), ""),
    ])
}

#[test]
fn figure_6_is_encrypted_with_a_key_that_both_sides_know() {
    let mac = "<ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=</ValueMAC>";
    let text = six(MAC_KEY, CIPHER, mac);
    let protection = Container::of(text.as_bytes()).unwrap().protection().clone();
    assert_eq!(protection, Protection::Key(Some("Pre-shared-key".to_owned())));
    assert_eq!(tokens(&text, Unlock::Key(&KEY)), ["#987654321 31323334 8 hotp 0"]);
    let told = |text: &str, unlock| faults(text, unlock).concat();
    assert!(told(&text, Unlock::Nothing).ends_with("its values are encrypted, and no key was given: --key-file"));
    assert!(
        told(&text, Unlock::Key(&[1; 5])).ends_with("the key that was given has 5 bytes; it must have 16, 24 or 32")
    );
    assert!(
        told(&text, Unlock::Key(&[1; 16])).contains("the key or password is wrong"),
        "{}",
        told(&text, Unlock::Key(&[1; 16]))
    );
    assert!(told(&text, Unlock::Key(&[1; 32])).ends_with("the key has 32 bytes, and its values need one of 16"));
    assert!(told(&text, Unlock::Password(b"x")).ends_with("encrypted with a key, not with a password: --key-file"));
    // One bit changed, no MAC, another method: nothing is decrypted.
    let changed = CIPHER.replacen("AAEC", "AAED", 1);
    assert!(told(&six(MAC_KEY, &changed, mac), Unlock::Key(&KEY)).contains("the MAC of a value does not match"));
    assert!(
        told(&six(MAC_KEY, CIPHER, ""), Unlock::Key(&KEY))
            .ends_with("an encrypted value has no MAC, so it may have been changed")
    );
    let other = text.replace("aes128-cbc", "tripledes-cbc");
    assert!(told(&other, Unlock::Key(&KEY)).ends_with("its encryption is none that is known here: AES in CBC mode is"));
    let other = text.replace("hmac-sha1", "hmac-md5");
    assert!(told(&other, Unlock::Key(&KEY)).ends_with("its MAC is neither HMAC-SHA1 nor HMAC-SHA256"));
}

#[test]
fn without_a_key_of_its_own_a_mac_has_that_of_the_values() {
    let method = "<MACMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#hmac-sha1\"/>";
    let data = secret("aes128-cbc", CIPHER, "<ValueMAC>N8Agsfe5A7WQFswmdvL/MHdd3y0=</ValueMAC>");
    let token = package(&serial("1"), HOTP, EIGHT, &data, "");
    for key in ["<EncryptionKey><ds:KeyName>x</ds:KeyName></EncryptionKey>", "<EncryptionKey/>", ""] {
        assert_eq!(tokens(&container(&[key, method, &token]), Unlock::Key(&KEY)), ["#1 31323334 8 hotp 0"]);
    }
    assert!(faults(&container(&[&token]), Unlock::Key(&KEY)).concat().ends_with("how the MAC of its values is made"));
}

fn seven(parameters: &str) -> String {
    let derived = format!(
        "<EncryptionKey><xenc11:DerivedKey><xenc11:KeyDerivationMethod \
         Algorithm=\"http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2\"><pkcs5:PBKDF2-params>{parameters}\
         </pkcs5:PBKDF2-params></xenc11:KeyDerivationMethod><xenc:ReferenceList><xenc:DataReference URI=\"#ED\"/>\
         </xenc:ReferenceList><xenc11:MasterKeyName>My Password 1</xenc11:MasterKeyName></xenc11:DerivedKey></EncryptionKey>\n"
    );
    let key = encrypted("aes128-cbc", "2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx");
    let method = format!(
        "<MACMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#hmac-sha1\"><MACKey>{key}</MACKey></MACMethod>"
    );
    let cipher = "oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f";
    let data = secret("aes128-cbc", cipher, "<ValueMAC>LP6xMvjtypbfT9PdkJhBZ+D6O4w=\n</ValueMAC>");
    container(&[&derived, &method, &package(&serial("987654321"), HOTP, EIGHT, &data, "")])
}

#[test]
fn figure_7_is_encrypted_with_a_password() {
    let parameters = "<Salt><Specified>Ej7/PEpyEpw=</Specified></Salt><IterationCount>1000</IterationCount><KeyLength>16</KeyLength><PRF/>";
    let text = seven(parameters);
    let protection = Container::of(text.as_bytes()).unwrap().protection().clone();
    assert_eq!(protection, Protection::Password(Some("My Password 1".to_owned())));
    assert_eq!(tokens(&text, Unlock::Password(b"qwerty")), ["#987654321 31323334 8 hotp 0"]);
    assert!(faults(&text, Unlock::Password(b"qwertz")).concat().contains("the key or password is wrong"));
    for (from, to, expected) in [
        ("1000", "10000001", "PBKDF2 has more than 10000000 rounds"),
        ("1000", "4294967296", "PBKDF2 has no number of rounds"),
        ("1000", "0", "PBKDF2 has no number of rounds"),
        (">16<", ">15<", "the key of a password must have 16, 24 or 32 bytes"),
        ("<PRF/>", "<PRF Algorithm=\"x#hmac-md5\"/>", "PBKDF2 has another hash than HMAC-SHA1 and HMAC-SHA256"),
        ("Specified", "Other", "PBKDF2 has no salt"),
    ] {
        let told = faults(&seven(&parameters.replace(from, to)), Unlock::Password(b"qwerty")).concat();
        assert!(told.ends_with(expected), "{told}");
    }
    let other = text.replace("#pbkdf2", "#scrypt");
    assert!(faults(&other, Unlock::Password(b"qwerty")).concat().ends_with("in another way than PBKDF2"));
}

#[test]
fn figure_8_is_encrypted_for_a_certificate() {
    let key = "<EncryptionKey><ds:X509Data><ds:X509Certificate>MIIB</ds:X509Certificate></ds:X509Data></EncryptionKey>";
    let data = secret("rsa_1_5", "hJ+fvpoMPMO9BYpK", "");
    let text = container(&[key, &package(&serial("987654321"), HOTP, EIGHT, &data, "")]);
    for unlock in [Unlock::Nothing, Unlock::Key(&KEY)] {
        assert_eq!(faults(&text, unlock), ["3: its values are encrypted for a certificate, which is not supported"]);
    }
}

#[test]
fn figure_9_has_a_signature_that_is_not_looked_at() {
    let signature = "<ds:Signature><ds:SignedInfo/><ds:SignatureValue>j6lwx3rvEPO0vKtMup4NbeVu8nk=</ds:SignatureValue></ds:Signature>";
    let text = container(&[
        &package(&serial("0755225266"), HOTP, "<ResponseFormat Length=\"6\" Encoding=\"DECIMAL\"/>", &plain(SEED), ""),
        signature,
    ]);
    assert_eq!(tokens(&text, Unlock::Nothing), ["#0755225266 31323334 6 hotp 0"]);
}

#[test]
fn figure_10_has_many_with_an_end() {
    let of = |number: &str, month: &str| {
        let dates = format!(
            "<StartDate>2006-{month}-01T00:00:00Z</StartDate><ExpiryDate>2010-{month}-30T00:00:00Z</ExpiryDate>"
        );
        package(&serial(number), HOTP, EIGHT, &plain(SEED), &format!("<Policy>{dates}</Policy>"))
    };
    let text = container(&[&of("654321", "05"), &of("123456", "05"), &of("9999999", "03"), &of("9999999", "04")]);
    assert_eq!(faults(&text, Unlock::Nothing), [3, 6, 9, 12].map(|line| format!("{line}: it has expired")));
    let (tokens, faults) = told(&text, Unlock::Nothing, IN_2009);
    assert_eq!(tokens.len(), 3);
    assert_eq!(faults, ["12: the serial number is the one of line 9"]);
    let entries = read(&text, Unlock::Nothing, IN_2009).unwrap().entries;
    assert_eq!(entries.entry(0).unwrap().remarks, ["its maker lets it expire on 2010-05-30, which is not kept"]);
    let early = told(&text, Unlock::Nothing, UnixTime(0)).1;
    assert_eq!(early[0], "3: it may not be used yet: its first day is in the future");
}

#[test]
fn what_is_left_is_a_container_again() {
    let of = |number: &str, seed: &str| package(&serial(number), HOTP, EIGHT, &plain(seed), "");
    let text = container(&["<!-- a box -->\n", &of("1", SEED), &of("2", "MTIzNA=="), &of("3", SEED)]);
    let Read { entries, faults } = read(&text, Unlock::Nothing, NOW).unwrap();
    assert_eq!((entries.count(), faults.len()), (2, 1));
    let rest = rest(&text, &entries);
    let rest = str::from_utf8(&rest).unwrap();
    assert!(rest.contains("<!-- a box -->") && rest.contains("<SerialNo>2<") && !rest.contains("<SerialNo>1<"));
    let mended = rest.replace("MTIzNA==", SEED);
    assert_eq!(tokens(&mended, Unlock::Nothing), ["#2 31323334 8 hotp 0"]);
    let none = self::rest(&mended, &read(&mended, Unlock::Nothing, NOW).unwrap().entries);
    assert!(tokens(str::from_utf8(&none).unwrap(), Unlock::Nothing).is_empty());
}

#[test]
fn a_token_of_time_and_one_with_a_keypad() {
    let time = |more: &str| format!("<Secret><PlainValue>{SEED}</PlainValue></Secret>{more}");
    let value = |name: &str, value: &str| format!("<{name}><PlainValue>{value}</PlainValue></{name}>");
    let sixty = value("TimeInterval", "60");
    let of = |suite: &str, more: &str| {
        package(&serial("1"), TOTP, &format!("<Suite>{suite}</Suite>{EIGHT}"), &time(more), "")
    };
    let one = |text: &str| tokens(&container(&[text]), Unlock::Nothing).concat();
    assert_eq!(one(&of("", "")), "#1 31323334 8 every 30 drift Some(0)");
    assert_eq!(one(&of("HMAC-SHA256", &sixty)), "#1 31323334 SHA2568 every 60 drift Some(0)");
    assert_eq!(one(&of("HMAC-SHA512", &value("TimeDrift", "-4"))), "#1 31323334 SHA5128 every 30 drift Some(-4)");
    let far = container(&[&of("", &value("TimeDrift", "400"))]);
    assert_eq!(tokens(&far, Unlock::Nothing).concat(), "#1 31323334 8 every 30 drift Some(0)");
    assert_eq!(
        read(&far, Unlock::Nothing, NOW).unwrap().entries.entry(0).unwrap().remarks,
        ["its clock is too far off: it waits for a resync"]
    );
    let keypad = |suite: &str, format: &str| {
        let data = time(&value("Counter", "5"));
        package(
            &serial("1"),
            "urn:ietf:params:xml:ns:keyprov:pskc:ocra",
            &format!("<Suite>{suite}</Suite>{format}"),
            &data,
            "",
        )
    };
    assert_eq!(one(&keypad("OCRA-1:HOTP-SHA1-8:C-QN08", EIGHT)), "#1 31323334 8 ocra 5");
    assert_eq!(one(&keypad("OCRA-1:HOTP-SHA1-8:QN08", "")), "#1 31323334 8 ocra 0");
    let fault = |text: &str| faults(&container(&[text]), Unlock::Nothing).concat();
    assert_eq!(fault(&keypad("OCRA-1:HOTP-SHA1-6:QN08-PSHA1", "")), "3: its OCRA suite cannot be used at logins");
    assert_eq!(
        fault(&keypad("OCRA-1:HOTP-SHA1-6:QN08", EIGHT)),
        "3: its suite and its response format have different numbers of digits"
    );
    assert_eq!(fault(&of("HMAC-MD5", "")), "3: its hash is none of SHA1, SHA256 and SHA512");
    assert_eq!(fault(&of("", &value("TimeInterval", "5"))), "3: a period has 10 to 300 seconds");
    assert_eq!(fault(&of("", &value("TimeInterval", "x"))), "3: its TimeInterval is not a number");
}

#[test]
fn a_package_that_cannot_be_kept_is_a_fault_with_its_reason() {
    let of = |from: &str, to: &str| {
        let good = package(
            &serial("1"),
            HOTP,
            EIGHT,
            &plain(SEED),
            "<FriendlyName>Blue</FriendlyName><Policy><KeyUsage>OTP</KeyUsage></Policy>",
        );
        assert!(good.contains(from), "{from}");
        container(&[&good.replacen(from, to, 1)])
    };
    let good = of("Blue", "Blue one");
    let entries = read(&good, Unlock::Nothing, NOW).unwrap().entries;
    assert_eq!(entries.entry(0).unwrap().found.devices[0].name.as_ref().unwrap().as_str(), "Blue one");
    for (from, to, expected) in [
        ("pskc:hotp", "pskc:securid", "its algorithm is none of HOTP, TOTP and OCRA"),
        ("DECIMAL", "HEXADECIMAL", "its codes are not decimal"),
        ("Length=\"8\"", "Length=\"9\"", "a code has 6, 7 or 8 digits"),
        ("Length=\"8\"", "Length=\"8\" CheckDigits=\"true\"", "its codes have a check digit, which is not known here"),
        ("<KeyUsage>OTP", "<KeyUsage>Encrypt", "its maker allows another use than codes at logins"),
        (
            "<KeyUsage>",
            "<NumberOfTransactions>9</NumberOfTransactions><KeyUsage>",
            "its maker limits how often it is used, which is not counted here",
        ),
        ("<KeyUsage>", "<Foo/><KeyUsage>", "its policy has a part that is not known here"),
        ("<KeyUsage>", "<StartDate>soon</StartDate><KeyUsage>", "a date cannot be read"),
        ("<SerialNo>1</SerialNo>", "", "it has neither a user nor a serial number"),
        ("<SerialNo>1", "<SerialNo>\u{e4}", "a serial number has 1 to 40 printable ASCII characters"),
        ("<PlainValue>0", "<PlainValue>-1", "its counter is less than zero"),
        (SEED, "!", "a value is not Base64"),
        (SEED, "&unknown;", "it has an entity that is not known; none is expanded"),
        ("</Key>", "</Key><Key/>", "it has more than one key"),
        ("<Issuer>", "<Issuer></Wrong>", "it is not well-formed XML"),
    ] {
        assert_eq!(faults(&of(from, to), Unlock::Nothing), [format!("3: {expected}")], "{to}");
    }
    let deep = format!("<Issuer>{}{}", "<a>".repeat(30), "</a>".repeat(30));
    assert_eq!(faults(&of("<Issuer>", &deep), Unlock::Nothing), ["3: it is nested too deeply"]);
    assert_eq!(
        faults(&of("<Issuer>", &format!("<Issuer>{}", "x".repeat(70_000))), Unlock::Nothing),
        ["3: it is too large"]
    );
    // References by number, and of XML's own characters, are text.
    let escaped = of("Blue", "&#66;l&#x75;e &lt;1&gt;");
    let entries = read(&escaped, Unlock::Nothing, NOW).unwrap().entries;
    assert_eq!(entries.entry(0).unwrap().found.devices[0].name.as_ref().unwrap().as_str(), "Blue <1>");
}

#[test]
fn what_is_no_container_is_one_fault() {
    let good = container(&[&package(&serial("1"), HOTP, EIGHT, &plain(SEED), "")]);
    let doctype = good.replacen("<Key", "<!DOCTYPE x [<!ENTITY a \"b\">]>\n<Key", 1);
    let unknown = good.replace("keyprov:pskc\"", "keyprov:pskc:9\"");
    let cut = &good[..good.len() - 5];
    for (text, expected) in [
        ("", "1: it is not well-formed XML"),
        ("token01,313233", "1: it is not well-formed XML"),
        ("<a/>", "1: it is no container of keys (PSKC, RFC 6030)"),
        (&unknown, "2: it is no container of keys (PSKC, RFC 6030)"),
        (&doctype, "2: it has a document type (DOCTYPE), which is not read: remove it"),
        (
            &good.replace("Version=\"1.0\" xmlns", "Version=\"2.0\" xmlns"),
            "2: it has another version of the format than 1.0",
        ),
        (&format!("{good}<a/>"), "7: it is not well-formed XML"),
        (cut, "6: it is not well-formed XML"),
    ] {
        assert_eq!(faults(text, Unlock::Nothing).concat(), expected, "{text}");
    }
    assert_eq!(Container::of(b"<a>\xff").err().unwrap().what, "it is not UTF-8");
    let marked = format!("\u{feff}{good}");
    let Read { entries, .. } = read(&marked, Unlock::Nothing, NOW).unwrap();
    assert!(
        marked[entries.ranges(0).unwrap()[0].clone()].starts_with("<KeyPackage>")
            && marked[entries.ranges(0).unwrap()[0].clone()].ends_with("</KeyPackage>")
    );
    let empty = "<pskc:KeyContainer xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\" Version=\"1.0\"/>";
    assert!(tokens(empty, Unlock::Nothing).is_empty());
}
