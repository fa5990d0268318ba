#!/bin/sh
# RUSTC_WRAPPER of the fuzz targets: no coverage of the code generator, whose edges are ten times ours, and say nothing of
# our bugs. Without it libFuzzer spends most of the time of `block` on counting them.
case " $* " in
*" --crate-name cranelift_"* | *" --crate-name regalloc2 "*) ;;
*) exec "$@" ;;
esac
first=yes
for argument; do
    if [ "$first" ]; then
        set --
        first=
    fi
    case "$argument" in
    -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-*) ;;
    *) set -- "$@" "$argument" ;;
    esac
done
exec "$@"
