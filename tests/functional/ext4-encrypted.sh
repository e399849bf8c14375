#!/bin/bash
# Encrypted directories must be listed as the kernel lists them to those without the key,
# and contents refused.
source "$(dirname "$0")/common.sh"
need mke2fs python3 mount
need_loop

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir mnt
on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"

cat >encrypt.py <<'END'
import ctypes, fcntl, os, struct, sys
ADD_KEY, SET_POLICY = 0xc0506617, 0x800c6613

os.chdir(sys.argv[1])
key = bytes(range(64))
arg = bytearray(struct.pack('<II32sII32s', 2, 0, b'', len(key), 0, b'') + key)
fd = os.open('.', os.O_RDONLY)
try:
    fcntl.ioctl(fd, ADD_KEY, arg)
except OSError as error:
    print(error)
    sys.exit(77)
for name, names_padding in (('secret', 0), ('padded', 3)):
    os.mkdir(name)
    dir_fd = os.open(name, os.O_RDONLY)
    fcntl.ioctl(dir_fd, SET_POLICY,
                struct.pack('<BBBBB3s16s', 2, 1, 4, names_padding, 0, b'', bytes(arg[8:24])))
    for length in (1, 2, 15, 16, 17, 31, 32, 100, 144, 145, 148, 149, 150, 160, 161, 200, 255):
        with open('%s/%s' % (name, 'n' * length), 'wb') as file:
            file.write(b'secret' * length)
    for length in (1, 20, 40, 60, 200, 1000):
        os.symlink('t' * length, '%s/link-%d' % (name, length))
    os.mkdir(name + '/many')
    for i in range(700):
        with open('%s/many/%s-%d' % (name, 'many' * (i % 50), i), 'wb') as file:
            file.write(b'x' * (i % 3))
    os.setxattr(name + '/n', 'user.visible', b'value')
os.mkdir('open')
with open('open/file', 'wb') as file:
    file.write(b'not encrypted')
END

# check NAME MKE2FS-OPTION...
check()
{
    local name=$1 status=0
    shift
    rm -f image
    truncate -s 64M image
    mke2fs -q -F -t ext4 "$@" image
    mount -o loop image mnt || skip "this kernel does not mount such a filesystem"
    python3 encrypt.py mnt >encrypt.txt || status=$?
    [ "$status" != 77 ] || skip "this kernel does not encrypt: $(cat encrypt.txt)"
    [ "$status" = 0 ] || fail "$name: encrypt.py"
    umount mnt
    mount -o loop,ro image mnt
    python3 "$tests/fs-tree.py" dump mnt >theirs
    umount mnt
    "$fs_dump" image >ours 2>errors.txt || { cat errors.txt >&2; fail "$name: fs-dump"; }
    same_through_engram image image "$name"
    python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "$name: not as mounted"
    [ "$(grep -c 'sum=encrypted' ours)" -gt 1400 ] || fail "$name: nothing is encrypted"
    if grep -q 'sum=readable' ours; then
        fail "$name: encrypted content was read"
    fi
}

check 4k -b 4096 -O encrypt
check 1k -b 1024 -N 4000 -O encrypt,^metadata_csum
check inline -b 4096 -O encrypt,inline_data
