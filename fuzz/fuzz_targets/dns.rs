#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| cyclosa_fuzz::dns::run(data));
