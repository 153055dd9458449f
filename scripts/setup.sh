#!/bin/sh
# Installs the Debian and Ubuntu packages that forkd needs.
#
#   scripts/setup.sh [--check | --yes] [GROUP...]      groups: build run test bench vm (default: all
#                                                    but vm)
#
# --check only reports and exits 1 when something is missing; --yes installs without asking.
set -eu
newline='
'

packages_of() { # GROUP
  case $1 in
    build) echo gcc libc6-dev linux-libc-dev make musl-tools maven ;;
    run) echo python3 python3-numpy iproute2 nftables mmdebstrap util-linux xz-utils ;;
    test)
      echo python3-pandas python3-sklearn
      echo python3-pytest python3-pytest-cov python3-pytest-xdist faketime cpio
      ;;
    bench) echo crun bubblewrap python3-networkx python3-sympy ;;
    vm) echo qemu-system-x86 e2fsprogs mmdebstrap nftables iproute2 ;;
    *) die "unknown group '$1'; groups are: build run test bench vm" ;;
  esac
}

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 2
}

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0"; }

# Sets missing to those of $wanted that dpkg does not have. One dpkg-query for all keeps it in ms.
# It fails when it does not know one of them, which is an answer too.
find_missing() {
  # shellcheck disable=SC2086
  installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' $wanted 2>/dev/null) || :
  missing=
  for package in $wanted; do
    case "$newline$installed$newline" in
      *"${newline}ii  $package$newline"* | *"${newline}ii  $package:"*) ;;
      *) missing="$missing $package" ;;
    esac
  done
  missing=${missing# }
}

# Without dpkg the commands are all that can be looked for.
find_missing_commands() {
  missing=
  for tool in gcc make musl-gcc mvn python3 ip; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
  done
  missing=${missing# }
}

no_apt() {
  say "this system has no apt-get; forkd's packages are known for Debian and Ubuntu only."
  if [ -n "$missing" ]; then say "commands not found: $missing"; fi
  cat >&2 <<END
       Install what is equivalent to: $wanted
       Fedora:
         dnf install gcc make musl-gcc musl-devel kernel-headers maven python3 python3-numpy \\
           python3-pandas python3-scikit-learn python3-pytest python3-pytest-xdist iproute xz
       Arch:
         pacman -S gcc make musl kernel-headers-musl maven python python-numpy python-pandas \\
           python-scikit-learn python-pytest python-pytest-xdist iproute2 xz
       Alpine:
         apk add gcc make musl-dev linux-headers maven python3 py3-numpy py3-pandas \\
           py3-scikit-learn py3-pytest py3-pytest-xdist iproute2 xz
END
}

apt_install() {
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 $missing >&2
}

confirm() {
  if [ "$assume_yes" = 1 ]; then return 0; fi
  if [ ! -t 0 ] || [ ! -t 2 ]; then
    say "not installing without being asked: run the command above, or this script with --yes"
    return 1
  fi
  printf 'setup: install them now? [Y/n] ' >&2
  read -r answer || answer=n
  case $answer in
    '' | [yY] | [yY][eE][sS]) return 0 ;;
  esac
  say 'nothing was installed'
  return 1
}

install_packages() {
  say "missing packages: $missing"
  say "command: apt-get install --no-install-recommends $missing"
  if [ "$check" = 1 ]; then return 1; fi
  if [ "$(id -u)" != 0 ]; then
    say "only root can install packages: run the command above with sudo, then try again"
    return 1
  fi
  confirm || return 1
  # The lists of the last update usually serve; fetching them takes longer than most packages.
  apt_install || {
    say 'the package lists may be old: updating them once'
    apt-get update -q >&2 && apt_install
  } || {
    say "apt-get could not install: $missing (see above)"
    return 1
  }
}

check_jdk() { # TOOL
  # shellcheck source=scripts/jvm.sh
  . "${0%/*}/jvm.sh"
  if jvm_find "$1"; then return 0; fi
  jvm_missing
  return 1
}

check=0
assume_yes=0
groups=''
for arg in "$@"; do
  case $arg in
    --check) check=1 ;;
    --yes | -y) assume_yes=1 ;;
    --help | -h)
      usage
      exit 0
      ;;
    -*) die "unknown option '$arg'; see --help" ;;
    *) groups="$groups $arg" ;;
  esac
done
wanted=''
tool=''
for group in ${groups:-build run test bench}; do
  packages=$(packages_of "$group")
  wanted="$wanted $packages"
  case $group in
    build | test) tool=javac ;;
    run) tool=${tool:-java} ;;
  esac
done
wanted=${wanted# }

result=0
if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
  find_missing
  if [ -n "$missing" ]; then install_packages || result=1; fi
else
  find_missing_commands
  if [ -n "$missing" ] || [ "$check" = 0 ]; then no_apt; fi
  if [ -n "$missing" ]; then result=1; fi
fi
if [ -n "$tool" ]; then check_jdk "$tool" || result=1; fi
if [ "$check" = 1 ] && [ "$result" = 0 ]; then say 'nothing is missing'; fi
exit "$result"
