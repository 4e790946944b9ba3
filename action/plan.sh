# Writes the plan file, the text of the comment, and the outputs digest, changes and comment-file.
. "$GITHUB_ACTION_PATH/action/manifests.sh"
. "$GITHUB_ACTION_PATH/action/place.sh"

comment=$RUNNER_TEMP/seedbatch-comment.md
code=0
seedbatch plan --out "$INPUT_PLAN_FILE" --format markdown --detailed-exitcode "$@" >"$comment" || code=$?
case $code in
  0) changes=false ;;
  10) changes=true ;;
  *) exit "$code" ;;
esac
cat "$comment" >>"$GITHUB_STEP_SUMMARY"
{
  echo "digest=$(sed -n '$s/.*"digest": *"\([0-9a-f]*\)".*/\1/p' "$INPUT_PLAN_FILE")"
  echo "changes=$changes"
  echo "comment-file=$comment"
} >>"$GITHUB_OUTPUT"
