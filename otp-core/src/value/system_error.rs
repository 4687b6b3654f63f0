//! What the operating system says of a failed call, in words.

use std::io;

use nix::errno::Errno;

/// The description of an error without its number: `Permission denied`, not `Permission denied (os error 13)`.
pub fn described(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| Errno::from_raw(number).desc().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_described_without_its_number() {
        assert_eq!(described(&io::Error::from_raw_os_error(13)), "Permission denied");
        assert_eq!(described(&Errno::ENOTDIR.into()), "Not a directory");
        assert_eq!(described(&io::ErrorKind::UnexpectedEof.into()), "unexpected end of file");
        assert_eq!(described(&io::Error::other("odd")), "odd");
    }
}
