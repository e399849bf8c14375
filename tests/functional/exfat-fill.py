#!/usr/bin/env python3
"""exfat-fill.py IMAGE TREE SEED: puts the tree into a new exFAT filesystem as drivers may:
files in one piece without a chain and in scattered clusters, zeroes at the end that were
never written, times in several zones, entries that are deleted.  With "parts=yes" all of the directories are in pieces, too; "vendor=yes": some files and the
root have an entry that only few know; "texfat=yes": the second FAT and bitmap count."""
import os
import random
import stat
import struct
import sys


class Volume:
    def __init__(self, path):
        self.file = open(path, 'r+b')
        boot = self.file.read(512)
        (self.fat_at, fat_len, heap, self.count, self.root) = struct.unpack_from('<5I', boot, 80)
        self.sector, self.cluster = 1 << boot[108], 1 << boot[108] + boot[109]
        self.fat_at *= self.sector
        self.heap = heap * self.sector
        self.fat = bytearray(self.pread(self.fat_at, fat_len * self.sector))
        root = self.pread(self.place(self.root), self.cluster)
        self.root_entries = []
        for at in range(0, len(root), 32):
            entry = root[at:at + 32]
            if not entry[0]:
                break
            self.root_entries.append(entry)
            if entry[0] == 0x81:
                self.bitmap_chain = self.chain(struct.unpack_from('<I', entry, 20)[0])
                self.bitmap = bytearray(self.read_chain(self.bitmap_chain))
            elif entry[0] == 0x82:
                first, size = struct.unpack_from('<IQ', entry, 20)
                self.load_upcase(self.read_chain(self.chain(first))[:size])
        self.next = 2

    def pread(self, at, n):
        self.file.seek(at)
        return self.file.read(n)

    def pwrite(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def place(self, cluster):
        return self.heap + (cluster - 2) * self.cluster

    def chain(self, cluster):
        found = []
        while 2 <= cluster < self.count + 2:
            found.append(cluster)
            cluster = struct.unpack_from('<I', self.fat, cluster * 4)[0]
        return found

    def read_chain(self, clusters):
        return b''.join(self.pread(self.place(c), self.cluster) for c in clusters)

    def load_upcase(self, table):
        units = struct.unpack('<%dH' % (len(table) // 2), table)
        self.upcase = list(range(65536))
        i = at = 0
        while i < len(units):
            if units[i] == 0xffff and i + 1 < len(units):
                at += units[i + 1]
                i += 2
                continue
            self.upcase[at] = units[i]
            at += 1
            i += 1

    def is_free(self, cluster):
        return not self.bitmap[(cluster - 2) // 8] >> (cluster - 2) % 8 & 1

    def take(self, cluster):
        self.bitmap[(cluster - 2) // 8] |= 1 << (cluster - 2) % 8

    def allocate(self, n, contiguous):
        """In one piece, or with gaps (that others fill) and out of order."""
        found = []
        while len(found) < n:
            assert self.next < self.count + 2, 'it does not fit'
            if self.is_free(self.next):
                found.append(self.next)
            elif contiguous:
                found = []
            self.next += 1
            if not contiguous and rng.random() < 0.3:
                self.next += 1
        for cluster in found:
            self.take(cluster)
        if not contiguous:
            for i in range(0, n - 1, 3):
                found[i], found[i + 1] = found[i + 1], found[i]
        return found

    def link(self, clusters):
        for this, after in zip(clusters, clusters[1:] + [0xffffffff]):
            struct.pack_into('<I', self.fat, this * 4, after)

    def put(self, clusters, data):
        """What there is of the data."""
        runs = []
        for i, cluster in enumerate(clusters):
            if runs and runs[-1][0] + runs[-1][1] == cluster:
                runs[-1][1] += 1
            else:
                runs.append([cluster, 1, i])
        for first, n, i in runs:
            self.pwrite(self.place(first), data[i * self.cluster:(i + n) * self.cluster])

    def finish(self, texfat):
        free = [c for c in range(2, self.next + 100) if c < self.count + 2 and self.is_free(c)]
        for cluster in free[:100]:
            self.pwrite(self.place(cluster), b'of a file that is gone')
        self.put(self.bitmap_chain, bytes(self.bitmap))
        self.pwrite(self.fat_at, self.fat)
        if texfat:
            self.second_fat()
        self.file.close()

    def second_fat(self):
        """The second FAT is put where mkfs has left room; the first is made useless."""
        at = self.fat_at + len(self.fat)
        assert at + len(self.fat) <= self.heap, 'no room for a second FAT'
        self.pwrite(at, self.fat)
        self.pwrite(self.fat_at + 8, bytes(len(self.fat) - 8))
        boot = bytearray(self.pread(0, 12 * self.sector))
        boot[110] = 2
        boot[106] |= 1
        total = 0
        for i, byte in enumerate(boot[:11 * self.sector]):
            if i not in (106, 107, 112):
                total = ((total >> 1 | total << 31) + byte) & 0xffffffff
        boot[11 * self.sector:] = struct.pack('<I', total) * (self.sector // 4)
        self.pwrite(0, boot)
        self.pwrite(12 * self.sector, boot)


def set_checksum(entries):
    total = 0
    for i, byte in enumerate(entries):
        if i not in (2, 3):
            total = ((total >> 1 | total << 15) + byte) & 0xffff
    return struct.pack('<H', total)


def units_of(name):
    """Bytes that are no UTF-8 in the names of the tree are halves of pairs."""
    text = name.decode('utf-8', 'surrogatepass')
    raw = text.encode('utf-16-le', 'surrogatepass')
    return struct.unpack('<%dH' % (len(raw) // 2), raw)


def name_hash(volume, units):
    total = 0
    for unit in units:
        for byte in struct.pack('<H', volume.upcase[unit]):
            total = ((total >> 1 | total << 15) + byte) & 0xffff
    return total


DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def stamp(ns, quarters):
    """(timestamp, 10 ms): local time, so many quarters of an hour before UTC's."""
    sec, rest = divmod(ns, 10**9)
    sec += (quarters or 0) * 900
    days, sec = divmod(sec, 86400)
    days -= 3652
    year = 0
    while True:
        length = 365 + (year % 4 == 0 and year != 120)
        if days < length:
            break
        days -= length
        year += 1
    month = 0
    while days >= DAYS[month] + (month == 1 and length == 366):
        days -= DAYS[month] + (month == 1 and length == 366)
        month += 1
    value = year << 25 | month + 1 << 21 | days + 1 << 16 | sec // 3600 << 11 | \
        sec // 60 % 60 << 5 | sec % 60 // 2
    return value, sec % 2 * 100 + rest // 10**7


def entries_of(volume, name, st, clusters, contiguous, written, size):
    units = units_of(name)
    zones = (None, 0, 4, -20, 38, -48, 56)
    ns = st.st_mtime_ns
    quarters = rng.choice(zones if 400000000 < ns // 10**9 < 4300000000 else (None, 0))
    when, tens = stamp(ns, quarters)
    zone = 0 if quarters is None else 0x80 | quarters & 0x7f
    is_dir = stat.S_ISDIR(st.st_mode)
    attributes = 0x10 if is_dir else 0x20 | (st.st_mode & 0o200 == 0)
    stream = struct.pack('<BBBBHHQIIQ', 0xc0, 1 | contiguous << 1, 0, len(units),
                         name_hash(volume, units), 0, written, 0,
                         clusters[0] if clusters else 0, size)
    rest = [stream]
    for i in range(0, len(units), 15):
        piece = units[i:i + 15]
        rest.append(struct.pack('<BB15H', 0xc1, 0, *(piece + (0,) * (15 - len(piece)))))
    if vendor and rng.random() < 0.1:
        rest.append(struct.pack('<BB16s14s', 0xe0, 0, b'a vendor' * 2, b'knows this'))
    first = struct.pack('<BBHHHIIIBBBBB7x', 0x85, len(rest), 0, attributes, 0, when, when, when,
                        tens, tens, zone, zone, zone)
    entries = bytearray(first + b''.join(rest))
    entries[2:4] = set_checksum(entries)
    if rng.random() < 0.15:         # and one that was deleted
        gone = bytearray(entries)
        for at in range(0, len(gone), 32):
            gone[at] &= 0x7f
        return bytes(gone + entries)
    return bytes(entries)


def add_file(volume, path, st):
    with open(path, 'rb') as file:
        data = file.read()
    written = len(data.rstrip(b'\0'))
    written += (len(data) - written) * (rng.random() < 0.3)
    contiguous = rng.random() < 0.5
    clusters = volume.allocate(-(-len(data) // volume.cluster), contiguous)
    if not contiguous:
        volume.link(clusters)
    room = len(clusters) * volume.cluster
    stale = min(room - written, 100000)
    volume.put(clusters, data[:written] + (b'what was there before' * 5000)[:stale])
    return clusters, contiguous and bool(clusters), written, len(data)


def add_folder(volume, path, top=False):
    entries = bytearray(b''.join(volume.root_entries)) if top else bytearray()
    for name in sorted(os.listdir(path), key=lambda name: rng.random()):
        child = os.path.join(path, name)
        st = os.lstat(child)
        if stat.S_ISDIR(st.st_mode):
            what = add_folder(volume, child)
        else:
            what = add_file(volume, child, st)
        entries += entries_of(volume, name, st, *what)
    size = -(-max(len(entries), 1) // volume.cluster) * volume.cluster
    contiguous = not top and parts != 'yes' and rng.random() < 0.5
    count = size // volume.cluster - top
    clusters = volume.allocate(count, contiguous)
    if top:
        clusters.insert(0, volume.root)
    if not contiguous:
        volume.link(clusters)
    volume.put(clusters, bytes(entries) + bytes(min(size - len(entries), 65536)))
    return clusters, contiguous, size, size


options = dict(word.split('=') for word in sys.argv[4:])
parts, vendor = options.get('parts'), options.get('vendor')
rng = random.Random(int(sys.argv[3]))
target = Volume(sys.argv[1])
if options.get('texfat'):
    target.root_entries = [bytes([e[0], 1]) + e[2:] if e[0] == 0x81 else e
                           for e in target.root_entries]
if vendor:
    target.root_entries.append(struct.pack('<BBHH16s10x', 0xa0, 0, 0, 0, b'an identity    .'))
add_folder(target, os.fsencode(sys.argv[2]), True)
target.finish(options.get('texfat'))
