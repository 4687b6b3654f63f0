//! Adds a hardware token: its description and its seed, then a code that it shows.

use std::io::{self, IsTerminal};

use otp_core::codes::attempt::Code;
use otp_core::codes::challenge::Challenge;
use otp_core::codes::ocra::Suite;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::verify::Refusal;
use otp_core::protocol::request::{Confidential, Declined, Reply, Request, Status, Token};
use otp_core::record::credentials::Serial;
use otp_core::text;
use otp_core::value::secret::Secret;
use otp_formats::seed::{self, SeedFault};
use serde::Serialize;

use crate::cli::{Enrollment, SeedFormat, TokenAlgorithm, TokenOptions, TokenType};
use crate::client::{Client, unexpected};
use crate::error::{AskError, CliError, ScreenError};
use crate::language;
use crate::seed_file::{self, OF_ONE_TOKEN};
use crate::ui::alternate_screen::AlternateScreen;
use crate::ui::dialog::Asks;
use crate::ui::output::{Output, say};
use crate::ui::prompt::{self, LONGEST_LINE};
use crate::ui::terminal::Terminal;
use crate::user::confirmed;
use crate::user::first_device;
use crate::user::goal::Goal;
use crate::user::proof;

pub(crate) const CODE: &str = text!("Code that the token shows: ");

/// What is asked of the person who has the device.
pub(crate) struct Asked {
    pub(crate) code: &'static str,
    /// After several codes that are not the device's.
    pub(crate) doubt: &'static str,
}

const OF_A_TOKEN: Asked = Asked {
    code: CODE,
    doubt: text!(
        "Are the seed and the options of the token right: --type, --algorithm, --digits, --period, --counter?"
    ),
};

/// The question after [`Declined::NextCodeNeeded`].
pub(crate) const NEXT: &str = text!("The code after it: ");

/// After so many codes that are not the token's, its description is doubted.
const SEVERAL: u32 = 3;

/// Adds a token for the user, with a code of another device if there is one.
pub(crate) fn add(
    client: &mut Client<'_>,
    status: &Status,
    name: Option<String>,
    options: &TokenOptions,
    enrollment: &Enrollment,
    output: &Output,
) -> Result<(), CliError> {
    let screen = watch()?;
    let token = described(options, output)?;
    drop(screen);
    take(client, status, name, token, &OF_A_TOKEN, enrollment, output)
}

/// Adds a device whose seed is there already, by a code that it shows.
pub(crate) fn take(
    client: &mut Client<'_>,
    status: &Status,
    name: Option<String>,
    token: Token,
    asked: &Asked,
    enrollment: &Enrollment,
    output: &Output,
) -> Result<(), CliError> {
    let screen = watch()?;
    let digits = token.digits;
    // Last: a code is not good for as long as it takes to type a seed.
    let goal = if status.enrolled { Goal::Another } else { Goal::First };
    let mut request = Request::Add { name, proof: None, token: Some(token), to: None, count: enrollment.count };
    if status.enrolled {
        request = proof::proved(client, request, output)?;
    }
    let taken = first_device::ask(client, request, output)?;
    let Reply::TokenTaken { name, question } = taken else { return Err(unexpected()) };
    screen.stage(goal.if_interrupted());
    if output.json {
        let question = question.as_deref();
        output.result(&Taken { user: &status.user, name: &name, confirmed: false, question }, String::new)?;
    } else if let Some(text) = question.and_then(|question| Challenge::Question(question).text(language::here())) {
        say(&text)?;
    }
    let codes =
        confirm(client, &screen, goal, (&status.user, digits), asked, output).map_err(|error| goal.ended_by(error))?;
    drop(screen);
    let save = enrollment.save_recovery.as_deref();
    confirmed::tell(client, goal, (&codes, save), &status.user, false, output)
}

/// The first line of JSON: from now on codes are read.
#[derive(Serialize)]
struct Taken<'a> {
    user: &'a str,
    name: &'a str,
    confirmed: bool,
    /// What is to be typed into a token with a keypad.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<&'a str>,
}

/// The line of JSON after which the code after the last one is read.
#[derive(Serialize)]
struct NextNeeded<'a> {
    user: &'a str,
    next_code_needed: bool,
}

/// Answers interruptions while questions are asked. Nothing is on the screen that would have to go.
pub(crate) fn watch() -> Result<AlternateScreen, ScreenError> {
    let terminal = Terminal { escapes: false, interactive: io::stdin().is_terminal(), ..Terminal::here() };
    AlternateScreen::enter(&terminal, Goal::First.if_interrupted())
}

/// Whether the options go together; found out before anything is asked.
pub(crate) fn check(options: &TokenOptions) -> Result<(), CliError> {
    let kind = options.r#type.unwrap_or(TokenType::Totp);
    let suite = options.ocra.as_deref().map(Suite::parse);
    let is_counting = suite.map_or(kind == TokenType::Hotp, |suite| suite.is_some_and(Suite::counts));
    let what = if suite == Some(None) {
        "--ocra: no suite of RFC 6287 with 6 to 8 digits is written like this; one is OCRA-1:HOTP-SHA1-6:QN08"
    } else if suite.flatten().is_some_and(|suite| !suite.is_for_logins()) {
        "--ocra: this suite takes a PIN or a session, which this machine does not know"
    } else if kind == TokenType::Hotp && options.period.is_some() {
        "--period does not go with --type hotp: such a token shows another code when its button is pressed"
    } else if !is_counting && options.counter.is_some() {
        "--counter goes with a token that counts: --type hotp, or a suite of --ocra with C"
    } else if options.serial.as_ref().is_some_and(|serial| Serial::parse(serial).is_none()) {
        "--serial: a serial number has 1 to 40 characters of ASCII, and no blank at either end"
    } else {
        return Ok(());
    };
    Err(CliError::Usage(what.into()))
}

/// The kind of the token of the options.
pub(crate) fn kind(options: &TokenOptions) -> Kinds {
    match (&options.ocra, options.r#type) {
        (Some(_), _) => Kinds::OCRA,
        (None, Some(TokenType::Hotp)) => Kinds::HOTP,
        (None, Some(TokenType::Totp) | None) => Kinds::TOTP,
    }
}

/// The token of the options, with its seed.
pub(crate) fn described(options: &TokenOptions, output: &Output) -> Result<Token, CliError> {
    let suite = options.ocra.as_deref().and_then(Suite::parse);
    let secret = match &options.seed_file {
        Some(path) => {
            let text = seed_file::read(path, OF_ONE_TOKEN, output)?;
            of_one_form(&text, options.seed_format, output)?
        }
        None => asked(options.seed_format, output)?,
    };
    let algorithm = match options.algorithm {
        None | Some(TokenAlgorithm::Sha1) => "SHA1",
        Some(TokenAlgorithm::Sha256) => "SHA256",
        Some(TokenAlgorithm::Sha512) => "SHA512",
    };
    let kind = match (options.r#type, suite) {
        (_, Some(_)) => "ocra",
        (None | Some(TokenType::Totp), None) => "totp",
        (Some(TokenType::Hotp), None) => "hotp",
    };
    Ok(Token {
        r#type: kind.to_owned(),
        suite: suite.map(|suite| suite.to_string()),
        secret: Confidential::new(&secret.base32()),
        algorithm: algorithm.to_owned(),
        digits: suite.map_or(options.digits.unwrap_or(6), |suite| suite.digits().get()),
        period: options.period.unwrap_or(30),
        counter: options.counter.unwrap_or(0),
        serial: options.serial.clone(),
        app: false,
    })
}

/// Asks for the seed, again and again at a terminal.
fn asked(format: Option<SeedFormat>, output: &Output) -> Result<Secret, CliError> {
    let terminal = output.terminal()?;
    loop {
        output.announce(Asks::Seed, None)?;
        let line =
            prompt::ask_hidden(&terminal, &language::tr(text!("Seed of the token, HEX or Base32 (not shown): ")))?;
        let text = line.expose().as_bytes();
        // Of a longer line the end is lost.
        let read =
            if text.len() < LONGEST_LINE { of_one_form(text, format, output) } else { Err(SeedFault::Length.into()) };
        match read {
            Err(CliError::Seed(fault)) if is_guided(output, &terminal) => say(&fault.to_string())?,
            read => return read,
        }
    }
}

/// Reads a seed, and asks which of two it is.
fn of_one_form(text: &[u8], format: Option<SeedFormat>, output: &Output) -> Result<Secret, CliError> {
    let terminal = Terminal::here();
    match seed::read(text, format.map(Into::into)) {
        Err(SeedFault::Both) if is_guided(output, &terminal) => loop {
            let answer = prompt::ask(
                &terminal,
                &language::tr(text!("It can be read as HEX and as Base32. Which is it, hex or base32? ")),
            )?;
            let format = match answer.expose().trim().to_ascii_lowercase().as_str() {
                "hex" => SeedFormat::Hex,
                "base32" => SeedFormat::Base32,
                _ => continue,
            };
            break Ok(seed::read(text, Some(format.into()))?);
        },
        read => Ok(read?),
    }
}

/// Whether a person answers, who can be asked again.
fn is_guided(output: &Output, terminal: &Terminal) -> bool {
    terminal.interactive && !output.json
}

/// Asks for codes until one is the token's, or the input ends. Returns recovery codes if it is the first device.
fn confirm(
    client: &mut Client<'_>,
    screen: &AlternateScreen,
    goal: Goal,
    (user, digits): (&str, u8),
    asked: &Asked,
    output: &Output,
) -> Result<Vec<Confidential>, CliError> {
    let terminal = output.terminal()?;
    let mut last = CliError::Ask(AskError::Closed);
    let (mut waiting, mut strangers): (Option<Confidential>, u32) = (None, 0);
    loop {
        let (asks, question) = if waiting.is_some() { (Asks::NextCode, NEXT) } else { (Asks::Code, asked.code) };
        output.announce(asks, Some(&last))?;
        let code = match prompt::ask(&terminal, &language::tr(question)) {
            Ok(line) => Confidential::new(line.expose()),
            Err(AskError::Closed) => return Err(last),
            Err(error) => return Err(error.into()),
        };
        let fault = if Code::of_length(code.expose().as_bytes(), digits).is_none() {
            CliError::NotACode(digits)
        } else {
            let (first, next) = match waiting.take() {
                Some(first) => (first, Some(code)),
                None => (code, None),
            };
            let is_second = next.is_some();
            match screen.settle(goal.if_unseen(), || client.confirm(first.clone(), next)) {
                Err(error @ CliError::Declined(Declined::NextCodeNeeded)) if !is_second => {
                    waiting = Some(first);
                    error
                }
                Err(CliError::Declined(Declined::NotConfirmed { .. })) if !is_second => CliError::NotTheTokens,
                Err(error @ CliError::Declined(Declined::NotConfirmed { .. } | Declined::NextCodeNeeded)) => {
                    not_in_a_row(error)
                }
                done => return done,
            }
        };
        if matches!(fault, CliError::NotTheTokens | CliError::NotInARow { .. }) {
            strangers = strangers.saturating_add(1);
        }
        if is_guided(output, &terminal) {
            say(&told(&fault))?;
            if strangers >= SEVERAL {
                say(&language::tr(asked.doubt))?;
            }
        } else if waiting.is_some() && output.json && !matches!(fault, CliError::NotACode(_)) {
            output.result(&NextNeeded { user, next_code_needed: true }, String::new)?;
        }
        last = fault;
    }
}

/// Two codes that do not fit are not simply a wrong code.
pub(crate) fn not_in_a_row(error: CliError) -> CliError {
    if let CliError::Refused(Refusal::Wrong { failures, .. }) = error {
        CliError::NotInARow { failures }
    } else if let CliError::Declined(Declined::NotConfirmed { .. } | Declined::NextCodeNeeded) = error {
        CliError::NotInARow { failures: 0 }
    } else {
        error
    }
}

/// What a person at the terminal reads before the next question.
fn told(fault: &CliError) -> String {
    if let CliError::Declined(_) = fault {
        let told = text!("{fault}; wait for the next one, or press its button again");
        language::fill(told, &[("fault", fault)])
    } else {
        fault.to_string()
    }
}
