"""Keys and values of rows that come and go: every row's newest token stands in the same column.

        columns   start               end
        row 0     . . t t t t t t t t |        t: a token's keys and values
        row 1     . . . . . . t t t t |        .: nothing of this row's
        row 2     t t t t t t t t t t |

New columns are written at ``end``. A row that joins is laid so that it ends there, a row that leaves is overwritten
by another. The distance of two tokens of a row is that of their columns, which relative positions need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import ref

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

# Columns to spare when the buffers are laid anew, beside half the width in use: so that it seldom happens.
_SPARE_COLUMNS = 64
# They are also laid anew when they have so many times the room that is needed: not often, as that takes time.
_ROOMY = 8
# Columns that buffers may keep while no row uses them.
_IDLE_COLUMNS = 1024


class RowCache(Cache):  # type: ignore[misc]
    """A ``transformers`` cache whose rows have lengths of their own.

    Rows and columns have as much room as they need: it grows, and shrinks, by laying the buffers anew.

    Args:
        lengths: of rows about to be written, which will all end in one column; none where rows are to join.
    """

    def __init__(self, lengths: Sequence[int] = ()) -> None:
        super().__init__(layers=[])
        longest = max(lengths, default=0)
        self.starts = [longest - length for length in lengths]
        self.end = 0
        self._capacity, self._columns = len(lengths), longest
        self._alone: int | None = None

    @property
    def room(self) -> tuple[int, int]:
        """Rows and columns that the buffers have."""
        return self._capacity, self._columns

    @property
    def start(self) -> int:
        """The first column that any row uses."""
        return min(self.end, *self.starts[self.rows]) if self.starts else self.end

    @property
    def width(self) -> int:
        """Columns in use."""
        return self.end - self.start

    @property
    def rows(self) -> slice:
        """The rows in use."""
        return slice(0, len(self.starts)) if self._alone is None else slice(self._alone, self._alone + 1)

    def mask(self, more: int = 0) -> Tensor:
        """Whether a column belongs to a row: (rows, width + more), with columns about to be written."""
        columns = torch.arange(self.start, self.end + more)
        return columns[None, :] >= torch.tensor(self.starts[self.rows])[:, None]

    def positions(self, columns: int) -> Tensor:
        """What number in its row the token of each column about to be written has, (rows, columns); 0 before the first."""
        new = torch.arange(self.end, self.end + columns)
        return (new[None, :] - torch.tensor(self.starts[self.rows])[:, None]).clamp(min=0)

    @contextmanager
    def alone(self, row: int) -> Iterator[None]:
        """Show a single row, as if there were no other."""
        self._alone = row
        try:
            yield
        finally:
            self._alone = None

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write new columns (rows, heads, columns, size) at the end; return all columns in use with them."""
        while len(self.layers) <= layer_idx:
            self.layers.append(_Layer(self))
        layer, new = self.layers[layer_idx], key_states.shape[2]
        layer.make((key_states, value_states), self._capacity, self._columns)
        for buffer, states in zip(layer.buffers, (key_states, value_states), strict=True):
            buffer[self.rows, :, self.end : self.end + new] = states
        window: tuple[Tensor, Tensor] = layer.window(new)
        return window

    def begin(self, unread: int, states: Sequence[Sequence[Tensor]]) -> None:
        """Give rows about to be written what is known of their first tokens.

        Args:
            unread: the last columns, which are still to be written.
            states: of each row the keys and values of each layer in turn, (heads, tokens, size): of at least all its
                tokens before those columns; none where there are none.
        """
        self.end = max(self._columns - unread, 0)
        like = next((one for one in states if one), ())
        for number in range(0, len(like), 2):
            layer = _Layer(self)
            layer.make([one[None] for one in like[number : number + 2]], self._capacity, self._columns)
            self.layers.append(layer)
            for row, known in enumerate(states):
                if (count := self.end - self.starts[row]) > 0:
                    for buffer, part in zip(layer.buffers, known[number : number + 2], strict=True):
                        buffer[row, :, self.starts[row] : self.end] = part[:, :count]

    def states(self, row: int, first: int, last: int) -> list[Tensor]:
        """Keys and values of each layer in turn, (heads, tokens, size), of a row's tokens from one number to before another."""
        start = self.starts[row]
        return [buffer[row, :, start + first : start + last] for layer in self.layers for buffer in layer.buffers]

    def clean(self, rows: Sequence[int]) -> None:
        """Forget what is written in rows: what is no number would harm whoever comes after, even where it is masked out."""
        for buffer in (buffer for layer in self.layers for buffer in layer.buffers):
            buffer[list(rows)] = 0

    def reserve(self, columns: int) -> None:
        """Make room for columns about to be written."""
        self._lay(len(self.starts), 0, columns)

    def advance(self, columns: int) -> None:
        """Columns that a forward pass wrote now belong to the rows."""
        self.end += columns

    def move(self, sources: Sequence[int]) -> None:
        """Row i becomes a copy of what row ``sources[i]`` was; rows not named are gone."""
        changed = [row for row, source in enumerate(sources) if row != source]
        self._lay(len(sources), 0, 0)
        for buffer in (buffer for layer in self.layers if changed for buffer in layer.buffers):
            window = buffer[:, :, self.start : self.end]
            window[changed] = window[[sources[row] for row in changed]]
        self.starts = [self.starts[source] for source in sources]
        if not self.starts and self._columns > _IDLE_COLUMNS:
            self._columns = self.end = 0
            for layer in self.layers:
                layer.buffers = ()

    def join(self, other: RowCache, sources: Sequence[int]) -> None:
        """Append copies of the rows ``sources`` of another cache."""
        first = len(self.starts)
        widest = max(other.end - other.starts[source] for source in sources)
        self._lay(first + len(sources), max(0, widest - self.width), 0)
        begin = self.end - max(widest, self.width)
        while len(self.layers) < len(other.layers):
            self.layers.append(_Layer(self))
        for layer, given in zip(self.layers, other.layers, strict=True):
            layer.make(given.buffers, self._capacity, self._columns)
            for buffer, source_buffer in zip(layer.buffers, given.buffers, strict=True):
                # What earlier rows left there is masked out, but no number times nothing is still no number.
                buffer[:first, :, begin : self.start] = 0
                buffer[first : first + len(sources), :, begin : self.end] = 0
                for row, source in enumerate(sources, start=first):
                    part = source_buffer[source, :, other.starts[source] : other.end]
                    buffer[row, :, self.end - part.shape[1] : self.end] = part
        self.starts += [self.end - (other.end - other.starts[source]) for source in sources]

    def _lay(self, rows: int, left: int, right: int) -> None:
        """Have room for so many rows, and for columns on both sides of the window: it may move to other columns."""
        start, end, width = self.start, self.end, self.width
        capacity = 1 << (max(rows, len(self.starts), 1) - 1).bit_length()
        columns = left + width + right + width // 2 + _SPARE_COLUMNS
        is_roomy = self._capacity * self._columns > _ROOMY * capacity * columns
        if rows <= self._capacity and start >= left and end + right <= self._columns and not is_roomy:
            return
        self._capacity, self._columns = capacity, columns
        for layer in self.layers:
            old, layer.buffers = layer.buffers, ()
            layer.make(old, self._capacity, self._columns)
            for buffer, before in zip(layer.buffers, old, strict=True):
                used = before[: len(self.starts), :, start:end]
                buffer[: len(used), :, left : left + width] = used
        self.starts = [mine - start + left for mine in self.starts]
        self.end = left + width


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """What one attention layer sees of a ``RowCache``: buffers (capacity, heads, columns, size) of keys and values."""

    is_sliding = False
    is_initialized = True

    def __init__(self, cache: RowCache) -> None:
        # A cache and its layers that hold each other stay in memory until the garbage collector comes by.
        self._held = ref(cache)
        self.buffers: tuple[Tensor, ...] = ()

    @property
    def _cache(self) -> RowCache:
        cache = self._held()
        assert cache is not None, "a layer is used by its cache alone"
        return cache

    def make(self, like: Sequence[Tensor], rows: int, columns: int) -> None:
        """Have buffers for states like these. They are zeros: what is masked out must still be numbers."""
        if not self.buffers:
            self.buffers = tuple(one.new_zeros(rows, one.shape[1], columns, one.shape[3]) for one in like)

    def window(self, more: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values of the rows and columns in use."""
        cache = self._cache
        keys, values = (buffer[cache.rows, :, cache.start : cache.end + more] for buffer in self.buffers)
        return keys, values

    @property
    def keys(self) -> Tensor:
        """Keys in use."""
        return self.window()[0]

    @property
    def values(self) -> Tensor:
        """Values in use."""
        return self.window()[1]

    def get_seq_length(self) -> int:
        """Columns before those about to be written."""
        return self._cache.width

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns with those about to be written, and the number of the first."""
        return self._cache.width + query_length, 0

    def get_max_length(self) -> int:
        """There is no maximum."""
        return -1

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """The cache writes all layers."""
        raise NotImplementedError

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Buffers are made when they are first written."""
