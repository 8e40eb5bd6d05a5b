//! `weir_fuzz::handshake_client` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::handshake_client(data));
