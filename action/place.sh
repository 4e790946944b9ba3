# Sourced: puts the flags that say which ledger is meant before "$@".
set -eu
if [ -n "$INPUT_LEDGER" ]; then
  set -- --ledger "$INPUT_LEDGER" "$@"
fi
if [ "$INPUT_SANDBOX" = true ]; then
  set -- --sandbox "$@"
fi
