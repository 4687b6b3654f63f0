//! HMAC-SHA-1 (RFC 2104) of a moving factor: eight bytes under a seed.
//!
//! A login computes three for each device. Each is two blocks, which are laid out here: the buffers that hmac has for messages of
//! any length took as long as a ninth block for each eight. The compression is that of the sha1 crate.

use std::slice::from_ref;

use sha1::block_api::compress;
use zeroize::ZeroizeOnDrop;

use crate::value::secret::{Secret, wipe};

/// A seed, set up for all its moving factors. Wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub(crate) struct FactorMac {
    /// SHA-1 after the first block of the inner hash, which is the seed's.
    inner: State,
    /// The same of the outer hash.
    outer: State,
}

type State = [u32; 5];

type Block = [u8; 64];

/// FIPS 180-4 §5.3.1
const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// RFC 2104 §2
const IPAD: u8 = 0x36;
const OPAD: u8 = 0x5c;

/// The second block of each hash, without the message at its start (FIPS 180-4 §5.1.1): a bit behind it, zeros, and the number
/// of bits of both blocks.
const BEHIND_FACTOR: Block = {
    let mut block = [0; 64];
    [block[8], block[62], block[63]] = [0x80, 2, 0x40]; // 512 + 64
    block
};
const BEHIND_HASH: Block = {
    let mut block = [0; 64];
    [block[20], block[62], block[63]] = [0x80, 2, 0xa0]; // 512 + 160
    block
};

impl FactorMac {
    /// `None` for a seed that is longer than a block; none is.
    pub(crate) fn new(seed: &Secret) -> Option<Self> {
        let mut block: Block = [0; 64];
        block.get_mut(..seed.expose().len())?.copy_from_slice(seed.expose());
        let mut mac = Self { inner: START, outer: START };
        xor(&mut block, IPAD);
        compress(&mut mac.inner, from_ref(&block));
        xor(&mut block, IPAD ^ OPAD);
        compress(&mut mac.outer, from_ref(&block));
        wipe(&mut block);
        Some(mac)
    }

    /// What `read` makes of the HMAC of a moving factor, which is wiped then.
    pub(crate) fn with<T>(&self, factor: u64, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let mut state = self.inner;
        let mut block = BEHIND_FACTOR;
        *block.first_chunk_mut()? = factor.to_be_bytes();
        compress(&mut state, from_ref(&block));
        block = BEHIND_HASH;
        write(&mut block, &state);
        state = self.outer;
        compress(&mut state, from_ref(&block));
        write(&mut block, &state);
        let result = read(block.get(..20)?);
        wipe(&mut block);
        wipe(&mut state);
        result
    }
}

fn xor(block: &mut Block, pad: u8) {
    let pad = u128::from_ne_bytes([pad; 16]);
    for bytes in block.as_chunks_mut().0 {
        *bytes = (u128::from_ne_bytes(*bytes) ^ pad).to_ne_bytes();
    }
}

/// A hash, or the state after one, at the start of a block.
fn write(block: &mut Block, state: &State) {
    for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha1::Sha1;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn it_is_the_hmac_of_the_hmac_crate_for_seeds_of_every_length() {
        for length in 10..=64u8 {
            let seed: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37) ^ length).collect();
            let mac = FactorMac::new(&Secret::new(Zeroizing::new(seed.clone())).unwrap()).unwrap();
            for factor in [0, 1, 58_791_668, u64::from(u32::MAX) + 1, u64::MAX] {
                let theirs = Hmac::<Sha1>::new_from_slice(&seed).unwrap().chain_update(factor.to_be_bytes());
                let theirs = theirs.finalize().into_bytes();
                assert_eq!(
                    mac.with(factor, |hash| Some(hash.to_vec())).unwrap(),
                    theirs.as_slice(),
                    "{length} {factor}"
                );
            }
        }
    }
}
