//! Cutting input into pieces as a network would.
//!
//! Owns: [`pieces`], [`head`] and the small generator behind them. Does not: feed anything.

/// Xorshift of 64 bits (Marsaglia, 2003): enough to choose cuts and mutations, and the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Xorshift(u64);

impl Xorshift {
    pub(crate) fn new(seed: u64) -> Self {
        // the state must not be 0
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.next().checked_rem(bound as u64).unwrap_or(0) as usize
    }
}

/// Takes `N` control bytes from the front of `data`, zeros where it is too short. Gives the rest too.
pub(crate) fn head<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = data.split_at(data.len().min(N));
    let mut control = [0; N];
    for (to, from) in control.iter_mut().zip(first) {
        *to = *from;
    }
    (control, rest)
}

/// `input` in pieces: single bytes for a `plan` of 0, otherwise of lengths that follow from it, some of them short and
/// some long. Every byte comes once, in order; no piece is empty.
pub(crate) fn pieces(input: &[u8], plan: u8) -> impl Iterator<Item = &[u8]> {
    let mut random = Xorshift::new(u64::from(plan));
    let mut rest = input;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let wanted = match (plan, random.below(3)) {
            (0, _) => 1,
            (_, 0) => 1 + random.below(4),
            (_, 1) => 1 + random.below(40),
            _ => 1 + random.below(2000),
        };
        let (piece, later) = rest.split_at(wanted.min(rest.len()));
        rest = later;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_input() {
        let input: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for plan in 0..=255 {
            let cut: Vec<_> = pieces(&input, plan).collect();
            assert!(cut.iter().all(|piece| !piece.is_empty()));
            assert_eq!(cut.concat(), input);
        }
        assert_eq!(pieces(&input, 0).count(), input.len());
    }

    #[test]
    fn control_bytes_may_be_missing() {
        assert_eq!(head::<2>(&[1]), ([1, 0], &[][..]));
        assert_eq!(head::<2>(&[1, 2, 3]), ([1, 2], &[3][..]));
    }
}
