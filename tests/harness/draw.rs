//! Drawing by lot, the same in every run: Marsaglia's xorshift.

/// Where the sequence is.
#[derive(Debug)]
pub struct Draw(u64);

impl Default for Draw {
    fn default() -> Draw {
        Draw(0x2545_f491_4f6c_dd1d)
    }
}

impl Draw {
    /// A number below `end`.
    ///
    /// # Panics
    /// When there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    /// The numbers below `end`, each once.
    pub fn order(&mut self, end: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..end).collect();
        for place in (1..end).rev() {
            order.swap(place, self.below(place + 1));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_everybody_once() {
        let mut draw = Draw::default();
        for _ in 0..100 {
            let mut order = draw.order(6);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        }
    }
}
