//! `weir_fuzz::nal_units` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::nal_units(data));
