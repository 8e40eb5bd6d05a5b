//! What comes out equals what went in.
//!
//! Owns: the check that a capture is a contiguous run of what was published, on one clock. Does not: make captures.

use std::fmt;

use crate::packet::{Kind, Packet};

/// Where a capture must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// With the last packet that was published.
    Whole,
    /// At most this many packets of each kind before that, for players that drop what they hold when the stream ends.
    AllBut(usize),
    /// Wherever the viewer left.
    Anywhere,
}

/// The run of the published packets that a capture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Milliseconds from published to captured times, the same for audio and video.
    pub offset: i64,
    /// Number of the first captured packet among the published video packets; `None` without video.
    pub video: Option<usize>,
    /// The same for audio.
    pub audio: Option<usize>,
    /// Captured packets.
    pub count: usize,
}

/// Why a capture is no run of what was published.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing was captured.
    Empty,
    /// What was published in this kind was never seen.
    NoneOf(Kind),
    /// The first video packet is no key frame.
    NoKeyFirst(Box<Packet>),
    /// A packet that was not published, or one out of its place.
    Differs {
        /// Its number among the captured packets of its kind.
        at: usize,
        /// What should have come; `None` where the published packets had ended.
        wanted: Option<Box<Packet>>,
        /// What came.
        found: Box<Packet>,
    },
    /// A packet at another time than the offset of the capture says.
    Shifted {
        /// Its number among the captured packets of its kind.
        at: usize,
        /// Offset of the capture in milliseconds.
        offset: i64,
        /// What was published.
        wanted: Box<Packet>,
        /// What came.
        found: Box<Packet>,
    },
    /// The capture ended before the publisher did.
    Short {
        /// Which kind.
        kind: Kind,
        /// Packets that are missing at the end.
        missing: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}

/// Finds `captured` in `published`: of each kind a contiguous run, unaltered, in order, none missing, none doubled, all
/// at one offset in time, video beginning with a key frame. Fails with the first thing that is wrong.
pub fn equal_run(published: &[Packet], captured: &[Packet], ends: Ends) -> Result<Run, Fault> {
    if captured.is_empty() {
        return Err(Fault::Empty);
    }
    let mut run = Run {
        offset: 0,
        video: None,
        audio: None,
        count: captured.len(),
    };
    let mut offset = None;
    for kind in [Kind::Video, Kind::Audio] {
        let published = of_kind(published, kind);
        let captured = of_kind(captured, kind);
        let Some(first) = captured.first() else {
            match published.is_empty() {
                true => continue,
                false => return Err(Fault::NoneOf(kind)),
            }
        };
        if kind == Kind::Video && !first.key {
            return Err(Fault::NoKeyFirst(boxed(first)));
        }
        let (start, at) = place(&published, &captured, offset)?;
        let missing = published.len() - start - captured.len();
        let allowed = match ends {
            Ends::Whole => 0,
            Ends::AllBut(count) => count,
            Ends::Anywhere => missing,
        };
        if missing > allowed {
            return Err(Fault::Short { kind, missing });
        }
        offset = Some(at);
        match kind {
            Kind::Video => run.video = Some(start),
            Kind::Audio => run.audio = Some(start),
        }
    }
    run.offset = offset.unwrap_or_default();
    Ok(run)
}

/// Fails the test unless `captured` is a run of `published`; `what` names the capture.
#[track_caller]
pub fn assert_equal(what: &str, published: &[Packet], captured: &[Packet], ends: Ends) -> Run {
    match equal_run(published, captured, ends) {
        Ok(run) => run,
        Err(fault) => panic!(
            "{what}: {fault}\n{} packets captured, beginning with {:?}",
            captured.len(),
            captured.get(..4.min(captured.len()))
        ),
    }
}

fn of_kind(packets: &[Packet], kind: Kind) -> Vec<&Packet> {
    packets.iter().filter(|one| one.kind == kind).collect()
}

/// Where `captured` begins in `published`, and its offset. Equal payloads can stand at several places, so each place
/// is tried; the fault is that of the place that fits longest.
fn place(
    published: &[&Packet],
    captured: &[&Packet],
    offset: Option<i64>,
) -> Result<(usize, i64), Fault> {
    let first = captured.first().expect("the caller looked");
    let mut best: Option<(usize, Fault)> = None;
    for start in (0..published.len()).filter(|at| published[*at].same_payload(first)) {
        let offset = offset.unwrap_or(first.dts - published[start].dts);
        match fits(&published[start..], captured, offset) {
            Ok(()) => return Ok((start, offset)),
            Err((length, fault)) => {
                if best.as_ref().is_none_or(|(longest, _)| length > *longest) {
                    best = Some((length, fault));
                }
            }
        }
    }
    Err(best.map_or_else(
        || Fault::Differs {
            at: 0,
            wanted: published.first().map(|one| boxed(one)),
            found: boxed(first),
        },
        |(_, fault)| fault,
    ))
}

fn boxed(packet: &Packet) -> Box<Packet> {
    Box::new(packet.clone())
}

fn fits(published: &[&Packet], captured: &[&Packet], offset: i64) -> Result<(), (usize, Fault)> {
    for (at, found) in captured.iter().enumerate() {
        let wanted = published.get(at);
        let Some(wanted) = wanted.filter(|wanted| wanted.same_payload(found)) else {
            let wanted = wanted.map(|wanted| boxed(wanted));
            let found = boxed(found);
            return Err((at, Fault::Differs { at, wanted, found }));
        };
        if (found.dts - wanted.dts, found.pts - wanted.pts) != (offset, offset) {
            let (wanted, found) = (boxed(wanted), boxed(found));
            let fault = Fault::Shifted {
                at,
                offset,
                wanted,
                found,
            };
            return Err((at, fault));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds: video with a key frame every tenth, audio between.
    fn published() -> Vec<Packet> {
        let packet = |kind, number: i64, key| Packet {
            kind,
            dts: number * 40,
            pts: number * 40 + if kind == Kind::Video { 80 } else { 0 },
            key,
            size: 100,
            // audio repeats itself every four packets, as silence does
            hash: match kind {
                Kind::Video => format!("v{number}"),
                Kind::Audio => format!("a{}", number % 4),
            },
        };
        (0..50)
            .flat_map(|n| {
                [
                    packet(Kind::Video, n, n % 10 == 0),
                    packet(Kind::Audio, n, true),
                ]
            })
            .collect()
    }

    fn fault(change: impl FnOnce(&mut Vec<Packet>)) -> Fault {
        let mut captured = published();
        change(&mut captured);
        equal_run(&published(), &captured, Ends::Whole).expect_err("a planted fault is found")
    }

    #[test]
    fn the_same_packets_are_equal() {
        let run = equal_run(&published(), &published(), Ends::Whole).unwrap();
        assert_eq!((run.offset, run.video, run.audio), (0, Some(0), Some(0)));
    }

    #[test]
    fn an_early_end_is_found_unless_it_is_allowed() {
        let mut captured = published();
        captured.pop();
        let run = |ends| equal_run(&published(), &captured, ends);
        assert!(matches!(
            run(Ends::Whole),
            Err(Fault::Short { missing: 1, .. })
        ));
        assert!(run(Ends::AllBut(1)).is_ok() && run(Ends::Anywhere).is_ok());
    }

    #[test]
    fn a_run_from_a_key_frame_on_is_equal_at_its_offset() {
        let mut captured = published().split_off(20);
        captured.truncate(40);
        for packet in &mut captured {
            packet.dts += 7;
            packet.pts += 7;
        }
        let run = equal_run(&published(), &captured, Ends::Anywhere).unwrap();
        assert_eq!(run.offset, 7);
        assert_eq!((run.video, run.audio, run.count), (Some(10), Some(10), 40));
        let short = equal_run(&published(), &captured, Ends::Whole).unwrap_err();
        assert_eq!(
            short,
            Fault::Short {
                kind: Kind::Video,
                missing: 20
            }
        );
    }

    #[test]
    fn an_altered_packet_is_found() {
        let fault = fault(|packets| packets[20].hash = "other".to_owned());
        assert!(matches!(fault, Fault::Differs { at: 10, .. }), "{fault}");
    }

    #[test]
    fn a_missing_packet_is_found() {
        let fault = fault(|packets| drop(packets.remove(31)));
        assert!(matches!(fault, Fault::Differs { at: 15, .. }), "{fault}");
    }

    #[test]
    fn a_doubled_packet_is_found() {
        let fault = fault(|packets| packets.insert(30, packets[30].clone()));
        assert!(matches!(fault, Fault::Differs { at: 16, .. }), "{fault}");
    }

    #[test]
    fn swapped_packets_are_found() {
        let fault = fault(|packets| packets.swap(24, 26));
        assert!(matches!(fault, Fault::Differs { at: 12, .. }), "{fault}");
    }

    #[test]
    fn a_shifted_packet_is_found() {
        let late = fault(|packets| packets[41].dts += 1);
        assert!(matches!(late, Fault::Shifted { at: 20, .. }), "{late}");
        let later = fault(|packets| packets[40].pts += 1);
        assert!(matches!(later, Fault::Shifted { at: 20, .. }), "{later}");
    }

    #[test]
    fn audio_on_another_clock_than_video_is_found() {
        let fault = fault(|packets| {
            let audio = packets.iter_mut().filter(|one| one.kind == Kind::Audio);
            audio.for_each(|one| (one.dts, one.pts) = (one.dts + 5, one.pts + 5));
        });
        assert!(
            matches!(
                fault,
                Fault::Shifted {
                    at: 0,
                    offset: 0,
                    ..
                }
            ),
            "{fault}"
        );
    }

    #[test]
    fn a_lost_key_mark_and_a_start_between_key_frames_are_found() {
        let lost = fault(|packets| packets[20].key = false);
        assert!(matches!(lost, Fault::Differs { at: 10, .. }), "{lost}");
        let between = fault(|packets| drop(packets.drain(..4)));
        assert!(matches!(between, Fault::NoKeyFirst(_)), "{between}");
    }

    #[test]
    fn nothing_and_half_of_it_are_found() {
        assert_eq!(fault(Vec::clear), Fault::Empty);
        let video = |packets: &mut Vec<Packet>| packets.retain(|one| one.kind == Kind::Video);
        assert_eq!(fault(video), Fault::NoneOf(Kind::Audio));
    }
}
