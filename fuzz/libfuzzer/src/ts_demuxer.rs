//! `weir_fuzz::ts_demuxer` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::ts_demuxer(data));
