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
    fn a_file_that_comes_or_goes_is_told_from_an_empty_one() {
        let made = unified(Path::new("/x"), None, Some(b"a\n"));
        assert_eq!(made, "--- /dev/null\n+++ /x\n@@ -0,0 +1 @@\n+a\n");
        let gone = unified(Path::new("/x"), Some(b"a\n"), None);
        assert_eq!(gone, "--- /x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    }
}
