//! `weir_fuzz::flv_header` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::flv_header(data));
