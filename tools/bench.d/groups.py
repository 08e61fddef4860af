"""groups: all there are, in the order of the table."""
import fragments
import growth
import listings
import memory
import opens
import reads
import tftp
import walks
import writers

GROUPS = {
    "opens": opens,
    "fragments": fragments,
    "reads": reads,
    "walks": walks,
    "tftp": tftp,
    "listings": listings,
    "writers": writers,
    "memory": memory,
}
GROWTH = growth.SERIES
