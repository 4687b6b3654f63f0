//! A page: the QR code with the text beside it or below it, never larger than the terminal.

use std::{iter, slice};

use crate::ui::terminal::Terminal;
use otp_core::qr::Qr;

/// Columns between the QR code and the text.
const GAP: usize = 1;
/// Columns of text that are worth having beside the QR code.
const NARROWEST_PANEL: usize = 24;
/// Columns of text beside a version 6 code on 80 columns: what a page is designed for.
const USUAL_PANEL: usize = 34;
/// Ends a page whose text does not fit; nobody should take the text before it for all of it.
const CUT: &str = "(more text than rows)";

/// Lays out a page. One row is left for a question. Where room is short, first the panel's empty lines go, then the
/// QR code, and a line says which size it needs.
pub(crate) fn page(terminal: &Terminal, qr: &Qr, panel: &[String]) -> Vec<String> {
    let drawing = Drawing::of(qr, terminal);
    let with_qr = |text: &[String]| beside(&drawing, text, terminal).or_else(|| below(&drawing, text, terminal));
    let (roomy, tight) = (roomy(terminal, panel), tight(terminal, panel));

    with_qr(&roomy).or_else(|| with_qr(&tight)).unwrap_or_else(|| {
        let notice = format!("QR code: needs {}, then Enter; or --qr svg FILE.", drawing.space_needed(&tight));
        text(terminal, &[slice::from_ref(&notice), panel].concat())
    })
}

/// Lays out a page without a QR code, under the same rule.
pub(crate) fn text(terminal: &Terminal, lines: &[String]) -> Vec<String> {
    whole(terminal, lines).unwrap_or_else(|_| cut(wrapped(&tight(terminal, lines), terminal.columns), terminal))
}

/// The same where all of it fits, else the rows that it needs on so many columns, a line for the question included.
pub(crate) fn whole(terminal: &Terminal, lines: &[String]) -> Result<Vec<String>, usize> {
    let fits = |page: &Vec<String>| page.len() <= page_rows(terminal);
    let roomy = wrapped(&roomy(terminal, lines), terminal.columns);
    let tight = wrapped(&tight(terminal, lines), terminal.columns);
    let rows = tight.len().saturating_add(1);
    Some(roomy).filter(fits).or_else(|| Some(tight).filter(fits)).ok_or(rows)
}

fn roomy(terminal: &Terminal, text: &[String]) -> Vec<String> {
    text.iter().map(|line| printable(line, terminal.utf8)).collect()
}

fn tight(terminal: &Terminal, text: &[String]) -> Vec<String> {
    roomy(terminal, text).into_iter().filter(|line| !line.is_empty()).collect()
}

/// The QR code as this terminal shows it.
struct Drawing {
    lines: Vec<String>,
    columns: usize,
}

impl Drawing {
    fn of(qr: &Qr, terminal: &Terminal) -> Drawing {
        let (lines, (columns, _)) = match terminal.utf8 {
            true => (qr.half_blocks(terminal.paint()), qr.half_block_space()),
            false => (qr.ascii(terminal.paint()), qr.ascii_space()),
        };
        Drawing { lines, columns }
    }

    /// Columns left beside it.
    fn beside(&self, terminal: &Terminal) -> usize {
        terminal.columns.saturating_sub(self.columns).saturating_sub(GAP)
    }

    /// The size of a terminal that has room for it and the text, a line for the question included.
    fn space_needed(&self, text: &[String]) -> String {
        let columns = self.columns.saturating_add(GAP).saturating_add(USUAL_PANEL);
        let rows = self.lines.len().max(wrapped(text, USUAL_PANEL).len()).saturating_add(1);
        format!("{columns} columns and {rows} rows")
    }
}

fn page_rows(terminal: &Terminal) -> usize {
    terminal.rows.saturating_sub(1)
}

fn beside(drawing: &Drawing, text: &[String], terminal: &Terminal) -> Option<Vec<String>> {
    let width = drawing.beside(terminal);
    let panel = wrapped(text, width);
    let rows = drawing.lines.len().max(panel.len());
    if width < NARROWEST_PANEL || rows > page_rows(terminal) {
        return None;
    }
    let blank = " ".repeat(drawing.columns);
    let left = drawing.lines.iter().chain(iter::repeat(&blank));
    let right = panel.iter().map(String::as_str).chain(iter::repeat(""));
    let join = |(left, right): (&String, &str)| match (right, left == &blank) {
        ("", true) => String::new(),
        ("", false) => left.clone(),
        _ => format!("{left}{}{right}", " ".repeat(GAP)),
    };
    Some(left.zip(right).take(rows).map(join).collect())
}

fn below(drawing: &Drawing, text: &[String], terminal: &Terminal) -> Option<Vec<String>> {
    let page = [drawing.lines.clone(), wrapped(text, terminal.columns)].concat();
    (drawing.columns <= terminal.columns && page.len() <= page_rows(terminal)).then_some(page)
}

fn cut(mut page: Vec<String>, terminal: &Terminal) -> Vec<String> {
    let rows = page_rows(terminal);
    if page.len() > rows {
        page.truncate(rows.saturating_sub(1));
        page.extend(wrapped(&[CUT.to_owned()], terminal.columns));
        page.truncate(rows);
    }
    page
}

/// The line without what could move the cursor or has no place in the terminal's encoding.
fn printable(line: &str, utf8: bool) -> String {
    line.chars().map(|c| if c.is_control() || !(utf8 || c.is_ascii()) { '?' } else { c }).collect()
}

/// Columns of a character: a guess that is never too small. Text that is ours is ASCII.
fn columns(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

fn wrapped(text: &[String], width: usize) -> Vec<String> {
    text.iter().flat_map(|line| wrap(line, width)).collect()
}

/// Breaks a line at a blank where it has one, and anywhere where it has none: keys and URIs.
pub(crate) fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for c in line.chars() {
        let used: usize = current.chars().map(columns).sum();
        if used.saturating_add(columns(c)) > width.max(columns(c)) {
            let break_at_blank = current.rsplit_once(' ').filter(|(head, _)| c != ' ' && !head.trim().is_empty());
            let (head, tail) = break_at_blank.unwrap_or((&current, ""));
            let (head, tail) = (head.trim_end().to_owned(), tail.to_owned());
            lines.push(head);
            current = tail;
            if c == ' ' {
                continue; // the break stands for it
            }
        }
        current.push(c);
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests;
