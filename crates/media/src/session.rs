//! The name of a session.
//!
//! Owns: [`SessionId`]. Does not: say what a session is doing (the hub's session table does).

use std::fmt;
use std::str::FromStr;

/// The id of one publisher's or viewer's session, the same in logs, API and error texts.
///
/// Unique within a process; shown as lower-case base 36 without padding, for example `2q9f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; 13];
        let mut rest = self.0;
        let mut used = 0;
        for slot in digits.iter_mut().rev() {
            let digit = (rest % 36) as u8;
            *slot = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
            rest /= 36;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        let start = digits.len() - used;
        f.write_str(
            std::str::from_utf8(digits.get(start..).unwrap_or_default()).unwrap_or_default(),
        )
    }
}

/// A text that is no session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: up to 13 digits 0-9 and letters a-z")]
pub struct InvalidSessionId;

impl FromStr for SessionId {
    type Err = InvalidSessionId;
    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        if text.starts_with('+') {
            return Err(InvalidSessionId);
        }
        u64::from_str_radix(text, 36)
            .map(Self)
            .map_err(|_| InvalidSessionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_of_the_range() {
        assert_eq!(SessionId(0).to_string(), "0");
        assert_eq!(SessionId(35).to_string(), "z");
        assert_eq!(SessionId(u64::MAX).to_string(), "3w5e11264sgsf");
        assert_eq!("+1".parse::<SessionId>(), Err(InvalidSessionId));
        assert_eq!("".parse::<SessionId>(), Err(InvalidSessionId));
    }

    proptest! {
        #[test]
        fn text_round_trip(id: u64) {
            prop_assert_eq!(SessionId(id).to_string().parse(), Ok(SessionId(id)));
        }
    }
}
