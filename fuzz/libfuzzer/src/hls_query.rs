//! `weir_fuzz::hls_query` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::hls_query(data));
