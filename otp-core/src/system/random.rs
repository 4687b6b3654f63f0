//! Random bytes for seeds, salts, ids and recovery codes.

use crate::error::CoreError;

/// Fills a buffer with random bytes from the kernel.
pub fn entropy(buffer: &mut [u8]) -> Result<(), CoreError> {
    getrandom::fill(buffer).map_err(|_| CoreError::Entropy)
}
