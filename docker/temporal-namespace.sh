#!/bin/sh
# The namespace and our search attributes. What is there already is left as it is.
set -eu

temporal operator cluster health
temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 72h

attributes() {
  temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" \
    --name SavefileSession --type Keyword \
    --name SavefileSpace --type Keyword \
    --name SavefileState --type Keyword \
    --name SavefileTurn --type Int
}

# A namespace that was just made is not known everywhere for some seconds. Tried here, not by a restart of the service: what waits for this
# service to end well would take its first end for the last.
tries=1
until attributes; do
  [ "$tries" -lt 30 ] || exit 1
  tries=$((tries + 1))
  sleep 1
done
