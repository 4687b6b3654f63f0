//! What becomes of a file, as people read it: a unified diff.

use std::path::Path;

use similar::TextDiff;

/// The difference between two texts of a file, as `diff -u` writes it. `None` is a file that is not there.
pub(super) fn unified(path: &Path, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let name = |text: Option<&[u8]>| text.map_or_else(|| "/dev/null".to_owned(), |_| path.display().to_string());
    let text = |text: Option<&[u8]>| String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
    let (old, new) = (text(before), text(after));
    let diff = TextDiff::from_lines(&old, &new);
    diff.unified_diff().context_radius(3).header(&name(before), &name(after)).to_string()
}

/// The same for a terminal: tabs are blanks up to the column where the file itself shows what follows them.
pub(super) fn without_tabs(diff: &str) -> String {
    let mut text = String::with_capacity(diff.len());
    for line in diff.split_inclusive('\n') {
        let (sign, line) = line.split_at_checked(1).unwrap_or((line, ""));
        text.push_str(sign);
        let mut column = 0_usize;
        for (number, part) in line.split('\t').enumerate() {
            if number > 0 {
                let stop = column.saturating_add(1).next_multiple_of(8);
                text.extend(std::iter::repeat_n(' ', stop.saturating_sub(column)));
                column = stop;
            }
            text.push_str(part);
            column = column.saturating_add(part.chars().count());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_new_is_shown_between_its_neighbours() {
        let (before, after) = ("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nnew\n5\n6\n7\n8\n");
        let told = unified(Path::new("/etc/pam.d/x"), Some(before.as_bytes()), Some(after.as_bytes()));
        assert_eq!(told, "--- /etc/pam.d/x\n+++ /etc/pam.d/x\n@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+new\n 5\n 6\n 7\n");
    }

    #[test]
    fn columns_stay_where_they_are() {
        assert_eq!(without_tabs("+auth\trequired\tx\n \t-\n"), "+auth    required        x\n         -\n");
        assert_eq!(without_tabs(""), "");
        assert_eq!(without_tabs("-\u{e4}\tx\n"), "-\u{e4}       x\n");
    }

    #[test]
    fn a_file_that_comes_or_goes_is_told_from_an_empty_one() {
        let made = unified(Path::new("/x"), None, Some(b"a\n"));
        assert_eq!(made, "--- /dev/null\n+++ /x\n@@ -0,0 +1 @@\n+a\n");
        let gone = unified(Path::new("/x"), Some(b"a\n"), None);
        assert_eq!(gone, "--- /x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    }
}
