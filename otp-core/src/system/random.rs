//! Random bytes for seeds, salts, ids and recovery codes.

use crate::error::CoreError;
use crate::value::request_id::RequestId;

/// Fills a buffer with random bytes from the kernel.
pub fn entropy(buffer: &mut [u8]) -> Result<(), CoreError> {
    getrandom::fill(buffer).map_err(|_| CoreError::Entropy)
}

/// The id of a new question.
pub fn request_id() -> Result<RequestId, CoreError> {
    let mut id = [0; 16];
    entropy(&mut id)?;
    Ok(RequestId(id))
}
