//! `weir_fuzz::wire_cursors` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::wire_cursors(data));
