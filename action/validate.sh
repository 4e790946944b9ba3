# Tells every problem at its line of the pull request.
. "$GITHUB_ACTION_PATH/action/manifests.sh"
seedbatch validate --format github "$@"
