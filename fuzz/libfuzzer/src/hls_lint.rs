//! `weir_fuzz::hls_lint` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::hls_lint(data));
