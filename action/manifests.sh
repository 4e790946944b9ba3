# Sourced: makes "$@" the manifests of INPUT_MANIFESTS, one path or pattern a line.
# Patterns are expanded and spaces stay; what is empty is left out, and nothing is taken for an option.
set -eu
newline='
'
before=$IFS
IFS=$newline
# shellcheck disable=SC2086 # to be split at ends of lines, and expanded
set -- $INPUT_MANIFESTS
IFS=$before
if [ $# -eq 0 ]; then
  echo "::error title=seedbatch::the input manifests names none"
  exit 2
fi
set -- -- "$@"
