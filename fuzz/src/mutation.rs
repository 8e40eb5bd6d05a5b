//! A small deterministic fuzzer, so that ordinary tests fuzz a little.
//!
//! Owns: [`Mutator`], [`run`] and [`Failure`]. Knows no coverage: it finds what lies near the corpus, and libFuzzer
//! the rest. The same seed and corpus give the same inputs on every machine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Target;
use crate::pieces::Xorshift;

/// Longest input made, in bytes: twice the handshake and some messages.
const MAX_INPUT: usize = 8192;

/// Numbers at which parsers go wrong: ends of ranges of 7, 8, 15, 16, 24, 29, 31 and 32 bits, big endian.
const INTERESTING: [&[u8]; 14] = [
    &[0],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0, 0],
    &[0x7f, 0xff],
    &[0xff, 0xff],
    &[0xff, 0xff, 0xff],
    &[0, 0, 0, 0],
    &[0x1f, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
];

/// Makes inputs out of others.
#[derive(Debug, Clone)]
pub struct Mutator {
    random: Xorshift,
}

impl Mutator {
    /// A source of mutations that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Xorshift::new(seed),
        }
    }

    /// One of `corpus` with one to eight changes; an empty corpus counts as one empty input.
    pub fn next_input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).to_vec();
        for _ in 0..1 + self.random.below(8) {
            self.change(&mut input, corpus);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn pick<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a [u8] {
        let index = self.random.below(corpus.len());
        corpus.get(index).map_or(&[], Vec::as_slice)
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        // near the front more often than not: headers are there
        let reach = match self.random.below(3) {
            0 => input.len().min(32),
            _ => input.len(),
        };
        let at = self.random.below(reach);
        let end = (at + 1 + self.random.below(32)).min(input.len());
        match self.random.below(8) {
            0 | 1 => {
                let bit = 1 << self.random.below(8);
                input
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte ^= bit);
            }
            2 => {
                let byte = self.random.next() as u8;
                input.iter_mut().skip(at).take(1).for_each(|to| *to = byte);
            }
            3 | 4 => {
                let number = INTERESTING[self.random.below(INTERESTING.len())];
                let place = input.iter_mut().skip(at).zip(number);
                place.for_each(|(to, from)| *to = *from);
            }
            5 => {
                let copied = input.get(at..end).unwrap_or_default().to_vec();
                input.splice(at..at, copied);
            }
            6 => match self.random.below(2) {
                0 => input.truncate(at),
                _ => drop(input.drain(at..end.max(at))),
            },
            _ => {
                let other = self.pick(corpus);
                let from = self.random.below(other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }
}

/// An input on which a target has panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What the panic said, where it was text.
    pub message: String,
}

/// Runs `target` on `input`. Fails when it panics.
pub fn run_one(target: Target, input: &[u8]) -> Result<(), Failure> {
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    result.map_err(|panic| Failure {
        input: input.to_vec(),
        message: panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    })
}

/// Runs `target` on `rounds` mutations of `corpus`. Fails on the first that panics.
pub fn run(target: Target, corpus: &[Vec<u8>], seed: u64, rounds: usize) -> Result<(), Failure> {
    let mut mutator = Mutator::new(seed);
    for _ in 0..rounds {
        run_one(target, &mutator.next_input(corpus))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Vec<Vec<u8>> {
        vec![b"parser".to_vec(), vec![0; 40]]
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed);
            let next = || mutator.next_input(&corpus());
            std::iter::repeat_with(next).take(100).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(Mutator::new(1).next_input(&[]).len() <= MAX_INPUT);
    }

    #[test]
    fn a_planted_panic_is_found() {
        let planted: Target = |data| assert_ne!(data.get(3..5), Some(&[0xff, 0xff][..]), "planted");
        let failure = run(planted, &corpus(), 1, 20_000).unwrap_err();
        assert_eq!(failure.input.get(3..5), Some(&[0xff, 0xff][..]));
        assert!(failure.message.contains("planted"));
        assert_eq!(run_one(planted, &failure.input), Err(failure));
    }

    #[test]
    fn a_planted_breach_of_an_invariant_is_found() {
        // a "parser" whose result depends on the first byte of each piece
        let planted: Target = |data| {
            let sum = |input: &[u8]| input.first().copied().unwrap_or_default();
            let (a, b) = data.split_at(data.len() / 2);
            assert_eq!(sum(data), sum(a) ^ sum(b));
        };
        assert!(run(planted, &corpus(), 1, 1000).is_err());
        assert_eq!(run(|_| {}, &corpus(), 1, 1000), Ok(()));
    }
}
