# `make` lists the targets. A JDK >= 25 is found by the same rule that the launcher script uses.
SHELL := /bin/sh
.SHELLFLAGS := -euc
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION := 0.1.0
PYTHON := /usr/bin/python3
export JAVA_HOME := $(shell . scripts/jvm.sh && jvm_find javac && echo "$$jvm")
# Maven 3.8's own libraries use what JDK 25 warns about; a build is short, so C1 is enough for it.
export MAVEN_OPTS := --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
	-XX:+UseSerialGC -XX:TieredStopAtLevel=1
export PYTHONDONTWRITEBYTECODE := 1

MVN := mvn -B -ntp -Dstyle.color=never
# Unlike -q this shows warnings, which fail the build and so must be seen.
QUIET := -Dorg.slf4j.simpleLogger.defaultLogLevel=warn

.PHONY: help
help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

.PHONY: setup
setup: ## install the Debian or Ubuntu packages that are missing (SETUP=--yes does not ask)
	@scripts/setup.sh $(SETUP)

.PHONY: build
build: jdk ## build the native binaries, the jar and its start-up caches
	@mkdir -p target
	@touch target/.building
	@$(MAKE) -C native
	@$(MVN) $(QUIET) -Dmaven.test.skip=true package
	@scripts/aot-cache.sh
	@mv target/.building target/.built

.PHONY: check
check: jdk ## format and static checks only
	@for script in forkd scripts/*.sh packaging/*.sh; do sh -n "$$script"; done
	@if command -v shellcheck >/dev/null; then shellcheck -x forkd scripts/*.sh packaging/*.sh .ci/run; fi
	@$(PYTHON) scripts/check_python.py python
	@$(MAKE) -C native
	@$(MVN) $(QUIET) verify -Dtest='dev/forkd/rules/*Test' -Dsurefire.failIfNoSpecifiedTests=true
	@echo 'check: ok'

.PHONY: test
test: export FORKD_MUST_RUN := process,vm
test: ## run all tests: native, Python, Java unit and integration (root; installs what it needs)
	@scripts/setup.sh --yes build run test vm
	@$(MAKE) build
	@$(MAKE) -C native test
	@$(PYTHON) -m pytest -q -p no:cacheprovider --junitxml=target/pytest.xml python/tests
	@$(MVN) verify -DskipITs=false -Dtest.without=
	@e2e/run.sh --junitxml=target/e2e.xml

.PHONY: test-vm
test-vm: export FORKD_MUST_RUN := vm
test-vm: ## run the tests of the vm engine alone (minutes under emulation; root)
	@scripts/setup.sh --yes build run test vm
	@$(MAKE) build
	@$(MVN) verify -DskipITs=false -Dtest.without= -Dit.test='Vm*IT' \
		-Dtest='dev/forkd/engine/vm/*Test'
	@/usr/bin/python3 -m pytest -q -p no:cacheprovider e2e/test_vm.py e2e/test_vm_crash.py

.PHONY: crash-vm
crash-vm: build ## kill daemon, virtual machines and their helpers 50 times at random (minutes; root)
	@FORKD_CRASH_ROUNDS=50 /usr/bin/python3 -m pytest -qs -p no:cacheprovider e2e/test_vm_crash.py

.PHONY: e2e-kvm
e2e-kvm: ## run virtual machines by KVM that an emulated machine lends (minutes; root)
	@scripts/setup.sh --yes build run test vm
	@$(MAKE) dist
	@e2e/kvm/run.sh

CRASH := test_kills or test_crowd or test_clock or test_full_disk or any_moment or one_tag or \
	live_children or locked_or_truncated

.PHONY: crash
crash: build ## kills, full disks, crowds, clock steps and races, 50 times each (half an hour; root)
	@FORKD_CRASH_ROUNDS=50 e2e/run.sh -k '$(CRASH)'

.PHONY: e2e
e2e: build ## drive the installed command and the REST API as a user would (root)
	@e2e/run.sh

.PHONY: fuzz
fuzz: export FORKD_FUZZ_SECONDS ?= 600
fuzz: build ## fuzz all that reads strangers' bytes, ten minutes each (FORKD_FUZZ_SECONDS=N)
	@$(MAKE) -C native/fuzz run SECONDS_EACH=$$FORKD_FUZZ_SECONDS
	@scripts/fuzz-java.sh $$FORKD_FUZZ_SECONDS
	@$(MVN) $(QUIET) test -Dtest=RecipeFuzzTest -Dsurefire.failIfNoSpecifiedTests=true

.PHONY: bench
bench: build ## measure; figures go to bench/results (root)
	@bench/run.sh

.PHONY: benchbranch
benchbranch: build ## measure branches of virtual machines (minutes; root)
	@scripts/setup.sh --yes run vm
	@FORKD_MUST_RUN=vm $(MVN) $(QUIET) verify -DskipITs=false -Dtest.without= -Dtest=MachineTest \
		-Dit.test=VmBranchFigures \
		-Dforkd.figures=bench/results/$$(date -u +%Y-%m-%dT%H%MZ)-vm-branch.md

.PHONY: demo
demo: ## warm a sandbox, fork it, show what came out (root)
	@./forkd quickstart --yes

DIST := target/dist/forkd-$(VERSION)
DIST_FILES := forkd README.md CHANGELOG.md LICENSE scripts/jvm.sh scripts/setup.sh \
	scripts/aot-cache.sh target/forkd.jar target/lib native/build/forkd-agent \
	native/build/forkd-launcher native/build/forkd-cli native/build/forkd-python \
	native/build/forkd-init native/build/forkd-vm native/build/forkd-net native/build/forkd-memory.so \
	python/forkd_runtime \
	python/forkd_pytest recipes
# What the program and its libraries use, with room for what they load by name.
DIST_MODULES := java.se,jdk.unsupported,jdk.net,jdk.management

.PHONY: dist
dist: ## pack forkd with a Java runtime of its own: a tarball and a Debian package in target/
	@rm -rf target/lib target/dist
	@$(MAKE) build
	@mkdir -p $(DIST)
	@cp -a --parents $$(ls -d $(DIST_FILES) 2>/dev/null) $(DIST)
	@find $(DIST) -name __pycache__ -prune -exec rm -rf {} +
	@"$$JAVA_HOME/bin/jlink" --add-modules $(DIST_MODULES) --strip-debug --no-header-files \
		--no-man-pages --compress zip-6 --output $(DIST)/runtime
	@tar -C target/dist -czf target/forkd-$(VERSION).tar.gz --owner=0 --group=0 --sort=name \
		forkd-$(VERSION)
	@echo target/forkd-$(VERSION).tar.gz
	@packaging/deb.sh $(VERSION) $(DIST)
	@rm -rf target/dist

.PHONY: fuzz-api
fuzz-api: build ## send 120 000 random requests to every route of the REST API (minutes; root)
	@$(MVN) $(QUIET) verify -Dtest=HostileInputTest -Dforkd.fuzz.requests=100000
	@FORKD_FUZZ_REQUESTS=$${FORKD_FUZZ_REQUESTS:-20000} e2e/run.sh -s -k test_random_requests

.PHONY: clean
clean: ## remove everything that was built
	@$(MAKE) -C native clean
	@rm -rf target .build.lock

.PHONY: format
format: jdk ## format the Java sources
	@$(MVN) $(QUIET) spotless:apply

.PHONY: jdk
jdk:
	@if [ -z "$$JAVA_HOME" ]; then . scripts/jvm.sh; jvm_find javac || jvm_missing; exit 69; fi
