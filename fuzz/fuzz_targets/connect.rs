#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| genai_bridge::fuzz::connect(data));
