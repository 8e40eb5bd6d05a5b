//! Opus in transport streams, as Xiph.Org's draft "OpusTS" has it and as ffmpeg writes it: a control header in front of
//! each packet, the channels in an extension descriptor.
//!
//! Owns: both, to and from the identification header of RFC 7845. What that header says beyond channels (pre-skip, gain)
//! has no place here. Does not: read packets.

use super::psi;

/// `extension_descriptor` with the draft's `user_defined` tag, provisional Opus.
const EXTENSION: u8 = 0x7f;
const PROVISIONAL_OPUS: u8 = 0x80;

/// A code that the draft leaves for what it cannot say.
const UNKNOWN_CHANNELS: u8 = 0xff;

/// Streams, coupled streams and mapping by number of channels, 1 to 8 (RFC 7845 §5.1.1.2, as libopus orders them).
const FAMILY_1: [(u8, u8, &[u8]); 8] = [
    (1, 0, &[0]),
    (1, 1, &[0, 1]),
    (2, 1, &[0, 2, 1]),
    (2, 2, &[0, 1, 2, 3]),
    (3, 2, &[0, 4, 1, 2, 3]),
    (4, 2, &[0, 4, 1, 2, 3, 5]),
    (4, 3, &[0, 4, 1, 2, 3, 5, 6]),
    (5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
];

/// Offsets in the identification header.
const CHANNELS_AT: usize = 9;
const FAMILY_AT: usize = 18;

/// The extension descriptor for an identification header. Without one, two channels are assumed, which decoders can make
/// of any packet.
pub(super) fn descriptor(config: &[u8]) -> [u8; 4] {
    let code = match (config.get(CHANNELS_AT), config.get(FAMILY_AT)) {
        (None, _) => 2,
        (Some(channels @ 1..=2), Some(0) | None) => *channels,
        (Some(channels), Some(1)) if is_usual(*channels, config) => *channels,
        _ => UNKNOWN_CHANNELS,
    };
    [EXTENSION, 2, PROVISIONAL_OPUS, code]
}

fn is_usual(channels: u8, config: &[u8]) -> bool {
    let row = FAMILY_1.get(usize::from(channels).wrapping_sub(1));
    row.is_some_and(|(streams, coupled, mapping)| {
        let table = [&[*streams, *coupled][..], mapping].concat();
        config.get(FAMILY_AT + 1..) == Some(&table[..])
    })
}

/// The identification header for a stream's descriptors. `None` when they do not tell the channels.
pub(super) fn config(descriptors: &[u8]) -> Option<Vec<u8>> {
    let code = psi::descriptors(descriptors).find_map(|(tag, content)| match (tag, content) {
        (EXTENSION, [PROVISIONAL_OPUS, code, ..]) => Some(*code),
        _ => None,
    })?;
    let (channels, family) = match code {
        // two streams of one channel each: of family 255, that is without meaning to places
        0 => (2, 255),
        1 | 2 => (code, 0),
        3..=8 => (code, 1),
        _ => return None,
    };
    let mut config = b"OpusHead\x01".to_vec();
    config.extend([channels, 0, 0]);
    config.extend(48_000u32.to_le_bytes());
    config.extend([0, 0, family]);
    if family == 255 {
        config.extend([2, 0, 0, 1]);
    }
    if family == 1 {
        let (streams, coupled, mapping) = FAMILY_1.get(usize::from(channels) - 1)?;
        config.extend([*streams, *coupled]);
        config.extend_from_slice(mapping);
    }
    Some(config)
}

/// Appends the control header for a packet of `bytes`.
pub(super) fn write_control(bytes: usize, out: &mut Vec<u8>) {
    // 11 bits of prefix, no trims, no extension
    out.extend_from_slice(&[0x7f, 0xe0]);
    out.extend(std::iter::repeat_n(0xff, bytes / 255));
    out.push((bytes % 255) as u8);
}

/// Takes one packet from the front of `data`, which begins with its control header; `None` when it is damaged or cut.
pub(super) fn take_packet<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let ([first, second], mut rest) = data.split_first_chunk::<2>()?;
    if *first != 0x7f || second & 0xe0 != 0xe0 {
        return None;
    }
    let mut size = 0usize;
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        size = size.checked_add((*byte).into())?;
        if *byte != 0xff {
            break;
        }
    }
    // samples to be cut at either end, which nothing behind here can say
    for flag in [0x10, 0x08] {
        if second & flag != 0 {
            rest = rest.get(2..)?;
        }
    }
    if second & 0x04 != 0 {
        let (length, behind) = rest.split_first()?;
        rest = behind.get(usize::from(*length)..)?;
    }
    let (packet, later) = rest.split_at_checked(size)?;
    *data = later;
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn channels_survive_the_descriptor() {
        for channels in 0..=8 {
            let told = [EXTENSION, 2, PROVISIONAL_OPUS, channels];
            let config = config(&told).unwrap();
            let codec = weir_media::Codec::Audio(weir_media::AudioCodec::Opus);
            let info = weir_codec::describe(codec, &config).unwrap();
            let expected = if channels == 0 { 2 } else { channels.into() };
            assert_eq!(info.audio.unwrap().channels, expected);
            if channels != 0 {
                assert_eq!(descriptor(&config), told);
            }
        }
        assert_eq!(config(&[EXTENSION, 2, PROVISIONAL_OPUS, 0x82]), None);
        assert_eq!(descriptor(&[]), [EXTENSION, 2, PROVISIONAL_OPUS, 2]);
        let odd = b"OpusHead\x01\x03\0\0\0\0\0\0\0\0\x01\x03\x00\x00\x01\x02";
        assert_eq!(descriptor(odd)[3], UNKNOWN_CHANNELS);
    }

    #[test]
    fn trims_and_extensions_are_passed_over() {
        let mut data = &[0x7f, 0xfc, 2, 0, 9, 0, 9, 1, 7, 0xaa, 0xbb, 0x7f][..];
        assert_eq!(take_packet(&mut data), Some(&[0xaa, 0xbb][..]));
        assert_eq!(data, [0x7f]);
        assert_eq!(take_packet(&mut data), None);
    }

    proptest! {
        #[test]
        fn packets_survive(packet in proptest::collection::vec(any::<u8>(), 0..1600)) {
            let mut out = Vec::new();
            write_control(packet.len(), &mut out);
            out.extend(&packet);
            let mut rest = &out[..];
            prop_assert_eq!(take_packet(&mut rest), Some(&packet[..]));
            prop_assert!(rest.is_empty());
        }
    }
}
