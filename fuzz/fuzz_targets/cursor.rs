#![no_main]

mod every;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| subconscious::fuzzing::cursor::<every::Every>(bytes));
