# Mounts what a Debian root needs and runs a command in it: enter.sh ROOT SYSTEM [DIRECTORY:INSIDE]... -- COMMAND [ARGUMENT]...
# Called in its own mount and process namespace, which ends with the command and takes everything down. SYSTEM has cpuinfo and sys/:
# with this machine's own /proc/cpuinfo and /sys, ONNX Runtime detects the wrong processor and crashes.
set -euo pipefail
root=$1 system=$2
shift 2
mkdir -p "$root"/{proc,sys,dev,tmp}
mount -t proc proc "$root/proc"
mount --bind "$system/cpuinfo" "$root/proc/cpuinfo"
mount --bind "$system/sys" "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root"/dev/{shm,pts}
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [[ $1 != -- ]]; do
    mkdir -p "$root/${1#*:}"
    mount --bind -o ro "${1%%:*}" "$root/${1#*:}"
    shift
done
shift
exec chroot "$root" "$@"
