//! `weir_fuzz::rtmp_command` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::rtmp_command(data));
