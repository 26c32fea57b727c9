# SPDX-License-Identifier: LGPL-2.1-or-later
"""All groups of rows, in their order."""

from costs import costs
from growth import growth
from lives import death, life, parallel, work
from reads import reads, waits
from standing import health, running
from streams import execs, streams

GROUPS = (life, work, death, parallel, reads, running, waits, health, streams, execs, costs, growth)
