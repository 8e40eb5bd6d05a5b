//! `weir_fuzz::segment_channel` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::segment_channel(data));
