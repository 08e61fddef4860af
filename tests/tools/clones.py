#!/usr/bin/env python3
"""Images that share blocks, written and read: does each board see its own bytes, at once, and nobody else's?

clones.py SOURCE MOUNT FILE ROUNDS [NBD-URI NAME]

SOURCE holds NAME.img, clones of each other (cp --reflink), FILE is in the root of each. Each round writes blocks of it
in all images (through the page cache, by O_DIRECT, and the image NAME by an NBD server), opens each file at once, and
does one of what else may happen to a clone; then it drops what is cached, writes half of them once more, waits until all are
at rest, and reads all again. Tells how many files were opened, and which had other bytes than were written.
"""
import concurrent.futures, ctypes, errno, fcntl, mmap, os, random, struct, sys, time

BLOCK = 4096
FICLONE, FIDEDUPERANGE = 0x40049409, 0xC0189436
PUNCH_HOLE, KEEP_SIZE = 2, 1
AT_REST_S = 2.2  # ctime may lag behind a write by 2 s: as long nobody's blocks are read for others

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
source, mount, file_name = sys.argv[1:4]
rounds = int(sys.argv[4])
remote = None
if len(sys.argv) > 5:
    import nbd

    remote = nbd.NBD()
    remote.connect_uri(sys.argv[5])
rng = random.Random(1)


class Board:
    def __init__(self, name):
        self.name, self.path = name, f"{source}/{name}.img"
        self.served = remote if len(sys.argv) > 6 and sys.argv[6] == name else None

    def load(self, offset, length):
        self.offset = offset
        with open(self.path, "rb") as file:
            file.seek(offset)
            self.bytes = bytearray(file.read(length))

    def write(self, block, data, how):
        at = self.offset + block * BLOCK
        if self.served:
            self.served.pwrite(data, at)
        elif how == "direct":
            fd = os.open(self.path, os.O_WRONLY | os.O_DIRECT)
            buffer = mmap.mmap(-1, len(data))
            buffer.write(data)
            os.pwritev(fd, [buffer], at)
            os.close(fd)
        else:
            fd = os.open(self.path, os.O_WRONLY)
            os.pwrite(fd, data, at)
            os.close(fd)
        self.bytes[block * BLOCK : (block + 1) * BLOCK] = data


    def check(self):
        """Its bytes; may fail while it is written, and then is tried again."""
        for _ in range(500): # a machine that has no time for it
            try:
                with open(f"{mount}/{self.name}/{file_name}", "rb", buffering=0) as file:
                    got = b""
                    while piece := file.read(1 << 20):
                        got += piece
                return got == self.bytes
            except OSError as error:
                if error.errno not in (errno.EIO, errno.ESTALE):
                    raise
                time.sleep(0.02)
        raise SystemExit(f"{self.name}: cannot be read")


def drop_cached(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def place_of_file(board):
    """Its first block that begins on a block of the image, and how many follow."""
    with open(f"{mount}/{board.name}/{file_name}", "rb") as file:
        content = file.read()
    with open(board.path, "rb") as file:
        image = file.read()
    at = image.find(content)
    if at < 0 or at % BLOCK != 0:
        raise SystemExit(f"{file_name} is not in one piece, from a block on: {at}")
    return at, len(content)


def any_block(board):
    return rng.randrange(len(board.bytes) // BLOCK)


def write_and_check(board, block, data, how):
    board.write(block, data, how)
    return board.name if not board.check() else None


# ---- what else may happen to a clone -----------------------------------------


def clone_of(board, path):
    with open(board.path, "rb") as old, open(path, "wb") as new:
        fcntl.ioctl(new, FICLONE, old.fileno())


def replaced(boards):
    one, other = rng.sample([board for board in boards if not board.served], 2)
    clone_of(other, f"{source}/.new")
    os.rename(f"{source}/.new", one.path)
    one.bytes = bytearray(other.bytes)


def punched(boards):
    board, block = rng.choice(boards), any_block(boards[0])
    fd = os.open(board.path, os.O_RDWR)
    if libc.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, board.offset + block * BLOCK, BLOCK) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")
    os.close(fd)
    board.bytes[block * BLOCK : (block + 1) * BLOCK] = bytes(BLOCK)


def deduplicated(boards):
    """The same bytes, written to each by itself, become one block; then one of them is written."""
    one, other = rng.sample(boards, 2)
    block, data = any_block(one), os.urandom(BLOCK)
    for board in (one, other):
        board.write(block, data, "buffered")
        fd = os.open(board.path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    at = one.offset + block * BLOCK
    with open(one.path, "rb") as old, open(other.path, "r+b") as new:
        argument = bytearray(struct.pack("=QQHHIqQQiI", at, BLOCK, 1, 0, 0, new.fileno(), at, 0, 0, 0))
        fcntl.ioctl(old, FIDEDUPERANGE, argument)
        if struct.unpack_from("=i", argument, 48)[0] != 0:
            raise SystemExit("FIDEDUPERANGE: they do not share")
    if rng.random() < 0.5:
        one.write(block, os.urandom(BLOCK), "buffered")


def template_gone(boards):
    if os.path.exists(f"{source}/template.img"):
        os.unlink(f"{source}/template.img")
        boards[:] = [board for board in boards if board.name != "template"]


happenings = [replaced, punched, deduplicated, replaced, template_gone]


def all_at_rest(boards):
    return all(time.time() - os.stat(board.path).st_ctime >= AT_REST_S for board in boards)


boards = [Board(name[:-4]) for name in sorted(os.listdir(source)) if name.endswith(".img")]
offset, length = place_of_file(boards[0])
for board in boards:
    board.load(offset, length)
opened, wrong = 0, []
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    for turn in range(rounds):
        jobs = []
        for board in boards:
            how = rng.choice(["buffered", "buffered", "direct"])
            jobs.append(pool.submit(write_and_check, board, any_block(board), os.urandom(BLOCK), how))
        wrong += [f"{job.result()} at once" for job in jobs if job.result()]
        opened += len(jobs)
        happenings[turn % len(happenings)](boards)
        for board in boards:
            drop_cached(board.path) # which writes out what is dirty, too
        # Half of them are written once more, and nobody looks: what is dirty then is not what is on the disk.
        for board in rng.sample(boards, len(boards) // 2):
            board.write(any_block(board), os.urandom(BLOCK), "buffered")
        while not all_at_rest(boards):
            time.sleep(0.02)
        for board in boards:
            drop_cached(f"{mount}/{board.name}/{file_name}")
        order = rng.sample(boards, len(boards))
        wrong += [f"{board.name} at rest" for board, good in zip(order, pool.map(Board.check, order)) if not good]
        opened += len(order)
print(f"opened {opened}, wrong {len(wrong)}: {' '.join(wrong)}")
sys.exit(1 if wrong else 0)
