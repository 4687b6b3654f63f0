//! Tokens from their makers: `admin import pskc`, `csv` and `uri`, the stock, `admin tokens` and `admin assign`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::Talk, desk::logged, machine, outcome::Outcome, pty::Pty, service::Service, site::Site, syslog,
    users::TestUser,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// A site, and a folder for files of makers.
struct Store {
    site: Site,
    folder: PathBuf,
    service: Service,
}

impl Store {
    fn new() -> Store {
        let site = Site::new("");
        let folder = PathBuf::from(format!("/run/{}", machine::unique("makers")));
        fs::create_dir(&folder).unwrap();
        let service = Service::private(&site.auth("required", ""));
        Store { site, folder, service }
    }

    /// A file that only root can read.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let outcome = Outcome::of(self.site.admin_command().args(arguments), "");
        let said = format!("{}{}", outcome.out, outcome.err);
        for part in ["3132333435363738", "MTIzNDU2Nzg5", "GEZDGNBVGY3TQOJQ"] {
            assert!(!said.to_uppercase().contains(&part.to_uppercase()), "a seed is said: {outcome:?}");
        }
        outcome
    }

    /// What a command says that goes well.
    fn out(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{arguments:?}: {outcome:?}");
        outcome.out
    }

    fn stock(&self) -> Vec<String> {
        let tokens = self.run(&["tokens", "--json"]).json();
        tokens.iter().map(|token| token["serial"].as_str().unwrap().to_owned()).collect()
    }

    fn devices(&self, user: &TestUser) -> Vec<Value> {
        let shown: Value = serde_json::from_str(&self.site.admin(&["show", "--json", &user.name])).unwrap();
        shown["devices"].as_array().unwrap().clone()
    }

    /// Why a login with this code is refused, or `accepted`.
    fn login(&self, user: &TestUser, code: &str) -> String {
        let (_, log) = logged(&Talk::new(&self.service, &user.name), &[code]);
        let word = |rest: &str| rest.split(' ').next().unwrap().to_owned();
        log[0].split_once(" why=").map_or_else(|| word(log[0].split_once(' ').unwrap().1), |(_, why)| word(why))
    }
}

/// A new seed, in HEX.
fn seed() -> String {
    let mut random = [0; 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hotp(seed: &str, counter: u64) -> String {
    machine::run(Command::new("oathtool").args(["--hotp", &format!("--counter={counter}"), seed])).trim_end().to_owned()
}

const PSKC: &str = "urn:ietf:params:xml:ns:keyprov:pskc";
const SEED: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";
const HEX: &str = "3132333435363738393031323334353637383930";

/// A key package of a HOTP token with six digits.
fn package(serial: &str, secret: &str, user: &str) -> String {
    format!(
        "  <KeyPackage>\n    <DeviceInfo><Manufacturer>Acme</Manufacturer><SerialNo>{serial}</SerialNo></DeviceInfo>\n    \
         <Key Id=\"{serial}\" Algorithm=\"{PSKC}:hotp\"><Issuer>Acme</Issuer>\n      <AlgorithmParameters>\
         <ResponseFormat Length=\"6\" Encoding=\"DECIMAL\"/></AlgorithmParameters>\n      <Data><Secret><PlainValue>{secret}\
         </PlainValue></Secret><Counter><PlainValue>0</PlainValue></Counter></Data>{user}\n    </Key>\n  </KeyPackage>\n"
    )
}

fn container(packages: &[String]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<KeyContainer Version=\"1.0\" xmlns=\"{PSKC}\">\n{}</KeyContainer>\n",
        packages.concat()
    )
}

fn pskctool(arguments: &[&str], file: &Path) -> String {
    machine::run(Command::new("pskctool").args(arguments).arg(file))
}

#[test]
fn pskctool_reads_what_we_read_and_what_we_leave() {
    let (store, alice) = (Store::new(), TestUser::new("alice"));
    let user = format!("<UserId>UID={},DC=example</UserId>", alice.name);
    let packages = [package("A1", SEED, &user), package("B2", "MTIzNA==", ""), package("C3", SEED, "")];
    let file = store.file("acme.xml", container(&packages));
    assert!(pskctool(&["--info", "--strict"], Path::new(&file)).contains("SerialNo: A1\n"));

    let refused = store.run(&["import", "pskc", &file]);
    let fault =
        "its seed cannot be used: a seed has 80 to 512 bits: 20 to 128 digits in HEX, 16 to 103 letters in Base32";
    assert_eq!((refused.code, refused.out), (Some(1), format!("{file}:10: {fault}\n")));
    assert!(store.stock().is_empty() && store.site.files().is_empty(), "{:?}", store.site.files());

    let rest = store.folder.join("rest.xml");
    let imported = store.run(&["import", "pskc", &file, "--rejects", rest.to_str().unwrap()]);
    assert_eq!(imported.code, Some(4), "{imported:?}");
    let expected = format!("{}: imported\nC3: put into the stock\n", alice.name);
    let total = "\n1 imported, 1 put into the stock, 0 were imported already, 1 failed.\n";
    assert!(imported.out.contains(&expected) && imported.out.contains(total), "{imported:?}");
    let left = pskctool(&["--info", "--strict"], &rest);
    assert!(
        left.contains("SerialNo: B2\n") && !left.contains("SerialNo: A1") && !left.contains("SerialNo: C3"),
        "{left}"
    );
    let left = fs::read_to_string(&rest).unwrap();
    let mended = store.file("mended.xml", left.replace("MTIzNA==", SEED));
    assert!(store.out(&["import", "pskc", &mended]).starts_with("B2: put into the stock\n"));
    assert_eq!(store.stock(), ["B2", "C3"]);

    let device = &store.devices(&alice)[0];
    assert_eq!(
        (&device["serial"], &device["confirmed"], &device["name"]),
        (&json!("A1"), &json!(false), &json!("token"))
    );
    assert_eq!(store.login(&alice, &hotp(HEX, 2)), "accepted");
    assert_eq!(store.devices(&alice)[0]["confirmed"], true);
    let again = store.out(&["import", "pskc", &mended]);
    assert!(again.starts_with("B2: is in the stock already\n"), "{again}");
}

#[test]
fn a_container_that_pskctool_signed_is_read() {
    let store = Store::new();
    let (key, certificate) = (store.folder.join("key.pem"), store.folder.join("certificate.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Acme", "-keyout"]).arg(&key);
    machine::run(openssl.arg("-out").arg(&certificate).stderr(Stdio::null()));
    let plain = store.file("plain.xml", container(&[package("A1", SEED, ""), package("B2", SEED, "")]));
    let sign = [format!("--sign-key={}", key.display()), format!("--sign-crt={}", certificate.display())];
    let signed = pskctool(&["--sign", &sign[0], &sign[1]], Path::new(&plain));
    assert!(signed.contains("Signature"), "{signed}");
    let file = store.file("signed.xml", signed);
    store.out(&["import", "pskc", &file]);
    assert_eq!(store.stock(), ["A1", "B2"]);
}

/// RFC 6030, figures 6 and 7: the head, and the data of the key.
fn encrypted(head: &str, cipher: &str, mac: &str) -> String {
    let value = |cipher: &str| {
        format!(
            "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#aes128-cbc\"/><xenc:CipherData>\
             <xenc:CipherValue>{cipher}</xenc:CipherValue></xenc:CipherData>"
        )
    };
    let (key, mac_key) = head.split_once('|').unwrap();
    let data = format!("<EncryptedValue>{}</EncryptedValue><ValueMAC>{mac}</ValueMAC>", value(cipher));
    let package = package("987654321", "", "").replace("<PlainValue></PlainValue>", &data);
    format!(
        "<KeyContainer Version=\"1.0\" xmlns=\"{PSKC}\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
         xmlns:xenc=\"http://www.w3.org/2001/04/xmlenc#\" xmlns:xenc11=\"http://www.w3.org/2009/xmlenc11#\">\
         <EncryptionKey>{key}</EncryptionKey><MACMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#hmac-sha1\">\
         <MACKey>{}</MACKey></MACMethod>\n{package}</KeyContainer>",
        value(mac_key)
    )
}

#[test]
fn an_encrypted_container_needs_its_key() {
    let store = Store::new();
    let six = encrypted(
        "<ds:KeyName>Pre-shared-key</ds:KeyName>|ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX",
        "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv",
        "Su+NvtQfmvfJzF6bmQiJqoLRExc=",
    );
    let file = store.file("six.xml", &six);
    let without = store.run(&["import", "pskc", &file]);
    assert_eq!(without.code, Some(2));
    let text = "otp-enroll: the file is encrypted with the key \"Pre-shared-key\": --key-file FILE\n";
    assert!(without.err.starts_with(text), "{without:?}");
    let wrong = store.file("wrong", "00112233445566778899aabbccddeeff");
    let refused = store.run(&["import", "pskc", &file, "--key-file", &wrong]);
    assert!(refused.code == Some(1) && refused.out.contains("the key or password is wrong"), "{refused:?}");
    let changed = store.file("changed.xml", six.replace("AAECAw", "AAECBw"));
    let right = store.file("right", "12345678901234567890123456789012\n");
    let refused = store.run(&["import", "pskc", &changed, "--key-file", &right]);
    assert!(refused.out.contains("the MAC of a value does not match"), "{refused:?}");
    store.out(&["import", "pskc", &file, "--key-file", &right]);
    assert_eq!(store.stock(), ["987654321"]);
    let raw: Vec<u8> = (0..16).map(|place| [0x12, 0x34, 0x56, 0x78, 0x90][place % 5]).collect();
    let raw = store.file("raw", raw);
    assert!(store.out(&["import", "pskc", &file, "--key-file", &raw]).contains("is in the stock already"));
}

#[test]
fn a_password_is_in_a_file_or_asked_for() {
    let store = Store::new();
    let derived = "<xenc11:DerivedKey><xenc11:KeyDerivationMethod \
                   Algorithm=\"http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2\"><PBKDF2-params><Salt>\
                   <Specified>Ej7/PEpyEpw=</Specified></Salt><IterationCount>1000</IterationCount><KeyLength>16</KeyLength>\
                   <PRF/></PBKDF2-params></xenc11:KeyDerivationMethod><xenc11:MasterKeyName>My Password 1\
                   </xenc11:MasterKeyName></xenc11:DerivedKey>|2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx";
    let seven = encrypted(
        derived,
        "oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f",
        "LP6xMvjtypbfT9PdkJhBZ+D6O4w=",
    );
    let file = store.file("seven.xml", seven);
    let without = store.run(&["import", "pskc", &file]);
    let text = "otp-enroll: the file is encrypted with the password \"My Password 1\": --password-file FILE\n";
    assert!(without.code == Some(2) && without.err.starts_with(text), "{without:?}");
    let config = store.site.config().to_str().unwrap().to_owned();
    let mut terminal = Pty::new("otp-enroll").args(["--config", &config, "admin", "import", "pskc", &file]).start();
    terminal.wait_for("Password \"My Password 1\" of the file: ");
    terminal.send_line("qwerty");
    assert_eq!(terminal.wait().code(), Some(0));
    assert_eq!(store.stock(), ["987654321"]);
    let password = store.file("password", "qwerty\n");
    assert!(store.out(&["import", "pskc", &file, "--password-file", &password]).contains("is in the stock already"));
}

#[test]
fn rows_are_told_in_the_order_of_the_file_with_exit_code_4_where_some_failed() {
    let (store, alice, bob) = (Store::new(), TestUser::new("alice"), TestUser::new("bob"));
    let (one, two, three) = (seed(), seed(), seed());
    let file = store.file(
        "tokens.csv",
        format!(
            "\u{feff}Serial,User,Secret,Type\r\nA1,{0}@example.org,{one},hotp\r\nB2,,{two},hotp\r\n\"C 3\",nobody-{0},{three},hotp\r\n\
             D4,,{three},hotp\r\n",
            alice.name
        ),
    );
    let map = store.file("map.csv", format!("serial,user\nD4,{}\n", bob.name));
    let arguments = ["import", "csv", &file, "--map", &map, "--without-domain"];
    let with = |more: &[&'static str]| store.run(&[&arguments[..], more].concat());
    let nobody = format!("nobody-{}", alice.name);
    let dry = with(&["--dry-run", "--json"]);
    let failed =
        json!({"user": nobody, "error": "there is no such user", "hint": "create the account, and import again"});
    let expected = [
        json!({"user": alice.name, "would_change": true}),
        json!({"serial": "B2", "would_change": true}),
        failed.clone(),
        json!({"user": bob.name, "would_change": true}),
    ];
    assert_eq!((dry.code, &dry.json()[..4]), (Some(4), &expected[..]));
    assert!(store.site.files().is_empty() && !store.site.state().join("stock").exists(), "a dry run writes nothing");
    let real = with(&["--json"]);
    let expected = [
        json!({"user": alice.name, "changed": true}),
        json!({"serial": "B2", "changed": true}),
        failed,
        json!({"user": bob.name, "changed": true}),
    ];
    assert_eq!((real.code, &real.json()[..4]), (Some(4), &expected[..]));
    assert_eq!(store.login(&alice, &hotp(&one, 0)), "accepted");
    assert_eq!(store.login(&bob, &hotp(&three, 3)), "accepted");
    // Tokens come beside what a user has, and are there once.
    let more = store.file("more.csv", format!("serial,user,secret,type\nE5,{},{},hotp\n", alice.name, seed()));
    assert!(store.out(&["import", "csv", &more]).starts_with(&format!("{}: added\n", alice.name)));
    assert_eq!(store.devices(&alice).len(), 2);
    assert!(store.out(&["import", "csv", &more]).starts_with(&format!("{}: was imported already\n", alice.name)));
    let broken = store.file("broken.csv", "A1;alice\n");
    let refused = store.run(&["import", "csv", &file, "--map", &broken]);
    let text = format!("{broken}:1: it must have two fields: a serial number and a user\n");
    assert_eq!((refused.code, refused.out), (Some(1), text));
}

#[test]
fn a_uri_brings_an_app_that_our_own_screen_could_have_shown() {
    let (store, alice) = (Store::new(), TestUser::new("alice"));
    let uri = format!(
        "otpauth://hotp/Example:{}?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Example&counter=4\n",
        alice.name
    );
    let file = store.file("uris", uri);
    assert!(store.out(&["import", "uri", &file]).starts_with(&format!("{}: imported\n", alice.name)));
    assert_eq!(store.login(&alice, &hotp(HEX, 3)), "replayed");
    assert_eq!(store.login(&alice, &hotp(HEX, 4)), "accepted");
}

/// A stock with these tokens, and their seeds.
fn stocked(serials: &[&str]) -> (Store, Vec<String>) {
    let store = Store::new();
    let seeds: Vec<_> = serials.iter().map(|_| seed()).collect();
    let rows: String = serials.iter().zip(&seeds).map(|(serial, seed)| format!("{serial},{seed},hotp,6,0\n")).collect();
    let file = store.file("stock.csv", rows);
    store.out(&["import", "csv", &file]);
    (store, seeds)
}

#[test]
fn a_token_in_stock_goes_to_one_user() {
    let (store, seeds) = stocked(&["A1", "B2"]);
    let [alice, bob] = ["alice", "bob"].map(TestUser::new);
    let stock = store.site.state().join("stock");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&stock), mode(&stock.join("A1.toml"))), (0o700, 0o600));
    let listed = store.out(&["tokens"]);
    let lines: Vec<_> =
        listed.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, ["SERIAL TYPE DIGITS", "A1 hotp 6", "B2 hotp 6"]);
    assert!(store.out(&["list"]).starts_with("No user has set up a second factor."), "the stock is no record");
    store.out(&["check"]);

    let mark = syslog::mark();
    let said = store.out(&["assign", &alice.name, "A1", "blue key"]);
    let expected = "Device 1, blue key, is added, not confirmed yet: its first right code at a login confirms it";
    assert_eq!(said, format!("{}: {expected}\n", alice.name));
    let line = format!("device-added user={} by_uid=0 changed_device=1 proof=admin", alice.name);
    syslog::wait_for(mark, &line, Duration::from_secs(5)).unwrap();
    assert_eq!(store.stock(), ["B2"]);
    assert_eq!(store.login(&alice, &hotp(&seeds[0], 1)), "accepted");
    let device = &store.devices(&alice)[0];
    assert_eq!((&device["serial"], &device["confirmed"]), (&json!("A1"), &json!(true)));

    let again = store.out(&["assign", &alice.name, "A1"]);
    assert_eq!(again, format!("{}: had this token already: device 1, blue key\n", alice.name));
    let gone = store.run(&["assign", &bob.name, "A1"]);
    assert_eq!(gone.code, Some(4));
    assert!(gone.err.starts_with("otp-enroll: there is no token \"A1\" in stock\n"), "{gone:?}");
    assert_eq!(store.run(&["assign", "nobody-at-all", "B2"]).code, Some(3));
    let taken = store.run(&["assign", &alice.name, "B2", "Blue Key"]);
    assert!(taken.code == Some(1) && store.stock() == ["B2"], "{taken:?}");
    // The maker's file again: a token that a user has does not come back.
    let file = store.folder.join("stock.csv");
    let import = store.out(&["import", "csv", file.to_str().unwrap()]);
    assert!(
        import.starts_with(&format!("A1: {} has it already\nB2: is in the stock already\n", alice.name)),
        "{import}"
    );
    let json = store.run(&["assign", "--json", &bob.name, "B2"]).json();
    let expected = json!({"user": bob.name, "changed": true, "device": 1, "name": "token", "confirmed": false});
    assert_eq!(json, [expected]);
}

#[test]
fn of_two_who_give_out_one_token_one_succeeds() {
    let serials: Vec<String> = (0..8).map(|number| format!("T{number}")).collect();
    let (store, _) = stocked(&serials.iter().map(String::as_str).collect::<Vec<_>>());
    let users = ["alice", "bob"].map(TestUser::new);
    for serial in &serials {
        let both = users.each_ref().map(|user| {
            let mut command = store.site.admin_command();
            command.args(["assign", "--json", &user.name, serial]).stdout(Stdio::piped()).stderr(Stdio::null());
            command.spawn().unwrap()
        });
        let done = both.map(|child| child.wait_with_output().unwrap().status.success());
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "{serial}");
    }
    assert!(store.stock().is_empty());
    let all: Vec<_> =
        users.iter().flat_map(|user| store.devices(user)).map(|device| device["serial"].clone()).collect();
    assert_eq!(all.len(), 8, "{all:?}");
}

#[test]
fn an_assignment_that_was_killed_is_found_by_the_next_command() {
    let (store, seeds) = stocked(&["A1", "B2"]);
    let [alice, bob] = ["alice", "bob"].map(TestUser::new);
    let file = |serial: &str| store.site.state().join(format!("stock/{serial}.toml"));
    // As if it was killed after the record was written, before the token left the stock.
    let killed = |serial: &str, user: &TestUser| {
        let text = fs::read_to_string(file(serial)).unwrap();
        store.out(&["assign", &user.name, serial]);
        let intended = text.replacen("\nnext = 0\n", &format!("\nnext = 0\nuser = \"{}\"\n", user.name), 1);
        assert_ne!(intended, text);
        fs::write(file(serial), intended).unwrap();
        fs::set_permissions(file(serial), Permissions::from_mode(0o600)).unwrap();
    };
    killed("A1", &alice);
    let listed = store.out(&["tokens"]);
    assert!(
        listed.contains(&format!("! interrupted: run `otp-enroll admin assign {} A1` again", alice.name)),
        "{listed}"
    );
    let other = store.run(&["assign", &bob.name, "A1"]);
    assert!(
        other.code == Some(4) && other.err.starts_with(&format!("otp-enroll: {} has the token A1\n", alice.name)),
        "{other:?}"
    );
    assert_eq!(store.stock(), ["B2"]);
    killed("B2", &alice);
    assert_eq!(
        store.out(&["assign", &alice.name, "B2"]),
        format!("{}: had this token already: device 2, token 2\n", alice.name)
    );
    assert!(store.stock().is_empty());
    assert_eq!(store.login(&alice, &hotp(&seeds[1], 0)), "accepted");
    // Killed before the record was written: any user can get the token.
    let csv = store.file("third.csv", format!("C3,{},hotp,6,0\n", seed()));
    store.out(&["import", "csv", &csv]);
    let text = fs::read_to_string(file("C3")).unwrap();
    fs::write(file("C3"), text.replacen("\nnext = 0\n", &format!("\nnext = 0\nuser = \"{}\"\n", alice.name), 1))
        .unwrap();
    store.out(&["assign", &bob.name, "C3"]);
    assert_eq!(store.devices(&bob)[0]["serial"], "C3");
}

#[test]
fn a_file_that_says_whose_a_token_is_takes_it_out_of_the_stock() {
    let (store, seeds) = stocked(&["A1", "B2"]);
    let alice = TestUser::new("alice");
    let file = store.file("users.csv", format!("serial,user,secret,type\nA1,{},{},hotp\n", alice.name, seeds[0]));
    store.out(&["import", "csv", &file, "--dry-run"]);
    assert_eq!(store.stock(), ["A1", "B2"]);
    store.out(&["import", "csv", &file]);
    assert_eq!(store.stock(), ["B2"]);
    // The import does not decide between two tokens with the same serial number.
    let other = store.file("other.csv", format!("B2,{},hotp,6,0\n", seed()));
    let refused = store.run(&["import", "csv", &other]);
    assert_eq!(refused.code, Some(4));
    assert!(
        refused.out.starts_with("B2: failed: another token with this serial number is there already; "),
        "{refused:?}"
    );

    let asked = store.run(&["tokens", "--remove", "B2"]);
    assert!(asked.code == Some(2) && asked.err.contains("add --yes"), "{asked:?}");
    assert_eq!(store.out(&["tokens", "--remove", "B2", "--yes"]), "B2: removed from the stock\n");
    assert_eq!(store.out(&["tokens"]), "No token is in stock.\n");
    assert_eq!(store.run(&["tokens", "--remove", "B2", "--yes"]).code, Some(4));
}
