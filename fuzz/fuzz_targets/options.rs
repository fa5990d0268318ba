//! Any command line. The program's own modules, since it is no library.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/aileron/src/accelerator.rs"]
mod accelerator;
#[path = "../../crates/aileron/src/fuzzing.rs"]
mod fuzzing;
#[path = "../../crates/aileron/src/log.rs"]
mod log;
#[path = "../../crates/aileron/src/machine_option.rs"]
mod machine_option;
#[path = "../../crates/aileron/src/numa.rs"]
mod numa;
#[path = "../../crates/aileron/src/options.rs"]
mod options;
#[path = "../../crates/aileron/src/say.rs"]
mod say;
#[path = "../../crates/aileron/src/settings.rs"]
mod settings;
#[path = "../../crates/aileron/src/smp.rs"]
mod smp;
#[path = "../../crates/aileron/src/tables.rs"]
mod tables;
#[path = "../../crates/aileron/src/values.rs"]
mod values;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzing::options(data));
