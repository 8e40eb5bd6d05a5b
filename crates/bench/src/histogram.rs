//! A log-linear histogram of nanoseconds, after the idea of HdrHistogram.
//!
//! Owns: counting values of 0 to 2⁶³ with an error below 1 % and answering for quantiles. Every power of two
//! is cut into 128 equal buckets; below 128 each value has its own. Minimum and maximum are exact.
//! Does not: know what it counts.

/// log2 of the buckets per octave: 128 give a bucket width of at most 1/128 of its lower end (0.8 %).
const SUB_BITS: u32 = 7;
const SUB: usize = 1 << SUB_BITS;
/// Octaves above the linear part, so that any u64 has a bucket.
const BUCKETS: usize = SUB * (64 - SUB_BITS as usize + 1);

/// Counts of values, about 59 KB however many are recorded.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            max: 0,
        }
    }

    /// Counts one value.
    pub(crate) fn record(&mut self, value: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(value)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds all that another histogram has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The largest value, exactly; 0 when empty.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value that a share `q` (0 to 1) of all values does not exceed, to 0.8 %; 0 when empty.
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        // Precision of the product: counts stay far below 2⁵³.
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket;
            if seen >= rank {
                return last_of(index).min(self.max);
            }
        }
        self.max
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - SUB_BITS;
    (shift as usize + 1) * SUB + ((value >> shift) as usize - SUB)
}

/// The largest value that falls into a bucket.
fn last_of(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let shift = (index / SUB - 1) as u32;
    let first = ((SUB + index % SUB) as u64) << shift;
    first + ((1_u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn empty_answers_zero() {
        let histogram = Histogram::new();
        assert_eq!(
            (histogram.quantile(0.5), histogram.max(), histogram.count()),
            (0, 0, 0)
        );
    }

    #[test]
    fn known_quantiles() {
        let mut histogram = Histogram::new();
        for value in 1..=100 {
            histogram.record(value);
        }
        assert_eq!(histogram.quantile(0.5), 50);
        assert_eq!(histogram.quantile(0.99), 99);
        assert_eq!(histogram.quantile(1.0), 100);
        assert_eq!(histogram.quantile(0.0), 1);
    }

    proptest! {
        #[test]
        fn every_value_has_a_bucket_within_one_percent(value in any::<u64>()) {
            let bucket = bucket_of(value);
            prop_assert!(bucket < BUCKETS);
            let last = last_of(bucket);
            prop_assert!(last >= value);
            prop_assert!(last - value <= value / 100);
        }

        #[test]
        fn buckets_keep_the_order(a in any::<u64>(), b in any::<u64>()) {
            prop_assert_eq!(bucket_of(a.min(b)).cmp(&bucket_of(a.max(b))).is_gt(), false);
        }

        #[test]
        fn quantiles_match_a_sorted_list(
            mut values in proptest::collection::vec(0_u64..10_000_000_000, 1..200),
            q in 0.0_f64..=1.0,
        ) {
            let (mut left, mut right) = (Histogram::new(), Histogram::new());
            for (index, value) in values.iter().enumerate() {
                if index % 2 == 0 { left.record(*value) } else { right.record(*value) }
            }
            left.merge(&right);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            let told = left.quantile(q);
            prop_assert!(told >= exact && told - exact <= exact / 100);
            prop_assert_eq!(left.max(), *values.last().unwrap());
        }
    }
}
