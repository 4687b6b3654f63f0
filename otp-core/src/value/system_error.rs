//! What the operating system says of a failed call, in words.

use std::io;

/// The description of an error without its number: `Permission denied`, not `Permission denied (os error 13)`.
pub fn described(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let (Some(_), Some(end)) = (error.raw_os_error(), text.rfind(" (os error ")) {
        text.truncate(end);
    }
    text
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
}
