//! A page: the QR code with the text next to it or below it, never larger than the terminal.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::iter;

use otp_core::qr::Qr;
use otp_core::text;
use zeroize::Zeroizing;

use crate::language::fill;
use crate::ui::secret_lines::SecretLines;
use crate::ui::style::Paint;
use crate::ui::terminal::Terminal;

/// Columns between the QR code and the text.
const GAP: usize = 1;
/// The fewest columns of text next to the QR code.
const NARROWEST_PANEL: usize = 24;
/// Columns of text next to a version 6 code on 80 columns: what a page is designed for.
const USUAL_PANEL: usize = 34;
/// Ends a page whose text does not fit; so that the text before it does not pass for all of it.
const CUT: &str = "(more text than rows)";

/// Lays out a page. One row is left for a question. Where room is short, first the panel's empty lines go, then the
/// QR code, and a line says which size it needs.
pub(crate) fn page(terminal: &Terminal, qr: &Qr, panel: &SecretLines) -> SecretLines {
    let drawing = Drawing::of(qr, terminal);
    let panel = printable(panel, terminal.utf8);
    let (roomy, tight) = (roomy(&panel), tight(&panel));
    let with_qr = |text: &[&str]| side_by_side(&drawing, text, terminal).or_else(|| below(&drawing, text, terminal));

    with_qr(&roomy).or_else(|| with_qr(&tight)).unwrap_or_else(|| {
        let notice = if terminal.utf8 {
            text!(
                "The QR code needs {columns} columns and {rows} rows: enlarge the window and press Enter, or run this again with --qr svg FILE."
            )
        } else {
            text!(
                "The QR code needs {columns} columns and {rows} rows: enlarge the window and press Enter, or run this again as LC_ALL=C.UTF-8 otp-enroll ... (half the size) or with --qr svg FILE."
            )
        };
        let (columns, rows) = drawing.space_needed(&tight, terminal);
        let notice = fill(notice, &[("columns", &columns), ("rows", &rows)]);
        let mut all = SecretLines::new();
        iter::once(notice.as_str()).chain(roomy).for_each(|line| all.add(format_args!("{line}")));
        text(terminal, &all)
    })
}

/// The same with a note right above the question: what was wrong with the last answer. Where the QR code would have to go for it,
/// the note comes last in the panel, beside the code.
pub(crate) fn page_with_note(terminal: &Terminal, qr: &Qr, panel: &SecretLines, note: &str) -> SecretLines {
    if note.is_empty() {
        return page(terminal, qr, panel);
    }
    let note = format!("! {}", Printable { line: note, utf8: terminal.utf8 });
    let beneath = wrap(&note, terminal.columns);
    let above = Terminal { rows: terminal.rows.saturating_sub(beneath.len()), ..terminal.clone() };
    let has_qr = |page: &SecretLines| page.len() >= Drawing::of(qr, terminal).lines.len();
    let beside: SecretLines = panel.iter().chain([note.as_str()]).collect();
    let all = page(terminal, qr, &beside);
    let mut whole = page(&above, qr, panel);
    if has_qr(&all) && !has_qr(&whole) {
        return all;
    }
    for line in beneath {
        whole.add(format_args!("{}", Paint::Red.on_if(terminal.colour, line)));
    }
    whole
}

/// Lays out a page without a QR code, under the same rule.
pub(crate) fn text(terminal: &Terminal, lines: &SecretLines) -> SecretLines {
    whole(terminal, lines).unwrap_or_else(|_| {
        let lines = printable(lines, terminal.utf8);
        cut(wrapped(&tight(&lines), terminal.columns), terminal).into_iter().collect()
    })
}

/// The same where all of it fits, else the rows that it needs on so many columns, a line for the question included.
pub(crate) fn whole(terminal: &Terminal, lines: &SecretLines) -> Result<SecretLines, usize> {
    let lines = printable(lines, terminal.utf8);
    let fits = |page: &Vec<&str>| page.len() <= page_rows(terminal);
    let roomy = wrapped(&roomy(&lines), terminal.columns);
    let tight = wrapped(&tight(&lines), terminal.columns);
    let rows = tight.len().saturating_add(1);
    let page = Some(roomy).filter(fits).or_else(|| Some(tight).filter(fits)).ok_or(rows)?;
    Ok(page.into_iter().collect())
}

fn roomy(text: &SecretLines) -> Vec<&str> {
    text.iter().collect()
}

fn tight(text: &SecretLines) -> Vec<&str> {
    text.iter().filter(|line| !line.is_empty()).collect()
}

/// The QR code as this terminal shows it.
struct Drawing {
    lines: Vec<Zeroizing<String>>,
    columns: usize,
}

impl Drawing {
    fn of(qr: &Qr, terminal: &Terminal) -> Drawing {
        let (lines, (columns, _)) = match terminal.utf8 {
            true => (qr.half_blocks(terminal.paint()), qr.half_block_space()),
            false => (qr.ascii(terminal.paint()), qr.ascii_space()),
        };
        Drawing { lines: lines.into_iter().map(Zeroizing::new).collect(), columns }
    }

    /// Columns left next to it.
    fn columns_left(&self, terminal: &Terminal) -> usize {
        terminal.columns.saturating_sub(self.columns).saturating_sub(GAP)
    }

    /// Columns and rows of a terminal that has room for it and the text, a line for the question included.
    fn space_needed(&self, text: &[&str], terminal: &Terminal) -> (usize, usize) {
        let beside = self.columns.saturating_add(GAP).saturating_add(USUAL_PANEL);
        let (columns, rows) = if terminal.utf8 {
            (beside, self.lines.len().max(wrapped(text, USUAL_PANEL).len()))
        } else {
            // Twice as wide: few windows have room for the text beside it.
            (self.columns, self.lines.len().saturating_add(wrapped(text, self.columns).len()))
        };
        (columns, rows.saturating_add(1))
    }
}

fn page_rows(terminal: &Terminal) -> usize {
    terminal.rows.saturating_sub(1)
}

fn side_by_side(drawing: &Drawing, text: &[&str], terminal: &Terminal) -> Option<SecretLines> {
    let width = drawing.columns_left(terminal);
    let panel = wrapped(text, width);
    let rows = drawing.lines.len().max(panel.len());
    if width < NARROWEST_PANEL || rows > page_rows(terminal) {
        return None;
    }
    let mut page = SecretLines::new();
    let left = drawing.lines.iter().map(|line| line.as_str()).chain(iter::repeat(""));
    let right = panel.into_iter().chain(iter::repeat(""));
    for (left, right) in left.zip(right).take(rows) {
        match (left, right) {
            (left, "") => page.add(format_args!("{left}")),
            ("", right) => page.add(format_args!("{:1$}{right}", "", drawing.columns.saturating_add(GAP))),
            (left, right) => page.add(format_args!("{left}{:GAP$}{right}", "")),
        }
    }
    Some(page)
}

fn below(drawing: &Drawing, text: &[&str], terminal: &Terminal) -> Option<SecretLines> {
    let text = wrapped(text, terminal.columns);
    let rows = drawing.lines.len().saturating_add(text.len());
    let page = || drawing.lines.iter().map(|line| line.as_str()).chain(text).collect();
    (drawing.columns <= terminal.columns && rows <= page_rows(terminal)).then(page)
}

fn cut<'t>(mut page: Vec<&'t str>, terminal: &Terminal) -> Vec<&'t str> {
    let rows = page_rows(terminal);
    if page.len() > rows {
        page.truncate(rows.saturating_sub(1));
        page.extend(wrap(CUT, terminal.columns));
        page.truncate(rows);
    }
    page
}

/// The lines without what could move the cursor or has no place in the terminal's encoding.
pub(crate) fn printable(text: &SecretLines, utf8: bool) -> SecretLines {
    let mut all = SecretLines::new();
    text.iter().for_each(|line| all.add(format_args!("{}", Printable { line, utf8 })));
    all
}

struct Printable<'t> {
    line: &'t str,
    utf8: bool,
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |c: char| if moves(c) || !(self.utf8 || c.is_ascii()) { '?' } else { c };
        self.line.chars().map(shown).try_for_each(|c| f.write_char(c))
    }
}

/// One line for a terminal, whatever names of files, users and hosts are in it: a character that could move the cursor, end
/// the line or turn the direction of writing becomes `\x1b` or `\u{202e}`. Escaping twice changes nothing more.
pub(crate) fn escaped(line: &str) -> Cow<'_, str> {
    escape(line, moves)
}

/// The same for a text of several lines, whose ends stay. On a terminal that is not UTF-8, `utf8` is false, and bytes of
/// other characters could be taken for control characters.
pub(crate) fn escaped_lines(text: &str, utf8: bool) -> Cow<'_, str> {
    escape(text, |c| c != '\n' && (moves(c) || !(utf8 || c.is_ascii())))
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len().saturating_add(8));
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = match c {
            c if !is_escaped(c) => safe.write_char(c),
            c if c.is_ascii() => write!(safe, "\\x{:02x}", u32::from(c)),
            c => write!(safe, "{}", c.escape_unicode()),
        };
    }
    Cow::Owned(safe)
}

/// Control characters, and those that are invisible, end a line, or turn the direction of writing (Unicode TR 36 §2.9).
pub(crate) fn moves(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Columns of a character: a guess that is never too small. Text that is ours is in Latin letters.
fn columns(c: char) -> usize {
    if c < '\u{250}' { 1 } else { 2 }
}

fn wrapped<'t>(text: &[&'t str], width: usize) -> Vec<&'t str> {
    text.iter().flat_map(|line| wrap(line, width)).collect()
}

/// Breaks a line at a blank where it has one, and anywhere where it has none: keys and URIs.
pub(crate) fn wrap(line: &str, width: usize) -> Vec<&str> {
    let part = |from: usize, to: usize| line.get(from..to).unwrap_or_default();
    let (mut lines, mut start) = (Vec::new(), 0);
    for (at, c) in line.char_indices() {
        let current = part(start, at);
        let used: usize = current.chars().map(columns).sum();
        if used.saturating_add(columns(c)) > width.max(columns(c)) {
            let heads = current.rsplit_once(' ').filter(|(head, _)| c != ' ' && !head.trim().is_empty());
            let (head, tail) = heads.unwrap_or((current, ""));
            lines.push(head.trim_end());
            start = match c {
                ' ' => at.saturating_add(1), // the break stands for it
                _ => at.saturating_sub(tail.len()),
            };
        }
    }
    lines.push(part(start, line.len()));
    lines
}

#[cfg(test)]
mod tests;
