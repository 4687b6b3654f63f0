#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use super::*;
use crate::ui::memory::{Needle, copies};

const KEY: &str = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP";

fn uri(bytes: usize) -> String {
    let start = "otpauth://totp/host:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=";
    format!("{start}{}", "x".repeat(bytes - start.len()))
}

fn panel(uri: &str) -> SecretLines {
    let hex = "48656c6c6f21deadbeef48656c6c6f21deadbeef";
    let texts = ["Scan the code, or type the key:", "", KEY, "", "HEX", hex, "", "URI", uri, "", "Then type the code."];
    texts.into_iter().collect()
}

fn terminal(columns: usize, rows: usize) -> Terminal {
    Terminal { columns, rows, colour: true, utf8: true, light: false, escapes: true, interactive: true }
}

/// The line as it is seen, without colours.
fn seen(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
}

fn seen_page(terminal: &Terminal, bytes: usize) -> Vec<String> {
    let uri = uri(bytes);
    page(terminal, &Qr::of(&uri).unwrap(), &panel(&uri)).iter().map(seen).collect()
}

fn text(page: &[String]) -> String {
    page.concat().replace([' ', '█', '▀', '▄'], "")
}

#[test]
fn on_80x24_everything_is_side_by_side_and_leaves_a_row_for_the_question() {
    for bytes in [78, 106, 134] {
        let page = seen_page(&terminal(80, 24), bytes);
        assert!(page.len() <= 23, "{} rows", page.len());
        assert!(page.iter().all(|line| line.chars().count() <= 80));
        let all = text(&page);
        assert!(all.contains(&uri(bytes)), "the URI is whole");
        assert!(all.contains(&KEY.replace(' ', "")), "the key is whole");
        assert!(page[0].ends_with("Scan the code, or type the key:"));
        assert!(page[1].trim_end().chars().all(|c| "█▀▄ ".contains(c)), "empty lines stay where there is room");
    }
}

#[test]
fn a_narrow_terminal_that_is_tall_has_the_text_below() {
    let page = seen_page(&terminal(50, 60), 134);
    assert_eq!(page[23], "Scan the code, or type the key:");
    assert!(text(&page).contains(&uri(134)));
}

#[test]
fn a_short_terminal_has_the_text_and_is_told_what_the_code_needs() {
    let page = seen_page(&terminal(80, 20), 134);
    assert_eq!(page[0], "The QR code needs 80 columns and 24 rows: enlarge the window and press Enter, or");
    assert!(text(&page).contains(&uri(134)));
    assert!(!page.concat().contains('█'));
}

#[test]
fn the_size_that_is_asked_for_is_enough() {
    for utf8 in [true, false] {
        for bytes in [78, 106, 134, 250] {
            let at = |columns, rows| seen_page(&Terminal { utf8, ..terminal(columns, rows) }, bytes);
            let notice = at(20, 200).concat();
            let numbers: Vec<usize> =
                notice.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            let (columns, rows) = (numbers[0], numbers[1]);
            assert!(!at(columns, rows)[0].starts_with("The QR code needs"), "{columns} x {rows}");
            assert!(
                at(columns, rows - 1)[0].starts_with("The QR code needs"),
                "{columns} x {rows}: too much is asked for"
            );
        }
    }
}

#[test]
fn without_utf8_a_page_is_ascii() {
    let narrow = Terminal { utf8: false, ..terminal(80, 24) };
    let wide = Terminal { utf8: false, colour: false, ..terminal(130, 50) };
    let name = SecretLines::from_iter(["Für Zoë \x1b[2J"]);
    let qr = Qr::of(&uri(134)).unwrap();
    for terminal in [narrow, wide] {
        assert!(page(&terminal, &qr, &name).iter().all(|line| line.is_ascii()));
    }
}

#[test]
fn a_name_cannot_move_the_cursor() {
    let qr = Qr::of(&uri(78)).unwrap();
    let plain = Terminal { colour: false, ..terminal(80, 24) };
    let all = page(&plain, &qr, &SecretLines::from_iter(["\x1b]0;title\x07\u{9b}2J\ralice\n"]));
    assert!(all.text().contains("?]0;title??2J?alice?"));
    assert!(!all.iter().any(|line| line.contains(char::is_control)));
}

#[test]
fn no_page_is_larger_than_its_terminal() {
    let uri = uri(134);
    let mut text = panel(&uri);
    text.add(format_args!("{}", "名前 ".repeat(30)));
    for (bytes, utf8, colour) in [(78, true, true), (134, true, false), (134, false, true), (250, true, true)] {
        let qr = Qr::of(&self::uri(bytes)).unwrap();
        for columns in (2..=140).step_by(6) {
            for rows in (0..=100).step_by(7) {
                let page = page(&Terminal { utf8, colour, ..terminal(columns, rows) }, &qr, &text);
                assert!(page.len() < rows.max(1), "{columns}x{rows}: {} rows", page.len());
                let drawn = |c: char| if "名前".contains(c) { 2 } else { 1 };
                let widest = page.iter().map(|line| seen(line).chars().map(drawn).sum::<usize>()).max();
                assert!(widest.unwrap_or(0) <= columns, "{columns}x{rows}: {widest:?} columns");
            }
        }
    }
}

#[test]
fn a_text_that_had_to_be_cut_says_so() {
    let page = seen_page(&terminal(80, 8), 134);
    assert_eq!(page.len(), 7);
    assert_eq!(page[6], CUT);
}

#[test]
fn lines_break_at_blanks_and_keys_anywhere() {
    assert_eq!(wrap("one two three", 8), ["one two", "three"]);
    assert_eq!(wrap("one two", 7), ["one two"]);
    assert_eq!(wrap("one two", 3), ["one", "two"]);
    assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
    assert_eq!(wrap("  indented text", 10), ["  indented", "text"]);
    assert_eq!(wrap("", 5), [""]);
}

#[test]
fn a_page_leaves_no_copy_of_what_was_on_it() {
    let needle = Needle::new(2);
    let qr = Qr::of("x").unwrap();
    for (columns, rows) in [(80, 24), (50, 60), (60, 12)] {
        let mut text = SecretLines::new();
        needle.spell(|secret| (0..4).for_each(|_| text.add(format_args!("    {secret}"))));
        drop(page(&terminal(columns, rows), &qr, &text));
        drop(whole(&terminal(columns, rows), &text));
        assert_eq!(copies(&needle), 4, "{columns}x{rows}: in the text alone");
        drop(text);
        assert_eq!(copies(&needle), 0, "{columns}x{rows}");
    }
}

#[test]
fn what_comes_from_outside_cannot_steer_the_terminal() {
    for (line, shown) in [
        ("alice: unlocked", "alice: unlocked"),
        ("J\u{fc}rgen \u{4e2d}", "J\u{fc}rgen \u{4e2d}"),
        ("a\x1b[2Jb\x7f", r"a\x1b[2Jb\x7f"),
        ("a\u{9b}2Jb", r"a\u{9b}2Jb"),
        ("a\r\nroot: none", r"a\x0d\x0aroot: none"),
        ("ecila\u{202e}x\u{2066}\u{2028}\u{200b}", r"ecila\u{202e}x\u{2066}\u{2028}\u{200b}"),
    ] {
        assert_eq!(escaped(line), shown);
        assert_eq!(escaped(&escaped(line)), shown, "escaping twice changes nothing more");
    }
    assert_eq!(escaped_lines("one\ntwo\t\u{fc}", true), "one\ntwo\\x09\u{fc}");
    assert_eq!(
        escaped_lines("one\ntwo\u{db}", false),
        "one\ntwo\\u{db}",
        "its second byte, 9b, is a control character"
    );
    let page = printable(&["a\x1b\u{202e}b"].into_iter().collect(), true);
    assert_eq!(page.iter().collect::<Vec<_>>(), ["a??b"]);
}

#[test]
fn a_long_host_name_and_a_long_user_name_leave_room_for_the_code_on_80_by_24() {
    let key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let uri = format!("otpauth://totp/server01.dc2.example-company.com:firstname.lastname?secret={key}");
    let qr = Qr::of(&uri).unwrap();
    let seen: Vec<String> = page(&terminal(80, 24), &qr, &panel(&uri)).iter().map(seen).collect();
    assert!(seen.len() < 24 && seen.iter().all(|line| line.chars().count() <= 80), "{seen:#?}");
    let blocks = |line: &&String| line.contains(['▀', '▄', '█']);
    assert!(seen.iter().filter(blocks).count() >= 19, "{seen:#?}");
}
