//! Random bytes for seeds, salts, ids and recovery codes.

use crate::error::Error;

/// Random bytes from the kernel.
pub fn entropy(buffer: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(buffer).map_err(|_| Error::Entropy)
}
