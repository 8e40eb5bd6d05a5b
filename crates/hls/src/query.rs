//! Delivery directives of HLS: the parameters by which players ask for a playlist to come (draft-pantos-hls-rfc8216bis
//! §6.2.5).
//!
//! Owns: [`Directives`] and what is nonsense in them. The first occurrence of a name counts. All values are plain digits
//! and letters, so nothing is percent-decoded. Other parameters, and directives unknown here such as `_HLS_push`, are
//! left alone.
//! Does not: judge whether what is asked for exists, or is too far ahead.

/// A player's wishes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`, `_HLS_part`: answer when the playlist has this.
    pub until: Option<Position>,
    /// `_HLS_skip`: a delta update would do.
    pub skip: Option<Skip>,
}

/// A place in a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Media sequence number.
    pub segment: u64,
    /// A part of it; `None` is the whole segment.
    pub part: Option<u64>,
}

/// What a delta update may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// `YES`: segments.
    Segments,
    /// `v2`: date ranges too.
    SegmentsAndDates,
}

/// Why a player's query cannot be answered. The answer is 400 (draft §6.2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Not a decimal integer that fits in 64 bits.
    #[error("player's {0} is not a number")]
    NotANumber(&'static str),
    /// A part without its segment.
    #[error("player asks for a part without _HLS_msn")]
    PartAlone,
    /// Neither `YES` nor `v2`.
    #[error("player's _HLS_skip is neither YES nor v2")]
    UnknownSkip,
    /// Longer than [`MAX_QUERY_BYTES`].
    #[error("player's query is longer than {MAX_QUERY_BYTES} bytes")]
    TooLong,
}

/// Longest query in bytes. Tokens of access systems take up to some KiB; a request's head has a bound of its own.
pub const MAX_QUERY_BYTES: usize = 16 << 10;

/// Name of the media sequence number asked for.
const MSN: &str = "_HLS_msn";
/// Name of the part asked for.
const PART: &str = "_HLS_part";
/// Name of the wish for a delta update.
const SKIP: &str = "_HLS_skip";

impl Directives {
    /// Reads the query of a request's target, without its question mark.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        if query.len() > MAX_QUERY_BYTES {
            return Err(QueryError::TooLong);
        }
        let value = |name: &str| {
            let mut parameters = query.split('&');
            parameters.find_map(|parameter| match parameter.split_once('=') {
                Some((own, value)) => (own == name).then_some(value),
                None => (parameter == name).then_some(""),
            })
        };
        let segment = value(MSN).map(|text| integer(MSN, text)).transpose()?;
        let part = value(PART).map(|text| integer(PART, text)).transpose()?;
        let until = match (segment, part) {
            (Some(segment), part) => Some(Position { segment, part }),
            (None, Some(_)) => return Err(QueryError::PartAlone),
            (None, None) => None,
        };
        let skip = match value(SKIP) {
            None => None,
            Some("YES") => Some(Skip::Segments),
            Some("v2") => Some(Skip::SegmentsAndDates),
            Some(_) => return Err(QueryError::UnknownSkip),
        };
        Ok(Self { until, skip })
    }
}

/// Digits only: a sign, which the standard library would take, is nonsense.
fn integer(name: &'static str, text: &str) -> Result<u64, QueryError> {
    let is_decimal = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let number = is_decimal.then(|| text.parse().ok()).flatten();
    number.ok_or(QueryError::NotANumber(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(segment: u64, part: Option<u64>) -> Option<Position> {
        Some(Position { segment, part })
    }

    #[test]
    fn directives() {
        let of = |until, skip| Ok(Directives { until, skip });
        let skip = Some(Skip::Segments);
        for (query, directives) in [
            ("", of(None, None)),
            ("token=a%26b&_HLS_push=1&_hls_msn=x", of(None, None)),
            ("_HLS_msn=273", of(at(273, None), None)),
            ("_HLS_msn=273&_HLS_part=2", of(at(273, Some(2)), None)),
            (
                "_HLS_part=0002&x&_HLS_skip=YES&_HLS_msn=0",
                of(at(0, Some(2)), skip),
            ),
            ("_HLS_skip=v2", of(None, Some(Skip::SegmentsAndDates))),
            (
                "_HLS_msn=1&_HLS_msn=x&_HLS_skip=YES&_HLS_skip=NO",
                of(at(1, None), skip),
            ),
            (
                "_HLS_msn=18446744073709551615",
                of(at(u64::MAX, None), None),
            ),
            ("&&=&_HLS_msn=1=", Err(QueryError::NotANumber(MSN))),
        ] {
            assert_eq!(Directives::parse(query), directives, "{query}");
        }
    }

    #[test]
    fn nonsense() {
        for value in [
            "",
            "-1",
            "+1",
            "1.0",
            " 1",
            "%31",
            "18446744073709551616",
            "x",
        ] {
            let msn = Directives::parse(&format!("_HLS_msn={value}"));
            assert_eq!(msn, Err(QueryError::NotANumber(MSN)), "{value}");
            let part = Directives::parse(&format!("_HLS_msn=1&_HLS_part={value}"));
            assert_eq!(part, Err(QueryError::NotANumber(PART)), "{value}");
        }
        assert_eq!(
            Directives::parse("_HLS_msn"),
            Err(QueryError::NotANumber(MSN))
        );
        assert_eq!(Directives::parse("_HLS_part=1"), Err(QueryError::PartAlone));
        assert_eq!(
            Directives::parse("_HLS_skip=yes"),
            Err(QueryError::UnknownSkip)
        );
        let long = "a".repeat(MAX_QUERY_BYTES + 1);
        assert_eq!(Directives::parse(&long), Err(QueryError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(segment: u64, part: Option<u64>, skip: bool, noise in "[a-z=]{0,5}") {
            let mut query = format!("{noise}&_HLS_msn={segment}");
            if let Some(part) = part {
                query = format!("_HLS_part={part}&{query}");
            }
            if skip {
                query.push_str("&_HLS_skip=YES");
            }
            let skip = skip.then_some(Skip::Segments);
            prop_assert_eq!(Directives::parse(&query), Ok(Directives { until: at(segment, part), skip }));
        }

        #[test]
        fn anything_is_judged(query: String) {
            let _ = Directives::parse(&query);
        }
    }
}
