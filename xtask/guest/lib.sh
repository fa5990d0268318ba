# What the test scripts share; sourced, not run.

# One result, for the host to read: name, value.
say() {
    echo "AILERON-TEST $1: $2"
}

# Ends the test as failed: what was expected and what was found.
fail() {
    say failure "$1"
    exit 1
}

# The value of the entry of the auxiliary vector with type $1 (decimal), as 0x and 16 hex digits.
auxv() {
    want=$(printf '%016x' "$1")
    od -A n -v -t x8 /proc/self/auxv | while read -r type value; do
        [ "$type" = "$want" ] && echo "0x$value"
    done
}

# A checksum of generated data: $1 = number of the worker, $2 = seq, zero; $3 = the program that sums.
checksum() {
    case "$2" in
    seq) seq "$1" 3 60000 | "$3" ;;
    zero) dd if=/dev/zero bs=64k count="$((8 * $1))" 2>/dev/null | "$3" ;;
    esac | cut -d ' ' -f 1
}
