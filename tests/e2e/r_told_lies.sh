#!/bin/bash
# R, S1, S2: pages that no honest server says, as NAME@writes: random bytes, another instance each time, all in flight for
# ever, totals that go back, a page that cannot be read, or hangs. The image is served all the same, or refused in time;
# its neighbour is not touched by any of them.
. "$(dirname "$0")/../lib.sh"
requires nbdkit
nbdkit --dump-plugin python >/dev/null 2>&1 || skip "needs nbdkit-plugin-python"
