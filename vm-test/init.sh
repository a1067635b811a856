#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first process of a guest, from its initramfs: finds the disks, puts memory over the root so that it can be written
# to, and goes on with guest.sh there.
export PATH=/bin
mount -t devtmpfs none /dev
mount -t proc none /proc
for module in /modules/*.ko; do
	insmod "$module" || echo "sluice-vm: cannot load $module"
done
for ((tries = 0; tries < 100; tries++)); do
	[ ! -b /dev/vdd ] || break
	sleep 0.1
done
mount -t ext4 -o ro /dev/vda /lower
mount -t tmpfs none /upper
mkdir /upper/up /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/up,workdir=/upper/work none /root
mount -t ext4 -o ro /dev/vdb /root/usr/lib/modules
mount -t ext4 -o ro /dev/vdc /root/sluice
mount --move /dev /root/dev
umount /proc
exec switch_root /root /bin/bash /sluice/vm-test/guest.sh
