//! `weir_fuzz::rtmp_url` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::rtmp_url(data));
