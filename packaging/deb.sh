#!/bin/sh
# Makes target/forkd_VERSION_ARCH.deb from the tree that `make dist` has staged.
#   packaging/deb.sh VERSION STAGED_TREE
set -eu
version=$1
tree=$2
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
chmod 0755 "$root"
mkdir -p "$root/DEBIAN" "$root/usr/lib" "$root/usr/bin" "$root/lib/systemd/system" \
  "$root/etc/default" "$root/usr/share/doc/forkd"
cp -a "$tree" "$root/usr/lib/forkd"
ln -s ../lib/forkd/forkd "$root/usr/bin/forkd"
install -m 0644 packaging/systemd/forkd.service "$root/lib/systemd/system/"
install -m 0644 packaging/systemd/forkd.default "$root/etc/default/forkd"
cp -a README.md LICENSE CHANGELOG.md docs "$root/usr/share/doc/forkd/"
echo /etc/default/forkd >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: forkd
Version: $version
Architecture: $arch
Maintainer: forkd developers <forkd@localhost>
Section: admin
Priority: optional
Depends: python3, util-linux
Recommends: python3-pytest, mmdebstrap
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: forks warmed sandboxes into many isolated children
 forkd starts an environment once, imports everything, freezes it and forks it:
 isolated sandboxes in milliseconds, with their memory shared copy-on-write.
 The package has a Java runtime of its own.
CONTROL
# A service is not started behind the user's back; one that runs goes on with the new version.
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart forkd.service
fi
POSTINST
cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop forkd.service; fi
PRERM
chmod 0755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
dpkg-deb --root-owner-group -Zxz -b "$root" "target/forkd_${version}_$arch.deb" >/dev/null
echo "target/forkd_${version}_$arch.deb"
