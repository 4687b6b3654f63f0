//! What was typed, in plain ASCII: digits of any script, blanks of any kind and typographic hyphens are read as they were
//! meant.

/// What a terminal puts before and after a text that is pasted (xterm's bracketed paste).
const PASTE: [&str; 2] = ["\u{1b}[200~", "\u{1b}[201~"];

/// The zero of each script in the Basic Multilingual Plane whose digits are decimal (category Nd of Unicode 17), except ASCII
/// and full width. The other nine digits come after it.
const ZEROS: [u16; 35] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50,
    0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50,
    0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
];

/// The zeros of plane 1, from U+10000 on.
const ZEROS_OF_PLANE_1: [u16; 39] = [
    0x04A0, 0x0D30, 0x0D40, 0x1066, 0x10F0, 0x1136, 0x11D0, 0x12F0, 0x1450, 0x14D0, 0x1650, 0x16C0, 0x16D0, 0x16DA,
    0x1730, 0x18E0, 0x1950, 0x1BF0, 0x1C50, 0x1D50, 0x1DA0, 0x1DE0, 0x1F50, 0x6A60, 0x6AC0, 0x6B50, 0x6D70, 0xCCF0,
    0xD7CE, 0xD7D8, 0xD7E2, 0xD7EC, 0xD7F6, 0xE140, 0xE2F0, 0xE4F0, 0xE5F1, 0xE950, 0xFBF0,
];

/// The characters of a text in plain ASCII, without blanks. Keeps nothing: there is nothing to wipe.
pub struct PlainText<'t>(&'t str);

impl<'t> PlainText<'t> {
    /// A text that is not UTF-8 reads as one character that is in no code.
    pub fn of(text: &'t [u8]) -> Self {
        Self(std::str::from_utf8(text).unwrap_or("?"))
    }
}

impl Iterator for PlainText<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            while let Some(rest) = PASTE.iter().find_map(|mark| self.0.strip_prefix(mark)) {
                self.0 = rest;
            }
            let mut characters = self.0.chars();
            let character = characters.next()?;
            self.0 = characters.as_str();
            if let Some(plain) = plain(character) {
                return Some(plain);
            }
        }
    }
}

/// A text without the marks that a terminal puts around what is pasted.
pub fn without_paste_marks(text: &[u8]) -> &[u8] {
    let [before, after] = PASTE.map(str::as_bytes);
    let text = text.strip_prefix(before).unwrap_or(text);
    text.strip_suffix(after).unwrap_or(text)
}

/// The last character of a text and what comes before it; `None` if the text ends in no UTF-8.
pub fn split_last(text: &[u8]) -> Option<(&[u8], char)> {
    let ends = (1..=4).filter_map(|length| text.split_at_checked(text.len().checked_sub(length)?));
    ends.filter_map(|(before, end)| Some((before, std::str::from_utf8(end).ok()?.chars().next()?))).next()
}

/// A character in plain ASCII; `None` for a blank, `?` for a character that is in no code.
pub fn plain(character: char) -> Option<u8> {
    if is_blank(character) {
        return None;
    }
    let code_point = u32::from(character);
    // Full-width ASCII (U+FF01 to U+FF5E) has the order of ASCII.
    let narrow =
        code_point.checked_sub(0xFF01).filter(|offset| *offset < 94).and_then(|offset| offset.checked_add(0x21));
    let ascii = u8::try_from(narrow.unwrap_or(code_point)).ok().filter(u8::is_ascii);
    let other = || if is_hyphen(character) { b'-' } else { b'?' };
    Some(ascii.or_else(|| digit(code_point)).unwrap_or_else(other))
}

/// Whether a character shows as itself and leaves what is around it alone: a blank that is no space does not.
pub fn is_printed(character: char) -> bool {
    character == ' ' || !(character.is_control() || is_blank(character))
}

/// A digit of another script.
fn digit(code_point: u32) -> Option<u8> {
    let (zeros, place) = match u16::try_from(code_point) {
        Ok(place) => (ZEROS.as_slice(), place),
        Err(_) => (ZEROS_OF_PLANE_1.as_slice(), u16::try_from(code_point.checked_sub(0x1_0000)?).ok()?),
    };
    let value = zeros.iter().find_map(|zero| place.checked_sub(*zero).filter(|value| *value < 10))?;
    b'0'.checked_add(u8::try_from(value).ok()?)
}

/// White space, and what Unicode calls default-ignorable: soft hyphens, zero-width blanks, byte order marks, marks of
/// direction and variation. Also the blank of Braille, the frame of a keycap, and marks of annotation.
fn is_blank(character: char) -> bool {
    matches!(character,
        '\t'..='\r' | ' ' | '\u{85}' | '\u{A0}' | '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{1680}'
        | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2000}'..='\u{200F}' | '\u{2028}'..='\u{202F}'
        | '\u{205F}'..='\u{206F}' | '\u{20E3}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Dashes (category Pd), the minus sign, the hyphen bullet, and the long-vowel mark that Japanese keyboards give for it.
fn is_hyphen(character: char) -> bool {
    matches!(character,
        '\u{58A}' | '\u{5BE}' | '\u{1400}' | '\u{1806}' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{2E17}'
        | '\u{2E1A}' | '\u{2E3A}'..='\u{2E3B}' | '\u{2E40}' | '\u{2E5D}' | '\u{301C}' | '\u{3030}' | '\u{30A0}'
        | '\u{30FC}' | '\u{FE31}'..='\u{FE32}' | '\u{FE58}' | '\u{FE63}' | '\u{FF70}' | '\u{10D6E}' | '\u{10EAD}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        PlainText::of(text.as_bytes()).map(char::from).collect()
    }

    #[test]
    fn digits_of_every_script_are_digits() {
        for digits in [
            "0123456789",
            "٠١٢٣٤٥٦٧٨٩",
            "۰۱۲۳۴۵۶۷۸۹",
            "०१२३४५६७८९",
            "০১২৩৪৫৬৭৮৯",
            "๐๑๒๓๔๕๖๗๘๙",
            "０１２３４５６７８９",
            "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗",
            "𝟶𝟷𝟸𝟹𝟺𝟻𝟼𝟽𝟾𝟿",
            "𞥐𞥑𞥒𞥓𞥔𞥕𞥖𞥗𞥘𞥙",
            "🯰🯱🯲🯳🯴🯵🯶🯷🯸🯹",
        ] {
            assert_eq!(read(digits), "0123456789", "{digits}");
        }
    }

    #[test]
    fn every_other_digit_of_the_tables_is_a_number_and_nothing_else_is() {
        let all = (0x80..=0x10_FFFF).filter_map(char::from_u32);
        let read_as_digit = all.filter(|character| plain(*character).is_some_and(|plain| plain.is_ascii_digit()));
        let digits: Vec<char> = read_as_digit.collect();
        assert_eq!(digits.len(), 750);
        let unknown: Vec<_> = digits.iter().filter(|digit| !digit.is_numeric()).collect();
        assert!(unknown.is_empty() || char::UNICODE_VERSION < (17, 0, 0), "{unknown:?}");
        for strange in ["²³", "①", "Ⅵ", "五", "½"] {
            assert!(read(strange).bytes().all(|byte| byte == b'?'), "{strange}");
        }
    }

    #[test]
    fn white_space_of_every_kind_is_a_blank() {
        let blanks = (0..=0x10_FFFF).filter_map(char::from_u32).filter(|character| character.is_whitespace());
        for blank in blanks.chain("\u{ad}\u{200b}\u{200e}\u{200f}\u{2066}\u{2069}\u{feff}\u{fe0f}\u{20e3}".chars()) {
            assert_eq!(read(&format!("12{blank}3")), "123", "{blank:?}");
        }
    }

    #[test]
    fn hyphens_are_hyphens_and_other_characters_stay_out() {
        assert_eq!(read("-‐‑‒–—―−－ー֊"), "-----------");
        assert_eq!(read("ＡＢ ａｂ"), "ABab");
        assert_eq!(read("é漢\u{1b}\u{0}"), "??\u{1b}\u{0}");
        assert_eq!(PlainText::of(b"123\xff").collect::<Vec<u8>>(), b"?");
    }

    #[test]
    fn the_marks_of_a_paste_are_not_part_of_it() {
        assert_eq!(read("\u{1b}[200~123 456\u{1b}[201~"), "123456");
        assert_eq!(read("1\u{1b}[200~\u{1b}[200~23\u{1b}[201~\n"), "123");
        assert_eq!(read("\u{1b}[202~1"), "\u{1b}[202~1");
        assert_eq!(without_paste_marks(b"\x1b[200~a b\x1b[201~"), b"a b");
        assert_eq!(without_paste_marks(b"\x1b[20~a b"), b"\x1b[20~a b");
    }

    #[test]
    fn a_text_is_read_from_its_end_too() {
        for (text, before, last) in [
            ("ab", "a", 'b'),
            ("a\u{e9}", "a", '\u{e9}'),
            ("\u{1d7ce}", "", '\u{1d7ce}'),
            ("\u{e9}\u{ff10}", "\u{e9}", '\u{ff10}'),
        ] {
            assert_eq!(split_last(text.as_bytes()), Some((before.as_bytes(), last)), "{text}");
        }
        assert_eq!(split_last(b"\xffa"), Some((b"\xff".as_slice(), 'a')));
        assert_eq!(split_last(b""), None);
        assert_eq!(split_last(b"a\xff"), None);
    }
}
