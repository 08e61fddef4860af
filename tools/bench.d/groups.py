"""groups: all there are, in the order of the table; the longest last, if the time should be over."""
import coherence
import fragments
import growth
import listings
import memory
import opens
import reads
import remote
import reports
import tftp
import updates
import walks
import writers

GROUPS = {
    "memory": memory,
    "opens": opens,
    "fragments": fragments,
    "reads": reads,
    "walks": walks,
    "tftp": tftp,
    "remote": remote,
    "listings": listings,
    "writers": writers,
    "updates": updates,
    "reports": reports,
    "coherence": coherence,
}
GROWTH = growth.SERIES
