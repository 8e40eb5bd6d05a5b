//! The word that was probably meant.
//!
//! Owns: the distance between two words and the choice of the nearest. Does not: know what the words are.

/// The one of `words` that is nearest to `typed`, if it is near enough to be what was meant. Case and the difference
/// between `-` and `_` do not count.
pub(crate) fn nearest<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = normal(typed);
    // One slip in three letters, at least one: `rtmo` is near `rtmp`, `abc` is near nothing.
    let limit = (typed.len() / 3).max(1);
    words
        .into_iter()
        .map(|word| (distance(&typed, &normal(word)), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

fn normal(word: &str) -> Vec<char> {
    word.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_found_and_other_words_are_not() {
        let words = ["listen", "chunk_size", "handshake_timeout"];
        for (typed, meant) in [
            ("lisen", Some("listen")),
            ("lsiten", Some("listen")),
            ("LISTEN", Some("listen")),
            ("chunk-size", Some("chunk_size")),
            ("chunksize", Some("chunk_size")),
            ("handshake_timout", Some("handshake_timeout")),
            ("port", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }

    #[test]
    fn a_distance_counts_each_kind_of_slip_once() {
        let of = |a: &str, b: &str| distance(&normal(a), &normal(b));
        assert_eq!(of("abcd", "abcd"), 0);
        assert_eq!(of("abcd", "abd"), 1);
        assert_eq!(of("abd", "abcd"), 1);
        assert_eq!(of("abcd", "abxd"), 1);
        assert_eq!(of("abcd", "acbd"), 1);
        assert_eq!(of("", "abc"), 3);
        assert_eq!(of("abc", ""), 3);
    }
}
