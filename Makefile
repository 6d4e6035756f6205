# Doorman's commands; each sets up what it needs. `make help` lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test lint bench faults generated lock secrets clean

pip := .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: .venv/.runtime ## Serve Doorman in the foreground; settings come from the environment
	@exec .venv/bin/doorman serve

# Tests wait as much as they compute: half as many again as there are cores, and no more than the memory is good for.
processes = $$(n=$$(getconf _NPROCESSORS_ONLN); n=$$((n + (n + 1) / 2)); [ $$n -le 6 ] && echo $$n || echo 6)

test: .venv/.development tests/clients/node_modules/.made ## Run every test, with the coverage gate
	@failed=0; \
	.venv/bin/python -m pytest -n $(processes) --dist worksteal -m "not alone" \
		--cov || failed=1; \
	.venv/bin/python -m pytest -m alone || failed=1; \
	exit $$failed

lint: .venv/.development ## Check style, formatting and types, and change nothing
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@$(call if_installed,shellcheck) .ci/run
	@$(call if_installed,hadolint) Dockerfile

# These two have packages for some platforms only; where they are missing, CI fails and a laptop goes on.
if_installed = [ -x .venv/bin/$1 ] || [ -n "$$CI" ] || { echo 'Skipped: $1 is not installed.'; exit 0; }; .venv/bin/$1

bench: .venv/.development ## Measure Doorman beside its peers and its goals; takes half an hour, and the machine to itself
	@.venv/bin/python -m bench

faults: .venv/.development ## Kill, flood, starve and fuzz Doorman at length, and write docs/reliability.md; wants the machine to itself
	@failed=0; export FAULTS=full; \
	.venv/bin/python -m pytest tests/faults --timeout 3600 --cache-clear -n 2 --dist worksteal -m "not alone" || failed=1; \
	.venv/bin/python -m pytest tests/faults --timeout 3600 -m alone || failed=1; \
	exit $$failed

swagger_ui := tests/clients/node_modules/swagger-ui-dist
docs_page := api/docs_page

generated: .venv/.development tests/clients/node_modules/.made ## Make anew what is made from the code: the collection, and the page's library
	@for file in swagger-ui-bundle.js swagger-ui.css; do gzip -9nc $(swagger_ui)/$$file > $(docs_page)/$$file.gz; done
	@cd $(swagger_ui) && cat NOTICE LICENSE swagger-ui-bundle.js.LICENSE.txt > $(CURDIR)/$(docs_page)/swagger-ui.LICENSE.txt
	@.venv/bin/python -m postman
	@git --no-pager diff --stat -- $(docs_page) '*.postman_*.json'

# Python 3.11, the oldest that is supported, so that the locks hold for all of them.
lock := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate $(if $(UPGRADE),--upgrade)

lock: .venv/.development ## Bring the lock files up to pyproject.toml (UPGRADE=1: and to the newest releases)
	@$(lock) --output-file requirements.lock pyproject.toml
	@$(lock) --output-file requirements-dev.lock --constraint requirements.lock --extra dev pyproject.toml
	@git --no-pager diff --stat -- requirements.lock requirements-dev.lock

secrets: ## Write the random secrets that docker-compose.yml needs; existing ones are kept
	@$(write_secrets)

clean: ## Remove .venv, caches and build output, never data or secrets
	@rm -rf .venv bench/.peers tests/clients/node_modules build dist *.egg-info .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache

# The clients that the tests run in Node.
tests/clients/node_modules/.made: tests/clients/package-lock.json
	@if command -v npm >/dev/null; then \
		echo 'Installing the clients that the tests run in Node ...'; \
		npm ci --prefix tests/clients --silent --no-audit --no-fund --ignore-scripts && touch $@ \
			|| echo 'npm could not: the tests that need them are skipped.'; \
	else \
		echo 'npm is not installed: the tests that need it are skipped.'; \
	fi

# The environment. The development lock holds every pin of the runtime lock, so it serves both.

.venv/.runtime: .venv/.made-in requirements.lock pyproject.toml
	@echo 'Installing what Doorman needs to run ...'
	@$(pip) install --require-hashes --requirement requirements.lock
	@$(pip) install --no-deps --editable .
	@touch $@

.venv/.development: .venv/.made-in requirements.lock requirements-dev.lock pyproject.toml
	@echo 'Installing what Doorman and its tests need; the first time takes a minute ...'
	@$(pip) install --require-hashes --requirement requirements-dev.lock
	@$(pip) install --no-deps --editable .
	@touch .venv/.runtime $@

# A virtual environment holds its own path, so one that was moved with its folder is made anew, as is one whose
# Python has gone.
ifneq ($(shell test -x .venv/bin/python && cat .venv/.made-in 2>/dev/null),$(CURDIR))
.PHONY: .venv/.made-in
endif

.venv/.made-in:
	@$(find_python); \
	echo "Making .venv with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear .venv && pwd -P > $@

# Sets $python to the first one that is new enough and can make a virtual environment. Debian keeps what that takes
# in a package of its own, so it is looked for too.
define find_python
set -eu; python=; incomplete=; \
for candidate in "$${PYTHON:-}" python3.13 python3.12 python3.11 python3; do \
	if [ -n "$$candidate" ] && "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
		incomplete=$${incomplete:-$$candidate}; \
	fi; \
done; \
if [ -z "$$python" ] && [ -n "$$incomplete" ]; then \
	echo "$$incomplete cannot make virtual environments: its modules venv and ensurepip are not installed." >&2; \
	echo "On Debian and Ubuntu: apt-get install python3-venv. Or name another one: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1; \
elif [ -z "$$python" ]; then \
	echo "Doorman needs Python 3.11 or newer, and there is none on the PATH." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1; \
fi
endef

# Compose mounts a secret's file with its owner and mode on the host, and the containers run as users of their own. So
# the files are readable by all, and the folder that they are in is closed to all but its owner.
define write_secrets
set -eu; umask 077; mkdir -p secrets; chmod 0700 secrets; \
random() { od -An -v -tx1 -N 32 /dev/urandom | tr -d ' \n'; }; \
write() { \
	if [ -e "secrets/$$1" ]; then echo "  kept     secrets/$$1"; return; fi; \
	rm -f "secrets/.$$1"; printf '%s' "$$2" > "secrets/.$$1"; chmod 0444 "secrets/.$$1"; \
	mv "secrets/.$$1" "secrets/$$1"; echo "  written  secrets/$$1"; \
}; \
write secret_key "$$(random)"; \
write basic_auth_password "$$(random)"; \
write database_url "mongodb://doorman:$$(random)@mongodb:27017/doorman?replicaSet=rs0"; \
write mongodb_root_username root; \
write mongodb_root_password "$$(random)"; \
write mongodb_keyfile "$$(random)"; \
echo 'Next: echo DOORMAN_HOST=<the name that clients use> > .env && docker compose up --build --detach --wait'; \
echo 'The first admin is "admin"; its password is in secrets/basic_auth_password.'
endef
