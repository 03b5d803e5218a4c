#!/bin/sh
# Temporal's two schemas (SQL_* says where): brought up to date where they are, made where they are not.
set -eu

schema() { # database, folder
  folder="/etc/temporal/schema/postgresql/v12/$2/versioned"
  temporal-sql-tool --db "$1" update-schema -d "$folder" || {
    # The database may be there from a first try that was interrupted.
    temporal-sql-tool --db "$1" create || true
    temporal-sql-tool --db "$1" setup-schema -v 0.0
    temporal-sql-tool --db "$1" update-schema -d "$folder"
  }
}

schema temporal temporal
schema temporal_visibility visibility
