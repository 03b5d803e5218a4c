#!/bin/sh
# The namespace and our search attributes. What is there already is left as it is; a failure is tried again by the service's restart.
set -eu

temporal operator cluster health
temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 72h
temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" \
  --name SavefileSession --type Keyword \
  --name SavefileSpace --type Keyword \
  --name SavefileState --type Keyword \
  --name SavefileTurn --type Int
