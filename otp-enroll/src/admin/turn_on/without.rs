//! A text that was changed since, without the lines that were written into it. A pure function.

use std::ops::Range;

use similar::{Algorithm, capture_diff_slices};

/// `now` with the lines of `before` in place of those of `after`, where these differ. `None` unless each such place is there
/// as it was written, and once.
pub(super) fn without(before: &[u8], after: &[u8], now: &[u8]) -> Option<Vec<u8>> {
    let (old, new, mut lines) = (lines(before), lines(after), lines(now));
    for change in capture_diff_slices(Algorithm::Myers, &old, &new) {
        let (was, is) = (old.get(change.old_range())?, new.get(change.new_range())?);
        if was != is {
            let place = only_place(&lines, is)?;
            lines.splice(place, was.iter().copied());
        }
    }
    Some(lines.concat())
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

fn only_place(lines: &[&[u8]], wanted: &[&[u8]]) -> Option<Range<usize>> {
    let length = (!wanted.is_empty()).then_some(wanted.len())?;
    let mut places = lines.windows(length).enumerate().filter(|(_, window)| *window == wanted).map(|(at, _)| at);
    let (first, more) = (places.next()?, places.next());
    more.is_none().then(|| first..first.saturating_add(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str, now: &str) -> Option<String> {
        without(before.as_bytes(), after.as_bytes(), now.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_was_written_goes_and_the_rest_stays() {
        let (before, after) = ("a\npassword\nb\n", "a\npassword\ncode\nb\n");
        assert_eq!(told(before, after, after).as_deref(), Some(before));
        let now = "# mine\na\npassword\ncode\nb\nc\n";
        assert_eq!(told(before, after, now).as_deref(), Some("# mine\na\npassword\nb\nc\n"));
        assert_eq!(told(before, after, "code\n").as_deref(), Some(""));
        let key = "a\n#password\ncode\npermit\nb\n";
        assert_eq!(told(before, key, &format!("{key}c\n")).as_deref(), Some("a\npassword\nb\nc\n"));
    }

    #[test]
    fn what_is_not_there_as_it_was_written_is_left_to_people() {
        let (before, after) = ("a\npassword\nb\n", "a\npassword\ncode\nb\n");
        for now in ["", "a\npassword\nb\n", "code\ncode\n", "a\ncode nullok\n", "a\ncode"] {
            assert_eq!(told(before, after, now), None, "{now:?}");
        }
        let key = "a\n#password\ncode\npermit\nb\n";
        assert_eq!(told(before, key, "a\n#password\ncode\n# mine\npermit\nb\n"), None);
    }
}
