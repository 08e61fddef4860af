"""groups: all there are, in the order of the table."""
import coherence
import fragments
import growth
import listings
import memory
import opens
import reads
import reports
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
    "reports": reports,
    "coherence": coherence,
}
GROWTH = growth.SERIES
