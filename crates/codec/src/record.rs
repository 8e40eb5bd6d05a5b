//! What the configuration records of H.264 and H.265 have in common (ISO/IEC 14496-15 §5.3.3.1 and §8.3.3.1).
//!
//! Owns: a run of parameter sets as both write it. Does not: know either record.

use weir_media::Codec;

use crate::Error;

/// A field of a record that holds parameter sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetsField {
    pub(crate) codec: Codec,
    pub(crate) name: &'static str,
    /// How many sets it may hold.
    pub(crate) most: usize,
}

impl SetsField {
    /// Appends `head`, whose last byte takes the number of sets beside what is in it, and the sets, each behind its
    /// length of 16 bits.
    ///
    /// Fails when there is none, or more or longer ones than the field can hold.
    pub(crate) fn push<const N: usize>(
        self,
        mut head: [u8; N],
        sets: &[&[u8]],
        config: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Self { codec, name, most } = self;
        let (field, offset) = (name, config.len());
        let too_large = |limit| Error::TooLarge {
            codec,
            field,
            offset,
            limit,
        };
        if sets.is_empty() {
            return Err(Error::Truncated {
                codec,
                field,
                offset,
            });
        }
        if sets.len() > most {
            return Err(too_large(most));
        }
        if let Some(count) = head.last_mut() {
            *count |= u8::try_from(sets.len()).map_err(|_| too_large(most))?;
        }
        config.extend(head);
        for set in sets {
            let length = u16::try_from(set.len()).map_err(|_| too_large(usize::from(u16::MAX)))?;
            config.extend(length.to_be_bytes());
            config.extend_from_slice(set);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::VideoCodec;

    #[test]
    fn sets_stand_behind_their_number_and_lengths() {
        let field = SetsField {
            codec: Codec::Video(VideoCodec::H264),
            name: "sets",
            most: 2,
        };
        let mut config = vec![1];
        field.push([7, 0xe0], &[b"ab", b"c"], &mut config).unwrap();
        assert_eq!(config, [1, 7, 0xe2, 0, 2, b'a', b'b', 0, 1, b'c']);
        let fails = |sets: &[&[u8]]| field.push([0], sets, &mut vec![0; 5]).unwrap_err();
        assert!(matches!(fails(&[]), Error::Truncated { offset: 5, .. }));
        let many = fails(&[b"a", b"b", b"c"]);
        assert!(matches!(many, Error::TooLarge { limit: 2, .. }));
        let long = fails(&[&[0; 65_536]]);
        assert!(matches!(long, Error::TooLarge { limit: 65_535, .. }));
    }
}
