"""Signs of decisions in a model that does not mark them: each is of one mechanism, which names it.

`condsim.live.lift.unmarked` looks for them in a run, for a message.
"""

from __future__ import annotations

ROWS_ARE_SENT = "rows are sent to experts"
NEURONS_ARE_LEFT_OUT = "neurons are left out by their scores"
ROWS_ARE_DONE = "rows are done before the others"
LAYERS_ARE_MASKED = "layers are multiplied by 0 for the rows that skip them"
THE_BEST_GO_ON = "tokens are ranked and the best go on"
JOIN_THE_MOST_ALIKE = "tokens are ranked and added to those that they are most like"
THE_BEST_ENTER = "the best k of a sequence's tokens enter a block, the others pass by"
