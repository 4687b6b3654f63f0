//! Guided enrollment: the key on the alternate screen, a code, the recovery codes, and how to try it.

use std::fmt::Display;
use std::iter;
use std::path::{Path, PathBuf};

use otp_core::codes::attempt::Code;
use otp_core::codes::in_fours::in_fours;
use otp_core::codes::plain_text::PlainText;
use otp_core::protocol::request::{Confidential, Declined, Offer};
use otp_core::qr::Qr;
use otp_core::system::config_file::host_name;
use otp_core::{plural, text};

use crate::cli::PictureKind;
use crate::client::Client;
use crate::error::{AskError, CliError, not_confirmed};
use crate::language::{count, fill, tr};
use crate::pam::stack::Folders;
use crate::private_file;
use crate::ui::alternate_screen::AlternateScreen;
use crate::ui::layout::{self, page_with_note};
use crate::ui::output::Output;
use crate::ui::prompt;
use crate::ui::secret_lines::SecretLines;
use crate::ui::terminal::Terminal;
use crate::unconfirmed_file;
use crate::user::added;
use crate::user::goal::{CODES_UNSEEN, Goal};
use crate::user::qr_image;

/// sshd's PAM service.
const SSHD: &str = "sshd";

/// Where to write the QR code as a picture.
pub(crate) type Picture = (PictureKind, PathBuf);

/// Writes the QR code as a picture, where one was asked for. It goes if the enrollment is broken off.
pub(crate) fn draw(picture: Option<&Picture>, offer: &Offer) -> Result<(), CliError> {
    let qr = Qr::of(offer.uri.expose())?;
    match picture {
        Some((PictureKind::Svg, path)) => unconfirmed_file::write(path, qr_image::svg(&qr).text().as_bytes())?,
        Some((PictureKind::Png, path)) => unconfirmed_file::write(path, &qr_image::png(&qr)?)?,
        None => {}
    }
    Ok(())
}

/// Guides a user from the offer to a second factor that works.
pub(crate) fn enroll(
    client: &mut Client<'_>,
    offer: &Offer,
    goal: Goal,
    save: Option<&Path>,
    picture: Option<&Picture>,
    output: &Output,
) -> Result<(), CliError> {
    let qr = Qr::of(offer.uri.expose())?;
    let (mut note, mut is_inverted) = (String::new(), false);
    let mut terminal = Terminal::here();
    let screen = AlternateScreen::enter(&terminal, goal.if_interrupted())?;
    draw(picture, offer)?;
    let codes = loop {
        // The window may have another size by now.
        terminal = Terminal::here();
        // With colours black is black. Without them it depends on the background, which only some terminals tell.
        let is_invertible = !terminal.colour;
        terminal.light ^= is_inverted;
        let mut lines = page_with_note(&terminal, &qr, &panel(offer, goal, is_invertible), &note);
        if note.is_empty() && lines.len().saturating_add(2) < terminal.rows {
            lines.add_blank(); // sets the question off
        }
        screen.show(lines).map_err(CliError::Output)?;
        let line = prompt::ask(&terminal, &tr(text!("Code that the app shows: ")))?;
        let typed = line.expose().as_bytes();
        if PlainText::of(typed).next().is_none() {
            continue;
        }
        if is_invertible && line.expose().trim().eq_ignore_ascii_case("q") {
            is_inverted = !is_inverted;
            continue;
        }
        if Code::of_length(typed, offer.digits).is_none() {
            note = fill(text!("A code has {digits} digits. Blanks do not matter."), &[("digits", &offer.digits)]);
            continue;
        }
        let code = Confidential::new(line.expose());
        match screen.settle(goal.if_unseen(), || unconfirmed_file::settle(|| client.confirm(code, None))) {
            Ok(codes) => break codes,
            Err(CliError::Declined(Declined::NotConfirmed { clock_off })) => note = not_confirmed(clock_off),
            Err(error) => return Err(error),
        }
    };
    if goal == Goal::Another {
        drop(screen);
        return added::tell(client, output);
    }
    finish(screen, &codes, &offer.user, save, false, output)
}

/// Shows the recovery codes of a first device, and says how to try it. `is_sent_to`: a PIN was typed, which is no code.
pub(crate) fn finish(
    screen: AlternateScreen,
    codes: &[Confidential],
    user: &str,
    save: Option<&Path>,
    is_sent_to: bool,
    output: &Output,
) -> Result<(), CliError> {
    let saved = hand_out(&screen, codes, user, save)?;
    screen.stage(text!("interrupted: the second factor is set up"));
    drop(screen);
    output.advise_of_success(&fill(text!("The second factor of {user} is set up."), &[("user", &user)]))?;
    output.advise(&saved)?;
    output.advise(&how_to_try(user, is_sent_to))
}

/// How to try a first device. Where ssh asks for no code a login by ssh shows nothing.
fn how_to_try(user: &str, is_sent_to: bool) -> String {
    if Folders::new(None).may_ask(SSHD) {
        let next = if is_sent_to {
            text!("Before you close this session, try it from a second one.")
        } else {
            text!(
                "Before you close this session, try it from a second one. The code you typed is\nused up: log in with the next one."
            )
        };
        return format!("\n{}\n\n    ssh {user}@{}\n", tr(next), host_name());
    }
    let turn_on = text!("ssh asks for no code on this machine. An administrator turns that on:");
    let elsewhere = if is_sent_to {
        text!("Where another service asks, such as sudo, try it before you close this session.")
    } else {
        text!(
            "Where another service asks, such as sudo, try it before you close this session.\nThe code you typed is used up: use the next one."
        )
    };
    format!("\n{}\n\n    sudo otp-enroll admin turn-on ssh\n\n{}", tr(turn_on), tr(elsewhere))
}

/// Shows new recovery codes once.
pub(crate) fn recovery_codes(
    terminal: &Terminal,
    codes: &[Confidential],
    user: &str,
    save: Option<&Path>,
    output: &Output,
) -> Result<(), CliError> {
    let screen = AlternateScreen::enter(terminal, CODES_UNSEEN)?;
    let saved = hand_out(&screen, codes, user, save)?;
    drop(screen);
    output.advise(&tr(text!("The old recovery codes no longer work.")))?;
    output.advise(&saved)
}

/// Shows recovery codes until the user has them, and returns what became of them.
fn hand_out(
    screen: &AlternateScreen,
    codes: &[Confidential],
    user: &str,
    save: Option<&Path>,
) -> Result<String, CliError> {
    if codes.is_empty() {
        return Ok(tr(text!("This machine issues no recovery codes.")));
    }
    let (mut saved, mut note, mut shown) = (None, String::new(), false);
    if let Some(path) = save {
        note = keep(path, codes, user, &mut saved);
    }
    loop {
        let terminal = Terminal::here();
        let page = layout::whole(&terminal, &sheet(codes, user, &note));
        let is_first = page.is_ok() && !shown;
        let page = page.unwrap_or_else(|rows| layout::text(&terminal, &wants_room(codes.len(), rows, &note)));
        screen.show(page).map_err(CliError::Output)?;
        if is_first {
            prompt::forget_what_is_typed(&terminal); // Enter was pressed twice, or pasted, before this page was shown
            shown = true;
        }
        let is_saved = saved.is_some();
        let question =
            if is_saved { text!("Press Enter to go on: ") } else { text!("Save to file (or just press Enter): ") };
        let answer = match prompt::ask(&terminal, &tr(question)) {
            Err(AskError::Closed) => break, // Ctrl-D on a page that was read is as good as Enter
            answer => answer?,
        };
        let name = answer.expose().trim();
        // After a file, what is typed is meant for the shell: its name would be that of another file with all codes.
        if is_saved {
            break;
        }
        if prompt::is_yes_or_no(name) {
            note = format!("! {}", tr(text!("Press Enter, or type the name of a new file, such as recovery-codes.")));
        } else if !name.is_empty() {
            note = keep(&from_home(name), codes, user, &mut saved);
        } else if shown {
            break;
        }
    }
    let number = u64::try_from(codes.len()).unwrap_or(u64::MAX);
    Ok(match saved {
        Some(file) => count(
            plural!(
                "{number} recovery code is in {file}: move it off this machine.",
                "{number} recovery codes are in {file}: move them off this machine."
            ),
            number,
            &[("file", &file)],
        ),
        None if shown => count(
            plural!(
                "{number} recovery code was shown; it cannot be shown again.\nNew ones: otp-enroll recovery",
                "{number} recovery codes were shown; they cannot be shown again.\nNew ones: otp-enroll recovery"
            ),
            number,
            &[],
        ),
        None => count(
            plural!(
                "{number} recovery code was not shown. New ones: otp-enroll recovery",
                "{number} recovery codes were not shown. New ones: otp-enroll recovery"
            ),
            number,
            &[],
        ),
    })
}

/// Saves recovery codes, and returns the note for the page.
fn keep(path: &Path, codes: &[Confidential], user: &str, saved: &mut Option<String>) -> String {
    match save_codes(path, codes, user) {
        Ok(()) => {
            // The absolute path, so that the user finds it.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
            let note = fill(text!("They are saved in {path}."), &[("path", &path)]);
            *saved = Some(path);
            note
        }
        Err(error) => format!("! {error}"),
    }
}

/// A name as it was typed, `~` and `~/` read as a shell would read them.
fn from_home(name: &str) -> PathBuf {
    let home = || Some(nix::unistd::User::from_uid(nix::unistd::getuid()).ok()??.dir);
    match name.strip_prefix("~/") {
        Some(rest) => home().map(|home| home.join(rest)),
        None if name == "~" => home(),
        None => None,
    }
    .unwrap_or_else(|| PathBuf::from(name))
}

/// Writes recovery codes to a new file of the user's.
pub(crate) fn save_codes(path: &Path, codes: &[Confidential], user: &str) -> Result<(), CliError> {
    let mut lines = SecretLines::new();
    let head = text!("Recovery codes of {user} on {host}, each good for one login:");
    lines.add(format_args!("{}", fill(head, &[("user", &user), ("host", &host_name())])));
    codes.iter().for_each(|code| lines.add(format_args!("{}", code.expose())));
    Ok(private_file::write(path, lines.text().as_bytes())?)
}

/// The text next to the QR code.
fn panel(offer: &Offer, goal: Goal, is_invertible: bool) -> SecretLines {
    let mut lines = SecretLines::new();
    let head = text!("Second factor of {user} on {host}");
    lines.add(format_args!("{}", fill(head, &[("user", &offer.user), ("host", &offer.issuer)])));
    lines.add_blank();
    lines.add(format_args!("{}", tr(text!("Scan the code with an authenticator app, or type this key into it:"))));
    lines.add_blank();
    offer
        .secret
        .expose()
        .as_bytes()
        .chunks(16)
        .for_each(|letters| lines.add(format_args!("  {}", *in_fours(letters, ' '))));
    if (offer.algorithm.as_str(), offer.digits, offer.period) != ("SHA1", 6, 30) {
        let Offer { algorithm, digits, period, .. } = offer;
        let values: &[(&str, &dyn Display)] = &[("algorithm", algorithm), ("digits", digits), ("seconds", period)];
        lines.add(format_args!("  {}", fill(text!("{algorithm}, {digits} digits, {seconds} s"), values)));
    }
    lines.add_blank();
    for (label, hex) in iter::once("HEX").chain(iter::repeat("")).zip(offer.hex.expose().as_bytes().chunks(20)) {
        lines.add(format_args!("{label:<3}  {}", str::from_utf8(hex).unwrap_or_default()));
    }
    lines.add(format_args!("URI  {}", offer.uri.expose()));
    lines.add_blank();
    if is_invertible {
        let invert = text!("If the app does not read the picture, answer q: dark and light change places.");
        lines.add(format_args!("{}", tr(invert)));
    }
    let what = if goal == Goal::Another {
        text!("The device becomes active after you type a correct code. Ctrl-C cancels.")
    } else {
        text!("Your second factor becomes active after you type a correct code. Ctrl-C cancels.")
    };
    lines.add(format_args!("{}", tr(what)));
    lines
}

/// The page with the recovery codes.
fn sheet(codes: &[Confidential], user: &str, note: &str) -> SecretLines {
    let mut lines = SecretLines::new();
    lines.add(format_args!("{}", fill(text!("Recovery codes of {user}"), &[("user", &user)])));
    lines.add_blank();
    lines.add(format_args!("{}", tr(text!("Each of them lets you log in once without your phone."))));
    let once = text!("They are shown only now and cannot be shown again. Keep them off your phone.");
    lines.add(format_args!("{}", tr(once)));
    lines.add_blank();
    codes.iter().for_each(|code| lines.add(format_args!("    {}", code.expose())));
    lines.add_blank();
    let next = text!("Press Enter when you have them, or type the name of a new file to save them.");
    lines.add(format_args!("{}", tr(next)));
    if !note.is_empty() {
        lines.add(format_args!("{note}"));
    }
    lines.add_blank();
    lines
}

/// The page in its place if the window is too small: half of the codes would pass for all.
fn wants_room(codes: usize, rows: usize, note: &str) -> SecretLines {
    let mut lines = SecretLines::new();
    let texts = plural!("{number} recovery code needs {rows} rows.", "{number} recovery codes need {rows} rows.");
    let number = u64::try_from(codes).unwrap_or(u64::MAX);
    lines.add(format_args!("{}", count(texts, number, &[("rows", &rows)])));
    let next = text!("Enlarge the window and press Enter, or type the name of a new file to save them.");
    lines.add(format_args!("{}", tr(next)));
    lines.add(format_args!("{note}"));
    lines
}
