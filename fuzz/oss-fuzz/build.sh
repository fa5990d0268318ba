#!/bin/bash -eu
# Builds every fuzz target into $OUT, each with its seeds and the dictionary. `cargo xtask fuzz oss-fuzz-check` runs it
# without a container, with its own CARGO_FUZZ, AILERON and SANITIZER_ARGUMENT.
cd "${AILERON:-$SRC/aileron}"
CARGO_FUZZ=${CARGO_FUZZ:-cargo fuzz}
target_directory=${CARGO_TARGET_DIR:-$PWD/fuzz/target}
export RUSTC_WRAPPER=$PWD/fuzz/rustc.sh
# Debug assertions are part of the oracle, and the profile's; the sanitizer is the one that OSS-Fuzz asks for.
$CARGO_FUZZ build --features machine --release --sanitizer "${SANITIZER_ARGUMENT:-${SANITIZER:-address}}" \
    --target x86_64-unknown-linux-gnu
for source in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    cp "$target_directory/x86_64-unknown-linux-gnu/release/$name" "$OUT/"
    (cd "fuzz/seeds/$name" && python3 -m zipfile -c "$OUT/${name}_seed_corpus.zip" ./*)
    if [ -f "fuzz/oss-fuzz/$name.dict" ]; then
        cp "fuzz/oss-fuzz/$name.dict" "$OUT/"
    fi
    printf '[libfuzzer]\nmax_len = 4096\n' >"$OUT/$name.options"
done
