//! Figures as people read them.
//!
//! Owns: rates, sizes, times and shares as short texts, right-aligned columns in mind. Does not: know what they measure.

/// A rate given in kbit/s.
pub(crate) fn rate(kbps: u64) -> String {
    match kbps {
        0..10_000 => format!("{kbps} kbit/s"),
        10_000..10_000_000 => format!("{:.1} Mbit/s", kbps as f64 / 1e3),
        _ => format!("{:.1} Gbit/s", kbps as f64 / 1e6),
    }
}

/// A rate that may not be known.
pub(crate) fn maybe_rate(kbps: Option<u64>) -> String {
    kbps.map_or_else(|| NONE.to_owned(), rate)
}

/// Bytes.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while value >= 1024.0
        && let Some(next) = units.next()
    {
        value /= 1024.0;
        unit = Some(next);
    }
    let unit = unit.copied().unwrap_or_default();
    match bytes {
        0..1024 => format!("{bytes} {unit}"),
        _ => format!("{value:.1} {unit}"),
    }
}

/// A time in milliseconds, as `1:02:03` or `2:03`.
pub(crate) fn time(millis: u64) -> String {
    let seconds = millis / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        24.. => format!("{}d {}:{minutes:02}", hours / 24, hours % 24),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A short time in milliseconds that may not be known, as `2.0s` or `40ms`.
pub(crate) fn short(millis: Option<u64>) -> String {
    match millis {
        None => NONE.to_owned(),
        Some(millis @ 0..1000) => format!("{millis}ms"),
        Some(millis) => format!("{:.1}s", millis as f64 / 1e3),
    }
}

/// Pictures a second that may not be known.
pub(crate) fn frames(rate: Option<f64>) -> String {
    rate.map_or_else(|| NONE.to_owned(), |rate| format!("{rate:.1}"))
}

/// What stands where nothing is known.
const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let shown = [
            rate(0),
            rate(9_999),
            rate(10_000),
            rate(12_345_678),
            maybe_rate(None),
            size(0),
            size(1023),
            size(1024),
            size(5 << 30),
            size(u64::MAX),
            time(0),
            time(61_999),
            time(3_723_000),
            time(90_000_000),
            short(None),
            short(Some(999)),
            short(Some(2_040)),
            frames(Some(29.97)),
            frames(None),
        ];
        let expected = [
            "0 kbit/s",
            "9999 kbit/s",
            "10.0 Mbit/s",
            "12.3 Gbit/s",
            "-",
            "0 B",
            "1023 B",
            "1.0 KiB",
            "5.0 GiB",
            "16777216.0 TiB",
            "0:00",
            "1:01",
            "1:02:03",
            "1d 1:00",
            "-",
            "999ms",
            "2.0s",
            "30.0",
            "-",
        ];
        assert_eq!(shown, expected);
    }
}
