#!/usr/bin/env python3
"""A second reader of engrams, written from docs/interop/engram.md alone.

    engram_spec.py raw ENGRAM OUT [IMAGE]   the disk's bytes
    engram_spec.py verify ENGRAM            every checksum, identity and digest
    engram_spec.py files ENGRAM [IMAGE]     the manifest, one JSON object a line
    engram_spec.py objects ENGRAM           offset, type, stored and raw bytes of each
    engram_spec.py digest ENGRAM FILE...    the digest that a file of that content has

Python's standard library, and libzstd and libxxhash by way of ctypes.
"""
import ctypes
import ctypes.util
import hashlib
import json
import stat
import struct
import sys


def library(name, version):
    path = ctypes.util.find_library(name) or 'lib%s.so.%d' % (name, version)
    return ctypes.CDLL(path)


try:
    ZSTD = library('zstd', 1)
    XXHASH = library('xxhash', 0)
except OSError as error:
    print('SKIP: %s' % error)
    sys.exit(77)
ZSTD.ZSTD_decompress.restype = ctypes.c_size_t
ZSTD.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p,
                                 ctypes.c_size_t]
ZSTD.ZSTD_createDCtx.restype = ctypes.c_void_p
ZSTD.ZSTD_freeDCtx.argtypes = [ctypes.c_void_p]
ZSTD.ZSTD_DCtx_refPrefix.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
ZSTD.ZSTD_decompressDCtx.restype = ctypes.c_size_t
ZSTD.ZSTD_decompressDCtx.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                                     ctypes.c_char_p, ctypes.c_size_t]
XXHASH.XXH3_64bits.restype = ctypes.c_uint64
XXHASH.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]

MAGIC = b'\x89ENGRAM\n'
(FRAME, CHUNKS, FRAME_DIR, MAP, SEGMENTS, MAP_ROOT, FILES, VECTORS, MANIFEST, IMAGE,
 PROFILES, COMMIT) = range(1, 13)
RECALL, VECTOR_INDEX, MEMBERS, FEATURES = 15, 16, 17, 18
ZERO, CHUNK, DELTA, DROPPED = range(4)
NONE = (0, 0, 0)


def need(condition, text, *args):
    if not condition:
        sys.exit('engram_spec: ' + text % args)


def checksum(data):
    return XXHASH.XXH3_64bits(bytes(data), len(data))


def ref_at(data, pos):
    return struct.unpack_from('<QII', data, pos)


class Engram:
    def __init__(self, name):
        self.file = open(name, 'rb')
        self.size = self.file.seek(0, 2)
        slots = [s for s in (self.read_slot(0), self.read_slot(1)) if s]
        need(slots, 'no valid slot')
        self.slot = max(slots, key=lambda s: s['sequence'])
        need(self.slot['incompatible'] in (0, 2), 'incompatible features')
        self.corrections = 0
        self.read_commit()

    def read_slot(self, index):
        self.file.seek(index * 4096)
        data = self.file.read(4096)
        if len(data) < 4096 or data[:8] != MAGIC or checksum(data[:4088]) != \
                struct.unpack_from('<Q', data, 4088)[0]:
            return None
        version, header_bytes, incompatible = struct.unpack_from('<IIQ', data, 8)
        autoclear, = struct.unpack_from('<Q', data, 32)
        sequence, = struct.unpack_from('<Q', data, 56)
        end, = struct.unpack_from('<Q', data, 80)
        commit = ref_at(data, 64)
        if version != 1 or end < 8192 or end % 8 or end > self.size or \
                not 8192 <= commit[0] < end:
            return None
        need(header_bytes == 88, 'header_bytes is %d', header_bytes)
        need((sequence - 1) % 2 == index, 'commit %d in slot %d', sequence, index)
        need(not any(data[88:4088]), 'slot %d: reserved bytes are not zero', index)
        return {'sequence': sequence, 'end': end, 'commit': commit,
                'incompatible': incompatible, 'autoclear': autoclear}

    def header(self, offset):
        self.file.seek(offset)
        head = self.file.read(32)
        need(len(head) == 32 and head[:4] == b'EOBJ', 'no object at 0x%x', offset)
        kind, codec, flags, profile, stored, raw, payload, own = \
            struct.unpack('<BBBBIIQQ', head[4:])
        need(checksum(head[:24]) == own, 'header checksum at 0x%x', offset)
        return kind, codec, flags, profile, stored, raw, payload

    def correct(self, offset, data, raw):
        recalled = ref_at(data, 0)
        need(recalled[0] < offset, 'correction at 0x%x of what is behind it', offset)
        prefix = self.load(recalled, FRAME, plain=True)
        out = ctypes.create_string_buffer(raw)
        context = ZSTD.ZSTD_createDCtx()
        ZSTD.ZSTD_DCtx_refPrefix(context, prefix, len(prefix))
        n = ZSTD.ZSTD_decompressDCtx(context, out, raw, data[16:], len(data) - 16)
        ZSTD.ZSTD_freeDCtx(context)
        need(n == raw, 'zstd at 0x%x', offset)
        self.corrections += 1
        return out.raw

    def load(self, ref, expected, plain=False):
        offset, ref_stored, ref_raw = ref
        need(offset % 8 == 0 and offset >= 8192 and offset + ref_stored <= self.slot['end']
             if hasattr(self, 'slot') else True, 'reference to 0x%x', offset)
        kind, codec, flags, profile, stored, raw, payload = self.header(offset)
        need(kind == expected, 'object at 0x%x is of type %d, not %d', offset, kind, expected)
        need(stored + 32 == ref_stored and raw == ref_raw, 'sizes at 0x%x', offset)
        need(flags == 0, 'flags at 0x%x', offset)
        need(profile == 0 or kind == FRAME, 'profile at 0x%x', offset)
        data = self.file.read(stored)
        padding = self.file.read(-stored % 8)
        need(not any(padding) and len(padding) == -stored % 8, 'padding at 0x%x', offset)
        need(checksum(data) == payload, 'payload checksum at 0x%x', offset)
        if codec == 0:
            need(stored == raw, 'stored object at 0x%x', offset)
            return data
        need(codec in (1, 2) and stored < raw, 'codec at 0x%x', offset)
        if codec == 2:
            need(kind == FRAME and not plain and self.slot['incompatible'] & 2,
                 'correction at 0x%x', offset)
            return self.correct(offset, data, raw)
        out = ctypes.create_string_buffer(raw)
        need(ZSTD.ZSTD_decompress(out, raw, data, stored) == raw, 'zstd at 0x%x', offset)
        return out.raw

    def read_commit(self):
        data = self.load(self.slot['commit'], COMMIT)
        self.commit = data
        need(struct.unpack_from('<Q', data)[0] == self.slot['sequence'], 'sequence')
        self.frames, self.chunks, images, pages, sources = \
            struct.unpack_from('<QQIII', data, 112)
        need(sources == 0, 'sources')
        need(len(data) == 144 + 32 * images + 16 * pages, 'size of the commit record')
        self.profiles = ref_at(data, 32)
        self.chunker = struct.unpack_from('<III', data, 96)
        self.images = []
        for i in range(images):
            at = 144 + 32 * i
            name_hash, size = struct.unpack_from('<QQ', data, at + 16)
            self.images.append((ref_at(data, at), name_hash, size))
        self.pages = [ref_at(data, 144 + 32 * images + 16 * i) for i in range(pages)]

    def image(self, index):
        ref, name_hash, size = self.images[index]
        data = self.load(ref, IMAGE)
        virtual_size, created, digest = struct.unpack_from('<QQ32s', data)
        name_bytes, info_bytes = struct.unpack_from('<II', data, 112)
        need(len(data) == 120 + name_bytes + info_bytes, 'size of the image record')
        name = data[120:120 + name_bytes]
        need(checksum(name) == name_hash and virtual_size == size, 'image %r', name)
        info = data[120 + name_bytes:]
        if info:
            json.loads(info)
        return {'name': name.decode(), 'size': virtual_size, 'digest': digest,
                'map_root': ref_at(data, 48), 'manifest': ref_at(data, 64),
                'vector_index': ref_at(data, 80)}

    def find_image(self, name):
        for i in range(len(self.images)):
            image = self.image(i)
            if name is None or image['name'] == name:
                return image
        sys.exit('engram_spec: no image %r' % name)

    def segments(self, image):
        """(start, bytes, map reference, digest) of each; the digest None without a page."""
        root = self.load(image['map_root'], MAP_ROOT)
        size, bits, pages = struct.unpack_from('<QII', root)
        count = (size + (1 << bits) - 1) >> bits
        need(size == image['size'] and 16 <= bits <= 26, 'map root')
        need(pages == (count + 1023) // 1024 and len(root) == 16 + 16 * pages, 'pages')
        image['segment_bits'] = bits
        for page in range(pages):
            ref = ref_at(root, 16 + 16 * page)
            data = None if ref == NONE else self.load(ref, SEGMENTS)
            n = min(1024, count - page * 1024)
            need(data is None or len(data) == 48 * n, 'segments at 0x%x', ref[0])
            for i in range(n):
                start = (page * 1024 + i) << bits
                length = min(1 << bits, size - start)
                if data is None:
                    yield start, length, NONE, None
                else:
                    yield start, length, ref_at(data, 48 * i), \
                        data[48 * i + 16:48 * i + 48]

    def entries(self, ref, segment_bytes):
        """(kind, length, frame reference, position, skip) of a map."""
        if ref == NONE:
            return [(ZERO, segment_bytes, None, 0, 0)]
        data = self.load(ref, MAP)
        n, m = struct.unpack_from('<II', data)
        need(n >= 1 and len(data) == 8 + 24 * m + 15 * n, 'map at 0x%x', ref[0])
        frames = []
        for i in range(m):
            source, = struct.unpack_from('<H', data, 8 + 24 * i + 16)
            need(source == 0, 'source in the map at 0x%x', ref[0])
            frames.append(ref_at(data, 8 + 24 * i))
        at = 8 + 24 * m
        columns = []
        for letter, width in (('B', 1), ('I', 4), ('H', 2), ('I', 4), ('I', 4)):
            columns.append(struct.unpack_from('<%d%s' % (n, letter), data, at))
            at += width * n
        out = []
        for kind, length, frame, position, skip in zip(*columns):
            need(kind in (ZERO, CHUNK, DROPPED) and length > 0, 'map at 0x%x', ref[0])
            if kind == CHUNK:
                need(position + skip + length <= frames[frame][2], 'map at 0x%x', ref[0])
                out.append((kind, length, frames[frame], position, skip))
            else:
                need((frame, position, skip) == (0, 0, 0), 'map at 0x%x', ref[0])
                out.append((kind, length, None, 0, 0))
        need(sum(e[1] for e in out) == segment_bytes, 'lengths of the map at 0x%x', ref[0])
        for a, b in zip(out, out[1:]):
            need(a[0] != b[0] or a[0] == CHUNK, 'zeroes side by side at 0x%x', ref[0])
            need(a[0] != CHUNK or a[2:4] != b[2:4] or a[4] + a[1] != b[4],
                 'a chunk goes on in a second entry at 0x%x', ref[0])
        return out

    def directory(self):
        for ref in self.pages:
            data = self.load(ref, FRAME_DIR)
            need(data and len(data) % 32 == 0, 'frame directory page at 0x%x', ref[0])
            for at in range(0, len(data), 32):
                yield ref_at(data, at), ref_at(data, at + 16)


def write_raw(engram, out, name):
    image = engram.find_image(name)
    cache = {}
    with open(out, 'wb') as file:
        file.truncate(image['size'])
        for start, length, ref, _ in engram.segments(image):
            for kind, n, frame, position, skip in engram.entries(ref, length):
                if kind == CHUNK:
                    if frame not in cache:
                        while len(cache) > 64:
                            del cache[next(iter(cache))]
                        cache[frame] = engram.load(frame, FRAME)
                    file.seek(start)
                    file.write(cache[frame][position + skip:position + skip + n])
                start += n


def read_codebook(engram):
    """Verifies all frames; frame reference -> {position: (length, identity)}."""
    frames, chunks, end = {}, 0, 8192
    identities = set()
    for ref, list_ref in engram.directory():
        need(ref[0] >= end, 'frames out of order at 0x%x', ref[0])
        need(list_ref[0] == ref[0] + (ref[1] + 7) // 8 * 8, 'chunk list of 0x%x', ref[0])
        end = list_ref[0] + list_ref[1]
        data, listed = engram.load(ref, FRAME), engram.load(list_ref, CHUNKS)
        need(len(data) <= 16 << 20, 'frame at 0x%x is too large', ref[0])
        count, = struct.unpack_from('<I', listed)
        need(count >= 1 and len(listed) == 24 + 36 * count, 'chunk list at 0x%x', list_ref[0])
        need(ref_at(listed, 8) == ref, 'frame of the chunk list at 0x%x', list_ref[0])
        lengths = struct.unpack_from('<%dI' % count, listed, 24)
        need(sum(lengths) == len(data), 'lengths of the chunk list at 0x%x', list_ref[0])
        position, places = 0, {}
        for i, length in enumerate(lengths):
            at = 24 + 4 * count + 32 * i
            identity = listed[at:at + 32]
            need(1 <= length <= 1 << 20, 'chunk at %d in 0x%x', position, ref[0])
            need(hashlib.sha256(data[position:position + length]).digest() == identity,
                 'identity of chunk at %d in 0x%x', position, ref[0])
            need(identity not in identities, 'chunk at %d in 0x%x is there twice',
                 position, ref[0])
            identities.add(identity)
            places[position] = (length, identity)
            position += length
        frames[ref] = places
        chunks += count
    need(len(frames) == engram.frames and chunks == engram.chunks, 'numbers of the commit')
    return frames


def segment_digest(entries, frames):
    out, zero = hashlib.sha256(), 0
    for kind, length, frame, position, skip in entries:
        if kind != CHUNK:
            zero += length
            continue
        if zero:
            out.update(struct.pack('<BQ', 0, zero))
            zero = 0
        need(frame in frames and position in frames[frame], 'a map leads to no chunk')
        chunk_bytes, identity = frames[frame][position]
        need(skip + length <= chunk_bytes, 'a map leads past its chunk')
        out.update(struct.pack('<BQQ', 1, length, skip) + identity)
    if zero:
        out.update(struct.pack('<BQ', 0, zero))
    return out.digest()


def verify_recall_index(engram):
    root = ref_at(engram.commit, 64)
    need((root != NONE) == bool(engram.slot['autoclear'] & 1), 'recall index')
    if root == NONE:
        return
    data = engram.load(root, RECALL)
    pages, features, rate = struct.unpack_from('<IHH', data)
    need(len(data) == 8 + 16 * pages and (features, rate) == (4, 512), 'recall index')
    for i in range(pages):
        page, at = engram.load(ref_at(data, 8 + 16 * i), FEATURES), 0
        while at < len(page):
            frame, n = struct.unpack_from('<II', page, at)
            need(frame < engram.frames and at + 8 + 4 * n <= len(page), 'features page')
            at += 8 + 4 * n
        need(at == len(page), 'size of a features page')


def verify(engram):
    frames = read_codebook(engram)
    json.loads(engram.load(engram.profiles, PROFILES))
    verify_recall_index(engram)
    print('%d frames, %d corrections' % (engram.frames, engram.corrections))
    names = set()
    for i in range(len(engram.images)):
        image = engram.image(i)
        need(image['name'] not in names, 'image %r twice', image['name'])
        names.add(image['name'])
        digests = []
        for start, length, ref, digest in engram.segments(image):
            found = segment_digest(engram.entries(ref, length), frames)
            need(digest in (None, found), 'digest of the segment at 0x%x', start)
            digests.append(found)
        root = hashlib.sha256(b'embr device map\0')
        root.update(struct.pack('<QQ', image['size'], image.get('segment_bits', 22)))
        for first in range(0, len(digests), 1024):
            root.update(hashlib.sha256(b''.join(digests[first:first + 1024])).digest())
        need(root.digest() == image['digest'], 'root digest of %r', image['name'])
        entries = list(files(engram, image))
        verify_directories(entries)
        verify_index(engram, image, entries)


def verify_directories(found):
    """That each directory has the digest of what is below it, or a reason to have none."""
    children = {}
    for i, entry in enumerate(found):
        if entry['path']:
            parent = entry['path'].rpartition('/')[0]
            children.setdefault((entry['volume'], parent), []).append(entry)
    for entry in reversed(found):                   # directories after what is in them
        if not stat.S_ISDIR(entry['mode']):
            continue
        sum, count, known = hashlib.sha256(), 0, True
        for child in children.get((entry['volume'], entry['path']), []):
            kind = stat.S_IFMT(child['mode'])
            if not child['attributes'] or not (
                    child['digest'] or kind in (stat.S_IFIFO, stat.S_IFSOCK)):
                known = False
            name = child['path'].rpartition('/')[2].encode('utf-8', 'surrogateescape')
            sum.update(name + b'\0' + struct.pack('<IIIqI', child['mode'], child['uid'],
                                                  child['gid'], *child['mtime']))
            sum.update(bytes.fromhex(child['digest'] or '00' * 32))
            sum.update(bytes.fromhex(child['attributes'] or '00' * 32))
            count += 1 + child.get('all', 0)
        entry['all'] = count
        want = sum.hexdigest() if known else None
        need(entry['digest'] == want, 'digest of the directory %r', entry['path'])
        need(entry['below'] in (None, count), 'entries below %r', entry['path'])


def files(engram, image):
    if image['manifest'] == NONE:
        return
    data = engram.load(image['manifest'], MANIFEST)
    entries, vectors, file_pages, vector_pages, dimension, encoding, volumes, has_names = \
        struct.unpack_from('<QQIIIIII', data)
    end = 40 + 32 * (file_pages + vector_pages) + 56 * volumes
    need(len(data) == end or has_names, 'manifest')
    names = data[end:].split(b'\0')
    need(len(names) == (volumes if has_names else 0) + 1 and not names[-1], 'names of volumes')
    table = []
    for i in range(volumes):
        first, n, offset, size, number, kind = struct.unpack_from(
            '<QQQQI20s', data, 40 + 32 * (file_pages + vector_pages) + 56 * i)
        need(first == (table[-1][0] + table[-1][1] if table else 0), 'volumes')
        if has_names and not number:
            number = names[i].decode()
        table.append((first, n, number, kind.rstrip(b'\0').decode()))
    need(sum(v[1] for v in table) == entries, 'entries of volumes')
    count = 0
    for i in range(file_pages):
        ref, first, n = ref_at(data, 40 + 32 * i), *struct.unpack_from('<QI', data, 56 + 32 * i)
        need(first == count and n, 'page %d of files', i)
        page, at, path = engram.load(ref, FILES), 0, b''
        for _ in range(n):
            ino, size, sec, nsec, mode, uid, gid, shared, suffix, flags, profile = \
                struct.unpack_from('<QQqIIIIHHBB', page, at)
            need(shared <= len(path), 'path in the files page at 0x%x', ref[0])
            path = path[:shared] + page[at + 48:at + 48 + suffix]
            need(len(path) >= shared + suffix and b'\0' not in path, 'path at 0x%x', ref[0])
            at += 48 + suffix
            digest = below = attributes = None
            if flags & 1:
                digest = page[at:at + 32].hex()
                at += 32
            if flags & 1 and mode & 0o170000 == 0o040000:
                below, = struct.unpack_from('<Q', page, at)
                at += 8
            if flags & 8:
                attributes = page[at:at + 32]
                at += 32
            while count >= table[0][0] + table[0][1]:
                table.pop(0)
            yield {'volume': table[0][2], 'path': path.decode('utf-8', 'surrogateescape'),
                   'ino': ino, 'size': size, 'mtime': [sec, nsec], 'mode': mode, 'uid': uid,
                   'gid': gid, 'flags': flags, 'profile': profile, 'digest': digest,
                   'below': below, 'attributes': attributes and attributes.hex()}
            count += 1
        need(at == len(page), 'files page at 0x%x', ref[0])
    need(count == entries, 'entries of pages')
    for _ in vectors_of(engram, data):
        pass


def vectors_of(engram, manifest):
    """(number of the entry, packed vector) of each."""
    entries, vectors, file_pages, vector_pages = struct.unpack_from('<QQII', manifest)
    count, last = 0, -1
    for i in range(vector_pages):
        at = 40 + 32 * (file_pages + i)
        ref, first, n = ref_at(manifest, at), *struct.unpack_from('<QI', manifest, at + 16)
        need(first == count and n, 'page %d of vectors', i)
        page, at = engram.load(ref, VECTORS), 0
        for _ in range(n):
            entry, length = struct.unpack_from('<QI', page, at)
            need(last < entry and (entry < entries or entry == 2 ** 64 - 1), 'vectors')
            yield entry, page[at + 16:at + 16 + length]
            last, at = entry, at + 16 + length
        need(at == len(page), 'vectors page at 0x%x', ref[0])
        count += n
    need(count == vectors, 'vectors')


def unpack_vector(packed, dimension):
    """docs/hypervec.md, section 6: {trit: sign} of those that are not 0."""
    head, at = packed[0] & 127, 1
    while packed[at - 1] >= 128:
        head |= (packed[at] & 127) << 7 * at
        at += 1
    active, bits = head >> 1, int.from_bytes(packed[at:], 'little')
    if head & 1:
        places = [i for i in range(dimension) if bits >> i & 1]
        return {place: -1 if bits >> (dimension + i) & 1 else 1
                for i, place in enumerate(places)}
    trits, low, place = {}, 0, 0
    while active and (4 * active << low) < 2 * dimension - active:
        low += 1
    for _ in range(active):
        high = (bits & -bits).bit_length() - 1
        place += (high << low) + (bits >> (high + 2) & (1 << low) - 1)
        trits[place] = -1 if bits >> (high + 1) & 1 else 1
        bits >>= high + 2 + low
        place += 1
    return trits


def verify_index(engram, image, entries):
    """Section 8.2, of an image with these files."""
    if image['vector_index'] == NONE or not engram.slot['autoclear'] & 2:
        return
    manifest = engram.load(image['manifest'], MANIFEST)
    vectors = [v for v in vectors_of(engram, manifest) if v[0] != 2 ** 64 - 1]
    root = engram.load(image['vector_index'], VECTOR_INDEX)
    count, dimension, short, clusters, file_clusters, pages = \
        struct.unpack_from('<QIIIII', root)
    need(count == len(vectors), 'vectors of the index')
    need(dimension == struct.unpack_from('<I', manifest, 24)[0] and short == 512,
         'dimensions of the index')
    sizes = struct.unpack_from('<%dI' % clusters, root, 32 + 32 * pages)
    planes = root[32 + 32 * pages + 4 * clusters:]
    need(file_clusters <= clusters and sum(sizes) == count and
         len(planes) == clusters * dimension // 4, 'index')
    for i in range(clusters):
        words = planes[i * dimension // 4:(i + 1) * dimension // 4]
        nonzero = int.from_bytes(words[:dimension // 8], 'little')
        negative = int.from_bytes(words[dimension // 8:], 'little')
        need(negative & ~nonzero == 0, 'centroid %d', i)
    members = []
    for i in range(pages):
        ref = ref_at(root, 32 + 32 * i)
        first, n = struct.unpack_from('<QI', root, 48 + 32 * i)
        need(first == len(members) and n, 'page %d of members', i)
        page, at = engram.load(ref, MEMBERS), 0
        for _ in range(n):
            vector, length = struct.unpack_from('<IB', page, at)
            members.append((vector, page[at + 5:at + 5 + length]))
            at += 5 + length
        need(at == len(page), 'members page at 0x%x', ref[0])
    need(sorted(m[0] for m in members) == list(range(count)), 'members')
    of_files = sum(sizes[:file_clusters])
    for i, (vector, packed) in enumerate(members):
        entry, full = vectors[vector]
        need(stat.S_ISDIR(entries[entry]['mode']) == (i >= of_files), 'kind of member %d', i)
        trits = {k: v for k, v in unpack_vector(full, dimension).items() if k < 512}
        need(unpack_vector(packed, 512) == trits, 'trits of member %d', i)


def objects(engram):
    at = 8192
    while at < engram.slot['end']:
        kind, codec, _, _, stored, raw, _ = engram.header(at)
        print(at, kind, codec, stored, raw)
        at += (32 + stored + 7) // 8 * 8
    need(at == engram.slot['end'], 'objects end at 0x%x', at)


def chunk_lengths(data, chunker):
    """Chunker 1: see include/engram/chunker.h."""
    least, average, most = chunker
    early, late = 2 ** 31 - 1 - 2 ** 32 // average, 2 ** 31 - 1 - 2 ** 33 // average
    words = [int.from_bytes(data[i:i + 4], 'little') for i in range(len(data) - 3)]
    start = 0
    while start < len(data):
        end = start + min(most, len(data) - start)
        for n in range(max(least, 32), min(most, len(data) - start)):
            at = start + n - 4
            total = sum(words[at - 4 * k] << 4 * k for k in range(8)) & 0xffffffff
            value = (total ^ total >> 15) * 0x9E3779B1 & 0xffffffff
            if (early if n < average // 2 else late) < value < 2 ** 31:
                end = start + n
                break
        yield end - start
        start = end


def content_digest(content, chunker):
    """Section 8: what names the content of a file."""
    segment_bytes, block_bytes = 4 << 20, 4096
    out = hashlib.sha256()
    for base in range(0, len(content), segment_bytes):
        segment, has_chunks = hashlib.sha256(), False
        end = min(base + segment_bytes, len(content))
        at = base
        while at < end:
            stretch = at
            while at < end and content[at:min(at + block_bytes, end)].strip(b'\0'):
                at = min(at + block_bytes, end)
            for length in chunk_lengths(content[stretch:at], chunker):
                segment.update(struct.pack('<QQ', stretch, length))
                segment.update(hashlib.sha256(content[stretch:stretch + length]).digest())
                has_chunks = True
                stretch += length
            at = min(at + block_bytes, end)
        if has_chunks:
            out.update(segment.digest())
    out.update(struct.pack('<Q', len(content)))
    return out.hexdigest()


def main():
    command, engram = sys.argv[1], Engram(sys.argv[2])
    if command == 'raw':
        write_raw(engram, sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None)
    elif command == 'verify':
        verify(engram)
    elif command == 'files':
        name = sys.argv[3] if len(sys.argv) > 3 else None
        for entry in files(engram, engram.find_image(name)):
            print(json.dumps(entry))
    elif command == 'objects':
        objects(engram)
    elif command == 'digest':
        for name in sys.argv[3:]:
            with open(name, 'rb') as file:
                print(content_digest(file.read(), engram.chunker))
    else:
        sys.exit('unknown command ' + command)


if __name__ == '__main__':
    main()
