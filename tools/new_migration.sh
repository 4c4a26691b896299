#!/usr/bin/env bash
# Write the next migration from the difference between the models and the scripts: tools/new_migration.sh 0002 "What changes"
set -euo pipefail
cd "$(dirname "$0")/.."
database=$(mktemp -d)/development.db
sed "s#sqlite:///development.db#sqlite:///$database#" alembic.ini > "$(dirname "$database")/alembic.ini"
sed -i "s#^script_location = migrations#script_location = $PWD/migrations#; s#^prepend_sys_path = .#prepend_sys_path = $PWD#" "$(dirname "$database")/alembic.ini"
alembic=.venv/bin/alembic
"$alembic" -c "$(dirname "$database")/alembic.ini" upgrade head
"$alembic" -c "$(dirname "$database")/alembic.ini" revision --autogenerate --rev-id "$1" -m "$2"
.venv/bin/ruff format --quiet migrations/versions
