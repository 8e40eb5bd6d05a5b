//! `weir_fuzz::fmp4_reader` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::fmp4_reader(data));
