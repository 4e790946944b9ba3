# Carries out the approved plan, to the byte; otherwise nothing is submitted.
. "$GITHUB_ACTION_PATH/action/manifests.sh"
. "$GITHUB_ACTION_PATH/action/place.sh"

if [ -z "$INPUT_MAX_COST" ]; then
  echo "::error title=seedbatch::apply wants a cap: set max-cost. Nothing was submitted."
  exit 2
fi
if [ -z "$INPUT_DIGEST" ]; then
  echo "::error title=seedbatch::no approved plan is known. Nothing was submitted."
  exit 2
fi
case $INPUT_DIGEST in
  *[!0-9a-f]*)
    echo "::error title=seedbatch::the input digest is none. Nothing was submitted."
    exit 2
    ;;
esac

# Kept beside the ledger: a job that was stopped, and is run again, goes on with the plan that it began.
ledger=${INPUT_LEDGER:-${SEEDBATCH_LEDGER:-.seedbatch/ledger.db}}
kept=$(dirname -- "$ledger")/approved/$INPUT_DIGEST.plan
digest=$INPUT_DIGEST
if [ ! -f "$kept" ]; then
  seedbatch plan --out "$INPUT_PLAN_FILE" "$@" >&2
  digest=$(sed -n '$s/.*"digest": *"\([0-9a-f]*\)".*/\1/p' "$INPUT_PLAN_FILE")
fi
echo "digest=$digest" >>"$GITHUB_OUTPUT"
if [ "$digest" != "$INPUT_DIGEST" ]; then
  echo "::error title=seedbatch::what was approved is not what would be done now: the manifests, the prices or the ledger" \
    "moved since. Nothing was submitted. Look at the plan above, and run this again with digest: $digest"
  exit 2
fi
if [ ! -f "$kept" ]; then
  mkdir -p -m 700 -- "$(dirname -- "$kept")"
  cp -- "$INPUT_PLAN_FILE" "$kept.part"
  mv -- "$kept.part" "$kept"
fi

set -- --yes --max-cost "$INPUT_MAX_COST"
if [ "$INPUT_WAIT" != true ]; then
  set -- --no-wait "$@"
fi
. "$GITHUB_ACTION_PATH/action/place.sh"
code=0
seedbatch apply "$@" -- "$kept" || code=$?
# Not finished is what was asked for where nobody waits.
if [ "$code" -eq 6 ] && [ "$INPUT_WAIT" != true ]; then
  code=0
fi
exit "$code"
