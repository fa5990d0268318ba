//! Criterion benches live in `benches/`, one file a question. `cargo bench -p benches`.
