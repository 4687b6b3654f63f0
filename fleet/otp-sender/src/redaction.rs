//! What a program has written, without the message: a program that repeats what it was given (`set -x`, an error that quotes
//! its input) would write codes to the log.
//!
//! This finds the lines of the text as they are, and its numbers as people, shells and URLs spell them. No search finds a code
//! in Base64: the manual says that a program must not write the message.

/// Shortest line that is looked for. Shorter ones may be part of anything.
const SHORTEST_LINE: usize = 8;
/// Shortest number. A code is shown in groups of three and four digits.
const SHORTEST_NUMBER: usize = 3;
/// Most characters between two digits of a number that is shown in groups: a blank, or `\u{a0}`, and quotation marks.
const WIDEST_GAP: usize = 3;

/// The output without the lines of the text, and with `#` for each digit of one of its numbers.
pub(crate) fn without(text: &str, output: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
    let output = lines.fold(output.to_owned(), |output, line| output.replace(line, "[message]"));
    let mut symbols: Vec<char> = output.chars().collect();
    let mut is_told = vec![false; symbols.len()];
    for number in numbers(text) {
        for start in 0..symbols.len() {
            for place in places_of(&number, &symbols, start) {
                if let Some(told) = is_told.get_mut(place) {
                    *told = true;
                }
            }
        }
    }
    for (symbol, _) in symbols.iter_mut().zip(is_told).filter(|(_, told)| *told) {
        *symbol = '#';
    }
    symbols.into_iter().collect()
}

/// Each group of digits, and the groups that follow each other with one character between them as one number.
fn numbers(text: &str) -> Vec<Vec<char>> {
    let (mut found, mut whole, mut group, mut gap) = (Vec::new(), Vec::new(), Vec::new(), 0usize);
    for symbol in text.chars().chain(['\n', '\n']) {
        if symbol.is_ascii_digit() {
            group.push(symbol);
            gap = 0;
            continue;
        }
        whole.extend(group.iter().copied());
        found.push(std::mem::take(&mut group));
        gap = gap.saturating_add(1);
        if gap > 1 {
            found.push(std::mem::take(&mut whole));
        }
    }
    found.retain(|number| number.len() >= SHORTEST_NUMBER);
    found
}

/// Where the digits of a number stand that begins here, with a few other characters between them; none if it does not.
fn places_of(number: &[char], symbols: &[char], start: usize) -> Vec<usize> {
    let (mut places, mut gap) = (Vec::new(), 0usize);
    for (place, symbol) in symbols.iter().enumerate().skip(start) {
        let Some(wanted) = number.get(places.len()) else { break };
        if symbol == wanted {
            places.push(place);
            gap = 0;
        } else if places.is_empty() || symbol.is_ascii_digit() || gap >= WIDEST_GAP {
            return Vec::new();
        } else {
            gap = gap.saturating_add(1);
        }
    }
    if places.len() == number.len() { places } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_and_no_number_of_the_text_is_left() {
        let text = "Subject: a code\n\n481 2093 is your code for host (ssh from 203.0.113.9). Not you?\nBye\n";
        for (output, expected) in [
            ("550 5.1.1 no such user", "550 5.1.1 no such user"),
            ("+ echo '481 2093 is your code for host (ssh from 203.0.113.9). Not you?'", "+ echo '[message]'"),
            ("Subject: a code\r\nBye", "[message]\r\nBye"),
            ("code 4812093!", "code #######!"),
            ("code 481-2093, 481%202093 and 481+2093", "code ###-####, ###%20#### and ###+####"),
            ("{\"code\": [\"481\", \"2093\"]}", "{\"code\": [\"###\", \"####\"]}"),
            ("4 8 1 2 0 9 3", "# # # # # # #"),
            ("4\u{a0}8\u{a0}1", "#\u{a0}#\u{a0}#"),
            ("id=77481209355", "id=77#######55"),
            ("48 209 curl: (22) error: 401", "48 209 curl: (22) error: 401"),
            ("cut off: 481 20", "cut off: ### 20"),
            ("", ""),
        ] {
            assert_eq!(without(text, output), expected);
        }
        assert_eq!(without("", "481 2093"), "481 2093");
        assert_eq!(without("Your PIN is 4821.", "sent 4821"), "sent ####");
    }
}
