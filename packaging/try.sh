#!/bin/sh
# Installs what `make dist` made in clean Debian roots, once the package and once the tarball, and
# runs there what a new user would: doctor, a snapshot, forks, a program, stop. Root; mmdebstrap.
#   packaging/try.sh [SUITE]        default: bookworm
# A plain chroot would not do: its "/" is no mount point, and forkd mounts over it. So each root is
# entered with pivot_root, in mount and pid namespaces of its own.
set -eu
cd "$(dirname "$0")/.."
suite=${1:-bookworm}
work=$(mktemp -d /var/tmp/forkd-try.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT INT TERM
deb=$(ls target/forkd_*_"$(dpkg --print-architecture)".deb)
tarball=$(ls target/forkd-*.tar.gz)

# Inside the new root, as pid 1 of its namespace: FORKD is the command.
inside() {
  cat <<'INSIDE'
set -eu
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=0755 tmpfs /run
cat >/tmp/recipe.yaml <<RECIPE
name: tried
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
warm: {imports: [json, decimal]}
RECIPE
$FORKD version || [ $? = 69 ] # no daemon yet
$FORKD doctor || [ $? = 7 ]
$FORKD snapshot /tmp/recipe.yaml
$FORKD fork tried -n 3
ids='import json, sys; print(*[s["id"] for s in json.load(sys.stdin)])'
for id in $($FORKD ls --json | python3 -c "$ids"); do
  [ "$($FORKD exec "$id" echo works)" = works ]
  [ "$($FORKD eval "$id" 'str(decimal.Decimal(7) / 2)')" = "'3.5'" ]
done
$FORKD stop
left=$($FORKD cleanup)
case $left in "nothing was left"*) ;; *) echo "$left"; exit 1 ;; esac
INSIDE
}

enter() { # ROOT FORKD
  inside >"$1/inside.sh"
  mkdir -p "$1/old"
  # shellcheck disable=SC2016
  ROOT=$1 FORKD=$2 env -u JAVA_HOME -u FORKD_JAVA_HOME unshare --mount --pid --fork \
    --propagation private sh -euc '
    mount --bind "$ROOT" "$ROOT"
    mount --rbind /sys "$ROOT/sys"
    mount --rbind /dev "$ROOT/dev"
    cd "$ROOT"
    pivot_root . old
    cd /
    mount -t proc proc /proc # umount reads it
    umount -l /old
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 FORKD="$FORKD" \
      sh /inside.sh'
}

clean_root() { # NAME
  mmdebstrap --quiet --variant=minbase --include=python3,util-linux "$suite" "$work/$1"
}

clean_root deb
cp "$deb" "$work/deb/forkd.deb"
# dpkg refuses when a dependency is missing: what the root has is what the package asks for.
chroot "$work/deb" dpkg -i /forkd.deb
enter "$work/deb" /usr/bin/forkd
chroot "$work/deb" dpkg --purge forkd >/dev/null
[ ! -e "$work/deb/usr/lib/forkd" ]
echo "try: the package works in $suite"

clean_root tarball
mkdir "$work/tarball/opt/forkd"
tar -C "$work/tarball/opt/forkd" --strip-components=1 -xzf "$tarball"
enter "$work/tarball" /opt/forkd/forkd
echo "try: the tarball works in $suite"
