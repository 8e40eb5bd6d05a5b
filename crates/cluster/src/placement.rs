//! The choice of a node for a stream.
//!
//! Owns: [`choose`], two random choices of which the less loaded one wins, and [`rendezvous`], an order of nodes by a key on
//! which everybody agrees without talking. Does not: know who is alive, draw random numbers or remember a choice.
//!
//! The hash of [`rendezvous`] is part of what proxies of different versions agree on: FNV-1a (64 bits) over the key, the
//! byte 0xFF, which no text has, and the node's name, then the finalizer of SplitMix64. Everything after it is integer
//! arithmetic. A test pins its values.

use crate::node::{Load, Report};

/// A node that could take a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// What it says of itself.
    pub report: Report,
    /// Sessions it has beyond those in its report, as far as the chooser knows: those placed since the report, or all
    /// that are known when it reports none.
    pub added: u32,
}

impl Candidate {
    /// Whether it takes new streams at all: it is not draining and has a weight.
    pub fn is_open(&self) -> bool {
        !self.report.draining && self.report.weight > 0
    }

    /// Whether it has as many sessions as it takes.
    pub fn is_full(&self) -> bool {
        self.report.capacity > 0 && self.sessions() >= self.report.capacity
    }

    /// Sessions, reported and added.
    fn sessions(&self) -> u32 {
        let reported = self.report.load.map_or(0, |load| load.sessions);
        reported.saturating_add(self.added)
    }

    /// How busy it is: the larger one of its CPU and its sessions beside its capacity. `None` when it says neither.
    fn busy(&self) -> Option<f64> {
        let cpu = self.report.load.map(|load| self.cpu(load));
        let capacity = (self.report.capacity > 0)
            .then(|| f64::from(self.sessions()) / f64::from(self.report.capacity));
        match (cpu, capacity) {
            (Some(cpu), Some(share)) => Some(cpu.max(share)),
            (one, other) => one.or(other),
        }
    }

    /// CPU by the report, grown by what the added sessions need if they are like those it has: else all picks between
    /// two reports go to the node that was idle at the first.
    fn cpu(&self, load: Load) -> f64 {
        // what comes from outside may be no number at all; a node that says nonsense counts as busy
        let reported = f64::from(load.cpu);
        if !(0.0..=1.0).contains(&reported) {
            return 1.0;
        }
        let before = f64::from(load.sessions.max(1));
        reported.max(LEAST_CPU) * (before + f64::from(self.added)) / before
    }

    /// Whether it is less loaded than `other`: by their shares if they differ and both are known, else by sessions for
    /// each unit of weight.
    fn is_less_loaded(&self, other: &Self) -> bool {
        if let (Some(mine), Some(theirs)) = (self.busy(), other.busy())
            && (mine - theirs).abs() > SAME_LOAD
        {
            return mine < theirs;
        }
        let weighed =
            |one: &Self, by: &Self| u64::from(one.sessions()) * u64::from(by.report.weight);
        weighed(self, other) < weighed(other, self)
    }
}

/// What an idle node counts as using: of nothing, any number of added sessions would stay nothing.
const LEAST_CPU: f64 = 0.01;

/// Shares of load that differ by less are the same: CPU readings of idle machines differ by that much from one second to
/// the next.
const SAME_LOAD: f64 = 0.01;

/// The index of the node that takes the next new stream; `None` when none is [open](Candidate::is_open) and has room.
///
/// Two different nodes are drawn by weight, and the less loaded one wins; of two that are alike, the one drawn first.
/// `dice` is a random number, all bits of it.
pub fn choose(candidates: &[Candidate], dice: u64) -> Option<usize> {
    let takes = |candidate: &Candidate| candidate.is_open() && !candidate.is_full();
    let (mut count, mut total) = (0_usize, 0_u64);
    for candidate in candidates.iter().filter(|one| takes(one)) {
        count += 1;
        total = total.saturating_add(u64::from(candidate.report.weight));
    }
    let draw = |dice: u64, total: u64, but: Option<usize>| {
        // the high half of the product: an even share of the range without a division
        let mut left = ((u128::from(dice) * u128::from(total)) >> 64) as u64;
        let mut open = candidates.iter().enumerate();
        open.find_map(|(index, candidate)| {
            if !takes(candidate) || but == Some(index) {
                return None;
            }
            let weight = u64::from(candidate.report.weight);
            match left.checked_sub(weight) {
                Some(rest) => {
                    left = rest;
                    None
                }
                None => Some((index, candidate)),
            }
        })
    };
    let (first, one) = draw(finalize(dice), total, None)?;
    if count < 2 {
        return Some(first);
    }
    let rest = total - u64::from(one.report.weight);
    let second = draw(finalize(dice ^ SECOND_DRAW), rest, Some(first));
    match second {
        Some((second, other)) if other.is_less_loaded(one) => Some(second),
        _ => Some(first),
    }
}

/// Makes the second draw's number differ from the first's: the fraction of the golden ratio.
const SECOND_DRAW: u64 = 0x9e37_79b9_7f4a_7c15;

/// Indices of `nodes` (name and weight each) in the order in which `key` prefers them. Nodes of weight 0 are left out.
///
/// Of many keys each node is first for a share by its weight; when a node comes or goes, only keys that it is first for
/// move. Equal names stand in the order given.
pub fn rendezvous(nodes: &[(&str, u32)], key: &str) -> Vec<usize> {
    let start = absorb(absorb(FNV_OFFSET, key.as_bytes()), &[0xff]);
    let weighed = nodes
        .iter()
        .enumerate()
        .filter(|(_, (_, weight))| *weight > 0);
    let mut order: Vec<(u64, &str, usize)> = weighed
        .map(|(index, (name, weight))| {
            let hash = finalize(absorb(start, name.as_bytes()));
            (distance(hash) / u64::from(*weight), *name, index)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, index)| index).collect()
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over `bytes`, from `state` on.
fn absorb(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

/// A hash of `bytes` that is the same on all machines and in all versions: FNV-1a, finalized as SplitMix64 does.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    finalize(absorb(FNV_OFFSET, bytes))
}

/// The finalizer of SplitMix64: every bit of the input decides on every bit of the output.
fn finalize(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// `-log2(hash / 2^64)` in fixed point with 56 bits of fraction, which fills 62 bits.
///
/// A weighted rendezvous takes the node with the smallest `-log(uniform) / weight`. Logarithms of floating point numbers
/// are not the same on all machines; this one is.
fn distance(hash: u64) -> u64 {
    let hash = hash | 1;
    let zeros = hash.leading_zeros();
    // the mantissa in [1, 2), 63 bits of fraction; each squaring gives one bit of its logarithm
    let mut mantissa = hash << zeros;
    let mut fraction = 0_u64;
    for _ in 0..FRACTION_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let carried = (square >> 64) as u64;
        fraction = (fraction << 1) | carried;
        mantissa = (square >> carried) as u64;
    }
    let whole = u64::from(zeros) + 1;
    (whole << 56) - (fraction << (56 - FRACTION_BITS))
}

/// Bits of the logarithm that are worked out: two hashes tie for less than one key in a billion.
const FRACTION_BITS: u32 = 32;

#[cfg(test)]
mod tests;
