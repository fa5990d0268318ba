# What the programs of the selftest share; sourced, not run. Standard output is what is compared between emulators, so
# that nothing that depends on time or place goes there.
answers=0

# One known answer: name, what is expected, what was found.
is() {
    answers=$((answers + 1))
    if [ "$2" != "$3" ]; then
        echo "$1: expected $2, found $3" >&2
        wrong=1
    fi
    echo "$1 $3"
}

# The script's last word: how many answers there were, and whether they were right.
finish() {
    echo "answers $answers"
    exit "${wrong:-0}"
}
