//! The send time inside a media payload.
//!
//! Owns: where it stands and how it is written: 16 bytes into the payload of every generated video and audio
//! message, an 8-byte magic and 9 bytes of time. The time is cut into groups of 7 bits with the top bit set, so
//! that no byte of it is zero and no server that turns the payload into Annex B (H.264 §B.1) meets a start code.
//! Does not: read clocks. Times are [`crate::clock`] nanoseconds: meaningful on one machine only.

/// Bytes into the payload at which the magic stands: behind the video tag header (5), a NAL length (4) and a NAL
/// header (1), rounded up; the same for audio.
pub(crate) const OFFSET: usize = 16;

/// Magic and time together, in bytes.
pub(crate) const LEN: usize = MAGIC.len() + TIME_LEN;

const MAGIC: [u8; 8] = *b"\xd7WeirBn\xd7";
/// 9 groups of 7 bits hold 63 bits of nanoseconds: 292 years.
const TIME_LEN: usize = 9;

/// Writes magic and time into a payload; does nothing when it is too short to hold them.
pub(crate) fn write(payload: &mut [u8], time: u64) {
    let Some(place) = payload.get_mut(OFFSET..OFFSET + LEN) else {
        return;
    };
    let (magic, groups) = place.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    let mut rest = time;
    for group in groups.iter_mut().rev() {
        *group = 0x80 | (rest & 0x7f) as u8;
        rest >>= 7;
    }
}

/// The time inside a payload, of which the first bytes suffice; `None` when it carries none.
pub(crate) fn read(payload: &[u8]) -> Option<u64> {
    let groups = payload.get(OFFSET..OFFSET + LEN)?.strip_prefix(&MAGIC)?;
    Some(time(groups))
}

/// The times of all stamps in a run of media, wherever they stand, in order.
pub(crate) fn all(media: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut rest = media;
    std::iter::from_fn(move || {
        loop {
            let at = rest.iter().position(|byte| *byte == MAGIC[0])?;
            let place = rest.get(at..at + LEN)?;
            rest = rest.get(at + 1..).unwrap_or_default();
            if let Some(groups) = place.strip_prefix(&MAGIC) {
                return Some(time(groups));
            }
        }
    })
}

fn time(groups: &[u8]) -> u64 {
    groups
        .iter()
        .fold(0, |time, group| time << 7 | u64::from(group & 0x7f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_was_written_without_zero_bytes(time in 0..1_u64 << 63) {
            let mut payload = [0x55; OFFSET + LEN];
            write(&mut payload, time);
            prop_assert_eq!(read(&payload), Some(time));
            prop_assert!(payload.iter().all(|byte| *byte != 0));
        }

        #[test]
        fn all_are_found_wherever_they_stand(
            times in proptest::collection::vec(0..1_u64 << 63, 0..6),
            junk in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut media = junk.clone();
            for time in &times {
                let mut payload = [0x55; OFFSET + LEN];
                write(&mut payload, *time);
                media.extend(payload.into_iter().chain(junk.iter().copied()));
            }
            prop_assert_eq!(all(&media).collect::<Vec<_>>(), times);
        }

        #[test]
        fn any_other_payload_has_none(payload in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(read(&payload), None);
        }
    }

    #[test]
    fn short_payload_is_left_alone() {
        let mut payload = [7; OFFSET + LEN - 1];
        write(&mut payload, 1);
        assert_eq!(payload, [7; OFFSET + LEN - 1]);
    }
}
