//! `weir_fuzz::chunk_forms` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::chunk_forms(data));
