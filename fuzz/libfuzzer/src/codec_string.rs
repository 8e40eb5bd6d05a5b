//! `weir_fuzz::codec_string` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::codec_string(data));
