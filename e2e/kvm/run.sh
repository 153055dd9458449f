#!/usr/bin/env bash
# The KVM path of the vm engine where no KVM is: an emulated machine lends its (emulated) hardware
# virtualization, and forkd in it makes virtual machines that KVM runs. Minutes; root.
#   e2e/kvm/run.sh        `make e2e-kvm` makes what it packs, the distribution
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${FORKD_VM_CACHE:-$PWD/target/vm-cache}
host=$cache/kvm-host
image=$cache/numpy-tree
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "e2e-kvm: $*" >&2; }

# A tree is made under another name: an interrupted one must not pass for whole.
tree() { # DIRECTORY PACKAGES
  [ -d "$1" ] && return
  say "making $1"
  rm -rf "$1.part"
  mkdir -p "$(dirname "$1")"
  mmdebstrap --quiet --variant=minbase --include="$2" bookworm "$1.part"
  mv "$1.part" "$1"
}

kernel() {
  local meta=linux-image-cloud-amd64 package
  package=$(apt-cache depends "$meta" | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
  [ -n "$package" ] || { say "the package lists have no $meta; run apt-get update"; exit 1; }
  version=${package#linux-image-}
  (cd "$work" && apt-get -qq download "$package" && dpkg-deb -x "$package"_*.deb kernel)
}

initramfs() {
  local module from=$work/kernel/lib/modules/$version/kernel to=$work/initramfs
  mkdir -p "$to"/{dev,root,modules}
  musl-gcc -std=c17 -Wall -Wextra -Werror -O2 -static -o "$to/init" e2e/kvm/init.c
  for module in virtio_ring virtio virtio_mmio virtio_blk virtio-rng overlay failover \
    net_failover tun irqbypass kvm kvm-amd; do
    find "$from" -name "$module.ko" -exec cp {} "$to/modules/" \;
  done
  (cd "$to" && find . | cpio --quiet -o -H newc) >"$work/initramfs.cpio"
}

disk() {
  local root=$work/root vm=$work/root/opt/state/images/vm
  mkdir -p "$root/opt"
  cp -a "$host/." "$root/"
  cp -a "$image" "$root/opt/image"
  tar -C "$root/opt" -xzf target/forkd-*.tar.gz
  mv "$root"/opt/forkd-* "$root/opt/forkd"
  mkdir -p "$root/opt/check" "$root/workdir" "$vm/kernel-net-$version"
  cp e2e/kvm/check.py e2e/rest.py "$root/opt/check/"
  # There is no network in there that the kernel's package could be fetched from, and no list.
  printf '#!/bin/sh\necho "  Depends: linux-image-%s"\n' "$version" >"$root/usr/bin/apt-cache"
  cp "$work/kernel/boot/vmlinuz-$version" "$vm/kernel-net-$version/vmlinuz"
  find "$work/kernel" -name 'virtio*.ko' -exec cp {} "$vm/kernel-net-$version/" \;
  find "$work/kernel" \( -name overlay.ko -o -name failover.ko -o -name net_failover.ko \) \
    -exec cp {} "$vm/kernel-net-$version/" \;
  mke2fs -q -F -t ext4 -O ^has_journal,^metadata_csum -m 0 -d "$root" "$work/disk" 3G
  rm -rf "$root"
}

tree "$host" qemu-system-x86,python3,iproute2,nftables,e2fsprogs
tree "$image" python3,python3-numpy
kernel
initramfs
disk
say "booting ($version, emulated, with SVM)"
timeout "${FORKD_KVM_SECONDS:-1500}" qemu-system-x86_64 -nodefaults -no-user-config -display none \
  -no-reboot -accel tcg,thread=multi -cpu max,+svm,+npt -smp 2 -m 4096 \
  -M microvm,acpi=on,rtc=on,isa-serial=on -kernel "$work/kernel/boot/vmlinuz-$version" \
  -initrd "$work/initramfs.cpio" -append "console=ttyS0 loglevel=4 panic=-1 reboot=t \
    mitigations=off random.trust_cpu=on no_timer_check tsc=reliable \
    tsc_early_khz=$(native/build/forkd-vm tsc)" \
  -blockdev driver=file,node-name=file,filename="$work/disk",locking=off \
  -blockdev driver=raw,node-name=disk,file=file -device virtio-blk-device,drive=disk \
  -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-device,rng=rng \
  -serial stdio | tee "$work/said"
grep -q 'e2e-kvm: ok' "$work/said"
