//! What the operating system says of a failed call, in words.

use std::io;

use crate::value::search;

/// The description of an error without its number: `Permission denied`, not `Permission denied (os error 13)`.
pub fn described(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error.raw_os_error().map(|number| format!(" (os error {number})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(words) => words.to_owned(),
        None => text,
    }
}

/// The user id that the kernel shows for owners who are not mapped into a user namespace (kernel.overflowuid).
const OVERFLOW_UID: u32 = 65_534;

const UNMAPPED: &str = "which this user namespace shows for every user that it does not map";

/// What to do about an owner who [`is_unmapped`].
pub const UNMAPPED_HINT: &str =
    "the file may be right: run the service outside that user namespace, or map root into it";

/// A file's owner in words. In a user namespace, files of root may seem to belong to another user.
pub fn owner(uid: u32) -> String {
    if uid == OVERFLOW_UID { format!("uid {uid} ({UNMAPPED})") } else { format!("uid {uid}") }
}

/// Whether a text names the [`owner`] of a file who may be root all the same.
pub fn is_unmapped(text: &str) -> bool {
    search::holds(text, UNMAPPED)
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn an_error_is_described_without_its_number() {
        assert_eq!(described(&io::Error::from_raw_os_error(13)), "Permission denied");
        assert_eq!(described(&Errno::ENOTDIR.into()), "Not a directory");
        assert_eq!(described(&io::ErrorKind::UnexpectedEof.into()), "unexpected end of file");
        assert_eq!(described(&io::Error::other("odd (os error 5)")), "odd (os error 5)");
    }

    #[test]
    fn a_user_namespace_is_named_where_it_hides_the_owner() {
        assert_eq!(owner(1000), "uid 1000");
        assert_eq!(owner(65_534), "uid 65534 (which this user namespace shows for every user that it does not map)");
        assert!(is_unmapped(&owner(65_534)) && !is_unmapped(&owner(1000)));
    }
}
